//! The stored form of a leaf: what the event, the entry before and the tree say already is not stored again.
//!
//! ```text
//! leaf    [ head, seed, [slot × 16], [[key or null, value]…], class, item, entry, before, jump, step ]
//! head    [ v, kind, key, seq, prev, t_ms, record_root, auth ]    as in the leaf, but
//!           key   letter of the subject, where slot 0 holds its name (here, not in an earlier leaf)
//!           prev  null, where it is the hash of the leaf before, which stands in the tree; or zero without one
//!         or the bytes of a leaf that is not of that form
//! slot    null · the bytes of the value · [offset, length] of the value in the bytes of slot 10
//!         · index of the earlier leaf that holds the value in the same slot
//! key     null is the key of the leaf
//! entry, before, jump, step
//!         how far back: the first leaf of the entry (0 is itself); of the same subject the leaf before, the leaf jumped to
//!         and the newest leaf of its trail before; null for none
//! ```

use std::fmt;

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical, DEPTH_MAX, DecodeError, Decoder, Encoder};
use carnet_domain::limits::{Bound, List, MAP_CHANGES_MAX};
use carnet_domain::log::leaf::{
    Kind, Leaf, LeafSeed, SLOT_COUNT, Subject, SubjectType, leaf_bytes_hash,
};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::record::event::slot;

use crate::families::Family;
use crate::fault::StorageFault;
use crate::keys;
use crate::stored::{self, RECORD_VERSION, plain_of_stored};

/// Values shorter than this are stored again rather than referred to.
const REFERRED_SIZE_MIN: usize = 6;
/// The deepest chain of leaves that refer to one another for a value; the rules write none.
const REFERRED_DEPTH_MAX: usize = 16;

/// The stored form of the leaf at `index`.
pub(crate) fn to_stored(index: u64, record: &LeafRecord) -> Vec<u8> {
    let values = record.values.iter().flatten();
    let size: usize = values.map(|value| value.0.len()).sum();
    // The values, of which some stand in the event, and at most as much besides.
    let mut e = Encoder::with_capacity(size + 512);
    e.raw(&[RECORD_VERSION]);
    e.array(10);
    let leaf = Leaf::from_bytes(&record.leaf.0).ok();
    match &leaf {
        Some(leaf) => encode_head(&mut e, leaf, record),
        None => e.bytes(&record.leaf.0),
    }
    e.bytes(&record.seed);
    encode_slots(&mut e, &record.values);
    let own = leaf.map(|leaf| leaf.key);
    e.array(record.map.len());
    for (key, value) in &record.map {
        e.array(2);
        match Some(*key) == own {
            true => e.null(),
            false => e.bytes(&key.0),
        }
        e.bytes(&value.0);
    }
    e.uint(u64::from(record.class));
    e.uint(u64::from(record.item));
    back(&mut e, index, Some(record.envelope));
    back(&mut e, index, record.before);
    back(&mut e, index, record.jump);
    back(&mut e, index, record.step_before);
    e.finish()
}

fn back(e: &mut Encoder, index: u64, to: Option<u64>) {
    match to.and_then(|to| index.checked_sub(to)) {
        Some(distance) => e.uint(distance),
        None => e.null(),
    }
}

fn encode_head(e: &mut Encoder, leaf: &Leaf, record: &LeafRecord) {
    e.array(8);
    e.uint(u64::from(leaf.version));
    e.uint(leaf.kind.number());
    let name = record.values.first().and_then(Option::as_ref);
    let name = name.and_then(|name| Decoder::new(&name.0).text().ok());
    let subject = name.and_then(|name| {
        let mut of_kind = letters(leaf.kind).iter();
        of_kind.find(|letter| Subject::key_of(**letter, name) == leaf.key)
    });
    match subject {
        Some(subject) => e.uint(subject.number()),
        None => e.bytes(&leaf.key.0),
    }
    e.uint(leaf.seq);
    // The rules take `prev` and `before` from one head; without one, `prev` is zero.
    match record.before.is_some() || leaf.prev == Digest::ZERO {
        true => e.null(),
        false => e.bytes(&leaf.prev.0),
    }
    e.uint(leaf.t_ms.0);
    e.bytes(&leaf.record_root.0);
    e.bytes(&leaf.auth.0);
}

