//! The same robot in whole registries: every step is a signed command or a batch of mail, applied by `machine::apply`.
//!
//! Nothing of the rules is repeated here, also not what is believed of another registry or whom a leaf is told to: a registry is
//! a [`Country`] of the kit with its ledger, its log and its mailboxes, and mail is what it would send. What makes the
//! exploration possible is that a registry which hears the same in the same order is the same: each is made once, and known by
//! the digest of its ledger ([`Table`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::discriminant;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::{Chain, Link, Phase, Step};
use carnet_domain::log::leaf::{Kind, Leaf, Slots, Subject};
use carnet_domain::machine::entry::{Body, ItemAnswer, MailBatch, MailItem};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::Peer;
use carnet_domain::rules::command::{Command, Papers, Purpose, TransferId};
use carnet_kit::forge::Forged;
use carnet_kit::world::{self, Fault, Lie, Names, PREFIXES, Rules, Truth, World, place, prefix};
use carnet_kit::{Country, agreed, befriend};
use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::Explored;

/// The status that the map shows of a departed robot.
const DEPARTED: u8 = 7;

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// How many registries: 2 to 4.
    pub registries: u8,
    /// No offer is made above this epoch.
    pub epoch_max: u64,
    /// Whether every clock may once pass all deadlines.
    pub clocks: bool,
    /// Whether mail comes as it was first written, or all of it under the newest checkpoint of its sender.
    pub mail: Mail,
    /// How many lies the last registry may tell beside its lawful steps: leaves of its own log, sealed, signed and proven.
    pub lies_max: u8,
    /// A fault that the rules of everybody have.
    pub planted: Fault,
}

/// Under which checkpoint mail is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mail {
    /// Each batch under the checkpoint that followed it.
    AsWritten,
    /// Everything that waits, under the newest checkpoint.
    Late,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Move {
    /// A registry offers the robot to another.
    Offer(u8, u8),
    /// Customs of a registry write this step of the transfer that is open there.
    Write(u8, Step),
    /// What the first has for the second is delivered.
    Deliver(u8, u8),
    /// A clock passes all deadlines.
    Pass(u8),
    /// The last registry tells a registry of a step that it did not take.
    Lie(u8, Lie),
}

/// The steps that customs write of an open transfer.
const STEPS: [Step; 6] = [
    Step::Cancel,
    Step::Accept,
    Step::Refuse,
    Step::Depart,
    Step::Admit,
    Step::Return,
];

/// One registry, after everything that it did and heard.
#[derive(Debug)]
struct Land {
    country: Country,
    /// Batches for each other registry, as they were first written.
    sent: Vec<Vec<MailBatch>>,
    /// Whether its clock passed all deadlines.
    passed: bool,
}

impl Land {
    fn peer(&self, of: u8) -> Peer {
        let Ok(peer) = self.country.ledger.peer(&prefix(of));
        peer.expect("the countries of the model are peers")
    }

    /// What it knows of the robot's custody.
    fn chain(&self) -> Chain {
        chain(&self.country)
    }
}

fn chain(country: &Country) -> Chain {
    let code = code();
    let Ok(robot) = country.ledger.robot(&code);
    let Ok(loose) = country.ledger.loose_chain(&code);
    let known = robot.map(|robot| robot.custody);
    known
        .or_else(|| loose.map(|loose| loose.chain))
        .unwrap_or_else(Chain::unknown)
}

/// The robot: the first registry issued its code.
fn code() -> Code {
    Country::unborn(PREFIXES[0]).code(1)
}

/// What a registry became, and the custody leaves that it wrote on the way.
#[derive(Debug, Clone)]
struct Next {
    land: Digest,
    written: Vec<(Link, Digest)>,
    /// What an invariant of one registry says against it.
    broken: Option<&'static str>,
}

/// What happens to one registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Input {
    Offer(u8),
    Write(Step),
    Pass,
    /// A batch, by its digest.
    Mail(Digest),
}

