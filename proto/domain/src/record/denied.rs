//! Certificates that a registry refuses though their time is not over: its deny-list.
//!
//! Values only. What revoking takes is in `rules::decide::denied`; nothing here reads a certificate: whoever does names it by its
//! [`Mark`]s and its [`Bearer`], and asks [`DenyList::refuses`].

use std::collections::BTreeSet;
use std::fmt;

use crate::bytes::code::Prefix;
use crate::bytes::digest::{Digest, sha256};
use crate::bytes::encoding::Canonical;
use crate::bytes::time::TimeMs;
use crate::limits::{
    CERTIFICATE_SERIAL_BYTES_MAX, FORGOTTEN_AFTER, Index, List, Maybe, Name, PROPOSALS_MAX,
    REVOKED_MAX, Sequence,
};
use crate::record::Actor;
use crate::record::offices::makes_way;

/// By what a certificate is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// By its issuer and the number that it gave the certificate.
    Serial {
        /// SHA-256 of the issuer's distinguished name, DER.
        issuer: Digest,
        /// The number, big-endian, from the left filled up with zeros.
        serial: [u8; CERTIFICATE_SERIAL_BYTES_MAX],
    },
    /// By its key: every certificate of that key.
    Key {
        /// SHA-256 of the subject public key info, DER.
        key: Digest,
    },
}
crate::canonical_variants!(Mark { 1 => Serial { issuer, serial }, 2 => Key { key } });

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { issuer, serial } => {
                write!(f, "serial/{issuer}/")?;
                serial.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Key { key } => write!(f, "key/{key}"),
        }
    }
}

/// Whose a certificate is. An entry refuses only certificates of this bearer, so that it cannot say one thing and do another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bearer {
    /// A person or desk that is no admin.
    Client {
        /// The name in the certificate.
        name: String,
    },
    /// An admin, on the client plane and on that of admins.
    Admin {
        /// To whose people it belongs, such as `registrar/hq`.
        office: String,
        /// The person; keys of the same person sign for them.
        person: String,
    },
    /// A node of this registry.
    Node {
        /// Its number.
        node: u64,
    },
    /// A node of another registry.
    Peer {
        /// Of which.
        prefix: Prefix,
        /// Its number there.
        node: u64,
    },
}
crate::canonical_variants!(Bearer {
    1 => Client { name: Name },
    2 => Admin { office: Name, person: Name },
    3 => Node { node },
    4 => Peer { prefix, node },
});

impl Bearer {
    /// Whether it takes two admins to revoke or give back a certificate of theirs.
    pub fn takes_two(&self) -> bool {
        !matches!(self, Self::Client { .. })
    }
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { name } => f.write_str(name),
            Self::Admin { office, person } => write!(f, "admin/{office}/{person}"),
            Self::Node { node } => write!(f, "node/{node}"),
            Self::Peer { prefix, node } => write!(f, "peer/{prefix}/{node}"),
        }
    }
}

/// Which certificate: the same mark with another bearer is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Certificate {
    /// By what it is known.
    pub mark: Mark,
    /// Whose it is.
    pub bearer: Bearer,
}
crate::canonical_struct!(Certificate { mark, bearer });

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.mark, self.bearer)
    }
}

impl Certificate {
    /// Under what its leaves stand. A digest: of texts, the name of a client can be another bearer's.
    pub fn subject_name(&self) -> String {
        format!("certificate/{}", sha256(&[&self.to_bytes()]))
    }
}

/// What is said of a certificate that is to be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub certificate: Certificate,
    /// Its last instant: the entry makes way then.
    pub not_after: TimeMs,
    /// The key of the certificate with which its bearer goes on, if there is one: SHA-256 of its subject public key info, DER.
    pub instead: Option<Digest>,
}
crate::canonical_struct!(Refused {
    certificate,
    not_after,
    instead
});

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// By which mark, of whom, and until when it would have been good.
    pub refused: Refused,
    /// Why.
    pub reason: String,
    /// When, by log time.
    pub at: TimeMs,
    /// Who revoked it, or said so first.
    pub by: Actor,
    /// Who confirmed it, where it took two.
    pub second: Option<Actor>,
}
crate::canonical_struct!(Revocation {
    refused,
    reason: Name,
    at,
    by,
    second
});

