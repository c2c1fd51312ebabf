//! One program: three countries live, and one of them is attacked, step by step, from a seed.
//!
//! `86` lies, `49` is the target, and `81` is honest: robots of the liar come by it too, with the chain that leads there. Honest steps bring robots into every state, so that attacks find something to act
//! on; each attack takes what an honest step would send, makes it extreme in one place, and signs it again where a
//! signature or a proof would otherwise stop it early.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::level::Level;
use carnet_domain::bytes::signature::{PublicKey, Signature};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::log::authority::{SignedHeader, item_root};
use carnet_domain::log::leaf::{EntrySeed, Kind, Leaf, Slots, Subject};
use carnet_domain::machine;
use carnet_domain::machine::entry::{Body, ChainRun, Entry, MailBatch, Request, Stamp};
use carnet_domain::record::audited::AuditHeads;
use carnet_domain::record::due::{OFFER_OVER, RELEASE_OVER};
use carnet_domain::record::keys::KeySignature;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{
    Agreement, AgreementRef, Bundle, Clause, LogDoubt, Signed, Statement,
};
use carnet_domain::rules::command::{Action, Command, Papers, Purpose};
use carnet_kit::forge::Forged;
use carnet_kit::{Country, agreed, agreement, befriend, samples, transfer};

use crate::extremes::{extreme_bytes, extreme_that};
use crate::hold::{Held, can_be_ended};
use crate::scene::conclude;
use crate::seeded::Seeded;

/// Everybody who signs in a country with a market.
pub const SIGNERS: [&str; 26] = [
    "registrar",
    "registrar-2",
    "admin",
    "admin-2",
    "customs",
    "customs-2",
    "regulator",
    "regulator-2",
    "maker",
    "importer",
    "rival",
    "dealer",
    "service",
    "recycler",
    "operator",
    "owner",
    "buyer",
    "declarant",
    "one-maker",
    "one-importer",
    "one-dealer",
    "one-service",
    "one-recycler",
    "one-operator",
    "one-owner",
    "one-declarant",
];

/// What is attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// The bytes of a log entry.
    Entry,
    /// A command, signed again.
    Command,
    /// The signed header, signed again.
    Header,
    /// What stands beside the signature: first item, items, range proof.
    Request,
    /// A leaf in the peer's own log, sealed, signed and proven again.
    Leaf,
    /// What stands beside a peer's proofs: indices, sequences, paths.
    Mail,
    /// A statement of roots, signed again.
    Statement,
    /// A session, a seal, a publication.
    Housekeeping,
    /// An entry of the past, byte for byte.
    Replay,
    /// Mail in another order than it was written in.
    Reorder,
    /// Another history of the peer's log, of the same size.
    Equivocate,
    /// As many true and forged leaves as fit into a batch; a request of a hundred items.
    Flood,
}

impl Attack {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Entry,
        Self::Command,
        Self::Header,
        Self::Request,
        Self::Leaf,
        Self::Mail,
        Self::Statement,
        Self::Housekeeping,
        Self::Replay,
        Self::Reorder,
        Self::Equivocate,
        Self::Flood,
    ];
}

/// What a program is made of: honest steps, and how often which attack. A seed means the same program as long as the list
/// it is played with stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Bytes made extreme.
    Extremes,
    /// Nothing but what whoever lies could truly sign, at the wrong time, in the wrong order, twice, or too often.
    Lies,
}

impl Manner {
    fn steps(self) -> &'static [Option<Attack>] {
        use Attack as A;
        match self {
            Self::Extremes => &[
                None,
                None,
                None,
                None,
                None,
                None,
                None,
                Some(A::Entry),
                Some(A::Command),
                Some(A::Command),
                Some(A::Command),
                Some(A::Command),
                Some(A::Header),
                Some(A::Request),
                Some(A::Leaf),
                Some(A::Leaf),
                Some(A::Leaf),
                Some(A::Mail),
                Some(A::Statement),
                Some(A::Housekeeping),
            ],
            Self::Lies => &[
                None,
                None,
                None,
                None,
                None,
                None,
                Some(A::Replay),
                Some(A::Replay),
                Some(A::Reorder),
                Some(A::Reorder),
                Some(A::Flood),
                Some(A::Equivocate),
            ],
        }
    }
}

/// One entry of the target's log, and the attack that it is, if it is one.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Bytes of the entry.
    pub bytes: Vec<u8>,
    /// The attack.
    pub attack: Option<Attack>,
}

/// The log of the target.
#[derive(Debug)]
pub struct Program {
    /// The seed.
    pub seed: u64,
    /// Its entries, the genesis first.
    pub log: Vec<Logged>,
    /// Keys of everybody who signs, for the cache of verified signatures.
    pub keys: Vec<PublicKey>,
    /// The step that panicked, and with what.
    pub panic: Option<String>,
    /// The step after which an invariant of custody did not hold, and which.
    pub broken: Option<String>,
}

