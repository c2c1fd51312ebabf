//! What a certificate says, believed by nobody: for lists of files, and to name a certificate that is to be refused.
//!
//! Whether anybody believes it is asked of [`crate::chain`].

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::CERTIFICATE_SERIAL_BYTES_MAX;
use carnet_domain::record::denied::{Bearer, Certificate, DenyList, Mark, Revocation};
use carnet_domain::rules::policy::Role;
use rustls_pki_types::CertificateDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use crate::certificate::TlsKey;
use crate::certificate::{self, Findings};
use crate::fault::Fault;
use crate::identity::{ClientName, Identity, NodeName, Plane};

/// What one certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is.
    pub identity: Identity,
    /// Where it is taken: as a node, a client or a peer.
    pub planes: Vec<Plane>,
    /// Host names and addresses beside the name, in their order.
    pub hosts: Vec<String>,
    /// Its first instant.
    pub not_before: TimeMs,
    /// Its last instant.
    pub not_after: TimeMs,
    /// By what it is known again.
    pub marks: Marks,
}

/// By what a certificate is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// By its number; none if that is longer than a number may be.
    pub serial: Option<Mark>,
    /// What a deny-list names every certificate of its key by.
    pub key: Mark,
}

impl Marks {
    /// All of them.
    pub fn all(&self) -> Vec<Mark> {
        self.serial.into_iter().chain([self.key]).collect()
    }

    pub(crate) fn of(parsed: &X509Certificate<'_>) -> Self {
        let number = parsed.raw_serial();
        let start = number.iter().position(|byte| *byte != 0);
        let number = start.and_then(|start| number.get(start..)).unwrap_or(&[]);
        let serial = CERTIFICATE_SERIAL_BYTES_MAX
            .checked_sub(number.len())
            .map(|zeros| {
                let mut serial = [0; CERTIFICATE_SERIAL_BYTES_MAX];
                let (_, place) = serial.split_at_mut(zeros);
                place.copy_from_slice(number);
                let issuer = sha256(&[parsed.issuer().as_raw()]);
                Mark::Serial { issuer, serial }
            });
        let key = sha256(&[parsed.public_key().raw]);
        Self {
            serial,
            key: Mark::Key { key },
        }
    }
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It is not one, or names nobody of Carnet.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, Fault> {
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|error| Fault::Malformed(error.to_string()))?;
        let findings = Findings::of(&parsed).map_err(Fault::Malformed)?;
        Ok(Self {
            identity: findings.identity()?,
            planes: findings.planes.clone(),
            hosts: findings.hosts().to_vec(),
            not_before: findings.not_before,
            not_after: findings.not_after,
            marks: Marks::of(&parsed),
        })
    }

    /// Whose it is, as a deny-list names it; none of an authority or a passport key, which are replaced and not revoked.
    pub fn bearer(&self) -> Option<Bearer> {
        match &self.identity {
            Identity::Client(name) => Some(bearer_of_client(name)),
            Identity::Node(name) => Some(bearer_of_node(name)),
            Identity::Ca(_) | Identity::Passport(_) => None,
        }
    }

    /// The certificate as a deny-list names it: by its number if it has one, else by its key.
    pub fn certificate(&self) -> Option<Certificate> {
        Some(Certificate {
            mark: self.marks.serial.unwrap_or(self.marks.key),
            bearer: self.bearer()?,
        })
    }

    /// The entry by which it is refused.
    pub fn refused_by<'a>(&self, list: &'a DenyList) -> Option<&'a Revocation> {
        list.refuses(&self.marks.all(), &self.bearer()?)
    }
}

/// What a request for a certificate asks for (PKCS #10), signed by the key that it is for: whoever sent it has that key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose it is to be.
    pub identity: Identity,
    /// Host names and addresses beside the name.
    pub hosts: Vec<String>,
    /// The plane it is to be for.
    pub plane: Plane,
    /// The public key that the request is signed with, and that the certificate will carry.
    pub key: TlsKey,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// It is not one, its key did not sign it, or it asks for what no certificate of Carnet is.
    pub fn of(der: &[u8]) -> Result<Self, Fault> {
        let malformed = |error: String| Fault::Malformed(error);
        let (rest, parsed) = X509CertificationRequest::from_der(der)
            .map_err(|error| malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes follow", rest.len())));
        }
        let info = &parsed.certification_request_info;
        parsed.verify_signature().map_err(|_| Fault::Signature)?;
        let findings = Findings::of_request(&parsed);
        let [plane] = findings.planes[..] else {
            return Err(Fault::SeveralPurposes);
        };
        if findings.passport || findings.any_purpose {
            return Err(Fault::SeveralPurposes);
        }
        let key = certificate::key_on(plane, &info.subject_pki).map_err(malformed)?;
        Ok(Self {
            identity: findings.identity()?,
            hosts: findings.hosts().to_vec(),
            plane,
            key,
        })
    }
}

/// Whose the certificate of a person or desk is.
pub fn bearer_of_client(name: &ClientName) -> Bearer {
    match name.role() {
        Role::Admin => Bearer::Admin {
            office: name.unit().to_string(),
            person: name.name().to_string(),
        },
        _ => Bearer::Client {
            name: name.to_string(),
        },
    }
}

/// Whose the certificate of a node of the own registry is.
pub fn bearer_of_node(name: &NodeName) -> Bearer {
    let node = name.node.value();
    Bearer::Node { node }
}

/// Whose the certificate of a node of another registry is.
pub fn bearer_of_peer(name: &NodeName) -> Bearer {
    let (prefix, node) = (name.prefix, name.node.value());
    Bearer::Peer { prefix, node }
}
