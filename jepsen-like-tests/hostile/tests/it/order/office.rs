//! The order of reasons in an office: keys, approvals, recalls that go on, claims, what waits of a peer.

use carnet_domain::bytes::signature::KeyId;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Phase;
use carnet_domain::log::leaf::{Slots, Subject};
use carnet_domain::machine::entry::Body;
use carnet_domain::record::contact::{Allowed, Contact};
use carnet_domain::record::denied::{Bearer, Certificate, Refused};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    ApprovalStatus, Claim, Ended, Enterprise, EnterpriseStatus, Holder, RecallDecision,
    RecallStatus, Severity,
};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_hostile::liar::{lies, say_of};
use carnet_hostile::scene::{d, prefix, two};
use carnet_kit::Country;
use carnet_kit::samples::{amendment, client, recall, recall_id, refused};

use super::{Attempt, Fault, disorder, fault, hold, is_meant, market, strike_off, withdraw_model};
use carnet_domain::record::{Naming, Predicate};

/// What is wrong with anything that an office is asked.
fn of_offices() -> Vec<Fault<Attempt>> {
    vec![
        fault("to", Reason::WrongAudience, |it| it.to = prefix("49")),
        fault("signature", Reason::BadSignature, |it| {
            it.is_signature_good = false;
        }),
        fault("who", Reason::RoleNotAllowed, |it| it.who = "declarant"),
    ]
}

fn enterprise(it: &mut Attempt, code: &str, change: impl Fn(&mut Enterprise)) {
    let Ok(known) = it.country.ledger.enterprise(&it.country.enterprise(code));
    let mut known = known.expect("an enterprise");
    change(&mut known);
    let Ok(()) = it.country.ledger.put_enterprise(known);
}

#[test]
fn of_two_faults_of_a_new_key_the_first_is_answered() {
    let country = market();
    fn enrolment(country: &Country, code: &str, role: Role) -> Command {
        let id = country.enterprise(code);
        country.enrolment("new", Holder::Enterprise { id }, role, "new")
    }
    let command = enrolment(&country, "0003", Role::Owner);
    let base = Attempt::new(country, "registrar", command);
    let mut faults = of_offices();
    faults.extend([
        fault("key", Reason::BadSignature, |it| {
            if let Command::AddSigner { proof, .. } = &mut it.command {
                proof.0[0] ^= 1;
            }
        }),
        fault("word", Reason::SignerUnknown, |it| {
            if let Command::AddSigner {
                word: Some(word), ..
            } = &mut it.command
            {
                word.key = KeyId([9; 16]);
            }
        }),
        fault("key", Reason::RoleNotAllowed, |it| {
            it.command = enrolment(&it.country, "0003", Role::Customs);
        }),
        fault("key", Reason::EnterpriseUnknown, |it| {
            it.command = enrolment(&it.country, "0999", Role::Owner);
        }),
        fault("standing", Reason::EnterpriseNotActive, |it| {
            strike_off(it, "0003");
        }),
        fault("roles", Reason::EnterpriseLacksRole, |it| {
            enterprise(it, "0003", |known| known.roles = vec![Role::Dealer]);
        }),
        fault("enrolled", Reason::SignerExists, |it| {
            let public = it.country.key("new").public();
            let known = it.country.key("buyer").public().key_id();
            let Ok(known) = it.country.ledger.signer(&known);
            let mut known = known.expect("enrolled");
            (known.id, known.public) = (public.key_id(), public);
            let Ok(()) = it.country.ledger.put_signer(known);
        }),
    ]);
    // What a key, an item or a recall is of is known by its record; a name that the command gives is looked up as it is read.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::SignerUnknown, Reason::BadSignature),
            (Reason::SignerUnknown, Reason::EnterpriseUnknown),
        ],
    );
}

