//! The threads that Raft runs on: its core, its network, its port, and nothing that a caller of another port can keep busy.
//!
//! A leader that sends no heartbeat for a second and a half is deposed. Heartbeats, votes and appends therefore never wait
//! for a read, a handshake or a page of somebody: those are on other threads, and the machine shares itself between threads.

use std::future::Future;
use std::io;
use std::time::Duration;

use carnet_consensus::Work;
use tokio::runtime::{Builder, Handle, Runtime};

/// Few do, since what waits for the disk has threads of its own; one alone would make votes wait behind appends.
const THREADS_MIN: usize = 2;
const THREADS_MAX: usize = 4;

/// The threads, until this is dropped.
#[derive(Debug)]
pub struct RaftThreads {
    /// `None` once it ends, and where there is one thread for everything.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl RaftThreads {
    /// Starts them. Without threads, everything is done by whoever calls this.
    ///
    /// # Errors
    /// The machine gives none.
    pub fn start(work: Work) -> io::Result<Self> {
        if work == Work::Inline {
            return Ok(Self {
                handle: Handle::current(),
                runtime: None,
            });
        }
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        let runtime = Builder::new_multi_thread()
            .worker_threads(processors.clamp(THREADS_MIN, THREADS_MAX))
            .thread_name("raft")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Where to put what belongs to Raft.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs something there to its end, and everything that it starts.
    ///
    /// # Errors
    /// It panicked.
    pub async fn run<F>(&self, work: F) -> io::Result<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let done = self.handle.spawn(work).await;
        done.map_err(|error| io::Error::other(error.to_string()))
    }

    /// Ends them. What waits for the disk has so long.
    pub async fn end(mut self, patience: Duration) {
        if let Some(runtime) = self.runtime.take() {
            let ending = move || runtime.shutdown_timeout(patience);
            // It cannot fail: it does not panic.
            let _ = tokio::task::spawn_blocking(ending).await;
        }
    }
}

impl Drop for RaftThreads {
    fn drop(&mut self) {
        // Where a task drops it, nothing may be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use carnet_kit::Country;

    use crate::house::House;

    /// Longer than it takes; only a failure waits it out.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

    /// Every thread of the ports is held, as by reads without end; whoever asks Raft meanwhile, from a thread of its own, is
    /// answered by a leader.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn raft_goes_on_while_every_thread_of_the_ports_is_held() {
        let house = House::of(&Country::with_market("86")).await;
        let raft = house.node.raft.clone();
        let (held, holding) = mpsc::channel();
        let mut releases = Vec::new();
        for _ in 0..2 {
            let (release, released) = mpsc::channel::<()>();
            let held = held.clone();
            releases.push(release);
            tokio::spawn(async move {
                held.send(()).expect("told");
                // Not a wait that a runtime knows of.
                let _ = released.recv_timeout(2 * PATIENCE);
            });
        }
        for _ in 0..2 {
            holding.recv_timeout(PATIENCE).expect("held");
        }
        let asking = std::thread::spawn(move || {
            let own = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let own = own.expect("a runtime");
            own.block_on(async { raft.read_index().await })
        });
        let answered = asking.join().expect("asked");
        drop(releases);
        assert!(answered.is_ok(), "{answered:?}");
        house.close().await;
    }
}
