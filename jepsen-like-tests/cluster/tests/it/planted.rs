//! Faults planted on purpose: a suite that does not find them proves nothing.

use std::process::Command;

use carnet_cluster::Broken;
use carnet_cluster::border::Border;
use carnet_cluster::check::{Verdict, epochs_stay_burned};
use carnet_cluster::custody::{Reoffered, offer_cancel_offer};
use carnet_cluster::jurisdiction::Plan;
use carnet_cluster::power::power_can_be_cut;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::skip::Programs;
use carnet_cluster::workload::LoadPlan;
use carnet_cluster::{planted_programs, programs};

use crate::catch_up::{join_by_snapshot, short_log};
use crate::faults::{gated, hold, lose_answers};
use crate::power::{lose_power, on_disks};

/// Every fault that a `carnetd` with the switchboard can be told to have.
const NAMES: [&str; 16] = [
    "follower-serves-local-read",
    "crash-after-seal",
    "crash-before-size-kept",
    "crash-in-size-kept",
    "crash-before-signature",
    "crash-before-publish",
    "crash-in-publish",
    "crash-after-publish",
    "acknowledge-before-fsync",
    "no-dedup",
    "epoch-not-strict",
    "cancel-keeps-epoch",
    "snapshot-misses-a-column-family",
    "panic-at-a-marked-entry",
    "one-replica-differs",
    "one-replica-has-other-roots",
];

/// Fails unless this invariant is among those found broken. One fault often breaks more than one.
#[expect(clippy::print_stdout, reason = "what was found is the result")]
fn found(verdict: &Verdict, invariant: &str) {
    println!("{verdict}");
    let Verdict::Violated(found) = verdict else {
        panic!("{verdict}");
    };
    let named = found
        .iter()
        .any(|violation| violation.invariant == invariant);
    assert!(named, "{invariant} is not among them: {verdict}");
}

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
    // The histories at the end are read through the same fault, so more may be found than what was planted.
    found(&run.judge(Least::of("pause follower", 4)).await?, "I1");
    Ok(())
}

/// The log's own sentinel does not notice: it remembers what was truly synced, and that is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_before_the_sync_is_found() -> Result<(), Broken> {
    let test = "an_acknowledgement_before_the_sync_is_found";
    let Some(programs) = planted_programs(test).filter(|_| power_can_be_cut(test)) else {
        return Ok(());
    };
    let plan = Plan {
        planted: Some("acknowledge-before-fsync"),
        ..on_disks()
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    lose_power(&mut run).await?;
    found(&run.judge(Least::of("power cut", 1)).await?, "I10");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_that_is_executed_again_is_found() -> Result<(), Broken> {
    let Some(programs) = planted_programs("a_repetition_that_is_executed_again_is_found") else {
        return Ok(());
    };
    let plan = Plan {
        planted: Some("no-dedup"),
        ..gated()
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    lose_answers(&mut run).await?;
    found(&run.judge(Least::of("answers lost", 2)).await?, "I3");
    Ok(())
}

/// The snapshot itself is sound: its manifest names every family and every hash is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_misses_a_family_is_found() -> Result<(), Broken> {
    let Some(programs) = planted_programs("a_snapshot_that_misses_a_family_is_found") else {
        return Ok(());
    };
    let plan = Plan {
        planted: Some("snapshot-misses-a-column-family"),
        ..short_log()
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    join_by_snapshot(&mut run).await?;
    let least = Least {
        faults: Vec::new(),
        ..Least::of("", 0)
    };
    found(&run.judge(least).await?, "I5");
    Ok(())
}

/// The guards before this one hide it from every honest exporter: mail is taken in order and once, by its cursor, and an
/// offer under the number of a known transfer changes nothing. What is left is an exporter that reuses an epoch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_importer_that_takes_a_burned_epoch_is_found() -> Result<(), Broken> {
    let test = "an_importer_that_takes_a_burned_epoch_is_found";
    let Some(programs) = planted_programs(test) else {
        return Ok(());
    };
    let came = reoffer(
        &programs,
        Some("cancel-keeps-epoch"),
        Some("epoch-not-strict"),
    )
    .await?;
    found(&importers_trail(&came), "C6");
    assert!(came.taken_up && !came.quarantined, "{came:?}");
    Ok(())
}

/// The same lie, told to an importer without a fault: its own trail holds, and the exporter's does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_that_reuses_an_epoch_is_found_and_not_believed() -> Result<(), Broken> {
    let test = "an_exporter_that_reuses_an_epoch_is_found_and_not_believed";
    let Some(programs) = planted_programs(test) else {
        return Ok(());
    };
    let came = reoffer(&programs, Some("cancel-keeps-epoch"), None).await?;
    let exporters = epochs_stay_burned("XA", &came.exporter);
    found(&Verdict::of(exporters, Vec::new()), "C6");
    hold(&importers_trail(&came));
    assert!(!came.taken_up && came.quarantined, "{came:?}");
    Ok(())
}

async fn reoffer(
    programs: &Programs,
    exporter: Option<&'static str>,
    importer: Option<&'static str>,
) -> Result<Reoffered, Broken> {
    let plan = |prefix, planted| Plan {
        planted,
        ..Plan::of(prefix)
    };
    let border = Border::start(programs, plan("XA", exporter), plan("XB", importer)).await?;
    offer_cancel_offer(&border).await
}

fn importers_trail(came: &Reoffered) -> Verdict {
    Verdict::of(epochs_stay_burned("XB", &came.importer), Vec::new())
}

#[test]
fn a_release_has_no_planted_faults() -> Result<(), Broken> {
    let Some(programs) = programs("a_release_has_no_planted_faults") else {
        return Ok(());
    };
    for name in NAMES {
        let output = Command::new(&programs.carnetd)
            .args(["--config", "/nonexistent", "--planted", name])
            .output()
            .map_err(Broken::at("carnetd"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("unexpected argument '--planted'"), "{said}");
    }
    Ok(())
}

/// A fault that is added to the switchboard and not to [`NAMES`] fails here.
#[test]
fn every_planted_fault_has_its_name_here() -> Result<(), Broken> {
    let Some(programs) = planted_programs("every_planted_fault_has_its_name_here") else {
        return Ok(());
    };
    let output = Command::new(&programs.carnetd)
        .args(["--config", "/nonexistent", "--planted", "?"])
        .output()
        .map_err(Broken::at("carnetd"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let offered = format!("[possible values: {}]", NAMES.join(", "));
    assert!(said.contains(&offered), "{said}");
    Ok(())
}
