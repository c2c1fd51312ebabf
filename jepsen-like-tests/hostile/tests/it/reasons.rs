//! Every reason there is is answered by `apply` to an entry of somebody: one that nobody can be given is no part of the
//! protocol, and a list that misses one is a harness that is broken.

use carnet_domain::bytes::encoding::Blob;
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::signature::Signature;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{
    DECLARATIONS_A_DAY_MAX, HOLDS_MAX, LEAVES_A_MINUTE_MAX, OFFERS_MADE_A_MINUTE_MAX,
    PARKED_OF_PEER_MAX, UNSEALED_MAX,
};
use carnet_domain::log::authority::SignedHeader;
use carnet_domain::machine::entry::{Body, ItemAnswer, Request};
use carnet_domain::record::audited::AuditHeads;
use carnet_domain::record::contact::Contact;
use carnet_domain::record::denied::{Bearer, Certificate};
use carnet_domain::record::keys::KeySignature;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{LogDoubt, Peer, Signed, Statement, TimeChange};
use carnet_domain::record::{
    ApprovalStatus, Asking, EnterpriseStatus, Hold, Holder, ReleaseSecret, Setter, Severity,
};
use carnet_domain::rules::command::{Action, Command, Condition, Purpose};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_hostile::scene::{
    act, admit, bring, conclude, confirm_end, d, declare_end, depart, export, offer, permit,
    prefix, recognised, robot, two, waiting,
};
use carnet_kit::samples::{
    SECRET, battery, client, recall, recall_id, refused, release, stock_at_dealer,
};
use carnet_kit::{Country, agreement, transfer};

/// Somebody's command, answered.
fn said(country: &mut Country, who: &str, command: Command) -> ItemAnswer {
    // Customs give away nobody's robot for good: they are told that first.
    let who = match &command {
        Command::DeclareExport {
            code,
            purpose: Purpose::PermanentExport,
            ..
        } if who == "customs" => country.giver(code),
        _ => who,
    };
    country.command(who, command)
}

/// A market with robot 1.
fn market() -> Country {
    let mut country = Country::with_market("86");
    country.must("maker", country.register(1));
    country
}

/// A request of the maker whose header or signature somebody changed.
fn changed(header: impl Fn(&mut SignedHeader), request: impl Fn(&mut Request)) -> ItemAnswer {
    let mut country = market();
    let commands = [country.register(2)];
    let mut signed = country.header("maker", &commands);
    let session = signed.session;
    header(&mut signed);
    let mut asked = country.part("maker", &signed, &commands, 0, 1);
    request(&mut asked);
    let Ok(session) = country.ledger.session(session);
    let subject = session.expect("open").subject;
    let request = asked;
    let mut answer = country.apply(Body::Actor { subject, request });
    answer.items.remove(0)
}

fn hold(country: &Country, kind: HoldKind) -> Command {
    Command::SetHold {
        code: country.code(1),
        kind,
        reason: "why".into(),
    }
}

fn sell(country: &Country) -> Command {
    act(
        country.code(1),
        Action::Sell {
            owner: d("owner").into(),
        },
    )
}

fn stock(country: &Country) -> Command {
    act(country.code(1), stock_at_dealer(country))
}

/// 86 offers robot 1 to 49, which was told.
fn asked() -> (Country, Country) {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    (a, b)
}

/// 49's answer to an honest offer of 86, of which it knows what somebody changed.
fn mailed(known: impl Fn(&mut Peer)) -> ItemAnswer {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    let batch = waiting(&mut a, &b);
    let Ok(peer) = b.ledger.peer(&a.prefix);
    let mut peer = peer.expect("a peer");
    known(&mut peer);
    let Ok(()) = b.ledger.put_peer(peer);
    first(b.apply(Body::Foreign { batch }).items)
}

