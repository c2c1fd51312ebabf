//! Every bound of what comes in and of what is kept, in one place: ranges of numbers, bytes of texts, elements of lists,
//! and how much one log entry may do.
//!
//! A field of a canonical value states its bound in its schema (`canonical_struct!(Link { …, epoch: Epoch, … })`), so that
//! bytes outside of it never become a value. What a schema leaves out has the bounds of every text and every list:
//! [`TEXT_BYTES_MAX`] and [`LIST_COUNT_MAX`]. What a record gathers over time is bounded before it is written: by
//! [`crate::record::event::Event::fits`] and by the lists' own rules in `decide`. Of times only log time has a bound: any other may be any
//! instant.

use crate::bytes::country::is_country;
use crate::bytes::encoding::{Canonical, DecodeError, DecodeFault, Decoder, Encoder};
use crate::bytes::letters::forbidden;
use crate::bytes::time::{DurationMs, TimeMs};

/// The highest epoch that a record or a link can carry.
pub const EPOCH_MAX: u64 = 1 << 32;
/// The highest epoch that another registry is believed, and so the highest that this one writes: nobody would take more.
pub const EPOCH_FOREIGN_MAX: u64 = 1 << 31;
/// How far a foreign step may lie above the epoch known here. A chain of which nothing was heard for as many
/// movements is not plausible, and a registry that lies cannot use up the epochs of a robot with one leaf.
pub const EPOCH_STEP_MAX: u64 = 1 << 16;
/// The highest epoch believed of a robot never heard of. It has no known epoch to be measured from: one that a lie moved
/// by [`EPOCH_STEP_MAX`] elsewhere must still be taken by a new country. The rest is room for the steps that follow.
pub const EPOCH_FIRST_MAX: u64 = EPOCH_FOREIGN_MAX - EPOCH_STEP_MAX;
/// The highest leaf index, tree size, or tree position.
pub const INDEX_MAX: u64 = 1 << 48;
/// The highest sequence, cursor, session, incarnation or other count that only grows.
pub const SEQUENCE_MAX: u64 = 1 << 48;

/// The largest log entry, in bytes: one that is larger would never replicate, and stop the log for ever.
pub const ENTRY_BYTES_MAX: usize = 512 * 1024;
/// The most bytes of one command.
pub const COMMAND_BYTES_MAX: usize = TEXT_BYTES_MAX * 64;
/// The most bytes of a text that has no bound of its own.
pub const TEXT_BYTES_MAX: usize = 512;
/// The most elements of a list that has no bound of its own.
pub const LIST_COUNT_MAX: usize = 1_024;
/// The most bytes of the name of an office.
pub const NAME_BYTES_MAX: usize = 128;

