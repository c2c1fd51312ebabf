//! The certificates of a PKI directory: whose they are, how long they last, and which of them the registry refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use carnet_client::{keys, wall_time};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::CERTIFICATE_SERIAL_BYTES_MAX;
use carnet_domain::record::denied::{
    Bearer, Certificate, DenyList, Mark, Refused, Revocation, Wanted,
};
use carnet_domain::rules::command::Command;
use carnet_pki::{Host, Keys, NodeSpec};
use carnet_trust::facts::{Facts, bearer_of_client};
use carnet_trust::identity::{ClientName, ClusterId, Identity, NodeId, Plane};
use clap::Args;
use serde_json::{Value, json};

use crate::ends::{days_left, warning};
use crate::exit::{self, Failed};
use crate::output::say;
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::submit::{self, Write};
use crate::{Outcome, view};

/// A person or desk as people write one: ROLE/UNIT/NAME.
pub(crate) fn client_name(prefix: Prefix, text: &str) -> Result<ClientName, Failed> {
    let pieces: Vec<&str> = text.split('/').collect();
    let [role, unit, name] = pieces.as_slice() else {
        return Err(Failed::usage(format!("{text:?}: write ROLE/UNIT/NAME")));
    };
    let role = parse::role(role).map_err(|fault| Failed::usage(format!("{text:?}: {fault}")))?;
    ClientName::from_words(prefix, role, unit, name)
        .map_err(|error| Failed::usage(format!("{text:?}: {error}")))
}

/// The deepest folder that is looked into.
const KEPT_DEPTH_MAX: usize = 4;

/// A certificate in a file.
struct Found {
    /// The file, from the directory on.
    file: PathBuf,
    facts: Facts,
}

impl Found {
    fn read(directory: &Path, path: &Path) -> Result<Self, Failed> {
        let chain = keys::read_chain(path)?;
        let of = |error| Failed::local(format!("{}: {error}", path.display()));
        let facts = Facts::of(&chain[0]).map_err(of)?;
        let file = path.strip_prefix(directory).unwrap_or(path).to_owned();
        Ok(Self { file, facts })
    }

    /// Whether a text names it: its file, its number or key, its subject or the role, unit and name in it.
    fn is(&self, named: &str) -> bool {
        let subject = self.facts.identity.to_string();
        let marks = self.facts.marks.all();
        self.file == Path::new(named)
            || subject == named
            || short(&self.facts.identity) == named
            || marks.iter().any(|mark| mark.to_string() == named)
            || number(&self.facts) == named
    }
}

/// Whose it is, in few words: `customs/hamburg/desk-4`, `node/2`, `ca/client`.
fn short(identity: &Identity) -> String {
    match identity {
        Identity::Client(name) => {
            format!("{}/{}/{}", name.role().word(), name.unit(), name.name())
        }
        Identity::Node(name) => format!("node/{}", name.node),
        Identity::Ca(name) => match name.plane {
            Some(plane) => format!("ca/{plane}"),
            None => "ca/root".to_owned(),
        },
        Identity::Passport(name) => format!("passport/{}", name.name),
    }
}

/// A bearer as [`short`] writes it: without the scheme and the country.
fn in_few_words(bearer: &str) -> &str {
    let of_country = bearer.strip_prefix("carnet://");
    of_country
        .and_then(|rest| rest.split_once('/'))
        .map_or(bearer, |(_, rest)| rest)
}

/// The number alone, without leading zeros, as other programs show it.
fn number(facts: &Facts) -> String {
    match facts.marks.serial {
        Some(Mark::Serial { serial, .. }) => {
            let text = hex::encode(serial);
            text.trim_start_matches("00").to_owned()
        }
        _ => String::new(),
    }
}

