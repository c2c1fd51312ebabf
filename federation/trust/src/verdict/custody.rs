//! Where the robot is, by the registries' own leaves: each departure is joined to the admission that names it.
//!
//! A registry is believed about custody only for its own steps. So the issuer's "departed to X" leads to X's evidence,
//! which must show its own admission of the same transfer and epoch, naming the departure's leaf.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::custody::{Link, Step};
use carnet_domain::log::map::RobotStatus;

use super::ReasonCode;
use crate::bundle::PinnedBundle;
use crate::evidence::{ProvenEvidence, ProvenLink, ProvenRobot};

/// One registry's proven evidence.
pub(super) struct Party<'a> {
    pub(super) bundle: &'a PinnedBundle,
    pub(super) proven: &'a ProvenEvidence,
}

/// Where the robot is: indices of the parties on the way, and who is responsible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// Parties that the way passes, the issuer first.
    pub(super) path: Vec<usize>,
    /// Whose record tells the robot's state: the holder's, or in transit that of the registry which released it.
    pub(super) record: usize,
    /// Who is responsible.
    pub(super) responsible: usize,
    /// Released to it, not yet admitted.
    pub(super) in_transit: bool,
}

/// Why it is not known where the robot is.
pub(super) struct Lost {
    pub(super) code: ReasonCode,
    pub(super) detail: String,
    /// Parties passed until then.
    pub(super) path: Vec<usize>,
}

/// Whither a registry's evidence leads: whose is needed to know where the robot is, if it is not there.
pub fn leads_to(bundle: &PinnedBundle, proven: &ProvenEvidence) -> Option<Prefix> {
    let robot = proven.robot()?;
    let party = Party { bundle, proven };
    let shown = robot.link().ok().flatten();
    let next = if released(&party, robot) {
        shown.and_then(|link| link.from)
    } else if departed(&party, robot) {
        away(&party, shown.as_ref()).map(|(_, next)| next)
    } else {
        None
    };
    next.filter(|next| !bundle.owns(next))
}

