//! The order of reasons in a robot's life: holds, changes of ownership, ends of life.

use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Phase;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    Actor, Asking, Desk, Holder, Party, PartyName, Pending, ReleaseSecret, Robot, Stay,
};
use carnet_domain::rules::command::{Action, Command, Purpose};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_hostile::scene::{act, d, declare_end, prefix};
use carnet_kit::samples::{SECRET, release};
use carnet_kit::{Country, agreed, transfer};

use super::{Attempt, Fault, Tried, disorder, fault, hold, is_meant, market, stop_use, strike_off};

/// What is wrong with anything that is done to a robot.
fn of_robots() -> Vec<Fault<Attempt>> {
    vec![
        fault("to", Reason::WrongAudience, |it| it.to = prefix("49")),
        fault("signature", Reason::BadSignature, |it| {
            it.is_signature_good = false;
        }),
        fault("code", Reason::RobotUnknown, |it| {
            let unknown = it.country.code(99);
            match &mut it.command {
                Command::Act { code, .. }
                | Command::SetHold { code, .. }
                | Command::LiftHold { code, .. } => *code = unknown,
                other => panic!("{} is not done to a robot", other.name()),
            }
        }),
        fault("state", Reason::StateFinal, |it| {
            it.robot(|robot| robot.state = State::Scrapped);
        }),
        fault("phase", Reason::NotInCustody, |it| {
            it.robot(|robot| robot.custody.phase = Phase::Elsewhere {});
        }),
    ]
}

fn seen() -> Fault<Attempt> {
    fault("seen", Reason::SequenceMismatch, |it| {
        if let Command::Act {
            expected_sequence, ..
        } = &mut it.command
        {
            *expected_sequence = Some(70);
        }
    })
}

fn offered() -> Fault<Attempt> {
    fault("phase", Reason::TransferOpen, |it| {
        it.robot(|robot| {
            robot.custody.phase = Phase::Offered {
                transfer: transfer(1),
                to: prefix("49"),
                offer: d("offer"),
                agreement: agreed(prefix("86"), prefix("49")),
                permit: None,
            };
        });
    })
}

/// Whoever the record names is known before anything about the robot is.
const RECORD: (Reason, Reason) = (Reason::NotYours, Reason::RobotUnknown);

#[test]
fn of_two_faults_of_a_hold_the_first_is_answered() {
    let country = market();
    let code = country.code(1);
    let set = Command::SetHold {
        code,
        kind: HoldKind::RegulatorStop,
        reason: "why".into(),
    };
    let base = Attempt::new(country, "regulator", set);
    fn kind(it: &mut Attempt, of: HoldKind) {
        if let Command::SetHold { kind, .. } = &mut it.command {
            *kind = of;
        }
    }
    let mut faults = of_robots();
    faults.extend([
        fault("who", Reason::RoleNotAllowed, |it| it.who = "dealer"),
        fault("who", Reason::NotYours, |it| it.who = "buyer"),
        fault("kind", Reason::RoleNotAllowed, |it| {
            kind(it, HoldKind::OwnerHold);
        }),
        fault("kind", Reason::TransitionNotAllowed, |it| {
            kind(it, HoldKind::EndOfLifePending);
        }),
        fault("holds", Reason::HoldExists, |it| {
            let public = it.country.key("regulator").public().key_id();
            let Ok(signer) = it.country.ledger.signer(&public);
            let signer = signer.expect("enrolled");
            it.robot(|robot| {
                let mut known = hold(HoldKind::RegulatorStop, 1);
                known.setter.party = signer.holder.clone();
                known.setter.role = signer.role;
                robot.holds.push(known);
            });
        }),
    ]);
    // Whoever the record names is known before anything about the robot is; whoever asks hears first what they are to it.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::RoleNotAllowed, Reason::NotYours),
            (Reason::RoleNotAllowed, Reason::RobotUnknown),
            (Reason::RoleNotAllowed, Reason::StateFinal),
            (Reason::RoleNotAllowed, Reason::NotInCustody),
            (Reason::NotYours, Reason::RobotUnknown),
        ],
    );
}

