//! What two jurisdictions sign about each other: trust bundles, recognition agreements, and the statements that a
//! jurisdiction's own roots make in its log.
//!
//! Data and the count of root signatures. Who is to be believed, and what a clause means for a verdict, is in `trust`.

use crate::bytes::code::{Code, ModelId, Prefix};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Blob, Canonical, tag};
use crate::bytes::level::Level;
use crate::bytes::signature::{PublicKey, Signature, verify};
use crate::bytes::time::{DurationMs, TimeMs};
use crate::custody::chain::Chain;
use crate::custody::movement::EvidenceRef;
use crate::limits::{
    AGREEMENTS_ENDED_MAX, AGREEMENTS_OF_PEER_MAX, Alpha2, BUNDLE_LIST_MAX, CLAIMS_A_MINUTE_MAX,
    CLAUSES_MAX, FIRST_SIGNERS_MAX, GIVEN_UP_MAX, HEADS_OF_PEER_MAX, Identifier, Index,
    LEAVES_A_MINUTE_MAX, Lines, List, ListOf, MAIL_BYTES_A_MINUTE_MAX, MAIL_ITEMS_A_MINUTE_MAX,
    MODELS_OF_RECALL_MAX, NACKS_A_MINUTE_MAX, NACKS_UNAGREED_A_MINUTE_MAX, NOTE_KEPT_BYTES_MAX,
    Name, OFFERS_A_MINUTE_MAX, REPORTS_A_MINUTE_MAX, ROOT_CHANGES_MAX, ROOT_SIGNATURES_MAX,
    ROOTS_REPLACED_MAX, SETTLED_OF_PEER_MAX, Sequence,
};
use crate::log::checkpoint::Origin;
use crate::record::contact::{Allowed, Contact};
pub use crate::record::crossing::AgreementRef;
use crate::record::crossing::Purpose;
use crate::record::keys::{GoodHead, KeyCause, KeyHistory, KeyRole, KeysOrder};
use crate::record::offices::{Change, Profile};
use crate::record::told::Minute;
use crate::record::{Holder, Severity};
use crate::rules::policy::Role;
use crate::rules::rejection::Counted;

/// One of the signatures under a statement; so many are needed as the threshold says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootSignature {
    /// By which of the pinned ones.
    pub root: PublicKey,
    /// Over `"carnet-root/1" ‖ bytes`; in an order to skip an entry over `"carnet-skip/1" ‖ bytes`.
    pub signature: Signature,
}
crate::canonical_struct!(RootSignature { root, signature });

/// The bytes that a root signs for a statement, bundle or agreement.
pub fn root_signing_bytes(bytes: &[u8]) -> Vec<u8> {
    [tag::ROOT_STATEMENT.as_bytes(), bytes].concat()
}

/// Whether at least `threshold` different ones of `roots` signed `bytes`.
pub fn signed_by_roots(
    roots: &[PublicKey],
    threshold: u8,
    bytes: &[u8],
    signatures: &[RootSignature],
) -> bool {
    threshold_signed(roots, threshold, &root_signing_bytes(bytes), signatures)
}

/// As [`signed_by_roots`], for a message that has its own domain string in front.
pub(crate) fn threshold_signed(
    roots: &[PublicKey],
    threshold: u8,
    message: &[u8],
    signatures: &[RootSignature],
) -> bool {
    if signatures.len() > ROOT_SIGNATURES_MAX {
        return false;
    }
    let mut good = std::collections::BTreeSet::new();
    for s in signatures {
        // A root that signed already is not verified again.
        if roots.contains(&s.root)
            && !good.contains(&s.root)
            && verify(&s.root, message, &s.signature).is_ok()
        {
            good.insert(s.root);
        }
    }
    threshold > 0 && usize::from(threshold) <= good.len()
}

/// How a jurisdiction keeps its log key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyringKind {
    /// Every node holds the whole key: verdicts show SINGLE_KEY.
    File,
    /// In a hardware module.
    Hsm,
    /// Shares over the nodes.
    Threshold,
}
crate::canonical_enum!(KeyringKind { 1 => File, 2 => Hsm, 3 => Threshold });

/// Everything another country needs to believe this one: exported, compared out of band, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Name of the jurisdiction.
    pub name: String,
    /// Its prefixes; the first is the primary one.
    pub prefixes: Vec<Prefix>,
    /// Counts up with every change; a lower one is refused.
    pub sequence: u64,
    /// Incarnation of its log.
    pub incarnation: u64,
    /// How it keeps its log key.
    pub keyring: KeyringKind,
    /// Which sign its statements, so many of them as the threshold says.
    pub roots: Vec<PublicKey>,
    /// How many of them sign.
    pub threshold: u8,
    /// Every key that it has and had: by those of the log its heads are believed.
    pub keys: KeyHistory,
    /// Whether it is a sandbox.
    pub profile: Profile,
    /// Root certificates, DER.
    pub certificates: Vec<Blob>,
    /// Federation endpoints, `host:port`.
    pub endpoints: Vec<String>,
    /// How often to fetch it anew.
    pub refresh: DurationMs,
    /// Valid until.
    pub valid_to: TimeMs,
}
crate::canonical_struct!(Bundle @ 1 {
    name,
    prefixes: List<BUNDLE_LIST_MAX>,
    sequence: Sequence,
    incarnation: Sequence,
    keyring,
    roots: List<BUNDLE_LIST_MAX>,
    threshold,
    keys,
    profile,
    certificates: List<BUNDLE_LIST_MAX>,
    endpoints: List<BUNDLE_LIST_MAX>,
    refresh,
    valid_to,
});

