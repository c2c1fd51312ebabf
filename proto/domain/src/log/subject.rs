//! Whom a leaf is about.

use crate::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::tag;
use crate::{canonical_enum, canonical_struct};

/// What a key of the tree and the map stands for. Its number is its ASCII letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectType {
    /// `R`, named by the canonical code.
    Robot,
    /// `E`, named by prefix and enterprise code.
    Enterprise,
    /// `M`, named by prefix, enterprise and model code.
    Model,
    /// `C`, a recall campaign.
    Recall,
    /// `A`, an agreement.
    Agreement,
    /// `P`, a peer.
    Peer,
    /// `K`, a key list.
    KeyList,
    /// `O`, an office.
    Office,
    /// `D`, a defect case.
    DefectCase,
    /// `J`, the jurisdiction itself.
    Jurisdiction,
    /// `H`, the map head: the only subject that is never in the map.
    MapHead,
}

canonical_enum!(SubjectType {
    0x52 => Robot,
    0x45 => Enterprise,
    0x4d => Model,
    0x43 => Recall,
    0x41 => Agreement,
    0x50 => Peer,
    0x4b => KeyList,
    0x4f => Office,
    0x44 => DefectCase,
    0x4a => Jurisdiction,
    0x48 => MapHead,
});

impl SubjectType {
    /// The ASCII letter of the type.
    pub fn letter(self) -> char {
        char::from(self.number() as u8)
    }
}

/// Whom a leaf is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// What kind of thing it is, which decides what its slots mean.
    pub kind: SubjectType,
    /// The name inside the type.
    pub name: String,
}

canonical_struct!(Subject { kind, name });

impl Subject {
    /// A subject of any type.
    pub fn new(kind: SubjectType, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }

    /// The one with this code; its leaves follow each other from the registration on.
    pub fn robot(code: &Code) -> Self {
        Self::new(SubjectType::Robot, code.as_str())
    }

    /// The one accredited under this code.
    pub fn enterprise(id: &EnterpriseId) -> Self {
        Self::new(SubjectType::Enterprise, id.as_str())
    }

    /// The one approved under this code.
    pub fn model(id: &ModelId) -> Self {
        Self::new(SubjectType::Model, id.as_str())
    }

    /// The jurisdiction itself.
    pub fn jurisdiction(prefix: &Prefix) -> Self {
        Self::new(SubjectType::Jurisdiction, prefix.as_str())
    }

    /// The map head of a jurisdiction.
    pub fn map_head(prefix: &Prefix) -> Self {
        Self::new(SubjectType::MapHead, prefix.as_str())
    }

    /// The key in tree and map.
    pub fn key(&self) -> Digest {
        Self::key_of(self.kind, &self.name)
    }

    /// [`Self::key`] of the subject of a type with this name.
    pub fn key_of(kind: SubjectType, name: &str) -> Digest {
        sha256(&[tag::KEY.as_bytes(), &[kind.number() as u8], name.as_bytes()])
    }
}
