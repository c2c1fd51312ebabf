//! Custody of one robot as one sans-IO function: which link of the chain may be written, and how each link, whoever
//! wrote it, moves what a registry knows.
//!
//! ```text
//! exporter A                                      importer B
//! Offer(transfer, e+1)  ──────────────────────▶
//!                       ◀────────────────────── Accept | Refuse
//! Cancel | Depart       ──────────────────────▶            Depart: point of no return, B is responsible
//!                       ◀────────────────────── Admit | Return (e+2)
//! ```
//! [`propose`] judges what this registry wants to write; [`fold`] advances the chain over a link that was written,
//! here or abroad and proven. Both are total and deterministic; a replayed link is a no-op. No timer moves custody:
//! deadlines are compared with the time inside signed leaves only.

pub mod admission;
pub mod chain;
pub mod follows;
pub mod foreign;
pub mod links;
pub mod mail;
pub mod movement;
mod parking;
pub mod proven;
mod settle;
#[allow(clippy::indexing_slicing)]
pub mod trail;

pub use self::chain::{Chain, Doubt, Link, Permit, Phase, Step, Whereabouts};
use self::follows::{follows, row};
use crate::bytes::code::Prefix;
use crate::bytes::digest::Digest;
use crate::bytes::time::TimeMs;
use crate::limits::{EPOCH_FOREIGN_MAX, next_epoch};
use crate::planted::Planted;
use crate::record::crossing::{AgreementRef, TransferId};
use crate::rules::rejection::{Counted, Detail, Reason, Rejection, refuse};

/// What this registry wants to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Custody step 1.
    Offer {
        /// Number of the transfer.
        transfer: TransferId,
        /// To whom.
        to: Prefix,
        /// The agreement and its version.
        agreement: AgreementRef,
    },
    /// Ends the offer.
    Cancel,
    /// Custody step 2.
    Accept,
    /// Refuses the offer.
    Refuse,
    /// Custody step 3.
    Depart,
    /// Custody step 4.
    Admit,
    /// Sends it back.
    Return,
    /// Detains it: moves nothing.
    Detain,
}

