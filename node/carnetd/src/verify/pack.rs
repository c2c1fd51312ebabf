//! The pack of this registry: what it knows and its verifiers without a network must know, signed with the log key.

use std::sync::Arc;
use std::time::Duration;

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::RecallStatus;
use carnet_domain::record::registry::Registry;
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;
use carnet_trust::known::{KnownHead, KnownRecall, KnownRobot};
use carnet_trust::pack::{
    PACK_BYTES_MAX, PACK_RECALLS_MAX, PACK_ROBOTS_MAX, PACK_VERSION, Pack, PackPeer,
};
use carnet_wire::status::ApiError;
use tokio::time::Instant;
use tracing::warn;

use super::{NOT_SIGNED, OWN_PATIENCE, Verifier};
use crate::keyring::KeyRole;
use crate::service::{fault, storage};

/// Robots read at once.
const ROBOTS_AT_ONCE: usize = 1_000;
/// Foreign robots looked through for one pack; a registry with more says that its pack is not whole.
const ROBOTS_READ_MAX: usize = 200_000;

/// While nothing was written, a pack is made anew when it is this much older than log time.
const AGE_MAX: DurationMs = DurationMs::from_secs(10);
/// Between two packs: whoever asks meanwhile shares the next one.
const PAUSE: Duration = Duration::from_secs(1);

/// The newest pack, under which published size and at which log time it was made.
#[derive(Default)]
pub(super) struct Made {
    newest: Option<(u64, TimeMs, Vec<u8>)>,
    /// When the making of it ended.
    ended: Option<Instant>,
}

impl Made {
    /// The newest pack, if it covers a size and is not much older than a log time.
    fn covering(&self, size: u64, now: TimeMs) -> Option<Vec<u8>> {
        let (of, at, bytes) = self.newest.as_ref()?;
        (size <= *of && now.since(*at) <= AGE_MAX).then(|| bytes.clone())
    }
}

impl Made {
    /// The published size that it names as the head of the own log.
    pub(super) fn size(&self) -> Option<u64> {
        self.newest.as_ref().map(|(size, ..)| *size)
    }
}

impl Verifier {
    /// The signed pack of this registry, under a checkpoint that covers everything applied before the question.
    ///
    /// Who asks while one is made shares the one after it, however many they are, and one is made a second at the most:
    /// anybody may ask.
    ///
    /// # Errors
    /// Nothing is published, the state cannot be read, or the keyring refused.
    pub async fn pack(self: &Arc<Self>) -> Result<Vec<u8>, ApiError> {
        let asked = self.node.state.registry().map_err(storage)?;
        let asked =
            asked.ok_or_else(|| ApiError::unavailable("the registry has no genesis yet"))?;
        let (wanted, now) = (asked.tree.size(), asked.log_time);
        self.node.published_at_least(wanted, OWN_PATIENCE).await?;
        let mut made = self.pack.lock().await;
        if let Some(bytes) = made.covering(wanted, now) {
            return Ok(bytes);
        }
        if let Some(ended) = made.ended {
            tokio::time::sleep_until(ended + PAUSE).await;
        }
        let registry = self
            .node
            .state
            .registry()
            .map_err(storage)?
            .unwrap_or(asked);
        // Of what is published now: it covers what everybody waits for.
        let covering = self.node.published_at_least(wanted, OWN_PATIENCE).await?;
        let head = covering.registry.published.as_ref();
        let head = head.map(|sealed| KnownHead {
            size: sealed.size,
            root: sealed.root,
            time: sealed.at,
        });
        let (at, this) = (registry.log_time, Arc::clone(self));
        // It reads much, and every port is served by the threads that it would hold.
        let content = tokio::task::spawn_blocking(move || this.content_bytes(&registry, head));
        let content = content.await.map_err(fault("the pack was not made"))??;
        let signature = self
            .keyring
            .sign(KeyRole::Log, &Pack::message(&content))
            .await
            .map_err(fault(NOT_SIGNED))?;
        let bytes = Pack::to_file(content, signature);
        made.newest = Some((covering.size, at, bytes.clone()));
        made.ended = Some(Instant::now());
        Ok(bytes)
    }

