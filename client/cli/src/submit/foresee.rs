//! What the registry's records say against a command, before it is sent. Reads only: the rules have the last word, and a
//! command that nothing speaks against may still be refused.

use carnet_client::{ApiError, Client, ClientError, Told};
use carnet_domain::bytes::code::{Code, ModelId};
use carnet_domain::record::{ApprovalStatus, Enrolment, EnterpriseStatus, Holder};
use carnet_domain::rules::command::{Command, TransferId};
use carnet_domain::rules::rejection::{Reason, Rejection};

/// Why the command would be refused, as far as records tell.
///
/// # Errors
/// As every read but that something is not found.
pub(super) async fn against(
    client: &Client,
    command: &Command,
) -> Result<Option<Rejection>, ClientError> {
    let reason = match command {
        Command::Register { registration } => {
            match model(client, &registration.code.model_id()).await? {
                None if robot(client, &registration.code).await? => Some(Reason::CodeExists),
                reason => reason,
            }
        }
        Command::Reserve { code } => robot(client, code).await?.then_some(Reason::CodeExists),
        Command::Act { code, .. }
        | Command::SetHold { code, .. }
        | Command::LiftHold { code, .. }
        | Command::RemedyRecall { code, .. }
        | Command::DeclareExport { code, .. } => {
            (!robot(client, code).await?).then_some(Reason::RobotUnknown)
        }
        Command::ApproveModel { id, .. } => {
            let enterprise = found(client.unverified().enterprise(&id.enterprise_id()).await)?;
            match enterprise.map(|enterprise| enterprise.status) {
                None => Some(Reason::EnterpriseUnknown),
                Some(EnterpriseStatus::Active) => {
                    found(client.unverified().model(id).await)?.map(|_| Reason::ModelExists)
                }
                Some(_) => Some(Reason::EnterpriseNotActive),
            }
        }
        Command::SetModelStatus { id, .. } => match found(client.unverified().model(id).await)? {
            None => Some(Reason::ModelUnknown),
            Some(_) => None,
        },
        Command::SetEnterpriseStatus { id, .. }
        | Command::AmendEnterprise { id, .. }
        | Command::SucceedEnterprise { id, .. }
        | Command::AddSigner {
            enrolment:
                Enrolment {
                    holder: Holder::Enterprise { id },
                    ..
                },
            ..
        } => match found(client.unverified().enterprise(id).await)? {
            None => Some(Reason::EnterpriseUnknown),
            Some(_) => None,
        },
        Command::OpenRecall { notice, models, .. } => {
            let mut reason =
                found(client.unverified().recall(&notice.id).await)?.map(|_| Reason::RecallExists);
            for id in models {
                if reason.is_none() && found(client.unverified().model(id).await)?.is_none() {
                    reason = Some(Reason::ModelUnknown);
                }
            }
            reason
        }
        Command::WithdrawRecall { recall, .. } => {
            match found(client.unverified().recall(recall).await)? {
                None => Some(Reason::RecallUnknown),
                Some(_) => None,
            }
        }
        Command::CancelExport { transfer: id, .. }
        | Command::Depart { transfer: id, .. }
        | Command::PermitImport { transfer: id, .. }
        | Command::RefuseImport { transfer: id, .. }
        | Command::Admit { transfer: id, .. }
        | Command::Return { transfer: id, .. } => transfer(client, *id).await?,
        _ => None,
    };
    Ok(reason.map(Rejection::from))
}

/// Why no robot of a model can be registered.
pub(crate) async fn model(client: &Client, id: &ModelId) -> Result<Option<Reason>, ClientError> {
    Ok(match found(client.unverified().model(id).await)? {
        None => Some(Reason::ModelUnknown),
        Some(model) if model.status != ApprovalStatus::Approved => Some(Reason::ModelNotApproved),
        Some(_) => None,
    })
}

async fn robot(client: &Client, code: &Code) -> Result<bool, ClientError> {
    Ok(found(client.unverified().robot(code).await)?.is_some())
}

async fn transfer(client: &Client, id: TransferId) -> Result<Option<Reason>, ClientError> {
    Ok(match found(client.unverified().transfer(id).await)? {
        None => Some(Reason::TransferUnknown),
        Some(transfer) if transfer.ending.is_some() => Some(Reason::TransferEnded),
        Some(_) => None,
    })
}

fn found<T>(read: Result<Told<T>, ClientError>) -> Result<Option<T>, ClientError> {
    match read {
        Ok(found) => Ok(Some(found.value)),
        // Whoever may not see a record may still be allowed to change it.
        Err(ClientError::Api(ApiError::NotFound { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}
