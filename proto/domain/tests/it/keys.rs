//! The log key of a country is followed by another while it runs, and what each signed is believed as of its time.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical, Encoder};
use carnet_domain::bytes::signature::{PublicKey, SecretKey, Signature};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{
    KEY_ORDERS_MAX, KEY_STEPS_MAX, KEYS_MAX, KEYS_OF_ORDERS_MAX, LOG_KEYS_ACTIVE_MAX,
};
use carnet_domain::log::checkpoint::{Checkpoint, NoteError, Origin};
use carnet_domain::machine::entry::Body;
use carnet_domain::record::keys::{
    GoodHead, KeyCause, KeyEntry, KeyHistory, KeyRole, KeySignature, KeyStep, KeysOrder,
};
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::peer::{Bundle, Signed, Statement};
use carnet_kit::{Country, befriend, text};

fn origin(x: &Country) -> Origin {
    Origin {
        prefix: x.prefix,
        incarnation: 0,
    }
}

fn order(x: &mut Country, steps: Vec<KeyStep>) -> String {
    let signed = x.order_keys(steps);
    text(&x.apply(Body::Root { signed }).items[0])
}

fn public(x: &Country, name: &str) -> PublicKey {
    x.key(name).public()
}

fn activate(x: &Country, name: &str) -> KeyStep {
    let key = public(x, name);
    KeyStep::Activate { key }
}

fn retire(x: &Country, name: &str) -> KeyStep {
    let key = public(x, name);
    KeyStep::Retire { key }
}

fn sealed(x: &Country) -> GoodHead {
    let sealed = x.registry().sealed.expect("sealed");
    GoodHead {
        size: sealed.size,
        root: sealed.root,
    }
}

/// A head of a size and root that a key signs.
fn head(x: &Country, size: u64, root: Digest, key: &SecretKey) -> String {
    let origin = origin(x);
    Checkpoint { origin, size, root }.sign(key).into_text()
}

/// `x` states a bundle of another country.
fn recognise(x: &mut Country, of: &Country, bundle: &Bundle) -> String {
    let bytes = bundle.to_bytes();
    let statement = Statement::Recognise {
        changes: Vec::new(),
        fingerprint: bundle.fingerprint(),
        bundle: Signed {
            signatures: of.root_signatures(&bytes),
            bytes: Blob(bytes),
        },
    };
    text(&x.state(&statement))
}

fn market() -> Country {
    let mut x = Country::with_market("86");
    x.close();
    x
}

/// While one follows the other every head has both signatures, and whoever knows either believes it.
#[test]
fn a_log_key_is_followed_by_another_and_no_head_is_believed_less() {
    let mut x = market();
    let begun = x.registry().keys;
    let (old, new) = (public(&x, "log"), public(&x, "log-2"));
    let add = x.add_log_key("log-2");
    assert_eq!(order(&mut x, vec![add]), "done");
    x.close();
    // Known, and not used yet.
    let registry = x.registry();
    assert_eq!(registry.keys.signers_of(registry.tree.size()), [old]);
    assert_eq!(registry.keys.log_key(), Some(old));
    let step = activate(&x, "log-2");
    assert_eq!(order(&mut x, vec![step]), "done");
    x.close();
    let registry = x.registry();
    let size = registry.tree.size();
    assert_eq!(registry.keys.signers_of(size), [old, new]);
    assert_eq!(registry.published.as_ref().map(|it| it.size), Some(size));
    for known in [
        begun.clone(),
        registry.keys.clone(),
        KeyHistory::of_log_keys([new]),
    ] {
        let opened = known.open(&registry.checkpoint, &origin(&x));
        assert_eq!(opened.expect("believed").size(), size);
    }
    let last = sealed(&x);
    let step = retire(&x, "log");
    assert_eq!(order(&mut x, vec![step]), "done");
    x.close();
    let registry = x.registry();
    assert_eq!(registry.key_leaves.len(), 3);
    assert_eq!(registry.keys.signers_of(registry.tree.size()), [new]);
    let ended = registry.keys.entry(KeyRole::Log, &old).expect("kept");
    let end = ended.end.expect("retired");
    assert_eq!((end.cause, end.last_good), (KeyCause::Retired, Some(last)));
    // Nobody signs for less than everything that is in use, in another order, or with what is over.
    let known = begun.open(&registry.checkpoint, &origin(&x));
    assert_eq!(known.err(), Some(NoteError::Unsigned(0)));
    assert!(begun.leads_to(&registry.keys) && !registry.keys.leads_to(&begun));
}

