//! Which files are taken, which refused, and in what words.

use super::*;

const LEAST: &str = r#"
[node]
prefix = "86"
id = 1
data_dir = "data"
pki_dir = "/etc/carnet/pki"

[listen]
raft = "10.0.0.1:7101"
client = "10.0.0.1:7102"
admin = "127.0.0.1:7103"
federation = "10.0.0.1:7104"
"#;

const FILE: &str = "/etc/carnet/node.toml";

/// Replaces a line of the least file, or adds lines after it when `old` is empty, and says what became of it.
fn check(old: &str, new: &str, expected: &str) {
    let text = if old.is_empty() {
        format!("{LEAST}{new}\n")
    } else {
        assert!(LEAST.contains(old), "the test's own line: {old}");
        LEAST.replace(old, new)
    };
    let found = match Config::parse(&text, Path::new(FILE)) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    };
    let found = found
        .strip_prefix("/etc/carnet/node.toml: ")
        .unwrap_or(&found);
    assert_eq!(found.trim_end(), expected);
}

#[test]
fn the_least_file_is_taken() {
    check("", "", "taken");
}

#[test]
fn what_is_dumped_is_taken_again_unchanged() {
    let config = Config::parse(LEAST, Path::new(FILE)).expect("a configuration");
    let again = Config::parse(&config.dump(), Path::new("/elsewhere/node.toml")).expect("a dump");
    assert_eq!(config, again);
}

/// The example is the manual that operators read: it names every setting, and changes none.
#[test]
fn the_example_has_every_setting_at_its_default() {
    let example = Config::parse(EXAMPLE, Path::new(FILE)).expect("a configuration");
    let least = Config::parse(LEAST, Path::new(FILE)).expect("a configuration");
    let same = Config {
        node: least.node.clone(),
        listen: least.listen.clone(),
        ..example.clone()
    };
    assert_eq!(same, least);
    let key = |line: &str| line.split_once(" = ").map(|(key, _)| key.trim().to_owned());
    let dumped: Vec<String> = example.dump().lines().filter_map(key).collect();
    let named: Vec<String> = EXAMPLE.lines().filter_map(key).collect();
    let forgotten: Vec<&String> = dumped.iter().filter(|key| !named.contains(key)).collect();
    assert_eq!(forgotten, Vec::<&String>::new());
    assert!(
        named.contains(&"# free_mib_min".to_owned()),
        "it has no default"
    );
}

#[test]
fn a_relative_path_starts_from_the_folder_of_the_file() {
    let config = Config::parse(LEAST, Path::new(FILE)).expect("a configuration");
    assert_eq!(config.node.data_dir, Path::new("/etc/carnet/data"));
    assert_eq!(config.node.pki_dir, Path::new("/etc/carnet/pki"));
}

#[test]
fn the_defaults_are_those_of_the_manual() {
    let config = Config::parse(LEAST, Path::new(FILE)).expect("a configuration");
    let dump = config.dump();
    let (_, tables) = dump
        .split_once("federation = \"10.0.0.1:7104\"")
        .expect("a table");
    assert_eq!(
        tables,
        r#"

[raft]
heartbeat_ms = 250
election_ms = [1500, 3000]
snapshot_entries = 500000
snapshot_mib = 2048
keep_entries = 1000000
keep_mib = 4096
keep_for_s = 3600
log_mib_max = 16384

[storage]
cache_mib = 256
write_buffer_mib = 128

[seal]
waiting_ms = 200
busy_ms = 2000
unsigned_ms = 10000

[compare]
every_ms = 500
undecided_ms = 10000
content_every_s = 86400

[audit]
commit_every_s = 600

[limits]
handshake_ms = 5000
first_byte_ms = 3000
first_request_ms = 10000
idle_s = 600
handshakes_max = 256
address_handshakes_max = 64
address_per_s = 128
strangers_per_s = 512
connections_max = 1024
address_connections_max = 512
certificate_connections_max = 128
requests_max = 2048
certificate_requests_max = 1024
certificate_requests_per_s = 20000
certificate_mib_per_s = 64
memory_mib = 256
certificate_memory_mib = 64

[log]
filter = "info"
format = "text"
"#
    );
}

#[test]
fn an_unknown_setting_is_refused_with_its_place() {
    check(
        "",
        "[raft]\nheartbeat = 3",
        "TOML parse error at line 14, column 1\n   |\n14 | heartbeat = 3\n   | ^^^^^^^^^\nunknown field `heartbeat`, \
         expected one of `heartbeat_ms`, `election_ms`, `snapshot_entries`, `snapshot_mib`, `keep_entries`, \
         `keep_mib`, `keep_for_s`, `log_mib_max`",
    );
}

