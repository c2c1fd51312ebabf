//! Where a node's chains of audit stand: entered by members, never taken back.

use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::limits::{AUDIT_ANCHORS_MAX, AUDIT_PLACES_IN_ALL_MAX, AUDIT_PLACES_MAX};
use carnet_domain::log::audit::AuditHead;
use carnet_domain::machine::entry::{Body, Members};
use carnet_domain::record::audited::{AuditAnchor, AuditAnchors, AuditHeads};
use carnet_domain::record::ledger::Ledger;
use carnet_kit::{Country, text};

fn head(number: u64, word: &str) -> AuditHead {
    AuditHead {
        number,
        hash: sha256(&[word.as_bytes()]),
    }
}

fn heads(acts: AuditHead) -> AuditHeads {
    AuditHeads {
        acts,
        ..AuditHeads::default()
    }
}

fn say(x: &mut Country, node: u64, heads: AuditHeads) -> String {
    text(&x.apply(Body::Audit { node, heads }).items[0])
}

fn anchors(x: &Country) -> AuditAnchors {
    let Ok(anchors) = x.ledger.audit_anchors();
    anchors
}

fn with_members(nodes: impl Iterator<Item = u64>) -> Country {
    let mut x = Country::new("86");
    let Ok(known) = x.ledger.members();
    let all = known.all.iter().copied().chain(nodes).collect();
    x.ledger.set_members(Members { all, ..known });
    x
}

#[test]
fn a_chain_that_was_cut_or_written_anew_is_not_entered() {
    let mut x = with_members(1..=3);
    let size = x.registry().tree.size();
    assert_eq!(say(&mut x, 1, heads(head(5, "a"))), "done");
    assert_eq!(x.registry().tree.size(), size + 1, "a leaf");
    let leaf = size;
    let again = format!("AuditContradicts: node 1, as leaf {leaf} says");
    assert_eq!(
        say(&mut x, 1, heads(head(4, "a"))),
        again,
        "its end is gone"
    );
    assert_eq!(say(&mut x, 1, heads(head(5, "b"))), again, "another record");
    assert_eq!(say(&mut x, 1, AuditHeads::default()), again, "all is gone");
    assert_eq!(say(&mut x, 1, heads(head(5, "a"))), "nothing");
    // One chain that grows does not carry another back.
    let mut both = heads(head(6, "c"));
    both.reads = head(2, "r");
    assert_eq!(say(&mut x, 1, both), "done");
    let mut back = heads(head(7, "d"));
    back.reads = head(1, "q");
    assert!(say(&mut x, 1, back).starts_with("AuditContradicts"));
    let anchor = anchors(&x).of(1).cloned().expect("entered");
    assert_eq!((anchor.heads, anchor.leaf), (both, size + 1));
    // What another node says is its own.
    assert_eq!(say(&mut x, 2, heads(head(1, "z"))), "done");
    assert_eq!(
        say(&mut x, 9, heads(head(1, "z"))),
        "AuditContradicts: node 9",
        "no member"
    );
}

#[test]
fn nodes_that_left_make_way_the_oldest_first() {
    let many = AUDIT_ANCHORS_MAX as u64;
    let mut x = with_members(1..=many + 2);
    for node in (1..=many).rev() {
        assert_eq!(say(&mut x, node, heads(head(1, "a"))), "done");
    }
    assert_eq!(say(&mut x, many, heads(head(2, "b"))), "done");
    assert_eq!(say(&mut x, many + 1, heads(head(1, "a"))), "done");
    let kept = anchors(&x);
    assert_eq!(
        kept.nodes.len(),
        AUDIT_ANCHORS_MAX + 1,
        "one has two places"
    );
    assert!(kept.of(many).is_some(), "it said something since");
    assert!(kept.of(many - 1).is_none(), "the oldest");
    assert!(kept.nodes.is_sorted_by_key(|one| (one.node, one.leaf)));
}

/// Once, a chain written anew with one record more than was entered had the true place replaced, and nothing spoke against it.
#[test]
fn a_place_that_was_entered_stays_beside_those_after_it() {
    let mut x = with_members(1..=3);
    let before = head(4_000, "true");
    assert_eq!(say(&mut x, 2, heads(before)), "done");
    assert_eq!(say(&mut x, 2, heads(head(4_001, "another chain"))), "done");
    let kept = anchors(&x);
    let places: Vec<_> = kept.places_of(2).map(|one| one.heads.acts).collect();
    assert_eq!(places, [before, head(4_001, "another chain")]);
    assert_eq!(kept.of(2).map(|one| one.heads.acts.number), Some(4_001));
}

/// Places every ten minutes for two years: the oldest and the newest are there, and between them none is far for its age.
#[test]
fn places_reach_back_the_further_apart_the_older() {
    let mut kept = AuditAnchors::default();
    let last = 100_000;
    for leaf in 1..=last {
        kept.put(AuditAnchor {
            node: 2,
            heads: heads(head(leaf, "a")),
            at: TimeMs(leaf),
            leaf,
        });
        assert!(kept.nodes.len() <= AUDIT_PLACES_MAX);
        assert_eq!(kept.of(2).map(|one| one.leaf), Some(leaf));
    }
    let leaves: Vec<u64> = kept.places_of(2).map(|one| one.leaf).collect();
    assert_eq!((leaves.len(), leaves[0]), (AUDIT_PLACES_MAX, 1));
    for ages in [10, 100, 1_000, 10_000] {
        let within = leaves.iter().map(|leaf| last - leaf);
        let found = within.filter(|age| (ages / 4..=ages * 4).contains(age));
        assert!(found.count() > 0, "none of about {ages} ago: {leaves:?}");
    }
}

#[test]
fn a_full_record_is_read_again_and_takes_another_node() {
    let mut kept = AuditAnchors::default();
    let put = |kept: &mut AuditAnchors, node: u64, leaf: u64| {
        kept.put(AuditAnchor {
            node,
            heads: heads(head(leaf, "a")),
            at: TimeMs(leaf),
            leaf,
        });
    };
    let nodes = AUDIT_ANCHORS_MAX as u64;
    for leaf in 0..2 * AUDIT_PLACES_IN_ALL_MAX as u64 {
        put(&mut kept, 1 + leaf % nodes, leaf);
    }
    assert_eq!(kept.nodes.len(), AUDIT_PLACES_IN_ALL_MAX);
    let bytes = kept.to_bytes();
    assert_eq!(AuditAnchors::from_bytes(&bytes).as_ref(), Ok(&kept));
    put(&mut kept, nodes + 1, 1 << 40);
    assert_eq!(kept.of(1), None, "it said nothing for the longest");
    let left = AUDIT_PLACES_IN_ALL_MAX - AUDIT_PLACES_MAX + 1;
    assert_eq!(kept.nodes.len(), left);
}
