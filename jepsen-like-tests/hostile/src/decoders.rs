//! Every decoder of bytes that come from outside: none panics, and what one takes it writes again byte for byte.
//!
//! A list, so that the fuzzer ([`fuzz`]) and a coverage-guided one call the same. A seed repeats a run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::custody::Link;
use carnet_domain::log::authority::{Envelope, SignedHeader};
use carnet_domain::log::checkpoint::{Origin, open};
use carnet_domain::log::leaf::{Leaf, Subject};
use carnet_domain::log::map::MapProof;
use carnet_domain::log::passport;
use carnet_domain::log::stored::LeafRecord;
use carnet_domain::machine::Question;
use carnet_domain::machine::entry::{
    Answer, Body, Entry, MailBatch, MailItem, NewestProof, Request, SessionOpening,
};
use carnet_domain::machine::order::Skip;
use carnet_domain::record::keys::KeySignature;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Agreement, Bundle, Peer, Signed, Statement};
use carnet_domain::record::{
    ApprovalStatus, Enterprise, EnterpriseStatus, Model, Recall, Robot, Signer,
};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::rejection::Rejection;
use carnet_kit::samples;
use carnet_trust::evidence::{
    self, EVIDENCE_VERSION, Evidence, Frame, Newest, Published, RobotProof, SubjectEvidence,
};
use carnet_trust::known::{KnownHead, KnownMaker, KnownModel, KnownRobot};
use carnet_trust::offline::{EvidenceFile, FILE_VERSION, FileParty};
use carnet_trust::pack::{PACK_VERSION, Pack, PackPeer};
use carnet_trust::roots::RootCertificate;
use carnet_trust::sieve::{Keys, PackedSieve, SIEVE_BYTES_MAX, Sieve};
use carnet_trust::taken::{SignedTaking, Taking};

use crate::extremes::extreme_bytes;
use crate::scene;
use crate::seeded::Seeded;

/// Certificates, in hexadecimal.
const CERTIFICATES: &str = include_str!("../samples/certificates.txt");
/// The published vector of a signed record.
const RECORD: &str = include_str!("../../../proto/vectors/record.json");

/// The bytes of a text of hexadecimal digits.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    Some(
        digits?
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

fn passport_of_vector() -> Vec<u8> {
    let (_, after) = RECORD
        .split_once("\"cose_sign1\": \"")
        .expect("the vector has it");
    let (text, _) = after.split_once('"').expect("a text ends");
    hex(text).expect("hexadecimal")
}

/// A decoder under attack.
pub struct Target {
    /// What it reads.
    pub name: &'static str,
    /// Reads; `true` when it took the bytes. Panics when what it took is written otherwise.
    pub read: fn(&[u8]) -> bool,
    /// Bytes that it takes, to begin with.
    pub samples: Vec<Vec<u8>>,
}

/// What a run came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Fuzzed {
    /// Inputs given to the decoder.
    pub given: u64,
    /// Of these, how many it took.
    pub taken: u64,
    /// Inputs that made it panic.
    pub broke: Vec<Vec<u8>>,
}

fn canonical<T: Canonical>(bytes: &[u8]) -> bool {
    let Ok(value) = T::from_bytes(bytes) else {
        return false;
    };
    assert!(value.to_bytes() == bytes, "written as it was read");
    true
}

fn note(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let country = carnet_kit::Country::unborn("86");
    let origin = Origin {
        prefix: country.prefix,
        incarnation: 0,
    };
    let key = country.key("log").public();
    open(text, &key, &origin).is_ok()
}

fn code(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(code) = text.parse::<Code>() else {
        return false;
    };
    assert!(
        code.to_string().parse() == Ok(code),
        "written as it was read"
    );
    true
}

fn target<T: Canonical>(name: &'static str, samples: Vec<Vec<u8>>) -> Target {
    let read = canonical::<T>;
    Target {
        name,
        read,
        samples,
    }
}

