//! What a test does that cannot run on this machine: it says so where the test script counts it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Says that a test did not run and why; the caller then returns.
///
/// Prints `CARNET-SKIP: <test>: <reason>` and appends the line to the file that `CARNET_SKIP_FILE` names.
#[expect(clippy::print_stdout, reason = "a skipped test must be seen")]
pub fn skip(test: &str, reason: &str) {
    let line = format!("CARNET-SKIP: {test}: {reason}");
    println!("{line}");
    let Some(path) = std::env::var_os("CARNET_SKIP_FILE") else {
        return;
    };
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| writeln!(file, "{line}"));
    if let Err(error) = written {
        println!("CARNET-SKIP: {test}: not counted: {error}");
    }
}

/// The release programs under test.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `carnet`, for people.
    pub carnet: PathBuf,
    /// `carnetd`, one node.
    pub carnetd: PathBuf,
}

/// The programs in the folder `CARNET_BIN_DIR`. Without them the test is skipped, and `None` is the answer.
pub fn programs(test: &str) -> Option<Programs> {
    programs_in(test, "CARNET_BIN_DIR")
}

/// The `carnetd` with planted faults in the folder `CARNET_PLANTED_BIN_DIR`; as [`programs`].
pub fn planted_programs(test: &str) -> Option<Programs> {
    programs_in(test, "CARNET_PLANTED_BIN_DIR")
}

fn programs_in(test: &str, variable: &str) -> Option<Programs> {
    let Some(folder) = std::env::var_os(variable).map(PathBuf::from) else {
        skip(
            test,
            &format!("{variable} names no folder with carnet and carnetd"),
        );
        return None;
    };
    let programs = Programs {
        carnet: folder.join("carnet"),
        carnetd: folder.join("carnetd"),
    };
    for path in [&programs.carnet, &programs.carnetd] {
        if !path.is_file() {
            skip(test, &format!("{} is missing", path.display()));
            return None;
        }
    }
    Some(programs)
}
