//! The tidy tree: the real files, and one small text for each fault.

use carnet_xtask::tidy::{LINES_NOTED, Text, check, notes, read};

/// What is reported for one text, as lines.
fn check_text(path: &str, content: &str, expected: &[&str]) {
    let tree = [Text {
        path: path.to_owned(),
        content: content.to_owned(),
    }];
    let reported: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
    assert_eq!(reported, expected);
}

#[test]
fn the_tree_is_tidy() {
    let tree = read(super::root()).expect("git lists the files");
    assert!(
        tree.iter()
            .any(|text| text.path == "deploy/xtask/src/tidy.rs"),
        "the files were read"
    );
    let findings: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
    assert_eq!(findings, Vec::<String>::new());
}

#[test]
fn a_clock_in_a_pure_crate_is_reported() {
    check_text(
        "proto/domain/src/time.rs",
        "//! Time.\nuse std::time::SystemTime;\nlet now = Instant::now();\n",
        &[
            "proto/domain/src/time.rs:2: `SystemTime` in a pure crate",
            "proto/domain/src/time.rs:3: `Instant` in a pure crate",
        ],
    );
    check_text(
        "node/carnetd/src/clock.rs",
        "//! Time.\nuse std::time::Duration;\n",
        &[],
    );
}

#[test]
fn arithmetic_that_hides_an_overflow_says_why_or_is_reported() {
    check_text(
        "proto/domain/src/custody.rs",
        "//! Custody.\nlet next = epoch.saturating_add(1);\nlet before = epoch.wrapping_sub(1);\n",
        &[
            "proto/domain/src/custody.rs:2: `saturating_…` hides an overflow: use `checked_…`, or say why with \
             `// saturates: …`",
            "proto/domain/src/custody.rs:3: `wrapping_…` hides an overflow: use `checked_…`, or say why with \
             `// saturates: …`",
        ],
    );
    check_text(
        "federation/trust/src/lib.rs",
        "//! Trust.\nlet end = at.saturating_add(by); // saturates: a time\n// saturates: a time\nlet end = at.saturating_add(by);\n",
        &[],
    );
    check_text(
        "node/store/src/keys.rs",
        "//! Keys.\nlet next = at.saturating_add(1);\n",
        &[],
    );
}

/// Two binaries of two ages would come to different bytes.
#[test]
fn what_apply_reads_by_the_binary_says_why_or_is_reported() {
    let fault = "read by what the binary knows: use `from_bytes_at` with the registry's level, or say why not with `// level: …`";
    let at = |line| format!("proto/domain/src/machine/time.rs:{line}: {fault}");
    check_text(
        "proto/domain/src/machine/time.rs",
        "//! Time.\nlet a = Statement::from_bytes(bytes);\nlet d = Decoder::new(bytes);\nlet b = Statement::from_bytes_at(bytes, level);\n",
        &[&at(2), &at(3)],
    );
    check_text(
        "proto/domain/src/custody/trail.rs",
        "//! Trail.\n// level: a leaf of our own.\nlet leaf = Leaf::from_bytes(bytes);\n#[cfg(test)]\nmod tests {\nlet a = Leaf::from_bytes(bytes);\n}\n",
        &[],
    );
    check_text(
        "node/store/src/records.rs",
        "//! Records.\nlet a = Registry::from_bytes(bytes);\n",
        &[],
    );
}

#[test]
fn a_word_in_a_comment_a_literal_or_a_longer_word_is_no_use() {
    check_text(
        "federation/trust/src/lib.rs",
        "//! No HashMap.\nlet operand = \"tokio\"; // rand\nlet rand_count = InstantOf;\n",
        &[],
    );
}

#[test]
fn tests_of_a_pure_crate_may_use_a_hash_map() {
    check_text(
        "proto/domain/src/map.rs",
        "//! Map.\n#[cfg(test)]\nmod tests {\n    use std::collections::HashMap;\n}\nuse std::collections::HashSet;\n",
        &["proto/domain/src/map.rs:6: `HashSet` in a pure crate"],
    );
    check_text(
        "proto/domain/tests/it/main.rs",
        "//! T.\nuse std::collections::HashMap;\n",
        &[],
    );
}

#[test]
fn a_message_of_the_wire_inside_of_the_edges_is_reported() {
    let naming = "//! N.\nuse carnet_wire::limits;\nuse carnet_wire::registry::v1 as pb;\nuse carnet_wire::{convert, admin};\n";
    check_text(
        "node/carnetd/src/node.rs",
        naming,
        &[
            "node/carnetd/src/node.rs:3: `carnet_wire::registry` inside of the edges: parse it there, and pass a domain type",
            "node/carnetd/src/node.rs:4: `carnet_wire::admin` inside of the edges: parse it there, and pass a domain type",
        ],
    );
    check_text("node/carnetd/src/edge/grpc/admin.rs", naming, &[]);
    check_text(
        "node/carnetd/src/reader.rs",
        "//! R.\n#[cfg(test)]\nmod tests {\n    use carnet_wire::registry::v1 as pb;\n}\n",
        &[],
    );
}