impl Bundle {
    /// What two people compare out of band.
    pub fn fingerprint(&self) -> Digest {
        sha256(&[&self.to_bytes()])
    }

    /// The prefix in origin lines and certificates.
    pub fn primary(&self) -> Option<Prefix> {
        self.prefixes.first().copied()
    }
}

/// Bytes with the signatures of roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Canonical bytes of the bundle, agreement or statement.
    pub bytes: Blob,
    /// Signatures over them.
    pub signatures: Vec<RootSignature>,
}
crate::canonical_struct!(Signed { bytes, signatures: List<ROOT_SIGNATURES_MAX> });

/// What one party recognises of the other's robots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Its number in the agreement; verdicts cite it.
    pub number: u16,
    /// Who recognises.
    pub recogniser: Prefix,
    /// Whose codes.
    pub issuer: Prefix,
    /// Models; empty for all.
    pub models: Vec<ModelId>,
    /// Intelligence levels accepted.
    pub levels: Vec<u8>,
    /// Safety classes accepted.
    pub safety_classes: Vec<u8>,
    /// Purposes accepted.
    pub purposes: Vec<Purpose>,
    /// The oldest checkpoint that still counts as fresh.
    pub checkpoint_age_max: DurationMs,
    /// The gravest recall of the issuer that binds by itself.
    pub recall_severity_max: Severity,
    /// The most robots here that one recall may bind by itself.
    pub recall_count_max: u32,
}
crate::canonical_struct!(Clause {
    number,
    recogniser,
    issuer,
    models: List<MODELS_OF_RECALL_MAX>,
    levels: List<BUNDLE_LIST_MAX>,
    safety_classes: List<BUNDLE_LIST_MAX>,
    purposes: List<BUNDLE_LIST_MAX>,
    checkpoint_age_max,
    recall_severity_max,
    recall_count_max,
});

impl Clause {
    /// Whether it covers robots of this model, level and safety class.
    pub fn covers(&self, model: &ModelId, level: u8, safety_class: u8) -> bool {
        (self.models.is_empty() || self.models.contains(model))
            && self.levels.contains(&level)
            && self.safety_classes.contains(&safety_class)
    }
}

/// A recognition agreement of two jurisdictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Its name, the same in all versions.
    pub id: String,
    /// Counts up from 1.
    pub version: u32,
    /// The parties, ascending.
    pub parties: (Prefix, Prefix),
    /// In force from.
    pub effective_from: TimeMs,
    /// In force until.
    pub effective_to: TimeMs,
    /// Clauses, ascending by number.
    pub clauses: Vec<Clause>,
}
crate::canonical_struct!(Agreement @ 1 {
    id: Identifier,
    version,
    parties,
    effective_from,
    effective_to,
    clauses: List<CLAUSES_MAX>
});

impl Agreement {
    /// Its name and version.
    pub fn reference(&self) -> AgreementRef {
        AgreementRef {
            id: self.id.clone(),
            version: self.version,
        }
    }

    /// Whether it is in force at a time.
    pub fn in_force(&self, at: TimeMs) -> bool {
        self.effective_from <= at && at < self.effective_to
    }

    /// Whether it is asked instead of an older one from `now` on, as long as that would be in force.
    pub fn replaces(&self, older: &Self, now: TimeMs) -> bool {
        self.id == older.id
            && self.version > older.version
            && self.effective_from <= now
            && self.effective_to >= older.effective_to
    }

    /// Every clause by which `recogniser` accepts robots of this model of `issuer`, of that level and safety class. The
    /// first that allows a purpose decides, wherever it stands.
    pub fn clauses_for(
        &self,
        recogniser: Prefix,
        issuer: Prefix,
        model: ModelId,
        level: u8,
        safety_class: u8,
    ) -> impl Iterator<Item = &Clause> {
        self.clauses.iter().filter(move |c| {
            c.recogniser == recogniser
                && c.issuer == issuer
                && c.covers(&model, level, safety_class)
        })
    }
}

/// A first signer, named by the genesis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSigner {
    /// By which its signatures are checked.
    pub public: PublicKey,
    /// Whose.
    pub holder: Holder,
    /// The one role that it signs in.
    pub role: Role,
    /// Whose hand it is in.
    pub person: String,
}
crate::canonical_struct!(FirstSigner {
    public,
    holder,
    role,
    person: Name
});

