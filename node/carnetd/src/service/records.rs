//! Records by name and in pages, of one moment of the state, as the caller may see them.

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::record::peer::Peer;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::transfer::Transfer;
use carnet_domain::record::{Enterprise, Model, Recall, RecallId, Robot};
use carnet_domain::rules::command::TransferId;
use carnet_store::records::Records;
use carnet_wire::status::ApiError;

use super::caller::{Caller, Permitted};
use super::cursor::Place;
use super::query::{RecordName, RecordsQuery};
use super::storage;
use super::views::View;

/// Transfers that are looked through for one page: those of others are skipped, and a page may come short.
const EXAMINED_FOR_EACH: usize = 16;

/// One record as it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A robot.
    Robot(Box<Robot>),
    /// An enterprise.
    Enterprise(Box<Enterprise>),
    /// A model.
    Model(Box<Model>),
    /// A recall.
    Recall(Box<Recall>),
    /// A transfer.
    Transfer(Box<Transfer>),
    /// A peer.
    Peer(Box<Peer>),
    /// The registry as a whole.
    Registry(Box<Registry>),
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
                    permitted.must_cover(transfer.code.enterprise_id())?;
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
            RecordName::SignedRecord(_) | RecordName::Pack => None,
        })
    }

    /// A page of at most `size` records.
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
        let query = query.within(permitted.own())?;
        let after = self.place.after(&query, token)?;
        let after = after.as_deref();
        let view = View::of(self.here, self.caller);
        let records = &self.records;
        let (found, more) = match &query {
            RecordsQuery::Robots(under) => {
                let after = name_after(after, |text| {
                    let code = Code::parse(text).ok()?;
                    (code.as_str() == text && under.begins(text)).then_some(code)
                })?;
                let found = records.robots_under(under.as_str(), after.as_ref(), size + 1);
                let found = found.map_err(storage)?.into_iter();
                let name = |robot: &Robot| robot.identity.code.to_string();
                cut(found, size, name, |robot| {
                    Record::Robot(Box::new(view.robot(&robot)))
                })
            }
            RecordsQuery::Enterprises(under) => {
                let after = name_after(after, |text| {
                    let id = EnterpriseId::parse(text).ok()?;
                    (id.as_str() == text && under.begins(text)).then_some(id)
                })?;
                let found = records.enterprises_under(under.as_str(), after.as_ref(), size + 1);
                let found = found.map_err(storage)?.into_iter();
                let name = |record: &Enterprise| record.id.to_string();
                cut(found, size, name, |record| {
                    Record::Enterprise(Box::new(record))
                })
            }
            RecordsQuery::Models(under) => {
                let after = name_after(after, |text| {
                    let id = ModelId::parse(text).ok()?;
                    (id.as_str() == text && under.begins(text)).then_some(id)
                })?;
                let found = records.models_under(under.as_str(), after.as_ref(), size + 1);
                let found = found.map_err(storage)?.into_iter();
                let name = |record: &Model| record.id.to_string();
                cut(found, size, name, |record| Record::Model(Box::new(record)))
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
                        found
                    }
                    None => records.recalls(after.as_ref(), size + 1).map_err(storage)?,
                };
                let name = |record: &Recall| record.notice.id.to_string();
                cut(found.into_iter(), size, name, |record| {
                    Record::Recall(Box::new(record))
                })
            }
            RecordsQuery::Transfers(under) => {
                let after = name_after(after, |text| {
                    TransferId::parse(text).filter(|id| hex::encode(id.0) == text)
                })?;
                let all = under.as_str().is_empty();
                let examined = if all {
                    size + 1
                } else {
                    size * EXAMINED_FOR_EACH
                };
                let found = records.transfers(after.as_ref(), examined);
                let found = found.map_err(storage)?;
                let last = (!all && found.len() == examined).then(|| found.last().cloned());
                let last = last.flatten().map(|transfer| hex::encode(transfer.id.0));
                let ours = found
                    .into_iter()
                    .filter(|transfer| under.begins(transfer.code.as_str()));
                let name = |record: &Transfer| hex::encode(record.id.0);
                let (found, more) = cut(ours, size, name, |record| {
                    Record::Transfer(Box::new(view.transfer(record)))
                });
                (found, more.or(last))
            }
            RecordsQuery::Peers => {
                let after = name_after(after, |text| {
                    Prefix::parse(text).ok().filter(|id| id.as_str() == text)
                })?;
                let found = records.peers().map_err(storage)?;
                let primary = |peer: &Peer| peer.bundle.primary();
                let found = found.into_iter().filter(|peer| {
                    after.is_none_or(|after| primary(peer).is_some_and(|prefix| after < prefix))
                });
                let name = |peer: &Peer| primary(peer).map_or(String::new(), |p| p.to_string());
                cut(found, size, name, |record| Record::Peer(Box::new(record)))
            }
        };
        Ok(Page {
            records: found,
            next: more.map_or(String::new(), |after| self.place.token(&query, &after)),
        })
    }
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

/// The first `size` of what was found, and the name of the last of them if more follows.
fn cut<T>(
    mut found: impl Iterator<Item = T>,
    size: usize,
    name: impl Fn(&T) -> String,
    show: impl Fn(T) -> Record,
) -> (Vec<Record>, Option<String>) {
    let (mut shown, mut last) = (Vec::new(), None);
    for record in found.by_ref().take(size) {
        last = Some(name(&record));
        shown.push(show(record));
    }
    let more = found.next().is_some();
    (shown, last.filter(|_| more))
}