/// The most bytes of the identifier of a maker, of a serial, a lot, the number of a recall, the name of an agreement.
pub const IDENTIFIER_BYTES_MAX: usize = 64;
/// The most parts that carry identity, of one robot.
pub const IDENTITY_PARTS_MAX: usize = 16;
/// The most replaced parts that carried identity, of one robot.
pub const FORMER_PARTS_MAX: usize = 64;
/// The most other parts of one robot.
pub const PARTS_MAX: usize = 64;
/// The most clearings that a row of the index of parts remembers: of more the oldest makes way.
pub const CLEARED_MAX: usize = 4;
/// The most first words of offices, of two that it takes in somebody's place, that wait at one robot.
pub const FIRST_WORDS_MAX: usize = 8;
/// The most of them by those who count for the same: of more the oldest makes way.
pub const FIRST_WORDS_OF_ROLE_MAX: usize = 4;
/// The most ends of life that strangers have declared of one robot and that wait.
pub const DECLARATIONS_MAX: usize = 4;
/// How long such a declaration waits for its confirmation.
pub const DECLARATION_TIME: DurationMs = DurationMs::from_days(92);
/// How long after it was withdrawn the same recycler does not declare the same robot again.
pub const DECLARATION_AGAIN: DurationMs = DurationMs::from_days(1);
/// The most robots of others that one enterprise declares ended within a day of log time.
pub const DECLARATIONS_A_DAY_MAX: u64 = 200;
/// The most ends that one key declares within a day of log time, or confirms where no registrar is one of the two.
pub const ENDS_A_DAY_MAX: u64 = 1_000;
/// The AI models that a record names, the newest; of the older ones it keeps count and digest.
pub const AI_MODELS_MAX: usize = 32;
/// The most holds on one robot.
pub const HOLDS_MAX: usize = 32;
/// The most reports of theft and loss on one robot here by another registry.
pub const HOLDS_OF_PEER_MAX: usize = 8;
/// The most claims kept of one peer that identities ended: at the next one its oldest makes way.
pub const CLAIMS_OF_PEER_MAX: u64 = 1 << 16;
/// The most items of one peer that wait because they cannot be taken yet: at the next one its oldest makes way.
pub const PARKED_OF_PEER_MAX: usize = 64;
/// The most of them about one robot, as [`PARKED_OF_PEER_MAX`].
pub const PARKED_OF_ROBOT_MAX: usize = 8;
/// The most items of all peers about one robot that are tried again when its record moves; what is over is tried by hand.
pub const PARKED_BEHIND_MAX: usize = 64;
/// The most holds of other registries that a disclosure brings: offices here have room for theirs.
pub const HOLDS_OF_OTHERS_MAX: usize = HOLDS_MAX / 2;
/// Rows of the store's index that a transfer has at most: read once, taken away and written by each step.
pub const INDEX_ROWS_MAX: usize = 8;
/// The most recalls that name one model and have not ended.
pub const RECALLS_OF_MODEL_MAX: usize = 128;
/// The most recalls that name one model while an enterprise may open another: the rest is for the regulator.
pub const RECALLS_OF_MODEL_BY_PARTIES_MAX: usize = 96;
/// The most recalls that name the models of one recall, all its models counted, while another is opened over them: so many are
/// read again at each change of one.
pub const RECALLS_OVER_MODELS_MAX: usize = 4_096;
/// As [`RECALLS_OVER_MODELS_MAX`], while an enterprise may open one: the rest is for the regulator.
pub const RECALLS_OVER_MODELS_BY_PARTIES_MAX: usize = RECALLS_OVER_MODELS_MAX / 2;
/// The most recalls that a robot's record names as owed, and as remedied; of the latter, those that ended make way.
pub const RECALLS_OF_ROBOT_MAX: usize = RECALLS_OF_MODEL_MAX;
/// The most recalls that one enterprise opens within a day of log time.
pub const RECALLS_A_DAY_MAX: u64 = 200;
/// The most models that one recall names.
pub const MODELS_OF_RECALL_MAX: usize = 256;
/// The most robots here that a foreign recall binds by itself, whatever a clause says.
pub const RECALL_BINDS_MAX: u32 = 10_000;
/// The most models of one enterprise.
pub const MODELS_OF_ENTERPRISE_MAX: usize = 1_000;
/// The most of them that one registrar approves alone: whoever has stolen one key uses up no maker's models, which are never taken out.
pub const MODELS_BY_ONE_MAX: usize = 500;
const _: () = assert!(MODELS_BY_ONE_MAX < MODELS_OF_ENTERPRISE_MAX);
/// Map values that one leaf changes: its subject, and the models whose standing it changes.
pub const MAP_CHANGES_MAX: usize = MODELS_OF_ENTERPRISE_MAX + 1;
/// The most successors that are followed from an enterprise whose accreditation is over.
pub const SUCCESSIONS_MAX: usize = 8;
/// The most roles of an enterprise.
pub const ROLES_MAX: usize = 32;
/// The most documents of a declaration, or shown at a border.
pub const DOCUMENTS_MAX: usize = 32;
/// The most characters of the reference of a consignment: as many as a unique consignment reference of the World Customs Organization has.
pub const UCR_LEN_MAX: usize = 35;
/// The most conditions of a permit.
pub const CONDITIONS_MAX: usize = 32;

