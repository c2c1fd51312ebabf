//! The processes of a demo: none outlives it, and nothing of it stays, however it ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::signal::unix::{SignalKind, signal};

/// Kills a process when the one that started it dies, even by SIGKILL.
const SETPRIV: &str = "/usr/bin/setpriv";

/// How often the removal of the folder is tried.
const REMOVALS_MAX: u32 = 10_000;

/// A node that runs.
struct Node {
    prefix: String,
    number: u16,
    log: PathBuf,
    child: Child,
}

/// The nodes that run, and the folder that goes with the last of them. Clones share both.
#[derive(Clone)]
pub(super) struct Processes {
    nodes: Arc<Mutex<Vec<Node>>>,
    /// The command that runs just now, which writes into the folder too.
    running: Arc<Mutex<Option<u32>>>,
    /// What is removed at the end; `None` if it is to stay.
    folder: Option<PathBuf>,
}

/// A command that ends with this process.
pub(super) fn command(program: &Path) -> Command {
    let mut command = if Path::new(SETPRIV).exists() {
        let mut command = Command::new(SETPRIV);
        command.arg("--pdeathsig=KILL").arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null());
    command
}

/// Waits for SIGINT, SIGTERM or SIGHUP; the exit code that tells of it.
pub(super) async fn interrupted() -> u8 {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let waits = kinds.into_iter().map(|kind| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signal) => drop(signal.recv().await),
                // This signal ends the process as it always does.
                Err(_) => std::future::pending().await,
            }
            128 + u8::try_from(kind.as_raw_value()).unwrap_or(0)
        })
    });
    futures::future::select_all(waits).await.0
}

impl Processes {
    /// None yet; `folder` is removed at the end.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            nodes: Arc::default(),
            running: Arc::default(),
            folder,
        }
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a node; what it says goes to the end of the file `log`.
    pub(super) fn start(
        &self,
        (prefix, number): (&str, u16),
        program: &Path,
        arguments: &[&str],
        log: &Path,
    ) -> Result<(), String> {
        let failed = |error| format!("{prefix}-{number}: {error}");
        let file = File::options().create(true).append(true).open(log);
        // Held until it is listed: an interrupt must find it.
        let mut nodes = self.nodes();
        let child = command(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(file.map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        nodes.push(Node {
            prefix: prefix.to_owned(),
            number,
            log: log.to_owned(),
            child,
        });
        Ok(())
    }

    /// Runs a command to its end and gives what it printed.
    pub(super) fn output(&self, command: &mut Command) -> std::io::Result<Output> {
        let child = {
            // Held until it is noted: an interrupt must find it.
            let _nodes = self.nodes();
            let child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            *self.running() = Some(child.id());
            child
        };
        let output = child.wait_with_output();
        *self.running() = None;
        output
    }

    fn running(&self) -> MutexGuard<'_, Option<u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `kill -9`.
    pub(super) fn kill(&self, prefix: &str, number: u16) -> Result<(), String> {
        let mut nodes = self.nodes();
        let found = |node: &Node| node.prefix == prefix && node.number == number;
        while let Some(at) = nodes.iter().position(found) {
            let mut node = nodes.swap_remove(at);
            let killed = node.child.kill().and_then(|()| node.child.wait());
            killed.map_err(|error| format!("kill {prefix}-{number}: {error}"))?;
        }
        Ok(())
    }

    /// Sends a signal to every node of a country.
    pub(super) fn signal(&self, prefix: &str, signal: &str) -> Result<(), String> {
        let nodes = self.nodes();
        let of_country = nodes.iter().filter(|node| node.prefix == prefix);
        send(signal, of_country)
    }

    /// The first node that ended although nobody stopped it: which, how, and the last thing it said.
    pub(super) fn fallen(&self) -> Option<String> {
        self.nodes().iter_mut().find_map(|node| {
            let status = node.child.try_wait().ok().flatten()?;
            let said = std::fs::read_to_string(&node.log).unwrap_or_default();
            let last = said.lines().last().unwrap_or_default();
            Some(format!(
                "node {} of {} ended by itself ({status}): {last}",
                node.number, node.prefix
            ))
        })
    }

    /// Ends every process and removes the folder. Nothing can be started while this runs.
    pub(super) fn clean(&self) {
        let mut nodes = self.nodes();
        end(&mut nodes);
        self.remove();
    }

    /// As [`Processes::clean`], and then ends this process: nothing is started in between.
    pub(super) fn clean_and_exit(&self, code: u8) -> ! {
        let mut nodes = self.nodes();
        end(&mut nodes);
        if let Some(id) = self.running().take() {
            drop(
                Command::new("kill")
                    .args(["-KILL", &id.to_string()])
                    .status(),
            );
        }
        self.remove();
        std::process::exit(i32::from(code))
    }

    fn remove(&self) {
        let Some(folder) = &self.folder else {
            return;
        };
        // Whoever was just writing there may have put a file into a folder that was empty a moment ago.
        for _ in 0..REMOVALS_MAX {
            if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

fn end(nodes: &mut Vec<Node>) {
    // A stopped process would not hear of its end.
    drop(send("-CONT", nodes.iter()));
    for node in nodes.iter_mut() {
        drop(node.child.kill());
        drop(node.child.wait());
    }
    nodes.clear();
}

fn send<'a>(signal: &str, nodes: impl Iterator<Item = &'a Node>) -> Result<(), String> {
    let ids: Vec<String> = nodes.map(|node| node.child.id().to_string()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let sent = Command::new("kill").arg(signal).args(&ids).status();
    match sent {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("kill {signal} failed")),
        Err(error) => Err(format!("kill: {error}")),
    }
}
