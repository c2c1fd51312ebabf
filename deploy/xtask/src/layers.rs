//! Who may depend on whom, checked over the *direct* dependencies that `cargo metadata` lists.
//!
//! Two tables say it all: [`ROOMS`] gives each crate its place and what it may import of ours, [`HEAVY`] gives each
//! heavy library its rooms. A pure crate has a closed list besides: what is not on it may not come in. The table is the
//! one of the design's overview; a change here is a change of the architecture and belongs into ARCHITECTURE.md too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// One crate of ours: its place, and what it may import of ours.
pub struct Room {
    /// Package name.
    pub package: &'static str,
    /// Folder below the root of the workspace.
    pub folder: &'static str,
    /// Packages of ours that it may use.
    pub ours: &'static [&'static str],
    /// Packages of ours that its tests may use besides.
    pub ours_in_tests: &'static [&'static str],
    /// For a pure crate, the only libraries that may come in; tests are not bound by it.
    pub closed: Option<&'static [&'static str]>,
}

/// One heavy library and the rooms that may name it.
pub struct Heavy {
    /// Package name, or the beginning of several names followed by `*`.
    pub library: &'static str,
    /// Packages of ours that may use it.
    pub rooms: &'static [&'static str],
    /// Packages of ours whose tests may use it besides.
    pub rooms_in_tests: &'static [&'static str],
}

const DOMAIN: &str = "carnet-domain";
const WIRE: &str = "carnet-wire";
const STORE: &str = "carnet-store";
const CONSENSUS: &str = "carnet-consensus";
const TRUST: &str = "carnet-trust";
const PEERING: &str = "carnet-peering";
const CARNETD: &str = "carnetd";
const CLIENT: &str = "carnet-client";
const CLI: &str = "carnet-cli";
const PKI: &str = "carnet-pki";
const XTASK: &str = "carnet-xtask";
const MODEL: &str = "carnet-model";
const SIM: &str = "carnet-sim";
const KIT: &str = "carnet-kit";
const HOSTILE: &str = "carnet-hostile";
const CLUSTER: &str = "carnet-cluster";

/// Everything but the command line and the harness of real processes.
const SERVER_AND_KIT: &[&str] = &[DOMAIN, WIRE, STORE, CONSENSUS, TRUST, PEERING, CARNETD, KIT];

/// The rooms, in the order of the overview.
pub const ROOMS: &[Room] = &[
    Room {
        package: DOMAIN,
        folder: "proto/domain",
        ours: &[],
        ours_in_tests: &[KIT],
        closed: Some(&[
            "sha2",
            "chacha20",
            "ed25519-dalek",
            "curve25519-dalek",
            "aws-lc-rs",
            "coset",
            "base64",
            "hex",
            "subtle",
            "zeroize",
            "thiserror",
        ]),
    },
    room(WIRE, "proto/wire", &[DOMAIN], &[]),
    room(STORE, "node/store", &[DOMAIN], &[KIT]),
    room(CONSENSUS, "node/consensus", &[DOMAIN, STORE, WIRE], &[]),
    Room {
        package: TRUST,
        folder: "federation/trust",
        ours: &[DOMAIN],
        ours_in_tests: &[KIT],
        closed: Some(&[
            "base64",
            "x509-parser",
            "rustls-webpki",
            "rustls-pki-types",
            "thiserror",
        ]),
    },
    room(
        PEERING,
        "federation/peering",
        &[DOMAIN, WIRE, TRUST],
        &[KIT],
    ),
    room(
        CARNETD,
        "node/carnetd",
        &[DOMAIN, WIRE, STORE, CONSENSUS, TRUST, PEERING],
        &[PKI, KIT],
    ),
    room(CLIENT, "client/sdk", &[DOMAIN, WIRE, TRUST], &[PKI, KIT]),
    room(PKI, "client/pki", &[CLIENT, DOMAIN, TRUST], &[]),
    room(
        CLI,
        "client/cli",
        &[CLIENT, PKI, DOMAIN, WIRE, TRUST],
        &[KIT],
    ),
    room(KIT, "jepsen-like-tests/kit", &[DOMAIN, TRUST], &[]),
    room(MODEL, "jepsen-like-tests/model", SERVER_AND_KIT, &[]),
    room(SIM, "jepsen-like-tests/sim", SERVER_AND_KIT, &[]),
    room(
        HOSTILE,
        "jepsen-like-tests/hostile",
        &[DOMAIN, TRUST, STORE, KIT],
        &[],
    ),
    room(
        CLUSTER,
        "jepsen-like-tests/cluster",
        &[DOMAIN, WIRE, CLIENT],
        &[KIT, HOSTILE],
    ),
    room(XTASK, "deploy/xtask", &[], &[]),
];