/// The first leaf of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The jurisdiction's primary prefix.
    pub prefix: Prefix,
    /// ISO 3166-1 alpha-2 country.
    pub country: String,
    /// Incarnation of the log.
    pub incarnation: u64,
    /// Identity of the cluster, drawn by `carnet pki init`; the certificates of its nodes and their data directories
    /// carry the same.
    pub cluster: [u8; 16],
    /// Which sign the statements of this registry, so many of them as the threshold says.
    pub roots: Vec<PublicKey>,
    /// How many of them sign.
    pub threshold: u8,
    /// The first one, which signs its heads.
    pub log_key: PublicKey,
    /// Log time begins here.
    pub time: TimeMs,
    /// Seal after this long without a leaf.
    pub seal_idle: DurationMs,
    /// How seriously the registry takes its offices; in earnest it has two admins of different persons from the beginning.
    pub profile: Profile,
    /// Admin and registrar keys.
    pub signers: Vec<FirstSigner>,
}
crate::canonical_struct!(Genesis @ 1 {
    prefix,
    country: Alpha2,
    incarnation: Sequence,
    cluster,
    roots: List<BUNDLE_LIST_MAX>,
    threshold,
    log_key,
    time,
    seal_idle,
    profile,
    signers: List<FIRST_SIGNERS_MAX>
});

/// A change of log time by the roots. Applied once: the number is used up, and log time must stand near `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeChange {
    /// The cluster it is meant for.
    pub cluster: [u8; 16],
    /// One above the number of such statements applied so far.
    pub number: u64,
    /// Log time as the roots saw it; when it is applied it may be up to an hour off.
    pub from: TimeMs,
    /// Log time after it.
    pub to: TimeMs,
}
crate::canonical_struct!(TimeChange {
    cluster,
    number,
    from,
    to
});

/// What the roots order of keys of offices, where the admins no longer can. Applied once: the number is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfficeOrder {
    /// The cluster it is meant for.
    pub cluster: [u8; 16],
    /// One above the number of such statements applied so far.
    pub number: u64,
    /// Keys that are enrolled and retired, each named once.
    pub changes: Vec<Change>,
    /// Why.
    pub reason: String,
}
crate::canonical_struct!(OfficeOrder {
    cluster,
    number: Sequence,
    changes: List<FIRST_SIGNERS_MAX>,
    reason
});

/// The roots that a jurisdiction goes by from now on. Signed by a threshold of those before and of those after, so that whoever
/// holds some of either alone replaces none. Applied once: the number is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootsChange {
    /// The cluster it is meant for.
    pub cluster: [u8; 16],
    /// One above the number of such statements applied so far.
    pub number: u64,
    /// Those that sign from then on: all of them, not only the new ones.
    pub roots: Vec<PublicKey>,
    /// How many of them sign.
    pub threshold: u8,
    /// Why.
    pub reason: String,
}
crate::canonical_struct!(RootsChange {
    cluster,
    number: Sequence,
    roots: List<BUNDLE_LIST_MAX>,
    threshold,
    reason
});

impl RootsChange {
    /// Whether it follows roots: enough of those before and of its own signed it.
    pub fn follows(&self, roots: &[PublicKey], threshold: u8, signed: &Signed) -> bool {
        let by = |roots: &[PublicKey], threshold| {
            signed_by_roots(roots, threshold, &signed.bytes.0, &signed.signatures)
        };
        by(roots, threshold) && by(&self.roots, self.threshold)
    }
}

/// The roots that a chain of replacements leads to from some others: each follows those before it, of one cluster, and none is left
/// out. `None` where it is no such chain.
pub fn roots_after(
    roots: &[PublicKey],
    threshold: u8,
    changes: &[Signed],
    level: Level,
) -> Option<(Vec<PublicKey>, u8)> {
    let mut now = (roots.to_vec(), threshold);
    let mut before: Option<RootsChange> = None;
    for signed in changes {
        let Ok(Statement::Roots { change }) = Statement::from_bytes_at(&signed.bytes.0, level)
        else {
            return None;
        };
        let is_next = before.as_ref().is_none_or(|before| {
            change.cluster == before.cluster && Some(change.number) == before.number.checked_add(1)
        });
        if !is_next || !change.follows(&now.0, now.1, signed) {
            return None;
        }
        now = (change.roots.clone(), change.threshold);
        before = Some(change);
    }
    Some(now)
}

/// Those of some replacements of roots that come behind the one of a number, and the number of the last.
pub fn replaced_since(changes: &[Signed], number: u64, level: Level) -> (&[Signed], Option<u64>) {
    let number_of = |signed: &Signed| match Statement::from_bytes_at(&signed.bytes.0, level) {
        Ok(Statement::Roots { change }) => Some(change.number),
        _ => None,
    };
    let mut numbers = changes.iter().map(number_of);
    let first = numbers.position(|its| its.is_none_or(|its| its > number));
    let rest = first.and_then(|first| changes.get(first..));
    let rest = rest.unwrap_or_default();
    (rest, rest.last().and_then(number_of))
}

