//! The order of reasons: of several that hold, the first in the declared order is answered.
//!
//! Each scene is a request that is done, and faults that can be made in it one by one. Every fault alone has its reason,
//! and every two that can be made together have the reason that is declared first. Where the order that is observed is
//! another on purpose, the pair stands in a list with the reason for it, and a pair that is not observed any more has to
//! leave the list.

mod border;
mod office;
mod robot;
mod roots;

use carnet_domain::bytes::code::{Code, ModelId, Prefix};
use carnet_domain::bytes::signature::KeyId;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Phase;
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    ApprovalStatus, Ended, Ends, EnterpriseStatus, Hold, Holder, Robot, Setter, Severity,
};
use carnet_domain::rules::command::{Action, Command, Purpose};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_hostile::judge::content;
use carnet_hostile::scene::{act, d, permit, prefix, two};
use carnet_kit::samples::{recall, stock_at_dealer};
use carnet_kit::{Country, agreed, transfer};

/// A request about to be made, and everything that can be wrong with it.
#[derive(Clone)]
struct Attempt {
    country: Country,
    who: &'static str,
    command: Command,
    /// Of the header.
    to: Prefix,
    session: Option<u64>,
    sequence: Option<u64>,
    not_after: Option<TimeMs>,
    kind: Option<u16>,
    /// Whose key is named, and whose signs.
    key: Option<&'static str>,
    subject: Option<&'static str>,
    is_signature_good: bool,
    is_proof_good: bool,
}

impl Attempt {
    fn new(country: Country, who: &'static str, command: Command) -> Self {
        Self {
            to: country.prefix,
            country,
            who,
            command,
            session: None,
            sequence: None,
            not_after: None,
            kind: None,
            key: None,
            subject: None,
            is_signature_good: true,
            is_proof_good: true,
        }
    }

    /// Changes the record of robot 1.
    fn robot(&mut self, change: impl Fn(&mut Robot)) {
        let Ok(robot) = self.country.ledger.robot(&self.country.code(1));
        let mut robot = robot.expect("a record");
        change(&mut robot);
        let Ok(()) = self.country.ledger.put_robot(robot);
    }
}

/// What can be tried, and answered.
trait Tried: Clone {
    /// The reason; `None` when it is done.
    fn run(self) -> Option<Reason>;
}

impl Tried for Attempt {
    fn run(mut self) -> Option<Reason> {
        let commands = [self.command];
        let mut header = self.country.header(self.who, &commands);
        header.prefix = self.to;
        header.session = self.session.unwrap_or(header.session);
        header.sequence = self.sequence.unwrap_or(header.sequence);
        header.not_after = self.not_after.unwrap_or(header.not_after);
        header.kind = self.kind.unwrap_or(header.kind);
        let signer = self.key.unwrap_or(self.who);
        let key: KeyId = self.country.key(signer).public().key_id();
        header.key = key;
        let mut request = self.country.part(signer, &header, &commands, 0, 1);
        if !self.is_signature_good {
            request.signature.0[7] ^= 1;
        }
        if !self.is_proof_good {
            request.range_proof.push(d("x"));
        }
        let subject = self.subject.unwrap_or(self.who).to_owned();
        let before = content(&self.country);
        let answer = self.country.apply(Body::Actor { subject, request });
        match answer.items.as_slice() {
            [ItemAnswer::Refused { rejection }] => {
                let reason = rejection.reason;
                assert_eq!(content(&self.country), before, "{reason:?}");
                Some(reason)
            }
            [ItemAnswer::Done { .. }] => None,
            other => panic!("one command has one answer: {other:?}"),
        }
    }
}

/// Something that can be wrong: what it changes, so that two that change one thing are not tried together; the reason.
struct Fault<T> {
    of: &'static str,
    reason: Reason,
    make: fn(&mut T),
}

fn fault_of<T>(of: &'static str, reason: Reason, make: fn(&mut T)) -> Fault<T> {
    Fault { of, reason, make }
}

