//! What actors ask of a registry: one canonical item a command. Parsed once at the edge; malformed stops there.
//!
//! Says nothing of whether it is allowed.

use crate::bytes::code::{Code, EnterpriseCode, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::signature::{KeyId, PublicKey, Signature};
use crate::bytes::time::TimeMs;
use crate::limits::{
    Alpha2, CONDITIONS_MAX, Commodity, DOCUMENTS_MAX, Grade, IDENTITY_PARTS_MAX, Index, List,
    MODELS_OF_RECALL_MAX, Maybe, Name, PARTS_MAX, ROLES_MAX, Sequence, Ucr,
};
use crate::record::contact::{Allowed, Contact};
pub use crate::record::crossing::{Purpose, TransferId};
use crate::record::denied::{Certificate, Refused};
use crate::record::offices::MembersChange;
use crate::record::{
    AgreementRef, ApprovalStatus, Asking, BodyName, Desk, Enrolment, EnterpriseStatus, Firmware,
    Maker, ModelFacts, OwnershipEnd, PartName, PartyName, RecallDecision, RecallId, RecallNotice,
    ReleaseSecret, RobotKey, Word,
};
use crate::rules::lifecycle::{ActionKind, EndOfLife, HoldKind};
use crate::rules::policy::Role;

/// Which command; stands in the signed header, so that a signature for one is never used for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandKind {
    /// Lists an enterprise under the registry's prefix, with its roles and how long it may act.
    AccreditEnterprise,
    /// Suspends, reinstates or strikes off an enterprise.
    SetEnterpriseStatus,
    /// Renews, widens, narrows or renames an accreditation.
    AmendEnterprise,
    /// Names who goes on with what an enterprise made.
    SucceedEnterprise,
    /// Enrols a signing key.
    AddSigner,
    /// Retires a signing key, or reports it compromised.
    RetireSigner,
    /// Lists a model that robots may be registered of.
    ApproveModel,
    /// Suspends, reinstates or withdraws an approval.
    SetModelStatus,
    /// Ends a proposal that waits for its second word.
    RejectProposal,
    /// Sets codes aside.
    Reserve,
    /// Registers a robot.
    Register,
    /// A life-cycle action.
    Act,
    /// Marks a robot: what a mark of its kind stops is stopped from then on.
    SetHold,
    /// Takes such a mark off.
    LiftHold,
    /// Custody step 1 at the exporter.
    DeclareExport,
    /// Ends an offer.
    CancelExport,
    /// Custody step 2 at the importer.
    PermitImport,
    /// Refuses an offer.
    RefuseImport,
    /// Custody step 3 at the exporter.
    Depart,
    /// Custody step 4 at the importer.
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
    /// Tries an item of a peer's mailbox that waits once more.
    RetryParked,
    /// Gives up an item of a peer's mailbox that waits.
    DiscardParked,
    /// Pauses the contact with a peer, or resumes it.
    SetContact,
    /// Sets how much is read of a peer within a minute.
    LimitPeer,
    /// Has a certificate refused.
    RevokeCertificate,
    /// Has a certificate refused no more.
    UnrevokeCertificate,
    /// Lets nodes leave the cluster for good.
    ChangeMembers,
}
crate::canonical_enum!(CommandKind {
    1 => AccreditEnterprise, 2 => SetEnterpriseStatus, 3 => AddSigner, 4 => RetireSigner, 5 => ApproveModel,
    6 => SetModelStatus, 7 => RejectProposal, 8 => AmendEnterprise, 9 => SucceedEnterprise, 10 => Reserve, 11 => Register, 12 => Act, 13 => SetHold, 14 => LiftHold,
    20 => DeclareExport, 21 => CancelExport, 22 => PermitImport, 23 => RefuseImport, 24 => Depart, 25 => Admit,
    26 => Return, 27 => Detain, 30 => OpenRecall, 31 => WithdrawRecall, 32 => RemedyRecall, 33 => AmendRecall, 34 => DecideRecall,
    40 => ClearClaim, 41 => RetryParked, 42 => DiscardParked, 43 => SetContact, 44 => LimitPeer,
    50 => RevokeCertificate, 51 => UnrevokeCertificate, 52 => ChangeMembers,
});

