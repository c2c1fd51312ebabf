//! Which countries were pinned on this machine: their roots, and the newest bundle of each. A pinned sequence only rises, so that
//! whoever hands out a bundle from before a key was replaced is told so. Other roots are a question for people: which of two is the
//! true one, no sequence says.
//!
//! Remembered is a country only once the pack of the own country bore it out: a wrong file that was given by mistake leaves nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use carnet_client::{keys, private_folder};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::record::peer::Bundle;
use carnet_trust::bundle::{BUNDLE_FILE_BYTES_MAX, of_file};
use carnet_trust::pins::{Pin, Pins};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bounded::read_bounded;
use crate::exit::Failed;
use crate::output::say;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum PinVerb {
    /// Lists the countries that were pinned on this machine and borne out by our own pack.
    List,
    /// Forgets a country that was pinned here: its roots were compared wrongly, or replaced. Compare the new ones first.
    Forget {
        /// Its primary prefix.
        #[arg(value_name = "PREFIX")]
        country: Prefix,
    },
}

pub(crate) fn run(verb: &PinVerb, state_dir: &Path) -> Result<Outcome, Failed> {
    let kept = Kept::of(state_dir);
    let all = kept.read()?;
    match verb {
        PinVerb::List => {
            let row = |(prefix, newest): (&String, &Newest)| {
                json!({
                    "country": prefix,
                    "sequence": newest.sequence.to_string(),
                    "fingerprint": newest.print(),
                    "roots": newest.keys().iter().map(view::key_print).collect::<Vec<_>>(),
                })
            };
            let rows: Vec<_> = all.iter().map(row).collect();
            Ok(json!({ "pinned": rows }).into())
        }
        PinVerb::Forget { country: prefix } => {
            let mut after = all;
            let Some(newest) = after.remove(&prefix.to_string()) else {
                return Err(Failed::usage(format!("{prefix} was not pinned here")));
            };
            kept.write(&after)?;
            Ok(json!({
                "forgotten": prefix.to_string(),
                "sequence": newest.sequence.to_string(),
                "fingerprint": newest.print(),
            })
            .into())
        }
    }
}

/// The newest bundle of one country that was pinned here, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    sequence: u64,
    fingerprint: String,
    /// Ascending.
    roots: Vec<String>,
    threshold: u8,
}

impl Newest {
    /// Of a pin by bundle: root keys have no sequence.
    fn of(pin: &Pin) -> Option<Self> {
        let bundle = pin.bundle()?.bundle();
        Some(Self {
            sequence: bundle.sequence,
            fingerprint: bundle.fingerprint().to_string(),
            roots: texts(pin.roots().0),
            threshold: pin.roots().1,
        })
    }

    /// Its fingerprint as people read it to each other.
    fn print(&self) -> String {
        let digest = Digest::parse(&self.fingerprint);
        digest.map_or_else(|_| self.fingerprint.clone(), |digest| view::print(&digest))
    }

    fn keys(&self) -> Vec<PublicKey> {
        let bytes = self.roots.iter().filter_map(|text| keys::parse_seed(text));
        bytes
            .filter_map(|bytes| PublicKey::enroll(bytes).ok())
            .collect()
    }
}

fn texts(roots: &[PublicKey]) -> Vec<String> {
    let mut texts: Vec<String> = roots.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts
}

/// By primary prefix.
type All = BTreeMap<String, Newest>;

/// The file in which they are kept.
struct Kept {
    file: PathBuf,
}

impl Kept {
    fn of(state_dir: &Path) -> Self {
        let file = state_dir.join("pins/countries.json");
        Self { file }
    }

    fn wrong(&self, error: &dyn std::fmt::Display) -> Failed {
        Failed::local(format!("{}: {error}", self.file.display()))
    }

    fn read(&self) -> Result<All, Failed> {
        match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| self.wrong(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(All::new()),
            Err(error) => Err(self.wrong(&error)),
        }
    }

    fn write(&self, all: &All) -> Result<(), Failed> {
        let bytes = serde_json::to_vec_pretty(all).map_err(|error| self.wrong(&error))?;
        let part = format!("{}.{}.part", self.file.display(), std::process::id());
        let keep = || -> std::io::Result<()> {
            if let Some(parent) = self.file.parent() {
                private_folder(parent)?;
            }
            std::fs::write(&part, &bytes)?;
            std::fs::rename(&part, &self.file)
        };
        keep().map_err(|error| self.wrong(&error))
    }
}

/// Holds pins against those that were borne out here before.
///
/// # Errors
/// A bundle is older than the one before, another of its sequence, or of roots that the ones before did not sign for.
pub(crate) fn compare(pins: &Pins, state_dir: &Path) -> Result<(), Failed> {
    let before = Kept::of(state_dir).read()?;
    let mut known = pins
        .all()
        .filter_map(|pin| Some((pin, before.get(&pin.primary().to_string())?)));
    known.try_for_each(|(pin, before)| goes_on(pin, before))
}

