//! `carnet completions`: what a shell needs to complete calls.

use clap::Args;

use crate::exit::Failed;
use crate::{Outcome, help, output};

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// bash, elvish, fish, powershell or zsh.
    shell: clap_complete::Shell,
}

pub(crate) fn run(wanted: &Completions) -> Result<Outcome, Failed> {
    // Not to stdout at once: the generator panics where it cannot write, at a closed pipe too.
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut help::program(), "carnet", &mut script);
    output::write(&script).map_err(Failed::machine)?;
    Ok(Outcome::nothing())
}