/// What one admin asked for and another confirms by giving the same command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// It is refused from then on.
    Revoke {
        /// What.
        refused: Refused,
    },
    /// It is not refused any more.
    Unrevoke {
        /// Which.
        certificate: Certificate,
    },
}
crate::canonical_variants!(Wanted { 1 => Revoke { refused }, 2 => Unrevoke { certificate } });

impl fmt::Display for Wanted {
    /// What happens, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoke { refused } => {
                let (certificate, goes_on) = (&refused.certificate, refused.instead.is_some());
                let rest = match goes_on {
                    true => "its bearer goes on with another",
                    false => "its bearer has no other",
                };
                write!(
                    f,
                    "the certificate {certificate} is refused on every plane, open connections included; {rest}"
                )
            }
            Self::Unrevoke { certificate } => {
                write!(f, "the certificate {certificate} is refused no more")
            }
        }
    }
}

impl Wanted {
    /// The certificate that it is about.
    pub fn certificate(&self) -> &Certificate {
        match self {
            Self::Revoke { refused } => &refused.certificate,
            Self::Unrevoke { certificate } => certificate,
        }
    }
}

/// What of a certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// That it be refused.
    Revoke,
    /// That it be refused no more.
    Unrevoke,
}

/// The first of two words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number: the index of the leaf that says it was asked for.
    pub number: u64,
    /// Why.
    pub reason: String,
    /// What is asked for.
    pub wanted: Wanted,
    /// By whom.
    pub by: Actor,
    /// It expires then.
    pub until: TimeMs,
    /// How often the roots had moved log time: moved since, what has expired stays expired.
    pub clock: u64,
    /// The number of the proposal before it, of whatever kind, ended or not.
    pub before: Option<u64>,
}
crate::canonical_struct!(Waiting {
    number: Index,
    reason: Name,
    wanted,
    by,
    until,
    clock: Sequence,
    before: Maybe<Index>
});

/// The deny-list of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DenyList {
    /// What is refused, the oldest first; a certificate once.
    pub entries: Vec<Revocation>,
    /// First words, oldest first.
    pub waiting: Vec<Waiting>,
}
crate::canonical_struct!(DenyList @ 1 {
    entries: List<REVOKED_MAX>,
    waiting: List<PROPOSALS_MAX>,
});

impl DenyList {
    /// Forgets what is long past. Not at once: log time that ran ahead is set back by the roots, and a certificate that was
    /// forgotten would be good again until its end.
    pub fn forget(&mut self, now: TimeMs) {
        let past = |end: TimeMs| end.saturating_add(FORGOTTEN_AFTER) < now; // saturates: the last instant is never past
        self.entries.retain(|one| !past(one.refused.not_after));
        self.waiting.retain(|one| now <= one.until);
    }

    /// Forgets what has expired, where its place is needed.
    pub fn make_room(&mut self, now: TimeMs) {
        self.entries.retain(|one| now <= one.refused.not_after);
    }

    /// The entry of a certificate.
    pub fn entry(&self, certificate: &Certificate) -> Option<&Revocation> {
        let mut entries = self.entries.iter();
        entries.find(|one| one.refused.certificate == *certificate)
    }

    /// The first of two words that asks for this.
    pub fn first(&self, wanted: &Wanted) -> Option<&Waiting> {
        self.waiting.iter().find(|one| one.wanted == *wanted)
    }

    /// What is asked for under a number, expired or not.
    pub fn numbered(&self, number: u64) -> Option<&Waiting> {
        self.waiting.iter().find(|one| one.number == number)
    }

