//! What one node saw that a peer's log cannot honestly show, told to all of them: a doubt is entered in the log, so that it survives
//! the node, and every verdict and every pack says it. A node that does not lead passes it on to the one that does.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::{ForwardHandler, Forwarded, PeerNode, ProposeError};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::peer::Peer;
use carnet_domain::rules::rejection::Reason;
use carnet_peering::status::Board;
use carnet_store::records::Records;
use carnet_trust::known::Doubt;
use futures::future::BoxFuture;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::lent::{Lent, QUESTION};
use crate::node::Node;

/// How often doubts are looked for that the log does not have yet.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(2);

/// Begins to enter doubts in the log, and to take those of other nodes while this one leads.
pub(super) fn start(
    node: &Arc<Node>,
    (board, lent): (&Arc<Board>, &Arc<Lent>),
    stop: &CancellationToken,
) {
    let handler = OfOthers(Arc::downgrade(node), Arc::clone(lent));
    node.raft.set_forward_handler(Arc::new(handler));
    let (node, board) = (Arc::clone(node), Arc::clone(board));
    let telling = stop.clone().run_until_cancelled_owned(async move {
        let mut seen = Seen::default();
        let mut every = tokio::time::interval(LOOKED_FOR_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let peers = match Records(node.state.engine()).peers() {
                Ok(peers) => peers,
                Err(error) => {
                    warn!(%error, "peers not known");
                    continue;
                }
            };
            for body in seen.untold(&board, &peers) {
                if let Err(error) = tell(&node, body).await {
                    warn!(%error, "a doubt about a peer is not in the log yet");
                }
            }
        }
    });
    tokio::spawn(telling);
}

/// Under which bundle of each peer a doubt was first seen, and how much of its log was taken in then.
#[derive(Default)]
struct Seen(BTreeMap<Prefix, (u64, u64)>);

impl Seen {
    /// Doubts of this node that the log does not have. One that was seen under an older bundle than the newest is settled.
    fn untold(&mut self, board: &Board, peers: &[Peer]) -> Vec<Body> {
        let mut out = Vec::new();
        for peer in peers {
            let Some(prefix) = peer.bundle.primary() else {
                continue;
            };
            let Some(doubt) = board.of(prefix).and_then(|status| status.doubt) else {
                self.0.remove(&prefix);
                continue;
            };
            let sequence = peer.bundle.sequence;
            let now = (sequence, peer.size_seen);
            let first = *self.0.entry(prefix).or_insert(now);
            // More was taken in since, by whichever node: there was a way from the head of then.
            let goes_on = doubt == Doubt::OtherHistory && first.1 < peer.size_seen;
            if first.0 < sequence || goes_on {
                self.0.remove(&prefix);
                board.settled(prefix);
            } else if peer.doubted < Some(doubt) && !peer.quarantined {
                out.push(Body::Doubt {
                    peer: prefix,
                    sequence,
                    doubt,
                });
            }
        }
        out
    }
}

/// Enters what this node saw of a peer, here or by way of the leader. What fails is tried again with the next look.
///
/// # Errors
/// It is not known to be in the log.
pub(super) async fn tell(node: &Node, body: Body) -> Result<(), ProposeError> {
    let request = Bytes::from(body.to_bytes());
    match node.propose(body).await {
        Ok(_) => Ok(()),
        Err(error) => {
            debug!(%error, "what was seen of a peer is passed on");
            let identity = Bytes::new();
            let passed = node.raft.forward(Forwarded { identity, request }).await;
            passed.map(|_| ())
        }
    }
}

/// What a node may pass on: what it saw of a peer, and where its own audit stands. A head without mail proves itself.
fn is_seen(body: &Body, from: PeerNode) -> bool {
    match body {
        Body::Audit { node, .. } => *node == from.0,
        Body::Doubt { .. } => true,
        // That an item is too large, whoever follows judges by all endpoints.
        Body::Foreign { batch } => batch.items.is_empty() && batch.large.is_none(),
        _ => false,
    }
}

/// Takes what other nodes of this registry saw of peers, tells them whether they may ask one, and does nothing else. The node holds
/// it, so it does not hold the node.
struct OfOthers(Weak<Node>, Arc<Lent>);

