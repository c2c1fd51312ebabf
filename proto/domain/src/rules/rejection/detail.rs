//! What a rejection stands on: numbers and typed arguments, and the words that whoever shows them makes of them.
//!
//! Nothing committed or hashed holds words of a program: two binaries may say the same thing differently. A text among
//! the arguments is one that was in the log before (a name, a place).

use std::fmt;

use super::words::{Counted, Ending, Fixed, Flaw, Lacking, Listed, Ranged};
use crate::bytes::code::{Code, EnterpriseCode, EnterpriseId, ModelId, Prefix};
use crate::bytes::digest::Digest;
use crate::bytes::level::Level;
use crate::bytes::signature::KeyId;
use crate::bytes::time::TimeMs;
use crate::custody::chain::{Doubt, Step, Whereabouts};
use crate::limits::{List, READINGS_MAX, ROLES_MAX};
use crate::machine::reading::ClockReading;
use crate::record::denied::Certificate;
use crate::record::{
    AgreementRef, ApprovalStatus, Desk, EnterpriseStatus, Holder, PartType, RecallId, Setter,
    Severity,
};
use crate::rules::actions::Deed;
use crate::rules::command::{CommandKind, Condition, Purpose, TransferId};
use crate::rules::lifecycle::{ActionKind, EndOfLife, HoldKind, State};
use crate::rules::policy::Role;

macro_rules! details {
    ($($number:literal $name:ident { $($field:ident: $type:ty $([$bound:ty])?),* } $text:literal $(, $arg:expr)*;)*) => {
        /// What exactly a rejection stands on. The number of a variant is stable; the text beside it is for people.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Detail { $(
            #[doc = concat!("`", $text, "`")]
            $name { $(
                #[doc = concat!("A ", stringify!($type), ".")]
                $field: $type,
            )* }
        ),* }
        crate::canonical_variants!(Detail { $($number => $name { $($field $(: $bound)?),* }),* });

        impl Detail {
            /// Number, name and arguments (name, type) of every variant, as published.
            pub const TABLE: &'static [(u64, &'static str, &'static [(&'static str, &'static str)])] = &[
                $(($number, stringify!($name), &[$((stringify!($field), stringify!($type))),*])),*
            ];
        }

        impl fmt::Display for Detail {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$name { $($field),* } => write!(f, $text $(, $arg)*)),* }
            }
        }
    };
}

