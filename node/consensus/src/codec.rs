//! The bodies of Raft messages, and memberships, as bytes. Written by hand, so that a new version of openraft changes
//! nothing on the wire or on disk.
//!
//! ```text
//! integers   big-endian
//! position   term u64 | node u64 | index u64
//! option     0, or 1 and the value
//! vote       term u64 | node u64 | committed u8
//! text       length u32 | UTF-8
//! entry      position | kind u8 (0 blank, 1 membership, 2 entry) | length u32 | bytes
//! membership version u8 = 3 | configs u32 of (voters u32 of u64) | members u32 of u64 node
//!            | per member, in that order: text raft | text api | store 16 bytes
//! ```
//! Payloads are slices of the frame they came in: nothing is copied.

#![deny(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use carnet_domain::limits::INDEX_MAX;
use carnet_store::identity::StoreId;
use carnet_store::log::Vote;
use carnet_store::machine::{LogPosition, LogRecord, Payload};
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;

use crate::member::Member;
use crate::types::{Proposal, RaftEntry, RaftMembership, log_id, position};

/// Version of every body on the wire.
pub(crate) const BODY_VERSION: u32 = 1;

const MEMBERSHIP_VERSION: u8 = 3;

/// Highest term that is read from a message: a term near the last number would leave no room for the next election.
pub(crate) const TERM_MAX: u64 = 1 << 48;

/// Bytes that are not what they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("undecodable {0}")]
pub(crate) struct Undecodable(pub(crate) &'static str);

/// A value with exactly one form in bytes.
pub(crate) trait Body: Sized {
    fn encode(&self, to: &mut BytesMut);
    fn decode(from: &mut Bytes) -> Result<Self, Undecodable>;

    fn to_body(&self) -> Bytes {
        let mut to = BytesMut::new();
        self.encode(&mut to);
        to.freeze()
    }

    /// # Errors
    /// The bytes are no such value, or more than one.
    fn from_body(mut from: Bytes) -> Result<Self, Undecodable> {
        let value = Self::decode(&mut from)?;
        if from.is_empty() {
            Ok(value)
        } else {
            Err(Undecodable("body: trailing bytes"))
        }
    }
}

pub(crate) fn take_u8(from: &mut Bytes) -> Result<u8, Undecodable> {
    if from.is_empty() {
        Err(Undecodable("body: too short"))
    } else {
        Ok(from.get_u8())
    }
}

pub(crate) fn take_u32(from: &mut Bytes) -> Result<u32, Undecodable> {
    if from.len() < 4 {
        Err(Undecodable("body: too short"))
    } else {
        Ok(from.get_u32())
    }
}

pub(crate) fn take_u64(from: &mut Bytes) -> Result<u64, Undecodable> {
    if from.len() < 8 {
        Err(Undecodable("body: too short"))
    } else {
        Ok(from.get_u64())
    }
}

fn take_up_to(from: &mut Bytes, max: u64, what: &'static str) -> Result<u64, Undecodable> {
    let value = take_u64(from)?;
    if value > max {
        return Err(Undecodable(what));
    }
    Ok(value)
}

/// A length or count, refused if the rest could not hold that many items of `size_min` bytes.
pub(crate) fn take_count(from: &mut Bytes, size_min: usize) -> Result<usize, Undecodable> {
    let count = take_u32(from)? as usize;
    match count.checked_mul(size_min) {
        Some(size) if size <= from.len() => Ok(count),
        _ => Err(Undecodable("body: count beyond its end")),
    }
}

/// A length or count; never cut to what fits, which would put another value on the wire.
pub(crate) fn put_count(to: &mut BytesMut, count: usize) {
    to.put_u32(u32::try_from(count).expect("invariant: our own lists and frames are below 4 GiB"));
}

impl Body for Bytes {
    fn encode(&self, to: &mut BytesMut) {
        put_count(to, self.len());
        to.extend_from_slice(self);
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        let size = take_count(from, 1)?;
        Ok(from.split_to(size))
    }
}

impl Body for String {
    fn encode(&self, to: &mut BytesMut) {
        put_count(to, self.len());
        to.extend_from_slice(self.as_bytes());
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        let bytes = Bytes::decode(from)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Undecodable("text"))
    }
}

impl Body for bool {
    fn encode(&self, to: &mut BytesMut) {
        to.put_u8(u8::from(*self));
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        match take_u8(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Undecodable("flag")),
        }
    }
}

