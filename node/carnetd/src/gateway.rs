//! The border of a node: its federation port, the mailboxes it follows while it leads, and inquiries of other registries.
//!
//! Wiring only: sessions are `carnet_peering`, certificates are judged by [`crate::tls`], and what a peer said takes
//! effect in `apply`. The roots of peers follow the replicated bundles.

mod doubts;
mod home;
mod lent;
mod pins;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::machine::entry::{Body, MailBatch};
use carnet_domain::record::contact::Contact;
use carnet_domain::record::peer::Peer;
use carnet_peering::follower::{Dialer, Follower, Jittered};
use carnet_peering::home::Home;
use carnet_peering::inquirer::{Answered, Fetched, InquireError, Inquirer, InquiryPurpose};
use carnet_peering::server::{Caller, FederationService};
use carnet_peering::status::Board;
use carnet_trust::evidence::{self, Evidence, HeadOrder, ProvenEvidence};
use carnet_trust::known::{Doubt, KnownHead};
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tracing::{debug, error, warn};

use self::home::NodeHome;
use self::lent::Lent;
use crate::node::Node;
use crate::share::Asker;
use crate::tls::{
    ConnectTuning, Dial, ExpectedNode, PeerIdentity, PlaneTls, TrustedRoots, connect,
};
use crate::world::Chance;

/// The longest that whoever asks too often waits here. Then it is told when to come again.
const RATION_PATIENCE: Duration = Duration::from_secs(1);
/// Heads of one peer that inquiries showed are taken in this far apart: each is an entry of the log.
const SEEN_HEAD_EVERY: DurationMs = DurationMs::from_secs(10);
/// How long a verdict waits for a head to be taken in and applied here, and how often is looked whether it is.
const APPLIED_PATIENCE: Duration = Duration::from_secs(1);
const APPLIED_LOOK: Duration = Duration::from_millis(20);

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
    lent: Arc<Lent>,
    /// When a head of each peer was last brought to be taken in, by the node's own clock: one that is refused is not brought again
    /// at once.
    brought: Mutex<BTreeMap<Prefix, Duration>>,
    stop: CancellationToken,
}

/// Evidence of another registry that its log key signed for.
#[derive(Debug, Clone)]
pub struct ForeignEvidence {
    /// The peer as it was known here before it was asked.
    pub known: Peer,
    /// What was shown.
    pub evidence: Evidence,
    /// What that proves under the bundle of the peer.
    pub proven: ProvenEvidence,
    /// The same under the head of `known`, if the peer showed that too, and says the same of the robot.
    pub under_known: Option<(Evidence, ProvenEvidence)>,
    /// Its bytes, when they arrived, and why they are not fresh, if so.
    pub fetched: Fetched,
}