/// A robot on its way, one step after the other.
#[derive(Debug, Clone)]
struct Tour {
    serial: u32,
    number: u8,
    at: u8,
}

struct World {
    liar: Country,
    target: Country,
    /// Honest, and a peer of both: by it robots of the liar come to the target.
    third: Country,
    random: Seeded,
    log: Vec<Logged>,
    /// How many of the target's entries are in the log.
    logged: usize,
    tours: Vec<Tour>,
    next_serial: u32,
    next_transfer: u8,
}

/// Plays so many steps.
pub fn play(seed: u64, steps: usize, manner: Manner) -> Program {
    let mut world = World::new(seed);
    let (mut panic, mut broken) = (None, None);
    let mut held = Held::of(&world.target);
    for step in 0..steps {
        let attack = world.choose(manner, step > steps / 2);
        let what = match attack {
            Some(attack) => format!("{attack:?}"),
            None => "an honest step".to_owned(),
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| world.step(attack))) {
            let words = payload.downcast_ref::<String>().cloned().or_else(|| {
                payload
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
            });
            panic = Some(format!(
                "step {step}, {what}: {}",
                words.unwrap_or_default()
            ));
            break;
        }
        world.collect(attack);
        // What the country's own roots order, they answer for: they settle forks by the other leaf.
        let then = match attack {
            Some(Attack::Statement) => Ok(Held::of(&world.target)),
            _ => held.then(&world.target),
        };
        match then {
            Ok(now) => held = now,
            Err(words) => {
                broken = Some(format!("step {step}, {what}: {words}"));
                break;
            }
        }
    }
    if panic.is_none() && broken.is_none() {
        broken = can_be_ended(&world.target).err();
    }
    let keys = SIGNERS.map(|name| world.target.key(name).public()).to_vec();
    Program {
        seed,
        log: world.log,
        keys,
        panic,
        broken,
    }
}

/// Three countries that recognise each other; made once, as they are the same for every program.
fn beginning() -> (Country, Country, Country) {
    static WORLD: OnceLock<(Country, Country, Country)> = OnceLock::new();
    let made = WORLD.get_or_init(|| {
        let mut liar = Country::with_full_market("86");
        let mut target = Country::with_full_market("49");
        let mut third = Country::with_full_market("81");
        befriend(&mut liar, &mut target);
        befriend(&mut liar, &mut third);
        befriend(&mut target, &mut third);
        // The two let each other's robots of the liar pass.
        let mut passing = agreement(target.prefix, third.prefix, 2);
        let clause = passing.clauses[0].clone();
        passing.clauses.push(Clause {
            number: 3,
            recogniser: target.prefix,
            issuer: liar.prefix,
            ..clause
        });
        conclude(&mut target, &mut third, &passing);
        for serial in 1..=4 {
            liar.must("maker", liar.register(serial));
            target.must("maker", target.register(serial));
        }
        (liar, target, third)
    });
    made.clone()
}

impl World {
    fn new(seed: u64) -> Self {
        let (liar, target, third) = beginning();
        let tours = (1..=4).map(|serial| Tour {
            serial,
            number: serial as u8,
            at: 0,
        });
        let mut world = Self {
            liar,
            target,
            third,
            random: Seeded::new(seed),
            log: Vec::new(),
            logged: 0,
            tours: tours.collect(),
            next_serial: 100,
            next_transfer: 20,
        };
        world.collect(None);
        world
    }

    /// Takes the entries that a step applied into the log. The attack is the last of them: sessions come before it.
    fn collect(&mut self, attack: Option<Attack>) {
        let fresh = &self.target.entries[self.logged..];
        let last = fresh.len().checked_sub(1);
        let logged = fresh.iter().enumerate().map(|(at, entry)| Logged {
            bytes: entry.to_bytes(),
            attack: attack.filter(|_| Some(at) == last),
        });
        self.log.extend(logged);
        self.logged = self.target.entries.len();
    }

    /// An attack that no decoder lets through: it is in the log, and the kit cannot apply it.
    fn log_raw(&mut self, bytes: Vec<u8>, attack: Attack) {
        self.collect(None);
        self.log.push(Logged {
            bytes,
            attack: Some(attack),
        });
    }

    fn choose(&mut self, manner: Manner, is_late: bool) -> Option<Attack> {
        let attack = *self.random.pick(manner.steps());
        // Who equivocates is believed nothing new from then on, so most of a program comes before.
        attack.filter(|attack| *attack != Attack::Equivocate || is_late)
    }

