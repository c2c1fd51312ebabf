//! The messages of the Raft plane, as values and as bodies.

#![deny(clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};
use carnet_store::log::Vote;
use carnet_store::machine::{LogPosition, LogRecord, SnapshotFile};
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};

use crate::codec::{
    Body, Undecodable, entry_of, record_of, take_index, take_u8, take_u32, take_u64,
};
use crate::error::ProposeError;
use crate::roster::Roster;
use crate::types::{
    RaftSnapshotMeta, RaftStoredMembership, Types, log_id, our_vote, position, raft_vote,
};

pub(crate) fn append_body(request: AppendEntriesRequest<Types>) -> Bytes {
    let mut to = BytesMut::new();
    our_vote(&request.vote).encode(&mut to);
    request.prev_log_id.as_ref().map(position).encode(&mut to);
    request.leader_commit.as_ref().map(position).encode(&mut to);
    let records: Vec<LogRecord> = request.entries.into_iter().map(record_of).collect();
    records.encode(&mut to);
    to.freeze()
}

pub(crate) fn append_from(mut from: Bytes) -> Result<AppendEntriesRequest<Types>, Undecodable> {
    let vote = raft_vote(Vote::decode(&mut from)?);
    let prev_log_id = Option::<LogPosition>::decode(&mut from)?.map(log_id);
    let leader_commit = Option::<LogPosition>::decode(&mut from)?.map(log_id);
    let records = Vec::<LogRecord>::from_body(from)?;
    let entries = records
        .into_iter()
        .map(entry_of)
        .collect::<Result<Vec<_>, _>>()?;
    let append = AppendEntriesRequest {
        vote,
        prev_log_id,
        entries,
        leader_commit,
    };
    if !follows(&append) {
        return Err(Undecodable("append: records that do not follow"));
    }
    Ok(append)
}

/// Whether every record follows the one before, and none is of a later leader than the one that sends.
fn follows(append: &AppendEntriesRequest<Types>) -> bool {
    let leader = our_vote(&append.vote);
    let mut before = append.prev_log_id.as_ref().map(position);
    for entry in &append.entries {
        let at = position(&entry.log_id);
        let index = before.map_or(0, |before| before.index.saturating_add(1));
        if at.index != index || before.is_some_and(|before| at < before) {
            return false;
        }
        before = Some(at);
    }
    let commit = append.leader_commit.as_ref().map(position);
    before.into_iter().chain(commit).all(|at| is_of(at, leader))
}

/// Whether a record can be known to a leader: it is its own or of an earlier one.
pub(crate) fn is_of(at: LogPosition, leader: Vote) -> bool {
    (at.term, at.node) <= (leader.term, leader.node)
}

pub(crate) fn append_result_body(result: &StreamAppendResult<Types>) -> Bytes {
    let mut to = BytesMut::new();
    match result {
        Ok(matching) => {
            to.put_u8(0);
            matching.as_ref().map(position).encode(&mut to);
        }
        Err(StreamAppendError::Conflict(at)) => {
            to.put_u8(1);
            position(at).encode(&mut to);
        }
        Err(StreamAppendError::HigherVote(vote)) => {
            to.put_u8(2);
            our_vote(vote).encode(&mut to);
        }
    }
    to.freeze()
}

pub(crate) fn append_result_from(
    mut from: Bytes,
) -> Result<StreamAppendResult<Types>, Undecodable> {
    match take_u8(&mut from)? {
        0 => Ok(Ok(Option::<LogPosition>::from_body(from)?.map(log_id))),
        1 => Ok(Err(StreamAppendError::Conflict(log_id(
            LogPosition::from_body(from)?,
        )))),
        2 => Ok(Err(StreamAppendError::HigherVote(raft_vote(
            Vote::from_body(from)?,
        )))),
        _ => Err(Undecodable("append result")),
    }
}

pub(crate) fn vote_body(request: &VoteRequest<Types>) -> Bytes {
    let mut to = BytesMut::new();
    our_vote(&request.vote).encode(&mut to);
    request.last_log_id.as_ref().map(position).encode(&mut to);
    request.leadership_transfer.encode(&mut to);
    to.freeze()
}