#[test]
fn of_two_faults_of_a_key_that_ends_the_first_is_answered() {
    let mut country = market();
    country.enrol_office("regulator-2", "regulator", Role::Regulator);
    let retire = Command::RetireSigner {
        public: country.key("regulator").public(),
        compromised_after: None,
        reason: "lost".into(),
    };
    let base = Attempt::new(country, "admin", retire);
    let mut faults = of_offices();
    faults.extend([
        fault("key", Reason::SignerUnknown, |it| {
            let unknown = it.country.key("nobody").public();
            if let Command::RetireSigner { public, .. } = &mut it.command {
                *public = unknown;
            }
        }),
        fault("retired", Reason::SignerNotActive, |it| {
            let key = it.country.key("regulator").public().key_id();
            let Ok(known) = it.country.ledger.signer(&key);
            let mut known = known.expect("enrolled");
            known.retired = Some(1);
            let Ok(()) = it.country.ledger.put_signer(known);
        }),
        fault("offices", Reason::LastOfRole, |it| {
            let mut registry = it.country.registry();
            let other = it.country.key("regulator-2").public().key_id();
            registry.offices.supervisors.retain(|one| one.key != other);
            let Ok(()) = it.country.ledger.put_registry(registry);
        }),
    ]);
    // What a key, an item or a recall is of is known by its record; a name that the command gives is looked up as it is read.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::SignerUnknown, Reason::BadSignature),
            (Reason::SignerUnknown, Reason::RoleNotAllowed),
            (Reason::SignerNotActive, Reason::BadSignature),
            (Reason::SignerNotActive, Reason::RoleNotAllowed),
        ],
    );
}

#[test]
fn of_two_faults_of_an_approval_that_is_given_back_the_first_is_answered() {
    let mut country = market();
    let id = country.model("0001", "100002");
    let set = |status| Command::SetModelStatus {
        id,
        status,
        reason: "why".into(),
    };
    country.must("registrar", set(ApprovalStatus::Suspended));
    let base = Attempt::new(country, "registrar", set(ApprovalStatus::Approved));
    let mut faults = of_offices();
    faults.extend([
        fault("id", Reason::ModelUnknown, |it| {
            let unknown = it.country.model("0001", "199999");
            if let Command::SetModelStatus { id, .. } = &mut it.command {
                *id = unknown;
            }
        }),
        fault("status", Reason::ModelNotApproved, withdraw_model),
        fault("by", Reason::NotYours, |it| {
            let Ok(model) = it.country.ledger.model(&it.country.model("0001", "100002"));
            let mut model = model.expect("a model");
            model.suspended_by = Some(Role::Regulator);
            let Ok(()) = it.country.ledger.put_model(model);
        }),
    ]);
    // What a key, an item or a recall is of is known by its record; a name that the command gives is looked up as it is read.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::NotYours, Reason::ModelUnknown),
            (Reason::NotYours, Reason::ModelNotApproved),
        ],
    );
}

/// A recall of the maker's.
fn recalled() -> Country {
    let mut country = market();
    let opened = recall(&country, "R-9", Severity::Remedy);
    country.must("maker", opened);
    country
}

fn ended(it: &mut Attempt) {
    let Ok(known) = it.country.ledger.recall(&recall_id(&it.country, "R-9"));
    let mut known = known.expect("a recall");
    known.status = RecallStatus::Withdrawn;
    let Ok(()) = it.country.ledger.put_recall(known);
}

/// What is wrong with anything that is done to a recall by its maker.
fn of_recalls() -> Vec<Fault<Attempt>> {
    let mut faults = of_offices();
    faults.extend([
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("status", Reason::RecallUnknown, ended),
        fault("number", Reason::NotYours, |it| match &mut it.command {
            Command::WithdrawRecall { recall, .. } | Command::RemedyRecall { recall, .. } => {
                recall.number = "R-1".into();
            }
            Command::AmendRecall { notice, .. } => notice.id.number = "R-1".into(),
            other => panic!("{} is of no recall", other.name()),
        }),
    ]);
    faults
}

#[test]
fn of_two_faults_of_an_amended_recall_the_first_is_answered() {
    let country = recalled();
    let amend = amendment(&country, "R-9", Predicate::all());
    let base = Attempt::new(country, "maker", amend);
    let mut faults = of_recalls();
    faults.extend([
        fault("models", Reason::Malformed, |it| {
            if let Command::AmendRecall { models, .. } = &mut it.command {
                models.push(models[0]);
            }
        }),
        fault("range", Reason::RangeInverted, |it| {
            if let Command::AmendRecall { notice, .. } = &mut it.command {
                notice.predicate.build_from = 9;
                notice.predicate.build_to = 8;
            }
        }),
        fault("models", Reason::ModelUnknown, |it| {
            let unknown = it.country.model("0001", "199999");
            if let Command::AmendRecall { models, .. } = &mut it.command {
                models[0] = unknown;
            }
        }),
    ]);
    // What a key, an item or a recall is of is known by its record; a name that the command gives is looked up as it is read.
    is_meant(
        &disorder(&base, &faults),
        &[(Reason::ModelUnknown, Reason::RecallUnknown)],
    );
}

