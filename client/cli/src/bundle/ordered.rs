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
use crate::signed::{is_taken, read, read_statement};
use crate::view;

/// How far the log time of an order may be ahead of this machine's clock.
const CLOCK_OFF_MAX: DurationMs = DurationMs::from_secs(3_600);

/// What leads from a history to the next one.
#[derive(Debug, Clone)]
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
    let left = outstanding(orders, known);
    let of_roots = |order: &&Order| matches!(order, Order::Roots(_));
    let (roots, keys): (Vec<_>, Vec<_>) = left.into_iter().partition(of_roots);
    let (mut roots, mut keys) = (roots.as_slice(), keys.as_slice());
    let mut now = known.clone();
    // In each of the two lines the numbers say what came first, between them the leaves.
    loop {
        let (of_roots, of_keys) = (earliest(roots, &now, told), earliest(keys, &now, told));
        // A root is stolen only after it made way: where one leaf alone is told of both, that of the theft.
        let line = match roots.is_empty() || (!keys.is_empty() && of_keys < of_roots) {
            true => &mut keys,
            false => &mut roots,
        };
        let Some((order, later)) = line.split_first() else {
            break;
        };
        *line = later;
        let at = place(order, &now, told);
        let leaf = at.leaf.or(at.latest).unwrap_or_default();
        let after = match order {
            Order::Roots(change) => now.with_roots(&change.roots, (leaf, at.time)),
            Order::Keys(order) => {
                let sealed = |key: &PublicKey| good_until(orders, order, key, told);
                now.with_steps(order, (leaf, at.time), sealed)
            }
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

/// The orders whose outcome a history has not yet, those of each line by their numbers: the others are of before it was signed.
pub(super) fn outstanding<'a>(orders: &'a [Order], known: &KeyHistory) -> Vec<&'a Order> {
    let mut orders: Vec<_> = orders.iter().collect();
    orders.sort_by_key(|order| number(order));
    let changes = orders.iter().filter_map(|order| match order {
        Order::Roots(change) => Some(change),
        Order::Keys(_) => None,
    });
    // Roots can come back: those in force are the outcome of the newest change up to which every root that was named is known.
    let is_known = |change: &&&RootsChange| {
        let known = |root: &PublicKey| known.entry(KeyRole::Root, root).is_some();
        change.roots.iter().all(known)
    };
    let in_force: Vec<_> = known.active(KeyRole::Root).map(|entry| entry.key).collect();
    let is_outcome = |change: &&RootsChange| {
        in_force.len() == change.roots.len()
            && in_force.iter().all(|root| change.roots.contains(root))
    };
    let outcomes = changes
        .take_while(|change| is_known(&change))
        .filter(is_outcome);
    let newest = outcomes.last().map(|change| change.number);
    orders.retain(|order| match order {
        Order::Roots(change) => newest.is_none_or(|newest| change.number > newest),
        Order::Keys(order) => !order.steps.iter().all(|step| is_taken(step, known)),
    });
    orders
}

/// Where an order stands in the log, as far as a history tells it.
struct Place {
    /// Its leaf, where something that it began or ended is still as it left it.
    leaf: Option<u64>,
    /// The time of that leaf, where it ended something.
    time: TimeMs,
    /// Else a leaf that is not before its own: of a key whose end was ordered anew, the last of these orders is told alone.
    latest: Option<u64>,
}

/// The leaf of the first of these orders, one of each line, as far as a history tells it; or one before the next ones.
fn earliest(line: &[&Order], now: &KeyHistory, told: &KeyHistory) -> u64 {
    let places = line.iter().map(|order| place(order, now, told));
    let leaves = places.filter_map(|place| place.leaf.or(place.latest));
    leaves.min().unwrap_or(u64::MAX)
}

/// The place of an order that may follow a history, which a told one goes on from: what is in both stands at the same place.
fn place(order: &Order, now: &KeyHistory, told: &KeyHistory) -> Place {
    let mut place = Place {
        leaf: None,
        time: TimeMs(0),
        latest: None,
    };
    let added = |key: &PublicKey| {
        let mut later = told.all().iter().skip(now.all().len());
        later.find(|entry| entry.key == *key)
    };
    let known = |key: &PublicKey| {
        let at = now.all().iter().rposition(|entry| entry.key == *key);
        at.and_then(|at| told.all().get(at))
    };
    match order {
        Order::Keys(order) => {
            for step in &order.steps {
                // A root that comes back has several: one that was stolen does not.
                let Some(entry) = newest(told, step.key()) else {
                    continue;
                };
                match (step, entry.end) {
                    (KeyStep::Add { .. }, _) => place.leaf = Some(entry.added),
                    (KeyStep::Activate { .. }, _) => place.leaf = entry.activated.or(place.leaf),
                    (KeyStep::Retire { .. }, Some(end)) => {
                        place.ends(&end, end.cause == KeyCause::Retired);
                    }
                    (KeyStep::Compromise { last_good, .. }, Some(end)) => {
                        place.ends(&end, end.last_good == Some(*last_good));
                    }
                    (_, None) => {}
                }
            }
        }
        Order::Roots(change) => {
            let gone = now.active(KeyRole::Root);
            for root in gone.filter(|entry| !change.roots.contains(&entry.key)) {
                if let Some(end) = known(&root.key).and_then(|entry| entry.end) {
                    place.ends(&end, end.cause == KeyCause::Retired);
                }
            }
            let stays = |root: &PublicKey| now.active(KeyRole::Root).any(|had| had.key == *root);
            for entry in change
                .roots
                .iter()
                .filter(|root| !stays(root))
                .filter_map(added)
            {
                place.leaf = Some(entry.added);
            }
        }
    }
    place
}

