//! The rules of one registry: each test is a command and the answer expected, over the whole path of a signed entry.

use carnet_domain::command::{Action, Command};
use carnet_domain::digest::sha256;
use carnet_domain::kit::{Country, text};
use carnet_domain::lifecycle::EndOfLife;

/// One command of somebody, and its answer as text.
pub(crate) fn check(country: &mut Country, who: &str, command: Command, expected: &str) {
    let said = command.name();
    let answer = country.command(who, command);
    assert_eq!(
        text(&answer),
        expected,
        "{who} at {}: {said}",
        country.prefix
    );
}

/// A life-cycle action on a robot of this country.
pub(crate) fn act(country: &Country, serial: u32, action: Action) -> Command {
    Command::Act {
        code: country.code(serial),
        expected_sequence: None,
        action,
    }
}

/// Both steps of an end of life.
pub(crate) fn scrap(country: &mut Country, code: carnet_domain::code::Code) {
    let act = |action| Command::Act {
        code,
        expected_sequence: None,
        action,
    };
    country.must(
        "recycler",
        act(Action::DeclareEndOfLife {
            outcome: EndOfLife::Scrapped,
            certificate: sha256(&[b"certificate"]),
        }),
    );
    country.must("registrar", act(Action::ConfirmEndOfLife {}));
}