/// One of a request.
fn fault(of: &'static str, reason: Reason, make: fn(&mut Attempt)) -> Fault<Attempt> {
    fault_of(of, reason, make)
}

/// Every fault alone, and every two: the pairs that are not answered by the one declared first.
fn disorder<T: Tried>(base: &T, faults: &[Fault<T>]) -> Vec<(Reason, Reason)> {
    assert_eq!(base.clone().run(), None, "without a fault it is done");
    // All that is not so at once: a rule that moves, moves many.
    let mut strange = Vec::new();
    for one in faults {
        let mut attempt = base.clone();
        (one.make)(&mut attempt);
        let found = attempt.run();
        if found != Some(one.reason) {
            let (of, reason) = (one.of, one.reason);
            strange.push(format!("a fault of {of} is {found:?}, not {reason:?}"));
        }
    }
    let mut wrong = Vec::new();
    for (at, one) in faults.iter().enumerate() {
        for other in &faults[at + 1..] {
            if one.of == other.of {
                continue;
            }
            let mut attempt = base.clone();
            (other.make)(&mut attempt);
            (one.make)(&mut attempt);
            let found = attempt.run();
            let (first, last) = (one.reason.min(other.reason), one.reason.max(other.reason));
            if found != Some(first) && found != Some(last) {
                let (a, b) = (one.of, other.of);
                strange.push(format!("{first:?} ({a}) and {last:?} ({b}): {found:?}"));
            }
            if found == Some(last) && first != last {
                wrong.push((first, last));
            }
        }
    }
    assert_eq!(strange, Vec::<String>::new(), "and in disorder: {wrong:?}");
    wrong.sort();
    wrong.dedup();
    wrong
}

/// What can be wrong before a command is looked at.
fn of_requests() -> Vec<Fault<Attempt>> {
    vec![
        fault("to", Reason::WrongAudience, |it| it.to = prefix("49")),
        fault("session", Reason::SessionUnknown, |it| {
            it.session = Some(999);
        }),
        fault("subject", Reason::SessionNotYours, |it| {
            it.subject = Some("importer");
        }),
        fault("sequence", Reason::IdempotencyMismatch, |it| {
            it.sequence = Some(3_000);
        }),
        fault("sequence", Reason::SessionExpired, |it| {
            it.sequence = Some(500);
        }),
        fault("not_after", Reason::CommandExpired, |it| {
            it.not_after = Some(TimeMs(0));
        }),
        fault("key", Reason::SignerUnknown, |it| it.key = Some("nobody")),
        fault("key", Reason::SignerNotActive, |it| {
            it.key = Some("retired");
        }),
        fault("key", Reason::SessionNotYours, |it| {
            it.key = Some("regulator");
        }),
        fault("signature", Reason::BadSignature, |it| {
            it.is_signature_good = false;
        }),
        fault("proof", Reason::Malformed, |it| it.is_proof_good = false),
        fault("kind", Reason::Malformed, |it| it.kind = Some(1)),
    ]
}

/// 86 with a peer, robot 1 in stock at the dealer, a retired key, and a session of the maker that was used at 3,000.
fn market() -> Country {
    let (mut a, _) = two();
    a.must("maker", act(a.code(1), stock_at_dealer(&a)));
    a.must("registrar", a.approval("0003", "100003"));
    let id = a.enterprise("0002");
    let public = a.key("retired").public();
    let enrol = a.enrolment("retired", Holder::Enterprise { id }, Role::Owner, "retired");
    a.must("registrar", enrol);
    a.must(
        "registrar",
        Command::RetireSigner {
            public,
            compromised_after: None,
            reason: "lost".into(),
        },
    );
    for who in ["maker", "rival", "declarant", "operator", "dealer"] {
        let report = d("report");
        let passed = true;
        let inspect = act(a.code(1), Action::Inspect { report, passed });
        let mut header = a.header(who, std::slice::from_ref(&inspect));
        header.sequence = 3_000;
        let request = a.part(who, &header, &[inspect], 0, 1);
        a.ask(request);
        // The kit goes on from there.
        while a.header(who, &[]).sequence < 3_000 {}
    }
    a
}

