//! `carnet pki`: keys and certificates of a jurisdiction.

pub(crate) mod certificates;

use std::path::PathBuf;

use carnet_client::wall_time;
use carnet_pki::{Host, NodeSpec, PkiPlan};
use carnet_trust::identity::NodeId;
use clap::Subcommand;
use serde_json::json;

use self::certificates::{Renew, Request, Revoke, Sign, Unrevoke, client_name};
use crate::exit::Failed;
use crate::settings::Settings;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Pki {
    /// Makes the keys and certificates of a jurisdiction in a new directory.
    Init {
        /// A directory that is not there yet, or is empty.
        directory: PathBuf,
        /// How many root keys, 1 to 3; two of three sign.
        #[arg(long, default_value = "1")]
        roots: usize,
        /// A node as ID=HOST[,HOST…].
        #[arg(long = "node", value_parser = node)]
        nodes: Vec<NodeSpec>,
        /// A person or desk as ROLE/UNIT/NAME: registrar/hq/anna, manufacturer/0001/bot.
        #[arg(long = "client")]
        clients: Vec<String>,
    },
    /// Makes the key of a root that is to follow another: root.seed and root.pub in a new directory. It is a root of nothing before
    /// `carnet root rotate` stated it.
    Root {
        /// A directory that is not there yet, or is empty.
        directory: PathBuf,
    },
    /// Adds a node's certificates.
    Node {
        /// The node as ID=HOST[,HOST…].
        #[arg(value_parser = node)]
        node: NodeSpec,
        /// How long they last.
        #[arg(long, default_value = "365")]
        days: u64,
    },
    /// Adds a person or desk: certificate, key, and the key that signs commands.
    Client {
        /// ROLE/UNIT/NAME: registrar/hq/anna, manufacturer/0001/bot.
        client: String,
        /// How long the certificate lasts.
        #[arg(long, default_value = "365")]
        days: u64,
    },
    /// Shows the certificates of the PKI directory: whose, until when, how many days are left.
    ///
    ///   carnet --pki pki pki list
    ///   carnet --context cn --as admin-hq-anna pki list --server
    List {
        /// Ask the registry which certificates it refuses, and show those too that no file here has.
        #[arg(long)]
        server: bool,
    },
    /// Draws keys where they will be used, and asks for their certificates: a request beside each key, to be signed elsewhere.
    ///
    /// No private key travels: the .csr files go to whoever has the authorities (`carnet pki sign`), the certificates come back.
    ///
    ///   carnet --prefix 86 pki request node/2 /etc/carnet/pki --cluster 0123456789abcdef0123456789abcdef --host n2.example
    ///   carnet --prefix 86 pki request dealer/0003/ada ~/carnet
    Request(Request),
    /// Signs requests with the authorities of the PKI directory, and writes each certificate beside its request.
    ///
    /// What a request asks for is compared with whom you say it is for: whoever has the certificate is its bearer. Without --for the
    /// requests are shown.
    ///
    ///   carnet --pki pki pki sign --for node/2 --host n2.example nodes/2/*.csr
    Sign(Sign),
    /// Copies what one node or person needs, and nothing else, into a new directory of the same shape.
    ///
    ///   carnet --pki pki pki bundle node/2 /media/stick/node-2
    Bundle {
        /// Whose: node/ID, or ROLE/UNIT/NAME.
        #[arg(value_name = "WHO")]
        whose: String,
        /// A directory that is not there yet, or is empty.
        directory: PathBuf,
    },
    /// Makes new certificates in the place of those there are, with the same names; running nodes take up what is copied to them.
    ///
    /// Without --new-key they are of the same keys. What was replaced is kept under `retired` in the PKI directory, to be revoked
    /// by its file. See the runbook renew-certificates.
    ///
    ///   carnet --pki pki pki renew node/2
    ///   carnet --pki pki pki renew dealer/0003/ada --new-key
    ///   carnet --pki pki pki renew authority/raft --root /media/root-1/root-1.seed
    ///   carnet --pki pki pki renew passport --root /media/root-1/root-1.seed
    Renew(Renew),
    /// Has a certificate refused on every plane of every node, and its open connections closed, before its time is over.
    ///
    /// One admin revokes a client's at once. Of an admin or a node a second admin, another person, gives the same command. A
    /// quorum of the voters and one admin always stay: give whoever goes on another certificate first, and say --replaced. See
    /// the runbook stolen-certificate.
    ///
    ///   carnet --pki pki --as admin-hq-anna pki revoke dealer/0003/ada --reason "laptop stolen"
    Revoke(Box<Revoke>),
    /// Has a certificate refused no more; or takes back what you asked of it before a second admin confirmed it.
    ///
    ///   carnet --pki pki --as admin-hq-anna pki unrevoke dealer/0003/ada --reason "found again"
    Unrevoke(Unrevoke),
}

