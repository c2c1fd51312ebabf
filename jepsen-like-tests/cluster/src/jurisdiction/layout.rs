//! Files of a jurisdiction: keys made by `carnet pki init`, and one TOML file a node.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use carnet_client::{FileSigner, Signer};
use carnet_domain::bytes::signature::PublicKey;

use super::{ADMIN, Jurisdiction, MANUFACTURER, REGISTRAR, SECOND_ADMIN, SECOND_REGISTRAR};
use crate::address::{ADMIN_PORT, CLIENT_PORT, FEDERATION_PORT, METRICS_PORT, RAFT_PORT};
use crate::clocks::{self, Shift};
use crate::patience::Broken;

/// The name of a person's files: `registrar/hq/one` has `registrar-hq-one`.
pub(crate) fn stem(who: &str) -> String {
    who.replace('/', "-")
}

/// Makes keys for every node and for the three people of every test.
pub(super) fn make_keys(of: &Jurisdiction) -> Result<(), Broken> {
    let mut command = carnet_at(of, of.plan.keys_made)?;
    command
        .args(["--prefix", of.prefix().as_str(), "pki", "init"])
        .args(["--roots", &of.plan.roots.to_string()])
        .arg(of.pki());
    for node in &of.nodes {
        let host = of.known_raft_address(node.id).ip();
        command.arg("--node").arg(format!("{}={host}", node.id));
    }
    for who in [REGISTRAR, ADMIN, MANUFACTURER] {
        command.args(["--client", who]);
    }
    if of.plan.in_earnest {
        for who in [SECOND_REGISTRAR, SECOND_ADMIN] {
            command.args(["--client", who]);
        }
    }
    run(&mut command).map(drop)
}

/// Makes keys for one more person, at some time.
pub(super) fn make_client(
    of: &Jurisdiction,
    who: &str,
    days: u64,
    at: Shift,
) -> Result<(), Broken> {
    let mut command = carnet_at(of, at)?;
    command
        .arg("--pki")
        .arg(of.pki())
        .args(["pki", "client", who, "--days"])
        .arg(days.to_string());
    run(&mut command).map(drop)
}

/// Makes a node's data directory; the store id that was drawn for it.
pub(super) fn init_node(of: &Jurisdiction, id: u64, join: &[u64]) -> Result<String, Broken> {
    let join: Vec<String> = join.iter().map(ToString::to_string).collect();
    let mut command = Command::new(&of.programs.carnetd);
    command
        .arg("--config")
        .arg(of.config(id))
        .args(["init", "--join", &join.join(",")]);
    let printed = run(&mut command)?;
    Ok(String::from_utf8_lossy(&printed).trim().to_owned())
}

/// A file with no contexts: nothing of the person who runs the tests.
pub(crate) fn no_contexts(folder: &Path) -> Result<std::path::PathBuf, Broken> {
    let path = folder.join("contexts.toml");
    std::fs::write(&path, "").map_err(Broken::at(path.display().to_string()))?;
    Ok(path)
}

/// `carnet` with the wall clock that it is shown, and no contexts.
fn carnet_at(of: &Jurisdiction, at: Shift) -> Result<Command, Broken> {
    let mut command = Command::new(&of.programs.carnet);
    command.arg("--config").arg(no_contexts(&of.folder)?);
    if at != Shift::NONE {
        let shim = of.plan.clocks.as_ref();
        let shim = shim.ok_or_else(|| Broken::new("the programs have no clocks of their own"))?;
        let file = of.folder.join("carnet.clock");
        clocks::set(&file, at)?;
        command.envs(shim.environment(&file));
    }
    Ok(command)
}

/// Runs a program to its end and gives what it printed; what it said when it failed is the error.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>, Broken> {
    let output = command
        .output()
        .map_err(Broken::at(format!("{command:?}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    // In JSON a failure is data.
    let said = String::from_utf8_lossy(&output.stderr);
    let data = String::from_utf8_lossy(&output.stdout);
    Err(Broken::new(format!(
        "{command:?} ended with {}: {said}{data}",
        output.status
    )))
}

/// The key with which somebody signs commands.
pub(super) fn signer(of: &Jurisdiction, who: &str) -> Result<Arc<dyn Signer>, Broken> {
    let path = of.pki().join(format!("clients/{}.actor.key", stem(who)));
    let signer = FileSigner::open(path).map_err(Broken::at(who))?;
    Ok(Arc::new(signer))
}

/// Its public half.
pub(super) fn actor_key(of: &Jurisdiction, who: &str) -> Result<PublicKey, Broken> {
    public_key(&of.pki().join(format!("clients/{}.actor.pub", stem(who))))
}

/// A public key in a file.
pub(super) fn public_key(path: &Path) -> Result<PublicKey, Broken> {
    carnet_client::keys::read_public_key(path).map_err(Broken::at(path.display().to_string()))
}

/// Writes the configuration of a node, with short timeouts.
pub(super) fn write_config(of: &Jurisdiction, id: u64) -> Result<(), Broken> {
    let at = |port| of.network.of(super::index(id), port);
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing into a string does not fail.
        let _ = writeln!(text, "{words}");
    };
    line(format_args!(
        "[node]\nprefix = \"{}\"\nid = {id}\nprofile = \"sandbox\"",
        of.prefix()
    ));
    line(format_args!(
        "data_dir = {:?}\npki_dir = {:?}",
        of.data(id),
        of.pki()
    ));
    line(format_args!(
        "[listen]\nraft = \"{}\"\nclient = \"{}\"",
        at(RAFT_PORT),
        at(CLIENT_PORT)
    ));
    line(format_args!(
        "admin = \"{}\"\nfederation = \"{}\"",
        at(ADMIN_PORT),
        at(FEDERATION_PORT)
    ));
    line(format_args!("metrics = \"{}\"", at(METRICS_PORT)));
    line(format_args!(
        "[raft]\nheartbeat_ms = 100\nelection_ms = [500, 1000]"
    ));
    line(format_args!(
        "snapshot_entries = {}\nkeep_entries = {}",
        of.plan.snapshot_entries, of.plan.keep_entries
    ));
    line(format_args!(
        "[storage]\ncache_mib = 32\nwrite_buffer_mib = 16"
    ));
    line(format_args!(
        "[seal]\nwaiting_ms = 100\nbusy_ms = 500\nunsigned_ms = 3000"
    ));
    line(format_args!(
        "[compare]\nevery_ms = {}\nundecided_ms = 5000\ncontent_every_s = {}",
        of.plan.compare_every_ms, of.plan.content_every_s
    ));
    line(format_args!(
        "[audit]\ncommit_every_s = {}",
        of.plan.audit_every_s
    ));
    // Does not name openraft: the daemon then quiets it as it does in production, where a peer that is away must not fill
    // the disk.
    line(format_args!(
        "[log]\nfilter = \"warn,carnetd=info,carnet_consensus=info,carnet_peering=info,carnet_store=info,rocksdb=error\""
    ));
    std::fs::write(of.config(id), text).map_err(Broken::at(of.config(id).display().to_string()))
}