/// The link that `act` writes, or why it may not be written now. `now` is the log time of the entry.
///
/// # Errors
/// A lawful "no", with the step that stands in the way.
pub fn propose(me: Prefix, chain: &Chain, act: &Act, now: TimeMs) -> Result<Link, Rejection> {
    let link = |step, transfer: TransferId, epoch, from, to, prev, agreement| {
        Ok(Link {
            step,
            transfer: Some(transfer),
            epoch,
            from: Some(from),
            to,
            prev,
            agreement: Some(agreement),
        })
    };
    match (act, &chain.phase) {
        (
            Act::Offer {
                transfer,
                to,
                agreement,
            },
            Phase::Here {},
        ) => link(
            Step::Offer,
            *transfer,
            one_more(chain)?,
            me,
            *to,
            chain.link,
            agreement.clone(),
        ),
        (Act::Offer { .. }, Phase::Offered { transfer, .. }) => refuse(
            Reason::TransferOpen,
            Detail::Transfer {
                transfer: *transfer,
            },
        ),
        (Act::Offer { .. }, _) => refuse(Reason::NotInCustody, whereabouts(chain)),

        (
            Act::Cancel,
            Phase::Offered {
                transfer,
                to,
                offer,
                agreement,
                ..
            },
        ) => link(
            Step::Cancel,
            *transfer,
            chain.epoch,
            me,
            *to,
            *offer,
            agreement.clone(),
        ),
        (Act::Cancel, _) => refuse(Reason::TransferEnded, whereabouts(chain)),

        (
            Act::Depart,
            Phase::Offered {
                permit: None,
                transfer,
                to,
                ..
            },
        ) => refuse(
            Reason::NotAccepted,
            Detail::WaitsFor {
                transfer: *transfer,
                to: *to,
            },
        ),
        (
            Act::Depart,
            Phase::Offered {
                permit: Some(permit),
                ..
            },
        ) if permit.depart_by < now => refuse(
            Reason::DeadlinePassed,
            Detail::PermittedUntil {
                until: permit.depart_by,
            },
        ),
        (
            Act::Depart,
            Phase::Offered {
                transfer,
                to,
                offer,
                agreement,
                ..
            },
        ) => link(
            Step::Depart,
            *transfer,
            chain.epoch,
            me,
            *to,
            *offer,
            agreement.clone(),
        ),
        (Act::Depart, _) => refuse(Reason::TransferEnded, whereabouts(chain)),

        (Act::Accept, Phase::Asked { offer_until, .. }) if *offer_until < now => refuse(
            Reason::DeadlinePassed,
            Detail::OfferedUntil {
                until: *offer_until,
                now,
            },
        ),
        (
            Act::Accept,
            Phase::Asked {
                transfer,
                from,
                offer,
                agreement,
                ..
            },
        ) => link(
            Step::Accept,
            *transfer,
            chain.epoch,
            *from,
            me,
            *offer,
            agreement.clone(),
        ),
        (
            Act::Refuse,
            Phase::Asked {
                transfer,
                from,
                offer,
                agreement,
                ..
            },
        ) => link(
            Step::Refuse,
            *transfer,
            chain.epoch,
            *from,
            me,
            *offer,
            agreement.clone(),
        ),
        // A permit is taken back: who offers answers with its cancel, or has released the robot already.
        (
            Act::Refuse,
            Phase::Permitted {
                transfer,
                from,
                offer,
                agreement,
                ..
            },
        ) => link(
            Step::Refuse,
            *transfer,
            chain.epoch,
            *from,
            me,
            *offer,
            agreement.clone(),
        ),
        (Act::Accept, Phase::Permitted { .. })
        | (Act::Accept | Act::Refuse, Phase::InTransit { .. }) => {
            refuse(Reason::AlreadyPermitted, whereabouts(chain))
        }
        (Act::Accept | Act::Refuse, _) => refuse(Reason::TransferEnded, whereabouts(chain)),

        (
            Act::Admit,
            Phase::InTransit {
                transfer,
                from,
                depart,
                agreement,
            },
        ) => link(
            Step::Admit,
            *transfer,
            chain.epoch,
            *from,
            me,
            *depart,
            agreement.clone(),
        ),
        (
            Act::Return,
            Phase::InTransit {
                transfer,
                from,
                depart,
                agreement,
            },
        ) => link(
            Step::Return,
            *transfer,
            one_more(chain)?,
            *from,
            me,
            *depart,
            agreement.clone(),
        ),
        (
            Act::Detain,
            Phase::InTransit {
                transfer,
                from,
                depart,
                agreement,
            },
        ) => link(
            Step::Detain,
            *transfer,
            chain.epoch,
            *from,
            me,
            *depart,
            agreement.clone(),
        ),
        (Act::Admit | Act::Return | Act::Detain, Phase::Asked { .. } | Phase::Permitted { .. }) => {
            refuse(Reason::NotReleased, whereabouts(chain))
        }
        (Act::Admit, Phase::Here {} | Phase::Offered { .. }) => {
            refuse(Reason::AlreadyAdmitted, whereabouts(chain))
        }
        (Act::Admit | Act::Return | Act::Detain, _) => {
            refuse(Reason::TransferEnded, whereabouts(chain))
        }
    }
}

/// The epoch of a link that begins a new one.
fn one_more(chain: &Chain) -> Result<u64, Rejection> {
    // Never saturating: an epoch that repeats would let two offers stand at once.
    // Nor beyond what a peer believes: it would nack the link, and a robot under way would be nowhere.
    match next_epoch(chain.epoch).filter(|next| *next <= EPOCH_FOREIGN_MAX) {
        Some(next) => Ok(next),
        None => {
            let detail = Detail::Full {
                what: Counted::Epochs,
                max: EPOCH_FOREIGN_MAX,
            };
            refuse(Reason::RecordFull, detail)
        }
    }
}