/// Whom leaves of a kind are about, the likeliest first.
fn letters(kind: Kind) -> &'static [SubjectType] {
    match kind {
        Kind::Enterprise => &[SubjectType::Enterprise],
        Kind::Model => &[SubjectType::Model],
        Kind::Office => &[SubjectType::Office],
        Kind::Recall => &[SubjectType::Recall],
        Kind::TrustList | Kind::Agreement | Kind::Nack | Kind::ForkEvidence => &[SubjectType::Peer],
        Kind::Genesis | Kind::Policy | Kind::KeyEvent => &[SubjectType::Jurisdiction],
        Kind::MapHead => &[],
        _ => &[
            SubjectType::Robot,
            SubjectType::Enterprise,
            SubjectType::Recall,
            SubjectType::Peer,
        ],
    }
}

fn encode_slots(e: &mut Encoder, values: &[Option<Blob>]) {
    e.array(values.len());
    let event = values
        .get(usize::from(slot::EVENT))
        .and_then(Option::as_ref);
    let event = event.map(|event| event.0.as_slice()).unwrap_or_default();
    let mut parts = Vec::with_capacity(64);
    parts_of(event, &mut parts);
    for (at, value) in values.iter().enumerate() {
        let Some(Blob(value)) = value else {
            e.null();
            continue;
        };
        let told = parts.iter().find(|(offset, length)| {
            at != usize::from(slot::EVENT)
                && *length == value.len()
                && event[*offset..offset + length] == value[..]
        });
        match told {
            Some((offset, length)) => (*offset as u64, *length as u64).encode(e),
            None => e.bytes(value),
        }
    }
}

/// Offset and length of every value in canonical bytes that is long enough to be referred to, those inside arrays among them; none
/// of what is not well formed.
fn parts_of(bytes: &[u8], parts: &mut Vec<(usize, usize)>) {
    if walk(bytes, 0, 0, parts) != Some(bytes.len()) {
        parts.clear();
    }
}

/// Where the value at `start` ends. What the rules wrote is canonical: only its shape is read here, and no text a second time.
fn walk(bytes: &[u8], start: usize, depth: u32, parts: &mut Vec<(usize, usize)>) -> Option<usize> {
    let first = *bytes.get(start)?;
    let (major, short) = (first >> 5, first & 0x1f);
    let width = match short {
        0..=23 => 0,
        24..=27 => 1_usize << (short - 24),
        _ => return None,
    };
    let mut end = start + 1 + width;
    let argument = match width {
        0 => u64::from(short),
        _ => {
            let long = bytes.get(start + 1..end)?.iter();
            long.fold(0, |argument, byte| argument << 8 | u64::from(*byte))
        }
    };
    match major {
        0 | 7 => {}
        2 | 3 => end = end.checked_add(usize::try_from(argument).ok()?)?,
        4 if depth < DEPTH_MAX => {
            // An element takes a byte at least: what claims more than there are ends here.
            for _ in 0..argument {
                end = walk(bytes, end, depth + 1, parts)?;
            }
        }
        _ => return None,
    }
    let length = bytes.get(start..end)?.len();
    if length >= REFERRED_SIZE_MIN {
        parts.push((start, length));
    }
    Some(end)
}

/// Where what a stored leaf leaves out is read.
pub(crate) trait Earlier {
    /// An earlier leaf in its stored form.
    fn stored_leaf(&self, index: u64) -> Result<Option<Vec<u8>>, StorageFault>;
    /// The hash of an earlier leaf.
    fn hash_of(&self, index: u64) -> Result<Option<Digest>, StorageFault>;
}