    fn content_bytes(
        &self,
        registry: &Registry,
        head: Option<KnownHead>,
    ) -> Result<Vec<u8>, ApiError> {
        let mut pack = self.content(registry, head)?;
        let content = pack.to_bytes();
        if content.len() <= PACK_BYTES_MAX / 2 {
            return Ok(content);
        }
        // Better a pack that says what it lacks than none.
        warn!(
            bytes = content.len(),
            "the pack holds no robots: there are too many"
        );
        pack.robots.clear();
        pack.whole = false;
        Ok(pack.to_bytes())
    }

    fn content(&self, registry: &Registry, head: Option<KnownHead>) -> Result<Pack, ApiError> {
        let records = Records(self.node.state.engine());
        let me = registry.prefix;
        let mut pack = Pack {
            version: PACK_VERSION,
            registry: me,
            incarnation: registry.incarnation,
            at: registry.log_time,
            whole: true,
            head,
            peers: Vec::new(),
            robots: Vec::new(),
            recalls: Vec::new(),
        };
        let mut read = 0_usize;
        for peer in records.peers().map_err(storage)? {
            let Some(primary) = peer.bundle.primary() else {
                continue;
            };
            let Some(bundle) = self.signed_bundle(primary)? else {
                warn!(peer = %primary, "its bundle does not stand in the log: left out of the pack");
                pack.whole = false;
                continue;
            };
            let known = self.known_registry(&peer, primary, registry.log_time);
            for prefix in &peer.bundle.prefixes {
                let more = told(&records, prefix.as_str(), &me, &mut read).map_err(storage)?;
                pack.robots.extend(more);
            }
            pack.peers.push(PackPeer {
                bundle,
                head: known.head,
                doubt: known.doubt,
                agreements: peer.agreements,
                suspended: peer.suspended,
            });
        }
        let ends = records.proven_ends(PACK_ROBOTS_MAX + 1).map_err(storage)?;
        let mut robots: std::collections::BTreeMap<_, KnownRobot> = pack.robots.drain(..).collect();
        for (identity, ended) in &ends {
            let robot = robots.entry(*identity).or_default();
            robot.ended = KnownRobot::ended(ended).ended;
        }
        pack.whole &= read < ROBOTS_READ_MAX && robots.len() <= PACK_ROBOTS_MAX;
        pack.robots = robots.into_iter().take(PACK_ROBOTS_MAX).collect();
        let recalls = records
            .recalls(None, PACK_RECALLS_MAX + 1)
            .map_err(storage)?;
        pack.whole &= recalls.len() <= PACK_RECALLS_MAX;
        let binding = recalls.into_iter().take(PACK_RECALLS_MAX);
        let binding = binding.filter(|recall| recall.status == RecallStatus::InForce);
        pack.recalls = binding
            .map(|recall| KnownRecall {
                notice: recall.notice,
                models: recall.models,
            })
            .collect();
        Ok(pack)
    }
}

/// Robots under a prefix of which the own record tells something. `read` counts those that were looked at.
fn told(
    records: &Records<'_>,
    prefix: &str,
    me: &carnet_domain::bytes::code::Prefix,
    read: &mut usize,
) -> Result<Vec<(carnet_domain::bytes::digest::Digest, KnownRobot)>, StorageFault> {
    use carnet_domain::log::leaf::Subject;
    let mut out = Vec::new();
    let mut after = None;
    while *read < ROBOTS_READ_MAX && out.len() <= PACK_ROBOTS_MAX {
        let page = records.robots_under(prefix, after.as_ref(), ROBOTS_AT_ONCE)?;
        *read += page.len();
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.identity.code);
        let known = page.iter().map(|robot| {
            let key = Subject::robot(&robot.identity.code).key();
            (key, KnownRobot::of(robot, me))
        });
        out.extend(known.filter(|(_, robot)| robot.tells_something()));
    }
    Ok(out)
}
