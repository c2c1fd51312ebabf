//! What waits for the log, by whose it is. Pure.
//!
//! What the node itself needs so that the log goes on (seals, publications, log time) is first and has room of its own. Mail
//! of peers and requests of callers take turns by what they cost, and within each whoever had the least so far is next; a
//! caller's part of the room is at most half of what is free. What a proposal costs is the time that the machine took for
//! it, where that is told, and is expected of the next one of the same holder.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::pool::{NoShare, Pool, PoolLimits};
use crate::turns::{REMEMBERED_MAX, Turns};

/// On whose behalf something is proposed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behalf {
    /// The node's own: without it the log stands still.
    Own,
    /// A peer's, by its name.
    Peer(Arc<str>),
    /// A caller's, by the name that its certificate proved.
    Caller(Arc<str>),
}

/// What is expected of the first proposal of a holder, in microseconds.
const MICROS_MIN: u64 = 20;
/// A command takes no less for so many of its bytes than a microsecond: 256 KiB of them are expected to take 64 ms.
const BYTES_A_MICRO: usize = 4;

/// The queue. `T` is what waits.
pub(crate) struct Queue<T> {
    own: VecDeque<Waiting<T>>,
    mail: Turns<Behalf, Waiting<T>>,
    calls: Turns<Behalf, Waiting<T>>,
    /// What mail and calls had; the one with less is next.
    had: [u64; 2],
    /// KiB that wait or are under way: of the node itself, of mail, and of callers.
    rooms: [Pool<Behalf>; 3],
    costs: BTreeMap<Behalf, u64>,
}

struct Waiting<T> {
    size: usize,
    item: T,
}

/// What is next: its size, and how long it is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) size: usize,
    pub(crate) micros: u64,
}

/// What was taken from the queue. It keeps its room until it is done.
pub(crate) struct Taken<T> {
    behalf: Behalf,
    size: usize,
    /// What it was counted for.
    micros: u64,
    pub(crate) item: T,
}

/// KiB of a proposal, at least one.
fn kib(size: usize) -> u64 {
    size.div_ceil(1024).max(1) as u64
}

impl<T> Queue<T> {
    /// With room for so many KiB of the node's own, as many of mail, and as many of callers.
    pub(crate) fn new(kib_max: u64) -> Self {
        let room = || {
            Pool::new(PoolLimits {
                total: kib_max,
                each: kib_max,
            })
        };
        Self {
            own: VecDeque::new(),
            mail: Turns::default(),
            calls: Turns::default(),
            had: [0, 0],
            rooms: [room(), room(), room()],
            costs: BTreeMap::new(),
        }
    }

    fn room(&mut self, behalf: &Behalf) -> &mut Pool<Behalf> {
        let [own, mail, calls] = &mut self.rooms;
        match behalf {
            Behalf::Own => own,
            Behalf::Peer(_) => mail,
            Behalf::Caller(_) => calls,
        }
    }

    /// Something more waits.
    ///
    /// # Errors
    /// Its holder has its part of the room, or all of it is taken.
    pub(crate) fn push(&mut self, behalf: Behalf, size: usize, item: T) -> Result<(), NoShare> {
        match behalf {
            // It needs to be shared with nobody.
            Behalf::Own if self.rooms[0].used() + kib(size) <= self.rooms[0].limits().total => {
                self.rooms[0].charge(&behalf, kib(size));
            }
            Behalf::Own => return Err(NoShare),
            Behalf::Peer(_) | Behalf::Caller(_) => self.room(&behalf).take(&behalf, kib(size))?,
        }
        let waiting = Waiting { size, item };
        match &behalf {
            Behalf::Own => self.own.push_back(waiting),
            Behalf::Peer(_) => self.mail.push(&behalf, waiting),
            Behalf::Caller(_) => self.calls.push(&behalf, waiting),
        }
        Ok(())
    }

    /// What [`Self::take`] would give.
    pub(crate) fn next(&self) -> Option<Next> {
        let (behalf, waiting) = match self.own.front() {
            Some(own) => (&Behalf::Own, own),
            None if self.mail_is_next() => self.mail.peek()?,
            None => self.calls.peek()?,
        };
        Some(Next {
            size: waiting.size,
            micros: self.expected(behalf, waiting.size),
        })
    }

