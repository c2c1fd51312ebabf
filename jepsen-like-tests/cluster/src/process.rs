//! One real process: started with its output in a file, signalled as a group, never left behind.

use std::fs::OpenOptions;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::patience::{Broken, until};

/// Kills the child when the thread that started it ends, so that nothing outlives a harness that was killed itself.
const SETPRIV: &str = "/usr/bin/setpriv";

/// A running process. Dropping it kills its whole group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it says goes to the end of the file `log`.
    ///
    /// # Errors
    /// The log cannot be opened or the program not be started.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        log: &Path,
    ) -> Result<Self, Broken> {
        Self::start_in(name, program, arguments, &[], log)
    }

    /// As [`Self::start`], with variables beside those of the harness.
    ///
    /// # Errors
    /// The log cannot be opened or the program not be started.
    pub fn start_in(
        name: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, PathBuf)],
        log: &Path,
    ) -> Result<Self, Broken> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Broken::at(log.display().to_string()))?;
        let copy = file
            .try_clone()
            .map_err(Broken::at(log.display().to_string()))?;
        let mut command = if Path::new(SETPRIV).exists() {
            let mut command = Command::new(SETPRIV);
            command.arg("--pdeathsig=KILL").arg(program);
            command
        } else {
            Command::new(program)
        };
        let child = command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .process_group(0)
            .spawn()
            .map_err(Broken::at(format!("start {}", program.display())))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, without waiting.
    ///
    /// # Errors
    /// It is gone.
    pub fn strike(&self) -> Result<(), Broken> {
        self.signal(Signal::SIGKILL)
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill(mut self) -> Result<(), Broken> {
        self.signal(Signal::SIGKILL)?;
        self.child
            .wait()
            .map_err(Broken::at(format!("wait for {}", self.name)))?;
        Ok(())
    }

    /// SIGHUP: it reads its certificates anew.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn hang_up(&self) -> Result<(), Broken> {
        self.signal(Signal::SIGHUP)
    }

    /// SIGSTOP: it stands still and keeps its connections.
    ///
    /// # Errors
    /// It is gone.
    pub fn pause(&self) -> Result<(), Broken> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It is gone.
    pub fn resume(&self) -> Result<(), Broken> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGTERM, and waits until it has stopped; its exit code.
    ///
    /// # Errors
    /// It does not stop within the patience.
    pub async fn stop(mut self) -> Result<Option<i32>, Broken> {
        self.signal(Signal::SIGTERM)?;
        self.exit_code().await
    }

    /// Waits until it ends by itself; its exit code.
    ///
    /// # Errors
    /// It does not end within the patience.
    pub async fn exit_code(&mut self) -> Result<Option<i32>, Broken> {
        let what = format!("{} ends; its log is {}", self.name, self.log.display());
        let child = &mut self.child;
        let status = until(&what, || {
            let status = ended(child);
            async move { status }
        })
        .await?;
        Ok(status.code())
    }

    /// How it ended, if it has: nobody asked it to.
    pub fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or(0)),
        };
        Some(format!(
            "{} ended with {how}; its log is {}",
            self.name,
            self.log.display()
        ))
    }

    fn signal(&self, signal: Signal) -> Result<(), Broken> {
        let group = i32::try_from(self.child.id()).map_err(Broken::at("process id"))?;
        killpg(Pid::from_raw(group), signal)
            .map_err(Broken::at(format!("{signal} to {}", self.name)))
    }
}

fn ended(child: &mut Child) -> Result<ExitStatus, String> {
    match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        Ok(None) => Err("it runs".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end by itself in between; then there is nothing to kill and nobody to tell.
            let _ = self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}
