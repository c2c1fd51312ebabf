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
use carnet_domain::limits::{EPOCH_FOREIGN_MAX, OFFERS_OF_PEER_MAX, RECALLS_A_DAY_MAX};
use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::record::contact::Contact;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::LogDoubt;
use carnet_domain::record::{
    ApprovalStatus, Desk, Ended, Ends, EnterpriseStatus, Hold, Holder, IdentifierScheme, Maker,
    Party, PartyName, Robot, Setter, Severity, Stay,
};
use carnet_domain::rules::command::{Action, Command, Purpose};
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_hostile::judge::content;
use carnet_hostile::scene::{act, d, permit, prefix, two};
use carnet_kit::samples::{recall, stock_at_dealer};
use carnet_kit::{Country, agreed, transfer};

use border::{change, disclosed};

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
    for who in [
        "maker",
        "rival",
        "declarant",
        "operator",
        "dealer",
        "customs",
    ] {
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
        fault("made", Reason::MadeLater, |it| {
            let day = carnet_domain::bytes::time::DurationMs::from_days(1);
            registration(it).manufactured = it.country.clock.saturating_add(day);
        }),
        fault("key", Reason::KeyNotProven, |it| {
            let other = it.country.with_key("robot", it.country.registration(3));
            registration(it).robot_key = other.robot_key;
        }),
        // Of this code with this body, whichever they are.
        fault("key", Reason::KeyInUse, |it| {
            let own = registration(it).clone();
            let own = it.country.with_key("robot", own);
            let key = own.robot_key.expect("it was proven");
            let other = carnet_domain::record::Fitting::here(it.country.code(50));
            let Ok(()) = it
                .country
                .ledger
                .put_part_holder(&key.identity(), Some(&other));
            registration(it).robot_key = Some(key);
        }),
        fault("body", Reason::MakerDiffers, |it| {
            registration(it).body.maker = it.country.maker("0003");
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
        fault("set aside", Reason::Held, |it| {
            let code = it.country.code(2);
            it.country.must("maker", Command::Reserve { code });
            let Ok(robot) = it.country.ledger.robot(&code);
            let mut robot = robot.expect("it is set aside");
            robot.holds.push(hold(HoldKind::Theft, 1));
            let Ok(()) = it.country.ledger.put_robot(robot);
        }),
    ]);
    is_meant(&disorder(&base, &faults), TOLD_NOTHING);
}