/// A head is held to the keys of its time: an old one to the old key, a new one to the new.
#[test]
fn each_head_is_believed_by_the_key_of_its_time() {
    let mut x = market();
    let old_head = x.registry().checkpoint;
    let old = sealed(&x);
    x.rotate_log("log", "log-2");
    let registry = x.registry();
    let keys = registry.keys.clone();
    let at = origin(&x);
    assert_eq!(
        keys.open(&old_head, &at).expect("of its time").size(),
        old.size
    );
    keys.open(&registry.checkpoint, &at).expect("the newest");
    let size = registry.tree.size();
    let root = registry.tree.root();
    let last = keys.all().iter().find_map(|it| it.end).expect("retired");
    let last = last.last_good.expect("with a head").size;
    let forged = head(&x, size, root, &x.key("log"));
    let why = keys.open(&forged, &at).err();
    assert_eq!(why, Some(NoteError::KeyRetired { size, last }));
    let early = head(&x, old.size, old.root, &x.key("log-2"));
    let why = keys.open(&early, &at).err();
    assert_eq!(why, Some(NoteError::KeyTooNew { size: old.size }));
    // The last head of its time has one root.
    let other = head(&x, last, registry.tree.root(), &x.key("log"));
    let why = keys.open(&other, &at).err();
    assert_eq!(why, Some(NoteError::KeyRetired { size: last, last }));
}

/// Whoever stole the key signs what they like, of any size: the head that the country stands by is all that is believed.
#[test]
fn of_a_stolen_key_the_last_good_head_alone_is_believed() {
    let mut x = market();
    let first = x.registry().checkpoint;
    x.must("maker", x.register(1));
    x.close();
    let (good, good_text) = (sealed(&x), x.registry().checkpoint);
    x.must("maker", x.register(2));
    x.close();
    let after = x.registry().checkpoint;
    let old = public(&x, "log");
    let steps = vec![
        x.add_log_key("log-2"),
        activate(&x, "log-2"),
        KeyStep::Compromise {
            key: old,
            last_good: good,
        },
    ];
    assert_eq!(order(&mut x, steps), "done");
    // What was published stays published here, until the new key signs.
    let registry = x.registry();
    assert_eq!(registry.checkpoint, after);
    registry
        .keys
        .open_seen(&after, &origin(&x))
        .expect("it was seen");
    x.close();
    let registry = x.registry();
    let keys = &registry.keys;
    keys.open(&registry.checkpoint, &origin(&x))
        .expect("signed anew");
    keys.open(&good_text, &origin(&x))
        .expect("the last good one");
    for text in [first, after] {
        let why = keys.open(&text, &origin(&x)).err();
        assert!(
            matches!(why, Some(NoteError::KeyCompromised { last, .. }) if last == good.size),
            "{why:?}"
        );
    }
    let forged = head(&x, good.size, registry.tree.root(), &x.key("log"));
    assert!(keys.open(&forged, &origin(&x)).is_err(), "another root");
    // A theft that was told is not taken back, and what is good of it never grows.
    let message = b"a pack";
    let by = |key: &str| KeySignature {
        key: public(&x, key),
        signature: x.key(key).sign(message),
    };
    let place = (1, TimeMs(1));
    assert!(!keys.is_signed(message, &[by("log")], place));
    assert!(keys.is_signed(message, &[by("log"), by("log-2")], place));
    let again = KeyStep::Compromise {
        key: old,
        last_good: GoodHead {
            size: good.size + 1,
            ..good
        },
    };
    assert!(order(&mut x, vec![again]).starts_with("SignerNotActive"));
}

