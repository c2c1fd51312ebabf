//! Attacks that pass decoder and signature: what a client with an enrolled key, a registry with a log of its own, and
//! whoever sits on the wire between them can put into the log of a country.
//!
//! [`extremes`] makes any canonical bytes extreme, one place at a time. [`program`] plays two countries and attacks one of
//! them, step by step, from a seed. [`replicas`] applies what came of it to two replicas that differ in everything that
//! must not matter. [`run`] judges: no panic, equal answers, equal content, bounded growth, and how deep the attacks came.
//!
//! [`decoders`] and [`applies`] are what bytes from outside are given to, alone and up to `apply`; [`corpus`] keeps what the
//! coverage-guided fuzzer of `jepsen-like-tests/fuzz` found of them.
//!
//! Beside these, attacks by hand: [`scene`] sets a story up, [`liar`] is a registry that lies, and [`judge`] holds an attack
//! to its exact reason and to a content that is what it was. Every input that once broke something is a test in
//! `tests/it`; `README.md` says which.

pub mod applies;
pub mod corpus;
pub mod decoders;
pub mod extremes;
pub mod hold;
pub mod judge;
pub mod liar;
pub mod program;
pub mod replicas;
pub mod run;
pub mod scene;
pub mod seeded;
