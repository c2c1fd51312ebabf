//! The membership as the state machine keeps it: with everybody who ever left.
//!
//! Whoever leaves the configuration is retired for good. The list is computed from the membership records as they are
//! applied, lies beside them in the state, and so is part of every snapshot: the same on every replica at the same index.
//!
//! ```text
//! roster     membership | retired u32 of (node u64 | store 16 bytes), ascending
//! ```

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use carnet_store::identity::StoreId;

use crate::codec::{Body, Undecodable, put_count, take_count, take_u64};
use crate::types::RaftMembership;

/// Most stores that may have left; beyond it no more members are removed. 24 bytes each: the list fits a snapshot's header.
pub(crate) const RETIRED_MAX: usize = 65_536;

/// Who takes part, and who did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(crate) membership: RaftMembership,
    pub(crate) retired: BTreeSet<(u64, StoreId)>,
}

impl Roster {
    /// The roster after a membership record was applied.
    pub(crate) fn follow(&self, next: RaftMembership) -> Roster {
        let gone = self.membership.nodes().filter(|(id, member)| {
            next.get_node(id)
                .is_none_or(|staying| staying.store != member.store)
        });
        let gone = gone.map(|(id, member)| (*id, member.store));
        Roster {
            retired: self.retired.iter().copied().chain(gone).collect(),
            membership: next,
        }
    }
}

impl Body for Roster {
    fn encode(&self, to: &mut BytesMut) {
        self.membership.encode(to);
        put_count(to, self.retired.len());
        for (node, store) in &self.retired {
            to.put_u64(*node);
            store.encode(to);
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        let membership = RaftMembership::decode(from)?;
        let mut retired = BTreeSet::new();
        for _ in 0..take_count(from, 24)? {
            let one = (take_u64(from)?, StoreId::decode(from)?);
            // Ascending, so that a roster has one form.
            if retired.last().is_some_and(|last| *last >= one) {
                return Err(Undecodable("retired stores: not in order"));
            }
            retired.insert(one);
        }
        Ok(Roster {
            membership,
            retired,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::member::Member;

    fn membership(voters: &[&[u64]], members: &[(u64, u8)]) -> RaftMembership {
        let nodes: BTreeMap<u64, Member> = members
            .iter()
            .map(|(node, store)| {
                let store = StoreId([*store; 16]);
                (
                    *node,
                    Member {
                        store,
                        ..Member::default()
                    },
                )
            })
            .collect();
        let configs = voters
            .iter()
            .map(|half| half.iter().copied().collect())
            .collect();
        RaftMembership::new(configs, nodes).expect("a membership")
    }

    #[test]
    fn whoever_leaves_is_retired_for_good() {
        let all = membership(&[&[1, 2, 3]], &[(1, 1), (2, 2), (3, 3)]);
        let joint = membership(&[&[1, 2, 3], &[1, 2]], &[(1, 1), (2, 2), (3, 3)]);
        let less = membership(&[&[1, 2]], &[(1, 1), (2, 2)]);
        let more = membership(&[&[1, 2]], &[(1, 1), (2, 2), (4, 4)]);
        let founded = Roster::default().follow(all);
        assert_eq!(founded.retired, BTreeSet::new());
        let begun = founded.follow(joint);
        assert_eq!(begun.retired, BTreeSet::new(), "still in one half");
        let gone = BTreeSet::from([(3, StoreId([3; 16]))]);
        let done = begun.follow(less);
        assert_eq!(done.retired, gone);
        let later = done.follow(more);
        assert_eq!(later.retired, gone, "for good");
        let body = later.to_body();
        assert_eq!(Roster::from_body(body.clone()), Ok(later));
        for length in 0..body.len() {
            assert!(Roster::from_body(body.slice(..length)).is_err());
        }
    }
}