impl Place {
    /// Takes in the end of a key that it ends: its own, or one that was ordered anew since.
    fn ends(&mut self, end: &KeyEnd, is_own: bool) {
        match is_own {
            true => (self.leaf, self.time) = (Some(end.leaf), end.at),
            false => self.latest = Some(self.latest.map_or(end.leaf, |had| had.min(end.leaf))),
        }
    }
}

fn newest<'a>(history: &'a KeyHistory, key: &PublicKey) -> Option<&'a KeyEntry> {
    let mut newest_first = history.all().iter().rev();
    newest_first.find(|entry| entry.key == *key)
}

/// The last head of a key that an order ends: of a stolen one the order says it; of another it is the newest that was sealed then, of
/// which nothing is told where it came out to have been stolen: at least as much as was believed after.
fn good_until(
    orders: &[Order],
    order: &KeysOrder,
    key: &PublicKey,
    told: &KeyHistory,
) -> Option<GoodHead> {
    let of_stolen = |step: &KeyStep| match step {
        KeyStep::Compromise { key: of, last_good } if of == key => Some(*last_good),
        _ => None,
    };
    if let Some(good) = order.steps.iter().find_map(of_stolen) {
        return Some(good);
    }
    let end = newest(told, key)?.end?;
    match end.cause {
        KeyCause::Retired => end.last_good,
        KeyCause::Compromised => {
            let stolen = orders.iter().flat_map(steps).filter_map(of_stolen);
            stolen.max_by_key(|good| good.size).or(end.last_good)
        }
    }
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

    /// Once, a last good head that was corrected was held to the first order, and no bundle of the country was ever exported again.
    #[test]
    fn a_key_that_ends_anew_is_stated_as_it_ended_last() {
        let nine = key(9).public();
        let stolen = |size| KeyStep::Compromise {
            key: nine,
            last_good: good(size),
        };
        let retire = KeyStep::Retire { key: nine };
        let follow = |seed, ends: Vec<KeyStep>| [follows(seed), ends].concat();
        let then = [
            follow(11, vec![]),
            vec![KeyStep::Retire {
                key: key(10).public(),
            }],
        ];
        let then = then.concat();
        let lives: [&[Vec<KeyStep>]; 5] = [
            &[follow(10, vec![stolen(41)]), vec![stolen(30)]],
            &[follow(10, vec![retire]), vec![stolen(30)]],
            &[follow(10, vec![retire]), vec![stolen(41)], vec![stolen(30)]],
            &[
                follow(10, vec![]),
                vec![retire],
                then.clone(),
                vec![stolen(30)],
            ],
            &[
                follow(10, vec![]),
                vec![stolen(41)],
                then,
                vec![stolen(40)],
                vec![stolen(30)],
            ],
        ];
        for life in lives {
            let numbered = life.iter().zip(1..);
            let orders: Vec<_> = numbered.map(|(steps, at)| of(at, steps.clone())).collect();
            let mut stages = vec![genesis()];
            for (order, leaf) in orders.iter().zip((60..).step_by(10)) {
                let after = applied(stages.last().expect("one"), order, leaf, leaf - 5);
                stages.push(after);
            }
            let told = stages.last().expect("one").clone();
            let mut orders: Vec<_> = orders.into_iter().map(Order::Keys).collect();
            orders.reverse();
            for known in &stages {
                let led = led_to(known, &orders, &told).map_err(|failed| failed.text);
                assert_eq!(led.as_ref(), Ok(&told), "{life:?}");
            }
            // The last word is missing: what it changed is nobody's order.
            let last = led_to(&genesis(), &orders[1..], &told);
            assert!(last.is_err(), "{life:?}");
        }
    }

    /// Once, a change back to roots of before stood because these were in force, and the change between had nowhere to lead.
    #[test]
    fn roots_that_come_back_are_followed_there_and_back() {
        let change = |number: u64, roots: &[u8]| RootsChange {
            cluster: CLUSTER,
            number,
            roots: roots.iter().map(|seed| key(*seed).public()).collect(),
            threshold: 2,
            reason: "root-2 was ill".into(),
        };
        let changes = [
            change(1, &[1, 3]),
            change(2, &[1, 2]),
            change(3, &[1, 2, 4]),
            change(4, &[1, 4]),
        ];
        let theft = of(
            1,
            vec![KeyStep::Compromise {
                key: key(2).public(),
                last_good: good(30),
            }],
        );
        let mut stages = vec![genesis()];
        for (change, leaf) in changes.iter().zip((50..).step_by(10)) {
            let now = stages.last().expect("one");
            let after = now.with_roots(&change.roots, (leaf, TimeMs(leaf)));
            stages.push(after.expect("applied"));
        }
        // Of a root that made way alone, and then came out to be stolen, the theft alone is told.
        stages.push(applied(stages.last().expect("one"), &theft, 90, 85));
        let told = stages.last().expect("one").clone();
        let mut orders = vec![Order::Keys(theft)];
        orders.extend(changes.into_iter().map(Order::Roots));
        for known in &stages {
            let led = led_to(known, &orders, &told).map_err(|failed| failed.text);
            assert_eq!(led.as_ref(), Ok(&told), "{known:?}");
        }
    }
}
