//! An accreditation goes on: renewed, widened, narrowed, renamed; and what an enterprise made goes on after it.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::SUCCESSIONS_MAX;
use carnet_domain::log::leaf::Subject;
use carnet_domain::machine;
use carnet_domain::machine::entry::{Entry, Stamp};
use carnet_domain::machine::meter::Metered;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{Enterprise, EnterpriseStatus, PartyName, Severity};
use carnet_domain::rules::command::{Action, Command};
use carnet_domain::rules::policy::Role;
use carnet_kit::{Country, beginning, samples, text};

use crate::owners::accredit;
use crate::rules::{act, check};

fn enterprise(x: &Country, code: &str) -> Enterprise {
    let Ok(found) = x.ledger.enterprise(&x.enterprise(code));
    found.expect("accredited")
}

/// The accreditation as it stands, but for what `change` does to it.
fn amended(x: &Country, code: &str, change: impl Fn(&mut Enterprise)) -> Command {
    let mut to = enterprise(x, code);
    change(&mut to);
    Command::AmendEnterprise {
        id: to.id,
        name: to.name,
        roles: to.roles,
        valid_from: to.valid_from,
        valid_to: to.valid_to,
        reason: "asked for".into(),
    }
}

fn status(x: &Country, code: &str, status: EnterpriseStatus) -> Command {
    Command::SetEnterpriseStatus {
        id: x.enterprise(code),
        status,
        reason: "why".into(),
    }
}

fn succeed(x: &Country, code: &str, successor: &str) -> Command {
    Command::SucceedEnterprise {
        id: x.enterprise(code),
        successor: x.enterprise(successor),
        reason: "bankrupt".into(),
    }
}

/// The recall as it stands, under another severity and with another remedy.
fn amend(x: &Country, number: &str, severity: Severity) -> Command {
    let Ok(known) = x.ledger.recall(&samples::recall_id(x, number));
    let known = known.expect("a recall");
    let mut notice = known.notice;
    notice.severity = severity;
    Command::AmendRecall {
        notice,
        models: known.models,
        remedy: "another one".into(),
        reason: "seen since".into(),
    }
}

/// `days` after the kit begins.
fn after(days: u64) -> TimeMs {
    beginning().saturating_add(DurationMs::from_days(days))
}

fn sell() -> Command {
    let owner = PartyName::from(sha256(&[b"somebody"]));
    act(&Country::unborn("86"), 1, Action::Sell { owner })
}

/// Robot 1 of the maker, in stock at the dealer, whose accreditation outlasts the maker's.
fn stocked(maker_until: TimeMs) -> Country {
    let mut x = Country::with_market("86");
    let Ok(maker) = x.ledger.enterprise(&x.enterprise("0001"));
    if maker.expect("accredited").valid_to != maker_until {
        let shorter = amended(&x, "0001", |it| it.valid_to = maker_until);
        x.must("registrar", shorter);
    }
    x.must("maker", x.register(1));
    let stock = act(&x, 1, samples::stock_at_dealer(&x));
    x.must("maker", stock);
    x
}

#[test]
fn who_makes_nothing_has_no_models() {
    let mut x = Country::with_market("86");
    accredit(&mut x, "0005", &[Role::Dealer]);
    let of_a_dealer = x.approval("0005", "000009");
    check(&mut x, "registrar", of_a_dealer, "EnterpriseLacksRole: …");
}

#[test]
fn a_model_has_a_level_of_five_and_a_class_of_four() {
    let mut x = Country::with_market("86");
    for (number, (level, class), expected) in [
        ("100101", (1, 1), "done"),
        ("100102", (5, 4), "done"),
        ("100103", (0, 1), "Malformed: …"),
        ("100104", (6, 1), "Malformed: …"),
        ("100105", (1, 0), "Malformed: …"),
        ("100106", (1, 5), "Malformed: …"),
    ] {
        let mut approval = x.approval("0001", number);
        if let Command::ApproveModel { facts, .. } = &mut approval {
            (facts.level, facts.safety_class) = (level, class);
        }
        check(&mut x, "registrar", approval, expected);
    }
}

/// Neither at first nor anew.
#[test]
fn no_enterprise_is_without_a_name() {
    let mut x = Country::with_market("86");
    let mut first = x.accreditation("0006");
    if let Command::AccreditEnterprise { name, .. } = &mut first {
        *name = " ".into();
    }
    check(&mut x, "registrar", first, "Malformed: …");
    let anew = amended(&x, "0001", |it| it.name = String::new());
    check(&mut x, "registrar", anew, "Malformed: …");
}

