//! What a monitor sees of real nodes while they come, lead, die and return; and when the alerts fire.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use carnet_cluster::jurisdiction::{Jurisdiction, Plan};
use carnet_cluster::patience::until;
use carnet_cluster::{Broken, programs, skip};
use carnet_domain::log::audit::AuditWalk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NODES: [u64; 3] = [1, 2, 3];

/// The whole answer, its first line with the code.
async fn get(from: SocketAddr, path: &str) -> Result<String, String> {
    let shown = |error: std::io::Error| format!("{from}{path}: {error}");
    let mut stream = TcpStream::connect(from).await.map_err(shown)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(shown)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(shown)?;
    Ok(answer)
}

/// Looks once whether a node answers with a code and a word.
async fn answers(
    of: &Jurisdiction,
    node: u64,
    path: &str,
    code: u16,
    word: &str,
) -> Result<(), String> {
    let answer = get(of.metrics_address(node), path).await?;
    let is = answer.starts_with(&format!("HTTP/1.1 {code} ")) && answer.contains(word);
    is.then_some(())
        .ok_or(format!("node {node}{path}: {answer}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_sees_a_quorum_go_and_come_back() -> Result<(), Broken> {
    let Some(programs) = programs("a_monitor_sees_a_quorum_go_and_come_back") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let leader = registry.ready().await?;
    for node in NODES {
        let ready = async || answers(&registry, node, "/readyz", 200, "ready\n").await;
        until("a node that is ready", ready).await?;
        let federation =
            async || answers(&registry, node, "/readyz/federation", 200, "ready\n").await;
        until("a node without peers that is ready for them", federation).await?;
    }
    let page = get(registry.metrics_address(leader), "/metrics").await;
    let page = page.map_err(Broken::new)?;
    for line in [
        "carnet_raft_role{role=\"leader\"} 1.0",
        "carnet_ready 1.0",
        "carnet_raft_voters 3.0",
        "carnet_proposals_total{outcome=\"committed\"} ",
        "carnet_certificate_not_after_timestamp_seconds{certificate=\"raft\"} ",
        "carnet_disk_free_bytes ",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    for number in [
        "carnet_log_bytes ",
        "carnet_state_bytes ",
        "carnet_resident_memory_bytes ",
    ] {
        let line = page.lines().find(|line| line.starts_with(number));
        let value = line.and_then(|line| line[number.len()..].parse::<f64>().ok());
        assert!(value.is_some_and(|value| value > 0.0), "{number}: {page}");
    }

    let others: Vec<u64> = NODES.into_iter().filter(|node| *node != leader).collect();
    for node in &others {
        registry.kill(*node)?;
    }
    let alone = async || answers(&registry, leader, "/readyz", 503, "\nNO_").await;
    until("a leader alone that is not ready", alone).await?;
    // What is not ready lives: to kill it would not bring the others back.
    let lives = answers(&registry, leader, "/livez", 200, "alive").await;
    lives.map_err(Broken::new)?;
    for node in &others {
        registry.start_node(*node)?;
    }
    registry.ready().await?;
    for node in NODES {
        let ready = async || answers(&registry, node, "/readyz", 200, "ready\n").await;
        until("a node that is ready again", ready).await?;
    }

    // What was noted before a kill is there after it, in one chain with what came later.
    let mut founded = 0;
    for node in NODES {
        let admin = registry.admin(&[node], Duration::from_secs(10))?;
        let (lines, more, stands) = admin
            .audit(&registry.admin_address(node), "acts", 0)
            .await
            .map_err(Broken::at("the audit"))?;
        assert!(!more, "few records");
        let mut walk = AuditWalk::anywhere();
        let mut starts = 0;
        for line in &lines {
            let text = walk.take(line).map_err(Broken::at("a chain"))?.text;
            starts += usize::from(text.contains("\"kind\":\"start\""));
            founded += usize::from(text.contains("\"about\":\"initialize\""));
        }
        let expected = if node == leader { 1 } else { 2 };
        assert_eq!(starts, expected, "node {node}: {lines:?}");
        let head = walk.head().map(|head| (head.number, head.hash.0.to_vec()));
        assert_eq!(head, Some((stands.number, stands.hash.to_vec())));
    }
    assert!(founded >= 1, "somebody founded the cluster");
    registry.all_alive()
}

#[test]
fn alerts_fire_and_clear_as_their_tests_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/monitoring");
    let run = |arguments: &[&str]| {
        Command::new("promtool")
            .args(arguments)
            .current_dir(&folder)
            .output()
    };
    if run(&["--version"]).is_err() {
        skip(
            "alerts_fire_and_clear_as_their_tests_say",
            "there is no promtool here",
        );
        return;
    }
    for arguments in [
        ["check", "rules", "carnet.rules.yml"],
        ["test", "rules", "carnet.rules.test.yml"],
    ] {
        let output = run(&arguments).expect("it was there");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}
