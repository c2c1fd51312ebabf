//! One signed request of few commands.

use std::time::Instant;

use bytes::Bytes;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::Signature;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::COMMAND_BYTES_MAX;
use carnet_domain::log::authority::{SignedHeader, item_root};
use carnet_domain::machine::entry::{self, Answer, ItemAnswer};
use carnet_domain::rules::command::{Command, CommandKind};
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_wire::limits;
use carnet_wire::registry::v1 as pb;
use carnet_wire::status::ApiError;
use tokio::sync::SemaphorePermit;
use tonic::Request;

use crate::call::registry;
use crate::client::{Client, Position, lifetime, no_key};
use crate::clock::now;
use crate::error::ClientError;
use crate::retry::Intent;
use crate::session::{OpenSession, SESSIONS_TRIED_MAX};

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Log time, tree size, and the fate of each command, in order.
    pub answer: Answer,
    /// Where it stands in the Raft log.
    pub position: Position,
    /// The published checkpoint that covers it, if it was waited for.
    pub checkpoint: Option<String>,
    /// How often the request was sent.
    pub attempts: u32,
}

/// What a command wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Log time.
    pub at: TimeMs,
    /// The last leaf; `None` if there was nothing to do.
    pub leaf: Option<(u64, Digest)>,
    /// Sequence of the subject after it.
    pub sequence: u64,
    /// Whether it was the first of two words: it happens when a second person asks for the same.
    pub waits: bool,
}

impl Submitted {
    /// The outcome of each command.
    pub fn outcomes(&self) -> impl Iterator<Item = Result<Done, &Rejection>> + '_ {
        self.answer.items.iter().map(|item| match item {
            ItemAnswer::Done {
                leaf_index,
                leaf_hash,
                sequence,
                waits,
            } => Ok(Done {
                at: self.answer.at,
                leaf: Some((*leaf_index, *leaf_hash)),
                sequence: *sequence,
                waits: *waits,
            }),
            ItemAnswer::Nothing {} => Ok(Done {
                at: self.answer.at,
                leaf: None,
                sequence: 0,
                waits: false,
            }),
            ItemAnswer::Refused { rejection } => Err(rejection),
        })
    }

    /// The outcome when there was one command.
    ///
    /// # Errors
    /// [`ClientError::Refused`].
    pub fn single(&self) -> Result<Done, ClientError> {
        match self.outcomes().next() {
            Some(Ok(done)) => Ok(done),
            Some(Err(rejection)) => Err(ClientError::Refused(rejection.clone())),
            None => Err(ClientError::Protocol("the answer has no items".into())),
        }
    }
}

/// When an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// When committed.
    Committed,
    /// When a published checkpoint covers it.
    Published,
}

/// A request whose bytes will not change any more.
pub(crate) struct Signed {
    pub(crate) session: OpenSession,
    pub(crate) header: Bytes,
    pub(crate) signature: Signature,
}

impl Client {
    /// Submits commands of one kind under one signature; answers when they are committed. The entry is atomic, but each
    /// command has its own fate.
    ///
    /// # Errors
    /// When nothing was sent, nothing was executed, or the outcome is unknown: [`ClientError::effect`] tells which.
    pub async fn submit(&self, commands: &[Command]) -> Result<Submitted, ClientError> {
        self.submit_and_wait(commands, Wait::Committed).await
    }

