//! The pack: what a registry knows and a verifier without a network must know, signed with its log key.
//!
//! ```text
//! [ content bytes, [[key, signature]…] ]   Ed25519 of each log key in use over "carnet-pack/1" ‖ content bytes
//! content  [ version, registry, incarnation, at, whole, own head, [peer…], [lacking registry…], [[key, robot]…], others or null,
//!            [recall…], [model…], [maker…] ]
//! peer     [ signed bundle, [what replaced its roots…], head or null, doubt or null, [agreement…], [suspension…] ]
//! ```
//! Whoever bears evidence brings what speaks for the robot; the pack holds what may speak against it. It is opened under the
//! verifier's own pinned bundle, and has an age like a head.
//!
//! Robots of which something is recorded have a row each while there is room; the keys of all others are in one set of a few
//! bits each (`sieve`), which is salted with the time of the pack; so are models and makers of which not all is in the pack. What is
//! found there is asked online.

use std::collections::BTreeMap;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical, DecodeError, tag};
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::{
    AGREEMENTS_OF_PEER_MAX, LOG_KEYS_ACTIVE_MAX, List, PEERS_MAX, Sequence,
};
use carnet_domain::record::keys::KeySignature;
use carnet_domain::record::peer::{
    Agreement, Bundle, Signed, Statement, Suspension, signed_by_roots,
};

use crate::bundle::PinnedBundle;
use crate::known::{
    Doubt, Known, KnownHead, KnownMaker, KnownModel, KnownRecall, KnownRegistry, KnownRobot, Source,
};
use crate::pins::{Pin, PinError, Pins, PrefixTable};
use crate::sieve::{PackedSieve, Sieve, SieveError};

/// The version of the content.
pub const PACK_VERSION: u8 = 8;
/// The largest pack in bytes.
pub const PACK_BYTES_MAX: usize = 7 * 1024 * 1024;
/// The most robots and identities that have a row in a pack: what of each of them is recorded. The others are in a set.
pub const PACK_ROBOTS_MAX: usize = 10_000;
/// The most models in a pack, and the most makers; the others are in the set.
pub const PACK_MODELS_MAX: usize = 8_192;
/// The most recalls in a pack. A model of which one has no room is in the set.
pub const PACK_RECALLS_MAX: usize = 16_384;
/// The most registries that a pack says it does not know all of.
pub const PACK_LACKING_MAX: usize = 4_096;
/// The most replacements of one peer's roots; of more, the newest.
pub const PACK_REPLACED_MAX: usize = 32;

/// What a pack says of one peer: its bundle, its newest known head, and what was agreed with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackPeer {
    /// Its newest bundle, as its roots signed it.
    pub bundle: Signed,
    /// How its roots were replaced since it was recognised first, oldest first: the bundle with the first ones, bundles that the roots
    /// before signed as well, and replacements as its own log states them. Whoever pinned roots of then follows.
    pub replaced: Vec<Signed>,
    /// The newest head of its log that was taken in.
    pub head: Option<KnownHead>,
    /// Why its word is doubted.
    pub doubt: Option<Doubt>,
    /// Agreements with it, in force or not, as our registry has them.
    pub agreements: Vec<Agreement>,
    /// The newest suspension of each version that was ever suspended.
    pub suspended: Vec<Suspension>,
}
carnet_domain::canonical_struct!(PackPeer {
    bundle,
    replaced: List<PACK_REPLACED_MAX>,
    head,
    doubt,
    agreements: List<AGREEMENTS_OF_PEER_MAX>,
    suspended: List<AGREEMENTS_OF_PEER_MAX>
});

/// The content of a pack, nothing of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Of this form: [`PACK_VERSION`]; another one is not read.
    pub version: u8,
    /// Primary prefix of the registry that made it.
    pub registry: Prefix,
    /// Incarnation of its log.
    pub incarnation: u64,
    /// As of when, by its log time.
    pub at: TimeMs,
    /// Whether it names, in some way, everything that may speak against a robot: else no verdict rests on it.
    pub whole: bool,
    /// The newest published head of its own log.
    pub head: Option<KnownHead>,
    /// Registries that ours recognises, with what it knows of each.
    pub peers: Vec<PackPeer>,
    /// Peers, and other registries with recalls here, of which not all has room: whatever touches them is asked online.
    pub lacking: Vec<Prefix>,
    /// What it recorded about robots, ascending by the key of a code, body, part or robot's key.
    pub robots: Vec<(Digest, KnownRobot)>,
    /// The keys of those that have no room there.
    pub others: Option<PackedSieve>,
    /// Recalls that bind there.
    pub recalls: Vec<KnownRecall>,
    /// Its models that are not approved.
    pub models: Vec<KnownModel>,
    /// Its makers that are not active.
    pub makers: Vec<KnownMaker>,
}
carnet_domain::canonical_struct!(Pack {
    version,
    registry,
    incarnation: Sequence,
    at,
    whole,
    head,
    peers: List<PEERS_MAX>,
    lacking: List<PACK_LACKING_MAX>,
    robots: List<PACK_ROBOTS_MAX>,
    others,
    recalls: List<PACK_RECALLS_MAX>,
    models: List<PACK_MODELS_MAX>,
    makers: List<PACK_MODELS_MAX>
});