#[test]
fn of_two_faults_of_a_hold_that_is_lifted_the_first_is_answered() {
    let mut country = market();
    let code = country.code(1);
    let set = Command::SetHold {
        code,
        kind: HoldKind::Review,
        reason: "why".into(),
    };
    // Another office set it: the regulator lifts it, and says why.
    country.must("customs", set);
    let lift = Command::LiftHold {
        code,
        kind: HoldKind::Review,
        reason: "an order".into(),
    };
    let base = Attempt::new(country, "regulator", lift);
    let mut faults = of_robots();
    faults.retain(|one| one.reason != Reason::NotInCustody);
    faults.extend([
        fault("who", Reason::RoleNotAllowed, |it| it.who = "dealer"),
        fault("who", Reason::NotYours, |it| it.who = "buyer"),
        fault("who", Reason::HoldUnknown, |it| it.who = "registrar"),
        fault("kind", Reason::HoldUnknown, |it| {
            if let Command::LiftHold { kind, .. } = &mut it.command {
                *kind = HoldKind::Lost;
            }
        }),
        fault("reason", Reason::ReasonMissing, |it| {
            if let Command::LiftHold { reason, .. } = &mut it.command {
                reason.clear();
            }
        }),
        fault("phase", Reason::TransferOpen, |it| {
            it.robot(|robot| {
                robot.custody.phase = Phase::Released {
                    transfer: transfer(1),
                    to: prefix("49"),
                    depart: d("depart"),
                    agreement: agreed(prefix("86"), prefix("49")),
                };
            });
        }),
    ]);
    is_meant(&disorder(&base, &faults), LIFTS);
}

const LIFTS: &[(Reason, Reason)] = &[RECORD];

/// Robot 1 is sold to 0002.
fn sold() -> Country {
    let mut country = market();
    let owner = PartyName::Enterprise {
        id: country.enterprise("0002"),
    };
    let sell = act(country.code(1), Action::Sell { owner });
    country.must("dealer", sell);
    country
}

/// Released to whoever has the secret; asking does not suffice.
fn released() -> Country {
    let mut country = sold();
    let release = release(&country, country.code(1), None, Asking::Waits);
    country.must("owner", release);
    country
}

fn request(country: &Country) -> Command {
    let owner = PartyName::Enterprise {
        id: country.enterprise("0003"),
    };
    let secret = SECRET;
    act(country.code(1), Action::RequestOwnership { owner, secret })
}

/// Asked for by 0003.
fn asked() -> Country {
    let mut country = released();
    let request = request(&country);
    country.must("buyer", request);
    country
}

/// Ownership changes in a state, not under a hold, and not of a robot that is elsewhere.
fn of_ownership() -> Vec<Fault<Attempt>> {
    let mut faults = of_robots();
    faults.extend([
        seen(),
        offered(),
        fault("holds", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::SaleLock, 1)));
        }),
        fault("state", Reason::TransitionNotAllowed, |it| {
            it.robot(|robot| robot.state = State::Reserved);
        }),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "recycler"),
    ]);
    faults
}

fn pending(it: &mut Attempt, of: impl Fn(&mut Pending)) {
    it.robot(|robot| of(&mut robot.pending));
}

fn until_then(it: &mut Attempt) {
    pending(it, |pending| match pending {
        Pending::Released { release } | Pending::Asked { release, .. } => {
            release.until = TimeMs(1);
        }
        other => panic!("{other:?} has no end"),
    });
}

#[test]
fn of_two_faults_of_a_release_the_first_is_answered() {
    let country = sold();
    let release = release(&country, country.code(1), None, Asking::Waits);
    let base = Attempt::new(country, "owner", release);
    fn stated(it: &mut Attempt, of: impl Fn(&mut TimeMs, &mut Option<PartyName>)) {
        if let Command::Act {
            action: Action::ReleaseOwnership { until, to, .. },
            ..
        } = &mut it.command
        {
            of(until, to);
        }
    }
    let mut faults = of_ownership();
    faults.extend([
        fault("who", Reason::NotYours, |it| it.who = "buyer"),
        fault("own", Reason::ActorNotInStanding, |it| {
            strike_off(it, "0002");
            strike_off(it, "0003");
        }),
        fault("pending", Reason::OwnershipRequestOpen, |it| {
            let asked = asked();
            let Ok(robot) = asked.ledger.robot(&asked.code(1));
            let known = robot.expect("a record").pending;
            pending(it, |pending| *pending = known.clone());
        }),
        fault("until", Reason::DeadlinePassed, |it| {
            stated(it, |until, _| *until = TimeMs(1));
        }),
        fault("gaining", Reason::EnterpriseUnknown, |it| {
            let id = it.country.enterprise("0999");
            stated(it, |_, to| *to = Some(PartyName::Enterprise { id }));
        }),
    ]);
    // Whoever the record names is known before anything about the robot is; whoever asks hears first what they are to it.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::NotYours, Reason::RobotUnknown),
            (Reason::EnterpriseUnknown, Reason::RobotUnknown),
            (Reason::OwnershipRequestOpen, Reason::Held),
            (Reason::OwnershipRequestOpen, Reason::TransitionNotAllowed),
        ],
    );
}

