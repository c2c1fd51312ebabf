//! Who read, who was refused and who changed the cluster, as the nodes noted it; and whether what they show is what they wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use carnet_client::admin::{Admin, AuditAnchor};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::limits::AUDIT_TEXT_BYTES_MAX;
use carnet_domain::log::audit::{AuditBreak, AuditHead, AuditRecord, AuditWalk};
use carnet_trust::identity::NodeId;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::Outcome;
use crate::bounded::each_line;
use crate::cluster::health;
use crate::exit::{self, Failed};
use crate::settings::Settings;

/// The state of an endpoint that did not answer.
const NOT_ASKED: &str = "NOT_ASKED";

/// The kinds of record of an act and of what came of it.
const ACT: &str = "act";
const OUTCOME: &str = "outcome";

/// The node is asked so often for one chain at most: far more than one keeps.
const PAGES_MAX: usize = 100_000;
/// No more is read of one chain: a node keeps less, and whoever ends this program by its memory is asked no further.
const FOLLOWED_BYTES_MAX: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Chain {
    /// Changes of the cluster.
    Acts,
    /// Reads by those who may read everybody's.
    Reads,
    /// Refusals.
    Denied,
}

impl Chain {
    const ALL: [Self; 3] = [Self::Acts, Self::Reads, Self::Denied];

    fn word(self) -> &'static str {
        match self {
            Self::Acts => "acts",
            Self::Reads => "reads",
            Self::Denied => "denied",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Shows who read what is not theirs, who was refused, and who changed the cluster: of every admin endpoint given.
    ///
    /// Every node notes what was asked of itself. All chains are asked unless one is named:
    ///
    ///   carnet audit query --caller customs --about 86-0001 --last 0
    Query {
        /// Only this chain.
        #[arg(long)]
        chain: Option<Chain>,
        /// The newest so many of each node and each of its chains, so up to three times as many a node; 0: all that it keeps.
        #[arg(long, default_value = "100")]
        last: u64,
        /// Only of those whose name holds this.
        #[arg(long)]
        caller: Option<String>,
        /// Only what is about something that holds this.
        #[arg(long)]
        about: Option<String>,
        /// Only the request of this name, as an error shows it.
        #[arg(long)]
        request: Option<String>,
    },
    /// Writes all records as they lie in the nodes into files of a directory, for `verify` elsewhere.
    ///
    /// A file that is there is gone on with, and never replaced: what is written behind it follows its last record. A chain that does not
    /// go on from it (exit code 4), or has let go of what would follow (5), is written beside it, into a file that ends in `.other`.
    Export {
        /// The directory.
        directory: PathBuf,
    },
    /// Follows every chain: whether a record was changed, taken out or put in, its end cut off or all of it written anew since its place
    /// was entered in the registry's log. Exit code 4 if so. Give the admin endpoints of all nodes: each says what its own copy of the
    /// log has of every node, and every place counts that another node than the one in question says (`in_log_by`). One that does not
    /// answer is NOT_ASKED, and the exit code then 6: the others were followed.
    ///
    /// Without files the nodes are asked, and this machine remembers where each chain stood: one that was written anew, or lost its
    /// end, since the last time is found; of one that begins behind the place that was kept (exit code 5) nobody can tell whether it let
    /// go of its oldest file, as at its full size, or was cut: look, and say --accept to go on from where it stands, as after a repair by
    /// the runbook. What the log says is never accepted away. Of `denied` no place is remembered. With files (of `export`, or of a node's
    /// folder `audit`) nobody is asked, so that records taken off the end of a chain are not missed; files of one chain are given in their order, and none between them is missing.
    Verify {
        /// Files that nodes wrote or `audit export` saved, those of one chain in their order.
        files: Vec<PathBuf>,
        /// Remember where each chain stands now, although what was seen before is gone.
        #[arg(long)]
        accept: bool,
    },
}

/// A chain that was followed.
#[derive(Default)]
struct Followed {
    first: Option<u64>,
    last: Option<AuditHead>,
    broken: Option<AuditBreak>,
}

impl Followed {
    fn row(&self, of: &str, chain: &str) -> Value {
        json!({
            "node": of,
            "chain": chain,
            "state": match &self.broken {
                None => "ok",
                Some(AuditBreak::Gone { .. }) => "NOT_JOINED",
                Some(_) => "BROKEN",
            },
            "from": self.first.map(|number| number.to_string()),
            "to": self.last.map(|head| head.number.to_string()),
            "hash": self.last.map(|head| head.hash.to_string()),
            "why": self.broken.as_ref().map(ToString::to_string),
        })
    }

    /// Takes lines until one does not follow.
    fn take<'a>(
        &mut self,
        walk: &mut AuditWalk,
        lines: impl IntoIterator<Item = &'a str>,
        mut each: impl FnMut(&str, AuditRecord),
    ) {
        for line in lines {
            match walk.take(line) {
                Ok(record) => {
                    self.first.get_or_insert(record.head.number);
                    self.last = Some(record.head);
                    each(line, record);
                }
                Err(broken) => {
                    self.broken = Some(broken);
                    return;
                }
            }
        }
    }

