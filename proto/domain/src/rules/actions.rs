//! Who may do what: one row a deed, a deed being a command or, of `Act`, one of its actions. The only such table.
//!
//! A cell is (deed, role, relation, standing). `decide` finds the relations of the signer to the subject in the records and
//! asks [`judge`]; ingress asks as far as it can know. `proto/vectors/actions.txt` is the authority that the rows are compared
//! with, `proto/ACTIONS.md` is made of them. Two more things are not a matter of one signer, and so not of this table: which
//! steps need a second party (`parties`), and what may follow what (`lifecycle`).
//!
//! Choices that the rows make:
//! * A desk, who acts for a natural person, does what the person might: as owner or holder it is [`Relation::Desk`], as
//!   operator it is [`Relation::Operator`].
//! * A workshop is the enterprise that the owner, holder or operator named when maintenance began; it works on the robot
//!   until maintenance is complete. A service provider that nobody named works on what its own enterprise made, holds, owns
//!   or operates. The maker keeps its part in its robots: it repairs, inspects and remedies them wherever they are.
//! * An export is declared by who holds or owns the robot, by their own declarant, or by customs. It is taken back by whose enterprise
//!   declared it, by the owner's side, or by customs: who merely holds the robot does not undo what its owner declared.
//! * A recycler declares an end of life of any robot, for whoever brings it; it needs a confirmation by another party, and a
//!   declaration by a stranger ties up nothing until then (see `decide::robot`).
//! * To ask for ownership one needs no relation, but the secret of a release.
//! * Where a robot has an owner, who merely holds it is nothing to what is the owner's to do ([`Deed::is_of_owner`]): a
//!   consignee neither sells it nor ends it, nor exports it for good.
//! * A registrar stands in for an owner or holder whose side may not act any more: releases, with another person of the
//!   registrars or regulators to approve, and moves stock; and gives a natural person another desk.
//! * Whether a foreign recall binds here that is beyond its clause, the regulator says and nobody else: it stops robots of others.
//! * Whose enterprise has lost its standing does only what it still must: recalls and remedies, and taking back an export.

use crate::rules::command::{Action, CommandKind};
use crate::rules::policy::Role::{self, *};

