//! Domain values as JSON. Codes, digests and 64-bit numbers are texts; times are RFC 3339.

use std::collections::BTreeMap;

use carnet_client::admin::{
    AuditAnchor, AuditStatus, CertificateStatus, CompareStatus, GetStatusResponse, Member,
    PeerStatus, PortStatus, StandsStill, VoterClock,
};
use carnet_client::{Done, Position};
use carnet_domain::bytes::code::ModelId;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::movement::Movement;
use carnet_domain::custody::{Chain, Phase};
use carnet_domain::log::head::Head;
use carnet_domain::log::leaf::leaf_bytes_hash;
use carnet_domain::log::stored::OpenedLeaf;
use carnet_domain::record::denied::{Waiting, Wanted};
use carnet_domain::record::event::{Standing, slot};
use carnet_domain::record::keys::{GoodHead, KeyEntry, KeyHistory};
use carnet_domain::record::offices::{Change, Offices};
use carnet_domain::record::peer::{Agreement, Bundle, Peer};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{
    Declared, Enterprise, FirstWord, Hold, Model, Parked, Part, Party, Pending, Recall, RecallId,
    Robot,
};
use carnet_domain::rules::command::{Action, Command, Condition};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_trust::roots::Fingerprint;
use serde_json::{Value, json};

use crate::parse::hyphened;

pub(crate) fn time(at: TimeMs) -> Value {
    match at {
        TimeMs(0) | TimeMs(u64::MAX) => Value::Null,
        at => at.to_string().into(),
    }
}

/// A root's key, in the one form in which people compare it: as `pki init` showed it.
pub(crate) fn key_print(key: &PublicKey) -> String {
    Fingerprint::of_key(key).to_string()
}

/// A fingerprint of a file, in the same form.
pub(crate) fn print(digest: &Digest) -> String {
    Fingerprint::from(digest.0).to_string()
}

/// One signature of a root.
pub(crate) fn signature(root: &PublicKey, verifies: bool) -> Value {
    json!({"root": key_print(root), "verifies": verifies})
}

fn models(models: &[ModelId]) -> Value {
    models
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .into()
}

fn head(head: &Option<Head>) -> Value {
    match head {
        None => Value::Null,
        Some(head) => json!({
            "sequence": head.seq.to_string(),
            "leaf_index": head.leaf_index.to_string(),
            "leaf_hash": head.leaf_hash.to_string(),
        }),
    }
}

fn part(part: &Part) -> Value {
    json!({"type": part.kind.word(), "identity": part.identity.to_string(), "lot": part.lot})
}

/// A hold, and the reason as it is shown.
fn hold(hold: &Hold, reason: String) -> Value {
    json!({"hold": hyphened(hold.kind.name()), "setter": hold.setter.to_string(), "reason": reason, "since": time(hold.since)})
}

/// Why a hold was set: that stays in the country that set it. A registry shows another which holds stand and by whom, and no more.
fn reason_of(hold: &Hold) -> String {
    // A step of the life cycle sets that one, without words.
    let needs_none = hold.kind == HoldKind::EndOfLifePending;
    match hold.reason.is_empty() && !needs_none {
        true => format!("not told abroad: {} knows it", hold.setter.prefix),
        false => hold.reason.clone(),
    }
}

/// What every answer says that a server gave and nobody proved.
pub(crate) const NOT_PROVEN: &str =
    "nothing: this is what the server says (carnet verify with --pin and --own has a robot proven)";

/// Adds where the value was read, and that it is the server's word.
pub(crate) fn at(mut value: Value, position: Position) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("verified_here".into(), NOT_PROVEN.into());
        fields.insert(
            "read_at_log_index".into(),
            position.log_index.to_string().into(),
        );
    }
    value
}

/// What is to be done after the first of two words about certificates.
pub(crate) const SECOND_OF_CERTIFICATE: &str = "It takes a second admin, who gives the same command, or approves all it made by their numbers (carnet \
                                                proposal list). Until then nothing is changed, and after seven days it is over.";
/// The same of the keys of offices, and of members of the cluster.
const SECOND_OF_KEY: &str = "It takes a second admin (of an enterprise's key, a second registrar), who says yes by its number: carnet proposal approve. Until \
                             then nothing is changed, and after seven days the proposal is over.";
/// The same of what is done with a robot in somebody's place.
pub(crate) const SECOND_OF_ROBOT: &str = "It takes a second person of the office, who gives the same command (carnet robot get shows what waits). Until \
                                          then nothing is changed, and after seven days the proposal is over.";
/// The same of anything else.
const SECOND_WORD: &str = "It takes a second person who may do it, and gives the same command. Until then nothing is changed, and after \
                           seven days the proposal is over.";