    fn step(&mut self, attack: Option<Attack>) {
        match attack {
            None => self.live(),
            Some(Attack::Entry) => self.attack_entry(),
            Some(Attack::Command) => self.attack_command(),
            Some(Attack::Header) => self.attack_header(),
            Some(Attack::Request) => self.attack_request(),
            Some(Attack::Leaf) => self.attack_leaf(),
            Some(Attack::Mail) => self.attack_mail(),
            Some(Attack::Statement) => self.attack_statement(),
            Some(Attack::Housekeeping) => self.attack_housekeeping(),
            Some(Attack::Replay) => self.replay(),
            Some(Attack::Reorder) => self.reorder(),
            Some(Attack::Equivocate) => self.equivocate(),
            Some(Attack::Flood) => self.flood(),
        }
    }

    /// A command of somebody in the country that has the robot, or any other.
    fn some_command(&mut self) -> (&'static str, Command) {
        let mut commands = samples::commands(&self.target);
        let code = match self.random.below(3) {
            0 => self.liar.code(1 + self.random.below(4) as u32),
            _ => self.target.code(1 + self.random.below(6) as u32),
        };
        commands.extend(samples::actions().into_iter().map(|action| Command::Act {
            code,
            expected_sequence: None,
            action,
        }));
        self.next_serial += 1;
        commands.push(self.target.register(self.next_serial));
        commands.push(self.target.declare(1, transfer(9), &self.liar.prefix));
        let mut command = self.random.pick(&commands).clone();
        let number = 1 + self.random.below(8) as u8;
        match &mut command {
            Command::SetHold { code: of, .. }
            | Command::LiftHold { code: of, .. }
            | Command::RemedyRecall { code: of, .. } => *of = code,
            Command::CancelExport { transfer: of, .. }
            | Command::PermitImport { transfer: of, .. }
            | Command::RefuseImport { transfer: of, .. }
            | Command::Depart { transfer: of, .. }
            | Command::Admit { transfer: of, .. }
            | Command::Return { transfer: of, .. }
            | Command::Detain { transfer: of, .. } => *of = transfer(number),
            _ => {}
        }
        let signer = match self.random.below(3) {
            0 => *self.random.pick(&SIGNERS),
            _ => usual_signer(&command),
        };
        (signer, command)
    }

    /// The life of the countries: robots travel, things happen to them, logs are closed.
    fn live(&mut self) {
        match self.random.below(8) {
            0 => self.target.close(),
            1 => {
                let (who, command) = self.some_command();
                self.target.command(who, command);
            }
            2 => {
                let batch = self.over_another();
                self.enter(Body::Foreign { batch }, Attack::Mail);
            }
            _ => self.travel(),
        }
    }

    /// A robot of the liar's goes to the third country, which offers it on to the target: the mail with that offer, and with the
    /// chain that leads to it.
    fn over_another(&mut self) -> MailBatch {
        self.next_serial += 1;
        let serial = self.next_serial;
        let (first, second) = (
            self.next_transfer.wrapping_add(1),
            self.next_transfer.wrapping_add(2),
        );
        self.next_transfer = second;
        let (liar, third) = (&mut self.liar, &mut self.third);
        let code = liar.code(serial);
        let offered = |from: &Country, to: Prefix, number, version| Command::DeclareExport {
            code,
            transfer: transfer(number),
            to,
            purpose: Purpose::PermanentExport,
            offer_until: from.clock.saturating_add(DurationMs::from_days(1)),
            agreement: AgreementRef {
                version,
                ..agreed(from.prefix, to)
            },
            papers: Papers {
                consignee: Some(sha256(&[b"importer"]).into()),
                ..Papers::default()
            },
        };
        liar.command("maker", liar.register(serial));
        liar.command("maker", offered(liar, third.prefix, first, 1));
        liar.deliver(third);
        let permit = Command::PermitImport {
            transfer: transfer(first),
            depart_by: third.clock.saturating_add(DurationMs::from_days(1)),
            conditions: Vec::new(),
        };
        third.command("customs", permit);
        third.deliver(liar);
        let depart = Command::Depart {
            transfer: transfer(first),
            place: "port".into(),
        };
        liar.command("customs", depart);
        liar.deliver(third);
        let admit = Command::Admit {
            transfer: transfer(first),
            place: "harbour".into(),
            importer: sha256(&[b"importer"]).into(),
            documents: Vec::new(),
            countersignature: None,
        };
        third.command("customs", admit);
        let onward = offered(third, self.target.prefix, second, 2);
        let who = third.whoever("customs", &onward);
        third.command(who, onward);
        third.close();
        let Ok(known) = self.target.ledger.peer(&third.prefix);
        let (size, cursor) = known.map_or((0, 0), |known| (known.size_seen, known.cursor));
        third.lying_mail(&self.target.prefix, size, cursor)
    }

