//! The beginning of a membership record: who votes, and who is a member. The rest of it is the consensus crate's.
//!
//! ```text
//! version u8 | sets u32 | per set: voters u32, voter u64 … | members u32, node u64 … | addresses (not read here)
//! ```
//! All integers big-endian. The consensus crate writes the whole and tests that both read alike; the rules need both
//! at an entry, and only the log says who they were there.

use std::collections::BTreeSet;

use carnet_domain::machine::entry::{Members, Voters};

/// Who votes by a membership record, one set, or both while a change is under way; and every member. Nobody, for bytes that
/// are none.
pub fn members(membership: &[u8]) -> Members {
    read(membership).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Option<Members> {
    let (_version, mut rest) = bytes.split_first()?;
    let mut sets = Vec::new();
    for _ in 0..take_u32(&mut rest)? {
        sets.push(take_nodes(&mut rest)?);
    }
    Some(Members {
        voters: Voters(sets),
        all: take_nodes(&mut rest)?,
    })
}

fn take_nodes(rest: &mut &[u8]) -> Option<BTreeSet<u64>> {
    let mut nodes = BTreeSet::new();
    for _ in 0..take_u32(rest)? {
        let (node, later) = rest.split_first_chunk()?;
        nodes.insert(u64::from_be_bytes(*node));
        *rest = later;
    }
    Some(nodes)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (number, later) = rest.split_first_chunk()?;
    *rest = later;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_membership_name_nobody() {
        for bytes in [&[][..], &[1], &[1, 0, 0, 0, 1], &[1, 255, 255, 255, 255]] {
            assert_eq!(members(bytes), Members::default(), "{bytes:?}");
        }
    }
}
