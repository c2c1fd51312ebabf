//! The published vectors: made from the code, compared byte for byte. `CARNET_VECTORS=write` writes them anew.

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, keystream};
use carnet_domain::bytes::encoding::{Blob, Canonical, tag};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::authority::{Envelope, SignedHeader, item_root};
use carnet_domain::log::checkpoint::{Checkpoint, Origin};
use carnet_domain::log::leaf::{
    EntrySeed, Expansion, GROUPS, Kind, Leaf, Slots, Subject, SubjectType, leaf_bytes_hash,
    leaf_seed, personal_commitment, slot_names,
};
use carnet_domain::log::map::{
    MapAnswer, MapValue, PageMap, RobotStatus, SubjectStatus, prove, update,
};
use carnet_domain::log::merkle::{
    consistency_proof, inclusion_proof, leaf_hash, range_proof, tree_root,
};
use carnet_domain::log::passport;
use carnet_domain::record::RobotKey;
use serde_json::{Value, json};

use crate::values::{d, key};

/// Compares a published file with what the code makes, or writes it.
#[expect(
    clippy::disallowed_methods,
    reason = "the vectors are files; the crate itself reads none"
)]
fn check(name: &str, value: &Value) {
    let path = format!("../vectors/{name}.json");
    let text = serde_json::to_string_pretty(value).expect("JSON") + "\n";
    if std::env::var("CARNET_VECTORS").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, &text).expect("the vectors can be written");
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(published == text, "{path} differs from what the code makes");
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

fn hexes(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(hex).collect()
}

fn code() -> Code {
    Code::parse("86000110000200000000000000042").expect("a code")
}

fn seed() -> [u8; 32] {
    leaf_seed(&EntrySeed(d("entry seed").0), 0)
}

pub(crate) fn sample_slots() -> Slots {
    let mut slots = Slots::new();
    slots.set(0, &code());
    slots.set(1, &code().model_id());
    slots.set(2, &d("body"));
    slots.set(6, &personal_commitment(&[7; 16], &"owner".to_owned()));
    slots.set(8, &vec![1u64, 2, 3]);
    slots.set(13, &Expansion::of(&seed()).custody_secret());
    slots
}

pub(crate) fn sample_leaf() -> Leaf {
    Leaf {
        version: 0,
        kind: Kind::Register,
        key: Subject::robot(&code()).key(),
        seq: 0,
        prev: Digest::ZERO,
        t_ms: TimeMs(1_779_264_000_000),
        record_root: sample_slots().root(&seed()),
        auth: Expansion::of(&seed()).auth(3, d("D")),
    }
}

#[test]
fn codes() {
    let good = [
        "86000110000200000000000000042",
        "86-0001-100002-00000000000000042",
        "CN0A01H1G00200000000000000042",
        "cn-0a01-h1g002-0000000000000004z",
        "00000000000000000000000000000",
        "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "81000200000399999999999999999",
    ];
    let good: Vec<Value> = good
        .iter()
        .map(|text| {
            let code = Code::parse(text).expect("a code");
            json!({
                "text": text, "canonical": code.as_str(), "display": code.display_form(),
                "scheme": code.prefix().scheme().as_str(), "sandbox": code.prefix().is_sandbox(),
                "enterprise": code.enterprise_id().as_str(), "model": code.model_id().as_str(),
                "serial": code.serial().as_str(), "key": hex(code.to_key()), "label": code.with_suffix(),
                "cbor": hex(code.to_bytes()),
            })
        })
        .collect();
    let bad = [
        "",
        "8",
        "8N0001100002000000000000000042",
        "C6000110000200000000000000042",
        "86-00A1-100002-00000000000000042",
        "86-0001100002-00000000000000042",
        "860001-100002-00000000000000042",
        "8600011000020000000000000004",
        "860001100002000000000000000421",
        " 86000110000200000000000000042",
        "CN0A01H1Gß0200000000000000042",
    ];
    let bad: Vec<Value> = bad
        .iter()
        .map(|text| json!({ "text": text, "error": Code::parse(text).expect_err("no code").to_string() }))
        .collect();
    let label = format!("{}00", code());
    let bad_label = Code::parse_with_suffix(&label)
        .expect_err("wrong digits")
        .to_string();
    check(
        "codes",
        &json!({
            "valid": good, "invalid": bad, "invalid_label": { "text": label, "error": bad_label },
        }),
    );
}