/// A link that was written, by us or by a proven peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Who wrote it.
    pub writer: Prefix,
    /// As it stands in slot 12 of the writer's leaf.
    pub link: Link,
    /// Hash of the leaf that carries it.
    pub leaf: Digest,
    /// Log time of that leaf.
    pub at: TimeMs,
    /// Offer: the offer stands until then. Accept: departure at the latest. Else ignored.
    pub deadline: TimeMs,
}

/// What became of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart within one step; a box would be one allocation a step"
)]
pub enum Folded {
    /// The chain moved.
    Moved(Chain),
    /// Seen before, or overtaken: nothing changes.
    Replay,
    /// It contradicts what is known; nothing changes, and it is shown.
    Doubtful(Doubt),
}

/// Advances the chain over a link.
///
/// What comes again, late, or in another order is told apart by what the chain stands at, so that a crash of either side between
/// writing a link, sending it and hearing of it costs nothing:
///
/// - A link that was folded before, of either side, is a [`Folded::Replay`]: the phase has moved past it, or its epoch is spent.
/// - A link ahead of one that is missing does not fold: mail keeps it (`parking`) until the one before it is there.
/// - Between the exporter's Depart and the importer's Admit nobody can take the robot twice: the exporter's phase is Gone, and only
///   that transfer at that epoch, by that importer, ends it.
/// - A Depart that was written and never sent is sent later: the leaf is in the log, the mailbox with it. Until then the importer
///   shows the robot as permitted, and the exporter as gone: in doubt it is in nobody's hands twice.
/// - Two links of one writer that cannot both be true are [`Folded::Doubtful`]: nothing changes, and the pair is shown.
pub fn fold(me: Prefix, chain: &Chain, written: &Written, planted: impl Planted) -> Folded {
    let link = &written.link;
    if written.writer != link.writer() {
        return Folded::Doubtful(Doubt::NeitherParty);
    }
    let Some(transfer) = link.transfer else {
        return if written.writer == me
            && link.step == Step::Register
            && chain.epoch == 0
            && *chain == Chain::unknown()
        {
            moved(chain, written, 0, Phase::Here {})
        } else {
            Folded::Replay
        };
    };
    let Some(from) = link.from else {
        return Folded::Doubtful(Doubt::NoExporter);
    };
    let Some(agreement) = &link.agreement else {
        return Folded::Doubtful(Doubt::NoAgreement);
    };
    // A third country may know the number of a transfer, and names itself as a party of it.
    let open = chain
        .open_between(me)
        .filter(|(open, ..)| *open == transfer);
    if open.is_some_and(|(_, exporter, importer)| (exporter, importer) != (from, link.to)) {
        return Folded::Doubtful(Doubt::OtherParties);
    }
    let folded = if from == me {
        fold_as_exporter(me, chain, written, transfer, agreement, planted)
    } else if link.to == me {
        fold_as_importer(chain, written, transfer, from, agreement, planted)
    } else {
        return Folded::Replay;
    };
    // What we write ourselves `propose` made from the chain. A planted fault is one of the rules above: the table would
    // hide it.
    let strict = written.writer != me && !planted.breaks_custody();
    match (&folded, known_before(chain, link).filter(|_| strict)) {
        (Folded::Moved(_), Some(previous)) => match follows(previous, &chain.link, link) {
            Ok(()) => folded,
            Err(doubt) => Folded::Doubtful(doubt),
        },
        _ => folded,
    }
}

/// The newest link, if `link` is to follow it. An offer further ahead follows links that are not known here: its issuer moved
/// the robot between others since. Of anybody else [`foreign`] takes no such offer.
fn known_before<'c>(chain: &'c Chain, link: &Link) -> Option<&'c Link> {
    let further = link.step == Step::Offer
        && link.prev != chain.link
        && Some(link.epoch) != next_epoch(chain.epoch);
    chain.newest().filter(|_| !further)
}