    /// Ends what is asked for under a number.
    pub fn close(&mut self, number: u64) {
        self.waiting.retain(|one| one.number != number);
    }

    /// The entry by which a certificate with these marks is refused to this bearer.
    pub fn refuses(&self, marks: &[Mark], bearer: &Bearer) -> Option<&Revocation> {
        let mut entries = self.entries.iter();
        entries.find(|one| {
            let certificate = &one.refused.certificate;
            certificate.bearer == *bearer && marks.contains(&certificate.mark)
        })
    }

    /// Nodes of this registry that go on with no certificate.
    pub fn nodes_out(&self) -> BTreeSet<u64> {
        let out = self
            .out()
            .filter_map(|refused| match refused.certificate.bearer {
                Bearer::Node { node } => Some(node),
                _ => None,
            });
        out.collect()
    }

    /// Admins, by office and person, who go on with no certificate.
    pub fn admins_out(&self) -> BTreeSet<(&str, &str)> {
        let out = self
            .out()
            .filter_map(|refused| match &refused.certificate.bearer {
                Bearer::Admin { office, person } => Some((office.as_str(), person.as_str())),
                _ => None,
            });
        out.collect()
    }

    /// What is refused with nothing in its place that stands.
    fn out(&self) -> impl Iterator<Item = &Refused> {
        let refused = self.entries.iter().map(|one| &one.refused);
        refused.filter(|refused| !self.goes_on(refused))
    }

    /// Whether the bearer of what is refused goes on: the key in its place is another one and not refused, or was replaced in its
    /// turn.
    fn goes_on(&self, refused: &Refused) -> bool {
        let bearer = &refused.certificate.bearer;
        let (mut mark, mut instead) = (refused.certificate.mark, refused.instead);
        // Each step is to another entry; a circle ends nowhere.
        for _ in 0..=self.entries.len() {
            let Some(key) = instead else {
                return false;
            };
            let next = Mark::Key { key };
            if next == mark {
                return false;
            }
            match self.refuses(&[next], bearer) {
                None => return true,
                Some(entry) => (mark, instead) = (next, entry.refused.instead),
            }
        }
        false
    }

    /// How many entries took one admin.
    pub fn count_by_one(&self) -> usize {
        let entries = self.entries.iter();
        let by_one = entries.filter(|one| !one.refused.certificate.bearer.takes_two());
        by_one.count()
    }

    /// Takes an entry up, in place of an older one of the same certificate, and settles what was asked of it.
    pub fn revoke(&mut self, revocation: Revocation) {
        self.unrevoke(&revocation.refused.certificate);
        self.entries.push(revocation);
    }

    /// Takes the entry of a certificate out, and settles what was asked of it.
    pub fn unrevoke(&mut self, certificate: &Certificate) {
        self.entries
            .retain(|one| one.refused.certificate != *certificate);
        self.waiting
            .retain(|one| one.wanted.certificate() != certificate);
    }

    /// Takes the first of two words up. Where there is no room, the oldest makes way of whoever has the most there.
    pub fn ask(&mut self, waiting: Waiting) {
        self.waiting.retain(|one| one.wanted != waiting.wanted);
        self.waiting.push(waiting);
        while self.waiting.len() > PROPOSALS_MAX {
            let persons = self.waiting.iter().map(|one| one.by.person.as_str());
            let oldest = makes_way(&persons.collect::<Vec<_>>());
            self.waiting.remove(oldest);
        }
    }

    /// Takes back what one person asked of a certificate: that it be refused, or that it be refused no more. Whether there was
    /// anything.
    pub fn withdraw(&mut self, certificate: &Certificate, person: &str, asked: Asked) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|one| {
            let what = match one.wanted {
                Wanted::Revoke { .. } => Asked::Revoke,
                Wanted::Unrevoke { .. } => Asked::Unrevoke,
            };
            let is_its = one.wanted.certificate() == certificate && one.by.person == person;
            !(is_its && what == asked)
        });
        self.waiting.len() != before
    }
}