#[test]
fn an_accreditation_is_renewed_before_and_after_its_end() {
    let mut x = stocked(after(10));
    x.advance(DurationMs::from_days(11));
    let register = x.register(2);
    check(&mut x, "maker", register, "ActorNotInStanding: …");
    check(&mut x, "dealer", sell(), "EnterpriseNotActive: …");
    let longer = amended(&x, "0001", |it| it.valid_to = after(20));
    check(&mut x, "maker", longer.clone(), "RoleNotAllowed: …");
    check(&mut x, "registrar", longer, "done");
    let register = x.register(2);
    check(&mut x, "maker", register, "done");
    check(&mut x, "dealer", sell(), "done");
}

#[test]
fn an_accreditation_is_widened_narrowed_and_renamed() {
    let mut x = Country::with_market("86");
    accredit(&mut x, "0006", &[Role::Owner]);
    let wider = amended(&x, "0006", |it| {
        it.roles = vec![Role::Owner, Role::Dealer];
        it.name = "another name".into();
    });
    check(&mut x, "registrar", wider, "done");
    assert_eq!(enterprise(&x, "0006").name, "another name");
    x.must("maker", x.register(1));
    let at = Some(x.enterprise("0006"));
    let stock = act(&x, 1, Action::Stock { at });
    check(&mut x, "maker", stock, "done");
    // A key acts in no role that its enterprise has lost.
    let narrower = amended(&x, "0001", |it| it.roles = vec![Role::Importer]);
    check(&mut x, "registrar", narrower, "done");
    let register = x.register(2);
    check(&mut x, "maker", register, "ActorNotInStanding: …");
}

#[test]
fn an_amendment_states_what_an_accreditation_may_state() {
    let mut x = Country::with_market("86");
    type Change = fn(&mut Enterprise);
    let cases: [(Change, &str); 4] = [
        (|it| it.valid_to = it.valid_from, "RangeInverted: …"),
        (|it| it.roles.clear(), "EnterpriseLacksRole: …"),
        (
            |it| it.roles = vec![Role::Customs],
            "EnterpriseLacksRole: …",
        ),
        (
            |it| it.roles = vec![Role::Owner, Role::Owner],
            "Malformed: …",
        ),
    ];
    for (change, expected) in cases {
        let command = amended(&x, "0001", change);
        check(&mut x, "registrar", command, expected);
    }
    let struck = status(&x, "0003", EnterpriseStatus::StruckOff);
    x.must("registrar", struck);
    let command = amended(&x, "0003", |_| {});
    check(&mut x, "registrar", command, "EnterpriseNotActive: …");
}

/// However a maker ends, what it made and what stands in stock elsewhere is sold on under who answers for it.
#[test]
fn what_a_maker_made_is_sold_after_its_end_by_its_successor() {
    let until = after(10);
    let ends: [(&str, Option<EnterpriseStatus>); 2] = [
        ("struck off", Some(EnterpriseStatus::StruckOff)),
        ("run out", None),
    ];
    for (case, end) in ends {
        let mut x = stocked(until);
        match end {
            Some(end) => {
                let ended = status(&x, "0001", end);
                x.must("registrar", ended);
            }
            None => x.advance(DurationMs::from_days(11)),
        }
        let said = text(&x.command("dealer", sell()));
        assert!(said.starts_with("EnterpriseNotActive"), "{case}: {said}");
        let next = succeed(&x, "0001", "0003");
        let said = text(&x.command("dealer", next.clone()));
        assert!(said.starts_with("RoleNotAllowed"), "{case}: {said}");
        x.must("registrar", next);
        let said = text(&x.command("dealer", sell()));
        assert_eq!(said, "done", "{case}");
    }
}

