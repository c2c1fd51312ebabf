//! Turns names, keys and times into certificates, with rcgen.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carnet_client::keys::{KEY_FILE_BYTES_MAX, KeyFileError, read_bounded, read_chain};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_trust::facts::TlsKey as PublicTlsKey;
use carnet_trust::identity::{CaName, ClusterId, Identity, PassportName, Plane, passport_eku_arcs};
use carnet_trust::validity::Validity;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SanType,
    SerialNumber, SignatureAlgorithm,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use crate::files::fault;
use crate::{BACKDATED, Host, PkiError};

/// PKCS #8 (RFC 8410 §7) before the 32 bytes of an Ed25519 seed.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A private key as it is kept in a file; its bytes are cleared when it goes.
pub(super) type Seed = Zeroizing<[u8; 32]>;

/// 32 random bytes from the operating system.
pub(super) fn seed() -> Result<Seed, PkiError> {
    let mut seed = Seed::default();
    aws_lc_rs::rand::fill(&mut seed[..]).map_err(|_| PkiError::Random)?;
    Ok(seed)
}

/// A cluster that nobody else has.
pub(super) fn cluster() -> Result<ClusterId, PkiError> {
    let mut drawn = [0; 16];
    aws_lc_rs::rand::fill(&mut drawn).map_err(|_| PkiError::Random)?;
    ClusterId::new(drawn).ok_or(PkiError::Random)
}

/// A number that no other certificate has: sixteen bytes, positive and not shortened (RFC 5280 §4.1.2.2).
fn serial() -> Result<[u8; 16], PkiError> {
    let mut drawn = [0; 16];
    aws_lc_rs::rand::fill(&mut drawn).map_err(|_| PkiError::Random)?;
    drawn[0] = (drawn[0] & 0x7f) | 0x40;
    Ok(drawn)
}

/// From when until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    from: TimeMs,
    until: TimeMs,
}

impl Span {
    /// The last instant.
    pub(super) fn until(self) -> TimeMs {
        self.until
    }

    pub(super) fn new(now: TimeMs, days: u64) -> Self {
        Self {
            from: now.saturating_sub(BACKDATED),
            until: now.saturating_add(DurationMs::from_days(days)),
        }
    }
}

/// A private key of TLS: Ed25519, and on the client plane ECDSA P-256, which browsers and BoringSSL speak.
pub(super) struct TlsKey(Zeroizing<KeyPair>);

impl TlsKey {
    /// A new one for a plane.
    pub(super) fn draw(plane: Plane) -> Result<Self, PkiError> {
        match plane {
            Plane::Client => {
                let drawn = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
                Ok(Self(Zeroizing::new(drawn.map_err(|_| PkiError::Random)?)))
            }
            Plane::Raft | Plane::Admin | Plane::Federation => {
                let seed = seed()?;
                Self::of_seed(&seed, "a key")
            }
        }
    }

    fn of_seed(seed: &[u8; 32], name: &str) -> Result<Self, PkiError> {
        key_pair(seed, name).map(Self)
    }

    /// From a file, as [`TlsKey::pem`] writes it.
    pub(super) fn read(path: &Path) -> Result<Self, PkiError> {
        let bytes = read_bounded(path, KEY_FILE_BYTES_MAX).map_err(fault("read", path))?;
        let mut der = PrivatePkcs8KeyDer::from_pem_slice(&bytes)
            .map_err(|_| KeyFileError::content(path, "not a private key in PEM"))?;
        let known = [&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256];
        let mut read = known
            .iter()
            .filter_map(|known| KeyPair::from_pkcs8_der_and_sign_algo(&der, known).ok());
        let pair = read.next().map(Zeroizing::new);
        drop(read);
        der.zeroize();
        let wrong = || KeyFileError::content(path, "neither an Ed25519 nor a P-256 key in PKCS #8");
        Ok(Self(pair.ok_or_else(wrong)?))
    }

    /// Its public half.
    #[cfg(test)]
    pub(super) fn public(&self) -> PublicTlsKey {
        let bytes = self.0.public_key_raw();
        match bytes.len() {
            32 => PublicTlsKey::Ed25519(bytes.try_into().expect("32 bytes")),
            _ => PublicTlsKey::P256(bytes.try_into().expect("65 bytes")),
        }
    }

    /// As PKCS #8 in PEM.
    pub(super) fn pem(&self) -> Zeroizing<String> {
        armour("PRIVATE KEY", self.0.serialized_der())
    }
}

/// A certificate authority and its key.
pub(super) struct Authority {
    name: CaName,
    number: usize,
    key: TlsKey,
    der: CertificateDer<'static>,
}

