//! What an operator does about another country: paused, limited, an agreement suspended, resumed, ended.

use std::time::{Duration, Instant};

use carnet_cluster::border::{Border, Side, carnet};
use carnet_cluster::jurisdiction::{Jurisdiction, Plan};
use carnet_cluster::patience::until;
use carnet_cluster::{Broken, programs};
use serde_json::Value;

use crate::members::refused;

/// What the leader of a country says of its only peer.
async fn relation(of: &Jurisdiction) -> Result<(String, u64, String, Vec<String>), String> {
    let leader = of.leader().await.map_err(|error| error.to_string())?;
    let status = of.status(leader).await.map_err(|error| error.to_string())?;
    let peer = status.peers.into_iter().next().ok_or("no peer")?;
    Ok((
        peer.contact,
        peer.contacts,
        peer.last_error,
        peer.agreements,
    ))
}

/// How long ago the leader of a country heard its only peer.
async fn silence(of: &Jurisdiction) -> Result<Duration, String> {
    let leader = of.leader().await.map_err(|error| error.to_string())?;
    let status = of.status(leader).await.map_err(|error| error.to_string())?;
    let peer = status.peers.first().ok_or("no peer")?;
    Ok(Duration::from_millis(peer.last_contact_ms))
}

/// How the only agreement stands, wherever it is shown.
fn stands(of: &Jurisdiction) -> Result<[String; 3], Broken> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed = carnet(of, &["agreement", "list"])?;
    let got = carnet(of, &["agreement", "get", "HARNESS:1", "--peer", "XB"])?;
    let peer = carnet(of, &["peer", "get", "XB"])?;
    Ok([
        text(&listed[0]["stands"]),
        text(&got["stands"]),
        text(&peer["agreements"][0]),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_country_is_paused_limited_and_left_and_an_agreement_suspended() -> Result<(), Broken> {
    const NAME: &str = "a_country_is_paused_limited_and_left_and_an_agreement_suspended";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let border = Border::start(&programs, Plan::of("XA"), Plan::of("XB")).await?;
    let (a, b) = (border.at(Side::A), border.at(Side::B));
    for of in [a, b] {
        until("they hear of each other", || async {
            match relation(of).await? {
                (contact, contacts, ..) if contact == "open" && contacts > 0 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    // A pauses: it asks nobody, and says so to whoever asks.
    carnet(a, &["peer", "pause", "XB", "--reason", "looked into"])?;
    until("B is told", || async {
        let (_, _, error, _) = relation(b).await?;
        match error.contains("contact with XB is paused") {
            true => Ok(()),
            false => Err(error),
        }
    })
    .await?;
    let status = carnet(a, &["cluster", "status"])?.to_string();
    assert!(status.contains("PEER_PAUSED"), "{status}");
    let again = refused(carnet(a, &["peer", "pause", "XB", "--reason", "again"]));
    assert!(again.contains("NOTHING_CHANGES"), "{again}");
    // How much is read of it.
    let limit = [
        "peer", "limits", "XB", "--offers", "7", "--reason", "a flood",
    ];
    carnet(a, &limit)?;
    let shown = carnet(a, &["peer", "limits", "XB"])?;
    assert_eq!(
        (&shown[0]["a_minute"], &shown[0]["limit"]),
        (&"offers".into(), &"7".into())
    );
    // The agreement is suspended, and shown so wherever it is.
    let suspend = [
        "agreement",
        "suspend",
        "HARNESS:1",
        "--peer",
        "XB",
        "--reason",
        "a dispute",
    ];
    carnet(a, &suspend)?;
    for shown in stands(a)? {
        assert!(shown.starts_with("HARNESS v1 suspended until "), "{shown}");
    }
    let (_, _, _, agreements) = relation(a).await.map_err(Broken::new)?;
    assert!(agreements[0].contains("suspended until"), "{agreements:?}");
    let status = carnet(a, &["cluster", "status"])?.to_string();
    assert!(status.contains("AGREEMENT_SUSPENDED"), "{status}");
    let resume = [
        "agreement",
        "resume",
        "HARNESS:1",
        "--peer",
        "XB",
        "--reason",
        "settled",
    ];
    carnet(a, &resume)?;
    assert_eq!(stands(a)?, ["HARNESS v1"; 3].map(str::to_owned));
    let again = refused(carnet(a, &resume));
    assert!(again.contains("is not suspended"), "{again}");
    // Contact goes on.
    let resumed = Instant::now();
    carnet(a, &["peer", "resume", "XB", "--reason", "it was a clock"])?;
    // Whoever is idle publishes nothing that a new stream could bring.
    let limit = [
        "peer",
        "limits",
        "XA",
        "--offers",
        "9",
        "--reason",
        "as we are",
    ];
    carnet(b, &limit)?;
    for of in [a, b] {
        until("they hear of each other again", || async {
            let silent = silence(of).await?;
            match silent < resumed.elapsed() {
                true => Ok(()),
                false => Err(format!("heard {} ms ago", silent.as_millis())),
            }
        })
        .await?;
    }
    // And ends, by the roots.
    carnet(
        a,
        &[
            "peer",
            "remove",
            "XB",
            "--reason",
            "the treaty ended",
            "--yes",
        ],
    )?;
    let peer = carnet(a, &["peer", "get", "XB"])?;
    assert_eq!(peer["contact"], "ended", "{peer}");
    assert_eq!(peer["agreements"], Value::Array(Vec::new()));
    let back = refused(carnet(a, &["peer", "resume", "XB", "--reason", "sorry"]));
    assert!(back.contains("CONTACT_PAUSED"), "{back}");
    Ok(())
}
