//! Nodes that die or stand still while clients write and read.

use carnet_cluster::Broken;
use carnet_cluster::check::Verdict;
use carnet_cluster::jurisdiction::Plan;
use carnet_cluster::programs;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;

/// Fails with everything that was found.
pub(crate) fn hold(verdict: &Verdict) {
    assert!(*verdict == Verdict::Holds, "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_killed_under_load_loses_nothing() -> Result<(), Broken> {
    let Some(programs) = programs("a_leader_killed_under_load_loses_nothing") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    for _ in 0..3 {
        let killed = run.kill_leader().await?;
        run.answers(150).await?;
        run.registry.start_node(killed)?;
        run.registry.ready().await?;
        run.answers(50).await?;
    }
    hold(&run.judge(Least::of("kill leader", 3)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_killed_at_once_lose_nothing() -> Result<(), Broken> {
    let Some(programs) = programs("all_nodes_killed_at_once_lose_nothing") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    for _ in 0..3 {
        for killed in run.kill_all()? {
            run.registry.start_node(killed)?;
        }
        run.answers(200).await?;
    }
    hold(&run.judge(Least::of("kill all", 3)).await?);
    Ok(())
}

/// A client that gets no answer asks again, with the number of its request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_again_is_done_once() -> Result<(), Broken> {
    let Some(programs) = programs("what_is_asked_again_is_done_once") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, gated(), LoadPlan::default()).await?;
    lose_answers(&mut run).await?;
    hold(&run.judge(Least::of("answers lost", 2)).await?);
    Ok(())
}

/// A cluster whose clients reach it through gates.
pub(crate) fn gated() -> Plan {
    Plan {
        gated: true,
        ..Plan::of("XA")
    }
}

/// Twice keeps back the answers of whoever leads.
pub(crate) async fn lose_answers(run: &mut Run) -> Result<(), Broken> {
    for _ in 0..2 {
        run.lose_answers_of_leader().await?;
        run.answers(400).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_and_wakes_serves_nothing_old() -> Result<(), Broken> {
    let Some(programs) = programs("a_leader_that_stands_still_and_wakes_serves_nothing_old") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    for _ in 0..3 {
        let paused = run.pause_leader().await?;
        // Writes answered meanwhile prove that another leads; the sleeper wakes believing that it still does.
        run.answers(150).await?;
        run.registry.resume(paused)?;
        run.answers(100).await?;
    }
    hold(&run.judge(Least::of("pause leader", 3)).await?);
    Ok(())
}
