//! Who read what is not theirs, who was refused, and who changed the cluster, on this node: written before it is answered.
//!
//! Three chains of lines ([`carnet_domain::log::audit`]) in the folder `audit` of the data directory: `acts` (changes of the cluster),
//! `reads` (by those who may read everybody's) and `denied`. They are apart so that nobody pushes out what others did by what it may do
//! itself; within a chain a certificate has a rate: a change or a read beyond it is refused, a refusal beyond it is counted, and the next record
//! says how many. Each chain is cut into files named by the number of their first record; beyond the bound the oldest file goes, and
//! the chain goes on. What is told of `acts` and `reads` is synced first; callers at the same time share a sync. When `reads` cannot be
//! written, the read is refused; a change of the cluster goes on, with a line in the log, because it may be what makes room; a
//! refusal is a refusal all the same.
//!
//! What the rules decide is not here: it stands in the log of the registry with its signature.

mod chain;
mod files;
mod places;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_consensus::Work;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::AUDIT_TEXT_BYTES_MAX;
use carnet_domain::log::audit::AuditHead;
use carnet_domain::record::audited::AuditHeads;
use carnet_domain::rules::policy::Query;
use carnet_wire::status::ApiError;
use serde_json::json;
use tracing::error;

use self::chain::Writer;
use crate::clock::Clock;
use crate::share::holder::Holder;
use crate::share::rates::{HOLDER_COUNT_MAX, Rate, Rates};

/// The folder in a data directory.
const FOLDER: &str = "audit";
/// Files of changes; beyond it the oldest goes.
const ACTS_FILES_MAX: usize = 8;
/// Files of reads, which are many; beyond it the oldest goes.
const READS_FILES_MAX: usize = 48;
/// Files of refusals.
const DENIED_FILES_MAX: usize = 8;
/// Reads of one certificate that are noted: what is more is told to come back. At this rate it takes hours to fill the chain.
const READS_RATE: Rate = Rate {
    per_second: 100,
    burst: 2_000,
};
/// Changes of the cluster by one certificate: what is more is told to come back. A person's year has fewer than a minute of these, and a
/// stolen key pushes out for a day and a half nothing that it did before.
const ACTS_RATE: Rate = Rate {
    per_second: 1,
    burst: 60,
};
/// Refusals of one certificate that are noted one by one.
const DENIED_RATE: Rate = Rate {
    per_second: 5,
    burst: 100,
};
/// Refusals that wait to be written; more are counted, and the next record says how many.
const DENIED_WAITING_MAX: usize = 1_024;
/// Bytes of what a caller can make long, in a record.
const ABOUT_BYTES_MAX: usize = 512;
/// Records in one answer.
pub const PAGE_RECORDS_MAX: usize = 500;

/// What is noted with what: the records of one chain name each other, and have files of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chain {
    /// Changes of the cluster, and starts of the node.
    Acts,
    /// Privileged reads.
    Reads,
    /// Refusals.
    Denied,
}

impl Chain {
    /// Every one, in the order declared.
    pub const ALL: [Self; 3] = [Self::Acts, Self::Reads, Self::Denied];

    /// The word in files, queries and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Acts => "acts",
            Self::Reads => "reads",
            Self::Denied => "denied",
        }
    }

    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chain| chain.word() == word)
    }

    fn files_max(self) -> usize {
        match self {
            Self::Acts => ACTS_FILES_MAX,
            Self::Reads => READS_FILES_MAX,
            Self::Denied => DENIED_FILES_MAX,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The node started: what comes after it is of another process.
    Start,
    /// Somebody who may read everybody's read.
    Read,
    /// Somebody changes the cluster.
    Act,
    /// What came of such a change.
    Outcome,
    /// Somebody was refused.
    Denied,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Read => "read",
            Self::Act => "act",
            Self::Outcome => "outcome",
            Self::Denied => "denied",
        }
    }
}

