//! One of every command and action, in the order of their numbers: what catalogues, vectors and attacks begin with.

use crate::{Country, transfer};
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::contact::{Allowed, Contact};
use carnet_domain::record::denied::{Bearer, Certificate, Mark, Refused};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::offices::MembersChange;
use carnet_domain::record::{
    ApprovalStatus, Asking, Desk, EnterpriseStatus, Firmware, IdentifierScheme, Maker,
    OwnershipEnd, PartName, PartType, PartyName, Predicate, RecallDecision, RecallId, RecallNotice,
    ReleaseSecret, Severity, release_commitment,
};
use carnet_domain::rules::command::{Action, Command, Condition};
use carnet_domain::rules::lifecycle::{EndOfLife, HoldKind};
use carnet_domain::rules::policy::Role;

/// The certificate of a client of this name, by a serial number.
pub fn client(name: &str) -> Certificate {
    Certificate {
        mark: Mark::Serial {
            issuer: d("authority"),
            serial: [7; 20],
        },
        bearer: Bearer::Client {
            name: name.to_owned(),
        },
    }
}

/// A certificate that is to be refused, valid for ever and not replaced.
pub fn refused(certificate: Certificate) -> Refused {
    Refused {
        certificate,
        not_after: TimeMs(4_000_000_000_000),
        instead: None,
    }
}

/// One of every command, about robot 1 of the country.
///
/// # Panics
/// Never: its prefixes are prefixes.
pub fn commands(country: &Country) -> Vec<Command> {
    let code = country.code(1);
    let id = transfer(1);
    let reason = "why".to_owned();
    let public = country.key("somebody").public();
    vec![
        country.accreditation("0009"),
        Command::SetEnterpriseStatus {
            id: country.enterprise("0001"),
            status: EnterpriseStatus::Suspended,
            reason: reason.clone(),
        },
        country.enrolment(
            "somebody",
            country.office("customs"),
            Role::Customs,
            "somebody",
        ),
        Command::RetireSigner {
            public,
            compromised_after: Some(3),
            reason: reason.clone(),
        },
        country.approval("0001", "100009"),
        Command::SetModelStatus {
            id: country.model("0001", "100002"),
            status: ApprovalStatus::Suspended,
            reason: reason.clone(),
        },
        Command::RejectProposal {
            number: 7,
            reason: reason.clone(),
        },
        Command::AmendEnterprise {
            id: country.enterprise("0001"),
            name: "enterprise".into(),
            roles: vec![Role::Manufacturer, Role::Importer],
            valid_from: TimeMs::EPOCH,
            valid_to: TimeMs(1),
            reason: reason.clone(),
        },
        Command::SucceedEnterprise {
            id: country.enterprise("0001"),
            successor: country.enterprise("0003"),
            reason: reason.clone(),
        },
        Command::Reserve { code },
        country.register(1),
        Command::Act {
            code,
            expected_sequence: Some(1),
            action: Action::Stock { at: None },
        },
        Command::SetHold {
            code,
            kind: HoldKind::Theft,
            reason: reason.clone(),
        },
        Command::LiftHold {
            code,
            kind: HoldKind::Theft,
            reason: reason.clone(),
        },
        for_nobody(country.declare(1, id, &Prefix::parse("49").expect("a prefix"))),
        Command::CancelExport {
            transfer: id,
            reason: reason.clone(),
        },
        Command::PermitImport {
            transfer: id,
            depart_by: TimeMs(1),
            conditions: vec![
                Condition::Inspection {},
                Condition::FirmwareAtLeast { build: 11 },
                Condition::Document { digest: d("paper") },
            ],
        },
        Command::RefuseImport {
            transfer: id,
            reason: reason.clone(),
        },
        Command::Depart {
            transfer: id,
            place: "port".into(),
        },
        Command::Admit {
            transfer: id,
            place: "harbour".into(),
            importer: d("importer").into(),
            documents: vec![d("paper")],
            countersignature: None,
        },
        Command::Return {
            transfer: id,
            reason: reason.clone(),
        },
        Command::Detain {
            transfer: id,
            reason: reason.clone(),
        },
        recall(country, "R-1", Severity::StopUse),
        Command::WithdrawRecall {
            recall: recall_id(country, "R-1"),
            reason: reason.clone(),
        },
        Command::RemedyRecall {
            code,
            recall: recall_id(country, "R-1"),
            report: d("report"),
        },
        amendment(country, "R-1", Predicate::all()),
        Command::DecideRecall {
            recall: recall_id(country, "R-1"),
            decision: RecallDecision::Accept,
            reason: reason.clone(),
        },
        Command::ClearClaim {
            peer: Prefix::parse("49").expect("a prefix"),
            identity: d("body"),
            reason: reason.clone(),
        },
        Command::RetryParked {
            peer: Prefix::parse("49").expect("a prefix"),
            item: 0,
        },
        Command::DiscardParked {
            peer: Prefix::parse("49").expect("a prefix"),
            item: 0,
            reason: reason.clone(),
        },
        Command::SetContact {
            peer: Prefix::parse("49").expect("a prefix"),
            contact: Contact::Paused,
            reason: reason.clone(),
        },
        Command::LimitPeer {
            peer: Prefix::parse("49").expect("a prefix"),
            limits: Allowed::default(),
            reason: reason.clone(),
        },
        Command::RevokeCertificate {
            refused: refused(client("dealer")),
            reason: reason.clone(),
        },
        Command::UnrevokeCertificate {
            certificate: client("dealer"),
            reason: reason.clone(),
        },
        Command::ChangeMembers {
            change: MembersChange {
                voters: vec![1, 2, 4],
                retire: vec![3],
            },
            reason: reason.clone(),
        },
    ]
}

