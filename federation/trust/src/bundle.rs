//! Trust bundles: whose word is pinned, by which fingerprint, and in which order bundles replace one another.
//!
//! A bundle is sequenced, never merged. Who may be a peer at all (overlapping prefixes, a peer's own cluster) is decided
//! by `domain::machine`; here a bundle's signatures and its place in the sequence become a type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Canonical, DecodeError};
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::record::peer::{Bundle, Signed, signed_by_roots};

/// The largest bundle file in bytes.
pub const BUNDLE_FILE_BYTES_MAX: usize = 256 * 1024;

const BEGIN: &str = "-----BEGIN CARNET BUNDLE-----";
const END: &str = "-----END CARNET BUNDLE-----";
const LINE_CHARS: usize = 64;

/// Why a bundle is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// More bytes than allowed.
    #[error("the bundle has {0} bytes, allowed are {BUNDLE_FILE_BYTES_MAX}")]
    TooLong(usize),
    /// A text that is no armour around base64.
    #[error("the text is not a bundle file: {0}")]
    Armour(&'static str),
    /// Not canonical bytes.
    #[error("the bytes are not a signed bundle: {0}")]
    Decode(#[source] DecodeError),
    /// It names no prefix.
    #[error("the bundle names no prefix")]
    NoPrefix,
    /// Another bundle than the one that was compared out of band.
    #[error("the bundle has fingerprint {found}, compared was {expected}")]
    Fingerprint {
        /// What two people compared.
        expected: Digest,
        /// What its bytes hash to.
        found: Digest,
    },
    /// Too few of the roots signed, or a signature is bad.
    #[error("fewer than {threshold} of the roots of {of} signed the bundle")]
    Unsigned {
        /// Whose roots.
        of: Prefix,
        /// How many must sign.
        threshold: u8,
    },
    /// Not newer than the one that is pinned.
    #[error("the bundle has sequence {found}, pinned is {pinned}")]
    Sequence {
        /// Sequence of the bundle that is pinned; the next one is above it.
        pinned: u64,
        /// Of the new one.
        found: u64,
    },
    /// What is pinned of its keys is not said there any more.
    #[error("its key history does not go on from the one that is pinned")]
    Keys,
    /// Of another jurisdiction than the one that is pinned.
    #[error("the bundle is of {found}, pinned is {pinned}")]
    OtherJurisdiction {
        /// Primary prefix pinned.
        pinned: Prefix,
        /// Primary prefix found.
        found: Prefix,
    },
}

/// A bundle that is believed: compared out of band, signed by pinned roots, or kept in replicated state since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedBundle {
    bundle: Bundle,
    primary: Prefix,
}

/// Takes a new peer's bundle: signed by its own roots, and with the fingerprint that two people compared.
///
/// # Errors
/// What does not hold.
pub fn verify_bundle(signed: &Signed, fingerprint: &Digest) -> Result<PinnedBundle, BundleError> {
    let bundle = decode(signed)?;
    let found = bundle.fingerprint();
    if found != *fingerprint {
        return Err(BundleError::Fingerprint {
            expected: *fingerprint,
            found,
        });
    }
    let (roots, threshold) = (bundle.roots.clone(), bundle.threshold);
    signed_by(bundle, signed, &roots, threshold)
}

impl PinnedBundle {
    /// Takes a bundle that the roots given signed: a verifier without a network has nothing but these.
    ///
    /// # Errors
    /// What does not hold.
    pub fn by_roots(
        signed: &Signed,
        roots: &[PublicKey],
        threshold: u8,
    ) -> Result<Self, BundleError> {
        signed_by(decode(signed)?, signed, roots, threshold)
    }

    /// A bundle out of replicated state, where `apply` took it by the same rules.
    ///
    /// # Errors
    /// When it names no prefix.
    pub fn of_state(bundle: Bundle) -> Result<Self, BundleError> {
        let primary = bundle.primary().ok_or(BundleError::NoPrefix)?;
        Ok(Self { bundle, primary })
    }

    /// The bundle that replaces this one: of the same jurisdiction, newer, and signed by the roots pinned here.
    ///
    /// # Errors
    /// What does not hold; this bundle then stays pinned.
    pub fn renew(&self, signed: &Signed) -> Result<Self, BundleError> {
        let (roots, threshold) = (&self.bundle.roots, self.bundle.threshold);
        let bundle = decode(signed)?;
        let (pinned, found) = (self.bundle.sequence, bundle.sequence);
        let new = signed_by(bundle, signed, roots, threshold)?;
        if new.primary != self.primary {
            return Err(BundleError::OtherJurisdiction {
                pinned: self.primary,
                found: new.primary,
            });
        }
        if found <= pinned {
            return Err(BundleError::Sequence { pinned, found });
        }
        let same_log = new.bundle.incarnation == self.bundle.incarnation;
        if same_log && !self.bundle.keys.leads_to(&new.bundle.keys) {
            return Err(BundleError::Keys);
        }
        Ok(new)
    }

    /// What it says, in the form that its roots signed.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The prefix in origin lines and certificates.
    pub fn primary(&self) -> Prefix {
        self.primary
    }

    /// The log that its log key signs.
    pub fn origin(&self) -> Origin {
        Origin {
            prefix: self.primary,
            incarnation: self.bundle.incarnation,
        }
    }

    /// Whether this jurisdiction owns a prefix.
    pub fn owns(&self, prefix: &Prefix) -> bool {
        self.bundle.prefixes.contains(prefix)
    }

    /// Whether a code was issued by this jurisdiction.
    pub fn issues(&self, code: &Code) -> bool {
        self.owns(&code.prefix())
    }
}

fn decode(signed: &Signed) -> Result<Bundle, BundleError> {
    Bundle::from_bytes(&signed.bytes.0).map_err(BundleError::Decode)
}

fn signed_by(
    bundle: Bundle,
    signed: &Signed,
    roots: &[PublicKey],
    threshold: u8,
) -> Result<PinnedBundle, BundleError> {
    let primary = bundle.primary().ok_or(BundleError::NoPrefix)?;
    if !signed_by_roots(roots, threshold, &signed.bytes.0, &signed.signatures) {
        return Err(BundleError::Unsigned {
            of: primary,
            threshold,
        });
    }
    Ok(PinnedBundle { bundle, primary })
}

/// The text of a `.carnet-bundle` file: base64 of the canonical bytes between two lines.
pub fn to_file(signed: &Signed) -> String {
    let body = STANDARD.encode(signed.to_bytes());
    let mut out = String::from(BEGIN);
    for (i, c) in body.chars().enumerate() {
        if i % LINE_CHARS == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push('\n');
    out.push_str(END);
    out.push('\n');
    out
}

/// Reads a `.carnet-bundle` file: the text of [`to_file`], or the canonical bytes themselves.
///
/// # Errors
/// When it is neither.
pub fn of_file(bytes: &[u8]) -> Result<Signed, BundleError> {
    if BUNDLE_FILE_BYTES_MAX < bytes.len() {
        return Err(BundleError::TooLong(bytes.len()));
    }
    if !bytes.starts_with(BEGIN.as_bytes()) {
        return Signed::from_bytes(bytes).map_err(BundleError::Decode);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BundleError::Armour("not UTF-8"))?;
    let body = text
        .trim_end()
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(BundleError::Armour("the last line is missing"))?;
    let joined: String = body.split_ascii_whitespace().collect();
    let bytes = STANDARD
        .decode(joined)
        .map_err(|_| BundleError::Armour("not base64"))?;
    Signed::from_bytes(&bytes).map_err(BundleError::Decode)
}
