//! One robot and a few registries, reduced to custody: `propose`, `fold`, `follow` and mailboxes, nothing else.
//!
//! What the exhaustive model explores and the random walk plays. All state here is what a registry keeps in one batch
//! with its applied index, so a crash changes nothing and is no step. The network is adversarial: mail is delivered
//! late, never, twice, and, without cursors, in any order. Ghost values (who is truly responsible, the last link of the
//! true chain) are kept beside the registries and never read by them.

use std::collections::BTreeMap;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Canonical, Encoder};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::{
    Act, Chain, Folded, Link, Phase, Step, Written, fold, follow, propose,
};
use carnet_domain::planted::Planted;
use carnet_domain::rules::command::TransferId;

/// The registries, the issuer of the robot's code first.
pub const PREFIXES: [&str; 4] = ["86", "49", "81", "33"];
/// How long offers and permits stand.
const DEADLINE: DurationMs = DurationMs(10);
/// How far a clock jumps when it passes every deadline.
const JUMP: DurationMs = DurationMs(20);

/// What may happen in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    /// How many registries: 2 to 4.
    pub registries: u8,
    /// No offer is made above this epoch.
    pub epoch_max: u64,
    /// Whether mail is taken in order by cursors, or in any order.
    pub in_order: bool,
    /// Whether every clock may once pass all deadlines.
    pub clocks: bool,
    /// Whether one registry may once go back to the day of registration, without a fence and a new incarnation.
    pub restore: bool,
    /// How many lies the last registry may tell beside its lawful steps: links that it signs and that are in no log of
    /// its own.
    pub lies_max: u8,
    /// What its rules do wrong, to see that it is found.
    pub planted: Fault,
}

/// At most one fault of the rules of custody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fault {
    /// None.
    #[default]
    Nothing,
    /// `epoch >=` where `>` is right.
    EpochNotStrict,
    /// A cancelled offer does not burn its epoch.
    CancelKeepsEpoch,
    /// Admits under an accept that is held, without a release.
    AdmitWithoutRelease,
}

impl Planted for Fault {
    fn repeats_epochs(self) -> bool {
        self == Self::EpochNotStrict
    }

    fn cancels_without_burning(self) -> bool {
        self == Self::CancelKeepsEpoch
    }

    fn admits_without_release(self) -> bool {
        self == Self::AdmitWithoutRelease
    }
}

/// What one country of the small world knows, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// What it knows of the robot's custody.
    pub chain: Chain,
    /// Every custody leaf it wrote.
    pub log: Vec<Written>,
    /// How much of each other's mail it applied.
    pub cursors: Vec<usize>,
    /// Its log time.
    pub clock: TimeMs,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Move {
    /// A registry offers the robot to another.
    Offer(u8, u8),
    /// A registry cancels its offer.
    Cancel(u8),
    /// A registry permits the import.
    Accept(u8),
    /// A registry refuses the import.
    Refuse(u8),
    /// A registry releases the robot.
    Depart(u8),
    /// A registry admits the robot.
    Admit(u8),
    /// A registry sends the robot back.
    Return(u8),
    /// The item at this place of the first's mailbox for the second is delivered.
    Deliver(u8, u8, usize),
    /// A clock passes all deadlines.
    Pass(u8),
    /// A registry goes back to the day of registration.
    Restore(u8),
    /// The last registry tells a registry of a step that it did not write.
    Lie(u8, Lie),
}

/// A link that nobody wrote, as its victim's chain makes it tempting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lie {
    /// What the forged link says was done.
    pub step: Step,
    /// The other party of the transfer: the exporter, where the liar is the importer, and the other way round.
    pub with: u8,
    /// How far its epoch is ahead of the victim's.
    pub ahead: u64,
    /// What it names as the link before: the newest link of the victim, the leaf that its phase rests on, or nothing.
    pub prev: Names,
    /// Whether it is about the transfer that is open at the victim, or about a new one.
    pub open: bool,
}

/// Which leaf a lie names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Names {
    /// The newest link of the victim's chain.
    Newest,
    /// The offer or departure that the victim's phase rests on.
    Open,
    /// None.
    Nothing,
}

