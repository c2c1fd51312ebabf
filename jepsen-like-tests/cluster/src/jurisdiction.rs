//! One jurisdiction of real processes: its keys, its nodes' files, and what is done to its nodes.

mod gates;
mod genesis;
mod layout;
mod outage;

pub(crate) use self::layout::{no_contexts, run, stem};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_client::admin::{Admin, GetStatusResponse, Member};
use carnet_client::{Client, ClientBuilder, Identity};
use carnet_domain::bytes::code::{ModelId, Prefix};
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::record::Holder;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;

use crate::address::{ADMIN_PORT, FEDERATION_PORT, METRICS_PORT, Network};
use crate::check::Breaks;
use crate::clocks::{self, Shift, Shim};
use crate::links::Links;
use crate::patience::{Broken, until};
use crate::power::Disk;
use crate::process::Process;
use crate::proxy::{Proxy, Route};
use crate::skip::Programs;

/// The longest call of the harness to the admin plane; a node that is down answers nobody.
const ADMIN_DEADLINE: Duration = Duration::from_millis(1500);

/// The longest that founding a cluster may take before another node is asked.
const FOUNDING_DEADLINE: Duration = Duration::from_secs(10);

/// The office that runs the registry's business.
pub const REGISTRAR: &str = "registrar/hq/one";
/// The operator of the cluster.
pub const ADMIN: &str = "admin/ops/one";
/// A second admin, of a registry in earnest.
pub const SECOND_ADMIN: &str = "admin/ops/two";
/// A second registrar, of a registry in earnest.
pub const SECOND_REGISTRAR: &str = "registrar/hq/two";
/// The enterprise whose robots are registered.
pub const MANUFACTURER: &str = "manufacturer/0001/line-1";

/// From here on the last byte of an address is that of a gate of the harness, not of a node.
const GATES_FROM: u8 = 100;
/// Days a certificate made after the start is good for.
const CERTIFICATE_DAYS: u64 = 30;

/// What is laid out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The jurisdiction.
    pub prefix: Prefix,
    /// Nodes with a vote from the start, 1 to N.
    pub voters: u8,
    /// Further nodes with keys, N + 1 and on, that are not started.
    pub spare: u8,
    /// Root keys, 1 to 3; of more than one, two sign.
    pub roots: u8,
    /// Entries after which a snapshot is taken.
    pub snapshot_entries: u64,
    /// Entries kept below a snapshot.
    pub keep_entries: u64,
    /// What gives every process a wall clock of its own; none by default.
    pub clocks: Option<Shim>,
    /// How far from the machine's the clock is at which keys and certificates are made.
    pub keys_made: Shift,
    /// The fault planted in every node, for programs that have them; none by default.
    pub planted: Option<&'static str>,
    /// Whether the data of each node is on a disk of its own, whose power can be cut.
    pub disks: bool,
    /// Whether clients know the nodes' client planes only by gates of the harness.
    pub gated: bool,
    /// Whether nodes know each other's Raft planes only by gates of the harness, one a link.
    pub linked: bool,
    /// Milliseconds between two rounds in which a node compares its state with the others'.
    pub compare_every_ms: u64,
    /// Seconds of log time between two digests of everything a node holds; 0: never.
    pub content_every_s: u64,
    /// Seconds between two entries of a node's audit in the log; 0: never.
    pub audit_every_s: u64,
    /// Whether the registry is in earnest: two admins and two registrars from the beginning, and what takes two takes two.
    pub in_earnest: bool,
}

impl Plan {
    /// Three voters, and snapshots too rare to happen in a test.
    pub fn of(prefix: &str) -> Self {
        Self {
            prefix: Prefix::parse(prefix).expect("invariant: tests name their prefix"),
            voters: 3,
            spare: 0,
            roots: 1,
            snapshot_entries: 1_000_000,
            keep_entries: 1_000_000,
            clocks: None,
            keys_made: Shift::NONE,
            planted: None,
            disks: false,
            gated: false,
            linked: false,
            compare_every_ms: 100,
            content_every_s: 0,
            audit_every_s: 0,
            in_earnest: false,
        }
    }
}

