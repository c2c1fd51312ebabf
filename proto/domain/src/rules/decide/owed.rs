//! What a robot owes by recalls, and what that blocks.

use super::{OrFault, Stop};
use crate::custody::admission::make_room;
use crate::limits::RECALLS_OF_ROBOT_MAX;
use crate::record::ledger::Ledger;
use crate::record::{BoundRecall, Recall, RecallId, RecallStatus, Robot, Severity};
use crate::rules::lifecycle::ActionKind;

/// Every recall that a robot owes a remedy for.
pub(super) fn recalls_owed<L: Ledger>(
    ledger: &L,
    robot: &Robot,
) -> Result<Vec<Recall>, Stop<L::Fault>> {
    let recalls = ledger
        .recalls_of(&robot.identity.code.model_id())
        .or_fault()?;
    Ok(recalls
        .into_iter()
        .filter(|recall| robot.owes(recall))
        .map(as_it_binds)
        .collect())
}

/// With the words that bind, in the place of graver ones that wait.
fn as_it_binds(recall: Recall) -> Recall {
    match recall.bound() {
        Some(BoundRecall { notice, models }) => Recall {
            notice,
            models,
            ..recall
        },
        None => recall,
    }
}

/// What a robot owes before an attribute of it changes: what it is matched by now, and what it was told before of recalls
/// that are not known here, or wait here.
pub(super) fn owed_ids<L: Ledger>(
    ledger: &L,
    robot: &Robot,
) -> Result<Vec<RecallId>, Stop<L::Fault>> {
    let mut owed: Vec<RecallId> = recalls_owed(ledger, robot)?
        .into_iter()
        .map(|recall| recall.notice.id)
        .collect();
    owed.extend(still_owed(ledger, robot)?);
    let known = ledger
        .recalls_of(&robot.identity.code.model_id())
        .or_fault()?;
    make_room(&mut owed, RECALLS_OF_ROBOT_MAX, &known);
    Ok(owed)
}

/// What of the owed that a robot's record names it owes still: of a recall that is known here and binds here what [`Robot::owes`]
/// says; of one that is not known here, or waits for the regulator, what it was told.
pub(super) fn still_owed<L: Ledger>(
    ledger: &L,
    robot: &Robot,
) -> Result<Vec<RecallId>, Stop<L::Fault>> {
    let mut kept = Vec::new();
    for id in &robot.owed {
        let recall = ledger.recall(id).or_fault()?;
        if recall.is_none_or(|it| it.status == RecallStatus::Proposed || robot.owes(&it)) {
            kept.push(id.clone());
        }
    }
    Ok(kept)
}

/// Whether an open recall of this severity blocks an action: a remedy owed blocks transfer and export, stop-use also
/// operation.
pub fn blocked_by_recall(severity: Severity, action: ActionKind) -> bool {
    use ActionKind as A;
    let transfer = matches!(
        action,
        A::Sell | A::RequestOwnership | A::ApproveOwnership | A::DeclareExport | A::Annul
    );
    let operation = matches!(
        action,
        A::Deploy | A::Redeploy | A::CompleteMaintenance | A::ReturnToService | A::Depart
    );
    match severity {
        Severity::Advisory => false,
        Severity::Remedy => transfer,
        Severity::StopUse => transfer || operation,
    }
}

/// Takes recalls out of a list that are known here to have ended: nobody asks any more whether they were remedied, and
/// every leaf that said so stays. One that is not known here may come yet.
pub(super) fn forget_ended<L: Ledger>(
    ledger: &L,
    ids: &mut Vec<RecallId>,
) -> Result<(), Stop<L::Fault>> {
    let mut kept = Vec::new();
    for id in ids.drain(..) {
        let recall = ledger.recall(&id).or_fault()?;
        if recall.is_none_or(|recall| !recall.status.has_ended()) {
            kept.push(id);
        }
    }
    *ids = kept;
    Ok(())
}
