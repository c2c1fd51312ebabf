//! What is read out of one certificate once its signature is known to be good.
//!
//! Nothing here decides; [`crate::chain`] does.

use core::net::IpAddr;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{
    ExtendedKeyUsage, GeneralName, ParsedExtension, SubjectAlternativeName,
};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};
use x509_parser::prelude::X509Certificate;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::fault::Fault;
use crate::identity::{CaName, Identity, Plane, passport_eku_arcs};

/// The fields of a certificate that the rules of Carnet speak about.
#[derive(Debug, Clone)]
pub(crate) struct Findings {
    uris: Vec<String>,
    hosts: Vec<String>,
    other_name_count: usize,
    /// Planes among the extended key usages, in the order of the planes.
    pub(crate) planes: Vec<Plane>,
    /// Whether the passport key usage is among them.
    pub(crate) passport: bool,
    pub(crate) any_purpose: bool,
    pub(crate) not_before: TimeMs,
    pub(crate) not_after: TimeMs,
}

impl Findings {
    /// # Errors
    /// When an extension is malformed or stands twice.
    pub(crate) fn of(parsed: &X509Certificate<'_>) -> Result<Self, String> {
        let fault =
            |what: &'static str| move |e: x509_parser::error::X509Error| format!("{what}: {e}");
        let mut found = Self {
            uris: Vec::new(),
            hosts: Vec::new(),
            other_name_count: 0,
            planes: Vec::new(),
            passport: false,
            any_purpose: false,
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
        };
        let names = parsed
            .subject_alternative_name()
            .map_err(fault("subject alternative name"))?;
        found.take_names(names.iter().map(|extension| extension.value));
        let usages = parsed
            .extended_key_usage()
            .map_err(fault("extended key usage"))?;
        found.take_usages(usages.iter().map(|extension| extension.value));
        Ok(found)
    }

    /// What a request for a certificate asks for; its times are whatever the authority says.
    pub(crate) fn of_request(request: &X509CertificationRequest<'_>) -> Self {
        let mut found = Self {
            uris: Vec::new(),
            hosts: Vec::new(),
            other_name_count: 0,
            planes: Vec::new(),
            passport: false,
            any_purpose: false,
            not_before: TimeMs::EPOCH,
            not_after: TimeMs::EPOCH,
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            match extension {
                ParsedExtension::SubjectAlternativeName(names) => {
                    found.take_names(std::iter::once(names));
                }
                ParsedExtension::ExtendedKeyUsage(usages) => {
                    found.take_usages(std::iter::once(usages));
                }
                // What else it asks for it does not get.
                _ => {}
            }
        }
        found
    }

    fn take_names<'a>(&mut self, names: impl Iterator<Item = &'a SubjectAlternativeName<'a>>) {
        #[expect(
            clippy::arithmetic_side_effects,
            reason = "names of a certificate, which has at most some thousand bytes"
        )]
        for name in names.flat_map(|names| &names.general_names) {
            match name {
                GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
                GeneralName::DNSName(name) => self.hosts.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => self.hosts.push(address(bytes)),
                _ => self.other_name_count += 1,
            }
        }
    }

    fn take_usages<'a>(&mut self, usages: impl Iterator<Item = &'a ExtendedKeyUsage<'a>>) {
        for usages in usages {
            self.any_purpose |= usages.any;
            for oid in &usages.other {
                let arcs: Vec<u64> = oid.iter().into_iter().flatten().collect();
                self.passport |= arcs == passport_eku_arcs();
                self.planes.extend(Plane::from_eku_arcs(&arcs));
            }
        }
        self.planes.sort_unstable();
    }

    /// The one URI; host names may stand beside it.
    pub(crate) fn only_uri(&self) -> Result<&str, Fault> {
        if self.other_name_count != 0 {
            return Err(Fault::OtherNames {
                count: self.other_name_count,
            });
        }
        match self.uris.as_slice() {
            [] => Err(Fault::NoName),
            [uri] => Ok(uri),
            several => Err(Fault::SeveralNames {
                count: several.len(),
            }),
        }
    }

    /// The identity in the one URI.
    pub(crate) fn identity(&self) -> Result<Identity, Fault> {
        let uri = self.only_uri()?;
        uri.parse().map_err(|source| Fault::Name {
            uri: shorten(uri),
            source,
        })
    }

    /// How many host names and addresses the certificate has.
    pub(crate) fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// They themselves.
    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whether this is the certificate of an authority of that jurisdiction and plane.
    pub(crate) fn judge_authority(
        &self,
        prefix: Prefix,
        plane: Option<Plane>,
    ) -> Result<(), Fault> {
        match self.identity()? {
            Identity::Ca(CaName { prefix: found, .. }) if found != prefix => Err(Fault::Country {
                expected: prefix,
                found,
            }),
            Identity::Ca(CaName { plane: found, .. }) if found == plane && found.is_some() => {
                Ok(())
            }
            other => Err(Fault::Kind {
                expected: "the authority of the plane",
                found: other.to_string(),
            }),
        }
    }
}

