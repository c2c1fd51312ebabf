//! The registry as its clients use it: commands in, records and proofs out.

use std::sync::Arc;

use bytes::Bytes;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::Signature;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::merkle::consistency_proof;
use carnet_domain::machine::entry::{Answer, Body, Request};
use carnet_domain::record::reader::Whole;
use carnet_domain::record::registry::Registry;
use carnet_domain::rules::policy::{Query, is_authority};
use carnet_peering::inquirer::AskedFor;
use carnet_store::engine::KvEngine;
use carnet_store::records::{MOVEMENTS_MAX, Records, Trail, fault_of};
use carnet_trust::evidence::{Evidence, SubjectEvidence};
use carnet_wire::limits::{CHECKPOINT_WAIT_MAX, ITEMS_MAX};
use carnet_wire::status::ApiError;

use super::caller::Caller;
use super::cursor::Place;
use super::movements::{Counted, MovementsQuery};
use super::query::{Freshness, Provable, RecordName, RecordsQuery};
use super::records::{History, PAGE_BYTES_MAX, Page, Reading, Record};
use super::views::View;
use super::{At, no_genesis, refusal, storage};
use crate::ingress;
use crate::node::Node;
use crate::share::Asker;
use crate::share::readers::Meter;
use crate::verify::{Verifier, evidence_of, joined, subject_evidence};

/// The registry of one node.
pub struct RegistryService {
    pub(crate) node: Arc<Node>,
    pub(crate) verifier: Arc<Verifier>,
}

/// What a registry is called, and how late it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Of its jurisdiction.
    pub prefix: Prefix,
    /// Which life of its cluster.
    pub incarnation: u64,
    /// Of the newest entry that this node applied.
    pub log_time: TimeMs,
}

/// A session that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub session: u64,
    /// Which signed headers must name.
    pub registry: Named,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Canonical bytes, as every replica computed them.
    pub answer: Bytes,
    /// The published checkpoint that covers it, if it was waited for and came in time.
    pub checkpoint: Option<String>,
}

/// When a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As soon as it is committed.
    Committed,
    /// When a checkpoint is published that covers it.
    Published,
}

/// A published checkpoint, and how it follows from an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// A signed note.
    pub note: String,
    /// Hashes that lead there from the size asked for.
    pub consistency: Vec<Digest>,
}

/// A verdict, and the evidence file that it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Canonical bytes of the verdict.
    pub verdict: Vec<u8>,
    /// The evidence file.
    pub evidence: Vec<u8>,
}

/// Under which checkpoint something is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covering {
    /// The newest, once it has this size; it is waited for.
    AtLeast(u64),
    /// That of this size, as long as this node has the state of it; else as above.
    Exactly(u64),
}

/// Evidence of one of the two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// About a robot.
    Robot(Box<Evidence>),
    /// About an enterprise, a model or a recall.
    Subject(Box<SubjectEvidence>),
}

impl Proof {
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Robot(evidence) => evidence.to_bytes(),
            Self::Subject(evidence) => evidence.to_bytes(),
        }
    }
}

impl RegistryService {
    /// What the registry is called and how late it is there: whoever signs an opening or a command asks before.
    ///
    /// # Errors
    /// There is no genesis, or the read failed.
    pub fn named(&self) -> Result<Named, ApiError> {
        let registry = self.node.state.registry().map_err(storage)?;
        registry.map(named).ok_or_else(no_genesis)
    }

    /// Opens a session for the caller; with the same opening it is the same session.
    ///
    /// # Errors
    /// Not the caller's to open, refused by the rules, or not proposed.
    pub async fn open_session(
        &self,
        caller: &Caller,
        opening: &[u8],
        signature: Signature,
    ) -> Result<At<Opened>, ApiError> {
        ingress::verify_opening(&self.node, caller, opening, &signature).await?;
        let body = Body::OpenSession {
            subject: caller.subject(),
            opening: Blob(opening.to_vec()),
            signature,
        };
        let committed = self.node.propose(body).await?;
        let Some(session) = committed.answer.session else {
            return Err(refusal(&committed));
        };
        let registry = Named {
            log_time: committed.answer.at,
            ..self.named()?
        };
        Ok(At {
            value: Opened { session, registry },
            log_index: committed.log_index,
        })
    }

