//! The layers: the real workspace, and wrong edges planted into it.

use carnet_xtask::layers::{Edge, ROOMS, Reach, Workspace, below, check, read};

fn real() -> Workspace {
    read(super::root()).expect("cargo metadata answers")
}

/// Adds one edge to the real workspace and compares what is reported with what was before.
fn check_planted(from: &str, to: &str, reach: Reach, expected: &str) {
    let mut workspace = real();
    let before = check(&workspace);
    workspace.edges.push(Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        reach,
    });
    let reported: Vec<String> = check(&workspace)
        .iter()
        .filter(|finding| !before.contains(finding))
        .map(ToString::to_string)
        .collect();
    let expected: &[&str] = if expected.is_empty() {
        &[]
    } else {
        &[expected]
    };
    assert_eq!(reported, expected);
}

#[test]
fn the_workspace_keeps_its_layers() {
    let workspace = real();
    let findings: Vec<String> = check(&workspace).iter().map(ToString::to_string).collect();
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!(
        workspace.members.len(),
        ROOMS.len(),
        "every member has a room"
    );
    assert!(
        ROOMS.len() < workspace.edges.len(),
        "the dependencies were read"
    );
}

/// How many libraries a user of the SDK compiles, itself included.
const SDK_LIBRARIES_MAX: usize = 149;

/// What a program that links the SDK pays for: libraries of its own kind only, and few of them.
#[test]
fn a_user_of_the_sdk_compiles_fewer_than_150_libraries() {
    let libraries = below(super::root(), "carnet-client").expect("cargo lists the libraries");
    let named = |library: &str| {
        libraries
            .iter()
            .any(|one| one.split(' ').next() == Some(library))
    };
    assert!(named("tonic"), "the libraries were listed");
    for library in [
        "clap",
        "csv",
        "indicatif",
        "toml",
        "tracing-subscriber",
        "rcgen",
        "hdrhistogram",
        "rocksdb",
        "openraft",
    ] {
        assert!(!named(library), "{library} is of another room");
    }
    assert!(
        libraries.len() <= SDK_LIBRARIES_MAX,
        "{} libraries: {libraries:?}",
        libraries.len()
    );
}

#[test]
fn an_import_against_the_layers_is_reported() {
    check_planted(
        "carnet-domain",
        "carnet-store",
        Reach::Product,
        "carnet-domain -> carnet-store: the layers do not allow it",
    );
    check_planted(
        "carnet-client",
        "carnet-consensus",
        Reach::Product,
        "carnet-client -> carnet-consensus: the layers do not allow it",
    );
    check_planted(
        "carnet-cluster",
        "carnetd",
        Reach::Tests,
        "carnet-cluster -> carnetd (tests): the layers do not allow it",
    );
}

#[test]
fn a_heavy_library_outside_its_room_is_reported() {
    check_planted(
        "carnet-store",
        "tonic",
        Reach::Product,
        "carnet-store -> tonic: this library has other rooms",
    );
    check_planted(
        "carnetd",
        "openraft-rt-tokio",
        Reach::Product,
        "carnetd -> openraft-rt-tokio: this library has other rooms",
    );
    check_planted(
        "carnet-peering",
        "clap_derive",
        Reach::Product,
        "carnet-peering -> clap_derive: this library has other rooms",
    );
}

#[test]
fn a_pure_crate_takes_only_what_is_on_its_list() {
    check_planted(
        "carnet-trust",
        "chrono",
        Reach::Product,
        "carnet-trust -> chrono: not on the closed list of a pure crate",
    );
}

#[test]
fn tests_may_use_what_the_product_may_not() {
    check_planted("carnet-trust", "rcgen", Reach::Tests, "");
    check_planted(
        "carnet-consensus",
        "rcgen",
        Reach::Product,
        "carnet-consensus -> rcgen: this library has other rooms",
    );
}

#[test]
fn a_crate_without_a_room_is_reported() {
    let mut workspace = real();
    workspace
        .members
        .insert("carnet-util".to_owned(), "node/util".to_owned());
    workspace
        .members
        .insert("carnet-wire".to_owned(), "node/wire".to_owned());
    let findings: Vec<String> = check(&workspace).iter().map(ToString::to_string).collect();
    assert_eq!(
        findings,
        [
            "carnet-util: no room of this name; add a row to ROOMS",
            "carnet-wire: its folder holds no such crate"
        ]
    );
}