/// What is to be done after the first of two words.
pub(crate) fn second_word(command: &Command) -> &'static str {
    match command {
        Command::RevokeCertificate { .. } | Command::UnrevokeCertificate { .. } => {
            SECOND_OF_CERTIFICATE
        }
        Command::AddSigner { .. }
        | Command::RetireSigner { .. }
        | Command::ChangeMembers { .. } => SECOND_OF_KEY,
        Command::Act { .. } => SECOND_OF_ROBOT,
        _ => SECOND_WORD,
    }
}

pub(crate) fn done(done: &Done) -> Value {
    match done.leaf {
        Some((index, hash)) if done.waits => json!({
            "done": false,
            "state": "proposed",
            "proposal": index.to_string(),
            "next": SECOND_WORD,
            "at": time(done.at),
            "leaf_index": index.to_string(),
            "leaf_hash": hash.to_string(),
            "sequence": done.sequence.to_string(),
        }),
        Some((index, hash)) => json!({
            "done": true,
            "at": time(done.at),
            "leaf_index": index.to_string(),
            "leaf_hash": hash.to_string(),
            "sequence": done.sequence.to_string(),
        }),
        None => json!({"done": true, "at": time(done.at), "leaf_index": null}),
    }
}

pub(crate) fn enterprise(value: &Enterprise) -> Value {
    json!({
        "enterprise": value.id.to_string(),
        "name": value.name,
        "status": hyphened(value.status.name()),
        "roles": value.roles.iter().map(|role| role.word()).collect::<Vec<_>>(),
        "identifier": format!("{}:{}:{}", hyphened(value.maker.scheme.name()), value.maker.country, value.maker.identifier),
        "valid_from": time(value.valid_from),
        "valid_to": time(value.valid_to),
        "successor": value.successor.map(|id| id.to_string()),
        "first_words": value.first_words.iter().map(first_word).collect::<Vec<_>>(),
        "newest_leaf": head(&value.head),
    })
}

pub(crate) fn model(value: &Model) -> Value {
    let facts = &value.facts;
    json!({
        "model": value.id.to_string(),
        "name": facts.name,
        "status": hyphened(value.status.name()),
        "certificate": facts.certificate,
        "form": hyphened(facts.form.name()),
        "level": facts.level,
        "safety_class": facts.safety_class,
        "height_cm": facts.height_cm,
        "mass_kg": facts.mass_kg,
        "degrees_of_freedom": facts.degrees_of_freedom,
        "battery_wh": facts.battery_wh,
        "commodity": facts.commodity,
        "firmware_family": facts.firmware_family,
        "production_from": time(value.production_from),
        "production_to": time(value.production_to),
        "first_words": value.first_words.iter().map(first_word).collect::<Vec<_>>(),
        "newest_leaf": head(&value.head),
    })
}

/// What is said where the parties of a robot are not shown: an empty field would say that there are none.
const HIDDEN: &str = "owner, holder, importer, operator, what is pending and why holds were set: shown to authorities and to those who \
                      have, own, operate or made it";

/// Whether a record was cut to what strangers see: whatever exists is held by somebody.
fn is_cut(robot: &Robot) -> bool {
    let parties = [
        &robot.owner,
        &robot.holder,
        &robot.importer,
        &robot.operator,
    ];
    robot.state != State::Reserved && parties.into_iter().all(Option::is_none)
}

pub(crate) fn robot(value: &Robot) -> Value {
    let identity = &value.identity;
    let hidden = is_cut(value).then_some(HIDDEN);
    json!({
        "code": identity.code.to_string(),
        "display": identity.code.display_form(),
        "state": hyphened(value.state.name()),
        "holds": value.holds.iter().map(|one| match hidden {
            Some(_) => hold(one, one.reason.clone()),
            None => hold(one, reason_of(one)),
        }).collect::<Vec<_>>(),
        "recalls_owed": named(&value.owed),
        "recalls_remedied": named(&value.remedied),
        "custody": custody(&value.custody),
        "pending": match hidden {
            None => Value::from(pending(value)),
            Some(_) => Value::Null,
        },
        "first_words": value.first_words.iter().map(first_word).collect::<Vec<_>>(),
        "not_shown": hidden,
        "ends_declared_by_others": value.declared.iter().map(declared).collect::<Vec<_>>(),
        "firmware": format!("{}:{}", value.firmware.family, value.firmware.build),
        "level": value.level,
        "safety_class": value.safety_class,
        "scenario": value.scenario,
        "owner": party(&value.owner),
        "holder": party(&value.holder),
        "importer": party(&value.importer),
        "operator": party(&value.operator),
        "manufactured": time(identity.manufactured),
        "site": identity.site,
        "origin": identity.origin,
        "importers_filing": identity.importers_filing,
        "body": identity.body.to_string(),
        "robot_key": value.robot_key.map(|key| key.public.to_string()),
        "identity_parts": value.identity_parts.iter().map(part).collect::<Vec<_>>(),
        "parts": value.parts.iter().map(part).collect::<Vec<_>>(),
        "newest_leaf": head(&value.head),
    })
}

