//! A registry for tests as peering asks it, and the memory between two of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::mail::{self, MailError};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::machine::entry::{Body, ItemAnswer, MailBatch};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::Peer;
use carnet_kit::{Country, befriend};
use carnet_peering::follower::{Dialer, Follower, Pauses};
use carnet_peering::home::{Home, HomeError, Outgoing, Shown, Wanted};
use carnet_peering::server::{Caller, FederationService};
use carnet_peering::status::Board;
use carnet_trust::evidence::{self, SLOTS_FOR_AUTHORITIES};
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Status};

/// Changes a batch on its way out.
pub(crate) type Tamper = Box<dyn Fn(&mut MailBatch) + Send>;
/// Answers a proposal instead of the registry, with the number of the proposal, or lets it through with `None`.
pub(crate) type Instead =
    Box<dyn Fn(u64, &mut Country, &MailBatch) -> Option<Result<Vec<ItemAnswer>, HomeError>> + Send>;

/// One registry.
pub(crate) struct World {
    pub(crate) country: Mutex<Country>,
    /// As it stood at its newest publication.
    shown: Mutex<Option<Country>>,
    pub(crate) published: watch::Sender<u64>,
    pub(crate) leading: watch::Sender<bool>,
    pub(crate) endpoints: Mutex<BTreeMap<Prefix, Vec<String>>>,
    pub(crate) proposed: Mutex<Vec<(MailBatch, Vec<ItemAnswer>)>>,
    pub(crate) batches: AtomicU64,
    pub(crate) time_ms: AtomicU64,
    pub(crate) tamper: Mutex<Option<Tamper>>,
    pub(crate) instead: Mutex<Option<Instead>>,
    pub(crate) evidence: Mutex<Option<Vec<u8>>>,
    /// What it shows of that of a moment ago, to whoever knows its head of that size.
    pub(crate) before: Mutex<Option<(u64, Vec<u8>)>>,
    pub(crate) inquiries: AtomicU64,
}

impl World {
    pub(crate) fn new(country: Country) -> Arc<Self> {
        let world = Self {
            country: Mutex::new(country),
            shown: Mutex::default(),
            published: watch::Sender::new(0),
            leading: watch::Sender::new(true),
            endpoints: Mutex::default(),
            proposed: Mutex::default(),
            batches: AtomicU64::default(),
            time_ms: AtomicU64::default(),
            tamper: Mutex::default(),
            instead: Mutex::default(),
            evidence: Mutex::default(),
            before: Mutex::default(),
            inquiries: AtomicU64::new(0),
        };
        Arc::new(world)
    }

    /// Seals and publishes.
    pub(crate) fn publish(&self) {
        let mut country = self.country.lock().unwrap();
        country.close();
        let size = country.registry().published.unwrap().size;
        *self.shown.lock().unwrap() = Some(country.clone());
        self.published.send_replace(size);
    }

    /// Offers robots to a country: one item of mail each. They are registered on the way.
    pub(crate) fn offer(&self, serials: std::ops::Range<u32>, to: Prefix) {
        let mut country = self.country.lock().unwrap();
        for serial in serials {
            let register = country.register(serial);
            country.must("maker", register);
            let number = carnet_domain::rules::command::TransferId(std::array::from_fn(|at| {
                serial.to_be_bytes().get(at).copied().unwrap_or(7)
            }));
            let declare = country.declare(serial, number, &to);
            country.must("maker", declare);
        }
    }

    pub(crate) fn prefix(&self) -> Prefix {
        self.country.lock().unwrap().prefix
    }

    pub(crate) fn known(&self, peer: Prefix) -> Peer {
        let country = self.country.lock().unwrap();
        let Ok(found) = country.ledger.peer(&peer);
        found.unwrap()
    }

    /// How many items of a peer's mailbox were applied here, and how often each.
    pub(crate) fn applied(&self) -> Vec<(u64, u64)> {
        let mut counts = BTreeMap::new();
        for (batch, answers) in self.proposed.lock().unwrap().iter() {
            for (item, answer) in batch.items.iter().zip(answers) {
                if matches!(answer, ItemAnswer::Done { .. }) {
                    *counts.entry(item.sequence).or_insert(0) += 1;
                }
            }
        }
        counts.into_iter().collect()
    }

    pub(crate) fn proposals(&self) -> usize {
        self.proposed.lock().unwrap().len()
    }
}

/// Sequences `0..count`, each once.
pub(crate) fn once_each(count: u64) -> Vec<(u64, u64)> {
    (0..count).map(|sequence| (sequence, 1)).collect()
}

#[async_trait]
impl Home for World {
    fn origin(&self) -> Option<Origin> {
        let country = self.country.lock().unwrap();
        let Ok(registry) = country.ledger.registry();
        registry.map(|registry| Origin {
            prefix: registry.prefix,
            incarnation: registry.incarnation,
        })
    }

    fn wall(&self) -> TimeMs {
        TimeMs(1_000_000 + self.time_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.time_ms.load(Ordering::SeqCst))
    }

