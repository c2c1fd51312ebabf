//! The daemon's process: command line, log, signals, exit code. Everything else is the library's.

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use carnet_store::home::JOIN_COUNT_MAX;
use carnet_trust::identity::Plane;
use carnetd::clock::{Clock, SystemClock};
use carnetd::config::{Config, EXAMPLE, LogFormat};
use carnetd::exit::Exit;
use carnetd::keyring::{FileKeyring, read_secret};
use carnetd::told::chain;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tracing::{error, info, warn};

/// The allocator of the whole process, RocksDB's C++ included: 8 % less processor time a record in bulk than with glibc's,
/// which spends it on small blocks that one thread allocates and another frees.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One node of a registry of humanoid robots.
///
/// Runs in the foreground and writes its log to standard error. SIGTERM and SIGINT stop it in good order; a second one
/// stops it at once, which loses nothing that was acknowledged. SIGHUP has it read certificates, keys of TLS, roots and its list
/// of revoked certificates anew, as it does by itself when the files change; connections stay.
#[derive(Debug, Parser)]
#[command(name = "carnetd", version, after_help = EXIT_CODES)]
struct CommandLine {
    /// The configuration of this node, in TOML.
    #[arg(long, value_name = "FILE", env = "CARNETD_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print the configuration in force, defaults included, and end.
    #[arg(long, conflicts_with = "check")]
    dump_config: bool,
    /// Judge everything that needs no network, and end: settings, keys and their modes, certificates, ports, data directory,
    /// disk, clock. Prints all that is wrong, a line each; the data directory is not opened, and the node may run. How long the
    /// disk takes to sync is measured with a small file, which is removed.
    #[arg(long)]
    check: bool,
    /// With --check: also try the Raft addresses that `init --join` was given, each for two seconds. Who is not there yet is a note.
    #[arg(long, requires = "check")]
    network: bool,
    /// Print a complete configuration with comments, to begin with, and end.
    #[arg(long, conflicts_with_all = ["check", "dump_config"])]
    example_config: bool,
    /// The fault to plant, for tests of the tests.
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "NAME")]
    planted: Option<carnetd::planted::Planted>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The configuration: a complete one to begin with, whether one can be started with, what it means.
    #[command(subcommand)]
    Config(Settings),
    /// Makes the data directory of a node that is new, under an id that was never used, and prints its store id.
    ///
    /// Once for each node, before its first start. The directory must be empty. A node whose disk was lost, wiped or
    /// replaced is a new node with a new id: under the old one it would not know what it voted for, and the others refuse
    /// it.
    Init {
        /// The nodes that may give the node its first configuration, as ID or ID=RAFT_HOST:PORT, separated by commas: all
        /// founding nodes, itself among them, for a cluster that is to be founded; the present voters for one that it
        /// joins. Those with an address are asked while nobody takes the node in. Only a node that names itself can be
        /// asked to found a cluster (`carnet cluster init`).
        #[arg(
            long,
            value_name = "IDS",
            required = true,
            value_delimiter = ',',
            value_parser = joined
        )]
        join: Vec<(u64, Option<String>)>,
    },
}

#[derive(Debug, Subcommand)]
enum Settings {
    /// Prints a complete configuration with comments, to begin with.
    Example,
    /// Judges everything that can be judged before a start: settings, keys and their modes, certificates, ports, data directory, disk,
    /// clock. As --check.
    Check {
        /// Also try the Raft addresses that `init --join` was given, each for two seconds.
        #[arg(long)]
        network: bool,
    },
    /// Prints every setting in force below what it means, and whether it is the default.
    Explain,
}

fn joined(text: &str) -> Result<(u64, Option<String>), String> {
    let (id, address) = match text.split_once('=') {
        Some((id, address)) => (id, Some(address.to_owned())),
        None => (text, None),
    };
    let id = id.parse().ok().filter(|id| *id >= 1);
    let whole = address.as_deref().is_none_or(|address| {
        address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    });
    match id.filter(|_| whole) {
        Some(id) => Ok((id, address)),
        None => Err("write ID or ID=HOST:PORT".to_owned()),
    }
}

const EXIT_CODES: &str = "\
A new node, once, and then at every start:
  carnetd config example > FILE
  carnetd --config FILE config check
  carnetd --config FILE config explain
  carnetd --config FILE init --join 1,2,3
  carnetd --config FILE

Exit codes:
  0  stopped by a signal
  1  failed: a socket, the disk (full, too) or Raft; start it again after a while
  2  the command line or the configuration is wrong
  3  a key or certificate is missing, open to others, or not what it should be
  4  the data directory is empty, incomplete, or belongs to another node, cluster, store or program, or the cluster
     refuses it; starting again does not help
  5  stored bytes are not what was written; do not start again on this disk
  6  an invariant of the program is broken (as is an abort, 134)
  7  this replica's state differs from the majority's: do not start again on this disk; replace it under a new node id
  8  the registry stands at a feature level that this program does not know: start a newer one on the same disk";

fn main() -> ExitCode {
    // Before anything is opened or made.
    carnetd::process::keep_files_to_the_owner();
    let line = CommandLine::parse();
    match start(&line) {
        Ok(()) => Exit::Stopped.into(),
        Err((exit, text)) => {
            say(&text);
            exit.into()
        }
    }
}

