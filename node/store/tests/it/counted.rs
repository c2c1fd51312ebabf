//! What the rules ask for with every action is kept as such: how many robots a model has, which recalls have not ended.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::Phase;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{
    Against, Ends, Hold, Holder, Predicate, Recall, RecallNotice, RecallStatus, Robot, Setter,
    Severity, Stay,
};
use carnet_domain::rules::command::Purpose;
use carnet_domain::rules::lifecycle::{HoldKind, State};
use carnet_domain::rules::policy::Role;
use carnet_kit::Country;
use carnet_kit::samples::recall_id;
use carnet_store::artefact::StateEngine;
use carnet_store::engine::KvRead;
use carnet_store::overlay::{Overlay, Verified};
use carnet_store::records::Records;

use crate::bench::on_each;

struct Nothing;

impl Verified for Nothing {
    fn knows(&self, _: &Digest) -> bool {
        false
    }
}

fn robots() -> (Country, Vec<Robot>) {
    let mut country = Country::with_market("86");
    let codes: Vec<_> = (1..=3).map(|serial| country.code(serial)).collect();
    for serial in 1..=3 {
        country.must("maker", country.register(serial));
    }
    let robot = |code| {
        let Ok(robot) = country.ledger.robot(code);
        robot.expect("registered")
    };
    let robots = codes.iter().map(robot).collect();
    (country, robots)
}

#[test]
fn robots_of_a_model_are_counted_as_they_come() {
    let (country, robots) = robots();
    let model = country.model("0001", "100002");
    let beside = country.model("0001", "100003");
    on_each(|engine| {
        let mut overlay = Overlay::new(engine, &Nothing, None);
        assert_eq!(overlay.count_of_model(&model).expect("a read"), 0);
        for robot in [&robots[0], &robots[1], &robots[0]] {
            overlay.put_robot(robot.clone()).expect("put");
        }
        assert_eq!(overlay.count_of_model(&model).expect("a read"), 2);
        engine.write(overlay.finish().batch).expect("a write");
        // What is in the base already is not new.
        let mut overlay = Overlay::new(engine, &Nothing, None);
        for robot in &robots {
            overlay.put_robot(robot.clone()).expect("put");
        }
        assert_eq!(overlay.count_of_model(&model).expect("a read"), 3);
        engine.write(overlay.finish().batch).expect("a write");
        let records = Records(engine);
        assert_eq!(records.count_of_model(&model).expect("a read"), 3);
        assert_eq!(records.count_of_model(&beside).expect("a read"), 0);
    });
}

fn found(read: &dyn KvRead, country: &Country, model: &str) -> Vec<String> {
    let recalls = Records(read).recalls_of(&country.model("0001", model));
    let recalls = recalls.expect("a read").into_iter();
    recalls.map(|recall| recall.notice.id.number).collect()
}

fn put(engine: &dyn StateEngine, recall: &Recall, statuses: &[RecallStatus]) {
    let mut overlay = Overlay::new(engine, &Nothing, None);
    for status in statuses {
        let status = *status;
        let recall = recall.clone();
        overlay
            .put_recall(Recall { status, ..recall })
            .expect("put");
    }
    engine.write(overlay.finish().batch).expect("a write");
}