    /// Takes the next.
    pub(crate) fn take(&mut self) -> Option<Taken<T>> {
        let micros = self.next()?.micros;
        let (behalf, waiting) = match self.own.pop_front() {
            Some(own) => (Behalf::Own, own),
            None => {
                let both = self.mail.waiting() > 0 && self.calls.waiting() > 0;
                let [mail, calls] = &mut self.had;
                let (turns, had, other) =
                    match self.mail.waiting() > 0 && (!both || *mail <= *calls) {
                        true => (&mut self.mail, mail, calls),
                        false => (&mut self.calls, calls, mail),
                    };
                if !both {
                    // Nobody saves up by staying away. What this one is counted for may be given back.
                    *other = (*other).max(*had);
                }
                // saturates: after 2^64 of a cost the two are equal.
                *had = had.saturating_add(micros);
                turns.pop(|_| micros)?
            }
        };
        Some(Taken {
            behalf,
            size: waiting.size,
            micros,
            item: waiting.item,
        })
    }

    fn mail_is_next(&self) -> bool {
        let [mail, calls] = self.had;
        self.mail.waiting() > 0 && (self.calls.waiting() == 0 || mail <= calls)
    }

    /// Lets go of what is next for as long as it is dead. Nobody is counted for that.
    pub(crate) fn skip(&mut self, dead: impl Fn(&T) -> bool) {
        loop {
            let next = match self.own.front() {
                Some(own) => Some(own),
                None if self.mail_is_next() => self.mail.peek().map(|(_, waiting)| waiting),
                None => self.calls.peek().map(|(_, waiting)| waiting),
            };
            if !next.is_some_and(|waiting| dead(&waiting.item)) {
                return;
            }
            if let Some(taken) = self.take() {
                self.undone(&taken);
            }
        }
    }

    /// Nothing was done of what was taken: its room is free, and what it was counted for is given back.
    pub(crate) fn undone(&mut self, taken: &Taken<T>) {
        self.room(&taken.behalf)
            .give_back(&taken.behalf, kib(taken.size));
        self.refund(&taken.behalf, taken.micros);
    }

    fn refund(&mut self, behalf: &Behalf, micros: u64) {
        let place = match behalf {
            Behalf::Own => return,
            Behalf::Peer(_) => {
                self.mail.refund(behalf, micros);
                0
            }
            Behalf::Caller(_) => {
                self.calls.refund(behalf, micros);
                1
            }
        };
        // saturates: no more is given back than was counted.
        self.had[place] = self.had[place].saturating_sub(micros);
    }

    /// What was taken is done, and took so long, if that is known: its room is free, its holder is charged or given back what it
    /// took more or less than was expected, and as much is expected of its next.
    pub(crate) fn done(&mut self, taken: &Taken<T>, micros: Option<u64>) {
        self.room(&taken.behalf)
            .give_back(&taken.behalf, kib(taken.size));
        let Some(micros) = micros else {
            return;
        };
        if let Some(more) = micros.checked_sub(taken.micros) {
            match &taken.behalf {
                Behalf::Own => {}
                Behalf::Peer(_) => self.mail.charge(&taken.behalf, more),
                Behalf::Caller(_) => self.calls.charge(&taken.behalf, more),
            }
            let place = usize::from(matches!(taken.behalf, Behalf::Caller(_)));
            if taken.behalf != Behalf::Own {
                // saturates: as in `take`.
                self.had[place] = self.had[place].saturating_add(more);
            }
        } else {
            self.refund(&taken.behalf, taken.micros - micros);
        }
        if self.costs.len() >= REMEMBERED_MAX && !self.costs.contains_key(&taken.behalf) {
            self.costs.clear();
        }
        let expected = self.costs.entry(taken.behalf.clone()).or_insert(0);
        // The dearest lately: one that was cheap for long and dear once is dear for a while.
        *expected = micros.max(*expected / 8 * 7);
    }

