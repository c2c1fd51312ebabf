//! What a crossing of a border is named by: its number, what for, and under which agreement.

use crate::limits::{Identifier, is_identifier};

/// Number of a transfer: 16 bytes drawn by the declarant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferId(pub [u8; 16]);
crate::canonical_struct_of_one!(TransferId);

impl std::fmt::Display for TransferId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TransferId {
    /// From 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        // Digits only: a number may have a sign before it, which would give one transfer two names.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16)
            .ok()
            .map(|number| Self(number.to_be_bytes()))
    }
}

/// Why a robot crosses a border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Sold or moved for good.
    PermanentExport,
    /// Comes back by a deadline.
    TemporaryAdmission,
    /// Goes for repair and returns.
    RepairAndReturn,
    /// Shown at an exhibition.
    Exhibition,
    /// Passes through.
    Transit,
}
crate::canonical_enum!(Purpose {
    1 => PermanentExport, 2 => TemporaryAdmission, 3 => RepairAndReturn, 4 => Exhibition, 5 => Transit,
});

/// Which agreement with a peer, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgreementRef {
    /// The agreement's name.
    pub id: String,
    /// A newer one may stand: what was begun under this one ends under it.
    pub version: u32,
}
crate::canonical_struct!(AgreementRef {
    id: Identifier,
    version
});

impl AgreementRef {
    /// From `name:version`, in their one written form.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, digits) = text.rsplit_once(':')?;
        let version: u32 = digits.parse().ok()?;
        // A number may have a sign or zeros before it, which would give one version several names.
        (is_identifier(id) && version.to_string() == digits).then(|| Self {
            id: id.to_owned(),
            version,
        })
    }
}

impl std::fmt::Display for AgreementRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.id, self.version)
    }
}
