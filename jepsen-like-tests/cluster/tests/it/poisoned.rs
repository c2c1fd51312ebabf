//! A command at which the rules panic, on every node: the country stands still before it instead of dying again and again,
//! and serves on when its roots have had the entry skipped.

use std::path::{Path, PathBuf};
use std::process::Command as Shell;
use std::time::Duration;

use carnet_client::{Client, ClientError};
use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::{ADMIN, Jurisdiction, MANUFACTURER, Plan, REGISTRAR, model_id};
use carnet_cluster::patience::until;
use carnet_cluster::planted_programs;
use carnet_cluster::workload::registration;
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::checkpoint;
use carnet_domain::log::leaf::{Kind, Leaf, Subject};
use carnet_domain::log::merkle::verify_consistency;
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine;
use carnet_domain::machine::order::{Skip, judge};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::Signed;
use carnet_domain::record::registry::Registry;
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_kit::memory::MemoryLedger;
use serde_json::Value;

/// How long a caller that is refused at once is made to wait at the most; nothing depends on its length.
const SHORT: Duration = Duration::from_secs(3);
/// Longer than the whole repair takes: this caller repeats its request until it is answered for good.
const STUBBORN: Duration = Duration::from_secs(170);

const NAMED: &str = "stopped before log entry";
const NODES: [u64; 3] = [1, 2, 3];

fn code(of: &Jurisdiction, serial: u32) -> Result<Code, Broken> {
    Code::parse(&format!("{}{serial:017}", model_id(of)?)).map_err(Broken::at("code"))
}

fn client(
    of: &Jurisdiction,
    who: &str,
    nodes: &[u64],
    deadline: Duration,
) -> Result<Client, Broken> {
    of.client(who, nodes)?
        .deadline(deadline)
        .build()
        .map_err(Broken::at(who))
}

async fn register(of: &Jurisdiction, by: &Client, serial: u32) -> Result<(), ClientError> {
    let code = code(of, serial).map_err(|broken| ClientError::Usage(broken.to_string()))?;
    let registration = registration(code, serial);
    by.submit_one(Command::Register { registration })
        .await
        .map(drop)
}

/// Waits until a node stands still: before which entry, and its digest.
async fn stands(of: &Jurisdiction, node: u64) -> Result<(u64, Vec<u8>), Broken> {
    until(&format!("node {node} stands still"), || async {
        let status = of.status(node).await.map_err(|e| e.to_string())?;
        let stands = status.stands_still.ok_or("it goes on")?;
        Ok((stands.log_index, stands.entry.to_vec()))
    })
    .await
}

async fn goes_on(of: &Jurisdiction, node: u64) -> Result<(), Broken> {
    until(&format!("node {node} goes on"), || async {
        let status = of.status(node).await.map_err(|e| e.to_string())?;
        match status.stands_still {
            None => Ok(()),
            Some(stands) => Err(format!("{stands:?}, files {:?}", status.skip_files)),
        }
    })
    .await
}

/// Waits until a node says this of a file in its folder.
async fn told(of: &Jurisdiction, node: u64, file: &str, what: &str) -> Result<(), Broken> {
    until(&format!("node {node} says {what:?} of {file}"), || async {
        let files = of.status(node).await.map_err(|e| e.to_string())?.skip_files;
        let says = |name: &str, verdict: &str| name == file && verdict.contains(what);
        if files.iter().any(|file| says(&file.name, &file.verdict)) {
            Ok(())
        } else {
            Err(format!("{files:?}"))
        }
    })
    .await
}

/// `carnet` of the admin of this jurisdiction.
fn carnet(of: &Jurisdiction, words: &[&str]) -> Result<Value, Broken> {
    let admins: Vec<String> = NODES.iter().map(|id| of.admin_address(*id)).collect();
    let output = Shell::new(&of.programs().carnet)
        .args(["-o", "json", "--as", &ADMIN.replace('/', "-")])
        .arg("--pki")
        .arg(of.pki())
        .args(["--admin-endpoints", &admins.join(",")])
        .args(words)
        .output()
        .map_err(Broken::at("carnet"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Broken::new(format!("carnet {words:?}: {said}")));
    }
    serde_json::from_slice(&output.stdout).map_err(Broken::at("what carnet printed"))
}

/// The order in a file, signed by these roots, through the verbs that people use.
fn order(of: &Jurisdiction, name: &str, roots: &[u8]) -> Result<PathBuf, Broken> {
    let path = |name: &str| of.folder().join(format!("{name}.cbor"));
    let text = |path: &Path| path.display().to_string();
    let unsigned = path("unsigned");
    carnet(
        of,
        &["cluster", "skip", "prepare", "--file", &text(&unsigned)],
    )?;
    let mut copies = Vec::new();
    // Each root signs a copy of its own, far from the others.
    for root in roots {
        let copy = path(&format!("{name}-root-{root}"));
        std::fs::copy(&unsigned, &copy).map_err(Broken::at("a copy"))?;
        let seed = of.pki().join(format!("root/root-{root}.seed"));
        carnet(
            of,
            &[
                "cluster",
                "skip",
                "sign",
                &text(&copy),
                "--root",
                &text(&seed),
            ],
        )?;
        copies.push(text(&copy));
    }
    let whole = path(name);
    let whole_text = text(&whole);
    let mut words = vec!["cluster", "skip", "combine", "--file", &whole_text];
    words.extend(copies.iter().map(String::as_str));
    carnet(of, &words)?;
    Ok(whole)
}