/// Follows a robot of ours that is abroad over a link that opens nothing here: a step between two others, or an offer to us
/// that is not taken and its end. So the newest link is known, and the offer that brings it home can name it. `None` when
/// the link is none of these, or does not follow the newest one. Nobody becomes responsible without having said so: a
/// departure is followed once the Accept of its importer was, and one to us never.
pub fn follow(me: Prefix, chain: &Chain, written: &Written) -> Option<Chain> {
    let link = &written.link;
    let (transfer, from) = (link.transfer?, link.from?);
    if !matches!(chain.phase, Phase::Gone { .. } | Phase::Elsewhere {}) {
        return None;
    }
    chain.responsible_abroad()?;
    let accepts = link.step == Step::Accept;
    if written.writer != link.writer() || !(row(link.step).moves || accepts) {
        return None;
    }
    let newest = chain.newest()?;
    follows(newest, &chain.link, link).ok()?;
    if link.step == Step::Depart && (link.to == me || newest.step != Step::Accept) {
        return None;
    }
    let has = |to| Phase::Gone {
        transfer,
        to,
        admit: written.leaf,
    };
    let phase = match link.step {
        Step::Depart | Step::Admit => has(link.to),
        Step::Return => has(from),
        // It stays where it is.
        _ => chain.phase.clone(),
    };
    Some(Chain {
        epoch: link.epoch,
        // What comes after a permit names the offer.
        link: if accepts { chain.link } else { written.leaf },
        shown: chain.shown.clone(),
        followed: Some(link.clone()),
        phase,
    })
}

fn fold_as_exporter(
    me: Prefix,
    chain: &Chain,
    w: &Written,
    transfer: TransferId,
    agreement: &AgreementRef,
    planted: impl Planted,
) -> Folded {
    let link = &w.link;
    let stale = if planted.repeats_epochs() {
        next_epoch(link.epoch).is_some_and(|next| next < chain.epoch)
    } else {
        link.epoch < chain.epoch
    };
    if stale {
        return Folded::Replay;
    }
    match (link.step, &chain.phase) {
        (Step::Offer, Phase::Here {})
            if Some(link.epoch) == next_epoch(chain.epoch) && link.prev == chain.link =>
        {
            let phase = Phase::Offered {
                transfer,
                to: link.to,
                offer: w.leaf,
                agreement: agreement.clone(),
                permit: None,
            };
            moved(chain, w, link.epoch, phase)
        }
        (
            Step::Accept,
            Phase::Offered {
                transfer: open,
                to,
                offer,
                agreement,
                permit,
            },
        ) if *open == transfer => {
            if *offer != link.prev {
                return Folded::Doubtful(Doubt::AcceptOfAnother);
            }
            if permit.is_some() {
                return Folded::Replay;
            }
            let permit = Some(Permit {
                leaf: w.leaf,
                depart_by: w.deadline,
            });
            let phase = Phase::Offered {
                transfer,
                to: *to,
                offer: *offer,
                agreement: agreement.clone(),
                permit,
            };
            Folded::Moved(Chain {
                phase,
                ..chain.clone()
            })
        }
        // Nor does it move anything that the importer detains it: its Admit or Return does.
        (
            Step::Detain,
            Phase::Released {
                transfer: open,
                depart,
                ..
            },
        ) if *open == transfer && *depart == link.prev => Folded::Moved(chain.clone()),
        // A refusal moves no link; the Cancel that answers it does.
        (
            Step::Refuse,
            Phase::Offered {
                transfer: open,
                offer,
                ..
            },
        ) if *open == transfer && *offer == link.prev => Folded::Moved(chain.clone()),
        (
            Step::Cancel,
            Phase::Offered {
                transfer: open,
                offer,
                ..
            },
        ) if *open == transfer && *offer == link.prev => {
            let before = chain.epoch.checked_sub(1);
            match before.filter(|_| planted.cancels_without_burning()) {
                Some(before) => moved_to(w, before, Phase::Here {}),
                None => moved(chain, w, chain.epoch, Phase::Here {}),
            }
        }
        (
            Step::Depart,
            Phase::Offered {
                transfer: open,
                to,
                offer,
                agreement,
                permit: Some(_),
            },
        ) if *open == transfer && *offer == link.prev => {
            let phase = Phase::Released {
                transfer,
                to: *to,
                depart: w.leaf,
                agreement: agreement.clone(),
            };
            moved(chain, w, chain.epoch, phase)
        }
        (
            Step::Admit,
            Phase::Released {
                transfer: open,
                to,
                depart,
                ..
            },
        ) if *open == transfer => {
            if *depart != link.prev {
                return Folded::Doubtful(Doubt::AdmitOfAnother);
            }
            moved(
                chain,
                w,
                chain.epoch,
                Phase::Gone {
                    transfer,
                    to: *to,
                    admit: w.leaf,
                },
            )
        }
        (
            Step::Return,
            Phase::Released {
                transfer: open,
                depart,
                ..
            },
        ) if *open == transfer => {
            if *depart != link.prev || Some(link.epoch) != next_epoch(chain.epoch) {
                return Folded::Doubtful(Doubt::ReturnOfAnother);
            }
            moved(chain, w, link.epoch, Phase::Here {})
        }
        (Step::Admit | Step::Return, Phase::Offered { .. } | Phase::Here {})
            if w.writer != me && link.epoch >= chain.epoch =>
        {
            Folded::Doubtful(Doubt::WithoutOurDeparture)
        }
        _ => Folded::Replay,
    }
}