#[test]
fn header() {
    let items: Vec<Vec<u8>> = (0u64..3)
        .map(|i| (i, format!("item {i}")).to_bytes())
        .collect();
    let header = sample_header(&items);
    let secret = key("vector actor");
    let signature = secret.sign(&header.signing_bytes());
    check(
        "header",
        &json!({
            "domain": tag::COMMAND,
            "fields": {
                "prefix": header.prefix.as_str(), "incarnation": header.incarnation, "key": header.key.to_string(),
                "session": header.session, "sequence": header.sequence, "not_after": header.not_after.as_ms(),
                "kind": header.kind, "item_count": header.item_count,
                "part_items": header.part_items, "item_root": hex(header.item_root),
            },
            "seed": hex(d("vector actor")), "public_key": secret.public().to_string(),
            "items": items.iter().map(hex).collect::<Vec<_>>(),
            "cbor": hex(header.to_bytes()), "signing_bytes": hex(header.signing_bytes()),
            "signature": signature.to_string(),
        }),
    );
}

fn sample_header(items: &[Vec<u8>]) -> SignedHeader {
    SignedHeader {
        prefix: Prefix::new("86").expect("a prefix"),
        incarnation: 0,
        key: key("vector actor").public().key_id(),
        session: 7,
        sequence: 1,
        not_after: TimeMs(1_779_264_060_000),
        kind: 4,
        item_count: items.len() as u32,
        part_items: 2,
        item_root: item_root(items.iter().map(|item| &item[..])),
    }
}

#[test]
fn envelope() {
    let items: Vec<Vec<u8>> = (0u64..3)
        .map(|i| (i, format!("item {i}")).to_bytes())
        .collect();
    let header = sample_header(&items);
    let hashes: Vec<Digest> = items.iter().map(|item| leaf_bytes_hash(item)).collect();
    let leaf = sample_leaf();
    let origin = Origin::parse("carnet/49/0").expect("an origin");
    let checkpoint = Checkpoint {
        origin,
        size: 1,
        root: leaf.hash(),
    };
    let actor = |first: usize| Envelope::Actor {
        header: Blob(header.to_bytes()),
        signature: key("vector actor").sign(&header.signing_bytes()),
        first_item: first as u32,
        items: items[first..].iter().cloned().map(Blob).collect(),
        range_proof: range_proof(&hashes[..], first as u64, 3 - first as u64, 3)
            .expect("in memory"),
    };
    let statement = Blob(("statement".to_owned(), 1u64).to_bytes());
    let root_key = key("vector root");
    let signed = [tag::ROOT_STATEMENT.as_bytes(), &statement.0].concat();
    let all = [
        ("actor, all items", actor(0), 0),
        ("actor, last item with its range proof", actor(2), 2),
        (
            "foreign",
            Envelope::Foreign {
                origin: origin.to_string(),
                checkpoint: Blob(checkpoint.sign(&key("vector log")).into_text().into_bytes()),
                index: 0,
                leaf: Some(Blob(leaf.to_bytes())),
                path: vec![],
                disclosed: Some(sample_slots().disclose(&seed(), &[0, 12])),
            },
            0,
        ),
        (
            "foreign, the checkpoint alone",
            Envelope::Foreign {
                origin: origin.to_string(),
                checkpoint: Blob(checkpoint.sign(&key("vector log")).into_text().into_bytes()),
                index: checkpoint.size,
                leaf: None,
                path: vec![],
                disclosed: None,
            },
            0,
        ),
        (
            "system",
            Envelope::System {
                rule: 1,
                cause: Blob(7u64.to_bytes()),
            },
            0,
        ),
        (
            "root",
            Envelope::Root {
                statement,
                signatures: vec![(root_key.public().key_id(), root_key.sign(&signed))],
            },
            0,
        ),
    ];
    let all: Vec<Value> = all
        .iter()
        .map(|(name, envelope, item)| {
            let authority = envelope.authority(*item).expect("there");
            json!({
                "name": name, "class": envelope.class(), "cbor": hex(envelope.to_bytes()), "item": item,
                "d": hex(authority.as_bytes()), "auth": hex(authority.auth(&seed())),
            })
        })
        .collect();
    check(
        "envelope",
        &json!({ "leaf_seed": hex(seed()), "envelopes": all }),
    );
}