/// The leaf at `index` of its stored form. What it leaves out is read through `records`.
pub(crate) fn of_stored(
    records: &impl Earlier,
    index: u64,
    stored: &[u8],
) -> Result<LeafRecord, StorageFault> {
    let parsed = Parsed::of(index, stored)?;
    let mut values = Vec::with_capacity(parsed.slots.len());
    for at in 0..parsed.slots.len() {
        values.push(parsed.value(records, at, REFERRED_DEPTH_MAX)?.map(Blob));
    }
    let key = parsed.key()?;
    let leaf = parsed.leaf(records, key)?;
    Ok(LeafRecord {
        leaf: Blob(leaf),
        seed: parsed.seed,
        map: parsed.map(key)?,
        values,
        class: parsed.class,
        envelope: parsed.envelope,
        item: parsed.item,
        before: parsed.links.before,
        jump: parsed.links.jump,
        step_before: parsed.links.step_before,
    })
}

/// The hash of the leaf at `index`, computed from what is stored of it.
pub(crate) fn hash_of_stored(
    records: &impl Earlier,
    index: u64,
    stored: &[u8],
) -> Result<Digest, StorageFault> {
    let parsed = Parsed::of(index, stored)?;
    let leaf = parsed.leaf(records, parsed.key()?)?;
    Ok(leaf_bytes_hash(&leaf))
}

/// The earlier leaves of its subject that the leaf at `index` names, without reading anything else.
pub(crate) fn links_of_stored(index: u64, stored: &[u8]) -> Result<Links, StorageFault> {
    Ok(Parsed::of(index, stored)?.links)
}

/// What the leaf at `index` changes in the state map, without reading anything else.
pub(crate) fn map_of_stored(
    index: u64,
    stored: &[u8],
) -> Result<Vec<(Digest, Digest)>, StorageFault> {
    let parsed = Parsed::of(index, stored)?;
    parsed.map(parsed.key()?)
}

/// The value of a slot as it stands in the stored form.
enum Slot<'a> {
    Null,
    Bytes(&'a [u8]),
    InEvent(usize, usize),
    InLeaf(u64),
}

/// The head as it stands in the stored form.
enum Head {
    /// A leaf as it is.
    Bytes(Vec<u8>),
    /// Its parts; `subject` says that the key is not among them.
    Parts {
        leaf: Leaf,
        subject: Option<SubjectType>,
        prev: Option<Digest>,
    },
}

struct Parsed<'a> {
    index: u64,
    head: Head,
    seed: LeafSeed,
    slots: Vec<Slot<'a>>,
    map: Vec<(Option<Digest>, Digest)>,
    class: u8,
    item: u32,
    envelope: u64,
    links: Links,
}

/// Indices of earlier leaves of the same subject.
pub(crate) struct Links {
    pub(crate) before: Option<u64>,
    pub(crate) jump: Option<u64>,
    pub(crate) step_before: Option<u64>,
}

impl<'a> Parsed<'a> {
    fn of(index: u64, stored: &'a [u8]) -> Result<Self, StorageFault> {
        let bytes = plain_of_stored(Family::Entries, &keys::leaf(index), stored)?;
        let mut d = Decoder::new(bytes);
        let parsed = Self::decode(index, &mut d).and_then(|parsed| d.finish().map(|()| parsed));
        parsed.map_err(|error| corrupt(index, error))
    }

    fn decode(index: u64, d: &mut Decoder<'a>) -> Result<Self, DecodeError> {
        d.array_of(10)?;
        let head = decode_head(d)?;
        let seed = d.bytes_of()?;
        let count = d.array()?;
        if count > SLOT_COUNT {
            return Err(d.invalid("a leaf has at most 16 slots"));
        }
        let slots = (0..count).map(|_| decode_slot(d));
        let slots = slots.collect::<Result<_, _>>()?;
        d.leave();
        let map = <List<MAP_CHANGES_MAX> as Bound<_>>::read(d)?;
        let (class, item) = (u8::decode(d)?, u32::decode(d)?);
        let envelope = decode_back(index, d)?;
        let links = Links {
            before: decode_earlier(index, d)?,
            jump: decode_earlier(index, d)?,
            step_before: decode_earlier(index, d)?,
        };
        let parsed = Self {
            index,
            head,
            seed,
            slots,
            map,
            class,
            item,
            envelope: envelope.unwrap_or(index),
            links,
        };
        d.leave();
        Ok(parsed)
    }

