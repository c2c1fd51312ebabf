//! A node that was away comes back to the state of the others: by the log, or by a snapshot when the log is gone.

use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::Plan;
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;

use crate::faults::hold;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up_by_the_log() -> Result<(), Broken> {
    let Some(programs) = programs("a_node_that_was_away_catches_up_by_the_log") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let away = run.kill_follower().await?;
    run.load.answers(300).await?;
    run.registry.start_node(away)?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_too_long_catches_up_by_a_snapshot() -> Result<(), Broken> {
    let Some(programs) = programs("a_node_that_was_away_too_long_catches_up_by_a_snapshot") else {
        return Ok(());
    };
    let plan = Plan {
        snapshot_entries: 200,
        keep_entries: 10,
        ..Plan::of("XA")
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    let away = run.kill_follower().await?;
    let left_at = run
        .registry
        .status(run.registry.leader().await?)
        .await?
        .applied;
    run.load.answers(300).await?;
    for id in run.registry.running() {
        let admin = run
            .registry
            .admin(&[id], std::time::Duration::from_secs(60))?;
        let address = run.registry.admin_address(id);
        admin
            .take_snapshot(&address)
            .await
            .map_err(Broken::at(format!("snapshot of node {id}")))?;
    }
    // What the node needs next must be gone from every log, or it would come by the log after all.
    until("the log the node missed is purged", || async {
        let mut seen = Vec::new();
        for id in run.registry.running() {
            let status = run.registry.status(id).await.map_err(|e| e.to_string())?;
            seen.push((id, status.purged));
        }
        if seen.iter().all(|(_, purged)| left_at < *purged) {
            Ok(())
        } else {
            Err(format!("left at {left_at}, purged {seen:?}"))
        }
    })
    .await?;
    run.registry.start_node(away)?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
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
    let admin = run
        .registry
        .admin(&[1, 2, 3], std::time::Duration::from_secs(60))?;
    admin
        .add_learner(run.registry.member(4))
        .await
        .map_err(Broken::at("add learner"))?;
    admin
        .change_members(vec![1, 2, 3, 4])
        .await
        .map_err(Broken::at("change members"))?;
    // With one of the four gone, the newcomer's vote is needed for every entry.
    run.kill_follower_but(4).await?;
    run.load.answers(200).await?;
    for id in [1, 2, 3] {
        if !run.registry.running().contains(&id) {
            run.registry.start_node(id)?;
        }
    }
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}
