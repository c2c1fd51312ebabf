//! Exit codes, as documented in `--help`, and what an error looks like on the command line.

use carnet_client::keys::KeyFileError;
use carnet_client::{ApiError, ClientError, Effect, Obstacle};
use carnet_domain::rules::rejection::Reason;
use carnet_pki::PkiError;

/// 1: anything that is not one of the others.
pub(crate) const ERROR: u8 = 1;
/// 2: the command line or an input file makes no sense; nothing was sent.
pub(crate) const USAGE: u8 = 2;
/// 3: the subject is not in the registry.
pub(crate) const NOT_FOUND: u8 = 3;
/// 4: the verdict is INVALID.
pub(crate) const INVALID: u8 = 4;
/// 5: the verdict is STALE or INDETERMINATE.
pub(crate) const NOT_CERTAIN: u8 = 5;
/// 6: nobody can serve it now: no quorum, no room, log time or a node stands still. `cluster status`: the cluster is degraded.
pub(crate) const NOT_SERVED: u8 = 6;

/// 7: a file cannot be read: cut, empty, compressed, of another kind, or too large. That says nothing about what it is of.
pub(crate) const UNREADABLE: u8 = 7;

/// Why a command ended without doing what was asked.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: u8,
    /// Stable word.
    pub(crate) reason: String,
    /// What happened.
    pub(crate) text: String,
    /// Whether a write took effect.
    pub(crate) effect: Effect,
    /// What to do next.
    pub(crate) next: String,
}

impl Failed {
    /// The call or a file makes no sense; nothing was sent.
    pub(crate) fn usage(text: impl ToString) -> Self {
        Self {
            code: USAGE,
            reason: "USAGE".into(),
            text: text.to_string(),
            effect: Effect::None,
            next: "Correct the call (carnet help shows it).".into(),
        }
    }

    /// Nobody can serve the call now.
    pub(crate) fn not_served(reason: &str, text: impl ToString, next: &str) -> Self {
        Self {
            code: NOT_SERVED,
            reason: reason.into(),
            text: text.to_string(),
            effect: Effect::None,
            next: next.into(),
        }
    }

    /// A file or key on this machine.
    pub(crate) fn local(text: impl ToString) -> Self {
        Self {
            code: ERROR,
            reason: "LOCAL".into(),
            text: text.to_string(),
            effect: Effect::None,
            next: "Check the file and its permissions.".into(),
        }
    }

    /// A file that is not what it should be. It speaks neither for nor against anything.
    pub(crate) fn unreadable(text: impl ToString) -> Self {
        Self {
            code: UNREADABLE,
            reason: "UNREADABLE".into(),
            text: text.to_string(),
            effect: Effect::None,
            next: "Fetch the file again, whole and as it was saved: as it is it proves nothing."
                .into(),
        }
    }

    /// Something of this machine that is no file.
    pub(crate) fn machine(text: impl ToString) -> Self {
        Self {
            next: "Look at this machine: threads, memory, and where the output goes.".into(),
            ..Self::local(text)
        }
    }

    /// The demo cannot begin on this machine.
    pub(crate) fn demo(text: impl ToString) -> Self {
        Self {
            code: ERROR,
            reason: "LOCAL".into(),
            text: text.to_string(),
            effect: Effect::None,
            next: "Nothing was started.".into(),
        }
    }

    /// A verdict that is not VALID; what it says was printed already.
    pub(crate) fn verdict(code: u8, text: impl ToString) -> Self {
        Self {
            code,
            reason: if code == INVALID {
                "INVALID".into()
            } else {
                "NOT_CERTAIN".into()
            },
            text: text.to_string(),
            effect: Effect::None,
            next: "The reasons stand in the verdict.".into(),
        }
    }
}

/// An error with its chain, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        // An error that shows its cause itself has said it.
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = error.source();
    }
    text
}