#[test]
fn a_use_case_that_knows_its_transport_is_reported() {
    let naming = "//! S.\nuse tonic::Status;\n";
    check_text(
        "node/carnetd/src/service/records.rs",
        naming,
        &[
            "node/carnetd/src/service/records.rs:2: `tonic` in a use case, which any transport may call",
        ],
    );
    check_text("node/carnetd/src/gateway.rs", naming, &[]);
    let of_an_edge = "//! S.\nuse crate::edge::{Door, methods};\nuse crate::share::Holder;\n";
    check_text(
        "node/carnetd/src/service.rs",
        of_an_edge,
        &[
            "node/carnetd/src/service.rs:2: `crate::edge` in a use case, which any transport may call",
        ],
    );
}

#[test]
fn a_library_that_speaks_of_a_program_is_reported() {
    let speaking = "//! L.\n// See `carnet help`.\nfn f() -> &'static str { \"Look (carnet cluster status).\" }\n\
                    fn g() -> &'static str { \"Say why (--reason).\" }\nfn h() -> &'static str { \"carnet-kit/\" }\n\
                    #[cfg(test)]\nmod tests {\n    fn t() -> &'static str { \"carnet help\" }\n}\n";
    let why =
        "in a library: say what is to be done; its command stands in `client/cli/src/exit.rs`";
    check_text(
        "proto/wire/src/status.rs",
        speaking,
        &[
            &format!("proto/wire/src/status.rs:3: `carnet` {why}"),
            &format!("proto/wire/src/status.rs:4: `--reason` {why}"),
        ],
    );
    check_text("client/cli/src/exit.rs", speaking, &[]);
}

#[test]
fn a_message_that_says_is_no_is_reported() {
    let saying = "//! M.\n// It is no word.\nfn f(n: u8) -> String { format!(\"{n} is no node\") }\n\
                  fn g() -> &'static str { \"there is no node\" }\n\
                  #[cfg(test)]\nmod tests {\n    fn t() -> &'static str { \"it is no node\" }\n}\n";
    check_text(
        "client/cli/src/nodes.rs",
        saying,
        &["client/cli/src/nodes.rs:3: `is no …` in a message: write `is not a …`, and what to do"],
    );
}

#[test]
fn unfinished_work_is_reported() {
    check_text(
        "client/src/lib.rs",
        "//! C.\nfn f() { todo!() }\n#[test]\n#[ignore = \"slow\"]\nfn g() {}\n",
        &[
            "client/src/lib.rs:2: `todo!`: finish it or leave it out",
            "client/src/lib.rs:4: `#[ignore`: finish it or leave it out",
        ],
    );
}

#[test]
fn a_sleeping_test_is_reported() {
    let sleeping = "//! T.\nfn f() { std::thread::sleep(pause); }\n";
    check_text(
        "node/store/tests/it/main.rs",
        sleeping,
        &["node/store/tests/it/main.rs:2: `thread::sleep` in a test: wait for the thing itself"],
    );
    check_text("node/store/src/lib.rs", sleeping, &[]);
    check_text("jepsen-like-tests/cluster/tests/it/main.rs", sleeping, &[]);
    let stopped = "//! T.\n#[tokio::test(start_paused = true)]\nasync fn f() { tokio::time::sleep(pause).await; }\n";
    check_text("federation/peering/tests/it/asking.rs", stopped, &[]);
}

#[test]
fn a_source_without_its_purpose_is_reported() {
    check_text(
        "client/build.rs",
        "fn main() {}\n",
        &["client/build.rs:1: a source begins with `//!`: what is this room for?"],
    );
}

#[test]
fn a_manifest_without_the_lints_is_reported() {
    check_text(
        "client/Cargo.toml",
        "[package]\nname = \"x\"\n",
        &["client/Cargo.toml:1: a manifest says `[lints] workspace = true`"],
    );
    check_text(
        "client/Cargo.toml",
        "[package]\n[lints]\nworkspace = true\n",
        &[],
    );
}

#[test]
fn a_place_of_one_machine_is_reported() {
    let place = concat!("/ho", "me/");
    check_text(
        "README.md",
        &format!("see {place}me\nand https://example.org{place}x\n"),
        &[&format!(
            "README.md:1: `{place}` belongs to one machine or registry"
        )],
    );
}

#[test]
fn a_long_source_is_a_note() {
    let content = "//! L.\n".repeat(LINES_NOTED + 1);
    let tree = [Text {
        path: "client/src/lib.rs".to_owned(),
        content,
    }];
    assert_eq!(notes(&tree), ["client/src/lib.rs has 601 lines"]);
    assert!(check(&tree).is_empty(), "a note is no finding");
}

