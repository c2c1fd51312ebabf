//! Records by name and in pages, of one moment of the state, as the caller may see them.

use std::ops::ControlFlow;

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::SUCCESSIONS_MAX;
use carnet_domain::log::stored::ShownLeaf;
use carnet_domain::record::denied::DenyList;
use carnet_domain::record::past::PastProposal;
use carnet_domain::record::peer::Peer;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{Enterprise, Model, Parked, ParkedPlace, Recall, RecallId, Robot};
use carnet_domain::rules::command::TransferId;
use carnet_domain::rules::parties::is_own;
use carnet_store::records::{Bound, Part, Records};
use carnet_wire::limits::CLIENT_RESPONSE_BYTES_MAX;
use carnet_wire::status::ApiError;

use super::caller::{Caller, Permitted};
use super::cursor::Place;
use super::proposals;
use super::query::{Beginning, RecordName, RecordsQuery};
use super::storage;
use super::views::View;

/// The most bytes of one page: an answer has room for them and for what stands around them.
pub const PAGE_BYTES_MAX: usize = CLIENT_RESPONSE_BYTES_MAX / 4 * 3;
/// Transfers that are looked through for each on a page: those of others are skipped, and a page may come short.
const EXAMINED_FOR_EACH: usize = 16;

/// One record as it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// What is kept of one, cut to its reader.
    Robot(Box<Robot>),
    /// What is public of an accreditation.
    Enterprise(Box<Enterprise>),
    /// What is public of an approval.
    Model(Box<Model>),
    /// As its notice stands, and what it is owed on.
    Recall(Box<Recall>),
    /// As it stands at this side of the border.
    Transfer(Box<Transfer>),
    /// What is kept of another registry.
    Peer(Box<Peer>),
    /// The registry as a whole.
    Registry(Box<Registry>),
    /// What is refused.
    DenyList(Box<DenyList>),
    /// An item of a peer that waits, without its bytes.
    Parked(Box<Parked>),
    /// What was proposed, and what became of it.
    Proposal(Box<PastProposal>),
    /// COSE_Sign1 bytes.
    Signed(Vec<u8>),
}

impl Record {
    /// Its canonical bytes; what is signed is itself bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Robot(record) => record.to_bytes(),
            Self::Enterprise(record) => record.to_bytes(),
            Self::Model(record) => record.to_bytes(),
            Self::Recall(record) => record.to_bytes(),
            Self::Transfer(record) => record.to_bytes(),
            Self::Peer(record) => record.to_bytes(),
            Self::Registry(record) => record.to_bytes(),
            Self::DenyList(record) => record.to_bytes(),
            Self::Parked(record) => record.to_bytes(),
            Self::Proposal(record) => record.to_bytes(),
            Self::Signed(bytes) => bytes.clone(),
        }
    }
}

/// A page of records.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The records, in the order of their names.
    pub records: Vec<Record>,
    /// The token of the next page; empty when nothing follows.
    pub next: String,
}

/// Leaves of one robot.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Oldest first.
    pub leaves: Vec<ShownLeaf>,
    /// The sequence of the next; none at the end.
    pub next: Option<u64>,
}

/// What is read, for whom.
pub struct Reading<'a> {
    /// The records of one moment.
    pub records: Records<'a>,
    /// Prefix of the registry.
    pub here: Prefix,
    /// Of which registry page tokens are.
    pub place: Place,
    /// Who asks.
    pub caller: &'a Caller,
    /// The most bytes of a page, as they are stored.
    pub page_bytes_max: usize,
}