#[test]
fn leaf() {
    let slots = sample_slots();
    let leaf = sample_leaf();
    let kinds: Vec<Value> = Kind::ALL
        .iter()
        .map(|kind| json!({ "number": kind.number(), "name": kind.name() }))
        .collect();
    let subjects: Vec<Value> = SubjectType::ALL
        .iter()
        .map(|kind| {
            let key = Subject::new(*kind, "name").key();
            json!({ "letter": kind.letter(), "type": kind.name(), "key_of_name": hex(key) })
        })
        .collect();
    let values: Vec<Value> = slots
        .values
        .iter()
        .map(|v| v.as_ref().map_or(Value::Null, |v| json!(hex(v))))
        .collect();
    let expansion = Expansion::of(&seed());
    let salts: Vec<String> = expansion.salts().iter().map(hex).collect();
    let ordinals: Vec<Value> = [0, 1, 2, u32::MAX]
        .iter()
        .map(|ordinal| {
            let leaf_seed = leaf_seed(&EntrySeed(d("entry seed").0), *ordinal);
            json!({ "ordinal": ordinal, "leaf_seed": hex(leaf_seed) })
        })
        .collect();
    let disclosures: Vec<Value> = [&[0, 12][..], &[0, 3], &[3, 8, 9, 15], &[]]
        .iter()
        .map(|shown| json!({ "shown": shown, "cbor": hex(slots.disclose(&seed(), shown).to_bytes()) }))
        .collect();
    check(
        "leaf",
        &json!({
            "kinds": kinds,
            "subjects": subjects,
            "entry_seed": hex(d("entry seed")), "leaf_seeds": ordinals,
            "leaf_seed": hex(seed()), "expansion": hex(keystream::<320>(&seed(), 0)),
            "salts": salts, "auth_salt": hex(expansion.auth_salt()), "custody_secret": hex(expansion.custody_secret()),
            "slots": values, "groups": GROUPS, "record_root": hex(slots.root(&seed())),
            "disclosures": disclosures,
            "personal": {
                "salt": hex([7; 16]), "value": hex("owner".to_owned().to_bytes()),
                "commitment": hex(personal_commitment(&[7; 16], &"owner".to_owned())),
            },
            "auth": { "class": 3, "d": hex(d("D")), "auth": hex(leaf.auth) },
            "cbor": hex(leaf.to_bytes()), "hash": hex(leaf.hash()),
        }),
    );
}

#[test]
fn slots() {
    let table: Vec<Value> = SubjectType::ALL
        .iter()
        .map(|subject| {
            let letter = subject.letter();
            json!({ "letter": letter, "type": subject.name(), "slots": slot_names(*subject) })
        })
        .collect();
    check("slots", &json!(table));
}

#[test]
fn map() {
    let value = MapValue {
        status: 1,
        seq: 2,
        leaf_index: 258,
        leaf_hash: d("leaf"),
        facts: Digest::ZERO,
    };
    let entries = (0u64..20)
        .map(|i| (d(i), d(format!("value {i}"))))
        .collect();
    let mut pages = PageMap::new();
    let (root, changed) = update(&pages, &entries).expect("in memory");
    pages.extend(changed);
    let pages_hex: Vec<Value> = pages
        .iter()
        .map(|(path, page)| json!({ "path": hex(path.to_bytes()), "page": hex(page.to_bytes()) }))
        .collect();
    let proofs: Vec<Value> = [d(0), d(19), d(100), d(101), d(102)]
        .iter()
        .map(|key| {
            let proof = prove(&pages, key).expect("in memory");
            let answer = match proof.verify(&root, key).expect("proven") {
                MapAnswer::Present(value) => json!(hex(value)),
                MapAnswer::Absent => Value::Null,
            };
            json!({ "key": hex(key), "value": answer, "proof": hex(proof.to_bytes()) })
        })
        .collect();
    let robot: Vec<Value> = RobotStatus::ALL
        .iter()
        .map(|s| json!({ "number": s.number(), "name": s.name() }))
        .collect();
    let subject: Vec<Value> = SubjectStatus::ALL
        .iter()
        .map(|s| json!({ "number": s.number(), "name": s.name() }))
        .collect();
    check(
        "map",
        &json!({
            "robot_status": robot, "subject_status": subject,
            "value": {
                "status": value.status, "seq": value.seq, "leaf_index": value.leaf_index,
                "leaf_hash": hex(value.leaf_hash), "facts": hex(value.facts),
                "cbor": hex(value.to_bytes()), "digest": hex(value.digest()),
            },
            "empty_root": hex(Digest::ZERO),
            "entries": entries.iter().map(|(k, v)| [hex(k), hex(v)]).collect::<Vec<_>>(),
            "root": hex(root), "pages": pages_hex, "proofs": proofs,
        }),
    );
}