/// A robot in a list, and the recalls that it owes a remedy for now.
pub(crate) fn robot_row(value: &Robot, owed: &[String]) -> Value {
    json!({
        "code": value.identity.code.to_string(),
        "state": hyphened(value.state.name()),
        "custody": hyphened(value.custody.phase.name()),
        "holds": value.holds.iter().map(|hold| hyphened(hold.kind.name())).collect::<Vec<_>>(),
        "recalls_owed": owed,
        "pending": pending(value),
        "owner": party(&value.owner),
        "holder": party(&value.holder),
        "operator": party(&value.operator),
        "firmware": format!("{}:{}", value.firmware.family, value.firmware.build),
        "manufactured": time(value.identity.manufactured),
    })
}

/// What waits for somebody: what a party began, or an office's first word where it takes two.
fn pending(value: &Robot) -> String {
    match value.pending {
        Pending::Nothing {} if !value.first_words.is_empty() => "proposed".into(),
        _ => hyphened(value.pending.name()),
    }
}

fn first_word(word: &FirstWord) -> Value {
    json!({
        "act": word.act.to_string(),
        "by": word.by.holder.to_string(),
        "person": word.by.person,
        "until": time(word.until),
    })
}

fn custody(chain: &Chain) -> Value {
    let mut out = json!({"phase": hyphened(chain.phase.name()), "epoch": chain.epoch.to_string()});
    let (transfer, other) = match &chain.phase {
        Phase::Elsewhere {} | Phase::Here {} => return out,
        Phase::Offered { transfer, to, .. }
        | Phase::Released { transfer, to, .. }
        | Phase::Gone { transfer, to, .. } => (transfer, ("to", to)),
        Phase::Asked { transfer, from, .. }
        | Phase::Permitted { transfer, from, .. }
        | Phase::InTransit { transfer, from, .. } => (transfer, ("from", from)),
    };
    out["transfer"] = transfer.to_string().into();
    out[other.0] = other.1.to_string().into();
    if let Phase::Offered { permit, .. } = &chain.phase {
        out["depart_by"] = permit
            .as_ref()
            .map_or(Value::Null, |permit| time(permit.depart_by));
    }
    out
}

fn party(party: &Option<Party>) -> Option<String> {
    party.as_ref().map(ToString::to_string)
}

fn declared(end: &Declared) -> Value {
    json!({
        "outcome": hyphened(end.outcome.name()),
        "by": end.by.holder.to_string(),
        "certificate": end.certificate.to_string(),
        "at": time(end.at),
        "withdrawn": end.withdrawn,
    })
}

fn named(recalls: &[RecallId]) -> Vec<String> {
    recalls.iter().map(ToString::to_string).collect()
}

pub(crate) fn recall(value: &Recall) -> Value {
    let predicate = &value.notice.predicate;
    json!({
        "recall": value.notice.id.to_string(),
        "severity": hyphened(value.notice.severity.name()),
        "status": hyphened(value.status.name()),
        "binds_as": value.binding().map(|(notice, _)| hyphened(notice.severity.name())),
        "models": models(&value.models),
        "remedy": value.remedy,
        "serial_from": predicate.serial_from.map(|serial| serial.to_string()),
        "serial_to": predicate.serial_to.map(|serial| serial.to_string()),
        "build_from": predicate.build_from,
        "build_to": predicate.build_to,
        "made_from": time(predicate.made_from),
        "made_to": time(predicate.made_to),
        "part_lot": predicate.part_lot,
        "opened": time(value.opened),
    })
}

