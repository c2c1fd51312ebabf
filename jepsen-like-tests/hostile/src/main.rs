//! Attacks for as long as asked: `carnet-hostile extremes --seed 7 --seconds 600`, or `lies`. Ends with 1 when something broke, or
//! when the attacks did not come deep enough to show anything.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use carnet_hostile::corpus;
use carnet_hostile::decoders::{Fuzzed, fuzz, samples_of};
use carnet_hostile::program::Manner;
use carnet_hostile::run::{Report, run};
use carnet_kit::campaign::record;
use clap::{Args, Parser, Subcommand};

/// Attacks replicas that differ, from seeds.
#[derive(Debug, Parser)]
#[command(name = "carnet-hostile")]
struct Arguments {
    #[command(subcommand)]
    command: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Every integer, length and repetition of what comes in, at its extremes.
    Extremes(Seeds),
    /// What whoever lies could truly sign: replayed, reordered, of two histories, in floods.
    Lies(Seeds),
    /// Every decoder, and every way to `apply`: bytes changed in their form, in bits and in their order.
    Decoders(Seeds),
    /// What the coverage-guided fuzzer begins with, and what it found: `jepsen-like-tests/fuzz/fuzz.sh` calls this.
    Corpus(Corpus),
}

#[derive(Debug, Args)]
struct Corpus {
    #[command(subcommand)]
    what: Exchange,
}

#[derive(Debug, Subcommand)]
enum Exchange {
    /// Prints the name of every target.
    Targets,
    /// Writes the inputs of a target into a folder.
    Unpack {
        /// Its name.
        target: String,
        /// Where to.
        folder: PathBuf,
    },
    /// Keeps the inputs of a folder as those of a target, as far as there is room.
    Pack {
        /// Its name.
        target: String,
        /// Where from.
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Seeds {
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Stop after this many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Stop after this many seeds, if that is earlier.
    #[arg(long, default_value_t = u64::MAX)]
    count: u64,
    /// Add a line to this file: the date, the seeds, how many attacks there were, and what broke.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

fn main() -> io::Result<ExitCode> {
    let (word, manner, seeds) = match Arguments::parse().command {
        Kind::Extremes(seeds) => ("extremes", Manner::Extremes, seeds),
        Kind::Lies(seeds) => ("lies", Manner::Lies, seeds),
        Kind::Decoders(seeds) => return attack_decoders(&seeds),
        Kind::Corpus(corpus) => return exchange(&corpus.what),
    };
    let (begun, long) = (Instant::now(), Duration::from_secs(seeds.seconds));
    // What panics is caught and reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let mut report = Report::default();
    let mut last = seeds.seed;
    for seed in seeds.seed..seeds.seed.saturating_add(seeds.count) {
        if begun.elapsed() > long {
            break;
        }
        report.add(run(seed, manner));
        last = seed;
    }
    let mut out = io::stdout().lock();
    write!(out, "{report}")?;
    if !report.is_deep() {
        writeln!(out, "harness broken: too few attacks reached the rules")?;
    }
    if let Some(file) = &seeds.record {
        let failed: Vec<u64> = report.failures.iter().map(|(seed, _)| *seed).collect();
        let (attacks, percent) = (report.attacks(), report.rules_percent());
        let first = seeds.seed;
        record(
            file,
            &format!(
                "{word} --seed {first} to {last}: {attacks} attacks, {percent} % reached the rules, failed: {failed:?}"
            ),
        )?;
    }
    let held = report.failures.is_empty() && report.is_deep();
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn exchange(what: &Exchange) -> io::Result<ExitCode> {
    let targets = corpus::targets();
    let named = |name: &str| {
        let found = targets.iter().find(|target| target.name == name);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no target {name}")))
    };
    let mut out = io::stdout().lock();
    match what {
        Exchange::Targets => {
            for target in &targets {
                writeln!(out, "{}", target.name)?;
            }
        }
        Exchange::Unpack { target, folder } => {
            let count = corpus::unpack(named(target)?, folder)?;
            writeln!(out, "{target}: {count} inputs")?;
        }
        Exchange::Pack { target, folder } => {
            let count = corpus::pack(named(target)?, folder)?;
            writeln!(out, "{target}: {count} inputs kept")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Inputs a seed gives each decoder.
const INPUTS: u64 = 2_000;

fn attack_decoders(seeds: &Seeds) -> io::Result<ExitCode> {
    let (begun, long) = (Instant::now(), Duration::from_secs(seeds.seconds));
    let targets = corpus::targets();
    let samples = samples_of(&targets);
    std::panic::set_hook(Box::new(|_| {}));
    let mut found = vec![Fuzzed::default(); targets.len()];
    let mut last = seeds.seed;
    for seed in seeds.seed..seeds.seed.saturating_add(seeds.count) {
        if begun.elapsed() > long {
            break;
        }
        for (target, found) in targets.iter().zip(&mut found) {
            let more = fuzz(target, &samples, seed, INPUTS);
            found.given += more.given;
            found.taken += more.taken;
            found.broke.extend(more.broke);
        }
        last = seed;
    }
    let mut out = io::stdout().lock();
    writeln!(out, "seeds {} to {last}", seeds.seed)?;
    for (target, found) in targets.iter().zip(&found) {
        let Fuzzed { given, taken, .. } = found;
        writeln!(
            out,
            "{:<18} {given:>10} given {taken:>10} taken",
            target.name
        )?;
        for bytes in &found.broke {
            writeln!(
                out,
                "  broke: {}",
                bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()
            )?;
        }
    }
    let given: u64 = found.iter().map(|found| found.given).sum();
    let taken: u64 = found.iter().map(|found| found.taken).sum();
    writeln!(out, "{given} inputs given, {taken} taken")?;
    let broken = targets.iter().zip(&found);
    let broken: Vec<&str> = broken
        .filter(|(_, found)| !found.broke.is_empty())
        .map(|(target, _)| target.name)
        .collect();
    if let Some(file) = &seeds.record {
        let (first, count) = (seeds.seed, targets.len());
        record(
            file,
            &format!(
                "decoders --seed {first} to {last}: {given} inputs to {count} targets, {taken} taken, broke: {broken:?}"
            ),
        )?;
    }
    let held = broken.is_empty();
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
