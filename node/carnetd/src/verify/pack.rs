//! The pack of this registry: what it knows and its verifiers without a network must know, signed with the log key.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use carnet_domain::bytes::code::{Code, EnterpriseId, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::{Against, ApprovalStatus, EnterpriseStatus, RecallStatus};
use carnet_store::engine::KvEngine;
use carnet_store::fault::StorageFault;
use carnet_store::records::{Bound, Records};
use carnet_trust::known::{Ending, KnownHead, KnownModel, KnownRecall, KnownRobot, keys_of};
use carnet_trust::pack::{
    PACK_BYTES_MAX, PACK_MODELS_MAX, PACK_RECALLS_MAX, PACK_ROBOTS_MAX, PACK_VERSION, Pack,
    PackPeer,
};
use carnet_trust::sieve::Keys;
use carnet_wire::status::ApiError;
use tracing::warn;

use super::maker::Made;
use super::{NOT_SIGNED, OWN_PATIENCE, Verifier, row_of, signed_bundle};
use crate::keyring::KeyRole;
use crate::told::{fault, no_genesis, storage};

/// Rows read at once.
const ROWS_AT_ONCE: usize = 1_000;
/// Keys noted for one pack, robots and identities alike; a registry with more says that its pack is not whole.
const KEYS_MAX: usize = 1 << 24;

/// What stands around the content in a file: lengths and a signature.
const AROUND_CONTENT_BYTES: usize = 128;

impl Verifier {
    /// The signed pack of this registry, under a checkpoint that covers everything applied before the question; when making one
    /// takes longer than a caller waits, the newest there is, which says of when it is.
    ///
    /// Who asks while one is made shares the one after it, however many they are, and leaves when it likes: anybody may ask.
    ///
    /// # Errors
    /// Nothing is published, the state cannot be read, or the keyring refused.
    pub async fn pack(self: &Arc<Self>) -> Result<Vec<u8>, ApiError> {
        let asked = self.node.state.registry().map_err(storage)?;
        let asked = asked.ok_or_else(no_genesis)?;
        let (wanted, now) = (asked.tree.size(), asked.log_time);
        self.node.published_at_least(wanted, OWN_PATIENCE).await?;
        // What waits for its time does not keep the node from ending.
        let this = Arc::downgrade(self);
        let make = move || {
            let this = Weak::clone(&this);
            async move {
                let ended = || ApiError::unavailable("this node is stopping");
                this.upgrade().ok_or_else(ended)?.make().await
            }
        };
        self.packs.pack((wanted, now), make).await
    }

    /// Makes a pack of what is published and known now.
    async fn make(self: &Arc<Self>) -> Result<Made, ApiError> {
        // Everything that any caller waits for was published before.
        let covering = self.node.published_at_least(0, OWN_PATIENCE).await?;
        let head = covering.registry.published.as_ref();
        let head = head.map(|sealed| KnownHead {
            size: sealed.size,
            root: sealed.root,
            time: sealed.at,
        });
        let this = Arc::clone(self);
        // It reads much, and every port is served by the threads that it would hold.
        let content = tokio::task::spawn_blocking(move || this.content_bytes(head));
        let (at, content) = content.await.map_err(fault("the pack was not made"))??;
        let signature = self
            .keyring
            .sign(KeyRole::Log, &Pack::message(&content))
            .await
            .map_err(fault(NOT_SIGNED))?;
        Ok(Made {
            size: covering.size,
            at,
            bytes: Pack::to_file(content, signature),
        })
    }

    /// The content of a pack, and its log time.
    fn content_bytes(&self, head: Option<KnownHead>) -> Result<(TimeMs, Vec<u8>), ApiError> {
        // All of it as of one moment: a robot whose record changes between two passes would be in neither.
        let view = self.node.state.engine().view().map_err(storage)?;
        let mut pack = self.content(&Records(view.as_ref()), head)?;
        let (at, content) = (pack.at, pack.to_bytes());
        if content.len() + AROUND_CONTENT_BYTES <= PACK_BYTES_MAX {
            return Ok((at, content));
        }
        // Better a pack that says what it lacks than none.
        warn!(
            bytes = content.len(),
            "the pack holds no robots: there are too many"
        );
        pack.robots.clear();
        pack.others = None;
        pack.whole = false;
        Ok((at, pack.to_bytes()))
    }

