//! What the parts of a registration and of a verification take, one by one: `cargo bench -p carnet-kit`.
//!
//! For comparing two builds in turn on one machine. Alone the figures say nothing, and no test looks at them.

use std::collections::BTreeMap;
use std::hint::black_box;

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{Expansion, Leaf, LeafSeed, Slots};
use carnet_domain::log::map::{self, PageMap};
use carnet_domain::log::merkle::Frontier;
use carnet_domain::machine::entry::Body;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_kit::Country;
use carnet_kit::evidence::known;
use carnet_trust::bundle::PinnedBundle;
use carnet_trust::evidence::{Evidence, Published, SLOTS_FOR_AUTHORITIES, build, parse};
use carnet_trust::verdict::{EvidenceInput, Input, OWN_AGE_MAX, Purpose, judge};
use divan::Bencher;

/// Robots that the registry of a benchmark knows.
const ROBOT_COUNT: u32 = 64;
/// Values that a map holds before more are set.
const MAP_COUNT: u32 = 16_384;
/// Values that one seal sets.
const SEAL_COUNT: u32 = 1_024;

fn main() {
    divan::main();
}

/// A country with some robots, sealed and published.
fn country() -> Country {
    let mut country = Country::with_market("86");
    for serial in 1..=ROBOT_COUNT {
        let command = country.register(serial);
        country.must("maker", command);
    }
    country.close();
    country
}

fn registration() -> Command {
    Country::with_market("86").register(1)
}

/// The newest leaf of a robot with its slots, as the registry keeps it.
fn leaf() -> (Leaf, Slots, LeafSeed) {
    let country = country();
    let Ok(robot) = country.ledger.robot(&country.code(1));
    let head = robot.and_then(|robot| robot.head).expect("a registration");
    let Ok(record) = country.ledger.leaf(head.leaf_index);
    let record = record.expect("a leaf");
    let mut slots = Slots::new();
    for (place, value) in slots.values.iter_mut().zip(record.values) {
        *place = value.map(|value| value.0);
    }
    let leaf = Leaf::from_bytes(&record.leaf.0).expect("a leaf");
    (leaf, slots, record.seed)
}

fn values(from: u32, count: u32) -> BTreeMap<Digest, Digest> {
    let numbers = from..from + count;
    let value = |number: u32| sha256(&[b"value", &number.to_be_bytes()]);
    numbers
        .map(|number| (sha256(&[&number.to_be_bytes()]), value(number)))
        .collect()
}

fn filled() -> PageMap {
    let updated = map::update(&PageMap::new(), &values(0, MAP_COUNT));
    updated.expect("in memory").1
}

#[divan::bench]
fn parse_a_code(bencher: Bencher) {
    let code = Country::with_market("86").code(1);
    bencher.bench(|| Code::parse(black_box(code.as_str())));
}

#[divan::bench]
fn encode_a_registration(bencher: Bencher) {
    let command = registration();
    bencher.bench(|| black_box(&command).to_bytes());
}

#[divan::bench]
fn decode_a_registration(bencher: Bencher) {
    let bytes = registration().to_bytes();
    bencher.bench(|| Command::from_bytes(black_box(&bytes)));
}

#[divan::bench]
fn hash_a_leaf(bencher: Bencher) {
    let (leaf, ..) = leaf();
    bencher.bench(|| black_box(&leaf).hash());
}

#[divan::bench]
fn hash_the_slots_of_a_leaf(bencher: Bencher) {
    let (_, slots, seed) = leaf();
    bencher.bench(|| black_box(&slots).root_under(&Expansion::of(&seed)));
}

#[divan::bench]
fn append_to_the_tree(bencher: Bencher) {
    let mut tree = Frontier::new();
    bencher.bench_local(|| tree.append(black_box(Digest::ZERO)));
}

/// Of all values of a seal.
#[divan::bench]
fn set_the_values_of_a_seal(bencher: Bencher) {
    let (pages, changes) = (filled(), values(MAP_COUNT, SEAL_COUNT));
    bencher.bench(|| map::update(black_box(&pages), &changes));
}

#[divan::bench]
fn prove_a_value(bencher: Bencher) {
    let (pages, key) = (filled(), sha256(&[&7_u32.to_be_bytes()]));
    bencher.bench(|| map::prove(black_box(&pages), &key));
}

#[divan::bench]
fn verify_the_proof_of_a_value(bencher: Bencher) {
    let (pages, key) = (filled(), sha256(&[&7_u32.to_be_bytes()]));
    let root = map::root(&pages).expect("in memory");
    let proof = map::prove(&pages, &key).expect("in memory");
    bencher.bench(|| black_box(&proof).verify(&root, &key));
}

/// With the signature of the maker.
#[divan::bench]
fn apply_an_entry(bencher: Bencher) {
    let mut country = country();
    country.session("maker");
    let command = country.register(ROBOT_COUNT + 1);
    let request = country.request("maker", &[command]);
    let body: Body = country.client_body(request);
    let before = || country.clone();
    bencher
        .with_inputs(before)
        .bench_local_refs(|country| country.apply(body.clone()));
}

fn origin(country: &Country) -> Origin {
    Origin {
        prefix: country.prefix,
        incarnation: 0,
    }
}

fn evidence(country: &Country, code: &Code) -> Evidence {
    let registry = country.registry();
    let published = Published {
        origin: origin(country),
        checkpoint: &registry.checkpoint,
        size: registry.published.expect("the log is closed").size,
    };
    let built = build(&country.ledger, &published, code, SLOTS_FOR_AUTHORITIES);
    built.expect("evidence of a closed log")
}

#[divan::bench]
fn build_evidence(bencher: Bencher) {
    let country = country();
    let code = country.code(1);
    bencher.bench(|| evidence(black_box(&country), &code));
}

#[divan::bench]
fn verify_evidence(bencher: Bencher) {
    let country = country();
    let bytes = evidence(&country, &country.code(1)).to_bytes();
    let (keys, origin) = (country.registry().keys, origin(&country));
    bencher.bench(|| {
        let parsed = parse(black_box(&bytes)).expect("evidence");
        parsed.verify(&keys, &origin)
    });
}

/// With the evidence that it rests on.
#[divan::bench]
fn judge_a_robot(bencher: Bencher) {
    let country = country();
    let code = country.code(1);
    let bundle = PinnedBundle::of_state(country.bundle_of(1)).expect("a prefix");
    let bytes = evidence(&country, &code).to_bytes();
    let input = Input {
        verifier: country.prefix,
        code,
        issuer: Some(EvidenceInput::of(bundle, Some(bytes))),
        custodians: Vec::new(),
        known: Some(known(&country)),
        own_age_max: OWN_AGE_MAX,
    };
    let now = country.clock.saturating_add(DurationMs::from_secs(10)); // saturates: a time of the kit
    bencher.bench(|| judge(Purpose::Operation, black_box(&input), now));
}
