//! Checks of the workspace itself: who may depend on whom, whether files import each other in circles, whether every
//! dependency is used, whether the tree is tidy, whether the map of the architecture names what there is, whether the README's
//! figures are those of the recorded run.
//!
//! The rules are plain functions over values, so that a test can plant a fault and see it reported; reading
//! `cargo metadata` and the files of the work tree is kept to one function in each module. Nothing here is part of the
//! product, and nothing here changes a file of the work tree but `figures --from`, which writes the README's; [`mutants`] changes
//! a copy of it.

pub mod circles;
pub mod figures;
pub mod layers;
pub mod lexer;
pub mod mutants;
pub mod names;
pub mod tidy;
pub mod unused;