details! {
    0 Nothing {} "";
    1 Code { code: Code } "{}", code.display_form();
    2 Enterprise { id: EnterpriseId } "{id}";
    3 Model { id: ModelId } "{id}";
    4 Key { key: KeyId } "{key}";
    5 Prefix { prefix: Prefix } "{prefix}";
    6 Transfer { transfer: TransferId } "transfer {transfer}";
    7 Session { session: u64 } "session {session}";
    8 Request { request: u64 } "request {request}";
    9 Size { size: u64 } "size {size}";
    10 Slot { slot: u8 } "slot {slot}";
    11 NullSlot { slot: u8 } "slot {slot} is null";
    12 Hidden { slot: u8 } "slot {slot} is not shown";

    20 MeantFor { prefix: Prefix, incarnation: u64, here: Prefix, incarnation_here: u64 }
        "meant for {prefix}/{incarnation}, this is {here}/{incarnation_here}";
    21 RequestBelow { request: u64, newest: u64 } "request {request}, the newest is {newest}";
    22 ValidUntil { until: TimeMs, now: TimeMs } "until {until}, it is {now}";
    23 Stamp { stamp: TimeMs, ceiling: TimeMs } "stamp {stamp}, ceiling {ceiling}";
    24 HeaderKind { header: u16, item: CommandKind } "the header says {header}, the item is {}", item.name();
    25 Bytes { size: u64, max: u64 } "{size} bytes, allowed are {max}";
    26 Items {} "the items are not those under the signature";

    30 RoleMayNotDo { role: Role, deed: Deed } "{} may not {}", role.word(), deed.name();
    32 NotOf { owner: Option<EnterpriseId>, holder: Holder } "{} is not of {holder}", shown(owner);
    31 NoRelation { deed: Deed, code: Code, holder: Holder }
        "{} of {} is not for {holder}; {} registered it", deed.name(), code.display_form(), code.enterprise_id();
    33 NoRoleOf { role: Role, holder: Holder } "the role {} is not one that {holder} can have", role.word();
    34 Stands { holder: Holder } "{holder} is suspended, struck off or outside its accreditation";
    35 CodeStandsUnder { code: Code } "{} stands under {}", code.display_form(), code.prefix();
    36 ModelStandsUnder { id: ModelId } "{id} stands under {}", id.prefix();
    37 EnterpriseCode { code: EnterpriseCode } "{code}";
    38 EnterpriseIs { id: EnterpriseId, status: EnterpriseStatus } "{id} is {}", status.name();
    39 AccreditedFrom { id: EnterpriseId, from: TimeMs, to: TimeMs } "{id} is accredited from {from} to {to}";
    40 NotAccreditedAs { id: EnterpriseId, role: Role } "{id} is not accredited as {}", role.word();
    41 RolesOfEnterprises {} "an enterprise is accredited for roles of enterprises only";
    42 RetiredAlready { key: KeyId } "{key} is retired already";
    43 ModelIs { id: ModelId, status: ApprovalStatus } "{id} is {}", status.name();
    44 ProducedFrom { id: ModelId, from: TimeMs, to: TimeMs } "{id} is produced from {from} to {to}";
    45 LevelOrClass { level: u8, safety_class: u8 }
        "level {level} and safety class {safety_class}: levels are 1 to 5, safety classes 1 to 4";
    46 Twice { what: Listed } "{} is named twice", what.word();
    47 ModelsInOrder {} "a recall names at least one model, each once and ascending";

    50 Ended { what: Ending, code: Code, state: State, by: Prefix, at: TimeMs, identity: Digest }
        "{}{} was {} at {by} on {at} (identity {identity})", what.word(), code.display_form(), state.name();
    51 BodyOf { code: Code } "the body is that of {}", code.display_form();
    52 BodyOrPartOf { code: Code } "the body or a part is that of {}", code.display_form();
    53 PartTwice { part: PartType } "a {} is named twice", part.word();
    54 FittedIn { part: PartType, code: Code } "a {} is fitted in {}", part.word(), code.display_form();
    55 NotFitted { part: PartType } "no such {} is fitted", part.word();
    56 RobotIs { code: Code, state: State } "{} is {}", code.display_form(), state.name();
    57 StandsAt { sequence: u64 } "the record stands at sequence {sequence}";
    58 ActionIn { action: ActionKind, state: State } "{} in state {}", action.name(), state.name();
    59 EndFrom { outcome: EndOfLife, state: State } "{} from {}", outcome.name(), state.name();
    60 EndIsNoHold {} "an end of life is declared by a recycler, not set as a hold";
    62 NoOwnershipRequest {} "no request for ownership is open";
    63 NoEndDeclared {} "no end of life is declared";
    64 SameParty {} "the first step was taken by the same party";
    65 HoldStands { kind: HoldKind, setter: Setter, since: TimeMs } "{} set by {setter} on {since}", kind.name();
    66 Hold { kind: HoldKind } "{}", kind.name();
    67 RecallOpen { recall: RecallId, severity: Severity } "recall {recall} ({})", severity.name();
    68 Recall { recall: RecallId } "recall {recall}";
    70 NotItsModels { peer: Prefix } "{peer} recalls models that are not its own";

    80 TransferTo { transfer: TransferId, to: Prefix } "transfer {transfer} to {to}";
    81 WaitsFor { transfer: TransferId, to: Prefix } "transfer {transfer} waits for {to}";
    82 Chain { whereabouts: Whereabouts } "{whereabouts}";
    83 Doubtful { doubt: Doubt } "{}", doubt.text();
    85 PermittedUntil { until: TimeMs } "departure was permitted until {until}";
    86 OfferedUntil { until: TimeMs, now: TimeMs } "the offer stands until {until}, it is {now}";
    87 DepartureDue { due: TimeMs, now: TimeMs } "departure would be due {due}, it is {now}";
    88 GoesFrom { transfer: TransferId, from: Prefix, to: Prefix }
        "{transfer} goes from {from} to {to}; this step is not ours";
    89 TransferEnding { step: Step, place: String, at: TimeMs, leaf: Digest }
        "{}{}{place} on {at} (leaf {leaf})", step.name(), if place.is_empty() { "" } else { " at " };
    90 AnotherTransfer {} "another transfer of the robot is open";
    91 NotDisclosed {} "the robot is not disclosed";
    92 Condition { condition: Condition } "{condition}";
    93 AgreementInForce { asked: AgreementRef, newest: Option<u32> }
        "asked for {asked}, in force is {}", newest.map_or("none".to_owned(), |v| format!("version {v}"));
    94 ClausePurpose { clause: u16, purpose: Purpose } "clause {clause} does not name {}", purpose.name();
    95 NoClause { agreement: AgreementRef, recogniser: Prefix, model: ModelId, level: u8, safety_class: u8 }
        "no clause of {agreement} by which {recogniser} accepts what {} issued: {model} at level {level} and safety class {safety_class}", model.prefix();
    96 Agreement { agreement: AgreementRef } "{agreement}";
    97 TransferUnderWay { transfer: TransferId, to: Prefix } "transfer {transfer} to {to} is under way";
    98 UnderWay { code: Code } "{} is under way", code.display_form();

    110 EpochAbove { epoch: u64, max: u64 } "epoch {epoch}, believed are at most {max}";
    111 EpochFirst { epoch: u64, max: u64 }
        "epoch {epoch}, of a robot unknown here at most {max} is believed";
    112 EpochAhead { epoch: u64, known: u64, max: u64 }
        "epoch {epoch}, known here is {known}: at most {max} lie between";
    113 OffersWithoutChain { peer: Prefix, code: Code } "{peer} offers {} without showing its chain", code.display_form();
    260 ChainStep { of: Prefix, index: u64, flaw: Flaw } "leaf {index} of {of} is shown in the chain, {}", flaw.text();
    261 ChainUnbound { code: Code } "what is shown of {} does not lead to its offer", code.display_form();
    114 NeitherHas { code: Code } "neither country has {}", code.display_form();
    115 EndedOurs { peer: Prefix, code: Code }
        "{peer} ended {} which is in our responsibility", code.display_form();
    116 TwoRoots { peer: Prefix, size: u64, seen: Digest, shown: Digest }
        "{peer} showed two roots of size {size}: {seen} and {shown}";
    117 Checkpoint {} "the checkpoint is not one that the peer signed";
    118 Smaller { size: u64, seen: u64 } "checkpoint of size {size}, seen was {seen}";
    119 Inconsistent { from: u64, to: u64 } "consistency from {from} to {to}";
    120 ItemExpected { item: u64, expected: u64 } "item {item}, expected {expected}";
    121 NotProven { index: u64 } "leaf {index} is not proven";
    122 NotNewest { index: u64 } "leaf {index} is not proven to be the newest";
    123 MapStatus { status: u8 } "after the departure the map shows status {status}";
    124 Lacks { what: Lacking } "{}", what.text();
    125 NoSuccessor { item: u64 } "item {item} has no successor";
    126 Unreadable { index: u64 } "leaf {index} is not one that is known here";
    127 StepFollows {} "a custody step follows the departure";
    128 Buried { leaves: u64, max: u64 } "{leaves} leaves follow the departure, at most {max} are read";

    129 Behind { item: u64 } "it waits behind item {item} about the same robot";

    170 DueAt { log_time: TimeMs } "at log time {log_time}";
    171 OfferLatest { until: TimeMs, latest: TimeMs } "until {until}, an offer stands until {latest} at the latest";
    172 Forked { code: Code } "which of two leaves of {} counts is not settled", code.display_form();
    166 LifeKnown { new: u64, known: u64 } "incarnation {new}, known is {known}";
    167 ForkAt { peer: Prefix, leaf: Option<u64> }
        "{}", leaf.map_or(format!("{peer} is quarantined for no fork of a robot"), |leaf| format!("the fork of {peer} is recorded in leaf {leaf}"));
    168 NeitherLeaf { first: Digest, second: Digest } "the leaves are {first} and {second}";
    169 SettledBy { step: Step } "the {} is not put in the place of what was taken here", step.name();
    164 Item { peer: Prefix, item: u64 } "item {item} of {peer}";
    165 GivenUp { item: u64, reason: String } "item {item}: {reason}";

    130 Statement { number: u64 } "statement {number}";
    131 FirstIsGenesis {} "the first statement is the genesis";
    132 BeyondTime { to: TimeMs } "{to} is beyond the last log time";
    133 Fingerprint { digest: Digest } "the bundle's fingerprint is {digest}";
    134 NoPrefix {} "the bundle names no prefix";
    135 BundleOf { peer: Prefix } "bundle of {peer}";
    136 Over { until: TimeMs } "it was valid until {until}";
    137 SequenceKnown { new: u64, known: u64 } "sequence {new}, known is {known}";
    138 AgreementBetween { one: Prefix, other: Prefix } "the agreement is between {one} and {other}";
    139 LacksRoots { of: Prefix } "the agreement lacks the roots of {of}";
    140 VersionKnown { new: u32, known: u32 } "version {new}, known is {known}";
    141 NeverInForce {} "the agreement is never in force";
    154 KeysDiffer {} "its key history does not go on from the one known";
    142 OtherCluster {} "the statement names another cluster";
    143 TimeNumber { number: u64, applied: u64 } "time statement {number}, {applied} were applied";
    144 TimeFrom { from: TimeMs, log_time: TimeMs } "from {from}, log time is {log_time}";
    145 TimeFromTo { from: TimeMs, to: TimeMs, log_time: TimeMs } "from {from} to {to}, log time is {log_time}";
    146 ClocksSay { to: TimeMs, readings: Vec<ClockReading> [List<READINGS_MAX>] } "{to}: {}", spoken(readings);
    147 ReadingsOrder {} "the readings are not of different nodes, ascending";
    148 Count { count: u64, max: u64 } "{count}, allowed are {max}";
    149 ClocksAhead { log_time: TimeMs, to: TimeMs } "log time {log_time}, a quorum of clocks reads {to}";

    150 LevelIs { level: Level, to: Level } "the level is {level}, asked for is {to}";
    151 MemberKnows { node: u64, level: Option<Level> }
        "node {node} knows {}", level.map_or("nothing that it said".to_owned(), |level| format!("level {level}"));
    152 Rule { number: u16 } "rule {number}";

    160 Full { what: Counted, max: u64 } "{max} {}", what.word();
    161 RecallsOfModel { model: ModelId, max: u64 } "{max} recalls name {model}";
    162 ModelsOf { id: EnterpriseId, max: u64 } "{max} models of {id}";
    180 NoRelease {} "it is not released";
    182 TwoAdmins {} "a registry in earnest begins with two admins of different persons";
    183 LastOf { role: Role } "{} would be left without a key, or one admin without a second", role.word();
    240 VotersLeft { left: u64, of: u64 } "{left} of {of} voters would be left";
    250 Proposal { number: u64 } "proposal {number}";
    251 AboutOneself {} "it is about whoever signs this";
    252 Node { node: u64 } "node {node}";
    253 AuditAt { node: u64, leaf: u64 } "node {node}, as leaf {leaf} says";
    254 OffersOpen { peer: Prefix, offers: u64 } "{offers} offers with {peer} are open";
    241 Certificate { certificate: Certificate } "{certificate}";
    214 NoCountry { prefix: Prefix } "{prefix} is not the code of a country";
    211 EndDeclaredWith { certificate: Digest } "an end is declared, with certificate {certificate}";
    212 NoName {} "an enterprise has a name";
    210 NotSignedBy { key: KeyId } "{key} did not sign for the enrolment";
    179 NoPerson {} "a key of an office names whose hand it is in";
    181 ReleaseUntil { until: TimeMs, latest: TimeMs } "until {until}, a release stands until {latest} at the latest";
    163 AgreementsWith { peer: Prefix, max: u64 } "{max} agreements with {peer}";

    230 ItemBytes { index: u64, bytes: u64, max: u64 } "leaf {index} came with {bytes} bytes, {max} are read";
    203 Differs { code: Code, field: Fixed } "the {} of {}", field.word(), code.display_form();
    206 InAMinute { peer: Prefix, what: Counted, max: u64 } "{peer}: {max} {} in a minute", what.word();
    216 ToldInAMinute { to: Option<Prefix>, own: u64, what: Counted }
        "{own} told {} in this minute, too many {}", to.map_or("everybody".to_owned(), |to| to.to_string()), what.word();
    217 AdmittedAbroad { code: Code }
        "another country has admitted {} under this code: correct what is wrong, or have its end declared and confirmed", code.display_form();
    208 BundleUntil { peer: Prefix, until: TimeMs } "the bundle of {peer} was valid until {until}";
    290 CommodityOf { declared: String, approved: String } "declared as {declared}, approved as {approved}";
    291 ConsignmentTo { ucr: String, to: Prefix } "consignment {ucr} goes to {to}, for whoever declared it first";
    292 DetainedFor { transfer: TransferId } "transfer {transfer} is detained: a report of what was found must be shown";
    204 AdmittedFor { code: Code, purpose: Purpose } "{} was admitted for {}", code.display_form(), purpose.name();
    205 IssuerAnnuls { code: Code } "{} is annulled by {} alone", code.display_form(), code.prefix();
    184 Inverted { what: Ranged } "{}", what.word();
    185 MadeAt { made: TimeMs, now: TimeMs } "made on {made}, it is {now}";
    186 MakerOf { id: EnterpriseId } "the maker is accredited as {id}";
    187 NotMakerOf { id: EnterpriseId } "{id} is another maker";
    188 PartListed { part: PartType, identity: bool }
        "a {} stands among the parts that carry {}identity", part.word(), if *identity { "" } else { "no " };
    189 KeyOf { code: Code } "the key is that of {}", code.display_form();
    222 KeyUnsigned { code: Code } "the key did not sign for {} with this body", code.display_form();
    190 LeafOf { index: u64, code: Code } "leaf {index} is none of {}", code.display_form();
    191 RoleMayNotHold { role: Role, kind: HoldKind } "{} may not set {}", role.word(), kind.name();
    196 OfficeNumber { number: u64, applied: u64 } "statement {number} of its kind, {applied} were applied";
    194 NoSuchPerson {} "no party of the robot is this person at this desk";
    195 DeclaredOn { since: TimeMs } "on {since}";
    193 AccreditedAsNone { id: EnterpriseId, roles: Vec<Role> [List<ROLES_MAX>] } "{id} is none of {}", words(roles);
    220 ClearedFrom { part: PartType, code: Code }
        "two registrars cleared this {} from {}: who said it was there does not fit it again", part.word(), code.display_form();
    221 NoKeyOf { id: EnterpriseId } "{id} has no key that signs: a registrar enrols one first";
    270 AgreementSuspended { agreement: AgreementRef, until: TimeMs } "{agreement} is suspended until {until}";
    275 OfAnotherHand { key: KeyId } "{key} is not a key of the same holder, role and person, which the new one could follow";
    274 ForSide { deed: Deed, code: Code, side: Desk, holder: Holder }
        "{} of {} is for {side}, which owns or holds it or acts for whoever does, and not for {holder}", deed.name(), code.display_form();
    272 EnrolledAs { key: KeyId, holder: Holder, role: Role, ended: bool }
        "{key} {} for {holder} as {}", if *ended { "was enrolled" } else { "is enrolled" }, role.word();
    273 EndsBefore { until: TimeMs, latest: TimeMs } "until {until}, no certificate lasts beyond {latest}";
    276 SuspendedThere { agreement: AgreementRef, by: Prefix, until: TimeMs } "{agreement} is suspended by {by} until {until}";
    271 ProposedBy { by: Holder } "it was proposed by {by}, and somebody else of that role says no to it";
    192 OpenedBy { recall: RecallId, by: Holder } "recall {recall} was opened by {by}";
}

impl Detail {
    /// Nothing to add to the reason.
    pub const NOTHING: Self = Self::Nothing {};

    /// Whether there is nothing to add to the reason.
    pub fn is_empty(&self) -> bool {
        *self == Self::NOTHING
    }
}

fn shown(owner: &Option<EnterpriseId>) -> String {
    owner.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn words(roles: &[Role]) -> String {
    let all: Vec<&str> = roles.iter().map(|role| role.word()).collect();
    all.join(", ")
}

fn spoken(readings: &[ClockReading]) -> String {
    let one = |reading: &ClockReading| format!("node {} reads {}", reading.node, reading.at);
    readings.iter().map(one).collect::<Vec<_>>().join(", ")
}
