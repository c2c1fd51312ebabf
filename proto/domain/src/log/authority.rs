//! Authorisation envelopes: who wanted an entry, in bytes that an auditor can check again.
//!
//! ```text
//! header      CBOR[1, prefix, incarnation, key id, session, sequence, not_after, kind, item count, part items, item_root]
//! signed      "carnet-command/1" ‖ header
//! class 0     [0, header, signature, first item, items, range proof to item_root]
//! class 1     [1, peer origin, checkpoint, index, leaf, path, disclosed slots]; where the checkpoint alone is the
//!             statement (a fork), index is its size, leaf and slots are null and the path is empty
//! class 2     [2, rule number, cause]
//! class 3     [3, statement, [[key id, signature]…]]
//! D           class 0: SHA-256(header ‖ signature) ‖ item index u32be ‖ item leaf; else SHA-256(CBOR of the array)
//! item leaf   SHA-256(0x00 ‖ item): the leaf of the item under item_root
//! ```
//! This room checks that bytes belong together. Whether the key may do what the item says is `decide`'s business; whether
//! a foreign checkpoint is to be believed is `carnet-trust`'s.

use std::borrow::Cow;

use crate::bytes::code::Prefix;
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Blob, Canonical, DecodeError, tag};
use crate::bytes::signature::{BadSignature, KeyId, PublicKey, Signature, verify_cofactored};
use crate::bytes::time::TimeMs;
use crate::bytes::together::Together;
use crate::limits::{
    ITEM_COUNT_MAX, Index, List, PROOF_COUNT_MAX, RANGE_PROOF_COUNT_MAX, ROOT_SIGNATURES_MAX,
    Sequence, UpTo,
};
use crate::log::leaf::{Disclosure, Expansion, LeafSeed, leaf_bytes_hash};
use crate::log::merkle::{ProofError, verify_range};
use crate::{canonical_struct, canonical_variants};

/// What an actor signs: one header for all items of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedHeader {
    /// Primary prefix of the registry it is meant for.
    pub prefix: Prefix,
    /// Incarnation of that registry: a restored one refuses what was signed for the one before.
    pub incarnation: u64,
    /// By its identifier: its holder and role at that time are the registry's to know.
    pub key: KeyId,
    /// The session, for exactly-once.
    pub session: u64,
    /// The number of the request inside the session.
    pub sequence: u64,
    /// The last log time at which it may be applied.
    pub not_after: TimeMs,
    /// Which command all items are.
    pub kind: u16,
    /// How many items.
    pub item_count: u32,
    /// Items in one part, 1 to [`ITEM_COUNT_MAX`]: part k holds the items from `k · part_items` on, the last part what is
    /// left. Whoever signs says where a request may be cut, so that no item comes in two parts.
    pub part_items: u32,
    /// RFC 6962 root of the canonical items.
    pub item_root: Digest,
}

canonical_struct!(SignedHeader @ 1 {
    prefix,
    incarnation: Sequence,
    key,
    session: Sequence,
    sequence: Sequence,
    not_after,
    kind,
    item_count,
    part_items,
    item_root
});

impl SignedHeader {
    /// The bytes under the signature: `"carnet-command/1" ‖ CBOR(header)`.
    pub fn signing_bytes(&self) -> Vec<u8> {
        signing_bytes(&self.to_bytes())
    }

    /// How many items the part has that begins at `first_item`; `None` when none does.
    pub fn part_at(&self, first_item: u32) -> Option<u32> {
        let left = self.item_count.checked_sub(first_item)?;
        let begins = first_item.checked_rem(self.part_items) == Some(0);
        (begins && left > 0).then(|| left.min(self.part_items))
    }
}

fn signing_bytes(header: &[u8]) -> Vec<u8> {
    [tag::COMMAND.as_bytes(), header].concat()
}

/// How an entry was authorised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Envelope {
    /// Class 0: an actor signed it.
    Actor {
        /// Canonical bytes of the [`SignedHeader`], as received.
        header: Blob,
        /// Signature of [`SignedHeader::signing_bytes`].
        signature: Signature,
        /// 0-based index of the first item here among all items signed.
        first_item: u32,
        /// Canonical items, as received.
        items: Vec<Blob>,
        /// Proof that the items stand at that place under `item_root`; empty when they are all.
        range_proof: Vec<Digest>,
    },
    /// Class 1: a leaf of a foreign log.
    Foreign {
        /// Origin line of the peer's log.
        origin: String,
        /// Text of the checkpoint, as received.
        checkpoint: Blob,
        /// 0-based index of the leaf; the size of the checkpoint where there is none.
        index: u64,
        /// Bytes of the leaf, as received; `None` where the checkpoint itself is the statement.
        leaf: Option<Blob>,
        /// Inclusion proof.
        path: Vec<Digest>,
        /// The slots shown; `None` where there is no leaf.
        disclosed: Option<Disclosure>,
    },
    /// Class 2: a published rule whose outcome apply recomputes.
    System {
        /// The number of the rule.
        rule: u16,
        /// What set it off.
        cause: Blob,
    },
    /// Class 3: root-signed bytes.
    Root {
        /// The statement, as received.
        statement: Blob,
        /// Root signatures over it, by key.
        signatures: Vec<(KeyId, Signature)>,
    },
}

