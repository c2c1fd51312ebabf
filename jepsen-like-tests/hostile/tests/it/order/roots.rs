//! The order of reasons for statements of the roots, and for mail.

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::MAIL_ITEMS_A_MINUTE_MAX;
use carnet_domain::machine::entry::{Body, ItemAnswer, MailBatch};
use carnet_domain::record::contact::Contact;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::offices::Change;
use carnet_domain::record::peer::{
    Agreement, Bundle, OfficeOrder, Peer, RootSignature, RootsChange, Signed, Statement, TimeChange,
};
use carnet_domain::rules::policy::Role;
use carnet_domain::rules::rejection::Reason;
use carnet_hostile::judge::content;
use carnet_hostile::scene::{offer, prefix, two, waiting};
use carnet_kit::{Country, agreed, agreement};

use super::{Attempt, Tried, disorder, fault_of as fault, is_meant};

/// What is known of a peer.
pub(super) fn peer(it: &mut Attempt, prefix_of: &str, change: impl Fn(&mut Peer)) {
    known(&mut it.country, prefix_of, change);
}

fn known(country: &mut Country, prefix_of: &str, change: impl Fn(&mut Peer)) {
    let Ok(peer) = country.ledger.peer(&prefix(prefix_of));
    let mut peer = peer.expect("a peer");
    change(&mut peer);
    let Ok(()) = country.ledger.put_peer(peer);
}

/// What a statement says, before it is signed.
#[derive(Clone)]
enum Says {
    Bundle(Bundle),
    Agreement(Agreement),
    Whole(Statement),
}

/// A statement about to be made, and everything that can be wrong with it.
#[derive(Clone)]
struct Stated {
    country: Country,
    other: Country,
    says: Says,
    /// Whether the roots sign it, and whoever else must.
    is_signed: bool,
    is_signed_within: bool,
    fingerprint: bool,
}

impl Stated {
    fn new(country: Country, other: Country, says: Says) -> Self {
        Self {
            country,
            other,
            says,
            is_signed: true,
            is_signed_within: true,
            fingerprint: true,
        }
    }

    fn bundle(&mut self) -> &mut Bundle {
        match &mut self.says {
            Says::Bundle(bundle) => bundle,
            _ => panic!("it states another thing"),
        }
    }

    fn agreement(&mut self) -> &mut Agreement {
        match &mut self.says {
            Says::Agreement(agreement) => agreement,
            _ => panic!("it states another thing"),
        }
    }

    fn whole(&mut self) -> &mut Statement {
        match &mut self.says {
            Says::Whole(statement) => statement,
            _ => panic!("it states another thing"),
        }
    }

    fn peer(&mut self, change: impl Fn(&mut Peer)) {
        known(&mut self.country, "49", change);
    }
}

impl Tried for Stated {
    fn run(mut self) -> Option<Reason> {
        let inner = |bytes: Vec<u8>, mut signatures: Vec<RootSignature>| {
            if !self.is_signed_within {
                signatures.truncate(1);
            }
            let bytes = Blob(bytes);
            Signed { bytes, signatures }
        };
        let (ours, theirs) = (&self.country, &self.other);
        let statement = match &self.says {
            Says::Bundle(bundle) => {
                let bytes = bundle.to_bytes();
                let mut fingerprint = sha256(&[&bytes]);
                if !self.fingerprint {
                    fingerprint.0[0] ^= 1;
                }
                let bundle = inner(bytes.clone(), theirs.root_signatures(&bytes));
                Statement::Recognise {
                    bundle,
                    fingerprint,
                    changes: Vec::new(),
                }
            }
            Says::Agreement(agreement) => {
                let bytes = agreement.to_bytes();
                let both = [
                    ours.root_signatures(&bytes)[..1].to_vec(),
                    theirs.root_signatures(&bytes),
                    ours.root_signatures(&bytes)[1..].to_vec(),
                ];
                Statement::Agree {
                    agreement: inner(bytes, both.concat()),
                }
            }
            Says::Whole(statement) => statement.clone(),
        };
        let mut signed = self.country.sign_statement(&statement);
        if !self.is_signed {
            signed.signatures.truncate(1);
        }
        let before = content(&self.country);
        let answer = self.country.apply_unrenewed(Body::Root { signed });
        match answer.items.as_slice() {
            [ItemAnswer::Refused { rejection }] => {
                assert_eq!(content(&self.country), before, "{rejection}");
                Some(rejection.reason)
            }
            _ => None,
        }
    }
}

