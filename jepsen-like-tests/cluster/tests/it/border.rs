//! Three countries and a robot that crosses a border: the story that people are shown, judged line by line.
//!
//! A leader is killed under load, the exporter is cut off, forged bytes are shown, a permit is presented twice. Every
//! line of the story checks itself; here none may be missing.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use carnet_cluster::Broken;
use carnet_cluster::patience::until;
use carnet_cluster::skip::{Programs, programs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The models of the story.
const MODELS: &str = "../../deploy/humanoid_models.csv";

/// Lines of the story. One that is left out fails here.
const LINES: usize = 25;

#[test]
fn every_line_of_the_story_holds() -> Result<(), Broken> {
    let Some(programs) = programs("every_line_of_the_story_holds") else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(Broken::at("folder"))?;
    let told = Command::new(&programs.carnet)
        .args(["demo", "--once", "--json", "--models", MODELS])
        .arg("--dir")
        .arg(folder.path().join("story"))
        .output()
        .map_err(Broken::at("carnet demo"))?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let held = lines.iter().filter(|line| line["held"] == true).count();
    assert_eq!((held, told.status.code()), (LINES, Some(0)), "{text}");
    Ok(())
}

/// Begins a demo whose data goes below `folder`.
fn begin(programs: &Programs, folder: &Path, arguments: &[&str]) -> Result<Child, Broken> {
    Command::new(&programs.carnet)
        .args(["demo", "--once", "--json", "--models", MODELS])
        .args(arguments)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Broken::at("carnet demo"))
}

/// Processes of which the command line names a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let named = folder.display().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&named))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_interrupted_leaves_nothing_behind() -> Result<(), Broken> {
    let test = "a_demo_that_is_interrupted_leaves_nothing_behind";
    let Some(programs) = programs(test) else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(Broken::at("folder"))?;
    let mut demo = begin(&programs, folder.path(), &[])?;
    until("all nine nodes run", || async {
        let count = processes_of(folder.path())
            .iter()
            .filter(|line| line.contains("carnetd"))
            .count();
        match count {
            9 => Ok(()),
            count => Err(format!("{count} run")),
        }
    })
    .await?;
    let id = i32::try_from(demo.id()).map_err(Broken::at("process id"))?;
    kill(Pid::from_raw(id), Signal::SIGTERM).map_err(Broken::at("SIGTERM"))?;
    let status = until("the demo ends", || {
        let ended = demo.try_wait();
        async move {
            ended
                .map_err(|error| error.to_string())?
                .ok_or("it runs".to_owned())
        }
    })
    .await?;
    assert_eq!(status.code(), Some(128 + 15));
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    let left = std::fs::read_dir(folder.path()).map_err(Broken::at("folder"))?;
    let left: Vec<_> = left.flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_named_by_the_demo() -> Result<(), Broken> {
    let Some(programs) = programs("a_port_in_use_is_named_by_the_demo") else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(Broken::at("folder"))?;
    let mut held = Vec::new();
    let port = loop {
        let taken = TcpListener::bind("127.0.0.1:0").map_err(Broken::at("a port"))?;
        let port = taken.local_addr().map_err(Broken::at("a port"))?.port();
        held.push(taken);
        // The range must fit below the last port there is.
        if port < 65_000 {
            break port;
        }
    };
    // It is the first node's raft port.
    let from = (port - 11).to_string();
    let told = begin(&programs, folder.path(), &["--port", &from])?
        .wait_with_output()
        .map_err(Broken::at("carnet demo"))?;
    let said = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
    assert_eq!(told.status.code(), Some(1), "{said}");
    // A port of the range before it may be in use besides: then it is named first.
    assert!(
        said.contains("is in use: choose another with --port"),
        "{said}"
    );
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    Ok(())
}
