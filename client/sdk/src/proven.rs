//! Reads that are proven on this machine, under the log key that is pinned and never under an older head than was seen.
//!
//! A node that answers is believed nothing: its evidence must be signed by the log key, must cover every write that was
//! acknowledged to this client, must not be old, and its log must go on from the largest head that this client saw. The pack is
//! held to the same: the log key signed its head as well. What a log says nothing of is asked for by [`Client::unverified`].

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::log::leaf::{Subject, leaf_bytes_hash};
use carnet_domain::log::stored::OpenedLeaf;
use carnet_domain::record::keys::KeyHistory;
use carnet_domain::record::{Enterprise, Model, Recall, RecallId};
use carnet_domain::rules::command::Registration;
use carnet_trust::evidence::{
    Evidence, EvidenceError, HeadOrder, LogHead, ProvenEvidence, ProvenSubject, SubjectEvidence,
    parse, parse_subject,
};
use carnet_trust::known::KnownHead;
use carnet_trust::pack::OpenedPack;
use carnet_trust::pins::Pins;
use carnet_wire::limits;
use carnet_wire::registry::v1 as pb;
use carnet_wire::registry::v1::RecordKind;

use crate::client::Client;
use crate::clock::wall_time;
use crate::error::ClientError;
use crate::heads::Log;
use crate::pin::{Pin, PinError};
use crate::unverified::registered;
use crate::verify::{Verified, not_opened};

/// How often an answer is asked for again because another call of this client saw a larger head meanwhile.
const ASKED_AGAIN_MAX: usize = 8;
/// How often a pack is asked for again that was made before what is known.
const PACK_ASKED_AGAIN_MAX: usize = 3;

/// Evidence as it arrives, of either form.
trait Shown: Sized {
    type Proven;
    fn parse(bytes: &[u8]) -> Result<Self, EvidenceError>;
    fn origin(&self) -> &Origin;
    fn verify(&self, keys: &KeyHistory, origin: &Origin) -> Result<Self::Proven, EvidenceError>;
    fn head(proven: &Self::Proven) -> &LogHead;
}

impl Shown for Evidence {
    type Proven = ProvenEvidence;
    fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        parse(bytes)
    }
    fn origin(&self) -> &Origin {
        &self.frame.origin
    }
    fn verify(&self, keys: &KeyHistory, origin: &Origin) -> Result<ProvenEvidence, EvidenceError> {
        Self::verify(self, keys, origin)
    }
    fn head(proven: &ProvenEvidence) -> &LogHead {
        proven.head()
    }
}

impl Shown for SubjectEvidence {
    type Proven = ProvenSubject;
    fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        parse_subject(bytes)
    }
    fn origin(&self) -> &Origin {
        &self.frame.origin
    }
    fn verify(&self, keys: &KeyHistory, origin: &Origin) -> Result<ProvenSubject, EvidenceError> {
        Self::verify(self, keys, origin)
    }
    fn head(proven: &ProvenSubject) -> &LogHead {
        proven.head()
    }
}

/// What an answer is held to.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    /// The smallest head that covers what the caller knows of.
    size_min: u64,
    /// The oldest time of a head.
    oldest: TimeMs,
}

/// Judges a head against what is wanted and what was seen before.
fn judge(seen: Option<&Pin>, head: &LogHead, wanted: Wanted) -> Result<Pin, PinError> {
    let now = Pin {
        origin: *head.checkpoint().origin(),
        size: head.size(),
        root: *head.checkpoint().root(),
        text: head.checkpoint().text().to_owned(),
    };
    if now.size < wanted.size_min {
        return Err(PinError::Older {
            shown: now.size,
            wanted: wanted.size_min,
        });
    }
    if let Some(seen) = seen {
        let (before, now) = (seen.text.clone(), now.text.clone());
        // Whether a smaller head is old or was taken back makes no difference here: neither is an answer.
        match head.against(seen.size, &seen.root, TimeMs::MAX) {
            HeadOrder::Same | HeadOrder::Extends => {}
            HeadOrder::Older | HeadOrder::RolledBack => {
                let (shown, wanted) = (head.size(), seen.size);
                return Err(PinError::Older { shown, wanted });
            }
            HeadOrder::NotJoined => return Err(PinError::NotJoined { before, now }),
            HeadOrder::OtherHistory => return Err(PinError::OtherHistory { before, now }),
        }
    }
    if head.time() < wanted.oldest {
        return Err(PinError::Stale {
            size: now.size,
            time: head.time(),
            oldest: wanted.oldest,
        });
    }
    Ok(now)
}