/// The heavy libraries. One that stands here and is used elsewhere is a finding.
pub const HEAVY: &[Heavy] = &[
    // The wire.
    heavy("prost*", &[WIRE], &[]),
    heavy("protox*", &[WIRE], &[]),
    heavy("tonic-prost*", &[WIRE], &[]),
    heavy("tonic-reflection", &[CARNETD], &[]),
    heavy("tonic-health", &[CARNETD], &[CLUSTER, SIM]),
    heavy(
        "tonic*",
        &[WIRE, CONSENSUS, PEERING, CARNETD, CLIENT, CLI, SIM, CLUSTER],
        &[],
    ),
    heavy("axum*", &[CARNETD], &[]),
    heavy("utoipa*", &[CARNETD], &[]),
    heavy("prometheus-client", &[CARNETD], &[]),
    // Storage and consensus.
    heavy("rocksdb", &[STORE], &[]),
    heavy("librocksdb-sys", &[STORE], &[]),
    heavy("raft-log", &[STORE], &[]),
    heavy("xxhash-rust", &[STORE], &[]),
    heavy("openraft-rt*", &[CONSENSUS, SIM], &[]),
    heavy("openraft*", &[CONSENSUS], &[]),
    // Certificates and keys.
    heavy("x509-parser", &[TRUST], &[CARNETD]),
    heavy("rustls-webpki", &[TRUST], &[]),
    heavy("rcgen", &[PKI, SIM], &[TRUST, CARNETD, PEERING, CONSENSUS]),
    heavy("rustls", &[CARNETD, CLIENT, SIM], &[CLUSTER, PKI]),
    heavy("tokio-rustls", &[CARNETD, CLIENT, SIM], &[CLUSTER]),
    heavy("curve25519-dalek", &[DOMAIN], &[]),
    heavy("coset", &[DOMAIN], &[]),
    // The outside world.
    heavy(
        "tokio*",
        &[
            STORE, CONSENSUS, PEERING, CARNETD, CLIENT, CLI, SIM, CLUSTER,
        ],
        &[],
    ),
    heavy(
        "rand",
        &[CARNETD, CLIENT, CLI, SIM, CLUSTER],
        &[STORE, CONSENSUS, MODEL],
    ),
    heavy("rayon", &[CONSENSUS, CARNETD], &[]),
    heavy("nix", &[CLUSTER], &[]),
    heavy("rustix", &[CARNETD, CLUSTER], &[]),
    heavy("libc", &[], &[]),
    // People.
    heavy(
        "clap*",
        &[CARNETD, CLI, XTASK, MODEL, SIM, HOSTILE, CLUSTER],
        &[],
    ),
    heavy("toml", &[CLI, CARNETD], &[CLUSTER]),
    heavy("indicatif", &[CLI], &[]),
    heavy("terminal_size", &[CLI], &[]),
    heavy("etcd-client", &[CLI], &[]),
    heavy("hdrhistogram", &[CLI], &[CLUSTER]),
    heavy("chrono", &[CLI], &[]),
    heavy("csv", &[CLI], &[]),
    heavy("encoding_rs", &[CLI], &[]),
    heavy(
        "serde_json",
        &[CARNETD, CLIENT, CLI, SIM, CLUSTER],
        &[DOMAIN, WIRE, TRUST],
    ),
    heavy(
        "tracing-subscriber",
        &[CARNETD, CLI, SIM, CLUSTER],
        &[CONSENSUS],
    ),
    // Tests of the whole.
    heavy("stateright", &[MODEL], &[]),
    heavy("turmoil", &[SIM], &[]),
    heavy("todc-utils", &[CLUSTER, SIM], &[]),
    heavy(
        "proptest",
        &[MODEL, SIM],
        &[
            DOMAIN, WIRE, STORE, CONSENSUS, TRUST, PEERING, CARNETD, CLIENT, CLUSTER,
        ],
    ),
    heavy("cargo_metadata", &[XTASK], &[]),
];

/// One direct dependency of a crate of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The package of ours that asks for it.
    pub from: String,
    /// The package asked for.
    pub to: String,
    /// Where it may be used.
    pub reach: Reach,
}

/// Where a dependency may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// In the library and the programs, or in a build script.
    Product,
    /// In tests only.
    Tests,
}

/// What the checks need to know of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workspace {
    /// Package name and folder of each member, the folder relative to the root.
    pub members: BTreeMap<String, String>,
    /// All direct dependencies of all members.
    pub edges: Vec<Edge>,
}

/// One departure from the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A member that no row of [`ROOMS`] names.
    RoomUnknown(String),
    /// A row of [`ROOMS`] without a member in its folder.
    RoomMissing(String),
    /// An import of ours that the table does not allow.
    Ours(Edge),
    /// A heavy library outside its rooms.
    Heavy(Edge),
    /// A library that is not on the closed list of a pure crate.
    Closed(Edge),
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoomUnknown(package) => {
                write!(out, "{package}: no room of this name; add a row to ROOMS")
            }
            Self::RoomMissing(package) => write!(out, "{package}: its folder holds no such crate"),
            Self::Ours(edge) => write!(out, "{edge}: the layers do not allow it"),
            Self::Heavy(edge) => write!(out, "{edge}: this library has other rooms"),
            Self::Closed(edge) => write!(out, "{edge}: not on the closed list of a pure crate"),
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reach = match self.reach {
            Reach::Product => "",
            Reach::Tests => " (tests)",
        };
        write!(out, "{} -> {}{reach}", self.from, self.to)
    }
}

