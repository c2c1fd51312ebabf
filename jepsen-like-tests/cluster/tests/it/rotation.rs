//! Keys are followed by others while everybody reads and writes: no request and no verification fails, and a command that was
//! interrupted is given again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use carnet_client::{Client, ClientError, Log};
use carnet_cluster::Broken;
use carnet_cluster::border::{carnet, carnet_as, carnet_in};
use carnet_cluster::clocks::Shift;
use carnet_cluster::jurisdiction::{
    ADMIN, Jurisdiction, MANUFACTURER, Plan, REGISTRAR, SECOND_ADMIN, SECOND_REGISTRAR, model_id,
};
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_cluster::workload::registration;
use carnet_domain::bytes::code::{Code, EnterpriseId};
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::rules::command::Command;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::members::refused;

/// Something that is done over and over until it is told to stop; the first failure ends it.
struct Load {
    done: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    task: JoinHandle<Result<(), String>>,
}

impl Load {
    fn start<F>(mut one: impl FnMut(u32) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let (done, count) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let task = tokio::spawn({
            let (done, count) = (Arc::clone(&done), Arc::clone(&count));
            async move {
                for number in 0..u32::MAX {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    one(number)
                        .await
                        .map_err(|error| format!("{number}: {error}"))?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        });
        Self { done, count, task }
    }

    /// Waits until it was done some times more.
    async fn goes_on(&self) -> Result<(), Broken> {
        let before = self.count.load(Ordering::Relaxed);
        until("requests are answered", || async {
            match self.count.load(Ordering::Relaxed) {
                now if now >= before + 5 => Ok(()),
                _ if self.task.is_finished() => Ok(()),
                now => Err(format!("{now} of {}", before + 5)),
            }
        })
        .await
    }

    async fn end(self, what: &str) -> Result<(), Broken> {
        self.done.store(true, Ordering::Relaxed);
        let outcome = self.task.await.map_err(Broken::at(what))?;
        outcome.map_err(Broken::at(what))
    }
}

/// Registers robots, one after the other.
fn writes(of: &Jurisdiction, first: u32) -> Result<Load, Broken> {
    let client = of.client(MANUFACTURER, &of.running())?.build();
    let client = Arc::new(client.map_err(Broken::at(MANUFACTURER))?);
    let model = model_id(of)?;
    Ok(Load::start(move |number| {
        let client = Arc::clone(&client);
        let text = format!("{model}{:017}", first + number);
        async move {
            let code = Code::parse(&text).map_err(|error| error.to_string())?;
            let registration = registration(code, number);
            let command = Command::Register { registration };
            let done = client.submit_one(command).await;
            done.map(drop).map_err(|error| error.to_string())
        }
    }))
}

/// Reads that are proven on this side, under these log keys: of an enterprise that a published head shows by now.
async fn verifications(of: &Jurisdiction, keys: Vec<PublicKey>) -> Result<Load, Broken> {
    let (origin, _) = of.log_identity()?;
    let log = Log::of_keys(origin.prefix, keys).of_life(origin.incarnation);
    let client = of.client(MANUFACTURER, &of.running())?.log(log).build();
    let client = Arc::new(client.map_err(Broken::at(MANUFACTURER))?);
    let id = format!("{}0001", of.prefix());
    let id = EnterpriseId::parse(&id).map_err(Broken::at("an enterprise"))?;
    until("a head shows the enterprise", || async {
        let read = client.enterprise(&id).await;
        let read = read.map_err(|error| error.to_string())?.into_value();
        read.map(drop).ok_or_else(|| "none does".to_owned())
    })
    .await?;
    Ok(Load::start(move |_| {
        let client = Arc::clone(&client);
        async move {
            let read = client.enterprise(&id).await;
            let read = read.map_err(|error| error.to_string())?;
            match read.into_value() {
                Some(_) => Ok(()),
                None => Err("the enterprise is gone".to_owned()),
            }
        }
    }))
}

/// The states of the log keys, as the registry tells them.
fn log_keys(of: &Jurisdiction) -> Result<Vec<(String, String)>, Broken> {
    let told = carnet(of, &["key", "history"])?;
    let rows = told["keys"].as_array().cloned().unwrap_or_default();
    let of_log = rows.iter().filter(|row| row["role"] == "log");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    Ok(of_log
        .map(|row| (text(row, "key"), text(row, "state")))
        .collect())
}

fn key(told: &Value) -> Result<PublicKey, Broken> {
    let text = told.as_str().unwrap_or_default();
    let bytes = carnet_client::keys::parse_seed(text);
    let bytes = bytes.ok_or_else(|| Broken::new(format!("no key: {text}")))?;
    PublicKey::enroll(bytes).map_err(Broken::at("a key"))
}

/// The log key of a running registry is followed by another: every head has the signatures of both in between, a node that was away
/// and one that starts anew go on, and steps that were interrupted are given again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_key_is_rotated_under_load_without_a_failed_write_or_verification()
-> Result<(), Broken> {
    const NAME: &str = "the_log_key_is_rotated_under_load_without_a_failed_write_or_verification";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let nodes = registry.running();
    let (_, old) = registry.log_identity()?;
    let load = writes(&registry, 1)?;
    let by_old = verifications(&registry, vec![old]).await?;
    load.goes_on().await?;
    by_old.goes_on().await?;

    let folder = registry.folder().to_owned();
    let file = |name: &str| folder.join(name).display().to_string();
    let next = carnet(&registry, &["key", "rotate", "log", "next"])?;
    let again = carnet(&registry, &["key", "rotate", "log", "next"])?;
    assert_eq!(
        (&next["key"], &again["made"]),
        (&again["key"], &false.into())
    );
    let new = key(&next["key"])?;
    let seed = next["seed"].as_str().unwrap_or_default().to_owned();
    // All of them have one folder of keys here, and look at it by themselves.
    for node in &nodes {
        until(
            &format!("node {node} holds the key that follows"),
            || async {
                match registry.status(*node).await {
                    Ok(status) if status.log_keys.len() == 2 => Ok(()),
                    Ok(status) => Err(format!("{} log keys", status.log_keys.len())),
                    Err(error) => Err(error.to_string()),
                }
            },
        )
        .await?;
    }
    let begin = file("k1.cbor");
    let draft = ["key", "rotate", "log", "draft", "--file", &begin];
    carnet(
        &registry,
        &[&draft[..], &["--new", &seed, "--reason", "a year old"]].concat(),
    )?;
    carnet(&registry, &["key", "rotate", "log", "sign", &begin])?;
    carnet(&registry, &["key", "rotate", "log", "submit", &begin])?;
    let same = carnet(&registry, &["key", "rotate", "log", "submit", &begin])?;
    assert_eq!(same["state"], "stands already", "{same}");
    let (was, is) = (old.to_string(), new.to_string());
    let both = |first: &str, second: &str| {
        vec![
            (was.clone(), first.to_owned()),
            (is.clone(), second.to_owned()),
        ]
    };
    assert_eq!(log_keys(&registry)?, both("active", "active"));
    // Whoever knows either key believes every head, and who knows both notices nothing of what follows.
    let by_new = verifications(&registry, vec![new]).await?;
    let by_both = verifications(&registry, vec![old, new]).await?;
    for one in [&load, &by_old, &by_new, &by_both] {
        one.goes_on().await?;
    }
    by_old.end("by the old key").await?;
    // The bundle has the key that was ordered, in the leaf that all nodes say, and none that no order names.
    let bundle = file("our.bundle");
    let exported = |of: &Jurisdiction, orders: &[&str]| {
        let export = [
            "bundle",
            "export",
            "--file",
            &bundle,
            "--name",
            "XA",
            "--profile",
            "sandbox",
        ];
        let endpoints = ["--federation-endpoints", "127.0.0.1:1"];
        carnet(of, &[&export[..], &endpoints, orders].concat())
    };
    let said = refused(exported(&registry, &[]));
    assert!(said.contains("no order at hand says so"), "{said}");
    let stated = exported(&registry, &["--keys-of", &begin])?;
    assert!(stated.to_string().contains(&is), "{stated}");

    // In the middle of it the leader goes, and comes back with both keys.
    let leader = registry.leader().await?;
    registry.kill(leader)?;
    load.goes_on().await?;
    registry.start_node(leader)?;
    registry.ready().await?;

    let end = file("k2.cbor");
    let draft = ["key", "rotate", "log", "draft", "--file", &end];
    let public = registry.pki().join("keys/log.pub").display().to_string();
    carnet(
        &registry,
        &[&draft[..], &["--retire", &public, "--reason", "followed"]].concat(),
    )?;
    carnet(&registry, &["key", "rotate", "log", "sign", &end])?;
    carnet(
        &registry,
        &["key", "rotate", "log", "submit", &end, "--yes"],
    )?;
    assert_eq!(log_keys(&registry)?, both("retired", "active"));
    let said = refused(exported(&registry, &[]));
    assert!(said.contains("a node says of the registry"), "{said}");
    let stated = exported(&registry, &["--keys-of", &end])?;
    assert!(stated.to_string().contains("retired"), "{stated}");
    for one in [&load, &by_new, &by_both] {
        one.goes_on().await?;
    }
    let moved = carnet(&registry, &["key", "rotate", "log", "finish"])?;
    assert_eq!(moved["log_key"], is.as_str(), "{moved}");
    let again = carnet(&registry, &["key", "rotate", "log", "finish"])?;
    assert_eq!(again["retired"], Value::Array(Vec::new()), "{again}");
    assert_eq!(registry.log_identity()?.1, new);
    // A node that starts has the new key alone.
    let one = nodes
        .first()
        .copied()
        .ok_or_else(|| Broken::new("no nodes"))?;
    registry.kill(one)?;
    registry.start_node(one)?;
    registry.ready().await?;
    for one in [&load, &by_new, &by_both] {
        one.goes_on().await?;
    }
    load.end("the writes").await?;
    by_new.end("by the new key").await?;
    by_both.end("by both keys").await?;
    registry.all_alive()
}

/// The key with which an enterprise signs is replaced by one command while it registers robots all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_key_is_rotated_under_load_without_a_failed_request() -> Result<(), Broken> {
    let Some(programs) = programs("an_actor_key_is_rotated_under_load_without_a_failed_request")
    else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let load = writes(&registry, 1)?;
    load.goes_on().await?;
    let public = registry
        .pki()
        .join("clients/manufacturer-0001-line-1.actor.pub");
    let read = || carnet_client::keys::read_public_key(&public).map_err(Broken::at("a key"));
    let old = read()?;
    let rotate = [
        "key",
        "rotate",
        "actor",
        MANUFACTURER,
        "--reason",
        "a year old",
    ];
    let rotate = [&rotate[..], &["--grace", "12s"]].concat();
    // It blocks while it waits: the load goes on beside it.
    let rotated = tokio::task::block_in_place(|| carnet_as(&registry, REGISTRAR, &rotate))?;
    assert_eq!(rotated["state"], "rotated", "{rotated}");
    let new = read()?;
    assert_eq!(rotated["retired"], old.to_string().as_str(), "{rotated}");
    assert_ne!(new, old);
    load.goes_on().await?;
    load.end("the writes").await?;
    // The old one signs no more.
    let retired =
        std::fs::read_dir(registry.pki().join("retired")).map_err(Broken::at("retired"))?;
    let old_key = retired
        .flatten()
        .map(|one| one.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "key"))
        .ok_or_else(|| Broken::new("the old key is not kept"))?;
    let signer = carnet_client::FileSigner::open(old_key).map_err(Broken::at("the old key"))?;
    let thief: Client = registry
        .client(MANUFACTURER, &registry.running())?
        .signer(Arc::new(signer))
        .build()
        .map_err(Broken::at("a thief"))?;
    let text = format!("{}{:017}", model_id(&registry)?, 900_000_000);
    let code = Code::parse(&text).map_err(Broken::at("a code"))?;
    let registration = registration(code, 1);
    let refused = thief.submit_one(Command::Register { registration }).await;
    assert!(
        matches!(&refused, Err(ClientError::Api(_) | ClientError::Refused(_))),
        "{refused:?}"
    );
    registry.all_alive()
}

