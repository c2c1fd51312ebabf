//! The custody steps of 03 as commands: the chain is judged by `custody`, the rest (holds, recalls, clauses, papers)
//! here.

use std::collections::BTreeMap;

use super::owed::{blocked_by_recall, owed_ids, recalls_owed};
use super::ownership::{no_request, second_word};
use super::{Context, Decided, OrFault, Stop, engaged, is_one_of, known, no};
use crate::bytes::code::{Code, EnterpriseId, Prefix};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::Canonical;
use crate::bytes::time::TimeMs;
use crate::custody::admission::{Passage, admitted, approved, detained};
use crate::custody::links::way;
use crate::custody::{Act, Chain, Link, Phase, Step, propose};
use crate::limits::{
    CHAIN_ABROAD_MAX, EPOCH_FOREIGN_MAX, EPOCHS_TO_LEAVE, OFFER_MAX, OFFERS_OF_PEER_MAX,
    common_commodity,
};
use crate::log::head::Head;
use crate::log::leaf::{Kind, Subject};
use crate::record::contact::Contact;
use crate::record::event::{After, Effect, Event, LinkWritten, Yielded};
use crate::record::ledger::Ledger;
use crate::record::peer::{Agreement, Clause, Peer};
use crate::record::transfer::Transfer;
use crate::record::{
    AgreementRef, ClearedFrom, Ended, Fitted, Fitting, Holder, Party, PartyName, Pending, Robot,
    RobotKey, Stay,
};
use crate::rules::actions::{Deed, PARTIES, TRADERS, WORKSHOPS};
use crate::rules::command::{Command, Condition, Papers, Purpose, TransferId};
use crate::rules::lifecycle::{ActionKind, HoldKind, blocks, blocks_departure, next};
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Ending, Reason};

/// Custody of a robot as this registry knows it, with its record if there is one.
pub(crate) struct Held {
    pub(crate) chain: Chain,
    pub(crate) robot: Option<Robot>,
    pub(crate) head: Option<Head>,
}

pub(crate) fn held<L: Ledger>(ledger: &L, code: &Code) -> Result<Held, Stop<L::Fault>> {
    if let Some(robot) = ledger.robot(code).or_fault()? {
        return Ok(Held {
            chain: robot.custody.clone(),
            head: robot.head,
            robot: Some(robot),
        });
    }
    let loose = ledger.loose_chain(code).or_fault()?;
    let (chain, head) = loose.map_or((Chain::unknown(), None), |loose| (loose.chain, loose.head));
    Ok(Held {
        chain,
        robot: None,
        head,
    })
}

impl Held {
    /// The record after a step that changes nothing but custody.
    pub(crate) fn after(self, code: &Code) -> After {
        let after = match self.robot {
            Some(robot) => After::Robot(Box::new(Robot {
                custody: self.chain,
                ..robot
            })),
            None => After::Loose(*code, self.chain, self.head),
        };
        after.settled()
    }
}

fn the_transfer<L: Ledger>(ledger: &L, id: &TransferId) -> Result<Transfer, Stop<L::Fault>> {
    match ledger.transfer(id).or_fault()? {
        Some(transfer) => Ok(transfer),
        None => no(Reason::TransferUnknown, Detail::Transfer { transfer: *id }),
    }
}

/// A peer that new offers and permits may concern.
fn open_peer<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    prefix: &Prefix,
) -> Result<Peer, Stop<L::Fault>> {
    match ledger.peer(prefix).or_fault()? {
        None => no(Reason::PeerUnknown, Detail::Prefix { prefix: *prefix }),
        Some(peer) if peer.quarantined => {
            no(Reason::PeerQuarantined, Detail::Prefix { prefix: *prefix })
        }
        Some(peer) if peer.contact != Contact::Open => {
            no(Reason::ContactPaused, Detail::Prefix { prefix: *prefix })
        }
        Some(peer) if peer.doubted.is_some() => {
            no(Reason::PeerDoubted, Detail::Prefix { prefix: *prefix })
        }
        Some(peer) if !peer.is_valid(cx.now) => {
            let (peer, until) = (*prefix, peer.bundle.valid_to);
            no(Reason::BundleExpired, Detail::BundleUntil { peer, until })
        }
        Some(peer) => Ok(peer),
    }
}

/// What a clause is asked for: the robot as its issuer approved it, and why it moves.
struct Wanted {
    recogniser: Prefix,
    code: Code,
    level: u8,
    safety_class: u8,
    purpose: Purpose,
}

/// The agreement that a new offer names, ours or theirs: the newest version of its name, in force and not suspended.
pub(crate) fn newest<'p, F>(
    peer: &'p Peer,
    named: &AgreementRef,
    now: TimeMs,
) -> Result<&'p Agreement, Stop<F>> {
    let newest = peer.newest(&named.id, now);
    match newest.filter(|newest| newest.version == named.version) {
        Some(agreement) => Ok(agreement),
        None => no(
            Reason::NoAgreement,
            match peer.suspended_until(named, now) {
                Some(until) => Detail::AgreementSuspended {
                    agreement: named.clone(),
                    until,
                },
                None => Detail::AgreementInForce {
                    asked: named.clone(),
                    newest: newest.map(|newest| newest.version),
                },
            },
        ),
    }
}