    /// Executes one signed request.
    ///
    /// # Errors
    /// Not the caller's to send, malformed, or not proposed. What the rules refuse stands in the answer.
    pub async fn submit(
        &self,
        caller: &Caller,
        request: Request,
        patience: Patience,
    ) -> Result<At<Submitted>, ApiError> {
        let count = request.items.len();
        if count == 0 || count > ITEMS_MAX as usize {
            return Err(ApiError::invalid(
                "request.items",
                format!("{count} items, allowed are 1 to {ITEMS_MAX}"),
            ));
        }
        let header = ingress::header(caller, &request.header.0)?;
        let signed = (&request.header.0[..], &request.signature);
        ingress::verify(&self.node, caller, &header, signed).await?;
        let request = ingress::parse(&self.node, &header, request)?;
        let body = request.into_body(caller.subject());
        let committed = self.node.propose(body).await?;
        let checkpoint = match patience {
            Patience::Committed => None,
            // The command is committed whatever becomes of the wait: the answer is given, without a checkpoint.
            Patience::Published => {
                let covering = committed.answer.size;
                let published = self.node.published_at_least(covering, CHECKPOINT_WAIT_MAX);
                published.await.ok().map(|published| published.checkpoint)
            }
        };
        Ok(At {
            value: Submitted {
                answer: committed.bytes,
                checkpoint,
            },
            log_index: committed.log_index,
        })
    }

