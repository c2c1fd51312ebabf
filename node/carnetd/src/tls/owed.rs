//! Pieces of answers that were handed to a connection and that its other end does not let out. HTTP/2 has a window of its own, which
//! the socket knows nothing of: whoever opens none reads all that is written, and is written nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// A piece may wait so long, and longer by what waits on the connection with it.
pub const LET_OUT_WITHIN: Duration = Duration::from_secs(60);
/// The slowest line that whole answers are kept for.
const BYTES_PER_SECOND_MIN: u64 = 64 * 1024;

/// What a connection has been given to send and has not sent. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Owed(Arc<Mutex<Pieces>>);

#[derive(Debug, Default)]
struct Pieces {
    bytes: u64,
    next: u64,
    /// By the instant at which each is overdue, and a number.
    waiting: BTreeMap<(Instant, u64), u64>,
    /// A stream on it lets no answers out, which are not handed to it at all.
    unread: bool,
}

impl Owed {
    /// The same bytes, owed until the last part of them is dropped: the transport drops what it has written.
    pub fn owe(&self, bytes: Bytes) -> Bytes {
        let size = bytes.len() as u64;
        let key = {
            let mut pieces = self.lock();
            pieces.bytes = pieces.bytes.saturating_add(size);
            let by_size = Duration::from_secs(pieces.bytes / BYTES_PER_SECOND_MIN);
            let key = (Instant::now() + LET_OUT_WITHIN + by_size, pieces.next);
            pieces.next = pieces.next.wrapping_add(1);
            pieces.waiting.insert(key, size);
            key
        };
        let owed = self.clone();
        Bytes::from_owner(Piece { bytes, key, owed })
    }

    /// Notes that a stream on it lets no answers out, for too long: what has no room is handed to nobody, and waits where no piece is.
    pub fn unread(&self) {
        self.lock().unread = true;
    }

    /// Whether one of them waits for too long.
    pub fn is_overdue(&self) -> bool {
        let pieces = self.lock();
        if pieces.unread {
            return true;
        }
        let first = pieces.waiting.first_key_value();
        first.is_some_and(|((due, _), _)| *due <= Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        // Every change is whole when it is made, so a poisoned lock holds a whole value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Piece {
    bytes: Bytes,
    key: (Instant, u64),
    owed: Owed,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut pieces = self.owed.lock();
        if let Some(size) = pieces.waiting.remove(&self.key) {
            pieces.bytes = pieces.bytes.saturating_sub(size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_piece_is_owed_until_its_last_part_is_sent() {
        let owed = Owed::default();
        let mut first = owed.owe(Bytes::from_static(b"an answer"));
        // As much more as takes a minute on the slowest line.
        let size = 60 * BYTES_PER_SECOND_MIN;
        let second = owed.owe(Bytes::from(vec![0; size as usize]));
        tokio::time::advance(LET_OUT_WITHIN).await;
        assert!(owed.is_overdue());
        let part = first.split_to(2);
        drop(first);
        assert!(owed.is_overdue(), "a part of it is left");
        drop(part);
        assert!(!owed.is_overdue());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(owed.is_overdue());
        drop(second);
        assert!(!owed.is_overdue());
        assert_eq!(owed.lock().bytes, 0);
    }
}
