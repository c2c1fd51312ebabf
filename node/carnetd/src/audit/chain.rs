//! One chain: what waits to be written, who writes it, and how it stands.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carnet_consensus::Work;
use carnet_domain::log::audit::AuditHead;
use tokio::sync::{Semaphore, oneshot};
use tracing::{error, info};

use super::files::{Fault, Files};
use super::places::Places;
use super::{Chain, Page, Stands, lock};
use crate::clock::Clock;

/// The longest that anybody waits for the disk. One that took longer is asked nothing more until it answers.
pub(super) const DISK_PATIENCE: Duration = Duration::from_secs(2);
/// After a failure the disk is left alone for so long, unless what lies there has changed meanwhile.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// Pages that are being read of a chain; each holds a thread while the disk answers.
const READERS_MAX: usize = 4;

/// Writes one chain.
pub(super) struct Writer {
    folder: PathBuf,
    chain: Chain,
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    /// Refusals that found no place in the queue since the last that did.
    left_out: AtomicU64,
    pub(super) files: Mutex<Files>,
    pub(super) places: Mutex<Places>,
    readers: Arc<Semaphore>,
    seen: Mutex<Stands>,
}

/// Records that are to be written. One thread at a time writes a chain, however many callers wait for it.
#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    writing: bool,
    /// Since when what was taken last is with the disk.
    since: Option<Duration>,
}

