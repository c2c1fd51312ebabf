//! A country under attack from all sides, on real ports, while honest clients write and read: clients with valid keys send what
//! no client would, a neighbour with an agreement says whatever it likes under its own signature, and a leader dies meanwhile.
//! The honest clients' traffic is judged as in every other scenario, by what they saw.
//!
//! `CARNET_STORM_ATTACKS=20000` makes a campaign of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use carnet_cluster::Broken;
use carnet_cluster::hostile::{Attacker, HostilePeer, Mouth, Said};
use carnet_cluster::jurisdiction::{Jurisdiction, Plan, REGISTRAR};
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::custody::Step;
use carnet_domain::log::authority::SignedHeader;
use carnet_domain::log::leaf::{Kind, Slots, Subject};
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::Severity;
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::{Action, Command, Papers, Purpose, TransferId};
use carnet_domain::rules::lifecycle::HoldKind;
use carnet_domain::rules::policy::Role;
use carnet_hostile::extremes::{extreme_bytes, extreme_that};
use carnet_hostile::liar::{last_said, link, say, say_ended, say_of, step_slots, tell_again};
use carnet_hostile::seeded::Seeded;
use carnet_kit::{Country, agreed, agreement, befriend, samples, transfer};

use crate::faults::hold;

const NODES: [u64; 3] = [1, 2, 3];
/// How many attacks by clients end the test; a campaign says another number.
const ATTACKS: usize = 400;
/// How many lies the neighbour has had answered by then.
const LIES: u64 = 24;
/// Requests after which an attacker begins a new session: its old one has been used up by numbers out of order.
const SESSION: usize = 24;
/// Items in one batch.
const BATCH: usize = 6;
/// How often the same item is asked for before the liar takes it back: it stops the liar's own mail, and nothing else.
const STUCK: usize = 3;

/// A neighbour that says what it likes. It tells the truth now and then, so that its lies have something to be about.
struct Liar {
    inner: Mutex<Telling>,
}

struct Telling {
    country: Country,
    /// The victim as the liar knows it: its prefix, its codes.
    victim: Country,
    random: Seeded,
    /// Lies so far.
    told: u32,
    /// The sequence asked for last, and how often in turn.
    asked: (u64, usize),
}

impl Mouth for Liar {
    fn next(&self, known_size: u64, cursor: u64) -> Option<Said> {
        let mut telling = self.inner.lock().expect("a liar that goes on lying");
        Some(telling.next(known_size, cursor))
    }
}

impl Telling {
    fn next(&mut self, known_size: u64, cursor: u64) -> Said {
        let to = self.victim.prefix;
        self.asked = match self.asked {
            (last, times) if last == cursor => (last, times + 1),
            _ => (cursor, 1),
        };
        if self.asked.1.is_multiple_of(STUCK) {
            // Its first leaf, which nobody has to answer with more than a nack.
            let Ok(()) = self.country.ledger.post(&to, cursor, 0);
        }
        self.lie();
        self.country.close();
        let mut batch = self.country.lying_mail(&to, known_size, cursor);
        batch.items.truncate(BATCH);
        let after = batch.items.last().map_or(cursor, |item| item.sequence + 1);
        let size = self
            .country
            .registry()
            .published
            .map_or(0, |head| head.size);
        let bytes = batch.to_bytes();
        // Now and then what no mail is.
        let said = if self.random.one_in(16) {
            extreme_bytes(&bytes, &mut self.random)
        } else {
            bytes
        };
        Said {
            batch: said,
            size,
            cursor: after,
        }
    }

    /// Its own robot, or one of the victim's that honest clients are at work on.
    fn some_code(&mut self) -> (u32, Code) {
        let serial = 1 + self.random.below(8) as u32;
        match self.random.below(2) {
            0 => (serial, self.country.code(serial)),
            _ => (serial, self.victim.code(serial)),
        }
    }

