//! Statements of the jurisdiction's own roots: the genesis, peers, agreements.

use std::collections::BTreeSet;

use super::meter::Metered;
use super::{Authorised, Run, refused};
use crate::bytes::code::{Prefix, Scheme};
use crate::bytes::country::is_country;
use crate::bytes::digest::Digest;
use crate::bytes::encoding::Canonical;
use crate::bytes::level::Level;
use crate::bytes::time::TimeMs;
use crate::limits::{
    ADVANCE_MAX, AGREEMENT_BYTES_MAX, AGREEMENTS_ENDED_MAX, AGREEMENTS_OF_PEER_MAX,
    BUNDLE_BYTES_MAX, KEY_ORDERS_MAX, LOG_TIME_MAX, PEERS_MAX, ROOT_CHANGES_MAX,
    ROOTS_REPLACED_MAX, SUPERVISORS_MAX,
};
use crate::log::authority::Envelope;
use crate::log::leaf::{Kind, Subject};
use crate::log::merkle::{Frontier, Nodes, root_at};
use crate::machine::entry::{Answer, Body, Entry, ItemAnswer};
use crate::planted::{Planted, Sound};
use crate::record::contact::Contact;
use crate::record::event::{After, Effect, Event};
use crate::record::keys::{GoodHead, KeyHistory, KeyStep, KeysOrder};
use crate::record::ledger::Ledger;
use crate::record::offices::{Change, Offices, Profile, is_office_of};
use crate::record::peer::{
    Agreement, Bundle, Genesis, OfficeOrder, Peer, RootsChange, Signed, Statement, Suspension,
    replaced_since, roots_after, signed_by_roots,
};
use crate::record::registry::{OwnBundle, Registry};
use crate::record::told::Tellings;
use crate::record::{Daily, Holder, Signer};
use crate::rules::decide::{Stop, enrolled, enrolled_as, has_twins};
use crate::rules::policy::Role;
use crate::rules::rejection::{Counted, Detail, Listed, Reason, Rejection, refuse};

/// Class 3: root-signed bytes.
pub(super) fn authorised(signed: &Signed) -> Authorised {
    let signatures = signed.signatures.iter();
    Authorised::whole(&Envelope::Root {
        statement: signed.bytes.clone(),
        signatures: signatures.map(|s| (s.root.key_id(), s.signature)).collect(),
    })
}

/// The first entry of a log must be its genesis; nothing else is answered before.
pub(super) fn genesis<L: Ledger>(ledger: &mut L, entry: &Entry) -> Result<Answer, L::Fault> {
    let refuse = |reason, detail: Detail| Answer {
        at: entry.stamp.at,
        size: 0,
        session: None,
        items: vec![refused(reason, detail)],
    };
    let Body::Root { signed } = &entry.body else {
        return Ok(refuse(Reason::NotInitialised, Detail::NOTHING));
    };
    let genesis = match Statement::from_bytes_at(&signed.bytes.0, Level::FIRST) {
        Ok(Statement::Genesis { genesis }) => genesis,
        Ok(_) => {
            return Ok(refuse(Reason::NotInitialised, Detail::FirstIsGenesis {}));
        }
        Err(_) => return Ok(refuse(Reason::Malformed, Detail::NOTHING)),
    };
    if !signed_by_roots(
        &genesis.roots,
        genesis.threshold,
        &signed.bytes.0,
        &signed.signatures,
    ) {
        return Ok(refuse(Reason::StatementUnsigned, Detail::NOTHING));
    }
    if genesis.time > LOG_TIME_MAX {
        return Ok(refuse(
            Reason::Malformed,
            Detail::BeyondTime { to: genesis.time },
        ));
    }
    let admins: BTreeSet<&str> = genesis
        .signers
        .iter()
        .filter(|first| first.role == Role::Admin)
        .map(|first| first.person.as_str())
        .collect();
    if genesis.profile == Profile::Production && admins.len() < 2 {
        return Ok(refuse(Reason::SecondPartyRequired, Detail::TwoAdmins {}));
    }
    if genesis.signers.iter().any(|first| first.person.is_empty()) {
        return Ok(refuse(Reason::Malformed, Detail::NoPerson {}));
    }
    if let Err(rejection) = is_of_the_world(&genesis.prefix) {
        return Ok(refuse(rejection.reason, rejection.detail));
    }
    for first in &genesis.signers {
        if let Err(rejection) = fits_office(&first.holder, first.role) {
            return Ok(refuse(rejection.reason, rejection.detail));
        }
    }
    let registry = first_state(&genesis);
    let mut run = Run {
        ledger: Metered::new(ledger),
        registry,
        now: genesis.time,
        seed: entry.stamp.seed,
        ordinal: 0,
        first_leaf: 0,
        told: Vec::new(),
        told_at: None,
        planted: Sound,
    };
    let statement = Statement::Genesis {
        genesis: genesis.clone(),
    };
    let event = Event::new(
        Kind::Genesis,
        &statement,
        After::Jurisdiction(genesis.prefix),
    );
    let head = run.record(event, &authorised(signed))?;
    for first in &genesis.signers {
        let signer = Signer {
            id: first.public.key_id(),
            public: first.public,
            holder: first.holder.clone(),
            role: first.role,
            person: first.person.clone(),
            added: head.leaf_index,
            retired: None,
            compromised_after: None,
            enrolled_by: None,
            ends: Daily::default(),
            instead: None,
        };
        run.registry.offices.follow(&signer);
        run.ledger.put_signer(signer)?;
    }
    run.ledger.put_envelope(0, entry.body.to_bytes())?;
    let size = run.registry.tree.size();
    let Run {
        mut ledger,
        registry,
        now,
        ..
    } = run;
    ledger.put_registry(registry)?;
    let done = ItemAnswer::Done {
        leaf_index: head.leaf_index,
        leaf_hash: head.leaf_hash,
        sequence: head.seq,
        waits: false,
    };
    Ok(Answer {
        at: now,
        size,
        session: None,
        items: vec![done],
    })
}

