//! What `init` makes is what everybody believes; what it must not do, it does not.

use std::os::unix::fs::PermissionsExt;

use carnet_client::keys::{read_chain, read_public_key, read_seed};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::*;

const NOW: TimeMs = match TimeMs::of_date(2026, 6, 1) {
    Some(time) => time,
    None => TimeMs::EPOCH,
};

fn prefix() -> Prefix {
    Prefix::parse("86").expect("a prefix")
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

fn client(role: Role, unit: &str, name: &str) -> ClientName {
    ClientName::from_words(prefix(), role, unit, name).expect("a name")
}

fn plan() -> PkiPlan {
    PkiPlan {
        nodes: vec![NodeSpec {
            id: id(1),
            hosts: vec!["127.0.0.1".into(), "localhost".into()],
        }],
        clients: vec![
            client(Role::Manufacturer, "0001", "anna"),
            client(Role::Admin, "operations", "desk-1"),
        ],
        ..PkiPlan::new(prefix())
    }
}

/// A directory that does not exist yet, inside one that is removed at the end.
fn place() -> (tempfile::TempDir, PathBuf) {
    let outer = tempfile::tempdir().expect("a directory");
    let inner = outer.path().join("86");
    (outer, inner)
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path))
        } else {
            found.push(path)
        }
    }
    found.sort();
    found
}

fn signed(directory: &Path, path: &Path) -> Result<SignedRequest, PkiError> {
    let request = read_request(path)?;
    sign(directory, (path, &request), 90, NOW)
}

/// What a replacement of the roots names: nothing else makes a public half, and a seed in its place is refused.
#[test]
fn a_root_to_be_has_both_halves_and_overwrites_none() {
    let (_outer, directory) = place();
    let made = new_root(&directory).expect("made");
    let read = |name: &str| directory.join(name);
    let public = carnet_client::keys::read_public_key(&read("root.pub")).expect("public");
    let secret = carnet_client::keys::read_seed(&read("root.seed")).expect("secret");
    assert_eq!((made, made), (public, secret.public()));
    assert!(matches!(new_root(&directory), Err(PkiError::Exists(_))));
    let (_outer, whole) = place();
    init(&whole, &plan(), NOW).expect("made");
    let public = carnet_client::keys::read_public_key(&whole.join("root/root-1.pub"));
    let secret = carnet_client::keys::read_seed(&whole.join("root/root-1.seed"));
    assert_eq!(public.expect("public"), secret.expect("secret").public());
}

#[test]
fn the_directory_holds_exactly_what_the_head_of_the_file_says() {
    let (_outer, directory) = place();
    let summary = init(&directory, &plan(), NOW).expect("made");
    let names: Vec<String> = files_below(&directory)
        .iter()
        .map(|path| {
            path.strip_prefix(&directory)
                .expect("below")
                .display()
                .to_string()
        })
        .collect();
    let expected = "\
ca/admin.crt ca/admin.key ca/client.crt ca/client.key ca/federation.crt ca/federation.key ca/raft.crt ca/raft.key \
clients/admin-operations-desk-1.actor.key clients/admin-operations-desk-1.actor.pub \
clients/admin-operations-desk-1.admin.crt clients/admin-operations-desk-1.admin.key \
clients/admin-operations-desk-1.crt clients/admin-operations-desk-1.key \
clients/manufacturer-0001-anna.actor.key clients/manufacturer-0001-anna.actor.pub \
clients/manufacturer-0001-anna.crt clients/manufacturer-0001-anna.key cluster \
keys/log.pub keys/log.seed keys/passport.crt keys/passport.seed keys/witness.pub keys/witness.seed \
nodes/1/admin.crt nodes/1/admin.key nodes/1/client.crt nodes/1/client.key \
nodes/1/federation.crt nodes/1/federation.key nodes/1/raft.crt nodes/1/raft.key \
root/root-1.crt root/root-1.pub root/root-1.seed root/roots.crt";
    assert_eq!(names.join(" "), expected);
    assert_eq!(summary.file_count, names.len());
}

#[test]
fn every_init_makes_another_cluster_and_later_nodes_are_of_the_first() {
    let ((_one, one), (_other, other)) = (place(), place());
    let first = init(&one, &plan(), NOW).expect("made");
    let second = init(&other, &plan(), NOW).expect("made");
    assert_ne!(first.cluster, second.cluster);
    assert_eq!(read_cluster(&one).expect("a cluster"), first.cluster);
    let late = NodeSpec {
        id: id(4),
        hosts: Vec::new(),
    };
    issue_node(&one, &late, 30, NOW).expect("issued");
    let roots = read_roots(&one.join("root/roots.crt")).expect("roots");
    let chain = read_chain(&one.join("nodes/4/raft.crt")).expect("a chain");
    let node = chain::verify_node(&chain, &roots, prefix(), Plane::Raft, NOW).expect("believed");
    assert_eq!(node.name().cluster, first.cluster);
    std::fs::write(one.join("cluster"), "0\n").expect("written");
    let late = NodeSpec {
        id: id(5),
        hosts: Vec::new(),
    };
    assert!(issue_node(&one, &late, 30, NOW).is_err());
}

