//! What once stopped every replica of a country for ever, sent to real processes: by a client with valid keys, and by a
//! country whose mailbox holds one poisoned item. Afterwards every node serves, now and after a restart.

use carnet_cluster::Broken;
use carnet_cluster::check::{Look, replicas_equal};
use carnet_cluster::hostile::{Attacker, HostilePeer};
use carnet_cluster::jurisdiction::{ADMIN, Jurisdiction, MANUFACTURER, Plan, REGISTRAR};
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::custody::{Link, Step};
use carnet_domain::log::leaf::{Kind, Slots, Subject};
use carnet_domain::machine::entry::{ItemAnswer, MailBatch};
use carnet_domain::record::event::slot;
use carnet_domain::rules::command::{Action, Command, Papers, Purpose};
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_kit::forge::Forged;
use carnet_kit::{Country, agreed, befriend, transfer};

const NODES: [u64; 3] = [1, 2, 3];

/// Every node follows one leader, a write is accepted, and all replicas are alike; `number` makes each write its own.
async fn serves(of: &mut Jurisdiction, number: u8) -> Result<(), Broken> {
    of.ready().await?;
    let admin = of
        .client(ADMIN, &NODES)?
        .build()
        .map_err(Broken::at("admin"))?;
    let key = carnet_domain::bytes::signature::SecretKey::from_seed(&[number; 32]);
    let add = of.enrol_customs(&key, number);
    admin.submit_one(add).await.map_err(Broken::at("a write"))?;
    of.ready().await?;
    let here = &*of;
    until("all replicas stand at one index", || async {
        let mut looks = Vec::new();
        for node in NODES {
            let said = here.status_with_digest(node).await;
            let said = said.map_err(|error| error.to_string())?;
            looks.push(Look {
                node,
                term: said.term,
                last_log: said.last_log,
                applied: said.applied,
                snapshot: said.snapshot,
                purged: said.purged,
                state: Some((said.state_digest.to_vec(), said.tree_size)),
            });
        }
        let differ = replicas_equal(&looks);
        assert!(differ.is_empty(), "{differ:?}");
        if looks.iter().all(|look| look.applied == looks[0].applied) {
            Ok(())
        } else {
            Err(format!("{looks:?}"))
        }
    })
    .await
}

/// As [`serves`], and again after every node was killed at once and started on what it has.
async fn serves_now_and_after_a_restart(of: &mut Jurisdiction) -> Result<(), Broken> {
    serves(of, 1).await?;
    for node in of.kill_all()? {
        of.start_node(node)?;
    }
    serves(of, 2).await
}