/// The most peers.
pub const PEERS_MAX: usize = 256;
/// The most prefixes, root keys, root certificates or endpoints of one country.
pub const BUNDLE_LIST_MAX: usize = 16;
/// The most bytes of a trust bundle.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024;
/// The most times that a jurisdiction replaces its roots within one incarnation.
pub const ROOT_CHANGES_MAX: usize = 64;
/// The most keys in the history of a jurisdiction within one incarnation, and orders of its roots about them.
pub const KEYS_MAX: usize = 512;
/// As [`KEYS_MAX`], of those that are no roots: the rest is for replacements of the roots.
pub const KEYS_OF_ORDERS_MAX: usize = 128;
/// The most orders of the roots about keys within one incarnation.
pub const KEY_ORDERS_MAX: usize = 256;
/// The most steps of one of them.
pub const KEY_STEPS_MAX: usize = 16;
/// The most log keys that are in use at a time: one, and the one that follows it.
pub const LOG_KEYS_ACTIVE_MAX: usize = 2;
/// The most signatures of roots that are looked at.
pub const ROOT_SIGNATURES_MAX: usize = 64;
/// The most active keys of admins, registrars and regulators.
pub const SUPERVISORS_MAX: usize = 64;
/// The most open proposals of admins, about keys, and as many about certificates.
pub const PROPOSALS_MAX: usize = 16;
/// The most nodes that vote after a change of the members, and the most that leave by it.
pub const MEMBERS_CHANGED_MAX: usize = 64;
/// The most nodes whose chains of audit are held to what the log says of them; of those that left, the oldest make way.
pub const AUDIT_ANCHORS_MAX: usize = 64;
/// The most places of one of them that are kept: the newest, and of older ones the fewer the older they are. Ten minutes apart they
/// reach back for years.
pub const AUDIT_PLACES_MAX: usize = 16;
/// The most places of all of them.
pub const AUDIT_PLACES_IN_ALL_MAX: usize = AUDIT_ANCHORS_MAX * AUDIT_PLACES_MAX;
/// The most certificates that are refused before their time is over.
pub const REVOKED_MAX: usize = 1_024;
/// As [`REVOKED_MAX`], of those that one admin revokes: the rest is for what two decide.
pub const REVOKED_BY_ONE_MAX: usize = REVOKED_MAX - 128;
/// The most signers that a genesis names.
pub const FIRST_SIGNERS_MAX: usize = 64;
/// The most clauses of an agreement.
pub const CLAUSES_MAX: usize = 64;
/// The most bytes of an agreement.
pub const AGREEMENT_BYTES_MAX: usize = 16 * 1024;
/// The most agreements with one peer, by name, that ever stood: of each it is kept which version was the last.
pub const AGREEMENTS_ENDED_MAX: usize = 32;
/// The most stretches of our log that are kept of one peer in which it was taken at a stolen key's word; the two oldest become one.
pub const GIVEN_UP_MAX: usize = 8;
/// The most heads of one peer's log that are kept to go back to: the oldest of each age, by powers of two of minutes.
pub const HEADS_OF_PEER_MAX: usize = 32;
/// The most versions of agreements kept of one peer.
pub const AGREEMENTS_OF_PEER_MAX: usize = 16;

