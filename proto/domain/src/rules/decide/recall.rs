//! Recalls: opened, amended and withdrawn by number, binding at their commit, remedied robot by robot.

use std::collections::BTreeSet;

use super::owed::{forget_ended, recalls_owed};
use super::robot::admissible;
use super::{Context, Decided, OrFault, Stop, has_twins, known, no, standing};
use crate::bytes::code::{Code, EnterpriseId, ModelId};
use crate::custody::admission::make_room;
use crate::limits::{
    MODELS_OF_RECALL_MAX, RECALLS_A_DAY_MAX, RECALLS_OF_MODEL_BY_PARTIES_MAX, RECALLS_OF_MODEL_MAX,
    RECALLS_OF_ROBOT_MAX, RECALLS_OVER_MODELS_BY_PARTIES_MAX, RECALLS_OVER_MODELS_MAX,
};
use crate::log::leaf::Kind;
use crate::record::event::{After, Effect, Event};
use crate::record::ledger::Ledger;
use crate::record::{
    DecidedRecall, Holder, Recall, RecallDecision, RecallId, RecallNotice, RecallStatus,
};
use crate::rules::actions::Deed;
use crate::rules::command::Command;
use crate::rules::lifecycle::ActionKind;
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Listed, Reason};

/// What a recall says, as a command states it.
pub(super) struct Stated<'a> {
    pub(super) notice: &'a RecallNotice,
    pub(super) models: &'a [ModelId],
    pub(super) remedy: &'a str,
}

impl Stated<'_> {
    /// Refuses a form that no recall has.
    fn form<F>(&self) -> Result<(), Stop<F>> {
        if has_twins(self.models) {
            let what = Listed::Model;
            return no(Reason::Malformed, Detail::Twice { what });
        }
        match self.notice.predicate.inverted() {
            Some(what) => no(Reason::RangeInverted, Detail::Inverted { what }),
            None => Ok(()),
        }
    }

    /// Refuses a signer who may not do this to one of the models.
    fn allowed<L: Ledger>(
        &self,
        ledger: &L,
        cx: &Context<'_>,
        deed: Deed,
    ) -> Result<(), Stop<L::Fault>> {
        if self.models.is_empty() {
            cx.allow(deed, None)?;
        }
        // Of one maker there is one answer, however many of its models are named.
        let makers: BTreeSet<_> = self.models.iter().map(ModelId::enterprise_id).collect();
        let mut makers = makers.iter();
        makers.try_for_each(|maker| cx.allow_for_maker(ledger, deed, maker))
    }

    /// Refuses models of other registries, and such as are not known.
    fn known<L: Ledger>(&self, ledger: &L, cx: &Context<'_>) -> Result<(), Stop<L::Fault>> {
        if let Some(id) = self.models.iter().find(|model| model.prefix() != cx.me()) {
            return no(Reason::PrefixNotOurs, Detail::ModelStandsUnder { id: *id });
        }
        for model in self.models {
            if ledger.model(model).or_fault()?.is_none() {
                return no(Reason::ModelUnknown, Detail::Model { id: *model });
            }
        }
        Ok(())
    }

    /// Refuses more recalls than the models of this one bear. An enterprise cannot use up what the regulator may need.
    fn has_room<L: Ledger>(&self, ledger: &L, cx: &Context<'_>) -> Result<(), Stop<L::Fault>> {
        let (max, over_models) = if cx.signer.role.is_enterprise() {
            (
                RECALLS_OF_MODEL_BY_PARTIES_MAX,
                RECALLS_OVER_MODELS_BY_PARTIES_MAX,
            )
        } else {
            (RECALLS_OF_MODEL_MAX, RECALLS_OVER_MODELS_MAX)
        };
        let mut over = 0_usize;
        for model in self.models {
            let others = ledger.recalls_of(model).or_fault()?.into_iter();
            let others = others.filter(|other| other.notice.id != self.notice.id);
            let of_model = others.count();
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
        Ok(())
    }

    fn sorted(&self) -> Vec<ModelId> {
        let mut models = self.models.to_vec();
        models.sort();
        models
    }
}