/// What a maker still held when it ended is its successor's to stock and to sell, and so are the remedies of what it made. Of what
/// another holds, or somebody owns, the successor is nothing.
#[test]
fn a_successor_sells_and_remedies_what_the_maker_left() {
    let both = [true, false];
    let cases = ["registrar", "registrar-2"].map(|by| both.map(|two| (by, two)));
    for (struck_off_by, two) in cases.into_iter().flatten() {
        let mut x = stocked(after(3_650));
        x.enrol_office("registrar-2", "registrar", Role::Registrar);
        x.must("maker", x.register(2));
        x.must("maker", x.register(3));
        let next = succeed(&x, "0001", "0003");
        x.must("registrar", next.clone());
        if two {
            // Before or after the end is the same.
            x.must("registrar-2", next.clone());
        }
        let to_shelf = |n| act(&Country::unborn("86"), n, Action::Stock { at: None });
        let owner = PartyName::from(sha256(&[b"somebody"]));
        let sold = act(&x, 2, Action::Sell { owner });
        // While the maker may act, it is the maker's.
        check(&mut x, "rival", to_shelf(2), "NotYours: …");
        x.must("maker", samples::recall(&x, "R-1", Severity::Remedy));
        let struck = status(&x, "0001", EnterpriseStatus::StruckOff);
        x.must(struck_off_by, struck);
        let remedied = Command::RemedyRecall {
            code: x.code(2),
            recall: samples::recall_id(&x, "R-1"),
            report: sha256(&[b"report"]),
        };
        check(&mut x, "dealer", remedied.clone(), "RoleNotAllowed: …");
        let opened = samples::recall(&x, "R-2", Severity::StopUse);
        if !two {
            // One hand that names an accomplice remedies nothing in the maker's name and moves no robot, whoever ended the maker and
            // however often it says so.
            check(&mut x, "rival", remedied.clone(), "NotYours: …");
            check(&mut x, "rival", opened.clone(), "NotYours: …");
            check(&mut x, "rival", to_shelf(2), "NotYours: …");
            check(&mut x, "registrar", next.clone(), "NothingChanges: …");
            check(&mut x, "rival", to_shelf(2), "NotYours: …");
            check(&mut x, "registrar-2", next, "done");
        }
        check(&mut x, "rival", remedied, "done");
        // It recalls what the maker made, and amends and ends what was recalled: there is nobody else.
        check(&mut x, "rival", opened, "done");
        for number in ["R-1", "R-2"] {
            let amended = amend(&x, number, Severity::Remedy);
            check(&mut x, "rival", amended, "done");
            let recall = samples::recall_id(&x, number);
            let reason = "remedied".to_owned();
            let withdrawn = Command::WithdrawRecall { recall, reason };
            check(&mut x, "rival", withdrawn, "done");
        }
        check(&mut x, "rival", to_shelf(2), "done");
        check(&mut x, "rival", sold, "done");
        // In stock at the dealer since before: the dealer's.
        check(&mut x, "rival", to_shelf(1), "NotYours: …");
        // Nobody else's is what the maker held.
        check(&mut x, "dealer", to_shelf(3), "NotYours: …");
    }
}

/// Whose period has passed is over for its remedies as one that was struck off, and what it holds stays its own.
#[test]
fn a_successor_remedies_what_was_made_by_one_whose_period_passed() {
    let mut x = stocked(after(10));
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    x.must("maker", x.register(2));
    x.must("maker", samples::recall(&x, "R-1", Severity::Remedy));
    let next = succeed(&x, "0001", "0003");
    x.must("registrar", next.clone());
    x.advance(DurationMs::from_days(11));
    let remedied = Command::RemedyRecall {
        code: x.code(2),
        recall: samples::recall_id(&x, "R-1"),
        report: sha256(&[b"report"]),
    };
    check(&mut x, "rival", remedied.clone(), "NotYours: …");
    x.must("registrar-2", next);
    check(&mut x, "rival", remedied, "done");
    let to_shelf = act(&x, 2, Action::Stock { at: None });
    check(&mut x, "rival", to_shelf, "NotYours: …");
}

/// What a maker left, that somebody else ended, goes to nobody by the word of one: neither who is named first, nor who is named in
/// the place of one whom two named, who goes on as before. Words for two successors are no two words.
#[test]
fn one_registrar_moves_no_stock_to_a_successor() {
    let mut x = stocked(after(3_650));
    x.enrol_office("registrar-2", "registrar", Role::Registrar);
    x.enrol_office("registrar-3", "registrar", Role::Registrar);
    accredit(&mut x, "0007", &[Role::Manufacturer, Role::Importer]);
    x.must("maker", x.register(2));
    let struck = status(&x, "0001", EnterpriseStatus::StruckOff);
    x.must("registrar-3", struck);
    let (honest, friend) = (succeed(&x, "0001", "0003"), succeed(&x, "0001", "0007"));
    let to_shelf = act(&x, 2, Action::Stock { at: None });
    let owner = PartyName::from(sha256(&[b"somebody"]));
    let sold = act(&x, 2, Action::Sell { owner });
    let refused = |x: &Country, who: &str| {
        for command in [&to_shelf, &sold] {
            check(&mut x.clone(), who, command.clone(), "NotYours: …");
        }
    };
    x.must("registrar", friend.clone());
    refused(&x, "0007-manufacturer");
    // Another one's word is for another.
    x.must("registrar-2", honest.clone());
    refused(&x, "0007-manufacturer");
    refused(&x, "rival");
    x.must("registrar", friend.clone());
    refused(&x, "0007-manufacturer");
    // Over one whom two named.
    x.must("registrar-2", honest.clone());
    x.must("registrar-3", honest);
    check(&mut x.clone(), "rival", to_shelf.clone(), "done");
    let size = x.registry().tree.size();
    check(&mut x, "registrar", friend.clone(), "waits");
    refused(&x, "0007-manufacturer");
    check(&mut x.clone(), "rival", to_shelf.clone(), "done");
    // It is a leaf that nobody else is told, and a word that another one takes up.
    assert_eq!(x.registry().tree.size(), size + 1);
    check(
        &mut x,
        "registrar",
        friend.clone(),
        "SecondPartyRequired: …",
    );
    let own = succeed(&x, "0001", "0002");
    x.must("registrar-3", own);
    check(&mut x.clone(), "rival", to_shelf.clone(), "done");
    x.must("registrar-2", friend);
    check(&mut x, "rival", to_shelf.clone(), "NotYours: …");
    check(&mut x, "0007-manufacturer", to_shelf, "done");
}

