//! Many commands: cut into signed requests, streamed, resumed after a broken stream, answered one by one.

use std::collections::BTreeMap;

use bytes::Bytes;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::machine::entry::{Answer, ItemAnswer};
use carnet_domain::rules::command::{Command, CommandKind};
use carnet_domain::rules::rejection::Reason;
use carnet_wire::limits;
use carnet_wire::registry::v1 as pb;
use carnet_wire::status::ApiError;
use futures::StreamExt as _;
use tonic::Streaming;

use crate::call::{failure_of, registry};
use crate::client::{Client, Position, Tries};
use crate::clock::now;
use crate::error::ClientError;
use crate::picker::Seen;
use crate::retry::{Failure, Intent};
use crate::session::SESSIONS_TRIED_MAX;
use crate::submit::{Signed, expired, lost_session, malformed, one_kind};

/// What happens while a bulk runs.
#[derive(Debug)]
pub enum BulkEvent<'a> {
    /// A command was answered, each exactly once.
    Answered {
        /// 0-based index among all commands given.
        index: u64,
        /// Its fate.
        answer: &'a ItemAnswer,
    },
    /// A stream broke; the same bytes are sent again.
    Resumed {
        /// How often this request was sent so far.
        attempts: u32,
        /// Why.
        failure: &'a Failure,
    },
}

/// What became of a bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BulkReport {
    /// Commands answered.
    pub answered: u64,
    /// Commands that wrote something.
    pub done: u64,
    /// Of those done, the first of two words: they wait for a second person.
    pub waiting: u64,
    /// Lawful "no"s.
    pub refused: u64,
    /// Commands with nothing to do.
    pub nothing: u64,
    /// Signed requests.
    pub requests: u64,
    /// Streams opened: more than requests if some broke.
    pub streams: u64,
    /// Where the last answer stands.
    pub position: Position,
}

impl BulkReport {
    fn count(&mut self, answer: &ItemAnswer) {
        self.answered += 1;
        match answer {
            ItemAnswer::Done { waits, .. } => {
                self.done += 1;
                self.waiting += u64::from(*waits);
            }
            ItemAnswer::Refused { .. } => self.refused += 1,
            ItemAnswer::Nothing {} => self.nothing += 1,
        }
    }
}

/// A bulk that ended early. Everything before [`BulkFailure::unknown_from`] was answered.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {} answers", report.answered)]
pub struct BulkFailure {
    /// What was answered.
    pub report: BulkReport,
    /// 0-based index of the first command of the request that failed: from here on read before repeating.
    pub unknown_from: u64,
    /// Why.
    #[source]
    pub source: ClientError,
}

/// A bulk request that was begun. Dropped, it ends, and nothing of it was executed.
#[derive(Debug)]
pub struct HeldBulk(tokio::task::JoinHandle<()>);

