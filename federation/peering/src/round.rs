//! Whom of a peer's endpoints an inquiry asks next, and what is to be said of those that gave nothing.

use std::time::Duration;

use carnet_wire::federation::v1 as pb;
use carnet_wire::status::ApiError;
use tokio::time::Instant;

/// The longest that an endpoint which says nothing keeps the next from being asked.
const STEP_MAX: Duration = Duration::from_secs(1);
/// The first pause before an endpoint that is overloaded is asked again; it doubles.
const AGAIN_MIN: Duration = Duration::from_millis(100);

/// Why a peer gave no evidence when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Whether an endpoint answered that it is overloaded, and no other had anything better to say.
    pub overloaded: bool,
    /// What each endpoint said, for people.
    pub why: String,
}

/// One inquiry at the endpoints of a peer: who is asked when, and what each said.
pub(crate) struct Round {
    patience: Duration,
    until: Instant,
    /// Those not asked yet, the next one last.
    unasked: Vec<String>,
    /// When the next of them is asked beside those that are silent.
    next_at: Instant,
    /// How long a silent endpoint keeps the next from being asked.
    step: Duration,
    /// Those to be asked again, and after how long.
    again: Vec<(String, Duration)>,
    /// What each said last; nothing while it is asked for the first time.
    said: Vec<(String, String)>,
    /// How often an endpoint said that it is overloaded.
    overloads: u32,
    lagging: Option<pb::InquireResponse>,
}

impl Round {
    /// Nobody was asked yet; with one endpoint at the least.
    pub(crate) fn new(endpoints: Vec<String>, patience: Duration) -> Self {
        let now = Instant::now();
        let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
        let step = patience / count.saturating_add(1);
        Self {
            patience,
            until: now + patience,
            said: Vec::new(),
            unasked: endpoints.into_iter().rev().collect(),
            next_at: now,
            step: step.min(STEP_MAX),
            again: Vec::new(),
            overloads: 0,
            lagging: None,
        }
    }

    /// Who is asked now, and after how long: the next, if its time has come or nobody else is being asked, and those to be asked
    /// again.
    pub(crate) fn due(&mut self, now: Instant, is_idle: bool) -> Vec<(String, Duration)> {
        let mut due = Vec::new();
        if (is_idle || self.next_at <= now)
            && let Some(endpoint) = self.unasked.pop()
        {
            due.push((endpoint, Duration::ZERO));
            self.next_at = now + self.step;
        }
        // Who has time is asked before those that have none are asked again.
        if self.unasked.is_empty() {
            due.append(&mut self.again);
        }
        for (endpoint, _) in &due {
            if !self.said.iter().any(|(known, _)| known == endpoint) {
                self.said.push((endpoint.clone(), String::new()));
            }
        }
        due
    }

    /// When there is something to do without an answer.
    pub(crate) fn next_at(&self) -> Instant {
        match self.unasked.is_empty() {
            true => self.until,
            false => self.next_at.min(self.until),
        }
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    fn says(&mut self, endpoint: &str, text: String) {
        let known = self.said.iter_mut().find(|(known, _)| known == endpoint);
        if let Some((_, said)) = known {
            *said = text;
        }
        // Somebody answered, and so the next need not wait.
        self.next_at = Instant::now();
    }

    /// It gave none, and is not asked again.
    pub(crate) fn failed(&mut self, endpoint: &str, why: String) {
        self.says(endpoint, why);
    }

    /// It answered with less than was taken in.
    pub(crate) fn lags(&mut self, endpoint: &str, shown: pb::InquireResponse) {
        self.says(endpoint, "older than what was taken in".into());
        self.lagging.get_or_insert(shown);
    }

    /// It is asked again when it says, later each time, and not at all where that is later than anybody waits.
    pub(crate) fn overloaded(&mut self, endpoint: &str, retry_after: Duration, now: Instant) {
        let error = ApiError::Overloaded { retry_after };
        self.says(endpoint, error.to_string());
        let pause = AGAIN_MIN.saturating_mul(1 << self.overloads.min(10));
        self.overloads = self.overloads.saturating_add(1);
        let pause = pause.max(retry_after);
        if now.checked_add(pause).is_some_and(|at| at < self.until) {
            self.again.push((endpoint.to_owned(), pause));
        }
    }

    /// The answer that lags, for want of a better one, or why there is none.
    pub(crate) fn end(self) -> Result<pb::InquireResponse, Unanswered> {
        if let Some(shown) = self.lagging {
            return Ok(shown);
        }
        let unasked = self.unasked.into_iter().rev();
        let unasked = unasked.map(|endpoint| format!("{endpoint}: not asked"));
        let said = self
            .said
            .into_iter()
            .map(|(endpoint, said)| match said.as_str() {
                "" => format!("{endpoint}: no answer in {} ms", self.patience.as_millis()),
                said => format!("{endpoint}: {said}"),
            });
        Err(Unanswered {
            overloaded: self.overloads > 0,
            why: said.chain(unasked).collect::<Vec<_>>().join("; "),
        })
    }
}
