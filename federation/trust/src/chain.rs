//! Judges a chain of certificates: whose it is, and whether it may be believed at a given time.
//!
//! Path building and signatures are rustls-webpki's; names and usages are read only after the path held. On top of
//! X.509 Carnet asks for a fixed shape, so that there is nothing to choose:
//! ```text
//! root (pinned, carnet://<p>/ca/root)
//!   └─ authority of one plane (carnet://<p>/ca/<plane>, key usage of the plane)
//!        └─ leaf (one identity of jurisdiction p, key usage of exactly that plane)
//!   └─ passport key (carnet://<p>/passport/<name>, passport key usage)
//! ```
//! Every result is a type that only this file makes. There is no clock here: the time is an argument.

use std::cell::RefCell;
use std::time::Duration;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::denied::Bearer;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{
    EndEntityCert, Error as PathError, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter,
    KeyUsage, RequiredEkuNotFoundContext,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::{self, Findings, TlsKey};
use crate::facts::{Marks, bearer_of_client, bearer_of_node, bearer_of_peer};
use crate::identity::{
    ClientName, ClusterId, Identity, NodeId, NodeName, PASSPORT_EKU_DER, PassportName, Plane,
};
use crate::roots::{Fingerprint, PinnedRoots};

pub use crate::fault::{CERTIFICATE_BYTES_MAX, CERTIFICATES_MAX, ChainError, Fault, Whose};

const ED25519: &[&dyn SignatureVerificationAlgorithm] = &[webpki::aws_lc_rs::ED25519];
/// On the client plane: browsers and BoringSSL speak no Ed25519.
const ED25519_OR_P256: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::aws_lc_rs::ED25519,
    webpki::aws_lc_rs::ECDSA_P256_SHA256,
];

/// What every verified certificate has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proof {
    fingerprint: Fingerprint,
    marks: Marks,
    not_after: TimeMs,
}

/// A node of the own jurisdiction whose chain ended in a pinned root at the time given. Only [`verify_node`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNode {
    name: NodeName,
    proof: Proof,
}

/// A node of another jurisdiction whose chain ended in that jurisdiction's pinned root at the time given. Only
/// [`verify_peer`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPeer {
    name: NodeName,
    proof: Proof,
}

/// A person or desk whose chain ended in a pinned root at the time given. Only [`verify_client`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedClient {
    name: ClientName,
    plane: Plane,
    proof: Proof,
}

macro_rules! proof_getters {
    ($name:ident) => {
        impl $name {
            /// The jurisdiction.
            pub fn prefix(&self) -> Prefix {
                self.name.prefix()
            }

            /// The certificate, for limits and audit.
            pub fn fingerprint(&self) -> Fingerprint {
                self.proof.fingerprint
            }

            /// The last instant of the certificate.
            pub fn not_after(&self) -> TimeMs {
                self.proof.not_after
            }

            /// By what the certificate is known again.
            pub fn marks(&self) -> Marks {
                self.proof.marks
            }
        }
    };
}
proof_getters!(VerifiedNode);
proof_getters!(VerifiedPeer);
proof_getters!(VerifiedClient);

impl VerifiedNode {
    /// Whose the certificate is in the deny-list of this registry.
    pub fn bearer(&self) -> Bearer {
        bearer_of_node(&self.name)
    }

    /// The node and its plane.
    pub fn name(&self) -> NodeName {
        self.name
    }

    /// The node's number.
    pub fn node(&self) -> NodeId {
        self.name.node
    }

    /// The same node if it is the one meant.
    ///
    /// # Errors
    /// When it is another node.
    pub fn expect(self, node: NodeId) -> Result<Self, ChainError> {
        if self.name.node == node {
            return Ok(self);
        }
        Err(presenter(Fault::Node {
            expected: node,
            found: self.name.node,
        }))
    }

    /// The same node if it is of this cluster, in this life of it (0 is the first).
    ///
    /// # Errors
    /// When it is of another cluster of the jurisdiction, or of another life.
    pub fn expect_cluster(self, cluster: ClusterId, incarnation: u64) -> Result<Self, ChainError> {
        if self.name.cluster != cluster {
            return Err(presenter(Fault::Cluster {
                expected: cluster,
                found: self.name.cluster,
            }));
        }
        if self.name.life() != incarnation {
            return Err(presenter(Fault::Incarnation {
                expected: incarnation,
                found: self.name.life(),
            }));
        }
        Ok(self)
    }
}

impl VerifiedPeer {
    /// Whose the certificate is in a deny-list of another registry.
    pub fn bearer(&self) -> Bearer {
        bearer_of_peer(&self.name)
    }

