//! The published tables: life cycle, rejections, commands. Made from the code and compared; `CARNET_VECTORS=write` writes
//! them anew.

use std::collections::BTreeSet;

use carnet_domain::rules::command::CommandKind;
use carnet_domain::rules::lifecycle::{
    ActionKind, HoldKind, State, blocks, blocks_departure, lifts_others, next, sets,
};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::{Detail, Reason};
use carnet_kit::{Country, samples};
use serde_json::{Value, json};

/// Compares a published file with what the code makes, or writes it.
#[expect(
    clippy::disallowed_methods,
    reason = "the vectors are files; the crate itself reads none"
)]
pub(crate) fn check(name: &str, text: &str) {
    let path = format!("../{name}");
    if std::env::var("CARNET_VECTORS").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, text).expect("the vectors can be written");
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(published == text, "{path} differs from what the code makes");
}

fn check_json(name: &str, value: &Value) {
    let text = serde_json::to_string_pretty(value).expect("JSON") + "\n";
    check(&format!("vectors/{name}"), &text);
}

#[test]
fn lifecycle() {
    let mut out = String::new();
    let rows = std::iter::once(None).chain(State::ALL.iter().copied().map(Some));
    for from in rows {
        let name = from.map_or("-", State::name);
        for action in ActionKind::ALL {
            if let Some(to) = next(from, *action) {
                out.push_str(&format!("{name} {} {}\n", action.name(), to.name()));
            }
        }
    }
    check("vectors/lifecycle.txt", &out);
}

#[test]
fn holds() {
    let roles = |may: &dyn Fn(Role) -> bool| -> Vec<&str> {
        let roles = Role::ALL.iter();
        roles
            .filter(|role| may(**role))
            .map(|role| role.word())
            .collect()
    };
    let rows: Vec<Value> = HoldKind::ALL
        .iter()
        .map(|hold| {
            let blocked = ActionKind::ALL
                .iter()
                .filter(|action| blocks(*hold, **action));
            json!({
                "number": hold.number(),
                "name": hold.name(),
                "blocks": blocked.map(|action| action.name()).collect::<Vec<_>>(),
                "blocks_departure": blocks_departure(*hold),
                "set_by": roles(&|role| sets(role, *hold)),
                "lifted_for_others_by": roles(&|role| lifts_others(role, *hold)),
            })
        })
        .collect();
    check_json("holds.json", &json!(rows));
}

#[test]
fn rejections() {
    let reasons: Vec<Value> = (1..)
        .zip(Reason::ALL)
        .map(|(precedence, reason)| {
            json!({
                "precedence": precedence,
                "number": reason.number(),
                "name": reason.name(),
                "text": reason.text(),
                "remedy": reason.remedy(),
            })
        })
        .collect();
    let details: Vec<Value> = Detail::TABLE
        .iter()
        .map(|(number, name, arguments)| {
            let arguments = arguments.iter();
            let arguments = arguments.map(|(name, of)| json!({ "name": name, "type": of }));
            json!({
                "number": number,
                "name": name,
                "arguments": arguments.collect::<Vec<_>>(),
            })
        })
        .collect();
    check_json(
        "rejections.json",
        &json!({ "reasons": reasons, "details": details }),
    );
}

#[test]
fn every_number_of_a_rejection_is_used_once() {
    let reasons: BTreeSet<u64> = Reason::ALL.iter().map(|reason| reason.number()).collect();
    assert_eq!(reasons.len(), Reason::ALL.len());
    let details: BTreeSet<u64> = Detail::TABLE.iter().map(|(number, ..)| *number).collect();
    assert_eq!(details.len(), Detail::TABLE.len());
}

#[test]
fn commands() {
    let rows: Vec<Value> = CommandKind::ALL
        .iter()
        .map(|kind| json!({ "number": kind.number(), "name": kind.name() }))
        .collect();
    check_json("commands.json", &json!(rows));
}

#[test]
fn commands_and_actions_have_the_numbers_of_their_kinds() {
    let country = Country::unborn("86");
    let commands = samples::commands(&country);
    for (command, kind) in commands.iter().zip(CommandKind::ALL) {
        assert_eq!(
            (command.number(), command.name()),
            (kind.number(), kind.name())
        );
        assert_eq!(command.kind(), *kind);
    }
    assert_eq!(commands.len(), CommandKind::ALL.len());
    for action in samples::actions() {
        let kind = action.kind();
        assert_eq!(
            (action.number(), action.name()),
            (kind.number(), kind.name())
        );
    }
    // Everything from Stock to Correct is an action with a payload.
    let numbers: Vec<u64> = samples::actions().iter().map(|a| a.number()).collect();
    assert_eq!(numbers, (4..=25).chain([31, 32]).collect::<Vec<_>>());
}
