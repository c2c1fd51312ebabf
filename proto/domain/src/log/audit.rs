//! The chain that a node keeps of who read and did what on it: one line a record, each naming the hash of the one before.
//!
//! ```text
//! <number> <previous hash> <hash> <text>\n
//! hash = SHA-256("carnet/audit/v1\0" ‖ previous hash ‖ number as 8 bytes ‖ text)
//! ```
//! Numbers begin with 1 and have no gap; the record before the first has the hash of zeroes. The text is one JSON object; what is
//! in it is no matter of the chain. A node may have let go of its oldest records: a chain is good from wherever it begins, and
//! whoever kept a number and its hash can tell whether it still goes on from there.

use crate::bytes::digest::{Digest, sha256};
use crate::limits::Index;

const TAG: &[u8] = b"carnet/audit/v1\0";

/// A place in a chain: the record of this number has this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditHead {
    /// Number of the record; 0: before the first.
    pub number: u64,
    /// Of that record, which the next one names; zero bytes before the first.
    pub hash: Digest,
}
crate::canonical_struct!(AuditHead {
    number: Index,
    hash
});

/// One record of a chain that was followed up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// The place that it has.
    pub head: AuditHead,
    /// One JSON object.
    pub text: String,
}

/// Why a line does not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditBreak {
    /// It is not of this format.
    #[error("after record {after}: not a record of an audit chain")]
    Malformed {
        /// The last good one.
        after: u64,
    },
    /// A record is missing, or stands twice.
    #[error("record {found} where {expected} was expected")]
    Gap {
        /// The number that should follow.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// It does not name the record before it.
    #[error("record {number} does not follow the one before it")]
    Previous {
        /// By its place in the chain, from 1.
        number: u64,
    },
    /// Its hash is not that of what it says.
    #[error("record {number} was changed")]
    Changed {
        /// By its place in the chain, from 1.
        number: u64,
    },
    /// Neither the record of a place that was kept is there, nor the one behind it, which names it.
    #[error(
        "record {number}, which was seen before, is gone, and so is the one behind it: let go of by its size, or cut off"
    )]
    Gone {
        /// The number that was kept.
        number: u64,
    },
    /// A place that was kept is not in the chain.
    #[error("record {number} is not the one that was seen before: the chain was written anew")]
    Other {
        /// The number that was kept.
        number: u64,
    },
}

fn hash(previous: &Digest, number: u64, text: &str) -> Digest {
    let number = number.to_be_bytes();
    sha256(&[TAG, &previous.0, &number, text.as_bytes()])
}

fn beginning(number: u64, previous: &Digest, hash: &Digest) -> String {
    format!("{number} {previous} {hash} ")
}

/// The line of the record after `head`, and the place that it has. None after 2^64 records.
#[must_use]
pub fn next_line(head: &AuditHead, text: &str) -> Option<(String, AuditHead)> {
    let number = head.number.checked_add(1)?;
    // A break within a record would make two of it.
    let text = text.replace(['\n', '\r'], " ");
    let hash = hash(&head.hash, number, &text);
    let line = format!("{}{text}\n", beginning(number, &head.hash, &hash));
    Some((line, AuditHead { number, hash }))
}

/// Follows a chain line by line.
#[derive(Debug, Clone, Default)]
pub struct AuditWalk {
    head: Option<AuditHead>,
    /// Places that were kept, and whether the chain went through each.
    kept: Vec<(AuditHead, bool)>,
}

impl AuditWalk {
    /// From wherever the first line stands.
    #[must_use]
    pub fn anywhere() -> Self {
        Self::default()
    }

    /// The same, and the record of a place that was kept must be the one that it was, if the chain still has it.
    #[must_use]
    pub fn through(kept: AuditHead) -> Self {
        Self::anywhere().and_through(kept)
    }

    /// As well through another place that was kept; one before the first record is no place.
    #[must_use]
    pub fn and_through(mut self, kept: AuditHead) -> Self {
        if kept.number > 0 {
            self.kept.push((kept, false));
        }
        self
    }

    /// As well through an earlier place, if the chain reaches back to it: that it let go of it joins it no less to a later one.
    #[must_use]
    pub fn and_past(mut self, earlier: AuditHead) -> Self {
        if earlier.number > 0 {
            self.kept.push((earlier, true));
        }
        self
    }

