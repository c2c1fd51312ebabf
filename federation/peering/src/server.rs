//! The `Federation` service: the mailbox kept for a peer, and evidence on request.
//!
//! Any node serves it, from the newest checkpoint that it has published. A peer that reads slowly holds two batches in
//! memory and nothing else.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::record::contact::Contact;
use carnet_wire::federation::v1 as pb;
use carnet_wire::federation::v1::federation_server::{Federation, FederationServer};
use carnet_wire::limits::{
    FEDERATION_BATCH_BYTES_MAX, FEDERATION_MESSAGE_BYTES_MAX, FRAME_BYTES_MAX,
};
use carnet_wire::status::{ApiError, CONTACT_PAUSED};
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::{debug, info, warn};

use crate::bucket::Bucket;
use crate::home::{Home, HomeError, Outgoing, Wanted};
use crate::inquirer::InquiryPurpose;
use crate::status::Board;

/// Streams that one peer may have open at a node: its leader's, and those of leaders that are going.
pub const STREAMS_PER_PEER_MAX: usize = 4;
/// The most items of one batch.
pub const ITEMS_PER_BATCH_MAX: usize = 256;
/// Inquiries of one peer at once, half of them for its authorities.
pub const INQUIRY_BURST: u32 = 200;
/// Inquiries of one peer a second, after that.
pub const INQUIRIES_PER_SECOND: u32 = 50;

/// Batches ready and not yet taken by the transport, a stream.
const BATCHES_READY_MAX: usize = 1;
/// What checkpoint, consistency proof and an item in short take of a batch at most, in bytes.
const HEAD_BYTES_MAX: usize = 80 * 1024;
const _: () = assert!(
    carnet_domain::limits::NOTE_BYTES_MAX + 2 * 64 * 34 + FRAME_BYTES_MAX <= HEAD_BYTES_MAX
);

/// Who calls: the jurisdiction whose certificate the connection proved. The wiring of the port puts it into the
/// extensions of each request, from the verified chain and from nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller(pub Prefix);

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct FederationService {
    home: Arc<dyn Home>,
    board: Arc<Board>,
    stop: CancellationToken,
    peers: Arc<Mutex<BTreeMap<Prefix, Allowance>>>,
}

/// What one peer may still use.
struct Allowance {
    streams: Arc<Semaphore>,
    /// For authorities of the peer's country, and for others: whoever asks for the ones uses nothing up of the others'.
    inquiries: [Bucket; 2],
}

impl FederationService {
    /// Over a node. Streams end when `stop` is cancelled.
    pub fn new(home: Arc<dyn Home>, board: Arc<Board>, stop: CancellationToken) -> Self {
        Self {
            home,
            board,
            stop,
            peers: Arc::default(),
        }
    }

    /// As a tonic service with its limits of size.
    pub fn into_server(self) -> FederationServer<Self> {
        FederationServer::new(self)
            .max_decoding_message_size(FEDERATION_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(FEDERATION_BATCH_BYTES_MAX + FRAME_BYTES_MAX)
    }

    /// The one place where certificate, envelope and recognition are compared.
    async fn admit<T>(
        &self,
        request: &Request<T>,
        prefix: &str,
        to: &str,
    ) -> Result<(Prefix, Origin), ApiError> {
        let Caller(caller) =
            *request
                .extensions()
                .get::<Caller>()
                .ok_or_else(|| ApiError::Unauthenticated {
                    text: "the connection proved no jurisdiction".into(),
                })?;
        let claimed = Prefix::parse(prefix).map_err(|error| ApiError::invalid("prefix", error))?;
        if claimed != caller {
            let text = format!("the certificate is of {caller}, the request says {claimed}");
            return Err(ApiError::denied(text));
        }
        let to = Prefix::parse(to).map_err(|error| ApiError::invalid("to", error))?;
        let Some(origin) = self.home.origin() else {
            return Err(ApiError::unavailable("this registry has no genesis yet"));
        };
        if to != origin.prefix {
            let text = format!("this is {}, the request is for {to}", origin.prefix);
            return Err(ApiError::invalid("to", text));
        }
        match self.home.peer(caller).await {
            Ok(Some(peer)) if peer.contact != Contact::Open => Err(ApiError::denied(format!(
                "contact with {caller} {CONTACT_PAUSED} {}, or was ended",
                origin.prefix
            ))),
            Ok(Some(_)) => Ok((caller, origin)),
            Ok(None) => Err(ApiError::denied(format!(
                "{caller} is not a peer of {}: its trust bundle has not been recognised here",
                origin.prefix
            ))),
            Err(error) => Err(of_home(&error)),
        }
    }

    fn with_allowance<T>(&self, peer: Prefix, take: impl FnOnce(&mut Allowance) -> T) -> T {
        // Only peers get here, so the map is as small as their number.
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let half = || {
            let now = self.home.monotonic();
            Bucket::part_of(2, INQUIRY_BURST, INQUIRIES_PER_SECOND, now)
        };
        take(peers.entry(peer).or_insert_with(|| Allowance {
            streams: Arc::new(Semaphore::new(STREAMS_PER_PEER_MAX)),
            inquiries: [half(), half()],
        }))
    }
}

/// Batches on their way to a peer.
pub type FollowStream = Pin<Box<dyn Stream<Item = Result<pb::FollowResponse, Status>> + Send>>;

#[async_trait]
impl Federation for FederationService {
    type FollowStream = FollowStream;

