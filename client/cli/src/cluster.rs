//! `carnet cluster`: the cluster of a registry. It is begun, seen and changed here; its members have `carnet member`.

pub(crate) mod health;
pub(crate) mod leaving;
mod skip;
mod time;
pub(crate) mod voters;

use carnet_client::admin::Member;
use carnet_client::{keys, wall_time};
use carnet_domain::bytes::country::is_country;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::{Genesis, Statement};
use carnet_domain::rules::policy::Role;
use clap::Subcommand;
use serde_json::{Value, json};

use self::skip::SkipVerb;
use self::voters::Voters;
use crate::exit::{self, Failed};
use crate::offices::{office_signers, profile_of};
use crate::output::say;
use crate::settings::Settings;
use crate::signed::Roots;
use crate::submit::accepted;
use crate::{Outcome, parse, view};

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
        #[arg(long = "member", required = true, value_parser = parse::member)]
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
        #[arg(value_parser = parse::member)]
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
    Time(time::Time),
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
            let admin = settings.admin()?;
            voters::judge_heir(&health::ask(&admin, false).await, to)?;
            let (leader, term) = admin.transfer_leadership(to).await?;
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
        Cluster::Time(verb) => time::run(verb, settings).await,
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
        let text = format!(
            "{country}: not a country of ISO 3166-1; write its two letters, as CN (--country)"
        );
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
