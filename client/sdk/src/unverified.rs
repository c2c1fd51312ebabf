//! What a node says, unproven: everything here is a hint. The reads of [`Client`] itself are proven.
//!
//! Some things no leaf of a log holds (a transfer, what a registry knows of a peer, a list): a node can only be asked for them.

use carnet_domain::bytes::code::{Code, EnterpriseId, ModelId, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::custody::movement::Movement;
use carnet_domain::log::stored::{OpenedLeaf, ShownLeaf};
use carnet_domain::record::denied::DenyList;
use carnet_domain::record::event::slot;
use carnet_domain::record::past::PastProposal;
use carnet_domain::record::peer::Peer;
use carnet_domain::record::registry::Registry;
use carnet_domain::record::transfer::{Stage, Transfer};
use carnet_domain::record::{Enterprise, Model, Parked, Recall, RecallId, Robot};
use carnet_domain::rules::command::{Command, Registration, TransferId};
use carnet_wire::convert;
use carnet_wire::limits;
use carnet_wire::registry::v1 as pb;
use carnet_wire::registry::v1::RecordKind;

use crate::client::{Client, Position};
use crate::error::ClientError;

/// What a node says, and where it read it. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<T> {
    /// What the server said. Nothing proves it.
    pub value: T,
    /// The applied index it was read at.
    pub position: Position,
}

/// A page of what a node says there is. Nothing of it is proven, nor that it is all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What the server said, in the order of the list. Nothing proves it.
    pub values: Vec<T>,
    /// Token of the next page; empty at the end.
    pub next: String,
    /// The applied index it was read at.
    pub position: Position,
}

/// The newest custody movements of a robot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// Oldest first.
    pub movements: Vec<Movement>,
    /// Whether older ones may be left out.
    pub older_left_out: bool,
}

/// Which transfers; what is empty asks for nothing, all else must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MovementQuery {
    /// What codes of robots begin with.
    pub robots: String,
    /// Reference of a consignment.
    pub ucr: String,
    /// The exporting country.
    pub from: Option<Prefix>,
    /// The importing country.
    pub to: Option<Prefix>,
    /// Office of export or of entry, as the papers name it.
    pub office: String,
    /// One of these; all, if there is none.
    pub stages: Vec<Stage>,
    /// They stand there since this time or a later one.
    pub since: Option<TimeMs>,
    /// They stand there since before this time.
    pub before: Option<TimeMs>,
    /// The enterprise that declared them there.
    pub declarant: Option<EnterpriseId>,
    /// Only those that did not go on in the time that they had for it.
    pub overdue: bool,
    /// Only those of the office in this client's certificate.
    pub own_office: bool,
}

/// How many transfers of a lane stand at a stage since a month.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MovementCount {
    /// From this country.
    pub from: Prefix,
    /// To this one.
    pub to: Prefix,
    /// Year and month of the registry's log time, as `2026-11`.
    pub month: String,
    /// Where they stand.
    pub stage: Stage,
    /// How many.
    pub count: u64,
}

impl MovementQuery {
    fn to_wire(&self) -> pb::MovementQuery {
        let prefix = |it: &Option<Prefix>| it.map_or(String::new(), |it| it.to_string());
        pb::MovementQuery {
            robots: self.robots.clone(),
            ucr: self.ucr.clone(),
            from: prefix(&self.from),
            to: prefix(&self.to),
            office: self.office.clone(),
            stages: self.stages.iter().map(|it| it.name().to_owned()).collect(),
            since_ms: self.since.map_or(0, |it| it.0),
            before_ms: self.before.map_or(0, |it| it.0),
            declarant: self.declarant.map_or(String::new(), |it| it.to_string()),
            overdue: self.overdue,
            own_office: self.own_office,
        }
    }
}

