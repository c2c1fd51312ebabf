//! Keeps what the planes refuse in step with the deny-list that this node has applied.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::record::denied::{DenyList, Mark};
use carnet_store::artefact::NodeEngine;
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;
use carnet_store::registry::RegistryState;
use tracing::{info, warn};

use crate::node::Node;
use crate::tls::{Denied, TrustedRoots};

/// Between two looks at the list, while entries are applied: a connection ends within a second of its revocation.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use carnet_domain::bytes::encoding::Canonical;
    use carnet_domain::rules::command::Command;
    use carnet_kit::Country;
    use carnet_kit::samples::{client, refused};
    use carnet_trust::roots::PinnedRoots;

    use super::*;
    use crate::house::House;

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
