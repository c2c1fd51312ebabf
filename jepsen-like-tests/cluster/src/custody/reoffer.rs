//! An offer, its cancel, and an offer of the same robot again: the second one needs an epoch of its own.
//!
//! A cancel burns the epoch of its offer. An exporter that forgets so offers twice in one epoch; an importer must then take
//! the second offer for an old one, whatever number its transfer has, and the two offers for what no honest registry writes:
//! it takes nothing new from the exporter.

use carnet_client::{Client, ClientError};
use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::DurationMs;
use carnet_domain::custody::movement::Movement;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::rules::command::{Command, Papers, Purpose, TransferId};
use carnet_wire::status::ApiError;

use super::driver::{Desks, agreed};
use super::run::register;
use crate::border::{Border, Side};
use crate::patience::{Broken, until};

/// Offers and permits stand longer than the scenario.
const STANDS: DurationMs = DurationMs::from_days(1);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reoffered {
    /// The exporter's trail of the robot.
    pub exporter: Vec<Movement>,
    /// The importer's.
    pub importer: Vec<Movement>,
    /// Whether the importer took up the second offer; it then permitted it.
    pub taken_up: bool,
    /// Whether the importer takes nothing new from the exporter any more.
    pub quarantined: bool,
}

/// Has A offer a robot to B, cancel, and offer it again; B permits the second offer if it took it up.
///
/// # Errors
/// A step of A was refused, or mail never arrived.
pub async fn offer_cancel_offer(border: &Border) -> Result<Reoffered, Broken> {
    let [robot, other] = register(border.at(Side::A), 1, 2).await?[..] else {
        return Err(Broken::new("two robots were asked for"));
    };
    let desks = Desks::patient(border)?;
    let (exporter, importer) = (desks.at(Side::A), desks.at(Side::B));
    let [first, second, last] = [1, 2, 3].map(|number| TransferId([number; 16]));

    submit(exporter, offer(border, robot, first)).await?;
    arrived(importer, first, |_| true).await?;
    let reason = "harness".to_owned();
    let cancel = Command::CancelExport {
        transfer: first,
        reason,
    };
    submit(exporter, cancel).await?;
    arrived(importer, first, |transfer| transfer.ending.is_some()).await?;
    submit(exporter, offer(border, robot, second)).await?;
    // Mail is taken in order: when this one is there, or no more is taken, the one before it has been judged.
    submit(exporter, offer(border, other, last)).await?;
    let from = border.at(Side::A).prefix();
    let quarantined = until("the second offer is judged", || async {
        match (
            shown(importer, last).await?,
            importer.unverified().peer(from).await,
        ) {
            (Some(_), _) => Ok(false),
            (None, Ok(peer)) if peer.value.quarantined => Ok(true),
            (None, Ok(_)) => Err("neither the third offer nor a quarantine".to_owned()),
            (None, Err(error)) => Err(error.to_string()),
        }
    })
    .await?;

    let taken_up = shown(importer, second)
        .await
        .map_err(Broken::new)?
        .is_some();
    if taken_up {
        let permit = Command::PermitImport {
            transfer: second,
            depart_by: carnet_client::wall_time().saturating_add(STANDS),
            conditions: Vec::new(),
        };
        submit(importer, permit).await?;
    }
    Ok(Reoffered {
        exporter: trail(exporter, &robot).await?,
        importer: trail(importer, &robot).await?,
        taken_up,
        quarantined,
    })
}

fn offer(border: &Border, code: Code, transfer: TransferId) -> Command {
    Command::DeclareExport {
        code,
        transfer,
        to: border.at(Side::B).prefix(),
        purpose: Purpose::PermanentExport,
        offer_until: carnet_client::wall_time().saturating_add(STANDS),
        agreement: agreed(),
        papers: Papers::default(),
    }
}

async fn submit(to: &Client, command: Command) -> Result<(), Broken> {
    let what = command.name();
    to.submit_one(command)
        .await
        .map(drop)
        .map_err(Broken::at(what))
}

/// Waits until a country shows a transfer as wanted.
async fn arrived(
    at: &Client,
    transfer: TransferId,
    wanted: impl Fn(&Transfer) -> bool,
) -> Result<(), Broken> {
    until(&format!("mail about {transfer} arrives"), || async {
        match shown(at, transfer).await? {
            Some(found) if wanted(&found) => Ok(()),
            found => Err(format!("{:?}", found.map(|found| found.step))),
        }
    })
    .await
}

async fn shown(at: &Client, transfer: TransferId) -> Result<Option<Transfer>, String> {
    match at.unverified().transfer(transfer).await {
        Ok(found) => Ok(Some(found.value)),
        Err(ClientError::Api(ApiError::NotFound { .. })) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

async fn trail(at: &Client, code: &Code) -> Result<Vec<Movement>, Broken> {
    let trail = at
        .unverified()
        .movements(code)
        .await
        .map_err(Broken::at("trail"))?;
    Ok(trail.value.movements)
}
