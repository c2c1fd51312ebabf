//! What a checkpoint asks of transfers: those of an office, a lane, a consignment, a model, since when they stand where they do; in
//! pages, and counted. One index of the store finds them; what it does not know is asked of each.

use carnet_domain::bytes::code::{CODE_LEN, Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::encoding::Canonical as _;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::is_ucr;
use carnet_domain::record::transfer::{Stage, Transfer};
use carnet_domain::rules::command::TransferId;
use carnet_domain::rules::parties::is_own;
use carnet_store::keys::{self, Facet};
use carnet_store::records::Under;
use carnet_wire::status::ApiError;

use super::caller::Permitted;
use super::query::Beginning;
use super::records::{Page, Reading, Record};
use super::storage;
use super::views::View;

/// Rows of the index that are read at a time, of each stage.
const ROWS_AT_ONCE: usize = 256;
/// Transfers that are looked at for one page: it may come short, and says that more follow.
const EXAMINED_MAX: usize = 8 * 1_024;

/// Which transfers; what is empty asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MovementsQuery {
    /// Of robots whose code begins so.
    pub robots: Beginning,
    /// Of a consignment.
    pub ucr: String,
    /// From this country.
    pub from: Option<Prefix>,
    /// To this country.
    pub to: Option<Prefix>,
    /// Whose papers name this office of export or of entry.
    pub office: String,
    /// That stand at one of these.
    pub stages: Vec<Stage>,
    /// That stand there since this time or a later one.
    pub since: TimeMs,
    /// That stand there since before this time.
    pub before: Option<TimeMs>,
    /// That this enterprise declared here.
    pub declarant: Option<EnterpriseId>,
    /// That did not go on in the time that they had for it.
    pub overdue: bool,
}

/// How many transfers of a lane stand at a stage since a month.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    /// From this country.
    pub from: Prefix,
    /// To this one.
    pub to: Prefix,
    /// Year and month of log time, as `2026-11`.
    pub month: String,
    /// Where they stand.
    pub stage: Stage,
    /// How many.
    pub count: u64,
}

impl MovementsQuery {
    /// Refuses what no transfer could be found by.
    ///
    /// # Errors
    /// A reference that no consignment has.
    pub fn checked(self) -> Result<Self, ApiError> {
        if !self.ucr.is_empty() && !is_ucr(&self.ucr) {
            return Err(ApiError::invalid("ucr", "at most 35 of 0-9A-Z-./"));
        }
        if self.office.len() > carnet_domain::limits::TEXT_BYTES_MAX {
            return Err(ApiError::invalid("office", "no office has so long a name"));
        }
        Ok(self)
    }

    /// Everything that is asked, in words that never change: what a page token is bound to.
    pub(super) fn words(&self) -> String {
        let prefix = |one: &Option<Prefix>| one.map_or(String::new(), |it| it.to_string());
        let stages: Vec<&str> = self.stages.iter().map(|stage| stage.name()).collect();
        let declarant = self.declarant.map_or(String::new(), |id| id.to_string());
        let before = self.before.map_or(String::new(), |it| it.0.to_string());
        [
            self.robots.as_str(),
            &self.ucr,
            &prefix(&self.from),
            &prefix(&self.to),
            &self.office,
            &stages.join(","),
            &self.since.0.to_string(),
            &before,
            &declarant,
            if self.overdue { "overdue" } else { "" },
        ]
        .join("\n")
    }

    fn stages(&self) -> Vec<Stage> {
        match self.stages.is_empty() {
            true => Stage::ALL.to_vec(),
            false => {
                let mut stages = self.stages.clone();
                stages.sort_unstable();
                stages.dedup();
                stages
            }
        }
    }

    /// Where the index is entered: by what the fewest have.
    fn under(&self) -> Under {
        let code = Code::parse(self.robots.as_str()).ok();
        let code = code.filter(|_| self.robots.as_str().len() == CODE_LEN);
        let model = ModelId::parse(self.robots.as_str()).ok();
        let (facet, value) = if let (Some(from), false) = (&self.from, self.ucr.is_empty()) {
            (Facet::Consignment, keys::of_consignment(from, &self.ucr))
        } else if let Some(code) = code {
            (Facet::Robot, code.to_key().to_vec())
        } else if !self.office.is_empty() {
            (Facet::Office, keys::of_office(&self.office))
        } else if let Some(id) = &self.declarant {
            (Facet::Declarant, id.as_str().as_bytes().to_vec())
        } else if let Some(id) = &model {
            (Facet::Model, id.as_str().as_bytes().to_vec())
        } else if let (Some(from), Some(to)) = (&self.from, &self.to) {
            (Facet::Lane, keys::of_lane(from, to))
        } else {
            (Facet::All, Vec::new())
        };
        let (since, before) = (self.since, self.before);
        Under {
            facet,
            value,
            since,
            before,
        }
    }

