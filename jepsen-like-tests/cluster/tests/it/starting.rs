//! Starts and stops of a node that is well: what it says, and what it shows before the others have taken it in.

use std::time::Duration;

use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::{Jurisdiction, MANUFACTURER, Plan};
use carnet_cluster::patience::until;
use carnet_cluster::programs;

/// Longer lines are nobody's words.
const LINE_BYTES_MAX: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_start_and_stop_gives_nobody_anything_to_look_at() -> Result<(), Broken> {
    let test = "an_orderly_start_and_stop_gives_nobody_anything_to_look_at";
    let Some(programs) = programs(test) else {
        return Ok(());
    };
    let plan = Plan {
        voters: 1,
        ..Plan::of("XA")
    };
    let mut registry = Jurisdiction::start(&programs, plan).await?;
    registry.ready().await?;
    assert_eq!(registry.stop(1).await?, Some(0));
    registry.start_node(1)?;
    registry.ready().await?;
    assert_eq!(registry.stop(1).await?, Some(0));
    let log = std::fs::read_to_string(registry.log(1)).map_err(Broken::at("log"))?;
    assert!(log.contains("ready to serve"), "{log}");
    for line in log.lines() {
        assert!(
            !line.contains(" WARN ") && !line.contains(" ERROR "),
            "{line}"
        );
        assert!(line.len() <= LINE_BYTES_MAX, "{line}");
    }
    Ok(())
}

/// An older copy of a directory is known for one by the others only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_shows_no_head_before_the_others_have_taken_it_in() -> Result<(), Broken> {
    const NOT_YET: &str = "not yet with the others";
    let test = "a_node_shows_no_head_before_the_others_have_taken_it_in";
    let Some(programs) = programs(test) else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    registry.ready().await?;
    let reader = registry.client(MANUFACTURER, &[1])?;
    let reader = reader.deadline(Duration::from_secs(30)).build();
    let reader = reader.map_err(Broken::at(MANUFACTURER))?;
    let head = reader.unverified().checkpoint(0, 1).await;
    head.map_err(Broken::at("a head while all run"))?;

    registry.kill_all()?;
    registry.start_node(1)?;
    let here = &registry;
    until("node 1 runs", || async {
        here.status(1).await.map_err(|error| error.to_string())
    })
    .await?;
    let alone = registry.client(MANUFACTURER, &[1])?;
    let alone = alone.deadline(Duration::from_secs(3)).build();
    let alone = alone.map_err(Broken::at(MANUFACTURER))?;
    let told = alone
        .unverified()
        .checkpoint(0, 1)
        .await
        .expect_err("nobody took it in");
    assert!(format!("{told:?}").contains(NOT_YET), "{told:?}");
    let status = registry.status(1).await?;
    assert!(status.unavailable.contains(NOT_YET), "{status:?}");

    for node in [2, 3] {
        registry.start_node(node)?;
    }
    registry.ready().await?;
    let head = reader.unverified().checkpoint(0, 1).await;
    head.map_err(Broken::at("a head when they are there"))?;
    Ok(())
}