#[test]
fn a_recall_is_found_under_its_models_until_it_ends() {
    use RecallStatus::{InForce, Proposed, Withdrawn};
    let country = Country::unborn("86");
    let recall = |number: &str, models: &[&str]| Recall {
        notice: RecallNotice {
            id: recall_id(&country, number),
            severity: Severity::Remedy,
            predicate: Predicate::all(),
        },
        models: models.iter().map(|m| country.model("0001", m)).collect(),
        remedy: "x".into(),
        by: country.office("regulator"),
        opened: TimeMs(0),
        status: InForce,
        bound: None,
        decided: None,
        head: None,
    };
    let (a, b) = (recall("A", &["100002", "100003"]), recall("B", &["100002"]));
    on_each(|engine| {
        put(engine, &a, &[InForce]);
        put(engine, &b, &[Proposed]);
        assert_eq!(found(engine, &country, "100002"), ["A", "B"]);
        assert_eq!(found(engine, &country, "100003"), ["A"]);
        put(engine, &a, &[Withdrawn]);
        assert_eq!(found(engine, &country, "100002"), ["B"]);
        assert!(found(engine, &country, "100003").is_empty());
        assert!(
            Records(engine)
                .recall(&recall_id(&country, "A"))
                .expect("a read")
                .is_some()
        );
        // Amended, it is found under the models that it names now, within one entry too.
        let (one, other) = (recall("C", &["100003"]), recall("C", &["100002"]));
        put(engine, &one, &[InForce]);
        put(engine, &other, &[InForce]);
        assert_eq!(found(engine, &country, "100002"), ["B", "C"]);
        assert!(found(engine, &country, "100003").is_empty());
        let mut overlay = Overlay::new(engine, &Nothing, None);
        overlay.put_recall(one).expect("put");
        overlay.put_recall(other.clone()).expect("put");
        engine.write(overlay.finish().batch).expect("a write");
        assert_eq!(found(engine, &country, "100002"), ["B", "C"]);
        assert!(found(engine, &country, "100003").is_empty());
        put(engine, &other, &[Withdrawn]);
        // Another registry may take a withdrawal back, within one entry too.
        put(engine, &b, &[Withdrawn, InForce]);
        put(engine, &a, &[InForce, Withdrawn]);
        assert_eq!(found(engine, &country, "100002"), ["B"]);
    });
}

/// A robot that was only asked for counts from the day it is admitted, whichever engine keeps it.
#[test]
fn a_provisional_record_is_not_counted_and_can_be_dropped() {
    let (country, robots) = robots();
    let model = country.model("0001", "100002");
    on_each(|engine| {
        let mut asked = robots[0].clone();
        asked.custody.epoch = 1;
        let mut admitted = asked.clone();
        asked.stay = carnet_domain::record::Stay::Asked {};
        admitted.stay = carnet_domain::record::Stay::Resident {};
        let mut overlay = Overlay::new(engine, &Nothing, None);
        overlay.put_robot(asked.clone()).expect("put");
        assert_eq!(overlay.count_of_model(&model).expect("a read"), 0);
        engine.write(overlay.finish().batch).expect("a write");
        let mut overlay = Overlay::new(engine, &Nothing, None);
        let code = asked.identity.code;
        overlay.drop_robot(&code).expect("dropped");
        assert_eq!(overlay.robot(&code).expect("a read"), None);
        overlay.put_robot(asked.clone()).expect("put");
        engine.write(overlay.finish().batch).expect("a write");
        for expected in [1, 1] {
            let mut overlay = Overlay::new(engine, &Nothing, None);
            overlay.put_robot(admitted.clone()).expect("put");
            let found = overlay.count_of_model(&model).expect("a read");
            assert_eq!(found, expected);
            engine.write(overlay.finish().batch).expect("a write");
        }
    });
}