/// The agreement that an offer to us named. It governs the transfer to its end: a version that came later does not end an
/// offer made before.
fn named<'p, F>(
    cx: &Context<'_>,
    peer: &'p Peer,
    transfer: &Transfer,
) -> Result<&'p Agreement, Stop<F>> {
    let named = &transfer.agreement;
    let known = peer.agreements.iter().find(|a| a.reference() == *named);
    match known.filter(|a| a.in_force(cx.now) && !peer.is_suspended(named, cx.now)) {
        Some(agreement) => Ok(agreement),
        None => newest(peer, named, cx.now),
    }
}

/// The clause by which the recogniser accepts the robot for the purpose: whichever covers it and allows that. None where
/// its own robot comes home, which needs no clause.
fn clause_for<F>(agreement: &Agreement, wanted: &Wanted) -> Result<Option<Clause>, Stop<F>> {
    let Wanted {
        recogniser,
        code,
        level,
        safety_class,
        purpose,
    } = *wanted;
    if code.prefix() == recogniser {
        return Ok(None);
    }
    let covering = || {
        agreement.clauses_for(
            recogniser,
            code.prefix(),
            code.model_id(),
            level,
            safety_class,
        )
    };
    if let Some(clause) = covering().find(|clause| clause.purposes.contains(&purpose)) {
        return Ok(Some(clause.clone()));
    }
    let detail = match covering().next() {
        Some(clause) => Detail::ClausePurpose {
            clause: clause.number,
            purpose,
        },
        None => Detail::NoClause {
            agreement: agreement.reference(),
            recogniser,
            model: code.model_id(),
            level,
            safety_class,
        },
    };
    no(Reason::ClauseExcludes, detail)
}

/// Only the issuer of a code annuls it.
pub(super) fn issuer_annuls<F>(me: Prefix, code: Code, action: ActionKind) -> Result<(), Stop<F>> {
    if action == ActionKind::Annul && code.prefix() != me {
        return no(Reason::PrefixNotOurs, Detail::IssuerAnnuls { code });
    }
    Ok(())
}

/// What may not be done to a robot that another country's registry answers for, or knows by its code: a guest is neither sold
/// nor annulled, and what was ever admitted elsewhere is ended, not annulled.
pub(super) fn stay_allows<F>(robot: &Robot, action: ActionKind) -> Result<(), Stop<F>> {
    let code = robot.identity.code;
    let sells = matches!(
        action,
        ActionKind::Sell | ActionKind::RequestOwnership | ActionKind::ApproveOwnership
    );
    let annuls = action == ActionKind::Annul;
    match robot.stay {
        Stay::Guest { purpose } if sells || annuls => {
            no(Reason::HereForATime, Detail::AdmittedFor { code, purpose })
        }
        // There its body stays bound to the code: registered anew, it would be nobody's to admit.
        _ if annuls && robot.admitted_abroad => no(
            Reason::TransitionNotAllowed,
            Detail::AdmittedAbroad { code },
        ),
        _ => Ok(()),
    }
}

/// The leaf of one of our own custody steps, whoever asked for it: its counterpart is told, and so is the issuer of the code.
pub(crate) fn step_event(
    command: &Command,
    after: After,
    link: Link,
    deadline: TimeMs,
    place: &str,
    mut transfer: Transfer,
    now: TimeMs,
) -> Event {
    let counterpart = if link.writer() == transfer.from {
        transfer.to
    } else {
        transfer.from
    };
    // What led to it is not needed again: it is not here by this transfer. A permit that is taken back ends nothing yet.
    let refused = link.step == Step::Refuse && transfer.step == Step::Offer;
    if refused || link.step == Step::Return {
        transfer.chain.clear();
    }
    transfer.step = link.step;
    transfer.step_at = now;
    let link_step = link.step;
    let issuer = transfer.code.prefix();
    let mut event = Event::new(Kind::Custody, command, after);
    event.evidence = transfer.evidence.iter().cloned().collect();
    event.link = Some(LinkWritten {
        link,
        deadline,
        place: place.to_owned(),
    });
    event
        .effects
        .push(Effect::Transfer(Box::new(transfer.clone())));
    event.effects.push(Effect::Tell(counterpart));
    // That it is detained moves nothing that its issuer follows.
    let aside = link_step == Step::Detain;
    if issuer != transfer.from && issuer != transfer.to && !aside {
        event.effects.push(Effect::Tell(issuer));
    }
    // Nobody else need know of an offer that comes to nothing, nor of a permit.
    if matches!(link_step, Step::Depart | Step::Admit | Step::Return) {
        let passed = transfer.passed.iter().copied();
        event.effects.extend(passed.map(Effect::Tell));
    }
    event
}

