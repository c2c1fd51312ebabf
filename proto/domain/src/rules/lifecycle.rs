//! The life-cycle table of one robot: which action leads from which state to which. Total and snapshot-tested.
//!
//! Only the table: holds, recalls, custody and roles are judged in `decide`.

use crate::rules::policy::Role;

/// Where a robot stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its code is engraved but it is not in service.
    Reserved,
    /// A prototype under development.
    Development,
    /// Made.
    Manufactured,
    /// In the maker's or dealer's stock.
    InStock,
    /// Sold, not yet deployed.
    Sold,
    /// In use.
    Deployed,
    /// Under maintenance.
    Maintenance,
    /// Out of use; may return after an inspection.
    Retired,
    /// Taken apart for reuse of material. Final.
    Recycled,
    /// Destroyed. Final.
    Scrapped,
    /// Registered in error. Final; the code stays burned.
    Annulled,
}
crate::canonical_enum!(State {
    1 => Reserved, 2 => Development, 3 => Manufactured, 4 => InStock, 5 => Sold, 6 => Deployed, 7 => Maintenance,
    8 => Retired, 9 => Recycled, 10 => Scrapped, 11 => Annulled,
});

impl State {
    /// Whether nothing may follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Recycled | Self::Scrapped | Self::Annulled)
    }

    /// Whether code, body and identity parts are ended for ever.
    pub fn is_end_of_life(self) -> bool {
        matches!(self, Self::Recycled | Self::Scrapped)
    }
}

/// What is done to a robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActionKind {
    /// A code is set aside.
    Reserve,
    /// A prototype is registered.
    RegisterPrototype,
    /// A product is registered.
    Register,
    /// Put in stock.
    Stock,
    /// Sold to a first owner.
    Sell,
    /// Put into use.
    Deploy,
    /// Moved to another use.
    Redeploy,
    /// Given to a workshop, out of use.
    BeginMaintenance,
    /// Back from the workshop, and in use.
    CompleteMaintenance,
    /// A fault mended.
    Repair,
    /// One part out, another of its kind in.
    ReplacePart,
    /// Looked over, and passed or not.
    Inspect,
    /// An incident recorded.
    RecordIncident,
    /// Training recorded.
    RecordTraining,
    /// Firmware changed.
    UpdateSoftware,
    /// Ownership asked for, with the seller's release code.
    RequestOwnership,
    /// Ownership given.
    ApproveOwnership,
    /// The request for ownership ended without a change.
    EndOwnershipRequest,
    /// Taken out of use.
    Retire,
    /// Back from retirement after an inspection.
    ReturnToService,
    /// End of life declared by a recycler.
    DeclareEndOfLife,
    /// The declaration withdrawn.
    WithdrawEndOfLife,
    /// End of life confirmed by a second signer.
    ConfirmEndOfLife,
    /// Registered in error.
    Annul,
    /// An earlier statement corrected.
    Correct,
    /// A hold set or lifted.
    ChangeHold,
    /// An owed recall remedied.
    RemedyRecall,
    /// Offered to another country.
    DeclareExport,
    /// The offer withdrawn.
    CancelExport,
    /// Released to another country.
    Depart,
    /// Ownership released by the owner.
    ReleaseOwnership,
    /// Another desk acts for a person.
    ChangeDesk,
}
crate::canonical_enum!(ActionKind {
    1 => Reserve, 2 => RegisterPrototype, 3 => Register, 4 => Stock, 5 => Sell, 6 => Deploy, 7 => Redeploy,
    8 => BeginMaintenance, 9 => CompleteMaintenance, 10 => Repair, 11 => ReplacePart, 12 => Inspect,
    13 => RecordIncident, 14 => RecordTraining, 15 => UpdateSoftware, 16 => RequestOwnership, 17 => ApproveOwnership,
    18 => EndOwnershipRequest, 19 => Retire, 20 => ReturnToService, 21 => DeclareEndOfLife, 22 => WithdrawEndOfLife,
    23 => ConfirmEndOfLife, 24 => Annul, 25 => Correct, 26 => ChangeHold, 27 => RemedyRecall, 28 => DeclareExport,
    29 => CancelExport, 30 => Depart, 31 => ReleaseOwnership, 32 => ChangeDesk,
});

/// How an end of life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndOfLife {
    /// Destroyed.
    Scrapped,
    /// Taken apart for reuse of material.
    Recycled,
}
crate::canonical_enum!(EndOfLife { 1 => Scrapped, 2 => Recycled });