/// Why the subject of the certificate is compared before anything is told.
const TOLD_NOTHING: &[(Reason, Reason)] = &[
    // The stored answers of a session, and whether a number is known, are of the subject that opened it.
    (Reason::SessionExpired, Reason::SessionNotYours),
    (Reason::IdempotencyMismatch, Reason::SessionNotYours),
    (Reason::CommandExpired, Reason::SessionNotYours),
    (Reason::SignerUnknown, Reason::SessionNotYours),
    (Reason::SignerNotActive, Reason::SessionNotYours),
];

/// The observed disorder is the one that is meant.
fn is_meant(found: &[(Reason, Reason)], meant: &[(Reason, Reason)]) {
    let mut meant = meant.to_vec();
    meant.sort();
    assert_eq!(
        found, meant,
        "pairs that the declared order does not answer"
    );
}

fn hold(kind: HoldKind, number: usize) -> Hold {
    Hold {
        kind,
        setter: Setter {
            prefix: prefix("86"),
            party: Holder::Office {
                name: format!("office {number}"),
            },
            role: Role::Registrar,
        },
        reason: "why".into(),
        since: TimeMs(1),
    }
}

fn strike_off(it: &mut Attempt, code: &str) {
    let Ok(enterprise) = it.country.ledger.enterprise(&it.country.enterprise(code));
    let mut enterprise = enterprise.expect("an enterprise");
    enterprise.status = EnterpriseStatus::StruckOff;
    let Ok(()) = it.country.ledger.put_enterprise(enterprise);
}

fn withdraw_model(it: &mut Attempt) {
    let Ok(model) = it.country.ledger.model(&it.country.model("0001", "100002"));
    let mut model = model.expect("a model");
    model.status = ApprovalStatus::Withdrawn;
    let Ok(()) = it.country.ledger.put_model(model);
}

fn stop_use(it: &mut Attempt) {
    let opened = recall(&it.country, "R-1", Severity::StopUse);
    it.country.must("regulator", opened);
}

fn unknown(country: &Country) -> Code {
    country.code(99)
}

fn end(it: &mut Attempt, identity: carnet_domain::bytes::digest::Digest) {
    let proven = Some(Ended {
        code: it.country.code(50),
        state: State::Scrapped,
        by: it.country.prefix,
        at: TimeMs(1),
        leaf: d("leaf"),
    });
    let ends = Ends {
        proven,
        ..Ends::default()
    };
    let Ok(()) = it.country.ledger.put_ends(&identity, ends);
}

/// A first sale by the dealer.
#[test]
fn of_two_faults_of_an_action_the_first_is_answered() {
    let country = market();
    let sell = Action::Sell {
        owner: d("owner").into(),
    };
    let code = country.code(1);
    let base = Attempt::new(country, "dealer", act(code, sell));
    let mut faults = of_requests();
    faults.extend([
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("code", Reason::RobotUnknown, |it| {
            let unknown = unknown(&it.country);
            if let Command::Act { code, .. } = &mut it.command {
                *code = unknown;
            }
        }),
        fault("own", Reason::ActorNotInStanding, |it| {
            strike_off(it, "0002");
            strike_off(it, "0003");
        }),
        fault("maker", Reason::EnterpriseNotActive, |it| {
            strike_off(it, "0001");
        }),
        fault("model", Reason::ModelNotApproved, withdraw_model),
        fault("state", Reason::StateFinal, |it| {
            it.robot(|robot| robot.state = State::Scrapped);
        }),
        fault("phase", Reason::NotInCustody, |it| {
            it.robot(|robot| robot.custody.phase = Phase::Elsewhere {});
        }),
        fault("seen", Reason::SequenceMismatch, |it| {
            if let Command::Act {
                expected_sequence, ..
            } = &mut it.command
            {
                *expected_sequence = Some(70);
            }
        }),
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
        }),
        fault("holds", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::Theft, 1)));
        }),
        fault("recall", Reason::RecallOpen, stop_use),
        fault("state", Reason::TransitionNotAllowed, |it| {
            it.robot(|robot| robot.state = State::Deployed);
        }),
    ]);
    // What somebody is to a robot, and whether it may come to market, is judged by its record.
    let market = [
        (Reason::NotYours, Reason::RobotUnknown),
        (Reason::EnterpriseNotActive, Reason::RobotUnknown),
        (Reason::ModelNotApproved, Reason::RobotUnknown),
    ];
    is_meant(&disorder(&base, &faults), &[TOLD_NOTHING, &market].concat());
}

