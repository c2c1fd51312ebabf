//! Seals, signs and publishes, and has ended what is due: what the leader does without being asked.
//!
//! What may be signed is the signer's business. A node that does not lead lets its signer follow what is published.
//!
//! A crash may come between any two of these steps, and a test ends the process there (`crash_point!`, `cluster::crash`). What
//! goes on from each:
//!
//! 1. Leaves are committed, nothing is sealed: whoever leads next seals them.
//! 2. The seal is committed (`CrashAfterSeal`): every replica has the size and its root, and the next leader publishes it.
//! 3. The size is judged and not kept (`CrashBeforeSizeKept`), or being kept (`CrashInSizeKept`, where the file is replaced whole
//!    or not at all): nothing was signed.
//! 4. The size is kept and not signed (`CrashBeforeSignature`): this node may sign that very head later, and no other of its
//!    size. The order matters: a signature that left before the size was kept could be followed by another of the same size.
//! 5. The signature is made and not proposed (`CrashBeforePublish`): it is lost and made again, with the same bytes.
//! 6. The publication is in the log, and nobody heard (`CrashInPublish`, `CrashAfterPublish`): it is replicated state, and the
//!    next leader finds nothing to do.

use std::sync::Arc;
use std::time::Duration;

use carnet_domain::machine::entry::{Body, ItemAnswer};
use carnet_domain::machine::{DUE_RULES, RULES, due_before};
use carnet_domain::record::registry::{Registry, Sealed};
use carnet_store::records::Records;
use carnet_store::registry::Progress;
use carnet_wire::status::ApiError;
use tracing::{debug, warn};

use crate::compare::Comparer;
use crate::node::{Committed, Node};
#[cfg(feature = "planted")]
use crate::planted::Planted;
use crate::publication::Whose;
use crate::signer::{SignRefused, Signer, crash_point};
use crate::told::chain;

/// Between two looks at what is due. Deadlines are days: nobody waits for the second.
const DUE_PAUSE: Duration = Duration::from_secs(1);
/// Entries of one rule at once: what is due beyond them waits for the next look, and seals go on in between.
const DUE_ENTRIES_MAX: usize = 4;

/// Runs until the node stops: seals and publishes while this node leads.
pub async fn run(node: Arc<Node>, mut signer: Signer, comparer: Arc<Comparer>) {
    let mut progress = node.state.progress();
    let mut sealed_at = node.clock.monotonic();
    let mut answered = 0;
    let mut follow_at = Duration::ZERO;
    let mut told = false;
    let mut due_at = Duration::ZERO;
    let pause = node.config.seal.waiting();
    loop {
        let since = node.clock.monotonic().saturating_sub(sealed_at);
        if node.seems_leader() {
            // Woken by what was applied; the interval only bounds how late a seal may be. Nothing is done before the first one is
            // due but to publish the last.
            let rests = {
                // Not marked as seen: what came since the last look is to wake at once below.
                let now = progress.borrow();
                now.sealed <= now.published && since < pause
            };
            match rests {
                true => tokio::time::sleep(pause.saturating_sub(since)).await,
                false => drop(tokio::time::timeout(pause, progress.changed()).await),
            }
        } else {
            // Whoever follows seals nothing, and judges what is published soon enough.
            tokio::time::sleep(pause).await;
        }
        if node.raft.standing().borrow().role == carnet_consensus::Role::Stopped {
            return;
        }
        // Another voter is to lead as long as this one cannot sign; consensus finds one, if there is one.
        let patience = node.config.seal.unsigned();
        if node.publication.hinders(node.clock.monotonic(), patience) {
            node.raft.cannot_sign();
        } else {
            node.raft.can_sign();
        }
        if node.seems_leader() && !has_work(&node, &progress.borrow(), (sealed_at, due_at), told) {
            node.publication.rests();
            continue;
        }
        let registry = match node.state.registry() {
            Ok(Some(registry)) => registry,
            Ok(None) => continue,
            Err(error) => {
                warn!(%error, "the registry cannot be read");
                continue;
            }
        };
        if !node.seems_leader() {
            follow(&node, &mut signer, &registry, &mut follow_at).await;
            continue;
        }
        if let Some(sealed) = to_publish(&registry) {
            node.publication.waits(node.clock.monotonic(), sealed.size);
            if answered < sealed.size {
                if !comparer.confirms(&sealed).await {
                    let why = "no majority of the voters has come to this root";
                    failed(&node, sealed.size, Whose::Cluster, why.to_owned());
                    // Not sealed anew meanwhile: followers that lag would never have come to the newest size in time.
                    continue;
                }
                publish(&node, &mut signer, &registry, sealed, &mut answered).await;
            }
        } else {
            node.publication.rests();
        }
        if due_at <= node.clock.monotonic() {
            told |= end_what_is_due(&node).await;
            due_at = node.clock.monotonic().saturating_add(DUE_PAUSE);
        }
        let now = node.clock.monotonic();
        let since = now.saturating_sub(sealed_at);
        // What was told goes out with the next head.
        let sends = told && since >= node.config.seal.waiting();
        if sends || seal_is_due(&node, &registry, since) {
            match node.propose(Body::Seal {}).await {
                Ok(_) => {
                    told = false;
                    sealed_at = now;
                    crash_point!(node.config.planted, CrashAfterSeal);
                }
                Err(error) => debug!(%error, "not sealed"),
            }
        }
    }
}

