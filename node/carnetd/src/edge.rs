//! The edge of a node: what a stranger, a client or a peer may take of it, whatever it does (seats, rates, bytes and time),
//! and what it is spoken to in.
//!
//! Everything here counts per holder (an address until a certificate is proven, then the certificate) and has a total
//! beside it. Whoever is at its limit is refused or pushes out its own oldest; nobody else waits for it. What is decided
//! here is decided before anything is read; who is who is decided in [`crate::tls`]. An edge such as [`grpc`] turns its own
//! messages into calls of [`crate::service`] and answers back; HTTP would stand beside it and call the same. Whose share something
//! is, through whatever it came, is in [`crate::share`].

pub mod counters;
pub mod door;
pub mod grpc;
pub mod memory;
pub mod methods;
pub mod room;
pub mod seats;

pub use self::counters::{EdgeCounters, Turned};
pub use self::door::{Door, DoorLimits, Notes, Pass, Place, REQUEST_HEADER};
pub use self::memory::Memory;
pub use self::room::{Room, Seat};
pub use self::seats::{NoSeat, Over, SeatLimits, Seats};