/// An address as text; one that is neither of four nor of sixteen bytes as digits.
fn address(bytes: &[u8]) -> String {
    let four = <[u8; 4]>::try_from(bytes).map(|it| IpAddr::from(it).to_string());
    let sixteen = || <[u8; 16]>::try_from(bytes).map(|it| IpAddr::from(it).to_string());
    four.or_else(|_| sixteen())
        .unwrap_or_else(|_| format!("{bytes:02x?}"))
}

/// The key of TLS in a certificate or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsKey {
    /// Its 32 bytes.
    Ed25519([u8; 32]),
    /// ECDSA over P-256, its point as it is written: `0x04 ‖ x ‖ y`.
    P256([u8; 65]),
}

/// The key that a plane takes: Ed25519 on each, and on that of clients ECDSA P-256 too, since browsers and whatever is made with
/// BoringSSL offer no Ed25519 in a handshake.
pub(crate) fn key_on(plane: Plane, spki: &SubjectPublicKeyInfo<'_>) -> Result<TlsKey, String> {
    if plane == Plane::Client && spki.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        return p256_key_of(spki).map(TlsKey::P256);
    }
    ed25519_key_of(spki).map(TlsKey::Ed25519)
}

fn p256_key_of(spki: &SubjectPublicKeyInfo<'_>) -> Result<[u8; 65], String> {
    let curve = spki.algorithm.parameters.as_ref();
    let curve = curve.and_then(|curve| curve.as_oid().ok());
    if curve != Some(OID_EC_P256) {
        return Err("its key is on another curve than P-256".to_owned());
    }
    let point = <[u8; 65]>::try_from(spki.subject_public_key.data.as_ref());
    match point {
        Ok(point) if point[0] == 4 => Ok(point),
        _ => Err("its P-256 key is not a point in 65 bytes".to_owned()),
    }
}

/// The raw Ed25519 key of a certificate.
pub(crate) fn ed25519_key(parsed: &X509Certificate<'_>) -> Result<[u8; 32], String> {
    ed25519_key_of(parsed.public_key())
}

/// The raw Ed25519 key of a subject public key info.
pub(crate) fn ed25519_key_of(spki: &SubjectPublicKeyInfo<'_>) -> Result<[u8; 32], String> {
    if spki.algorithm.algorithm != OID_SIG_ED25519 {
        return Err("its key is not an Ed25519 key".to_owned());
    }
    <[u8; 32]>::try_from(spki.subject_public_key.data.as_ref())
        .map_err(|_| "its Ed25519 key does not have 32 bytes".to_owned())
}

fn seconds(timestamp: i64) -> TimeMs {
    // saturates: a time beyond the last instant is the last
    TimeMs(u64::try_from(timestamp).unwrap_or(0).saturating_mul(1000))
}

/// At most 200 characters of something a stranger wrote, for a message.
fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}
