//! What custody is told in: the steps, a link, the chain of one robot as one registry knows it, and in which words a link
//! is doubted. Values only: what may be written and what moves the chain is one level up.

use crate::bytes::code::Prefix;
use crate::bytes::digest::Digest;
use crate::bytes::time::TimeMs;
use crate::limits::Epoch;
use crate::record::crossing::{AgreementRef, TransferId};

/// A step of the chain. Accept, Refuse and Detain are side leaves: they move no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The beginning of every chain.
    Register,
    /// Exporter: offered, epoch + 1.
    Offer,
    /// Importer: import permitted.
    Accept,
    /// Importer: import refused.
    Refuse,
    /// Exporter: offer ended; the epoch is burned.
    Cancel,
    /// Exporter: released; the importer is responsible.
    Depart,
    /// Importer: held at the border.
    Detain,
    /// Importer: admitted; custody is there.
    Admit,
    /// Importer: sent back, epoch + 1; the exporter is responsible.
    Return,
}
crate::canonical_enum!(Step {
    1 => Register, 2 => Offer, 3 => Accept, 4 => Refuse, 5 => Cancel, 6 => Depart, 7 => Detain, 8 => Admit, 9 => Return,
});

/// One link, as it stands in slot 12 of its writer's leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What its writer did.
    pub step: Step,
    /// The transfer it belongs to; none at registration.
    pub transfer: Option<TransferId>,
    /// Dense counter per robot over all jurisdictions.
    pub epoch: u64,
    /// The exporter; none at registration.
    pub from: Option<Prefix>,
    /// The importer; at registration the registry itself.
    pub to: Prefix,
    /// Leaf hash of the previous link, whoever wrote it.
    pub prev: Digest,
    /// The agreement and its version, which govern the transfer to its end; none at registration.
    pub agreement: Option<AgreementRef>,
}
crate::canonical_struct!(Link {
    step,
    transfer,
    epoch: Epoch,
    from,
    to,
    prev,
    agreement
});

impl Link {
    /// The link of a registration.
    pub fn register(me: Prefix) -> Self {
        Self {
            step: Step::Register,
            transfer: None,
            epoch: 0,
            from: None,
            to: me,
            prev: Digest::ZERO,
            agreement: None,
        }
    }

    /// Which party must have written it: the exporter, the importer, or (registration) the registry itself.
    pub fn writer(&self) -> Prefix {
        match (self.step, self.from) {
            (Step::Offer | Step::Cancel | Step::Depart, Some(from)) => from,
            _ => self.to,
        }
    }
}

/// The importer's permit, as the exporter holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// Leaf hash of the Accept.
    pub leaf: Digest,
    /// Departure at the latest, by the exporter's log time.
    pub depart_by: TimeMs,
}
crate::canonical_struct!(Permit { leaf, depart_by });

/// What this registry knows of a robot's custody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not here, and nothing open.
    Elsewhere {},
    /// In custody here.
    Here {},
    /// In custody here, offered to another country.
    Offered {
        /// By which it was offered.
        transfer: TransferId,
        /// To whom.
        to: Prefix,
        /// Leaf hash of the Offer.
        offer: Digest,
        /// The agreement and its version.
        agreement: AgreementRef,
        /// The permit, once it came.
        permit: Option<Permit>,
    },
    /// Departed: the other country is responsible.
    Released {
        /// By which it left.
        transfer: TransferId,
        /// To whom.
        to: Prefix,
        /// Leaf hash of the Depart.
        depart: Digest,
        /// The agreement and its version.
        agreement: AgreementRef,
    },
    /// Admitted by the other country, or moved on from there.
    Gone {
        /// By which it left us last.
        transfer: TransferId,
        /// Where it is.
        to: Prefix,
        /// Leaf hash of the Admit; further abroad, of the newest step by which it moved on.
        admit: Digest,
    },
    /// Offered to us.
    Asked {
        /// By which it is offered.
        transfer: TransferId,
        /// By whom.
        from: Prefix,
        /// Leaf hash of the Offer.
        offer: Digest,
        /// The offer stands until then, by our log time.
        offer_until: TimeMs,
        /// The agreement and its version.
        agreement: AgreementRef,
    },
    /// We permitted the import.
    Permitted {
        /// By which it may come.
        transfer: TransferId,
        /// By whom.
        from: Prefix,
        /// Leaf hash of the Offer.
        offer: Digest,
        /// Departure at the latest.
        depart_by: TimeMs,
        /// The agreement and its version.
        agreement: AgreementRef,
    },
    /// Released to us: we are responsible, not yet in custody.
    InTransit {
        /// By which it comes.
        transfer: TransferId,
        /// By whom.
        from: Prefix,
        /// Leaf hash of the Depart.
        depart: Digest,
        /// The agreement and its version.
        agreement: AgreementRef,
    },
}
crate::canonical_variants!(Phase {
    0 => Elsewhere {},
    1 => Here {},
    2 => Offered { transfer, to, offer, agreement, permit },
    3 => Released { transfer, to, depart, agreement },
    4 => Gone { transfer, to, admit },
    5 => Asked { transfer, from, offer, offer_until, agreement },
    6 => Permitted { transfer, from, offer, depart_by, agreement },
    7 => InTransit { transfer, from, depart, agreement },
});