    /// As [`Client::submit`], and waits until a published checkpoint covers the answer.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_published(&self, commands: &[Command]) -> Result<Submitted, ClientError> {
        self.submit_and_wait(commands, Wait::Published).await
    }

    /// One command; a lawful "no" is an error.
    ///
    /// # Errors
    /// As [`Client::submit`], and [`ClientError::Refused`].
    pub async fn submit_one(&self, command: Command) -> Result<Done, ClientError> {
        self.submit(&[command]).await?.single()
    }

    async fn submit_and_wait(
        &self,
        commands: &[Command],
        wait: Wait,
    ) -> Result<Submitted, ClientError> {
        let kind = one_kind(commands)?;
        let items: Vec<Blob> = commands
            .iter()
            .map(|command| Blob(command.to_bytes()))
            .collect();
        let bad = items.iter().enumerate();
        if let Some((at, why)) = bad
            .filter_map(|(at, item)| Some((at, malformed(&item.0)?)))
            .next()
        {
            return Err(ClientError::Usage(format!(
                "command {at} is none that a registry takes: {why}"
            )));
        }
        let size: usize = items.iter().map(|item| item.0.len()).sum();
        if limits::SUBMIT_BYTES_MAX < size {
            let text = format!(
                "{size} bytes of commands, one request carries {}; use submit_bulk",
                limits::SUBMIT_BYTES_MAX
            );
            return Err(ClientError::Usage(text));
        }
        let whole = u32::try_from(items.len()).map_err(|_| too_many(items.len()))?;
        let give_up_at = now() + self.0.net.deadline;
        // Before there is a number: a session remembers so many, and one that waits here would grow old.
        let _turn = self.turn(give_up_at).await?;
        for tried in 1.. {
            let signed = self.sign(kind, &items, whole).await?;
            let (submitted, uncertain) = self.send(&signed, &items, wait, give_up_at).await?;
            match lost_session(&submitted.answer) {
                // Refused without having been executed, unless an attempt before it was.
                Some(_) if !uncertain && tried < SESSIONS_TRIED_MAX => {
                    self.forget_session(signed.session.id)?
                }
                Some(rejection) if uncertain => {
                    self.forget_session(signed.session.id)?;
                    let last = rejection.to_string();
                    return Err(ClientError::UnknownOutcome {
                        attempts: submitted.attempts,
                        last,
                    });
                }
                // Log time is ahead of this machine's clock, and known now. Nothing was executed.
                _ if tried == 1 && !uncertain && expired(&submitted.answer).is_some() => {}
                _ => return Ok(submitted),
            }
        }
        unreachable!("the loop ends by its own count")
    }

    /// A place among the requests that are under way.
    async fn turn(&self, give_up_at: Instant) -> Result<SemaphorePermit<'_>, ClientError> {
        let patience = give_up_at.saturating_duration_since(now());
        let turn = tokio::time::timeout(patience, self.0.under_way.acquire()).await;
        // Nobody closes it: what is left is that it took too long.
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            let text = format!(
                "this client had {} requests under way and no answer to one of them",
                limits::SUBMIT_STREAM_REQUESTS_MAX
            );
            ClientError::Api(ApiError::DidNotHappen { text })
        })
    }

    /// Takes a number and signs a request that may be cut into parts of `part_items` items.
    pub(crate) async fn sign(
        &self,
        kind: CommandKind,
        items: &[Blob],
        part_items: u32,
    ) -> Result<Signed, ClientError> {
        let Some(signer) = &self.0.signer else {
            return Err(no_key());
        };
        let (session, sequence) = self.number().await?;
        let key = signer.public();
        let header = SignedHeader {
            prefix: session.prefix,
            incarnation: session.incarnation,
            key: key.key_id(),
            session: session.id,
            sequence,
            not_after: self.now().saturating_add(lifetime()),
            kind: kind.number() as u16,
            item_count: u32::try_from(items.len()).map_err(|_| too_many(items.len()))?,
            part_items,
            item_root: item_root(items.iter().map(|item| item.0.as_slice())),
        };
        let signature = signer.sign_as(&key, &header.signing_bytes()).await?;
        Ok(Signed {
            session,
            header: header.to_bytes().into(),
            signature,
        })
    }

    async fn send(
        &self,
        signed: &Signed,
        items: &[Blob],
        wait: Wait,
        give_up_at: Instant,
    ) -> Result<(Submitted, bool), ClientError> {
        let request = entry::Request {
            header: Blob(signed.header.to_vec()),
            signature: signed.signature,
            first_item: 0,
            items: items.to_vec(),
            range_proof: Vec::new(),
        };
        let request = Bytes::from(request.to_bytes());
        let net = &self.0.net;
        let called = match wait {
            Wait::Committed => {
                let make = |address: &str, channel| net.streams.ask(address, channel, &request);
                net.call_until(give_up_at, Intent::Write, net.attempt, &make)
                    .await
            }
            // It would take the place of many others in the stream until a checkpoint is published.
            Wait::Published => {
                let message = pb::SubmitRequest {
                    request,
                    wait_published: true,
                };
                let make = |_: &str, channel| {
                    let mut client = registry(channel);
                    let message = message.clone();
                    async move { client.submit(Request::new(message)).await }
                };
                let attempt = net.attempt.max(limits::REQUEST_TIMEOUT);
                net.call_until(give_up_at, Intent::Write, attempt, &make)
                    .await
            }
        };
        let response = called.outcome?;
        let answer = Answer::from_bytes(&response.answer).map_err(|error| {
            ClientError::Protocol(format!("the answer is not canonical: {error}"))
        })?;
        let answer = for_each_item(answer, items.len())?;
        self.saw_log_time(answer.at);
        self.0.heads.acknowledged(answer.size, answer.at);
        let checkpoint = Some(response.checkpoint).filter(|text| !text.is_empty());
        let position = Position::of(response.position)?;
        Ok((
            Submitted {
                answer,
                position,
                checkpoint,
                attempts: called.attempts,
            },
            called.uncertain,
        ))
    }
}