/// Follows the robot from the issuer (party 0) to the registry that is responsible. Which steps are shown is the bearer's choice:
/// the registry that they lead to must be the one that every newest step on the way names.
pub(super) fn locate(parties: &[Party<'_>]) -> Result<Located, Lost> {
    let located = follow(parties)?;
    match held_elsewhere(parties, &located.path) {
        None => Ok(located),
        Some((registry, holder)) => Err(Lost {
            code: ReasonCode::CustodyMismatch,
            detail: format!(
                "{registry} shows the robot as with {holder}, where no step that is shown leads"
            ),
            path: located.path,
        }),
    }
}

fn follow(parties: &[Party<'_>]) -> Result<Located, Lost> {
    let mut path = vec![0];
    loop {
        // It begins with the issuer and only grows.
        let at = path.last().copied().unwrap_or(0);
        let lost = |code, detail: String| Lost {
            code,
            detail,
            path: path.clone(),
        };
        let party = &parties[at];
        let me = party.bundle.primary();
        let Some(robot) = party.proven.robot() else {
            return Err(lost(
                ReasonCode::CustodyMismatch,
                format!("{me} has no record of the robot"),
            ));
        };
        if released(party, robot) {
            return returning(parties, path, robot);
        }
        if let (true, Err(error)) = (covered(robot), robot.link()) {
            // Neither the map nor the newest step shown tells whether it left, or has come.
            return Err(lost(
                ReasonCode::HiddenField,
                format!("custody in {me}: {error}"),
            ));
        }
        if !departed(party, robot) {
            return Ok(Located {
                path,
                record: at,
                responsible: at,
                in_transit: false,
            });
        }
        let shown = match robot.link() {
            Ok(shown) => shown,
            Err(error) => {
                return Err(lost(
                    ReasonCode::HiddenField,
                    format!("custody in {me}: {error}"),
                ));
            }
        };
        let Some((link, next)) = away(party, shown.as_ref()) else {
            return Err(lost(
                ReasonCode::CustodyMismatch,
                format!("{me} shows the robot as elsewhere and no step that led it away"),
            ));
        };
        let found = parties.iter().position(|other| other.bundle.owns(&next));
        let to = match found {
            Some(to) if !path.contains(&to) => to,
            Some(_) => {
                return Err(lost(
                    ReasonCode::CustodyMismatch,
                    format!(
                        "{me} shows the robot as departed to {next}, which shows an older step"
                    ),
                ));
            }
            None => {
                return Err(lost(
                    ReasonCode::NoEvidence,
                    format!(
                        "{me} shows the robot as departed to {next}, of which there is no evidence"
                    ),
                ));
            }
        };
        match join(party, &link, &parties[to]) {
            Ok(Joined::Held) => path.push(to),
            Ok(Joined::InTransit) => {
                path.push(to);
                return Ok(Located {
                    path,
                    record: at,
                    responsible: to,
                    in_transit: true,
                });
            }
            Err((code, detail)) => {
                path.push(to);
                return Err(Lost { code, detail, path });
            }
        }
    }
}

/// Whether the map's status tells nothing of the robot's whereabouts: there is none, or what stops the robot stands before.
fn covered(robot: &ProvenRobot) -> bool {
    matches!(
        robot.status(),
        None | Some(RobotStatus::EndOfLifePending | RobotStatus::Stopped)
    )
}

/// Whether a registry shows the robot as released to it and not yet admitted. The map shows one status, the gravest: what else
/// is true of the robot says the newest step.
fn released(party: &Party<'_>, robot: &ProvenRobot) -> bool {
    let came = |link: &Link| {
        matches!(link.step, Step::Depart | Step::Detain) && party.bundle.owns(&link.to)
    };
    match robot.status() {
        Some(RobotStatus::Released) => true,
        Some(_) if covered(robot) => robot
            .link()
            .is_ok_and(|link| link.as_ref().is_some_and(came)),
        _ => false,
    }
}

/// Whether a registry shows the robot as in custody elsewhere. Without the map only the newest step shown tells.
fn departed(party: &Party<'_>, robot: &ProvenRobot) -> bool {
    match robot.status() {
        Some(status) => status == RobotStatus::Departed,
        None => {
            let link = robot.link().ok().flatten();
            link.is_some_and(|link| {
                // Who else offers or releases it has it; only our own admission ends that.
                let elsewhere = link.from.is_some_and(|from| !party.bundle.owns(&from));
                whither(party, &link).is_some() || (elsewhere && link.step != Step::Admit)
            })
        }
    }
}

/// A registry on the way whose newest step, which its leaf itself shows, names a holder that the way does not pass: the step that
/// led there was left out, and an older one followed.
fn held_elsewhere(parties: &[Party<'_>], path: &[usize]) -> Option<(Prefix, Prefix)> {
    let mut before = path.iter().map(|at| &parties[*at]);
    before.find_map(|party| {
        let link = party.proven.robot()?.link().ok().flatten()?;
        let elsewhere = link.from.filter(|from| !party.bundle.owns(from))?;
        let named = match link.step {
            Step::Offer | Step::Accept | Step::Refuse | Step::Cancel => elsewhere,
            _ => return None,
        };
        let shown = path.iter().any(|at| parties[*at].bundle.owns(&named));
        (!shown).then(|| (party.bundle.primary(), named))
    })
}

/// The step that led the robot away from a registry, and whither: the newest one shown or, when that is about a
/// transfer back that has not happened yet, the registry's own newest one that did.
fn away(party: &Party<'_>, shown: Option<&Link>) -> Option<(Link, Prefix)> {
    let own = party.proven.links().iter().rev().map(ProvenLink::link);
    let mut links = shown.into_iter().chain(own);
    links.find_map(|link| whither(party, link).map(|next| (link.clone(), next)))
}

/// Whither a step leads the robot away from this registry, if it does.
fn whither(party: &Party<'_>, link: &Link) -> Option<Prefix> {
    let from = link.from?;
    match link.step {
        Step::Depart | Step::Admit if party.bundle.owns(&from) => Some(link.to),
        Step::Return if party.bundle.owns(&link.to) => Some(from),
        _ => None,
    }
}

enum Joined {
    /// The next registry admitted it.
    Held,
    /// It was released to the next registry, which knows so and has not admitted it.
    InTransit,
}

/// Joins the step by which the robot left one registry to what the next one shows.
fn join(from: &Party<'_>, link: &Link, to: &Party<'_>) -> Result<Joined, (ReasonCode, String)> {
    let (me, next) = (from.bundle.primary(), to.bundle.primary());
    let mismatch = |detail: String| Err((ReasonCode::CustodyMismatch, detail));
    let Some(robot) = to.proven.robot() else {
        return mismatch(format!(
            "{me} shows the robot as departed to {next}, which has no record of it"
        ));
    };
    let theirs = match robot.link() {
        Ok(theirs) => theirs,
        Err(error) => {
            return Err((
                ReasonCode::HiddenField,
                format!("custody in {next}: {error}"),
            ));
        }
    };
    if link.step == Step::Return {
        // The exporter takes it back by folding the return: the same link, or a later one of its own.
        let taken = theirs.is_some_and(|theirs| theirs == *link || link.epoch < theirs.epoch);
        return match taken {
            true => Ok(Joined::Held),
            false => mismatch(format!("{me} returned the robot, {next} does not show it")),
        };
    }
    if released(to, robot) {
        return match theirs {
            Some(theirs) if is_of_release(from.proven, link, &theirs) => Ok(Joined::InTransit),
            _ => mismatch(format!("{me} and {next} show different releases")),
        };
    }
    let depart = match link.step {
        Step::Admit => link.prev,
        _ => match departure(from.proven, link) {
            Some(leaf) => leaf,
            None => {
                return Err((
                    ReasonCode::NoEvidence,
                    format!("{me} does not show the leaf of the departure"),
                ));
            }
        },
    };
    let admits = |theirs: &Link| {
        theirs.step == Step::Admit
            && theirs.transfer == link.transfer
            && theirs.epoch == link.epoch
            && theirs.prev == depart
    };
    if to.proven.links().iter().any(|own| admits(own.link())) {
        return Ok(Joined::Held);
    }
    mismatch(format!(
        "{me} shows the robot as departed to {next}, which shows no admission that names this departure"
    ))
}

/// Whether what the importer shows as newest is that release, or that it detained what came by it.
fn is_of_release(from: &ProvenEvidence, link: &Link, theirs: &Link) -> bool {
    let detained = || {
        let depart = Link {
            step: Step::Depart,
            prev: link.prev,
            ..theirs.clone()
        };
        let names_it = departure(from, link).is_none_or(|leaf| leaf == theirs.prev);
        theirs.step == Step::Detain && depart == *link && names_it
    };
    theirs == link || detained()
}

/// The leaf by which a registry released the robot.
fn departure(from: &ProvenEvidence, link: &Link) -> Option<Digest> {
    let own = from.links().iter().rev();
    let mut departures = own.filter(|own| own.link() == link);
    departures.next().map(|own| *own.leaf())
}

/// Released back to the issuer: the state is told by the registry that released it.
fn returning(
    parties: &[Party<'_>],
    mut path: Vec<usize>,
    robot: &ProvenRobot,
) -> Result<Located, Lost> {
    let at = path.last().copied().unwrap_or(0);
    let me = parties[at].bundle.primary();
    let lost = |code, detail: String, path| Err(Lost { code, detail, path });
    let link = match robot.link() {
        Ok(link) => link,
        Err(error) => {
            return lost(
                ReasonCode::HiddenField,
                format!("custody in {me}: {error}"),
                path,
            );
        }
    };
    let from = link.as_ref().and_then(|link| link.from);
    let found = from.and_then(|from| parties.iter().position(|p| p.bundle.owns(&from)));
    let Some((link, from)) = link.zip(found.filter(|from| *from != at)) else {
        return lost(
            ReasonCode::NoEvidence,
            format!(
                "the robot is in transit to {me}, and the registry that released it is not shown"
            ),
            path,
        );
    };
    path.push(from);
    if departure(parties[from].proven, &link).is_none() {
        let other = parties[from].bundle.primary();
        return lost(
            ReasonCode::CustodyMismatch,
            format!("{me} shows a release by {other}, which {other} does not show"),
            path,
        );
    }
    Ok(Located {
        path,
        record: from,
        responsible: at,
        in_transit: true,
    })
}