impl ForwardHandler for OfOthers {
    fn handle(
        &self,
        from: PeerNode,
        forwarded: Forwarded,
    ) -> BoxFuture<'static, Result<Bytes, ProposeError>> {
        let (node, lent) = (self.0.upgrade(), Arc::clone(&self.1));
        Box::pin(async move {
            let node = node.ok_or(ProposeError::Stopped)?;
            let refused = |text: String| ProposeError::Refused(text);
            if forwarded.identity == QUESTION {
                let answer = lent.answer(&node, &forwarded.request);
                return answer.ok_or_else(|| refused("this is not a question".into()));
            }
            match Body::from_bytes(&forwarded.request) {
                Ok(body) if is_seen(&body, from) => match node.propose(body).await {
                    Ok(committed) => match committed.answer.items.first() {
                        Some(ItemAnswer::Refused { rejection })
                            if rejection.reason == Reason::AuditContradicts =>
                        {
                            Err(refused(rejection.to_string()))
                        }
                        _ => Ok(Bytes::new()),
                    },
                    Err(error) => Err(refused(error.to_string())),
                },
                _ => {
                    warn!(?from, "a node passed on what it did not see of a peer");
                    Err(refused("only what was seen of a peer is passed on".into()))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use carnet_domain::record::ledger::Ledger;
    use carnet_domain::record::peer::LogDoubt;
    use carnet_kit::{Country, befriend};

    use super::*;

    fn peers() -> Vec<Peer> {
        let (mut a, mut b) = (Country::with_market("86"), Country::with_market("49"));
        befriend(&mut a, &mut b);
        let Ok(peers) = b.ledger.peers();
        peers
    }

    /// What one node passes on to another says nothing of items, neither whole nor in short.
    #[test]
    fn only_heads_and_doubts_are_passed_on() {
        let (mut a, mut b) = (Country::with_market("86"), Country::with_market("49"));
        befriend(&mut a, &mut b);
        a.must("maker", a.register(1));
        a.must("maker", a.declare(1, carnet_kit::transfer(1), &b.prefix));
        a.close();
        let mut batch = a.mail(&b.prefix, 0, 0).expect("mail");
        let foreign = |batch: &carnet_domain::machine::entry::MailBatch| Body::Foreign {
            batch: batch.clone(),
        };
        assert!(!is_seen(&foreign(&batch), PeerNode(2)));
        batch.large = batch.items.first().map(|item| item.in_short());
        batch.items.clear();
        assert!(batch.large.is_some());
        assert!(!is_seen(&foreign(&batch), PeerNode(2)));
        batch.large = None;
        assert!(is_seen(&foreign(&batch), PeerNode(2)));
        // Nobody says where the audit of another stands.
        let heads = carnet_domain::record::audited::AuditHeads::default();
        let audit = Body::Audit { node: 2, heads };
        assert!(is_seen(&audit, PeerNode(2)));
        assert!(!is_seen(&audit, PeerNode(3)));
    }

    /// A doubt is told until the log has it, and is over when a newer bundle is stated.
    #[test]
    fn a_doubt_is_told_until_the_log_has_it() {
        let mut peers = peers();
        let prefix = peers[0].bundle.primary().expect("a prefix");
        let (board, mut seen) = (Board::new(), Seen::default());
        let told = |seen: &mut Seen, peers: &[Peer]| seen.untold(&board, peers).len();
        assert_eq!(told(&mut seen, &peers), 0);
        board.doubt(prefix, LogDoubt::RolledBack);
        let [
            Body::Doubt {
                peer,
                sequence,
                doubt,
            },
        ] = &seen.untold(&board, &peers)[..]
        else {
            panic!("one doubt is told");
        };
        let expected = (prefix, peers[0].bundle.sequence, LogDoubt::RolledBack);
        assert_eq!((*peer, *sequence, *doubt), expected);
        assert_eq!(told(&mut seen, &peers), 1, "it is not in the log yet");
        peers[0].doubted = Some(LogDoubt::OtherHistory);
        assert_eq!(told(&mut seen, &peers), 1, "a milder one hides it not");
        peers[0].doubted = Some(LogDoubt::RolledBack);
        assert_eq!(told(&mut seen, &peers), 0);
        // The roots stated a newer bundle: the log doubts it no more, and this node does not begin anew.
        peers[0].doubted = None;
        peers[0].bundle.sequence += 1;
        assert_eq!(told(&mut seen, &peers), 0);
        assert_eq!(board.of(prefix).and_then(|status| status.doubt), None);
        board.doubt(prefix, LogDoubt::OtherHistory);
        assert_eq!(
            told(&mut seen, &peers),
            1,
            "what it shows under that one counts"
        );
        // More of its log was taken in since, by whichever node: there was a way after all.
        peers[0].size_seen += 1;
        assert_eq!(told(&mut seen, &peers), 0);
        assert_eq!(board.of(prefix).and_then(|status| status.doubt), None);
    }
}
