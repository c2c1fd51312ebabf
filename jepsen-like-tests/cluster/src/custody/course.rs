//! What becomes of one transfer: pure, from what both countries show of it.

use carnet_domain::custody::Step;
use carnet_domain::transfer::Transfer;
use rand::Rng;

/// How a transfer is meant to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Offered, permitted, released, admitted.
    Through,
    /// Sent back at the border.
    SendBack,
    /// Refused by the importer.
    Refuse,
    /// Cancelled before anybody answers.
    CancelEarly,
    /// Cancelled by the exporter while the importer permits it.
    CancelAgainstPermit,
    /// Cancelled and released at once: one of the two wins.
    CancelAgainstDepart,
}

impl Course {
    /// Most go through.
    pub(super) fn draw(random: &mut impl Rng) -> Self {
        match random.random_range(0..100) {
            0..64 => Self::Through,
            64..74 => Self::SendBack,
            74..82 => Self::Refuse,
            82..88 => Self::CancelEarly,
            88..94 => Self::CancelAgainstPermit,
            _ => Self::CancelAgainstDepart,
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is over on both sides.
    Over,
    /// Mail is on its way.
    Wait,
    /// Ask for this step.
    Ask(Step),
    /// Ask for both at the same time.
    Race(Step, Step),
}

/// What to do next with a transfer, from what the exporter and the importer show of it.
pub(super) fn next(
    course: Course,
    exporter: Option<&Transfer>,
    importer: Option<&Transfer>,
) -> Next {
    let Some(here) = exporter else {
        return Next::Ask(Step::Offer);
    };
    let there_over = importer.is_some_and(|there| there.ending.is_some());
    if here.ending.is_some() {
        return if there_over { Next::Over } else { Next::Wait };
    }
    let Some(there) = importer else {
        return match course {
            Course::CancelEarly => Next::Ask(Step::Cancel),
            _ => Next::Wait,
        };
    };
    if there_over {
        return Next::Wait;
    }
    match (there.step, here.step, course) {
        (Step::Offer, Step::Offer, Course::Refuse) => Next::Ask(Step::Refuse),
        (Step::Offer, Step::Offer, Course::CancelEarly) => Next::Ask(Step::Cancel),
        (Step::Offer, Step::Offer, Course::CancelAgainstPermit) => {
            Next::Race(Step::Cancel, Step::Accept)
        }
        (Step::Offer, Step::Offer, _) => Next::Ask(Step::Accept),
        (Step::Accept, Step::Accept, Course::CancelAgainstDepart) => {
            Next::Race(Step::Cancel, Step::Depart)
        }
        (Step::Accept, Step::Accept, _) => Next::Ask(Step::Depart),
        (Step::Depart, Step::Depart, Course::SendBack) => Next::Ask(Step::Return),
        (Step::Depart, Step::Depart, _) => Next::Ask(Step::Admit),
        _ => Next::Wait,
    }
}