/// What a jurisdiction's own roots state in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// The beginning.
    Genesis {
        /// What it says.
        genesis: Genesis,
    },
    /// Another country is a peer, by this bundle of its roots.
    Recognise {
        /// The bundle, signed by the other country's roots.
        bundle: Signed,
        /// What the two people compared.
        fingerprint: Digest,
        /// For a known peer whose roots were replaced since: each replacement as its log has it, from the roots that are pinned
        /// here on, in order. Of whatever time: nobody signs for roots that are gone, and only the bundle must be valid now.
        changes: Vec<Signed>,
    },
    /// An agreement, signed by both countries' roots.
    Agree {
        /// Its bytes, and the signatures of the roots of both.
        agreement: Signed,
    },
    /// A version of an agreement is suspended for a time: no new offers and permits.
    Suspend {
        /// With which peer it was made.
        peer: Prefix,
        /// Which.
        agreement: AgreementRef,
        /// Counts up for this version, so that an old suspension cannot be replayed.
        number: u32,
        /// It is suspended until then, by log time; a time that has passed ends the suspension.
        until: TimeMs,
        /// Why.
        reason: String,
    },
    /// Log time goes on to a later time, further than a quorum of clocks may move it: after a long outage.
    AdvanceTime {
        /// Which.
        change: TimeChange,
    },
    /// Log time falls back: a quorum of clocks ran ahead. What has ended meanwhile stays ended.
    RepairTime {
        /// Which.
        change: TimeChange,
    },
    /// Keys of offices are enrolled and retired: after a loss of keys that leaves too few admins for two words.
    Offices {
        /// Which.
        order: OfficeOrder,
    },
    /// A peer that signed two leaves of one robot of which one alone can be is out of quarantine: one of them counts, and the
    /// other never does. Each fork is settled once, and a split history by another life of its log alone.
    Settle {
        /// By its primary prefix.
        peer: Prefix,
        /// Our leaf with the evidence.
        fork: u64,
        /// The leaf that counts, by its hash.
        counts: Digest,
        /// Why.
        reason: String,
    },
    /// The contact with a peer ends: as if it were paused, and no agreement with it stands. A newer bundle of it begins it anew.
    EndPeer {
        /// Which, by its primary prefix.
        peer: Prefix,
        /// The sequence of its bundle that stands, so that an old statement ends no contact that began since.
        sequence: u64,
        /// How many robots that are offered or on their way between the two it gives up: nobody takes them on either side then.
        stranded: u64,
        /// Why.
        reason: String,
    },
    /// The roots are replaced, all or some: one was lost or stolen, or is old.
    Roots {
        /// By which.
        change: RootsChange,
    },
    /// The keys below the roots are added, used, retired, or said to be stolen.
    Keys {
        /// What is done to which key, under the next number of such orders.
        order: KeysOrder,
    },
}
crate::canonical_variants!(Statement @ 1 {
    1 => Genesis { genesis },
    2 => Recognise { bundle, fingerprint, changes: List<ROOT_CHANGES_MAX> },
    3 => Agree { agreement },
    4 => Suspend { peer, agreement, number, until, reason },
    5 => AdvanceTime { change },
    6 => RepairTime { change },
    7 => Offices { order },
    8 => Settle { peer, fork: Index, counts, reason },
    9 => Roots { change },
    10 => Keys { order },
    12 => EndPeer { peer, sequence: Sequence, stranded: Sequence, reason },
});

/// A suspension of one version of an agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Which version.
    pub agreement: AgreementRef,
    /// Number of the suspension; the next has a higher one.
    pub number: u32,
    /// Until when.
    pub until: TimeMs,
}
crate::canonical_struct!(Suspension {
    agreement,
    number,
    until
});

/// What one peer had this registry read and write within a minute of log time, by kind. It is counted in what is replicated, so that
/// every replica stops at the same item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// Which minute, since the epoch.
    pub minute: u64,
    /// Robots offered.
    pub offers: u64,
    /// Reports of theft and loss, and their end.
    pub holds: u64,
    /// Statements that were answered with a nack.
    pub nacks: u64,
    /// Claims and ends of identities.
    pub claims: u64,
    /// Leaves of any kind.
    pub leaves: u64,
    /// Items that were read, whatever came of them.
    pub items: u64,
    /// Canonical bytes of those items.
    pub bytes: u64,
}
crate::canonical_struct!(Heard {
    minute: Sequence,
    offers: Sequence,
    holds: Sequence,
    nacks: Sequence,
    claims: Sequence,
    leaves: Sequence,
    items: Sequence,
    bytes: Sequence
});

