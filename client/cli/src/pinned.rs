//! Which countries were pinned on this machine: their roots, and the newest bundle of each. A pinned sequence only rises, so that
//! whoever hands out a bundle from before a key was replaced is told so. Other roots are a question for people: which of two is the
//! true one, no sequence says.
//!
//! Remembered is a country only once the pack of the own country bore it out: a wrong file that was given by mistake leaves nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use carnet_client::{keys, private_folder};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::record::peer::Bundle;
use carnet_trust::bundle::{BUNDLE_FILE_BYTES_MAX, of_file};
use carnet_trust::pins::{Pin, Pins};
use serde::{Deserialize, Serialize};

use crate::bounded::read_bounded;
use crate::exit::Failed;
use crate::output::say;
use crate::view;

/// The newest bundle of one country that was pinned here, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Newest {
    pub(crate) sequence: u64,
    fingerprint: String,
    /// Ascending.
    roots: Vec<String>,
    threshold: u8,
    /// The roots that these, or some of these, replaced here, the newest last.
    #[serde(default)]
    replaced: Vec<Set>,
}

/// Root keys of which so many sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Set {
    /// Ascending.
    roots: Vec<String>,
    threshold: u8,
}

impl Set {
    fn of(pin: &Pin) -> Self {
        let (roots, threshold) = pin.roots();
        let mut roots: Vec<String> = roots.iter().map(ToString::to_string).collect();
        roots.sort_unstable();
        Self { roots, threshold }
    }
}

/// For people who compare two of them.
impl std::fmt::Display for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.roots.len();
        write!(
            f,
            "{} of {count} roots sign: {}",
            self.threshold,
            self.roots.join(", ")
        )
    }
}

impl Newest {
    /// Of a pin by bundle: root keys have no sequence.
    fn of(pin: &Pin) -> Option<Self> {
        let bundle = pin.bundle()?.bundle();
        let Set { roots, threshold } = Set::of(pin);
        Some(Self {
            sequence: bundle.sequence,
            fingerprint: bundle.fingerprint().to_string(),
            roots,
            threshold,
            replaced: Vec::new(),
        })
    }

    /// As it is remembered after what was before.
    fn behind(mut self, before: Option<&Self>) -> Self {
        let Some(before) = before else {
            return self;
        };
        self.replaced.clone_from(&before.replaced);
        if self.set() != before.set() {
            self.replaced.push(before.set());
        }
        self
    }

    fn set(&self) -> Set {
        Set {
            roots: self.roots.clone(),
            threshold: self.threshold,
        }
    }

    /// Its fingerprint as people read it to each other.
    pub(crate) fn print(&self) -> String {
        let digest = Digest::parse(&self.fingerprint);
        digest.map_or_else(|_| self.fingerprint.clone(), |digest| view::print(&digest))
    }

    pub(crate) fn keys(&self) -> Vec<PublicKey> {
        let bytes = self.roots.iter().filter_map(|text| keys::parse_seed(text));
        bytes
            .filter_map(|bytes| PublicKey::enroll(bytes).ok())
            .collect()
    }
}

/// By primary prefix.
pub(crate) type All = BTreeMap<String, Newest>;

/// The file in which they are kept.
pub(crate) struct Kept {
    file: PathBuf,
}

impl Kept {
    pub(crate) fn of(state_dir: &Path) -> Self {
        let file = state_dir.join("pins/countries.json");
        Self { file }
    }

    fn wrong(&self, error: &dyn std::fmt::Display) -> Failed {
        Failed::local(format!("{}: {error}", self.file.display()))
    }

    pub(crate) fn read(&self) -> Result<All, Failed> {
        match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| self.wrong(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(All::new()),
            Err(error) => Err(self.wrong(&error)),
        }
    }

    /// Nobody else changes the file meanwhile, as long as this is held.
    pub(crate) fn alone(&self) -> Result<File, Failed> {
        let lock = self.file.with_extension("lock");
        let take = || -> std::io::Result<File> {
            if let Some(parent) = lock.parent() {
                private_folder(parent)?;
            }
            let file = File::create(&lock)?;
            file.lock()?;
            Ok(file)
        };
        take().map_err(|error| self.wrong(&error))
    }

