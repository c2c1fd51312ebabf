//! A scenario from its start to its verdict: a cluster under load, faults, healing, judgement.

use std::collections::BTreeMap;

use crate::check::{
    Coverage, Needed, Verdict, Violation, acknowledged_before_a_cut, covered, heads_consistent,
    replicas_equal, robots_linearizable,
};
use crate::figures::Figures;
use crate::history::{Moment, Operation, Outcome};
use crate::jurisdiction::{Jurisdiction, Plan};
use crate::links::Links;
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
    /// The newest fault, until its effect was seen.
    undecided: Option<Undecided>,
}

/// A fault whose effect is not seen at once.
#[derive(Debug, Clone, Copy)]
struct Undecided {
    fault: &'static str,
    effect: Effect,
}

/// What shows that a fault changed something.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// Somebody leads in a later term than this.
    LaterTerm(u64),
    /// Links did more often something to traffic than this.
    Felt(u64),
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
            undecided: None,
        };
        run.answers(100).await?;
        Ok(run)
    }

    /// Waits until so many more operations have ended with an answer.
    ///
    /// # Errors
    /// It never happened, or a node that nobody stopped has ended.
    pub async fn answers(&mut self, more: usize) -> Result<(), Broken> {
        let ended = self.answers_or_end(more).await?;
        self.look_for_effect().await;
        match ended {
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
        self.ends_undecided();
        self.coverage.fault(fault, self.load.now());
        self.writes_after_fault = self.load.written() + self.writers + 1;
    }

    /// Notes a fault of whoever leads: its effect is that somebody leads in a later term.
    async fn strikes_leader(&mut self, fault: &'static str) -> Result<u64, Broken> {
        let leader = self.registry.leader().await?;
        let term = self.registry.status(leader).await?.term;
        self.strikes(fault);
        self.undecided = Some(Undecided {
            fault,
            effect: Effect::LaterTerm(term),
        });
        Ok(leader)
    }

    /// Notes a fault of links: its effect is that traffic met it.
    fn strikes_links(&mut self, fault: &'static str) -> Result<(), Broken> {
        let felt = self.registry.links()?.felt();
        self.strikes(fault);
        self.undecided = Some(Undecided {
            fault,
            effect: Effect::Felt(felt),
        });
        Ok(())
    }

    /// Looks whether the fault under way has had its effect.
    async fn look_for_effect(&mut self) {
        let Some(undecided) = self.undecided else {
            return;
        };
        let seen = match undecided.effect {
            Effect::LaterTerm(term) => self.registry.highest_term().await > Some(term),
            Effect::Felt(before) => self.registry.links().is_ok_and(|l| before < l.felt()),
        };
        if seen {
            self.coverage.effect(undecided.fault);
            self.undecided = None;
        }
    }

    /// What had no effect until the next fault has none.
    fn ends_undecided(&mut self) {
        self.undecided = None;
    }

    /// Does something to the links between nodes, under load.
    ///
    /// # Errors
    /// The nodes have no gates between them.
    pub fn links(
        &mut self,
        fault: &'static str,
        change: impl FnOnce(&Links),
    ) -> Result<(), Broken> {
        self.strikes_links(fault)?;
        change(self.registry.links()?);
        Ok(())
    }

    /// Cuts whoever leads off from some of what it sends and hears, under load; its id. The effect is that another leads.
    ///
    /// # Errors
    /// Nobody led, or the nodes have no gates between them.
    pub async fn cut_off_leader(
        &mut self,
        fault: &'static str,
        change: impl FnOnce(&Links, u64),
    ) -> Result<u64, Broken> {
        let leader = self.strikes_leader(fault).await?;
        change(self.registry.links()?, leader);
        Ok(leader)
    }

    /// Waits until the fault under way has had its effect.
    ///
    /// # Errors
    /// It never had.
    async fn effect(&mut self) -> Result<(), Broken> {
        let what = match self.undecided {
            None => return Ok(()),
            Some(Undecided { fault, .. }) => format!("{fault} has an effect"),
        };
        let run = tokio::sync::Mutex::new(self);
        until(&what, || async {
            let mut run = run.lock().await;
            run.look_for_effect().await;
            match run.undecided {
                None => Ok(()),
                Some(_) => Err("none yet".to_owned()),
            }
        })
        .await
    }

    /// Waits until another leads than the one that was cut off.
    ///
    /// # Errors
    /// It never happened.
    pub async fn another_leads(&mut self) -> Result<(), Broken> {
        self.effect().await
    }

    /// Waits until links did something to traffic.
    ///
    /// # Errors
    /// It never happened.
    pub async fn links_felt(&mut self) -> Result<(), Broken> {
        self.effect().await
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
        given_up?;
        self.coverage.effect("answers lost");
        Ok(())
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
        if !cut.is_empty() {
            self.coverage.effect("power cut");
        }
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
        self.registry.disk(node)?.fill(leave_bytes)?;
        self.coverage.effect("disk filled");
        Ok(())
    }

    /// Kills the leader, under load; its id.
    ///
    /// # Errors
    /// Nobody led, or it could not be killed.
    pub async fn kill_leader(&mut self) -> Result<u64, Broken> {
        let leader = self.strikes_leader("kill leader").await?;
        self.registry.kill(leader)?;
        Ok(leader)
    }

    /// Asks the leader to stop, under load, as before maintenance of its machine; its id. It ends in good order.
    ///
    /// # Errors
    /// Nobody led, or it ended otherwise.
    pub async fn stop_leader(&mut self) -> Result<u64, Broken> {
        let leader = self.strikes_leader("stop leader").await?;
        match self.registry.stop(leader).await? {
            Some(0) => Ok(leader),
            code => Err(Broken::new(format!(
                "node {leader} ended with {code:?}\n{}",
                self.registry.log_end(leader)
            ))),
        }
    }

    /// Kills a node that does not lead, under load, and takes its disk away; its id.
    ///
    /// # Errors
    /// Nobody led, or it could not be killed.
    pub async fn lose_disk(&mut self) -> Result<u64, Broken> {
        let node = self.kill_follower().await?;
        let data = self.registry.data(node);
        std::fs::remove_dir_all(&data).map_err(Broken::at(data.display().to_string()))?;
        Ok(node)
    }

    /// A node that left for good, or is about to: whether it ended by itself or not, it runs no more.
    ///
    /// # Errors
    /// It could not be killed, or another ended too.
    pub fn gone(&mut self, node: u64) -> Result<(), Broken> {
        for (fallen, how) in self.registry.fallen() {
            if fallen != node {
                return Err(Broken::new(how));
            }
        }
        match self.registry.running().contains(&node) {
            true => self.registry.kill(node),
            false => Ok(()),
        }
    }

    /// Kills every node at once, under load; their ids.
    ///
    /// # Errors
    /// One could not be killed.
    pub fn kill_all(&mut self) -> Result<Vec<u64>, Broken> {
        self.strikes("kill all");
        let killed = self.registry.kill_all()?;
        if !killed.is_empty() {
            self.coverage.effect("kill all");
        }
        Ok(killed)
    }

    /// Stops the leader in the middle of whatever it does, under load; its id.
    ///
    /// # Errors
    /// Nobody led, or it could not be stopped.
    pub async fn pause_leader(&mut self) -> Result<u64, Broken> {
        let leader = self.strikes_leader("pause leader").await?;
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
        self.coverage.effect("pause follower");
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
        self.coverage.effect("kill follower");
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
        let unexplained_answers = self.load.unexplained();
        let (operations, last) = self.load.finish().await?;
        let lost = acknowledged_before_a_cut(&operations, &last, &self.cuts);
        if !lost.is_empty() {
            // The nodes' signers refuse a log that forgot what they signed, so nothing would ever be published again.
            let verdict = Verdict::of(lost, Vec::new());
            figures(&operations, &self.coverage, 0, 0).tell(&verdict);
            return Ok(verdict);
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
        let unexplained = |text: String| Violation {
            invariant: "I11",
            text,
        };
        let answers = unexplained_answers.into_iter().chain(observed.unexplained);
        violations.extend(answers.map(unexplained));
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
        let (looks, heads) = (observed.looks.len(), observed.heads.len());
        let verdict = Verdict::of(violations, missing);
        figures(&operations, &self.coverage, looks, heads).tell(&verdict);
        Ok(verdict)
    }
}

impl Run {
    /// Goes on until the load has shown what a verdict needs.
    async fn settle(&mut self, writes: usize) -> Result<(), Broken> {
        self.answers(100).await?;
        self.registry.ready().await?;
        self.look_for_effect().await;
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

/// What a verdict rests on.
fn figures(operations: &[Operation], coverage: &Coverage, looks: usize, heads: usize) -> Figures {
    let mut figures = Figures::of_faults(coverage);
    for operation in operations {
        figures.add(
            match operation.outcome {
                Outcome::Written { .. } => "writes",
                Outcome::Seen { .. } => "reads",
                Outcome::Refused(_) => "refusals",
                Outcome::Failed => "failures",
                Outcome::Unknown => "unknown outcomes",
            },
            1,
        );
    }
    figures.add("looks at nodes", looks);
    figures.add("log heads", heads);
    figures
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
