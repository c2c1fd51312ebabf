//! Where to connect and as whom: flags first, then `CARNET_*`, then the context file.
//!
//! ```toml
//! # ~/.config/carnet/contexts.toml
//! current = "cn"
//! [contexts.cn]
//! endpoints = ["10.0.0.1:7102", "10.0.0.2:7102"]
//! admin_endpoints = ["10.0.0.1:7103"]
//! pki = "/etc/carnet/pki"            # a directory of `carnet pki init` …
//! as = "registrar-hq-anna"           # … and who of it; or the files one by one:
//! ca = "/etc/carnet/roots.crt"
//! cert = "…/registrar-hq-anna.crt"
//! key = "…/registrar-hq-anna.key"
//! actor_key = "…/registrar-hq-anna.actor.key"
//! pins = ["…/contexts.pins/cn/86.bundle"]   # as `carnet context add` pinned them: verdicts are judged under them …
//! own = "86"                                 # … for this country
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_client::admin::Admin;
use carnet_client::{
    Client, ClientBuilder, FileSessions, FileSigner, Identity, Log, MemorySessions, Sessions, keys,
};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::sha256;
use carnet_trust::identity::NodeId;
use carnet_trust::pins::Pins;
use serde::{Deserialize, Serialize};

use crate::ends::warn_of_own;
use crate::exit::{Failed, chain};
use crate::output::Format;

/// How long it is tried when nobody is there at all. A cluster that elects a leader answers meanwhile.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(3);
/// A connection to one of several servers has its part of that, and this at the least: all are tried within it, also those that take
/// a connection and say nothing.
const CONNECT_WITHIN_MIN: Duration = Duration::from_millis(750);