/// A registration by the maker.
#[test]
fn of_two_faults_of_a_registration_the_first_is_answered() {
    let country = market();
    let command = country.register(2);
    let base = Attempt::new(country, "maker", command);
    fn registration(it: &mut Attempt) -> &mut carnet_domain::rules::command::Registration {
        match &mut it.command {
            Command::Register { registration } => registration,
            _ => unreachable!("the scene is a registration"),
        }
    }
    let mut faults = of_requests();
    faults.extend([
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("maker", Reason::ActorNotInStanding, |it| {
            strike_off(it, "0001");
            strike_off(it, "0003");
        }),
        fault("roles", Reason::ActorNotInStanding, |it| {
            for code in ["0001", "0003"] {
                let Ok(maker) = it.country.ledger.enterprise(&it.country.enterprise(code));
                let mut maker = maker.expect("an enterprise");
                maker.roles = vec![Role::Dealer];
                let Ok(()) = it.country.ledger.put_enterprise(maker);
            }
        }),
        fault("code", Reason::ModelUnknown, |it| {
            registration(it).code = Code::parse("86000110000900000000000000002").expect("a code");
        }),
        fault("model", Reason::ModelNotApproved, withdraw_model),
        fault("made", Reason::OutsideProduction, |it| {
            let later = carnet_domain::bytes::time::DurationMs::from_days(9_000);
            let later = it.country.clock.saturating_add(later);
            registration(it).manufactured = later;
        }),
        fault("key", Reason::KeyNotProven, |it| {
            let other = it.country.with_key("robot", it.country.registration(3));
            registration(it).robot_key = other.robot_key;
        }),
        fault("body", Reason::IdentityEnded, |it| {
            let body = registration(it).body.identity();
            end(it, body);
        }),
        fault("code", Reason::CodeExists, |it| {
            let code = it.country.code(1);
            registration(it).code = code;
        }),
        fault("body", Reason::BodyExists, |it| {
            let body = it.country.registration(1).body;
            registration(it).body = body;
        }),
        fault("parts", Reason::PartInUse, |it| {
            let parts = it.country.registration(1).identity_parts;
            registration(it).identity_parts = parts;
        }),
    ]);
    is_meant(&disorder(&base, &faults), TOLD_NOTHING);
}