pub(crate) fn transfer(value: &Transfer) -> Value {
    let conditions = value.conditions.iter().map(|condition| match condition {
        Condition::Inspection {} => "inspection".to_owned(),
        Condition::FirmwareAtLeast { build } => format!("firmware-at-least:{build}"),
        Condition::Document { digest } => format!("document:{digest}"),
    });
    let ending = value.ending.as_ref().map(|ending| {
        json!({"step": hyphened(ending.step.name()), "place": ending.place, "at": time(ending.at), "leaf": ending.leaf.to_string()})
    });
    json!({
        "transfer": value.id.to_string(),
        "code": value.code.to_string(),
        "from": value.from.to_string(),
        "to": value.to.to_string(),
        "purpose": hyphened(value.purpose.name()),
        "step": hyphened(value.step.name()),
        "step_at": time(value.step_at),
        "mrn": value.papers.mrn,
        "office_of_export": value.papers.office_of_export,
        "office_of_entry": value.papers.office_of_entry,
        "consignee": value.papers.consignee.as_ref().map(ToString::to_string),
        "ucr": value.papers.ucr,
        "commodity": value.papers.commodity,
        "product_passport": value.papers.passport,
        "stage": hyphened(value.stage().name()),
        "stage_at": time(value.stage_at()),
        "declared_by": value.declared_by.map(|id| id.to_string()),
        "stopped": value.stopped,
        "documents": value.papers.documents.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "epoch": value.epoch.to_string(),
        "agreement": value.agreement.to_string(),
        "clause": value.clause.as_ref().map(|clause| clause.number),
        "detained": value.detained.as_ref().map(ToString::to_string),
        "offer_until": time(value.offer_until),
        "depart_by": time(value.depart_by),
        "ends_at": time(value.ends_at),
        "conditions": conditions.collect::<Vec<_>>(),
        "refused": refused(value),
        "ending": ending,
    })
}

/// Why the importing country does not take it. What a rule refused has no words of anybody.
fn refused(value: &Transfer) -> Option<&str> {
    let said = value.refused.as_deref()?;
    Some(match said.is_empty() {
        true => "not answered in time",
        false => said,
    })
}

/// Of a transfer, what a list shows: where it is, and the papers that people look it up by.
const TRANSFER_ROW: [&str; 12] = [
    "transfer",
    "code",
    "from",
    "to",
    "purpose",
    "step",
    "step_at",
    "mrn",
    "office_of_export",
    "office_of_entry",
    "depart_by",
    "detained",
];

/// A transfer in a list.
pub(crate) fn transfer_row(value: &Transfer) -> Value {
    let all = transfer(value);
    let cell = |name: &str| (name.to_owned(), all.get(name).cloned().unwrap_or_default());
    let row = TRANSFER_ROW.iter().chain(&["refused"]);
    Value::Object(row.map(|name| cell(name)).collect())
}

/// Of a transfer, what a checkpoint looks at first.
const MOVEMENT_ROW: [&str; 14] = [
    "code",
    "transfer",
    "from",
    "to",
    "stage",
    "stage_at",
    "purpose",
    "ucr",
    "mrn",
    "commodity",
    "office_of_export",
    "office_of_entry",
    "declared_by",
    "stopped",
];

/// A transfer as a checkpoint asks for it.
pub(crate) fn movement_row(value: &Transfer) -> Value {
    let all = transfer(value);
    let cell = |name: &&str| {
        (
            (*name).to_owned(),
            all.get(*name).cloned().unwrap_or_default(),
        )
    };
    let mut row: serde_json::Map<String, Value> = MOVEMENT_ROW.iter().map(cell).collect();
    row.insert(
        "expected_by".into(),
        value.expected_by().map_or(Value::Null, time),
    );
    Value::Object(row)
}

pub(crate) fn movement(value: &Movement) -> Value {
    json!({
        "step": hyphened(value.step.name()),
        "from": value.from.map(|prefix| prefix.to_string()),
        "to": value.to.to_string(),
        "writer": value.writer.to_string(),
        "at": time(value.at),
        "seen": time(value.seen),
        "place": value.place,
        "epoch": value.epoch.to_string(),
        "transfer": value.transfer.map(|id| id.to_string()),
        "leaf_index": value.leaf_index.to_string(),
        "leaf": value.leaf.to_string(),
    })
}

/// An item of a peer that waits.
pub(crate) fn parked(value: &Parked) -> Value {
    let link = value.evidence.link.as_ref();
    json!({
        "peer": value.peer.to_string(),
        "item": value.item,
        "waits_for": value.why.to_string(),
        "since": time(value.since),
        "code": value.code.map(|code| code.to_string()),
        "step": link.map(|link| hyphened(link.step.name())),
        "epoch": link.map(|link| link.epoch.to_string()),
        "transfer": link.and_then(|link| link.transfer).map(|id| id.to_string()),
        "leaf_index": value.evidence.index.to_string(),
        "leaf": value.evidence.leaf.to_string(),
        "bytes": value.length,
    })
}

