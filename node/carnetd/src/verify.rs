//! Evidence and verdicts of one node: what it can prove itself, what it asks of others, and the judgement of both.
//!
//! The judgement is `carnet_trust::verdict`; this room fetches and carries.

mod maker;
mod pack;
mod packing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{Leaf, Subject, leaf_bytes_hash};
use carnet_domain::log::passport::{self, IdentityRecord};
use carnet_domain::record::event::slot;
use carnet_domain::record::keys::{KeyRole as HistoryRole, KeySignature};
use carnet_domain::record::peer::{Bundle, KeyringKind, Peer, Signed, Statement};
use carnet_domain::record::registry::Registry;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{ApprovalStatus, Ends, EnterpriseStatus, Recall, Robot};
use carnet_peering::inquirer::{InquireError, InquiryPurpose};
use carnet_store::engine::KvEngine;
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;
use carnet_store::registry::Published;
use carnet_trust::bundle::PinnedBundle;
use carnet_trust::evidence::{
    self, Evidence, Joined, ProvenEvidence, SLOTS_FOR_AUTHORITIES, SeenHead, SubjectEvidence,
};
use carnet_trust::known::{
    Doubt, Ending, Known, KnownHead, KnownMaker, KnownModel, KnownRecall, KnownRegistry,
    KnownRobot, Source,
};
use carnet_trust::offline::{EvidenceFile, FILE_VERSION, FileParty};
use carnet_trust::pack::PACK_REPLACED_MAX;
use carnet_trust::taken::{SignedTaking, Taking};
use carnet_trust::verdict::{
    EvidenceInput, Input, OWN_AGE_MAX, Purpose, Silent, SilentCause, Value as Verdicted, judge,
    leads_to,
};
use carnet_wire::status::ApiError;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tracing::debug;

use crate::gateway::Gateway;
use crate::keyring::{KeyRole, Keyring, sign_with_all};
use crate::node::Node;
use crate::reader::newest;
use crate::run_error::RunError;
use crate::service::query::Provable;
use crate::share::readers::Meter;
use crate::share::{Asker, Holder};
use crate::told::{fault, no_genesis, storage};

/// Registries that may have taken custody in turn.
const CUSTODIANS_MAX: usize = 8;
/// How long our own next checkpoint may take.
const OWN_PATIENCE: Duration = Duration::from_secs(3);
/// How long one peer may take to answer an inquiry.
const INQUIRY_PATIENCE: Duration = Duration::from_secs(3);
/// Bundles that are remembered, of peers and of our own.
const BUNDLE_COUNT_MAX: usize = 64;
/// What is said when a key does not sign.
const NOT_SIGNED: &str = "the keyring did not sign";

/// What proves and judges on one node.
pub struct Verifier {
    pub(crate) node: Arc<Node>,
    pub(crate) gateway: Arc<Gateway>,
    keyring: Arc<dyn Keyring>,
    passport_chain: Vec<Vec<u8>>,
    /// The newest pack that was made, and who makes the next.
    packs: Arc<maker::Maker>,
    /// Our own newest head, verified once.
    seen: Mutex<Option<SeenHead>>,
    /// Bundles as the roots signed them, by their leaf: what stands in the log does not change.
    bundles: Mutex<BTreeMap<u64, Option<Signed>>>,
}