fn count_of(row: &pb::MovementCount) -> Result<MovementCount, ClientError> {
    let wrong = |what: &str| ClientError::Protocol(format!("a count names no {what}"));
    let stage = Stage::ALL.iter().find(|stage| stage.name() == row.stage);
    Ok(MovementCount {
        from: Prefix::parse(&row.from).map_err(|_| wrong("country"))?,
        to: Prefix::parse(&row.to).map_err(|_| wrong("country"))?,
        month: row.month.clone(),
        stage: *stage.ok_or_else(|| wrong("stage"))?,
        count: row.count,
    })
}

fn parse<T: Canonical>(what: &str, bytes: &[u8]) -> Result<T, ClientError> {
    T::from_bytes(bytes)
        .map_err(|error| ClientError::Protocol(format!("{what} is not canonical: {error}")))
}

fn parse_all<T: Canonical>(what: &str, list: &[bytes::Bytes]) -> Result<Vec<T>, ClientError> {
    list.iter().map(|bytes| parse(what, bytes)).collect()
}

/// Asks for a record that holds every write acknowledged before.
fn newest(kind: RecordKind, name: String) -> pb::GetRecordRequest {
    pb::GetRecordRequest {
        kind: kind.into(),
        name,
        stale_ok: false,
    }
}

/// Asks for a record as the node that answers knows it.
fn stale(kind: RecordKind, name: String) -> pb::GetRecordRequest {
    pb::GetRecordRequest {
        stale_ok: true,
        ..newest(kind, name)
    }
}

/// Some leaves of a history.
pub(crate) struct HistoryPage {
    pub(crate) leaves: Vec<OpenedLeaf>,
    /// 0 at the end.
    pub(crate) next_sequence: u64,
    position: Position,
}

/// The registration that a leaf records, if it is one.
pub(crate) fn registered(leaf: &OpenedLeaf) -> Option<Registration> {
    match leaf.slots().get::<Command>(slot::EVENT) {
        Ok(Some(Command::Register { registration })) => Some(registration),
        _ => None,
    }
}

/// Reads whose answers are the word of the node that was asked. Made by [`Client::unverified`].
#[derive(Clone, Copy)]
pub struct Unverified<'a>(&'a Client);

impl Client {
    /// Asks for what a node says, without a proof of it.
    pub fn unverified(&self) -> Unverified<'_> {
        Unverified(self)
    }
}

