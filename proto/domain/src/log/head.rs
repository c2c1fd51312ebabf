//! The newest leaf of a subject, and the jumps that lead from it to any earlier one.

use crate::bytes::digest::Digest;
use crate::bytes::encoding::{Canonical, DecodeError, Decoder, Encoder};
use crate::limits::{Bound, Index, JUMPS_MAX, ListOf, Maybe, SEQUENCE_MAX, Sequence};

/// The newest leaf of a subject in this log: what the next leaf names as `prev`, and what the map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The `seq` of that leaf.
    pub seq: u64,
    /// Its index in the log.
    pub leaf_index: u64,
    /// Which the next leaf of the subject names as the one before.
    pub leaf_hash: Digest,
    /// Index of the newest leaf of the subject's trail, up to this one: of a robot the custody steps, of a peer what the
    /// roots stated of it.
    pub step: Option<u64>,
    /// Where the leaf jumps to, and where that jumps to, and so on.
    pub jumps: Jumps,
}
crate::canonical_struct!(Head {
    seq: Sequence,
    leaf_index: Index,
    leaf_hash,
    step: Maybe<Index>,
    jumps
});

/// The `seq` that a leaf jumps to: its own, with the last hexadecimal digit that is not 0 set to 0. From 2345h to 2340h,
/// from there to 2300h. The first leaf jumps nowhere.
pub const fn jump_from(seq: u64) -> Option<u64> {
    match seq {
        0 => None,
        _ => Some(seq & !0xf_u64.rotate_left(seq.trailing_zeros() & !3)),
    }
}

const _: () = assert!(SEQUENCE_MAX.ilog2() as usize / 4 < JUMPS_MAX);

/// Leaf indices of one subject: where a leaf jumps to, where that one jumps to, and so on down to the first leaf. Any
/// earlier leaf is found by jumps, and by steps back where a jump leads too far: at most 314 of both among 2^24 leaves. Of a
/// subject with up to 16 leaves this is the index of its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Jumps([Option<u64>; JUMPS_MAX]);

impl Jumps {
    /// Of the leaf after one with `seq` at `index` that has these.
    #[must_use]
    pub fn after(&self, seq: u64, index: u64) -> Self {
        let targets = |from| std::iter::successors(Some(from), |seq| jump_from(*seq));
        let known = targets(seq).zip([Some(index)].into_iter().chain(self.0).flatten());
        let next = seq.checked_add(1).and_then(jump_from);
        let kept = known
            .filter(|(seq, _)| next.is_some_and(|next| targets(next).any(|wanted| wanted == *seq)));
        let mut after = Self::default();
        for (place, (_, index)) in after.0.iter_mut().zip(kept) {
            *place = Some(index);
        }
        after
    }

    /// Where the leaf itself jumps to.
    pub fn nearest(&self) -> Option<u64> {
        self.0.first().copied().flatten()
    }
}

/// A list of leaf indices.
impl Canonical for Jumps {
    fn encode(&self, e: &mut Encoder) {
        e.array(self.0.iter().flatten().count());
        self.0.iter().flatten().for_each(|index| e.uint(*index));
    }
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let indices: Vec<u64> = <ListOf<Index, JUMPS_MAX> as Bound<_>>::read(d)?;
        let mut jumps = Self::default();
        for (place, index) in jumps.0.iter_mut().zip(indices) {
            *place = Some(index);
        }
        Ok(jumps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `seq` of every leaf that is jumped to, from a leaf on.
    fn chain(seq: u64) -> Vec<u64> {
        let after = std::iter::successors(jump_from(seq), |seq| jump_from(*seq));
        after.collect()
    }

    #[test]
    fn a_jump_goes_back_to_the_digit_before() {
        for (seq, expected) in [
            (0, vec![]),
            (1, vec![0]),
            (0x10, vec![0]),
            (0x2345, vec![0x2340, 0x2300, 0x2000, 0]),
            (0x2005, vec![0x2000, 0]),
            (SEQUENCE_MAX, vec![0]),
        ] {
            assert_eq!(chain(seq), expected, "from {seq:x}");
        }
        assert!(chain(SEQUENCE_MAX - 1).len() < JUMPS_MAX);
    }

    /// With the leaf of `seq` at index 3·seq, a head always holds the indices of its chain.
    #[test]
    fn a_head_holds_where_its_leaf_jumps_to() {
        let mut jumps = Jumps::default();
        for seq in 0..70_000 {
            let expected: Vec<u64> = chain(seq).iter().map(|seq| 3 * seq).collect();
            let found: Vec<u64> = jumps.0.iter().flatten().copied().collect();
            assert_eq!(found, expected, "of {seq}");
            assert_eq!(jumps.nearest(), expected.first().copied());
            jumps = jumps.after(seq, 3 * seq);
        }
        assert_eq!(Jumps::from_bytes(&jumps.to_bytes()), Ok(jumps));
    }

    #[test]
    fn every_leaf_is_few_reads_away() {
        let reads = |from: u64, to: u64| {
            let (mut at, mut count) = (from, 0);
            while at > to {
                at = match jump_from(at) {
                    Some(jump) if jump >= to => jump,
                    _ => at - 1,
                };
                count += 1;
            }
            count
        };
        let newest = 10_000_000;
        let all = (0..newest).step_by(997).chain(0..5_000);
        let most = all.map(|to| reads(newest, to)).max().expect("some");
        assert!(most <= 314, "{most}");
        assert_eq!(reads(0xff_ffff, 1), 314);
        assert_eq!(reads(newest, 0), 5);
    }
}
