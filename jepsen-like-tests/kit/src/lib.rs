//! A whole registry in memory with keys from fixed seeds: what tests, the model and the simulator play with.
//!
//! Every step goes through [`machine::apply`] as a signed entry, exactly as on a server; no record is written by hand.
//! Nothing that ships uses this module: its keys are public.

pub mod campaign;
pub mod evidence;
pub mod forge;
pub mod memory;
pub mod samples;
pub mod world;

use std::collections::BTreeMap;

use crate::memory::MemoryLedger;
use crate::world::Fault;
use carnet_domain::bytes::code::{Code, EnterpriseCode, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::custody::mail::{self, MailError};
use carnet_domain::limits::ADVANCE_MAX;
use carnet_domain::log::authority::{SignedHeader, item_root};
use carnet_domain::log::checkpoint::{Checkpoint, Origin};
use carnet_domain::log::leaf::{EntrySeed, leaf_bytes_hash};
use carnet_domain::log::merkle::range_proof;
use carnet_domain::machine;
use carnet_domain::machine::entry::{
    Answer, Body, ClockReading, Entry, ItemAnswer, MailBatch, Request, SessionOpening, Stamp,
};
use carnet_domain::record::keys::{
    KeyHistory, KeyRole, KeySignature, KeyStep, KeysOrder, proof_message,
};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::offices::{Change, Profile, takes_two};
use carnet_domain::record::peer::{
    Agreement, Bundle, Clause, FirstSigner, Genesis, KeyringKind, RootSignature, Signed, Statement,
    root_signing_bytes,
};
use carnet_domain::record::registry::Registry;
use carnet_domain::record::session::Session;
use carnet_domain::record::{
    AgreementRef, ApprovalStatus, BodyName, Desk, Enrolment, EnterpriseStatus, Firmware, Form,
    Holder, IdentifierScheme, Maker, ModelFacts, PartName, PartType, Party, Pending, RobotKey,
    Severity, Word,
};
use carnet_domain::rules::command::{Action, Command, Papers, Purpose, Registration, TransferId};
use carnet_domain::rules::parties::stands_for;
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;

/// How far the clock moves with each entry.
pub const STEP: DurationMs = DurationMs(1_000);
/// Who votes in the cluster of a kit's country, as [`MemoryLedger::new`] says.
pub const VOTERS: [u64; 3] = [1, 2, 3];
/// How much mail one batch takes.
pub const MAIL_BYTES_MAX: usize = 256 * 1024;

/// A country with its registry, its roots and everybody who signs there.
#[derive(Debug, Clone)]
pub struct Country {
    /// The records.
    pub ledger: MemoryLedger,
    /// Primary prefix.
    pub prefix: Prefix,
    /// The leader's clock: the stamp of the next entry.
    pub clock: TimeMs,
    /// Everything applied, in order.
    pub entries: Vec<Entry>,
    /// The fault of custody that its rules have, where a test of the tests planted one.
    pub planted: Fault,
    /// Entries but renewals of the ceiling: from it come the seeds, so that no leaf depends on when time was renewed.
    drawn: u64,
    sessions: BTreeMap<String, (u64, u64)>,
    bundle_sequence: u64,
}

/// When every kit begins: 1 June 2026.
pub fn beginning() -> TimeMs {
    TimeMs::of_date(2026, 6, 1).unwrap_or(TimeMs::EPOCH)
}

/// Numbers of requests that are tried one after the other.
const ATTEMPTS_MAX: usize = 8;

/// Who signs in a country with a market, and in which role. Offices first.
const OFFICES: [(&str, Role); 5] = [
    ("registrar", Role::Registrar),
    ("admin", Role::Admin),
    ("admin-2", Role::Admin),
    ("customs", Role::Customs),
    ("regulator", Role::Regulator),
];
/// How many of them the genesis names.
const FIRST: usize = 3;
const ENTERPRISES: [(&str, &str, Role); 10] = [
    ("maker", "0001", Role::Manufacturer),
    ("importer", "0001", Role::Importer),
    ("rival", "0003", Role::Manufacturer),
    ("dealer", "0002", Role::Dealer),
    ("service", "0001", Role::ServiceProvider),
    ("recycler", "0002", Role::Recycler),
    ("operator", "0002", Role::Operator),
    ("owner", "0002", Role::Owner),
    ("buyer", "0003", Role::Owner),
    ("declarant", "0002", Role::Declarant),
];

/// Enterprises that are accredited for one role each, and whoever signs for them in it.
pub const SINGLES: [(&str, &str, Role); 8] = [
    ("one-maker", "1001", Role::Manufacturer),
    ("one-importer", "1002", Role::Importer),
    ("one-dealer", "1003", Role::Dealer),
    ("one-service", "1004", Role::ServiceProvider),
    ("one-recycler", "1005", Role::Recycler),
    ("one-operator", "1006", Role::Operator),
    ("one-owner", "1007", Role::Owner),
    ("one-declarant", "1008", Role::Declarant),
];
/// A second person in each office that has one.
pub const SECONDS: [(&str, &str, Role); 3] = [
    ("registrar-2", "registrar", Role::Registrar),
    ("customs-2", "customs", Role::Customs),
    ("regulator-2", "regulator", Role::Regulator),
];

impl Country {
    /// Before its genesis.
    ///
    /// # Panics
    /// When the prefix is none.
    pub fn unborn(prefix: &str) -> Self {
        Self {
            ledger: MemoryLedger::new(),
            prefix: Prefix::parse(prefix).expect("the kit is given a prefix"),
            clock: beginning(),
            entries: Vec::new(),
            planted: Fault::Nothing,
            drawn: 0,
            sessions: BTreeMap::new(),
            bundle_sequence: 0,
        }
    }

    /// With its genesis: an admin and a registrar can sign.
    ///
    /// # Panics
    /// When the prefix is none.
    pub fn new(prefix: &str) -> Self {
        let mut country = Self::unborn(prefix);
        let signed = country.sign_statement(&Statement::Genesis {
            genesis: country.genesis(),
        });
        country.apply(Body::Root { signed });
        country
    }

    /// With offices, three enterprises, the approved model `100002`, and a signer for every role.
    ///
    /// # Panics
    /// When the prefix is none, or a step of the preparation is refused.
    pub fn with_market(prefix: &str) -> Self {
        let mut country = Self::new(prefix);
        for (name, role) in &OFFICES[FIRST..] {
            country.enrol_office(name, name, *role);
        }
        for code in ["0001", "0002", "0003"] {
            country.must("registrar", country.accreditation(code));
        }
        for (name, code, role) in ENTERPRISES {
            let id = country.enterprise(code);
            let enrol = country.enrolment(name, Holder::Enterprise { id }, role, name);
            country.must("registrar", enrol);
        }
        country.must("registrar", country.approval("0001", "100002"));
        country
    }

    /// As [`Country::with_market`], with an enterprise for each role that has no other one, and two persons in each office: the
    /// actors of the whole table of actions.
    ///
    /// # Panics
    /// When the prefix is none, or a step of the preparation is refused.
    pub fn with_full_market(prefix: &str) -> Self {
        let mut country = Self::with_market(prefix);
        for (name, code, role) in SINGLES {
            let mut accredited = country.accreditation(code);
            if let Command::AccreditEnterprise { roles, .. } = &mut accredited {
                *roles = vec![role];
            }
            country.must("registrar", accredited);
            let id = country.enterprise(code);
            let enrol = country.enrolment(name, Holder::Enterprise { id }, role, name);
            country.must("registrar", enrol);
        }
        for (name, office, role) in SECONDS {
            country.enrol_office(name, office, role);
        }
        country
    }

    /// Enrols the key of somebody in an office: by both admins, where one is not enough.
    ///
    /// # Panics
    /// When it is refused.
    pub fn enrol_office(&mut self, name: &str, office: &str, role: Role) {
        let enrol = self.enrolment(name, self.office(office), role, name);
        self.must("admin", enrol.clone());
        if takes_two(role) {
            self.must("admin-2", enrol);
        }
    }

    /// Has a second registrar, who is enrolled where there is none, state an accreditation anew: it stands on one person's word no more.
    ///
    /// # Panics
    /// When the enterprise is unknown, or it is refused.
    pub fn vouch(&mut self, code: &str) {
        let second = self.key("registrar-2").public().key_id();
        let Ok(known) = self.ledger.signer(&second);
        if known.is_none() {
            self.enrol_office("registrar-2", "registrar", Role::Registrar);
        }
        let id = self.enterprise(code);
        let Ok(enterprise) = self.ledger.enterprise(&id);
        let enterprise = enterprise.expect("it is accredited");
        let amended = Command::AmendEnterprise {
            id,
            name: enterprise.name,
            roles: enterprise.roles,
            valid_from: enterprise.valid_from,
            valid_to: enterprise.valid_to,
            reason: "seen by a second one".into(),
        };
        self.must("registrar-2", amended);
    }

    /// The command that enrols the key of somebody, by name: signed by that key, and with the word of its enterprise where the
    /// kit knows an active key of it.
    pub fn enrolment(&self, name: &str, holder: Holder, role: Role, person: &str) -> Command {
        let key = self.key(name);
        let enrolment = Enrolment {
            public: key.public(),
            holder,
            role,
            person: person.into(),
        };
        // The kit names a person as the key.
        let mut known = self.ledger.signers().filter(|known| {
            let is_active = known.retired.is_none() && known.compromised_after.is_none();
            let enterprise = matches!(known.holder, Holder::Enterprise { .. });
            is_active && enterprise && known.holder == enrolment.holder
        });
        let known = known.find(|known| self.key(&known.person).public() == known.public);
        let word = known.map(|known| Word {
            key: known.id,
            signature: enrolment.sign(&self.prefix, &self.key(&known.person)),
        });
        Command::AddSigner {
            proof: enrolment.sign(&self.prefix, &key),
            enrolment,
            word,
            instead: None,
            reason: String::new(),
        }
    }

    /// What the roots order to enrol the key of somebody in an office.
    pub fn addition(&self, name: &str, office: &str, role: Role, person: &str) -> Change {
        let key = self.key(name);
        let enrolment = Enrolment {
            public: key.public(),
            holder: self.office(office),
            role,
            person: person.into(),
        };
        Change::Add {
            proof: enrolment.sign(&self.prefix, &key),
            enrolment,
            instead: None,
        }
    }

    /// The key of somebody in this country, by name: `root-0`, `log`, `maker`, ….
    pub fn key(&self, name: &str) -> SecretKey {
        let seed = sha256(&[
            b"carnet-kit/",
            self.prefix.as_str().as_bytes(),
            b"/",
            name.as_bytes(),
        ]);
        SecretKey::from_seed(&seed.0)
    }

    /// With which the first entry founds this country: its roots, its log key, and its first signers.
    pub fn genesis(&self) -> Genesis {
        let first = |name: &str, role: Role| FirstSigner {
            public: self.key(name).public(),
            holder: self.office(role.word()),
            role,
            person: name.into(),
        };
        let id = sha256(&[self.prefix.as_str().as_bytes()]);
        Genesis {
            prefix: self.prefix,
            country: match self.prefix.as_str() {
                "86" => "CN",
                "49" => "DE",
                "81" => "JP",
                _ => "AQ",
            }
            .into(),
            incarnation: 0,
            cluster: std::array::from_fn(|i| id.0[i]),
            roots: self.roots().iter().map(SecretKey::public).collect(),
            threshold: 2,
            log_key: self.key("log").public(),
            time: beginning(),
            seal_idle: DurationMs::from_secs(60),
            profile: Profile::Production,
            signers: OFFICES[..FIRST]
                .iter()
                .map(|(name, role)| first(name, *role))
                .collect(),
        }
    }

    fn roots(&self) -> [SecretKey; 3] {
        ["root-0", "root-1", "root-2"].map(|name| self.key(name))
    }

    /// Its key history: that of its registry, or before its genesis that which the genesis begins.
    fn keys(&self) -> KeyHistory {
        let roots: Vec<_> = self.roots().iter().map(SecretKey::public).collect();
        let begun = || KeyHistory::at_genesis(&roots, self.key("log").public());
        let Ok(registry) = self.ledger.registry();
        registry.map_or_else(begun, |registry| registry.keys)
    }

    /// The log key with this public half: `log`, or one of those that may follow it, `log-2` and `log-3`.
    ///
    /// # Panics
    /// It is none of them.
    pub fn log_key(&self, public: &PublicKey) -> SecretKey {
        let known = ["log", "log-2", "log-3"].map(|name| self.key(name));
        let mut known = known.into_iter();
        known
            .find(|key| key.public() == *public)
            .expect("a log key of this country")
    }

    /// The next order of the roots about the keys below them.
    pub fn order_keys(&self, steps: Vec<KeyStep>) -> Signed {
        let registry = self.registry();
        let order = KeysOrder {
            cluster: registry.cluster,
            number: registry.key_leaves.len() as u64 + 1,
            steps,
            reason: "the key is old".into(),
        };
        self.sign_statement(&Statement::Keys { order })
    }

    /// Lets one log key follow another: added, used and the old one retired, with heads under both in between.
    ///
    /// # Panics
    /// The registry refuses it.
    pub fn rotate_log(&mut self, from: &str, to: &str) {
        let (old, new) = (self.key(from).public(), self.key(to).public());
        let steps = [
            vec![self.add_log_key(to)],
            vec![KeyStep::Activate { key: new }],
            vec![KeyStep::Retire { key: old }],
        ];
        for steps in steps {
            let signed = self.order_keys(steps);
            let answer = self.apply(Body::Root { signed });
            let done = matches!(answer.items[..], [ItemAnswer::Done { .. }]);
            assert!(done, "an order about keys is taken: {answer:?}");
            self.close();
        }
    }

    /// The step that adds one of its log keys.
    pub fn add_log_key(&self, name: &str) -> KeyStep {
        let key = self.key(name);
        let cluster = self.genesis().cluster;
        let message = proof_message(&cluster, KeyRole::Log, &key.public());
        KeyStep::Add {
            role: KeyRole::Log,
            key: key.public(),
            proof: key.sign(&message),
        }
    }

    /// Signatures of two roots over bytes.
    pub fn root_signatures(&self, bytes: &[u8]) -> Vec<RootSignature> {
        let message = root_signing_bytes(bytes);
        let sign = |key: &SecretKey| RootSignature {
            root: key.public(),
            signature: key.sign(&message),
        };
        self.roots()[..2].iter().map(sign).collect()
    }

    /// A statement of the roots.
    pub fn sign_statement(&self, statement: &Statement) -> Signed {
        let bytes = statement.to_bytes();
        Signed {
            signatures: self.root_signatures(&bytes),
            bytes: Blob(bytes),
        }
    }

    /// The trust bundle, with a sequence above the last.
    pub fn bundle(&mut self) -> Signed {
        self.bundle_sequence += 1;
        let bundle = self.bundle_of(self.bundle_sequence);
        let bytes = bundle.to_bytes();
        Signed {
            signatures: self.root_signatures(&bytes),
            bytes: Blob(bytes),
        }
    }

    /// The trust bundle of a sequence, not signed.
    pub fn bundle_of(&self, sequence: u64) -> Bundle {
        Bundle {
            name: format!("country {}", self.prefix),
            prefixes: vec![self.prefix],
            sequence,
            incarnation: 0,
            keyring: KeyringKind::File,
            roots: self.roots().iter().map(SecretKey::public).collect(),
            threshold: 2,
            keys: self.keys(),
            profile: Profile::Production,
            certificates: Vec::new(),
            endpoints: Vec::new(),
            refresh: DurationMs::from_secs(3_600),
            // saturates: a time of the kit
            valid_to: beginning().saturating_add(DurationMs::from_days(3_650)),
        }
    }

    /// One that signs here under this name, such as `customs/hq`.
    pub fn office(&self, name: &str) -> Holder {
        Holder::Office {
            name: format!("{name}/hq"),
        }
    }

    /// An enterprise of this country.
    ///
    /// # Panics
    /// When the code is none.
    pub fn enterprise(&self, code: &str) -> EnterpriseId {
        EnterpriseId::parse(&format!("{}{code}", self.prefix)).expect("the kit is given a code")
    }

    /// A model of this country.
    ///
    /// # Panics
    /// When a code is none.
    pub fn model(&self, enterprise: &str, model: &str) -> ModelId {
        ModelId::parse(&format!("{}{enterprise}{model}", self.prefix))
            .expect("the kit is given a model")
    }

    /// The code of a robot of the approved model.
    ///
    /// # Panics
    /// Never: a number has at most 17 digits here.
    pub fn code(&self, serial: u32) -> Code {
        Code::parse(&format!("{}0001100002{serial:017}", self.prefix)).expect("a code")
    }

    /// The command that accredits an enterprise for every role.
    ///
    /// # Panics
    /// When the code is none.
    pub fn accreditation(&self, code: &str) -> Command {
        Command::AccreditEnterprise {
            code: EnterpriseCode::parse(code).expect("the kit is given a code"),
            name: format!("enterprise {code}"),
            maker: self.maker(code),
            roles: Role::ALL
                .iter()
                .copied()
                .filter(|role| role.is_enterprise())
                .collect(),
            valid_from: TimeMs::EPOCH,
            // saturates: a time of the kit
            valid_to: beginning().saturating_add(DurationMs::from_days(3_650)),
        }
    }

    /// As whom an enterprise is known in the world.
    pub fn maker(&self, code: &str) -> Maker {
        Maker {
            scheme: IdentifierScheme::National,
            country: "CN".into(),
            identifier: format!("{}-{code}", self.prefix),
        }
    }

    /// The command that approves a model.
    pub fn approval(&self, enterprise: &str, model: &str) -> Command {
        Command::ApproveModel {
            id: self.model(enterprise, model),
            facts: ModelFacts {
                name: "H1".into(),
                certificate: "TA-1".into(),
                form: Form::Bipedal,
                level: 3,
                safety_class: 2,
                height_cm: 172,
                mass_kg: 61,
                degrees_of_freedom: 27,
                battery_wh: 900,
                firmware_family: "fw".into(),
                commodity: "847950".into(),
            },
            production_from: TimeMs::EPOCH,
            // saturates: a time of the kit
            production_to: beginning().saturating_add(DurationMs::from_days(3_650)),
        }
    }

    /// The registration of a robot with a body, two identity parts and a battery of its own.
    pub fn registration(&self, serial: u32) -> Registration {
        let maker = self.maker("0001");
        let part = |kind: PartType| PartName {
            kind,
            maker: maker.clone(),
            serial: format!("S{serial}"),
            lot: "L1".into(),
        };
        Registration {
            code: self.code(serial),
            body: BodyName {
                maker: maker.clone(),
                serial: format!("S{serial}"),
            },
            manufactured: beginning(),
            site: "plant".into(),
            origin: "CN".into(),
            prototype: false,
            importers_filing: false,
            identity_parts: vec![part(PartType::Compute), part(PartType::Torso)],
            parts: vec![part(PartType::Battery)],
            robot_key: None,
            firmware: Firmware {
                family: "fw".into(),
                build: 10,
            },
        }
    }

    /// The same with a robot's own key, which signs for code and body.
    pub fn with_key(&self, key: &str, registration: Registration) -> Registration {
        let Registration { code, body, .. } = &registration;
        let key = RobotKey::prove(code, &body.identity(), &self.key(key));
        Registration {
            robot_key: Some(key),
            ..registration
        }
    }

    /// The command that registers it.
    pub fn register(&self, serial: u32) -> Command {
        Command::Register {
            registration: self.registration(serial),
        }
    }

    /// The command that offers it to another country for good, for a day, under version 1.
    pub fn declare(&self, serial: u32, transfer: TransferId, to: &Prefix) -> Command {
        Command::DeclareExport {
            code: self.code(serial),
            transfer,
            to: *to,
            purpose: Purpose::PermanentExport,
            // saturates: a time of the kit
            offer_until: self.clock.saturating_add(DurationMs::from_days(1)),
            agreement: agreed(self.prefix, *to),
            papers: Papers {
                office_of_export: "port".into(),
                office_of_entry: "harbour".into(),
                consignee: Some(sha256(&[b"importer of record"]).into()),
                ..Papers::default()
            },
        }
    }

    /// Who of the kit gives a robot away: its owner, who holds it while it has none, or the desk of that.
    pub fn giver(&self, code: &Code) -> &'static str {
        let Ok(robot) = self.ledger.robot(code);
        let whose = robot.and_then(|robot| robot.owner.or(robot.holder));
        let id = match whose {
            Some(
                Party::Enterprise { id }
                | Party::Person {
                    desk: Desk::Enterprise { id },
                    ..
                },
            ) => id,
            _ => return "customs",
        };
        let may = [Role::Manufacturer, Role::Owner, Role::Dealer];
        let mut of_it = ENTERPRISES
            .iter()
            .filter(|(_, code, role)| id == self.enterprise(code) && may.contains(role));
        of_it.next().map_or("customs", |(name, _, _)| *name)
    }

    /// The registry's state.
    ///
    /// # Panics
    /// Before the genesis.
    pub fn registry(&self) -> Registry {
        let Ok(registry) = self.ledger.registry();
        registry.expect("the registry has its genesis")
    }

    /// Applies a body under the next stamp, after a quorum has confirmed the clock if that is needed.
    pub fn apply(&mut self, body: Body) -> Answer {
        self.renew();
        self.apply_unrenewed(body)
    }

    /// Applies a body under the next stamp, whatever the ceiling.
    pub fn apply_unrenewed(&mut self, body: Body) -> Answer {
        let answer = self.apply_at(self.clock, self.drawn, body);
        self.drawn += 1;
        // saturates: a time of the kit
        self.clock = self.clock.saturating_add(STEP);
        answer
    }

    fn apply_at(&mut self, at: TimeMs, number: u64, body: Body) -> Answer {
        let seed = sha256(&[
            b"carnet-kit-seed/",
            self.prefix.as_str().as_bytes(),
            &number.to_be_bytes(),
        ]);
        let entry = Entry {
            stamp: Stamp {
                at,
                seed: EntrySeed(seed.0),
            },
            body,
        };
        let Ok(answer) = machine::apply_with(&mut self.ledger, &entry, self.planted);
        self.entries.push(entry);
        answer
    }

    /// A quorum whose clocks all read `at` confirms it.
    pub fn confirmation(at: TimeMs) -> Body {
        let reading = |node| ClockReading {
            node,
            at,
            round_trip: DurationMs(1),
        };
        Body::AdvanceTime {
            to: at,
            readings: VOTERS.into_iter().map(reading).collect(),
        }
    }

    /// Lifts the ceiling up to the clock: the clocks of all voters go on hour by hour.
    fn renew(&mut self) {
        let Ok(registry) = self.ledger.registry();
        let Some(mut registry) = registry else {
            return;
        };
        while registry.ceiling < self.clock {
            // saturates: a time of the kit
            let hour = registry.log_time.saturating_add(ADVANCE_MAX);
            let to = hour.min(self.clock);
            self.apply_at(to, u64::MAX, Self::confirmation(to));
            let before = registry.ceiling;
            registry = self.registry();
            assert!(
                before < registry.ceiling,
                "the kit cannot lift the ceiling above {before}"
            );
        }
    }

    /// Moves log time on, as a quorum may.
    pub fn advance(&mut self, by: DurationMs) {
        // saturates: a time of the kit
        self.clock = self.clock.saturating_add(by);
        self.renew();
        self.apply_at(self.clock, u64::MAX, Self::confirmation(self.clock));
        self.drawn += 1;
        // saturates: a time of the kit
        self.clock = self.clock.saturating_add(STEP);
    }

    /// The entry by which somebody opens a session, under a certificate of the same name.
    pub fn opening(&self, name: &str, nonce: [u8; 16]) -> Body {
        self.opening_under(name, name, nonce)
    }

    /// The entry by which somebody opens a session under a certificate with this subject.
    pub fn opening_under(&self, subject: &str, name: &str, nonce: [u8; 16]) -> Body {
        let key = self.key(name);
        let registry = self.registry();
        let opening = SessionOpening {
            prefix: registry.prefix,
            incarnation: registry.incarnation,
            key: key.public().key_id(),
            subject: subject.to_owned(),
            nonce,
            not_after: TimeMs::MAX,
        };
        let opening = opening.to_bytes();
        Body::OpenSession {
            subject: subject.to_owned(),
            signature: key.sign(&SessionOpening::signing_bytes(&opening)),
            opening: Blob(opening),
        }
    }

    /// The entry of a request that came under the certificate which opened its session.
    pub fn client_body(&self, request: Request) -> Body {
        let header = SignedHeader::from_bytes(&request.header.0).ok();
        let session = header.and_then(|header| {
            let Ok(session) = self.ledger.session(header.session);
            session
        });
        Body::Actor {
            subject: session.map(|session| session.subject).unwrap_or_default(),
            request,
        }
    }

    /// A request, applied under the certificate which opened its session.
    pub fn ask(&mut self, request: Request) -> Answer {
        let body = self.client_body(request);
        self.apply(body)
    }

    /// The open session of somebody.
    pub fn session(&mut self, name: &str) -> u64 {
        if let Some((session, _)) = self.sessions.get(name) {
            return *session;
        }
        let nonce = sha256(&[name.as_bytes()]);
        let opening = self.opening(name, std::array::from_fn(|i| nonce.0[i]));
        let answer = self.apply(opening);
        let id = answer.session.unwrap_or_default();
        self.sessions.insert(name.to_owned(), (id, 0));
        id
    }

    /// The session record of somebody.
    pub fn session_of(&mut self, name: &str) -> Option<Session> {
        let id = self.session(name);
        let Ok(session) = self.ledger.session(id);
        session
    }

    /// A header for commands of one kind that come as one part, with the next number of the signer's session.
    pub fn header(&mut self, name: &str, commands: &[Command]) -> SignedHeader {
        self.header_in_parts(name, commands, commands.len())
    }

    /// As [`Country::header`], in parts of so many items.
    pub fn header_in_parts(
        &mut self,
        name: &str,
        commands: &[Command],
        part_items: usize,
    ) -> SignedHeader {
        let session = self.session(name);
        let sequence = self.sessions.get_mut(name).map_or(0, |(_, next)| {
            *next += 1;
            *next
        });
        let items: Vec<Vec<u8>> = commands.iter().map(Canonical::to_bytes).collect();
        SignedHeader {
            prefix: self.prefix,
            incarnation: 0,
            key: self.key(name).public().key_id(),
            session,
            sequence,
            not_after: self
                .registry()
                .log_time
                .max(self.clock)
                // saturates: a time of the kit
                .saturating_add(DurationMs::from_days(1)),
            kind: commands
                .first()
                .map_or(0, |command| command.kind().number() as u16),
            item_count: commands.len() as u32,
            part_items: part_items as u32,
            item_root: item_root(items.iter().map(Vec::as_slice)),
        }
    }

    /// The part of a request with commands `[first, first + count)` of all that the header signs.
    pub fn part(
        &self,
        name: &str,
        header: &SignedHeader,
        commands: &[Command],
        first: usize,
        count: usize,
    ) -> Request {
        let items: Vec<Vec<u8>> = commands.iter().map(Canonical::to_bytes).collect();
        let hashes: Vec<Digest> = items.iter().map(|item| leaf_bytes_hash(item)).collect();
        let Ok(range_proof) =
            range_proof(&hashes[..], first as u64, count as u64, hashes.len() as u64);
        Request {
            header: Blob(header.to_bytes()),
            signature: self.key(name).sign(&header.signing_bytes()),
            first_item: first as u32,
            items: items[first..first + count]
                .iter()
                .cloned()
                .map(Blob)
                .collect(),
            range_proof,
        }
    }

    /// As [`Country::request`], and the session is opened before the clock is judged.
    pub fn request_unrenewed(&mut self, name: &str, commands: &[Command]) -> Request {
        let clock = self.clock;
        self.clock = self.registry().log_time;
        self.session(name);
        self.clock = clock;
        self.request(name, commands)
    }

    /// A signed request of somebody for commands of one kind.
    pub fn request(&mut self, name: &str, commands: &[Command]) -> Request {
        let header = self.header(name, commands);
        self.part(name, &header, commands, 0, commands.len())
    }

    /// One command of somebody, signed and applied.
    ///
    /// # Panics
    /// When the answer is not one item.
    pub fn command(&mut self, name: &str, command: Command) -> ItemAnswer {
        let request = self.request(name, &[command]);
        let mut answer = self.ask(request);
        assert!(answer.items.len() == 1, "one command has one answer");
        answer.items.swap_remove(0)
    }

    /// As [`Country::command`], for a step that the caller's story takes for granted.
    ///
    /// # Panics
    /// When it is refused.
    pub fn must(&mut self, name: &str, command: Command) {
        let said = command.name();
        let name = self.whoever(name, &command);
        let mut answer = self.command(name, command.clone());
        // An attack in the name of somebody may have used up a number of theirs: the next one is free.
        let used = |answer: &ItemAnswer| matches!(answer, ItemAnswer::Refused { rejection } if rejection.reason == Reason::IdempotencyMismatch);
        for _ in 0..ATTEMPTS_MAX {
            if used(&answer) {
                answer = self.command(name, command.clone());
            }
        }
        assert!(
            matches!(answer, ItemAnswer::Done { .. }),
            "{name} at {}: {said}: {}",
            self.prefix,
            text(&answer)
        );
    }

    /// Who does what a story takes for granted: customs export nobody's robot for good, so that its owner's side says so, or another
    /// of customs first; nor do they admit one for good for another than its consignee; the one registrar who made every enterprise here confirms no end that one of them declared; and what is for ever
    /// another of the office says first.
    pub fn whoever<'n>(&mut self, name: &'n str, command: &Command) -> &'n str {
        match command {
            Command::DeclareExport {
                code,
                purpose: Purpose::PermanentExport,
                ..
            } if name == "customs" => {
                let giver = self.giver(code);
                let Ok(robot) = self.ledger.robot(code);
                let whose = robot.and_then(|robot| robot.owner.or(robot.holder));
                let own = self.office(name);
                let is_desk =
                    whose.is_none_or(|whose| stands_for(self.prefix, &own, &whose).is_some());
                if giver == name && !is_desk {
                    self.enrol_once("customs-again", name, Role::Customs);
                    self.command("customs-again", command.clone());
                }
                giver
            }
            Command::Admit {
                transfer, importer, ..
            } if name == "customs" => {
                let Ok(known) = self.ledger.transfer(transfer);
                let takes_two = known.is_some_and(|known| {
                    let named = known.papers.consignee.as_ref() == Some(importer);
                    known.purpose == Purpose::PermanentExport && !named
                });
                if takes_two {
                    self.enrol_once("customs-again", name, Role::Customs);
                    self.command("customs-again", command.clone());
                }
                name
            }
            Command::Act {
                code,
                action: Action::ConfirmEndOfLife { .. },
                ..
            } if name == "registrar" => {
                let Ok(robot) = self.ledger.robot(code);
                let made_here = robot.is_some_and(|robot| {
                    let by = match robot.pending {
                        Pending::EndOfLife { by, .. } => Some(by),
                        _ => robot.declared.into_iter().next().map(|one| one.by),
                    };
                    by.is_some_and(|by| matches!(by.holder, Holder::Enterprise { .. }))
                });
                if !made_here {
                    return name;
                }
                self.enrol_once("registrar-again", name, Role::Registrar);
                "registrar-again"
            }
            Command::SetEnterpriseStatus {
                status: EnterpriseStatus::StruckOff,
                ..
            }
            | Command::SetModelStatus {
                status: ApprovalStatus::Withdrawn,
                ..
            } => {
                // The first of two words.
                let (again, office, role) = match name.starts_with("regulator") {
                    true => ("regulator-again", "regulator", Role::Regulator),
                    false => ("registrar-again", "registrar", Role::Registrar),
                };
                self.enrol_once(again, office, role);
                self.command(again, command.clone());
                name
            }
            _ => name,
        }
    }

    fn enrol_once(&mut self, name: &str, office: &str, role: Role) {
        let known = self.ledger.signers().any(|known| known.person == name);
        if !known {
            self.enrol_office(name, office, role);
        }
    }

    /// A statement of the roots, signed and applied.
    ///
    /// # Panics
    /// When the answer is not one item.
    pub fn state(&mut self, statement: &Statement) -> ItemAnswer {
        let signed = self.sign_statement(statement);
        let mut answer = self.apply(Body::Root { signed });
        assert!(answer.items.len() == 1, "one statement has one answer");
        answer.items.swap_remove(0)
    }

    /// As [`Country::state`], whatever the ceiling.
    ///
    /// # Panics
    /// When the answer is not one item.
    pub fn state_unrenewed(&mut self, statement: &Statement) -> ItemAnswer {
        let signed = self.sign_statement(statement);
        let mut answer = self.apply_unrenewed(Body::Root { signed });
        assert!(answer.items.len() == 1, "one statement has one answer");
        answer.items.swap_remove(0)
    }

    /// Appends the map head.
    pub fn seal(&mut self) -> Answer {
        self.apply(Body::Seal {})
    }

    /// Signs and publishes the newest sealed size.
    pub fn publish(&mut self) -> Option<Answer> {
        let registry = self.registry();
        let sealed = registry.sealed?;
        let checkpoint = Checkpoint {
            origin: Origin {
                prefix: registry.prefix,
                incarnation: registry.incarnation,
            },
            size: sealed.size,
            root: sealed.root,
        };
        let signers = registry.keys.signers_of(sealed.size);
        let sign = |key: &PublicKey| KeySignature {
            key: *key,
            signature: self.log_key(key).sign(checkpoint.body().as_bytes()),
        };
        Some(self.apply(Body::Publish {
            size: sealed.size,
            root: sealed.root,
            signatures: signers.iter().map(sign).collect(),
        }))
    }

    /// Seals and publishes.
    pub fn close(&mut self) {
        self.seal();
        self.publish();
    }

    /// Mail for a peer from a sequence on.
    ///
    /// # Errors
    /// As [`mail::batch`].
    pub fn mail(
        &self,
        to: &Prefix,
        known_size: u64,
        from: u64,
    ) -> Result<MailBatch, MailError<std::convert::Infallible>> {
        mail::batch(
            &self.ledger,
            &self.registry(),
            to,
            known_size,
            self.ledger.mailbox(to, from),
            MAIL_BYTES_MAX,
        )
    }

    /// Everything that this country has for `to` and that it has not applied: closes the log and delivers.
    ///
    /// # Panics
    /// When the two are not peers.
    pub fn deliver(&mut self, to: &mut Self) -> Vec<ItemAnswer> {
        self.close();
        let Ok(peer) = to.ledger.peer(&self.prefix);
        let peer = peer.expect("mail goes between peers");
        let batch = self.mail(&to.prefix, peer.size_seen, peer.cursor);
        let batch = batch.expect("a closed log has mail");
        to.apply(Body::Foreign { batch }).items
    }
}