    fn end(&mut self, walk: AuditWalk) {
        if self.broken.is_none() {
            self.broken = walk.end().err();
        }
    }
}

pub(crate) async fn run(verb: Audit, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Audit::Query {
            chain,
            last,
            caller,
            about,
            request,
        } => {
            let chains = chain.map_or(Chain::ALL.to_vec(), |chain| vec![chain]);
            let wanted = Wanted {
                who: caller,
                about,
                request,
            };
            query(&settings.admin()?, &chains, last, &wanted).await
        }
        Audit::Export { directory } => export(settings, &directory).await,
        Audit::Verify { files, accept } if files.is_empty() => {
            let folder = settings.state_dir().join("audit");
            verify(settings, &folder, accept).await
        }
        Audit::Verify { files, .. } => verify_files(&files),
    }
}

/// Follows a chain of a node, from behind a number or from where it begins.
async fn follow(
    admin: &Admin,
    endpoint: &str,
    chain: Chain,
    mut after: u64,
    mut walk: AuditWalk,
    mut each: impl FnMut(&str, AuditRecord),
) -> Result<Followed, Failed> {
    let mut followed = Followed::default();
    let mut bytes = 0_u64;
    for _ in 0..PAGES_MAX {
        let (lines, more, _) = admin.audit(endpoint, chain.word(), after).await?;
        // saturates: far above the bound
        bytes = lines
            .iter()
            .fold(bytes, |sum, line| sum.saturating_add(line.len() as u64));
        if bytes > FOLLOWED_BYTES_MAX {
            return Err(Failed::unreadable(format!(
                "{endpoint} shows more of {} than any node keeps",
                chain.word()
            )));
        }
        followed.take(&mut walk, lines.iter().map(String::as_str), &mut each);
        let reached = followed.last.map_or(after, |head| head.number);
        if followed.broken.is_some() || !more || reached == after {
            break;
        }
        after = reached;
    }
    followed.end(walk);
    Ok(followed)
}

struct Wanted {
    who: Option<String>,
    about: Option<String>,
    request: Option<String>,
}

impl Wanted {
    fn takes(&self, record: &Value) -> bool {
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let holds = |wanted: &Option<String>, key| {
            wanted
                .as_ref()
                .is_none_or(|wanted| text(key).contains(wanted.as_str()))
        };
        let is = self.request.as_ref();
        holds(&self.who, "who")
            && holds(&self.about, "about")
            && is.is_none_or(|request| text("request") == request)
    }
}

async fn query(
    admin: &Admin,
    chains: &[Chain],
    last: u64,
    wanted: &Wanted,
) -> Result<Outcome, Failed> {
    let (mut rows, mut broken, mut silent) = (Vec::new(), Vec::new(), Vec::new());
    for endpoint in admin.endpoints() {
        // Where a chain stands is in the status, which is not noted.
        let stands = match admin.status(endpoint, false).await {
            Ok(status) => status.audit,
            Err(error) => {
                silent.push(not_asked(endpoint, &Failed::from(error)));
                continue;
            }
        };
        for chain in chains {
            let stands = stands.iter().find(|one| one.chain == chain.word());
            let newest = stands.map_or(0, |one| one.number);
            let after = match last {
                0 => 0,
                // saturates: all are asked for
                last => newest.saturating_sub(last),
            };
            let each = |_: &str, record: AuditRecord| {
                let text: Value = serde_json::from_str(&record.text).unwrap_or(Value::Null);
                if wanted.takes(&text) {
                    rows.push(row(endpoint, *chain, &record, &text));
                }
            };
            let walk = AuditWalk::anywhere();
            let followed = match follow(admin, endpoint, *chain, after, walk, each).await {
                Ok(followed) => followed,
                Err(failed) => {
                    silent.push(not_asked(endpoint, &failed));
                    break;
                }
            };
            if followed.broken.is_some() {
                broken.push(followed.row(endpoint, chain.word()));
            }
        }
    }
    // Of several nodes what happened stands in its order, as far as their clocks agree.
    rows.sort_by_key(|row| row["at"].as_str().map(str::to_owned));
    let rows = with_outcomes(rows);
    let code = match (broken.is_empty(), silent.is_empty()) {
        (true, true) => return Ok(Value::Array(rows).into()),
        (true, false) if rows.is_empty() && silent.len() >= admin.endpoints().len() => {
            return Err(nobody_asked(&silent));
        }
        (true, false) => exit::NOT_SERVED,
        (false, _) => exit::INVALID,
    };
    Ok(Outcome {
        value: json!({"broken": broken, "not_asked": silent, "records": rows}),
        code,
    })
}

/// An endpoint of which nothing is known: the others are shown all the same.
fn not_asked(endpoint: &str, failed: &Failed) -> Value {
    json!({"node": endpoint, "chain": Value::Null, "state": NOT_ASKED, "why": failed.text})
}

