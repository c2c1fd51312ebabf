//! What the verifier's own country knows argues for: how old that is, whose word it doubts, how a head goes with the one it
//! took in, and what it recorded itself about the robot.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::custody::Step;
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::event::Standing;

use super::custody::{Located, Party};
use super::examine::{Case, Seen};
use super::{AHEAD_MAX, Purpose, ReasonCode, Value, facts, words};
use crate::evidence::{HeadOrder, ProvenEvidence, ProvenLink};
use crate::known::{Doubt, Ground, KnownRobot, Source};

impl Case<'_> {
    /// Whether anything is known at all, and as of when.
    pub(super) fn knowledge(&mut self) {
        let me = self.input.verifier;
        let Some(known) = &self.input.known else {
            self.unknown(
                ReasonCode::NoPack,
                format!(
                    "what {me} knows (agreements, suspensions, heads, ended robots) is not here: save a pack"
                ),
            );
            return;
        };
        let what = match known.source {
            Source::Store => "state of",
            Source::Pack => "pack of",
        };
        if !known.whole {
            self.unknown(
                ReasonCode::NoPack,
                format!("the {what} {me} does not hold everything that is known"),
            );
        }
        // saturates: nothing is later than the last instant
        if self.now.saturating_add(AHEAD_MAX) < known.at {
            self.unknown(
                ReasonCode::ClockAhead,
                format!(
                    "the {what} {me} is of {}, here it is {}",
                    known.at, self.now
                ),
            );
        }
        if !self.known_seen().fresh {
            let age = words(self.now.since(known.at));
            self.argue(
                ReasonCode::TooOld,
                Value::Stale,
                format!("the {what} {me} is {age} old"),
            );
        }
    }

    /// How old what is known is.
    pub(super) fn known_seen(&self) -> Seen {
        let known = self.input.known.as_ref();
        let age = known.map(|known| self.now.since(known.at));
        Seen {
            fresh: age.is_some_and(|age| age <= self.input.own_age_max),
        }
    }

    /// What the own registry recorded about the code.
    pub(super) fn own_word(&self) -> Option<&KnownRobot> {
        let known = self.input.known.as_ref()?;
        known.robot(&self.input.code)
    }

    /// Whether the own country doubts a registry's word.
    pub(super) fn doubted(&mut self, registry: &Prefix) {
        let known = self.input.known.as_ref();
        let known = known.and_then(|known| known.registries.get(registry));
        let Some(doubt) = known.and_then(|known| known.doubt) else {
            return;
        };
        match doubt {
            Doubt::Fork => self.unknown(
                ReasonCode::PeerQuarantined,
                format!("{registry} showed two histories"),
            ),
            Doubt::OtherHistory => self.unknown(
                ReasonCode::OtherHistory,
                format!("{registry} showed a log that does not extend the one known"),
            ),
            Doubt::RolledBack => self.unknown(
                ReasonCode::RolledBack,
                format!(
                    "{registry} showed a smaller log of a later time: it was restored from a copy"
                ),
            ),
        }
    }

    /// How a head goes with the one that the own country took in.
    pub(super) fn head(&mut self, registry: &Prefix, proven: &ProvenEvidence) {
        let Some(known) = &self.input.known else {
            return;
        };
        let head = known.registries.get(registry).and_then(|known| known.head);
        let Some(head) = head else {
            // A node asks the peer itself; with a pack there is nobody to ask, and a head that is not in it is not known.
            if known.source == Source::Pack {
                let detail = format!("the pack names no head of {registry}: save a newer one");
                self.unknown(ReasonCode::HeadNotJoined, detail);
            }
            return;
        };
        let (size, seen) = (proven.size(), head.size);
        match (proven.against(head.size, &head.root, head.time), known.source) {
            (HeadOrder::Same | HeadOrder::Extends, _) => {}
            // What a file shows of others may be older than the pack; how old it may be is the clause's affair.
            (HeadOrder::Older, Source::Pack) if *registry != self.input.verifier => {}
            // Of our own robots the pack says little more than what head there is: before it, holds may be missing.
            (HeadOrder::Older, Source::Pack) => self.argue(
                ReasonCode::OlderHead,
                Value::Stale,
                format!("{size} leaves of {registry} are shown, the pack was made after {seen}: ask for newer evidence"),
            ),
            (HeadOrder::Older, Source::Store) => self.argue(
                ReasonCode::OlderHead,
                Value::Stale,
                format!("{registry} answered with {size} leaves, {seen} were taken in before"),
            ),
            (HeadOrder::NotJoined, _) => self.unknown(
                ReasonCode::HeadNotJoined,
                format!(
                    "nothing shows that the {size} leaves of {registry} extend the {seen} that are known: save a newer pack"
                ),
            ),
            (HeadOrder::RolledBack, _) => self.unknown(
                ReasonCode::RolledBack,
                format!(
                    "{registry} shows {size} leaves of {}, {seen} leaves of {} are known",
                    proven.time(),
                    head.time
                ),
            ),
            (HeadOrder::OtherHistory, _) => self.unknown(
                ReasonCode::OtherHistory,
                format!("the {size} leaves of {registry} do not extend the {seen} that are known"),
            ),
        }
    }

    /// Whatever the own country knows of the end of the code, body, parts or key that a registry shows is final, at any age.
    pub(super) fn identities(&mut self, party: Option<&Party<'_>>) {
        let Some(known) = &self.input.known else {
            return;
        };
        let code = ("code", Subject::robot(&self.input.code).key());
        let shown = party.map(|party| party.proven.identities());
        let shown = shown
            .into_iter()
            .flatten()
            .map(|shown| ("body, part or key", shown));
        let keys: Vec<_> = std::iter::once(code).chain(shown).collect();
        for (what, key) in keys {
            let Some(ending) = known.robots.get(&key).and_then(|robot| robot.ended) else {
                continue;
            };
            let (by, state) = (ending.by, ending.state.name());
            self.state = Some(ending.state);
            self.argue(
                ReasonCode::FinalState,
                Value::Invalid,
                format!("its {what} ended: {by} recorded {state}"),
            );
            // The others ended with it.
            return;
        }
    }

    /// What ends with the robot must be shown in every record on its way: nobody can say of the others whether they ended.
    pub(super) fn identities_shown(&mut self, parties: &[Party<'_>], path: &[usize]) {
        for at in path {
            let party = &parties[*at];
            if let Some(error) = party.proven.identities_hidden() {
                let registry = party.bundle.primary();
                self.unknown(
                    ReasonCode::HiddenField,
                    format!("body, parts and key in {registry}: {error}"),
                );
            }
        }
    }

    /// Holds that stand in the own country's record, wherever the robot is, beside those that are shown: as the own registry
    /// knows it, and as its own evidence has it, which a pack does not repeat.
    pub(super) fn own_record(
        &mut self,
        parties: &[Party<'_>],
        all_seen: &[Seen],
        shown: Option<&Standing>,
    ) {
        let me = self.input.verifier;
        let own = self.own_word().map(|own| own.holds.clone());
        let mut stand = vec![(own.unwrap_or_default(), self.known_seen())];
        for (party, seen) in parties.iter().zip(all_seen) {
            let robot = party.proven.robot();
            let Some(robot) = robot.filter(|_| party.bundle.owns(&me)) else {
                continue;
            };
            match robot.standing() {
                Ok(standing) => {
                    let holds = standing.into_iter().flat_map(|standing| standing.holds);
                    stand.push((holds.map(|hold| hold.kind).collect(), *seen));
                }
                Err(error) => self.unknown(
                    ReasonCode::HiddenField,
                    format!("state and holds in {me}: {error}"),
                ),
            }
        }
        let shows = |kind| shown.is_some_and(|shown| shown.holds.iter().any(|h| h.kind == kind));
        for (holds, seen) in stand {
            for hold in holds {
                if facts::hold_blocks(hold, self.purpose) && !shows(hold) {
                    let detail = format!("{me} recorded {}", hold.name());
                    self.block(ReasonCode::BlockingHold, seen, detail);
                }
            }
        }
    }

    /// Whether the robot may be sold where it is: not where it was admitted for a time only.
    pub(super) fn ground(&mut self, parties: &[Party<'_>], located: &Located) {
        if !matches!(
            self.purpose,
            Purpose::MarketAccess | Purpose::SecondHandPurchase
        ) || located.in_transit
        {
            return;
        }
        let me = self.input.verifier;
        let holder = &parties[located.responsible];
        let registry = holder.bundle.primary();
        if holder.bundle.owns(&me) {
            let ground = self.own_word().and_then(|own| own.ground);
            if let Some(Ground::Guest { purpose }) = ground {
                let (name, seen) = (purpose.name(), self.known_seen());
                self.block(
                    ReasonCode::HereForATime,
                    seen,
                    format!("{me} admitted it for a time only, for {name}"),
                );
            }
            return;
        }
        // At home it is sold where its owner is recorded, abroad for a time or for good.
        let first_stay = located.path.len() == 2 && parties[0].bundle.owns(&me);
        let admitted = |link: &ProvenLink| link.link().step == Step::Admit;
        let never_left = located.responsible == 0 && !holder.proven.links().iter().any(admitted);
        if !first_stay && !never_left {
            self.unknown(
                ReasonCode::HereForATime,
                format!("whether {registry} admitted it for good is not shown"),
            );
        }
    }
}