pub(super) fn declare_export<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
) -> Decided<L::Fault> {
    let Command::DeclareExport {
        code,
        transfer,
        to,
        purpose,
        offer_until,
        agreement,
        papers,
    } = command
    else {
        return no(Reason::Malformed, Detail::NOTHING);
    };
    cx.allow_role(Deed::DeclareExport)?;
    let robot = known(ledger, code)?;
    cx.allow_on(Deed::DeclareExport, &robot)?;
    let for_good = *purpose == Purpose::PermanentExport;
    let takes_two = for_good && takes_two_to_give(ledger, cx, &robot)?;
    if robot.state.is_final() {
        return no(
            Reason::StateFinal,
            Detail::RobotIs {
                code: *code,
                state: robot.state,
            },
        );
    }
    let act = Act::Offer {
        transfer: *transfer,
        to: *to,
        agreement: agreement.clone(),
    };
    let link = propose(cx.me(), &robot.custody, &act, cx.now)?;
    no_request::<L::Fault>(&robot, cx.now)?;
    if let Some(hold) = robot
        .holds
        .iter()
        .find(|h| blocks(h.kind, ActionKind::DeclareExport) || blocks_departure(h.kind))
    {
        return no(Reason::Held, hold.stands());
    }
    let owed = recalls_owed(ledger, &robot)?;
    if let Some(recall) = owed
        .iter()
        .find(|r| blocked_by_recall(r.notice.severity, ActionKind::DeclareExport))
    {
        return no(
            Reason::RecallOpen,
            Detail::RecallOpen {
                recall: recall.notice.id.clone(),
                severity: recall.notice.severity,
            },
        );
    }
    // To move a guest on for good would be to sell it.
    if let (Stay::Guest { purpose }, true) = (robot.stay, for_good) {
        let code = *code;
        return no(Reason::HereForATime, Detail::AdmittedFor { code, purpose });
    }
    if next(Some(robot.state), ActionKind::DeclareExport).is_none() {
        return no(
            Reason::TransitionNotAllowed,
            Detail::ActionIn {
                action: ActionKind::DeclareExport,
                state: robot.state,
            },
        );
    }
    if for_good {
        cx.not_by_a_chosen_desk(&robot)?;
    }
    // Nor does who chose the desk.
    if let Some(set_by) = robot.desk_set_by.as_ref().filter(|_| takes_two) {
        cx.second_to(ledger, set_by)?;
    }
    let peer = open_peer(ledger, cx, to)?;
    let wanted = Wanted {
        recogniser: *to,
        code: *code,
        level: robot.level,
        safety_class: robot.safety_class,
        purpose: *purpose,
    };
    let agreed = newest(&peer, agreement, cx.now)?;
    if let Some(until) = peer.suspended_there_until(agreement, cx.now) {
        let (agreement, by) = (agreement.clone(), *to);
        return no(
            Reason::NoAgreement,
            Detail::SuspendedThere {
                agreement,
                by,
                until,
            },
        );
    }
    let clause = clause_for::<L::Fault>(agreed, &wanted)?;
    let declarant = match &cx.signer.holder {
        Holder::Enterprise { id } => Some(*id),
        Holder::Office { .. } => None,
    };
    agrees_with_model(ledger, code, papers)?;
    is_of_consignment(ledger, cx, (*to, declarant), papers)?;
    if ledger.transfer(transfer).or_fault()?.is_some() {
        return no(
            Reason::TransferExists,
            Detail::Transfer {
                transfer: *transfer,
            },
        );
    }
    if *offer_until < cx.now {
        return no(
            Reason::DeadlinePassed,
            Detail::OfferedUntil {
                until: *offer_until,
                now: cx.now,
            },
        );
    }
    let latest = cx.now.checked_add(OFFER_MAX).unwrap_or(TimeMs::MAX);
    if *offer_until > latest {
        let until = *offer_until;
        return no(
            Reason::DeadlinePassed,
            Detail::OfferLatest { until, latest },
        );
    }
    // As many as the other country takes: it would answer more with a nack.
    if peer.offers_made >= OFFERS_OF_PEER_MAX {
        let (what, max) = (Counted::Offers, OFFERS_OF_PEER_MAX);
        return no(Reason::RecordFull, Detail::Full { what, max });
    }
    if let Some(id) = &declarant {
        let own = ledger.offers_of(to, id).or_fault()?;
        // Never more than what is left for all others: whoever comes last still finds a place.
        let free = OFFERS_OF_PEER_MAX.checked_sub(peer.offers_made);
        if free.is_none_or(|free| own >= free) {
            let (what, max) = (Counted::OffersOfOne, own);
            return no(Reason::RecordFull, Detail::Full { what, max });
        }
    }
    let passed = goes_on(ledger, cx, &robot, *to)?;
    let mut robot = robot;
    // Both say the same of everything that makes a difference there: above all who is to have it.
    let act = sha256(&[&(*code, (*to, papers.clone())).to_bytes()]);
    if takes_two && !second_word(ledger, cx, &mut robot, act)? {
        let after = After::Robot(Box::new(robot));
        let mut first = Event::new(Kind::LifeCycle, command, after);
        first.waits = true;
        return Ok(vec![first]);
    }
    let record = Transfer {
        id: *transfer,
        code: *code,
        from: cx.me(),
        to: *to,
        purpose: *purpose,
        epoch: link.epoch,
        agreement: agreement.clone(),
        clause,
        offer_until: *offer_until,
        papers: papers.clone(),
        conditions: Vec::new(),
        depart_by: TimeMs(0),
        refused: None,
        step: Step::Offer,
        step_at: cx.now,
        robot: None,
        evidence: None,
        chain: Vec::new(),
        passed,
        detained: None,
        declared_by: declarant,
        ends_at: TimeMs(0),
        lapsed: false,
        stopped: None,
        ending: None,
    };
    let after = After::Robot(Box::new(robot));
    let place = papers.office_of_export.clone();
    Ok(vec![step_event(
        command,
        after,
        link,
        *offer_until,
        &place,
        record,
        cx.now,
    )])
}

/// Code, commodity code and model agree: what a border compares. Of a model of another country its own registry compared them, and said
/// so by its first offer.
fn agrees_with_model<L: Ledger>(
    ledger: &L,
    code: &Code,
    papers: &Papers,
) -> Result<(), Stop<L::Fault>> {
    let model = ledger.model(&code.model_id()).or_fault()?;
    let approved = model.map_or(String::new(), |model| model.facts.commodity);
    let sides = common_commodity(&approved).zip(common_commodity(&papers.commodity));
    if sides.is_some_and(|(approved, declared)| approved != declared) {
        let declared = papers.commodity.clone();
        let detail = Detail::CommodityOf { declared, approved };
        return no(Reason::CommodityDiffers, detail);
    }
    Ok(())
}

