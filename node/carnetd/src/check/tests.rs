//! What the check finds, all at once, and what it lets pass.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use carnet_domain::bytes::code::Prefix;
use carnet_pki::{Host, NodeSpec, PkiPlan};
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::config::EXAMPLE;

/// A machine that is ready for its first start, with the example as its configuration.
struct Machine {
    folder: TempDir,
    clock: Arc<dyn Clock>,
}

/// A clock that stands.
struct Standing(TimeMs);

impl Clock for Standing {
    fn wall(&self) -> TimeMs {
        self.0
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

impl Machine {
    fn ready() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut plan = PkiPlan::new(Prefix::parse("86").expect("a prefix"));
        plan.nodes = [1, 2]
            .map(|id| NodeSpec {
                id: NodeId::new(id).expect("a node id"),
                hosts: vec![Host::from("127.0.0.1")],
            })
            .to_vec();
        let clock = SystemClock::new();
        carnet_pki::init(&folder.path().join("pki"), &plan, clock.wall()).expect("keys");
        // Ports that were free a moment ago, all different because all were open at once.
        let open: Vec<TcpListener> = (0..4)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
            .collect();
        let text = (7101..)
            .zip(&open)
            .fold(EXAMPLE.to_owned(), |text, (port, open)| {
                let free = open.local_addr().expect("an address");
                text.replace(&format!("127.0.0.1:{port}"), &free.to_string())
            });
        // How much room this machine has is not what is tested.
        let text = text.replace("# free_mib_min = 2048", "free_mib_min = 0");
        let machine = Self {
            folder,
            clock: Arc::new(clock),
        };
        fs::write(machine.path("node.toml"), text).expect("a configuration");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn edit(&self, old: &str, new: &str) {
        let path = self.path("node.toml");
        let text = fs::read_to_string(&path).expect("a configuration");
        assert!(text.contains(old), "{old}");
        fs::write(path, text.replacen(old, new, 1)).expect("written");
    }

    /// As `carnetd init` does.
    fn init(&self) {
        let config = Config::load(&self.path("node.toml")).expect("a configuration");
        let join = [1, 2, 3].map(|node| (node, None)).into();
        crate::assemble::init(&config, &self.clock, &join).expect("made");
    }

    fn report(&self) -> Report {
        judge(&self.path("node.toml"), &self.clock)
    }

    /// Each finding holds these words, and no other is there.
    fn check(&self, expected: &[(u8, &str)]) {
        let report = self.report();
        assert_eq!(report.findings.len(), expected.len(), "{report}");
        for (finding, (code, words)) in report.findings.iter().zip(expected) {
            assert_eq!(finding.exit.code(), *code, "{report}");
            assert!(finding.text.contains(words), "{words}: {report}");
            assert!(!finding.text.contains('\n'), "{report}");
        }
        let first = expected.first().map_or(0, |(code, _)| *code);
        assert_eq!(report.exit().code(), first);
    }
}

#[test]
fn the_example_is_accepted_before_the_first_start_and_after() {
    let machine = Machine::ready();
    machine.check(&[]);
    assert!(machine.report().notes[0].contains("carnetd init"));
    machine.init();
    machine.check(&[]);
    assert!(machine.report().notes.is_empty());
}

/// Once, one fault was told at a time, and most not at all.
#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let machine = Machine::ready();
    machine.init();
    machine.edit("heartbeat_ms = 250", "heartbeat_ms = 2");
    machine.edit("format = \"text\"", "format = \"text\"\n# the end");
    let open = |path: &str| {
        fs::set_permissions(machine.path(path), fs::Permissions::from_mode(0o644)).expect("set");
    };
    open("pki/keys/log.seed");
    open("pki/nodes/1/admin.key");
    fs::remove_file(machine.path("pki/nodes/1/client.crt")).expect("removed");
    fs::copy(
        machine.path("pki/keys/passport.seed"),
        machine.path("pki/keys/witness.seed"),
    )
    .expect("copied");
    fs::remove_dir_all(machine.path("data/log")).expect("removed");
    machine.check(&[
        (2, "raft.heartbeat_ms = 2"),
        (3, "log.seed has mode 0644"),
        (3, "one key never has two roles"),
        (3, "admin.key has mode 0644"),
        (3, "client.crt"),
        (4, "the Raft log of node 1 (log) is gone"),
    ]);
}

#[test]
fn a_certificate_of_another_country_node_or_time_is_found() {
    let machine = Machine::ready();
    machine.edit("prefix = \"86\"", "prefix = \"49\"");
    assert_eq!(machine.report().findings.len(), 4, "{}", machine.report());
    machine.edit("prefix = \"49\"", "prefix = \"86\"");
    let other = machine.path("pki/nodes/2/raft.crt");
    fs::copy(other, machine.path("pki/nodes/1/raft.crt")).expect("copied");
    machine.check(&[(3, "raft.crt")]);
    let mut late = Machine::ready();
    late.clock = Arc::new(Standing(
        TimeMs::parse("2099-01-01T00:00:00Z").expect("a time"),
    ));
    assert_eq!(late.report().findings.len(), 4, "{}", late.report());
}

#[test]
fn a_sandbox_prefix_is_no_countrys() {
    let machine = Machine::ready();
    machine.edit("prefix = \"86\"", "prefix = \"XA\"");
    assert!(
        machine.report().findings[0].text.contains("sandbox"),
        "{}",
        machine.report()
    );
}

#[test]
fn a_port_that_is_taken_or_an_address_of_another_machine_is_found() {
    let machine = Machine::ready();
    let text = fs::read_to_string(machine.path("node.toml")).expect("a configuration");
    let line = text
        .lines()
        .find(|line| line.starts_with("client = "))
        .expect("a line");
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = held.local_addr().expect("an address");
    machine.edit(line, &format!("client = \"{taken}\""));
    // An address for documentation (RFC 5737), which no machine has.
    let line = text
        .lines()
        .find(|line| line.starts_with("admin = "))
        .expect("a line");
    machine.edit(line, "admin = \"192.0.2.1:7103\"");
    machine.check(&[(1, "listen.client"), (1, "listen.admin")]);
}

#[test]
fn a_data_directory_of_another_node_or_one_that_was_refused_is_found() {
    let machine = Machine::ready();
    machine.init();
    machine.edit("id = 1", "id = 2");
    machine.check(&[(4, "belongs to node 1, not to node 2")]);
    machine.edit("id = 2", "id = 1");
    refusal::keep(&machine.path("data"), "one of the two runs on a copy");
    machine.check(&[(4, "refused this store for good")]);
    fs::remove_file(machine.path("data/refused")).expect("removed");
    fs::write(machine.path("data/diverged"), "it differs\n").expect("written");
    machine.check(&[(7, "it differs")]);
    fs::remove_file(machine.path("data/diverged")).expect("removed");
    fs::remove_file(machine.path("data/identity")).expect("removed");
    machine.check(&[(4, "no file `identity`")]);
}

#[test]
fn a_clock_behind_what_was_written_and_a_disk_without_room_are_found() {
    let mut machine = Machine::ready();
    machine.init();
    let behind = machine
        .clock
        .wall()
        .saturating_sub(DurationMs::from_secs(600));
    machine.clock = Arc::new(Standing(behind));
    machine.check(&[(1, "set the clock")]);
    machine.clock = Arc::new(SystemClock::new());
    machine.edit("free_mib_min = 0", "free_mib_min = 1048576");
    let report = machine.report();
    // A disk with more than a tebibyte free has room.
    if let Some(finding) = report.findings.first() {
        assert!(finding.text.contains("below the watermark"), "{report}");
    }
}

#[test]
fn a_file_that_is_no_configuration_is_one_finding() {
    let machine = Machine::ready();
    machine.edit("\n[node]\n", "\n[node\n");
    assert_eq!(machine.report().exit(), Exit::Usage);
    assert_eq!(machine.report().findings.len(), 1);
    assert_eq!(
        judge(Path::new("/nowhere/node.toml"), &machine.clock).exit(),
        Exit::Usage
    );
}

#[test]
fn a_disk_that_syncs_as_slowly_as_an_election_is_named() {
    let machine = Machine::ready();
    let config = Config::load(&machine.path("node.toml")).expect("a configuration");
    let noted = |ms: u64| {
        let mut report = Report::default();
        report.judge_sync(Duration::from_millis(ms), &config);
        report.to_string()
    };
    // The default range begins at 1500 ms.
    assert!(!noted(375).contains("sync"), "{}", noted(375));
    let slow = noted(376);
    assert!(
        slow.contains("took 376 ms") && slow.contains("from 1500 ms"),
        "{slow}"
    );
    // The file that it is measured with is gone afterwards.
    let folder = tempfile::tempdir().expect("a folder");
    slowest_sync(folder.path()).expect("measured");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    assert!(slowest_sync(&folder.path().join("nowhere")).is_err());
}

#[test]
fn whoever_is_not_reached_is_named_and_the_check_goes_on() {
    let machine = Machine::ready();
    let path = machine.path("node.toml");
    let config = Config::load(&path).expect("a configuration");
    let told = || {
        let mut report = Report::default();
        report.network(&path);
        report.to_string()
    };
    assert!(told().contains("no addresses are known"), "{}", told());
    let there = TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = |listener: &TcpListener| listener.local_addr().expect("an address").to_string();
    let port = there.local_addr().expect("an address").port();
    let addresses = [
        (1, "127.0.0.1:1".to_owned()),
        (2, at(&there)),
        (3, at(&gone)),
        (4, format!("localhost:{port}")),
        (5, "no.such.host.invalid:7101".to_owned()),
    ];
    drop(gone);
    fs::create_dir_all(&config.node.data_dir).expect("a folder");
    waiting::keep(&config.node.data_dir, &addresses.into()).expect("kept");
    let told = told();
    assert!(
        !told.contains("node 1 ") && !told.contains("node 2 ") && !told.contains("node 4 "),
        "{told}"
    );
    assert!(
        told.contains("node 3 is not reached at 127.0.0.1:"),
        "{told}"
    );
    assert!(
        told.contains("node 5 is not reached at no.such.host.invalid:7101: "),
        "{told}"
    );
    assert!(told.contains("nothing wrong was found"), "{told}");
}

/// Once, only the node's own certificates were looked at: an authority that ended took the node with it.
#[test]
fn every_certificate_that_ends_soon_or_has_ended_is_named() {
    let mut machine = Machine::ready();
    let days = |days: u64| DurationMs::from_secs(days * 86_400);
    let now = machine.clock.wall();
    assert!(
        !machine.report().to_string().contains("certificate"),
        "{}",
        machine.report()
    );
    // Those of nodes are made for a year.
    machine.clock = Arc::new(Standing(now.saturating_add(days(340))));
    let soon = machine.report().to_string();
    assert!(
        soon.contains("note: the raft certificate ends at "),
        "{soon}"
    );
    machine.clock = Arc::new(Standing(now.saturating_add(days(40_000))));
    let ended = machine.report().to_string();
    for what in ["raft", "federation-authority", "passport", "root-1"] {
        let told = format!("note: the {what} certificate has ended, at ");
        assert!(ended.contains(&told), "{what}: {ended}");
    }
}