    /// The chain of an offer over another country, with one thing in it that is not so.
    fn forge_chain(&mut self) {
        let mut batch = self.over_another();
        let random = &mut self.random;
        let with_chain = batch.items.iter_mut().find(|item| !item.chain.is_empty());
        if let Some(item) = with_chain {
            let at = random.below(item.chain.len());
            match random.below(6) {
                0 => drop(item.chain.remove(at)),
                1 => item.chain.reverse(),
                2 => {
                    let again = item.chain[at].clone();
                    item.chain.push(again);
                }
                3 => item.chain[at].leaves.reverse(),
                4 => drop(item.chain[at].leaves.pop()),
                _ => {
                    let bytes = item.chain[at].to_bytes();
                    let decodes = |bytes: &[u8]| ChainRun::from_bytes(bytes).ok();
                    if let Some(run) = extreme_that(&bytes, random, decodes) {
                        item.chain[at] = run;
                    }
                }
            }
        }
        self.enter(Body::Foreign { batch }, Attack::Mail);
    }

    fn travel(&mut self) {
        let which = self.random.below(self.tours.len());
        let Tour { serial, number, at } = self.tours[which].clone();
        let tomorrow = |country: &Country| country.clock.saturating_add(DurationMs::from_days(1));
        // Even tours go from the liar to the target and back; odd ones from the target to the liar.
        let outward = serial.is_multiple_of(2);
        let code = if outward {
            self.liar.code(serial)
        } else {
            self.target.code(serial)
        };
        let steps_out = at % 8 < 4;
        let (exporter_lies, of) = (outward == steps_out, number);
        // Two of three go for good.
        let why = match usize::from(number) {
            number if number.is_multiple_of(3) => Purpose::ALL[number / 3 % Purpose::ALL.len()],
            _ => Purpose::PermanentExport,
        };
        let declare = |from: &Country, to: Prefix| Command::DeclareExport {
            code,
            transfer: transfer(of),
            to,
            purpose: why,
            offer_until: tomorrow(from),
            agreement: agreed(from.prefix, to),
            papers: Papers {
                consignee: Some(sha256(&[b"importer"]).into()),
                ..Papers::default()
            },
        };
        let (liar, target) = (self.liar.prefix, self.target.prefix);
        let (command, by_liar) = match at % 4 {
            0 if exporter_lies => (declare(&self.liar, target), true),
            0 => (declare(&self.target, liar), false),
            1 => {
                let importer = if exporter_lies {
                    &self.target
                } else {
                    &self.liar
                };
                let permit = Command::PermitImport {
                    transfer: transfer(of),
                    depart_by: tomorrow(importer),
                    conditions: Vec::new(),
                };
                (permit, !exporter_lies)
            }
            2 => {
                let depart = Command::Depart {
                    transfer: transfer(of),
                    place: "port".into(),
                };
                (depart, exporter_lies)
            }
            _ if self.random.one_in(5) => {
                let back = Command::Return {
                    transfer: transfer(of),
                    reason: "papers".into(),
                };
                (back, !exporter_lies)
            }
            _ => {
                let admit = Command::Admit {
                    transfer: transfer(of),
                    place: "harbour".into(),
                    importer: sha256(&[b"importer"]).into(),
                    documents: Vec::new(),
                    countersignature: None,
                };
                (admit, !exporter_lies)
            }
        };
        if by_liar {
            let who = self.liar.whoever("customs", &command);
            self.liar.command(who, command);
            self.deliver();
        } else {
            let who = self.target.whoever("customs", &command);
            self.target.command(who, command);
            self.target.deliver(&mut self.liar);
        }
        let tour = &mut self.tours[which];
        tour.at += 1;
        if tour.at.is_multiple_of(4) {
            self.next_transfer = self.next_transfer.wrapping_add(1);
            tour.number = self.next_transfer;
        }
    }

    /// What the liar has for the target, as honest as its log is; a leaf that stops the feed is then replaced in the
    /// liar's own mailbox, so that the next one is looked at.
    fn deliver(&mut self) {
        let batch = self.mail();
        self.take(batch);
    }

    fn mail(&mut self) -> MailBatch {
        self.liar.close();
        let (size, cursor) = self.position();
        self.liar.lying_mail(&self.target.prefix, size, cursor)
    }

    fn position(&self) -> (u64, u64) {
        let Ok(peer) = self.target.ledger.peer(&self.liar.prefix);
        peer.map_or((0, 0), |peer| (peer.size_seen, peer.cursor))
    }

    fn take(&mut self, batch: MailBatch) {
        self.enter(Body::Foreign { batch }, Attack::Mail);
        let (_, cursor) = self.position();
        let stuck = self.liar.ledger.mailbox(&self.target.prefix, cursor);
        if let Some((sequence, _)) = stuck.first() {
            let Ok(()) = self.liar.ledger.post(&self.target.prefix, *sequence, 0);
        }
    }

