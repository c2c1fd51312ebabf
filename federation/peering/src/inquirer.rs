//! Asks peers for evidence, and keeps the last that was good, so that verification goes on, ageing, when one is cut off.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::contact::Contact;
use carnet_domain::record::peer::Peer;
use carnet_wire::federation::v1 as pb;
use carnet_wire::federation::v1::federation_client::FederationClient;
use carnet_wire::limits::{ATTEMPT_TIMEOUT, FEDERATION_MESSAGE_BYTES_MAX};
use carnet_wire::status::ApiError;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tonic::Request;
use tonic::transport::Channel;
use tracing::info;

use crate::follower::Dialer;
use crate::home::Home;
use crate::round::Round;
pub use crate::round::Unanswered;

/// The longest purpose, in bytes.
pub const PURPOSE_BYTES_MAX: usize = 64;
/// Codes whose evidence is kept that authorities asked about, and as many that others did.
pub const KEPT_COUNT_MAX: usize = 5_000;
/// Bytes of evidence that are kept of each.
pub const KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Channels that are kept open.
const CHANNEL_COUNT_MAX: usize = 256;

/// Why somebody asks about a code; logged on both sides.
///
/// Invariant: 1 to 64 of `a-z0-9-`, so that it is safe in any log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InquiryPurpose(String);

/// A text that is no purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a purpose is 1 to {PURPOSE_BYTES_MAX} of a-z 0-9 -")]
pub struct PurposeError;

impl InquiryPurpose {
    /// Reads a purpose.
    ///
    /// # Errors
    /// [`PurposeError`].
    pub fn parse(text: &str) -> Result<Self, PurposeError> {
        let fits = (1..=PURPOSE_BYTES_MAX).contains(&text.len());
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match fits && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(PurposeError),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InquiryPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For whom a peer is asked. What authorities asked about is kept apart: nobody else pushes it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedFor {
    /// An authority of this country.
    Authority,
    /// Anybody else.
    Others,
}

/// Evidence that the caller's judge accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Canonical bytes.
    pub evidence: Bytes,
    /// As the peer showed it beside that under the head that was taken in when it was asked; empty: it did not. Nothing of it was
    /// judged.
    pub under_known: Bytes,
    /// When it arrived here, by our wall clock.
    pub at: TimeMs,
    /// Why it is not fresh from the peer; `None` when it is.
    pub kept_because: Option<Unanswered>,
    /// The peer as it was known when it was asked for this, if it was asked now. Its mail moves on meanwhile, and the answer is
    /// joined to the head that was taken in then.
    pub asked: Option<Box<Peer>>,
}

/// How an answer goes with what was taken in of that log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// At least as new.
    Newest,
    /// Older, or of another history: another endpoint may have better, and it is never kept.
    Lagging,
}

/// Why there is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InquireError {
    /// Not a peer.
    #[error("{0} is not a peer")]
    UnknownPeer(Prefix),
    /// It is to be asked later: as often as it may be now it was asked for others, or for whoever asks.
    #[error("{peer} is asked as often as may be; again in {} ms", retry_after.as_millis())]
    TooOften {
        /// Who was to be asked.
        peer: Prefix,
        /// After how long it may be.
        retry_after: Duration,
    },
    /// Nobody answered, or not with evidence, and none is kept.
    #[error("{peer} gave no evidence: {why}")]
    NoAnswer {
        /// Who was asked.
        peer: Prefix,
        /// What each endpoint said.
        why: String,
    },
    /// It answered that it is overloaded, whenever it was asked within the time there was, and none is kept.
    #[error("{peer} answers that it is overloaded: {why}")]
    Overloaded {
        /// Who was asked.
        peer: Prefix,
        /// What each endpoint said.
        why: String,
    },
}

/// Asks peers.
pub struct Inquirer {
    home: Arc<dyn Home>,
    dialer: Arc<dyn Dialer>,
    /// Of authorities, and of others.
    kept: Mutex<[Kept; 2]>,
    flights: Mutex<BTreeMap<Key, Arc<Flight>>>,
    /// The endpoint of each peer that answered last: it is asked first.
    answered_last: Mutex<BTreeMap<Prefix, String>>,
    turn: AtomicU64,
    channels: Mutex<BTreeMap<(Prefix, String), Channel>>,
}

impl Inquirer {
    /// For a node.
    pub fn new(home: Arc<dyn Home>, dialer: Arc<dyn Dialer>) -> Self {
        Self {
            home,
            dialer,
            kept: Mutex::default(),
            flights: Mutex::default(),
            answered_last: Mutex::default(),
            turn: AtomicU64::new(0),
            channels: Mutex::default(),
        }
    }

