//! What a caller must know of a failure: what happened, whether the write took effect, and what to do next.

use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_wire::status::{ApiError, Effect};

use crate::pin::PinError;
use crate::signer::SignerError;
use crate::tls::{Refusal, TlsError};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The call makes no sense; nothing was sent.
    #[error("{0}")]
    Usage(String),
    /// Certificate, key or address.
    #[error("the connection cannot be prepared")]
    Tls(#[from] TlsError),
    /// A command, and no key to sign it with.
    #[error("there is no key to sign commands with")]
    NoSigner,
    /// The command could not be signed.
    #[error("the command was not signed")]
    Signer(#[from] SignerError),
    /// The file of sessions or pinned checkpoints.
    #[error("cannot keep state in {file}")]
    State {
        /// Its path, as it was given.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A lawful "no" of the registry, committed in its log.
    #[error("refused: {0}")]
    Refused(Rejection),
    /// Refused at the edge, for good.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No attempt reached a node that could serve it before the deadline.
    #[error("no node answered in {attempts} attempts; the last: {last}")]
    Unreachable {
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        last: String,
    },
    /// The nodes do not let this side's certificate in: nothing was sent.
    #[error("the server refuses this certificate: {why}")]
    CertificateRefused {
        /// What they say of it.
        why: Refusal,
    },
    /// At least one attempt may have been executed, and no answer came before the deadline.
    #[error("the outcome is unknown after {attempts} attempts; the last: {last}")]
    UnknownOutcome {
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        last: String,
    },
    /// The answer cannot be understood.
    #[error("the server's answer cannot be understood: {0}")]
    Protocol(String),
    /// A proven read, and no log to prove it under.
    #[error("no log is pinned, so nothing can be proven")]
    NotPinned,
    /// What came back is not proven.
    #[error("the answer is not proven")]
    NotProven(#[from] crate::pin::PinError),
}

impl ClientError {
    /// Whether the write took effect, as far as is known. Of a read: nothing ever does.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Usage(_)
            | Self::Tls(_)
            | Self::NoSigner
            | Self::NotPinned
            | Self::Signer(_)
            | Self::State { .. }
            | Self::Refused(_)
            | Self::CertificateRefused { .. }
            | Self::Unreachable { .. } => Effect::None,
            Self::Api(error) => error.effect(),
            Self::UnknownOutcome { .. } | Self::Protocol(_) => Effect::Unknown,
            // A question has no effect, whatever was wrong with the answer.
            Self::NotProven(
                PinError::Evidence(_)
                | PinError::File(_)
                | PinError::Pack(_)
                | PinError::OtherSubject { .. },
            ) => Effect::None,
            Self::NotProven(_) => Effect::Happened,
        }
    }

    /// Whether the same call may succeed later. A write whose outcome is unknown is retryable only as the same request,
    /// which the client does by itself until its deadline: afterwards the record must be read first.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Api(error) => error.is_retryable() && error.effect() == Effect::None,
            Self::Refused(rejection) => matches!(
                rejection.reason,
                Reason::SessionUnknown
                    | Reason::SessionNotYours
                    | Reason::CommandExpired
                    | Reason::SequenceMismatch
            ),
            Self::Usage(_)
            | Self::Tls(_)
            | Self::NoSigner
            | Self::NotPinned
            | Self::Signer(_)
            | Self::State { .. }
            | Self::CertificateRefused { .. }
            | Self::UnknownOutcome { .. }
            | Self::Protocol(_)
            | Self::NotProven(_) => false,
        }
    }

    /// A stable word for programs.
    pub fn reason(&self) -> String {
        match self {
            Self::Usage(_) => "USAGE".into(),
            Self::Tls(_) => "TLS".into(),
            Self::NoSigner | Self::Signer(_) => "SIGNER".into(),
            Self::State { .. } => "STATE".into(),
            Self::Refused(rejection) => screaming(rejection.reason.name()),
            Self::Api(ApiError::ChangeRefused { obstacle, .. }) => obstacle.word().into(),
            Self::Api(ApiError::Rejected { number, .. }) => Reason::from_number(*number)
                .map_or_else(|| "REJECTED".into(), |reason| screaming(reason.name())),
            Self::Api(error) => error.reason().into(),
            Self::Unreachable { .. } => "UNREACHABLE".into(),
            Self::CertificateRefused { .. } => "CERTIFICATE_REFUSED".into(),
            Self::UnknownOutcome { .. } => "UNKNOWN_OUTCOME".into(),
            Self::Protocol(_) => "PROTOCOL".into(),
            Self::NotPinned => "NOT_PINNED".into(),
            Self::NotProven(_) => "NOT_PROVEN".into(),
        }
    }

    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Usage(_) => "Correct the call.",
            Self::Tls(_) => "Check the files of certificate, key and roots, and the address.",
            Self::NoSigner => "Nothing was sent: name the key that signs commands.",
            Self::Signer(_) => "Check the actor key.",
            Self::State { .. } => "Check the directory and its permissions.",
            Self::Refused(rejection) => rejection.reason.remedy(),
            Self::Api(error) => match error {
                ApiError::InvalidArgument { .. } => "Correct the field.",
                ApiError::Unauthenticated { .. } => {
                    "Check that the certificate is valid and of this plane."
                }
                ApiError::PermissionDenied { .. } => "Ask somebody whose role may.",
                ApiError::NotFound { .. } => "Check the name.",
                ApiError::NotLeader { .. } | ApiError::Unavailable { .. } => {
                    "Check that a majority of the nodes runs, then repeat."
                }
                ApiError::Overloaded { .. } => "Repeat later.",
                ApiError::NoRoom { .. } => {
                    "Make room on the disks named; writes then go on by themselves. Nothing happened: repeat later."
                }
                ApiError::DidNotHappen { .. } => "Nothing happened: repeat.",
                ApiError::ChangeRefused { obstacle, .. } => obstacle.remedy(),
                ApiError::Rejected { number, .. } => Reason::from_number(*number)
                    .map_or("Nothing happened: see the text.", Reason::remedy),
                ApiError::TimeStandsStill { .. } => {
                    "Look at each node's clock and set those that are off; writes then go on by \
                     themselves. If all are right and the outage was longer than an hour, the roots move log time (runbook time)."
                }
                ApiError::StandsStill { .. } => {
                    "See the runbook poisoned-entry; nothing happened, and starting the node again does not help."
                }
                ApiError::TooLarge { .. } => "Split the request.",
                ApiError::UnknownOutcome { .. } | ApiError::Internal { .. } => {
                    "Read the record to learn the outcome; of a change of the cluster, look at its status."
                }
            },
            Self::Unreachable { .. } => {
                "Check the endpoints and that the nodes run, then repeat: nothing happened."
            }
            Self::CertificateRefused { why } => match why {
                Refusal::Revoked => {
                    "Nothing happened. Ask an admin of the registry for a certificate with a new key: every node refuses this one."
                }
                Refusal::Expired => {
                    "Nothing happened. Have the certificate renewed; if it is not at its end, the clock of the nodes is off."
                }
                Refusal::UnknownRoot | Refusal::NoneShown | Refusal::OtherKind => {
                    "Nothing happened. Check that the certificate is of this registry, and for the port that is asked."
                }
            },
            Self::UnknownOutcome { .. } => "Read the record to learn the outcome before repeating.",
            Self::Protocol(_) => {
                "Compare the versions of client and server; read the record to learn the outcome."
            }
            Self::NotPinned => {
                "Nothing was sent: name the log key of the registry, or ask for what its nodes say."
            }
            Self::NotProven(_) => {
                "Do not rely on the answer; keep it and report it to the registry and its peers."
            }
        }
    }
}

/// `CodeExists` as `CODE_EXISTS`.
fn screaming(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_never_claims_more_than_it_knows() {
        let unknown = ClientError::UnknownOutcome {
            attempts: 3,
            last: "timeout".into(),
        };
        assert_eq!(unknown.effect(), Effect::Unknown);
        assert!(!unknown.is_retryable());
        let refused = ClientError::Refused(Rejection::from(Reason::CodeExists));
        assert_eq!(refused.effect(), Effect::None);
        assert_eq!(refused.reason(), "CODE_EXISTS");
        assert_eq!(
            ClientError::Protocol("empty".into()).effect(),
            Effect::Unknown
        );
    }
}