/// The most leaves of a peer that are remembered as settled not to count; the oldest makes way.
pub const SETTLED_OF_PEER_MAX: usize = 64;
/// Replacements of one peer's roots of which we keep where they stand; of more, the newest.
pub const ROOTS_REPLACED_MAX: usize = 8;
/// The most bytes of a peer's checkpoint that are kept of it: its body and its own signature. Cosignatures are not.
pub const NOTE_KEPT_BYTES_MAX: usize = 1_024;
/// The longest that an offer or a permit stands, whatever date it names: a rule ends it then.
pub const OFFER_MAX: DurationMs = DurationMs::from_days(366);
/// How long after the last departure that it allows a permit keeps its place among a peer's open offers.
pub const OFFER_LAPSES: DurationMs = DurationMs::from_days(30);
/// The most of what is due that one entry ends.
pub const DUE_MAX: usize = 64;
/// The most robots that one peer offers us at a time and that wait: asked for, or permitted and not departed. Of ours that wait
/// for its answer there are as many, and one enterprise has at most as many of them as places are free.
pub const OFFERS_OF_PEER_MAX: u64 = 10_000;
/// The most robots that one peer may offer within a minute of log time. Over one of these limits the rest of its mail waits.
pub const OFFERS_A_MINUTE_MAX: u64 = 5_000;
/// The most reports of theft and loss, and of their end, by one peer within a minute of log time.
pub const REPORTS_A_MINUTE_MAX: u64 = 1_600;
/// The most statements of one peer that are answered with a nack within a minute of log time.
pub const NACKS_A_MINUTE_MAX: u64 = 6_600;
/// As [`NACKS_A_MINUTE_MAX`], of a peer with which no agreement is in force: of what it says nothing but the steps of what is under way is
/// waited for here, and its nonsense is not to fill the log.
pub const NACKS_UNAGREED_A_MINUTE_MAX: u64 = 60;
/// The most ends of life and claims of one by one peer within a minute of log time.
pub const CLAIMS_A_MINUTE_MAX: u64 = 60;
/// The most leaves that the mail of one peer may have us write within a minute of log time.
pub const LEAVES_A_MINUTE_MAX: u64 = 16_000;
/// The most items of one peer that are read within a minute of log time: what changes nothing is an entry all the same.
pub const MAIL_ITEMS_A_MINUTE_MAX: u64 = 24_000;
/// The most bytes of items of one peer that are read within a minute of log time.
pub const MAIL_BYTES_A_MINUTE_MAX: u64 = 128 * 1024 * 1024;
/// Of what may be told within a minute, one who signs has one part in so many, whatever others tell.
pub const PARTS_OF_A_MINUTE: u64 = 50;
/// One part in so many is kept for those parts: beyond its own nobody takes of it.
pub const RESERVED_OF_A_MINUTE: u64 = 5;
/// The most robots that enterprises here offer one peer within a minute of log time, and as many offices. One of them offers
/// no more than four fifths.
pub const OFFERS_MADE_A_MINUTE_MAX: u64 = 1_250;
/// The most bytes of them, as [`OFFERS_MADE_A_MINUTE_MAX`].
pub const OFFERS_MADE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The most thefts, losses, stops, ends of life and new recalls that enterprises here have told to all peers within a minute of log
/// time, and as many offices. What is over waits for the next.
pub const ALARMS_A_MINUTE_MAX: u64 = 200;
/// The most bytes of them, as [`ALARMS_A_MINUTE_MAX`].
pub const ALARMS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most other leaves that enterprises here have told to all peers within a minute of log time, and as many offices. What is over
/// waits for the next.
pub const TOLD_A_MINUTE_MAX: u64 = 200;
/// The most bytes of them, as [`TOLD_A_MINUTE_MAX`].
pub const TOLD_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The most leaves that follow a departure and are shown with it. What is written of a robot that is under way is far
/// less: each hold once, an end, a claim.
pub const LATER_LEAVES_MAX: usize = 512;
/// The most custody steps that lead to an offer and travel with it, and the most heads that they stand under.
pub const CHAIN_MAX: usize = 64;
/// The most bytes of them. So many have room beside the largest record and its event in one mailbox item.
pub const CHAIN_BYTES_MAX: usize = 96 * 1024;
/// How many bytes of them there may be where a robot is offered to anybody but the issuer of its code: the rest is for its way home.
pub const CHAIN_BYTES_ABROAD_MAX: usize = CHAIN_BYTES_MAX / 4 * 3;
/// As [`CHAIN_BYTES_ABROAD_MAX`], steps.
pub const CHAIN_ABROAD_MAX: usize = CHAIN_MAX / 4 * 3;
/// The most leaves of a robot's trail that are read for its chain: a step has a few leaves beside it.
pub const CHAIN_TRAIL_MAX: usize = 4 * CHAIN_MAX;
/// The most bytes of one such step of the registry that shows it, its head included: as many are reckoned before they are written.
pub const CHAIN_STEP_BYTES: usize = 2_048;
/// The most items that are read of one mailbox batch; whoever sends puts fewer into it.
pub const MAIL_ITEMS_MAX: usize = 4_096;
/// The most bytes of a robot's record.
pub const ROBOT_BYTES_MAX: usize = 96 * 1024;
/// The most bytes of a mailbox item: it fits into one part of a batch, and so into one log entry.
pub const MAIL_ITEM_BYTES_MAX: usize = 256 * 1024;

/// Rows that one entry reads and writes: what comes after them in it is refused, and executed when the same request is
/// sent again. One item may go beyond it by its own work, which the bounds above bound. A row of a store on disk takes
/// about two microseconds, so an entry takes a quarter of a second.
pub const ENTRY_ROWS_MAX: u64 = 100_000;
/// Bytes of records that one entry reads, as [`ENTRY_ROWS_MAX`]: a row can be as large as a record may grow.
pub const ENTRY_READ_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of leaves that one entry writes, as [`ENTRY_ROWS_MAX`].
pub const ENTRY_LEAF_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of refusals that are kept of one part of a request: each session keeps the answers of a thousand. Refusals beyond it
/// have no detail.
pub const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// Leaves that wait for a seal, which reads them all in one entry.
pub const UNSEALED_MAX: u64 = 1 << 20;

