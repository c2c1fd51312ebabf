//! Enters where the chains of this node's audit stand in the log of the registry, while they grow: whoever has the node later can cut
//! them or write them anew, and everybody sees it.
//!
//! A node that does not lead passes it on to the one that does. That the log says otherwise than the disk is an alarm that stays until
//! somebody has looked: see the runbook `audit`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::Forwarded;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::audited::{AuditAnchors, AuditHeads};
use carnet_store::records::Records;
use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

use crate::node::Node;

/// Runs for as long as the node does.
pub async fn run(node: Arc<Node>) {
    let Some(every) = node.config.audit.commit_every() else {
        return;
    };
    let mut looks = tokio::time::interval(every.min(LOOK_EVERY_MAX));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut entered = node.clock.monotonic();
    loop {
        looks.tick().await;
        let now = node.clock.monotonic();
        if now.saturating_sub(entered) < every {
            continue;
        }
        match enter(&node).await {
            Ok(()) => entered = now,
            Err(why) => warn!(why, "where the audit stands is not in the log yet"),
        }
    }
}

/// The longest between two looks, however seldom something is entered: what failed is tried again with the next.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(10);

/// What is to be entered for a node whose chains stand so, by what the log says.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Everything is in the log.
    Nothing,
    /// This.
    Enter(AuditHeads),
    /// The chains do not go on from where the log says they stood, in words.
    Contradicts(String),
}

fn step(node: u64, heads: AuditHeads, anchors: &AuditAnchors) -> Step {
    let Some(before) = anchors.of(node) else {
        return match heads == AuditHeads::default() {
            true => Step::Nothing,
            false => Step::Enter(heads),
        };
    };
    if before.heads == heads {
        return Step::Nothing;
    }
    if heads.follow(&before.heads) {
        return Step::Enter(heads);
    }
    let chains = ["acts", "reads", "denied"];
    let pairs = heads.all().into_iter().zip(before.heads.all());
    let differs = chains.into_iter().zip(pairs).find(|(_, (now, then))| {
        now.number < then.number || now.number == then.number && now != then
    });
    let (chain, (now, then)) = differs.unwrap_or_default();
    Step::Contradicts(format!(
        "leaf {} of the log says that {chain} stood at record {}, and the newest here is {}{}",
        before.leaf,
        then.number,
        now.number,
        if now.number < then.number {
            ""
        } else {
            ", another one"
        }
    ))
}

async fn enter(node: &Arc<Node>) -> Result<(), String> {
    if node.progress().size == 0 {
        return Ok(());
    }
    let heads = node.audit.settled().await?;
    let reading = Arc::clone(node);
    let anchors = node
        .work
        .run(move || Records(reading.state.engine()).audit_anchors())
        .await;
    let anchors = anchors.map_err(|error| error.to_string())?;
    let anchors = anchors.map_err(|error| error.to_string())?;
    let own = node.config.node.id;
    let heads = match step(own, heads, &anchors) {
        Step::Nothing => {
            node.contradicted.say(String::new());
            return Ok(());
        }
        Step::Contradicts(text) => {
            node.contradicted.say(text);
            return Ok(());
        }
        Step::Enter(heads) => heads,
    };
    node.contradicted.say(String::new());
    let body = Body::Audit { node: own, heads };
    let request = Bytes::from(body.to_bytes());
    let failed = match node.propose(body).await {
        Ok(committed) => match committed.answer.items.first() {
            Some(ItemAnswer::Refused { rejection }) => return Err(rejection.to_string()),
            _ => return Ok(()),
        },
        Err(failed) => failed,
    };
    debug!(%failed, "where the audit stands is passed on");
    let identity = Bytes::new();
    let passed = node.raft.forward(Forwarded { identity, request }).await;
    passed.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::digest::sha256;
    use carnet_domain::bytes::time::TimeMs;
    use carnet_domain::log::audit::AuditHead;
    use carnet_domain::record::audited::AuditAnchor;

    fn heads(acts: u64, reads: u64, word: &[u8]) -> AuditHeads {
        let head = |number| AuditHead {
            number,
            hash: sha256(&[word]),
        };
        AuditHeads {
            acts: head(acts),
            reads: head(reads),
            denied: AuditHead::default(),
        }
    }

    #[test]
    fn a_chain_that_went_back_or_is_another_is_an_alarm_and_is_not_entered() {
        let mut anchors = AuditAnchors::default();
        let none = AuditHeads::default();
        assert_eq!(step(1, none, &anchors), Step::Nothing);
        let first = heads(5, 2, b"a");
        assert_eq!(step(1, first, &anchors), Step::Enter(first));
        anchors.put(AuditAnchor {
            node: 1,
            heads: first,
            at: TimeMs(1),
            leaf: 9,
        });
        assert_eq!(step(1, first, &anchors), Step::Nothing);
        let mut grown = first;
        grown.acts = heads(6, 0, b"b").acts;
        assert_eq!(step(1, grown, &anchors), Step::Enter(grown));
        let said = |heads| match step(1, heads, &anchors) {
            Step::Contradicts(text) => text,
            other => panic!("{other:?}"),
        };
        let cut = said(heads(4, 2, b"a"));
        assert_eq!(
            cut,
            "leaf 9 of the log says that acts stood at record 5, and the newest here is 4"
        );
        let anew = said(heads(5, 2, b"b"));
        assert!(anew.ends_with("acts stood at record 5, and the newest here is 5, another one"));
        // Of another node nothing is said.
        assert_eq!(step(2, none, &anchors), Step::Nothing);
    }
}
