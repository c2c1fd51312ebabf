//! Registration, life-cycle actions and holds.

use super::border::{Yielding, issuer_annuls, stay_allows};
use super::owed::{blocked_by_recall, owed_ids, recalls_owed, still_owed};
use super::ownership::{self, Offered, no_request};
use super::{Context, Decided, OrFault, Stop, answers_for, engaged, known, no, standing};
use crate::bytes::code::{Code, EnterpriseId, Prefix};
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::Canonical;
use crate::bytes::time::TimeMs;
use crate::custody::{Chain, Link, Phase, whereabouts};
use crate::limits::{DECLARATIONS_A_DAY_MAX, DECLARATIONS_MAX, ENDS_A_DAY_MAX};
use crate::log::leaf::{Kind, Leaf, Subject};
use crate::record::event::{After, Effect, Event, LinkWritten};
use crate::record::ledger::Ledger;
use crate::record::{
    Actor, ApprovalStatus, Before, ClearedFrom, Declared, Desk, Enterprise, EnterpriseStatus,
    Fitted, Fitting, Hold, Holder, Identity, Maker, PartName, PartType, Party, Pending, Robot,
    Signer, Stay,
};
use crate::rules::actions::{Deed, PARTIES, Relation, TRADERS, WORKSHOPS};
use crate::rules::command::{Action, Command, Registration};
use crate::rules::lifecycle::{
    ActionKind, EndOfLife, HoldKind, State, blocks, end_state, lifts_others, next, sets,
};
use crate::rules::parties::relations;
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Ending, Reason};

/// Who brings a code to life, and the model's facts that its robot takes over.
struct Access {
    enterprise: Enterprise,
    level: u8,
    safety_class: u8,
}

/// What must hold of the maker and the model before a code comes to life.
fn market_access<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    deed: Deed,
    code: &Code,
    role: Role,
    made: Option<TimeMs>,
) -> Result<Access, Stop<L::Fault>> {
    let owner = code.enterprise_id();
    cx.allow(deed, Some(&owner))?;
    if code.prefix() != cx.me() {
        return no(
            Reason::PrefixNotOurs,
            Detail::CodeStandsUnder { code: *code },
        );
    }
    let Some(enterprise) = ledger.enterprise(&owner).or_fault()? else {
        return no(Reason::EnterpriseUnknown, Detail::Enterprise { id: owner });
    };
    standing::<L::Fault>(&enterprise, cx.now)?;
    if !enterprise.roles.contains(&role) {
        return no(
            Reason::EnterpriseLacksRole,
            Detail::NotAccreditedAs { id: owner, role },
        );
    }
    let Some(model) = ledger.model(&code.model_id()).or_fault()? else {
        return no(
            Reason::ModelUnknown,
            Detail::Model {
                id: code.model_id(),
            },
        );
    };
    if model.status != ApprovalStatus::Approved {
        return no(
            Reason::ModelNotApproved,
            Detail::ModelIs {
                id: model.id,
                status: model.status,
            },
        );
    }
    if made.is_some_and(|made| made < model.production_from || model.production_to < made) {
        let (from, to) = (model.production_from, model.production_to);
        return no(
            Reason::OutsideProduction,
            Detail::ProducedFrom {
                id: model.id,
                from,
                to,
            },
        );
    }
    Ok(Access {
        enterprise,
        level: model.facts.level,
        safety_class: model.facts.safety_class,
    })
}

/// Refuses an identity that has ended. What was said of it here keeps everybody from it but its maker. What a peer merely claims
/// counts only where nobody is accredited here as the maker that the identity names: it takes no serial from its maker.
fn refuse_ended<L: Ledger>(
    ledger: &L,
    what: Ending,
    identity: &Digest,
    claims: Claims,
    comer: Comer,
) -> Result<(), Stop<L::Fault>> {
    let Some(ends) = ledger.ends(identity).or_fault()? else {
        return Ok(());
    };
    let said = ends.said.filter(|_| !comer.is_maker());
    let end = match (ends.proven.or(said), ends.claimed_by.first()) {
        (None, Some(peer)) if claims == Claims::Count => {
            let claim = ledger.claim(peer, identity).or_fault()?;
            claim.map(|claim| claim.said)
        }
        (known, _) => known,
    };
    match end {
        Some(end) => no(
            Reason::IdentityEnded,
            Detail::Ended {
                what,
                code: end.code,
                state: end.state,
                by: end.by,
                at: end.at,
                identity: *identity,
            },
        ),
        None => Ok(()),
    }
}

/// Whether a peer's claim that an identity ended counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claims {
    /// It does.
    Count,
    /// It does not: the maker that the identity names is accredited here, or the code is of this registry.
    DoNot,
}

impl Claims {
    /// About something of a maker.
    fn about<L: Ledger>(ledger: &L, maker: &Maker) -> Result<Self, Stop<L::Fault>> {
        Ok(Self::where_one_is(accredited_as(ledger, maker)?.is_some()))
    }

    /// As [`Self::about`], where an enterprise was read already.
    fn beside<L: Ledger>(
        read: &Enterprise,
        ledger: &L,
        maker: &Maker,
    ) -> Result<Self, Stop<L::Fault>> {
        let is_accredited = match ledger.enterprise_of(maker).or_fault()? {
            None => false,
            Some(id) if id == read.id => read.status != EnterpriseStatus::StruckOff,
            Some(id) => is_not_struck_off(ledger, &id)?,
        };
        Ok(Self::where_one_is(is_accredited))
    }

    fn where_one_is(is_accredited: bool) -> Self {
        match is_accredited {
            true => Self::DoNot,
            false => Self::Count,
        }
    }
}

/// Who is accredited here as a maker and was not struck off.
fn accredited_as<L: Ledger>(
    ledger: &L,
    maker: &Maker,
) -> Result<Option<EnterpriseId>, Stop<L::Fault>> {
    let Some(id) = ledger.enterprise_of(maker).or_fault()? else {
        return Ok(None);
    };
    Ok(is_not_struck_off(ledger, &id)?.then_some(id))
}

fn is_not_struck_off<L: Ledger>(ledger: &L, id: &EnterpriseId) -> Result<bool, Stop<L::Fault>> {
    let known = ledger.enterprise(id).or_fault()?;
    Ok(known.is_some_and(|known| known.status != EnterpriseStatus::StruckOff))
}