/// An offer to another country, by the dealer.
#[test]
fn of_two_faults_of_an_offer_the_first_is_answered() {
    let country = market();
    let command = country.declare(1, transfer(1), &prefix("49"));
    let base = Attempt::new(country, "dealer", command);
    let mut faults = of_requests();
    faults.extend([
        fault("who", Reason::RoleNotAllowed, |it| it.who = "operator"),
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("code", Reason::RobotUnknown, |it| {
            let unknown = unknown(&it.country);
            if let Command::DeclareExport { code, .. } = &mut it.command {
                *code = unknown;
            }
        }),
        fault("state", Reason::StateFinal, |it| {
            it.robot(|robot| robot.state = State::Scrapped);
        }),
        fault("phase", Reason::NotInCustody, |it| {
            it.robot(|robot| robot.custody.phase = Phase::Elsewhere {});
        }),
        fault("phase", Reason::TransferOpen, |it| {
            it.robot(|robot| {
                robot.custody.phase = Phase::Offered {
                    transfer: transfer(2),
                    to: prefix("49"),
                    offer: d("offer"),
                    agreement: agreed(prefix("86"), prefix("49")),
                    permit: None,
                };
            });
        }),
        fault("holds", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::Theft, 1)));
        }),
        fault("recall", Reason::RecallOpen, stop_use),
        fault("state", Reason::TransitionNotAllowed, |it| {
            it.robot(|robot| robot.state = State::Maintenance);
        }),
        fault("peer", Reason::PeerUnknown, |it| {
            if let Command::DeclareExport { to, .. } = &mut it.command {
                *to = prefix("33");
            }
        }),
        fault("peer", Reason::PeerQuarantined, |it| {
            let Ok(peer) = it.country.ledger.peer(&prefix("49"));
            let mut peer = peer.expect("a peer");
            peer.quarantined = true;
            let Ok(()) = it.country.ledger.put_peer(peer);
        }),
        fault("agreement", Reason::NoAgreement, |it| {
            if let Command::DeclareExport { agreement, .. } = &mut it.command {
                agreement.version = 9;
            }
        }),
        fault("clause", Reason::ClauseExcludes, |it| {
            it.robot(|robot| robot.level = 9);
        }),
        fault("number", Reason::TransferExists, |it| {
            it.country.must("maker", it.country.register(2));
            let other = it.country.declare(2, transfer(1), &prefix("49"));
            // Under the same number, whatever is wrong with this one.
            let Ok(peer) = it.country.ledger.peer(&prefix("49"));
            let mut open = peer.clone().expect("a peer");
            open.quarantined = false;
            let Ok(()) = it.country.ledger.put_peer(open);
            it.country.must("customs", other);
            let Ok(now) = it.country.ledger.peer(&prefix("49"));
            let quarantined = peer.is_some_and(|peer| peer.quarantined);
            let now = carnet_domain::record::peer::Peer {
                quarantined,
                ..now.expect("a peer")
            };
            let Ok(()) = it.country.ledger.put_peer(now);
        }),
        fault("until", Reason::DeadlinePassed, |it| {
            if let Command::DeclareExport { offer_until, .. } = &mut it.command {
                *offer_until = TimeMs(1);
            }
        }),
    ]);
    let record = [(Reason::NotYours, Reason::RobotUnknown)];
    is_meant(&disorder(&base, &faults), &[TOLD_NOTHING, &record].concat());
}

