//! What the roots sign, in files: drafts, their signatures, and the way of a statement into the log.

use std::path::{Path, PathBuf};

use carnet_client::keys;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{PublicKey, SecretKey, verify};
use carnet_domain::record::keys::{KeyCause, KeyHistory, KeyStep};
use carnet_domain::record::peer::{RootSignature, Signed, Statement, root_signing_bytes};
use carnet_trust::bundle::BUNDLE_FILE_BYTES_MAX;
use serde_json::{Value, json};

use crate::bounded::read_bounded;
use crate::exit::Failed;
use crate::parse;
use crate::settings::Settings;
use crate::submit::{accepted, merge};
use crate::{Outcome, view};

/// The root keys of a jurisdiction, from its PKI directory.
pub(crate) struct Roots(Vec<SecretKey>);

impl Roots {
    /// Reads every root seed there is.
    pub(crate) fn open(directory: &Path) -> Result<Self, Failed> {
        let mut keys = Vec::new();
        for number in 1..=3 {
            let path = directory.join(format!("root/root-{number}.seed"));
            if path.exists() {
                keys.push(keys::read_seed(&path)?);
            }
        }
        if keys.is_empty() {
            return Err(Failed::local(format!(
                "{}: there is no root seed in root/",
                directory.display()
            )));
        }
        Ok(Self(keys))
    }

    /// The seeds named, or every one in the PKI directory.
    pub(crate) fn of(files: &[PathBuf], settings: &Settings) -> Result<Self, Failed> {
        if files.is_empty() {
            return Self::open(settings.pki_dir()?);
        }
        let read = |file: &PathBuf| Ok(keys::read_seed(file)?);
        Ok(Self(files.iter().map(read).collect::<Result<_, Failed>>()?))
    }

    #[cfg(test)]
    pub(crate) fn of_keys(keys: Vec<SecretKey>) -> Self {
        Self(keys)
    }

    pub(crate) fn public(&self) -> Vec<PublicKey> {
        self.0.iter().map(SecretKey::public).collect()
    }

    /// One of one; two of two or three.
    pub(crate) fn threshold(&self) -> u8 {
        if self.0.len() == 1 { 1 } else { 2 }
    }

    pub(crate) fn into_keys(self) -> Vec<SecretKey> {
        self.0
    }

    /// Signatures of every root at hand.
    fn signatures(&self, bytes: &[u8]) -> Vec<RootSignature> {
        let message = root_signing_bytes(bytes);
        let sign = |key: &SecretKey| RootSignature {
            root: key.public(),
            signature: key.sign(&message),
        };
        self.0.iter().map(sign).collect()
    }

    /// Adds the signature of every root at hand, in the place of an older one of the same root.
    pub(crate) fn add_to(&self, signed: &mut Signed) {
        for ours in self.signatures(&signed.bytes.0) {
            signed.signatures.retain(|other| other.root != ours.root);
            signed.signatures.push(ours);
        }
    }

    /// Signs with every root at hand.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Signed {
        Signed {
            bytes: Blob(bytes.to_vec()),
            signatures: self.signatures(bytes),
        }
    }
}

/// What the roots sign: a bundle, an agreement, a statement.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    read_bounded(path, BUNDLE_FILE_BYTES_MAX)
}

/// Replaces a file whole or not at all: the signatures of others stand in it, and a full disk must leave them.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let part = PathBuf::from(format!("{}.{}.part", path.display(), std::process::id()));
    let put = || -> std::io::Result<()> {
        std::fs::write(&part, bytes)?;
        std::fs::File::open(&part)?.sync_all()?;
        std::fs::rename(&part, path)
    };
    put().map_err(|error| {
        // What there is of it helps nobody.
        let _ = std::fs::remove_file(&part);
        Failed::local(format!("{}: {error}", path.display()))
    })
}

/// Writes a draft that nobody signed. One that somebody signed is not replaced by it.
pub(crate) fn write_draft(path: &Path, draft: &Signed) -> Result<(), Failed> {
    let signed_before = match read(path) {
        Ok(bytes) => Signed::from_bytes(&bytes).is_ok_and(|before| !before.signatures.is_empty()),
        Err(_) => false,
    };
    if signed_before {
        return Err(Failed::usage(format!(
            "{}: roots signed what stands there: name another file, or remove it",
            path.display()
        )));
    }
    write(path, &draft.to_bytes())
}

/// Whose signatures stand under bytes, and whether they verify.
pub(crate) fn signatures(signed: &Signed) -> Value {
    let message = root_signing_bytes(&signed.bytes.0);
    let rows = signed
        .signatures
        .iter()
        .map(|s| view::signature(&s.root, verify(&s.root, &message, &s.signature).is_ok()));
    Value::Array(rows.collect())
}

/// A root-signed statement in a file, and what it says.
pub(crate) fn read_statement(path: &Path) -> Result<(Signed, Statement), Failed> {
    let wrong = |error: carnet_domain::bytes::encoding::DecodeError| {
        Failed::unreadable(format!("{}: {error}", path.display()))
    };
    let signed = Signed::from_bytes(&read(path)?).map_err(wrong)?;
    let statement = Statement::from_bytes(&signed.bytes.0).map_err(wrong)?;
    Ok((signed, statement))
}

