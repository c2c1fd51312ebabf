//! Root certificates and pins: what is refused, and why.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::signature::PublicKey;
use carnet_trust::roots::{Fingerprint, PinnedRoots, RootCertificate};
use rcgen::PKCS_ECDSA_P256_SHA256;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::forge::{Country, Held, Sketch};

fn check(der: &[u8]) -> String {
    match RootCertificate::from_der(der) {
        Ok(root) => format!("root of {}", root.prefix()),
        Err(error) => error.to_string(),
    }
}

fn root_named(uri: &str) -> Held {
    Sketch::authority(uri, Vec::new(), 1).alone()
}

#[test]
fn a_root_says_whose_it_is() {
    assert_eq!(check(&Country::new("86").root.der), "root of 86");
    assert_eq!(check(&Country::new("CN").root.der), "root of CN");
}

#[test]
fn a_root_must_be_a_self_signed_authority_with_the_name_of_a_root() {
    let root = Country::new("86").root;
    let leaf = Sketch::new("carnet://86/ca/root", Vec::new()).alone();
    assert_eq!(
        check(&leaf.der),
        "the root certificate is not a certificate authority"
    );
    let issued = Sketch::authority("carnet://86/ca/root", Vec::new(), 1).by(&root);
    assert_eq!(
        check(&issued.der),
        "the root certificate is not signed by its own key"
    );
    let named = |uri| check(&root_named(uri).der);
    assert_eq!(
        named("carnet://86/ca/raft"),
        "the root certificate's name is not valid: \"carnet://86/ca/raft\" is not the name of a root"
    );
    assert!(
        named("https://86").starts_with("the root certificate's name is not valid: \"https://86\"")
    );
    let mut nameless = Sketch::authority("x", Vec::new(), 1);
    nameless.uris.clear();
    assert!(check(&nameless.alone().der).contains("it names nobody"));
    let other = Sketch {
        algorithm: &PKCS_ECDSA_P256_SHA256,
        ..Sketch::authority("carnet://86/ca/root", Vec::new(), 1)
    };
    assert!(check(&other.alone().der).ends_with("its key is not an Ed25519 key"));
}

#[test]
fn any_flipped_bit_or_cut_makes_a_root_unreadable_or_another_root() {
    let der = Country::new("86").root.der;
    let good = Fingerprint::of(&der);
    for at in 0..der.len() {
        let mut wrong = der.to_vec();
        wrong[at] ^= 1;
        match RootCertificate::from_der(&wrong) {
            Ok(root) => assert_ne!(root.fingerprint(), good, "byte {at}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        assert!(
            RootCertificate::from_der(&der[..at]).is_err(),
            "cut at {at}"
        );
    }
    let mut longer = der.to_vec();
    longer.push(0);
    assert_eq!(
        check(&longer),
        "the root certificate is malformed: 1 bytes follow"
    );
}

#[test]
fn a_pin_needs_the_right_country_and_fingerprint() {
    let root = Country::new("86").root();
    let print = root.fingerprint();
    let other = Fingerprint::from([7; 32]);
    let other_prefix = Prefix::parse("49").expect("a prefix");
    let mut roots = PinnedRoots::new();
    let wrong = roots
        .pin(other_prefix, print, root.clone())
        .expect_err("another country");
    assert_eq!(
        wrong.to_string(),
        "the root certificate is of 86, expected 49"
    );
    let wrong = roots
        .pin(root.prefix(), other, root.clone())
        .expect_err("another fingerprint");
    assert!(
        wrong
            .to_string()
            .starts_with("the root certificate has the fingerprint ")
    );
    assert_eq!(roots.jurisdictions().count(), 0);
    roots
        .pin(root.prefix(), print, root.clone())
        .expect("the right one");
    roots
        .pin(root.prefix(), print, root.clone())
        .expect("again");
    assert_eq!(roots.of(root.prefix()).len(), 1);
}

#[test]
fn one_subject_never_stands_for_two_countries() {
    let mut roots = Country::new("86").pinned();
    let claimed = Sketch {
        common_name: "carnet://86/ca/root".to_owned(),
        ..Sketch::authority("carnet://49/ca/root", Vec::new(), 1)
    };
    let claimed = RootCertificate::from_der(&claimed.alone().der).expect("a root of 49");
    let error = roots
        .pin(claimed.prefix(), claimed.fingerprint(), claimed)
        .expect_err("shared");
    assert_eq!(
        error.to_string(),
        "the key or subject of the root certificate already belongs to 86"
    );
}

#[test]
fn a_fingerprint_is_read_as_people_write_it() {
    let print = Country::new("86").root().fingerprint();
    let text = print.to_string();
    assert_eq!(text.len(), 79);
    assert_eq!(text.parse(), Ok(print));
    assert_eq!(text.to_uppercase().replace('-', ":").parse(), Ok(print));
    let check = |text: &str| text.parse::<Fingerprint>().expect_err("wrong").to_string();
    assert_eq!(check("abc"), "3 hexadecimal digits, expected 64");
    assert_eq!(
        check(&format!("{text}0")),
        "65 hexadecimal digits, expected 64"
    );
    assert_eq!(check("xyz"), "'x' is not a hexadecimal digit");
}

/// So that `openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum` says what our programs say.
#[test]
fn the_fingerprint_of_a_roots_key_is_that_of_its_public_key_info() {
    let der = Country::new("86").root.der;
    let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
    let info = certificate.public_key();
    let key = PublicKey::enroll_slice(&info.subject_public_key.data).expect("a key");
    let expected = Fingerprint::from(sha256(&[info.raw]).0);
    assert_eq!(Fingerprint::of_key(&key), expected);
    assert_ne!(expected, Fingerprint::of(&der));
}