/// What a query that is noted is.
pub fn kind(query: Query) -> Kind {
    match query {
        Query::ClusterChange => Kind::Act,
        _ => Kind::Read,
    }
}

/// One thing to note.
#[derive(Debug, Clone)]
pub struct Note<'a> {
    /// What happened.
    pub kind: Kind,
    /// The name in the certificate.
    pub who: &'a str,
    /// What was called, or asked.
    pub what: &'a str,
    /// About what; cut where it is long.
    pub about: &'a str,
    /// The request's id.
    pub request: &'a str,
}

/// The chains of a node.
pub struct Audit {
    clock: Arc<dyn Clock>,
    work: Work,
    acts: Arc<Writer>,
    reads: Arc<Writer>,
    denied: Arc<Writer>,
    acts_of: Mutex<Rates<Holder>>,
    reads_of: Mutex<Rates<Holder>>,
    denied_of: Mutex<Rates<Holder>>,
}

/// How a chain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stands {
    /// Which.
    pub chain: Chain,
    /// Its newest record.
    pub head: AuditHead,
    /// Why it cannot be written; empty: it can.
    pub failing: String,
}

/// Some records of a chain, as they lie in the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Lines in their order, without breaks.
    pub lines: Vec<String>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// What the log says of this node's chains that they do not hold; empty: nothing.
#[derive(Default)]
pub struct Contradicted(Mutex<String>);

impl Contradicted {
    /// In words.
    pub fn said(&self) -> String {
        let said = lock(&self.0);
        said.clone()
    }

    /// Says it, or that there is nothing; what is new goes into the log once.
    pub fn say(&self, text: String) {
        let mut said = lock(&self.0);
        if !text.is_empty() && *said != text {
            error!(text, "this node's audit is not what it was: runbook audit");
        }
        *said = text;
    }
}

impl Audit {
    /// The chains in a data directory. Nothing is read, and nothing written, before there is something to note.
    pub fn open(data_dir: &Path, clock: Arc<dyn Clock>, work: Work) -> Self {
        let folder = data_dir.join(FOLDER);
        let writer = |chain| Arc::new(Writer::new(folder.clone(), chain, Arc::clone(&clock)));
        let [acts, reads, denied] = Chain::ALL.map(writer);
        Self {
            clock,
            work,
            acts,
            reads,
            denied,
            acts_of: Mutex::new(Rates::new(ACTS_RATE, HOLDER_COUNT_MAX)),
            reads_of: Mutex::new(Rates::new(READS_RATE, HOLDER_COUNT_MAX)),
            denied_of: Mutex::new(Rates::new(DENIED_RATE, HOLDER_COUNT_MAX)),
        }
    }

    fn writer(&self, chain: Chain) -> &Arc<Writer> {
        match chain {
            Chain::Acts => &self.acts,
            Chain::Reads => &self.reads,
            Chain::Denied => &self.denied,
        }
    }

    /// Notes that the node starts, in each chain what a crash left unfinished, if it did: that is cut off, and the chain is none the
    /// less whole. A chain that has no file, because it was moved aside, goes on behind the place that the log has of it.
    pub async fn start(&self, version: &str, places: AuditHeads) {
        for (chain, place) in Chain::ALL.into_iter().zip(places.all()) {
            lock(&self.writer(chain).files).begin_behind(place);
        }
        let looking = Chain::ALL.map(|chain| self.writer(chain).look(self.work));
        futures::future::join_all(looking).await;
        let note = Note {
            kind: Kind::Start,
            who: "",
            what: "carnetd",
            about: version,
            request: "",
        };
        // Whoever reads or changes later is told, if it still cannot be written.
        let _ = self.note(&note).await;
    }