fn start(line: &CommandLine) -> Result<(), (Exit, String)> {
    if line.example_config || matches!(line.verb, Some(Verb::Config(Settings::Example))) {
        return print(EXAMPLE);
    }
    let Some(path) = &line.config else {
        return Err((Exit::Usage, "which configuration? (--config)".to_owned()));
    };
    if line.verb.is_some() && (line.dump_config || line.check) {
        let text = "--check and --dump-config go without a command".to_owned();
        return Err((Exit::Usage, text));
    }
    if line.check {
        return check(path, line.network);
    }
    if let Some(Verb::Config(Settings::Check { network })) = line.verb {
        return check(path, network);
    }
    let config = Config::load(path).map_err(|error| (Exit::Usage, chain(&error)))?;
    if line.dump_config {
        return print(&config.dump());
    }
    if let Some(Verb::Config(_)) = line.verb {
        return print(&config.explain());
    }
    let keyring = FileKeyring::open(&config.pki()).map_err(|error| (Exit::Keys, chain(&error)))?;
    judge_files(&config)?;
    // Before there is a log: its answer is one line for a person or a script, not a database's account of itself.
    if let Some(Verb::Init { join }) = &line.verb {
        return init(&config, join);
    }
    start_log(&config);
    stop_at_panic();
    #[cfg(feature = "planted")]
    let config = Config {
        planted: line.planted,
        ..config
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| (Exit::Failed, format!("no threads: {error}")))?;
    runtime.block_on(run(config, keyring))
}

/// What was found is the answer, on standard output; the code is that of the first thing wrong.
fn check(path: &Path, network: bool) -> Result<(), (Exit, String)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut report = carnetd::check::judge(path, &clock);
    if network {
        report.network(path);
    }
    print(&report.to_string())?;
    match report.exit() {
        Exit::Stopped => Ok(()),
        exit => Err((exit, format!("{} cannot be started with", path.display()))),
    }
}

fn init(config: &Config, join: &[(u64, Option<String>)]) -> Result<(), (Exit, String)> {
    if join.len() > JOIN_COUNT_MAX {
        let text = format!("--join: {} nodes, at most {JOIN_COUNT_MAX}", join.len());
        return Err((Exit::Usage, text));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let join = join.iter().cloned().collect();
    let store = carnetd::assemble::init(config, &clock, &join)
        .map_err(|fault| (fault.exit(), chain(&fault)))?;
    print(&format!("{store}\n"))
}

async fn run(config: Config, keyring: FileKeyring) -> Result<(), (Exit, String)> {
    let stop = stop_signal().map_err(|error| (Exit::Failed, format!("no signals: {error}")))?;
    let hangup = hangups().map_err(|error| (Exit::Failed, format!("no signals: {error}")))?;
    info!(prefix = %config.node.prefix, node = config.node.id, version = env!("CARGO_PKG_VERSION"), "starting");
    let files = carnetd::process::raise_open_files();
    let needed = config.limits.open_files();
    if files < needed {
        warn!(
            files,
            needed,
            "this process may open fewer files than its limits allow connections: raise LimitNOFILE"
        );
    }
    let clock = Arc::new(SystemClock::new());
    match carnetd::run(config, clock, Arc::new(keyring), stop, hangup).await {
        Ok(()) => {
            info!("stopped");
            Ok(())
        }
        Err(fault) => {
            let text = chain(&fault);
            error!(error = %text, "stopped by a failure");
            Err((fault.exit(), text))
        }
    }
}

/// Certificates and TLS keys must be there, and the keys closed to others, before anything is opened.
fn judge_files(config: &Config) -> Result<(), (Exit, String)> {
    let pki = config.pki();
    for path in pki.certificates_and_keys() {
        let cannot = |error| {
            (
                Exit::Keys,
                format!("{} cannot be read: {error}", path.display()),
            )
        };
        std::fs::File::open(&path).map_err(cannot)?;
    }
    for plane in Plane::ALL {
        read_secret(&pki.key(*plane)).map_err(|error| (Exit::Keys, chain(&error)))?;
    }
    Ok(())
}

/// Ends when SIGTERM or SIGINT arrives; a second one ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        info!("asked to stop");
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            std::process::exit(i32::from(Exit::Stopped.code()));
        });
    })
}

/// Notified of every SIGHUP.
fn hangups() -> std::io::Result<Arc<Notify>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let asked = Arc::new(Notify::new());
    let asks = Arc::clone(&asked);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            asks.notify_one();
        }
    });
    Ok(asked)
}

async fn either(
    terminate: &mut tokio::signal::unix::Signal,
    interrupt: &mut tokio::signal::unix::Signal,
) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// openraft names every failed attempt to reach a peer, and each heartbeat is one: a peer that is away for a night filled
/// the disk. Consensus names them once and counts. What openraft says for information, above all two kilobytes of its whole
/// state at each start, is for whoever works on it. A filter that names openraft is taken as it is.
const QUIET: &str = "openraft=warn,openraft::core::heartbeat=error,openraft::replication=error,\
                     openraft::engine::handler::replication_handler=error";

fn start_log(config: &Config) {
    let filter = &config.log.filter;
    let filter = if filter.contains("openraft") {
        filter.clone()
    } else {
        format!("{filter},{QUIET}")
    };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would be told on the stream that cannot be written, which panics: a full disk under the log would abort us.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => log
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init(),
        LogFormat::Json => log.json().init(),
    }
}

/// A panic says that an invariant is broken: the replica stops before it diverges, whichever task it was in. But not one
/// of the rules, which the store catches before anything is written: the node then stands still before that entry, and
/// a restart would only bring it there again.
fn stop_at_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::force_capture();
        if carnet_store::guard::is_guarded() {
            error!(%panic, %trace, "the rules panicked; nothing of it is written");
            return;
        }
        error!(%panic, %trace, "invariant broken");
        std::process::abort();
    }));
}

/// The answer to --dump-config and --check is data.
fn print(text: &str) -> Result<(), (Exit, String)> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| (Exit::Failed, format!("standard output: {error}")))
}

/// There may be no log yet, or one in JSON. If nobody can be told, the exit code still says it.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "carnetd: {text}");
}
