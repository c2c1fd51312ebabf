//! What a robot's record is once it is admitted: one table, one function, nothing read or written.
//!
//! | field | source at Admit |
//! |---|---|
//! | code, model, body, manufacture, origin, robot key | the record here; a disclosure that differs is not admitted ([`differing`]) |
//! | level, safety class | the issuer: here if that is us, the exporter if that is the issuer, else the record here |
//! | identity parts | as level and class: no other country says what carries the identity of a robot |
//! | other parts | the exporter's, less what carries identity |
//! | firmware, AI models | the exporter's |
//! | state | a resident's: the exporter's, as far as it can come about abroad ([`ABROAD`]), else the record here; |
//! | | anybody else's: the exporter's, and sold where it comes from stock for good to one who sells none; pending an end of life: here; a final or reserved one is not admitted |
//! | owner, holder | a resident's: the record here; for good: the importer of record; else the exporter's |
//! | inspection since it was retired | none: it is inspected here |
//! | operator, scenario | a resident's: the record here; else the exporter's, and none after an export for good |
//! | workshop | who brought a guest in for repair; else none |
//! | ends that strangers declared | those here |
//! | pending | an end of life that waits here; a release or a request of before the journey is over |
//! | holds | both, by setter and kind: of our offices those here alone, of others a bounded number; less what the exporter's own setters lifted ([`forget_lifted`]) |
//! | owed recalls | what was matched here, and of those shown the recalls that there can be ([`recalled`]) |
//! | remedied recalls | those here, and of those shown what was owed, or was the exporter's own recall |
//! | custody secret | the record here |
//!
//! The record here is that of an earlier stay, or the provisional one that the Offer began. Whoever wants to know what
//! another country is believed about a robot that arrives reads this file and nothing else.

use crate::bytes::code::Prefix;
use crate::limits::{
    FORMER_PARTS_MAX, HOLDS_MAX, HOLDS_OF_OTHERS_MAX, HOLDS_OF_PEER_MAX, RECALLS_OF_ROBOT_MAX,
};
use crate::record::{Hold, Party, Pending, Recall, RecallId, Robot, Stay};
use crate::rules::command::Purpose;
use crate::rules::lifecycle::{ActionKind, HoldKind, State, blocks_departure, next};
pub use crate::rules::rejection::Fixed;
use crate::rules::rejection::{Counted, Detail, Reason, Rejection};

/// The first part of a robot's identity in which a disclosure differs from the record here.
pub fn differing(here: &Robot, disclosed: &Robot) -> Option<Fixed> {
    let (a, b) = (&here.identity, &disclosed.identity);
    let made =
        |of: &crate::record::Identity| (of.manufactured, of.site.clone(), of.importers_filing);
    if a.body != b.body {
        return Some(Fixed::Body);
    }
    if made(a) != made(b) {
        return Some(Fixed::Manufacture);
    }
    if a.origin != b.origin {
        return Some(Fixed::Origin);
    }
    (here.robot_key != disclosed.robot_key).then_some(Fixed::RobotKey)
}

/// Why a robot that was released to us may not be admitted as it is disclosed; it may be sent back. Judged when the
/// departure comes, and answered to its writer.
pub fn detained(me: Prefix, here: &Robot, disclosed: &Robot) -> Option<Rejection> {
    let code = disclosed.identity.code;
    let state = match disclosed.state {
        state if state.is_final() || state == State::Reserved => Some(state),
        // Ended or annulled here while it was away.
        _ => Some(here.state).filter(|state| state.is_final()),
    };
    if let Some(state) = state {
        let detail = Detail::RobotIs { code, state };
        return Some(Rejection::new(Reason::StateFinal, detail));
    }
    if let Some(field) = differing(here, disclosed) {
        let detail = Detail::Differs { code, field };
        return Some(Rejection::new(Reason::DisclosureDiffers, detail));
    }
    let others = disclosed
        .holds
        .iter()
        .filter(|hold| hold.setter.prefix != me && hold.kind != HoldKind::EndOfLifePending);
    let taken = shown(me, &here.holds, &disclosed.holds);
    let taken = taken.iter().filter(|hold| hold.setter.prefix != me);
    if others.count() > taken.count() {
        let (what, max) = (Counted::Holds, HOLDS_OF_PEER_MAX as u64);
        return Some(Rejection::new(
            Reason::RecordFull,
            Detail::Full { what, max },
        ));
    }
    // Its own rules do not let a registry release what one of these stands on.
    let held = disclosed
        .holds
        .iter()
        .find(|hold| blocks_departure(hold.kind));
    held.map(|hold| Rejection::new(Reason::Held, hold.stands()))
}

