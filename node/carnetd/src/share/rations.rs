//! How often this country asks another for evidence, shared by those for whom it asks. Pure.
//!
//! A peer answers a whole country so many inquiries a second, at whichever of its nodes: so many have all nodes here together. The
//! leader counts them for all (`gateway::lent`); a node that does not reach one has its part of them. Authorities have a half which
//! nobody else can use up; the peer counts the halves apart as well. Of either, one holder has its own rate for sure, and what
//! nobody else asks for: whoever asks for more than that waits, and others do not.

use std::collections::BTreeMap;
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use carnet_peering::bucket::Bucket;
use carnet_peering::inquirer::AskedFor;
use carnet_peering::server::{INQUIRIES_PER_SECOND, INQUIRY_BURST};

use super::holder::Holder;
use super::rates::{HOLDER_COUNT_MAX, Rate, Rates};

/// Inquiries of this country to one peer for authorities, and as many for all others: a little less than the peer answers, whose
/// clock is another.
pub const INQUIRY_RATE: Rate = Rate {
    per_second: 24,
    burst: 96,
};
/// Of those for authorities, inquiries that one holder has for sure.
pub const AUTHORITY_INQUIRY_RATE: Rate = Rate {
    per_second: 8,
    burst: 32,
};
/// Of those for others, inquiries that one holder has for sure.
pub const HOLDER_INQUIRY_RATE: Rate = Rate {
    per_second: 5,
    burst: 20,
};
/// What of the burst only those have who are within their own rate: one in so many.
const FOR_SURE: u32 = 2;

const _: () = assert!(INQUIRY_RATE.per_second < INQUIRIES_PER_SECOND);
const _: () = assert!(INQUIRY_RATE.burst < INQUIRY_BURST);
const _: () = assert!(2 * AUTHORITY_INQUIRY_RATE.per_second < INQUIRY_RATE.per_second);

/// Who has a verdict made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Whose share its reads and inquiries are.
    pub holder: Holder,
    /// What it is.
    pub asked_for: AskedFor,
}

/// What each has used of this node's part.
#[derive(Debug)]
pub struct Rations {
    nodes: u32,
    authorities: Half,
    others: Half,
}

impl Default for Rations {
    fn default() -> Self {
        Self::of_nodes(1)
    }
}

impl Rations {
    fn of_nodes(nodes: u32) -> Self {
        Self {
            nodes,
            authorities: Half::of_nodes(nodes, AUTHORITY_INQUIRY_RATE),
            others: Half::of_nodes(nodes, HOLDER_INQUIRY_RATE),
        }
    }

    /// Takes one inquiry to a peer, which is one that is known: there are only so many. So many nodes of this country ask.
    ///
    /// # Errors
    /// After how long there may be one.
    pub fn take(
        &mut self,
        nodes: usize,
        peer: Prefix,
        asker: &Asker,
        now: Duration,
    ) -> Result<(), Duration> {
        let nodes = u32::try_from(nodes.max(1)).unwrap_or(u32::MAX);
        if nodes != self.nodes {
            *self = Self::of_nodes(nodes);
        }
        let half = match asker.asked_for {
            AskedFor::Authority => &mut self.authorities,
            AskedFor::Others => &mut self.others,
        };
        half.take(nodes, peer, &asker.holder, now)
    }
}

#[derive(Debug)]
struct Half {
    all: BTreeMap<Prefix, Bucket>,
    each: Rates<(Prefix, Holder)>,
}

impl Half {
    fn of_nodes(nodes: u32, each: Rate) -> Self {
        Self {
            all: BTreeMap::new(),
            each: Rates::part_of(nodes, each, HOLDER_COUNT_MAX),
        }
    }

    fn take(
        &mut self,
        nodes: u32,
        peer: Prefix,
        holder: &Holder,
        now: Duration,
    ) -> Result<(), Duration> {
        let Rate { per_second, burst } = INQUIRY_RATE;
        let full = || Bucket::part_of(nodes, burst, per_second, now);
        let all = self.all.entry(peer).or_insert_with(full);
        match self.each.take(&(peer, holder.clone()), now) {
            Ok(()) => all.take(now),
            // Over its own it has what nobody else uses, and never what those need who are within theirs.
            Err(wait) => {
                let left = burst / nodes.max(1) / FOR_SURE;
                all.take_above(left, now).map_err(|lent| lent.min(wait))
            }
        }
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
        taken_of(rations, 1, peer, asker, count, now_s)
    }