/// A permit.
#[test]
fn of_two_faults_of_a_permit_the_first_is_answered() {
    let (mut a, mut b) = two();
    a.must("customs", a.declare(1, transfer(1), &b.prefix));
    a.deliver(&mut b);
    let command = permit(&b, 1, Vec::new());
    let base = Attempt::new(b, "customs", command);
    fn change(it: &mut Attempt, of: impl Fn(&mut carnet_domain::record::transfer::Transfer)) {
        let Ok(known) = it.country.ledger.transfer(&transfer(1));
        let mut known = known.expect("a transfer");
        of(&mut known);
        let Ok(()) = it.country.ledger.put_transfer(known);
    }
    let faults = [
        fault("to", Reason::WrongAudience, |it: &mut Attempt| {
            it.to = prefix("86");
        }),
        fault("signature", Reason::BadSignature, |it| {
            it.is_signature_good = false;
        }),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("number", Reason::TransferUnknown, |it| {
            if let Command::PermitImport { transfer, .. } = &mut it.command {
                transfer.0[0] = 77;
            }
        }),
        fault("identity", Reason::IdentityEnded, |it| {
            let code = Country::with_market("86").code(1);
            let key = carnet_domain::log::leaf::Subject::robot(&code).key();
            end(it, key);
        }),
        fault("peer", Reason::PeerQuarantined, |it| {
            let Ok(peer) = it.country.ledger.peer(&prefix("86"));
            let mut peer = peer.expect("a peer");
            peer.quarantined = true;
            let Ok(()) = it.country.ledger.put_peer(peer);
        }),
        fault("agreement", Reason::NoAgreement, |it| {
            let Ok(peer) = it.country.ledger.peer(&prefix("86"));
            let mut peer = peer.expect("a peer");
            peer.agreements.clear();
            let Ok(()) = it.country.ledger.put_peer(peer);
        }),
        fault("clause", Reason::ClauseExcludes, |it| {
            change(it, |known| {
                known.purpose = Purpose::Transit;
                if let Some(robot) = &mut known.robot {
                    robot.level = 9;
                }
            });
        }),
        fault("ending", Reason::TransferEnded, |it| {
            change(it, |known| {
                known.ending = Some(carnet_domain::record::transfer::Ending {
                    step: carnet_domain::custody::Step::Cancel,
                    place: String::new(),
                    at: TimeMs(1),
                    leaf: d("leaf"),
                });
            });
        }),
        fault("deadline", Reason::DeadlinePassed, |it| {
            if let Command::PermitImport { depart_by, .. } = &mut it.command {
                *depart_by = TimeMs(1);
            }
        }),
    ];
    // Nothing is known of what a transfer needs before it is found; and that it ended is told before what it would need.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::IdentityEnded, Reason::TransferUnknown),
            (Reason::IdentityEnded, Reason::TransferEnded),
            (Reason::PeerQuarantined, Reason::TransferUnknown),
            (Reason::PeerQuarantined, Reason::TransferEnded),
            (Reason::NoAgreement, Reason::TransferUnknown),
            (Reason::NoAgreement, Reason::TransferEnded),
            (Reason::ClauseExcludes, Reason::TransferUnknown),
            (Reason::ClauseExcludes, Reason::TransferEnded),
        ],
    );
}

fn opened(
    it: &mut Attempt,
    change: impl Fn(&mut carnet_domain::record::RecallNotice, &mut Vec<ModelId>),
) {
    if let Command::OpenRecall { notice, models, .. } = &mut it.command {
        change(notice, models);
    }
}

#[test]
fn of_two_faults_of_a_recall_the_first_is_answered() {
    let country = market();
    let command = recall(&country, "R-9", Severity::Remedy);
    let base = Attempt::new(country, "maker", command);
    let mut faults = of_requests();
    faults.extend([
        fault("models", Reason::Malformed, |it| {
            opened(it, |_, models| models.push(models[0]));
        }),
        fault("range", Reason::RangeInverted, |it| {
            opened(it, |notice, _| {
                notice.predicate.build_from = 9;
                notice.predicate.build_to = 8;
            });
        }),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("issuer", Reason::PrefixNotOurs, |it| {
            opened(it, |notice, _| notice.id.issuer = prefix("49"));
        }),
        fault("models", Reason::ModelUnknown, |it| {
            let unknown = it.country.model("0001", "199999");
            opened(it, |_, models| models[0] = unknown);
        }),
        fault("number", Reason::RecallExists, |it| {
            let same = recall(&it.country, "R-9", Severity::Advisory);
            it.country.must("regulator", same);
        }),
    ]);
    is_meant(&disorder(&base, &faults), TOLD_NOTHING);
}

