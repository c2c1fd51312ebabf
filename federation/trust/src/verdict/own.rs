//! What the verifier's own country knows argues for: how old that is, whose word it doubts, how a head goes with the one it
//! took in, and what it recorded itself about the robot.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::custody::{Link, Step};
use carnet_domain::log::leaf::Subject;
use carnet_domain::log::map::RobotStatus;
use carnet_domain::record::event::Standing;

use super::custody::{Located, Party};
use super::examine::{Case, Seen};
use super::weigh::set;
use super::{AHEAD_MAX, Purpose, Reason, ReasonCode, Value, facts, words};
use crate::bundle::PinnedBundle;
use crate::evidence::{HeadOrder, ProvenEvidence, ProvenRobot};
use crate::known::{
    Doubt, Ground, KnownRecall, KnownRobot, Later, Place, Source, Told, key_of_unshown,
};
use crate::taken::TakenHead;

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
        if known.told_of_model(&self.input.code) == Told::Perhaps {
            self.unknown(
                ReasonCode::NoPack,
                format!("{me} recorded something of its model or maker, or of one like it, which has no room in the pack: ask online"),
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

    /// Whether all is here that the own country knows of a registry.
    pub(super) fn known_of(&mut self, registry: &PinnedBundle) {
        let known = self.input.known.iter();
        let mut lacking = known.flat_map(|known| &known.lacking);
        if lacking.any(|lacking| registry.owns(lacking)) {
            let (me, registry) = (self.input.verifier, registry.primary());
            self.unknown(
                ReasonCode::NoPack,
                format!("not all that {me} knows of {registry} has room in the pack: ask online"),
            );
        }
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
    pub(super) fn head(
        &mut self,
        registry: &Prefix,
        proven: &ProvenEvidence,
        taken: Option<&TakenHead>,
    ) {
        let Some(known) = &self.input.known else {
            return;
        };
        // The own country's word about this very head stands for what joins it to the one known; not one of before there was that head.
        let was_there = |taken: &&TakenHead| {
            // saturates: no instant is later than the last
            proven.time() <= taken.at().saturating_add(AHEAD_MAX)
        };
        let taken = taken.filter(was_there);
        let taken = taken.is_some_and(|taken| taken.is_of(proven));
        let head = known.registries.get(registry).and_then(|known| known.head);
        let Some(head) = head else {
            // A node asks the peer itself; with a pack there is nobody to ask, and a head that is not in it is not known.
            if known.source == Source::Pack && !taken {
                let detail = format!("the pack names no head of {registry}: save a newer one");
                self.unknown(ReasonCode::HeadNotJoined, detail);
            }
            return;
        };
        let (size, seen) = (proven.size(), head.size);
        let own = *registry == self.input.verifier;
        if own && known.source == Source::Store {
            // The log is its own: there is nothing to join, and nothing but age to ask for.
            if size < seen {
                self.older_own_head(proven, seen);
            }
            return;
        }
        match (proven.against(head.size, &head.root, head.time), known.source) {
            (HeadOrder::Same | HeadOrder::Extends, _) => {}
            (HeadOrder::Older, Source::Pack) if own => self.older_own_head(proven, seen),
            // How old what a file shows of others may be, is the clause's affair; that it is of the history known is not.
            (HeadOrder::Older | HeadOrder::NotJoined, Source::Pack) if taken => {}
            (HeadOrder::Older, Source::Pack) => self.argue(
                ReasonCode::OlderHead,
                Value::Stale,
                format!(
                    "{size} leaves of {registry} are shown, {seen} were taken in when the pack was made, and nothing says that \
                     those were too: ask for newer evidence"
                ),
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

    /// The own country's evidence from before what is known. A pack names every robot that its record speaks against, and a store has
    /// the record: any other that has a record is here and in service. Evidence that shows it so is true still, but for recalls since, which the
    /// robot may have come to match since; evidence that shows it elsewhere, on its way or not at all is not.
    fn older_own_head(&mut self, proven: &ProvenEvidence, seen: u64) {
        let (me, size) = (self.input.verifier, proven.size());
        let Some(known) = &self.input.known else {
            return;
        };
        let since = if known.may_speak_against(&self.input.code) {
            "what it records of the robot now speaks against it, or may"
        } else if !shows_here(proven) {
            "the robot was not shown as here then"
        } else if self.recalled_since(proven) {
            "the robot's model was recalled, maybe since"
        } else {
            return;
        };
        self.argue(
            ReasonCode::OlderHead,
            Value::Stale,
            format!("{size} leaves of {me} are shown, what is known is of after {seen}, and {since}: ask for newer evidence"),
        );
    }

    /// Whether a recall of the model binds that evidence does not name: not with the model, nor as owed or remedied.
    fn recalled_since(&self, proven: &ProvenEvidence) -> bool {
        let id = self.input.code.model_id();
        let standing = proven.robot().map(ProvenRobot::standing);
        let standing = standing.and_then(|shown| shown.ok().flatten());
        let named = |recall: &KnownRecall| {
            let of_model = proven.model().is_some_and(|model| {
                let mut recalls = model.recalls.iter();
                recalls.any(|notice| *notice == recall.notice)
            });
            let id = &recall.notice.id;
            let of_robot = standing
                .as_ref()
                .is_some_and(|shown| shown.owed.contains(id) || shown.remedied.contains(id));
            of_model || of_robot
        };
        let known = self.input.known.iter().flat_map(|known| &known.recalls);
        let mut touching = known.filter(|recall| recall.models.contains(&id));
        touching.any(|recall| !named(recall))
    }

    /// Whatever the own country knows of the end of the code, body, parts or key that a registry shows is final, at any age: as the end
    /// of this robot. That one of them ended with another robot makes it uncertain which of the two has it.
    pub(super) fn identities(&mut self, party: Option<&Party<'_>>) {
        let Some(known) = &self.input.known else {
            return;
        };
        let robot = Subject::robot(&self.input.code).key();
        let code = ("code", robot);
        let shown = party.map(|party| party.proven.identities());
        let shown = shown
            .into_iter()
            .flatten()
            .map(|shown| ("body, part or key", shown));
        let keys: Vec<_> = std::iter::once(code).chain(shown).collect();
        let mut perhaps = None;
        let has_row = known.robots.contains_key(&robot);
        if !has_row && known.told(&key_of_unshown(&robot)) == Told::Perhaps {
            perhaps = Some("code");
        }
        let own_code = self.input.code.prefix() == self.input.verifier;
        for (what, key) in keys {
            let Some(ending) = known.robots.get(&key).and_then(|robot| robot.ended) else {
                let said = own_code && key == robot && !self.silent_of_set(party);
                if known.told(&key) == Told::Perhaps && !said {
                    perhaps = perhaps.or(Some(what));
                }
                continue;
            };
            let (by, state) = (ending.by, ending.state.name());
            if ending.code != self.input.code {
                // Whoever names its serial in a robot of its own ends nobody else's.
                let other = ending.code.display_form();
                self.unknown(
                    ReasonCode::CustodyMismatch,
                    format!("said of two: its {what} is that of {other} too, of which {by} recorded {state}"),
                );
                continue;
            }
            self.state = Some(ending.state);
            self.argue(
                ReasonCode::FinalState,
                Value::Invalid,
                format!("its {what} ended: {by} recorded {state}"),
            );
            // The others ended with it.
            return;
        }
        if let Some(what) = perhaps {
            let me = self.input.verifier;
            self.unknown(
                ReasonCode::NoPack,
                format!("{me} recorded something of its {what}, or of one like it, which has no room in the pack: ask online"),
            );
        }
    }

    /// Whether the own evidence, which of an own code may say by itself for what the set names it, does not. From before the pack it
    /// is not used anyway, and newer is asked for.
    fn silent_of_set(&self, party: Option<&Party<'_>>) -> bool {
        let me = &self.input.verifier;
        let Some(party) = party.filter(|party| party.bundle.owns(me)) else {
            return false;
        };
        let known = self.input.known.as_ref();
        let known = known.and_then(|known| known.registries.get(me));
        let older = known.and_then(|known| known.head).is_some_and(|head| {
            let order = party.proven.against(head.size, &head.root, head.time);
            order == HeadOrder::Older
        });
        !older && !says_why(party.proven)
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

    /// Body, key and manufacture are the same in every record on the way, as far as a registry keeps them: it never changes what
    /// the issuer vouches for.
    pub(super) fn identity_agrees(&mut self, parties: &[Party<'_>], path: &[usize]) {
        let of = |at: &usize| {
            let party = &parties[*at];
            let fixed = party.proven.robot().map(ProvenRobot::fixed);
            (party.bundle.primary(), fixed.unwrap_or_default())
        };
        let mut all = path.iter().map(of);
        let Some((issuer, first)) = all.next() else {
            return;
        };
        for (registry, other) in all {
            if let Some(what) = first.differs(&other) {
                self.unknown(
                    ReasonCode::CustodyMismatch,
                    format!("{issuer} and {registry} show robots that differ in {what}"),
                );
            }
        }
    }

    /// Where the robot's newest transfer stands by the own record: for people, who must know what comes next.
    pub(super) fn in_transfer(&mut self) {
        let now = self.now;
        let transfer = self.own_word().and_then(|own| own.transfer.as_ref());
        if let Some(words) = transfer.map(|transfer| transfer.words(now)) {
            self.argue(ReasonCode::InTransfer, Value::Valid, words);
        }
    }

    /// That the own country let it in, and when, to whoever stands at its border: a second body under the same code comes there too.
    pub(super) fn admitted(&mut self, parties: &[Party<'_>]) {
        let me = self.input.verifier;
        let is_here = self.own_word().and_then(|own| own.place) == Some(Place::Here);
        if self.purpose != Purpose::BorderInspection || !is_here {
            return;
        }
        let mut own = parties.iter().filter(|party| party.bundle.owns(&me));
        // What was offered since, and taken back, let it out of no door.
        let step = own.find_map(|party| {
            let mut steps = party.proven.links().iter().rev();
            steps.find(|it| matches!(it.link().step, Step::Admit | Step::Return))
        });
        let Some(step) = step else { return };
        let (what, at) = (step.link().step.name().to_lowercase(), step.at());
        let detail = format!(
            "{me} recorded {what} of it on {at}, and it is there since: at the border it would be presented a second time"
        );
        self.argue(ReasonCode::AdmittedHere, Value::Valid, detail);
    }

    /// What the own country detained at its border is not let in, and neither works nor is sold here.
    pub(super) fn detained(&mut self, parties: &[Party<'_>], all_seen: &[Seen]) {
        let here = matches!(
            self.purpose,
            Purpose::BorderInspection | Purpose::Operation | Purpose::MarketAccess
        );
        let (me, seen) = (self.input.verifier, self.known_seen());
        let why = self.own_word().and_then(|own| own.detained);
        if let Some(why) = why.filter(|_| here) {
            let detail = format!("{me} detained it: {}", why.name());
            self.block(ReasonCode::Detained, seen, detail);
        }
        let transfer = self.own_word().and_then(|own| own.transfer.as_ref());
        let by_officer = transfer.is_some_and(|transfer| transfer.step == Step::Detain);
        if here && why.is_none() && by_officer {
            self.block(ReasonCode::Detained, seen, format!("{me} detained it"));
        }
        // Own evidence of later than what is known says so by its newest step.
        let known_at = self.input.known.as_ref().map(|known| known.at);
        for (party, seen) in parties.iter().zip(all_seen) {
            let newest = party.proven.robot().map(ProvenRobot::link);
            let is_detained = matches!(newest, Some(Ok(Some(link))) if link.step == Step::Detain);
            let is_newer = party.bundle.owns(&me) && known_at < Some(party.proven.time());
            if here && why.is_none() && !by_officer && is_newer && is_detained {
                let detail = format!("{me} detained it");
                self.block(ReasonCode::Detained, *seen, detail);
            }
        }
    }

    /// Whether the own evidence of a robot that is here shows a step of it that what is known may not have: on what ground it is here
    /// stands in no evidence, and whoever has no row, or an older one, cannot tell. A pack has a head of the log: a step in a leaf beyond
    /// it came later, whatever was said of the time, which the roots may have set back since.
    fn came_since(&self, party: &Party<'_>) -> bool {
        // That nothing is known is said already.
        let Some(known) = &self.input.known else {
            return false;
        };
        let shown = (party.proven.size(), party.proven.time());
        let (index, at) = match party.proven.robot().map(|robot| (robot, robot.link())) {
            Some((_, Ok(Some(link)))) if never_left(&link) => return false,
            Some((robot, Ok(Some(link)))) => {
                let mut own = party.proven.links().iter().rev();
                let step = own.find(|own| *own.link() == link);
                let newest = (robot.leaf().index(), shown.1);
                step.map_or(newest, |step| (step.index(), step.at()))
            }
            Some((_, Ok(None))) => return false,
            Some((_, Err(_))) | None => shown,
        };
        let own = known.registries.get(&self.input.verifier);
        let packed = own
            .and_then(|own| own.head)
            .filter(|_| known.source == Source::Pack);
        let is_beyond = packed.is_some_and(|head| head.size <= index);
        let has_it = self.own_word().and_then(|own| own.place) == Some(Place::Here);
        is_beyond || known.at < at || (known.at == at && !has_it)
    }

    /// Holds that stand in the own country's record, wherever the robot is, beside those that are shown: as the own registry
    /// knows it, and as its own evidence has it, which a pack does not repeat.
    pub(super) fn own_record(
        &mut self,
        parties: &[Party<'_>],
        all_seen: &[Seen],
        shown: Option<&Standing>,
    ) {
        self.own_said = true;
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
                    stand.push((holds.collect(), *seen));
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
                if facts::hold_blocks(hold.kind, self.purpose) && !shows(hold.kind) {
                    let detail = format!("{me} recorded {}", set(&hold));
                    self.block(ReasonCode::BlockingHold, seen, detail);
                }
            }
        }
    }

    /// What the own country recorded counts also where others are silent, and where the robot is not found.
    pub(super) fn own_record_alone(&mut self) {
        self.in_transfer();
        self.own_record(&[], &[], None);
        self.detained(&[], &[]);
    }

    /// Whether the robot is found where the own record has it, whatever way to it is shown. A second body bears its plate, or a
    /// registry went back behind its own word: of its own custody each registry is the only one to tell.
    pub(super) fn where_recorded(&mut self, parties: &[Party<'_>], located: &Located) {
        let (me, code) = (self.input.verifier, self.input.code);
        let Some(known) = &self.input.known else {
            return;
        };
        if self.is_overtaken(parties, located) {
            return;
        }
        // Own evidence on the way that is of later than what is known is the newer record.
        let mut way = located.path.iter().map(|at| &parties[*at]);
        if way.any(|party| party.bundle.owns(&me) && known.at < party.proven.time()) {
            return;
        }
        // Of older own evidence it is said already that it is not used.
        let older = |(registry, reason): &(Prefix, Reason)| {
            *registry == me && reason.code == ReasonCode::OlderHead
        };
        let mut way = located.path.iter().map(|at| parties[*at].bundle);
        if self.of_heads.iter().any(older) && way.any(|bundle| bundle.owns(&me)) {
            return;
        }
        let holder = parties[located.responsible].bundle;
        let found = match (holder.owns(&me), located.in_transit) {
            (false, _) => Place::Away,
            (true, true) => Place::Coming,
            (true, false) => Place::Here,
        };
        let robot = Subject::robot(&code).key();
        let perhaps = known.may_be_here(&code);
        let told = known.may_speak_against(&code) || known.told_of_model(&code) == Told::Perhaps;
        let recorded = match known.robots.get(&robot) {
            Some(row) => row.place,
            // Every way to an own code begins with its own evidence, and of one at home there is no row.
            None if code.prefix() == me => None,
            None if perhaps && found == Place::Away => {
                self.unknown(
                    ReasonCode::NoPack,
                    format!("{me} recorded that the robot, or one like it, is in its own custody, which has no room in the pack: ask online"),
                );
                return;
            }
            None if perhaps || told => None,
            None => Some(Place::Away),
        };
        let holder = holder.primary();
        let says = match recorded.filter(|recorded| *recorded != found) {
            Some(Place::Here) => format!("{me} has the robot in its own custody"),
            Some(Place::Coming) => format!("{me} recorded that the robot was released to it"),
            Some(Place::Away) => format!("{me} has no such robot in its custody"),
            None => return,
        };
        self.unknown(
            ReasonCode::CustodyMismatch,
            format!("{says}, and what is shown leads to {holder}"),
        );
    }

    /// Whether the own record knows a later step of the robot's custody than the one that led it to where it is found, elsewhere. Each
    /// step has its epoch, which only rises: so this holds whatever is shown of later beside the older word.
    fn is_overtaken(&mut self, parties: &[Party<'_>], located: &Located) -> bool {
        let (me, code) = (self.input.verifier, self.input.code);
        if parties[located.responsible].bundle.owns(&me) {
            return false;
        }
        // In transit the newest step is that of the registry which released it.
        let teller = match located.in_transit {
            true => &parties[located.record],
            false => &parties[located.responsible],
        };
        // Of what is hidden it is said elsewhere.
        let Some(Ok(link)) = teller.proven.robot().map(ProvenRobot::link) else {
            return false;
        };
        let shown = link.map_or(0, |link| link.epoch);
        let later = self.input.known.as_ref();
        let later = later.and_then(|known| known.later_epoch(&code, shown));
        let holder = teller.bundle.primary();
        match later {
            None => return false,
            Some(Later::Recorded(epoch)) => self.unknown(
                ReasonCode::CustodyMismatch,
                format!(
                    "{me} recorded a step of its custody of epoch {epoch}, and {holder} shows it as of epoch {shown}: ask for newer \
                     evidence"
                ),
            ),
            Some(Later::Perhaps) => self.unknown(
                ReasonCode::NoPack,
                format!(
                    "{me} recorded a later step of the custody of the robot, or of one like it, which has no room in the pack: ask \
                     online"
                ),
            ),
        }
        true
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
            if self.came_since(holder) {
                self.unknown(
                    ReasonCode::NoPack,
                    format!("the robot came to {registry}, or was asked for, after what is known here: whether it was admitted for good is not known"),
                );
            } else if let Some(Ground::Guest { purpose }) = ground {
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
        // By the newest step, which the leaf itself shows: which earlier ones are shown is the bearer's choice.
        let newest = holder.proven.robot().map(ProvenRobot::link);
        let never_left = located.responsible == 0
            && match newest {
                Some(Ok(Some(link))) => never_left(&link),
                Some(Ok(None)) => true,
                Some(Err(_)) | None => false,
            };
        if !first_stay && !never_left {
            self.unknown(
                ReasonCode::HereForATime,
                format!("whether {registry} admitted it for good is not shown"),
            );
        }
    }
}

/// Whether evidence shows a robot here and in service, with nothing that stops it: all that a pack says of whom it does not name.
fn shows_here(proven: &ProvenEvidence) -> bool {
    let Some(robot) = proven.robot() else {
        return false;
    };
    // The map shows the gravest of what is true; this is said only when nothing else is.
    let in_force = robot.status() == Some(RobotStatus::InForce);
    let standing = robot.standing().ok().flatten();
    in_force && standing.is_some_and(|shown| !shown.state.is_final())
}

/// Whether evidence shows a reason for which a set of others names a robot: a hold, a recall that it owes, its end or what leads
/// to it.
fn says_why(proven: &ProvenEvidence) -> bool {
    let Some(robot) = proven.robot() else {
        return false;
    };
    let ends = matches!(
        robot.status(),
        Some(
            RobotStatus::EndOfLifePending
                | RobotStatus::Scrapped
                | RobotStatus::Recycled
                | RobotStatus::Annulled
                | RobotStatus::Stopped
        )
    );
    let standing = robot.standing().ok().flatten();
    let blocked = standing.is_some_and(|shown| {
        shown.state.is_final() || !shown.holds.is_empty() || !shown.owed.is_empty()
    });
    ends || blocked
}

/// Whether a robot whose newest step this is has always been with the registry that registered it: nobody offered it before the
/// first epoch, and it is with its exporter until it departs.
fn never_left(newest: &Link) -> bool {
    match newest.step {
        Step::Register => newest.epoch == 0,
        Step::Offer | Step::Accept | Step::Refuse | Step::Cancel => newest.epoch == 1,
        // Sent back unadmitted from its first way.
        Step::Return => newest.epoch == 2,
        Step::Depart | Step::Detain | Step::Admit => false,
    }
}
