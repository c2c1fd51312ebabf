//! Two processes of one store: which of them is the store?
//!
//! A copy of a running node's directory shows the next count, as the node itself would after a restart. So whoever hears
//! another process of a member than before asks at the address of that member. While the process that was heard before
//! answers there, it is the store and the other one a copy, which is told so and stops. Otherwise the newcomer is believed: it
//! answers there itself, or nobody does.

use std::sync::Weak;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use tokio::sync::mpsc;

use crate::gate::{Found, Sender};
use crate::plane::Plane;

/// Attempts to reach the address. The connection to it may have died with the process before.
const ATTEMPTS: usize = 2;

/// Answers doubts until the gate is gone.
pub(crate) async fn ask(
    plane: Weak<Plane>,
    mut doubts: mpsc::UnboundedReceiver<Sender>,
    patience: Duration,
) {
    while let Some(sender) = doubts.recv().await {
        let Some(plane) = plane.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            let found = who_runs(&plane, &sender, patience).await;
            if found == Found::Copy {
                let Sender { node, store, run } = sender;
                tracing::error!(node, %store, count = run.start, "a process on a copy of this store is refused: the node runs elsewhere");
            }
            plane.gate.judged(&sender, found);
        });
    }
}

async fn who_runs(plane: &Plane, sender: &Sender, patience: Duration) -> Found {
    let member = {
        let metrics = plane.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        membership.get_node(&sender.node).cloned()
    };
    // One that is not known to be anywhere cannot be asked.
    let Some(member) = member.filter(|member| member.store == sender.store) else {
        return Found::Itself;
    };
    for _ in 0..ATTEMPTS {
        match plane.peers.run_at(sender.node, &member, patience).await {
            Ok(run) if run.nonce == sender.run.nonce => return Found::Itself,
            Ok(_) => return Found::Copy,
            Err(error) => {
                tracing::debug!(node = sender.node, %error, "who runs there is not known")
            }
        }
    }
    Found::Itself
}
