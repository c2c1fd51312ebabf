//! A point at which every leader dies of its own doing, again and again, until all start without the fault.
//!
//! Nobody writes from the last death on: what was sealed, signed or proposed when the leaders died must be published
//! without the help of a later write.

use std::time::Duration;

use carnet_client::{Client, ClientError, Log};
use carnet_domain::bytes::code::Code;
use carnet_domain::log::merkle::leaf_hash;

use crate::check::{Violation, robots_linearizable};
use crate::history::{FinalState, Operation, Outcome};
use crate::jurisdiction::{Jurisdiction, MANUFACTURER};
use crate::patience::{Broken, until};
use crate::workload::{Load, LoadPlan};

/// With fewer running nodes nobody leads, so nobody dies either.
const QUORUM: usize = 2;
/// Writes that take effect before the fault is there: it must not lose them.
const WRITES: usize = 10;
/// Operations that are answered before the fault is there.
const ANSWERS: usize = 60;
/// Short, so that a load ends although nobody answers it.
const DEADLINE: Duration = Duration::from_millis(1200);

/// When the next leader comes to the point at which the one before it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// At once: it takes up what the dead one left undone. Nobody writes after the first death, and all nodes die of the
    /// same seal.
    ByItself,
    /// When somebody writes. The load goes on until the last death.
    UnderLoad,
}

/// The load while leaders die.
pub fn light(first_serial: u32) -> LoadPlan {
    LoadPlan {
        writers: 3,
        readers: 1,
        robots: 4,
        first_serial,
        deadline: DEADLINE,
        ..LoadPlan::default()
    }
}

/// Starts every node again with the fault while a load runs, lets leaders die of it at least as many times as there are
/// nodes, starts every node without it when the load has ended, and judges what became of the load.
///
/// # Errors
/// Nobody died, a node ended of something else, or the cluster did not come back: the newest head does not cover the
/// log.
pub async fn survive(
    of: &mut Jurisdiction,
    fault: &'static str,
    again: Again,
    load: LoadPlan,
) -> Result<Vec<Violation>, Broken> {
    let before = of.status(1).await?.published_size;
    let mut load = Load::start(of, load)?;
    load.answers(ANSWERS).await?;
    // How many of these are writes depends on the machine, and of those that follow most die with their leader.
    load.writes(WRITES).await?;
    let nodes = of.kill_all()?;
    for id in &nodes {
        of.start_node_with(*id, &["--planted", fault])?;
    }
    let mut dying = Dying {
        fault,
        fallen: Vec::new(),
        waiting: Vec::new(),
    };
    if again == Again::ByItself {
        dying
            .until(of, "a leader", &|fallen| !fallen.is_empty())
            .await?;
        load.halt().await?;
    }
    let enough = |fallen: &[u64]| {
        let all = nodes.iter().all(|id| fallen.contains(id));
        nodes.len() <= fallen.len() && (all || again == Again::UnderLoad)
    };
    dying.until(of, "leader after leader", &enough).await?;
    load.halt().await?;
    let deaths = dying.fallen.len();

    of.kill_all()?;
    for id in &nodes {
        of.start_node(*id)?;
    }
    of.ready().await?;
    let size = published(of, &nodes).await?;
    of.all_alive()?;
    if size <= before {
        return Err(Broken::new(format!(
            "{fault}: the head stayed at size {before}"
        )));
    }
    let (operations, last) = load.finish().await?;
    let mut violations = robots_linearizable(&operations, &last);
    for id in &nodes {
        violations.extend(all_covered(of, *id, size, &last).await?);
    }
    tell(&operations, fault, deaths, [before, size]);
    Ok(violations)
}

fn is_written(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Written { .. })
}

/// Says what became of the load, where the test runner keeps it.
#[expect(clippy::print_stdout, reason = "the figures of a run are its result")]
fn tell(operations: &[Operation], fault: &str, deaths: usize, [before, size]: [u64; 2]) {
    let unknown = |o: &&Operation| o.outcome == Outcome::Unknown;
    println!(
        "{fault}: {deaths} deaths; {} operations: {} written, {} unknown; the head went from size {before} to {size}",
        operations.len(),
        operations.iter().filter(|o| is_written(o)).count(),
        operations.iter().filter(unknown).count()
    );
}