#[test]
fn of_two_faults_of_a_withdrawn_recall_the_first_is_answered() {
    let country = recalled();
    let withdraw = Command::WithdrawRecall {
        recall: recall_id(&country, "R-9"),
        reason: "why".into(),
    };
    let base = Attempt::new(country, "maker", withdraw);
    let mut faults = of_recalls();
    faults.push(fault("by", Reason::NotYours, |it| {
        let Ok(known) = it.country.ledger.recall(&recall_id(&it.country, "R-9"));
        let mut known = known.expect("a recall");
        known.by = it.country.office("regulator");
        let Ok(()) = it.country.ledger.put_recall(known);
    }));
    // What a key, an item or a recall is of is known by its record; a name that the command gives is looked up as it is read.
    is_meant(
        &disorder(&base, &faults),
        &[(Reason::NotYours, Reason::RecallUnknown)],
    );
}

#[test]
fn of_two_faults_of_a_remedy_the_first_is_answered() {
    let country = recalled();
    let remedy = Command::RemedyRecall {
        code: country.code(1),
        recall: recall_id(&country, "R-9"),
        report: d("report"),
    };
    let base = Attempt::new(country, "service", remedy);
    let mut faults = of_offices();
    faults.extend([
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("code", Reason::RobotUnknown, |it| {
            let unknown = it.country.code(99);
            if let Command::RemedyRecall { code, .. } = &mut it.command {
                *code = unknown;
            }
        }),
        fault("state", Reason::StateFinal, |it| {
            it.robot(|robot| robot.state = State::Scrapped);
        }),
        fault("phase", Reason::NotInCustody, |it| {
            it.robot(|robot| robot.custody.phase = Phase::Elsewhere {});
        }),
        fault("holds", Reason::Held, |it| {
            it.robot(|robot| robot.holds.push(hold(HoldKind::EvidenceFreeze, 1)));
        }),
        fault("recall", Reason::RecallUnknown, ended),
    ]);
    is_meant(
        &disorder(&base, &faults),
        &[(Reason::NotYours, Reason::RobotUnknown)],
    );
}

#[test]
fn of_two_faults_of_a_cleared_claim_the_first_is_answered() {
    let mut country = market();
    let said = Ended {
        code: country.code(50),
        state: State::Scrapped,
        by: prefix("49"),
        at: TimeMs(1),
        leaf: d("leaf"),
    };
    let claim = Claim {
        said,
        cleared: false,
    };
    let Ok(()) = country
        .ledger
        .put_claim(&prefix("49"), &d("body"), Some(claim));
    let clear = Command::ClearClaim {
        peer: prefix("49"),
        identity: d("body"),
        reason: "asked there".into(),
    };
    let base = Attempt::new(country, "registrar", clear);
    fn stated(it: &mut Attempt, of: impl Fn(&mut carnet_domain::bytes::code::Prefix, &mut String)) {
        if let Command::ClearClaim { peer, reason, .. } = &mut it.command {
            of(peer, reason);
        }
    }
    let mut faults = of_offices();
    faults.extend([
        fault("peer", Reason::PeerUnknown, |it| {
            stated(it, |peer, _| *peer = prefix("33"));
        }),
        fault("identity", Reason::ClaimUnknown, |it| {
            if let Command::ClearClaim { identity, .. } = &mut it.command {
                *identity = d("another");
            }
        }),
        fault("reason", Reason::ReasonMissing, |it| {
            stated(it, |_, reason| reason.clear());
        }),
    ]);
    // What a key, an item or a recall is of is known by its record; a name that the command gives is looked up as it is read.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::ClaimUnknown, Reason::PeerUnknown),
            (Reason::ReasonMissing, Reason::PeerUnknown),
        ],
    );
}

