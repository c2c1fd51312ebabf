//! When a follower that has lost its leader asks for votes.
//!
//! openraft draws how long a node waits only when it campaigns. A node that drew a long wait therefore keeps it for as long
//! as others are faster, and they are faster each time: of three healthy nodes one may never lead. Here each silence of a
//! leader gets a draw of its own, and the draw ends before any wait of openraft's. openraft's own timer stays behind it, for
//! a round that brought nothing and for a node that never heard a leader; what is drawn then is new.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use tokio::time::Instant;

use crate::plane::Plane;
use crate::settings::Settings;

/// Draws how long each silence is waited out: SplitMix64 over the seed of the node.
struct Draws(u64);

impl Draws {
    fn next(&mut self, below: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let below_us = u64::try_from(below.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(mixed % below_us)
    }
}

/// Campaigns until the core is dead.
pub(crate) async fn run(plane: Arc<Plane>, settings: Settings) {
    let mut draws = Draws(settings.seed);
    // The others heard the same leader a little later: asked any sooner, they would still be bound to it.
    let lease = settings.election_max + settings.heartbeat / 4;
    let mut done: Option<Instant> = None;
    loop {
        let heard = plane.gate.heard().filter(|heard| Some(*heard) != done);
        match heard {
            Some(heard) => {
                tokio::time::sleep_until(heard + lease + draws.next(settings.election_min)).await;
            }
            None => tokio::time::sleep(settings.heartbeat).await,
        }
        let (state, stopped) = {
            let metrics = plane.raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.state, metrics.running_state.is_err())
        };
        if stopped || state == ServerState::Shutdown {
            return;
        }
        if heard.is_none() || plane.gate.heard() != heard {
            continue;
        }
        done = heard;
        let asks = state == ServerState::Follower && plane.campaigns();
        if asks && plane.raft.trigger().elect(true).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_over_the_whole_range() {
        let below = Duration::from_millis(300);
        for seed in 0..5 {
            let mut draws = Draws(seed);
            let mut thirds = [0; 3];
            for _ in 0..300 {
                let drawn = draws.next(below);
                assert!(drawn < below, "{drawn:?}");
                thirds[(drawn.as_millis() / 100) as usize] += 1;
            }
            assert!(thirds.iter().all(|third| *third > 70), "{thirds:?}");
        }
        assert_eq!(Draws(7).next(Duration::ZERO), Duration::ZERO);
    }
}
