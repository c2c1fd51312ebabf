//! Says in the log that a certificate nears its end: at the start, and whenever another of the steps is passed.
//!
//! What is held and until when is `certificates`; the status and the metrics tell it to whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use carnet_domain::bytes::time::{DurationMs, TimeMs};
use tracing::{error, warn};

use crate::certificates::Held;
use crate::node::Node;

/// Days before the end at which a word is said, each time a louder one.
const STEPS_DAYS: [u64; 3] = [30, 14, 7];
/// Between two looks: the files are few, and a day is long.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// The smallest step that is passed; 0 once the certificate has expired, none while there is nothing to say.
pub fn step(until: TimeMs, now: TimeMs) -> Option<u64> {
    if until < now {
        return Some(0);
    }
    let left = until.since(now);
    let passed = STEPS_DAYS.into_iter();
    passed
        .filter(|days| left < DurationMs::from_days(*days))
        .min()
}

/// What is new to say of the certificates, and what was said of each.
#[derive(Debug, Default)]
pub struct Said(BTreeMap<String, u64>);

impl Said {
    /// Which certificates passed a step that was not said yet. One that was renewed is said anew when its time comes.
    pub fn news(&mut self, held: &[Held], now: TimeMs) -> Vec<(Held, u64)> {
        let mut news = Vec::new();
        for one in held {
            let passed = one.not_after.and_then(|until| step(until, now));
            match passed {
                None => {
                    self.0.remove(&one.what);
                }
                Some(days) => {
                    if self.0.insert(one.what.clone(), days) != Some(days) {
                        news.push((one.clone(), days));
                    }
                }
            }
        }
        news
    }
}

/// Looks for as long as the node runs.
pub async fn watch(node: Arc<Node>) {
    let mut said = Said::default();
    loop {
        let looking = Arc::clone(&node);
        // The runtime is stopping.
        let Ok(held) = node.work.run(move || looking.certificates()).await else {
            return;
        };
        for (one, days) in said.news(&held, node.clock.wall()) {
            let until = one.not_after.unwrap_or(TimeMs::EPOCH);
            match days {
                0 => error!(
                    certificate = %one.what, %until,
                    "certificate has expired: runbook renew-certificates"
                ),
                days => warn!(
                    certificate = %one.what, %until,
                    "certificate has less than {days} days left: runbook renew-certificates"
                ),
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimeMs = TimeMs(1_800_000_000_000);

    fn held(what: &str, days: u64) -> Held {
        Held {
            what: what.to_owned(),
            path: what.into(),
            not_after: Some(NOW.saturating_add(DurationMs::from_days(days))),
            not_taken: false,
        }
    }

    #[test]
    fn a_word_is_said_at_thirty_fourteen_and_seven_days_and_at_the_end() {
        let after = |days| step(NOW.saturating_add(DurationMs::from_days(days)), NOW);
        let table = [365, 30, 29, 14, 13, 7, 6, 0].map(|days| (days, after(days)));
        let expected = [
            (365, None),
            (30, None),
            (29, Some(30)),
            (14, Some(30)),
            (13, Some(14)),
            (7, Some(14)),
            (6, Some(7)),
            (0, Some(7)),
        ];
        assert_eq!(table, expected);
        assert_eq!(step(TimeMs(NOW.0 - 1), NOW), Some(0));
    }

    #[test]
    fn each_step_is_said_once_and_again_after_a_renewal() {
        let mut said = Said::default();
        let mut news = |days: u64| {
            let news = said.news(&[held("raft", days), held("root-1", 3_000)], NOW);
            news.into_iter()
                .map(|(one, days)| (one.what, days))
                .collect::<Vec<_>>()
        };
        let raft = |days| vec![("raft".to_owned(), days)];
        assert_eq!(news(29), raft(30));
        assert!(news(28).is_empty(), "once");
        assert_eq!(news(13), raft(14));
        assert!(news(365).is_empty());
        assert_eq!(news(29), raft(30));
    }
}