/// What is known of the relation with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its primary prefix.
    pub peer: Prefix,
    /// As its bundle calls the country.
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
    /// Since it last answered that it is overloaded; none where it never did.
    pub overloaded: Option<DurationMs>,
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
    /// Until when its bundle is good.
    pub bundle_ends: TimeMs,
    /// Whether there is contact with it.
    pub contact: Contact,
    /// How each agreement with it stands.
    pub agreements: Vec<String>,
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
        let lent = Arc::new(Lent::default());
        doubts::start(&node, (&board, &lent), &stop);
        Arc::new(Self {
            node,
            inquirer: Inquirer::new(Arc::clone(&home) as Arc<dyn Home>, dialer),
            lent,
            brought: Mutex::default(),
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
    pub fn relations(&self, peers: &[Peer], log_time: TimeMs) -> Vec<Relation> {
        let now = self.home.wall();
        let known = self.board.all();
        let since = |at: TimeMs| now.since(at);
        let row = |peer: &Peer| {
            let prefix = peer.bundle.primary()?;
            let status = known.get(&prefix).cloned().unwrap_or_default();
            let head = status.newest.as_ref();
            let head_time = head.map(|head| head.log_time).or(status.newest_at);
            Some(Relation {
                peer: prefix,
                name: peer.bundle.name.clone(),
                cursor: peer.cursor,
                outbox: peer.outbox,
                acknowledged: status.served_acknowledged,
                last_contact: status.last_contact.map_or(DurationMs::from_secs(0), since),
                contacts: status.contacts,
                overloaded: status.overloaded.map(since),
                checkpoint_size: head.map_or(peer.size_seen, |head| head.size),
                checkpoint_age: head_time.map_or(DurationMs::from_secs(0), since),
                quarantined: peer.quarantined,
                doubt: peer.doubted.max(status.doubt).map_or("", doubted),
                last_error: match (peer.doubted.max(status.doubt), status.last_error) {
                    (Some(doubt), _) => format!("its word is doubted: {}", doubted(doubt)),
                    (None, error) => error.map_or(String::new(), |(_, text)| text),
                },
                errors_in_a_row: status.errors_in_a_row,
                // It may have been taken while another node led.
                stands: status
                    .stands
                    .filter(|stands| stands.item >= peer.cursor)
                    .map(|stands| (stands.item, since(stands.since), stands.why)),
                bundle_ends: peer.bundle.valid_to,
                contact: peer.contact,
                agreements: peer
                    .agreements
                    .iter()
                    .map(|agreement| peer.standing_of(agreement, log_time))
                    .collect(),
            })
        };
        peers.iter().filter_map(row).collect()
    }

    /// Why a peer's word is doubted: by what was seen of it here, or by another node of this registry.
    pub fn doubt(&self, peer: &Peer) -> Option<Doubt> {
        let seen = peer.bundle.primary().and_then(|peer| self.board.of(peer));
        let seen = seen.and_then(|status| status.doubt);
        peer.doubted.max(seen)
    }

    /// Evidence about a code from a peer: asked live, within `patience`; when nobody answers, the last that was good. Where it was
    /// asked too often for whoever asks now, the last if it is young.
    ///
    /// # Errors
    /// Not a peer, nobody answered and nothing is kept, or it is to be asked later.
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
        // Verifying takes a while: what was verified when it came is not verified again.
        let verified: Mutex<Option<(Vec<u8>, Judged)>> = Mutex::default();
        let judge = |asked: &Peer, bytes: &[u8]| {
            let judged = self::judge(asked, peer, code, bytes)?;
            let order = judged.against(asked);
            let mut verified = verified.lock().unwrap_or_else(PoisonError::into_inner);
            *verified = Some((bytes.to_vec(), judged));
            Ok(match order {
                HeadOrder::Same | HeadOrder::Extends | HeadOrder::NotJoined => Answered::Newest,
                HeadOrder::Older | HeadOrder::RolledBack | HeadOrder::OtherHistory => {
                    Answered::Lagging
                }
            })
        };
        let inquired = match self.may_ask(peer, asker).await {
            Ok(()) => {
                let purpose = (purpose, asker.asked_for);
                let asked = self.inquirer.inquire(peer, code, purpose, patience, judge);
                asked.await?
            }
            Err(later) => {
                let refresh = known.bundle.refresh;
                self.inquirer.unasked(peer, code, refresh, later)?
            }
        };
        // While it was waited for, mail may have moved on what was taken in, and a bundle may have been stated.
        let newest = self.home.peer(peer).await;
        let newest = newest
            .map_err(|error| silent(error.to_string()))?
            .ok_or(InquireError::UnknownPeer(peer))?;
        let known = as_asked(newest, inquired.asked.as_deref());
        let before = verified
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let before = before.filter(|(bytes, _)| bytes[..] == inquired.evidence[..]);
        let judged = match before.map(|(_, judged)| judged) {
            Some(judged) if judged.is_of(&known, peer) => judged,
            _ => self::judge(&known, peer, code, &inquired.evidence).map_err(silent)?,
        };
        let order = judged.against(&known);
        let head = KnownHead {
            size: judged.proven.size(),
            root: *judged.proven.checkpoint().root(),
            time: judged.proven.time(),
        };
        let Judged { evidence, proven } = judged;
        let under_known = match order {
            HeadOrder::Extends => shown_under(&known, (peer, code), &inquired, &proven),
            _ => None,
        };
        let new = match order {
            // What was kept, however young, says nothing of now: its head may be of before a repair of the peer's time.
            _ if inquired.asked.is_none() => None,
            HeadOrder::OtherHistory if head.size == known.size_seen => {
                // Two notes that it signed: evidence for the log, whoever has seen them. It goes in once, and each attempt is an entry.
                if self.brings_fork(&known, peer) {
                    self.shows_fork(peer, &evidence);
                }
                self.board.doubt(peer, Doubt::Fork).then_some(Doubt::Fork)
            }
            // Nobody signed the way.
            HeadOrder::OtherHistory => self
                .board
                .unjoined(peer, inquired.at)
                .then_some(Doubt::OtherHistory),
            HeadOrder::Extends if 0 < known.size_seen => {
                self.board.joined(peer);
                self.board
                    .showed(peer, known.bundle.incarnation, head, known.time_seen)
            }
            _ => self
                .board
                .showed(peer, known.bundle.incarnation, head, known.time_seen),
        };
        if let Some(doubt) = new {
            error!(%peer, "a peer is doubted from now on: {}", doubted(doubt));
        }
        Ok(ForeignEvidence {
            known,
            evidence,
            proven,
            under_known,
            fetched: inquired,
        })
    }
}