#[test]
fn every_file_is_for_its_owner_only() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for path in files_below(&directory) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        assert_eq!(mode(path.parent().expect("a parent")), 0o700);
    }
}

/// The fingerprint of a root's key, as it stands beside its signatures.
fn key_fingerprint(directory: &Path, number: usize) -> Fingerprint {
    let seed = directory.join(format!("root/root-{number}.seed"));
    Fingerprint::of_key(&read_seed(&seed).expect("a seed").public())
}

#[test]
fn what_was_made_is_believed_and_keys_fit_certificates() {
    let (_outer, directory) = place();
    let summary = init(&directory, &plan(), NOW).expect("made");
    let roots = read_roots(&directory.join("root/roots.crt")).expect("roots");
    assert_eq!(key_fingerprint(&directory, 1), summary.roots[0]);
    for plane in Plane::ALL {
        let stem = directory.join(format!("nodes/1/{plane}"));
        let chain = read_chain(&stem.with_extension("crt")).expect("a chain");
        let node = chain::verify_node(&chain, &roots, prefix(), *plane, NOW).expect("believed");
        assert_eq!(node.node(), id(1));
        assert_eq!(node.name().cluster, summary.cluster);
        let key = PrivateKeyDer::from_pem_file(stem.with_extension("key")).expect("a key");
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        rustls::sign::CertifiedKey::from_der(chain, key, &provider).expect("they belong together");
    }
    let passport = read_chain(&directory.join("keys/passport.crt")).expect("a chain");
    let passport =
        chain::verify_passport_chain(&passport, &roots, prefix(), NOW).expect("believed");
    assert_eq!(*passport.key(), summary.passport_key);
    let public = |name: &str| read_seed(&directory.join(name)).expect("a seed").public();
    assert_eq!(public("keys/passport.seed"), summary.passport_key);
    assert_eq!(public("keys/log.seed"), summary.log_key);
    assert_eq!(
        read_public_key(&directory.join("keys/log.pub")).expect("a key"),
        summary.log_key
    );
    let actor = public("clients/manufacturer-0001-anna.actor.key");
    assert_eq!(
        summary.actors[0],
        (client(Role::Manufacturer, "0001", "anna"), actor)
    );
}

#[test]
fn no_two_keys_are_the_same() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let mut seen = BTreeSet::new();
    for path in files_below(&directory) {
        let secret = path
            .extension()
            .is_some_and(|ending| ending == "key" || ending == "seed");
        if secret {
            assert!(
                seen.insert(std::fs::read(&path).expect("read")),
                "{}",
                path.display()
            );
        }
    }
    assert_eq!(seen.len(), 17);
}

#[test]
fn three_roots_are_pinned_together() {
    let (_outer, directory) = place();
    let summary = init(
        &directory,
        &PkiPlan {
            root_count: 3,
            ..plan()
        },
        NOW,
    )
    .expect("made");
    let roots = read_roots(&directory.join("root/roots.crt")).expect("roots");
    assert_eq!(roots.of(prefix()).len(), 3);
    let keys: Vec<Fingerprint> = (1..=3)
        .map(|number| key_fingerprint(&directory, number))
        .collect();
    assert_eq!(keys, summary.roots);
}

#[test]
fn nothing_is_ever_overwritten() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let before: Vec<Vec<u8>> = files_below(&directory)
        .iter()
        .map(|path| std::fs::read(path).expect("read"))
        .collect();
    let text = |error: PkiError| error.to_string();
    assert!(
        text(init(&directory, &plan(), NOW).expect_err("there"))
            .ends_with("nothing was overwritten")
    );
    let anna = client(Role::Manufacturer, "0001", "anna");
    assert!(
        text(issue_client(&directory, &anna, 10, NOW).expect_err("there"))
            .ends_with("nothing was overwritten")
    );
    let node = NodeSpec {
        id: id(1),
        hosts: Vec::new(),
    };
    assert!(
        text(issue_node(&directory, &node, 10, NOW).expect_err("there"))
            .ends_with("nothing was overwritten")
    );
    let after: Vec<Vec<u8>> = files_below(&directory)
        .iter()
        .map(|path| std::fs::read(path).expect("read"))
        .collect();
    assert!(before == after);
}

#[test]
fn a_directory_with_anything_in_it_is_left_alone() {
    let (_outer, directory) = place();
    std::fs::create_dir(&directory).expect("made");
    std::fs::write(directory.join("letter"), "mine").expect("written");
    assert!(matches!(
        init(&directory, &plan(), NOW),
        Err(PkiError::Exists(_))
    ));
    assert_eq!(files_below(&directory).len(), 1);
    std::fs::remove_file(directory.join("letter")).expect("removed");
    init(&directory, &plan(), NOW).expect("an empty directory will do");
}