    fn lie(&mut self) {
        let (liar, to) = (self.country.prefix, self.victim.prefix);
        self.told += 1;
        let (told, number) = (self.told, self.told as u8);
        let (serial, code) = self.some_code();
        let body = sha256(&[b"body", code.as_str().as_bytes()]);
        let offer = Command::DeclareExport {
            code,
            transfer: transfer(number),
            to,
            purpose: Purpose::PermanentExport,
            offer_until: carnet_client::wall_time(),
            agreement: agreed(liar, to),
            papers: Papers::default(),
        };
        let depart = Command::Depart {
            transfer: transfer(number),
            place: "port".into(),
        };
        let country = &mut self.country;
        match self.random.below(9) {
            // What is true: a robot of its own, offered by its customs.
            0 => {
                let fresh = 1_000 + told;
                country.must("maker", country.register(fresh));
                let id = sha256(&[b"transfer", &told.to_be_bytes()]);
                let id = TransferId(std::array::from_fn(|at| id.0[at]));
                let declare = country.declare(fresh, id, &to);
                country.must("customs", declare);
            }
            1 => say_ended(country, &code, body, &to),
            2 | 3 => {
                let step = [Step::Offer, Step::Depart, Step::Admit, Step::Return];
                let step = *self.random.pick(&step);
                let epoch = *self.random.pick(&[0, 1, 2, 7, u64::MAX]);
                let before = country.ledger.last_leaf(&Subject::robot(&code).key());
                let prev = before.map_or(Digest::ZERO, |head| head.leaf_hash);
                let (from, into) = match self.random.below(2) {
                    0 => (liar, to),
                    _ => (to, liar),
                };
                let link = link(step, number, epoch, &from, &into, prev);
                let event = if step == Step::Offer { offer } else { depart };
                say(
                    country,
                    Kind::Custody,
                    &code,
                    step_slots(&code, &link, &event),
                    &to,
                );
            }
            4 => {
                let mut slots = Slots::new();
                slots.set(slot::CODE, &code.as_str().to_owned());
                slots.set(slot::BODY, &body);
                let reason = "said to be stolen".to_owned();
                let kind = HoldKind::Theft;
                slots.set(slot::EVENT, &Command::SetHold { code, kind, reason });
                say(country, Kind::Hold, &code, slots, &to);
            }
            5 => {
                let name = format!("R-{number}");
                let recall = samples::recall(&self.victim, &name, Severity::StopUse);
                let mut slots = Slots::new();
                slots.set(slot::EVENT, &recall);
                let kind = Kind::Recall.number();
                let subject = carnet_domain::log::leaf::SubjectType::Recall;
                say_of(country, kind, Subject::new(subject, name), slots, &to);
            }
            6 => {
                let kind = 60 + self.random.below(200) as u64;
                say_of(country, kind, Subject::robot(&code), Slots::new(), &to);
            }
            // Something true, made extreme in one place.
            7 => {
                if country.ledger.mailbox(&to, 0).is_empty() {
                    return say_ended(country, &code, body, &to);
                }
                let mut slots = last_said(country, &to);
                let at = self.random.below(slots.values.len());
                if let Some(bytes) = &slots.values[at] {
                    slots.values[at] = Some(extreme_bytes(bytes, &mut self.random));
                }
                let kind = *self.random.pick(Kind::ALL);
                say(country, kind, &code, slots, &to);
            }
            // The same again.
            _ => {
                let told = country.ledger.mailbox(&to, 0);
                let Some((_, index)) = told.get(serial as usize % told.len().max(1)) else {
                    return say_ended(country, &code, body, &to);
                };
                tell_again(country, *index, &to);
            }
        }
    }
}

/// Who attacks, and with what they may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    /// The maker of another enterprise: everything, about everybody's robots.
    Rival,
    /// An officer of customs, about robots that are not the honest clients': what she may do, she does.
    Officer,
    /// A certificate of the maker, and a key that nobody enrolled.
    Stranger,
}

/// What became of the attacks.
#[derive(Debug, Default)]
struct Tally {
    /// By what the log answered first, or the status of who refused before it.
    answers: Mutex<BTreeMap<String, usize>>,
    sent: AtomicUsize,
    applied: AtomicUsize,
    /// Answers that no attack may get.
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    fn count(&self, what: String) {
        if let Ok(mut answers) = self.answers.lock() {
            *answers.entry(what).or_default() += 1;
        }
    }
}

struct Front {
    who: String,
    face: Face,
    twin: Country,
    random: Seeded,
    tally: Arc<Tally>,
    /// Requests of the past, to be sent again.
    past: Vec<Vec<u8>>,
}

impl Front {
    /// Attacks until it is stopped, from one session after the other, of one node after the other.
    async fn run(mut self, of: Arc<Addresses>, stop: Arc<AtomicBool>) {
        let mut turn = 0;
        while !stop.load(Ordering::Relaxed) {
            turn += 1;
            let node = NODES[turn % NODES.len()];
            let Ok(mut attacker) = of.connect(&self.who, node).await else {
                tokio::task::yield_now().await;
                continue;
            };
            if self.face == Face::Stranger {
                attacker.takes_another_key();
            }
            for _ in 0..SESSION {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let bytes = self.attack(&mut attacker);
                self.tally.sent.fetch_add(1, Ordering::Relaxed);
                match attacker.tell(bytes).await {
                    Ok(Ok(answer)) => {
                        self.tally.applied.fetch_add(1, Ordering::Relaxed);
                        for item in answer.items.iter().take(1) {
                            self.tally.count(match item {
                                ItemAnswer::Done { .. } => "Done".to_owned(),
                                ItemAnswer::Nothing {} => "Nothing".to_owned(),
                                ItemAnswer::Refused { rejection } => {
                                    rejection.reason.name().to_owned()
                                }
                            });
                            if self.face == Face::Stranger
                                && matches!(item, ItemAnswer::Done { .. })
                            {
                                self.wrong(format!("a key that nobody enrolled: {answer:?}"));
                            }
                        }
                    }
                    Ok(Err(status)) => {
                        if matches!(status.code(), tonic::Code::Internal | tonic::Code::Unknown)
                            && !status.message().contains("transport")
                        {
                            self.wrong(format!("{status}"));
                        }
                        self.tally.count(format!("{:?}", status.code()));
                        if status.code() == tonic::Code::Unavailable {
                            break;
                        }
                    }
                    Err(broken) => self.wrong(broken.to_string()),
                }
            }
        }
    }