/// Every certificate of a directory, by the names of their files. One that cannot be read is said, and left out.
fn all(directory: &Path) -> Result<Vec<Found>, Failed> {
    let mut files = Vec::new();
    walk(directory, KEPT_DEPTH_MAX, &mut files)?;
    files.sort();
    let mut found = Vec::new();
    for file in files {
        match Found::read(directory, &file) {
            Ok(one) => found.push(one),
            Err(error) => say(format!("left out: {}", error.text)),
        }
    }
    Ok(found)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
    let fault = |error: std::io::Error| Failed::local(format!("{}: {error}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        // All roots stand once more in one file, for others to pin.
        let bundled = path.file_name().is_some_and(|name| name == "roots.crt");
        if path.is_dir() && 0 < depth {
            walk(&path, depth - 1, files)?;
        } else if path.extension().is_some_and(|ending| ending == "crt") && !bundled {
            files.push(path);
        }
    }
    Ok(())
}

/// Shows the certificates of the PKI directory; with the registry's list, which of them it refuses, and what else it does.
pub(crate) async fn list(settings: &Settings, server: bool) -> Result<Outcome, Failed> {
    let denied = match server {
        true => settings.client()?.unverified().deny_list().await?.value,
        false => DenyList::default(),
    };
    let now = wall_time();
    let found = match settings.pki_dir() {
        Ok(directory) => all(directory)?,
        // The list of the registry needs no directory.
        Err(_) if server => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut rows = Vec::new();
    for one in &found {
        let refused = one.facts.refused_by(&denied);
        let mut row = row(one, now);
        if server {
            row["revoked"] = refused.is_some().into();
        }
        if let Some(refused) = refused {
            submit_fields(&mut row, refused);
        }
        rows.push(row);
    }
    let is_shown = |entry: &&Revocation| {
        let entry: &Certificate = &entry.refused.certificate;
        !found.iter().any(|one| {
            let marks = one.facts.marks.all();
            one.facts.bearer().as_ref() == Some(&entry.bearer) && marks.contains(&entry.mark)
        })
    };
    for entry in denied.entries.iter().filter(|entry| is_shown(entry)) {
        let mut row = json!({
            "file": "",
            "who": entry.refused.certificate.bearer.to_string(),
            "certificate": entry.refused.certificate.mark.to_string(),
            "until": view::time(entry.refused.not_after),
            "revoked": true,
        });
        submit_fields(&mut row, entry);
        rows.push(row);
    }
    for waiting in &denied.waiting {
        let certificate = waiting.wanted.certificate();
        let asked = match waiting.wanted {
            Wanted::Revoke { .. } => "revoke",
            Wanted::Unrevoke { .. } => "unrevoke",
        };
        rows.push(json!({
            "file": "",
            "who": certificate.bearer.to_string(),
            "certificate": certificate.mark.to_string(),
            "proposed": asked,
            "proposed_by": waiting.by.person,
            "expires": view::time(waiting.until),
            "next": view::SECOND_OF_CERTIFICATE,
        }));
    }
    Ok(Value::Array(rows).into())
}

fn submit_fields(row: &mut Value, entry: &Revocation) {
    row["revoked_on"] = view::time(entry.at);
    row["revoked_by"] = entry.by.person.as_str().into();
    row["reason"] = entry.reason.as_str().into();
    if let Some(key) = entry.refused.instead {
        row["replaced_by"] = format!("key/{key}").into();
    }
}

fn row(one: &Found, now: TimeMs) -> Value {
    let facts = &one.facts;
    let planes: Vec<&str> = facts.planes.iter().map(|plane| plane.word()).collect();
    let left = days_left(facts.not_after, now);
    let row = json!({
        "file": one.file.display().to_string(),
        "who": facts.identity.to_string(),
        "planes": planes.join(","),
        "days_left": left,
        "warning": warning(facts.not_after, now),
        "revoked": Value::Null,
        "until": view::time(facts.not_after),
        "serial": number(facts),
        "certificate": facts.marks.serial.unwrap_or(facts.marks.key).to_string(),
        "key": facts.marks.key.to_string(),
    });
    row
}

/// Who asks.
#[derive(Debug, Args)]
pub(crate) struct Request {
    /// Who: node/ID, or ROLE/UNIT/NAME.
    #[arg(value_name = "WHO")]
    whose: String,
    /// The directory: keys and requests lie in it as certificates do in a PKI directory.
    directory: PathBuf,
    /// The identity of the cluster, as `carnet pki init` drew it: in its file `cluster`. For nodes.
    #[arg(long, value_name = "HEX")]
    cluster: Option<ClusterId>,
    /// Hosts of the node, HOST[,HOST…].
    #[arg(long, value_delimiter = ',')]
    host: Vec<String>,
}

/// Whose it is on a command line.
enum Who {
    Node(NodeId),
    Client(ClientName),
}

fn who(settings: &Settings, text: &str) -> Result<Who, Failed> {
    let Some(id) = text.strip_prefix("node/") else {
        return client_name(settings.registry()?, text).map(Who::Client);
    };
    let id = id.parse().ok().and_then(NodeId::new);
    let id = id.ok_or_else(|| Failed::usage(format!("{text:?}: no node id")))?;
    Ok(Who::Node(id))
}

fn paths(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

pub(crate) fn request(request: &Request, settings: &Settings) -> Result<Outcome, Failed> {
    let directory = &request.directory;
    let hosts: Vec<Host> = request
        .host
        .iter()
        .map(|one| Host::from(one.as_str()))
        .collect();
    let next = "Send the .csr files to whoever has the authorities (carnet pki sign), and put each .crt that comes back beside its key. \
                The keys stay here.";
    match who(settings, &request.whose)? {
        Who::Node(id) => {
            let cluster = request.cluster.ok_or_else(|| {
                Failed::usage(
                    "of which cluster? (--cluster: the file cluster of its PKI directory)",
                )
            })?;
            let node = NodeSpec { id, hosts };
            let asked = carnet_pki::request_node(directory, settings.registry()?, cluster, &node)?;
            Ok(json!({"requests": paths(&asked), "next": next}).into())
        }
        Who::Client(_) if !hosts.is_empty() => Err(Failed::usage("--host: a client has no host")),
        Who::Client(client) => {
            let (asked, actor) = carnet_pki::request_client(directory, &client)?;
            let value =
                json!({"requests": paths(&asked), "actor_key": actor.to_string(), "next": next});
            Ok(value.into())
        }
    }
}

/// What is to be signed.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The requests: .csr files.
    #[arg(required = true)]
    requests: Vec<PathBuf>,
    /// For whom they are meant, as you know it and not as they say it: node/ID, or ROLE/UNIT/NAME. Without it they are shown, and
    /// none is signed.
    #[arg(long = "for", value_name = "WHO")]
    meant: Option<String>,
    /// The hosts that the node is to have, HOST[,HOST…].
    #[arg(long, value_delimiter = ',')]
    host: Vec<String>,
    /// How long the certificates last.
    #[arg(long, default_value = "365")]
    days: u64,
}

pub(crate) fn sign(sign: &Sign, settings: &Settings) -> Result<Outcome, Failed> {
    let (mut rows, mut requests) = (Vec::new(), Vec::new());
    for path in &sign.requests {
        let asked = carnet_pki::read_request(path)?;
        if let Some(meant) = &sign.meant {
            is_meant(&asked, meant, &sign.host)
                .map_err(|fault| Failed::usage(format!("{}: {fault}", path.display())))?;
        }
        rows.push(json!({
            "request": path.display().to_string(),
            "who": asked.identity.to_string(),
            "plane": asked.plane.word(),
            "hosts": asked.hosts.join(","),
            "signed": sign.meant.is_some(),
        }));
        // What was shown is what is signed, whatever lies there meanwhile.
        requests.push((path, asked));
    }
    // Every one of them is what is meant: only then is any signed.
    for ((path, asked), row) in requests.iter().zip(&mut rows) {
        if sign.meant.is_none() {
            row["next"] = "Nothing was signed. If that is whom you know to ask: --for WHO.".into();
            continue;
        }
        let made = carnet_pki::sign(settings.pki_dir()?, (path, asked), sign.days, wall_time())?;
        row["file"] = made.file.display().to_string().into();
        row["until"] = view::time(made.until);
    }
    Ok(Value::Array(rows).into())
}

/// Whether a request asks for what whoever signs says, and nothing more.
fn is_meant(
    asked: &carnet_trust::facts::Request,
    meant: &str,
    hosts: &[String],
) -> Result<(), String> {
    let found = short(&asked.identity);
    if found != meant && asked.identity.to_string() != meant {
        return Err(format!("it asks for {found}, and {meant} is meant"));
    }
    let sorted = |hosts: &[String]| {
        let mut hosts = hosts.to_vec();
        hosts.sort();
        hosts
    };
    if sorted(&asked.hosts) != sorted(hosts) {
        return Err(format!(
            "it asks for the hosts {:?}, and --host says {:?}",
            asked.hosts, hosts
        ));
    }
    Ok(())
}

pub(crate) fn bundle(text: &str, to: &Path, settings: &Settings) -> Result<Outcome, Failed> {
    let directory = settings.pki_dir()?;
    let copied = match who(settings, text)? {
        Who::Node(id) => carnet_pki::bundle_node(directory, id, to)?,
        Who::Client(client) => carnet_pki::bundle_client(directory, &client, to)?,
    };
    Ok(json!({"directory": to.display().to_string(), "files": paths(&copied)}).into())
}

/// Whose certificates.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// Whose: ROLE/UNIT/NAME, node/ID, authority/PLANE (raft, federation, client, admin), or passport.
    #[arg(value_name = "WHO")]
    whose: String,
    /// Draw new keys. Those that sign commands are others, and stay (carnet key). An authority always has a new one.
    #[arg(long)]
    new_key: bool,
    /// How long the new ones last; default 365, an authority 1825.
    #[arg(long)]
    days: Option<u64>,
    /// Of an authority, or of the passport key: the seed of a root, which signs it.
    #[arg(long, value_name = "SEED")]
    root: Option<PathBuf>,
    /// Hosts of the node from now on, HOST[,HOST…]; without it those that stand in its certificates.
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    host: Vec<String>,
}

pub(crate) fn renew(renew: &Renew, settings: &Settings) -> Result<Outcome, Failed> {
    let directory = settings.pki_dir()?;
    let keys = match renew.new_key {
        true => Keys::New,
        false => Keys::Same,
    };
    if let Some(plane) = renew.whose.strip_prefix("authority/") {
        return renew_authority(directory, plane, renew);
    }
    if renew.whose == "passport" {
        return renew_passport(directory, keys, renew);
    }
    if renew.root.is_some() {
        return Err(Failed::usage(
            "--root: only an authority and the passport key are signed by a root",
        ));
    }
    let at = (renew.days.unwrap_or(365), wall_time());
    let hosts: Vec<Host> = renew
        .host
        .iter()
        .map(|one| Host::from(one.as_str()))
        .collect();
    let done = match who(settings, &renew.whose)? {
        Who::Node(id) => {
            let hosts = (!hosts.is_empty()).then_some(&hosts[..]);
            carnet_pki::renew_node(directory, id, hosts, keys, at)?
        }
        Who::Client(_) if !hosts.is_empty() => {
            return Err(Failed::usage("--host: a client has no host"));
        }
        Who::Client(client) => carnet_pki::renew_client(directory, &client, keys, at)?,
    };
    let rows = done.iter().map(|one| {
        json!({
            "file": one.file.display().to_string(),
            "until": view::time(one.until),
            "replaced": one.retired.display().to_string(),
            "until_before": view::time(one.until_before),
        })
    });
    Ok(Value::Array(rows.collect()).into())
}

/// Another certificate of the passport key, or of another key in its place.
fn renew_passport(directory: &Path, keys: Keys, renew: &Renew) -> Result<Outcome, Failed> {
    if !renew.host.is_empty() {
        return Err(Failed::usage("--host: a passport key has no host"));
    }
    let root = renew
        .root
        .as_deref()
        .ok_or_else(|| Failed::usage("a root signs it: give its seed (--root root-1.seed)"))?;
    let days = renew
        .days
        .unwrap_or(carnet_pki::Validity::default().passport_days);
    let done = carnet_pki::renew_passport(directory, keys, root, (days, wall_time()))?;
    let copied = match keys {
        Keys::Same => "keys/passport.crt",
        Keys::New => "keys/passport.seed and keys/passport.crt",
    };
    Ok(json!({
        "file": done.file.display().to_string(),
        "until": view::time(done.until),
        "replaced": done.retired.display().to_string(),
        "until_before": view::time(done.until_before),
        "next": format!(
            "Copy {copied} to the PKI directory of every node, and restart them one after the other: they are read at the start alone. What was \
             signed before stays good."
        ),
    })
    .into())
}

/// Another authority of a plane beside the one there is, which stays good as long as it is.
fn renew_authority(directory: &Path, plane: &str, renew: &Renew) -> Result<Outcome, Failed> {
    let found = Plane::ALL.iter().find(|known| known.word() == plane);
    let plane = found.copied().ok_or_else(|| {
        let all: Vec<&str> = Plane::ALL.iter().map(|plane| plane.word()).collect();
        Failed::usage(format!(
            "{plane:?}: no plane; planes are {}",
            all.join(", ")
        ))
    })?;
    if !renew.host.is_empty() {
        return Err(Failed::usage("--host: an authority has no host"));
    }
    let root = renew.root.as_deref().ok_or_else(|| {
        Failed::usage("a root signs an authority: give its seed (--root root-1.seed)")
    })?;
    let days = renew
        .days
        .unwrap_or(carnet_pki::Validity::default().authority_days);
    let done = carnet_pki::renew_authority(directory, plane, root, (days, wall_time()))?;
    Ok(json!({
        "file": done.file.display().to_string(),
        "until": view::time(done.until),
        "replaced": done.retired.display().to_string(),
        "until_before": view::time(done.until_before),
        "next": format!(
            "Both are in force: what the one before signed stays good until its own end. Renew the certificates of the {plane} plane under the new \
             one before {} (carnet pki renew node/ID, carnet pki renew ROLE/UNIT/NAME).",
            done.until_before
        ),
    })
    .into())
}

/// Which certificate, and why.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// A file of the PKI directory, a number or mark as `carnet pki list` shows it, or whose: ROLE/UNIT/NAME, node/ID.
    what: String,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Its bearer has another certificate, of another key, in the place of this one in the directory, so that a node that votes, or an
    /// admin, goes on.
    #[arg(long)]
    replaced: bool,
    /// The same, where the directory has neither: the key of the other certificate, as `carnet pki list` shows it.
    #[arg(long, value_name = "KEY", conflicts_with = "replaced")]
    replaced_by: Option<String>,
    /// Only the certificate of this number, and not every one of its key. For one that was given back unused: a key that was
    /// stolen opens doors with every certificate it has.
    #[arg(long)]
    only_this: bool,
    /// Whose it is, where no file of the directory has it: ROLE/UNIT/NAME, node/ID, or peer/PREFIX/ID.
    #[arg(long, value_name = "WHO")]
    of: Option<String>,
    /// Until when it would be valid, where no file of the directory has it.
    #[arg(long, default_value = "+1825d", requires = "of")]
    until: When,
    #[command(flatten)]
    write: Write,
}