impl Client {
    /// What the log says of a robot: its newest leaf, or that there is none.
    ///
    /// # Errors
    /// As every read; [`ClientError::NotPinned`] without a log to believe, [`ClientError::NotProven`] when something does not
    /// hold.
    pub async fn robot(&self, code: &Code) -> Result<Verified<ProvenEvidence>, ClientError> {
        self.robot_covering(code, 0).await
    }

    /// As [`Client::robot`], under a head of at least `size`: what another program was told that it wrote is in it.
    ///
    /// # Errors
    /// As [`Client::robot`].
    pub async fn robot_covering(
        &self,
        code: &Code,
        size: u64,
    ) -> Result<Verified<ProvenEvidence>, ClientError> {
        let name = code.to_string();
        let proven = self
            .proven::<Evidence>(RecordKind::Robot, name, size)
            .await?;
        if proven.code() != code {
            let (asked, found) = (code.to_string(), proven.code().to_string());
            return Err(PinError::OtherSubject { asked, found }.into());
        }
        // A leaf that is in the log says nothing of what came after it.
        if proven.robot().is_some_and(|robot| robot.status().is_none()) {
            return Err(PinError::NotNewest.into());
        }
        Ok(Verified::new(proven))
    }

    /// An enterprise; none when the log has none of that id. The daily counts are not part of what is signed.
    ///
    /// # Errors
    /// As [`Client::robot`].
    pub async fn enterprise(
        &self,
        id: &EnterpriseId,
    ) -> Result<Verified<Option<Enterprise>>, ClientError> {
        let subject = Subject::enterprise(id);
        self.subject(RecordKind::Enterprise, id.to_string(), subject)
            .await
    }

    /// A type approval; none when the log has none of that id. Whether it may be relied upon now depends on its maker and on
    /// recalls too: [`ProvenEvidence::model`] of a robot has all of that.
    ///
    /// # Errors
    /// As [`Client::robot`].
    pub async fn model(&self, id: &ModelId) -> Result<Verified<Option<Model>>, ClientError> {
        self.subject(RecordKind::Model, id.to_string(), Subject::model(id))
            .await
    }

    /// A recall; none when the log has none of that number.
    ///
    /// # Errors
    /// As [`Client::robot`].
    pub async fn recall(&self, id: &RecallId) -> Result<Verified<Option<Recall>>, ClientError> {
        self.subject(RecordKind::Recall, id.to_string(), id.subject())
            .await
    }

    async fn subject<T: Canonical>(
        &self,
        kind: RecordKind,
        name: String,
        subject: Subject,
    ) -> Result<Verified<Option<T>>, ClientError> {
        let asked = name.clone();
        let proven = self.proven::<SubjectEvidence>(kind, name, 0).await?;
        if *proven.subject() != subject {
            let found = proven.subject().name.clone();
            return Err(PinError::OtherSubject { asked, found }.into());
        }
        let record = proven.record().map_err(PinError::Record)?;
        Ok(Verified::new(record))
    }

