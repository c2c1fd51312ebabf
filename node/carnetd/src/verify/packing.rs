//! What of the state goes into a pack, and who has no room there. Room is shared out by makers and registries (`share`): nobody's
//! robots, recalls or models take the place of another's, however many they are. Whoever has no room is named in the set of others,
//! and asked about online.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::log::leaf::Subject;
use carnet_domain::record::{Against, ApprovalStatus, EnterpriseStatus, RecallId, RecallNotice};
use carnet_store::fault::StorageFault;
use carnet_store::records::{BehindRecalls, Records};
use carnet_trust::known::{
    Ending, KnownMaker, KnownModel, KnownRecall, KnownRobot, key_of_here, key_of_maker,
    key_of_maker_here, key_of_model, keys_of,
};
use carnet_trust::pack::{PACK_MODELS_MAX, PACK_RECALLS_MAX, PACK_ROBOTS_MAX, PackPeer};
use carnet_trust::share::level;
use carnet_trust::sieve::{Keys, PackedSieve, bits_for};

use super::row_of;

/// Rows read at once.
const ROWS_AT_ONCE: usize = 1_000;
/// Bytes of a pack for what is said of peers.
const PEERS_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a pack for recalls.
const RECALLS_BYTES_MAX: u64 = 512 * 1024;
/// What a recall takes at the least.
const RECALL_BYTES_MIN: u64 = 32;
/// What one model takes that a recall names.
const MODEL_BYTES: u64 = 13;
/// Recalls that are read of one maker, each as often as it names one of its models. Of one with more, all robots are asked about
/// online.
const RECALLS_OF_MAKER_MAX: usize = 16_384;
/// As [`RECALLS_OF_MAKER_MAX`], of all makers under the prefix of another registry, which has as many as it says.
const RECALLS_OF_REGISTRY_MAX: usize = 65_536;
/// Bytes of the largest row of a robot. Of one that owes a hundred recalls, its own evidence says so.
const ROW_BYTES_MAX: usize = 512;
/// Keys of robots, shared out by their makers. Of a maker with more, all robots are asked about online.
const KEYS_OF_ROBOTS_MAX: u64 = 1 << 22;
/// Keys of robots of other registries that are here for good, shared out by their makers. Of a maker with more, all that are shown
/// elsewhere are asked about online.
const KEYS_OF_SETTLED_MAX: u64 = 1 << 20;
/// Keys noted for one pack. What ended may be fitted in any robot, so there is no other way to name it.
const KEYS_READ_MAX: usize = 1 << 24;
/// Bits of the set below which rows make way for it: one honest key in a thousand is then found by mistake.
const BITS_GOOD: u8 = 10;
/// Rows that make way only when the set has no room else.
const ROWS_KEPT: usize = 1_000;
/// Rows that make way at once.
const ROWS_MAKE_WAY: usize = 500;

const _: () = assert!(RECALLS_BYTES_MAX / RECALL_BYTES_MIN <= PACK_RECALLS_MAX as u64);

/// The peers of which all has room, and the others.
pub(super) fn peers(
    all: Vec<(Prefix, PackPeer)>,
    mut lacking: BTreeSet<Prefix>,
) -> (Vec<PackPeer>, BTreeSet<Prefix>) {
    let bytes = |peer: &PackPeer| peer.to_bytes().len() as u64;
    let level = level(all.iter().map(|(_, peer)| bytes(peer)), PEERS_BYTES_MAX);
    let mut given = Vec::new();
    for (primary, peer) in all {
        match level {
            Some(level) if bytes(&peer) > level => {
                lacking.insert(primary);
            }
            _ => given.push(peer),
        }
    }
    (given, lacking)
}

/// What has a place of its own beside the rows of robots, and the keys of what has none.
#[derive(Default)]
pub(super) struct Given {
    pub(super) recalls: Vec<KnownRecall>,
    pub(super) models: Vec<KnownModel>,
    pub(super) makers: Vec<KnownMaker>,
    /// Registries with more recalls than are read of one.
    pub(super) lacking: BTreeSet<Prefix>,
    unnamed: Vec<Digest>,
}

impl Given {
    pub(super) fn read(records: &Records<'_>, me: Prefix) -> Result<Self, StorageFault> {
        let mut given = Self::default();
        given.recalls(records, me)?;
        given.models(records)?;
        given.makers(records)?;
        Ok(given)
    }

    /// Recalls that bind, as many of each maker's as have room: all of a model, or the model has none here.
    fn recalls(&mut self, records: &Records<'_>, me: Prefix) -> Result<(), StorageFault> {
        let wanted = self.wanted(records, me)?;
        let mut named: BTreeMap<RecallId, KnownRecall> = BTreeMap::new();
        for (maker, room) in rooms(&wanted) {
            let mut taken = Taken::default();
            let mut by_model = ByModel::from(records, BehindRecalls::AllBefore(maker));
            while let Some((model, notices)) = by_model.next_of(&maker)? {
                if taken.bytes + taken.more(&notices) > room {
                    self.unnamed.push(key_of_model(&model));
                    continue;
                }
                taken.take(&notices);
                for notice in notices {
                    let of = named.entry(notice.id.clone());
                    let models = Vec::new();
                    let of = of.or_insert(KnownRecall { notice, models });
                    of.models.push(model);
                }
            }
        }
        self.recalls = named.into_values().collect();
        Ok(())
    }