fn nobody_asked(rows: &[Value]) -> Failed {
    let said: Vec<String> = rows
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            format!("{}: {}", text("node"), text("why"))
        })
        .collect();
    Failed::not_served(
        "UNREACHABLE",
        format!("no node could be asked: {}", said.join("; ")),
        "Check the admin endpoints and that the nodes run: nothing was verified.",
    )
}

/// What came of an act stands beside it, and not as a line of its own: by the request of both.
fn with_outcomes(mut rows: Vec<Value>) -> Vec<Value> {
    let mut came = BTreeMap::new();
    for row in rows.iter().filter(|row| row["kind"] == OUTCOME) {
        came.insert(request_of(row), row["what"].clone());
    }
    let mut beside = BTreeSet::new();
    for row in rows.iter_mut().filter(|row| row["kind"] == ACT) {
        let request = request_of(row);
        row["outcome"] = match came.get(&request) {
            Some(outcome) => {
                beside.insert(request);
                outcome.clone()
            }
            None => "not noted: the node ended before, or works on it".into(),
        };
    }
    rows.retain(|row| row["kind"] != OUTCOME || !beside.contains(&request_of(row)));
    rows
}

fn request_of(row: &Value) -> (String, String) {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    (text("node"), text("request"))
}

fn row(endpoint: &str, chain: Chain, record: &AuditRecord, text: &Value) -> Value {
    json!({
        "at": text["at"],
        "node": endpoint,
        "chain": chain.word(),
        "number": record.head.number.to_string(),
        "kind": text["kind"],
        "who": text["who"],
        "what": text["what"],
        "about": text["about"],
        "outcome": Value::Null,
        "request": text["request"],
        "left_out_before": text["left_out_before"],
    })
}

/// The node at an endpoint, by what it proves: what is kept of one is never kept under the name of another.
async fn proven(settings: &Settings, endpoint: &str) -> Result<(Admin, u64), Failed> {
    let said = settings.admin()?.status(endpoint, false).await?.node;
    let node = NodeId::new(said).ok_or_else(|| {
        Failed::unreadable(format!(
            "{endpoint} says that it is node {said}, which is none"
        ))
    })?;
    let admin = settings.admin_of(endpoint, node)?;
    // Asked anew by a connection on which no other node answers.
    let asked = admin.status(endpoint, false).await.map_err(|error| {
        let failed = Failed::from(error);
        Failed {
            text: format!(
                "{endpoint} says that it is node {said}, and does not prove it: {}",
                failed.text
            ),
            ..failed
        }
    })?;
    if asked.node != said {
        let text = format!(
            "{endpoint} says that it is node {said}, and that it is node {}",
            asked.node
        );
        return Err(Failed::unreadable(text));
    }
    Ok((admin, said))
}

async fn export(settings: &Settings, directory: &Path) -> Result<Outcome, Failed> {
    let admin = settings.admin()?;
    let registry = settings.registry()?;
    std::fs::create_dir_all(directory).map_err(|error| local(directory, error))?;
    let mut rows = Vec::new();
    let mut code = 0;
    for endpoint in admin.endpoints() {
        let (admin, node) = match proven(settings, endpoint).await {
            Ok(proven) => proven,
            Err(failed) if failed.code == exit::NOT_SERVED => {
                rows.push(not_asked(endpoint, &failed));
                code = exit::NOT_SERVED.max(code);
                continue;
            }
            Err(failed) => return Err(failed),
        };
        for chain in Chain::ALL {
            let name = format!("{registry}-node-{node}-{}.log", chain.word());
            let path = directory.join(name);
            let mut saved = Saved::open(&path)?;
            // From the last record itself on, which must be there as it was, or the one behind it, which names it.
            let last = saved.last;
            let walk = last.map_or_else(AuditWalk::anywhere, AuditWalk::through);
            // saturates: a record has a number above 0
            let before = last.map_or(0, |head| head.number.saturating_sub(1));
            let each = |line: &str, record: AuditRecord| {
                if last.is_none_or(|last| last.number < record.head.number) {
                    saved.put(line);
                }
            };
            let followed = follow(&admin, endpoint, chain, before, walk, each).await?;
            let mut path = saved.close()?;
            if followed.broken.is_some() && last.is_some() {
                // What was exported before is evidence, whatever the node shows now, and so is this.
                path.set_extension("log.other");
                let mut other = Saved::anew(&path)?;
                let each = |line: &str, _: AuditRecord| other.put(line);
                follow(&admin, endpoint, chain, 0, AuditWalk::anywhere(), each).await?;
                other.close()?;
            }
            match &followed.broken {
                None => {}
                Some(AuditBreak::Gap { .. } | AuditBreak::Gone { .. }) if code == 0 => {
                    code = exit::NOT_CERTAIN;
                }
                Some(AuditBreak::Gap { .. } | AuditBreak::Gone { .. }) => {}
                Some(_) => code = exit::INVALID,
            }
            let mut row = followed.row(endpoint, chain.word());
            row["file"] = path.display().to_string().into();
            rows.push(row);
        }
    }
    Ok(Outcome {
        value: Value::Array(rows),
        code,
    })
}