impl Heard {
    /// With what one more item would have us write at a time, or what there is too much of, and how much is allowed.
    ///
    /// # Errors
    /// The kind that is over its limit.
    pub fn and(&self, item: &Self, allowed: &Allowed, at: TimeMs) -> Result<Self, (Counted, u64)> {
        let minute = at.0 / 60_000;
        let so_far = match self.minute == minute {
            true => self.clone(),
            false => Self::default(),
        };
        // What comes first in a minute is read whatever it is, or a low limit would keep the feed from going on for ever.
        let first = so_far.items == 0;
        let sum = |what, a: u64, b: u64, (allowed, most): (u64, u64)| {
            let max = if first { most } else { allowed };
            match a.checked_add(b) {
                Some(sum) if sum <= max => Ok(sum),
                _ => Err((what, max)),
            }
        };
        Ok(Self {
            minute,
            offers: sum(
                Counted::Offers,
                so_far.offers,
                item.offers,
                (allowed.offers, OFFERS_A_MINUTE_MAX),
            )?,
            holds: sum(
                Counted::Holds,
                so_far.holds,
                item.holds,
                (allowed.holds, REPORTS_A_MINUTE_MAX),
            )?,
            nacks: sum(
                Counted::Nacks,
                so_far.nacks,
                item.nacks,
                (allowed.nacks, NACKS_A_MINUTE_MAX),
            )?,
            claims: sum(
                Counted::Claims,
                so_far.claims,
                item.claims,
                (allowed.claims, CLAIMS_A_MINUTE_MAX),
            )?,
            leaves: sum(
                Counted::Leaves,
                so_far.leaves,
                item.leaves,
                (allowed.leaves, LEAVES_A_MINUTE_MAX),
            )?,
            items: sum(
                Counted::MailItems,
                so_far.items,
                item.items,
                (allowed.items, MAIL_ITEMS_A_MINUTE_MAX),
            )?,
            bytes: sum(
                Counted::MailBytes,
                so_far.bytes,
                item.bytes,
                (allowed.bytes, MAIL_BYTES_A_MINUTE_MAX),
            )?,
        })
    }
}

/// Two leaves of one robot of which one alone can be, and by which a peer is quarantined until the roots here say which
/// counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFork {
    /// Our leaf with the evidence: whoever settles it names it.
    pub recorded: u64,
    /// The robot.
    pub code: Code,
    /// The leaf that came first, by its hash.
    pub first: Digest,
    /// The leaf that came second.
    pub second: Digest,
    /// Where the chain came from the first by the steps that waited and made way; none of what still waits is in it.
    pub beyond_first: Option<Beyond>,
    /// Likewise from the second.
    pub beyond_second: Option<Beyond>,
}
crate::canonical_struct!(OpenFork {
    recorded: Index,
    code,
    first,
    second,
    beyond_first,
    beyond_second
});

/// A chain that was followed by links alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beyond {
    /// As far as it was followed.
    pub chain: Chain,
    /// The leaf of its newest link.
    pub newest: EvidenceRef,
}
crate::canonical_struct!(Beyond { chain, newest });

/// Why the log of another registry is doubted, the graver later. It stays until people have spoken with that country, and a graver one
/// takes the place of a milder: what was signed is not hidden by what nobody signed, nor ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogDoubt {
    /// No way is shown from the head taken in to a larger one. Nobody signed that: it is over with the first head that goes on.
    OtherHistory,
    /// It showed a smaller head of a later time: it was restored from a copy.
    RolledBack,
    /// It signed two roots for one size.
    Fork,
}
crate::canonical_enum!(LogDoubt { 1 => Fork, 2 => OtherHistory, 3 => RolledBack });

/// That the roots of a peer set its log time back, as we heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repaired {
    /// Its log time before, as its roots saw it.
    pub from: TimeMs,
    /// Its log time after.
    pub to: TimeMs,
    /// When we heard of it, by our log time.
    pub at: TimeMs,
}
crate::canonical_struct!(Repaired { from, to, at });

/// A head of a peer's log that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenHead {
    /// Its size in leaves.
    pub size: u64,
    /// The next mailbox sequence that was expected under it.
    pub cursor: u64,
    /// When, by our log time.
    pub at: TimeMs,
    /// The log key that signed it.
    pub key: PublicKey,
    /// The size of our log then, in leaves: what was taken under it stands behind.
    pub leaf: u64,
}
crate::canonical_struct!(TakenHead {
    size: Index,
    cursor: Sequence,
    at,
    key,
    leaf: Index
});

/// A stretch of our log in which what we wrote of a peer may rest on the word of whoever had stolen its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// Index of its first leaf.
    pub from: u64,
    /// Index of the first leaf behind it.
    pub to: u64,
}
crate::canonical_struct!(GivenUp {
    from: Index,
    to: Index
});

