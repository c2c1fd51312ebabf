//! What the rules ask for with every action is kept as such: how many robots a model has, which recalls have not ended.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{Predicate, Recall, RecallNotice, RecallStatus, Robot, Severity};
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
