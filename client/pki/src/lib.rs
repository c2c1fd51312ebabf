//! Makes the keys and certificates of one jurisdiction, in a directory.
//!
//! ```text
//! cluster                           the identity of the cluster, 32 hexadecimal digits: in every node's certificates
//!                                   and in the genesis
//! root/root-1.seed  root-1.crt      the root: an Ed25519 seed and its self-signed certificate (more roots: root-2, …)
//! root/root-1.pub                   its public half: by it the root is named where the roots are replaced
//! root/roots.crt                    every root certificate; this is what others pin
//! ca/<plane>.key    <plane>.crt     the authority of each plane
//! keys/log.seed     log.pub         signs checkpoints
//! keys/log-<print>.seed  .pub       a log key that is to follow: every node has it before it is used
//! keys/witness.seed witness.pub     signs cosignatures on foreign checkpoints
//! keys/passport.seed passport.crt   signs identity records; the certificate is issued by the root
//! nodes/<id>/<plane>.{crt,key}      certificate with its authority, and key, per plane
//! clients/<role>-<unit>-<name>.{crt,key}           the TLS identity on the client plane
//! clients/<role>-<unit>-<name>.admin.{crt,key}     the same on the admin plane, for whoever may ask something there
//! clients/<role>-<unit>-<name>.actor.{key,pub}     the key that signs commands: a seed, never used for TLS; while another follows it,
//!                                   `.actor.next.key` is that one and `.actor.old.pub` the one before
//! retired/log-<print>.seed  .pub     a log key that was followed by another
//! retired/<…>-<number>.crt           what `renew` replaced: its key is gone or goes on, and it can be revoked by this file
//! signed/<…>-<plane>-<print>.crt      a copy of what `sign` gave to somebody elsewhere
//! ```
//! A seed is 64 hexadecimal digits and a newline; `.key` files of TLS are PKCS #8 in PEM, of Ed25519, and on the client plane of ECDSA
//! P-256, its authority's too: below `ca/client.crt` browsers and BoringSSL's stacks find nothing that they do not speak. Every file has mode 0600 and
//! nothing is ever overwritten. Every certificate is judged by `carnet-trust` before it is written. In production the
//! `root` and `ca` folders belong offline; a development jurisdiction has one root in the same format.

mod actor_key;
mod files;
mod log_key;
mod make;
mod renew;
mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use carnet_client::keys::{
    CLUSTER_FILE, KeyFileError, public_text, read_cluster, read_roots, seed_text,
};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::rules::policy::{Permission, Query, Role, may_query};
use carnet_trust::chain::{self, ChainError};
use carnet_trust::identity::{
    CaName, ClientName, ClusterId, Identity, Label, NodeId, NodeName, PassportName, Plane,
};
use carnet_trust::roots::{Fingerprint, PinnedRoots, RootCertificate, RootError};
use rustls_pki_types::CertificateDer;

use crate::files::NewFiles;
use crate::make::{Authority, Span};

pub use crate::actor_key::{
    ActorStep, actor_key_rotated, follow_actor_key, next_actor_key, retired_actor_key,
};
pub use crate::log_key::{LogKey, follow_log_key, next_log_key, put_away_log_key};
pub use crate::renew::{Keys, Renewed, renew_authority, renew_client, renew_node, renew_passport};
pub use crate::request::{
    SignedRequest, bundle_client, bundle_node, read_request, request_client, request_node, sign,
};

/// How long before the time given certificates begin, so that a slow clock does not refuse them.
pub const BACKDATED: DurationMs = DurationMs::from_secs(3600);
/// The most days that the certificate of a passport key lasts.
const PASSPORT_DAYS_MAX: u64 = 365;
/// The most nodes or clients of one plan.
pub const PLAN_COUNT_MAX: usize = 10_000;

/// How many days each kind of certificate lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The root. Default 3650.
    pub root_days: u64,
    /// The authority of a plane. Default 1825, at most as long as the root.
    pub authority_days: u64,
    /// A node or client. Default 365, at most as long as the authority.
    pub leaf_days: u64,
    /// The passport key. Default 365; more is refused.
    pub passport_days: u64,
}