    /// Every leaf of a robot up to its newest published one, oldest first; each names the one before, and the newest is proven.
    /// What was committed and not published yet is not in it.
    ///
    /// # Errors
    /// As [`Client::robot`].
    pub async fn history(&self, code: &Code) -> Result<Verified<Vec<OpenedLeaf>>, ClientError> {
        let proven = self.robot(code).await?.into_value();
        let Some(robot) = proven.robot() else {
            return Ok(Verified::new(Vec::new()));
        };
        let (newest, hash) = (robot.leaf().leaf().seq, robot.leaf().hash());
        let mut leaves: Vec<OpenedLeaf> = Vec::new();
        let mut from = 0;
        loop {
            let page = self
                .unverified()
                .history_page(code, from, limits::PAGE_SIZE_MAX)
                .await?;
            let before = leaves.len();
            leaves.extend(page.leaves);
            // A node that goes on without a leaf would keep this going on for ever.
            let ended = page.next_sequence == 0 || leaves.len() == before;
            if ended || newest < leaves.len() as u64 {
                break;
            }
            from = page.next_sequence;
        }
        let shown = usize::try_from(newest)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        leaves.truncate(shown);
        let key = Subject::robot(code).key();
        name_each_other(&leaves, &key, (newest, &hash))?;
        Ok(Verified::new(leaves))
    }

    /// What a robot was registered with; none if it was only reserved, or came from abroad, or the registry does not disclose
    /// it to this caller.
    ///
    /// # Errors
    /// As [`Client::history`].
    pub async fn registration(
        &self,
        code: &Code,
    ) -> Result<Verified<Option<Registration>>, ClientError> {
        let leaves = self.history(code).await?.into_value();
        Ok(Verified::new(leaves.iter().find_map(registered)))
    }

    /// The newest published head of the log. What the registry keeps of itself besides stands in no leaf:
    /// [`crate::Unverified::registry`].
    ///
    /// # Errors
    /// As [`Client::robot`].
    pub async fn head(&self) -> Result<Verified<Pin>, ClientError> {
        self.head_above(0).await
    }

    /// As [`Client::head`], larger than `size`: waits for it.
    ///
    /// # Errors
    /// As [`Client::robot`].
    pub async fn head_above(&self, size: u64) -> Result<Verified<Pin>, ClientError> {
        let log = self.0.heads.log()?;
        // A note alone does not say of when it is: evidence does, whatever it is about.
        let (name, size_min) = (log.anybody(), size.saturating_add(1));
        let kind = RecordKind::Enterprise;
        let (_, head) = self
            .proven_under::<SubjectEvidence>(kind, name, size_min)
            .await?;
        Ok(Verified::new(head))
    }

    /// The largest head that this client saw, to be kept and given to [`crate::ClientBuilder::seen`] after a restart.
    pub fn seen(&self) -> Option<Verified<Pin>> {
        self.0.heads.seen().map(Verified::new)
    }

    /// The pack of the own registry, opened under what is pinned: what a verifier without a network must know.
    ///
    /// # Errors
    /// As every read; [`ClientError::Usage`] when what is pinned does not go with it.
    pub async fn pack(&self, pins: &Pins) -> Result<Verified<OpenedPack>, ClientError> {
        let opened = self.pack_of_any_age(pins).await?;
        let (size, time) = (own_head(&opened).size, own_head(&opened).time);
        // saturates: nothing is earlier than the first instant
        let oldest = wall_time().saturating_sub(self.0.heads.age_max);
        if time < oldest {
            return Err(PinError::Stale { size, time, oldest }.into());
        }
        Ok(Verified::new(opened))
    }