/// A leaf of a robot's history: what happened, and the state after it.
pub(crate) fn leaf(opened: &OpenedLeaf) -> Value {
    let (leaf, slots) = (opened.leaf(), opened.slots());
    let standing: Option<Standing> = slots.get(slot::STATE).ok().flatten();
    let event: Option<Command> = slots.get(slot::EVENT).ok().flatten();
    json!({
        "sequence": leaf.seq.to_string(),
        "kind": hyphened(leaf.kind.name()),
        "event": event.as_ref().map(event_name),
        "reason": event.as_ref().and_then(reason),
        "state": standing.map(|standing| hyphened(standing.state.name())),
        "at": time(leaf.t_ms),
        "leaf": leaf_bytes_hash(opened.bytes()).to_string(),
    })
}

fn event_name(command: &Command) -> String {
    match command {
        Command::Act { action, .. } => hyphened(action_name(action)),
        command => hyphened(command.name()),
    }
}

/// What whoever did it gave as the reason.
fn reason(command: &Command) -> Option<&str> {
    match command {
        Command::SetEnterpriseStatus { reason, .. }
        | Command::AmendEnterprise { reason, .. }
        | Command::SucceedEnterprise { reason, .. }
        | Command::RetireSigner { reason, .. }
        | Command::SetModelStatus { reason, .. }
        | Command::SetHold { reason, .. }
        | Command::LiftHold { reason, .. }
        | Command::CancelExport { reason, .. }
        | Command::RefuseImport { reason, .. }
        | Command::Return { reason, .. }
        | Command::Detain { reason, .. }
        | Command::WithdrawRecall { reason, .. }
        | Command::DecideRecall { reason, .. }
        | Command::DiscardParked { reason, .. }
        | Command::RevokeCertificate { reason, .. }
        | Command::UnrevokeCertificate { reason, .. }
        | Command::ChangeMembers { reason, .. }
        | Command::RejectProposal { reason, .. }
        | Command::SetContact { reason, .. }
        | Command::LimitPeer { reason, .. }
        | Command::ClearClaim { reason, .. } => Some(reason),
        Command::Act { action, .. } => match action {
            Action::EndOwnershipRequest { reason, .. }
            | Action::ReleaseOwnership { reason, .. }
            | Action::ChangeDesk { reason, .. }
            | Action::Retire { reason }
            | Action::WithdrawEndOfLife { reason }
            | Action::Annul { reason } => Some(reason),
            Action::BeginMaintenance { note, .. } | Action::Correct { note, .. } => Some(note),
            _ => None,
        },
        _ => None,
    }
}

fn action_name(action: &Action) -> &'static str {
    action.name()
}

pub(crate) fn offices(value: &Offices) -> Value {
    let supervisors = value.supervisors.iter().map(|one| {
        json!({
            "key_id": one.key.to_string(),
            "role": one.role.word(),
            "person": one.person,
        })
    });
    let proposals = value.proposals.iter().map(|one| {
        let (what, role) = match &one.change {
            Change::Add { enrolment, .. } => ("add", Some(enrolment.role.word())),
            Change::Retire { .. } => ("retire", None),
        };
        json!({
            "proposal": one.number.to_string(),
            "proposed": what,
            "what": one.change.told(&one.about),
            "key_id": one.change.key().to_string(),
            "role": role,
            "person": one.about.person,
            "of": one.about.holder.to_string(),
            "reason": one.reason,
            "by": one.by.person,
            "until": time(one.until),
        })
    });
    json!({
        "profile": hyphened(value.profile.name()),
        "supervisors": supervisors.collect::<Vec<_>>(),
        "proposals": proposals.collect::<Vec<_>>(),
    })
}

/// What one admin asked for of a certificate.
pub(crate) fn waiting(value: &Waiting) -> Value {
    let certificate = value.wanted.certificate();
    json!({
        "proposed": match value.wanted {
            Wanted::Revoke { .. } => "revoke certificate",
            Wanted::Unrevoke { .. } => "unrevoke certificate",
        },
        "proposal": value.number.to_string(),
        "certificate": certificate.mark.to_string(),
        "who": certificate.bearer.to_string(),
        "by": value.by.person,
        "until": time(value.until),
    })
}

pub(crate) fn bundle(value: &Bundle) -> Value {
    json!({
        "fingerprint": print(&value.fingerprint()),
        "name": value.name,
        "prefixes": value.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "sequence": value.sequence.to_string(),
        "incarnation": value.incarnation.to_string(),
        "keyring": hyphened(value.keyring.name()),
        "roots": value.roots.iter().map(key_print).collect::<Vec<_>>(),
        "threshold": value.threshold,
        "log_key": value.keys.log_key().map(|key| key.to_string()),
        "keys": keys(&value.keys),
        "profile": hyphened(value.profile.name()),
        "certificates": value.certificates.len(),
        "endpoints": value.endpoints,
        "valid_to": time(value.valid_to),
    })
}

