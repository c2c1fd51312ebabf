//! The key history that a bundle states: what roots signed before, and one step after another of the orders that are at hand.
//!
//! A node is asked for what no order says, because only applying it gave it a place: the leaf of an order, its log time, and the last
//! head of a key that made way. Everything else is computed here, and a history that a node tells is stated only when it is the
//! computed one: a key that no order names, or that ended otherwise than ordered, is nowhere in it. Places are bounded by a head that
//! a key in use signed.

use std::path::{Path, PathBuf};

use carnet_domain::bytes::encoding::Canonical;
use carnet_domain::bytes::signature::PublicKey;
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::record::keys::{
    GoodHead, KeyCause, KeyEnd, KeyEntry, KeyHistory, KeyRole, KeyStep, KeysOrder,
};
use carnet_domain::record::peer::{RootsChange, Signed, Statement, signed_by_roots};

use crate::exit::Failed;
use crate::parse::hyphened;
use crate::signed::{read, read_statement};
use crate::view;

/// How far the log time of an order may be ahead of this machine's clock.
const CLOCK_OFF_MAX: DurationMs = DurationMs::from_secs(3_600);

/// What leads from a history to the next one.
pub(super) enum Order {
    /// Of the keys below the roots.
    Keys(KeysOrder),
    /// Of the roots themselves.
    Roots(RootsChange),
}

/// Orders about keys in files, each signed by one of these sets of roots, and of this cluster where it is known.
///
/// # Errors
/// A file is none of that.
pub(super) fn of_keys(
    files: &[PathBuf],
    by: &[(Vec<PublicKey>, u8)],
    cluster: Option<[u8; 16]>,
) -> Result<Vec<Order>, Failed> {
    let read = |file: &PathBuf| {
        let (signed, statement) = read_statement(file)?;
        let Statement::Keys { order } = statement else {
            return Err(wrong(file, "no order about keys"));
        };
        if cluster.is_some_and(|own| own != order.cluster) {
            return Err(wrong(file, "an order for another cluster"));
        }
        let is_signed = |(roots, threshold): &(Vec<PublicKey>, u8)| {
            signed_by_roots(roots, *threshold, &signed.bytes.0, &signed.signatures)
        };
        match by.iter().any(is_signed) {
            true => Ok(Order::Keys(order)),
            false => Err(wrong(file, "the roots have not signed it")),
        }
    };
    files.iter().map(read).collect()
}

/// Replacements of the roots among files that were found to lead on from roots at hand; bundles are passed over.
pub(super) fn of_roots(files: &[PathBuf]) -> Result<Vec<Order>, Failed> {
    let mut found = Vec::new();
    for file in files {
        let signed = Signed::from_bytes(&read(file)?).ok();
        let statement = signed.and_then(|signed| Statement::from_bytes(&signed.bytes.0).ok());
        if let Some(Statement::Roots { change }) = statement {
            found.push(Order::Roots(change));
        }
    }
    Ok(found)
}

fn wrong(file: &Path, text: &str) -> Failed {
    Failed::usage(format!("{}: {text}", file.display()))
}

/// The log keys in use after orders.
pub(super) fn log_keys_after(mut now: Vec<PublicKey>, orders: &[Order]) -> Vec<PublicKey> {
    for step in orders.iter().flat_map(steps) {
        match step {
            KeyStep::Add { .. } => {}
            KeyStep::Activate { key } => {
                if !now.contains(key) {
                    now.push(*key);
                }
            }
            KeyStep::Retire { key } | KeyStep::Compromise { key, .. } => {
                now.retain(|known| known != key);
            }
        }
    }
    now
}

/// The log key of the genesis: of those at hand and those that orders end, the one that no order adds.
pub(super) fn first_log_key(at_hand: &[PublicKey], orders: &[Order]) -> Result<PublicKey, Failed> {
    let (mut found, mut added) = (at_hand.to_vec(), Vec::new());
    for step in orders.iter().flat_map(steps) {
        match step {
            KeyStep::Add { key, .. } => added.push(*key),
            KeyStep::Activate { .. } => {}
            KeyStep::Retire { key } | KeyStep::Compromise { key, .. } => found.push(*key),
        }
    }
    found.retain(|key| !added.contains(key));
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failed::usage("no log key is at hand (--log-key)")),
        several => Err(Failed {
            next: ORDERS_WANTED.into(),
            ..Failed::usage(format!(
                "one log key follows another ({}), and no order at hand says so",
                prints(several)
            ))
        }),
    }
}