    fn content(&self, records: &Records<'_>, head: Option<KnownHead>) -> Result<Pack, ApiError> {
        let registry = records.registry().map_err(storage)?;
        let registry = registry.ok_or_else(no_genesis)?;
        let me = registry.prefix;
        let mut pack = Pack {
            version: PACK_VERSION,
            registry: me,
            incarnation: registry.incarnation,
            at: registry.log_time,
            whole: true,
            head,
            peers: Vec::new(),
            robots: Vec::new(),
            others: None,
            recalls: Vec::new(),
            models: Vec::new(),
        };
        for peer in records.peers().map_err(storage)? {
            let Some(primary) = peer.bundle.primary() else {
                continue;
            };
            let Some(bundle) = signed_bundle(records, primary)? else {
                warn!(peer = %primary, "its bundle does not stand in the log: left out of the pack");
                pack.whole = false;
                continue;
            };
            let known = self.known_registry(&peer, registry.log_time);
            pack.peers.push(PackPeer {
                bundle,
                head: known.head,
                doubt: known.doubt,
                agreements: peer.agreements,
                suspended: peer.suspended,
            });
        }
        let mut rows = Rows::of(me, pack.salt());
        rows.read(records).map_err(storage)?;
        let others = rows.others.added();
        pack.robots = rows.robots.into_iter().collect();
        if others > 0 {
            pack.others = rows.others.pack().filter(|_| others <= KEYS_MAX);
            pack.whole &= pack.others.is_some();
        }
        let models = fallen(records, PACK_MODELS_MAX + 1).map_err(storage)?;
        pack.whole &= models.len() <= PACK_MODELS_MAX;
        pack.models = models.into_iter().take(PACK_MODELS_MAX).collect();
        let recalls = records
            .recalls(None, Bound::count(PACK_RECALLS_MAX))
            .map_err(storage)?;
        pack.whole &= !recalls.more;
        let binding = recalls.records.into_iter();
        let binding = binding.filter(|recall| recall.status == RecallStatus::InForce);
        pack.recalls = binding
            .map(|recall| KnownRecall {
                notice: recall.notice,
                models: recall.models,
            })
            .collect();
        Ok(pack)
    }
}

/// What is recorded of robots and identities: rows while there is room, keys of the others.
struct Rows {
    me: Prefix,
    robots: BTreeMap<Digest, KnownRobot>,
    others: Keys,
}

impl Rows {
    fn of(me: Prefix, salt: u64) -> Self {
        Self {
            me,
            robots: BTreeMap::new(),
            others: Keys::salted(salt),
        }
    }

    /// Reads everything, what blocks a robot first: of that, a verifier is to know more than that there is something.
    fn read(&mut self, records: &Records<'_>) -> Result<(), StorageFault> {
        let blocked = |against| matches!(against, Against::Blocked | Against::Unshown);
        self.robots_that(records, &blocked)?;
        self.ends(records)?;
        self.robots_that(records, &|against| !blocked(against))
    }

    fn has_room(&self) -> bool {
        self.robots.len() < PACK_ROBOTS_MAX
    }

    fn robots_that(
        &mut self,
        records: &Records<'_>,
        wanted: &dyn Fn(Against) -> bool,
    ) -> Result<(), StorageFault> {
        let mut after = None;
        while self.others.added() <= KEYS_MAX {
            let page = records.against_after(after.as_ref(), ROWS_AT_ONCE)?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            for (code, against) in page.iter().filter(|(_, against)| wanted(*against)) {
                self.robot(records, code, *against)?;
            }
        }
        Ok(())
    }

    fn robot(
        &mut self,
        records: &Records<'_>,
        code: &Code,
        against: Against,
    ) -> Result<(), StorageFault> {
        let key = Subject::robot(code).key();
        if self.has_room() || self.robots.contains_key(&key) {
            if let Some(robot) = records.robot(code)? {
                let ended = self.robots.get(&key).and_then(|row| row.ended);
                let mut row = row_of(records, &robot, &self.me)?;
                row.ended = row.ended.or(ended);
                self.robots.insert(key, row);
            }
            return Ok(());
        }
        for named in keys_of(&key, against) {
            self.others.add(&named);
        }
        Ok(())
    }

    /// The identities whose end is proven: codes, bodies, parts and keys.
    fn ends(&mut self, records: &Records<'_>) -> Result<(), StorageFault> {
        let mut after = None;
        while self.others.added() <= KEYS_MAX {
            let page = records.ends_after(after.as_ref(), ROWS_AT_ONCE)?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            let proven = page
                .iter()
                .filter_map(|(key, ended)| Some((key, ended.as_ref()?)));
            for (key, ended) in proven {
                if self.has_room() || self.robots.contains_key(key) {
                    let row = self.robots.entry(*key).or_default();
                    row.ended = Some(Ending::of(ended));
                } else {
                    self.others.add(key);
                }
            }
        }
        Ok(())
    }
}

