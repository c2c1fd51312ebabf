//! What the rules of a registry would answer to commands, as a node says: nothing is sent that could be executed.

use bytes::Bytes;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::machine::Question;
use carnet_domain::machine::entry::{Answer, ItemAnswer};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::rejection::{Reason, Rejection};
use carnet_wire::limits;
use carnet_wire::registry::v1 as pb;

use crate::client::{lifetime, no_key};
use crate::error::ClientError;
use crate::submit::for_each_item;
use crate::unverified::Unverified;

/// What would become of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreseen {
    /// It would be done, or there is nothing to do.
    Done,
    /// It would be the first of two words, and wait for the second person.
    Waits,
    /// It would be refused.
    Refused(Rejection),
}

impl Foreseen {
    /// Why it would be refused.
    pub fn against(self) -> Option<Rejection> {
        match self {
            Self::Refused(rejection) => Some(rejection),
            Self::Done | Self::Waits => None,
        }
    }
}

impl Unverified<'_> {
    /// For each command, what would become of it now. They are tried one after the other, so that those that exclude
    /// each other are found as far as they are asked together; what others do meanwhile, nobody foresees. No session is opened
    /// and no number used.
    ///
    /// # Errors
    /// As every read; also when the key may not send such commands at all.
    pub async fn foresee(&self, commands: &[Command]) -> Result<Vec<Foreseen>, ClientError> {
        let items: Vec<Blob> = commands
            .iter()
            .map(|command| Blob(command.to_bytes()))
            .collect();
        let mut out = Vec::with_capacity(items.len());
        while let Some(rest) = items.get(out.len()..).filter(|rest| !rest.is_empty()) {
            let answers = self.ask(one_question(rest)).await?;
            // What found no room was not tried. The first of a question always finds some.
            let tried = answers
                .iter()
                .position(|answer| matches!(answer, ItemAnswer::Refused { rejection } if rejection.reason == Reason::EntryFull));
            let tried = tried.unwrap_or(answers.len()).max(1);
            out.extend(answers.into_iter().take(tried).map(|answer| match answer {
                ItemAnswer::Refused { rejection } => Foreseen::Refused(rejection),
                ItemAnswer::Done { waits: true, .. } => Foreseen::Waits,
                ItemAnswer::Done { .. } | ItemAnswer::Nothing {} => Foreseen::Done,
            }));
        }
        Ok(out)
    }

    async fn ask(&self, items: &[Blob]) -> Result<Vec<ItemAnswer>, ClientError> {
        let client = self.client();
        let Some(signer) = &client.0.signer else {
            return Err(no_key());
        };
        let (prefix, incarnation) = client.audience().await?;
        let key = signer.public();
        let question = Question {
            prefix,
            incarnation,
            key: key.key_id(),
            not_after: client.now().saturating_add(lifetime()),
            items: items.to_vec(),
        };
        let question = question.to_bytes();
        let signature = signer
            .sign_as(&key, &Question::signing_bytes(&question))
            .await?;
        let request = pb::ForeseeRequest {
            question: question.into(),
            signature: Bytes::copy_from_slice(&signature.0),
        };
        let response = client
            .read(|mut registry| {
                let request = request.clone();
                async move { registry.foresee(request).await }
            })
            .await?;
        let answer = Answer::from_bytes(&response.answer).map_err(|error| {
            ClientError::Protocol(format!("the answer is not canonical: {error}"))
        })?;
        client.saw_log_time(answer.at);
        Ok(for_each_item(answer, items.len())?.items)
    }
}

/// As many items as one request carries, one at the least.
fn one_question(items: &[Blob]) -> &[Blob] {
    let (mut bytes, mut count) = (0, 0);
    for item in items.iter().take(limits::BULK_PART_ITEMS_MAX as usize) {
        bytes += item.0.len();
        if count > 0 && bytes > limits::SUBMIT_BYTES_MAX {
            break;
        }
        count += 1;
    }
    items.get(..count).unwrap_or(items)
}