impl Pack {
    /// What the log key signs for these content bytes.
    pub fn message(content: &[u8]) -> Vec<u8> {
        [tag::PACK.as_bytes(), content].concat()
    }

    /// What its set of others is salted with.
    pub fn salt(&self) -> u64 {
        self.at.0
    }

    /// The bytes of the file.
    pub fn to_file(content: Vec<u8>, signatures: Vec<KeySignature>) -> Vec<u8> {
        PackFile {
            content: Blob(content),
            signatures,
        }
        .to_bytes()
    }
}

/// A pack as it lies in a file: while one log key follows another, both sign it.
struct PackFile {
    content: Blob,
    signatures: Vec<KeySignature>,
}
carnet_domain::canonical_struct!(PackFile { content, signatures: List<LOG_KEYS_ACTIVE_MAX> });

/// Why a pack is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// More bytes than allowed.
    #[error("the pack has {0} bytes, allowed are {PACK_BYTES_MAX}")]
    TooLong(usize),
    /// Not canonical.
    #[error("the file is not a pack, or is cut: {0}")]
    Decode(#[source] DecodeError),
    /// A version that this program does not know.
    #[error("the pack has version {0}, known is {PACK_VERSION}")]
    Version(u8),
    /// The pack of another country.
    #[error("the pack is of {found}, the verifier's own country is {own}")]
    OtherCountry {
        /// The verifier's.
        own: Prefix,
        /// The pack's.
        found: Prefix,
    },
    /// The own country is pinned by its roots only.
    #[error("{0} is pinned by its roots only: the log key that signs a pack stands in its bundle")]
    NoLogKey(Prefix),
    /// Not signed by the own log key.
    #[error("the pack is not signed by the log key in the pinned bundle of {0}")]
    Unsigned(Prefix),
    /// Of another incarnation of the own log.
    #[error("the pack is of incarnation {found}, the pinned bundle of {own} names {pinned}")]
    Incarnation {
        /// The own country.
        own: Prefix,
        /// The incarnation that the pinned bundle names.
        pinned: u64,
        /// The pack's.
        found: u64,
    },
    /// The set of those without a row does not hold.
    #[error("the robots without a row in the pack cannot be read")]
    Others(#[from] SieveError),
    /// It contradicts the pins.
    #[error("the pack and the pins contradict each other")]
    Pins(#[from] PinError),
}

/// What a pack says of itself, nothing of it verified.
///
/// # Errors
/// It cannot be read.
pub fn peek(bytes: &[u8]) -> Result<Pack, PackError> {
    if bytes.len() > PACK_BYTES_MAX {
        return Err(PackError::TooLong(bytes.len()));
    }
    let file = PackFile::from_bytes(bytes).map_err(PackError::Decode)?;
    let pack = Pack::from_bytes(&file.content.0).map_err(PackError::Decode)?;
    match pack.version {
        PACK_VERSION => Ok(pack),
        other => Err(PackError::Version(other)),
    }
}

/// A pack that the own log key signed. Only [`OpenedPack::open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedPack {
    known: Known,
    bundles: BTreeMap<Prefix, PinnedBundle>,
    unfollowed: BTreeMap<Prefix, Unfollowed>,
    content: Pack,
}

/// Why what a pack says of a peer is not used: for robots of that country there is no verdict by it, for all others there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfollowed {
    /// The roots that are pinned for it are not those of its bundle, and were not replaced by them.
    #[error(
        "the roots that are pinned for it do not lead to its bundle in the pack: compare and pin its newest bundle; pinned are \
         {pinned}; in the pack are {packed}"
    )]
    OtherRoots {
        /// Those that are pinned, in words.
        pinned: String,
        /// Those in the pack, in words.
        packed: String,
    },
    /// It claims a prefix of another country.
    #[error("{0}")]
    Prefix(PinError),
}

