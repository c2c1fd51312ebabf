//! The order of reasons at a border: taking an offer back, refusing, releasing, admitting, sending back.

use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::{Phase, Step};
use carnet_domain::limits::HOLDS_MAX;
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::transfer::{Ending, Transfer};
use carnet_domain::record::{Fitting, PartyName};
use carnet_domain::rules::command::{Command, Condition};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::rejection::Reason;
use carnet_hostile::scene::{admit, bring, d, depart, permit, prefix, send_back, two};
use carnet_kit::{Country, transfer};

use super::{Attempt, Fault, disorder, end, fault, hold, is_meant, market, stop_use};
use carnet_domain::rules::command::Purpose;

/// What is known of the transfer.
pub(super) fn change(it: &mut Attempt, of: impl Fn(&mut Transfer)) {
    let Ok(known) = it.country.ledger.transfer(&transfer(1));
    let mut known = known.expect("a transfer");
    of(&mut known);
    let Ok(()) = it.country.ledger.put_transfer(known);
}

pub(super) fn disclosed(it: &mut Attempt, of: impl Fn(&mut carnet_domain::record::Robot)) {
    change(it, |known| {
        of(known.robot.as_mut().expect("it was disclosed"));
    });
}

fn ended(it: &mut Attempt, step: Step) {
    change(it, |known| {
        known.ending = Some(Ending {
            step,
            place: String::new(),
            at: TimeMs(1),
            leaf: d("leaf"),
        });
    });
}

fn another_number(it: &mut Attempt) {
    match &mut it.command {
        Command::CancelExport { transfer, .. }
        | Command::RefuseImport { transfer, .. }
        | Command::Depart { transfer, .. }
        | Command::Admit { transfer, .. }
        | Command::Return { transfer, .. } => transfer.0[0] = 77,
        other => panic!("{} is no step of a transfer", other.name()),
    }
}

fn quarantine(it: &mut Attempt, peer: &str) {
    let Ok(known) = it.country.ledger.peer(&prefix(peer));
    let mut known = known.expect("a peer");
    known.quarantined = true;
    let Ok(()) = it.country.ledger.put_peer(known);
}

/// The robot of 86, whoever keeps a record of it.
pub(super) fn robot(it: &mut Attempt, of: impl Fn(&mut carnet_domain::record::Robot)) {
    let Ok(known) = it.country.ledger.robot(&Country::unborn("86").code(1));
    let mut known = known.expect("a record");
    of(&mut known);
    let Ok(()) = it.country.ledger.put_robot(known);
}

fn end_of_the_code(it: &mut Attempt) {
    end(it, Subject::robot(&Country::unborn("86").code(1)).key());
}

/// What is wrong with any step of a transfer, given in the country `to`.
fn of_steps(to: &'static str) -> Vec<Fault<Attempt>> {
    let elsewhere: fn(&mut Attempt) = match to {
        "86" => |it| it.to = prefix("49"),
        _ => |it| it.to = prefix("86"),
    };
    vec![
        fault("to", Reason::WrongAudience, elsewhere),
        fault("signature", Reason::BadSignature, |it| {
            it.is_signature_good = false;
        }),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "operator"),
        fault("number", Reason::TransferUnknown, another_number),
        fault("between", Reason::TransferUnknown, |it| {
            change(it, |known| {
                (known.from, known.to) = (prefix("33"), prefix("34"));
            });
        }),
    ]
}

#[test]
fn of_two_faults_of_a_cancelled_offer_the_first_is_answered() {
    let mut country = market();
    let declared = country.declare(1, transfer(1), &prefix("49"));
    country.must("customs", declared);
    let cancel = Command::CancelExport {
        transfer: transfer(1),
        reason: "why".into(),
    };
    let base = Attempt::new(country, "customs", cancel);
    let mut faults = of_steps("86");
    faults.extend([
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("ending", Reason::TransferEnded, |it| {
            ended(it, Step::Cancel);
        }),
        fault("phase", Reason::TransferEnded, |it| {
            robot(it, |known| known.custody.phase = Phase::Here {});
        }),
    ]);
    // What somebody is to a robot is judged by its record, and which that is the transfer says.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::NotYours, Reason::TransferUnknown),
            (Reason::NotYours, Reason::TransferEnded),
        ],
    );
}