#[test]
fn clients_and_nodes_can_be_added_later() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let later = NOW.saturating_add(DurationMs::from_days(100));
    let desk = client(Role::Customs, "port-shanghai", "desk-4");
    let actor = issue_client(&directory, &desk, 30, later).expect("issued");
    let stem = directory.join("clients/customs-port-shanghai-desk-4");
    assert_eq!(
        read_seed(&stem.with_extension("actor.key"))
            .expect("a seed")
            .public(),
        actor
    );
    let roots = read_roots(&directory.join("root/roots.crt")).expect("roots");
    let chain = read_chain(&stem.with_extension("crt")).expect("a chain");
    let judge = |at| chain::verify_client(&chain, &roots, prefix(), Plane::Client, at);
    assert_eq!(*judge(later).expect("believed").name(), desk);
    assert!(
        judge(NOW)
            .expect_err("too early")
            .to_string()
            .contains("not valid before")
    );
    let end = later.saturating_add(DurationMs::from_days(31));
    assert!(
        judge(end)
            .expect_err("too late")
            .to_string()
            .contains("expired")
    );

    issue_node(
        &directory,
        &NodeSpec {
            id: id(4),
            hosts: vec!["n4.example".into()],
        },
        30,
        later,
    )
    .expect("issued");
    let chain = read_chain(&directory.join("nodes/4/raft.crt")).expect("a chain");
    assert_eq!(
        chain::verify_node(&chain, &roots, prefix(), Plane::Raft, later)
            .expect("believed")
            .node(),
        id(4)
    );
}

#[test]
fn nothing_is_issued_that_would_be_refused() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let late = NOW.saturating_add(DurationMs::from_days(2000));
    let desk = client(Role::Customs, "port-shanghai", "desk-4");
    let error = issue_client(&directory, &desk, 30, late).expect_err("the authority has expired");
    let PkiError::Refused(reason) = error else {
        panic!("{error}")
    };
    assert!(
        reason.to_string().contains("expired at 2031-05-31"),
        "{reason}"
    );
    let foreign = ClientName::from_words(
        Prefix::parse("49").expect("a prefix"),
        Role::Customs,
        "a",
        "b",
    );
    let error = issue_client(&directory, &foreign.expect("a name"), 30, NOW).expect_err("foreign");
    assert_eq!(
        error.to_string(),
        "the plan is not valid: carnet://49/customs/a/b is not of 86"
    );
    assert!(
        !directory
            .join("clients/customs-port-shanghai-desk-4.crt")
            .exists()
    );
}

#[test]
fn a_plan_that_contradicts_itself_is_refused() {
    let (_outer, directory) = place();
    let check = |change: &dyn Fn(&mut PkiPlan)| {
        let mut plan = plan();
        change(&mut plan);
        let error = init(&directory, &plan, NOW)
            .expect_err("refused")
            .to_string();
        assert!(!directory.exists());
        error
            .strip_prefix("the plan is not valid: ")
            .expect("a fault of the plan")
            .to_owned()
    };
    assert_eq!(
        check(&|plan| plan.root_count = 0),
        "0 roots, expected 1 to 3"
    );
    assert_eq!(
        check(&|plan| plan.root_count = 4),
        "4 roots, expected 1 to 3"
    );
    assert_eq!(
        check(&|plan| plan.nodes.push(plan.nodes[0].clone())),
        "a node id stands twice"
    );
    assert_eq!(
        check(&|plan| plan.clients.push(plan.clients[0].clone())),
        "a client stands twice"
    );
    assert_eq!(
        check(&|plan| plan.validity.leaf_days = 0),
        "a certificate must last at least a day"
    );
    assert_eq!(
        check(&|plan| plan.validity.leaf_days = 4000),
        "a certificate must not outlast the one above it"
    );
    assert_eq!(
        check(&|plan| plan.validity.passport_days = 366),
        "a passport key lasts at most 365 days, a root at most 36500"
    );
    let foreign = || {
        ClientName::from_words(
            Prefix::parse("49").expect("a prefix"),
            Role::Customs,
            "a",
            "b",
        )
    };
    assert_eq!(
        check(&|plan| plan.clients.push(foreign().expect("a name"))),
        "carnet://49/customs/a/b is not of 86"
    );
}

#[test]
fn damaged_files_are_named_and_never_shown() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let seed = directory.join("keys/log.seed");
    let whole = std::fs::read_to_string(&seed).expect("read");
    for text in [
        "",
        "abc",
        &whole[..63],
        &format!("{whole}00"),
        &whole.replace('\n', "g"),
    ] {
        std::fs::write(&seed, text).expect("written");
        let error = read_seed(&seed).err().expect("damaged").to_string();
        assert!(
            error.ends_with("keys/log.seed: not a seed of 64 hexadecimal digits"),
            "{error}"
        );
    }
    std::fs::write(directory.join("ca/client.key"), "nonsense").expect("written");
    let desk = client(Role::Customs, "port", "desk");
    let error = issue_client(&directory, &desk, 30, NOW)
        .expect_err("damaged")
        .to_string();
    assert!(
        error.ends_with("ca/client.key: not a private key in PEM"),
        "{error}"
    );
    std::fs::write(directory.join("root/roots.crt"), "").expect("written");
    let error = issue_client(&directory, &desk, 30, NOW)
        .expect_err("damaged")
        .to_string();
    assert!(
        error.ends_with("root/roots.crt: there is no certificate in it"),
        "{error}"
    );
}