    /// The node and its plane.
    pub fn name(&self) -> NodeName {
        self.name
    }

    /// The node's number in its own cluster.
    pub fn node(&self) -> NodeId {
        self.name.node
    }
}

impl VerifiedClient {
    /// Whose the certificate is in the deny-list of this registry.
    pub fn bearer(&self) -> Bearer {
        bearer_of_client(&self.name)
    }

    /// Who it is; its text is the subject that limits and sessions count by.
    pub fn name(&self) -> &ClientName {
        &self.name
    }

    /// The plane the certificate serves: client or admin.
    pub fn plane(&self) -> Plane {
        self.plane
    }
}

/// Judges the chain of a node on a plane of its own jurisdiction.
///
/// # Errors
/// Says whose fault it is and what is wrong; see [`Fault`].
pub fn verify_node(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    prefix: Prefix,
    plane: Plane,
    at: TimeMs,
) -> Result<VerifiedNode, ChainError> {
    let leaf = verify_leaf(chain, &roots.narrowed(prefix), plane, at)?;
    let (name, proof) = leaf.into_node(plane)?;
    Ok(VerifiedNode { name, proof })
}

/// Judges the chain of a node of any pinned jurisdiction on the federation plane.
///
/// # Errors
/// Says whose fault it is and what is wrong; see [`Fault`].
pub fn verify_peer(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    at: TimeMs,
) -> Result<VerifiedPeer, ChainError> {
    let leaf = verify_leaf(chain, roots, Plane::Federation, at)?;
    let (name, proof) = leaf.into_node(Plane::Federation)?;
    Ok(VerifiedPeer { name, proof })
}

/// Judges the chain of a person or desk on the client or admin plane of a jurisdiction.
///
/// # Errors
/// Says whose fault it is and what is wrong; see [`Fault`].
pub fn verify_client(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    prefix: Prefix,
    plane: Plane,
    at: TimeMs,
) -> Result<VerifiedClient, ChainError> {
    let leaf = verify_leaf(chain, &roots.narrowed(prefix), plane, at)?;
    if leaf.findings.host_count() != 0 {
        let count = leaf.findings.host_count();
        return Err(leaf.issuer(Fault::OtherNames { count }));
    }
    match leaf.identity {
        Identity::Client(name) => Ok(VerifiedClient {
            name,
            plane,
            proof: leaf.proof,
        }),
        other => Err(presenter(Fault::Kind {
            expected: "a person or desk",
            found: format!("{} ({other})", other.kind()),
        })),
    }
}

/// A passport key whose chain ended in a pinned root at the time given. Only [`verify_passport_chain`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPassportKey {
    name: PassportName,
    key: PublicKey,
    proof: Proof,
}

impl VerifiedPassportKey {
    /// The jurisdiction whose records the key signs.
    pub fn prefix(&self) -> Prefix {
        self.name.prefix
    }

    /// The public key that its certificate is of.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.proof.fingerprint
    }

    /// The last instant of the certificate.
    pub fn not_after(&self) -> TimeMs {
        self.proof.not_after
    }
}

/// Judges the chain beside a signed record and gives the key that may sign records of that jurisdiction. The root may
/// stand at the end of the chain; nothing may stand between.
///
/// # Errors
/// Says whose fault it is and what is wrong; see [`Fault`].
pub fn verify_passport_chain(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    prefix: Prefix,
    at: TimeMs,
) -> Result<VerifiedPassportKey, ChainError> {
    let roots = roots.narrowed(prefix);
    let leaf = verify_path(chain, &roots, Shape::Passport, at)?;
    if !leaf.findings.planes.is_empty() || leaf.findings.any_purpose {
        return Err(leaf.issuer(Fault::SeveralPurposes));
    }
    let Identity::Passport(name) = leaf.identity.clone() else {
        let found = format!("{} ({})", leaf.identity.kind(), leaf.identity);
        return Err(presenter(Fault::Kind {
            expected: "a passport key",
            found,
        }));
    };
    let TlsKey::Ed25519(key) = leaf.key else {
        return Err(leaf.issuer(Fault::Algorithm));
    };
    let key = PublicKey::enroll(key).map_err(|e| leaf.issuer(Fault::Key(e.to_string())))?;
    Ok(VerifiedPassportKey {
        name,
        key,
        proof: leaf.proof,
    })
}

/// A leaf whose path held and whose name belongs to the jurisdiction of the root.
struct Leaf {
    identity: Identity,
    findings: Findings,
    key: TlsKey,
    proof: Proof,
}