impl Authority {
    /// A self-signed root.
    pub(super) fn root(
        prefix: Prefix,
        number: usize,
        seed: &[u8; 32],
        span: Span,
    ) -> Result<Self, PkiError> {
        let name = CaName {
            prefix,
            plane: None,
        };
        let key = TlsKey::of_seed(seed, &name.to_string())?;
        let mut params = params(&Identity::Ca(name), &[], span)?;
        params.distinguished_name = authority_subject(name, number);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&*key.0)
            .map_err(refused(&name.to_string()))?;
        Ok(Self {
            name,
            number,
            key,
            der: certificate.der().clone(),
        })
    }

    /// A root that [`Authority::root`] made, from its seed and its certificate.
    pub(super) fn of_root(
        prefix: Prefix,
        number: usize,
        seed: &[u8; 32],
        der: CertificateDer<'static>,
    ) -> Result<Self, PkiError> {
        let name = CaName {
            prefix,
            plane: None,
        };
        let key = TlsKey::of_seed(seed, &name.to_string())?;
        Ok(Self {
            name,
            number,
            key,
            der,
        })
    }

    /// The authority of a plane, below a root.
    pub(super) fn plane(
        prefix: Prefix,
        plane: Plane,
        root: &Self,
        span: Span,
    ) -> Result<Self, PkiError> {
        let name = CaName {
            prefix,
            plane: Some(plane),
        };
        let key = TlsKey::draw(plane)?;
        let mut params = params(&Identity::Ca(name), &[], span)?;
        params.distinguished_name = authority_subject(name, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // The two usages of the web are there for third-party tools, which ask an authority for them as well.
        params.extended_key_usages = usages(&plane.eku_arcs());
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ClientAuth);
        let der = root.sign(&params, &*key.0)?;
        Ok(Self {
            name,
            number: 1,
            key,
            der,
        })
    }

    /// An authority of a plane that [`Authority::plane`] made, from its files.
    pub(super) fn load(name: CaName, key: &Path, certificate: &Path) -> Result<Self, PkiError> {
        let key = TlsKey::read(key)?;
        let der = read_chain(certificate)?.swap_remove(0);
        Ok(Self {
            name,
            number: 1,
            key,
            der,
        })
    }

    /// Refuses what would be good for longer than this authority: nobody looks for its end any more then, and it has none.
    pub(super) fn outlasts(&self, span: Span) -> Result<(), PkiError> {
        let read = Validity::read(&self.der).map_err(|fault| PkiError::Make {
            name: self.name.to_string(),
            fault,
        })?;
        // Of one that has ended, whoever reads the chain says more.
        let ended = read.not_after <= span.from;
        match ended || span.until <= read.not_after {
            true => Ok(()),
            false => Err(PkiError::Plan(format!(
                "a certificate must not outlast the one above it: the {} ends on {}, asked for is {}",
                self.name, read.not_after, span.until
            ))),
        }
    }

    pub(super) fn name(&self) -> CaName {
        self.name
    }

    pub(super) fn key(&self) -> &TlsKey {
        &self.key
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<CertificateDer<'static>, PkiError> {
        let mut own = CertificateParams::default();
        own.distinguished_name = authority_subject(self.name, self.number);
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params
            .signed_by(key, &Issuer::from_params(&own, &*self.key.0))
            .map_err(refused(&self.name.to_string()))?;
        Ok(certificate.der().clone())
    }
}

/// A node or client to be certified.
pub(super) struct Leaf {
    pub(super) identity: Identity,
    pub(super) hosts: Vec<Host>,
    pub(super) plane: Plane,
    pub(super) span: Span,
}

/// The certificate of a node or client.
pub(super) fn leaf(
    leaf: &Leaf,
    authority: &Authority,
    key: &TlsKey,
) -> Result<CertificateDer<'static>, PkiError> {
    authority.sign(&leaf_params(leaf)?, &*key.0)
}

/// The certificate of whoever has a key, of which only the public half is here.
pub(super) fn leaf_of(
    leaf: &Leaf,
    authority: &Authority,
    key: PublicTlsKey,
) -> Result<CertificateDer<'static>, PkiError> {
    authority.sign(&leaf_params(leaf)?, &Public(key))
}

/// A request for a certificate (PKCS #10), in PEM.
pub(super) fn request(leaf: &Leaf, key: &TlsKey) -> Result<String, PkiError> {
    let name = leaf.identity.to_string();
    let mut params = leaf_params(leaf)?;
    // The authority's to say.
    params.serial_number = None;
    params.use_authority_key_identifier_extension = false;
    let made = params.serialize_request(&*key.0).map_err(refused(&name))?;
    Ok(armour("CERTIFICATE REQUEST", made.der()).to_string())
}