    /// Asks a peer for evidence about a code, at its endpoints in turn, within `patience` altogether: one that says nothing keeps
    /// nobody from asking the next beside it, and one that is overloaded is asked again when it may have time. `judge` says why
    /// bytes are not evidence from this peer, as it was known when it was asked, about this code; the newest is kept, and what is kept is the answer when nobody
    /// gives one. Bytes that it refuses never replace those it accepted, nor does an answer that lags: that is given only
    /// when every endpoint lags, so that the caller learns of it.
    ///
    /// A code is asked about once at a time: who asks meanwhile shares the next inquiry, which begins after it asked.
    ///
    /// # Errors
    /// The prefix is no peer's, or nobody answered and nothing is kept.
    pub async fn inquire(
        &self,
        peer: Prefix,
        code: &Code,
        (purpose, asked_for): (&InquiryPurpose, AskedFor),
        patience: Duration,
        judge: impl Fn(&Peer, &[u8]) -> Result<Answered, String>,
    ) -> Result<Fetched, InquireError> {
        let arrived = self.turn.fetch_add(1, Ordering::Relaxed);
        let flight = Joined::of(self, (peer, *code));
        let shared = async {
            let mut last = flight.flight.last.lock().await;
            if let Some((_, outcome)) = last.as_ref().filter(|(began, _)| arrived < *began) {
                return outcome.clone();
            }
            let began = self.turn.fetch_add(1, Ordering::Relaxed);
            info!(%peer, code = %code.display_form(), %purpose, "inquiry sent");
            let asked = self.ask(peer, code, (purpose, asked_for), patience, &judge);
            let answer = asked.await?;
            let at = self.home.wall();
            let outcome = Ok(answer.map(|answer| (answer, at)));
            *last = Some((began, outcome.clone()));
            outcome
        };
        // Somebody else's inquiry may stand before this one's.
        let outcome = tokio::time::timeout(patience * 2, shared).await;
        let outcome = outcome.unwrap_or_else(|_| {
            let why = "others are asked for first".into();
            let overloaded = false;
            Ok(Err(Unanswered { overloaded, why }))
        });
        match outcome? {
            Ok((answer, at)) => {
                if answer.answered == Answered::Newest {
                    self.keep((peer, *code), asked_for, answer.evidence.clone(), at);
                }
                Ok(Fetched {
                    evidence: answer.evidence,
                    under_known: answer.under_known,
                    at,
                    kept_because: None,
                    asked: Some(answer.asked),
                })
            }
            Err(why) => self.instead(peer, code, why),
        }
    }

    /// What is kept about a code, where the peer is not to be asked now: no older than `fresh` it is an answer like any other. What is
    /// older is none: the peer may be asked a moment later.
    ///
    /// # Errors
    /// None is kept, or only an older one.
    pub fn unasked(
        &self,
        peer: Prefix,
        code: &Code,
        fresh: DurationMs,
        retry_after: Duration,
    ) -> Result<Fetched, InquireError> {
        let kept = self.kept(peer, code);
        let young = kept.filter(|(_, at)| self.home.wall().since(*at) <= fresh);
        let (evidence, at) = young.ok_or(InquireError::TooOften { peer, retry_after })?;
        Ok(Fetched {
            evidence,
            under_known: Bytes::new(),
            at,
            kept_because: None,
            asked: None,
        })
    }

    fn instead(
        &self,
        peer: Prefix,
        code: &Code,
        unanswered: Unanswered,
    ) -> Result<Fetched, InquireError> {
        let Some((evidence, at)) = self.kept(peer, code) else {
            let Unanswered { overloaded, why } = unanswered;
            return Err(match overloaded {
                true => InquireError::Overloaded { peer, why },
                false => InquireError::NoAnswer { peer, why },
            });
        };
        Ok(Fetched {
            evidence,
            under_known: Bytes::new(),
            at,
            kept_because: Some(unanswered),
            asked: None,
        })
    }

    fn keep(&self, key: Key, asked_for: AskedFor, evidence: Bytes, at: TimeMs) {
        let [authorities, others] = &mut *self.lock();
        match asked_for {
            AskedFor::Authority => authorities.put(key, evidence, at),
            AskedFor::Others => others.put(key, evidence, at),
        }
    }

    /// The last evidence about a code that was accepted from a peer, without asking, and when it arrived.
    pub fn kept(&self, peer: Prefix, code: &Code) -> Option<(Bytes, TimeMs)> {
        let mut kept = self.lock();
        let found = kept.iter_mut().filter_map(|kept| kept.get(&(peer, *code)));
        found.max_by_key(|(_, at)| *at)
    }

