//! Follows the mailboxes that peers keep for us: one task a peer, on the leader only.
//!
//! A peer that is gone, slow or hostile costs its own task and nothing else. What it sends is judged and proposed; the
//! replicated state says how far that went, and every stream begins from there.
//!
//! A crash, a lost connection or another leader may come between any two of these steps. What goes on from each:
//!
//! 1. A batch has come and is not judged: nobody knows of it, and the stream that begins next asks for it again.
//! 2. It is judged and not proposed: likewise. What was judged is not kept, for the state it was judged by may move.
//! 3. A part of it is proposed, and nobody heard: the cursor in the state says whether it was taken. It moves with the items, in
//!    one entry, so that an item is taken once however often it comes: below the cursor it is another's repetition.
//! 4. Some parts are taken, the next is refused: the cursor stands behind the last that was taken whole. The feed waits there,
//!    and says why, until the item can be taken or the peer's bundle is replaced.
//! 5. All is taken: what this registry answers (a nack, an acceptance) stands in its own mailbox already, by the same entries.
//!    The sender learns how far its mail was taken from what the next stream asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use carnet_domain::bytes::code::Prefix;
use carnet_domain::machine::entry::{ItemAnswer, MailBatch};
use carnet_domain::record::contact::Contact;
use carnet_domain::record::peer::Peer;
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_trust::known as trust;
use carnet_wire::federation::v1 as pb;
use carnet_wire::federation::v1::federation_client::FederationClient;
use carnet_wire::limits::{FEDERATION_BATCH_BYTES_MAX, FRAME_BYTES_MAX};
use carnet_wire::status::ApiError;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::Channel;
use tracing::{error, info, warn};

use crate::home::{Home, HomeError};
use crate::judge::{Doubt, Incoming, Position, SeenHead, judge};
use crate::pace::Pace;
use crate::status::Board;

/// The first pause after a failure.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// An endpoint that does not begin to answer in this time is there for nobody, whoever took the connection: the next is tried.
pub const ANSWER_MAX: Duration = Duration::from_secs(3);
/// A stream that is silent for this long is opened anew: a registry seals, and says so, far more often.
pub const SILENCE_MAX: Duration = Duration::from_secs(600);
/// Messages of one peer a second that are read; each costs a signature. A registry publishes a handful.
pub const MESSAGES_PER_SECOND: u64 = 100;
/// Messages that a peer may send at once before it is slowed to [`MESSAGES_PER_SECOND`].
pub const MESSAGES_AHEAD: u64 = 400;
/// Items of one peer a second that are read.
pub const ITEMS_PER_SECOND: u64 = 5_000;
/// Items that a peer may send at once before it is slowed to [`ITEMS_PER_SECOND`].
pub const ITEMS_AHEAD: u64 = 20_000;
/// Bytes of one peer a second that are read.
pub const BYTES_PER_SECOND: u64 = 8 << 20;
/// Bytes that a peer may send at once before it is slowed to [`BYTES_PER_SECOND`].
pub const BYTES_AHEAD: u64 = 32 << 20;
/// How much of an error is shown, in characters.
const ERROR_CHARS_MAX: usize = 500;

/// How connections to a peer are made.
pub trait Dialer: Send + Sync + 'static {
    /// A channel to an endpoint, `host:port`, that reaches nobody but a node of this peer.
    ///
    /// # Errors
    /// Why there can be none, in words.
    fn dial(&self, peer: Prefix, endpoint: &str) -> Result<Channel, String>;
}

/// How a task waits before it tries again.
#[async_trait]
pub trait Pauses: Send + Sync + 'static {
    /// Waits for about this long.
    async fn pause(&self, pause: Duration);
}

/// Real pauses, shortened so that many do not come back at once.
pub struct Jittered<J>(pub J);

#[async_trait]
impl<J: Fn(Duration) -> Duration + Send + Sync + 'static> Pauses for Jittered<J> {
    async fn pause(&self, pause: Duration) {
        // Never shorter than half of it, whatever the jitter says.
        let pause = (self.0)(pause).clamp(pause / 2, pause);
        tokio::time::sleep(pause).await;
    }
}

