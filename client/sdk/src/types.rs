//! The domain's types that calls of this crate take and give, so that a program needs no other crate of ours.

pub use carnet_domain::bytes::code::{Code, EnterpriseCode, EnterpriseId, ModelId, Prefix, Serial};
pub use carnet_domain::bytes::digest::Digest;
pub use carnet_domain::bytes::encoding::Canonical;
pub use carnet_domain::bytes::signature::{PublicKey, SecretKey, Signature};
pub use carnet_domain::bytes::time::{DurationMs, TimeMs};
pub use carnet_domain::custody::movement::Movement;
pub use carnet_domain::log::checkpoint::Origin;
pub use carnet_domain::log::stored::OpenedLeaf;
pub use carnet_domain::machine::entry::{Answer, ItemAnswer};
pub use carnet_domain::record::peer::Peer;
pub use carnet_domain::record::registry::Registry;
pub use carnet_domain::record::transfer::Transfer;
pub use carnet_domain::record::{
    AgreementRef, ApprovalStatus, Asking, BodyName, Enrolment, Enterprise, EnterpriseStatus,
    Firmware, Form, Holder, IdentifierScheme, Maker, Model, ModelFacts, PartName, PartType, Party,
    PartyName, Predicate, Recall, RecallId, RecallNotice, ReleaseSecret, Robot, Severity, Word,
    release_commitment,
};
pub use carnet_domain::rules::command::{
    Action, Command, Condition, Papers, Registration, TransferId,
};
pub use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind, State};
pub use carnet_domain::rules::policy::Role;
pub use carnet_domain::rules::rejection::{Reason, Rejection};
pub use carnet_trust::evidence::{LogHead, ProvenEvidence, ProvenRobot};
pub use carnet_trust::offline::Report;
pub use carnet_trust::pins::{Pin as PinnedCountry, PinError as PinnedCountryError, Pins};
pub use carnet_trust::verdict::{Purpose as VerdictPurpose, Value as VerdictValue, Verdict};
