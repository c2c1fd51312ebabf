//! The room on this node's own disk: how much, and where it is read.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{Body, Undecodable, take_u64};

/// The room on a node's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this node may still write.
    pub free_bytes: u64,
    /// Bytes below which it should not.
    pub watermark_bytes: u64,
    /// Where, for people.
    pub path: String,
}

impl Space {
    /// Whether there is less than there should be.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.free_bytes < self.watermark_bytes
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, mark) = (Amount(self.free_bytes), Amount(self.watermark_bytes));
        write!(f, "{free} free on {}", self.path)?;
        if self.is_low() {
            write!(f, ", below the watermark of {mark}")?;
        }
        Ok(())
    }
}

/// Bytes, in the unit that a person would choose.
struct Amount(u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        match self.0 {
            bytes if bytes >= GIB => write!(f, "{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB),
            bytes => write!(f, "{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
        }
    }
}

impl Body for Space {
    fn encode(&self, to: &mut BytesMut) {
        to.put_u64(self.free_bytes);
        to.put_u64(self.watermark_bytes);
        self.path.encode(to);
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        Ok(Space {
            free_bytes: take_u64(from)?,
            watermark_bytes: take_u64(from)?,
            path: String::decode(from)?,
        })
    }
}

/// Reads the room on this node's disk.
pub trait DiskSpace: Send + Sync + 'static {
    /// The room, on the fullest of the file systems that the node writes to.
    ///
    /// # Errors
    /// The operating system does not say.
    fn read(&self) -> Result<Space, String>;
}

/// Where the room is read; without one there is always enough.
#[derive(Clone, Default)]
pub struct SpaceProbe(pub(crate) Option<Arc<dyn DiskSpace>>);

impl SpaceProbe {
    /// Reads it there.
    #[must_use]
    pub fn new(disk: Arc<dyn DiskSpace>) -> SpaceProbe {
        SpaceProbe(Some(disk))
    }
}

impl fmt::Debug for SpaceProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "SpaceProbe",
            None => "no SpaceProbe",
        })
    }
}