/// Whether a leader may find something to do. Asked at every batch that is applied, so it asks for no registry: whoever does waits
/// until what is being applied is.
fn has_work(
    node: &Node,
    now: &Progress,
    (sealed_at, due_at): (Duration, Duration),
    told: bool,
) -> bool {
    let (config, clock) = (&node.config.seal, node.clock.monotonic());
    let since = clock.saturating_sub(sealed_at);
    let may_seal = since >= config.waiting()
        && (now.unsealed == 0
            || since >= config.busy()
            || told
            || node.waiting() > 0
            || has_peers(node));
    now.sealed == 0 || now.published < now.sealed || due_at <= clock || may_seal
}

/// Has the log end what is due and tell what waits, by published rules: as much at once as a few entries may, and nothing while
/// nothing is. Tells whether something was told.
async fn end_what_is_due(node: &Node) -> bool {
    let mut told = false;
    for number in RULES {
        for _ in 0..DUE_ENTRIES_MAX {
            let records = Records(node.state.engine());
            let due = records.registry().and_then(|registry| match registry {
                Some(registry) => {
                    let now = registry.log_time.max(node.clock.wall());
                    records.due(number, due_before(&registry, number, now), 1)
                }
                None => Ok(Vec::new()),
            });
            match due {
                Ok(due) if due.is_empty() => break,
                Ok(_) => {}
                Err(error) => {
                    warn!(%error, number, "what is due cannot be read");
                    break;
                }
            }
            match node.propose(Body::Rule { number, cursor: 0 }).await {
                // A clock that ran ahead of the log's ceiling ends nothing.
                Ok(committed) if committed.answer.items.iter().any(is_refused) => break,
                Ok(_) => told |= !DUE_RULES.contains(&number),
                Err(error) => {
                    debug!(%error, number, "what is due is not ended");
                    break;
                }
            }
        }
    }
    told
}

fn is_refused(answer: &ItemAnswer) -> bool {
    matches!(answer, ItemAnswer::Refused { .. })
}

/// Lets the signer of a node that does not lead judge what is published.
async fn follow(node: &Node, signer: &mut Signer, registry: &Registry, again_at: &mut Duration) {
    let Some(published) = &registry.published else {
        return node.publication.rests();
    };
    if node.clock.monotonic() < *again_at {
        return;
    }
    loop {
        let now = node.clock.monotonic();
        let records = Records(node.state.engine());
        match signer.follow(&records, published, now) {
            // It may be called upon to lead in the middle of it.
            Ok(true) if node.seems_leader() => return,
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => return node.publication.rests(),
            Err(error) => {
                node.publication.waits(now, published.size);
                failed(node, published.size, whose(&error), chain(&error));
                *again_at = now.saturating_add(node.config.seal.unsigned());
                return;
            }
        }
    }
}

