//! The terms on which an owner released a robot, and how a change of ownership ends.
//!
//! Values only: the steps are in `rules::decide::ownership`.

use crate::bytes::code::Code;
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Canonical, Encoder, tag};
use crate::bytes::time::TimeMs;
use crate::limits::Sequence;
use crate::record::{Actor, PartyName};
use crate::rules::command::TransferId;

/// What its owner released a robot on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Commitment to the secret; see [`release_commitment`].
    pub commitment: Digest,
    /// The record's sequence when it was released, over which the commitment is.
    pub sequence: u64,
    /// To whom; none for whoever has the secret.
    pub to: Option<PartyName>,
    /// Until when it may be asked for and given.
    pub until: TimeMs,
    /// Whether asking is enough.
    pub asking: Asking,
    /// Who released.
    pub by: Actor,
}
crate::canonical_struct!(Release {
    commitment,
    sequence: Sequence,
    to,
    until,
    asking,
    by
});

/// Whether who asks for ownership with the secret has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asking {
    /// The owner's side approves.
    Waits,
    /// Asking counts as approval.
    Suffices,
}
crate::canonical_enum!(Asking { 1 => Waits, 2 => Suffices });

/// How a change of ownership ends that does not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnershipEnd {
    /// The owner's side refused who asked.
    Rejected,
    /// Whoever took the last step took it back.
    Cancelled,
    /// Its time passed.
    Expired,
}
crate::canonical_enum!(OwnershipEnd { 1 => Rejected, 2 => Cancelled, 3 => Expired });

/// What lets its bearer ask for ownership: 128 bits drawn by the owner's side, given to the gaining side beside the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseSecret(pub [u8; 16]);
crate::canonical_struct_of_one!(ReleaseSecret);

impl ReleaseSecret {
    /// From 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        TransferId::parse(text).map(|id| Self(id.0))
    }
}

impl std::fmt::Display for ReleaseSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The commitment that a release carries: `SHA-256("carnet-release/1" ‖ CBOR[code, sequence, secret])`.
pub fn release_commitment(code: &Code, sequence: u64, secret: &ReleaseSecret) -> Digest {
    let mut e = Encoder::new();
    e.array(3);
    code.encode(&mut e);
    e.uint(sequence);
    secret.encode(&mut e);
    sha256(&[tag::RELEASE.as_bytes(), &e.finish()])
}