#[test]
fn of_two_faults_of_a_discarded_item_the_first_is_answered() {
    let (mut a, mut b) = two();
    let subject = Subject::jurisdiction(&a.prefix);
    say_of(&mut a, 28, subject, Slots::new(), &b.prefix);
    let batch = lies(&mut a, &b);
    b.apply(Body::Foreign { batch });
    let discard = Command::DiscardParked {
        peer: a.prefix,
        item: 0,
        reason: "why".into(),
    };
    let base = Attempt::new(b, "registrar", discard);
    let mut faults = of_offices();
    faults[0] = fault("to", Reason::WrongAudience, |it| it.to = prefix("86"));
    faults.extend([
        fault("peer", Reason::PeerUnknown, |it| {
            if let Command::DiscardParked { peer, .. } = &mut it.command {
                *peer = prefix("33");
            }
        }),
        fault("item", Reason::NotParked, |it| {
            if let Command::DiscardParked { item, .. } = &mut it.command {
                *item = 5;
            }
        }),
        fault("bundle", Reason::BundleExpired, |it| {
            super::roots::peer(it, "86", |peer| peer.bundle.valid_to = TimeMs(1));
        }),
    ]);
    // What a key, an item or a recall is of is known by its record; a name that the command gives is looked up as it is read.
    is_meant(
        &disorder(&base, &faults),
        &[(Reason::NotParked, Reason::PeerUnknown)],
    );
}

/// Two admins, one of whose certificates is out, and three voters, one of which is: what takes another is refused for the first.
#[test]
fn of_two_faults_of_a_revocation_the_first_is_answered() {
    let mut country = market();
    let revoked = |bearer| {
        let certificate = Certificate {
            mark: client("node").mark,
            bearer,
        };
        refused(certificate)
    };
    let revoke = |refused| Command::RevokeCertificate {
        refused,
        reason: "stolen".into(),
    };
    for who in ["admin", "admin-2"] {
        country.must(who, revoke(revoked(Bearer::Node { node: 1 })));
    }
    country.must("admin", revoke(revoked(Bearer::Node { node: 9 })));
    let base = Attempt::new(
        country,
        "admin-2",
        revoke(revoked(Bearer::Node { node: 9 })),
    );
    let mut faults = of_offices();
    faults.extend([
        fault("voter", Reason::QuorumNeeded, |it| {
            changed(it, |refused| {
                refused.certificate.bearer = Bearer::Node { node: 2 };
            });
        }),
        fault("time", Reason::DeadlinePassed, |it| {
            changed(it, |refused| refused.not_after = TimeMs(1));
        }),
    ]);
    is_meant(&disorder(&base, &faults), &[]);
}

fn changed(it: &mut Attempt, change: impl Fn(&mut Refused)) {
    if let Command::RevokeCertificate { refused, .. } = &mut it.command {
        change(refused);
    }
}

/// The enterprise that a command is of.
fn of_enterprise(it: &mut Attempt, code: &str) {
    let other = it.country.enterprise(code);
    match &mut it.command {
        Command::SetEnterpriseStatus { id, .. }
        | Command::AmendEnterprise { id, .. }
        | Command::SucceedEnterprise { id, .. } => *id = other,
        other => panic!("{} is of no enterprise", other.name()),
    }
}

fn unknown_enterprise() -> Fault<Attempt> {
    fault("id", Reason::EnterpriseUnknown, |it| {
        of_enterprise(it, "0999")
    })
}

#[test]
fn of_two_faults_of_a_suspension_the_first_is_answered() {
    let country = market();
    let suspend = Command::SetEnterpriseStatus {
        id: country.enterprise("0003"),
        status: EnterpriseStatus::Suspended,
        reason: "why".into(),
    };
    let base = Attempt::new(country, "registrar", suspend);
    let mut faults = of_offices();
    faults.extend([
        unknown_enterprise(),
        fault("status", Reason::EnterpriseNotActive, |it| {
            strike_off(it, "0003")
        }),
        fault("status", Reason::NothingChanges, |it| {
            enterprise(it, "0003", |known| {
                known.status = EnterpriseStatus::Suspended
            });
        }),
    ]);
    is_meant(&disorder(&base, &faults), &[]);
}