/// A peer, as replicated state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// As its roots signed it last; who it is and which keys are its own stand there.
    pub bundle: Bundle,
    /// When it became a peer, by our log time.
    pub since: TimeMs,
    /// It signed what cannot both be: no new offers and permits. What its log proves is read on, unless that is `split`.
    pub quarantined: bool,
    /// Its log has two histories: nothing of it is read.
    pub split: bool,
    /// The note of the same size as the one seen that shows the second history; empty while it has one.
    pub split_note: String,
    /// What it is quarantined for, unless it is `split`.
    pub fork: Option<OpenFork>,
    /// Leaves of it that the roots here settled not to count, the newest last: shown again, they are no new evidence.
    pub settled: Vec<Digest>,
    /// Why nodes of this registry doubt its log, until its roots and ours state a newer bundle of it.
    pub doubted: Option<LogDoubt>,
    /// The next mailbox sequence that we expect of it.
    pub cursor: u64,
    /// The largest size of its log that we applied something under.
    pub size_seen: u64,
    /// Root under that size, against which a fork shows.
    pub root_seen: Digest,
    /// The latest time of a map head that was taken in, by its own log time.
    pub time_seen: TimeMs,
    /// The newest time that its roots set its log time back: what it dates between the two may be of before or of after.
    pub repaired: Option<Repaired>,
    /// When a head that came without mail was taken in last, by our log time: an inquiry showed it. Mail does not move it.
    pub shown_at: TimeMs,
    /// The signed note of that size: what a fork is shown with.
    pub note_seen: String,
    /// How many items stand in our mailbox for it.
    pub outbox: u64,
    /// What it had us write in the newest minute of log time.
    pub heard: Heard,
    /// How much that may be.
    pub limits: Allowed,
    /// Whether there is contact with it.
    pub contact: Contact,
    /// How many robots it offers us that wait for our answer, or for their departure.
    pub offers_open: u64,
    /// How many robots we offer it that wait for its answer, or for their departure.
    pub offers_made: u64,
    /// How many robots are on their way between the two: departed and not arrived, or permitted here, over, and not cancelled yet.
    pub under_way: u64,
    /// What it was offered in the newest minute of log time.
    pub told: Minute,
    /// Our leaf in which our roots stated its bundle: whoever wants it as it was signed reads it there.
    pub bundle_leaf: u64,
    /// Our leaves in which our roots stated a bundle with other roots than the one before, the newest last, and before them the one
    /// that had the first: whoever pinned roots of then follows them.
    pub roots_replaced: Vec<u64>,
    /// The number of the newest replacement of its roots that was followed here; 0 for none. One is followed once.
    pub roots_number: u64,
    /// Agreements with it, by name and version, ascending.
    pub agreements: Vec<Agreement>,
    /// Our leaves in which our roots stated them, in the same order.
    pub agreement_leaves: Vec<u64>,
    /// The newest suspension of each version that was ever suspended, ascending.
    pub suspended: Vec<Suspension>,
    /// As these, what its roots suspended there, by its log, of versions that stand here. It stops nothing but our new offers, which nobody
    /// there may permit.
    pub suspended_there: Vec<Suspension>,
    /// Of each agreement that ended with the contact, by name, its newest version: it comes back as a newer one alone.
    pub agreements_ended: Vec<AgreementRef>,
    /// Heads of its log that were taken in, the newest last, the denser the newer: to one of them it goes back when its key was
    /// stolen.
    pub heads: Vec<TakenHead>,
    /// Where our log may hold what a thief said in its name, the oldest first.
    pub given_up: Vec<GivenUp>,
}
crate::canonical_struct!(Peer @ 1 {
    bundle,
    since,
    quarantined,
    split,
    split_note: Lines<NOTE_KEPT_BYTES_MAX>,
    fork,
    settled: List<SETTLED_OF_PEER_MAX>,
    doubted,
    cursor: Sequence,
    size_seen: Index,
    root_seen,
    time_seen,
    repaired,
    shown_at,
    note_seen: Lines<NOTE_KEPT_BYTES_MAX>,
    outbox: Sequence,
    heard,
    limits,
    contact,
    offers_open: Sequence,
    offers_made: Sequence,
    under_way: Sequence,
    told,
    bundle_leaf: Index,
    roots_replaced: ListOf<Index, ROOTS_REPLACED_MAX>,
    roots_number: Sequence,
    agreements: List<AGREEMENTS_OF_PEER_MAX>,
    agreement_leaves: ListOf<Index, AGREEMENTS_OF_PEER_MAX>,
    suspended: List<AGREEMENTS_OF_PEER_MAX>,
    suspended_there: List<AGREEMENTS_OF_PEER_MAX>,
    agreements_ended: List<AGREEMENTS_ENDED_MAX>,
    heads: List<HEADS_OF_PEER_MAX>,
    given_up: List<GIVEN_UP_MAX>,
});