    fn wrong(&self, text: String) {
        if let Ok(mut wrong) = self.tally.wrong.lock() {
            wrong.push(format!("{:?}: {text}", self.face));
        }
    }

    fn some_command(&mut self) -> Command {
        let abroad = Prefix::parse("XB").unwrap_or(self.twin.prefix);
        let mut commands = match self.face {
            Face::Officer => Vec::new(),
            Face::Rival | Face::Stranger => samples::commands(&self.twin),
        };
        let code = match self.face {
            Face::Officer => self.twin.code(900 + self.random.below(8) as u32),
            Face::Rival | Face::Stranger => self.twin.code(1 + self.random.below(8) as u32),
        };
        let number = transfer(self.random.below(40) as u8);
        commands.extend(samples::actions().into_iter().map(|action| Command::Act {
            code,
            expected_sequence: None,
            action,
        }));
        commands.extend([
            Command::PermitImport {
                transfer: number,
                depart_by: carnet_client::wall_time(),
                conditions: Vec::new(),
            },
            Command::RefuseImport {
                transfer: number,
                reason: "no".into(),
            },
            Command::Admit {
                transfer: number,
                place: "gate".into(),
                importer: sha256(&[b"importer"]).into(),
                documents: Vec::new(),
                countersignature: None,
            },
            Command::RetryParked {
                peer: abroad,
                item: self.random.number(),
            },
            Command::SetHold {
                code,
                kind: HoldKind::Theft,
                reason: "x".into(),
            },
            Command::Act {
                code,
                expected_sequence: Some(self.random.number()),
                action: Action::Retire { reason: "x".into() },
            },
        ]);
        self.random.pick(&commands).clone()
    }

    fn attack(&mut self, attacker: &mut Attacker) -> Vec<u8> {
        let command = self.some_command();
        let bytes = command.to_bytes();
        let header = attacker.header(std::slice::from_ref(&command));
        let request = match self.random.below(8) {
            0..3 => attacker.request(&header, std::slice::from_ref(&command)),
            3 => {
                let changed = extreme_bytes(&bytes, &mut self.random);
                attacker.request_of(header, vec![Blob(changed)])
            }
            4 => {
                let decodes = |bytes: &[u8]| SignedHeader::from_bytes(bytes).ok();
                let changed = extreme_that(&header.to_bytes(), &mut self.random, decodes);
                attacker.request(&changed.unwrap_or(header), std::slice::from_ref(&command))
            }
            5 => {
                let mut request = attacker.request(&header, std::slice::from_ref(&command));
                request.first_item = *self.random.pick(&[1, 9_999, u32::MAX]);
                request
            }
            6 if !self.past.is_empty() => return self.random.pick(&self.past).clone(),
            _ => {
                let request = attacker.request(&header, std::slice::from_ref(&command));
                return extreme_bytes(&request.to_bytes(), &mut self.random);
            }
        };
        let bytes = request.to_bytes();
        if self.past.len() < 64 {
            self.past.push(bytes.clone());
        }
        bytes
    }
}

/// What an attacker needs to begin again: where its files and the nodes are.
struct Addresses(Vec<(String, u64, carnet_cluster::hostile::Way)>);

impl Addresses {
    async fn connect(&self, who: &str, node: u64) -> Result<Attacker, Broken> {
        let way = self
            .0
            .iter()
            .find(|(name, of, _)| name == who && *of == node);
        let (_, _, way) = way.ok_or_else(|| Broken::new(format!("no way for {who}")))?;
        Attacker::over(way).await
    }
}

