//! The power fails, at all nodes at once, while clients write.

use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::Plan;
use carnet_cluster::power::power_can_be_cut;
use carnet_cluster::programs;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;

use crate::faults::hold;

/// How often the power fails.
pub(crate) const CUTS: usize = 4;

/// A cluster whose nodes have a disk each.
pub(crate) fn on_disks() -> Plan {
    Plan {
        disks: true,
        ..Plan::of("XA")
    }
}

/// Writes for a while and loses power, again and again, for as long as every node lives on what it was left.
pub(crate) async fn lose_power(run: &mut Run) -> Result<(), Broken> {
    for _ in 0..CUTS {
        if !run.goes_on(400).await? || !run.cut_power(100).await? {
            break;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_without_power_at_once_lose_nothing() -> Result<(), Broken> {
    let test = "all_nodes_without_power_at_once_lose_nothing";
    let Some(programs) = programs(test).filter(|_| power_can_be_cut(test)) else {
        return Ok(());
    };
    let mut run = Run::start(&programs, on_disks(), LoadPlan::default()).await?;
    lose_power(&mut run).await?;
    hold(&run.judge(Least::of("power cut", CUTS)).await?);
    Ok(())
}