/// Follows all peers of a node while it leads.
#[derive(Clone)]
pub struct Follower {
    home: Arc<dyn Home>,
    dialer: Arc<dyn Dialer>,
    board: Arc<Board>,
    pauses: Arc<dyn Pauses>,
}

impl Follower {
    /// For a node.
    pub fn new(
        home: Arc<dyn Home>,
        dialer: Arc<dyn Dialer>,
        board: Arc<Board>,
        pauses: Arc<dyn Pauses>,
    ) -> Self {
        Self {
            home,
            dialer,
            board,
            pauses,
        }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut leadership = self.home.leadership();
        loop {
            let led = tokio::select! {
                () = stop.cancelled() => return,
                led = leadership.wait_for(|leads| *leads) => led.is_ok(),
            };
            if !led {
                return;
            }
            info!("following peers");
            tokio::select! {
                () = stop.cancelled() => return,
                lost = leadership.wait_for(|leads| !*leads) => if lost.is_err() { return },
                () = self.follow_all() => return,
            }
            info!("no longer leading, peers are not followed");
        }
    }

    /// Keeps one task for every peer. Dropping it ends them all.
    async fn follow_all(&self) {
        let mut tasks = JoinSet::new();
        let mut running: BTreeMap<Prefix, AbortHandle> = BTreeMap::new();
        let mut published = self.home.published();
        loop {
            published.borrow_and_update();
            match self.home.peers().await {
                Ok(peers) => {
                    let open = peers.iter().filter(|peer| peer.contact == Contact::Open);
                    let open: BTreeSet<Prefix> =
                        open.filter_map(|peer| peer.bundle.primary()).collect();
                    // What is paused is not asked from the same moment on.
                    running.retain(|prefix, task| {
                        let stays = open.contains(prefix);
                        if !stays {
                            info!(peer = %prefix, "contact is paused, or was ended: not followed");
                            task.abort();
                        }
                        stays
                    });
                    for prefix in open {
                        if running.get(&prefix).is_none_or(AbortHandle::is_finished) {
                            let following = Following::new(self.clone(), prefix);
                            running.insert(prefix, tasks.spawn(following.run()));
                        }
                    }
                }
                Err(error) => warn!(%error, "peers not known"),
            }
            // A peer is recognised by a leaf, and a leaf is published before long.
            if published.changed().await.is_err() {
                return;
            }
            while tasks.try_join_next().is_some() {}
        }
    }
}

/// One peer being followed.
struct Following {
    with: Follower,
    peer: Prefix,
    /// The newest head that came without items: evidence, should another of its size appear.
    held: Option<SeenHead>,
    /// Whether this stream brought something that was believed.
    believed: bool,
    /// What it sent on all its streams.
    intake: Intake,
    /// How many streams have ended since the last that brought something new.
    turn: usize,
    _mark: Mark,
}

/// How fast a peer sends. What is too fast is not read: the transport then holds the peer back, and nobody else.
struct Intake {
    messages: Pace,
    items: Pace,
    bytes: Pace,
}

impl Intake {
    fn new() -> Self {
        Self {
            messages: Pace::new(MESSAGES_PER_SECOND, MESSAGES_AHEAD),
            items: Pace::new(ITEMS_PER_SECOND, ITEMS_AHEAD),
            bytes: Pace::new(BYTES_PER_SECOND, BYTES_AHEAD),
        }
    }

    /// Counts a message; how long to wait before the next is read.
    fn came(&mut self, items: usize, bytes: usize, now: Duration) -> Duration {
        self.messages
            .came(1, now)
            .max(self.items.came(items as u64, now))
            .max(self.bytes.came(bytes as u64, now))
    }
}

/// Takes back `following` in the status when its task ends, however it ends.
struct Mark(Arc<Board>, Prefix);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.change(self.1, |status| status.following = false);
    }
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Dial(String),
    #[error("refused: {0}")]
    Remote(ApiError),
    #[error("no answer in {} s", ANSWER_MAX.as_secs())]
    NoAnswer,
    #[error("silent for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("the stream ended")]
    Ended,
    #[error("not believed: {0}")]
    Doubt(#[from] Doubt),
    #[error("the log forked: two heads of size {0} with different roots, both signed")]
    Fork(u64),
    #[error("refused here: {rejection}")]
    Refused { item: u64, rejection: Rejection },
    #[error("not applied: {source}")]
    NotApplied { item: u64, source: HomeError },
    #[error("not applied: {0}")]
    Home(#[from] HomeError),
    #[error(
        "item {item} is too large to be read, as this node of theirs shows it: no registry of a level that is known here writes such \
         an item, and another node is asked"
    )]
    TooLarge { item: u64 },
    #[error("items that were applied before")]
    Repeated,
    #[error("a head was taken in from elsewhere")]
    Moved,
}