#[test]
fn of_two_faults_of_a_striking_off_the_first_is_answered() {
    let mut country = market();
    country.enrol_office("registrar-2", "registrar", Role::Registrar);
    let strike = Command::SetEnterpriseStatus {
        id: country.enterprise("0003"),
        status: EnterpriseStatus::StruckOff,
        reason: "why".into(),
    };
    country.command("registrar", strike.clone());
    let base = Attempt::new(country, "registrar-2", strike);
    let mut faults = of_offices();
    faults.extend([
        unknown_enterprise(),
        fault("status", Reason::EnterpriseNotActive, |it| {
            strike_off(it, "0003")
        }),
        fault("words", Reason::SecondPartyRequired, |it| {
            let key = it.country.key("registrar-2").public().key_id();
            let Ok(signer) = it.country.ledger.signer(&key);
            let by = signer.expect("enrolled").side();
            enterprise(it, "0003", |known| known.first_words[0].by = by.clone());
        }),
    ]);
    is_meant(&disorder(&base, &faults), &[]);
}

#[test]
fn of_two_faults_of_an_accreditation_stated_anew_the_first_is_answered() {
    let country = market();
    let Ok(known) = country.ledger.enterprise(&country.enterprise("0003"));
    let known = known.expect("accredited");
    let amend = Command::AmendEnterprise {
        id: known.id,
        name: "another name".into(),
        roles: known.roles,
        valid_from: known.valid_from,
        valid_to: known.valid_to,
        reason: "why".into(),
    };
    let base = Attempt::new(country, "registrar", amend);
    fn terms(it: &mut Attempt, of: impl Fn(&mut String, &mut Vec<Role>, &mut TimeMs)) {
        if let Command::AmendEnterprise {
            name,
            roles,
            valid_to,
            ..
        } = &mut it.command
        {
            of(name, roles, valid_to);
        }
    }
    let mut faults = of_offices();
    faults.extend([
        fault("roles", Reason::Malformed, |it| {
            terms(it, |_, roles, _| roles.push(roles[0]));
        }),
        fault("name", Reason::Malformed, |it| {
            terms(it, |name, _, _| name.clear())
        }),
        fault("range", Reason::RangeInverted, |it| {
            terms(it, |_, _, to| *to = TimeMs(0));
        }),
        unknown_enterprise(),
        fault("status", Reason::EnterpriseNotActive, |it| {
            strike_off(it, "0003")
        }),
        fault("roles", Reason::EnterpriseLacksRole, |it| {
            terms(it, |_, roles, _| *roles = vec![Role::Customs]);
        }),
    ]);
    is_meant(&disorder(&base, &faults), &[]);
}

#[test]
fn of_two_faults_of_a_succession_the_first_is_answered() {
    let country = market();
    let succeed = Command::SucceedEnterprise {
        id: country.enterprise("0001"),
        successor: country.enterprise("0003"),
        reason: "why".into(),
    };
    let base = Attempt::new(country, "registrar", succeed);
    fn by(it: &mut Attempt, code: &str) {
        let next = it.country.enterprise(code);
        if let Command::SucceedEnterprise { successor, .. } = &mut it.command {
            *successor = next;
        }
    }
    let mut faults = of_offices();
    faults.extend([
        unknown_enterprise(),
        fault("successor", Reason::EnterpriseUnknown, |it| by(it, "0999")),
        fault("standing", Reason::EnterpriseNotActive, |it| {
            strike_off(it, "0003")
        }),
        fault("roles", Reason::EnterpriseLacksRole, |it| {
            enterprise(it, "0003", |known| known.roles = vec![Role::Dealer]);
        }),
        fault("circle", Reason::SuccessionCircular, |it| {
            let id = it.country.enterprise("0001");
            enterprise(it, "0003", |known| known.successor = Some(id));
        }),
        fault("named", Reason::NothingChanges, |it| {
            let (id, key) = (
                it.country.enterprise("0003"),
                it.country.key("registrar").public(),
            );
            enterprise(it, "0001", |known| {
                let (key, leaf) = (key.key_id(), 0);
                (known.successor, known.named_by) = (Some(id), Some(Naming { key, leaf }));
            });
        }),
    ]);
    is_meant(&disorder(&base, &faults), &[]);
}