    /// Notes a change or a privileged read; when this returns it is on the disk.
    ///
    /// # Errors
    /// It cannot be written, or the caller reads faster than its reads are noted: what was to be noted must not be answered.
    pub async fn note(&self, note: &Note<'_>) -> Result<(), ApiError> {
        let writer = match note.kind {
            // One of each act, which was counted.
            Kind::Start | Kind::Outcome => &self.acts,
            Kind::Act => {
                let holder = Holder::new(note.who);
                let taken = lock(&self.acts_of).take(&holder, self.clock.monotonic());
                taken.map_err(|retry_after| ApiError::Overloaded { retry_after })?;
                &self.acts
            }
            Kind::Read => {
                let holder = Holder::new(note.who);
                let taken = lock(&self.reads_of).take(&holder, self.clock.monotonic());
                taken.map_err(|retry_after| ApiError::Overloaded { retry_after })?;
                &self.reads
            }
            Kind::Denied => &self.denied,
        };
        let text = text(note, self.clock.wall(), 0);
        let written = writer.written(text, self.work).await;
        written.map_err(|why| {
            ApiError::unavailable(format!(
                "what is asked has to be noted in this node's audit first, which cannot be written: {why} (runbook audit)"
            ))
        })
    }

    /// Notes a refusal. It is answered whether it was written or not.
    pub async fn denied(&self, note: &Note<'_>) {
        let writer = &self.denied;
        let holder = Holder::new(note.who);
        let taken = lock(&self.denied_of).take(&holder, self.clock.monotonic());
        if taken.is_err() {
            writer.leave_out();
            return;
        }
        let Some(uncounted) = writer.enters(DENIED_WAITING_MAX) else {
            return;
        };
        let text = text(note, self.clock.wall(), uncounted);
        // Why not is in the log and in the status.
        let _ = writer.written(text, self.work).await;
    }

    /// Looks for the ends of the files again before the next record, as after a failure.
    #[cfg(test)]
    pub(crate) fn look_again(&self) {
        for writer in [&self.acts, &self.reads, &self.denied] {
            lock(&writer.files).forget();
        }
    }

    /// How all stand.
    pub fn stands(&self) -> Vec<Stands> {
        let stands = |chain: Chain| self.writer(chain).stands();
        Chain::ALL.into_iter().map(stands).collect()
    }

    /// Where the chains stand, once all of that is on the disk: what is said of it elsewhere must be there after a power cut.
    ///
    /// # Errors
    /// It cannot be written; in words.
    pub async fn settled(&self) -> Result<AuditHeads, String> {
        let writers = [&self.acts, &self.reads, &self.denied].map(Arc::clone);
        let settle = move || -> Result<AuditHeads, String> {
            let [acts, reads, denied] = writers.map(|writer| writer.settle());
            Ok(AuditHeads {
                acts: acts?,
                reads: reads?,
                denied: denied?,
            })
        };
        let settled = self.work.run(settle).await;
        settled.map_err(|error| error.to_string())?
    }

    /// Records after one of them, as many as there are or `count`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub async fn page(&self, chain: Chain, after: u64, count: usize) -> Result<Page, ApiError> {
        let count = count.min(PAGE_RECORDS_MAX);
        let read = self.writer(chain).page(after, count, self.work).await;
        read.map_err(|error| ApiError::unavailable(format!("the audit cannot be read: {error}")))
    }
}

fn text(note: &Note<'_>, at: TimeMs, uncounted: u64) -> String {
    let mut value = json!({
        "at": at.to_string(),
        "at_ms": at.as_ms().to_string(),
        "kind": note.kind.word(),
        "who": cut(note.who),
        "what": cut(note.what),
        "about": cut(note.about),
        "request": note.request,
    });
    if uncounted > 0 {
        value["left_out_before"] = uncounted.to_string().into();
    }
    let text = value.to_string();
    if text.len() > AUDIT_TEXT_BYTES_MAX {
        // Escapes made it long: who and what are names of certificates and methods, so it was about something odd.
        value["about"] = "(left out)".into();
        return value.to_string();
    }
    text
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(ABOUT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is whole when it is made, so a poisoned lock holds a whole value.
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