/// Its old seed lies in folders that nobody guards as before: what it signs names the size that whoever has it likes.
#[test]
fn a_retired_key_signs_nothing_of_later_than_its_end() {
    let mut x = market();
    x.rotate_log("log", "log-2");
    let keys = x.registry().keys;
    let message = b"a pack";
    let by = |key: &str| KeySignature {
        key: public(&x, key),
        signature: x.key(key).sign(message),
    };
    let end = keys.entry(KeyRole::Log, &public(&x, "log"));
    let end = end.and_then(|entry| entry.end).expect("it ended");
    let last = end.last_good.expect("a head").size;
    let later = end.at.saturating_add(DurationMs::from_ms(1));
    for (name, place, held) in [
        ("log", (last, end.at), true),
        ("log", (last, later), false),
        ("log", (1, later), false),
        ("log", (last + 1, end.at), false),
        ("log-2", (last + 1, later), true),
        ("log-2", (1, later), true),
    ] {
        let found = keys.is_signed(message, &[by(name)], place);
        assert_eq!(found, held, "{name} {place:?}");
    }
}

/// Of a key that was retired it comes out later that it had been stolen.
#[test]
fn a_retired_key_is_found_to_have_been_stolen() {
    let mut x = market();
    let good = sealed(&x);
    x.rotate_log("log", "log-2");
    let before = x.registry().keys;
    let step = |size| KeyStep::Compromise {
        key: public(&x, "log"),
        last_good: GoodHead { size, ..good },
    };
    let (later, now) = (step(x.registry().tree.size()), step(good.size));
    assert!(order(&mut x, vec![later]).starts_with("NotSealed"));
    assert_eq!(order(&mut x, vec![now]), "done");
    let after = x.registry().keys;
    assert!(before.leads_to(&after) && !after.leads_to(&before));
}

#[test]
fn orders_about_keys_that_cannot_be_followed_change_nothing() {
    let mut x = market();
    let old = public(&x, "log");
    let good = sealed(&x);
    let add = x.add_log_key("log-2");
    let KeyStep::Add { role, key, .. } = add else {
        unreachable!("it adds");
    };
    let proof = Signature([0; 64]);
    let root = public(&x, "root-0");
    let step = |step: KeyStep| vec![step];
    let cases: Vec<(Vec<KeyStep>, &str)> = vec![
        (Vec::new(), "Malformed"),
        (step(KeyStep::Add { role, key, proof }), "BadSignature"),
        (
            step(KeyStep::Add {
                role: KeyRole::Root,
                key,
                proof,
            }),
            "Malformed",
        ),
        (vec![add, add], "SignerExists"),
        (step(KeyStep::Activate { key }), "SignerUnknown"),
        (step(KeyStep::Activate { key: old }), "SignerNotActive"),
        (step(KeyStep::Retire { key: old }), "LastOfRole"),
        (step(KeyStep::Retire { key: root }), "SignerNotActive"),
        (
            step(KeyStep::Compromise {
                key: old,
                last_good: good,
            }),
            "LastOfRole",
        ),
        (
            step(KeyStep::Compromise {
                key: root,
                last_good: good,
            }),
            "SignerNotActive",
        ),
        // The last step fails, and so none is taken.
        (vec![add, KeyStep::Retire { key: old }], "LastOfRole"),
    ];
    let before = x.registry();
    for (steps, reason) in cases {
        let said = order(&mut x, steps.clone());
        assert!(said.starts_with(reason), "{steps:?}: {said}");
    }
    let registry = x.registry();
    assert_eq!(
        (&registry.keys, &registry.key_leaves),
        (&before.keys, &before.key_leaves)
    );
    // Its number is used up once.
    let twice = x.order_keys(vec![add]);
    let first = x.apply(Body::Root {
        signed: twice.clone(),
    });
    assert_eq!(text(&first.items[0]), "done");
    let again = x.apply(Body::Root { signed: twice });
    assert!(text(&again.items[0]).starts_with("StatementStale"));
    // Of a third key at the same time nobody would have the signatures of all.
    let third = vec![
        KeyStep::Activate { key },
        x.add_log_key("log-3"),
        activate(&x, "log-3"),
    ];
    assert!(order(&mut x, third).starts_with("RecordFull"));
}