/// A record that is to be written, and who waits for it.
pub(super) struct Waiting {
    pub(super) text: String,
    told: oneshot::Sender<Result<(), String>>,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, chain: Chain, clock: Arc<dyn Clock>) -> Self {
        let seen = Stands {
            chain,
            head: Default::default(),
            failing: String::new(),
        };
        Self {
            files: Mutex::new(Files::of(folder.clone(), chain)),
            folder,
            chain,
            clock,
            queue: Mutex::default(),
            left_out: AtomicU64::new(0),
            places: Mutex::default(),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            seen: Mutex::new(seen),
        }
    }

    pub(super) fn stands(&self) -> Stands {
        let mut stands = lock(&self.seen).clone();
        if stands.failing.is_empty()
            && let Some(since) = self.stuck()
        {
            stands.failing = silent(since);
        }
        stands
    }

    /// Where the chain stands, once that is on the disk. It blocks.
    pub(super) fn settle(&self) -> Result<AuditHead, String> {
        let stands = self.stands();
        match stands.failing.is_empty() {
            // Where it ends is not known now: it stands nowhere else for that.
            false => Err(stands.failing),
            true => lock(&self.files).settle(),
        }
    }

    /// For how long the disk has not answered, once that is too long.
    fn stuck(&self) -> Option<Duration> {
        let since = lock(&self.queue).since?;
        let waited = self.clock.monotonic().saturating_sub(since);
        (waited > DISK_PATIENCE).then_some(waited)
    }

    /// Whether one more may wait; with it, how many were left out before it.
    pub(super) fn enters(&self, waiting_max: usize) -> Option<u64> {
        if lock(&self.queue).waiting.len() >= waiting_max {
            self.leave_out();
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }

    /// Counts what is not written; the next record says how many.
    pub(super) fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks for the end of the chain, and notes what was cut off there, if anything was.
    pub(super) async fn look(self: &Arc<Self>, work: Work) {
        let begins = {
            let mut queue = lock(&self.queue);
            let begins = !std::mem::replace(&mut queue.writing, true);
            if begins {
                queue.since = Some(self.clock.monotonic());
            }
            begins
        };
        if begins {
            let writing = Writing(Arc::clone(self));
            let looking = work.run(move || {
                writing.0.write(Vec::new());
                writing.until_nothing_waits();
            });
            // Whoever notes something is told, if the disk still says nothing.
            let _ = tokio::time::timeout(DISK_PATIENCE, looking).await;
        }
    }

    /// Has a record written, with those of whoever comes at the same time. Where the disk does not answer in time, it may be written all
    /// the same, later.
    pub(super) async fn written(self: &Arc<Self>, text: String, work: Work) -> Result<(), String> {
        if let Some(since) = self.stuck() {
            return Err(silent(since));
        }
        let (written, begins) = self.queue(text);
        if begins {
            let writing = Writing(Arc::clone(self));
            work.begin(move || writing.until_nothing_waits());
        }
        match tokio::time::timeout(DISK_PATIENCE, written).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("this node stops".to_owned()),
            Err(_) => Err(silent(DISK_PATIENCE)),
        }
    }

    /// What a record's caller waits for, and whether somebody must begin to write.
    pub(super) fn queue(&self, text: String) -> (oneshot::Receiver<Result<(), String>>, bool) {
        let (told, written) = oneshot::channel();
        let mut queue = lock(&self.queue);
        queue.waiting.push(Waiting { text, told });
        let begins = !queue.writing;
        queue.writing = true;
        (written, begins)
    }

    /// What waits; with nothing the writer writes no more, in the same moment: what is queued after that begins another.
    fn next(&self) -> Vec<Waiting> {
        let now = self.clock.monotonic();
        let mut queue = lock(&self.queue);
        queue.writing = !queue.waiting.is_empty();
        queue.since = queue.writing.then_some(now);
        std::mem::take(&mut queue.waiting)
    }

    fn write(&self, batch: Vec<Waiting>) {
        let mut files = lock(&self.files);
        let now = self.clock.monotonic();
        let outcome = match files.failed_before(now, FAILED_PAUSE) {
            Some(fault) => Err(fault.why),
            None => {
                let outcome = self.append(&mut files, &batch);
                let said = outcome.as_ref().map_err(|fault| fault.why.clone()).copied();
                files.came_to(outcome, now);
                said
            }
        };
        {
            let mut seen = lock(&self.seen);
            let chain = self.chain.word();
            match &outcome {
                Err(why) if seen.failing.is_empty() => {
                    error!(chain, %why, "the audit cannot be written")
                }
                Ok(()) if !seen.failing.is_empty() => info!(chain, "the audit is written again"),
                Ok(()) | Err(_) => {}
            }
            seen.head = files.head();
            seen.failing = outcome.clone().err().unwrap_or_default();
        }
        // The disk has answered: whoever is told of it may ask the next moment.
        lock(&self.queue).since = None;
        for one in batch {
            // Whoever waited may have left meanwhile.
            let _ = one.told.send(outcome.clone());
        }
    }

    fn append(&self, files: &mut Files, batch: &[Waiting]) -> Result<(), Fault> {
        let texts = batch.iter().map(|one| one.text.as_str());
        let written = files.append(texts.collect(), self.clock.wall())?;
        let mut places = lock(&self.places);
        places.written(&written);
        for first in written.gone {
            places.forget(first);
        }
        Ok(())
    }

    /// Records after a number, as they lie in the files.
    pub(super) async fn page(
        self: &Arc<Self>,
        after: u64,
        count: usize,
        work: Work,
    ) -> Result<Page, String> {
        if let Some(since) = self.stuck() {
            return Err(silent(since));
        }
        let reader = Arc::clone(&self.readers).try_acquire_owned();
        let reader = reader.map_err(|_| "others read it now".to_owned())?;
        let writer = Arc::clone(self);
        let reading = work.run(move || {
            let page =
                super::places::read(&writer.places, &writer.folder, writer.chain, after, count);
            drop(reader);
            page
        });
        let read = tokio::time::timeout(DISK_PATIENCE * 4, reading).await;
        let read = read.map_err(|_| silent(DISK_PATIENCE * 4))?;
        read.map_err(|error| error.to_string())?
    }
}

fn silent(since: Duration) -> String {
    format!("the disk has not answered for {} s", since.as_secs())
}

/// The one that writes a chain, until nothing waits.
pub(super) struct Writing(pub(super) Arc<Writer>);

impl Writing {
    pub(super) fn until_nothing_waits(self) {
        loop {
            let batch = self.0.next();
            if batch.is_empty() {
                return;
            }
            self.0.write(batch);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // A panic, or a runtime that stops: the next to note something begins again.
        if std::thread::panicking() {
            let mut queue = lock(&self.0.queue);
            queue.writing = false;
            queue.since = None;
        }
    }
}
