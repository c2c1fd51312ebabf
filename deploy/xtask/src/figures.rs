//! The README's figures of runs with real processes: computed from the numbers that a run kept, never written by hand.
//!
//! A run keeps lines of test, figure, number, with tabs between them; the file of the run behind the README's figures stands
//! in the tree, and its block in the README is what [`block`] makes of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::tidy::Text;

/// The file of the recorded run.
pub const KEPT: &str = "jepsen-like-tests/cluster/figures.tsv";
/// Where the block stands.
pub const SHOWN_IN: &str = "README.md";
/// The line before it.
const BEGIN: &str =
    "<!-- figures of a recorded run: written by `cargo xtask figures --from FILE` -->";
/// The line after it.
const END: &str = "<!-- end of the figures -->";

/// Numbers by test and figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures(BTreeMap<(String, String), u64>);

impl Figures {
    /// Reads what runs kept; of a test that ran twice, the last number.
    ///
    /// # Errors
    /// The 1-based line that is none of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut numbers = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [test, figure, number] = fields[..] else {
                return Err(format!("line {}: not three fields", at.saturating_add(1)));
            };
            let number = number
                .parse()
                .map_err(|error| format!("line {}: {number}: {error}", at.saturating_add(1)))?;
            numbers.insert((test.to_owned(), figure.to_owned()), number);
        }
        Ok(Self(numbers))
    }

    /// As it is kept: a line a number, in order.
    pub fn lines(&self) -> String {
        let mut out = String::new();
        for ((test, figure), number) in &self.0 {
            // Writing into a string does not fail.
            let _ = writeln!(out, "{test}\t{figure}\t{number}");
        }
        out
    }

    /// The sum of every figure over all tests, and how many tests there are.
    fn sums(&self) -> (BTreeMap<&str, u64>, usize) {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        let mut tests: Vec<&str> = Vec::new();
        for ((test, figure), number) in &self.0 {
            let sum = sums.entry(figure).or_default();
            *sum = sum.checked_add(*number).unwrap_or(u64::MAX);
            tests.push(test);
        }
        tests.dedup();
        (sums, tests.len())
    }
}

/// The block of the README, with its marks.
pub fn block(figures: &Figures) -> String {
    let (sums, tests) = figures.sums();
    let mut out = format!("{BEGIN}\n| in {tests} scenarios that held | |\n|---|---|\n");
    for (figure, sum) in sums {
        // Writing into a string does not fail.
        let _ = writeln!(out, "| {figure} | {sum} |");
    }
    out.push_str(END);
    out
}

/// A README with this block in place of the one it has.
///
/// # Errors
/// It has no marks, or in the wrong order.
pub fn replaced(readme: &str, block: &str) -> Result<String, String> {
    let missing = || format!("{SHOWN_IN} has no block of figures");
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{block}{after}"))
}

/// What the README shows that the kept file does not say.
pub fn check(tree: &[Text]) -> Vec<String> {
    let find = |path: &str| tree.iter().find(|text| text.path == path);
    let (Some(kept), Some(readme)) = (find(KEPT), find(SHOWN_IN)) else {
        return vec![format!("{KEPT} or {SHOWN_IN} is not there")];
    };
    let replaced = Figures::parse(&kept.content)
        .map_err(|error| format!("{KEPT}: {error}"))
        .and_then(|figures| replaced(&readme.content, &block(&figures)));
    match replaced {
        Ok(right) if right == readme.content => Vec::new(),
        Ok(_) => vec![format!(
            "{SHOWN_IN}: its figures are not those of {KEPT}; `cargo xtask figures --from {KEPT}` writes them"
        )],
        Err(error) => vec![error],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_over_tests() {
        let text = "a\twrites\t3\na\tfault kill\t1\nb\twrites\t4\na\twrites\t5\n";
        let figures = Figures::parse(text).expect("figures");
        assert_eq!(
            figures.lines(),
            "a\tfault kill\t1\na\twrites\t5\nb\twrites\t4\n"
        );
        let expected = format!(
            "{BEGIN}\n| in 2 scenarios that held | |\n|---|---|\n| fault kill | 1 |\n| writes | 9 |\n{END}"
        );
        assert_eq!(block(&figures), expected);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        assert_eq!(
            Figures::parse("a\tb\t1\nx\n"),
            Err("line 2: not three fields".to_owned())
        );
        assert!(Figures::parse("a\tb\tc\n").is_err());
    }

    #[test]
    fn only_the_block_is_replaced() {
        let readme = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = format!("{BEGIN}\nnew\n{END}");
        assert_eq!(
            replaced(&readme, &new),
            Ok(format!("before\n{new}\nafter\n"))
        );
        assert!(replaced("nothing", &new).is_err());
    }
}
