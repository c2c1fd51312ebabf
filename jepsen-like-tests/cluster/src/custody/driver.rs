//! Customs officers that take robots over the border and back, each robots of their own, through retries and lost
//! answers: what to do next is read from both registries, never remembered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carnet_client::{Client, ClientError, Effect, wall_time};
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::custody::{Chain, Phase, Step};
use carnet_domain::record::AgreementRef;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::rules::command::{Command, Papers, Purpose, TransferId};
use carnet_domain::rules::rejection::Reason;
use carnet_wire::status::ApiError;
use rand::Rng;
use rand::rngs::StdRng;

use super::course::{Course, Next, next};
use super::{Asked, Came, Claim, Recorder, lock};
use crate::border::{AGREEMENT, Border, CUSTOMS, Side};
use crate::patience::{Broken, until};

/// The longest a call may take before its outcome is unknown: shorter than an election, so that answers are lost.
const CALL_DEADLINE: Duration = Duration::from_millis(900);
/// The longest one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(600);
/// The longest a call of an officer may take who waits for the answer.
const PATIENT: Duration = Duration::from_secs(6);
/// Offers and permits stand longer than any run.
const STANDS: DurationMs = DurationMs::from_days(30);
/// The version of the agreement of every border of the harness.
/// What the countries of the harness agreed on.
pub(super) fn agreed() -> AgreementRef {
    AgreementRef {
        id: AGREEMENT.to_owned(),
        version: 1,
    }
}
/// Of a hundred steps, so many are asked for by two officers at the same time.
const TWICE_PERCENT: u8 = 20;
/// Of a hundred steps, so many are asked for by an officer who hangs up: the answer is lost, the step may be written.
const HANG_UP_PERCENT: u8 = 15;
/// After so long; many a step takes longer, and some do not.
const HANG_UP: Duration = Duration::from_millis(4);

/// Who drives what.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// Officers; each has a session of its own in both countries.
    pub drivers: usize,
    /// Robots of an officer: half of them begin in A, half in B.
    pub robots_each: usize,
    /// From it come all choices.
    pub seed: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            drivers: 10,
            robots_each: 4,
            seed: 1,
        }
    }
}

/// A customs officer's connection to both countries.
#[derive(Clone)]
pub(super) struct Desks([Client; 2]);

impl Desks {
    /// Those of an officer who soon hangs up.
    pub(super) fn hasty(border: &Border) -> Result<Self, Broken> {
        Self::open(border, CALL_DEADLINE, ATTEMPT)
    }

    /// Those of an officer who waits for the answer.
    pub(super) fn patient(border: &Border) -> Result<Self, Broken> {
        Self::open(border, PATIENT, PATIENT / 4)
    }

    fn open(border: &Border, deadline: Duration, attempt: Duration) -> Result<Self, Broken> {
        let desk = |side| {
            let of = border.at(side);
            let client = of.client(CUSTOMS, &of.running())?;
            let client = client.deadline(deadline).attempt_timeout(attempt);
            client.build().map_err(Broken::at("customs"))
        };
        Ok(Self([desk(Side::A)?, desk(Side::B)?]))
    }

    pub(super) fn at(&self, side: Side) -> &Client {
        &self.0[usize::from(side == Side::B)]
    }
}

/// One officer.
pub(super) struct Driver {
    pub(super) desks: Desks,
    /// Somebody else, who asks for the same thing now and then.
    pub(super) colleague: Desks,
    pub(super) recorder: Arc<Recorder>,
    pub(super) prefixes: [carnet_domain::bytes::code::Prefix; 2],
    pub(super) robots: Vec<(Code, Side)>,
    pub(super) random: Mutex<StdRng>,
}

/// One crossing.
#[derive(Debug, Clone, Copy)]
struct Crossing {
    robot: Code,
    transfer: TransferId,
    from: Side,
    course: Course,
}

impl Crossing {
    fn asked_at(&self, step: Step) -> Side {
        match step {
            Step::Offer | Step::Cancel | Step::Depart | Step::Register => self.from,
            Step::Accept | Step::Refuse | Step::Detain | Step::Admit | Step::Return => {
                self.from.other()
            }
        }
    }
}

