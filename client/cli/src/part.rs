//! Parts, firmware and keys as people write them: on the command line and in the cells of a file.

use carnet_client::{identity, keys};
use carnet_domain::bytes::signature::{PublicKey, Signature};
use carnet_domain::record::{Firmware, Maker, PartName, PartType, RobotKey};

use crate::parse;

/// A part before its maker is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartText {
    pub(crate) kind: PartType,
    pub(crate) serial: String,
    pub(crate) lot: String,
}

impl PartText {
    pub(crate) fn part(&self, maker: &Maker) -> PartName {
        PartName {
            kind: self.kind,
            maker: maker.clone(),
            serial: self.serial.clone(),
            lot: self.lot.clone(),
        }
    }
}

pub(crate) fn part_text(text: &str) -> Result<PartText, String> {
    let mut pieces = text.splitn(3, ':');
    let kind = parse::part_type(pieces.next().unwrap_or_default())?;
    let serial = pieces.next().filter(|serial| !serial.trim().is_empty());
    let serial = serial.ok_or_else(|| format!("{text:?}: write TYPE:SERIAL or TYPE:SERIAL:LOT"))?;
    Ok(PartText {
        kind,
        serial: identity::canonical(serial)?,
        lot: parse::lot(pieces.next().unwrap_or_default())?,
    })
}

pub(crate) fn firmware(text: &str) -> Result<Firmware, String> {
    let (family, build) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("{text:?}: write FAMILY:BUILD"))?;
    let build = build
        .parse()
        .map_err(|_| format!("{build:?} is not a build number; write digits alone"))?;
    Ok(Firmware {
        family: family.to_owned(),
        build,
    })
}

/// A robot's own key with its signature: 64 and 128 hexadecimal digits.
pub(crate) fn robot_key(text: &str) -> Result<RobotKey, String> {
    let form =
        "write KEY:PROOF, 64 and 128 hexadecimal digits, as `carnet robot prove-key` shows them";
    let (public, proof) = text.split_once(':').ok_or(form)?;
    let public = keys::parse_seed(public).ok_or(form)?;
    let proof = hex::decode(proof).ok();
    let proof = proof.and_then(|bytes| Signature::of_slice(&bytes));
    Ok(RobotKey {
        public: PublicKey::enroll(public).map_err(|error| error.to_string())?,
        proof: proof.ok_or(form)?,
    })
}

/// A key as [`robot_key`] reads it.
pub(crate) fn robot_key_text(key: &RobotKey) -> String {
    format!("{}:{}", key.public, key.proof)
}

/// Parts sorted into those that carry identity and the others.
pub(crate) fn sort_parts(parts: &[PartText], maker: &Maker) -> (Vec<PartName>, Vec<PartName>) {
    parts
        .iter()
        .map(|part| part.part(maker))
        .partition(|part| part.kind.carries_identity())
}