/// A suspension is no end, and the successor answers as the maker would: while it may act, in the role.
#[test]
fn a_successor_is_followed_when_the_maker_is_over_and_answers_itself() {
    let mut x = stocked(after(3_650));
    accredit(&mut x, "0006", &[Role::Importer]);
    let lacking = succeed(&x, "0001", "0006");
    check(&mut x, "registrar", lacking, "EnterpriseLacksRole: …");
    let of_none = succeed(&x, "0001", "0008");
    check(&mut x, "registrar", of_none, "EnterpriseUnknown: …");
    let next = succeed(&x, "0001", "0003");
    x.must("registrar", next);
    let suspended = status(&x, "0001", EnterpriseStatus::Suspended);
    x.must("registrar", suspended);
    check(&mut x, "dealer", sell(), "EnterpriseNotActive: …");
    let struck = status(&x, "0001", EnterpriseStatus::StruckOff);
    x.must("registrar", struck);
    let other = status(&x, "0003", EnterpriseStatus::Suspended);
    x.must("registrar", other);
    check(&mut x, "dealer", sell(), "EnterpriseNotActive: …");
    // Who was suspended is named by nobody, and another one may be named.
    let again = succeed(&x, "0001", "0003");
    check(&mut x, "registrar", again, "EnterpriseNotActive: …");
    accredit(&mut x, "0007", &[Role::Manufacturer, Role::Importer]);
    let another = succeed(&x, "0001", "0007");
    check(&mut x, "registrar", another, "done");
    check(&mut x, "dealer", sell(), "done");
}

/// The word of a registrar whose key was taken, or who is none any more, is not the first of two.
#[test]
fn the_word_of_a_key_that_is_gone_names_nobody() {
    let mut x = Country::with_market("86");
    for name in ["registrar-2", "registrar-3"] {
        x.enrol_office(name, "registrar", Role::Registrar);
    }
    accredit(
        &mut x,
        "0005",
        &[Role::Manufacturer, Role::Importer, Role::Dealer],
    );
    let named = succeed(&x, "0001", "0005");
    x.must("registrar-2", named.clone());
    let retire = Command::RetireSigner {
        public: x.key("registrar-2").public(),
        compromised_after: Some(0),
        reason: "stolen".into(),
    };
    x.must("admin", retire.clone());
    x.must("admin-2", retire);
    let words = |x: &Country| {
        let maker = enterprise(x, "0001");
        (maker.named_by.is_some(), maker.seconded_by.is_some())
    };
    x.must("registrar-3", named.clone());
    assert_eq!(words(&x), (true, false), "it is a first word again");
    x.must("registrar", named);
    assert_eq!(words(&x), (true, true));
}