/// Every departure of `workspace` from the tables, in the order found.
pub fn check(workspace: &Workspace) -> Vec<Finding> {
    let unknown = workspace
        .members
        .keys()
        .filter(|package| room_of(package).is_none())
        .map(|package| Finding::RoomUnknown(package.clone()));
    let missing = ROOMS
        .iter()
        .filter(|room| {
            workspace
                .members
                .get(room.package)
                .is_none_or(|folder| folder != room.folder)
        })
        .map(|room| Finding::RoomMissing(room.package.to_owned()));
    let edges = workspace.edges.iter().filter_map(judge);
    unknown.chain(missing).chain(edges).collect()
}

/// Reads the members and the direct dependencies of the workspace around `folder`. Asks no registry.
///
/// # Errors
/// When `cargo metadata` fails, or a member lies outside the root.
pub fn read(folder: &Path) -> Result<Workspace, Box<dyn std::error::Error>> {
    let metadata = MetadataCommand::new()
        .current_dir(folder)
        .no_deps()
        .exec()?;
    let mut workspace = Workspace::default();
    for package in &metadata.packages {
        let manifest = package
            .manifest_path
            .strip_prefix(&metadata.workspace_root)?;
        let place = manifest
            .parent()
            .map(ToString::to_string)
            .unwrap_or_default();
        workspace.members.insert(package.name.to_string(), place);
        for dependency in &package.dependencies {
            let reach = match dependency.kind {
                DependencyKind::Development => Reach::Tests,
                _ => Reach::Product,
            };
            workspace.edges.push(Edge {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                reach,
            });
        }
    }
    workspace.edges.sort();
    Ok(workspace)
}

/// The libraries, with their versions, that a product which links `package` compiles, `package` itself among them, on this kind of machine.
/// Asks no registry.
///
/// # Errors
/// When `cargo tree` fails.
pub fn below(folder: &Path, package: &str) -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let listed = Command::new(cargo)
        .current_dir(folder)
        .args(["tree", "--locked", "--offline", "-e", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "-p", package])
        // Whoever links it resolves its features alone, whatever this build shares.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()?;
    if !listed.status.success() {
        return Err(String::from_utf8_lossy(&listed.stderr).into());
    }
    let text = String::from_utf8(listed.stdout)?;
    Ok(text.lines().map(name_and_version).collect())
}

/// `tonic v0.14.9 (…)` as `tonic v0.14.9`.
fn name_and_version(line: &str) -> String {
    line.split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Judges one edge; edges of unknown members are reported by their member.
fn judge(edge: &Edge) -> Option<Finding> {
    let room = room_of(&edge.from)?;
    if edge.from == edge.to && edge.reach == Reach::Tests {
        return None; // A crate that switches a feature of its own on for its tests.
    }
    if room_of(&edge.to).is_some() {
        let allowed = allows(room.ours, room.ours_in_tests, &edge.to, edge.reach);
        return (!allowed).then(|| Finding::Ours(edge.clone()));
    }
    if edge.reach == Reach::Product
        && room
            .closed
            .is_some_and(|closed| !closed.contains(&edge.to.as_str()))
    {
        return Some(Finding::Closed(edge.clone()));
    }
    let heavy = HEAVY.iter().find(|heavy| names(heavy.library, &edge.to))?;
    let allowed = allows(heavy.rooms, heavy.rooms_in_tests, &edge.from, edge.reach);
    (!allowed).then(|| Finding::Heavy(edge.clone()))
}

fn allows(product: &[&str], tests: &[&str], package: &str, reach: Reach) -> bool {
    product.contains(&package) || (reach == Reach::Tests && tests.contains(&package))
}

/// Whether `pattern` (a name, or a beginning followed by `*`) names `library`.
fn names(pattern: &str, library: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => library
            .strip_prefix(beginning)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_'])),
        None => pattern == library,
    }
}

fn room_of(package: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.package == package)
}

const fn room(
    package: &'static str,
    folder: &'static str,
    ours: &'static [&'static str],
    ours_in_tests: &'static [&'static str],
) -> Room {
    Room {
        package,
        folder,
        ours,
        ours_in_tests,
        closed: None,
    }
}

const fn heavy(
    library: &'static str,
    rooms: &'static [&'static str],
    rooms_in_tests: &'static [&'static str],
) -> Heavy {
    Heavy {
        library,
        rooms,
        rooms_in_tests,
    }
}
