//! Every key of the state database, drawn and encoded in one place.
//!
//! ```text
//! meta        "applied", "membership"                       → as `applied` draws them
//!             "registry"                                    → Registry
//!             "skipped/" ‖ log index u64                    → Skipped
//!             "denied"                                      → DenyList
//!             "audited"                                     → AuditAnchors
//!             "written"                                     → digests of all writes, now and at the newest seal
//! robots      code 19                                       → Robot
//! index       'p' ‖ identity of body, part or robot key 32  → code 19
//!             'm' ‖ model id 12                             → how many robots of the model have a record, u64
//!             'e' ‖ SHA-256 of a maker 32                   → enterprise accredited last as that maker
//!             'a' ‖ code 19                                 → how the record of the robot speaks against it, if it does
//!             'f' ‖ model id 12                             → (empty): it is not approved
//!             'g' ‖ enterprise id 6                         → (empty): it is not active
//! enterprises enterprise id 6                               → Enterprise
//! models      model id 12                                   → Model
//! offices     key id 16                                     → Signer
//! recalls     'n' ‖ issuer 2 ‖ number                       → Recall
//!             'm' ‖ model id 12 ‖ issuer 2 ‖ number         → (empty)
//! transfers   't' ‖ transfer 16                             → Transfer
//!             'c' ‖ code 19                                 → LooseChain
//!             'o' ‖ peer 2 ‖ enterprise id 6                → how many robots it offers the peer that wait, u64
//!             'h' ‖ holder                                  → ToldBy: how much it had others told
//!             'd' ‖ rule u16 ‖ time u64 ‖ subject           → (empty): a deadline
//!             'u' ‖ about 32                                → Untold: what waits to be told of something
//!             'i' ‖ facet u8 ‖ value ‖ stage u8 ‖ since u64 ‖ transfer 16 → (empty): what a transfer is found under, see [`Facet`]
//! sessions    's' ‖ session u64                             → Session
//!             'u' ‖ SHA-256(subject) 32 ‖ session u64       → (empty)
//!             'a' ‖ session u64 ‖ place u32 ‖ item u32      → StoredAnswer
//! entries     leaf index u64                                → LeafRecord
//! envelopes   leaf index u64                                → envelope of the entry whose first leaf this is
//! heads       subject key 32 of a signing key or a peer     → Head of its newest leaf
//! tree        tile level u8 ‖ tile index u64                → up to 256 hashes of subtrees: see below
//! map         page path                                     → page
//! mailboxes   prefix 2 ‖ sequence u64                       → leaf index u64
//! peers       prefix 2                                      → Peer
//! inboxes     'p' ‖ peer 2 ‖ item u64                       → Parked
//!             'l' ‖ peer 2                                  → ParkedPlaces of the peer
//!             'r' ‖ subject 32                              → ParkedPlaces that wait for it
//! ended       'i' ‖ identity 32                             → Ends
//!             'c' ‖ peer 2 ‖ identity 32                    → Claim
//!             'n' ‖ peer 2                                  → how many claims of the peer were ever kept, u64
//!             'r' ‖ peer 2 ‖ place u32                      → identity 32 of the claim in that place of its ring
//! ```
//! Every value begins with a version byte. Numbers are big-endian, so that order is kept. `entries` and `envelopes` are
//! only ever appended to in the order of their keys: their files never overlap, so that compaction moves them down without
//! rewriting a byte.
//!
//! Tile `n` of level `L` holds the hashes of the complete subtrees of 256^L leaves from the one with index 256·n on, as
//! in C2SP tlog-tiles. Whatever lies between two such levels is computed.