fn local(path: &Path, error: std::io::Error) -> Failed {
    Failed::local(format!("{}: {error}", path.display()))
}

/// An export of a chain: what was written before stays, and lines are added as they come.
struct Saved {
    path: PathBuf,
    /// Its last record before this.
    last: Option<AuditHead>,
    file: Option<BufWriter<File>>,
    failed: Option<std::io::Error>,
}

impl Saved {
    /// Opens one that goes on behind its last record. A line that an interrupted export left unfinished is cut off.
    fn open(path: &Path) -> Result<Self, Failed> {
        let mut saved = Self {
            path: path.to_owned(),
            last: None,
            file: None,
            failed: None,
        };
        let found = match File::open(path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(saved),
            Err(error) => return Err(local(path, error)),
        };
        let mut walk = AuditWalk::anywhere();
        let (mut reader, mut line, mut whole) = (BufReader::new(found), String::new(), 0_u64);
        loop {
            line.clear();
            let count = reader
                .read_line(&mut line)
                .map_err(|error| local(path, error))?;
            let Some(record) = line.strip_suffix('\n') else {
                break;
            };
            let taken = walk.take(record);
            taken.map_err(|broken| Failed {
                next: "Move it away: whatever it is, it is not gone on with.".into(),
                ..Failed::unreadable(format!("{}: {broken}", path.display()))
            })?;
            // saturates: a file is smaller
            whole = whole.saturating_add(count as u64);
        }
        let file = OpenOptions::new().append(true).open(path);
        let file = file.and_then(|file| file.set_len(whole).map(|()| file));
        saved.file = Some(BufWriter::new(file.map_err(|error| local(path, error))?));
        saved.last = walk.head();
        Ok(saved)
    }

    /// Opens one in the place of whatever is there.
    fn anew(path: &Path) -> Result<Self, Failed> {
        let file = File::create(path).map_err(|error| local(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            last: None,
            file: Some(BufWriter::new(file)),
            failed: None,
        })
    }

    /// Adds a line; what goes wrong is said when it is closed.
    fn put(&mut self, line: &str) {
        let path = &self.path;
        let mut put = || {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(BufWriter::new(File::create(path)?)),
            };
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")
        };
        if self.failed.is_none() {
            self.failed = put().err();
        }
    }

    /// Has all of it on the disk.
    fn close(&mut self) -> Result<PathBuf, Failed> {
        let failed = self.failed.take().map_or(Ok(()), Err);
        let closed = failed.and_then(|()| match self.file.take() {
            Some(mut file) => file.flush().and_then(|()| file.get_ref().sync_all()),
            None => Ok(()),
        });
        closed.map_err(|error| local(&self.path, error))?;
        Ok(self.path.clone())
    }
}

/// What nodes say of where the chains of one of them stood, by their own copies of the log.
#[derive(Default)]
struct Entered {
    /// By number and hash: which nodes say it, and the highest leaf of it.
    places: BTreeMap<(u64, Digest), (BTreeSet<u64>, u64)>,
}

impl Entered {
    /// Of a chain of a node, as these nodes have it in their logs.
    fn of<'a>(
        node: u64,
        chain: Chain,
        said: impl Iterator<Item = (u64, &'a [AuditAnchor])>,
    ) -> Self {
        let mut places = BTreeMap::new();
        for (by, anchors) in said {
            for anchor in anchors.iter().filter(|anchor| anchor.node == node) {
                if let Some(head) = place_of(anchor, chain) {
                    let (nodes, leaf): &mut (BTreeSet<u64>, u64) =
                        places.entry((head.number, head.hash)).or_default();
                    nodes.insert(by);
                    *leaf = anchor.leaf.max(*leaf);
                }
            }
        }
        Self { places }
    }

    /// The newest place that somebody else than the node says; if nobody else was asked, that which it says itself. The word of
    /// the judged never stands above that of the others.
    fn newest(&self, node: u64) -> Option<(AuditHead, &BTreeSet<u64>)> {
        let by_others = |by: &BTreeSet<u64>| by.iter().any(|by| *by != node);
        let others = self.places.values().any(|(by, _)| by_others(by));
        let counts = self
            .places
            .iter()
            .filter(|(_, (by, _))| !others || by_others(by));
        let newest = counts.max_by_key(|(_, (_, leaf))| *leaf);
        newest.map(|((number, hash), (by, _))| {
            let head = AuditHead {
                number: *number,
                hash: *hash,
            };
            (head, by)
        })
    }