impl Leaf {
    fn issuer(&self, fault: Fault) -> ChainError {
        ChainError {
            whose: Whose::Issuer(self.identity.prefix()),
            fault,
        }
    }

    fn into_node(self, plane: Plane) -> Result<(NodeName, Proof), ChainError> {
        match self.identity {
            Identity::Node(name) if name.plane == plane => Ok((name, self.proof)),
            Identity::Node(name) => Err(ChainError {
                whose: Whose::Issuer(name.prefix),
                fault: Fault::WrongPlane {
                    expected: plane,
                    found: format!("the {} plane", name.plane),
                },
            }),
            other => Err(presenter(Fault::Kind {
                expected: "a node",
                found: format!("{} ({other})", other.kind()),
            })),
        }
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Plane(Plane),
    Passport,
}

impl Shape {
    fn authority_count(self) -> usize {
        match self {
            Self::Plane(_) => 1,
            Self::Passport => 0,
        }
    }

    /// With which a chain of this shape may be signed.
    fn algorithms(self) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
        match self {
            Self::Plane(Plane::Client) => ED25519_OR_P256,
            Self::Plane(_) | Self::Passport => ED25519,
        }
    }

    fn purpose_der(self) -> &'static [u8] {
        match self {
            Self::Plane(plane) => plane.eku_der(),
            Self::Passport => PASSPORT_EKU_DER,
        }
    }
}

fn verify_leaf(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    plane: Plane,
    at: TimeMs,
) -> Result<Leaf, ChainError> {
    let leaf = verify_path(chain, roots, Shape::Plane(plane), at)?;
    if leaf.findings.planes != [plane] || leaf.findings.passport || leaf.findings.any_purpose {
        return Err(leaf.issuer(Fault::SeveralPurposes));
    }
    Ok(leaf)
}

fn verify_path(
    chain: &[CertificateDer<'_>],
    roots: &PinnedRoots,
    shape: Shape,
    at: TimeMs,
) -> Result<Leaf, ChainError> {
    let (first, others) = judge_sizes(chain).map_err(presenter)?;
    let end =
        EndEntityCert::try_from(first).map_err(|e| presenter(Fault::Malformed(e.to_string())))?;
    let anchors = roots.anchors();
    let wanted = WantedPurpose::new(shape);
    let now = UnixTime::since_unix_epoch(Duration::from_millis(at.as_ms()));
    let path = end
        .verify_for_usage(
            shape.algorithms(),
            &anchors,
            others,
            now,
            &wanted,
            None,
            None,
        )
        .map_err(|error| presenter(path_fault(error, wanted.found.take(), roots, shape, at)))?;

    let unknown = || {
        presenter(Fault::UnknownIssuer {
            pinned: pinned_text(roots),
        })
    };
    let root = roots.root_of(path.anchor()).ok_or_else(unknown)?;
    root.judge_time(at)?;
    let prefix = root.prefix();
    let issuer = |fault| ChainError {
        whose: Whose::Issuer(prefix),
        fault,
    };

    let authorities: Vec<CertificateDer<'_>> = path
        .intermediate_certificates()
        .map(|authority| authority.der())
        .collect();
    if authorities.len() != shape.authority_count() {
        let (expected, found) = (shape.authority_count(), authorities.len());
        return Err(issuer(Fault::Shape { expected, found }));
    }
    if let Shape::Plane(plane) = shape {
        for authority in &authorities {
            judge_authority(authority, prefix, plane).map_err(issuer)?;
            if !roots.allows_authority(prefix, authority) {
                return Err(issuer(Fault::UnlistedAuthority(Fingerprint::of(authority))));
            }
        }
    }
    let (findings, key, marks) =
        read(first, shape).map_err(|text| issuer(Fault::Malformed(text)))?;
    let identity = findings.identity().map_err(issuer)?;
    if identity.prefix() != prefix {
        return Err(issuer(Fault::Country {
            expected: prefix,
            found: identity.prefix(),
        }));
    }
    let proof = Proof {
        fingerprint: Fingerprint::of(first),
        marks,
        not_after: findings.not_after,
    };
    Ok(Leaf {
        identity,
        findings,
        key,
        proof,
    })
}

fn judge_sizes<'c, 'd>(
    chain: &'c [CertificateDer<'d>],
) -> Result<(&'c CertificateDer<'d>, &'c [CertificateDer<'d>]), Fault> {
    if CERTIFICATES_MAX < chain.len() {
        return Err(Fault::TooMany { count: chain.len() });
    }
    if let Some(large) = chain.iter().find(|one| CERTIFICATE_BYTES_MAX < one.len()) {
        return Err(Fault::TooLarge { bytes: large.len() });
    }
    chain.split_first().ok_or(Fault::NoCertificate)
}