/// A consignment is one declarant's, and goes to one country: nobody adds a robot to the truck of another by its reference.
fn is_of_consignment<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    (to, declarant): (Prefix, Option<EnterpriseId>),
    papers: &Papers,
) -> Result<(), Stop<L::Fault>> {
    if papers.ucr.is_empty() {
        return Ok(());
    }
    let Some(id) = ledger.consignment(&cx.me(), &papers.ucr).or_fault()? else {
        return Ok(());
    };
    let first = the_transfer(ledger, &id)?;
    // One that has ended holds its reference no more: a truck that was refused goes elsewhere, and nobody keeps a reference for good.
    let is_open = first.ending.is_none();
    if is_open && (first.to != to || first.declared_by != declarant) {
        let (ucr, to) = (papers.ucr.clone(), first.to);
        return no(
            Reason::ConsignmentDiffers,
            Detail::ConsignmentTo { ucr, to },
        );
    }
    Ok(())
}

/// Who had a robot before it is offered on, the issuer of its code and the two sides apart. To anybody but the issuer it goes on only
/// while what leads to it has room in the mail, with enough left for its way home.
fn goes_on<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    robot: &Robot,
    to: Prefix,
) -> Result<Vec<Prefix>, Stop<L::Fault>> {
    let (me, issuer) = (cx.me(), robot.identity.code.prefix());
    let newest = robot.head.and_then(|head| head.step);
    let way = way(
        me,
        (newest, robot.custody.link),
        |index| ledger.leaf(index),
        |id| ledger.transfer(id),
    );
    let way = way.or_fault()?;
    if way.is_long() && me != issuer && to != issuer {
        let (what, max) = (Counted::ChainSteps, CHAIN_ABROAD_MAX as u64);
        return no(Reason::RecordFull, Detail::Full { what, max });
    }
    let mut passed = way.others();
    for side in [me, to, issuer] {
        passed.remove(&side);
    }
    Ok(passed.into_iter().collect())
}

/// Whether two persons give a robot away for good. An office of the border gives nobody's away: its owner does, or who holds it for sale.
/// Where that side may act no more, or stands at a desk that a registrar chose, two persons of the border do: the first word is a leaf and
/// no offer. In a sandbox one person may be all there is.
fn takes_two_to_give<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    robot: &Robot,
) -> Result<bool, Stop<L::Fault>> {
    cx.allow_as_owner(Deed::DeclareExport, robot)?;
    let whose = robot.owner.as_ref().or(robot.holder.as_ref());
    let is_of_owner = whose.is_some_and(|whose| cx.is_side_of(whose));
    let is_office = matches!(cx.signer.holder, Holder::Office { .. });
    if is_of_owner || !is_office || !cx.is_in_earnest() {
        return Ok(false);
    }
    if let (Some(whose), None) = (whose, &robot.desk_set_by) {
        cx.in_place_of(ledger, Deed::DeclareExport, robot, whose)?;
    }
    Ok(true)
}

/// Custody that a step of ours rests on, and the transfer it belongs to.
fn at_step<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    id: &TransferId,
    ours: fn(&Transfer) -> Prefix,
    step: Step,
) -> Result<(Transfer, Held), Stop<L::Fault>> {
    let transfer = the_transfer(ledger, id)?;
    if ours(&transfer) != cx.me() {
        return no(
            Reason::TransferUnknown,
            Detail::GoesFrom {
                transfer: *id,
                from: transfer.from,
                to: transfer.to,
            },
        );
    }
    if let Some(ending) = &transfer.ending {
        let closes = matches!(
            ending.step,
            Step::Admit | Step::Return | Step::Cancel | Step::Refuse
        );
        if !closes {
            refuse_ended(ledger, &transfer, None, cx.me())?;
        }
        // A second presentation of one robot; all else merely comes too late.
        let reason = if ending.step == Step::Admit && step == Step::Admit {
            Reason::AlreadyAdmitted
        } else {
            Reason::TransferEnded
        };
        return no(
            reason,
            Detail::TransferEnding {
                step: ending.step,
                place: ending.place.clone(),
                at: ending.at,
                leaf: ending.leaf,
            },
        );
    }
    let held = held(ledger, &transfer.code)?;
    if held.chain.open_transfer().is_some_and(|open| open != *id) {
        return no(Reason::TransferEnded, Detail::AnotherTransfer {});
    }
    Ok((transfer, held))
}

pub(super) fn cancel_export<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &TransferId,
) -> Decided<L::Fault> {
    cx.allow_role(Deed::CancelExport)?;
    let (transfer, held) = at_step(ledger, cx, id, |t| t.from, Step::Cancel)?;
    match &held.robot {
        Some(robot) => cx.allow_on_transfer(Deed::CancelExport, robot, transfer.declared_by)?,
        None => cx.allow(Deed::CancelExport, None)?,
    }
    let link = propose(cx.me(), &held.chain, &Act::Cancel, cx.now)?;
    let code = transfer.code;
    Ok(vec![step_event(
        command,
        held.after(&code),
        link,
        TimeMs(0),
        "",
        transfer,
        cx.now,
    )])
}