#[test]
fn of_two_faults_of_a_refused_import_the_first_is_answered() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    let refuse = Command::RefuseImport {
        transfer: transfer(1),
        reason: "why".into(),
    };
    let base = Attempt::new(b, "customs", refuse);
    let mut faults = of_steps("49");
    faults.extend([
        fault("identity", Reason::IdentityEnded, end_of_the_code),
        fault("refused", Reason::NothingPending, |it| {
            change(it, |known| known.refused = Some("why".into()));
        }),
        fault("ending", Reason::TransferEnded, |it| {
            ended(it, Step::Cancel);
        }),
        fault("phase", Reason::AlreadyPermitted, |it| {
            robot(it, |known| {
                known.custody.phase = Phase::InTransit {
                    transfer: transfer(1),
                    from: prefix("86"),
                    depart: d("depart"),
                    agreement: carnet_kit::agreed(prefix("86"), prefix("49")),
                };
            });
        }),
    ]);
    // A step is of its transfer: before that is found, and before it is known to be open, nothing of the rest is looked at.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::IdentityEnded, Reason::TransferUnknown),
            (Reason::IdentityEnded, Reason::TransferEnded),
            (Reason::NothingPending, Reason::TransferUnknown),
            (Reason::NothingPending, Reason::TransferEnded),
            (Reason::AlreadyPermitted, Reason::TransferEnded),
        ],
    );
}

/// A release by 86.
#[test]
fn of_two_faults_of_a_departure_the_first_is_answered() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    b.must("customs", permit(&b, 1, Vec::new()));
    b.deliver(&mut a);
    let base = Attempt::new(a, "customs", depart(1));
    fn permitted(it: &mut Attempt, by: Option<TimeMs>) {
        robot(it, |known| {
            if let Phase::Offered { permit, .. } = &mut known.custody.phase {
                match (by, permit.as_mut()) {
                    (Some(by), Some(permit)) => permit.depart_by = by,
                    _ => *permit = None,
                }
            }
        });
    }
    let mut faults = of_steps("86");
    faults.extend([
        fault("state", Reason::StateFinal, |it| {
            robot(it, |known| known.state = State::Scrapped);
        }),
        fault("holds", Reason::Held, |it| {
            robot(it, |known| known.holds.push(hold(HoldKind::Theft, 1)));
        }),
        fault("recall", Reason::RecallOpen, stop_use),
        fault("peer", Reason::PeerQuarantined, |it| quarantine(it, "49")),
        fault("ending", Reason::TransferEnded, |it| {
            ended(it, Step::Cancel);
        }),
        fault("phase", Reason::TransferEnded, |it| {
            robot(it, |known| known.custody.phase = Phase::Here {});
        }),
        fault("phase", Reason::NotAccepted, |it| permitted(it, None)),
        fault("phase", Reason::DeadlinePassed, |it| {
            permitted(it, Some(TimeMs(1)));
        }),
    ]);
    // A step is of its transfer: before that is found, and before it is known to be open, nothing of the rest is looked at.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::StateFinal, Reason::TransferUnknown),
            (Reason::StateFinal, Reason::TransferEnded),
            (Reason::Held, Reason::TransferUnknown),
            (Reason::Held, Reason::TransferEnded),
            (Reason::RecallOpen, Reason::TransferUnknown),
            (Reason::RecallOpen, Reason::TransferEnded),
            (Reason::PeerQuarantined, Reason::TransferUnknown),
            (Reason::PeerQuarantined, Reason::TransferEnded),
            (Reason::PeerQuarantined, Reason::NotAccepted),
            (Reason::PeerQuarantined, Reason::DeadlinePassed),
        ],
    );
}

