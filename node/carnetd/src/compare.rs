//! Lays this replica's state beside the others' at every seal, and ends the process when it is not the majority's.
//!
//! A replica that diverged answers as confidently as the others, so it must stop by itself: at once, with an alarm, and
//! for good. What it found is kept in the file `diverged` of the data directory, and no later start gets past it.
//!
//! Before a head is signed, a majority of the voters must have come to the same root. So no root of a diverged leader is
//! ever signed, and a replica that applies a signed head with another root than its own knows that it is the odd one out.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carnet_consensus::{Ballots, Point, Role, Verdict, Work};
use carnet_domain::record::registry::Sealed;
use carnet_store::compare::{Compared, Mark};
use carnet_store::directory::write_atomically;
use carnet_store::machine::StateMachine;
use carnet_store::registry::ContentToDigest;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use crate::node::Node;
use crate::run_error::RunError;

/// The longest that one peer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// While the whole content is digested, as many times what reading a page took is slept.
const PAUSE_FACTOR: u32 = 3;
/// The longest of these pauses: the process must end soon after it is asked to.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// What this node knows of the others' states.
pub struct Comparer {
    node: Arc<Node>,
    ballots: Mutex<Ballots>,
    noticed: Mutex<Noticed>,
    found: watch::Sender<Option<String>>,
}

/// Points at which somebody differs.
#[derive(Default)]
struct Noticed {
    /// The least one that is not settled, and since when on the monotonic clock any was not.
    unsettled: Option<(Point, Duration)>,
    /// Decided against another, and said so.
    told: BTreeSet<Point>,
}

/// What an operator is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compare {
    /// Newest sealed size at which a majority of the voters wrote what this node wrote; 0: none yet.
    pub agreed_size: u64,
    /// The newest digest of the whole content, and the voters that have the same.
    pub content: Option<(Mark, Vec<u64>)>,
    /// At what replicas differ while nobody knows a majority.
    pub unsettled: Option<String>,
}

impl Comparer {
    /// Of a node that has heard nothing yet.
    pub fn new(node: Arc<Node>) -> Self {
        Self {
            ballots: Mutex::new(Ballots::new(node.config.node.id)),
            node,
            noticed: Mutex::default(),
            found: watch::Sender::new(None),
        }
    }

    /// Runs until this replica turns out to be wrong, or `stopping` says that the node stops.
    ///
    /// # Errors
    /// Always, unless the node stops: [`RunError::Diverged`].
    pub async fn run(&self, mut stopping: watch::Receiver<bool>) -> Result<(), RunError> {
        let every = self.node.config.compare.every();
        let mut found = self.found.subscribe();
        let mut digesting = None;
        loop {
            tokio::select! {
                biased;
                // An error means that the sender is gone, which is a stop as well.
                _ = stopping.wait_for(|stop| *stop) => return Ok(()),
                Ok(why) = found.wait_for(Option::is_some) => {
                    return Err(RunError::Diverged(why.clone().unwrap_or_default()));
                }
                () = tokio::time::sleep(every) => {}
            }
            if self.node.raft.standing().borrow().role == Role::Stopped {
                continue;
            }
            self.digest_content(&mut digesting, &stopping);
            self.round(None).await;
        }
    }

    /// Whether a majority of the voters has come to the root of this seal. Asks them, and stops asking when it has.
    pub async fn confirms(&self, sealed: &Sealed) -> bool {
        let at = (sealed.size, Compared::Root);
        self.round(Some(at)).await;
        let voters = self.node.raft.status().voters;
        self.heard().verdict(at, &voters) == Verdict::Agreed
    }

    /// What an operator is shown.
    pub fn status(&self) -> Compare {
        let voters = self.node.raft.status().voters;
        let heard = self.heard();
        let agreed = heard
            .verdicts(&voters)
            .into_iter()
            .filter(|(at, verdict)| at.1 == Compared::Writes && *verdict == Verdict::Agreed);
        let agreed_size = agreed.map(|(at, _)| at.0).max().unwrap_or(0);
        let marks = self.node.state.marks(u64::MAX).unwrap_or_default();
        let content = marks
            .into_iter()
            .rfind(|mark| mark.what == Compared::Content);
        let content = content.map(|mark| {
            let voters = heard.agreeing((mark.size, Compared::Content), &voters);
            (mark, voters)
        });
        let unsettled = heard.unsettled(&voters).map(|at| {
            let (size, what, said) = (at.0, at.1.name(), heard.describe(at));
            format!("replicas differ, being settled: the {what} at size {size}: {said}")
        });
        Compare {
            agreed_size,
            content,
            unsettled,
        }
    }

    /// Asks those who have yet to speak, and judges what is known. With `enough` it ends when that point is agreed on.
    async fn round(&self, enough: Option<Point>) {
        let own = self.node.config.node.id;
        let voters = self.node.raft.status().voters;
        let marks = match self.node.state.marks(0) {
            Ok(marks) => marks,
            Err(error) => {
                warn!(%error, "what is to be compared cannot be read");
                return;
            }
        };
        let waiting = {
            let mut heard = self.heard();
            heard.hear_own(&marks);
            heard.waiting(&voters)
        };
        if let Some(least) = waiting {
            let index = marks.iter().map(|mark| mark.index).max().unwrap_or(0);
            let above = least.saturating_sub(1);
            let others = voters.iter().copied().filter(|voter| *voter != own);
            let mut asked: FuturesUnordered<_> = others
                .map(|voter| async move {
                    let raft = &self.node.raft;
                    (voter, raft.marks_of(voter, above, index, PATIENCE).await)
                })
                .collect();
            while let Some((voter, answer)) = asked.next().await {
                let mut heard = self.heard();
                heard.hear(voter, &answer.unwrap_or_default());
                if enough.is_some_and(|at| heard.verdict(at, &voters) == Verdict::Agreed) {
                    break;
                }
            }
        }
        self.judge();
    }

