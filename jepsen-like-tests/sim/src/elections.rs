//! Who comes to lead among equals: the leader is cut off again and again, and whoever the others elect is written down.

use crate::history::Shared;
use crate::network::host;
use crate::run::{Options, RUNNING, align_task_ids, simulation, sites};

/// Simulated time in which the others must elect one of them.
const ELECT_MS: u64 = 10_000;
/// Simulated time after which the old leader is back and follows.
const SETTLE_MS: u64 = 800;

/// Cuts off the leader of three nodes so many times, and says who led after each.
///
/// # Errors
/// Nobody was elected in time.
pub fn elections(seed: u64, rounds: usize) -> Result<Vec<u64>, String> {
    let _alone = RUNNING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    align_task_ids();
    let history = Shared::default();
    // Nobody asks for anything: only leaders speak.
    history.lock().closing = true;
    let sites = sites(&Options::new(seed), &history, None, None);
    let mut sim = simulation(seed, &sites);
    let mut now_ms = 0;
    let mut run_for = |sim: &mut turmoil::Sim<'_>, most_ms: u64, reached: &dyn Fn() -> bool| {
        for _ in 0..most_ms {
            if reached() {
                return Ok(true);
            }
            now_ms += 1;
            history.lock().now_ms = now_ms;
            sim.step().map_err(|error| error.to_string())?;
        }
        Ok::<bool, String>(false)
    };
    let newest = || history.lock().leaders.last().copied();
    run_for(&mut sim, ELECT_MS, &|| newest().is_some())?;
    run_for(&mut sim, 3 * SETTLE_MS, &|| false)?;
    let mut led = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let leader = newest().ok_or("nobody leads")?;
        let others: Vec<u64> = (1..=3).filter(|node| *node != leader).collect();
        for other in &others {
            sim.partition(host(leader), host(*other));
        }
        let elected = run_for(&mut sim, ELECT_MS, &|| {
            newest().is_some_and(|node| node != leader)
        })?;
        if !elected {
            return Err(format!(
                "round {round}: nobody was elected in {ELECT_MS} ms"
            ));
        }
        for other in &others {
            sim.repair(host(leader), host(*other));
        }
        run_for(&mut sim, SETTLE_MS, &|| false)?;
        led.extend(newest());
    }
    Ok(led)
}
