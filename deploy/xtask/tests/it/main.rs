//! The workspace as it is passes its own checks, and each check reports a fault planted for it.

mod circles;
mod figures;
mod layers;
mod names;
mod tidy;
mod unused;

use std::path::Path;

/// The root of the workspace. Tests run in the folder of their package; a path that is compiled in may be another clone's.
fn root() -> &'static Path {
    Path::new("../..")
}