#[test]
fn of_two_faults_of_a_request_the_first_is_answered() {
    let country = released();
    let request = request(&country);
    let base = Attempt::new(country, "buyer", request);
    fn stated(it: &mut Attempt, of: impl Fn(&mut PartyName, &mut ReleaseSecret)) {
        if let Command::Act {
            action: Action::RequestOwnership { owner, secret },
            ..
        } = &mut it.command
        {
            of(owner, secret);
        }
    }
    let mut faults = of_ownership();
    faults.extend([
        fault("gaining", Reason::NotYours, |it| {
            let id = it.country.enterprise("0001");
            stated(it, |owner, _| *owner = PartyName::Enterprise { id });
        }),
        fault("own", Reason::ActorNotInStanding, |it| {
            strike_off(it, "0003");
            strike_off(it, "0002");
        }),
        fault("pending", Reason::NothingPending, |it| {
            pending(it, |pending| *pending = Pending::Nothing {});
        }),
        fault("secret", Reason::ReleaseCodeWrong, |it| {
            stated(it, |_, secret| secret.0[0] ^= 1);
        }),
        fault("pending", Reason::DeadlinePassed, until_then),
    ]);
    is_meant(&disorder(&base, &faults), REQUESTS);
}

const REQUESTS: &[(Reason, Reason)] = &[RECORD];

#[test]
fn of_two_faults_of_an_approval_of_a_new_owner_the_first_is_answered() {
    let country = asked();
    let approve = act(country.code(1), Action::ApproveOwnership {});
    let base = Attempt::new(country, "owner", approve);
    let mut faults = of_ownership();
    faults.extend([
        fault("who", Reason::NotYours, |it| it.who = "buyer"),
        fault("own", Reason::ActorNotInStanding, |it| {
            strike_off(it, "0002");
            strike_off(it, "0003");
        }),
        fault("pending", Reason::NothingPending, |it| {
            pending(it, |pending| *pending = Pending::Nothing {});
        }),
        fault("pending", Reason::DeadlinePassed, until_then),
        fault("pending", Reason::SecondPartyRequired, |it| {
            let holder = Holder::Enterprise {
                id: it.country.enterprise("0002"),
            };
            pending(it, |pending| {
                if let Pending::Asked { by, .. } = pending {
                    by.holder = holder.clone();
                }
            });
        }),
    ]);
    is_meant(&disorder(&base, &faults), APPROVES);
}

const APPROVES: &[(Reason, Reason)] = &[RECORD];

#[test]
fn of_two_faults_of_a_request_that_ends_the_first_is_answered() {
    let country = asked();
    let end = Action::EndOwnershipRequest {
        end: carnet_domain::record::OwnershipEnd::Rejected,
        reason: "no".into(),
    };
    let reject = act(country.code(1), end);
    let base = Attempt::new(country, "owner", reject);
    let mut faults = of_ownership();
    // It ends whatever stands on the robot.
    faults.retain(|one| one.reason != Reason::Held);
    faults.extend([
        fault("end", Reason::OwnershipRequestOpen, |it| {
            if let Command::Act {
                action: Action::EndOwnershipRequest { end, .. },
                ..
            } = &mut it.command
            {
                *end = carnet_domain::record::OwnershipEnd::Expired;
            }
        }),
        fault("who", Reason::NotYours, |it| it.who = "buyer"),
        fault("pending", Reason::NothingPending, |it| {
            pending(it, |pending| *pending = Pending::Nothing {});
        }),
    ]);
    // Whoever the record names is known before anything about the robot is; whoever asks hears first what they are to it.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::NotYours, Reason::RobotUnknown),
            (Reason::NotYours, Reason::StateFinal),
            (Reason::NotYours, Reason::NotInCustody),
            (Reason::NotYours, Reason::SequenceMismatch),
            (Reason::NotYours, Reason::TransferOpen),
            (Reason::NotYours, Reason::OwnershipRequestOpen),
            (Reason::NotYours, Reason::TransitionNotAllowed),
            (Reason::OwnershipRequestOpen, Reason::TransitionNotAllowed),
            (Reason::OwnershipRequestOpen, Reason::NothingPending),
        ],
    );
}