/// How long a connection to one of so many servers may take.
fn connect_within(endpoints: &[String]) -> Duration {
    let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX).max(1);
    (UNREACHABLE_AFTER / count).max(CONNECT_WITHIN_MIN)
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// How output looks.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        env = "CARNET_OUTPUT"
    )]
    pub(crate) output: Format,
    /// Client endpoints of the registry, host:port, separated by commas.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        env = "CARNET_ENDPOINTS",
        help_heading = "Connection"
    )]
    endpoints: Vec<String>,
    /// Admin endpoints, one a node.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        env = "CARNET_ADMIN_ENDPOINTS",
        help_heading = "Connection"
    )]
    admin_endpoints: Vec<String>,
    /// Root certificates that are believed (PEM).
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CARNET_CA",
        help_heading = "Connection"
    )]
    ca: Option<PathBuf>,
    /// Our certificate with its authority (PEM).
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CARNET_CERT",
        help_heading = "Connection"
    )]
    cert: Option<PathBuf>,
    /// Key of our certificate (PEM).
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CARNET_KEY",
        help_heading = "Connection"
    )]
    key: Option<PathBuf>,
    /// Key that signs commands (64 hexadecimal digits).
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CARNET_ACTOR_KEY",
        help_heading = "Connection"
    )]
    actor_key: Option<PathBuf>,
    /// A directory made by `carnet pki init`: stands for --ca, and with --as for the other files.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "CARNET_PKI",
        help_heading = "Connection"
    )]
    pki: Option<PathBuf>,
    /// Who we are in that directory: <role>-<unit>-<name>.
    #[arg(
        long = "as",
        global = true,
        value_name = "WHO",
        env = "CARNET_AS",
        help_heading = "Connection"
    )]
    who: Option<String>,
    /// The registry meant, when the roots are of several jurisdictions.
    #[arg(
        long,
        global = true,
        env = "CARNET_PREFIX",
        help_heading = "Connection"
    )]
    prefix: Option<Prefix>,
    /// Which context of the file; default is its `current`.
    #[arg(
        long,
        global = true,
        env = "CARNET_CONTEXT",
        help_heading = "Connection"
    )]
    context: Option<String>,
    /// The context file; default ~/.config/carnet/contexts.toml.
    ///
    /// TOML: `current = "cn"`, and for each context `[contexts.cn]` with any of endpoints, admin_endpoints (lists), pki, as,
    /// ca, cert, key, actor_key and prefix (texts). `carnet context add` writes one, with the bundles that are pinned.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CARNET_CONFIG",
        help_heading = "Connection"
    )]
    config: Option<PathBuf>,
    /// Where sessions and seen log heads are kept; default ~/.local/state/carnet.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "CARNET_STATE_DIR",
        help_heading = "Connection"
    )]
    state_dir: Option<PathBuf>,
    /// Seconds a call may take over all attempts.
    #[arg(
        long,
        global = true,
        default_value = "30",
        value_name = "SECONDS",
        env = "CARNET_TIMEOUT",
        help_heading = "Connection"
    )]
    timeout: u64,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContextFile {
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl ContextFile {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Context {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) endpoints: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    admin_endpoints: Vec<String>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    actor_key: Option<PathBuf>,
    pub(crate) pki: Option<PathBuf>,
    #[serde(rename = "as")]
    pub(crate) who: Option<String>,
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pins: Vec<PathBuf>,
    pub(crate) own: Option<String>,
}

impl Context {
    /// The file with this context behind what stands there; the first is the current one.
    pub(crate) fn behind(&self, before: &str, name: &str) -> Result<String, String> {
        let one = BTreeMap::from([("contexts", BTreeMap::from([(name, self)]))]);
        let table = toml::to_string(&one).map_err(|error| error.to_string())?;
        let text = match before.trim().is_empty() {
            true => format!("current = \"{name}\"\n\n{table}"),
            false => format!("{}\n\n{table}", before.trim_end()),
        };
        // What stands in a file that a person wrote stays as it is, and means what it meant.
        match choose(&text, Some(name))? == *self {
            true => Ok(text),
            false => Err("the file cannot be added to: write the context by hand".to_owned()),
        }
    }
}

impl Context {
    /// What is said takes the place of what stands here.
    pub(crate) fn take(&mut self, said: Self) {
        let several = |ours: &mut Vec<String>, said: Vec<String>| {
            if !said.is_empty() {
                *ours = said;
            }
        };
        several(&mut self.endpoints, said.endpoints);
        several(&mut self.admin_endpoints, said.admin_endpoints);
        let one = |ours: &mut Option<PathBuf>, said: Option<PathBuf>| *ours = said.or(ours.take());
        one(&mut self.ca, said.ca);
        one(&mut self.cert, said.cert);
        one(&mut self.key, said.key);
        one(&mut self.actor_key, said.actor_key);
        one(&mut self.pki, said.pki);
        self.who = said.who.or(self.who.take());
        self.prefix = said.prefix.or(self.prefix.take());
    }

    /// The names of the settings that differ.
    pub(crate) fn differing(&self, other: &Self) -> Result<Vec<String>, String> {
        let fields = |context: &Self| {
            let text = toml::to_string(context).map_err(|error| error.to_string())?;
            toml::from_str::<toml::Table>(&text).map_err(|error| error.to_string())
        };
        let (ours, theirs) = (fields(self)?, fields(other)?);
        let mut names: Vec<String> = ours.keys().chain(theirs.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names.retain(|name| ours.get(name) != theirs.get(name));
        Ok(names)
    }
}

/// The file without a context; if that was the current one, none is.
pub(crate) fn without(text: &str, name: &str) -> Result<String, String> {
    let mut expected = ContextFile::read(text)?;
    expected.contexts.remove(name);
    expected.current = expected.current.filter(|current| current != name);
    cut(text, name, &expected)
}

/// The file with another context of the same name.
pub(crate) fn in_place(text: &str, name: &str, context: &Context) -> Result<String, String> {
    let mut expected = ContextFile::read(text)?;
    expected.contexts.remove(name);
    context.behind(&cut(text, name, &expected)?, name)
}

/// The file without the lines of a context, if that is what is expected.
fn cut(text: &str, name: &str, expected: &ContextFile) -> Result<String, String> {
    let heads = [name.to_owned(), format!("\"{name}\""), format!("'{name}'")];
    let is_head = |line: &str| {
        let inner = line.trim_start().strip_prefix("[contexts.");
        let inner = inner.and_then(|rest| rest.split_once(']'));
        inner.is_some_and(|(inner, _)| heads.iter().any(|head| head == inner.trim()))
    };
    let (mut out, mut above) = (Vec::new(), Vec::new());
    let (mut in_table, mut is_this) = (false, false);
    for line in text.lines() {
        let word = line.trim_start();
        if word.starts_with('[') {
            (in_table, is_this) = (true, is_head(line));
            if !is_this {
                // What stands right above the next table is about that one.
                out.append(&mut above);
            }
        }
        let is_current = !in_table && word.split(['=', ' ', '\t']).next() == Some("current");
        match is_this {
            true if word.is_empty() || word.starts_with('#') => above.push(line),
            true => above.clear(),
            false if is_current && expected.current.is_none() => {}
            false => out.push(line),
        }
    }
    let text = format!("{}\n", out.join("\n").trim_end());
    // What stands in a file that a person wrote means what it meant.
    match ContextFile::read(&text)? == *expected {
        true => Ok(text),
        false => Err(format!(
            "the file cannot be changed: change context {name} by hand"
        )),
    }
}

/// The file with another current context.
pub(crate) fn current(text: &str, name: &str) -> Result<String, String> {
    choose(text, Some(name))?;
    let line = format!("current = \"{name}\"");
    let mut out: Vec<&str> = Vec::new();
    let mut in_table = false;
    for old in text.lines() {
        let word = old.trim_start();
        in_table |= word.starts_with('[');
        let is_current = word.split(['=', ' ', '\t']).next() == Some("current");
        if in_table || !is_current {
            out.push(old);
        }
    }
    let text = format!("{line}\n{}\n", out.join("\n"));
    match ContextFile::read(&text)?.current.as_deref() == Some(name) {
        true => Ok(text),
        false => Err("the file cannot be changed: write `current` by hand".to_owned()),
    }
}

/// What is in force after flags, environment and file.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    endpoints: Vec<String>,
    admin_endpoints: Vec<String>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    actor_key: Option<PathBuf>,
    pki: Option<PathBuf>,
    who: Option<String>,
    prefix: Option<Prefix>,
    pins: Vec<PathBuf>,
    own: Option<Prefix>,
    state_dir: PathBuf,
    timeout: Duration,
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn xdg(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable)
        .map_or_else(|| home().join(default), PathBuf::from)
        .join("carnet")
}

impl Global {
    /// Resolves everything that does not touch the network.
    pub(crate) fn settings(&self) -> Result<Settings, Failed> {
        let context = self.read_context()?;
        let several = |ours: &Vec<String>, file: &Vec<String>| {
            if ours.is_empty() {
                file.clone()
            } else {
                ours.clone()
            }
        };
        let prefix = match (&self.prefix, &context.prefix) {
            (Some(prefix), _) => Some(*prefix),
            (None, Some(text)) => Some(
                Prefix::parse(text)
                    .map_err(|error| Failed::usage(format!("context: prefix: {error}")))?,
            ),
            (None, None) => None,
        };
        let own = context.own.as_deref().map(Prefix::parse).transpose();
        let own = own.map_err(|error| Failed::usage(format!("context: own: {error}")))?;
        Ok(Settings {
            endpoints: several(&self.endpoints, &context.endpoints),
            admin_endpoints: several(&self.admin_endpoints, &context.admin_endpoints),
            ca: self.ca.clone().or(context.ca),
            cert: self.cert.clone().or(context.cert),
            key: self.key.clone().or(context.key),
            actor_key: self.actor_key.clone().or(context.actor_key),
            pki: self.pki.clone().or(context.pki),
            who: self.who.clone().or(context.who),
            prefix,
            pins: context.pins,
            own,
            state_dir: self.state_dir(),
            timeout: Duration::from_secs(self.timeout.max(1)),
        })
    }

    /// Where what is kept on this machine is.
    pub(crate) fn state_dir(&self) -> PathBuf {
        let usual = || xdg("XDG_STATE_HOME", ".local/state");
        self.state_dir.clone().unwrap_or_else(usual)
    }

    /// Keeps what a test keeps in a folder of its own.
    #[cfg(test)]
    pub(crate) fn keep_state_in(&mut self, folder: &Path) {
        self.state_dir = Some(folder.to_owned());
    }

    /// The file of contexts.
    pub(crate) fn context_file(&self) -> PathBuf {
        let usual = || xdg("XDG_CONFIG_HOME", ".config").join("contexts.toml");
        self.config.clone().unwrap_or_else(usual)
    }

    /// What is said of the connection by the call and the environment, no context helping.
    pub(crate) fn said(&self) -> Result<Context, String> {
        let path = |path: &Option<PathBuf>| {
            let whole = path.as_ref().map(std::path::absolute).transpose();
            whole.map_err(|error| error.to_string())
        };
        Ok(Context {
            endpoints: self.endpoints.clone(),
            admin_endpoints: self.admin_endpoints.clone(),
            ca: path(&self.ca)?,
            cert: path(&self.cert)?,
            key: path(&self.key)?,
            actor_key: path(&self.actor_key)?,
            pki: path(&self.pki)?,
            who: self.who.clone(),
            prefix: self.prefix.map(|prefix| prefix.to_string()),
            pins: Vec::new(),
            own: None,
        })
    }

    fn read_context(&self) -> Result<Context, Failed> {
        let path = self.context_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // Who asks for a context by name asks for one that is there. A file that is to be made by `context add` may be named before.
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && self.context.is_none() =>
            {
                if let Some(named) = &self.config {
                    crate::output::say(format!(
                        "warning: {} is not there yet: no context is used (carnet context add makes it)",
                        named.display()
                    ));
                }
                return Ok(Context::default());
            }
            Err(error) => return Err(Failed::usage(format!("{}: {error}", path.display()))),
        };
        choose(&text, self.context.as_deref())
            .map_err(|fault| Failed::usage(format!("{}: {fault}", path.display())))
    }
}