/// Which certificate, and why.
#[derive(Debug, Args)]
pub(crate) struct Unrevoke {
    /// A mark as `carnet pki list --server` shows it, a file of the PKI directory, or whose: ROLE/UNIT/NAME, node/ID.
    what: String,
    /// Give back every certificate that this names, and not one alone.
    #[arg(long)]
    all: bool,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    write: Write,
}

/// What is named on the command line, as the list of the registry names it; one of each certificate.
fn refusals(settings: &Settings, revoke: &Revoke) -> Result<Vec<Refused>, Failed> {
    if let Some(of) = &revoke.of {
        if revoke.replaced {
            return Err(Failed::usage("by which key? (--replaced-by)"));
        }
        let mark = mark(&revoke.what)
            .ok_or_else(|| Failed::usage(format!("{:?}: {MARKS}", revoke.what)))?;
        let certificate = Certificate {
            mark,
            bearer: bearer(settings.registry()?, of)?,
        };
        return Ok(vec![Refused {
            certificate,
            not_after: revoke.until.resolve(),
            instead: instead_named(revoke)?,
        }]);
    }
    let directory = settings.pki_dir()?;
    let outside = Path::new(&revoke.what);
    let found = match outside.is_file() && !directory.join(outside).is_file() {
        true => vec![Found::read(directory, outside)?],
        false => {
            let all = all(directory)?.into_iter();
            all.filter(|one| one.is(&revoke.what)).collect()
        }
    };
    unambiguous(&found, &revoke.what, revoke.only_this)?;
    let mut refused: BTreeMap<Certificate, (TimeMs, Option<Digest>)> = BTreeMap::new();
    for one in &found {
        let Some(bearer) = one.facts.bearer() else {
            let text = format!(
                "{}: an authority, a root or a passport key is not revoked so; it is replaced",
                one.file.display()
            );
            return Err(Failed::usage(text));
        };
        let marks = one.facts.marks;
        let mark = match revoke.only_this {
            true => marks.serial.unwrap_or(marks.key),
            false => marks.key,
        };
        let instead = match revoke.replaced {
            true => Some(in_place_of(one, &all(directory)?)?),
            false => instead_named(revoke)?,
        };
        let known = refused.entry(Certificate { mark, bearer }).or_default();
        *known = (one.facts.not_after.max(known.0), instead);
    }
    if refused.is_empty() {
        let text = format!(
            "{:?}: no certificate of the PKI directory is that; {MARKS}, with --of for whose it is",
            revoke.what
        );
        return Err(Failed::usage(text));
    }
    let now = wall_time();
    let refused = refused.into_iter().filter(|(_, (until, _))| now <= *until);
    let refused: Vec<Refused> = refused
        .map(|(certificate, (not_after, instead))| Refused {
            certificate,
            not_after,
            instead,
        })
        .collect();
    match refused.is_empty() {
        true => Err(Failed::usage(format!(
            "{:?}: it has expired; nothing is sent",
            revoke.what
        ))),
        false => Ok(refused),
    }
}