#[test]
fn an_unknown_table_is_refused() {
    let text = format!("{LEAST}[rafft]\n");
    let error = Config::parse(&text, Path::new(FILE)).expect_err("a fault");
    assert!(
        error.to_string().contains("unknown field `rafft`"),
        "{error}"
    );
}

#[test]
fn a_prefix_that_is_none_is_refused_with_its_position() {
    let text = LEAST.replace("\"86\"", "\"8!\"");
    let error = Config::parse(&text, Path::new(FILE)).expect_err("a fault");
    let expected = "country segment, position 1: found '!', allowed is a digit 0-9";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn production_refuses_a_sandbox_prefix() {
    let expected = "node.prefix = XA: a sandbox prefix needs profile = \"sandbox\"";
    check("\"86\"", "\"XA\"", expected);
}

#[test]
fn a_sandbox_takes_a_sandbox_prefix() {
    check("\"86\"", "\"XA\"\nprofile = \"sandbox\"", "taken");
}

#[test]
fn production_refuses_timeouts_of_a_demonstration() {
    let raft = "[raft]\nheartbeat_ms = 50\nelection_ms = [300, 600]\nkeep_entries = 10";
    check(
        "",
        raft,
        "raft.election_ms = [300, 600]: production needs a lower end of 1000 or more; raft.keep_entries = 10: production \
         needs 10000 or more",
    );
}

#[test]
fn a_timeout_close_to_the_heartbeat_is_refused() {
    check(
        "",
        "[raft]\nheartbeat_ms = 500",
        "raft.election_ms = [1500, 3000]: the lower end is below 4 heartbeats of 500",
    );
}

#[test]
fn one_election_timeout_for_all_nodes_is_refused() {
    check(
        "",
        "[raft]\nelection_ms = [1500, 1500]",
        "raft.election_ms = [1500, 1500]: the upper end is below 1.2 times the lower",
    );
}

#[test]
fn two_planes_on_one_socket_are_refused() {
    check(
        "admin = \"127.0.0.1:7103\"",
        "admin = \"10.0.0.1:7101\"",
        "listen.admin = 10.0.0.1:7101: is the socket of listen.raft too",
    );
}

#[test]
fn numbers_out_of_their_range_are_all_named_at_once() {
    check(
        "",
        "[storage]\ncache_mib = 1\n[limits]\nhandshakes_max = 0",
        "storage.cache_mib = 1: out of its range, 8 to 1048576; limits.handshakes_max = 0: out of its range, 1 to 10000",
    );
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let text = format!("{LEAST}[log]\nfilter = \"carnet=loud\"\n");
    let error = Config::parse(&text, Path::new(FILE)).expect_err("a fault");
    assert!(
        error.to_string().contains("log.filter = \"carnet=loud\""),
        "{error}"
    );
}

#[test]
fn an_address_is_of_an_ip_or_localhost_and_the_port_for_monitors_may_be_left_out() {
    let config = |text: &str| {
        let text = LEAST.replace("admin = \"127.0.0.1:7103\"", text);
        Config::parse(&text, Path::new(FILE))
    };
    let local = config("admin = \"localhost:7103\"").expect("a configuration");
    assert_eq!(
        local,
        Config::parse(LEAST, Path::new(FILE)).expect("a configuration")
    );
    assert_eq!(local.listen.metrics, None);
    let watched = config("admin = \"[::1]:7103\"\nmetrics = \"localhost:7004\"");
    let watched = watched.expect("a configuration");
    assert_eq!(watched.listen.metrics, "127.0.0.1:7004".parse().ok());
    let again = Config::parse(&watched.dump(), Path::new(FILE)).expect("a dump");
    assert_eq!(again, watched);
    for wrong in [
        "node-1:7103",
        "localhost",
        "localhost:",
        "localhost:65536",
        "localhosts:1",
        "7103",
    ] {
        let error = config(&format!("admin = \"{wrong}\"")).expect_err("refused");
        assert!(
            error.to_string().contains("an IP address or localhost"),
            "{error}"
        );
    }
    let same = config("admin = \"127.0.0.1:7103\"\nmetrics = \"localhost:7103\"");
    let error = same.expect_err("twice").to_string();
    assert!(
        error.contains("listen.metrics = 127.0.0.1:7103: is the socket of listen.admin too"),
        "{error}"
    );
}