pub(super) fn open<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    stated: &Stated<'_>,
) -> Decided<L::Fault> {
    let notice = stated.notice;
    stated.form()?;
    stated.allowed(ledger, cx, Deed::OpenRecall)?;
    if notice.id.issuer != cx.me() {
        let prefix = notice.id.issuer;
        return no(Reason::PrefixNotOurs, Detail::Prefix { prefix });
    }
    stated.known(ledger, cx)?;
    let opened_by = of_the_day(ledger, cx)?;
    if ledger.recall(&notice.id).or_fault()?.is_some() {
        return no(Reason::RecallExists, named(&notice.id));
    }
    if stated.models.is_empty() {
        return no(Reason::PredicateEmpty, named(&notice.id));
    }
    stated.has_room(ledger, cx)?;
    let recall = Recall {
        notice: notice.clone(),
        models: stated.sorted(),
        remedy: stated.remedy.to_owned(),
        by: cx.signer.holder.clone(),
        opened: cx.now,
        status: RecallStatus::InForce,
        bound: None,
        decided: None,
        head: None,
    };
    let touched = recall.models.clone();
    let mut events = told(command, recall, touched);
    if let (Some(id), Some(event)) = (opened_by, events.first_mut()) {
        event.effects.push(Effect::Recalled(id));
    }
    Ok(events)
}

/// The enterprise that opens a recall, if one does and may today: every verifier carries what is in force, and every registry
/// what ever was.
fn of_the_day<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
) -> Result<Option<EnterpriseId>, Stop<L::Fault>> {
    let Holder::Enterprise { id } = cx.signer.holder else {
        return Ok(None);
    };
    let enterprise = ledger.enterprise(&id).or_fault()?;
    let today = enterprise.map_or(0, |enterprise| enterprise.recalled.on(cx.now));
    if today >= RECALLS_A_DAY_MAX {
        let (what, max) = (Counted::Recalls, RECALLS_A_DAY_MAX);
        return no(Reason::DailyLimit, Detail::Full { what, max });
    }
    Ok(Some(id))
}

/// A recall of this registry as it is from now on: told to everybody, and the models that it touches or touched stand anew.
fn told(command: &Command, recall: Recall, touched: Vec<ModelId>) -> Vec<Event> {
    let event = Event::new(Kind::Recall, command, After::Recall(recall));
    let event = event.effect(Effect::Standing(touched));
    vec![event.effect(Effect::TellAll)]
}

fn named(recall: &RecallId) -> Detail {
    Detail::Recall {
        recall: recall.clone(),
    }
}

/// Refuses a signer who may not do this to a recall of the models of a maker, if there is one.
fn allowed_on<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    deed: Deed,
    maker: Option<&EnterpriseId>,
) -> Result<(), Stop<L::Fault>> {
    match maker {
        Some(maker) => cx.allow_for_maker(ledger, deed, maker),
        None => cx.allow(deed, None),
    }
}

/// A recall of this registry that is in force.
fn in_force<F>(cx: &Context<'_>, found: Option<Recall>, id: &RecallId) -> Result<Recall, Stop<F>> {
    let is_ours = |recall: &Recall| {
        recall.notice.id.issuer == cx.me() && recall.status == RecallStatus::InForce
    };
    match found.filter(is_ours) {
        Some(recall) => Ok(recall),
        None => no(Reason::RecallUnknown, named(id)),
    }
}

/// Refuses who did not issue it: an enterprise amends and ends its own, and what an office of this registry ordered, the
/// regulator.
fn is_issuers<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    recall: &Recall,
) -> Result<(), Stop<L::Fault>> {
    let is = match &recall.by {
        // The regulator in the place of one that may act no more.
        Holder::Enterprise { id } => {
            let known = ledger.enterprise(id).or_fault()?;
            let acts = known.is_some_and(|known| standing::<L::Fault>(&known, cx.now).is_ok());
            let takes_place = cx.signer.role == Role::Regulator && !acts;
            recall.by == cx.signer.holder || takes_place || cx.is_as_maker(ledger, id)?
        }
        Holder::Office { .. } => cx.signer.role == Role::Regulator,
    };
    if is {
        return Ok(());
    }
    let (recall, by) = (recall.notice.id.clone(), recall.by.clone());
    no(Reason::NotYours, Detail::OpenedBy { recall, by })
}

