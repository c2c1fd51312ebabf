//! The harness itself, without the product: processes start, die and leave nothing behind.

use std::path::Path;

use carnet_cluster::Broken;
use carnet_cluster::process::Process;

#[tokio::test]
async fn a_process_killed_is_gone() -> Result<(), Broken> {
    let folder = tempfile::tempdir().map_err(Broken::at("folder"))?;
    let log = folder.path().join("log");
    let process = Process::start("sleeper", Path::new("/bin/sleep"), &["1000"], &log)?;
    process.kill()
}

#[tokio::test]
async fn a_process_stopped_gives_its_exit_code_and_its_words() -> Result<(), Broken> {
    let folder = tempfile::tempdir().map_err(Broken::at("folder"))?;
    let log = folder.path().join("log");
    let mut process = Process::start(
        "speaker",
        Path::new("/bin/sh"),
        &["-c", "echo out; echo err >&2; exit 7"],
        &log,
    )?;
    assert_eq!(process.exit_code().await?, Some(7));
    let said = std::fs::read_to_string(&log).map_err(Broken::at("log"))?;
    assert_eq!(said, "out\nerr\n");
    Ok(())
}

#[tokio::test]
async fn a_process_that_ended_by_itself_is_noticed() -> Result<(), Broken> {
    let folder = tempfile::tempdir().map_err(Broken::at("folder"))?;
    let log = folder.path().join("log");
    let mut process = Process::start("quitter", Path::new("/bin/sh"), &["-c", "exit 5"], &log)?;
    process.exit_code().await?;
    let how = process
        .has_ended()
        .ok_or_else(|| Broken::new("nothing was noticed"))?;
    assert!(how.contains("exit code 5"), "{how}");
    Ok(())
}

#[tokio::test]
async fn a_process_dropped_is_killed() -> Result<(), Broken> {
    let folder = tempfile::tempdir().map_err(Broken::at("folder"))?;
    let log = folder.path().join("log");
    let locked = folder.path().join("locked");
    let script = format!(
        "exec 9>{0}; flock 9; echo held >{0}.held; exec sleep 1000",
        locked.display()
    );
    let process = Process::start("holder", Path::new("/bin/sh"), &["-c", &script], &log)?;
    let held = folder.path().join("locked.held");
    carnet_cluster::patience::until("the lock is held", || async {
        if held.exists() {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await?;
    drop(process);
    let file = std::fs::File::open(&locked).map_err(Broken::at("lock file"))?;
    file.try_lock()
        .map_err(Broken::at("the lock is still held"))
}