/// The serial numbers and keys of the certificates in some files.
fn marks(directory: &Path, files: &[&str]) -> Vec<carnet_trust::facts::Marks> {
    let read = |file: &&str| {
        let chain = read_chain(&directory.join(file)).expect("a chain");
        let facts = carnet_trust::facts::Facts::of(&chain[0]);
        facts.expect("a certificate").marks
    };
    files.iter().map(read).collect()
}

#[test]
fn a_renewed_certificate_has_the_same_names_a_new_number_and_the_key_that_was_asked_for() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let later = NOW.saturating_add(DurationMs::from_days(300));
    let files = ["nodes/1/raft.crt", "nodes/1/client.crt"];
    let facts = |file: &str| {
        let chain = read_chain(&directory.join(file)).expect("a chain");
        carnet_trust::facts::Facts::of(&chain[0]).expect("a certificate")
    };
    let (first, before) = (marks(&directory, &files), facts(files[0]));
    let done = renew_node(&directory, id(1), None, Keys::Same, (90, later)).expect("renewed");
    assert_eq!(done.len(), Plane::ALL.len());
    let (same, after) = (marks(&directory, &files), facts(files[0]));
    assert_eq!(
        (&after.identity, &after.hosts, &after.planes),
        (&before.identity, &before.hosts, &before.planes)
    );
    assert!(before.not_after < after.not_after);
    assert_eq!(after.not_after, done[0].until);
    renew_node(&directory, id(1), None, Keys::New, (90, later)).expect("renewed");
    let new = marks(&directory, &files);
    for place in 0..files.len() {
        assert_ne!(first[place].serial, same[place].serial, "another number");
        assert_eq!(first[place].key, same[place].key, "the same key");
        assert_ne!(same[place].key, new[place].key, "another key");
    }
    // What was replaced can be named.
    for one in &done {
        let kept = facts(&one.retired.display().to_string());
        assert_eq!(kept.not_after, one.until_before);
    }
    let mode = |file: &str| {
        let found = std::fs::metadata(directory.join(file)).expect("there");
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode("nodes/1/raft.key"), mode(files[0])), (0o600, 0o600));
    let left: Vec<_> = files_below(&directory)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "new"))
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// Once, whoever gave the command again when it was done began another rotation.
#[test]
fn it_is_known_when_an_actor_key_was_rotated_last() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let desk = client(Role::Admin, "operations", "desk-1");
    let now = carnet_client::wall_time();
    let rotated = || actor_key_rotated(&directory, &desk, now).expect("read");
    assert_eq!(rotated(), None, "it is the first");
    next_actor_key(&directory, &desk).expect("made");
    assert_eq!(rotated(), None, "under way");
    follow_actor_key(&directory, &desk).expect("in its place");
    assert_eq!(rotated(), None, "the old one is not retired yet");
    retired_actor_key(&directory, &desk).expect("done");
    let ago = rotated().expect("finished");
    assert!(ago.as_ms() < 60_000, "{ago:?}");
    let other = client(Role::Manufacturer, "0001", "anna");
    let of_other = actor_key_rotated(&directory, &other, now).expect("read");
    assert_eq!(of_other, None);
}

/// Once, a rotation that was cut short between two files retired the key in use and deleted the one that follows.
#[test]
fn a_rotation_cut_short_anywhere_never_retires_the_key_in_use() {
    let desk = client(Role::Admin, "operations", "desk-1");
    let stem = "clients/admin-operations-desk-1.actor";
    let (_outer, whole) = place();
    init(&whole, &plan(), NOW).expect("made");
    let first = std::fs::read(whole.join(format!("{stem}.key"))).expect("read");
    let before = read_seed(&whole.join(format!("{stem}.key"))).expect("a seed");
    next_actor_key(&whole, &desk).expect("made");
    let next = std::fs::read(whole.join(format!("{stem}.next.key"))).expect("read");
    let print: String = before.public().to_string().chars().take(16).collect();
    let follows = read_seed(&whole.join(format!("{stem}.next.key"))).expect("a seed");
    follow_actor_key(&whole, &desk).expect("in its place");
    // The files in the order in which they are put there.
    let order = [
        format!("retired/admin-operations-desk-1-actor-{print}.key"),
        format!("retired/admin-operations-desk-1-actor-{print}.pub"),
        format!("{stem}.old.pub"),
        format!("{stem}.pub"),
        format!("{stem}.key"),
    ];
    for count in 0..=order.len() {
        let (_cut, cut) = place();
        init(&cut, &plan(), NOW).expect("made");
        std::fs::create_dir_all(cut.join("retired")).expect("a folder");
        std::fs::write(cut.join(format!("{stem}.key")), &first).expect("written");
        std::fs::write(cut.join(format!("{stem}.next.key")), &next).expect("written");
        for name in order.iter().take(count) {
            std::fs::copy(whole.join(name), cut.join(name)).expect("copied");
        }
        let in_use = || {
            read_seed(&cut.join(format!("{stem}.key")))
                .expect("a seed")
                .public()
        };
        match next_actor_key(&cut, &desk).expect("goes on") {
            ActorStep::Enrol { now, next } => {
                assert!(count < 3, "{count}");
                assert_eq!(
                    (now.public(), next.public()),
                    (before.public(), follows.public())
                );
            }
            ActorStep::Retire { old } => {
                assert!(count >= 3, "{count}");
                assert_eq!(
                    (old, in_use()),
                    (before.public(), follows.public()),
                    "{count}"
                );
                retired_actor_key(&cut, &desk).expect("done");
                assert_eq!(in_use(), follows.public());
            }
        }
    }
}

