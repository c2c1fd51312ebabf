//! What follows a failed attempt. Pure: the loop around it is in `client`.

use std::time::Duration;

use carnet_wire::status::{ApiError, Effect};

use crate::tls::Refusal;

/// How one attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or one that ended before the request was sent on it.
    Connect(String),
    /// The server took no request: it does not let this certificate in.
    Refused(Refusal),
    /// The connection broke while the request was under way.
    Lost(String),
    /// No answer in time.
    TimedOut,
    /// No answer, and no other sign of life for so long.
    Silent(Duration),
    /// The server answered with an error.
    Api(ApiError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(text) => write!(f, "no connection: {text}"),
            Self::Refused(why) => write!(f, "the server refuses this certificate: {why}"),
            Self::Lost(text) => write!(f, "the connection broke: {text}"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Silent(silence) => {
                let ms = silence.as_millis();
                write!(f, "the server shows no sign of life in {ms} ms")
            }
            Self::Api(error) => error.fmt(f),
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Changes nothing.
    Read,
    /// May change something; the request carries a number by which the registry knows a repetition.
    Write,
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Tell the caller: trying again gives the same.
    GiveUp(ApiError),
    /// The same bytes again.
    Again {
        /// The attempt may have been executed.
        may_have_happened: bool,
        /// Where to try next, if the server said so.
        leader: Option<String>,
        /// Not before this, if the server said so.
        not_before: Duration,
    },
}

/// Judges a failed attempt.
pub fn judge(failure: &Failure, intent: Intent) -> Next {
    let again = |effect: Effect| Next::Again {
        may_have_happened: intent == Intent::Write && effect != Effect::None,
        leader: None,
        not_before: Duration::ZERO,
    };
    match failure {
        Failure::Connect(_) | Failure::Refused(_) => again(Effect::None),
        Failure::TimedOut | Failure::Silent(_) | Failure::Lost(_) => again(Effect::Unknown),
        Failure::Api(ApiError::NotLeader { leader }) => Next::Again {
            may_have_happened: false,
            leader: leader.clone(),
            not_before: Duration::ZERO,
        },
        Failure::Api(ApiError::Overloaded { retry_after }) => Next::Again {
            may_have_happened: false,
            leader: None,
            not_before: *retry_after,
        },
        // Disks do not become empty within a call: the caller is told at once, and may come back.
        Failure::Api(error @ ApiError::NoRoom { .. }) => Next::GiveUp(error.clone()),
        // A server that broke may answer the repetition from its stored answers; a read may find another node.
        Failure::Api(error)
            if error.is_retryable() || matches!(error, ApiError::Internal { .. }) =>
        {
            again(error.effect())
        }
        Failure::Api(error) => Next::GiveUp(error.clone()),
    }
}

/// Waiting times between attempts: exponential with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait at all.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(50),
            most: Duration::from_secs(2),
        }
    }
}

impl Backoff {
    /// The wait before attempt `attempt` (the first retry is 1); `random` in `0.0..1.0` picks inside the range.
    pub fn wait(&self, attempt: u32, random: f64) -> Duration {
        let doubled = self
            .base
            .saturating_mul(1 << attempt.saturating_sub(1).min(16));
        doubled.min(self.most).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_wire::status::Obstacle;

    fn may_have_happened(failure: &Failure, intent: Intent) -> Option<bool> {
        match judge(failure, intent) {
            Next::Again {
                may_have_happened, ..
            } => Some(may_have_happened),
            Next::GiveUp(_) => None,
        }
    }

    #[test]
    fn only_what_may_have_been_executed_leaves_a_write_open() {
        let text = || "x".to_owned();
        let table = [
            (Failure::Connect(text()), Some(false)),
            (Failure::Refused(Refusal::Revoked), Some(false)),
            (Failure::Lost(text()), Some(true)),
            (Failure::TimedOut, Some(true)),
            (Failure::Silent(Duration::ZERO), Some(true)),
            (
                Failure::Api(ApiError::NotLeader { leader: None }),
                Some(false),
            ),
            (
                Failure::Api(ApiError::Overloaded {
                    retry_after: Duration::ZERO,
                }),
                Some(false),
            ),
            (
                Failure::Api(ApiError::Unavailable { text: text() }),
                Some(false),
            ),
            (
                Failure::Api(ApiError::DidNotHappen { text: text() }),
                Some(false),
            ),
            (
                Failure::Api(ApiError::UnknownOutcome { text: text() }),
                Some(true),
            ),
            (
                Failure::Api(ApiError::Internal { text: text() }),
                Some(true),
            ),
            (
                Failure::Api(ApiError::InvalidArgument {
                    field: text(),
                    text: text(),
                }),
                None,
            ),
            (
                Failure::Api(ApiError::Unauthenticated { text: text() }),
                None,
            ),
            (
                Failure::Api(ApiError::PermissionDenied { text: text() }),
                None,
            ),
            (Failure::Api(ApiError::NotFound { text: text() }), None),
            (Failure::Api(ApiError::TooLarge { text: text() }), None),
            (Failure::Api(ApiError::NoRoom { text: text() }), None),
            (
                Failure::Api(ApiError::ChangeRefused {
                    obstacle: Obstacle::NotThere,
                    text: text(),
                }),
                None,
            ),
            (
                Failure::Api(ApiError::Rejected {
                    number: 62,
                    text: text(),
                }),
                None,
            ),
            (
                Failure::Api(ApiError::TimeStandsStill { text: text() }),
                Some(false),
            ),
            (
                Failure::Api(ApiError::StandsStill { text: text() }),
                Some(false),
            ),
        ];
        for (failure, expected) in table {
            assert_eq!(
                may_have_happened(&failure, Intent::Write),
                expected,
                "{failure:?}"
            );
            assert_eq!(
                may_have_happened(&failure, Intent::Read),
                expected.map(|_| false),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn waits_grow_to_a_limit_and_are_jittered() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(1, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(1, 1.0), Duration::from_millis(50));
        assert_eq!(backoff.wait(3, 0.5), Duration::from_millis(100));
        assert_eq!(backoff.wait(40, 1.0), Duration::from_secs(2));
    }
}
