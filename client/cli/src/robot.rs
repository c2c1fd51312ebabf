//! Robots: registered one by one or from a file, looked up, and led through their lives.

mod each;
mod import;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use carnet_client::{Client, ReleaseTerms, identity, release_ownership};
use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId};
use carnet_domain::bytes::signature::{PublicKey, Signature};
use carnet_domain::record::{
    Asking, BodyName, Desk, Firmware, OwnershipEnd, Party, PartyName, Pending, Recall,
    RecallStatus, ReleaseSecret, Robot as Record, RobotKey,
};
use carnet_domain::rules::command::{Action, Command, Registration};
use carnet_domain::rules::lifecycle::{self, ActionKind, EndOfLife, HoldKind, State};
use carnet_domain::rules::policy::Role;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::import::{ImportArgs, TemplateArgs};
use crate::exit::Failed;
use crate::maker::{self, MakerArgs};
use crate::output::{Format, say, say_more};
use crate::parse::{self, When, hyphened};
use crate::part::{PartText, firmware, part_text, robot_key, robot_key_text, sort_parts};
use crate::settings::Settings;
use crate::submit::{self, Sure, Write, merge, party};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Robot {
    /// Registers one robot.
    Register(Box<Register>),
    /// Registers the robots of a CSV or NDJSON file, with progress, and reports refused rows by line.
    Import(Box<ImportArgs>),
    /// Does one thing with every robot of a file: stock, sell, deploy, retire, remedy, hold-set, …
    Each(Box<each::EachArgs>),
    /// Writes a file with every column and two rows, to be filled in and imported.
    Template(TemplateArgs),
    /// Has a robot's own key prove that it is in the robot: shows the bytes that it signs, and what is registered once it has.
    #[command(after_help = PROVE_HELP)]
    ProveKey(Box<ProveKey>),
    /// Sets a code aside before the robot is made.
    Reserve {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
        #[command(flatten)]
        write: Write,
    },
    /// Shows a robot.
    Get {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
        /// Take what the node asked knows, even without a leader; it may lack the newest writes.
        #[arg(long)]
        stale: bool,
    },
    /// Lists robots, by code. Who is no authority sees its own: those it made, has, owns, operates or works on.
    List(Wanted),
    /// Shows every leaf of a robot in this registry's log, oldest first.
    History {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
    },
    #[command(flatten)]
    Act(Act),
    /// Shows which action may follow in which state, what state it leads to, and which holds forbid it.
    Lifecycle {
        /// Only from this state.
        #[arg(long, value_parser = state)]
        state: Option<State>,
    },
    /// Holds on a robot.
    #[command(subcommand, after_help = hold_setters())]
    Hold(Hold),
    /// Writes the robot's signed identity record (COSE_Sign1) to a file.
    Record {
        /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
        #[arg(value_parser = parse::code)]
        code: Code,
        /// Where to.
        #[arg(long)]
        file: PathBuf,
    },
}

/// Which robots.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Country, enterprise or model: the first characters of the codes.
    #[arg(default_value = "", hide_default_value = true)]
    filter: String,
    /// At most this many.
    #[arg(long, default_value = "100")]
    limit: usize,
    /// Only codes behind this one: the last of a list that said that more follow.
    #[arg(long, value_parser = parse::code)]
    after: Option<Code>,
    /// Only in this state.
    #[arg(long, value_parser = state)]
    state: Option<State>,
    /// Only of this owner: enterprise/ID, office/PREFIX/NAME or a person's commitment.
    #[arg(long, value_parser = whose)]
    owner: Option<PartyName>,
    /// Only held by this one, likewise.
    #[arg(long, value_parser = whose)]
    holder: Option<PartyName>,
    /// Only operated by this one, likewise.
    #[arg(long, value_parser = whose)]
    operator: Option<PartyName>,
    /// Only those that owe this recall: issuer/number, or the number of one of this registry.
    #[arg(long, value_name = "RECALL")]
    owing: Option<String>,
    /// Only those under this hold.
    #[arg(long, value_parser = parse::hold_kind)]
    held: Option<HoldKind>,
    /// Only those of which something waits for a second party.
    #[arg(long)]
    pending: bool,
}

/// A party that a list is of. A name would be committed to anew, and be nobody's.
fn whose(text: &str) -> Result<PartyName, String> {
    let (named, kept) = party("owner", text).map_err(|failed| failed.text)?;
    match (&named, kept["owner_salt"].is_null()) {
        (PartyName::Person { .. }, false) => Err(format!(
            "{text:?}: write enterprise/ID, office/PREFIX/NAME, or the 64 digits of a person's commitment"
        )),
        _ => Ok(named),
    }
}

impl Wanted {
    /// Whether a robot is one of those.
    fn has(&self, robot: &Record, owing: Option<&Recall>) -> bool {
        let of = |party: &Option<Party>, wanted: &Option<PartyName>| {
            wanted.as_ref().is_none_or(|wanted| is_named(party, wanted))
        };
        let held = |kind: HoldKind| robot.holds.iter().any(|hold| hold.kind == kind);
        self.after.is_none_or(|after| robot.identity.code > after)
            && self.state.is_none_or(|state| robot.state == state)
            && of(&robot.owner, &self.owner)
            && of(&robot.holder, &self.holder)
            && of(&robot.operator, &self.operator)
            && owing.is_none_or(|recall| !robot.state.is_final() && robot.owes(recall))
            && self.held.is_none_or(held)
            && (!self.pending
                || robot.pending != Pending::Nothing {}
                || !robot.first_words.is_empty())
    }
}