    /// Asks until there is an answer, nobody is left who may give one, or `patience` is over.
    async fn ask(
        &self,
        peer: Prefix,
        code: &Code,
        (purpose, asked_for): (&InquiryPurpose, AskedFor),
        patience: Duration,
        judge: &impl Fn(&Peer, &[u8]) -> Result<Answered, String>,
    ) -> Result<Result<Answer, Unanswered>, InquireError> {
        let fault = |why: String| {
            let overloaded = false;
            Ok(Err(Unanswered { overloaded, why }))
        };
        let known = match self.home.peer(peer).await {
            Ok(Some(known)) => known,
            Ok(None) => return Err(InquireError::UnknownPeer(peer)),
            Err(error) => return fault(error.to_string()),
        };
        if known.contact != Contact::Open {
            return fault("contact with it is paused, or was ended".into());
        }
        let Some(own) = self.home.origin() else {
            return fault("this registry has no genesis yet".into());
        };
        let endpoints = self.in_order(peer, &known.bundle.endpoints);
        if endpoints.is_empty() {
            return fault("its bundle names no endpoint".into());
        }
        let request = pb::InquireRequest {
            prefix: own.prefix.to_string(),
            to: peer.to_string(),
            code: code.display_form(),
            purpose: purpose.as_str().to_owned(),
            known_size: known.size_seen,
            for_authority: asked_for == AskedFor::Authority,
        };
        let mut round = Round::new(endpoints, patience);
        let asking = |endpoint: String, after: Duration| {
            let request = request.clone();
            async move {
                tokio::time::sleep(after).await;
                let said = self.ask_at(peer, &endpoint, request).await;
                (endpoint, said)
            }
        };
        let mut asked = FuturesUnordered::new();
        loop {
            for (endpoint, after) in round.due(Instant::now(), asked.is_empty()) {
                asked.push(asking(endpoint, after));
            }
            if asked.is_empty() {
                break;
            }
            let (endpoint, said) = tokio::select! {
                biased;
                Some(said) = asked.next() => said,
                () = tokio::time::sleep_until(round.next_at()) => match round.is_over(Instant::now()) {
                    true => break,
                    false => continue,
                },
            };
            match said {
                Ok(shown) => match judge(&known, &shown.evidence) {
                    Ok(Answered::Newest) => {
                        lock(&self.answered_last).insert(peer, endpoint);
                        return Ok(Ok(Answer::of(shown, Answered::Newest, known)));
                    }
                    Ok(Answered::Lagging) => round.lags(&endpoint, shown),
                    Err(why) => round.failed(&endpoint, format!("not evidence: {why}")),
                },
                Err(ApiError::Overloaded { retry_after }) => {
                    round.overloaded(&endpoint, retry_after, Instant::now());
                }
                Err(error) => round.failed(&endpoint, error.to_string()),
            }
        }
        Ok(match round.end() {
            Ok(shown) => Ok(Answer::of(shown, Answered::Lagging, known)),
            Err(unanswered) => Err(unanswered),
        })
    }

    /// Endpoints as they are asked: the one that answered last is first.
    fn in_order(&self, peer: Prefix, endpoints: &[String]) -> Vec<String> {
        let last = lock(&self.answered_last).get(&peer).cloned();
        let mut endpoints = endpoints.to_vec();
        // A stable sort: the others stay as the bundle has them.
        endpoints.sort_by_key(|endpoint| Some(endpoint) != last.as_ref());
        endpoints
    }

    async fn ask_at(
        &self,
        peer: Prefix,
        endpoint: &str,
        request: pb::InquireRequest,
    ) -> Result<pb::InquireResponse, ApiError> {
        let channel = self.channel(peer, endpoint);
        let channel = channel.map_err(ApiError::unavailable)?;
        let mut client =
            FederationClient::new(channel).max_decoding_message_size(FEDERATION_MESSAGE_BYTES_MAX);
        let asked = client.inquire(Request::new(request));
        match tokio::time::timeout(ATTEMPT_TIMEOUT, asked).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(ApiError::of_status(&status)),
            Err(_) => {
                let text = format!("no answer in {} ms", ATTEMPT_TIMEOUT.as_millis());
                Err(ApiError::unavailable(text))
            }
        }
    }

    /// The channel to an endpoint; it connects again by itself.
    fn channel(&self, peer: Prefix, endpoint: &str) -> Result<Channel, String> {
        let mut channels = lock(&self.channels);
        let key = (peer, endpoint.to_owned());
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        if CHANNEL_COUNT_MAX <= channels.len() {
            channels.clear();
        }
        let channel = self.dialer.dial(peer, endpoint)?;
        channels.insert(key, channel.clone());
        Ok(channel)
    }

    fn flights(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Flight>>> {
        lock(&self.flights)
    }

    fn lock(&self) -> MutexGuard<'_, [Kept; 2]> {
        lock(&self.kept)
    }
}

fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is whole when it is made, so a poisoned lock holds a whole value.
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

type Key = (Prefix, Code);
/// What a peer answered and when it came, or why there is nothing.
type Outcome = Result<Result<(Answer, TimeMs), Unanswered>, InquireError>;

/// What a peer answered.
#[derive(Clone)]
struct Answer {
    evidence: Bytes,
    under_known: Bytes,
    /// How it goes with what was taken in.
    answered: Answered,
    /// The peer as it was asked.
    asked: Box<Peer>,
}

impl Answer {
    fn of(shown: pb::InquireResponse, answered: Answered, asked: Peer) -> Self {
        Self {
            evidence: shown.evidence,
            under_known: shown.evidence_known,
            answered,
            asked: Box::new(asked),
        }
    }
}

/// The inquiries about one code: one at a time.
#[derive(Default)]
struct Flight {
    /// What came of the last, and when it began, in turns of the inquirer.
    last: AsyncMutex<Option<(u64, Outcome)>>,
}

/// A part in them, for as long as somebody asks.
struct Joined<'a> {
    inquirer: &'a Inquirer,
    key: Key,
    flight: Arc<Flight>,
}

impl<'a> Joined<'a> {
    fn of(inquirer: &'a Inquirer, key: Key) -> Self {
        let flight = Arc::clone(inquirer.flights().entry(key).or_default());
        Self {
            inquirer,
            key,
            flight,
        }
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        let mut flights = self.inquirer.flights();
        // This one and the table's: nobody else is in it, and under the lock nobody joins.
        if Arc::strong_count(&self.flight) <= 2 {
            flights.remove(&self.key);
        }
    }
}

/// Evidence by peer and code; what was used least recently makes way.
#[derive(Default)]
struct Kept {
    entries: BTreeMap<Key, KeptOne>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

struct KeptOne {
    evidence: Bytes,
    at: TimeMs,
    used: u64,
}

impl Kept {
    fn get(&mut self, key: &Key) -> Option<(Bytes, TimeMs)> {
        let one = self.entries.get_mut(key)?;
        self.uses += 1;
        self.by_use.remove(&one.used);
        one.used = self.uses;
        self.by_use.insert(self.uses, *key);
        Some((one.evidence.clone(), one.at))
    }

    fn put(&mut self, key: Key, evidence: Bytes, at: TimeMs) {
        self.drop_one(&key);
        self.uses += 1;
        let used = self.uses;
        self.bytes += evidence.len();
        self.by_use.insert(used, key);
        self.entries.insert(key, KeptOne { evidence, at, used });
        while KEPT_COUNT_MAX < self.entries.len() || KEPT_BYTES_MAX < self.bytes {
            let Some(oldest) = self.by_use.first_key_value().map(|(_, key)| *key) else {
                return;
            };
            self.drop_one(&oldest);
        }
    }

    fn drop_one(&mut self, key: &Key) {
        if let Some(one) = self.entries.remove(key) {
            self.by_use.remove(&one.used);
            self.bytes -= one.evidence.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let prefix = Prefix::parse("86").expect("a prefix");
        let code = Code::parse(&format!("860001100002{number:017}")).expect("a code");
        (prefix, code)
    }

    #[test]
    fn what_was_used_least_recently_makes_way() {
        let mut kept = Kept::default();
        let at = TimeMs(1);
        for number in 0..KEPT_COUNT_MAX as u32 {
            kept.put(key(number), Bytes::from_static(b"x"), at);
        }
        assert!(kept.get(&key(0)).is_some());
        kept.put(key(u32::MAX), Bytes::from_static(b"yy"), at);
        let there = [0, 1, 2, u32::MAX].map(|number| kept.get(&key(number)).is_some());
        assert_eq!(there, [true, false, true, true]);
        assert_eq!(kept.entries.len(), kept.by_use.len());
        assert_eq!(kept.bytes, KEPT_COUNT_MAX + 1);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut kept = Kept::default();
        let big = Bytes::from(vec![0; KEPT_BYTES_MAX / 2]);
        for number in 0..5 {
            kept.put(key(number), big.clone(), TimeMs(1));
        }
        assert_eq!((kept.entries.len(), kept.bytes), (2, KEPT_BYTES_MAX));
    }

    #[test]
    fn a_purpose_is_safe_in_a_log() {
        let good = |text: &str| InquiryPurpose::parse(text).is_ok();
        assert!(good("border-inspection"));
        for bad in ["", "two words", "Upper", "line\nbreak", &"x".repeat(65)] {
            assert!(!good(bad), "{bad:?}");
        }
    }
}
