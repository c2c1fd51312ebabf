//! A scenario from its start to its verdict: a cluster under load, faults, healing, judgement.

use std::collections::BTreeMap;

use crate::check::{
    Coverage, Needed, Verdict, Violation, acknowledged_before_a_cut, covered, heads_consistent,
    replicas_equal, robots_linearizable,
};
use crate::history::{Moment, Operation, Outcome};
use crate::jurisdiction::{Jurisdiction, Plan};
use crate::observe::Observers;
use crate::patience::{Broken, until};
use crate::proxy::Weather;
use crate::skip::Programs;
use crate::workload::{Load, LoadPlan};

/// A cluster under load. The scenario breaks it through the methods, which count what they did.
pub struct Run {
    /// The cluster.
    pub registry: Jurisdiction,
    /// Its clients.
    pub load: Load,
    observers: Observers,
    coverage: Coverage,
    /// Writes that must have taken effect for one of them to have begun after the last fault.
    writes_after_fault: usize,
    /// Writers of the load.
    writers: usize,
    /// When the power was gone.
    cuts: Vec<Moment>,
    /// A node that did not live on what a cut had left it: how it ended.
    crippled: Option<String>,
}

impl Run {
    /// Starts a cluster, its load and its observers, and waits until it serves.
    ///
    /// # Errors
    /// Something of that failed or never happened.
    pub async fn start(programs: &Programs, plan: Plan, load: LoadPlan) -> Result<Self, Broken> {
        let registry = Jurisdiction::start(programs, plan).await?;
        let nodes = registry.running();
        let observers = Observers::start(&registry, &nodes)?;
        let writers = usize::try_from(load.writers).unwrap_or(usize::MAX);
        let load = Load::start(&registry, load)?;
        let mut run = Self {
            registry,
            load,
            observers,
            coverage: Coverage::default(),
            writes_after_fault: 0,
            writers,
            cuts: Vec::new(),
            crippled: None,
        };
        run.answers(100).await?;
        Ok(run)
    }

    /// Waits until so many more operations have ended with an answer.
    ///
    /// # Errors
    /// It never happened, or a node that nobody stopped has ended.
    pub async fn answers(&mut self, more: usize) -> Result<(), Broken> {
        match self.answers_or_end(more).await? {
            None => Ok(()),
            Some(how) => Err(Broken::new(how)),
        }
    }

    /// Waits until so many writes of the whole run took effect: how many do while so many reads are answered depends on the
    /// machine.
    async fn writes(&mut self, least: usize) -> Result<(), Broken> {
        let (registry, load) = (&mut self.registry, &self.load);
        until(&format!("{least} writes took effect"), || {
            let found = load.written();
            let look = match registry.ended_by_itself() {
                Some(how) => Err(how),
                None if least <= found => Ok(()),
                None => Err(format!("{found} did")),
            };
            async move { look }
        })
        .await
    }

    /// As [`Self::answers`]; a node that ended by itself ends the waiting, and how is the answer.
    async fn answers_or_end(&mut self, more: usize) -> Result<Option<String>, Broken> {
        let least = self.load.answered() + more;
        let (registry, load) = (&mut self.registry, &self.load);
        until(&format!("{least} operations are answered"), || {
            let answered = load.answered();
            let look = match registry.ended_by_itself() {
                Some(how) => Ok(Some(how)),
                None if least <= answered => Ok(None),
                None => Err(format!("{answered} answered")),
            };
            async move { look }
        })
        .await
    }

    /// Notes a fault that happens now. Each writer may have one write under way, which began before it.
    fn strikes(&mut self, fault: &'static str) {
        self.coverage.fault(fault, self.load.now());
        self.writes_after_fault = self.load.written() + self.writers + 1;
    }

    /// Keeps back the answers of the leader, under load, until a client has given up: what it asked, and asked again, was
    /// heard every time.
    ///
    /// # Errors
    /// Nobody led, the nodes have no gates, or no client gave up.
    pub async fn lose_answers_of_leader(&mut self) -> Result<(), Broken> {
        let leader = self.registry.leader().await?;
        self.strikes("answers lost");
        let before = self.load.unknown();
        self.registry.set_gate(leader, Weather::Unanswered)?;
        let load = &self.load;
        let given_up = until("a client gives up", || async {
            let unknown = load.unknown();
            if before < unknown {
                Ok(())
            } else {
                Err(format!("{unknown} unknown outcomes"))
            }
        })
        .await;
        self.registry.set_gate(leader, Weather::Open)?;
        given_up
    }

