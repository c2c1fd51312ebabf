//! Where the chains of audit of a node stand, by its own word: whoever has the node later cannot take back what it said before.

use super::{Authorised, Run, refused, rule};
use crate::log::leaf::Kind;
use crate::machine::entry::ItemAnswer;
use crate::planted::Planted;
use crate::record::audited::{AuditAnchor, AuditHeads};
use crate::record::event::{After, Audited, Event};
use crate::record::ledger::Ledger;
use crate::rules::rejection::{Detail, Reason};

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Enters where the chains of a member stand. They never go back, and a place that was entered keeps its hash. Whether a higher
    /// number goes on from it only the chain itself shows: earlier places stay beside it, and whoever reads the chain holds it to all.
    pub(super) fn audit(&mut self, node: u64, heads: &AuditHeads) -> Result<ItemAnswer, L::Fault> {
        if !self.ledger.members()?.all.contains(&node) {
            return Ok(refused(Reason::AuditContradicts, Detail::Node { node }));
        }
        let mut anchors = self.ledger.audit_anchors()?;
        if let Some(before) = anchors.of(node) {
            if before.heads == *heads {
                return Ok(ItemAnswer::Nothing {});
            }
            if !heads.follow(&before.heads) {
                let leaf = before.leaf;
                let detail = Detail::AuditAt { node, leaf };
                return Ok(refused(Reason::AuditContradicts, detail));
            }
        }
        let anchor = AuditAnchor {
            node,
            heads: *heads,
            at: self.now,
            leaf: self.registry.tree.size(),
        };
        anchors.put(anchor);
        let authorised = Authorised::system(rule::AUDIT, &node);
        let after = After::Audited(Box::new(Audited { anchors, node }));
        let event = Event::new(Kind::AuditHeads, heads, after);
        self.record_all(vec![event], &authorised)
    }
}