    /// The line after `head`.
    #[must_use]
    pub fn after(head: AuditHead) -> Self {
        Self {
            head: Some(head),
            kept: Vec::new(),
        }
    }

    /// Where it stands; none before the first line.
    #[must_use]
    pub fn head(&self) -> Option<AuditHead> {
        self.head
    }

    /// The next line, without its break.
    ///
    /// # Errors
    /// It does not follow; the walk stands where it stood.
    pub fn take(&mut self, line: &str) -> Result<AuditRecord, AuditBreak> {
        let before = self.head;
        let after = before.map_or(0, |head| head.number);
        let malformed = || AuditBreak::Malformed { after };
        let mut parts = line.splitn(4, ' ');
        let mut part = || parts.next().ok_or_else(malformed);
        let number: u64 = part()?.parse().map_err(|_| malformed())?;
        let previous = Digest::parse(part()?).map_err(|_| malformed())?;
        let claimed = Digest::parse(part()?).map_err(|_| malformed())?;
        let text = part()?;
        // One record has one line: no other digits for the same numbers.
        if !line.starts_with(&beginning(number, &previous, &claimed)) {
            return Err(malformed());
        }
        let starts = AuditHead {
            number: number.checked_sub(1).ok_or_else(malformed)?,
            hash: previous,
        };
        if let Some(head) = before {
            if head.number != starts.number {
                return Err(AuditBreak::Gap {
                    expected: head.number.checked_add(1).ok_or_else(malformed)?,
                    found: number,
                });
            }
            if head.hash != previous {
                return Err(AuditBreak::Previous { number });
            }
        } else if starts.number == 0 && starts.hash != Digest::ZERO {
            return Err(AuditBreak::Previous { number });
        }
        if hash(&previous, number, text) != claimed {
            return Err(AuditBreak::Changed { number });
        }
        let head = AuditHead {
            number,
            hash: claimed,
        };
        // A chain that begins just behind the place still names it.
        for place in [starts, head] {
            for (kept, met) in &mut self.kept {
                if *kept == place {
                    *met = true;
                } else if kept.number == place.number {
                    return Err(AuditBreak::Other {
                        number: place.number,
                    });
                }
            }
        }
        self.head = Some(head);
        Ok(AuditRecord {
            head,
            text: text.to_owned(),
        })
    }