/// The key that is named on the command line.
fn instead_named(revoke: &Revoke) -> Result<Option<Digest>, Failed> {
    let Some(text) = &revoke.replaced_by else {
        return Ok(None);
    };
    match mark(text) {
        Some(Mark::Key { key }) => Ok(Some(key)),
        _ => Err(Failed::usage(format!("{text:?}: write key/DIGEST"))),
    }
}

/// The key of the certificate that lies in the place of one that was renewed: of the same name and planes, in use, of another key.
fn in_place_of(old: &Found, all: &[Found]) -> Result<Digest, Failed> {
    let facts = &old.facts;
    let mut others = all.iter().filter(|one| {
        let same = one.facts.identity == facts.identity && one.facts.planes == facts.planes;
        same && !one.file.starts_with("retired")
    });
    let wrong = |text: &str| {
        let file = old.file.display();
        Err(Failed::usage(format!("--replaced: {file} {text}")))
    };
    match others.next().map(|one| one.facts.marks.key) {
        Some(other) if other == facts.marks.key => wrong(
            "has the key of the certificate in its place, which would be refused with it: renew with --new-key first",
        ),
        Some(Mark::Key { key }) => Ok(key),
        Some(Mark::Serial { .. }) | None => wrong("has no other certificate in its place here"),
    }
}

