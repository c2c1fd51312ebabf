//! Extreme numbers in everything that is signed: no panic, whoever says them and whatever follows.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::encoding::{Canonical, Encoder};
use carnet_domain::log::authority::SignedHeader;
use carnet_domain::log::leaf::Kind;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::{Action, Command};
use carnet_hostile::extremes::Value;
use carnet_hostile::liar::{lies, say};
use carnet_hostile::scene::{act, admit, depart, offer, permit, send_back, two, waiting};
use carnet_kit::{Country, samples};

const NUMBERS: [u64; 8] = [
    0,
    1,
    23,
    255,
    65_535,
    u32::MAX as u64,
    u64::MAX - 1,
    u64::MAX,
];

/// The bytes with one unsigned integer set to an extreme, for every integer and every extreme.
fn extremes(bytes: &[u8]) -> Vec<Vec<u8>> {
    let whole = Value::read(bytes).expect("canonical bytes");
    let mut all = Vec::new();
    for place in 0..integers(&whole) {
        for number in NUMBERS {
            let mut changed = whole.clone();
            set(&mut changed, &mut place.clone(), number);
            all.push(changed.to_bytes());
        }
    }
    all
}

fn integers(value: &Value) -> usize {
    match value {
        Value::Uint(_) => 1,
        Value::Array(list) => list.iter().map(integers).sum(),
        _ => 0,
    }
}

fn set(value: &mut Value, place: &mut usize, to: u64) -> bool {
    match value {
        Value::Uint(number) if *place == 0 => {
            *number = to;
            true
        }
        Value::Uint(_) => {
            *place -= 1;
            false
        }
        Value::Array(list) => list.iter_mut().any(|one| set(one, place, to)),
        _ => false,
    }
}

const EVERYBODY: [&str; 12] = [
    "registrar",
    "admin",
    "customs",
    "regulator",
    "maker",
    "importer",
    "dealer",
    "service",
    "recycler",
    "operator",
    "owner",
    "declarant",
];

/// Probe z01.
#[test]
fn extreme_numbers_in_every_command_of_everybody_stop_nobody() {
    let (a, _) = two();
    let mut commands = samples::commands(&a);
    let actions = samples::actions().into_iter();
    commands.extend(actions.map(|action| act(a.code(1), action)));
    let mut tried = 0;
    for command in &commands {
        for bytes in extremes(&command.to_bytes()) {
            let Ok(changed) = Command::from_bytes(&bytes) else {
                continue;
            };
            let mut country = a.clone();
            for name in EVERYBODY {
                country.command(name, changed.clone());
                tried += 1;
            }
            country.close();
        }
    }
    assert!(tried > 2_000, "{tried} commands");
}

/// Probe z02.
#[test]
fn extreme_numbers_in_entries_and_mail_stop_nobody() {
    let mut tried = 0;
    let mut attack = |country: &Country, body: &Body| {
        for bytes in extremes(&body.to_bytes()) {
            let Ok(changed) = Body::from_bytes(&bytes) else {
                continue;
            };
            let mut country = country.clone();
            country.apply_unrenewed(changed);
            country.close();
            tried += 1;
        }
    };
    let (mut a, mut b) = two();
    let mut asked = a.clone();
    let commands: Vec<Command> = (10..14).map(|serial| asked.register(serial)).collect();
    let header = asked.header("maker", &commands);
    let part = asked.part("maker", &header, &commands, 1, 2);
    attack(&asked, &asked.client_body(part));
    attack(&a, &a.opening("maker", [1; 16]));
    attack(&a, &Country::confirmation(a.clock));
    let code = a.code(1);
    let steps: [(usize, Command); 4] = [
        (0, offer(&a, &b, code, 1)),
        (1, permit(&b, 1, Vec::new())),
        (0, depart(1)),
        (1, admit(1)),
    ];
    for (who, command) in steps {
        let (from, to) = match who {
            0 => (&mut a, &mut b),
            _ => (&mut b, &mut a),
        };
        from.must("customs", command);
        let body = Body::Foreign {
            batch: waiting(from, to),
        };
        attack(to, &body);
        to.apply(body);
    }
    a.seal();
    let sealed = a.registry().sealed.expect("sealed");
    let published = Body::Publish {
        size: sealed.size,
        root: sealed.root,
        signatures: vec![carnet_domain::record::keys::KeySignature {
            key: a.key("log").public(),
            signature: carnet_domain::bytes::signature::Signature([0; 64]),
        }],
    };
    attack(&a, &published);
    assert!(tried > 100, "{tried} entries");
}