    /// Waits until so many more operations have ended with an answer. `false`: power was cut before, and a node does not live
    /// on what it was left, which ends the run.
    ///
    /// # Errors
    /// As [`Self::answers`].
    pub async fn goes_on(&mut self, more: usize) -> Result<bool, Broken> {
        let ended = self.answers_or_end(more).await?;
        match ended {
            Some(how) if self.cuts.is_empty() => Err(Broken::new(how)),
            ended => {
                self.crippled = ended;
                Ok(self.crippled.is_none())
            }
        }
    }

    /// Cuts the power of every node at once, under load, starts them on what their disks kept, and waits until so many
    /// more operations have ended with an answer. `false`: a node does not live on what it was left, which ends the run.
    ///
    /// # Errors
    /// The power could not be cut, or the cluster never served again although every node runs.
    pub async fn cut_power(&mut self, more: usize) -> Result<bool, Broken> {
        self.strikes("power cut");
        let cut = self.registry.cut_power().await?;
        self.cuts.push(self.load.now());
        for id in cut {
            self.registry.start_node(id)?;
        }
        self.goes_on(more).await
    }

    /// Fills the disk of a node, under load, but for so many bytes.
    ///
    /// # Errors
    /// It has none, or the disk cannot be filled.
    pub fn fill_disk(&mut self, node: u64, leave_bytes: u64) -> Result<(), Broken> {
        self.strikes("disk filled");
        self.registry.disk(node)?.fill(leave_bytes)
    }

    /// Kills the leader, under load; its id.
    ///
    /// # Errors
    /// Nobody led, or it could not be killed.
    pub async fn kill_leader(&mut self) -> Result<u64, Broken> {
        let leader = self.registry.leader().await?;
        self.strikes("kill leader");
        self.registry.kill(leader)?;
        Ok(leader)
    }

    /// Kills every node at once, under load; their ids.
    ///
    /// # Errors
    /// One could not be killed.
    pub fn kill_all(&mut self) -> Result<Vec<u64>, Broken> {
        self.strikes("kill all");
        self.registry.kill_all()
    }

    /// Stops the leader in the middle of whatever it does, under load; its id.
    ///
    /// # Errors
    /// Nobody led, or it could not be stopped.
    pub async fn pause_leader(&mut self) -> Result<u64, Broken> {
        let leader = self.registry.leader().await?;
        self.strikes("pause leader");
        self.registry.pause(leader)?;
        Ok(leader)
    }

    /// Stops a node that does not lead, under load; its id.
    ///
    /// # Errors
    /// Nobody led, or it could not be stopped.
    pub async fn pause_follower(&mut self) -> Result<u64, Broken> {
        let leader = self.registry.leader().await?;
        let follower = self.registry.running().into_iter().find(|id| *id != leader);
        let follower = follower.ok_or_else(|| Broken::new("there is no follower"))?;
        self.strikes("pause follower");
        self.registry.pause(follower)?;
        Ok(follower)
    }

    /// Kills a node that does not lead, under load; its id.
    ///
    /// # Errors
    /// Nobody led, or it could not be killed.
    pub async fn kill_follower(&mut self) -> Result<u64, Broken> {
        self.kill_follower_but(0).await
    }

    /// As [`Self::kill_follower`], sparing one node.
    ///
    /// # Errors
    /// Nobody led, or it could not be killed.
    pub async fn kill_follower_but(&mut self, spared: u64) -> Result<u64, Broken> {
        let leader = self.registry.leader().await?;
        let follower = self
            .registry
            .running()
            .into_iter()
            .find(|id| *id != leader && *id != spared);
        let follower = follower.ok_or_else(|| Broken::new("there is no follower"))?;
        self.strikes("kill follower");
        self.registry.kill(follower)?;
        Ok(follower)
    }