impl OpenedPack {
    /// Opens a pack under the bundle of the verifier's own country.
    ///
    /// # Errors
    /// It cannot be read, is not signed by the own log key, or contradicts what was pinned.
    pub fn open(bytes: &[u8], pins: &Pins) -> Result<Self, PackError> {
        if bytes.len() > PACK_BYTES_MAX {
            return Err(PackError::TooLong(bytes.len()));
        }
        let file = PackFile::from_bytes(bytes).map_err(PackError::Decode)?;
        let content = file.content;
        let own = pins.own();
        let pinned = pins.of(&own).and_then(|pin| pin.bundle());
        let bundle = pinned.ok_or(PackError::NoLogKey(own))?.bundle();
        let message = Pack::message(&content.0);
        // A pack of another country is said to be so, before its signature is found to be none of ours.
        let pack = Pack::from_bytes(&content.0).map_err(PackError::Decode)?;
        if pack.version != PACK_VERSION {
            return Err(PackError::Version(pack.version));
        }
        if pack.registry != own {
            let found = pack.registry;
            return Err(PackError::OtherCountry { own, found });
        }
        let size = pack.head.as_ref().map_or(u64::MAX, |head| head.size);
        if !bundle
            .keys
            .is_signed(&message, &file.signatures, (size, pack.at))
        {
            return Err(PackError::Unsigned(own));
        }
        if pack.incarnation != bundle.incarnation {
            let (pinned, found) = (bundle.incarnation, pack.incarnation);
            return Err(PackError::Incarnation { own, pinned, found });
        }
        Self::of_signed(pack, pins)
    }

    fn of_signed(pack: Pack, pins: &Pins) -> Result<Self, PackError> {
        let mut known = Known::nothing(Source::Pack, pack.at);
        known.whole = pack.whole;
        let mut table = PrefixTable::default();
        for pin in pins.all() {
            table.extend(pin.primary(), pin.prefixes())?;
        }
        let mut bundles = BTreeMap::new();
        let mut unfollowed = BTreeMap::new();
        let head = pack.head;
        known
            .registries
            .insert(pack.registry, KnownRegistry { head, doubt: None });
        for peer in &pack.peers {
            // One country's bundle is its own affair: that of no other robot.
            let (claimed, found) = match peer_bundle(peer, pins) {
                Ok(found) => (found.primary(), Ok(found)),
                Err(Some((claimed, why))) => (claimed, Err(why)),
                Err(None) => continue,
            };
            // Nobody but the own roots speaks of the own country.
            if claimed == pins.own() {
                continue;
            }
            let bundle = match found {
                Ok(bundle) => bundle,
                Err(why) => {
                    unfollowed.insert(claimed, why);
                    continue;
                }
            };
            let mut with = table.clone();
            if let Err(error) = with.extend(claimed, &bundle.bundle().prefixes) {
                unfollowed.insert(claimed, Unfollowed::Prefix(error));
                continue;
            }
            table = with;
            let (head, doubt) = (peer.head, peer.doubt);
            known
                .registries
                .insert(claimed, KnownRegistry { head, doubt });
            known.agreements.extend(peer.agreements.iter().cloned());
            known.suspended.extend(peer.suspended.iter().cloned());
            bundles.insert(claimed, bundle);
        }
        known.robots = pack.robots.iter().cloned().collect();
        let others = pack.others.as_ref();
        known.others = others
            .map(|others| Sieve::open(pack.salt(), others))
            .transpose()?;
        known.recalls = pack.recalls.clone();
        known.models = pack.models.clone();
        known.makers = pack.makers.clone();
        known.lacking = pack.lacking.clone();
        Ok(Self {
            known,
            bundles,
            unfollowed,
            content: pack,
        })
    }

    /// What it says.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Its content, for people.
    pub fn content(&self) -> &Pack {
        &self.content
    }

    /// The bundle of a peer in it.
    pub fn bundle(&self, primary: &Prefix) -> Option<&PinnedBundle> {
        self.bundles.get(primary)
    }

    /// The bundles of all peers in it.
    pub fn bundles(&self) -> impl Iterator<Item = &PinnedBundle> {
        self.bundles.values()
    }

    /// Why what it says of a peer is not used, if so.
    pub fn unfollowed(&self, primary: &Prefix) -> Option<&Unfollowed> {
        self.unfollowed.get(primary)
    }

    /// Every peer of which it is not used.
    pub fn all_unfollowed(&self) -> impl Iterator<Item = (&Prefix, &Unfollowed)> {
        self.unfollowed.iter()
    }

