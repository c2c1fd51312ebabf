//! What something in the world is called: makers, bodies, parts, and the identities that are hashed from their names.

use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::{Canonical, Encoder, tag};
use crate::bytes::signature::PublicKey;
use crate::limits::{Alpha2, Identifier, Lot};

/// A world-wide identifier of an enterprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdentifierScheme {
    /// Legal Entity Identifier, ISO 17442.
    Lei,
    /// Number in a national register.
    National,
    /// The name, where nothing better is known: shown as unverified.
    Name,
}
crate::canonical_enum!(IdentifierScheme { 1 => Lei, 2 => National, 3 => Name });

/// Who made something, as the world knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Which register the identifier is from.
    pub scheme: IdentifierScheme,
    /// ISO 3166-1 alpha-2 country, upper case.
    pub country: String,
    /// The identifier, in its one written form.
    pub identifier: String,
}
crate::canonical_struct!(Maker {
    scheme,
    country: Alpha2,
    identifier: Identifier
});

impl Maker {
    /// Under which enterprises are found by whom they are in the world.
    pub fn digest(&self) -> Digest {
        sha256(&[&self.to_bytes()])
    }
}

/// What kind of part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartType {
    /// The robot itself.
    Body,
    /// Main compute module: carries identity.
    Compute,
    /// Torso frame: carries identity.
    Torso,
    /// Pack that stores its energy.
    Battery,
    /// Joint actuator.
    Actuator,
    /// End effector with fingers.
    Hand,
    /// Camera, lidar, force sensor and the like.
    Sensor,
}
crate::canonical_enum!(PartType { 1 => Body, 2 => Compute, 3 => Torso, 4 => Battery, 5 => Actuator, 6 => Hand, 7 => Sensor });

impl PartType {
    /// The word that goes into the identity.
    pub fn word(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Compute => "compute",
            Self::Torso => "torso",
            Self::Battery => "battery",
            Self::Actuator => "actuator",
            Self::Hand => "hand",
            Self::Sensor => "sensor",
        }
    }

    /// Whether the part carries the robot's identity and may never enter another robot after its end of life.
    pub fn carries_identity(self) -> bool {
        matches!(self, Self::Body | Self::Compute | Self::Torso)
    }
}

/// Identity of a body or part, unique in the world:
/// `SHA-256("carnet-part/1" ‖ CBOR[type, scheme, country, identifier, serial])`.
pub fn part_identity(kind: PartType, maker: &Maker, serial: &str) -> Digest {
    let mut e = Encoder::new();
    e.array(5);
    e.text(kind.word());
    maker.scheme.encode(&mut e);
    e.text(&maker.country);
    e.text(&maker.identifier);
    e.text(serial);
    sha256(&[tag::PART.as_bytes(), &e.finish()])
}

/// Identity of a robot's own key: `SHA-256("carnet-robot-key/1" ‖ key)`. It stands in the index of parts, so that no two
/// robots answer with one key.
pub fn key_identity(key: &PublicKey) -> Digest {
    sha256(&[tag::ROBOT_KEY.as_bytes(), key.as_bytes()])
}

/// A part fitted in a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartType,
    /// Hash over kind, maker and serial.
    pub identity: Digest,
    /// Its lot, or empty.
    pub lot: String,
}
crate::canonical_struct!(Part {
    kind,
    identity,
    lot: Lot
});

/// A body as a registration names it: whoever reads it hashes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyName {
    /// Who made it.
    pub maker: Maker,
    /// Its serial, in its one written form.
    pub serial: String,
}
crate::canonical_struct!(BodyName {
    maker,
    serial: Identifier
});

impl BodyName {
    /// Hash over maker and serial: by it two robots with one body are found.
    pub fn identity(&self) -> Digest {
        part_identity(PartType::Body, &self.maker, &self.serial)
    }
}

/// A part as a command names it: whoever reads it hashes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartName {
    /// What it is.
    pub kind: PartType,
    /// Who made it.
    pub maker: Maker,
    /// Its serial, in its one written form.
    pub serial: String,
    /// Its lot, or empty.
    pub lot: String,
}
crate::canonical_struct!(PartName {
    kind,
    maker,
    serial: Identifier,
    lot: Lot
});

impl PartName {
    /// Hash over kind, maker and serial: by it a part is found in another robot.
    pub fn identity(&self) -> Digest {
        part_identity(self.kind, &self.maker, &self.serial)
    }

    /// The part as a record keeps it.
    pub fn part(&self) -> Part {
        Part {
            kind: self.kind,
            identity: self.identity(),
            lot: self.lot.clone(),
        }
    }
}