canonical_variants!(Envelope {
    0 => Actor { header, signature, first_item: UpTo<{ ITEM_COUNT_MAX as u64 - 1 }>, items: List<{ ITEM_COUNT_MAX as usize }>, range_proof: List<RANGE_PROOF_COUNT_MAX> },
    1 => Foreign { origin, checkpoint, index: Index, leaf, path: List<PROOF_COUNT_MAX>, disclosed },
    2 => System { rule, cause },
    3 => Root { statement, signatures: List<ROOT_SIGNATURES_MAX> },
});

/// The digest D of an envelope, for one item of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Authority {
    class: u8,
    d: Vec<u8>,
}

impl Authority {
    /// D of class 0: header and signature as received, and one item.
    pub fn item(header: &[u8], signature: &Signature, index: u32, item: &[u8]) -> Self {
        Self::item_of(
            &sha256(&[header, &signature.0]),
            index,
            &leaf_bytes_hash(item),
        )
    }

    /// As [`Authority::item`], when `SHA-256(header ‖ signature)` and the leaf hash of the item are known already.
    pub fn item_of(signed: &Digest, index: u32, item_leaf: &Digest) -> Self {
        let d = [&signed.0[..], &index.to_be_bytes(), &item_leaf.0].concat();
        Self { class: 0, d }
    }

    /// D of classes 1 to 3.
    fn whole(envelope: &Envelope) -> Self {
        Self {
            class: envelope.class(),
            d: sha256(&[&envelope.to_bytes()]).0.to_vec(),
        }
    }

    /// The class of the envelope.
    pub fn class(&self) -> u8 {
        self.class
    }

    /// The bytes of D: 68 for class 0, else 32.
    pub fn as_bytes(&self) -> &[u8] {
        &self.d
    }

    /// The `auth` field of the leaf with this seed.
    pub fn auth(&self, leaf_seed: &LeafSeed) -> Digest {
        Expansion::of(leaf_seed).auth(self.class, &self.d)
    }
}

/// Why an envelope does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The header is not canonical.
    #[error("the signed header is not canonical")]
    Header(#[source] DecodeError),
    /// The header names another key than the one given.
    #[error("the header names key {named}, not {given}")]
    Key {
        /// The key in the header.
        named: KeyId,
        /// The key it was to be verified with.
        given: KeyId,
    },
    /// The signature does not verify.
    #[error("the command signature does not verify")]
    Signature(#[source] BadSignature),
    /// There are no items, or more than allowed.
    #[error("{0} items, allowed are 1 to {ITEM_COUNT_MAX}")]
    ItemCount(u64),
    /// An item is not canonical.
    #[error("item {index} is not canonical")]
    Item {
        /// 0-based index among all items signed.
        index: u32,
        /// Where and why.
        #[source]
        source: DecodeError,
    },
    /// The request is not cut there.
    #[error(
        "{item_count} items in parts of {part_items} have no part of {count} items from item {first} on"
    )]
    Part {
        /// 0-based index of the first item.
        first: u32,
        /// How many came.
        count: u64,
        /// How many were signed.
        item_count: u32,
        /// How many a part has.
        part_items: u32,
    },
    /// The items are not those that were signed.
    #[error("the items are not those under the signature")]
    Items(#[source] ProofError),
    /// The envelope is of another class, or the item is not in it.
    #[error("the envelope has no item {0}")]
    NoSuchItem(u32),
}

impl Envelope {
    /// The class: 0 actor, 1 foreign, 2 system, 3 root.
    pub fn class(&self) -> u8 {
        self.number() as u8
    }

    /// The digest D. `index` is the 0-based index of the item among all items signed; classes 1 to 3 have one item, 0.
    ///
    /// # Errors
    /// [`EnvelopeError::NoSuchItem`].
    pub fn authority(&self, index: u32) -> Result<Authority, EnvelopeError> {
        match self {
            Self::Actor {
                header,
                signature,
                first_item,
                items,
                ..
            } => {
                let at = index
                    .checked_sub(*first_item)
                    .and_then(|at| items.get(at as usize));
                let item = at.ok_or(EnvelopeError::NoSuchItem(index))?;
                Ok(Authority::item(&header.0, signature, index, &item.0))
            }
            _ if index == 0 => Ok(Authority::whole(self)),
            _ => Err(EnvelopeError::NoSuchItem(index)),
        }
    }
}

/// A header whose signature verified under the key it names. Only [`verify_header_in_log`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHeader {
    header: SignedHeader,
    signed: Digest,
}

/// Verifies the signature of a header as received, by the rule of what stands in the log ([`verify_cofactored`]): the one of
/// `apply` and of whoever replays it. With `known` the caller states that this process has verified exactly this key, header and signature
/// before, and the equation is not computed again.
///
/// # Errors
/// When the bytes are not a canonical header, name another key, or the signature does not verify.
pub fn verify_header_in_log(
    header: &[u8],
    signature: &Signature,
    key: &PublicKey,
    known: bool,
) -> Result<VerifiedHeader, EnvelopeError> {
    verified(header, signature, key, |message| match known {
        true => Ok(()),
        false => verify_cofactored(key, message, signature),
    })
}

