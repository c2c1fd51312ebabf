//! A scenario at the border from its start to its verdict: traffic, faults, healing, judgement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use carnet_domain::bytes::code::Code;
use carnet_domain::custody::Step;
use carnet_domain::record::transfer::Transfer;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use super::driver::{Desks, Driver, Traffic, place};
use super::{Claim, Recorder, Run, ending, lock};
use crate::border::{Border, Side};
use crate::check::{
    Coverage, Crossed, Verdict, Violation, custody_covered, custody_holds, heads_consistent,
    replicas_equal,
};
use crate::figures::Figures;
use crate::jurisdiction::{Jurisdiction, MANUFACTURER, Plan, model_id};
use crate::observe::{Observed, Observers};
use crate::patience::{Broken, until};
use crate::proxy::Weather;
use crate::skip::Programs;
use crate::workload::registration;

/// Serials of the robots that begin in B. Both countries' robots are of one maker, so their bodies must differ.
const SERIALS_OF_B: u32 = 10_000;

/// Two countries with robots that cross the border all the time. The scenario breaks them through the methods, which
/// count what they did.
pub struct Crossings {
    /// The countries and the border.
    pub border: Border,
    robots: Vec<Code>,
    recorder: Arc<Recorder>,
    drivers: JoinSet<Result<(), Broken>>,
    stop: Arc<AtomicBool>,
    desks: Desks,
    observers: [Observers; 2],
    coverage: Coverage,
    /// The newest weather at the border, and how often the border did something before, until it did.
    undecided: Option<(&'static str, u64)>,
}

impl Crossings {
    /// Starts two countries, registers robots in both, and sends officers to take them over the border.
    ///
    /// # Errors
    /// Something of that failed or never happened.
    pub async fn start(
        programs: &Programs,
        plans: [Plan; 2],
        traffic: Traffic,
    ) -> Result<Self, Broken> {
        let [a, b] = plans;
        let border = Border::start(programs, a, b).await?;
        let count = traffic.drivers * traffic.robots_each;
        let half = u32::try_from(count / 2).map_err(Broken::at("robots"))?;
        let of_a = register(border.at(Side::A), 1, half).await?;
        let of_b = register(border.at(Side::B), SERIALS_OF_B, half).await?;
        let of_a: Vec<(Code, Side)> = of_a.into_iter().map(|code| (code, Side::A)).collect();
        let of_b: Vec<(Code, Side)> = of_b.into_iter().map(|code| (code, Side::B)).collect();
        let all: Vec<(Code, Side)> = of_a.iter().zip(&of_b).flat_map(|(a, b)| [*a, *b]).collect();
        let observe = |side| {
            let of = border.at(side);
            Observers::start(of, &of.running())
        };
        let observers = [observe(Side::A)?, observe(Side::B)?];
        let colleague = Desks::patient(&border)?;
        let breaks = border.at(Side::A).breaks().or(border.at(Side::B).breaks());
        let (recorder, stop) = (
            Arc::new(Recorder::new(breaks)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut drivers = JoinSet::new();
        for (number, robots) in all.chunks(traffic.robots_each).enumerate() {
            let driver = Driver {
                desks: Desks::hasty(&border)?,
                colleague: colleague.clone(),
                recorder: Arc::clone(&recorder),
                prefixes: Side::BOTH.map(|side| border.at(side).prefix()),
                robots: robots.to_vec(),
                random: Mutex::new(random(traffic.seed, number)),
            };
            drivers.spawn(driver.run(Arc::clone(&stop)));
        }
        Ok(Self {
            border,
            robots: all.into_iter().map(|(code, _)| code).collect(),
            recorder,
            drivers,
            stop,
            desks: colleague,
            observers,
            coverage: Coverage::default(),
            undecided: None,
        })
    }

    /// Waits until so many more transfers have ended on both sides.
    ///
    /// # Errors
    /// It never happened, or a node that nobody stopped has ended.
    pub async fn crossed(&mut self, more: usize) -> Result<(), Broken> {
        let seen = || *lock(&self.recorder.crossed);
        let least = seen() + more;
        let what = format!("{least} transfers have ended on both sides");
        let done = until(&what, || async { enough(seen(), least) }).await;
        self.all_alive()?;
        done
    }

    /// Waits until a country has answered so many more looks: it has a leader, and its officers go on as far as they can.
    ///
    /// # Errors
    /// It never happened, or a node that nobody stopped has ended.
    pub async fn looks(&mut self, side: Side, more: usize) -> Result<(), Broken> {
        let least = self.recorder.looks(side) + more;
        let what = format!("{side:?} has answered {least} looks");
        let seen = || self.recorder.looks(side);
        let done = until(&what, || async { enough(seen(), least) }).await;
        self.all_alive()?;
        done
    }

    /// Kills the leader of a country; its id.
    ///
    /// # Errors
    /// Nobody led, or it could not be killed.
    pub async fn kill_leader(&mut self, side: Side) -> Result<u64, Broken> {
        let leader = self.border.at(side).leader().await?;
        let kind = match side {
            Side::A => "kill leader of A",
            Side::B => "kill leader of B",
        };
        self.coverage.fault(kind, self.recorder.now());
        self.border.at_mut(side).kill(leader)?;
        self.coverage.effect(kind);
        Ok(leader)
    }

    /// Changes the weather at the border.
    pub fn weather(&mut self, weather: Weather) {
        self.look_for_effect();
        let kind = match weather {
            Weather::Open => None,
            Weather::Slow(_) => Some("slow border"),
            Weather::Cut => Some("border cut"),
            Weather::Silent => Some("silent border"),
            Weather::Unanswered | Weather::Unasked => Some("border of one way"),
            Weather::Lossy { .. } => Some("lossy border"),
            Weather::Resets { .. } => Some("border of resets"),
        };
        if let Some(kind) = kind {
            self.coverage.fault(kind, self.recorder.now());
            self.undecided = Some((kind, self.border.felt()));
        }
        self.border.set(weather);
    }

    /// What the weather at the border did to traffic is its effect.
    fn look_for_effect(&mut self) {
        if let Some((kind, before)) = self.undecided
            && before < self.border.felt()
        {
            self.coverage.effect(kind);
            self.undecided = None;
        }
    }

    /// Starts a node again that was killed, and waits until its country is whole.
    ///
    /// # Errors
    /// It does not start, or the country is never whole.
    pub async fn bring_back(&mut self, side: Side, node: u64) -> Result<(), Broken> {
        let of = self.border.at_mut(side);
        of.start_node(node)?;
        of.ready().await.map(drop)
    }

    fn all_alive(&mut self) -> Result<(), Broken> {
        Side::BOTH
            .into_iter()
            .try_for_each(|side| self.border.at_mut(side).all_alive())
    }

    /// Ends the traffic: every transfer is brought to its end, everything converges, and the run is judged.
    ///
    /// # Errors
    /// The run could not be brought to an end.
    pub async fn judge(mut self, needed: Crossed) -> Result<Verdict, Broken> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.drivers.join_next().await {
            ended.map_err(Broken::at("an officer"))??;
        }
        until("every transfer has ended on both sides", || async {
            for side in Side::BOTH {
                let all = ending::transfers(self.desks.at(side)).await;
                let all = all.map_err(|error| error.to_string())?;
                let open = |transfer: &&Transfer| transfer.ending.is_none();
                if let Some(open) = all.iter().find(open) {
                    return Err(format!("{side:?}: {} at {:?}", open.id, open.step));
                }
            }
            Ok(())
        })
        .await?;
        let mut observed = Vec::new();
        for (side, observers) in Side::BOTH.into_iter().zip(self.observers) {
            let of = self.border.at_mut(side);
            of.ready().await?;
            observed.push(observers.finish(of, &of.running()).await?);
            of.all_alive()?;
        }
        let read = |side| {
            let prefix = self.border.at(side).prefix();
            ending::read(self.desks.at(side), prefix, &self.robots)
        };
        let ended = [read(Side::A).await?, read(Side::B).await?];
        let run = Run {
            asked: std::mem::take(&mut *lock(&self.recorder.asked)),
            claims: last_claims(&self.recorder, &ended),
            ended,
        };
        let mut violations = custody_holds(&run);
        violations.extend(unexplained(std::mem::take(&mut *lock(
            &self.recorder.unexplained,
        ))));
        observed
            .into_iter()
            .for_each(|observed| violations.extend(of_logs(observed)));
        let missing = custody_covered(&run, &self.coverage, &needed);
        let verdict = Verdict::of(violations, missing);
        figures(&run, &self.coverage).tell(&verdict);
        Ok(verdict)
    }
}

fn random(seed: u64, number: usize) -> StdRng {
    StdRng::seed_from_u64(seed ^ ((number as u64) << 32))
}

/// What was claimed during the run and at its end.
fn last_claims(recorder: &Recorder, ended: &[super::Ended; 2]) -> Vec<Claim> {
    let mut claims = std::mem::take(&mut *lock(&recorder.claims));
    let at = recorder.now();
    for (side, ended) in Side::BOTH.into_iter().zip(ended) {
        for (robot, kept) in &ended.robots {
            let place = kept.chain.as_ref().and_then(place);
            claims.extend(place.map(|place| Claim {
                robot: *robot,
                side,
                place,
                began: at,
                ended: at,
            }));
        }
    }
    claims
}

/// What the observers of one country saw of its replicas and its log.
fn of_logs(observed: Observed) -> Vec<Violation> {
    let mut found = replicas_equal(&observed.looks);
    found.extend(heads_consistent(
        &observed.heads,
        &observed.last,
        &observed.proofs,
    ));
    let forged = |text| Violation {
        invariant: "L1",
        text,
    };
    found.extend(observed.faults.into_iter().map(forged));
    found.extend(unexplained(observed.unexplained));
    found
}

/// Answers that no fault explains.
fn unexplained(texts: Vec<String>) -> impl Iterator<Item = Violation> {
    texts.into_iter().map(|text| Violation {
        invariant: "I11",
        text,
    })
}

fn enough(found: usize, least: usize) -> Result<(), String> {
    if least <= found {
        Ok(())
    } else {
        Err(format!("{found} so far"))
    }
}

/// Registers robots with these serials.
pub(super) async fn register(
    of: &Jurisdiction,
    first: u32,
    count: u32,
) -> Result<Vec<Code>, Broken> {
    let maker = of.client(MANUFACTURER, &of.running())?;
    let maker = maker.build().map_err(Broken::at("manufacturer"))?;
    let model = model_id(of)?;
    let code = |serial: u32| {
        let text = format!("{model}{serial:017}");
        Code::parse(&text).map_err(Broken::at(text.clone()))
    };
    let codes = (first..first + count)
        .map(code)
        .collect::<Result<Vec<Code>, Broken>>()?;
    let commands: Vec<_> = codes
        .iter()
        .map(|code| carnet_domain::rules::command::Command::Register {
            registration: registration(*code, 1),
        })
        .collect();
    let submitted = maker
        .submit(&commands)
        .await
        .map_err(Broken::at("registration"))?;
    match submitted.outcomes().find_map(Result::err) {
        None => Ok(codes),
        Some(rejection) => Err(Broken::new(format!("a robot is refused: {rejection}"))),
    }
}

/// What a verdict rests on.
fn figures(run: &Run, coverage: &Coverage) -> Figures {
    let mut figures = Figures::of_faults(coverage);
    for transfer in &run.at(Side::A).transfers {
        figures.add(
            match transfer.ending.as_ref().map(|ending| ending.step) {
                Some(Step::Admit) => "transfers admitted",
                Some(Step::Return) => "transfers returned",
                Some(_) => "transfers cancelled or refused",
                None => "transfers without an end",
            },
            1,
        );
    }
    for asked in &run.asked {
        figures.add(
            match asked.came {
                super::Came::Written(_) => "steps written",
                super::Came::Refused(_) => "steps refused",
                super::Came::Failed => "steps failed",
                super::Came::Unknown => "steps of unknown outcome",
            },
            1,
        );
    }
    figures.add("claims read", run.claims.len());
    figures
}