/// The words of a command as a shell takes them, without the name of the program.
pub(crate) fn words(order: &Value) -> Vec<String> {
    let mut words = Vec::new();
    for (at, piece) in order.as_str().unwrap_or_default().split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    words.split_off(1.min(words.len()))
}

/// The fault: where each has their own files, as the ceremony asks, nobody could rotate the key of an office.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offices_key_is_rotated_where_keys_lie_with_their_bearers() -> Result<(), Broken> {
    const NAME: &str = "an_offices_key_is_rotated_where_keys_lie_with_their_bearers";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let plan = Plan {
        in_earnest: true,
        ..Plan::of("XA")
    };
    let registry = Jurisdiction::start(&programs, plan).await?;
    let place = |name: &str, who: &str| -> Result<std::path::PathBuf, Broken> {
        let place = registry.folder().join(name);
        let shown = place.display().to_string();
        carnet(&registry, &["pki", "bundle", who, &shown])?;
        Ok(place)
    };
    let bearers = place("bearer", SECOND_REGISTRAR)?;
    let admins = place("first-admin", ADMIN)?;
    let others = place("second-admin", SECOND_ADMIN)?;
    let rotate = [
        "key",
        "rotate",
        "actor",
        SECOND_REGISTRAR,
        "--person",
        SECOND_REGISTRAR,
        "--reason",
        "a year old",
        "--grace",
        "1s",
    ];
    // The admin has not the files, and is told who has.
    let said = refused(carnet_in(&registry, &admins, ADMIN, &rotate));
    assert!(said.contains("lie with their bearer"), "{said}");
    let by_bearer = || {
        tokio::task::block_in_place(|| carnet_in(&registry, &bearers, SECOND_REGISTRAR, &rotate))
    };
    let made = by_bearer()?;
    assert_eq!(made["state"], "to be ordered", "{made}");
    let again = by_bearer()?;
    assert_eq!(again["order"], made["order"], "one key is made");
    let order = words(&made["order"]);
    let order: Vec<&str> = order.iter().map(String::as_str).collect();
    let first = carnet_in(&registry, &admins, ADMIN, &order)?;
    assert_eq!(first["state"], "proposed", "{first}");
    let number = first["proposal"].as_str().unwrap_or_default().to_owned();
    let get = ["proposal", "get", &number];
    let open = carnet_in(&registry, &others, SECOND_ADMIN, &get)?;
    let what = open["what"].as_str().unwrap_or_default();
    assert!(what.contains("the rotation of key"), "{open}");
    assert_eq!(
        (&open["state"], &open["reason"]),
        (&"open".into(), &"a year old".into())
    );
    // Ordered by one alone it is nobody's key yet.
    assert_eq!(by_bearer()?["state"], "to be ordered");
    let approve = ["proposal", "approve", &number];
    carnet_in(&registry, &others, SECOND_ADMIN, &approve)?;
    let done = by_bearer()?;
    assert_eq!(done["state"], "rotated", "{done}");
    assert_eq!(done["retired_key_id"], made["old_key_id"], "{done}");
    assert_eq!(by_bearer()?["state"], "done already");
    let clients = std::fs::read_dir(bearers.join("clients")).map_err(Broken::at("clients"))?;
    let names = clients.flatten().map(|one| one.file_name());
    let names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    let is_stray = |name: &String| name.contains(".next.") || name.contains(".old.");
    assert!(!names.iter().any(is_stray), "{names:?}");
    let offices = carnet(&registry, &["key", "offices"])?.to_string();
    let key = |name: &str| made[name].as_str().unwrap_or("none").to_owned();
    assert!(offices.contains(&key("new_key_id")), "{offices}");
    assert!(!offices.contains(&key("old_key_id")), "{offices}");
    // After its end it is read by its number, with who said yes.
    let ended = carnet_in(&registry, &admins, ADMIN, &get)?;
    assert_eq!(ended["state"], "done", "{ended}");
    assert_eq!(ended["ended_by"], "two", "{ended}");
    let listed = carnet_in(&registry, &admins, ADMIN, &["proposal", "list", "--ended"])?;
    let rows = listed.as_array().cloned().unwrap_or_default();
    assert!(
        rows.iter().any(|row| row["proposal"] == number.as_str()),
        "{listed}"
    );
    Ok(())
}