/// A key history, the oldest first.
pub(crate) fn keys(value: &KeyHistory) -> Value {
    let row = |entry: &KeyEntry| {
        let end = entry.end.map(|end| {
            json!({
                "cause": hyphened(end.cause.name()),
                "leaf": end.leaf.to_string(),
                "last_good": end.last_good.map(|head| good_head(&head)),
            })
        });
        let state = match (entry.activated, &end) {
            (_, Some(end)) => end["cause"].clone(),
            (Some(_), None) => "active".into(),
            (None, None) => "waits".into(),
        };
        json!({
            "role": entry.role.word(),
            "key": entry.key.to_string(),
            "state": state,
            "added": entry.added.to_string(),
            "activated": entry.activated.map(|leaf| leaf.to_string()),
            "end": end,
        })
    };
    value.all().iter().map(row).collect()
}

/// SIZE,ROOT, as it is said in a call.
pub(crate) fn good_head(value: &GoodHead) -> String {
    format!("{},{}", value.size, value.root)
}

pub(crate) fn agreement(value: &Agreement) -> Value {
    let clauses = value.clauses.iter().map(|clause| {
        json!({
            "clause": clause.number,
            "recogniser": clause.recogniser.to_string(),
            "issuer": clause.issuer.to_string(),
            "models": models(&clause.models),
            "levels": clause.levels,
            "safety_classes": clause.safety_classes,
            "purposes": clause.purposes.iter().map(|purpose| hyphened(purpose.name())).collect::<Vec<_>>(),
            "checkpoint_age_max_s": clause.checkpoint_age_max.as_ms() / 1_000,
            "recall_severity_max": hyphened(clause.recall_severity_max.name()),
            "recall_count_max": clause.recall_count_max,
        })
    });
    json!({
        "agreement": value.id,
        "version": value.version,
        "parties": [value.parties.0.to_string(), value.parties.1.to_string()],
        "effective_from": time(value.effective_from),
        "effective_to": time(value.effective_to),
        "clauses": clauses.collect::<Vec<_>>(),
    })
}

/// A peer as it stands at a time.
pub(crate) fn peer(value: &Peer, now: TimeMs) -> Value {
    json!({
        "peer": value.bundle.primary().map(|prefix| prefix.to_string()),
        "name": value.bundle.name,
        "since": time(value.since),
        "quarantined": value.quarantined,
        "fork": value.fork.as_ref().map(|fork| json!({
            "leaf": fork.recorded.to_string(),
            "code": fork.code.to_string(),
            "first": fork.first.to_string(),
            "second": fork.second.to_string(),
        })),
        "doubted": value.doubted.map(|doubt| hyphened(doubt.name())),
        "time_set_back": value.repaired.map(|it| json!({"from": time(it.from), "to": time(it.to), "heard": time(it.at)})),
        "cursor": value.cursor.to_string(),
        "outbox": value.outbox.to_string(),
        "size_seen": value.size_seen.to_string(),
        "fingerprint": print(&value.bundle.fingerprint()),
        "bundle_ends": time(value.bundle.valid_to),
        "contact": hyphened(value.contact.name()),
        "agreements": value.agreements.iter().map(|one| value.standing_of(one, now)).collect::<Vec<_>>(),
    })
}