/// What is done: a command, or one of the actions of `Act`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Lists an enterprise under the registry's prefix.
    AccreditEnterprise,
    /// Suspends, reinstates or strikes off an enterprise.
    SetEnterpriseStatus,
    /// Renews, widens, narrows or renames an accreditation.
    AmendEnterprise,
    /// Names who goes on with what an enterprise made.
    SucceedEnterprise,
    /// Enrols a key of an enterprise.
    AddEnterpriseSigner,
    /// Enrols a key of an office.
    AddOfficeSigner,
    /// Retires a key of an enterprise.
    RetireEnterpriseSigner,
    /// Retires a key of an office.
    RetireOfficeSigner,
    /// Lists a model that robots may be registered of.
    ApproveModel,
    /// Suspends, reinstates or withdraws an approval.
    SetModelStatus,
    /// Sets a code aside.
    Reserve,
    /// Registers a robot of one's own make.
    Register,
    /// Registers a robot whose maker's country has no registry.
    FileImport,
    /// Marks a robot, so that what the kind of mark stops is stopped.
    SetHold,
    /// Takes a mark off a robot.
    LiftHold,
    /// Offers a robot to another country.
    DeclareExport,
    /// Takes an offer back.
    CancelExport,
    /// Lets a robot that is offered come, under conditions.
    PermitImport,
    /// Turns an offer of another country down.
    RefuseImport,
    /// Releases a robot to another country.
    Depart,
    /// Admits a robot.
    Admit,
    /// Sends a robot in transit back.
    Return,
    /// Detains a robot in transit.
    Detain,
    /// Says that robots of some models owe a remedy.
    OpenRecall,
    /// Amends a recall.
    AmendRecall,
    /// Ends one: nothing is owed by it any more.
    WithdrawRecall,
    /// Records that a recall was remedied.
    RemedyRecall,
    /// Decides whether a foreign recall beyond its clause binds here.
    DecideRecall,
    /// Clears a peer's claim that an identity ended.
    ClearClaim,
    /// Puts a robot in stock.
    Stock,
    /// Sells a robot to its first owner.
    Sell,
    /// Puts it into use.
    Deploy,
    /// Moves it to another use.
    Redeploy,
    /// Takes a robot out of use and gives it to a workshop.
    BeginMaintenance,
    /// Puts it back into use.
    CompleteMaintenance,
    /// Mends a fault.
    Repair,
    /// Takes one part out of a robot and puts another of its kind in.
    ReplacePart,
    /// Looks a robot over and says whether it passed.
    Inspect,
    /// Records an incident.
    RecordIncident,
    /// Records training.
    RecordTraining,
    /// Changes the firmware.
    UpdateSoftware,
    /// Releases a robot from ownership.
    ReleaseOwnership,
    /// Asks for ownership.
    RequestOwnership,
    /// Gives ownership.
    ApproveOwnership,
    /// Ends a change of ownership without one.
    EndOwnershipRequest,
    /// Takes a robot out of use.
    Retire,
    /// Brings it back.
    ReturnToService,
    /// Says that a robot is to end, and how; somebody else confirms it.
    DeclareEndOfLife,
    /// Withdraws or rejects the declaration.
    WithdrawEndOfLife,
    /// Confirms the declaration.
    ConfirmEndOfLife,
    /// Annuls a registration.
    Annul,
    /// Corrects an earlier leaf.
    Correct,
    /// Gives a natural person another desk.
    ChangeDesk,
    /// Ends a proposal that waits for its second word.
    RejectProposal,
    /// Tries a peer's item that waits once more.
    RetryParked,
    /// Gives up a peer's item that waits.
    DiscardParked,
    /// Pauses the contact with a peer, or resumes it.
    SetContact,
    /// Sets how much is read of a peer.
    LimitPeer,
    /// Has a certificate refused.
    RevokeCertificate,
    /// Has it refused no more.
    UnrevokeCertificate,
    /// Lets nodes leave the cluster for good.
    ChangeMembers,
    /// Retires the key that the signer's own was enrolled to follow.
    RetireFollowed,
}
crate::canonical_enum!(Deed {
    1 => AccreditEnterprise, 2 => SetEnterpriseStatus, 3 => AddEnterpriseSigner, 4 => AddOfficeSigner,
    5 => RetireEnterpriseSigner, 6 => RetireOfficeSigner, 7 => ApproveModel, 8 => SetModelStatus, 9 => Reserve,
    10 => Register, 11 => SetHold, 12 => LiftHold, 13 => DeclareExport, 14 => CancelExport, 15 => PermitImport,
    16 => RefuseImport, 17 => Depart, 18 => Admit, 19 => Return, 20 => OpenRecall, 21 => WithdrawRecall,
    22 => RemedyRecall, 23 => FileImport, 24 => ClearClaim, 25 => DecideRecall, 30 => Stock, 31 => Sell, 32 => Deploy, 33 => Redeploy, 34 => BeginMaintenance,
    35 => CompleteMaintenance, 36 => Repair, 37 => ReplacePart, 38 => Inspect, 39 => RecordIncident,
    40 => RecordTraining, 41 => UpdateSoftware, 42 => ReleaseOwnership, 43 => RequestOwnership, 44 => ApproveOwnership,
    45 => EndOwnershipRequest, 46 => Retire, 47 => ReturnToService, 48 => DeclareEndOfLife, 49 => WithdrawEndOfLife,
    50 => ConfirmEndOfLife, 51 => Annul, 52 => Correct, 53 => ChangeDesk,
    54 => RejectProposal, 55 => AmendRecall, 56 => AmendEnterprise, 57 => SucceedEnterprise,
    58 => RetryParked, 59 => DiscardParked, 62 => SetContact, 63 => LimitPeer,
    60 => RevokeCertificate, 61 => UnrevokeCertificate, 64 => ChangeMembers, 70 => Detain,
    71 => RetireFollowed,
});

