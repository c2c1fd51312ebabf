//! What one entry does is counted.

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::machine::meter::Metered;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{Predicate, Recall, RecallNotice, RecallStatus, Severity};
use carnet_kit::memory::MemoryLedger;
use carnet_kit::{Country, samples};

fn recall(country: &Country, number: &str, count: usize) -> Recall {
    let models = (100_002..).map(|number| country.model("0001", &number.to_string()));
    Recall {
        notice: RecallNotice {
            id: samples::recall_id(country, number),
            severity: Severity::Remedy,
            predicate: Predicate::all(),
        },
        models: models.take(count).collect(),
        remedy: "x".into(),
        by: country.office("regulator"),
        opened: TimeMs(0),
        status: RecallStatus::InForce,
        bound: None,
        decided: None,
        head: None,
    }
}

/// Rows, and whether bytes were counted, of one access.
fn cost<T>(
    ledger: &mut MemoryLedger,
    access: impl FnOnce(&mut Metered<'_, MemoryLedger>) -> T,
) -> (u64, u64) {
    let mut metered = Metered::new(ledger);
    access(&mut metered);
    (metered.rows(), metered.read_bytes())
}

#[test]
fn an_access_costs_what_it_moves() {
    let mut country = Country::with_market("86");
    country.must("maker", country.register(1));
    let (code, model) = (country.code(1), country.model("0001", "100002"));
    let three = ["A", "B", "C"].map(|number| recall(&country, number, 5));
    let bytes: usize = three.iter().map(|recall| recall.to_bytes().len()).sum();
    let Ok(Some(robot)) = country.ledger.robot(&code) else {
        panic!("registered");
    };
    let ended = Recall {
        status: RecallStatus::Withdrawn,
        ..recall(&country, "D", 5)
    };
    let body = robot.identity.body;
    let ledger = &mut country.ledger;
    assert_eq!(
        cost(ledger, |l| l.part_holder(&body)),
        (1, 64),
        "a small row"
    );
    assert_eq!(cost(ledger, |l| l.recalls_of(&model)), (1, 0), "a search");
    for recall in three {
        assert_eq!(cost(ledger, |l| l.put_recall(recall)), (5, 0));
    }
    assert_eq!(cost(ledger, |l| l.recalls_of(&model)), (3, bytes as u64));
    assert_eq!(
        cost(ledger, |l| l.put_recall(ended)),
        (5, 0),
        "to be taken away"
    );
    let robot_bytes = robot.to_bytes().len() as u64;
    assert_eq!(cost(ledger, |l| l.robot(&code)), (1, robot_bytes));
    assert_eq!(cost(ledger, |l| l.count_of_model(&model)), (1, 0));
    assert_eq!(cost(ledger, |l| l.put_robot(robot)), (1, 0));
    let nobody = Country::unborn("49").prefix;
    assert_eq!(cost(ledger, |l| l.peer(&nobody)), (1, 0));
    assert_eq!(cost(ledger, |l| l.peers()), (1, 0));
    let (rows, read) = cost(ledger, |l| l.leaves(0, 4, 4));
    assert!(rows == 4 && read > 4 * 64, "{rows} rows, {read} bytes");
}