impl Gateway {
    /// Has a head taken in that a peer showed to an inquiry, if it is proven to extend the one that was: entered in the log it is
    /// of the one history that all nodes of this registry saw, and what is shown under it stays good. Tells whether it was, within
    /// [`APPLIED_PATIENCE`]; at most one of a peer is within [`SEEN_HEAD_EVERY`], whatever its mail brings meanwhile, and the others'
    /// mail waits for none of them. One that ends a doubt which the log has does not wait.
    pub async fn take_in(&self, peer: &Peer, evidence: &Evidence, proven: &ProvenEvidence) -> bool {
        let order = proven.against(peer.size_seen, &peer.root_seen, peer.time_seen);
        let now = self.home.wall();
        // One of a time that is to come was shown while log time ran ahead.
        let is_due = now < peer.shown_at || now.since(peer.shown_at) >= SEEN_HEAD_EVERY;
        let ends_doubt = peer.doubted == Some(Doubt::OtherHistory);
        let Some(primary) = peer.bundle.primary() else {
            return false;
        };
        // The first head of all goes on from the empty log, and needs no way.
        let consistency = match &evidence.frame.joined {
            _ if order != HeadOrder::Extends => return false,
            Some(joined) => joined.path.clone(),
            None => Vec::new(),
        };
        if !ends_doubt && (!is_due || !self.may_bring(primary)) {
            return false;
        }
        let batch = MailBatch {
            peer: primary,
            checkpoint: evidence.frame.checkpoint.clone(),
            map_head: evidence.frame.map_head.clone(),
            consistency,
            items: Vec::new(),
            large: None,
        };
        // A leader that lost its quorum answers late, and the verdict does not wait for that.
        let node = Arc::clone(&self.node);
        let telling = tokio::spawn(async move {
            let told = doubts::tell(&node, Body::Foreign { batch }).await;
            if let Err(error) = &told {
                debug!(%error, peer = %primary, "a head that was shown was not taken in");
            }
            told.is_ok()
        });
        // Where another node leads, it is applied here a moment later.
        let taken_in = async {
            if !telling.await.unwrap_or(false) {
                return false;
            }
            loop {
                match self.home.peer(primary).await {
                    Ok(Some(now)) if now.size_seen < proven.size() => {}
                    Ok(_) => return true,
                    Err(_) => return false,
                }
                tokio::time::sleep(APPLIED_LOOK).await;
            }
        };
        let waited = tokio::time::timeout(APPLIED_PATIENCE, taken_in).await;
        waited.unwrap_or(false)
    }

    /// Enters a head in the log that contradicts the one taken in of the same size. Nobody waits for it: until it is there, this
    /// node's own doubt is told.
    fn shows_fork(&self, peer: Prefix, evidence: &Evidence) {
        let batch = MailBatch {
            peer,
            checkpoint: evidence.frame.checkpoint.clone(),
            map_head: evidence.frame.map_head.clone(),
            consistency: Vec::new(),
            items: Vec::new(),
            large: None,
        };
        let node = Arc::clone(&self.node);
        tokio::spawn(async move {
            if let Err(error) = doubts::tell(&node, Body::Foreign { batch }).await {
                warn!(%error, %peer, "two heads of one size are not in the log yet");
            }
        });
    }

    /// Whether two heads of one size are brought to the log now.
    fn brings_fork(&self, known: &Peer, peer: Prefix) -> bool {
        !known.split && self.may_bring(peer)
    }

