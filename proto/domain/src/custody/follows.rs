//! What may follow what in the chain of a robot: the table, and the one function that asks it.
//!
//! | step | follows | epoch | moves the chain | written by |
//! |---|---|---|---|---|
//! | Register | nothing | 0 | yes | the registry |
//! | Offer | Register, Cancel, Admit, Return | + 1 | yes | who has custody after that |
//! | Accept | Offer | + 0 | no | the importer |
//! | Refuse | Offer, or its Accept | + 0 | no | the importer |
//! | Cancel, Depart | Offer, or its Accept | + 0 | yes | the exporter |
//! | Detain | Depart | + 0 | no | the importer |
//! | Admit | Depart | + 0 | yes | the importer |
//! | Return | Depart | + 1 | yes | the importer |
//!
//! Every link names the hash of the one before; a side leaf is named by none. What is not an Offer belongs to the transfer of the link before and goes
//! on between its parties, under its agreement. Where the link before is not known here, what leads to an offer
//! comes with it (`links`, decision 0023); an offer of the issuer alone goes by the epoch where nothing of it can be proven. The issuer
//! itself is told every link, and follows them all.

use super::{Doubt, Link, Step};
use crate::bytes::code::Prefix;
use crate::bytes::digest::Digest;
use crate::limits::next_epoch;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Which steps it may follow.
    pub after: &'static [Step],
    /// Whether it begins a new epoch.
    pub next_epoch: bool,
    /// Whether it becomes the newest link; the others are side leaves.
    pub moves: bool,
}

/// The row of a step.
pub const fn row(step: Step) -> Row {
    let (after, next_epoch, moves): (&'static [Step], bool, bool) = match step {
        Step::Register => (&[], false, true),
        Step::Offer => (
            &[Step::Register, Step::Cancel, Step::Admit, Step::Return],
            true,
            true,
        ),
        Step::Accept => (&[Step::Offer], false, false),
        Step::Refuse => (&[Step::Offer, Step::Accept], false, false),
        Step::Cancel | Step::Depart => (&[Step::Offer, Step::Accept], false, true),
        Step::Detain => (&[Step::Depart], false, false),
        Step::Admit => (&[Step::Depart], false, true),
        Step::Return => (&[Step::Depart], true, true),
    };
    Row {
        after,
        next_epoch,
        moves,
    }
}

/// Who has custody after a link that an Offer may follow.
pub(super) fn custodian_after(link: &Link) -> Option<Prefix> {
    match link.step {
        Step::Register | Step::Admit => Some(link.to),
        Step::Cancel | Step::Return => link.from,
        Step::Offer | Step::Accept | Step::Refuse | Step::Depart | Step::Detain => None,
    }
}

/// Whether a link may follow the newest one, whose leaf has this hash.
///
/// # Errors
/// In what it contradicts the table.
pub fn follows(previous: &Link, hash: &Digest, next: &Link) -> Result<(), Doubt> {
    let row = row(next.step);
    if next.prev != *hash {
        return Err(Doubt::AnotherBefore);
    }
    if !row.after.contains(&previous.step) {
        return Err(Doubt::OutOfOrder);
    }
    let epoch = match row.next_epoch {
        true => next_epoch(previous.epoch),
        false => Some(previous.epoch),
    };
    if epoch != Some(next.epoch) {
        return Err(Doubt::EpochOff);
    }
    let terms = |link: &Link| (link.transfer, link.from, link.to, link.agreement.clone());
    if next.step == Step::Offer {
        if next.from.is_none() || next.from != custodian_after(previous) {
            return Err(Doubt::OfferedWithoutAdmission);
        }
    } else if terms(next) != terms(previous) {
        return Err(Doubt::OtherTerms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::AgreementRef;
    use crate::rules::command::TransferId;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).expect("a prefix")
    }

    /// A link of the transfer from `86` to `49` at an epoch.
    fn link(step: Step, epoch: u64) -> Link {
        Link {
            step,
            transfer: Some(TransferId([1; 16])),
            epoch,
            from: Some(prefix("86")),
            to: prefix("49"),
            prev: Digest::ZERO,
            agreement: Some(AgreementRef {
                id: "49-86".into(),
                version: 1,
            }),
        }
    }

    /// The whole table, one line for each pair that is allowed.
    #[test]
    fn the_table_is_total() {
        let mut allowed = Vec::new();
        for before in Step::ALL {
            for step in Step::ALL {
                for more in 0..=2 {
                    let mut next = link(*step, 5 + more);
                    if *before == Step::Admit {
                        // The importer has it now, and offers it on.
                        next.from = Some(prefix("49"));
                    }
                    let previous = match before {
                        Step::Register => Link {
                            epoch: 5,
                            ..Link::register(prefix("86"))
                        },
                        _ => link(*before, 5),
                    };
                    if follows(&previous, &Digest::ZERO, &next).is_ok() {
                        allowed.push(format!("{} {} +{more}", before.name(), step.name()));
                    }
                }
            }
        }
        assert_eq!(
            allowed,
            [
                "Register Offer +1",
                "Offer Accept +0",
                "Offer Refuse +0",
                "Offer Cancel +0",
                "Offer Depart +0",
                "Accept Refuse +0",
                "Accept Cancel +0",
                "Accept Depart +0",
                "Cancel Offer +1",
                "Depart Detain +0",
                "Depart Admit +0",
                "Depart Return +1",
                "Admit Offer +1",
                "Return Offer +1",
            ]
        );
    }

    #[test]
    fn a_link_names_the_one_before_and_keeps_its_terms() {
        type Change = fn(&mut Link);
        let changes: [(Change, Doubt); 6] = [
            (|l| l.prev = Digest([1; 32]), Doubt::AnotherBefore),
            (|l| l.transfer = None, Doubt::OtherTerms),
            (|l| l.from = Some(prefix("81")), Doubt::OtherTerms),
            (|l| l.to = prefix("81"), Doubt::OtherTerms),
            (|l| l.agreement = None, Doubt::OtherTerms),
            (|l| l.epoch = 6, Doubt::EpochOff),
        ];
        let offer = link(Step::Offer, 5);
        for (change, doubt) in changes {
            let mut depart = link(Step::Depart, 5);
            change(&mut depart);
            assert_eq!(follows(&offer, &Digest::ZERO, &depart), Err(doubt));
        }
        let mut stranger = link(Step::Offer, 6);
        stranger.from = Some(prefix("81"));
        assert_eq!(
            follows(&link(Step::Cancel, 5), &Digest::ZERO, &stranger),
            Err(Doubt::OfferedWithoutAdmission)
        );
    }
}
