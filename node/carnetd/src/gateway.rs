//! The border of a node: its federation port, the mailboxes it follows while it leads, and inquiries of other registries.
//!
//! Wiring only: sessions are `carnet_peering`, certificates are judged by [`crate::tls`], and what a peer said takes
//! effect in `apply`. The roots of peers follow the replicated bundles.

mod doubts;
mod home;
mod pins;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::record::peer::Peer;
use carnet_peering::follower::{Dialer, Follower, Jittered};
use carnet_peering::home::Home;
use carnet_peering::inquirer::{Answered, Fetched, InquireError, Inquirer, InquiryPurpose};
use carnet_peering::judge::SeenHead;
use carnet_peering::server::{Caller, FederationService};
use carnet_peering::status::Board;
use carnet_trust::evidence::{self, Evidence, HeadOrder};
use carnet_trust::known::{Doubt, KnownHead};
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tracing::error;

use self::home::NodeHome;
use crate::edge::Asker;
use crate::edge::rations::Rations;
use crate::node::Node;
use crate::tls::{
    ConnectTuning, Dial, ExpectedNode, PeerIdentity, PlaneTls, TrustedRoots, connect,
};
use crate::world::Chance;

/// The longest that whoever asks too often waits before it is given what is kept.
const RATION_PATIENCE: Duration = Duration::from_secs(1);

/// What a gateway is made from.
pub struct Parts<D> {
    /// What connects to nodes of peers.
    pub dial: D,
    /// The node it belongs to.
    pub node: Arc<Node>,
    /// The node's identity on the federation plane.
    pub tls: PlaneTls,
    /// Where the roots of peers are believed.
    pub roots: Arc<TrustedRoots>,
}

/// The border of one node. Its tasks end with [`Gateway::stop`], or when it is dropped.
pub struct Gateway {
    node: Arc<Node>,
    home: Arc<NodeHome>,
    board: Arc<Board>,
    inquirer: Inquirer,
    rations: Mutex<Rations>,
    stop: CancellationToken,
}

/// Evidence of another registry that its log key signed for.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignEvidence {
    /// The peer as it was known here before it was asked.
    pub known: Peer,
    /// What was shown; it verified under the bundle of the peer when it arrived.
    pub evidence: Evidence,
    /// Its bytes, when they arrived, and why they are not fresh, if so.
    pub fetched: Fetched,
}

/// What is known of the relation with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its primary prefix.
    pub peer: Prefix,
    /// Its name.
    pub name: String,
    /// The next sequence of its mailbox for us that is wanted.
    pub cursor: u64,
    /// The next sequence of our mailbox for it.
    pub outbox: u64,
    /// What it has acknowledged of our mailbox.
    pub acknowledged: u64,
    /// Since it was last heard.
    pub last_contact: DurationMs,
    /// How often it was heard.
    pub contacts: u64,
    /// The largest size of its log that it showed.
    pub checkpoint_size: u64,
    /// How old its newest head is.
    pub checkpoint_age: DurationMs,
    /// Whether it is quarantined.
    pub quarantined: bool,
    /// Why this node doubts its word; empty: it does not.
    pub doubt: &'static str,
    /// What went wrong last; empty: nothing.
    pub last_error: String,
    /// Errors since something of it was taken, or was believed with nothing to take.
    pub errors_in_a_row: u64,
    /// The item at which its feed stands, since how long, and why.
    pub stands: Option<(u64, DurationMs, String)>,
}

impl Gateway {
    /// Starts what runs by itself: the roots of peers kept in step, and, whenever this node leads, the mailboxes.
    pub fn start<D: Dial>(parts: Parts<D>) -> Arc<Self> {
        let Parts {
            dial,
            node,
            tls,
            roots,
        } = parts;
        let stop = CancellationToken::new();
        let board = Arc::new(Board::new());
        let home = Arc::new(NodeHome::start(Arc::clone(&node), roots, &stop));
        let dialer: Arc<dyn Dialer> = Arc::new(PlaneDialer { tls, dial });
        let chance = Arc::clone(&node.chance);
        let follower = Follower::new(
            Arc::clone(&home) as Arc<dyn Home>,
            Arc::clone(&dialer),
            Arc::clone(&board),
            Arc::new(Jittered(move |pause| shorter(pause, chance.as_ref()))),
        );
        tokio::spawn(follower.run(stop.clone()));
        doubts::start(&node, &board, &stop);
        Arc::new(Self {
            node,
            inquirer: Inquirer::new(Arc::clone(&home) as Arc<dyn Home>, dialer),
            rations: Mutex::default(),
            home,
            board,
            stop,
        })
    }