impl Driver {
    /// Takes robots over, the one that waited longest first, until `stop`; then ends what it began.
    pub(super) async fn run(mut self, stop: Arc<AtomicBool>) -> Result<(), Broken> {
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let at = turn % self.robots.len();
            let crossing = self.draw(self.robots[at]);
            let from = crossing.from;
            let admitted = self.cross(crossing).await?;
            if admitted {
                self.robots[at].1 = from.other();
                self.present_again(crossing).await;
            }
            *lock(&self.recorder.crossed) += 1;
        }
        Ok(())
    }

    fn draw(&self, (robot, from): (Code, Side)) -> Crossing {
        let mut random = lock(&self.random);
        Crossing {
            robot,
            transfer: TransferId(random.random()),
            from,
            course: Course::draw(&mut *random),
        }
    }

    /// Brings one transfer to its end on both sides; whether the robot was admitted.
    async fn cross(&self, crossing: Crossing) -> Result<bool, Broken> {
        let Crossing {
            transfer,
            from,
            course,
            ..
        } = crossing;
        let what = format!("transfer {transfer} from {from:?} ({course:?}) ends on both sides");
        let ended = until(&what, || self.bring_nearer(crossing)).await?;
        ended.map(|step| step == Step::Admit)
    }

    /// Looks at a transfer and does what comes next; how it ended, once it is over on both sides.
    async fn bring_nearer(&self, crossing: Crossing) -> Result<Result<Step, Broken>, String> {
        let (a, b) = tokio::join!(
            self.look(crossing, crossing.from),
            self.look(crossing, crossing.from.other())
        );
        let (here, there) = (a?, b?);
        match next(crossing.course, here.as_ref(), there.as_ref()) {
            Next::Over => {
                let ending = here.and_then(|here| here.ending);
                Ok(Ok(ending.map_or(Step::Cancel, |ending| ending.step)))
            }
            Next::Wait => Err(format!("{:?} and {:?}", shown(&here), shown(&there))),
            Next::Ask(step) => {
                let came = self.ask(crossing, step).await;
                match came {
                    Came::Refused(reason) if step == Step::Offer && !may_be_ours(reason) => {
                        let text = format!("{} is not offered: {reason:?}", crossing.robot);
                        Ok(Err(Broken::new(text)))
                    }
                    came => Err(format!("asked for {step:?}: {came:?}")),
                }
            }
            Next::Race(one, other) => {
                let came = tokio::join!(
                    self.step(&self.desks, crossing, one),
                    self.step(&self.colleague, crossing, other)
                );
                Err(format!("asked for {one:?} and {other:?}: {came:?}"))
            }
        }
    }

    /// Asks for a step; now and then a colleague asks for the same at the same time, or the answer is lost.
    async fn ask(&self, crossing: Crossing, step: Step) -> Came {
        let lot = lock(&self.random).random_range(0..100);
        if lot < HANG_UP_PERCENT {
            return self.hang_up(crossing, step).await;
        }
        if HANG_UP_PERCENT + TWICE_PERCENT <= lot {
            return self.step(&self.desks, crossing, step).await;
        }
        let (ours, _) = tokio::join!(
            self.step(&self.desks, crossing, step),
            self.step(&self.colleague, crossing, step)
        );
        ours
    }

    /// A robot that was admitted is presented again, and departs again: nothing may come of it.
    async fn present_again(&self, crossing: Crossing) {
        if crossing.transfer.0[0].is_multiple_of(4) {
            self.step(&self.colleague, crossing, Step::Admit).await;
            self.step(&self.colleague, crossing, Step::Depart).await;
        }
    }

    async fn step(&self, desks: &Desks, crossing: Crossing, step: Step) -> Came {
        let client = desks.at(crossing.asked_at(step));
        let command = self.command(crossing, step);
        let came = self.came_of(client, command);
        self.note(crossing, step, came).await
    }

    /// Asks, and does not wait for the answer.
    async fn hang_up(&self, crossing: Crossing, step: Step) -> Came {
        let client = self.desks.at(crossing.asked_at(step));
        let command = self.command(crossing, step);
        let asked = tokio::time::timeout(HANG_UP, self.came_of(client, command));
        let came = async { asked.await.unwrap_or(Came::Unknown) };
        self.note(crossing, step, came).await
    }

    /// Writes down what was asked and what came of it.
    async fn note(&self, crossing: Crossing, step: Step, came: impl Future<Output = Came>) -> Came {
        let began = self.recorder.now();
        let came = came.await;
        let asked = Asked {
            side: crossing.asked_at(step),
            step,
            transfer: crossing.transfer,
            began,
            ended: self.recorder.now(),
            came,
        };
        lock(&self.recorder.asked).push(asked);
        came
    }

    fn command(&self, crossing: Crossing, step: Step) -> Command {
        let Crossing {
            robot: code,
            transfer,
            from,
            ..
        } = crossing;
        let stands_until = wall_time().saturating_add(STANDS);
        let (place, reason) = ("harness".to_owned(), "harness".to_owned());
        match step {
            Step::Cancel => Command::CancelExport { transfer, reason },
            Step::Accept => Command::PermitImport {
                transfer,
                depart_by: stands_until,
                conditions: Vec::new(),
            },
            Step::Refuse => Command::RefuseImport { transfer, reason },
            Step::Depart => Command::Depart { transfer, place },
            Step::Admit => Command::Admit {
                transfer,
                place,
                importer: Digest([7; 32]).into(),
                documents: Vec::new(),
                countersignature: None,
            },
            Step::Return => Command::Return { transfer, reason },
            Step::Offer | Step::Register | Step::Detain => Command::DeclareExport {
                code,
                transfer,
                to: self.prefixes[usize::from(from == Side::A)],
                purpose: Purpose::PermanentExport,
                offer_until: stands_until,
                agreement: agreed(),
                papers: Papers::default(),
            },
        }
    }

    /// What a country shows of a transfer, and in passing whether it claims the robot.
    async fn look(&self, crossing: Crossing, side: Side) -> Result<Option<Transfer>, String> {
        let client = self.desks.at(side);
        let began = self.recorder.now();
        let robot = self.found(client.unverified().robot(&crossing.robot).await)?;
        let claim = robot.and_then(|robot| {
            Some(Claim {
                robot: crossing.robot,
                side,
                place: place(&robot.custody)?,
                began,
                ended: self.recorder.now(),
            })
        });
        self.recorder.looked(side, claim);
        self.found(client.unverified().transfer(crossing.transfer).await)
    }

    fn found<T>(
        &self,
        read: Result<carnet_client::Told<T>, ClientError>,
    ) -> Result<Option<T>, String> {
        match read {
            Ok(at) => Ok(Some(at.value)),
            Err(ClientError::Api(ApiError::NotFound { .. })) => Ok(None),
            Err(error) => {
                self.recorder.judge(&error, || "a look".to_owned());
                Err(error.to_string())
            }
        }
    }

    async fn came_of(&self, client: &Client, command: Command) -> Came {
        match client.submit_one(command).await {
            Ok(done) => done
                .leaf
                .map_or(Came::Unknown, |(_, leaf)| Came::Written(leaf)),
            Err(ClientError::Refused(rejection)) => Came::Refused(rejection.reason),
            Err(error) => {
                self.recorder.judge(&error, || "a step".to_owned());
                match error.effect() {
                    Effect::None => Came::Failed,
                    Effect::Happened | Effect::Unknown => Came::Unknown,
                }
            }
        }
    }
}

/// Where in a robot's one chain a country stands that says that it is responsible.
pub(super) fn place(chain: &Chain) -> Option<u64> {
    let within = match chain.phase {
        Phase::Offered { .. } => 0,
        Phase::InTransit { .. } => 1,
        Phase::Here {} => 2,
        _ => return None,
    };
    Some(4 * chain.epoch + within)
}

/// Whether an offer of ours may be why another one is refused: one whose answer was lost, a colleague's, or as many of the office as
/// it may have told the other country within a minute.
fn may_be_ours(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TransferExists
            | Reason::TransferOpen
            | Reason::SessionExpired
            | Reason::MinuteLimit
    )
}

fn shown(transfer: &Option<Transfer>) -> Option<(Step, bool)> {
    let transfer = transfer.as_ref()?;
    Some((transfer.step, transfer.ending.is_some()))
}
