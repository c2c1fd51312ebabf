//! What is read out of one certificate once its signature is known to be good.
//!
//! Nothing here decides; [`crate::chain`] does.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::TimeMs;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::X509Certificate;

use crate::fault::Fault;
use crate::identity::{CaName, Identity, Plane, passport_eku_arcs};

/// The fields of a certificate that the rules of Carnet speak about.
#[derive(Debug, Clone)]
pub(crate) struct Findings {
    uris: Vec<String>,
    host_count: usize,
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
            host_count: 0,
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
        #[expect(
            clippy::arithmetic_side_effects,
            reason = "names of a certificate, which has at most some thousand bytes"
        )]
        for name in names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
        {
            match name {
                GeneralName::URI(uri) => found.uris.push((*uri).to_owned()),
                GeneralName::DNSName(_) | GeneralName::IPAddress(_) => found.host_count += 1,
                _ => found.other_name_count += 1,
            }
        }
        let usages = parsed
            .extended_key_usage()
            .map_err(fault("extended key usage"))?;
        if let Some(usages) = usages {
            found.any_purpose = usages.value.any;
            for oid in &usages.value.other {
                let arcs: Vec<u64> = oid.iter().into_iter().flatten().collect();
                found.passport |= arcs == passport_eku_arcs();
                found.planes.extend(Plane::from_eku_arcs(&arcs));
            }
        }
        found.planes.sort_unstable();
        Ok(found)
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
        self.host_count
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

/// The raw Ed25519 key of a certificate.
pub(crate) fn ed25519_key(parsed: &X509Certificate<'_>) -> Result<[u8; 32], String> {
    let spki = parsed.public_key();
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