/// Registries, one robot, and the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// What may happen.
    pub rules: Rules,
    /// All of them, in the order of their numbers.
    pub registries: Vec<Registry>,
    /// Ghost: the chain as it truly is.
    pub truth: Truth,
    /// Ghost: whether a registry was restored.
    pub restored: bool,
    /// Lies told.
    pub lies: u8,
    /// Ghost: whether a lie moved a chain.
    pub believed_a_lie: bool,
    /// Ghost: whether the liar was ever responsible. From then on it may have handed the robot to two at once, which others
    /// cannot tell before they compare its leaves; what is asserted of one true chain ends there.
    pub tainted: bool,
    /// The first thing that a step did against an invariant.
    pub broken: Option<&'static str>,
}

/// The prefix of a registry, by its place.
///
/// # Panics
/// Of none.
pub fn prefix(at: u8) -> Prefix {
    Prefix::parse(PREFIXES[usize::from(at)]).expect("the prefixes of this world are prefixes")
}

/// The place of a registry, by its prefix.
///
/// # Panics
/// Of none.
pub fn place(of: Prefix) -> u8 {
    let at = PREFIXES.iter().position(|p| *p == of.as_str());
    at.expect("links of this world name its registries") as u8
}

/// The chain of one robot as it truly is, whoever knows it: it grows by links that name its end, each at its epoch, written by
/// who is responsible. What checks a model of registries keeps beside them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Truth {
    /// Who is responsible by the leaves written.
    pub whose: u8,
    /// The newest link.
    pub last: Digest,
    /// Epoch of the newest link.
    pub last_epoch: u64,
    /// The offer of each epoch, whoever wrote it.
    pub offers: BTreeMap<u64, Digest>,
}

impl Truth {
    /// Takes in a link that `me` wrote as this leaf; the first invariant that it breaks. Steps beside the chain do not move it.
    ///
    /// # Errors
    /// An invariant is broken; the link is taken in.
    pub fn grow(&mut self, me: u8, link: &Link, leaf: Digest) -> Result<(), &'static str> {
        if matches!(link.step, Step::Accept | Step::Refuse | Step::Detain) {
            return Ok(());
        }
        let mut held = Ok(());
        let grows = matches!(link.step, Step::Offer | Step::Return);
        let epoch = self.last_epoch + u64::from(grows);
        if link.prev != self.last || link.epoch != epoch || me != self.whose {
            held = Err("C3: a link does not continue the chain");
        }
        if link.step == Step::Offer && self.offers.insert(link.epoch, leaf).is_some() {
            held = held.and(Err("C6: an epoch was used twice"));
        }
        self.last = leaf;
        self.last_epoch = link.epoch;
        match (link.step, link.from) {
            (Step::Depart, _) => self.whose = place(link.to),
            (Step::Return, Some(from)) => self.whose = place(from),
            _ => {}
        }
        held
    }
}

impl World {
    /// The day of registration: the robot is in custody of its issuer.
    pub fn new(rules: Rules) -> Self {
        let count = usize::from(rules.registries);
        let me = prefix(0);
        let mut world = Self {
            rules,
            registries: vec![
                Registry {
                    chain: Chain::unknown(),
                    log: Vec::new(),
                    cursors: vec![0; count],
                    clock: TimeMs(0),
                };
                count
            ],
            truth: Truth::default(),
            restored: false,
            lies: 0,
            believed_a_lie: false,
            tainted: false,
            broken: None,
        };
        world.write(0, Link::register(me), TimeMs(0));
        world
    }

    /// Everything that may be tried, lawful or not.
    pub fn moves(&self) -> Vec<Move> {
        let count = self.rules.registries;
        let mut out = Vec::new();
        for me in 0..count {
            let registry = &self.registries[usize::from(me)];
            if registry.chain.epoch < self.rules.epoch_max {
                out.extend(
                    (0..count)
                        .filter(|to| *to != me)
                        .map(|to| Move::Offer(me, to)),
                );
            }
            let steps = [Move::Cancel, Move::Accept, Move::Refuse, Move::Depart];
            out.extend(steps.map(|step| step(me)));
            out.extend([Move::Admit(me), Move::Return(me)]);
            if self.rules.clocks && registry.clock == TimeMs(0) {
                out.push(Move::Pass(me));
            }
            if self.rules.restore && !self.restored {
                out.push(Move::Restore(me));
            }
            if me != self.liar() && self.lies < self.rules.lies_max {
                out.extend(self.lies().map(|lie| Move::Lie(me, lie)));
            }
            for from in (0..count).filter(|from| *from != me) {
                let items = self.mailbox(from, me).len();
                let cursor = registry.cursors[usize::from(from)];
                match self.rules.in_order {
                    true if cursor < items => out.push(Move::Deliver(from, me, cursor)),
                    true => {}
                    false => out.extend((0..items).map(|at| Move::Deliver(from, me, at))),
                }
            }
        }
        out
    }