    /// As [`Client::pack`]; how old it is, a verdict says.
    pub(crate) async fn pack_of_any_age(&self, pins: &Pins) -> Result<OpenedPack, ClientError> {
        let mut again = 0..PACK_ASKED_AGAIN_MAX;
        loop {
            let pack = self.unverified().pack().await?.value;
            let opened = OpenedPack::open(&pack, pins).map_err(not_opened)?;
            match self.held(&opened, pins).await {
                Ok(()) => return Ok(opened),
                // It is made while others ask, and may be of a moment before.
                Err(ClientError::NotProven(PinError::Older { .. })) if again.next().is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Holds the own head in a pack to what was written, and to the head seen before.
    async fn held(&self, pack: &OpenedPack, pins: &Pins) -> Result<(), ClientError> {
        let heads = &self.0.heads;
        let head = own_head(pack);
        heads.settle(head.size, head.time);
        let own = pins.of(&pins.own()).and_then(|pin| pin.bundle());
        // A client may believe another log, or none: then it saw no head of this one.
        let is_log = |log: &Log| own.is_some_and(|own| log.is_of(own));
        let seen = heads.seen().filter(|seen| {
            heads.log.as_ref().is_some_and(is_log)
                && seen.origin.incarnation == pack.content().incarnation
        });
        let wanted = seen.as_ref().map_or(0, |seen| seen.size).max(heads.wrote());
        let shown = head.size;
        if shown < wanted {
            return Err(PinError::Older { shown, wanted }.into());
        }
        let Some(mut seen) = seen else {
            return Ok(());
        };
        let name = heads.log()?.anybody();
        let kind = RecordKind::Enterprise;
        for _ in 0..ASKED_AGAIN_MAX {
            if seen.size == head.size {
                return match seen.root == head.root {
                    true => Ok(()),
                    false => Err(forked(&seen, &head)),
                };
            }
            // Both go on to one head: asked for from the one seen, and from the one in the pack.
            let covering = self.proven_covering::<SubjectEvidence>(kind, name.clone(), shown);
            seen = covering.await?.1;
            if seen.size == head.size {
                continue;
            }
            let request = pb::ProveRequest {
                kind: kind.into(),
                name: name.clone(),
                size_min: seen.size,
                known_size: head.size,
                // A log that goes on by the moment is compared at one.
                exact: true,
            };
            let response = self
                .read(|mut client| {
                    let request = request.clone();
                    async move { client.prove(request).await }
                })
                .await?;
            let evidence =
                SubjectEvidence::parse(&response.evidence).map_err(PinError::Evidence)?;
            let proven = evidence.verify(heads.log()?.keys(), &seen.origin);
            let proven = proven.map_err(PinError::Evidence)?;
            let now = proven.head();
            let joined = now.against(head.size, &head.root, TimeMs::MAX);
            let text = now.checkpoint().text().to_owned();
            let (is_one, same) = (
                now.size() == seen.size,
                now.checkpoint().root() == &seen.root,
            );
            match joined {
                HeadOrder::OtherHistory => return Err(forked_text(text, &head)),
                HeadOrder::Same | HeadOrder::Extends if is_one && same => return Ok(()),
                _ if is_one && !same => {
                    let (before, now) = (seen.text, text);
                    return Err(PinError::OtherHistory { before, now }.into());
                }
                // The log went on between the two questions, or a node answered that lags.
                _ => {}
            }
        }
        Err(ClientError::Protocol(MOVES_ON.into()))
    }

    async fn proven<S: Shown>(
        &self,
        kind: RecordKind,
        name: String,
        size: u64,
    ) -> Result<S::Proven, ClientError> {
        let (proven, _) = self.proven_under::<S>(kind, name, size).await?;
        Ok(proven)
    }

    /// Evidence, and the head under which it is proven. When no head covers what a node said was written, the newest may show that
    /// it was not: no lie of one node about a size ends all reads.
    async fn proven_under<S: Shown>(
        &self,
        kind: RecordKind,
        name: String,
        size: u64,
    ) -> Result<(S::Proven, Pin), ClientError> {
        let heads = &self.0.heads;
        let wrote = heads.wrote();
        let found = self
            .proven_covering::<S>(kind, name.clone(), size.max(wrote))
            .await;
        match found {
            // Two histories, or what does not hold, are told and not passed over.
            Err(error) if size < wrote && is_behind(&error) => {
                let found = self.proven_covering::<S>(kind, name, size).await?;
                match heads.wrote() {
                    still if found.1.size < still => Err(error),
                    _ => Ok(found),
                }
            }
            found => found,
        }
    }

    /// Asks for evidence until it is proven under a head of at least `size` that goes on from the one seen before.
    async fn proven_covering<S: Shown>(
        &self,
        kind: RecordKind,
        name: String,
        size: u64,
    ) -> Result<(S::Proven, Pin), ClientError> {
        let heads = &self.0.heads;
        let log = heads.log()?;
        for _ in 0..ASKED_AGAIN_MAX {
            let seen = heads.seen();
            // One of another life than the one pinned was not kept: see `Heads::new`.
            let known_size = seen.as_ref().map_or(0, |seen| seen.size);
            let size_min = size.max(known_size);
            let request = pb::ProveRequest {
                kind: kind.into(),
                name: name.clone(),
                size_min,
                known_size,
                exact: false,
            };
            let response = self
                .read(|mut client| {
                    let request = request.clone();
                    async move { client.prove(request).await }
                })
                .await?;
            let shown = S::parse(&response.evidence).map_err(PinError::Evidence)?;
            let origin = log.origin(seen.as_ref(), shown.origin());
            let proven = shown
                .verify(log.keys(), &origin)
                .map_err(PinError::Evidence)?;
            let wanted = Wanted {
                size_min,
                oldest: wall_time().saturating_sub(heads.age_max),
            };
            let head = S::head(&proven);
            let (now, time) = (judge(seen.as_ref(), head, wanted)?, head.time());
            if heads.take(seen.as_ref(), &now)? {
                heads.settle(now.size, time);
                return Ok((proven, now));
            }
        }
        Err(ClientError::Protocol(MOVES_ON.into()))
    }
}

/// Whether a node only has no head yet that covers what was asked for.
fn is_behind(error: &ClientError) -> bool {
    match error {
        ClientError::NotProven(PinError::Older { .. }) | ClientError::Unreachable { .. } => true,
        ClientError::Api(error) => error.is_retryable(),
        _ => false,
    }
}

/// The own head that a pack names; before anything is published, that of the empty log.
fn own_head(pack: &OpenedPack) -> KnownHead {
    let content = pack.content();
    content.head.unwrap_or(KnownHead {
        size: 0,
        root: Digest::ZERO,
        time: content.at,
    })
}

fn forked(seen: &Pin, head: &KnownHead) -> ClientError {
    forked_text(seen.text.clone(), head)
}

fn forked_text(before: String, head: &KnownHead) -> ClientError {
    let KnownHead { size, root, time } = head;
    let now = format!("the pack, which the log key signed: size {size}, root {root}, of {time}");
    PinError::OtherHistory { before, now }.into()
}

const MOVES_ON: &str = "the log goes on faster than its heads can be compared";

/// Whether leaves are all of one subject from its first to its newest: each names the one before by its hash.
fn name_each_other(
    leaves: &[OpenedLeaf],
    key: &Digest,
    (newest, hash): (u64, &Digest),
) -> Result<(), PinError> {
    let broken = |at: usize, why| Err(PinError::History { leaf: at, why });
    let mut before = Digest::ZERO;
    for (at, opened) in leaves.iter().enumerate() {
        let leaf = opened.leaf();
        if leaf.key != *key {
            return broken(at, "it is of another subject");
        }
        if leaf.seq != at as u64 {
            return broken(at, "it has another number");
        }
        if leaf.prev != before {
            return broken(at, "it does not name the one before");
        }
        before = leaf_bytes_hash(opened.bytes());
    }
    if leaves.len() as u64 != newest.saturating_add(1) || before != *hash {
        return broken(leaves.len(), "the newest leaf is another");
    }
    Ok(())
}