#[test]
fn of_two_faults_of_what_is_taken_back_the_first_is_answered() {
    let mut country = market();
    let add = country.enrolment("ruth", country.office("regulator"), Role::Regulator, "ruth");
    country.must("admin", add);
    let proposals = country.registry().offices.proposals;
    let reject = Command::RejectProposal {
        number: proposals.last().expect("it waits").number,
        reason: "mistaken".into(),
    };
    let base = Attempt::new(country, "admin", reject);
    let mut faults = of_offices();
    faults.push(fault("number", Reason::NothingPending, |it| {
        if let Command::RejectProposal { number, .. } = &mut it.command {
            *number += 1;
        }
    }));
    is_meant(&disorder(&base, &faults), &[]);
    // And of a certificate that is refused no more.
    let mut country = market();
    let revoke = Command::RevokeCertificate {
        refused: refused(client("dealer")),
        reason: "stolen".into(),
    };
    country.must("admin", revoke);
    let unrevoke = Command::UnrevokeCertificate {
        certificate: client("dealer"),
        reason: "found".into(),
    };
    let base = Attempt::new(country, "admin", unrevoke);
    let mut faults = of_offices();
    faults.push(fault("certificate", Reason::NothingPending, |it| {
        if let Command::UnrevokeCertificate { certificate, .. } = &mut it.command {
            *certificate = client("another");
        }
    }));
    is_meant(&disorder(&base, &faults), &[]);
}

#[test]
fn of_two_faults_of_an_item_that_is_tried_again_the_first_is_answered() {
    let (mut a, mut b) = two();
    let subject = Subject::jurisdiction(&a.prefix);
    say_of(&mut a, 28, subject, Slots::new(), &b.prefix);
    let batch = lies(&mut a, &b);
    b.apply(Body::Foreign { batch });
    let peer = a.prefix;
    let retry = Command::RetryParked { peer, item: 0 };
    let mut faults = of_offices();
    faults[0] = fault("to", Reason::WrongAudience, |it| it.to = prefix("86"));
    faults.extend([
        fault("peer", Reason::PeerUnknown, |it| {
            if let Command::RetryParked { peer, .. } = &mut it.command {
                *peer = prefix("33");
            }
        }),
        fault("item", Reason::NotParked, |it| {
            if let Command::RetryParked { item, .. } = &mut it.command {
                *item = 5;
            }
        }),
    ]);
    // What cannot be taken yet waits on: it is done by nothing, so that each two are tried as they are.
    let base = Attempt::new(b, "registrar", retry);
    let mut wrong = Vec::new();
    for (at, one) in faults.iter().enumerate() {
        for other in &faults[at + 1..] {
            let mut attempt = base.clone();
            (other.make)(&mut attempt);
            (one.make)(&mut attempt);
            let found = super::Tried::run(attempt);
            let first = one.reason.min(other.reason);
            if found != Some(first) {
                wrong.push((first, found));
            }
        }
    }
    // Of a peer that nobody is, no item is looked for.
    let of_nobody = (Reason::NotParked, Some(Reason::PeerUnknown));
    assert_eq!(wrong, [of_nobody]);
}

#[test]
fn of_two_faults_of_a_code_set_aside_the_first_is_answered() {
    let country = market();
    let code = country.code(60);
    let base = Attempt::new(country, "registrar", Command::Reserve { code });
    let mut faults = of_offices();
    faults.extend([
        fault("who", Reason::NotYours, |it| it.who = "rival"),
        fault("code", Reason::PrefixNotOurs, |it| {
            let foreign = Country::unborn("49").code(60);
            it.command = Command::Reserve { code: foreign };
        }),
        fault("model", Reason::ModelNotApproved, withdraw_model),
        fault("ended", Reason::IdentityEnded, |it| {
            let Command::Reserve { code } = it.command else {
                panic!("a code is set aside");
            };
            super::end(it, Subject::robot(&code).key());
        }),
        fault("code", Reason::CodeExists, |it| {
            let code = it.country.code(1);
            it.command = Command::Reserve { code };
        }),
    ]);
    // Another country's code is nobody's here, before anybody is asked who it is.
    let found = disorder(&base, &faults);
    is_meant(&found, &[]);
}