fn steps(order: &Order) -> &[KeyStep] {
    match order {
        Order::Keys(order) => &order.steps,
        Order::Roots(_) => &[],
    }
}

/// A history of which no more is at hand than its first roots and its first log key, with these roots in the order that a node says.
pub(super) fn in_order_of(known: &KeyHistory, told: &KeyHistory) -> KeyHistory {
    let roots = |history: &KeyHistory, count| {
        let of_roots = history
            .all()
            .iter()
            .filter(|entry| entry.role == KeyRole::Root);
        of_roots
            .map(|entry| entry.key)
            .take(count)
            .collect::<Vec<_>>()
    };
    let ours = roots(known, usize::MAX);
    let theirs = roots(told, ours.len());
    let sorted = |keys: &[PublicKey]| {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys
    };
    let first = known.log_key();
    let begins = |log| *known == KeyHistory::at_genesis(&ours, log);
    match first {
        Some(log) if begins(log) && sorted(&ours) == sorted(&theirs) => {
            KeyHistory::at_genesis(&theirs, log)
        }
        _ => known.clone(),
    }
}

const ORDERS_WANTED: &str = "Nothing was signed. Give every order about keys since our bundle that the context pins, or since the beginning where \
                             none is pinned (--keys-of, --roots-of), or have the context pin our newest bundle (carnet context change). A key of \
                             which nobody here has an order is that node's invention: ask another node, and people who know.";

/// The history that orders lead to from one that roots signed, at the places that a node tells.
///
/// # Errors
/// What the node tells is another one.
pub(super) fn led_to(
    known: &KeyHistory,
    orders: &[Order],
    told: &KeyHistory,
) -> Result<KeyHistory, Failed> {
    let mut placed: Vec<_> = orders
        .iter()
        .filter(|order| !order.stands(known))
        .map(|order| (place(order, known, told), order))
        .collect();
    // In each of the two lines the numbers say what came first, between them the leaves.
    placed.sort_by_key(|((leaf, _), order)| (*leaf, number(order)));
    let mut now = known.clone();
    for (place, order) in placed {
        let after = match order {
            Order::Roots(change) => now.with_roots(&change.roots, place),
            Order::Keys(order) => now.with_steps(order, place, |key| good_until(order, key, told)),
        };
        now = after.map_err(|rejection| Failed {
            next: ORDERS_WANTED.into(),
            ..Failed::usage(format!(
                "the orders at hand do not go on from the keys that are known here: {rejection}"
            ))
        })?;
    }
    let differs = told
        .all()
        .iter()
        .zip(now.all())
        .find(|(told, ours)| told != ours);
    let text = match differs {
        Some((theirs, ours)) => format!("here {}, the node says {}", says(ours), says(theirs)),
        None => match told.all().len().cmp(&now.all().len()) {
            std::cmp::Ordering::Equal => return Ok(now),
            std::cmp::Ordering::Greater => {
                let more = told.all().iter().skip(now.all().len());
                let more: Vec<String> = more.map(says).collect();
                format!("no order at hand has {}", more.join(", "))
            }
            std::cmp::Ordering::Less => {
                let less = now.all().iter().skip(told.all().len());
                let less: Vec<String> = less.map(says).collect();
                format!("the node has not {}", less.join(", "))
            }
        },
    };
    Err(Failed {
        next: ORDERS_WANTED.into(),
        ..Failed::usage(format!(
            "the key history that a node tells is not the one that was ordered: {text}"
        ))
    })
}