    /// The federation service on a server of the federation plane.
    pub fn service<L: Clone>(&self, mut server: Server<L>) -> Router<L> {
        let home = Arc::clone(&self.home) as Arc<dyn Home>;
        let service = FederationService::new(home, Arc::clone(&self.board), self.stop.clone());
        let node = Arc::clone(&self.node);
        let admitted = move |request| match node.refusal() {
            None => caller(request),
            Some(refusal) => Err(refusal.to_status()),
        };
        server.add_service(InterceptedService::new(service.into_server(), admitted))
    }

    /// Ends the streams of peers and follows nobody any more.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// What is known of the relation with each of these peers. Only the leader follows, so only it knows of contacts.
    pub fn relations(&self, peers: &[Peer]) -> Vec<Relation> {
        let now = self.home.wall();
        let known = self.board.all();
        let since = |at: TimeMs| now.since(at);
        let row = |peer: &Peer| {
            let prefix = peer.bundle.primary()?;
            let status = known.get(&prefix).cloned().unwrap_or_default();
            let head = status.newest.as_ref();
            let head_time = head.and_then(|head| head.log_time).or(status.newest_at);
            Some(Relation {
                peer: prefix,
                name: peer.bundle.name.clone(),
                cursor: peer.cursor,
                outbox: peer.outbox,
                acknowledged: status.served_acknowledged,
                last_contact: status.last_contact.map_or(DurationMs::from_secs(0), since),
                contacts: status.contacts,
                checkpoint_size: head.map_or(peer.size_seen, |head| head.size),
                checkpoint_age: head_time.map_or(DurationMs::from_secs(0), since),
                quarantined: peer.quarantined,
                doubt: peer.doubted.or(status.doubt).map_or("", doubted),
                last_error: match (peer.doubted.or(status.doubt), status.last_error) {
                    (Some(doubt), _) => format!("its word is doubted: {}", doubted(doubt)),
                    (None, error) => error.map_or(String::new(), |(_, text)| text),
                },
                errors_in_a_row: status.errors_in_a_row,
                // It may have been taken while another node led.
                stands: status
                    .stands
                    .filter(|stands| stands.item >= peer.cursor)
                    .map(|stands| (stands.item, since(stands.since), stands.why)),
            })
        };
        peers.iter().filter_map(row).collect()
    }

    /// The newest head that a peer showed and when it arrived here, for freshness; known on the leader.
    pub fn newest_head(&self, peer: Prefix) -> Option<(SeenHead, TimeMs)> {
        self.board.newest(peer)
    }

    /// Why a peer's word is doubted: by what was seen of it here, or by another node of this registry.
    pub fn doubt(&self, peer: &Peer) -> Option<Doubt> {
        let seen = peer.bundle.primary().and_then(|peer| self.board.of(peer));
        let seen = seen.and_then(|status| status.doubt);
        peer.doubted.or(seen)
    }

    /// Evidence about a code from a peer: asked live, within `patience`; when nobody answers, or it was asked too often for
    /// whoever asks now, the last that was good.
    ///
    /// # Errors
    /// Not a peer, or nobody answered and nothing is kept.
    pub async fn inquire(
        &self,
        peer: Prefix,
        (code, asker): (&Code, &Asker),
        purpose: &InquiryPurpose,
        patience: Duration,
    ) -> Result<ForeignEvidence, InquireError> {
        let silent = |why: String| InquireError::NoAnswer { peer, why };
        let known = self.home.peer(peer).await;
        let known = known
            .map_err(|error| silent(error.to_string()))?
            .ok_or(InquireError::UnknownPeer(peer))?;
        let judge = |bytes: &[u8]| {
            let (_, _, order) = self::judge(&known, peer, code, bytes)?;
            Ok(match order {
                HeadOrder::Same | HeadOrder::Extends | HeadOrder::NotJoined => Answered::Newest,
                HeadOrder::Older | HeadOrder::RolledBack | HeadOrder::OtherHistory => {
                    Answered::Lagging
                }
            })
        };
        let inquired = if self.may_ask(peer, asker).await {
            let purpose = (purpose, asker.asked_for);
            let asked = self.inquirer.inquire(peer, code, purpose, patience, judge);
            asked.await?
        } else {
            let why = "this node asked it too often for the caller";
            let refresh = known.bundle.refresh;
            self.inquirer.unasked(peer, code, refresh, why)?
        };
        // What was kept is judged again: the peer's bundle may be a newer one by now.
        let judged = self::judge(&known, peer, code, &inquired.evidence);
        let (evidence, head, order) = judged.map_err(silent)?;
        let new = match order {
            // What was kept says nothing of now: its head may be of before a repair of the peer's time.
            _ if inquired.kept_because.is_some() => None,
            HeadOrder::OtherHistory => self
                .board
                .doubt(peer, Doubt::OtherHistory)
                .then_some(Doubt::OtherHistory),
            _ => self.board.showed(peer, known.bundle.incarnation, head),
        };
        if let Some(doubt) = new {
            error!(%peer, "a peer is doubted from now on: {}", doubted(doubt));
        }
        Ok(ForeignEvidence {
            known,
            evidence,
            fetched: inquired,
        })
    }
}