impl Deed {
    /// The command that does it.
    pub fn command(self) -> CommandKind {
        use CommandKind as K;
        match self {
            Self::AccreditEnterprise => K::AccreditEnterprise,
            Self::SetEnterpriseStatus => K::SetEnterpriseStatus,
            Self::AmendEnterprise => K::AmendEnterprise,
            Self::SucceedEnterprise => K::SucceedEnterprise,
            Self::AddEnterpriseSigner | Self::AddOfficeSigner => K::AddSigner,
            Self::RetireEnterpriseSigner | Self::RetireOfficeSigner | Self::RetireFollowed => {
                K::RetireSigner
            }
            Self::RejectProposal => K::RejectProposal,
            Self::ApproveModel => K::ApproveModel,
            Self::SetModelStatus => K::SetModelStatus,
            Self::Reserve => K::Reserve,
            Self::Register | Self::FileImport => K::Register,
            Self::SetHold => K::SetHold,
            Self::LiftHold => K::LiftHold,
            Self::DeclareExport => K::DeclareExport,
            Self::CancelExport => K::CancelExport,
            Self::PermitImport => K::PermitImport,
            Self::RefuseImport => K::RefuseImport,
            Self::Depart => K::Depart,
            Self::Admit => K::Admit,
            Self::Return => K::Return,
            Self::Detain => K::Detain,
            Self::OpenRecall => K::OpenRecall,
            Self::AmendRecall => K::AmendRecall,
            Self::WithdrawRecall => K::WithdrawRecall,
            Self::RemedyRecall => K::RemedyRecall,
            Self::DecideRecall => K::DecideRecall,
            Self::ClearClaim => K::ClearClaim,
            Self::RetryParked => K::RetryParked,
            Self::DiscardParked => K::DiscardParked,
            Self::SetContact => K::SetContact,
            Self::LimitPeer => K::LimitPeer,
            Self::RevokeCertificate => K::RevokeCertificate,
            Self::UnrevokeCertificate => K::UnrevokeCertificate,
            Self::ChangeMembers => K::ChangeMembers,
            Self::Stock
            | Self::Sell
            | Self::Deploy
            | Self::Redeploy
            | Self::BeginMaintenance
            | Self::CompleteMaintenance
            | Self::Repair
            | Self::ReplacePart
            | Self::Inspect
            | Self::RecordIncident
            | Self::RecordTraining
            | Self::UpdateSoftware
            | Self::ReleaseOwnership
            | Self::RequestOwnership
            | Self::ApproveOwnership
            | Self::EndOwnershipRequest
            | Self::Retire
            | Self::ReturnToService
            | Self::DeclareEndOfLife
            | Self::WithdrawEndOfLife
            | Self::ConfirmEndOfLife
            | Self::Annul
            | Self::Correct
            | Self::ChangeDesk => K::Act,
        }
    }

    /// What an action does.
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Stock { .. } => Self::Stock,
            Action::Sell { .. } => Self::Sell,
            Action::Deploy { .. } => Self::Deploy,
            Action::Redeploy { .. } => Self::Redeploy,
            Action::BeginMaintenance { .. } => Self::BeginMaintenance,
            Action::CompleteMaintenance { .. } => Self::CompleteMaintenance,
            Action::Repair { .. } => Self::Repair,
            Action::ReplacePart { .. } => Self::ReplacePart,
            Action::Inspect { .. } => Self::Inspect,
            Action::RecordIncident { .. } => Self::RecordIncident,
            Action::RecordTraining { .. } => Self::RecordTraining,
            Action::UpdateSoftware { .. } => Self::UpdateSoftware,
            Action::ReleaseOwnership { .. } => Self::ReleaseOwnership,
            Action::RequestOwnership { .. } => Self::RequestOwnership,
            Action::ApproveOwnership {} => Self::ApproveOwnership,
            Action::EndOwnershipRequest { .. } => Self::EndOwnershipRequest,
            Action::Retire { .. } => Self::Retire,
            Action::ReturnToService { .. } => Self::ReturnToService,
            Action::DeclareEndOfLife { .. } => Self::DeclareEndOfLife,
            Action::WithdrawEndOfLife { .. } => Self::WithdrawEndOfLife,
            Action::ConfirmEndOfLife { .. } => Self::ConfirmEndOfLife,
            Action::Annul { .. } => Self::Annul,
            Action::Correct { .. } => Self::Correct,
            Action::ChangeDesk { .. } => Self::ChangeDesk,
        }
    }

    /// Whether it is the owner's to do: of a robot that has one, who merely holds it is nothing to this.
    pub fn is_of_owner(self) -> bool {
        matches!(
            self,
            Self::Stock
                | Self::Sell
                | Self::Deploy
                | Self::ReleaseOwnership
                | Self::ApproveOwnership
                | Self::EndOwnershipRequest
                | Self::SetHold
                | Self::LiftHold
                | Self::CancelExport
                | Self::WithdrawEndOfLife
                | Self::ConfirmEndOfLife
        )
    }
}

