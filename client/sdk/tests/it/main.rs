//! The client against a registry that loses answers, changes its leader and forgets sessions. In memory; no sockets.

mod fake;
mod proven;
mod retry;
mod stream;
