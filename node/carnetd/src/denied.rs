//! Keeps what the planes refuse in step with the deny-list that this node has applied, and notes who shows what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::record::denied::{DenyList, Mark};
use carnet_store::artefact::NodeEngine;
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;
use carnet_store::registry::RegistryState;
use carnet_trust::identity::Plane;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::audit::{Kind, Note};
use crate::node::Node;
use crate::tls::{Denied, RevokedShown, TrustedRoots};

/// Between two looks at the list, while entries are applied: a connection ends within a second of its revocation.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A revoked certificate that is shown again and again is noted so often: a thief's program that retries does not push out of the chain
/// what others were refused.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// What a node refuses, as far as it has applied the log.
///
/// # Errors
/// The list cannot be read.
pub fn applied(
    state: &RegistryState<NodeEngine>,
    file: &BTreeSet<Mark>,
) -> Result<Denied, StorageFault> {
    let list: DenyList = Records(state.engine()).deny_list()?;
    Ok(Denied {
        list,
        file: file.clone(),
    })
}

/// Follows the list for as long as the node runs.
pub async fn follow(node: Arc<Node>, roots: Arc<TrustedRoots>) {
    let mut progress = node.state.progress();
    loop {
        let state = Arc::clone(&node.state);
        let read = node.work.run(move || Records(state.engine()).deny_list());
        match read.await {
            Ok(Ok(list)) => {
                let count = list.entries.len();
                if roots.refuse_list(list) {
                    info!(count, "list of revoked certificates taken up");
                }
            }
            // What cannot be read is damage, and found by whoever applies; until then the list stays as it is.
            Ok(Err(error)) => warn!(%error, "list of revoked certificates not read"),
            // The runtime is stopping.
            Err(_) => return,
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if progress.changed().await.is_err() {
            return;
        }
    }
}

/// Notes who shows a revoked certificate, for as long as the node runs.
pub async fn note(node: Arc<Node>, mut shown: mpsc::Receiver<RevokedShown>) {
    let mut noted = Noted::default();
    while let Some(one) = shown.recv().await {
        if !noted.is_due(&one, node.clock.monotonic()) {
            continue;
        }
        let about = format!("{} plane: {}", one.plane, one.why);
        let note = Note {
            kind: Kind::Denied,
            who: &one.who,
            what: "handshake with a revoked certificate",
            about: &about,
            request: "",
        };
        node.audit.denied(&note).await;
    }
}

/// When whose certificate was noted last, by plane: as many as the list of revoked certificates has, at the most.
#[derive(Default)]
struct Noted(BTreeMap<(Plane, String), Duration>);

impl Noted {
    fn is_due(&mut self, shown: &RevokedShown, now: Duration) -> bool {
        // saturates: no clock runs back
        self.0.retain(|_, at| now.saturating_sub(*at) < NOTED_EVERY);
        let whose = (shown.plane, shown.who.clone());
        if self.0.contains_key(&whose) {
            return false;
        }
        self.0.insert(whose, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use carnet_domain::bytes::encoding::Canonical;
    use carnet_domain::rules::command::Command;
    use carnet_kit::Country;
    use carnet_kit::samples::{client, refused};
    use carnet_trust::roots::PinnedRoots;

    use super::*;
    use crate::audit::Chain;
    use crate::house::House;

    #[test]
    fn a_certificate_that_is_shown_again_and_again_is_noted_once_a_minute() {
        let shown = |plane, who: &str| RevokedShown {
            plane,
            who: who.into(),
            why: "it was revoked".into(),
        };
        let mut noted = Noted::default();
        let mut due =
            |plane, who: &str, at| noted.is_due(&shown(plane, who), Duration::from_secs(at));
        assert!(due(Plane::Client, "ada", 5));
        assert!(!due(Plane::Client, "ada", 5));
        assert!(due(Plane::Admin, "ada", 6) && due(Plane::Client, "bob", 6));
        assert!(!due(Plane::Client, "ada", 64));
        assert!(due(Plane::Client, "ada", 65));
        assert!(due(Plane::Client, "ada", 130));
        assert_eq!(noted.0.len(), 1, "what is old is forgotten");
    }

    /// Once, the use of a stolen certificate after its revocation was a sampled line of a log that ends with its machine.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_shows_a_revoked_certificate_is_in_the_chain() {
        let house = House::of(&Country::with_market("86")).await;
        let (sender, receiver) = mpsc::channel(4);
        for _ in 0..2 {
            let one = RevokedShown {
                plane: Plane::Client,
                who: "carnet://86/dealer/0003/ada".into(),
                why: "it was revoked".into(),
            };
            sender.send(one).await.expect("received");
        }
        drop(sender);
        note(Arc::clone(&house.node), receiver).await;
        let page = house
            .node
            .audit
            .page(Chain::Denied, 0, 9)
            .await
            .expect("a page");
        let [line] = page.lines.as_slice() else {
            panic!("{:?}", page.lines);
        };
        for word in [
            "dealer/0003/ada",
            "client plane: it was revoked",
            "handshake",
        ] {
            assert!(line.contains(word), "{line}");
        }
        house.close().await;
    }

    /// How many are refused once it is so many; whoever waits for it in vain waits for ever, which ends the test.
    async fn refuses(roots: &TrustedRoots, count: usize) {
        while roots.denied().list.entries.len() != count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_applied_is_refused_and_what_is_taken_back_is_not() {
        let mut country = Country::with_market("86");
        let house = House::of(&country).await;
        let known = country.entries.len();
        let reason = "stolen".to_owned();
        country.must(
            "admin",
            Command::RevokeCertificate {
                refused: refused(client("ada")),
                reason: reason.clone(),
            },
        );
        let revoked = country.entries.len();
        country.must(
            "admin",
            Command::UnrevokeCertificate {
                certificate: client("ada"),
                reason,
            },
        );
        let key = carnet_domain::bytes::digest::Digest([7; 32]);
        let file = BTreeSet::from([Mark::Key { key }]);
        let roots = Arc::new(TrustedRoots::new(PinnedRoots::new()));
        roots.refuse(applied(&house.node.state, &file).expect("a list"));
        let following = tokio::spawn(follow(Arc::clone(&house.node), Arc::clone(&roots)));
        let (revoking, giving_back) = country.entries[known..].split_at(revoked - known);
        for (entries, count) in [(revoking, 1), (giving_back, 0)] {
            for entry in entries {
                let bytes = Bytes::from(entry.to_bytes());
                house.node.raft.propose(bytes).await.expect("applied");
            }
            refuses(&roots, count).await;
            assert_eq!(roots.denied().file, file, "the file stays");
        }
        // The file is another's to change: what follows the list puts none of it back.
        let other = BTreeSet::from([Mark::Key {
            key: carnet_domain::bytes::digest::Digest([8; 32]),
        }]);
        assert!(roots.refuse_file(other.clone()));
        let list = DenyList::default();
        assert!(!roots.refuse_list(list), "the list is as it was");
        assert_eq!(roots.denied().file, other);
        following.abort();
        house.close().await;
    }
}