pub(super) fn permit_import<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &TransferId,
    depart_by: TimeMs,
    conditions: &[Condition],
) -> Decided<L::Fault> {
    cx.allow(Deed::PermitImport, None)?;
    let (mut transfer, held) = at_step(ledger, cx, id, |t| t.to, Step::Accept)?;
    refuse_ended(ledger, &transfer, transfer.robot.as_ref(), cx.me())?;
    // Said before it travels: it could only be sent back.
    if let Some(disclosed) = &transfer.robot
        && let Some(code) = bound_elsewhere(ledger, disclosed)?
    {
        return no(Reason::BodyExists, Detail::BodyOrPartOf { code });
    }
    let sides = held.robot.as_ref().zip(transfer.robot.as_ref());
    let detained = sides.and_then(|(here, disclosed)| detained(cx.me(), here, disclosed));
    let (early, late): (Vec<_>, Vec<_>) = detained
        .into_iter()
        .partition(|why| matches!(why.reason, Reason::StateFinal | Reason::Held));
    if let Some(rejection) = early.into_iter().next() {
        return Err(Stop::Refused(rejection));
    }
    // What may not depart is not asked for: a theft or a stop may have come since the offer. Our own comes home with both.
    let foreign = transfer.code.prefix() != cx.me();
    if let Some(here) = held.robot.as_ref().filter(|_| foreign) {
        let mut holds = here.holds.iter();
        if let Some(hold) = holds.find(|hold| blocks_departure(hold.kind)) {
            return no(Reason::Held, hold.stands());
        }
        let owed = recalls_owed(ledger, here)?;
        let mut owed = owed.iter();
        if let Some(recall) =
            owed.find(|one| blocked_by_recall(one.notice.severity, ActionKind::Depart))
        {
            let recall_id = recall.notice.id.clone();
            let severity = recall.notice.severity;
            let detail = Detail::RecallOpen {
                recall: recall_id,
                severity,
            };
            return no(Reason::RecallOpen, detail);
        }
    }
    let peer = open_peer(ledger, cx, &transfer.from)?;
    let (Some(here), Some(disclosed)) = (&held.robot, &transfer.robot) else {
        return no(Reason::EvidenceBroken, Detail::NotDisclosed {});
    };
    // Its own robot needs no clause, but an agreement: without one, nothing is asked for and nothing permitted.
    let wanted = wanted(cx.me(), &transfer, here, disclosed);
    transfer.clause = clause_for::<L::Fault>(named(cx, &peer, &transfer)?, &wanted)?;
    let link = propose(cx.me(), &held.chain, &Act::Accept, cx.now)?;
    if depart_by < cx.now {
        return no(
            Reason::DeadlinePassed,
            Detail::DepartureDue {
                due: depart_by,
                now: cx.now,
            },
        );
    }
    if let Some(rejection) = late.into_iter().next() {
        return Err(Stop::Refused(rejection));
    }
    // What comes must be able to go again.
    if link.epoch > EPOCH_FOREIGN_MAX - EPOCHS_TO_LEAVE {
        let (what, max) = (Counted::Epochs, EPOCH_FOREIGN_MAX - EPOCHS_TO_LEAVE);
        return no(Reason::RecordFull, Detail::Full { what, max });
    }
    transfer.depart_by = depart_by;
    transfer.conditions = conditions.to_vec();
    let code = transfer.code;
    let place = transfer.papers.office_of_entry.clone();
    Ok(vec![step_event(
        command,
        held.after(&code),
        link,
        depart_by,
        &place,
        transfer,
        cx.now,
    )])
}

/// What the clause of a robot that comes to us must allow.
fn wanted(me: Prefix, transfer: &Transfer, here: &Robot, disclosed: &Robot) -> Wanted {
    let (level, safety_class) = approved(me, transfer.from, here, disclosed);
    Wanted {
        recogniser: me,
        code: transfer.code,
        level,
        safety_class,
        purpose: transfer.purpose,
    }
}

pub(super) fn refuse_import<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &TransferId,
    reason: &str,
) -> Decided<L::Fault> {
    cx.allow(Deed::RefuseImport, None)?;
    let (mut transfer, held) = at_step(ledger, cx, id, |t| t.to, Step::Refuse)?;
    refuse_ended(ledger, &transfer, None, cx.me())?;
    if transfer.refused.is_some() {
        let to = transfer.from;
        return no(
            Reason::NothingPending,
            Detail::WaitsFor { transfer: *id, to },
        );
    }
    let link = propose(cx.me(), &held.chain, &Act::Refuse, cx.now)?;
    transfer.refused = Some(reason.to_owned());
    let code = transfer.code;
    Ok(vec![step_event(
        command,
        held.after(&code),
        link,
        TimeMs(0),
        "",
        transfer,
        cx.now,
    )])
}