#[test]
fn of_two_faults_of_a_recognition_the_first_is_answered() {
    let (a, b) = two();
    let bundle = b.bundle_of(9);
    let base = Stated::new(a, b, Says::Bundle(bundle));
    let faults = [
        fault("signed", Reason::StatementUnsigned, |it: &mut Stated| {
            it.is_signed = false;
        }),
        fault("within", Reason::StatementUnsigned, |it| {
            it.is_signed_within = false;
        }),
        fault("fingerprint", Reason::StatementUnsigned, |it| {
            it.fingerprint = false;
        }),
        fault("roots", Reason::Malformed, |it| {
            let twin = it.bundle().roots[0];
            it.bundle().roots.push(twin);
        }),
        fault("valid", Reason::StatementStale, |it| {
            it.bundle().valid_to = TimeMs(1);
        }),
        fault("sequence", Reason::StatementStale, |it| {
            it.bundle().sequence = 0;
        }),
        fault("prefixes", Reason::PrefixOverlap, |it| {
            it.bundle().prefixes.push(prefix("86"));
        }),
        fault("life", Reason::StatementStale, |it| {
            it.peer(|peer| peer.bundle.incarnation = 3);
        }),
    ];
    // Signatures are verified before anything that they sign is believed, and a note before its items.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::Malformed, Reason::StatementUnsigned),
            (Reason::StatementStale, Reason::PrefixOverlap),
        ],
    );
}

#[test]
fn of_two_faults_of_an_agreement_the_first_is_answered() {
    let (a, b) = two();
    let next = agreement(a.prefix, b.prefix, 2);
    let base = Stated::new(a, b, Says::Agreement(next));
    let faults = [
        fault("signed", Reason::StatementUnsigned, |it: &mut Stated| {
            it.is_signed = false;
        }),
        fault("within", Reason::StatementUnsigned, |it| {
            it.is_signed_within = false;
        }),
        fault("parties", Reason::PeerUnknown, |it| {
            it.agreement().parties = (prefix("86"), prefix("33"));
        }),
        fault("parties", Reason::PeerUnknown, |it| {
            it.agreement().parties = (prefix("34"), prefix("33"));
        }),
        fault("version", Reason::StatementStale, |it| {
            it.agreement().version = 1;
        }),
        fault("period", Reason::StatementStale, |it| {
            it.agreement().effective_to = TimeMs(1);
        }),
    ];
    // Signatures are verified before anything that they sign is believed, and a note before its items.
    is_meant(
        &disorder(&base, &faults),
        &[(Reason::PeerUnknown, Reason::StatementUnsigned)],
    );
}

#[test]
fn of_two_faults_of_a_suspension_the_first_is_answered() {
    let (a, b) = two();
    let suspend = Statement::Suspend {
        peer: b.prefix,
        agreement: agreed(a.prefix, b.prefix),
        number: 2,
        until: TimeMs::MAX,
        reason: "why".into(),
    };
    let base = Stated::new(a, b, Says::Whole(suspend));
    let faults = [
        fault("signed", Reason::StatementUnsigned, |it: &mut Stated| {
            it.is_signed = false;
        }),
        fault("peer", Reason::PeerUnknown, |it| {
            if let Statement::Suspend { peer, .. } = it.whole() {
                *peer = prefix("33");
            }
        }),
        fault("agreement", Reason::NoAgreement, |it| {
            if let Statement::Suspend { agreement, .. } = it.whole() {
                agreement.version = 9;
            }
        }),
        fault("number", Reason::StatementStale, |it| {
            it.peer(|peer| {
                peer.suspended = vec![carnet_domain::record::peer::Suspension {
                    agreement: agreed(prefix("86"), prefix("49")),
                    number: 2,
                    until: TimeMs::MAX,
                }];
            });
        }),
    ];
    // Signatures are verified before anything that they sign is believed, and a note before its items.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::PeerUnknown, Reason::StatementUnsigned),
            (Reason::NoAgreement, Reason::StatementUnsigned),
        ],
    );
}

#[test]
fn of_two_faults_of_the_end_of_a_contact_the_first_is_answered() {
    let (a, b) = two();
    let Ok(known) = a.ledger.peer(&b.prefix);
    let end = Statement::EndPeer {
        peer: b.prefix,
        sequence: known.expect("a peer").bundle.sequence,
        stranded: 0,
        reason: "why".into(),
    };
    let base = Stated::new(a, b, Says::Whole(end));
    let faults = [
        fault("signed", Reason::StatementUnsigned, |it: &mut Stated| {
            it.is_signed = false;
        }),
        fault("peer", Reason::PeerUnknown, |it| {
            if let Statement::EndPeer { peer, .. } = it.whole() {
                *peer = prefix("33");
            }
        }),
        fault("open", Reason::TransferOpen, |it| {
            it.peer(|peer| peer.offers_open = 1);
        }),
        fault("sequence", Reason::StatementStale, |it| {
            if let Statement::EndPeer { sequence, .. } = it.whole() {
                *sequence += 1;
            }
        }),
        fault("ended", Reason::NothingChanges, |it| {
            it.peer(|peer| peer.contact = Contact::Ended);
        }),
    ];
    // Signatures are verified before anything that they sign is believed; what is open is open with somebody.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::TransferOpen, Reason::PeerUnknown),
            (Reason::TransferOpen, Reason::StatementUnsigned),
            (Reason::PeerUnknown, Reason::StatementUnsigned),
        ],
    );
}