    /// A walk through the newest, and past all others: each is a place that the chain had.
    fn walk(&self, node: u64) -> AuditWalk {
        let newest = self.newest(node).map(|(head, _)| head);
        let mut walk = newest.map_or_else(AuditWalk::anywhere, AuditWalk::through);
        for (number, hash) in self.places.keys() {
            let head = AuditHead {
                number: *number,
                hash: *hash,
            };
            if Some(head) != newest {
                walk = walk.and_past(head);
            }
        }
        walk
    }
}

async fn verify(settings: &Settings, folder: &Path, accept: bool) -> Result<Outcome, Failed> {
    let (mut rows, mut code) = (Vec::new(), 0);
    let mut served = BTreeSet::new();
    let all = settings.admin()?;
    let registry = settings.registry()?;
    let asked = health::ask(&all, false).await;
    for endpoint in all.endpoints() {
        let (admin, node) = match proven(settings, endpoint).await {
            Ok(proven) => proven,
            // One node that is down hides nothing of the others.
            Err(failed) if failed.code == exit::NOT_SERVED => {
                rows.push(not_asked(endpoint, &failed));
                continue;
            }
            Err(failed) => return Err(failed),
        };
        served.insert(node);
        for chain in Chain::ALL {
            let said = asked.iter().filter_map(health::Asked::status);
            let said = said.map(|one| (one.node, one.audit_anchors.as_slice()));
            let entered = Entered::of(node, chain, said);
            let path = folder.join(format!("{registry}-{node}-{}", chain.word()));
            // Its records are not synced: after a power cut the last of them are gone, and nobody did it.
            let remembers = chain != Chain::Denied;
            let kept = if remembers { kept(&path)? } else { None };
            let walk = entered.walk(node);
            let walk = kept.map_or(walk.clone(), |kept| walk.and_through(kept));
            let mut followed = follow(&admin, endpoint, chain, 0, walk, |_, _| ()).await?;
            if accept && kept.is_some() && followed.broken.is_some() {
                // Whoever looked at it goes on from where it stands, if the log says nothing else.
                followed =
                    follow(&admin, endpoint, chain, 0, entered.walk(node), |_, _| ()).await?;
            }
            match (&followed.broken, followed.last) {
                (None, Some(head)) if remembers => keep(&path, head)?,
                (Some(AuditBreak::Gone { .. }), Some(head)) if accept => keep(&path, head)?,
                (Some(AuditBreak::Gone { .. }), _) if code == 0 => code = exit::NOT_CERTAIN,
                (Some(AuditBreak::Gone { .. }), _) | (None, _) => {}
                (Some(_), _) => code = exit::INVALID,
            }
            let mut row = followed.row(endpoint, chain.word());
            let newest = entered.newest(node);
            row["in_log"] =
                newest.map_or(Value::Null, |(place, _)| place.number.to_string().into());
            row["in_log_by"] = newest.map_or(Value::Null, |(_, by)| {
                by.iter().map(u64::to_string).collect()
            });
            row["seen_before"] = kept.map_or(Value::Null, |kept| kept.number.to_string().into());
            rows.push(row);
        }
    }
    let silent: Vec<Value> = rows
        .iter()
        .filter(|row| row["state"] == NOT_ASKED)
        .cloned()
        .collect();
    match silent.len() {
        0 => {}
        count if count == rows.len() => return Err(nobody_asked(&silent)),
        // What was found weighs more than what could not be looked at.
        _ if code == 0 || code == exit::NOT_CERTAIN => code = exit::NOT_SERVED,
        _ => {}
    }
    // Whose endpoint did not answer may be any of those that are not served.
    if silent.is_empty() {
        let unserved = unserved(folder, &registry.to_string(), &served, accept)?;
        if !unserved.is_empty() && !accept && code == 0 {
            code = exit::NOT_CERTAIN;
        }
        rows.extend(unserved);
    }
    Ok(Outcome {
        value: Value::Array(rows),
        code,
    })
}

/// Chains that were followed here before, of nodes that none of the endpoints is: nobody serves them any more, and that they end is to
/// be said once. Accepted, the place is kept under another name.
fn unserved(
    folder: &Path,
    registry: &str,
    served: &BTreeSet<u64>,
    accept: bool,
) -> Result<Vec<Value>, Failed> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut places: Vec<(u64, String, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let words: Vec<&str> = name.unwrap_or_default().split('-').collect();
        let [of, node, chain] = words[..] else {
            continue;
        };
        let is_chain = Chain::ALL.iter().any(|known| known.word() == chain);
        match node.parse::<u64>() {
            Ok(node) if of == registry && is_chain && !served.contains(&node) => {
                places.push((node, chain.to_owned(), path));
            }
            _ => {}
        }
    }
    places.sort();
    let mut rows = Vec::new();
    for (node, chain, path) in places {
        let kept = kept(&path)?;
        if accept {
            let ended = path.with_extension("ended");
            std::fs::rename(&path, &ended).map_err(|error| local(&path, error))?;
        }
        rows.push(json!({
            "node": format!("node {node}"),
            "chain": chain,
            "state": if accept { "ENDED" } else { "NOT_SERVED" },
            "why": "it was followed here before, and no endpoint that was asked is of this node: was it replaced, or is it left out? What it noted lies in its \
                    directory and in exports; --accept says that it has ended",
            "seen_before": kept.map(|kept| kept.number.to_string()),
        }));
    }
    Ok(rows)
}

