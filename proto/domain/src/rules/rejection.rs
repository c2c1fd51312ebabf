//! Every lawful "no" of `decide`: declared in order of precedence, numbered for good, published as a vector.
//!
//! The first that holds is answered. The order of declaration and the number are two things: a reason that comes later
//! takes its place among the others, and the next free number. Refusals at ingress (syntax, certificate, limits) are not
//! here: they are not committed and consume no number.
//!
//! What is committed is the number with typed arguments, [`Detail`]; text, remedy and [`std::fmt::Display`] are for
//! whoever shows it, and stand in no log, record or hash.

mod detail;
mod words;

use crate::bytes::encoding::Canonical;
use crate::rules::actions::{Deed, who_may};
use crate::rules::lifecycle::sets;
use crate::rules::policy::Role;

pub use detail::Detail;
pub use words::{Counted, Ending, Fixed, Flaw, Lacking, Listed, Ranged};

macro_rules! reasons {
    ($($number:literal $name:ident $text:literal, $remedy:literal;)*) => {
        /// Why a command was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $text] $name),* }
        crate::canonical_enum!(Reason { $($number => $name),* });

        impl Reason {
            /// What it means, as a sentence.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// What the caller can do.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),* }
            }
        }
    };
}

reasons! {
    1 WrongAudience "The command names another registry or incarnation.", "Send it to the registry it names, or sign it anew for this one.";
    2 SessionUnknown "The session is not open here.", "Open a session.";
    3 SessionExpired "The request number is below the window of stored answers; it was not executed.", "Read to learn the outcome, then use a new number.";
    4 IdempotencyMismatch "The request number was used with other bytes.", "Use a new request number.";
    5 CommandExpired "The command's time limit had passed at log time.", "Sign it anew.";
    6 SignerUnknown "The signing key is not enrolled.", "Have the key added: of an enterprise by a registrar, of an office by an admin.";
    7 SignerNotActive "The signing key was retired or reported compromised.", "Sign with an active key; a key that is retired needs nothing more.";
    70 SessionNotYours "The session belongs to another certificate or another party.", "Open a session of your own.";
    8 BadSignature "The signature does not verify under the enrolled key.", "Sign the exact bytes with the enrolled key.";
    9 Malformed "An item is not a canonical command of the kind the header names.", "Encode the items canonically.";
    100 RangeInverted "A range ends before it begins.", "Exchange the bounds, or leave one out.";
    10 RoleNotAllowed "The actor's role may not give this command.", "Ask one of the roles that may.";
    71 ActorNotInStanding "The actor's own enterprise may not act.", "Have a registrar reinstate, renew or widen it; recalls, remedies and taking back an export go on.";
    11 NotYours "The subject belongs to another enterprise.", "Ask the enterprise it belongs to.";
    12 PrefixNotOurs "The code does not stand under this registry's prefix.", "Register under this registry's prefix.";
    13 EnterpriseUnknown "The enterprise is not registered.", "Accredit the enterprise first.";
    14 EnterpriseExists "The enterprise code is taken, or the enterprise is accredited under another one.", "Use a free code; what is accredited is amended.";
    15 EnterpriseNotActive "The enterprise is suspended, struck off or outside its accreditation period.", "A registrar reinstates who is suspended and renews what ran out; who is struck off stays so, and another may succeed it.";
    16 EnterpriseLacksRole "The enterprise is not accredited for this role.", "A registrar extends the accreditation.";
    130 SuccessionCircular "The successor leads back to the enterprise itself.", "Name another successor.";
    17 SignerExists "The key is enrolled already.", "Use a key of its own for every signer.";
    72 LastOfRole "The last key of this role is not retired, nor the last admin's certificate revoked.", "Add another first; of a certificate that was replaced, say so.";
    150 QuorumNeeded "Fewer than a quorum of the voters would have a certificate that is taken.", "Give the node another certificate, and say that it has one; or change the voters first.";
    18 ModelUnknown "The model is not approved here.", "Apply for type approval.";
    19 ModelExists "The model code is taken.", "Use a free model code.";
    20 ModelNotApproved "The type approval is suspended or withdrawn.", "Wait for the approval, or use another model.";
    21 OutsideProduction "The manufacture date lies outside the model's production period.", "Check the date or extend the approval.";
    99 MadeLater "The manufacture date lies in the future.", "Check the date; a robot is registered after it was made.";
    151 KeyNotProven "The robot key did not sign for this code with this body.", "Have the key, where it is, sign the bytes for this very robot, and give its signature with it.";
    22 IdentityEnded "The code, body or an identity part has reached its end of life, here or abroad.", "Nothing: a scrapped or recycled identity never returns; what another country merely says of one, a registrar clears.";
    97 MakerDiffers "The body's maker is not the one that may be named here.", "A maker registers its own bodies; an importer files those of makers that are not accredited here.";
    23 CodeExists "The code is registered.", "Use another serial; a code is never used twice.";
    24 BodyExists "The body is registered under another code.", "Check the body's serial.";
    25 PartInUse "A part is fitted in another robot.", "Remove it there first.";
    96 KeyInUse "The robot key is that of another robot.", "Draw a key of its own for every robot.";
    26 RobotUnknown "The robot is not registered here.", "Check the code.";
    27 StateFinal "The robot's life has ended; nothing follows.", "Only a correction may follow.";
    28 NotInCustody "The robot is in another country's custody.", "Ask the registry in custody.";
    29 SequenceMismatch "The record has changed since it was read.", "Read it again and decide anew.";
    30 TransferOpen "An export of the robot is open.", "Cancel the export, or wait for it.";
    92 OwnershipRequestOpen "A request for ownership of the robot is open.", "Approve it or end it.";
    31 Held "A hold blocks this action.", "Have its setter lift the hold.";
    32 RecallOpen "An open recall blocks this action.", "Have the recall remedied.";
    111 HereForATime "The robot was admitted for a time, not for good.", "Have this done where its owner is recorded, or have it admitted for good. On, or home, it goes for a time: temporary admission, repair and return, exhibition or transit.";
    33 TransitionNotAllowed "The action does not apply in the robot's state.", "See the life-cycle table, and who owns and holds the robot.";
    94 InspectionMissing "The newest inspection since the robot was retired is not one that it passed, or its report is another one.", "Inspect the robot, and name the report of that inspection.";
    95 LeafNotItsOwn "The leaf to correct is none of the robot's.", "See its history.";
    93 PartNotFitted "No such part is fitted in the robot.", "See its record.";
    34 SecondPartyRequired "The second step needs another party than the first.", "Have the other party confirm: of an office's word, another person of an office.";
    35 NothingPending "There is nothing of this to approve, confirm or withdraw.", "Start with the first step.";
    102 EndDeclared "The recycler has declared the end of this robot.", "Wait for its confirmation; one that was withdrawn is declared again after a day.";
    103 DailyLimit "This was done as often as one may in a day.", "Go on tomorrow; for the robots of others, have the owner name you its workshop.";
    36 HoldUnknown "No such hold stands, or it was set by another office.", "Check the holds.";
    98 ClaimUnknown "The peer claims no such end, or the claim was cleared.", "See which peer the refusal names, and which identity.";
    116 NotParked "No such item of the peer's mailbox waits.", "See what waits: it was taken or given up, or never came.";
    101 ReasonMissing "A reason is required to act on what is another's.", "Give the reason, or the order it rests on.";
    37 HoldExists "The hold stands already.", "Nothing to do.";
    38 ReleaseCodeWrong "The secret is not that of the release.", "Ask the owner for the secret of the newest release.";
    39 PeerUnknown "The other country is not a peer.", "Exchange trust bundles first.";
    40 PeerQuarantined "The other country's log forked; no new offers or accepts.", "Wait for the settlement.";
    160 ContactPaused "The contact with the other country is paused, or was ended.", "An office resumes what was paused; what the roots ended begins anew with a newer bundle.";
    124 PeerDoubted "What the other country's log shows is doubted; no new offers or accepts.", "See why (runbook doubted-peer), and speak with that country.";
    112 BundleExpired "The other country's trust bundle has expired; what it says waits unread.", "Exchange a newer bundle.";
    113 PeerPaused "The other country's mail reached a limit; the rest of it waits.", "Wait, and ask the other country why it sends so much.";
    41 NoAgreement "No recognition agreement with the other country is in force and not suspended.", "Conclude an agreement.";
    42 ClauseExcludes "The agreement does not cover this purpose, level or model.", "See the clause named.";
    170 CommodityDiffers "The commodity code declared is not that of the model's approval.", "Declare the code of the approval, or have a registrar approve the model under another one.";
    171 ConsignmentDiffers "The consignment is another declarant's, or goes elsewhere.", "Use another reference for this consignment.";
    43 TransferUnknown "No such transfer, or this step is the other country's.", "Check the transfer number, and whose step it is.";
    44 TransferExists "The transfer number was used.", "Use a new transfer number.";
    45 AlreadyAdmitted "The transfer was admitted before; a permit is good once.", "Hold the robot: this is a second presentation.";
    91 AlreadyPermitted "The import is permitted already.", "Before its departure there is nothing to do, or its permit is taken back; once it has departed, admit it or send it back.";
    46 TransferEnded "The transfer is over: admitted, cancelled, refused or returned.", "See how it ended; a robot that moves on needs a new one.";
    47 NotAccepted "The importing country has not permitted the import.", "Wait for its permit.";
    48 DeadlinePassed "A time limit has passed, or lies too far ahead.", "See the time named: what has passed is begun anew, what is too late is set earlier.";
    49 NotReleased "The exporting country has not released the robot.", "Wait for its departure.";
    50 ConditionUnmet "A condition of the permit is not met.", "Meet the condition, or return the robot.";
    110 DisclosureDiffers "The exporting country discloses another identity than the record here.", "Send the robot back, or have the exporting country correct its record.";
    51 RecallExists "The recall number is taken.", "Use a free number.";
    52 RecallUnknown "No such recall is in force, or the robot does not owe it: it is not matched, or was remedied.", "Check the number, and the robot's record.";
    53 PredicateEmpty "The recall names no model.", "Name at least one model.";
    118 NotSettled "The fork cannot be settled by this leaf here.", "Settle it by the other leaf: the other country goes on from there.";
    54 StatementUnsigned "A root statement lacks the signatures of its roots.", "Have the roots sign it.";
    55 StatementStale "A root statement has a sequence or version not above the last.", "Sign a newer one.";
    119 DueFirst "Something has expired and has not been ended yet.", "State it again in a moment: the leader ends first what is due.";
    56 PrefixOverlap "The prefix is ours or another peer's.", "Compare the prefix tables.";
    57 EvidenceBroken "A foreign statement is not proven by its evidence.", "Fetch it again from the peer.";
    114 Parked "The statement cannot be taken yet; it is kept, and tried again.", "Nothing: it is tried again when the record of its robot moves, and when the feature level is raised.";
    140 ItemTooLarge "The statement is larger than a statement may be, and was not read.", "Say it anew, in fewer bytes.";
    115 ParkedOver "The statement waited and was given up: as many as are kept came after it.", "Say it again, once it can be taken here.";
    117 Discarded "The statement waited, and a registrar gave it up.", "See the reason; say it again, if it still holds.";
    58 EvidenceGap "A foreign statement is not the next in the mailbox.", "Follow from the cursor.";
    60 NotSealed "The checkpoint to publish was not sealed, or is not newer.", "Sign the newest sealed size.";
    61 ClockAhead "The stamp is above the ceiling that a quorum of clocks set.", "Try again; if it stays, check the leader's clock.";
    62 AlreadyInitialised "The registry has its genesis.", "Nothing to do.";
    63 NotInitialised "The registry has no genesis yet.", "Found it: the roots sign its genesis.";
    64 ClocksDisagree "No quorum of the voters' clocks stands within two seconds of the time asked for.", "Set the nodes' clocks that are off.";
    65 TimeNeedsRoots "Log time moves by more than an hour only by a statement of the roots.", "Check the nodes' clocks, then have the roots move log time (runbook time).";
    161 AuditContradicts "The node is no member, or its chain of audit does not go on from where the log says it stood.", "See the runbook audit: the chain was cut or written anew, or the node has another's.";
    66 RecordFull "The record holds as much of this as a record may.", "See the limit named; what is over has to end first.";
    68 LevelRefused "The feature level asked for is not the next, or a member does not know it.", "Bring every member to a version that knows the level.";
    69 RuleUnknown "No published rule of this number runs by an entry at this feature level.", "Raise the feature level.";
    121 NothingChanges "Everything stands already as it is asked for; nothing was written.", "Nothing to do.";
    122 MinuteLimit "The signer has told other countries as much as one may within a minute.", "Go on in a minute: what else is told them has its turn first.";
    67 EntryFull "The log entry did as much work as one entry may before it came to this item, which was not executed.", "Send the same request again: what was done keeps its answer, the rest is executed.";
}