fn status_of_enterprise(country: &Country, code: &str) -> Command {
    Command::SetEnterpriseStatus {
        id: country.enterprise(code),
        status: EnterpriseStatus::StruckOff,
        reason: "why".into(),
    }
}

fn status_of_model(country: &Country, model: &str) -> Command {
    Command::SetModelStatus {
        id: country.model("0001", model),
        status: ApprovalStatus::Withdrawn,
        reason: "why".into(),
    }
}

fn first(mut items: Vec<ItemAnswer>) -> ItemAnswer {
    items.remove(0)
}

/// An entry of somebody to which this reason is the answer; `None` for a number that is kept and never answered.
fn attack(reason: Reason) -> ItemAnswer {
    match reason {
        // The request.
        Reason::WrongAudience => changed(|header| header.incarnation = 7, |_| {}),
        Reason::SessionUnknown => changed(|header| header.session = 999, |_| {}),
        Reason::SessionExpired => {
            let mut a = market();
            for (sequence, serial) in [(5_000, 2), (2, 3)] {
                let commands = [a.register(serial)];
                let mut header = a.header("maker", &commands);
                header.sequence = sequence;
                let request = a.part("maker", &header, &commands, 0, 1);
                let answer = first(a.ask(request).items);
                if sequence == 2 {
                    return answer;
                }
            }
            unreachable!("it is asked twice")
        }
        Reason::IdempotencyMismatch => changed(|header| header.sequence = 1, |_| {}),
        Reason::CommandExpired => changed(|header| header.not_after = TimeMs(0), |_| {}),
        Reason::SignerUnknown => {
            let nobody = Country::with_market("86").key("nobody").public().key_id();
            changed(move |header| header.key = nobody, |_| {})
        }
        Reason::SignerNotActive => {
            let mut a = market();
            let public = a.key("rival").public();
            let retire = Command::RetireSigner {
                public,
                compromised_after: None,
                reason: "lost".into(),
            };
            a.session("rival");
            a.must("registrar", retire);
            let command = a.register(2);
            said(&mut a, "rival", command)
        }
        Reason::SessionNotYours => {
            let mut a = market();
            let command = a.register(2);
            let request = a.request("maker", &[command]);
            let subject = "rival".to_owned();
            first(a.apply(Body::Actor { subject, request }).items)
        }
        Reason::BadSignature => changed(|_| {}, |request| request.signature.0[0] ^= 1),
        Reason::Malformed => changed(|_| {}, |request| request.header = Blob(vec![0xff])),
        Reason::EntryFull => {
            let mut a = market();
            let mut registry = a.registry();
            registry.unsealed = UNSEALED_MAX;
            let Ok(()) = a.ledger.put_registry(registry);
            let command = a.register(2);
            said(&mut a, "maker", command)
        }
        // Who asks.
        Reason::RoleNotAllowed => {
            let mut a = market();
            let command = a.register(2);
            said(&mut a, "owner", command)
        }
        Reason::ActorNotInStanding => {
            let mut a = market();
            a.must("registrar", status_of_enterprise(&a, "0003"));
            let command = a.register(2);
            said(&mut a, "rival", command)
        }
        Reason::LastOfRole => {
            let mut a = market();
            let retire = Command::RetireSigner {
                public: a.key("registrar").public(),
                compromised_after: None,
                reason: "lost".into(),
            };
            said(&mut a, "admin", retire)
        }
        Reason::QuorumNeeded => {
            let mut a = market();
            let stolen = |node| Command::RevokeCertificate {
                refused: refused(Certificate {
                    mark: client("node").mark,
                    bearer: Bearer::Node { node },
                }),
                reason: "stolen".into(),
            };
            a.must("admin", stolen(1));
            a.must("admin-2", stolen(1));
            said(&mut a, "admin", stolen(2))
        }
        Reason::NotYours => {
            let mut a = market();
            let command = a.register(2);
            said(&mut a, "rival", command)
        }
        Reason::PrefixNotOurs => {
            let mut a = market();
            let theirs = Country::with_market("49").register(1);
            said(&mut a, "registrar", theirs)
        }
        // Enterprises, signers, models.
        Reason::EnterpriseUnknown => {
            let mut a = market();
            let command = status_of_enterprise(&a, "0009");
            said(&mut a, "registrar", command)
        }
        Reason::EnterpriseExists => {
            let mut a = market();
            let command = a.accreditation("0001");
            said(&mut a, "registrar", command)
        }
        Reason::EnterpriseNotActive => {
            let mut a = market();
            a.must("registrar", status_of_enterprise(&a, "0003"));
            let command = status_of_enterprise(&a, "0003");
            said(&mut a, "registrar", command)
        }
        Reason::EnterpriseLacksRole => {
            let mut a = market();
            let mut command = a.accreditation("0009");
            if let Command::AccreditEnterprise { roles, .. } = &mut command {
                *roles = vec![Role::Customs];
            }
            said(&mut a, "registrar", command)
        }
        Reason::SuccessionCircular => {
            let mut a = market();
            let id = a.enterprise("0001");
            let command = Command::SucceedEnterprise {
                id,
                successor: id,
                reason: "why".into(),
            };
            said(&mut a, "registrar", command)
        }
        Reason::SignerExists => {
            let mut a = market();
            let id = a.enterprise("0001");
            let holder = Holder::Enterprise { id };
            let command = a.enrolment("maker", holder, Role::Manufacturer, "again");
            said(&mut a, "registrar", command)
        }
        Reason::ModelUnknown => {
            let mut a = market();
            let command = status_of_model(&a, "100009");
            said(&mut a, "registrar", command)
        }
        Reason::ModelExists => {
            let mut a = market();
            let command = a.approval("0001", "100002");
            said(&mut a, "registrar", command)
        }
        Reason::ModelNotApproved => {
            let mut a = market();
            a.must("registrar", status_of_model(&a, "100002"));
            let command = a.register(2);
            said(&mut a, "maker", command)
        }
        Reason::OutsideProduction => {
            let mut a = market();
            let mut registration = a.registration(2);
            registration.manufactured = a.clock.saturating_add(DurationMs::from_days(9_000));
            said(&mut a, "maker", Command::Register { registration })
        }
        Reason::RangeInverted => {
            let mut a = market();
            let mut command = a.accreditation("0009");
            if let Command::AccreditEnterprise {
                valid_from,
                valid_to,
                ..
            } = &mut command
            {
                (*valid_from, *valid_to) = (TimeMs(9), TimeMs(1));
            }
            said(&mut a, "registrar", command)
        }
        Reason::MadeLater => {
            let mut a = market();
            let mut registration = a.registration(2);
            registration.manufactured = a.clock.saturating_add(DurationMs::from_days(9));
            said(&mut a, "maker", Command::Register { registration })
        }
        // Identities.
        Reason::MakerDiffers => {
            let mut a = market();
            let mut registration = a.registration(2);
            registration.body.maker.identifier = "86-0003".into();
            said(&mut a, "maker", Command::Register { registration })
        }
        Reason::KeyNotProven => {
            let mut a = market();
            let mut registration = a.registration(3);
            registration.robot_key = a.with_key("robot", a.registration(2)).robot_key;
            said(&mut a, "maker", Command::Register { registration })
        }
        Reason::KeyInUse => {
            let mut a = market();
            for serial in [2, 3] {
                let registration = a.with_key("robot", a.registration(serial));
                let answer = said(&mut a, "maker", Command::Register { registration });
                if serial == 3 {
                    return answer;
                }
            }
            unreachable!("it is asked twice")
        }
        Reason::IdentityEnded => {
            let mut a = market();
            a.must("recycler", declare_end(a.code(1)));
            a.must("registrar", confirm_end(a.code(1)));
            let command = a.register(1);
            said(&mut a, "maker", command)
        }
        Reason::CodeExists => {
            let mut a = market();
            let command = a.register(1);
            said(&mut a, "maker", command)
        }
        Reason::BodyExists => {
            let mut a = market();
            let mut registration = a.registration(2);
            registration.body = a.registration(1).body;
            said(&mut a, "maker", Command::Register { registration })
        }
        Reason::PartInUse => {
            let mut a = market();
            let mut registration = a.registration(2);
            registration.identity_parts = a.registration(1).identity_parts;
            said(&mut a, "maker", Command::Register { registration })
        }
        // The robot.
        Reason::RobotUnknown => {
            let mut a = Country::with_market("86");
            let command = stock(&a);
            said(&mut a, "maker", command)
        }
        Reason::EndDeclared => {
            let mut a = market();
            let code = a.code(1);
            a.must("recycler", declare_end(code));
            said(&mut a, "recycler", declare_end(code))
        }
        Reason::NothingChanges => {
            let mut a = market();
            let status = Command::SetEnterpriseStatus {
                id: a.enterprise("0001"),
                status: EnterpriseStatus::Active,
                reason: "x".into(),
            };
            said(&mut a, "registrar", status)
        }
        Reason::MinuteLimit => {
            let (mut a, b) = two();
            let offer = offer(&a, &b, a.code(1), 1);
            let Ok(peer) = a.ledger.peer(&b.prefix);
            let mut peer = peer.expect("a peer");
            peer.told = peer.told.at(a.clock);
            peer.told.enterprises.items = OFFERS_MADE_A_MINUTE_MAX;
            let Ok(()) = a.ledger.put_peer(peer);
            said(&mut a, "maker", offer)
        }
        Reason::DailyLimit => {
            let mut a = market();
            let Ok(enterprise) = a.ledger.enterprise(&a.enterprise("0002"));
            let mut enterprise = enterprise.expect("accredited");
            for _ in 0..DECLARATIONS_A_DAY_MAX {
                enterprise.declared = enterprise.declared.and(a.clock);
            }
            let Ok(()) = a.ledger.put_enterprise(enterprise);
            let code = a.code(1);
            said(&mut a, "recycler", declare_end(code))
        }
        Reason::StateFinal => {
            let mut a = market();
            a.must("recycler", declare_end(a.code(1)));
            a.must("registrar", confirm_end(a.code(1)));
            let command = stock(&a);
            said(&mut a, "maker", command)
        }
        Reason::NotInCustody => {
            let (mut a, mut b) = two();
            let code = a.code(1);
            export(&mut a, &mut b, code, 1);
            let command = stock(&a);
            said(&mut a, "maker", command)
        }
        Reason::SequenceMismatch => {
            let mut a = market();
            let command = Command::Act {
                code: a.code(1),
                expected_sequence: Some(7),
                action: Action::Stock { at: None },
            };
            said(&mut a, "maker", command)
        }
        Reason::TransferOpen => {
            let (mut a, _) = asked();
            let command = stock(&a);
            said(&mut a, "maker", command)
        }
        Reason::Held => {
            let mut a = market();
            a.must("regulator", hold(&a, HoldKind::Theft));
            let command = stock(&a);
            said(&mut a, "maker", command)
        }
        Reason::RecallOpen => {
            let mut a = market();
            a.must("maker", stock(&a));
            a.must("regulator", recall(&a, "R-1", Severity::StopUse));
            let command = sell(&a);
            said(&mut a, "dealer", command)
        }
        Reason::TransitionNotAllowed => {
            let mut a = market();
            let command = sell(&a);
            said(&mut a, "maker", command)
        }
        Reason::OwnershipRequestOpen => {
            let mut a = market();
            let code = a.code(1);
            a.must("maker", stock(&a));
            a.must("dealer", sell(&a));
            a.must("owner", release(&a, code, None, Asking::Waits));
            let request = Action::RequestOwnership {
                owner: d("gaining").into(),
                secret: SECRET,
            };
            a.must("buyer", act(code, request.clone()));
            said(&mut a, "buyer", act(code, request))
        }
        Reason::InspectionMissing => {
            let mut a = market();
            let code = a.code(1);
            let mut retired = robot(&a, &code);
            retired.state = State::Retired;
            let Ok(()) = a.ledger.put_robot(retired);
            let report = d("report");
            let back = act(code, Action::ReturnToService { report });
            said(&mut a, "registrar", back)
        }
        Reason::LeafNotItsOwn => {
            let mut a = market();
            let note = "why".to_owned();
            let correct = act(a.code(1), Action::Correct { corrects: 0, note });
            said(&mut a, "registrar", correct)
        }
        Reason::PartNotFitted => {
            let mut a = market();
            let replace = Action::ReplacePart {
                removed: d("no such part"),
                fitted: battery("NEW"),
            };
            let command = act(a.code(1), replace);
            said(&mut a, "maker", command)
        }
        Reason::SecondPartyRequired => {
            let mut a = market();
            a.must("registrar", declare_end(a.code(1)));
            let command = confirm_end(a.code(1));
            said(&mut a, "registrar", command)
        }
        Reason::NothingPending => {
            let mut a = market();
            let command = confirm_end(a.code(1));
            said(&mut a, "registrar", command)
        }
        Reason::HoldUnknown => {
            let mut a = market();
            let command = Command::LiftHold {
                code: a.code(1),
                kind: HoldKind::Theft,
                reason: "why".into(),
            };
            said(&mut a, "regulator", command)
        }
        Reason::ClaimUnknown => {
            let (mut a, b) = two();
            let clear = Command::ClearClaim {
                peer: b.prefix,
                identity: d("never claimed"),
                reason: "why".into(),
            };
            said(&mut a, "registrar", clear)
        }
        Reason::ReasonMissing => {
            let mut a = market();
            a.must("registrar", hold(&a, HoldKind::Review));
            let command = Command::LiftHold {
                code: a.code(1),
                kind: HoldKind::Review,
                reason: " ".into(),
            };
            said(&mut a, "regulator", command)
        }
        Reason::HoldExists => {
            let mut a = market();
            a.must("regulator", hold(&a, HoldKind::Theft));
            let command = hold(&a, HoldKind::Theft);
            said(&mut a, "regulator", command)
        }
        Reason::ReleaseCodeWrong => {
            let mut a = market();
            let code = a.code(1);
            a.must("maker", stock(&a));
            a.must("dealer", sell(&a));
            a.must("owner", release(&a, code, None, Asking::Waits));
            let request = Action::RequestOwnership {
                owner: d("gaining").into(),
                secret: ReleaseSecret([9; 16]),
            };
            said(&mut a, "buyer", act(code, request))
        }
        Reason::RecordFull => {
            let mut a = market();
            let mut full = robot(&a, &a.code(1));
            let one = |number: usize| Hold {
                kind: HoldKind::Review,
                setter: Setter {
                    prefix: prefix("86"),
                    party: Holder::Office {
                        name: format!("office {number}"),
                    },
                    role: Role::Registrar,
                },
                reason: "why".into(),
                since: TimeMs(1),
            };
            full.holds = (0..HOLDS_MAX).map(one).collect();
            let Ok(()) = a.ledger.put_robot(full);
            let command = hold(&a, HoldKind::Theft);
            said(&mut a, "regulator", command)
        }
        // The border.
        Reason::PeerUnknown => {
            let mut a = market();
            let command = a.declare(1, transfer(1), &prefix("33"));
            said(&mut a, "maker", command)
        }
        Reason::PeerQuarantined => {
            let (mut a, mut b) = asked();
            let Ok(peer) = b.ledger.peer(&a.prefix);
            let mut peer = peer.expect("a peer");
            // What a fork leaves behind; the fork itself is told in `peers`.
            peer.quarantined = true;
            let Ok(()) = b.ledger.put_peer(peer);
            let command = permit(&b, 1, Vec::new());
            a.close();
            said(&mut b, "customs", command)
        }
        Reason::PeerDoubted => {
            let (a, mut b) = asked();
            let Ok(peer) = b.ledger.peer(&a.prefix);
            let mut peer = peer.expect("a peer");
            // What makes it so is told in `belief`.
            peer.doubted = Some(LogDoubt::RolledBack);
            let Ok(()) = b.ledger.put_peer(peer);
            let command = permit(&b, 1, Vec::new());
            said(&mut b, "customs", command)
        }
        Reason::BundleExpired => mailed(|peer| peer.bundle.valid_to = TimeMs(1)),
        Reason::PeerPaused => {
            let now = Country::with_market("49").clock;
            mailed(|peer| {
                peer.heard.minute = now.0 / 60_000;
                peer.heard.leaves = LEAVES_A_MINUTE_MAX;
            })
        }
        Reason::ContactPaused => mailed(|peer| peer.contact = Contact::Paused),
        Reason::AuditContradicts => {
            let heads = AuditHeads::default();
            // No member.
            first(market().apply(Body::Audit { node: 99, heads }).items)
        }
        Reason::NoAgreement => {
            let (mut a, b) = recognised();
            let command = a.declare(1, transfer(1), &b.prefix);
            said(&mut a, "maker", command)
        }
        Reason::ClauseExcludes => {
            let (mut a, mut b) = two();
            let mut narrow = agreement(a.prefix, b.prefix, 2);
            for clause in &mut narrow.clauses {
                clause.purposes = vec![Purpose::Transit];
            }
            conclude(&mut a, &mut b, &narrow);
            let mut command = offer(&a, &b, a.code(1), 1);
            if let Command::DeclareExport { agreement, .. } = &mut command {
                agreement.version = 2;
            }
            said(&mut a, "customs", command)
        }
        Reason::TransferUnknown => {
            let mut a = market();
            said(&mut a, "customs", depart(9))
        }
        Reason::TransferExists => {
            let (mut a, b) = asked();
            a.must("maker", a.register(2));
            let command = a.declare(2, transfer(1), &b.prefix);
            said(&mut a, "customs", command)
        }
        Reason::AlreadyAdmitted => {
            let (mut a, mut b) = two();
            let code = a.code(1);
            export(&mut a, &mut b, code, 1);
            said(&mut b, "customs", admit(1))
        }
        Reason::AlreadyPermitted => {
            let (_, mut b) = asked();
            b.must("customs", permit(&b, 1, Vec::new()));
            let command = permit(&b, 1, Vec::new());
            said(&mut b, "customs", command)
        }
        Reason::TransferEnded => {
            let (mut a, _) = asked();
            let cancel = || Command::CancelExport {
                transfer: transfer(1),
                reason: "why".into(),
            };
            a.must("customs", cancel());
            said(&mut a, "customs", cancel())
        }
        Reason::NotAccepted => {
            let (mut a, _) = asked();
            said(&mut a, "customs", depart(1))
        }
        Reason::DeadlinePassed => {
            let (_, mut b) = asked();
            b.advance(DurationMs::from_days(2));
            let command = permit(&b, 1, Vec::new());
            said(&mut b, "customs", command)
        }
        Reason::NotReleased => {
            let (_, mut b) = asked();
            b.must("customs", permit(&b, 1, Vec::new()));
            said(&mut b, "customs", admit(1))
        }
        Reason::ConditionUnmet => {
            let (mut a, mut b) = asked();
            b.must("customs", permit(&b, 1, vec![Condition::Inspection {}]));
            b.deliver(&mut a);
            a.must("customs", depart(1));
            a.deliver(&mut b);
            said(&mut b, "customs", admit(1))
        }
        Reason::CommodityDiffers => {
            let (mut a, b) = two();
            let mut command = a.declare(1, transfer(1), &b.prefix);
            if let Command::DeclareExport { papers, .. } = &mut command {
                papers.commodity = "950300".into();
            }
            said(&mut a, "maker", command)
        }
        Reason::ConsignmentDiffers => {
            let (mut a, b) = two();
            a.must("maker", a.register(2));
            let declare = |a: &Country, serial: u32, number: u8| {
                let mut command = a.declare(serial, transfer(number), &b.prefix);
                if let Command::DeclareExport { papers, .. } = &mut command {
                    papers.ucr = "UCR-1".into();
                }
                command
            };
            let first = declare(&a, 1, 1);
            a.must("maker", first);
            let mut second = declare(&a, 2, 2);
            if let Command::DeclareExport { purpose, .. } = &mut second {
                *purpose = Purpose::Exhibition;
            }
            said(&mut a, "customs", second)
        }
        Reason::HereForATime => {
            let (mut a, mut b) = two();
            let code = a.code(1);
            bring(&mut a, &mut b, code, 1, Purpose::Exhibition);
            b.must("customs", admit(1));
            let id = b.enterprise("0002");
            let ask = Action::RequestOwnership {
                owner: carnet_domain::record::PartyName::Enterprise { id },
                secret: carnet_kit::samples::SECRET,
            };
            let command = act(a.code(1), ask);
            said(&mut b, "dealer", command)
        }
        Reason::DisclosureDiffers => {
            let (mut a, mut b) = two();
            let code = a.code(1);
            export(&mut a, &mut b, code, 1);
            let mut lied = robot(&b, &code);
            lied.identity.body = d("another body");
            let Ok(()) = b.ledger.put_robot(lied);
            let home = offer(&b, &a, code, 2);
            b.must("customs", home);
            b.deliver(&mut a);
            let command = permit(&a, 2, Vec::new());
            said(&mut a, "customs", command)
        }
        // Recalls.
        Reason::RecallExists => {
            let mut a = market();
            a.must("regulator", recall(&a, "R-1", Severity::Advisory));
            let command = recall(&a, "R-1", Severity::Advisory);
            said(&mut a, "regulator", command)
        }
        Reason::RecallUnknown => {
            let mut a = market();
            let command = Command::RemedyRecall {
                code: a.code(1),
                recall: recall_id(&a, "R-1"),
                report: d("report"),
            };
            said(&mut a, "registrar", command)
        }
        Reason::PredicateEmpty => {
            let mut a = market();
            let mut command = recall(&a, "R-1", Severity::Advisory);
            if let Command::OpenRecall { models, .. } = &mut command {
                models.clear();
            }
            said(&mut a, "regulator", command)
        }
        // Statements of the roots, and mail.
        Reason::StatementUnsigned => {
            let (mut a, mut b) = (market(), Country::new("49"));
            let bundle = b.bundle();
            let fingerprint = d("another");
            let statement = Statement::Recognise {
                changes: Vec::new(),
                bundle,
                fingerprint,
            };
            let mut signed = a.sign_statement(&statement);
            signed.signatures.truncate(1);
            first(a.apply(Body::Root { signed }).items)
        }
        Reason::StatementStale => {
            let (mut a, b) = two();
            let again = agreement(a.prefix, b.prefix, 1);
            let statement = carnet_hostile::scene::signed_by_both(&a, &b, &again);
            a.state(&statement)
        }
        Reason::PrefixOverlap => {
            let (mut a, b) = (market(), Country::new("49"));
            let mut bundle = b.bundle_of(1);
            bundle.prefixes.push(a.prefix);
            let fingerprint = bundle.fingerprint();
            let bytes = carnet_domain::bytes::encoding::Canonical::to_bytes(&bundle);
            let signatures = b.root_signatures(&bytes);
            let bytes = Blob(bytes);
            a.state(&Statement::Recognise {
                changes: Vec::new(),
                bundle: Signed { bytes, signatures },
                fingerprint,
            })
        }
        Reason::EvidenceBroken => {
            let (mut a, mut b) = two();
            a.must("customs", a.declare(1, transfer(1), &b.prefix));
            let mut batch = waiting(&mut a, &b);
            batch.checkpoint.push('x');
            first(b.apply(Body::Foreign { batch }).items)
        }
        Reason::EvidenceGap => {
            let (mut a, mut b) = two();
            a.must("customs", a.declare(1, transfer(1), &b.prefix));
            let mut batch = waiting(&mut a, &b);
            batch.items[0].sequence = 7;
            first(b.apply(Body::Foreign { batch }).items)
        }
        Reason::NotSettled => crate::forks::against_what_was_done_here(),
        Reason::DueFirst => {
            let (mut a, b) = two();
            a.must("customs", a.declare(1, transfer(1), &b.prefix));
            let to = a.registry().log_time;
            a.advance(DurationMs::from_days(2));
            let change = TimeChange {
                cluster: a.registry().cluster,
                number: 1,
                from: a.registry().log_time,
                to,
            };
            a.state_unrenewed(&Statement::RepairTime { change })
        }
        Reason::NotParked => {
            let (mut a, b) = two();
            let (peer, item) = (b.prefix, 0);
            said(&mut a, "registrar", Command::RetryParked { peer, item })
        }
        Reason::ItemTooLarge => crate::parking::too_large(),
        Reason::Discarded => crate::parking::given_up(),
        Reason::Parked => crate::parking::kept(1),
        Reason::ParkedOver => crate::parking::kept(PARKED_OF_PEER_MAX + 1),
        // The registry itself.
        Reason::NotSealed => {
            let mut a = market();
            let body = Body::Publish {
                size: 1,
                root: d("root"),
                signatures: vec![KeySignature {
                    key: a.key("log").public(),
                    signature: Signature([0; 64]),
                }],
            };
            first(a.apply(body).items)
        }
        Reason::ClockAhead => {
            let mut a = market();
            a.clock = a.clock.saturating_add(DurationMs::from_days(1));
            first(a.apply_unrenewed(Body::Seal {}).items)
        }
        Reason::AlreadyInitialised => {
            let mut a = market();
            let genesis = a.genesis();
            a.state(&Statement::Genesis { genesis })
        }
        Reason::NotInitialised => {
            let mut a = Country::unborn("86");
            first(a.apply_unrenewed(Body::Seal {}).items)
        }
        Reason::ClocksDisagree => {
            let mut a = market();
            let readings = Vec::new();
            let to = a.clock;
            first(a.apply_unrenewed(Body::AdvanceTime { to, readings }).items)
        }
        Reason::TimeNeedsRoots => {
            let mut a = market();
            let to = a.clock.saturating_add(DurationMs::from_days(1));
            first(a.apply_unrenewed(Country::confirmation(to)).items)
        }
        Reason::LevelRefused => {
            let mut a = market();
            let to = Level::FIRST;
            let seen = Vec::new();
            first(a.apply(Body::RaiseLevel { to, seen }).items)
        }
        Reason::RuleUnknown => {
            let mut a = market();
            let body = Body::Rule {
                number: u16::MAX,
                cursor: 0,
            };
            first(a.apply(body).items)
        }
    }
}

#[test]
fn every_reason_is_answered_to_somebody() {
    for reason in Reason::ALL {
        let answer = attack(*reason);
        let answered = |it: &ItemAnswer| match it {
            ItemAnswer::Refused { rejection } => rejection.reason == *reason,
            _ => false,
        };
        assert!(
            answered(&answer),
            "harness broken: {reason:?} is answered by {answer:?}"
        );
    }
}
