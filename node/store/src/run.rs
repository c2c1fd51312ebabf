//! What is read of a run of records before they are applied one by one: the entries, and their signatures, checked together.
//!
//! Nothing here decides anything. A signature that is not found good here is checked again where it is needed, alone and by
//! the same rule.

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, BTreeSet};

use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Canonical, DecodeError};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::signature::KeyId;
use carnet_domain::bytes::together::Together;
use carnet_domain::log::authority::{SignedHeader, add_header};
use carnet_domain::machine::entry::{Body, Entry, Request};
use carnet_domain::machine::signature_digest;
use carnet_domain::record::party::Signer;

use crate::engine::KvRead;
use crate::fault::StorageFault;
use crate::machine::{LogRecord, Payload};
use crate::overlay::Verified;
use crate::records::Records;

/// The largest entry that is read ahead, bytes. Larger ones hold many items under one signature: checking it together with
/// others saves nothing, and reading them ahead would hold all of them in memory.
const AHEAD_BYTES_MAX: usize = 16 << 10;
/// Fewer signatures than this are as fast singly.
const TOGETHER_COUNT_MIN: usize = 4;

/// An entry read at the level that a run begins with; `None` where it is read in its turn.
pub(crate) type Ahead = Option<Result<Entry, DecodeError>>;

/// What this node verified before, and what it found good in this run.
pub(crate) struct Known<'a> {
    before: &'a dyn Verified,
    here: BTreeSet<Digest>,
}

impl Verified for Known<'_> {
    fn knows(&self, what: &Digest) -> bool {
        self.here.contains(what) || self.before.knows(what)
    }
}

/// Reads ahead. The entries are as many as the records.
pub(crate) fn read<'a>(
    base: &dyn KvRead,
    before: &'a dyn Verified,
    level: Level,
    records: &[LogRecord],
) -> Result<(Vec<Ahead>, Known<'a>), StorageFault> {
    let ahead = |record: &LogRecord| match &record.payload {
        Payload::Entry(bytes) if bytes.len() <= AHEAD_BYTES_MAX => {
            Some(Entry::from_bytes_at(bytes, level))
        }
        _ => None,
    };
    let here = BTreeSet::new();
    let mut known = Known { before, here };
    if records.len() < TOGETHER_COUNT_MIN {
        return Ok((records.iter().map(|_| None).collect(), known));
    }
    let entries: Vec<Ahead> = records.iter().map(ahead).collect();
    let requests = entries.iter().filter_map(|entry| match entry {
        Some(Ok(Entry {
            body: Body::Actor { request, .. },
            ..
        })) => Some(request),
        _ => None,
    });
    let (together, digests) = collect(base, before, level, requests)?;
    if together.len() >= TOGETHER_COUNT_MIN && together.hold() {
        known.here = digests;
    }
    Ok((entries, known))
}

/// The signatures of these requests that are not known yet, of signers that stood before the run.
fn collect<'a>(
    base: &dyn KvRead,
    before: &dyn Verified,
    level: Level,
    requests: impl Iterator<Item = &'a Request>,
) -> Result<(Together, BTreeSet<Digest>), StorageFault> {
    let mut signers = BTreeMap::<KeyId, Option<Signer>>::new();
    let (mut together, mut digests) = (Together::default(), BTreeSet::new());
    for request in requests {
        let Ok(header) = SignedHeader::from_bytes_at(&request.header.0, level) else {
            continue;
        };
        let signer = match signers.entry(header.key) {
            Place::Occupied(known) => known.into_mut(),
            Place::Vacant(place) => place.insert(Records(base).signer(&header.key)?),
        };
        let Some(signer) = signer else {
            continue;
        };
        let digest = sha256(&[&request.header.0, &request.signature.0]);
        let digest = signature_digest(signer, &digest);
        if !before.knows(&digest) && digests.insert(digest) {
            let (header, key) = (&request.header.0, &signer.public);
            add_header(&mut together, header, &request.signature, key);
        }
    }
    Ok((together, digests))
}