/// A registry that is told a lie, and the one that tells it.
type Lied = (Digest, Digest);
/// What the two became by a lie that was believed, and what that broke.
type Believed = (Lied, Option<&'static str>);

/// Every registry that there is, by the digest of its ledger, and what became of it: `apply` runs once for each.
#[derive(Debug, Default)]
struct Table {
    lands: BTreeMap<Digest, Arc<Land>>,
    next: BTreeMap<(Digest, Input), Option<Next>>,
    /// What became of the two by which lie; nothing where it moves no chain.
    lied: BTreeMap<(Lied, Lie), Option<Believed>>,
    applied: usize,
}

/// Registries, one robot, and the truth.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The registries, by the digests of their ledgers.
    lands: Vec<Digest>,
    /// Ghost: the chain as it truly is.
    truth: Truth,
    /// Lies told.
    lies: u8,
    /// Ghost: whether a lie moved a chain.
    believed_a_lie: bool,
    /// Ghost: whether the liar was ever responsible: from then on it may have handed the robot to two at once.
    tainted: bool,
    /// The first thing that a step did against an invariant.
    broken: Option<&'static str>,
}

/// Custody of one robot in whole registries.
#[derive(Debug)]
pub struct Countries {
    bounds: Bounds,
    first: State,
    table: Mutex<Table>,
}

