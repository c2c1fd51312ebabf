//! A store is made once, by an operator's word, and is the only one that its node id ever has: whatever else lies in a
//! data directory is refused by name, the others go on serving, and nothing acknowledged is lost.
//!
//! The fault behind it: an empty disk under a known id started, won an election, and published writes were gone.

use std::path::Path;

use carnet_cluster::Broken;
use carnet_cluster::check::robots_linearizable;
use carnet_cluster::jurisdiction::{Jurisdiction, Plan};
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::{Load, LoadPlan};

use crate::data_directory::{copy, exit};
use crate::faults::hold;

fn remove(path: &Path) -> Result<(), Broken> {
    std::fs::remove_dir_all(path).map_err(Broken::at(path.display().to_string()))
}

/// A node ends by itself because of its data directory, and says why.
pub(crate) async fn refused(
    registry: &mut Jurisdiction,
    id: u64,
    reasons: &[&str],
) -> Result<(), Broken> {
    let code = registry.exit_code(id).await?;
    let said = registry.log_end(id);
    assert_eq!(code, Some(exit::REFUSED), "{said}");
    for reason in reasons {
        assert!(said.contains(reason), "{reason:?} is not said: {said}");
    }
    Ok(())
}

/// What was done to the data directory of a killed follower, and what it says when it is started on that.
async fn follower_refused_after(
    name: &str,
    harm: impl AsyncFnOnce(&mut Jurisdiction, u64) -> Result<(), Broken>,
    reasons: &[&str],
) -> Result<(), Broken> {
    let Some(programs) = programs(name) else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let killed = run.kill_follower().await?;
    harm(&mut run.registry, killed).await?;
    for _ in 0..2 {
        // A supervisor that starts it again changes nothing.
        run.registry.start_node_as_it_is(killed, &[])?;
        refused(&mut run.registry, killed, reasons).await?;
    }
    run.answers(200).await?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_disk_under_a_known_id_does_not_start() -> Result<(), Broken> {
    follower_refused_after(
        "an_empty_disk_under_a_known_id_does_not_start",
        async |registry, id| remove(&registry.data(id)),
        &[
            "holds no data of node",
            "run `carnetd init` if this is a new node under an id that was never used",
            "A lost or replaced disk is a new node",
        ],
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_its_log_does_not_start() -> Result<(), Broken> {
    follower_refused_after(
        "a_node_without_its_log_does_not_start",
        async |registry, id| remove(&registry.data(id).join("log")),
        &["(log) is gone, its state is there"],
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_its_state_does_not_start() -> Result<(), Broken> {
    follower_refused_after(
        "a_node_without_its_state_does_not_start",
        async |registry, id| remove(&registry.data(id).join("state")),
        &["(state) is gone, its log is there"],
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_the_log_of_another_does_not_start() -> Result<(), Broken> {
    follower_refused_after(
        "a_node_with_the_log_of_another_does_not_start",
        async |registry, id| {
            let running = registry.running();
            let other = running.first().copied();
            let other = other.ok_or_else(|| Broken::new("nobody runs"))?;
            remove(&registry.data(id).join("log"))?;
            copy(
                &registry.data(other).join("log"),
                &registry.data(id).join("log"),
            )
        },
        &["the log in", "belongs to store"],
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_made_once() -> Result<(), Broken> {
    let Some(programs) = programs("a_store_is_made_once") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    registry.stop(2).await?;
    let again = registry.make_node(2).err().map(|fault| fault.to_string());
    let again = again.ok_or_else(|| Broken::new("a store was made over another"))?;
    assert!(
        again.contains("is already the data directory of node 2"),
        "{again}"
    );
    registry.start_node(2)?;
    registry.ready().await?;
    Ok(())
}

/// Another `carnet pki init` for the same country makes another cluster: its certificates do not open these data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_another_cluster_do_not_open_the_data() -> Result<(), Broken> {
    let Some(programs) = programs("certificates_of_another_cluster_do_not_open_the_data") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let other = Jurisdiction::lay_out(&programs, Plan::of("XA"))?;
    registry.stop(1).await?;
    let config = registry.config(1);
    let text = std::fs::read_to_string(&config).map_err(Broken::at("configuration"))?;
    let pki = |of: &Jurisdiction| format!("{:?}", of.pki());
    let swapped = text.replace(&pki(&registry), &pki(&other));
    std::fs::write(&config, swapped).map_err(Broken::at("configuration"))?;
    registry.start_node(1)?;
    refused(&mut registry, 1, &["belongs to cluster", "not to cluster"]).await?;
    // With its own certificates again it serves.
    std::fs::write(&config, text).map_err(Broken::at("configuration"))?;
    registry.start_node(1)?;
    registry.ready().await?;
    Ok(())
}

/// The original fault: an acknowledged write lies on two disks, one of them is replaced, and the other node is away. The
/// third, which lags, and the empty disk are two of three nodes, but not two who know what was promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_disk_elects_nobody() -> Result<(), Broken> {
    let Some(programs) = programs("a_replaced_disk_elects_nobody") else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let lagging = run.kill_follower().await?;
    run.answers(200).await?;
    let replaced = run
        .registry
        .running()
        .into_iter()
        .next()
        .ok_or_else(|| Broken::new("nobody runs"))?;
    let away = run.kill_all()?;
    remove(&run.registry.data(replaced))?;
    run.registry.make_node(replaced)?;

    run.registry.start_node(lagging)?;
    run.registry.start_node(replaced)?;
    refused(&mut run.registry, replaced, &["store"]).await?;
    let status = run.registry.status(lagging).await?;
    assert_ne!(status.role, "leader", "{status:?}");
    // The one that knows comes back, and everything with it.
    for id in away.into_iter().filter(|id| *id != replaced) {
        run.registry.start_node(id)?;
    }
    hold(&run.judge(Least::of("kill all", 1)).await?);
    Ok(())
}

/// The original fault: the leader of a follower whose disk was wiped looped over it at full speed and filled its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_follower_made_anew_is_refused_and_its_leader_stays_quiet() -> Result<(), Broken> {
    /// Lines a leader may write about it in the time that some hundreds of operations take.
    const LINE_COUNT_MAX: usize = 100;
    let Some(programs) =
        programs("a_wiped_follower_made_anew_is_refused_and_its_leader_stays_quiet")
    else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let wiped = run.kill_follower().await?;
    remove(&run.registry.data(wiped))?;
    run.registry.make_node(wiped)?;
    let leader = run.registry.leader().await?;
    let before = line_count(&run.registry, leader)?;
    for _ in 0..2 {
        run.registry.start_node(wiped)?;
        refused(&mut run.registry, wiped, &["store"]).await?;
        run.answers(200).await?;
    }
    let written = line_count(&run.registry, leader)? - before;
    assert!(
        written <= LINE_COUNT_MAX,
        "the leader wrote {written} lines: {}",
        run.registry.log_end(leader)
    );
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}

/// A backup of a node's own directory, restored after the node went on: it forgot what the node promised since. Its
/// published heads are not judged here: until the others have refused it, it shows the last one of the backup, which a
/// client that has seen a newer one refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_its_own_directory_is_found_out_by_the_others() -> Result<(), Broken> {
    let Some(programs) = programs("an_older_copy_of_its_own_directory_is_found_out_by_the_others")
    else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let load = Load::start(&registry, LoadPlan::default())?;
    more_answers(&load, 100).await?;
    let leader = registry.leader().await?;
    let node = registry.running().into_iter().find(|id| *id != leader);
    let node = node.ok_or_else(|| Broken::new("there is no follower"))?;
    registry.kill(node)?;
    let data = registry.data(node);
    let backup = registry.folder().join("backup");
    copy(&data, &backup)?;
    registry.start_node(node)?;
    registry.ready().await?;
    more_answers(&load, 200).await?;
    registry.kill(node)?;
    remove(&data)?;
    copy(&backup, &data)?;
    registry.start_node(node)?;
    refused(&mut registry, node, &["runs on a copy"]).await?;
    more_answers(&load, 200).await?;
    let (operations, last) = load.finish().await?;
    assert_eq!(robots_linearizable(&operations, &last), []);
    Ok(())
}

async fn more_answers(load: &Load, more: usize) -> Result<(), Broken> {
    let least = load.answered() + more;
    until("more operations are answered", || async {
        let answered = load.answered();
        if answered < least {
            return Err(format!("{answered} of {least}"));
        }
        Ok(())
    })
    .await
}

fn line_count(registry: &Jurisdiction, node: u64) -> Result<usize, Broken> {
    let path = registry.log(node);
    let text = std::fs::read_to_string(&path).map_err(Broken::at(path.display().to_string()))?;
    Ok(text.lines().count())
}