#[test]
fn of_two_faults_of_a_declared_end_the_first_is_answered() {
    let country = sold();
    let declare = declare_end(country.code(1));
    let base = Attempt::new(country, "recycler", declare);
    let mut faults = of_robots();
    faults.extend([
        seen(),
        offered(),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("own", Reason::ActorNotInStanding, |it| {
            strike_off(it, "0002");
        }),
        fault("holds", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::Theft, 1)));
        }),
        fault("pending", Reason::OwnershipRequestOpen, |it| {
            let asked = asked();
            let Ok(robot) = asked.ledger.robot(&asked.code(1));
            let known = robot.expect("a record").pending;
            pending(it, |pending| *pending = known.clone());
        }),
        fault("state", Reason::TransitionNotAllowed, |it| {
            it.robot(|robot| robot.state = State::Reserved);
        }),
    ]);
    is_meant(&disorder(&base, &faults), &[]);
}

/// The end of robot 1 is declared by 0002, whose it is.
fn declared() -> Country {
    let mut country = sold();
    let declare = declare_end(country.code(1));
    country.must("recycler", declare);
    country
}

#[test]
fn of_two_faults_of_a_withdrawn_end_the_first_is_answered() {
    let country = declared();
    let reason = "why".to_owned();
    let withdraw = act(country.code(1), Action::WithdrawEndOfLife { reason });
    let base = Attempt::new(country, "recycler", withdraw);
    let mut faults = of_robots();
    faults.extend([
        seen(),
        offered(),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("own", Reason::ActorNotInStanding, |it| {
            strike_off(it, "0002");
            strike_off(it, "0003");
        }),
        fault("pending", Reason::NotYours, |it| {
            // Another recycler declared it.
            let somebody = Actor {
                holder: Holder::Enterprise {
                    id: it.country.enterprise("0003"),
                },
                person: String::new(),
                key: it.country.key("buyer").public().key_id(),
            };
            pending(it, |pending| {
                if let Pending::EndOfLife { by, .. } = pending {
                    *by = somebody.clone();
                }
            });
        }),
    ]);
    // Whoever the record names is known before anything about the robot is; whoever asks hears first what they are to it.
    is_meant(
        &disorder(&base, &faults),
        &[(Reason::NotYours, Reason::RobotUnknown)],
    );
}

/// A guest, a fleet, a recall: what stops use stops a deployment, whoever asks for it.
#[test]
fn of_two_faults_of_a_deployment_the_first_is_answered() {
    let country = sold();
    let operator = PartyName::Enterprise {
        id: country.enterprise("0002"),
    };
    let scenario = "hall".to_owned();
    let deploy = act(country.code(1), Action::Deploy { operator, scenario });
    let base = Attempt::new(country, "owner", deploy);
    let mut faults = of_robots();
    faults.extend([
        seen(),
        offered(),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "recycler"),
        fault("who", Reason::NotYours, |it| it.who = "buyer"),
        fault("operator", Reason::EnterpriseUnknown, |it| {
            let id = it.country.enterprise("0999");
            if let Command::Act {
                action: Action::Deploy { operator, .. },
                ..
            } = &mut it.command
            {
                *operator = PartyName::Enterprise { id };
            }
        }),
        fault("model", Reason::ModelNotApproved, super::withdraw_model),
        fault("holds", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::RegulatorStop, 1)));
        }),
        fault("recall", Reason::RecallOpen, stop_use),
        fault("state", Reason::TransitionNotAllowed, |it| {
            it.robot(|robot| robot.state = State::Maintenance);
        }),
        fault("owner", Reason::NotYours, |it| {
            let id = it.country.enterprise("0001");
            it.robot(|robot| robot.owner = Some(Party::Enterprise { id }));
        }),
    ]);
    // Whoever the record names is known before anything about the robot is; whoever asks hears first what they are to it.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::NotYours, Reason::RobotUnknown),
            (Reason::EnterpriseUnknown, Reason::RobotUnknown),
            (Reason::ModelNotApproved, Reason::RobotUnknown),
        ],
    );
}