/// Which file goes where once a PKI directory is made, in the order in which it is done.
const CEREMONY: &[&str] = &[
    "Two people do this, on a machine without a network; both write down root_fingerprints, which everybody else compares with.",
    "root/root-N.seed: each onto a medium of its own, in an envelope with its fingerprint, kept offline in another building, with a copy; \
     then it is removed here. It signs bundles, peers, agreements, keys and other roots, and nothing of daily work.",
    "One root alone (--roots 1, the default) is for trying things out: whoever has it is the country. A country takes --roots 3, of which two \
     sign: a stolen one does nothing, a lost one is replaced by the others.",
    "root/roots.crt: to everybody; root/root-N.pub and .crt stay here.",
    "ca: its keys sign certificates of nodes and people. This directory, without root seeds, stays on the machine that does that; no node \
     has them.",
    "nodes/ID and keys: carnet pki bundle node/ID makes what one host needs, and nothing else; or the node asks with keys that never \
     travel (carnet pki request, carnet pki sign).",
    "clients: to each person what carnet pki bundle ROLE/UNIT/NAME makes; the .actor.key signs in their name, and is theirs alone.",
    "cluster: the identity of this cluster; requests of its nodes name it.",
    "Then found it: carnetd init on each node, and carnet cluster init, which the roots sign: with the seeds at hand once more, or before they \
     are removed.",
];

pub(crate) async fn run(verb: Pki, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Pki::Init {
            directory,
            roots,
            nodes,
            clients,
        } => {
            let prefix = settings
                .prefix()
                .ok_or_else(|| Failed::usage("which jurisdiction? (--prefix)"))?;
            let mut plan = PkiPlan::new(prefix);
            plan.root_count = roots;
            plan.nodes = nodes;
            plan.clients = clients
                .iter()
                .map(|text| client_name(prefix, text))
                .collect::<Result<_, _>>()?;
            let made = carnet_pki::init(&directory, &plan, wall_time())?;
            let actors = made.actors.iter().map(|(client, key)| {
                json!({"client": client.to_string(), "as": carnet_pki::client_stem(client), "actor_key": key.to_string()})
            });
            let value = json!({
                "directory": directory.display().to_string(),
                "prefix": made.prefix.to_string(),
                "cluster": made.cluster.to_string(),
                "root_fingerprints": made.roots.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "log_key": made.log_key.to_string(),
                "passport_key": made.passport_key.to_string(),
                "clients": actors.collect::<Vec<_>>(),
                "files": made.file_count,
                "ceremony": CEREMONY,
            });
            Ok(value.into())
        }
        Pki::Root { directory } => {
            let public = carnet_pki::new_root(&directory)?;
            let value = json!({
                "directory": directory.display().to_string(),
                "root": public.to_string(),
                "root_fingerprint": view::key_print(&public),
                "next": "It is a root of nothing yet: carnet root rotate draft --root root.pub, with every other root that stays \
                         (carnet root rotate --help has the whole way). Keep root.seed offline.",
            });
            Ok(value.into())
        }
        Pki::Node { node, days } => {
            carnet_pki::issue_node(settings.pki_dir()?, &node, days, wall_time())?;
            Ok(json!({"node": node.id.to_string(), "days": days}).into())
        }
        Pki::Client { client, days } => {
            let name = client_name(settings.registry()?, &client)?;
            let key = carnet_pki::issue_client(settings.pki_dir()?, &name, days, wall_time())?;
            let value = json!({"client": name.to_string(), "as": carnet_pki::client_stem(&name), "actor_key": key.to_string()});
            Ok(value.into())
        }
        Pki::List { server } => certificates::list(settings, server).await,
        Pki::Request(request) => certificates::request(&request, settings),
        Pki::Sign(sign) => certificates::sign(&sign, settings),
        Pki::Bundle { whose, directory } => certificates::bundle(&whose, &directory, settings),
        Pki::Renew(renew) => certificates::renew(&renew, settings),
        Pki::Revoke(revoke) => certificates::revoke(*revoke, settings).await,
        Pki::Unrevoke(unrevoke) => certificates::unrevoke(unrevoke, settings).await,
    }
}

fn node(text: &str) -> Result<NodeSpec, String> {
    let (id, hosts) = text.split_once('=').ok_or("write ID=HOST[,HOST…]")?;
    let id = id
        .parse()
        .ok()
        .and_then(NodeId::new)
        .ok_or_else(|| format!("{id:?} is not a node id; write a number from 1 on"))?;
    Ok(NodeSpec {
        id,
        hosts: hosts.split(',').map(Host::from).collect(),
    })
}
