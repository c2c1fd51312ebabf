//! That a registry took in a head of another's log: its own word, signed with its log key, beside evidence that it passes on.
//!
//! ```text
//! Ed25519 of each log key in use over "carnet-taken/1" ‖ [ registry, incarnation, published, origin, size, root, at ]
//! ```
//! Heads move on by the second, a pack names one of each peer: evidence that was passed on some time before the pack was made, or
//! after it, is under another head, and nobody without a network can say how the two go together. The registry that passed it
//! on could. Whoever verifies for that registry's country believes this, and nobody else does.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Canonical, tag};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::{Index, LOG_KEYS_ACTIVE_MAX, List, Sequence};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::record::keys::KeySignature;

use crate::bundle::PinnedBundle;
use crate::evidence::{HeadOrder, ProvenEvidence};
use crate::known::KnownHead;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// Primary prefix of the registry that took it in.
    pub registry: Prefix,
    /// Incarnation of its log.
    pub incarnation: u64,
    /// Size of its newest published head then: of which time the keys that sign this must be.
    pub published: u64,
    /// The other log.
    pub origin: Origin,
    /// Size of its head.
    pub size: u64,
    /// Root of its head.
    pub root: Digest,
    /// Log time of the registry that took it in.
    pub at: TimeMs,
}
carnet_domain::canonical_struct!(Taking {
    registry,
    incarnation: Sequence,
    published: Index,
    origin,
    size: Index,
    root,
    at
});

impl Taking {
    /// Taking in the head of evidence that is the head known, which the log of the registry that says so holds: of no other is this
    /// ever said. One that only extends it is of one history of many, as long as nothing joins those to each other.
    pub fn of(
        registry: Prefix,
        incarnation: u64,
        (published, at): (u64, TimeMs),
        proven: &ProvenEvidence,
        known: &KnownHead,
    ) -> Option<Self> {
        match proven.against(known.size, &known.root, known.time) {
            HeadOrder::Same => Some(Self {
                registry,
                incarnation,
                published,
                origin: *proven.origin(),
                size: proven.size(),
                root: *proven.checkpoint().root(),
                at,
            }),
            HeadOrder::Extends
            | HeadOrder::Older
            | HeadOrder::NotJoined
            | HeadOrder::RolledBack
            | HeadOrder::OtherHistory => None,
        }
    }

    /// What the log key signs.
    pub fn message(&self) -> Vec<u8> {
        [tag::TAKEN.as_bytes(), &self.to_bytes()].concat()
    }
}

/// It and its signature, as they travel beside the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTaking {
    /// What is said.
    pub taking: Taking,
    /// Of each log key in use over [`Taking::message`].
    pub signatures: Vec<KeySignature>,
}
carnet_domain::canonical_struct!(SignedTaking { taking, signatures: List<LOG_KEYS_ACTIVE_MAX> });

/// A head that the verifier's own country took in, by its own word. Only [`TakenHead::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenHead(Taking);

impl TakenHead {
    /// The own country's word, under its pinned bundle; `None` when it is not its word.
    pub fn verify(own: &PinnedBundle, signed: &SignedTaking) -> Option<Self> {
        let SignedTaking { taking, signatures } = signed;
        let of_own = taking.registry == own.primary();
        let keys = &own.bundle().keys;
        let place = (taking.published, taking.at);
        let held = keys.is_signed(&taking.message(), signatures, place);
        let held = held && of_own && taking.incarnation == own.bundle().incarnation;
        held.then(|| Self(taking.clone()))
    }

    /// Whether it is the head of this evidence.
    pub fn is_of(&self, proven: &ProvenEvidence) -> bool {
        let (size, root) = (proven.size(), proven.checkpoint().root());
        self.0.origin == *proven.origin() && self.0.size == size && self.0.root == *root
    }

    /// When it was taken in, by the own country's log time.
    pub fn at(&self) -> TimeMs {
        self.0.at
    }
}
