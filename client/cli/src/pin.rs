//! `carnet pin`: the countries that were pinned on this machine.

use std::path::Path;

use carnet_domain::bytes::code::Prefix;
use clap::Subcommand;
use serde_json::json;

use crate::exit::Failed;
use crate::pinned::{Kept, Newest};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum PinVerb {
    /// Lists the countries that were pinned on this machine and borne out by our own pack.
    List,
    /// Forgets a country that was pinned here: its roots were compared wrongly, or replaced. Compare the new ones first.
    Forget {
        /// Its primary prefix.
        #[arg(value_name = "PREFIX")]
        country: Prefix,
    },
}

pub(crate) fn run(verb: &PinVerb, state_dir: &Path) -> Result<Outcome, Failed> {
    let kept = Kept::of(state_dir);
    let all = kept.read()?;
    match verb {
        PinVerb::List => {
            let row = |(prefix, newest): (&String, &Newest)| {
                json!({
                    "country": prefix,
                    "sequence": newest.sequence.to_string(),
                    "fingerprint": newest.print(),
                    "roots": newest.keys().iter().map(view::key_print).collect::<Vec<_>>(),
                })
            };
            let rows: Vec<_> = all.iter().map(row).collect();
            Ok(json!({ "pinned": rows }).into())
        }
        PinVerb::Forget { country: prefix } => {
            let _alone = kept.alone()?;
            let mut after = kept.read()?;
            let Some(newest) = after.remove(&prefix.to_string()) else {
                return Err(Failed::usage(format!("{prefix} was not pinned here")));
            };
            kept.write(&after)?;
            Ok(json!({
                "forgotten": prefix.to_string(),
                "sequence": newest.sequence.to_string(),
                "fingerprint": newest.print(),
            })
            .into())
        }
    }
}
