//! Three countries on this machine: their keys, their nodes as processes, and the commands that are run against them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use carnet_client::{Client, FileSigner, Identity};
use serde_json::Value;

use super::Stage;
use super::ports::Ports;
pub(super) use super::ports::{COUNTRIES, NODES};
use super::processes::{Processes, command};

/// People and desks that every country has.
const PEOPLE: [&str; 6] = [
    "admin/ops/root",
    "registrar/hq/anna",
    "customs/port/chen",
    "regulator/hq/rita",
    "manufacturer/0001/bot",
    "recycler/0002/end",
];
/// How long the demo waits for something that must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The countries and their processes.
pub(super) struct World {
    folder: PathBuf,
    bin: PathBuf,
    ports: Ports,
    processes: Processes,
}

fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// The nodes of a country, as `carnetd init --join` takes them.
fn founders() -> String {
    let nodes: Vec<String> = (1..=NODES).map(|node| node.to_string()).collect();
    nodes.join(",")
}

impl World {
    pub(super) fn new(
        bin: Option<PathBuf>,
        folder: Option<PathBuf>,
        port: Option<u16>,
        keep: bool,
    ) -> Result<Self, String> {
        let bin = match bin {
            Some(bin) => bin,
            None => {
                let own = std::env::current_exe().map_err(io("this program"))?;
                own.parent()
                    .map(Path::to_owned)
                    .ok_or("this program lies nowhere")?
            }
        };
        if !bin.join("carnetd").exists() {
            return Err(format!(
                "there is no carnetd in {} (--bin-dir)",
                bin.display()
            ));
        }
        let ports = port.map_or_else(Ports::free, Ports::from)?;
        let stays = keep || folder.is_some();
        let folder = folder.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("carnet-demo-{}", std::process::id()))
        });
        if folder.join("contexts.toml").exists() {
            return Err(format!(
                "{} holds a demo already; remove it or name another folder (--dir)",
                folder.display()
            ));
        }
        std::fs::create_dir_all(&folder).map_err(io(folder.display()))?;
        let processes = Processes::new((!stays).then(|| folder.clone()));
        // From here on it goes with this value, however it ends.
        let world = Self {
            folder,
            bin,
            ports,
            processes,
        };
        // Every command reads the contexts, the first ones before there is anybody in them.
        std::fs::write(world.folder.join("contexts.toml"), "").map_err(io("contexts.toml"))?;
        Ok(world)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Port of a node of a country: plane 1 raft, 2 client, 3 admin, 4 federation.
    fn port(&self, prefix: &str, node: u16, plane: u16) -> u16 {
        let country = COUNTRIES
            .iter()
            .position(|(p, ..)| *p == prefix)
            .unwrap_or(0);
        self.ports.of(country, node, plane)
    }

    pub(super) fn addresses(&self, prefix: &str, plane: u16) -> Vec<String> {
        (1..=NODES)
            .map(|node| format!("127.0.0.1:{}", self.port(prefix, node, plane)))
            .collect()
    }

    /// Keys, contexts and processes of every country.
    pub(super) fn raise(&mut self, stage: &mut Stage) -> Result<(), String> {
        let mut contexts = String::from("current = \"86-registrar\"\n");
        for (prefix, ..) in COUNTRIES {
            let pki = self.folder.join(prefix);
            let mut command = self.carnet();
            command.args(["pki", "init", "--prefix", prefix]);
            for node in 1..=NODES {
                command.args(["--node", &format!("{node}=127.0.0.1")]);
            }
            PEOPLE.iter().for_each(|person| {
                command.args(["--client", person]);
            });
            let made = self
                .processes
                .output(command.arg(&pki))
                .map_err(io("carnet"))?;
            if !made.status.success() {
                return Err(format!(
                    "pki init: {}",
                    String::from_utf8_lossy(&made.stderr)
                ));
            }
            for person in PEOPLE {
                let role = person.split('/').next().unwrap_or_default();
                contexts.push_str(&format!(
                    "[contexts.{prefix}-{role}]\nprefix = \"{prefix}\"\npki = {:?}\nas = \"{}\"\nendpoints = {:?}\nadmin_endpoints = {:?}\n",
                    pki.display().to_string(),
                    person.replace('/', "-"),
                    self.addresses(prefix, 2),
                    self.addresses(prefix, 3),
                ));
            }
        }
        std::fs::write(self.folder.join("contexts.toml"), contexts).map_err(io("contexts.toml"))?;
        stage.command(format!(
            "carnet pki init --prefix 86 --node 1=127.0.0.1 … {}/86",
            self.folder.display()
        ));
        let config = format!("{}/86-1.toml", self.folder.display());
        stage.command(format!(
            "carnetd --config {config} init --join {}",
            founders()
        ));
        stage.command(format!("carnetd --config {config}"));
        for (prefix, ..) in COUNTRIES {
            for node in 1..=NODES {
                self.make(prefix, node)?;
                self.start(prefix, node)?;
            }
        }
        Ok(())
    }

    /// Writes the configuration of a node and makes its data directory, once.
    fn make(&self, prefix: &str, node: u16) -> Result<(), String> {
        let name = format!("{prefix}-{node}");
        let config = self.config(prefix, node);
        let ports = [1, 2, 3, 4].map(|plane| self.port(prefix, node, plane));
        let text = format!(
            "[node]\nprefix = \"{prefix}\"\nid = {node}\ndata_dir = \"data/{name}\"\npki_dir = \"{prefix}\"\nprofile = \"sandbox\"\n\
             [listen]\nraft = \"127.0.0.1:{}\"\nclient = \"127.0.0.1:{}\"\nadmin = \"127.0.0.1:{}\"\nfederation = \"127.0.0.1:{}\"\n\
             [raft]\nheartbeat_ms = 100\nelection_ms = [500, 1000]\n[storage]\ncache_mib = 32\nwrite_buffer_mib = 16\n",
            ports[0], ports[1], ports[2], ports[3]
        );
        std::fs::write(&config, text).map_err(io(config.display()))?;
        let mut init = command(&self.bin.join("carnetd"));
        init.arg("--config")
            .arg(&config)
            .args(["init", "--join", &founders()]);
        let made = self.processes.output(&mut init).map_err(io("carnetd"))?;
        if made.status.success() {
            Ok(())
        } else {
            let said = String::from_utf8_lossy(&made.stderr);
            Err(format!("carnetd init: {said}"))
        }
    }

    fn config(&self, prefix: &str, node: u16) -> PathBuf {
        self.folder.join(format!("{prefix}-{node}.toml"))
    }

    /// Starts one node, for the first time or again.
    pub(super) fn start(&mut self, prefix: &str, node: u16) -> Result<(), String> {
        let config = self.config(prefix, node).display().to_string();
        self.processes.start(
            (prefix, node),
            &self.bin.join("carnetd"),
            &["--config", &config],
            &self.folder.join(format!("{prefix}-{node}.log")),
        )
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, prefix: &str, node: u16) -> Result<(), String> {
        self.processes.kill(prefix, node)
    }

    /// Stops or continues every node of a country, so that it is cut off from the others.
    pub(super) fn signal(&self, prefix: &str, signal: &str) -> Result<(), String> {
        self.processes.signal(prefix, signal)
    }

    /// The processes, for whoever must end them.
    pub(super) fn processes(&self) -> &Processes {
        &self.processes
    }

    fn carnet(&self) -> Command {
        let mut command = command(&self.bin.join("carnet"));
        command
            .arg("--config")
            .arg(self.folder.join("contexts.toml"));
        command
            .arg("--state-dir")
            .arg(self.folder.join("client-state"));
        command
    }

    /// Runs a command as somebody of a country and gives its JSON, whatever its exit code was.
    pub(super) fn ask(&self, who: &str, arguments: &[&str]) -> Result<(i32, Value), String> {
        let mut command = self.carnet();
        command
            .args(["--context", who, "-o", "json"])
            .args(arguments);
        let output = self.processes.output(&mut command).map_err(io("carnet"))?;
        let code = output.status.code().unwrap_or(-1);
        let text = if output.stdout.trim_ascii().is_empty() {
            &output.stderr
        } else {
            &output.stdout
        };
        let value = serde_json::from_slice(text)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(text).trim()))?;
        Ok((code, value))
    }

    /// Runs a command that reads what is typed, and gives what it prints with its exit code.
    pub(super) fn piped(
        &self,
        stage: &mut Stage,
        who: &str,
        arguments: &[&str],
        typed: &str,
    ) -> Result<(i32, String), String> {
        self.note(stage, who, arguments);
        let file = self.folder().join("typed");
        std::fs::write(&file, typed).map_err(io("typed"))?;
        let typed = std::fs::File::open(&file).map_err(io("typed"))?;
        let mut command = self.carnet();
        command
            .args(["--context", who, "-o", "json"])
            .args(arguments)
            .stdin(typed);
        let output = self.processes.output(&mut command).map_err(io("carnet"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((output.status.code().unwrap_or(-1), said))
    }

    /// Runs a command that must succeed, and notes it for the line.
    pub(super) fn must(
        &self,
        stage: &mut Stage,
        who: &str,
        arguments: &[&str],
    ) -> Result<Value, String> {
        self.note(stage, who, arguments);
        match self.ask(who, arguments)? {
            (0, value) => Ok(value),
            (code, value) => Err(format!("exit code {code}: {}", message(&value))),
        }
    }

    /// Notes a command for the line without running it.
    pub(super) fn note(&self, stage: &mut Stage, who: &str, arguments: &[&str]) {
        let quoted: Vec<String> = arguments
            .iter()
            .map(|word| {
                if word.contains([' ', '…']) {
                    format!("'{word}'")
                } else {
                    (*word).to_owned()
                }
            })
            .collect();
        let config = self.folder.join("contexts.toml");
        stage.command(format!(
            "carnet --config {} --context {who} {}",
            config.display(),
            quoted.join(" ")
        ));
    }

    /// Repeats a command until it succeeds, for what must arrive from another country.
    pub(super) async fn until(
        &self,
        stage: &mut Stage,
        who: &str,
        arguments: &[&str],
    ) -> Result<Value, String> {
        self.note(stage, who, arguments);
        let begun = Instant::now();
        loop {
            let (code, value) = self.ask(who, arguments)?;
            if code == 0 {
                return Ok(value);
            }
            if let Some(fallen) = self.processes.fallen() {
                return Err(fallen);
            }
            if PATIENCE < begun.elapsed() {
                return Err(format!(
                    "not in {} s: {}",
                    PATIENCE.as_secs(),
                    message(&value)
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An SDK client as somebody of a country.
    pub(super) fn client(&self, prefix: &str, who: &str) -> Result<Client, String> {
        self.client_of(prefix, who, self.addresses(prefix, 2))
    }

    /// As [`Self::client`], of one node alone.
    pub(super) fn client_at(
        &self,
        prefix: &str,
        who: &str,
        endpoint: &str,
    ) -> Result<Client, String> {
        self.client_of(prefix, who, vec![endpoint.to_owned()])
    }

    fn client_of(&self, prefix: &str, who: &str, endpoints: Vec<String>) -> Result<Client, String> {
        let pki = self.folder.join(prefix);
        let file = |ending: &str| pki.join("clients").join(format!("{who}{ending}"));
        let prefix = prefix
            .parse()
            .map_err(|error| format!("{prefix}: {error}"))?;
        let identity = Identity::from_files(
            pki.join("root/roots.crt"),
            file(".crt"),
            file(".key"),
            Some(prefix),
        )
        .map_err(|error| error.to_string())?;
        let signer = FileSigner::open(file(".actor.key")).map_err(|error| error.to_string())?;
        Client::builder(endpoints, identity)
            .signer(std::sync::Arc::new(signer))
            .build()
            .map_err(|error| error.to_string())
    }

    /// The node that leads a country.
    pub(super) fn leader(&self, prefix: &str) -> Result<u16, String> {
        let begun = Instant::now();
        loop {
            let (_, status) = self.ask(&format!("{prefix}-admin"), &["cluster", "status"])?;
            let leads = |row: &&Value| row["role"] == "leader";
            let found = status["nodes"]
                .as_array()
                .and_then(|rows| rows.iter().find(leads))
                .map(|row| row["node"].clone());
            let node = found.and_then(|node| node.as_u64().or_else(|| node.as_str()?.parse().ok()));
            match node.and_then(|node| u16::try_from(node).ok()) {
                Some(node) => return Ok(node),
                None if PATIENCE < begun.elapsed() => {
                    return Err(format!("{prefix} has no leader"));
                }
                None => {
                    if let Some(fallen) = self.processes.fallen() {
                        return Err(fallen);
                    }
                }
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.processes.clean();
    }
}

/// What an error says, or the whole value.
pub(super) fn message(value: &Value) -> String {
    match value["error"]["message"].as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}