    /// What the recalls of each maker's models take. Of a maker or registry with more than are read of one there is nothing here.
    fn wanted(
        &mut self,
        records: &Records<'_>,
        me: Prefix,
    ) -> Result<Vec<(EnterpriseId, u64)>, StorageFault> {
        let mut all: Vec<(EnterpriseId, u64)> = Vec::new();
        let mut by_model = ByModel::from(records, BehindRecalls::Nothing);
        let (mut of_registry, mut of_maker) = (0_usize, 0_usize);
        let mut before: Option<EnterpriseId> = None;
        let mut taken = Taken::default();
        while let Some((model, id)) = by_model.next()? {
            let (maker, registry) = (model.enterprise_id(), model.prefix());
            if before.map(|before| before.prefix()) != Some(registry) {
                of_registry = 0;
            }
            if before != Some(maker) {
                (of_maker, taken) = (0, Taken::default());
                all.push((maker, 0));
            }
            before = Some(maker);
            of_registry += 1;
            of_maker += 1;
            if registry != me && of_registry > RECALLS_OF_REGISTRY_MAX {
                self.lacking.insert(registry);
                all.retain(|(maker, _)| maker.prefix() != registry);
                by_model.go_on(BehindRecalls::Registry(registry));
                continue;
            }
            if of_maker > RECALLS_OF_MAKER_MAX {
                self.unnamed.push(key_of_maker(&maker));
                // It wants nothing, and is passed by.
                all.pop();
                by_model.go_on(BehindRecalls::Maker(maker));
                continue;
            }
            if let Some(notice) = binding(records, &model, &id)? {
                taken.take(&[notice]);
            }
            if let Some((_, bytes)) = all.last_mut() {
                *bytes = taken.bytes;
            }
        }
        Ok(all)
    }

    fn models(&mut self, records: &Records<'_>) -> Result<(), StorageFault> {
        let mut after = None;
        let mut all: Vec<ModelId> = Vec::new();
        while all.len() <= KEYS_READ_MAX {
            let page = records.fallen_models(after.as_ref(), ROWS_AT_ONCE)?;
            let Some(last) = page.last() else {
                break;
            };
            after = Some(*last);
            all.extend(page);
        }
        let of_makers: Vec<&[ModelId]> = all
            .chunk_by(|one, next| one.enterprise_id() == next.enterprise_id())
            .collect();
        let counts = of_makers.iter().map(|models| models.len() as u64);
        let level = level(counts, PACK_MODELS_MAX as u64);
        let most = level.and_then(|level| usize::try_from(level).ok());
        for models in of_makers {
            let (given, others) = models.split_at(most.unwrap_or(models.len()).min(models.len()));
            for id in given {
                let model = records.model(id)?;
                let approval = model.map_or(ApprovalStatus::Withdrawn, |model| model.status);
                self.models.push(KnownModel { id: *id, approval });
            }
            self.unnamed.extend(others.iter().map(key_of_model));
        }
        Ok(())
    }

    /// Makers that are not active: how many, a registrar decides.
    fn makers(&mut self, records: &Records<'_>) -> Result<(), StorageFault> {
        let mut after = None;
        loop {
            let page = records.inactive_enterprises(after.as_ref(), ROWS_AT_ONCE)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for id in page {
                if self.makers.len() >= PACK_MODELS_MAX {
                    self.unnamed.push(key_of_maker(&id));
                    continue;
                }
                let maker = records.enterprise(&id)?;
                let successor = maker.as_ref().and_then(|maker| maker.successor);
                let status = maker.map_or(EnterpriseStatus::StruckOff, |maker| maker.status);
                self.makers.push(KnownMaker {
                    id,
                    status,
                    successor,
                });
            }
        }
    }
}

/// What binds of a recall by which a model is found, if anything binds that model.
fn binding(
    records: &Records<'_>,
    model: &ModelId,
    id: &RecallId,
) -> Result<Option<RecallNotice>, StorageFault> {
    let recall = records.recall(id)?;
    let bound = recall.as_ref().and_then(|recall| recall.binding());
    let bound = bound.filter(|(_, models)| models.contains(model));
    Ok(bound.map(|(notice, _)| notice.clone()))
}