/// Amends a recall: severity, predicate, models and remedy from now on, wider or narrower. What was remedied stays remedied: a
/// remedy that is owed once more is another recall. A robot that changed since it was matched goes on owing while its model is
/// named.
pub(super) fn amend<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    stated: &Stated<'_>,
) -> Decided<L::Fault> {
    let id = &stated.notice.id;
    stated.form()?;
    let found = ledger.recall(id).or_fault()?;
    let before: Vec<ModelId> = found.iter().flat_map(|it| it.models.clone()).collect();
    let whose = before.first().map(ModelId::enterprise_id);
    allowed_on(ledger, cx, Deed::AmendRecall, whose.as_ref())?;
    stated.allowed(ledger, cx, Deed::AmendRecall)?;
    let recall = in_force(cx, found, id)?;
    is_issuers(ledger, cx, &recall)?;
    // Whoever acts in its place: the recall of an enterprise is of the models that it named, and of no others that it could end later.
    if let Holder::Enterprise { id: by } = &recall.by
        && recall.by != cx.signer.holder
    {
        let named =
            |other: &EnterpriseId| before.iter().any(|model| model.enterprise_id() == *other);
        let mut others = stated.models.iter().map(ModelId::enterprise_id);
        if let Some(other) = others.find(|other| other != by && !named(other)) {
            let (owner, holder) = (Some(other), recall.by.clone());
            return no(Reason::NotYours, Detail::NotOf { owner, holder });
        }
    }
    stated.known(ledger, cx)?;
    if stated.models.is_empty() {
        return no(Reason::PredicateEmpty, named(id));
    }
    stated.has_room(ledger, cx)?;
    let models = stated.sorted();
    let touched = touched(&before, &models);
    // One entry recalculates as many models as one recall names, and no more.
    if touched.len() > MODELS_OF_RECALL_MAX {
        let (what, max) = (Counted::ModelsOfAmendment, MODELS_OF_RECALL_MAX as u64);
        return no(Reason::RecordFull, Detail::Full { what, max });
    }
    let amended = Recall {
        notice: stated.notice.clone(),
        models,
        remedy: stated.remedy.to_owned(),
        ..recall.clone()
    };
    if amended == recall {
        return no(Reason::NothingChanges, named(id));
    }
    Ok(told(command, amended, touched))
}

/// The models that a recall touched or touches, ascending.
pub(crate) fn touched(before: &[ModelId], after: &[ModelId]) -> Vec<ModelId> {
    let mut all: Vec<ModelId> = before.iter().chain(after).copied().collect();
    all.sort();
    all.dedup();
    all
}

pub(super) fn withdraw<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &RecallId,
) -> Decided<L::Fault> {
    let found = ledger.recall(id).or_fault()?;
    let models = found.as_ref().and_then(|recall| recall.models.first());
    let owner = models.map(ModelId::enterprise_id);
    allowed_on(ledger, cx, Deed::WithdrawRecall, owner.as_ref())?;
    let recall = in_force(cx, found, id)?;
    is_issuers(ledger, cx, &recall)?;
    let models = recall.models.clone();
    let withdrawn = Recall {
        status: RecallStatus::Withdrawn,
        ..recall
    };
    Ok(told(command, withdrawn, models))
}

/// Decides whether a foreign recall binds here that is beyond what its clause lets bind by itself. Of what an agreement lets bind
/// nothing is left to decide; another decision takes the place of the first, until its issuer says something else. It counts here
/// alone, and nobody is told.
pub(super) fn decide_foreign<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &RecallId,
    (decision, reason): (RecallDecision, &str),
) -> Decided<L::Fault> {
    cx.allow(Deed::DecideRecall, None)?;
    let found = ledger.recall(id).or_fault()?;
    let foreign = found.filter(|found| found.notice.id.issuer != cx.me());
    if foreign.as_ref().map(|it| it.status) == Some(RecallStatus::InForce) {
        return no(Reason::NothingPending, named(id));
    }
    if reason.trim().is_empty() {
        return no(Reason::ReasonMissing, Detail::NOTHING);
    }
    let Some(recall) = foreign.filter(|it| !it.status.has_ended()) else {
        return no(Reason::RecallUnknown, named(id));
    };
    let status = match decision {
        RecallDecision::Accept => RecallStatus::Accepted,
        RecallDecision::Decline => RecallStatus::Declined,
    };
    if recall.status == status {
        return no(Reason::NothingChanges, named(id));
    }
    let before = recall.found_under();
    let words = recall.words();
    let decided = Recall {
        status,
        decided: Some(DecidedRecall { words, status }),
        ..recall
    };
    let models = touched(&before, &decided.found_under());
    let event = Event::new(Kind::Recall, command, After::Recall(decided));
    Ok(vec![event.effect(Effect::Standing(models))])
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
    cx.allow_on_for_maker(ledger, Deed::RemedyRecall, &robot)?;
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