    fn corrupt(&self, detail: String) -> StorageFault {
        corrupt(self.index, detail)
    }

    /// The bytes of a slot. A value may stand in an earlier leaf, which may say the same; `depth` leaves are followed.
    fn value(
        &self,
        records: &impl Earlier,
        at: usize,
        depth: usize,
    ) -> Result<Option<Vec<u8>>, StorageFault> {
        match self.slots.get(at) {
            None | Some(Slot::Null) => Ok(None),
            Some(Slot::Bytes(bytes)) => Ok(Some(bytes.to_vec())),
            Some(Slot::InEvent(offset, length)) => {
                let event = match self.slots.get(usize::from(slot::EVENT)) {
                    Some(Slot::Bytes(event)) => *event,
                    _ => return Err(self.corrupt("a value in an event that is not there".into())),
                };
                let value = event.get(*offset..).and_then(|rest| rest.get(..*length));
                let value =
                    value.ok_or_else(|| self.corrupt("a value outside its event".into()))?;
                Ok(Some(value.to_vec()))
            }
            Some(Slot::InLeaf(earlier)) if *earlier < self.index && depth > 0 => {
                let stored = records.stored_leaf(*earlier)?;
                let stored = stored.ok_or_else(|| self.corrupt(format!("no leaf {earlier}")))?;
                Parsed::of(*earlier, &stored)?.value(records, at, depth - 1)
            }
            Some(Slot::InLeaf(earlier)) => {
                Err(self.corrupt(format!("slot {at} refers to leaf {earlier}")))
            }
        }
    }

    /// The bytes of the leaf; `key` is as [`Self::key`] gives it.
    fn leaf(&self, records: &impl Earlier, key: Option<Digest>) -> Result<Vec<u8>, StorageFault> {
        let (leaf, prev) = match &self.head {
            Head::Bytes(bytes) => return Ok(bytes.clone()),
            Head::Parts { leaf, prev, .. } => (leaf, prev),
        };
        let prev = match (prev, self.links.before) {
            (Some(prev), _) => *prev,
            (None, None) => Digest::ZERO,
            (None, Some(before)) => records
                .hash_of(before)?
                .ok_or_else(|| self.corrupt(format!("no hash of leaf {before}")))?,
        };
        let leaf = Leaf {
            key: key.unwrap_or(leaf.key),
            prev,
            ..leaf.clone()
        };
        Ok(leaf.to_bytes())
    }

    /// The key of the subject; `None` where the leaf stands as it is.
    fn key(&self) -> Result<Option<Digest>, StorageFault> {
        match &self.head {
            Head::Bytes(bytes) => Ok(Leaf::from_bytes(bytes).ok().map(|leaf| leaf.key)),
            Head::Parts {
                leaf,
                subject: None,
                ..
            } => Ok(Some(leaf.key)),
            Head::Parts {
                subject: Some(subject),
                ..
            } => {
                let name = match self.slots.first() {
                    Some(Slot::Bytes(name)) => Some(*name),
                    Some(Slot::InEvent(offset, length)) => {
                        let event = match self.slots.get(usize::from(slot::EVENT)) {
                            Some(Slot::Bytes(event)) => *event,
                            _ => &[],
                        };
                        event.get(*offset..).and_then(|rest| rest.get(..*length))
                    }
                    _ => None,
                };
                let name = name.and_then(|name| String::from_bytes(name).ok());
                let name = name.ok_or_else(|| self.corrupt("it names no subject".into()))?;
                Ok(Some(Subject::new(*subject, name).key()))
            }
        }
    }

    fn map(&self, own: Option<Digest>) -> Result<Vec<(Digest, Digest)>, StorageFault> {
        let changes = self.map.iter().map(|(key, value)| {
            let key = key.or(own).ok_or_else(|| self.corrupt("no key".into()))?;
            Ok((key, *value))
        });
        changes.collect()
    }
}

/// Damage of the leaf at `index`.
pub(crate) fn corrupt(index: u64, detail: impl fmt::Display) -> StorageFault {
    let detail = format!("leaf {index}: {detail}");
    stored::corrupt(Family::Entries, &keys::leaf(index), detail)
}

