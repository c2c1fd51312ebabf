//! An epoch of a robot's chain belongs to one transfer for ever.

use std::collections::BTreeMap;

use carnet_domain::custody::movement::Movement;
use carnet_domain::rules::command::TransferId;

use super::{Findings, Violation};

/// Looks through a country's trail of one robot for an epoch that was used, and burned or admitted, and used again (C6).
pub fn epochs_stay_burned(country: &str, trail: &[Movement]) -> Vec<Violation> {
    let mut findings = Findings::default();
    let mut owners: BTreeMap<u64, TransferId> = BTreeMap::new();
    for movement in trail {
        let Some(transfer) = movement.transfer else {
            continue;
        };
        let owner = *owners.entry(movement.epoch).or_insert(transfer);
        if owner != transfer {
            findings.add(
                "C6",
                format!(
                    "{country}: epoch {} of transfer {owner} is used again: {:?} of {transfer} by {}",
                    movement.epoch, movement.step, movement.writer
                ),
            );
        }
    }
    findings.0
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::code::Prefix;
    use carnet_domain::bytes::digest::Digest;
    use carnet_domain::bytes::time::TimeMs;
    use carnet_domain::custody::Step;

    use super::*;

    fn movement(step: Step, transfer: Option<u8>, epoch: u64) -> Movement {
        let prefix = |text| Prefix::parse(text).expect("a prefix");
        Movement {
            step,
            transfer: transfer.map(|number| TransferId([number; 16])),
            epoch,
            from: Some(prefix("XA")),
            to: prefix("XB"),
            writer: prefix("XA"),
            at: TimeMs(0),
            seen: TimeMs(0),
            place: String::new(),
            leaf: Digest([0; 32]),
            leaf_index: 0,
        }
    }

    fn check(trail: &[(Step, Option<u8>, u64)], expected: &[&str]) {
        let trail: Vec<Movement> = trail
            .iter()
            .map(|(step, transfer, epoch)| movement(*step, *transfer, *epoch))
            .collect();
        let found: Vec<String> = epochs_stay_burned("XB", &trail)
            .iter()
            .map(ToString::to_string)
            .collect();
        let numbered = |number: u8| TransferId([number; 16]).to_string();
        let expected: Vec<String> = expected
            .iter()
            .map(|text| text.replace("T1", &numbered(1)).replace("T2", &numbered(2)))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_transfer_has_its_epoch() {
        check(
            &[
                (Step::Register, None, 0),
                (Step::Offer, Some(1), 1),
                (Step::Cancel, Some(1), 1),
                (Step::Offer, Some(2), 2),
                (Step::Return, Some(2), 3),
            ],
            &[],
        );
    }

    #[test]
    fn an_offer_in_a_burned_epoch_is_found() {
        check(
            &[
                (Step::Offer, Some(1), 1),
                (Step::Cancel, Some(1), 1),
                (Step::Offer, Some(2), 1),
            ],
            &["C6: XB: epoch 1 of transfer T1 is used again: Offer of T2 by XA"],
        );
    }
}