/// Nothing renewed an authority: on the day it ended, so did every certificate below it.
#[test]
fn two_authorities_are_in_force_while_certificates_are_renewed() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let roots = read_roots(&directory.join("root/roots.crt")).expect("roots");
    let node = directory.join("nodes/1/raft.crt");
    let judged = |chain: &[CertificateDer<'static>], at: TimeMs| {
        chain::verify_node(chain, &roots, prefix(), Plane::Raft, at).map(|found| found.node())
    };
    let before = read_chain(&node).expect("a chain");
    let seed = directory.join("root/root-1.seed");
    let later = NOW.saturating_add(DurationMs::from_days(300));
    let done = renew_authority(&directory, Plane::Raft, &seed, (1825, later)).expect("renewed");
    assert!(directory.join(&done.retired).exists(), "{done:?}");
    // The other half of the nodes still shows this one, to those that have the new one.
    assert_eq!(judged(&before, later).expect("good"), id(1));
    renew_node(&directory, id(1), None, Keys::Same, (365, later)).expect("renewed");
    let after = read_chain(&node).expect("a chain");
    assert_ne!(before[1], after[1], "another authority");
    assert_eq!(judged(&after, later).expect("good"), id(1));
    let old_end = done.until_before;
    assert!(done.until > old_end);
    // Other planes go on under theirs.
    let admin = read_chain(&directory.join("nodes/1/admin.crt")).expect("a chain");
    chain::verify_node(&admin, &roots, prefix(), Plane::Admin, later).expect("good");
    let stranger = directory.join("keys/log.seed");
    let refused = renew_authority(&directory, Plane::Raft, &stranger, (9, later));
    assert!(matches!(refused, Err(PkiError::Plan(_))), "{refused:?}");
    let too_long = renew_authority(&directory, Plane::Raft, &seed, (9_999, later));
    assert!(matches!(too_long, Err(PkiError::Plan(_))), "{too_long:?}");
}

/// Once, nothing made another certificate of a passport key, which lasts a year at the most.
#[test]
fn a_passport_key_is_certified_anew_by_a_root() {
    let (_outer, directory) = place();
    let summary = init(&directory, &plan(), NOW).expect("made");
    let roots = read_roots(&directory.join("root/roots.crt")).expect("roots");
    let seed = directory.join("root/root-1.seed");
    let file = directory.join("keys/passport.crt");
    let key_at = |at: TimeMs| {
        let chain = read_chain(&file).expect("a chain");
        let verified = chain::verify_passport_chain(&chain, &roots, prefix(), at);
        verified.map(|passport| *passport.key())
    };
    let later = NOW.saturating_add(DurationMs::from_days(340));
    let ended = NOW.saturating_add(DurationMs::from_days(400));
    assert!(key_at(ended).is_err(), "it lasts a year");
    let done = renew_passport(&directory, Keys::Same, &seed, (365, later)).expect("renewed");
    assert_eq!(key_at(ended).expect("good"), summary.passport_key);
    assert!(done.until_before < done.until, "{done:?}");
    assert!(directory.join(&done.retired).exists(), "{done:?}");
    renew_passport(&directory, Keys::New, &seed, (365, later)).expect("renewed");
    let drawn = read_seed(&directory.join("keys/passport.seed")).expect("a seed");
    assert_eq!(key_at(ended).expect("good"), drawn.public());
    assert_ne!(drawn.public(), summary.passport_key);
    let refused = |seed: &str, days| {
        let seed = directory.join(seed);
        let done = renew_passport(&directory, Keys::Same, &seed, (days, later));
        assert!(matches!(done, Err(PkiError::Plan(_))), "{done:?}");
    };
    refused("keys/log.seed", 9);
    refused("root/root-1.seed", 366);
    assert_eq!(key_at(ended).expect("good"), drawn.public());
}