#[test]
fn of_two_faults_of_an_order_about_offices_the_first_is_answered() {
    let (a, b) = two();
    let order = OfficeOrder {
        cluster: a.registry().cluster,
        number: 1,
        changes: vec![a.addition("clerk", "customs", Role::Customs, "clerk")],
        reason: "why".into(),
    };
    let base = Stated::new(a, b, Says::Whole(Statement::Offices { order }));
    fn order_of(it: &mut Stated) -> &mut OfficeOrder {
        match it.whole() {
            Statement::Offices { order } => order,
            other => panic!("{} is no order", other.number()),
        }
    }
    let faults = [
        fault("signed", Reason::StatementUnsigned, |it: &mut Stated| {
            it.is_signed = false;
        }),
        fault("cluster", Reason::WrongAudience, |it| {
            order_of(it).cluster[0] ^= 1;
        }),
        fault("number", Reason::StatementStale, |it| {
            order_of(it).number = 7;
        }),
        fault("changes", Reason::Malformed, |it| {
            let twin = order_of(it).changes[0].clone();
            order_of(it).changes.push(twin);
        }),
        fault("proof", Reason::BadSignature, |it| {
            for change in &mut order_of(it).changes {
                if let Change::Add { proof, .. } = change {
                    proof.0[0] ^= 1;
                }
            }
        }),
        fault("known", Reason::SignerExists, |it| {
            let public = it.country.key("clerk").public();
            let known = it.country.key("buyer").public().key_id();
            let Ok(known) = it.country.ledger.signer(&known);
            let mut known = known.expect("enrolled");
            (known.id, known.public) = (public.key_id(), public);
            let Ok(()) = it.country.ledger.put_signer(known);
        }),
    ];
    // Signatures are verified before anything that they sign is believed, and a note before its items.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::WrongAudience, Reason::StatementUnsigned),
            (Reason::BadSignature, Reason::Malformed),
            (Reason::BadSignature, Reason::StatementUnsigned),
            (Reason::BadSignature, Reason::StatementStale),
            (Reason::Malformed, Reason::StatementUnsigned),
            (Reason::Malformed, Reason::StatementStale),
            (Reason::SignerExists, Reason::StatementUnsigned),
            (Reason::SignerExists, Reason::StatementStale),
        ],
    );
}

#[test]
fn of_two_faults_of_a_step_of_time_the_first_is_answered() {
    let (mut a, b) = two();
    a.advance(DurationMs::from_secs(10));
    let log_time = a.registry().log_time;
    let change = TimeChange {
        cluster: a.registry().cluster,
        number: 1,
        from: log_time,
        to: log_time.saturating_add(DurationMs::from_days(2)),
    };
    let base = Stated::new(a, b, Says::Whole(Statement::AdvanceTime { change }));
    fn change_of(it: &mut Stated) -> &mut TimeChange {
        match it.whole() {
            Statement::AdvanceTime { change } => change,
            other => panic!("{} moves no time", other.number()),
        }
    }
    let faults = [
        fault("signed", Reason::StatementUnsigned, |it: &mut Stated| {
            it.is_signed = false;
        }),
        fault("cluster", Reason::WrongAudience, |it| {
            change_of(it).cluster[0] ^= 1;
        }),
        fault("number", Reason::StatementStale, |it| {
            change_of(it).number = 7;
        }),
        fault("from", Reason::StatementStale, |it| {
            change_of(it).from = TimeMs(1);
        }),
        fault("to", Reason::Malformed, |it| {
            change_of(it).to = TimeMs::MAX;
        }),
    ];
    // Signatures are verified before anything that they sign is believed, and a note before its items.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::WrongAudience, Reason::StatementUnsigned),
            (Reason::Malformed, Reason::StatementUnsigned),
            (Reason::Malformed, Reason::StatementStale),
        ],
    );
}