pub(crate) fn vote_from(mut from: Bytes) -> Result<VoteRequest<Types>, Undecodable> {
    let vote = raft_vote(Vote::decode(&mut from)?);
    let last_log_id = Option::<LogPosition>::decode(&mut from)?.map(log_id);
    let leadership_transfer = bool::from_body(from)?;
    Ok(VoteRequest {
        vote,
        last_log_id,
        leadership_transfer,
    })
}

pub(crate) fn vote_answer_body(response: &VoteResponse<Types>) -> Bytes {
    let mut to = BytesMut::new();
    our_vote(&response.vote).encode(&mut to);
    response.last_log_id.as_ref().map(position).encode(&mut to);
    response.vote_granted.encode(&mut to);
    to.freeze()
}

pub(crate) fn vote_answer_from(mut from: Bytes) -> Result<VoteResponse<Types>, Undecodable> {
    let vote = raft_vote(Vote::decode(&mut from)?);
    let last_log_id = Option::<LogPosition>::decode(&mut from)?.map(log_id);
    let granted = bool::from_body(from)?;
    Ok(VoteResponse::new(vote, last_log_id, granted))
}

pub(crate) fn transfer_body(request: &TransferLeaderRequest<Types>) -> Bytes {
    let mut to = BytesMut::new();
    our_vote(request.from_leader()).encode(&mut to);
    to.put_u64(*request.to_node_id());
    request.last_log_id().map(position).encode(&mut to);
    to.freeze()
}

pub(crate) fn transfer_from(mut from: Bytes) -> Result<TransferLeaderRequest<Types>, Undecodable> {
    let leader = raft_vote(Vote::decode(&mut from)?);
    let to = take_u64(&mut from)?;
    let last = Option::<LogPosition>::from_body(from)?.map(log_id);
    Ok(TransferLeaderRequest::new(leader, to, last))
}

/// A leader's vote, and the record that its follower acknowledged and lacks.
pub(crate) fn went_back_body(leader: Vote, acknowledged: LogPosition) -> Bytes {
    let mut to = BytesMut::new();
    leader.encode(&mut to);
    acknowledged.encode(&mut to);
    to.freeze()
}

pub(crate) fn went_back_from(mut from: Bytes) -> Result<(Vote, LogPosition), Undecodable> {
    Ok((Vote::decode(&mut from)?, LogPosition::from_body(from)?))
}

/// What the target of a leadership transfer says: done, or why not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TransferAnswer {
    Accepted,
    VoteChanged(Vote),
    LogNotFlushed(Option<LogPosition>),
}

impl Body for TransferAnswer {
    fn encode(&self, to: &mut BytesMut) {
        match self {
            TransferAnswer::Accepted => to.put_u8(0),
            TransferAnswer::VoteChanged(vote) => {
                to.put_u8(1);
                vote.encode(to);
            }
            TransferAnswer::LogNotFlushed(last) => {
                to.put_u8(2);
                last.encode(to);
            }
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        match take_u8(from)? {
            0 => Ok(TransferAnswer::Accepted),
            1 => Ok(TransferAnswer::VoteChanged(Vote::decode(from)?)),
            2 => Ok(TransferAnswer::LogNotFlushed(Option::decode(from)?)),
            _ => Err(Undecodable("transfer answer")),
        }
    }
}

/// The parts of a snapshot's stream: one header, then pieces of its files in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SnapshotPart {
    Header {
        vote: Vote,
        last: Option<LogPosition>,
        membership: (Option<LogPosition>, Bytes),
        files: Vec<SnapshotFile>,
    },
    Piece {
        file: u32,
        offset: u64,
        bytes: Bytes,
    },
}

/// Most files in one snapshot.
const SNAPSHOT_FILES_MAX: u32 = 100_000;

