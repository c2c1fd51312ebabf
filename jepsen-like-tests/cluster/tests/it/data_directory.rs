//! A data directory belongs to one node of one cluster, and damage in it is never served.

use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::{Jurisdiction, Plan};
use carnet_cluster::programs;

/// The exit codes of `carnetd`, as its `--help` prints them.
pub(crate) mod exit {
    pub(crate) const STOPPED: i32 = 0;
    pub(crate) const KEYS: i32 = 3;
    pub(crate) const REFUSED: i32 = 4;
    pub(crate) const CORRUPT: i32 = 5;
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<(), Broken> {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(Broken::new(format!(
            "cp {} {}: {other:?}",
            from.display(),
            to.display()
        ))),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_asked_to_stop_stops_in_good_order() -> Result<(), Broken> {
    let Some(programs) = programs("a_node_that_is_asked_to_stop_stops_in_good_order") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    for id in registry.running() {
        assert_eq!(
            registry.stop(id).await?,
            Some(exit::STOPPED),
            "{}",
            registry.log_end(id)
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_of_another_cluster_is_refused() -> Result<(), Broken> {
    let Some(programs) = programs("the_data_of_another_cluster_is_refused") else {
        return Ok(());
    };
    let mut one = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let mut other = Jurisdiction::start(&programs, Plan::of("XB")).await?;
    one.stop(1).await?;
    other.stop(1).await?;
    std::fs::remove_dir_all(other.data(1)).map_err(Broken::at("remove"))?;
    copy(&one.data(1), &other.data(1))?;
    other.start_node(1)?;
    assert_eq!(
        other.exit_code(1).await?,
        Some(exit::REFUSED),
        "{}",
        other.log_end(1)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_of_another_node_is_refused() -> Result<(), Broken> {
    let Some(programs) = programs("the_data_of_another_node_is_refused") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    registry.stop(1).await?;
    registry.stop(2).await?;
    std::fs::remove_dir_all(registry.data(2)).map_err(Broken::at("remove"))?;
    copy(&registry.data(1), &registry.data(2))?;
    registry.start_node(2)?;
    assert_eq!(
        registry.exit_code(2).await?,
        Some(exit::REFUSED),
        "{}",
        registry.log_end(2)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_others_may_read_stops_the_start() -> Result<(), Broken> {
    use std::os::unix::fs::PermissionsExt;
    let Some(programs) = programs("a_key_that_others_may_read_stops_the_start") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::lay_out(&programs, Plan::of("XA"))?;
    let seed = registry.pki().join("keys/log.seed");
    std::fs::set_permissions(&seed, std::fs::Permissions::from_mode(0o644))
        .map_err(Broken::at("chmod"))?;
    registry.start_node_as_it_is(1, &[])?;
    assert_eq!(
        registry.exit_code(1).await?,
        Some(exit::KEYS),
        "{}",
        registry.log_end(1)
    );
    assert!(
        registry.log_end(1).contains("keys/log.seed has mode 0644"),
        "{}",
        registry.log_end(1)
    );
    assert!(
        !registry.data(1).exists(),
        "the data folder was made before the keys were judged"
    );
    let fault = registry.make_node(1).err().map(|fault| fault.to_string());
    let fault =
        fault.ok_or_else(|| Broken::new("a node was made with keys that others may read"))?;
    assert!(fault.contains("keys/log.seed has mode 0644"), "{fault}");
    assert!(!registry.data(1).exists(), "{fault}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flipped_bit_in_the_log_is_never_served() -> Result<(), Broken> {
    let Some(programs) = programs("one_flipped_bit_in_the_log_is_never_served") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    registry.stop(1).await?;
    let file = largest(&registry.data(1).join("log"))
        .ok_or_else(|| Broken::new("there is no log file"))?;
    let mut bytes = std::fs::read(&file).map_err(Broken::at("read"))?;
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).map_err(Broken::at("write"))?;
    registry.start_node(1)?;
    assert_eq!(
        registry.exit_code(1).await?,
        Some(exit::CORRUPT),
        "{}",
        registry.log_end(1)
    );
    Ok(())
}

fn largest(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    let mut best: Option<(u64, std::path::PathBuf)> = None;
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        let found = if path.is_dir() {
            largest(&path).and_then(|path| Some((std::fs::metadata(&path).ok()?.len(), path)))
        } else {
            entry.metadata().ok().map(|status| (status.len(), path))
        };
        best = best.max(found);
    }
    best.map(|(_, path)| path)
}