pub(crate) fn choose(text: &str, wanted: Option<&str>) -> Result<Context, String> {
    let file = ContextFile::read(text)?;
    let Some(name) = wanted.or(file.current.as_deref()) else {
        return Ok(Context::default());
    };
    file.contexts.get(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = file.contexts.keys().map(String::as_str).collect();
        format!(
            "there is no context {name:?}; known are: {}",
            known.join(", ")
        )
    })
}

impl Settings {
    /// The PKI directory, where the roots' seeds are.
    pub(crate) fn pki_dir(&self) -> Result<&Path, Failed> {
        self.pki
            .as_deref()
            .ok_or_else(|| Failed::usage("which PKI directory? (--pki)"))
    }

    /// The roots that are believed.
    pub(crate) fn ca(&self) -> Result<PathBuf, Failed> {
        let from_pki = || self.pki.as_ref().map(|pki| pki.join("root/roots.crt"));
        self.ca
            .clone()
            .or_else(from_pki)
            .ok_or_else(|| Failed::usage("whose roots are believed? (--ca or --pki)"))
    }

    fn of_pki(&self, ending: &str) -> Option<PathBuf> {
        let (pki, who) = (self.pki.as_ref()?, self.who.as_ref()?);
        Some(pki.join(format!("clients/{who}{ending}")))
    }