    /// Whether the index alone says that a transfer of a lane is asked for.
    fn is_of_lane_alone(&self) -> bool {
        let lane = Self {
            stages: self.stages.clone(),
            from: self.from,
            to: self.to,
            since: self.since,
            before: self.before,
            ..Self::default()
        };
        *self == lane && self.from.is_some() && self.to.is_some()
    }

    /// Whether a transfer that was found is asked for.
    fn has(&self, transfer: &Transfer, now: TimeMs) -> bool {
        let papers = &transfer.papers;
        let named = |office: &str| keys::of_office(office) == keys::of_office(&self.office);
        self.robots.begins(transfer.code.as_str())
            && (self.ucr.is_empty() || papers.ucr == self.ucr)
            && self.from.is_none_or(|from| from == transfer.from)
            && self.to.is_none_or(|to| to == transfer.to)
            && (self.office.is_empty()
                || named(&papers.office_of_export)
                || named(&papers.office_of_entry))
            && (self.declarant.is_none() || self.declarant == transfer.declared_by)
            && (!self.overdue || is_overdue(transfer, now))
    }
}

/// Whether a transfer did not go on in the time that it had for it.
fn is_overdue(transfer: &Transfer, now: TimeMs) -> bool {
    transfer.expected_by().is_some_and(|by| by < now)
}

/// Where a walk stands: the last row that it looked at.
type Behind = (TimeMs, TransferId);

fn behind_text((since, id): &Behind) -> String {
    format!("{}/{id}", since.0)
}

fn behind_of(text: &str) -> Option<Behind> {
    let (since, id) = text.split_once('/')?;
    let behind = (TimeMs(since.parse().ok()?), TransferId::parse(id)?);
    (behind_text(&behind) == text).then_some(behind)
}

