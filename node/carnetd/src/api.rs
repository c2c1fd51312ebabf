//! The services of the client and admin planes: parse, authorise, read or propose, answer.

pub mod admin;
pub mod bulk;
pub mod registry;
