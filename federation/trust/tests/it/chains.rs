//! Chains in, verified holders or reasons out.

use std::collections::BTreeSet;

use carnet_domain::bytes::time::TimeMs;
use carnet_trust::chain::{verify_client, verify_node, verify_passport_chain, verify_peer};
use carnet_trust::identity::{ClusterId, NodeId, Plane};
use carnet_trust::roots::{Fingerprint, PinnedRoots};
use rcgen::{
    BasicConstraints, ExtendedKeyUsagePurpose, IsCa, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
};
use rustls_pki_types::CertificateDer;

use crate::forge::{CLUSTER, Country, NOW, Sketch, node_uri, passport_usage, pinned, usage};

const DESK: &str = "carnet://86/customs/port-shanghai/desk-4";
const NODE: &str = "carnet://86/node/raft/1/0123456789abcdef0123456789abcdef";

fn client_at(country: &Country, chain: &[CertificateDer<'_>], at: TimeMs) -> String {
    match verify_client(chain, &country.pinned(), country.prefix, Plane::Client, at) {
        Ok(client) => format!("ok {}", client.name()),
        Err(error) => error.to_string(),
    }
}

fn client(country: &Country, chain: &[CertificateDer<'_>]) -> String {
    client_at(country, chain, NOW)
}

fn node(country: &Country, chain: &[CertificateDer<'_>]) -> String {
    match verify_node(chain, &country.pinned(), country.prefix, Plane::Raft, NOW) {
        Ok(node) => format!("ok {}", node.name()),
        Err(error) => error.to_string(),
    }
}

fn peer(roots: &PinnedRoots, chain: &[CertificateDer<'_>]) -> String {
    match verify_peer(chain, roots, NOW) {
        Ok(peer) => format!("ok {}", peer.name()),
        Err(error) => error.to_string(),
    }
}

/// A desk's certificate with something changed, issued by the client authority of 86.
fn desk(change: impl FnOnce(&mut Sketch)) -> String {
    let country = Country::new("86");
    let mut sketch = Sketch::leaf(DESK, Plane::Client);
    change(&mut sketch);
    client(&country, &country.issue(Plane::Client, &sketch).1)
}

#[test]
fn good_chains_are_believed() {
    let country = Country::new("86");
    let (_, chain) = country.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    assert_eq!(client(&country, &chain), format!("ok {DESK}"));
    let with_root: Vec<_> = chain
        .into_iter()
        .chain([country.root.der.clone()])
        .collect();
    assert_eq!(client(&country, &with_root), format!("ok {DESK}"));
    let mut sketch = Sketch::leaf(NODE, Plane::Raft);
    sketch.hosts.push("node-1.example".to_owned());
    sketch.usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    let (_, chain) = country.issue(Plane::Raft, &sketch);
    assert_eq!(node(&country, &chain), format!("ok {NODE}"));
}

#[test]
fn a_peer_is_of_the_country_whose_root_its_chain_ends_in() {
    let (ours, theirs) = (Country::new("86"), Country::new("49"));
    let roots = pinned(&[&ours, &theirs]);
    let uri = &node_uri(49, Plane::Federation, 2);
    let (_, chain) = theirs.issue(Plane::Federation, &Sketch::leaf(uri, Plane::Federation));
    assert_eq!(peer(&roots, &chain), format!("ok {uri}"));
    assert_eq!(
        peer(&ours.pinned(), &chain),
        "the certificate presented: the chain ends in no pinned root of 86"
    );
    assert_eq!(
        peer(&PinnedRoots::new(), &chain),
        "the certificate presented: the chain ends in no pinned root of anybody (none is pinned)"
    );
}

#[test]
fn a_country_cannot_speak_for_another() {
    let (ours, theirs) = (Country::new("86"), Country::new("49"));
    let roots = pinned(&[&ours, &theirs]);
    let sketch = Sketch::leaf(&node_uri(86, Plane::Federation, 1), Plane::Federation);
    let (_, chain) = theirs.issue(Plane::Federation, &sketch);
    assert_eq!(
        peer(&roots, &chain),
        "the authority of 49: it names jurisdiction 86, but the chain ends in the root of 49"
    );
}

#[test]
fn a_pinned_peer_is_no_client_and_no_node_of_ours() {
    let (ours, theirs) = (Country::new("86"), Country::new("49"));
    let roots = pinned(&[&ours, &theirs]);
    let sketch = Sketch::leaf("carnet://49/customs/hamburg/desk-1", Plane::Client);
    let (_, chain) = theirs.issue(Plane::Client, &sketch);
    let error =
        verify_client(&chain, &roots, ours.prefix, Plane::Client, NOW).expect_err("foreign");
    assert_eq!(
        error.to_string(),
        "the certificate presented: the chain ends in no pinned root of 86"
    );
    let (_, chain) = theirs.issue(
        Plane::Raft,
        &Sketch::leaf(&node_uri(49, Plane::Raft, 1), Plane::Raft),
    );
    let error = verify_node(&chain, &roots, ours.prefix, Plane::Raft, NOW).expect_err("foreign");
    assert_eq!(
        error.to_string(),
        "the certificate presented: the chain ends in no pinned root of 86"
    );
}

#[test]
fn an_expired_certificate_is_refused() {
    assert_eq!(
        desk(|sketch| sketch.until = (2026, 5, 1)),
        "the certificate presented: expired at 2026-05-01T00:00:00.000Z, now 2026-06-01T00:00:00.000Z"
    );
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    assert_eq!(
        desk(|sketch| sketch.from = (2026, 7, 1)),
        "the certificate presented: not valid before 2026-07-01T00:00:00.000Z, now 2026-06-01T00:00:00.000Z"
    );
}

#[test]
fn an_expired_authority_and_an_expired_root_are_refused() {
    let country = Country::new("86");
    let (_, chain) = country.issue(
        Plane::Client,
        &Sketch {
            until: (2050, 1, 1),
            ..Sketch::leaf(DESK, Plane::Client)
        },
    );
    let at = |year| {
        client_at(
            &country,
            &chain,
            TimeMs::of_date(year, 6, 1).expect("a date"),
        )
    };
    assert_eq!(
        at(2028),
        "the certificate presented: expired at 2027-01-01T00:00:00.000Z, now 2028-06-01T00:00:00.000Z"
    );
    let long = Sketch {
        until: (2050, 1, 1),
        ..Sketch::authority("carnet://86/ca/client", vec![usage(Plane::Client)], 0)
    }
    .by(&country.root);
    let leaf = Sketch {
        until: (2050, 1, 1),
        ..Sketch::leaf(DESK, Plane::Client)
    }
    .by(&long);
    let error = client_at(
        &country,
        &leaf.under(&[&long]),
        TimeMs::of_date(2040, 1, 1).expect("a date"),
    );
    assert_eq!(
        error,
        "the pinned root of 86: expired at 2036-01-01T00:00:00.000Z, now 2040-01-01T00:00:00.000Z"
    );
}

#[test]
fn a_certificate_of_one_plane_is_refused_on_every_other() {
    let country = Country::new("86");
    for plane in Plane::ALL.iter().filter(|plane| **plane != Plane::Client) {
        let (_, chain) = country.issue(*plane, &Sketch::leaf(DESK, *plane));
        assert_eq!(
            client(&country, &chain),
            format!(
                "the certificate presented: it is for the {plane} plane, expected the client plane"
            )
        );
    }
}

#[test]
fn the_authority_of_one_plane_cannot_issue_for_another() {
    let country = Country::new("86");
    let leaf = Sketch::leaf(DESK, Plane::Client).by(country.authority(Plane::Raft));
    assert_eq!(
        client(&country, &leaf.under(&[country.authority(Plane::Raft)])),
        "the certificate presented: it is for the raft plane, expected the client plane"
    );
}

#[test]
fn a_certificate_without_key_usage_is_refused() {
    assert_eq!(
        desk(|sketch| sketch.usages.clear()),
        "the certificate presented: it is for nothing, expected the client plane"
    );
    assert_eq!(
        desk(|sketch| sketch.usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
        "the certificate presented: it is for no purpose of Carnet, expected the client plane"
    );
}

#[test]
fn a_certificate_for_several_planes_is_refused() {
    let several = "the authority of 86: it is for several purposes, expected exactly one";
    assert_eq!(
        desk(|sketch| sketch.usages.push(usage(Plane::Admin))),
        several
    );
    assert_eq!(desk(|sketch| sketch.usages.push(passport_usage())), several);
    assert_eq!(
        desk(|sketch| sketch.usages.push(ExtendedKeyUsagePurpose::Any)),
        several
    );
}

#[test]
fn an_authority_for_several_planes_is_refused() {
    let country = Country::new("86");
    let usages = vec![usage(Plane::Client), usage(Plane::Raft)];
    let both = Sketch::authority("carnet://86/ca/client", usages, 0).by(&country.root);
    let leaf = Sketch::leaf(DESK, Plane::Client).by(&both);
    assert_eq!(
        client(&country, &leaf.under(&[&both])),
        "the authority of 86: it is for several purposes, expected exactly one"
    );
}

#[test]
fn an_authority_with_another_name_is_refused() {
    let country = Country::new("86");
    let named = |uri: &str| {
        let authority = Sketch::authority(uri, vec![usage(Plane::Client)], 0).by(&country.root);
        let leaf = Sketch::leaf(DESK, Plane::Client).by(&authority);
        client(&country, &leaf.under(&[&authority]))
    };
    assert_eq!(
        named("carnet://86/ca/raft"),
        "the authority of 86: it is of carnet://86/ca/raft, expected the authority of the plane"
    );
    assert_eq!(
        named("carnet://86/ca/root"),
        "the authority of 86: it is of carnet://86/ca/root, expected the authority of the plane"
    );
    assert_eq!(
        named("carnet://49/ca/client"),
        "the authority of 86: it names jurisdiction 49, but the chain ends in the root of 86"
    );
    assert_eq!(
        named(DESK),
        format!("the authority of 86: it is of {DESK}, expected the authority of the plane")
    );
}

#[test]
fn a_self_signed_certificate_is_refused() {
    let country = Country::new("86");
    let alone = Sketch::leaf(DESK, Plane::Client).alone();
    assert_eq!(
        client(&country, &alone.under(&[])),
        "the certificate presented: the chain ends in no pinned root of 86"
    );
    let named_like_the_root = Sketch {
        common_name: "carnet://86/ca/root".to_owned(),
        ..Sketch::leaf(DESK, Plane::Client)
    }
    .alone();
    assert_eq!(
        client(&country, &named_like_the_root.under(&[])),
        "the certificate presented: a signature in the chain does not verify"
    );
}

#[test]
fn a_leaf_issued_by_the_root_itself_is_refused() {
    let country = Country::new("86");
    let leaf = Sketch::leaf(DESK, Plane::Client).by(&country.root);
    assert_eq!(
        client(&country, &leaf.under(&[])),
        "the authority of 86: 0 authorities stand between the certificate and the root, expected 1"
    );
}

#[test]
fn an_authority_is_no_leaf_and_a_leaf_no_authority() {
    let country = Country::new("86");
    let authority = country.authority(Plane::Client);
    assert_eq!(
        client(&country, &authority.under(&[])),
        "the certificate presented: it is the certificate of an authority, expected that of a holder"
    );
    assert_eq!(
        desk(|sketch| sketch.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        "the certificate presented: it is the certificate of an authority, expected that of a holder"
    );
    let first = Sketch::leaf(DESK, Plane::Client).by(authority);
    let second = Sketch::leaf("carnet://86/customs/port/thief", Plane::Client).by(&first);
    assert_eq!(
        client(&country, &second.under(&[&first, authority])),
        "the certificate presented: it was issued with a certificate that is not an authority's"
    );
}

#[test]
fn a_chain_that_is_too_long_is_refused() {
    let country = Country::new("86");
    let authority = country.authority(Plane::Client);
    let below = Sketch::authority("carnet://86/ca/client", vec![usage(Plane::Client)], 0);
    let below = Sketch {
        common_name: "below".to_owned(),
        ..below
    }
    .by(authority);
    let leaf = Sketch::leaf(DESK, Plane::Client).by(&below);
    assert_eq!(
        client(&country, &leaf.under(&[&below, authority])),
        "the certificate presented: there are more authorities in the chain than allowed"
    );
    assert_eq!(
        client(&country, &leaf.under(&[&below, authority, &country.root])),
        "the certificate presented: 4 certificates were presented, the most is 3"
    );
    let long = Sketch::authority("carnet://86/ca/client", vec![usage(Plane::Client)], 3);
    let long = Sketch {
        common_name: "long".to_owned(),
        ..long
    }
    .by(&country.root);
    let below = Sketch {
        common_name: "below".to_owned(),
        ..Sketch::authority("carnet://86/ca/client", vec![usage(Plane::Client)], 0)
    };
    let below = below.by(&long);
    let leaf = Sketch::leaf(DESK, Plane::Client).by(&below);
    assert_eq!(
        client(&country, &leaf.under(&[&below, &long])),
        "the authority of 86: 2 authorities stand between the certificate and the root, expected 1"
    );
}

#[test]
fn an_empty_chain_and_an_oversized_certificate_are_refused() {
    let country = Country::new("86");
    assert_eq!(
        client(&country, &[]),
        "the certificate presented: no certificate was presented"
    );
    let said =
        desk(|sketch| sketch.hosts = (0..400).map(|n| format!("host-{n}.example")).collect());
    // Numbers in a certificate have no fixed length: a serial or a signature that begins with zeros is shorter.
    let size = said
        .strip_prefix("the certificate presented: a certificate has ")
        .and_then(|rest| rest.strip_suffix(" bytes, the most is 4096"))
        .and_then(|size| size.parse::<usize>().ok());
    assert!(size.is_some_and(|size| size > 4096), "{said}");
}

#[test]
fn a_missing_authority_is_refused() {
    let country = Country::new("86");
    let leaf = Sketch::leaf(DESK, Plane::Client).by(country.authority(Plane::Client));
    assert_eq!(
        client(&country, &leaf.under(&[])),
        "the certificate presented: the chain ends in no pinned root of 86"
    );
}

#[test]
fn any_flipped_bit_is_refused() {
    let country = Country::new("86");
    let (_, chain) = country.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    for which in 0..2 {
        for at in 0..chain[which].len() {
            let mut wrong = chain.clone();
            let mut bytes = wrong[which].to_vec();
            bytes[at] ^= 1;
            wrong[which] = bytes.into();
            let answer = client(&country, &wrong);
            assert!(
                answer.starts_with("the certificate presented: "),
                "{which} {at}: {answer}"
            );
        }
    }
    let mut wrong = chain;
    let mut bytes = wrong[0].to_vec();
    *bytes.last_mut().expect("not empty") ^= 1;
    wrong[0] = bytes.into();
    assert_eq!(
        client(&country, &wrong),
        "the certificate presented: a signature in the chain does not verify"
    );
}

#[test]
fn any_cut_is_refused() {
    let country = Country::new("86");
    let (_, chain) = country.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    for end in 0..chain[0].len() {
        let cut = CertificateDer::from(chain[0][..end].to_vec());
        let answer = client(&country, &[cut, chain[1].clone()]);
        assert!(
            answer.starts_with("the certificate presented: malformed: "),
            "{end}: {answer}"
        );
    }
}

/// Browsers and BoringSSL offer no Ed25519: on the client plane, and there alone, a key may be one of P-256, of who is certified and of
/// the authority.
#[test]
fn a_p256_key_is_taken_on_the_client_plane_alone() {
    assert_eq!(
        desk(|sketch| sketch.algorithm = &PKCS_ECDSA_P256_SHA256),
        format!("ok {DESK}")
    );
    let country = Country::new("86");
    let authority = |plane: Plane, algorithm| {
        let name = format!("carnet://86/ca/{plane}");
        let sketch = Sketch::authority(&name, vec![usage(plane)], 0);
        Sketch {
            algorithm,
            ..sketch
        }
        .by(&country.root)
    };
    let clients = authority(Plane::Client, &PKCS_ECDSA_P256_SHA256);
    let leaf = Sketch::leaf(DESK, Plane::Client).by(&clients);
    assert_eq!(
        client(&country, &leaf.under(&[&clients])),
        format!("ok {DESK}")
    );
    let nodes = authority(Plane::Raft, &PKCS_ECDSA_P256_SHA256);
    let leaf = Sketch::leaf(NODE, Plane::Raft).by(&nodes);
    assert_eq!(
        node(&country, &leaf.under(&[&nodes])),
        "the certificate presented: a signature in the chain is not Ed25519, nor, on the client plane, ECDSA P-256 with SHA-256"
    );
    let mut sketch = Sketch::leaf(NODE, Plane::Raft);
    sketch.algorithm = &PKCS_ECDSA_P256_SHA256;
    assert_eq!(
        node(&country, &country.issue(Plane::Raft, &sketch).1),
        "the authority of 86: malformed: its key is not an Ed25519 key"
    );
    // Another curve is none of them.
    assert_eq!(
        desk(|sketch| sketch.algorithm = &PKCS_ECDSA_P384_SHA384),
        "the authority of 86: malformed: its key is on another curve than P-256"
    );
}

#[test]
fn a_certificate_must_have_exactly_one_name() {
    assert_eq!(
        desk(|sketch| sketch.uris.clear()),
        "the authority of 86: it names nobody: there is no URI in the subject alternative name"
    );
    assert_eq!(
        desk(|sketch| sketch.uris.push("carnet://86/admin/ops/anna".to_owned())),
        "the authority of 86: it has 2 URIs in the subject alternative name, expected one"
    );
    assert_eq!(
        desk(|sketch| sketch.mails.push("anna@example.org".to_owned())),
        "the authority of 86: it has 1 names beside the URI that its holder must not have"
    );
    assert_eq!(
        desk(|sketch| sketch.hosts.push("example.org".to_owned())),
        "the authority of 86: it has 1 names beside the URI that its holder must not have"
    );
}

#[test]
fn a_name_outside_the_grammar_is_refused() {
    let named = |uri: &str| desk(|sketch| sketch.uris = vec![uri.to_owned()]);
    assert_eq!(
        named("carnet://86/king/palace/louis"),
        "the authority of 86: the name \"carnet://86/king/palace/louis\" is not an identity: \
         the role \"king\" does not exist for certificates"
    );
    assert_eq!(
        named("CARNET://86/customs/port/desk"),
        "the authority of 86: the name \"CARNET://86/customs/port/desk\" is not an identity: \
         the URI does not begin with carnet://"
    );
    assert_eq!(
        named("carnet://49/customs/hamburg/desk-1"),
        "the authority of 86: it names jurisdiction 49, but the chain ends in the root of 86"
    );
    assert!(named("carnet://8/customs/port/desk").contains("the prefix \"8\" is not valid"));
}

#[test]
fn a_lower_case_prefix_is_refused() {
    let country = Country::new("CN");
    let sketch = Sketch::leaf("carnet://cn/customs/port/desk", Plane::Client);
    let answer = client(&country, &country.issue(Plane::Client, &sketch).1);
    assert!(
        answer.contains("the prefix \"cn\" is not valid"),
        "{answer}"
    );
}

#[test]
fn a_node_is_no_client_and_a_client_no_node() {
    let country = Country::new("86");
    let uri = node_uri(86, Plane::Client, 1);
    let sketch = Sketch::leaf(&uri, Plane::Client);
    assert_eq!(
        client(&country, &country.issue(Plane::Client, &sketch).1),
        format!("the certificate presented: it is of a node ({uri}), expected a person or desk")
    );
    let (_, chain) = country.issue(Plane::Raft, &Sketch::leaf(DESK, Plane::Raft));
    assert_eq!(
        node(&country, &chain),
        format!("the certificate presented: it is of a person or desk ({DESK}), expected a node")
    );
}

#[test]
fn the_plane_in_a_nodes_name_must_be_that_of_its_key_usage() {
    let country = Country::new("86");
    let sketch = Sketch::leaf(&node_uri(86, Plane::Client, 1), Plane::Raft);
    assert_eq!(
        node(&country, &country.issue(Plane::Raft, &sketch).1),
        "the authority of 86: it is for the client plane, expected the raft plane"
    );
}

#[test]
fn another_node_than_the_one_meant_is_refused() {
    let country = Country::new("86");
    let (_, chain) = country.issue(Plane::Raft, &Sketch::leaf(NODE, Plane::Raft));
    let found = || {
        verify_node(&chain, &country.pinned(), country.prefix, Plane::Raft, NOW).expect("a node")
    };
    let id = |id| NodeId::new(id).expect("not zero");
    assert!(found().expect(id(1)).is_ok());
    let error = found().expect(id(2)).expect_err("another node");
    assert_eq!(
        error.to_string(),
        "the certificate presented: it is of node 1, expected node 2"
    );
}

#[test]
fn a_node_of_another_cluster_or_life_is_refused() {
    let country = Country::new("86");
    let judged = |uri: &str, cluster: &str, incarnation| {
        let (_, chain) = country.issue(Plane::Raft, &Sketch::leaf(uri, Plane::Raft));
        let found = verify_node(&chain, &country.pinned(), country.prefix, Plane::Raft, NOW);
        let cluster: ClusterId = cluster.parse().expect("a cluster");
        match found.and_then(|found| found.expect_cluster(cluster, incarnation)) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    };
    let other = "00000000000000000000000000000001";
    assert_eq!(judged(NODE, CLUSTER, 0), "ok");
    assert_eq!(
        judged(NODE, other, 0),
        format!("the certificate presented: it is of cluster {CLUSTER}, expected cluster {other}")
    );
    assert_eq!(
        judged(NODE, CLUSTER, 1),
        "the certificate presented: it is of incarnation 0, expected incarnation 1"
    );
    let restored = format!("{NODE}/1");
    assert_eq!(judged(&restored, CLUSTER, 1), "ok");
    assert_eq!(
        judged(&restored, CLUSTER, 0),
        "the certificate presented: it is of incarnation 1, expected incarnation 0"
    );
}

#[test]
fn an_authority_that_the_roots_do_not_list_is_refused() {
    let country = Country::new("86");
    let (_, chain) = country.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    let mut roots = country.pinned();
    roots.limit_authorities(country.prefix, BTreeSet::from([Fingerprint::of(&chain[1])]));
    assert!(verify_client(&chain, &roots, country.prefix, Plane::Client, NOW).is_ok());
    roots.limit_authorities(country.prefix, BTreeSet::from([Fingerprint::of(&chain[0])]));
    let error =
        verify_client(&chain, &roots, country.prefix, Plane::Client, NOW).expect_err("unlisted");
    assert!(
        error.to_string().starts_with(
            "the authority of 86: it was issued by an authority that its roots do not list"
        ),
        "{error}"
    );
}

fn passport(country: &Country, chain: &[CertificateDer<'_>]) -> String {
    match verify_passport_chain(chain, &country.pinned(), country.prefix, NOW) {
        Ok(verified) => format!("ok {}", verified.prefix()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_passport_key_is_issued_by_the_root_for_passports_only() {
    let country = Country::new("86");
    let sketch = Sketch::new("carnet://86/passport/2026-1", vec![passport_usage()]);
    let held = sketch.by(&country.root);
    assert_eq!(passport(&country, &held.under(&[])), "ok 86");
    assert_eq!(passport(&country, &held.under(&[&country.root])), "ok 86");
    let verified = verify_passport_chain(&held.under(&[]), &country.pinned(), country.prefix, NOW)
        .expect("a key");
    assert_eq!(
        verified.key().as_bytes().as_slice(),
        held.key.public_key_raw()
    );

    let (_, chain) = country.issue(Plane::Client, &Sketch::leaf(DESK, Plane::Client));
    assert_eq!(
        passport(&country, &chain),
        "the certificate presented: it is for the client plane, expected passports"
    );
    let named = |uri: &str| {
        passport(
            &country,
            &Sketch::new(uri, vec![passport_usage()])
                .by(&country.root)
                .under(&[]),
        )
    };
    assert_eq!(
        named(DESK),
        format!(
            "the certificate presented: it is of a person or desk ({DESK}), expected a passport key"
        )
    );
    assert_eq!(
        named("carnet://49/passport/2026-1"),
        "the authority of 86: it names jurisdiction 49, but the chain ends in the root of 86"
    );
    let both = Sketch {
        usages: vec![passport_usage(), usage(Plane::Client)],
        ..sketch.clone()
    };
    assert_eq!(
        passport(&country, &both.by(&country.root).under(&[])),
        "the authority of 86: it is for several purposes, expected exactly one"
    );
    let old = Sketch {
        until: (2026, 3, 1),
        ..sketch.clone()
    };
    assert!(
        passport(&country, &old.by(&country.root).under(&[])).contains("expired at 2026-03-01")
    );
    let between =
        Sketch::authority("carnet://86/ca/client", vec![passport_usage()], 0).by(&country.root);
    assert_eq!(
        passport(&country, &sketch.by(&between).under(&[&between])),
        "the authority of 86: 1 authorities stand between the certificate and the root, expected 0"
    );
}