impl<T: Body> Body for Option<T> {
    fn encode(&self, to: &mut BytesMut) {
        self.is_some().encode(to);
        if let Some(value) = self {
            value.encode(to);
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        if bool::decode(from)? {
            T::decode(from).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// A log index, a file's size, or an offset in it: at most 2^48, so that what is added to it fits.
pub(crate) fn take_index(from: &mut Bytes) -> Result<u64, Undecodable> {
    let found = take_u64(from)?;
    if found > INDEX_MAX {
        return Err(Undecodable("body: an index, size or offset above 2^48"));
    }
    Ok(found)
}

impl Body for LogPosition {
    fn encode(&self, to: &mut BytesMut) {
        to.put_u64(self.term);
        to.put_u64(self.node);
        to.put_u64(self.index);
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        Ok(LogPosition {
            term: take_up_to(from, TERM_MAX, "position: term out of range")?,
            node: take_u64(from)?,
            index: take_index(from)?,
        })
    }
}

impl Body for Vote {
    fn encode(&self, to: &mut BytesMut) {
        to.put_u64(self.term);
        to.put_u64(self.node);
        self.committed.encode(to);
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        Ok(Vote {
            term: take_up_to(from, TERM_MAX, "vote: term out of range")?,
            node: take_u64(from)?,
            committed: bool::decode(from)?,
        })
    }
}

impl Body for StoreId {
    fn encode(&self, to: &mut BytesMut) {
        to.extend_from_slice(&self.0);
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        let mut store = [0; 16];
        if from.len() < store.len() {
            return Err(Undecodable("body: too short"));
        }
        from.copy_to_slice(&mut store);
        Ok(StoreId(store))
    }
}

impl Body for Member {
    fn encode(&self, to: &mut BytesMut) {
        self.raft.encode(to);
        self.api.encode(to);
        self.store.encode(to);
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        Ok(Member {
            raft: String::decode(from)?,
            api: String::decode(from)?,
            store: StoreId::decode(from)?,
        })
    }
}

impl Body for RaftMembership {
    fn encode(&self, to: &mut BytesMut) {
        to.put_u8(MEMBERSHIP_VERSION);
        put_count(to, self.get_joint_config().len());
        for voters in self.get_joint_config() {
            put_count(to, voters.len());
            for voter in voters {
                to.put_u64(*voter);
            }
        }
        put_count(to, self.nodes().count());
        self.nodes().for_each(|(id, _)| to.put_u64(*id));
        self.nodes().for_each(|(_, member)| member.encode(to));
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        if take_u8(from)? != MEMBERSHIP_VERSION {
            return Err(Undecodable("membership of another version"));
        }
        let mut configs = Vec::new();
        for _ in 0..take_count(from, 4)? {
            let mut voters = BTreeSet::new();
            for _ in 0..take_count(from, 8)? {
                voters.insert(take_u64(from)?);
            }
            configs.push(voters);
        }
        let mut ids = Vec::new();
        for _ in 0..take_count(from, 32)? {
            ids.push(take_u64(from)?);
        }
        let mut members = BTreeMap::new();
        for id in ids {
            members.insert(id, Member::decode(from)?);
        }
        if configs.is_empty() && members.is_empty() {
            return Ok(RaftMembership::default());
        }
        RaftMembership::new(configs, members).map_err(|_| Undecodable("membership"))
    }
}

impl Body for LogRecord {
    fn encode(&self, to: &mut BytesMut) {
        self.position.encode(to);
        match &self.payload {
            Payload::Blank => {
                to.put_u8(0);
                put_count(to, 0);
            }
            Payload::Membership(bytes) => {
                to.put_u8(1);
                bytes.encode(to);
            }
            Payload::Entry(bytes) => {
                to.put_u8(2);
                bytes.encode(to);
            }
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        let position = LogPosition::decode(from)?;
        let kind = take_u8(from)?;
        let bytes = Bytes::decode(from)?;
        let payload = match kind {
            0 if bytes.is_empty() => Payload::Blank,
            1 => Payload::Membership(bytes),
            2 => Payload::Entry(bytes),
            _ => return Err(Undecodable("record kind")),
        };
        Ok(LogRecord { position, payload })
    }
}

/// Smallest record in bytes: position, kind, length.
const RECORD_BYTES_MIN: usize = 24 + 1 + 4;

impl Body for Vec<LogRecord> {
    fn encode(&self, to: &mut BytesMut) {
        put_count(to, self.len());
        for record in self {
            record.encode(to);
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        let count = take_count(from, RECORD_BYTES_MIN)?;
        (0..count).map(|_| LogRecord::decode(from)).collect()
    }
}

pub(crate) fn record_of(entry: RaftEntry) -> LogRecord {
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Normal(Proposal(bytes)) => Payload::Entry(bytes),
        EntryPayload::Membership(membership) => Payload::Membership(membership.to_body()),
    };
    LogRecord {
        position: position(&entry.log_id),
        payload,
    }
}

pub(crate) fn entry_of(record: LogRecord) -> Result<RaftEntry, Undecodable> {
    let payload = match record.payload {
        Payload::Blank => EntryPayload::Blank,
        Payload::Entry(bytes) => EntryPayload::Normal(Proposal(bytes)),
        Payload::Membership(bytes) => EntryPayload::Membership(RaftMembership::from_body(bytes)?),
    };
    Ok(RaftEntry::new(log_id(record.position), payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Member {
        Member {
            raft: format!("{name}:7000"),
            api: format!("{name}:7001"),
            store: StoreId([name.as_bytes()[0]; 16]),
        }
    }

    fn membership() -> RaftMembership {
        let members = BTreeMap::from([(1, member("a")), (2, member("b")), (9, member("c"))]);
        RaftMembership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([2])], members)
            .expect("a membership")
    }

    fn check<T: Body + PartialEq + std::fmt::Debug>(value: &T) {
        let body = value.to_body();
        assert_eq!(T::from_body(body.clone()).as_ref(), Ok(value));
        for length in 0..body.len() {
            assert!(
                T::from_body(body.slice(..length)).is_err(),
                "cut at {length}"
            );
        }
        let mut longer = BytesMut::from(&body[..]);
        longer.put_u8(0);
        assert!(T::from_body(longer.freeze()).is_err(), "one byte more");
    }

    #[test]
    fn every_value_has_one_form() {
        check(&membership());
        check(&RaftMembership::default());
        check(&vec![
            LogRecord {
                position: LogPosition {
                    term: 1,
                    node: 2,
                    index: 3,
                },
                payload: Payload::Blank,
            },
            LogRecord {
                position: LogPosition {
                    term: 1,
                    node: 2,
                    index: 4,
                },
                payload: Payload::Membership(membership().to_body()),
            },
            LogRecord {
                position: LogPosition {
                    term: 1,
                    node: 2,
                    index: 5,
                },
                payload: Payload::Entry(Bytes::from_static(b"register")),
            },
        ]);
        check(&Some(Vote {
            term: 7,
            node: 1,
            committed: true,
        }));
    }

    #[test]
    fn a_membership_keeps_its_bytes() {
        let pinned = "0300000002000000020000000000000001000000000000000200000001000000000000000200000003000000000000\
                      00010000000000000002000000000000000900000006613a3730303000000006613a37303031616161616161616161\
                      6161616161616100000006623a3730303000000006623a373030316262626262626262626262626262626200000006\
                      633a3730303000000006633a3730303163636363636363636363636363636363";
        let found: String = membership()
            .to_body()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(found, pinned.replace(char::is_whitespace, ""));
    }

    #[test]
    fn no_term_and_no_index_near_the_last_number_is_read() {
        for term in [TERM_MAX + 1, u64::MAX] {
            let vote = Vote {
                term,
                node: 3,
                committed: true,
            };
            assert!(Vote::from_body(vote.to_body()).is_err(), "{term}");
            for at in [
                LogPosition {
                    term,
                    node: 1,
                    index: 0,
                },
                LogPosition {
                    term: 1,
                    node: 1,
                    index: term,
                },
            ] {
                assert!(LogPosition::from_body(at.to_body()).is_err(), "{at:?}");
            }
        }
    }

    #[test]
    fn the_store_reads_the_voters_and_members_of_a_membership() {
        let members = carnet_store::membership::members(&membership().to_body());
        let sets = vec![BTreeSet::from([1, 2]), BTreeSet::from([2])];
        assert_eq!(members.voters.0, sets);
        assert_eq!(members.all, BTreeSet::from([1, 2, 9]));
    }

    #[test]
    fn a_count_beyond_the_frame_reserves_nothing() {
        let mut body = BytesMut::new();
        body.put_u32(u32::MAX);
        assert!(Vec::<LogRecord>::from_body(body.freeze()).is_err());
    }
}