pub(super) fn reserve<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    code: &Code,
) -> Decided<L::Fault> {
    let access = market_access(ledger, cx, Deed::Reserve, code, Role::Manufacturer, None)?;
    let key = Subject::robot(code).key();
    refuse_ended(ledger, Ending::Code, &key, Claims::DoNot, Comer::NOBODY)?;
    if ledger.robot(code).or_fault()?.is_some() {
        return no(Reason::CodeExists, Detail::Code { code: *code });
    }
    let robot = Robot {
        identity: Identity {
            code: *code,
            body: Digest::ZERO,
            manufactured: TimeMs(0),
            site: String::new(),
            origin: String::new(),
            importers_filing: false,
        },
        holder: Some(Party::Enterprise {
            id: code.enterprise_id(),
        }),
        state: State::Reserved,
        ..blank(*code, access.level, access.safety_class)
    };
    Ok(vec![Event::new(
        Kind::LifeCycle,
        command,
        After::Robot(Box::new(robot)),
    )])
}

fn blank(code: Code, level: u8, safety_class: u8) -> Robot {
    Robot {
        identity: Identity {
            code,
            body: Digest::ZERO,
            manufactured: TimeMs(0),
            site: String::new(),
            origin: String::new(),
            importers_filing: false,
        },
        identity_parts: Vec::new(),
        former_parts: Vec::new(),
        parts: Vec::new(),
        robot_key: None,
        firmware: crate::record::Firmware {
            family: String::new(),
            build: 0,
        },
        ai_models: Vec::new(),
        ai_models_before: Before::NOTHING,
        level,
        safety_class,
        owner: None,
        holder: None,
        importer: None,
        operator: None,
        scenario: String::new(),
        workshop: None,
        state: State::Reserved,
        holds: Vec::new(),
        owed: Vec::new(),
        remedied: Vec::new(),
        pending: Pending::Nothing {},
        due: None,
        desk_set_by: None,
        first_words: Vec::new(),
        admitted_abroad: false,
        declared: Vec::new(),
        inspection: None,
        custody: Chain::unknown(),
        custody_secret: Digest::ZERO,
        head: None,
        stay: Stay::Resident {},
    }
}

pub(super) fn register<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    registration: &Registration,
) -> Decided<L::Fault> {
    let r = registration;
    parts_fit::<L::Fault>(r)?;
    let (deed, role) = if r.importers_filing {
        (Deed::FileImport, Role::Importer)
    } else {
        (Deed::Register, Role::Manufacturer)
    };
    let access = market_access(ledger, cx, deed, &r.code, role, Some(r.manufactured))?;
    // Read once: it is asked for four times below.
    let registrant = &access.enterprise;
    if r.manufactured > cx.now {
        let (made, now) = (r.manufactured, cx.now);
        return no(Reason::MadeLater, Detail::MadeAt { made, now });
    }
    let body = r.body.identity();
    // Before anything is asked about the key: what everybody may read of another robot says nothing of this one.
    if r.robot_key.is_some_and(|key| !key.is_of(&r.code, &body)) {
        return no(Reason::KeyNotProven, Detail::KeyUnsigned { code: r.code });
    }
    let key = Subject::robot(&r.code).key();
    refuse_ended(ledger, Ending::Code, &key, Claims::DoNot, Comer::NOBODY)?;
    // What an office registers in a maker's name is no deed of that maker.
    let comes = |maker: &Maker| match cx.signer.holder {
        Holder::Enterprise { .. } => Comer::with(cx, Some(registrant), maker),
        Holder::Office { .. } => Comer::Another(Some(r.code.enterprise_id())),
    };
    let parts_of = |names: &[PartName]| names.iter().map(PartName::part).collect::<Vec<_>>();
    let (identity_parts, parts) = (parts_of(&r.identity_parts), parts_of(&r.parts));
    let claims = Claims::beside(registrant, ledger, &r.body.maker)?;
    let maker = comes(&r.body.maker);
    refuse_ended(ledger, Ending::Body, &body, claims, maker)?;
    if let Some(key) = &r.robot_key {
        // A key is drawn, not counted up: nobody abroad can claim one before it is shown.
        let key = key.identity();
        refuse_ended(ledger, Ending::Key, &key, Claims::Count, Comer::NOBODY)?;
    }
    for (part, named) in identity_parts.iter().zip(&r.identity_parts) {
        let claims = Claims::beside(registrant, ledger, &named.maker)?;
        let comer = comes(&named.maker);
        refuse_ended(ledger, Ending::IdentityPart, &part.identity, claims, comer)?;
    }
    maker_fits(ledger, registrant, r)?;
    let current = ledger.robot(&r.code).or_fault()?;
    let action = if r.prototype {
        ActionKind::RegisterPrototype
    } else {
        ActionKind::Register
    };
    let Some(state) = next(current.as_ref().map(|robot| robot.state), action) else {
        return no(Reason::CodeExists, Detail::Code { code: r.code });
    };
    let mut yielding = Yielding::default();
    if let Some(other) = yielding.holder(ledger, &r.code, &body, maker)? {
        let code = other.code;
        return no(Reason::BodyExists, Detail::BodyOf { code });
    }
    let mut body_row = Some(yielding.row(&body, maker.row(r.code)));
    let mut named = std::collections::BTreeMap::new();
    let mut outdone = Vec::from_iter(maker.outdoes(ledger, cx, &body)?);
    let names = r.identity_parts.iter().chain(&r.parts);
    for (part, name) in identity_parts.iter().chain(&parts).zip(names) {
        let comer = comes(&name.maker);
        let row = comer.row(r.code);
        if part.identity == body || named.insert(part.identity, row).is_some() {
            return no(Reason::PartInUse, Detail::PartTwice { part: part.kind });
        }
        if let Some(other) = yielding.holder(ledger, &r.code, &part.identity, comer)? {
            return no(Reason::PartInUse, in_use(part.kind, &other));
        }
        let row = yielding.row(&part.identity, comer.row(r.code));
        named.insert(part.identity, row);
        if part.kind.carries_identity() {
            outdone.extend(comer.outdoes(ledger, cx, &part.identity)?);
        }
    }
    if let Some(key) = &r.robot_key
        && let Some(other) = yielding.holder(ledger, &r.code, &key.identity(), Comer::NOBODY)?
    {
        let code = other.code;
        return no(Reason::KeyInUse, Detail::KeyOf { code });
    }
    // A hold on a code that was set aside is lifted, not registered over.
    let standing = current.as_ref().and_then(|robot| robot.holds.first());
    if let Some(hold) = standing {
        return no(Reason::Held, hold.stands());
    }
    let robot = Robot {
        identity: Identity {
            code: r.code,
            body,
            manufactured: r.manufactured,
            site: r.site.clone(),
            origin: r.origin.clone(),
            importers_filing: r.importers_filing,
        },
        identity_parts,
        parts,
        robot_key: r.robot_key,
        firmware: r.firmware.clone(),
        holder: Some(Party::Enterprise {
            id: r.code.enterprise_id(),
        }),
        state,
        head: current.and_then(|robot| robot.head),
        ..blank(r.code, access.level, access.safety_class)
    };
    let fitted: Vec<Digest> = robot
        .identities()
        .into_iter()
        .chain(robot.parts.iter().map(|part| part.identity))
        .collect();
    // Who registers its own has a key.
    let engages = match cx.signer.holder {
        Holder::Office { .. } => engaged(ledger, cx, None, &robot)?,
        Holder::Enterprise { .. } => Vec::new(),
    };
    let mut event = Event::new(Kind::Register, command, After::Robot(Box::new(robot)));
    event.effects = engages;
    event.link = Some(LinkWritten {
        link: Link::register(cx.me()),
        deadline: TimeMs(0),
        place: r.site.clone(),
    });
    event.effects.extend(fitted.into_iter().map(|identity| {
        let row = match identity == body {
            true => body_row.take(),
            false => named.remove(&identity),
        };
        // What is not named by a maker is the robot's own key.
        let row = row.unwrap_or_else(|| Fitting::here(r.code));
        Effect::Part(identity, Some(row))
    }));
    event.effects.extend(outdone);
    let alarms = yielding.alarms(ledger)?;
    Ok(alarms.into_iter().chain([event]).collect())
}

