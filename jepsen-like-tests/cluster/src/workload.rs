//! Clients that register, update and read robots all the time, and write down what they asked and what came back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use carnet_client::{Client, ClientError, Effect};
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::merkle::leaf_hash;
use carnet_domain::log::stored::OpenedLeaf;
use carnet_domain::record::event::{Software, slot};
use carnet_domain::record::{BodyName, Firmware, IdentifierScheme, Maker};
use carnet_domain::rules::command::{Action, Command, Registration};
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_wire::status::ApiError;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::check::{Breaks, is_explained};
use crate::history::{
    Asked, FinalState, FinalVersion, Operation, Outcome, Recorder, Refusal, Version,
};
use crate::jurisdiction::{Jurisdiction, MANUFACTURER, firmware_family, model_id};
use crate::patience::{Broken, until};

/// The longest a call may take before its outcome is unknown.
const CALL_DEADLINE: Duration = Duration::from_secs(6);
/// The longest one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// Between two calls of one client, so that a slow machine is left some time for the nodes.
const PAUSE: Duration = Duration::from_millis(4);

/// Who does what.
#[derive(Debug, Clone, Copy)]
pub struct LoadPlan {
    /// Clients that write and read; at most 16 sessions belong to one certificate.
    pub writers: u32,
    /// Clients that only read, each from one node of its own.
    pub readers: u32,
    /// Robots they share.
    pub robots: u32,
    /// Serial of the first robot; no two loads of a run may share one.
    pub first_serial: u32,
    /// The longest a call may take before its outcome is unknown.
    pub deadline: Duration,
    /// From it come all choices.
    pub seed: u64,
}

impl Default for LoadPlan {
    fn default() -> Self {
        Self {
            writers: 5,
            readers: 3,
            robots: 8,
            first_serial: 1,
            deadline: CALL_DEADLINE,
            seed: 1,
        }
    }
}

/// A load under way.
pub struct Load {
    recorder: Arc<Recorder>,
    robots: Arc<Vec<Code>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
    finisher: Client,
}

impl Load {
    /// Starts the clients.
    ///
    /// # Errors
    /// Keys cannot be read.
    pub fn start(of: &Jurisdiction, plan: LoadPlan) -> Result<Self, Broken> {
        let model = model_id(of)?;
        let code = |serial: u32| {
            let text = format!("{model}{serial:017}");
            Code::parse(&text).map_err(Broken::at(text.clone()))
        };
        let serials = plan.first_serial..plan.first_serial + plan.robots;
        let robots = Arc::new(serials.map(code).collect::<Result<Vec<_>, _>>()?);
        let nodes = of.running();
        let recorder = Arc::new(Recorder::new());
        let stop = Arc::new(AtomicBool::new(false));
        let values = Arc::new(AtomicU32::new(1));
        let mut tasks = JoinSet::new();
        for number in 0..plan.writers + plan.readers {
            let writes = number < plan.writers;
            let one = [nodes[number as usize % nodes.len()]];
            let endpoints: &[u64] = if writes { &nodes } else { &one };
            let client = of
                .client(MANUFACTURER, endpoints)?
                .deadline(plan.deadline)
                .attempt_timeout(ATTEMPT);
            let worker = Worker {
                number,
                client: client.build().map_err(Broken::at("client"))?,
                recorder: Arc::clone(&recorder),
                breaks: of.breaks(),
                robots: Arc::clone(&robots),
                values: Arc::clone(&values),
                random: StdRng::seed_from_u64(plan.seed ^ u64::from(number) << 32),
            };
            tasks.spawn(worker.run(Arc::clone(&stop), writes));
        }
        let finisher = of
            .client(MANUFACTURER, &nodes)?
            .build()
            .map_err(Broken::at("client"))?;
        Ok(Self {
            recorder,
            robots,
            stop,
            tasks,
            finisher,
        })
    }

    /// The time of the run.
    pub fn now(&self) -> u64 {
        self.recorder.now()
    }

    /// How many writes took effect.
    pub fn written(&self) -> usize {
        self.recorder.written()
    }