impl Following {
    fn new(with: Follower, peer: Prefix) -> Self {
        let mark = Mark(Arc::clone(&with.board), peer);
        Self {
            with,
            peer,
            held: None,
            believed: false,
            intake: Intake::new(),
            turn: 0,
            _mark: mark,
        }
    }

    async fn run(mut self) {
        let mut failures = 0_u32;
        loop {
            let (home, prefix) = (Arc::clone(&self.with.home), self.peer);
            let before = match home.peer(prefix).await {
                Ok(Some(peer)) => peer,
                // No peer any more: the task ends, and begins anew should it become one.
                Ok(None) => return,
                Err(error) => {
                    self.failed(&error.to_string());
                    self.pause(&mut failures).await;
                    continue;
                }
            };
            let endpoints = &before.bundle.endpoints;
            let Some(endpoint) = endpoints.get(self.turn % endpoints.len().max(1)) else {
                self.failed("its bundle names no endpoint");
                self.pause(&mut failures).await;
                continue;
            };
            let at = position(&before);
            self.with.board.change(prefix, |status| {
                status.endpoint = Some(endpoint.clone());
            });
            self.with.board.reached(prefix, at.cursor);
            let Err(broken) = self.stream(&before, endpoint, at).await;
            let board = &self.with.board;
            let is_new = match &broken {
                Broken::Doubt(Doubt::Inconsistent { .. }) => {
                    board.unjoined(prefix, self.with.home.wall())
                }
                Broken::Doubt(Doubt::RolledBack { .. }) => {
                    board.doubt(prefix, trust::Doubt::RolledBack)
                }
                _ => false,
            };
            if is_new {
                // Its mail stops: nothing follows from a head that is not believed. Verdicts about it are lowered at once.
                error!(peer = %prefix, %broken, "a peer shows another history than the one taken in");
            }
            self.with
                .board
                .change(prefix, |status| status.following = false);
            match &broken {
                Broken::Moved => {}
                Broken::Remote(ApiError::Overloaded { .. }) => self.overloaded(&broken),
                _ => self.failed(&broken.to_string()),
            }
            if let Some(item) = broken.item() {
                self.stands_at(item, &broken);
            }
            let moved = match home.peer(prefix).await {
                Ok(Some(after)) => position(&after) != at,
                _ => false,
            };
            if moved || (self.believed && broken.is_of_connection()) {
                failures = 0;
            }
            // At once only when something was applied, and the stream may have failed for standing elsewhere: each such
            // turn is paid for by progress.
            if !(moved && broken.is_about_position()) {
                self.turn = self.turn.wrapping_add(1);
                self.pause_at_least(&mut failures, broken.not_before())
                    .await;
            }
        }
    }

    /// Follows at one endpoint until it breaks.
    async fn stream(
        &mut self,
        peer: &Peer,
        endpoint: &str,
        mut at: Position,
    ) -> Result<std::convert::Infallible, Broken> {
        let Some(own) = self.with.home.origin() else {
            return Err(Broken::Dial("this registry has no genesis yet".into()));
        };
        let channel = self
            .with
            .dialer
            .dial(self.peer, endpoint)
            .map_err(Broken::Dial)?;
        let mut client = FederationClient::new(channel)
            .max_decoding_message_size(FEDERATION_BATCH_BYTES_MAX + FRAME_BYTES_MAX);
        let request = Request::new(pb::FollowRequest {
            prefix: own.prefix.to_string(),
            to: self.peer.to_string(),
            incarnation: peer.bundle.incarnation,
            cursor: at.cursor,
            known_size: at.size,
        });
        let remote = |status| Broken::Remote(ApiError::of_status(&status));
        let mut messages = tokio::time::timeout(ANSWER_MAX, client.follow(request))
            .await
            .map_err(|_| Broken::NoAnswer)?
            .map_err(remote)?
            .into_inner();
        self.with
            .board
            .change(self.peer, |status| status.following = true);
        self.believed = false;
        loop {
            let message = tokio::time::timeout(SILENCE_MAX, messages.message())
                .await
                .map_err(|_| Broken::Silent)?
                .map_err(remote)?
                .ok_or(Broken::Ended)?;
            let size = message.batch.len();
            let judged = judge(&peer.bundle, &at, &message.batch);
            let items = judged.as_ref().map_or(0, item_count);
            let wait = self.intake.came(items, size, self.with.home.monotonic());
            at = self.take(at, judged?).await?;
            self.hold_back(wait).await;
        }
    }