impl Peer {
    /// A peer of which nothing was heard yet.
    pub fn new(bundle: Bundle, since: TimeMs) -> Self {
        Self {
            bundle,
            since,
            quarantined: false,
            split: false,
            split_note: String::new(),
            fork: None,
            settled: Vec::new(),
            doubted: None,
            cursor: 0,
            size_seen: 0,
            root_seen: Digest::ZERO,
            time_seen: TimeMs(0),
            repaired: None,
            shown_at: TimeMs(0),
            note_seen: String::new(),
            outbox: 0,
            heard: Heard::default(),
            limits: Allowed::default(),
            contact: Contact::Open,
            offers_open: 0,
            offers_made: 0,
            under_way: 0,
            told: Minute::default(),
            bundle_leaf: 0,
            roots_replaced: Vec::new(),
            roots_number: 0,
            agreements: Vec::new(),
            agreement_leaves: Vec::new(),
            suspended: Vec::new(),
            suspended_there: Vec::new(),
            agreements_ended: Vec::new(),
            heads: Vec::new(),
            given_up: Vec::new(),
        }
    }

    /// Notes a head under which something was taken. Of the heads of one age, by powers of two of minutes, the oldest is kept.
    pub fn note_head(&mut self, taken: TakenHead) {
        let at = taken.at;
        self.heads.push(taken);
        let age = |head: &TakenHead| (at.since(head.at).as_ms() / 60_000).checked_ilog2();
        let ages: Vec<_> = self.heads.iter().map(age).collect();
        let mut last = None;
        let mut kept = ages.iter().map(|age| last.replace(*age) != Some(*age));
        self.heads.retain(|_| kept.next() == Some(true));
        while self.heads.len() > HEADS_OF_PEER_MAX {
            self.heads.remove(0);
        }
    }

    /// Takes back what was taken under a key that was stolen: the log goes on from the last head that its roots and ours know to be
    /// its own, and what was read since the newest head of another key is read again: of two heads of the stolen key nobody knows
    /// which the thief signed, whatever their sizes. What stands here already changes nothing then. Where the newest head is of
    /// another key, and nothing contradicts it, nothing is taken back; nor where its log has two histories, both of other keys.
    /// `leaf` is the size of our log. Whether anything was.
    pub fn take_back(&mut self, bundle: &Bundle, good: GoodHead, leaf: u64) -> bool {
        let Some(prefix) = bundle.primary() else {
            return false;
        };
        let origin = Origin {
            prefix,
            incarnation: bundle.incarnation,
        };
        let opens = |note: &String| bundle.keys.opened(note, &origin).is_ok();
        let contradicted = self.split && !opens(&self.split_note);
        if self.size_seen == 0 || (opens(&self.note_seen) && !contradicted) {
            return false;
        }
        let is_stolen = |key: &PublicKey| match bundle.keys.entry(KeyRole::Log, key) {
            None => true,
            Some(entry) => entry
                .end
                .is_some_and(|end| end.cause == KeyCause::Compromised),
        };
        let own = self.heads.iter().rposition(|head| !is_stolen(&head.key));
        let before = own.and_then(|at| self.heads.get(at)).copied();
        self.cursor = before.map_or(0, |head| head.cursor);
        let from = before.map_or(0, |head| head.leaf);
        self.heads
            .truncate(own.map_or(0, |at| at.saturating_add(1))); // saturates: an index of a short list
        self.give_up(GivenUp { from, to: leaf });
        self.size_seen = good.size;
        self.root_seen = good.root;
        self.time_seen = TimeMs(0);
        self.shown_at = TimeMs(0);
        self.note_seen = String::new();
        // A thief may have said it, under a number that no later word reaches; what is true is read again.
        self.suspended_there = Vec::new();
        // Two roots of one size, of which a thief signed one. What it is quarantined for besides stands.
        if self.split {
            self.quarantined = self.fork.is_some();
        }
        self.split = false;
        self.split_note = String::new();
        true
    }

    /// Notes a stretch of our log.
    fn give_up(&mut self, stretch: GivenUp) {
        self.given_up.push(stretch);
        if self.given_up.len() > GIVEN_UP_MAX {
            let oldest = self.given_up.remove(0);
            if let Some(next) = self.given_up.first_mut() {
                next.from = next.from.min(oldest.from);
            }
        }
    }

    /// Whether a leaf of ours may rest on what a thief said in its name.
    pub fn is_given_up(&self, leaf: u64) -> bool {
        let mut stretches = self.given_up.iter();
        stretches.any(|one| (one.from..one.to).contains(&leaf))
    }

    /// Of each agreement with it, by name, the newest version that ever stood.
    pub fn newest_versions(&self) -> Vec<AgreementRef> {
        let stand = self.agreements.iter().map(Agreement::reference);
        let mut all: Vec<_> = stand.chain(self.agreements_ended.clone()).collect();
        all.sort_by(|one, other| (&one.id, other.version).cmp(&(&other.id, one.version)));
        all.dedup_by(|later, first| later.id == first.id);
        all
    }

    /// Whether its bundle is valid at a time. What it says under one that is not waits unread.
    pub fn is_valid(&self, at: TimeMs) -> bool {
        at < self.bundle.valid_to
    }

    /// How much of it is read within a minute at a time: what an office here set, and few nacks where no agreement is in force.
    pub fn allowed(&self, at: TimeMs) -> Allowed {
        let limits = self.limits.clone();
        match self.in_force(at).next() {
            Some(_) => limits,
            None => Allowed {
                nacks: limits.nacks.min(NACKS_UNAGREED_A_MINUTE_MAX),
                ..limits
            },
        }
    }