impl Default for Validity {
    fn default() -> Self {
        Self {
            root_days: 3650,
            authority_days: 1825,
            leaf_days: 365,
            passport_days: 365,
        }
    }
}

/// A host under which a node is reached: a DNS name or an address. Only third-party tools look at it; our own
/// programs verify the node's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl From<&str> for Host {
    fn from(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Dns(text.to_owned()), Self::Ip)
    }
}

/// A node to issue certificates for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its number.
    pub id: NodeId,
    /// Where it is reached.
    pub hosts: Vec<Host>,
}

/// What to make.
#[derive(Debug, Clone)]
pub struct PkiPlan {
    /// The jurisdiction.
    pub prefix: Prefix,
    /// How many root keys, 1 to 3.
    pub root_count: usize,
    /// The nodes of its cluster.
    pub nodes: Vec<NodeSpec>,
    /// People and desks.
    pub clients: Vec<ClientName>,
    /// How long everything lasts.
    pub validity: Validity,
}

impl PkiPlan {
    /// A jurisdiction with one root, and nobody yet.
    pub fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            root_count: 1,
            nodes: Vec::new(),
            clients: Vec::new(),
            validity: Validity::default(),
        }
    }

    fn judge(&self) -> Result<(), PkiError> {
        let wrong = |text: String| Err(PkiError::Plan(text));
        if !(1..=3).contains(&self.root_count) {
            return wrong(format!("{} roots, expected 1 to 3", self.root_count));
        }
        if PLAN_COUNT_MAX < self.nodes.len() || PLAN_COUNT_MAX < self.clients.len() {
            return wrong(format!("more than {PLAN_COUNT_MAX} nodes or clients"));
        }
        let ids: BTreeSet<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        if ids.len() != self.nodes.len() {
            return wrong("a node id stands twice".to_owned());
        }
        let clients: BTreeSet<&ClientName> = self.clients.iter().collect();
        if clients.len() != self.clients.len() {
            return wrong("a client stands twice".to_owned());
        }
        if let Some(foreign) = self
            .clients
            .iter()
            .find(|client| client.prefix() != self.prefix)
        {
            return wrong(format!("{foreign} is not of {}", self.prefix));
        }
        self.validity.judge()
    }
}

impl Validity {
    fn judge(&self) -> Result<(), PkiError> {
        let wrong = |text: &str| Err(PkiError::Plan(text.to_owned()));
        if self.leaf_days == 0 || self.passport_days == 0 {
            return wrong("a certificate must last at least a day");
        }
        if self.root_days < self.authority_days || self.authority_days < self.leaf_days {
            return wrong("a certificate must not outlast the one above it");
        }
        if PASSPORT_DAYS_MAX < self.passport_days || 36_500 < self.root_days {
            return wrong("a passport key lasts at most 365 days, a root at most 36500");
        }
        Ok(())
    }
}

/// What was made, to show to people and to compare out of band.
#[derive(Debug, Clone)]
pub struct PkiSummary {
    /// The jurisdiction.
    pub prefix: Prefix,
    /// The identity of its cluster, drawn just now.
    pub cluster: ClusterId,
    /// The fingerprints of its roots' keys: the same are shown beside every signature of theirs.
    pub roots: Vec<Fingerprint>,
    /// The public half of the log key.
    pub log_key: PublicKey,
    /// The public half of the passport key.
    pub passport_key: PublicKey,
    /// The command-signing keys of the clients, in the order of the plan.
    pub actors: Vec<(ClientName, PublicKey)>,
    /// How many files were written.
    pub file_count: usize,
}

