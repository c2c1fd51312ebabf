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

use bytes::Bytes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::registry::v1::SubmitFailure;

/// The domain in every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "carnet";

const LEADER: &str = "leader";
const FIELD: &str = "field";
const OBSTACLE: &str = "obstacle";
const NUMBER: &str = "number";

/// What stands in the way of a change of a cluster that an operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The cluster was founded before.
    AlreadyFounded,
    /// The node id has left the cluster.
    Retired,
    /// The cluster knows the node with another store.
    OtherStore,
    /// The cluster knows the node at another address.
    OtherAddress,
    /// The node belongs to another cluster.
    OtherCluster,
    /// The node is no member of the cluster.
    NotMember,
    /// The node does not answer.
    NotThere,
    /// The node was made to join others.
    NotJoined,
    /// The node has not caught up with what is committed.
    Behind,
    /// The voters asked for would have no quorum.
    NoQuorum,
    /// An earlier change is not finished.
    Unfinished,
    /// A node would leave for good that the caller did not name as leaving.
    LeavesUnnamed,
    /// A node would leave for good, and two admins have not agreed on exactly this change.
    TwoAdmins,
    /// Fewer than three voters would be left, and the caller did not say that it is meant.
    FewVoters,
    /// As many nodes have left as a cluster can remember.
    RetiredFull,
    /// The leader stands still before a log entry.
    StandsStill,
    /// Another rule; the text says which.
    Rule,
}

impl Obstacle {
    /// Every one, in the order declared.
    pub const ALL: [Self; 17] = [
        Self::AlreadyFounded,
        Self::Retired,
        Self::OtherStore,
        Self::OtherAddress,
        Self::OtherCluster,
        Self::NotMember,
        Self::NotThere,
        Self::NotJoined,
        Self::Behind,
        Self::NoQuorum,
        Self::Unfinished,
        Self::LeavesUnnamed,
        Self::TwoAdmins,
        Self::FewVoters,
        Self::RetiredFull,
        Self::StandsStill,
        Self::Rule,
    ];