/// Says of bundles that are given which are newer than those that the context pins: who gives one each time forgets it once, and is
/// refused then for the older one.
pub(crate) fn say_newer(of_context: &[PathBuf], given: &Pins) {
    for file in of_context {
        let read = read_bounded(file, BUNDLE_FILE_BYTES_MAX).ok();
        let signed = read.and_then(|bytes| of_file(&bytes).ok());
        let Some(pinned) = signed.and_then(|signed| Bundle::from_bytes(&signed.bytes.0).ok())
        else {
            continue;
        };
        let newer = pinned.primary().and_then(|prefix| given.of(&prefix));
        let newer = newer.and_then(|pin| Some((pin.primary(), pin.bundle()?.bundle())));
        if let Some((prefix, newer)) = newer.filter(|(_, newer)| newer.sequence > pinned.sequence) {
            say(format!(
                "the context pins sequence {} of {prefix}, and this is sequence {}: carnet context change NAME --pin FILE={} puts it there",
                pinned.sequence,
                newer.sequence,
                view::print(&newer.fingerprint()),
            ));
        }
    }
}

/// Remembers the countries that the pack of the own country bore out.
///
/// # Errors
/// The file cannot be kept.
pub(crate) fn remember(pins: &Pins, borne_out: &[Prefix], state_dir: &Path) -> Result<(), Failed> {
    let kept = Kept::of(state_dir);
    let before = kept.read()?;
    let mut after = before.clone();
    let pinned = borne_out.iter().filter_map(|prefix| pins.of(prefix));
    after.extend(pinned.filter_map(|pin| Some((pin.primary().to_string(), Newest::of(pin)?))));
    match after == before {
        true => Ok(()),
        false => kept.write(&after),
    }
}

fn goes_on(pin: &Pin, before: &Newest) -> Result<(), Failed> {
    let prefix = pin.primary();
    let now = Newest::of(pin);
    let same = texts(pin.roots().0) == before.roots;
    // A country that replaces its roots signs the next bundle with those before, too.
    let replaced = !same && pin.is_signed_by(&before.keys(), before.threshold);
    let was = format!(
        "sequence {}, fingerprint {}",
        before.sequence,
        before.print()
    );
    let given = now.as_ref().map_or_else(
        || "root keys alone".to_owned(),
        |now| format!("sequence {}, fingerprint {}", now.sequence, now.print()),
    );
    let (said, next) = match (&now, same || replaced) {
        (Some(now), _) if now.sequence < before.sequence => (
            format!(
                "the bundle of {prefix} that is given now is older than the one that was pinned here before. Before: {was}; now: {given}"
            ),
            update(prefix),
        ),
        (_, false) => {
            let newer = match &now {
                Some(now) if now.sequence > before.sequence => {
                    ", and is the newer one by its number"
                }
                _ => "",
            };
            (
                format!(
                    "{prefix} has other roots than those that were pinned here before, which did not sign for these. Before: {was}; now: \
                     {given}{newer}"
                ),
                format!(
                    "Compare both fingerprints with {prefix} on a way of your own. If the one given now is wrong, do not use it; if the one \
                     before was never right, carnet pin forget {prefix} has it forgotten."
                ),
            )
        }
        (Some(now), true)
            if now.sequence == before.sequence && now.fingerprint != before.fingerprint =>
        {
            (
                format!("two bundles of {prefix} have one sequence. Before: {was}; now: {given}"),
                format!(
                    "Compare both fingerprints with {prefix} on a way of your own, and pin the one that it says."
                ),
            )
        }
        (_, true) => return Ok(()),
    };
    Err(Failed {
        next,
        ..Failed::usage(said)
    })
}