    /// Who lies, where lies are told: never the issuer.
    fn liar(&self) -> u8 {
        self.rules.registries.saturating_sub(1) // saturates: there are at least two
    }

    /// Every lie that its victim's chain could take for true.
    fn lies(&self) -> impl Iterator<Item = Lie> + use<> {
        let others = 0..self.liar();
        let steps = Step::ALL.iter().filter(|step| **step != Step::Register);
        steps.flat_map(move |step| {
            others.clone().flat_map(move |with| {
                (0..=2).flat_map(move |ahead| {
                    [Names::Newest, Names::Open, Names::Nothing]
                        .into_iter()
                        .flat_map(move |prev| {
                            [true, false].map(|open| Lie {
                                step: *step,
                                with,
                                ahead,
                                prev,
                                open,
                            })
                        })
                })
            })
        })
    }

    fn tell(&mut self, to: u8, lie: Lie) {
        let liar = self.liar();
        let chain = self.registries[usize::from(to)].chain.clone();
        let (me, with) = (prefix(liar), prefix(lie.with));
        let (from, dest) = match lie.step {
            Step::Offer | Step::Cancel | Step::Depart => (me, with),
            _ => (with, me),
        };
        let rests_on = match &chain.phase {
            Phase::Offered { offer, .. } | Phase::Asked { offer, .. } => *offer,
            Phase::Permitted { offer, .. } => *offer,
            Phase::Released { depart, .. } | Phase::InTransit { depart, .. } => *depart,
            Phase::Gone { admit, .. } => *admit,
            Phase::Elsewhere {} | Phase::Here {} => Digest::ZERO,
        };
        let prev = match lie.prev {
            Names::Newest => chain.link,
            Names::Open => rests_on,
            Names::Nothing => Digest::ZERO,
        };
        let fresh = TransferId([0xf0 | self.lies; 16]);
        let transfer = chain.open_transfer().filter(|_| lie.open).unwrap_or(fresh);
        let link = Link {
            step: lie.step,
            transfer: Some(transfer),
            epoch: chain.epoch + lie.ahead,
            from: Some(from),
            to: dest,
            prev,
            agreement: Some(super::agreed(from, dest)),
        };
        let clock = self.registries[usize::from(to)].clock;
        let written = Written {
            writer: me,
            leaf: sha256(&[b"lie", &[self.lies], &link.to_bytes()]),
            link,
            at: clock,
            // saturates: a time of the kit
            deadline: clock.saturating_add(DEADLINE),
        };
        self.lies += 1;
        if self.hear(to, &written) {
            self.believed_a_lie = true;
        }
    }

    /// The leaves of `from` that `to` is told of: its own transfers, and to the issuer every move.
    fn mailbox(&self, from: u8, to: u8) -> Vec<&Written> {
        let me = prefix(to);
        let told = |w: &&Written| {
            w.link.transfer.is_some() && (to == 0 || w.link.to == me || w.link.from == Some(me))
        };
        self.registries[usize::from(from)]
            .log
            .iter()
            .filter(told)
            .collect()
    }

    /// The world after a move; `None` when the move is refused or changes nothing.
    pub fn after(&self, step: Move) -> Option<Self> {
        let mut world = self.clone();
        match step {
            Move::Offer(me, to) => {
                let number = self.registries[usize::from(me)].log.len() as u8;
                let mut transfer = [me; 16];
                transfer[15] = number;
                transfer[14] = to;
                world.act(
                    me,
                    &Act::Offer {
                        transfer: TransferId(transfer),
                        to: prefix(to),
                        agreement: super::agreed(prefix(me), prefix(to)),
                    },
                )?;
            }
            Move::Cancel(me) => world.act(me, &Act::Cancel)?,
            Move::Accept(me) => world.act(me, &Act::Accept)?,
            Move::Refuse(me) if self.takes_back_again(me) => return None,
            Move::Refuse(me) => world.act(me, &Act::Refuse)?,
            Move::Depart(me) => world.act(me, &Act::Depart)?,
            Move::Admit(me) => world.act(me, &Act::Admit)?,
            Move::Return(me) => world.act(me, &Act::Return)?,
            Move::Deliver(from, to, at) => world.deliver(from, to, at),
            Move::Lie(to, lie) => {
                world.tell(to, lie);
                // One that is not believed is as good as not told.
                if world.registries == self.registries {
                    return None;
                }
            }
            Move::Pass(me) => {
                let clock = &mut world.registries[usize::from(me)].clock;
                // saturates: a time of the kit
                *clock = clock.saturating_add(JUMP);
            }
            Move::Restore(me) => {
                world.registries[usize::from(me)] = Self::new(self.rules)
                    .registries
                    .swap_remove(usize::from(me));
                world.restored = true;
            }
        }
        (world != *self).then_some(world)
    }

