//! What the replicas' marks say when they are laid side by side: is this state the one that the majority has?
//!
//! Pure but for the bodies of the RPC: who is asked, and when, and what is done about a verdict is the process's matter.
//! A majority is always one of all voters, never of those that happened to answer: two garbled answers out of five stop
//! nobody who still has two others beside it. *Unknown* never counts, for either side.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use carnet_store::compare::{CONTENTS_MAX, Compared, DIGEST_SIZE_MAX, Mark, SEALS_MAX};

use crate::codec::{Body, Undecodable, take_u8, take_u32, take_u64};

/// What was compared, and at which tree size.
pub type Point = (u64, Compared);

/// What laying the marks of one point side by side says of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A majority of the voters has the same.
    Agreed,
    /// Nothing is known yet, or nothing differs so far.
    Open,
    /// Something differs, no majority is known, and not every voter has said what it has. That condemns nobody: one against
    /// one, a healthy node looks no better than the odd one.
    Differing,
    /// A majority of the voters agrees on something else: this node's state is wrong.
    Minority,
    /// Every voter has said what it has, and no majority has the same: nobody can say whose state is right.
    NoMajority,
}

/// What the nodes have said of themselves, as one of them has heard it.
#[derive(Debug, Clone)]
pub struct Ballots {
    own: u64,
    said: BTreeMap<Point, BTreeMap<u64, Said>>,
    /// The largest size of each kind that a node has spoken of: of those below it will say no more.
    newest: BTreeMap<(u64, Compared), u64>,
}

/// A node's mark of one point.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    index: u64,
    digest: Option<Bytes>,
}

impl Ballots {
    /// Of node `own`, before anybody has spoken.
    pub fn new(own: u64) -> Self {
        Self {
            own,
            said: BTreeMap::new(),
            newest: BTreeMap::new(),
        }
    }

    /// Takes up the marks of this node. Only of what it has itself will it hear others, so that nobody can fill its memory.
    pub fn hear_own(&mut self, marks: &[Mark]) {
        for mark in marks {
            self.said.entry((mark.size, mark.what)).or_default();
        }
        self.hear(self.own, marks);
        for what in [Compared::Root, Compared::Writes, Compared::Content] {
            let count_max = if what == Compared::Content {
                CONTENTS_MAX
            } else {
                SEALS_MAX
            };
            let of_kind = |at: &&Point| at.1 == what;
            let kept = self.said.keys().rev().filter(of_kind).take(count_max);
            let oldest = kept.last().map_or(0, |at| at.0);
            self.said.retain(|at, _| at.1 != what || at.0 >= oldest);
        }
    }

    /// Takes up what a node says of itself. A digest that it once knew is not forgotten when it says *unknown* later.
    pub fn hear(&mut self, node: u64, marks: &[Mark]) {
        for mark in marks {
            let newest = self.newest.entry((node, mark.what)).or_default();
            *newest = mark.size.max(*newest);
            let Mark { index, digest, .. } = mark.clone();
            let Some(at) = self.said.get_mut(&(mark.size, mark.what)) else {
                continue;
            };
            if digest.is_some() || !at.contains_key(&node) {
                at.insert(node, Said { index, digest });
            }
        }
    }

    /// The points of which this node knows a digest, and what the voters' marks say of it.
    pub fn verdicts(&self, voters: &BTreeSet<u64>) -> Vec<(Point, Verdict)> {
        let points = self.said.keys().map(|at| (*at, self.verdict(*at, voters)));
        points.collect()
    }

    /// The least size at which a voter has yet to speak, and its word could matter; `None`: nobody needs to be asked.
    pub fn waiting(&self, voters: &BTreeSet<u64>) -> Option<u64> {
        let mut open = self.said.keys().filter(|at| {
            let open = matches!(
                self.verdict(**at, voters),
                Verdict::Open | Verdict::Differing
            );
            let known = self.digest(**at, self.own).is_some();
            known && open && voters.iter().any(|voter| self.will_say(**at, *voter))
        });
        open.next().map(|at| at.0)
    }