/// The room of each maker: registries share it evenly, and of each its makers.
fn rooms(wanted: &[(EnterpriseId, u64)]) -> Vec<(EnterpriseId, u64)> {
    let of_registries: Vec<&[(EnterpriseId, u64)]> = wanted
        .chunk_by(|(one, _), (next, _)| one.prefix() == next.prefix())
        .collect();
    let sum = |makers: &[(EnterpriseId, u64)]| makers.iter().map(|(_, bytes)| bytes).sum::<u64>();
    let even = level(
        of_registries.iter().map(|makers| sum(makers)),
        RECALLS_BYTES_MAX,
    );
    let mut all = Vec::new();
    for makers in of_registries {
        let room = even.unwrap_or(u64::MAX);
        let most = level(makers.iter().map(|(_, bytes)| *bytes), room).unwrap_or(u64::MAX);
        all.extend(
            makers
                .iter()
                .map(|(maker, bytes)| (*maker, most.min(*bytes))),
        );
    }
    all
}

/// What the recalls of one maker take of the room: each notice once, and each model that it names.
#[derive(Default)]
struct Taken {
    notices: BTreeSet<RecallId>,
    bytes: u64,
}

impl Taken {
    fn more(&self, notices: &[RecallNotice]) -> u64 {
        let bytes = |notice: &RecallNotice| match self.notices.contains(&notice.id) {
            true => MODEL_BYTES,
            // The list of its models has a length.
            false => MODEL_BYTES + 8 + (notice.to_bytes().len() as u64).max(RECALL_BYTES_MIN),
        };
        notices.iter().map(bytes).sum()
    }

    fn take(&mut self, notices: &[RecallNotice]) {
        self.bytes += self.more(notices);
        let ids = notices.iter().map(|notice| notice.id.clone());
        self.notices.extend(ids);
    }
}

/// Recalls that have not ended, in the order of the models that they name.
struct ByModel<'r, 'v> {
    records: &'r Records<'v>,
    behind: BehindRecalls,
    page: VecDeque<(ModelId, RecallId)>,
}

impl<'r, 'v> ByModel<'r, 'v> {
    fn from(records: &'r Records<'v>, behind: BehindRecalls) -> Self {
        Self {
            records,
            behind,
            page: VecDeque::new(),
        }
    }

    fn go_on(&mut self, behind: BehindRecalls) {
        self.behind = behind;
        self.page.clear();
    }

    fn peek(&mut self) -> Result<Option<&(ModelId, RecallId)>, StorageFault> {
        if self.page.is_empty() {
            let page = self.records.recalls_by_model(&self.behind, ROWS_AT_ONCE)?;
            if let Some((model, recall)) = page.last() {
                self.behind = BehindRecalls::Recall(*model, recall.clone());
            }
            self.page = page.into();
        }
        Ok(self.page.front())
    }

    fn next(&mut self) -> Result<Option<(ModelId, RecallId)>, StorageFault> {
        self.peek()?;
        Ok(self.page.pop_front())
    }

    /// The next model of a maker, with what binds it.
    fn next_of(
        &mut self,
        maker: &EnterpriseId,
    ) -> Result<Option<(ModelId, Vec<RecallNotice>)>, StorageFault> {
        let next = self.peek()?.map(|(model, _)| *model);
        let Some(model) = next.filter(|model| model.enterprise_id() == *maker) else {
            return Ok(None);
        };
        let mut notices = Vec::new();
        while self.peek()?.is_some_and(|(of, _)| *of == model) {
            if let Some((_, id)) = self.next()? {
                notices.extend(binding(self.records, &model, &id)?);
            }
        }
        Ok(Some((model, notices)))
    }
}

/// Whose rows there are, those first that make way first: of an end, its being in the set says nearly as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Its end binds, whoever bears it.
    Ended,
    /// Something blocks it.
    Blocked,
    /// It is here for a time, or elsewhere.
    Stays,
}

impl Class {
    fn of(against: Against) -> Self {
        match against {
            Against::Ended => Self::Ended,
            Against::Blocked | Against::Unshown => Self::Blocked,
            Against::Guest | Against::Apart { .. } | Against::Idle | Against::Settled => {
                Self::Stays
            }
        }
    }
}

/// The robots of one maker whose records speak against them.
struct OfMaker {
    maker: EnterpriseId,
    blocked: u64,
    stays: u64,
    keys: u64,
    /// Those of which nothing is said but that they are here.
    settled: u64,
}

struct Row {
    class: Class,
    robot: KnownRobot,
    bytes: usize,
}

/// What is recorded of robots and identities: rows while there is room, keys of the others.
pub(super) struct Robots {
    me: Prefix,
    rows: BTreeMap<Digest, Row>,
    others: Keys,
}

/// What of them is in the pack.
pub(super) struct Packed {
    pub(super) robots: Vec<(Digest, KnownRobot)>,
    pub(super) others: Option<PackedSieve>,
    /// Whether everybody is named.
    pub(super) whole: bool,
}

