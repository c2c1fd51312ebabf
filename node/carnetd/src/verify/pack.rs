//! The pack of this registry: what it knows and its verifiers without a network must know, signed with the log key.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_store::engine::KvEngine;
use carnet_store::records::Records;
use carnet_trust::known::KnownHead;
use carnet_trust::pack::{PACK_BYTES_MAX, PACK_VERSION, Pack, PackPeer};
use carnet_wire::status::ApiError;
use tracing::warn;

use super::maker::Made;
use super::packing::{self, Given, Robots};
use super::{OWN_PATIENCE, Verifier, replaced_roots, signed_bundle};
use crate::told::{fault, no_genesis, storage};

/// What stands around the content in a file, the lengths of its lists, and its signature.
const AROUND_CONTENT_BYTES: usize = 256;

impl Verifier {
    /// The signed pack of this registry, under a checkpoint that covers everything applied before the question; when making one
    /// takes longer than a caller waits, the newest there is, which says of when it is.
    ///
    /// Who asks while one is made shares the one after it, however many they are, and leaves when it likes: anybody may ask.
    ///
    /// # Errors
    /// Nothing is published, the state cannot be read, or the keyring refused.
    pub async fn pack(self: &Arc<Self>) -> Result<Vec<u8>, ApiError> {
        let asked = self.node.state.registry().map_err(storage)?;
        let asked = asked.ok_or_else(no_genesis)?;
        let (wanted, now) = (asked.tree.size(), asked.log_time);
        self.node.published_at_least(wanted, OWN_PATIENCE).await?;
        // What waits for its time does not keep the node from ending.
        let this = Arc::downgrade(self);
        let make = move || {
            let this = Weak::clone(&this);
            async move {
                let ended = || ApiError::unavailable("this node is stopping");
                this.upgrade().ok_or_else(ended)?.make().await
            }
        };
        self.packs.pack((wanted, now), make).await
    }

    /// Makes a pack of what is published and known now.
    async fn make(self: &Arc<Self>) -> Result<Made, ApiError> {
        // Everything that any caller waits for was published before.
        let covering = self.node.published_at_least(0, OWN_PATIENCE).await?;
        let head = covering.registry.published.as_ref();
        let head = head.map(|sealed| KnownHead {
            size: sealed.size,
            root: sealed.root,
            time: sealed.at,
        });
        let this = Arc::clone(self);
        // It reads much, and every port is served by the threads that it would hold.
        let content = self.node.work.run(move || this.content_bytes(head));
        let (at, content) = content.await.map_err(fault("the pack was not made"))??;
        let registry = &covering.registry;
        let signatures = self
            .log_signatures(registry, &Pack::message(&content))
            .await?;
        Ok(Made {
            size: covering.size,
            at,
            bytes: Pack::to_file(content, signatures),
        })
    }

    /// The content of a pack, and its log time.
    fn content_bytes(&self, head: Option<KnownHead>) -> Result<(TimeMs, Vec<u8>), ApiError> {
        // All of it as of one moment: a robot whose record changes between two passes would be in neither.
        let view = self.node.state.engine().view().map_err(storage)?;
        let pack = self.content(&Records(view.as_ref()), head)?;
        if !pack.whole {
            warn!(
                "more identities ended than a pack names: it says so, and no verdict rests on it"
            );
        }
        Ok((pack.at, pack.to_bytes()))
    }

    fn content(&self, records: &Records<'_>, head: Option<KnownHead>) -> Result<Pack, ApiError> {
        let registry = records.registry().map_err(storage)?;
        let registry = registry.ok_or_else(no_genesis)?;
        let me = registry.prefix;
        let mut pack = Pack {
            version: PACK_VERSION,
            registry: me,
            incarnation: registry.incarnation,
            at: registry.log_time,
            whole: true,
            head,
            peers: Vec::new(),
            lacking: Vec::new(),
            robots: Vec::new(),
            others: None,
            recalls: Vec::new(),
            models: Vec::new(),
            makers: Vec::new(),
        };
        let (mut peers, mut lacking) = (Vec::new(), BTreeSet::new());
        for peer in records.peers().map_err(storage)? {
            let Some(primary) = peer.bundle.primary() else {
                continue;
            };
            let Some(bundle) = signed_bundle(records, primary)? else {
                warn!(peer = %primary, "its bundle does not stand in the log: left out of the pack");
                lacking.insert(primary);
                continue;
            };
            let known = self.known_registry(&peer);
            let packed = PackPeer {
                bundle,
                replaced: replaced_roots(records, &peer)?,
                head: known.head,
                doubt: known.doubt,
                agreements: peer.agreements,
                suspended: peer.suspended,
            };
            peers.push((primary, packed));
        }
        let (peers, mut lacking) = packing::peers(peers, lacking);
        pack.peers = peers;
        let given = Given::read(records, me).map_err(storage)?;
        let robots = Robots::read(records, me, pack.salt(), &given).map_err(storage)?;
        lacking.extend(&given.lacking);
        pack.lacking = lacking.into_iter().collect();
        (pack.recalls, pack.models, pack.makers) = (given.recalls, given.models, given.makers);
        // What stands beside the rows and the set takes what it takes.
        let room = PACK_BYTES_MAX.checked_sub(pack.to_bytes().len() + AROUND_CONTENT_BYTES);
        let packed = robots.pack(room.unwrap_or(0));
        pack.whole = packed.whole;
        (pack.robots, pack.others) = (packed.robots, packed.others);
        Ok(pack)
    }
}