/// Nodes that die of one fault.
struct Dying {
    fault: &'static str,
    /// Who fell, in order; some more than once.
    fallen: Vec<u64>,
    /// Who was not started again since.
    waiting: Vec<u64>,
}

impl Dying {
    /// Waits until enough have fallen. One is started again, with the fault, when it is needed for a quorum.
    async fn until(
        &mut self,
        of: &mut Jurisdiction,
        who: &str,
        enough: &dyn Fn(&[u64]) -> bool,
    ) -> Result<(), Broken> {
        until(&format!("{who} dies of {}", self.fault), || {
            let seen = self.look(of).map(|()| enough(&self.fallen));
            let fallen = format!("{:?} died", self.fallen);
            async move {
                match seen {
                    Ok(true) => Ok(Ok(())),
                    Ok(false) => Err(fallen),
                    Err(broken) => Ok(Err(broken)),
                }
            }
        })
        .await?
    }

    fn look(&mut self, of: &mut Jurisdiction) -> Result<(), Broken> {
        let Self {
            fault,
            fallen,
            waiting,
        } = self;
        for (id, how) in of.fallen() {
            let said = of.log_end(id);
            if !said.contains(&format!("planted: {fault}")) {
                return Err(Broken::new(format!("{how}\n{said}")));
            }
            fallen.push(id);
            waiting.push(id);
        }
        while of.running().len() < QUORUM && !waiting.is_empty() {
            of.start_node_with(waiting.remove(0), &["--planted", fault])?;
        }
        Ok(())
    }
}

/// Waits until every node has published all its leaves, and gives their number.
async fn published(of: &Jurisdiction, nodes: &[u64]) -> Result<u64, Broken> {
    until("all leaves are published on every node", || async {
        let (mut sizes, mut seen) = (Vec::new(), Vec::new());
        for id in nodes {
            let look = of.status(*id).await.map_err(|error| error.to_string())?;
            seen.push(format!("{id}: {}/{}", look.published_size, look.tree_size));
            if look.published_size == look.tree_size {
                sizes.push(look.tree_size);
            }
        }
        match sizes.first() {
            Some(size) if sizes == vec![*size; nodes.len()] => Ok(*size),
            _ => Err(seen.join(", ")),
        }
    })
    .await
}

/// L2: each node proves under the newest head that every version of every robot is in the log: the newest leaf by its
/// inclusion, the others by the leaf that each names before it.
async fn all_covered(
    of: &Jurisdiction,
    node: u64,
    size: u64,
    last: &FinalState,
) -> Result<Vec<Violation>, Broken> {
    let (origin, key) = of.log_identity()?;
    let client = of
        .client(MANUFACTURER, &[node])?
        .log(Log::new(origin.prefix, key).of_life(origin.incarnation))
        .build()
        .map_err(Broken::at("client"))?;
    let mut violations = Vec::new();
    for (robot, versions) in last.iter().filter(|(_, versions)| !versions.is_empty()) {
        let code = Code::parse(robot).map_err(Broken::at(robot.clone()))?;
        if let Err(why) = covers(&client, &code, size, versions.len()).await? {
            let text = format!("{robot} at node {node}: {why}");
            violations.push(Violation {
                invariant: "L2",
                text,
            });
        }
    }
    Ok(violations)
}

async fn covers(
    client: &Client,
    code: &Code,
    size: u64,
    count: usize,
) -> Result<Result<(), String>, Broken> {
    let proven = match client.robot_covering(code, size).await {
        Ok(proven) => proven.into_value(),
        Err(error @ ClientError::NotProven(_)) => return Ok(Err(chain(&error))),
        Err(error) => return Err(Broken::new(format!("proof of {code}: {error}"))),
    };
    // That each of its leaves names the one before, and the last is the newest, is what makes it verified.
    let history = match client.history(code).await {
        Ok(history) => history.into_value(),
        Err(error @ ClientError::NotProven(_)) => return Ok(Err(chain(&error))),
        Err(error) => return Err(Broken::new(format!("history of {code}: {error}"))),
    };
    let newest = proven.robot().map(|robot| robot.leaf().hash());
    Ok(match history.last() {
        Some(last) if newest != Some(leaf_hash(last.bytes())) => {
            Err("its newest leaf is another than its history's".to_owned())
        }
        Some(_) if history.len() == count => Ok(()),
        _ => Err(format!("{} leaves, {count} versions", history.len())),
    })
}

/// An error with its causes.
fn chain(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