/// The most bytes of the signed identity record of a robot, its passport.
pub const PASSPORT_BYTES_MAX: usize = 32_768;
/// The most certificates behind a passport.
pub const PASSPORT_CHAIN_MAX: usize = 8;
/// The most hashes in an inclusion proof: a tree of u64 leaves is at most this deep.
pub const PROOF_COUNT_MAX: usize = 64;
/// The most hashes in a consistency or range proof: one inclusion proof to either side.
pub const RANGE_PROOF_COUNT_MAX: usize = 2 * PROOF_COUNT_MAX;
/// The most bytes of the text of one record of the audit.
pub const AUDIT_TEXT_BYTES_MAX: usize = 2_048;
/// The most items under one signed header.
pub const ITEM_COUNT_MAX: u32 = 10_000;
/// The most bytes of a note.
pub const NOTE_BYTES_MAX: usize = 65_536;
/// The most signature lines of a note.
pub const NOTE_SIGNATURE_COUNT_MAX: usize = 100;
/// The most siblings in a proof of the map: one for each bit of a key.
pub const MAP_PROOF_COUNT_MAX: usize = 256;
/// Two clocks agree that are at most this far apart.
pub const CLOCKS_AGREE: DurationMs = DurationMs(2_000);
/// A clock that was read over a longer round trip says nothing.
pub const ROUND_TRIP_MAX: DurationMs = DurationMs(1_000);
/// The most readings that move log time, and members that are named when the level is raised.
pub const READINGS_MAX: usize = 64;
/// Signatures that one order to skip may carry; more are refused before any is verified.
pub const SKIP_SIGNATURES_MAX: usize = 16;
/// How far the ceiling of stamps lies above the time that a quorum of clocks confirmed.
pub const CEILING_AHEAD: DurationMs = DurationMs(10_000);
/// The furthest that a quorum of clocks may move log time at once; further needs the roots.
pub const ADVANCE_MAX: DurationMs = DurationMs(3_600_000);
/// Log time never goes beyond: 1 January 2200. A later time is a fault, whoever states it.
pub const LOG_TIME_MAX: TimeMs = TimeMs(7_258_118_400_000);
/// Sessions that one certificate subject may have open.
pub const SESSIONS_PER_SUBJECT_MAX: usize = 16;
/// Answers that a session keeps; a lower request number is refused and never executed.
pub const ANSWERS_PER_SESSION: u64 = 1_024;
/// The longest that a release of ownership stands.
pub const RELEASE_MAX: DurationMs = DurationMs::from_days(92);
/// How long the first of two words of offices in somebody's place waits for the second.
pub const PROPOSED_TIME: DurationMs = DurationMs::from_days(7);
/// How long a proposal about keys of offices or certificates waits for the second admin.
pub const PROPOSAL_TIME: DurationMs = DurationMs::from_days(7);
/// How far ahead of log time the end of a certificate lies that is to be refused: what lasts for ever would never make way.
pub const CERTIFICATE_TIME_MAX: DurationMs = DurationMs::from_days(36_525);
/// The most bytes of the serial number of a certificate (RFC 5280 §4.1.2.2).
pub const CERTIFICATE_SERIAL_BYTES_MAX: usize = 20;
/// How long the deny-list keeps an entry after its certificate has expired, as long as there is room.
pub const FORGOTTEN_AFTER: DurationMs = DurationMs::from_days(366);
/// The epochs that a robot which is permitted to come still needs: its way back, or offers of ours that bring it home and come to
/// nothing.
pub const EPOCHS_TO_LEAVE: u64 = 16;
/// How many steps of a robot's trail a link is compared with that contradicts it.
pub const FORK_STEPS_MAX: usize = 16;
/// The longest name of a person in a certificate.
pub const CERTIFICATE_NAME_BYTES_MAX: usize = 48;
/// Peers, and this registry: of what was shown to it of a robot that ended here it only claims the end.
pub const CLAIMANTS_MAX: usize = PEERS_MAX + 1;
/// The most jumps from a robot's newest leaf back to its first: a digit each.
pub const JUMPS_MAX: usize = 13;

