//! The log key of the own registry, followed by another while the registry runs: made beside the one in use, ordered by the roots in
//! a file, and put in its place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use carnet_client::keys;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::record::keys::{
    GoodHead, KeyHistory, KeyRole, KeyStep, KeysOrder, proof_message,
};
use carnet_domain::record::peer::Statement;
use carnet_domain::record::registry::Registry;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cluster::health;
use crate::draft::{Drafted, Of};
use crate::exit::Failed;
use crate::key_text::KeyText;
use crate::output::say;
use crate::settings::Settings;
use crate::signed::is_taken;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum RotateLog {
    /// Makes the key that is to follow, in keys/ of --pki, or gives the one that waits there. Every node gets its seed before it is used.
    ///
    /// One that was ended, or found in other hands, is not given: where the registry can be asked, those that it ended go to retired/, and
    /// so do those of --away.
    Next {
        /// A key that waits there and is not to be used: 64 hexadecimal digits, or a .pub file.
        #[arg(long, value_name = "KEY")]
        away: Vec<KeyText>,
    },
    /// Drafts the order of the roots.
    Draft(Draft),
    #[command(flatten)]
    Drafted(Drafted),
    /// Puts the one log key that is in use into the place of keys/log.seed and keys/log.pub of --pki; the one before it goes to retired/.
    Finish,
}

/// The whole way: every line is a call.
pub(crate) const WAY: &str = "\
The whole way (PKI is the directory of `carnet pki init`; no write and no verification fails meanwhile):
  carnet key rotate log next                                    keys/log-PRINT.seed and .pub
  copy keys/log-PRINT.seed to keys/ of every node's PKI directory, mode 0600; each takes it up within seconds
  carnet key rotate log draft --file k1.cbor --new PKI/keys/log-PRINT.seed --reason \"the key is a year old\"
  carnet key rotate log sign k1.cbor --root PKI/root/root-1.seed    a threshold of the roots
  carnet key rotate log submit k1.cbor                          from here on every head has both signatures
  carnet bundle export --file our.bundle --name NAME --keys-of k1.cbor    and every peer, and we, state it (carnet peer add)
  carnet key rotate log draft --file k2.cbor --retire PKI/keys/log.pub --reason \"followed by another\"
  carnet key rotate log sign k2.cbor --root PKI/root/root-1.seed
  carnet key rotate log submit k2.cbor                          it asks, or give --yes; from here on the new key signs alone
  carnet key rotate log finish                                  in the PKI directory; then copy keys/log.seed and .pub to the nodes
Of a key that was stolen, `--compromised KEY --last-good SIZE,ROOT` takes the place of `--retire KEY`, in the order with `--new`, if it
hurries (runbook log-key).";

#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// The seed of the key that follows: it is added and used from the leaf of the order on, beside the one before it.
    #[arg(long = "new", value_name = "SEED")]
    new: Option<PathBuf>,
    /// A log key that is not used any more: 64 hexadecimal digits, or a .pub file. What it signed stays good.
    #[arg(long, value_name = "KEY")]
    retire: Option<KeyText>,
    /// A key that somebody else may have, in use or retired: of what it signed the head of --last-good alone is believed any more.
    #[arg(long, value_name = "KEY", requires = "last_good")]
    compromised: Option<KeyText>,
    /// The last head that is known to be ours: its size and its root, as `carnet log checkpoint` shows them.
    #[arg(long, value_name = "SIZE,ROOT", value_parser = good_head, requires = "compromised")]
    last_good: Option<GoodHead>,
    /// Why.
    #[arg(long)]
    reason: String,
}

fn good_head(text: &str) -> Result<GoodHead, String> {
    let parts = text.split_once(',');
    let read = parts.and_then(|(size, root)| {
        let size = size.parse().ok()?;
        let root = Digest::parse(root).ok()?;
        Some(GoodHead { size, root })
    });
    read.ok_or_else(|| "write SIZE,ROOT, as carnet log checkpoint shows them".into())
}

/// The keys of the registry, in use or not.
pub(crate) async fn history(settings: &Settings) -> Result<Outcome, Failed> {
    let found = settings.client()?.unverified().registry().await?;
    let value = json!({
        "keys": view::keys(&found.value.keys),
        "orders": found.value.key_leaves.len().to_string(),
    });
    Ok(view::at(value, found.position).into())
}

