//! The one place where an error becomes a gRPC status, and a status an error again.
//!
//! A lawful "no" of the registry is not here: it travels inside the answer, committed and numbered. Here stands what was
//! refused at the edge or failed on the way, each with the one thing a caller must know: did it happen?
//!
//! ```text
//! google.rpc.Status { code, message,
//!   details: [ ErrorInfo { reason, domain "carnet", metadata }, RetryInfo?, BadRequest? ] }
//! ```

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain in every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "carnet";

const LEADER: &str = "leader";
const FIELD: &str = "field";

/// What the edge of a registry answers instead of a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// A field is malformed.
    #[error("{field}: {text}")]
    InvalidArgument {
        /// Path of the field, as in the schema.
        field: String,
        /// What is wrong with it.
        text: String,
    },
    /// No client certificate that this plane accepts.
    #[error("not authenticated: {text}")]
    Unauthenticated {
        /// Why.
        text: String,
    },
    /// The caller's role may not.
    #[error("not allowed: {text}")]
    PermissionDenied {
        /// What was asked for, and by whom.
        text: String,
    },
    /// The subject is not in the registry.
    #[error("not found: {text}")]
    NotFound {
        /// The subject.
        text: String,
    },
    /// This node cannot serve the call; another can. Nothing happened.
    #[error("this node does not lead{}", leader.as_ref().map_or(String::new(), |at| format!("; {at} does")))]
    NotLeader {
        /// Client endpoint `host:port` of the leader, if one is known.
        leader: Option<String>,
    },
    /// Shed or rate-limited before anything happened.
    #[error("overloaded; try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// Proposed, and then lost sight of: it may have happened or happen yet.
    #[error("the outcome is unknown: {text}")]
    UnknownOutcome {
        /// What was lost.
        text: String,
    },
    /// Certain not to have happened, and never will.
    #[error("it did not happen: {text}")]
    DidNotHappen {
        /// Why.
        text: String,
    },
    /// No quorum, not ready, or shutting down. Nothing happened.
    #[error("unavailable: {text}")]
    Unavailable {
        /// What is missing.
        text: String,
    },
    /// The disks of so many nodes are nearly full that nothing is written. Nothing happened; later, it may.
    #[error("no room: {text}")]
    NoRoom {
        /// Which nodes and disks, and how much is free.
        text: String,
    },
    /// Over a limit of size or count.
    #[error("too large: {text}")]
    TooLarge {
        /// The limit with its name.
        text: String,
    },
    /// The world failed on the server. Whether it happened is unknown.
    #[error("internal error: {text}")]
    Internal {
        /// What is safe to say.
        text: String,
    },
}

/// Whether a write took effect, as far as the error tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It did not and will not.
    None,
    /// It did.
    Happened,
    /// Not known.
    Unknown,
}

impl Effect {
    /// `no`, `yes` or `unknown`.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "no",
            Self::Happened => "yes",
            Self::Unknown => "unknown",
        }
    }
}

impl ApiError {
    /// A malformed field.
    pub fn invalid(field: impl Into<String>, text: impl ToString) -> Self {
        Self::InvalidArgument {
            field: field.into(),
            text: text.to_string(),
        }
    }

    /// A subject that is not there.
    pub fn not_found(text: impl ToString) -> Self {
        Self::NotFound {
            text: text.to_string(),
        }
    }

    /// A role that may not.
    pub fn denied(text: impl ToString) -> Self {
        Self::PermissionDenied {
            text: text.to_string(),
        }
    }

    /// No quorum, or not ready.
    pub fn unavailable(text: impl ToString) -> Self {
        Self::Unavailable {
            text: text.to_string(),
        }
    }

    /// A fault of the server.
    pub fn internal(text: impl ToString) -> Self {
        Self::Internal {
            text: text.to_string(),
        }
    }

