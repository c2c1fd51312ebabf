//! What can be judged of a node before it starts, without the network and without opening its data: everything that is
//! wrong at once, a line each.
//!
//! Nothing is kept open and nothing changed, but for a small file that is written to measure the disk and removed. A node may run
//! meanwhile: its ports are then its own. Whether others are reached is asked only on request.

use std::fmt;
use std::io::Write;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use carnet_consensus::DiskSpace;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_store::fault::StorageFault;
use carnet_store::home::{self, Owner};
use carnet_store::identity::read_retired;
use carnet_trust::identity::{NodeId, Plane};
use rustix::fs::Access;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::certificates;
use crate::clock::Clock;
use crate::compare;
use crate::config::Config;
use crate::disk::DataDisk;
use crate::exit::Exit;
use crate::keyring::{KeyRole, read_key, read_secret};
use crate::refusal;
use crate::run_error::RunError;
use crate::signer;
use crate::tls::{KeyFiles, PlaneTls, TlsError, TrustedRoots, read_roots};
use crate::told::chain;
use crate::waiting;

/// A certificate that ends within this is worth a note.
const ENDS_SOON: DurationMs = DurationMs::from_secs(30 * 86_400);
/// Syncs that are measured.
const SYNCS: usize = 8;
/// Bytes written before each.
const SYNC_BYTES: usize = 4_096;
/// For one address.
const REACH_PATIENCE: Duration = Duration::from_secs(2);
/// A file may be so much younger than the clock reads: time stamps are coarse.
const FILE_TOLERANCE: DurationMs = DurationMs::from_secs(2);

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// What keeps the node from starting, each with the exit code it would end with; in the order judged.
    pub findings: Vec<Finding>,
    /// What does not.
    pub notes: Vec<String>,
}

/// One thing that is wrong.
#[derive(Debug)]
pub struct Finding {
    /// What a start would end with.
    pub exit: Exit,
    /// What, in one line.
    pub text: String,
}

impl Report {
    /// What the check ends with: the code of the first finding.
    pub fn exit(&self) -> Exit {
        self.findings
            .first()
            .map_or(Exit::Stopped, |finding| finding.exit)
    }

    fn find(&mut self, exit: Exit, text: impl Into<String>) {
        let text = text.into().replace('\n', " ");
        self.findings.push(Finding { exit, text });
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// A line each.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { exit, text } in &self.findings {
            writeln!(f, "wrong (exit code {}): {text}", exit.code())?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        match self.findings.len() {
            0 => writeln!(f, "nothing wrong was found"),
            1 => writeln!(f, "1 thing is wrong"),
            count => writeln!(f, "{count} things are wrong"),
        }
    }
}

/// Judges the configuration in a file and all that it names.
pub fn judge(path: &Path, clock: &Arc<dyn Clock>) -> Report {
    let mut report = Report::default();
    match Config::read(path) {
        Err(error) => report.find(Exit::Usage, chain(&error)),
        Ok((config, faults)) => {
            for fault in faults {
                report.find(Exit::Usage, format!("{}: {fault}", path.display()));
            }
            report.keys(&config);
            let owner = report.certificates(&config, clock);
            let holder = holder(&config.node.data_dir);
            report.ports(&config, holder);
            report.data(&config, owner, holder);
            report.disk(&config);
            report.syncs(&config);
            report.clock(&config, clock.wall());
        }
    }
    report
}