fn put(of: &Jurisdiction, order: &Path, node: u64, name: &str) -> Result<(), Broken> {
    let folder = of.data(node).join("skip");
    // Under another name first: a node must not read half a file.
    let under_way = folder.join("under-way");
    std::fs::copy(order, &under_way).map_err(Broken::at("a copy"))?;
    std::fs::rename(&under_way, folder.join(name)).map_err(Broken::at("a new name"))
}

/// The leaf that must stand in place of the entry, from nothing but the order and the registry before it.
fn expected_leaf(before: &Registry, signed: &Signed) -> Result<LeafRecord, Broken> {
    let skip = Skip::from_bytes(&signed.bytes.0).map_err(Broken::at("order"))?;
    let order = judge(signed, Some(before)).map_err(Broken::at("order"))?;
    let order = order
        .for_entry(skip.log_index, &skip.entry)
        .map_err(Broken::at("order"))?;
    let mut ledger = MemoryLedger::new();
    let Ok(()) = ledger.put_registry(before.clone());
    let Ok(()) = machine::skip(&mut ledger, &order, &[]);
    let Ok(leaf) = ledger.leaf(before.tree.size());
    leaf.ok_or_else(|| Broken::new("no leaf"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisoned_entry_does_not_end_the_country() -> Result<(), Broken> {
    let Some(programs) = planted_programs("a_poisoned_entry_does_not_end_the_country") else {
        return Ok(());
    };
    let plan = Plan {
        planted: Some("panic-at-a-marked-entry"),
        roots: 3,
        ..Plan::of("XA")
    };
    let mut registry = Jurisdiction::start(&programs, plan).await?;
    let maker = client(&registry, MANUFACTURER, &NODES, Duration::from_secs(30))?;
    for serial in 1..=10 {
        let done = register(&registry, &maker, serial).await;
        done.map_err(Broken::at("a registration"))?;
    }

    // A published log head on every node, which it goes on serving.
    for node in NODES {
        let reader = client(&registry, MANUFACTURER, &[node], Duration::from_secs(30))?;
        let head = reader.unverified().checkpoint(0, 1).await;
        head.map_err(Broken::at("log head"))?;
    }

    // The poison, from a caller that will not give up.
    let poison = Command::SetHold {
        code: code(&registry, 1)?,
        kind: HoldKind::Theft,
        reason: "planted poison".to_owned(),
    };
    let stubborn = client(&registry, REGISTRAR, &NODES, STUBBORN)?;
    let repeated = tokio::spawn(async move { stubborn.submit_one(poison).await });
    let mut standing = Vec::new();
    for node in NODES {
        standing.push(stands(&registry, node).await?);
    }
    let (index, digest) = standing[0].clone();
    assert!(
        standing.iter().all(|one| *one == standing[0]),
        "{standing:?}"
    );
    registry.all_alive()?;

    refuses_by_name_and_reads_on(&registry).await?;
    stands_again_after_restarts(&mut registry, &standing[0]).await?;
    let reader = client(&registry, MANUFACTURER, &[1], SHORT)?;
    let before = reader
        .unverified()
        .registry_stale()
        .await
        .map_err(Broken::at("registry"))?;
    let before = before.value;

    // Files that are not the roots' order: named, and nothing moves.
    let alone = order(&registry, "one-root", &[1])?;
    let whole = order(&registry, "two-roots", &[1, 3])?;
    let other = order(&registry, "other-roots", &[3, 2])?;
    for node in NODES {
        put(&registry, &alone, node, "alone.cbor")?;
        let garbage = registry.data(node).join("skip/garbage.cbor");
        std::fs::write(garbage, b"\x82garbage").map_err(Broken::at("garbage"))?;
        told(
            &registry,
            node,
            "alone.cbor",
            "not signed by 2 of the 3 roots",
        )
        .await?;
        told(&registry, node, "garbage.cbor", "it is not an order").await?;
        assert_eq!(stands(&registry, node).await?, standing[0]);
    }

    // Two nodes, the leader among them, then the third with other roots' signatures.
    let leader = registry.leader().await?;
    let second = NODES
        .into_iter()
        .find(|id| *id != leader)
        .unwrap_or_default();
    let third = NODES
        .into_iter()
        .find(|id| *id != leader && *id != second)
        .unwrap_or_default();
    for node in [leader, second] {
        put(&registry, &whole, node, "skip.cbor")?;
        goes_on(&registry, node).await?;
        told(&registry, node, "skip.cbor", "its entry was skipped").await?;
    }
    let done = register(&registry, &maker, 11).await;
    done.map_err(Broken::at("a registration at two nodes"))?;
    assert_eq!(stands(&registry, third).await?, standing[0]);
    put(&registry, &other, third, "skip.cbor")?;
    goes_on(&registry, third).await?;
    let done = register(&registry, &maker, 12).await;
    done.map_err(Broken::at("a registration at three nodes"))?;

    // The same request again would stop everything again: it is known.
    let again = repeated.await.map_err(Broken::at("a caller"))?;
    let again = again.expect_err("it was skipped").to_string();
    assert!(
        again.contains(&format!("log entry {index} skipped")),
        "{again}"
    );

    registry.all_alive()?;
    registry.ready().await?;
    for serial in 1..=12 {
        let code = code(&registry, serial)?;
        maker
            .unverified()
            .robot(&code)
            .await
            .map_err(Broken::at("a robot that was acknowledged"))?;
    }
    replicas_agree(&registry).await?;
    let signed = std::fs::read(&whole).map_err(Broken::at("order"))?;
    let signed = Signed::from_bytes(&signed).map_err(Broken::at("order"))?;
    assert_eq!(
        Digest(digest.try_into().unwrap_or_default()),
        skip_of(&signed)?.entry
    );
    leaf_is_proven(&registry, &before, &signed).await
}

fn skip_of(signed: &Signed) -> Result<Skip, Broken> {
    Skip::from_bytes(&signed.bytes.0).map_err(Broken::at("order"))
}

/// Writes and linearizable reads are refused by name; what was acknowledged is read by whoever accepts an old state.
async fn refuses_by_name_and_reads_on(registry: &Jurisdiction) -> Result<(), Broken> {
    let maker = client(registry, MANUFACTURER, &NODES, SHORT)?;
    // The session was opened by another client, so even opening one is refused.
    let refused = register(registry, &maker, 99)
        .await
        .expect_err("it stands still");
    assert!(refused.to_string().contains(NAMED), "{refused}");
    for node in NODES {
        let reader = client(registry, MANUFACTURER, &[node], SHORT)?;
        let code = code(registry, 10)?;
        let refused = reader
            .unverified()
            .robot(&code)
            .await
            .expect_err("it stands still");
        assert!(refused.to_string().contains(NAMED), "{refused}");
        let found = reader
            .unverified()
            .robot_stale(&code)
            .await
            .map_err(Broken::at("a stale read"))?;
        assert_eq!(found.value.identity.code, code);
        let (note, _) = reader
            .unverified()
            .checkpoint(0, 0)
            .await
            .map_err(Broken::at("log head"))?;
        assert!(!note.is_empty());
    }
    Ok(())
}

/// A kill and a signal, one node after the other: each starts, stands where it stood, and stays up.
async fn stands_again_after_restarts(
    registry: &mut Jurisdiction,
    standing: &(u64, Vec<u8>),
) -> Result<(), Broken> {
    for node in NODES {
        if node == 1 {
            registry.kill(node)?;
        } else {
            let code = registry.stop(node).await?;
            assert_eq!(
                code,
                Some(0),
                "a node that stands still stops in good order"
            );
        }
        registry.start_node(node)?;
        assert_eq!(stands(registry, node).await?, *standing);
    }
    // Votes go on: somebody leads, and nobody has ended by itself.
    registry.leader().await?;
    registry.all_alive()
}

async fn replicas_agree(registry: &Jurisdiction) -> Result<(), Broken> {
    until("replicas at one index have one digest", || async {
        let mut looks = Vec::new();
        for node in NODES {
            let status = registry
                .status_with_digest(node)
                .await
                .map_err(|e| e.to_string())?;
            looks.push((status.applied, status.state_digest));
        }
        let same_index = looks.windows(2).all(|pair| pair[0].0 == pair[1].0);
        let same_digest = looks.windows(2).all(|pair| pair[0].1 == pair[1].1);
        match (same_index, same_digest) {
            (true, same) => {
                assert!(same, "{looks:?}");
                Ok(())
            }
            (false, _) => Err(format!("{looks:?}")),
        }
    })
    .await
}

/// The tree before the entry with the expected leaf appended is the beginning of the published tree.
async fn leaf_is_proven(
    registry: &Jurisdiction,
    before: &Registry,
    signed: &Signed,
) -> Result<(), Broken> {
    let record = expected_leaf(before, signed)?;
    let leaf = Leaf::from_bytes(&record.leaf.0).map_err(Broken::at("leaf"))?;
    assert_eq!((leaf.kind, Kind::Policy.number()), (Kind::Policy, 25));
    assert_eq!(leaf.key, Subject::jurisdiction(&registry.prefix()).key());
    let mut tree = before.tree.clone();
    tree.append(leaf.hash());
    let (origin, key) = registry.log_identity()?;
    for node in NODES {
        let reader = client(registry, MANUFACTURER, &[node], Duration::from_secs(30))?;
        let (note, proof) = reader
            .unverified()
            .checkpoint(tree.size(), tree.size() - 1)
            .await
            .map_err(Broken::at("log head"))?;
        let head = checkpoint::open(&note, &key, &origin).map_err(Broken::at("log head"))?;
        verify_consistency(tree.size(), &tree.root(), head.size(), head.root(), &proof).map_err(
            Broken::at(format!("node {node}: the leaf of the skipped entry")),
        )?;
    }
    Ok(())
}