    fn leadership(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    fn published(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    async fn peers(&self) -> Result<Vec<Peer>, HomeError> {
        let country = self.country.lock().unwrap();
        let Ok(mut peers) = country.ledger.peers();
        let endpoints = self.endpoints.lock().unwrap();
        for peer in &mut peers {
            let prefix = peer.bundle.primary().unwrap();
            peer.bundle.endpoints = endpoints.get(&prefix).cloned().unwrap_or_default();
        }
        Ok(peers)
    }

    async fn peer(&self, prefix: Prefix) -> Result<Option<Peer>, HomeError> {
        let peers = self.peers().await?;
        let mut named = peers.into_iter();
        Ok(named.find(|peer| peer.bundle.primary() == Some(prefix)))
    }

    async fn batch(&self, wanted: Wanted) -> Result<Option<Outgoing>, HomeError> {
        self.batches.fetch_add(1, Ordering::SeqCst);
        let shown = self.shown.lock().unwrap();
        let Some(country) = &*shown else {
            return Ok(None);
        };
        let items = country.ledger.mailbox(&wanted.peer, wanted.from_sequence);
        let batch = mail::batch(
            &country.ledger,
            &country.registry(),
            &wanted.peer,
            wanted.known_size,
            items.into_iter().take(wanted.item_count_max),
            wanted.bytes_max,
        );
        let mut batch = match batch {
            Ok(batch) => batch,
            Err(MailError::FollowerAhead { known, published }) => {
                return Err(HomeError::FollowerAhead { known, published });
            }
            Err(error) => return Err(HomeError::State(error.to_string())),
        };
        if let Some(tamper) = &*self.tamper.lock().unwrap() {
            tamper(&mut batch);
        }
        let size = country.registry().published.unwrap().size;
        Ok(Some(Outgoing { size, batch }))
    }

    async fn propose_foreign(&self, batch: MailBatch) -> Result<Vec<ItemAnswer>, HomeError> {
        // One log entry holds it.
        assert!(batch.to_bytes().len() <= carnet_domain::limits::ENTRY_BYTES_MAX);
        let mut country = self.country.lock().unwrap();
        let number = self.proposals() as u64;
        if let Some(instead) = &*self.instead.lock().unwrap()
            && let Some(answer) = instead(number, &mut country, &batch)
        {
            let answers = answer.clone().unwrap_or_default();
            self.proposed.lock().unwrap().push((batch, answers));
            return answer;
        }
        let body = Body::Foreign {
            batch: batch.clone(),
        };
        let answers = country.apply(body).items;
        self.proposed.lock().unwrap().push((batch, answers.clone()));
        Ok(answers)
    }

    async fn evidence(
        &self,
        _: Prefix,
        code: Code,
        known_size: u64,
    ) -> Result<Option<Shown>, HomeError> {
        self.inquiries.fetch_add(1, Ordering::SeqCst);
        if let Some(bytes) = &*self.evidence.lock().unwrap() {
            let (newest, under_known) = (bytes.clone(), None);
            return Ok(Some(Shown {
                newest,
                under_known,
            }));
        }
        let shown = self.shown.lock().unwrap();
        let Some(country) = &*shown else {
            return Ok(None);
        };
        let registry = country.registry();
        let published = evidence::Published {
            origin: Origin {
                prefix: registry.prefix,
                incarnation: registry.incarnation,
            },
            checkpoint: &registry.checkpoint,
            size: registry.published.as_ref().unwrap().size,
        };
        let built = evidence::build(&country.ledger, &published, &code, SLOTS_FOR_AUTHORITIES);
        let mut built = built.unwrap();
        built.frame.joined = evidence::join(&country.ledger, &published, known_size).unwrap();
        let before = self.before.lock().unwrap();
        let before = before.as_ref().filter(|(size, _)| *size == known_size);
        Ok(Some(Shown {
            newest: built.to_bytes(),
            under_known: before.map(|(_, bytes)| bytes.clone()),
        }))
    }
}

/// Registries at addresses, connected through memory.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<BTreeMap<String, Line>>>);

struct Line {
    service: FederationService,
    caller: Option<Caller>,
    open: Vec<AbortHandle>,
    dials: usize,
    cut: bool,
    silent: bool,
}

impl Lines {
    /// Serves a registry at an address to a caller whose certificate would be of `caller`.
    pub(crate) fn serve(
        &self,
        address: &str,
        world: &Arc<World>,
        caller: Option<Prefix>,
    ) -> Arc<Board> {
        let board = Arc::new(Board::new());
        let home = Arc::clone(world) as Arc<dyn Home>;
        let line = Line {
            service: FederationService::new(home, Arc::clone(&board), CancellationToken::new()),
            caller: caller.map(Caller),
            open: Vec::new(),
            dials: 0,
            cut: false,
            silent: false,
        };
        self.0.lock().unwrap().insert(address.into(), line);
        board
    }

    /// Takes connections at an address, as if every handshake had been made, and never says anything.
    pub(crate) fn silent(&self, address: &str) {
        let nobody = World::new(Country::unborn("33"));
        self.serve(address, &nobody, None);
        self.0.lock().unwrap().get_mut(address).unwrap().silent = true;
    }

    /// Breaks every open connection to an address; new ones may be made.
    pub(crate) fn break_all(&self, address: &str) {
        for open in self
            .0
            .lock()
            .unwrap()
            .get_mut(address)
            .unwrap()
            .open
            .drain(..)
        {
            open.abort();
        }
    }

    /// Breaks every connection and allows no new ones, or allows them again.
    pub(crate) fn cut(&self, address: &str, cut: bool) {
        self.0.lock().unwrap().get_mut(address).unwrap().cut = cut;
        if cut {
            self.break_all(address);
        }
    }

    pub(crate) fn dials(&self, address: &str) -> usize {
        self.0.lock().unwrap()[address].dials
    }

    fn connect(&self, address: &str) -> std::io::Result<DuplexStream> {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let mut lines = self.0.lock().unwrap();
        let line = lines.get_mut(address).ok_or_else(refused)?;
        line.dials += 1;
        if line.cut {
            return Err(refused());
        }
        if line.silent {
            let (here, there) = tokio::io::duplex(64 * 1024);
            let held = tokio::spawn(async move {
                let _there = there;
                std::future::pending::<()>().await
            });
            line.open.push(held.abort_handle());
            return Ok(here);
        }
        let (here, mut near) = tokio::io::duplex(64 * 1024);
        let (mut far, there) = tokio::io::duplex(64 * 1024);
        // The cable: aborting it closes both ends.
        let cable = tokio::spawn(async move {
            // Both ends see that it broke.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
        line.open.push(cable.abort_handle());
        let caller = line.caller;
        let name = move |mut request: Request<()>| -> Result<Request<()>, Status> {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            Ok(request)
        };
        let service = InterceptedService::new(line.service.clone().into_server(), name);
        let incoming = tokio_stream::once(Ok::<_, std::io::Error>(there));
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming);
        tokio::spawn(serving);
        Ok(here)
    }
}

impl Dialer for Lines {
    fn dial(&self, _: Prefix, endpoint: &str) -> Result<Channel, String> {
        let (lines, address) = (self.clone(), endpoint.to_owned());
        let connector = tower::service_fn(move |_: Uri| {
            let connected = lines.connect(&address).map(TokioIo::new);
            async move { connected }
        });
        Ok(Endpoint::from_static("http://memory").connect_with_connector_lazy(connector))
    }
}

/// Pauses that last until the test says so.
pub(crate) struct Steps {
    asked: mpsc::UnboundedSender<Duration>,
    go: Semaphore,
}

#[async_trait]
impl Pauses for Steps {
    async fn pause(&self, pause: Duration) {
        self.asked.send(pause).unwrap();
        self.go.acquire().await.unwrap().forget();
    }
}

/// A follower that runs.
pub(crate) struct Running {
    pub(crate) board: Arc<Board>,
    pub(crate) stop: CancellationToken,
    steps: Arc<Steps>,
    pauses: mpsc::UnboundedReceiver<Duration>,
}

impl Running {
    pub(crate) fn follow(world: &Arc<World>, lines: &Lines) -> Self {
        let (asked, pauses) = mpsc::unbounded_channel();
        let steps = Arc::new(Steps {
            asked,
            go: Semaphore::new(0),
        });
        let board = Arc::new(Board::new());
        let stop = CancellationToken::new();
        let follower = Follower::new(
            Arc::clone(world) as Arc<dyn Home>,
            Arc::new(lines.clone()),
            Arc::clone(&board),
            Arc::clone(&steps) as Arc<dyn Pauses>,
        );
        tokio::spawn(follower.run(stop.clone()));
        Self {
            board,
            stop,
            steps,
            pauses,
        }
    }

    /// The next pause that a task asks for; the task waits in it.
    pub(crate) async fn paused(&mut self) -> Duration {
        self.pauses.recv().await.unwrap()
    }

    /// Ends one pause.
    pub(crate) fn go_on(&self) {
        self.steps.go.add_permits(1);
    }

    /// Whether no task asked for a pause that the test does not know of.
    pub(crate) fn never_paused(&mut self) -> bool {
        self.pauses.try_recv().is_err()
    }

    pub(crate) fn last_error(&self, peer: Prefix) -> String {
        let status = self.board.of(peer).unwrap_or_default();
        status.last_error.map_or(String::new(), |(_, text)| text)
    }
}

/// Lets every other task run until a condition holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {what}");
}

/// Lets every other task run as far as it can.
pub(crate) async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

pub(crate) const ENDPOINT: &str = "86.example:7104";

/// 86, which others follow at [`ENDPOINT`], and 44, its peer.
pub(crate) fn two() -> (Arc<World>, Arc<World>, Lines) {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    befriend(&mut a, &mut b);
    let (a, b) = (World::new(a), World::new(b));
    a.publish();
    b.publish();
    let lines = Lines::default();
    lines.serve(ENDPOINT, &a, Some(b.prefix()));
    let at = vec![ENDPOINT.to_owned()];
    b.endpoints.lock().unwrap().insert(a.prefix(), at);
    (a, b, lines)
}