/// Why keys or certificates were not made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The plan contradicts itself.
    #[error("the plan is not valid: {0}")]
    Plan(String),
    /// Something is already there.
    #[error("{} exists already; nothing was overwritten", .0.display())]
    Exists(PathBuf),
    /// The file system failed.
    #[error("cannot {act} {}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A file that must be there cannot be read, or does not hold what it must.
    #[error(transparent)]
    Read(#[from] KeyFileError),
    /// A certificate could not be encoded.
    #[error("cannot make the certificate of {name}: {fault}")]
    Make {
        /// Whose it was to be.
        name: String,
        /// Why not.
        fault: String,
    },
    /// A certificate just made would be refused by everybody.
    #[error("the certificate made would be refused")]
    Refused(#[source] ChainError),
    /// A root just made would be refused by everybody.
    #[error("the root made would be refused")]
    RefusedRoot(#[source] RootError),
    /// The operating system gave no random numbers.
    #[error("no random numbers from the operating system")]
    Random,
}

/// Makes everything of a plan in a directory that does not exist yet or is empty. The directory appears complete or
/// not at all. `now` is the time the certificates begin at (less [`BACKDATED`]).
///
/// # Errors
/// When the plan is not valid, the directory has something in it, or the file system fails.
pub fn init(directory: &Path, plan: &PkiPlan, now: TimeMs) -> Result<PkiSummary, PkiError> {
    plan.judge()?;
    let mut files = NewFiles::default();
    let days = |days| Span::new(now, days);

    let (mut roots, mut fingerprints) = (Vec::new(), Vec::new());
    for number in 1..=plan.root_count {
        let seed = make::seed()?;
        let span = days(plan.validity.root_days);
        let root = Authority::root(plan.prefix, number, &seed, span)?;
        files.add(format!("root/root-{number}.seed"), seed_text(&seed));
        files.add(format!("root/root-{number}.crt"), make::pem(&[root.der()]));
        let public = SecretKey::from_seed(&seed).public();
        files.add(format!("root/root-{number}.pub"), public_text(&public));
        fingerprints.push(Fingerprint::of_key(&public));
        roots.push(root);
    }
    files.add(
        "root/roots.crt",
        make::pem(&roots.iter().map(Authority::der).collect::<Vec<_>>()),
    );
    let root = &roots[0];
    // Drawn, not computed: another `init`, even with the same roots, makes another cluster.
    let cluster = make::cluster()?;
    files.add(CLUSTER_FILE, format!("{cluster}\n"));

    let mut authorities = Vec::new();
    for plane in Plane::ALL {
        let span = days(plan.validity.authority_days);
        let authority = Authority::plane(plan.prefix, *plane, root, span)?;
        files.add(format!("ca/{plane}.key"), authority.key().pem());
        files.add(format!("ca/{plane}.crt"), make::pem(&[authority.der()]));
        authorities.push(authority);
    }
    let issuer = Issuer {
        prefix: plan.prefix,
        cluster,
        roots: pin(&roots)?,
        authorities,
        now,
    };

    let log_key = add_pair(&mut files, "keys/log")?;
    add_pair(&mut files, "keys/witness")?;
    let passport_key = add_passport(&mut files, &issuer, root, plan.validity.passport_days)?;
    for node in &plan.nodes {
        issuer.add_node(&mut files, node, plan.validity.leaf_days)?;
    }
    let mut actors = Vec::new();
    for client in &plan.clients {
        actors.push((
            client.clone(),
            issuer.add_client(&mut files, client, plan.validity.leaf_days)?,
        ));
    }
    let file_count = files.write_new_directory(directory)?;
    Ok(PkiSummary {
        prefix: plan.prefix,
        cluster,
        roots: fingerprints,
        log_key,
        passport_key,
        actors,
        file_count,
    })
}

/// Makes the key of a root that is to follow another, in a directory that does not exist yet or is empty: `root.seed` and
/// `root.pub`. It is a root of no registry before the roots in force have stated it, and has no certificate: those of a
/// jurisdiction stay with the root that [`init`] made.
///
/// # Errors
/// When the directory has something in it, or the file system fails.
pub fn new_root(directory: &Path) -> Result<PublicKey, PkiError> {
    let mut files = NewFiles::default();
    let public = add_pair(&mut files, "root")?;
    files.write_new_directory(directory)?;
    Ok(public)
}

/// Adds a client to a directory made by [`init`] and gives the public half of its command-signing key.
///
/// # Errors
/// When one of its files exists, the authorities cannot be read, or the file system fails.
pub fn issue_client(
    directory: &Path,
    client: &ClientName,
    days: u64,
    now: TimeMs,
) -> Result<PublicKey, PkiError> {
    judge_days(days)?;
    let issuer = Issuer::open(directory, now)?;
    if client.prefix() != issuer.prefix {
        return Err(PkiError::Plan(format!(
            "{client} is not of {}",
            issuer.prefix
        )));
    }
    let mut files = NewFiles::default();
    let actor = issuer.add_client(&mut files, client, days)?;
    files.write_into(directory)?;
    Ok(actor)
}

/// Adds a node to a directory made by [`init`].
///
/// # Errors
/// When one of its files exists, the authorities cannot be read, or the file system fails.
pub fn issue_node(
    directory: &Path,
    node: &NodeSpec,
    days: u64,
    now: TimeMs,
) -> Result<(), PkiError> {
    judge_days(days)?;
    let issuer = Issuer::open(directory, now)?;
    let mut files = NewFiles::default();
    issuer.add_node(&mut files, node, days)?;
    files.write_into(directory)?;
    Ok(())
}

fn judge_days(days: u64) -> Result<(), PkiError> {
    match days {
        0 => Err(PkiError::Plan(
            "a certificate must last at least a day".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn judge_passport_days(days: u64) -> Result<(), PkiError> {
    match PASSPORT_DAYS_MAX < days {
        true => Err(PkiError::Plan(format!(
            "a passport key lasts at most {PASSPORT_DAYS_MAX} days"
        ))),
        false => Ok(()),
    }
}

/// The name of a client's files without their endings: `<role>-<unit>-<name>`.
pub fn client_stem(client: &ClientName) -> String {
    format!(
        "{}-{}-{}",
        client.role().word(),
        client.unit(),
        client.name()
    )
}

/// Its files on a plane without their endings, from the directory on.
fn stem_on(client: &ClientName, plane: Plane) -> String {
    let stem = client_stem(client);
    match plane {
        Plane::Client => format!("clients/{stem}"),
        _ => format!("clients/{stem}.{plane}"),
    }
}

/// The planes a client gets certificates for: the admin plane is for whoever may ask something there. An auditor looks with eyes of its
/// own, and a monitor needs no certificate that changes anything.
pub fn client_planes(role: Role) -> &'static [Plane] {
    let asked_there = [Query::ClusterStatus, Query::ReadAudit, Query::ClusterChange];
    let mut may = asked_there.into_iter().map(|query| may_query(role, query));
    match may.any(|permission| permission != Permission::No) {
        true => &[Plane::Client, Plane::Admin],
        false => &[Plane::Client],
    }
}

struct Issuer {
    prefix: Prefix,
    cluster: ClusterId,
    roots: PinnedRoots,
    authorities: Vec<Authority>,
    now: TimeMs,
}

impl Issuer {
    fn open(directory: &Path, now: TimeMs) -> Result<Self, PkiError> {
        let path = directory.join("root/roots.crt");
        let roots = read_roots(&path)?;
        let prefix = match roots.jurisdictions().collect::<Vec<_>>().as_slice() {
            [one] => *one,
            several => {
                let fault = format!("roots of {} jurisdictions, expected one", several.len());
                return Err(KeyFileError::Content { path, fault }.into());
            }
        };
        let authority = |plane: &Plane| {
            let ca = CaName {
                prefix,
                plane: Some(*plane),
            };
            let key = directory.join(format!("ca/{plane}.key"));
            let certificate = directory.join(format!("ca/{plane}.crt"));
            Authority::load(ca, &key, &certificate)
        };
        let authorities = Plane::ALL.iter().map(authority).collect::<Result<_, _>>()?;
        Ok(Self {
            prefix,
            cluster: read_cluster(directory)?,
            roots,
            authorities,
            now,
        })
    }

    fn authority(&self, plane: Plane) -> Result<&Authority, PkiError> {
        self.authorities
            .iter()
            .find(|authority| authority.name().plane == Some(plane))
            .ok_or_else(|| PkiError::Plan(format!("there is no authority of the {plane} plane")))
    }

    fn add_leaf(
        &self,
        files: &mut NewFiles,
        stem: &str,
        plane: Plane,
        leaf: &make::Leaf,
    ) -> Result<(), PkiError> {
        let key = make::TlsKey::draw(plane)?;
        let pem = self.leaf_pem(plane, leaf, &key)?;
        files.add(format!("{stem}.crt"), pem);
        files.add(format!("{stem}.key"), key.pem());
        Ok(())
    }

    /// A certificate with its authority.
    fn leaf_pem(
        &self,
        plane: Plane,
        leaf: &make::Leaf,
        key: &make::TlsKey,
    ) -> Result<String, PkiError> {
        let authority = self.authority(plane)?;
        authority.outlasts(leaf.span)?;
        let der = make::leaf(leaf, authority, key)?;
        let chain = [der, authority.der().clone()];
        self.judge(&chain, plane, &leaf.identity)
            .map_err(PkiError::Refused)?;
        Ok(make::pem(&[&chain[0], &chain[1]]))
    }

    /// The check on the other path: what was made must be believed by those who will see it.
    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        plane: Plane,
        identity: &Identity,
    ) -> Result<(), ChainError> {
        match identity {
            Identity::Client(_) => {
                chain::verify_client(chain, &self.roots, self.prefix, plane, self.now).map(drop)
            }
            _ => chain::verify_node(chain, &self.roots, self.prefix, plane, self.now).map(drop),
        }
    }

    fn add_node(&self, files: &mut NewFiles, node: &NodeSpec, days: u64) -> Result<(), PkiError> {
        for plane in Plane::ALL {
            let name = NodeName {
                prefix: self.prefix,
                plane: *plane,
                node: node.id,
                cluster: self.cluster,
                incarnation: None,
            };
            let leaf = make::Leaf {
                identity: Identity::Node(name),
                hosts: node.hosts.clone(),
                plane: *plane,
                span: Span::new(self.now, days),
            };
            self.add_leaf(files, &format!("nodes/{}/{plane}", node.id), *plane, &leaf)?;
        }
        Ok(())
    }

    fn add_client(
        &self,
        files: &mut NewFiles,
        client: &ClientName,
        days: u64,
    ) -> Result<PublicKey, PkiError> {
        let stem = client_stem(client);
        for plane in client_planes(client.role()) {
            let leaf = make::Leaf {
                identity: Identity::Client(client.clone()),
                hosts: Vec::new(),
                plane: *plane,
                span: Span::new(self.now, days),
            };
            self.add_leaf(files, &stem_on(client, *plane), *plane, &leaf)?;
        }
        let seed = make::seed()?;
        let actor = SecretKey::from_seed(&seed).public();
        files.add(format!("clients/{stem}.actor.key"), seed_text(&seed));
        files.add(format!("clients/{stem}.actor.pub"), public_text(&actor));
        Ok(actor)
    }
}

fn pin(roots: &[Authority]) -> Result<PinnedRoots, PkiError> {
    let mut pinned = PinnedRoots::new();
    for root in roots {
        let read = RootCertificate::from_der(root.der()).map_err(PkiError::RefusedRoot)?;
        pinned
            .pin(read.prefix(), read.fingerprint(), read)
            .map_err(PkiError::RefusedRoot)?;
    }
    Ok(pinned)
}

fn add_pair(files: &mut NewFiles, stem: &str) -> Result<PublicKey, PkiError> {
    let seed = make::seed()?;
    let public = SecretKey::from_seed(&seed).public();
    files.add(format!("{stem}.seed"), seed_text(&seed));
    files.add(format!("{stem}.pub"), public_text(&public));
    Ok(public)
}

fn add_passport(
    files: &mut NewFiles,
    issuer: &Issuer,
    root: &Authority,
    days: u64,
) -> Result<PublicKey, PkiError> {
    let name: Label = "1"
        .parse()
        .map_err(|e| PkiError::Plan(format!("passport name: {e}")))?;
    let identity = PassportName {
        prefix: issuer.prefix,
        name,
    };
    let seed = make::seed()?;
    let der = make::passport(identity, root, Span::new(issuer.now, days), &seed)?;
    let chain = [der];
    let verified = chain::verify_passport_chain(&chain, &issuer.roots, issuer.prefix, issuer.now)
        .map_err(PkiError::Refused)?;
    files.add("keys/passport.seed", seed_text(&seed));
    files.add("keys/passport.crt", make::pem(&[&chain[0]]));
    Ok(*verified.key())
}