impl Yielding {
    /// The row that keeps an identity from being registered or fitted in a robot here by who comes with it. What was said here, or
    /// shown by another country, keeps the maker from nothing, and everybody else from it. What was cleared keeps out whose word it was,
    /// and everybody from the robot that it was cleared from.
    fn holder<L: Ledger>(
        &mut self,
        ledger: &L,
        robot: &Code,
        identity: &Digest,
        comer: Comer,
    ) -> Result<Option<Fitting>, Stop<L::Fault>> {
        let Some(fitting) = ledger.part_holder(identity).or_fault()? else {
            return Ok(None);
        };
        let yields = match (fitting.by, comer) {
            // What one person's making of a maker stands on yields to that maker, where it stands on two.
            (Fitted::Here, Comer::Maker(id)) => fitting.said_by.is_some_and(|by| by != id),
            (Fitted::Here, Comer::MadeByOne(_) | Comer::Another(_))
            | (Fitted::Word, Comer::MadeByOne(_) | Comer::Another(_))
            | (Fitted::Shown, Comer::Another(_)) => false,
            (Fitted::Word, Comer::Maker(_))
            | (Fitted::Shown, Comer::Maker(_) | Comer::MadeByOne(_)) => true,
            (Fitted::Cleared, Comer::Maker(_)) => return Ok(None),
            (Fitted::Cleared, Comer::MadeByOne(_) | Comer::Another(_)) => {
                let again = fitting.keeps_out(robot, comer.enterprise());
                return Ok(match again {
                    Some(ClearedFrom { code, .. }) => Some(Fitting { code, ..fitting }),
                    None => {
                        self.add_cleared(fitting, *identity);
                        None
                    }
                });
            }
        };
        if yields {
            self.add(fitting, *identity);
            return Ok(None);
        }
        Ok(Some(fitting))
    }
}

/// Why a part is not free.
fn in_use(part: PartType, row: &Fitting) -> Detail {
    let code = row.code;
    match row.by {
        Fitted::Cleared => Detail::ClearedFrom { part, code },
        Fitted::Here | Fitted::Word | Fitted::Shown => Detail::FittedIn { part, code },
    }
}

/// Who comes with a part. Whoever makes it is its maker, accredited or not: of a part whose maker is nobody here, or is struck off,
/// everybody else has the same word as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comer {
    /// The part's own maker, by its own deed.
    Maker(EnterpriseId),
    /// The same, where one person of an office made it what it is: accredited it, and enrolled the key that signs. It takes from nobody
    /// what was said here, and two clear what it fits.
    MadeByOne(EnterpriseId),
    /// Another enterprise, or an office.
    Another(Option<EnterpriseId>),
}

impl Comer {
    /// With what has no maker: a code, or a key.
    const NOBODY: Self = Self::Another(None);

    /// An enterprise, or an office, with a part of a maker.
    fn with(cx: &Context<'_>, fits: Option<&Enterprise>, maker: &Maker) -> Self {
        match fits {
            Some(fits) if fits.maker == *maker => match cx.is_made_by_one(fits) {
                true => Self::MadeByOne(fits.id),
                false => Self::Maker(fits.id),
            },
            fits => Self::Another(fits.map(|fits| fits.id)),
        }
    }

    /// The enterprise, where what it fits is more than its own deed, or less.
    fn enterprise(self) -> Option<EnterpriseId> {
        match self {
            Self::Maker(_) => None,
            Self::MadeByOne(id) => Some(id),
            Self::Another(id) => id,
        }
    }

    fn is_maker(self) -> bool {
        matches!(self, Self::Maker(_))
    }

    /// The row of what it fits in a robot.
    fn row(self, code: Code) -> Fitting {
        match self {
            Self::Maker(_) => Fitting::here(code),
            Self::MadeByOne(id) => Fitting::made_by_one(code, id),
            Self::Another(said_by) => Fitting::word(code, said_by),
        }
    }

    /// What was said here of a part's end falls with a deed of its maker.
    fn outdoes<L: Ledger>(
        self,
        ledger: &L,
        cx: &Context<'_>,
        identity: &Digest,
    ) -> Result<Option<Effect>, Stop<L::Fault>> {
        if !self.is_maker() {
            return Ok(None);
        }
        let ends = ledger.ends(identity).or_fault()?;
        let falls = ends.is_some_and(|ends| ends.said.is_some());
        Ok(falls.then(|| Effect::ClaimCleared(cx.me(), *identity)))
    }
}

