//! Exit codes, as documented in `--help`, and what an error looks like on the command line.

use carnet_client::{ApiError, ClientError, Effect};
use carnet_domain::rejection::Reason;

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
/// 6: no quorum: no node could serve the call before the deadline.
pub(crate) const NO_QUORUM: u8 = 6;

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
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self {
            code: code_of(&error),
            reason: error.reason(),
            text: chain(&error),
            effect: error.effect(),
            next: error.advice().to_owned(),
        }
    }
}

impl From<carnet_client::pki::PkiError> for Failed {
    fn from(error: carnet_client::pki::PkiError) -> Self {
        Self::local(chain(&error))
    }
}

/// The exit code of an error.
pub(crate) fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::Usage(_) => USAGE,
        ClientError::Refused(rejection) => match rejection.reason {
            Reason::EnterpriseUnknown
            | Reason::ModelUnknown
            | Reason::RobotUnknown
            | Reason::TransferUnknown
            | Reason::RecallUnknown
            | Reason::PeerUnknown => NOT_FOUND,
            _ => ERROR,
        },
        ClientError::Api(ApiError::InvalidArgument { .. }) => USAGE,
        ClientError::Api(ApiError::NotFound { .. }) => NOT_FOUND,
        ClientError::Api(ApiError::Unavailable { .. } | ApiError::NotLeader { .. })
        | ClientError::Unreachable { .. } => NO_QUORUM,
        ClientError::NotProven(_) => INVALID,
        ClientError::Api(_)
        | ClientError::Tls(_)
        | ClientError::Signer(_)
        | ClientError::State { .. }
        | ClientError::UnknownOutcome { .. }
        | ClientError::Protocol(_) => ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::rejection::Rejection;

    #[test]
    fn every_exit_code_means_what_help_says() {
        let text = || "x".to_owned();
        let table = [
            (ClientError::Usage(text()), USAGE),
            (ClientError::Api(ApiError::invalid("code", "short")), USAGE),
            (ClientError::Api(ApiError::not_found("86…")), NOT_FOUND),
            (
                ClientError::Refused(Rejection::new(Reason::RobotUnknown, "")),
                NOT_FOUND,
            ),
            (
                ClientError::Refused(Rejection::new(Reason::CodeExists, "")),
                ERROR,
            ),
            (
                ClientError::Api(ApiError::unavailable("no quorum")),
                NO_QUORUM,
            ),
            (
                ClientError::Unreachable {
                    attempts: 2,
                    last: text(),
                },
                NO_QUORUM,
            ),
            (
                ClientError::UnknownOutcome {
                    attempts: 2,
                    last: text(),
                },
                ERROR,
            ),
            (ClientError::Api(ApiError::denied("x")), ERROR),
        ];
        for (error, expected) in table {
            assert_eq!(code_of(&error), expected, "{error}");
        }
    }

    #[test]
    fn a_failed_write_says_whether_it_happened() {
        let failed = Failed::from(ClientError::UnknownOutcome {
            attempts: 2,
            last: "no answer in time".into(),
        });
        assert_eq!(failed.effect.word(), "unknown");
        assert!(failed.next.contains("Read the record"), "{}", failed.next);
    }
}
