//! What two countries sign about each other: bundles, peers, agreements.

use std::path::{Path, PathBuf};

use carnet_client::{keys, wall_time};
use carnet_domain::bytes::code::{ModelId, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::signature::{PublicKey, SecretKey, verify};
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::{
    Agreement as Agreed, Bundle as TrustBundle, Clause, KeyringKind, RootSignature, Signed,
    Statement, root_signing_bytes, roots_after, signed_by_roots,
};
use carnet_domain::record::{AgreementRef, Severity};
use carnet_domain::rules::command::{Command, Purpose};
use carnet_trust::bundle::{BUNDLE_FILE_BYTES_MAX, PinnedBundle, of_file, to_file, verify_bundle};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::bounded::read_bounded;
use crate::context::Settings;
use crate::exit::{Failed, chain};
use crate::offices::{office_signers, profile_of};
use crate::output::say;
use crate::parse::{self, When};
use crate::submit::{self, Write, accepted, merge};
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
    let signed_before = match std::fs::read(path) {
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

#[derive(Debug, Subcommand)]
pub(crate) enum Bundle {
    /// Writes the root-signed bundle that other countries pin. Compare its fingerprint out of band.
    Export(Box<Export>),
    /// Shows a bundle and its fingerprint.
    Show {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// Name of the jurisdiction.
    #[arg(long)]
    name: String,
    /// Federation endpoints, host:port, separated by commas: where other countries ask us. Default is those of our bundle before, which
    /// the context pins or which stands in FILE.
    #[arg(long, value_delimiter = ',')]
    federation_endpoints: Vec<String>,
    /// State no endpoint: no other country reads our mail or asks us then.
    #[arg(long, conflicts_with = "federation_endpoints")]
    no_endpoints: bool,
    /// Further prefixes beside the primary one.
    #[arg(long = "also", value_delimiter = ',')]
    also: Vec<Prefix>,
    /// Counts up with every change; default is one more than the highest of our bundle that the context pins, the one in FILE if one
    /// is there, and the one in the registry, which may be ahead by 1000 at the most. With none of them it is 1.
    #[arg(long)]
    sequence: Option<u64>,
    /// Incarnation of the log; default is that of our bundle that the context pins, else 0.
    #[arg(long)]
    incarnation: Option<u64>,
    /// Whose roots and threshold are stated: a bundle of ours that was compared, or the file of `root rotate` with all its signatures.
    /// Default is our bundle that the context pins, else the roots in root/ of --pki, or those whose seeds --root names.
    /// Either leads on from our bundle that the context pins, else from the roots in root/ of --pki: those before signed it too. May be
    /// repeated, in the order of the replacements.
    #[arg(long, value_name = "FILE")]
    roots_of: Vec<PathBuf>,
    /// The public log key; default is that of our bundle that the context pins, else keys/log.pub of --pki.
    #[arg(long, value_name = "FILE")]
    log_key: Option<PathBuf>,
    /// production or sandbox; default is that of our bundle that the context pins, else as the admins in --pki make it.
    #[arg(long, value_parser = profile)]
    profile: Option<Profile>,
    /// How often others should fetch it anew.
    #[arg(long, default_value = "1d", value_parser = parse::duration)]
    refresh: DurationMs,
    /// Valid until.
    #[arg(long, default_value = "+365d", allow_hyphen_values = true)]
    valid_to: When,
    /// A root seed that signs; default is every one in root/ of --pki. May be repeated.
    #[arg(long = "root", value_name = "FILE")]
    roots: Vec<PathBuf>,
    /// A root seed of those before a replacement of the roots, who sign it too, so that whoever pinned them follows. May be
    /// repeated.
    #[arg(long = "former-root", value_name = "FILE")]
    former_roots: Vec<PathBuf>,
    /// Ask no registry whether it says the same, and which bundle was the last: what is at hand is stated, true or not.
    #[arg(long)]
    offline: bool,
}

fn profile(text: &str) -> Result<Profile, String> {
    match text {
        "production" => Ok(Profile::Production),
        "sandbox" => Ok(Profile::Sandbox),
        _ => Err("production or sandbox".into()),
    }
}

/// How far a registry may be ahead of the bundles at hand: nobody can state a bundle after the last sequence there is.
const SEQUENCES_AHEAD_MAX: u64 = 1_000;

fn prints(keys: &[PublicKey]) -> String {
    let prints: Vec<String> = keys.iter().map(view::key_print).collect();
    prints.join(", ")
}

/// What a bundle says of the registry that it is of.
struct Stated {
    roots: Vec<PublicKey>,
    threshold: u8,
    incarnation: u64,
    profile: Profile,
    log_key: PublicKey,
    /// The sequence of the last one stated.
    last: Option<u64>,
    /// Where the last one has us asked.
    endpoints: Vec<String>,
}

/// The number of the next bundle, and how it was found.
#[derive(Debug, PartialEq, Eq)]
struct Next {
    sequence: u64,
    from: &'static str,
}

/// Nothing at hand says that there was a bundle before.
const GUESSED: &str = "a guess: no bundle of ours is at hand or stated at home, so it is taken for the first; if others have one, say --sequence, \
                       one more than theirs";

impl Stated {
    /// As one node says the registry is: nobody signs this, it is compared with what is at hand.
    async fn told(settings: &Settings) -> Result<Self, Failed> {
        let asked = async {
            let found = settings.client()?.unverified().registry().await;
            Ok::<_, Failed>(found?.value)
        };
        let registry = asked.await.map_err(|failed| Failed {
            next: format!(
                "What a bundle states is compared with what the registry says; --offline asks nobody. {}",
                failed.next
            ),
            ..failed
        })?;
        Ok(Self {
            roots: registry.roots,
            threshold: registry.threshold,
            incarnation: registry.incarnation,
            profile: registry.offices.profile,
            log_key: registry.log_key,
            last: registry.bundle.map(|own| own.sequence),
            endpoints: Vec::new(),
        })
    }

    /// As is said in the call, by our bundle that the context pins, and by the keys in the PKI directory, in this order.
    fn at_hand(
        export: &Export,
        settings: &Settings,
        primary: Option<Prefix>,
        seeds: &Roots,
    ) -> Result<Self, Failed> {
        let directory = settings.pki_dir()?;
        let pinned = own_pinned(settings, primary)?;
        let before = match &pinned {
            Some(own) => (own.roots.clone(), own.threshold),
            None => roots_in_directory(directory)?,
        };
        let (roots, threshold) = match (export.roots_of.is_empty(), &pinned) {
            (false, _) => roots_led_to(&export.roots_of, before, primary, cluster_of(settings)?)?,
            (true, Some(_)) => before,
            (true, None) => roots_by_keys(before.0, seeds),
        };
        let log_key = match (&export.log_key, &pinned) {
            (Some(file), _) => keys::read_public_key(file)?,
            (None, Some(own)) => own.log_key,
            (None, None) => keys::read_public_key(&directory.join("keys/log.pub"))?,
        };
        let profile = match (export.profile, &pinned, primary) {
            (Some(profile), ..) => profile,
            (None, Some(own), _) => own.profile,
            (None, None, Some(prefix)) => profile_of(&office_signers(directory, prefix)?),
            (None, None, None) => Profile::Sandbox,
        };
        let known = pinned.as_ref().map(|own| own.incarnation);
        let there = match export.file.exists() {
            true => read_bundle(&export.file).ok().map(|(_, bundle)| bundle),
            false => None,
        };
        let before = pinned.iter().chain(&there);
        let before = before.max_by_key(|bundle| bundle.sequence);
        let (last, endpoints) = match before {
            Some(bundle) => (Some(bundle.sequence), bundle.endpoints.clone()),
            None => (None, Vec::new()),
        };
        Ok(Self {
            roots,
            threshold,
            incarnation: export.incarnation.or(known).unwrap_or_default(),
            profile,
            log_key,
            last,
            endpoints,
        })
    }

    /// Takes nothing from what a node says but the order of the roots: it is the same in all else, or it is refused.
    fn compared(self, told: &Self) -> Result<Self, Failed> {
        let sorted = |keys: &[PublicKey]| {
            let mut keys = keys.to_vec();
            keys.sort_unstable();
            keys
        };
        let mut differs = Vec::new();
        let mut compare = |what: &str, ours: String, theirs: String, same: bool| {
            if !same {
                differs.push(format!("{what}: here {ours}, the node says {theirs}"));
            }
        };
        compare(
            "roots",
            prints(&self.roots),
            prints(&told.roots),
            sorted(&self.roots) == sorted(&told.roots),
        );
        compare(
            "threshold",
            self.threshold.to_string(),
            told.threshold.to_string(),
            self.threshold == told.threshold,
        );
        compare(
            "log key",
            view::key_print(&self.log_key),
            view::key_print(&told.log_key),
            self.log_key == told.log_key,
        );
        compare(
            "incarnation",
            self.incarnation.to_string(),
            told.incarnation.to_string(),
            self.incarnation == told.incarnation,
        );
        compare(
            "profile",
            format!("{:?}", self.profile).to_lowercase(),
            format!("{:?}", told.profile).to_lowercase(),
            self.profile == told.profile,
        );
        if !differs.is_empty() {
            let mut failed = Failed::usage(format!(
                "a node says of the registry what is not at hand here: {}",
                differs.join("; ")
            ));
            failed.next = "Nothing was signed. Either that node lies, or what is at hand is old or not whole: ask another node \
                           (--endpoints), and people who know. Then say what is true: --roots-of with the file of `carnet root \
                           rotate` or a bundle of ours that was compared, --log-key, --incarnation, --profile. --offline asks nobody."
                .into();
            return Err(failed);
        }
        Ok(Self {
            roots: told.roots.clone(),
            ..self
        })
    }

    /// Refuses seeds that cannot sign it: what others are sent by them is refused there, or believed though it is over.
    fn signed_by(&self, seeds: &Roots) -> Result<(), Failed> {
        let at_hand = seeds.public();
        let over: Vec<PublicKey> = at_hand
            .iter()
            .filter(|key| !self.roots.contains(key))
            .copied()
            .collect();
        let text = if !over.is_empty() {
            format!(
                "root {} is in force no more; in force: {}",
                prints(&over),
                prints(&self.roots)
            )
        } else if at_hand.len() < usize::from(self.threshold) {
            format!(
                "{} of the roots sign ({}), it takes {}",
                at_hand.len(),
                prints(&at_hand),
                self.threshold
            )
        } else {
            return Ok(());
        };
        let mut failed = Failed::usage(text);
        failed.next = "Name the seeds of the roots in force with --root (carnet root list), and those of the roots before a \
                       replacement with --former-root. If what is stated here is from before a replacement, name its file with \
                       --roots-of."
            .into();
        Err(failed)
    }

    /// The sequence of the next one: of those at hand and the one that a node says, the higher counts.
    fn next(&self, told: Option<u64>) -> Result<Next, Failed> {
        let from = match (self.last, told) {
            (None, None) => GUESSED,
            (None, Some(_)) => "the one stated at home",
            (Some(_), None) => "the bundle at hand; none is stated at home",
            (Some(_), Some(_)) => "the bundle at hand, and the one stated at home",
        };
        let known = self.last.unwrap_or_default();
        let told = told.unwrap_or_default();
        if told.saturating_sub(known) > SEQUENCES_AHEAD_MAX {
            let mut failed = Failed::usage(format!(
                "a node says that the last bundle has sequence {told}, and the last one at hand has {known}"
            ));
            failed.next = "Nothing was signed. Peers take no lower sequence ever after: ask another node (--endpoints), then say the \
                           next one with --sequence."
                .into();
            return Err(failed);
        }
        let sequence = known.max(told).saturating_add(1);
        Ok(Next { sequence, from })
    }

    /// Where others ask us: as is said, else as the bundle before has it. A bundle without any cuts us off from whoever takes it, and
    /// is signed by nobody by mistake.
    fn endpoints(&self, export: &Export) -> Result<Vec<String>, Failed> {
        let said = &export.federation_endpoints;
        match (said.is_empty(), export.no_endpoints) {
            (false, _) => Ok(said.clone()),
            (true, true) => Ok(Vec::new()),
            (true, false) if !self.endpoints.is_empty() => Ok(self.endpoints.clone()),
            (true, false) => {
                let text = "the bundle would name no endpoint: whoever takes it has nobody to ask, and reads our mail no more";
                Err(Failed {
                    next: "Nothing was signed. Say where other countries reach us, --federation-endpoints HOST:PORT,HOST:PORT, or \
                           --no-endpoints if that is meant."
                        .into(),
                    ..Failed::usage(text)
                })
            }
        }
    }
}

/// Our own bundle that the context pins; of several, the newest.
fn own_pinned(settings: &Settings, primary: Option<Prefix>) -> Result<Option<TrustBundle>, Failed> {
    let mut newest: Option<TrustBundle> = None;
    for file in settings.pinned().0 {
        let own = of_roots(file)?;
        let newer = newest
            .as_ref()
            .is_none_or(|known| known.sequence < own.sequence);
        if primary.is_some() && own.primary() == primary && newer {
            newest = Some(own);
        }
    }
    Ok(newest)
}

/// A bundle that its own roots signed.
fn of_roots(file: &Path) -> Result<TrustBundle, Failed> {
    let (signed, bundle) = read_bundle(file)?;
    let held = PinnedBundle::by_roots(&signed, &bundle.roots, bundle.threshold);
    held.map_err(|error| Failed::unreadable(format!("{}: {}", file.display(), chain(&error))))?;
    Ok(bundle)
}

/// The roots and the threshold that files lead to from those before, one after the other. What they name alone speaks for nothing:
/// whoever makes keys can have them sign for themselves.
fn roots_led_to(
    files: &[PathBuf],
    before: (Vec<PublicKey>, u8),
    primary: Option<Prefix>,
    cluster: Option<[u8; 16]>,
) -> Result<(Vec<PublicKey>, u8), Failed> {
    let mut now = before;
    for file in files {
        let wrong = |text: &str| {
            Failed {
            next: "Nothing was signed. Give every replacement since (--roots-of, in their order), or have the context pin our bundle from \
                   before it (carnet context change); a file that those before did not sign is nobody's."
                .into(),
            ..Failed::usage(format!("{}: {text}", file.display()))
        }
        };
        let drafted = Signed::from_bytes(&read(file)?).ok();
        let stated = drafted.and_then(|signed| {
            let statement = Statement::from_bytes(&signed.bytes.0).ok()?;
            Some((signed, statement))
        });
        match stated {
            Some((signed, Statement::Roots { change })) => {
                if cluster.is_some_and(|own| own != change.cluster) {
                    return Err(wrong("a replacement of the roots of another cluster"));
                }
                let led = roots_after(&now.0, now.1, std::slice::from_ref(&signed), Level::KNOWN);
                let after = (change.roots, change.threshold);
                // It may have been followed already: whoever signs by it pins its outcome, or has its seeds in root/.
                let known = same_roots(&after, &now)
                    && signed_by_roots(&after.0, after.1, &signed.bytes.0, &signed.signatures);
                match led {
                    Some(after) => now = after,
                    None if known => {}
                    None => {
                        return Err(wrong(
                            "it does not lead on from the roots before: they have not signed it",
                        ));
                    }
                }
            }
            Some(_) => return Err(wrong("neither a bundle nor a replacement of roots")),
            None => {
                let bundle = of_roots(file)?;
                if bundle.primary() != primary {
                    return Err(wrong("a bundle of another country"));
                }
                let (signed, _) = read_bundle(file)?;
                let by_those = signed_by_roots(&now.0, now.1, &signed.bytes.0, &signed.signatures);
                let after = (bundle.roots, bundle.threshold);
                if !by_those && !same_roots(&after, &now) {
                    return Err(wrong("the roots before have not signed it"));
                }
                now = after;
            }
        }
    }
    Ok(now)
}

/// Whether they are the same keys, in whatever order, of which as many sign.
fn same_roots(one: &(Vec<PublicKey>, u8), other: &(Vec<PublicKey>, u8)) -> bool {
    let sorted = |keys: &[PublicKey]| {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys
    };
    one.1 == other.1 && sorted(&one.0) == sorted(&other.0)
}

/// The cluster of the PKI directory, if there is one at hand.
fn cluster_of(settings: &Settings) -> Result<Option<[u8; 16]>, Failed> {
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

/// The roots in the PKI directory, signing or not.
fn roots_in_directory(directory: &Path) -> Result<(Vec<PublicKey>, u8), Failed> {
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

/// Those roots; where other seeds sign, these.
fn roots_by_keys(roots: Vec<PublicKey>, seeds: &Roots) -> (Vec<PublicKey>, u8) {
    let roots = match seeds.public().iter().all(|seed| roots.contains(seed)) {
        true => roots,
        false => seeds.public(),
    };
    let threshold = if roots.len() == 1 { 1 } else { 2 };
    (roots, threshold)
}

pub(crate) async fn bundle(verb: Bundle, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Bundle::Export(export) => {
            let directory = settings.pki_dir()?;
            let seeds = Roots::of(&export.roots, settings)?;
            let certificates = keys::read_chain(&directory.join("root/roots.crt"))?;
            let pinned = keys::read_roots(&directory.join("root/roots.crt"))?;
            let primary: Vec<Prefix> = pinned.jurisdictions().collect();
            let at_hand = Stated::at_hand(&export, settings, primary.first().copied(), &seeds)?;
            let (stated, last) = match export.offline {
                true => (at_hand, None),
                false => {
                    let told = Stated::told(settings).await?;
                    (at_hand.compared(&told)?, told.last)
                }
            };
            stated.signed_by(&seeds)?;
            let next = match export.sequence {
                Some(sequence) => {
                    let from = "the call";
                    Next { sequence, from }
                }
                None => stated.next(last)?,
            };
            if next.from == GUESSED {
                say(format!("sequence {} is {GUESSED}", next.sequence));
            }
            let endpoints = stated.endpoints(&export)?;
            let bundle = TrustBundle {
                name: export.name,
                prefixes: primary.into_iter().chain(export.also).collect(),
                sequence: next.sequence,
                incarnation: stated.incarnation,
                keyring: KeyringKind::File,
                roots: stated.roots,
                threshold: stated.threshold,
                log_key: stated.log_key,
                profile: stated.profile,
                certificates: certificates.iter().map(|der| Blob(der.to_vec())).collect(),
                endpoints,
                refresh: export.refresh,
                valid_to: export.valid_to.resolve(),
            };
            let mut signed = seeds.sign(&bundle.to_bytes());
            if !export.former_roots.is_empty() {
                Roots::of(&export.former_roots, settings)?.add_to(&mut signed);
            }
            write(&export.file, to_file(&signed).as_bytes())?;
            let more = json!({
                "sequence_from": next.from,
                "signatures": signatures(&signed),
                "file": export.file.display().to_string(),
                "next": "Others compare its fingerprint and state it; state it at home too, so that the next sequence is known: carnet peer \
                         add --bundle FILE --fingerprint FINGERPRINT.",
            });
            Ok(merge(view::bundle(&bundle), more).into())
        }
        Bundle::Show { file } => {
            let (signed, bundle) = read_bundle(&file)?;
            Ok(merge(
                view::bundle(&bundle),
                json!({"signatures": signatures(&signed)}),
            )
            .into())
        }
    }
}

pub(crate) fn read_bundle(path: &Path) -> Result<(Signed, TrustBundle), Failed> {
    bundle_in(path, &read(path)?)
}

/// A bundle in bytes that were read from a file.
pub(crate) fn bundle_in(path: &Path, bytes: &[u8]) -> Result<(Signed, TrustBundle), Failed> {
    let wrong = |text: String| Failed::unreadable(format!("{}: {text}", path.display()));
    let signed = of_file(bytes).map_err(|error| wrong(chain(&error)))?;
    let bundle =
        TrustBundle::from_bytes(&signed.bytes.0).map_err(|error| wrong(error.to_string()))?;
    Ok((signed, bundle))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// Recognises another country by its bundle, whose fingerprint two people compared. Root-signed here. Our own bundle, stated the
    /// same way, goes into evidence files.
    Add {
        /// The other country's bundle.
        #[arg(long)]
        bundle: PathBuf,
        /// The fingerprint as the other side said it.
        #[arg(long)]
        fingerprint: String,
        /// A replacement of the other country's roots since the bundle that stands here (the file of its `root rotate`), where the
        /// new bundle is not signed by the roots that stand here too. May be repeated, in the order of the replacements.
        #[arg(long = "root-change", value_name = "FILE")]
        root_changes: Vec<PathBuf>,
    },
    /// Shows a peer.
    Get {
        /// Its primary prefix.
        peer: Prefix,
    },
    /// Lists peers.
    List,
    /// Takes a peer out of quarantine that signed two leaves of one robot of which one alone can be: says which counts. Root-signed
    /// here. `peer get` shows the fork with both leaves; compare with the other country's registry first. A log with two
    /// histories is left only by another life of it (a bundle with a higher incarnation).
    Release {
        /// Its primary prefix.
        peer: Prefix,
        /// Our leaf with the evidence, as `peer get` shows it.
        #[arg(long)]
        fork: u64,
        /// The leaf that counts: 64 hexadecimal digits.
        #[arg(long)]
        counts: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Clears a peer's claim that an identity ended: it blocks no registration here any more. Of this registry's own prefix,
    /// frees a part that somebody fitted who is not its maker, and ends what was said of its end: two registrars say so, and
    /// whose word it was does not say it again.
    ClearClaim {
        /// The peer's primary prefix, or this registry's own.
        peer: Prefix,
        /// The identity, as the refusal shows it: 64 hexadecimal digits.
        identity: String,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
}

pub(crate) async fn peer(verb: Peer, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Peer::Add {
            bundle,
            fingerprint,
            root_changes,
        } => {
            let (signed, read) = read_bundle(&bundle)?;
            let plain: String = fingerprint
                .chars()
                .filter(|c| !matches!(c, ' ' | ':' | '-'))
                .collect();
            let fingerprint = Digest::parse(&plain)
                .map_err(|error| Failed::usage(format!("--fingerprint: {error}")))?;
            // Refused here already: a wrong bundle must not even reach the roots' signature.
            verify_bundle(&signed, &fingerprint).map_err(|error| {
                Failed::usage(format!("{}: {}", bundle.display(), chain(&error)))
            })?;
            let changes = match (root_changes.as_slice(), read.primary()) {
                ([], _) | (_, None) => Vec::new(),
                (files, Some(primary)) => {
                    let pinned = settings.client()?.unverified().peer(primary).await?;
                    changes_since(&pinned.value.bundle, files)?
                }
            };
            let statement = Statement::Recognise {
                bundle: signed,
                fingerprint,
                changes,
            };
            let value = view::bundle(&read);
            let pinned = "Who pinned a country's roots believes the next bundle by their signature: after a replacement of its \
                          roots those before sign it too (there: carnet bundle export --former-root).";
            let refused = |failed: Failed| {
                match failed.reason.as_str() {
                UNSIGNED if !failed.text.contains(BY_WHOM) => Failed {
                    next: pinned.into(),
                    ..failed
                },
                STALE => Failed {
                    next: "That country signs one with a higher sequence (there: carnet bundle export --sequence, one more than the one \
                           known)."
                        .into(),
                    ..failed
                },
                _ => failed,
            }
            };
            state(settings, &statement, value).await.map_err(refused)
        }
        Peer::Get { peer } => {
            let found = settings.client()?.unverified().peer(peer).await?;
            let agreements: Vec<Value> =
                found.value.agreements.iter().map(view::agreement).collect();
            Ok(merge(view::peer(&found.value), json!({"agreements": agreements})).into())
        }
        Peer::Release {
            peer,
            fork,
            counts,
            reason,
        } => {
            let counts = Digest::parse(counts.trim())
                .map_err(|error| Failed::usage(format!("--counts: {error}")))?;
            let known = settings.client()?.unverified().peer(peer).await?.value;
            if !known.quarantined {
                let text = format!("{peer} is in no quarantine: there is nothing to release");
                return Err(Failed {
                    next: "Nothing was sent. carnet peer get shows what is known of a peer; of one that is doubted, see the \
                           runbook doubted-peer."
                        .into(),
                    ..Failed::usage(text)
                });
            }
            let value = json!({"peer": peer.to_string(), "fork": fork.to_string(), "counts": counts.to_string()});
            let statement = Statement::Settle {
                peer,
                fork,
                counts,
                reason,
            };
            state(settings, &statement, value).await
        }
        Peer::ClearClaim {
            peer,
            identity,
            reason,
            write,
        } => {
            let identity = Digest::parse(identity.trim())
                .map_err(|error| Failed::usage(format!("{identity:?}: {error}")))?;
            let extra = json!({"peer": peer.to_string(), "identity": identity.to_string()});
            let command = Command::ClearClaim {
                peer,
                identity,
                reason,
            };
            submit::one(settings, write, command, extra).await
        }
        Peer::List => {
            let client = settings.client()?;
            let mut rows = Vec::new();
            let mut token = String::new();
            loop {
                let page = client.unverified().peers(0, &token).await?;
                rows.extend(page.values.iter().map(view::peer));
                token = page.next;
                if token.is_empty() {
                    return Ok(Value::Array(rows).into());
                }
            }
        }
    }
}

/// The replacements of roots in files that lead on from a bundle: those that it knows already are left out.
fn changes_since(pinned: &TrustBundle, files: &[PathBuf]) -> Result<Vec<Signed>, Failed> {
    let read = |file: &PathBuf| Ok(read_statement(file)?.0);
    let mut changes = files.iter().map(read).collect::<Result<Vec<_>, Failed>>()?;
    let (roots, threshold) = (&pinned.roots, pinned.threshold);
    let leads = |changes: &[Signed]| roots_after(roots, threshold, changes, Level::KNOWN);
    let known = (0..changes.len()).find(|known| leads(changes.split_at(*known).1).is_some());
    let Some(known) = known else {
        return Err(Failed::usage(
            "--root-change: they do not lead on from the roots that stand here, one after the other",
        ));
    };
    Ok(changes.split_off(known))
}

/// Signs a statement with our roots and puts it into the log.
async fn state(
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
const UNSIGNED: &str = "STATEMENT_UNSIGNED";
/// A statement has the number of one before it, or a lower one.
const STALE: &str = "STATEMENT_STALE";
/// Said of a statement that our own roots were to sign.
const BY_WHOM: &str = "it is signed by";

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

#[derive(Debug, Subcommand)]
pub(crate) enum Agreement {
    /// Drafts an agreement of two countries in a file, for both sides' roots to sign.
    Draft(Box<Draft>),
    /// Adds our roots' signatures to a draft.
    Sign {
        /// The draft; it is replaced.
        file: PathBuf,
    },
    /// Shows a draft and who signed it.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Puts an agreement that both sides signed into our log.
    Publish {
        /// The file.
        file: PathBuf,
    },
    /// Suspends a version of an agreement: no new offers and permits. Immediate.
    Suspend {
        /// The agreement and its version, as name:version.
        #[arg(value_parser = parse::agreement)]
        agreement: AgreementRef,
        /// With which country.
        #[arg(long)]
        peer: Prefix,
        /// Counts up with every suspension of this version.
        #[arg(long, default_value = "1")]
        number: u32,
        /// Until when; a time that has passed ends the suspension.
        #[arg(long, default_value = "+365d", allow_hyphen_values = true)]
        until: When,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// Where to.
    #[arg(long)]
    file: PathBuf,
    /// Its name, the same in all versions: 0-9, A-Z and single -.
    #[arg(long, value_parser = carnet_client::identity::canonical)]
    id: String,
    /// Counts up from 1.
    #[arg(long, default_value = "1")]
    version: u32,
    /// The two parties, separated by a comma.
    #[arg(long, value_delimiter = ',', required = true)]
    parties: Vec<Prefix>,
    /// In force from.
    #[arg(long, default_value = "-1m", allow_hyphen_values = true)]
    from: When,
    /// In force until.
    #[arg(long, default_value = "+365d", allow_hyphen_values = true)]
    to: When,
    /// A clause as recogniser=49,issuer=86[,levels=1-5][,classes=1-4][,purposes=P+P][,models=M+M][,age=24h][,severity=stop-use][,count=N].
    /// Without any, each side recognises everything of the other.
    #[arg(long = "clause", value_parser = clause)]
    clauses: Vec<Clause>,
}

/// Everything of one country's robots, recognised by another.
fn everything(number: u16, recogniser: Prefix, issuer: Prefix) -> Clause {
    Clause {
        number,
        recogniser,
        issuer,
        models: Vec::new(),
        levels: (1..=5).collect(),
        safety_classes: (1..=4).collect(),
        purposes: Purpose::ALL.to_vec(),
        checkpoint_age_max: DurationMs::from_days(1),
        recall_severity_max: Severity::StopUse,
        recall_count_max: u32::MAX,
    }
}

fn range(text: &str) -> Result<Vec<u8>, String> {
    let number = |text: &str| {
        text.parse::<u8>()
            .map_err(|_| format!("{text:?} is no number"))
    };
    match text.split_once('-') {
        Some((from, to)) => Ok((number(from)?..=number(to)?).collect()),
        None => text.split('+').map(number).collect(),
    }
}

fn clause(text: &str) -> Result<Clause, String> {
    let field = |name: &str| {
        text.split(',').find_map(|pair| {
            pair.split_once('=')
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value)
        })
    };
    const NAMES: [&str; 9] = [
        "recogniser",
        "issuer",
        "levels",
        "classes",
        "purposes",
        "models",
        "age",
        "severity",
        "count",
    ];
    for pair in text.split(',') {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if !NAMES.contains(&name) {
            return Err(format!("{name:?} is none of {}", NAMES.join(", ")));
        }
    }
    let prefix = |name: &str| {
        let text = field(name).ok_or_else(|| format!("{name} is missing"))?;
        Prefix::parse(text).map_err(|error| format!("{name}: {error}"))
    };
    let mut clause = everything(0, prefix("recogniser")?, prefix("issuer")?);
    if let Some(text) = field("levels") {
        clause.levels = range(text)?;
    }
    if let Some(text) = field("classes") {
        clause.safety_classes = range(text)?;
    }
    if let Some(text) = field("purposes") {
        clause.purposes = text
            .split('+')
            .map(parse::purpose)
            .collect::<Result<_, _>>()?;
    }
    if let Some(text) = field("models") {
        let model = |text: &str| ModelId::parse(text).map_err(|error| format!("models: {error}"));
        clause.models = text.split('+').map(model).collect::<Result<_, _>>()?;
    }
    if let Some(text) = field("age") {
        clause.checkpoint_age_max = parse::duration(text)?;
    }
    if let Some(text) = field("severity") {
        clause.recall_severity_max = parse::severity(text)?;
    }
    if let Some(text) = field("count") {
        clause.recall_count_max = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    }
    Ok(clause)
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

fn read_agreement(path: &Path) -> Result<(Signed, Agreed), Failed> {
    let wrong = |error: carnet_domain::bytes::encoding::DecodeError| {
        Failed::unreadable(format!("{}: {error}", path.display()))
    };
    let signed = Signed::from_bytes(&read(path)?).map_err(wrong)?;
    let agreement = Agreed::from_bytes(&signed.bytes.0).map_err(wrong)?;
    Ok((signed, agreement))
}

fn shown(agreement: &Agreed, signed: &Signed, file: &Path) -> Value {
    let more = json!({"signatures": signatures(signed), "file": file.display().to_string()});
    merge(view::agreement(agreement), more)
}

pub(crate) async fn agreement(verb: Agreement, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Agreement::Draft(draft) => {
            let [a, b] = draft.parties.as_slice() else {
                return Err(Failed::usage("an agreement has two parties"));
            };
            let (low, high) = if a < b { (*a, *b) } else { (*b, *a) };
            if low == high {
                return Err(Failed::usage("an agreement has two different parties"));
            }
            let mut clauses = draft.clauses;
            if clauses.is_empty() {
                clauses = vec![everything(0, low, high), everything(0, high, low)];
            }
            for (number, clause) in (1..).zip(&mut clauses) {
                clause.number = number;
            }
            let agreement = Agreed {
                id: draft.id,
                version: draft.version,
                parties: (low, high),
                effective_from: draft.from.resolve(),
                effective_to: draft.to.resolve(),
                clauses,
            };
            let signed = Signed {
                bytes: Blob(agreement.to_bytes()),
                signatures: Vec::new(),
            };
            write_draft(&draft.file, &signed)?;
            Ok(shown(&agreement, &signed, &draft.file).into())
        }
        Agreement::Sign { file } => {
            let (mut signed, agreement) = read_agreement(&file)?;
            Roots::open(settings.pki_dir()?)?.add_to(&mut signed);
            write(&file, &signed.to_bytes())?;
            Ok(shown(&agreement, &signed, &file).into())
        }
        Agreement::Show { file } => {
            let (signed, agreement) = read_agreement(&file)?;
            Ok(shown(&agreement, &signed, &file).into())
        }
        Agreement::Publish { file } => {
            let (signed, agreement) = read_agreement(&file)?;
            let now = wall_time();
            let value = merge(
                view::agreement(&agreement),
                json!({"in_force": agreement.in_force(now)}),
            );
            state(settings, &Statement::Agree { agreement: signed }, value).await
        }
        Agreement::Suspend {
            agreement,
            peer,
            number,
            until,
            reason,
        } => {
            let value = json!({"agreement": agreement.to_string(), "reason": reason});
            state(
                settings,
                &Statement::Suspend {
                    peer,
                    agreement,
                    number,
                    until: until.resolve(),
                    reason,
                },
                value,
            )
            .await
        }
    }
}

#[cfg(test)]
mod tests {
    use carnet_domain::record::peer::RootsChange;

    use super::*;

    #[test]
    fn a_clause_is_read_field_by_field() {
        let read = clause(
            "recogniser=49,issuer=86,levels=1-3,classes=2+4,purposes=exhibition+transit,age=2h,severity=remedy,count=10",
        );
        let clause = read.expect("a clause");
        assert_eq!(clause.levels, [1, 2, 3]);
        assert_eq!(clause.safety_classes, [2, 4]);
        assert_eq!(clause.purposes, [Purpose::Exhibition, Purpose::Transit]);
        assert_eq!(clause.checkpoint_age_max, DurationMs::from_secs(7_200));
        assert_eq!(
            (clause.recall_severity_max, clause.recall_count_max),
            (Severity::Remedy, 10)
        );
    }

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn stated(roots: &[u8], last: Option<u64>) -> Stated {
        Stated {
            roots: roots.iter().map(|seed| key(*seed).public()).collect(),
            threshold: 2,
            incarnation: 0,
            profile: Profile::Production,
            log_key: key(9).public(),
            last,
            endpoints: Vec::new(),
        }
    }

    /// One node's word never becomes what the roots sign.
    #[test]
    fn what_a_node_says_of_the_registry_is_compared_and_not_stated() {
        let same = stated(&[1, 2], None).compared(&stated(&[2, 1], None));
        let same = same.map_err(|failed| failed.text).expect("the same");
        assert_eq!(
            same.roots,
            stated(&[2, 1], None).roots,
            "as the registry has them"
        );
        let lies: [(&str, Stated); 5] = [
            ("roots", stated(&[1, 2, 3], None)),
            (
                "threshold",
                Stated {
                    threshold: 1,
                    ..stated(&[1, 2], None)
                },
            ),
            (
                "log key",
                Stated {
                    log_key: key(8).public(),
                    ..stated(&[1, 2], None)
                },
            ),
            (
                "incarnation",
                Stated {
                    incarnation: 1,
                    ..stated(&[1, 2], None)
                },
            ),
            (
                "profile",
                Stated {
                    profile: Profile::Sandbox,
                    ..stated(&[1, 2], None)
                },
            ),
        ];
        for (what, told) in lies {
            let refused = stated(&[1, 2], None).compared(&told).err().expect(what);
            assert!(refused.text.contains(what), "{}", refused.text);
            assert!(refused.next.contains("--roots-of"), "{}", refused.next);
        }
        let more = stated(&[1, 2], None).compared(&stated(&[1, 2, 3], None));
        let text = more.err().expect("refused").text;
        assert!(
            text.contains(&view::key_print(&key(3).public())),
            "both are shown: {text}"
        );
    }

    #[test]
    fn a_sequence_that_leaves_no_next_one_is_not_taken_from_a_node() {
        let next = |at_hand, told| {
            let found = stated(&[1], at_hand).next(told).ok();
            found.map(|next| next.sequence)
        };
        assert_eq!(next(None, None), Some(1));
        assert_eq!(next(Some(7), Some(5)), Some(8));
        assert_eq!(next(Some(5), Some(7)), Some(8));
        assert_eq!(next(Some(5), Some(1_005)), Some(1_006));
        assert_eq!(next(Some(5), Some(1_006)), None);
        assert_eq!(next(None, Some((1 << 48) - 1)), None);
    }

    /// Once, a first number was stated as if it had been asked for, and every peer refused it.
    #[test]
    fn a_number_that_nothing_at_hand_speaks_for_is_called_a_guess() {
        let from = |at_hand, told| stated(&[1], at_hand).next(told).ok().map(|it| it.from);
        assert_eq!(from(None, None), Some(GUESSED));
        for (at_hand, told) in [(Some(1), None), (None, Some(1)), (Some(2), Some(1))] {
            assert_ne!(from(at_hand, told), Some(GUESSED));
        }
    }

    /// Once, the next bundle of a country left its endpoints out, and its peers read its mail no more, without a word.
    #[test]
    fn no_bundle_names_no_endpoint_by_mistake() {
        let export = |rest: &str| {
            let call = format!("carnet bundle export --file x --name X{rest}");
            let cli = <crate::Cli as clap::Parser>::try_parse_from(call.split(' '));
            match cli.expect("a call").noun {
                crate::Noun::Bundle(Bundle::Export(export)) => *export,
                _ => panic!("another noun"),
            }
        };
        let before = |endpoints: &[&str]| Stated {
            endpoints: endpoints.iter().map(|one| (*one).to_owned()).collect(),
            ..stated(&[1], Some(1))
        };
        let found = |endpoints: &[&str], rest: &str| {
            before(endpoints)
                .endpoints(&export(rest))
                .map_err(|failed| failed.next)
        };
        let refused = found(&[], "").expect_err("none");
        assert!(refused.contains("--federation-endpoints"), "{refused}");
        assert_eq!(found(&["a:1"], "").expect("as before"), ["a:1"]);
        let said = found(&["a:1"], " --federation-endpoints b:1,c:1");
        assert_eq!(said.expect("said"), ["b:1", "c:1"]);
        assert!(found(&["a:1"], " --no-endpoints").expect("said").is_empty());
    }

    /// Of the roots in the directory all are stated, whichever sign; others are those that are named.
    #[test]
    fn roots_are_stated_by_the_keys_at_hand() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("made");
        for number in 1..=3_u8 {
            let text = keys::public_text(&key(number).public());
            std::fs::write(root.join(format!("root-{number}.pub")), text).expect("written");
        }
        let of = |seeds: &[u8]| {
            let seeds = Roots(seeds.iter().map(|seed| key(*seed)).collect());
            let found = roots_in_directory(folder.path());
            let found = found.map_err(|failed| failed.text).expect("roots");
            roots_by_keys(found.0, &seeds)
        };
        assert_eq!(of(&[1, 3]), (stated(&[1, 2, 3], None).roots, 2));
        assert_eq!(of(&[4]), (stated(&[4], None).roots, 1));
    }

    /// A replacement says which roots follow only when those before and those after signed it, of this cluster: once, whoever made
    /// keys had them sign for themselves, and the true roots then stated them.
    #[test]
    fn a_replacement_of_roots_leads_on_from_those_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let change = |number: u64, roots: &[u8]| RootsChange {
            cluster: [5; 16],
            number,
            roots: roots.iter().map(|seed| key(*seed).public()).collect(),
            threshold: 1,
            reason: "root-1 is old".into(),
        };
        let file = |name: &str, change: RootsChange, signers: &[u8]| {
            let file = folder.path().join(name);
            let bytes = Statement::Roots { change }.to_bytes();
            let signers = Roots(signers.iter().map(|seed| key(*seed)).collect());
            write(&file, &signers.sign(&bytes).to_bytes()).expect("written");
            file
        };
        let before = || (vec![key(1).public()], 1);
        let led = |files: &[PathBuf], cluster: [u8; 16]| {
            let found = roots_led_to(files, before(), None, Some(cluster));
            found.map_err(|failed| failed.text)
        };
        let first = file("1.cbor", change(1, &[4]), &[1, 4]);
        let second = file("2.cbor", change(2, &[6]), &[4, 6]);
        let after = |seed: u8| Ok((vec![key(seed).public()], 1));
        assert_eq!(led(std::slice::from_ref(&first), [5; 16]), after(4));
        assert_eq!(led(&[first.clone(), second.clone()], [5; 16]), after(6));
        for (files, cluster) in [
            (vec![file("x.cbor", change(1, &[4]), &[4])], [5; 16]),
            (vec![file("y.cbor", change(1, &[1, 4]), &[4])], [5; 16]),
            (vec![file("z.cbor", change(1, &[4]), &[1])], [5; 16]),
            (vec![second], [5; 16]),
            (vec![first.clone()], [6; 16]),
        ] {
            assert!(led(&files, cluster).is_err(), "{files:?}");
        }
        // Whoever has the new seeds in place already is where it leads.
        let there = roots_led_to(&[first], (vec![key(4).public()], 1), None, None);
        assert_eq!(there.map_err(|failed| failed.text), after(4));
    }

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

    #[test]
    fn a_misspelt_field_never_widens_a_clause() {
        assert!(
            clause("recogniser=49,issuer=86,level=1")
                .expect_err("misspelt")
                .contains("\"level\"")
        );
        assert!(
            clause("recogniser=49")
                .expect_err("no issuer")
                .contains("issuer is missing")
        );
    }
}
