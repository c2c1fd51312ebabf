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

/// Rows up to the limit, and a word if there are more.
fn listed(what: &str, mut rows: Vec<Value>, limit: usize, known: usize, token: &str) -> Outcome {
    if more_follow(rows.len(), limit, known, token) {
        say_more(what, limit.min(rows.len()));
    }
    rows.truncate(limit);
    Value::Array(rows).into()
}

/// Whether there are rows behind those shown; `known` stood before the last page. A server that lists no further than one page fills it
/// and says so by nothing: then it is said, too.
fn more_follow(rows: usize, limit: usize, known: usize, token: &str) -> bool {
    // saturates: the last page is a part of the rows
    let full = token.is_empty() && rows.saturating_sub(known) == PAGE_SIZE as usize;
    !token.is_empty() || limit < rows || full
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, a list that ended at its limit looked like a whole one.
    #[test]
    fn that_more_rows_follow_is_said_whenever_they_may() {
        let page = PAGE_SIZE as usize;
        for (rows, limit, known, token, follow) in [
            (3, 100, 0, "", false),
            (100, 100, 0, "", false),
            (101, 100, 0, "", true),
            (100, 100, 0, "next", true),
            (page, 2 * page, 0, "", true),
            (page + 1, 2 * page, page, "", false),
            (2 * page, 2 * page, page, "", true),
        ] {
            let said = more_follow(rows, limit, known, token);
            assert_eq!(said, follow, "{rows} {limit} {known} {token}");
        }
        let shown = listed("rows", vec![Value::Null; 7], 5, 0, "").value;
        assert_eq!(shown.as_array().map(Vec::len), Some(5));
    }
}