    fn expected(&self, behalf: &Behalf, size: usize) -> u64 {
        let by_size = (size / BYTES_A_MICRO) as u64;
        let known = self.costs.get(behalf).copied().unwrap_or(0);
        known.max(by_size).max(MICROS_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn caller(name: &str) -> Behalf {
        Behalf::Caller(name.into())
    }

    fn peer(name: &str) -> Behalf {
        Behalf::Peer(name.into())
    }

    fn pushed(queue: &mut Queue<String>, behalf: &Behalf, size: usize, count: usize) -> usize {
        let name = match behalf {
            Behalf::Own => "own",
            Behalf::Peer(name) | Behalf::Caller(name) => name,
        };
        (0..count)
            .filter(|_| queue.push(behalf.clone(), size, name.to_owned()).is_ok())
            .count()
    }

    /// Takes so many, each of which takes so long; whose they were.
    fn taken(queue: &mut Queue<String>, count: usize, micros: impl Fn(&str) -> u64) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            let Some(taken) = queue.take() else {
                break;
            };
            queue.done(&taken, Some(micros(&taken.item)));
            names.push(taken.item);
        }
        names
    }

    fn count_of(names: &[String], name: &str) -> usize {
        names.iter().filter(|found| *found == name).count()
    }

    #[test]
    fn what_the_node_needs_is_first_and_finds_room_whoever_has_filled_the_rest() {
        let mut queue = Queue::new(64 * 1024);
        // Two hundred and fifty-six requests of 256 KiB by one certificate: half of what there is.
        assert_eq!(pushed(&mut queue, &caller("flood"), 256 * KIB, 1_000), 128);
        // Everybody else finds something still.
        assert_eq!(pushed(&mut queue, &caller("other"), KIB, 1), 1);
        assert_eq!(pushed(&mut queue, &peer("44"), 256 * KIB, 1), 1);
        assert_eq!(pushed(&mut queue, &Behalf::Own, KIB, 1), 1);
        let names = taken(&mut queue, 4, |_| 1_000);
        assert_eq!(names, ["own", "44", "flood", "other"]);
    }

    #[test]
    fn a_caller_behind_the_flood_of_another_is_next_and_what_is_done_is_free() {
        let mut queue = Queue::new(1_024);
        assert_eq!(pushed(&mut queue, &caller("flood"), KIB, 9_999), 512);
        taken(&mut queue, 10, |_| 100);
        pushed(&mut queue, &caller("other"), KIB, 3);
        let names = taken(&mut queue, 4, |_| 100);
        assert_eq!(count_of(&names, "other"), 2, "{names:?}");
        taken(&mut queue, 9_999, |_| 100);
        assert_eq!(pushed(&mut queue, &caller("flood"), KIB, 9_999), 512);
    }

    #[test]
    fn time_is_shared_and_not_the_number_of_requests() {
        let mut queue = Queue::new(1 << 20);
        pushed(&mut queue, &caller("dear"), KIB, 1_000);
        pushed(&mut queue, &caller("cheap"), KIB, 10_000);
        let micros = |name: &str| match name {
            "dear" => 250_000,
            _ => 256,
        };
        let names = taken(&mut queue, 2_000, micros);
        assert_eq!(
            count_of(&names, "dear"),
            3,
            "one of a quarter second in a thousand"
        );
    }

    #[test]
    fn what_was_dear_is_expected_to_be_dear_so_that_a_batch_is_short() {
        let mut queue = Queue::new(1 << 20);
        pushed(&mut queue, &caller("a"), KIB, 100);
        assert_eq!(queue.next().map(|next| next.micros), Some(256));
        taken(&mut queue, 1, |_| 200_000);
        assert_eq!(queue.next().map(|next| next.micros), Some(200_000));
        taken(&mut queue, 60, |_| 300);
        assert!(queue.next().is_some_and(|next| next.micros < 400));
        // What nobody measured is not learned from.
        let unmeasured = queue.take().expect("there are more");
        queue.done(&unmeasured, None);
        assert!(queue.next().is_some_and(|next| next.micros < 400));
    }