#[test]
fn a_log_key_that_is_put_away_is_handed_out_no_more() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let dead = next_log_key(&directory).expect("made").public;
    assert_eq!(next_log_key(&directory).expect("given again").public, dead);
    let moved = put_away_log_key(&directory, &dead).expect("put away");
    let moved = moved.expect("it lay there");
    assert!(
        directory.join(&moved).exists() && moved.starts_with("retired"),
        "{moved:?}"
    );
    assert_eq!(put_away_log_key(&directory, &dead).expect("again"), None);
    let next = next_log_key(&directory).expect("made");
    assert!(next.made && next.public != dead);
    let now = read_seed(&directory.join("keys/log.seed"))
        .expect("a seed")
        .public();
    assert_eq!(
        put_away_log_key(&directory, &now).expect("not the first"),
        None
    );
}

#[test]
fn a_renewed_client_keeps_the_key_that_signs_commands() {
    let (_outer, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let desk = client(Role::Admin, "operations", "desk-1");
    let actor = directory.join("clients/admin-operations-desk-1.actor.key");
    let before = read_seed(&actor).expect("a seed").public();
    let done = renew_client(&directory, &desk, Keys::New, (90, NOW)).expect("renewed");
    let files: Vec<String> = done
        .iter()
        .map(|one| one.file.display().to_string())
        .collect();
    assert_eq!(
        files,
        [
            "clients/admin-operations-desk-1.crt",
            "clients/admin-operations-desk-1.admin.crt"
        ]
    );
    assert_eq!(read_seed(&actor).expect("a seed").public(), before);
    let stranger = client(Role::Manufacturer, "0001", "nobody");
    assert!(renew_client(&directory, &stranger, Keys::New, (90, NOW)).is_err());
    assert!(renew_client(&directory, &desk, Keys::New, (0, NOW)).is_err());
}

#[test]
fn a_request_is_signed_for_its_key_and_the_key_stays_where_it_is() {
    let (_outer, directory) = place();
    let summary = init(&directory, &plan(), NOW).expect("made");
    let (_other, host) = place();
    let node = NodeSpec {
        id: id(2),
        hosts: vec!["n2.example".into(), "10.0.0.2".into()],
    };
    let asked = request_node(&host, prefix(), summary.cluster, &node).expect("asked");
    assert_eq!(asked.len(), Plane::ALL.len());
    let twice = request_node(&host, prefix(), summary.cluster, &node);
    assert!(
        matches!(twice, Err(PkiError::Exists(_))),
        "no key is drawn anew"
    );
    // Only the requests travel.
    let (_desk, desk) = place();
    for request in &asked {
        let to = desk.join(request);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        std::fs::copy(host.join(request), &to).expect("copied");
        let made = signed(&directory, &to).expect("signed");
        assert_eq!(made.hosts, ["n2.example", "10.0.0.2"]);
        let chain = read_chain(&made.file).expect("a chain");
        let roots = read_roots(&directory.join("root/roots.crt")).expect("roots");
        let found = chain::verify_node(&chain, &roots, prefix(), made.plane, NOW);
        let found = found.expect("believed");
        found
            .expect_cluster(summary.cluster, 0)
            .expect("of this cluster");
        // It is of the key that was drawn on the host.
        let key = crate::make::TlsKey::read(&host.join(request).with_extension("key"));
        let public = key.expect("a key").public();
        assert_eq!(read_request(&to).expect("read").key, public);
        let again = signed(&directory, &to);
        assert!(matches!(again, Err(PkiError::Exists(_))), "once");
        // Whoever signed keeps one, and can name it when its bearer has lost it.
        let given = std::fs::read(&made.file).expect("read");
        let kept = std::fs::read_dir(directory.join("signed")).expect("a folder");
        let kept = kept.map(|one| std::fs::read(one.expect("a file").path()).expect("read"));
        assert_eq!(kept.filter(|one| *one == given).count(), 1);
    }
    let kept = std::fs::read_dir(directory.join("signed")).expect("a folder");
    assert_eq!(kept.count(), Plane::ALL.len());
    let keys = files_below(&desk).into_iter();
    let keys = keys.filter(|path| path.extension().is_some_and(|ending| ending == "key"));
    assert_eq!(keys.count(), 0);
}

#[test]
fn what_is_not_this_authoritys_to_give_is_not_signed() {
    let (_outer, directory) = place();
    let summary = init(&directory, &plan(), NOW).expect("made");
    let (_other, host) = place();
    let said = |path: PathBuf| match signed(&directory, &path) {
        Ok(made) => panic!("{made:?}"),
        Err(error) => error.to_string(),
    };
    let node = |id: NodeId| NodeSpec {
        id,
        hosts: Vec::new(),
    };
    let abroad = Prefix::parse("49").expect("a prefix");
    request_node(&host, abroad, summary.cluster, &node(id(3))).expect("asked");
    let fault = said(host.join("nodes/3/raft.csr"));
    assert!(fault.contains("is not of 86"), "{fault}");
    let other = ClusterId::new([7; 16]).expect("a cluster");
    request_node(&host, prefix(), other, &node(id(4))).expect("asked");
    let fault = said(host.join("nodes/4/raft.csr"));
    assert!(fault.contains("another cluster"), "{fault}");
    // One byte of a request changed, and its key has not signed it.
    let path = host.join("nodes/4/client.csr");
    let text = std::fs::read_to_string(&path).expect("read");
    let middle = text.len() / 2;
    let other = if text.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    let mut forged = text;
    forged.replace_range(middle..=middle, other);
    std::fs::write(&path, forged).expect("written");
    assert!(signed(&directory, &path).is_err());
}

#[test]
fn a_bundle_holds_what_one_host_needs_and_no_key_of_another() {
    let (_outer, directory) = place();
    let mut plan = plan();
    plan.nodes.push(NodeSpec {
        id: id(2),
        hosts: Vec::new(),
    });
    init(&directory, &plan, NOW).expect("made");
    let (_other, to) = place();
    let copied = bundle_node(&directory, id(2), &to).expect("copied");
    let names: Vec<String> = copied
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        names.join(" "),
        "root/roots.crt keys/log.seed keys/witness.seed keys/passport.seed keys/passport.crt \
         nodes/2/raft.crt nodes/2/raft.key nodes/2/federation.crt nodes/2/federation.key nodes/2/client.crt \
         nodes/2/client.key nodes/2/admin.crt nodes/2/admin.key"
    );
    assert_eq!(files_below(&to).len(), copied.len());
    let (_third, to) = place();
    let desk = client(Role::Admin, "operations", "desk-1");
    let copied = bundle_client(&directory, &desk, &to).expect("copied");
    assert_eq!(files_below(&to).len(), copied.len());
    assert_eq!(copied.len(), 7, "{copied:?}");
    assert!(bundle_node(&directory, id(9), &to).is_err());
}

