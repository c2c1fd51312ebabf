//! The order of a jurisdiction's roots to skip one log entry, after which its replicas could not go on.
//!
//! It arrives beside the log, as a file on every node, because nothing later in the log can be applied. An order is
//! judged in two steps, each of which leaves a value: [`judge`] says that the roots of this registry signed it,
//! [`RootsOrder::for_entry`] that it is about exactly this entry. What the entry then writes is `machine::skip`.
//!
//! ```text
//! skip        [ 1, cluster:bytes16, log index, entry:bytes32 ]
//! entry       SHA-256(bytes of the log entry)
//! signed      "carnet-skip/1" ‖ skip bytes
//! entry seed  SHA-256("carnet-skip/1" ‖ skip bytes)
//! file        [ skip bytes, [ [ root, signature ], … ] ]
//! ```

use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Blob, Canonical, DecodeError, tag};
use crate::bytes::level::Level;
use crate::bytes::signature::SecretKey;
use crate::limits::SKIP_SIGNATURES_MAX;
use crate::log::leaf::EntrySeed;
use crate::record::peer::{RootSignature, Signed, threshold_signed};
use crate::record::registry::Registry;

/// What the roots sign: which entry of which log is to be skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Identity of the cluster, as in its genesis.
    pub cluster: [u8; 16],
    /// Raft index of the entry.
    pub log_index: u64,
    /// By [`entry_digest`]: at that index another entry is not passed over.
    pub entry: Digest,
}
crate::canonical_struct!(Skip @ 1 {
    cluster,
    log_index,
    entry
});

/// The digest that names a log entry: SHA-256 of its bytes, which need not be canonical.
pub fn entry_digest(entry: &[u8]) -> Digest {
    sha256(&[entry])
}

impl Skip {
    /// The order as a file holds it before anybody signed.
    pub fn unsigned(&self) -> Signed {
        Signed {
            bytes: Blob(self.to_bytes()),
            signatures: Vec::new(),
        }
    }

    /// One root's signature.
    pub fn sign(&self, root: &SecretKey) -> RootSignature {
        RootSignature {
            root: root.public(),
            signature: root.sign(&signing_bytes(&self.to_bytes())),
        }
    }

    /// The seed of the leaf that stands in place of the entry.
    pub(crate) fn seed(&self) -> EntrySeed {
        EntrySeed(sha256(&[&signing_bytes(&self.to_bytes())]).0)
    }
}

/// The bytes that a root signs; no other statement of a root begins like them.
pub fn signing_bytes(skip: &[u8]) -> Vec<u8> {
    [tag::SKIP.as_bytes(), skip].concat()
}

/// Why an order is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkipError {
    /// It cannot be read.
    #[error("not an order to skip an entry: {0}")]
    Malformed(#[from] DecodeError),
    /// The genesis is not applied, so no roots are known that could order anything.
    #[error("no roots are known before the genesis is applied: nothing can be skipped")]
    NoRoots,
    /// It is about another cluster's log.
    #[error("meant for cluster {}, this is {}", hex(.ordered), hex(.own))]
    OtherCluster {
        /// Whose log it is about.
        ordered: [u8; 16],
        /// Whose this is.
        own: [u8; 16],
    },
    /// Over [`SKIP_SIGNATURES_MAX`].
    #[error("{0} signatures, allowed are {SKIP_SIGNATURES_MAX}")]
    TooManySignatures(usize),
    /// Fewer good signatures of different roots than the threshold.
    #[error("not signed by {threshold} of the {roots} roots")]
    Unsigned {
        /// How many must sign.
        threshold: u8,
        /// How many roots there are.
        roots: usize,
    },
    /// It is about another index.
    #[error("about log entry {ordered}, not {here}")]
    OtherIndex {
        /// Which it is about.
        ordered: u64,
        /// Which is asked about.
        here: u64,
    },
    /// The entry at that index is another one.
    #[error("log entry {log_index} has digest {here}, the order names {ordered}")]
    OtherEntry {
        /// In the Raft log, as the order names it.
        log_index: u64,
        /// Which it is about.
        ordered: Digest,
        /// Which stands there.
        here: Digest,
    },
}

/// As identities of clusters are written.
fn hex(cluster: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*cluster))
}

/// An order that the roots of this registry signed for its own cluster. Only [`judge`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootsOrder(Skip);

/// An order about exactly the entry at hand. Only [`RootsOrder::for_entry`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderForEntry(Skip);

/// Judges an order by the roots and the threshold of a registry.
///
/// # Errors
/// The first thing that is wrong with it, cheapest first.
pub fn judge(signed: &Signed, registry: Option<&Registry>) -> Result<RootsOrder, SkipError> {
    let level = registry.map_or(Level::FIRST, |registry| registry.level);
    let skip = Skip::from_bytes_at(&signed.bytes.0, level)?;
    let registry = registry.ok_or(SkipError::NoRoots)?;
    if skip.cluster != registry.cluster {
        return Err(SkipError::OtherCluster {
            ordered: skip.cluster,
            own: registry.cluster,
        });
    }
    if signed.signatures.len() > SKIP_SIGNATURES_MAX {
        return Err(SkipError::TooManySignatures(signed.signatures.len()));
    }
    let message = signing_bytes(&signed.bytes.0);
    let (roots, threshold) = (&registry.roots, registry.threshold);
    if !threshold_signed(roots, threshold, &message, &signed.signatures) {
        return Err(SkipError::Unsigned {
            threshold,
            roots: roots.len(),
        });
    }
    Ok(RootsOrder(skip))
}

impl RootsOrder {
    /// What is ordered.
    pub fn skip(&self) -> &Skip {
        &self.0
    }

    /// Whether it is about this entry.
    ///
    /// # Errors
    /// It is about another index, or another entry stands there.
    pub fn for_entry(self, log_index: u64, entry: &Digest) -> Result<OrderForEntry, SkipError> {
        if self.0.log_index != log_index {
            return Err(SkipError::OtherIndex {
                ordered: self.0.log_index,
                here: log_index,
            });
        }
        if self.0.entry != *entry {
            return Err(SkipError::OtherEntry {
                log_index,
                ordered: self.0.entry,
                here: *entry,
            });
        }
        Ok(OrderForEntry(self.0))
    }
}

impl OrderForEntry {
    /// What is ordered.
    pub fn skip(&self) -> &Skip {
        &self.0
    }
}
