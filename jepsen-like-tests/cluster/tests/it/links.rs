//! Links between the nodes that lose, delay, cut and reset what passes, one way or both, while clients write and read.

use std::time::Duration;

use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::Plan;
use carnet_cluster::links::Links;
use carnet_cluster::programs;
use carnet_cluster::proxy::Weather;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;

use crate::faults::hold;

fn linked() -> Plan {
    Plan {
        linked: true,
        ..Plan::of("XA")
    }
}

/// A fault and what it does to the links of a node.
type Cut = (&'static str, fn(&Links, u64));

/// Every fault of these, once.
fn each(faults: &[&'static str]) -> Least {
    Least {
        faults: faults.iter().map(|fault| (*fault, 1)).collect(),
        ..Least::of("", 0)
    }
}

/// Its clients still reach it, and it believes for a while that it leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_off_from_the_others_serves_nothing_old() -> Result<(), Broken> {
    let Some(programs) = programs("a_leader_cut_off_from_the_others_serves_nothing_old") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, linked(), LoadPlan::default()).await?;
    let cuts: [Cut; 3] = [
        ("leader isolated", Links::isolate),
        ("leader mute", Links::mute),
        ("leader deaf", Links::deafen),
    ];
    for (fault, cut) in cuts {
        run.cut_off_leader(fault, cut).await?;
        run.another_leads().await?;
        run.answers(150).await?;
        run.registry.links()?.all(Weather::Open);
        run.registry.ready().await?;
        run.answers(50).await?;
    }
    let faults = cuts.map(|(fault, _)| fault);
    hold(&run.judge(each(&faults)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_lose_delay_and_reset_lose_no_write() -> Result<(), Broken> {
    let Some(programs) = programs("links_that_lose_delay_and_reset_lose_no_write") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, linked(), LoadPlan::default()).await?;
    let weathers = [
        ("links lossy", Weather::Lossy { one_in: 40 }),
        ("links slow", Weather::Slow(Duration::from_millis(20))),
        ("links reset", Weather::Resets { one_in: 60 }),
        ("links cut", Weather::Cut),
    ];
    for (fault, weather) in weathers {
        run.links(fault, |links| links.all(weather))?;
        if weather == Weather::Cut {
            run.links_felt().await?;
        } else {
            run.answers(150).await?;
        }
        run.registry.links()?.all(Weather::Open);
        run.registry.ready().await?;
        run.answers(50).await?;
    }
    let faults = weathers.map(|(fault, _)| fault);
    hold(&run.judge(each(&faults)).await?);
    Ok(())
}