/// A jurisdiction. Dropping it kills its processes and removes its files, unless `CARNET_KEEP` is set.
/// Fields drop in this order: processes end, disks are unmounted, files go.
#[derive(Debug)]
pub struct Jurisdiction {
    nodes: Vec<Node>,
    disks: Vec<Disk>,
    gates: Vec<(u64, Arc<Route>, Proxy)>,
    links: Option<Links>,
    folder: PathBuf,
    _owned: Option<tempfile::TempDir>,
    programs: Programs,
    plan: Plan,
    network: Network,
}

#[derive(Debug)]
struct Node {
    id: u64,
    /// Whether its data directory was made; never again by itself, as no operator's script may.
    made: bool,
    process: Option<Process>,
    paused: bool,
}

impl Jurisdiction {
    /// Makes keys and configuration files; starts nothing.
    ///
    /// # Errors
    /// `carnet pki init` or the file system failed.
    pub fn lay_out(programs: &Programs, plan: Plan) -> Result<Self, Broken> {
        let owned = tempfile::Builder::new()
            .prefix("carnet-cluster-")
            .tempdir()
            .map_err(Broken::at("temporary folder"))?;
        let folder = owned.path().to_owned();
        let owned = if std::env::var_os("CARNET_KEEP").is_some() {
            let _ = owned.keep();
            None
        } else {
            Some(owned)
        };
        let network = Network::draw()?;
        let count = u64::from(plan.voters) + u64::from(plan.spare);
        let nodes = (1..=count)
            .map(|id| Node {
                id,
                made: false,
                process: None,
                paused: false,
            })
            .collect();
        let mut made = Self {
            nodes,
            disks: Vec::new(),
            gates: Vec::new(),
            links: None,
            folder,
            _owned: owned,
            programs: programs.clone(),
            plan,
            network,
        };
        layout::make_keys(&made)?;
        if made.plan.disks {
            made.make_disks()?;
        }
        for id in 1..=count {
            layout::write_config(&made, id)?;
        }
        Ok(made)
    }