#[test]
fn of_two_faults_of_a_change_of_roots_the_first_is_answered() {
    let (a, b) = two();
    let change = RootsChange {
        cluster: a.registry().cluster,
        number: 1,
        roots: a.registry().roots,
        threshold: 2,
        reason: "why".into(),
    };
    let base = Stated::new(a, b, Says::Whole(Statement::Roots { change }));
    fn change_of(it: &mut Stated) -> &mut RootsChange {
        match it.whole() {
            Statement::Roots { change } => change,
            other => panic!("{} changes no roots", other.number()),
        }
    }
    let faults = [
        fault("signed", Reason::StatementUnsigned, |it: &mut Stated| {
            it.is_signed = false;
        }),
        fault("cluster", Reason::WrongAudience, |it| {
            change_of(it).cluster[0] ^= 1;
        }),
        fault("twins", Reason::Malformed, |it| {
            let twin = change_of(it).roots[0];
            change_of(it).roots.push(twin);
        }),
        fault("number", Reason::StatementStale, |it| {
            change_of(it).number = 7;
        }),
        fault("threshold", Reason::StatementUnsigned, |it| {
            change_of(it).threshold = 3;
        }),
    ];
    // Signatures are verified before anything that they sign is believed, and a note before its items.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::WrongAudience, Reason::StatementUnsigned),
            (Reason::Malformed, Reason::StatementUnsigned),
            (Reason::StatementUnsigned, Reason::StatementStale),
        ],
    );
}

/// A batch about to be handed over, and everything that can be wrong with it.
#[derive(Clone)]
struct Handed {
    country: Country,
    batch: MailBatch,
}

impl Tried for Handed {
    fn run(mut self) -> Option<Reason> {
        let before = self.country.ledger.records_digest();
        let batch = self.batch;
        let answer = self.country.apply(Body::Foreign { batch });
        match answer.items.as_slice() {
            [ItemAnswer::Refused { rejection }] => {
                let after = self.country.ledger.records_digest();
                assert_eq!(after, before, "{rejection}");
                Some(rejection.reason)
            }
            _ => None,
        }
    }
}

#[test]
fn of_two_faults_of_mail_the_first_is_answered() {
    let (mut a, mut b) = two();
    // A head is known by which this one is judged.
    let first = offer(&a, &b, a.code(1), 1);
    a.must("customs", first);
    a.deliver(&mut b);
    let register = a.register(2);
    a.must("maker", register);
    let second = offer(&a, &b, a.code(2), 2);
    a.must("customs", second);
    let batch = waiting(&mut a, &b);
    assert_eq!(batch.items.len(), 1, "one item, one answer");
    let base = Handed { country: b, batch };
    let faults = [
        fault("peer", Reason::PeerUnknown, |it: &mut Handed| {
            it.batch.peer = Prefix::parse("33").expect("a prefix");
        }),
        fault("note", Reason::EvidenceBroken, |it| {
            it.batch.checkpoint.push('x');
        }),
        fault("split", Reason::PeerQuarantined, |it| {
            known(&mut it.country, "86", |peer| peer.split = true);
        }),
        fault("contact", Reason::ContactPaused, |it| {
            known(&mut it.country, "86", |peer| {
                peer.contact = Contact::Paused;
            });
        }),
        fault("bundle", Reason::BundleExpired, |it| {
            known(&mut it.country, "86", |peer| {
                peer.bundle.valid_to = TimeMs(1);
            });
        }),
        fault("consistency", Reason::EvidenceBroken, |it| {
            it.batch.consistency.clear();
        }),
        fault("sequence", Reason::EvidenceGap, |it| {
            it.batch.items[0].sequence = 9;
        }),
        fault("path", Reason::EvidenceBroken, |it| {
            it.batch.items[0].proven.path.clear();
        }),
        fault("pace", Reason::PeerPaused, |it| {
            let minute = it.country.registry().log_time.0 / 60_000;
            known(&mut it.country, "86", |peer| {
                peer.heard.minute = minute;
                peer.heard.items = MAIL_ITEMS_A_MINUTE_MAX;
            });
        }),
    ];
    // Signatures are verified before anything that they sign is believed, and a note before its items.
    is_meant(
        &disorder(&base, &faults),
        &[
            (Reason::PeerQuarantined, Reason::EvidenceBroken),
            (Reason::ContactPaused, Reason::EvidenceBroken),
            (Reason::BundleExpired, Reason::EvidenceBroken),
            (Reason::PeerPaused, Reason::EvidenceBroken),
            (Reason::PeerPaused, Reason::EvidenceGap),
            (Reason::EvidenceBroken, Reason::EvidenceGap),
        ],
    );
}