/// Has the country recognise a liar and agree with it; the liar speaks from then on.
async fn neighbour(
    victim: &Jurisdiction,
    keys: &Jurisdiction,
    seed: u64,
) -> Result<HostilePeer, Broken> {
    let mut country = Country::with_market("XB");
    let mut twin = Country::with_market("XA");
    befriend(&mut country, &mut twin);
    for serial in 1..=8 {
        country.must("maker", country.register(serial));
    }
    let log_key = country.key("log").public();
    let agreement = agreement(twin.prefix, country.prefix, 1);
    let liar = Liar {
        inner: Mutex::new(Telling {
            country,
            victim: twin,
            random: Seeded::new(seed),
            told: 0,
            asked: (0, 0),
        }),
    };
    let peer = HostilePeer::speak(keys, Arc::new(liar)).await?;
    let recognition = peer.recognition(victim, keys, log_key)?;
    let agreement = HostilePeer::agreement(victim, keys, &agreement)?;
    let admin = victim.admin(&NODES, std::time::Duration::from_secs(10))?;
    for statement in [recognition, agreement] {
        let answer = admin
            .submit_statement(&statement)
            .await
            .map_err(Broken::at("a statement of the roots"))?;
        assert!(
            matches!(answer.items[..], [ItemAnswer::Done { .. }]),
            "{answer:?}"
        );
    }
    Ok(peer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_country_attacked_from_all_sides_serves_honest_clients() -> Result<(), Broken> {
    let Some(programs) = programs("a_country_attacked_from_all_sides_serves_honest_clients") else {
        return Ok(());
    };
    let attacks = std::env::var("CARNET_STORM_ATTACKS");
    let attacks = attacks.map_or(Ok(ATTACKS), |text| text.parse().map_err(Broken::at(text)))?;
    let seed = 20_261_127;
    let load = LoadPlan {
        writers: 4,
        readers: 3,
        ..LoadPlan::default()
    };
    let mut run = Run::start(&programs, Plan::of("XA"), load).await?;
    let keys = Jurisdiction::lay_out(&programs, Plan::of("XB"))?;
    let fronts = [
        ("manufacturer/0003/rival", Face::Rival),
        ("customs/east/eve", Face::Officer),
        ("service-provider/0004/stranger", Face::Stranger),
    ];
    let of = &run.registry;
    of.enrol_enterprise(fronts[0].0, "0003", Role::Manufacturer)
        .await?;
    of.enrol_office(fronts[1].0, Role::Customs).await?;
    of.enrol_enterprise(fronts[2].0, "0004", Role::ServiceProvider)
        .await?;
    let peer = neighbour(of, &keys, seed).await?;

    let mut ways = Vec::new();
    for (who, _) in fronts {
        for node in NODES {
            let way = carnet_cluster::hostile::Way::of(of, who, node)?;
            ways.push((who.to_owned(), node, way));
        }
    }
    let (ways, tally) = (Arc::new(Addresses(ways)), Arc::new(Tally::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = fronts.iter().zip(1..).map(|((who, face), number)| {
        let front = Front {
            who: (*who).to_owned(),
            face: *face,
            twin: Country::with_market("XA"),
            random: Seeded::new(seed + number),
            tally: Arc::clone(&tally),
            past: Vec::new(),
        };
        tokio::spawn(front.run(Arc::clone(&ways), Arc::clone(&stop)))
    });
    let tasks: Vec<_> = tasks.collect();

    let sent = |least: usize| {
        let tally = Arc::clone(&tally);
        async move {
            let seen = || {
                let sent = tally.sent.load(Ordering::Relaxed);
                if least <= sent {
                    Ok(())
                } else {
                    Err(format!("{sent} attacks"))
                }
            };
            until("attacks were sent", || async { seen() }).await
        }
    };
    sent(attacks / 2).await?;
    let killed = run.kill_leader().await?;
    run.answers(150).await?;
    run.registry.start_node(killed)?;
    run.registry.ready().await?;
    sent(attacks).await?;
    let registrar = run.registry.client(REGISTRAR, &NODES)?;
    let registrar = registrar.build().map_err(Broken::at("registrar"))?;
    let lies = AtomicU64::new(0);
    until("the liar's mail was answered", || async {
        let record = registrar.unverified().peer(keys.prefix()).await;
        let at = record.map_err(|error| error.to_string())?.value.cursor;
        lies.store(at, Ordering::Relaxed);
        if LIES <= at {
            Ok(())
        } else {
            Err(format!("{at} items"))
        }
    })
    .await?;
    let lies = lies.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.map_err(Broken::at("an attacker"))?;
    }
    drop(peer);
    let wrong = tally.wrong.lock().map(|wrong| wrong.clone());
    let wrong = wrong.map_err(|_| Broken::new("a tally"))?;
    let answers = tally.answers.lock().map(|answers| answers.clone());
    let answers = answers.map_err(|_| Broken::new("a tally"))?;
    assert!(wrong.is_empty(), "{wrong:?}; {answers:?}");
    let applied = tally.applied.load(Ordering::Relaxed);
    assert!(
        attacks / 8 <= applied,
        "{applied} reached the rules: {answers:?}"
    );
    eprintln!("storm: {lies} lies answered, {applied} attacks reached the rules: {answers:?}");
    hold(&run.judge(Least::of("kill leader", 1)).await?);
    Ok(())
}