/// The state after an action, or `None` where the action does not apply. `from` is `None` for a code never seen.
///
/// `ConfirmEndOfLife` leads to `Scrapped` here; a declaration of recycling leads to `Recycled` (see [`end_state`]).
pub fn next(from: Option<State>, action: ActionKind) -> Option<State> {
    use ActionKind as A;
    use State as S;
    let Some(from) = from else {
        return match action {
            A::Reserve => Some(S::Reserved),
            A::RegisterPrototype => Some(S::Development),
            A::Register => Some(S::Manufactured),
            _ => None,
        };
    };
    let to = match (from, action) {
        (S::Reserved, A::Register) => S::Manufactured,
        (S::Reserved, A::RegisterPrototype) => S::Development,
        (S::Manufactured | S::InStock, A::Stock) => S::InStock,
        (S::InStock, A::Sell) => S::Sold,
        (S::Sold, A::Deploy) => S::Deployed,
        (S::Deployed, A::Redeploy) => S::Deployed,
        (S::Deployed, A::BeginMaintenance) => S::Maintenance,
        (S::Maintenance, A::CompleteMaintenance) => S::Deployed,
        // A prototype is no product: what is retired may return to service.
        (S::Sold | S::Deployed | S::Maintenance, A::Retire) => S::Retired,
        (S::Retired, A::ReturnToService) => S::Sold,
        (S::Reserved | S::Development | S::Manufactured | S::InStock, A::Annul) => S::Annulled,
        (
            S::Development
            | S::Manufactured
            | S::InStock
            | S::Sold
            | S::Deployed
            | S::Maintenance
            | S::Retired,
            A::Repair
            | A::ReplacePart
            | A::Inspect
            | A::RecordIncident
            | A::RecordTraining
            | A::UpdateSoftware
            | A::DeclareEndOfLife
            | A::WithdrawEndOfLife
            | A::RemedyRecall
            | A::ChangeDesk,
        ) => from,
        (
            S::Manufactured | S::InStock | S::Sold | S::Deployed | S::Retired,
            A::DeclareExport | A::CancelExport | A::Depart,
        ) => from,
        // The first owner comes by a sale, which asks for market access; from then on ownership moves. In stock it moves only
        // from an owner who may not sell any more to one who may; see `decide::ownership`.
        (
            S::Manufactured | S::InStock | S::Sold | S::Deployed | S::Maintenance | S::Retired,
            A::ReleaseOwnership
            | A::RequestOwnership
            | A::ApproveOwnership
            | A::EndOwnershipRequest,
        ) => from,
        (
            S::Development
            | S::Manufactured
            | S::InStock
            | S::Sold
            | S::Deployed
            | S::Maintenance
            | S::Retired,
            A::ConfirmEndOfLife,
        ) => S::Scrapped,
        (S::Recycled | S::Scrapped | S::Annulled, A::ChangeHold) => return None,
        (_, A::ChangeHold) => from,
        (_, A::Correct) => from,
        _ => return None,
    };
    Some(to)
}

/// The final state of a declaration, or `None` where it may not be declared: recycling needs a retired robot.
pub fn end_state(from: State, outcome: EndOfLife) -> Option<State> {
    match outcome {
        EndOfLife::Scrapped => next(Some(from), ActionKind::ConfirmEndOfLife),
        EndOfLife::Recycled if from == State::Retired => Some(State::Recycled),
        EndOfLife::Recycled => None,
    }
}

/// A mark beside the state. Several may stand at once; only the setter's office (or a court) lifts one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldKind {
    /// The owner asked for it.
    OwnerHold,
    /// A lien.
    SaleLock,
    /// Ordered by the regulator.
    RegulatorStop,
    /// Reported stolen.
    Theft,
    /// Reported lost.
    Lost,
    /// Frozen as evidence.
    EvidenceFreeze,
    /// Under review by the registry.
    Review,
    /// An end of life was declared and waits for its second signer.
    EndOfLifePending,
}
crate::canonical_enum!(HoldKind {
    1 => OwnerHold, 2 => SaleLock, 3 => RegulatorStop, 4 => Theft, 5 => Lost, 6 => EvidenceFreeze, 7 => Review,
    8 => EndOfLifePending,
});