impl Report {
    fn keys(&mut self, config: &Config) {
        let pki = config.pki();
        let mut seen: Vec<(KeyRole, _)> = Vec::new();
        for role in KeyRole::ALL {
            let path = pki.seed(role.word());
            match read_key(&path).map(|key| key.public()) {
                Ok(public) => {
                    if let Some((first, _)) = seen.iter().find(|(_, other)| *other == public) {
                        let path = path.display();
                        let text = format!(
                            "{path} holds the {first} key too: one key never has two roles"
                        );
                        self.find(Exit::Keys, text);
                    }
                    seen.push((role, public));
                }
                Err(error) => self.find(Exit::Keys, chain(&error)),
            }
        }
        // Those that are to follow the log key: one that cannot be read stops a start too.
        for path in pki.other_log_seeds().unwrap_or_default() {
            if let Err(error) = read_key(&path) {
                self.find(Exit::Keys, chain(&error));
            }
        }
        for plane in Plane::ALL {
            if let Err(error) = read_secret(&pki.key(*plane)) {
                self.find(Exit::Keys, chain(&error));
            }
        }
        let passport = pki.passport_certificate();
        let read = CertificateDer::pem_file_iter(&passport)
            .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>());
        match read {
            Ok(certificates) if certificates.is_empty() => {
                let text = format!("{}: there is no certificate in it", passport.display());
                self.find(Exit::Keys, text);
            }
            Ok(_) => {}
            Err(error) => {
                let text = format!("{}: cannot be read as PEM: {error}", passport.display());
                self.find(Exit::Keys, text);
            }
        }
    }

    /// Whom the data must belong to, if the certificates of all planes say the same.
    fn certificates(&mut self, config: &Config, clock: &Arc<dyn Clock>) -> Option<Owner> {
        let pki = config.pki();
        let roots = match read_roots(&pki.roots()) {
            Ok(roots) => Arc::new(TrustedRoots::new(roots)),
            Err(error) => {
                self.find(Exit::Keys, chain(&error));
                return None;
            }
        };
        // The setting was judged already.
        let node = NodeId::new(config.node.id)?;
        let mut planes: Vec<PlaneTls> = Vec::new();
        for plane in Plane::ALL {
            let files = KeyFiles {
                certificate: pki.certificate(*plane),
                key: pki.key(*plane),
            };
            let prefix = config.node.prefix;
            let (roots, clock) = (Arc::clone(&roots), Arc::clone(clock));
            match PlaneTls::load(prefix, node, *plane, &files, roots, clock) {
                Ok(tls) => planes.push(tls),
                // That the key cannot be read stands there already.
                Err(TlsError::File { path, .. }) if path == files.key => {}
                Err(error) => {
                    let path = files.certificate.display();
                    self.find(Exit::Keys, format!("{path}: {}", chain(&error)));
                }
            }
        }
        let now = clock.wall();
        for held in certificates::held(&pki, &[]) {
            let (what, path) = (held.what, held.path.display());
            match held.not_after {
                Some(end) if end < now => {
                    self.note(format!(
                        "the {what} certificate has ended, at {end}: {path}"
                    ));
                }
                Some(end) if end < now.saturating_add(ENDS_SOON) => {
                    self.note(format!("the {what} certificate ends at {end}: {path}"));
                }
                // What cannot be read stands there already.
                Some(_) | None => {}
            }
        }
        let expected = planes.first()?.life();
        for tls in planes.iter().skip(1).filter(|tls| tls.life() != expected) {
            let error = TlsError::OtherCluster {
                plane: tls.plane(),
                expected,
                found: tls.life(),
            };
            self.find(Exit::Keys, chain(&error));
        }
        Some(Owner {
            cluster: expected.cluster.bytes(),
            node: config.node.id,
            incarnation: expected.incarnation,
        })
    }

    fn ports(&mut self, config: &Config, holder: Option<u32>) {
        let sockets = config.listen.sockets();
        for (key, socket) in sockets.iter().filter(|(_, socket)| socket.port() != 0) {
            match TcpListener::bind(socket) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && holder.is_some() => {
                }
                Err(error) => {
                    self.find(Exit::Failed, format!("{key} = {socket}: {error}"));
                }
            }
        }
    }

    fn data(&mut self, config: &Config, owner: Option<Owner>, holder: Option<u32>) {
        let data = &config.node.data_dir;
        if let Some(process) = holder {
            self.note(format!(
                "process {process} runs on {}: its ports are not judged",
                data.display()
            ));
        }
        let writable =
            |folder: &Path| rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK);
        let nearest = nearest(data);
        if let Err(error) = writable(&nearest) {
            let text = format!("{} cannot be written: {error}", nearest.display());
            self.find(Exit::Failed, text);
        }
        if is_new(data) {
            self.note(format!(
                "{} holds nothing yet: a new node is made by `carnetd init`",
                data.display()
            ));
            return;
        }
        let mut judged = |outcome: Result<(), RunError>| {
            if let Err(error) = outcome {
                self.find(error.exit(), chain(&error));
            }
        };
        let storage = |outcome: Result<(), StorageFault>| outcome.map_err(RunError::from);
        judged(compare::refuse_diverged(data));
        judged(storage(refusal::judge(data)));
        judged(storage(read_retired(data).map(drop)));
        if let Some(owner) = owner {
            judged(storage(home::look(data, owner).map(drop)));
            judged(storage(signer::look(data, owner.cluster)));
        }
    }

    fn disk(&mut self, config: &Config) {
        match DataDisk::new(config)
            .at(&nearest(&config.node.data_dir))
            .read()
        {
            Ok(space) if space.is_low() => {
                let text = format!("{space}: the node would take no writes");
                self.find(Exit::Failed, text);
            }
            Ok(_) => {}
            Err(error) => self.find(Exit::Failed, error),
        }
    }

    /// A disk whose syncs take as long as an election is a leader that is deposed whenever it is busy.
    fn syncs(&mut self, config: &Config) {
        let folder = &config.node.data_dir;
        if !folder.is_dir() {
            return;
        }
        match slowest_sync(folder) {
            Ok(took) => self.judge_sync(took, config),
            // That it cannot be written stands there already, or the disk has no room for a page.
            Err(error) => self.note(format!(
                "no sync was measured on {}: {error}",
                folder.display()
            )),
        }
    }

    fn judge_sync(&mut self, took: Duration, config: &Config) {
        let [election, _] = config.raft.election();
        let ms = took.as_millis();
        if took * 4 > election {
            let least = election.as_millis();
            self.note(format!(
                "a sync of the disk took {ms} ms: with raft.election_ms from {least} ms on, a busy leader may be deposed; use a faster \
                 disk, or raise the range on every node"
            ));
        }
    }

    /// Tries the addresses that the data directory was made with: a connection, and nothing is said.
    pub fn network(&mut self, path: &Path) {
        let Ok((config, _)) = Config::read(path) else {
            return;
        };
        let asked = waiting::addresses(&config.node.data_dir);
        if asked.is_empty() {
            let text = "no addresses are known to try: `carnetd init --join ID=HOST:PORT` gives them; of a running cluster \
                        `carnet cluster status` says who does not answer";
            self.note(text);
        }
        for (node, address) in asked.iter().filter(|(node, _)| **node != config.node.id) {
            if let Err(error) = reach(address) {
                self.note(format!("node {node} is not reached at {address}: {error}"));
            }
        }
    }

    /// A clock that reads earlier than what was written on this disk is wrong, whatever the right time is.
    fn clock(&mut self, config: &Config, now: TimeMs) {
        let Some((path, written)) = newest(&config.node.data_dir) else {
            return;
        };
        if now.saturating_add(FILE_TOLERANCE) < written {
            let text = format!(
                "the clock reads {now}, and {} was written at {written}: set the clock",
                path.display()
            );
            self.find(Exit::Failed, text);
        }
    }
}