    /// What the rules would answer to commands now, on the newest state. Nothing is proposed.
    ///
    /// # Errors
    /// Not the caller's to send, malformed, no leader to ask, or the read failed. What the rules refuse stands in the answer.
    pub async fn foresee(
        &self,
        caller: &Caller,
        question: &[u8],
        signature: Signature,
    ) -> Result<At<Answer>, ApiError> {
        let question = ingress::verify_question(&self.node, caller, question, &signature).await?;
        let log_index = self.node.linearize().await?;
        let (state, at) = (Arc::clone(&self.node.state), self.node.clock.wall());
        let tried = move |reading: Reading<'_>| {
            let foreseen = state.foresee(reading.records.0, &question, at);
            foreseen.map_err(storage)?.ok_or_else(no_genesis)
        };
        let value = self.read(caller, tried).await?;
        Ok(At { value, log_index })
    }

    /// One record.
    ///
    /// # Errors
    /// It is not there, not the caller's to see, or the read failed.
    pub async fn record(
        &self,
        caller: &Caller,
        name: &RecordName,
        freshness: Freshness,
    ) -> Result<At<Record>, ApiError> {
        let permitted = self
            .node
            .admit(caller, name.query(), name.to_string())
            .await?;
        let log_index = match freshness {
            Freshness::AsKnown => self.node.progress().applied,
            Freshness::Newest => self.node.linearize().await?,
        };
        let found = match name {
            RecordName::SignedRecord(code) => {
                let signed = self.verifier.signed_record(&caller.holder(), code).await?;
                signed.map(Record::Signed)
            }
            RecordName::Pack => Some(Record::Signed(self.verifier.pack().await?)),
            _ => {
                let name = name.clone();
                let read = move |reading: Reading<'_>| reading.record(&name, permitted);
                self.read(caller, read).await?
            }
        };
        let value = found.ok_or_else(|| ApiError::not_found(name))?;
        Ok(At { value, log_index })
    }

    /// Records in pages of at most `size`.
    ///
    /// # Errors
    /// As [`Reading::page`], or no leader to ask.
    pub async fn records(
        &self,
        caller: &Caller,
        query: RecordsQuery,
        token: &str,
        size: usize,
    ) -> Result<At<Page>, ApiError> {
        let (kind, filter) = query.words();
        let about = format!("{kind} {filter}");
        let permitted = self.node.admit(caller, query.query(), about).await?;
        let log_index = self.node.linearize().await?;
        let token = token.to_owned();
        let read = move |reading: Reading<'_>| reading.page(query, &token, size, permitted);
        let value = self.read(caller, read).await?;
        Ok(At { value, log_index })
    }

    /// Leaves of a robot from a sequence on, at most `size`.
    ///
    /// # Errors
    /// Not the caller's to see, no leader to ask, or the read failed.
    pub async fn history(
        &self,
        caller: &Caller,
        code: &Code,
        from: u64,
        size: usize,
    ) -> Result<At<History>, ApiError> {
        let permitted = self
            .node
            .admit(caller, Query::History, code.to_string())
            .await?;
        let log_index = self.node.linearize().await?;
        let code = *code;
        let read = move |reading: Reading<'_>| reading.history(&code, from, size, permitted);
        let value = self.read(caller, read).await?;
        Ok(At { value, log_index })
    }

    /// The newest movements of a robot, oldest first.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub async fn movements(&self, caller: &Caller, code: &Code) -> Result<At<Trail>, ApiError> {
        let permitted = self
            .node
            .admit(caller, Query::Movements, code.to_string())
            .await?;
        let log_index = self.node.linearize().await?;
        let code = *code;
        let read = move |reading: Reading<'_>| {
            reading.must_cover(permitted, &code)?;
            reading
                .records
                .movements(&code, MOVEMENTS_MAX)
                .map_err(storage)
        };
        let value = self.read(caller, read).await?;
        Ok(At { value, log_index })
    }

    /// Transfers that a checkpoint asks for, in pages of at most `size`.
    ///
    /// # Errors
    /// As [`Reading::transfers_found`], or no leader to ask.
    pub async fn transfers_found(
        &self,
        caller: &Caller,
        query: MovementsQuery,
        token: &str,
        size: usize,
    ) -> Result<At<Page>, ApiError> {
        let permitted = self.node.admit(caller, Query::ListTransfers, about(&query));
        let permitted = permitted.await?;
        let log_index = self.node.linearize().await?;
        let token = token.to_owned();
        let read =
            move |reading: Reading<'_>| reading.transfers_found(query, &token, size, permitted);
        let value = self.read(caller, read).await?;
        Ok(At { value, log_index })
    }

    /// How many of them there are, by lane, month and stage; and where the count goes on.
    ///
    /// # Errors
    /// As [`Self::transfers_found`].
    pub async fn transfers_counted(
        &self,
        caller: &Caller,
        query: MovementsQuery,
        token: &str,
    ) -> Result<At<(Vec<Counted>, String)>, ApiError> {
        let permitted = self.node.admit(caller, Query::ListTransfers, about(&query));
        let permitted = permitted.await?;
        let log_index = self.node.linearize().await?;
        let token = token.to_owned();
        let read = move |reading: Reading<'_>| reading.transfers_counted(query, &token, permitted);
        let value = self.read(caller, read).await?;
        Ok(At { value, log_index })
    }

    /// The newest published checkpoint: of a size that a caller has pinned or larger, and above `above`, if that is given.
    ///
    /// # Errors
    /// None is published in time.
    pub async fn checkpoint(
        &self,
        caller: &Caller,
        pinned: u64,
        above: Option<u64>,
    ) -> Result<Newest, ApiError> {
        caller.may(Query::LogProof)?;
        let above = above.map_or(0, |above| above.saturating_add(1));
        let published = self
            .node
            .published_at_least(pinned.max(above), CHECKPOINT_WAIT_MAX)
            .await?;
        let note = published.checkpoint.clone();
        let consistency = match pinned {
            0 => Vec::new(),
            pinned => {
                let prove = move |meter: &Meter| {
                    let view = meter.over(published.view.as_ref());
                    consistency_proof(&Whole(&Records(&view)), pinned, published.size)
                        .map_err(|error| storage(fault_of(error)))
                };
                self.node.readers.read(&caller.holder(), prove).await?
            }
        };
        Ok(Newest { note, consistency })
    }

    /// Evidence about a robot, enterprise, model or recall, under a published checkpoint of at least `size`, and that the log
    /// extends its head of size `known`, if the caller knows one.
    ///
    /// # Errors
    /// Not the caller's to see, none is published in time, or the read failed.
    pub async fn prove(
        &self,
        caller: &Caller,
        what: &Provable,
        covering: Covering,
        known: Option<u64>,
    ) -> Result<Proof, ApiError> {
        let query = match what {
            // It is cut to its caller, and to an authority nothing is cut off.
            Provable::Robot(_) if is_authority(caller.role()) => Query::GetRobot,
            _ => what.query(),
        };
        self.node.admit(caller, query, what.to_string()).await?;
        let exact = match covering {
            Covering::Exactly(size) => self.node.state.published_at(size),
            Covering::AtLeast(_) => None,
        };
        let (Covering::AtLeast(size) | Covering::Exactly(size)) = covering;
        let published = match exact {
            Some(published) => published,
            None => {
                let published = self
                    .node
                    .published_at_least(size.max(1), CHECKPOINT_WAIT_MAX);
                published.await?
            }
        };
        let slots = View::of(self.node.prefix(), caller).slots();
        let what = what.clone();
        let prove = move |meter: &Meter| {
            let view = meter.over(published.view.as_ref());
            let reader = Records(&view);
            let joined = match known {
                Some(size) => joined(&reader, &published, size)?,
                None => None,
            };
            Ok(match &what {
                Provable::Robot(code) => {
                    let mut evidence = evidence_of(&reader, &published, code)?.showing(slots);
                    evidence.frame.joined = joined;
                    Proof::Robot(Box::new(evidence))
                }
                _ => {
                    let mut evidence = subject_evidence(&reader, &published, &what)?;
                    evidence.frame.joined = joined;
                    Proof::Subject(Box::new(evidence))
                }
            })
        };
        self.node.readers.read(&caller.holder(), prove).await
    }

    /// The verdict on a code for a purpose.
    ///
    /// # Errors
    /// No such purpose, or the read failed.
    pub async fn verify(
        &self,
        caller: &Caller,
        code: &Code,
        purpose: &str,
    ) -> Result<At<Judged>, ApiError> {
        caller.may(Query::Verify)?;
        let log_index = self.node.progress().applied;
        let slots = View::of(self.node.prefix(), caller).slots();
        let asker = Asker {
            holder: caller.holder(),
            asked_for: match is_authority(caller.role()) {
                true => AskedFor::Authority,
                false => AskedFor::Others,
            },
        };
        let asked = self.verifier.verify(&asker, code, purpose, slots);
        let (verdict, evidence) = asked.await?;
        let value = Judged { verdict, evidence };
        Ok(At { value, log_index })
    }

    /// Reads one moment of the state for a caller, on the threads for that.
    async fn read<T: Send + 'static>(
        &self,
        caller: &Caller,
        job: impl FnOnce(Reading<'_>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (node, asks) = (Arc::clone(&self.node), caller.clone());
        let read = move |meter: &Meter| {
            let view = node.state.engine().view().map_err(storage)?;
            job(Reading {
                records: Records(&meter.over(view.as_ref())),
                here: node.prefix(),
                place: Place {
                    cluster: node.cluster,
                    incarnation: node.incarnation,
                },
                caller: &asks,
                page_bytes_max: PAGE_BYTES_MAX,
            })
        };
        self.node.readers.read(&caller.holder(), read).await
    }
}

/// A query as an audit notes it.
fn about(query: &MovementsQuery) -> String {
    format!("movements {}", query.words().replace('\n', " ").trim())
}

fn named(registry: Registry) -> Named {
    Named {
        prefix: registry.prefix,
        incarnation: registry.incarnation,
        log_time: registry.log_time,
    }
}
