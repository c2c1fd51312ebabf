//! The signatures of requests that wait to be checked, many at once.
//!
//! Whatever comes while some are checked is checked together next: under load a signature costs a third of what it costs
//! alone, and without load nobody waits for another. The rule is that of `apply`, and the same whether a signature is checked
//! alone or with others: [`Together`] and [`verify_signature_in_log`] agree on all bytes. What else has to hold of a header is
//! asked before. Whoever sent a bad one is checked alone
//! for a while, so that a liar spoils one lot and not every one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_consensus::Work;
use carnet_domain::bytes::signature::{BadSignature, PublicKey, Signature};
use carnet_domain::bytes::together::Together;
use carnet_domain::log::authority::{add_header, verify_signature_in_log};
use tokio::sync::oneshot;

use crate::share::Holder;

/// Checked together at most: about a millisecond of one core.
const TOGETHER_MAX: usize = 64;
/// Fewer are as fast singly.
const TOGETHER_MIN: usize = 4;
/// Checked alone in one turn, of those who sent a bad one.
const ALONE_MAX: usize = 8;
/// So many good ones later, whoever sent a bad one is checked with others again.
const PROBATION: u32 = 256;
/// Callers remembered for a bad one. The certificate that is forgotten for another costs one lot.
const SUSPECT_COUNT_MAX: usize = 1_024;

/// The signatures that wait. Cheap to clone.
#[derive(Clone)]
pub struct Signatures {
    work: Work,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    waiting: VecDeque<One>,
    /// Of those who sent a bad one lately.
    apart: VecDeque<One>,
    /// How many good ones each still has to send.
    suspects: BTreeMap<Holder, u32>,
    /// Somebody checks what waits, and will look again.
    is_checked: bool,
}

struct One {
    holder: Holder,
    key: PublicKey,
    header: Vec<u8>,
    signature: Signature,
    told: oneshot::Sender<bool>,
}

impl Signatures {
    /// Of a node that does its work there.
    pub fn new(work: Work) -> Self {
        Self {
            work,
            inside: Arc::default(),
        }
    }

    /// Checks the signature of a header that names this key, of somebody's request.
    ///
    /// # Errors
    /// It does not verify.
    pub async fn verify(
        &self,
        holder: Holder,
        (key, header, signature): (&PublicKey, &[u8], &Signature),
    ) -> Result<(), BadSignature> {
        if self.work == Work::Inline {
            return judged(holds(key, header, signature));
        }
        let (told, answer) = oneshot::channel();
        let one = One {
            holder,
            key: *key,
            header: header.to_vec(),
            signature: *signature,
            told,
        };
        if self.lock().put(one) {
            // A task of its own: whoever asked may be gone before the others are answered, and those that are read from one
            // stream at once come to wait together.
            tokio::spawn(self.clone().check());
        }
        match answer.await {
            Ok(good) => judged(good),
            // Whoever checked is gone: this process stops, or that task panicked.
            Err(_) => judged(holds(key, header, signature)),
        }
    }

    /// Checks what waits until nothing does.
    async fn check(self) {
        let mut on_duty = OnDuty(Some(&self.inside));
        loop {
            let Some((lot, alone)) = self.lock().next() else {
                on_duty.0 = None;
                return;
            };
            let (good, mut bad) = together(lot);
            let mut served = good;
            for one in alone {
                match one.holds() {
                    true => served.push(one),
                    false => bad.push(one),
                }
            }
            self.lock().learn(&served, &bad);
            for (one, is_good) in served
                .into_iter()
                .map(|one| (one, true))
                .chain(bad.into_iter().map(|one| (one, false)))
            {
                // Whoever asked may be gone.
                let _ = one.told.send(is_good);
            }
            tokio::task::yield_now().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        lock(&self.inside)
    }
}

/// Whoever checks; if it ends in the middle, the next to come checks again.
struct OnDuty<'a>(Option<&'a Mutex<Inside>>);

impl Drop for OnDuty<'_> {
    fn drop(&mut self) {
        if let Some(inside) = self.0 {
            let mut inside = lock(inside);
            inside.is_checked = false;
            // They check for themselves.
            inside.waiting.clear();
            inside.apart.clear();
        }
    }
}