// A bundle with its whole key history: a key with its last head is at most 110 bytes.
const _: () = assert!(KEYS_MAX * 110 + 8 * 1024 <= BUNDLE_BYTES_MAX);
const _: () = assert!(EPOCH_FOREIGN_MAX < EPOCH_MAX);
const _: () = assert!(HOLDS_OF_PEER_MAX < HOLDS_MAX);
const _: () = assert!(EPOCH_STEP_MAX < EPOCH_FIRST_MAX);
const _: () = assert!(RECALLS_OF_MODEL_BY_PARTIES_MAX < RECALLS_OF_MODEL_MAX);
// A record with every list full and every text at its bound: part 34 + lot, hold two texts and twenty bytes.
const _: () = assert!(
    (IDENTITY_PARTS_MAX + PARTS_MAX) * (IDENTIFIER_BYTES_MAX + 48)
        + (AI_MODELS_MAX + FORMER_PARTS_MAX) * 34
        + HOLDS_MAX * (2 * TEXT_BYTES_MAX + 24)
        + 2 * RECALLS_OF_ROBOT_MAX * (IDENTIFIER_BYTES_MAX + 8)
        + (8 + DECLARATIONS_MAX) * TEXT_BYTES_MAX
        <= ROBOT_BYTES_MAX
);
// What an honest registry writes into a mailbox, an honest reader takes: whenever it reads, two minutes of the writer may fall
// into one of its own, each with the offers and the news of enterprises and of offices, all of them answered with a nack.
const _: () = assert!(2 * 2 * OFFERS_MADE_A_MINUTE_MAX <= OFFERS_A_MINUTE_MAX);
const _: () = assert!(2 * 2 * (ALARMS_A_MINUTE_MAX + TOLD_A_MINUTE_MAX) <= REPORTS_A_MINUTE_MAX);
const _: () = assert!(
    2 * 2 * (OFFERS_MADE_A_MINUTE_MAX + ALARMS_A_MINUTE_MAX + TOLD_A_MINUTE_MAX)
        <= NACKS_A_MINUTE_MAX
);
const _: () = assert!(
    2 * 2 * (OFFERS_MADE_BYTES_MAX + ALARMS_BYTES_MAX + TOLD_BYTES_MAX)
        <= MAIL_BYTES_A_MINUTE_MAX / 2
);
// A truck is offered at once, and many in a minute; what is kept is ten parts.
const _: () = assert!(OFFERS_MADE_A_MINUTE_MAX / RESERVED_OF_A_MINUTE * 4 >= 1_000);
const _: () = assert!(RESERVED_OF_A_MINUTE * 10 <= PARTS_OF_A_MINUTE);
const _: () = assert!(LEAVES_A_MINUTE_MAX < MAIL_ITEMS_A_MINUTE_MAX);
const _: () = assert!(MAIL_ITEM_BYTES_MAX as u64 <= MAIL_BYTES_A_MINUTE_MAX);
// The record, the event in slot 10, the leaves that follow, the bundle of proofs.
const _: () = assert!(
    ROBOT_BYTES_MAX + COMMAND_BYTES_MAX + LATER_LEAVES_MAX * 208 + 16 * 1024 <= MAIL_ITEM_BYTES_MAX
);
// An offer has no leaves behind it, and a chain before it.
const _: () = assert!(
    ROBOT_BYTES_MAX + COMMAND_BYTES_MAX + CHAIN_BYTES_MAX + 16 * 1024 <= MAIL_ITEM_BYTES_MAX
);
// Home again: what leads there has room behind what may be offered abroad.
const _: () = assert!(CHAIN_BYTES_MAX - CHAIN_BYTES_ABROAD_MAX >= 8 * CHAIN_STEP_BYTES);
const _: () = assert!(HOLDS_MAX + 4 <= LATER_LEAVES_MAX);
// A registration with every list full and every text at its bound fits into one command.
const _: () = assert!(
    (1 + IDENTITY_PARTS_MAX + PARTS_MAX) * (3 * IDENTIFIER_BYTES_MAX + 24) + 4 * TEXT_BYTES_MAX
        <= COMMAND_BYTES_MAX
);
const _: () = assert!(MAIL_ITEM_BYTES_MAX <= ENTRY_BYTES_MAX / 2);
const _: () =
    assert!(BUNDLE_BYTES_MAX + AGREEMENTS_OF_PEER_MAX * AGREEMENT_BYTES_MAX <= ENTRY_BYTES_MAX);

