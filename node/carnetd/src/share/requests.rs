//! A name for each request, by which a caller and a line of the log mean the same.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names requests: what was drawn for the process, and a count. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RequestIds(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    process: [u8; 3],
    next: AtomicU64,
}

/// The name of one request, unique among those of a node for as long as nobody draws the same again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestId(Option<Arc<str>>);

impl RequestIds {
    /// For a process that drew this.
    pub fn new(process: [u8; 3]) -> Self {
        Self(Arc::new(Inside {
            process,
            next: AtomicU64::new(1),
        }))
    }

    /// The next one.
    pub fn draw(&self) -> RequestId {
        let count = self.0.next.fetch_add(1, Ordering::Relaxed);
        let process = hex::encode(self.0.process);
        RequestId(Some(format!("{process}-{count:x}").into()))
    }
}

impl RequestId {
    /// As a text; empty for a call that is of no request.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