    fn file(&self, given: &Option<PathBuf>, ending: &str, what: &str) -> Result<PathBuf, Failed> {
        let path = given.clone().or_else(|| self.of_pki(ending));
        path.ok_or_else(|| {
            Failed::usage(format!(
                "{what} is missing: give the file, or --pki and --as"
            ))
        })
    }

    fn identity(&self, cert: &Path, key: &Path) -> Result<Identity, Failed> {
        let prefix = self.registry()?;
        let roots = self.ca()?;
        let identity = Identity::from_files(&roots, cert, key, Some(prefix))?;
        warn_of_own(cert, &roots);
        Ok(identity)
    }

    /// The registry meant: the one said, or the one whose roots are believed.
    pub(crate) fn registry(&self) -> Result<Prefix, Failed> {
        if let Some(prefix) = self.prefix {
            return Ok(prefix);
        }
        let roots = keys::read_roots(&self.ca()?)?;
        match roots.jurisdictions().collect::<Vec<_>>().as_slice() {
            [one] => Ok(*one),
            _ => Err(Failed::usage(
                "the roots are of several jurisdictions: which one is meant? (--prefix)",
            )),
        }
    }

    /// Whether anything says which registry is meant.
    pub(crate) fn names_registry(&self) -> bool {
        self.prefix.is_some() || self.ca.is_some() || self.pki.is_some()
    }

    /// The bundles that the context pins, and the own country among them.
    pub(crate) fn pinned(&self) -> (&[PathBuf], Option<Prefix>) {
        (&self.pins, self.own)
    }