pub(super) fn depart<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &TransferId,
    place: &str,
) -> Decided<L::Fault> {
    cx.allow(Deed::Depart, None)?;
    let (transfer, mut held) = at_step(ledger, cx, id, |t| t.from, Step::Depart)?;
    let Some(robot) = held.robot.as_mut() else {
        return no(
            Reason::RobotUnknown,
            Detail::Code {
                code: transfer.code,
            },
        );
    };
    if robot.state.is_final() {
        return no(
            Reason::StateFinal,
            Detail::RobotIs {
                code: transfer.code,
                state: robot.state,
            },
        );
    }
    if let Some(hold) = robot.holds.iter().find(|hold| blocks_departure(hold.kind)) {
        return no(Reason::Held, hold.stands());
    }
    let owed = recalls_owed(ledger, robot)?;
    if let Some(recall) = owed
        .iter()
        .find(|r| blocked_by_recall(r.notice.severity, ActionKind::Depart))
    {
        return no(
            Reason::RecallOpen,
            Detail::RecallOpen {
                recall: recall.notice.id.clone(),
                severity: recall.notice.severity,
            },
        );
    }
    let link = propose(cx.me(), &held.chain, &Act::Depart, cx.now)?;
    // Its offer may be cancelled; whether it would ever be admitted there, nobody knows. That its bundle has run out passes.
    let peer = ledger.peer(&transfer.to).or_fault()?;
    if peer.is_some_and(|peer| peer.quarantined) {
        let prefix = transfer.to;
        return no(Reason::PeerQuarantined, Detail::Prefix { prefix });
    }
    let code = transfer.code;
    // Nobody takes it over while it is away, and nothing ends there by its date: what was released of it is over.
    if !matches!(robot.pending, Pending::EndOfLife { .. }) {
        robot.pending = Pending::Nothing {};
    }
    // Body and identity parts stay bound to their code for ever; the others may be fitted elsewhere abroad.
    let mut freed = Vec::new();
    for part in &robot.parts {
        let fitting = ledger.part_holder(&part.identity).or_fault()?;
        if fitting.is_some_and(|fitting| fitting.code == code) {
            freed.push(Effect::Part(part.identity, None));
        }
    }
    let mut event = step_event(
        command,
        held.after(&code),
        link,
        TimeMs(0),
        place,
        transfer,
        cx.now,
    );
    event.effects.extend(freed);
    Ok(vec![event])
}

/// Nothing follows the end of a code. What stands here as the end of a body or part stops an admission; that another country
/// says so of a body, under another code, is its word against the exporter's and strands nobody's robot. Nor does the end of another
/// robot that one which went from here with the part.
fn refuse_ended<L: Ledger>(
    ledger: &L,
    transfer: &Transfer,
    robot: Option<&Robot>,
    me: Prefix,
) -> Result<(), Stop<L::Fault>> {
    let code = Subject::robot(&transfer.code).key();
    let identities = robot.map(Robot::identities).unwrap_or_default();
    let went = went_with(ledger, &transfer.code)?;
    for identity in std::iter::once(code).chain(identities) {
        let ends = ledger.ends(&identity).or_fault()?;
        // A mere word keeps nobody from refusing it, or sending it back.
        let end = ends.and_then(|ends| match robot {
            Some(_) => ends.shown().cloned(),
            None => ends.proven,
        });
        let of_another = |end: &Ended| end.by == me && !went.contains(&identity);
        if let Some(end) = end.filter(|end| end.code == transfer.code || of_another(end)) {
            let detail = Detail::Ended {
                what: Ending::Any,
                code: end.code,
                state: end.state,
                by: end.by,
                at: end.at,
                identity,
            };
            return no(Reason::IdentityEnded, detail);
        }
    }
    Ok(())
}

fn unmet<'a>(
    condition: &'a Condition,
    robot: &Robot,
    documents: &[Digest],
) -> Option<&'a Condition> {
    let met = match condition {
        Condition::Inspection {} => !documents.is_empty(),
        Condition::FirmwareAtLeast { build } => *build <= robot.firmware.build,
        Condition::Document { digest } => documents.contains(digest),
    };
    (!met).then_some(condition)
}

