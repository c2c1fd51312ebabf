//! Which bundles were pinned on this machine. A pinned sequence only rises: whoever hands out a bundle from before a key was
//! replaced is told so, instead of being believed once more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use carnet_client::private_folder;
use carnet_trust::pins::Pins;
use serde::{Deserialize, Serialize};

use crate::exit::Failed;

/// The newest bundle of one country that was pinned here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    sequence: u64,
    fingerprint: String,
}

/// By primary prefix.
type All = BTreeMap<String, Newest>;

/// Holds pins against those that were given here before, and keeps the newer ones.
///
/// # Errors
/// A bundle is older than one that was pinned before, or another of the same sequence; or the file cannot be kept.
pub(crate) fn only_rise(pins: &Pins, state_dir: &Path) -> Result<(), Failed> {
    let file = state_dir.join("pins/bundles.json");
    let wrong =
        |error: &dyn std::fmt::Display| Failed::local(format!("{}: {error}", file.display()));
    let before: All = match std::fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => All::new(),
        Err(error) => return Err(wrong(&error)),
    };
    let after = risen(&before, pins)?;
    if after == before {
        return Ok(());
    }
    let bytes = serde_json::to_vec_pretty(&after).map_err(|error| wrong(&error))?;
    let part = PathBuf::from(format!("{}.{}.part", file.display(), std::process::id()));
    let keep = || -> std::io::Result<()> {
        if let Some(parent) = file.parent() {
            private_folder(parent)?;
        }
        std::fs::write(&part, &bytes)?;
        std::fs::rename(&part, &file)
    };
    keep().map_err(|error| wrong(&error))
}

fn risen(before: &All, pins: &Pins) -> Result<All, Failed> {
    let mut after = before.clone();
    for pin in pins.all() {
        // Root keys have no sequence.
        let Some(bundle) = pin.bundle() else {
            continue;
        };
        let prefix = pin.primary().to_string();
        let now = Newest {
            sequence: bundle.bundle().sequence,
            fingerprint: bundle.bundle().fingerprint().to_string(),
        };
        match before.get(&prefix) {
            Some(known) if now.sequence < known.sequence => {
                return Err(Failed::usage(format!(
                    "the bundle of {prefix} has sequence {}, and sequence {} was pinned here before: pin the newer one (fingerprint {})",
                    now.sequence, known.sequence, known.fingerprint
                )));
            }
            Some(known) if now.sequence == known.sequence && now != *known => {
                return Err(Failed::usage(format!(
                    "two bundles of {prefix} have sequence {}: pinned here before was fingerprint {}, this is {}: compare them with \
                     {prefix}",
                    now.sequence, known.fingerprint, now.fingerprint
                )));
            }
            _ => {
                after.insert(prefix, now);
            }
        }
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::code::Prefix;
    use carnet_domain::bytes::encoding::{Blob, Canonical};
    use carnet_domain::bytes::signature::SecretKey;
    use carnet_domain::bytes::time::{DurationMs, TimeMs};
    use carnet_domain::record::offices::Profile;
    use carnet_domain::record::peer::{
        Bundle, KeyringKind, RootSignature, Signed, root_signing_bytes,
    };
    use carnet_trust::pins::Pin;
    use carnet_trust::verdict::OWN_AGE_MAX;

    use super::*;

    fn pins(sequence: u64, name: &str) -> Pins {
        let key = SecretKey::from_seed(&[7; 32]);
        let own = Prefix::parse("49").expect("a prefix");
        let bundle = Bundle {
            name: name.into(),
            prefixes: vec![own],
            sequence,
            incarnation: 0,
            keyring: KeyringKind::File,
            roots: vec![key.public()],
            threshold: 1,
            log_key: key.public(),
            profile: Profile::Sandbox,
            certificates: Vec::new(),
            endpoints: Vec::new(),
            refresh: DurationMs::from_days(1),
            valid_to: TimeMs::MAX,
        };
        let bytes = bundle.to_bytes();
        let signature = RootSignature {
            root: key.public(),
            signature: key.sign(&root_signing_bytes(&bytes)),
        };
        let signed = Signed {
            bytes: Blob(bytes),
            signatures: vec![signature],
        };
        let pin = Pin::of_bundle(&signed).expect("signed by its root");
        Pins::new(own, vec![pin], OWN_AGE_MAX).expect("pins")
    }

    #[test]
    fn a_pinned_sequence_only_rises() {
        let name = format!("carnet-pins-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let refused = |pins: &Pins| match only_rise(pins, &directory) {
            Ok(()) => String::new(),
            Err(failed) => failed.text,
        };
        assert_eq!(refused(&pins(3, "Germany")), "");
        assert_eq!(refused(&pins(3, "Germany")), "", "the same once more");
        assert_eq!(refused(&pins(5, "Germany")), "");
        let older = refused(&pins(4, "Germany"));
        assert!(
            older.contains("has sequence 4, and sequence 5 was pinned"),
            "{older}"
        );
        let other = refused(&pins(5, "Deutschland"));
        assert!(
            other.contains("two bundles of 49 have sequence 5"),
            "{other}"
        );
        assert_eq!(
            refused(&pins(5, "Germany")),
            "",
            "a refusal changes nothing"
        );
        std::fs::remove_dir_all(&directory).expect("it was made here");
    }
}
