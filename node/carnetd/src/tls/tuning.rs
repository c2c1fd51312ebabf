//! The limits of HTTP/2 on a gRPC port, in one place. How long calls may take stands in [`crate::edge::methods`].

use std::time::Duration;

use carnet_wire::limits::{
    HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAMS_MAX,
};
use tonic::transport::Server;

/// What one connection of a gRPC port may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTuning {
    /// The most streams of one connection at a time. Default 64.
    pub stream_count_max: u32,
    /// The most requests of one connection in work at a time; one more is answered RESOURCE_EXHAUSTED. Default 64.
    pub request_count_max: usize,
    /// How often a connection is probed. Default 10 s.
    pub keepalive_interval: Duration,
    /// How long a probe may stay unanswered. Default 5 s.
    pub keepalive_timeout: Duration,
    /// The largest header list, in bytes. Default 8 KiB.
    pub header_bytes_max: u32,
    /// How much may be in flight to us on one stream, in bytes. Default 256 KiB.
    pub stream_window_bytes: u32,
    /// How much may be in flight to us on one connection, in bytes: what may lie unread here, beside the budget of
    /// requests. Default 512 KiB.
    pub connection_window_bytes: u32,
    /// The most streams that a client may have opened and reset before we looked at them. Default 20.
    pub pending_reset_count_max: usize,
}

impl Default for ServerTuning {
    fn default() -> Self {
        Self {
            stream_count_max: STREAMS_MAX,
            request_count_max: STREAMS_MAX as usize,
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_timeout: KEEPALIVE_TIMEOUT,
            header_bytes_max: HEADER_LIST_BYTES_MAX,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 512 * 1024,
            pending_reset_count_max: 20,
        }
    }
}

impl ServerTuning {
    /// A tonic server with these limits and nothing to serve yet.
    pub fn server(&self) -> Server {
        Server::builder()
            .accept_http1(false)
            .max_concurrent_streams(self.stream_count_max)
            .concurrency_limit_per_connection(self.request_count_max)
            .load_shed(true)
            .http2_keepalive_interval(Some(self.keepalive_interval))
            .http2_keepalive_timeout(Some(self.keepalive_timeout))
            .http2_max_header_list_size(self.header_bytes_max)
            .http2_max_pending_accept_reset_streams(Some(self.pending_reset_count_max))
            .initial_stream_window_size(self.stream_window_bytes)
            .initial_connection_window_size(self.connection_window_bytes)
    }
}
