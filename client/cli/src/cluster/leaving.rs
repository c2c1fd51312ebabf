//! Nodes that leave the cluster for good: in earnest two admins agree on the change, in signed commands, before it is made.

use carnet_client::admin::{Admin, VotersWanted};
use carnet_domain::record::offices::{Leaving, MembersChange};
use carnet_domain::rules::command::Command;
use carnet_wire::status::Obstacle;
use serde_json::{Value, json};

use crate::exit::Failed;
use crate::output::say;
use crate::settings::Settings;
use crate::submit::{self, Write};

/// What became of a change of the members.
pub(crate) enum Changed {
    /// It is made, at this log index.
    At(u64),
    /// It waits for the word of another admin.
    Waits(Value),
}

/// Changes the members; where that takes the words of two admins, gives one of them, and goes on if it was the second.
pub(crate) async fn change(
    settings: &Settings,
    admin: &Admin,
    wanted: VotersWanted,
    reason: String,
) -> Result<Changed, Failed> {
    let refused = match admin.change_members(wanted.clone()).await {
        Ok(index) => return Ok(Changed::At(index)),
        Err(error) => error,
    };
    if refused.reason() != Obstacle::TwoAdmins.word() {
        return Err(refused.into());
    }
    let change = agreed_on(&wanted);
    let command = Command::ChangeMembers {
        change: change.clone(),
        reason,
    };
    match submit::one(settings, Write::default(), command, json!({})).await {
        Ok(given) if given.value["state"] == "proposed" => {}
        Ok(_) => {
            say("two admins agree");
            return Ok(Changed::At(admin.change_members(wanted).await?));
        }
        // Given again by whoever gave the first word: it waits as before.
        Err(failed) if failed.reason == "SECOND_PARTY_REQUIRED" => {}
        Err(failed) => return Err(failed),
    }
    let registry = settings.client()?.unverified().registry().await?.value;
    let asked = registry.offices.asked(&change, registry.log_time);
    Ok(Changed::Waits(asked.map_or_else(ended, waits)))
}

/// The change as two admins agree on it: each is said in one way only.
fn agreed_on(wanted: &VotersWanted) -> MembersChange {
    let sorted = |nodes: &[u64]| {
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    };
    MembersChange {
        voters: sorted(&wanted.voters),
        retire: sorted(&wanted.retire),
    }
}

/// Between the word and the look another person ended it.
fn ended() -> Value {
    json!({
        "state": "rejected",
        "next": "Another admin rejected it meanwhile: ask why, then give this command again.",
    })
}

fn waits(one: &Leaving) -> Value {
    json!({
        "state": "proposed",
        "proposal": one.number.to_string(),
        "what": one.change.to_string(),
        "until": crate::view::time(one.until),
        "next": format!(
            "Nothing is changed yet. Another admin says yes: carnet proposal approve {}; then give this command again.",
            one.number
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_client::admin::Fewest;

    #[test]
    fn two_admins_who_name_the_nodes_in_another_order_say_the_same() {
        let said = |voters: &[u64]| {
            agreed_on(&VotersWanted {
                voters: voters.to_vec(),
                retire: vec![3, 3],
                fewest: Fewest::Three,
            })
        };
        assert_eq!(said(&[4, 1, 2]), said(&[1, 2, 4, 4]));
        assert_eq!(said(&[4, 1, 2]).retire, [3]);
    }
}