impl Inside {
    /// Takes one in; whether nobody checks yet, and the caller has to see to it.
    fn put(&mut self, one: One) -> bool {
        match self.suspects.contains_key(&one.holder) {
            true => self.apart.push_back(one),
            false => self.waiting.push_back(one),
        }
        !std::mem::replace(&mut self.is_checked, true)
    }

    /// What is checked next, together and alone; with nothing, nobody checks any more.
    fn next(&mut self) -> Option<(Vec<One>, Vec<One>)> {
        let lot = self.waiting.len().min(TOGETHER_MAX);
        let alone = self.apart.len().min(ALONE_MAX);
        if lot == 0 && alone == 0 {
            self.is_checked = false;
            return None;
        }
        let lot = self.waiting.drain(..lot).collect();
        Some((lot, self.apart.drain(..alone).collect()))
    }

    fn learn(&mut self, good: &[One], bad: &[One]) {
        if !self.suspects.is_empty() {
            for one in good {
                if let Some(left) = self.suspects.get_mut(&one.holder) {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        self.suspects.remove(&one.holder);
                    }
                }
            }
        }
        for one in bad {
            if self.suspects.len() >= SUSPECT_COUNT_MAX && !self.suspects.contains_key(&one.holder)
            {
                self.suspects.pop_first();
            }
            self.suspects.insert(one.holder.clone(), PROBATION);
        }
    }
}

impl One {
    fn holds(&self) -> bool {
        holds(&self.key, &self.header, &self.signature)
    }
}

/// The good ones and the bad ones of a lot.
fn together(lot: Vec<One>) -> (Vec<One>, Vec<One>) {
    if lot.len() >= TOGETHER_MIN {
        let mut together = Together::default();
        for one in &lot {
            add_header(&mut together, &one.header, &one.signature, &one.key);
        }
        if together.hold() {
            return (lot, Vec::new());
        }
    }
    lot.into_iter().partition(One::holds)
}

fn holds(key: &PublicKey, header: &[u8], signature: &Signature) -> bool {
    verify_signature_in_log(header, signature, key).is_ok()
}

fn judged(good: bool) -> Result<(), BadSignature> {
    match good {
        true => Ok(()),
        false => Err(BadSignature),
    }
}

fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::digest::sha256;
    use carnet_domain::bytes::encoding::Canonical;
    use carnet_domain::bytes::signature::SecretKey;
    use carnet_domain::bytes::time::TimeMs;
    use carnet_domain::log::authority::SignedHeader;
    use futures::future::join_all;

    use super::*;

    fn key(name: &str) -> SecretKey {
        SecretKey::from_seed(&sha256(&[name.as_bytes()]).0)
    }

    /// A signed header of a key, the `sequence`-th.
    fn signed(key: &SecretKey, sequence: u64) -> (Vec<u8>, Signature) {
        let header = SignedHeader {
            prefix: "86".parse().expect("a prefix"),
            incarnation: 0,
            key: key.public().key_id(),
            session: 1,
            sequence,
            not_after: TimeMs(0),
            kind: 10,
            item_count: 1,
            part_items: 1,
            item_root: sha256(&[b"items"]),
        };
        (header.to_bytes(), key.sign(&header.signing_bytes()))
    }

    fn one(holder: &str, key: &SecretKey, sequence: u64, spoiled: bool) -> One {
        let (header, mut signature) = signed(key, sequence);
        if spoiled {
            signature.0[40] ^= 1;
        }
        One {
            holder: Holder::new(holder),
            key: key.public(),
            header,
            signature,
            told: oneshot::channel().0,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_that_come_at_once_each_is_told_its_own_answer() {
        let signatures = Signatures::new(Work::Threads);
        let keys = [key("one"), key("two"), key("three")];
        let asked = (0..500u64).map(|at| {
            let (signatures, key) = (signatures.clone(), &keys[(at % 3) as usize]);
            let (header, mut signature) = signed(key, at);
            let spoiled = at % 97 == 5;
            if spoiled {
                signature.0[(at % 64) as usize] ^= 1;
            }
            async move {
                let holder = Holder::new(if spoiled { "liar" } else { "honest" });
                let asked = (&key.public(), &header[..], &signature);
                let found = signatures.verify(holder, asked).await;
                assert_eq!(found.is_ok(), !spoiled, "{at}");
            }
        });
        join_all(asked).await;
        let inside = signatures.lock();
        assert!(inside.waiting.is_empty() && inside.apart.is_empty());
        let suspects: Vec<String> = inside.suspects.keys().map(Holder::to_string).collect();
        assert_eq!(suspects, ["liar"]);
    }

    #[test]
    fn who_sent_a_bad_one_spoils_no_second_lot_until_it_has_sent_many_good_ones() {
        let (honest, liar) = (key("honest"), key("liar"));
        let mut inside = Inside::default();
        for at in 0..10 {
            inside.put(one("honest", &honest, at, false));
        }
        inside.put(one("liar", &liar, 1, true));
        let (lot, alone) = inside.next().expect("something");
        assert_eq!((lot.len(), alone.len()), (11, 0));
        let (good, bad) = together(lot);
        assert_eq!((good.len(), bad.len()), (10, 1));
        inside.learn(&good, &bad);
        for at in 0..10 {
            inside.put(one("honest", &honest, at, false));
            inside.put(one("liar", &liar, at, true));
        }
        let (lot, alone) = inside.next().expect("something");
        assert_eq!((lot.len(), alone.len()), (10, ALONE_MAX));
        assert!(lot.iter().all(|one| one.holder == Holder::new("honest")));
        // Good ones in turn; one bad one among them begins it anew.
        for at in 0..u64::from(PROBATION) - 1 {
            inside.learn(&[one("liar", &liar, at, false)], &[]);
        }
        inside.learn(&[], &[one("liar", &liar, 0, true)]);
        inside.learn(&[one("liar", &liar, 0, false)], &[]);
        assert!(inside.suspects.contains_key(&Holder::new("liar")));
        for at in 1..u64::from(PROBATION) {
            inside.learn(&[one("liar", &liar, at, false)], &[]);
        }
        assert!(inside.suspects.is_empty());
    }

    /// What else is wrong with a header is not asked here, or it would depend on how many wait.
    #[test]
    fn alone_and_together_are_one_rule() {
        let (honest, other) = (key("honest"), key("other"));
        let spoiled = |change: &dyn Fn(&mut SignedHeader)| {
            let (bytes, _) = signed(&honest, 1);
            let mut header = SignedHeader::from_bytes(&bytes).expect("a header");
            change(&mut header);
            let signature = honest.sign(&header.signing_bytes());
            One {
                header: header.to_bytes(),
                signature,
                ..one("a", &honest, 1, false)
            }
        };
        let cases: [(One, bool); 5] = [
            (spoiled(&|header| header.item_count = 0), true),
            (spoiled(&|header| header.item_count = u32::MAX), true),
            (
                spoiled(&|header| header.key = other.public().key_id()),
                true,
            ),
            (one("a", &honest, 1, true), false),
            (one("a", &honest, 1, false), true),
        ];
        for (at, (case, good)) in cases.into_iter().enumerate() {
            assert_eq!(case.holds(), good, "{at} alone");
            let mut lot: Vec<One> = (2..9).map(|at| one("b", &honest, at, false)).collect();
            lot.push(case);
            assert_eq!(together(lot).1.is_empty(), good, "{at} together");
        }
    }

    #[test]
    fn liars_without_end_are_not_remembered_without_end() {
        let liar = key("liar");
        let mut inside = Inside::default();
        for at in 0..SUSPECT_COUNT_MAX + 10 {
            inside.learn(&[], &[one(&format!("liar-{at}"), &liar, 0, true)]);
        }
        assert_eq!(inside.suspects.len(), SUSPECT_COUNT_MAX);
    }

    #[test]
    fn in_a_simulation_everything_is_checked_where_it_is_asked() {
        use futures::FutureExt as _;
        let signatures = Signatures::new(Work::Inline);
        let key = key("one");
        let (header, mut signature) = signed(&key, 1);
        let mut verify = |flip: u8| {
            signature.0[0] ^= flip;
            let asked = (&key.public(), &header[..], &signature);
            let verified = signatures.verify(Holder::new("a"), asked);
            verified.now_or_never().expect("at once").is_ok()
        };
        assert!(verify(0));
        assert!(!verify(1));
    }
}
