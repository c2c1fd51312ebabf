//! What can be learned by reading after the outcome of a write was lost.

use carnet_domain::rules::command::Command;
use carnet_wire::status::ApiError;

use crate::error::ClientError;
use crate::unverified::Unverified;

/// What the records show of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// The record is there, exactly as the command states it: it took effect.
    Shown,
    /// Nothing of it is there. A request still under way may yet write it until its time limit.
    NotShown,
    /// A record of that name is there and says something else: the command was not the one that wrote it.
    Other,
    /// The records do not tell whether this command or another made them what they are.
    CannotTell,
}

impl Unverified<'_> {
    /// Looks for the trace of a command whose outcome is unknown, by linearizable reads of what a node says.
    ///
    /// # Errors
    /// As every read.
    pub async fn trace(&self, command: &Command) -> Result<Trace, ClientError> {
        let trace = match command {
            Command::Register { registration } => {
                found(self.robot(&registration.code).await)?.map(|robot| {
                    let identity = &robot.value.identity;
                    identity.body == registration.body.identity()
                        && identity.manufactured == registration.manufactured
                })
            }
            Command::ApproveModel { id, facts, .. } => {
                found(self.model(id).await)?.map(|model| model.value.facts == *facts)
            }
            Command::OpenRecall { notice, models, .. } => found(self.recall(&notice.id).await)?
                .map(|recall| recall.value.notice == *notice && recall.value.models == *models),
            Command::DeclareExport {
                code, transfer, to, ..
            } => found(self.transfer(*transfer).await)?
                .map(|transfer| transfer.value.code == *code && transfer.value.to == *to),
            _ => return Ok(Trace::CannotTell),
        };
        Ok(match trace {
            Some(true) => Trace::Shown,
            Some(false) => Trace::Other,
            None => Trace::NotShown,
        })
    }
}

fn found<T>(read: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(ClientError::Api(ApiError::NotFound { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}
