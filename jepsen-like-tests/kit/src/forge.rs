//! A registry that lies: any leaf in its own log, signed and proven like a true one, in the mailbox of a peer.
//!
//! Everything a peer can check holds: the leaf stands in the tree, the map shows it, the checkpoint is signed. Only what
//! it says is not what the rules would have let it say.

use crate::Country;
use carnet_domain::bytes::code::{Code, Prefix};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::encoding::{Blob, Canonical, Encoder};
use carnet_domain::custody::mail::{chain, disclose};
use carnet_domain::custody::{Link, Step};
use carnet_domain::log::leaf::{Kind, Leaf, SLOT_COUNT, Slots, Subject, leaf_bytes_hash};
use carnet_domain::log::map::{self, MapValue};
use carnet_domain::log::merkle::{consistency_proof, inclusion_proof};
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::entry::{MailBatch, MailItem, NewestProof, ProvenLeaf};
use carnet_domain::record::event::slot;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::reader::Whole;

/// A leaf to be forged.
#[derive(Debug, Clone)]
pub struct Forged {
    /// Number of the leaf's kind; it need not be one.
    pub kind: u64,
    /// Whom it is about.
    pub subject: Subject,
    /// What it says.
    pub slots: Slots,
    /// The status that the map shows of the subject.
    pub status: u8,
}

impl Country {
    /// Writes a leaf that the rules did not ask for, and puts it into the mailbox of `to`.
    ///
    /// # Panics
    /// Before the genesis, and when `to` is no peer.
    pub fn forge(&mut self, mut forged: Forged, to: &carnet_domain::bytes::code::Prefix) {
        // The bytes of null are no value: who reads the leaf finds nothing there, and so must who is handed it in memory.
        for value in &mut forged.slots.values {
            value.take_if(|bytes| bytes.as_slice() == [0xf6]);
        }
        let mut registry = self.registry();
        let index = registry.tree.size();
        let seed: [u8; 32] = sha256(&[b"carnet-kit-forged/", &index.to_be_bytes()]).0;
        let key = forged.subject.key();
        let before = self.ledger.last_leaf(&key);
        let (seq, prev) = before.map_or((0, Digest::ZERO), |head| (head.seq + 1, head.leaf_hash));
        // By hand, so that a kind that does not exist can be written too.
        let mut e = Encoder::new();
        e.array(8);
        e.uint(0);
        e.uint(forged.kind);
        e.bytes(&key.0);
        e.uint(seq);
        e.bytes(&prev.0);
        e.uint(registry.log_time.0);
        e.bytes(&forged.slots.root(&seed).0);
        e.bytes(&[7; 32]);
        let bytes = e.finish();
        let hash = leaf_bytes_hash(&bytes);
        let complete = registry.tree.append(hash);
        let Ok(()) = self.ledger.put_nodes(index, &complete);
        let value = MapValue {
            status: forged.status,
            seq,
            leaf_index: index,
            leaf_hash: hash,
            facts: Digest::ZERO,
        };
        let values = forged.slots.values.into_iter();
        let step_before = self.step_before(&forged.subject, before.map(|head| head.leaf_index));
        let record = LeafRecord {
            leaf: Blob(bytes),
            seed,
            values: values.map(|value| value.map(Blob)).collect(),
            map: vec![(key, value.digest())],
            class: 0,
            envelope: index,
            item: 0,
            before: before.map(|head| head.leaf_index),
            jump: None,
            step_before,
        };
        self.ledger.append_as(index, key, seq, record);
        registry.unsealed += 1;
        let Ok(()) = self.ledger.put_registry(registry);
        let Ok(peer) = self.ledger.peer(to);
        let mut peer = peer.expect("a lie is told to a peer");
        let Ok(()) = self.ledger.post(to, peer.outbox, index);
        peer.outbox += 1;
        let Ok(()) = self.ledger.put_peer(peer);
    }
}

