//! Wall clocks of their own for real processes: a small library, compiled here and preloaded, that shifts what a process
//! reads by what a file says at that moment. Monotonic clocks run on as they are.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::patience::Broken;
use crate::skip::skip;

const SOURCE: &str = include_str!("clocks/shim.c");

/// How far a clock is from the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shift {
    ms: i64,
}

impl Shift {
    /// The machine's own clock.
    pub const NONE: Shift = Shift { ms: 0 };

    /// So many seconds ahead, or behind if they are negative.
    pub const fn seconds(seconds: i64) -> Shift {
        Shift { ms: seconds * 1000 }
    }

    /// So many days ahead, or behind if they are negative.
    pub const fn days(days: i64) -> Shift {
        Shift::seconds(days * 86_400)
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+} ms", self.ms)
    }
}

/// The library that shifts clocks.
#[derive(Debug, Clone)]
pub struct Shim {
    folder: Arc<tempfile::TempDir>,
}

impl Shim {
    /// Compiles it. Without a C compiler the test is skipped, and `None` is the answer.
    ///
    /// # Errors
    /// The compiler is there and fails.
    pub fn compiled(test: &str) -> Result<Option<Shim>, Broken> {
        let folder = tempfile::Builder::new()
            .prefix("carnet-clock-")
            .tempdir()
            .map_err(Broken::at("temporary folder"))?;
        let source = folder.path().join("shim.c");
        std::fs::write(&source, SOURCE).map_err(Broken::at(source.display().to_string()))?;
        let shim = Shim {
            folder: Arc::new(folder),
        };
        // Not `CC`: it may name a compiler with a cache in front, or one for another machine.
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
            .arg(shim.library())
            .arg(source)
            .output();
        match compiled {
            Ok(output) if output.status.success() => Ok(Some(shim)),
            Ok(output) => Err(Broken::new(format!(
                "the clock library does not compile: {}",
                String::from_utf8_lossy(&output.stderr)
            ))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skip(test, "there is no C compiler for the clock library");
                Ok(None)
            }
            Err(error) => Err(Broken::new(format!("C compiler: {error}"))),
        }
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    /// The environment of a process whose clock is shifted by what `file` says.
    pub(crate) fn environment(&self, file: &Path) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", self.library()),
            ("CARNET_CLOCK_FILE", file.to_owned()),
        ]
    }
}

/// Says in a file how far a clock is from the machine's. Whole at every moment: processes read it all the time.
pub(crate) fn set(file: &Path, shift: Shift) -> Result<(), Broken> {
    let at = || file.display().to_string();
    let new = file.with_extension("new");
    std::fs::write(&new, shift.ms.to_string()).map_err(Broken::at(at()))?;
    std::fs::rename(&new, file).map_err(Broken::at(at()))
}