/// A maker registers what it made, and an importer what was made by nobody who is accredited here: nobody takes the serials
/// of another.
fn maker_fits<L: Ledger>(
    ledger: &L,
    registrant: &Enterprise,
    r: &Registration,
) -> Result<(), Stop<L::Fault>> {
    if !r.importers_filing {
        return match registrant.maker == r.body.maker {
            true => Ok(()),
            false => no(
                Reason::MakerDiffers,
                Detail::NotMakerOf { id: registrant.id },
            ),
        };
    }
    match accredited_as(ledger, &r.body.maker)? {
        Some(id) => no(Reason::MakerDiffers, Detail::MakerOf { id }),
        None => Ok(()),
    }
}

/// Parts that carry identity stand among those that do, and no others.
fn parts_fit<F>(r: &Registration) -> Result<(), Stop<F>> {
    let is_identity = |part: &&PartName| matches!(part.kind, PartType::Compute | PartType::Torso);
    let wrong = r.identity_parts.iter().find(|part| !is_identity(part));
    let hidden = r.parts.iter().find(|part| part.kind.carries_identity());
    match (wrong, hidden) {
        (Some(part), _) => no(
            Reason::Malformed,
            Detail::PartListed {
                part: part.kind,
                identity: true,
            },
        ),
        (None, Some(part)) => no(
            Reason::Malformed,
            Detail::PartListed {
                part: part.kind,
                identity: false,
            },
        ),
        (None, None) => Ok(()),
    }
}

/// What every action on a robot needs: it lives, it is here, nothing blocks it.
pub(super) fn admissible<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    robot: &Robot,
    expected: Option<u64>,
    action: ActionKind,
) -> Result<State, Stop<L::Fault>> {
    if robot.state.is_final() && action != ActionKind::Correct {
        return no(
            Reason::StateFinal,
            Detail::RobotIs {
                code: robot.identity.code,
                state: robot.state,
            },
        );
    }
    let at_border = matches!(robot.custody.phase, Phase::InTransit { .. })
        && matches!(
            action,
            ActionKind::RecordIncident
                | ActionKind::DeclareEndOfLife
                | ActionKind::WithdrawEndOfLife
                | ActionKind::ConfirmEndOfLife
                | ActionKind::ChangeHold
        );
    // The issuer may report a robot abroad stolen or lost; its custodian is told.
    let report = action == ActionKind::ChangeHold && robot.identity.code.prefix() == cx.me();
    if !robot.custody.in_custody()
        && !at_border
        && !report
        && !is_unused(robot)
        && action != ActionKind::Correct
    {
        return no(Reason::NotInCustody, whereabouts(&robot.custody));
    }
    let sequence = robot.head.map_or(0, |head| head.seq);
    if expected.is_some_and(|expected| expected != sequence) {
        return no(Reason::SequenceMismatch, Detail::StandsAt { sequence });
    }
    if action == ActionKind::Correct {
        not_under_way(robot)?;
    }
    let free = matches!(
        action,
        ActionKind::ChangeHold | ActionKind::RecordIncident | ActionKind::Correct
    );
    if let (Phase::Offered { transfer, to, .. }, false) = (&robot.custody.phase, free) {
        return no(
            Reason::TransferOpen,
            Detail::TransferTo {
                transfer: *transfer,
                to: *to,
            },
        );
    }
    let conflicts = matches!(
        action,
        ActionKind::Sell
            | ActionKind::DeclareEndOfLife
            | ActionKind::ConfirmEndOfLife
            | ActionKind::Annul
    );
    if conflicts {
        no_request(robot, cx.now)?;
    }
    if let Some(hold) = robot.holds.iter().find(|hold| blocks(hold.kind, action)) {
        return no(Reason::Held, hold.stands());
    }
    let owed = recalls_owed(ledger, robot)?;
    if let Some(recall) = owed
        .iter()
        .find(|recall| blocked_by_recall(recall.notice.severity, action))
    {
        return no(
            Reason::RecallOpen,
            Detail::RecallOpen {
                recall: recall.notice.id.clone(),
                severity: recall.notice.severity,
            },
        );
    }
    stay_allows(robot, action)?;
    match next(Some(robot.state), action) {
        Some(to) => Ok(to),
        None => no(
            Reason::TransitionNotAllowed,
            Detail::ActionIn {
                action,
                state: robot.state,
            },
        ),
    }
}

/// Whether a code is set aside and was never in service. One that another country shows as reserved has a chain.
fn is_unused(robot: &Robot) -> bool {
    robot.state == State::Reserved && robot.custody.shown.is_none()
}

/// A departure is read with the leaves behind it, of which there is a bounded number: while a robot is under way, nothing is
/// written of it that could be written over and over. Notes wait until it has arrived; an alarm is raised once by each who
/// may, and lifted then.
pub(super) fn not_under_way<F>(robot: &Robot) -> Result<(), Stop<F>> {
    match &robot.custody.phase {
        Phase::Released { transfer, to, .. } if !robot.state.is_final() => no(
            Reason::TransferOpen,
            Detail::TransferUnderWay {
                transfer: *transfer,
                to: *to,
            },
        ),
        _ => Ok(()),
    }
}

/// No code, no market access: a domestic model must be approved, and who answers for it in good standing.
fn may_enter_market<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    robot: &Robot,
) -> Result<(), Stop<L::Fault>> {
    let code = &robot.identity.code;
    if code.prefix() != cx.me() {
        return Ok(()); // Admitted under a clause of an agreement; its approval is the issuer's.
    }
    let role = if robot.identity.importers_filing {
        Role::Importer
    } else {
        Role::Manufacturer
    };
    let enterprise = answers_for(ledger, &code.enterprise_id(), cx.now)?;
    standing::<L::Fault>(&enterprise, cx.now)?;
    if !enterprise.roles.contains(&role) {
        return no(
            Reason::EnterpriseLacksRole,
            Detail::NotAccreditedAs {
                id: enterprise.id,
                role,
            },
        );
    }
    is_approved(ledger, cx, robot)
}

