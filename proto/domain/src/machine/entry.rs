//! What stands in the Raft log of a registry, and what it answers: canonical bytes that every replica reads alike.
//!
//! The leader adds a stamp (time and seed); everything else was signed or proven by somebody.

use std::collections::BTreeSet;

use crate::bytes::code::Prefix;
use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Blob, Canonical, DecodeError, Decoder, Encoder, tag};
use crate::bytes::level::Level;
use crate::bytes::signature::{KeyId, Signature};
use crate::bytes::time::TimeMs;
use crate::limits::{
    CHAIN_MAX, ITEM_COUNT_MAX, Index, LATER_LEAVES_MAX, LOG_KEYS_ACTIVE_MAX, Lines, List,
    MAIL_ITEM_BYTES_MAX, MAIL_ITEMS_MAX, Maybe, NOTE_BYTES_MAX, PROOF_COUNT_MAX,
    RANGE_PROOF_COUNT_MAX, READINGS_MAX, Sequence, UpTo,
};
use crate::log::leaf::{EntrySeed, leaf_bytes_hash};
use crate::log::map::{MapProof, MapValue};
pub use crate::log::shown::{ChainRun, ProvenLeaf};
pub use crate::machine::reading::ClockReading;
use crate::record::audited::AuditHeads;
use crate::record::keys::KeySignature;
use crate::record::peer::{LogDoubt, Signed};
use crate::rules::rejection::Rejection;

const _: () = assert!(ITEM_COUNT_MAX as u64 <= crate::bytes::encoding::ARRAY_COUNT_MAX);

/// Who votes in the Raft cluster: one set of node ids, or both sets while a change of members is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Voters(pub Vec<BTreeSet<u64>>);

impl Voters {
    /// Whether `nodes` hold a majority in every set. Nobody is no quorum.
    pub fn have_quorum(&self, nodes: &BTreeSet<u64>) -> bool {
        let majority = |set: &BTreeSet<u64>| set.len() / 2 < set.intersection(nodes).count();
        !self.0.is_empty() && self.0.iter().all(majority)
    }
}

/// Who belongs to the Raft cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Those who vote.
    pub voters: Voters,
    /// All of them, learners too.
    pub all: BTreeSet<u64>,
}

/// Which feature level a member's binary knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knows {
    /// The member.
    pub node: u64,
    /// The highest level that it knows.
    pub level: Level,
}
crate::canonical_struct!(Knows { node, level });

/// What the leader adds to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The leader's clock; log time is the largest stamp so far. One above the ceiling is refused.
    pub at: TimeMs,
    /// Random: from it come the salts of every leaf of the entry.
    pub seed: EntrySeed,
}
crate::canonical_struct!(Stamp { at, seed });

/// A part of a bulk request, or a whole single command, under one actor signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Canonical bytes of the signed header.
    pub header: Blob,
    /// The actor's signature over them.
    pub signature: Signature,
    /// 0-based index of the first item of this part.
    pub first_item: u32,
    /// Canonical items.
    pub items: Vec<Blob>,
    /// Range proof of the items to the header's item root; empty when the part is the whole.
    pub range_proof: Vec<Digest>,
}
crate::canonical_struct!(Request {
    header,
    signature,
    first_item: UpTo<{ ITEM_COUNT_MAX as u64 - 1 }>,
    items: List<{ ITEM_COUNT_MAX as usize }>,
    range_proof: List<RANGE_PROOF_COUNT_MAX>
});

/// One item of a peer's mailbox for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailItem {
    /// Its place in the mailbox, from 0, without gaps.
    pub sequence: u64,
    /// With its slots as far as the mailbox's owner may see them, and its place under the head of the batch.
    pub proven: ProvenLeaf,
    /// For a departure: the map value of the robot and its proof, showing that the departure is the newest leaf.
    pub newest: Option<NewestProof>,
    /// Of an offer to whoever reads this: the custody steps of the robot that lead to it, oldest first, whoever wrote them. Else empty.
    pub chain: Vec<ChainRun>,
}
crate::canonical_struct!(MailItem {
    sequence: Sequence,
    proven,
    newest,
    chain: List<CHAIN_MAX>
});

impl MailItem {
    /// What is said of it where its bytes are too many.
    pub fn in_short(&self) -> LargeItem {
        LargeItem {
            sequence: self.sequence,
            index: self.proven.index,
            leaf: leaf_bytes_hash(&self.proven.leaf.0),
            path: self.proven.path.clone(),
            length: self.to_bytes().len() as u64,
        }
    }

    /// Whether it has more bytes than travel and are read.
    pub fn is_large(&self) -> bool {
        self.to_bytes().len() > MAIL_ITEM_BYTES_MAX
    }
}

/// An item that is larger than [`MAIL_ITEM_BYTES_MAX`], by what proves its leaf. It is refused, and nothing behind it is taken: that it
/// is so large is the word of one server. No registry of level 1 writes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeItem {
    /// Its place in the mailbox.
    pub sequence: u64,
    /// Index of its leaf in the peer's log.
    pub index: u64,
    /// Hash of the leaf.
    pub leaf: Digest,
    /// Inclusion path of the leaf.
    pub path: Vec<Digest>,
    /// How many bytes the item has, by whoever left them out.
    pub length: u64,
}
crate::canonical_struct!(LargeItem {
    sequence: Sequence,
    index: Index,
    leaf,
    path: List<PROOF_COUNT_MAX>,
    length: Index
});