    fn attack_entry(&mut self) {
        let body = match self.random.below(3) {
            0 => {
                let (who, command) = self.some_command();
                let request = self.target.request(who, &[command]);
                self.target.client_body(request)
            }
            1 => Body::Foreign { batch: self.mail() },
            _ => Body::Seal {},
        };
        let seed = sha256(&[b"hostile", &self.random.number().to_be_bytes()]);
        let entry = Entry {
            stamp: Stamp {
                at: self.target.clock,
                seed: EntrySeed(seed.0),
            },
            body,
        };
        self.target.clock = self.target.clock.saturating_add(DurationMs(1_000));
        let bytes = extreme_bytes(&entry.to_bytes(), &mut self.random);
        match Entry::from_bytes(&bytes) {
            Ok(entry) => self.apply_entry(entry),
            Err(_) => self.log_raw(bytes, Attack::Entry),
        }
    }

    fn apply_entry(&mut self, entry: Entry) {
        let Ok(_) = machine::apply(&mut self.target.ledger, &entry);
        self.target.entries.push(entry);
    }

    fn attack_command(&mut self) {
        let (who, command) = self.some_command();
        let bytes = command.to_bytes();
        let decodes = |bytes: &[u8]| Command::from_bytes(bytes).ok();
        match extreme_that(&bytes, &mut self.random, decodes) {
            Some(command) => {
                let count = if self.random.one_in(4) { 3 } else { 1 };
                let request = self.target.request(who, &vec![command; count]);
                self.target.ask(request);
            }
            // Signed all the same: the item is refused, the request is not.
            None => {
                let items = vec![extreme_bytes(&bytes, &mut self.random)];
                self.send_items(who, &command, items);
            }
        }
    }

    fn send_items(&mut self, who: &str, like: &Command, items: Vec<Vec<u8>>) {
        let header = self.target.header(who, std::slice::from_ref(like));
        let header = SignedHeader {
            item_count: items.len() as u32,
            part_items: items.len() as u32,
            item_root: item_root(items.iter().map(Vec::as_slice)),
            ..header
        };
        let request = self.signed(who, &header, items.into_iter().map(Blob).collect());
        self.target.ask(request);
    }

    fn signed(&self, who: &str, header: &SignedHeader, items: Vec<Blob>) -> Request {
        Request {
            header: Blob(header.to_bytes()),
            signature: self.target.key(who).sign(&header.signing_bytes()),
            first_item: 0,
            items,
            range_proof: Vec::new(),
        }
    }

    fn attack_header(&mut self) {
        let commands: Vec<Command> = (0..4).map(|_| self.some_command().1).collect();
        let (who, _) = self.some_command();
        let honest = self.target.header(who, &commands);
        let decodes = |bytes: &[u8]| SignedHeader::from_bytes(bytes).ok();
        let header = extreme_that(&honest.to_bytes(), &mut self.random, decodes).unwrap_or(honest);
        let (first, count) = *self.random.pick(&[(0, 4), (1, 2), (3, 1)]);
        let request = self.target.part(who, &header, &commands, first, count);
        let again = self.random.one_in(3).then(|| request.clone());
        self.target.ask(request);
        if let Some(request) = again {
            self.target.ask(request);
        }
    }

    fn attack_request(&mut self) {
        let (who, command) = self.some_command();
        let commands = vec![command; 4];
        let header = self.target.header(who, &commands);
        let (first, count) = *self.random.pick(&[(0, 4), (1, 2), (3, 1)]);
        let honest = self.target.part(who, &header, &commands, first, count);
        // The header is kept, so that the signature holds.
        let accepts = |bytes: &[u8]| {
            let request = Request::from_bytes(bytes).ok()?;
            (request.header == honest.header && request.signature == honest.signature)
                .then_some(request)
        };
        let mut request = extreme_that(&honest.to_bytes(), &mut self.random, accepts)
            .unwrap_or_else(|| honest.clone());
        if self.random.one_in(3) {
            request.first_item = *self.random.pick(&[9_999, 10_000, u32::MAX - 1, u32::MAX]);
        }
        let body = self.target.client_body(request);
        self.enter(body, Attack::Request);
    }

    /// An entry with this body, whether or not a decoder lets it through. If none does, the rules meet it all the same, for
    /// they do not rest on the edge, but in a copy of the country: a replica never applies it, and a country that did would
    /// publish the heads of another log.
    fn enter(&mut self, body: Body, attack: Attack) {
        if Body::from_bytes(&body.to_bytes()).is_ok() {
            self.target.apply(body);
            return;
        }
        self.target.clone().apply(body.clone());
        let entry = Entry {
            stamp: Stamp {
                at: self.target.clock,
                seed: EntrySeed(Digest::ZERO.0),
            },
            body,
        };
        self.log_raw(entry.to_bytes(), attack);
    }

