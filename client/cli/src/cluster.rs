//! Keys of a jurisdiction, its cluster, and its log.

use std::path::{Path, PathBuf};

use carnet_client::admin::Member;
use carnet_client::{Pin, advance, keys, wall_time};
use carnet_domain::bytes::country::is_country;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::log::checkpoint::{Origin, peek};
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::{Genesis, Statement};
use carnet_domain::rules::policy::Role;
use carnet_pki::{Host, NodeSpec, PkiPlan};
use carnet_trust::identity::NodeId;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::certificates::{self, Renew, Request, Revoke, Sign, Unrevoke, client_name};
use crate::context::Settings;
use crate::exit::{self, Failed};
use crate::health;
use crate::offices::{office_signers, profile_of};
use crate::output::say;
use crate::parse;
use crate::skip::{self, SkipVerb};
use crate::submit::accepted;
use crate::trust::Roots;
use crate::voters::{self, Voters};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Pki {
    /// Makes the keys and certificates of a jurisdiction in a new directory.
    Init {
        /// The directory.
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
        /// The directory.
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
        /// The directory.
        directory: PathBuf,
    },
    /// Makes new certificates in the place of those there are, with the same names; running nodes take up what is copied to them.
    ///
    /// Without --new-key they are of the same keys. What was replaced is kept under `retired` in the PKI directory, to be revoked
    /// by its file. See the runbook renew-certificates.
    ///
    ///   carnet --pki pki pki renew node/2
    ///   carnet --pki pki pki renew dealer/0003/ada --new-key
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

fn node(text: &str) -> Result<NodeSpec, String> {
    let (id, hosts) = text.split_once('=').ok_or("write ID=HOST[,HOST…]")?;
    let id = id
        .parse()
        .ok()
        .and_then(NodeId::new)
        .ok_or_else(|| format!("{id:?} is no node id"))?;
    Ok(NodeSpec {
        id,
        hosts: hosts.split(',').map(Host::from).collect(),
    })
}

pub(crate) async fn pki(verb: Pki, settings: &Settings) -> Result<Outcome, Failed> {
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

#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Begins a registry: makes the nodes a cluster, with a root-signed genesis as its first entry. Once.
    ///
    /// Every node runs on a directory that `carnetd init --join` made, naming all of them. If it was interrupted, repeat
    /// it with the same members.
    ///
    /// Needed besides --member: the admin endpoint of one of the nodes (--admin-endpoints), who founds (--pki DIR with
    /// --as, an admin's; the roots' seeds are taken from DIR), and --country unless the prefix is letters:
    ///
    ///   carnet --pki pki --as admin-ops-root --admin-endpoints 10.0.0.1:7103 cluster init --country CN
    ///   --member 1=10.0.0.1:7101,10.0.0.1:7102 --member 2=10.0.0.2:7101,10.0.0.2:7102
    ///   --member 3=10.0.0.3:7101,10.0.0.3:7102
    Init {
        /// A voter as ID=RAFT_HOST:PORT,CLIENT_HOST:PORT.
        #[arg(long = "member", required = true, value_parser = member)]
        members: Vec<Member>,
        /// ISO 3166-1 alpha-2 country; default is the prefix if that is letters.
        #[arg(long)]
        country: Option<String>,
        /// Incarnation of the log.
        #[arg(long, default_value = "0")]
        incarnation: u64,
        /// Close the log after this long without a change.
        #[arg(long, default_value = "60s", value_parser = parse::duration)]
        seal_idle: DurationMs,
    },
    /// Shows every node, and whether the cluster takes writes and publishes them.
    ///
    /// `state` is `ok`, `warning`, `degraded` (writes are refused or nothing is published; exit code 6) or `unknown` (no
    /// leader told; exit code 1), and `why` says which codes and reasons. Give every node's admin endpoint: the leader says
    /// whom it does not hear, and nothing of how the others are.
    Status {
        /// Everything a node knows, not only the overview.
        #[arg(long)]
        full: bool,
        /// Also the digest over every record (reads the whole database).
        #[arg(long)]
        digest: bool,
    },
    /// One line a node, and an exit code for a script: 0 the cluster takes writes and publishes them, 6 it does not, 1 nobody
    /// who was asked knows.
    ///
    /// `why` holds the words that `cluster status` explains. A monitor scrapes `/metrics` and `/readyz` of each node instead:
    /// `[listen] metrics`.
    Health,
    /// Takes a snapshot on every admin endpoint given, and purges the log below it.
    Snapshot,
    /// Hands leadership to another voter, as before maintenance of the leader's machine.
    TransferLeadership {
        /// The voter that leads next; it has nearly the whole log.
        #[arg(long, value_name = "NODE")]
        to: u64,
    },
    /// Adds a node that follows without a vote.
    AddLearner {
        /// The node as ID=RAFT_HOST:PORT,CLIENT_HOST:PORT.
        #[arg(value_parser = member)]
        member: Member,
    },
    /// Sets the voters, after showing who stays, joins, and leaves for good. Asking again changes nothing.
    ///
    /// A node that votes and is left out leaves the cluster: its id is never used again, and it has to be named with
    /// --retire. See the runbook replace-a-node.
    Voters(Voters),
    /// The roots' order to skip a log entry before which the nodes stand still: see the runbook poisoned-entry.
    #[command(subcommand)]
    Skip(SkipVerb),
    /// Log time by the roots: on after a long outage, back after clocks that ran ahead.
    #[command(subcommand)]
    Time(crate::log_time::Time),
}

pub(crate) fn member(text: &str) -> Result<Member, String> {
    let wrong = || format!("{text:?}: write ID=RAFT_HOST:PORT,CLIENT_HOST:PORT");
    let (id, addresses) = text.split_once('=').ok_or_else(wrong)?;
    let (raft, client) = addresses.split_once(',').ok_or_else(wrong)?;
    Ok(Member {
        node: id.parse().map_err(|_| wrong())?,
        raft_address: raft.into(),
        client_address: client.into(),
    })
}

pub(crate) async fn run(verb: Cluster, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Cluster::Init {
            members,
            country,
            incarnation,
            seal_idle,
        } => {
            let genesis = genesis(settings, country, incarnation, seal_idle)?;
            let roots = Roots::open(settings.pki_dir()?)?;
            let signers = genesis.signers.len();
            let (prefix, cluster) = (genesis.prefix, hex::encode(genesis.cluster));
            let signed = roots.sign(&Statement::Genesis { genesis }.to_bytes());
            let answer = settings.admin()?.initialize(members, &signed).await?;
            let value = json!({
                "prefix": prefix.to_string(),
                "incarnation": incarnation.to_string(),
                "cluster": cluster,
                "signers": signers,
                "tree_size": answer.size.to_string(),
                "at": view::time(answer.at),
            });
            accepted(&answer, value)
        }
        Cluster::Status { full, digest } => health::status(&settings.admin()?, full, digest).await,
        Cluster::Health => health::health(&settings.admin()?).await,
        Cluster::Snapshot => {
            let admin = settings.admin()?;
            let mut rows = Vec::new();
            for endpoint in admin.endpoints() {
                let index = admin.take_snapshot(endpoint).await?;
                rows.push(json!({"endpoint": endpoint, "log_index": index.to_string()}));
            }
            Ok(Value::Array(rows).into())
        }
        Cluster::TransferLeadership { to } => {
            let (leader, term) = settings.admin()?.transfer_leadership(to).await?;
            let value = json!({"leader": leader.to_string(), "term": term.to_string()});
            // Somebody leads; whoever asked wants to know whether it is the right one.
            let code = if leader == to { 0 } else { exit::ERROR };
            Ok(Outcome { value, code })
        }
        Cluster::AddLearner { member } => {
            let node = member.node.to_string();
            let index = settings.admin()?.add_learner(member).await?;
            Ok(json!({"node": node, "log_index": index.to_string()}).into())
        }
        Cluster::Time(verb) => crate::log_time::run(verb, settings).await,
        Cluster::Voters(verb) => voters::run(verb, settings).await,
        Cluster::Skip(verb) => skip::run(verb, settings).await,
    }
}

