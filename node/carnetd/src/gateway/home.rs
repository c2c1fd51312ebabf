//! The node as peering asks it.

use std::sync::Arc;
use std::time::Duration;

use carnet_consensus::Role;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::mail::{self, MailError};
use carnet_domain::log::checkpoint::Origin;
use carnet_domain::machine::entry::{Body, ItemAnswer, MailBatch};
use carnet_domain::record::peer::Peer;
use carnet_domain::record::reader::ReadError;
use carnet_peering::home::{Home, HomeError, Outgoing, Shown, Wanted};
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;
use carnet_store::registry::Published;
use carnet_trust::evidence::{self, SLOTS_FOR_AUTHORITIES};
use carnet_wire::status::{ApiError, Effect};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::pins;
use crate::node::Node;
use crate::reader::{records_of, registry_of};
use crate::tls::TrustedRoots;

/// What mail is read from and entered through: this node's state and its consensus.
pub(super) struct NodeHome {
    node: Arc<Node>,
    published: watch::Receiver<u64>,
    leadership: watch::Receiver<bool>,
}

impl NodeHome {
    /// Begins to watch the node, until `stop`.
    pub(super) fn start(
        node: Arc<Node>,
        roots: Arc<TrustedRoots>,
        stop: &CancellationToken,
    ) -> Self {
        let (publishing, published) = watch::channel(0);
        let (leading, leadership) = watch::channel(false);
        let watching = stop.clone().run_until_cancelled_owned(watch_published(
            Arc::clone(&node),
            roots,
            publishing,
        ));
        tokio::spawn(watching);
        let watching = stop
            .clone()
            .run_until_cancelled_owned(watch_leadership(Arc::clone(&node), leading));
        tokio::spawn(watching);
        Self {
            node,
            published,
            leadership,
        }
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Node) -> Result<T, HomeError> + Send + 'static,
    ) -> Result<T, HomeError> {
        let node = Arc::clone(&self.node);
        let work = node.work;
        let done = work.run(move || job(&node)).await;
        done.unwrap_or_else(|error| Err(HomeError::State(error.to_string())))
    }
}

/// Tells the newest published size whose state is here, and keeps the roots of peers in step.
async fn watch_published(
    node: Arc<Node>,
    roots: Arc<TrustedRoots>,
    publishing: watch::Sender<u64>,
) {
    let mut newest = node.state.published_size();
    let mut pins = pins::Pins::new(roots);
    let mut told = None;
    loop {
        let published = *newest.borrow_and_update();
        if told != Some(published) {
            told = Some(published);
            // There may be many, with all their agreements: not on a thread that serves a port.
            let reading = Arc::clone(&node);
            let read = move || Records(reading.state.engine()).peers();
            match node.work.run(read).await {
                Ok(Ok(peers)) => pins.follow(&peers),
                Ok(Err(error)) => warn!(%error, "peers not known"),
                Err(error) => warn!(%error, "peers not read"),
            }
            let size = node.state.published().map_or(0, |published| published.size);
            publishing.send_replace(size);
        }
        if newest.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_leadership(node: Arc<Node>, leading: watch::Sender<bool>) {
    let mut standing = node.raft.standing();
    loop {
        let leads = standing.borrow_and_update().role == Role::Leader;
        leading.send_if_modified(|known| std::mem::replace(known, leads) != leads);
        if standing.changed().await.is_err() {
            return;
        }
    }
}

fn state(error: StorageFault) -> HomeError {
    HomeError::State(error.to_string())
}

#[tonic::async_trait]
impl Home for NodeHome {
    fn origin(&self) -> Option<Origin> {
        let registry = match self.node.state.registry() {
            Ok(registry) => registry?,
            Err(error) => {
                warn!(%error, "registry not known");
                return None;
            }
        };
        Some(Origin {
            prefix: registry.prefix,
            incarnation: registry.incarnation,
        })
    }

    fn wall(&self) -> TimeMs {
        self.node.clock.wall()
    }

    fn monotonic(&self) -> Duration {
        self.node.clock.monotonic()
    }

    fn leadership(&self) -> watch::Receiver<bool> {
        self.leadership.clone()
    }

    fn published(&self) -> watch::Receiver<u64> {
        self.published.clone()
    }

    async fn peers(&self) -> Result<Vec<Peer>, HomeError> {
        self.read(|node| Records(node.state.engine()).peers().map_err(state))
            .await
    }

    async fn peer(&self, prefix: Prefix) -> Result<Option<Peer>, HomeError> {
        self.read(move |node| Records(node.state.engine()).peer(&prefix).map_err(state))
            .await
    }

    async fn batch(&self, wanted: Wanted) -> Result<Option<Outgoing>, HomeError> {
        self.read(move |node| {
            let Some(published) = node.state.published() else {
                return Ok(None);
            };
            let reader = records_of(&published);
            let items = reader
                .mail(&wanted.peer, wanted.from_sequence, wanted.item_count_max)
                .map_err(state)?;
            let batch = mail::batch(
                &reader,
                &registry_of(&published),
                &wanted.peer,
                wanted.known_size,
                items,
                wanted.bytes_max,
            );
            match batch {
                Ok(batch) => Ok(Some(Outgoing {
                    size: published.size,
                    batch,
                })),
                Err(MailError::NothingPublished) => Ok(None),
                Err(MailError::FollowerAhead { known, published }) => {
                    Err(HomeError::FollowerAhead { known, published })
                }
                Err(MailError::Read(ReadError::Store(error))) => Err(state(error)),
                Err(error) => Err(HomeError::State(error.to_string())),
            }
        })
        .await
    }

    async fn propose_foreign(&self, batch: MailBatch) -> Result<Vec<ItemAnswer>, HomeError> {
        match self.node.propose(Body::Foreign { batch }).await {
            Ok(committed) => Ok(committed.answer.items),
            Err(ApiError::NotLeader { .. }) => Err(HomeError::NotLeader),
            Err(error) if error.effect() == Effect::None => {
                Err(HomeError::NotProposed(error.to_string()))
            }
            Err(error) => Err(HomeError::Unknown(error.to_string())),
        }
    }

    async fn evidence(
        &self,
        _: Prefix,
        code: Code,
        known_size: u64,
    ) -> Result<Option<Shown>, HomeError> {
        self.read(move |node| {
            let Some(newest) = node.state.published() else {
                return Ok(None);
            };
            let known = match known_size < newest.size {
                true => node.state.published_at(known_size),
                false => None,
            };
            let known = known.map(|known| shown_under(&known, &code, known_size));
            Ok(Some(Shown {
                newest: shown_under(&newest, &code, known_size)?,
                under_known: known.transpose()?,
            }))
        })
        .await
    }
}

/// Evidence about a code under a published checkpoint, as every peer may see it: each is an authority, and none sees owners.
fn shown_under(published: &Published, code: &Code, known_size: u64) -> Result<Vec<u8>, HomeError> {
    let head = evidence::Published {
        origin: Origin {
            prefix: published.registry.prefix,
            incarnation: published.registry.incarnation,
        },
        checkpoint: &published.checkpoint,
        size: published.size,
    };
    let reader = records_of(published);
    let built = evidence::build(&reader, &head, code, SLOTS_FOR_AUTHORITIES);
    let built = built.and_then(|mut built| {
        built.frame.joined = evidence::join(&reader, &head, known_size)?;
        Ok(built)
    });
    let built = built.map_err(|error| HomeError::State(error.to_string()))?;
    Ok(built.to_bytes())
}
