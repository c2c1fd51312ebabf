//! The command line of the workspace's own checks: `cargo xtask layers`, `cargo xtask tidy`, and the others.
//!
//! It prints what the library found and turns that into an exit code; it decides nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use carnet_xtask::{circles, figures, layers, mutants, names, tidy, unused};
use clap::{Parser, Subcommand};

/// Checks of the workspace itself.
#[derive(Parser)]
#[command(name = "xtask", version)]
struct Arguments {
    #[command(subcommand)]
    check: Check,
}

#[derive(Subcommand)]
enum Check {
    /// Who may depend on whom: direct dependencies against the table of rooms.
    Layers,
    /// Files of one crate that import each other in a circle.
    Circles,
    /// Words, headers and unfinished work in the tracked files.
    Tidy,
    /// Names in ARCHITECTURE.md that nothing has, and terms of its glossary that nobody uses.
    Names,
    /// Direct dependencies that no line uses, or only tests.
    Unused,
    /// The README's figures of runs with real processes against the file of the recorded run.
    Figures {
        /// Takes the numbers that a run kept in this file, and writes the recorded run and the README anew.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// What the tests of the rules do not notice: a sample of mutants in a copy of the tree. Takes hours; goes on where it
    /// was ended.
    Mutants {
        /// What the sample is drawn by.
        #[arg(long)]
        seed: u64,
        /// How many.
        #[arg(long, default_value_t = 120)]
        count: usize,
        /// Where the copy is made, and the record of the run.
        #[arg(long)]
        out: PathBuf,
        /// Take the mutants that this list names, as `--copy-only` printed them of an older tree, in place of a sample.
        #[arg(long, value_name = "FILE")]
        listed: Option<PathBuf>,
        /// Make the copy, print the sample and run no test.
        #[arg(long)]
        copy_only: bool,
        /// Leave the tests of this module out of the judges, for those that take minutes with every mutant.
        #[arg(long, value_name = "MODULE")]
        without: Vec<String>,
        /// Further arguments of `cargo nextest run`.
        #[arg(last = true)]
        more: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.check) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("xtask: {fault}");
            ExitCode::from(2)
        }
    }
}

/// Prints the findings on stdout and answers how many there were.
#[expect(clippy::print_stdout, reason = "findings are this program's data")]
fn run(check: &Check) -> Result<usize, Box<dyn std::error::Error>> {
    let here = std::env::current_dir()?;
    let (name, findings) = match check {
        Check::Layers => ("layers", texts(&layers::check(&layers::read(&here)?))),
        Check::Circles => (
            "circles",
            texts(&circles::check(&tidy::read(&root_of(&here)?)?)),
        ),
        Check::Tidy => {
            let tree = tidy::read(&root_of(&here)?)?;
            for note in tidy::notes(&tree) {
                eprintln!("note: {note}");
            }
            ("tidy", texts(&tidy::check(&tree)))
        }
        Check::Names => (
            "names",
            texts(&names::check(&tidy::read(&root_of(&here)?)?)),
        ),
        Check::Unused => {
            let (workspace, tree) = (layers::read(&here)?, tidy::read(&root_of(&here)?)?);
            let dependencies = texts(&unused::check(&workspace, &tree));
            let items = texts(&unused::items(&tree));
            ("unused", [dependencies, items].concat())
        }
        Check::Figures { from } => {
            let root = root_of(&here)?;
            if let Some(file) = from {
                take_figures(&root, file)?;
            }
            ("figures", figures::check(&tidy::read(&root)?))
        }
        Check::Mutants {
            seed,
            count,
            out,
            listed,
            copy_only,
            without,
            more,
        } => {
            let root = root_of(&here)?;
            let tree = tidy::read(&root)?;
            if let Some(gone) = mutants::stale(&tree, mutants::SAME)?.first() {
                return Err(format!("no mutant of the tree is {gone:?}").into());
            }
            let (mut sample, candidates) = mutants::sample(&tree, *seed, *count)?;
            if let Some(list) = listed {
                let list = std::fs::read_to_string(list)?;
                let (found, gone) = mutants::found_again(&tree, &list)?;
                for line in gone {
                    eprintln!("the tree has it no more: {line}");
                }
                sample = found;
            }
            let copy = out.join("tree");
            mutants::write(&root, &mutants::woven(&tree, &sample)?, &copy)?;
            if *copy_only {
                let numbered = sample.iter().map(|it| format!("{}. {it}", it.id));
                println!("{}", numbered.collect::<Vec<_>>().join("\n"));
                return Ok(0);
            }
            let mut told = |line: &str| eprintln!("{line}");
            let record = out.join(format!("{seed}.tsv"));
            let fates = mutants::run(&sample, &copy, &record, (without, more), &mut told)?;
            let summary = mutants::summary(&fates, *seed, candidates, without);
            ("mutants", summary.lines().map(str::to_owned).collect())
        }
    };
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => eprintln!("{name}: nothing found"),
        count => eprintln!("{name}: {count} found"),
    }
    Ok(findings.len())
}

/// Records a run and shows it in the README.
fn take_figures(root: &Path, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let kept = figures::Figures::parse(&std::fs::read_to_string(file)?)?;
    let readme = root.join(figures::SHOWN_IN);
    let shown = figures::replaced(&std::fs::read_to_string(&readme)?, &figures::block(&kept))?;
    std::fs::write(root.join(figures::KEPT), kept.lines())?;
    std::fs::write(readme, shown)?;
    Ok(())
}

fn texts(findings: &[impl ToString]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

/// The nearest folder at or above `start` that holds the workspace.
fn root_of(start: &Path) -> Result<std::path::PathBuf, String> {
    start
        .ancestors()
        .find(|folder| folder.join("deploy/xtask/Cargo.toml").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} is not inside the workspace", start.display()))
}