    /// Whether a refusal would take back a permit that was taken back before, which `decide` refuses. Among more than two a
    /// permit is not taken back at all: it adds no order of moving steps, and many states.
    fn takes_back_again(&self, me: u8) -> bool {
        let registry = &self.registries[usize::from(me)];
        let Phase::Permitted { transfer, .. } = registry.chain.phase else {
            return false;
        };
        let refused = |written: &Written| {
            written.link.step == Step::Refuse && written.link.transfer == Some(transfer)
        };
        self.rules.registries > 2 || registry.log.iter().any(refused)
    }

    fn act(&mut self, me: u8, act: &Act) -> Option<()> {
        let registry = &self.registries[usize::from(me)];
        let link = propose(prefix(me), &registry.chain, act, registry.clock).ok()?;
        // saturates: a time of the kit
        let deadline = registry.clock.saturating_add(DEADLINE);
        self.write(me, link, deadline);
        Some(())
    }

    /// A leaf is written and folded in one batch; the ghosts follow it.
    fn write(&mut self, me: u8, link: Link, deadline: TimeMs) {
        let registry = &mut self.registries[usize::from(me)];
        let number = registry.log.len() as u64;
        let leaf = sha256(&[&[me], &number.to_be_bytes(), &link.to_bytes()]);
        let written = Written {
            writer: prefix(me),
            link: link.clone(),
            leaf,
            at: registry.clock,
            deadline,
        };
        let before = registry.chain.epoch;
        match fold(prefix(me), &registry.chain, &written, self.rules.planted) {
            Folded::Moved(chain) => registry.chain = chain,
            Folded::Replay | Folded::Doubtful(_) => {
                self.broken
                    .get_or_insert("a step that was proposed does not move the chain");
            }
        }
        if registry.chain.epoch < before {
            self.broken.get_or_insert("C6: an epoch went back");
        }
        registry.log.push(written);
        self.remember(me, &link, leaf);
    }

    /// The ghosts follow a link that was written.
    fn remember(&mut self, me: u8, link: &Link, leaf: Digest) {
        if self.tainted {
            return;
        }
        if let Err(broken) = self.truth.grow(me, link, leaf) {
            self.broken.get_or_insert(broken);
        }
        self.tainted = self.rules.lies_max > 0 && self.truth.whose == self.liar();
    }

    fn deliver(&mut self, from: u8, to: u8, at: usize) {
        let written = self.mailbox(from, to)[at].clone();
        let cursor = &mut self.registries[usize::from(to)].cursors[usize::from(from)];
        *cursor = (*cursor).max(at + 1);
        self.hear(to, &written);
    }

    /// A registry takes up a link of another; whether it moved the chain.
    fn hear(&mut self, to: u8, written: &Written) -> bool {
        let before = self.registries[usize::from(to)].chain.clone();
        let Some(after) = self.believed(to, &before, written) else {
            return false;
        };
        if after.epoch < before.epoch {
            self.broken.get_or_insert("C6: an epoch went back");
        }
        let undone = matches!(before.phase, Phase::Released { .. }) && after.phase != before.phase;
        if undone && !matches!(written.link.step, Step::Admit | Step::Return) {
            self.broken.get_or_insert("C5: a release was undone");
        }
        let refused = written.link.step == Step::Refuse
            && matches!(before.phase, Phase::Offered { transfer, .. } if Some(transfer) == written.link.transfer);
        self.registries[usize::from(to)].chain = after;
        if refused {
            // By the published rule the exporter's Cancel follows in the same batch.
            let _ = self.act(to, &Act::Cancel);
        }
        true
    }

    /// The chain after a foreign link, as `foreign` judges it; `None` when nothing changes.
    fn believed(&self, to: u8, chain: &Chain, written: &Written) -> Option<Chain> {
        let me = prefix(to);
        let link = &written.link;
        if link.from != Some(me) && link.to != me {
            return follow(me, chain, written);
        }
        let issuer = place(written.writer) == 0;
        let known = issuer || chain.responsible_abroad() == Some(written.writer);
        if link.step == Step::Offer && !known {
            return None;
        }
        match fold(me, chain, written, self.rules.planted) {
            Folded::Moved(chain) => Some(chain),
            Folded::Replay | Folded::Doubtful(_) => None,
        }
    }