/// The index that stands as a distance back.
fn decode_back(index: u64, d: &mut Decoder<'_>) -> Result<Option<u64>, DecodeError> {
    let at = d.clone();
    let distance = Option::<u64>::decode(d)?;
    let to = distance.map(|distance| {
        let to = index.checked_sub(distance);
        to.ok_or_else(|| at.invalid("a leaf before the first"))
    });
    to.transpose()
}

/// As [`decode_back`], and never the leaf itself: whoever follows it comes to an end.
fn decode_earlier(index: u64, d: &mut Decoder<'_>) -> Result<Option<u64>, DecodeError> {
    let at = d.clone();
    match decode_back(index, d)? {
        Some(to) if to == index => Err(at.invalid("a leaf that is before itself")),
        to => Ok(to),
    }
}

fn decode_head(d: &mut Decoder<'_>) -> Result<Head, DecodeError> {
    if let Ok(bytes) = d.clone().bytes() {
        let bytes = bytes.to_vec();
        d.skip()?;
        return Ok(Head::Bytes(bytes));
    }
    d.array_of(8)?;
    let (version, kind) = (u8::decode(d)?, Kind::decode(d)?);
    let (subject, key) = match d.clone().uint() {
        Ok(_) => (Some(SubjectType::decode(d)?), Digest::ZERO),
        Err(_) => (None, Digest::decode(d)?),
    };
    let seq = u64::decode(d)?;
    let prev = Option::<Digest>::decode(d)?;
    let leaf = Leaf {
        version,
        kind,
        key,
        seq,
        prev: Digest::ZERO,
        t_ms: Canonical::decode(d)?,
        record_root: Digest::decode(d)?,
        auth: Digest::decode(d)?,
    };
    d.leave();
    Ok(Head::Parts {
        leaf,
        subject,
        prev,
    })
}