/// Nobody is left who could enrol an office: the roots order it, as the runbook lost-admins says, and a new admin goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_admins_are_followed_by_others_by_order_of_the_roots() -> Result<(), Broken> {
    let Some(programs) = programs("lost_admins_are_followed_by_others_by_order_of_the_roots")
    else {
        return Ok(());
    };
    const NEW: &str = "admin/ops/eve";
    let registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    registry.make_client(NEW, 30, Shift::NONE)?;
    let in_pki = |name: &str| registry.pki().join(name).display().to_string();
    let order = registry.folder().join("o.cbor").display().to_string();
    let added = format!(
        "{},admin,admin/ops,eve",
        in_pki("clients/admin-ops-eve.actor.pub")
    );
    let lost = in_pki("clients/admin-ops-one.actor.pub");
    let draft = ["key", "order", "draft", "--file", &order, "--add", &added];
    let draft = [
        &draft[..],
        &["--retire", &lost, "--reason", "all admins are lost"],
    ]
    .concat();
    carnet_as(&registry, NEW, &draft)?;
    carnet_as(&registry, NEW, &["key", "order", "sign", &order])?;
    carnet_as(&registry, NEW, &["key", "order", "submit", &order])?;
    let offices = carnet_as(&registry, NEW, &["key", "offices"])?.to_string();
    assert!(offices.contains("eve"), "{offices}");
    // It acts, and the lost one no more.
    let revoke = ["pki", "revoke", MANUFACTURER, "--reason", "a trial"];
    let lost = carnet(&registry, &revoke);
    assert!(lost.is_err(), "{lost:?}");
    carnet_as(&registry, NEW, &revoke)?;
    carnet_as(
        &registry,
        NEW,
        &["pki", "unrevoke", MANUFACTURER, "--reason", "it was one"],
    )?;
    Ok(())
}