/// Proof that no custody step of its subject follows a leaf: the leaves after it, the map value of the last, the path to
/// the map root, and the map-head leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestProof {
    /// Bytes of the subject's leaves after the one proven, oldest first; each names the one before as `prev`.
    pub later: Vec<Blob>,
    /// As the map of that head has it for the subject: its newest leaf is the last of `later`.
    pub value: MapValue,
    /// The path to the map root.
    pub proof: MapProof,
    /// The map-head leaf: the last under the checkpoint; its record root is the map root.
    pub map_head: ProvenHead,
}
crate::canonical_struct!(NewestProof {
    later: List<LATER_LEAVES_MAX>,
    value,
    proof,
    map_head
});

/// A map-head leaf and its inclusion path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenHead {
    /// Its index: the checkpoint's size less one.
    pub index: u64,
    /// Its bytes.
    pub leaf: Blob,
    /// Inclusion path.
    pub path: Vec<Digest>,
}
crate::canonical_struct!(ProvenHead { index: Index, leaf, path: List<PROOF_COUNT_MAX> });

/// What a peer's mailbox handed over at once, under one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailBatch {
    /// Primary prefix of the peer.
    pub peer: Prefix,
    /// Its checkpoint, a signed note.
    pub checkpoint: String,
    /// The map head: the last leaf under the checkpoint, which says when it was made.
    pub map_head: ProvenHead,
    /// Consistency proof from the largest size we know of.
    pub consistency: Vec<Digest>,
    /// Items in order.
    pub items: Vec<MailItem>,
    /// The item behind them, where it is too large to be carried.
    pub large: Option<LargeItem>,
}
crate::canonical_struct!(MailBatch @ 1 {
    peer,
    checkpoint: Lines<NOTE_BYTES_MAX>,
    map_head,
    consistency: List<RANGE_PROOF_COUNT_MAX>,
    items: List<MAIL_ITEMS_MAX>,
    large
});

impl MailBatch {
    /// The places of its items in the mailbox, in order.
    pub fn sequences(&self) -> impl Iterator<Item = u64> + '_ {
        let items = self.items.iter().map(|item| item.sequence);
        items.chain(self.large.as_ref().map(|large| large.sequence))
    }
}

/// What a client signs to open a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOpening {
    /// The registry meant.
    pub prefix: Prefix,
    /// Of that registry: a restored one opens nothing that was signed for the one before.
    pub incarnation: u64,
    /// The key that signs; the session belongs to its party.
    pub key: KeyId,
    /// The certificate's subject under which the session is used.
    pub subject: String,
    /// 16 bytes drawn by the client, so that a repeated request opens one session.
    pub nonce: [u8; 16],
    /// Ignored after this log time.
    pub not_after: TimeMs,
}
crate::canonical_struct!(SessionOpening @ 1 {
    prefix,
    incarnation: Sequence,
    key,
    subject,
    nonce,
    not_after
});

impl SessionOpening {
    /// The bytes under the signature, of an opening's canonical bytes.
    pub fn signing_bytes(opening: &[u8]) -> Vec<u8> {
        [tag::SESSION.as_bytes(), opening].concat()
    }
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A statement of the jurisdiction's roots; the first is the genesis.
    Root {
        /// The statement and its signatures.
        signed: Signed,
    },
    /// Raises the ceiling of stamps, on the evidence of a quorum of voters' clocks. Its own stamp counts for nothing.
    AdvanceTime {
        /// What a quorum reads.
        to: TimeMs,
        /// What each voter's clock read, ascending by node.
        readings: Vec<ClockReading>,
    },
    /// Opens a session, in which a client numbers its requests.
    OpenSession {
        /// Subject of the client's certificate, by the node that was asked.
        subject: String,
        /// Canonical bytes of a [`SessionOpening`].
        opening: Blob,
        /// Signature of the opening's key over `"carnet-session/1" ‖ opening`.
        signature: Signature,
    },
    /// Commands of an actor.
    Actor {
        /// Subject of the client's certificate, by the node that was asked.
        subject: String,
        /// Commands, with the header that one key signed for all of them.
        request: Request,
    },
    /// Items of a peer's mailbox, with their evidence.
    Foreign {
        /// Items in their order, and the head they are proven under.
        batch: MailBatch,
    },
    /// Appends the map head and closes the tree at this size.
    Seal {},
    /// Publishes the signature of a sealed size.
    Publish {
        /// Tree size.
        size: u64,
        /// Tree root.
        root: Digest,
        /// The signatures over the checkpoint of every log key in use at that size, in the order of the history.
        signatures: Vec<KeySignature>,
    },
    /// Runs a published rule, whose outcome every replica computes.
    Rule {
        /// Which.
        number: u16,
        /// Where the rule's scan stands; an entry that names another place does nothing.
        cursor: u64,
    },
    /// Doubts a peer's word: a node of this registry saw what its log cannot honestly show. It is that node's word, and makes less of
    /// the peer, never more.
    Doubt {
        /// Primary prefix of the peer.
        peer: Prefix,
        /// Sequence of the bundle under which it showed that: a newer one settles it.
        sequence: u64,
        /// What it showed.
        doubt: LogDoubt,
    },
    /// Where the chains of audit of a node stand, by its own word.
    Audit {
        /// By its number in the cluster.
        node: u64,
        /// Where.
        heads: AuditHeads,
    },
    /// Raises the feature level, once every member knows the higher one.
    RaiseLevel {
        /// The next level.
        to: Level,
        /// What each member knows, ascending by node.
        seen: Vec<Knows>,
    },
}
crate::canonical_variants!(Body {
    1 => Root { signed },
    2 => AdvanceTime { to, readings },
    3 => OpenSession { subject, opening, signature },
    4 => Actor { subject, request },
    5 => Foreign { batch },
    6 => Seal {},
    7 => Publish { size: Index, root, signatures: List<LOG_KEYS_ACTIVE_MAX> },
    8 => Rule { number, cursor: Sequence },
    9 => RaiseLevel { to, seen: List<READINGS_MAX> },
    10 => Doubt { peer, sequence: Sequence, doubt },
    12 => Audit { node: Sequence, heads },
});

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The leader's stamp.
    pub stamp: Stamp,
    /// What it does.
    pub body: Body,
}
crate::canonical_struct!(Entry @ 1 { stamp, body });