/// Refuses a robot of ours whose model is not approved.
fn is_approved<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    robot: &Robot,
) -> Result<(), Stop<L::Fault>> {
    let code = &robot.identity.code;
    if code.prefix() != cx.me() {
        return Ok(());
    }
    match ledger.model(&code.model_id()).or_fault()? {
        Some(model) if model.status == ApprovalStatus::Approved => Ok(()),
        Some(model) => no(
            Reason::ModelNotApproved,
            Detail::ModelIs {
                id: model.id,
                status: model.status,
            },
        ),
        None => no(
            Reason::ModelUnknown,
            Detail::Model {
                id: code.model_id(),
            },
        ),
    }
}

pub(super) fn act<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    code: &Code,
    expected: Option<u64>,
    action: &Action,
) -> Decided<L::Fault> {
    let deed = Deed::of(action);
    cx.allow_role(deed)?;
    let robot = cx.inherited(ledger, known(ledger, code)?)?;
    cx.allow_on(deed, &robot)?;
    // A registrar moves the stock of one who may not.
    let stocked_for = match action {
        Action::Stock { .. } => {
            let whose = robot.owner.as_ref().or(robot.holder.as_ref());
            whose.filter(|whose| !cx.is_side_of(whose))
        }
        _ => None,
    };
    if let Some(whose) = stocked_for {
        cx.in_place_of(ledger, deed, &robot, whose)?;
    }
    named(ledger, cx, code, action)?;
    match action {
        Action::Sell { .. } => may_enter_market(ledger, cx, &robot)?,
        // It was sold once: who owns it goes on when its maker may act no more, or is no more.
        Action::Deploy { .. } => is_approved(ledger, cx, &robot)?,
        _ => {}
    }
    issuer_annuls::<L::Fault>(cx.me(), *code, action.kind())?;
    let mut yielding = Yielding::default();
    let (mut comer, mut row) = (Comer::Another(None), None);
    if let Action::ReplacePart { fitted, .. } = action {
        let fits = match &cx.signer.holder {
            Holder::Enterprise { id } => ledger.enterprise(id).or_fault()?,
            Holder::Office { .. } => None,
        };
        comer = Comer::with(cx, fits.as_ref(), &fitted.maker);
        row = is_free(ledger, &robot, fitted, comer, &mut yielding)?;
    }
    let to = admissible(ledger, cx, &robot, expected, action.kind())?;
    let mut after = Robot {
        state: to,
        owed: still_owed(ledger, &robot)?,
        ..robot.clone()
    };
    let mut effects = Vec::new();
    let (mut corrects, mut waits) = (None, false);
    match action {
        Action::Stock { at } => {
            let mut is_settled = true;
            if stocked_for.is_some() {
                let act = sha256(&[&action.to_bytes()]);
                is_settled = ownership::second_word(ledger, cx, &mut after, act)?;
                // What was released of it from where it stood is what two decided over.
                if is_settled && matches!(after.pending, Pending::Released { .. }) {
                    after.pending = Pending::Nothing {};
                }
            }
            if !is_settled {
                (after.state, waits) = (robot.state, true);
            } else if let Some(id) = at {
                after.holder = Some(Party::Enterprise { id: *id });
            }
        }
        Action::BeginMaintenance { workshop, .. } => after.workshop = *workshop,
        Action::CompleteMaintenance { .. } => after.workshop = None,
        Action::Repair { .. } | Action::RecordIncident { .. } => {}
        Action::Inspect { report, passed } => {
            after.inspection = (*passed && robot.state == State::Retired).then_some(*report);
        }
        Action::Retire { .. } => {
            after.inspection = None;
            after.workshop = None;
        }
        Action::ReturnToService { report } => {
            if robot.inspection != Some(*report) {
                return no(Reason::InspectionMissing, Detail::NOTHING);
            }
            after.inspection = None;
        }
        Action::RecordTraining { model, .. } => after.add_ai_model(*model)?,
        Action::Sell { owner } => {
            let owner = cx.party(ledger, owner, PARTIES)?;
            ownership::hand_over(&mut after, owner);
        }
        Action::Deploy { operator, scenario } | Action::Redeploy { operator, scenario } => {
            after.operator = Some(cx.party(ledger, operator, PARTIES)?);
            after.scenario.clone_from(scenario);
        }
        Action::UpdateSoftware { firmware } => {
            after.owed = owed_ids(ledger, &robot)?;
            after.firmware = firmware.clone();
        }
        Action::ReplacePart { removed, fitted } => {
            after.owed = owed_ids(ledger, &robot)?;
            effects = replace_part(&mut after, removed, fitted, row.take())?;
            effects.extend(comer.outdoes(ledger, cx, &fitted.identity())?);
        }
        Action::ReleaseOwnership {
            commitment,
            to,
            until,
            asking,
            reason,
        } => {
            let offered = Offered {
                commitment: *commitment,
                to,
                until: *until,
                asking: *asking,
                reason,
            };
            ownership::release(ledger, cx, &mut after, expected, &offered)?;
        }
        Action::RequestOwnership { owner, secret } => {
            ownership::request(ledger, cx, &mut after, owner, secret)?;
        }
        Action::ChangeDesk {
            person,
            desk,
            reason,
        } => ownership::change_desk(cx, &mut after, person, desk, reason)?,
        Action::ApproveOwnership {} => ownership::approve(ledger, cx, &mut after)?,
        Action::EndOwnershipRequest { end, .. } => ownership::end(cx, &mut after, *end)?,
        Action::DeclareEndOfLife {
            outcome,
            certificate,
        } => {
            let declared = Declared {
                outcome: *outcome,
                by: cx.side(),
                certificate: *certificate,
                at: cx.now,
                withdrawn: false,
                clock: cx.registry.time_statements,
            };
            effects.extend(declare_end(ledger, cx, &mut after, declared)?);
        }
        Action::WithdrawEndOfLife { .. } => effects.extend(withdraw_end(cx, &mut after)?),
        Action::ConfirmEndOfLife { certificate } => {
            let (outcome, by) = declared_by::<L::Fault>(cx, &robot, certificate)?;
            let Some(end) = end_state(robot.state, outcome) else {
                return no(
                    Reason::TransitionNotAllowed,
                    Detail::EndFrom {
                        outcome,
                        state: robot.state,
                    },
                );
            };
            cx.second_to(ledger, by)?;
            cx.not_by_a_chosen_desk(&robot)?;
            // A registrar is one of the two, or both count what they end in a day.
            let is_registrars = |signer: Option<Signer>| {
                signer.is_some_and(|signer| signer.role == Role::Registrar)
            };
            if cx.signer.role != Role::Registrar
                && !is_registrars(ledger.signer(&by.key).or_fault()?)
            {
                effects.push(ends_of_the_day(ledger, cx)?);
            }
            after.state = end;
            after.pending = Pending::Nothing {};
            after.declared.clear();
            after
                .holds
                .retain(|hold| hold.kind != HoldKind::EndOfLifePending);
            effects.extend([Effect::End(end), Effect::TellAll]);
            // Parts that carry no identity may serve on; the others end with the robot.
            let parts = robot.parts.iter();
            effects.extend(parts.map(|part| Effect::Part(part.identity, None)));
        }
        // What has an owner already is not one registrar's to end.
        Action::Annul { .. }
            if robot.owner.is_some()
                && !ownership::second_word(
                    ledger,
                    cx,
                    &mut after,
                    sha256(&[&action.to_bytes()]),
                )? =>
        {
            (after.state, waits) = (robot.state, true);
        }
        Action::Annul { .. } => {
            effects.extend(
                robot
                    .identities()
                    .into_iter()
                    .map(|identity| Effect::Part(identity, None)),
            );
            effects.extend(
                robot
                    .parts
                    .iter()
                    .map(|part| Effect::Part(part.identity, None)),
            );
        }
        Action::Correct {
            corrects: index, ..
        } => {
            its_leaf(ledger, code, *index)?;
            corrects = Some(*index);
        }
    }
    let kind = match action {
        Action::ReleaseOwnership { .. }
        | Action::RequestOwnership { .. }
        | Action::ApproveOwnership {}
        | Action::EndOwnershipRequest { .. }
        | Action::ChangeDesk { .. } => Kind::Ownership,
        Action::RecordIncident { .. } => Kind::Incident,
        _ => Kind::LifeCycle,
    };
    effects.extend(engaged(ledger, cx, Some(&robot), &after)?);
    let mut event = Event::new(kind, command, After::Robot(Box::new(after)));
    event.effects = effects;
    event.corrects = corrects;
    event.waits = waits;
    let alarms = yielding.alarms(ledger)?;
    Ok(alarms.into_iter().chain([event]).collect())
}

