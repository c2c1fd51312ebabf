//! A small file that remembers how far the log was synced, so that a lost tail is noticed at the next start.
//!
//! raft-log refuses any flipped bit, but a last segment that was cut or deleted opens without a word. The sentinel is
//! written after each sync of the log, itself synced at every vote and truncation and otherwise once a second.
//! **The gap**: if within that second the power fails *and* the same file system forgets synced bytes of the log, the
//! loss goes unnoticed.
//!
//! ```text
//! two slots, at 0 and 512, written in turn; the valid one with the higher sequence counts
//! "CSN1" | sequence u64 | has_last u8 | term u64 | node u64 | index u64 | payload crc u32
//!        | has_vote u8 | term u64 | node u64 | committed u8 | crc32 u32        big-endian
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Vote;
use crate::fault::StorageFault;
use crate::machine::LogPosition;

const MAGIC: &[u8; 4] = b"CSN1";
const SLOT_BYTES: usize = 4 + 8 + 1 + 24 + 4 + 1 + 8 + 8 + 1 + 4;
const SLOT_STRIDE: u64 = 512;

const _: () = assert!(SLOT_BYTES as u64 <= SLOT_STRIDE);

/// The log's end as it was on stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// Last record and the checksum of its payload.
    pub(super) last: Option<(LogPosition, u32)>,
    pub(super) vote: Option<Vote>,
}

#[derive(Debug)]
pub(super) struct Sentinel {
    file: File,
    path: PathBuf,
    sequence: u64,
    mark: Mark,
    dirty: bool,
}

impl Sentinel {
    /// Creates the file; it must not exist.
    pub(super) fn create(path: &Path) -> Result<Sentinel, StorageFault> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|source| fault("create sentinel", path, source))?;
        let mut sentinel = Sentinel {
            file,
            path: path.to_owned(),
            sequence: 0,
            mark: Mark::default(),
            dirty: false,
        };
        sentinel.write(Mark::default())?;
        sentinel.sync()?;
        Ok(sentinel)
    }

    /// Opens the file and reads the newest whole slot.
    pub(super) fn open(path: &Path) -> Result<Sentinel, StorageFault> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|source| fault("open sentinel", path, source))?;
        let newest = [0, SLOT_STRIDE]
            .into_iter()
            .filter_map(|offset| {
                let mut slot = [0; SLOT_BYTES];
                file.read_exact_at(&mut slot, offset).ok()?;
                decode(&slot)
            })
            .max_by_key(|(sequence, _)| *sequence);
        let Some((sequence, mark)) = newest else {
            return Err(StorageFault::Corrupt {
                what: "sentinel",
                detail: format!("no whole slot in {}", path.display()),
            });
        };
        Ok(Sentinel {
            file,
            path: path.to_owned(),
            sequence,
            mark,
            dirty: false,
        })
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Writes a mark without syncing it.
    pub(super) fn write(&mut self, mark: Mark) -> Result<(), StorageFault> {
        let sequence = self.sequence + 1;
        let offset = (sequence % 2) * SLOT_STRIDE;
        self.file
            .write_all_at(&encode(sequence, mark), offset)
            .map_err(|source| fault("write sentinel", &self.path, source))?;
        self.sequence = sequence;
        self.mark = mark;
        self.dirty = true;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), StorageFault> {
        if self.dirty {
            self.file
                .sync_data()
                .map_err(|source| fault("sync sentinel", &self.path, source))?;
            self.dirty = false;
        }
        Ok(())
    }
}

fn encode(sequence: u64, mark: Mark) -> [u8; SLOT_BYTES] {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    let (last, payload_crc) = mark.last.unwrap_or_default();
    bytes.push(u8::from(mark.last.is_some()));
    for field in [last.term, last.node, last.index] {
        bytes.extend_from_slice(&field.to_be_bytes());
    }
    bytes.extend_from_slice(&payload_crc.to_be_bytes());
    let vote = mark.vote.unwrap_or_default();
    bytes.push(u8::from(mark.vote.is_some()));
    bytes.extend_from_slice(&vote.term.to_be_bytes());
    bytes.extend_from_slice(&vote.node.to_be_bytes());
    bytes.push(u8::from(vote.committed));
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    let mut slot = [0; SLOT_BYTES];
    slot.copy_from_slice(&bytes);
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(u64, Mark)> {
    let (body, crc) = slot.split_at(SLOT_BYTES - 4);
    if !body.starts_with(MAGIC) || crc32fast::hash(body).to_be_bytes() != crc {
        return None;
    }
    let u64_at = |at: usize| {
        body.get(at..at + 8)?
            .try_into()
            .ok()
            .map(u64::from_be_bytes)
    };
    let payload_crc = u32::from_be_bytes(body.get(37..41)?.try_into().ok()?);
    let last = LogPosition {
        term: u64_at(13)?,
        node: u64_at(21)?,
        index: u64_at(29)?,
    };
    let vote = Vote {
        term: u64_at(42)?,
        node: u64_at(50)?,
        committed: body.get(58)? == &1,
    };
    let mark = Mark {
        last: (body.get(12)? == &1).then_some((last, payload_crc)),
        vote: (body.get(41)? == &1).then_some(vote),
    };
    Some((u64_at(4)?, mark))
}

pub(super) fn fault(what: &'static str, path: &Path, source: std::io::Error) -> StorageFault {
    StorageFault::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_as_it_was_written() {
        let marks = [
            Mark::default(),
            Mark {
                last: Some((
                    LogPosition {
                        term: 3,
                        node: 2,
                        index: 17,
                    },
                    0xfeed,
                )),
                vote: None,
            },
            Mark {
                last: None,
                vote: Some(Vote {
                    term: 9,
                    node: 1,
                    committed: true,
                }),
            },
        ];
        for (sequence, mark) in (7..).zip(marks) {
            assert_eq!(decode(&encode(sequence, mark)), Some((sequence, mark)));
        }
    }

    #[test]
    fn any_flipped_bit_of_a_slot_is_noticed() {
        let slot = encode(
            5,
            Mark {
                last: Some((
                    LogPosition {
                        term: 1,
                        node: 1,
                        index: 2,
                    },
                    3,
                )),
                vote: None,
            },
        );
        for bit in 0..SLOT_BYTES * 8 {
            let mut broken = slot;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&broken), None, "bit {bit}");
        }
    }

    #[test]
    fn a_torn_newer_slot_leaves_the_older_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sentinel");
        let mut sentinel = Sentinel::create(&path).expect("created");
        let older = Mark {
            last: Some((
                LogPosition {
                    term: 1,
                    node: 1,
                    index: 4,
                },
                9,
            )),
            vote: None,
        };
        sentinel.write(older).expect("written");
        let newer_offset = ((sentinel.sequence + 1) % 2) * SLOT_STRIDE;
        sentinel
            .file
            .write_all_at(b"torn", newer_offset)
            .expect("written");
        assert_eq!(Sentinel::open(&path).expect("opens").mark(), older);
    }
}
