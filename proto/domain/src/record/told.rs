//! What is put into the mailboxes of peers within a minute of log time, counted where it is written, and what waits for its turn.
//!
//! A peer reads only so much of us within a minute, one item after the other. Whoever fills its mailbox holds up what
//! everybody else here has to tell it: thefts, recalls, the steps of open transfers. So each who signs has a part of what a
//! peer takes, whatever others tell; enterprises take nothing of what offices have, and amendments nothing of what alarms have.

use crate::bytes::code::Prefix;
use crate::bytes::encoding::Canonical as _;
use crate::bytes::time::TimeMs;
use crate::limits::{
    Epoch, Index, List, Maybe, PARTS_OF_A_MINUTE, PEERS_MAX, RESERVED_OF_A_MINUTE, Sequence,
};
use crate::record::Holder;
use crate::rules::rejection::Counted;

/// How much was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Items of a mailbox.
    pub items: u64,
    /// Their bytes, without what proves them.
    pub bytes: u64,
}
crate::canonical_struct!(Told {
    items: Sequence,
    bytes: Sequence
});

impl Told {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            // saturates: far below by the bounds of an entry
            items: self.items.saturating_add(other.items),
            // saturates: as above
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// What there is too much of, if one who told `self` so far, of `all` that was told by anybody, tells `more`, and `max` may be
    /// told. Whoever stays within an equal part finds a place, whatever others took: beyond it nobody takes what is kept for those
    /// parts.
    pub fn is_over(self, all: Self, more: Self, max: Self) -> Option<Counted> {
        let over = |own: u64, all: u64, more: u64, max: u64| {
            // saturates: what is beyond the last number is beyond every bound
            let (own, all) = (own.saturating_add(more), all.saturating_add(more));
            all > if own <= part_of(max) {
                max
            } else {
                common(max)
            }
        };
        if over(self.items, all.items, more.items, max.items) {
            return Some(Counted::MailItems);
        }
        over(self.bytes, all.bytes, more.bytes, max.bytes).then_some(Counted::MailBytes)
    }

    /// Whether it is no more than the equal part of one who signs.
    pub fn is_part_of(self, max: Self) -> bool {
        self.items <= part_of(max.items) && self.bytes <= part_of(max.bytes)
    }

    /// Whether, as what was told by anybody, it leaves half of what is common to what waits: however many tell their part at once, a line
    /// goes on.
    pub fn leaves_half(self, max: Self) -> bool {
        let half = |max: u64| common(max) / 2;
        self.items <= half(max.items) && self.bytes <= half(max.bytes)
    }

    /// Whether nothing more of what waits is told beside it: what is kept for the parts is left.
    fn is_full(self, max: Self) -> bool {
        self.items >= common(max.items) || self.bytes >= common(max.bytes)
    }
}

/// The equal part of one who signs.
fn part_of(max: u64) -> u64 {
    max / PARTS_OF_A_MINUTE
}

/// What everybody may take beyond such a part.
fn common(max: u64) -> u64 {
    // saturates: a part of it is less
    max.saturating_sub(max / RESERVED_OF_A_MINUTE)
}

/// What was told within one minute of log time, by all enterprises and by all offices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Minute {
    /// Which minute, since the epoch.
    pub minute: u64,
    /// What keys of enterprises signed.
    pub enterprises: Told,
    /// What keys of offices signed, which have a share of their own.
    pub offices: Told,
}
crate::canonical_struct!(Minute {
    minute: Sequence,
    enterprises,
    offices
});

impl Minute {
    /// As it stands at a time: what was told in another minute counts no more.
    #[must_use]
    pub fn at(self, now: TimeMs) -> Self {
        let minute = minute_of(now);
        match self.minute == minute {
            true => self,
            false => Self {
                minute,
                ..Self::default()
            },
        }
    }

    /// By those who are what a holder is.
    pub fn of(&mut self, holder: &Holder) -> &mut Told {
        match holder {
            Holder::Enterprise { .. } => &mut self.enterprises,
            Holder::Office { .. } => &mut self.offices,
        }
    }
}

/// One of the lines in which news waits for all peers: each has a minute of its own, and nobody in it goes before another twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Thefts, losses, stops, ends and new recalls, by enterprises.
    EnterprisesAlarms,
    /// The same, by offices.
    OfficesAlarms,
    /// Everything else, by enterprises.
    EnterprisesNotices,
    /// The same, by offices.
    OfficesNotices,
}
crate::canonical_enum!(Line { 1 => EnterprisesAlarms, 2 => OfficesAlarms, 3 => EnterprisesNotices, 4 => OfficesNotices });

impl Line {
    /// The line of who signs.
    pub fn of(holder: &Holder, is_alarm: bool) -> Self {
        match (holder, is_alarm) {
            (Holder::Enterprise { .. }, true) => Self::EnterprisesAlarms,
            (Holder::Office { .. }, true) => Self::OfficesAlarms,
            (Holder::Enterprise { .. }, false) => Self::EnterprisesNotices,
            (Holder::Office { .. }, false) => Self::OfficesNotices,
        }
    }

    /// Whether it is of alarms.
    pub fn is_of_alarms(self) -> bool {
        matches!(self, Self::EnterprisesAlarms | Self::OfficesAlarms)
    }

    /// The published rule that tells what waits in it.
    pub fn rule(self) -> u16 {
        match self {
            Self::EnterprisesAlarms => 7,
            Self::OfficesAlarms => 8,
            Self::EnterprisesNotices => 9,
            Self::OfficesNotices => 10,
        }
    }