    /// C1: at most one registry has the robot in custody.
    pub fn at_most_one_custodian(&self) -> bool {
        let here = self.honest().filter(|me| {
            let registry = &self.registries[usize::from(*me)];
            registry.chain.in_custody()
        });
        self.tainted || here.count() <= 1
    }

    /// Whose word is asserted: everybody's, where nobody lies.
    fn honest(&self) -> impl Iterator<Item = u8> + use<> {
        let liar = (self.rules.lies_max > 0).then(|| self.liar());
        (0..self.rules.registries).filter(move |me| Some(*me) != liar)
    }

    /// C2: nobody believes to be responsible but the one that is, and that one knows it once its mail is delivered.
    pub fn only_the_responsible_claims(&self) -> bool {
        let claims = |me: u8| {
            let registry = &self.registries[usize::from(me)];
            registry.chain.is_responsible()
        };
        let on_its_way = !self.rules.in_order || !self.has_read_everything(self.truth.whose);
        let mut others = self.honest().filter(|me| *me != self.truth.whose);
        self.tainted || (claims(self.truth.whose) || on_its_way) && others.all(|me| !claims(me))
    }

    fn has_read_everything(&self, to: u8) -> bool {
        let mut others = (0..self.rules.registries).filter(|from| *from != to);
        others.all(|from| {
            let applied = self.registries[usize::from(to)].cursors[usize::from(from)];
            applied == self.mailbox(from, to).len()
        })
    }

    /// C3, C5, C6 as every step is judged.
    pub fn nothing_is_broken(&self) -> bool {
        self.broken.is_none()
    }

    /// C4: a link that was applied changes nothing when it comes again. (Where mail comes in any order, coming again is
    /// one of the moves.)
    pub fn a_replay_changes_nothing(&self) -> bool {
        let count = self.rules.registries;
        !self.rules.in_order
            || (0..count).all(|to| {
                let mut others = (0..count).filter(|from| *from != to);
                others.all(|from| self.is_replayed(from, to))
            })
    }

    fn is_replayed(&self, from: u8, to: u8) -> bool {
        let registry = &self.registries[usize::from(to)];
        let applied = registry.cursors[usize::from(from)];
        let mail = self.mailbox(from, to);
        mail.iter().take(applied).all(|written| {
            self.believed(to, &registry.chain, written)
                .is_none_or(|chain| chain == registry.chain)
        })
    }

    /// C7: when all mail is delivered and a transfer is open, some single registry can bring it nearer to its end. (What
    /// was overtaken by later mail is delivered again there where mail comes in any order, so nothing is at rest.)
    pub fn somebody_can_go_on(&self) -> bool {
        let count = self.rules.registries;
        let quiet = (0..count).all(|to| self.has_read_everything(to));
        let open = self
            .registries
            .iter()
            .any(|r| r.chain.open_transfer().is_some());
        if !self.rules.in_order || !quiet || !open {
            return true;
        }
        let steps = [Move::Cancel, Move::Accept, Move::Refuse, Move::Depart];
        (0..count).any(|me| {
            let more = [Move::Admit(me), Move::Return(me)];
            let mut all = steps.map(|step| step(me)).into_iter().chain(more);
            all.any(|step| self.after(step).is_some())
        })
    }

    /// The state as bytes, for fingerprints.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        for registry in &self.registries {
            registry.chain.encode(&mut e);
            e.uint(registry.clock.0);
            e.array(registry.log.len());
            for written in &registry.log {
                written.leaf.encode(&mut e);
                written.at.encode(&mut e);
                written.deadline.encode(&mut e);
            }
            for cursor in &registry.cursors {
                e.uint(*cursor as u64);
            }
        }
        e.uint(u64::from(self.truth.whose));
        self.truth.last.encode(&mut e);
        e.uint(self.truth.last_epoch);
        for (epoch, offer) in &self.truth.offers {
            (*epoch, *offer).encode(&mut e);
        }
        e.bool(self.restored);
        e.uint(u64::from(self.lies));
        e.bool(self.believed_a_lie);
        e.bool(self.tainted);
        e.text(self.broken.unwrap_or_default());
        e.finish()
    }
}
