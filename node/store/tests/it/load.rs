//! Registrations for one replica without a network, and an engine that counts what is asked of it. Shared by the tests and by
//! `measure_apply`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::limits::TEXT_BYTES_MAX;
use carnet_domain::log::leaf::EntrySeed;
use carnet_domain::machine::entry::{Answer, Body, Entry, ItemAnswer, Request, Stamp};
use carnet_domain::machine::signature_digest;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::rules::command::Command;
use carnet_kit::Country;
use carnet_store::artefact::{StateEngine, StateSink};
use carnet_store::engine::{Batch, KvEngine, KvRead, Pair};
use carnet_store::families::Family;
use carnet_store::fault::StorageFault;
use carnet_store::machine::{LogPosition, LogRecord, Payload, Snapshot, StateMachine};
use carnet_store::registry::RegistryState;

/// Why a load could not be applied.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// One replica, and a country whose maker registers robots of about 512 bytes.
pub(crate) struct Load<E: StateEngine> {
    pub(crate) state: RegistryState<E>,
    pub(crate) country: Country,
    pub(crate) serial: u32,
    applied: u64,
}

impl<E: StateEngine> Load<E> {
    /// A country with a market, applied on an empty engine.
    ///
    /// # Errors
    /// The engine failed.
    pub(crate) fn open(engine: E) -> Result<Self, Failure> {
        let mut country = Country::with_market("86");
        country.session("maker");
        let market = country.entries.iter().map(Canonical::to_bytes).collect();
        let mut load = Self {
            state: RegistryState::open(engine)?,
            country,
            serial: 1,
            applied: 0,
        };
        load.apply(market)?;
        Ok(load)
    }

    /// An entry of the log.
    pub(crate) fn entry(&mut self, body: Body) -> Vec<u8> {
        let seed = sha256(&[&self.serial.to_be_bytes(), &self.applied.to_be_bytes()]);
        let stamp = Stamp {
            at: self.country.clock,
            seed: EntrySeed(seed.0),
        };
        Entry { stamp, body }.to_bytes()
    }

    /// The records of the log that the next entries are.
    pub(crate) fn records(&mut self, entries: Vec<Vec<u8>>) -> Vec<LogRecord> {
        let mut records = Vec::with_capacity(entries.len());
        for bytes in entries {
            self.applied += 1;
            let position = LogPosition {
                term: 1,
                node: 1,
                index: self.applied,
            };
            let payload = Payload::Entry(bytes.into());
            records.push(LogRecord { position, payload });
        }
        records
    }

    /// Applies entries as one run of the log. How long that took, and the answers.
    ///
    /// # Errors
    /// The engine failed.
    pub(crate) fn apply(
        &mut self,
        entries: Vec<Vec<u8>>,
    ) -> Result<(Duration, Vec<Answer>), Failure> {
        let records = self.records(entries);
        let begun = Instant::now();
        let answers = self.state.apply(records)?;
        let took = begun.elapsed();
        let answers = answers.iter().map(|bytes| Answer::from_bytes(bytes));
        Ok((took, answers.collect::<Result<_, _>>()?))
    }

    /// Entries that register `count × items` new robots, `items` under one signature; `known`: as if this node had let them in.
    ///
    /// # Errors
    /// The maker has no key.
    pub(crate) fn registrations(
        &mut self,
        count: usize,
        items: usize,
        known: bool,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let requests: Vec<Request> = (0..count).map(|_| self.request(items)).collect();
        if known {
            for request in &requests {
                let key = self.country.key("maker").public().key_id();
                let Ok(signer) = self.country.ledger.signer(&key);
                let signer = signer.ok_or("the maker signs")?;
                let digest = sha256(&[&request.header.0, &request.signature.0]);
                let verified = self.state.verified();
                verified.note(signature_digest(&signer, &digest));
            }
        }
        let mut entries = Vec::with_capacity(count);
        for request in requests {
            let body = self.country.client_body(request);
            entries.push(self.entry(body));
        }
        Ok(entries)
    }

    fn request(&mut self, items: usize) -> Request {
        let commands: Vec<Command> = (0..items)
            .map(|_| {
                self.serial += 1;
                self.registration()
            })
            .collect();
        self.country.request("maker", &commands)
    }

    fn registration(&self) -> Command {
        let mut registration = self.country.registration(self.serial);
        registration.identity_parts.clear();
        registration.parts.clear();
        registration.site.clear();
        let short = 510_usize.saturating_sub(registration.to_bytes().len());
        registration.site = "x".repeat(short.min(TEXT_BYTES_MAX));
        Command::Register { registration }
    }
}

