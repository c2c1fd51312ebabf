//! A node that was away comes back to the state of the others: by the log, or by a snapshot when the log is gone.

use std::time::Duration;

use carnet_client::admin::{Fewest, VotersWanted};
use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::Plan;
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;

use crate::faults::hold;

/// The longest an operator waits for a change of the cluster.
const PATIENT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up_by_the_log() -> Result<(), Broken> {
    let Some(programs) = programs("a_node_that_was_away_catches_up_by_the_log") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let away = run.kill_follower().await?;
    run.answers(300).await?;
    run.registry.start_node(away)?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

/// A voter that is away keeps the leader from purging for an hour, so only a node that never was there needs the state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_without_the_log_catches_up_by_a_snapshot() -> Result<(), Broken> {
    let Some(programs) = programs("a_new_node_without_the_log_catches_up_by_a_snapshot") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, short_log(), LoadPlan::default()).await?;
    join_by_snapshot(&mut run).await?;
    // A leader killed meanwhile: the newcomer also follows the next one.
    let killed = run.kill_leader().await?;
    run.answers(100).await?;
    run.registry.start_node(killed)?;
    run.registry.ready().await?;
    let newcomer = run.registry.status(4).await?;
    assert!(0 < newcomer.snapshot, "it has no snapshot: {newcomer:?}");
    hold(&run.judge(Least::of("kill leader", 1)).await?);
    Ok(())
}

/// Three voters and a fourth node to come, and logs that forget their beginning.
pub(crate) fn short_log() -> Plan {
    Plan {
        spare: 1,
        snapshot_entries: 200,
        keep_entries: 10,
        ..Plan::of("XA")
    }
}

/// Waits until no log reaches back to the beginning, and adds node 4.
pub(crate) async fn join_by_snapshot(run: &mut Run) -> Result<(), Broken> {
    for id in run.registry.running() {
        let admin = run.registry.admin(&[id], PATIENT)?;
        let address = run.registry.admin_address(id);
        let taken = admin.take_snapshot(&address).await;
        taken.map_err(Broken::at(format!("snapshot of node {id}")))?;
    }
    // The beginning must be gone from every log, or the newcomer would come by the log after all.
    let registry = &run.registry;
    until("the beginning of the log is purged", || async {
        let mut purged = Vec::new();
        for id in registry.running() {
            let status = registry.status(id).await.map_err(|e| e.to_string())?;
            purged.push((id, status.purged));
        }
        if purged.iter().all(|(_, purged)| 0 < *purged) {
            Ok(())
        } else {
            Err(format!("node and purged index: {purged:?}"))
        }
    })
    .await?;
    let admin = run.registry.admin(&[1, 2, 3], PATIENT)?;
    run.registry.start_node(4)?;
    run.registry.answers(4).await?;
    let added = admin.add_learner(run.registry.member(4)).await;
    added.map(drop).map_err(Broken::at("add learner"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_joins_under_load_and_votes() -> Result<(), Broken> {
    let Some(programs) = programs("a_new_node_joins_under_load_and_votes") else {
        return Ok(());
    };
    let plan = Plan {
        spare: 1,
        ..Plan::of("XA")
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    run.registry.start_node(4)?;
    run.registry.answers(4).await?;
    let admin = run.registry.admin(&[1, 2, 3], PATIENT)?;
    admin
        .add_learner(run.registry.member(4))
        .await
        .map_err(Broken::at("add learner"))?;
    admin
        .change_members(VotersWanted {
            voters: vec![1, 2, 3, 4],
            retire: Vec::new(),
            fewest: Fewest::Three,
        })
        .await
        .map_err(Broken::at("change members"))?;
    // With one of the four gone, the newcomer's vote is needed for every entry.
    run.kill_follower_but(4).await?;
    run.answers(200).await?;
    for id in [1, 2, 3] {
        if !run.registry.running().contains(&id) {
            run.registry.start_node(id)?;
        }
    }
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}