/// A life-cycle action and its payload. Persons stand as commitments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Put in stock.
    Stock {
        /// Who has it from now on; none when whoever held it keeps it.
        at: Option<EnterpriseId>,
    },
    /// Sold to a first owner.
    Sell {
        /// Who has the robot from then on, and holds it too.
        owner: PartyName,
    },
    /// Put into use.
    Deploy {
        /// Who answers for its use.
        operator: PartyName,
        /// Usage scenario.
        scenario: String,
    },
    /// Moved to another use.
    Redeploy {
        /// Who answers for its use from then on.
        operator: PartyName,
        /// Usage scenario.
        scenario: String,
    },
    /// Given to a workshop: out of use until it is complete.
    BeginMaintenance {
        /// What for.
        note: String,
        /// Who works on it; none when whoever begins does.
        workshop: Option<EnterpriseId>,
    },
    /// Back from the workshop, and in use.
    CompleteMaintenance {
        /// Of the workshop, which it keeps.
        report: Digest,
    },
    /// A fault mended.
    Repair {
        /// Of the workshop, which it keeps.
        report: Digest,
    },
    /// A part replaced: the one removed and the one fitted.
    ReplacePart {
        /// Identity of the part removed.
        removed: Digest,
        /// Of the same kind as the one removed.
        fitted: PartName,
    },
    /// Looked over, by whoever may.
    Inspect {
        /// Of the inspector, who keeps it.
        report: Digest,
        /// Whether it passed.
        passed: bool,
    },
    /// Somebody or something came to harm.
    RecordIncident {
        /// 1 (slight) to 4 (fatal).
        severity: u8,
        /// Where.
        place: String,
        /// What is known of how it came about, kept where it was found.
        findings: Digest,
    },
    /// Training: data set and model, and where.
    RecordTraining {
        /// Which was trained on; it is kept where it lies.
        data_set: Digest,
        /// Digest of the model that came out.
        model: Digest,
        /// Where it happened.
        place: String,
    },
    /// Firmware changed.
    UpdateSoftware {
        /// The new firmware.
        firmware: Firmware,
    },
    /// Ownership asked for, by the gaining side.
    RequestOwnership {
        /// The gaining owner.
        owner: PartyName,
        /// What opens the commitment that the owner released it under.
        secret: ReleaseSecret,
    },
    /// Ownership given.
    ApproveOwnership {},
    /// The release or the request ends without a change.
    EndOwnershipRequest {
        /// Refused, taken back, or over by its time.
        end: OwnershipEnd,
        /// Why.
        reason: String,
    },
    /// Taken out of use.
    Retire {
        /// Why.
        reason: String,
    },
    /// Back from retirement.
    ReturnToService {
        /// Digest of the inspection report.
        report: Digest,
    },
    /// It is to end; somebody else confirms it.
    DeclareEndOfLife {
        /// How it ends.
        outcome: EndOfLife,
        /// Digest of the destruction certificate.
        certificate: Digest,
    },
    /// The declaration withdrawn.
    WithdrawEndOfLife {
        /// Why.
        reason: String,
    },
    /// End of life confirmed by a second signer.
    ConfirmEndOfLife {
        /// Digest of the destruction certificate, of the declaration that is confirmed.
        certificate: Digest,
    },
    /// Registered in error.
    Annul {
        /// Why.
        reason: String,
    },
    /// An earlier leaf corrected.
    Correct {
        /// The leaf index corrected.
        corrects: u64,
        /// What is true instead.
        note: String,
    },
    /// Released by its owner: may be asked for.
    ReleaseOwnership {
        /// Commitment to the secret, over the code and the record's sequence.
        commitment: Digest,
        /// To whom; none for whoever has the secret.
        to: Option<PartyName>,
        /// Until when.
        until: TimeMs,
        /// Whether asking is enough.
        asking: Asking,
        /// Why, where a registrar releases for an owner whose side may not act; else empty.
        reason: String,
    },
    /// Another desk acts for a natural person.
    ChangeDesk {
        /// Commitment to the person.
        person: Digest,
        /// Who acts for them from now on.
        desk: Desk,
        /// Why; a registrar says it.
        reason: String,
    },
}
crate::canonical_variants!(Action {
    4 => Stock { at },
    5 => Sell { owner },
    6 => Deploy { operator, scenario },
    7 => Redeploy { operator, scenario },
    8 => BeginMaintenance { note, workshop },
    9 => CompleteMaintenance { report },
    10 => Repair { report },
    11 => ReplacePart { removed, fitted },
    12 => Inspect { report, passed },
    13 => RecordIncident { severity: Grade, place, findings },
    14 => RecordTraining { data_set, model, place },
    15 => UpdateSoftware { firmware },
    16 => RequestOwnership { owner, secret },
    17 => ApproveOwnership {},
    18 => EndOwnershipRequest { end, reason },
    19 => Retire { reason },
    20 => ReturnToService { report },
    21 => DeclareEndOfLife { outcome, certificate },
    22 => WithdrawEndOfLife { reason },
    23 => ConfirmEndOfLife { certificate },
    24 => Annul { reason },
    25 => Correct { corrects: Index, note },
    31 => ReleaseOwnership { commitment, to, until, asking, reason },
    32 => ChangeDesk { person, desk, reason },
});

