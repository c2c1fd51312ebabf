//! Answers that no fault of a node, disk or link explains.
//!
//! While nodes die, stand still and lose each other, a call may find nobody who serves, or lose sight of what it asked for.
//! That is all it may find: a refusal that the state of the robot does not give, a proof that does not hold, a field that was
//! right before, an internal error are faults of the registry, whoever was told and however often it then went well.

use carnet_client::ClientError;
use carnet_wire::status::ApiError;

/// How an internal error is printed where only the text of the last attempt is left.
const INTERNAL: &str = "internal error";

/// Whether faults of nodes, disks, links and clocks explain an error.
pub fn is_explained(error: &ClientError) -> bool {
    match error {
        // An error that the client tries again is only seen in the text of the last attempt.
        ClientError::Unreachable { last, .. } | ClientError::UnknownOutcome { last, .. } => {
            !last.contains(INTERNAL)
        }
        ClientError::Api(error) => match error {
            ApiError::NotLeader { .. }
            | ApiError::Overloaded { .. }
            | ApiError::UnknownOutcome { .. }
            | ApiError::DidNotHappen { .. }
            | ApiError::TimeStandsStill { .. }
            | ApiError::StandsStill { .. }
            | ApiError::Unavailable { .. }
            | ApiError::NoRoom { .. } => true,
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
        assert_eq!(is_explained(&error), expected, "{error}");
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
