//! Pinned root certificates: which keys speak for which jurisdiction.
//!
//! A root enters here only after two people compared its fingerprint out of band. Nothing is fetched, nothing is
//! guessed from a chain that somebody presents.

use std::collections::{BTreeMap, BTreeSet};

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::{self, Findings};
use crate::fault::{ChainError, Fault, Whose};
pub use crate::fingerprint::{Fingerprint, FingerprintError};
use crate::identity::{CaName, Identity};

/// The most roots of one jurisdiction (three keys, and three more while they are replaced).
pub const ROOTS_PER_JURISDICTION_COUNT_MAX: usize = 6;
/// The most jurisdictions that can be pinned.
pub const JURISDICTION_COUNT_MAX: usize = 1_000;

/// A self-signed root certificate that was read and is well formed. Whether to trust it is the caller's act of
/// [`PinnedRoots::pin`].
#[derive(Debug, Clone)]
pub struct RootCertificate {
    prefix: Prefix,
    der: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    fingerprint: Fingerprint,
    not_before: TimeMs,
    not_after: TimeMs,
}

impl RootCertificate {
    /// Reads a root certificate.
    ///
    /// # Errors
    /// When it is not a self-signed Ed25519 authority that names itself `carnet://<prefix>/ca/root`.
    pub fn from_der(der: &[u8]) -> Result<Self, RootError> {
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|e| RootError::Malformed(e.to_string()))?;
        if !rest.is_empty() {
            return Err(RootError::Malformed(format!("{} bytes follow", rest.len())));
        }
        let found = Findings::of(&parsed).map_err(RootError::Malformed)?;
        if !parsed.is_ca() {
            return Err(RootError::NotAnAuthority);
        }
        certificate::ed25519_key(&parsed).map_err(RootError::Malformed)?;
        if parsed.issuer().as_raw() != parsed.subject().as_raw()
            || parsed.verify_signature(None).is_err()
        {
            return Err(RootError::NotSelfSigned);
        }
        let uri = found
            .only_uri()
            .map_err(|fault| RootError::Name(fault.to_string()))?;
        let identity: Identity = uri
            .parse()
            .map_err(|e| RootError::Name(format!("{uri:?}: {e}")))?;
        let Identity::Ca(CaName {
            prefix,
            plane: None,
        }) = identity
        else {
            return Err(RootError::Name(format!(
                "{uri:?} is not the name of a root"
            )));
        };
        let owned = CertificateDer::from(der.to_vec());
        let anchor = webpki::anchor_from_trusted_cert(&owned)
            .map_err(|e| RootError::Malformed(e.to_string()))?
            .to_owned();
        Ok(Self {
            prefix,
            fingerprint: Fingerprint::of(&owned),
            anchor,
            not_before: found.not_before,
            not_after: found.not_after,
            der: owned,
        })
    }

    /// The jurisdiction the root names.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// What people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// As DER, as it was read.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The last instant at which anything below the root is believed.
    pub fn not_after(&self) -> TimeMs {
        self.not_after
    }

    pub(crate) fn judge_time(&self, at: TimeMs) -> Result<(), ChainError> {
        let ours = |fault| ChainError {
            whose: Whose::Root(self.prefix),
            fault,
        };
        if at < self.not_before {
            return Err(ours(Fault::NotYetValid {
                from: self.not_before,
                at,
            }));
        }
        if self.not_after < at {
            return Err(ours(Fault::Expired {
                until: self.not_after,
                at,
            }));
        }
        Ok(())
    }
}

/// Why bytes are no root certificate, or may not be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// Not a certificate, or one with something we do not accept.
    #[error("the root certificate is malformed: {0}")]
    Malformed(String),
    /// It may not issue certificates.
    #[error("the root certificate is not a certificate authority")]
    NotAnAuthority,
    /// Its signature is not by its own key.
    #[error("the root certificate is not signed by its own key")]
    NotSelfSigned,
    /// It does not name a jurisdiction's root.
    #[error("the root certificate's name is not valid: {0}")]
    Name(String),
    /// It names another jurisdiction than the one it is pinned for.
    #[error("the root certificate is of {found}, expected {expected}")]
    Country {
        /// The jurisdiction asked for.
        expected: Prefix,
        /// The jurisdiction it names.
        found: Prefix,
    },
    /// People compared another fingerprint.
    #[error("the root certificate has the fingerprint {found}, expected {expected}")]
    Fingerprint {
        /// What was compared out of band.
        expected: Fingerprint,
        /// What the bytes have.
        found: Fingerprint,
    },
    /// The key or the name of the certificate already stands for another jurisdiction.
    #[error("the key or subject of the root certificate already belongs to {0}")]
    Shared(Prefix),
    /// More than [`ROOTS_PER_JURISDICTION_COUNT_MAX`] roots or [`JURISDICTION_COUNT_MAX`] jurisdictions.
    #[error("there are already {0} of them, which is the most")]
    TooMany(usize),
}

