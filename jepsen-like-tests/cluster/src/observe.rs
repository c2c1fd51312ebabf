//! Looks at every node and every published head for the whole length of a run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use carnet_client::admin::{Admin, GetStatusResponse};
use carnet_client::{Client, ClientError, advance};
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::log::checkpoint::{Origin, open};
use carnet_domain::record::keys::KeyHistory;
use tokio::task::JoinSet;

use crate::check::{Breaks, Head, Look, Proofs, is_explained};
use crate::jurisdiction::{Jurisdiction, MANUFACTURER};
use crate::patience::{Broken, until};

/// Between two looks at one thing.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// The longest one look may take.
const LOOK_DEADLINE: Duration = Duration::from_millis(1200);

/// Observers at work.
pub struct Observers {
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
    origin: Origin,
    key: PublicKey,
}

struct Seen {
    started: Instant,
    breaks: Breaks,
    looks: Mutex<Vec<Look>>,
    heads: Mutex<Vec<Head>>,
    faults: Mutex<Vec<String>>,
    unexplained: Mutex<Vec<String>>,
}

/// What they saw.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Looks at nodes, in the order they were taken.
    pub looks: Vec<Look>,
    /// Heads, all with a good signature.
    pub heads: Vec<Head>,
    /// The last head of the run.
    pub last: Head,
    /// Proofs that it extends each size seen.
    pub proofs: Proofs,
    /// Heads that were not signed by the log.
    pub faults: Vec<String>,
    /// Answers that no fault explains.
    pub unexplained: Vec<String>,
}

impl Observers {
    /// Starts one observer a running node for its state, and one for its published heads.
    ///
    /// # Errors
    /// Keys cannot be read.
    pub fn start(of: &Jurisdiction, nodes: &[u64]) -> Result<Self, Broken> {
        let (origin, key) = of.log_identity()?;
        let seen = Arc::new(Seen {
            started: Instant::now(),
            breaks: of.breaks(),
            looks: Mutex::default(),
            heads: Mutex::default(),
            faults: Mutex::default(),
            unexplained: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for id in nodes {
            let admin = of.admin(&[*id], LOOK_DEADLINE)?;
            tasks.spawn(watch_node(admin, of.admin_address(*id), Arc::clone(&seen)));
            let client = of
                .client(MANUFACTURER, &[*id])?
                .deadline(LOOK_DEADLINE)
                .attempt_timeout(LOOK_DEADLINE);
            let client = client.build().map_err(Broken::at("observer"))?;
            let number = u32::try_from(*id).map_err(Broken::at("node id"))?;
            tasks.spawn(watch_heads(client, number, origin, key, Arc::clone(&seen)));
        }
        Ok(Self {
            seen,
            tasks,
            origin,
            key,
        })
    }

    /// Ends the observers after everything is healed: takes a last look at every node at one applied index, and has the
    /// last head prove every head seen.
    ///
    /// # Errors
    /// The nodes never agreed on an applied index, or a proof cannot be had.
    pub async fn finish(mut self, of: &Jurisdiction, nodes: &[u64]) -> Result<Observed, Broken> {
        self.tasks.shutdown().await;
        until(
            "all nodes have applied the same entries and published all leaves",
            || async {
                let mut looks = Vec::new();
                for id in nodes {
                    looks.push(of.status(*id).await.map_err(|e| e.to_string())?);
                }
                let first = looks.first().ok_or("no node")?;
                let alike = looks
                    .iter()
                    .all(|look| look.applied == first.applied && look.applied == look.last_log);
                let published = looks
                    .iter()
                    .all(|look| look.published_size == look.tree_size);
                let seen: Vec<String> = looks
                    .iter()
                    .map(|l| {
                        format!(
                            "{}: applied {}/{} leaves {}/{}",
                            l.node, l.applied, l.last_log, l.published_size, l.tree_size
                        )
                    })
                    .collect();
                if alike && published {
                    Ok(())
                } else {
                    Err(seen.join(", "))
                }
            },
        )
        .await?;
        let mut looks = take(&self.seen.looks);
        for id in nodes {
            looks.push(look_of(&of.status_with_digest(*id).await?, true));
        }
        let heads = take(&self.seen.heads);
        let client = of
            .client(MANUFACTURER, nodes)?
            .build()
            .map_err(Broken::at("observer"))?;
        let (last, proofs) = self.prove(&client, &heads).await?;
        Ok(Observed {
            looks,
            heads,
            last,
            proofs,
            faults: take(&self.seen.faults),
            unexplained: take(&self.seen.unexplained),
        })
    }

    async fn prove(&self, client: &Client, heads: &[Head]) -> Result<(Head, Proofs), Broken> {
        let (text, _) = client
            .unverified()
            .checkpoint(0, 0)
            .await
            .map_err(Broken::at("the last head"))?;
        let keys = KeyHistory::of_log_keys([self.key]);
        let pin =
            advance(None, &self.origin, &keys, &text, &[]).map_err(Broken::at("the last head"))?;
        let at = self.seen.now();
        let last = Head {
            size: pin.size,
            root: pin.root,
            client: 0,
            began: at,
            ended: at,
        };
        let sizes: BTreeSet<u64> = heads
            .iter()
            .map(|head| head.size)
            .filter(|size| *size < last.size)
            .collect();
        let mut proofs = Proofs::new();
        for size in sizes {
            let (now, proof) = client
                .unverified()
                .checkpoint(size, 0)
                .await
                .map_err(Broken::at(format!("proof from size {size}")))?;
            if now != text {
                return Err(Broken::new(format!(
                    "the log grew while nobody wrote: {text} became {now}"
                )));
            }
            proofs.insert(size, proof);
        }
        Ok((last, proofs))
    }
}

impl Seen {
    /// An observer's error is a fault, too, unless what the run breaks explains it.
    fn judge(&self, error: &ClientError, who: &str) {
        if !is_explained(error, self.breaks) {
            lock(&self.unexplained).push(format!("{who} answered an observer: {error}"));
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

async fn watch_node(admin: Admin, address: String, seen: Arc<Seen>) {
    loop {
        // A store without a configuration is a new one: what the node said with another says nothing of it.
        let asked = admin.status(&address, false).await;
        if let Err(error) = &asked {
            seen.judge(error, &address);
        }
        if let Ok(status) = asked
            && !status.voters.is_empty()
        {
            lock(&seen.looks).push(look_of(&status, false));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn watch_heads(client: Client, number: u32, origin: Origin, key: PublicKey, seen: Arc<Seen>) {
    loop {
        let began = seen.now();
        let asked = client.unverified().checkpoint(0, 0).await;
        if let Err(error) = &asked {
            seen.judge(error, &format!("node {number}"));
        }
        if let Ok((text, _)) = asked
            && !text.is_empty()
        {
            match open(&text, &key, &origin) {
                Ok(head) => {
                    let (size, root) = (head.size(), *head.root());
                    lock(&seen.heads).push(Head {
                        size,
                        root,
                        client: number,
                        began,
                        ended: seen.now(),
                    });
                }
                Err(error) => {
                    lock(&seen.faults).push(format!("node {number} published {text:?}: {error}"))
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn look_of(status: &GetStatusResponse, nothing_is_written: bool) -> Look {
    let state = nothing_is_written.then(|| (status.state_digest.to_vec(), status.tree_size));
    Look {
        node: status.node,
        term: status.term,
        last_log: status.last_log,
        applied: status.applied,
        snapshot: status.snapshot,
        purged: status.purged,
        state,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take<T>(mutex: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *lock(mutex))
}
