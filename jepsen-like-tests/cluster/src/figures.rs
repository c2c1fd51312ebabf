//! The numbers behind a green run, kept where `cargo xtask figures` computes the README's from.
//!
//! One line a number: test, figure, number, with tabs between them. A test that fails keeps nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;

use crate::check::{Coverage, Verdict};

/// What one run counted.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<String, usize>);

impl Figures {
    /// Those of its faults: only what was seen to have an effect is counted.
    pub fn of_faults(coverage: &Coverage) -> Self {
        let mut figures = Self::default();
        for (fault, count) in &coverage.effects {
            figures.add(&format!("fault {fault}"), *count);
        }
        figures
    }

    /// Adds to a figure.
    pub fn add(&mut self, figure: &str, count: usize) {
        *self.0.entry(figure.to_owned()).or_default() += count;
    }

    /// Prints them, where the test runner keeps it, and appends those of a run that held to the file that
    /// `CARNET_FIGURES_FILE` names.
    #[expect(clippy::print_stdout, reason = "the figures of a run are its result")]
    pub fn tell(&self, verdict: &Verdict) {
        println!("{:?}", self.0);
        let Some(path) = std::env::var_os("CARNET_FIGURES_FILE") else {
            return;
        };
        if *verdict != Verdict::Holds {
            return;
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a run");
        let mut lines = String::new();
        for (figure, count) in &self.0 {
            // Writing into a string does not fail.
            let _ = writeln!(lines, "{test}\t{figure}\t{count}");
        }
        let kept = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(lines.as_bytes()));
        if let Err(error) = kept {
            println!("the figures of {test} are not kept: {error}");
        }
    }
}
