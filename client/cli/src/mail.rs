//! What other countries said that cannot be taken yet: what waits, and what a registrar does about it.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::rules::command::Command;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::exit::Failed;
use crate::settings::Settings;
use crate::submit::{self, Sure, Write};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Lists items that are proven and cannot be taken yet, with what each waits for. They are tried again by themselves when
    /// the record of their robot moves, and when the feature level is raised.
    Parked {
        /// Of one country alone, by its primary prefix.
        #[arg(long)]
        peer: Option<Prefix>,
    },
    /// Tries an item that waits now. What still cannot be taken waits on.
    Retry {
        /// The peer's primary prefix.
        peer: Prefix,
        /// The item, as the list shows it.
        item: u64,
        #[command(flatten)]
        write: Write,
    },
    /// Gives up an item that waits; its sender is told so with the reason. What can be taken after all is taken instead.
    Discard {
        /// The peer's primary prefix.
        peer: Prefix,
        /// The item, as the list shows it.
        item: u64,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        write: Write,
    },
}

pub(crate) async fn run(verb: Mail, settings: &Settings) -> Result<Outcome, Failed> {
    let named = |peer: &Prefix, item: u64| json!({"peer": peer.to_string(), "item": item});
    match verb {
        Mail::Parked { peer } => {
            let client = settings.client()?;
            let mut rows = Vec::new();
            let mut token = String::new();
            loop {
                let page = client.unverified().parked(peer, 0, &token).await?;
                rows.extend(page.values.iter().map(view::parked));
                token = page.next;
                if token.is_empty() {
                    return Ok(Value::Array(rows).into());
                }
            }
        }
        Mail::Retry { peer, item, write } => {
            let extra = named(&peer, item);
            submit::one(settings, write, Command::RetryParked { peer, item }, extra).await
        }
        Mail::Discard {
            peer,
            item,
            reason,
            sure,
            write,
        } => {
            let name = format!("{peer}/{item}");
            sure.confirm("To give up what a peer sent", &name, write)?;
            let extra = named(&peer, item);
            let command = Command::DiscardParked { peer, item, reason };
            submit::one(settings, write, command, extra).await
        }
    }
}
