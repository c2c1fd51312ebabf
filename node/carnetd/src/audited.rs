//! Enters where the chains of this node's audit stand in the log of the registry, while they grow: whoever has the node later can cut
//! them or write them anew, and everybody sees it.
//!
//! A node that does not lead passes it on to the one that does. Before it enters a place it looks whether the record of the place before
//! still lies on its disk as it was: a number that grew alone says nothing of what was written anew. That the log says otherwise than the
//! disk is an alarm that stays until somebody has looked: see the runbook `audit`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::Forwarded;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::audit::AuditWalk;
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::audited::{AuditAnchor, AuditAnchors, AuditHeads};
use carnet_store::records::Records;
use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

use crate::audit::{Audit, Chain};
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

/// Where the chains begin that have no file: behind the place that the log has of them. Whoever moves them aside goes on, and nothing of
/// what was noted before is lost by that to whoever has it.
pub async fn begins(node: &Arc<Node>) -> AuditHeads {
    let reading = Arc::clone(node);
    let read = move || Records(reading.state.engine()).audit_anchors();
    let anchors = match node.work.run(read).await {
        Ok(Ok(anchors)) => anchors,
        // What cannot be read is said by whoever reads it next.
        Ok(Err(_)) | Err(_) => AuditAnchors::default(),
    };
    let own = anchors.of(node.config.node.id);
    own.map_or_else(AuditHeads::default, |anchor| anchor.heads)
}

/// Enters where chains stand only if each still has the record of the place before: it, or the one behind it, which names it.
async fn held_to(audit: &Audit, heads: AuditHeads, before: &AuditAnchor) -> Result<Step, String> {
    for (chain, then) in Chain::ALL.into_iter().zip(before.heads.all()) {
        let Some(earlier) = then.number.checked_sub(1) else {
            continue;
        };
        let page = audit.page(chain, earlier, 1).await;
        let page = page.map_err(|error| error.to_string())?;
        let mut walk = AuditWalk::through(then);
        let taken = page.lines.first().map(|line| walk.take(line));
        let ended = match taken {
            // A chain that has no file of its own yet stands where the log says, or is shorter, which is judged by its number.
            None => continue,
            Some(Err(broken)) => Err(broken),
            Some(Ok(_)) => walk.end(),
        };
        if let Err(broken) = ended {
            return Ok(Step::Contradicts(format!(
                "leaf {} of the log says that {} stood at record {}: {broken}",
                before.leaf,
                chain.word(),
                then.number
            )));
        }
    }
    Ok(Step::Enter(heads))
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
    let step = match step(own, heads, &anchors) {
        Step::Enter(heads) => match anchors.of(own) {
            Some(before) => held_to(&node.audit, heads, before).await?,
            None => Step::Enter(heads),
        },
        other => other,
    };
    let heads = match step {
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
    use carnet_domain::log::audit::{AuditHead, next_line};
    use std::sync::atomic::AtomicU64;

    use crate::audit::{Kind, Note};
    use crate::clock::Clock;

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

    /// One that stands still.
    struct Still(AtomicU64);

    impl Clock for Still {
        fn wall(&self) -> TimeMs {
            TimeMs(self.0.load(std::sync::atomic::Ordering::Relaxed))
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn open(folder: &std::path::Path) -> Audit {
        let clock = Arc::new(Still(AtomicU64::new(1)));
        Audit::open(folder, clock, carnet_consensus::Work::Inline)
    }

    async fn acted(audit: &Audit, about: &str) -> AuditHeads {
        let note = Note {
            kind: Kind::Act,
            who: "admin/anna",
            what: "/member",
            about,
            request: "",
        };
        audit.note(&note).await.expect("noted");
        audit.settled().await.expect("settled")
    }

    fn anchor(heads: AuditHeads) -> AuditAnchor {
        AuditAnchor {
            node: 1,
            heads,
            at: TimeMs(1),
            leaf: 9,
        }
    }

    /// Once, whoever wrote the chain anew with one record more had the node enter it over the true place.
    #[tokio::test]
    async fn a_chain_written_anew_is_not_entered_however_long_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = open(folder.path());
        audit.start("1", AuditHeads::default()).await;
        let before = anchor(acted(&audit, "2").await);
        assert_eq!(before.heads.acts.number, 2);
        let heads = acted(&audit, "3").await;
        let entered = held_to(&audit, heads, &before).await;
        assert_eq!(entered, Ok(Step::Enter(heads)));
        // By whoever has the disk, with whatever they want, and longer.
        let (mut lines, mut head) = (String::new(), AuditHead::default());
        for about in 1..=4 {
            let (line, next) =
                next_line(&head, &format!("{{\"about\":\"{about}\"}}")).expect("a number");
            lines.push_str(&line);
            head = next;
        }
        let path = folder
            .path()
            .join("audit")
            .join(format!("acts-{:020}.log", 1));
        assert!(path.exists(), "the name of a file of this chain");
        std::fs::write(&path, lines).expect("written");
        let audit = open(folder.path());
        audit.start("1", before.heads).await;
        let heads = audit.settled().await.expect("settled");
        assert!(heads.follow(&before.heads), "by its number alone it does");
        let said = held_to(&audit, heads, &before).await;
        let said = format!("{said:?}");
        assert!(
            said.contains("leaf 9") && said.contains("written anew"),
            "{said}"
        );
    }

    /// Once, after the runbook had the folder moved aside, the alarm lasted until the new chain was longer than the old one.
    #[tokio::test]
    async fn a_chain_that_was_moved_aside_goes_on_from_where_the_log_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = open(folder.path());
        audit.start("1", AuditHeads::default()).await;
        let before = anchor(acted(&audit, "2").await);
        drop(audit);
        std::fs::rename(folder.path().join("audit"), folder.path().join("aside")).expect("moved");
        let audit = open(folder.path());
        audit.start("1", before.heads).await;
        let heads = audit.settled().await.expect("settled");
        // That it goes on, and that the node started.
        assert_eq!(heads.acts.number, before.heads.acts.number + 2);
        assert_eq!(heads.reads, before.heads.reads);
        let entered = held_to(&audit, heads, &before).await;
        assert_eq!(entered, Ok(Step::Enter(heads)));
        let page = audit.page(Chain::Acts, 0, 1).await.expect("read");
        assert!(
            page.lines[0].contains("goes on behind record 2"),
            "{page:?}"
        );
        // After another start it is a chain as any.
        let audit = open(folder.path());
        audit.start("1", heads).await;
        let later = audit.settled().await.expect("settled");
        assert_eq!(later.acts.number, heads.acts.number + 1);
    }
}