/// The chain of one robot as one registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The highest epoch seen. Never goes back.
    pub epoch: u64,
    /// Leaf hash of the newest link.
    pub link: Digest,
    /// The newest link itself, shown in slot 12.
    pub shown: Option<Link>,
    /// The newest link, where the robot was offered or moved on between others since: `link` is then the leaf of this one,
    /// and `shown` an older one. Of an offer that the other one accepted it is the Accept, and `link` the leaf of the Offer.
    pub followed: Option<Link>,
    /// What is known.
    pub phase: Phase,
}
crate::canonical_struct!(Chain {
    epoch: Epoch,
    link,
    shown,
    followed,
    phase
});

impl Chain {
    /// The chain of a robot never heard of.
    pub fn unknown() -> Self {
        Self {
            epoch: 0,
            link: Digest::ZERO,
            shown: None,
            followed: None,
            phase: Phase::Elsewhere {},
        }
    }

    /// The newest link, whoever wrote it: that of the leaf [`Chain::link`].
    pub fn newest(&self) -> Option<&Link> {
        self.followed.as_ref().or(self.shown.as_ref())
    }

    /// The epoch of the newest step known by which custody came to where it is: an offer and what becomes of it move none, and stand
    /// above the one that did. Where offers were cancelled since, that one may be of an earlier epoch still.
    pub fn moved_at(&self) -> u64 {
        let Some(newest) = self.newest() else {
            return 0;
        };
        match newest.step {
            Step::Register | Step::Depart | Step::Detain | Step::Admit | Step::Return => {
                newest.epoch
            }
            Step::Offer | Step::Accept | Step::Refuse | Step::Cancel => {
                newest.epoch.saturating_sub(1) // saturates: no epoch is before the first
            }
        }
    }

    /// Whether this registry has custody: it writes life-cycle events.
    pub fn in_custody(&self) -> bool {
        matches!(self.phase, Phase::Here {} | Phase::Offered { .. })
    }

    /// Whether this registry is responsible: exactly one is at every instant.
    pub fn is_responsible(&self) -> bool {
        self.in_custody() || matches!(self.phase, Phase::InTransit { .. })
    }

    /// The other country that was last shown to be responsible, while this one is not.
    pub fn responsible_abroad(&self) -> Option<Prefix> {
        match &self.phase {
            Phase::Gone { to, .. } | Phase::Released { to, .. } => Some(*to),
            Phase::Asked { from, .. } | Phase::Permitted { from, .. } => Some(*from),
            // An offer refused or cancelled, or a return of ours: the exporter has it.
            Phase::Elsewhere {} => self.shown.as_ref().and_then(|link| link.from),
            Phase::Here {} | Phase::Offered { .. } | Phase::InTransit { .. } => None,
        }
    }

    /// The transfer that is open, with exporter and importer; `me` is this registry.
    pub(crate) fn open_between(&self, me: Prefix) -> Option<(TransferId, Prefix, Prefix)> {
        match &self.phase {
            Phase::Offered { transfer, to, .. } | Phase::Released { transfer, to, .. } => {
                Some((*transfer, me, *to))
            }
            Phase::Asked { transfer, from, .. }
            | Phase::Permitted { transfer, from, .. }
            | Phase::InTransit { transfer, from, .. } => Some((*transfer, *from, me)),
            Phase::Elsewhere {} | Phase::Here {} | Phase::Gone { .. } => None,
        }
    }

    /// The transfer that is open, if any.
    pub fn open_transfer(&self) -> Option<TransferId> {
        match &self.phase {
            Phase::Offered { transfer, .. }
            | Phase::Released { transfer, .. }
            | Phase::Asked { transfer, .. }
            | Phase::Permitted { transfer, .. }
            | Phase::InTransit { transfer, .. } => Some(*transfer),
            Phase::Elsewhere {} | Phase::Here {} | Phase::Gone { .. } => None,
        }
    }
}