    /// Ends the load after so many more answers, waits until everything has converged, and judges.
    ///
    /// # Errors
    /// The run could not be brought to an end.
    pub async fn judge(mut self, least: Least) -> Result<Verdict, Broken> {
        if let Some(how) = self.crippled.take() {
            return Ok(not_served(&how));
        }
        let writes = least.writes.max(self.writes_after_fault);
        let settled = self.settle(writes).await;
        if let Err(broken) = settled {
            return self.fallen(broken);
        }
        let (operations, last) = self.load.finish().await?;
        let lost = acknowledged_before_a_cut(&operations, &last, &self.cuts);
        if !lost.is_empty() {
            // The nodes' signers refuse a log that forgot what they signed, so nothing would ever be published again.
            tell(&operations, &self.coverage, 0, 0);
            return Ok(Verdict::of(lost, Vec::new()));
        }
        let nodes = self.registry.running();
        let observed = self.observers.finish(&self.registry, &nodes).await;
        if let Some(how) = self.registry.ended_by_itself()
            && !self.cuts.is_empty()
        {
            return Ok(not_served(&how));
        }
        let observed = observed?;
        self.registry.all_alive()?;

        let mut violations = robots_linearizable(&operations, &last);
        violations.extend(replicas_equal(&observed.looks));
        violations.extend(heads_consistent(
            &observed.heads,
            &observed.last,
            &observed.proofs,
        ));
        let forged = |text: String| Violation {
            invariant: "L1",
            text,
        };
        violations.extend(observed.faults.into_iter().map(forged));
        let needed = Needed {
            writes: least.writes,
            reads: least.reads,
            faults: BTreeMap::from_iter(least.faults),
        };
        let mut missing = covered(&operations, &self.coverage, &needed);
        let compared = observed
            .looks
            .iter()
            .filter(|look| look.state.is_some())
            .count();
        if compared < nodes.len() {
            missing.push(format!(
                "{compared} state digests compared, {} needed",
                nodes.len()
            ));
        }
        if observed.heads.len() < nodes.len() {
            missing.push(format!(
                "{} log heads seen, {} needed",
                observed.heads.len(),
                nodes.len()
            ));
        }
        tell(
            &operations,
            &self.coverage,
            observed.looks.len(),
            observed.heads.len(),
        );
        Ok(Verdict::of(violations, missing))
    }
}

impl Run {
    /// Goes on until the load has shown what a verdict needs.
    async fn settle(&mut self, writes: usize) -> Result<(), Broken> {
        self.answers(100).await?;
        self.registry.ready().await?;
        self.writes(writes).await
    }

    /// After a cut a node that ends by itself misses what it had acknowledged; otherwise nobody knows why.
    fn fallen(&mut self, broken: Broken) -> Result<Verdict, Broken> {
        match self.registry.ended_by_itself() {
            Some(how) if !self.cuts.is_empty() => Ok(not_served(&how)),
            _ => Err(broken),
        }
    }
}

fn not_served(how: &str) -> Verdict {
    let text = format!("what was acknowledged is not served after a power cut: {how}");
    let violation = Violation {
        invariant: "I10",
        text,
    };
    Verdict::of(vec![violation], Vec::new())
}

/// Says what the verdict rests on, where the test runner keeps it.
#[expect(clippy::print_stdout, reason = "the figures of a run are its result")]
fn tell(operations: &[Operation], coverage: &Coverage, looks: usize, heads: usize) {
    let count = |is: fn(&Outcome) -> bool| operations.iter().filter(|o| is(&o.outcome)).count();
    let written = count(|outcome| matches!(outcome, Outcome::Written { .. }));
    let seen = count(|outcome| matches!(outcome, Outcome::Seen { .. }));
    let refused = count(|outcome| matches!(outcome, Outcome::Refused(_)));
    let unknown = count(|outcome| matches!(outcome, Outcome::Unknown));
    println!(
        "{} operations: {written} written, {seen} read, {refused} refused, {unknown} unknown; faults {:?}; {looks} looks at \
         nodes, {heads} log heads",
        operations.len(),
        coverage.faults
    );
}

/// What a scenario must have had at least to be judged.
#[derive(Debug, Clone)]
pub struct Least {
    /// Writes that took effect.
    pub writes: usize,
    /// Reads answered.
    pub reads: usize,
    /// Faults by kind.
    pub faults: Vec<(&'static str, usize)>,
}

impl Least {
    /// Fifty writes, a hundred reads, and this fault so often.
    pub fn of(fault: &'static str, count: usize) -> Self {
        Self {
            writes: 50,
            reads: 100,
            faults: vec![(fault, count)],
        }
    }
}
