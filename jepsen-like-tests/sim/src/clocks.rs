//! Wall clocks of their own for simulated nodes, and the real registry fed with stamps by whoever leads.
//!
//! Clocks differ a little, drift, and one at a time is set far ahead or back. What is judged: log time never stands more
//! than the ceiling and the disagreement of clocks above an honest clock, and goes on once all clocks are healed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use carnet_consensus::{Clock as _, Handle, Role};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{CEILING_AHEAD, CLOCKS_AGREE};
use carnet_domain::log::leaf::EntrySeed;
use carnet_domain::machine::entry::{Answer, Body, ClockReading, Entry, ItemAnswer, Stamp};
use carnet_domain::record::registry::Registry;
use carnet_kit::Country;
use carnet_store::records::Records;

use crate::random::Random;
use crate::site::{SKEW_MS, Site, Stamps, honest};

/// How far log time may stand above an honest clock.
const AHEAD_MAX: DurationMs =
    DurationMs(CEILING_AHEAD.as_ms() + CLOCKS_AGREE.as_ms() + 2 * SKEW_MS.unsigned_abs());
/// Longest wait for the voters' clocks.
const PATIENCE: Duration = Duration::from_millis(800);

/// Stamps entries for as long as this node leads, as a leader in production does: no stamp before a quorum confirmed the
/// time in this term, none above the ceiling.
pub(crate) async fn stamp(handle: Handle, site: Site, stamps: Arc<Stamps>, mut random: Random) {
    let mut lifted_term = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(10, 250))).await;
        let standing = handle.status().standing;
        if standing.role != Role::Leader {
            continue;
        }
        let Some(registry) = registry(&site) else {
            let genesis = Country::new("86").entries;
            for entry in genesis {
                let _ = handle.propose(Bytes::from(entry.to_bytes())).await;
            }
            continue;
        };
        if lifted_term != standing.term || registry.ceiling < now(&site) {
            let Some(body) = confirmed(&handle).await else {
                continue;
            };
            if taken(&handle, now(&site), body, &mut random).await {
                lifted_term = standing.term;
            }
            continue;
        }
        let began_ms = site.history.lock().now_ms;
        // As if the process stood still between reading its clock and proposing, now and then.
        let at = now(&site);
        if random.between(0, 20) == 0 {
            tokio::time::sleep(Duration::from_millis(random.between(100, 3000))).await;
        }
        // The country as its genesis left it: it knows the keys of the first signers.
        let nonce = std::array::from_fn(|_| (random.next() & 0xff) as u8);
        let body = Country::new("86").opening("admin", nonce);
        if taken(&handle, at, body, &mut random).await {
            stamps.taken.fetch_add(1, Ordering::Relaxed);
            stamps.last_ms.fetch_max(began_ms, Ordering::Relaxed);
        }
    }
}

fn now(site: &Site) -> TimeMs {
    TimeMs::from_ms(site.clock.now_ms())
}

async fn confirmed(handle: &Handle) -> Option<Body> {
    let confirmed = handle.confirmed_time(PATIENCE).await.ok()?;
    let reading = |(node, at_ms, round_trip_ms)| ClockReading {
        node,
        at: TimeMs::from_ms(at_ms),
        round_trip: DurationMs::from_ms(round_trip_ms),
    };
    Some(Body::AdvanceTime {
        to: TimeMs::from_ms(confirmed.at_ms),
        readings: confirmed.readings.into_iter().map(reading).collect(),
    })
}

/// Proposes a body; whether the registry took it.
async fn taken(handle: &Handle, at: TimeMs, body: Body, random: &mut Random) -> bool {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&random.next().to_be_bytes());
    let stamp = Stamp {
        at,
        seed: EntrySeed(seed),
    };
    let entry = Entry { stamp, body }.to_bytes();
    let Ok(done) = handle.propose(Bytes::from(entry)).await else {
        return false;
    };
    let answer = Answer::from_bytes(&done.answer).ok();
    answer.is_some_and(|answer| {
        !answer
            .items
            .iter()
            .any(|item| matches!(item, ItemAnswer::Refused { .. }))
    })
}

fn registry(site: &Site) -> Option<Registry> {
    Records(&site.engine).registry().ok().flatten()
}

/// Log time stands nowhere further above an honest clock than it may.
pub(crate) fn bounded(sites: &[Site], now_ms: u64, violations: &mut Vec<String>) {
    for site in sites {
        let Some(registry) = registry(site) else {
            continue;
        };
        let ahead = registry.log_time.since(honest(now_ms));
        if ahead > AHEAD_MAX {
            violations.push(format!(
                "log time of node {} is {ahead} ahead of an honest clock",
                site.node
            ));
        }
    }
}

/// Log time has come up to the clocks on every node, but for what a node may still have to apply.
pub(crate) fn goes_on(sites: &[Site], now_ms: u64) -> bool {
    sites.iter().all(|site| {
        registry(site).is_some_and(|registry| {
            honest(now_ms).since(registry.log_time) < DurationMs::from_secs(5)
        })
    })
}