    /// Whether a head of a peer is brought now.
    fn may_bring(&self, peer: Prefix) -> bool {
        let now = self.node.clock.monotonic();
        let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        let every = Duration::from_millis(SEEN_HEAD_EVERY.as_ms());
        let waits = brought.get(&peer).is_some_and(|at| now < *at + every);
        if !waits {
            brought.insert(peer, now);
        }
        !waits
    }

    /// Whether a peer is asked for somebody now, or a moment later.
    ///
    /// # Errors
    /// After how long it may be asked.
    async fn may_ask(&self, peer: Prefix, asker: &Asker) -> Result<(), Duration> {
        let mut waited = Duration::ZERO;
        loop {
            match self.lent.take(&self.node, peer, asker).await {
                Err(wait) if waited + wait <= RATION_PATIENCE => {
                    waited += wait;
                    tokio::time::sleep(wait).await;
                }
                taken => return taken,
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

/// The peer as it is known now, but with the head of its log that an answer is joined to: the one that was known when it was
/// asked. Of another life of the log nothing is joined to that.
fn as_asked(newest: Peer, asked: Option<&Peer>) -> Peer {
    match asked {
        Some(asked) if asked.bundle.incarnation == newest.bundle.incarnation => Peer {
            size_seen: asked.size_seen,
            root_seen: asked.root_seen,
            time_seen: asked.time_seen,
            ..newest
        },
        _ => newest,
    }
}

/// Evidence from the log of a peer's bundle, and what it proves. Only [`judge`] makes one.
struct Judged {
    evidence: Evidence,
    proven: ProvenEvidence,
}

impl Judged {
    /// How its head goes with the one taken in.
    fn against(&self, peer: &Peer) -> HeadOrder {
        self.proven
            .against(peer.size_seen, &peer.root_seen, peer.time_seen)
    }

    /// Whether it was verified under this bundle of the peer.
    fn is_of(&self, peer: &Peer, prefix: Prefix) -> bool {
        let head = self.proven.head();
        head.is_of(&peer.bundle.keys, &origin_of(peer, prefix))
    }
}

fn origin_of(peer: &Peer, prefix: Prefix) -> Origin {
    Origin {
        prefix,
        incarnation: peer.bundle.incarnation,
    }
}

/// Whether bytes are evidence about a code from the log of a peer's bundle.
fn judge(peer: &Peer, prefix: Prefix, code: &Code, bytes: &[u8]) -> Result<Judged, String> {
    let evidence = evidence::parse(bytes).map_err(|error| error.to_string())?;
    if evidence.code != *code {
        return Err("it is about another code".into());
    }
    let proven = evidence
        .verify(&peer.bundle.keys, &origin_of(peer, prefix))
        .map_err(|error| error.to_string())?;
    Ok(Judged { evidence, proven })
}

/// What a peer showed under the head that was taken in when it was asked, if it is that and says the same of the robot as what it
/// showed under its newest.
fn shown_under(
    known: &Peer,
    (peer, code): (Prefix, &Code),
    inquired: &Fetched,
    newest: &ProvenEvidence,
) -> Option<(Evidence, ProvenEvidence)> {
    if inquired.asked.is_none() || inquired.under_known.is_empty() {
        return None;
    }
    let under = judge(known, peer, code, &inquired.under_known).ok()?;
    let is_it = under.against(known) == HeadOrder::Same && under.proven.says_as(newest);
    is_it.then_some((under.evidence, under.proven))
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

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::encoding::Canonical as _;
    use carnet_domain::record::ledger::Ledger;
    use carnet_domain::rules::command::Command;
    use carnet_domain::rules::lifecycle::HoldKind;
    use carnet_domain::rules::policy::Role;
    use carnet_kit::{Country, befriend, transfer};
    use carnet_peering::inquirer::AskedFor;
    use carnet_store::records::Records;
    use carnet_trust::evidence::{Published, SLOTS_FOR_AUTHORITIES, build, join};
    use carnet_trust::identity::Plane;
    use carnet_trust::taken::Taking;
    use carnet_trust::verdict::{Value, Verdict};

    use super::*;
    use crate::house::House;
    use crate::service::Caller;

    /// What a country answers about its robot 1 under its newest head, joined to a size.
    fn answered(country: &mut Country, size: u64) -> (Evidence, ProvenEvidence) {
        country.close();
        answers(country, size)
    }

    fn answers(country: &Country, size: u64) -> (Evidence, ProvenEvidence) {
        let registry = country.registry();
        let origin = Origin {
            prefix: country.prefix,
            incarnation: registry.incarnation,
        };
        let published = Published {
            origin,
            checkpoint: &registry.checkpoint,
            size: registry.published.expect("a closed log").size,
        };
        let code = country.code(1);
        let built = build(&country.ledger, &published, &code, SLOTS_FOR_AUTHORITIES);
        let mut evidence = built.expect("evidence");
        evidence.frame.joined = join(&country.ledger, &published, size).expect("joined");
        let proven = evidence.verify(&registry.keys, &origin);
        (evidence, proven.expect("it holds"))
    }

    /// 86, and 44 of which it took one item in, a minute ago.
    fn two() -> (Country, Country) {
        let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
        befriend(&mut a, &mut b);
        b.must("maker", b.register(1));
        b.must("customs", b.declare(1, transfer(1), &a.prefix));
        b.deliver(&mut a);
        a.advance(DurationMs::from_secs(60));
        a.close();
        (a, b)
    }

    /// Files of what a peer showed were good until its next item came: no head but that of its mail was ever taken in.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_head_that_an_inquiry_showed_is_taken_in_but_not_one_after_the_other() {
        let (a, mut b) = two();
        let house = House::of(&a).await;
        let known = || {
            let records = Records(house.node.state.engine());
            records.peer(&b.prefix).expect("a read").expect("a peer")
        };
        let before = known();
        b.must("maker", b.register(2));
        let (evidence, proven) = answered(&mut b, before.size_seen);
        let taking = |peer: &Peer, proven: &ProvenEvidence| {
            let head = KnownHead {
                size: peer.size_seen,
                root: peer.root_seen,
                time: peer.time_seen,
            };
            Taking::of(a.prefix, 0, (1, a.clock), proven, &head)
        };
        assert_eq!(taking(&before, &proven), None);
        // One that is joined to nothing known is not taken in.
        let unjoined = answered(&mut b, 1);
        assert!(
            !house
                .gateway
                .take_in(&before, &unjoined.0, &unjoined.1)
                .await
        );
        assert!(house.gateway.take_in(&before, &evidence, &proven).await);
        let records = Records(house.node.state.engine());
        let after = records.peer(&b.prefix).expect("a read").expect("a peer");
        assert_eq!(after.size_seen, proven.size());
        assert_eq!(after.time_seen, proven.time());
        assert_eq!(after.cursor, before.cursor, "its mail is where it was");
        assert!(taking(&after, &proven).is_some());
        // The next has to wait.
        b.must("maker", b.register(3));
        let (evidence, proven) = answered(&mut b, after.size_seen);
        assert!(!house.gateway.take_in(&after, &evidence, &proven).await);
        // Also by what this node tried: one that is refused is not brought again at once.
        let waited = Peer {
            shown_at: TimeMs(0),
            ..after
        };
        assert!(!house.gateway.take_in(&waited, &evidence, &proven).await);
        house.close().await;
    }

    /// A peer that sends an item every few seconds kept every head of an inquiry out: its mail counted as one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn mail_makes_no_head_of_an_inquiry_wait() {
        let (mut a, mut b) = two();
        b.must("maker", b.register(2));
        b.must("customs", b.declare(2, transfer(2), &a.prefix));
        b.deliver(&mut a);
        a.close();
        let house = House::of(&a).await;
        let records = Records(house.node.state.engine());
        let known = records.peer(&b.prefix).expect("a read").expect("a peer");
        b.must("maker", b.register(3));
        let (evidence, proven) = answered(&mut b, known.size_seen);
        assert!(house.gateway.take_in(&known, &evidence, &proven).await);
        house.close().await;
    }

    /// Of a peer that never sent anything, no head was ever taken in: nothing about its robots was good without a network.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_first_head_of_a_peer_is_taken_in_without_mail() {
        let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
        befriend(&mut a, &mut b);
        a.advance(DurationMs::from_secs(60));
        a.close();
        b.must("maker", b.register(1));
        let house = House::of(&a).await;
        let known = || {
            let records = Records(house.node.state.engine());
            records.peer(&b.prefix).expect("a read").expect("a peer")
        };
        let before = known();
        assert_eq!(before.size_seen, 0);
        let (evidence, proven) = answered(&mut b.clone(), 0);
        assert!(house.gateway.take_in(&before, &evidence, &proven).await);
        assert_eq!(known().size_seen, proven.size());
        house.close().await;
    }

    /// A doubt that the log has ends with the first head that goes on, however lately another was taken in.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_head_that_ends_a_doubt_does_not_wait() {
        let (mut a, mut b) = two();
        let known = |a: &Country| {
            let Ok(known) = a.ledger.peer(&b.prefix);
            known.expect("a peer")
        };
        let sequence = known(&a).bundle.sequence;
        a.apply(Body::Doubt {
            peer: b.prefix,
            sequence,
            doubt: Doubt::OtherHistory,
        });
        let shown_at = a.clock;
        let doubted = Peer {
            shown_at,
            ..known(&a)
        };
        a.close();
        let house = House::of(&a).await;
        b.must("maker", b.register(2));
        let (evidence, proven) = answered(&mut b, doubted.size_seen);
        assert_eq!(doubted.doubted, Some(Doubt::OtherHistory));
        let sound = Peer {
            doubted: None,
            ..doubted.clone()
        };
        assert!(!house.gateway.take_in(&sound, &evidence, &proven).await);
        assert!(house.gateway.take_in(&doubted, &evidence, &proven).await);
        let records = Records(house.node.state.engine());
        let after = records.peer(&b.prefix).expect("a read").expect("a peer");
        assert_eq!((after.doubted, after.size_seen), (None, proven.size()));
        house.close().await;
    }

