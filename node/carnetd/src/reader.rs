//! What batches of mail and evidence are made from: the stored records of one moment, usually a published view.

#[cfg(test)]
mod tests;

use carnet_domain::bytes::code::{Code, ModelId};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::custody::Step;
use carnet_domain::custody::mail;
use carnet_domain::log::head::Head;
use carnet_domain::log::leaf::Subject;
use carnet_domain::log::map::{Page, PagePath, Pages};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::standing_now;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::{Model, ModelStanding};
use carnet_store::engine::KvRead;
use carnet_store::fault::StorageFault;
use carnet_store::overlay::{Overlay, Verified};
use carnet_store::records::Records;
use carnet_store::registry::Published;
use carnet_trust::evidence::{self, Newest};

use crate::service::query::Provable;

/// Reads one moment of one registry.
#[derive(Clone, Copy)]
pub struct MomentReader<'a> {
    view: &'a dyn KvRead,
}

impl<'a> MomentReader<'a> {
    /// The moment of a published checkpoint.
    pub fn of(published: &'a Published) -> Self {
        Self {
            view: published.view.as_ref(),
        }
    }

    /// The moment of a view.
    pub fn over(view: &'a dyn KvRead) -> Self {
        Self { view }
    }

    /// Its records.
    pub fn records(&self) -> Records<'a> {
        Records(self.view)
    }
}

impl MomentReader<'_> {
    /// A subject that is to be proven, and where its newest leaf stands.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn newest(&self, what: &Provable) -> Result<(Subject, Option<Newest>), StorageFault> {
        let records = self.records();
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
                let found = evidence::Reader::model(self, id)?;
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
}

/// The registry as it stands in the view of a published checkpoint: there, the newest seal is the published one, even
/// when a later one has been made by the time of the publication.
pub fn registry_of(published: &Published) -> Registry {
    let mut registry = published.registry.clone();
    registry.sealed = registry.published.clone();
    registry
}

impl mail::Reader for MomentReader<'_> {
    type Fault = StorageFault;

    fn leaf(&self, index: u64) -> Result<Option<LeafRecord>, StorageFault> {
        self.records().leaf(index)
    }

    fn newest_of(&self, code: &Code) -> Result<Option<u64>, StorageFault> {
        let head = self.records().head_of_robot(code)?;
        Ok(head.map(|head| head.leaf_index))
    }

    fn node(&self, level: u8, index: u64) -> Result<Option<Digest>, StorageFault> {
        self.records().subtree(level, index)
    }

    fn page(&self, path: &PagePath) -> Result<Option<Page>, StorageFault> {
        Pages::page(&self.records(), path)
    }
}

impl evidence::Reader for MomentReader<'_> {
    fn model(&self, id: &ModelId) -> Result<Option<(Model, ModelStanding)>, StorageFault> {
        let Some(model) = self.records().model(id)? else {
            return Ok(None);
        };
        let ledger = Overlay::new(self.view, &NothingVerified, None);
        let standing = standing_now(&ledger, &model)?;
        Ok(Some((model, standing)))
    }

    fn own_steps(&self, code: &Code) -> Result<Vec<(Step, u64)>, StorageFault> {
        // One more than evidence shows: the newest may be the robot's own leaf.
        self.records()
            .border_steps(code, evidence::OWN_STEPS_MAX + 1)
    }
}

/// Reads verify no signature.
struct NothingVerified;

impl Verified for NothingVerified {
    fn knows(&self, _: &Digest) -> bool {
        false
    }
}