/// Refuses enterprises that an action names and that cannot be what they are named as.
fn named<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    code: &Code,
    action: &Action,
) -> Result<(), Stop<L::Fault>> {
    match action {
        Action::Stock { at: Some(id) } => cx.can_act(ledger, id, TRADERS),
        Action::BeginMaintenance {
            workshop: Some(id), ..
        } => cx.can_act(ledger, id, WORKSHOPS),
        Action::ChangeDesk {
            desk: Desk::Enterprise { id },
            ..
        } => {
            cx.can_act(ledger, id, PARTIES)?;
            let desk = ledger.enterprise(id).or_fault()?;
            match desk.is_some_and(|desk| desk.keys > 0) {
                true => Ok(()),
                // Nobody would act for the person, and whoever gives it its first key would.
                false => no(Reason::EnterpriseNotActive, Detail::NoKeyOf { id: *id }),
            }
        }
        Action::ChangeDesk {
            desk: Desk::Office { prefix, .. },
            ..
        } if *prefix != cx.me() => no(Reason::PrefixNotOurs, Detail::Prefix { prefix: *prefix }),
        Action::RequestOwnership { owner, .. } => {
            ownership::may_ask(cx, code, owner)?;
            cx.can_be(ledger, owner, PARTIES)
        }
        Action::Sell { owner } => cx.can_be(ledger, owner, PARTIES),
        Action::Deploy { operator, .. } | Action::Redeploy { operator, .. } => {
            cx.can_be(ledger, operator, PARTIES)
        }
        Action::ReleaseOwnership { to: Some(to), .. } => cx.can_be(ledger, to, PARTIES),
        _ => Ok(()),
    }
}

/// Refuses a leaf that is not the robot's: a correction says what is true instead of one of its own.
fn its_leaf<L: Ledger>(ledger: &L, code: &Code, index: u64) -> Result<(), Stop<L::Fault>> {
    let record = ledger.leaf(index).or_fault()?;
    // level: a leaf of our own.
    let leaf = record.and_then(|record| Leaf::from_bytes(&record.leaf.0).ok());
    if leaf.is_none_or(|leaf| leaf.key != Subject::robot(code).key()) {
        return no(Reason::LeafNotItsOwn, Detail::LeafOf { index, code: *code });
    }
    Ok(())
}

/// The declaration that a certificate names: of who is something to the robot, else the first that a stranger made.
fn declared_by<'r, F>(
    cx: &Context<'_>,
    robot: &'r Robot,
    named: &Digest,
) -> Result<(EndOfLife, &'r Actor), Stop<F>> {
    if let Pending::EndOfLife {
        outcome,
        by,
        certificate,
    } = &robot.pending
        && certificate == named
    {
        return Ok((*outcome, by));
    }
    let stands = |one: &&Declared| one.stands(cx.now, cx.registry.time_statements);
    let mut standing = robot.declared.iter().filter(stands);
    match standing.find(|one| one.certificate == *named) {
        Some(one) => Ok((one.outcome, &one.by)),
        None => {
            let other = match &robot.pending {
                Pending::EndOfLife { certificate, .. } => Some(*certificate),
                _ => {
                    let first = robot.declared.iter().find(stands);
                    first.map(|one| one.certificate)
                }
            };
            let detail = match other {
                Some(certificate) => Detail::EndDeclaredWith { certificate },
                None => Detail::NoEndDeclared {},
            };
            no(Reason::NothingPending, detail)
        }
    }
}

/// Takes a declaration back, as its recycler, or rejects whatever was declared, as its owner or a registrar.
fn withdraw_end<F>(cx: &Context<'_>, after: &mut Robot) -> Result<Vec<Effect>, Stop<F>> {
    let own_only = cx.signer.role == Role::Recycler;
    let is_meant = |by: &Actor| !own_only || by.holder == cx.signer.holder;
    let mut effects = Vec::new();
    let mut withdrawn = false;
    if matches!(&after.pending, Pending::EndOfLife { by, .. } if is_meant(by)) {
        after.pending = Pending::Nothing {};
        after
            .holds
            .retain(|hold| hold.kind != HoldKind::EndOfLifePending);
        // Who heard that it was declared hears that it is not.
        effects.push(Effect::TellAll);
        withdrawn = true;
    }
    for one in &mut after.declared {
        if one.stands(cx.now, cx.registry.time_statements) && is_meant(&one.by) {
            one.withdrawn = true;
            one.at = cx.now;
            withdrawn = true;
        }
    }
    if !withdrawn {
        return no(Reason::NothingPending, Detail::NoEndDeclared {});
    }
    Ok(effects)
}

