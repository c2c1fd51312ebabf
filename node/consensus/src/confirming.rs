//! Whom the voters follow, asked anew for every read: what makes a leader's word about its log the cluster's.
//!
//! A leader that stood still and wakes cannot tell from old answers that it still leads: an acknowledgement that was on its
//! way before it stopped and is read after it says nothing of what the voters did in between. So a round counts only answers
//! to questions that were sent after it had begun. A voter that has promised its vote to a later leader says so, and any
//! majority that answers has a voter in common with the one that made a later leader's records last.
//!
//! One question a voter is under way at a time, whatever the number of rounds; it answers every round that had begun when
//! it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_domain::machine::entry::Voters;
use carnet_store::log::Vote;
use tokio::sync::watch;

use crate::codec::Body as _;
use crate::connector::Purpose;
use crate::member::Member;
use crate::network::{CallError, Peers};

/// How long a voter has for its answer. A round in which too few answered ends, and the reader asks again.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmed {
    /// A majority of the voters follows this vote, after the round began.
    Followed,
    /// A voter follows a later one.
    Superseded,
    /// Too few answered.
    NoQuorum,
}

/// What a voter last said, and what is asked of it.
#[derive(Debug, Clone, Default)]
struct Voter {
    /// As the newest round knows it: it may have moved, or another have come in its place.
    member: Member,
    /// A question is under way.
    asking: bool,
    /// The newest round that wants its word.
    wanted: u64,
    /// The newest round that its last word is good for.
    answered: u64,
    /// Its last word; `None`: no answer came.
    follows: Option<Vote>,
}

#[derive(Default)]
struct Inner {
    round: u64,
    voters: BTreeMap<u64, Voter>,
}

/// The rounds of one node.
pub(crate) struct Confirming {
    peers: Arc<Peers>,
    inner: Mutex<Inner>,
    /// Counts the answers.
    answers: watch::Sender<u64>,
}

impl Confirming {
    pub(crate) fn new(peers: Arc<Peers>) -> Arc<Confirming> {
        Arc::new(Confirming {
            peers,
            inner: Mutex::default(),
            answers: watch::Sender::new(0),
        })
    }

    /// Asks the voters of every configuration whom they follow, now. `own` is this node's vote, read after the caller was
    /// asked; `voters` are those of the configurations in force, and `members` their nodes.
    pub(crate) async fn round(
        self: &Arc<Self>,
        own: Vote,
        voters: &Voters,
        members: &BTreeMap<u64, Member>,
    ) -> Confirmed {
        let mut answers = self.answers.subscribe();
        let round = self.begin(members);
        loop {
            answers.borrow_and_update();
            if let Some(confirmed) = self.lock().judged(round, self.peers.node, own, voters) {
                return confirmed;
            }
            if answers.changed().await.is_err() {
                return Confirmed::NoQuorum;
            }
        }
    }

    fn begin(self: &Arc<Self>, members: &BTreeMap<u64, Member>) -> u64 {
        let mut inner = self.lock();
        inner.round = inner.round.wrapping_add(1);
        let round = inner.round;
        // Who is no member is asked nothing more.
        inner
            .voters
            .retain(|node, voter| voter.asking || members.contains_key(node));
        for (node, member) in members {
            if *node == self.peers.node {
                continue;
            }
            let voter = inner.voters.entry(*node).or_default();
            if voter.member != *member {
                voter.member = member.clone();
            }
            voter.wanted = round;
            if !voter.asking {
                voter.asking = true;
                tokio::spawn(Arc::clone(self).ask(*node));
            }
        }
        round
    }

    /// Asks one voter until no round waits for its word.
    async fn ask(self: Arc<Self>, node: u64) {
        loop {
            // Nobody has said no who was not asked: a beat that was missed, or came late on a machine that is busy, is
            // no answer.
            tokio::time::sleep(self.peers.paces.until_beat(node)).await;
            let (round, member) = {
                let mut inner = self.lock();
                let voter = inner.voters.entry(node).or_default();
                if voter.wanted == voter.answered {
                    voter.asking = false;
                    return;
                }
                (voter.wanted, voter.member.clone())
            };
            let mut answer = Answer {
                of: &self,
                node,
                round,
                follows: None,
                comes: false,
            };
            answer.follows = self.asked(node, &member).await;
            answer.comes = true;
        }
    }