/// All decoders, with samples of an exchange between two countries.
///
/// # Panics
/// When the kit's own story does not go as told.
#[allow(clippy::too_many_lines, reason = "one list")]
pub fn targets() -> Vec<Target> {
    let (mut a, mut b) = scene::two();
    let moved = a.code(1);
    scene::export(&mut a, &mut b, moved, 1);
    a.must("maker", a.register(2));
    let second = a.code(2);
    let declared = scene::offer(&a, &b, second, 2);
    a.must("customs", declared);
    a.deliver(&mut b);
    b.must("customs", scene::permit(&b, 2, Vec::new()));
    b.deliver(&mut a);
    a.must("customs", scene::depart(2));
    a.must(
        "maker",
        samples::recall(&a, "R1", carnet_domain::record::Severity::StopUse),
    );
    // A departure comes with a proof that it is the newest leaf.
    let batch = scene::waiting(&mut a, &b);
    let newest = batch.items.iter().find_map(|item| item.newest.clone());
    let newest = newest.expect("a departure waits");
    let all = |values: &[&dyn Fn() -> Vec<u8>]| values.iter().map(|value| value()).collect();
    let entries: Vec<Entry> = a.entries.iter().chain(&b.entries).cloned().collect();
    let bytes_of = |entries: &[Entry]| entries.iter().map(Canonical::to_bytes).collect();
    let (mut headers, mut openings, mut statements, mut envelopes, mut requests) =
        (vec![], vec![], vec![], vec![], vec![]);
    for entry in &entries {
        match &entry.body {
            Body::Actor { request, .. } => {
                headers.push(request.header.0.clone());
                requests.push(request.to_bytes());
                let envelope = Envelope::Actor {
                    header: request.header.clone(),
                    signature: request.signature,
                    first_item: request.first_item,
                    items: request.items.clone(),
                    range_proof: request.range_proof.clone(),
                };
                envelopes.push(envelope.to_bytes());
            }
            Body::OpenSession { opening, .. } => openings.push(opening.0.clone()),
            Body::Root { signed } => statements.push(signed.clone()),
            _ => {}
        }
    }
    let leaves: Vec<LeafRecord> = (0..a.registry().tree.size())
        .filter_map(|index| {
            let Ok(leaf) = a.ledger.leaf(index);
            leaf
        })
        .collect();
    let links = leaves
        .iter()
        .filter_map(|leaf| leaf.values.get(12)?.clone());
    let links: Vec<Vec<u8>> = links.map(|blob| blob.0).collect();
    let Ok(peer) = a.ledger.peer(&b.prefix);
    let commands: Vec<Vec<u8>> = samples::commands(&a)
        .iter()
        .map(Canonical::to_bytes)
        .collect();
    let evidence = Evidence {
        frame: Frame {
            version: EVIDENCE_VERSION,
            origin: Origin {
                prefix: a.prefix,
                incarnation: 0,
            },
            checkpoint: batch.checkpoint.clone(),
            map_head: newest.map_head.clone(),
            joined: None,
        },
        code: moved,
        robot: batch
            .items
            .first()
            .map(|item| RobotProof::Included {
                proven: item.proven.clone(),
            })
            .expect("mail waits"),
        model: None,
        chain: batch.items.iter().map(|item| item.proven.clone()).collect(),
    };
    let robots: Vec<Vec<u8>> = a.ledger.robots().map(Canonical::to_bytes).collect();
    let signer = {
        let Ok(signer) = a.ledger.signer(&a.key("maker").public().key_id());
        signer.expect("the maker signs")
    };
    let enterprise = {
        let Ok(enterprise) = a.ledger.enterprise(&a.enterprise("0001"));
        enterprise.expect("accredited")
    };
    let model = {
        let Ok(model) = a.ledger.model(&a.model("0001", "100002"));
        model.expect("approved")
    };
    let answers: Vec<Vec<u8>> = {
        let mut again = carnet_kit::Country::with_market("86");
        let command = again.register(1);
        let request = again.request("maker", &[command]);
        vec![
            again.ask(request.clone()).to_bytes(),
            again.ask(request).to_bytes(),
        ]
    };
    let refused: Vec<Vec<u8>> = {
        let item = a.command("maker", a.register(1));
        match item {
            carnet_domain::machine::entry::ItemAnswer::Refused { rejection } => {
                vec![rejection.to_bytes()]
            }
            other => panic!("registered twice: {other:?}"),
        }
    };
    let recall = {
        let Ok(recall) = a.ledger.recall(&samples::recall_id(&a, "R1"));
        recall.expect("opened")
    };
    let skip = Skip {
        cluster: [7; 16],
        log_index: 9,
        entry: scene::d("entry"),
    };
    let file = EvidenceFile {
        version: FILE_VERSION,
        verifier: b.prefix,
        code: moved,
        saved_at: a.clock,
        issuer: Some(FileParty {
            registry: a.prefix,
            bundle: Some(a.bundle()),
            evidence: Some(Blob(evidence.to_bytes())),
            taken: Some(SignedTaking {
                taking: Taking {
                    registry: b.prefix,
                    incarnation: 0,
                    published: 9,
                    origin: evidence.frame.origin,
                    size: 9,
                    root: scene::d("root"),
                    at: b.clock,
                },
                signatures: vec![KeySignature {
                    key: b.key("log").public(),
                    signature: b.key("log").sign(b"anything"),
                }],
            }),
        }),
        custodians: Vec::new(),
    };
    let head = KnownHead {
        size: 9,
        root: scene::d("root"),
        time: b.clock,
    };
    let mut others = Keys::salted(7);
    others.add(&scene::d("another robot"));
    let pack = Pack {
        version: PACK_VERSION,
        registry: b.prefix,
        incarnation: 0,
        at: b.clock,
        whole: true,
        head: Some(head),
        peers: vec![PackPeer {
            bundle: a.bundle(),
            replaced: vec![a.bundle()],
            head: Some(head),
            doubt: None,
            agreements: vec![carnet_kit::agreement(a.prefix, b.prefix, 1)],
            suspended: Vec::new(),
        }],
        lacking: vec![b.prefix],
        robots: vec![(scene::d("robot"), KnownRobot::default())],
        others: others.pack(SIEVE_BYTES_MAX),
        recalls: Vec::new(),
        models: vec![KnownModel {
            id: moved.model_id(),
            approval: ApprovalStatus::Suspended,
        }],
        makers: vec![KnownMaker {
            id: moved.enterprise_id(),
            status: EnterpriseStatus::Suspended,
            successor: Some(moved.enterprise_id()),
        }],
    };
    let question = Question {
        prefix: a.prefix,
        incarnation: 0,
        key: a.key("maker").public().key_id(),
        not_after: a.clock,
        items: commands.iter().cloned().map(Blob).collect(),
    };
    let of_subject = {
        a.close();
        let registry = a.registry();
        let published = Published {
            origin: evidence.frame.origin,
            checkpoint: &registry.checkpoint,
            size: registry.published.map_or(0, |sealed| sealed.size),
        };
        let newest = enterprise.head.map(|head| Newest {
            index: head.leaf_index,
            facts: Digest::ZERO,
        });
        let subject = Subject::enterprise(&enterprise.id);
        evidence::build_subject(&a.ledger, &published, subject, newest)
    };
    let of_subject = of_subject.expect("a closed log");
    vec![
        target::<Entry>("entry", bytes_of(&entries)),
        target::<SignedHeader>("header", headers),
        target::<SessionOpening>("session opening", openings),
        target::<Request>("request", requests),
        target::<Question>("question", vec![question.to_bytes()]),
        target::<Command>("command", commands),
        target::<Answer>("answer", answers),
        target::<Rejection>("rejection", refused),
        target::<Envelope>("envelope", envelopes),
        target::<Signed>(
            "signed statement",
            statements.iter().map(Canonical::to_bytes).collect(),
        ),
        target::<Statement>(
            "statement",
            statements
                .iter()
                .map(|signed| signed.bytes.0.clone())
                .collect(),
        ),
        target::<Bundle>("bundle", vec![b.bundle_of(3).to_bytes()]),
        target::<Agreement>(
            "agreement",
            vec![carnet_kit::agreement(a.prefix, b.prefix, 2).to_bytes()],
        ),
        target::<Skip>("order to skip", vec![skip.to_bytes()]),
        target::<MailBatch>("mail", all(&[&|| batch.to_bytes()])),
        target::<MailItem>(
            "mail item",
            batch.items.iter().map(Canonical::to_bytes).collect(),
        ),
        target::<NewestProof>("proof of the newest", vec![newest.to_bytes()]),
        target::<Leaf>(
            "leaf",
            leaves.iter().map(|leaf| leaf.leaf.0.clone()).collect(),
        ),
        target::<LeafRecord>(
            "stored leaf",
            leaves.iter().map(Canonical::to_bytes).collect(),
        ),
        target::<Link>("link", links),
        target::<MapProof>("map proof", vec![newest.proof.to_bytes()]),
        target::<Robot>("robot", robots),
        target::<Peer>("peer", peer.iter().map(Canonical::to_bytes).collect()),
        target::<Signer>("signer", vec![signer.to_bytes()]),
        target::<Enterprise>("enterprise", vec![enterprise.to_bytes()]),
        target::<Model>("model", vec![model.to_bytes()]),
        target::<Recall>("recall", vec![recall.to_bytes()]),
        Target {
            name: "evidence",
            read: |bytes| {
                let taken = evidence::parse(bytes).is_ok();
                assert!(!taken || canonical::<Evidence>(bytes), "canonical");
                taken
            },
            samples: vec![evidence.to_bytes()],
        },
        Target {
            name: "evidence of a subject",
            read: |bytes| {
                let taken = evidence::parse_subject(bytes).is_ok();
                assert!(!taken || canonical::<SubjectEvidence>(bytes), "canonical");
                taken
            },
            samples: vec![of_subject.to_bytes()],
        },
        target::<EvidenceFile>("evidence file", vec![file.to_bytes()]),
        target::<Pack>("pack", vec![pack.to_bytes()]),
        Target {
            name: "set of a pack",
            read: |bytes| {
                let packed = PackedSieve::from_bytes(bytes);
                packed.is_ok_and(|packed| Sieve::open(7, &packed).is_ok())
            },
            samples: pack.others.iter().map(Canonical::to_bytes).collect(),
        },
        Target {
            name: "passport",
            read: |bytes| passport::parse(bytes).is_ok(),
            samples: vec![passport_of_vector()],
        },
        Target {
            name: "certificate",
            read: |bytes| RootCertificate::from_der(bytes).is_ok(),
            samples: CERTIFICATES.lines().filter_map(hex).collect(),
        },
        Target {
            name: "note",
            read: note,
            samples: vec![batch.checkpoint.clone().into_bytes()],
        },
        Target {
            name: "code",
            read: code,
            samples: vec![moved.to_string().into_bytes()],
        },
    ]
}