impl Robots {
    pub(super) fn read(
        records: &Records<'_>,
        me: Prefix,
        salt: u64,
        given: &Given,
    ) -> Result<Self, StorageFault> {
        let mut robots = Self {
            me,
            rows: BTreeMap::new(),
            others: Keys::salted(salt),
        };
        given.unnamed.iter().for_each(|key| robots.others.add(key));
        let of_makers = of_makers(records)?;
        let sum = |count: fn(&OfMaker) -> u64| of_makers.iter().map(count).sum::<u64>();
        let ends = ends_up_to(records, PACK_ROBOTS_MAX)? as u64;
        let (blocked, stays) = (sum(|of| of.blocked), sum(|of| of.stays));
        let even = level([blocked, stays, ends], PACK_ROBOTS_MAX as u64).unwrap_or(u64::MAX);
        let most = |count: fn(&OfMaker) -> u64| {
            level(of_makers.iter().map(count), even).unwrap_or(u64::MAX)
        };
        let (blocked, stays) = (most(|of| of.blocked), most(|of| of.stays));
        let keys = level(of_makers.iter().map(|of| of.keys), KEYS_OF_ROBOTS_MAX);
        let keys = keys.unwrap_or(u64::MAX);
        let settled = level(of_makers.iter().map(|of| of.settled), KEYS_OF_SETTLED_MAX);
        let settled = settled.unwrap_or(u64::MAX);
        robots.against(records, &of_makers, [blocked, stays, keys, settled])?;
        robots.ends(records, usize::try_from(even.min(ends)).unwrap_or(0))?;
        Ok(robots)
    }

    /// Robots whose records speak against them: rows for the first of each maker, keys for the others, and for the maker alone
    /// where those are too many.
    fn against(
        &mut self,
        records: &Records<'_>,
        of_makers: &[OfMaker],
        [blocked, stays, keys, settled]: [u64; 4],
    ) -> Result<(), StorageFault> {
        let mut of_makers = of_makers.iter();
        let mut now: Option<(&OfMaker, u64, u64)> = None;
        each_against(records, |code, against| {
            let maker = code.enterprise_id();
            while now.is_none_or(|(of, ..)| of.maker != maker) {
                let Some(of) = of_makers.next() else {
                    return Ok(());
                };
                if of.keys > keys {
                    self.others.add(&key_of_maker(&of.maker));
                }
                if of.settled > settled {
                    self.others.add(&key_of_maker_here(&of.maker));
                }
                now = Some((of, blocked, stays));
            }
            let Some((of, blocked, stays)) = &mut now else {
                return Ok(());
            };
            let key = Subject::robot(code).key();
            if against == Against::Settled {
                // No row says more of it.
                if of.settled <= settled {
                    self.others.add(&key_of_here(&key));
                }
                return Ok(());
            }
            let left = match Class::of(against) {
                Class::Blocked => blocked,
                Class::Stays => stays,
                Class::Ended => &mut 0,
            };
            if *left > 0 {
                *left -= 1;
                if self.row(records, code, &key, Class::of(against))? {
                    return Ok(());
                }
            }
            if of.keys <= keys {
                let named = keys_of(&key, against);
                named.iter().for_each(|key| self.others.add(key));
            }
            Ok(())
        })
    }

    /// Whether a robot has a row now.
    fn row(
        &mut self,
        records: &Records<'_>,
        code: &Code,
        key: &Digest,
        class: Class,
    ) -> Result<bool, StorageFault> {
        let Some(robot) = records.robot(code)? else {
            return Ok(false);
        };
        let robot = row_of(records, &robot, &self.me)?;
        let bytes = bytes_of(key, &robot);
        if bytes > ROW_BYTES_MAX {
            return Ok(false);
        }
        let row = Row {
            class,
            robot,
            bytes,
        };
        self.rows.insert(*key, row);
        Ok(true)
    }

    /// The identities whose end is shown, proven or said here: codes, bodies, parts and keys.
    fn ends(&mut self, records: &Records<'_>, mut left: usize) -> Result<(), StorageFault> {
        let mut after = None;
        while self.others.added() <= KEYS_READ_MAX {
            let page = records.ends_after(after.as_ref(), ROWS_AT_ONCE)?;
            let Some((last, _)) = page.last() else {
                break;
            };
            after = Some(*last);
            let shown = page
                .iter()
                .filter_map(|(key, ended)| Some((key, ended.as_ref()?)));
            for (key, ended) in shown {
                let ended = Some(Ending::of(ended));
                if let Some(row) = self.rows.get_mut(key) {
                    row.robot.ended = ended;
                    row.bytes = bytes_of(key, &row.robot);
                    continue;
                }
                if left == 0 {
                    self.others.add(key);
                    continue;
                }
                left -= 1;
                let robot = KnownRobot {
                    ended,
                    ..KnownRobot::default()
                };
                let row = Row {
                    class: Class::Ended,
                    bytes: bytes_of(key, &robot),
                    robot,
                };
                self.rows.insert(*key, row);
            }
        }
        Ok(())
    }