/// An admission by 49.
#[test]
fn of_two_faults_of_an_admission_the_first_is_answered() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    let base = Attempt::new(b, "customs", admit(1));
    fn phase(it: &mut Attempt, of: Phase) {
        robot(it, |known| known.custody.phase = of.clone());
    }
    let mut faults = of_steps("49");
    faults.extend([
        fault("ending", Reason::AlreadyAdmitted, |it| {
            ended(it, Step::Admit);
        }),
        fault("ending", Reason::TransferEnded, |it| {
            ended(it, Step::Return);
        }),
        fault("identity", Reason::IdentityEnded, end_of_the_code),
        fault("index", Reason::BodyExists, |it| {
            let body = it.country.code(50);
            let identity = Country::unborn("86").registration(1).body.identity();
            let holder = Fitting::here(body);
            let Ok(()) = it.country.ledger.put_part_holder(&identity, Some(&holder));
        }),
        fault("phase", Reason::AlreadyAdmitted, |it| {
            phase(it, Phase::Here {});
        }),
        fault("phase", Reason::NotReleased, |it| {
            let agreement = carnet_kit::agreed(prefix("86"), prefix("49"));
            let permitted = Phase::Permitted {
                transfer: transfer(1),
                from: prefix("86"),
                offer: d("offer"),
                depart_by: TimeMs(1),
                agreement,
            };
            phase(it, permitted);
        }),
        fault("disclosed state", Reason::StateFinal, |it| {
            disclosed(it, |shown| shown.state = State::Scrapped);
        }),
        fault("origin", Reason::DisclosureDiffers, |it| {
            disclosed(it, |shown| shown.identity.origin = "DE".into());
        }),
        fault("disclosed holds", Reason::RecordFull, |it| {
            disclosed(it, |shown| {
                shown.holds = (0..HOLDS_MAX)
                    .map(|number| {
                        let mut hold = hold(HoldKind::Review, number);
                        hold.setter.prefix = prefix("33");
                        hold
                    })
                    .collect();
            });
        }),
        fault("disclosed holds", Reason::Held, |it| {
            disclosed(it, |shown| shown.holds.push(hold(HoldKind::Theft, 1)));
        }),
        fault("clause", Reason::ClauseExcludes, |it| {
            change(it, |known| known.clause = None);
        }),
        fault("condition", Reason::ConditionUnmet, |it| {
            change(it, |known| {
                known.conditions = vec![Condition::FirmwareAtLeast { build: 9_999 }];
            });
        }),
        fault("importer", Reason::EnterpriseUnknown, |it| {
            let id = it.country.enterprise("0999");
            if let Command::Admit { importer, .. } = &mut it.command {
                *importer = PartyName::Enterprise { id };
            }
        }),
        fault("form", Reason::Malformed, |it| {
            let signature = it.country.key("maker").sign(b"robot");
            if let Command::Admit {
                countersignature, ..
            } = &mut it.command
            {
                *countersignature = Some(signature);
            }
        }),
    ]);
    // A step is of its transfer: before that is found, and before it is known to be open, nothing of the rest is looked at.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::EnterpriseUnknown, Reason::IdentityEnded),
            (Reason::EnterpriseUnknown, Reason::BodyExists),
            (Reason::EnterpriseUnknown, Reason::StateFinal),
            (Reason::EnterpriseUnknown, Reason::Held),
            (Reason::EnterpriseUnknown, Reason::ClauseExcludes),
            (Reason::EnterpriseUnknown, Reason::TransferUnknown),
            (Reason::EnterpriseUnknown, Reason::AlreadyAdmitted),
            (Reason::EnterpriseUnknown, Reason::TransferEnded),
            (Reason::EnterpriseUnknown, Reason::ConditionUnmet),
            (Reason::EnterpriseUnknown, Reason::DisclosureDiffers),
            (Reason::EnterpriseUnknown, Reason::RecordFull),
            (Reason::IdentityEnded, Reason::TransferUnknown),
            (Reason::IdentityEnded, Reason::AlreadyAdmitted),
            (Reason::IdentityEnded, Reason::TransferEnded),
            (Reason::BodyExists, Reason::TransferUnknown),
            (Reason::BodyExists, Reason::AlreadyAdmitted),
            (Reason::BodyExists, Reason::TransferEnded),
            (Reason::StateFinal, Reason::TransferUnknown),
            (Reason::StateFinal, Reason::AlreadyAdmitted),
            (Reason::StateFinal, Reason::TransferEnded),
            (Reason::Held, Reason::TransferUnknown),
            (Reason::Held, Reason::AlreadyAdmitted),
            (Reason::Held, Reason::TransferEnded),
            (Reason::Held, Reason::DisclosureDiffers),
            (Reason::ClauseExcludes, Reason::TransferUnknown),
            (Reason::ClauseExcludes, Reason::AlreadyAdmitted),
            (Reason::ClauseExcludes, Reason::TransferEnded),
            (Reason::ClauseExcludes, Reason::DisclosureDiffers),
            (Reason::ClauseExcludes, Reason::RecordFull),
            (Reason::StateFinal, Reason::NotReleased),
            (Reason::Held, Reason::NotReleased),
            (Reason::ClauseExcludes, Reason::NotReleased),
            (Reason::EnterpriseUnknown, Reason::NotReleased),
            (Reason::AlreadyAdmitted, Reason::TransferEnded),
            (Reason::ConditionUnmet, Reason::DisclosureDiffers),
            (Reason::ConditionUnmet, Reason::RecordFull),
        ],
    );
}

#[test]
fn of_two_faults_of_a_return_the_first_is_answered() {
    let (mut a, mut b) = two();
    let code = a.code(1);
    bring(&mut a, &mut b, code, 1, Purpose::PermanentExport);
    let base = Attempt::new(b, "customs", send_back(1));
    let mut faults = of_steps("49");
    faults.extend([
        fault("ending", Reason::TransferEnded, |it| {
            ended(it, Step::Admit);
        }),
        fault("identity", Reason::IdentityEnded, end_of_the_code),
        fault("holds", Reason::Held, |it| {
            robot(it, |known| {
                known.holds.push(hold(HoldKind::EndOfLifePending, 1));
            });
        }),
        fault("phase", Reason::TransferEnded, |it| {
            robot(it, |known| known.custody.phase = Phase::Here {});
        }),
    ]);
    // A step is of its transfer: before that is found, and before it is known to be open, nothing of the rest is looked at.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::IdentityEnded, Reason::TransferUnknown),
            (Reason::IdentityEnded, Reason::TransferEnded),
            (Reason::Held, Reason::TransferUnknown),
            (Reason::Held, Reason::TransferEnded),
        ],
    );
}