/// The genesis of the jurisdiction whose keys are in the PKI directory. Its first signers are the offices found there.
fn genesis(
    settings: &Settings,
    country: Option<String>,
    incarnation: u64,
    seal_idle: DurationMs,
) -> Result<Genesis, Failed> {
    let directory = settings.pki_dir()?;
    let roots = Roots::open(directory)?;
    let prefix = settings.registry()?;
    let letters = prefix.as_str().bytes().all(|b| b.is_ascii_alphabetic());
    let country = match country {
        Some(country) => country.to_ascii_uppercase(),
        None if letters => prefix.to_string(),
        None => return Err(Failed::usage("which country? (--country, alpha-2)")),
    };
    if !is_country(&country) {
        let text = format!("{country}: no country of ISO 3166-1 (--country, alpha-2)");
        return Err(Failed::usage(text));
    }
    let signers = office_signers(directory, prefix)?;
    if !signers.iter().any(|signer| signer.role == Role::Admin)
        || !signers.iter().any(|signer| signer.role == Role::Registrar)
    {
        say(
            "warning: the PKI directory has no admin or no registrar; nobody will be able to enrol others",
        );
    }
    let profile = profile_of(&signers);
    if profile == Profile::Sandbox {
        say(
            "warning: fewer than two people are admins: the registry is a sandbox, for good, and shows itself as one",
        );
    }
    Ok(Genesis {
        prefix,
        country,
        incarnation,
        cluster: keys::read_cluster(directory)?.bytes(),
        roots: roots.public(),
        threshold: roots.threshold(),
        log_key: keys::read_public_key(&directory.join("keys/log.pub"))?,
        time: wall_time(),
        seal_idle,
        profile,
        signers,
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Fetches the newest published checkpoint, and believes it only if it is signed and extends the one seen before.
    Checkpoint {
        /// The log key: 64 hexadecimal digits or a .pub file; default is keys/log.pub of --pki.
        #[arg(long)]
        log_key: Option<String>,
        /// Wait until the log is larger than this.
        #[arg(long, default_value = "0")]
        wait_above: u64,
        /// Print the signed note alone.
        #[arg(long)]
        text: bool,
    },
}

pub(crate) async fn log(verb: Log, settings: &Settings) -> Result<Outcome, Failed> {
    let Log::Checkpoint {
        log_key,
        wait_above,
        text,
    } = verb;
    let client = settings.client()?;
    let log_key = match log_key {
        Some(text) => read_key(&text)?,
        None => keys::read_public_key(&settings.pki_dir()?.join("keys/log.pub"))?,
    };
    let origin = origin(&client).await?;
    let file = settings.pin_file(&origin);
    let local = |error: std::io::Error| Failed::local(format!("{}: {error}", file.display()));
    let pin = Pin::load(&file, &origin, &log_key).map_err(local)?;
    let before = pin.as_ref().map_or(0, |pin| pin.size);
    let (note, consistency) = client.unverified().checkpoint(before, wait_above).await?;
    if note.is_empty() {
        return Err(
            carnet_client::ClientError::from(carnet_client::ApiError::not_found(
                "no checkpoint is published yet",
            ))
            .into(),
        );
    }
    let now = advance(pin.as_ref(), &origin, &log_key, &note, &consistency)
        .map_err(carnet_client::ClientError::from)?;
    now.save(&file).map_err(local)?;
    if text {
        return Ok(Value::String(now.text.trim_end().to_owned()).into());
    }
    let value = json!({
        "origin": now.origin.to_string(),
        "size": now.size.to_string(),
        "root": now.root.to_string(),
        "seen_before": before.to_string(),
        "pinned_in": file.display().to_string(),
        "note": now.text,
    });
    Ok(value.into())
}

/// Which log the registry has now. Only its name: whether it is believed is decided under the log key.
async fn origin(client: &carnet_client::Client) -> Result<Origin, Failed> {
    let (note, _) = client.unverified().checkpoint(0, 0).await?;
    match peek(&note) {
        Ok(checkpoint) => Ok(checkpoint.origin),
        Err(_) if note.is_empty() => Err(carnet_client::ClientError::from(
            carnet_client::ApiError::not_found("no checkpoint is published yet"),
        )
        .into()),
        Err(error) => Err(carnet_client::ClientError::Protocol(error.to_string()).into()),
    }
}

pub(crate) fn read_key(text: &str) -> Result<PublicKey, Failed> {
    match keys::parse_seed(text) {
        Some(bytes) => PublicKey::enroll(bytes).map_err(Failed::usage),
        None => Ok(keys::read_public_key(Path::new(text))?),
    }
}