impl Countries {
    /// The day of registration: the robot is in custody of its issuer, and everybody has an agreement with everybody.
    ///
    /// # Panics
    /// When the kit's own story does not go as told.
    pub fn new(bounds: Bounds) -> Self {
        let count = usize::from(bounds.registries);
        let mut countries: Vec<Country> = PREFIXES[..count]
            .iter()
            .map(|prefix| Country::with_market(prefix))
            .collect();
        for one in 0..count {
            let (before, after) = countries.split_at_mut(one);
            for other in before {
                befriend(other, &mut after[0]);
            }
        }
        let register = countries[0].register(1);
        countries[0].must("maker", register);
        for country in &mut countries {
            country.session("customs");
            country.planted = bounds.planted;
        }
        let mut table = Table::default();
        let lands = countries
            .into_iter()
            .map(|country| table.keep(country, vec![Vec::new(); count], false, bounds))
            .collect();
        let first = State {
            lands,
            truth: Truth::default(),
            lies: 0,
            believed_a_lie: false,
            tainted: false,
            broken: None,
        };
        let truth = Truth {
            last: table.land(&first.lands[0]).chain().link,
            ..Truth::default()
        };
        Self {
            bounds,
            first: State { truth, ..first },
            table: Mutex::new(table),
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often `apply` moved a registry.
    pub fn applied(&self) -> usize {
        self.table().applied
    }

    /// Who lies, where lies are told: never the issuer.
    fn liar(&self) -> Option<u8> {
        (self.bounds.lies_max > 0).then(|| self.bounds.registries - 1)
    }

    fn honest(&self) -> impl Iterator<Item = u8> + use<> {
        let liar = self.liar();
        (0..self.bounds.registries).filter(move |me| Some(*me) != liar)
    }

    fn land(&self, state: &State, at: u8) -> Arc<Land> {
        self.table().land(&state.lands[usize::from(at)])
    }

    fn moves(&self, state: &State) -> Vec<Move> {
        let mut out = Vec::new();
        for me in 0..self.bounds.registries {
            let land = self.land(state, me);
            let chain = land.chain();
            if chain.in_custody() && chain.epoch < self.bounds.epoch_max {
                let others = (0..self.bounds.registries).filter(|to| *to != me);
                out.extend(others.map(|to| Move::Offer(me, to)));
            }
            if chain.open_transfer().is_some() {
                out.extend(STEPS.map(|step| Move::Write(me, step)));
            }
            if self.bounds.clocks && !land.passed {
                out.push(Move::Pass(me));
            }
            let others = (0..self.bounds.registries).filter(|from| *from != me);
            let waiting = others
                .filter(|from| land.peer(*from).cursor < self.land(state, *from).peer(me).outbox);
            out.extend(waiting.map(|from| Move::Deliver(from, me)));
            // What is honest comes first, so that what the victim makes of it is not the lie's.
            let liar = self.liar().filter(|liar| *liar != me);
            if liar.is_some_and(|liar| !self.waits(state, liar, me))
                && state.lies < self.bounds.lies_max
            {
                out.extend(self.lies(&chain).map(|lie| Move::Lie(me, lie)));
            }
        }
        out
    }

    /// Every lie that a chain could take for true, each link once.
    fn lies(&self, victim: &Chain) -> impl Iterator<Item = Lie> + use<> {
        let liar = self.bounds.registries - 1;
        let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
        for step in STEPS.into_iter().chain([Step::Offer]) {
            for with in 0..liar {
                for (ahead, prev) in [
                    (0, Names::Newest),
                    (1, Names::Newest),
                    (0, Names::Open),
                    (1, Names::Open),
                ] {
                    for open in [true, false] {
                        let lie = Lie {
                            step,
                            with,
                            ahead,
                            prev,
                            open,
                        };
                        if seen.insert(told(&lie, liar, victim).to_bytes()) {
                            out.push(lie);
                        }
                    }
                }
            }
        }
        out.into_iter()
    }

    fn after(&self, state: &State, step: Move) -> Option<State> {
        let mut state = state.clone();
        match step {
            Move::Offer(me, to) => self.step(&mut state, me, Input::Offer(to))?,
            Move::Write(me, step) => self.step(&mut state, me, Input::Write(step))?,
            Move::Pass(me) => self.step(&mut state, me, Input::Pass)?,
            Move::Deliver(from, me) => self.deliver(&mut state, from, me)?,
            Move::Lie(victim, lie) => self.tell(&mut state, victim, lie)?,
        }
        Some(state)
    }

    /// The liar writes a leaf that it never had the right to, and its victim is told of it. `None` when it is not believed.
    fn tell(&self, state: &mut State, victim: u8, lie: Lie) -> Option<()> {
        let (to, by) = (usize::from(victim), usize::from(self.liar()?));
        let mut table = self.table();
        let key = ((state.lands[to], state.lands[by]), lie);
        let known = table.lied.get(&key).copied();
        let ((told, teller), broken) = match known {
            Some(known) => known?,
            None => {
                let became = table.tell(&key, self.bounds);
                table.lied.insert(key, became);
                became?
            }
        };
        (state.lands[to], state.lands[by]) = (told, teller);
        if let Some(broken) = broken {
            state.broken.get_or_insert(broken);
        }
        state.lies += 1;
        state.believed_a_lie = true;
        Some(())
    }

    fn waits(&self, state: &State, from: u8, to: u8) -> bool {
        let (from_land, to_land) = (self.land(state, from), self.land(state, to));
        to_land.peer(from).cursor < from_land.peer(to).outbox
    }

    /// A registry becomes another; the ghosts follow what it wrote.
    fn step(&self, state: &mut State, me: u8, input: Input) -> Option<()> {
        let next = self.next(state, me, input, None)?;
        self.take(state, me, next);
        Some(())
    }

    fn take(&self, state: &mut State, me: u8, next: Next) {
        state.lands[usize::from(me)] = next.land;
        if let Some(broken) = next.broken {
            state.broken.get_or_insert(broken);
        }
        if Some(me) == self.liar() && state.lies > 0 {
            // What it wrote is no part of the truth any more.
            return;
        }
        for (link, leaf) in &next.written {
            state.remember(me, link, *leaf);
        }
        state.tainted |= Some(state.truth.whose) == self.liar();
    }

    fn deliver(&self, state: &mut State, from: u8, me: u8) -> Option<()> {
        let (sender, receiver) = (self.land(state, from), self.land(state, me));
        let known = receiver.peer(from);
        let batch = match self.bounds.mail {
            Mail::Late => {
                let (size, cursor) = (known.size_seen, known.cursor);
                mail(&sender.country, me, size, cursor, Some(from) == self.liar())
            }
            Mail::AsWritten => {
                let mut sent = sender.sent[usize::from(me)].iter();
                let next = sent.find(|batch| {
                    let mut items = batch.items.iter();
                    items.any(|item| item.sequence == known.cursor)
                });
                next?.clone()
            }
        };
        let digest = sha256(&[&batch.to_bytes()]);
        let before = receiver.chain();
        let next = self.next(state, me, Input::Mail(digest), Some(&batch))?;
        self.take(state, me, next);
        let after = self.land(state, me);
        let honest = Some(from) != self.liar();
        if honest && after.peer(from).cursor <= known.cursor {
            state.broken.get_or_insert("an honest item is not read");
        }
        if honest && (after.peer(from).quarantined || after.peer(from).fork.is_some()) {
            state.broken.get_or_insert("an honest peer is quarantined");
        }
        let after = after.chain();
        let was_released = matches!(before.phase, Phase::Released { .. });
        let ends = batch.items.iter().any(|item| {
            let link = link_of(item);
            link.is_some_and(|link| matches!(link.step, Step::Admit | Step::Return))
        });
        if was_released && after.phase != before.phase && !ends {
            state.broken.get_or_insert("C5: a release was undone");
        }
        Some(())
    }

    fn next(&self, state: &State, me: u8, input: Input, batch: Option<&MailBatch>) -> Option<Next> {
        let key = (state.lands[usize::from(me)], input);
        let mut table = self.table();
        if let Some(known) = table.next.get(&key) {
            return known.clone();
        }
        let next = table.apply(&key, me, batch, self.bounds);
        table.next.insert(key, next.clone());
        next
    }

    /// C1: at most one registry has the robot in custody.
    fn at_most_one_custodian(&self, state: &State) -> bool {
        let here = self
            .honest()
            .filter(|me| self.land(state, *me).chain().in_custody());
        state.tainted || here.count() <= 1
    }

    /// C2: nobody believes to be responsible but the one that is, and that one knows it once its mail is delivered.
    fn only_the_responsible_claims(&self, state: &State) -> bool {
        let claims = |me: u8| self.land(state, me).chain().is_responsible();
        let mut others = self.honest().filter(|me| *me != state.truth.whose);
        let on_its_way = !self.has_read_everything(state, state.truth.whose);
        state.tainted || (claims(state.truth.whose) || on_its_way) && others.all(|me| !claims(me))
    }

    fn has_read_everything(&self, state: &State, to: u8) -> bool {
        let mut others = (0..self.bounds.registries).filter(|from| *from != to);
        others.all(|from| !self.waits(state, from, to))
    }

    fn is_quiet(&self, state: &State) -> bool {
        (0..self.bounds.registries).all(|to| self.has_read_everything(state, to))
    }

    /// C7: when all mail is delivered and a transfer is open, some single registry can bring it nearer to its end.
    fn somebody_can_go_on(&self, state: &State) -> bool {
        let registries = 0..self.bounds.registries;
        let mut chains = registries.clone().map(|me| self.land(state, me).chain());
        if !self.is_quiet(state) || !chains.any(|chain| chain.open_transfer().is_some()) {
            return true;
        }
        registries
            .flat_map(|me| STEPS.map(|step| (me, step)))
            .any(|(me, step)| self.next(state, me, Input::Write(step), None).is_some())
    }

    /// When all mail is delivered, nothing waits for something else to be known.
    fn nothing_waits_for_ever(&self, state: &State) -> bool {
        let mut registries = 0..self.bounds.registries;
        !self.is_quiet(state)
            || registries.all(|me| {
                let land = self.land(state, me);
                let mut others = (0..self.bounds.registries).filter(|from| *from != me);
                others.all(|from| {
                    let Ok(parked) = land.country.ledger.parked_of(&prefix(from));
                    parked.is_empty()
                })
            })
    }
}

impl State {
    /// The ghosts follow a link that was written.
    fn remember(&mut self, me: u8, link: &Link, leaf: Digest) {
        if self.tainted {
            return;
        }
        if let Err(broken) = self.truth.grow(me, link, leaf) {
            self.broken.get_or_insert(broken);
        }
    }
}

/// The link that a lie is, told to a registry with this chain.
fn told(lie: &Lie, liar: u8, victim: &Chain) -> Link {
    let (me, with) = (prefix(liar), prefix(lie.with));
    let (from, to) = match lie.step {
        Step::Offer | Step::Cancel | Step::Depart => (me, with),
        _ => (with, me),
    };
    let rests_on = match &victim.phase {
        Phase::Offered { offer, .. }
        | Phase::Asked { offer, .. }
        | Phase::Permitted { offer, .. } => *offer,
        Phase::Released { depart, .. } | Phase::InTransit { depart, .. } => *depart,
        Phase::Gone { admit, .. } => *admit,
        Phase::Elsewhere {} | Phase::Here {} => Digest::ZERO,
    };
    let prev = match lie.prev {
        Names::Newest => victim.link,
        Names::Open => rests_on,
        Names::Nothing => Digest::ZERO,
    };
    let open = victim.open_transfer().filter(|_| lie.open);
    Link {
        step: lie.step,
        transfer: Some(open.unwrap_or(TransferId([0xf0; 16]))),
        epoch: victim.epoch + lie.ahead,
        from: Some(from),
        to,
        prev,
        agreement: Some(agreed(from, to)),
    }
}

/// What a registry has for another: of one that lies, with every slot shown.
fn mail(from: &Country, to: u8, size: u64, cursor: u64, lies: bool) -> MailBatch {
    let to = prefix(to);
    if lies {
        return from.lying_mail(&to, size, cursor);
    }
    let batch = from.mail(&to, size, cursor);
    batch.expect("a closed log has mail")
}

/// The link that an item of mail shows.
fn link_of(item: &MailItem) -> Option<Link> {
    let leaf = Leaf::from_bytes(&item.proven.leaf.0).ok()?;
    let slots = item.proven.disclosed.clone().verify(&leaf.record_root);
    slots.ok()?.get(slot::CUSTODY).ok()?
}

/// The command that writes a step of a transfer.
fn command_of(step: Step, transfer: TransferId, until: TimeMs) -> Option<Command> {
    let (reason, place) = ("why".to_owned(), "port".to_owned());
    Some(match step {
        Step::Accept => Command::PermitImport {
            transfer,
            depart_by: until,
            conditions: Vec::new(),
        },
        Step::Refuse => Command::RefuseImport { transfer, reason },
        Step::Cancel => Command::CancelExport { transfer, reason },
        Step::Depart => Command::Depart { transfer, place },
        Step::Admit => Command::Admit {
            transfer,
            place,
            importer: sha256(&[b"importer"]).into(),
            documents: Vec::new(),
            countersignature: None,
        },
        Step::Return => Command::Return { transfer, reason },
        Step::Register | Step::Offer | Step::Detain => return None,
    })
}

fn declaration(transfer: TransferId, from: Prefix, to: Prefix, until: TimeMs) -> Command {
    Command::DeclareExport {
        code: code(),
        transfer,
        to,
        purpose: Purpose::PermanentExport,
        offer_until: until,
        agreement: agreed(from, to),
        papers: Papers {
            consignee: Some(sha256(&[b"importer"]).into()),
            ..Papers::default()
        },
    }
}

impl Table {
    fn land(&self, digest: &Digest) -> Arc<Land> {
        Arc::clone(&self.lands[digest])
    }

    /// Closes the log of a registry, takes its mail out as it is first written, and keeps it.
    fn keep(
        &mut self,
        mut country: Country,
        mut sent: Vec<Vec<MailBatch>>,
        passed: bool,
        bounds: Bounds,
    ) -> Digest {
        country.close();
        country.entries.clear();
        let me = place(country.prefix);
        for to in (0..bounds.registries).filter(|to| *to != me) {
            let before = sent[usize::from(to)].last();
            let (size, cursor) = before.map_or((0, 0), |batch| {
                let items = batch.items.last();
                let size = size_of(&batch.checkpoint);
                (size, items.map_or(0, |item| item.sequence + 1))
            });
            let Ok(peer) = country.ledger.peer(&prefix(to));
            let outbox = peer.map_or(0, |peer| peer.outbox);
            if cursor < outbox {
                let lies = bounds.lies_max > 0 && me == bounds.registries - 1;
                sent[usize::from(to)].push(mail(&country, to, size, cursor, lies));
            }
        }
        let digest = country.ledger.digest();
        self.lands.entry(digest).or_insert_with(|| {
            Arc::new(Land {
                country,
                sent,
                passed,
            })
        });
        digest
    }

    /// What a registry becomes; `None` when it refuses.
    fn apply(
        &mut self,
        (digest, input): &(Digest, Input),
        me: u8,
        batch: Option<&MailBatch>,
        bounds: Bounds,
    ) -> Option<Next> {
        let land = self.land(digest);
        let mut country = land.country.clone();
        let (size, before) = (country.registry().tree.size(), land.chain());
        let day = DurationMs::from_days(1);
        // saturates: a time of the kit
        let until = country.clock.saturating_add(day);
        let (mut passed, mut broken) = (land.passed, None);
        match input {
            Input::Offer(to) => {
                let mut transfer = [me; 16];
                transfer[14] = *to;
                transfer[15] = country.ledger.transfers().count() as u8;
                let (from, to) = (country.prefix, prefix(*to));
                let offer = declaration(TransferId(transfer), from, to, until);
                // Customs alone send nobody's robot away for good.
                let who = country.whoever("customs", &offer);
                is_done(&country.command(who, offer))?;
            }
            Input::Write(step) => {
                let command = command_of(*step, before.open_transfer()?, until)?;
                is_done(&country.command("customs", command))?;
            }
            Input::Pass => {
                country.advance(DurationMs::from_days(2));
                passed = true;
            }
            Input::Mail(_) => {
                let batch = batch?;
                broken = heard(&mut country, batch);
            }
        }
        self.applied += 1;
        let Ok(leaves) = country.ledger.leaves(size, u64::MAX, usize::MAX);
        let written = leaves.iter().filter_map(|record| {
            let leaf = Leaf::from_bytes(&record.leaf.0).ok()?;
            let link = record.values.get(usize::from(slot::CUSTODY))?.as_ref()?;
            let link = Link::from_bytes(&link.0).ok()?;
            (leaf.kind == Kind::Custody).then(|| (link, leaf.hash()))
        });
        let written = written.collect();
        let land = self.keep(country, land.sent.clone(), passed, bounds);
        Some(Next {
            land,
            written,
            broken,
        })
    }

    /// What becomes of a registry that is told a lie and of the liar; `None` when the lie moves no chain.
    fn tell(&mut self, ((told_to, by), lie): &(Lied, Lie), bounds: Bounds) -> Option<Believed> {
        let (victim, liar) = (self.land(told_to), self.land(by));
        let before = victim.chain();
        let (mut telling, mut hearing) = (liar.country.clone(), victim.country.clone());
        let me = place(telling.prefix);
        let to = hearing.prefix;
        // saturates: a time of the kit
        let until = telling.clock.saturating_add(DurationMs::from_days(1));
        forge(&mut telling, &told(lie, me, &before), &to, until)?;
        telling.close();
        let known = victim.peer(me);
        let batch = telling.lying_mail(&to, known.size_seen, known.cursor);
        self.applied += 1;
        hearing.apply(Body::Foreign {
            batch: batch.clone(),
        });
        let after = chain(&hearing);
        // One that is not believed leads nowhere that no lie leads to.
        if after == before {
            return None;
        }
        let was_released = matches!(before.phase, Phase::Released { .. });
        let ends = matches!(lie.step, Step::Admit | Step::Return);
        let mut hearing = victim.country.clone();
        let broken = match heard(&mut hearing, &batch) {
            None if was_released && !ends => Some("C5: a release was undone"),
            broken => broken,
        };
        let told = self.keep(hearing, victim.sent.clone(), victim.passed, bounds);
        let teller = self.keep(telling, liar.sent.clone(), liar.passed, bounds);
        Some(((told, teller), broken))
    }
}

/// A registry takes a batch, twice: what it says against that.
fn heard(country: &mut Country, batch: &MailBatch) -> Option<&'static str> {
    let before = chain(country);
    let foreign = Body::Foreign {
        batch: batch.clone(),
    };
    country.apply(foreign.clone());
    // What was read changes nothing when it comes again.
    let (once, records) = (chain(country), country.ledger.records_digest());
    let mut again = country.clone();
    again.apply(foreign);
    if chain(&again) != once || again.ledger.records_digest() != records {
        return Some("C4: a replay changes something");
    }
    (once.epoch < before.epoch).then_some("C6: an epoch went back")
}

fn is_done(answer: &ItemAnswer) -> Option<()> {
    matches!(answer, ItemAnswer::Done { .. }).then_some(())
}

/// The size that a signed note is of: its second line.
fn size_of(note: &str) -> u64 {
    let size = note.lines().nth(1).and_then(|line| line.parse().ok());
    size.unwrap_or(0)
}

/// Writes a custody leaf that the liar never had the right to, with a robot in it as its issuer would show it.
fn forge(liar: &mut Country, link: &Link, to: &Prefix, until: TimeMs) -> Option<()> {
    let from = link.from?;
    let command = match link.step {
        Step::Offer => declaration(link.transfer?, from, link.to, until),
        step => command_of(step, link.transfer?, until)?,
    };
    let mut slots = shown();
    slots.set(slot::CODE, &code().as_str().to_owned());
    slots.set(slot::CUSTODY, link);
    slots.set(slot::EVENT, &command);
    liar.forge(
        Forged {
            kind: Kind::Custody.number(),
            subject: Subject::robot(&code()),
            slots,
            status: DEPARTED,
        },
        to,
    );
    Some(())
}

/// The robot as the leaf of its registration shows it.
fn shown() -> Slots {
    static SHOWN: OnceLock<Slots> = OnceLock::new();
    SHOWN.get_or_init(registered).clone()
}

fn registered() -> Slots {
    let mut issuer = Country::with_market(PREFIXES[0]);
    issuer.must("maker", issuer.register(1));
    let head = issuer.ledger.head_of_robot(&code());
    let Ok(record) = issuer
        .ledger
        .leaf(head.expect("it is registered").leaf_index);
    let mut slots = Slots::new();
    let values = record.expect("a leaf of the log").values;
    for (slot, value) in slots.values.iter_mut().zip(values) {
        *slot = value.map(|Blob(bytes)| bytes);
    }
    slots
}

impl Model for Countries {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        vec![self.first.clone()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Move>) {
        actions.extend(self.moves(state));
    }