fn decode_slot<'a>(d: &mut Decoder<'a>) -> Result<Slot<'a>, DecodeError> {
    if d.take_null()? {
        return Ok(Slot::Null);
    }
    if let Ok(index) = d.clone().uint() {
        d.skip()?;
        return Ok(Slot::InLeaf(index));
    }
    if let Ok(bytes) = d.clone().bytes() {
        d.skip()?;
        return Ok(Slot::Bytes(bytes));
    }
    let (offset, length) = <(u32, u32)>::decode(d)?;
    Ok(Slot::InEvent(offset as usize, length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Batch, KvEngine, KvRead};
    use crate::memory::MemoryEngine;
    use crate::records::Records;
    use crate::registry::RegistryState;
    use crate::stored::plain_to_stored;
    use carnet_domain::record::ledger::Ledger;
    use carnet_kit::Country;

    /// A country's log as one replica stores it.
    fn replica(country: &Country) -> MemoryEngine {
        use crate::machine::{LogPosition, LogRecord, Payload, StateMachine};
        let engine = MemoryEngine::default();
        let state = RegistryState::open(engine.clone()).expect("opens");
        let records = (1..).zip(&country.entries).map(|(index, entry)| LogRecord {
            position: LogPosition {
                term: 1,
                node: 1,
                index,
            },
            payload: Payload::Entry(entry.to_bytes().into()),
        });
        state.apply(records.collect()).expect("applies");
        engine
    }

    fn country() -> Country {
        let mut country = Country::with_market("86");
        for serial in 1..=3 {
            let command = country.register(serial);
            country.must("maker", command);
        }
        country.close();
        country
    }

    #[test]
    fn every_leaf_comes_out_as_it_went_in_and_is_shorter() {
        let country = country();
        let engine = replica(&country);
        let size = country.registry().tree.size();
        let (mut stored, mut whole) = (0, 0);
        for index in 0..size {
            let Ok(known) = country.ledger.leaf(index);
            let known = known.expect("a leaf");
            let bytes = engine.get(Family::Entries, &keys::leaf(index));
            let bytes = bytes.expect("a read").expect("a row");
            let found = Records(&engine).leaf(index).expect("a read");
            assert_eq!(found.as_ref(), Some(&known), "leaf {index}");
            assert_eq!(map_of_stored(index, &bytes).expect("a map"), known.map);
            let hash = hash_of_stored(&Records(&engine), index, &bytes);
            assert_eq!(hash.expect("a hash"), leaf_bytes_hash(&known.leaf.0));
            stored += bytes.len();
            whole += known.to_bytes().len();
        }
        assert!(10 * stored < 9 * whole, "{stored} of {whole} bytes");
    }

    #[test]
    fn a_value_may_stand_in_an_earlier_leaf() {
        let country = country();
        let engine = replica(&country);
        let size = country.registry().tree.size();
        let Ok(all) = country.ledger.leaves(0, size, usize::MAX);
        let robot = (0u64..)
            .zip(&all)
            .find(|(_, record)| record.values.iter().flatten().count() > 10);
        let (index, record) = robot.expect("a robot's leaf");
        // A later row that refers, slot by slot, to the robot's leaf, and one that refers to that.
        let referring = |at: u64, to: u64| {
            let mut e = Encoder::new();
            e.array(10);
            e.bytes(&record.leaf.0);
            e.bytes(&record.seed);
            e.array(SLOT_COUNT);
            record.values.iter().for_each(|value| match value {
                Some(_) => e.uint(to),
                None => e.null(),
            });
            e.array(0);
            e.uint(0);
            e.uint(0);
            (0..4).for_each(|_| e.null());
            let mut batch = Batch::default();
            let value = plain_to_stored(&e.finish());
            batch.put(Family::Entries, keys::leaf(at), value);
            engine.write(batch).expect("a write");
            Records(&engine).leaf(at)
        };
        for (at, to) in [(size, index), (size + 1, size)] {
            let found = referring(at, to).expect("a read").expect("a leaf");
            assert_eq!(found.values, record.values);
        }
        // Never to itself or to what comes later.
        for to in [size + 2, size + 3] {
            let refused = referring(size + 2, to).expect_err("no value").to_string();
            assert!(
                refused.contains(&format!("refers to leaf {to}")),
                "{refused}"
            );
        }
    }

    /// Whoever follows leaves backwards comes to an end, whatever is stored.
    #[test]
    fn a_leaf_that_names_itself_or_a_later_one_as_earlier_is_damage() {
        let country = country();
        let at = country.registry().tree.size() - 1;
        let Ok(found) = country.ledger.leaf(at);
        let known = LeafRecord {
            before: Some(0),
            ..found.expect("a leaf")
        };
        let stored = |index: u64, record: &LeafRecord| {
            let stored = to_stored(index, record);
            links_of_stored(index, &stored).map(drop)
        };
        stored(at, &known).expect("sound");
        let itself = Some(at);
        for other in [
            LeafRecord {
                before: itself,
                ..known.clone()
            },
            LeafRecord {
                jump: itself,
                ..known.clone()
            },
            LeafRecord {
                step_before: itself,
                ..known.clone()
            },
        ] {
            let fault = stored(at, &other).expect_err("damage").to_string();
            assert!(fault.contains("before itself"), "{fault}");
        }
        // Further back than the first leaf.
        let bytes = to_stored(at, &known);
        let fault = links_of_stored(0, &bytes).map(drop).expect_err("damage");
        assert!(fault.to_string().contains("before the first"), "{fault}");
    }

    #[test]
    fn every_cut_of_a_stored_leaf_is_an_error_and_no_panic() {
        let country = country();
        let engine = replica(&country);
        let size = country.registry().tree.size();
        for index in [0, size / 2, size - 2, size - 1] {
            let bytes = engine.get(Family::Entries, &keys::leaf(index));
            let bytes = bytes.expect("a read").expect("a row");
            for end in 0..bytes.len() {
                let found = of_stored(&Records(&engine), index, &bytes[..end]);
                assert!(found.is_err(), "leaf {index} cut at {end}");
            }
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x10;
                let _ = of_stored(&Records(&engine), index, &other);
            }
        }
    }
}
