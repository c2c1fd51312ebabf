//! The seeds and salts that hide the slots of a leaf; how they are drawn is above [`crate::log::leaf`].

use crate::bytes::digest::{Digest, keystream, sha256};
use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder, tag};

/// How many slots a record has.
pub const SLOT_COUNT: usize = 16;

/// The secret that the leader draws once for an entry and replicates with it; auditors see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntrySeed(pub [u8; 32]);

impl std::fmt::Debug for EntrySeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntrySeed(..)")
    }
}

impl Canonical for EntrySeed {
    fn encode(&self, e: &mut Encoder) {
        e.bytes(&self.0);
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.bytes_of().map(Self)
    }
}

/// The seed of one leaf: all salts of the leaf come from it.
pub type LeafSeed = [u8; 32];

/// The seed of the leaf with this 0-based ordinal in the entry.
pub fn leaf_seed(entry_seed: &EntrySeed, ordinal: u32) -> LeafSeed {
    // Two seeds to a block of 64 bytes.
    let pair: [[u8; 32]; 2] = split(keystream::<64>(&entry_seed.0, ordinal >> 1));
    pair[(ordinal & 1) as usize]
}

/// What a leaf seed expands to: the salts that hide the slots and the authorisation, and the custody secret.
#[derive(Clone)]
pub struct Expansion {
    salts: [[u8; 16]; SLOT_COUNT],
    auth: [u8; 16],
    custody_secret: Digest,
}

/// Bytes of the keystream that an [`Expansion`] takes.
const EXPANSION_BYTES: usize = 320;

impl Expansion {
    /// Expands a leaf seed.
    pub fn of(leaf_seed: &LeafSeed) -> Self {
        let rows: [[u8; 16]; EXPANSION_BYTES / 16] =
            split(keystream::<EXPANSION_BYTES>(leaf_seed, 0));
        let [salts @ .., auth, _, one, other] = rows;
        Self {
            salts,
            auth,
            custody_secret: Digest(split::<32, 1>([one, other].as_flattened())[0]),
        }
    }

    /// The salts of the sixteen slots.
    pub fn salts(&self) -> &[[u8; 16]; SLOT_COUNT] {
        &self.salts
    }

    /// Blinds what authorised the leaf: who is shown no envelope learns nothing of it from `auth`.
    pub fn auth_salt(&self) -> &[u8; 16] {
        &self.auth
    }

    /// The secret by which custody of a robot is tagged towards all peers, where this is the leaf of its registration.
    pub fn custody_secret(&self) -> Digest {
        self.custody_secret
    }

    /// The commitment of the leaf to its authorisation; `d` is the digest D of the envelope (68 bytes for class 0, else
    /// 32).
    pub fn auth(&self, class: u8, d: impl AsRef<[u8]>) -> Digest {
        sha256(&[&[tag::AUTH, class], d.as_ref(), &self.auth])
    }
}

/// Bytes as rows of `N`.
fn split<const N: usize, const ROWS: usize>(bytes: impl AsRef<[u8]>) -> [[u8; N]; ROWS] {
    let mut rows = [[0; N]; ROWS];
    rows.as_flattened_mut().copy_from_slice(bytes.as_ref());
    rows
}
