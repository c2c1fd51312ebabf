//! The log: a leaf with its slots, who authorised it, the tree over all leaves, the map of what is, signed heads, and the
//! signed record of one robot.

#[deny(clippy::indexing_slicing)]
pub mod authority;
pub mod leaf;
mod seed;
pub mod slots;
mod subject;

pub mod audit;
pub mod checkpoint;
pub mod head;
pub mod map;
pub mod merkle;
pub mod passport;
pub mod shown;
pub mod stored;
