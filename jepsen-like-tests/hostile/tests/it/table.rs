//! The table of probes in the README against the tests there are.

use std::collections::BTreeSet;

/// The files of this directory that hold attacks made by hand.
const SOURCES: [&str; 11] = [
    include_str!("admission.rs"),
    include_str!("custody.rs"),
    include_str!("extremes.rs"),
    include_str!("formats.rs"),
    include_str!("identities.rs"),
    include_str!("offices.rs"),
    include_str!("peers.rs"),
    include_str!("recalls.rs"),
    include_str!("records.rs"),
    include_str!("sessions.rs"),
    include_str!("verdicts.rs"),
];

/// Files that hold, beside others, attacks that have a row.
const ELSEWHERE: [&str; 3] = [
    include_str!("chains.rs"),
    include_str!("belief.rs"),
    include_str!("../../../../federation/peering/tests/it/following.rs"),
];

/// Names of the functions that stand under `#[test]` or `#[tokio::test]`.
fn tests(sources: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources {
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let name = pair[1].trim_start_matches("async ").strip_prefix("fn ");
            if let ("#[test]" | "#[tokio::test]", Some(name)) = (pair[0], name) {
                names.insert(name.split('(').next().unwrap_or(name).to_owned());
            }
        }
    }
    names
}

/// Rows of the table: probes, rule, tests.
fn rows() -> Vec<[Vec<String>; 3]> {
    let readme = include_str!("../../README.md");
    let begun = readme
        .lines()
        .skip_while(|line| !line.starts_with("| probe "));
    let rows = begun.skip(2).take_while(|line| line.starts_with('|'));
    let names = |cell: &str| {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect::<Vec<_>>()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert!(cells.len() == 3, "three cells: {row}");
        [
            names(cells[0]),
            vec![cells[1].trim().to_owned()],
            names(cells[2]),
        ]
    })
    .collect()
}

#[test]
fn every_row_of_the_readme_is_a_test_and_every_test_a_row() {
    let (tests, elsewhere, rows) = (tests(&SOURCES), tests(&ELSEWHERE), rows());
    let named: BTreeSet<String> = rows
        .iter()
        .flat_map(|[_, _, tests]| tests.clone())
        .collect();
    let here: BTreeSet<String> = named.difference(&elsewhere).cloned().collect();
    assert_eq!(here, tests);
    for [probes, rule, tests] in &rows {
        assert!(!tests.is_empty() && !rule[0].is_empty(), "{probes:?}");
    }
}
