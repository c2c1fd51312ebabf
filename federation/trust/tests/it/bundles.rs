//! Bundles: pinned by what two people compared, replaced only by newer ones of the same roots.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::record::peer::{Bundle, Signed};
use carnet_kit::Country;
use carnet_trust::bundle::{BundleError, PinnedBundle, of_file, to_file, verify_bundle};

use crate::story::nothing;

fn signed(by: &Country, bundle: &Bundle) -> Signed {
    let bytes = bundle.to_bytes();
    Signed {
        signatures: by.root_signatures(&bytes),
        bytes: Blob(bytes),
    }
}

fn text(found: Result<PinnedBundle, BundleError>) -> String {
    match found {
        Ok(bundle) => format!("sequence {}", bundle.bundle().sequence),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_bundle_is_pinned_by_its_fingerprint() {
    let a = Country::new("86");
    let bundle = a.bundle_of(3);
    let good = signed(&a, &bundle);
    assert_eq!(
        text(verify_bundle(&good, &bundle.fingerprint())),
        "sequence 3"
    );
    let other = text(verify_bundle(&good, &nothing()));
    assert!(other.starts_with("the bundle has fingerprint "), "{other}");
    let stranger = signed(&Country::new("49"), &bundle);
    assert_eq!(
        text(verify_bundle(&stranger, &bundle.fingerprint())),
        "fewer than 2 of the roots of 86 signed the bundle"
    );
    let mut one = good;
    one.signatures.truncate(1);
    assert_eq!(
        text(verify_bundle(&one, &bundle.fingerprint())),
        "fewer than 2 of the roots of 86 signed the bundle"
    );
    let nameless = Bundle {
        prefixes: Vec::new(),
        ..bundle
    };
    assert_eq!(
        text(verify_bundle(
            &signed(&a, &nameless),
            &nameless.fingerprint()
        )),
        "the bundle names no prefix"
    );
}

#[test]
fn a_bundle_is_replaced_only_by_a_newer_one_of_the_pinned_roots() {
    let (a, b) = (Country::new("86"), Country::new("49"));
    let first = a.bundle_of(3);
    let pinned = verify_bundle(&signed(&a, &first), &first.fingerprint()).expect("a good bundle");
    assert_eq!(
        text(pinned.renew(&signed(&a, &a.bundle_of(4)))),
        "sequence 4"
    );
    assert_eq!(
        text(pinned.renew(&signed(&a, &a.bundle_of(3)))),
        "the bundle has sequence 3, pinned is 3"
    );
    assert_eq!(
        text(pinned.renew(&signed(&a, &a.bundle_of(2)))),
        "the bundle has sequence 2, pinned is 3"
    );
    // New roots that only they themselves signed.
    let taken = Bundle {
        roots: b.bundle_of(4).roots,
        ..a.bundle_of(4)
    };
    assert_eq!(
        text(pinned.renew(&signed(&b, &taken))),
        "fewer than 2 of the roots of 86 signed the bundle"
    );
    // The same, signed by the pinned roots: a change of roots.
    assert_eq!(text(pinned.renew(&signed(&a, &taken))), "sequence 4");
    let moved = Bundle {
        prefixes: vec![b.prefix],
        ..a.bundle_of(4)
    };
    assert_eq!(
        text(pinned.renew(&signed(&a, &moved))),
        "the bundle is of 49, pinned is 86"
    );
}

#[test]
fn a_bundle_file_is_text_and_comes_back_as_it_was() {
    let a = Country::new("86");
    let good = signed(&a, &a.bundle_of(1));
    let file = to_file(&good);
    assert!(file.lines().all(|line| line.len() <= 64), "{file}");
    assert_eq!(of_file(file.as_bytes()), Ok(good.clone()));
    assert_eq!(
        of_file(file.replace('\n', "\r\n").as_bytes()),
        Ok(good.clone())
    );
    assert_eq!(of_file(&good.to_bytes()), Ok(good));
    let cut = &file.as_bytes()[..file.len() / 2];
    assert_eq!(
        of_file(cut).map(|_| ()),
        Err(BundleError::Armour("the last line is missing"))
    );
    let html = of_file(b"<html>503</html>");
    assert!(matches!(html, Err(BundleError::Decode(_))), "{html:?}");
}

#[test]
fn no_byte_of_a_bundle_file_can_be_flipped() {
    let a = Country::new("86");
    let bundle = a.bundle_of(1);
    let good = signed(&a, &bundle);
    let bytes = good.to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let found = of_file(&changed).and_then(|s| verify_bundle(&s, &bundle.fingerprint()));
        assert!(found.is_err(), "byte {at}");
    }
    assert_eq!(sha256(&[&bundle.to_bytes()]), bundle.fingerprint());
}