/// What the signer is to the subject. One may be several things at once; who is none of the others is nothing to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Its enterprise made the robot, or has the model.
    Maker,
    /// Holder of record.
    Holder,
    /// Owner of record; of a natural person's robot the desk has its own relation.
    Owner,
    /// Operator, or the desk of a person who operates.
    Operator,
    /// The workshop that the robot was given to.
    Workshop,
    /// Party to the step that waits for its second party: who took the first step, or is named by it. Of an export whose enterprise
    /// declared it.
    Pending,
    /// Its enterprise declared, as a stranger, that the robot ended: it may take that back, and is nothing else by it.
    Declarer,
    /// The desk of the person who owns or holds, or the office that does so itself.
    Desk,
    /// An office of this registry.
    Office,
    /// Nothing of these.
    None,
}
crate::canonical_enum!(Relation {
    1 => Maker, 2 => Holder, 3 => Owner, 4 => Operator, 5 => Workshop, 6 => Pending, 7 => Desk, 8 => Office, 9 => None,
    10 => Declarer,
});

/// Whether the signer's own enterprise may act. An office always stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Accredited, now.
    Good,
    /// Suspended, struck off, or outside its accreditation period.
    Lost,
}
crate::canonical_enum!(Standing { 1 => Good, 2 => Lost });

/// Roles, and what one of them must be to the subject.
#[derive(Debug)]
pub struct Grant {
    /// The signer has one of these.
    pub roles: &'static [Role],
    /// Any of these.
    pub relations: &'static [Relation],
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// Who may.
    pub grants: &'static [Grant],
    /// The least standing of an enterprise that still may.
    pub standing: Standing,
}

const fn to(roles: &'static [Role], relations: &'static [Relation]) -> Grant {
    Grant { roles, relations }
}

macro_rules! row {
    ($($grant:expr),* $(,)?) => {
        Row { grants: const { &[$($grant),*] }, standing: Standing::Good }
    };
}

/// What an enterprise must do even when it may do nothing else.
macro_rules! duty {
    ($($grant:expr),* $(,)?) => {
        Row { grants: const { &[$($grant),*] }, standing: Standing::Lost }
    };
}

use Relation as R;

const OFFICE: &[R] = &[R::Office];
const MAKER: &[R] = &[R::Maker];
const HOLDING: &[R] = &[R::Holder, R::Owner, R::Desk];
const OWNING: &[R] = &[R::Owner, R::Desk];
const USING: &[R] = &[R::Holder, R::Owner, R::Operator, R::Desk];
const WORKING: &[R] = &[
    R::Maker,
    R::Holder,
    R::Owner,
    R::Operator,
    R::Workshop,
    R::Desk,
];
const ANY: &[R] = R::ALL;
/// Who trades, owns and operates, and so acts for a person who does.
pub const PARTIES: &[Role] = &[Manufacturer, Importer, Dealer, Operator, Owner];
/// Who sells robots, and so has them in stock.
pub const TRADERS: &[Role] = &[Manufacturer, Importer, Dealer];
/// Who works on robots of others.
pub const WORKSHOPS: &[Role] = &[ServiceProvider, Manufacturer, Importer];
/// Who does something by signing; an auditor signs nothing.
const SIGNERS: &[Role] = &[
    Registrar,
    Manufacturer,
    Importer,
    Dealer,
    ServiceProvider,
    Recycler,
    Operator,
    Owner,
    Declarant,
    Customs,
    Regulator,
    Admin,
];
/// Who is the desk of a person whom no enterprise acts for.
const OFFICE_DESKS: &[Role] = &[Registrar, Customs];