    /// The countries whose pins it bears out: the own one, under whose log key it was opened, and those whose bundle in it the pinned
    /// roots lead to.
    pub fn borne_out(&self, pins: &Pins) -> Vec<Prefix> {
        let all = pins.all().map(Pin::primary);
        let borne_out = |primary: &Prefix| *primary == pins.own() || self.bundle(primary).is_some();
        all.filter(borne_out).collect()
    }

    /// Whether the own registry recorded something about a code.
    pub fn tells_of(&self, code: &Code) -> bool {
        self.known.robot(code).is_some()
    }
}

/// A peer's bundle: signed by its own roots, to which those that are pinned lead, if any are; the own country recognised it.
/// Otherwise the country that it claims to be of, if it can be read, and why it is not used.
fn peer_bundle(peer: &PackPeer, pins: &Pins) -> Result<PinnedBundle, Option<(Prefix, Unfollowed)>> {
    let claimed = Bundle::from_bytes(&peer.bundle.bytes.0).ok();
    let claimed = claimed.and_then(|bundle| Some((bundle.primary()?, bundle)));
    let (primary, bundle) = claimed.ok_or(None)?;
    let other = |pinned: String| {
        let packed = RootSet::of(&bundle).to_string();
        Some((primary, Unfollowed::OtherRoots { pinned, packed }))
    };
    if let Some(pin) = pins.of(&primary)
        && !leads_to(pin, &peer.replaced, &bundle)
    {
        let (roots, threshold) = pin.roots();
        return Err(other(RootSet::new(roots, threshold).to_string()));
    }
    let found = PinnedBundle::by_roots(&peer.bundle, &bundle.roots, bundle.threshold);
    found.map_err(|_| other("none that signed it".into()))
}

/// Whether pinned roots are those of a bundle, or were once those of its country and were replaced until they were these. They are so
/// as one set, of which so many sign: in a set of others some of a country's roots may stand, and what those signed says nothing for
/// the others.
fn leads_to(pin: &Pin, replaced: &[Signed], bundle: &Bundle) -> bool {
    let (roots, threshold) = pin.roots();
    let pinned = RootSet::new(roots, threshold);
    // How many of root keys sign that are pinned alone, nobody compared.
    let is_pinned = |set: &RootSet| match pin.bundle() {
        Some(_) => *set == pinned,
        None => set.roots == pinned.roots,
    };
    let newest = RootSet::of(bundle);
    // Roots that were replaced may have signed since what names a later sequence than any of those that replaced them.
    if let Some(compared) = pin.bundle()
        && compared.bundle().sequence > bundle.sequence
    {
        return is_pinned(&newest);
    }
    let mut now: Option<RootSet> = None;
    for signed in replaced {
        let Some((next, follows)) = step_of(signed, pin.primary(), now.as_ref()) else {
            continue;
        };
        if follows || (now.is_none() && is_pinned(&next)) {
            now = Some(next);
        }
    }
    match now {
        Some(now) => now == newest,
        None => is_pinned(&newest),
    }
}

/// The roots that a bundle or a replacement names, which they signed themselves, and whether those before signed it too.
fn step_of(signed: &Signed, primary: Prefix, now: Option<&RootSet>) -> Option<(RootSet, bool)> {
    let by = |set: &RootSet| {
        signed_by_roots(
            &set.roots,
            set.threshold,
            &signed.bytes.0,
            &signed.signatures,
        )
    };
    let next = match Bundle::from_bytes(&signed.bytes.0) {
        Ok(bundle) => (bundle.primary() == Some(primary)).then(|| RootSet::of(&bundle)),
        Err(_) => match Statement::from_bytes(&signed.bytes.0) {
            Ok(Statement::Roots { change }) => Some(RootSet::new(&change.roots, change.threshold)),
            _ => None,
        },
    };
    let next = next.filter(|next| by(next))?;
    Some((next, now.is_some_and(by)))
}

/// Root keys of which so many sign.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RootSet {
    /// Ascending.
    roots: Vec<PublicKey>,
    threshold: u8,
}

impl RootSet {
    fn new(roots: &[PublicKey], threshold: u8) -> Self {
        let mut roots = roots.to_vec();
        roots.sort_unstable();
        Self { roots, threshold }
    }

    fn of(bundle: &Bundle) -> Self {
        Self::new(&bundle.roots, bundle.threshold)
    }
}

/// For people who compare two of them.
impl std::fmt::Display for RootSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (threshold, count) = (self.threshold, self.roots.len());
        write!(f, "{threshold} of {count} sign:")?;
        for root in &self.roots {
            let key: String = root.to_string().chars().take(16).collect();
            write!(f, " {key}…")?;
        }
        Ok(())
    }
}
