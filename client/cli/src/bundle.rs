//! `carnet bundle`: what other countries need to believe this one. A bundle states what is at hand here; what a node says is compared
//! with it, and never stated but for the places in the log that orders of the roots took.

mod ordered;

use std::path::{Path, PathBuf};

use carnet_client::{Log, keys, wall_time};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::record::keys::{KeyHistory, KeyRole};
use carnet_domain::record::offices::Profile;
use carnet_domain::record::peer::{
    Bundle as TrustBundle, KeyringKind, Signed, Statement, roots_after, signed_by_roots,
};
use carnet_trust::bundle::{PinnedBundle, of_file, to_file};
use clap::{Args, Subcommand};
use serde_json::json;

use self::ordered::Order;
use crate::exit::{Failed, chain};
use crate::key_text::log_keys_in;
use crate::offices::{office_signers, profile_of};
use crate::output::say;
use crate::parse::{self, When};
use crate::settings::Settings;
use crate::signed::{Roots, cluster_of, read, roots_in_directory, signatures, write};
use crate::submit::merge;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Bundle {
    /// Writes the root-signed bundle that other countries pin. Compare its fingerprint out of band.
    Export(Box<Export>),
    /// Shows a bundle and its fingerprint.
    Show {
        /// The bundle, of this country or of another.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Where to. What lies there is replaced if it is a bundle that our roots signed, and is left alone if it is anything else.
    #[arg(long)]
    file: PathBuf,
    /// Name of the jurisdiction.
    #[arg(long)]
    name: String,
    /// Federation endpoints, host:port, separated by commas: where other countries ask us. Default is those of our bundle before, which
    /// the context pins or which an earlier export left in FILE, if it is the newest that is stated at home.
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
    /// The public half of a log key in use; default is that of our bundle that the context pins, else each keys/log*.pub of --pki. While
    /// one follows another there are two: may be repeated.
    #[arg(long = "log-key", value_name = "FILE")]
    log_keys: Vec<PathBuf>,
    /// An order of the roots about keys since our bundle that the context pins, or since the beginning: the file of `key rotate log`,
    /// with the signatures of its roots. May be repeated. The bundle has no key that neither is in the one before nor stands in an
    /// order; of a node it takes which leaf an order became, and asks every endpoint given whether it says the same.
    #[arg(long = "keys-of", value_name = "FILE")]
    keys_of: Vec<PathBuf>,
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
    /// Ask no registry whether it says the same, and which bundle was the last: what is at hand is stated, true or not. No orders can be
    /// stated so: which leaf each became, a registry says.
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

pub(crate) async fn run(verb: Bundle, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Bundle::Export(export) => {
            let directory = settings.pki_dir()?;
            let seeds = Roots::of(&export.roots, settings)?;
            let certificates = keys::read_chain(&directory.join("root/roots.crt"))?;
            let pinned = keys::read_roots(&directory.join("root/roots.crt"))?;
            let primary: Vec<Prefix> = pinned.jurisdictions().collect();
            let at_hand = Stated::at_hand(&export, settings, primary.first().copied(), &seeds)?;
            let (stated, last) = match export.offline {
                true if !at_hand.orders.is_empty() => {
                    return Err(Failed::usage(
                        "which leaf of the log an order became, a registry has to say: leave --offline out",
                    ));
                }
                true => (at_hand, None),
                false => {
                    let told = Stated::told(settings).await?;
                    let has_orders = !at_hand.orders.is_empty();
                    let stated = at_hand.compared(&told)?;
                    if has_orders {
                        stated.confirmed(settings, primary.first().copied()).await?;
                    }
                    (stated, told.last)
                }
            };
            stated.signed_by(&seeds)?;
            let valid_to = export.valid_to.resolve();
            if valid_to <= wall_time() {
                return Err(Failed::usage(format!(
                    "--valid-to: {valid_to} is over: nobody takes such a bundle"
                )));
            }
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
            let endpoints = stated.endpoints(&export, last)?;
            let bundle = TrustBundle {
                name: export.name,
                prefixes: primary.into_iter().chain(export.also).collect(),
                sequence: next.sequence,
                incarnation: stated.incarnation,
                keyring: KeyringKind::File,
                roots: stated.roots,
                threshold: stated.threshold,
                keys: stated.keys,
                profile: stated.profile,
                certificates: certificates.iter().map(|der| Blob(der.to_vec())).collect(),
                endpoints,
                refresh: export.refresh,
                valid_to,
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
    /// The log keys in use.
    log_keys: Vec<PublicKey>,
    /// The whole history as far as roots signed it; of a node, as it tells it.
    keys: KeyHistory,
    /// What the roots ordered since, not one of which it has.
    orders: Vec<Order>,
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
            log_keys: log_keys(&registry.keys),
            keys: registry.keys,
            orders: Vec::new(),
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
        let former = before.clone();
        let cluster = cluster_of(settings)?;
        let (roots, threshold) = match (export.roots_of.is_empty(), &pinned) {
            (false, _) => roots_led_to(&export.roots_of, before, primary, cluster)?,
            (true, Some(_)) => before,
            (true, None) => roots_by_keys(before.0, seeds),
        };
        let by = [former.clone(), (roots.clone(), threshold)];
        let there = written_before(&export.file, primary, &by)?;
        let known = pinned.as_ref().map(|own| own.incarnation);
        let incarnation = export.incarnation.or(known).unwrap_or_default();
        // What roots signed of the keys: the newest of it that is at hand.
        let named = export
            .roots_of
            .iter()
            .filter_map(|file| of_roots(file).ok());
        let stated = pinned.iter().cloned().chain(there.clone()).chain(named);
        let stated = stated.filter(|bundle| bundle.incarnation == incarnation);
        let stated = stated.max_by_key(|bundle| bundle.sequence);
        let mut orders = ordered::of_roots(&export.roots_of)?;
        let replaced = !orders.is_empty();
        orders.extend(ordered::of_keys(&export.keys_of, &by, cluster)?);
        let said = export
            .log_keys
            .iter()
            .map(|file| keys::read_public_key(file));
        let said: Vec<PublicKey> = said.collect::<Result<_, _>>()?;
        let history = match &stated {
            Some(bundle) => bundle.keys.clone(),
            None => {
                let at_hand = match (said.as_slice(), &pinned) {
                    ([], Some(own)) => log_keys(&own.keys),
                    ([], None) => log_keys_in(directory)?,
                    (said, _) => said.to_vec(),
                };
                let first = ordered::first_log_key(&at_hand, &orders)?;
                let first_roots = if replaced { &former.0 } else { &roots };
                KeyHistory::at_genesis(first_roots, first)
            }
        };
        let orders = ordered::outstanding(&orders, &history);
        let orders: Vec<_> = orders.into_iter().cloned().collect();
        let in_use = match said.as_slice() {
            [] => ordered::log_keys_after(log_keys(&history), &orders),
            said => said.to_vec(),
        };
        let profile = match (export.profile, &pinned, primary) {
            (Some(profile), ..) => profile,
            (None, Some(own), _) => own.profile,
            (None, None, Some(prefix)) => profile_of(&office_signers(directory, prefix)?),
            (None, None, None) => Profile::Sandbox,
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
            incarnation,
            profile,
            log_keys: in_use,
            keys: history,
            orders,
            last,
            endpoints,
        })
    }

    /// Takes nothing from what a node says but the order of the roots, and the places in the log of what was ordered: it is the same in
    /// all else, or it is refused.
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
            "log keys",
            prints(&self.log_keys),
            prints(&told.log_keys),
            sorted(&self.log_keys) == sorted(&told.log_keys),
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
                           rotate` or a bundle of ours that was compared, --keys-of with that of `carnet key rotate log`, --log-key, --incarnation, \
                           --profile. --offline asks nobody."
                .into();
            return Err(failed);
        }
        // Of keys that are in use no more as much is believed as a history says: it is computed, and the whole of it is compared.
        let known = ordered::in_order_of(&self.keys, &told.keys);
        let keys = ordered::led_to(&known, &self.orders, &told.keys)?;
        Ok(Self {
            roots: told.roots.clone(),
            keys,
            orders: Vec::new(),
            ..self
        })
    }

    /// Asks for the places of what was ordered wherever else it can be asked, and holds them to a head that a key in use signed.
    async fn confirmed(&self, settings: &Settings, primary: Option<Prefix>) -> Result<(), Failed> {
        let mut alike = Vec::new();
        for (endpoint, alone) in settings.each_endpoint() {
            match alone.client()?.unverified().registry().await {
                Ok(found) if found.value.keys == self.keys => alike.push(endpoint),
                Ok(_) => {
                    return Err(Failed {
                        next: "Nothing was signed. A node that was just started lags, and says less: wait, and repeat it. Else one of the \
                               two lies: ask people who know what was ordered and when (carnet key history)."
                            .into(),
                        ..Failed::usage(format!(
                            "{endpoint} tells another history of our keys than the node that was asked first"
                        ))
                    });
                }
                Err(error) => say(format!("{endpoint} was not reached: {error}")),
            }
        }
        if alike.len() < 2 {
            say(
                "which leaves the orders became, and when, is the word of one node: compare `carnet key history` at another one before \
                 others take this bundle",
            );
        }
        let Some(primary) = primary else {
            return Ok(());
        };
        let log = Log::of_history(primary, self.incarnation, self.keys.clone());
        let head = settings.client_of_log(log)?.head().await?.into_value();
        ordered::within(&self.keys, head.size, wall_time())
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
    fn endpoints(&self, export: &Export, told: Option<u64>) -> Result<Vec<String>, Failed> {
        let said = &export.federation_endpoints;
        let text = match (said.is_empty(), export.no_endpoints) {
            (false, _) => return Ok(said.clone()),
            (true, true) => return Ok(Vec::new()),
            (true, false) if self.last < told && self.last.is_some() => format!(
                "the bundle at hand has sequence {}, and {} is stated at home: its endpoints may be over",
                self.last.unwrap_or_default(),
                told.unwrap_or_default()
            ),
            (true, false) if !self.endpoints.is_empty() => return Ok(self.endpoints.clone()),
            (true, false) => {
                "the bundle would name no endpoint: whoever takes it has nobody to ask, and reads our mail no more".to_owned()
            }
        };
        Err(Failed {
            next: "Nothing was signed. Say where other countries reach us, --federation-endpoints HOST:PORT,HOST:PORT, or \
                   --no-endpoints if that is meant."
                .into(),
            ..Failed::usage(text)
        })
    }
}

/// The log keys in use.
fn log_keys(keys: &KeyHistory) -> Vec<PublicKey> {
    keys.active(KeyRole::Log).map(|entry| entry.key).collect()
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

/// The bundle of ours that an earlier export left at a path. That it lies there speaks for nothing: roots at hand signed it, or the
/// path is somebody else's and is left alone.
fn written_before(
    file: &Path,
    primary: Option<Prefix>,
    roots: &[(Vec<PublicKey>, u8)],
) -> Result<Option<TrustBundle>, Failed> {
    if std::fs::symlink_metadata(file).is_err() {
        return Ok(None);
    }
    let ours = read_bundle(file).and_then(|(signed, bundle)| {
        let by = |(roots, threshold): &(Vec<PublicKey>, u8)| {
            PinnedBundle::by_roots(&signed, roots, *threshold).is_ok()
        };
        match bundle.primary() {
            found if found != primary => Err(Failed::unreadable("it is of another country")),
            _ if !roots.iter().any(by) => Err(Failed::unreadable("no roots at hand signed it")),
            _ => Ok(bundle),
        }
    });
    ours.map(Some).map_err(|failed| Failed {
        next: "Nothing was signed, and the file is as it was. Name another --file, or move that one away.".into(),
        ..Failed::usage(format!(
            "{} is there, and is no bundle of ours: {}",
            file.display(),
            failed.text
        ))
    })
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

/// Those roots; where other seeds sign, these.
fn roots_by_keys(roots: Vec<PublicKey>, seeds: &Roots) -> (Vec<PublicKey>, u8) {
    let roots = match seeds.public().iter().all(|seed| roots.contains(seed)) {
        true => roots,
        false => seeds.public(),
    };
    let threshold = if roots.len() == 1 { 1 } else { 2 };
    (roots, threshold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::signature::SecretKey;
    use carnet_domain::bytes::time::TimeMs;
    use carnet_domain::record::keys::{KeyStep, KeysOrder, proof_message};
    use carnet_domain::record::peer::RootsChange;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn stated(roots: &[u8], last: Option<u64>) -> Stated {
        Stated {
            roots: roots.iter().map(|seed| key(*seed).public()).collect(),
            threshold: 2,
            incarnation: 0,
            profile: Profile::Production,
            log_keys: vec![key(9).public()],
            keys: KeyHistory::at_genesis(
                &roots
                    .iter()
                    .map(|seed| key(*seed).public())
                    .collect::<Vec<_>>(),
                key(9).public(),
            ),
            orders: Vec::new(),
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
                "log keys",
                Stated {
                    log_keys: vec![key(8).public()],
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

    /// Once, whoever could put a file where the next bundle goes had the roots sign its endpoints, and its number.
    #[test]
    fn what_lies_where_the_bundle_goes_is_believed_by_its_signature_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("86.bundle");
        let prefix = |text: &str| Prefix::parse(text).expect("a prefix");
        let bundle = |of: &str| TrustBundle {
            name: "Robotland".into(),
            prefixes: vec![prefix(of)],
            sequence: 7,
            incarnation: 0,
            keyring: KeyringKind::File,
            roots: vec![key(1).public()],
            threshold: 1,
            keys: KeyHistory::at_genesis(&[key(1).public()], key(8).public()),
            profile: Profile::Sandbox,
            certificates: vec![Blob(vec![1])],
            endpoints: vec!["evil.example:1".into()],
            refresh: DurationMs::from_days(1),
            valid_to: TimeMs(1),
        };
        let signed_by = |bundle: &TrustBundle, seed: u8| {
            let signed = Roots::of_keys(vec![key(seed)]).sign(&bundle.to_bytes());
            to_file(&signed)
        };
        let found = |roots: &[u8]| {
            let roots: Vec<_> = roots
                .iter()
                .map(|one| (vec![key(*one).public()], 1))
                .collect();
            let found = written_before(&file, Some(prefix("86")), &roots);
            found.map(|found| found.map(|bundle| bundle.sequence))
        };
        assert_eq!(found(&[1]).ok(), Some(None), "nothing is there");
        let lie = |text: &str| {
            std::fs::write(&file, text).expect("written");
        };
        lie(&signed_by(&bundle("86"), 1));
        assert_eq!(found(&[1]).ok(), Some(Some(7)), "of ours");
        assert_eq!(
            found(&[2, 1]).ok(),
            Some(Some(7)),
            "of before a replacement"
        );
        let refused = |roots: &[u8], part: &str| {
            let text = found(roots).expect_err("none of ours").text;
            assert!(
                text.contains("no bundle of ours") && text.contains(part),
                "{text}"
            );
        };
        refused(&[2], "no roots at hand signed it");
        // It names its own roots, and they signed it.
        lie(&signed_by(&bundle("86"), 3));
        refused(&[1], "no roots at hand signed it");
        lie(&signed_by(&bundle("44"), 1));
        refused(&[1], "another country");
        lie("a letter");
        refused(&[1], "86.bundle");
    }

    /// Once, of a history only the keys in use were compared, and the whole of it was stated.
    #[test]
    fn a_node_gets_no_key_of_its_own_stated() {
        let mut keys = stated(&[1, 2], Some(3)).keys;
        let order = KeysOrder {
            cluster: [5; 16],
            number: 1,
            steps: vec![ordered_in(66)],
            reason: String::new(),
        };
        keys = keys
            .with_steps(&order, (3, TimeMs(3)), |_| None)
            .expect("applied");
        for last in [None, Some(3)] {
            let told = Stated {
                keys: keys.clone(),
                ..stated(&[1, 2], last)
            };
            let refused = stated(&[1, 2], last).compared(&told).err().expect("a lie");
            let print = view::key_print(&key(66).public());
            assert!(refused.text.contains(&print), "{}", refused.text);
            assert!(refused.next.contains("--keys-of"), "{}", refused.next);
        }
    }

    fn ordered_in(seed: u8) -> KeyStep {
        let (key, role) = (key(seed), KeyRole::Log);
        let proof = key.sign(&proof_message(&[5; 16], role, &key.public()));
        let key = key.public();
        KeyStep::Add { role, key, proof }
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
                .endpoints(&export(rest), Some(1))
                .map_err(|failed| failed.next)
        };
        // Where a newer one is stated at home, those at hand are of before it.
        let older = before(&["a:1"]).endpoints(&export(""), Some(2));
        let text = older.expect_err("old").text;
        assert!(text.contains("sequence 1, and 2 is stated"), "{text}");
        let first = Stated {
            last: None,
            ..before(&["a:1"])
        };
        let refused = first.endpoints(&export(" --federation-endpoints b:1"), Some(2));
        assert_eq!(refused.expect("said"), ["b:1"]);
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
            let seeds = Roots::of_keys(seeds.iter().map(|seed| key(*seed)).collect());
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
            let signers = Roots::of_keys(signers.iter().map(|seed| key(*seed)).collect());
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
}
