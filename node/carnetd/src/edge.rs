//! What a stranger, a client or a peer may take of this node, whatever it does: seats, rates, bytes and time.
//!
//! Everything here counts per holder (an address until a certificate is proven, then the certificate) and has a total
//! beside it. Whoever is at its limit is refused or pushes out its own oldest; nobody else waits for it. What is decided
//! here is decided before anything is read; who is who is decided in [`crate::tls`].

pub mod counters;
pub mod door;
pub mod holder;
pub mod memory;
pub mod methods;
pub mod pool;
pub mod rates;
pub mod room;
pub mod seats;

pub use self::counters::{EdgeCounters, Turned};
pub use self::door::{Door, DoorLimits};
pub use self::holder::{AddressKey, Holder};
pub use self::memory::Memory;
pub use self::rates::Rates;
pub use self::room::{Room, Seat};
pub use self::seats::{NoSeat, Over, SeatLimits, Seats};
