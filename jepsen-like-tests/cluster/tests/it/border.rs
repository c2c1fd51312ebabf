//! Three countries and a robot that crosses a border: the story that people are shown, judged line by line.
//!
//! A leader is killed under load, the exporter is cut off, forged bytes are shown, a permit is presented twice. Every
//! line of the story checks itself; here none may be missing.

use std::process::Command;

use carnet_cluster::Broken;
use carnet_cluster::skip::programs;
use serde_json::Value;

/// Lines of the story. One that is left out fails here.
const LINES: usize = 20;

#[test]
fn every_line_of_the_story_holds() -> Result<(), Broken> {
    let Some(programs) = programs("every_line_of_the_story_holds") else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(Broken::at("folder"))?;
    let models = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/humanoid_models.csv"
    );
    let told = Command::new(&programs.carnet)
        .args(["demo", "--once", "--json", "--models", models])
        .arg("--dir")
        .arg(folder.path().join("story"))
        .output()
        .map_err(Broken::at("carnet demo"))?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let held = lines.iter().filter(|line| line["held"] == true).count();
    assert_eq!((held, told.status.code()), (LINES, Some(0)), "{text}");
    Ok(())
}
