//! Faults planted on purpose: a suite that does not find them proves nothing.

use std::process::Command;

use carnet_cluster::Broken;
use carnet_cluster::check::Verdict;
use carnet_cluster::jurisdiction::Plan;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;
use carnet_cluster::{planted_programs, programs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_reads_of_a_follower_are_found() -> Result<(), Broken> {
    let Some(programs) = planted_programs("local_reads_of_a_follower_are_found") else {
        return Ok(());
    };
    let plan = Plan {
        planted: Some("follower-serves-local-read"),
        ..Plan::of("XA")
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    for _ in 0..4 {
        // It wakes with an old state and with questions that were asked after newer answers.
        let paused = run.pause_follower().await?;
        run.answers(100).await?;
        run.registry.resume(paused)?;
        run.answers(100).await?;
    }
    let verdict = run.judge(Least::of("pause follower", 4)).await?;
    let Verdict::Violated(found) = &verdict else {
        panic!("{verdict}");
    };
    // The histories at the end are read through the same fault, so more may be found than what was planted.
    let stale = found.iter().any(|violation| violation.invariant == "I1");
    assert!(stale, "{verdict}");
    Ok(())
}

#[test]
fn a_release_has_no_planted_faults() -> Result<(), Broken> {
    let Some(programs) = programs("a_release_has_no_planted_faults") else {
        return Ok(());
    };
    let output = Command::new(&programs.carnetd)
        .args([
            "--config",
            "/nonexistent",
            "--planted",
            "follower-serves-local-read",
        ])
        .output()
        .map_err(Broken::at("carnetd"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("unexpected argument '--planted'"), "{said}");
    Ok(())
}
