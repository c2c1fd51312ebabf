//! `carnet movement`: where a robot has been.

use carnet_domain::bytes::code::Code;
use clap::Subcommand;
use serde_json::Value;

use crate::exit::Failed;
use crate::output::say;
use crate::parse;
use crate::settings::Settings;
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Movement {
    /// Lists the custody movements of a robot, oldest first.
    List {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
    },
}

pub(crate) async fn run(verb: Movement, settings: &Settings) -> Result<Outcome, Failed> {
    let Movement::List { code } = verb;
    let found = settings.client()?.unverified().movements(&code).await?;
    let trail = found.value;
    if trail.older_left_out {
        say("older movements may be left out: these are the newest");
    }
    Ok(Value::Array(trail.movements.iter().map(view::movement).collect()).into())
}