impl Body {
    /// Number of [`Body::Seal`] in the encoding.
    const SEAL: u64 = 6;
    /// Number of [`Body::Rule`] in the encoding.
    const RULE: u64 = 8;

    /// Whether it closes the log at a size.
    pub fn is_seal(&self) -> bool {
        matches!(self, Self::Seal {})
    }
}

impl Entry {
    /// Whether bytes are those of an entry that seals, which ends its batch. Of any other no more is read than which body it
    /// has, so that a bulk request costs no second decoding.
    pub fn seals(bytes: &[u8]) -> bool {
        // level: only which body it is.
        let mut d = Decoder::new(bytes);
        let mut number = || -> Result<u64, DecodeError> {
            d.array()?;
            // Version and stamp.
            d.skip()?;
            d.skip()?;
            d.array()?;
            d.uint()
        };
        number().is_ok_and(|number| number == Body::SEAL)
    }

    /// Which rule an entry of these bytes runs, and by which stamp. No more of it is read.
    pub fn rule(bytes: &[u8]) -> Option<(u16, TimeMs)> {
        // level: only which rule it runs.
        let mut d = Decoder::new(bytes);
        let mut read = || -> Result<Option<(u64, u64)>, DecodeError> {
            d.array()?;
            // Version, and the seed of the stamp.
            d.skip()?;
            d.array()?;
            let at = d.uint()?;
            d.skip()?;
            d.leave();
            d.array()?;
            match d.uint()? {
                Body::RULE => d.uint().map(|number| Some((number, at))),
                _ => Ok(None),
            }
        };
        let (number, at) = read().ok()??;
        Some((u16::try_from(number).ok()?, TimeMs(at)))
    }

    /// As [`Canonical::to_bytes`], without growing step by step to the size of a bulk request.
    pub fn to_bytes_at_once(&self) -> Vec<u8> {
        let items = match &self.body {
            Body::Actor { request, .. } => request.items.as_slice(),
            _ => &[],
        };
        let grown = |room: usize, item: &Blob| {
            // saturates: only room
            room.saturating_add(item.0.len()).saturating_add(8)
        };
        let mut e = Encoder::with_capacity(items.iter().fold(1_024, grown));
        self.encode(&mut e);
        e.finish()
    }
}

/// The fate of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemAnswer {
    /// Done: the last leaf it wrote.
    Done {
        /// Of that leaf in our log, from 0.
        leaf_index: u64,
        /// By which its slots can be disclosed later.
        leaf_hash: Digest,
        /// Sequence of the subject after it.
        sequence: u64,
        /// Whether it is the first of two words: what was asked for happens when a second person asks for the same.
        waits: bool,
    },
    /// A lawful "no".
    Refused {
        /// Why.
        rejection: Rejection,
    },
    /// Nothing to do: a replay, or no leaf was needed.
    Nothing {},
}
crate::canonical_variants!(ItemAnswer {
    1 => Done { leaf_index: Index, leaf_hash, sequence: Sequence, waits },
    2 => Refused { rejection },
    3 => Nothing {},
});

/// The answer to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Log time of the entry (of its first execution, for a repeated request).
    pub at: TimeMs,
    /// Tree size after it.
    pub size: u64,
    /// The session opened, for `OpenSession`.
    pub session: Option<u64>,
    /// One an item, in order.
    pub items: Vec<ItemAnswer>,
}
crate::canonical_struct!(Answer {
    at,
    size: Index,
    session: Maybe<Sequence>,
    items: List<{ ITEM_COUNT_MAX as usize }>
});