/// Once, a request that was written over between the look at it and its signature got what it asked for then.
#[test]
fn what_was_read_is_signed_whatever_lies_there_by_then() {
    let ((_one, directory), (_other, host)) = (place(), place());
    init(&directory, &plan(), NOW).expect("made");
    let name = |text: &str| ClientName::from_words(prefix(), Role::Dealer, "0003", text);
    let (meant, other) = (name("ada").expect("a name"), name("eve").expect("a name"));
    let (asked, _) = request_client(&host, &meant).expect("drawn");
    let (others, _) = request_client(&host, &other).expect("drawn");
    let path = host.join(&asked[0]);
    let request = read_request(&path).expect("read");
    std::fs::copy(host.join(&others[0]), &path).expect("written over");
    let made = sign(&directory, (&path, &request), 90, NOW).expect("signed");
    assert_eq!(made.identity, Identity::Client(meant));
    // Nor is a file of any length read as one.
    std::fs::write(&path, vec![b'x'; 70_000]).expect("written");
    let why = read_request(&path).expect_err("too long").to_string();
    assert!(why.contains("longer than"), "{why}");
}

/// A node that was thrown out before a restore is none of the cluster after it.
#[test]
fn a_request_of_another_life_is_not_signed() {
    let ((_one, directory), (_other, host)) = (place(), place());
    let summary = init(&directory, &plan(), NOW).expect("made");
    let name = NodeName {
        prefix: prefix(),
        plane: Plane::Raft,
        node: id(3),
        cluster: summary.cluster,
        incarnation: Some(1),
    };
    let leaf = make::Leaf {
        identity: Identity::Node(name),
        hosts: Vec::new(),
        plane: Plane::Raft,
        span: Span::new(NOW, 1),
    };
    let key = make::TlsKey::draw(Plane::Raft).expect("a key");
    std::fs::create_dir_all(&host).expect("a folder");
    let path = host.join("later.csr");
    std::fs::write(&path, make::request(&leaf, &key).expect("asked")).expect("written");
    let why = signed(&directory, &path).expect_err("refused").to_string();
    assert!(why.contains("another life"), "{why}");
}