    /// The word on the wire, never renamed.
    pub fn word(self) -> &'static str {
        match self {
            Self::AlreadyFounded => "ALREADY_FOUNDED",
            Self::Retired => "NODE_RETIRED",
            Self::OtherStore => "OTHER_STORE",
            Self::OtherAddress => "OTHER_ADDRESS",
            Self::OtherCluster => "OTHER_CLUSTER",
            Self::NotMember => "NOT_A_MEMBER",
            Self::NotThere => "NODE_SILENT",
            Self::NotJoined => "NOT_JOINED",
            Self::Behind => "NODE_BEHIND",
            Self::NoQuorum => "NO_QUORUM_AFTER",
            Self::Unfinished => "CHANGE_UNFINISHED",
            Self::LeavesUnnamed => "LEAVES_UNNAMED",
            Self::TwoAdmins => "TWO_ADMINS",
            Self::FewVoters => "FEW_VOTERS",
            Self::RetiredFull => "RETIRED_FULL",
            Self::StandsStill => "STANDS_STILL",
            Self::Rule => "RULE",
        }
    }

    /// What the operator can do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::AlreadyFounded => "Found nothing: the cluster exists. More nodes join it.",
            Self::Retired | Self::OtherStore => {
                "Make a new node under an id that was never used, on an empty directory (runbook replace-a-node)."
            }
            Self::OtherAddress => {
                "Give the address that the cluster knows, or join under a new node id (runbook replace-a-node)."
            }
            Self::OtherCluster => {
                "Ask a node of the cluster that the node belongs to, or make a new node on an empty directory."
            }
            Self::NotMember => "Check the id; a new node is added first.",
            Self::NotThere => {
                "Start the node and see that its Raft address can be reached from the leader, then repeat."
            }
            Self::NotJoined => {
                "Empty the new node's directory and make it again with all present voters, or ask for it \
                 while a node leads that it was made to join."
            }
            Self::Behind => "Wait until the node's lag is small, then repeat.",
            Self::NoQuorum => {
                "Start the nodes named, or ask for voters that are there; then repeat."
            }
            Self::Unfinished => {
                "Wait until the earlier change is finished, or repeat that one first."
            }
            Self::LeavesUnnamed => {
                "Name every node that is to leave for good, or keep it among the voters."
            }
            Self::TwoAdmins => {
                "Ask for it in a signed command, have another admin approve it, then repeat (runbook replace-a-node)."
            }
            Self::FewVoters => {
                "Ask for three voters or more, or say that fewer are meant: then one failure stops all writes."
            }
            Self::RetiredFull => {
                "Ask the makers of the program: this cluster takes no more changes of members."
            }
            Self::StandsStill => {
                "See the runbook poisoned-entry; nothing is changed until the entry is applied or skipped."
            }
            Self::Rule => "Look at the cluster, and ask for what its rules allow.",
        }
    }

    fn of_word(word: &str) -> Self {
        let found = Self::ALL.iter().find(|one| one.word() == word);
        found.copied().unwrap_or(Self::Rule)
    }
}

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
    /// A change of the cluster that its rules do not allow, or not now. Nothing happened.
    #[error("refused: {text}")]
    ChangeRefused {
        /// What stands in its way.
        obstacle: Obstacle,
        /// Which node, and what was found.
        text: String,
    },
    /// A lawful "no" of the registry to a call that has no answer to carry it. Nothing happened, and repeating it gives the
    /// same.
    #[error("refused: {text}")]
    Rejected {
        /// Number of the reason.
        number: u64,
        /// The rejection in words.
        text: String,
    },
    /// Log time cannot go on, so that nothing is written: clocks disagree, or the roots have to move it. Nothing happened.
    #[error("log time stands still: {text}")]
    TimeStandsStill {
        /// What was read, or what is needed.
        text: String,
    },
    /// The node stands still before a log entry that it cannot apply. Nothing happened.
    #[error("{text}")]
    StandsStill {
        /// Which entry.
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

/// What a registry answers another, among other words, when an office there paused the contact, or its roots ended it.
pub const CONTACT_PAUSED: &str = "is paused by";

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

    /// A fault of the server. The text is fixed: what an error says of paths, keys and the database is for the server's own
    /// log, never for whoever asked.
    pub fn internal(text: &'static str) -> Self {
        Self::Internal {
            text: text.to_owned(),
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
            Self::ChangeRefused { .. } => "CHANGE_REFUSED",
            Self::Rejected { .. } => "REJECTED",
            Self::TimeStandsStill { .. } => "TIME_STANDS_STILL",
            Self::StandsStill { .. } => "STANDS_STILL",
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
            Self::NotLeader { .. }
            | Self::TimeStandsStill { .. }
            | Self::StandsStill { .. }
            | Self::Unavailable { .. } => Code::Unavailable,
            Self::Overloaded { .. } | Self::NoRoom { .. } => Code::ResourceExhausted,
            Self::UnknownOutcome { .. } => Code::DeadlineExceeded,
            Self::DidNotHappen { .. } => Code::Aborted,
            Self::ChangeRefused { .. } | Self::Rejected { .. } => Code::FailedPrecondition,
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
            | Self::ChangeRefused { .. }
            | Self::Rejected { .. }
            | Self::TimeStandsStill { .. }
            | Self::StandsStill { .. }
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
            | Self::TimeStandsStill { .. }
            | Self::StandsStill { .. }
            | Self::NoRoom { .. }
            | Self::Unavailable { .. } => true,
            Self::InvalidArgument { .. }
            | Self::ChangeRefused { .. }
            | Self::Rejected { .. }
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
            Self::ChangeRefused { obstacle, .. } => {
                metadata.insert(OBSTACLE.to_owned(), obstacle.word().to_owned());
            }
            Self::Rejected { number, .. } => {
                metadata.insert(NUMBER.to_owned(), number.to_string());
            }
            Self::NotLeader { leader: None }
            | Self::Unauthenticated { .. }
            | Self::PermissionDenied { .. }
            | Self::NotFound { .. }
            | Self::UnknownOutcome { .. }
            | Self::DidNotHappen { .. }
            | Self::TimeStandsStill { .. }
            | Self::StandsStill { .. }
            | Self::Unavailable { .. }
            | Self::NoRoom { .. }
            | Self::TooLarge { .. }
            | Self::Internal { .. } => {}
        }
        details.set_error_info(self.reason(), ERROR_DOMAIN, metadata);
        Status::with_error_details(self.code(), self.text(), details)
    }

    /// Reads a status that a registry wrote: it has our `ErrorInfo`. Of any other, none.
    pub fn of_ours(status: &Status) -> Option<Self> {
        let details = status.get_error_details();
        let info = details.error_info()?;
        (info.domain == ERROR_DOMAIN).then(|| Self::of_status(status))
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
            "CHANGE_REFUSED" => {
                let word = info.metadata.get(OBSTACLE).map_or("", String::as_str);
                Self::ChangeRefused {
                    obstacle: Obstacle::of_word(word),
                    text,
                }
            }
            "REJECTED" => {
                let number = info.metadata.get(NUMBER).and_then(|text| text.parse().ok());
                Self::Rejected {
                    // 0 is no reason's: what a newer server means stands in the text.
                    number: number.unwrap_or(0),
                    text,
                }
            }
            "TIME_STANDS_STILL" => Self::TimeStandsStill { text },
            "STANDS_STILL" => Self::StandsStill { text },
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
            | Self::ChangeRefused { text, .. }
            | Self::Rejected { text, .. }
            | Self::TimeStandsStill { text }
            | Self::StandsStill { text }
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

/// A status as a stream carries it that goes on.
pub fn to_failure(status: &Status) -> SubmitFailure {
    SubmitFailure {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Bytes::copy_from_slice(status.details()),
    }
}

/// The status that a stream carried. One that says it is no failure was lost on the way: what became of the request is
/// unknown.
pub fn of_failure(failure: SubmitFailure) -> Status {
    match Code::from_i32(failure.code) {
        Code::Ok => Status::unknown("a failure without a code"),
        code => Status::with_details(code, failure.message, failure.details),
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
        let refused = Obstacle::ALL.map(|obstacle| ApiError::ChangeRefused {
            obstacle,
            text: text(),
        });
        let others = vec![
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
            ApiError::Rejected {
                number: 62,
                text: text(),
            },
            ApiError::TimeStandsStill { text: text() },
            ApiError::StandsStill { text: text() },
            ApiError::Unavailable { text: text() },
            ApiError::NoRoom { text: text() },
            ApiError::TooLarge { text: text() },
            ApiError::Internal { text: text() },
        ];
        others.into_iter().chain(refused).collect()
    }

    #[test]
    fn an_obstacle_that_is_not_known_is_some_rule() {
        assert_eq!(Obstacle::of_word("OF_A_NEWER_SERVER"), Obstacle::Rule);
        let mut words = Obstacle::ALL.map(Obstacle::word).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Obstacle::ALL.len());
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
            "CHANGE_REFUSED",
            "DID_NOT_HAPPEN",
            "INTERNAL",
            "INVALID_ARGUMENT",
            "NOT_FOUND",
            "NOT_LEADER",
            "NO_ROOM",
            "OVERLOADED",
            "PERMISSION_DENIED",
            "REJECTED",
            "STANDS_STILL",
            "TIME_STANDS_STILL",
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
