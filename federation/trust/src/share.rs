//! How a room that is too small for all is shared: whoever wants less than an even part gets what it wants, and leaves the rest to
//! the others. So nobody takes anything from those who want little, however much it wants itself.

/// The most that each gets, of those who want so much; together that is no more than the room. `None` where all have room.
pub fn level(wanted: impl IntoIterator<Item = u64>, room: u64) -> Option<u64> {
    let mut wanted: Vec<u64> = wanted.into_iter().collect();
    wanted.sort_unstable();
    let (mut left, mut others) = (room, u64::try_from(wanted.len()).unwrap_or(u64::MAX));
    for one in wanted {
        let even = left.checked_div(others)?;
        if even < one {
            return Some(even);
        }
        left = left.checked_sub(one)?;
        others = others.checked_sub(1)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_little_gets_it_whatever_the_others_want() {
        for (wanted, room, expected) in [
            (&[][..], 0, None),
            (&[0, 0], 0, None),
            (&[1], 0, Some(0)),
            (&[5, 5], 10, None),
            (&[5, 6], 10, Some(5)),
            (&[1, 100, 2], 13, Some(10)),
            (&[u64::MAX, u64::MAX, 3], 9, Some(3)),
            (&[u64::MAX, 1], u64::MAX, Some(u64::MAX - 1)),
            (&[u64::MAX], u64::MAX, None),
        ] {
            let found = level(wanted.iter().copied(), room);
            assert_eq!(found, expected, "{wanted:?} in {room}");
            let given = wanted.iter().map(|one| (*one).min(found.unwrap_or(*one)));
            let sum: u128 = given.map(u128::from).sum();
            assert!(sum <= u128::from(room));
        }
    }
}