    /// A leaf as an honest step would write it, made extreme and proven again.
    fn attack_leaf(&mut self) {
        let (kind, subject, mut slots) = self.some_leaf();
        let shown: Vec<usize> = (0..slots.values.len())
            .filter(|at| slots.values[*at].is_some())
            .collect();
        for _ in 0..1 + self.random.below(2) {
            let at = *self.random.pick(&shown);
            let value = slots.values[at].clone().unwrap_or_default();
            slots.values[at] = Some(extreme_bytes(&value, &mut self.random));
        }
        let kind = match self.random.below(8) {
            0 => self.random.pick(Kind::ALL).number(),
            _ => kind,
        };
        let forged = Forged {
            kind,
            subject,
            slots,
            status: *self.random.pick(&[7, 7, 7, 1, 5]),
        };
        let to = self.target.prefix;
        self.liar.forge(forged, &to);
        self.deliver();
    }

    /// What the liar would write next about a robot, by asking a copy of it.
    fn some_leaf(&mut self) -> (u64, Subject, Slots) {
        let mut copy = self.liar.clone();
        let from = copy.ledger.mailbox(&self.target.prefix, 0).len();
        let serial = 1 + self.random.below(4) as u32;
        let code = copy.code(serial);
        let number = self.random.below(30) as u8;
        let mut fresh = self.next_transfer;
        fresh = fresh.wrapping_add(100);
        let to = self.target.prefix;
        let act = |action| Command::Act {
            code,
            expected_sequence: None,
            action,
        };
        let tries: [(&str, Command); 7] = [
            ("customs", copy.declare(serial, transfer(fresh), &to)),
            (
                "customs",
                Command::Depart {
                    transfer: transfer(number),
                    place: "port".into(),
                },
            ),
            (
                "registrar",
                Command::SetHold {
                    code,
                    kind: carnet_domain::rules::lifecycle::HoldKind::Theft,
                    reason: "stolen".into(),
                },
            ),
            (
                "regulator",
                samples::recall(&copy, "R-7", carnet_domain::record::Severity::Remedy),
            ),
            (
                "recycler",
                act(Action::DeclareEndOfLife {
                    outcome: carnet_domain::rules::lifecycle::EndOfLife::Scrapped,
                    certificate: sha256(&[b"certificate"]),
                }),
            ),
            (
                "registrar",
                act(Action::ConfirmEndOfLife {
                    certificate: sha256(&[b"certificate"]),
                }),
            ),
            (
                "customs",
                Command::CancelExport {
                    transfer: transfer(number),
                    reason: "x".into(),
                },
            ),
        ];
        let first = self.random.below(tries.len());
        let by_turns = tries.iter().cycle().skip(first).take(tries.len());
        for (who, command) in by_turns {
            copy.command(who, command.clone());
            let told = copy.ledger.mailbox(&to, from as u64);
            if let Some((_, index)) = told.first() {
                return self.opened(&copy, *index);
            }
        }
        // Nothing can be done any more: an old leaf is told again.
        let told = self.liar.ledger.mailbox(&to, 0);
        let (_, index) = *self.random.pick(&told);
        let liar = self.liar.clone();
        self.opened(&liar, index)
    }

    fn opened(&self, country: &Country, index: u64) -> (u64, Subject, Slots) {
        let Ok(record) = country.ledger.leaf(index);
        let record = record.expect("a leaf of its own mailbox");
        let mut slots = Slots::new();
        for (slot, value) in slots.values.iter_mut().zip(record.values) {
            *slot = value.map(|value| value.0);
        }
        let name = slots.values[0]
            .as_deref()
            .and_then(|bytes| String::from_bytes(bytes).ok());
        let kind = Leaf::from_bytes(&record.leaf.0).map_or(12, |leaf| leaf.kind.number());
        let subject =
            match carnet_domain::bytes::code::Code::parse(name.as_deref().unwrap_or_default()) {
                Ok(code) => Subject::robot(&code),
                Err(_) => Subject::new(
                    carnet_domain::log::leaf::SubjectType::Recall,
                    name.unwrap_or_default(),
                ),
            };
        // A leaf without slots, as a map head, has at least a name to be changed.
        if slots.values.iter().all(Option::is_none) {
            slots.set(0, &subject.name);
        }
        (kind, subject, slots)
    }

    fn attack_mail(&mut self) {
        if self.random.one_in(3) {
            return self.forge_chain();
        }
        // Something honest to be carried, if the liar can say anything.
        self.next_serial += 1;
        let serial = self.next_serial;
        self.liar.command("maker", self.liar.register(serial));
        self.next_transfer = self.next_transfer.wrapping_add(1);
        let offer = self
            .liar
            .declare(serial, transfer(self.next_transfer), &self.target.prefix);
        let who = self.liar.whoever("customs", &offer);
        self.liar.command(who, offer);
        let honest = self.mail();
        let decodes = |bytes: &[u8]| MailBatch::from_bytes(bytes).ok();
        let mut batch = extreme_that(&honest.to_bytes(), &mut self.random, decodes)
            .unwrap_or_else(|| honest.clone());
        if self.random.one_in(3)
            && let Some(item) = batch.items.first_mut()
        {
            let number = *self
                .random
                .pick(&[0, 1 << 48, (1 << 48) + 1, u64::MAX - 1, u64::MAX]);
            match (self.random.below(3), &mut item.newest) {
                (0, _) => item.sequence = number,
                (1, Some(newest)) => newest.map_head.index = number,
                _ => item.proven.index = number,
            }
        }
        self.take(batch);
    }

