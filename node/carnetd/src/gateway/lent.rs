//! Whether a peer is asked now: counted where all nodes of this country are, at its leader, so that a desk has what the country has
//! and not the part of the node that it happens to be served by. A node that does not reach a leader counts its own part.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::{Forwarded, Role};
use carnet_domain::bytes::code::Prefix;
use carnet_peering::inquirer::AskedFor;

use crate::node::Node;
use crate::share::rations::Rations;
use crate::share::{Asker, Holder};

/// What is passed on to the leader is a question of this room, and no proposal.
pub(super) const QUESTION: &[u8] = b"may-ask/1";
/// How long the leader may take to say whether there is one.
const LEADER_PATIENCE: Duration = Duration::from_millis(500);

/// Inquiries to peers, as this node counts them.
#[derive(Debug, Default)]
pub(super) struct Lent {
    /// Of the whole country, while this node leads.
    whole: Mutex<Rations>,
    /// This node's part, while none is reached that does.
    part: Mutex<Rations>,
}

impl Lent {
    /// Takes one inquiry to a peer for somebody.
    ///
    /// # Errors
    /// After how long there may be one.
    pub(super) async fn take(
        &self,
        node: &Node,
        peer: Prefix,
        asker: &Asker,
    ) -> Result<(), Duration> {
        if node.raft.standing().borrow().role == Role::Leader {
            return self.take_of_all(node, peer, asker);
        }
        let (identity, request) = (Bytes::from_static(QUESTION), question(peer, asker));
        let asked = node.raft.forward(Forwarded { identity, request });
        match tokio::time::timeout(LEADER_PATIENCE, asked).await {
            Ok(Ok(answer)) => waiting(&answer),
            _ => {
                let voters = node.raft.status().voters.len();
                locked(&self.part).take(voters, peer, asker, node.clock.monotonic())
            }
        }
    }

    fn take_of_all(&self, node: &Node, peer: Prefix, asker: &Asker) -> Result<(), Duration> {
        locked(&self.whole).take(1, peer, asker, node.clock.monotonic())
    }

    /// Answers another node of this country, if the bytes are a question.
    pub(super) fn answer(&self, node: &Node, request: &[u8]) -> Option<Bytes> {
        let (peer, asker) = asked(request)?;
        let wait = match self.take_of_all(node, peer, &asker) {
            Ok(()) => 0,
            // Never nothing: that would be a yes.
            Err(wait) => u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1),
        };
        Some(Bytes::copy_from_slice(&wait.to_be_bytes()))
    }
}

/// ```text
/// a or o (for an authority or others) ‖ prefix ‖ newline ‖ name of the holder
/// ```
fn question(peer: Prefix, asker: &Asker) -> Bytes {
    let class = match asker.asked_for {
        AskedFor::Authority => 'a',
        AskedFor::Others => 'o',
    };
    Bytes::from(format!("{class}{peer}\n{}", asker.holder))
}

fn asked(request: &[u8]) -> Option<(Prefix, Asker)> {
    let text = std::str::from_utf8(request).ok()?;
    let (head, name) = text.split_once('\n')?;
    let (asked_for, peer) = match head.strip_prefix('a') {
        Some(peer) => (AskedFor::Authority, peer),
        None => (AskedFor::Others, head.strip_prefix('o')?),
    };
    let holder = Holder::new(name);
    let peer = Prefix::parse(peer).ok()?;
    Some((peer, Asker { holder, asked_for }))
}

/// Milliseconds to wait, 0 for none.
fn waiting(answer: &[u8]) -> Result<(), Duration> {
    let ms = answer.try_into().map_or(u64::MAX, u64::from_be_bytes);
    match ms {
        0 => Ok(()),
        // An answer that is none: this node's clock decides when it is asked again.
        u64::MAX => Err(LEADER_PATIENCE),
        ms => Err(Duration::from_millis(ms)),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use carnet_kit::Country;

    use super::*;
    use crate::house::House;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).expect("a prefix")
    }

    fn asker(name: &str, asked_for: AskedFor) -> Asker {
        Asker {
            holder: Holder::new(name),
            asked_for,
        }
    }

    #[test]
    fn a_question_arrives_as_it_was_asked() {
        for asked_for in [AskedFor::Authority, AskedFor::Others] {
            let asker = asker("carnet://86/customs/desk one", asked_for);
            let bytes = question(prefix("49"), &asker);
            assert_eq!(asked(&bytes), Some((prefix("49"), asker)));
        }
        for bad in [&b""[..], b"a49", b"x49\nname", b"a4x\nname", b"\xff\n"] {
            assert_eq!(asked(bad), None, "{bad:?}");
        }
        assert_eq!(waiting(&0_u64.to_be_bytes()), Ok(()));
        let wait = Duration::from_millis(40);
        assert_eq!(waiting(&40_u64.to_be_bytes()), Err(wait));
        assert!(waiting(b"").is_err(), "no answer is no yes");
    }

    /// A node that leads answers the others out of what the country has, by their holders, and its own desks out of the same.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_leader_counts_for_all_nodes() {
        let mut country = Country::with_market("86");
        country.close();
        let house = House::of(&country).await;
        let lent = Lent::default();
        let (peer, here) = (prefix("49"), asker("here", AskedFor::Authority));
        let there = question(peer, &asker("there", AskedFor::Authority));
        let may = |answer: Option<Bytes>| waiting(&answer.expect("a question")).is_ok();
        let mut asked = 0;
        while may(lent.answer(&house.node, &there)) {
            asked += 1;
            assert!(asked < 96, "something is left to the others");
        }
        assert!(asked > 96 / 5, "more than a node's part: {asked}");
        let own = lent.take(&house.node, peer, &here).await;
        assert_eq!(own, Ok(()), "what others took over theirs is not its own");
        assert_eq!(lent.answer(&house.node, b"nothing"), None);
        house.close().await;
    }
}