/// How a field is read when its schema names a bound: the type of the bound reads the value of the field.
pub trait Bound<V> {
    /// Reads a value within the bound.
    ///
    /// # Errors
    /// Bytes that are not canonical, not a value of the type, or outside of the bound.
    fn read(d: &mut Decoder<'_>) -> Result<V, DecodeError>;
}

fn number_up_to(d: &mut Decoder<'_>, max: u64) -> Result<u64, DecodeError> {
    let at = d.clone();
    let found = d.uint()?;
    if found > max {
        return Err(at.fault(DecodeFault::Above { max, found }));
    }
    Ok(found)
}

/// A number of at most `MAX`.
pub struct UpTo<const MAX: u64>;

/// An epoch of a robot's custody: 0 to [`EPOCH_MAX`].
pub type Epoch = UpTo<EPOCH_MAX>;
/// A leaf index, a tree size: 0 to [`INDEX_MAX`].
pub type Index = UpTo<INDEX_MAX>;
/// A sequence, a cursor, a session: 0 to [`SEQUENCE_MAX`].
pub type Sequence = UpTo<SEQUENCE_MAX>;

impl<const MAX: u64> Bound<u64> for UpTo<MAX> {
    fn read(d: &mut Decoder<'_>) -> Result<u64, DecodeError> {
        number_up_to(d, MAX)
    }
}

impl<const MAX: u64> Bound<u32> for UpTo<MAX> {
    fn read(d: &mut Decoder<'_>) -> Result<u32, DecodeError> {
        let at = d.clone();
        let found = number_up_to(d, MAX)?;
        u32::try_from(found).map_err(|_| {
            let max = u64::from(u32::MAX);
            at.fault(DecodeFault::Above { max, found })
        })
    }
}

/// A value within the bound, or null.
pub struct Maybe<B>(std::marker::PhantomData<B>);

impl<V, B: Bound<V>> Bound<Option<V>> for Maybe<B> {
    fn read(d: &mut Decoder<'_>) -> Result<Option<V>, DecodeError> {
        if d.take_null()? {
            Ok(None)
        } else {
            B::read(d).map(Some)
        }
    }
}

/// A text of one line, of at most `MAX` bytes, without the code points of [`crate::bytes::letters::FORBIDDEN`].
pub struct Text<const MAX: usize>;

/// [`NAME_BYTES_MAX`] bytes of text.
pub type Name = Text<NAME_BYTES_MAX>;

impl<const MAX: usize> Bound<String> for Text<MAX> {
    fn read(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
        let at = d.clone();
        let text = d.text()?;
        within(&at, text.len(), MAX)?;
        if let Some(letter) = forbidden(text) {
            return Err(at.fault(DecodeFault::Letter(letter)));
        }
        Ok(text.to_owned())
    }
}

/// A text of several lines, of at most `MAX` bytes: what reads it judges its form.
pub struct Lines<const MAX: usize>;

impl<const MAX: usize> Bound<String> for Lines<MAX> {
    fn read(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
        let at = d.clone();
        let text = d.text()?;
        within(&at, text.len(), MAX)?;
        Ok(text.to_owned())
    }
}

/// Identifier of a maker or a serial in its one written form: 1 to 64 of `0-9A-Z`, with single `-` inside.
pub struct Identifier;

impl Bound<String> for Identifier {
    fn read(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
        let at = d.clone();
        let text = d.text()?;
        within(&at, text.len(), IDENTIFIER_BYTES_MAX)?;
        if !is_identifier(text) {
            return Err(at.invalid("not 1 to 64 of 0-9A-Z with single - inside"));
        }
        Ok(text.to_owned())
    }
}

/// Whether a text is an [`Identifier`].
pub fn is_identifier(text: &str) -> bool {
    let one = |piece: &str| {
        let mut letters = piece.bytes();
        !piece.is_empty() && letters.all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    };
    text.len() <= IDENTIFIER_BYTES_MAX && text.split('-').all(one)
}

/// The lot of a part in its one written form: an [`Identifier`], or empty where none is stated.
pub struct Lot;

impl Bound<String> for Lot {
    fn read(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
        let at = d.clone();
        let text = d.text()?;
        within(&at, text.len(), IDENTIFIER_BYTES_MAX)?;
        if !text.is_empty() && !is_identifier(text) {
            return Err(at.invalid("a lot is written with 0-9A-Z and single - inside"));
        }
        Ok(text.to_owned())
    }
}

/// Code of a commodity in the Harmonized System: 6 to 10 digits, or empty where none is stated. The first six are the same in every
/// country.
pub struct Commodity;

impl Bound<String> for Commodity {
    fn read(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
        let at = d.clone();
        let text = d.text()?;
        if !text.is_empty() && !is_commodity(text) {
            return Err(at.invalid("a commodity code is 6 to 10 digits"));
        }
        Ok(text.to_owned())
    }
}

/// What every country reads alike of a commodity code: its first six digits. `None` where none is stated.
pub fn common_commodity(code: &str) -> Option<&str> {
    code.get(..6)
}

/// Whether a text is a [`Commodity`] that is stated.
pub fn is_commodity(text: &str) -> bool {
    (6..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Reference of a consignment: at most [`UCR_LEN_MAX`] of `0-9A-Z-./`, or empty where a robot goes alone.
pub struct Ucr;

impl Bound<String> for Ucr {
    fn read(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
        let at = d.clone();
        let text = d.text()?;
        if !text.is_empty() && !is_ucr(text) {
            return Err(at.invalid("a consignment is named by at most 35 of 0-9A-Z-./"));
        }
        Ok(text.to_owned())
    }
}

/// Whether a text is a [`Ucr`] that is stated.
pub fn is_ucr(text: &str) -> bool {
    let one = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase() || b"-./".contains(&b);
    (1..=UCR_LEN_MAX).contains(&text.len()) && text.bytes().all(one)
}

/// A grade from 1 to 4: how grave an incident was.
pub struct Grade;

impl Bound<u8> for Grade {
    fn read(d: &mut Decoder<'_>) -> Result<u8, DecodeError> {
        let at = d.clone();
        match u8::decode(d)? {
            grade @ 1..=4 => Ok(grade),
            _ => Err(at.invalid("grades are 1 to 4")),
        }
    }
}

/// A country of ISO 3166-1 by its alpha-2 code.
pub struct Alpha2;

impl Bound<String> for Alpha2 {
    fn read(d: &mut Decoder<'_>) -> Result<String, DecodeError> {
        let at = d.clone();
        let text = d.text()?;
        if !is_country(text) {
            return Err(at.invalid("not a country of ISO 3166-1"));
        }
        Ok(text.to_owned())
    }
}

/// A list of at most `MAX` elements.
pub struct List<const MAX: usize>;

impl<T: Canonical, const MAX: usize> Bound<Vec<T>> for List<MAX> {
    fn read(d: &mut Decoder<'_>) -> Result<Vec<T>, DecodeError> {
        list(d, MAX, T::decode)
    }
}

/// A list of at most `MAX` elements, each within a bound.
pub struct ListOf<B, const MAX: usize>(std::marker::PhantomData<B>);

impl<V, B: Bound<V>, const MAX: usize> Bound<Vec<V>> for ListOf<B, MAX> {
    fn read(d: &mut Decoder<'_>) -> Result<Vec<V>, DecodeError> {
        list(d, MAX, B::read)
    }
}

pub(crate) fn list<T>(
    d: &mut Decoder<'_>,
    max: usize,
    one: impl Fn(&mut Decoder<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let at = d.clone();
    let count = d.array()?;
    within(&at, count, max)?;
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(one(d)?);
    }
    d.leave();
    Ok(out)
}

pub(crate) fn within(at: &Decoder<'_>, found: usize, max: usize) -> Result<(), DecodeError> {
    if found > max {
        return Err(at.fault(DecodeFault::Above {
            max: max as u64,
            found: found as u64,
        }));
    }
    Ok(())
}

impl Canonical for String {
    fn encode(&self, e: &mut Encoder) {
        e.text(self);
    }
    /// At most [`TEXT_BYTES_MAX`] bytes, unless the schema of the value around it says otherwise.
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        <Text<TEXT_BYTES_MAX> as Bound<Self>>::read(d)
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn encode(&self, e: &mut Encoder) {
        e.array(self.len());
        for value in self {
            value.encode(e);
        }
    }
    /// At most [`LIST_COUNT_MAX`] elements, unless the schema of the value around it says otherwise.
    fn decode(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        list(d, LIST_COUNT_MAX, T::decode)
    }
}

/// The epoch after one; `None` after the last.
pub fn next_epoch(epoch: u64) -> Option<u64> {
    epoch.checked_add(1).filter(|next| *next <= EPOCH_MAX)
}

/// The number after one of our own counters: a tree size, a sequence of ours. It counts what was written, one by one.
///
/// # Panics
/// At 2^48, which no registry reaches: a million leaves a second would take nine years.
pub(crate) fn next_own(count: u64) -> u64 {
    assert!(count < INDEX_MAX, "our own counters stay below 2^48");
    #[expect(clippy::arithmetic_side_effects, reason = "asserted above")]
    let next = count + 1;
    next
}