/// That every item was done.
///
/// # Errors
/// The first that was not.
pub(crate) fn all_done(answers: &[Answer]) -> Result<(), Failure> {
    for item in answers.iter().flat_map(|answer| &answer.items) {
        if !matches!(item, ItemAnswer::Done { .. }) {
            return Err(format!("refused: {item:?}").into());
        }
    }
    Ok(())
}

/// What was asked of an engine.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    found: AtomicU64,
    absent: AtomicU64,
    scans: AtomicU64,
    puts: AtomicU64,
    bytes: AtomicU64,
}

/// What was asked of an engine, read at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Keys read that were there.
    pub(crate) found: u64,
    /// Keys read that were not.
    pub(crate) absent: u64,
    /// Searches for a range of keys.
    pub(crate) scans: u64,
    /// Keys written or deleted.
    pub(crate) puts: u64,
    /// Bytes of the keys and values written.
    pub(crate) bytes: u64,
}

impl Asked {
    /// The counts, which begin at nothing again.
    pub(crate) fn take(&self) -> Counts {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Counts {
            found: take(&self.found),
            absent: take(&self.absent),
            scans: take(&self.scans),
            puts: take(&self.puts),
            bytes: take(&self.bytes),
        }
    }
}

/// An engine that counts what is asked of it.
pub(crate) struct Counting<E> {
    pub(crate) engine: E,
    pub(crate) asked: Arc<Asked>,
}

impl<E> Counting<E> {
    /// Over an engine; nothing was asked yet.
    pub(crate) fn of(engine: E) -> Self {
        Self {
            engine,
            asked: Arc::default(),
        }
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

impl<E: KvRead> KvRead for Counting<E> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StorageFault> {
        let found = self.engine.get(family, key)?;
        match found {
            Some(_) => add(&self.asked.found, 1),
            None => add(&self.asked.absent, 1),
        }
        Ok(found)
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Pair>, StorageFault> {
        add(&self.asked.scans, 1);
        self.engine.scan(family, from, to, count_max)
    }

    fn last(
        &self,
        family: Family,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Result<Option<Pair>, StorageFault> {
        add(&self.asked.scans, 1);
        self.engine.last(family, from, to)
    }

    fn damaged(&self, fault: &StorageFault) {
        self.engine.damaged(fault);
    }
}

impl<E: KvEngine> KvEngine for Counting<E> {
    fn write(&self, batch: Batch) -> Result<(), StorageFault> {
        add(&self.asked.puts, batch.changes.len());
        let size = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let sizes = batch.changes.iter();
        let bytes = sizes.map(|(_, key, value)| key.len() + size(value)).sum();
        add(&self.asked.bytes, bytes);
        self.engine.write(batch)
    }

    fn view(&self) -> Result<Arc<dyn KvRead>, StorageFault> {
        self.engine.view()
    }
}

impl<E: StateEngine> StateEngine for Counting<E> {
    fn sync(&self) -> Result<(), StorageFault> {
        self.engine.sync()
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, StorageFault> {
        self.engine.snapshot()
    }

    fn receive(&self) -> Result<Box<dyn StateSink>, StorageFault> {
        self.engine.receive()
    }
}

/// What one thread asks of its machine to register robots: counts a robot, the same wherever it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls {
    /// Of the engine.
    pub(crate) asked: Counts,
    /// Allocations of our own code and of what is written in Rust below it.
    pub(crate) allocations: u64,
    /// Bytes of them.
    pub(crate) allocated: u64,
}

impl<E: StateEngine> Load<Counting<E>> {
    /// What applying these entries asks.
    ///
    /// # Errors
    /// The engine failed, or an item was refused.
    pub(crate) fn calls(&mut self, asked: &Asked, entries: Vec<Vec<u8>>) -> Result<Calls, Failure> {
        let records = self.records(entries);
        asked.take();
        let mut answered = None;
        let counted = allocation_counter::measure(|| answered = Some(self.state.apply(records)));
        let asked = asked.take();
        let answers = answered.ok_or("it was applied")??;
        let answers = answers.iter().map(|bytes| Answer::from_bytes(bytes));
        all_done(&answers.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Calls {
            asked,
            allocations: counted.count_total,
            allocated: counted.bytes_total,
        })
    }
}