    /// `reason` of `ErrorInfo`: upper case with underscores, never renamed.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidArgument { .. } => "INVALID_ARGUMENT",
            Self::Unauthenticated { .. } => "UNAUTHENTICATED",
            Self::PermissionDenied { .. } => "PERMISSION_DENIED",
            Self::NotFound { .. } => "NOT_FOUND",
            Self::NotLeader { .. } => "NOT_LEADER",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::UnknownOutcome { .. } => "UNKNOWN_OUTCOME",
            Self::DidNotHappen { .. } => "DID_NOT_HAPPEN",
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::NoRoom { .. } => "NO_ROOM",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::Internal { .. } => "INTERNAL",
        }
    }

    /// The gRPC code. `UnknownOutcome` takes the one code that is defined to leave it open.
    pub fn code(&self) -> Code {
        match self {
            Self::InvalidArgument { .. } => Code::InvalidArgument,
            Self::Unauthenticated { .. } => Code::Unauthenticated,
            Self::PermissionDenied { .. } => Code::PermissionDenied,
            Self::NotFound { .. } => Code::NotFound,
            Self::NotLeader { .. } | Self::Unavailable { .. } => Code::Unavailable,
            Self::Overloaded { .. } | Self::NoRoom { .. } => Code::ResourceExhausted,
            Self::UnknownOutcome { .. } => Code::DeadlineExceeded,
            Self::DidNotHappen { .. } => Code::Aborted,
            Self::TooLarge { .. } => Code::OutOfRange,
            Self::Internal { .. } => Code::Internal,
        }
    }

    /// Whether a write that was answered with this took effect.
    pub fn effect(&self) -> Effect {
        match self {
            Self::InvalidArgument { .. }
            | Self::Unauthenticated { .. }
            | Self::PermissionDenied { .. }
            | Self::NotFound { .. }
            | Self::NotLeader { .. }
            | Self::Overloaded { .. }
            | Self::DidNotHappen { .. }
            | Self::Unavailable { .. }
            | Self::NoRoom { .. }
            | Self::TooLarge { .. } => Effect::None,
            Self::UnknownOutcome { .. } | Self::Internal { .. } => Effect::Unknown,
        }
    }

    /// Whether the same request may succeed later or elsewhere.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotLeader { .. }
            | Self::Overloaded { .. }
            | Self::UnknownOutcome { .. }
            | Self::DidNotHappen { .. }
            | Self::NoRoom { .. }
            | Self::Unavailable { .. } => true,
            Self::InvalidArgument { .. }
            | Self::Unauthenticated { .. }
            | Self::PermissionDenied { .. }
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::Internal { .. } => false,
        }
    }

    /// As a status with its details.
    pub fn to_status(&self) -> Status {
        let mut details = ErrorDetails::new();
        let mut metadata = HashMap::new();
        match self {
            Self::InvalidArgument { field, text } => {
                details.add_bad_request_violation(field, text);
                metadata.insert(FIELD.to_owned(), field.clone());
            }
            Self::NotLeader {
                leader: Some(leader),
            } => {
                metadata.insert(LEADER.to_owned(), leader.clone());
            }
            Self::Overloaded { retry_after } => {
                details.set_retry_info(Some(*retry_after));
            }
            Self::NotLeader { leader: None }
            | Self::Unauthenticated { .. }
            | Self::PermissionDenied { .. }
            | Self::NotFound { .. }
            | Self::UnknownOutcome { .. }
            | Self::DidNotHappen { .. }
            | Self::Unavailable { .. }
            | Self::NoRoom { .. }
            | Self::TooLarge { .. }
            | Self::Internal { .. } => {}
        }
        details.set_error_info(self.reason(), ERROR_DOMAIN, metadata);
        Status::with_error_details(self.code(), self.text(), details)
    }

    /// Reads a status. One without our `ErrorInfo` comes from the transport, a proxy or a foreign server: what it says of
    /// a write's effect is believed only where no request can have been executed.
    pub fn of_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let text = status.message().to_owned();
        let Some(info) = details
            .error_info()
            .filter(|info| info.domain == ERROR_DOMAIN)
        else {
            return Self::of_bare(status.code(), text);
        };
        match info.reason.as_str() {
            "INVALID_ARGUMENT" => {
                let field = info.metadata.get(FIELD).cloned().unwrap_or_default();
                let text = details
                    .bad_request()
                    .and_then(|bad| bad.field_violations.first())
                    .map_or(text, |violation| violation.description.clone());
                Self::InvalidArgument { field, text }
            }
            "UNAUTHENTICATED" => Self::Unauthenticated { text },
            "PERMISSION_DENIED" => Self::PermissionDenied { text },
            "NOT_FOUND" => Self::NotFound { text },
            "NOT_LEADER" => Self::NotLeader {
                leader: info.metadata.get(LEADER).cloned(),
            },
            "OVERLOADED" => {
                let delay = details.retry_info().and_then(|retry| retry.retry_delay);
                Self::Overloaded {
                    retry_after: delay.unwrap_or(crate::limits::RETRY_AFTER_DEFAULT),
                }
            }
            "UNKNOWN_OUTCOME" => Self::UnknownOutcome { text },
            "DID_NOT_HAPPEN" => Self::DidNotHappen { text },
            "UNAVAILABLE" => Self::Unavailable { text },
            "NO_ROOM" => Self::NoRoom { text },
            "TOO_LARGE" => Self::TooLarge { text },
            "INTERNAL" => Self::Internal { text },
            _ => Self::of_bare(status.code(), text),
        }
    }

    fn of_bare(code: Code, text: String) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument {
                field: String::new(),
                text,
            },
            Code::Unauthenticated => Self::Unauthenticated { text },
            Code::PermissionDenied => Self::PermissionDenied { text },
            Code::NotFound => Self::NotFound { text },
            Code::OutOfRange => Self::TooLarge { text },
            Code::Unimplemented => Self::Unavailable {
                text: format!("the server does not know this call: {text}"),
            },
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::UnknownOutcome { text },
        }
    }

    /// The message without the words that the variant adds.
    fn text(&self) -> String {
        match self {
            Self::Unauthenticated { text }
            | Self::PermissionDenied { text }
            | Self::NotFound { text }
            | Self::UnknownOutcome { text }
            | Self::DidNotHappen { text }
            | Self::Unavailable { text }
            | Self::NoRoom { text }
            | Self::TooLarge { text }
            | Self::Internal { text } => text.clone(),
            Self::InvalidArgument { .. } | Self::NotLeader { .. } | Self::Overloaded { .. } => {
                self.to_string()
            }
        }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        error.to_status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> Vec<ApiError> {
        let text = || "why".to_owned();
        vec![
            ApiError::InvalidArgument {
                field: "items[3].code".into(),
                text: text(),
            },
            ApiError::Unauthenticated { text: text() },
            ApiError::PermissionDenied { text: text() },
            ApiError::NotFound { text: text() },
            ApiError::NotLeader {
                leader: Some("127.0.0.1:7102".into()),
            },
            ApiError::NotLeader { leader: None },
            ApiError::Overloaded {
                retry_after: Duration::from_millis(250),
            },
            ApiError::UnknownOutcome { text: text() },
            ApiError::DidNotHappen { text: text() },
            ApiError::Unavailable { text: text() },
            ApiError::NoRoom { text: text() },
            ApiError::TooLarge { text: text() },
            ApiError::Internal { text: text() },
        ]
    }

    #[test]
    fn every_error_survives_the_wire() {
        for error in every() {
            assert_eq!(ApiError::of_status(&error.to_status()), error);
        }
    }

    #[test]
    fn reasons_are_distinct_and_stable() {
        let mut reasons: Vec<_> = every().iter().map(ApiError::reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        let expected = [
            "DID_NOT_HAPPEN",
            "INTERNAL",
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "NOT_LEADER",
            "NO_ROOM",
            "OVERLOADED",
            "PERMISSION_DENIED",
            "TOO_LARGE",
            "UNAUTHENTICATED",
            "UNAVAILABLE",
            "UNKNOWN_OUTCOME",
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn a_bare_transport_failure_leaves_the_outcome_open() {
        for code in [
            Code::Unavailable,
            Code::Cancelled,
            Code::Unknown,
            Code::DeadlineExceeded,
            Code::Internal,
        ] {
            let error = ApiError::of_status(&Status::new(code, "transport error"));
            assert_eq!(error.effect(), Effect::Unknown, "{code:?}");
        }
    }

    #[test]
    fn a_foreign_error_domain_is_not_believed() {
        let mut details = ErrorDetails::new();
        details.set_error_info("DID_NOT_HAPPEN", "proxy.example", HashMap::new());
        let status = Status::with_error_details(Code::Aborted, "no", details);
        assert_eq!(ApiError::of_status(&status).effect(), Effect::Unknown);
    }
}
