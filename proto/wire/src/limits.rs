//! Every limit of the wire, with its unit in its name. Relations between them are checked by the compiler.
//!
//! A limit of replicated state (bytes of an entry, of a command) stands in `carnet_domain::limits`. No limit stands in both,
//! and none that governs nothing: `cargo xtask tidy` looks.

use std::time::Duration;

use carnet_domain::limits::{ENTRY_BYTES_MAX, ITEM_COUNT_MAX};

/// The most items of one request.
pub const ITEMS_MAX: u32 = ITEM_COUNT_MAX;
/// The most bytes of items in one bulk request, over all its messages.
pub const BULK_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes of items in one message of a bulk stream: one message becomes at least one log entry.
pub const BULK_MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of items in one part of a bulk request, which becomes one log entry: far below the entry's limit, so that a
/// follower's apply is never long. One item alone may be larger.
pub const BULK_PART_BYTES_MAX: usize = 128 * 1024;
/// Items in one part of a bulk request.
pub const BULK_PART_ITEMS_MAX: u32 = 512;
/// The most bytes of items that one `Submit` carries; more goes through `SubmitBulk`.
pub const SUBMIT_BYTES_MAX: usize = 256 * 1024;
/// Requests of one `SubmitStream` that are not answered yet; no more of the stream is read meanwhile.
pub const SUBMIT_STREAM_REQUESTS_MAX: usize = 256;
/// The largest message that a client or admin port reads, in bytes.
pub const CLIENT_REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// The largest message that a client reads from a registry, in bytes.
pub const CLIENT_RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The largest message on the Raft plane, in bytes.
pub const RAFT_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest message between jurisdictions, but for `Follow`, in bytes.
pub const FEDERATION_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The largest batch of a mailbox, in bytes.
pub const FEDERATION_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The largest part of a mailbox batch that becomes one log entry, in bytes.
pub const FEDERATION_PART_BYTES_MAX: usize = 256 * 1024;
/// What protobuf framing adds to a payload at most, in bytes.
pub const FRAME_BYTES_MAX: usize = 4 * 1024;

/// Open streams of one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 64;
/// The largest header list, in bytes.
pub const HEADER_LIST_BYTES_MAX: u32 = 8 * 1024;

/// A unary request is cut off after this on the server.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A proposal that was not begun in this time is taken back; below [`REQUEST_TIMEOUT`], so that its caller is told that it did not
/// happen.
pub const PROPOSE_TIMEOUT: Duration = Duration::from_secs(8);
/// One attempt of a client; below [`REQUEST_TIMEOUT`], so that the client learns first.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// A client's deadline over all attempts, unless it sets its own.
pub const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// A connection of a client, from the first packet to the end of the handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// HTTP/2 ping when a connection is idle.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// A connection whose ping is not answered for this long is closed.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// When to come back after `Overloaded` without a time of its own.
pub const RETRY_AFTER_DEFAULT: Duration = Duration::from_millis(200);
/// The longest that a caller may wait for a checkpoint inside one request.
pub const CHECKPOINT_WAIT_MAX: Duration = Duration::from_secs(8);
/// A signed command is refused when log time passed its signing by more than this.
pub const COMMAND_LIFETIME: Duration = Duration::from_secs(600);

/// Records of a page when the request says 0.
pub const PAGE_SIZE_DEFAULT: u32 = 100;
/// The most records of a page.
pub const PAGE_SIZE_MAX: u32 = 1_000;

/// Fewer voters than these are taken only from a caller who says that they are meant: with fewer, no node may fail.
pub const VOTERS_MIN: usize = 3;

const _: () = assert!(BULK_MESSAGE_BYTES_MAX <= ENTRY_BYTES_MAX / 2);
const _: () = assert!(BULK_PART_BYTES_MAX <= BULK_MESSAGE_BYTES_MAX);
const _: () = assert!(SUBMIT_BYTES_MAX <= ENTRY_BYTES_MAX / 2);
const _: () = assert!(BULK_MESSAGE_BYTES_MAX + FRAME_BYTES_MAX <= CLIENT_REQUEST_BYTES_MAX);
const _: () = assert!(FEDERATION_PART_BYTES_MAX <= FEDERATION_BATCH_BYTES_MAX);
const _: () = assert!(FEDERATION_PART_BYTES_MAX <= ENTRY_BYTES_MAX / 2);
const _: () = assert!(FEDERATION_BATCH_BYTES_MAX + FRAME_BYTES_MAX <= RAFT_MESSAGE_BYTES_MAX);
const _: () = assert!(PAGE_SIZE_DEFAULT <= PAGE_SIZE_MAX);
const _: () = assert!(PROPOSE_TIMEOUT.as_millis() < REQUEST_TIMEOUT.as_millis());
const _: () = assert!(ATTEMPT_TIMEOUT.as_millis() < REQUEST_TIMEOUT.as_millis());
const _: () = assert!(REQUEST_TIMEOUT.as_millis() < CALL_DEADLINE.as_millis());
const _: () = assert!(CHECKPOINT_WAIT_MAX.as_millis() < REQUEST_TIMEOUT.as_millis());