/// Holds the places of what was ordered to a log of a size, that of a head that a key in use signed, and to a clock.
///
/// # Errors
/// One of them is beyond.
pub(super) fn within(history: &KeyHistory, size: u64, now: TimeMs) -> Result<(), Failed> {
    // saturates: nothing is later than the last instant
    let latest = now.saturating_add(CLOCK_OFF_MAX);
    let ended = |end: &KeyEnd| {
        let last = end.last_good.map_or(0, |head| head.size);
        end.leaf < size && last <= end.leaf && end.at <= latest
    };
    let is_within = |entry: &&KeyEntry| {
        entry.added < size
            && entry.activated.is_none_or(|leaf| leaf < size)
            && entry.end.as_ref().is_none_or(ended)
    };
    match history.all().iter().find(|entry| !is_within(entry)) {
        None => Ok(()),
        Some(entry) => Err(Failed {
            next: "Nothing was signed. That node lies, or shows an older head: ask another one (--endpoints)."
                .into(),
            ..Failed::usage(format!(
                "a node says {}, and the log has {size} leaves",
                says(entry)
            ))
        }),
    }
}

impl Order {
    /// Whether a history has what it orders: it is of before the history was signed.
    pub(super) fn stands(&self, known: &KeyHistory) -> bool {
        match self {
            Self::Roots(change) => {
                let now: Vec<_> = known.active(KeyRole::Root).map(|entry| entry.key).collect();
                now.len() == change.roots.len()
                    && now.iter().all(|root| change.roots.contains(root))
            }
            Self::Keys(order) => order.steps.iter().all(|step| {
                let entry = newest(known, step.key());
                entry.is_some_and(|entry| match step {
                    KeyStep::Add { .. } => true,
                    KeyStep::Activate { .. } => entry.activated.is_some(),
                    KeyStep::Retire { .. } => entry.end.is_some(),
                    KeyStep::Compromise { .. } => entry
                        .end
                        .is_some_and(|end| end.cause == KeyCause::Compromised),
                })
            }),
        }
    }
}

fn newest(history: &KeyHistory, key: &PublicKey) -> Option<KeyEntry> {
    let mut newest_first = history.all().iter().rev();
    newest_first.find(|entry| entry.key == *key).copied()
}

/// The leaf of an order and its time, as far as a history tells them.
fn place(order: &Order, known: &KeyHistory, told: &KeyHistory) -> (u64, TimeMs) {
    let of = |key: &PublicKey| newest(told, key);
    let ends = |key: &PublicKey| of(key).and_then(|entry| entry.end);
    let mut place = (0, TimeMs(0));
    match order {
        Order::Keys(order) => {
            for step in &order.steps {
                match step {
                    KeyStep::Add { key, .. } => {
                        place.0 = of(key).map_or(place.0, |entry| entry.added)
                    }
                    KeyStep::Activate { key } => {
                        place.0 = of(key).and_then(|entry| entry.activated).unwrap_or(place.0);
                    }
                    KeyStep::Retire { key } | KeyStep::Compromise { key, .. } => {
                        place = ends(key).map_or(place, |end| (end.leaf, end.at));
                    }
                }
            }
        }
        Order::Roots(change) => {
            for entry in known.active(KeyRole::Root) {
                if !change.roots.contains(&entry.key) {
                    place = ends(&entry.key).map_or(place, |end| (end.leaf, end.at));
                }
            }
            for root in &change.roots {
                if known.active(KeyRole::Root).all(|entry| entry.key != *root) {
                    place.0 = of(root).map_or(place.0, |entry| entry.added);
                }
            }
        }
    }
    place
}

/// The last head of a key that an order ends: of a stolen one the order says it, of another it is the newest that was sealed then.
fn good_until(order: &KeysOrder, key: &PublicKey, told: &KeyHistory) -> Option<GoodHead> {
    let ordered = order.steps.iter().find_map(|step| match step {
        KeyStep::Compromise { key: of, last_good } if of == key => Some(*last_good),
        _ => None,
    });
    ordered.or_else(|| newest(told, key)?.end?.last_good)
}

fn number(order: &Order) -> u64 {
    match order {
        Order::Keys(order) => order.number,
        Order::Roots(change) => change.number,
    }
}

fn prints(keys: &[PublicKey]) -> String {
    let prints: Vec<String> = keys.iter().map(view::key_print).collect();
    prints.join(", ")
}