/// Notes why a size is not published, for the status and now and then for the log.
fn failed(node: &Node, size: u64, whose: Whose, why: String) {
    let (now, patience) = (node.clock.monotonic(), node.config.seal.unsigned());
    let shown = why.clone();
    if node.publication.failed(now, patience, whose, why) {
        warn!(size, error = %shown, "checkpoint not signed");
    }
}

/// Whose fault a failure of the signer is.
fn whose(error: &SignRefused) -> Whose {
    match error {
        SignRefused::Keyring(_) | SignRefused::Silent(_) => Whose::Keyring,
        SignRefused::Leaves(_) | SignRefused::Keep(_) | SignRefused::Rule(_) => Whose::Node,
    }
}

fn seal_is_due(node: &Node, registry: &Registry, since: Duration) -> bool {
    let config = &node.config.seal;
    if registry.unsealed == 0 {
        let idle = Duration::from_millis(registry.seal_idle.as_ms());
        let sealed_at = registry
            .sealed
            .as_ref()
            .map_or(registry.log_time, |sealed| sealed.at);
        return Duration::from_millis(node.clock.wall().since(sealed_at).as_ms()) >= idle
            && since >= config.waiting();
    }
    let wanted = node.waiting() > 0 || registry.sealed.is_none() || has_peers(node);
    since
        >= if wanted {
            config.waiting()
        } else {
            config.busy()
        }
}

/// A country that has peers does not keep them waiting: mail goes out only under a published checkpoint.
fn has_peers(node: &Node) -> bool {
    Records(node.state.engine()).has_peers().unwrap_or(false)
}

/// The newest sealed size, unless it is published.
fn to_publish(registry: &Registry) -> Option<Sealed> {
    let published = registry
        .published
        .as_ref()
        .map_or(0, |published| published.size);
    registry
        .sealed
        .clone()
        .filter(|sealed| published < sealed.size)
}

/// Signs and publishes a sealed size. `answered` becomes its size if the log answered: it is not proposed again.
async fn publish(
    node: &Node,
    signer: &mut Signer,
    registry: &Registry,
    sealed: Sealed,
    answered: &mut u64,
) {
    let size = sealed.size;
    let records = Records(node.state.engine());
    let body = match signer.sign(records, registry, &sealed).await {
        Ok(body) => body,
        Err(error) => return failed(node, size, whose(&error), chain(&error)),
    };
    match propose(node, body).await {
        Ok(committed) => {
            *answered = size;
            match committed.answer.items.first() {
                // The keyring of this node may hold another key than the log's.
                Some(ItemAnswer::Refused { rejection }) => {
                    let why = format!("the log refuses the signature: {rejection}");
                    failed(node, size, Whose::Keyring, why);
                }
                _ => node.publication.succeeded(),
            }
        }
        // Proposed again while it is the newest, unless it turns out to be published.
        Err(error) => {
            let why = format!("the log does not take the signature: {error}");
            failed(node, size, Whose::Cluster, why);
        }
    }
}

async fn propose(node: &Node, body: Body) -> Result<Committed, ApiError> {
    #[cfg(feature = "planted")]
    if node.config.planted == Some(Planted::CrashInPublish) {
        let before = node.raft.status().last;
        let in_log = async {
            while node.raft.status().last <= before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = node.propose(body.clone()) => {}
            () = in_log => {}
        }
        Planted::CrashInPublish.crash(node.config.planted);
    }
    let committed = node.propose(body).await?;
    crash_point!(node.config.planted, CrashAfterPublish);
    Ok(committed)
}