    /// Whether it is known whom to ask.
    pub(crate) fn has_endpoints(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// The registry meant, if it was said.
    pub(crate) fn prefix(&self) -> Option<Prefix> {
        self.prefix
    }

    /// Where pinned log heads are kept.
    pub(crate) fn pin_file(&self, origin: &carnet_domain::log::checkpoint::Origin) -> PathBuf {
        self.state_dir.join(format!(
            "pins/{}-{}.checkpoint",
            origin.prefix, origin.incarnation
        ))
    }

    /// Where what is kept on this machine is.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Pins that do not contradict those that were borne out here before.
    pub(crate) fn compared(&self, pins: Pins) -> Result<Pins, Failed> {
        crate::pinned::compare(&pins, &self.state_dir)?;
        crate::pinned::say_newer(&self.pins, &pins);
        Ok(pins)
    }

    /// A client that can read, and sign if there is a key.
    pub(crate) fn client(&self) -> Result<Client, Failed> {
        let cert = self.certificate()?;
        let sessions = FileSessions::new(self.session_file(&cert)?);
        self.client_with(&cert, Arc::new(sessions))
    }

    /// A client that believes a log.
    pub(crate) fn client_of_log(&self, log: Log) -> Result<Client, Failed> {
        let builder = self.builder(&self.certificate()?)?;
        Ok(builder.log(log).build()?)
    }

    /// As these, asking one endpoint alone: each of them, with its address.
    pub(crate) fn each_endpoint(&self) -> Vec<(String, Self)> {
        let alone = |endpoint: &String| {
            let endpoints = vec![endpoint.clone()];
            let one = Self {
                endpoints,
                ..self.clone()
            };
            (endpoint.clone(), one)
        };
        self.endpoints.iter().map(alone).collect()
    }

    /// A client for a command that runs on: its session is in memory, so no request waits for a file.
    pub(crate) fn long_lived_client(&self) -> Result<Client, Failed> {
        self.client_with(&self.certificate()?, Arc::new(MemorySessions::default()))
    }

    fn certificate(&self) -> Result<PathBuf, Failed> {
        self.file(&self.cert, ".crt", "our certificate (--cert)")
    }

    fn builder(&self, cert: &Path) -> Result<ClientBuilder, Failed> {
        let key = self.file(&self.key, ".key", "the key of our certificate (--key)")?;
        let identity = self.identity(cert, &key)?;
        if self.endpoints.is_empty() {
            return Err(Failed::usage(
                "whom to ask? (--endpoints, CARNET_ENDPOINTS, or the context file)",
            ));
        }
        let identity = identity.connect_within(connect_within(&self.endpoints));
        Ok(Client::builder(self.endpoints.clone(), identity)
            .deadline(self.timeout)
            .unreachable_after(UNREACHABLE_AFTER)
            .silent_after(connect_within(&self.endpoints)))
    }

    fn client_with(&self, cert: &Path, sessions: Arc<dyn Sessions>) -> Result<Client, Failed> {
        let mut builder = self.builder(cert)?;
        let actor = self.actor_file();
        if let Some(actor) = actor {
            let signer = FileSigner::open(&actor).map_err(|error| Failed::local(chain(&error)))?;
            builder = builder.signer(Arc::new(signer)).sessions(sessions);
        }
        Ok(builder.build()?)
    }

    /// The file of the key that signs commands, if one is named.
    pub(crate) fn actor_file(&self) -> Option<PathBuf> {
        let of_pki = || self.of_pki(".actor.key");
        self.actor_key.clone().or_else(of_pki)
    }

    /// Whether this is who calls, by --as.
    pub(crate) fn is_who(&self, stem: &str) -> bool {
        self.who.as_deref() == Some(stem)
    }

    /// As these, calling as a client whose files are in a PKI directory.
    pub(crate) fn as_client(&self, directory: &Path, stem: &str) -> Self {
        Self {
            cert: None,
            key: None,
            actor_key: None,
            pki: Some(directory.to_owned()),
            who: Some(stem.to_owned()),
            ..self.clone()
        }
    }

    /// A client that signs with another key than that in use. It opens no session: with it questions are asked.
    pub(crate) fn client_signing_with(&self, actor: &Path) -> Result<Client, Failed> {
        let other = Self {
            actor_key: Some(actor.to_owned()),
            ..self.clone()
        };
        other.client_with(&self.certificate()?, Arc::new(MemorySessions::default()))
    }

    /// One session a certificate and registry: the registry counts sessions by certificate.
    fn session_file(&self, cert: &Path) -> Result<PathBuf, Failed> {
        let bytes = std::fs::read(cert)
            .map_err(|error| Failed::local(format!("{}: {error}", cert.display())))?;
        let name = sha256(&[&bytes]).to_string();
        Ok(self
            .state_dir
            .join(format!("sessions/{}.json", &name[..32])))
    }

    /// A client of the admin plane.
    pub(crate) fn admin(&self) -> Result<Admin, Failed> {
        let identity = self.admin_identity()?;
        let admin = Admin::new(self.admin_endpoints.clone(), identity, self.timeout)?;
        Ok(admin.unreachable_after(UNREACHABLE_AFTER))
    }

    /// A client of one node's admin plane, which has to prove that it is that node.
    pub(crate) fn admin_of(&self, endpoint: &str, node: NodeId) -> Result<Admin, Failed> {
        let identity = self.admin_identity()?.of_node(node);
        let admin = Admin::new([endpoint], identity, self.timeout)?;
        Ok(admin.unreachable_after(UNREACHABLE_AFTER))
    }

    fn admin_identity(&self) -> Result<Identity, Failed> {
        let beside = |path: &Option<PathBuf>| path.as_ref().map(|path| admin_sibling(path));
        let cert = self.file(
            &beside(&self.cert),
            ".admin.crt",
            "our certificate (--cert)",
        )?;
        let key = self.file(
            &beside(&self.key),
            ".admin.key",
            "the key of our certificate (--key)",
        )?;
        if !cert.exists() && self.cert.is_none() {
            return Err(Failed::usage(format!(
                "this takes an admin: {} has no certificate of the admin plane ({})",
                self.who.as_deref().unwrap_or("whoever asks"),
                cert.display()
            )));
        }
        let identity = self.identity(&cert, &key)?.admin();
        if self.admin_endpoints.is_empty() {
            return Err(Failed::usage(
                "whom to ask? (--admin-endpoints, CARNET_ADMIN_ENDPOINTS, or the context file)",
            ));
        }
        Ok(identity.connect_within(connect_within(&self.admin_endpoints)))
    }
}

/// `x.crt` → `x.admin.crt` if that is there; else the file itself, which must then be of the admin plane.
fn admin_sibling(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    if let Some((stem, ending)) = text.rsplit_once('.') {
        let sibling = PathBuf::from(format!("{stem}.admin.{ending}"));
        if !stem.ends_with(".admin") && sibling.exists() {
            return sibling;
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        current = "cn"
        [contexts.cn]
        endpoints = ["a:1", "b:1"]
        pki = "/pki"
        as = "registrar-hq-anna"
        [contexts.de]
        endpoints = ["c:1"]
    "#;

    #[test]
    fn the_current_context_is_taken_unless_another_is_named() {
        assert_eq!(choose(FILE, None).expect("cn").endpoints, ["a:1", "b:1"]);
        assert_eq!(choose(FILE, Some("de")).expect("de").endpoints, ["c:1"]);
        let error = choose(FILE, Some("fr")).expect_err("unknown");
        assert!(error.contains("cn, de"), "{error}");
    }

    #[test]
    fn what_a_person_wrote_stays_when_another_context_is_current() {
        let file = "# mine\ncurrent = 'cn' # home\n[contexts.cn]\nendpoints = ['a:1']\n[contexts.de]\nas = 'current'\n";
        let text = current(file, "de").expect("changed");
        assert!(
            text.starts_with("current = \"de\"\n# mine\n[contexts.cn]"),
            "{text}"
        );
        let read = ContextFile::read(&text).expect("read");
        assert_eq!(read.contexts["de"].who.as_deref(), Some("current"));
        assert!(current(file, "fr").is_err());
    }

    #[test]
    fn a_context_goes_and_what_a_person_wrote_beside_it_stays() {
        let file = "# mine\ncurrent = 'de' # home\n[contexts.cn]\nendpoints = ['a:1']\n\n# the desk\n[contexts.'de']\n# twice\nas = 'x'\n\n# behind\n[contexts.fr]\nas = 'y'\n";
        let text = without(file, "de").expect("gone");
        assert_eq!(
            text,
            "# mine\n[contexts.cn]\nendpoints = ['a:1']\n\n# the desk\n\n# behind\n[contexts.fr]\nas = 'y'\n"
        );
        let text = without(file, "cn").expect("gone");
        assert!(
            text.starts_with("# mine\ncurrent = 'de' # home\n\n# the desk"),
            "{text}"
        );
        // Of another form, it is left to whoever wrote it.
        let odd = "contexts = { cn = { as = 'x' } }";
        assert!(without(odd, "cn").is_err());
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(choose("[contexts.cn]\nendpoint = [\"a:1\"]", Some("cn")).is_err());
    }

    /// Once, a file that `context add` was to make stopped `pki init`, which needs none.
    #[test]
    fn a_context_file_that_is_not_there_yet_is_no_hindrance() {
        use clap::Parser as _;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("new.toml").display().to_string();
        let settings = |more: &[&str]| {
            let words = ["carnet", "--config", file.as_str()];
            let words = words.iter().chain(more).chain(&["demo"]);
            let cli = crate::Cli::try_parse_from(words).expect("a call");
            cli.global.settings().map(drop)
        };
        assert!(settings(&[]).is_ok());
        let failed = settings(&["--context", "cn"]).expect_err("of what file?");
        assert!(failed.text.contains("new.toml"), "{}", failed.text);
    }
}
