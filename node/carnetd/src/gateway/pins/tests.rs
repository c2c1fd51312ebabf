//! Whose certificates are believed on the federation plane.

use super::*;
use crate::forge::Country;

fn peer(prefix: &str, certificates: Vec<Blob>) -> Peer {
    let mut bundle = carnet_kit::Country::unborn(prefix).bundle_of(1);
    bundle.certificates = certificates;
    Peer::new(bundle, carnet_domain::bytes::time::TimeMs(0))
}

fn root(country: &Country) -> Blob {
    Blob(country.root().der().to_vec())
}

fn believed(roots: &TrustedRoots) -> Vec<String> {
    let peers = roots.peers();
    peers
        .jurisdictions()
        .map(|prefix| prefix.to_string())
        .collect()
}

#[test]
fn exactly_the_roots_of_the_bundles_are_believed() {
    let (home, a, b) = (Country::new("86"), Country::new("44"), Country::new("81"));
    let roots = Arc::new(TrustedRoots::new(home.pinned()));
    let mut pins = Pins::new(Arc::clone(&roots));
    pins.follow(&[peer("44", vec![root(&a)]), peer("81", vec![root(&b)])]);
    assert_eq!(believed(&roots), ["44", "81"]);
    pins.follow(&[peer("81", vec![root(&b)])]);
    assert_eq!(believed(&roots), ["81"]);
    assert_eq!(roots.own().jurisdictions().count(), 1);
}

#[test]
fn a_certificate_of_another_country_or_none_is_left_out_alone() {
    let (home, a, b) = (Country::new("86"), Country::new("44"), Country::new("81"));
    let roots = Arc::new(TrustedRoots::new(home.pinned()));
    let mut pins = Pins::new(Arc::clone(&roots));
    let stolen = peer("44", vec![root(&b), Blob(b"not a certificate".to_vec())]);
    pins.follow(&[stolen, peer("81", vec![root(&b)])]);
    assert_eq!(believed(&roots), ["81"]);
    pins.follow(&[
        peer("44", vec![root(&b), root(&a)]),
        peer("81", vec![root(&b)]),
    ]);
    assert_eq!(believed(&roots), ["44", "81"]);
}