impl Drop for HeldBulk {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The next of many commands.
enum Next {
    /// These are signed and sent as one request.
    Send(Batch),
    /// This one no registry reads: it is answered here, as a registry would, and stops none of the others.
    Malformed {
        /// Index among all.
        index: u64,
    },
}

struct Batch {
    kind: CommandKind,
    items: Vec<Blob>,
    /// Index of its first command among all.
    first: u64,
}

impl Client {
    /// Submits any number of commands, in order, each request of one kind and at most 10,000 items or 8 MiB. Each log
    /// entry is atomic; a request is not, and the whole is not.
    ///
    /// # Errors
    /// [`BulkFailure`], with what was answered before.
    pub async fn submit_bulk(
        &self,
        commands: impl IntoIterator<Item = Command>,
        mut observe: impl FnMut(BulkEvent<'_>),
    ) -> Result<BulkReport, BulkFailure> {
        let mut report = BulkReport::default();
        for batch in Batches::new(commands.into_iter()) {
            let (unknown_from, sent) = match batch {
                Next::Send(batch) => {
                    let sent = self.send_batch(&batch, &mut report, &mut observe).await;
                    (batch.first, sent)
                }
                Next::Malformed { index } => {
                    let answer = ItemAnswer::Refused {
                        rejection: Reason::Malformed.into(),
                    };
                    report.count(&answer);
                    observe(BulkEvent::Answered {
                        index,
                        answer: &answer,
                    });
                    (index, Ok(()))
                }
            };
            if let Err(source) = sent {
                return Err(BulkFailure {
                    report,
                    unknown_from,
                    source,
                });
            }
        }
        Ok(report)
    }

    /// Begins a bulk request, and never sends its last message: what a node holds for it meanwhile is what its edge is measured
    /// with.
    ///
    /// # Errors
    /// There is no command, they are of several kinds, or no session could be opened.
    pub async fn hold_bulk(&self, commands: &[Command]) -> Result<HeldBulk, ClientError> {
        let kind = one_kind(commands)?;
        let items: Vec<Blob> = commands
            .iter()
            .map(|command| Blob(command.to_bytes()))
            .collect();
        let signed = self.sign(kind, &items, part_items(&items)).await?;
        let mut begun = messages(&signed, &items);
        begun.pop();
        let (_, channel) = self.0.net.pick()?;
        let mut client = registry(channel);
        let stream = futures::stream::iter(begun).chain(futures::stream::pending());
        Ok(HeldBulk(tokio::spawn(async move {
            // What is said of it is said to nobody.
            let _ = client.submit_bulk(stream).await;
        })))
    }

    async fn send_batch(
        &self,
        batch: &Batch,
        report: &mut BulkReport,
        observe: &mut impl FnMut(BulkEvent<'_>),
    ) -> Result<(), ClientError> {
        for tried in 1.. {
            let parts = part_items(&batch.items);
            let signed = self.sign(batch.kind, &batch.items, parts).await?;
            report.requests += 1;
            let mut job = Job {
                batch,
                messages: messages(&signed, &batch.items),
                answered: vec![false; batch.items.len()],
                no_room: BTreeMap::new(),
                sign_again: tried == 1,
            };
            let mut tries = Tries::begin();
            let end = self.run(&mut job, &mut tries, report, observe).await;
            match end {
                Ok(End::Complete | End::NoRoom) => return Ok(()),
                // Nothing was executed, and log time is known now.
                Ok(End::Expired(_)) if !tries.uncertain => {}
                // A part after the first may have been executed by the attempt that broke off.
                Ok(End::Expired(text)) => {
                    return Err(ClientError::UnknownOutcome {
                        attempts: tries.attempts,
                        last: text,
                    });
                }
                Ok(End::LostSession(text)) => {
                    self.forget_session(signed.session.id)?;
                    if tries.uncertain
                        || job.answered.contains(&true)
                        || SESSIONS_TRIED_MAX <= tried
                    {
                        return Err(ClientError::UnknownOutcome {
                            attempts: tries.attempts,
                            last: text,
                        });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the loop ends by its own count")
    }

    /// Sends the same messages until every item is answered.
    async fn run(
        &self,
        job: &mut Job<'_>,
        tries: &mut Tries,
        report: &mut BulkReport,
        observe: &mut impl FnMut(BulkEvent<'_>),
    ) -> Result<End, ClientError> {
        let net = &self.0.net;
        let patience = net.attempt.max(limits::REQUEST_TIMEOUT);
        let mut give_up_at = now() + net.deadline;
        loop {
            let (address, channel) = net.pick()?;
            report.streams += 1;
            let before = job.count_answered();
            job.no_room.clear();
            let mut client = registry(channel);
            let opened = tokio::time::timeout(patience, client.submit_bulk(job.stream())).await;
            let end = match opened {
                Ok(Ok(response)) => {
                    self.follow(response.into_inner(), job, report, observe)
                        .await?
                }
                Ok(Err(status)) => Err(failure_of(&status)),
                Err(_) => Err(Failure::TimedOut),
            };
            let failure = match end {
                Ok(End::NoRoom) => {
                    net.report(&address, &Seen::Served);
                    if before == job.count_answered() {
                        // No entry had room for it, alone as it was: that is its answer.
                        job.settle(report, observe);
                        return Ok(End::Complete);
                    }
                    // The same request is executed where it stopped.
                    give_up_at = now() + net.deadline;
                    continue;
                }
                Ok(end) => {
                    net.report(&address, &Seen::Served);
                    return Ok(end);
                }
                Err(failure) => failure,
            };
            if before < job.count_answered() {
                // It advances: the deadline is for standing still.
                give_up_at = now() + net.deadline;
            }
            if let Some(error) = net
                .failed(tries, &address, &failure, Intent::Write, give_up_at)
                .await
            {
                return Err(error);
            }
            observe(BulkEvent::Resumed {
                attempts: tries.attempts,
                failure: &failure,
            });
        }
    }

    /// Reads answers until all are there, or the stream breaks.
    async fn follow(
        &self,
        mut stream: Streaming<pb::BulkResponse>,
        job: &mut Job<'_>,
        report: &mut BulkReport,
        observe: &mut impl FnMut(BulkEvent<'_>),
    ) -> Result<Result<End, Failure>, ClientError> {
        let patience = self.0.net.attempt.max(limits::REQUEST_TIMEOUT);
        loop {
            let next = match tokio::time::timeout(patience, stream.message()).await {
                Ok(Ok(Some(next))) => next,
                Ok(Ok(None)) => {
                    let text = format!(
                        "the stream ended after {} of {} answers",
                        job.count_answered(),
                        job.answered.len()
                    );
                    return Ok(Err(Failure::Api(ApiError::UnknownOutcome { text })));
                }
                Ok(Err(status)) => return Ok(Err(failure_of(&status))),
                Err(_) => return Ok(Err(Failure::TimedOut)),
            };
            let answer = Answer::from_bytes(&next.answer).map_err(|error| {
                ClientError::Protocol(format!("the answer is not canonical: {error}"))
            })?;
            self.saw_log_time(answer.at);
            self.0.heads.acknowledged(answer.size, answer.at);
            if let Some(rejection) = lost_session(&answer) {
                return Ok(Ok(End::LostSession(rejection.to_string())));
            }
            if job.sign_again
                && job.count_answered() == 0
                && let Some(rejection) = expired(&answer)
            {
                return Ok(Ok(End::Expired(rejection.to_string())));
            }
            report.position = Position::of(next.position)?;
            job.take(next.first_item as usize, answer, report, observe)?;
            if job.count_answered() + job.no_room.len() == job.answered.len() {
                return Ok(Ok(match job.no_room.is_empty() {
                    true => End::Complete,
                    false => End::NoRoom,
                }));
            }
        }
    }
}

enum End {
    Complete,
    /// All is answered but for what found no room in its log entry, and was not executed.
    NoRoom,
    /// Its time was over before any of this attempt was executed.
    Expired(String),
    LostSession(String),
}

struct Job<'a> {
    batch: &'a Batch,
    messages: Vec<pb::BulkRequest>,
    answered: Vec<bool>,
    /// What found no room in its log entry on the newest stream: the one answer that is no item's last.
    no_room: BTreeMap<usize, ItemAnswer>,
    /// Whether it may be signed again if its time is over.
    sign_again: bool,
}

impl Job<'_> {
    fn stream(&self) -> impl futures::Stream<Item = pb::BulkRequest> + Send + 'static {
        futures::stream::iter(self.messages.clone())
    }

    fn count_answered(&self) -> usize {
        self.answered.iter().filter(|answered| **answered).count()
    }

    fn take(
        &mut self,
        first: usize,
        answer: Answer,
        report: &mut BulkReport,
        observe: &mut impl FnMut(BulkEvent<'_>),
    ) -> Result<(), ClientError> {
        if self.answered.len() < first.saturating_add(answer.items.len()) {
            return Err(ClientError::Protocol(format!(
                "an answer to item {} that was never sent",
                first + answer.items.len()
            )));
        }
        for (at, item) in (first..).zip(answer.items) {
            if found_no_room(&item) && !self.answered[at] {
                self.no_room.insert(at, item);
            } else {
                self.answer(at, &item, report, observe);
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        at: usize,
        item: &ItemAnswer,
        report: &mut BulkReport,
        observe: &mut impl FnMut(BulkEvent<'_>),
    ) {
        if std::mem::replace(&mut self.answered[at], true) {
            return;
        }
        report.count(item);
        observe(BulkEvent::Answered {
            index: self.batch.first + at as u64,
            answer: item,
        });
    }

    /// Takes what found no room as answered by that.
    fn settle(&mut self, report: &mut BulkReport, observe: &mut impl FnMut(BulkEvent<'_>)) {
        for (at, item) in std::mem::take(&mut self.no_room) {
            self.answer(at, &item, report, observe);
        }
    }
}

/// Whether an item was not executed for lack of room in its log entry: the same request again executes it.
fn found_no_room(answer: &ItemAnswer) -> bool {
    matches!(answer, ItemAnswer::Refused { rejection } if rejection.reason == Reason::EntryFull)
}

/// Items a part: as many as [`limits::BULK_PART_ITEMS_MAX`], or half as often as every part needs to stay within
/// [`limits::BULK_PART_BYTES_MAX`].
fn part_items(items: &[Blob]) -> u32 {
    let fits = |part: &[Blob]| {
        let bytes: usize = part.iter().map(|item| item.0.len()).sum();
        bytes <= limits::BULK_PART_BYTES_MAX
    };
    let halves = std::iter::successors(Some(limits::BULK_PART_ITEMS_MAX), |size| Some(size / 2));
    let mut sizes = halves.take_while(|size| *size > 1);
    let found = sizes.find(|size| items.chunks(*size as usize).all(fits));
    found.unwrap_or(1)
}

/// Header and signature in the first message, then items in messages of bounded size. Deterministic, so that a
/// repetition is cut into the same entries.
fn messages(signed: &Signed, items: &[Blob]) -> Vec<pb::BulkRequest> {
    let mut out = vec![pb::BulkRequest {
        header: signed.header.clone(),
        signature: Bytes::copy_from_slice(&signed.signature.0),
        items: Vec::new(),
    }];
    let mut size = 0;
    for item in items {
        let full = limits::BULK_MESSAGE_BYTES_MAX < size + item.0.len();
        if full {
            out.push(pb::BulkRequest::default());
            size = 0;
        }
        size += item.0.len();
        if let Some(last) = out.last_mut() {
            last.items.push(Bytes::copy_from_slice(&item.0));
        }
    }
    out
}

/// Cuts commands into requests: one kind, bounded count and bytes.
struct Batches<I: Iterator<Item = Command>> {
    commands: std::iter::Peekable<I>,
    next: u64,
}

impl<I: Iterator<Item = Command>> Batches<I> {
    fn new(commands: I) -> Self {
        Self {
            commands: commands.peekable(),
            next: 0,
        }
    }
}

impl<I: Iterator<Item = Command>> Iterator for Batches<I> {
    type Item = Next;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.commands.peek()?.kind();
        let mut batch = Batch {
            kind,
            items: Vec::new(),
            first: self.next,
        };
        let mut size = 0;
        while batch.items.len() < limits::ITEMS_MAX as usize {
            let Some(command) = self
                .commands
                .peek()
                .filter(|command| command.kind() == kind)
            else {
                break;
            };
            let bytes = command.to_bytes();
            if malformed(&bytes).is_some() {
                if !batch.items.is_empty() {
                    break;
                }
                let index = self.next;
                self.next += 1;
                self.commands.next();
                return Some(Next::Malformed { index });
            }
            if limits::BULK_BYTES_MAX < size + bytes.len() {
                break;
            }
            size += bytes.len();
            batch.items.push(Blob(bytes));
            self.next += 1;
            self.commands.next();
        }
        Some(Next::Send(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::code::Code;
    use carnet_domain::bytes::digest::Digest;
    use carnet_domain::bytes::time::TimeMs;
    use carnet_domain::limits::CONDITIONS_MAX;
    use carnet_domain::record::RecallId;
    use carnet_domain::rules::command::{Condition, TransferId};

    fn reserve(serial: u32) -> Command {
        Command::Reserve {
            code: Code::parse(&format!("860001100002{serial:017}")).expect("a code"),
        }
    }

    fn cuts(commands: Vec<Command>) -> Vec<(u64, usize)> {
        Batches::new(commands.into_iter())
            .map(|next| match next {
                Next::Send(batch) => (batch.first, batch.items.len()),
                Next::Malformed { index } => (index, 0),
            })
            .collect()
    }

    #[test]
    fn what_no_registry_reads_is_answered_here_and_stops_nothing() {
        let hold = |bytes: usize| Command::SetHold {
            code: Code::parse("86000110000200000000000000001").expect("a code"),
            kind: carnet_domain::rules::lifecycle::HoldKind::Theft,
            reason: "x".repeat(bytes),
        };
        let commands = vec![hold(513), hold(512), hold(1), hold(513), hold(513), hold(2)];
        assert_eq!(
            cuts(commands),
            [(0, 0), (1, 2), (3, 0), (4, 0), (5, 1)],
            "(first, items sent)"
        );
    }

    #[test]
    fn requests_are_cut_at_the_item_limit() {
        assert_eq!(
            cuts((0..25_000).map(reserve).collect()),
            [(0, 10_000), (10_000, 10_000), (20_000, 5_000)]
        );
    }

    fn recall(number: &str) -> RecallId {
        RecallId::parse(&format!("86/{number}")).expect("issuer and number")
    }

    #[test]
    fn one_request_has_one_kind() {
        let other = Command::WithdrawRecall {
            recall: recall("R1"),
            reason: String::new(),
        };
        assert_eq!(
            cuts(vec![reserve(1), other, reserve(2)]),
            [(0, 1), (1, 1), (2, 1)]
        );
    }

    #[test]
    fn requests_are_cut_at_the_byte_limit() {
        const COUNT: usize = limits::ITEMS_MAX as usize;
        const BYTES: usize = CONDITIONS_MAX * 32;
        let long = |n: usize| Command::PermitImport {
            transfer: TransferId((n as u128).to_be_bytes()),
            depart_by: TimeMs(1),
            conditions: vec![
                Condition::Document {
                    digest: Digest::ZERO
                };
                CONDITIONS_MAX
            ],
        };
        let cuts = cuts((0..COUNT).map(long).collect());
        assert!(cuts.len() > 1, "more than one request holds");
        assert_eq!(cuts.iter().map(|(_, count)| count).sum::<usize>(), COUNT);
        assert!(
            cuts.iter()
                .all(|(_, count)| count * BYTES <= limits::BULK_BYTES_MAX),
            "{cuts:?}"
        );
    }
}
