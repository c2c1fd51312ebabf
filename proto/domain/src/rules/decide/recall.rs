//! Recalls: opened and withdrawn by number, binding at their commit, remedied robot by robot.

use super::robot::admissible;
use super::{Context, Decided, OrFault, Stop, has_twins, known, no, standing};
use crate::bytes::code::{Code, ModelId};
use crate::custody::admission::make_room;
use crate::limits::{
    RECALLS_OF_MODEL_BY_PARTIES_MAX, RECALLS_OF_MODEL_MAX, RECALLS_OF_ROBOT_MAX,
    RECALLS_OVER_MODELS_BY_PARTIES_MAX, RECALLS_OVER_MODELS_MAX,
};
use crate::log::leaf::Kind;
use crate::record::event::{After, Effect, Event};
use crate::record::ledger::Ledger;
use crate::record::{Holder, Recall, RecallId, RecallNotice, RecallStatus, Robot, Severity};
use crate::rules::actions::Deed;
use crate::rules::command::Command;
use crate::rules::lifecycle::ActionKind;
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Listed, Reason};

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
        .collect())
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
    let mut before = robot.owed.clone();
    forget_ended(ledger, &mut before)?;
    owed.extend(before);
    let known = ledger
        .recalls_of(&robot.identity.code.model_id())
        .or_fault()?;
    make_room(&mut owed, RECALLS_OF_ROBOT_MAX, &known);
    Ok(owed)
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

pub(super) fn open<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    notice: &RecallNotice,
    models: &[ModelId],
    remedy: &str,
) -> Decided<L::Fault> {
    if has_twins(models) {
        return no(
            Reason::Malformed,
            Detail::Twice {
                what: Listed::Model,
            },
        );
    }
    if let Some(what) = notice.predicate.inverted() {
        return no(Reason::RangeInverted, Detail::Inverted { what });
    }
    if models.is_empty() {
        cx.allow(Deed::OpenRecall, None)?;
    }
    for model in models {
        cx.allow(Deed::OpenRecall, Some(&model.enterprise_id()))?;
    }
    if notice.id.issuer != cx.me() {
        let prefix = notice.id.issuer;
        return no(Reason::PrefixNotOurs, Detail::Prefix { prefix });
    }
    if let Some(id) = models.iter().find(|model| model.prefix() != cx.me()) {
        return no(Reason::PrefixNotOurs, Detail::ModelStandsUnder { id: *id });
    }
    for model in models {
        if ledger.model(model).or_fault()?.is_none() {
            return no(Reason::ModelUnknown, Detail::Model { id: *model });
        }
    }
    if ledger.recall(&notice.id).or_fault()?.is_some() {
        return no(Reason::RecallExists, named(&notice.id));
    }
    if models.is_empty() {
        return no(Reason::PredicateEmpty, named(&notice.id));
    }
    // An enterprise cannot use up what the regulator may need.
    let (max, over_models) = if cx.signer.role.is_enterprise() {
        (
            RECALLS_OF_MODEL_BY_PARTIES_MAX,
            RECALLS_OVER_MODELS_BY_PARTIES_MAX,
        )
    } else {
        (RECALLS_OF_MODEL_MAX, RECALLS_OVER_MODELS_MAX)
    };
    let mut over = 0_usize;
    for model in models {
        let of_model = ledger.recalls_of(model).or_fault()?.len();
        // saturates: a sum of lengths of lists in memory
        over = over.saturating_add(of_model).saturating_add(1);
        if over > over_models {
            let (what, max) = (Counted::RecallsOverModels, over_models as u64);
            return no(Reason::RecordFull, Detail::Full { what, max });
        }
        if of_model >= max {
            return no(
                Reason::RecordFull,
                Detail::RecallsOfModel {
                    model: *model,
                    max: max as u64,
                },
            );
        }
    }
    let mut models = models.to_vec();
    models.sort();
    let recall = Recall {
        notice: notice.clone(),
        models: models.clone(),
        remedy: remedy.to_owned(),
        by: cx.signer.holder.clone(),
        opened: cx.now,
        status: RecallStatus::InForce,
        head: None,
    };
    let event = Event::new(Kind::Recall, command, After::Recall(recall));
    Ok(vec![
        event
            .effect(Effect::Standing(models))
            .effect(Effect::TellAll),
    ])
}

fn named(recall: &RecallId) -> Detail {
    Detail::Recall {
        recall: recall.clone(),
    }
}

pub(super) fn withdraw<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &RecallId,
) -> Decided<L::Fault> {
    let recall = ledger.recall(id).or_fault()?;
    let owner = recall
        .as_ref()
        .and_then(|recall| recall.models.first())
        .map(ModelId::enterprise_id);
    cx.allow(Deed::WithdrawRecall, owner.as_ref())?;
    let Some(recall) = recall.filter(|recall| {
        recall.notice.id.issuer == cx.me() && recall.status == RecallStatus::InForce
    }) else {
        return no(Reason::RecallUnknown, named(id));
    };
    // Who issued it, ends it: an enterprise its own, and what an office of this registry ordered, the regulator.
    let ends = match &recall.by {
        // The regulator in the place of one that may act no more.
        Holder::Enterprise { id } => {
            let known = ledger.enterprise(id).or_fault()?;
            let acts = known.is_some_and(|known| standing::<L::Fault>(&known, cx.now).is_ok());
            recall.by == cx.signer.holder || (cx.signer.role == Role::Regulator && !acts)
        }
        Holder::Office { .. } => cx.signer.role == Role::Regulator,
    };
    if !ends {
        let by = recall.by.clone();
        return no(
            Reason::NotYours,
            Detail::OpenedBy {
                recall: id.clone(),
                by,
            },
        );
    }
    let models = recall.models.clone();
    let after = After::Recall(Recall {
        status: RecallStatus::Withdrawn,
        ..recall
    });
    let event = Event::new(Kind::Recall, command, after);
    Ok(vec![
        event
            .effect(Effect::Standing(models))
            .effect(Effect::TellAll),
    ])
}

pub(super) fn remedy<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    code: &Code,
    id: &RecallId,
) -> Decided<L::Fault> {
    cx.allow_role(Deed::RemedyRecall)?;
    let robot = known(ledger, code)?;
    cx.allow_on(Deed::RemedyRecall, &robot)?;
    admissible(ledger, cx, &robot, None, ActionKind::RemedyRecall)?;
    let owed = recalls_owed(ledger, &robot)?;
    if !owed.iter().any(|recall| recall.notice.id == *id) {
        return no(Reason::RecallUnknown, named(id));
    }
    let mut after = robot;
    after.owed.retain(|owed| owed != id);
    if after.remedied.len() >= RECALLS_OF_ROBOT_MAX {
        forget_ended(ledger, &mut after.remedied)?;
    }
    after.remedied.push(id.clone());
    let known = ledger.recalls_of(&code.model_id()).or_fault()?;
    make_room(&mut after.remedied, RECALLS_OF_ROBOT_MAX, &known);
    Ok(vec![Event::new(
        Kind::Recall,
        command,
        After::Robot(Box::new(after)),
    )])
}

/// Takes recalls out of a list that are known here to have ended: nobody asks any more whether they were remedied, and
/// every leaf that said so stays. One that is not known here may come yet.
fn forget_ended<L: Ledger>(ledger: &L, ids: &mut Vec<RecallId>) -> Result<(), Stop<L::Fault>> {
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