/// The commands and flags of these programs by which what an error advises is done, by the error's reason: the SDK, the wire and
/// the rules say what is to be done, and know no program.
const COMMANDS: &[(&str, &str)] = &[
    (
        "ACTOR_NOT_IN_STANDING",
        "carnet enterprise status, carnet enterprise amend",
    ),
    (
        "ALREADY_FOUNDED",
        "carnet cluster status, carnet cluster add-learner",
    ),
    (
        "CERTIFICATE_REFUSED",
        "carnet pki list --server, carnet pki renew --new-key",
    ),
    ("CHANGE_UNFINISHED", "carnet cluster status"),
    ("CLOCKS_DISAGREE", "carnet cluster status"),
    ("CLOCK_AHEAD", "carnet cluster status"),
    ("CONTACT_PAUSED", "carnet peer get"),
    ("ENTERPRISE_EXISTS", "carnet enterprise amend"),
    ("ENTERPRISE_LACKS_ROLE", "carnet enterprise amend"),
    (
        "ENTERPRISE_NOT_ACTIVE",
        "carnet enterprise status, carnet enterprise amend, carnet enterprise succeed",
    ),
    ("FEW_VOTERS", "--fewer-than-three"),
    ("LEAVES_UNNAMED", "--retire NODE"),
    ("NODE_BEHIND", "carnet cluster status"),
    ("NOT_A_MEMBER", "carnet cluster add-learner"),
    ("NOT_INITIALISED", "carnet cluster init"),
    ("NOT_JOINED", "carnetd init --join"),
    ("NOT_LEADER", "carnet cluster status"),
    ("NOT_PARKED", "carnet mail parked"),
    ("OTHER_ADDRESS", "carnet cluster status --full"),
    ("PEER_DOUBTED", "carnet peer get"),
    ("REASON_MISSING", "--reason"),
    ("RULE", "carnet cluster status"),
    ("SIGNER", "--actor-key, or --pki and --as"),
    ("TIME_NEEDS_ROOTS", "carnet cluster time advance"),
    (
        "TIME_STANDS_STILL",
        "carnet cluster status, carnet cluster time advance",
    ),
    ("TRANSITION_NOT_ALLOWED", "carnet robot lifecycle"),
    ("UNAVAILABLE", "carnet cluster status"),
];

/// What is to be done next, with how this program does it.
fn with_command(reason: &str, next: String) -> String {
    let row = COMMANDS.iter().find(|(known, _)| *known == reason);
    match row {
        Some((_, flag)) if flag.starts_with("--") => format!("{next} Flag: {flag}."),
        // Whoever is refused gives none of them.
        Some(("CERTIFICATE_REFUSED", commands)) => {
            format!("{next} The admin's commands: {commands}.")
        }
        Some((_, command)) => format!("{next} Command: {command}."),
        None => next,
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        let reason = error.reason();
        let next = match &error {
            ClientError::Refused(rejection) => rejection.next(),
            error => error.advice().to_owned(),
        };
        Self {
            code: code_of(&error),
            text: chain(&error),
            effect: error.effect(),
            next: match &error {
                // A key that is there and does not sign is no question of which one is named.
                ClientError::Signer(_) => next,
                _ => with_command(&reason, next),
            },
            reason,
        }
    }
}

impl From<KeyFileError> for Failed {
    fn from(error: KeyFileError) -> Self {
        let local = Self::local(chain(&error));
        match error {
            KeyFileError::Io { .. } => local,
            KeyFileError::Content { .. } => Self {
                next: "The file is not what carnet pki made: put the right one there.".into(),
                ..local
            },
        }
    }
}

impl From<PkiError> for Failed {
    fn from(error: PkiError) -> Self {
        let local = Self::local(chain(&error));
        match error {
            PkiError::Plan(_) => Self {
                code: USAGE,
                reason: "USAGE".into(),
                next: "Nothing was made: correct the call (carnet pki --help).".into(),
                ..local
            },
            PkiError::Exists(_) => Self {
                reason: "EXISTS".into(),
                next: "Nothing was changed: name a new directory, or add to this one (carnet pki node, carnet pki client).".into(),
                ..local
            },
            PkiError::Io { .. } => local,
            PkiError::Read(error) => Self::from(error),
            PkiError::Make { .. } | PkiError::Refused(_) | PkiError::RefusedRoot(_) => Self {
                next: "Nothing was made: compare the names, this machine's clock, and how long roots and authorities last.".into(),
                ..local
            },
            PkiError::Random => Self {
                next: "Nothing was made: the operating system has to give random numbers.".into(),
                ..local
            },
        }
    }
}