/// What to do about an older bundle: never to forget the newer one.
fn update(prefix: Prefix) -> String {
    format!(
        "Give the newer one: carnet context change NAME --pin FILE=FINGERPRINT if a context pins the older one (carnet context list), else \
         --pin FILE. Who does not have the file asks {prefix} for it."
    )
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::encoding::Blob;
    use carnet_domain::bytes::signature::SecretKey;
    use carnet_domain::bytes::time::{DurationMs, TimeMs};
    use carnet_domain::record::offices::Profile;
    use carnet_domain::record::peer::{KeyringKind, RootSignature, Signed, root_signing_bytes};
    use carnet_trust::verdict::OWN_AGE_MAX;

    use super::*;

    fn own() -> Prefix {
        Prefix::parse("49").expect("a prefix")
    }

    /// A pin of one root, signed by it and by others.
    fn pins(sequence: u64, name: &str, root: u8, others: &[u8]) -> Pins {
        let key = |seed: u8| SecretKey::from_seed(&[seed; 32]);
        let bundle = Bundle {
            name: name.into(),
            prefixes: vec![own()],
            sequence,
            incarnation: 0,
            keyring: KeyringKind::File,
            roots: vec![key(root).public()],
            threshold: 1,
            log_key: key(7).public(),
            profile: Profile::Sandbox,
            certificates: Vec::new(),
            endpoints: Vec::new(),
            refresh: DurationMs::from_days(1),
            valid_to: TimeMs::MAX,
        };
        let bytes = bundle.to_bytes();
        let sign = |seed: &u8| RootSignature {
            root: key(*seed).public(),
            signature: key(*seed).sign(&root_signing_bytes(&bytes)),
        };
        let signatures = [root].iter().chain(others).map(sign).collect();
        let signed = Signed {
            bytes: Blob(bytes.clone()),
            signatures,
        };
        let pin = Pin::of_bundle(&signed).expect("signed by its root");
        Pins::new(own(), vec![pin], OWN_AGE_MAX).expect("pins")
    }

    struct Desk(tempfile::TempDir);

    impl Desk {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a folder"))
        }

        fn refused(&self, pins: &Pins) -> String {
            let found = compare(pins, self.0.path());
            let said = |failed: Failed| format!("{} {}", failed.text, failed.next);
            found.map_or_else(said, |()| String::new())
        }

        /// Compared, and then borne out by a pack.
        fn judges(&self, pins: &Pins) -> String {
            let refused = self.refused(pins);
            if refused.is_empty() {
                remember(pins, &[own()], self.0.path()).expect("kept");
            }
            refused
        }
    }

    #[test]
    fn a_pinned_sequence_only_rises() {
        let desk = Desk::new();
        assert_eq!(desk.judges(&pins(3, "Germany", 1, &[])), "");
        assert_eq!(desk.judges(&pins(3, "Germany", 1, &[])), "", "once more");
        assert_eq!(desk.judges(&pins(5, "Germany", 1, &[])), "");
        let older = desk.judges(&pins(4, "Germany", 1, &[]));
        assert!(
            older.contains("given now is older") && older.contains("Before: sequence 5"),
            "{older}"
        );
        let other = desk.judges(&pins(5, "Deutschland", 1, &[]));
        assert!(
            other.contains("two bundles of 49 have one sequence"),
            "{other}"
        );
        assert_eq!(desk.judges(&pins(5, "Germany", 1, &[])), "");
    }

    /// Roots that were replaced sign for the next ones; any others are a question, and never "pin the newer one".
    #[test]
    fn other_roots_are_a_question() {
        let desk = Desk::new();
        assert_eq!(desk.judges(&pins(3, "Germany", 1, &[])), "");
        for sequence in [3, 1 << 40] {
            let question = desk.judges(&pins(sequence, "Germany", 2, &[]));
            assert!(question.contains("other roots than those"), "{question}");
            assert!(!question.contains("the newer one:"), "{question}");
            assert!(question.contains("carnet pin forget 49"), "{question}");
        }
        assert_eq!(desk.judges(&pins(4, "Germany", 2, &[1])), "", "replaced");
        let back = desk.judges(&pins(5, "Germany", 1, &[]));
        assert!(back.contains("other roots than those"), "{back}");
        // The roots that were replaced: nobody is told to forget the new ones for them.
        let older = desk.judges(&pins(3, "Germany", 1, &[]));
        assert!(older.contains("is older than the one"), "{older}");
        assert!(older.contains("context change"), "{older}");
        assert!(!older.contains("forget"), "{older}");
        let roots = Pin::of_roots(own(), vec![SecretKey::from_seed(&[1; 32]).public()], 1);
        let roots = Pins::new(own(), vec![roots.expect("a root")], OWN_AGE_MAX).expect("pins");
        let question = desk.refused(&roots);
        assert!(question.contains("root keys alone"), "{question}");
        // Whoever compared them says so.
        let state_dir = desk.0.path();
        let said = run(&PinVerb::List, state_dir).expect("listed").value;
        assert_eq!(said["pinned"][0]["sequence"], "4");
        // As `root list` and `bundle show` print the same.
        let root = SecretKey::from_seed(&[2; 32]).public();
        assert_eq!(said["pinned"][0]["roots"][0], view::key_print(&root));
        let print = said["pinned"][0]["fingerprint"].as_str().expect("a text");
        let pinned = pins(4, "Germany", 2, &[1]);
        let pinned = pinned
            .of(&own())
            .and_then(|pin| pin.bundle())
            .expect("pinned");
        let shown = view::bundle(pinned.bundle());
        assert_eq!(shown["fingerprint"], print);
        let forget = PinVerb::Forget { country: own() };
        run(&forget, state_dir).expect("forgotten");
        assert!(run(&forget, state_dir).is_err(), "it is gone");
        assert_eq!(desk.judges(&pins(5, "Germany", 1, &[])), "");
    }

    /// A wrong file that was given once leaves nothing behind: nothing was judged under it.
    #[test]
    fn what_no_pack_bears_out_is_not_remembered() {
        let desk = Desk::new();
        let forged = pins(1 << 40, "Germany", 2, &[]);
        assert_eq!(desk.refused(&forged), "");
        remember(&forged, &[], desk.0.path()).expect("nothing to keep");
        assert_eq!(desk.judges(&pins(3, "Germany", 1, &[])), "");
    }
}
