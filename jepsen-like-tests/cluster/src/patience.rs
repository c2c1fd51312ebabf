//! The one time limit of the harness, and waiting for something to become true.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

/// Between two looks at something awaited. No test depends on its length.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How long the harness waits for one thing. A shared machine may be slow: passing it means "it never happened".
const PATIENCE: Duration = Duration::from_secs(180);

/// The run cannot go on, or what was awaited never happened. A test fails with it.
pub struct Broken(String);

impl Broken {
    /// Says what is broken.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Turns an error into one, with what was tried.
    pub fn at<E: fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As text: this is what a failing test prints.
impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Looks again and again until there is an answer. A look that is not yet satisfied says what it saw.
///
/// # Errors
/// When the patience is over, with the last thing seen.
pub async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T, Broken>
where
    F: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = match look().await {
            Ok(answer) => return Ok(answer),
            Err(seen) => seen,
        };
        if end < Instant::now() {
            return Err(Broken(format!(
                "never happened within {} s: {what}; last seen: {seen}",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