impl Action {
    /// Its kind in the life-cycle table; the numbers are the same.
    pub fn kind(&self) -> ActionKind {
        ActionKind::from_number(self.number()).unwrap_or(ActionKind::Correct)
    }
}

/// Papers of the national customs procedures: Carnet refers to the declaration, it does not replace it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Papers {
    /// Movement reference number, or empty.
    pub mrn: String,
    /// Reference of the consignment that it is one of (UCR), or empty. Within one country a reference is one declarant's, and goes to
    /// one other country.
    pub ucr: String,
    /// Commodity code, or empty: that of its model's approval, as far as every country reads it alike.
    pub commodity: String,
    /// Registration identifier of its product passport in the registry of the European Union, or empty.
    pub passport: String,
    /// Where it leaves the country, by name or number of the customs office.
    pub office_of_export: String,
    /// Where it enters the other one, by name or number of the customs office.
    pub office_of_entry: String,
    /// By which a paper shown at the border is known again; the papers themselves are not here.
    pub documents: Vec<Digest>,
    /// Who is to have it there, as the side says that gives it away; none where that is not said. The importing side admits it
    /// for another one by two persons.
    pub consignee: Option<PartyName>,
}
crate::canonical_struct!(Papers {
    mrn,
    ucr: Ucr,
    commodity: Commodity,
    passport: Name,
    office_of_export,
    office_of_entry,
    documents: List<DOCUMENTS_MAX>,
    consignee
});

/// A condition of a permit, judged at admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// An inspection report must be shown.
    Inspection {},
    /// Firmware of at least this build.
    FirmwareAtLeast {
        /// The least that its firmware may have when it is admitted.
        build: u32,
    },
    /// A document must be shown.
    Document {
        /// By which it is named among those shown at admission.
        digest: Digest,
    },
}
crate::canonical_variants!(Condition { 1 => Inspection {}, 2 => FirmwareAtLeast { build }, 3 => Document { digest } });

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inspection {} => write!(f, "an inspection report must be shown"),
            Self::FirmwareAtLeast { build } => write!(f, "firmware of at least build {build}"),
            Self::Document { digest } => write!(f, "document {digest} must be shown"),
        }
    }
}

