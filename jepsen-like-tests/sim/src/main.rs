//! Runs simulations from seeds: `carnet-sim --seed 7`, or `--seed 0 --count 1000`.

use std::io::{self, Write};
use std::process::ExitCode;

use carnet_sim::{Options, State, run};
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
    /// Plant disks that report a sync before it is done.
    #[arg(long)]
    lying_disks: bool,
    /// Print everything that happened.
    #[arg(long)]
    trace: bool,
    /// Run each seed twice and compare the traces.
    #[arg(long)]
    twice: bool,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
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
