//! Records as a caller may see them: every answer passes through here, also where a record stands inside another.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::custody::mail::disclose;
use carnet_domain::log::stored::{LeafRecord, ShownLeaf};
use carnet_domain::record::Robot;
use carnet_domain::record::event::slot;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::rules::parties::{HISTORY_SLOTS, history_slots, registry_shown_to, shown_to};
use carnet_domain::rules::policy::is_authority;
use carnet_trust::evidence::{SLOTS_FOR_ANYBODY, SLOTS_FOR_AUTHORITIES};

use super::caller::Caller;

/// What one caller sees in the registry of a prefix.
#[derive(Clone, Copy)]
pub struct View<'a> {
    here: Prefix,
    caller: &'a Caller,
}

impl<'a> View<'a> {
    /// The view of a caller.
    pub fn of(here: Prefix, caller: &'a Caller) -> Self {
        Self { here, caller }
    }

    /// What the caller sees of a robot: parties and what opens commitments are for those concerned.
    pub fn robot(self, robot: &Robot) -> Robot {
        shown_to(
            self.here,
            self.caller.role(),
            self.caller.enterprise(),
            robot,
        )
    }

    /// A transfer, with what the other country said of the robot. How its chain was proven is for the mail alone.
    pub fn transfer(self, transfer: Transfer) -> Transfer {
        let robot = transfer.robot.as_ref();
        Transfer {
            robot: robot.map(|robot| self.robot(robot)),
            chain: Vec::new(),
            ..transfer
        }
    }

    /// A leaf of a robot's history: the whole of it for `whole`, for others that it is something to what happened while it was
    /// theirs.
    pub fn leaf(self, record: &LeafRecord, whole: bool) -> ShownLeaf {
        let slots = match (whole, self.caller.enterprise()) {
            (true, _) => HISTORY_SLOTS,
            (false, Some(own)) => {
                let holding = value(record, slot::OWNER).unwrap_or_default();
                let used = value(record, slot::USE).unwrap_or_default();
                history_slots(self.here, own, &holding, &used)
            }
            (false, None) => SLOTS_FOR_ANYBODY,
        };
        ShownLeaf {
            leaf: record.leaf.clone(),
            disclosed: disclose(record, slots),
        }
    }

    /// What the caller sees of the registry's own state.
    pub fn registry(self, registry: &Registry) -> Registry {
        registry_shown_to(self.caller.role(), registry)
    }

    /// The slots of a robot's leaves that evidence shows.
    pub fn slots(self) -> &'static [u8] {
        match is_authority(self.caller.role()) {
            true => SLOTS_FOR_AUTHORITIES,
            false => SLOTS_FOR_ANYBODY,
        }
    }
}

/// What stands in a slot of a leaf, if it is that.
fn value<T: Canonical>(record: &LeafRecord, slot: u8) -> Option<T> {
    let bytes = record.values.get(usize::from(slot))?.as_ref()?;
    T::from_bytes(&bytes.0).ok()
}