/// Whatever may be wrong with an action, some of it twice over: what of it the action asks is tried.
fn of_actions() -> Vec<Fault<Attempt>> {
    let mut faults = of_robots();
    faults.extend([
        seen(),
        offered(),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("who", Reason::NotYours, |it| it.who = "buyer"),
        fault("own", Reason::ActorNotInStanding, |it| {
            for code in ["0001", "0002", "0003"] {
                strike_off(it, code);
            }
        }),
        fault("stay", Reason::HereForATime, |it| {
            let purpose = Purpose::Exhibition;
            it.robot(|robot| robot.stay = Stay::Guest { purpose });
        }),
        fault("holds", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::EvidenceFreeze, 1)));
        }),
        fault("holds", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::RegulatorStop, 1)));
        }),
        fault("recall", Reason::RecallOpen, stop_use),
        fault("pending", Reason::OwnershipRequestOpen, |it| {
            let asked = asked();
            let Ok(robot) = asked.ledger.robot(&asked.code(1));
            let known = robot.expect("a record").pending;
            pending(it, |pending| *pending = known.clone());
        }),
        fault("state", Reason::TransitionNotAllowed, |it| {
            it.robot(|robot| robot.state = State::Reserved);
        }),
        fault("state", Reason::TransitionNotAllowed, |it| {
            it.robot(|robot| robot.state = State::Manufactured);
        }),
        fault("phase", Reason::TransferOpen, |it| {
            it.robot(|robot| {
                robot.custody.phase = Phase::Released {
                    transfer: transfer(1),
                    to: prefix("49"),
                    depart: d("depart"),
                    agreement: agreed(prefix("86"), prefix("49")),
                };
            });
        }),
        fault("inspection", Reason::InspectionMissing, |it| {
            it.robot(|robot| robot.inspection = None);
        }),
        fault("index", Reason::LeafNotItsOwn, |it| {
            if let Command::Act {
                action: Action::Correct { corrects, .. },
                ..
            } = &mut it.command
            {
                *corrects = 0;
            }
        }),
        fault("named", Reason::EnterpriseUnknown, |it| {
            let unknown = it.country.enterprise("0999");
            if let Command::Act { action, .. } = &mut it.command {
                match action {
                    Action::Stock { at } => *at = Some(unknown),
                    Action::BeginMaintenance { workshop, .. } => *workshop = Some(unknown),
                    Action::Redeploy { operator, .. } => {
                        *operator = PartyName::Enterprise { id: unknown };
                    }
                    Action::ChangeDesk { desk, .. } => *desk = Desk::Enterprise { id: unknown },
                    _ => {}
                }
            }
        }),
        fault("named", Reason::PrefixNotOurs, |it| {
            if let Command::Act {
                action: Action::ChangeDesk { desk, .. },
                ..
            } = &mut it.command
            {
                let (prefix, name) = (prefix("49"), "registrar/hq".into());
                *desk = Desk::Office { prefix, name };
            }
        }),
        fault("certificate", Reason::NothingPending, |it| {
            if let Command::Act {
                action: Action::ConfirmEndOfLife { certificate },
                ..
            } = &mut it.command
            {
                *certificate = d("another");
            }
        }),
        fault("declared by", Reason::SecondPartyRequired, |it| {
            let key = it.country.key(it.who).public().key_id();
            let Ok(signer) = it.country.ledger.signer(&key);
            let side = signer.expect("enrolled").side();
            pending(it, |pending| {
                if let Pending::EndOfLife { by, .. } = pending {
                    *by = side.clone();
                }
            });
        }),
    ]);
    faults
}

/// Of the robot, that it is in a state and whose it is.
fn as_of(mut country: Country, change: impl Fn(&mut Robot)) -> Country {
    let code = country.code(1);
    let Ok(robot) = country.ledger.robot(&code);
    let mut robot = robot.expect("a record");
    change(&mut robot);
    let Ok(()) = country.ledger.put_robot(robot);
    country
}