    /// Lets a peer that sent more than it may wait.
    async fn hold_back(&self, wait: Duration) {
        if wait.is_zero() {
            return;
        }
        self.with
            .board
            .change(self.peer, |status| status.held_back += 1);
        let home = &self.with.home;
        let until = home.monotonic().saturating_add(wait);
        // A pause may be shorter than it was asked for.
        while let left = until.saturating_sub(home.monotonic())
            && !left.is_zero()
        {
            self.with.pauses.pause(left).await;
        }
    }

    /// Takes what was judged; gives the position after it.
    async fn take(&mut self, at: Position, judged: Incoming) -> Result<Position, Broken> {
        if let Incoming::Head(head) | Incoming::Mail { head, .. } = &judged
            && 0 < at.size
            && at.size < head.size
        {
            self.with.board.joined(self.peer);
        }
        match judged {
            Incoming::Head(head) => {
                self.look_for_fork(&head).await?;
                self.contact(&head);
                self.end_doubt(&at, &head).await?;
                let newer = self.held.as_ref().is_none_or(|held| held.size < head.size);
                if newer {
                    self.held = Some(head);
                }
                Ok(at)
            }
            Incoming::Repeated(head) => {
                self.contact(&head);
                Err(Broken::Repeated)
            }
            Incoming::Fork(head) => {
                self.show_fork(&[&head]).await?;
                Err(Broken::Fork(head.size))
            }
            Incoming::Mail { head, parts, then } => {
                self.look_for_fork(&head).await?;
                self.contact(&head);
                self.held = None;
                // An inquiry may have shown a newer head since the stream began: then its mail is asked for from there on.
                let known = self.with.home.peer(self.peer).await?;
                if known.is_some_and(|known| known.size_seen != at.size) {
                    return Err(Broken::Moved);
                }
                let (parts, too_large) = before_too_large(at.cursor, parts);
                self.apply(parts).await?;
                match too_large {
                    None => Ok(then),
                    Some(item) => Err(Broken::TooLarge { item }),
                }
            }
        }
    }

    /// Proposes parts one after the other, each only when the one before it was taken whole.
    async fn apply(&mut self, parts: Vec<MailBatch>) -> Result<(), Broken> {
        let (home, prefix) = (Arc::clone(&self.with.home), self.peer);
        let pending = |change: i64| {
            self.with.board.change(prefix, |status| {
                status.pending = status.pending.saturating_add_signed(change);
            });
        };
        let total: usize = parts.iter().map(|part| part.sequences().count()).sum();
        let arrived = home.monotonic();
        pending(total as i64);
        let mut left = total;
        let mut outcome = Ok(());
        for part in parts {
            let count = part.sequences().count();
            let next = part.sequences().last().map(|last| last + 1);
            let first = part.sequences().next().unwrap_or_default();
            outcome = match home.propose_foreign(part).await {
                Ok(answers) => taken_whole(&answers, first, count),
                Err(source) => Err(Broken::NotApplied {
                    item: first,
                    source,
                }),
            };
            if outcome.is_err() {
                break;
            }
            pending(-(count as i64));
            left -= count;
            let took = home.monotonic().saturating_sub(arrived);
            self.with.board.change(prefix, |status| {
                status.applied += count as u64;
                status.apply_time = Some(took);
            });
            if let Some(next) = next {
                self.with.board.reached(prefix, next);
            }
        }
        pending(-(left as i64));
        outcome
    }