/// Reads a header that has a form in which `apply` would take it under a key: it names the key, and has items. Whether the
/// signature is good is another question.
///
/// # Errors
/// Not canonical, of another key, or of no number of items that a request may have.
pub fn header_of(header: &[u8], key: &PublicKey) -> Result<SignedHeader, EnvelopeError> {
    // level: `apply` has read it by the level before, and an edge knows what its binary knows.
    let parsed = SignedHeader::from_bytes(header).map_err(EnvelopeError::Header)?;
    let given = key.key_id();
    if parsed.key != given {
        return Err(EnvelopeError::Key {
            named: parsed.key,
            given,
        });
    }
    if parsed.item_count == 0 || parsed.item_count > ITEM_COUNT_MAX {
        return Err(EnvelopeError::ItemCount(u64::from(parsed.item_count)));
    }
    Ok(parsed)
}

/// Checks the signature of a header and nothing else of it, by the rule of what stands in the log: what [`add_header`] checks
/// together with others.
///
/// # Errors
/// [`BadSignature`].
pub fn verify_signature_in_log(
    header: &[u8],
    signature: &Signature,
    key: &PublicKey,
) -> Result<(), BadSignature> {
    verify_cofactored(key, &signing_bytes(header), signature)
}

/// Adds the signature of a header, as [`verify_signature_in_log`] would check it, to those that are checked together.
pub fn add_header(together: &mut Together, header: &[u8], signature: &Signature, key: &PublicKey) {
    together.add(key, &signing_bytes(header), signature);
}

fn verified(
    header: &[u8],
    signature: &Signature,
    key: &PublicKey,
    equation: impl Fn(&[u8]) -> Result<(), BadSignature>,
) -> Result<VerifiedHeader, EnvelopeError> {
    let parsed = header_of(header, key)?;
    equation(&signing_bytes(header)).map_err(EnvelopeError::Signature)?;
    Ok(VerifiedHeader {
        header: parsed,
        signed: sha256(&[header, &signature.0]),
    })
}

impl VerifiedHeader {
    /// As it was signed: whose key, for which registry, over how many items.
    pub fn header(&self) -> &SignedHeader {
        &self.header
    }

    /// Proves that items are those signed, at their place.
    ///
    /// # Errors
    /// When an item is not canonical, or the items are not under `item_root` at `first_item`.
    pub fn items<'i>(
        &self,
        first_item: u32,
        items: impl Into<Cow<'i, [Blob]>>,
        range_proof: &[Digest],
    ) -> Result<VerifiedItems<'i>, EnvelopeError> {
        let items = items.into();
        if items.is_empty() || items.len() > ITEM_COUNT_MAX as usize {
            return Err(EnvelopeError::ItemCount(items.len() as u64));
        }
        // Judged before anything is counted from it: it stands beside the signature, not under it.
        if self.header.part_at(first_item).map(u64::from) != Some(items.len() as u64) {
            return Err(EnvelopeError::Part {
                first: first_item,
                count: items.len() as u64,
                item_count: self.header.item_count,
                part_items: self.header.part_items,
            });
        }
        for (index, item) in (first_item..).zip(items.iter()) {
            crate::bytes::encoding::well_formed(&item.0)
                .map_err(|source| EnvelopeError::Item { index, source })?;
        }
        let hashes: Vec<Digest> = items.iter().map(|item| leaf_bytes_hash(&item.0)).collect();
        let size = u64::from(self.header.item_count);
        let root = &self.header.item_root;
        verify_range(&hashes, u64::from(first_item), size, range_proof, root)
            .map_err(EnvelopeError::Items)?;
        Ok(VerifiedItems {
            header: self.clone(),
            first_item,
            items,
            hashes,
        })
    }
}

/// Items that were signed under a verified header. Only [`VerifiedHeader::items`] makes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedItems<'i> {
    header: VerifiedHeader,
    first_item: u32,
    items: Cow<'i, [Blob]>,
    /// The leaf hash of each.
    hashes: Vec<Digest>,
}

impl VerifiedItems<'_> {
    /// As it was signed; the items are those that it commits to.
    pub fn header(&self) -> &SignedHeader {
        &self.header.header
    }

    /// 0-based index of the first item among all items signed.
    pub fn first_item(&self) -> u32 {
        self.first_item
    }

    /// The canonical items, as received.
    pub fn items(&self) -> &[Blob] {
        &self.items
    }

    /// The digest D of each item, in order.
    pub fn authorities(&self) -> impl Iterator<Item = Authority> + '_ {
        (self.first_item..)
            .zip(&self.hashes)
            .map(|(index, hash)| Authority::item_of(&self.header.signed, index, hash))
    }
}

/// The root over canonical items, for the header of a request.
pub fn item_root<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let hashes: Vec<Digest> = items.into_iter().map(leaf_bytes_hash).collect();
    crate::log::merkle::tree_root(&hashes)
}
