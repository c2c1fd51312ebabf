//! The benchmarks at a tiny size: that what they count was done, on real processes. Nothing is said of how fast it was.

use carnet_cluster::border::carnet_as;
use carnet_cluster::jurisdiction::{Jurisdiction, MANUFACTURER, Plan, REGISTRAR};
use carnet_cluster::{Broken, programs};
use serde_json::Value;

/// Acknowledged by a row of one round; the row is no good where anything failed.
fn counted(row: &Value) -> Result<u64, Broken> {
    let round = &row["carnet"][0];
    let written = round["written"].as_str().and_then(|text| text.parse().ok());
    match (round["failed"].as_str(), written) {
        (Some("0"), Some(written)) => Ok(written),
        _ => Err(Broken::new(format!("no good round: {row}"))),
    }
}

/// How many robots the registry has of a model.
fn registered(of: &Jurisdiction, model: &str) -> Result<usize, Broken> {
    let listed = carnet_as(
        of,
        REGISTRAR,
        &["robot", "list", model, "--limit", "1000000"],
    )?;
    let robots = listed.as_array().map(Vec::len);
    robots.ok_or_else(|| Broken::new(format!("no list of robots: {listed}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_loader_counts_is_registered_and_found_again() -> Result<(), Broken> {
    let Some(programs) = programs("what_the_loader_counts_is_registered_and_found_again") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    registry.ready().await?;
    let model = format!("{}0001100009", registry.prefix());
    #[rustfmt::skip]
    let approval = [
        "model", "approve", &model, "--name", "Bench", "--certificate", "TA-BENCH",
        "--production-from", "2000-01-01", "--production-to", "2100-01-01",
    ];
    carnet_as(&registry, REGISTRAR, &approval)?;
    let bench = |words: &[&str]| {
        let tiny = [
            "--model",
            &model,
            "--clients",
            "4",
            "--seconds",
            "1",
            "--rounds",
            "1",
        ];
        carnet_as(
            &registry,
            MANUFACTURER,
            &[&["bench"], words, &tiny].concat(),
        )
    };
    let singly = counted(&bench(&["register"])?)?;
    // Before each first round one request is tried.
    let mut expected = singly + 1;
    assert_eq!(registered(&registry, &model)? as u64, expected);
    let in_bulk = counted(&bench(&["register", "--batch", "20"])?)?;
    assert!(in_bulk.is_multiple_of(20), "whole requests: {in_bulk}");
    expected += in_bulk + 20;
    assert_eq!(registered(&registry, &model)? as u64, expected);
    // Each is read back by the loader itself, which takes no other robot for an answer.
    let read = counted(&bench(&["look-up", "--records", "1000"])?)?;
    assert!(read > 0);
    assert_eq!(registered(&registry, &model)? as u64, expected + 1_000);
    Ok(())
}
