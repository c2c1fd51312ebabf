//! Attacks that pass decoder and signature: what a client with an enrolled key, a registry with a log of its own, and
//! whoever sits on the wire between them can put into the log of a country.
//!
//! [`extremes`] makes any canonical bytes extreme, one place at a time. [`program`] plays two countries and attacks one of
//! them, step by step, from a seed. [`replicas`] applies what came of it to two replicas that differ in everything that
//! must not matter. [`run`] judges: no panic, equal answers, equal content, bounded growth, and how deep the attacks came.
//!
//! Nothing here decides what is right beyond that: the rules' own tests do.

pub mod extremes;
pub mod seeded;

pub mod program;
pub mod replicas;
pub mod run;
