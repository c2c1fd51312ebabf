//! The demo: three countries of three real nodes each, and one robot that crosses a border.
//!
//! Every line runs the very command that it prints, checks what came back, and tells how long it took. What the lines
//! are is in `story`; the countries and their processes are in `world`; the real models are in `catalogue`.

mod catalogue;
mod ports;
mod processes;
mod story;
mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use self::world::World;
use crate::Outcome;
use crate::exit::Failed;
use crate::output::{Format, say};

/// Plays the main job on this machine.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder with the programs `carnet` and `carnetd`; default is where this program lies.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Humanoid models, CSV; default is the list of real ones that this program has in it.
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    /// Data of the demo; default is a new folder under the system's temporary one.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The 300 ports from here on, on loopback; by default a range in which every port is free.
    #[arg(long)]
    port: Option<u16>,
    /// End after the last line; otherwise the countries stay up until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Keep the data and the nodes' logs; otherwise they go with the demo, however it ends.
    #[arg(long)]
    keep: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What a line found: a sentence, or why it does not hold.
pub(crate) type Found = Result<String, String>;

/// Prints lines and counts those that held.
pub(crate) struct Stage {
    json: bool,
    number: usize,
    held: usize,
    commands: Vec<String>,
}

impl Stage {
    /// Notes the command that a line runs, to be printed with it.
    pub(crate) fn command(&mut self, text: String) {
        self.commands.push(text);
    }

    fn close(&mut self, title: &str, found: &Found, took: Duration) {
        self.number += 1;
        self.held += usize::from(found.is_ok());
        let (mark, text) = match found {
            Ok(text) => ("ok", text),
            Err(text) => ("FAILED", text),
        };
        let ms = took.as_millis();
        let commands = std::mem::take(&mut self.commands);
        if self.json {
            let line = json!({
                "line": self.number, "title": title, "held": found.is_ok(), "found": text,
                "ms": u64::try_from(ms).unwrap_or(u64::MAX), "commands": commands,
            });
            print(&line.to_string());
            return;
        }
        print(&format!(
            "{:>2}. {title}: {text}  [{mark}, {ms} ms]",
            self.number
        ));
        for command in commands {
            print(&format!("      $ {command}"));
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the lines are the demo's data, printed as they happen"
)]
fn print(line: &str) {
    println!("{line}");
}

pub(crate) async fn run(demo: Demo, format: Format) -> Result<Outcome, Failed> {
    let started = Instant::now();
    let json = demo.json || format == Format::Json;
    let mut stage = Stage {
        json,
        number: 0,
        held: 0,
        commands: Vec::new(),
    };
    // Read before anything is made: what cannot be read leaves nothing behind.
    let story = story::Story::new(demo.models.as_deref()).map_err(Failed::demo)?;
    let mut world =
        World::new(demo.bin_dir, demo.dir, demo.port, demo.keep).map_err(Failed::demo)?;
    say(format!("data in {}", world.folder().display()));
    // The story waits for its commands without yielding: the one who listens must be able to end it from outside.
    let processes = world.processes().clone();
    let listener = tokio::spawn(async move {
        let code = processes::interrupted().await;
        say("interrupted: the countries end");
        processes.clean_and_exit(code)
    });
    let ended = story::play(story, &mut world, &mut stage).await;
    let (lines, held) = (stage.number, stage.held);
    listener.abort();
    if !demo.once && ended.is_ok() {
        say("the countries stay up; Ctrl-C ends them");
        processes::interrupted().await;
    }
    drop(world);
    let missing = ended.err();
    if missing.is_some() && !demo.keep {
        say("the nodes' logs are gone; --keep keeps them");
    }
    let value = json!({
        "lines": lines, "held": held, "seconds": started.elapsed().as_secs(),
        "stopped_early": missing.clone().map_or(Value::Null, Value::String),
    });
    let code = u8::from(missing.is_some() || held != lines);
    if json {
        print(&value.to_string());
        return Ok(Outcome {
            value: Value::Null,
            code,
        });
    }
    Ok(Outcome { value, code })
}
