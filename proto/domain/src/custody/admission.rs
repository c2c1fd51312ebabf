//! What a robot's record is once it is admitted: one table, one function, nothing read or written.
//!
//! | field | source at Admit |
//! |---|---|
//! | code, model, body, manufacture, origin, robot key | the record here; a disclosure that differs is not admitted ([`differing`]) |
//! | level, safety class | the issuer: here if that is us, the exporter if that is the issuer, else the record here |
//! | identity parts | the exporter's; what they replaced stays bound to the code here |
//! | other parts, firmware, AI models, remedied recalls | the exporter's |
//! | state | the exporter's, unless an end of life is pending here; a final or reserved one is not admitted |
//! | owner, holder | a resident's: the record here; for good: the importer of record; else the exporter's |
//! | inspection since it was retired | none: it is inspected here |
//! | operator, scenario | the exporter's; none after an export for good |
//! | holds | both, by setter and kind: of our offices those here alone, of others a bounded number; less what the exporter's own setters lifted ([`forget_lifted`]) |
//! | owed recalls | both, by issuer and number |
//! | custody secret | the record here |
//!
//! The record here is that of an earlier stay, or the provisional one that the Offer began. Whoever wants to know what
//! another country is believed about a robot that arrives reads this file and nothing else.

use crate::bytes::code::Prefix;
use crate::limits::{FORMER_PARTS_MAX, HOLDS_OF_OTHERS_MAX, HOLDS_OF_PEER_MAX};
use crate::record::{Hold, Party, Pending, Robot, Stay};
use crate::rules::command::Purpose;
use crate::rules::lifecycle::{State, blocks_departure};
use crate::rules::rejection::{Counted, Detail, Reason, Rejection};

/// What never changes of a robot on its way from country to country, as far as a disclosure can contradict it. Code and
/// model are the subject of the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixed {
    /// The body.
    Body,
    /// When and where it was made, and who filed it.
    Manufacture,
    /// The declared country of origin.
    Origin,
    /// The robot's own key.
    RobotKey,
}
crate::canonical_enum!(Fixed { 1 => Body, 2 => Manufacture, 3 => Origin, 4 => RobotKey });

impl Fixed {
    /// As words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Manufacture => "manufacture",
            Self::Origin => "country of origin",
            Self::RobotKey => "robot key",
        }
    }
}

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
        .filter(|hold| hold.setter.prefix != me);
    if others.count() > shown(me, &[], disclosed.holds.clone()).len() {
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
    held.map(|hold| {
        let detail = Detail::HoldStands {
            kind: hold.kind,
            setter: hold.setter.clone(),
            since: hold.since,
        };
        Rejection::new(Reason::Held, detail)
    })
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
}

/// The record of an admitted robot, by the table above. Its custody and its newest leaf are those of the record here.
pub fn admitted(passage: Passage<'_>, here: Robot, disclosed: Robot) -> Robot {
    let (level, safety_class) = approved(passage.me, passage.from, &here, &disclosed);
    let for_good = passage.purpose == Purpose::PermanentExport;
    let resident = here.stay == Stay::Resident {};
    let (owner, holder, importer) = if resident {
        (here.owner, here.holder, here.importer)
    } else if for_good {
        let importer = Some(passage.importer.clone());
        (importer.clone(), importer.clone(), importer)
    } else {
        (disclosed.owner, disclosed.holder, disclosed.importer)
    };
    let (operator, scenario) = if for_good {
        (None, String::new())
    } else {
        (disclosed.operator, disclosed.scenario)
    };
    let pending = matches!(here.pending, Pending::EndOfLife { .. });
    let state = if pending { here.state } else { disclosed.state };
    let stay = if resident || for_good {
        Stay::Resident {}
    } else {
        let purpose = passage.purpose;
        Stay::Guest { purpose }
    };
    // What was bound to it here stays so. Of more than a record keeps, the index goes on telling.
    let mut former_parts = here.former_parts;
    for part in here.identity_parts.iter().map(|part| part.identity) {
        let fitted = disclosed
            .identity_parts
            .iter()
            .any(|other| other.identity == part);
        if !fitted && !former_parts.contains(&part) && former_parts.len() < FORMER_PARTS_MAX {
            former_parts.push(part);
        }
    }
    former_parts.retain(|part| {
        disclosed
            .identity_parts
            .iter()
            .all(|other| other.identity != *part)
    });
    let mut owed = here.owed;
    owed.extend(disclosed.owed);
    owed.sort();
    owed.dedup();
    owed.retain(|recall| !disclosed.remedied.contains(recall));
    Robot {
        identity: here.identity,
        identity_parts: disclosed.identity_parts,
        former_parts,
        parts: disclosed.parts,
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
        workshop: None,
        state,
        holds: {
            let shown = shown(passage.me, &here.holds, disclosed.holds);
            union(here.holds, shown)
        },
        owed,
        remedied: disclosed.remedied,
        pending: here.pending,
        // A report of another country's inspector is not one of ours.
        inspection: None,
        custody: here.custody,
        custody_secret: here.custody_secret,
        head: here.head,
        stay,
    }
}

/// The record that an Offer begins: what was reported of the robot here, by us or by its issuer, goes on standing.
pub fn provisional(me: Prefix, before: Option<Robot>, disclosed: Robot) -> Robot {
    match before {
        // It was here: its record is not the exporter's to change before it is admitted.
        Some(before) if before.stay != Stay::Asked {} => before,
        Some(before) => Robot {
            holds: {
                let shown = shown(me, &before.holds, disclosed.holds);
                union(before.holds, shown)
            },
            head: before.head,
            stay: Stay::Asked {},
            ..disclosed
        },
        None => Robot {
            holds: shown(me, &[], disclosed.holds),
            stay: Stay::Asked {},
            ..disclosed
        },
    }
}

/// Forgets holds that setters of the exporter had set and that its departure no longer shows: it alone knows what was
/// lifted there. What it reports later comes later in its mailbox, and stands.
pub fn forget_lifted(from: Prefix, here: &mut Robot, disclosed: &Robot) {
    here.holds
        .retain(|hold| hold.setter.prefix != from || disclosed.holds.iter().any(is(hold)));
}

/// The holds of a disclosure that count here. What our own offices set is what the record here says, and nobody shows more of it;
/// of another country there are at most as many as its mailbox may bring, and of all others so many that ours have room.
fn shown(me: Prefix, here: &[Hold], disclosed: Vec<Hold>) -> Vec<Hold> {
    let mut kept: Vec<Hold> = Vec::new();
    for hold in disclosed {
        let setter = hold.setter.prefix;
        let of = |prefix: Prefix| move |other: &&Hold| other.setter.prefix == prefix;
        let counts = if setter == me {
            here.iter().any(is(&hold))
        } else {
            kept.iter().filter(of(setter)).count() < HOLDS_OF_PEER_MAX
                && kept
                    .iter()
                    .filter(|other| other.setter.prefix != me)
                    .count()
                    < HOLDS_OF_OTHERS_MAX
        };
        if counts {
            kept.push(hold);
        }
    }
    kept
}

/// Holds of both lists, by setter and kind.
fn union(here: Vec<Hold>, shown: Vec<Hold>) -> Vec<Hold> {
    let mut holds = shown;
    for hold in here {
        if !holds.iter().any(is(&hold)) {
            holds.push(hold);
        }
    }
    holds
}

fn is(hold: &Hold) -> impl Fn(&Hold) -> bool {
    move |other| (other.kind, &other.setter) == (hold.kind, &hold.setter)
}