/// Models that are not approved, or whose maker is not active.
fn fallen(records: &Records<'_>, count_max: usize) -> Result<Vec<KnownModel>, StorageFault> {
    let mut makers: BTreeMap<EnterpriseId, EnterpriseStatus> = BTreeMap::new();
    let (mut out, mut after) = (Vec::new(), None);
    while out.len() < count_max {
        let page = records
            .models_under("", after.as_ref(), Bound::count(ROWS_AT_ONCE))?
            .records;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.id);
        for model in &page {
            let owner = model.id.enterprise_id();
            let maker = match makers.get(&owner) {
                Some(maker) => *maker,
                None => {
                    let maker = records.enterprise(&owner)?;
                    // As the map shows it.
                    let maker = maker.map_or(EnterpriseStatus::StruckOff, |maker| maker.status);
                    makers.insert(owner, maker);
                    maker
                }
            };
            if model.status != ApprovalStatus::Approved || maker != EnterpriseStatus::Active {
                out.push(KnownModel {
                    id: model.id,
                    approval: model.status,
                    maker,
                });
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::digest::sha256;
    use carnet_domain::record::ledger::Ledger;
    use carnet_domain::record::{Ended, Ends, Hold, Holder, Robot, Setter};
    use carnet_domain::rules::lifecycle::{HoldKind, State};
    use carnet_domain::rules::policy::Role;
    use carnet_kit::Country;
    use carnet_store::engine::KvRead;
    use carnet_store::memory::MemoryEngine;
    use carnet_store::overlay::{Overlay, Verified};
    use carnet_trust::known::Known;
    use carnet_trust::sieve::Sieve;

    use super::*;

    struct Nothing;

    impl Verified for Nothing {
        fn knows(&self, _: &Digest) -> bool {
            false
        }
    }

    fn ended(country: &Country, number: u32) -> (Digest, Ends) {
        let proven = Ended {
            code: country.code(9),
            state: State::Scrapped,
            by: country.prefix,
            at: TimeMs(1),
            leaf: Digest::ZERO,
        };
        let ends = Ends {
            proven: Some(proven),
            claimed_by: Vec::new(),
        };
        (sha256(&[b"ended", &number.to_be_bytes()]), ends)
    }

    /// As a verifier knows it that opened a pack made of these rows.
    fn known(rows: Rows) -> Known {
        let mut known = Known::nothing(carnet_trust::known::Source::Pack, TimeMs(1));
        let packed = (rows.others.added() > 0).then(|| rows.others.pack().expect("room"));
        known.others = packed.map(|packed| Sieve::open(1, &packed).expect("a set"));
        known.robots = rows.robots;
        known
    }

    fn read(engine: &dyn KvRead, me: Prefix) -> Known {
        let mut rows = Rows::of(me, 1);
        rows.read(&Records(engine)).expect("a read");
        known(rows)
    }

    /// More ended identities than there are rows: all are found, and what blocks a robot keeps its row.
    #[test]
    fn however_many_ended_all_are_found() {
        let mut country = Country::with_market("86");
        let engine = MemoryEngine::new();
        let mut robots: Vec<Robot> = Vec::new();
        for serial in 1..=3 {
            country.must("maker", country.register(serial));
            let Ok(robot) = country.ledger.robot(&country.code(serial));
            robots.extend(robot);
        }
        let me = country.prefix;
        let office = Holder::Office {
            name: "regulator".into(),
        };
        robots[0].holds.push(Hold {
            kind: HoldKind::Theft,
            setter: Setter {
                prefix: me,
                party: office,
                role: Role::Regulator,
            },
            reason: "why".into(),
            since: TimeMs(0),
        });
        robots[1].state = State::Retired;
        let few = 100_u32;
        let many = u32::try_from(PACK_ROBOTS_MAX).expect("it fits") + 2_000;
        let mut expected = Vec::new();
        for (from, to) in [(0, few), (few, many)] {
            let mut overlay = Overlay::new(&engine, &Nothing, None);
            for robot in &robots {
                overlay.put_robot(robot.clone()).expect("put");
            }
            for number in from..to {
                let (identity, ends) = ended(&country, number);
                overlay.put_ends(&identity, ends).expect("put");
                expected.push(identity);
            }
            let batch = overlay.finish().batch;
            engine.write(batch).expect("a write");
            let known = read(&engine, me);
            assert_eq!(
                known.others.is_some(),
                to == many,
                "a set only where it is needed"
            );
            assert!(known.robots.len() <= PACK_ROBOTS_MAX);
            let missed = expected.iter().filter(|identity| {
                let row = known.robots.get(identity);
                let told = known.told(identity) == carnet_trust::known::Told::Perhaps;
                !(told || row.is_some_and(|row| row.ended.is_some()))
            });
            assert_eq!(missed.count(), 0);
            let held = known
                .robot(&country.code(1))
                .expect("what blocks has its row");
            assert_eq!(held.holds.len(), 1);
            assert!(
                held.holds[0].reason.is_empty(),
                "why is nobody else's business"
            );
            let against = |serial| known.may_speak_against(&country.code(serial));
            assert_eq!([1, 2, 3].map(against), [true, true, false]);
            // The retired robot has no row any more, and nothing binds it by itself.
            let retired = Subject::robot(&country.code(2)).key();
            assert_eq!(known.robots.contains_key(&retired), to == few);
            assert_eq!(known.told(&retired), carnet_trust::known::Told::Nothing);
        }
    }
}
