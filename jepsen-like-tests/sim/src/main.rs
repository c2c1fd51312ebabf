//! Runs simulations from seeds: `carnet-sim --seed 7`, or `--seed 0 --count 1000`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use carnet_kit::campaign::record;
use carnet_sim::{CountryOptions, Options, State, country, run};
use clap::Parser;

/// Simulates a cluster of consensus nodes from a seed, with faults, and judges what it promised.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Arguments {
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Simulated seconds of faults in each run.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Nodes of the cluster.
    #[arg(long, default_value_t = 3)]
    nodes: u64,
    /// Replicate the real registry, and register this many robots.
    #[arg(long)]
    robots: Option<u32>,
    /// Replicate the real registry, fed with stamps of the leaders' clocks.
    #[arg(long, conflicts_with = "robots")]
    stamps: bool,
    /// Simulate a whole country: the assembly of `carnetd` on every host, asked over TLS.
    #[arg(long, conflicts_with_all = ["robots", "stamps", "lying_disks", "nodes"])]
    country: bool,
    /// Simulate two countries that are peers, with robots that cross the border under faults.
    #[arg(long, requires = "country")]
    two: bool,
    /// Plant disks that report a sync before it is done.
    #[arg(long)]
    lying_disks: bool,
    /// Add a line to this file: the date, the seeds, and what was found.
    #[arg(long, requires = "country")]
    record: Option<PathBuf>,
    /// Print everything that happened.
    #[arg(long)]
    trace: bool,
    /// Run each seed twice and compare the traces.
    #[arg(long)]
    twice: bool,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.country {
        return countries(&arguments);
    }
    let mut out = io::stdout().lock();
    let mut held = true;
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.count) {
        let options = Options {
            seed,
            nodes: arguments.nodes,
            faulty_ms: arguments.seconds * 1000,
            state: match arguments.robots {
                Some(robots_count) => State::Registry { robots_count },
                None if arguments.stamps => State::Stamps,
                None => State::Registers,
            },
            lying_disks: arguments.lying_disks,
        };
        let mut report = run(options);
        if arguments.twice {
            let again = run(options);
            if again.trace != report.trace {
                let at = report
                    .trace
                    .iter()
                    .zip(&again.trace)
                    .position(|(one, other)| one != other)
                    .unwrap_or(0);
                let (one, other) = (report.trace.get(at), again.trace.get(at));
                report.violations.push(format!(
                    "two runs of one seed differ at line {at}: {one:?} and {other:?}"
                ));
            }
        }
        if arguments.trace {
            for line in &report.trace {
                writeln!(out, "{line}")?;
            }
        }
        writeln!(
            out,
            "seed {seed}: {} written, {} read, {} unknown, {}, {} simulated ms",
            report.written, report.read, report.unknown, report.faults, report.simulated_ms
        )?;
        for violation in &report.violations {
            writeln!(out, "  VIOLATED: {violation}")?;
        }
        if !report.violations.is_empty() {
            held = false;
            let robots = arguments
                .robots
                .map_or_else(String::new, |count| format!(" --robots {count}"));
            let stamps = if arguments.stamps { " --stamps" } else { "" };
            let (seconds, nodes) = (arguments.seconds, arguments.nodes);
            writeln!(
                out,
                "REPRODUCE: sim --seed {seed} --seconds {seconds} --nodes {nodes}{robots}{stamps}"
            )?;
        }
    }
    Ok(if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Countries from seeds.
fn countries(arguments: &Arguments) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut failed = Vec::new();
    let (mut registered, mut crossed) = (0, 0);
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.count) {
        let options = CountryOptions {
            seed,
            faulty_ms: arguments.seconds * 1000,
            two: arguments.two,
            planted: None,
        };
        let mut report = country(options)?;
        if arguments.twice && country(options)? != report {
            let why = "two runs of one seed differ".to_owned();
            report.violations.push(why);
        }
        if arguments.trace {
            for line in &report.trace {
                writeln!(out, "{line}")?;
            }
        }
        writeln!(
            out,
            "country {seed}: {} registered, {} crossed, {} repeated, {} read, {} unknown, {} heads signed, {} by the steward, {} replaced, {} snapshots received, {}, {} border cuts, {} simulated ms",
            report.registered,
            report.crossed,
            report.repeated,
            report.read,
            report.unknown,
            report.signed,
            report.stewarded,
            report.replaced,
            report.received,
            report.faults,
            report.border_cuts,
            report.simulated_ms
        )?;
        for violation in &report.violations {
            writeln!(out, "  VIOLATED: {violation}")?;
        }
        registered += report.registered;
        crossed += report.crossed;
        if !report.violations.is_empty() {
            failed.push(seed);
            let seconds = arguments.seconds;
            let two = if arguments.two { " --two" } else { "" };
            writeln!(
                out,
                "REPRODUCE: sim --country{two} --seed {seed} --seconds {seconds}"
            )?;
        }
    }
    if let Some(path) = &arguments.record {
        let (seed, count, seconds) = (arguments.seed, arguments.count, arguments.seconds);
        let two = if arguments.two { " --two" } else { "" };
        record(
            path,
            &format!(
                "--country{two} --seed {seed} --count {count} --seconds {seconds}: {registered} registered, {crossed} crossed, \
                 failed: {failed:?}"
            ),
        )?;
    }
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
