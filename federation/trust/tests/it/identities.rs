//! URIs in, identities or reasons out.

use carnet_trust::identity::{Identity, Plane};
use proptest::prelude::*;

fn check(uri: &str) -> String {
    match uri.parse::<Identity>() {
        Ok(identity) => {
            assert_eq!(identity.to_string(), uri, "one identity has one text");
            format!("{} of {}", identity.kind(), identity.prefix())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_kind_of_identity_is_read() {
    let table = [
        (
            "carnet://86/manufacturer/0001/anna",
            "a person or desk of 86",
        ),
        (
            "carnet://CN/manufacturer/0A01/anna",
            "a person or desk of CN",
        ),
        (
            "carnet://86/customs/port-shanghai/desk-4",
            "a person or desk of 86",
        ),
        (
            "carnet://86/service-provider/0001/w.2",
            "a person or desk of 86",
        ),
        ("carnet://86/owner/0001/anna", "a person or desk of 86"),
        ("carnet://86/owner/wang-li/self", "a person or desk of 86"),
        (
            "carnet://86/node/raft/1/0123456789abcdef0123456789abcdef",
            "a node of 86",
        ),
        (
            "carnet://86/node/federation/18446744073709551615/0123456789abcdef0123456789abcdef/3",
            "a node of 86",
        ),
        ("carnet://86/ca/root", "a certificate authority of 86"),
        ("carnet://86/ca/admin", "a certificate authority of 86"),
        ("carnet://86/passport/2026-1", "a passport key of 86"),
    ];
    for (uri, expected) in table {
        assert_eq!(check(uri), expected, "{uri}");
    }
}

#[test]
fn every_wrong_uri_is_refused_with_its_reason() {
    let long = format!("carnet://86/customs/port/{}", "x".repeat(49));
    let longer = format!("carnet://86/customs/port/{}", "x".repeat(160));
    let table = [
        ("", "the URI does not begin with carnet://"),
        (
            "https://86/node/raft/1",
            "the URI does not begin with carnet://",
        ),
        (
            "CARNET://86/node/raft/1",
            "the URI does not begin with carnet://",
        ),
        (
            "carnet://86",
            "the URI has 1 segments, which fits no kind of identity",
        ),
        (
            "carnet://86/",
            "the URI has 2 segments, which fits no kind of identity",
        ),
        (
            "carnet://86/node/raft",
            "the URI has 3 segments, which fits no kind of identity",
        ),
        (
            "carnet://86/node/raft/1/2/3/4",
            "the URI has 7 segments, which fits no kind of identity",
        ),
        (
            "carnet://86/node/raft/1/0123456789abcdef0123456789abcdef/",
            "the incarnation \"\" is not a whole number from 1 without leading zeros",
        ),
        (
            "carnet://86/node/raft/0/0123456789abcdef0123456789abcdef",
            "the node id \"0\" is not a whole number from 1 without leading zeros",
        ),
        (
            "carnet://86/node/raft/01/0123456789abcdef0123456789abcdef",
            "the node id \"01\" is not a whole number from 1 without leading zeros",
        ),
        (
            "carnet://86/node/raft/+1/0123456789abcdef0123456789abcdef",
            "the node id \"+1\" is not a whole number from 1 without leading zeros",
        ),
        (
            "carnet://86/node/web/1/0123456789abcdef0123456789abcdef",
            "the plane \"web\" does not exist",
        ),
        (
            "carnet://86/node/Raft/1/0123456789abcdef0123456789abcdef",
            "the plane \"Raft\" does not exist",
        ),
        (
            "carnet://86/node/raft/1",
            "the URI has 4 segments, which fits no kind of identity",
        ),
        (
            "carnet://86/node/raft/1/",
            "the cluster \"\" is not 32 lower-case hexadecimal digits, not all zero",
        ),
        (
            "carnet://86/node/raft/1/00000000000000000000000000000000",
            "the cluster \"00000000000000000000000000000000\" is not 32 lower-case hexadecimal digits, not all zero",
        ),
        (
            "carnet://86/node/raft/1/0123456789ABCDEF0123456789ABCDEF",
            "the cluster \"0123456789ABCDEF0123456789ABCDEF\" is not 32 lower-case hexadecimal digits, not all zero",
        ),
        ("carnet://86/ca/web", "the plane \"web\" does not exist"),
        (
            "carnet://86/ca",
            "the URI has 2 segments, which fits no kind of identity",
        ),
        (
            "carnet://86/king/palace/louis",
            "the role \"king\" does not exist for certificates",
        ),
        (
            "carnet://86/Customs/port/desk",
            "the role \"Customs\" does not exist for certificates",
        ),
        (
            "carnet://86/serviceprovider/0001/w",
            "the role \"serviceprovider\" does not exist for certificates",
        ),
        (
            "carnet://86/anonymous/x/y",
            "the role \"anonymous\" does not exist for certificates",
        ),
        (
            "carnet://86/customs/Port/desk",
            "the unit \"Port\" of a customs is not valid: character 1 is 'P', expected one of a-z 0-9 . - (first: a-z 0-9)",
        ),
        (
            "carnet://86/customs/port/-desk",
            "the name \"-desk\" is not valid: character 1 is '-', expected one of a-z 0-9 . - (first: a-z 0-9)",
        ),
        (
            "carnet://86/customs//desk",
            "the unit \"\" of a customs is not valid: it is empty",
        ),
        (
            "carnet://86/customs/port/d%20k",
            "the name \"d%20k\" is not valid: character 2 is '%', expected one of a-z 0-9 . - (first: a-z 0-9)",
        ),
        (
            "carnet://86/passport/",
            "the name \"\" is not valid: it is empty",
        ),
    ];
    for (uri, expected) in table {
        assert_eq!(check(uri), expected, "{uri}");
    }
    assert!(
        check(&long).ends_with("it has 49 bytes, the most is 48"),
        "{}",
        check(&long)
    );
    assert_eq!(check(&longer), "the URI has 185 bytes, the most is 160");
}

#[test]
fn a_prefix_or_enterprise_in_another_form_is_refused() {
    for (uri, expected) in [
        ("carnet://cn/node/raft/1", "the prefix \"cn\" is not valid"),
        ("carnet://8/node/raft/1", "the prefix \"8\" is not valid"),
        (
            "carnet://866/node/raft/1",
            "the prefix \"866\" is not valid",
        ),
        (
            "carnet://CN/manufacturer/0a01/anna",
            "the unit \"0a01\" of a manufacturer is not valid",
        ),
        (
            "carnet://CN/manufacturer/0A011/anna",
            "the unit \"0A011\" of a manufacturer is not valid",
        ),
        (
            "carnet://86/manufacturer/0A01/anna",
            "the unit \"0A01\" of a manufacturer is not valid",
        ),
        (
            "carnet://86/manufacturer/port/anna",
            "the unit \"port\" of a manufacturer is not valid",
        ),
    ] {
        assert!(check(uri).starts_with(expected), "{uri}: {}", check(uri));
    }
}

#[test]
fn the_two_forms_of_a_key_usage_agree() {
    for plane in Plane::ALL {
        let der = plane.eku_der();
        let mut arcs = vec![u64::from(der[0] / 40), u64::from(der[0] % 40)];
        let mut arc = 0;
        for byte in &der[1..] {
            arc = (arc << 7) | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                arcs.push(arc);
                arc = 0;
            }
        }
        assert_eq!(arcs, plane.eku_arcs(), "{plane}");
        assert_eq!(Plane::from_eku_arcs(&arcs), Some(*plane));
    }
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_back_the_same(text in "carnet://(86|CN|8|cn)/(node|ca|passport|customs|owner|manufacturer)(/[a-zA-Z0-9.-]{0,5}){0,4}(/[0-9a-fA-F]{31,33})?(/[0-9]{1,2})?") {
        if let Ok(identity) = text.parse::<Identity>() {
            prop_assert_eq!(identity.to_string(), text);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = text.parse::<Identity>();
        let _ = format!("carnet://{text}").parse::<Identity>();
    }
}