    /// What the voters' marks of one point say of this node; [`Verdict::Open`] where its own is unknown.
    pub fn verdict(&self, at: Point, voters: &BTreeSet<u64>) -> Verdict {
        let own = self.own;
        let Some(digest) = self.digest(at, own) else {
            return Verdict::Open;
        };
        let mut votes: BTreeMap<&Bytes, usize> = BTreeMap::new();
        for digest in voters.iter().filter_map(|voter| self.digest(at, *voter)) {
            *votes.entry(digest).or_default() += 1;
        }
        let known = votes.values().sum::<usize>();
        let quorum = voters.len() / 2 + 1;
        let most = votes.iter().find(|(_, count)| **count >= quorum);
        let differing = votes.keys().any(|other| *other != digest);
        match most {
            Some((most, _)) if *most == digest => Verdict::Agreed,
            Some(_) => Verdict::Minority,
            None if !differing => Verdict::Open,
            // Without a vote it does not count, so the voters' quarrel says nothing about it.
            None if !voters.contains(&own) => Verdict::Open,
            None if known < voters.len() => Verdict::Differing,
            None => Verdict::NoMajority,
        }
    }

    /// The least point at which somebody differs from this node and nobody is condemned yet. Settled too is what lies below
    /// a content or a digest of all writes that a majority has: both tell of everything before them.
    pub fn unsettled(&self, voters: &BTreeSet<u64>) -> Option<Point> {
        let settled = self
            .said
            .keys()
            .rev()
            .find(|at| at.1 != Compared::Root && self.verdict(**at, voters) == Verdict::Agreed);
        let above = |at: &&Point| settled.is_none_or(|settled| at.0 > settled.0);
        let mut open = self.said.keys().filter(above);
        open.find(|at| self.verdict(**at, voters) == Verdict::Differing)
            .copied()
    }

    /// The voters that have the same digest at a point as this node, itself included.
    pub fn agreeing(&self, at: Point, voters: &BTreeSet<u64>) -> Vec<u64> {
        let digest = self.digest(at, self.own);
        let same = |voter: &&u64| digest.is_some() && self.digest(at, **voter) == digest;
        voters.iter().filter(same).copied().collect()
    }

    /// Whether anybody's digest of a point is another than this node's.
    pub fn differs(&self, at: Point) -> bool {
        let own = self.digest(at, self.own);
        let said = self.said.get(&at).into_iter().flatten();
        let mut known = said.filter_map(|(_, said)| said.digest.as_ref());
        own.is_some() && known.any(|digest| Some(digest) != own)
    }

    /// Every node that has spoken of a point, as a person reads it.
    pub fn describe(&self, at: Point) -> String {
        let said = self.said.get(&at).into_iter().flatten();
        let said = said.map(|(node, Said { index, digest })| match digest {
            Some(digest) => format!("node {node} {} (log index {index})", hex(digest)),
            None => format!("node {node} unknown"),
        });
        said.collect::<Vec<_>>().join(", ")
    }

    fn digest(&self, at: Point, node: u64) -> Option<&Bytes> {
        self.said.get(&at)?.get(&node)?.digest.as_ref()
    }