pub(crate) fn status(
    endpoint: &str,
    value: &GetStatusResponse,
    leader: Option<&GetStatusResponse>,
) -> Value {
    let mut shown = json!({
        "endpoint": endpoint,
        "node": value.node.to_string(),
        "role": value.role,
        "term": value.term.to_string(),
        "leader": value.leader.to_string(),
        "prefix": value.prefix,
        "incarnation": value.incarnation.to_string(),
        "cluster": hex::encode(&value.cluster),
        "last_log": value.last_log.to_string(),
        "committed": value.committed.to_string(),
        "lag": lag(value, leader),
        "applied": value.applied.to_string(),
        "snapshot": value.snapshot.to_string(),
        "purged": value.purged.to_string(),
        "log_time": time(TimeMs(value.log_time_ms)),
        "ceiling": time(TimeMs(value.ceiling_ms)),
        "time_statements": value.time_statements.to_string(),
        "clock": value.clock_verdict,
        "clock_behind_ms": value.clock_behind_ms.to_string(),
        "clock_reads": time(TimeMs(value.clock_ms)),
        "clocks": value.clocks.iter().map(voter_clock).collect::<Vec<_>>(),
        "writes_refused": value.writes_refused,
        "tree_size": value.tree_size.to_string(),
        "published_size": value.published_size.to_string(),
        "state_digest": hex::encode(&value.state_digest),
        "leaf_version": value.leaf_version,
        "compare": compare_status(&value.compare.clone().unwrap_or_default()),
        "voters": value.voters.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unfinished_change": value.joint,
        "members": value.members.iter().map(member).collect::<Vec<_>>(),
        "peers": value.peers.iter().map(peer_status).collect::<Vec<_>>(),
        "stands_still": value.stands_still.as_ref().map(stands_still),
        "skip_files": value.skip_files.iter().map(|file| json!({"name": file.name, "verdict": file.verdict})).collect::<Vec<_>>(),
        "refuses": value.refuses,
        "unpublished": value.unpublished,
        "unavailable": value.unavailable,
        "unsettled": value.unsettled,
        "disk_free": value.disk_free.to_string(),
        "disk_watermark": value.disk_watermark.to_string(),
        "warnings": value.warnings,
        "ports": value.ports.iter().map(port_status).collect::<Vec<_>>(),
    });
    shown["certificates"] = all(&value.certificates, |one| certificate(one, value.clock_ms));
    shown["audit"] = all(&value.audit, audit_status);
    shown["audit_contradicts"] = value.audit_contradicts.as_str().into();
    // Of each node the newest; `audit verify` goes through those before it.
    let mut newest: BTreeMap<u64, &AuditAnchor> = BTreeMap::new();
    for anchor in &value.audit_anchors {
        let known = newest.entry(anchor.node).or_insert(anchor);
        if known.leaf < anchor.leaf {
            *known = anchor;
        }
    }
    let newest: Vec<&AuditAnchor> = newest.into_values().collect();
    shown["audit_in_log"] = all(&newest, |anchor| {
        json!({
            "node": anchor.node.to_string(),
            "chains": all(&anchor.chains, audit_status),
            "leaf": anchor.leaf.to_string(),
            "at": time(TimeMs(anchor.at_ms)),
        })
    });
    shown["version"] = value.version.as_str().into();
    shown["level"] = value.level.into();
    shown
}

fn all<T>(values: &[T], shown: impl Fn(&T) -> Value) -> Value {
    values.iter().map(shown).collect()
}

fn audit_status(value: &AuditStatus) -> Value {
    json!({
        "chain": value.chain,
        "records": value.number.to_string(),
        "hash": hex::encode(&value.hash),
        "failing": value.failing,
    })
}

/// A certificate of a node, with the days that it has by the node's clock.
fn certificate(value: &CertificateStatus, clock_ms: u64) -> Value {
    json!({
        "certificate": value.what,
        "ends": value.not_after_ms.map(|end| time(TimeMs(end))),
        "days": days_left(value, clock_ms).map(|days| days.to_string()),
        "path": value.path,
    })
}

/// Whole days until a certificate ends, 0 on its last one and after it; none if the file cannot be read.
pub(crate) fn days_left(value: &CertificateStatus, clock_ms: u64) -> Option<u64> {
    // saturates: one that has ended has no time left
    let left = value.not_after_ms?.saturating_sub(clock_ms);
    Some(left / 86_400_000)
}

/// What came to a port: what was turned away there is worth a look, and stops nothing.
fn port_status(value: &PortStatus) -> Value {
    let turned = value.turned.iter();
    let turned: Vec<String> = turned
        .map(|one| format!("{} {}", one.reason, one.count))
        .collect();
    json!({
        "plane": value.plane,
        "accepted": value.accepted.to_string(),
        "turned_away": turned.join(", "),
    })
}

/// A size of the tree; none before the first.
fn size(value: u64) -> Value {
    if value == 0 {
        Value::Null
    } else {
        value.to_string().into()
    }
}

/// How many log entries a node lacks by the leader's word; `all` if it has acknowledged nothing in the leader's term.
fn lag(value: &GetStatusResponse, leader: Option<&GetStatusResponse>) -> Value {
    let Some(leader) = leader else {
        return Value::Null;
    };
    if leader.node == value.node {
        return "0".into();
    }
    let progress = leader.progress.iter().find(|one| one.node == value.node);
    match progress {
        Some(one) if one.heard => one.lag.to_string().into(),
        Some(_) => "all".into(),
        None => Value::Null,
    }
}

fn stands_still(value: &StandsStill) -> Value {
    json!({
        "log_index": value.log_index.to_string(),
        "entry": hex::encode(&value.entry),
        "why": value.why,
        "see": "runbook poisoned-entry",
    })
}