use carnet_domain::bytes::code::{CODE_LEN, Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::Canonical as _;
use carnet_domain::bytes::signature::KeyId;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::due::{Due, DueSubject};
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{Holder, Maker, RecallId};
use carnet_domain::rules::command::TransferId;

/// Key of the registry in `meta`.
pub const REGISTRY: &[u8] = b"registry";

/// Key of the certificates that are refused in `meta`.
pub const DENIED: &[u8] = b"denied";

/// Key of where the nodes' chains of audit stood in `meta`.
pub const AUDITED: &[u8] = b"audited";

/// Key of the digests of writes in `meta`.
pub const WRITTEN: &[u8] = b"written";

/// What the keys of skipped log entries in `meta` begin with.
pub const SKIPPED: &[u8] = b"skipped/";

/// `meta`: a log entry that was skipped.
pub fn skipped(log_index: u64) -> Vec<u8> {
    join(&[SKIPPED, &log_index.to_be_bytes()])
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// `robots`, by code as one big-endian number: codes stand in their order.
pub fn robot(code: &Code) -> Vec<u8> {
    code.to_key().to_vec()
}

/// Bounds of the robots whose code begins with `text` (inclusive, inclusive).
pub fn robots_under(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let first = text.bytes().next();
    let fill = |text: &str, with: &str| {
        let full = format!("{text}{}", with.repeat(CODE_LEN.saturating_sub(text.len())));
        Code::parse(&full).ok().map(|code| code.to_key().to_vec())
    };
    let digits = first.is_some_and(|first| first.is_ascii_digit());
    // A country of letters has two of them.
    let low = match (first, text.len()) {
        (Some(_), 1) if !digits => fill(&format!("{text}A"), "0")?,
        _ => fill(text, "0")?,
    };
    Some((low, fill(text, if digits { "9" } else { "Z" })?))
}

/// The least key above a key.
pub fn next(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// `index`: which robot a body or part is fitted in.
pub fn part(identity: &Digest) -> Vec<u8> {
    join(&[b"p", &identity.0])
}

/// `index`: how many robots of a model have a record here.
pub fn count_of_model(model: &ModelId) -> Vec<u8> {
    join(&[b"m", model.as_str().as_bytes()])
}

/// `index`: the enterprise accredited last as a maker.
pub fn enterprise_of(maker: &Maker) -> Vec<u8> {
    join(&[b"e", &maker.digest().0])
}

/// `index`: how the record of a robot speaks against it.
pub fn against(code: &Code) -> Vec<u8> {
    join(&[AGAINST, &code.to_key()])
}

/// `index`: what the keys of [`against`] begin with.
pub const AGAINST: &[u8] = b"a";

/// `index`: a model that is not approved.
pub fn fallen_model(id: &ModelId) -> Vec<u8> {
    join(&[FALLEN_MODELS, id.as_str().as_bytes()])
}

/// `index`: what the keys of [`fallen_model`] begin with.
pub const FALLEN_MODELS: &[u8] = b"f";

/// `index`: an enterprise that is not active.
pub fn inactive(id: &EnterpriseId) -> Vec<u8> {
    join(&[INACTIVE, id.as_str().as_bytes()])
}

/// `index`: what the keys of [`inactive`] begin with.
pub const INACTIVE: &[u8] = b"g";

/// `enterprises`, by code as text.
pub fn enterprise(id: &EnterpriseId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

/// `models`, by code as text, which begins with that of the enterprise.
pub fn model(id: &ModelId) -> Vec<u8> {
    id.as_str().as_bytes().to_vec()
}

/// `offices`.
pub fn signer(id: &KeyId) -> Vec<u8> {
    id.0.to_vec()
}

/// `recalls`, by issuer and number.
pub fn recall(id: &RecallId) -> Vec<u8> {
    recall_named(&[id.issuer.as_str().as_bytes(), id.number.as_bytes()].concat())
}

/// `recalls`, by issuer and number as they end the keys of [`recall_of`].
pub fn recall_named(issuer_and_number: &[u8]) -> Vec<u8> {
    join(&[b"n", issuer_and_number])
}

/// `recalls`: what the keys of all recalls of models begin with whose id begins with a text.
pub fn recalls_under(text: &str) -> Vec<u8> {
    join(&[b"m", text.as_bytes()])
}

/// `recalls`: what the keys of all recalls of a model begin with.
pub fn recalls_of(model: &ModelId) -> Vec<u8> {
    join(&[b"m", model.as_str().as_bytes()])
}

/// `recalls` of a model.
pub fn recall_of(model: &ModelId, id: &RecallId) -> Vec<u8> {
    let (issuer, number) = (id.issuer.as_str(), id.number.as_bytes());
    join(&[&recalls_of(model), issuer.as_bytes(), number])
}

/// The model and the recall that a key of [`recall_of`] names.
pub fn recall_of_in(key: &[u8]) -> Option<(ModelId, RecallId)> {
    let text = std::str::from_utf8(key.strip_prefix(b"m")?).ok()?;
    let (model, rest) = text.split_at_checked(12)?;
    let (issuer, number) = rest.split_at_checked(2)?;
    let id = RecallId {
        issuer: Prefix::parse(issuer).ok()?,
        number: number.to_owned(),
    };
    Some((ModelId::parse(model).ok()?, id))
}

/// `transfers` by number.
pub fn transfer(id: &TransferId) -> Vec<u8> {
    join(&[b"t", &id.0])
}

/// `transfers`: custody of a robot without a record.
pub fn loose(code: &Code) -> Vec<u8> {
    join(&[LOOSE, &code.to_key()])
}

/// `transfers`: what the keys of [`loose`] begin with.
pub const LOOSE: &[u8] = b"c";

/// `transfers`: how many robots an enterprise offers a peer that wait.
pub fn offers_of(peer: &Prefix, enterprise: &EnterpriseId) -> Vec<u8> {
    let (peer, enterprise) = (peer.as_str(), enterprise.as_str());
    join(&[b"o", peer.as_bytes(), enterprise.as_bytes()])
}

/// `transfers`: what a holder of keys told peers.
pub fn told_by(holder: &Holder) -> Vec<u8> {
    join(&[b"h", &holder.to_bytes()])
}

/// `transfers`: what waits to be told of something.
pub fn untold(about: &Digest) -> Vec<u8> {
    join(&[b"u", &about.0])
}

/// `transfers`: what the keys of all deadlines of a rule before a time lie between (inclusive, exclusive).
pub fn due_before(rule: u16, before: TimeMs) -> (Vec<u8>, Vec<u8>) {
    let rule = rule.to_be_bytes();
    let from = join(&[b"d", &rule]);
    (from, join(&[b"d", &rule, &before.0.to_be_bytes()]))
}

/// `transfers`: a deadline.
pub fn due(due: &Due) -> Vec<u8> {
    let (rule, at) = (due.rule.to_be_bytes(), due.at.0.to_be_bytes());
    join(&[b"d", &rule, &at, &due.subject.to_bytes()])
}

/// The deadline of a key.
pub fn due_of(key: &[u8]) -> Option<Due> {
    let rest = key.strip_prefix(b"d")?;
    let (rule, rest) = rest.split_first_chunk()?;
    let (at, subject) = rest.split_first_chunk()?;
    Some(Due {
        rule: u16::from_be_bytes(*rule),
        at: TimeMs(u64::from_be_bytes(*at)),
        subject: DueSubject::from_bytes(subject).ok()?,
    })
}

/// What transfers are found under, each with the bytes of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Facet {
    /// All of them; no bytes.
    All = b'a',
    /// From where to where: 2 ‖ 2.
    Lane = b'l',
    /// An office of export or of entry, in small letters of ASCII: the first 16 bytes of its SHA-256.
    Office = b'o',
    /// The robot: 19.
    Robot = b'c',
    /// Its model: 12.
    Model = b'm',
    /// Which enterprise here declared it: 6.
    Declarant = b'd',
    /// The consignment: country of export 2 ‖ the first 16 bytes of the SHA-256 of its reference.
    Consignment = b'n',
}

/// Bytes of a name in an index that need not be read back.
const NAMED_LEN: usize = 16;

fn named(text: &str) -> Vec<u8> {
    let mut digest = sha256(&[text.as_bytes()]).0.to_vec();
    digest.truncate(NAMED_LEN);
    digest
}

/// The value of a facet for an office.
pub fn of_office(name: &str) -> Vec<u8> {
    named(&name.trim().to_ascii_lowercase())
}

/// The value of a facet for a lane.
pub fn of_lane(from: &Prefix, to: &Prefix) -> Vec<u8> {
    join(&[from.as_str().as_bytes(), to.as_str().as_bytes()])
}

/// The value of a facet for a consignment.
pub fn of_consignment(from: &Prefix, ucr: &str) -> Vec<u8> {
    join(&[from.as_str().as_bytes(), &named(ucr)])
}

/// `transfers`: what the keys of all transfers begin with that are found under a value.
pub fn found_under(facet: Facet, value: &[u8]) -> Vec<u8> {
    join(&[b"i", &[facet as u8], value])
}

/// `transfers`: every row of the index under which one transfer is found.
pub fn index_of(transfer: &Transfer) -> Vec<Vec<u8>> {
    let papers = &transfer.papers;
    let mut under = vec![
        found_under(Facet::All, b""),
        found_under(Facet::Lane, &of_lane(&transfer.from, &transfer.to)),
        found_under(Facet::Robot, &transfer.code.to_key()),
        found_under(Facet::Model, transfer.code.model_id().as_str().as_bytes()),
    ];
    let offices = [&papers.office_of_export, &papers.office_of_entry];
    for office in offices
        .into_iter()
        .filter(|office| !office.trim().is_empty())
    {
        under.push(found_under(Facet::Office, &of_office(office)));
    }
    if let Some(id) = &transfer.declared_by {
        under.push(found_under(Facet::Declarant, id.as_str().as_bytes()));
    }
    if !papers.ucr.is_empty() {
        let value = of_consignment(&transfer.from, &papers.ucr);
        under.push(found_under(Facet::Consignment, &value));
    }
    let stage = [transfer.stage().number() as u8];
    let since = transfer.stage_at().0.to_be_bytes();
    let rows = under.iter();
    let mut rows: Vec<_> = rows
        .map(|under| join(&[under, &stage, &since, &transfer.id.0]))
        .collect();
    // Both offices may be one.
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// Since when a transfer stands where it does, and which it is, by a row of the index.
pub fn index_row(key: &[u8]) -> Option<(TimeMs, TransferId)> {
    let (rest, id) = key.split_last_chunk()?;
    let (_, since) = rest.split_last_chunk()?;
    Some((TimeMs(u64::from_be_bytes(*since)), TransferId(*id)))
}

/// `sessions`, by number: they stand in the order in which they were opened.
pub fn session(id: u64) -> Vec<u8> {
    join(&[b"s", &id.to_be_bytes()])
}

/// `sessions` of a subject.
pub fn session_of(subject: &str, id: u64) -> Vec<u8> {
    join(&[b"u", &sha256(&[subject.as_bytes()]).0, &id.to_be_bytes()])
}

/// `sessions`: a stored answer, in its place of the session's ring.
pub fn answer(session: u64, place: u32, first_item: u32) -> Vec<u8> {
    join(&[
        b"a",
        &session.to_be_bytes(),
        &place.to_be_bytes(),
        &first_item.to_be_bytes(),
    ])
}

/// `sessions`: the bounds of all answers of a session (inclusive, exclusive).
pub fn answers(session: u64) -> (Vec<u8>, Vec<u8>) {
    let end = match session.checked_add(1) {
        Some(next) => join(&[b"a", &next.to_be_bytes()]),
        None => b"b".to_vec(),
    };
    (join(&[b"a", &session.to_be_bytes()]), end)
}

/// `entries`: a leaf.
pub fn leaf(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

/// `heads`: the newest leaf of a signing key or a peer.
pub fn head(key: &Digest) -> Vec<u8> {
    key.0.to_vec()
}

/// `envelopes`: the envelope of the entry whose first leaf is at `index`.
pub fn envelope(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

/// Levels of the tree between two levels of tiles: a tile has `2^8` places.
pub const TILE_LEVELS: u8 = 8;
/// Hashes in a full tile.
pub const TILE_COUNT: u64 = 1 << TILE_LEVELS;

/// `tree`: a tile.
pub fn tile(level: u8, index: u64) -> Vec<u8> {
    join(&[&[level], &index.to_be_bytes()])
}

/// Where the hashes under a complete subtree stand: level and index of their tile, the first of them in it, and how many.
/// `None` above any tree there can be.
pub fn hashes_under(level: u8, index: u64) -> Option<(u8, u64, usize, usize)> {
    let count = 1u64 << (level % TILE_LEVELS);
    let first = index.checked_mul(count)?;
    let (tile, place) = (first / TILE_COUNT, first % TILE_COUNT);
    let level = level / TILE_LEVELS;
    Some((level, tile, place as usize, count as usize))
}

/// `mailboxes`.
pub fn mail(peer: &Prefix, sequence: u64) -> Vec<u8> {
    join(&[peer.as_str().as_bytes(), &sequence.to_be_bytes()])
}

/// `inboxes`: an item of a peer's mailbox that waits.
pub fn parked(peer: &Prefix, item: u64) -> Vec<u8> {
    join(&[b"p", peer.as_str().as_bytes(), &item.to_be_bytes()])
}

/// `inboxes`: which items of a peer wait.
pub fn parked_of(peer: &Prefix) -> Vec<u8> {
    join(&[b"l", peer.as_str().as_bytes()])
}

/// `inboxes`: which items wait for the record of a robot to move.
pub fn parked_behind(subject: &Digest) -> Vec<u8> {
    join(&[b"r", &subject.0])
}

/// `peers`, by primary prefix.
pub fn peer(prefix: &Prefix) -> Vec<u8> {
    prefix.as_str().as_bytes().to_vec()
}

/// `ended`: what is known of the end of an identity.
pub fn ends(identity: &Digest) -> Vec<u8> {
    join(&[ENDS, &identity.0])
}

/// `ended`: what the keys of [`ends`] begin with.
pub const ENDS: &[u8] = b"i";

/// `ended`: a peer's claim.
pub fn claim(peer: &Prefix, identity: &Digest) -> Vec<u8> {
    join(&[b"c", peer.as_str().as_bytes(), &identity.0])
}

/// `ended`: how many claims of a peer were ever kept.
pub fn claims_of(peer: &Prefix) -> Vec<u8> {
    join(&[b"n", peer.as_str().as_bytes()])
}

/// `ended`: a place of the ring of a peer's claims.
pub fn claim_at(peer: &Prefix, place: u32) -> Vec<u8> {
    join(&[b"r", peer.as_str().as_bytes(), &place.to_be_bytes()])
}

/// The first key after all keys that begin with `prefix`, or `None` if there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order_in_keys() {
        assert!(leaf(1) < leaf(256));
        assert!(leaf(255) < leaf(256));
        assert!(envelope(255) < envelope(256));
        assert!(tile(0, 255) < tile(0, 256));
        assert!(tile(0, u64::MAX) < tile(1, 0));
        assert!(answer(1, 2, 3) < answer(1, 3, 0));
    }

    #[test]
    fn the_bounds_of_a_sessions_answers_hold_them_all_and_no_others() {
        for id in [0, 1, 254, 255, 256, 0xffff_ffff, u64::MAX - 1, u64::MAX] {
            let (from, to) = answers(id);
            for answer in [answer(id, 0, 0), answer(id, u32::MAX, u32::MAX)] {
                assert!(from <= answer && answer < to, "of {id}");
            }
            if let Some(before) = id.checked_sub(1) {
                assert!(answer(before, u32::MAX, u32::MAX) < from, "before {id}");
            }
            if let Some(next) = id.checked_add(1) {
                assert!(to <= answer(next, 0, 0), "after {id}");
            }
            assert!(to <= session(0), "sessions after {id}");
        }
    }

    #[test]
    fn robots_under_a_model_lie_between_its_bounds() {
        let (from, to) = robots_under("860001100002").expect("a digit code");
        let inside = robot(&Code::parse("86000110000200000000000000042").expect("a code"));
        let outside = robot(&Code::parse("86000110000300000000000000042").expect("a code"));
        assert!(from <= inside && inside <= to);
        assert!(outside > to);
    }

    #[test]
    fn a_subtree_is_computed_from_the_hashes_of_one_tile() {
        assert_eq!(hashes_under(0, 5), Some((0, 0, 5, 1)));
        assert_eq!(hashes_under(0, 256), Some((0, 1, 0, 1)));
        assert_eq!(hashes_under(7, 1), Some((0, 0, 128, 128)));
        assert_eq!(hashes_under(7, 2), Some((0, 1, 0, 128)));
        assert_eq!(hashes_under(8, 3), Some((1, 0, 3, 1)));
        assert_eq!(hashes_under(10, 65), Some((1, 1, 4, 4)));
        assert_eq!(hashes_under(7, u64::MAX), None);
        assert_eq!(hashes_under(8, u64::MAX), Some((1, u64::MAX / 256, 255, 1)));
    }

    #[test]
    fn the_end_of_a_prefix_is_past_all_its_keys() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255]), None);
    }
}