/// Probe z03.
#[test]
fn extreme_numbers_in_a_signed_header_stop_nobody() {
    let mut a = Country::with_market("86");
    let commands: Vec<Command> = (10..14).map(|serial| a.register(serial)).collect();
    let header = a.header("maker", &commands);
    let mut tried = 0;
    for bytes in extremes(&header.to_bytes()) {
        let Ok(changed) = SignedHeader::from_bytes(&bytes) else {
            continue;
        };
        for (first, count) in [(0, 4), (1, 2)] {
            let mut country = a.clone();
            let request = country.part("maker", &changed, &commands, first, count);
            country.ask(request.clone());
            country.ask(request);
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried} headers");
}

/// The leaf that a country told another at this place, by its slots.
fn said(
    country: &Country,
    to: &carnet_domain::bytes::code::Prefix,
    place: usize,
) -> carnet_domain::log::leaf::Slots {
    let (_, index) = country.ledger.mailbox(to, 0)[place];
    let Ok(record) = country.ledger.leaf(index);
    let mut slots = carnet_domain::log::leaf::Slots::new();
    let values = record.expect("a leaf").values;
    for (slot, value) in slots.values.iter_mut().zip(values) {
        *slot = value.map(|bytes| bytes.0);
    }
    slots
}

/// Probe z04: every integer of every slot of an offer and of a departure, and what follows at the importer.
#[test]
fn extreme_numbers_in_what_a_peer_signs_stop_nobody() {
    let (a, b) = two();
    let (mut lawful, mut other) = (a.clone(), b.clone());
    let code: Code = a.code(1);
    let declared = offer(&a, &b, code, 1);
    lawful.must("customs", declared);
    lawful.deliver(&mut other);
    other.must("customs", permit(&other, 1, Vec::new()));
    other.deliver(&mut lawful);
    lawful.must("customs", depart(1));
    let steps = [said(&lawful, &b.prefix, 0), said(&lawful, &b.prefix, 1)];
    let (mut tried, mut admitted) = (0, 0);
    for which in 0..2 {
        for at in 0..16 {
            let Some(value) = &steps[which].values[at] else {
                continue;
            };
            for bytes in extremes(value) {
                let (mut liar, mut victim) = (a.clone(), b.clone());
                let mut told = steps.clone();
                told[which].values[at] = Some(bytes);
                say(
                    &mut liar,
                    Kind::Custody,
                    &code,
                    told[0].clone(),
                    &victim.prefix,
                );
                let batch = lies(&mut liar, &victim);
                victim.apply(Body::Foreign { batch });
                let permitted = permit(&victim, 1, Vec::new());
                victim.command("customs", permitted);
                victim.close();
                // The departure follows the offer that was made.
                if which == 0 || at != usize::from(slot::CUSTODY) {
                    let Ok(asked) = victim.ledger.robot(&code);
                    if let Some(asked) = asked {
                        let mut link = last_link(&told[1]);
                        (link.prev, link.epoch) = (asked.custody.link, asked.custody.epoch);
                        told[1].set(slot::CUSTODY, &link);
                    }
                }
                say(
                    &mut liar,
                    Kind::Custody,
                    &code,
                    told[1].clone(),
                    &victim.prefix,
                );
                let batch = lies(&mut liar, &victim);
                victim.apply(Body::Foreign { batch });
                let mut returned = victim.clone();
                let done = victim.command("customs", admit(1));
                admitted += usize::from(matches!(
                    done,
                    carnet_domain::machine::entry::ItemAnswer::Done { .. }
                ));
                victim.close();
                victim.command("registrar", act(code, Action::Stock { at: None }));
                let back = offer(&victim, &liar, code, 2);
                victim.command("customs", back);
                victim.close();
                returned.command("customs", send_back(1));
                returned.close();
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried} lies");
    assert!(admitted > 20, "{admitted} of {tried} came to admission");
}

fn last_link(slots: &carnet_domain::log::leaf::Slots) -> carnet_domain::custody::Link {
    let bytes = slots.values[usize::from(slot::CUSTODY)].as_ref();
    Canonical::from_bytes(bytes.expect("a link")).expect("a link")
}

/// Probe f19: odd texts are no codes, and stop nobody who reads them.
#[test]
fn odd_texts_are_no_codes() {
    let odd = [
        "\u{ff18}\u{ff16}00110000200000000000000001",
        "\0",
        "",
        "86\u{2010}0001-100002-00000000000000001",
        "86-0001\u{ad}-100002-00000000000000001",
        "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}8",
        "86-0001-100002-0000000000000000\u{661}",
        "\u{1f916}\u{1f916}\u{1f916}\u{1f916}\u{1f916}\u{1f916}\u{1f916}8",
        "\u{130}6000110000200000000000000001",
        "\u{17f}K000110000200000000000000001",
        "86 0001 100002 00000000000000001",
        "86-000110000200000000000000001",
        "8-6000110000200000000000000001",
    ];
    for text in odd {
        assert!(Code::parse(text).is_err(), "{text:?}");
    }
    let good = "86000110000200000000000000001";
    for at in 0..good.len() {
        for odd in [
            "\0",
            "-",
            "\u{e9}",
            "\u{ff11}",
            " ",
            "\u{10ffff}",
            "\u{300}",
        ] {
            let mut text = good.to_owned();
            text.replace_range(at..=at, odd);
            assert!(Code::parse(&text).is_err(), "{text:?}");
        }
    }
    let mut e = Encoder::new();
    e.text("86-0001-100002-00000000000000001");
    // In canonical bytes there is one spelling.
    assert!(Code::from_bytes(&e.finish()).is_err());
}