pub(super) fn admit<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &TransferId,
    place: &str,
    importer: &PartyName,
    documents: &[Digest],
) -> Decided<L::Fault> {
    cx.allow(Deed::Admit, None)?;
    let (mut transfer, held) = at_step(ledger, cx, id, |t| t.to, Step::Admit)?;
    let code = transfer.code;
    refuse_ended(ledger, &transfer, transfer.robot.as_ref(), cx.me())?;
    if let Some(robot) = &transfer.robot
        && let Some(other) = bound_elsewhere(ledger, robot)?
    {
        return no(Reason::BodyExists, Detail::BodyOrPartOf { code: other });
    }
    let link = propose(cx.me(), &held.chain, &Act::Admit, cx.now)?;
    let Some(disclosed) = transfer.robot.take() else {
        return no(Reason::EvidenceBroken, Detail::NotDisclosed {});
    };
    let Some(mut here) = held.robot else {
        return no(Reason::RobotUnknown, Detail::Code { code });
    };
    // Judged anew: an alarm or an end may have come since the departure, and what held it may have gone.
    transfer.detained = None;
    if let Some(rejection) = detained(cx.me(), &here, &disclosed) {
        return Err(Stop::Refused(rejection));
    }
    let wanted = wanted(cx.me(), &transfer, &here, &disclosed);
    if code.prefix() != cx.me() {
        let allows = |clause: &Clause| {
            clause.covers(&code.model_id(), wanted.level, wanted.safety_class)
                && clause.purposes.contains(&wanted.purpose)
        };
        // The clause as it stood at the permit, whatever became of the agreement since.
        if !transfer.clause.as_ref().is_some_and(allows) {
            return no(
                Reason::ClauseExcludes,
                Detail::NoClause {
                    agreement: transfer.agreement,
                    recogniser: cx.me(),
                    model: code.model_id(),
                    level: wanted.level,
                    safety_class: wanted.safety_class,
                },
            );
        }
    }
    // What an officer looked into is let in against what was found.
    if transfer.stopped.is_some() && documents.is_empty() {
        return no(
            Reason::ConditionUnmet,
            Detail::DetainedFor { transfer: *id },
        );
    }
    if let Some(condition) = transfer
        .conditions
        .iter()
        .find_map(|c| unmet(c, &disclosed, documents))
    {
        return no(
            Reason::ConditionUnmet,
            Detail::Condition {
                condition: condition.clone(),
            },
        );
    }
    // What matches it as it was known here is owed, whatever was changed of it abroad.
    here.owed = owed_ids(ledger, &here)?;
    let recalls = ledger.recalls_of(&code.model_id()).or_fault()?;
    // For good it becomes its owner; for a time it only has it here, or repairs it.
    let roles = match transfer.purpose {
        Purpose::PermanentExport => PARTIES,
        _ => Role::ALL,
    };
    let named = importer;
    let importer = cx.party(ledger, named, roles)?;
    if !is_consignee(ledger, cx, &mut here, &transfer, named)? {
        let after = After::Robot(Box::new(here));
        let mut first = Event::new(Kind::LifeCycle, command, after);
        first.waits = true;
        return Ok(vec![first]);
    }
    if let (Purpose::RepairAndReturn, Party::Enterprise { id }) = (transfer.purpose, &importer)
        && here.stay != (Stay::Resident {})
        && id.prefix() == cx.me()
    {
        // Nobody else works on it while it is here.
        cx.can_act(ledger, id, WORKSHOPS)?;
    }
    let trades = match &importer {
        Party::Enterprise { id } => ledger.enterprise(id).or_fault()?,
        Party::Office { .. } | Party::Person { .. } => None,
    };
    let passage = Passage {
        recalls: &recalls,
        me: cx.me(),
        from: transfer.from,
        purpose: transfer.purpose,
        importer: &importer,
        trades: trades.is_some_and(|enterprise| is_one_of(&enterprise, TRADERS)),
    };
    let removed: Vec<Digest> = here.parts.iter().map(|part| part.identity).collect();
    let here = admitted(passage, here, disclosed);
    let engages = engaged(ledger, cx, None, &here)?;
    let fitted: Vec<Digest> = fitted_in(&here);
    let mut parts = Vec::new();
    for identity in removed.iter().filter(|part| !fitted.contains(part)) {
        let fitting = ledger.part_holder(identity).or_fault()?;
        if fitting.is_some_and(|fitting| fitting.code == code) {
            parts.push(Effect::Part(*identity, None));
        }
    }
    // One of each a robot, and judged by who admits it.
    let key = here.robot_key.as_ref().map(RobotKey::identity);
    let own = [Some(here.identity.body), key];
    let mut yielding = Yielding::default();
    for identity in fitted {
        let fitting = ledger.part_holder(&identity).or_fault()?;
        if own.contains(&Some(identity)) {
            // What was said of it here before, or cleared from it, stays what it was.
            let stands = |by: Fitted| by != Fitted::Shown;
            let binds = fitting
                .as_ref()
                .and_then(|it| it.of(&code))
                .is_some_and(stands);
            if let Some(fitting) = fitting.filter(|fitting| fitting.code != code) {
                yielding.add(fitting, identity);
            }
            if !binds {
                // A key proved itself. Of a body nobody here said more than its exporter: its maker, if it is here, may know better.
                let row = match Some(identity) == key {
                    true => Fitting::here(code),
                    false => Fitting::word(code, None),
                };
                parts.push(Effect::Part(identity, Some(row)));
            }
        // A part that a robot here holds stays with it, whatever another country says.
        } else {
            match fitting {
                None => parts.push(Effect::Part(identity, Some(Fitting::shown(code)))),
                Some(fitting) if fitting.by == Fitted::Cleared && fitting.code != code => {
                    let cleared = fitting.cleared;
                    let shown = Fitting::shown(code);
                    let shown = Fitting { cleared, ..shown };
                    parts.push(Effect::Part(identity, Some(shown)));
                }
                Some(_) => {}
            }
        }
    }
    let alarms = yielding.alarms(ledger)?;
    let after = After::Robot(Box::new(here));
    let mut event = step_event(command, after, link, TimeMs(0), place, transfer, cx.now);
    event.effects.extend(parts);
    event.effects.extend(engages);
    Ok(alarms.into_iter().chain([event]).collect())
}

/// Whether a robot that comes for good is admitted for whom its exporter's side named, or two persons of the border say for whom else: one
/// key of theirs makes nobody the owner of what was sold to another, nor of what was sold to nobody yet.
fn is_consignee<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    robot: &mut Robot,
    transfer: &Transfer,
    importer: &PartyName,
) -> Result<bool, Stop<L::Fault>> {
    let another = transfer.papers.consignee.as_ref() != Some(importer);
    if transfer.purpose != Purpose::PermanentExport || !another || !cx.is_in_earnest() {
        return Ok(true);
    }
    let said = (transfer.id, importer.clone()).to_bytes();
    let act = sha256(&[b"carnet-importer/1", &said]);
    second_word(ledger, cx, robot, act)
}

