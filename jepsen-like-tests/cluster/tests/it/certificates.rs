//! Who is let in on which plane: a certificate of another plane, another country or another time is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use carnet_client::admin::Admin;
use carnet_client::{Client, ClientError, Identity};
use carnet_cluster::Broken;
use carnet_cluster::border::carnet;
use carnet_cluster::clocks::{Shift, Shim};
use carnet_cluster::jurisdiction::{ADMIN, Jurisdiction, MANUFACTURER, Plan, REGISTRAR};
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::{IdentifierScheme, Maker};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;

const DEADLINE: Duration = Duration::from_secs(5);

/// An identity of one folder's keys, for the registry of another.
fn identity(
    keys: &Jurisdiction,
    who: &str,
    plane: &str,
    registry: &Jurisdiction,
) -> Result<Identity, Broken> {
    let file = |ending: &str| {
        keys.pki()
            .join(format!("clients/{}{plane}.{ending}", who.replace('/', "-")))
    };
    let roots = registry.pki().join("root/roots.crt");
    Identity::from_files(roots, file("crt"), file("key"), Some(registry.prefix()))
        .map_err(Broken::at(who))
}

async fn read_head(of: &Jurisdiction, identity: Identity) -> Result<(), ClientError> {
    let client = Client::builder([of.client_address(1)], identity)
        .deadline(DEADLINE)
        .build()?;
    client.unverified().checkpoint(0, 0).await.map(drop)
}

async fn read_status(of: &Jurisdiction, identity: Identity) -> Result<(), ClientError> {
    let admin = Admin::new([of.admin_address(1)], identity.admin(), DEADLINE)?;
    admin.status(&of.admin_address(1), false).await.map(drop)
}