fn fold_as_importer(
    chain: &Chain,
    w: &Written,
    transfer: TransferId,
    from: Prefix,
    agreement: &AgreementRef,
    planted: impl Planted,
) -> Folded {
    let link = &w.link;
    let fresh = if planted.repeats_epochs() {
        link.epoch >= chain.epoch
    } else {
        link.epoch > chain.epoch
    };
    match (link.step, &chain.phase) {
        (Step::Offer, Phase::Here {} | Phase::Offered { .. } | Phase::InTransit { .. })
            if fresh && !planted.repeats_epochs() =>
        {
            Folded::Doubtful(Doubt::OfferedWhileOurs)
        }
        (Step::Offer, Phase::Released { .. }) if fresh && !planted.repeats_epochs() => {
            Folded::Doubtful(Doubt::OfferedWithoutAdmission)
        }
        // It may have been cancelled, and then its Cancel stands before this in the mailbox.
        (Step::Offer, Phase::Asked { .. } | Phase::Permitted { .. })
            if fresh && !planted.repeats_epochs() =>
        {
            Folded::Doubtful(Doubt::OfferOpen)
        }
        (Step::Offer, _) if fresh => {
            let phase = Phase::Asked {
                transfer,
                from,
                offer: w.leaf,
                offer_until: w.deadline,
                agreement: agreement.clone(),
            };
            moved(chain, w, link.epoch, phase)
        }
        (
            Step::Accept,
            Phase::Asked {
                transfer: open,
                offer,
                agreement,
                ..
            },
        ) if *open == transfer && *offer == link.prev => {
            let phase = Phase::Permitted {
                transfer,
                from,
                offer: *offer,
                depart_by: w.deadline,
                agreement: agreement.clone(),
            };
            // A planted fault: the border admits under the accept it holds, as if the release had come.
            let phase = if planted.admits_without_release() {
                Phase::InTransit {
                    transfer,
                    from,
                    depart: *offer,
                    agreement: agreement.clone(),
                }
            } else {
                phase
            };
            Folded::Moved(Chain {
                phase,
                ..chain.clone()
            })
        }
        (Step::Refuse, Phase::Asked { transfer: open, .. }) if *open == transfer => {
            Folded::Moved(Chain {
                phase: Phase::Elsewhere {},
                ..chain.clone()
            })
        }
        (
            Step::Detain,
            Phase::InTransit {
                transfer: open,
                depart,
                ..
            },
        ) if *open == transfer && *depart == link.prev => Folded::Moved(chain.clone()),
        // A permit that is taken back binds until its cancel comes: the robot may be on its way.
        (Step::Refuse, Phase::Permitted { transfer: open, .. }) if *open == transfer => {
            Folded::Moved(chain.clone())
        }
        (
            Step::Cancel,
            Phase::Asked {
                transfer: open,
                offer,
                ..
            }
            | Phase::Permitted {
                transfer: open,
                offer,
                ..
            },
        ) if *open == transfer && *offer == link.prev => {
            moved(chain, w, chain.epoch, Phase::Elsewhere {})
        }
        // The end of an offer that we refused: it enters the trail, and the next offer names it.
        (Step::Cancel, Phase::Elsewhere {})
            if link.prev == chain.link
                && chain.shown.as_ref().is_some_and(|shown| {
                    (shown.step, shown.transfer, shown.from)
                        == (Step::Offer, link.transfer, link.from)
                }) =>
        {
            moved(chain, w, chain.epoch, Phase::Elsewhere {})
        }
        (
            Step::Depart,
            Phase::Permitted {
                transfer: open,
                offer,
                depart_by,
                agreement,
                ..
            },
        ) if *open == transfer => {
            if *offer != link.prev || link.epoch != chain.epoch {
                return Folded::Doubtful(Doubt::DepartOfAnother);
            }
            if *depart_by < w.at {
                return Folded::Doubtful(Doubt::PermitRunOut);
            }
            let phase = Phase::InTransit {
                transfer,
                from,
                depart: w.leaf,
                agreement: agreement.clone(),
            };
            moved(chain, w, chain.epoch, phase)
        }
        (Step::Depart, Phase::Asked { transfer: open, .. }) if *open == transfer => {
            Folded::Doubtful(Doubt::WithoutOurPermit)
        }
        // Of an offer that was refused or not taken, or of none that is known. What was taken before is a repetition.
        (Step::Depart, Phase::Elsewhere {} | Phase::Gone { .. })
            if link.epoch > chain.epoch
                || (link.epoch == chain.epoch && link.prev == chain.link) =>
        {
            Folded::Doubtful(Doubt::WithoutOurPermit)
        }
        (
            Step::Admit,
            Phase::InTransit {
                transfer: open,
                depart,
                ..
            },
        ) if *open == transfer && *depart == link.prev => {
            moved(chain, w, chain.epoch, Phase::Here {})
        }
        (
            Step::Return,
            Phase::InTransit {
                transfer: open,
                depart,
                ..
            },
        ) if *open == transfer
            && *depart == link.prev
            && Some(link.epoch) == next_epoch(chain.epoch) =>
        {
            moved(chain, w, link.epoch, Phase::Elsewhere {})
        }
        _ => Folded::Replay,
    }
}