/// The row of a deed.
pub const fn row_of(deed: Deed) -> Row {
    match deed {
        Deed::AccreditEnterprise
        | Deed::SetEnterpriseStatus
        | Deed::AmendEnterprise
        | Deed::SucceedEnterprise
        | Deed::AddEnterpriseSigner
        | Deed::RetireEnterpriseSigner
        | Deed::ApproveModel
        | Deed::ClearClaim
        | Deed::RetryParked
        | Deed::DiscardParked => row!(to(&[Registrar], OFFICE)),
        // Whose certificate takes two of them: `decide::denied`.
        Deed::AddOfficeSigner
        | Deed::RetireOfficeSigner
        | Deed::RevokeCertificate
        | Deed::UnrevokeCertificate
        | Deed::ChangeMembers => row!(to(&[Admin], OFFICE)),
        // Who enrolled the new key to follow the old one has said so before; the old key itself says nothing here.
        Deed::RetireFollowed => row!(to(SIGNERS, &[R::Pending])),
        // Of an office's key, a certificate or the members an admin's, of an enterprise a registrar's: each its own.
        Deed::RejectProposal => row!(to(&[Admin, Registrar], OFFICE)),
        Deed::SetContact | Deed::LimitPeer => row!(to(&[Admin, Registrar], OFFICE)),
        Deed::SetModelStatus => row!(to(&[Registrar, Regulator], OFFICE)),
        Deed::Reserve => row!(to(&[Registrar], OFFICE), to(&[Manufacturer], MAKER)),
        Deed::Register => row!(to(&[Registrar], OFFICE), to(&[Manufacturer], MAKER)),
        Deed::FileImport => row!(to(&[Registrar], OFFICE), to(&[Importer], MAKER)),
        // Which of them sets which hold is `lifecycle::sets`.
        Deed::SetHold | Deed::LiftHold => row!(
            to(&[Registrar, Customs, Regulator], OFFICE),
            to(&[Owner], OWNING),
        ),
        Deed::DeclareExport => row!(
            to(&[Customs], OFFICE),
            to(&[Manufacturer, Importer, Dealer, Owner, Declarant], HOLDING),
        ),
        Deed::CancelExport => duty!(
            to(&[Customs], OFFICE),
            to(
                &[Manufacturer, Importer, Dealer, Owner, Declarant],
                &[R::Holder, R::Owner, R::Pending, R::Desk],
            ),
        ),
        Deed::PermitImport
        | Deed::RefuseImport
        | Deed::Depart
        | Deed::Admit
        | Deed::Return
        | Deed::Detain => row!(to(&[Customs], OFFICE)),
        Deed::OpenRecall => duty!(
            to(&[Registrar, Regulator], OFFICE),
            to(&[Manufacturer, Importer], MAKER),
        ),
        Deed::AmendRecall | Deed::WithdrawRecall => row!(
            to(&[Registrar, Regulator], OFFICE),
            to(&[Manufacturer, Importer], MAKER),
        ),
        Deed::DecideRecall => row!(to(&[Regulator], OFFICE)),
        Deed::RemedyRecall => duty!(
            to(&[Registrar], OFFICE),
            to(&[ServiceProvider], WORKING),
            to(&[Manufacturer, Importer], MAKER),
        ),
        Deed::Stock => row!(
            to(&[Registrar], OFFICE),
            to(TRADERS, HOLDING),
            to(&[Customs], &[R::Desk]),
        ),
        Deed::Sell => row!(to(TRADERS, HOLDING)),
        Deed::Deploy => row!(to(PARTIES, OWNING), to(OFFICE_DESKS, &[R::Desk])),
        Deed::Redeploy => row!(
            to(PARTIES, &[R::Owner, R::Operator, R::Desk]),
            to(OFFICE_DESKS, &[R::Desk]),
        ),
        Deed::BeginMaintenance => row!(
            to(PARTIES, USING),
            to(&[ServiceProvider], USING),
            to(OFFICE_DESKS, &[R::Desk]),
        ),
        Deed::CompleteMaintenance => row!(
            to(&[ServiceProvider, Manufacturer, Importer], WORKING),
            to(&[Dealer, Operator, Owner], USING),
            to(OFFICE_DESKS, &[R::Desk]),
        ),
        Deed::Repair | Deed::ReplacePart => {
            row!(to(&[ServiceProvider, Manufacturer, Importer], WORKING))
        }
        Deed::Inspect => row!(
            to(&[ServiceProvider, Manufacturer, Importer], WORKING),
            to(&[Dealer, Operator, Owner], USING),
            to(&[Registrar, Regulator], OFFICE),
        ),
        Deed::RecordIncident => row!(
            to(&[ServiceProvider, Manufacturer, Importer], WORKING),
            to(&[Dealer, Operator, Owner], USING),
            to(&[Registrar, Regulator], OFFICE),
        ),
        Deed::RecordTraining | Deed::UpdateSoftware => row!(
            to(&[ServiceProvider, Manufacturer, Importer], WORKING),
            to(&[Dealer, Operator, Owner], USING),
        ),
        Deed::ReleaseOwnership => row!(
            to(PARTIES, OWNING),
            to(&[Registrar], OFFICE),
            to(&[Customs], &[R::Desk]),
        ),
        Deed::RequestOwnership => row!(to(PARTIES, ANY), to(&[Registrar], OFFICE)),
        Deed::ApproveOwnership => row!(
            to(PARTIES, OWNING),
            to(&[Registrar, Regulator], OFFICE),
            to(&[Customs], &[R::Desk]),
        ),
        Deed::EndOwnershipRequest => row!(
            to(PARTIES, &[R::Owner, R::Pending, R::Desk]),
            to(&[Registrar], OFFICE),
            to(&[Customs], &[R::Desk]),
        ),
        Deed::Retire => row!(
            to(PARTIES, USING),
            to(&[Registrar], OFFICE),
            to(&[Customs], &[R::Desk]),
        ),
        Deed::ReturnToService => row!(
            to(PARTIES, USING),
            to(&[Registrar, Regulator], OFFICE),
            to(&[Customs], &[R::Desk]),
        ),
        Deed::DeclareEndOfLife => row!(to(&[Recycler], ANY), to(&[Registrar], OFFICE)),
        Deed::WithdrawEndOfLife => row!(
            to(&[Recycler], &[R::Pending, R::Declarer]),
            to(PARTIES, HOLDING),
            to(&[Registrar], OFFICE),
            to(&[Customs], &[R::Desk]),
        ),
        Deed::ConfirmEndOfLife => row!(
            to(PARTIES, HOLDING),
            to(&[Registrar], OFFICE),
            to(&[Customs], &[R::Desk]),
        ),
        Deed::Annul | Deed::Correct => row!(to(&[Registrar], OFFICE)),
        Deed::ChangeDesk => row!(
            to(PARTIES, &[R::Operator, R::Desk]),
            to(&[Registrar], OFFICE),
            to(&[Customs], &[R::Desk]),
        ),
    }
}

