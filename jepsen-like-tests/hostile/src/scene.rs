//! What attacks begin with: two or three countries with a market, their agreements, and the lawful steps in between.
//!
//! Every step goes through `apply` as a signed entry, like on a server; nothing is attacked here.

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::machine::entry::{Body, MailBatch};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Agreement, Signed, Statement};
use carnet_domain::record::{Holder, Robot};
use carnet_domain::rules::command::{Action, Command, Condition, Papers, Purpose};
use carnet_domain::rules::lifecycle::EndOfLife;
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, agreed, befriend, text, transfer};

/// Two peers with everything agreed; 86 has registered robot 1.
pub fn two() -> (Country, Country) {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut a, &mut b);
    a.must("maker", a.register(1));
    (a, b)
}

/// As [`two`], and 81 is a peer of both.
pub fn three() -> (Country, Country, Country) {
    let (mut a, mut b) = two();
    let mut c = Country::with_market("81");
    befriend(&mut a, &mut c);
    befriend(&mut b, &mut c);
    (a, b, c)
}

/// A prefix.
///
/// # Panics
/// When it is none.
pub fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("the scene is given a prefix")
}

/// A digest that stands for something.
pub fn d(name: &str) -> Digest {
    sha256(&[name.as_bytes()])
}

/// A day after a country's clock.
pub fn tomorrow(country: &Country) -> TimeMs {
    country.clock.saturating_add(DurationMs::from_days(1))
}

/// An action on robot `serial` of a country.
pub fn act(code: Code, action: Action) -> Command {
    Command::Act {
        code,
        expected_sequence: None,
        action,
    }
}

/// Offers a robot that `from` holds to another country, for good.
pub fn offer(from: &Country, to: &Country, code: Code, number: u8) -> Command {
    offer_for(from, to, code, number, Purpose::PermanentExport)
}

/// Offers a robot that `from` holds to another country.
pub fn offer_for(from: &Country, to: &Country, code: Code, number: u8, why: Purpose) -> Command {
    Command::DeclareExport {
        code,
        transfer: transfer(number),
        to: to.prefix,
        purpose: why,
        offer_until: tomorrow(from),
        agreement: agreed(from.prefix, to.prefix),
        papers: Papers {
            consignee: Some(d("importer of record").into()),
            ..Papers::default()
        },
    }
}

/// Permits an import.
pub fn permit(country: &Country, number: u8, conditions: Vec<Condition>) -> Command {
    Command::PermitImport {
        transfer: transfer(number),
        depart_by: tomorrow(country),
        conditions,
    }
}

/// Releases.
pub fn depart(number: u8) -> Command {
    Command::Depart {
        transfer: transfer(number),
        place: "port".into(),
    }
}

/// Admits.
pub fn admit(number: u8) -> Command {
    Command::Admit {
        transfer: transfer(number),
        place: "harbour".into(),
        importer: d("importer of record").into(),
        documents: Vec::new(),
        countersignature: None,
    }
}

/// Sends back.
pub fn send_back(number: u8) -> Command {
    Command::Return {
        transfer: transfer(number),
        reason: "refused".into(),
    }
}

/// Brings a robot that `from` holds up to, and not including, its admission.
pub fn bring(from: &mut Country, to: &mut Country, code: Code, number: u8, why: Purpose) {
    let declared = offer_for(from, to, code, number, why);
    from.must("customs", declared);
    from.deliver(to);
    to.must("customs", permit(to, number, Vec::new()));
    to.deliver(from);
    from.must("customs", depart(number));
    from.deliver(to);
}

/// Moves a robot that `from` holds to `to` for good, and tells `from`.
pub fn export(from: &mut Country, to: &mut Country, code: Code, number: u8) {
    bring(from, to, code, number, Purpose::PermanentExport);
    to.must("customs", admit(number));
    to.deliver(from);
}

/// The record of a robot.
///
/// # Panics
/// When there is none.
pub fn robot(country: &Country, code: &Code) -> Robot {
    let Ok(robot) = country.ledger.robot(code);
    robot.expect("the robot has a record here")
}

/// Honest mail of `from` that `to` has not applied.
///
/// # Panics
/// When they are no peers.
pub fn waiting(from: &mut Country, to: &Country) -> MailBatch {
    from.close();
    let Ok(peer) = to.ledger.peer(&from.prefix);
    let peer = peer.expect("mail goes between peers");
    let batch = from.mail(&to.prefix, peer.size_seen, peer.cursor);
    batch.expect("a closed log has mail")
}

/// Enterprise 0003, which has nothing to do with 0001 and 0002, gets a signer for every role.
pub fn strangers(country: &mut Country) {
    let id = country.enterprise("0003");
    for (name, role) in [
        ("x-owner", Role::Owner),
        ("x-buyer", Role::Owner),
        ("x-operator", Role::Operator),
        ("x-recycler", Role::Recycler),
        ("x-declarant", Role::Declarant),
        ("x-service", Role::ServiceProvider),
        ("x-dealer", Role::Dealer),
    ] {
        let enrol = country.enrolment(name, Holder::Enterprise { id }, role, name);
        country.must("registrar", enrol);
    }
}

/// Declares the end of a robot.
pub fn declare_end(code: Code) -> Command {
    act(
        code,
        Action::DeclareEndOfLife {
            outcome: EndOfLife::Scrapped,
            certificate: d("certificate"),
        },
    )
}

/// Confirms the end of a robot.
pub fn confirm_end(code: Code) -> Command {
    act(
        code,
        Action::ConfirmEndOfLife {
            certificate: d("certificate"),
        },
    )
}

/// An agreement, signed by the roots of both.
pub fn signed_by_both(a: &Country, b: &Country, agreement: &Agreement) -> Statement {
    let bytes = agreement.to_bytes();
    let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
    let bytes = Blob(bytes);
    Statement::Agree {
        agreement: Signed { bytes, signatures },
    }
}

/// Both conclude an agreement.
///
/// # Panics
/// When one of them refuses.
pub fn conclude(a: &mut Country, b: &mut Country, agreement: &Agreement) {
    let statement = signed_by_both(a, b, agreement);
    for country in [a, b] {
        let answer = country.state(&statement);
        assert_eq!(text(&answer), "done", "the agreement is concluded");
    }
}

/// The second of two peers, which only knows the bundle of the first: no agreement, nothing sent.
///
/// # Panics
/// When it does not recognise the first.
pub fn recognised() -> (Country, Country) {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("44"));
    a.must("maker", a.register(1));
    for (country, bundle) in [
        (&mut b, a.bundle_of(1)),
        (&mut a, Country::new("44").bundle_of(1)),
    ] {
        let bytes = bundle.to_bytes();
        let fingerprint = sha256(&[&bytes]);
        let of = Country::new(bundle.prefixes[0].as_str());
        let signatures = of.root_signatures(&bytes);
        let bytes = Blob(bytes);
        let answer = country.state(&Statement::Recognise {
            changes: Vec::new(),
            bundle: Signed { bytes, signatures },
            fingerprint,
        });
        assert_eq!(text(&answer), "done", "the bundle is recognised");
    }
    (a, b)
}

/// What another country's roots state to recognise this one by its bundle.
pub fn recognition(of: &mut Country) -> Statement {
    let bundle = of.bundle();
    Statement::Recognise {
        changes: Vec::new(),
        fingerprint: sha256(&[&bundle.bytes.0]),
        bundle,
    }
}

/// Applies a batch of mail.
pub fn take(
    country: &mut Country,
    batch: MailBatch,
) -> Vec<carnet_domain::machine::entry::ItemAnswer> {
    country.apply(Body::Foreign { batch }).items
}
