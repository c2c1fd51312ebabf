//! Every node asks the others for their marks, as a node in production does, under all faults: healthy replicas never
//! differ, whoever restarted, lagged or took in a snapshot in between.

use std::sync::Arc;
use std::time::Duration;

use carnet_consensus::{Ballots, Handle, Verdict};
use carnet_store::compare::Compared;
use carnet_store::machine::StateMachine;

use crate::site::Site;

/// Between two rounds, in simulated time.
const EVERY: Duration = Duration::from_millis(150);
/// The longest that one peer is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs until the host crashes.
pub(crate) async fn compare(handle: Handle, state: Arc<dyn StateMachine>, site: Site) {
    let mut ballots = Ballots::new(site.node);
    loop {
        tokio::time::sleep(EVERY).await;
        let Ok(marks) = state.marks(0) else {
            continue;
        };
        ballots.hear_own(&marks);
        let voters = handle.status().voters;
        let Some(least) = ballots.waiting(&voters) else {
            continue;
        };
        let index = marks.iter().map(|mark| mark.index).max().unwrap_or(0);
        for voter in voters.iter().filter(|voter| **voter != site.node) {
            let answer = handle.marks_of(*voter, least.saturating_sub(1), index, PATIENCE);
            ballots.hear(*voter, &answer.await.unwrap_or_default());
        }
        let mut history = site.history.lock();
        for (at, verdict) in ballots.verdicts(&voters) {
            if ballots.differs(at) {
                let said = ballots.describe(at);
                history
                    .violations
                    .push(format!("node {}: {at:?} differs: {said}", site.node));
            } else if verdict == Verdict::Agreed && at.1 == Compared::Writes {
                history.compared.insert((site.node, at.0));
            }
        }
    }
}
