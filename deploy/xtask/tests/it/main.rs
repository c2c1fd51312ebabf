//! The workspace as it is passes its own checks, and each check reports a fault planted for it.

mod layers;
mod tidy;

use std::path::Path;

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