/// A lawful "no": the reason and what it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// What exactly: the code, the state, the place and time of the first admission.
    pub detail: Detail,
}
crate::canonical_struct!(Rejection { reason, detail });

impl Rejection {
    /// A rejection with what it stands on.
    pub fn new(reason: Reason, detail: Detail) -> Self {
        Self { reason, detail }
    }
}

impl Rejection {
    /// What the caller can do; where the deed is another's, who may.
    pub fn next(&self) -> String {
        let deed = match &self.detail {
            Detail::RoleMayNotDo { deed, .. } | Detail::NoRelation { deed, .. } => Some(*deed),
            _ => None,
        };
        // Who holds a robot that is another's, or is here for a time, may send it abroad, but not for good.
        if let Detail::NoRelation {
            deed: Deed::DeclareExport,
            ..
        } = &self.detail
        {
            return "For good it is for the owner, or for whoever holds for sale what nobody owns. Whoever holds it otherwise, as a guest's \
                    holder, sends it for a time: temporary admission, repair and return, exhibition or transit."
                .to_owned();
        }
        if let Detail::AgreementInForce { asked, newest } = &self.detail
            && newest.is_none_or(|newest| newest < asked.version)
        {
            return format!(
                "No such version is in force by this registry's log. Where it is concluded, have it published here too: each country puts {asked} into its \
                 own log."
            );
        }
        if let Detail::OfAnotherHand { .. } = &self.detail {
            return "Name holder, role and person as the key was enrolled that is to be followed; of an office the list of its keys shows them.".to_owned();
        }
        if let Detail::ForSide { .. } = &self.detail {
            return "Have it done there, or ask whoever acts for that side.".to_owned();
        }
        if let Detail::RoleMayNotHold { kind, .. } = &self.detail {
            let setters = Role::ALL.iter().filter(|role| sets(**role, *kind));
            let setters: Vec<&str> = setters.map(|role| role.word()).collect();
            let who = match setters.as_slice() {
                [] => "nobody".to_owned(),
                setters => setters.join(", "),
            };
            return format!("{} {} is for: {who}.", self.reason.remedy(), kind.name());
        }
        if let Detail::SuspendedThere { by, .. } = &self.detail {
            return format!(
                "Nobody in {by} may permit it before then: ask there, or wait until {by} resumes it."
            );
        }
        if let Detail::AgreementSuspended { .. } = &self.detail {
            return "The agreement stands and is suspended here: wait for that time, or have the roots resume it.".to_owned();
        }
        match deed {
            Some(deed) => format!(
                "{} {} is for: {}.",
                self.reason.remedy(),
                deed.name(),
                who_may(deed)
            ),
            None => self.reason.remedy().to_owned(),
        }
    }
}

impl Rejection {
    /// The same as it can be read again: what is written is read by every node, and one answer that is not would stop them all.
    /// A detail beyond the bounds that it is read by is left out.
    #[must_use]
    pub fn readable(self) -> Self {
        // level: what this program wrote a moment ago, held to its bounds; those of a detail are the same at every level.
        match Self::from_bytes(&self.to_bytes()) {
            Ok(_) => self,
            Err(_) => Self::new(self.reason, Detail::NOTHING),
        }
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::new(reason, Detail::NOTHING)
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({}): {}",
            self.reason.name(),
            self.reason.number(),
            self.reason.text()
        )?;
        if !self.detail.is_empty() {
            write!(f, " {}", self.detail)?;
        }
        Ok(())
    }
}

/// `Err` with a rejection, for early return.
pub fn refuse<T>(reason: Reason, detail: Detail) -> Result<T, Rejection> {
    Err(Rejection::new(reason, detail))
}