    #[test]
    fn mail_has_half_of_the_log_however_many_call() {
        let mut queue = Queue::new(1 << 20);
        for name in 0..50 {
            pushed(&mut queue, &caller(&format!("caller {name}")), KIB, 100);
        }
        pushed(&mut queue, &peer("44"), KIB, 100);
        pushed(&mut queue, &peer("49"), KIB, 100);
        let names = taken(&mut queue, 100, |_| 256);
        assert_eq!(count_of(&names, "44"), 25);
        assert_eq!(count_of(&names, "49"), 25);
        // Nor do those who call wait for mail, however much there is of it.
        let mut queue = Queue::new(1 << 20);
        pushed(&mut queue, &peer("44"), 256 * KIB, 100);
        taken(&mut queue, 10, |_| 64 * 1_024);
        pushed(&mut queue, &caller("a"), KIB, 10);
        let names = taken(&mut queue, 11, |_| 256);
        assert_eq!(count_of(&names, "a"), 10, "{names:?}");
    }

    /// Whoever is dear and whose proposals die while they wait is served its part all the same: nothing was done for the dead.
    #[test]
    fn what_died_while_it_waited_costs_nothing() {
        let mut queue = Queue::new(1 << 20);
        let (dear, dead) = (caller("dear"), "dead");
        pushed(&mut queue, &dear, KIB, 1);
        taken(&mut queue, 1, |_| 250_000);
        let mut served = Vec::new();
        for _ in 0..200 {
            pushed(&mut queue, &caller("cheap"), KIB, 20);
            for _ in 0..20 {
                assert!(queue.push(dear.clone(), KIB, dead.to_owned()).is_ok());
            }
            pushed(&mut queue, &dear, KIB, 3);
            for _ in 0..20 {
                queue.skip(|item| item == dead);
                served.extend(taken(&mut queue, 1, |name| match name {
                    "dear" => 2_560,
                    _ => 256,
                }));
            }
        }
        // Its first took a quarter of a second, which is a thousand of the others; since then it has ten times as long as they, and a
        // tenth as many.
        let last = &served[3_000..];
        let count = count_of(last, "dear");
        assert!((80..=100).contains(&count), "{count} of {}", last.len());
        assert_eq!(count_of(&served, dead), 0);
        // Nor do dead requests of callers count in favour of mail.
        let mut queue = Queue::new(1 << 20);
        for _ in 0..100 {
            assert!(queue.push(dear.clone(), 256 * KIB, dead.to_owned()).is_ok());
        }
        pushed(&mut queue, &caller("a"), KIB, 100);
        pushed(&mut queue, &peer("44"), KIB, 100);
        let mut names = Vec::new();
        for _ in 0..100 {
            queue.skip(|item| item == dead);
            names.extend(taken(&mut queue, 1, |_| 256));
        }
        assert_eq!(count_of(&names, "a"), 50, "{names:?}");
    }

    /// What was expected is a reservation: whoever took less has the rest back, and what nobody did, all of it.
    #[test]
    fn what_was_expected_is_settled_both_ways() {
        let mut queue = Queue::new(1 << 20);
        pushed(&mut queue, &caller("a"), KIB, 1);
        taken(&mut queue, 1, |_| 100_000);
        pushed(&mut queue, &caller("a"), KIB, 100);
        pushed(&mut queue, &caller("b"), KIB, 1_000);
        let names = taken(&mut queue, 1_000, |_| 256);
        // Its debt of a tenth of a second is four hundred of the other's; then both have one each.
        let count = count_of(&names, "a");
        assert!(count >= 90, "{count}");
        let mut queue = Queue::new(1 << 20);
        pushed(&mut queue, &caller("a"), 256 * KIB, 100);
        pushed(&mut queue, &caller("b"), KIB, 100);
        for _ in 0..50 {
            let refused = queue.take().expect("one that is handed over and refused");
            queue.undone(&refused);
        }
        let names = taken(&mut queue, 101, |_| 256);
        assert!(count_of(&names, "a") >= 1 && count_of(&names, "b") >= 50);
    }

    #[test]
    fn nothing_of_the_room_is_lost() {
        let mut queue = Queue::new(100);
        for behalf in [Behalf::Own, peer("44"), caller("a")] {
            let first = pushed(&mut queue, &behalf, KIB, 1_000);
            assert!(first >= 50, "{behalf:?}: {first}");
            while let Some(taken) = queue.take() {
                queue.done(&taken, None);
            }
            assert_eq!(pushed(&mut queue, &behalf, KIB, 1_000), first, "{behalf:?}");
            while let Some(taken) = queue.take() {
                queue.done(&taken, None);
            }
        }
    }
}
