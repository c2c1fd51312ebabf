//! The feature level.

use std::collections::BTreeMap;

use super::{Authorised, Run, refused, rule};
use crate::bytes::level::Level;
use crate::log::leaf::Kind;
use crate::machine::entry::{ItemAnswer, Knows};
use crate::planted::Planted;
use crate::record::event::{After, Event};
use crate::record::ledger::Ledger;
use crate::rules::rejection::{Detail, Reason};

impl<L: Ledger, P: Planted> Run<'_, L, P> {
    /// Raises the feature level by one, if every member said that it knows the next.
    /// Whoever keeps the ledger commits no level that its binary does not know, and nothing after it.
    pub(super) fn raise_level(
        &mut self,
        to: Level,
        seen: &[Knows],
    ) -> Result<ItemAnswer, L::Fault> {
        let from = self.registry.level;
        if from.next() != Some(to) {
            let detail = Detail::LevelIs { level: from, to };
            return Ok(refused(Reason::LevelRefused, detail));
        }
        if !seen.is_sorted_by(|one, next| one.node < next.node) {
            return Ok(refused(Reason::Malformed, Detail::ReadingsOrder {}));
        }
        let said: BTreeMap<u64, Level> = seen.iter().map(|one| (one.node, one.level)).collect();
        let members = self.ledger.members()?.all;
        let knows = |node: &u64| said.get(node).copied();
        if let Some(node) = members.iter().find(|node| knows(node) < Some(to)) {
            let (node, level) = (*node, knows(node));
            return Ok(refused(
                Reason::LevelRefused,
                Detail::MemberKnows { node, level },
            ));
        }
        if members.is_empty() {
            return Ok(refused(Reason::LevelRefused, Detail::NOTHING));
        }
        self.registry.level = to;
        let after = After::Jurisdiction(self.registry.prefix);
        let event = Event::new(Kind::Policy, &to, after);
        let authorised = Authorised::system(rule::RAISE_LEVEL, &to);
        let answer = self.record_all(vec![event], &authorised)?;
        // What these cannot all be tried here is, with the next mail of its peer.
        for peer in self.ledger.peers()? {
            if let Some(prefix) = peer.bundle.primary() {
                self.try_at_level(&prefix)?;
            }
        }
        Ok(answer)
    }
}
