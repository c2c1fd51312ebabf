//! Until when a certificate says that it is good: for warnings and monitors.
//!
//! Nothing is verified here and nothing is believed because of it; [`crate::chain`] judges.

use carnet_domain::bytes::time::TimeMs;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::Findings;

/// What a certificate says of its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first instant.
    pub not_before: TimeMs,
    /// Its last.
    pub not_after: TimeMs,
}

impl Validity {
    /// Reads it from a certificate, whoever signed it.
    ///
    /// # Errors
    /// The bytes are no certificate; says why.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let found = Findings::of(&parsed)?;
        Ok(Self {
            not_before: found.not_before,
            not_after: found.not_after,
        })
    }
}