/// Whether a party of a record is the one named.
fn is_named(party: &Option<Party>, named: &PartyName) -> bool {
    match (party, named) {
        (Some(Party::Enterprise { id }), PartyName::Enterprise { id: named }) => id == named,
        (
            Some(Party::Office { prefix, name }),
            PartyName::Office {
                prefix: of,
                name: named,
            },
        ) => prefix == of && name == named,
        (Some(Party::Person { commitment, .. }), PartyName::Person { commitment: named }) => {
            commitment == named
        }
        _ => false,
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Sets a hold.
    Set(HoldArgs),
    /// Lifts a hold.
    Lift(HoldArgs),
}

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
    #[arg(value_parser = parse::code)]
    code: Code,
    /// owner-hold, sale-lock, regulator-stop, theft, lost, evidence-freeze or review.
    #[arg(value_parser = parse::hold_kind)]
    kind: HoldKind,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    write: Write,
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
    #[arg(value_parser = parse::code)]
    code: Code,
    #[command(flatten)]
    maker: MakerArgs,
    /// The maker's serial of the body; default is the serial in the code.
    #[arg(long)]
    body_serial: Option<String>,
    /// When made.
    #[arg(long, allow_hyphen_values = true)]
    manufactured: When,
    /// Where made.
    #[arg(long, default_value = "")]
    site: String,
    /// Country of origin, alpha-2; default is the maker's country.
    #[arg(long)]
    origin: Option<String>,
    /// Firmware as FAMILY:BUILD.
    #[arg(long, default_value = "main:1", value_parser = firmware)]
    firmware: Firmware,
    /// A part as TYPE:SERIAL or TYPE:SERIAL:LOT; compute and torso carry identity.
    #[arg(long = "part", value_parser = part_text)]
    parts: Vec<PartText>,
    /// The robot's own key with its signature, as `carnet robot prove-key` shows it: KEY:PROOF.
    #[arg(long, value_name = "KEY:PROOF", value_parser = robot_key, conflicts_with = "robot_key_file")]
    robot_key: Option<RobotKey>,
    /// The file of the robot's own secret key, where it was drawn here: it signs, and is not sent.
    #[arg(long, value_name = "FILE")]
    robot_key_file: Option<PathBuf>,
    /// A prototype under development.
    #[arg(long)]
    prototype: bool,
    /// Filed by an importer because the maker's country has no registry.
    #[arg(long)]
    importers_filing: bool,
    #[command(flatten)]
    write: Write,
}

const PROVE_HELP: &str = "\
A public key is seen by everybody who is shown the robot; so the key itself signs for the code and the body that it is in. Where it
never leaves the robot: run this with --public, have the robot sign the bytes shown (Ed25519, over the bytes themselves), and run it
again with --signature. What it then shows as robot_key goes to `carnet robot register --robot-key`, or into the column of that
name.";

/// Whose key proves what.
#[derive(Debug, Args)]
pub(crate) struct ProveKey {
    /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
    #[arg(value_parser = parse::code)]
    code: Code,
    #[command(flatten)]
    maker: MakerArgs,
    /// The maker's serial of the body; default is the serial in the code.
    #[arg(long)]
    body_serial: Option<String>,
    /// The public key, 64 hexadecimal digits, where the secret one is in the robot.
    #[arg(long, value_name = "KEY", value_parser = public, required_unless_present = "robot_key_file")]
    public: Option<PublicKey>,
    /// The signature of that key over the bytes shown before, 128 hexadecimal digits.
    #[arg(long, value_name = "PROOF", value_parser = signature, requires = "public")]
    signature: Option<Signature>,
    /// The file of the secret key, where it was drawn here.
    #[arg(long, value_name = "FILE", conflicts_with = "public")]
    robot_key_file: Option<PathBuf>,
}

fn public(text: &str) -> Result<PublicKey, String> {
    let bytes = carnet_client::keys::parse_seed(text).ok_or("expected 64 hexadecimal digits")?;
    PublicKey::enroll(bytes).map_err(|error| error.to_string())
}

fn signature(text: &str) -> Result<Signature, String> {
    let bytes = hex::decode(text).ok();
    let signature = bytes.and_then(|bytes| Signature::of_slice(&bytes));
    signature.ok_or_else(|| "expected 128 hexadecimal digits".to_owned())
}