    pub(crate) fn write(&self, all: &All) -> Result<(), Failed> {
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
    // Most runs change nothing, and wait for nobody.
    if after(&kept.read()?, pins, borne_out).is_none() {
        return Ok(());
    }
    let _alone = kept.alone()?;
    match after(&kept.read()?, pins, borne_out) {
        Some(after) => kept.write(&after),
        None => Ok(()),
    }
}

/// What is remembered with them, if that is anything new. A sequence never falls, whoever wrote it meanwhile.
fn after(before: &All, pins: &Pins, borne_out: &[Prefix]) -> Option<All> {
    let mut after = before.clone();
    let pinned = borne_out.iter().filter_map(|prefix| pins.of(prefix));
    let pinned = pinned.filter(|pin| {
        let known = before.get(&pin.primary().to_string());
        known.is_none_or(|known| goes_on(pin, known).is_ok())
    });
    after.extend(pinned.filter_map(|pin| {
        let name = pin.primary().to_string();
        let newest = Newest::of(pin)?.behind(before.get(&name));
        Some((name, newest))
    }));
    (after != *before).then_some(after)
}

fn goes_on(pin: &Pin, before: &Newest) -> Result<(), Failed> {
    let prefix = pin.primary();
    let now = Newest::of(pin);
    let given = Set::of(pin);
    // Root keys alone say how many sign by no more than their number.
    let same = match now {
        Some(_) => given == before.set(),
        None => given.roots == before.roots,
    };
    let was = format!(
        "sequence {}, fingerprint {}",
        before.sequence,
        before.print()
    );
    let is = now.as_ref().map_or_else(
        || "root keys alone".to_owned(),
        |now| format!("sequence {}, fingerprint {}", now.sequence, now.print()),
    );
    let older = now
        .as_ref()
        .is_some_and(|now| now.sequence < before.sequence);
    let (said, next) = match &now {
        _ if older && (same || before.replaced.contains(&given)) => (
            format!(
                "the bundle of {prefix} that is given now is older than the one that was pinned here before. Before: {was}; now: {is}"
            ),
            update(prefix),
        ),
        _ if !same && !replaces(pin, before) => {
            let order = match &now {
                Some(now) if now.sequence > before.sequence => {
                    ", and is the newer one by its number"
                }
                Some(_) if older => ", and is the older one by its number",
                _ => "",
            };
            let (old, new) = (before.set(), given);
            (
                format!(
                    "{prefix} has other roots than those that were pinned here before, which did not sign for these. Before: {was} ({old}); \
                     now: {is} ({new}){order}"
                ),
                format!(
                    "Compare both fingerprints with {prefix} on a way of your own. If the one given now is wrong, give the one before; if the \
                     one before was never right, carnet pin forget {prefix} has it forgotten."
                ),
            )
        }
        Some(now) if now.sequence == before.sequence && now.fingerprint != before.fingerprint => (
            format!("two bundles of {prefix} have one sequence. Before: {was}; now: {is}"),
            format!(
                "Compare both fingerprints with {prefix} on a way of your own, and pin the one that it says."
            ),
        ),
        _ => return Ok(()),
    };
    Err(Failed {
        next,
        ..Failed::usage(said)
    })
}

/// Whether a pin has roots that those of before signed for: a country that replaces its roots signs the next bundle with those, too.
/// That goes up in sequence: whatever one of before signed earlier says nothing of what came later.
fn replaces(pin: &Pin, before: &Newest) -> bool {
    let newer = Newest::of(pin).is_some_and(|now| now.sequence > before.sequence);
    newer && pin.is_signed_by(&before.keys(), before.threshold)
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
    use super::*;
    use crate::pin::{PinVerb, run};
    use carnet_domain::bytes::encoding::Blob;
    use carnet_domain::bytes::signature::SecretKey;
    use carnet_domain::bytes::time::DurationMs;
    use carnet_domain::bytes::time::TimeMs;
    use carnet_domain::record::keys::KeyHistory;
    use carnet_domain::record::offices::Profile;
    use carnet_domain::record::peer::KeyringKind;
    use carnet_domain::record::peer::RootSignature;
    use carnet_domain::record::peer::Signed;
    use carnet_domain::record::peer::root_signing_bytes;
    use carnet_trust::verdict::OWN_AGE_MAX;

    fn own() -> Prefix {
        Prefix::parse("49").expect("a prefix")
    }

    /// A pin of one root, signed by it and by others.
    fn pins(sequence: u64, name: &str, root: u8, others: &[u8]) -> Pins {
        pins_of(sequence, name, (&[root], 1), others)
    }

    /// A pin of several roots, of which so many sign: the last of them, and others.
    fn pins_of(sequence: u64, name: &str, (roots, threshold): (&[u8], u8), others: &[u8]) -> Pins {
        let key = |seed: u8| SecretKey::from_seed(&[seed; 32]);
        let public: Vec<_> = roots.iter().map(|root| key(*root).public()).collect();
        let bundle = Bundle {
            name: name.into(),
            prefixes: vec![own()],
            sequence,
            incarnation: 0,
            keyring: KeyringKind::File,
            keys: KeyHistory::at_genesis(&public, key(7).public()),
            roots: public,
            threshold,
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
        let signatures = roots.last().into_iter().chain(others).map(sign).collect();
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
            assert!(!question.contains("Give the newer"), "{question}");
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

    /// Among a forger's roots the true ones may stand: they signed no bundle of his, and theirs replaces nothing of his.
    #[test]
    fn true_roots_beside_a_forgers_are_other_roots() {
        let forged = pins_of(1 << 40, "Germany", (&[1, 2, 9], 1), &[]);
        let right = pins_of(7, "Germany", (&[1, 2], 2), &[1]);
        let desk = Desk::new();
        assert_eq!(desk.judges(&forged), "", "were it ever borne out");
        let question = desk.judges(&right);
        assert!(question.contains("other roots than those"), "{question}");
        assert!(question.contains("1 of 3 roots sign"), "{question}");
        assert!(question.contains("2 of 2 roots sign"), "{question}");
        assert!(
            question.contains("the older one by its number"),
            "{question}"
        );
        assert!(question.contains("carnet pin forget 49"), "{question}");
        assert!(!question.contains("Give the newer"), "{question}");
        // The same keys, of which fewer sign, are others too.
        let desk = Desk::new();
        assert_eq!(desk.judges(&right), "");
        let fewer = desk.judges(&pins_of(8, "Germany", (&[1, 2], 1), &[]));
        assert!(fewer.contains("other roots than those"), "{fewer}");
        let both = pins_of(8, "Germany", (&[1, 2], 1), &[1]);
        assert_eq!(desk.judges(&both), "", "as both say");
    }

    /// Two runs beside each other read the file at the same moment, and the one that wrote last took back what the other had.
    #[test]
    fn what_another_run_remembered_meanwhile_stays() {
        let desk = Desk::new();
        let (older, newer) = (pins(3, "Germany", 1, &[]), pins(5, "Germany", 1, &[]));
        assert_eq!(desk.refused(&older), "");
        assert_eq!(desk.judges(&newer), "");
        remember(&older, &[own()], desk.0.path()).expect("nothing to keep");
        let refused = desk.refused(&older);
        assert!(refused.contains("Before: sequence 5"), "{refused}");
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