fn code_of_reason(reason: Reason) -> u8 {
    match reason {
        Reason::EnterpriseUnknown
        | Reason::ModelUnknown
        | Reason::RobotUnknown
        | Reason::TransferUnknown
        | Reason::RecallUnknown
        | Reason::PeerUnknown => NOT_FOUND,
        _ => ERROR,
    }
}

/// The exit code of an error.
pub(crate) fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::Usage(_) | ClientError::NoSigner | ClientError::NotPinned => USAGE,
        ClientError::Refused(rejection) => code_of_reason(rejection.reason),
        ClientError::Api(ApiError::Rejected { number, .. }) => {
            Reason::from_number(*number).map_or(ERROR, code_of_reason)
        }
        ClientError::Api(ApiError::InvalidArgument { .. }) => USAGE,
        ClientError::Api(ApiError::NotFound { .. }) => NOT_FOUND,
        ClientError::Api(
            ApiError::Unavailable { .. }
            | ApiError::NotLeader { .. }
            | ApiError::Overloaded { .. }
            | ApiError::NoRoom { .. }
            | ApiError::TimeStandsStill { .. }
            | ApiError::StandsStill { .. }
            | ApiError::ChangeRefused {
                obstacle: Obstacle::StandsStill,
                ..
            },
        )
        | ClientError::Unreachable { .. } => NOT_SERVED,
        ClientError::NotProven(_) => INVALID,
        ClientError::Api(_)
        | ClientError::Tls(_)
        | ClientError::Signer(_)
        | ClientError::State { .. }
        | ClientError::CertificateRefused { .. }
        | ClientError::UnknownOutcome { .. }
        | ClientError::Protocol(_) => ERROR,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};
    use std::time::Duration;

    use super::*;
    use carnet_client::tls::{Refusal, TlsError};
    use carnet_client::{PinError, SignerError};
    use carnet_domain::rules::rejection::Rejection;

    fn text() -> String {
        "x".to_owned()
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        #[derive(Debug)]
        struct File {
            shows: bool,
        }
        impl std::fmt::Display for File {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.shows {
                    true => write!(f, "file: {}", std::fmt::Error),
                    false => f.write_str("file"),
                }
            }
        }
        impl std::error::Error for File {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&std::fmt::Error)
            }
        }
        let cause = std::fmt::Error;
        for shows in [true, false] {
            assert_eq!(chain(&File { shows }), format!("file: {cause}"));
        }
    }

    /// What goes wrong on this machine, before anything is sent.
    fn of_this_machine() -> Vec<Failed> {
        let io = || Error::from(ErrorKind::PermissionDenied);
        let path = || std::path::PathBuf::from("x");
        let pki = [
            PkiError::Plan(text()),
            PkiError::Exists(path()),
            PkiError::Io {
                act: "read",
                path: path(),
                source: io(),
            },
            PkiError::Read(KeyFileError::Content {
                path: path(),
                fault: text(),
            }),
            PkiError::Make {
                name: text(),
                fault: text(),
            },
            PkiError::Random,
        ];
        let client = [
            ClientError::Usage(text()),
            ClientError::Tls(TlsError::Address(text())),
            ClientError::NoSigner,
            ClientError::Signer(SignerError::Refused(text())),
            ClientError::State {
                file: text(),
                source: io(),
            },
        ];
        let own = [
            Failed::usage("x"),
            Failed::local("x"),
            Failed::machine("x"),
            Failed::unreadable("x"),
            Failed::verdict(INVALID, "x"),
            Failed::verdict(NOT_CERTAIN, "x"),
        ];
        let pki = pki.into_iter().map(Failed::from);
        let client = client.into_iter().map(Failed::from);
        own.into_iter().chain(pki).chain(client).collect()
    }

    /// What a registry, or the way to it, says.
    fn of_the_registry() -> Vec<ClientError> {
        let api = [
            ApiError::invalid("x", "x"),
            ApiError::Unauthenticated { text: text() },
            ApiError::denied("x"),
            ApiError::not_found("x"),
            ApiError::NotLeader { leader: None },
            ApiError::Overloaded {
                retry_after: Duration::ZERO,
            },
            ApiError::UnknownOutcome { text: text() },
            ApiError::DidNotHappen { text: text() },
            ApiError::TimeStandsStill { text: text() },
            ApiError::StandsStill { text: text() },
            ApiError::unavailable("x"),
            ApiError::NoRoom { text: text() },
            ApiError::TooLarge { text: text() },
            ApiError::internal("x"),
            // Of a newer server: its number is no reason's here.
            ApiError::Rejected {
                number: 0,
                text: text(),
            },
        ];
        let refused = Obstacle::ALL.map(|obstacle| ApiError::ChangeRefused {
            obstacle,
            text: text(),
        });
        let lost = [
            ClientError::Unreachable {
                attempts: 2,
                last: text(),
            },
            ClientError::CertificateRefused {
                why: Refusal::Revoked,
            },
            ClientError::CertificateRefused {
                why: Refusal::Expired,
            },
            ClientError::CertificateRefused {
                why: Refusal::OtherKind,
            },
            ClientError::UnknownOutcome {
                attempts: 2,
                last: text(),
            },
            ClientError::Protocol(text()),
            ClientError::NotPinned,
            ClientError::NotProven(PinError::Forked {
                size: 1,
                before: text(),
                now: text(),
            }),
        ];
        let api = api.into_iter().chain(refused).map(ClientError::Api);
        api.chain(lost).collect()
    }

    fn row(failed: &Failed) -> String {
        let (reason, effect) = (&failed.reason, failed.effect.word());
        format!("{reason:24} {} {effect:7}  {}\n", failed.code, failed.next)
    }

    /// Whoever changes a line of this table should ask: is that what the operator has to do next, and may a script act on
    /// that exit code? Once, a founding that was done already said "Repeat.", and a clock problem said that a majority of
    /// the nodes should run.
    #[test]
    fn every_error_says_what_to_do_next() {
        let mut table =
            String::from("# reason, exit code, whether it took effect, what to do next\n");
        table += "\n# this machine\n";
        for failed in of_this_machine() {
            table += &row(&failed);
        }
        table += "\n# the registry, or the way to it\n";
        for error in of_the_registry() {
            table += &row(&Failed::from(error));
        }
        table += "\n# lawful refusals\n";
        for reason in Reason::ALL {
            let refused = ClientError::Refused(Rejection::from(*reason));
            table += &row(&Failed::from(refused));
        }
        if let Some(path) = std::env::var_os("CARNET_WRITE_ERRORS") {
            std::fs::write(path, &table).expect("written");
        }
        assert_eq!(table, include_str!("errors.txt"));
    }

    /// The same "no" reads alike in an answer and instead of one.
    #[test]
    fn a_refusal_at_the_edge_reads_as_the_one_in_the_log() {
        for reason in Reason::ALL {
            let refused = Failed::from(ClientError::Refused(Rejection::from(*reason)));
            let edge = Failed::from(ClientError::Api(ApiError::Rejected {
                number: reason.number(),
                text: text(),
            }));
            assert_eq!(row(&refused), row(&edge));
        }
    }

    /// Every row is of an error that there is, and names commands and flags that there are.
    #[test]
    fn the_commands_are_of_errors_and_of_these_programs() {
        let of_registry = of_the_registry().into_iter().map(Failed::from);
        let refused = Reason::ALL.iter().map(|reason| {
            let refused = ClientError::Refused(Rejection::from(*reason));
            Failed::from(refused)
        });
        let all = of_this_machine().into_iter().chain(of_registry);
        let reasons: Vec<String> = all.chain(refused).map(|failed| failed.reason).collect();
        let verbs = |noun: &str| {
            let mut lines = include_str!("verbs.txt").lines();
            lines.find_map(|line| line.strip_prefix(noun)?.strip_prefix(": "))
        };
        for (reason, command) in COMMANDS {
            assert!(reasons.iter().any(|known| known == reason), "{reason}");
            for named in command.split(", ") {
                let Some(words) = named.strip_prefix("carnet ") else {
                    continue;
                };
                let mut words = words.split(' ');
                let (noun, verb) = (words.next(), words.next());
                let known = noun.and_then(verbs).unwrap_or_default();
                assert!(known.split(' ').any(|known| Some(known) == verb), "{named}");
            }
        }
    }

    #[test]
    fn a_next_step_is_a_sentence_and_repeats_only_what_may_work() {
        let of_registry = of_the_registry().into_iter().map(Failed::from);
        for failed in of_this_machine().into_iter().chain(of_registry) {
            assert!(failed.next.ends_with('.'), "{}", failed.next);
            assert_ne!(failed.next, "Repeat.");
        }
    }
}
