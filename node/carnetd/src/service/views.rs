//! Records as a caller may see them: every answer passes through here, also where a record stands inside another.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::custody::mail::disclose;
use carnet_domain::log::stored::{LeafRecord, ShownLeaf};
use carnet_domain::record::Robot;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::rules::parties::{HISTORY_SLOTS, registry_shown_to, shown_to};
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

    /// A robot.
    pub fn robot(self, robot: &Robot) -> Robot {
        shown_to(
            self.here,
            self.caller.role(),
            self.caller.enterprise(),
            robot,
        )
    }

    /// A transfer, with what the other country said of the robot.
    pub fn transfer(self, transfer: Transfer) -> Transfer {
        let robot = transfer.robot.as_ref();
        Transfer {
            robot: robot.map(|robot| self.robot(robot)),
            ..transfer
        }
    }

    /// A leaf of a robot's history, for whoever may read it.
    pub fn leaf(self, record: &LeafRecord) -> ShownLeaf {
        ShownLeaf {
            leaf: record.leaf.clone(),
            disclosed: disclose(record, HISTORY_SLOTS),
        }
    }

    /// The registry.
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
