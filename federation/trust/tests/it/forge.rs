//! Makes certificates for tests, above all wrong ones. Nothing here is ever shipped.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use carnet_trust::identity::{Plane, passport_eku_arcs};
use carnet_trust::roots::{PinnedRoots, RootCertificate};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, PKCS_ED25519, SanType, SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;

/// The time of every test: inside the validity of everything that is not meant to be outside.
pub(crate) const NOW: TimeMs = match TimeMs::of_date(2026, 6, 1) {
    Some(time) => time,
    None => TimeMs::EPOCH,
};

/// The cluster of every node.
pub(crate) const CLUSTER: &str = "0123456789abcdef0123456789abcdef";

/// The name of a node of that cluster.
pub(crate) fn node_uri(prefix: impl std::fmt::Display, plane: Plane, id: u64) -> String {
    format!("carnet://{prefix}/node/{plane}/{id}/{CLUSTER}")
}

/// A certificate to be made, right until something is set wrong.
#[derive(Clone)]
pub(crate) struct Sketch {
    pub(crate) uris: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) mails: Vec<String>,
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) is_ca: IsCa,
    pub(crate) from: (i32, u8, u8),
    pub(crate) until: (i32, u8, u8),
    pub(crate) common_name: String,
    pub(crate) algorithm: &'static SignatureAlgorithm,
}

pub(crate) fn usage(plane: Plane) -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(plane.eku_arcs().to_vec())
}

pub(crate) fn passport_usage() -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(passport_eku_arcs().to_vec())
}

impl Sketch {
    pub(crate) fn new(uri: &str, usages: Vec<ExtendedKeyUsagePurpose>) -> Self {
        Self {
            uris: vec![uri.to_owned()],
            hosts: Vec::new(),
            mails: Vec::new(),
            usages,
            is_ca: IsCa::ExplicitNoCa,
            from: (2026, 1, 1),
            until: (2027, 1, 1),
            common_name: uri.to_owned(),
            algorithm: &PKCS_ED25519,
        }
    }

    /// A leaf of a plane.
    pub(crate) fn leaf(uri: &str, plane: Plane) -> Self {
        Self::new(uri, vec![usage(plane)])
    }

    /// An authority under which at most that many further authorities stand.
    pub(crate) fn authority(uri: &str, usages: Vec<ExtendedKeyUsagePurpose>, below: u8) -> Self {
        Self {
            is_ca: IsCa::Ca(BasicConstraints::Constrained(below)),
            ..Self::new(uri, usages)
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        let text = |text: &String| text.as_str().try_into().expect("names in tests are ASCII");
        params.not_before = rcgen::date_time_ymd(self.from.0, self.from.1, self.from.2);
        params.not_after = rcgen::date_time_ymd(self.until.0, self.until.1, self.until.2);
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, self.common_name.as_str());
        params.subject_alt_names = self
            .uris
            .iter()
            .map(|uri| SanType::URI(text(uri)))
            .collect();
        params
            .subject_alt_names
            .extend(self.hosts.iter().map(|host| SanType::DnsName(text(host))));
        params.subject_alt_names.extend(
            self.mails
                .iter()
                .map(|mail| SanType::Rfc822Name(text(mail))),
        );
        params.extended_key_usages = self.usages.clone();
        params.is_ca = self.is_ca;
        params
    }

    /// Signed by its own key.
    pub(crate) fn alone(&self) -> Held {
        let key = KeyPair::generate_for(self.algorithm).expect("a key pair");
        let made = self.params().self_signed(&key).expect("a certificate");
        Held {
            params: self.params(),
            key,
            der: made.der().clone(),
            pem: made.pem(),
        }
    }

    /// Signed by another's key.
    pub(crate) fn by(&self, issuer: &Held) -> Held {
        let key = KeyPair::generate_for(self.algorithm).expect("a key pair");
        let signer = Issuer::from_params(&issuer.params, &issuer.key);
        let made = self
            .params()
            .signed_by(&key, &signer)
            .expect("a certificate");
        Held {
            params: self.params(),
            key,
            der: made.der().clone(),
            pem: made.pem(),
        }
    }
}

/// A certificate and its key.
pub(crate) struct Held {
    params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
}

impl Held {
    /// The chain that the holder presents.
    pub(crate) fn under(&self, authorities: &[&Held]) -> Vec<CertificateDer<'static>> {
        let above = authorities.iter().map(|one| one.der.clone());
        std::iter::once(self.der.clone()).chain(above).collect()
    }
}

/// The root of a jurisdiction and one authority per plane.
pub(crate) struct Country {
    pub(crate) prefix: Prefix,
    pub(crate) root: Held,
    planes: Vec<Held>,
}

impl Country {
    pub(crate) fn new(prefix: &str) -> Self {
        let root = Sketch {
            until: (2036, 1, 1),
            ..Sketch::authority(&format!("carnet://{prefix}/ca/root"), Vec::new(), 1)
        }
        .alone();
        let authority = |plane: &Plane| {
            Sketch::authority(
                &format!("carnet://{prefix}/ca/{plane}"),
                vec![usage(*plane)],
                0,
            )
            .by(&root)
        };
        let planes = Plane::ALL.iter().map(authority).collect();
        Self {
            prefix: Prefix::parse(prefix).expect("a prefix"),
            root,
            planes,
        }
    }

    /// The authority of a plane.
    pub(crate) fn authority(&self, plane: Plane) -> &Held {
        let at = Plane::ALL
            .iter()
            .position(|known| *known == plane)
            .expect("one of all planes");
        &self.planes[at]
    }

    /// A leaf of a plane and the chain to present it with.
    pub(crate) fn issue(
        &self,
        plane: Plane,
        sketch: &Sketch,
    ) -> (Held, Vec<CertificateDer<'static>>) {
        let held = sketch.by(self.authority(plane));
        let chain = held.under(&[self.authority(plane)]);
        (held, chain)
    }

    /// The root, read.
    pub(crate) fn root(&self) -> RootCertificate {
        RootCertificate::from_der(&self.root.der).expect("a root certificate")
    }

    /// Only this country is believed.
    pub(crate) fn pinned(&self) -> PinnedRoots {
        PinnedRoots::only(self.root())
    }
}

/// Several countries are believed.
pub(crate) fn pinned(countries: &[&Country]) -> PinnedRoots {
    let mut roots = PinnedRoots::new();
    for country in countries {
        let root = country.root();
        roots
            .pin(country.prefix, root.fingerprint(), root)
            .expect("distinct countries");
    }
    roots
}