/// Every action that no other scene is of, by who may, where it may: of two faults that it asks about the first is answered.
#[test]
fn of_two_faults_of_any_other_action_the_first_is_answered() {
    let at = |state| as_of(sold(), move |robot| robot.state = state);
    let report = d("report");
    let why = || "why".to_owned();
    let stock = as_of(market(), |robot| robot.state = State::Manufactured);
    let retired = as_of(sold(), |robot| {
        robot.state = State::Retired;
        robot.inspection = Some(d("report"));
    });
    let person = d("a person");
    let desk = Desk::Enterprise {
        id: stock.enterprise("0002"),
    };
    let of_person = as_of(sold(), move |robot| {
        robot.owner = Some(PartyName::from(person).at(desk.clone(), TimeMs(1)));
    });
    let mut ended = declared();
    ended.enrol_office("registrar-2", "registrar", Role::Registrar);
    let operator = PartyName::Enterprise {
        id: stock.enterprise("0002"),
    };
    let own_leaf = {
        let Ok(robot) = stock.ledger.robot(&stock.code(1));
        robot
            .and_then(|it| it.head)
            .expect("it has a leaf")
            .leaf_index
    };
    let scenes: [(Country, &'static str, Action, usize); 15] = [
        (stock.clone(), "dealer", Action::Stock { at: None }, 11),
        (
            at(State::Deployed),
            "owner",
            Action::Redeploy {
                operator,
                scenario: why(),
            },
            12,
        ),
        (
            at(State::Deployed),
            "owner",
            Action::BeginMaintenance {
                note: why(),
                workshop: None,
            },
            11,
        ),
        (
            at(State::Maintenance),
            "service",
            Action::CompleteMaintenance { report },
            11,
        ),
        (at(State::Sold), "service", Action::Repair { report }, 9),
        (
            at(State::Sold),
            "service",
            Action::Inspect {
                report,
                passed: true,
            },
            9,
        ),
        (
            at(State::Sold),
            "service",
            Action::RecordIncident {
                severity: 2,
                place: why(),
                findings: report,
            },
            8,
        ),
        (
            at(State::Deployed),
            "service",
            Action::RecordTraining {
                data_set: report,
                model: report,
                place: why(),
            },
            9,
        ),
        (
            at(State::Sold),
            "service",
            Action::UpdateSoftware {
                firmware: carnet_domain::record::Firmware {
                    family: "fw".into(),
                    build: 99,
                },
            },
            9,
        ),
        (
            at(State::Deployed),
            "owner",
            Action::Retire { reason: why() },
            10,
        ),
        (retired, "owner", Action::ReturnToService { report }, 11),
        (
            ended,
            "registrar-2",
            Action::ConfirmEndOfLife {
                certificate: d("certificate"),
            },
            9,
        ),
        (
            stock.clone(),
            "registrar",
            Action::Annul { reason: why() },
            9,
        ),
        (
            stock,
            "registrar",
            Action::Correct {
                corrects: own_leaf,
                note: why(),
            },
            7,
        ),
        (
            of_person,
            "dealer",
            Action::ChangeDesk {
                person,
                desk: Desk::Office {
                    prefix: prefix("86"),
                    name: "registrar/hq".into(),
                },
                reason: why(),
            },
            9,
        ),
    ];
    for (country, who, action, least) in scenes {
        let said = action.name();
        let base = Attempt::new(country.clone(), who, act(country.code(1), action));
        let asked = |one: &Fault<Attempt>| {
            let mut attempt = base.clone();
            (one.make)(&mut attempt);
            attempt.run() == Some(one.reason)
        };
        let faults: Vec<Fault<Attempt>> = of_actions().into_iter().filter(asked).collect();
        assert!(
            faults.len() >= least,
            "{said}: {} of {least} faults",
            faults.len()
        );
        let found = disorder(&base, &faults);
        // What somebody is to a robot, and whom its desk may be, is known by its record; and by whom an end was declared, by the
        // declaration.
        let of_records = [
            RECORD,
            (Reason::EnterpriseUnknown, Reason::RobotUnknown),
            (Reason::PrefixNotOurs, Reason::RobotUnknown),
            (Reason::SecondPartyRequired, Reason::NothingPending),
        ];
        let strange: Vec<_> = found
            .into_iter()
            .filter(|pair| !of_records.contains(pair))
            .collect();
        assert_eq!(strange, Vec::<(Reason, Reason)>::new(), "{said}");
    }
}
