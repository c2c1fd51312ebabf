//! Answers that no fault of a node, disk or link explains.
//!
//! While nodes die, stand still and lose each other, a call may find nobody who serves, or lose sight of what it asked for.
//! That is all it may find: a refusal that the state of the robot does not give, a proof that does not hold, a field that was
//! right before, an internal error are faults of the registry, whoever was told and however often it then went well. That
//! clocks disagree, that a disk is full or that an entry cannot be applied is explained where a run breaks these, and nowhere
//! else.

use carnet_client::ClientError;
use carnet_wire::status::ApiError;

/// What a run breaks besides nodes and links, which every run may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaks {
    /// Clocks of nodes are moved.
    pub clocks: bool,
    /// Nodes have disks of their own, which are filled and lose their power.
    pub disks: bool,
    /// Nodes have a fault planted, by which an entry may not be applied.
    pub entries: bool,
}

impl Breaks {
    /// What either of two breaks.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            clocks: self.clocks || other.clocks,
            disks: self.disks || other.disks,
            entries: self.entries || other.entries,
        }
    }
}

/// What errors say, where only the text of the last attempt is left, that not every run explains.
const INTERNAL: &str = "internal error";
const TIME: &str = "log time stands still";
const STILL: &str = "stopped before log entry";
const ROOM: &str = "no room: ";

/// Whether what a run breaks explains an error.
pub fn is_explained(error: &ClientError, breaks: Breaks) -> bool {
    match error {
        // An error that the client tries again is only seen in the text of the last attempt.
        ClientError::Unreachable { last, .. } | ClientError::UnknownOutcome { last, .. } => {
            let unexplained = [
                (INTERNAL, false),
                (TIME, breaks.clocks),
                (STILL, breaks.entries),
                (ROOM, breaks.disks),
            ];
            let mut unexplained = unexplained.into_iter().filter(|(_, explained)| !explained);
            !unexplained.any(|(text, _)| last.contains(text))
        }
        ClientError::Api(error) => match error {
            ApiError::TimeStandsStill { .. } => breaks.clocks,
            ApiError::StandsStill { .. } => breaks.entries,
            ApiError::NoRoom { .. } => breaks.disks,
            ApiError::NotLeader { .. }
            | ApiError::Overloaded { .. }
            | ApiError::UnknownOutcome { .. }
            | ApiError::DidNotHappen { .. }
            | ApiError::Unavailable { .. } => true,
            ApiError::InvalidArgument { .. }
            | ApiError::Unauthenticated { .. }
            | ApiError::PermissionDenied { .. }
            | ApiError::NotFound { .. }
            | ApiError::ChangeRefused { .. }
            | ApiError::Rejected { .. }
            | ApiError::TooLarge { .. }
            | ApiError::Internal { .. } => false,
        },
        ClientError::Usage(_)
        | ClientError::Tls(_)
        | ClientError::NoSigner
        | ClientError::Signer(_)
        | ClientError::State { .. }
        | ClientError::Refused(_)
        | ClientError::CertificateRefused { .. }
        | ClientError::Protocol(_)
        | ClientError::NotPinned
        | ClientError::NotProven(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(error: ClientError, expected: bool) {
        assert_eq!(is_explained(&error, Breaks::default()), expected, "{error}");
        let all = Breaks {
            clocks: true,
            disks: true,
            entries: true,
        };
        assert!(!expected || is_explained(&error, all), "{error}");
    }

    /// Whoever breaks nothing of a kind explains no answer of that kind, told as an error or as the text of the last attempt.
    #[test]
    fn each_kind_is_explained_by_what_breaks_it_alone() {
        let text = || "x".to_owned();
        let (mut clocks, mut disks, mut entries) = Default::default();
        let kinds: [(&mut Breaks, ApiError); 3] = [
            (&mut clocks, ApiError::TimeStandsStill { text: text() }),
            (&mut disks, ApiError::NoRoom { text: text() }),
            (
                &mut entries,
                ApiError::StandsStill {
                    text: format!("{STILL} 7"),
                },
            ),
        ];
        let breaks = kinds.map(|(breaks, error)| {
            match error {
                ApiError::TimeStandsStill { .. } => breaks.clocks = true,
                ApiError::NoRoom { .. } => breaks.disks = true,
                _ => breaks.entries = true,
            }
            (*breaks, error)
        });
        for (broken, _) in &breaks {
            for (explains, error) in &breaks {
                let last = error.to_string();
                let told = ClientError::Unreachable { attempts: 2, last };
                for error in [error.clone().into(), told] {
                    let expected = broken == explains;
                    assert_eq!(
                        is_explained(&error, *broken),
                        expected,
                        "{error}: {broken:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nobody_who_serves_is_explained() {
        let text = || "x".to_owned();
        check(ApiError::Unavailable { text: text() }.into(), true);
        check(ApiError::NotLeader { leader: None }.into(), true);
        let retry_after = Duration::ZERO;
        check(ApiError::Overloaded { retry_after }.into(), true);
        let unreachable = ClientError::Unreachable {
            attempts: 3,
            last: "no answer in time".to_owned(),
        };
        check(unreachable, true);
    }

    #[test]
    fn what_says_something_untrue_is_not() {
        let text = || "x".to_owned();
        check(ApiError::PermissionDenied { text: text() }.into(), false);
        check(ApiError::not_found("a robot").into(), false);
        check(ApiError::Internal { text: text() }.into(), false);
        check(ClientError::Protocol(text()), false);
    }

    /// As printed by the client, so that a change of that text is noticed here.
    #[test]
    fn an_internal_error_is_seen_in_the_last_attempt_too() {
        let text = "the state cannot be read".to_owned();
        let last = ApiError::Internal { text }.to_string();
        check(ClientError::UnknownOutcome { attempts: 2, last }, false);
    }
}