#[test]
fn of_two_faults_of_a_decided_recall_the_first_is_answered() {
    let mut country = recalled();
    let Ok(known) = country.ledger.recall(&recall_id(&country, "R-9"));
    let mut known = known.expect("a recall");
    known.notice.id.issuer = prefix("49");
    known.status = RecallStatus::Proposed;
    let id = known.notice.id.clone();
    let Ok(()) = country.ledger.put_recall(known);
    let decide = Command::DecideRecall {
        recall: id,
        decision: RecallDecision::Accept,
        reason: "seen here too".into(),
    };
    fn is(it: &mut Attempt, status: RecallStatus) {
        let Command::DecideRecall { recall, .. } = &it.command else {
            panic!("a decision");
        };
        let Ok(known) = it.country.ledger.recall(recall);
        if let Some(mut known) = known {
            known.status = status;
            let Ok(()) = it.country.ledger.put_recall(known);
        }
    }
    let base = Attempt::new(country, "regulator", decide);
    let mut faults = of_offices();
    faults.extend([
        fault("status", Reason::NothingPending, |it| {
            is(it, RecallStatus::InForce)
        }),
        fault("status", Reason::RecallUnknown, |it| {
            is(it, RecallStatus::Withdrawn)
        }),
        fault("status", Reason::NothingChanges, |it| {
            is(it, RecallStatus::Accepted)
        }),
        fault("reason", Reason::ReasonMissing, |it| {
            if let Command::DecideRecall { reason, .. } = &mut it.command {
                reason.clear();
            }
        }),
        fault("number", Reason::RecallUnknown, |it| {
            if let Command::DecideRecall { recall, .. } = &mut it.command {
                recall.number = "R-8".into();
            }
        }),
    ]);
    // A recall that nobody knows has no standing.
    let of_none = [(Reason::NothingPending, Reason::RecallUnknown)];
    is_meant(&disorder(&base, &faults), &of_none);
}

/// What is wrong with anything that an office decides about a peer.
fn of_peers() -> Vec<Fault<Attempt>> {
    fn peer_of(command: &mut Command) -> (&mut carnet_domain::bytes::code::Prefix, &mut String) {
        match command {
            Command::SetContact { peer, reason, .. } | Command::LimitPeer { peer, reason, .. } => {
                (peer, reason)
            }
            other => panic!("{} decides nothing about a peer", other.name()),
        }
    }
    let mut faults = of_offices();
    faults.extend([
        fault("reason", Reason::ReasonMissing, |it| {
            peer_of(&mut it.command).1.clear();
        }),
        fault("peer", Reason::PeerUnknown, |it| {
            *peer_of(&mut it.command).0 = prefix("33");
        }),
        fault("contact", Reason::ContactPaused, |it| {
            super::roots::peer(it, "49", |peer| peer.contact = Contact::Ended);
        }),
    ]);
    faults
}

#[test]
fn of_two_faults_of_a_pause_the_first_is_answered() {
    let pause = Command::SetContact {
        peer: prefix("49"),
        contact: Contact::Paused,
        reason: "why".into(),
    };
    let base = Attempt::new(market(), "registrar", pause);
    let mut faults = of_peers();
    faults.extend([
        fault("asked", Reason::Malformed, |it| {
            if let Command::SetContact { contact, .. } = &mut it.command {
                *contact = Contact::Ended;
            }
        }),
        fault("asked", Reason::NothingChanges, |it| {
            if let Command::SetContact { contact, .. } = &mut it.command {
                *contact = Contact::Open;
            }
        }),
    ]);
    is_meant(&disorder(&base, &faults), &[]);
}

#[test]
fn of_two_faults_of_a_limit_the_first_is_answered() {
    let few = Allowed {
        nacks: 5,
        ..Allowed::default()
    };
    let limit = Command::LimitPeer {
        peer: prefix("49"),
        limits: few,
        reason: "why".into(),
    };
    let base = Attempt::new(market(), "registrar", limit);
    let mut faults = of_peers();
    faults.push(fault("asked", Reason::NothingChanges, |it| {
        if let Command::LimitPeer { limits, .. } = &mut it.command {
            *limits = Allowed::default();
        }
    }));
    is_meant(&disorder(&base, &faults), &[]);
}
