//! What a node noted, and the log says of it: whoever has a node's disk cuts nothing off unseen.

use std::path::PathBuf;

use carnet_cluster::border::carnet;
use carnet_cluster::jurisdiction::{Jurisdiction, Plan};
use carnet_cluster::patience::until;
use carnet_cluster::{Broken, programs};
use serde_json::Value;

use crate::members::refused;

/// The row of a chain of the node at an endpoint.
fn row(verified: &Value, endpoint: &str, chain: &str) -> Value {
    let rows = verified.as_array().cloned().unwrap_or_default();
    let is = |row: &&Value| row["chain"] == chain && row["node"] == endpoint;
    rows.iter().find(is).cloned().unwrap_or(Value::Null)
}

/// The files of a chain of a node.
fn files(of: &Jurisdiction, node: u64, chain: &str) -> Result<Vec<PathBuf>, Broken> {
    let folder = of.data(node).join("audit");
    let read = std::fs::read_dir(&folder).map_err(Broken::at(folder.display().to_string()))?;
    let mut found: Vec<PathBuf> = read.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(chain))
    });
    found.sort();
    Ok(found)
}

/// The end of a chain is cut off, so that what is left is a good chain of itself, and nobody kept a place of it: the log did. The node
/// says so too, and its alarm stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_whose_end_was_cut_off_is_not_what_the_log_says() -> Result<(), Broken> {
    let Some(programs) = programs("a_chain_whose_end_was_cut_off_is_not_what_the_log_says") else {
        return Ok(());
    };
    let plan = Plan {
        audit_every_s: 1,
        ..Plan::of("XA")
    };
    let mut registry = Jurisdiction::start(&programs, plan).await?;
    let leader = registry.ready().await?;
    for _ in 0..3 {
        carnet(&registry, &["cluster", "snapshot"])?;
    }
    let noted = until("what the leader noted is in the log", || async {
        let verified = carnet(&registry, &["audit", "verify"]).map_err(|e| e.to_string())?;
        let acts = row(&verified, &registry.admin_address(leader), "acts");
        let number = |name: &str| {
            acts[name]
                .as_str()
                .and_then(|text| text.parse::<u64>().ok())
        };
        match (number("in_log"), number("to")) {
            (Some(in_log), Some(to)) if in_log == to && to > 3 => Ok(in_log),
            _ => Err(verified.to_string()),
        }
    })
    .await?;
    registry.stop(leader).await?;
    let path = files(&registry, leader, "acts")?
        .pop()
        .ok_or_else(|| Broken::new("no file"))?;
    let text = std::fs::read_to_string(&path).map_err(Broken::at("a chain"))?;
    let kept: Vec<&str> = text.split_inclusive('\n').take(2).collect();
    std::fs::write(&path, kept.concat()).map_err(Broken::at("a chain"))?;
    // Nobody remembers.
    std::fs::remove_dir_all(registry.folder().join("state")).map_err(Broken::at("the state"))?;
    registry.start_node(leader)?;
    registry.ready().await?;
    let said = refused(carnet(&registry, &["audit", "verify"]));
    assert!(
        said.contains("BROKEN") || said.contains("exit status: 4"),
        "{said}"
    );
    until("the node says so itself", || async {
        let status = registry.status(leader).await.map_err(|e| e.to_string())?;
        let expected = format!("says that acts stood at record {noted}");
        match status.audit_contradicts.contains(&expected) {
            true => Ok(()),
            false => Err(status.audit_contradicts),
        }
    })
    .await?;
    let health = carnet(&registry, &["cluster", "health"])?;
    assert!(health.to_string().contains("AUDIT_CONTRADICTS"), "{health}");
    // As the runbook has it repaired: the alarm ends, and the chain goes on behind the place that the log has.
    registry.stop(leader).await?;
    let folder = registry.data(leader).join("audit");
    let aside = registry.folder().join("aside");
    std::fs::rename(&folder, aside).map_err(Broken::at("the audit"))?;
    registry.start_node(leader)?;
    registry.ready().await?;
    until("the chain goes on", || async {
        let status = registry.status(leader).await.map_err(|e| e.to_string())?;
        if !status.audit_contradicts.is_empty() {
            return Err(status.audit_contradicts);
        }
        let verified = carnet(&registry, &["audit", "verify", "--accept"]);
        let verified = verified.map_err(|e| e.to_string())?;
        let acts = row(&verified, &registry.admin_address(leader), "acts");
        let from = acts["from"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok());
        match from {
            Some(from) if from > noted && acts["state"] == "ok" => Ok(()),
            _ => Err(acts.to_string()),
        }
    })
    .await?;
    let said = carnet(
        &registry,
        &["audit", "query", "--chain", "acts", "--last", "0"],
    )?;
    assert!(
        said.to_string().contains("it goes on behind record"),
        "{said}"
    );
    Ok(())
}