    /// Ends the walk: a chain that ends before the place that was kept has lost its end, and one that begins behind it is joined to
    /// nothing that was seen.
    ///
    /// # Errors
    /// It has.
    pub fn end(self) -> Result<Option<AuditHead>, AuditBreak> {
        let reached = self.head.map_or(0, |head| head.number);
        let cut = self.kept.iter().find(|(kept, _)| kept.number > reached);
        if let Some((kept, _)) = cut {
            let number = kept.number;
            return Err(AuditBreak::Other { number });
        }
        match self.kept.iter().find(|(_, met)| !met) {
            Some((kept, _)) => Err(AuditBreak::Gone {
                number: kept.number,
            }),
            None => Ok(self.head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(texts: &[&str]) -> Vec<String> {
        let mut head = AuditHead::default();
        let mut lines = Vec::new();
        for text in texts {
            let (line, next) = next_line(&head, text).expect("not the last number");
            lines.push(line.trim_end_matches('\n').to_owned());
            head = next;
        }
        lines
    }

    fn walk(mut walk: AuditWalk, lines: &[String]) -> String {
        for line in lines {
            if let Err(broken) = walk.take(line) {
                return broken.to_string();
            }
        }
        match walk.end() {
            Ok(head) => head.map_or("nothing".into(), |head| format!("ends at {}", head.number)),
            Err(broken) => broken.to_string(),
        }
    }

    #[test]
    fn whatever_is_changed_in_a_chain_is_found() {
        let whole = chain(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "{\"d\":4}"]);
        let anywhere = AuditWalk::anywhere;
        assert_eq!(walk(anywhere(), &whole), "ends at 4");
        assert_eq!(walk(anywhere(), &whole[2..]), "ends at 4");
        assert_eq!(walk(anywhere(), &[]), "nothing");
        // Every byte of every line.
        for at in 0..whole.len() {
            for byte in 0..whole[at].len() {
                let mut changed = whole.clone();
                let mut bytes = changed[at].clone().into_bytes();
                bytes[byte] = if bytes[byte] == b'5' { b'6' } else { b'5' };
                changed[at] = String::from_utf8(bytes).expect("ASCII");
                assert!(
                    !walk(anywhere(), &changed).starts_with("ends"),
                    "{changed:?}"
                );
            }
        }
        let mut gap = whole.clone();
        gap.remove(1);
        assert_eq!(walk(anywhere(), &gap), "record 3 where 2 was expected");
        let mut twice = whole.clone();
        twice.insert(2, whole[1].clone());
        assert_eq!(walk(anywhere(), &twice), "record 2 where 3 was expected");
        let mut swapped = whole.clone();
        swapped.swap(1, 2);
        assert_eq!(walk(anywhere(), &swapped), "record 3 where 2 was expected");
        // A chain of another's, glued on.
        let other = chain(&["{}", "{}", "{}", "{}"]);
        let glued = [&whole[..2], &other[2..]].concat();
        assert_eq!(
            walk(anywhere(), &glued),
            "record 3 does not follow the one before it"
        );
    }

    /// What no look at the chain alone shows: it was written anew, or its end is gone.
    #[test]
    fn whoever_kept_a_place_sees_a_chain_that_was_written_anew_or_cut() {
        let whole = chain(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        let anew = chain(&["{\"a\":1}", "{\"b\":9}", "{\"c\":3}"]);
        let mut seen = AuditWalk::anywhere();
        for line in &whole[..2] {
            seen.take(line).expect("good");
        }
        let kept = seen.head().expect("two records");
        let through = || AuditWalk::through(kept);
        assert_eq!(walk(through(), &whole), "ends at 3");
        // The record itself was let go of; the one behind it still names it.
        assert_eq!(walk(through(), &whole[2..]), "ends at 3");
        let told = "record 2 is not the one that was seen before: the chain was written anew";
        assert_eq!(walk(through(), &anew), told);
        assert_eq!(walk(through(), &anew[2..]), told);
        assert_eq!(walk(through(), &whole[..1]), told);
        assert_eq!(walk(through(), &[]), told);
        // What begins two behind the place is joined to nothing that was seen, whole as it is.
        let longer = chain(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "{\"d\":4}"]);
        for behind in [&longer[3..], &chain(&["{}", "{}", "{}", "{}"])[3..]] {
            assert_eq!(
                walk(through(), behind),
                "record 2, which was seen before, is gone, and so is the one behind it: let go of by its size, or cut off"
            );
        }
        // An earlier place that the chain let go of is not missed; that it was another, or is cut off, is.
        let past = |place| AuditWalk::anywhere().and_past(place);
        assert_eq!(walk(past(kept), &longer[3..]), "ends at 4");
        assert_eq!(walk(past(kept), &whole), "ends at 3");
        assert_eq!(walk(past(kept), &anew), told);
        assert_eq!(walk(past(kept), &whole[..1]), told);
        // Of two places both count, and none is before the first record.
        let none = AuditHead::default();
        let more = AuditHead { number: 3, ..kept };
        assert_eq!(walk(through().and_through(none), &whole), "ends at 3");
        let told = "record 3 is not the one that was seen before: the chain was written anew";
        assert_eq!(walk(through().and_through(more), &whole), told);
        assert_eq!(walk(through().and_through(more), &whole[..2]), told);
        let short = AuditWalk::after(AuditHead::default());
        assert_eq!(walk(short, &whole[1..]), "record 2 where 1 was expected");
    }

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let lines = chain(&["{\"a\":\n\"b\"}\r\n7 7 7 {}"]);
        assert_eq!(lines[0].lines().count(), 1);
        assert_eq!(walk(AuditWalk::anywhere(), &lines), "ends at 1");
        let louder = lines[0].to_uppercase();
        let plus = format!("+{}", lines[0]);
        for noise in [
            louder.as_str(),
            plus.as_str(),
            "",
            " ",
            "1",
            "1 2 3 4",
            "-1 0 0 {}",
            "0 0 0 {}",
        ] {
            assert_eq!(
                walk(AuditWalk::anywhere(), &[noise.to_owned()]),
                "after record 0: not a record of an audit chain",
                "{noise:?}"
            );
        }
        let last = AuditHead {
            number: u64::MAX,
            hash: Digest::ZERO,
        };
        assert_eq!(next_line(&last, "{}"), None);
    }
}