impl Reading<'_> {
    /// The transfers asked for, by since when they stand where they do: at most `size`, and fewer where they are large or many are
    /// looked at in vain.
    ///
    /// # Errors
    /// The token is not of this query, a consignment is of several countries and none is named, or the read failed.
    pub fn transfers_found(
        &self,
        query: MovementsQuery,
        token: &str,
        size: usize,
        permitted: Permitted,
    ) -> Result<Page, ApiError> {
        let words = ("movements", query.words());
        let (kind, filter) = (words.0, words.1.as_str());
        let mut behind = match self.place.after_words((kind, filter), token)? {
            None => None,
            Some(text) => Some(behind_of(&text).ok_or_else(no_token)?),
        };
        let query = self.of_one_country(query)?;
        let (under, stages, now) = (query.under(), query.stages(), self.now()?);
        let view = View::of(self.here, self.caller);
        let page = |records, next: Option<Behind>| Page {
            records,
            next: next.map_or(String::new(), |behind| {
                let after = behind_text(&behind);
                self.place.token_words((kind, filter), &after)
            }),
        };
        let (mut found, mut bytes, mut examined) = (Vec::new(), 0, 0);
        loop {
            let mut rows = Vec::new();
            for stage in &stages {
                let some = self
                    .records
                    .found_under(&under, *stage, behind, ROWS_AT_ONCE);
                rows.extend(some.map_err(storage)?);
            }
            rows.sort_unstable();
            let whole = rows.len() < ROWS_AT_ONCE;
            // Of a stage that has more, what lies behind its last row was not read.
            rows.truncate(ROWS_AT_ONCE);
            for row in rows {
                if examined == EXAMINED_MAX {
                    return Ok(page(found, behind));
                }
                examined += 1;
                let transfer = self.records.transfer(&row.1).map_err(storage)?;
                if let Some(transfer) = transfer
                    && query.has(&transfer, now)
                    && self.sees(permitted, &transfer.code)?
                {
                    let shown = view.transfer(transfer);
                    let one = shown.to_bytes().len();
                    let fits = found.is_empty()
                        || (found.len() < size && bytes + one <= self.page_bytes_max);
                    if !fits {
                        return Ok(page(found, behind));
                    }
                    bytes += one;
                    found.push(Record::Transfer(Box::new(shown)));
                }
                behind = Some(row);
            }
            if whole {
                return Ok(page(found, None));
            }
        }
    }

    /// How many of those asked for there are, by lane, month and stage: of as many as are looked at for one answer.
    ///
    /// # Errors
    /// As [`Self::transfers_found`].
    pub fn transfers_counted(
        &self,
        query: MovementsQuery,
        token: &str,
        permitted: Permitted,
    ) -> Result<(Vec<Counted>, String), ApiError> {
        let filter = query.words();
        let words = ("counts", filter.as_str());
        let (mut stage_at, mut behind) = match self.place.after_words(words, token)? {
            None => (0, None),
            Some(text) => {
                let (stage, rest) = text.split_once('/').ok_or_else(no_token)?;
                let stage: usize = stage.parse().map_err(|_| no_token())?;
                let behind = match rest {
                    "" => None,
                    rest => Some(behind_of(rest).ok_or_else(no_token)?),
                };
                (stage, behind)
            }
        };
        let query = self.of_one_country(query)?;
        let (under, stages, now) = (query.under(), query.stages(), self.now()?);
        let by_key = query.is_of_lane_alone() && permitted.own().is_none();
        let lane = query.from.zip(query.to).filter(|_| by_key);
        let mut counts = std::collections::BTreeMap::new();
        let mut examined = 0;
        while let Some(stage) = stages.get(stage_at) {
            if examined >= EXAMINED_MAX {
                let at = behind.as_ref().map_or(String::new(), behind_text);
                let next = self.place.token_words(words, &format!("{stage_at}/{at}"));
                return Ok((counted(counts), next));
            }
            let rows = self
                .records
                .found_under(&under, *stage, behind, ROWS_AT_ONCE);
            let rows = rows.map_err(storage)?;
            let whole = rows.len() < ROWS_AT_ONCE;
            for row in rows {
                examined += 1;
                behind = Some(row);
                let lane = match lane {
                    Some(lane) => Some(lane),
                    None => {
                        let transfer = self.records.transfer(&row.1).map_err(storage)?;
                        match transfer.filter(|transfer| query.has(transfer, now)) {
                            Some(transfer) if self.sees(permitted, &transfer.code)? => {
                                Some((transfer.from, transfer.to))
                            }
                            _ => None,
                        }
                    }
                };
                if let Some((from, to)) = lane {
                    let month: String = row.0.to_string().chars().take("2026-11".len()).collect();
                    *counts.entry((from, to, month, *stage)).or_insert(0_u64) += 1;
                }
            }
            if whole {
                (stage_at, behind) = (stage_at + 1, None);
            }
        }
        Ok((counted(counts), String::new()))
    }

    /// The query with the country that declared its consignment, where nobody named it and one did.
    fn of_one_country(&self, query: MovementsQuery) -> Result<MovementsQuery, ApiError> {
        if query.ucr.is_empty() || query.from.is_some() {
            return Ok(query);
        }
        let peers = self.records.peers().map_err(storage)?;
        let others = peers.iter().filter_map(|peer| peer.bundle.primary());
        let mut declared = Vec::new();
        for from in std::iter::once(self.here).chain(others) {
            let known = self.records.consignment(&from, &query.ucr);
            declared.extend(known.map_err(storage)?.map(|_| from));
        }
        match declared.as_slice() {
            [] => Ok(query),
            [from] => Ok(MovementsQuery {
                from: Some(*from),
                ..query
            }),
            several => {
                let several: Vec<String> = several.iter().map(ToString::to_string).collect();
                let text = format!("consignments of {}: name one", several.join(", "));
                Err(ApiError::invalid("from", text))
            }
        }
    }

    fn now(&self) -> Result<TimeMs, ApiError> {
        let registry = self.records.registry().map_err(storage)?;
        Ok(registry.map_or(TimeMs::EPOCH, |registry| registry.log_time))
    }

    /// Whether a robot's transfers are the caller's to see.
    fn sees(&self, permitted: Permitted, code: &Code) -> Result<bool, ApiError> {
        let Some(own) = permitted.own() else {
            return Ok(true);
        };
        if permitted.covers(code.enterprise_id()) {
            return Ok(true);
        }
        let robot = self.records.robot(code).map_err(storage)?;
        Ok(robot.is_some_and(|robot| is_own(self.here, own, &robot)))
    }
}

fn no_token() -> ApiError {
    ApiError::invalid("page_token", "not a token of this registry")
}

fn counted(
    counts: std::collections::BTreeMap<(Prefix, Prefix, String, Stage), u64>,
) -> Vec<Counted> {
    let row = |((from, to, month, stage), count)| Counted {
        from,
        to,
        month,
        stage,
        count,
    };
    counts.into_iter().map(row).collect()
}