pub(crate) async fn run(verb: RotateLog, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        RotateLog::Next { away } => {
            let directory = settings.pki_dir()?;
            // One that was found in other hands, or that the roots ended, is nobody's next.
            let mut put_away = Vec::new();
            for key in away {
                put_away.extend(carnet_pki::put_away_log_key(directory, &key.read()?)?);
            }
            if settings.has_endpoints() {
                let known = settings.client()?.unverified().registry().await;
                match known {
                    Ok(known) => put_away.extend(put_away_ended(directory, &known.value.keys)?),
                    Err(error) => say(format!(
                        "warning: the registry was not asked which keys are ended ({error}): a seed that lies there is taken as it is"
                    )),
                }
            }
            let key = carnet_pki::next_log_key(directory)?;
            Ok(json!({
                "put_away": put_away.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
                "seed": directory.join(&key.seed).display().to_string(),
                "key": key.public.to_string(),
                "made": key.made,
                "next": "Copy the seed to keys/ of the PKI directory of every node, mode 0600, before an order uses it.",
            })
            .into())
        }
        RotateLog::Draft(draft) => {
            let registry = settings.client()?.unverified().registry().await?.value;
            let order = KeysOrder {
                cluster: registry.cluster,
                number: registry.key_leaves.len() as u64 + 1,
                steps: steps(&draft, &registry)?,
                reason: draft.reason,
            };
            KEYS.draft(&Statement::Keys { order }, &draft.file, settings)
        }
        RotateLog::Drafted(verb) => {
            if let Drafted::Submit { file, .. } = &verb {
                let Statement::Keys { order } = KEYS.read(file)? else {
                    unreachable!("it was read as one of these");
                };
                let registry = settings.client()?.unverified().registry().await?.value;
                if stands(&order, &registry) {
                    return Ok(
                        json!({"state": "stands already", "keys": view::keys(&registry.keys)})
                            .into(),
                    );
                }
                held_by_voters(&order, settings).await?;
            }
            KEYS.run(verb, settings).await
        }
        RotateLog::Finish => {
            let registry = settings.client()?.unverified().registry().await?.value;
            let key = only_key(&registry.keys)?;
            let directory = settings.pki_dir()?;
            let mut moved = carnet_pki::follow_log_key(directory, &key)?;
            // None that is ended is copied to the next node.
            moved.extend(put_away_ended(directory, &registry.keys)?);
            let moved: Vec<_> = moved
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Ok(json!({"log_key": key.to_string(), "retired": moved}).into())
        }
    }
}

/// Moves every log key that the roots ended from beside the first to `retired`.
fn put_away_ended(directory: &Path, keys: &KeyHistory) -> Result<Vec<PathBuf>, Failed> {
    let mut moved = Vec::new();
    for entry in keys.all() {
        if entry.role == KeyRole::Log && entry.end.is_some() {
            moved.extend(carnet_pki::put_away_log_key(directory, &entry.key)?);
        }
    }
    Ok(moved)
}

/// The log key that is in use alone.
fn only_key(keys: &KeyHistory) -> Result<PublicKey, Failed> {
    let active: Vec<_> = keys.active(KeyRole::Log).collect();
    match active.as_slice() {
        [one] => Ok(one.key),
        several => {
            let text = format!("{} log keys are in use", several.len());
            Err(Failed {
                next: "Nothing was moved: retire the older one first (carnet key rotate log draft --retire)."
                    .into(),
                ..Failed::usage(text)
            })
        }
    }
}

fn steps(draft: &Draft, registry: &Registry) -> Result<Vec<KeyStep>, Failed> {
    let mut steps = Vec::new();
    if let Some(seed) = &draft.new {
        let secret = keys::read_seed(seed)?;
        let (role, key) = (KeyRole::Log, secret.public());
        // A call that is given again, after the key was added by an order that did not use it.
        if registry.keys.entry(role, &key).is_none() {
            let proof = secret.sign(&proof_message(&registry.cluster, role, &key));
            steps.push(KeyStep::Add { role, key, proof });
        }
        steps.push(KeyStep::Activate { key });
    }
    if let Some(key) = &draft.retire {
        steps.push(KeyStep::Retire { key: key.read()? });
    }
    if let (Some(key), Some(last_good)) = (&draft.compromised, draft.last_good) {
        let key = key.read()?;
        steps.push(KeyStep::Compromise { key, last_good });
    }
    match steps.is_empty() {
        true => Err(Failed::usage(
            "nothing is ordered: give --new, --retire or --compromised",
        )),
        false => Ok(steps),
    }
}

