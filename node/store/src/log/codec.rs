//! How records and votes lie in raft-log's files.
//!
//! ```text
//! position   term u64 | node u64 | index u64              big-endian
//! vote       term u64 | node u64 | committed u8
//! payload    kind u8 (0 blank, 1 membership, 2 entry) | length u32 | bytes
//! ```
//! raft-log adds a checksum to each record. A kind this binary does not know stops the node.

use std::io::{self, Read, Write};

use bytes::Bytes;
use raft_log::codeq::{Decode, Encode};

use super::Vote;
use crate::machine::{LogPosition, Payload};

/// Refuses absurd lengths before a checksum has been seen.
const PAYLOAD_BYTES_MAX: u32 = 4 * 1024 * 1024;

const _: () = assert!(carnet_domain::limits::ENTRY_BYTES_MAX <= PAYLOAD_BYTES_MAX as usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DiskPosition(pub(super) LogPosition);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DiskVote(pub(super) Vote);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DiskPayload(pub(super) Payload);

impl Encode for DiskPosition {
    fn encode<W: Write>(&self, mut to: W) -> io::Result<usize> {
        Ok(self.0.term.encode(&mut to)?
            + self.0.node.encode(&mut to)?
            + self.0.index.encode(&mut to)?)
    }
}

impl Decode for DiskPosition {
    fn decode<R: Read>(mut from: R) -> io::Result<Self> {
        let term = u64::decode(&mut from)?;
        let node = u64::decode(&mut from)?;
        let index = u64::decode(&mut from)?;
        Ok(DiskPosition(LogPosition { term, node, index }))
    }
}

impl Encode for DiskVote {
    fn encode<W: Write>(&self, mut to: W) -> io::Result<usize> {
        Ok(self.0.term.encode(&mut to)?
            + self.0.node.encode(&mut to)?
            + u8::from(self.0.committed).encode(&mut to)?)
    }
}

impl Decode for DiskVote {
    fn decode<R: Read>(mut from: R) -> io::Result<Self> {
        let term = u64::decode(&mut from)?;
        let node = u64::decode(&mut from)?;
        let committed = match u8::decode(&mut from)? {
            0 => false,
            1 => true,
            other => return Err(invalid(format!("vote flag {other}"))),
        };
        Ok(DiskVote(Vote {
            term,
            node,
            committed,
        }))
    }
}

impl Encode for DiskPayload {
    fn encode<W: Write>(&self, mut to: W) -> io::Result<usize> {
        let (kind, bytes): (u8, &[u8]) = match &self.0 {
            Payload::Blank => (0, &[]),
            Payload::Membership(bytes) => (1, bytes),
            Payload::Entry(bytes) => (2, bytes),
        };
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|length| *length <= PAYLOAD_BYTES_MAX)
            .ok_or_else(|| invalid(format!("payload of {} bytes", bytes.len())))?;
        let head = kind.encode(&mut to)? + length.encode(&mut to)?;
        to.write_all(bytes)?;
        Ok(head + bytes.len())
    }
}

impl Decode for DiskPayload {
    fn decode<R: Read>(mut from: R) -> io::Result<Self> {
        let kind = u8::decode(&mut from)?;
        let length = u32::decode(&mut from)?;
        if length > PAYLOAD_BYTES_MAX {
            return Err(invalid(format!("payload length {length}")));
        }
        let mut bytes = vec![0; length as usize];
        from.read_exact(&mut bytes)?;
        match (kind, length) {
            (0, 0) => Ok(DiskPayload(Payload::Blank)),
            (1, _) => Ok(DiskPayload(Payload::Membership(Bytes::from(bytes)))),
            (2, _) => Ok(DiskPayload(Payload::Entry(Bytes::from(bytes)))),
            _ => Err(invalid(format!("record kind {kind}"))),
        }
    }
}

fn invalid(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}