/// Level and safety class that bind a robot here: the issuer's newest word.
pub fn approved(me: Prefix, from: Prefix, here: &Robot, disclosed: &Robot) -> (u8, u8) {
    let issuer = here.identity.code.prefix();
    let newest = if issuer != me && issuer == from {
        disclosed
    } else {
        here
    };
    (newest.level, newest.safety_class)
}

/// What is done to a resident while it is away: nobody abroad sells or stocks it, and one that was retired is inspected
/// and returned to service at home.
const ABROAD: [ActionKind; 5] = [
    ActionKind::Deploy,
    ActionKind::Redeploy,
    ActionKind::BeginMaintenance,
    ActionKind::CompleteMaintenance,
    ActionKind::Retire,
];

/// Whether a robot that left in one state can have come to another by what is done abroad.
fn leads_to(here: State, shown: State) -> bool {
    let mut reached = vec![here];
    let further = |reached: &[State]| {
        let all = reached
            .iter()
            .flat_map(|from| ABROAD.iter().map(|what| (*from, *what)));
        let mut led = all.filter_map(|(from, what)| next(Some(from), what));
        led.find(|to| !reached.contains(to))
    };
    while let Some(to) = further(&reached) {
        reached.push(to);
    }
    reached.contains(&shown)
}

/// Between whom a robot moves, and why.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// The importer: this registry.
    pub me: Prefix,
    /// The exporter.
    pub from: Prefix,
    /// Why.
    pub purpose: Purpose,
    /// Importer of record.
    pub importer: &'a Party,
    /// Whether the importer of record sells robots: to anybody else, an admission for good is the first sale.
    pub trades: bool,
    /// The recalls of its model that are known here and have not ended.
    pub recalls: &'a [Recall],
}

/// Recalls that a robot owes, and that were remedied, after an admission.
///
/// Only the issuer of a code recalls its model. Of our own recalls nothing is believed that we do not know. An issuer knows
/// what it remedied of its own; another exporter is believed that it remedied what the robot owes by what is known here.
fn recalled(
    (me, from): (Prefix, Prefix),
    known_here: &[Recall],
    here: &Robot,
    disclosed: &Robot,
) -> (Vec<RecallId>, Vec<RecallId>) {
    let issuer = here.identity.code.prefix();
    let of_abroad = |id: &RecallId| id.issuer == issuer && issuer != me;
    let known = |id: &RecallId| {
        let mut recalls = known_here.iter();
        recalls.find(|recall| recall.notice.id == *id)
    };
    let unremedied = Robot {
        remedied: Vec::new(),
        ..disclosed.clone()
    };
    let is_owed = |id: &RecallId| {
        here.owed.contains(id) || known(id).is_some_and(|recall| unremedied.owes(recall))
    };
    let can_be = |id: &&RecallId| known(id).is_some() || of_abroad(id);
    let its_own = |id: &RecallId| of_abroad(id) && from == issuer;
    let was_remedied = |id: &&RecallId| its_own(id) || is_owed(id);
    let shown = disclosed.remedied.iter().filter(was_remedied);
    let mut remedied: Vec<RecallId> = here.remedied.iter().chain(shown).cloned().collect();
    let shown = disclosed.owed.iter().filter(can_be);
    let mut owed: Vec<RecallId> = here.owed.iter().chain(shown).cloned().collect();
    owed.retain(|id| !remedied.contains(id));
    make_room(&mut owed, RECALLS_OF_ROBOT_MAX, known_here);
    make_room(&mut remedied, RECALLS_OF_ROBOT_MAX, known_here);
    (owed, remedied)
}

/// What a robot would owe after an admission now, by all recalls of its model that are known here: what whoever looks before admitting
/// it is shown.
pub fn owed_after(
    (me, from): (Prefix, Prefix),
    recalls: &[Recall],
    here: &Robot,
    disclosed: &Robot,
) -> Vec<RecallId> {
    let (ended, binding): (Vec<_>, Vec<_>) = recalls
        .iter()
        .cloned()
        .partition(|recall| recall.status.has_ended());
    let matched = binding.iter().filter(|recall| here.owes(recall));
    let mut owed: Vec<RecallId> = matched.map(|recall| recall.notice.id.clone()).collect();
    let has_ended = |id: &RecallId| ended.iter().any(|recall| recall.notice.id == *id);
    owed.extend(here.owed.iter().filter(|id| !has_ended(id)).cloned());
    make_room(&mut owed, RECALLS_OF_ROBOT_MAX, &binding);
    let here = Robot {
        owed,
        ..here.clone()
    };
    recalled((me, from), &binding, &here, disclosed).0
}