fn slowest_sync(folder: &Path) -> std::io::Result<Duration> {
    let path = folder.join(format!(".sync-{}", std::process::id()));
    let measured = (|| {
        let mut file = std::fs::File::create_new(&path)?;
        let mut slowest = Duration::ZERO;
        for _ in 0..SYNCS {
            file.write_all(&[0; SYNC_BYTES])?;
            let begun = Instant::now();
            file.sync_data()?;
            slowest = slowest.max(begun.elapsed());
        }
        Ok(slowest)
    })();
    // A file that could not be made is not there either.
    let _ = std::fs::remove_file(&path);
    measured
}

/// Whether anybody listens at one of the addresses of a name.
fn reach(address: &str) -> Result<(), String> {
    let found = address
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    let mut why = "the name has no address".to_owned();
    for socket in found {
        match TcpStream::connect_timeout(&socket, REACH_PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

fn is_new(data: &Path) -> bool {
    match std::fs::read_dir(data) {
        Ok(mut there) => there.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// The folder itself, or the first above it that is there: `carnetd init` makes those between.
fn nearest(folder: &Path) -> PathBuf {
    let mut there = folder;
    while !there.exists() {
        match there.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => there = parent,
            _ => return PathBuf::from("."),
        }
    }
    there.to_owned()
}

/// The newest file of the log and the state, and when it was written.
fn newest(data: &Path) -> Option<(PathBuf, TimeMs)> {
    let folders = [data.to_owned(), data.join("log"), data.join("state")];
    let files = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(Result::ok);
    files
        .filter_map(|file| Some((file.path(), written(file.metadata().ok()?.modified().ok()?))))
        .max_by_key(|(_, written)| *written)
}

fn written(at: SystemTime) -> TimeMs {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeMs::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The process that has the data open: it holds a lock on a file of the state, which Linux lists by device and inode.
fn holder(data: &Path) -> Option<u32> {
    let lock = std::fs::metadata(data.join("state/LOCK")).ok()?;
    let (device, inode) = (lock.dev(), lock.ino());
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_, _, _, _, process, at, ..] if *at == place => process.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests;