    fn attack_statement(&mut self) {
        let random = &mut self.random;
        let statement = match random.below(5) {
            0 => {
                let honest = self.liar.bundle_of(2 + random.number() % 1_000);
                let decodes = |bytes: &[u8]| Bundle::from_bytes(bytes).ok();
                let bundle = extreme_that(&honest.to_bytes(), random, decodes).unwrap_or(honest);
                let bytes = bundle.to_bytes();
                Statement::Recognise {
                    changes: Vec::new(),
                    fingerprint: sha256(&[&bytes]),
                    bundle: Signed {
                        signatures: self.liar.root_signatures(&bytes),
                        bytes: Blob(bytes),
                    },
                }
            }
            1 | 2 => {
                let version = 2 + random.number() as u32 % 64;
                let honest = agreement(self.liar.prefix, self.target.prefix, version);
                let decodes = |bytes: &[u8]| Agreement::from_bytes(bytes).ok();
                let agreed = extreme_that(&honest.to_bytes(), random, decodes).unwrap_or(honest);
                let bytes = agreed.to_bytes();
                let signatures = [
                    self.liar.root_signatures(&bytes),
                    self.target.root_signatures(&bytes),
                ];
                Statement::Agree {
                    agreement: Signed {
                        signatures: signatures.concat(),
                        bytes: Blob(bytes),
                    },
                }
            }
            3 => {
                let Ok(known) = self.target.ledger.peer(&self.liar.prefix);
                let fork = known.and_then(|known| known.fork);
                let (recorded, leaf) = match fork {
                    Some(fork) if random.one_in(2) => (fork.recorded, fork.first),
                    Some(fork) => (fork.recorded, fork.second),
                    None => (0, sha256(&[b"no fork"])),
                };
                let honest = Statement::Settle {
                    peer: self.liar.prefix,
                    fork: recorded,
                    counts: leaf,
                    reason: "x".into(),
                };
                let decodes = |bytes: &[u8]| Statement::from_bytes(bytes).ok();
                match random.one_in(2) {
                    true => honest,
                    false => extreme_that(&honest.to_bytes(), random, decodes).unwrap_or(honest),
                }
            }
            _ => {
                let honest = Statement::Suspend {
                    peer: self.liar.prefix,
                    agreement: agreed(self.liar.prefix, self.target.prefix),
                    number: 1,
                    until: TimeMs::MAX,
                    reason: "x".into(),
                };
                let decodes = |bytes: &[u8]| Statement::from_bytes(bytes).ok();
                extreme_that(&honest.to_bytes(), random, decodes).unwrap_or(honest)
            }
        };
        // A new bundle of the liar may change the key that its log is signed with: it is believed from then on, and the
        // liar's mail is not. That ends its part in the program, as it would in the world.
        let signed = self.target.sign_statement(&statement);
        self.target.apply(Body::Root { signed });
    }

    fn attack_housekeeping(&mut self) {
        let registry = self.target.registry();
        let body = match self.random.below(7) {
            0 => {
                let (who, _) = self.some_command();
                let nonce = [self.random.below(3) as u8; 16];
                let long = "x".repeat(*self.random.pick(&[0, 1, 512, 513, 4_096]));
                let name = if self.random.one_in(2) { who } else { &long };
                let mut body = self.target.opening_under(name, who, nonce);
                if let Body::OpenSession {
                    subject, signature, ..
                } = &mut body
                {
                    if self.random.one_in(4) {
                        *subject = long.clone();
                    }
                    if self.random.one_in(3) {
                        signature.0[0] ^= 1;
                    }
                }
                body
            }
            1 => {
                let sizes = [
                    0,
                    1,
                    registry.tree.size(),
                    registry.tree.size() + 1,
                    u64::MAX,
                ];
                Body::Publish {
                    size: *self.random.pick(&sizes),
                    root: registry.tree.root(),
                    signatures: registry
                        .keys
                        .signers_of(registry.tree.size())
                        .into_iter()
                        .map(|key| KeySignature {
                            key,
                            signature: Signature([0; 64]),
                        })
                        .collect(),
                }
            }
            2 => Body::Rule {
                number: *self.random.pick(&[0, OFFER_OVER, RELEASE_OVER, 7]),
                cursor: *self.random.pick(&[0, 0, 1]),
            },
            3 => Body::RaiseLevel {
                to: Level::FIRST,
                seen: Vec::new(),
            },
            // Of a country that nobody knows: what is doubted is offered nothing any more.
            4 => Body::Doubt {
                peer: Prefix::parse("33").expect("a prefix"),
                sequence: self.random.number(),
                doubt: LogDoubt::RolledBack,
            },
            5 => Body::Audit {
                node: 1 + self.random.below(4) as u64,
                heads: AuditHeads::default(),
            },
            _ => Body::Seal {},
        };
        let body = match Body::from_bytes(&extreme_bytes(&body.to_bytes(), &mut self.random)) {
            Err(_) => body,
            Ok(changed) => changed,
        };
        self.enter(body, Attack::Housekeeping);
    }
}

