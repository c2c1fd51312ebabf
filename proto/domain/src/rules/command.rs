//! What actors ask of a registry: one canonical item a command. Parsed once at the edge; malformed stops there.
//!
//! Says nothing of whether it is allowed.

use crate::bytes::code::{Code, EnterpriseCode, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::signature::{PublicKey, Signature};
use crate::bytes::time::TimeMs;
use crate::limits::{
    Alpha2, CONDITIONS_MAX, DOCUMENTS_MAX, Grade, IDENTITY_PARTS_MAX, Index, List,
    MODELS_OF_RECALL_MAX, Maybe, Name, PARTS_MAX, ROLES_MAX, Sequence,
};
use crate::record::contact::{Allowed, Contact};
pub use crate::record::crossing::{Purpose, TransferId};
use crate::record::denied::{Certificate, Refused};
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
    /// Accredits an enterprise.
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
    /// Approves a model.
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
    /// Sets a hold.
    SetHold,
    /// Lifts a hold.
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
    /// Opens a recall.
    OpenRecall,
    /// Amends a recall.
    AmendRecall,
    /// Withdraws a recall.
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
}
crate::canonical_enum!(CommandKind {
    1 => AccreditEnterprise, 2 => SetEnterpriseStatus, 3 => AddSigner, 4 => RetireSigner, 5 => ApproveModel,
    6 => SetModelStatus, 7 => RejectProposal, 8 => AmendEnterprise, 9 => SucceedEnterprise, 10 => Reserve, 11 => Register, 12 => Act, 13 => SetHold, 14 => LiftHold,
    20 => DeclareExport, 21 => CancelExport, 22 => PermitImport, 23 => RefuseImport, 24 => Depart, 25 => Admit,
    26 => Return, 30 => OpenRecall, 31 => WithdrawRecall, 32 => RemedyRecall, 33 => AmendRecall, 34 => DecideRecall,
    40 => ClearClaim, 41 => RetryParked, 42 => DiscardParked, 43 => SetContact, 44 => LimitPeer,
    50 => RevokeCertificate, 51 => UnrevokeCertificate,
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
        /// The owner.
        owner: PartyName,
    },
    /// Put into use.
    Deploy {
        /// The operator.
        operator: PartyName,
        /// Usage scenario.
        scenario: String,
    },
    /// Moved to another use.
    Redeploy {
        /// The operator.
        operator: PartyName,
        /// Usage scenario.
        scenario: String,
    },
    /// Maintenance begins.
    BeginMaintenance {
        /// What for.
        note: String,
        /// Who works on it; none when whoever begins does.
        workshop: Option<EnterpriseId>,
    },
    /// Maintenance is complete.
    CompleteMaintenance {
        /// Digest of the report.
        report: Digest,
    },
    /// Repaired.
    Repair {
        /// Digest of the report.
        report: Digest,
    },
    /// A part replaced: the one removed and the one fitted.
    ReplacePart {
        /// Identity of the part removed.
        removed: Digest,
        /// The part fitted.
        fitted: PartName,
    },
    /// Inspected.
    Inspect {
        /// Digest of the report.
        report: Digest,
        /// Whether it passed.
        passed: bool,
    },
    /// An incident.
    RecordIncident {
        /// 1 (slight) to 4 (fatal).
        severity: u8,
        /// Where.
        place: String,
        /// Digest of the findings.
        findings: Digest,
    },
    /// Training: data set and model, and where.
    RecordTraining {
        /// Digest of the data set.
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
        /// The secret of the release.
        secret: ReleaseSecret,
    },
    /// Ownership given.
    ApproveOwnership {},
    /// The release or the request ends without a change.
    EndOwnershipRequest {
        /// Which end.
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
    /// End of life declared.
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
    /// Commodity code, or empty.
    pub commodity: String,
    /// Office of export.
    pub office_of_export: String,
    /// Office of entry.
    pub office_of_entry: String,
    /// Digests of documents.
    pub documents: Vec<Digest>,
    /// Who is to have it there, as the side says that gives it away; none where that is not said. The importing side admits it
    /// for another one by two persons.
    pub consignee: Option<PartyName>,
}
crate::canonical_struct!(Papers {
    mrn,
    commodity,
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
        /// The build.
        build: u32,
    },
    /// A document must be shown.
    Document {
        /// Its digest.
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
    /// The code.
    pub code: Code,
    /// The body.
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
    /// Firmware.
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

/// One command.
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
        /// Roles.
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
    },
    /// Retires a signing key.
    RetireSigner {
        /// The key.
        public: PublicKey,
        /// The last leaf index whose statements stand, if it was compromised.
        compromised_after: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Approves a model.
    ApproveModel {
        /// Its code.
        id: ModelId,
        /// Its facts.
        facts: ModelFacts,
        /// Production from.
        production_from: TimeMs,
        /// Production to.
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
        /// The code.
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
    /// Sets a hold.
    SetHold {
        /// The robot.
        code: Code,
        /// Which.
        kind: HoldKind,
        /// Why.
        reason: String,
    },
    /// Lifts a hold.
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
        /// Papers.
        papers: Papers,
    },
    /// Ends an offer.
    CancelExport {
        /// The transfer.
        transfer: TransferId,
        /// Why.
        reason: String,
    },
    /// Custody step 2.
    PermitImport {
        /// The transfer.
        transfer: TransferId,
        /// Departure at the latest.
        depart_by: TimeMs,
        /// Conditions.
        conditions: Vec<Condition>,
    },
    /// Refuses an offer.
    RefuseImport {
        /// The transfer.
        transfer: TransferId,
        /// Why.
        reason: String,
    },
    /// Custody step 3.
    Depart {
        /// The transfer.
        transfer: TransferId,
        /// Office of exit.
        place: String,
    },
    /// Custody step 4.
    Admit {
        /// The transfer.
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
        /// The transfer.
        transfer: TransferId,
        /// Why.
        reason: String,
    },
    /// Opens a recall.
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
    /// Withdraws a recall.
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
        /// The recall.
        recall: RecallId,
        /// Digest of the report.
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
    /// Clears a peer's claim that an identity ended: it blocks nothing any more. Of this registry, what somebody here said of
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
}
crate::canonical_variants!(Command @ 1 {
    1 => AccreditEnterprise { code, name, maker, roles: List<ROLES_MAX>, valid_from, valid_to },
    2 => SetEnterpriseStatus { id, status, reason },
    3 => AddSigner { enrolment, proof, word },
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