impl Reading<'_> {
    /// A record that is kept; signed records are made, not kept, and are none of these.
    ///
    /// # Errors
    /// It is not the caller's to see, or the read failed.
    pub fn record(
        &self,
        name: &RecordName,
        permitted: Permitted,
    ) -> Result<Option<Record>, ApiError> {
        let records = &self.records;
        let view = View::of(self.here, self.caller);
        Ok(match name {
            RecordName::Robot(code) => {
                let robot = records.robot(code).map_err(storage)?;
                robot.map(|robot| Record::Robot(Box::new(view.robot(&robot))))
            }
            RecordName::Enterprise(id) => {
                let found = records.enterprise(id).map_err(storage)?;
                found.map(|record| Record::Enterprise(Box::new(record)))
            }
            RecordName::Model(id) => {
                let found = records.model(id).map_err(storage)?;
                found.map(|record| Record::Model(Box::new(record)))
            }
            RecordName::Recall(id) => {
                let found = records.recall(id).map_err(storage)?;
                found.map(|record| Record::Recall(Box::new(record)))
            }
            RecordName::Transfer(id) => match records.transfer(id).map_err(storage)? {
                None => None,
                Some(transfer) => {
                    self.must_cover(permitted, &transfer.code)?;
                    Some(Record::Transfer(Box::new(view.transfer(transfer))))
                }
            },
            RecordName::Peer(prefix) => {
                let found = records.peer(prefix).map_err(storage)?;
                found.map(|record| Record::Peer(Box::new(record)))
            }
            RecordName::Registry => {
                let found = records.registry().map_err(storage)?;
                found.map(|record| Record::Registry(Box::new(view.registry(&record))))
            }
            RecordName::DenyList => {
                let found = records.deny_list().map_err(storage)?;
                Some(Record::DenyList(Box::new(found)))
            }
            RecordName::Proposal(number) => {
                let found = proposals::numbered(records, *number)?;
                found.map(|one| Record::Proposal(Box::new(one)))
            }
            RecordName::SignedRecord(_) | RecordName::Pack => None,
        })
    }

    /// A page of at most `size` records, and fewer where they are large: at least one, if there is one.
    ///
    /// # Errors
    /// The filter asks for what is not the caller's to see, the token is not of this query, or the read failed.
    pub fn page(
        &self,
        query: RecordsQuery,
        token: &str,
        size: usize,
        permitted: Permitted,
    ) -> Result<Page, ApiError> {
        let (query, own) = self.asked(query, permitted)?;
        let after = self.place.after(&query, token)?;
        let after = after.as_deref();
        let view = View::of(self.here, self.caller);
        let records = &self.records;
        let bound = Bound {
            count: size,
            bytes: self.page_bytes_max,
        };
        let (found, more) = match &query {
            RecordsQuery::Robots(under) => {
                let after = name_after(after, |text| {
                    let code = Code::parse(text).ok()?;
                    (code.as_str() == text && under.begins(text)).then_some(code)
                })?;
                let (found, next) = self.robots(under, after.as_ref(), bound, own)?;
                let found = found.iter();
                let found = found.map(|robot| Record::Robot(Box::new(view.robot(robot))));
                (found.collect(), next.map(|code| code.to_string()))
            }
            RecordsQuery::Enterprises(under) => {
                let after = name_after(after, |text| {
                    let id = EnterpriseId::parse(text).ok()?;
                    (id.as_str() == text && under.begins(text)).then_some(id)
                })?;
                let found = records.enterprises_under(under.as_str(), after.as_ref(), bound);
                let found = found.map_err(storage)?;
                let name = |record: &Enterprise| record.id.to_string();
                shown(found, name, |record| Record::Enterprise(Box::new(record)))
            }
            RecordsQuery::Models(under) => {
                let after = name_after(after, |text| {
                    let id = ModelId::parse(text).ok()?;
                    (id.as_str() == text && under.begins(text)).then_some(id)
                })?;
                let found = records.models_under(under.as_str(), after.as_ref(), bound);
                let found = found.map_err(storage)?;
                let name = |record: &Model| record.id.to_string();
                shown(found, name, |record| Record::Model(Box::new(record)))
            }
            RecordsQuery::Recalls(model) => {
                let after = name_after(after, |text| {
                    RecallId::parse(text).filter(|id| id.to_string() == text)
                })?;
                let found = match model {
                    // As many as may name one model: the bound is of the rules.
                    Some(model) => {
                        let mut found = records.recalls_of(model).map_err(storage)?;
                        found.retain(|recall| {
                            after.as_ref().is_none_or(|after| after < &recall.notice.id)
                        });
                        cut(found, bound)
                    }
                    None => records.recalls(after.as_ref(), bound).map_err(storage)?,
                };
                let name = |record: &Recall| record.notice.id.to_string();
                shown(found, name, |record| Record::Recall(Box::new(record)))
            }
            RecordsQuery::Transfers(under) => {
                let after = name_after(after, |text| {
                    TransferId::parse(text).filter(|id| hex::encode(id.0) == text)
                })?;
                let found = self.transfers(under, after.as_ref(), bound, own)?;
                let shown = found.records.into_iter();
                let shown = shown.map(|one| Record::Transfer(Box::new(view.transfer(one))));
                (shown.collect(), found.next.map(|id| hex::encode(id.0)))
            }
            RecordsQuery::Peers => {
                let after = name_after(after, |text| {
                    Prefix::parse(text).ok().filter(|id| id.as_str() == text)
                })?;
                let found = records.peers_after(after.as_ref(), bound);
                let found = found.map_err(storage)?;
                let primary = |peer: &Peer| peer.bundle.primary();
                let name = |peer: &Peer| primary(peer).map_or(String::new(), |p| p.to_string());
                shown(found, name, |record| Record::Peer(Box::new(record)))
            }
            RecordsQuery::Parked(of) => {
                let after = name_after(after, place_of)?;
                let found = self.parked(*of, after, bound)?;
                let name = |record: &Parked| place_name(&record.peer, record.item);
                shown(found, name, |record| Record::Parked(Box::new(record)))
            }
            RecordsQuery::Proposals => {
                let after = name_after(after, |text| {
                    let number = text.parse::<u64>().ok()?;
                    (number.to_string() == text).then_some(number)
                })?;
                let found = proposals::page(records, after, bound)?;
                let name = |record: &PastProposal| record.number.to_string();
                shown(found, name, |record| Record::Proposal(Box::new(record)))
            }
        };
        Ok(Page {
            records: found,
            next: more.map_or(String::new(), |after| self.place.token(&query, &after)),
        })
    }

    /// Leaves of a robot from a sequence on, at most `size`, and fewer where they are large.
    ///
    /// # Errors
    /// The read failed.
    pub fn history(
        &self,
        code: &Code,
        from: u64,
        size: usize,
        permitted: Permitted,
    ) -> Result<History, ApiError> {
        self.must_cover(permitted, code)?;
        let whole = permitted.covers(code.enterprise_id());
        let bound = Bound {
            count: size,
            bytes: self.page_bytes_max,
        };
        let newest = self.records.head_of_robot(code).map_err(storage)?;
        let part = self.records.history_part(newest, from, bound);
        let part = part.map_err(storage)?;
        let view = View::of(self.here, self.caller);
        let leaves: Vec<ShownLeaf> = part
            .records
            .iter()
            .map(|leaf| view.leaf(leaf, whole))
            .collect();
        let end = from.checked_add(leaves.len() as u64);
        let next = end.filter(|_| part.more);
        Ok(History { leaves, next })
    }

    /// What a caller asks for, as far as it may see it; and whose robots among others' it is shown, found by looking at each: those
    /// of the make of others that are its own all the same.
    fn asked(
        &self,
        query: RecordsQuery,
        permitted: Permitted,
    ) -> Result<(RecordsQuery, Option<EnterpriseId>), ApiError> {
        let Some(own) = permitted.own() else {
            return Ok((query, None));
        };
        let (RecordsQuery::Robots(asked) | RecordsQuery::Transfers(asked)) = &query else {
            return Ok((query.within(Some(own))?, None));
        };
        // Whose make it is has an order by code.
        let made = matches!(query, RecordsQuery::Robots(_)) && permitted.makes();
        if asked.is_under(own) || (asked.is_all() && made) {
            return Ok((query.within(Some(own))?, None));
        }
        if let Some(maker) = asked.enterprise()
            && self.goes_on_for(own, maker)?
        {
            return Ok((query, None));
        }
        Ok((query, Some(own)))
    }

    /// Whether an enterprise was named to go on for another that is over.
    fn goes_on_for(&self, own: EnterpriseId, other: EnterpriseId) -> Result<bool, ApiError> {
        let registry = self.records.registry().map_err(storage)?;
        let now = registry.map_or(TimeMs::EPOCH, |registry| registry.log_time);
        let mut at = other;
        for _ in 0..SUCCESSIONS_MAX {
            let found = self.records.enterprise(&at).map_err(storage)?;
            match found
                .filter(|found| found.is_over(now))
                .and_then(|found| found.successor)
            {
                Some(next) if next == own => return Ok(true),
                Some(next) => at = next,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Whether a robot is an enterprise's own, whoever made it.
    fn is_own(&self, own: EnterpriseId, code: &Code) -> Result<bool, ApiError> {
        let robot = self.records.robot(code).map_err(storage)?;
        Ok(robot.is_some_and(|robot| is_own(self.here, own, &robot)))
    }

    /// Refuses what is not the caller's to see of a robot.
    ///
    /// # Errors
    /// It is not, or the read failed.
    pub fn must_cover(&self, permitted: Permitted, code: &Code) -> Result<(), ApiError> {
        let Some(own) = permitted.own() else {
            return Ok(());
        };
        if permitted.covers(code.enterprise_id()) || self.is_own(own, code)? {
            return Ok(());
        }
        Err(ApiError::denied(format!(
            "robot {code} is not of {own}, which neither made nor has, owns, operates or repairs it"
        )))
    }

    /// Robots under a filter, by code, and behind which the search goes on; with `own`, those that are its own, which are found by
    /// looking at each: a page may come short.
    fn robots(
        &self,
        under: &Beginning,
        after: Option<&Code>,
        bound: Bound,
        own: Option<EnterpriseId>,
    ) -> Result<(Vec<Robot>, Option<Code>), ApiError> {
        let code = |robot: &Robot| robot.identity.code;
        let examined = match own {
            None => bound,
            Some(_) => Bound {
                count: bound.count * EXAMINED_FOR_EACH,
                bytes: bound.bytes * 2,
            },
        };
        let found = self.records.robots_under(under.as_str(), after, examined);
        let Part { mut records, more } = found.map_err(storage)?;
        let last = records.last().map(code).filter(|_| more);
        let Some(own) = own else {
            return Ok((records, last));
        };
        records.retain(|robot| is_own(self.here, own, robot));
        let part = cut(records, bound);
        let next = match part.more {
            true => part.records.last().map(code),
            false => last,
        };
        Ok((part.records, next))
    }

    /// Transfers of the robots under a filter, by number. There is no index by whose they are: those of others are passed over,
    /// so many of so many bytes.
    fn transfers(
        &self,
        under: &Beginning,
        after: Option<&TransferId>,
        bound: Bound,
        own: Option<EnterpriseId>,
    ) -> Result<Transfers, ApiError> {
        let examined = Bound {
            count: bound.count * EXAMINED_FOR_EACH,
            bytes: self.page_bytes_max * 2,
        };
        let (mut records, mut last) = (Vec::new(), None);
        let (mut seen, mut seen_bytes, mut bytes) = (0, 0, 0);
        let mut fault = None;
        let walked = self.records.walk_transfers(after, |size, transfer| {
            if !examined.fits(seen, seen_bytes, size) {
                return ControlFlow::Break(());
            }
            let wanted = under.begins(transfer.code.as_str());
            let wanted = match own.filter(|_| wanted) {
                None => wanted,
                Some(own) => match self.is_own(own, &transfer.code) {
                    Ok(wanted) => wanted,
                    Err(error) => {
                        fault = Some(error);
                        return ControlFlow::Break(());
                    }
                },
            };
            if wanted && !bound.fits(records.len(), bytes, size) {
                return ControlFlow::Break(());
            }
            (seen, seen_bytes) = (seen + 1, seen_bytes + size);
            last = Some(transfer.id);
            if wanted {
                bytes += size;
                records.push(transfer);
            }
            ControlFlow::Continue(())
        });
        let whole = walked.map_err(storage)?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let next = last.filter(|_| !whole);
        Ok(Transfers { records, next })
    }
}

/// Transfers that were found, and behind which the search goes on.
struct Transfers {
    records: Vec<Transfer>,
    next: Option<TransferId>,
}

impl Reading<'_> {
    /// Items that wait, by peer and place, after one of them, without their bytes: as many as may be read for one page.
    fn parked(
        &self,
        of: Option<Prefix>,
        after: Option<(Prefix, u64)>,
        bound: Bound,
    ) -> Result<Part<Parked>, ApiError> {
        let peers: Vec<Prefix> = match of {
            Some(peer) => vec![peer],
            None => {
                let peers = self.records.peers().map_err(storage)?;
                let primary = |peer: &Peer| peer.bundle.primary();
                peers.iter().filter_map(primary).collect()
            }
        };
        let (mut records, mut bytes) = (Vec::new(), 0);
        for peer in peers {
            let mut places: Vec<ParkedPlace> = self.records.parked_of(&peer).map_err(storage)?;
            // Kept in the order in which they came: that of their places, but after another life of the peer's log.
            places.sort_by_key(|place| place.item);
            let behind =
                |place: &&ParkedPlace| after.is_none_or(|after| after < (peer, place.item));
            for place in places.iter().filter(behind) {
                let found = self.records.parked(&peer, place.item).map_err(storage)?;
                let Some(parked) = found else { continue };
                let size = parked.bytes.as_ref().map_or(0, |bytes| bytes.0.len());
                if !bound.fits(records.len(), bytes, size) {
                    let more = true;
                    return Ok(Part { records, more });
                }
                bytes += size;
                records.push(Parked {
                    bytes: None,
                    ..parked
                });
            }
        }
        let more = false;
        Ok(Part { records, more })
    }
}

/// What an item that waits is called in a token.
fn place_name(peer: &Prefix, item: u64) -> String {
    format!("{peer}/{item}")
}

fn place_of(text: &str) -> Option<(Prefix, u64)> {
    let (peer, item) = text.split_once('/')?;
    let (peer, item) = (Prefix::parse(peer).ok()?, item.parse().ok()?);
    (place_name(&peer, item) == text).then_some((peer, item))
}

/// The name in a token, which must be the one written form of a name that the query could have shown.
fn name_after<T>(
    after: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(text) = after else {
        return Ok(None);
    };
    match parse(text) {
        Some(name) => Ok(Some(name)),
        None => Err(ApiError::invalid(
            "page_token",
            "not a token of this registry",
        )),
    }
}

/// As many of all that was found as are within a bound.
fn cut<T: Canonical>(found: Vec<T>, bound: Bound) -> Part<T> {
    let (mut records, mut bytes, mut more) = (Vec::new(), 0, false);
    for record in found {
        let size = record.to_bytes().len();
        if !bound.fits(records.len(), bytes, size) {
            more = true;
            break;
        }
        bytes += size;
        records.push(record);
    }
    Part { records, more }
}

/// What was found as it is shown, and the name of the last if more follows.
fn shown<T>(
    found: Part<T>,
    name: impl Fn(&T) -> String,
    show: impl Fn(T) -> Record,
) -> (Vec<Record>, Option<String>) {
    let last = found.records.last().map(name).filter(|_| found.more);
    (found.records.into_iter().map(show).collect(), last)
}
