//! Robots that cross a border again and again: what was asked of both countries, what was seen of them meanwhile, and
//! what stands in both registries at the end.

mod course;
mod driver;
mod ending;
mod reoffer;
mod run;
mod seen;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use carnet_client::ClientError;

use crate::border::Side;
use crate::check::{Breaks, is_explained};
use crate::history::Moment;

pub use self::driver::Traffic;
pub use self::reoffer::{Reoffered, offer_cancel_offer};
pub use self::run::Crossings;
pub use self::seen::{Asked, Came, Claim, Ended, Kept, OwnLink, Run};

/// Collects from many drivers.
#[derive(Debug)]
struct Recorder {
    started: Instant,
    breaks: Breaks,
    asked: Mutex<Vec<Asked>>,
    claims: Mutex<Vec<Claim>>,
    looks: [Mutex<usize>; 2],
    crossed: Mutex<usize>,
    unexplained: Mutex<Vec<String>>,
}

impl Recorder {
    fn new(breaks: Breaks) -> Self {
        Self {
            started: Instant::now(),
            breaks,
            asked: Mutex::default(),
            claims: Mutex::default(),
            looks: [Mutex::default(), Mutex::default()],
            crossed: Mutex::default(),
            unexplained: Mutex::default(),
        }
    }

    fn now(&self) -> Moment {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(Moment::MAX)
    }

    /// Notes that a country answered a look.
    fn looked(&self, side: Side, claim: Option<Claim>) {
        *lock(&self.looks[usize::from(side == Side::B)]) += 1;
        if let Some(claim) = claim {
            lock(&self.claims).push(claim);
        }
    }

    /// Notes an error that no fault explains.
    fn judge(&self, error: &ClientError, what: impl FnOnce() -> String) {
        if !is_explained(error, self.breaks) {
            lock(&self.unexplained).push(format!("{} came back with {error}", what()));
        }
    }

    fn looks(&self, side: Side) -> usize {
        *lock(&self.looks[usize::from(side == Side::B)])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