impl Gateway {
    /// Whether a peer is asked for somebody now, or a moment later.
    async fn may_ask(&self, peer: Prefix, asker: &Asker) -> bool {
        let mut waited = Duration::ZERO;
        loop {
            let taken = {
                let now = self.node.clock.monotonic();
                let mut rations = self.rations.lock().unwrap_or_else(PoisonError::into_inner);
                let nodes = self.node.raft.status().voters.len();
                rations.take(nodes, peer, asker, now)
            };
            match taken {
                Ok(()) => return true,
                Err(wait) if waited + wait <= RATION_PATIENCE => {
                    waited += wait;
                    tokio::time::sleep(wait).await;
                }
                Err(_) => return false,
            }
        }
    }
}

fn doubted(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Fork => "it showed two histories",
        Doubt::OtherHistory => "it shows a log that does not extend the one taken in",
        Doubt::RolledBack => "it was restored from a copy",
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Whether bytes are evidence about a code from the log of a peer's bundle, and how its head goes with the one taken in.
fn judge(
    peer: &Peer,
    prefix: Prefix,
    code: &Code,
    bytes: &[u8],
) -> Result<(Evidence, KnownHead, HeadOrder), String> {
    let evidence = evidence::parse(bytes).map_err(|error| error.to_string())?;
    if evidence.code != *code {
        return Err("it is about another code".into());
    }
    let origin = Origin {
        prefix,
        incarnation: peer.bundle.incarnation,
    };
    let proven = evidence
        .verify(&peer.bundle.log_key, &origin)
        .map_err(|error| error.to_string())?;
    // When its map head was made is not known here; the verdict says more.
    let order = proven.against(peer.size_seen, &peer.root_seen, TimeMs::MAX);
    let head = KnownHead {
        size: proven.size(),
        root: *proven.checkpoint().root(),
        time: proven.time(),
    };
    Ok((evidence, head, order))
}

/// Connections to nodes of peers, over the federation plane.
struct PlaneDialer<D> {
    tls: PlaneTls,
    dial: D,
}

impl<D: Dial> Dialer for PlaneDialer<D> {
    fn dial(&self, peer: Prefix, endpoint: &str) -> Result<Channel, String> {
        let expected = ExpectedNode {
            prefix: peer,
            node: None,
        };
        // Streams live as long as the connection; every call has its own deadline.
        let tuning = ConnectTuning {
            request_timeout: None,
            ..ConnectTuning::default()
        };
        let dial = self.dial.clone();
        connect(dial, endpoint, &self.tls, expected, tuning).map_err(|error| error.to_string())
    }
}

/// Puts the jurisdiction that the certificate proved where the service looks for it.
fn caller(mut request: Request<()>) -> Result<Request<()>, Status> {
    let identity = request.extensions().get::<PeerIdentity>();
    match identity.and_then(PeerIdentity::peer) {
        Some(peer) => {
            let caller = Caller(peer.prefix());
            request.extensions_mut().insert(caller);
            Ok(request)
        }
        None => Err(Status::unauthenticated(
            "no certificate of a peer's federation plane",
        )),
    }
}

/// A pause between half of this one and all of it.
fn shorter(pause: Duration, chance: &dyn Chance) -> Duration {
    let mut drawn = [0; 4];
    chance.fill(&mut drawn);
    let share = f64::from(u32::from_be_bytes(drawn)) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + share / 2.0)
}
