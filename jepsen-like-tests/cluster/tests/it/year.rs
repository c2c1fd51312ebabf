//! An operator's year on one cluster, by the commands of the operator's guide, while clients write and read and the checkers look on.

use carnet_cluster::border::{carnet, carnet_in};
use carnet_cluster::clocks::Shift;
use carnet_cluster::jurisdiction::{MANUFACTURER, Plan, REGISTRAR};
use carnet_cluster::patience::until;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;
use carnet_cluster::{Broken, programs};

use crate::faults::hold;
use crate::members::{named, voters};
use crate::rotation::words;

const STOLEN: &str = "manufacturer/0001/stolen";

/// Adds a node that votes once it has caught up.
async fn grow(run: &mut Run, node: u64) -> Result<(), Broken> {
    run.registry.start_node(node)?;
    run.registry.answers(node).await?;
    let new = named(&run.registry, node);
    carnet(&run.registry, &["member", "add", &new, "--vote"])?;
    run.answers(20).await
}

/// New certificates of new keys for every node that runs, taken up without a restart; for whoever works with it; and new roots.
async fn renew(run: &mut Run) -> Result<(), Broken> {
    // What is renewed below is signed by the authority that follows, and what was signed before stays good.
    let root = run.registry.pki().join("root/root-1.seed");
    let root = root.display().to_string();
    let renew = ["pki", "renew", "authority/raft", "--root", &root];
    carnet(&run.registry, &renew)?;
    run.answers(10).await?;
    for node in run.registry.running() {
        let name = format!("node/{node}");
        carnet(&run.registry, &["pki", "renew", &name, "--new-key"])?;
        run.registry.hang_up(node)?;
        until(&format!("node {node} takes them up"), || async {
            match run.registry.said(node, "certificate of the raft plane") {
                true => Ok(()),
                false => Err("not yet".to_owned()),
            }
        })
        .await?;
        run.answers(10).await?;
    }
    carnet(&run.registry, &["pki", "renew", MANUFACTURER])?;
    let at = |path: &str| run.registry.folder().join(path).display().to_string();
    let (next, draft) = (at("next-root"), at("roots.cbor"));
    carnet(&run.registry, &["pki", "root", &next])?;
    let (public, seed) = (at("next-root/root.pub"), at("next-root/root.seed"));
    let before = run
        .registry
        .pki()
        .join("root/root-1.seed")
        .display()
        .to_string();
    let drafted = [
        "root", "rotate", "draft", "--file", &draft, "--root", &public,
    ];
    let drafted = [
        &drafted[..],
        &["--threshold", "1", "--reason", "a year is over"],
    ]
    .concat();
    carnet(&run.registry, &drafted)?;
    for root in [&before, &seed] {
        carnet(
            &run.registry,
            &["root", "rotate", "sign", &draft, "--root", root],
        )?;
    }
    carnet(
        &run.registry,
        &["root", "rotate", "submit", &draft, "--yes"],
    )?;
    let listed = carnet(&run.registry, &["root", "list"])?;
    assert_eq!(listed["replaced"], 1, "{listed}");
    run.answers(20).await
}

/// The key of an office, which lies with its bearer alone: made there, ordered by an admin, put in place and the old one retired there.
async fn rotate_office(run: &mut Run) -> Result<(), Broken> {
    let bearers = run.registry.folder().join("bearer");
    let shown = bearers.display().to_string();
    carnet(&run.registry, &["pki", "bundle", REGISTRAR, &shown])?;
    let rotate = ["key", "rotate", "actor", REGISTRAR, "--person", REGISTRAR];
    let rotate = [&rotate[..], &["--reason", "a year old", "--grace", "1s"]].concat();
    let by_bearer =
        || tokio::task::block_in_place(|| carnet_in(&run.registry, &bearers, REGISTRAR, &rotate));
    let made = by_bearer()?;
    assert_eq!(made["state"], "to be ordered", "{made}");
    let order = words(&made["order"]);
    let order: Vec<&str> = order.iter().map(String::as_str).collect();
    carnet(&run.registry, &order)?;
    let done = by_bearer()?;
    assert_eq!(done["state"], "rotated", "{done}");
    run.answers(10).await
}