/// What the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// A row lets this signer; what the robot's state allows is judged elsewhere.
    May,
    /// The role never may.
    NotTheRole,
    /// Its enterprise has lost its standing.
    NotInStanding,
    /// The role may, of another subject.
    NotTheSubject,
}

/// Whether a signer in `role`, who is `relations` to the subject, may do it; the first that stands against it.
pub fn judge(deed: Deed, role: Role, relations: &[Relation], standing: Standing) -> Judgement {
    let row = row_of(deed);
    let mut of_role = row
        .grants
        .iter()
        .filter(|grant| grant.roles.contains(&role))
        .peekable();
    if of_role.peek().is_none() {
        return Judgement::NotTheRole;
    }
    if standing > row.standing {
        return Judgement::NotInStanding;
    }
    if !of_role.any(|grant| grant.relations.iter().any(|one| relations.contains(one))) {
        return Judgement::NotTheSubject;
    }
    Judgement::May
}

/// Who may do a deed, for people: the roles, and as what to the subject.
pub fn who_may(deed: Deed) -> String {
    let grants = row_of(deed).grants.iter().map(|grant| {
        let roles: Vec<&str> = grant.roles.iter().map(|role| role.word()).collect();
        let anybody = grant.relations.len() == Relation::ALL.len();
        let is_office = grant.relations == OFFICE;
        let as_what: Vec<String> = grant
            .relations
            .iter()
            .map(|one| one.name().to_lowercase())
            .collect();
        match anybody || is_office {
            true => roles.join(", "),
            false => format!("{} as its {}", roles.join(", "), as_what.join(" or ")),
        }
    });
    grants.collect::<Vec<_>>().join("; ")
}