/// Whoever was given a new certificate keeps it: by a name that the old and the new one have, neither is meant for sure. Where both have
/// one key and are refused by it, both are meant.
fn unambiguous(found: &[Found], what: &str, only_this: bool) -> Result<(), Failed> {
    let was_replaced = |one: &&Found| one.file.starts_with("retired");
    let in_use = |one: &&Found| !was_replaced(one);
    let has_key_in_use = |one: &&Found| {
        let same = |other: &Found| other.facts.marks.key == one.facts.marks.key;
        !only_this && found.iter().filter(in_use).any(same)
    };
    let replaced: Vec<String> = found
        .iter()
        .filter(was_replaced)
        .filter(|one| !has_key_in_use(one))
        .map(|one| one.file.display().to_string())
        .collect();
    if replaced.is_empty() || replaced.len() == found.len() {
        return Ok(());
    }
    let used = found.iter().filter(in_use);
    let used: Vec<String> = used.map(|one| one.file.display().to_string()).collect();
    Err(Failed {
        next: format!(
            "Nothing was sent. Name the file that is meant: {} (in use), or {} (renewed since). Which of them are refused already, carnet pki list --server says.",
            used.join(", "),
            replaced.join(", ")
        ),
        ..Failed::usage(format!(
            "{what:?} names certificates that were renewed and those in their place"
        ))
    })
}