/// Lets a member leave for good, and ends it.
async fn shrink(run: &mut Run, node: u64) -> Result<(), Broken> {
    let id = node.to_string();
    let done = carnet(&run.registry, &["member", "remove", &id, "--yes"])?;
    assert_eq!(done["retired"], id.as_str(), "{done}");
    run.gone(node)?;
    run.answers(20).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_year() -> Result<(), Broken> {
    let Some(programs) = programs("an_operators_year") else {
        return Ok(());
    };
    let plan = Plan {
        spare: 3,
        audit_every_s: 1,
        ..Plan::of("XA")
    };
    let load = LoadPlan {
        writers: 2,
        readers: 2,
        robots: 4,
        ..LoadPlan::default()
    };
    let mut run = Run::start(&programs, plan, load).await?;

    // It grows to five.
    grow(&mut run, 4).await?;
    grow(&mut run, 5).await?;
    assert_eq!(voters(&run.registry)?, ["1", "2", "3", "4", "5"]);

    // Everything is renewed.
    renew(&mut run).await?;
    rotate_office(&mut run).await?;

    // A client's certificate is stolen.
    run.registry.make_client(STOLEN, 30, Shift::NONE)?;
    let revoke = ["pki", "revoke", STOLEN, "--reason", "laptop stolen"];
    carnet(&run.registry, &revoke)?;
    let listed = carnet(&run.registry, &["pki", "list", "--server"])?;
    let rows = listed.as_array().cloned().unwrap_or_default();
    assert!(rows.iter().any(|row| row["revoked"] == true), "{listed}");

    // A disk dies.
    let old = run.lose_disk().await?;
    run.answers(20).await?;
    run.registry.start_node(6)?;
    run.registry.answers(6).await?;
    let (gone, new) = (old.to_string(), named(&run.registry, 6));
    let done = carnet(
        &run.registry,
        &["member", "replace", &gone, "--by", &new, "--yes"],
    )?;
    assert_eq!(done["retired"], gone.as_str(), "{done}");
    run.answers(20).await?;

    // Three are enough again: two leave that came, so that the clients still know two, and never the leader.
    let leader = run.registry.leader().await?;
    let came = [6, 5, 4].into_iter().filter(|node| *node != leader);
    let leave: Vec<u64> = came.take(2).collect();
    for node in leave {
        shrink(&mut run, node).await?;
    }
    assert_eq!(voters(&run.registry)?.len(), 3);

    // The leader's machine is looked after, then one dies, and comes back.
    let stopped = run.stop_leader().await?;
    run.another_leads().await?;
    run.answers(20).await?;
    run.registry.start_node(stopped)?;
    run.registry.ready().await?;
    let killed = run.kill_leader().await?;
    run.answers(50).await?;
    run.registry.start_node(killed)?;
    run.registry.ready().await?;
    let to = killed.to_string();
    until("the one that came back leads", || async {
        let moved = carnet(
            &run.registry,
            &["cluster", "transfer-leadership", "--to", &to],
        );
        match moved {
            Ok(led) if led["leader"] == to.as_str() => Ok(()),
            Ok(led) => Err(led.to_string()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    run.answers(50).await?;

    // Who did all that stands in whole chains, which the log knows too.
    until("every chain stands in the log", || async {
        let verified = carnet(&run.registry, &["audit", "verify"]).map_err(|e| e.to_string())?;
        let rows = verified.as_array().cloned().unwrap_or_default();
        let acts = rows.iter().filter(|row| row["chain"] == "acts");
        match acts.clone().count() == 3 && acts.clone().all(|row| !row["in_log"].is_null()) {
            true => Ok(()),
            false => Err(verified.to_string()),
        }
    })
    .await?;
    let least = Least {
        writes: 50,
        reads: 50,
        faults: vec![("kill follower", 1), ("stop leader", 1), ("kill leader", 1)],
    };
    hold(&run.judge(least).await?);
    Ok(())
}