    /// What has room in so many bytes. Rows make way for the set: a robot that is in it is asked about online, and one that is in
    /// neither would not be.
    pub(super) fn pack(mut self, room: usize) -> Packed {
        let mut rows: Vec<(Digest, Row)> = std::mem::take(&mut self.rows).into_iter().collect();
        rows.sort_by_key(|(key, row)| (std::cmp::Reverse(row.class), *key));
        let mut bytes: usize = rows.iter().map(|(_, row)| row.bytes).sum();
        loop {
            let count = self.others.added() as u64;
            let bits = room.checked_sub(bytes);
            let bits = bits.and_then(|room| bits_for(count, room));
            let enough = match rows.len() > ROWS_KEPT {
                true => bits.is_some_and(|bits| bits >= BITS_GOOD),
                false => bits.is_some() || rows.is_empty(),
            };
            if enough {
                break;
            }
            let kept = rows.len().saturating_sub(ROWS_MAKE_WAY);
            for (key, row) in rows.drain(kept..) {
                bytes -= row.bytes;
                let named = row.robot.against.map(|against| keys_of(&key, against));
                let ended = row.robot.ended.map(|_| key);
                let all = named.into_iter().flatten().chain(ended);
                all.for_each(|key| self.others.add(&key));
            }
        }
        let mut robots: Vec<(Digest, KnownRobot)> = rows
            .into_iter()
            .map(|(key, row)| (key, row.robot))
            .collect();
        robots.sort_by_key(|(key, _)| *key);
        let named = self.others.added();
        let others = (named > 0 && named <= KEYS_READ_MAX)
            .then(|| self.others.pack(room.saturating_sub(bytes)))
            .flatten();
        Packed {
            robots,
            whole: named == 0 || others.is_some(),
            others,
        }
    }
}

fn bytes_of(key: &Digest, robot: &KnownRobot) -> usize {
    (*key, robot.clone()).to_bytes().len()
}

fn each_against(
    records: &Records<'_>,
    mut each: impl FnMut(&Code, Against) -> Result<(), StorageFault>,
) -> Result<(), StorageFault> {
    let mut after = None;
    loop {
        let page = records.against_after(after.as_ref(), ROWS_AT_ONCE)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        page.iter()
            .try_for_each(|(code, against)| each(code, *against))?;
    }
}

fn of_makers(records: &Records<'_>) -> Result<Vec<OfMaker>, StorageFault> {
    let mut all: Vec<OfMaker> = Vec::new();
    each_against(records, |code, against| {
        let maker = code.enterprise_id();
        if all.last().is_none_or(|of| of.maker != maker) {
            all.push(OfMaker {
                maker,
                blocked: 0,
                stays: 0,
                keys: 0,
                settled: 0,
            });
        }
        if let Some(of) = all.last_mut() {
            if against == Against::Settled {
                of.settled += 1;
                return Ok(());
            }
            match Class::of(against) {
                Class::Blocked => of.blocked += 1,
                Class::Stays => of.stays += 1,
                Class::Ended => {}
            }
            of.keys += keys_of(&Digest::ZERO, against).len() as u64;
        }
        Ok(())
    })?;
    Ok(all)
}

/// How many identities ended, up to so many.
fn ends_up_to(records: &Records<'_>, count_max: usize) -> Result<usize, StorageFault> {
    let (mut count, mut after) = (0, None);
    while count < count_max {
        let page = records.ends_after(after.as_ref(), ROWS_AT_ONCE)?;
        let Some((last, _)) = page.last() else {
            break;
        };
        after = Some(*last);
        count += page.iter().filter(|(_, ended)| ended.is_some()).count();
    }
    Ok(count.min(count_max))
}

#[cfg(test)]
mod tests {
    use carnet_domain::bytes::digest::sha256;
    use carnet_domain::bytes::time::TimeMs;
    use carnet_domain::record::ledger::Ledger;
    use carnet_domain::record::{
        Ended, Ends, Hold, Holder, Predicate, Recall, RecallStatus, Robot, Setter, Severity, Stay,
    };
    use carnet_domain::rules::command::Purpose;
    use carnet_domain::rules::lifecycle::{HoldKind, State};
    use carnet_domain::rules::policy::Role;
    use carnet_kit::Country;
    use carnet_store::engine::KvEngine;
    use carnet_store::memory::MemoryEngine;
    use carnet_store::overlay::{Overlay, Verified};
    use carnet_trust::known::{Known, Source, Told};
    use carnet_trust::pack::PACK_BYTES_MAX;
    use carnet_trust::sieve::Sieve;

    use super::*;

    struct Nothing;

    impl Verified for Nothing {
        fn knows(&self, _: &Digest) -> bool {
            false
        }
    }