/// Two words of which one turns out to be a thief's are one: who was named goes on with nothing more, until another says it.
#[test]
fn a_word_of_a_key_that_was_in_other_hands_counts_no_more_for_a_successor() {
    for thief in ["registrar", "registrar-2"] {
        let mut x = stocked(after(3_650));
        for name in ["registrar-2", "registrar-3", "registrar-4"] {
            x.enrol_office(name, "registrar", Role::Registrar);
        }
        x.must("maker", x.register(2));
        let struck = status(&x, "0001", EnterpriseStatus::StruckOff);
        x.must("registrar-3", struck);
        let before = x.registry().tree.size();
        let named = succeed(&x, "0001", "0003");
        x.must("registrar", named.clone());
        x.must("registrar-2", named.clone());
        let to_shelf = act(&x, 2, Action::Stock { at: None });
        check(&mut x.clone(), "rival", to_shelf.clone(), "done");
        let retire = |last: u64| Command::RetireSigner {
            public: Country::unborn("86").key(thief).public(),
            compromised_after: Some(last),
            reason: "stolen".into(),
        };
        // After both had said it, by what they say now: their words stand.
        let mut later = x.clone();
        let last = later.registry().tree.size();
        for who in ["admin", "admin-2"] {
            later.must(who, retire(last));
        }
        check(&mut later, "rival", to_shelf.clone(), "done");
        for who in ["admin", "admin-2"] {
            x.must(who, retire(before - 1));
        }
        check(&mut x, "rival", to_shelf.clone(), "NotYours: …");
        for who in ["registrar-3", "registrar-4"] {
            x.command(who, named.clone());
        }
        check(&mut x, "rival", to_shelf, "done");
    }
}

#[test]
fn no_succession_leads_back() {
    let mut x = Country::with_market("86");
    let own = succeed(&x, "0001", "0001");
    check(&mut x, "registrar", own, "SuccessionCircular: …");
    for (one, next) in [("0001", "0002"), ("0002", "0003")] {
        let named = succeed(&x, one, next);
        x.must("registrar", named);
    }
    for (one, next) in [("0002", "0001"), ("0003", "0001"), ("0003", "0002")] {
        let back = succeed(&x, one, next);
        check(&mut x, "registrar", back, "SuccessionCircular: …");
    }
}

/// The word against an enterprise reads none of the recalls that it opened itself, however many: and the map shows the same
/// as it would with all of them read.
#[test]
fn what_is_said_of_an_enterprise_reads_no_recall() {
    let read = |recalls: usize| {
        let mut x = Country::with_market("86");
        for number in 0..recalls {
            let mut recall = samples::recall(&x, &format!("R-{number}"), Severity::Remedy);
            if let Command::OpenRecall { remedy, .. } = &mut recall {
                *remedy = "x".repeat(500);
            }
            x.must("maker", recall);
        }
        let suspend = status(&x, "0001", EnterpriseStatus::Suspended);
        let request = x.request("registrar", &[suspend]);
        let entry = Entry {
            stamp: Stamp {
                at: x.clock,
                seed: carnet_domain::log::leaf::EntrySeed([7; 32]),
            },
            body: x.client_body(request),
        };
        let mut metered = Metered::new(&mut x.ledger);
        let Ok(answer) = machine::apply(&mut metered, &entry);
        assert_eq!(answer.items.iter().map(text).collect::<Vec<_>>(), ["done"]);
        let bytes = metered.read_bytes();
        let Ok(model) = x.ledger.model(&x.model("0001", "100002"));
        let model = model.expect("approved");
        let Ok(standing) = machine::standing_now(&x.ledger, &model);
        assert_eq!(standing.recalls.len(), recalls);
        let key = Subject::model(&model.id).key();
        let Ok(record) = x.ledger.leaf(x.registry().tree.size() - 1);
        let map = record.expect("the newest leaf").map;
        let changed = map.iter().find(|(changed, _)| *changed == key);
        let head = model.head.expect("a leaf");
        let value = carnet_domain::log::map::MapValue {
            status: 1,
            seq: head.seq,
            leaf_index: head.leaf_index,
            leaf_hash: head.leaf_hash,
            facts: standing.digest(),
        };
        assert_eq!(changed.map(|(_, value)| *value), Some(value.digest()));
        assert_eq!(standing.enterprise, EnterpriseStatus::Suspended);
        bytes
    };
    let (none, many) = (read(0), read(40));
    assert!(many < none + 40 * 500 / 4, "{none} and {many} bytes");
}

/// Successors are followed as far as the limit, and no further: whoever reads them comes to an end.
#[test]
fn as_many_successors_are_followed_as_the_limit_says() {
    for (over, expected) in [(0, "done"), (1, "EnterpriseNotActive")] {
        let mut x = stocked(after(3_650));
        let codes: Vec<String> = (0..SUCCESSIONS_MAX + over)
            .map(|number| format!("1{number:03}"))
            .collect();
        for code in &codes {
            accredit(&mut x, code, &[Role::Manufacturer, Role::Importer]);
        }
        let mut before = "0001";
        for code in &codes {
            let next = succeed(&x, before, code);
            x.must("registrar", next);
            let struck = status(&x, before, EnterpriseStatus::StruckOff);
            x.must("registrar", struck);
            before = code;
        }
        let said = text(&x.command("dealer", sell()));
        assert!(said.starts_with(expected), "{over}: {said}");
    }
}