fn says(entry: &KeyEntry) -> String {
    let since = entry
        .activated
        .map_or("waits".to_owned(), |leaf| format!("used since leaf {leaf}"));
    let end = entry.end.map(|end| {
        let last = end
            .last_good
            .map(|head| format!(", its last head of {} leaves", head.size));
        let cause = hyphened(end.cause.name());
        format!(
            ", {cause} in leaf {} of {}{}",
            end.leaf,
            end.at,
            last.unwrap_or_default()
        )
    });
    format!(
        "{} key {} ({since}{})",
        entry.role.word(),
        view::key_print(&entry.key),
        end.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::bytes::digest::Digest;
    use carnet_domain::bytes::encoding::Encoder;
    use carnet_domain::bytes::signature::SecretKey;
    use carnet_domain::record::keys::proof_message;

    const CLUSTER: [u8; 16] = [5; 16];

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn of(number: u64, steps: Vec<KeyStep>) -> KeysOrder {
        KeysOrder {
            cluster: CLUSTER,
            number,
            steps,
            reason: "a year old".into(),
        }
    }

    fn follows(seed: u8) -> Vec<KeyStep> {
        let key = key(seed);
        let role = KeyRole::Log;
        let proof = key.sign(&proof_message(&CLUSTER, role, &key.public()));
        let key = key.public();
        vec![KeyStep::Add { role, key, proof }, KeyStep::Activate { key }]
    }

    fn good(size: u64) -> GoodHead {
        GoodHead {
            size,
            root: Digest([7; 32]),
        }
    }

    /// Roots 1 and 2, and log key 9 from the genesis.
    fn genesis() -> KeyHistory {
        let roots = [key(1).public(), key(2).public()];
        KeyHistory::at_genesis(&roots, key(9).public())
    }

    /// As a registry came to it: an order in a leaf, at a time, when the newest sealed head had a size.
    fn applied(history: &KeyHistory, order: &KeysOrder, leaf: u64, sealed: u64) -> KeyHistory {
        let place = (leaf, TimeMs(leaf));
        let after = history.with_steps(order, place, |_| Some(good(sealed)));
        after.expect("applied")
    }

    /// As whoever runs a node can tell it.
    fn changed(history: &KeyHistory, change: impl Fn(&mut Vec<KeyEntry>)) -> KeyHistory {
        let mut entries = history.all().to_vec();
        change(&mut entries);
        let mut e = Encoder::new();
        e.array(1);
        e.array(entries.len());
        entries.iter().for_each(|entry| entry.encode(&mut e));
        KeyHistory::from_bytes(&e.finish()).expect("a history")
    }

    fn rotated() -> (Vec<Order>, KeyHistory) {
        let orders = [
            of(1, follows(10)),
            of(
                2,
                vec![KeyStep::Retire {
                    key: key(9).public(),
                }],
            ),
        ];
        let told = applied(&genesis(), &orders[0], 40, 38);
        let told = applied(&told, &orders[1], 60, 55);
        (orders.map(Order::Keys).into(), told)
    }

    /// Once, one node had the roots sign a log key of its own, retired in a time to come.
    #[test]
    fn only_what_was_ordered_is_stated() {
        let (orders, told) = rotated();
        let led =
            |told: &KeyHistory| led_to(&genesis(), &orders, told).map_err(|failed| failed.text);
        assert_eq!(led(&told).as_ref(), Ok(&told));
        let far = KeyEnd {
            cause: KeyCause::Retired,
            leaf: 1 << 47,
            at: TimeMs::MAX,
            last_good: Some(good(1 << 47)),
        };
        let own = changed(&told, |entries| {
            entries.push(KeyEntry {
                role: KeyRole::Log,
                key: key(66).public(),
                added: 60,
                activated: Some(60),
                end: Some(far),
            });
        });
        let text = led(&own).expect_err("a key of its own");
        assert!(text.contains(&view::key_print(&key(66).public())), "{text}");
        let without = led_to(&genesis(), &orders[..1], &told).map_err(|failed| failed.text);
        assert!(
            without
                .expect_err("an order is missing")
                .contains("retired")
        );
        let lies: [fn(&mut Vec<KeyEntry>); 4] = [
            |entries| entries[3].added = 41,
            |entries| entries[2].activated = Some(7),
            |entries| entries[0].end = entries[2].end,
            |entries| entries.truncate(3),
        ];
        for lie in lies {
            assert!(led(&changed(&told, lie)).is_err());
        }
    }

    /// Once, a node said of a key that was ordered as stolen that it made way, and is good up to a size to come.
    #[test]
    fn how_a_key_ends_is_as_ordered() {
        let stolen = KeyStep::Compromise {
            key: key(9).public(),
            last_good: good(41),
        };
        let order = of(1, [follows(10), vec![stolen]].concat());
        let told = applied(&genesis(), &order, 60, 55);
        let orders = [Order::Keys(order)];
        let led = |told: &KeyHistory| led_to(&genesis(), &orders, told).is_ok();
        assert!(led(&told));
        let lies: [fn(&mut KeyEnd); 3] = [
            |end| end.cause = KeyCause::Retired,
            |end| end.last_good = Some(good(1 << 47)),
            |end| end.leaf = 61,
        ];
        for lie in lies {
            assert!(!led(&changed(&told, |entries| {
                let mut end = entries[2].end.expect("ended");
                lie(&mut end);
                entries[2].end = Some(end);
            })));
        }
        // One that stands in the bundle before is given again, and changes nothing.
        assert_eq!(led_to(&told, &orders, &told).ok().as_ref(), Some(&told));
    }

    #[test]
    fn roots_and_keys_are_followed_in_the_order_of_their_leaves() {
        let change = RootsChange {
            cluster: CLUSTER,
            number: 1,
            roots: vec![key(1).public(), key(3).public()],
            threshold: 2,
            reason: "root-2 is old".into(),
        };
        let (mut orders, _) = rotated();
        let [Order::Keys(first), Order::Keys(second)] = &orders[..] else {
            panic!("two orders about keys");
        };
        let told = applied(&genesis(), first, 40, 38);
        let told = told
            .with_roots(&change.roots, (50, TimeMs(50)))
            .expect("applied");
        let told = applied(&told, second, 60, 55);
        orders.insert(0, Order::Roots(change));
        let led = led_to(&genesis(), &orders, &told).map_err(|failed| failed.text);
        assert_eq!(led.as_ref(), Ok(&told));
        assert!(
            led_to(&genesis(), &orders[1..], &told).is_err(),
            "a root that nobody stated"
        );
    }

    #[test]
    fn places_are_within_the_log_and_its_time() {
        let (_, told) = rotated();
        let hour = 3_600_000;
        assert!(within(&told, 61, TimeMs(0)).is_ok());
        assert!(
            within(&told, 60, TimeMs(0)).is_err(),
            "the head is of before the order"
        );
        let late = changed(&told, |entries| {
            let mut end = entries[2].end.expect("ended");
            end.at = TimeMs(hour + 1_001);
            entries[2].end = Some(end);
        });
        assert!(within(&late, 61, TimeMs(1_001)).is_ok());
        assert!(within(&late, 61, TimeMs(1_000)).is_err());
        let beyond = changed(&told, |entries| {
            let mut end = entries[2].end.expect("ended");
            end.last_good = Some(good(61));
            entries[2].end = Some(end);
        });
        assert!(within(&beyond, 90, TimeMs(0)).is_err());
    }

    #[test]
    fn the_first_log_key_is_the_one_that_no_order_adds() {
        let (orders, _) = rotated();
        let first = |at_hand: &[u8], orders: &[Order]| {
            let at_hand: Vec<_> = at_hand.iter().map(|seed| key(*seed).public()).collect();
            first_log_key(&at_hand, orders).ok()
        };
        let nine = Some(key(9).public());
        assert_eq!(first(&[9, 10], &orders[..1]), nine);
        assert_eq!(first(&[10], &orders), nine);
        assert_eq!(first(&[9], &[]), nine);
        assert_eq!(first(&[9, 10], &[]), None);
        assert_eq!(first(&[10], &orders[..1]), None);
        assert_eq!(
            log_keys_after(vec![key(9).public()], &orders),
            [key(10).public()]
        );
    }
}