impl Body for SnapshotPart {
    fn encode(&self, to: &mut BytesMut) {
        match self {
            SnapshotPart::Header {
                vote,
                last,
                membership,
                files,
            } => {
                to.put_u8(0);
                vote.encode(to);
                last.encode(to);
                membership.0.encode(to);
                membership.1.encode(to);
                to.put_u32(u32::try_from(files.len()).unwrap_or(u32::MAX));
                for file in files {
                    file.name.encode(to);
                    to.put_u64(file.size);
                }
            }
            SnapshotPart::Piece {
                file,
                offset,
                bytes,
            } => {
                to.put_u8(1);
                to.put_u32(*file);
                to.put_u64(*offset);
                bytes.encode(to);
            }
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        match take_u8(from)? {
            0 => {
                let vote = Vote::decode(from)?;
                let last = Option::decode(from)?;
                let membership = (Option::decode(from)?, Bytes::decode(from)?);
                let count = take_u32(from)?;
                if SNAPSHOT_FILES_MAX < count {
                    return Err(Undecodable("snapshot header: too many files"));
                }
                let mut files = Vec::new();
                for _ in 0..count {
                    files.push(SnapshotFile {
                        name: String::decode(from)?,
                        size: take_index(from)?,
                    });
                }
                Ok(SnapshotPart::Header {
                    vote,
                    last,
                    membership,
                    files,
                })
            }
            1 => Ok(SnapshotPart::Piece {
                file: take_u32(from)?,
                offset: take_index(from)?,
                bytes: Bytes::decode(from)?,
            }),
            _ => Err(Undecodable("snapshot part")),
        }
    }
}

/// The metadata of a snapshot that holds `last` and `membership`.
pub(crate) fn snapshot_meta(
    last: Option<LogPosition>,
    membership: Option<(LogPosition, Bytes)>,
) -> Result<RaftSnapshotMeta, Undecodable> {
    let last_membership = match membership {
        Some((at, bytes)) => {
            RaftStoredMembership::new(Some(log_id(at)), Roster::from_body(bytes)?.membership)
        }
        None => RaftStoredMembership::default(),
    };
    Ok(RaftSnapshotMeta {
        last_log_id: last.map(log_id),
        last_membership,
    })
}

/// What a leader says to a follower that asks for a read index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadIndexAnswer {
    Index(u64),
    NotLeader,
    NoQuorum,
}

impl Body for ReadIndexAnswer {
    fn encode(&self, to: &mut BytesMut) {
        match self {
            ReadIndexAnswer::Index(index) => {
                to.put_u8(0);
                to.put_u64(*index);
            }
            ReadIndexAnswer::NotLeader => to.put_u8(1),
            ReadIndexAnswer::NoQuorum => to.put_u8(2),
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        match take_u8(from)? {
            0 => Ok(ReadIndexAnswer::Index(take_index(from)?)),
            1 => Ok(ReadIndexAnswer::NotLeader),
            2 => Ok(ReadIndexAnswer::NoQuorum),
            _ => Err(Undecodable("read index answer")),
        }
    }
}

/// A forwarded request's fate.
pub(crate) struct ForwardAnswer(pub(crate) Result<Bytes, ProposeError>);

impl Body for ForwardAnswer {
    fn encode(&self, to: &mut BytesMut) {
        match &self.0 {
            Ok(answer) => {
                to.put_u8(0);
                answer.encode(to);
            }
            Err(ProposeError::NotLeader { leader }) => {
                to.put_u8(1);
                to.put_u64(leader.as_ref().map_or(0, |(id, _)| *id));
                leader
                    .as_ref()
                    .map(|(_, address)| address.clone())
                    .encode(to);
            }
            Err(ProposeError::TooLarge { size }) => {
                to.put_u8(2);
                to.put_u64(*size as u64);
            }
            Err(ProposeError::Overloaded) => to.put_u8(3),
            Err(ProposeError::Unknown(why)) => {
                to.put_u8(4);
                why.encode(to);
            }
            Err(ProposeError::Stopped) => to.put_u8(5),
            Err(ProposeError::Refused(why)) => {
                to.put_u8(6);
                why.encode(to);
            }
            Err(ProposeError::StandsStill(why)) => {
                to.put_u8(7);
                why.encode(to);
            }
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        let outcome = match take_u8(from)? {
            0 => Ok(Bytes::decode(from)?),
            1 => {
                let id = take_u64(from)?;
                let address = Option::<String>::decode(from)?;
                Err(ProposeError::NotLeader {
                    leader: address.map(|address| (id, address)),
                })
            }
            2 => Err(ProposeError::TooLarge {
                size: usize::try_from(take_u64(from)?).unwrap_or(usize::MAX),
            }),
            3 => Err(ProposeError::Overloaded),
            4 => Err(ProposeError::Unknown(String::decode(from)?)),
            5 => Err(ProposeError::Stopped),
            6 => Err(ProposeError::Refused(String::decode(from)?)),
            7 => Err(ProposeError::StandsStill(String::decode(from)?)),
            _ => return Err(Undecodable("forward answer")),
        };
        Ok(ForwardAnswer(outcome))
    }
}
