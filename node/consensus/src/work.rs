//! Where blocking work runs: on a thread of its own, or right here in a simulation that must have only one.

use std::io;

/// Where calls that wait for the disk run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Work {
    /// On tokio's blocking threads.
    #[default]
    Threads,
    /// In the calling task. Only for a simulation whose stores are in memory.
    Inline,
}

impl Work {
    /// Runs a call that waits for the disk, and ends with it.
    ///
    /// # Errors
    /// It panicked, or the process is stopping.
    pub async fn run<T: Send + 'static>(
        self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Work::Inline => Ok(job()),
            Work::Threads => tokio::task::spawn_blocking(job)
                .await
                .map_err(io::Error::other),
        }
    }

    /// Begins a call that waits for the disk; in a simulation it has ended when this returns.
    pub fn begin(self, job: impl FnOnce() + Send + 'static) {
        match self {
            Work::Inline => job(),
            Work::Threads => {
                // Whoever waits for what it does is told by it.
                drop(tokio::task::spawn_blocking(job));
            }
        }
    }
}
