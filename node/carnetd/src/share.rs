//! Whose share of a node something is, through whatever it came: who counts as one holder, what one may take in a time, whose read
//! and whose question abroad is next, and by which name a request is known.
//!
//! It knows no transport: an edge counts by it before anything is read, and the use cases of [`crate::service`] after that.

pub mod holder;
pub mod rates;
pub mod rations;
pub mod readers;
pub mod requests;

pub use self::holder::{AddressKey, Holder};
pub use self::rates::Rates;
pub use self::rations::Asker;
pub use self::readers::Readers;
pub use self::requests::{RequestId, RequestIds};