    /// Each verdict on a robot of a country that had shown two histories was an entry of the log.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_heads_of_one_size_are_brought_once() {
        let (a, b) = two();
        let Ok(known) = a.ledger.peer(&b.prefix);
        let known = known.expect("a peer");
        let house = House::of(&a).await;
        assert!(house.gateway.brings_fork(&known, b.prefix));
        assert!(
            !house.gateway.brings_fork(&known, b.prefix),
            "a moment later"
        );
        let split = Peer {
            split: true,
            ..known
        };
        let other = Prefix::parse("49").expect("a prefix");
        assert!(
            !house.gateway.brings_fork(&split, other),
            "the log has them"
        );
        house.close().await;
    }

    /// A robot that our own record has as stolen got no verdict while others used up what its country may be asked.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_our_own_record_says_against_a_robot_waits_for_no_peer() {
        let (mut a, mut b) = two();
        let (code, unknown) = (b.code(1), b.code(9));
        // It is on its way to here, and we are responsible.
        let permit = Command::PermitImport {
            transfer: transfer(1),
            depart_by: a.clock.saturating_add(DurationMs::from_days(1)),
            conditions: Vec::new(),
        };
        a.must("customs", permit);
        a.deliver(&mut b);
        let depart = Command::Depart {
            transfer: transfer(1),
            place: "port".into(),
        };
        b.must("customs", depart);
        b.deliver(&mut a);
        let stolen = Command::SetHold {
            code,
            kind: HoldKind::Theft,
            reason: "stolen".into(),
        };
        a.must("regulator", stolen);
        a.close();
        let house = House::of(&a).await;
        let caller = Caller::from(house.client(Role::Customs, "port", Plane::Client));
        let asker = Asker {
            holder: caller.holder(),
            asked_for: AskedFor::Authority,
        };
        let lent = &house.gateway.lent;
        while lent.take(&house.node, b.prefix, &asker).await.is_ok() {}
        let verdict = async |code| {
            let found = house.registry.verify(&caller, code, "operation").await;
            found.map(|found| Verdict::from_bytes(&found.value.verdict).expect("a verdict"))
        };
        let found = verdict(&code).await.expect("a verdict");
        assert_eq!(found.value, Value::Invalid, "{found}");
        // Of any other the answer may be another a moment later.
        let later = verdict(&unknown).await.expect_err("later");
        assert_eq!(later.reason(), "OVERLOADED");
        house.close().await;
    }

    /// Of two files made in one moment one could be signed for: now both, as long as the robot is the same under either head.
    #[test]
    fn what_stands_under_the_head_taken_in_is_good_while_it_says_the_same() {
        let (a, b) = two();
        let Ok(known) = a.ledger.peer(&b.prefix);
        let known = known.expect("a peer");
        let (under, _) = answers(&b, known.size_seen);
        let showed = |newest: &ProvenEvidence, asked: Option<&Peer>, under: &Evidence| {
            let inquired = Fetched {
                evidence: Vec::new().into(),
                under_known: under.to_bytes().into(),
                at: TimeMs(0),
                kept_because: None,
                asked: asked.cloned().map(Box::new),
            };
            let code = &newest.code().clone();
            shown_under(&known, (b.prefix, code), &inquired, newest)
        };
        let mut later = b.clone();
        later.must("maker", later.register(2));
        let (_, newest) = answered(&mut later, known.size_seen);
        let found = showed(&newest, Some(&known), &under);
        assert_eq!(found.map(|(evidence, _)| evidence), Some(under.clone()));
        assert!(showed(&newest, None, &under).is_none(), "what was kept");
        // Under another head it is nothing that was taken in.
        let (other, _) = answered(&mut later.clone(), 0);
        assert!(showed(&newest, Some(&known), &other).is_none());
        // A theft since is not hidden behind the head of before it.
        let mut stolen = later;
        let set = Command::SetHold {
            code: stolen.code(1),
            kind: HoldKind::Theft,
            reason: "stolen".into(),
        };
        stolen.must("regulator", set);
        let (_, newest) = answered(&mut stolen, known.size_seen);
        assert!(showed(&newest, Some(&known), &under).is_none());
    }

    /// A node shows a peer what it showed a moment ago, under the very head that the peer took in, and no longer than that.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_head_of_a_moment_ago_is_shown_again() {
        let mut b = Country::with_market("44");
        b.must("maker", b.register(1));
        b.close();
        let size = |b: &Country| b.registry().published.expect("a closed log").size;
        let known = size(&b);
        b.must("maker", b.register(2));
        b.close();
        let shown = async |b: &Country, known: u64| {
            let house = House::of(b).await;
            let to = Prefix::parse("86").expect("a prefix");
            let shown = house.gateway.home.evidence(to, b.code(1), known).await;
            house.close().await;
            let shown = shown.expect("a read").expect("published");
            let read = |bytes: &[u8]| evidence::parse(bytes).expect("evidence");
            let size_of = |evidence: Evidence| evidence.frame.map_head.index + 1;
            let newest = read(&shown.newest);
            let joined = newest.frame.joined.as_ref().map(|joined| joined.size);
            let under = shown.under_known.map(|bytes| size_of(read(&bytes)));
            (size_of(newest), joined, under)
        };
        let newest = size(&b);
        assert_eq!(shown(&b, known).await, (newest, Some(known), Some(known)));
        assert_eq!(shown(&b, known - 1).await.2, None, "never published");
        assert_eq!(shown(&b, newest).await.2, None, "it is the newest");
        for serial in [3, 4] {
            b.advance(DurationMs::from_secs(30));
            b.must("maker", b.register(serial));
            b.close();
        }
        assert_eq!(shown(&b, known).await, (size(&b), Some(known), None));
    }

    /// Mail that came while an answer was waited for left the answer joined to what was not known any more.
    #[test]
    fn an_answer_is_judged_by_what_was_known_when_it_was_asked_for() {
        let (mut a, mut b) = two();
        let Ok(asked) = a.ledger.peer(&b.prefix);
        let asked = asked.expect("a peer");
        b.must("maker", b.register(2));
        let (evidence, _) = answered(&mut b, asked.size_seen);
        b.must("customs", b.declare(2, transfer(2), &a.prefix));
        let bytes = evidence.to_bytes();
        // Its mail moves on, to a head below the one that was shown.
        let mut batch = b.lying_mail(&a.prefix, asked.size_seen, asked.cursor);
        batch.items.clear();
        a.apply(Body::Foreign { batch });
        let Ok(newest) = a.ledger.peer(&b.prefix);
        let newest = newest.expect("a peer");
        assert!(newest.size_seen > asked.size_seen);
        let order = |peer: &Peer| {
            let judged = judge(peer, b.prefix, &evidence.code, &bytes);
            judged.expect("evidence").against(peer)
        };
        assert_ne!(order(&newest), HeadOrder::Extends);
        let known = as_asked(newest.clone(), Some(&asked));
        assert_eq!(order(&known), HeadOrder::Extends);
        assert_eq!(known.cursor, newest.cursor, "what else came since counts");
        // Of another life nothing is joined to what was known.
        let mut other = asked.clone();
        other.bundle.incarnation += 1;
        assert_eq!(as_asked(newest.clone(), Some(&other)), newest);
    }
}