/// Sorts recalls of a robot, each named once. Where there are more than `max`, those that are not known here make way: a
/// model has no more that are known and have not ended than a record names.
pub fn make_room(ids: &mut Vec<RecallId>, max: usize, known: &[Recall]) {
    ids.sort();
    ids.dedup();
    let is_known = |id: &RecallId| known.iter().any(|recall| recall.notice.id == *id);
    let (mut kept, mut others): (Vec<_>, Vec<_>) = ids.drain(..).partition(is_known);
    others.truncate(max.saturating_sub(kept.len())); // saturates: no room is no room
    kept.append(&mut others);
    kept.sort();
    *ids = kept;
}

/// The record of an admitted robot, by the table above. Its custody and its newest leaf are those of the record here.
pub fn admitted(passage: Passage<'_>, here: Robot, disclosed: Robot) -> Robot {
    let (level, safety_class) = approved(passage.me, passage.from, &here, &disclosed);
    let sides = (passage.me, passage.from);
    let (owed, remedied) = recalled(sides, passage.recalls, &here, &disclosed);
    let for_good = passage.purpose == Purpose::PermanentExport;
    let resident = here.stay == Stay::Resident {};
    let (owner, holder, importer) = if resident {
        (here.owner, here.holder, here.importer)
    } else if for_good {
        let importer = Some(passage.importer.clone());
        (importer.clone(), importer.clone(), importer)
    } else {
        // Who has it here answers for it here; at home the record of its holder stands.
        let holder = Some(passage.importer.clone());
        (disclosed.owner, holder, disclosed.importer)
    };
    // Who operates a resident at home is nobody's to say abroad: it may bring the robot in for repair.
    let (operator, scenario) = if resident {
        (here.operator, here.scenario)
    } else if for_good {
        (None, String::new())
    } else {
        (disclosed.operator, disclosed.scenario)
    };
    let pending = matches!(here.pending, Pending::EndOfLife { .. });
    let comes_about = !resident || leads_to(here.state, disclosed.state);
    let state = match pending || !comes_about {
        true => here.state,
        false => disclosed.state,
    };
    let in_stock = matches!(state, State::Manufactured | State::InStock);
    let first_sale = for_good && !resident && !passage.trades && in_stock;
    let state = if first_sale { State::Sold } else { state };
    let stay = if resident || for_good {
        Stay::Resident {}
    } else {
        let purpose = passage.purpose;
        Stay::Guest { purpose }
    };
    // Who brings it in for repair repairs it.
    let workshop = match (passage.purpose, passage.importer) {
        (Purpose::RepairAndReturn, Party::Enterprise { id }) if !resident => Some(*id),
        _ => None,
    };
    let issuer = here.identity.code.prefix();
    let mut parts = disclosed.parts;
    let identity_parts = match issuer != passage.me && issuer == passage.from {
        true => disclosed.identity_parts,
        false => {
            parts.retain(|part| !part.kind.carries_identity());
            here.identity_parts.clone()
        }
    };
    // What was bound to it here stays so. Of more than a record keeps, the index goes on telling.
    let fitted = |part| identity_parts.iter().any(|other| other.identity == part);
    let mut former_parts = here.former_parts;
    for part in here.identity_parts.iter().map(|part| part.identity) {
        let kept = former_parts.contains(&part) || former_parts.len() >= FORMER_PARTS_MAX;
        if !fitted(part) && !kept {
            former_parts.push(part);
        }
    }
    former_parts.retain(|part| !fitted(*part));
    let mut admitted = Robot {
        identity: here.identity,
        identity_parts,
        former_parts,
        parts,
        robot_key: here.robot_key,
        firmware: disclosed.firmware,
        ai_models: disclosed.ai_models,
        ai_models_before: disclosed.ai_models_before,
        level,
        safety_class,
        owner,
        holder,
        importer,
        operator,
        scenario,
        workshop,
        state,
        holds: {
            let shown = shown(passage.me, &here.holds, &disclosed.holds);
            union(here.holds, shown)
        },
        owed,
        remedied,
        // A release is of the owner who gave it, and of where the record stood: it does not outlive a journey.
        pending: match here.pending {
            Pending::EndOfLife { .. } => here.pending,
            Pending::Nothing {} | Pending::Released { .. } | Pending::Asked { .. } => {
                Pending::Nothing {}
            }
        },
        desk_set_by: here.desk_set_by.filter(|_| resident),
        // Said of where it stood then.
        first_words: Vec::new(),
        // It lapses by itself, and whoever owns the robot by now answers it.
        due: here.due,
        // It comes home from where it was admitted.
        admitted_abroad: here.admitted_abroad || issuer == passage.me,
        declared: here.declared,
        // A report of another country's inspector is not one of ours.
        inspection: None,
        custody: here.custody,
        custody_secret: here.custody_secret,
        head: here.head,
        stay,
    };
    // What was known of an owner here before is not this one's.
    if for_good
        && !resident
        && let Some(owner) = admitted.owner.clone()
    {
        admitted.give_to(owner);
    }
    admitted
}

