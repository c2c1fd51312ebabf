//! What a proof is about, as the store has it: where the newest leaf of a subject stands, and the registry of a published moment.

#[cfg(test)]
mod tests;

use carnet_domain::bytes::digest::Digest;
use carnet_domain::log::head::Head;
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::reader::Reader;
use carnet_domain::record::registry::Registry;
use carnet_store::fault::StorageFault;
use carnet_store::records::Records;
use carnet_store::registry::Published;
use carnet_trust::evidence::Newest;

use crate::service::query::Provable;

/// A subject that is to be proven, and where its newest leaf stands.
///
/// # Errors
/// When it cannot be read.
pub fn newest(
    records: &Records<'_>,
    what: &Provable,
) -> Result<(Subject, Option<Newest>), StorageFault> {
    let at = |head: Option<Head>, facts| {
        head.map(|head| Newest {
            index: head.leaf_index,
            facts,
        })
    };
    Ok(match what {
        Provable::Robot(code) => {
            let newest = at(records.head_of_robot(code)?, Digest::ZERO);
            (Subject::robot(code), newest)
        }
        Provable::Enterprise(id) => {
            let found = records.enterprise(id)?;
            let newest = found.and_then(|found| at(found.head, Digest::ZERO));
            (Subject::enterprise(id), newest)
        }
        Provable::Model(id) => {
            let found = Reader::model(records, id)?;
            let newest = found.and_then(|(found, standing)| at(found.head, standing.digest()));
            (Subject::model(id), newest)
        }
        Provable::Recall(id) => {
            let found = records.recall(id)?;
            let newest = found.and_then(|found| at(found.head, Digest::ZERO));
            (id.subject(), newest)
        }
    })
}

/// The records in the view of a published checkpoint.
pub fn records_of(published: &Published) -> Records<'_> {
    Records(published.view.as_ref())
}

/// The registry as it stands in the view of a published checkpoint: there, the newest seal is the published one, even
/// when a later one has been made by the time of the publication.
pub fn registry_of(published: &Published) -> Registry {
    let mut registry = published.registry.clone();
    registry.sealed = registry.published.clone();
    registry
}