/// Every robot whose record speaks against it has its row, gravest first named, and none has one when that is over: within one
/// entry, over several, and when the record goes.
#[test]
fn a_robot_is_found_while_its_record_speaks_against_it() {
    let (country, robots) = robots();
    let hold = Hold {
        kind: HoldKind::Theft,
        setter: Setter {
            prefix: country.prefix,
            party: Holder::Office {
                name: "regulator".into(),
            },
            role: Role::Regulator,
        },
        reason: "why".into(),
        since: TimeMs(0),
    };
    let clear = &robots[0];
    let changed = |change: &dyn Fn(&mut Robot)| {
        let mut robot = clear.clone();
        change(&mut robot);
        robot
    };
    let guest = Stay::Guest {
        purpose: Purpose::Exhibition,
    };
    let states = [
        (clear.clone(), None),
        (
            changed(&|it| it.holds.push(hold.clone())),
            Some(Against::Blocked),
        ),
        (clear.clone(), None),
        (
            changed(&|it| it.owed.push(recall_id(&country, "R"))),
            Some(Against::Blocked),
        ),
        (changed(&|it| it.stay = guest), Some(Against::Guest)),
        (
            changed(&|it| {
                it.stay = guest;
                it.holds.push(hold.clone());
            }),
            Some(Against::Unshown),
        ),
        (
            changed(&|it| it.state = State::Scrapped),
            Some(Against::Ended),
        ),
        (
            changed(&|it| it.custody.phase = Phase::Elsewhere {}),
            Some(Against::Apart { epoch: 0 }),
        ),
        (
            changed(&|it| it.state = State::Retired),
            Some(Against::Apart { epoch: 0 }),
        ),
        // What is not in service yet: no older word says more of it.
        (changed(&|it| it.state = State::Development), None),
    ];
    // Where the same code is another registry's, that it is here is said wherever it is shown.
    let abroad = [
        (clear.clone(), Some(Against::Settled)),
        (
            changed(&|it| it.holds.push(hold.clone())),
            Some(Against::Blocked),
        ),
        (
            changed(&|it| it.state = State::Retired),
            Some(Against::Idle),
        ),
        (
            changed(&|it| it.custody.phase = Phase::Elsewhere {}),
            Some(Against::Apart { epoch: 0 }),
        ),
    ];
    let mut other = country.registry();
    other.prefix = Prefix::parse("49").expect("a prefix");
    on_each(|engine| {
        let rows = || {
            let rows = Records(engine).against_after(None, 10).expect("a read");
            rows.into_iter().map(|(code, against)| {
                assert_eq!(code, clear.identity.code);
                against
            })
        };
        for (robot, expected) in &states {
            let mut overlay = Overlay::new(engine, &Nothing, None);
            overlay.put_robot(robot.clone()).expect("put");
            engine.write(overlay.finish().batch).expect("a write");
            assert_eq!(rows().next(), *expected);
            assert_eq!(robot.against(&country.prefix), *expected);
        }
        for (robot, expected) in &abroad {
            let mut overlay = Overlay::new(engine, &Nothing, Some(other.clone()));
            overlay.put_robot(robot.clone()).expect("put");
            engine.write(overlay.finish().batch).expect("a write");
            assert_eq!(rows().next(), *expected);
            assert_eq!(robot.against(&other.prefix), *expected);
        }
        let held = &states[1].0;
        let mut overlay = Overlay::new(engine, &Nothing, None);
        overlay.put_robot(held.clone()).expect("put");
        overlay.put_robot(clear.clone()).expect("put");
        engine.write(overlay.finish().batch).expect("a write");
        assert_eq!(rows().next(), None, "within one entry");
        let mut overlay = Overlay::new(engine, &Nothing, None);
        overlay.put_robot(held.clone()).expect("put");
        engine.write(overlay.finish().batch).expect("a write");
        assert_eq!(rows().next(), Some(Against::Blocked));
        let mut overlay = Overlay::new(engine, &Nothing, None);
        overlay.drop_robot(&held.identity.code).expect("dropped");
        engine.write(overlay.finish().batch).expect("a write");
        assert_eq!(rows().next(), None, "its record is gone");
    });
}

/// Pages of what is found follow each other without gap or repetition.
#[test]
fn those_that_are_found_are_read_in_pages() {
    let (_, robots) = robots();
    on_each(|engine| {
        let mut overlay = Overlay::new(engine, &Nothing, None);
        for robot in &robots {
            let mut retired = robot.clone();
            retired.state = State::Retired;
            overlay.put_robot(retired).expect("put");
            overlay
                .put_ends(&robot.identity.body, Ends::default())
                .expect("put");
        }
        engine.write(overlay.finish().batch).expect("a write");
        let records = Records(engine);
        let (mut codes, mut after) = (Vec::new(), None);
        while let Some((code, _)) = records
            .against_after(after.as_ref(), 1)
            .expect("a read")
            .pop()
        {
            codes.push(code);
            after = Some(code);
        }
        let expected: Vec<_> = robots.iter().map(|robot| robot.identity.code).collect();
        assert_eq!(codes, expected);
        let (mut bodies, mut after) = (Vec::new(), None);
        while let Some((body, ended)) = records.ends_after(after.as_ref(), 1).expect("a read").pop()
        {
            assert_eq!(ended, None, "no end of it is proven");
            bodies.push(body);
            after = Some(body);
        }
        let mut expected: Vec<_> = robots.iter().map(|robot| robot.identity.body).collect();
        expected.sort_unstable();
        assert_eq!(bodies, expected);
    });
}