/// A filing by an importer, of what a maker made that is nobody here.
#[test]
fn of_two_faults_of_a_filing_the_first_is_answered() {
    let country = market();
    let mut filed = country.registration(2);
    filed.importers_filing = true;
    filed.body.maker = Maker {
        scheme: IdentifierScheme::Name,
        country: "KZ".into(),
        identifier: "STEPPE-ROBOTICS".into(),
    };
    let register = Command::Register {
        registration: filed,
    };
    let base = Attempt::new(country, "importer", register);
    fn filing(it: &mut Attempt) -> &mut carnet_domain::rules::command::Registration {
        match &mut it.command {
            Command::Register { registration } => registration,
            _ => unreachable!("the scene is a filing"),
        }
    }
    let mut faults = of_requests();
    // Whose session and key it is, the scenes of the maker try.
    faults.retain(|one| !["subject", "sequence", "key"].contains(&one.of));
    faults.extend([
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
        fault("code", Reason::ModelUnknown, |it| {
            filing(it).code = Code::parse("86000110000900000000000000002").expect("a code");
        }),
        fault("model", Reason::ModelNotApproved, withdraw_model),
        fault("made", Reason::MadeLater, |it| {
            let day = carnet_domain::bytes::time::DurationMs::from_days(1);
            filing(it).manufactured = it.country.clock.saturating_add(day);
        }),
        fault("body", Reason::MakerDiffers, |it| {
            filing(it).body.maker = it.country.maker("0003");
        }),
        // The end of a code is looked up under the code that the filing names.
        fault("code", Reason::IdentityEnded, |it| {
            let code = it.country.code(2);
            end(it, carnet_domain::log::leaf::Subject::robot(&code).key());
        }),
        fault("code", Reason::CodeExists, |it| {
            filing(it).code = it.country.code(1);
        }),
        fault("body", Reason::BodyExists, |it| {
            let other = carnet_domain::record::Fitting::here(it.country.code(50));
            let body = filing(it).body.identity();
            let Ok(()) = it.country.ledger.put_part_holder(&body, Some(&other));
        }),
        fault("parts", Reason::PartInUse, |it| {
            filing(it).identity_parts = it.country.registration(1).identity_parts;
        }),
    ]);
    is_meant(&disorder(&base, &faults), &[]);
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
        fault("contact", Reason::ContactPaused, |it| {
            roots::peer(it, "49", |peer| peer.contact = Contact::Paused);
        }),
        fault("doubt", Reason::PeerDoubted, |it| {
            roots::peer(it, "49", |peer| peer.doubted = Some(LogDoubt::RolledBack));
        }),
        fault("bundle", Reason::BundleExpired, |it| {
            roots::peer(it, "49", |peer| peer.bundle.valid_to = TimeMs(1));
        }),
        fault("places", Reason::RecordFull, |it| {
            roots::peer(it, "49", |peer| peer.offers_made = OFFERS_OF_PEER_MAX);
        }),
        // Whose a guest is, nobody here says.
        fault("who", Reason::HereForATime, |it| {
            it.who = "customs";
            let purpose = Purpose::Exhibition;
            let id = Country::unborn("49").enterprise("0001");
            it.robot(|robot| {
                robot.stay = Stay::Guest { purpose };
                robot.owner = Some(Party::Enterprise { id });
            });
        }),
        fault("desk", Reason::SecondPartyRequired, |it| {
            let id = it.country.enterprise("0002");
            let key = it.country.key("registrar").public().key_id();
            let Ok(signer) = it.country.ledger.signer(&key);
            let set_by = signer.expect("enrolled").side();
            it.robot(|robot| {
                let desk = Desk::Enterprise { id };
                robot.owner = Some(PartyName::from(d("a person")).at(desk, TimeMs(1)));
                robot.desk_set_by = Some(set_by.clone());
            });
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
        fault("index", Reason::BodyExists, |it| {
            let other = carnet_domain::record::Fitting::here(it.country.code(50));
            let body = Country::unborn("86").registration(1).body.identity();
            let Ok(()) = it.country.ledger.put_part_holder(&body, Some(&other));
        }),
        fault("disclosed state", Reason::StateFinal, |it| {
            disclosed(it, |shown| shown.state = State::Scrapped);
        }),
        fault("holds", Reason::Held, |it| {
            border::robot(it, |known| known.holds.push(hold(HoldKind::Theft, 1)));
        }),
        fault("disclosed holds", Reason::Held, |it| {
            disclosed(it, |shown| shown.holds.push(hold(HoldKind::Theft, 1)));
        }),
        fault("contact", Reason::ContactPaused, |it| {
            roots::peer(it, "86", |peer| peer.contact = Contact::Paused);
        }),
        fault("doubt", Reason::PeerDoubted, |it| {
            roots::peer(it, "86", |peer| peer.doubted = Some(LogDoubt::RolledBack));
        }),
        fault("bundle", Reason::BundleExpired, |it| {
            roots::peer(it, "86", |peer| peer.bundle.valid_to = TimeMs(1));
        }),
        fault("phase", Reason::AlreadyPermitted, |it| {
            border::robot(it, |known| {
                known.custody.phase = Phase::Permitted {
                    transfer: transfer(1),
                    from: prefix("86"),
                    offer: d("offer"),
                    depart_by: TimeMs(1),
                    agreement: agreed(prefix("86"), prefix("49")),
                };
            });
        }),
        fault("origin", Reason::DisclosureDiffers, |it| {
            disclosed(it, |shown| shown.identity.origin = "DE".into());
        }),
        fault("epoch", Reason::RecordFull, |it| {
            border::robot(it, |known| known.custody.epoch = EPOCH_FOREIGN_MAX);
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
    let of_the_record = [
        Reason::IdentityEnded,
        Reason::BodyExists,
        Reason::StateFinal,
        Reason::Held,
        Reason::PeerQuarantined,
        Reason::ContactPaused,
        Reason::PeerDoubted,
        Reason::BundleExpired,
        Reason::NoAgreement,
        Reason::ClauseExcludes,
    ];
    let of_the_record = of_the_record.iter().flat_map(|one| {
        let late = [Reason::TransferUnknown, Reason::TransferEnded];
        late.map(|late| (*one, late))
    });
    let permitted = [
        (Reason::AlreadyPermitted, Reason::TransferEnded),
        // What it is disclosed as comes first of what holds it.
        (Reason::Held, Reason::DisclosureDiffers),
    ];
    let meant: Vec<_> = of_the_record.chain(permitted).collect();
    is_meant(&disorder(&base, &faults), &meant);
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
        fault("day", Reason::DailyLimit, |it| {
            let id = it.country.enterprise("0001");
            let Ok(maker) = it.country.ledger.enterprise(&id);
            let mut maker = maker.expect("an enterprise");
            for _ in 0..RECALLS_A_DAY_MAX {
                maker.recalled = maker.recalled.and(it.country.clock);
            }
            let Ok(()) = it.country.ledger.put_enterprise(maker);
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

/// The sources of the scenes.
const SCENES: [&str; 5] = [
    include_str!("order.rs"),
    include_str!("order/border.rs"),
    include_str!("order/office.rs"),
    include_str!("order/robot.rs"),
    include_str!("order/roots.rs"),
];

/// Reasons that stand in no scene, and why.
const IN_NO_SCENE: &[(Reason, &str)] = &[
    (
        Reason::CommodityDiffers,
        "of the papers of a declaration, after all that is asked of robot, peer and agreement",
    ),
    (
        Reason::ConsignmentDiffers,
        "of the papers of a declaration, after the commodity code in them",
    ),
    (
        Reason::PredicateEmpty,
        "a maker that names no model names none of its own, and is told that",
    ),
    (
        Reason::EndDeclared,
        "of who comes with a robot of another, after all that is asked of the robot",
    ),
    (
        Reason::NotSettled,
        "of a statement that names a fork: by its leaf there is one, or none",
    ),
    (
        Reason::DueFirst,
        "what has expired is ended before a statement is judged at all",
    ),
    (
        Reason::Parked,
        "no answer to anybody who asks: what waits is mail, and proven",
    ),
    (
        Reason::ItemTooLarge,
        "of an item that is not read: nothing else is known of it",
    ),
    (
        Reason::ParkedOver,
        "no answer to anybody who asks: it is told to who sent the item",
    ),
    (
        Reason::Discarded,
        "no answer to anybody who asks: it is told to who sent the item",
    ),
    (
        Reason::NotSealed,
        "of a checkpoint: the node itself publishes it, and it says nothing else",
    ),
    (
        Reason::ClockAhead,
        "of the stamp of an entry, before anything in it is read",
    ),
    (Reason::AlreadyInitialised, "of a genesis alone"),
    (
        Reason::NotInitialised,
        "of a log without a genesis, before anything else is read",
    ),
    (
        Reason::ClocksDisagree,
        "of a step of time that nodes take: it has nothing else that is wrong",
    ),
    (
        Reason::TimeNeedsRoots,
        "of a step of time that nodes take: a quorum is asked first",
    ),
    (Reason::AuditContradicts, "of what a node enters of itself"),
    (
        Reason::LevelRefused,
        "of a step of the level: it has nothing else that is wrong",
    ),
    (
        Reason::RuleUnknown,
        "of a rule that a node runs: it has nothing else that is wrong",
    ),
    (
        Reason::MinuteLimit,
        "counted when what was decided is told: nothing else is wrong with it then",
    ),
    (
        Reason::EntryFull,
        "of an item that was not looked at: the entry before it had done enough",
    ),
];

/// The reasons that a scene makes a fault of.
fn in_scenes() -> Vec<Reason> {
    let named = |chunk: &str| {
        let (_, name) = chunk.split_once("Reason::")?;
        let name: String = name.chars().take_while(char::is_ascii_alphabetic).collect();
        Reason::ALL.iter().copied().find(|one| one.name() == name)
    };
    let mut found = Vec::new();
    for source in SCENES {
        for call in ["fault(", "fault_of("] {
            let chunks = source.split(call).skip(1);
            // What the call says, and no more of what stands behind it.
            let chunks = chunks.map(|chunk| chunk.split("|it").next().unwrap_or_default());
            found.extend(chunks.filter_map(named));
        }
    }
    found
}

#[test]
fn every_reason_stands_in_a_scene_or_in_the_list_that_says_why_not() {
    let found = in_scenes();
    for reason in Reason::ALL {
        let listed = IN_NO_SCENE.iter().find(|(one, _)| one == reason);
        assert_ne!(
            found.contains(reason),
            listed.is_some(),
            "{reason:?}: {:?}",
            listed.map(|(_, why)| why)
        );
    }
}
