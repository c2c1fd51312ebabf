//! Lists that a registry answers page after page.

use carnet_client::{ClientError, Page};
use serde_json::Value;

use crate::Outcome;
use crate::exit::Failed;
use crate::output::say_more;

/// Records asked for at a time.
pub(crate) const PAGE_SIZE: u32 = 1_000;

/// The most robots that are looked through to say how many are such: what an enterprise leaves behind, what a recall matches.
pub(crate) const LOOKED_MAX: u64 = 100_000;

/// A list, page after page, up to the limit.
pub(crate) async fn pages<T>(
    what: &str,
    limit: usize,
    row: impl Fn(&T) -> Value,
    ask: impl AsyncFn(String) -> Result<Page<T>, ClientError>,
) -> Result<Outcome, Failed> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let page = ask(token).await?;
        let known = rows.len();
        rows.extend(page.values.iter().map(&row));
        token = page.next;
        if token.is_empty() || limit < rows.len() {
            return Ok(listed(what, rows, limit, known, &token));
        }
    }
}

/// Rows up to the limit, and a word if there are more. A server that lists no further than one page fills it and says so by
/// nothing: then that is said, too.
fn listed(what: &str, mut rows: Vec<Value>, limit: usize, known: usize, token: &str) -> Outcome {
    let page = rows.len().saturating_sub(known);
    let full = token.is_empty() && page == PAGE_SIZE as usize;
    if !token.is_empty() || limit < rows.len() || full {
        say_more(what, limit.min(rows.len()));
    }
    rows.truncate(limit);
    Value::Array(rows).into()
}