    async fn follow(
        &self,
        request: Request<pb::FollowRequest>,
    ) -> Result<Response<FollowStream>, Status> {
        let asked = request.get_ref();
        let (peer, origin) = self.admit(&request, &asked.prefix, &asked.to).await?;
        if asked.incarnation != origin.incarnation {
            let text = format!(
                "this log has incarnation {}, the request is for {}; fetch the newest trust bundle",
                origin.incarnation, asked.incarnation
            );
            return Err(ApiError::invalid("incarnation", text).into());
        }
        let streams = self.with_allowance(peer, |allowance| Arc::clone(&allowance.streams));
        let permit = streams
            .try_acquire_owned()
            .map_err(|_| ApiError::Overloaded {
                retry_after: Duration::from_secs(1),
            })?;
        let (sender, receiver) = mpsc::channel(BATCHES_READY_MAX);
        let feed = Feed {
            home: Arc::clone(&self.home),
            board: Arc::clone(&self.board),
            peer,
            next_sequence: asked.cursor,
            base_size: asked.known_size,
            sent_size: None,
            sender,
            _permit: permit,
        };
        let before = self.board.of(peer).unwrap_or_default().served_acknowledged;
        if asked.cursor < before {
            // What it once had it has no more: it is sent again, and is not counted as acknowledged.
            warn!(%peer, cursor = asked.cursor, before, "a peer asks again for mail that it had: was it restored from a copy?");
        }
        self.board.change(peer, |status| {
            status.served_acknowledged = asked.cursor;
        });
        debug!(%peer, cursor = asked.cursor, known_size = asked.known_size, "mailbox followed");
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = feed.run() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn inquire(
        &self,
        request: Request<pb::InquireRequest>,
    ) -> Result<Response<pb::InquireResponse>, Status> {
        let asked = request.get_ref();
        let (peer, _) = self.admit(&request, &asked.prefix, &asked.to).await?;
        let code = Code::parse(&asked.code).map_err(|error| ApiError::invalid("code", error))?;
        let purpose = InquiryPurpose::parse(&asked.purpose)
            .map_err(|error| ApiError::invalid("purpose", error))?;
        let now = self.home.monotonic();
        let half = usize::from(asked.for_authority);
        self.with_allowance(peer, |allowance| allowance.inquiries[half].take(now))
            .map_err(|retry_after| ApiError::Overloaded { retry_after })?;
        info!(%peer, code = %code.display_form(), %purpose, "inquiry answered");
        let evidence = self.home.evidence(peer, code, asked.known_size).await;
        let shown = evidence
            .map_err(|error| of_home(&error))?
            .ok_or_else(|| ApiError::unavailable("no checkpoint is published yet"))?;
        let (evidence, under_known) = (shown.newest, shown.under_known.unwrap_or_default());
        let room = FEDERATION_MESSAGE_BYTES_MAX - FRAME_BYTES_MAX;
        if evidence.len() > room {
            let text = format!(
                "evidence of {} bytes, FEDERATION_MESSAGE_BYTES_MAX is {FEDERATION_MESSAGE_BYTES_MAX}",
                evidence.len()
            );
            return Err(ApiError::TooLarge { text }.into());
        }
        // What is newest goes before what is good for longer.
        let fits = evidence.len() + under_known.len() <= room;
        Ok(Response::new(pb::InquireResponse {
            evidence: Bytes::from(evidence),
            evidence_known: Bytes::from(if fits { under_known } else { Vec::new() }),
        }))
    }
}

/// One stream of one peer.
struct Feed {
    home: Arc<dyn Home>,
    board: Arc<Board>,
    peer: Prefix,
    next_sequence: u64,
    /// Where consistency begins: what the peer knew, then the size of the last batch that had items, because only
    /// those are applied there.
    base_size: u64,
    sent_size: Option<u64>,
    sender: mpsc::Sender<Result<pb::FollowResponse, Status>>,
    _permit: OwnedSemaphorePermit,
}

/// The peer is gone, or was told why the stream ends.
struct Over;

impl Feed {
    async fn run(mut self) {
        self.board
            .change(self.peer, |status| status.served_streams += 1);
        let mut published = self.home.published();
        loop {
            published.borrow_and_update();
            if self.send_everything().await.is_err() {
                break;
            }
            let changed = tokio::select! {
                () = self.sender.closed() => break,
                changed = published.changed() => changed,
            };
            if changed.is_err() {
                break;
            }
        }
        self.board.change(self.peer, |status| {
            status.served_streams = status.served_streams.saturating_sub(1);
        });
    }