/// The authority of a plane must name itself so, and serve no other plane.
fn judge_authority(der: &CertificateDer<'_>, prefix: Prefix, plane: Plane) -> Result<(), Fault> {
    let (findings, ..) = read(der, Shape::Plane(plane)).map_err(Fault::Malformed)?;
    findings.judge_authority(prefix, Some(plane))?;
    if findings.planes != [plane] || findings.passport || findings.any_purpose {
        return Err(Fault::SeveralPurposes);
    }
    Ok(())
}

fn read(der: &CertificateDer<'_>, shape: Shape) -> Result<(Findings, TlsKey, Marks), String> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
    let key = match shape {
        Shape::Plane(plane) => certificate::key_on(plane, parsed.public_key())?,
        Shape::Passport => TlsKey::Ed25519(certificate::ed25519_key(&parsed)?),
    };
    Ok((Findings::of(&parsed)?, key, Marks::of(&parsed)))
}

fn path_fault(
    error: PathError,
    found: String,
    roots: &PinnedRoots,
    shape: Shape,
    at: TimeMs,
) -> Fault {
    // saturates: a time beyond the last instant is the last
    let instant = |time: UnixTime| TimeMs(time.as_secs().saturating_mul(1000));
    match error {
        PathError::CertExpired { not_after, .. } => Fault::Expired {
            until: instant(not_after),
            at,
        },
        PathError::CertNotValidYet { not_before, .. } => Fault::NotYetValid {
            from: instant(not_before),
            at,
        },
        PathError::InvalidSignatureForPublicKey => Fault::Signature,
        PathError::UnsupportedSignatureAlgorithmContext(_)
        | PathError::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | PathError::SignatureAlgorithmMismatch => Fault::Algorithm,
        PathError::UnknownIssuer => Fault::UnknownIssuer {
            pinned: pinned_text(roots),
        },
        PathError::RequiredEkuNotFoundContext(_) => match shape {
            Shape::Plane(expected) => Fault::WrongPlane { expected, found },
            Shape::Passport => Fault::NotForPassports { found },
        },
        PathError::CaUsedAsEndEntity => Fault::AuthorityAsLeaf,
        PathError::EndEntityUsedAsCa => Fault::LeafAsAuthority,
        PathError::PathLenConstraintViolated | PathError::MaximumPathDepthExceeded => {
            Fault::PathTooLong
        }
        other => Fault::Malformed(other.to_string()),
    }
}

/// Asks every certificate of the path for one key usage, and remembers what it was for instead.
///
/// Own code because the list in webpki's error decodes arcs above 127 wrongly (0.103.16), and ours are.
struct WantedPurpose {
    der: &'static [u8],
    found: RefCell<String>,
}

impl WantedPurpose {
    fn new(shape: Shape) -> Self {
        Self {
            der: shape.purpose_der(),
            found: RefCell::new(String::new()),
        }
    }
}

impl ExtendedKeyUsageValidator for &WantedPurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), PathError> {
        let mut planes = Vec::new();
        let mut any = false;
        for purpose in purposes {
            let purpose = purpose?;
            if purpose == KeyPurposeId::new(self.der) {
                return Ok(());
            }
            planes.extend(purpose_text(&purpose));
            any = true;
        }
        *self.found.borrow_mut() = match (planes.as_slice(), any) {
            ([], false) => "nothing".to_owned(),
            ([], _) => "no purpose of Carnet".to_owned(),
            (some, _) => some.join(", "),
        };
        let required = KeyUsage::required(self.der);
        Err(PathError::RequiredEkuNotFoundContext(
            RequiredEkuNotFoundContext {
                required,
                present: Vec::new(),
            },
        ))
    }
}

fn purpose_text(purpose: &KeyPurposeId<'_>) -> Option<String> {
    if *purpose == KeyPurposeId::new(PASSPORT_EKU_DER) {
        return Some("passports".to_owned());
    }
    let plane = Plane::ALL
        .iter()
        .find(|plane| KeyPurposeId::new(plane.eku_der()) == *purpose);
    plane.map(|plane| format!("the {plane} plane"))
}

fn pinned_text(roots: &PinnedRoots) -> String {
    let names: Vec<String> = roots
        .jurisdictions()
        .take(8)
        .map(|p| p.to_string())
        .collect();
    if names.is_empty() {
        "anybody (none is pinned)".to_owned()
    } else {
        names.join(", ")
    }
}

fn presenter(fault: Fault) -> ChainError {
    ChainError {
        whose: Whose::Presenter,
        fault,
    }
}