/// Whether an order was applied: its number is used up, and each key is as its last step leaves it.
fn stands(order: &KeysOrder, registry: &Registry) -> bool {
    let is_done = |step: &KeyStep| is_taken(step, &registry.keys);
    order.number <= registry.key_leaves.len() as u64 && order.steps.iter().all(is_done)
}

/// Refuses an order to use a key that a voter does not hold: when that one leads, it publishes nothing.
async fn held_by_voters(order: &KeysOrder, settings: &Settings) -> Result<(), Failed> {
    let used = order.steps.iter().filter_map(|step| match step {
        KeyStep::Activate { key } => Some(key),
        _ => None,
    });
    let used: Vec<&PublicKey> = used.collect();
    if used.is_empty() {
        return Ok(());
    }
    let asked = health::ask(&settings.admin()?, false).await;
    let answered: Vec<_> = asked
        .iter()
        .filter_map(|one| one.answer.as_ref().ok())
        .collect();
    let voters = voters_of(answered.iter().map(|status| status.voters.as_slice()));
    let mut lacking = Vec::new();
    for node in &voters {
        match answered.iter().find(|status| status.node == *node) {
            Some(status) => {
                let holds = |key: &&PublicKey| {
                    status
                        .log_keys
                        .iter()
                        .any(|held| held.as_ref() == key.as_bytes())
                };
                if !used.iter().all(holds) {
                    lacking.push(node.to_string());
                }
            }
            None => say(format!(
                "warning: node {node} was not asked whether it holds the key (--admin-endpoints): without it it publishes nothing when it leads"
            )),
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Failed {
        next: "Nothing was sent. Copy the seed to keys/ of its PKI directory, mode 0600, and wait until its log says that log keys were \
               taken up, or send it SIGHUP."
            .into(),
        ..Failed::usage(format!("node {} does not hold the key", lacking.join(", ")))
    })
}

/// The voters that any node names: none of them can leave another out.
fn voters_of<'a>(named: impl Iterator<Item = &'a [u64]>) -> BTreeSet<u64> {
    named.flatten().copied().collect()
}

const KEYS: Of = Of {
    what: "an order about keys",
    says,
    ends: |statement| {
        let Statement::Keys { order } = statement else {
            return None;
        };
        let is_end =
            |step: &&KeyStep| matches!(step, KeyStep::Retire { .. } | KeyStep::Compromise { .. });
        let ended = order.steps.iter().find(is_end)?;
        Some(("To end a log key", view::key_print(ended.key())))
    },
};

fn says(statement: &Statement) -> Option<Value> {
    let Statement::Keys { order } = statement else {
        return None;
    };
    // Every field: what is signed is what is shown, whoever drafted it.
    let step = |step: &KeyStep| match step {
        KeyStep::Add { role, key, .. } => json!({"add": key.to_string(), "role": role.word()}),
        KeyStep::Activate { key } => json!({"use": key.to_string()}),
        KeyStep::Retire { key } => json!({"retire": key.to_string()}),
        KeyStep::Compromise { key, last_good } => json!({
            "compromised": key.to_string(),
            "last_good": view::good_head(last_good),
        }),
    };
    Some(json!({
        "cluster": hex::encode(order.cluster),
        "number": order.number.to_string(),
        "steps": order.steps.iter().map(step).collect::<Vec<_>>(),
        "reason": order.reason,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PublicKey {
        carnet_domain::bytes::signature::SecretKey::from_seed(&[seed; 32]).public()
    }

    /// Once, the node that said to have applied most named the voters, and could name none.
    #[test]
    fn no_node_leaves_a_voter_out() {
        let named: [&[u64]; 3] = [&[], &[1, 2, 3], &[2, 3]];
        assert_eq!(voters_of(named.into_iter()), BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn a_last_good_head_is_read_as_it_is_shown() {
        let head = GoodHead {
            size: 41,
            root: Digest([7; 32]),
        };
        let read = good_head(&view::good_head(&head)).expect("as it is shown");
        assert_eq!(read, head);
        for wrong in ["41", "41,", "x,00"] {
            assert!(good_head(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_moved_while_two_keys_are_in_use() {
        assert_eq!(
            only_key(&KeyHistory::of_log_keys([key(1)])).ok(),
            Some(key(1))
        );
        let two = only_key(&KeyHistory::of_log_keys([key(1), key(2)]));
        let refused = two.expect_err("refused");
        assert!(
            refused.next.contains("retire the older one"),
            "{}",
            refused.next
        );
    }
}
