//! Robots that cross a border all the time, while leaders die on both sides and the border is cut.

use std::collections::BTreeMap;

use carnet_cluster::Broken;
use carnet_cluster::border::{Border, Side};
use carnet_cluster::check::{Crossed, Verdict, epochs_stay_burned};
use carnet_cluster::custody::{Crossings, Traffic, offer_cancel_offer};
use carnet_cluster::jurisdiction::Plan;
use carnet_cluster::programs;
use carnet_cluster::proxy::Weather;
use carnet_domain::custody::Step;

use crate::faults::hold;

/// What this scenario must have had.
fn needed() -> Crossed {
    Crossed {
        both_ways: 30,
        endings: BTreeMap::from([(Step::Admit, 100), (Step::Return, 5), (Step::Cancel, 10)]),
        repeated: 20,
        lost_answers: 10,
        faults: BTreeMap::from([
            ("kill leader of A", 2),
            ("kill leader of B", 2),
            ("border cut", 2),
            ("silent border", 1),
        ]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_after_a_cancel_has_an_epoch_of_its_own() -> Result<(), Broken> {
    let Some(programs) = programs("an_offer_after_a_cancel_has_an_epoch_of_its_own") else {
        return Ok(());
    };
    let border = Border::start(&programs, Plan::of("XA"), Plan::of("XB")).await?;
    let came = offer_cancel_offer(&border).await?;
    for (country, trail) in [("XA", &came.exporter), ("XB", &came.importer)] {
        hold(&Verdict::of(epochs_stay_burned(country, trail), Vec::new()));
    }
    assert!(came.taken_up && !came.quarantined, "{came:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custody_survives_leader_kills_and_a_cut_border() -> Result<(), Broken> {
    let Some(programs) = programs("custody_survives_leader_kills_and_a_cut_border") else {
        return Ok(());
    };
    let plans = [Plan::of("XA"), Plan::of("XB")];
    let mut run = Crossings::start(&programs, plans, Traffic::default()).await?;
    run.crossed(30).await?;

    // Each country loses its leader while it cannot reach the other.
    for side in Side::BOTH {
        run.weather(Weather::Cut);
        let killed = run.kill_leader(side).await?;
        run.looks(side, 100).await?;
        run.bring_back(side, killed).await?;
        run.weather(Weather::Open);
        run.crossed(40).await?;
    }

    // Nobody is told that the border is closed, and both leaders die behind it; it opens before they are back.
    run.weather(Weather::Silent);
    let killed = [
        run.kill_leader(Side::A).await?,
        run.kill_leader(Side::B).await?,
    ];
    for side in Side::BOTH {
        run.looks(side, 100).await?;
    }
    run.weather(Weather::Open);
    run.crossed(40).await?;
    for (side, node) in Side::BOTH.into_iter().zip(killed) {
        run.bring_back(side, node).await?;
    }
    run.crossed(60).await?;
    hold(&run.judge(needed()).await?);
    Ok(())
}
