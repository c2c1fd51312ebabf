//! Disks that fill up under load, one and then a majority; and damage that a running node meets.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_client::{ClientError, Effect};
use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::{Jurisdiction, MANUFACTURER, Plan, model_id};
use carnet_cluster::patience::until;
use carnet_cluster::power::disks_can_be_filled;
use carnet_cluster::process::Process;
use carnet_cluster::programs;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;
use carnet_domain::bytes::code::Code;
use carnet_domain::rules::command::Command;
use carnet_wire::status::ApiError;

use crate::faults::hold;
use crate::power::on_disks;

/// Below the watermark of a sandbox node (64 MiB), and more than the test writes.
const NEARLY_FULL: u64 = 32 << 20;

/// The longest that asking for a snapshot may take.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(30);

/// Exit codes of `carnetd`.
mod exit {
    pub(super) const STOPPED: i32 = 0;
    pub(super) const FAILED: i32 = 1;
    pub(super) const USAGE: i32 = 2;
    pub(super) const CORRUPT: i32 = 5;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_majority_of_low_disks_refuses_writes_by_name() -> Result<(), Broken> {
    let test = "a_majority_of_low_disks_refuses_writes_by_name";
    let Some(programs) = programs(test).filter(|_| disks_can_be_filled(test)) else {
        return Ok(());
    };
    let mut run = Run::start(&programs, on_disks(), LoadPlan::default()).await?;
    let leader = run.registry.leader().await?;
    let nodes = run.registry.running();
    let followers: Vec<u64> = nodes.iter().copied().filter(|id| *id != leader).collect();

    run.fill_disk(followers[0], NEARLY_FULL)?;
    warned(&run.registry, leader, followers[0]).await?;
    warned(&run.registry, followers[0], followers[0]).await?;
    run.answers(200).await?;
    let look = run.registry.status(leader).await?;
    assert_eq!(look.refuses, "", "one low disk refuses nothing");

    run.fill_disk(leader, NEARLY_FULL)?;
    let said = refused(&run.registry).await?;
    for (node, folder) in [(leader, "log"), (followers[0], "log")] {
        let disk = run.registry.data(node).join(folder);
        let named = format!("node {node}: ");
        assert!(said.contains(&named), "{said}");
        assert!(
            said.contains(&format!("MiB free on {}", disk.display())),
            "{said}"
        );
    }
    assert!(said.contains("below the watermark of 64.0 MiB"), "{said}");
    let look = run.registry.status(leader).await?;
    assert_eq!(look.refuses, said, "the status says what a client is told");
    read(&run.registry).await?;
    // What makes room goes on.
    let admin = run.registry.admin(&[leader], SNAPSHOT_DEADLINE)?;
    admin
        .take_snapshot(&run.registry.admin_address(leader))
        .await
        .map_err(Broken::at("snapshot"))?;
    until("a snapshot is taken while writes are refused", || async {
        let look = run
            .registry
            .status(leader)
            .await
            .map_err(|e| e.to_string())?;
        match look.snapshot {
            0 => Err("none yet".to_owned()),
            _ if look.refuses.is_empty() => Err("writes are taken again".to_owned()),
            _ => Ok(()),
        }
    })
    .await?;

    run.registry.disk(leader)?.empty()?;
    let reader = run.registry.client(MANUFACTURER, &nodes)?.build();
    let writer = reader.map_err(Broken::at("client"))?;
    until("writes go on by themselves", || async {
        let asked = writer.submit_one(reserve(&run.registry, 900_001)?).await;
        asked.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    run.answers(200).await?;
    run.registry.disk(followers[0])?.empty()?;
    hold(&run.judge(Least::of("disk filled", 2)).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_full_disk_stops_with_the_cause_and_comes_back() -> Result<(), Broken> {
    let test = "a_node_with_a_full_disk_stops_with_the_cause_and_comes_back";
    let Some(programs) = programs(test).filter(|_| disks_can_be_filled(test)) else {
        return Ok(());
    };
    let mut run = Run::start(&programs, on_disks(), LoadPlan::default()).await?;
    for leads in [false, true] {
        let leader = run.registry.leader().await?;
        let other = run.registry.running().into_iter().find(|id| *id != leader);
        let struck = match leads {
            true => leader,
            false => other.ok_or_else(|| Broken::new("there is no follower"))?,
        };
        run.fill_disk(struck, 0)?;
        stopped_by_a_full_disk(&mut run.registry, struck).await?;
        run.answers(200).await?;
        // A supervisor starts it again too early.
        run.registry.start_node(struck)?;
        stopped_by_a_full_disk(&mut run.registry, struck).await?;
        run.registry.disk(struck)?.empty()?;
        run.registry.start_node(struck)?;
        run.registry.ready().await?;
        run.answers(100).await?;
    }
    hold(&run.judge(Least::of("disk filled", 2)).await?);
    Ok(())
}

/// A node reads its state back from files of which one was altered after they were written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_a_running_node_meets_ends_it_for_good() -> Result<(), Broken> {
    let test = "damage_that_a_running_node_meets_ends_it_for_good";
    let Some(programs) = programs(test) else {
        return Ok(());
    };
    let plan = Plan {
        snapshot_entries: 100,
        ..Plan::of("XA")
    };
    let mut run = Run::start(&programs, plan, LoadPlan::default()).await?;
    run.answers(1500).await?;
    run.load.halt().await?;
    let registry = &mut run.registry;
    registry.ready().await?;
    registry.stop(1).await?;
    let table = largest_table(&registry.data(1).join("state"))
        .ok_or_else(|| Broken::new("there is no table file"))?;
    flip(&table).map_err(Broken::at(table.display().to_string()))?;
    registry.start_node(1)?;
    // It starts: nobody reads every byte for that. Whoever does read them is answered no, and the node ends.
    until("the node answers or has ended", || async {
        match registry.status(1).await {
            Ok(_) => Ok(()),
            Err(_) if registry.log_end(1).contains("corrupt") => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    let _ = registry.status_with_digest(1).await;
    assert_eq!(
        registry.exit_code(1).await?,
        Some(exit::CORRUPT),
        "{}",
        registry.log_end(1)
    );
    let last = last_line(registry, 1);
    assert!(last.contains("corrupt state database"), "{last}");
    Ok(())
}

/// The folder beside log and state takes no new file: writes go on, and nothing could be signed. Once, nothing was ever
/// published again, and nobody said so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_keep_what_it_signs_says_so_and_hands_over() -> Result<(), Broken> {
    let test = "a_leader_that_cannot_keep_what_it_signs_says_so_and_hands_over";
    let Some(programs) = programs(test) else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let unable = run.registry.leader().await?;
    let unfinished = run.registry.data(unable).join("last-signed.new");
    std::os::unix::fs::symlink("/dev/full", &unfinished)
        .map_err(Broken::at(unfinished.display().to_string()))?;
    until("another node leads", || async {
        let leader = run.registry.leader().await.map_err(|e| e.to_string())?;
        match leader == unable {
            true => Err(format!("node {leader} leads")),
            false => Ok(()),
        }
    })
    .await?;
    let size = run.registry.status(unable).await?.tree_size;
    until(
        "what was written is published, and the node says what it lacks",
        || async {
            let look = run
                .registry
                .status(unable)
                .await
                .map_err(|e| e.to_string())?;
            let said = look.unpublished.contains("No space left on device");
            match said && size <= look.published_size {
                true => Ok(()),
                false => Err(format!(
                    "{} of {size}: {:?}",
                    look.published_size, look.unpublished
                )),
            }
        },
    )
    .await?;
    std::fs::remove_file(&unfinished).map_err(Broken::at("remove"))?;
    until("the node could lead again", || async {
        let look = run
            .registry
            .status(unable)
            .await
            .map_err(|e| e.to_string())?;
        match look.unpublished.is_empty() {
            true => Ok(()),
            false => Err(look.unpublished),
        }
    })
    .await?;
    run.answers(100).await?;
    let least = Least {
        faults: Vec::new(),
        ..Least::of("none", 0)
    };
    hold(&run.judge(least).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_last_signed_size_is_found_at_the_start() -> Result<(), Broken> {
    let test = "a_damaged_last_signed_size_is_found_at_the_start";
    let Some(programs) = programs(test) else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let leader = registry.leader().await?;
    registry.stop(leader).await?;
    let path = registry.data(leader).join("last-signed");
    let read = std::fs::read(&path).map_err(Broken::at(path.display().to_string()));
    let mut bytes = read?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).map_err(Broken::at("write"))?;
    registry.start_node(leader)?;
    let code = registry.exit_code(leader).await?;
    assert_eq!(code, Some(exit::CORRUPT), "{}", registry.log_end(leader));
    let last = last_line(&registry, leader);
    assert!(last.contains("corrupt last signed size"), "{last}");
    assert!(last.contains("retire the node"), "{last}");
    Ok(())
}

/// The log may lie on the disk that is full: `/dev/full` takes nothing, as such a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_written_changes_no_exit_code() -> Result<(), Broken> {
    let test = "a_log_that_cannot_be_written_changes_no_exit_code";
    let Some(programs) = programs(test) else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    registry.stop(1).await?;
    let full = Path::new("/dev/full");
    let config = registry.config(1).display().to_string();
    let start = |config: &str| {
        let arguments = ["--config", config];
        Process::start("carnetd on /dev/full", &programs.carnetd, &arguments, full)
    };
    let running = start(&config)?;
    until("the node without a log serves", || async {
        registry.status(1).await.map_err(|error| error.to_string())
    })
    .await?;
    assert_eq!(running.stop().await?, Some(exit::STOPPED));
    let mut misled = start("/nowhere/node.toml")?;
    assert_eq!(misled.exit_code().await?, Some(exit::USAGE));
    Ok(())
}

/// Waits until a node warns of the disk of another, or of its own.
async fn warned(registry: &Jurisdiction, who: u64, of: u64) -> Result<(), Broken> {
    let named = format!("node {of}: ");
    until(&format!("node {who} warns of node {of}"), || async {
        let look = registry.status(who).await.map_err(|e| e.to_string())?;
        let warns = look
            .warnings
            .iter()
            .any(|warning| warning.starts_with(&named));
        match warns {
            true => Ok(()),
            false => Err(format!("{:?}", look.warnings)),
        }
    })
    .await
}

/// Waits until a write is refused for want of room; what is said. It did not happen, and that is said too.
async fn refused(registry: &Jurisdiction) -> Result<String, Broken> {
    let client = registry
        .client(MANUFACTURER, &registry.running())?
        .build()
        .map_err(Broken::at("client"))?;
    until("a write is refused for want of room", || async {
        match client.submit_one(reserve(registry, 900_000)?).await {
            Err(error @ ClientError::Api(ApiError::NoRoom { .. })) => {
                assert_eq!((error.effect(), error.is_retryable()), (Effect::None, true));
                let ClientError::Api(ApiError::NoRoom { text }) = error else {
                    unreachable!("matched above")
                };
                Ok(text)
            }
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("it was written".to_owned()),
        }
    })
    .await
}

/// A linearizable read is answered.
async fn read(registry: &Jurisdiction) -> Result<(), Broken> {
    let client = registry
        .client(MANUFACTURER, &registry.running())?
        .build()
        .map_err(Broken::at("client"))?;
    let code = Code::parse(&format!(
        "{}{:017}",
        model_id(registry)?,
        LoadPlan::default().first_serial
    ))
    .map_err(Broken::at("code"))?;
    client
        .unverified()
        .robot(&code)
        .await
        .map_err(Broken::at("read"))?;
    Ok(())
}

fn reserve(registry: &Jurisdiction, serial: u32) -> Result<Command, String> {
    let model = model_id(registry).map_err(|error| error.to_string())?;
    let code = Code::parse(&format!("{model}{serial:017}")).map_err(|error| error.to_string())?;
    Ok(Command::Reserve { code })
}

/// Waits until a node has ended because its disk is full, with a code that says that starting again helps.
async fn stopped_by_a_full_disk(registry: &mut Jurisdiction, id: u64) -> Result<(), Broken> {
    let code = registry.exit_code(id).await?;
    let last = last_line(registry, id);
    assert_eq!(code, Some(exit::FAILED), "{}", registry.log_end(id));
    assert!(last.contains("No space left on device"), "{last}");
    let data = registry.data(id).display().to_string();
    assert!(last.contains(&data), "{last}");
    Ok(())
}

fn last_line(registry: &Jurisdiction, id: u64) -> String {
    let end = registry.log_end(id);
    end.lines().last().unwrap_or_default().to_owned()
}

fn largest_table(folder: &Path) -> Option<PathBuf> {
    let mut tables = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).ok()?.flatten() {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "sst" => {
                    tables.push((entry.metadata().ok()?.len(), path));
                }
                _ => {}
            }
        }
    }
    tables.into_iter().max().map(|(_, path)| path)
}

/// Flips a bit in the first data block.
fn flip(table: &Path) -> std::io::Result<()> {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(table)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100)?;
    byte[0] ^= 1;
    file.write_all_at(&byte, 100)
}
