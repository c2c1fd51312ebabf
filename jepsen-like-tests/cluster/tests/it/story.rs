//! The story that the demo tells, over three countries of real processes: every line holds, and those are told that people look for.

use std::process::Command as Shell;

use carnet_cluster::skip::programs;
use serde_json::Value;

const LINES: usize = 25;

#[test]
fn every_line_of_the_story_holds() {
    let Some(programs) = programs("every_line_of_the_story_holds") else {
        return;
    };
    let folder = programs.carnetd.parent().expect("a folder");
    let output = Shell::new(&programs.carnet)
        .args(["demo", "--once", "--json", "--bin-dir"])
        .arg(folder)
        .output()
        .expect("the demo");
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"));
    let mut rows: Vec<Value> = rows.collect();
    let end = rows.pop().expect("an end");
    assert_eq!(end["stopped_early"], Value::Null, "{end}");
    assert_eq!(
        (&end["lines"], &end["held"]),
        (&LINES.into(), &LINES.into()),
        "{text}"
    );
    assert_eq!(rows.len(), LINES);
    for told in [
        "a consignment of 200",
        "one is detained in transit",
        "temporary admission",
        "without going home",
    ] {
        let is = |row: &Value| {
            row["title"]
                .as_str()
                .is_some_and(|title| title.contains(told))
        };
        assert!(rows.iter().any(is), "no line tells of {told}");
    }
    assert!(output.status.success());
}