impl Country {
    /// The custody step before a leaf about a robot, forged or not. `before` is the leaf before it.
    fn step_before(&self, subject: &Subject, before: Option<u64>) -> Option<u64> {
        let code = Code::parse(&subject.name).ok()?;
        let Ok(robot) = self.ledger.robot(&code);
        let told = robot
            .and_then(|robot| robot.head)
            .and_then(|head| head.step);
        let Ok(record) = self.ledger.leaf(before?);
        let leaf = Leaf::from_bytes(&record?.leaf.0).ok();
        let is_step = leaf.is_some_and(|leaf| matches!(leaf.kind, Kind::Custody | Kind::Register));
        told.max(before.filter(|_| is_step))
    }
}

/// Every slot.
const ALL: [u8; SLOT_COUNT] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

impl Country {
    /// Mail for a peer from a sequence on, as [`Country::mail`], but whatever the leaves say: every slot is shown, and a
    /// custody leaf is proven to be the newest if its registry can prove that.
    ///
    /// # Panics
    /// Before something is published.
    pub fn lying_mail(&self, to: &Prefix, known_size: u64, from: u64) -> MailBatch {
        let registry = self.registry();
        let published = registry.published.as_ref().expect("a closed log");
        let (size, stored) = (published.size, Whole(&self.ledger));
        let consistency = consistency_proof(&stored, known_size.min(size), size);
        let map_head = stored.map_head(size).expect("a whole log");
        let items = self.ledger.mailbox(to, from).into_iter();
        let items = items.filter(|(_, index)| *index < size);
        MailBatch {
            peer: self.prefix,
            checkpoint: registry.checkpoint.clone(),
            map_head: map_head.expect("a closed log"),
            consistency: consistency.expect("a whole tree"),
            items: items
                .map(|(sequence, index)| self.lying_item(sequence, index, size))
                .collect(),
            large: None,
        }
    }

    fn lying_item(&self, sequence: u64, index: u64, size: u64) -> MailItem {
        let stored = Whole(&self.ledger);
        let record = |index: u64| stored.leaf(index).expect("a leaf of the log");
        let this = record(index);
        let path = inclusion_proof(&stored, index, size).expect("a whole tree");
        let newest = Leaf::from_bytes(&this.leaf.0)
            .ok()
            .filter(|leaf| leaf.kind == Kind::Custody)
            .and_then(|leaf| {
                let (mut last, mut at, mut later) = (leaf.clone(), index, Vec::new());
                while let Some(next) = self.ledger.leaf_of(&last.key, last.seq + 1)
                    && next < size
                {
                    let bytes = record(next).leaf;
                    last = Leaf::from_bytes(&bytes.0).ok()?;
                    at = next;
                    later.push(bytes);
                }
                let value = carnet_domain::custody::mail::map_value_of(&record(at), &last, at)?;
                let proof = map::prove(&stored, &last.key).ok()?;
                let map_head = stored.map_head(size).ok()??;
                Some(NewestProof {
                    later,
                    value,
                    proof,
                    map_head,
                })
            });
        let link = this.values[usize::from(slot::CUSTODY)].as_ref();
        let link = link.and_then(|bytes| Option::<Link>::from_bytes(&bytes.0).ok().flatten());
        let chain = match link.filter(|link| link.step == Step::Offer) {
            Some(offer) => {
                let shown = |offer: &Link| {
                    let chain = chain(&stored, &self.registry(), (&this, offer), size);
                    chain.expect("a whole log")
                };
                let code = this.values[usize::from(slot::CODE)].as_ref();
                let code = code.and_then(|code| String::from_bytes(&code.0).ok());
                let code = code.and_then(|code| Code::parse(&code).ok());
                let robot = code.and_then(|code| {
                    let Ok(robot) = self.ledger.robot(&code);
                    robot
                });
                // Of an offer that names what never was, the true steps.
                match (shown(&offer), robot) {
                    (chain, Some(robot)) if chain.is_empty() => shown(&Link {
                        prev: robot.custody.link,
                        ..offer
                    }),
                    (chain, _) => chain,
                }
            }
            None => Vec::new(),
        };
        MailItem {
            sequence,
            proven: ProvenLeaf {
                index,
                path,
                disclosed: disclose(&this, &ALL),
                leaf: this.leaf,
            },
            newest,
            chain,
        }
    }
}