#[derive(Debug, Clone, Default)]
struct Pinned {
    roots: Vec<RootCertificate>,
    authorities: Option<BTreeSet<Fingerprint>>,
}

/// The roots that are believed, per jurisdiction.
#[derive(Debug, Clone, Default)]
pub struct PinnedRoots {
    by_prefix: BTreeMap<Prefix, Pinned>,
}

impl PinnedRoots {
    /// Nobody is believed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only one jurisdiction with one root is believed.
    pub fn only(root: RootCertificate) -> Self {
        let pinned = Pinned {
            roots: vec![root.clone()],
            authorities: None,
        };
        Self {
            by_prefix: BTreeMap::from([(root.prefix, pinned)]),
        }
    }

    /// Believes a root, whose fingerprint people compared, for a jurisdiction. Pinning the same root again changes
    /// nothing.
    ///
    /// # Errors
    /// When the root is of another jurisdiction, has another fingerprint, or shares its key or subject with a root of
    /// another jurisdiction.
    pub fn pin(
        &mut self,
        prefix: Prefix,
        fingerprint: Fingerprint,
        root: RootCertificate,
    ) -> Result<(), RootError> {
        if root.prefix != prefix {
            return Err(RootError::Country {
                expected: prefix,
                found: root.prefix,
            });
        }
        if root.fingerprint != fingerprint {
            return Err(RootError::Fingerprint {
                expected: fingerprint,
                found: root.fingerprint,
            });
        }
        for (other, pinned) in self.by_prefix.iter().filter(|(other, _)| **other != prefix) {
            if pinned
                .roots
                .iter()
                .any(|theirs| same_key_or_subject(&theirs.anchor, &root.anchor))
            {
                return Err(RootError::Shared(*other));
            }
        }
        if !self.by_prefix.contains_key(&prefix) && JURISDICTION_COUNT_MAX <= self.by_prefix.len() {
            return Err(RootError::TooMany(self.by_prefix.len()));
        }
        let roots = &mut self.by_prefix.entry(prefix).or_default().roots;
        if roots.iter().any(|known| known.fingerprint == fingerprint) {
            return Ok(());
        }
        if ROOTS_PER_JURISDICTION_COUNT_MAX <= roots.len() {
            return Err(RootError::TooMany(roots.len()));
        }
        roots.push(root);
        Ok(())
    }

    /// Believes, of a jurisdiction, only the plane authorities in a list that its roots signed together. Without such a
    /// list one root key is enough to make an authority.
    pub fn limit_authorities(&mut self, prefix: Prefix, listed: BTreeSet<Fingerprint>) {
        self.by_prefix.entry(prefix).or_default().authorities = Some(listed);
    }

    /// Believes nothing of a jurisdiction any more.
    pub fn forget(&mut self, prefix: Prefix) {
        self.by_prefix.remove(&prefix);
    }

    /// The jurisdictions that have a root here, in order.
    pub fn jurisdictions(&self) -> impl Iterator<Item = Prefix> {
        self.by_prefix
            .iter()
            .filter(|(_, pinned)| !pinned.roots.is_empty())
            .map(|(p, _)| *p)
    }

    /// The roots of a jurisdiction.
    pub fn of(&self, prefix: Prefix) -> &[RootCertificate] {
        self.by_prefix
            .get(&prefix)
            .map_or(&[], |pinned| &pinned.roots)
    }

    /// Only the roots of one jurisdiction.
    pub fn narrowed(&self, prefix: Prefix) -> Self {
        let by_prefix = self
            .by_prefix
            .get(&prefix)
            .map(|pinned| (prefix, pinned.clone()));
        Self {
            by_prefix: by_prefix.into_iter().collect(),
        }
    }

    pub(crate) fn anchors(&self) -> Vec<TrustAnchor<'_>> {
        self.all().map(|root| root.anchor.clone()).collect()
    }

    pub(crate) fn root_of(&self, anchor: &TrustAnchor<'_>) -> Option<&RootCertificate> {
        self.all().find(|root| {
            root.anchor.subject == anchor.subject
                && root.anchor.subject_public_key_info == anchor.subject_public_key_info
        })
    }

    pub(crate) fn allows_authority(&self, prefix: Prefix, authority: &CertificateDer<'_>) -> bool {
        match self
            .by_prefix
            .get(&prefix)
            .map(|pinned| &pinned.authorities)
        {
            Some(Some(listed)) => listed.contains(&Fingerprint::of(authority)),
            Some(None) => true,
            None => false,
        }
    }

    fn all(&self) -> impl Iterator<Item = &RootCertificate> {
        self.by_prefix.values().flat_map(|pinned| &pinned.roots)
    }
}

fn same_key_or_subject(a: &TrustAnchor<'_>, b: &TrustAnchor<'_>) -> bool {
    a.subject == b.subject || a.subject_public_key_info == b.subject_public_key_info
}