fn declare_end<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    after: &mut Robot,
    declared: Declared,
) -> Result<Vec<Effect>, Stop<L::Fault>> {
    if end_state(after.state, declared.outcome).is_none() {
        return no(
            Reason::TransitionNotAllowed,
            Detail::EndFrom {
                outcome: declared.outcome,
                state: after.state,
            },
        );
    }
    // Who made it, or declared before, is a stranger to it all the same.
    let to_it = relations(cx.me(), &cx.signer.holder, after);
    let to_it = to_it.iter().any(|relation| match relation {
        Relation::Holder
        | Relation::Owner
        | Relation::Operator
        | Relation::Workshop
        | Relation::Desk
        | Relation::Office => true,
        Relation::Maker | Relation::Pending | Relation::Declarer | Relation::None => false,
    });
    if to_it {
        after.pending = Pending::EndOfLife {
            outcome: declared.outcome,
            by: declared.by,
            certificate: declared.certificate,
        };
        after.holds.push(Hold {
            kind: HoldKind::EndOfLifePending,
            setter: cx.actor(),
            reason: String::new(),
            since: cx.now,
        });
        let counted = ends_of_the_day(ledger, cx)?;
        return Ok(vec![Effect::TellAll, counted]);
    }
    bring(ledger, cx, after, declared)
}

/// Counts an end that a key declares or confirms: stolen, it ends so many robots a day and no whole fleet.
fn ends_of_the_day<L: Ledger>(ledger: &L, cx: &Context<'_>) -> Result<Effect, Stop<L::Fault>> {
    // As it is by now: one request has many items.
    let key = cx.signer.id;
    let signer = ledger.signer(&key).or_fault()?;
    let today = signer.map_or(0, |signer| signer.ends.on(cx.now));
    if today >= ENDS_A_DAY_MAX {
        let (what, max) = (Counted::Ends, ENDS_A_DAY_MAX);
        return no(Reason::DailyLimit, Detail::Full { what, max });
    }
    Ok(Effect::EndSaid(key))
}

/// Anybody may have brought it to a recycler: what a stranger declares waits beside whatever waits, takes nothing's place,
/// is told to nobody abroad, and is not said of one robot again and again, nor of all there are.
fn bring<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    after: &mut Robot,
    declared: Declared,
) -> Result<Vec<Effect>, Stop<L::Fault>> {
    after
        .declared
        .retain(|one| one.is_kept(cx.now, cx.registry.time_statements));
    let own = |one: &&Declared| one.by.holder == declared.by.holder;
    if let Some(before) = after.declared.iter().find(own) {
        let since = before.at;
        return no(Reason::EndDeclared, Detail::DeclaredOn { since });
    }
    let Holder::Enterprise { id } = cx.signer.holder else {
        unreachable!("an office is something to every robot");
    };
    let enterprise = ledger.enterprise(&id).or_fault()?;
    let today = enterprise.map_or(0, |enterprise| enterprise.declared.on(cx.now));
    if today >= DECLARATIONS_A_DAY_MAX {
        let (what, max) = (Counted::Declarations, DECLARATIONS_A_DAY_MAX);
        return no(Reason::DailyLimit, Detail::Full { what, max });
    }
    if after.declared.len() >= DECLARATIONS_MAX {
        // What was rejected makes way: whoever was first keeps nobody from it whom the owner brings it to then.
        let Some(rejected) = after.declared.iter().position(|one| one.withdrawn) else {
            let (what, max) = (Counted::Declarations, DECLARATIONS_MAX as u64);
            return no(Reason::RecordFull, Detail::Full { what, max });
        };
        after.declared.remove(rejected);
    }
    after.declared.push(declared);
    Ok(vec![Effect::Declared(id)])
}

/// The row to be written of a part; none where it stands. Refuses a part that has ended, or that another robot has.
fn is_free<L: Ledger>(
    ledger: &L,
    robot: &Robot,
    named: &PartName,
    comer: Comer,
    yielding: &mut Yielding,
) -> Result<Option<Fitting>, Stop<L::Fault>> {
    let fitted = named.part();
    let code = &robot.identity.code;
    let claims = Claims::about(ledger, &named.maker)?;
    refuse_ended(ledger, Ending::Part, &fitted.identity, claims, comer)?;
    let again = robot.former_parts.contains(&fitted.identity);
    let fitting = ledger.part_holder(&fitted.identity).or_fault()?;
    let own = |row: &Fitting| row.code == *code && row.by != Fitted::Cleared;
    let mut stands = false;
    let holder = match fitting {
        // In this very robot it is no other one's row that would yield. A part that carries identity stays bound to the code when
        // it is taken out, and may come back into this robot alone: as what it was, with whatever somebody says of it.
        Some(fitting) if own(&fitting) => {
            stands = !comer.is_maker();
            (!again).then_some(fitting)
        }
        _ => yielding.holder(ledger, code, &fitted.identity, comer)?,
    };
    match holder {
        Some(other) => no(Reason::PartInUse, in_use(fitted.kind, &other)),
        None => Ok((!stands).then(|| yielding.row(&fitted.identity, comer.row(*code)))),
    }
}

fn replace_part<F>(
    after: &mut Robot,
    removed: &Digest,
    named: &PartName,
    row: Option<Fitting>,
) -> Result<Vec<Effect>, Stop<F>> {
    let fitted = named.part();
    let identity = fitted.kind.carries_identity();
    // What a stolen robot is known by stays in it.
    let stolen = after.holds.iter().find(|hold| hold.kind == HoldKind::Theft);
    if let Some(hold) = stolen.filter(|_| identity) {
        return no(Reason::Held, hold.stands());
    }
    let list = if identity {
        &mut after.identity_parts
    } else {
        &mut after.parts
    };
    let Some(place) = list
        .iter_mut()
        .find(|part| part.identity == *removed && part.kind == fitted.kind)
    else {
        return no(
            Reason::PartNotFitted,
            Detail::NotFitted { part: fitted.kind },
        );
    };
    *place = fitted.clone();
    if identity {
        after.former_parts.retain(|part| *part != fitted.identity);
        after.former_parts.push(*removed);
    }
    let row = row.map(|row| Effect::Part(fitted.identity, Some(row)));
    let mut effects = Vec::from_iter(row);
    if !identity {
        effects.push(Effect::Part(*removed, None));
    }
    Ok(effects)
}