#[test]
fn of_two_faults_of_an_approval_the_first_is_answered() {
    let country = market();
    let command = country.approval("0003", "100004");
    let base = Attempt::new(country, "registrar", command);
    let faults = [
        fault("facts", Reason::Malformed, |it: &mut Attempt| {
            if let Command::ApproveModel { facts, .. } = &mut it.command {
                facts.level = 9;
            }
        }),
        fault("range", Reason::RangeInverted, |it| {
            if let Command::ApproveModel {
                production_from,
                production_to,
                ..
            } = &mut it.command
            {
                (*production_from, *production_to) = (TimeMs(2), TimeMs(1));
            }
        }),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("id", Reason::PrefixNotOurs, |it| {
            let foreign = Country::unborn("49").model("0003", "100004");
            if let Command::ApproveModel { id, .. } = &mut it.command {
                *id = foreign;
            }
        }),
        fault("id", Reason::EnterpriseUnknown, |it| {
            let unknown = it.country.model("0999", "100004");
            if let Command::ApproveModel { id, .. } = &mut it.command {
                *id = unknown;
            }
        }),
        fault("enterprise", Reason::EnterpriseNotActive, |it| {
            strike_off(it, "0003");
        }),
        fault("id", Reason::ModelExists, |it| {
            let known = it.country.model("0003", "100003");
            if let Command::ApproveModel { id, .. } = &mut it.command {
                *id = known;
            }
        }),
    ];
    // An enterprise is looked up under the code that the command names.
    is_meant(&disorder(&base, &faults), &[]);
}

#[test]
fn of_two_faults_of_an_accreditation_the_first_is_answered() {
    let country = market();
    let command = country.accreditation("0008");
    let base = Attempt::new(country, "registrar", command);
    let faults = [
        fault("roles", Reason::Malformed, |it: &mut Attempt| {
            if let Command::AccreditEnterprise { roles, .. } = &mut it.command {
                roles.push(Role::Owner);
                roles.push(Role::Owner);
            }
        }),
        fault("range", Reason::RangeInverted, |it| {
            if let Command::AccreditEnterprise {
                valid_from,
                valid_to,
                ..
            } = &mut it.command
            {
                (*valid_from, *valid_to) = (TimeMs(2), TimeMs(1));
            }
        }),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("code", Reason::EnterpriseExists, |it| {
            let other = it.country.accreditation("0001");
            let Command::AccreditEnterprise { code: taken, .. } = other else {
                panic!("an accreditation");
            };
            if let Command::AccreditEnterprise { code, .. } = &mut it.command {
                *code = taken;
            }
        }),
        fault("maker", Reason::EnterpriseExists, |it| {
            let taken = it.country.maker("0001");
            if let Command::AccreditEnterprise { maker, .. } = &mut it.command {
                *maker = taken;
            }
        }),
        fault("roles", Reason::EnterpriseLacksRole, |it| {
            if let Command::AccreditEnterprise { roles, .. } = &mut it.command {
                roles.clear();
            }
        }),
    ];
    is_meant(&disorder(&base, &faults), &[]);
}

#[test]
fn of_two_faults_of_a_replacement_the_first_is_answered() {
    let country = market();
    let removed = country.registration(1).parts[0].identity();
    let fitted = carnet_kit::samples::battery("NEW");
    let action = Action::ReplacePart { removed, fitted };
    let code = country.code(1);
    let base = Attempt::new(country, "service", act(code, action));
    let faults = [
        fault("who", Reason::RoleNotAllowed, |it: &mut Attempt| {
            it.who = "declarant";
        }),
        fault("end", Reason::IdentityEnded, |it| {
            end(it, carnet_kit::samples::battery("NEW").identity());
        }),
        fault("index", Reason::PartInUse, |it| {
            let other = it.country.code(2);
            let part = carnet_kit::samples::battery("NEW").identity();
            let holder = carnet_domain::record::Fitting::here(other);
            let Ok(()) = it.country.ledger.put_part_holder(&part, Some(&holder));
        }),
        fault("state", Reason::StateFinal, |it| {
            it.robot(|robot| robot.state = State::Scrapped);
        }),
        fault("phase", Reason::NotInCustody, |it| {
            it.robot(|robot| robot.custody.phase = Phase::Elsewhere {});
        }),
        fault("hold", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::EvidenceFreeze, 1)));
        }),
        fault("removed", Reason::PartNotFitted, |it| {
            if let Command::Act {
                action: Action::ReplacePart { removed, .. },
                ..
            } = &mut it.command
            {
                *removed = d("no part");
            }
        }),
    ];
    is_meant(&disorder(&base, &faults), &[]);
}
