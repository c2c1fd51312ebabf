//! The records of one registry: enterprises, signers, models, robots, recalls. What they are, and how each becomes the
//! sixteen slots of a leaf.
//!
//! Values only: what may be done with them is in `rules::decide`, how they change in `event`.

pub mod audited;
pub mod contact;
pub mod crossing;
mod daily;
pub mod denied;
pub mod due;
mod enrolment;
pub mod enterprise;
pub mod event;
pub mod ids;
pub mod keys;
pub mod ledger;
pub mod model;
pub mod offices;
pub mod ownership;
pub mod parked;
pub mod party;
pub mod past;
pub mod peer;
pub mod reader;
pub mod recall;
pub mod registry;
pub mod robot;
mod robot_key;
pub mod session;
pub mod told;
pub mod transfer;

pub use crossing::AgreementRef;
pub use daily::Daily;
pub use enrolment::{Enrolment, Word};
pub use enterprise::{Enterprise, EnterpriseStatus, Naming};
pub use ids::{
    BodyName, IdentifierScheme, Maker, Part, PartName, PartType, key_identity, part_identity,
};
pub use model::{
    ApprovalStatus, Firmware, Form, Model, ModelFacts, ModelStanding, recalls_digest,
    standing_digest,
};
pub use ownership::{Asking, OwnershipEnd, Release, ReleaseSecret, release_commitment};
pub use parked::{Parked, ParkedPlace};
pub use party::{Actor, Desk, FirstWord, Holder, Party, PartyName, Setter, Signer};
pub use recall::{
    BoundRecall, DecidedRecall, Predicate, Recall, RecallDecision, RecallId, RecallNotice,
    RecallStatus, Severity,
};
pub use robot::{
    Against, Before, Claim, ClearedFrom, Clearing, Declared, Ended, Ends, Fitted, Fitting, Hold,
    Identity, Pending, Robot, Stay,
};
pub use robot_key::RobotKey;
