//! How often this country asks another for evidence, shared by those for whom it asks. Pure.
//!
//! A peer answers a whole country so many inquiries a second. Authorities have a part of that which nobody else can use up,
//! and of the rest one holder has no more than its own rate: whoever asks too often waits, and others do not.

use std::collections::BTreeMap;
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use carnet_peering::bucket::Bucket;
use carnet_peering::inquirer::AskedFor;

use super::holder::Holder;
use super::rates::{Rate, Rates};

/// Inquiries to one peer for authorities, and as many for all others: together what a peer answers.
pub const INQUIRY_RATE: Rate = Rate {
    per_second: 25,
    burst: 100,
};
/// Of those for others, inquiries for one holder.
pub const HOLDER_INQUIRY_RATE: Rate = Rate {
    per_second: 5,
    burst: 20,
};
/// Holders that are remembered, over all peers.
const HOLDER_COUNT_MAX: usize = 4_096;

/// Who has a verdict made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Whose share its reads and inquiries are.
    pub holder: Holder,
    /// What it is.
    pub asked_for: AskedFor,
}

/// What each has used.
#[derive(Debug)]
pub struct Rations {
    authorities: BTreeMap<Prefix, Bucket>,
    others: BTreeMap<Prefix, Bucket>,
    each: Rates<(Prefix, Holder)>,
}

impl Default for Rations {
    fn default() -> Self {
        Self {
            authorities: BTreeMap::new(),
            others: BTreeMap::new(),
            each: Rates::new(HOLDER_INQUIRY_RATE, HOLDER_COUNT_MAX),
        }
    }
}

impl Rations {
    /// Takes one inquiry to a peer, which is one that is known: there are only so many.
    ///
    /// # Errors
    /// After how long there may be one.
    pub fn take(&mut self, peer: Prefix, asker: &Asker, now: Duration) -> Result<(), Duration> {
        let full = || Bucket::new(INQUIRY_RATE.burst, INQUIRY_RATE.per_second, now);
        let bucket = match asker.asked_for {
            AskedFor::Authority => self.authorities.entry(peer).or_insert_with(full),
            AskedFor::Others => {
                // Its own first: whoever is over it takes nothing from the others.
                self.each.take(&(peer, asker.holder.clone()), now)?;
                self.others.entry(peer).or_insert_with(full)
            }
        };
        bucket.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(name: &str, asked_for: AskedFor) -> Asker {
        Asker {
            holder: Holder::new(name),
            asked_for,
        }
    }

    fn taken(rations: &mut Rations, peer: &str, asker: &Asker, count: usize, now_s: u64) -> usize {
        let peer = Prefix::parse(peer).expect("a prefix");
        let now = Duration::from_secs(now_s);
        (0..count)
            .filter(|_| rations.take(peer, asker, now).is_ok())
            .count()
    }

    #[test]
    fn strangers_use_up_their_own_part_and_authorities_ask_on() {
        let mut rations = Rations::default();
        let customs = asker("customs", AskedFor::Authority);
        let greedy = asker("greedy", AskedFor::Others);
        assert_eq!(taken(&mut rations, "44", &greedy, 1_000, 0), 20);
        // What it has too much of leaves the others theirs.
        let other = asker("other", AskedFor::Others);
        assert_eq!(taken(&mut rations, "44", &other, 10, 0), 10);
        let strangers = (0..100).map(|name| asker(&name.to_string(), AskedFor::Others));
        let all: usize = strangers
            .map(|stranger| taken(&mut rations, "44", &stranger, 1_000, 0))
            .sum();
        assert_eq!(all, 70);
        assert_eq!(taken(&mut rations, "44", &customs, 1_000, 0), 100);
        // Another peer is another matter, and a second later there is more.
        assert_eq!(taken(&mut rations, "49", &other, 10, 0), 10);
        assert_eq!(taken(&mut rations, "44", &customs, 1_000, 1), 25);
        assert_eq!(taken(&mut rations, "44", &greedy, 1_000, 1), 5);
    }
}