/// Whoever sits on the wire, and a registry that lies without a single byte that it could not have signed.
impl World {
    /// An entry of the past once more, under a new stamp.
    fn replay(&mut self) {
        let body = self.random.pick(&self.target.entries).body.clone();
        self.target.apply(body);
    }

    /// Something that the liar could say of a robot of its own.
    fn say_something(&mut self) {
        let (kind, subject, slots) = self.some_leaf();
        let forged = Forged {
            kind,
            subject,
            slots,
            status: *self.random.pick(&[7, 7, 1]),
        };
        let to = self.target.prefix;
        self.liar.forge(forged, &to);
    }

    fn reorder(&mut self) {
        for _ in 0..3 {
            self.say_something();
        }
        let mut batch = self.mail();
        match self.random.below(3) {
            0 => batch.items.reverse(),
            // Under the numbers of each other.
            1 => {
                let sequences: Vec<u64> = batch.items.iter().map(|item| item.sequence).collect();
                batch.items.reverse();
                for (item, sequence) in batch.items.iter_mut().zip(sequences) {
                    item.sequence = sequence;
                }
            }
            _ => drop(batch.items.drain(..batch.items.len().min(1))),
        }
        self.enter(Body::Foreign { batch }, Attack::Reorder);
    }

    fn equivocate(&mut self) {
        let mut other = self.liar.clone();
        for country in [&mut self.liar, &mut other] {
            self.next_serial += 1;
            let register = country.register(self.next_serial);
            country.command("maker", register);
            country.close();
        }
        let (size, cursor) = self.position();
        let to = self.target.prefix;
        for country in [&self.liar, &other] {
            let batch = country.lying_mail(&to, size, cursor);
            self.target.apply(Body::Foreign { batch });
        }
    }

    fn flood(&mut self) {
        if self.random.one_in(2) {
            for _ in 0..40 {
                self.say_something();
            }
            self.deliver();
            return;
        }
        let (who, command) = self.some_command();
        let request = self.target.request(who, &vec![command; 100]);
        let body = self.target.client_body(request);
        self.enter(body, Attack::Flood);
    }
}

/// Who usually gives a command, so that most attacks come past the roles.
pub(crate) fn usual_signer(command: &Command) -> &'static str {
    match command {
        Command::AccreditEnterprise { .. }
        | Command::SetEnterpriseStatus { .. }
        | Command::AmendEnterprise { .. }
        | Command::SucceedEnterprise { .. }
        | Command::ApproveModel { .. }
        | Command::SetModelStatus { .. }
        | Command::SetHold { .. }
        | Command::LiftHold { .. }
        | Command::RetryParked { .. }
        | Command::DiscardParked { .. }
        | Command::ClearClaim { .. } => "registrar",
        Command::AddSigner { .. }
        | Command::RetireSigner { .. }
        | Command::RejectProposal { .. }
        | Command::SetContact { .. }
        | Command::LimitPeer { .. }
        | Command::RevokeCertificate { .. }
        | Command::UnrevokeCertificate { .. }
        | Command::ChangeMembers { .. } => "admin",
        Command::Reserve { .. } | Command::Register { .. } => "maker",
        Command::OpenRecall { .. }
        | Command::AmendRecall { .. }
        | Command::WithdrawRecall { .. }
        | Command::DecideRecall { .. } => "regulator",
        Command::RemedyRecall { .. } => "service",
        Command::DeclareExport { .. }
        | Command::CancelExport { .. }
        | Command::PermitImport { .. }
        | Command::RefuseImport { .. }
        | Command::Depart { .. }
        | Command::Admit { .. }
        | Command::Return { .. }
        | Command::Detain { .. } => "customs",
        Command::Act { action, .. } => match action {
            Action::DeclareEndOfLife { .. } | Action::WithdrawEndOfLife { .. } => "recycler",
            Action::ConfirmEndOfLife { .. } | Action::Annul { .. } | Action::Correct { .. } => {
                "registrar"
            }
            Action::RequestOwnership { .. } | Action::EndOwnershipRequest { .. } => "owner",
            Action::ApproveOwnership { .. } => "buyer",
            Action::Stock { .. } | Action::Sell { .. } => "dealer",
            _ => "service",
        },
    }
}