impl Verifier {
    /// Reads the chain of the passport key.
    ///
    /// # Errors
    /// The file cannot be read as certificates.
    pub fn new(
        node: Arc<Node>,
        gateway: Arc<Gateway>,
        keyring: Arc<dyn Keyring>,
        certificates: &Path,
    ) -> Result<Self, RunError> {
        let wrong =
            |error: String| RunError::Config(format!("{}: {error}", certificates.display()));
        let passport_chain = CertificateDer::pem_file_iter(certificates)
            .and_then(|certificates| {
                certificates
                    .map(|one| one.map(|der| der.to_vec()))
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(|error| wrong(error.to_string()))?;
        if passport_chain.is_empty() {
            return Err(wrong("there is no certificate in it".into()));
        }
        Ok(Self {
            node,
            gateway,
            keyring,
            passport_chain,
            packs: Arc::default(),
            seen: Mutex::default(),
            bundles: Mutex::default(),
        })
    }

    /// Signatures over a message of every log key in use: whoever knows one of them believes it.
    async fn log_signatures(
        &self,
        registry: &Registry,
        message: &[u8],
    ) -> Result<Vec<KeySignature>, ApiError> {
        let keys = registry.keys.active(HistoryRole::Log);
        let keys: Vec<_> = keys.map(|entry| entry.key).collect();
        let signatures = sign_with_all(self.keyring.as_ref(), &keys, message).await;
        signatures.map_err(fault(NOT_SIGNED))
    }

    /// The identity record of a robot registered here, signed with the passport key (COSE_Sign1).
    ///
    /// # Errors
    /// The state cannot be read, or the keyring refused.
    pub async fn signed_record(
        self: &Arc<Self>,
        holder: &Holder,
        code: &Code,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let code = *code;
        let read = move |this: &Self, records: &Records<'_>| this.identity_record(records, &code);
        let Some(record) = self.read(holder, read).await? else {
            return Ok(None);
        };
        let bytes = passport::to_be_signed(&record, &self.passport_chain);
        let signature = self
            .keyring
            .sign(KeyRole::Passport, &bytes)
            .await
            .map_err(fault(NOT_SIGNED))?;
        Ok(Some(passport::assemble(
            &record,
            &self.passport_chain,
            &signature,
        )))
    }

    fn identity_record(
        &self,
        records: &Records<'_>,
        code: &Code,
    ) -> Result<Option<IdentityRecord>, ApiError> {
        let Some(robot) = records.robot(code).map_err(storage)? else {
            return Ok(None);
        };
        // The first leaf of a robot registered here is its registration, or its reservation.
        let history = records.history(robot.head, 0, 1).map_err(storage)?;
        let Some((_, leaf)) = history.into_iter().next() else {
            return Ok(None);
        };
        let decoded = Leaf::from_bytes(&leaf.leaf.0);
        let decoded = decoded.map_err(fault("a leaf is unreadable"))?;
        Ok(Some(IdentityRecord {
            version: 1,
            code: *code,
            model: code.model_id(),
            body: robot.identity.body,
            manufactured: robot.identity.manufactured,
            registered: decoded.t_ms,
            registry: self.node.prefix(),
            leaf_hash: leaf_bytes_hash(&leaf.leaf.0),
        }))
    }

    /// Reads for a holder, on the threads for that.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        holder: &Holder,
        job: impl FnOnce(&Self, &Records<'_>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let this = Arc::clone(self);
        let read = move |meter: &Meter| {
            // Of one moment: what is read of a robot, its transfer and its end go together.
            let view = this.node.state.engine().view().map_err(storage)?;
            job(&this, &Records(&meter.over(view.as_ref())))
        };
        self.node.readers.read(holder, read).await
    }

    /// The verdict of this country on a code, and the evidence file it rests on, which shows of `slots` what was seen.
    ///
    /// # Errors
    /// No such purpose, the state cannot be read, or a peer was asked too often and is to be asked a moment later. A peer that
    /// does not answer is no error: what is missing shows in the verdict.
    pub async fn verify(
        self: &Arc<Self>,
        asker: &Asker,
        code: &Code,
        purpose: &str,
        slots: &'static [u8],
    ) -> Result<(Vec<u8>, Vec<u8>), ApiError> {
        let Some(purpose) = Purpose::from_name(purpose) else {
            let names: Vec<&str> = Purpose::ALL.iter().map(|purpose| purpose.name()).collect();
            return Err(ApiError::invalid(
                "purpose",
                format!("one of {}", names.join(", ")),
            ));
        };
        let told = (*code, purpose, slots);
        if let Some(judged) = self.verify_own(&asker.holder, told).await? {
            return Ok(judged);
        }
        let asked = *code;
        let before = move |this: &Self, records: &Records<'_>| this.before(records, &asked);
        let Before {
            registry,
            peers,
            mut known,
        } = self.read(&asker.holder, before).await?;
        let me = registry.prefix;
        let owner = peers
            .iter()
            .find(|peer| peer.bundle.prefixes.contains(&code.prefix()));

        let issuer = match owner {
            Some(peer) => Some(self.ask(asker, &registry, peer, code).await?),
            None if code.prefix() == me => Some(self.own(&asker.holder, &registry, code).await?),
            None => None,
        };
        let mut custodians: Vec<Party> = Vec::new();
        let mut at = issuer.as_ref().and_then(|party| party.moved_to);
        while let Some(next) = at.filter(|_| custodians.len() < CUSTODIANS_MAX) {
            let seen = issuer
                .iter()
                .chain(&custodians)
                .any(|party| party.bundle.prefixes.contains(&next));
            let party = match peers
                .iter()
                .find(|peer| peer.bundle.prefixes.contains(&next))
            {
                _ if seen => break,
                Some(peer) => self.ask(asker, &registry, peer, code).await?,
                None if next == me => self.own(&asker.holder, &registry, code).await?,
                None => break,
            };
            at = party.moved_to;
            custodians.push(party);
        }
        let judged = move |this: &Self, records: &Records<'_>| {
            let mut shown = issuer.iter().chain(&custodians);
            // What was recorded while others were asked counts, unless what is shown of our own is of before.
            if shown.all(|party| party.peer.is_some()) {
                known = this.before(records, &asked)?.known;
            }
            this.judged(records, (me, known), (issuer.as_ref(), &custodians), told)
        };
        self.read(&asker.holder, judged).await
    }

    /// The verdict where nobody else has to be asked and nothing has to be waited for: all of it is read at once. Otherwise none.
    async fn verify_own(
        self: &Arc<Self>,
        holder: &Holder,
        (code, purpose, slots): (Code, Purpose, &'static [u8]),
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, ApiError> {
        if code.prefix() != self.node.prefix() {
            return Ok(None);
        }
        let this = Arc::clone(self);
        let job = move |meter: &Meter| {
            let view = this.node.state.engine().view().map_err(storage)?;
            let view = meter.over(view.as_ref());
            let records = Records(&view);
            let Before {
                registry,
                peers,
                known,
            } = this.before(&records, &code)?;
            let of_peer = |peer: &Peer| peer.bundle.prefixes.contains(&code.prefix());
            let covering = this.node.state.published();
            let covering = covering.filter(|published| registry.tree.size() <= published.size);
            let Some(published) = covering.filter(|_| !peers.iter().any(of_peer)) else {
                return Ok(None);
            };
            let party = this.shown(meter, &registry, Some(&published), &code)?;
            if party.moved_to.is_some() {
                return Ok(None);
            }
            let told = (code, purpose, slots);
            let parties = (Some(&party), &[][..]);
            let judged = this.judged(&records, (registry.prefix, known), parties, told);
            judged.map(Some)
        };
        self.node.readers.read(holder, job).await
    }

    /// Judges what is known and shown.
    fn judged(
        &self,
        records: &Records<'_>,
        (me, mut known): (Prefix, Known),
        (issuer, custodians): (Option<&Party>, &[Party]),
        (code, purpose, slots): (Code, Purpose, &[u8]),
    ) -> Result<(Vec<u8>, Vec<u8>), ApiError> {
        let now = self.node.clock.wall();
        for party in issuer.into_iter().chain(custodians) {
            self.also_known(records, &mut known, party)?;
        }
        let input = Input {
            verifier: me,
            code,
            issuer: issuer.map(Party::input).transpose()?,
            custodians: custodians
                .iter()
                .map(Party::input)
                .collect::<Result<_, _>>()?,
            known: Some(known),
            own_age_max: OWN_AGE_MAX,
        };
        let verdict = judge(purpose, &input, now);
        // What a peer is to be asked a moment later for may change any verdict but one: what is proven against the robot without it.
        let later = issuer.into_iter().chain(custodians);
        let later = later.filter_map(|party| party.later).max();
        if let Some(retry_after) = later.filter(|_| verdict.value != Verdicted::Invalid) {
            return Err(ApiError::Overloaded { retry_after });
        }
        let file = self.file(records, (&code, slots), now, me, (issuer, custodians))?;
        Ok((verdict.to_bytes(), file))
    }

    /// What this registry knows before anybody is asked.
    fn before(&self, records: &Records<'_>, code: &Code) -> Result<Before, ApiError> {
        let registry = records.registry().map_err(storage)?;
        let registry = registry.ok_or_else(no_genesis)?;
        let peers = records.peers().map_err(storage)?;
        let known = self.known(records, &registry, &peers, code)?;
        Ok(Before {
            registry,
            peers,
            known,
        })
    }

    /// What this registry itself shows, under a checkpoint that covers everything applied before the question: what
    /// was acknowledged to the caller is in it. Where none is published in time, the newest there is.
    async fn own(
        self: &Arc<Self>,
        holder: &Holder,
        registry: &Registry,
        code: &Code,
    ) -> Result<Party, ApiError> {
        let covering = self
            .node
            .published_at_least(registry.tree.size(), OWN_PATIENCE)
            .await;
        let published = covering.ok().or_else(|| self.node.state.published());
        let (this, registry, code) = (Arc::clone(self), registry.clone(), *code);
        let shown = move |meter: &Meter| this.shown(meter, &registry, published.as_ref(), &code);
        self.node.readers.read(holder, shown).await
    }

    /// What this registry shows under a checkpoint, if one is published.
    fn shown(
        &self,
        meter: &Meter,
        registry: &Registry,
        published: Option<&Published>,
        code: &Code,
    ) -> Result<Party, ApiError> {
        let bundle = Bundle {
            name: registry.country.clone(),
            prefixes: vec![registry.prefix],
            sequence: 0,
            incarnation: registry.incarnation,
            keyring: KeyringKind::File,
            roots: registry.roots.clone(),
            threshold: registry.threshold,
            keys: registry.keys.clone(),
            profile: registry.offices.profile,
            certificates: Vec::new(),
            endpoints: Vec::new(),
            refresh: OWN_AGE_MAX,
            valid_to: TimeMs::MAX,
        };
        let evidence = published.map(|published| {
            let view = meter.over(published.view.as_ref());
            let records = Records(&view);
            let mut evidence = evidence_of(&records, published, code)?;
            evidence.frame.joined = self.joined_to_pack(&records, published)?;
            let origin = head_of(published).origin;
            let mut seen = lock(&self.seen).clone();
            let proven = evidence.verify_again(&mut seen, &bundle.keys, &origin);
            *lock(&self.seen) = seen;
            Ok((evidence, proven.ok()))
        });
        Ok(Party::new(bundle, evidence.transpose()?, None))
    }

    /// That the published log extends the head in the newest pack that this node made: whoever holds that pack takes no evidence
    /// of ours from before it, and of later evidence sees by this that the log goes on.
    fn joined_to_pack(
        &self,
        records: &Records<'_>,
        published: &Published,
    ) -> Result<Option<Joined>, ApiError> {
        let Some(size) = self.packs.size() else {
            return Ok(None);
        };
        joined(records, published, size)
    }

    /// What this registry knows for a verdict on a code, before anybody is asked.
    fn known(
        &self,
        records: &Records<'_>,
        registry: &Registry,
        peers: &[Peer],
        code: &Code,
    ) -> Result<Known, ApiError> {
        // As of its log time, as the registry itself judges an offer: two clocks would give two answers. A node that is cut
        // off from its cluster has an old state, and says so.
        let mut known = Known::nothing(Source::Store, registry.log_time);
        // What is proven of our own log may be older than what is recorded now.
        let head = KnownHead {
            size: registry.tree.size(),
            root: registry.tree.root(),
            time: registry.log_time,
        };
        let own = KnownRegistry {
            head: Some(head),
            doubt: None,
        };
        known.registries.insert(registry.prefix, own);
        for peer in peers {
            let Some(primary) = peer.bundle.primary() else {
                continue;
            };
            let of_peer = self.known_registry(peer);
            known.registries.insert(primary, of_peer);
            known.agreements.extend(peer.agreements.iter().cloned());
            known.suspended.extend(peer.suspended.iter().cloned());
        }
        let key = Subject::robot(code).key();
        if let Some(robot) = records.robot(code).map_err(storage)? {
            for identity in robot.identities() {
                end_of(records, &mut known, identity)?;
            }
            let row = row_of(records, &robot, &registry.prefix).map_err(storage)?;
            known.robots.insert(key, row);
        } else if let Some(transfer) = refused_of(records, code).map_err(storage)? {
            known.robots.insert(key, KnownRobot::asked_for(&transfer));
        }
        end_of(records, &mut known, key)?;
        let model = code.model_id();
        let fallen = records.model(&model).map_err(storage)?;
        let fallen = fallen.filter(|model| model.status != ApprovalStatus::Approved);
        known.models.extend(fallen.map(|model| KnownModel {
            id: model.id,
            approval: model.status,
        }));
        let maker = records.enterprise(&model.enterprise_id());
        let inactive = maker
            .map_err(storage)?
            .filter(|maker| maker.status != EnterpriseStatus::Active);
        known.makers.extend(inactive.map(|maker| KnownMaker {
            id: maker.id,
            status: maker.status,
            successor: maker.successor,
        }));
        let recalls = records.recalls_of(&model).map_err(storage)?;
        let binding = recalls.iter().filter_map(Recall::binding);
        let binding = binding.filter(|(_, models)| models.contains(&model));
        known.recalls.extend(binding.map(|(notice, _)| KnownRecall {
            notice: notice.clone(),
            models: vec![model],
        }));
        Ok(known)
    }

    /// What is known of a peer: by its record, and by what this node saw of it.
    fn known_registry(&self, peer: &Peer) -> KnownRegistry {
        let head = (peer.size_seen > 0).then_some(KnownHead {
            size: peer.size_seen,
            root: peer.root_seen,
            time: peer.time_seen,
        });
        let doubt = match peer.quarantined {
            true => Some(Doubt::Fork),
            false => self.gateway.doubt(peer),
        };
        KnownRegistry { head, doubt }
    }

    /// What is known of the identities that a registry shows, and of that registry as it was when it was asked.
    fn also_known(
        &self,
        records: &Records<'_>,
        known: &mut Known,
        party: &Party,
    ) -> Result<(), ApiError> {
        let identities = party.proven.iter().flat_map(ProvenEvidence::identities);
        for identity in identities {
            end_of(records, known, identity)?;
        }
        if let Some(peer) = &party.peer
            && let Some(primary) = peer.bundle.primary()
        {
            let of_peer = self.known_registry(peer);
            known.registries.insert(primary, of_peer);
        }
        Ok(())
    }

    /// What a peer shows now, or what it showed last.
    async fn ask(
        self: &Arc<Self>,
        asker: &Asker,
        registry: &Registry,
        peer: &Peer,
        code: &Code,
    ) -> Result<Party, ApiError> {
        let primary = peer.bundle.primary();
        let primary = primary.ok_or_else(|| ApiError::internal("a peer without a prefix"))?;
        let why = InquiryPurpose::parse("verify");
        let why = why.map_err(fault("an inquiry has no such purpose"))?;
        let found = self
            .gateway
            .inquire(primary, (code, asker), &why, INQUIRY_PATIENCE);
        let (mut under_known, mut later) = (None, None);
        let (bundle, evidence, known, silent) = match found.await {
            Ok(found) => {
                let bundle = found.known.bundle.clone();
                let silent = found.fetched.kept_because.map(|unanswered| Silent {
                    since: Some(found.fetched.at),
                    cause: match unanswered.overloaded {
                        true => SilentCause::Overloaded,
                        false => SilentCause::NoAnswer,
                    },
                    why: unanswered.why,
                });
                under_known = found.under_known;
                let shown = Some((found.evidence, Some(found.proven)));
                (bundle, shown, found.known, silent)
            }
            Err(error) => {
                // It may be asked a moment later: whoever asks comes again, unless what is known here is enough.
                if let InquireError::TooOften { retry_after, .. } = error {
                    later = Some(retry_after);
                }
                debug!(%error, "no evidence from a peer");
                let (cause, why) = match error {
                    InquireError::Overloaded { why, .. } => (SilentCause::Overloaded, why),
                    error => (SilentCause::NoAnswer, error.to_string()),
                };
                let silent = Silent {
                    since: None,
                    cause,
                    why,
                };
                (peer.bundle.clone(), None, peer.clone(), Some(silent))
            }
        };
        let mut party = Party::new(bundle, evidence, Some(known));
        party.silent = silent;
        party.later = later;
        self.take(asker, registry, &mut party, under_known).await?;
        Ok(party)
    }

    /// Our word that the head of a peer's evidence is the one in our log, and that nothing is doubted of it: for those who verify
    /// without a network, whose packs name another head. All nodes have one log, and so this is said of one history only.
    ///
    /// Where the newest head is not taken in, because another was a moment ago, the file has what the peer showed under that one:
    /// it says the same of the robot, or it was passed over. Nothing newer is hidden by it, and the verdict is of the newest.
    async fn take(
        self: &Arc<Self>,
        asker: &Asker,
        registry: &Registry,
        party: &mut Party,
        under_known: Option<(Evidence, ProvenEvidence)>,
    ) -> Result<(), ApiError> {
        let (Some(asked), Some(proven)) = (&party.peer, &party.proven) else {
            return Ok(());
        };
        let Some(primary) = asked.bundle.primary() else {
            return Ok(());
        };
        let newest = move |_: &Self, records: &Records<'_>| records.peer(&primary).map_err(storage);
        // As of now: while it was asked, its mail may have brought that head.
        let Some(mut peer) = self.read(&asker.holder, newest).await? else {
            return Ok(());
        };
        // That no way was found to its log ends with the first head that goes on, and only if it is taken in.
        let doubt = self.gateway.doubt(&peer);
        if peer.quarantined || doubt.is_some_and(|doubt| doubt != Doubt::OtherHistory) {
            return Ok(());
        }
        if let Some(evidence) = &party.evidence
            && self.gateway.take_in(&peer, evidence, proven).await
        {
            peer = self.read(&asker.holder, newest).await?.unwrap_or(peer);
        }
        if peer.quarantined || self.gateway.doubt(&peer).is_some() {
            return Ok(());
        }
        let (me, incarnation, at) = (registry.prefix, registry.incarnation, registry.log_time);
        let published = registry
            .published
            .as_ref()
            .map_or(0, |published| published.size);
        let taking = |proven: &ProvenEvidence, of: &Peer| {
            let known = KnownHead {
                size: of.size_seen,
                root: of.root_seen,
                time: of.time_seen,
            };
            Taking::of(me, incarnation, (published, at), proven, &known)
        };
        let (taking, filed) = match (taking(proven, &peer), under_known) {
            (Some(taking), _) => (taking, None),
            (None, Some((evidence, proven))) => match taking(&proven, asked) {
                Some(taking) => (taking, Some(evidence)),
                None => return Ok(()),
            },
            (None, None) => return Ok(()),
        };
        let signatures = self.log_signatures(registry, &taking.message()).await?;
        party.taken = Some(SignedTaking { taking, signatures });
        party.filed = filed;
        Ok(())
    }

    /// What was shown as a file that needs no network, with the bundles as their roots signed them. Those who verify it have our
    /// own pinned; it is added once our roots stated it (`carnet peer add` with our own).
    fn file(
        &self,
        records: &Records<'_>,
        (code, slots): (&Code, &[u8]),
        now: TimeMs,
        verifier: Prefix,
        (issuer, custodians): (Option<&Party>, &[Party]),
    ) -> Result<Vec<u8>, ApiError> {
        let party = |party: &Party| -> Result<Option<FileParty>, ApiError> {
            let Some(registry) = party.bundle.primary() else {
                return Ok(None);
            };
            let leaf = match registry == verifier {
                true => {
                    let ours = records.registry().map_err(storage)?;
                    ours.and_then(|ours| ours.bundle).map(|stated| stated.leaf)
                }
                false => {
                    let peer = records.peer(&registry).map_err(storage)?;
                    peer.map(|peer| peer.bundle_leaf)
                }
            };
            let bundle = match leaf {
                Some(leaf) => self.bundle_of(records, leaf)?,
                None => None,
            };
            let evidence = party.filed.as_ref().or(party.evidence.as_ref());
            let evidence =
                evidence.map(|evidence| Blob(evidence.clone().showing(slots).to_bytes()));
            Ok(Some(FileParty {
                registry,
                bundle,
                evidence,
                taken: party.taken.clone(),
            }))
        };
        let mut shown = Vec::new();
        for custodian in custodians {
            shown.extend(party(custodian)?);
        }
        let file = EvidenceFile {
            version: FILE_VERSION,
            verifier,
            code: *code,
            saved_at: now,
            issuer: issuer.map(party).transpose()?.flatten(),
            custodians: shown,
        };
        Ok(file.to_file())
    }
}

impl Verifier {
    /// The bundle in a leaf of the roots, read once.
    fn bundle_of(&self, records: &Records<'_>, leaf: u64) -> Result<Option<Signed>, ApiError> {
        if let Some(bundle) = lock(&self.bundles).get(&leaf) {
            return Ok(bundle.clone());
        }
        let bundle = bundle_in(records, leaf)?;
        let mut bundles = lock(&self.bundles);
        if bundles.len() >= BUNDLE_COUNT_MAX {
            bundles.pop_first();
        }
        bundles.insert(leaf, bundle.clone());
        Ok(bundle)
    }
}

fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Evidence about a code under a published checkpoint, with what an authority may see.
///
/// # Errors
/// The state cannot be read.
pub fn evidence_of(
    records: &Records<'_>,
    published: &Published,
    code: &Code,
) -> Result<Evidence, ApiError> {
    let built = evidence::build(records, &head_of(published), code, SLOTS_FOR_AUTHORITIES);
    built.map_err(fault("evidence cannot be built"))
}

/// Evidence about a subject that is no robot, under a published checkpoint.
///
/// # Errors
/// The state cannot be read.
pub fn subject_evidence(
    records: &Records<'_>,
    published: &Published,
    what: &Provable,
) -> Result<SubjectEvidence, ApiError> {
    let (subject, newest) = newest(records, what).map_err(storage)?;
    evidence::build_subject(records, &head_of(published), subject, newest)
        .map_err(fault("evidence cannot be built"))
}

/// That a published log extends its own head of an earlier size.
///
/// # Errors
/// The state cannot be read.
pub fn joined(
    records: &Records<'_>,
    published: &Published,
    size: u64,
) -> Result<Option<Joined>, ApiError> {
    evidence::join(records, &head_of(published), size).map_err(fault("evidence cannot be built"))
}

/// A published head, as evidence names it.
fn head_of(published: &Published) -> evidence::Published<'_> {
    evidence::Published {
        origin: Origin {
            prefix: published.registry.prefix,
            incarnation: published.registry.incarnation,
        },
        checkpoint: &published.checkpoint,
        size: published.size,
    }
}

fn end_of(records: &Records<'_>, known: &mut Known, identity: Digest) -> Result<(), ApiError> {
    let ends = records.ends(&identity).map_err(storage)?;
    if let Some(ended) = ends.as_ref().and_then(Ends::shown) {
        let robot = known.robots.entry(identity).or_default();
        robot.ended = Some(Ending::of(ended));
    }
    Ok(())
}

/// The newest bundle of a peer as its roots signed it. Its record names the leaf, however many statements followed it.
fn signed_bundle(records: &Records<'_>, peer: Prefix) -> Result<Option<Signed>, ApiError> {
    let Some(peer) = records.peer(&peer).map_err(storage)? else {
        return Ok(None);
    };
    bundle_in(records, peer.bundle_leaf)
}

/// How a peer's roots were replaced since it was recognised first, oldest first, as it was signed; of many, the newest.
fn replaced_roots(records: &Records<'_>, peer: &Peer) -> Result<Vec<Signed>, ApiError> {
    let mut found = Vec::new();
    for leaf in &peer.roots_replaced {
        if let Some(Statement::Recognise {
            bundle, changes, ..
        }) = statement_in(records, *leaf)?
        {
            found.extend(changes);
            found.push(bundle);
        }
    }
    // saturates: of fewer, all
    let more = found.len().saturating_sub(PACK_REPLACED_MAX);
    Ok(found.split_off(more))
}

/// The bundle in a leaf of the roots.
fn bundle_in(records: &Records<'_>, leaf: u64) -> Result<Option<Signed>, ApiError> {
    match statement_in(records, leaf)? {
        Some(Statement::Recognise { bundle, .. }) => Ok(Some(bundle)),
        _ => Ok(None),
    }
}

/// The statement in a leaf of the roots.
fn statement_in(records: &Records<'_>, leaf: u64) -> Result<Option<Statement>, ApiError> {
    let leaf = records.leaf(leaf).map_err(storage)?;
    let event = leaf.and_then(|leaf| leaf.values.get(usize::from(slot::EVENT)).cloned());
    let stated = event.flatten().map(|event| Statement::from_bytes(&event.0));
    let stated = stated.transpose();
    stated.map_err(fault("a statement of the roots cannot be read"))
}

/// What is known before anybody is asked.
struct Before {
    registry: Registry,
    peers: Vec<Peer>,
    known: Known,
}

/// What the record of a robot says, with its newest transfer.
fn row_of(records: &Records<'_>, robot: &Robot, me: &Prefix) -> Result<KnownRobot, StorageFault> {
    let newest = KnownRobot::transfer_of(robot);
    let transfer = newest.map(|id| records.transfer(&id)).transpose()?;
    Ok(KnownRobot::of(robot, transfer.flatten().as_ref(), me))
}

/// The newest transfer of a robot that was asked for here and has no record: it was refused, or given up there.
pub(crate) fn refused_of(
    records: &Records<'_>,
    code: &Code,
) -> Result<Option<Transfer>, StorageFault> {
    let Some(loose) = records.loose_chain(code)? else {
        return Ok(None);
    };
    let newest = loose.chain.newest().and_then(|link| link.transfer);
    let found = newest.map(|id| records.transfer(&id)).transpose()?;
    Ok(found.flatten())
}

/// One registry's part in a verdict.
struct Party {
    bundle: Bundle,
    evidence: Option<Evidence>,
    proven: Option<ProvenEvidence>,
    /// The peer as it was known before it was asked; none for our own.
    peer: Option<Peer>,
    /// What goes into the file in its place: it says the same of the robot, and is under a head that we took in.
    filed: Option<Evidence>,
    /// When that evidence came, and why there is none of now.
    silent: Option<Silent>,
    /// After how long it may be asked, where it was not asked now.
    later: Option<Duration>,
    /// Our word that we took in the head of what goes into the file.
    taken: Option<SignedTaking>,
    /// Whose evidence is needed to know where the robot is.
    moved_to: Option<Prefix>,
}

impl Party {
    fn new(
        bundle: Bundle,
        shown: Option<(Evidence, Option<ProvenEvidence>)>,
        peer: Option<Peer>,
    ) -> Self {
        let (evidence, proven) = shown.unzip();
        let proven = proven.flatten();
        let pinned = PinnedBundle::of_state(bundle.clone()).ok();
        let shown = pinned.as_ref().zip(proven.as_ref());
        let moved_to = shown.and_then(|(bundle, proven)| leads_to(bundle, proven));
        Self {
            bundle,
            evidence,
            proven,
            peer,
            filed: None,
            silent: None,
            later: None,
            taken: None,
            moved_to,
        }
    }

    fn input(&self) -> Result<EvidenceInput, ApiError> {
        Ok(EvidenceInput {
            bundle: PinnedBundle::of_state(self.bundle.clone())
                .map_err(fault("a bundle in the state is unreadable"))?,
            evidence: self.evidence.as_ref().map(Evidence::to_bytes),
            proven: self.proven.clone(),
            // A node says itself how the head goes with the one it knows.
            taken: None,
            silent: self.silent.clone(),
        })
    }
}