impl Unverified<'_> {
    pub(crate) fn client(&self) -> &Client {
        self.0
    }

    /// A robot: all that its record holds for this caller.
    ///
    /// # Errors
    /// `NotFound`, or as every read.
    pub async fn robot(&self, code: &Code) -> Result<Told<Robot>, ClientError> {
        self.record(newest(RecordKind::Robot, code.to_string()))
            .await
    }

    /// A robot as the node asked knows it, which may lack the newest writes. Also answered without a leader, and by a node
    /// that stands still; how old it is tells the position.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn robot_stale(&self, code: &Code) -> Result<Told<Robot>, ClientError> {
        self.record(stale(RecordKind::Robot, code.to_string()))
            .await
    }

    /// An enterprise.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn enterprise(&self, id: &EnterpriseId) -> Result<Told<Enterprise>, ClientError> {
        self.record(newest(RecordKind::Enterprise, id.to_string()))
            .await
    }

    /// A type approval.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn model(&self, id: &ModelId) -> Result<Told<Model>, ClientError> {
        self.record(newest(RecordKind::Model, id.to_string())).await
    }

    /// A recall.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn recall(&self, id: &RecallId) -> Result<Told<Recall>, ClientError> {
        self.record(newest(RecordKind::Recall, id.to_string()))
            .await
    }

    /// A transfer.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn transfer(&self, id: TransferId) -> Result<Told<Transfer>, ClientError> {
        self.record(newest(RecordKind::Transfer, id.to_string()))
            .await
    }

    /// A peer.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn peer(&self, prefix: Prefix) -> Result<Told<Peer>, ClientError> {
        self.record(newest(RecordKind::Peer, prefix.to_string()))
            .await
    }

    /// The registry as a whole.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn registry(&self) -> Result<Told<Registry>, ClientError> {
        self.record(newest(RecordKind::Registry, String::new()))
            .await
    }

    /// The certificates that the registry refuses before their time is over.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn deny_list(&self) -> Result<Told<DenyList>, ClientError> {
        self.record(newest(RecordKind::DenyList, String::new()))
            .await
    }

    /// What was proposed under a number and needs two people, also after its end, and what became of it.
    ///
    /// # Errors
    /// `NotFound` where nothing was proposed under it, or as every read.
    pub async fn proposal(&self, number: u64) -> Result<Told<PastProposal>, ClientError> {
        self.record(newest(RecordKind::Proposal, number.to_string()))
            .await
    }

    /// What was proposed, the newest first, also what ended.
    ///
    /// # Errors
    /// As every read.
    pub async fn proposals(
        &self,
        size: u32,
        token: &str,
    ) -> Result<Page<PastProposal>, ClientError> {
        self.page(RecordKind::Proposal, "", size, token).await
    }

    /// The registry's state as the node asked knows it; as [`Unverified::robot_stale`].
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn registry_stale(&self) -> Result<Told<Registry>, ClientError> {
        self.record(stale(RecordKind::Registry, String::new()))
            .await
    }

    /// The signed identity record of a robot, COSE_Sign1 bytes under the passport key.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn signed_record(&self, code: &Code) -> Result<Told<Vec<u8>>, ClientError> {
        let response = self
            .get(newest(RecordKind::SignedRecord, code.to_string()))
            .await?;
        Ok(Told {
            value: response.record.to_vec(),
            position: Position::of(response.position)?,
        })
    }

    /// The registry's pack, as its log key signed it: what a verifier without a network must know.
    ///
    /// # Errors
    /// As [`Unverified::robot`].
    pub async fn pack(&self) -> Result<Told<Vec<u8>>, ClientError> {
        let response = self.get(newest(RecordKind::Pack, String::new())).await?;
        Ok(Told {
            value: response.record.to_vec(),
            position: Position::of(response.position)?,
        })
    }

    async fn record<T: Canonical>(
        &self,
        request: pb::GetRecordRequest,
    ) -> Result<Told<T>, ClientError> {
        let response = self.get(request).await?;
        Ok(Told {
            value: parse("the record", &response.record)?,
            position: Position::of(response.position)?,
        })
    }

    async fn get(
        &self,
        request: pb::GetRecordRequest,
    ) -> Result<pb::GetRecordResponse, ClientError> {
        self.0
            .read(|mut client| {
                let request = request.clone();
                async move { client.get_record(request).await }
            })
            .await
    }

    /// Robots whose code begins with `filter` (country, enterprise or model).
    ///
    /// # Errors
    /// As every read.
    pub async fn robots(
        &self,
        filter: &str,
        size: u32,
        token: &str,
    ) -> Result<Page<Robot>, ClientError> {
        self.page(RecordKind::Robot, filter, size, token).await
    }

    /// Enterprises.
    ///
    /// # Errors
    /// As every read.
    pub async fn enterprises(
        &self,
        size: u32,
        token: &str,
    ) -> Result<Page<Enterprise>, ClientError> {
        self.page(RecordKind::Enterprise, "", size, token).await
    }

    /// Type approvals whose code begins with `filter` (country or enterprise).
    ///
    /// # Errors
    /// As every read.
    pub async fn models(
        &self,
        filter: &str,
        size: u32,
        token: &str,
    ) -> Result<Page<Model>, ClientError> {
        self.page(RecordKind::Model, filter, size, token).await
    }

    /// Transfers of robots whose code begins with `filter`.
    ///
    /// # Errors
    /// As every read.
    pub async fn transfers(
        &self,
        filter: &str,
        size: u32,
        token: &str,
    ) -> Result<Page<Transfer>, ClientError> {
        self.page(RecordKind::Transfer, filter, size, token).await
    }

    /// Recalls; of one model, or all with an empty filter.
    ///
    /// # Errors
    /// As every read.
    pub async fn recalls(
        &self,
        filter: &str,
        size: u32,
        token: &str,
    ) -> Result<Page<Recall>, ClientError> {
        self.page(RecordKind::Recall, filter, size, token).await
    }

    /// Peers.
    ///
    /// # Errors
    /// As every read.
    pub async fn peers(&self, size: u32, token: &str) -> Result<Page<Peer>, ClientError> {
        self.page(RecordKind::Peer, "", size, token).await
    }

    /// Items of a peer, or of all, that cannot be taken yet, without their bytes.
    ///
    /// # Errors
    /// As every read.
    pub async fn parked(
        &self,
        peer: Option<Prefix>,
        size: u32,
        token: &str,
    ) -> Result<Page<Parked>, ClientError> {
        let filter = peer.as_ref().map_or("", Prefix::as_str);
        self.page(RecordKind::Parked, filter, size, token).await
    }

    async fn page<T: Canonical>(
        &self,
        kind: RecordKind,
        filter: &str,
        size: u32,
        token: &str,
    ) -> Result<Page<T>, ClientError> {
        if limits::PAGE_SIZE_MAX < size {
            return Err(ClientError::Usage(format!(
                "a page has at most {} records",
                limits::PAGE_SIZE_MAX
            )));
        }
        let request = pb::ListRecordsRequest {
            kind: kind.into(),
            filter: filter.to_owned(),
            page_size: size,
            page_token: token.to_owned(),
        };
        let response = self
            .0
            .read(|mut client| {
                let request = request.clone();
                async move { client.list_records(request).await }
            })
            .await?;
        Ok(Page {
            values: parse_all("a record", &response.records)?,
            next: response.next_page_token,
            position: Position::of(response.position)?,
        })
    }

    /// Every leaf of a robot in this log, opened, oldest first.
    ///
    /// # Errors
    /// As every read.
    pub async fn history(&self, code: &Code) -> Result<Told<Vec<OpenedLeaf>>, ClientError> {
        let mut value = Vec::new();
        let mut from = 0;
        loop {
            let page = self.history_page(code, from, limits::PAGE_SIZE_MAX).await?;
            value.extend(page.leaves);
            if page.next_sequence == 0 {
                return Ok(Told {
                    value,
                    position: page.position,
                });
            }
            from = page.next_sequence;
        }
    }

    pub(crate) async fn history_page(
        &self,
        code: &Code,
        from: u64,
        size: u32,
    ) -> Result<HistoryPage, ClientError> {
        let request = pb::ListHistoryRequest {
            code: code.to_string(),
            from_sequence: from,
            page_size: size,
        };
        let response = self
            .0
            .read(|mut client| {
                let request = request.clone();
                async move { client.list_history(request).await }
            })
            .await?;
        let shown_to = from.saturating_add(response.leaves.len() as u64);
        let goes_on = shown_to == response.next_sequence && from < shown_to;
        if response.next_sequence != 0 && !goes_on {
            return Err(ClientError::Protocol(
                "the pages of the history do not advance".into(),
            ));
        }
        let shown = parse_all::<ShownLeaf>("a leaf", &response.leaves)?;
        let opened = shown.into_iter().map(|shown| {
            let opened = shown.open();
            opened.map_err(|error| ClientError::Protocol(error.to_string()))
        });
        Ok(HistoryPage {
            leaves: opened.collect::<Result<_, _>>()?,
            next_sequence: response.next_sequence,
            position: Position::of(response.position)?,
        })
    }

    /// What a robot was registered with, from its history; none if it was only reserved, or came from abroad, or the registry
    /// does not disclose it to this caller.
    ///
    /// # Errors
    /// As every read.
    pub async fn registration(
        &self,
        code: &Code,
    ) -> Result<Told<Option<Registration>>, ClientError> {
        let mut from = 0;
        loop {
            let page = self.history_page(code, from, 8).await?;
            let found = page.leaves.iter().find_map(registered);
            if found.is_some() || page.next_sequence == 0 {
                return Ok(Told {
                    value: found,
                    position: page.position,
                });
            }
            from = page.next_sequence;
        }
    }

    /// The newest custody movements of a robot.
    ///
    /// # Errors
    /// As every read.
    pub async fn movements(&self, code: &Code) -> Result<Told<Trail>, ClientError> {
        let request = pb::ListMovementsRequest {
            code: code.to_string(),
        };
        let response = self
            .0
            .read(|mut client| {
                let request = request.clone();
                async move { client.list_movements(request).await }
            })
            .await?;
        let value = Trail {
            movements: parse_all("a movement", &response.movements)?,
            older_left_out: response.older_left_out,
        };
        Ok(Told {
            value,
            position: Position::of(response.position)?,
        })
    }

    /// Transfers that a checkpoint asks for, by since when each stands where it does.
    ///
    /// # Errors
    /// As every read.
    pub async fn query_movements(
        &self,
        query: &MovementQuery,
        size: u32,
        token: &str,
    ) -> Result<Page<Transfer>, ClientError> {
        let request = pb::QueryMovementsRequest {
            query: Some(query.to_wire()),
            page_size: size,
            page_token: token.to_owned(),
        };
        let response = self
            .0
            .read(|mut client| {
                let request = request.clone();
                async move { client.query_movements(request).await }
            })
            .await?;
        Ok(Page {
            values: parse_all("a transfer", &response.transfers)?,
            next: response.next_page_token,
            position: Position::of(response.position)?,
        })
    }

    /// How many of them there are, by lane, month and stage, each once.
    ///
    /// # Errors
    /// As every read.
    pub async fn count_movements(
        &self,
        query: &MovementQuery,
    ) -> Result<Vec<MovementCount>, ClientError> {
        let mut counts: Vec<MovementCount> = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::CountMovementsRequest {
                query: Some(query.to_wire()),
                page_token,
            };
            let response = self
                .0
                .read(|mut client| {
                    let request = request.clone();
                    async move { client.count_movements(request).await }
                })
                .await?;
            for row in &response.counts {
                let row = count_of(row)?;
                let same = |it: &&mut MovementCount| {
                    (it.from, it.to, it.stage) == (row.from, row.to, row.stage)
                        && it.month == row.month
                };
                match counts.iter_mut().find(same) {
                    // saturates: what a server says
                    Some(known) => known.count = known.count.saturating_add(row.count),
                    None => counts.push(row),
                }
            }
            if response.next_page_token.is_empty() {
                counts.sort_unstable();
                return Ok(counts);
            }
            page_token = response.next_page_token;
        }
    }

    /// The newest published checkpoint as text, and the consistency proof from a size already known (0: none). Nothing is
    /// verified here: see [`crate::advance`]. With `wait_above` not 0, waits for a larger one.
    ///
    /// # Errors
    /// As every read.
    pub async fn checkpoint(
        &self,
        pinned_size: u64,
        wait_above: u64,
    ) -> Result<(String, Vec<Digest>), ClientError> {
        let request = pb::GetCheckpointRequest {
            pinned_size,
            wait_above_size: wait_above,
        };
        let response = self
            .0
            .read(|mut client| async move { client.get_checkpoint(request).await })
            .await?;
        let consistency = convert::digests("consistency", &response.consistency)
            .map_err(|error| ClientError::Protocol(error.to_string()))?;
        Ok((response.checkpoint, consistency))
    }

    /// The registry's verdict on a code for a purpose, and the evidence it rests on, both canonical bytes.
    ///
    /// # Errors
    /// As every read.
    pub async fn verify(
        &self,
        code: &Code,
        purpose: &str,
    ) -> Result<Told<(Vec<u8>, Vec<u8>)>, ClientError> {
        let request = pb::VerifyRequest {
            code: code.to_string(),
            purpose: purpose.to_owned(),
        };
        let response = self
            .0
            .read(|mut client| {
                let request = request.clone();
                async move { client.verify(request).await }
            })
            .await?;
        let value = (response.verdict.to_vec(), response.evidence.to_vec());
        Ok(Told {
            value,
            position: Position::of(response.position)?,
        })
    }
}