    /// Enters a head that goes on while the log still has it that no way was found: with it that ends for every node, whether or not
    /// there is mail. Then the stream begins anew from there.
    async fn end_doubt(&self, at: &Position, head: &SeenHead) -> Result<(), Broken> {
        let goes_on = 0 < at.size && at.size < head.size;
        if !goes_on {
            return Ok(());
        }
        let home = &self.with.home;
        let known = home.peer(self.peer).await?;
        if known.and_then(|peer| peer.doubted) != Some(trust::Doubt::OtherHistory) {
            return Ok(());
        }
        home.propose_foreign(head.as_batch(self.peer)).await?;
        Err(Broken::Moved)
    }

    /// Compares a head with the one held.
    async fn look_for_fork(&self, head: &SeenHead) -> Result<(), Broken> {
        match &self.held {
            Some(held) if held.size == head.size && held.root != head.root => {
                self.show_fork(&[held, head]).await?;
                Err(Broken::Fork(head.size))
            }
            _ => Ok(()),
        }
    }

    /// Proposes the evidence of a fork, once: the state keeps it for ever and quarantines the peer.
    async fn show_fork(&self, heads: &[&SeenHead]) -> Result<(), Broken> {
        let home = &self.with.home;
        let known = home.peer(self.peer).await?;
        if known.is_none_or(|peer| peer.split) {
            return Ok(());
        }
        warn!(peer = %self.peer, "log forked, evidence proposed");
        for head in heads {
            home.propose_foreign(head.as_batch(self.peer)).await?;
        }
        Ok(())
    }

    fn contact(&mut self, head: &SeenHead) {
        self.believed = true;
        let at = self.with.home.wall();
        self.with.board.contact(self.peer, at, head);
    }

    fn stands_at(&self, item: u64, broken: &Broken) {
        let at = self.with.home.wall();
        let why = shortened(&broken.to_string());
        self.with.board.stands_at(self.peer, item, at, why);
    }

    fn failed(&self, text: &str) {
        let text = shortened(text);
        warn!(peer = %self.peer, error = text, "peer not followed");
        let at = self.with.home.wall();
        self.with.board.error(self.peer, at, text);
    }

    /// That it has no time now is no failure of it: it is there.
    fn overloaded(&self, broken: &Broken) {
        info!(peer = %self.peer, said = %broken, "a peer is overloaded and is asked again later");
        let at = self.with.home.wall();
        self.with.board.overloaded(self.peer, at);
    }

    async fn pause(&self, failures: &mut u32) {
        self.pause_at_least(failures, Duration::ZERO).await;
    }

    /// Waits longer after every failure, and as long as the peer asked for, within bounds.
    async fn pause_at_least(&self, failures: &mut u32, least: Duration) {
        let pause = BACKOFF_MIN
            .saturating_mul(1_u32 << (*failures).min(10))
            .max(least)
            .min(BACKOFF_MAX);
        *failures = failures.saturating_add(1);
        self.with.pauses.pause(pause).await;
    }
}

impl Broken {
    /// When the peer wants to be asked again, if it said so.
    fn not_before(&self) -> Duration {
        match self {
            Self::Remote(ApiError::Overloaded { retry_after }) => *retry_after,
            _ => Duration::ZERO,
        }
    }

    /// Whether the connection failed, and nothing that was sent on it.
    fn is_of_connection(&self) -> bool {
        match self {
            Self::Dial(_) | Self::Remote(_) | Self::NoAnswer | Self::Silent | Self::Ended => true,
            Self::Doubt(_)
            | Self::Fork(_)
            | Self::Refused { .. }
            | Self::NotApplied { .. }
            | Self::TooLarge { .. }
            | Self::Home(_)
            | Self::Repeated
            | Self::Moved => false,
        }
    }

    /// The item that was sent and not taken, if it broke at one.
    fn item(&self) -> Option<u64> {
        match self {
            Self::Refused { item, .. }
            | Self::NotApplied { item, .. }
            | Self::TooLarge { item } => Some(*item),
            Self::Doubt(Doubt::Gap { expected, .. }) => Some(*expected),
            Self::Doubt(Doubt::Item { sequence, .. }) => Some(*sequence),
            // Nothing that was sent was believed, and so it is no contact: a peer of which only that comes is silent.
            Self::Doubt(
                Doubt::Malformed(_)
                | Doubt::OtherPeer(_)
                | Doubt::Checkpoint(_)
                | Doubt::Backwards { .. }
                | Doubt::RolledBack { .. }
                | Doubt::MapHead(_)
                | Doubt::Inconsistent { .. },
            ) => None,
            Self::Dial(_)
            | Self::Remote(_)
            | Self::NoAnswer
            | Self::Silent
            | Self::Ended
            | Self::Fork(_)
            | Self::Home(_)
            | Self::Repeated
            | Self::Moved => None,
        }
    }