#[test]
fn no_certificate_outlasts_its_authority() {
    let (_place, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let name = ClientName::from_words(prefix(), Role::Dealer, "0003", "ada").expect("a name");
    let why = issue_client(&directory, &name, 30_000, NOW);
    let why = why.expect_err("refused").to_string();
    assert!(why.contains("must not outlast"), "{why}");
    issue_client(&directory, &name, 30, NOW).expect("issued");
    let far = renew_client(&directory, &name, Keys::New, (30_000, NOW));
    assert!(far.is_err());
}

/// `customs/a-b/c` and `customs/a/b-c` have the same names of files: neither is given the other's.
#[test]
fn nobody_is_given_the_files_of_somebody_whose_name_is_written_alike() {
    let ((_one, directory), (_other, to)) = (place(), place());
    init(&directory, &plan(), NOW).expect("made");
    let name = |unit: &str, name: &str| {
        ClientName::from_words(prefix(), Role::Customs, unit, name).expect("a name")
    };
    let (one, other) = (name("a-b", "c"), name("a", "b-c"));
    assert_eq!(client_stem(&one), client_stem(&other));
    issue_client(&directory, &one, 30, NOW).expect("issued");
    let refused = [
        bundle_client(&directory, &other, &to).err(),
        renew_client(&directory, &other, Keys::New, (30, NOW)).err(),
        next_actor_key(&directory, &other).err(),
    ];
    for why in refused {
        let why = why.expect("refused").to_string();
        assert!(why.contains("was asked for"), "{why}");
    }
    bundle_client(&directory, &one, &to).expect("its own");
}

/// A row of the table of queries that no certificate reaches would be nobody's: the auditor looks with eyes of its own.
#[test]
fn whoever_may_ask_on_the_admin_plane_gets_a_certificate_of_it() {
    let there = |role: Role| client_planes(role).contains(&Plane::Admin);
    let who: Vec<&str> = Role::ALL
        .iter()
        .filter(|role| there(**role))
        .map(|role| role.word())
        .collect();
    assert_eq!(who, ["registrar", "auditor", "admin"]);
}

/// Every step leaves files by which the next call goes on.
#[test]
fn a_log_key_follows_another_and_each_step_can_be_given_again() {
    let (_place, directory) = place();
    let summary = init(&directory, &plan(), NOW).expect("made");
    let next = next_log_key(&directory).expect("made");
    let again = next_log_key(&directory).expect("there");
    assert!(next.made && !again.made);
    assert_eq!((&next.seed, next.public), (&again.seed, again.public));
    // A node's bundle has both.
    let (_to, to) = place();
    let copied = bundle_node(&directory, id(1), &to).expect("copied");
    assert!(copied.contains(&next.seed), "{copied:?}");
    let seed = |name: &str| read_seed(&directory.join(name)).expect("a seed").public();
    let moved = follow_log_key(&directory, &next.public).expect("moved");
    assert_eq!(moved.len(), 1);
    assert_eq!(seed("keys/log.seed"), next.public);
    let public = read_public_key(&directory.join("keys/log.pub")).expect("a key");
    assert_eq!(public, next.public);
    assert_eq!(
        read_seed(&directory.join(&moved[0]))
            .expect("kept")
            .public(),
        summary.log_key
    );
    assert!(!directory.join(&next.seed).exists());
    // What an interrupted call left: the old half beside the new seed.
    std::fs::copy(
        moved_public(&directory, &moved[0]),
        directory.join("keys/log.pub"),
    )
    .expect("as it was");
    assert_eq!(
        follow_log_key(&directory, &next.public).expect("done"),
        Vec::<PathBuf>::new()
    );
    let public = read_public_key(&directory.join("keys/log.pub")).expect("a key");
    assert_eq!(public, next.public);
    // A key that is not there takes nobody's place.
    assert!(follow_log_key(&directory, &summary.log_key).is_err());
}

fn moved_public(directory: &Path, seed: &Path) -> PathBuf {
    directory.join(seed).with_extension("pub")
}

#[test]
fn an_actor_key_follows_another_and_what_is_left_to_do_is_found_again() {
    let (_place, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let name = ClientName::from_words(prefix(), Role::Dealer, "0003", "ada").expect("a name");
    let first = issue_client(&directory, &name, 30, NOW).expect("issued");
    let step = || next_actor_key(&directory, &name).expect("a step");
    let drawn = |step: ActorStep| match step {
        ActorStep::Enrol { now, next } => (now.public(), next.public()),
        ActorStep::Retire { .. } => panic!("nothing is to be retired"),
    };
    let (now, next) = drawn(step());
    assert_eq!((now, next), drawn(step()), "one is drawn");
    assert_eq!(now, first);
    assert_eq!(follow_actor_key(&directory, &name).expect("moved"), first);
    let place = directory.join("clients/dealer-0003-ada.actor.key");
    assert_eq!(read_seed(&place).expect("a seed").public(), next);
    for _ in 0..2 {
        match step() {
            ActorStep::Retire { old } => assert_eq!(old, first),
            ActorStep::Enrol { .. } => panic!("the old one is to be retired first"),
        }
    }
    retired_actor_key(&directory, &name).expect("noted");
    let (now, another) = drawn(step());
    assert_eq!(now, next);
    assert_ne!(another, next);
}

/// Browsers and BoringSSL find nothing on the client plane that they do not speak; other planes are as they were.
#[test]
fn keys_of_the_client_plane_are_of_p256_and_others_of_ed25519() {
    let (_place, directory) = place();
    init(&directory, &plan(), NOW).expect("made");
    let is_p256 = |file: &str| {
        let key = make::TlsKey::read(&directory.join(file)).expect("a key");
        matches!(key.public(), carnet_trust::facts::TlsKey::P256(_))
    };
    for plane in Plane::ALL {
        let client = *plane == Plane::Client;
        assert_eq!(is_p256(&format!("ca/{plane}.key")), client, "{plane}");
        assert_eq!(is_p256(&format!("nodes/1/{plane}.key")), client, "{plane}");
    }
    assert!(is_p256("clients/manufacturer-0001-anna.key"));
    // Renewed with the key that it has, it goes on with it.
    renew_node(&directory, id(1), None, Keys::Same, (30, NOW)).expect("renewed");
    assert!(is_p256("nodes/1/client.key"));
}