const MARKS: &str = "write serial/ISSUER/NUMBER or key/DIGEST, as carnet pki list shows them";

fn mark(text: &str) -> Option<Mark> {
    if let Some(key) = text.strip_prefix("key/") {
        let key = Digest::parse(key).ok()?;
        return Some(Mark::Key { key });
    }
    let (issuer, number) = text.strip_prefix("serial/")?.split_once('/')?;
    let mut serial = [0; CERTIFICATE_SERIAL_BYTES_MAX];
    hex::decode_to_slice(number, &mut serial).ok()?;
    let issuer = Digest::parse(issuer).ok()?;
    Some(Mark::Serial { issuer, serial })
}

fn bearer(here: Prefix, text: &str) -> Result<Bearer, Failed> {
    let wrong = || {
        Failed::usage(format!(
            "{text:?}: write ROLE/UNIT/NAME, node/ID or peer/PREFIX/ID"
        ))
    };
    let pieces: Vec<&str> = text.split('/').collect();
    match pieces.as_slice() {
        ["node", id] => Ok(Bearer::Node {
            node: id.parse().map_err(|_| wrong())?,
        }),
        ["peer", prefix, id] => Ok(Bearer::Peer {
            prefix: Prefix::parse(prefix).map_err(Failed::usage)?,
            node: id.parse().map_err(|_| wrong())?,
        }),
        [_, _, _] => Ok(bearer_of_client(&client_name(here, text)?)),
        _ => Err(wrong()),
    }
}

fn shown(certificate: &Certificate) -> Value {
    json!({
        "who": certificate.bearer.to_string(),
        "certificate": certificate.mark.to_string(),
    })
}

/// One command a certificate: what is done is done, whatever becomes of the next. Rows of those that need none are shown beside them.
async fn each(
    settings: &Settings,
    write: Write,
    commands: Vec<(Value, Command)>,
    mut rows: Vec<Value>,
) -> Result<Outcome, Failed> {
    let mut code = 0;
    for (shown, command) in commands {
        let done = submit::one(settings, write, command, shown).await?;
        code = done.code.max(code);
        rows.push(done.value);
    }
    let value = match rows.len() {
        1 => rows.remove(0),
        _ => Value::Array(rows),
    };
    Ok(Outcome { value, code })
}

pub(crate) async fn revoke(revoke: Revoke, settings: &Settings) -> Result<Outcome, Failed> {
    let list = match revoke.write.dry_run && !settings.has_endpoints() {
        true => DenyList::default(),
        false => settings.client()?.unverified().deny_list().await?.value,
    };
    let (mut commands, mut rows) = (Vec::new(), Vec::new());
    for refused in refusals(settings, &revoke)? {
        let mut shown = shown(&refused.certificate);
        if let Some(entry) = is_revoked(&list, &refused.certificate) {
            shown["state"] = "revoked already".into();
            submit_fields(&mut shown, entry);
            rows.push(shown);
            continue;
        }
        let reason = revoke.reason.clone();
        commands.push((shown, Command::RevokeCertificate { refused, reason }));
    }
    each(settings, revoke.write, commands, rows).await
}

/// The entry by which a certificate is refused, unless somebody asks that it be refused no more: the same word again takes that back.
fn is_revoked<'a>(list: &'a DenyList, certificate: &Certificate) -> Option<&'a Revocation> {
    let taken_back = list.waiting.iter().any(|one| match &one.wanted {
        Wanted::Unrevoke { certificate: other } => other == certificate,
        Wanted::Revoke { .. } => false,
    });
    let entry = list.entries.iter();
    let mut entry = entry.filter(|entry| entry.refused.certificate == *certificate);
    entry.next().filter(|_| !taken_back)
}