    fn next_state(&self, state: &State, action: Move) -> Option<State> {
        self.after(state, action).filter(|after| after != state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all: Vec<Property<Self>> = vec![
            Property::always(crate::C1, |m: &Self, s: &State| m.at_most_one_custodian(s)),
            Property::always(crate::C2, |m: &Self, s: &State| {
                m.only_the_responsible_claims(s)
            }),
            Property::always("C3 to C6, and honest mail is read", |_, s: &State| {
                s.broken.is_none()
            }),
            Property::sometimes("a robot is admitted abroad", |m: &Self, s: &State| {
                let there = m.land(s, s.truth.whose).chain();
                s.truth.whose != 0 && matches!(there.phase, Phase::Here {})
            }),
        ];
        if self.bounds.lies_max == 0 {
            all.extend([
                Property::always(crate::C7, |m: &Self, s: &State| m.somebody_can_go_on(s)),
                Property::always("nothing waits for ever", |m: &Self, s: &State| {
                    m.nothing_waits_for_ever(s)
                }),
            ]);
            if self.bounds.epoch_max > 1 {
                all.push(Property::sometimes(
                    "burned and offered again",
                    |_, s: &State| {
                        s.truth.offers.len() == 2
                            && s.truth.offers.contains_key(&2)
                            && s.truth.whose == 0
                    },
                ));
            }
        } else {
            all.extend([
                Property::sometimes("a lie moves a chain", |_, s: &State| s.believed_a_lie),
                Property::sometimes("a liar is given the robot", |_, s: &State| s.tainted),
            ]);
        }
        all
    }
}

/// Explores everything and insists on every property; also how often `apply` was run.
///
/// # Panics
/// When a property does not hold; the message is the shortest counterexample.
pub fn holds(bounds: Bounds) -> (Explored, usize) {
    let checker = Countries::new(bounds)
        .checker()
        .threads(1)
        .spawn_bfs()
        .join();
    checker.assert_properties();
    let explored = Explored {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
    };
    (explored, checker.model().applied())
}

/// Explores until a property fails, and answers with its name and the way there.
pub fn breaks(bounds: Bounds) -> Option<(&'static str, Vec<Move>)> {
    let checker = Countries::new(bounds)
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .threads(1)
        .spawn_bfs()
        .join();
    let found = checker.discoveries().into_iter();
    let mut failed = found.filter(|(name, _)| {
        let properties = checker.model().properties();
        let mut always = properties
            .iter()
            .filter(|it| it.expectation == Expectation::Always);
        always.any(|it| it.name == *name)
    });
    failed.next().map(|(name, way)| (name, way.into_actions()))
}

/// Takes every way through the reduced world, and the same in whole registries: both take each step or neither does, and
/// afterwards every registry is in the same phase at the same epoch. How many states were compared.
///
/// # Errors
/// Where they part, in words.
pub fn side_by_side(rules: Rules, bounds: Bounds) -> Result<usize, String> {
    let whole = Countries::new(bounds);
    let first = (World::new(rules), whole.first.clone(), Vec::new());
    let mut seen = BTreeSet::from([(sha256(&[&first.0.to_bytes()]), first.1.lands.clone())]);
    let mut waiting = VecDeque::from([first]);
    while let Some((world, state, way)) = waiting.pop_front() {
        for step in world.moves() {
            let Some(same) = in_whole(step) else { continue };
            let mut way = way.clone();
            way.push(step);
            let (world, state) = match (world.after(step), whole.after(&state, same)) {
                (None, None) => continue,
                (Some(world), Some(state)) => (world, state),
                (Some(_), None) => return Err(format!("only the world takes {way:?}")),
                (None, Some(_)) => return Err(format!("only whole registries take {way:?}")),
            };
            for (me, reduced) in (0..bounds.registries).zip(&world.registries) {
                let (reduced, known) = (&reduced.chain, whole.land(&state, me).chain());
                let one_phase = discriminant(&reduced.phase) == discriminant(&known.phase);
                if !one_phase || reduced.epoch != known.epoch {
                    let words = format!("{:?} is {:?}", reduced.phase, known.phase);
                    return Err(format!("{me}: {words} after {way:?}"));
                }
            }
            if seen.insert((sha256(&[&world.to_bytes()]), state.lands.clone())) {
                waiting.push_back((world, state, way));
            }
        }
    }
    Ok(seen.len())
}

/// A step of the reduced world as one of whole registries, where it has one.
fn in_whole(step: world::Move) -> Option<Move> {
    Some(match step {
        world::Move::Offer(me, to) => Move::Offer(me, to),
        world::Move::Cancel(me) => Move::Write(me, Step::Cancel),
        world::Move::Accept(me) => Move::Write(me, Step::Accept),
        world::Move::Refuse(me) => Move::Write(me, Step::Refuse),
        world::Move::Depart(me) => Move::Write(me, Step::Depart),
        world::Move::Admit(me) => Move::Write(me, Step::Admit),
        world::Move::Return(me) => Move::Write(me, Step::Return),
        world::Move::Deliver(from, to, _) => Move::Deliver(from, to),
        world::Move::Pass(_) | world::Move::Restore(_) | world::Move::Lie(..) => return None,
    })
}
