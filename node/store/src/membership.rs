//! The beginning of a membership record: who votes. The rest of it is the consensus crate's.
//!
//! ```text
//! version u8 | sets u32 | per set: voters u32, voter u64 … | members (not read here)
//! ```
//! All integers big-endian. The consensus crate writes the whole and tests that both read alike; the rules need the voters
//! at an entry, and only the log says who they were there.

use std::collections::BTreeSet;

use carnet_domain::entry::Voters;

/// Who votes by a membership record: one set, or both while a change is under way. Nobody, for bytes that are none.
pub fn voters(membership: &[u8]) -> Voters {
    read(membership).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Option<Voters> {
    let (_version, mut rest) = bytes.split_first()?;
    let mut sets = Vec::new();
    for _ in 0..take_u32(&mut rest)? {
        let mut voters = BTreeSet::new();
        for _ in 0..take_u32(&mut rest)? {
            let (voter, later) = rest.split_first_chunk()?;
            voters.insert(u64::from_be_bytes(*voter));
            rest = later;
        }
        sets.push(voters);
    }
    Some(Voters(sets))
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
            assert_eq!(voters(bytes), Voters::default(), "{bytes:?}");
        }
    }
}