pub(crate) async fn unrevoke(unrevoke: Unrevoke, settings: &Settings) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    let list = client.unverified().deny_list().await?.value;
    let mut found = match settings.pki_dir() {
        Ok(directory) => all(directory)?,
        Err(_) => Vec::new(),
    };
    let outside = Path::new(&unrevoke.what);
    if outside.is_file() {
        found.push(Found::read(Path::new("/"), outside)?);
        if let Some(read) = found.last_mut() {
            read.file = outside.to_owned();
        }
    }
    let named = |certificate: &Certificate| {
        let of_file = |one: &Found| {
            let marks = one.facts.marks.all();
            one.is(&unrevoke.what)
                && one.facts.bearer().as_ref() == Some(&certificate.bearer)
                && marks.contains(&certificate.mark)
        };
        let bearer = certificate.bearer.to_string();
        certificate.mark.to_string() == unrevoke.what
            || bearer == unrevoke.what
            || in_few_words(&bearer) == unrevoke.what
            || found.iter().any(of_file)
    };
    let entries = list.entries.iter().map(|one| &one.refused.certificate);
    let waiting = list.waiting.iter().map(|one| one.wanted.certificate());
    let mut meant: Vec<&Certificate> = entries.chain(waiting).filter(|one| named(one)).collect();
    meant.sort();
    meant.dedup();
    if meant.is_empty() {
        let mut failed = Failed::usage(format!(
            "{:?}: no certificate of the registry's list is that (carnet pki list --server)",
            unrevoke.what
        ));
        failed.code = exit::NOT_FOUND;
        return Err(failed);
    }
    if meant.len() > 1 && !unrevoke.all {
        return Err(several(&meant, &unrevoke.what));
    }
    let commands = meant.into_iter().map(|certificate| {
        let command = Command::UnrevokeCertificate {
            certificate: certificate.clone(),
            reason: unrevoke.reason.clone(),
        };
        (shown(certificate), command)
    });
    each(settings, unrevoke.write, commands.collect(), Vec::new()).await
}