/// Where a chain of a node stood when that was entered in the log.
fn place_of(anchor: &AuditAnchor, chain: Chain) -> Option<AuditHead> {
    let found = anchor.chains.iter().find(|one| one.chain == chain.word())?;
    let hash: [u8; 32] = found.hash.as_ref().try_into().ok()?;
    (found.number > 0).then_some(AuditHead {
        number: found.number,
        hash: Digest(hash),
    })
}

/// Where a chain stood when it was followed last.
fn kept(path: &Path) -> Result<Option<AuditHead>, Failed> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failed::local(format!("{}: {error}", path.display()))),
    };
    let head = text.split_once(' ').and_then(|(number, hash)| {
        Some(AuditHead {
            number: number.parse().ok()?,
            hash: Digest::parse(hash.trim()).ok()?,
        })
    });
    let unreadable = || Failed::unreadable(format!("{}: not a place of a chain", path.display()));
    head.ok_or_else(unreadable).map(Some)
}

fn keep(path: &Path, head: AuditHead) -> Result<(), Failed> {
    let local = |error: std::io::Error| Failed::local(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(local)?;
    }
    std::fs::write(path, format!("{} {}\n", head.number, head.hash)).map_err(local)
}

/// The path of a file without the number that a node gave it: files of one chain have it in common.
fn chain_of(path: &Path) -> Option<String> {
    let name = path.to_str()?.strip_suffix(".log")?;
    let (chain, number) = name.rsplit_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| chain.to_owned())
}

/// What a file cannot show of itself: once, an export without its last record was `ok`, and nothing else was said.
const NOT_HELD_TO: &str = "the log: records taken off its end are not missed (carnet audit verify without files asks the nodes)";

/// Files as one chain each, unless one begins where the one before it ends, or is named as one of the same chain.
/// The longest line of an audit: a record, with its number and its hash.
const RECORD_BYTES_MAX: usize = AUDIT_TEXT_BYTES_MAX + 256;

fn verify_files(files: &[PathBuf]) -> Result<Outcome, Failed> {
    let mut rows = Vec::new();
    let mut code = 0;
    let mut before: Option<AuditHead> = None;
    let mut last_of: BTreeMap<String, AuditHead> = BTreeMap::new();
    for path in files {
        let chain = chain_of(path);
        let mut followed = Followed::default();
        let mut walk: Option<AuditWalk> = None;
        // A node's folder has files of any size: one line is in memory at a time.
        each_line(path, RECORD_BYTES_MAX, |line| {
            let walk = walk.get_or_insert_with(|| {
                let first = line.split(' ').next();
                let first = first.and_then(|number| number.parse::<u64>().ok());
                let follows = before.filter(|head| head.number.checked_add(1) == first);
                // A file of a chain that does not follow the one before it: one between them is missing.
                let follows = follows.or_else(|| last_of.get(chain.as_ref()?).copied());
                follows.map_or_else(AuditWalk::anywhere, AuditWalk::after)
            });
            followed.take(walk, [line], |_, _| ());
            followed.broken.is_none()
        })?;
        followed.end(walk.unwrap_or_else(AuditWalk::anywhere));
        before = followed.last;
        if let (Some(chain), Some(last)) = (chain, followed.last) {
            last_of.insert(chain, last);
        }
        if followed.broken.is_some() {
            code = exit::INVALID;
        }
        let mut row = followed.row(&path.display().to_string(), "");
        row["not_held_to"] = NOT_HELD_TO.into();
        rows.push(row);
    }
    Ok(Outcome {
        value: Value::Array(rows),
        code,
    })
}

#[cfg(test)]
mod tests {
    use carnet_client::admin::AuditStatus;
    use carnet_domain::log::audit::next_line;

    use super::*;

    fn chain(count: u64) -> String {
        let mut head = AuditHead::default();
        (0..count)
            .map(|number| {
                let text = format!("{{\"who\":\"anna\",\"about\":\"{number}\"}}");
                let (line, next) = next_line(&head, &text).expect("not the last");
                head = next;
                line
            })
            .collect()
    }

    fn states(outcome: &Outcome) -> Vec<&str> {
        let rows = outcome.value.as_array().expect("rows");
        rows.iter()
            .filter_map(|row| row["state"].as_str())
            .collect()
    }

