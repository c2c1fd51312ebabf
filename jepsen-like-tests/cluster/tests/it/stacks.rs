//! Other people's stacks of TLS and gRPC connect to the client plane, with the files that `carnet pki` made and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::{Jurisdiction, MANUFACTURER, Plan};
use carnet_cluster::programs;
use carnet_cluster::skip::skip;

/// Where `deploy/setup.sh cluster` puts them.
fn stacks() -> Option<PathBuf> {
    let cache = std::env::var_os("CARNET_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/carnet"));
    Some(cache.or(home)?.join("stacks"))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/stacks")
        .join(name)
}

/// What a command prints that asks a node for its checkpoint.
fn asked(
    mut command: Command,
    of: &Jurisdiction,
    who: &str,
    roots: &str,
) -> Result<String, Broken> {
    let file = |ending: &str| {
        let stem = who.replace('/', "-");
        of.pki().join(format!("clients/{stem}.{ending}"))
    };
    command
        .arg(of.client_address(1))
        .arg(of.pki().join(roots))
        .arg(file("crt"))
        .arg(file("key"));
    let output = command
        .output()
        .map_err(Broken::at(format!("{command:?}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Broken::new(format!("{command:?}: {said}"))),
    }
}

/// BoringSSL: it offers no Ed25519 in a handshake. It believes the roots, or the authority of the client plane alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_of_python_connects_to_the_client_plane() -> Result<(), Broken> {
    const NAME: &str = "grpcio_of_python_connects_to_the_client_plane";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let python = stacks().map(|stacks| stacks.join("python/bin/python"));
    let Some(python) = python.filter(|python| python.is_file()) else {
        skip(NAME, "there is no grpcio (deploy/setup.sh cluster)");
        return Ok(());
    };
    let registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    for roots in ["root/roots.crt", "ca/client.crt"] {
        let mut command = Command::new(&python);
        command.arg(script("grpcio_client.py"));
        let answer = asked(command, &registry, MANUFACTURER, roots)?;
        assert!(answer.contains("carnet/XA/0\n"), "{roots}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_js_of_node_connects_to_the_client_plane() -> Result<(), Broken> {
    const NAME: &str = "grpc_js_of_node_connects_to_the_client_plane";
    let Some(programs) = programs(NAME) else {
        return Ok(());
    };
    let modules = stacks().map(|stacks| stacks.join("node/node_modules"));
    let Some(modules) = modules.filter(|it| it.join("@grpc/grpc-js").is_dir()) else {
        skip(NAME, "there is no @grpc/grpc-js (deploy/setup.sh cluster)");
        return Ok(());
    };
    let registry = Jurisdiction::start(&programs, Plan::of("XA")).await?;
    let mut command = Command::new("node");
    command
        .env("NODE_PATH", modules)
        .arg(script("grpc_js_client.js"));
    let answer = asked(command, &registry, MANUFACTURER, "root/roots.crt")?;
    assert!(answer.contains("carnet/XA/0\n"), "{answer:?}");
    Ok(())
}
