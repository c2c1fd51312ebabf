//! Keeps the roots that the federation plane believes in step with the replicated bundles.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Blob;
use carnet_domain::record::peer::Peer;
use carnet_trust::roots::{PinnedRoots, RootCertificate, RootError};
use tracing::{info, warn};

use crate::tls::TrustedRoots;

/// What is believed now, and where.
pub(super) struct Pins {
    roots: Arc<TrustedRoots>,
    pinned: Vec<(Prefix, Vec<Blob>)>,
}

impl Pins {
    /// Nobody is believed yet.
    pub(super) fn new(roots: Arc<TrustedRoots>) -> Self {
        Self {
            roots,
            pinned: Vec::new(),
        }
    }

    /// Believes exactly the certificates of these bundles, from the next handshake on. One that cannot be used is left
    /// out, visibly; the others do not suffer for it.
    pub(super) fn follow(&mut self, peers: &[Peer]) {
        let wanted: Vec<(Prefix, Vec<Blob>)> = peers
            .iter()
            .filter_map(|peer| {
                let prefix = peer.bundle.primary()?;
                Some((prefix, peer.bundle.certificates.clone()))
            })
            .collect();
        if wanted == self.pinned {
            return;
        }
        let mut roots = PinnedRoots::new();
        for (prefix, certificates) in &wanted {
            for certificate in certificates {
                if let Err(error) = pin(&mut roots, *prefix, certificate) {
                    warn!(peer = %prefix, %error, "root certificate of a bundle not believed");
                }
            }
        }
        let believed = roots.jurisdictions().count();
        info!(peers = wanted.len(), believed, "roots of peers replaced");
        self.roots.replace_peers(roots);
        self.pinned = wanted;
    }
}

/// The bundle was signed by the peer's roots and its fingerprint compared by people, which covers each certificate.
fn pin(roots: &mut PinnedRoots, prefix: Prefix, certificate: &Blob) -> Result<(), RootError> {
    let root = RootCertificate::from_der(&certificate.0)?;
    roots.pin(prefix, root.fingerprint(), root)
}