    /// Whether an agreement in force at a time binds us to what it says of robots of its own prefix. A suspension changes nothing
    /// here: it stops new offers and accepts, and unsays no theft.
    pub fn has_clause(&self, me: Prefix, at: TimeMs) -> bool {
        let mut clauses = self.in_force(at).flat_map(|agreement| &agreement.clauses);
        clauses
            .any(|clause| clause.recogniser == me && self.bundle.prefixes.contains(&clause.issuer))
    }

    /// How an agreement with it stands at a time, for people: `86-49 v1 suspended until …`.
    pub fn standing_of(&self, agreement: &Agreement, at: TimeMs) -> String {
        let reference = agreement.reference();
        let mut versions = self.agreements.iter().rev();
        let newer = versions.find(|one| one.id == agreement.id && one.in_force(at));
        let there = self.suspended_there_until(&reference, at);
        let suspended = match (self.suspended_until(&reference, at), there) {
            (Some(until), _) => Some(format!(" suspended until {until}")),
            (None, Some(until)) => {
                let there = self.bundle.primary();
                let there = there.map_or_else(String::new, |prefix| prefix.to_string());
                Some(format!(" suspended by {there} until {until}"))
            }
            (None, None) => None,
        };
        let stands = match suspended {
            Some(suspended) => suspended,
            None if at < agreement.effective_from => {
                format!(" from {}", agreement.effective_from)
            }
            None if agreement.effective_to <= at => {
                format!(" over since {}", agreement.effective_to)
            }
            None if newer.is_none_or(|newer| newer.version != agreement.version) => {
                " replaced".to_owned()
            }
            None => String::new(),
        };
        format!("{} v{}{stands}", agreement.id, agreement.version)
    }

    /// Until when a version is suspended, if it is at a time.
    pub fn suspended_until(&self, agreement: &AgreementRef, at: TimeMs) -> Option<TimeMs> {
        let mut suspended = self.suspended.iter();
        let found = suspended.find(|one| one.agreement == *agreement && at < one.until);
        found.map(|one| one.until)
    }

    /// Until when its roots suspended a version there, if they did at a time.
    pub fn suspended_there_until(&self, agreement: &AgreementRef, at: TimeMs) -> Option<TimeMs> {
        let mut suspended = self.suspended_there.iter();
        let found = suspended.find(|one| one.agreement == *agreement && at < one.until);
        found.map(|one| one.until)
    }

    /// Notes what its roots said of a version that stands here, as its log says. An older word than the one known is none.
    pub fn suspended_by_it(&mut self, said: Suspension) {
        let mut agreements = self.agreements.iter();
        if !agreements.any(|one| one.reference() == said.agreement) {
            return;
        }
        // No more of them than agreements stand.
        let agreements = &self.agreements;
        self.suspended_there.retain(|known| {
            agreements
                .iter()
                .any(|one| one.reference() == known.agreement)
        });
        let places = &mut self.suspended_there;
        match places.binary_search_by(|known| known.agreement.cmp(&said.agreement)) {
            Ok(at) => {
                if let Some(known) = places.get_mut(at)
                    && known.number < said.number
                {
                    *known = said;
                }
            }
            Err(at) => places.insert(at, said),
        }
    }

    /// Whether a version is suspended at a time.
    pub fn is_suspended(&self, agreement: &AgreementRef, at: TimeMs) -> bool {
        self.suspended_until(agreement, at).is_some()
    }

    fn newest_in_force(&self, id: &str, at: TimeMs) -> Option<&Agreement> {
        let versions = self.agreements.iter().filter(|a| a.id == id);
        versions.rev().find(|a| a.in_force(at))
    }

    /// The newest version of an agreement that is in force at a time, unless that version is suspended: what a new offer or
    /// permit may name.
    pub fn newest(&self, id: &str, at: TimeMs) -> Option<&Agreement> {
        let newest = self.newest_in_force(id, at)?;
        (!self.is_suspended(&newest.reference(), at)).then_some(newest)
    }

    /// Every agreement in force at a time, suspended or not: of each name the newest version. By its clauses what a peer says
    /// of its own robots binds here.
    pub fn in_force(&self, at: TimeMs) -> impl Iterator<Item = &Agreement> {
        self.agreements.iter().filter(move |agreement| {
            self.newest_in_force(&agreement.id, at)
                .is_some_and(|newest| newest.version == agreement.version)
        })
    }

    /// Of the newest versions in force at a time and not suspended that with the highest number. A version that is suspended
    /// brings no older one back.
    pub fn agreement(&self, at: TimeMs) -> Option<&Agreement> {
        let newest = self.agreements.iter().filter(|a| {
            self.newest(&a.id, at)
                .is_some_and(|newest| newest.version == a.version)
        });
        newest.max_by_key(|a| a.version)
    }
}