/// Whether the role may give a command at all, in good standing, on a subject that is the right one: what is asked before
/// the record is read.
pub fn ever(role: Role, kind: CommandKind) -> bool {
    ever_in(role, kind, Standing::Good) == Judgement::May
}

/// As [`ever`], of an actor whose enterprise stands so: the best that the table says of any deed of the command.
pub fn ever_in(role: Role, kind: CommandKind, standing: Standing) -> Judgement {
    let deeds = Deed::ALL.iter().filter(|deed| deed.command() == kind);
    let judged = deeds.map(|deed| judge(*deed, role, Relation::ALL, standing));
    let rank = |judgement: &Judgement| match judgement {
        Judgement::May => 0,
        Judgement::NotTheSubject => 1,
        Judgement::NotInStanding => 2,
        Judgement::NotTheRole => 3,
    };
    judged.min_by_key(rank).unwrap_or(Judgement::NotTheRole)
}

/// The roles that may give a command at all.
pub fn roles_for(kind: CommandKind) -> impl Iterator<Item = Role> {
    Role::ALL
        .iter()
        .copied()
        .filter(move |role| ever(*role, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_deed() {
        for kind in CommandKind::ALL {
            assert!(
                Deed::ALL.iter().any(|deed| deed.command() == *kind),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn auditors_and_the_anonymous_do_nothing() {
        for deed in Deed::ALL {
            for role in [Auditor, Anonymous, ForeignRegulator] {
                let found = judge(*deed, role, Relation::ALL, Standing::Good);
                assert_eq!(found, Judgement::NotTheRole, "{deed:?} {role:?}");
            }
        }
    }

    /// Of an office only its own relations count, and an office never loses its standing.
    #[test]
    fn roles_of_enterprises_are_never_an_office() {
        for deed in Deed::ALL {
            for grant in row_of(*deed).grants {
                let office = grant.roles.iter().any(|role| !role.is_enterprise());
                let as_office = grant
                    .relations
                    .iter()
                    .all(|r| matches!(r, R::Office | R::Desk));
                // What is done by a key's being what it is, whoever has it.
                let as_key = *deed == Deed::RetireFollowed;
                assert!(!office || as_office || as_key, "{deed:?} {grant:?}");
            }
        }
    }

    /// A stranger's keys, whatever their roles, ask for ownership and declare an end of life, and do nothing else.
    #[test]
    fn a_stranger_does_nothing_that_binds() {
        for deed in Deed::ALL {
            let may = Role::ALL
                .iter()
                .any(|role| judge(*deed, *role, &[R::None], Standing::Good) == Judgement::May);
            let expected = matches!(deed, Deed::RequestOwnership | Deed::DeclareEndOfLife);
            assert_eq!(may, expected, "{deed:?}");
        }
    }
}