    /// Lays out, starts the voters, makes them a cluster, and waits until it serves.
    ///
    /// # Errors
    /// Something of that failed or never happened.
    pub async fn start(programs: &Programs, plan: Plan) -> Result<Self, Broken> {
        let mut made = Self::lay_out(programs, plan)?;
        made.open_gates().await?;
        made.open_links().await?;
        for id in 1..=u64::from(made.plan.voters) {
            made.start_node(id)?;
        }
        made.initialize().await?;
        made.ready().await?;
        made.open_for_business().await?;
        Ok(made)
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder that `carnet pki init` made.
    pub fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// The key with which somebody signs commands, in hexadecimal.
    ///
    /// # Errors
    /// It is not there.
    pub fn actor_key(&self, who: &str) -> Result<String, Broken> {
        Ok(layout::actor_key(self, who)?.to_string())
    }

    /// The programs it runs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// What its plan lets a run break.
    pub fn breaks(&self) -> Breaks {
        Breaks {
            clocks: self.plan.clocks.is_some(),
            disks: self.plan.disks,
            entries: self.plan.planted.is_some(),
        }
    }

    /// The prefix.
    pub fn prefix(&self) -> Prefix {
        self.plan.prefix
    }

    /// The configuration file of a node.
    pub fn config(&self, node: u64) -> PathBuf {
        self.folder.join(format!("node-{node}.toml"))
    }

    /// The data folder of a node.
    pub fn data(&self, node: u64) -> PathBuf {
        self.folder.join(format!("node-{node}"))
    }

    /// The file a node's output is in.
    pub fn log(&self, node: u64) -> PathBuf {
        self.folder.join(format!("node-{node}.log"))
    }

    /// Every node that was ever started, by id.
    pub fn running(&self) -> Vec<u64> {
        let runs = |node: &&Node| node.process.is_some();
        self.nodes.iter().filter(runs).map(|node| node.id).collect()
    }

    /// Makes the data directory of a node with `carnetd init`; gives the store id. It must not be there.
    ///
    /// # Errors
    /// `carnetd init` failed.
    pub fn make_node(&mut self, id: u64) -> Result<String, Broken> {
        let join = self.joined(id);
        let store = layout::init_node(self, id, &join)?;
        self.node(id)?.made = true;
        Ok(store)
    }

    /// Whom a new node believes: the founding nodes each other, one that comes later everybody else.
    fn joined(&self, id: u64) -> Vec<u64> {
        let voters = u64::from(self.plan.voters);
        let all = self.nodes.iter().map(|node| node.id);
        all.filter(|other| {
            if id <= voters {
                *other <= voters
            } else {
                *other != id
            }
        })
        .collect()
    }

    /// Starts a node, on the data it has; the first time its directory is made before.
    ///
    /// # Errors
    /// It runs already, or cannot be made or started.
    pub fn start_node(&mut self, id: u64) -> Result<(), Broken> {
        match self.plan.planted {
            Some(fault) => self.start_node_with(id, &["--planted", fault]),
            None => self.start_node_with(id, &[]),
        }
    }

    /// As [`Self::start_node`], with further arguments of `carnetd`.
    ///
    /// # Errors
    /// It runs already, or cannot be made or started.
    pub fn start_node_with(&mut self, id: u64, arguments: &[&str]) -> Result<(), Broken> {
        if !self.node(id)?.made {
            self.make_node(id)?;
        }
        self.start_node_as_it_is(id, arguments)
    }

    /// Starts a node on whatever lies in its data directory, or nothing.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn start_node_as_it_is(&mut self, id: u64, arguments: &[&str]) -> Result<(), Broken> {
        let config = self.config(id).display().to_string();
        let arguments = [&["--config", &config], arguments].concat();
        let environment = match &self.plan.clocks {
            Some(shim) => shim.environment(&self.clock_file(id)),
            None => Vec::new(),
        };
        let process = Process::start_in(
            &self.name(id),
            &self.programs.carnetd,
            &arguments,
            &environment,
            &self.log(id),
        )?;
        let node = self.node(id)?;
        if node.process.is_some() {
            return Err(Broken::new(format!("node {id} runs already")));
        }
        let number = process.id();
        node.process = Some(process);
        if let Some(links) = &self.links {
            links.runs(id, number);
        }
        Ok(())
    }

    /// Sets how far the wall clock of a node is from the machine's, now and after a restart.
    ///
    /// # Errors
    /// The nodes have no clocks of their own, or the file cannot be written.
    pub fn set_clock(&self, id: u64, shift: Shift) -> Result<(), Broken> {
        if self.plan.clocks.is_none() {
            return Err(Broken::new("the nodes have no clocks of their own"));
        }
        clocks::set(&self.clock_file(id), shift)
    }

    fn clock_file(&self, id: u64) -> PathBuf {
        self.folder.join(format!("node-{id}.clock"))
    }