/// Of several that a word names one may have been stolen: which are given back is said by their marks.
fn several(meant: &[&Certificate], what: &str) -> Failed {
    let marks: Vec<String> = meant.iter().map(|one| one.mark.to_string()).collect();
    Failed {
        next: format!(
            "Nothing was sent. Name the one that is meant: {}; or all of them: --all.",
            marks.join(", ")
        ),
        ..Failed::usage(format!(
            "{what:?} names {} certificates that are refused",
            marks.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::signature::KeyId;
    use carnet_domain::record::denied::Waiting;
    use carnet_domain::record::{Actor, Holder};

    use super::*;

    /// Once, a dry run proposed to revoke what had been revoked long ago.
    #[test]
    fn what_is_revoked_already_is_not_proposed_again() {
        let certificate = Certificate {
            mark: Mark::Key {
                key: Digest([7; 32]),
            },
            bearer: Bearer::Admin {
                office: "hq".into(),
                person: "anna".into(),
            },
        };
        let by = Actor {
            holder: Holder::Office {
                name: "admin/hq".into(),
            },
            person: "bert".into(),
            key: KeyId([1; 16]),
        };
        let entry = Revocation {
            refused: Refused {
                certificate: certificate.clone(),
                not_after: TimeMs(9),
                instead: None,
            },
            reason: "stolen".into(),
            at: TimeMs(1),
            by: by.clone(),
            second: None,
        };
        let mut list = DenyList::default();
        assert!(is_revoked(&list, &certificate).is_none());
        list.entries.push(entry);
        assert!(is_revoked(&list, &certificate).is_some());
        list.waiting.push(Waiting {
            number: 7,
            reason: "stolen".into(),
            wanted: Wanted::Unrevoke {
                certificate: certificate.clone(),
            },
            by,
            until: TimeMs(9),
            clock: 0,
            before: None,
        });
        assert!(
            is_revoked(&list, &certificate).is_none(),
            "it says so again"
        );
    }

    /// Once, whoever gave back a certificate that had been revoked by mistake gave back the stolen one as well.
    #[test]
    fn of_several_none_is_given_back_unsaid() {
        let of = |seed: u8| Certificate {
            mark: Mark::Key {
                key: Digest([seed; 32]),
            },
            bearer: Bearer::Client {
                name: "carnet://86/dealer/0003/ada".into(),
            },
        };
        let (one, other) = (of(1), of(2));
        let failed = several(&[&one, &other], "dealer/0003/ada");
        assert!(failed.text.contains("names 2"), "{}", failed.text);
        for certificate in [&one, &other] {
            let mark = certificate.mark.to_string();
            assert!(failed.next.contains(&mark), "{}", failed.next);
        }
    }

    #[test]
    fn a_bearer_is_named_as_the_lists_show_it() {
        assert_eq!(
            in_few_words("carnet://86/dealer/0003/ada"),
            "dealer/0003/ada"
        );
        assert_eq!(in_few_words("dealer/0003/ada"), "dealer/0003/ada");
    }

    #[test]
    fn what_was_renewed_is_not_revoked_together_with_what_took_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = folder.path().join("pki");
        let here = Prefix::parse("86").expect("a prefix");
        let ada = client_name(here, "dealer/0003/ada").expect("a name");
        let mut plan = carnet_pki::PkiPlan::new(here);
        plan.clients.push(ada.clone());
        carnet_pki::init(&directory, &plan, wall_time()).expect("made");
        let found = |what: &str, only_this: bool| {
            let all = all(&directory).expect("read").into_iter();
            let found: Vec<Found> = all.filter(|one| one.is(what)).collect();
            let said = unambiguous(&found, what, only_this).map(|()| found.len());
            said.map_err(|failed| failed.next)
        };
        let named = |what: &str| found(what, false);
        assert_eq!(named("dealer/0003/ada"), Ok(1));
        // Renewed with the key it had, both are one: a stolen key is refused with either.
        let at = (90, wall_time());
        carnet_pki::renew_client(&directory, &ada, Keys::Same, at).expect("renewed");
        assert_eq!(named("dealer/0003/ada"), Ok(2));
        assert!(found("dealer/0003/ada", true).is_err());
        let done = carnet_pki::renew_client(&directory, &ada, Keys::New, (90, wall_time()));
        let old = done.expect("renewed")[0].retired.display().to_string();
        let next = named("dealer/0003/ada").expect_err("old and new");
        assert!(next.contains(&old), "{next}");
        assert_eq!(named(&old), Ok(1));
        assert_eq!(named("clients/dealer-0003-ada.crt"), Ok(1));
    }

    #[test]
    fn what_takes_the_place_of_a_certificate_has_another_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = folder.path().join("pki");
        let here = Prefix::parse("86").expect("a prefix");
        let ada = client_name(here, "admin/hq/ada").expect("a name");
        let mut plan = carnet_pki::PkiPlan::new(here);
        plan.clients.push(ada.clone());
        carnet_pki::init(&directory, &plan, wall_time()).expect("made");
        let at = (90, wall_time());
        let renewed = |keys| {
            let done = carnet_pki::renew_client(&directory, &ada, keys, at).expect("renewed");
            let read = |one: &carnet_pki::Renewed| {
                Found::read(&directory, &directory.join(&one.retired)).expect("read")
            };
            done.iter().map(read).collect::<Vec<_>>()
        };
        let of = |one: &Found| in_place_of(one, &all(&directory).expect("read"));
        for old in renewed(Keys::Same) {
            let said = of(&old).expect_err("the same key").text;
            assert!(said.contains("--new-key"), "{said}");
        }
        for old in renewed(Keys::New) {
            let key = of(&old).expect("another key");
            assert_ne!(Mark::Key { key }, old.facts.marks.key);
        }
    }

    #[test]
    fn a_request_is_signed_for_whom_it_is_meant_and_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = folder.path().join("host");
        let here = Prefix::parse("86").expect("a prefix");
        let mallory = client_name(here, "admin/hq/anna").expect("a name");
        let (asked, _) = carnet_pki::request_client(&directory, &mallory).expect("asked");
        let asked = carnet_pki::read_request(&directory.join(&asked[0])).expect("read");
        assert!(is_meant(&asked, "dealer/0003/ada", &[]).is_err());
        assert_eq!(is_meant(&asked, "admin/hq/anna", &[]), Ok(()));
        let cluster = ClusterId::new([7; 16]).expect("a cluster");
        let node = NodeSpec {
            id: NodeId::new(2).expect("not zero"),
            hosts: vec![Host::from("n2.example"), Host::from("10.0.0.2")],
        };
        let asked = carnet_pki::request_node(&directory, here, cluster, &node).expect("asked");
        let asked = carnet_pki::read_request(&directory.join(&asked[0])).expect("read");
        let hosts = ["10.0.0.2".to_owned(), "n2.example".to_owned()];
        assert_eq!(is_meant(&asked, "node/2", &hosts), Ok(()));
        assert!(is_meant(&asked, "node/3", &hosts).is_err());
        assert!(is_meant(&asked, "node/2", &hosts[..1]).is_err());
    }

    #[test]
    fn whose_a_certificate_is_has_one_text() {
        let here = Prefix::parse("86").expect("a prefix");
        for (text, expected) in [
            ("node/3", "node/3"),
            ("peer/49/3", "peer/49/3"),
            ("admin/hq/anna", "admin/hq/anna"),
            ("dealer/0003/ada", "carnet://86/dealer/0003/ada"),
        ] {
            let bearer = bearer(here, text).expect("somebody");
            assert_eq!(bearer.to_string(), expected);
        }
        for wrong in ["node/x", "node", "peer/49", "king/hq/anna", ""] {
            assert_eq!(bearer(here, wrong).expect_err("nobody").code, exit::USAGE);
        }
        for text in [
            format!("key/{}", "ab".repeat(32)),
            format!(
                "serial/{}/{}",
                "cd".repeat(32),
                "00".repeat(CERTIFICATE_SERIAL_BYTES_MAX)
            ),
        ] {
            assert_eq!(mark(&text).expect("a mark").to_string(), text);
        }
        assert_eq!(mark("key/ab"), None);
    }
}
