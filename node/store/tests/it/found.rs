//! Transfers are found by where they stand, office, lane, model and consignment; the index is what the transfers say, and no more.

use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::transfer::{Stage, Transfer};
use carnet_kit::{Country, transfer};
use carnet_store::engine::KvRead;
use carnet_store::families::Family;
use carnet_store::keys::{self, Facet};
use carnet_store::records::{Records, Under};

use crate::trail::{replica, travels};

fn under(facet: Facet, value: Vec<u8>) -> Under {
    Under {
        facet,
        value,
        since: TimeMs(0),
        before: None,
    }
}

#[test]
fn a_transfer_is_found_where_it_stands_and_nowhere_else() {
    let [a, b] = travels();
    let here = [
        (&a, [Stage::Admitted, Stage::Refused]),
        (&b, [Stage::Admitted, Stage::Refused]),
    ];
    for (country, stages) in here {
        let engine = replica(country);
        let records = Records(&engine);
        let lane = keys::of_lane(&a.prefix, &b.prefix);
        let model = Country::unborn("86").code(1).model_id();
        for under in [
            under(Facet::All, Vec::new()),
            under(Facet::Lane, lane),
            under(Facet::Office, keys::of_office("Harbour")),
            under(Facet::Model, model.as_str().as_bytes().to_vec()),
        ] {
            for stage in Stage::ALL {
                let found = records.found_under(&under, *stage, None, 99).expect("read");
                let found: Vec<_> = found.into_iter().map(|(_, id)| id).collect();
                let expected = stages.iter().position(|one| one == stage);
                let expected: Vec<_> = expected
                    .map(|at| transfer(at as u8 + 1))
                    .into_iter()
                    .collect();
                assert_eq!(found, expected, "{under:?} {stage:?} in {}", country.prefix);
            }
        }
        let none = keys::of_lane(&b.prefix, &a.prefix);
        let back = records.found_under(&under(Facet::Lane, none), Stage::Admitted, None, 99);
        assert_eq!(back.expect("read"), Vec::new());
    }
}

/// Once a row that a step left behind would show a robot as expected for ever.
#[test]
fn the_index_is_what_the_transfers_say() {
    for country in travels() {
        let engine = replica(&country);
        let end = keys::after_prefix(b"i");
        let rows = engine.scan(Family::Transfers, b"i", end.as_deref(), usize::MAX);
        let rows: Vec<Vec<u8>> = rows
            .expect("read")
            .into_iter()
            .map(|(key, _)| key.to_vec())
            .collect();
        let said = country.ledger.transfers().flat_map(keys::index_of);
        let mut said: Vec<Vec<u8>> = said.collect();
        said.sort();
        assert_eq!(rows, said, "{}", country.prefix);
        let most = country
            .ledger
            .transfers()
            .map(|one| keys::index_of(one).len())
            .max();
        assert!(most <= Some(carnet_domain::limits::INDEX_ROWS_MAX));
    }
}

#[test]
fn what_is_found_goes_on_behind_what_was_shown_and_ends_before_a_time() {
    let [a, _] = travels();
    let engine = replica(&a);
    let records = Records(&engine);
    let all = under(Facet::All, Vec::new());
    let since = |id: u8| -> Transfer {
        let found = records.transfer(&transfer(id)).expect("read");
        found.expect("a transfer")
    };
    let admitted = since(1);
    let at = admitted.stage_at();
    let find = |all: &Under, behind| {
        let found = records.found_under(all, Stage::Admitted, behind, 99);
        found.expect("read").len()
    };
    assert_eq!(find(&all, None), 1);
    assert_eq!(find(&all, Some((at, admitted.id))), 0);
    assert_eq!(find(&all, Some((TimeMs(0), admitted.id))), 1);
    let later = Under {
        since: TimeMs(at.0 + 1),
        ..all.clone()
    };
    assert_eq!(find(&later, None), 0);
    let before = |time: TimeMs| Under {
        before: Some(time),
        ..all.clone()
    };
    assert_eq!(find(&before(at), None), 0);
    assert_eq!(find(&before(TimeMs(at.0 + 1)), None), 1);
    // Behind the end of what is asked for there is nothing.
    let behind = Some((TimeMs(at.0 + 9), admitted.id));
    assert_eq!(find(&before(at), behind), 0);
}