/// The roots in the PKI directory, signing or not.
pub(crate) fn roots_in_directory(directory: &Path) -> Result<(Vec<PublicKey>, u8), Failed> {
    let mut roots = Vec::new();
    for number in 1..=3 {
        let seed = directory.join(format!("root/root-{number}.seed"));
        let public = directory.join(format!("root/root-{number}.pub"));
        if seed.exists() {
            roots.push(keys::read_seed(&seed)?.public());
        } else if public.exists() {
            roots.push(keys::read_public_key(&public)?);
        }
    }
    let threshold = if roots.len() == 1 { 1 } else { 2 };
    Ok((roots, threshold))
}

/// The cluster of the PKI directory, if there is one at hand.
pub(crate) fn cluster_of(settings: &Settings) -> Result<Option<[u8; 16]>, Failed> {
    match settings.pki_dir() {
        Ok(directory) if directory.join(keys::CLUSTER_FILE).exists() => {
            Ok(Some(keys::read_cluster(directory)?.bytes()))
        }
        _ => Ok(None),
    }
}

/// Refuses what is meant for another cluster than that of the PKI directory: it may have the same roots, as a sandbox has, and what a
/// node says of itself is nobody's word.
pub(crate) fn of_own_cluster(settings: &Settings, cluster: &[u8; 16]) -> Result<(), Failed> {
    match cluster_of(settings)? {
        Some(own) if own != *cluster => Err(Failed {
            next: "Nothing was drafted or signed. Ask the nodes of the cluster of this PKI directory (--endpoints, --admin-endpoints), or name the \
                   directory of the cluster that is meant (--pki)."
                .into(),
            ..Failed::usage(format!(
                "it is for the cluster {}, and --pki is of the cluster {}",
                hex::encode(cluster),
                hex::encode(own)
            ))
        }),
        _ => Ok(()),
    }
}

/// Signs a statement with our roots and puts it into the log.
pub(crate) async fn state(
    settings: &Settings,
    statement: &Statement,
    value: Value,
) -> Result<Outcome, Failed> {
    let signed = Roots::open(settings.pki_dir()?)?.sign(&statement.to_bytes());
    submit(settings, statement, &signed, value).await
}

/// Puts a statement that was signed into the log.
pub(crate) async fn submit(
    settings: &Settings,
    statement: &Statement,
    signed: &Signed,
    value: Value,
) -> Result<Outcome, Failed> {
    let answer = settings.admin()?.submit_statement(signed).await;
    let answer = answer.map_err(|error| by_whom(error.into(), signed))?;
    let stated =
        json!({"statement": parse::hyphened(statement.name()), "at": view::time(answer.at)});
    accepted(&answer, merge(stated, value))
}

/// A statement lacks signatures of its roots.
pub(crate) const UNSIGNED: &str = "STATEMENT_UNSIGNED";

/// A statement has the number of one before it, or a lower one.
pub(crate) const STALE: &str = "STATEMENT_STALE";

/// Said of a statement that our own roots were to sign.
pub(crate) const BY_WHOM: &str = "it is signed by";

/// Whose signatures a statement has that lacks some, and where it says whose it takes.
fn by_whom(failed: Failed, signed: &Signed) -> Failed {
    if failed.reason != UNSIGNED {
        return failed;
    }
    let ours: Vec<String> = signed
        .signatures
        .iter()
        .map(|one| view::key_print(&one.root))
        .collect();
    let text = match ours.as_slice() {
        [] => format!("{}; {BY_WHOM} nobody", failed.text),
        ours => format!("{}; {BY_WHOM} {}", failed.text, ours.join(", ")),
    };
    Failed {
        text,
        next: "Have the roots in force sign it: carnet root list shows them; the seeds in root/ of --pki sign unless others are \
               named."
            .into(),
        ..failed
    }
}

/// Whether a history has what a step of an order says of a key: of one that was stolen, no more is believed than it says.
pub(crate) fn is_taken(step: &KeyStep, history: &KeyHistory) -> bool {
    let mut newest_first = history.all().iter().rev();
    let entry = newest_first.find(|entry| entry.key == *step.key());
    entry.is_some_and(|entry| match (step, entry.end) {
        (KeyStep::Add { .. }, _) => true,
        (KeyStep::Activate { .. }, _) => entry.activated.is_some(),
        (KeyStep::Retire { .. }, end) => end.is_some(),
        (KeyStep::Compromise { last_good, .. }, Some(end)) => {
            let believed = end.last_good.map_or(0, |good| good.size);
            end.cause == KeyCause::Compromised && believed <= last_good.size
        }
        (KeyStep::Compromise { .. }, None) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_another_cluster_is_not_signed() {
        let folder = tempfile::tempdir().expect("a folder");
        let call = [
            "carnet",
            "--pki",
            &folder.path().display().to_string(),
            "demo",
        ]
        .map(str::to_owned);
        let cli = <crate::Cli as clap::Parser>::try_parse_from(call).expect("a call");
        let settings = cli.global.settings().expect("settings");
        let of = |cluster: [u8; 16]| of_own_cluster(&settings, &cluster).map_err(|it| it.text);
        assert_eq!(of([5; 16]), Ok(()), "none is at hand");
        std::fs::write(
            folder.path().join(keys::CLUSTER_FILE),
            format!("{}\n", "05".repeat(16)),
        )
        .expect("written");
        assert_eq!(of([5; 16]), Ok(()));
        assert!(of([6; 16]).expect_err("another").contains("05050505"));
    }
}