    /// Sends what is published and was not sent: batches of items until there is none left, or the head alone.
    async fn send_everything(&mut self) -> Result<(), Over> {
        loop {
            match self.home.peer(self.peer).await {
                Ok(Some(peer)) if peer.contact == Contact::Open => {}
                Ok(_) => {
                    let text = format!("contact with {} is paused, or was ended", self.peer);
                    return self.end(ApiError::denied(text)).await;
                }
                Err(error) => return self.end(of_home(&error)).await,
            }
            let wanted = Wanted {
                peer: self.peer,
                from_sequence: self.next_sequence,
                known_size: self.base_size,
                item_count_max: ITEMS_PER_BATCH_MAX,
                bytes_max: FEDERATION_BATCH_BYTES_MAX - HEAD_BYTES_MAX,
            };
            let outgoing = match self.home.batch(wanted).await {
                Ok(Some(outgoing)) => outgoing,
                Ok(None) => return Ok(()),
                Err(error) => return self.end(of_home(&error)).await,
            };
            let more = outgoing.batch.sequences().next().is_some();
            if !more && self.sent_size == Some(outgoing.size) {
                return Ok(());
            }
            self.send(outgoing).await?;
            if !more {
                return Ok(());
            }
        }
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<(), Over> {
        let Outgoing { size, batch } = outgoing;
        let last = batch.sequences().last();
        let bytes = Bytes::from(batch.to_bytes());
        if FEDERATION_BATCH_BYTES_MAX < bytes.len() {
            let text = format!(
                "item {} makes a batch of {} bytes, FEDERATION_BATCH_BYTES_MAX is {FEDERATION_BATCH_BYTES_MAX}",
                self.next_sequence,
                bytes.len()
            );
            return self.end(ApiError::TooLarge { text }).await;
        }
        let message = pb::FollowResponse { batch: bytes };
        self.sender.send(Ok(message)).await.map_err(|_| Over)?;
        self.sent_size = Some(size);
        if let Some(last) = last {
            self.base_size = size;
            self.next_sequence = last + 1;
        }
        let next = self.next_sequence;
        self.board.change(self.peer, |status| {
            status.served_next = status.served_next.max(next);
        });
        Ok(())
    }

    async fn end(&self, error: ApiError) -> Result<(), Over> {
        warn!(peer = %self.peer, %error, "mailbox not served");
        // A peer that is gone needs no reason.
        let _ = self.sender.send(Err(error.to_status())).await;
        Err(Over)
    }
}

fn of_home(error: &HomeError) -> ApiError {
    match error {
        HomeError::FollowerAhead { .. }
        | HomeError::NotLeader
        | HomeError::NotProposed(_)
        | HomeError::Unknown(_) => ApiError::unavailable(error),
        // What is wrong with our disk is not for others to read.
        HomeError::State(_) => ApiError::unavailable("the state cannot be read"),
    }
}