    fn judge(&self) {
        let voters = self.node.raft.status().voters;
        let now = self.node.clock.monotonic();
        let heard = self.heard();
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        let Noticed { unsettled, told } = &mut *noticed;
        let verdicts = heard.verdicts(&voters);
        told.retain(|at| verdicts.iter().any(|(point, _)| point == at));
        for (at, verdict) in verdicts {
            let why = match verdict {
                // Nobody is condemned by what is not known.
                Verdict::Open | Verdict::Differing => continue,
                Verdict::Agreed => {
                    if heard.differs(at) && told.insert(at) {
                        let (size, what, said) = (at.0, at.1.name(), heard.describe(at));
                        warn!(
                            size,
                            what,
                            said,
                            "another replica's state differs from the majority's, which is this one's"
                        );
                    }
                    continue;
                }
                Verdict::Minority => "a majority of the voters agrees on another",
                Verdict::NoMajority => "no majority of the voters agrees on any",
            };
            let (size, what) = (at.0, at.1.name());
            let said = heard.describe(at);
            let own = self.node.config.node.id;
            self.found.send_replace(Some(format!(
                "the {what} at size {size} of node {own} stands against others': {said}; {why}"
            )));
            return;
        }
        *unsettled = match (heard.unsettled(&voters), *unsettled) {
            (None, None) => None,
            (None, Some(_)) => {
                info!(
                    "what differed between the replicas is settled: this one is with the majority"
                );
                None
            }
            (Some(at), Some((_, since))) => Some((at, since)),
            (Some(at), None) => {
                let (size, what, said) = (at.0, at.1.name(), heard.describe(at));
                warn!(
                    size,
                    what, said, "replicas differ, and no majority is known yet: being settled"
                );
                Some((at, now))
            }
        };
        let long = |since| now.saturating_sub(since) >= self.node.config.compare.undecided();
        self.node
            .doubt(unsettled.is_some_and(|(_, since)| long(since)));
    }

    /// Begins to digest a state that is due, if there is one and none is being digested.
    fn digest_content(
        &self,
        digesting: &mut Option<oneshot::Receiver<()>>,
        stopping: &watch::Receiver<bool>,
    ) {
        if let Some(ended) = digesting
            && ended.try_recv() == Err(TryRecvError::Empty)
        {
            return;
        }
        let Some(content) = self.node.state.take_content() else {
            return;
        };
        let (node, stopping) = (Arc::clone(&self.node), stopping.clone());
        let (ends, ended) = oneshot::channel();
        *digesting = Some(ended);
        self.node.work.begin(move || {
            digest_slowly(&node, &content, &stopping);
            drop(ends);
        });
    }

    fn heard(&self) -> MutexGuard<'_, Ballots> {
        self.ballots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads everything in the background, asleep most of the time.
fn digest_slowly(node: &Node, content: &ContentToDigest, stopping: &watch::Receiver<bool>) {
    let begun = node.clock.monotonic();
    let mut since = begun;
    let digest = content.digest(|_| {
        let took = node.clock.monotonic().saturating_sub(since);
        // Where there is one thread for everything, nobody else is let on by a pause.
        if node.work == Work::Threads {
            std::thread::sleep((took * PAUSE_FACTOR).min(PAUSE_MAX));
        }
        since = node.clock.monotonic();
        !*stopping.borrow()
    });
    let size = content.size();
    match digest {
        Ok(Some(digest)) => {
            node.state.digested(content, digest);
            let seconds = since.saturating_sub(begun).as_secs();
            info!(size, digest = %hex::encode(digest), seconds, "whole content digested");
        }
        Ok(None) => {}
        Err(error) => error!(size, %error, "the whole content could not be read"),
    }
}

fn verdict_file(data: &Path) -> PathBuf {
    data.join("diverged")
}

/// Refuses to start on the data of a replica that was found to differ.
///
/// # Errors
/// [`RunError::Diverged`] with what was found then.
pub fn refuse_diverged(data: &Path) -> Result<(), RunError> {
    let path = verdict_file(data);
    match std::fs::read_to_string(&path) {
        Ok(found) => Err(RunError::Diverged(format!(
            "{} says: {}",
            path.display(),
            found.trim_end()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // Whatever it says, that it is there says enough.
        Err(error) => Err(RunError::Diverged(format!("{}: {error}", path.display()))),
    }
}

/// Raises the alarm, and keeps for every later start what was found.
pub fn alarm(data: &Path, found: &str) {
    error!(
        found,
        "this replica's state differs from the majority's: do not start again on this disk; replace it under a new node id"
    );
    let path = verdict_file(data);
    // An earlier verdict stands: it is nearer to the cause.
    if path.exists() {
        return;
    }
    if let Err(error) = write_atomically(&path, format!("{found}\n").as_bytes()) {
        error!(path = %path.display(), %error, "what was found is not kept: a later start will not know of it");
    }
}