pub(super) fn set_hold<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    code: &Code,
    kind: HoldKind,
    reason: &str,
) -> Decided<L::Fault> {
    cx.allow_role(Deed::SetHold)?;
    let robot = known(ledger, code)?;
    cx.allow_on(Deed::SetHold, &robot)?;
    admissible(ledger, cx, &robot, None, ActionKind::ChangeHold)?;
    let abroad = robot.state != State::Reserved && !robot.custody.is_responsible();
    if abroad && !matches!(kind, HoldKind::Theft | HoldKind::Lost) {
        return no(Reason::NotInCustody, whereabouts(&robot.custody));
    }
    if kind == HoldKind::EndOfLifePending {
        return no(Reason::TransitionNotAllowed, Detail::EndIsNoHold {});
    }
    if !sets(cx.signer.role, kind) {
        let role = cx.signer.role;
        return no(
            Reason::RoleNotAllowed,
            Detail::RoleMayNotHold { role, kind },
        );
    }
    if robot
        .holds
        .iter()
        .any(|hold| hold.kind == kind && hold.setter == cx.actor())
    {
        return no(Reason::HoldExists, Detail::Hold { kind });
    }
    let mut after = robot;
    after.holds.push(Hold {
        kind,
        setter: cx.actor(),
        reason: reason.to_owned(),
        since: cx.now,
    });
    let mut event = Event::new(Kind::Hold, command, After::Robot(Box::new(after)));
    if matches!(kind, HoldKind::Theft | HoldKind::Lost) {
        event.effects.push(Effect::TellAll);
    } else if is_for_the_issuer(cx.me(), kind, code) {
        event.effects.push(Effect::Tell(code.prefix()));
    }
    Ok(vec![event])
}

/// Whether a hold is told at once to the country that issued the robot's code: it answers for the model, and for what its own
/// people buy back. Of its own robots a country tells the others by a recall.
fn is_for_the_issuer(me: Prefix, kind: HoldKind, code: &Code) -> bool {
    kind == HoldKind::RegulatorStop && code.prefix() != me
}

/// Whether a hold is one that the owner's side set here: it is the owner's, not the desk's that signed.
fn is_owners(me: Prefix, hold: &Hold) -> bool {
    hold.kind == HoldKind::OwnerHold && hold.setter.role == Role::Owner && hold.setter.prefix == me
}

pub(super) fn lift_hold<L: Ledger>(
    ledger: &L,
    cx: &Context<'_>,
    command: &Command,
    code: &Code,
    kind: HoldKind,
    reason: &str,
) -> Decided<L::Fault> {
    cx.allow_role(Deed::LiftHold)?;
    let robot = known(ledger, code)?;
    cx.allow_on(Deed::LiftHold, &robot)?;
    let (me, actor) = (cx.me(), cx.actor());
    // An owner's hold is the owner's, whoever signs for it by now; where nobody may, a registrar's, with a reason.
    let of_owner = |hold: &Hold| is_owners(me, hold) && hold.kind == kind;
    let (mut stands_for, mut in_place) = (false, false);
    if let Some(owner) = robot
        .owner
        .as_ref()
        .filter(|_| robot.holds.iter().any(of_owner))
    {
        stands_for = cx.is_side_of(owner) && cx.signer.role == Role::Owner;
        in_place = cx.signer.role == Role::Registrar && !cx.acts(ledger, owner, &[Role::Owner])?;
    }
    let own =
        |hold: &Hold| hold.kind == kind && hold.setter == actor || stands_for && of_owner(hold);
    let abroad = robot.state != State::Reserved && !robot.custody.is_responsible();
    // Its setter lifts it wherever the robot is by now, and whatever its record here still says.
    if !abroad {
        admissible(ledger, cx, &robot, None, ActionKind::ChangeHold)?;
    } else if robot.state.is_final() {
        let (code, state) = (*code, robot.state);
        return no(Reason::StateFinal, Detail::RobotIs { code, state });
    }
    not_under_way(&robot)?;
    let mut after = robot;
    let before = after.holds.clone();
    if kind != HoldKind::EndOfLifePending {
        after.holds.retain(|hold| !own(hold));
    }
    let stood = after.holds.len() < before.len();
    if !stood && !abroad && in_place {
        if reason.trim().is_empty() {
            return no(Reason::ReasonMissing, Detail::Hold { kind });
        }
        // One registrar can make that nobody may act for an owner, and undo it.
        let act = sha256(&[&(*code, kind).to_bytes()]);
        if cx.is_in_earnest() && !ownership::second_word(ledger, cx, &mut after, act)? {
            let after = After::Robot(Box::new(after));
            let mut first = Event::new(Kind::Hold, command, after);
            first.waits = true;
            return Ok(vec![first]);
        }
        after.holds.retain(|hold| !of_owner(hold));
    }
    if !stood && !abroad && lifts_others(cx.signer.role, kind) {
        after.holds.retain(|hold| hold.kind != kind);
        if after.holds.len() < before.len() && reason.trim().is_empty() {
            return no(Reason::ReasonMissing, Detail::Hold { kind });
        }
    }
    if after.holds.len() == before.len() {
        return no(Reason::HoldUnknown, Detail::Hold { kind });
    }
    // Whoever has the robot, and whoever set what was lifted, hears of it.
    let of_others = before
        .iter()
        .any(|hold| hold.kind == kind && hold.setter.prefix != me && !after.holds.contains(hold));
    let alarm = matches!(kind, HoldKind::Theft | HoldKind::Lost);
    let mut event = Event::new(Kind::Hold, command, After::Robot(Box::new(after)));
    if alarm || abroad || of_others {
        event.effects.push(Effect::TellAll);
    } else if is_for_the_issuer(me, kind, code) {
        event.effects.push(Effect::Tell(code.prefix()));
    }
    Ok(vec![event])
}