/// Gives a decoder so many inputs, made of its samples, of those of others, and of nothing.
pub fn fuzz(target: &Target, others: &[Vec<u8>], seed: u64, count: u64) -> Fuzzed {
    let mut random = Seeded::new(seed);
    let mut pool = target.samples.clone();
    let mut out = Fuzzed::default();
    for sample in &target.samples {
        out.give(target, sample.clone());
    }
    for _ in 0..count {
        let mut bytes = random.pick(&pool).clone();
        for _ in 0..=random.below(3) {
            bytes = changed(bytes, others, &mut random);
        }
        // What was taken and is new leads to more.
        if out.give(target, bytes.clone()) && pool.len() < 256 {
            pool.push(bytes);
        }
    }
    out
}

impl Fuzzed {
    fn give(&mut self, target: &Target, bytes: Vec<u8>) -> bool {
        self.given += 1;
        let read = AssertUnwindSafe(|| (target.read)(&bytes));
        match catch_unwind(read) {
            Ok(taken) => {
                self.taken += u64::from(taken);
                taken
            }
            Err(_) => {
                self.broke.push(bytes);
                false
            }
        }
    }
}

/// One change: of a value in its form, of bits, or of what stands where.
pub fn changed(mut bytes: Vec<u8>, others: &[Vec<u8>], random: &mut Seeded) -> Vec<u8> {
    if bytes.is_empty() || random.one_in(3) {
        return extreme_bytes(&bytes, random);
    }
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => {
            bytes[at] = *random.pick(&[
                0x00, 0x17, 0x18, 0x1b, 0x40, 0x5b, 0x7f, 0x80, 0x9b, 0x9f, 0xff,
            ])
        }
        2 => bytes.truncate(at),
        3 => {
            bytes.drain(at..end);
        }
        4 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        5 => {
            let number = random.number().to_be_bytes();
            bytes.splice(at..end, number);
        }
        _ => {
            let other = random.pick(others);
            if !other.is_empty() {
                let from = random.below(other.len());
                let to = (from + 1 + random.below(64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// All samples of all decoders: each is attacked with those of the others too.
pub fn samples_of(targets: &[Target]) -> Vec<Vec<u8>> {
    targets
        .iter()
        .flat_map(|target| target.samples.clone())
        .collect()
}