fn retire(of: &Jurisdiction) -> Result<Command, Broken> {
    let code = format!("{}0001100002{:017}", of.prefix(), 1);
    Ok(Command::Act {
        code: Code::parse(&code).map_err(Broken::at("a code"))?,
        expected_sequence: None,
        action: Action::Retire { reason: "x".into() },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_lies_beside_its_signature_stops_nobody() -> Result<(), Broken> {
    let Some(programs) = programs("a_client_that_lies_beside_its_signature_stops_nobody") else {
        return Ok(());
    };
    let mut registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let leader = registry.leader().await?;
    let mut attacker = Attacker::connect(&registry, MANUFACTURER, leader).await?;
    let command = retire(&registry)?;
    let mut said = Vec::new();

    // The first item at the last number, and at the last that a request can have.
    for first in [u32::MAX, 9_999] {
        let header = attacker.header(std::slice::from_ref(&command));
        let mut request = attacker.request(&header, std::slice::from_ref(&command));
        request.first_item = first;
        said.push(attacker.send(&request).await?);
    }
    // A signed number of the request at its last.
    let mut header = attacker.header(std::slice::from_ref(&command));
    header.sequence = u64::MAX;
    let request = attacker.request(&header, std::slice::from_ref(&command));
    said.push(attacker.send(&request).await?);
    // Signed with a key that nobody enrolled: it is not brought into the log.
    let mut stranger = Attacker::connect(&registry, MANUFACTURER, leader).await?;
    stranger.takes_another_key();
    let header = stranger.header(std::slice::from_ref(&command));
    let request = stranger.request(&header, std::slice::from_ref(&command));
    let refused = stranger.send(&request).await?.expect_err("no answer");
    assert!(refused.starts_with("SignerUnknown"), "{refused}");
    // A text and a list that no record may hold, signed and in place.
    let mut attacker = Attacker::connect(&registry, REGISTRAR, leader).await?;
    let Command::Act { code, .. } = &command else {
        return Err(Broken::new("an action"));
    };
    let long = Command::SetHold {
        code: *code,
        kind: HoldKind::Theft,
        reason: "x".repeat(513),
    };
    let header = attacker.header(std::slice::from_ref(&long));
    let request = attacker.request(&header, std::slice::from_ref(&long));
    said.push(attacker.send(&request).await?);

    let words: Vec<String> = said
        .iter()
        .map(|said| match said {
            Err(refused) => format!("refused: {refused}"),
            Ok(answer) => match &answer.items[..] {
                [ItemAnswer::Refused { rejection }] => format!("answered: {rejection}"),
                other => format!("answered: {other:?}"),
            },
        })
        .collect();
    let expected = [
        "at most 9999 is allowed here, found 4294967295",
        "the items are not those under the signature",
        "at most 281474976710656 is allowed here, found 18446744073709551615",
        "Malformed (9)",
    ];
    for (words, expected) in words.iter().zip(expected) {
        assert!(words.contains(expected), "{words}");
    }
    serves_now_and_after_a_restart(&mut registry).await
}

/// A country that lies, as its log would be: recognised by nobody but the kit's `XA`, which stands for the victim.
fn liar() -> (Country, Prefix) {
    let mut liar = Country::with_market("XB");
    let mut victim = Country::with_market("XA");
    befriend(&mut liar, &mut victim);
    (liar, victim.prefix)
}

/// An offer of a robot of its own whose epoch is the last number there is.
fn epoch_at_the_end() -> (Country, MailBatch) {
    let (mut liar, victim) = liar();
    let code = liar.code(7);
    let offer = Command::DeclareExport {
        code,
        transfer: transfer(1),
        to: victim,
        purpose: Purpose::PermanentExport,
        offer_until: liar.clock,
        agreement: agreed(liar.prefix, victim),
        papers: Papers::default(),
    };
    let link = Link {
        step: Step::Offer,
        transfer: Some(transfer(1)),
        epoch: u64::MAX,
        from: Some(liar.prefix),
        to: victim,
        prev: Digest::ZERO,
        agreement: Some(agreed(liar.prefix, victim)),
    };
    let mut slots = Slots::new();
    slots.set(slot::CODE, &code.as_str().to_owned());
    slots.set(slot::EVENT, &offer);
    slots.set(slot::CUSTODY, &link);
    let forged = Forged {
        kind: Kind::Custody.number(),
        subject: Subject::robot(&code),
        slots,
        status: 7,
    };
    liar.forge(forged, &victim);
    liar.close();
    let batch = liar.lying_mail(&victim, 0, 0);
    (liar, batch)
}

/// A departure proven by a map head at the last index there is.
fn map_head_at_the_end() -> (Country, MailBatch) {
    let (mut liar, victim) = liar();
    liar.must("maker", liar.register(7));
    liar.must("customs", liar.declare(7, transfer(1), &victim));
    liar.close();
    let mut batch = liar.lying_mail(&victim, 0, 0);
    let item = batch.items.first_mut().expect("the offer is in the mail");
    let newest = item
        .newest
        .as_mut()
        .expect("its place in the map is proven");
    newest.map_head.index = u64::MAX;
    (liar, batch)
}

/// Has the victim follow a country that serves one batch; gives back when `seen` is found in a node's log or the record of
/// the peer.
async fn follow(
    victim: &mut Jurisdiction,
    keys: &Jurisdiction,
    (liar, batch): (Country, MailBatch),
    seen: &str,
    cursor: u64,
) -> Result<(), Broken> {
    let peer = HostilePeer::serve(keys, batch.to_bytes()).await?;
    let recognition = peer.recognition(victim, keys, liar.key("log").public())?;
    let admin = victim.admin(&NODES, std::time::Duration::from_secs(10))?;
    let answer = admin
        .submit_statement(&recognition)
        .await
        .map_err(Broken::at("recognition"))?;
    assert!(
        matches!(answer.items[..], [ItemAnswer::Done { .. }]),
        "{answer:?}"
    );
    let client = victim
        .client(REGISTRAR, &NODES)?
        .build()
        .map_err(Broken::at("registrar"))?;
    let here = &*victim;
    until("the poisoned item was looked at", || async {
        let record = client.unverified().peer(keys.prefix()).await;
        let at = record.map_err(|error| error.to_string())?.value.cursor;
        let told = NODES.iter().any(|node| {
            std::fs::read_to_string(here.log(*node)).is_ok_and(|log| log.contains(seen))
        });
        if at == cursor && (told || seen.is_empty()) {
            Ok(())
        } else {
            Err(format!("cursor {at}, said: {told}"))
        }
    })
    .await?;
    serves_now_and_after_a_restart(victim).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_one_poisoned_item_stops_nobody() -> Result<(), Broken> {
    let Some(programs) = programs("a_peer_with_one_poisoned_item_stops_nobody") else {
        return Ok(());
    };
    let mut victim = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let keys = Jurisdiction::lay_out(&programs, Plan::of("XB"))?;
    // The item is proven, so it is answered by a leaf and the feed goes on.
    follow(&mut victim, &keys, epoch_at_the_end(), "", 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_proof_ends_nowhere_stops_nobody() -> Result<(), Broken> {
    let Some(programs) = programs("a_peer_whose_proof_ends_nowhere_stops_nobody") else {
        return Ok(());
    };
    let mut victim = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let keys = Jurisdiction::lay_out(&programs, Plan::of("XB"))?;
    // Nobody's statement: it is not believed, the cursor stays, and the node says why.
    let why = "at most 281474976710656 is allowed here";
    follow(&mut victim, &keys, map_head_at_the_end(), why, 0).await
}