/// A node in the overview.
pub(crate) fn status_row(
    endpoint: &str,
    value: &GetStatusResponse,
    leader: Option<&GetStatusResponse>,
) -> Value {
    json!({
        "endpoint": endpoint,
        "node": value.node.to_string(),
        "role": value.role,
        "lag": lag(value, leader),
        "applied": value.applied.to_string(),
        "published": value.published_size.to_string(),
        "tree": value.tree_size.to_string(),
        "term": value.term.to_string(),
        "agreed": value.compare.as_ref().map_or(Value::Null, |compare| size(compare.agreed_size)),
        "snapshot": value.snapshot.to_string(),
        "stands_before": value.stands_still.as_ref().map(|stands| format!("{} {}", stands.log_index, hex::encode(&stands.entry))),
        "log_time": time(TimeMs(value.log_time_ms)),
        "clock": value.clock_verdict,
        "behind_ms": value.clock_behind_ms.to_string(),
        "writes_refused": value.writes_refused,
        "quarantined_peers": value.peers.iter().filter(|peer| peer.quarantined).map(|peer| peer.prefix.clone()).collect::<Vec<_>>(),
        "refuses": value.refuses,
        "unpublished": value.unpublished,
        "unavailable": value.unavailable,
        "unsettled": value.unsettled,
        "disk_free": mebibytes(value.disk_free),
        "certificate_days": value.certificates.iter().map(|one| days_left(one, value.clock_ms).unwrap_or(0)).min().map(|days| days.to_string()),
        "parked": value.peers.iter().map(|peer| peer.parked).sum::<u64>().to_string(),
        "doubted_peers": value.peers.iter().filter(|peer| !peer.doubt.is_empty()).map(|peer| peer.prefix.clone()).collect::<Vec<_>>(),
        "warnings": value.warnings,
    })
}

/// Of a node that watches no disk, nothing.
fn mebibytes(bytes: u64) -> Value {
    if bytes == 0 {
        return Value::Null;
    }
    format!("{} MiB", bytes >> 20).into()
}

/// Whether the replicas hold the same: the newest size at which a majority wrote the same, and the newest digest of
/// everything with the voters that have it.
fn compare_status(value: &CompareStatus) -> Value {
    json!({
        "agreed_size": size(value.agreed_size),
        "content_size": size(value.content_size),
        "content_log_index": value.content_log_index.to_string(),
        "content_digest": hex::encode(&value.content_digest),
        "content_voters": value.content_voters.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn member(value: &Member) -> Value {
    json!({"node": value.node.to_string(), "raft": value.raft_address, "client": value.client_address})
}

fn voter_clock(value: &VoterClock) -> Value {
    json!({
        "node": value.node.to_string(),
        "offset_ms": value.offset_ms.to_string(),
        "round_trip_ms": value.round_trip_ms.to_string(),
    })
}

fn peer_status(value: &PeerStatus) -> Value {
    let contact = (value.contacts > 0).then(|| value.last_contact_ms.to_string());
    json!({
        "peer": value.prefix,
        "name": value.name,
        "cursor": value.cursor.to_string(),
        "outbox": value.outbox.to_string(),
        "acknowledged": value.acknowledged.to_string(),
        "last_contact_ms": contact,
        "overloaded_ms": value.overloaded_ms.map(|ms| ms.to_string()),
        "checkpoint_size": value.checkpoint_size.to_string(),
        "checkpoint_age_ms": value.checkpoint_age_ms.to_string(),
        "contact": value.contact,
        "agreements": value.agreements,
        "quarantined": value.quarantined,
        "doubt": value.doubt,
        "last_error": value.last_error,
        "errors_in_a_row": value.errors_in_a_row.to_string(),
        "parked": value.parked.to_string(),
        "stands": value.stands.as_ref().map(|stands| json!({
            "item": stands.item.to_string(),
            "since_ms": stands.since_ms.to_string(),
            "why": stands.why,
        })),
        "bundle_ends": (value.bundle_ends_ms > 0).then(|| time(TimeMs(value.bundle_ends_ms))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::record::{Holder, Setter};
    use carnet_domain::rules::policy::Role;

    /// Once, the column was empty, as if nobody had given one.
    #[test]
    fn a_reason_that_stays_abroad_is_not_called_none() {
        let set = |reason: &str| Hold {
            kind: HoldKind::Theft,
            setter: Setter {
                prefix: carnet_kit::Country::new("49").prefix,
                party: Holder::Office {
                    name: "customs/hamburg".into(),
                },
                role: Role::Customs,
            },
            reason: reason.into(),
            since: TimeMs(1),
        };
        assert_eq!(reason_of(&set("reported")), "reported");
        assert!(reason_of(&set("")).contains("49 knows it"));
    }
}