/// A history, an order and a publication are read up to their bounds, and no further.
#[test]
fn keys_are_read_up_to_their_bounds() {
    let x = market();
    let key = public(&x, "log");
    let entry = KeyEntry {
        role: KeyRole::Root,
        key,
        added: 0,
        activated: None,
        end: None,
    };
    let history = |count: usize| {
        let mut e = Encoder::new();
        e.array(1);
        e.array(count);
        (0..count).for_each(|_| entry.encode(&mut e));
        KeyHistory::from_bytes(&e.finish()).is_ok()
    };
    assert!(history(KEYS_MAX) && !history(KEYS_MAX + 1));
    let order = |count: usize| {
        let order = KeysOrder {
            cluster: [7; 16],
            number: 1,
            steps: vec![activate(&x, "log"); count],
            reason: "the key is old".into(),
        };
        KeysOrder::from_bytes(&order.to_bytes()).is_ok()
    };
    assert!(order(KEY_STEPS_MAX) && !order(KEY_STEPS_MAX + 1));
    let published = |count: usize| {
        let signature = Signature([0; 64]);
        let body = Body::Publish {
            size: 1,
            root: Digest::ZERO,
            signatures: vec![KeySignature { key, signature }; count],
        };
        Body::from_bytes(&body.to_bytes()).is_ok()
    };
    assert!(published(LOG_KEYS_ACTIVE_MAX) && !published(LOG_KEYS_ACTIVE_MAX + 1));
}

/// Orders about keys leave room for replacements of the roots, and have an end themselves.
#[test]
fn orders_add_so_many_keys_and_are_so_many() {
    let mut x = market();
    // The log key of the genesis is one of them.
    let more = (1..KEYS_OF_ORDERS_MAX).map(|number| x.add_log_key(&format!("log-{number}")));
    let more: Vec<KeyStep> = more.collect();
    for steps in more.chunks(KEY_STEPS_MAX) {
        assert_eq!(order(&mut x, steps.to_vec()), "done");
    }
    let another = vec![x.add_log_key("another")];
    assert!(order(&mut x, another).starts_with("RecordFull"));
    let mut x = market();
    let mut registry = x.registry();
    registry.key_leaves = vec![0; KEY_ORDERS_MAX];
    let Ok(()) = x.ledger.put_registry(registry);
    let another = vec![x.add_log_key("another")];
    assert!(order(&mut x, another).starts_with("RecordFull"));
}

/// Its peers go on believing it by the old bundle until they state the new one, and then by the new key alone.
#[test]
fn peers_follow_a_log_key() {
    let (mut a, mut b) = (Country::with_market("86"), Country::with_market("49"));
    befriend(&mut a, &mut b);
    a.must("maker", a.register(1));
    a.close();
    let add = a.add_log_key("log-2");
    let step = activate(&a, "log-2");
    assert_eq!(order(&mut a, vec![add, step]), "done");
    a.must("maker", a.register(2));
    a.deliver(&mut b);
    let seen = |b: &Country, a: &Country| {
        let Ok(peer) = b.ledger.peer(&a.prefix);
        peer.expect("a peer").size_seen
    };
    let both = seen(&b, &a);
    assert!(both > 0, "by the old key");
    // The history goes into the next bundle, which goes on from the one before.
    let next = a.bundle_of(2);
    assert_eq!(recognise(&mut b, &a, &next), "done");
    let step = retire(&a, "log");
    assert_eq!(order(&mut a, vec![step]), "done");
    a.must("maker", a.register(3));
    a.deliver(&mut b);
    assert!(seen(&b, &a) > both, "by the new key");
    // A bundle that takes back what was said of a key is none.
    let mut back = a.bundle_of(9);
    back.keys = KeyHistory::at_genesis(&back.roots, public(&a, "log"));
    let said = recognise(&mut b, &a, &back);
    assert!(said.starts_with("StatementStale"), "{said}");
}
