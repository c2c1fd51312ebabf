//! Which facts stand in the way of which purpose: tables, nothing else.

use carnet_domain::log::map::RobotStatus;
use carnet_domain::record::{ApprovalStatus, EnterpriseStatus, Severity};
use carnet_domain::rules::command;
use carnet_domain::rules::decide::blocked_by_recall;
use carnet_domain::rules::lifecycle::{ActionKind, HoldKind, State, blocks};

use super::{Purpose, ReasonCode, Value};

/// The action of the life cycle that a purpose leads to: what blocks the one blocks the other.
fn action(purpose: Purpose) -> ActionKind {
    match purpose {
        Purpose::MarketAccess => ActionKind::Sell,
        Purpose::ImportPermit => ActionKind::DeclareExport,
        Purpose::BorderInspection => ActionKind::Depart,
        Purpose::Operation => ActionKind::Deploy,
        Purpose::SecondHandPurchase => ActionKind::ApproveOwnership,
    }
}

/// Whether a hold stands in the way.
pub(super) fn hold_blocks(hold: HoldKind, purpose: Purpose) -> bool {
    // Whose papers do not match, or who is reported lost, is not waved through where that is looked at.
    let at_border = matches!(hold, HoldKind::Review | HoldKind::Lost);
    blocks(hold, action(purpose)) || (purpose == Purpose::BorderInspection && at_border)
}

/// Whether an open recall stands in the way.
pub(super) fn recall_blocks(severity: Severity, purpose: Purpose) -> bool {
    blocked_by_recall(severity, action(purpose))
}

/// Whether a robot in this state serves the purpose. Final states are judged apart.
pub(super) fn serves(state: State, purpose: Purpose) -> bool {
    match state {
        State::Reserved => false,
        State::Development => {
            !matches!(purpose, Purpose::MarketAccess | Purpose::SecondHandPurchase)
        }
        State::Retired => !matches!(purpose, Purpose::MarketAccess | Purpose::Operation),
        _ => true,
    }
}

/// The final state that the map shows by itself.
pub(super) fn final_state(status: Option<RobotStatus>) -> Option<State> {
    match status? {
        RobotStatus::Scrapped => Some(State::Scrapped),
        RobotStatus::Recycled => Some(State::Recycled),
        RobotStatus::Annulled => Some(State::Annulled),
        _ => None,
    }
}

/// What a type approval argues for; `None` when it stands.
pub(super) fn approval(status: ApprovalStatus, purpose: Purpose) -> Option<(ReasonCode, Value)> {
    match (status, purpose) {
        (ApprovalStatus::Approved, _) => None,
        (ApprovalStatus::Withdrawn, _) => Some((ReasonCode::ApprovalWithdrawn, Value::Invalid)),
        (ApprovalStatus::Suspended, Purpose::MarketAccess | Purpose::ImportPermit) => {
            Some((ReasonCode::ApprovalSuspended, Value::Invalid))
        }
        // A robot that was let in before keeps its place until somebody decides.
        (ApprovalStatus::Suspended, _) => {
            Some((ReasonCode::ApprovalSuspended, Value::Indeterminate))
        }
    }
}

/// What the maker's standing argues for; `Valid` is a note: a robot outlives its maker.
pub(super) fn maker(status: EnterpriseStatus, purpose: Purpose) -> Option<Value> {
    match (status, purpose) {
        (EnterpriseStatus::Active, _) => None,
        (_, Purpose::MarketAccess | Purpose::ImportPermit) => Some(Value::Invalid),
        _ => Some(Value::Valid),
    }
}

/// Whether a clause that accepts these reasons to cross a border serves the purpose: to be sold, a robot must have been
/// let in for good.
pub(super) fn clause_serves(accepted: &[command::Purpose], purpose: Purpose) -> bool {
    match purpose {
        Purpose::MarketAccess | Purpose::SecondHandPurchase => {
            accepted.contains(&command::Purpose::PermanentExport)
        }
        Purpose::ImportPermit | Purpose::BorderInspection | Purpose::Operation => {
            !accepted.is_empty()
        }
    }
}