/// The kind that all commands have.
pub(crate) fn one_kind(commands: &[Command]) -> Result<CommandKind, ClientError> {
    let Some(first) = commands.first() else {
        return Err(ClientError::Usage("there is no command to submit".into()));
    };
    if (limits::ITEMS_MAX as usize) < commands.len() {
        return Err(too_many(commands.len()));
    }
    match commands
        .iter()
        .find(|command| command.kind() != first.kind())
    {
        None => Ok(first.kind()),
        Some(other) => {
            let text = format!(
                "one request holds commands of one kind, not {} and {}",
                first.name(),
                other.name()
            );
            Err(ClientError::Usage(text))
        }
    }
}

fn too_many(count: usize) -> ClientError {
    ClientError::Usage(format!(
        "{count} commands, one request holds {}",
        limits::ITEMS_MAX
    ))
}

/// A request refused as a whole is answered once; then every item has that fate.
pub(crate) fn for_each_item(mut answer: Answer, count: usize) -> Result<Answer, ClientError> {
    match answer.items.as_slice() {
        items if items.len() == count => {}
        [one @ ItemAnswer::Refused { .. }] => answer.items = vec![one.clone(); count],
        items => {
            let text = format!("{} answers to {count} commands", items.len());
            return Err(ClientError::Protocol(text));
        }
    }
    Ok(answer)
}

/// Whether the request was refused as a whole because its time is over: log time says so, whatever this machine's clock.
pub(crate) fn expired(answer: &Answer) -> Option<&Rejection> {
    match answer.items.first()? {
        ItemAnswer::Refused { rejection } => {
            Some(rejection).filter(|rejection| rejection.reason == Reason::CommandExpired)
        }
        ItemAnswer::Done { .. } | ItemAnswer::Nothing {} => None,
    }
}

/// The rejection that tells that the session is of no use any more, or that somebody used its numbers elsewhere: a state
/// directory that was copied or restored gives numbers that are taken. Nothing was executed, and another session has numbers
/// of its own.
pub(crate) fn lost_session(answer: &Answer) -> Option<&Rejection> {
    answer.items.iter().find_map(|item| match item {
        ItemAnswer::Refused { rejection } => match rejection.reason {
            Reason::SessionUnknown
            | Reason::SessionExpired
            | Reason::SessionNotYours
            | Reason::IdempotencyMismatch
            | Reason::WrongAudience => Some(rejection),
            _ => None,
        },
        ItemAnswer::Done { .. } | ItemAnswer::Nothing {} => None,
    })
}

/// Why no registry reads a command, in words; nothing if one does.
pub(crate) fn malformed(bytes: &[u8]) -> Option<String> {
    if bytes.len() > COMMAND_BYTES_MAX {
        let size = bytes.len();
        return Some(format!(
            "it has {size} bytes, allowed are {COMMAND_BYTES_MAX}"
        ));
    }
    // At which byte is nothing to whoever wrote the command as values.
    Command::from_bytes(bytes)
        .err()
        .map(|error| error.fault.to_string())
}