/// One of three roots is lost: the other two and the one that follows go on, while everybody works, and what takes the roots takes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_root_is_replaced_by_the_other_two_under_load() -> Result<(), Broken> {
    let Some(programs) = programs("a_lost_root_is_replaced_by_the_other_two_under_load") else {
        return Ok(());
    };
    let plan = Plan {
        roots: 3,
        ..Plan::of("XA")
    };
    let mut registry = Jurisdiction::start(&programs, plan).await?;
    let load = writes(&registry, 1)?;
    load.goes_on().await?;
    let folder = registry.folder().to_owned();
    let pki = registry.pki();
    let file = |name: &str| folder.join(name).display().to_string();
    let root = |name: &str| pki.join("root").join(name).display().to_string();
    let next = file("next");
    carnet(&registry, &["pki", "root", &next])?;
    let (new, seed) = (file("next/root.pub"), file("next/root.seed"));
    let change = file("r.cbor");
    let (two, three) = (root("root-2.pub"), root("root-3.pub"));
    let draft = [
        "root", "rotate", "draft", "--file", &change, "--root", &two, "--root", &three,
    ];
    let draft = [
        &draft[..],
        &[
            "--root",
            &new,
            "--threshold",
            "2",
            "--reason",
            "root-1 was lost",
        ],
    ]
    .concat();
    carnet(&registry, &draft)?;
    for seed in [root("root-2.seed"), root("root-3.seed"), seed.clone()] {
        carnet(
            &registry,
            &["root", "rotate", "sign", &change, "--root", &seed],
        )?;
    }
    carnet(&registry, &["root", "rotate", "submit", &change, "--yes"])?;
    load.goes_on().await?;
    let listed = carnet(&registry, &["root", "list"])?;
    assert_eq!(
        (&listed["threshold"], &listed["replaced"]),
        (&2.into(), &1.into()),
        "{listed}"
    );
    let history = carnet(&registry, &["key", "history"])?;
    let rows = history["keys"].as_array().cloned().unwrap_or_default();
    let roots = rows.iter().filter(|row| row["role"] == "root");
    let states: Vec<_> = roots
        .map(|row| row["state"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        states,
        ["retired", "active", "active", "active"],
        "{history}"
    );
    // The lost one and one of the others are no two of the three.
    let next = carnet(&registry, &["key", "rotate", "log", "next"])?;
    let log_seed = next["seed"].as_str().unwrap_or_default().to_owned();
    for node in registry.running() {
        registry.hang_up(node)?;
        until(
            &format!("node {node} holds the key that follows"),
            || async {
                match registry.status(node).await {
                    Ok(status) if status.log_keys.len() == 2 => Ok(()),
                    Ok(status) => Err(format!("{} log keys", status.log_keys.len())),
                    Err(error) => Err(error.to_string()),
                }
            },
        )
        .await?;
    }
    let order = file("k.cbor");
    let draft = [
        "key", "rotate", "log", "draft", "--file", &order, "--new", &log_seed,
    ];
    carnet(&registry, &[&draft[..], &["--reason", "a trial"]].concat())?;
    let sign = ["key", "rotate", "log", "sign", &order, "--root"];
    for seed in [root("root-1.seed"), root("root-2.seed")] {
        carnet(&registry, &[&sign[..], &[&seed]].concat())?;
    }
    let submit = ["key", "rotate", "log", "submit", &order, "--yes"];
    let refused = carnet(&registry, &submit);
    assert!(refused.is_err(), "{refused:?}");
    carnet(&registry, &[&sign[..], &[&seed]].concat())?;
    carnet(&registry, &submit)?;
    load.goes_on().await?;
    load.end("the writes").await?;
    registry.all_alive()
}