/// Refused by the handshake, and said to be: in TLS 1.3 the server refuses after the client has begun to speak, and once the client
/// saw now this and now a connection that broke.
fn refused(outcome: Result<(), ClientError>, what: &str) {
    match outcome {
        Err(ClientError::CertificateRefused { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

/// The right certificates are let in: what is refused beside them is not refused because the node is away.
async fn serves(registry: &Jurisdiction) -> Result<(), Broken> {
    let client = identity(registry, MANUFACTURER, "", registry)?;
    let head = read_head(registry, client).await;
    head.map_err(Broken::at("client plane"))?;
    let admin = identity(registry, ADMIN, ".admin", registry)?;
    let status = read_status(registry, admin).await;
    status.map_err(Broken::at("admin plane"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_certificates_of_the_plane_and_country_are_let_in() -> Result<(), Broken> {
    let Some(programs) = programs("only_certificates_of_the_plane_and_country_are_let_in") else {
        return Ok(());
    };
    let registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let foreign = Jurisdiction::lay_out(&programs, Plan::of("XB"))?;

    serves(&registry).await?;

    let on_client = identity(&registry, ADMIN, ".admin", &registry)?;
    refused(
        read_head(&registry, on_client).await,
        "an admin-plane certificate on the client plane",
    );
    let on_admin = identity(&registry, ADMIN, "", &registry)?;
    refused(
        read_status(&registry, on_admin).await,
        "a client-plane certificate on the admin plane",
    );
    let abroad = identity(&foreign, MANUFACTURER, "", &registry)?;
    refused(
        read_head(&registry, abroad).await,
        "a certificate of another country",
    );
    let abroad = identity(&foreign, ADMIN, ".admin", &registry)?;
    refused(
        read_status(&registry, abroad).await,
        "an admin of another country",
    );
    serves(&registry).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_time_is_not_let_in() -> Result<(), Broken> {
    const NAME: &str = "a_certificate_of_another_time_is_not_let_in";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let Some(shim) = Shim::compiled(NAME)? else {
        return Ok(());
    };
    let plan = Plan {
        clocks: Some(shim),
        keys_made: Shift::days(-3),
        ..Plan::of("XA")
    };
    let later = Shift::days(-2);
    let registry = Jurisdiction::start(&programs, plan).await?;
    registry.make_client("manufacturer/0001/valid", 30, later)?;
    registry.make_client("manufacturer/0001/late", 1, later)?;

    let valid = identity(&registry, "manufacturer/0001/valid", "", &registry)?;
    read_head(&registry, valid)
        .await
        .map_err(Broken::at("a certificate in its time"))?;
    let late = identity(&registry, "manufacturer/0001/late", "", &registry)?;
    refused(
        read_head(&registry, late).await,
        "a certificate that has expired",
    );
    serves(&registry).await
}

/// How many connections to the client plane of a node ended because their certificate was refused from then on.
async fn lapsed(of: &Jurisdiction, node: u64) -> Result<u64, Broken> {
    let status = of.status(node).await?;
    let ports = status.ports.iter().filter(|port| port.plane == "client");
    let turned = ports.flat_map(|port| &port.turned);
    Ok(turned
        .filter(|one| one.reason == "lapsed")
        .map(|one| one.count)
        .sum())
}

/// A certificate is stolen and revoked: it is dead on every node, the connections that were open with it are closed, and nobody
/// else notices. A node that was away learns of it, and one that starts again refuses it before it hears anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_is_dead_on_every_node_and_its_open_connections_end()
-> Result<(), Broken> {
    let Some(programs) =
        programs("a_revoked_certificate_is_dead_on_every_node_and_its_open_connections_end")
    else {
        return Ok(());
    };
    const STOLEN: &str = "manufacturer/0001/stolen";
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let nodes = registry.running();
    registry.make_client(STOLEN, 30, Shift::NONE)?;
    let client = |who: &str, node: u64| {
        let identity = identity(&registry, who, "", &registry)?;
        let client = Client::builder([registry.client_address(node)], identity);
        client.deadline(DEADLINE).build().map_err(Broken::at(who))
    };
    let (mut thieves, mut honest) = (Vec::new(), Vec::new());
    for node in &nodes {
        thieves.push(client(STOLEN, *node)?);
        honest.push(client(MANUFACTURER, *node)?);
    }
    for client in thieves.iter().chain(&honest) {
        let head = client.unverified().checkpoint(0, 0).await;
        head.map_err(Broken::at("an open connection"))?;
    }
    let away = *nodes.last().ok_or_else(|| Broken::new("no nodes"))?;
    registry.pause(away)?;

    let revoke = ["pki", "revoke", STOLEN, "--reason", "laptop stolen"];
    carnet(&registry, &revoke)?;
    registry.resume(away)?;
    for node in &nodes {
        until(&format!("node {node} cuts the connection"), || async {
            match lapsed(&registry, *node).await {
                Ok(0) => Err("no connection ended".to_owned()),
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
    }
    for (thief, client) in thieves.iter().zip(&honest) {
        let head = thief.unverified().checkpoint(0, 0).await.map(drop);
        refused(head, "the certificate that was revoked");
        let head = client.unverified().checkpoint(0, 0).await;
        head.map_err(Broken::at("another certificate of the same enterprise"))?;
    }
    for node in &nodes {
        assert_eq!(lapsed(&registry, *node).await?, 1, "and no other");
    }
    let listed = carnet(&registry, &["pki", "list", "--server"])?;
    let rows = listed.as_array().cloned().unwrap_or_default();
    let revoked = rows.iter().filter(|row| row["revoked"] == true);
    let revoked: Vec<_> = revoked.map(|row| row["reason"].as_str()).collect();
    assert_eq!(revoked, [Some("laptop stolen")], "{listed}");

    registry.kill(away)?;
    registry.start_node(away)?;
    registry.ready().await?;
    let identity = identity(&registry, STOLEN, "", &registry)?;
    let thief = Client::builder([registry.client_address(away)], identity);
    let thief = thief.deadline(DEADLINE).build();
    let head = thief.map_err(Broken::at(STOLEN))?;
    let head = head.unverified().checkpoint(0, 0).await.map(drop);
    refused(head, "the certificate that was revoked, after a start");

    carnet(
        &registry,
        &["pki", "unrevoke", STOLEN, "--reason", "found again"],
    )?;
    until("the certificate is taken again", || async {
        let head = thieves[0].unverified().checkpoint(0, 0).await;
        head.map(drop).map_err(|error| error.to_string())
    })
    .await
}

/// Every certificate of every node is replaced, with new keys, while somebody reads and writes all the time: no request fails, no
/// node is started again, and what cannot be used is refused by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_under_load_without_a_failed_request() -> Result<(), Broken> {
    let Some(programs) = programs("certificates_are_renewed_under_load_without_a_failed_request")
    else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let nodes = registry.running();
    let client = registry.client(REGISTRAR, &nodes)?.build();
    let client = Arc::new(client.map_err(Broken::at(REGISTRAR))?);
    let (done, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let load = tokio::spawn({
        let (client, done, asked) = (Arc::clone(&client), Arc::clone(&done), Arc::clone(&asked));
        async move {
            for number in 0..10_000_000_u32 {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let code = format!("{:04}", 1_000 + number % 9_000);
                let accredit = accreditation(&code).map_err(|error| error.to_string())?;
                // A "no" is an answer; a failure is none.
                match client.submit_one(accredit).await {
                    Ok(_) | Err(ClientError::Refused(_)) => {}
                    Err(error) => return Err(format!("write {number}: {error}")),
                }
                let read = client.unverified().registry().await;
                read.map_err(|error| format!("read {number}: {error}"))?;
                asked.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }
    });
    let more = |than: u64, by: u64| {
        let asked = Arc::clone(&asked);
        async move {
            until("requests are answered", || async {
                let now = asked.load(Ordering::Relaxed);
                if now >= than + by {
                    Ok(now)
                } else {
                    Err(format!("{now}"))
                }
            })
            .await
        }
    };
    let mut count = more(0, 5).await?;
    // Two authorities of each plane are in force while the nodes change over to the new ones, one by one.
    let root = registry
        .pki()
        .join("root/root-1.seed")
        .display()
        .to_string();
    for plane in ["raft", "federation", "client", "admin"] {
        let name = format!("authority/{plane}");
        carnet(&registry, &["pki", "renew", &name, "--root", &root])?;
    }
    for node in &nodes {
        let name = format!("node/{node}");
        carnet(
            &registry,
            &["pki", "renew", &name, "--new-key", "--days", "90"],
        )?;
        registry.hang_up(*node)?;
        until(&format!("node {node} takes them up"), || async {
            match registry.said(*node, "certificate of the raft plane") {
                true => Ok(()),
                false => Err("not yet".to_owned()),
            }
        })
        .await?;
        count = more(count, 5).await?;
    }
    // What is of no use is refused by name, and the node goes on.
    let first = nodes
        .first()
        .copied()
        .ok_or_else(|| Broken::new("no nodes"))?;
    let path = registry.pki().join(format!("nodes/{first}/client.crt"));
    let other = registry.pki().join(format!("nodes/{first}/admin.crt"));
    std::fs::copy(other, path).map_err(Broken::at("a wrong certificate"))?;
    registry.hang_up(first)?;
    until("the wrong certificate is refused", || async {
        let said = "not taken up, what was in use stays: certificate of the client plane";
        match registry.said(first, said) {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        }
    })
    .await?;
    more(count, 5).await?;
    done.store(true, Ordering::Relaxed);
    let outcome = load.await.map_err(Broken::at("the load"))?;
    outcome.map_err(Broken::new)?;
    registry.all_alive()?;
    // New handshakes of nodes and clients alike.
    serves(&registry).await?;
    for node in &nodes {
        registry.status(*node).await?;
    }
    Ok(())
}

fn accreditation(code: &str) -> Result<Command, Broken> {
    Ok(Command::AccreditEnterprise {
        code: code.parse().map_err(Broken::at("a code"))?,
        name: format!("enterprise {code}"),
        maker: Maker {
            scheme: IdentifierScheme::Name,
            country: "CN".into(),
            identifier: format!("ENTERPRISE-{code}"),
        },
        roles: vec![Role::Dealer],
        valid_from: TimeMs::EPOCH,
        valid_to: TimeMs::MAX,
    })
}