fn leaf_params(leaf: &Leaf) -> Result<CertificateParams, PkiError> {
    let mut params = params(&leaf.identity, &leaf.hosts, leaf.span)?;
    params.extended_key_usages = usages(&leaf.plane.eku_arcs());
    params
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ClientAuth);
    if matches!(leaf.identity, Identity::Node(_)) {
        params
            .extended_key_usages
            .push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    Ok(params)
}

/// The public half of a key.
struct Public(PublicTlsKey);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        match &self.0 {
            PublicTlsKey::Ed25519(key) => key,
            PublicTlsKey::P256(point) => point,
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.0 {
            PublicTlsKey::Ed25519(_) => &PKCS_ED25519,
            PublicTlsKey::P256(_) => &PKCS_ECDSA_P256_SHA256,
        }
    }
}

/// The certificate of a passport key, issued by the root itself.
pub(super) fn passport(
    name: PassportName,
    root: &Authority,
    span: Span,
    seed: &[u8; 32],
) -> Result<CertificateDer<'static>, PkiError> {
    let identity = Identity::Passport(name);
    let mut params = params(&identity, &[], span)?;
    params.extended_key_usages = usages(&passport_eku_arcs());
    let key = key_pair(seed, &identity.to_string())?;
    root.sign(&params, &*key)
}

/// Certificates as PEM, in order.
pub(super) fn pem(certificates: &[&CertificateDer<'_>]) -> String {
    certificates
        .iter()
        .map(|der| armour("CERTIFICATE", der).to_string())
        .collect()
}

fn pkcs8(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([PKCS8_HEAD.as_slice(), seed.as_slice()].concat())
}

fn armour(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    // Room for all of it: what grows leaves copies behind.
    let lines = encoded.len().div_ceil(64);
    let size = encoded.len() + lines + 2 * (label.len() + 20);
    let mut text = Zeroizing::new(String::with_capacity(size));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for at in (0..encoded.len()).step_by(64) {
        text.push_str(&encoded[at..encoded.len().min(at + 64)]);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn key_pair(seed: &[u8; 32], name: &str) -> Result<Zeroizing<KeyPair>, PkiError> {
    let bytes = pkcs8(seed);
    let der = PrivatePkcs8KeyDer::from(bytes.as_slice());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519);
    Ok(Zeroizing::new(pair.map_err(refused(name))?))
}

fn usages(arcs: &[u64]) -> Vec<ExtendedKeyUsagePurpose> {
    vec![ExtendedKeyUsagePurpose::Other(arcs.to_vec())]
}

/// The subject of an authority; the issuer of everything below it, so it never changes.
fn authority_subject(name: CaName, number: usize) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, format!("Carnet {}", name.prefix));
    let common = match name.plane {
        Some(plane) => format!("{plane} authority"),
        None => format!("root {number}"),
    };
    subject.push(DnType::CommonName, common);
    subject
}

fn params(identity: &Identity, hosts: &[Host], span: Span) -> Result<CertificateParams, PkiError> {
    let name = identity.to_string();
    let mut params = CertificateParams::default();
    params.not_before = date(span.from, &name)?;
    params.not_after = date(span.until, &name)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::OrganizationName,
        format!("Carnet {}", identity.prefix()),
    );
    params
        .distinguished_name
        .push(DnType::CommonName, short(&name));
    params.is_ca = IsCa::ExplicitNoCa;
    // Drawn: computed from the key, as by default, two certificates of one key would have one number, and neither could be
    // revoked without the other.
    params.serial_number = Some(SerialNumber::from(serial()?.to_vec()));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = vec![SanType::URI(
        name.as_str().try_into().map_err(refused(&name))?,
    )];
    for host in hosts {
        params.subject_alt_names.push(match host {
            Host::Dns(dns) => SanType::DnsName(dns.as_str().try_into().map_err(refused(&name))?),
            Host::Ip(ip) => SanType::IpAddress(*ip),
        });
    }
    Ok(params)
}

/// The last 64 bytes of a name: X.520 allows a common name no more. Who somebody is stands in the URI.
fn short(name: &str) -> &str {
    let path = name.strip_prefix("carnet://").unwrap_or(name);
    path.get(path.len().saturating_sub(64)..).unwrap_or(path)
}

fn date(at: TimeMs, name: &str) -> Result<time::OffsetDateTime, PkiError> {
    let seconds = i64::try_from(at.as_ms() / 1000).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(seconds).map_err(refused(name))
}

fn refused<E: ToString>(name: &str) -> impl FnOnce(E) -> PkiError {
    let name = name.to_owned();
    move |error| PkiError::Make {
        name,
        fault: error.to_string(),
    }
}