/// Where a robot stands in its chain, as a rejection names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// Not here, and no transfer is open.
    Elsewhere {},
    /// In custody here.
    Here {},
    /// Offered to another country.
    Offered {
        /// By which it was offered.
        transfer: TransferId,
        /// To whom.
        to: Prefix,
        /// Whether its permit came.
        permitted: bool,
    },
    /// Departed.
    Released {
        /// By which it left.
        transfer: TransferId,
        /// To whom.
        to: Prefix,
    },
    /// Admitted by the other country, or moved on from there.
    Gone {
        /// By which it left us last.
        transfer: TransferId,
        /// Where it is.
        to: Prefix,
    },
    /// Offered to us.
    Asked {
        /// By which it is offered.
        transfer: TransferId,
        /// By whom.
        from: Prefix,
    },
    /// Permitted by us.
    Permitted {
        /// By which it may come.
        transfer: TransferId,
        /// By whom it was offered.
        from: Prefix,
    },
    /// Released to us.
    InTransit {
        /// By which it comes.
        transfer: TransferId,
        /// By whom.
        from: Prefix,
    },
}
crate::canonical_variants!(Whereabouts {
    0 => Elsewhere {},
    1 => Here {},
    2 => Offered { transfer, to, permitted },
    3 => Released { transfer, to },
    4 => Gone { transfer, to },
    5 => Asked { transfer, from },
    6 => Permitted { transfer, from },
    7 => InTransit { transfer, from },
});

impl std::fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Elsewhere {} => write!(f, "the robot is not here and no transfer is open"),
            Self::Here {} => write!(f, "the robot is in custody here"),
            Self::Offered {
                transfer,
                to,
                permitted,
            } => {
                let state = if *permitted {
                    "permitted"
                } else {
                    "waiting for its permit"
                };
                write!(f, "transfer {transfer} to {to} is open, {state}")
            }
            Self::Released { transfer, to } => write!(f, "transfer {transfer}: departed to {to}"),
            Self::Gone { transfer, to } => write!(f, "transfer {transfer}: admitted by {to}"),
            Self::Asked { transfer, from } => {
                write!(f, "transfer {transfer} from {from} waits for our permit")
            }
            Self::Permitted { transfer, from } => {
                write!(f, "transfer {transfer}: {from} has not released the robot")
            }
            Self::InTransit { transfer, from } => {
                write!(f, "transfer {transfer} from {from} is in transit")
            }
        }
    }
}

/// Why a link is doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Written by neither party.
    NeitherParty,
    /// A transfer without an exporter.
    NoExporter,
    /// The accept names another offer.
    AcceptOfAnother,
    /// The admission names another departure.
    AdmitOfAnother,
    /// The return names another departure.
    ReturnOfAnother,
    /// Admitted or returned without our departure.
    WithoutOurDeparture,
    /// Offered by another country while we are responsible.
    OfferedWhileOurs,
    /// Offered by a country that has not admitted it.
    OfferedWithoutAdmission,
    /// The departure names another offer.
    DepartOfAnother,
    /// Departed after the permit had run out.
    PermitRunOut,
    /// Departed without our permit.
    WithoutOurPermit,
    /// A transfer without an agreement.
    NoAgreement,
    /// The open transfer is between others.
    OtherParties,
    /// It names another link before it than the newest.
    AnotherBefore,
    /// No such step follows the newest link.
    OutOfOrder,
    /// Its epoch is not the one that follows.
    EpochOff,
    /// It names another transfer, other parties or another agreement than the link before.
    OtherTerms,
    /// Another offer of it is open here.
    OfferOpen,
}
crate::canonical_enum!(Doubt { 1 => NeitherParty, 2 => NoExporter, 3 => AcceptOfAnother, 4 => AdmitOfAnother, 5 => ReturnOfAnother, 6 => WithoutOurDeparture, 7 => OfferedWhileOurs, 8 => OfferedWithoutAdmission, 9 => DepartOfAnother, 10 => PermitRunOut, 11 => WithoutOurPermit, 12 => NoAgreement, 13 => OtherParties, 40 => AnotherBefore, 41 => OutOfOrder, 42 => EpochOff, 43 => OtherTerms, 44 => OfferOpen });

impl Doubt {
    /// As words.
    pub fn text(self) -> &'static str {
        match self {
            Self::NeitherParty => "written by neither party",
            Self::NoExporter => "a transfer without an exporter",
            Self::AcceptOfAnother => "the accept names another offer",
            Self::AdmitOfAnother => "the admission names another departure",
            Self::ReturnOfAnother => "the return names another departure",
            Self::WithoutOurDeparture => "admitted or returned without our departure",
            Self::OfferedWhileOurs => "offered by another country while we are responsible",
            Self::OfferedWithoutAdmission => "offered by a country that has not admitted it",
            Self::DepartOfAnother => "the departure names another offer",
            Self::PermitRunOut => "departed after the permit had run out",
            Self::WithoutOurPermit => "departed without our permit",
            Self::NoAgreement => "a transfer without an agreement",
            Self::OtherParties => "the open transfer is between others",
            Self::AnotherBefore => "it names another link before it than the newest",
            Self::OutOfOrder => "no such step follows the newest link",
            Self::EpochOff => "its epoch is not the one that follows",
            Self::OtherTerms => {
                "another transfer, other parties or another agreement than the link before"
            }
            Self::OfferOpen => "another offer of it is open",
        }
    }
}