    /// Whether a node may yet come to a point: it has neither spoken of it nor of anything later.
    fn will_say(&self, at: Point, node: u64) -> bool {
        let (size, what) = at;
        let newest = self.newest.get(&(node, what)).copied();
        newest.is_none_or(|newest| newest < size)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is asked of a peer: its marks above a size, once it has applied an index, or after a short wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MarksQuestion {
    pub(crate) above: u64,
    pub(crate) index: u64,
}

impl Body for MarksQuestion {
    fn encode(&self, to: &mut BytesMut) {
        to.put_u64(self.above);
        to.put_u64(self.index);
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        Ok(Self {
            above: take_u64(from)?,
            index: take_u64(from)?,
        })
    }
}

/// Most marks in one answer.
const MARKS_MAX: usize = 2 * SEALS_MAX + CONTENTS_MAX;

/// A peer's marks: `count u32`, and of each `what u8 | size u64 | index u64 | length u8, 0 for unknown | digest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarksAnswer(pub(crate) Vec<Mark>);

impl Body for MarksAnswer {
    fn encode(&self, to: &mut BytesMut) {
        let marks = &self.0[..self.0.len().min(MARKS_MAX)];
        to.put_u32(u32::try_from(marks.len()).unwrap_or(u32::MAX));
        for mark in marks {
            to.put_u8(match mark.what {
                Compared::Root => 0,
                Compared::Writes => 1,
                Compared::Content => 2,
            });
            to.put_u64(mark.size);
            to.put_u64(mark.index);
            let digest = mark.digest.as_deref().unwrap_or_default();
            to.put_u8(u8::try_from(digest.len()).unwrap_or(0));
            to.put_slice(digest);
        }
    }

    fn decode(from: &mut Bytes) -> Result<Self, Undecodable> {
        let count = take_u32(from)? as usize;
        if count > MARKS_MAX {
            return Err(Undecodable("marks: too many"));
        }
        let mut marks = Vec::with_capacity(count);
        for _ in 0..count {
            let what = match take_u8(from)? {
                0 => Compared::Root,
                1 => Compared::Writes,
                2 => Compared::Content,
                _ => return Err(Undecodable("marks: kind")),
            };
            let (size, index) = (take_u64(from)?, take_u64(from)?);
            let length = usize::from(take_u8(from)?);
            if length > DIGEST_SIZE_MAX || length > from.len() {
                return Err(Undecodable("marks: digest"));
            }
            // Copied, or a kept digest would keep the whole frame.
            let digest = Bytes::copy_from_slice(&from.split_to(length));
            marks.push(Mark {
                what,
                size,
                index,
                digest: Some(digest).filter(|digest| !digest.is_empty()),
            });
        }
        Ok(Self(marks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 10;
    const AT: Point = (SIZE, Compared::Writes);

    fn mark(what: Compared, size: u64, digest: Option<&'static str>) -> Mark {
        Mark {
            what,
            size,
            index: size.saturating_add(100),
            digest: digest.map(|text| Bytes::from_static(text.as_bytes())),
        }
    }

    /// What a voter says that a letter stands for: a digest, `?` unknown, `.` has not come so far, `>` is past it and never
    /// spoke of it.
    fn said(letter: char) -> Mark {
        match letter {
            '.' => mark(Compared::Writes, SIZE - 1, Some("x")),
            '>' => mark(Compared::Writes, SIZE + 1, Some("x")),
            '?' => mark(Compared::Writes, SIZE, None),
            'a' => mark(Compared::Writes, SIZE, Some("a")),
            'b' => mark(Compared::Writes, SIZE, Some("b")),
            _ => mark(Compared::Writes, SIZE, Some("c")),
        }
    }

    /// What the first of these voters makes of what all of them say.
    fn check(letters: &str, expected: Verdict) {
        let mut ballots = Ballots::new(1);
        let voters: BTreeSet<u64> = (1..=letters.len() as u64).collect();
        for (node, letter) in voters.iter().zip(letters.chars()) {
            match node {
                1 => ballots.hear_own(&[said(letter)]),
                other => ballots.hear(*other, &[said(letter)]),
            }
        }
        assert_eq!(ballots.verdict(AT, &voters), expected, "{letters}");
    }

    #[test]
    fn a_majority_is_one_of_all_voters() {
        for (letters, expected) in [
            ("a", Verdict::Agreed),
            ("aaa", Verdict::Agreed),
            ("aab", Verdict::Agreed),
            ("aa.", Verdict::Agreed),
            ("abb", Verdict::Minority),
            ("abbbc", Verdict::Minority),
            ("aabbb", Verdict::Minority),
            ("abc", Verdict::NoMajority),
            ("ab", Verdict::NoMajority),
            ("aabb", Verdict::NoMajority),
            ("aabbc", Verdict::NoMajority),
        ] {
            check(letters, expected);
        }
    }

    #[test]
    fn unknown_counts_for_nobody_and_condemns_nobody() {
        for (letters, expected) in [
            ("ab?", Verdict::Differing),
            ("ab>", Verdict::Differing),
            ("ab.", Verdict::Differing),
            ("abb?.", Verdict::Differing),
            ("abb??", Verdict::Differing),
            ("abc?", Verdict::Differing),
            ("abbb?", Verdict::Minority),
            ("aaab?", Verdict::Agreed),
            ("a??", Verdict::Open),
            ("a..", Verdict::Open),
            ("?bb", Verdict::Open),
        ] {
            check(letters, expected);
        }
    }

    #[test]
    fn a_content_that_a_majority_has_settles_what_was_written_before_it() {
        let voters = BTreeSet::from([1, 2, 3]);
        let content = |size, text| [mark(Compared::Content, size, Some(text))];
        let mut ballots = Ballots::new(1);
        ballots.hear_own(&[said('a')]);
        ballots.hear(2, &[said('?')]);
        assert_eq!(ballots.unsettled(&voters), None, "nobody differs");
        ballots.hear(3, &[said('b')]);
        assert_eq!(ballots.unsettled(&voters), Some(AT));
        // One of before says nothing of it.
        ballots.hear_own(&content(SIZE - 1, "x"));
        ballots.hear(2, &content(SIZE - 1, "x"));
        assert_eq!(ballots.unsettled(&voters), Some(AT));
        ballots.hear_own(&content(SIZE, "x"));
        ballots.hear(3, &content(SIZE, "y"));
        assert_eq!(ballots.unsettled(&voters), Some(AT), "one against one");
        let whole = (SIZE, Compared::Content);
        assert_eq!(ballots.verdict(whole, &voters), Verdict::Differing);
        let mut lost = ballots.clone();
        ballots.hear(2, &content(SIZE, "x"));
        assert_eq!(ballots.verdict(whole, &voters), Verdict::Agreed);
        assert_eq!(ballots.unsettled(&voters), None);
        lost.hear(2, &content(SIZE, "y"));
        assert_eq!(lost.verdict(whole, &voters), Verdict::Minority);
        lost.hear(2, &content(SIZE, "z"));
        assert_eq!(lost.verdict(whole, &voters), Verdict::NoMajority);
    }

    /// The digest of writes is of all writes, so the next seal tells of this one too.
    #[test]
    fn a_later_seal_settles_what_a_voter_does_not_know_any_more() {
        let voters = BTreeSet::from([1, 2, 3]);
        let next = |text| [mark(Compared::Writes, SIZE + 1, Some(text))];
        for (own, said_next, verdict) in
            [('a', "x", Verdict::Agreed), ('b', "y", Verdict::Minority)]
        {
            let mut ballots = Ballots::new(1);
            ballots.hear_own(&[said(own)]);
            ballots.hear(2, &[said('?')]);
            ballots.hear(3, &[said(if own == 'a' { 'b' } else { 'a' })]);
            assert_eq!(ballots.unsettled(&voters), Some(AT));
            ballots.hear_own(&next(said_next));
            ballots.hear(2, &next("x"));
            if own == 'b' {
                assert_eq!(ballots.unsettled(&voters), Some(AT), "one against one");
                ballots.hear(3, &next("x"));
            } else {
                assert_eq!(ballots.unsettled(&voters), None);
                ballots.hear(3, &next("y"));
                assert_eq!(ballots.unsettled(&voters), None);
            }
            let at = (SIZE + 1, Compared::Writes);
            assert_eq!(ballots.verdict(at, &voters), verdict);
        }
    }

    #[test]
    fn who_has_no_vote_is_judged_by_the_voters_and_stops_for_none_of_their_quarrels() {
        let voters = BTreeSet::from([1, 2, 3]);
        let judged = |letters: &str| {
            let mut ballots = Ballots::new(4);
            ballots.hear_own(&[said('a')]);
            for (voter, letter) in voters.iter().zip(letters.chars()) {
                ballots.hear(*voter, &[said(letter)]);
            }
            ballots.verdict(AT, &voters)
        };
        assert_eq!(judged("aab"), Verdict::Agreed);
        assert_eq!(judged("abb"), Verdict::Minority);
        assert_eq!(judged("abc"), Verdict::Open);
    }

    #[test]
    fn what_was_once_known_is_not_forgotten_for_an_unknown() {
        let mut ballots = Ballots::new(1);
        let voters = BTreeSet::from([1, 2, 3]);
        ballots.hear_own(&[said('a')]);
        ballots.hear(2, &[said('a')]);
        ballots.hear(2, &[said('?')]);
        assert_eq!(ballots.verdict(AT, &voters), Verdict::Agreed);
        assert_eq!(ballots.agreeing(AT, &voters), [1, 2]);
    }

    #[test]
    fn a_voter_is_asked_while_its_word_could_matter() {
        let voters = BTreeSet::from([1, 2, 3]);
        let mut ballots = Ballots::new(1);
        assert_eq!(ballots.waiting(&voters), None);
        ballots.hear_own(&[said('a')]);
        assert_eq!(ballots.waiting(&voters), Some(SIZE));
        ballots.hear(2, &[said('?')]);
        assert_eq!(ballots.waiting(&voters), Some(SIZE));
        ballots.hear(3, &[said('>')]);
        assert_eq!(ballots.waiting(&voters), None, "nobody has anything to say");
        let mut ballots = Ballots::new(1);
        ballots.hear_own(&[said('a')]);
        ballots.hear(2, &[said('a')]);
        assert_eq!(ballots.waiting(&voters), None, "a majority agrees");
    }

    #[test]
    fn nobody_can_fill_the_memory_of_another() {
        let mut ballots = Ballots::new(1);
        for size in 1..=10_000 {
            ballots.hear_own(&[
                mark(Compared::Root, size, Some("a")),
                mark(Compared::Content, size, Some("a")),
            ]);
            ballots.hear(2, &[mark(Compared::Root, 1_000_000 + size, Some("b"))]);
        }
        assert_eq!(ballots.said.len(), SEALS_MAX + CONTENTS_MAX);
        assert_eq!(ballots.newest.len(), 3);
    }

    #[test]
    fn marks_have_one_form_on_the_wire_and_nothing_else_is_read() {
        let marks = MarksAnswer(vec![
            mark(Compared::Root, 7, Some("r")),
            mark(Compared::Writes, 7, None),
            mark(Compared::Content, u64::MAX, Some("c")),
        ]);
        let bytes = marks.to_body();
        assert_eq!(MarksAnswer::from_body(bytes.clone()), Ok(marks));
        for length in 0..bytes.len() {
            assert!(
                MarksAnswer::from_body(bytes.slice(..length)).is_err(),
                "{length}"
            );
        }
        let refused = |bytes: &[u8]| MarksAnswer::from_body(Bytes::copy_from_slice(bytes)).is_err();
        let too_many = [&u32::MAX.to_be_bytes()[..], &bytes[4..]].concat();
        assert!(refused(&too_many));
        let one = |what: u8, length: u8| {
            let mut body = vec![0, 0, 0, 1, what];
            body.extend([0; 16]);
            body.push(length);
            body.extend(vec![1; usize::from(length)]);
            body
        };
        assert!(!refused(&one(2, 32)));
        assert!(refused(&one(3, 32)), "no such kind");
        assert!(refused(&one(2, 33)), "a longer digest than there is");
    }
}