    fn taken_of(
        rations: &mut Rations,
        nodes: usize,
        peer: &str,
        asker: &Asker,
        count: usize,
        now_s: u64,
    ) -> usize {
        let peer = Prefix::parse(peer).expect("a prefix");
        let now = Duration::from_secs(now_s);
        (0..count)
            .filter(|_| rations.take(nodes, peer, asker, now).is_ok())
            .count()
    }

    #[test]
    fn strangers_use_up_their_own_part_and_authorities_ask_on() {
        let mut rations = Rations::default();
        let customs = asker("customs", AskedFor::Authority);
        let greedy = asker("greedy", AskedFor::Others);
        // Its own 20, and of the others' while they ask for nothing; a half of the burst is left to them.
        assert_eq!(taken(&mut rations, "44", &greedy, 1_000, 0), 48);
        let other = asker("other", AskedFor::Others);
        assert_eq!(taken(&mut rations, "44", &other, 10, 0), 10);
        let strangers = (0..100).map(|name| asker(&name.to_string(), AskedFor::Others));
        let all: usize = strangers
            .map(|stranger| taken(&mut rations, "44", &stranger, 1_000, 0))
            .sum();
        assert_eq!(all, 38);
        assert_eq!(taken(&mut rations, "44", &customs, 1_000, 0), 48);
        // Another peer is another matter, and a second later there is more.
        assert_eq!(taken(&mut rations, "49", &other, 10, 0), 10);
        assert_eq!(taken(&mut rations, "44", &customs, 1_000, 1), 24);
        assert_eq!(taken(&mut rations, "44", &greedy, 1_000, 1), 5);
    }

    /// A truck of 200 had a third of what nobody else asked for, and of that the part of one node in five.
    #[test]
    fn whoever_asks_alone_has_all_that_a_peer_answers() {
        let mut rations = Rations::default();
        let customs = asker("customs", AskedFor::Authority);
        let mut asked = 0;
        for second in 0..8 {
            asked += taken(&mut rations, "44", &customs, 200 - asked, second);
        }
        assert_eq!(asked, 200);
        // Another desk that comes meanwhile has its own at once.
        let other = asker("other", AskedFor::Authority);
        assert_eq!(taken(&mut rations, "44", &customs, 200, 8), 40);
        assert_eq!(taken(&mut rations, "44", &other, 32, 8), 32);
    }

    /// Two desks that verify without end used up what a third needed.
    #[test]
    fn no_authority_uses_up_the_part_of_another() {
        let mut rations = Rations::default();
        let desks = ["first", "second"].map(|name| asker(name, AskedFor::Authority));
        let third = asker("third", AskedFor::Authority);
        // All that there was at once is gone.
        let burst = (0..99).map(|name| asker(&name.to_string(), AskedFor::Authority));
        let burst: usize = burst
            .map(|desk| taken(&mut rations, "44", &desk, 99, 0))
            .sum();
        assert_eq!(burst, 96);
        for second in 1..60 {
            let greedy: usize = desks
                .iter()
                .map(|desk| taken(&mut rations, "44", desk, 99, second))
                .sum();
            assert!(greedy <= 24, "{greedy}");
            let third = taken(&mut rations, "44", &third, 1, second);
            // At the first moment each has what it may have at once.
            assert!(third == 1 || second < 3, "second {second}");
        }
    }

    /// The nodes of a country together ask no more than a peer answers it, however many they are and whoever asks at all of them.
    #[test]
    fn all_nodes_together_ask_no_more_than_is_answered() {
        for nodes in [1_usize, 3, 5, 9] {
            let mut all: Vec<Rations> = (0..nodes).map(|_| Rations::default()).collect();
            let mut asked = [0, 0];
            for second in 0..100 {
                for (half, class) in [AskedFor::Authority, AskedFor::Others].iter().enumerate() {
                    for rations in &mut all {
                        for name in 0..30 {
                            let asker = asker(&format!("{name}"), *class);
                            asked[half] += taken_of(rations, nodes, "44", &asker, 30, second);
                        }
                    }
                }
            }
            for half in asked {
                let most = INQUIRY_BURST / 2 + INQUIRIES_PER_SECOND / 2 * 100;
                assert!(half <= most as usize, "{half} of {most} by {nodes}");
                assert!(half > most as usize * 4 / 5, "{half} of {most} by {nodes}");
            }
        }
    }
}
