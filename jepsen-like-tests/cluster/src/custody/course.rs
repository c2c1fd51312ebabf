//! What becomes of one transfer: pure, from what both countries show of it.

use carnet_domain::custody::Step;
use carnet_domain::record::transfer::Transfer;
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

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::code::{Code, Prefix};
    use carnet_domain::bytes::digest::Digest;
    use carnet_domain::bytes::time::TimeMs;
    use carnet_domain::record::AgreementRef;
    use carnet_domain::record::transfer::Ending;
    use carnet_domain::rules::command::{Papers, Purpose, TransferId};

    /// A transfer as one country shows it: its newest step, and whether that ended it.
    fn shown(step: Step, over: bool) -> Transfer {
        let ending = Ending {
            step,
            place: String::new(),
            at: TimeMs(0),
            leaf: Digest::ZERO,
        };
        Transfer {
            id: TransferId([1; 16]),
            code: Code::parse("XA000110000200000000000000001").expect("a code"),
            from: Prefix::parse("XA").expect("a prefix"),
            to: Prefix::parse("XB").expect("a prefix"),
            purpose: Purpose::PermanentExport,
            epoch: 1,
            agreement: AgreementRef::parse("XA-XB:1").expect("name and version"),
            clause: None,
            chain: Vec::new(),
            passed: Vec::new(),
            detained: None,
            declared_by: None,
            ends_at: TimeMs(0),
            lapsed: false,
            stopped: None,
            offer_until: TimeMs(0),
            papers: Papers::default(),
            conditions: Vec::new(),
            depart_by: TimeMs(0),
            refused: None,
            step,
            step_at: TimeMs(0),
            robot: None,
            evidence: None,
            ending: over.then_some(ending),
        }
    }

    /// What each course does where both countries show the same step, nothing having ended.
    fn check(course: Course, expected: [Next; 3]) {
        let found = [Step::Offer, Step::Accept, Step::Depart].map(|step| {
            let both = shown(step, false);
            next(course, Some(&both), Some(&both))
        });
        assert_eq!(found, expected, "{course:?}");
    }

    #[test]
    fn each_course_is_kept_to() {
        use Next::{Ask, Race};
        use Step::{Accept, Admit, Cancel, Depart, Refuse, Return};
        let rest = [Ask(Depart), Ask(Admit)];
        check(Course::Through, [Ask(Accept), rest[0], rest[1]]);
        check(Course::SendBack, [Ask(Accept), rest[0], Ask(Return)]);
        check(Course::Refuse, [Ask(Refuse), rest[0], rest[1]]);
        check(Course::CancelEarly, [Ask(Cancel), rest[0], rest[1]]);
        let race = [Race(Cancel, Accept), rest[0], rest[1]];
        check(Course::CancelAgainstPermit, race);
        let race = [Ask(Accept), Race(Cancel, Depart), rest[1]];
        check(Course::CancelAgainstDepart, race);
    }

    #[test]
    fn what_was_never_offered_is_offered() {
        assert_eq!(next(Course::Through, None, None), Next::Ask(Step::Offer));
    }

    #[test]
    fn mail_that_is_on_its_way_is_waited_for() {
        let (offer, accept) = (shown(Step::Offer, false), shown(Step::Accept, false));
        let depart = shown(Step::Depart, false);
        for (here, there) in [
            (&offer, None),
            (&offer, Some(&accept)),
            (&depart, Some(&accept)),
        ] {
            assert_eq!(next(Course::Through, Some(here), there), Next::Wait);
        }
    }

    #[test]
    fn it_is_over_when_both_say_so() {
        let (depart, admit) = (shown(Step::Depart, false), shown(Step::Admit, true));
        assert_eq!(
            next(Course::Through, Some(&depart), Some(&admit)),
            Next::Wait
        );
        assert_eq!(
            next(Course::Through, Some(&admit), Some(&depart)),
            Next::Wait
        );
        assert_eq!(
            next(Course::Through, Some(&admit), Some(&admit)),
            Next::Over
        );
    }
}