/// The tree of the own log, by what the ledger has of it.
struct Tree<'a, L>(&'a L);

/// Why there is no subtree.
enum NoNode<F> {
    /// The tree is smaller.
    Missing,
    /// The medium failed.
    Fault(F),
}

impl<L: Ledger> Nodes for Tree<'_, L> {
    type Fault = NoNode<L::Fault>;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Fault> {
        let found = self.0.subtree(level, index).map_err(NoNode::Fault)?;
        found.ok_or(NoNode::Missing)
    }
}

/// Refuses a prefix of letters that is no country's, and none that is set aside for trying out. Which digits are whose is agreed
/// between people: no table of the world says it.
fn is_of_the_world(prefix: &Prefix) -> Result<(), Rejection> {
    let is_digits = prefix.scheme() == Scheme::Digits1;
    if is_digits || prefix.is_sandbox() || is_country(prefix.as_str()) {
        return Ok(());
    }
    let prefix = *prefix;
    refuse(Reason::Malformed, Detail::NoCountry { prefix })
}

/// Refuses a key that is none of an office, or of an office of another kind.
fn fits_office(holder: &Holder, role: Role) -> Result<(), Rejection> {
    match holder {
        Holder::Office { name } if is_office_of(name, role) => Ok(()),
        Holder::Office { .. } | Holder::Enterprise { .. } => {
            let holder = holder.clone();
            refuse(Reason::RoleNotAllowed, Detail::NoRoleOf { role, holder })
        }
    }
}

/// The record of a key after an order of the roots, which is about keys of offices alone.
fn ordered(change: &Change, known: Option<Signer>, index: u64) -> Result<Signer, Rejection> {
    let key = change.key();
    match (change, known) {
        (Change::Add { .. }, Some(known)) => refuse(Reason::SignerExists, enrolled_as(&known)),
        (Change::Add { enrolment, .. }, None) if enrolment.person.is_empty() => {
            refuse(Reason::Malformed, Detail::NoPerson {})
        }
        // The order itself retires what the key follows.
        (
            Change::Add {
                instead: Some(_), ..
            },
            None,
        ) => refuse(Reason::Malformed, Detail::NOTHING),
        (Change::Add { enrolment, .. }, None) => {
            fits_office(&enrolment.holder, enrolment.role)?;
            Ok(enrolled(enrolment, index))
        }
        (Change::Retire { .. }, None) => refuse(Reason::SignerUnknown, Detail::Key { key }),
        (
            Change::Retire {
                compromised_after, ..
            },
            Some(signer),
        ) => {
            if signer.retired.is_some() {
                return refuse(Reason::SignerNotActive, Detail::RetiredAlready { key });
            }
            if !matches!(signer.holder, Holder::Office { .. }) {
                let (role, holder) = (signer.role, signer.holder);
                return refuse(Reason::RoleNotAllowed, Detail::NoRoleOf { role, holder });
            }
            Ok(Signer {
                retired: Some(index),
                compromised_after: *compromised_after,
                ..signer
            })
        }
    }
}

