//! A node that no cluster has taken in yet: it says that it waits, for what, and what the nodes answer that it may ask.
//!
//! It cannot join by itself. But an id that has left its cluster waits for ever, and the others know: asked, they refuse it,
//! and it ends with exit code 4 instead.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use carnet_store::directory::write_atomically;
use carnet_store::fault::StorageFault;
use tracing::{info, warn};

use crate::node::Node;

/// So long nothing is said: founding and taking in come soon after a start.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two rounds of questions.
const PAUSE: Duration = Duration::from_secs(30);

/// Where the nodes are reached that may give this one its first configuration: `node host:port`, a line each, in the data
/// directory.
const FILE: &str = "ask";

/// Keeps the addresses that `carnetd init --join` was given.
///
/// # Errors
/// The disk failed.
pub fn keep(data: &Path, addresses: &BTreeMap<u64, String>) -> Result<(), StorageFault> {
    if addresses.is_empty() {
        return Ok(());
    }
    let line = |(node, address): (&u64, &String)| format!("{node} {address}\n");
    let text: String = addresses.iter().map(line).collect();
    write_atomically(&data.join(FILE), text.as_bytes())
}

/// The addresses kept. A line that is none says nothing: they are for asking only.
pub(crate) fn addresses(data: &Path) -> BTreeMap<u64, String> {
    let text = std::fs::read_to_string(data.join(FILE)).unwrap_or_default();
    let pair = |line: &str| {
        let (node, address) = line.split_once(' ')?;
        Some((node.parse().ok()?, address.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// Runs until the node belongs to a cluster or stops. Whoever refuses it for good stops it.
pub async fn run(node: Arc<Node>) {
    let own = node.config.node.id;
    let asked = addresses(&node.config.node.data_dir);
    let mut pause = PATIENCE;
    let mut said = false;
    loop {
        let taken_in = |status: &carnet_consensus::Status| !status.voters.is_empty();
        if node.raft.wait_status(taken_in, pause).await.is_ok() {
            if said {
                info!(node = own, "taken in by a cluster");
            }
            return;
        }
        if node.raft.standing().borrow().role == carnet_consensus::Role::Stopped {
            return;
        }
        let mut answers = Vec::new();
        for (other, address) in asked.iter().filter(|(other, _)| **other != own) {
            let answer = node.raft.ask_who(*other, address).await;
            let words = answer.unwrap_or_else(|why| why);
            answers.push(format!("node {other} at {address}: {words}"));
        }
        let waits_for = if node.founds {
            "`carnet cluster init`, or for a leader that knows it (`carnet cluster add-learner`)"
        } else {
            "`carnet cluster add-learner`, from a leader that it was made to join"
        };
        let asked = if asked.is_empty() {
            "it asks nobody: `carnetd init --join ID=HOST:PORT` gives addresses".to_owned()
        } else {
            answers.join("; ")
        };
        warn!(
            node = own,
            waits_for,
            asked,
            "this node belongs to no cluster yet and does nothing; if its id has left a cluster, it waits for ever: runbook replace-a-node"
        );
        said = true;
        pause = PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_as_given() {
        let data = tempfile::tempdir().expect("a directory");
        assert!(addresses(data.path()).is_empty());
        let given = BTreeMap::from([(1, "10.0.0.1:7101".into()), (2, "node-2:7101".into())]);
        keep(data.path(), &given).expect("kept");
        assert_eq!(addresses(data.path()), given);
        std::fs::write(data.path().join(FILE), "x y\n3\n2 here\n").expect("written");
        assert_eq!(addresses(data.path()), BTreeMap::from([(2, "here".into())]));
    }
}