    /// How many operations have ended with an answer.
    pub fn answered(&self) -> usize {
        self.recorder.answered()
    }

    /// Waits until so many more operations have ended with an answer.
    ///
    /// # Errors
    /// It never happened: the cluster does not serve.
    pub async fn answers(&self, more: usize) -> Result<(), Broken> {
        let least = self.answered() + more;
        until(&format!("{least} operations are answered"), || async {
            let found = self.answered();
            if least <= found {
                Ok(())
            } else {
                Err(format!("{found} answered"))
            }
        })
        .await
    }

    /// Waits until so many writes took effect since the start.
    ///
    /// # Errors
    /// It never happened.
    pub async fn writes(&self, least: usize) -> Result<(), Broken> {
        until(&format!("{least} writes took effect"), || async {
            let found = self.written();
            if least <= found {
                Ok(())
            } else {
                Err(format!("{found} did"))
            }
        })
        .await
    }

    /// How many operations have ended without anybody knowing whether they took effect.
    pub fn unknown(&self) -> usize {
        self.recorder.unknown()
    }

    /// Every answer of the load that no fault explains.
    pub fn unexplained(&self) -> Vec<String> {
        self.recorder.all_unexplained()
    }

    /// Ends the load and waits for its last calls.
    ///
    /// # Errors
    /// A client failed as no client should.
    pub async fn halt(&mut self) -> Result<(), Broken> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(Broken::at("a client of the load"))?;
        }
        Ok(())
    }

    /// Ends the load, waits for its last calls, and reads every robot's whole history.
    ///
    /// # Errors
    /// A history cannot be read although nothing is broken any more.
    pub async fn finish(mut self) -> Result<(Vec<Operation>, FinalState), Broken> {
        self.halt().await?;
        let mut last = FinalState::new();
        for code in self.robots.iter() {
            let versions = match self.finisher.unverified().history(code).await {
                Ok(history) => history
                    .value
                    .iter()
                    .map(version_of)
                    .collect::<Result<_, _>>()?,
                Err(ClientError::Api(ApiError::NotFound { .. })) => Vec::new(),
                Err(error) => return Err(Broken::new(format!("history of {code}: {error}"))),
            };
            last.insert(code.to_string(), versions);
        }
        Ok((self.recorder.operations(), last))
    }
}

/// What a leaf wrote.
fn version_of(opened: &OpenedLeaf) -> Result<FinalVersion, Broken> {
    let broken = |text: String| Broken::new(format!("a leaf of the history: {text}"));
    let software = opened.slots().get::<Software>(slot::SOFTWARE);
    let software = software.map_err(|e| broken(e.to_string()))?;
    let software = software.ok_or_else(|| broken("no software slot".to_owned()))?;
    Ok(FinalVersion {
        leaf: leaf_hash(opened.bytes()),
        value: software.firmware.build,
    })
}

struct Worker {
    number: u32,
    client: Client,
    recorder: Arc<Recorder>,
    breaks: Breaks,
    robots: Arc<Vec<Code>>,
    values: Arc<AtomicU32>,
    random: StdRng,
}