#[test]
fn merkle() {
    let leaves: Vec<Vec<u8>> = (0u8..13).map(|i| vec![i; usize::from(i)]).collect();
    let hashes: Vec<Digest> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let nodes = &hashes[..];
    let roots: Vec<String> = (0..=13)
        .map(|size| hex(tree_root(&hashes[..size])))
        .collect();
    let inclusion: Vec<Value> = [(0, 1), (0, 13), (6, 13), (12, 13), (4, 7)]
        .iter()
        .map(|(index, size)| {
            let proof = inclusion_proof(nodes, *index, *size).expect("in memory");
            json!({ "index": index, "size": size, "proof": hexes(&proof) })
        })
        .collect();
    let consistency: Vec<Value> = [(0, 13), (1, 13), (4, 13), (6, 13), (7, 8), (13, 13)]
        .iter()
        .map(|(old, new)| {
            let proof = consistency_proof(nodes, *old, *new).expect("in memory");
            json!({ "old": old, "new": new, "proof": hexes(&proof) })
        })
        .collect();
    let range: Vec<Value> = [(0, 13), (3, 4), (12, 1), (5, 6)]
        .iter()
        .map(|(first, count)| {
            let proof = range_proof(nodes, *first, *count, 13).expect("in memory");
            json!({ "first": first, "count": count, "size": 13, "proof": hexes(&proof) })
        })
        .collect();
    check(
        "merkle",
        &json!({
            "leaves": leaves.iter().map(hex).collect::<Vec<_>>(), "leaf_hashes": hexes(&hashes), "roots": roots,
            "inclusion": inclusion, "consistency": consistency, "range": range,
        }),
    );
}

#[test]
fn signatures() {
    let (seed, message) = (d("vector actor").0, b"message");
    let cases: Vec<Value> = crate::signature::crafted(&seed, message)
        .iter()
        .map(|case| {
            json!({
                "name": case.name, "signature": case.signature.to_string(),
                "strict": case.strict, "in_log": case.in_log,
            })
        })
        .collect();
    check(
        "signatures",
        &json!({
            "seed": hex(seed), "public_key": key("vector actor").public().to_string(),
            "message": hex(message), "signatures": cases, "possession": possession(),
        }),
    );
}

/// A robot's own key signs for the robot that it is in.
fn possession() -> Value {
    let (secret, code) = (key("vector robot"), code());
    let body = d("body");
    let robot_key = RobotKey::prove(&code, &body, &secret);
    json!({
        "seed": hex(d("vector robot")), "code": code.to_string(), "body": hex(body),
        "message": hex(RobotKey::signing_bytes(&code, &body, &robot_key.public)),
        "robot_key": hex(robot_key.to_bytes()), "identity": hex(robot_key.identity()),
    })
}

#[test]
fn checkpoint() {
    let secret = key("vector log");
    let origin = Origin::parse("carnet/86/0").expect("an origin");
    let checkpoint = Checkpoint {
        origin,
        size: 1234,
        root: d("root"),
    };
    check(
        "checkpoint",
        &json!({
            "seed": hex(d("vector log")), "public_key": secret.public().to_string(),
            "key_id": secret.public().key_id().to_string(), "key_hash": hex(origin.key_hash(&secret.public())),
            "origin": origin.to_string(), "size": checkpoint.size, "root": hex(checkpoint.root),
            "body": checkpoint.body(), "note": checkpoint.sign(&secret).as_str(),
        }),
    );
}

#[test]
fn record() {
    let secret = key("vector passport");
    let (record, chain) = (crate::passport::record(), crate::passport::chain());
    check(
        "record",
        &json!({
            "seed": hex(d("vector passport")), "public_key": secret.public().to_string(),
            "external_aad": tag::RECORD, "chain": chain.iter().map(hex).collect::<Vec<_>>(),
            "payload": hex(record.to_bytes()), "to_be_signed": hex(passport::to_be_signed(&record, &chain)),
            "cose_sign1": hex(passport::sign(&record, &chain, &secret)),
        }),
    );
}

#[test]
fn every_prefix_byte_and_domain_string_is_used_once() {
    let mut strings = tag::STRINGS.to_vec();
    strings.sort_unstable();
    strings.dedup();
    assert_eq!(strings.len(), tag::STRINGS.len());
    assert!(
        strings
            .iter()
            .all(|s| strings.iter().all(|t| s == t || !t.starts_with(s)))
    );
    assert_eq!(tag::BYTES, [0, 1, 2, 3, 4, 5, 6, 7]);
}
