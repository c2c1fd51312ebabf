//! What the proven facts argue for: the robot's end, approval and maker, state and holds, recalls, and where it is.

use carnet_domain::bytes::code::EnterpriseId;
use carnet_domain::log::leaf::SlotError;
use carnet_domain::log::map::RobotStatus;
use carnet_domain::record::event::{Manufacture, Other, Software, Standing};
use carnet_domain::record::peer::Clause;
use carnet_domain::record::{ApprovalStatus, EnterpriseStatus, Hold, ModelStanding, RecallNotice};

use super::custody::{Located, Lost, Party, locate};
use super::examine::{Case, Seen};
use super::{Purpose, ReasonCode, Value, facts};
use crate::evidence::ProvenRobot;

impl Case<'_> {
    /// Locates the robot; whatever a registry on the way says of its end is final, at any age.
    pub(super) fn follow(&mut self, parties: &[Party<'_>], seen: &[Seen]) -> Option<Located> {
        let (path, located) = match locate(parties) {
            Ok(located) => (located.path.clone(), Some(located)),
            Err(Lost { code, detail, path }) => {
                self.unknown(code, detail);
                (path, None)
            }
        };
        self.dated(&path, parties, seen);
        // A registry that could not be joined to the chain is not believed about the robot's end.
        let joined = match &located {
            Some(_) => &path[..],
            None => match path.split_last() {
                Some((_, before)) if !before.is_empty() => before,
                _ => &path[..],
            },
        };
        for at in joined {
            let party = &parties[*at];
            let Some(robot) = party.proven.robot() else {
                continue;
            };
            let shown = robot.standing().ok().flatten().map(|shown| shown.state);
            let end = facts::final_state(robot.status()).or(shown.filter(|state| state.is_final()));
            if let Some(end) = end {
                self.state = Some(end);
                let (registry, name) = (party.bundle.primary(), end.name());
                self.argue(
                    ReasonCode::FinalState,
                    Value::Invalid,
                    format!("{registry} recorded {name}"),
                );
            }
        }
        if let Some(located) = &located {
            self.custodian = Some(parties[located.responsible].bundle.primary());
        }
        located
    }

    /// Recalls that bind in the own country and that the issuer does not name, or names with other words: no clause limits those.
    /// Either may have amended it since; the graver word counts.
    pub(super) fn own_recalls(
        &mut self,
        model: &ModelStanding,
        shown: &Standing,
        robot: &ProvenRobot,
    ) {
        let (input, seen) = (self.input, self.known_seen());
        let id = input.code.model_id();
        let known = input.known.iter().flat_map(|known| &known.recalls);
        let touching = known.filter(|recall| recall.models.contains(&id));
        let unnamed = touching.map(|recall| &recall.notice).filter(|notice| {
            let mut named = model.recalls.iter();
            !named.any(|named| named == *notice)
        });
        self.recalls(unnamed, shown, robot, seen, None);
    }

    /// Approval and maker's standing, as the issuer shows them.
    pub(super) fn model(&mut self, model: Option<&ModelStanding>, seen: Seen) {
        let Some(model) = model else {
            self.unknown(
                ReasonCode::NoEvidence,
                "approval and recalls of the model are not shown",
            );
            return;
        };
        self.approval(model.approval, seen);
        self.maker(model.enterprise, None, seen);
    }

    /// Approval and maker's standing of an own model, as the own country knows them: its evidence may be older.
    pub(super) fn own_models(&mut self) {
        let (input, seen) = (self.input, self.known_seen());
        let id = input.code.model_id();
        let mut models = input.known.iter().flat_map(|known| &known.models);
        if let Some(model) = models.find(|model| model.id == id) {
            self.approval(model.approval, seen);
        }
        let mut makers = input.known.iter().flat_map(|known| &known.makers);
        if let Some(maker) = makers.find(|maker| maker.id == id.enterprise_id()) {
            self.maker(maker.status, maker.successor, seen);
        }
    }

    fn approval(&mut self, approval: ApprovalStatus, seen: Seen) {
        if let Some((code, value)) = facts::approval(approval, self.purpose) {
            let detail = format!("type approval is {}", approval.name());
            match value {
                Value::Invalid => self.block(code, seen, detail),
                value => self.argue(code, value, detail),
            }
        }
    }

    fn maker(&mut self, maker: EnterpriseStatus, successor: Option<EnterpriseId>, seen: Seen) {
        if let Some(value) = facts::maker(maker, self.purpose) {
            let mut detail = format!("the maker is {}", maker.name());
            if let Some(successor) = successor {
                detail.push_str(&format!("; {successor} was named to go on for it"));
            }
            match value {
                Value::Invalid => self.block(ReasonCode::MakerNotActive, seen, detail),
                value => self.argue(ReasonCode::MakerNotActive, value, detail),
            }
        }
    }

    /// State and holds, as the registry that answers for them shows them.
    pub(super) fn state(
        &mut self,
        party: &Party<'_>,
        robot: &ProvenRobot,
        seen: Seen,
    ) -> Option<Standing> {
        let registry = party.bundle.primary();
        if robot.status() == Some(RobotStatus::EndOfLifePending) {
            self.block(
                ReasonCode::BlockingHold,
                seen,
                format!("{registry}: an end of life is declared"),
            );
        }
        if robot.status() == Some(RobotStatus::Reserved) && robot.standing().is_err() {
            self.block(
                ReasonCode::NotInService,
                seen,
                format!("{registry}: the code is reserved, no robot bears it yet"),
            );
        }
        let shown = match robot.standing() {
            Ok(Some(shown)) => shown,
            Ok(None) => {
                self.unknown(
                    ReasonCode::HiddenField,
                    format!("{registry} keeps no state of the robot"),
                );
                return None;
            }
            Err(error) => {
                self.unknown(
                    ReasonCode::HiddenField,
                    format!("state and holds in {registry}: {error}"),
                );
                return None;
            }
        };
        self.state = self.state.or(Some(shown.state));
        if !shown.state.is_final() && !facts::serves(shown.state, self.purpose) {
            self.block(
                ReasonCode::NotInService,
                seen,
                format!("{registry}: state is {}", shown.state.name()),
            );
        }
        for hold in &shown.holds {
            if facts::hold_blocks(hold.kind, self.purpose) {
                let detail = format!("{registry} shows {}", set(hold));
                self.block(ReasonCode::BlockingHold, seen, detail);
            }
        }
        Some(shown)
    }

    /// Holds in the record of the registry to which the robot is released, beside those of the one that released it: whoever is
    /// responsible records what happens on the way.
    pub(super) fn holds_on_the_way(
        &mut self,
        party: &Party<'_>,
        shown: Option<&Standing>,
        seen: Seen,
    ) {
        let registry = party.bundle.primary();
        let standing = party.proven.robot().map(ProvenRobot::standing);
        let holds = match standing {
            Some(Ok(Some(standing))) => standing.holds,
            Some(Err(error)) => {
                let detail = format!("state and holds in {registry}: {error}");
                self.unknown(ReasonCode::HiddenField, detail);
                return;
            }
            // It knows only the custody of the robot.
            Some(Ok(None)) | None => return,
        };
        let said = |kind| shown.is_some_and(|shown| shown.holds.iter().any(|h| h.kind == kind));
        for hold in holds.iter().filter(|hold| !said(hold.kind)) {
            if facts::hold_blocks(hold.kind, self.purpose) {
                let detail = format!("{registry} shows {}", set(hold));
                self.block(ReasonCode::BlockingHold, seen, detail);
            }
        }
    }

    /// Recalls in force for the model that this robot owes.
    pub(super) fn recalls<'n>(
        &mut self,
        notices: impl IntoIterator<Item = &'n RecallNotice>,
        shown: &Standing,
        robot: &ProvenRobot,
        seen: Seen,
        clause: Option<&Clause>,
    ) {
        let here = self.own_word().map(|known| known.owed.clone());
        let here = here.unwrap_or_default();
        for notice in notices {
            if shown.remedied.contains(&notice.id) {
                continue;
            }
            let owed = shown.owed.contains(&notice.id) || here.contains(&notice.id);
            let matched = if owed {
                Ok(true)
            } else {
                self.matches(notice, robot)
            };
            let (id, severity) = (&notice.id, notice.severity.name());
            let detail = format!("recall {id}, {severity}");
            match matched {
                Ok(false) => {}
                Err(hidden) => {
                    let value = match facts::recall_blocks(notice.severity, self.purpose) {
                        true => Value::Indeterminate,
                        false => Value::Valid,
                    };
                    self.argue(
                        ReasonCode::HiddenField,
                        value,
                        format!("{detail}: {hidden}"),
                    );
                }
                Ok(true) if !facts::recall_blocks(notice.severity, self.purpose) => {
                    self.argue(ReasonCode::RecallOpen, Value::Valid, detail);
                }
                Ok(true) if clause.is_some_and(|c| c.recall_severity_max < notice.severity) => {
                    self.unknown(
                        ReasonCode::RecallOpen,
                        format!("{detail}: graver than the clause lets bind by itself, waits for the regulator"),
                    );
                }
                Ok(true) => self.block(ReasonCode::RecallOpen, seen, detail),
            }
        }
    }

    /// Whether a recall matches; or which field would have to be shown.
    fn matches(&self, notice: &RecallNotice, robot: &ProvenRobot) -> Result<bool, String> {
        let software: Software = needed(robot.software(), "software")?;
        let made: Manufacture = needed(robot.manufacture(), "manufacture")?;
        let predicate = &notice.predicate;
        if !predicate.matches_but_for_parts(&self.input.code, software.firmware.build, made.at) {
            return Ok(false);
        }
        if predicate.part_lot.is_empty() {
            return Ok(true);
        }
        // A part that is shown may have the lot; that none has, takes both lists.
        let others = needed(robot.other(), "parts").map(|other: Other| other.parts);
        let identity = needed(robot.identity_parts(), "identity parts").map(|parts| parts.0);
        let shown = [&others, &identity].into_iter().flatten().flatten();
        if predicate.names_lot_of(shown) {
            return Ok(true);
        }
        others.and(identity).map(|_| false)
    }

    pub(super) fn filing(&mut self, robot: &ProvenRobot) {
        if let Ok(Some(made)) = robot.manufacture()
            && made.importers_filing
        {
            self.argue(
                ReasonCode::ImportersFiling,
                Value::Valid,
                format!("filed by an importer; declared origin {}", made.origin),
            );
        }
    }

    /// Whether the robot is where the purpose needs it.
    pub(super) fn place(&mut self, parties: &[Party<'_>], located: &Located) {
        let holder = parties[located.responsible].bundle;
        let (registry, here) = (holder.primary(), holder.owns(&self.input.verifier));
        let me = self.input.verifier;
        let detail = match (located.in_transit, self.purpose) {
            (true, Purpose::BorderInspection) if here => return,
            (true, _) => format!("in transit to {registry}, not yet admitted"),
            (false, Purpose::SecondHandPurchase) => return,
            (false, Purpose::ImportPermit) if !here => return,
            (false, Purpose::ImportPermit) => format!("already in custody of {registry}"),
            (false, _) if here => return,
            (false, _) => format!("in custody of {registry}, not of {me}"),
        };
        self.unknown(ReasonCode::CustodyMismatch, detail);
    }
}

/// A hold with who set it, which is seldom who shows it, and when.
pub(super) fn set(hold: &Hold) -> String {
    let (kind, setter, since) = (hold.kind.name(), &hold.setter, hold.since);
    format!("{kind}, set by {setter}, since {since}")
}

fn needed<T>(shown: Result<Option<T>, SlotError>, name: &str) -> Result<T, String> {
    match shown {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(format!("{name} is empty")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
