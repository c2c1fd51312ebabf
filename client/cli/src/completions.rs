//! `carnet completions`: what a shell needs to complete calls.

use clap::Args;

use crate::{Outcome, help};

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// bash, elvish, fish, powershell or zsh.
    shell: clap_complete::Shell,
}

pub(crate) fn run(wanted: &Completions) -> Outcome {
    clap_complete::generate(
        wanted.shell,
        &mut help::program(),
        "carnet",
        &mut std::io::stdout(),
    );
    Outcome::nothing()
}