/// Makes two countries peers with an agreement of version 1 that recognises everything both ways.
///
/// # Panics
/// When a statement is refused.
pub fn befriend(a: &mut Country, b: &mut Country) {
    for (one, other) in [(0, 1), (1, 0)] {
        let both: [&mut Country; 2] = [&mut *a, &mut *b];
        let bundle = both[other].bundle();
        let fingerprint = sha256(&[&bundle.bytes.0]);
        let answer = both[one].state(&Statement::Recognise {
            changes: Vec::new(),
            bundle,
            fingerprint,
        });
        assert!(
            matches!(answer, ItemAnswer::Done { .. }),
            "{}",
            text(&answer)
        );
    }
    let agreement = agreement(a.prefix, b.prefix, 1);
    let bytes = agreement.to_bytes();
    let signatures = [a.root_signatures(&bytes), b.root_signatures(&bytes)].concat();
    for country in [a, b] {
        let agreement = Signed {
            bytes: Blob(bytes.clone()),
            signatures: signatures.clone(),
        };
        let answer = country.state(&Statement::Agree { agreement });
        assert!(
            matches!(answer, ItemAnswer::Done { .. }),
            "{}",
            text(&answer)
        );
    }
}

/// An agreement by which each recognises everything of either.
pub fn agreement(a: Prefix, b: Prefix, version: u32) -> Agreement {
    let clause = |number, recogniser, issuer| Clause {
        number,
        recogniser,
        issuer,
        models: Vec::new(),
        levels: vec![1, 2, 3, 4, 5],
        safety_classes: vec![1, 2, 3, 4],
        purposes: Purpose::ALL.to_vec(),
        checkpoint_age_max: DurationMs::from_days(1),
        recall_severity_max: Severity::StopUse,
        recall_count_max: 1_000,
    };
    Agreement {
        id: agreed(a, b).id,
        version,
        parties: (a.min(b), a.max(b)),
        effective_from: TimeMs::EPOCH,
        // saturates: a time of the kit
        effective_to: beginning().saturating_add(DurationMs::from_days(3_650)),
        clauses: vec![clause(1, a, b), clause(2, b, a)],
    }
}

/// The first version of the agreement of two countries of the kit.
pub fn agreed(a: Prefix, b: Prefix) -> AgreementRef {
    AgreementRef {
        id: format!("{}-{}", a.min(b), a.max(b)),
        version: 1,
    }
}

/// A transfer number.
pub fn transfer(number: u8) -> TransferId {
    TransferId([number; 16])
}

/// An answer as text: `done`, `nothing`, or the reason with its detail.
pub fn text(answer: &ItemAnswer) -> String {
    match answer {
        ItemAnswer::Done { .. } => "done".into(),
        ItemAnswer::Nothing {} => "nothing".into(),
        ItemAnswer::Refused { rejection } if rejection.detail.is_empty() => {
            rejection.reason.name().into()
        }
        ItemAnswer::Refused { rejection } => {
            format!("{}: {}", rejection.reason.name(), rejection.detail)
        }
    }
}