/// Everything a registration states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Of this registry's prefix, with the maker and model in it.
    pub code: Code,
    /// As its maker numbers it.
    pub body: BodyName,
    /// When made.
    pub manufactured: TimeMs,
    /// Where made.
    pub site: String,
    /// Declared country of origin, alpha-2.
    pub origin: String,
    /// A prototype under development.
    pub prototype: bool,
    /// Filed by an importer because the maker's country has no registry.
    pub importers_filing: bool,
    /// Parts that carry identity.
    pub identity_parts: Vec<PartName>,
    /// Other tracked parts.
    pub parts: Vec<PartName>,
    /// The robot's own key, which signed for code and body.
    pub robot_key: Option<RobotKey>,
    /// As it left the factory.
    pub firmware: Firmware,
}
crate::canonical_struct!(Registration {
    code,
    body,
    manufactured,
    site,
    origin: Alpha2,
    prototype,
    importers_filing,
    identity_parts: List<IDENTITY_PARTS_MAX>,
    parts: List<PARTS_MAX>,
    robot_key,
    firmware,
});

/// What a signer asks to be done. Whether it may be is the rules' to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Accredits an enterprise under the registry's prefix.
    AccreditEnterprise {
        /// The code allotted.
        code: EnterpriseCode,
        /// Legal name.
        name: String,
        /// World-wide identifier.
        maker: Maker,
        /// As what it may act.
        roles: Vec<Role>,
        /// From.
        valid_from: TimeMs,
        /// To.
        valid_to: TimeMs,
    },
    /// Changes an enterprise's standing.
    SetEnterpriseStatus {
        /// Which.
        id: EnterpriseId,
        /// To what.
        status: EnterpriseStatus,
        /// Why.
        reason: String,
    },
    /// States an accreditation anew: all of it that may change.
    AmendEnterprise {
        /// Which.
        id: EnterpriseId,
        /// Legal name from now on.
        name: String,
        /// Roles from now on.
        roles: Vec<Role>,
        /// From.
        valid_from: TimeMs,
        /// To.
        valid_to: TimeMs,
        /// Why.
        reason: String,
    },
    /// Another enterprise answers for what this one made, from when its own accreditation is over.
    SucceedEnterprise {
        /// Which.
        id: EnterpriseId,
        /// Who goes on.
        successor: EnterpriseId,
        /// Why.
        reason: String,
    },
    /// Enrols a signing key.
    AddSigner {
        /// Which, whose, as what.
        enrolment: Enrolment,
        /// The key's own signature for it.
        proof: Signature,
        /// The word of the enterprise, where it had a key before; without it two registrars are needed.
        word: Option<Word>,
        /// The key of the same hand that it follows: whoever has the new one retires that one alone.
        instead: Option<KeyId>,
        /// Why; may be empty.
        reason: String,
    },
    /// Retires a signing key.
    RetireSigner {
        /// As it was enrolled.
        public: PublicKey,
        /// The last leaf index whose statements stand, if it was compromised.
        compromised_after: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Robots of it may be registered, made between the two dates.
    ApproveModel {
        /// Its code.
        id: ModelId,
        /// What was measured or filed at its approval.
        facts: ModelFacts,
        /// The first instant at which a robot of it may have been made.
        production_from: TimeMs,
        /// The last one.
        production_to: TimeMs,
    },
    /// Changes an approval.
    SetModelStatus {
        /// Which.
        id: ModelId,
        /// To what.
        status: ApprovalStatus,
        /// Why.
        reason: String,
    },
    /// Ends what waits for its second word: whoever proposed it takes it back, another rejects it.
    RejectProposal {
        /// Its number: the index of the leaf that says it was proposed.
        number: u64,
        /// Why.
        reason: String,
    },
    /// Sets a code aside.
    Reserve {
        /// For a robot that is to be registered under it.
        code: Code,
    },
    /// Registers a robot.
    Register {
        /// What is stated.
        registration: Registration,
    },
    /// A life-cycle action.
    Act {
        /// The robot.
        code: Code,
        /// The record's sequence the actor saw, for optimistic concurrency.
        expected_sequence: Option<u64>,
        /// What is done.
        action: Action,
    },
    /// Marks a robot.
    SetHold {
        /// The robot.
        code: Code,
        /// Which.
        kind: HoldKind,
        /// Why.
        reason: String,
    },
    /// Takes a mark off a robot, where the table lets this signer.
    LiftHold {
        /// The robot.
        code: Code,
        /// Which.
        kind: HoldKind,
        /// Why.
        reason: String,
    },
    /// Custody step 1.
    DeclareExport {
        /// The robot.
        code: Code,
        /// Number of the transfer.
        transfer: TransferId,
        /// To which country.
        to: Prefix,
        /// Why.
        purpose: Purpose,
        /// The offer stands until then.
        offer_until: TimeMs,
        /// The agreement it rests on, and its version.
        agreement: AgreementRef,
        /// What the customs of both sides know it by.
        papers: Papers,
    },
    /// Ends an offer.
    CancelExport {
        /// By its number.
        transfer: TransferId,
        /// Why.
        reason: String,
    },
    /// Custody step 2.
    PermitImport {
        /// By its number.
        transfer: TransferId,
        /// Departure at the latest.
        depart_by: TimeMs,
        /// Which the robot must meet when it is admitted.
        conditions: Vec<Condition>,
    },
    /// Refuses an offer.
    RefuseImport {
        /// By its number.
        transfer: TransferId,
        /// Why.
        reason: String,
    },
    /// Custody step 3.
    Depart {
        /// By its number.
        transfer: TransferId,
        /// Office of exit.
        place: String,
    },
    /// Custody step 4.
    Admit {
        /// By its number.
        transfer: TransferId,
        /// Office of entry.
        place: String,
        /// The importer of record.
        importer: PartyName,
        /// Documents shown at the border.
        documents: Vec<Digest>,
        /// The robot's own signature over its admission. None at level 1.
        countersignature: Option<Signature>,
    },
    /// Sends a robot in transit back.
    Return {
        /// By its number.
        transfer: TransferId,
        /// Why.
        reason: String,
    },
    /// Detains a robot in transit: it is admitted against a report of what was found, or sent back.
    Detain {
        /// The transfer.
        transfer: TransferId,
        /// Why.
        reason: String,
    },
    /// Robots that it matches owe a remedy, from now on.
    OpenRecall {
        /// Number, severity, predicate.
        notice: RecallNotice,
        /// The models it touches.
        models: Vec<ModelId>,
        /// What to do.
        remedy: String,
    },
    /// Amends a recall: from its commit it is what stands here, whether that is more or less.
    AmendRecall {
        /// Which, by its number; severity and predicate from now on.
        notice: RecallNotice,
        /// The models it touches from now on.
        models: Vec<ModelId>,
        /// What to do from now on.
        remedy: String,
        /// Why.
        reason: String,
    },
    /// Nothing is owed by it any more.
    WithdrawRecall {
        /// Which.
        recall: RecallId,
        /// Why.
        reason: String,
    },
    /// Records that a recall was remedied.
    RemedyRecall {
        /// The robot.
        code: Code,
        /// Which the robot owes.
        recall: RecallId,
        /// Of the workshop, which it keeps.
        report: Digest,
    },
    /// Decides whether a foreign recall binds here that is beyond what its clause lets bind by itself.
    DecideRecall {
        /// Which.
        recall: RecallId,
        /// What is decided; another decision takes its place.
        decision: RecallDecision,
        /// Why.
        reason: String,
    },
    /// Clears a peer's claim that an identity ended, or the word of an issuer that it ended a robot which nothing shows it to have: it
    /// blocks nothing any more. Of this registry, what somebody here said of
    /// a part that another makes: that it is in a robot, or ended with it.
    ClearClaim {
        /// Whose claim.
        peer: Prefix,
        /// About which code (by its subject key), body or part.
        identity: Digest,
        /// Why.
        reason: String,
    },
    /// Tries an item of a peer's mailbox that waits once more, before anything moves by itself.
    RetryParked {
        /// Whose mailbox.
        peer: Prefix,
        /// Its place there.
        item: u64,
    },
    /// Gives up an item of a peer's mailbox that waits; its sender is told why.
    DiscardParked {
        /// Whose mailbox.
        peer: Prefix,
        /// Its place there.
        item: u64,
        /// Why.
        reason: String,
    },
    /// Pauses the contact with a peer, or resumes it: while it is paused nothing is sent to it, read of it or asked of it, and no
    /// offer or permit that concerns it begins.
    SetContact {
        /// Which peer, by its primary prefix.
        peer: Prefix,
        /// Paused or open.
        contact: Contact,
        /// Why.
        reason: String,
    },
    /// Sets how much is read of a peer within a minute; more waits.
    LimitPeer {
        /// Which peer, by its primary prefix.
        peer: Prefix,
        /// How much.
        limits: Allowed,
        /// Why.
        reason: String,
    },
    /// Has a certificate refused on every plane, open connections included.
    RevokeCertificate {
        /// Which, until when it would be valid, and whether its bearer has another.
        refused: Refused,
        /// Why.
        reason: String,
    },
    /// Has a certificate refused no more; or takes back what one asked of it.
    UnrevokeCertificate {
        /// Which.
        certificate: Certificate,
        /// Why.
        reason: String,
    },
    /// Lets nodes leave the cluster for good, so that others vote: who then changes the members is obeyed. Growing needs no word.
    ChangeMembers {
        /// Who votes afterwards, and who leaves.
        change: MembersChange,
        /// Why.
        reason: String,
    },
}
crate::canonical_variants!(Command @ 1 {
    1 => AccreditEnterprise { code, name, maker, roles: List<ROLES_MAX>, valid_from, valid_to },
    2 => SetEnterpriseStatus { id, status, reason },
    3 => AddSigner { enrolment, proof, word, instead, reason: Name },
    4 => RetireSigner { public, compromised_after: Maybe<Index>, reason: Name },
    5 => ApproveModel { id, facts, production_from, production_to },
    6 => SetModelStatus { id, status, reason },
    7 => RejectProposal { number: Index, reason },
    8 => AmendEnterprise { id, name, roles: List<ROLES_MAX>, valid_from, valid_to, reason },
    9 => SucceedEnterprise { id, successor, reason },
    10 => Reserve { code },
    11 => Register { registration },
    12 => Act { code, expected_sequence: Maybe<Sequence>, action },
    13 => SetHold { code, kind, reason },
    14 => LiftHold { code, kind, reason },
    20 => DeclareExport { code, transfer, to, purpose, offer_until, agreement, papers },
    21 => CancelExport { transfer, reason },
    22 => PermitImport { transfer, depart_by, conditions: List<CONDITIONS_MAX> },
    23 => RefuseImport { transfer, reason },
    24 => Depart { transfer, place },
    25 => Admit { transfer, place, importer, documents: List<DOCUMENTS_MAX>, countersignature },
    26 => Return { transfer, reason },
    27 => Detain { transfer, reason: Name },
    30 => OpenRecall { notice, models: List<MODELS_OF_RECALL_MAX>, remedy },
    31 => WithdrawRecall { recall, reason },
    32 => RemedyRecall { code, recall, report },
    33 => AmendRecall { notice, models: List<MODELS_OF_RECALL_MAX>, remedy, reason },
    34 => DecideRecall { recall, decision, reason },
    40 => ClearClaim { peer, identity, reason },
    41 => RetryParked { peer, item: Sequence },
    42 => DiscardParked { peer, item: Sequence, reason },
    43 => SetContact { peer, contact, reason },
    44 => LimitPeer { peer, limits, reason },
    50 => RevokeCertificate { refused, reason: Name },
    51 => UnrevokeCertificate { certificate, reason: Name },
    52 => ChangeMembers { change, reason: Name },
});

impl Command {
    /// Its kind; the numbers are the same.
    pub fn kind(&self) -> CommandKind {
        match CommandKind::from_number(self.number()) {
            Some(kind) => kind,
            None => unreachable!("every command number is a kind; a test compares the tables"),
        }
    }
}