    /// Whether a stream from the position that is applied by now may go better.
    fn is_about_position(&self) -> bool {
        match self {
            Self::Refused { rejection, .. } => matches!(
                rejection.reason,
                Reason::EvidenceGap | Reason::EvidenceBroken
            ),
            Self::Doubt(doubt) => {
                matches!(doubt, Doubt::Gap { .. } | Doubt::Inconsistent { .. })
            }
            Self::Repeated | Self::Moved => true,
            Self::Dial(_)
            | Self::Remote(_)
            | Self::NoAnswer
            | Self::Silent
            | Self::Ended
            | Self::Fork(_)
            | Self::NotApplied { .. }
            | Self::TooLarge { .. }
            | Self::Home(_) => false,
        }
    }
}

fn item_count(incoming: &Incoming) -> usize {
    match incoming {
        Incoming::Head(_) | Incoming::Repeated(_) | Incoming::Fork(_) => 0,
        Incoming::Mail { parts, .. } => parts.iter().map(|part| part.sequences().count()).sum(),
    }
}

/// The parts before the first item that is too large, and that item. That it is so large, one server says, or it made it so: what the
/// peer's log proves of it is its leaf alone. No registry that is known here writes one, so that it is a server's fault or lie,
/// whichever names show it: nothing is passed over for that, and the feed stands there for all to see.
fn before_too_large(cursor: u64, parts: Vec<MailBatch>) -> (Vec<MailBatch>, Option<u64>) {
    let mut before = Vec::new();
    for mut part in parts {
        let large = part.large.as_ref().map(|large| large.sequence);
        let Some(item) = large.filter(|item| *item >= cursor) else {
            before.push(part);
            continue;
        };
        part.large = None;
        if !part.items.is_empty() {
            before.push(part);
        }
        return (before, Some(item));
    }
    (before, None)
}

fn position(peer: &Peer) -> Position {
    Position {
        cursor: peer.cursor,
        size: peer.size_seen,
        root: peer.root_seen,
        time: peer.time_seen,
    }
}

/// Whether every item has an answer and none was refused; `first` is the sequence of the first.
fn taken_whole(answers: &[ItemAnswer], first: u64, count: usize) -> Result<(), Broken> {
    for (answer, item) in answers.iter().zip(first..) {
        if let ItemAnswer::Refused { rejection } = answer {
            let rejection = rejection.clone();
            return Err(Broken::Refused { item, rejection });
        }
    }
    if answers.len() == count {
        return Ok(());
    }
    let source = HomeError::Unknown(format!("{} answers to {count} items", answers.len()));
    Err(Broken::NotApplied {
        item: first,
        source,
    })
}

/// An error as it is shown: some of it the peer wrote.
fn shortened(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages, items and bytes are each bounded, whatever there is little of beside them.
    #[test]
    fn whatever_a_peer_sends_too_much_of_makes_it_wait() {
        let now = Duration::ZERO;
        let fits = |items, bytes| Intake::new().came(items, bytes, now).is_zero();
        assert!(fits(ITEMS_AHEAD as usize, BYTES_AHEAD as usize));
        let wait = |items: u64, bytes: u64| Intake::new().came(items as usize, bytes as usize, now);
        let second = Duration::from_secs(1);
        assert_eq!(wait(ITEMS_AHEAD + ITEMS_PER_SECOND, 0), second);
        assert_eq!(wait(0, BYTES_AHEAD + BYTES_PER_SECOND), second);
        assert_eq!(wait(ITEMS_AHEAD + 10 * ITEMS_PER_SECOND, 1), 10 * second);
        let mut many = Intake::new();
        let waits = (0..MESSAGES_AHEAD + MESSAGES_PER_SECOND).map(|_| many.came(0, 0, now));
        assert_eq!(waits.max(), Some(second));
    }
}