/// What a robot's key signs, and what is registered of it once it has.
fn prove_key(asked: ProveKey) -> Result<Value, Failed> {
    let body = body_name(&asked.code, &asked.maker, asked.body_serial)?;
    let (code, identity) = (asked.code, body.identity());
    let (public, proven) = match (asked.robot_key_file, asked.public) {
        (Some(file), _) => {
            let secret = carnet_client::keys::read_seed(&file)?;
            let key = RobotKey::prove(&code, &identity, &secret);
            (key.public, Some(key))
        }
        (None, Some(public)) => {
            let key = asked.signature.map(|proof| RobotKey { public, proof });
            if key.is_some_and(|key| !key.is_of(&code, &identity)) {
                return Err(Failed::usage(
                    "--signature: not of this key over these bytes; check code, maker and serial of the body",
                ));
            }
            (public, key)
        }
        (None, None) => return Err(Failed::usage("--public or --robot-key-file is needed")),
    };
    Ok(json!({
        "code": code.to_string(),
        "body_serial": body.serial,
        "body": identity.to_string(),
        "public": public.to_string(),
        "bytes": hex::encode(RobotKey::signing_bytes(&code, &identity, &public)),
        "robot_key": proven.as_ref().map(robot_key_text),
    }))
}

/// The body of a robot as its maker names it.
fn body_name(code: &Code, maker: &MakerArgs, serial: Option<String>) -> Result<BodyName, Failed> {
    let serial = serial.unwrap_or_else(|| code.serial().to_string());
    Ok(BodyName {
        maker: maker.maker().map_err(Failed::usage)?,
        serial: identity::canonical(&serial).map_err(Failed::usage)?,
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum Act {
    /// Put in stock.
    Stock {
        #[command(flatten)]
        on: On,
        /// Who has it from now on (an enterprise), where that is another than who holds it.
        #[arg(long, value_parser = parse::enterprise)]
        at: Option<EnterpriseId>,
    },
    /// Sold to a first owner.
    Sell {
        #[command(flatten)]
        on: On,
        /// A person's name (kept as a salted commitment) or commitment, enterprise/ID or office/PREFIX/NAME.
        #[arg(long)]
        owner: String,
    },
    /// Put into use.
    Deploy(Use),
    /// Moved to another use.
    Redeploy(Use),
    /// Maintenance begins.
    BeginMaintenance {
        #[command(flatten)]
        on: On,
        /// What for.
        #[arg(long)]
        note: String,
        /// Who works on it (an enterprise), where that is another than who begins.
        #[arg(long, value_parser = parse::enterprise)]
        workshop: Option<EnterpriseId>,
    },
    /// Maintenance is complete.
    CompleteMaintenance(Report),
    /// Repaired.
    Repair(Report),
    /// A part replaced.
    ReplacePart {
        #[command(flatten)]
        on: On,
        /// Identity of the part removed: digest.
        #[arg(long)]
        removed: String,
        /// The part fitted, as TYPE:SERIAL or TYPE:SERIAL:LOT.
        #[arg(long, value_parser = part_text)]
        fitted: PartText,
        #[command(flatten)]
        maker: MakerArgs,
    },
    /// Inspected.
    Inspect {
        #[command(flatten)]
        report: Report,
        /// It did not pass.
        #[arg(long)]
        failed: bool,
    },
    /// An incident.
    Incident {
        #[command(flatten)]
        on: On,
        /// 1 (slight) to 4 (fatal).
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
        severity: u8,
        /// Where.
        #[arg(long)]
        place: String,
        /// Findings: digest or file.
        #[arg(long)]
        findings: String,
    },
    /// Training recorded.
    Train {
        #[command(flatten)]
        on: On,
        /// The data set: digest or file.
        #[arg(long)]
        data_set: String,
        /// The model that came out: digest or file.
        #[arg(long)]
        model: String,
        /// Where it happened.
        #[arg(long)]
        place: String,
    },
    /// Firmware changed.
    UpdateSoftware {
        #[command(flatten)]
        on: On,
        /// FAMILY:BUILD.
        #[arg(long, value_parser = firmware)]
        firmware: Firmware,
    },
    /// Released by its owner; prints the secret that the gaining side asks with.
    ReleaseOwnership {
        #[command(flatten)]
        on: On,
        /// To whom: enterprise/ID, office/PREFIX/NAME or a person's commitment; default is whoever has the secret.
        #[arg(long)]
        to: Option<String>,
        /// Until when; at most 92 days.
        #[arg(long, default_value = "+30d", allow_hyphen_values = true)]
        until: When,
        /// Asking is enough; otherwise the owner approves.
        #[arg(long)]
        asking_suffices: bool,
        /// Why: of a registrar who releases for an owner that may act no more. Another registrar or a regulator approves.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Another desk acts for a person, by the word of the old desk or of a registrar.
    ChangeDesk {
        #[command(flatten)]
        on: On,
        /// The person, by the commitment in the record.
        #[arg(long)]
        person: String,
        /// Who acts for them from now on: enterprise/ID or office/PREFIX/NAME.
        #[arg(long, value_parser = desk)]
        desk: Desk,
        /// Why; a registrar says it.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Ownership asked for by the gaining side.
    RequestOwnership {
        #[command(flatten)]
        on: On,
        /// A person's name (kept as a salted commitment) or commitment, enterprise/ID or office/PREFIX/NAME.
        #[arg(long)]
        owner: String,
        /// The secret that the owner gave: 32 hexadecimal digits.
        #[arg(long, value_parser = secret)]
        secret: ReleaseSecret,
    },
    /// Ownership given by the owner.
    ApproveOwnership(On),
    /// Who asked for ownership is refused by the owner.
    RejectOwnership(Why),
    /// The release or the request is taken back by who made it.
    CancelOwnership(Why),
    /// The release or the request ends because its time has passed.
    ExpireOwnership(Why),
    /// Taken out of use.
    Retire(Why),
    /// Back from retirement after an inspection.
    ReturnToService(Report),
    /// End of life declared by a recycler.
    DeclareEol {
        #[command(flatten)]
        on: On,
        /// scrapped or recycled.
        #[arg(long, value_parser = parse::end_of_life)]
        outcome: EndOfLife,
        /// Destruction certificate: digest or file.
        #[arg(long)]
        certificate: String,
    },
    /// The declaration withdrawn.
    WithdrawEol(Why),
    /// End of life confirmed by a second signer. Final, here and abroad.
    ConfirmEol {
        /// Destruction certificate of the declaration that is confirmed: digest or file.
        #[arg(long)]
        certificate: String,
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        sure: Sure,
    },
    /// Registered in error. The code stays burned.
    Annul {
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        sure: Sure,
    },
    /// An earlier leaf corrected.
    Correct {
        #[command(flatten)]
        on: On,
        /// Index of the leaf corrected.
        #[arg(long)]
        leaf: u64,
        /// What is true instead.
        #[arg(long)]
        note: String,
    },
}

/// The robot that something is done with.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct On {
    /// The robot's code, 29 characters: 86-0001-000002-00000000000000042.
    #[arg(value_parser = parse::code)]
    code: Code,
    /// Refuse if the record has changed since this sequence.
    #[arg(long)]
    expected_sequence: Option<u64>,
    #[command(flatten)]
    write: Write,
}

#[derive(Debug, Args)]
pub(crate) struct Use {
    #[command(flatten)]
    on: On,
    /// A person's name (kept as a salted commitment) or commitment, enterprise/ID or office/PREFIX/NAME.
    #[arg(long)]
    operator: String,
    /// Usage scenario.
    #[arg(long)]
    scenario: String,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    on: On,
    /// The report: digest or file.
    #[arg(long)]
    report: String,
}

#[derive(Debug, Args)]
pub(crate) struct Why {
    #[command(flatten)]
    on: On,
    /// Why.
    #[arg(long)]
    reason: String,
}

impl Act {
    fn on(&self) -> On {
        match self {
            Self::Stock { on, .. }
            | Self::Sell { on, .. }
            | Self::BeginMaintenance { on, .. }
            | Self::ReplacePart { on, .. }
            | Self::Incident { on, .. }
            | Self::Train { on, .. }
            | Self::UpdateSoftware { on, .. }
            | Self::ReleaseOwnership { on, .. }
            | Self::RequestOwnership { on, .. }
            | Self::ChangeDesk { on, .. }
            | Self::DeclareEol { on, .. }
            | Self::ConfirmEol { on, .. }
            | Self::Correct { on, .. }
            | Self::Deploy(Use { on, .. })
            | Self::Redeploy(Use { on, .. })
            | Self::CompleteMaintenance(Report { on, .. })
            | Self::Repair(Report { on, .. })
            | Self::ReturnToService(Report { on, .. })
            | Self::Inspect {
                report: Report { on, .. },
                ..
            }
            | Self::Annul {
                why: Why { on, .. },
                ..
            }
            | Self::RejectOwnership(Why { on, .. })
            | Self::CancelOwnership(Why { on, .. })
            | Self::ExpireOwnership(Why { on, .. })
            | Self::Retire(Why { on, .. })
            | Self::WithdrawEol(Why { on, .. })
            | Self::ApproveOwnership(on) => *on,
        }
    }

    /// Refuses what cannot be undone, unless it was said to be meant of all.
    fn said_sure(&self) -> Result<(), Failed> {
        match self {
            Self::ConfirmEol { sure, .. } | Self::Annul { sure, .. } => sure.said(),
            _ => Ok(()),
        }
    }

    /// Asks before what cannot be undone.
    fn confirm(&self) -> Result<(), Failed> {
        let On { code, write, .. } = self.on();
        let (sure, what) = match self {
            Self::ConfirmEol { sure, .. } => (
                sure,
                "The end of life of a robot, here and in every country,",
            ),
            Self::Annul { sure, .. } => (sure, "To annul a registration, which burns its code,"),
            _ => return Ok(()),
        };
        sure.confirm(what, &code.display_form(), write)
    }

    /// The action on a robot whose record stands at `sequence`, and what the person should keep of it.
    fn action(self, code: &Code, sequence: Option<u64>) -> Result<(Action, Value), Failed> {
        let plain = |action| Ok((action, json!({})));
        match self {
            Self::Stock { at, .. } => plain(Action::Stock { at }),
            Self::Sell { owner, .. } => {
                let (owner, kept) = party("owner", &owner)?;
                Ok((Action::Sell { owner }, kept))
            }
            Self::Deploy(Use {
                operator, scenario, ..
            }) => {
                let (operator, kept) = party("operator", &operator)?;
                Ok((Action::Deploy { operator, scenario }, kept))
            }
            Self::Redeploy(Use {
                operator, scenario, ..
            }) => {
                let (operator, kept) = party("operator", &operator)?;
                Ok((Action::Redeploy { operator, scenario }, kept))
            }
            Self::BeginMaintenance { note, workshop, .. } => {
                plain(Action::BeginMaintenance { note, workshop })
            }
            Self::CompleteMaintenance(Report { report, .. }) => {
                plain(Action::CompleteMaintenance {
                    report: parse::digest_of(&report)?,
                })
            }
            Self::Repair(Report { report, .. }) => plain(Action::Repair {
                report: parse::digest_of(&report)?,
            }),
            Self::ReplacePart {
                removed,
                fitted,
                maker,
                ..
            } => {
                let fitted = fitted.part(&maker.maker().map_err(Failed::usage)?);
                plain(Action::ReplacePart {
                    removed: parse::digest_of(&removed)?,
                    fitted,
                })
            }
            Self::Inspect { report, failed } => plain(Action::Inspect {
                report: parse::digest_of(&report.report)?,
                passed: !failed,
            }),
            Self::Incident {
                severity,
                place,
                findings,
                ..
            } => plain(Action::RecordIncident {
                severity,
                place,
                findings: parse::digest_of(&findings)?,
            }),
            Self::Train {
                data_set,
                model,
                place,
                ..
            } => plain(Action::RecordTraining {
                data_set: parse::digest_of(&data_set)?,
                model: parse::digest_of(&model)?,
                place,
            }),
            Self::UpdateSoftware { firmware, .. } => plain(Action::UpdateSoftware { firmware }),
            Self::ReleaseOwnership {
                to,
                until,
                asking_suffices,
                reason,
                ..
            } => {
                let (to, kept) = match to {
                    Some(to) => {
                        let (to, kept) = party("to", &to)?;
                        (Some(to), kept)
                    }
                    None => (None, json!({})),
                };
                let terms = ReleaseTerms {
                    to,
                    until: until.resolve(),
                    asking: match asking_suffices {
                        true => Asking::Suffices,
                        false => Asking::Waits,
                    },
                    reason,
                };
                let sequence = sequence.unwrap_or_default();
                let (action, secret) = release_ownership(code, sequence, terms);
                let next = "The secret is shown once. Give it to whoever gains the robot: they ask with carnet robot \
                            request-ownership CODE --secret, and unless asking suffices you approve with carnet robot \
                            approve-ownership.";
                let shown = json!({"secret": secret.to_string(), "next": next});
                Ok((action, merge(shown, kept)))
            }
            Self::ChangeDesk {
                person,
                desk,
                reason,
                ..
            } => plain(Action::ChangeDesk {
                person: parse::digest_of(&person)?,
                desk,
                reason,
            }),
            Self::RequestOwnership { owner, secret, .. } => {
                let (owner, kept) = party("owner", &owner)?;
                let next = "Unless asking suffices it waits for its owner: carnet robot approve-ownership CODE.";
                let kept = merge(kept, json!({ "next": next }));
                Ok((Action::RequestOwnership { owner, secret }, kept))
            }
            Self::ApproveOwnership(_) => plain(Action::ApproveOwnership {}),
            Self::RejectOwnership(Why { reason, .. }) => plain(Action::EndOwnershipRequest {
                end: OwnershipEnd::Rejected,
                reason,
            }),
            Self::CancelOwnership(Why { reason, .. }) => plain(Action::EndOwnershipRequest {
                end: OwnershipEnd::Cancelled,
                reason,
            }),
            Self::ExpireOwnership(Why { reason, .. }) => plain(Action::EndOwnershipRequest {
                end: OwnershipEnd::Expired,
                reason,
            }),
            Self::Retire(Why { reason, .. }) => plain(Action::Retire { reason }),
            Self::ReturnToService(Report { report, .. }) => plain(Action::ReturnToService {
                report: parse::digest_of(&report)?,
            }),
            Self::DeclareEol {
                outcome,
                certificate,
                ..
            } => {
                let certificate = parse::digest_of(&certificate)?;
                let next = "It waits for another party: carnet robot confirm-eol CODE --certificate, by its owner, who has it, or a \
                            registrar.";
                let action = Action::DeclareEndOfLife {
                    outcome,
                    certificate,
                };
                Ok((action, json!({ "next": next })))
            }
            Self::WithdrawEol(Why { reason, .. }) => plain(Action::WithdrawEndOfLife { reason }),
            Self::ConfirmEol { certificate, .. } => plain(Action::ConfirmEndOfLife {
                certificate: parse::digest_of(&certificate)?,
            }),
            Self::Annul {
                why: Why { reason, .. },
                ..
            } => plain(Action::Annul { reason }),
            Self::Correct { leaf, note, .. } => plain(Action::Correct {
                corrects: leaf,
                note,
            }),
        }
    }
}

fn desk(text: &str) -> Result<Desk, String> {
    match party("desk", text)
        .map_err(|_| "expected enterprise/ID or office/PREFIX/NAME".to_owned())?
        .0
    {
        PartyName::Enterprise { id } => Ok(Desk::Enterprise { id }),
        PartyName::Office { prefix, name } => Ok(Desk::Office { prefix, name }),
        PartyName::Person { .. } => Err("expected enterprise/ID or office/PREFIX/NAME".to_owned()),
    }
}

fn state(text: &str) -> Result<State, String> {
    State::from_name(text).ok_or_else(|| {
        let all: Vec<String> = State::ALL
            .iter()
            .map(|state| hyphened(state.name()))
            .collect();
        format!("one of {}", all.join(", "))
    })
}

/// The life-cycle table, from the rules themselves.
fn life_cycle(only: Option<State>) -> Value {
    let states = std::iter::once(None).chain(State::ALL.iter().copied().map(Some));
    let states = states.filter(|state| only.is_none() || *state == only);
    let rows = states.flat_map(|state| {
        ActionKind::ALL.iter().filter_map(move |action| {
            let next = lifecycle::next(state, *action)?;
            let holds = HoldKind::ALL
                .iter()
                .filter(|hold| lifecycle::blocks(**hold, *action));
            Some(json!({
                "state": state.map(|state| hyphened(state.name())),
                "action": hyphened(action.name()),
                "then": hyphened(next.name()),
                "not_under": holds.map(|hold| hyphened(hold.name())).collect::<Vec<_>>(),
            }))
        })
    });
    Value::Array(rows.collect())
}

/// Who sets which hold, from the rules themselves.
fn hold_setters() -> String {
    let mut text =
        "Who sets which hold; who set it lifts it, and the regulator lifts any:\n".to_owned();
    for hold in HoldKind::ALL {
        let roles = Role::ALL
            .iter()
            .filter(|role| lifecycle::sets(**role, *hold));
        let roles: Vec<&str> = roles.map(|role| role.word()).collect();
        let roles = match roles.as_slice() {
            [] => "nobody: it begins and ends with what it is named by".to_owned(),
            roles => roles.join(", "),
        };
        text += &format!("  {:17}  {roles}\n", hyphened(hold.name()));
    }
    text
}

fn secret(text: &str) -> Result<ReleaseSecret, String> {
    ReleaseSecret::parse(text).ok_or_else(|| "expected 32 hexadecimal digits".to_owned())
}

pub(crate) async fn run(
    verb: Robot,
    settings: &Settings,
    format: Format,
) -> Result<Outcome, Failed> {
    match verb {
        Robot::Register(register) => {
            let (write, registration) = registration(*register)?;
            let body = &registration.body;
            let extra = json!({
                "code": registration.code.to_string(),
                "label": registration.code.with_suffix(),
                "maker": body.maker.identifier,
                "body_serial": body.serial,
            });
            submit::one(settings, write, Command::Register { registration }, extra).await
        }
        Robot::Import(args) => import::run(*args, settings, format).await,
        Robot::Each(args) => each::run(*args, settings, format).await,
        Robot::Template(args) => Ok(import::template(args).into()),
        Robot::ProveKey(asked) => Ok(prove_key(*asked)?.into()),
        Robot::Reserve { code, write } => {
            submit::one(
                settings,
                write,
                Command::Reserve { code },
                json!({"code": code.to_string()}),
            )
            .await
        }
        Robot::Get { code, stale } => {
            let client = settings.client()?;
            let found = if stale {
                client.unverified().robot_stale(&code).await?
            } else {
                client.unverified().robot(&code).await?
            };
            let mut shown = view::robot(&found.value);
            if stale {
                // The list of recalls is read only where a leader answers: without one, the record is all there is.
                let owed = found.value.owed.iter().map(ToString::to_string);
                shown["recalls_owed"] = owed.collect::<Vec<_>>().into();
                shown["recalls_as_of"] = "the robot's own record".into();
            } else {
                shown["recalls_owed"] = owed(&client, &found.value).await?.into();
            }
            let maker = code.model_id().enterprise_id();
            shown["maker"] = maker::maker_shown(&client, &maker).await;
            Ok(view::at(shown, found.position).into())
        }
        Robot::List(wanted) => list(settings, &wanted).await,
        Robot::History { code } => {
            let found = settings.client()?.unverified().history(&code).await?;
            Ok(Value::Array(found.value.iter().map(view::leaf).collect()).into())
        }
        Robot::Act(act) => {
            act.confirm()?;
            let On {
                code,
                expected_sequence,
                write,
            } = act.on();
            // A release commits to where the record stands.
            let expected_sequence = match (&act, expected_sequence) {
                (Act::ReleaseOwnership { .. }, None) => {
                    let found = settings.client()?.unverified().robot(&code).await?;
                    Some(found.value.head.map_or(0, |head| head.seq))
                }
                (_, expected) => expected,
            };
            let (action, extra) = act.action(&code, expected_sequence)?;
            let extra = merge(json!({"code": code.to_string()}), extra);
            let command = Command::Act {
                code,
                expected_sequence,
                action,
            };
            submit::one(settings, write, command, extra).await
        }
        Robot::Lifecycle { state } => Ok(life_cycle(state).into()),
        Robot::Hold(Hold::Set(HoldArgs {
            code,
            kind,
            reason,
            write,
        })) => {
            let extra = json!({"code": code.to_string()});
            submit::one(
                settings,
                write,
                Command::SetHold { code, kind, reason },
                extra,
            )
            .await
        }
        Robot::Hold(Hold::Lift(HoldArgs {
            code,
            kind,
            reason,
            write,
        })) => {
            let extra = json!({"code": code.to_string()});
            submit::one(
                settings,
                write,
                Command::LiftHold { code, kind, reason },
                extra,
            )
            .await
        }
        Robot::Record { code, file } => {
            let found = settings.client()?.unverified().signed_record(&code).await?;
            std::fs::write(&file, &found.value)
                .map_err(|error| Failed::local(format!("{}: {error}", file.display())))?;
            let value = json!({"code": code.to_string(), "file": file.display().to_string(), "bytes": found.value.len()});
            Ok(value.into())
        }
    }
}

/// The recalls that a robot owes a remedy for now. Its record names them only from the next change of an attribute on.
async fn owed(client: &Client, robot: &Record) -> Result<Vec<String>, Failed> {
    let recalls = recalls_of(client, &robot.identity.code.model_id()).await?;
    Ok(owed_by(robot, &recalls))
}

/// The recalls that name a model, and have not ended.
async fn recalls_of(client: &Client, model: &ModelId) -> Result<Vec<Recall>, Failed> {
    let mut recalls = Vec::new();
    let mut token = String::new();
    loop {
        let page = client
            .unverified()
            .recalls(model.as_str(), 0, &token)
            .await?;
        recalls.extend(page.values);
        token = page.next;
        if token.is_empty() {
            return Ok(recalls);
        }
    }
}

/// Of the recalls of its model, those that a robot owes a remedy for, ascending; and what its record names that is not known here.
fn owed_by(robot: &Record, recalls: &[Recall]) -> Vec<String> {
    let mut owed = robot.owed.clone();
    for recall in recalls {
        let id = &recall.notice.id;
        match robot.owes(recall) {
            true if !owed.contains(id) => owed.push(id.clone()),
            true => {}
            false => owed.retain(|known| known != id || recall.status == RecallStatus::Proposed),
        }
    }
    owed.sort();
    owed.iter().map(ToString::to_string).collect()
}

async fn list(settings: &Settings, wanted: &Wanted) -> Result<Outcome, Failed> {
    let client = settings.client()?;
    let owing = match &wanted.owing {
        None => None,
        Some(text) => {
            let id = crate::recall::named(text, settings)?;
            Some(client.unverified().recall(&id).await?.value)
        }
    };
    let filter = wanted.filter.replace('-', "").to_ascii_uppercase();
    let mut rows = Vec::new();
    let mut recalls = BTreeMap::new();
    let mut token = String::new();
    let mut last = None;
    loop {
        let page = client.unverified().robots(&filter, 1_000, &token).await?;
        for robot in &page.values {
            if !wanted.has(robot, owing.as_ref()) {
                continue;
            }
            if rows.len() >= wanted.limit {
                say_more("robots", wanted.limit);
                if let Some(last) = last {
                    say(format!("the next begin behind --after {last}"));
                }
                return Ok(Value::Array(rows).into());
            }
            let model = robot.identity.code.model_id();
            let of_model = match recalls.entry(model) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(recalls_of(&client, &model).await?),
            };
            rows.push(view::robot_row(robot, &owed_by(robot, of_model)));
            last = Some(robot.identity.code);
        }
        token = page.next;
        if token.is_empty() {
            return Ok(Value::Array(rows).into());
        }
    }
}

fn registration(register: Register) -> Result<(Write, Registration), Failed> {
    let body = body_name(&register.code, &register.maker, register.body_serial)?;
    let (identity_parts, parts) = sort_parts(&register.parts, &body.maker);
    let identity = body.identity();
    let robot_key = match register.robot_key_file {
        None => register.robot_key,
        Some(file) => {
            let secret = carnet_client::keys::read_seed(&file)?;
            Some(RobotKey::prove(&register.code, &identity, &secret))
        }
    };
    if robot_key.is_some_and(|key| !key.is_of(&register.code, &identity)) {
        return Err(Failed::usage(
            "--robot-key: its proof is not for this code with this body; see `carnet robot prove-key`",
        ));
    }
    let registration = Registration {
        code: register.code,
        manufactured: register.manufactured.resolve(),
        site: register.site,
        origin: register
            .origin
            .unwrap_or_else(|| body.maker.country.clone())
            .to_ascii_uppercase(),
        body,
        prototype: register.prototype,
        importers_filing: register.importers_filing,
        identity_parts,
        parts,
        robot_key,
        firmware: register.firmware,
    };
    Ok((register.write, registration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::record::Severity;
    use carnet_domain::record::ledger::Ledger;
    use carnet_kit::{Country, samples};

    const NOBODY: [u32; 0] = [];

    /// What a recall in force asks for stands in no record before the robot changes: a list that reads records alone says nothing.
    #[test]
    fn a_row_of_a_list_names_the_recalls_that_its_record_does_not() {
        let mut x = Country::with_market("86");
        for serial in 1..=2 {
            x.must("maker", x.register(serial));
        }
        for (number, severity) in [("R-2", Severity::StopUse), ("R-1", Severity::Remedy)] {
            x.must("maker", samples::recall(&x, number, severity));
        }
        x.must(
            "service",
            Command::RemedyRecall {
                code: x.code(2),
                recall: samples::recall_id(&x, "R-2"),
                report: carnet_domain::bytes::digest::sha256(&[b"report"]),
            },
        );
        let Ok(recalls) = x.ledger.recalls_of(&x.model("0001", "100002"));
        let shown = |serial| {
            let Ok(robot) = x.ledger.robot(&x.code(serial));
            let robot = robot.expect("registered");
            view::robot_row(&robot, &owed_by(&robot, &recalls))["recalls_owed"].clone()
        };
        assert_eq!(shown(1), json!(["86/R-1", "86/R-2"]));
        assert_eq!(shown(2), json!(["86/R-1"]));
    }

    fn wanted() -> Wanted {
        Wanted {
            filter: String::new(),
            limit: 100,
            after: None,
            state: None,
            owner: None,
            holder: None,
            operator: None,
            owing: None,
            held: None,
            pending: false,
        }
    }

    #[test]
    fn a_list_of_robots_is_of_a_party_a_state_and_what_is_owed() {
        let mut x = Country::with_market("86");
        for serial in [1, 2] {
            x.must("maker", x.register(serial));
        }
        let code = x.code(2);
        let stock = Command::Act {
            code,
            expected_sequence: None,
            action: samples::stock_at_dealer(&x),
        };
        x.must("maker", stock);
        x.must("maker", samples::recall(&x, "R-1", Severity::Remedy));
        let Ok(recall) = x.ledger.recall(&samples::recall_id(&x, "R-1"));
        let robot = |serial| {
            let Ok(found) = x.ledger.robot(&x.code(serial));
            found.expect("registered")
        };
        let of = |wanted: Wanted| -> Vec<u32> {
            let has = |serial: &u32| wanted.has(&robot(*serial), recall.as_ref());
            [1, 2].into_iter().filter(has).collect()
        };
        assert_eq!(of(wanted()), [1, 2], "both owe it");
        let holder = whose("enterprise/86-0002").expect("a party");
        assert_eq!(
            of(Wanted {
                holder: Some(holder.clone()),
                ..wanted()
            }),
            [2]
        );
        assert_eq!(
            of(Wanted {
                owner: Some(holder),
                ..wanted()
            }),
            NOBODY
        );
        assert_eq!(
            of(Wanted {
                state: Some(State::Manufactured),
                ..wanted()
            }),
            [1]
        );
        assert_eq!(
            of(Wanted {
                after: Some(x.code(1)),
                ..wanted()
            }),
            [2]
        );
        assert_eq!(
            of(Wanted {
                held: Some(HoldKind::Theft),
                ..wanted()
            }),
            NOBODY
        );
        assert_eq!(
            of(Wanted {
                pending: true,
                ..wanted()
            }),
            NOBODY
        );
        // What the record says already is how a row that was done before is known.
        let done = |serial, at: &str| {
            let at = Some(parse::enterprise(at).expect("an enterprise"));
            each::is_done(&robot(serial), &Action::Stock { at })
        };
        assert!(done(2, "86-0002") && !done(2, "86-0003") && !done(1, "86-0002"));
    }

    #[test]
    fn what_is_hidden_is_said_to_be_hidden() {
        use carnet_domain::rules::parties::shown_to;
        let mut x = Country::with_market("86");
        x.must("maker", x.register(1));
        let Ok(robot) = x.ledger.robot(&x.code(1));
        let robot = robot.expect("registered");
        let seen = |enterprise: &str| {
            let who = Some(x.enterprise(enterprise));
            view::robot(&shown_to(x.prefix, Role::Owner, who, &robot))
        };
        assert!(seen("0001")["not_shown"].is_null() && seen("0001")["pending"] == "nothing");
        let stranger = seen("0003");
        assert!(stranger["not_shown"].is_string() && stranger["pending"].is_null());
    }

    #[test]
    fn a_list_is_of_nobody_whose_name_would_be_committed_to_anew() {
        assert!(whose("Li Wei").expect_err("a name").contains("commitment"));
        assert!(whose(&"ab".repeat(32)).is_ok());
        assert!(whose("enterprize/86-0002").is_err());
    }

    #[test]
    fn the_life_cycle_is_shown_as_the_rules_have_it() {
        let all = life_cycle(None);
        let rows = all.as_array().expect("rows");
        let stock = json!({"state": "manufactured", "action": "stock", "then": "in-stock"});
        let has = |row: &Value| {
            ["state", "action", "then"]
                .iter()
                .all(|name| row[*name] == stock[*name])
        };
        assert_eq!(rows.iter().filter(|row| has(row)).count(), 1);
        assert!(
            rows.iter()
                .any(|row| row["state"].is_null() && row["action"] == "register")
        );
        let sold = State::from_name("sold").expect("a state");
        let only = life_cycle(Some(sold));
        let only = only.as_array().expect("rows");
        assert!(!only.is_empty() && only.iter().all(|row| row["state"] == "sold"));
    }

    #[test]
    fn the_help_says_who_sets_which_hold() {
        let help = hold_setters();
        let theft = help
            .lines()
            .find(|line| line.trim_start().starts_with("theft"));
        let theft = theft.expect("a line");
        assert!(
            theft.contains("customs") && !theft.contains("manufacturer"),
            "{theft}"
        );
        for hold in HoldKind::ALL {
            assert!(help.contains(&hyphened(hold.name())), "{help}");
        }
    }
}