/// Whether a hold blocks an action.
pub fn blocks(hold: HoldKind, action: ActionKind) -> bool {
    use ActionKind as A;
    use HoldKind as H;
    match (hold, action) {
        // Ending a hold, correcting, recording what happened and remedying a defect are never blocked.
        (
            _,
            A::ChangeHold
            | A::Correct
            | A::RecordIncident
            | A::EndOwnershipRequest
            | A::CancelExport
            | A::ChangeDesk,
        ) => false,
        // A body that is annulled may be registered anew: whatever stands on it would be shaken off.
        (_, A::Annul) => true,
        (H::EndOfLifePending, A::WithdrawEndOfLife | A::ConfirmEndOfLife) => false,
        (H::EndOfLifePending, _) => true,
        (_, A::RemedyRecall | A::Inspect | A::Repair | A::UpdateSoftware | A::ReplacePart) => {
            hold == H::EvidenceFreeze
        }
        (
            H::OwnerHold,
            A::Sell
            | A::ReleaseOwnership
            | A::RequestOwnership
            | A::ApproveOwnership
            | A::Redeploy
            | A::DeclareExport
            | A::DeclareEndOfLife
            | A::ConfirmEndOfLife,
        ) => true,
        (
            H::SaleLock,
            A::Sell
            | A::ReleaseOwnership
            | A::RequestOwnership
            | A::ApproveOwnership
            | A::DeclareExport
            | A::Depart
            | A::DeclareEndOfLife
            | A::ConfirmEndOfLife,
        ) => true,
        (
            H::RegulatorStop,
            A::Sell
            | A::Deploy
            | A::Redeploy
            | A::CompleteMaintenance
            | A::ReturnToService
            | A::DeclareExport
            | A::Depart,
        ) => true,
        // What is stolen is not destroyed, on whoever's word.
        (H::Theft, _) => action != A::WithdrawEndOfLife,
        (
            H::Lost,
            A::Sell
            | A::Deploy
            | A::Redeploy
            | A::ReleaseOwnership
            | A::RequestOwnership
            | A::ApproveOwnership
            | A::DeclareExport,
        ) => true,
        (H::EvidenceFreeze, _) => true,
        (
            H::Review,
            A::Sell
            | A::Deploy
            | A::ReleaseOwnership
            | A::RequestOwnership
            | A::ApproveOwnership
            | A::DeclareExport,
        ) => true,
        _ => false,
    }
}

/// Who sets a hold. Its setter lifts it, in whichever country the robot is; see [`lifts_others`].
pub fn sets(role: Role, hold: HoldKind) -> bool {
    use HoldKind as H;
    use Role as R;
    match hold {
        H::OwnerHold => matches!(role, R::Registrar | R::Owner),
        H::SaleLock => matches!(role, R::Registrar | R::Regulator),
        H::RegulatorStop => matches!(role, R::Regulator),
        H::Theft | H::Lost | H::Review => {
            matches!(role, R::Registrar | R::Customs | R::Regulator)
        }
        H::EvidenceFreeze => matches!(role, R::Registrar | R::Customs | R::Regulator),
        // Set by the declaration of an end of life, and ended with it.
        H::EndOfLifePending => false,
    }
}

/// Who lifts holds that others set, here or abroad, with a reason that stays in the log: the regulator, who also carries out
/// what a court orders. So no hold outlasts its setter, and none can be lifted by nobody because the robot has travelled.
pub fn lifts_others(role: Role, hold: HoldKind) -> bool {
    role == Role::Regulator && hold != HoldKind::EndOfLifePending
}

/// Whether a hold blocks departure abroad. The others travel with the robot and keep their setter.
pub fn blocks_departure(hold: HoldKind) -> bool {
    matches!(
        hold,
        HoldKind::Theft
            | HoldKind::EvidenceFreeze
            | HoldKind::SaleLock
            | HoldKind::RegulatorStop
            | HoldKind::EndOfLifePending
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table as text, one row a state.
    fn table() -> String {
        let mut out = String::new();
        let rows = std::iter::once(None).chain(State::ALL.iter().copied().map(Some));
        for from in rows {
            let name = from.map_or("-", State::name);
            for action in ActionKind::ALL {
                if let Some(to) = next(from, *action) {
                    out.push_str(&format!("{name} {} {}\n", action.name(), to.name()));
                }
            }
        }
        out
    }

    #[test]
    fn the_table_is_as_published() {
        let published = include_str!("../../../vectors/lifecycle.txt");
        assert_eq!(
            table(),
            published,
            "proto/vectors/lifecycle.txt differs; if meant, write:\n{}",
            table()
        );
    }

    #[test]
    fn only_corrections_follow_a_final_state() {
        for state in State::ALL.iter().filter(|s| s.is_final()) {
            for action in ActionKind::ALL {
                let allowed = next(Some(*state), *action).is_some();
                assert_eq!(
                    allowed,
                    *action == ActionKind::Correct,
                    "{state:?} {action:?}"
                );
            }
        }
    }

    #[test]
    fn every_hold_that_blocks_departure_blocks_depart() {
        for hold in HoldKind::ALL.iter().filter(|h| blocks_departure(**h)) {
            assert!(blocks(*hold, ActionKind::Depart), "{hold:?}");
        }
    }
}
