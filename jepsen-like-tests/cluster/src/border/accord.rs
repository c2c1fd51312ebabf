//! How two countries become peers: with the commands that their operators would give.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::jurisdiction::{ADMIN, Jurisdiction, no_contexts, run, stem};
use crate::patience::Broken;

/// The agreement's name.
pub(crate) const AGREEMENT: &str = "HARNESS";

/// Exchanges bundles by their fingerprints; then both roots sign an agreement, which enters both logs.
pub(super) fn recognise(a: &Jurisdiction, b: &Jurisdiction) -> Result<(), Broken> {
    let bundles = [a, b].map(|of| of.folder().join("own.bundle").display().to_string());
    let prints = [export(a, &bundles[0])?, export(b, &bundles[1])?];
    for (at, bundle, print) in [(a, &bundles[1], &prints[1]), (b, &bundles[0], &prints[0])] {
        carnet(
            at,
            &["peer", "add", "--bundle", bundle, "--fingerprint", print],
        )?;
    }
    let file = a.folder().join("agreement").display().to_string();
    let parties = format!("{},{}", a.prefix(), b.prefix());
    let draft = ["agreement", "draft", "--file", &file, "--id", AGREEMENT];
    carnet(a, &[&draft[..], &["--parties", &parties]].concat())?;
    for verb in ["sign", "publish"] {
        for of in [a, b] {
            carnet(of, &["agreement", verb, &file])?;
        }
    }
    Ok(())
}

/// Writes the bundle of a country, whose endpoints are its gates; its fingerprint.
fn export(of: &Jurisdiction, file: &str) -> Result<String, Broken> {
    let gates: Vec<String> = of
        .running()
        .into_iter()
        .map(|id| of.gate_address(id).to_string())
        .collect();
    let name = format!("Country {}", of.prefix());
    let bundle = ["bundle", "export", "--file", file, "--name", &name];
    // As the genesis says, however many admins have been given certificates since.
    let profile = ["--profile", "sandbox"];
    let gates = gates.join(",");
    let shown = carnet(
        of,
        &[&bundle[..], &profile, &["--federation-endpoints", &gates]].concat(),
    )?;
    let print = shown["fingerprint"].as_str();
    print
        .map(str::to_owned)
        .ok_or_else(|| Broken::new(format!("a bundle without a fingerprint: {shown}")))
}

/// Runs `carnet` as the operator of a country and gives what it found.
///
/// # Errors
/// It failed, and what it said.
pub fn carnet(of: &Jurisdiction, arguments: &[&str]) -> Result<Value, Broken> {
    carnet_as(of, ADMIN, arguments)
}

/// As [`carnet`], as somebody else than the admin.
///
/// # Errors
/// The command failed, or printed no JSON.
pub fn carnet_as(of: &Jurisdiction, who: &str, arguments: &[&str]) -> Result<Value, Broken> {
    carnet_in(of, &of.pki(), who, arguments)
}

/// As [`carnet_as`], by the files in another directory than where those of everybody lie.
///
/// # Errors
/// The command failed, or printed no JSON.
pub fn carnet_in(
    of: &Jurisdiction,
    pki: &Path,
    who: &str,
    arguments: &[&str],
) -> Result<Value, Broken> {
    let nodes = of.running();
    let admin: Vec<String> = nodes.iter().map(|id| of.admin_address(*id)).collect();
    let client: Vec<String> = nodes.iter().map(|id| of.client_address(*id)).collect();
    let mut command = Command::new(&of.programs().carnet);
    command
        .args(["--output", "json", "--prefix", of.prefix().as_str()])
        .args(["--as", &stem(who), "--admin-endpoints", &admin.join(",")])
        .args(["--endpoints", &client.join(",")]);
    // Nothing of the person who runs the tests: neither their contexts nor their sessions.
    command.arg("--config").arg(no_contexts(of.folder())?);
    command.arg("--state-dir").arg(of.folder().join("state"));
    command.arg("--pki").arg(pki).args(arguments);
    let printed = run(&mut command)?;
    serde_json::from_slice(&printed).map_err(Broken::at(format!("{command:?}")))
}