/// The robot here to which what was done here binds an identity of another one that comes. What another country merely showed
/// of a robot keeps no other one out: whoever exports a robot could show bodies and parts of everybody else's. Nor is a robot kept out
/// that went from here with the part: whatever was found out about it since, it comes home as it went.
pub(crate) fn bound_elsewhere<L: Ledger>(
    ledger: &L,
    robot: &Robot,
) -> Result<Option<Code>, Stop<L::Fault>> {
    let went = went_with(ledger, &robot.identity.code)?;
    for identity in robot.identities() {
        if went.contains(&identity) {
            continue;
        }
        let fitting = ledger.part_holder(&identity).or_fault()?;
        let other = fitting.filter(|fitting| fitting.code != robot.identity.code);
        if let Some(other) = other.filter(Fitting::stands_at_the_border) {
            return Ok(Some(other.code));
        }
    }
    Ok(None)
}

/// Robots whose rows in the index yield, or are contradicted: another country showed, or somebody here fitted, what is
/// somebody else's.
#[derive(Debug, Default)]
pub(super) struct Yielding {
    robots: BTreeMap<Code, Digest>,
    cleared: BTreeMap<Digest, Vec<ClearedFrom>>,
}

impl Yielding {
    /// One more row that yields.
    pub(super) fn add(&mut self, fitting: Fitting, identity: Digest) {
        self.robots.entry(fitting.code).or_insert(identity);
    }

    /// One more row that was cleared and is taken over.
    pub(super) fn add_cleared(&mut self, fitting: Fitting, identity: Digest) {
        self.cleared.insert(identity, fitting.cleared);
    }

    /// The row of whoever takes a part over: it remembers from what the part was cleared, unless it is its maker's.
    pub(super) fn row(&mut self, identity: &Digest, row: Fitting) -> Fitting {
        let is_makers = row.by == Fitted::Here && row.said_by.is_none();
        let cleared = self.cleared.remove(identity).filter(|_| !is_makers);
        Fitting {
            cleared: cleared.unwrap_or_default(),
            ..row
        }
    }

    /// One alarm for each robot that still lives: what was shown or said of it is contradicted by what was done here.
    pub(super) fn alarms<L: Ledger>(self, ledger: &L) -> Result<Vec<Event>, Stop<L::Fault>> {
        let mut alarms = Vec::new();
        for (code, identity) in self.robots {
            let robot = ledger.robot(&code).or_fault()?;
            if let Some(robot) = robot.filter(|robot| !robot.state.is_final()) {
                let after = After::Robot(Box::new(robot));
                alarms.push(Event::new(
                    Kind::Incident,
                    &Yielded { code, identity },
                    after,
                ));
            }
        }
        Ok(alarms)
    }
}

/// The parts that a robot had which was here before, and that carry its identity, or did.
fn went_with<L: Ledger>(ledger: &L, code: &Code) -> Result<Vec<Digest>, Stop<L::Fault>> {
    let here = ledger.robot(code).or_fault()?;
    let was_here = here.filter(|here| here.stay != Stay::Asked {});
    Ok(was_here.map_or_else(Vec::new, |here| part_identities(&here)))
}

/// Parts that carry its identity, or did: neither body nor key.
fn part_identities(robot: &Robot) -> Vec<Digest> {
    let key = robot.robot_key.as_ref().map(RobotKey::identity);
    let mut all = robot.identities();
    all.retain(|one| *one != robot.identity.body && Some(*one) != key);
    all
}

/// Body, identity parts and other parts.
fn fitted_in(robot: &Robot) -> Vec<Digest> {
    let others = robot.parts.iter().map(|part| part.identity);
    robot.identities().into_iter().chain(others).collect()
}

pub(super) fn send_back<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &TransferId,
) -> Decided<L::Fault> {
    cx.allow(Deed::Return, None)?;
    let (transfer, held) = at_step(ledger, cx, id, |t| t.to, Step::Return)?;
    // What ended in transit stays where it ended: nothing follows.
    refuse_ended(ledger, &transfer, None, cx.me())?;
    // Nor does it leave while its end waits for the second signer.
    let mut holds = held.robot.iter().flat_map(|robot| &robot.holds);
    if let Some(hold) = holds.find(|h| h.kind == HoldKind::EndOfLifePending) {
        return no(Reason::Held, hold.stands());
    }
    let link = propose(cx.me(), &held.chain, &Act::Return, cx.now)?;
    let code = transfer.code;
    Ok(vec![step_event(
        command,
        held.after(&code),
        link,
        TimeMs(0),
        "",
        transfer,
        cx.now,
    )])
}

/// Detains a robot that is under way to here, whether or not it has come: once, and told to whoever released it.
pub(super) fn detain<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    id: &TransferId,
    reason: &str,
) -> Decided<L::Fault> {
    cx.allow(Deed::Detain, None)?;
    let (mut transfer, held) = at_step(ledger, cx, id, |t| t.to, Step::Detain)?;
    refuse_ended(ledger, &transfer, None, cx.me())?;
    let link = propose(cx.me(), &held.chain, &Act::Detain, cx.now)?;
    if transfer.stopped.is_some() {
        return no(Reason::HoldExists, Detail::Transfer { transfer: *id });
    }
    transfer.stopped = Some(reason.to_owned());
    let code = transfer.code;
    let place = transfer.papers.office_of_entry.clone();
    Ok(vec![step_event(
        command,
        held.after(&code),
        link,
        TimeMs(0),
        &place,
        transfer,
        cx.now,
    )])
}

/// The exporter's answer to a refusal: its own Cancel, which burns the epoch.
pub(crate) fn cancel_after_refusal(me: Prefix, chain: &Chain, now: TimeMs) -> Option<Link> {
    match chain.phase {
        Phase::Offered { .. } => propose(me, chain, &Act::Cancel, now).ok(),
        _ => None,
    }
}