/// The record that an Offer begins: what was reported of the robot here, by us or by its issuer, goes on standing.
pub fn provisional(me: Prefix, before: Option<Robot>, disclosed: Robot) -> Robot {
    match before {
        // It was here: its record is not the exporter's to change before it is admitted. Nor is one that ended.
        Some(before) if before.stay != (Stay::Asked {}) || before.state.is_final() => before,
        // What it owes is asked when it is admitted.
        Some(before) => Robot {
            holds: {
                let shown = shown(me, &before.holds, &disclosed.holds);
                union(before.holds, shown)
            },
            head: before.head,
            due: before.due,
            desk_set_by: before.desk_set_by,
            first_words: before.first_words,
            admitted_abroad: before.admitted_abroad,
            declared: before.declared,
            stay: Stay::Asked {},
            owed: Vec::new(),
            remedied: Vec::new(),
            ..disclosed
        },
        None => Robot {
            holds: shown(me, &[], &disclosed.holds),
            stay: Stay::Asked {},
            owed: Vec::new(),
            remedied: Vec::new(),
            ..disclosed
        },
    }
}

/// Forgets holds that setters of the exporter had set and that its departure no longer shows: it alone knows what was
/// lifted there. What it reports later comes later in its mailbox, and stands.
pub fn forget_lifted(from: Prefix, here: &mut Robot, shown: &[Hold]) {
    here.holds
        .retain(|hold| hold.setter.prefix != from || shown.iter().any(is(hold)));
}

/// Takes a robot back from the country that was responsible for it on the way: what its offices reported there, and what
/// it shows of the issuer's, goes on standing, but for ends of life that wait: one of ours does not, and theirs is not
/// sent back.
pub fn sent_back(me: Prefix, from: Prefix, here: &mut Robot, shown: &[Hold]) {
    let issuer = here.identity.code.prefix();
    forget_lifted(from, here, shown);
    let tells = |hold: &&Hold| {
        let by = hold.setter.prefix;
        by != me && (by == from || by == issuer) && hold.kind != HoldKind::EndOfLifePending
    };
    for hold in shown.iter().filter(tells) {
        let by = hold.setter.prefix;
        let of_theirs = here.holds.iter().filter(|held| held.setter.prefix == by);
        let room = of_theirs.count() < HOLDS_OF_PEER_MAX
            // The rest is for the offices here.
            && here.holds.len() < HOLDS_MAX - HOLDS_OF_PEER_MAX;
        if room && !here.holds.iter().any(is(hold)) {
            here.holds.push(hold.clone());
        }
    }
}

/// The holds of a disclosure that count here. What our own offices set is what the record here says, and nobody shows more of it;
/// of another country there are at most as many as its mailbox may bring, and of all others so many that ours have room.
fn shown(me: Prefix, here: &[Hold], disclosed: &[Hold]) -> Vec<Hold> {
    let mut kept: Vec<Hold> = Vec::new();
    // What stands here and is not shown goes on standing, and takes its room.
    let stays = |hold: &&Hold| !disclosed.iter().any(is(hold));
    let staying: Vec<&Hold> = here.iter().filter(stays).collect();
    for hold in disclosed {
        let setter = hold.setter.prefix;
        let of = |prefix: Prefix| move |other: &&Hold| other.setter.prefix == prefix;
        // An end that waits abroad waits there: here nobody could confirm or withdraw it.
        let counts = if hold.kind == HoldKind::EndOfLifePending && setter != me {
            false
        } else if setter == me {
            here.iter().any(is(hold))
        } else {
            let all = || kept.iter().chain(staying.iter().copied());
            let of_others = all().filter(|other| other.setter.prefix != me);
            all().filter(of(setter)).count() < HOLDS_OF_PEER_MAX
                && of_others.count() < HOLDS_OF_OTHERS_MAX
        };
        if counts {
            kept.push(hold.clone());
        }
    }
    kept
}

/// Holds of both lists, by setter and kind.
fn union(here: Vec<Hold>, shown: Vec<Hold>) -> Vec<Hold> {
    let mut holds = shown;
    for hold in here {
        match holds.iter_mut().find(|other| is(&hold)(other)) {
            // A disclosure does not say why.
            Some(other) => other.reason = hold.reason,
            None => holds.push(hold),
        }
    }
    holds
}

fn is(hold: &Hold) -> impl Fn(&Hold) -> bool {
    move |other| (other.kind, &other.setter) == (hold.kind, &hold.setter)
}