    /// Once, a chain that was followed until yesterday was simply not in the table after its node was replaced.
    #[test]
    fn a_chain_that_nobody_serves_any_more_is_said_to_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str| {
            let place = format!("7 {}\n", Digest([7; 32]));
            std::fs::write(folder.path().join(name), place).expect("written");
        };
        for name in [
            "86-1-acts",
            "86-3-acts",
            "86-3-reads",
            "49-3-acts",
            "86-3-else",
        ] {
            write(name);
        }
        let served = BTreeSet::from([1, 2]);
        let rows = |accept| unserved(folder.path(), "86", &served, accept).expect("read");
        let said: Vec<(String, String)> = rows(false)
            .iter()
            .map(|row| {
                let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
                (text("node"), text("chain"))
            })
            .collect();
        let expected = ["acts", "reads"].map(|chain| ("node 3".to_owned(), chain.to_owned()));
        assert_eq!(said, expected);
        assert_eq!(rows(false)[0]["seen_before"], "7");
        assert_eq!(rows(true).len(), 2);
        assert!(rows(false).is_empty(), "accepted once");
    }

    #[test]
    fn a_file_that_was_tampered_with_is_broken_and_ends_with_4() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let whole = chain(6);
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let first = write("first", &lines[..3].concat());
        let second = write("second", &lines[3..].concat());
        let good = verify_files(&[first.clone(), second.clone()]).expect("read");
        for row in good.value.as_array().expect("rows") {
            let text = row["not_held_to"].as_str().unwrap_or_default();
            assert!(text.contains("off its end"), "{row}");
        }
        assert_eq!((states(&good), good.code), (vec!["ok", "ok"], 0));
        // The second is of another history: alone it is whole, behind the first it is not.
        let anew = chain(7).replace("\"0\"", "\"x\"");
        let broken = verify_files(&[write("anew", &anew)]).expect("read");
        assert_eq!((states(&broken), broken.code), (vec!["BROKEN"], 4));
        let mut other = AuditHead::default();
        let other: String = (0..6)
            .map(|_| {
                let (line, next) = next_line(&other, "{}").expect("not the last");
                other = next;
                line
            })
            .collect();
        let glued = write(
            "glued",
            &other.split_inclusive('\n').skip(3).collect::<String>(),
        );
        let alone = verify_files(std::slice::from_ref(&glued)).expect("read");
        assert_eq!(alone.code, 0);
        let behind = verify_files(&[first, glued]).expect("read");
        assert_eq!((states(&behind), behind.code), (vec!["ok", "BROKEN"], 4));
        let why = behind.value[1]["why"].as_str().expect("why");
        assert_eq!(why, "record 4 does not follow the one before it");
    }

    #[test]
    fn where_a_chain_stood_is_kept_and_a_spoilt_note_is_not_taken_for_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("below/head");
        assert_eq!(kept(&path).expect("read"), None);
        let head = AuditHead {
            number: 7,
            hash: Digest([3; 32]),
        };
        keep(&path, head).expect("written");
        assert_eq!(kept(&path).expect("read"), Some(head));
        std::fs::write(&path, "7 abc").expect("written");
        assert_eq!(kept(&path).expect_err("spoilt").code, exit::UNREADABLE);
    }

    #[test]
    fn a_query_takes_what_holds_all_that_is_wanted() {
        let record = json!({"who": "carnet://86/customs/port/anna", "about": "86-0001", "request": "7f3a-1"});
        let wanted = |who: &str, about: &str, request: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let wanted = Wanted {
                who: some(who),
                about: some(about),
                request: some(request),
            };
            wanted.takes(&record)
        };
        assert!(wanted("", "", ""));
        assert!(wanted("customs", "86-", "7f3a-1"));
        assert!(!wanted("customs", "44-", ""));
        assert!(!wanted("registrar", "", ""));
        assert!(!wanted("", "", "7f3a"));
    }

    /// Once, what a node refused and what nobody could do stood there as a hand-over that had been.
    #[test]
    fn what_came_of_an_act_stands_beside_it() {
        let line = |kind: &str, what: &str, request: &str| json!({"node": "n1", "kind": kind, "what": what, "request": request, "outcome": null});
        let rows = with_outcomes(vec![
            line("act", "change the cluster", "r1"),
            line("outcome", "refused: node 9 is not a voter", "r1"),
            line("act", "change the cluster", "r2"),
            line("outcome", "done", "r0"),
            line("start", "the node", ""),
        ]);
        let shown: Vec<(&str, &str)> = rows
            .iter()
            .map(|row| {
                let text = |key: &str| row[key].as_str().unwrap_or_default();
                (text("kind"), text("outcome"))
            })
            .collect();
        let lost = "not noted: the node ended before, or works on it";
        assert_eq!(
            shown,
            [
                ("act", "refused: node 9 is not a voter"),
                ("act", lost),
                // Its act is older than what was asked for.
                ("outcome", ""),
                ("start", ""),
            ]
        );
    }

    /// Once, a file taken out from between two others was not missed: the second was taken for another chain.
    #[test]
    fn a_file_between_two_others_is_missed() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = chain(9);
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        let write = |of: &str, first: usize, last: usize| {
            // As a node names them.
            let path = folder.path().join(format!("{of}-{first:020}.log"));
            std::fs::write(&path, lines[first - 1..last].concat()).expect("written");
            path
        };
        let [one, two, three] =
            [(1, 3), (4, 6), (7, 9)].map(|(first, last)| write("acts", first, last));
        let verified = |files: &[&PathBuf]| {
            let files: Vec<PathBuf> = files.iter().map(|file| (*file).clone()).collect();
            let found = verify_files(&files).expect("read");
            (states(&found).join(" "), found.code)
        };
        assert_eq!(verified(&[&one, &two, &three]), ("ok ok ok".into(), 0));
        assert_eq!(
            verified(&[&two, &three]),
            ("ok ok".into(), 0),
            "it let go of the oldest"
        );
        assert_eq!(
            verified(&[&one, &three]),
            ("ok BROKEN".into(), exit::INVALID)
        );
        // Another chain between them joins nothing.
        let other = write("reads", 1, 3);
        let found = verified(&[&one, &other, &three]);
        assert_eq!(found, ("ok ok BROKEN".into(), exit::INVALID));
    }

    fn lines_of(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn head_of(text: &str, number: usize) -> AuditHead {
        let mut walk = AuditWalk::anywhere();
        for line in text.lines().take(number) {
            walk.take(line).expect("whole");
        }
        walk.head().expect("a record")
    }

    fn said(node: u64, text: &str, places: &[(usize, u64)]) -> Vec<AuditAnchor> {
        let anchor = |(number, leaf): &(usize, u64)| AuditAnchor {
            node,
            chains: vec![AuditStatus {
                chain: "acts".into(),
                number: *number as u64,
                hash: head_of(text, *number).hash.0.to_vec().into(),
                ..AuditStatus::default()
            }],
            leaf: *leaf,
            ..AuditAnchor::default()
        };
        places.iter().map(anchor).collect()
    }

    /// Once, the place with the highest leaf counted, whoever said it: the node that wrote its chain anew said one of its own.
    #[test]
    fn what_the_judged_node_says_of_itself_stands_above_nobody() {
        let (whole, anew) = (chain(9), chain(12).replace("\"anna\"", "\"x\""));
        let mut head = AuditHead::default();
        let mut rewritten = String::new();
        for line in anew.lines() {
            let text = line.splitn(4, ' ').nth(3).expect("a text");
            let (line, next) = next_line(&head, text).expect("a number");
            rewritten.push_str(&line);
            head = next;
        }
        let (honest, lie) = (
            said(1, &whole, &[(4, 10), (8, 20)]),
            said(1, &rewritten, &[(12, 1 << 60)]),
        );
        let none = Vec::new();
        let walked = |by: &[(u64, &Vec<AuditAnchor>)], text: &str| {
            let said = by.iter().map(|(node, anchors)| (*node, anchors.as_slice()));
            let entered = Entered::of(1, Chain::Acts, said);
            let newest = entered.newest(1).map(|(place, _)| place.number);
            let mut followed = Followed::default();
            let mut walk = entered.walk(1);
            let lines = lines_of(text);
            followed.take(&mut walk, lines.iter().map(String::as_str), |_, _| ());
            followed.end(walk);
            (newest, followed.broken.is_none())
        };
        let others = [(2, &honest), (3, &honest)];
        let with = |own| [&[(1, own)][..], &others].concat();
        assert_eq!(walked(&with(&honest), &whole), (Some(8), true));
        for own in [&lie, &none] {
            assert_eq!(walked(&with(own), &rewritten), (Some(8), false));
        }
        // One that lags has earlier places, which are good.
        let lags = said(1, &whole, &[(4, 10)]);
        assert_eq!(walked(&[(1, &honest), (2, &lags)], &whole), (Some(4), true));
        // Whatever it enters later, the true places stay beside it.
        let both = [honest.clone(), lie.clone()].concat();
        assert!(!walked(&[(1, &both), (2, &both)], &rewritten).1);
        // A chain that let go of its oldest records goes past the places in them.
        let later: String = whole.split_inclusive('\n').skip(6).collect();
        assert_eq!(walked(&with(&honest), &later), (Some(8), true));
    }

    /// Once, each export replaced the one before, by whatever the node showed then.
    #[test]
    fn an_export_goes_on_behind_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("86-node-1-acts.log");
        let whole = chain(6);
        let lines = lines_of(&whole);
        let mut saved = Saved::open(&path).expect("none is there");
        assert_eq!(saved.last, None);
        lines[..4].iter().for_each(|line| saved.put(line));
        saved.close().expect("written");
        // As an interrupted one leaves it.
        let torn = std::fs::read_to_string(&path).expect("read") + "5 ab";
        std::fs::write(&path, torn).expect("written");
        let mut saved = Saved::open(&path).expect("whole up to there");
        assert_eq!(saved.last, Some(head_of(&whole, 4)));
        lines[4..].iter().for_each(|line| saved.put(line));
        saved.close().expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), whole);
        std::fs::write(&path, whole.replacen("\"0\"", "\"9\"", 1)).expect("written");
        assert!(Saved::open(&path).is_err(), "it is not gone on with");
    }
}
