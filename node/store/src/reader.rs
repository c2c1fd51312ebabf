//! The stored records as what proofs are made from: the one implementation of [`Reader`] over a store, of whichever engine.

use carnet_domain::bytes::code::{Code, ModelId};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::custody::Step;
use carnet_domain::log::map::{Page, PagePath};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::standing_now;
use carnet_domain::record::reader::Reader;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{Model, ModelStanding};
use carnet_domain::rules::command::TransferId;

use crate::fault::StorageFault;
use crate::overlay::{Overlay, Verified};
use crate::records::Records;

impl Reader for Records<'_> {
    type Fault = StorageFault;

    fn leaf(&self, index: u64) -> Result<Option<LeafRecord>, StorageFault> {
        Records::leaf(self, index)
    }

    fn newest_of(&self, code: &Code) -> Result<Option<u64>, StorageFault> {
        let head = self.head_of_robot(code)?;
        Ok(head.map(|head| head.leaf_index))
    }

    fn node(&self, level: u8, index: u64) -> Result<Option<Digest>, StorageFault> {
        self.subtree(level, index)
    }

    fn page(&self, path: &PagePath) -> Result<Option<Page>, StorageFault> {
        Records::page(self, path)
    }

    fn transfer(&self, id: &TransferId) -> Result<Option<Transfer>, StorageFault> {
        Records::transfer(self, id)
    }

    fn model(&self, id: &ModelId) -> Result<Option<(Model, ModelStanding)>, StorageFault> {
        let Some(model) = Records::model(self, id)? else {
            return Ok(None);
        };
        let ledger = Overlay::new(self.0, &NothingVerified, None);
        let standing = standing_now(&ledger, &model)?;
        Ok(Some((model, standing)))
    }

    fn own_steps(&self, code: &Code, wanted: usize) -> Result<Vec<(Step, u64)>, StorageFault> {
        self.border_steps(code, wanted)
    }
}

/// Reads verify no signature.
struct NothingVerified;

impl Verified for NothingVerified {
    fn knows(&self, _: &Digest) -> bool {
        false
    }
}