    fn put(engine: &MemoryEngine, change: impl FnOnce(&mut Overlay<'_>)) {
        let mut overlay = Overlay::new(engine, &Nothing, None);
        change(&mut overlay);
        engine.write(overlay.finish().batch).expect("a write");
    }

    /// As a verifier knows it that opened a pack made of this, and how many bytes it takes.
    fn known_in(engine: &MemoryEngine, me: Prefix, room: usize) -> (Known, usize) {
        let records = Records(engine);
        let given = Given::read(&records, me).expect("a read");
        let robots = Robots::read(&records, me, 1, &given).expect("a read");
        let packed = robots.pack(room);
        let robots: usize = packed
            .robots
            .iter()
            .map(|(key, row)| bytes_of(key, row))
            .sum();
        let others = packed
            .others
            .as_ref()
            .map_or(0, |others| others.data.0.len());
        let recalls: usize = given.recalls.iter().map(|one| one.to_bytes().len()).sum();
        assert!(recalls as u64 <= RECALLS_BYTES_MAX, "{recalls}");
        assert!(given.recalls.len() <= PACK_RECALLS_MAX);
        assert!(packed.robots.len() <= PACK_ROBOTS_MAX);
        let mut known = Known::nothing(Source::Pack, TimeMs(1));
        known.others = packed
            .others
            .map(|packed| Sieve::open(1, &packed).expect("a set"));
        known.robots = packed.robots.into_iter().collect();
        known.whole = packed.whole;
        known.recalls = given.recalls;
        known.models = given.models;
        known.makers = given.makers;
        known.lacking = given.lacking.into_iter().collect();
        (known, robots + others)
    }

    fn known(engine: &MemoryEngine, me: Prefix) -> Known {
        let (known, bytes) = known_in(engine, me, PACK_BYTES_MAX);
        assert!(bytes <= PACK_BYTES_MAX, "{bytes}");
        known
    }

    fn ended(country: &Country, number: u32) -> (Digest, Ends) {
        let proven = Ended {
            code: country.code(9),
            state: State::Scrapped,
            by: country.prefix,
            at: TimeMs(1),
            leaf: Digest::ZERO,
        };
        // Proven, or of what was only said to be in a robot that ended: the same to whoever verifies.
        let (proven, said) = match number % 2 {
            0 => (Some(proven), None),
            _ => (None, Some(proven)),
        };
        let ends = Ends {
            proven,
            said,
            ..Ends::default()
        };
        (sha256(&[b"ended", &number.to_be_bytes()]), ends)
    }

    /// Of a robot of another registry's code that is here for good, the set says that it is, and nothing else; of one at home, nothing.
    #[test]
    fn who_is_here_for_good_is_found_where_it_is_shown_elsewhere() {
        let (country, robot) = one();
        let code = robot.identity.code;
        let mut abroad = country.registry();
        abroad.prefix = Prefix::parse("49").expect("a prefix");
        for (registry, here) in [(country.registry(), false), (abroad, true)] {
            let (engine, me) = (MemoryEngine::new(), registry.prefix);
            let mut overlay = Overlay::new(&engine, &Nothing, Some(registry));
            overlay.put_robot(robot.clone()).expect("put");
            engine.write(overlay.finish().batch).expect("a write");
            let known = known(&engine, me);
            assert_eq!(known.may_be_here(&code), here);
            assert!(!known.may_speak_against(&code));
            assert!(known.robots.is_empty());
        }
    }

    /// Robot 1 of a country, and the country.
    fn one() -> (Country, Robot) {
        let mut country = Country::with_market("86");
        country.must("maker", country.register(1));
        let Ok(robot) = country.ledger.robot(&country.code(1));
        (country, robot.expect("registered"))
    }

    /// The robot with another number, of a model of a maker.
    fn of(robot: &Robot, maker: &str, model: &str, serial: u32) -> Robot {
        let prefix = robot.identity.code.prefix();
        let mut robot = robot.clone();
        let code = format!("{prefix}{maker}{model}{serial:017}");
        robot.identity.code = Code::parse(&code).expect("a code");
        robot
    }

    fn stolen(country: &Country) -> Hold {
        Hold {
            kind: HoldKind::Theft,
            setter: Setter {
                prefix: country.prefix,
                party: Holder::Office {
                    name: "regulator".into(),
                },
                role: Role::Regulator,
            },
            reason: "why".into(),
            since: TimeMs(0),
        }
    }

    fn recall(issuer: Prefix, number: &str, models: Vec<ModelId>) -> Recall {
        Recall {
            notice: RecallNotice {
                id: RecallId {
                    issuer,
                    number: number.to_owned(),
                },
                severity: Severity::StopUse,
                predicate: Predicate::all(),
            },
            models,
            remedy: "x".into(),
            by: Holder::Office {
                name: "regulator".into(),
            },
            opened: TimeMs(0),
            status: RecallStatus::InForce,
            bound: None,
            decided: None,
            head: None,
        }
    }

    /// Whether the pack names a robot in some way that lets nobody take it for one of which nothing is recorded.
    fn is_named(known: &Known, robot: &Robot) -> bool {
        let code = &robot.identity.code;
        known.may_speak_against(code) || known.told_of_model(code) == Told::Perhaps
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
        robots[0].holds.push(stolen(&country));
        robots[1].state = State::Retired;
        let few = 100_u32;
        let many = u32::try_from(PACK_ROBOTS_MAX).expect("it fits") + 2_000;
        let mut expected = Vec::new();
        for (from, to) in [(0, few), (few, many)] {
            put(&engine, |overlay| {
                for robot in &robots {
                    overlay.put_robot(robot.clone()).expect("put");
                }
                for number in from..to {
                    let (identity, ends) = ended(&country, number);
                    overlay.put_ends(&identity, ends).expect("put");
                    expected.push(identity);
                }
            });
            let known = known(&engine, country.prefix);
            assert!(known.whole);
            let is_set = known.others.is_some();
            assert_eq!(is_set, to == many, "a set only where it is needed");
            let missed = expected.iter().filter(|identity| {
                let row = known.robots.get(identity);
                let told = known.told(identity) == Told::Perhaps;
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
            // However many ended, a robot that was retired has its row too.
            let retired = Subject::robot(&country.code(2)).key();
            assert!(known.robots.contains_key(&retired));
        }
    }

    /// One maker's robots that owe a hundred recalls each: their rows were six kilobytes, took all the room, and the pack held
    /// neither rows nor set for anybody.
    #[test]
    fn no_maker_takes_the_rows_of_another() {
        let (country, robot) = one();
        let engine = MemoryEngine::new();
        let mut held = of(&robot, "0002", "100002", 7);
        held.holds.push(stolen(&country));
        let mut guest = of(&robot, "0002", "100002", 8);
        guest.stay = Stay::Guest {
            purpose: Purpose::RepairAndReturn,
        };
        let issuer = country.prefix;
        let owed = (0..96).map(|number| RecallId {
            issuer,
            number: format!("{number:064}"),
        });
        let owed: Vec<RecallId> = owed.collect();
        let many = 12_000_u32;
        put(&engine, |overlay| {
            for serial in 1..=many {
                let mut robot = of(&robot, "0001", "100002", serial);
                match serial % 2 {
                    0 => robot.owed.clone_from(&owed),
                    _ => robot.holds.push(stolen(&country)),
                }
                overlay.put_robot(robot).expect("put");
            }
            overlay.put_robot(held.clone()).expect("put");
            overlay.put_robot(guest.clone()).expect("put");
        });
        let known = known(&engine, country.prefix);
        assert!(known.whole);
        for robot in [&held, &guest] {
            let code = &robot.identity.code;
            assert!(known.robot(code).is_some(), "{code} has its row");
            assert_eq!(known.told_of_model(code), Told::Nothing);
        }
        let theirs = (1..=many).map(|serial| of(&robot, "0001", "100002", serial));
        assert_eq!(theirs.filter(|robot| !is_named(&known, robot)).count(), 0);
        assert!(known.robots.len() > PACK_ROBOTS_MAX / 4, "room is used");
        let stranger = of(&robot, "0002", "100002", 9);
        assert!(!is_named(&known, &stranger));
        // In less room rows make way for the set, and nobody is lost.
        let (poorer, bytes) = known_in(&engine, country.prefix, 300_000);
        assert!(bytes <= 300_000 && poorer.whole, "{bytes}");
        assert!(poorer.robots.len() < known.robots.len());
        let theirs = (1..=many).map(|serial| of(&robot, "0001", "100002", serial));
        let all = theirs.chain([held, guest]);
        assert_eq!(all.filter(|robot| !is_named(&poorer, robot)).count(), 0);
        // Where not even the set has room, the pack says so: that is the only case.
        let (none, _) = known_in(&engine, country.prefix, 9_000);
        assert!(!none.whole && none.others.is_none());
    }

    /// Recalls that were withdrawn are not read for a pack, however many there ever were, and of those in force one maker's take
    /// nothing from another's.
    #[test]
    fn no_maker_takes_the_recalls_of_another() {
        let (country, robot) = one();
        let engine = MemoryEngine::new();
        let issuer = country.prefix;
        let mine = country.model("0002", "100002");
        put(&engine, |overlay| {
            for number in 0..4_200 {
                let models = vec![country.model("0001", "100001")];
                let mut gone = recall(issuer, &format!("A{number:04}"), models);
                gone.status = RecallStatus::Withdrawn;
                overlay.put_recall(gone).expect("put");
            }
            let last = recall(issuer, "Z-1", vec![mine]);
            overlay.put_recall(last).expect("put");
        });
        let first = known(&engine, issuer);
        assert!(first.whole && first.others.is_none());
        assert_eq!(first.recalls.len(), 1);
        assert_eq!(first.recalls[0].notice.id.number, "Z-1");
        // A hundred of each of a hundred models, with numbers as long as they get.
        let models: Vec<ModelId> = (0..100)
            .map(|model| country.model("0001", &format!("{:06}", 200_000 + model)))
            .collect();
        put(&engine, |overlay| {
            for (at, model) in models.iter().enumerate() {
                for number in 0..96 {
                    let number = format!("{at:03}-{number:060}");
                    let one = recall(issuer, &number, vec![*model]);
                    overlay.put_recall(one).expect("put");
                }
            }
        });
        let known = known(&engine, issuer);
        assert!(known.whole);
        let ask = |model: &str, maker: &str| {
            known.told_of_model(&of(&robot, maker, model, 1).identity.code)
        };
        assert_eq!(ask("100002", "0002"), Told::Nothing);
        assert_eq!(ask("100001", "0001"), Told::Nothing, "nothing binds it");
        assert!(known.recalls.iter().any(|one| one.models == [mine]));
        let mut asked = 0;
        for model in &models {
            let named = known
                .recalls
                .iter()
                .filter(|one| one.models.contains(model));
            match named.count() {
                0 => {
                    let code = Code::parse(&format!("{model}{:017}", 1)).expect("a code");
                    assert_eq!(known.told_of_model(&code), Told::Perhaps);
                    asked += 1;
                }
                all => assert_eq!(all, 96, "all of a model, or none"),
            }
        }
        assert!((1..100).contains(&asked), "{asked}");
        // More than are read of one maker: its robots alone are asked about.
        put(&engine, |overlay| {
            for number in 0..RECALLS_OF_MAKER_MAX / models.len() {
                let one = recall(issuer, &format!("Y-{number}"), models.clone());
                overlay.put_recall(one).expect("put");
            }
        });
        let after = super::tests::known(&engine, issuer);
        assert!(after.whole);
        let ask = |maker: &str| after.told_of_model(&of(&robot, maker, "100002", 1).identity.code);
        assert_eq!(
            ["0001", "0002", "0003"].map(ask),
            [Told::Perhaps, Told::Nothing, Told::Nothing]
        );
    }

    /// A registry that lies about its recalls is asked about, and nobody else.
    #[test]
    fn no_registry_takes_the_recalls_of_another() {
        let (country, _) = one();
        let (me, engine) = (country.prefix, MemoryEngine::new());
        let liar = Country::unborn("49");
        let honest = Country::unborn("81");
        let models = |makers: std::ops::Range<u32>| -> Vec<ModelId> {
            let all = makers.flat_map(|maker| (0..4).map(move |model| (maker, model)));
            all.map(|(maker, model)| {
                liar.model(&format!("{maker:04}"), &format!("{:06}", 100_000 + model))
            })
            .collect()
        };
        let models = models(0..64);
        let theirs = honest.model("0001", "100002");
        put(&engine, |overlay| {
            let one = recall(honest.prefix, "R-1", vec![theirs]);
            overlay.put_recall(one).expect("put");
            for number in 0..=RECALLS_OF_REGISTRY_MAX / models.len() {
                let one = recall(liar.prefix, &format!("R-{number}"), models.clone());
                overlay.put_recall(one).expect("put");
            }
        });
        let known = known(&engine, me);
        assert!(known.whole);
        assert_eq!(known.lacking, [liar.prefix]);
        let named: Vec<_> = known
            .recalls
            .iter()
            .map(|one| one.notice.id.issuer)
            .collect();
        assert_eq!(named, [honest.prefix]);
    }

    /// Models and makers that fell are listed in the index as they fall and rise.
    #[test]
    fn who_fell_is_listed_and_who_rose_is_not() {
        let (mut country, _) = one();
        let engine = MemoryEngine::new();
        let model = country.model("0001", "100002");
        let read = |country: &Country| {
            put(&engine, |overlay| {
                for model in country.ledger.models() {
                    overlay.put_model(model.clone()).expect("put");
                }
                for maker in ["0001", "0002"] {
                    let Ok(maker) = country.ledger.enterprise(&country.enterprise(maker));
                    overlay
                        .put_enterprise(maker.expect("accredited"))
                        .expect("put");
                }
            });
            let known = known(&engine, country.prefix);
            let models = known.models.iter().map(|model| (model.id, model.approval));
            let makers = known.makers.iter().map(|maker| (maker.id, maker.status));
            (models.collect::<Vec<_>>(), makers.collect::<Vec<_>>())
        };
        let maker = country.enterprise("0001");
        let (approved, active) = (ApprovalStatus::Approved, EnterpriseStatus::Active);
        assert_eq!(read(&country), (vec![], vec![]));
        for (approval, status) in [
            (ApprovalStatus::Suspended, active),
            (approved, EnterpriseStatus::Suspended),
            (approved, active),
            (ApprovalStatus::Withdrawn, EnterpriseStatus::StruckOff),
        ] {
            let Ok(before) = country.ledger.model(&model);
            let before = before.expect("approved");
            let changed = carnet_domain::record::Model {
                status: approval,
                ..before
            };
            let Ok(()) = country.ledger.put_model(changed);
            let Ok(before) = country.ledger.enterprise(&maker);
            let before = before.expect("accredited");
            let changed = carnet_domain::record::Enterprise { status, ..before };
            let Ok(()) = country.ledger.put_enterprise(changed);
            let models = [(model, approval)]
                .into_iter()
                .filter(|one| one.1 != approved);
            let makers = [(maker, status)].into_iter().filter(|one| one.1 != active);
            assert_eq!(read(&country), (models.collect(), makers.collect()));
        }
    }
}