    /// SIGKILL to one node.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self, id: u64) -> Result<(), Broken> {
        let node = self.node(id)?;
        node.paused = false;
        match node.process.take() {
            Some(process) => process.kill(),
            None => Err(Broken::new(format!("node {id} does not run"))),
        }
    }

    /// SIGKILL to every node that runs; gives their ids.
    ///
    /// # Errors
    /// One could not be killed.
    pub fn kill_all(&mut self) -> Result<Vec<u64>, Broken> {
        let running = self.running();
        // All are struck before any is waited for.
        let mut processes = self.nodes.iter().filter_map(|node| node.process.as_ref());
        processes.try_for_each(Process::strike)?;
        running.iter().try_for_each(|id| self.kill(*id))?;
        Ok(running)
    }

    /// SIGTERM to one node; its exit code.
    ///
    /// # Errors
    /// It does not run, or does not stop.
    pub async fn stop(&mut self, id: u64) -> Result<Option<i32>, Broken> {
        match self.node(id)?.process.take() {
            Some(process) => process.stop().await,
            None => Err(Broken::new(format!("node {id} does not run"))),
        }
    }

    /// Waits until a node ends by itself; its exit code.
    ///
    /// # Errors
    /// It does not run, or does not end.
    pub async fn exit_code(&mut self, id: u64) -> Result<Option<i32>, Broken> {
        let node = self.node(id)?;
        let Some(process) = &mut node.process else {
            return Err(Broken::new(format!("node {id} does not run")));
        };
        let code = process.exit_code().await?;
        node.process = None;
        Ok(code)
    }

    /// SIGSTOP to one node.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self, id: u64) -> Result<(), Broken> {
        let node = self.node(id)?;
        node.paused = true;
        node.process.as_ref().map_or(Ok(()), Process::pause)
    }

    /// SIGCONT to one node.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&mut self, id: u64) -> Result<(), Broken> {
        let node = self.node(id)?;
        node.paused = false;
        node.process.as_ref().map_or(Ok(()), Process::resume)
    }

    /// SIGHUP to one node: it reads its certificates anew.
    ///
    /// # Errors
    /// It does not run.
    pub fn hang_up(&mut self, id: u64) -> Result<(), Broken> {
        let node = self.node(id)?;
        node.process.as_ref().map_or(Ok(()), Process::hang_up)
    }

    /// Whether a node said something since its log began.
    pub fn said(&self, id: u64, text: &str) -> bool {
        let log = std::fs::read_to_string(self.log(id)).unwrap_or_default();
        log.contains(text)
    }

    /// `host:port` of a node's client plane.
    pub fn client_address(&self, id: u64) -> String {
        self.known_client_address(id).to_string()
    }

    /// `host:port` of a node's admin plane.
    pub fn admin_address(&self, id: u64) -> String {
        self.network.of(index(id), ADMIN_PORT).to_string()
    }

    /// Where a node answers monitors.
    pub fn metrics_address(&self, id: u64) -> SocketAddr {
        self.network.of(index(id), METRICS_PORT)
    }

    /// Where a node's federation plane listens.
    pub fn federation_address(&self, id: u64) -> SocketAddr {
        self.network.of(index(id), FEDERATION_PORT)
    }

    /// A free address in its network that may lead to a node's federation plane.
    pub fn gate_address(&self, id: u64) -> SocketAddr {
        self.network.of(GATES_FROM + index(id), FEDERATION_PORT)
    }

    /// A node as a member of the cluster.
    pub fn member(&self, id: u64) -> Member {
        Member {
            node: id,
            raft_address: self.known_raft_address(id).to_string(),
            client_address: self.client_address(id),
        }
    }

    /// A client of these nodes for somebody who was given keys at the start.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn client(&self, who: &str, nodes: &[u64]) -> Result<ClientBuilder, Broken> {
        let identity = self.identity(who, "")?;
        let addresses: Vec<String> = nodes.iter().map(|id| self.client_address(*id)).collect();
        let signer = layout::signer(self, who)?;
        Ok(Client::builder(addresses, identity).signer(signer))
    }

    /// Makes keys for one more person, with certificates for so many days from some time.
    ///
    /// # Errors
    /// `carnet pki client` failed.
    pub fn make_client(&self, who: &str, days: u64, at: Shift) -> Result<(), Broken> {
        layout::make_client(self, who, days, at)
    }

    /// Makes keys for one more office (`role/unit/name`) and has the admin enrol it.
    ///
    /// # Errors
    /// The keys cannot be made, or the admin was refused.
    pub async fn enrol_office(&self, who: &str, role: Role) -> Result<(), Broken> {
        layout::make_client(self, who, CERTIFICATE_DAYS, Shift::NONE)?;
        genesis::enrol_office(self, who, role).await
    }

    /// Accredits one more enterprise for a role, makes keys for somebody who signs for it (`role/code/name`), and has them
    /// enrolled.
    ///
    /// # Errors
    /// The keys cannot be made, or the registrar was refused.
    pub async fn enrol_enterprise(&self, who: &str, code: &str, role: Role) -> Result<(), Broken> {
        layout::make_client(self, who, CERTIFICATE_DAYS, Shift::NONE)?;
        genesis::enrol_enterprise(self, who, code, role).await
    }

    /// The command that enrols a key of a customs office, by a number.
    pub fn enrol_customs(&self, key: &SecretKey, number: u8) -> Command {
        let name = format!("customs/{number}");
        let person = format!("desk-{number}");
        genesis::enrol(self, key, Holder::Office { name }, Role::Customs, &person)
    }

    /// The admin plane of these nodes.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub fn admin(&self, nodes: &[u64], deadline: Duration) -> Result<Admin, Broken> {
        let identity = self.identity(ADMIN, ".admin")?.admin();
        let addresses: Vec<String> = nodes.iter().map(|id| self.admin_address(*id)).collect();
        Admin::new(addresses, identity, deadline).map_err(Broken::at("admin plane"))
    }

    fn identity(&self, who: &str, plane: &str) -> Result<Identity, Broken> {
        let file = |ending: &str| {
            self.pki()
                .join(format!("clients/{}{plane}.{ending}", layout::stem(who)))
        };
        let roots = self.pki().join("root/roots.crt");
        Identity::from_files(roots, file("crt"), file("key"), Some(self.plan.prefix))
            .map_err(Broken::at(who))
    }

    /// The origin line and the key of its log.
    ///
    /// # Errors
    /// The key cannot be read.
    pub fn log_identity(&self) -> Result<(Origin, PublicKey), Broken> {
        let key = layout::public_key(&self.pki().join("keys/log.pub"))?;
        Ok((
            Origin {
                prefix: self.plan.prefix,
                incarnation: genesis::INCARNATION,
            },
            key,
        ))
    }

    /// What a node says of itself, if it answers; without the digest of its state.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn status(&self, id: u64) -> Result<GetStatusResponse, Broken> {
        let admin = self.admin(&[id], ADMIN_DEADLINE)?;
        admin
            .status(&self.admin_address(id), false)
            .await
            .map_err(Broken::at(self.name(id)))
    }

    /// As [`Self::status`], with the digest over every record, which takes as long as there are records.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn status_with_digest(&self, id: u64) -> Result<GetStatusResponse, Broken> {
        let admin = self.admin(&[id], Duration::from_secs(30))?;
        admin
            .status(&self.admin_address(id), true)
            .await
            .map_err(Broken::at(self.name(id)))
    }

    /// Makes the voters a cluster: once, by its first node.
    ///
    /// # Errors
    /// It was refused or never answered.
    pub async fn initialize(&self) -> Result<(), Broken> {
        let voters: Vec<u64> = (1..=u64::from(self.plan.voters)).collect();
        for id in &voters {
            until(&format!("node {id} answers"), || async {
                self.status(*id).await.map_err(|e| e.to_string())
            })
            .await?;
        }
        let members = voters.iter().map(|id| self.member(*id)).collect();
        let genesis = genesis::signed(self)?;
        let first = self.admin(&[1], FOUNDING_DEADLINE)?;
        let answer = match first.initialize(members, &genesis).await {
            Ok(answer) => answer,
            // Another node was elected before the genesis was proposed; it takes it from there.
            Err(_) => {
                let all = self.admin(&voters, FOUNDING_DEADLINE)?;
                all.submit_statement(&genesis)
                    .await
                    .map_err(Broken::at("genesis"))?
            }
        };
        genesis::judge(&answer)
    }

    /// Waits until a node answers for itself, whether or not it is a member.
    ///
    /// # Errors
    /// It never did.
    pub async fn answers(&self, id: u64) -> Result<(), Broken> {
        until(&format!("node {id} answers"), || async {
            let look = self.status(id).await;
            look.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    /// Waits until every running node that is not paused names one leader that it follows, and has applied all it has.
    ///
    /// # Errors
    /// It never happened, or a node ended by itself.
    pub async fn ready(&mut self) -> Result<u64, Broken> {
        self.all_alive()?;
        let here = &*self;
        until("all nodes follow one leader", || async {
            let mut looks = Vec::new();
            for node in here
                .nodes
                .iter()
                .filter(|node| node.process.is_some() && !node.paused)
            {
                looks.push(here.status(node.id).await.map_err(|e| e.to_string())?);
            }
            let leader = looks.first().map_or(0, |look| look.leader);
            let seen: Vec<String> = looks
                .iter()
                .map(|l| {
                    format!(
                        "{} {} term {} leader {} applied {}/{}",
                        l.node, l.role, l.term, l.leader, l.applied, l.last_log
                    )
                })
                .collect();
            let follows =
                |look: &GetStatusResponse| look.leader == leader && look.applied == look.last_log;
            if leader != 0 && looks.iter().all(follows) {
                Ok(leader)
            } else {
                Err(seen.join(", "))
            }
        })
        .await
    }

    /// The node that leads, by the highest term anybody knows.
    ///
    /// # Errors
    /// Nobody leads within the patience.
    pub async fn leader(&self) -> Result<u64, Broken> {
        until("somebody leads", || async {
            let mut best: Option<GetStatusResponse> = None;
            for id in self.running() {
                if let Ok(look) = self.status(id).await
                    && best.as_ref().is_none_or(|best| best.term < look.term)
                {
                    best = Some(look);
                }
            }
            match best {
                Some(look) if look.leader != 0 => Ok(look.leader),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// The highest term that a running node answers with, if one does.
    pub async fn highest_term(&self) -> Option<u64> {
        let mut highest = None;
        for node in &self.nodes {
            if node.process.is_some() && !node.paused {
                let term = self.status(node.id).await.ok().map(|look| look.term);
                highest = highest.max(term);
            }
        }
        highest
    }

    /// Fails when a node that nobody stopped has ended.
    ///
    /// # Errors
    /// Which, how, and the end of its log.
    pub fn all_alive(&mut self) -> Result<(), Broken> {
        match self.ended_by_itself() {
            None => Ok(()),
            Some(how) => Err(Broken::new(how)),
        }
    }

    /// Nodes that ended by themselves, which is expected of them, and how; from now on they do not run.
    pub fn fallen(&mut self) -> Vec<(u64, String)> {
        let mut fallen = Vec::new();
        for node in &mut self.nodes {
            if let Some(how) = node.process.as_mut().and_then(Process::has_ended) {
                node.process = None;
                fallen.push((node.id, how));
            }
        }
        fallen
    }

    /// The first node that has ended although nobody stopped it: how, and the end of its log.
    pub fn ended_by_itself(&mut self) -> Option<String> {
        let ended = |node: &mut Node| Some((node.id, node.process.as_mut()?.has_ended()?));
        let (id, how) = self.nodes.iter_mut().find_map(ended)?;
        Some(format!("{how}\n{}", self.log_end(id)))
    }

    /// The last lines a node said.
    pub fn log_end(&self, id: u64) -> String {
        const LINES: usize = 30;
        let text = std::fs::read_to_string(self.log(id)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    async fn open_for_business(&self) -> Result<(), Broken> {
        genesis::open_for_business(self).await
    }

    fn name(&self, id: u64) -> String {
        format!("carnetd {}/{id}", self.plan.prefix)
    }

    fn node(&mut self, id: u64) -> Result<&mut Node, Broken> {
        self.nodes
            .iter_mut()
            .find(|node| node.id == id)
            .ok_or_else(|| Broken::new(format!("there is no node {id}")))
    }
}

/// The model of every robot of a workload.
///
/// # Errors
/// The prefix is not one.
pub fn model_id(of: &Jurisdiction) -> Result<ModelId, Broken> {
    genesis::model(of)
}

/// The firmware family of every robot of a workload.
pub fn firmware_family() -> &'static str {
    genesis::FIRMWARE
}

/// The last byte of a node's address.
fn index(id: u64) -> u8 {
    u8::try_from(id).expect("invariant: node ids of the harness are small")
}