impl Worker {
    async fn run(mut self, stop: Arc<AtomicBool>, writes: bool) {
        // The version this client saw last, a robot each: what conditional writes name.
        let mut seen: Vec<Option<u64>> = vec![None; self.robots.len()];
        while !stop.load(Ordering::Relaxed) {
            let at = self.random.random_range(0..self.robots.len());
            let asked = if writes {
                self.choose(seen[at])
            } else {
                Asked::Read
            };
            let began = self.recorder.now();
            let outcome = self.ask(self.robots[at], asked).await;
            let ended = self.recorder.now();
            match outcome {
                Outcome::Written { version, .. } => seen[at] = Some(version.number),
                Outcome::Seen {
                    found: Some((version, _)),
                    ..
                } => seen[at] = Some(version.number),
                _ => {}
            }
            let robot = self.robots[at].to_string();
            self.recorder.add(Operation {
                client: self.number,
                robot,
                asked,
                began,
                ended,
                outcome,
            });
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn choose(&mut self, seen: Option<u64>) -> Asked {
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        match (self.random.random_range(0..100), seen) {
            (0..40, _) => Asked::Read,
            (40..45, _) | (_, None) => Asked::Register { value },
            (45..75, _) => Asked::Update {
                value,
                expected: None,
            },
            (_, expected) => Asked::Update { value, expected },
        }
    }

    async fn ask(&self, code: Code, asked: Asked) -> Outcome {
        let command = match asked {
            Asked::Read => return self.read(&code).await,
            Asked::Register { value } => Command::Register {
                registration: registration(code, value),
            },
            Asked::Update { value, expected } => {
                let action = Action::UpdateSoftware {
                    firmware: firmware(value),
                };
                Command::Act {
                    code,
                    expected_sequence: expected,
                    action,
                }
            }
        };
        match self.client.submit(&[command]).await {
            Ok(submitted) => match submitted.outcomes().next() {
                Some(Ok(done)) => match done.leaf {
                    Some((_, leaf)) => Outcome::Written {
                        version: Version {
                            number: done.sequence,
                            leaf,
                        },
                        log_index: submitted.position.log_index,
                    },
                    None => Outcome::Unknown,
                },
                Some(Err(rejection)) => {
                    let refusal = refusal(rejection);
                    if refusal == Refusal::Other {
                        let text = format!("{asked:?} of {code} was refused: {rejection}");
                        self.recorder.unexplained(text);
                    }
                    Outcome::Refused(refusal)
                }
                None => Outcome::Unknown,
            },
            Err(error) => {
                self.judge(&error, || format!("{asked:?} of {code}"));
                match error.effect() {
                    Effect::None => Outcome::Failed,
                    Effect::Happened | Effect::Unknown => Outcome::Unknown,
                }
            }
        }
    }

    async fn read(&self, code: &Code) -> Outcome {
        match self.client.unverified().robot(code).await {
            Ok(at) => {
                let head = at.value.head.map(|head| Version {
                    number: head.seq,
                    leaf: head.leaf_hash,
                });
                let found = head.map(|version| (version, at.value.firmware.build));
                Outcome::Seen {
                    found,
                    log_index: Some(at.position.log_index),
                }
            }
            Err(ClientError::Api(ApiError::NotFound { .. })) => Outcome::Seen {
                found: None,
                log_index: None,
            },
            Err(error) => {
                self.judge(&error, || format!("a read of {code}"));
                Outcome::Failed
            }
        }
    }

    fn judge(&self, error: &ClientError, what: impl FnOnce() -> String) {
        if !is_explained(error, self.breaks) {
            let text = format!("{} came back with {error} ({error:?})", what());
            self.recorder.unexplained(text);
        }
    }
}

fn refusal(rejection: &Rejection) -> Refusal {
    match rejection.reason {
        Reason::CodeExists => Refusal::Exists,
        Reason::RobotUnknown => Refusal::Unknown,
        Reason::SequenceMismatch => Refusal::OtherVersion,
        Reason::CommandExpired => Refusal::Late,
        _ => Refusal::Other,
    }
}

fn firmware(build: u32) -> Firmware {
    Firmware {
        family: firmware_family().to_owned(),
        build,
    }
}

/// The registration of a robot of the harness's model, with a value.
pub fn registration(code: Code, value: u32) -> Registration {
    let maker = Maker {
        scheme: IdentifierScheme::Name,
        country: "CN".to_owned(),
        identifier: "HARNESS-ROBOTICS".to_owned(),
    };
    let body = BodyName {
        maker,
        serial: code.serial().to_string(),
    };
    Registration {
        code,
        body,
        manufactured: TimeMs::from_ms(1_750_000_000_000),
        site: "harness".to_owned(),
        origin: "CN".to_owned(),
        prototype: false,
        importers_filing: false,
        identity_parts: Vec::new(),
        parts: Vec::new(),
        robot_key: None,
        firmware: firmware(value),
    }
}
