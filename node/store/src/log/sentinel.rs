//! A small file that remembers how far the log was synced, so that a lost tail is noticed at the next start.
//!
//! raft-log refuses any flipped bit, but a last segment that was cut or deleted opens without a word. The sentinel is
//! written after each sync of the log, itself synced at every vote and truncation and otherwise once a second.
//! **The gap**: if within that second the power fails *and* the same file system forgets synced bytes of the log, the
//! loss goes unnoticed.
//!
//! What a crash leaves, by where it comes, and what the next start says:
//!
//! 1. Records are written and not synced: nobody was told that they are there. The mark names an earlier record, which is there.
//! 2. Records are synced, the mark is not written: the log has more than the mark says, which is no loss.
//! 3. The mark is being written: its slot fails its checksum, and the other one, written before it, counts.
//! 4. The mark is written and not synced (for up to a second): as 2 or as 5, whichever the disk kept.
//! 5. The mark is synced, and the log ends before the record that it names, or with another: the tail was lost, and the node does
//!    not start (exit code 4). A truncation lowers the mark first, synced, and cuts the log then.
//! 6. A vote is synced in the log and not in the mark: it holds, for the log's is read. One in the mark that the log lacks is a
//!    lost vote, and the node does not start: it would vote twice.
//! 7. The count is raised and synced before it is shown to anybody: a crash in between wastes a number.
//!
//! It also says whose log this is, by the store id, and carries a count: the other nodes keep the highest that they saw, so
//! that an older copy of the directory is known by its lower one. It rises with every start, with every vote, and with every
//! minute in which the log was written, so that a copy taken while the process ran is soon an older one too.
//!
//! ```text
//! two slots, at 0 and 512, written in turn; the valid one with the higher sequence counts
//! "CSN2" | sequence u64 | store 16 bytes | start u64
//!        | has_last u8 | term u64 | node u64 | index u64 | payload crc u32
//!        | has_vote u8 | term u64 | node u64 | committed u8 | crc32 u32        big-endian
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Vote;
use crate::fault::StorageFault;
use crate::identity::StoreId;
use crate::machine::LogPosition;

const MAGIC: &[u8; 4] = b"CSN2";
const SLOT_BYTES: usize = 4 + 8 + 16 + 8 + 1 + 24 + 4 + 1 + 8 + 8 + 1 + 4;
const SLOT_STRIDE: u64 = 512;

const _: () = assert!(SLOT_BYTES as u64 <= SLOT_STRIDE);

/// The log's end as it was on stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// Last record and the checksum of its payload.
    pub(super) last: Option<(LogPosition, u32)>,
    pub(super) vote: Option<Vote>,
}

/// Whose log it is, and how often it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) store: StoreId,
    /// The count; 0 until the first start.
    pub(super) start: u64,
}

#[derive(Debug)]
pub(super) struct Sentinel {
    file: File,
    path: PathBuf,
    sequence: u64,
    life: Life,
    mark: Mark,
    dirty: bool,
}

impl Sentinel {
    /// Creates the file of a store that was never started; it must not exist.
    pub(super) fn create(path: &Path, store: StoreId) -> Result<Sentinel, StorageFault> {
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
            life: Life { store, start: 0 },
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
            .max_by_key(|(sequence, ..)| *sequence);
        let Some((sequence, life, mark)) = newest else {
            return Err(StorageFault::Corrupt {
                what: "sentinel",
                detail: format!("no whole slot in {}", path.display()),
            });
        };
        Ok(Sentinel {
            file,
            path: path.to_owned(),
            sequence,
            life,
            mark,
            dirty: false,
        })
    }

    /// Whose log it is, and how often it was started.
    pub(super) fn life(&self) -> Life {
        self.life
    }

    /// Raises the count, durably. It may be shown only after: a count that is lost would be shown twice, and the second
    /// process would be taken for a copy.
    pub(super) fn rise(&mut self) -> Result<(), StorageFault> {
        let start = self.life.start.checked_add(1);
        self.life.start = start.ok_or_else(|| StorageFault::Corrupt {
            what: "sentinel",
            detail: "the count of starts is at its end".to_owned(),
        })?;
        // Into both slots, one after the other: a slot that is damaged later must not bring an older count back.
        for _ in 0..2 {
            self.write(self.mark)?;
            self.sync()?;
        }
        Ok(())
    }

    /// Whether anything was written since the last sync.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Writes a mark without syncing it.
    pub(super) fn write(&mut self, mark: Mark) -> Result<(), StorageFault> {
        let sequence = self.sequence + 1;
        let offset = (sequence % 2) * SLOT_STRIDE;
        self.file
            .write_all_at(&encode(sequence, self.life, mark), offset)
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

fn encode(sequence: u64, life: Life, mark: Mark) -> [u8; SLOT_BYTES] {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&life.store.0);
    bytes.extend_from_slice(&life.start.to_be_bytes());
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

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(u64, Life, Mark)> {
    let (body, crc) = slot.split_at(SLOT_BYTES - 4);
    if crc32fast::hash(body).to_be_bytes() != crc {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let sequence = u64::from_be_bytes(take(&mut rest)?);
    let life = Life {
        store: StoreId(take(&mut rest)?),
        start: u64::from_be_bytes(take(&mut rest)?),
    };
    let [has_last] = take(&mut rest)?;
    let last = LogPosition {
        term: u64::from_be_bytes(take(&mut rest)?),
        node: u64::from_be_bytes(take(&mut rest)?),
        index: u64::from_be_bytes(take(&mut rest)?),
    };
    let payload_crc = u32::from_be_bytes(take(&mut rest)?);
    let [has_vote] = take(&mut rest)?;
    let (term, node) = (take(&mut rest)?, take(&mut rest)?);
    let [committed] = take(&mut rest)?;
    let vote = Vote {
        term: u64::from_be_bytes(term),
        node: u64::from_be_bytes(node),
        committed: committed == 1,
    };
    let mark = Mark {
        last: (has_last == 1).then_some((last, payload_crc)),
        vote: (has_vote == 1).then_some(vote),
    };
    Some((sequence, life, mark))
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*first)
}

pub(super) fn fault(what: &'static str, path: &Path, source: std::io::Error) -> StorageFault {
    StorageFault::of_io(what, path, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = Life {
        store: StoreId([0xab; 16]),
        start: 4,
    };

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
            let slot = encode(sequence, LIFE, mark);
            assert_eq!(decode(&slot), Some((sequence, LIFE, mark)));
        }
    }

    #[test]
    fn any_flipped_bit_of_a_slot_is_noticed() {
        let slot = encode(
            5,
            LIFE,
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
        let mut sentinel = Sentinel::create(&path, LIFE.store).expect("created");
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
    #[test]
    fn a_damaged_slot_never_brings_an_older_count_of_starts_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sentinel");
        drop(Sentinel::create(&path, LIFE.store).expect("created"));
        for start in 1..=5 {
            let mut sentinel = Sentinel::open(&path).expect("opens");
            sentinel.rise().expect("counted");
            assert_eq!(sentinel.life(), Life { start, ..LIFE });
        }
        let whole = std::fs::read(&path).expect("readable");
        for offset in [0, SLOT_STRIDE as usize] {
            let mut broken = whole.clone();
            broken[offset + 20] ^= 1;
            std::fs::write(&path, &broken).expect("written");
            assert_eq!(Sentinel::open(&path).expect("opens").life().start, 5);
        }
    }
}