#[test]
fn a_limit_that_nothing_tries_is_reported() {
    let text = |path: &str, content: &str| Text {
        path: path.to_owned(),
        content: content.to_owned(),
    };
    let tree = [
        text(
            "proto/domain/src/limits.rs",
            "//! L.\npub const A_MAX: u64 = 1;\npub const B_MAX: u64 = 2;\npub const C_MAX: u64 = 3;\n",
        ),
        // To ship it, to import it or to speak of it is not to try it.
        text(
            "proto/domain/src/lib.rs",
            "//! D.\nfn f() -> u64 { A_MAX + B_MAX + C_MAX }\n",
        ),
        text(
            "proto/domain/tests/it/main.rs",
            "//! T.\nuse d::{\n    A_MAX, C_MAX,\n};\n// C_MAX\nfn t() { tries(A_MAX); }\n",
        ),
        text(
            "jepsen-like-tests/hostile/src/lib.rs",
            "//! H.\nconst ALL: &[u64] = &[B_MAX];\n",
        ),
    ];
    let reported: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
    let expected = "proto/domain/src/limits.rs:4: `C_MAX`: no test and no attack names it";
    assert_eq!(reported, [expected]);
}

#[test]
fn a_limit_that_governs_nothing_or_stands_twice_is_reported() {
    let text = |path: &str, content: &str| Text {
        path: path.to_owned(),
        content: content.to_owned(),
    };
    let tree = [
        text(
            "proto/wire/src/limits.rs",
            "//! L.\npub const A_MAX: u64 = 1;\npub const B_MAX: u64 = 2;\npub const C_MAX: u64 = 3;\n\
             const _: () =\n    assert!(B_MAX < C_MAX);\n",
        ),
        text(
            "node/carnetd/src/node.rs",
            "//! N.\nuse carnet_wire::limits::{A_MAX, B_MAX};\nfn f() -> u64 { A_MAX }\npub(crate) const C_MAX: u64 = 4;\nfn g() -> u64 { C_MAX }\n",
        ),
        // What only a test uses governs nothing, and a test may have numbers of its own.
        text(
            "jepsen-like-tests/sim/src/lib.rs",
            "//! S.\nconst A_MAX: u64 = 9;\nfn f() -> u64 { B_MAX }\n",
        ),
    ];
    let reported: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
    let expected = [
        "proto/wire/src/limits.rs:3: `B_MAX`: a limit that governs nothing",
        "node/carnetd/src/node.rs:4: `C_MAX` stands in proto/wire/src/limits.rs:4 already: use it, or give this another name",
    ];
    assert_eq!(reported, expected);
}

#[test]
fn a_bound_among_the_rules_is_reported() {
    let bounded = "//! R.\npub(super) const NAMES_MAX: usize = 3;\nconst FANOUT: usize = 16;\nconst DEPTH_MAX: u32 = 24;\n\
                   #[cfg(test)]\nmod tests {\n    const TRIED_MAX: usize = 3;\n}\n";
    check_text(
        "proto/domain/src/rules/names.rs",
        bounded,
        &[
            "proto/domain/src/rules/names.rs:2: `NAMES_MAX`: a bound stands in proto/domain/src/limits.rs",
        ],
    );
    check_text("federation/trust/src/names.rs", bounded, &[]);
}

/// Whatever the room, whoever may see it, and whatever unit stands behind it.
#[test]
fn a_bound_that_stands_twice_is_reported() {
    let text = |path: &str, content: &str| Text {
        path: path.to_owned(),
        content: content.to_owned(),
    };
    let tree = [
        text(
            "client/sdk/src/bulk.rs",
            "//! B.\nconst TRIED_MAX: u32 = 3;\nconst ROOTS: u32 = 3;\nconst TRIP_MAX: u64 = 1;\n",
        ),
        text(
            "client/sdk/src/submit.rs",
            "//! S.\npub(super) const TRIED_MAX: u32 = 4;\nconst ROOTS: u32 = 4;\npub const TRIP_MAX_MS: u64 = 1;\n\
             impl S {\n    pub const TRIED_MIN: u32 = 1;\n}\n#[cfg(test)]\nmod tests {\n    const TRIED_MIN: u32 = 2;\n}\n",
        ),
        text(
            "jepsen-like-tests/sim/src/lib.rs",
            "//! S.\nconst TRIED_MAX: u64 = 9;\n",
        ),
    ];
    let reported: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
    let expected = [
        "client/sdk/src/submit.rs:2: `TRIED_MAX` stands in client/sdk/src/bulk.rs:2 already: use it, or give this another name",
        "client/sdk/src/submit.rs:4: `TRIP_MAX_MS` stands in client/sdk/src/bulk.rs:4 already: use it, or give this another name",
    ];
    assert_eq!(reported, expected);
}