/// A recall that the country issued.
pub fn recall_id(country: &Country, number: &str) -> RecallId {
    RecallId {
        issuer: country.prefix,
        number: number.into(),
    }
}

/// A recall of every robot of the approved model.
pub fn recall(country: &Country, number: &str, severity: Severity) -> Command {
    Command::OpenRecall {
        notice: RecallNotice {
            id: recall_id(country, number),
            severity,
            predicate: Predicate::all(),
        },
        models: vec![country.model("0001", "100002")],
        remedy: "replace the battery".into(),
    }
}

/// The secret of the kit's releases.
pub const SECRET: ReleaseSecret = ReleaseSecret([7; 16]);

/// The command that amends it, to this predicate.
///
/// # Panics
/// Never: the kit's model is a model.
pub fn amendment(country: &Country, number: &str, predicate: Predicate) -> Command {
    Command::AmendRecall {
        notice: RecallNotice {
            id: recall_id(country, number),
            severity: Severity::StopUse,
            predicate,
        },
        models: vec![country.model("0001", "100002")],
        remedy: "replace".into(),
        reason: "more were found".into(),
    }
}

/// The command by which a robot is released as its record stands now, for 30 days, to whoever has the [`SECRET`].
pub fn release(country: &Country, code: Code, to: Option<PartyName>, asking: Asking) -> Command {
    let Ok(robot) = country.ledger.robot(&code);
    let head = robot.and_then(|robot| robot.head);
    let sequence = head.map_or(0, |head| head.seq);
    Command::Act {
        code,
        expected_sequence: Some(sequence),
        action: Action::ReleaseOwnership {
            commitment: release_commitment(&code, sequence, &SECRET),
            to,
            // saturates: a time of the kit
            until: country.clock.saturating_add(DurationMs::from_days(30)),
            asking,
            reason: String::new(),
        },
    }
}

/// Put in stock at the kit's dealer.
///
/// # Panics
/// Never: the dealer's code is a code.
pub fn stock_at_dealer(country: &Country) -> Action {
    Action::Stock {
        at: Some(country.enterprise("0002")),
    }
}

/// A battery that the kit's registrations do not name.
pub fn battery(serial: &str) -> PartName {
    PartName {
        kind: PartType::Battery,
        maker: Maker {
            scheme: IdentifierScheme::Lei,
            country: "CN".into(),
            identifier: "5493001KJTIIGC8Y1R12".into(),
        },
        serial: serial.into(),
        lot: "L2".into(),
    }
}

/// One of every action.
pub fn actions() -> Vec<Action> {
    let report = d("report");
    let reason = "why".to_owned();
    let use_ = |scenario: &str| (PartyName::from(d("operator")), scenario.to_owned());
    let (operator, scenario) = use_("warehouse");
    let part = battery("NEW");
    vec![
        Action::Stock { at: None },
        Action::Sell {
            owner: d("owner").into(),
        },
        Action::Deploy {
            operator: operator.clone(),
            scenario: scenario.clone(),
        },
        Action::Redeploy { operator, scenario },
        Action::BeginMaintenance {
            note: reason.clone(),
            workshop: None,
        },
        Action::CompleteMaintenance { report },
        Action::Repair { report },
        Action::ReplacePart {
            removed: d("battery"),
            fitted: part,
        },
        Action::Inspect {
            report,
            passed: true,
        },
        Action::RecordIncident {
            severity: 2,
            place: "hall".into(),
            findings: report,
        },
        Action::RecordTraining {
            data_set: report,
            model: report,
            place: "hall".into(),
        },
        Action::UpdateSoftware {
            firmware: Firmware {
                family: "fw".into(),
                build: 11,
            },
        },
        Action::RequestOwnership {
            owner: d("gaining").into(),
            secret: SECRET,
        },
        Action::ApproveOwnership {},
        Action::EndOwnershipRequest {
            end: OwnershipEnd::Cancelled,
            reason: reason.clone(),
        },
        Action::Retire {
            reason: reason.clone(),
        },
        Action::ReturnToService { report },
        Action::DeclareEndOfLife {
            outcome: EndOfLife::Scrapped,
            certificate: report,
        },
        Action::WithdrawEndOfLife {
            reason: reason.clone(),
        },
        Action::ConfirmEndOfLife {
            certificate: report,
        },
        Action::Annul {
            reason: reason.clone(),
        },
        Action::Correct {
            corrects: 1,
            note: reason,
        },
        Action::ReleaseOwnership {
            commitment: d("commitment"),
            to: None,
            until: TimeMs(1),
            asking: Asking::Waits,
            reason: String::new(),
        },
        Action::ChangeDesk {
            person: d("owner"),
            desk: Desk::Office {
                prefix: Prefix::parse("86").expect("a prefix"),
                name: "registrar/hq".into(),
            },
            reason: "why".into(),
        },
    ]
}

fn d(name: &str) -> Digest {
    carnet_domain::bytes::digest::sha256(&[name.as_bytes()])
}

/// A declaration that names nobody who is to have the robot.
fn for_nobody(mut declaration: Command) -> Command {
    if let Command::DeclareExport { papers, .. } = &mut declaration {
        papers.consignee = None;
    }
    declaration
}