    /// The line of a published rule.
    pub fn of_rule(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|line| line.rule() == number)
    }
}

/// How far one line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// What it told within the minute.
    pub told: Told,
    /// The place of what was told last of those that waited: whoever begins to wait begins behind it.
    pub served: u64,
}
crate::canonical_struct!(Progress {
    told,
    served: Sequence
});

/// What all peers were told within one minute of log time, by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tellings {
    /// Which minute, since the epoch.
    pub minute: u64,
    /// Of [`Line::EnterprisesAlarms`].
    pub enterprises_alarms: Progress,
    /// Of [`Line::OfficesAlarms`].
    pub offices_alarms: Progress,
    /// Of [`Line::EnterprisesNotices`].
    pub enterprises_notices: Progress,
    /// Of [`Line::OfficesNotices`].
    pub offices_notices: Progress,
}
crate::canonical_struct!(Tellings {
    minute: Sequence,
    enterprises_alarms,
    offices_alarms,
    enterprises_notices,
    offices_notices
});

impl Tellings {
    /// As it stands at a time: what was told in another minute counts no more.
    #[must_use]
    pub fn at(self, now: TimeMs) -> Self {
        let minute = minute_of(now);
        if self.minute == minute {
            return self;
        }
        let mut anew = Self { minute, ..self };
        for line in Line::ALL {
            anew.of(*line).told = Told::default();
        }
        anew
    }

    /// One line's.
    pub fn of(&mut self, line: Line) -> &mut Progress {
        match line {
            Line::EnterprisesAlarms => &mut self.enterprises_alarms,
            Line::OfficesAlarms => &mut self.offices_alarms,
            Line::EnterprisesNotices => &mut self.enterprises_notices,
            Line::OfficesNotices => &mut self.offices_notices,
        }
    }

    /// Whether something of what waits in a line is told at a time.
    pub(crate) fn has_room(self, line: Line, now: TimeMs, max: Told) -> bool {
        !self.at(now).of(line).told.is_full(max)
    }
}

/// News of ours that waits to be told: the newest leaf of what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Whose turn it waits for.
    pub line: Line,
    /// Its place there.
    pub place: u64,
    /// Who signed what put it there.
    pub holder: Holder,
    /// Its index in our log.
    pub leaf: u64,
    /// How much it is.
    pub told: Told,
    /// Whom it is told; everybody if it names nobody.
    pub to: Option<Prefix>,
    /// Of a hold that nobody abroad can know of before it is told: the epoch of its robot. Lifted meanwhile, nothing is told.
    pub unheard: Option<u64>,
}
crate::canonical_struct!(Untold @ 1 {
    line,
    place: Sequence,
    holder,
    leaf: Index,
    told,
    to,
    unheard: Maybe<Epoch>
});

/// What somebody offered one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// By its primary prefix.
    pub peer: Prefix,
    /// How much.
    pub told: Told,
}
crate::canonical_struct!(Offered { peer, told });

/// What one holder of keys told within one minute of log time, and what of it waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToldBy {
    /// Which minute, since the epoch.
    pub minute: u64,
    /// Alarms, to all peers.
    pub alarms: Told,
    /// Everything else, to all peers.
    pub notices: Told,
    /// Offers, by peer.
    pub offers: Vec<Offered>,
    /// The place of its last alarm that waited.
    pub alarms_place: u64,
    /// The place of its last notice that waited.
    pub notices_place: u64,
}
crate::canonical_struct!(ToldBy @ 1 {
    minute: Sequence,
    alarms,
    notices,
    offers: List<PEERS_MAX>,
    alarms_place: Sequence,
    notices_place: Sequence
});

impl ToldBy {
    /// As it stands at a time: what was told in another minute counts no more. What waits goes on waiting.
    #[must_use]
    pub fn at(self, now: TimeMs) -> Self {
        let minute = minute_of(now);
        match self.minute == minute {
            true => self,
            false => Self {
                minute,
                alarms: Told::default(),
                notices: Told::default(),
                offers: Vec::new(),
                ..self
            },
        }
    }

    /// What it told all peers in the minute, in a line.
    pub fn told_in(&mut self, line: Line) -> &mut Told {
        match line.is_of_alarms() {
            true => &mut self.alarms,
            false => &mut self.notices,
        }
    }

    /// The place of its last news that waited in a line.
    pub fn place_in(&mut self, line: Line) -> &mut u64 {
        match line.is_of_alarms() {
            true => &mut self.alarms_place,
            false => &mut self.notices_place,
        }
    }

    /// What it offered a peer.
    pub fn offered(&self, peer: &Prefix) -> Told {
        let mut offers = self.offers.iter();
        let found = offers.find(|one| one.peer == *peer);
        found.map_or_else(Told::default, |one| one.told)
    }

    /// Counts what it offers a peer.
    pub fn offer(&mut self, peer: Prefix, more: Told) {
        match self.offers.iter_mut().find(|one| one.peer == peer) {
            Some(one) => one.told = one.told.and(more),
            None => self.offers.push(Offered { peer, told: more }),
        }
    }

    /// The bytes of its row.
    pub fn size(&self) -> usize {
        self.to_bytes().len()
    }
}

fn minute_of(at: TimeMs) -> u64 {
    at.0 / 60_000
}