    async fn asked(&self, node: u64, member: &Member) -> Option<Vote> {
        let envelope = self.peers.envelope(node, member.store, Bytes::new());
        let asked = self.peers.call(
            node,
            member,
            Purpose::Control,
            ANSWER_WAIT,
            |mut client| async move { client.follows(envelope).await },
        );
        match asked.await {
            Ok(body) => Vote::from_body(body).ok(),
            Err(error) => {
                if matches!(error, CallError::Unreachable(_)) {
                    self.peers.paces.missed(node);
                }
                None
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A voter's answer to a round, written down when it is there, and as none where whoever waits for it ends in the middle: the next
/// round asks again.
struct Answer<'a> {
    of: &'a Confirming,
    node: u64,
    round: u64,
    follows: Option<Vote>,
    comes: bool,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        {
            let mut inner = self.of.lock();
            let voter = inner.voters.entry(self.node).or_default();
            voter.answered = self.round;
            voter.follows = self.follows;
            voter.asking &= self.comes;
        }
        self.of
            .answers
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Inner {
    /// What the answers to this round say; `None`: wait for more.
    fn judged(&self, round: u64, me: u64, own: Vote, voters: &Voters) -> Option<Confirmed> {
        let leads = (own.term, own.node);
        let said = |node: u64| {
            let voter = self.voters.get(&node)?;
            (voter.answered >= round).then_some(voter.follows)
        };
        let all: BTreeSet<u64> = voters.0.iter().flatten().copied().collect();
        let later = |vote: Vote| (vote.term, vote.node) > leads;
        if all
            .iter()
            .any(|node| said(*node).flatten().is_some_and(later))
        {
            return Some(Confirmed::Superseded);
        }
        let follow = |node: u64| {
            let same = |vote: Vote| (vote.term, vote.node) == leads;
            node == me || said(node).flatten().is_some_and(same)
        };
        let following = all.iter().copied().filter(|node| follow(*node)).collect();
        if voters.have_quorum(&following) {
            return Some(Confirmed::Followed);
        }
        let may_follow = |node: &u64| follow(*node) || said(*node).is_none();
        let hoped = all.iter().copied().filter(may_follow).collect();
        (!voters.have_quorum(&hoped)).then_some(Confirmed::NoQuorum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Vote = Vote {
        term: 5,
        node: 1,
        committed: true,
    };

    fn follows(term: u64, node: u64) -> Option<Vote> {
        Some(Vote {
            term,
            node,
            committed: false,
        })
    }

    /// Of node 1 in its round 7, where others said this, each for a round.
    fn judged(said: &[(u64, u64, Option<Vote>)], configs: &[&[u64]]) -> Option<Confirmed> {
        let mut inner = Inner::default();
        for (node, answered, follows) in said {
            let voter = Voter {
                answered: *answered,
                follows: *follows,
                ..Voter::default()
            };
            inner.voters.insert(*node, voter);
        }
        let sets = configs.iter().map(|set| set.iter().copied().collect());
        inner.judged(7, 1, OWN, &Voters(sets.collect()))
    }

    #[test]
    fn only_a_majority_that_was_asked_after_the_read_began_confirms() {
        use Confirmed::{Followed, NoQuorum, Superseded};
        let three: &[&[u64]] = &[&[1, 2, 3]];
        let joint: &[&[u64]] = &[&[1, 2, 3], &[1, 4, 5]];
        for (said, configs, expected) in [
            (&[][..], &[&[1][..]][..], Some(Followed)),
            (&[], three, None),
            (&[(2, 7, follows(5, 1))], three, Some(Followed)),
            (&[(2, 9, follows(5, 1))], three, Some(Followed)),
            // Of before this read: it says nothing.
            (&[(2, 6, follows(5, 1)), (3, 6, follows(5, 1))], three, None),
            (
                &[(2, 6, follows(6, 2)), (3, 7, follows(5, 1))],
                three,
                Some(Followed),
            ),
            (&[(2, 7, None)], three, None),
            (&[(2, 7, None), (3, 7, None)], three, Some(NoQuorum)),
            (
                &[(2, 7, None), (3, 7, follows(4, 3))],
                three,
                Some(NoQuorum),
            ),
            // Whoever promised its vote to a later leader follows that one, of the same term too.
            (&[(2, 7, follows(6, 3))], three, Some(Superseded)),
            (
                &[(2, 7, follows(5, 1)), (3, 7, follows(5, 2))],
                three,
                Some(Superseded),
            ),
            // No voter: its word counts for nothing.
            (&[(9, 7, follows(5, 1))], three, None),
            (
                &[(9, 7, follows(6, 9)), (2, 7, follows(5, 1))],
                three,
                Some(Followed),
            ),
            // Both configurations, while there are two.
            (&[(2, 7, follows(5, 1))], joint, None),
            (
                &[(2, 7, follows(5, 1)), (4, 7, follows(5, 1))],
                joint,
                Some(Followed),
            ),
            (
                &[(4, 7, None), (5, 7, None), (2, 7, follows(5, 1))],
                joint,
                Some(NoQuorum),
            ),
            // One that leads and votes no more counts for nothing either.
            (&[(2, 7, follows(5, 1))], &[&[2, 3]], None),
            (
                &[(2, 7, follows(5, 1)), (3, 7, follows(5, 1))],
                &[&[2, 3]],
                Some(Followed),
            ),
            (&[], &[], Some(NoQuorum)),
        ] {
            assert_eq!(judged(said, configs), expected, "{said:?} of {configs:?}");
        }
    }
}
