//! A good history, told step by step, for others to spoil.

use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::movement::Movement;
use carnet_domain::custody::{Chain, Link, Phase};
use carnet_domain::record::AgreementRef;
use carnet_domain::record::transfer::Ending;
use carnet_domain::rules::command::{Papers, Purpose};

use super::*;
use crate::custody::Kept;

pub(super) const ROBOT: &str = "XA000110000200000000000000001";

pub(super) fn code() -> Code {
    Code::parse(ROBOT).expect("a code")
}

fn prefix(side: Side) -> Prefix {
    Prefix::parse(match side {
        Side::A => "XA",
        Side::B => "XB",
    })
    .expect("a prefix")
}

pub(super) fn id(number: u8) -> TransferId {
    TransferId([number; 16])
}

/// The leaf hash of the link with this number.
pub(super) fn leaf(number: u8) -> Digest {
    Digest([number; 32])
}

/// One robot that A registers, over the border and back, step by step; leaves are numbered as they are written.
pub(super) struct Story {
    pub(super) run: Run,
    leaves: u8,
    moment: u64,
}

impl Story {
    /// Registered in A as leaf 1, and nothing else.
    pub(super) fn begun() -> Self {
        let ended = |side| Ended {
            prefix: prefix(side),
            robots: BTreeMap::from([(code(), Kept::default())]),
            transfers: Vec::new(),
        };
        let run = Run {
            asked: Vec::new(),
            claims: Vec::new(),
            ended: [ended(Side::A), ended(Side::B)],
        };
        let mut story = Self {
            run,
            leaves: 0,
            moment: 0,
        };
        story.write(Side::A, Link::register(prefix(Side::A)));
        story.chain(Side::A, 0, Phase::Here {});
        story
    }

    pub(super) fn ended(&mut self, side: Side) -> &mut Ended {
        &mut self.run.ended[usize::from(side == Side::B)]
    }

    pub(super) fn kept(&mut self, side: Side) -> &mut Kept {
        self.ended(side)
            .robots
            .get_mut(&code())
            .expect("it is there")
    }

    pub(super) fn chain(&mut self, side: Side, epoch: u64, phase: Phase) {
        let chain = Chain {
            epoch,
            phase,
            ..Chain::unknown()
        };
        self.kept(side).chain = Some(chain);
    }

    /// A link in the log of a country, shown in its trail and, but for a registration, in the other's. Its leaf.
    fn write(&mut self, side: Side, link: Link) -> Digest {
        self.leaves += 1;
        let leaf = leaf(self.leaves);
        let movement = Movement {
            step: link.step,
            transfer: link.transfer,
            epoch: link.epoch,
            from: link.from,
            to: link.to,
            writer: prefix(side),
            at: TimeMs(0),
            seen: TimeMs(0),
            place: String::new(),
            leaf,
            leaf_index: u64::from(self.leaves),
        };
        self.kept(side).trail.push(movement.clone());
        if link.step != Step::Register {
            self.kept(side.other()).trail.push(movement);
        }
        self.kept(side).own.push(OwnLink { leaf, link });
        leaf
    }

    pub(super) fn ask(&mut self, side: Side, step: Step, transfer: u8, came: Came) {
        self.moment += 10;
        self.run.asked.push(Asked {
            side,
            step,
            transfer: id(transfer),
            began: self.moment,
            ended: self.moment + 5,
            came,
        });
    }

    /// A step of a transfer from A to B, asked for and written.
    pub(super) fn step(&mut self, side: Side, step: Step, transfer: u8, epoch: u64, prev: u8) {
        let link = Link {
            step,
            transfer: Some(id(transfer)),
            epoch,
            from: Some(prefix(Side::A)),
            to: prefix(Side::B),
            prev: leaf(prev),
            agreement: AgreementRef::parse("XA-XB:1"),
        };
        let leaf = self.write(side, link);
        self.ask(side, step, transfer, Came::Written(leaf));
    }

    /// How a transfer ended, in both countries.
    pub(super) fn over(&mut self, transfer: u8, at_a: Step, at_b: Step) {
        for (side, step) in [(Side::A, at_a), (Side::B, at_b)] {
            let ending = Ending {
                step,
                place: String::new(),
                at: TimeMs(0),
                leaf: Digest::ZERO,
            };
            let made = Transfer {
                id: id(transfer),
                code: code(),
                from: prefix(Side::A),
                to: prefix(Side::B),
                purpose: Purpose::PermanentExport,
                epoch: 0,
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
                ending: Some(ending),
            };
            self.ended(side).transfers.push(made);
        }
    }

    pub(super) fn claim(&mut self, side: Side, place: u64) {
        self.moment += 10;
        self.run.claims.push(Claim {
            robot: code(),
            side,
            place,
            began: self.moment,
            ended: self.moment + 5,
        });
    }

    /// Refused by B as transfer 1 (leaves 2 to 4), then admitted there as transfer 2 (leaves 5 to 8).
    pub(super) fn admitted() -> Self {
        let mut story = Self::begun();
        story.step(Side::A, Step::Offer, 1, 1, 1);
        story.step(Side::B, Step::Refuse, 1, 1, 2);
        story.step(Side::A, Step::Cancel, 1, 1, 2);
        // The exporter cancelled by itself.
        story.run.asked.pop();
        story.over(1, Step::Cancel, Step::Refuse);
        story.step(Side::A, Step::Offer, 2, 2, 4);
        story.step(Side::B, Step::Accept, 2, 2, 5);
        story.step(Side::A, Step::Depart, 2, 2, 5);
        story.step(Side::B, Step::Admit, 2, 2, 7);
        story.over(2, Step::Admit, Step::Admit);
        let gone = Phase::Gone {
            transfer: id(2),
            to: prefix(Side::B),
            admit: leaf(8),
        };
        story.chain(Side::A, 2, gone);
        story.chain(Side::B, 2, Phase::Here {});
        story
    }

    #[track_caller]
    pub(super) fn check(&self, expected: &[&str]) {
        let found: Vec<String> = custody_holds(&self.run)
            .iter()
            .map(ToString::to_string)
            .collect();
        let found: Vec<String> = found
            .iter()
            .map(|line| line.replace(ROBOT, "R").replace(&id(2).to_string(), "T2"))
            .collect();
        assert_eq!(found, expected);
    }
}