fn moved(chain: &Chain, w: &Written, epoch: u64, phase: Phase) -> Folded {
    // Every caller compared the link's epoch with the chain's, or hands over the chain's own.
    assert!(chain.epoch <= epoch, "an epoch never goes back");
    moved_to(w, epoch, phase)
}

fn moved_to(w: &Written, epoch: u64, phase: Phase) -> Folded {
    Folded::Moved(Chain {
        epoch,
        link: w.leaf,
        shown: Some(w.link.clone()),
        followed: None,
        phase,
    })
}

/// Where a robot is, for who is refused because of it.
pub(crate) fn whereabouts(chain: &Chain) -> Detail {
    let whereabouts = match chain.phase {
        Phase::Elsewhere {} => Whereabouts::Elsewhere {},
        Phase::Here {} => Whereabouts::Here {},
        Phase::Offered {
            transfer,
            to,
            ref permit,
            ..
        } => Whereabouts::Offered {
            transfer,
            to,
            permitted: permit.is_some(),
        },
        Phase::Released { transfer, to, .. } => Whereabouts::Released { transfer, to },
        Phase::Gone { transfer, to, .. } => Whereabouts::Gone { transfer, to },
        Phase::Asked { transfer, from, .. } => Whereabouts::Asked { transfer, from },
        Phase::Permitted { transfer, from, .. } => Whereabouts::Permitted { transfer, from },
        Phase::InTransit { transfer, from, .. } => Whereabouts::InTransit { transfer, from },
    };
    Detail::Chain { whereabouts }
}