fn first_state(genesis: &Genesis) -> Registry {
    Registry {
        prefix: genesis.prefix,
        country: genesis.country.clone(),
        incarnation: genesis.incarnation,
        cluster: genesis.cluster,
        roots: genesis.roots.clone(),
        threshold: genesis.threshold,
        root_leaves: Vec::new(),
        keys: KeyHistory::at_genesis(&genesis.roots, genesis.log_key),
        key_leaves: Vec::new(),
        log_time: genesis.time,
        // Until a quorum has compared its clocks for the first time, the roots' word holds for the hour that a quorum
        // may bridge. A leader compares before its first stamp, so this is used only where there is no cluster.
        // saturates: no stamp is later than the last instant
        ceiling: genesis.time.saturating_add(ADVANCE_MAX),
        time_statements: 0,
        office_statements: 0,
        due_singly: false,
        seal_idle: genesis.seal_idle,
        tree: Frontier::new(),
        level: Level::FIRST,
        map_head: None,
        own_head: None,
        sealed: None,
        unsealed: 0,
        published: None,
        checkpoint: String::new(),
        next_session: 1,
        told: Tellings::default(),
        offices: Offices::none(genesis.profile),
        bundle: None,
    }
}

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// A later statement of our roots.
    pub(super) fn root_statement(&mut self, signed: &Signed) -> Result<ItemAnswer, L::Fault> {
        let statement = match Statement::from_bytes_at(&signed.bytes.0, self.registry.level) {
            Ok(statement) => statement,
            Err(_) => return Ok(refused(Reason::Malformed, Detail::NOTHING)),
        };
        if !signed_by_roots(
            &self.registry.roots,
            self.registry.threshold,
            &signed.bytes.0,
            &signed.signatures,
        ) {
            return Ok(refused(
                Reason::StatementUnsigned,
                Detail::Statement {
                    number: statement.number(),
                },
            ));
        }
        if let Statement::Offices { order } = &statement {
            return match self.order_offices(&statement, order)? {
                Ok(events) => {
                    self.registry.office_statements = order.number;
                    self.record_all(events, &authorised(signed))
                }
                Err(rejection) => Ok(ItemAnswer::Refused { rejection }),
            };
        }
        if let Statement::Settle {
            peer, fork, counts, ..
        } = &statement
        {
            let (code, events) = match self.settle(&statement, peer, *fork, counts) {
                Ok(settled) => settled,
                Err(Stop::Refused(rejection)) => return Ok(ItemAnswer::Refused { rejection }),
                Err(Stop::Fault(fault)) => return Err(fault),
            };
            let answer = self.record_all(events, &authorised(signed))?;
            // What waited for the robot is read by what counts now.
            self.try_behind(&Subject::robot(&code).key())?;
            return Ok(answer);
        }
        // Before it the time was another: what has expired by it stays expired.
        if matches!(statement, Statement::RepairTime { .. })
            && self.is_due(self.registry.log_time)?
        {
            let log_time = self.registry.log_time;
            return Ok(refused(Reason::DueFirst, Detail::DueAt { log_time }));
        }
        let event = match &statement {
            Statement::Roots { change } => {
                let replaced = self.replace_roots(&statement, change, signed);
                replaced.map(|(event, keys)| {
                    self.registry.roots.clone_from(&change.roots);
                    self.registry.threshold = change.threshold;
                    self.registry.root_leaves.push(self.registry.tree.size());
                    self.registry.keys = keys;
                    event
                })
            }
            Statement::Keys { order } => {
                let ordered = self.order_keys(&statement, order)?;
                ordered.map(|(event, keys)| {
                    self.registry.key_leaves.push(self.registry.tree.size());
                    self.registry.keys = keys;
                    event
                })
            }
            Statement::Offices { .. } | Statement::Genesis { .. } | Statement::Settle { .. } => {
                return Ok(refused(Reason::AlreadyInitialised, Detail::NOTHING));
            }
            Statement::Recognise {
                bundle,
                fingerprint,
                changes,
            } => self.recognise(&statement, bundle, fingerprint, changes)?,
            Statement::Agree { agreement } => self.agree(&statement, agreement)?,
            Statement::Suspend {
                peer,
                agreement,
                number,
                until,
                ..
            } => {
                let suspension = Suspension {
                    agreement: agreement.clone(),
                    number: *number,
                    until: *until,
                };
                self.suspend(&statement, peer, suspension)?
            }
            Statement::EndPeer {
                peer,
                sequence,
                stranded,
                ..
            } => self.end_peer(&statement, peer, (*sequence, *stranded))?,
            Statement::AdvanceTime { change } | Statement::RepairTime { change } => {
                self.change_time(&statement, change)
            }
        };
        match event {
            Ok(event) => {
                let authorised = authorised(signed);
                self.record_all(vec![event], &authorised)
            }
            Err(rejection) => Ok(ItemAnswer::Refused { rejection }),
        }
    }

    /// Other roots from now on: a threshold of those before gave their word above, and the new ones theirs, so that they can
    /// sign what comes next.
    fn replace_roots(
        &self,
        statement: &Statement,
        change: &RootsChange,
        signed: &Signed,
    ) -> Result<(Event, KeyHistory), Rejection> {
        if change.cluster != self.registry.cluster {
            return refuse(Reason::WrongAudience, Detail::OtherCluster {});
        }
        if has_twins(&change.roots) {
            let what = Listed::PrefixOrRoot;
            return refuse(Reason::Malformed, Detail::Twice { what });
        }
        let applied = self.registry.root_leaves.len() as u64;
        if Some(change.number) != applied.checked_add(1) {
            let number = change.number;
            let detail = Detail::OfficeNumber { number, applied };
            return refuse(Reason::StatementStale, detail);
        }
        if self.registry.root_leaves.len() >= ROOT_CHANGES_MAX {
            let (what, max) = (Counted::RootChanges, ROOT_CHANGES_MAX as u64);
            return refuse(Reason::RecordFull, Detail::Full { what, max });
        }
        let registry = &self.registry;
        if !change.follows(&registry.roots, registry.threshold, signed) {
            let number = statement.number();
            return refuse(Reason::StatementUnsigned, Detail::Statement { number });
        }
        let place = (registry.tree.size(), self.now);
        let keys = registry.keys.with_roots(&change.roots, place)?;
        let after = After::Jurisdiction(registry.prefix);
        Ok((Event::new(Kind::KeyEvent, statement, after), keys))
    }

    /// Keys below the roots, by their word: what an order does takes effect in its leaf, all of it or nothing.
    fn order_keys(
        &self,
        statement: &Statement,
        order: &KeysOrder,
    ) -> Result<Result<(Event, KeyHistory), Rejection>, L::Fault> {
        let ordered = match self.ordered_keys(statement, order) {
            Ok(ordered) => ordered,
            Err(rejection) => return Ok(Err(rejection)),
        };
        // A head that never was would take everything from what the key signed in its time, and one of the thief's would be believed.
        for step in &order.steps {
            let KeyStep::Compromise { last_good, .. } = step else {
                continue;
            };
            let root = match root_at(&Tree(&self.ledger), last_good.size) {
                Ok(root) => Some(root),
                Err(NoNode::Missing) => None,
                Err(NoNode::Fault(fault)) => return Err(fault),
            };
            if root != Some(last_good.root) {
                let size = last_good.size;
                return Ok(refuse(Reason::NotSealed, Detail::Size { size }));
            }
        }
        Ok(Ok(ordered))
    }

    fn ordered_keys(
        &self,
        statement: &Statement,
        order: &KeysOrder,
    ) -> Result<(Event, KeyHistory), Rejection> {
        let registry = &self.registry;
        if order.cluster != registry.cluster {
            return refuse(Reason::WrongAudience, Detail::OtherCluster {});
        }
        let applied = registry.key_leaves.len() as u64;
        if Some(order.number) != applied.checked_add(1) {
            let number = order.number;
            let detail = Detail::OfficeNumber { number, applied };
            return refuse(Reason::StatementStale, detail);
        }
        if registry.key_leaves.len() >= KEY_ORDERS_MAX {
            let (what, max) = (Counted::Keys, KEY_ORDERS_MAX as u64);
            return refuse(Reason::RecordFull, Detail::Full { what, max });
        }
        if order.steps.is_empty() {
            return refuse(Reason::Malformed, Detail::NOTHING);
        }
        let sealed = registry.sealed.as_ref().map(|sealed| GoodHead {
            size: sealed.size,
            root: sealed.root,
        });
        let place = (registry.tree.size(), self.now);
        let keys = registry.keys.with_steps(order, place, |_| sealed)?;
        let after = After::Jurisdiction(registry.prefix);
        Ok((Event::new(Kind::KeyEvent, statement, after), keys))
    }

    /// Keys of offices by the word of the roots: no second admin is asked, and the registry can be run afterwards.
    fn order_offices(
        &self,
        statement: &Statement,
        order: &OfficeOrder,
    ) -> Result<Result<Vec<Event>, Rejection>, L::Fault> {
        let no = |reason, detail: Detail| Ok(Err(Rejection::new(reason, detail)));
        if order.cluster != self.registry.cluster {
            return no(Reason::WrongAudience, Detail::OtherCluster {});
        }
        let applied = self.registry.office_statements;
        if Some(order.number) != applied.checked_add(1) {
            let number = order.number;
            return no(
                Reason::StatementStale,
                Detail::OfficeNumber { number, applied },
            );
        }
        let keys: Vec<_> = order.changes.iter().map(Change::key).collect();
        if keys.is_empty() {
            return no(Reason::Malformed, Detail::NOTHING);
        }
        if has_twins(&keys) {
            return no(Reason::Malformed, Detail::Twice { what: Listed::Key });
        }
        for change in &order.changes {
            if let Change::Add {
                enrolment, proof, ..
            } = change
                && !enrolment.is_signed(&self.registry.prefix, &enrolment.public, proof)
            {
                let key = enrolment.public.key_id();
                return no(Reason::BadSignature, Detail::NotSignedBy { key });
            }
        }
        let mut offices = self.registry.offices.clone();
        let mut events = Vec::new();
        for (index, change) in (self.registry.tree.size()..).zip(&order.changes) {
            let known = self.ledger.signer(&change.key())?;
            let signer = match ordered(change, known, index) {
                Ok(signer) => signer,
                Err(rejection) => return Ok(Err(rejection)),
            };
            offices.follow(&signer);
            events.push(Event::new(Kind::Office, statement, After::Signer(signer)));
        }
        if offices.supervisors.len() > SUPERVISORS_MAX {
            let (what, max) = (Counted::Supervisors, SUPERVISORS_MAX as u64);
            return no(Reason::RecordFull, Detail::Full { what, max });
        }
        for role in [Role::Admin, Role::Registrar, Role::Regulator] {
            let in_earnest = offices.profile == Profile::Production && role == Role::Admin;
            let had = self.registry.offices.persons(role, None);
            let least = if in_earnest { 2 } else { had.min(1) };
            if offices.persons(role, None) < least {
                return no(Reason::LastOfRole, Detail::LastOf { role });
            }
        }
        Ok(Ok(events))
    }

    fn recognise(
        &mut self,
        statement: &Statement,
        signed: &Signed,
        fingerprint: &Digest,
        changes: &[Signed],
    ) -> Result<Result<Event, Rejection>, L::Fault> {
        let no = |reason, detail: Detail| Ok(Err(Rejection::new(reason, detail)));
        let bundle = match Bundle::from_bytes_at(&signed.bytes.0, self.registry.level) {
            Ok(bundle) => bundle,
            Err(_) => return no(Reason::Malformed, Detail::NOTHING),
        };
        if bundle.fingerprint() != *fingerprint {
            return no(
                Reason::StatementUnsigned,
                Detail::Fingerprint {
                    digest: bundle.fingerprint(),
                },
            );
        }
        let Some(primary) = bundle.primary() else {
            return no(Reason::Malformed, Detail::NoPrefix {});
        };
        if signed.bytes.0.len() > BUNDLE_BYTES_MAX {
            return no(
                Reason::Malformed,
                Detail::Bytes {
                    size: signed.bytes.0.len() as u64,
                    max: BUNDLE_BYTES_MAX as u64,
                },
            );
        }
        if has_twins(&bundle.prefixes) || has_twins(&bundle.roots) {
            return no(
                Reason::Malformed,
                Detail::Twice {
                    what: Listed::PrefixOrRoot,
                },
            );
        }
        if !bundle.keys.is_sound(&bundle.roots) {
            return no(Reason::Malformed, Detail::KeysDiffer {});
        }
        // Replacements lead from roots that are pinned: a new peer has none, and our own roots are those of our state.
        let known = self.ledger.peer(&primary)?;
        if known.is_none() && !changes.is_empty() {
            return no(Reason::Malformed, Detail::NOTHING);
        }
        if primary == self.registry.prefix {
            for prefix in bundle.prefixes.iter().skip(1) {
                if let Err(rejection) = is_of_the_world(prefix) {
                    return Ok(Err(rejection));
                }
                let peers = self.ledger.peers()?;
                if peers
                    .iter()
                    .any(|peer| peer.bundle.prefixes.contains(prefix))
                {
                    return no(Reason::PrefixOverlap, Detail::Prefix { prefix: *prefix });
                }
            }
            return Ok(self.own_bundle(statement, signed, bundle));
        }
        if known.is_none() && self.ledger.peers()?.len() >= PEERS_MAX {
            return no(
                Reason::RecordFull,
                Detail::Full {
                    what: Counted::Peers,
                    max: PEERS_MAX as u64,
                },
            );
        }
        // A known peer's new bundle is signed by the roots that are pinned, or by those that its replacements lead to from them; a
        // new peer's by its own, which two people compared.
        let pinned = known.as_ref().map(|peer| &peer.bundle);
        let pinned = pinned.unwrap_or(&bundle);
        let level = self.registry.level;
        // Roots that came back are led on by what was signed since, and not to those between by the statements of then.
        let followed = known.as_ref().map_or(0, |peer| peer.roots_number);
        let (changes, newest) = replaced_since(changes, followed, level);
        let Some((roots, threshold)) = roots_after(&pinned.roots, pinned.threshold, changes, level)
        else {
            let peer = primary;
            return no(Reason::StatementUnsigned, Detail::BundleOf { peer });
        };
        if !signed_by_roots(&roots, threshold, &signed.bytes.0, &signed.signatures) {
            return no(
                Reason::StatementUnsigned,
                Detail::BundleOf { peer: primary },
            );
        }
        // And by its own, so that they can sign the next one: nobody else could.
        if !signed_by_roots(
            &bundle.roots,
            bundle.threshold,
            &signed.bytes.0,
            &signed.signatures,
        ) {
            return no(
                Reason::StatementUnsigned,
                Detail::BundleOf { peer: primary },
            );
        }
        if bundle.valid_to < self.now {
            return no(
                Reason::StatementStale,
                Detail::Over {
                    until: bundle.valid_to,
                },
            );
        }
        if let Some(peer) = &known
            && bundle.sequence <= peer.bundle.sequence
        {
            return no(
                Reason::StatementStale,
                Detail::SequenceKnown {
                    new: bundle.sequence,
                    known: peer.bundle.sequence,
                },
            );
        }
        for prefix in &bundle.prefixes {
            if let Err(rejection) = is_of_the_world(prefix) {
                return Ok(Err(rejection));
            }
            // Ours are all that our own bundle names.
            let own = self.registry.bundle.iter().flat_map(|it| &it.prefixes);
            let ours = *prefix == self.registry.prefix || own.into_iter().any(|own| own == prefix);
            let taken = self.ledger.peers()?.into_iter().any(|peer| {
                peer.bundle.primary() != Some(primary) && peer.bundle.prefixes.contains(prefix)
            });
            if ours || taken {
                return no(Reason::PrefixOverlap, Detail::Prefix { prefix: *prefix });
            }
        }
        let mut known = known.unwrap_or_else(|| Peer::new(bundle.clone(), self.now));
        // An older life was closed for good.
        if bundle.incarnation < known.bundle.incarnation {
            let (new, known) = (bundle.incarnation, known.bundle.incarnation);
            return no(Reason::StatementStale, Detail::LifeKnown { new, known });
        }
        // Of one log, what was said of a key stands: a theft that was told is not taken back by a bundle.
        let same_log = bundle.incarnation == known.bundle.incarnation;
        if same_log && !known.bundle.keys.leads_to(&bundle.keys) {
            return no(Reason::StatementStale, Detail::KeysDiffer {});
        }
        // Another life of its log is another log: of the one before nothing goes on, and nothing of it contradicts this one.
        if known.bundle.incarnation != bundle.incarnation {
            known.cursor = 0;
            known.size_seen = 0;
            known.root_seen = Digest::ZERO;
            known.time_seen = TimeMs(0);
            known.shown_at = TimeMs(0);
            known.note_seen = String::new();
            known.suspended_there = Vec::new();
            // Its roots and ours have settled what it signed twice.
            known.quarantined = false;
            known.split = false;
            known.split_note = String::new();
            known.fork = None;
            known.settled = Vec::new();
            known.heads = Vec::new();
            known.given_up = Vec::new();
        } else if let Some(good) = known.bundle.keys.stolen_in(&bundle.keys)
            && known.take_back(&bundle, good, self.registry.tree.size())
        {
            self.forget_parked(&known)?;
        }
        let (roots, threshold) = (&known.bundle.roots, known.bundle.threshold);
        if *roots != bundle.roots || threshold != bundle.threshold {
            // Whoever pinned the first ones finds them named, as one set: none of the later leaves says which those were.
            if known.roots_replaced.is_empty() {
                known.roots_replaced.push(known.bundle_leaf);
            }
            if known.roots_replaced.len() >= ROOTS_REPLACED_MAX {
                known.roots_replaced.remove(0);
            }
            known.roots_replaced.push(self.registry.tree.size());
        }
        let peer = Peer {
            bundle,
            // Its roots have spoken since, and ours have compared what they said.
            doubted: None,
            contact: match known.contact {
                Contact::Ended => Contact::Open,
                contact => contact,
            },
            // The leaf that the statement becomes.
            bundle_leaf: self.registry.tree.size(),
            roots_number: newest.unwrap_or(known.roots_number),
            ..known
        };
        Ok(Ok(Event::new(
            Kind::TrustList,
            statement,
            After::Peer(Box::new(peer)),
        )))
    }

    /// Our own bundle, by which everybody else knows us: it is what this registry is, signed by its roots, and newer than the last.
    fn own_bundle(
        &mut self,
        statement: &Statement,
        signed: &Signed,
        bundle: Bundle,
    ) -> Result<Event, Rejection> {
        let me = &self.registry;
        let prefix = me.prefix;
        let ours = bundle.primary() == Some(prefix)
            && bundle.incarnation == me.incarnation
            && bundle.keys == me.keys
            && bundle.roots == me.roots
            && bundle.threshold == me.threshold
            && bundle.profile == me.offices.profile;
        if !ours {
            return refuse(Reason::PrefixOverlap, Detail::Prefix { prefix });
        }
        if !signed_by_roots(&me.roots, me.threshold, &signed.bytes.0, &signed.signatures) {
            return refuse(Reason::StatementUnsigned, Detail::BundleOf { peer: prefix });
        }
        let until = bundle.valid_to;
        if until < self.now {
            return refuse(Reason::StatementStale, Detail::Over { until });
        }
        let (new, known) = (
            bundle.sequence,
            me.bundle.as_ref().map(|known| known.sequence),
        );
        if let Some(known) = known.filter(|known| new <= *known) {
            return refuse(Reason::StatementStale, Detail::SequenceKnown { new, known });
        }
        self.registry.bundle = Some(OwnBundle {
            sequence: new,
            // The leaf that the statement becomes.
            leaf: self.registry.tree.size(),
            prefixes: bundle.prefixes,
        });
        let after = After::Jurisdiction(prefix);
        Ok(Event::new(Kind::TrustList, statement, after))
    }

    fn agree(
        &self,
        statement: &Statement,
        signed: &Signed,
    ) -> Result<Result<Event, Rejection>, L::Fault> {
        let no = |reason, detail: Detail| Ok(Err(Rejection::new(reason, detail)));
        let agreement = match Agreement::from_bytes_at(&signed.bytes.0, self.registry.level) {
            Ok(agreement) => agreement,
            Err(_) => return no(Reason::Malformed, Detail::NOTHING),
        };
        if signed.bytes.0.len() > AGREEMENT_BYTES_MAX {
            return no(
                Reason::Malformed,
                Detail::Bytes {
                    size: signed.bytes.0.len() as u64,
                    max: AGREEMENT_BYTES_MAX as u64,
                },
            );
        }
        let me = self.registry.prefix;
        let other = match agreement.parties {
            (a, b) if a == me => b,
            (a, b) if b == me => a,
            (a, b) => {
                return no(
                    Reason::PeerUnknown,
                    Detail::AgreementBetween { one: a, other: b },
                );
            }
        };
        let Some(peer) = self.ledger.peer(&other)? else {
            return no(Reason::PeerUnknown, Detail::Prefix { prefix: other });
        };
        if peer.contact == Contact::Ended {
            return no(Reason::ContactPaused, Detail::Prefix { prefix: other });
        }
        let bytes = &signed.bytes.0;
        let ours = signed_by_roots(
            &self.registry.roots,
            self.registry.threshold,
            bytes,
            &signed.signatures,
        );
        let theirs = signed_by_roots(
            &peer.bundle.roots,
            peer.bundle.threshold,
            bytes,
            &signed.signatures,
        );
        if !ours || !theirs {
            let missing = if ours { other } else { me };
            return no(
                Reason::StatementUnsigned,
                Detail::LacksRoots { of: missing },
            );
        }
        // Also of what ended with the contact: nothing comes back by its old statement.
        let stood = peer.agreements.iter().map(Agreement::reference);
        let stood: Vec<_> = stood.chain(peer.agreements_ended.clone()).collect();
        let of_it = stood.iter().filter(|one| one.id == agreement.id);
        let newest = of_it.map(|one| one.version).max().unwrap_or(0);
        if agreement.version <= newest {
            return no(
                Reason::StatementStale,
                Detail::VersionKnown {
                    new: agreement.version,
                    known: newest,
                },
            );
        }
        if agreement.effective_to <= agreement.effective_from || agreement.effective_to <= self.now
        {
            return no(Reason::StatementStale, Detail::NeverInForce {});
        }
        let names: BTreeSet<&str> = stood.iter().map(|one| one.id.as_str()).collect();
        if newest == 0 && names.len() >= AGREEMENTS_ENDED_MAX {
            let max = AGREEMENTS_ENDED_MAX as u64;
            return no(
                Reason::RecordFull,
                Detail::AgreementsWith { peer: other, max },
            );
        }
        let mut peer = peer;
        // What has run out makes way, then what a newer version stands before for all its time, the oldest first; what
        // may be asked for never does.
        while peer.agreements.len() >= AGREEMENTS_OF_PEER_MAX {
            let over = |old: &Agreement| old.effective_to <= self.now;
            let replaced = |old: &Agreement| {
                let newer = peer.agreements.iter().chain([&agreement]);
                newer.into_iter().any(|newer| newer.replaces(old, self.now))
            };
            let oldest = peer.agreements.iter().position(over);
            let oldest = oldest.or_else(|| peer.agreements.iter().position(replaced));
            let Some(oldest) = oldest else {
                return no(
                    Reason::RecordFull,
                    Detail::AgreementsWith {
                        peer: other,
                        max: AGREEMENTS_OF_PEER_MAX as u64,
                    },
                );
            };
            peer.agreements.remove(oldest);
            peer.agreement_leaves.remove(oldest);
        }
        let place = peer
            .agreements
            .partition_point(|a| (&a.id, a.version) < (&agreement.id, agreement.version));
        peer.agreements.insert(place, agreement);
        peer.agreement_leaves
            .insert(place, self.registry.tree.size());
        // A suspension whose version is gone from the list suspends nothing.
        let kept: Vec<_> = peer.agreements.iter().map(Agreement::reference).collect();
        peer.suspended
            .retain(|suspension| kept.contains(&suspension.agreement));
        Ok(Ok(Event::new(
            Kind::Agreement,
            statement,
            After::Peer(Box::new(peer)),
        )))
    }

    /// Ends the contact with a peer. What was agreed stands no more, and none of it comes back by its old statement; what it said and
    /// what is told of it stays. While more robots are offered or on their way between the two than the statement gives up, it is not
    /// ended: nobody could take them on either side.
    fn end_peer(
        &self,
        statement: &Statement,
        prefix: &Prefix,
        (sequence, stranded): (u64, u64),
    ) -> Result<Result<Event, Rejection>, L::Fault> {
        let no = |reason, detail: Detail| Ok(Err(Rejection::new(reason, detail)));
        let prefix = *prefix;
        let Some(peer) = self.ledger.peer(&prefix)? else {
            return no(Reason::PeerUnknown, Detail::Prefix { prefix });
        };
        let open = peer.offers_open.checked_add(peer.offers_made);
        let open = open.and_then(|open| open.checked_add(peer.under_way));
        if open.is_none_or(|open| open > stranded) {
            let (peer, offers) = (prefix, open.unwrap_or(u64::MAX));
            return no(Reason::TransferOpen, Detail::OffersOpen { peer, offers });
        }
        let (new, known) = (sequence, peer.bundle.sequence);
        if new != known {
            return no(Reason::StatementStale, Detail::SequenceKnown { new, known });
        }
        if peer.contact == Contact::Ended {
            return no(Reason::NothingChanges, Detail::Prefix { prefix });
        }
        let after = After::Peer(Box::new(Peer {
            contact: Contact::Ended,
            agreements_ended: peer.newest_versions(),
            agreements: Vec::new(),
            agreement_leaves: Vec::new(),
            suspended: Vec::new(),
            suspended_there: Vec::new(),
            ..peer
        }));
        Ok(Ok(Event::new(Kind::TrustList, statement, after)))
    }

    fn suspend(
        &self,
        statement: &Statement,
        peer: &Prefix,
        suspension: Suspension,
    ) -> Result<Result<Event, Rejection>, L::Fault> {
        let no = |reason, detail: Detail| Ok(Err(Rejection::new(reason, detail)));
        let Some(mut peer) = self.ledger.peer(peer)? else {
            return no(Reason::PeerUnknown, Detail::Prefix { prefix: *peer });
        };
        let named = &suspension.agreement;
        if !peer.agreements.iter().any(|a| a.reference() == *named) {
            let agreement = named.clone();
            return no(Reason::NoAgreement, Detail::Agreement { agreement });
        }
        let places = &mut peer.suspended;
        match places.binary_search_by(|known| known.agreement.cmp(named)) {
            Ok(at) => {
                let Some(known) = places.get_mut(at) else {
                    unreachable!("a search finds what is there");
                };
                if suspension.number <= known.number {
                    let detail = Detail::VersionKnown {
                        new: suspension.number,
                        known: known.number,
                    };
                    return no(Reason::StatementStale, detail);
                }
                *known = suspension;
            }
            Err(at) => places.insert(at, suspension),
        }
        // Who is on the other side of it loads no truck on an offer that nobody may permit.
        let tells = peer.bundle.primary().map(Effect::Tell);
        let mut event = Event::new(Kind::Agreement, statement, After::Peer(Box::new(peer)));
        event.effects.extend(tells);
        Ok(Ok(event))
    }
}
