//! What is put into the mailboxes of peers within a minute of log time, counted where it is written.
//!
//! A peer reads only so much of us within a minute, one item after the other. Whoever fills its mailbox holds up what
//! everybody else here has to tell it: thefts, recalls, the steps of open transfers. So each who signs has a share of what a
//! peer takes, and enterprises take nothing of what offices have.

use crate::bytes::code::Prefix;
use crate::bytes::encoding::Canonical as _;
use crate::bytes::time::TimeMs;
use crate::limits::{List, PEERS_MAX, Sequence};
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

    /// What there is too much of, if one who told `self` so far, of `all` that was told by anybody, tells `more`: over `max`
    /// for all, and over what is left for all others. Whoever comes last still finds a place.
    pub fn is_over(self, all: Self, more: Self, max: Self) -> Option<Counted> {
        let over = |own: u64, all: u64, more: u64, max: u64| {
            let left = max.checked_sub(all);
            left.is_none_or(|left| more > left || own >= left)
        };
        if over(self.items, all.items, more.items, max.items) {
            return Some(Counted::MailItems);
        }
        over(self.bytes, all.bytes, more.bytes, max.bytes).then_some(Counted::MailBytes)
    }
}

/// What was told within one minute of log time, by all enterprises and by all offices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Minute {
    /// Which minute, since the epoch.
    pub minute: u64,
    /// By enterprises.
    pub enterprises: Told,
    /// By offices.
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

/// What somebody offered one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// Which peer.
    pub peer: Prefix,
    /// How much.
    pub told: Told,
}
crate::canonical_struct!(Offered { peer, told });

/// What one holder of keys told within one minute of log time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToldBy {
    /// Which minute, since the epoch.
    pub minute: u64,
    /// To all peers.
    pub all: Told,
    /// Offers, by peer.
    pub offers: Vec<Offered>,
}
crate::canonical_struct!(ToldBy @ 1 {
    minute: Sequence,
    all,
    offers: List<PEERS_MAX>
});

impl ToldBy {
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
