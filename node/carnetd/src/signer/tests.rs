//! What a signer signs after a crash, and what it never signs.

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::signature::{PublicKey, SecretKey, Signature};
use carnet_kit::Country;
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::registry::RegistryState;
use futures::future::BoxFuture;
use tempfile::TempDir;

use super::*;
use crate::keyring::{KeyRole, SignError};

/// Signs everything with one key.
struct OneKey(SecretKey);

impl Keyring for OneKey {
    fn public(&self, _: KeyRole) -> PublicKey {
        self.0.public()
    }

    fn sign<'a>(
        &'a self,
        _: KeyRole,
        bytes: &'a [u8],
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        let signature = self.0.sign(bytes);
        Box::pin(std::future::ready(Ok(signature)))
    }
}

const CLUSTER: [u8; 16] = [7; 16];

/// A state with a robot and one seal, and the folder of its node.
struct Bench {
    country: Country,
    state: RegistryState<MemoryEngine>,
    applied: usize,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let mut made = Self {
            country: Country::with_market("86"),
            state: RegistryState::open(MemoryEngine::new()).expect("memory does not fail"),
            applied: 0,
            folder: tempfile::tempdir().expect("a folder"),
        };
        made.register(1);
        made
    }

    /// Registers a robot, and seals without publishing.
    fn register(&mut self, serial: u32) {
        let register = self.country.register(serial);
        self.country.must("maker", register);
        self.country.seal();
        let record = |(at, entry): (usize, &carnet_domain::machine::entry::Entry)| LogRecord {
            position: LogPosition {
                term: 1,
                node: 1,
                index: at as u64 + 1,
            },
            payload: Payload::Entry(entry.to_bytes().into()),
        };
        let fresh = self.country.entries.iter().enumerate().skip(self.applied);
        let records = fresh.map(record).collect();
        self.applied = self.country.entries.len();
        self.state.apply(records).expect("memory does not fail");
    }

    fn registry(&self) -> Registry {
        let registry = self.state.registry().expect("memory does not fail");
        registry.expect("it has its genesis")
    }

    fn sealed(&self) -> Sealed {
        self.registry().sealed.expect("it was sealed")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// What a start makes of the folder.
    fn open(&self) -> Result<Signer, StorageFault> {
        let keyring = Arc::new(OneKey(self.country.key("log")));
        Signer::open_file(self.file(), CLUSTER, keyring, Duration::from_secs(60))
    }

    /// A signer as it is after a start.
    fn signer(&self) -> Signer {
        self.open().expect("a file that is sound, or none")
    }

    /// What a freshly started signer does with a sealed size.
    fn sign(&self, sealed: &Sealed) -> Result<Body, SignRefused> {
        self.sign_with(&mut self.signer(), sealed)
    }

    fn sign_with(&self, signer: &mut Signer, sealed: &Sealed) -> Result<Body, SignRefused> {
        let (registry, records) = (self.registry(), Records(self.state.engine()));
        let mut timed = tokio::runtime::Builder::new_current_thread();
        let runtime = timed.enable_time().build().expect("a runtime");
        runtime.block_on(signer.sign(records, &registry, sealed))
    }

    /// Follows a head to its end.
    fn follow(&self, signer: &mut Signer, head: &Sealed, seconds: u64) -> Result<(), SignRefused> {
        let (records, now) = (Records(self.state.engine()), Duration::from_secs(seconds));
        while signer.follow(&records, head, now)? {}
        Ok(())
    }

    /// The size that counts after a start.
    fn kept(&self) -> u64 {
        self.signer().last.size()
    }

    fn refused(&self, sealed: &Sealed, expected: &str) {
        refuses(&self.sign(sealed), expected);
    }
}

fn refuses<T: std::fmt::Debug>(found: &Result<T, SignRefused>, expected: &str) {
    let refused = found.as_ref().expect_err("a refusal");
    let refused = crate::told::chain(refused);
    assert!(refused.contains(expected), "{refused}");
}

#[test]
fn a_head_whose_signature_was_lost_is_signed_again() {
    let bench = Bench::new();
    let sealed = bench.sealed();
    let first = bench.sign(&sealed).expect("a signature");
    let again = bench.sign(&sealed).expect("a signature after a start");
    assert_eq!(first, again);
}

#[test]
fn another_head_of_the_size_signed_last_is_not_signed() {
    let bench = Bench::new();
    let sealed = bench.sealed();
    bench.sign(&sealed).expect("a signature");
    let forked = Sealed {
        root: Digest([1; 32]),
        ..sealed.clone()
    };
    bench.refused(&forked, "the leaves on disk have root");
    let other_map = Sealed {
        map_root: Digest([1; 32]),
        ..sealed
    };
    bench.refused(&other_map, "the last leaf is not the sealed map head");
}

#[test]
fn a_size_below_the_one_signed_last_is_not_signed() {
    let mut bench = Bench::new();
    let before = bench.sealed();
    bench.register(2);
    bench.sign(&bench.sealed()).expect("a signature");
    bench.refused(&before, "is below the last signed");
}

#[test]
fn a_crash_while_the_size_was_being_kept_leaves_nothing_that_counts() {
    let mut bench = Bench::new();
    bench.sign(&bench.sealed()).expect("a signature");
    let kept = std::fs::read(bench.file()).expect("a file");
    let leftover = bench.folder.path().join("last-signed.new");
    std::fs::write(leftover, &kept[..kept.len() / 2]).expect("a file");
    bench.register(2);
    bench.sign(&bench.sealed()).expect("a signature");
}

#[test]
fn the_last_signed_size_of_another_cluster_is_not_believed() {
    let bench = Bench::new();
    let mut elsewhere = Signer {
        cluster: [8; 16],
        ..bench.signer()
    };
    let written = elsewhere.write(&Frontier::new()).expect("a file");
    written.put_in_place().expect("a file");
    let Err(StorageFault::Foreign(why)) = bench.open() else {
        panic!("it starts");
    };
    assert!(why.contains("another cluster's"), "{why}");
}

/// Once, a damaged edge was found only when the next head was to be signed, and kept the node from signing for ever.
#[test]
fn one_flipped_bit_or_a_missing_end_is_found_at_the_start() {
    let bench = Bench::new();
    bench.sign(&bench.sealed()).expect("a signature");
    let sound = std::fs::read(bench.file()).expect("a file");
    let damaged = |bytes: &[u8]| {
        std::fs::write(bench.file(), bytes).expect("a file");
        let Err(StorageFault::Corrupt { detail, .. }) = bench.open() else {
            panic!("it starts with {bytes:?}");
        };
        assert!(
            detail.contains(FILE) && detail.contains("retire the node"),
            "{detail}"
        );
    };
    for bit in 0..sound.len() * 8 {
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        damaged(&bytes);
    }
    for length in 0..sound.len() {
        damaged(&sound[..length]);
    }
}

#[test]
fn damage_to_the_file_of_a_running_signer_is_replaced_and_never_believed() {
    let mut bench = Bench::new();
    let mut signer = bench.signer();
    let first = bench.sealed();
    bench.sign_with(&mut signer, &first).expect("a signature");
    std::fs::write(bench.file(), b"rot").expect("a file");
    bench.register(2);
    let second = bench.sealed();
    bench.sign_with(&mut signer, &second).expect("a signature");
    assert_eq!(bench.kept(), second.size);
    let again = bench.sign_with(&mut signer, &first);
    refuses(&again, "is below the last signed");
}

#[test]
fn a_size_that_cannot_be_kept_is_not_signed_and_the_cause_is_told() {
    let bench = Bench::new();
    let mut signer = bench.signer();
    let unfinished = bench.folder.path().join("last-signed.new");
    std::os::unix::fs::symlink("/dev/full", &unfinished).expect("a link");
    let sealed = bench.sealed();
    for _ in 0..2 {
        let found = bench.sign_with(&mut signer, &sealed);
        refuses(&found, "cannot be kept");
        refuses(&found, "No space left on device");
    }
    std::fs::remove_file(&unfinished).expect("a link");
    bench.sign_with(&mut signer, &sealed).expect("a signature");
    assert_eq!(bench.kept(), sealed.size);
}

/// It would say at once that it could lead again, having nothing new to keep.
#[test]
fn a_leader_that_could_not_keep_a_size_shows_that_it_can_before_it_leads_again() {
    let mut bench = Bench::new();
    let mut signer = bench.signer();
    let first = bench.sealed();
    bench.sign_with(&mut signer, &first).expect("a signature");
    bench.register(2);
    let unfinished = bench.folder.path().join("last-signed.new");
    std::os::unix::fs::symlink("/dev/full", &unfinished).expect("a link");
    let found = bench.sign_with(&mut signer, &bench.sealed());
    refuses(&found, "cannot be kept");
    // Now another node leads, and has not published yet.
    refuses(&bench.follow(&mut signer, &first, 1), "cannot be kept");
    refuses(&bench.follow(&mut signer, &first, 1), "cannot be kept");
    std::fs::remove_file(&unfinished).expect("a link");
    bench.follow(&mut signer, &first, 1).expect("a head");
    assert_eq!(bench.kept(), first.size);
}

/// Never answers.
struct Hangs(PublicKey);

impl Keyring for Hangs {
    fn public(&self, _: KeyRole) -> PublicKey {
        self.0
    }

    fn sign<'a>(&'a self, _: KeyRole, _: &'a [u8]) -> BoxFuture<'a, Result<Signature, SignError>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_keyring_that_does_not_answer_is_not_waited_for_for_ever() {
    let bench = Bench::new();
    let mut signer = Signer {
        keyring: Arc::new(Hangs(bench.country.key("log").public())),
        patience: Duration::from_millis(1),
        ..bench.signer()
    };
    refuses(
        &bench.sign_with(&mut signer, &bench.sealed()),
        "did not answer",
    );
}

#[test]
fn a_follower_is_ready_to_sign_the_next_head_and_still_is_after_a_restart() {
    let mut bench = Bench::new();
    let mut signer = bench.signer();
    let first = bench.sealed();
    bench.follow(&mut signer, &first, 1).expect("a head");
    assert_eq!((signer.last.size(), bench.kept()), (first.size, first.size));
    // Synced now and then; what is judged in between is in memory.
    bench.register(2);
    let second = bench.sealed();
    bench.follow(&mut signer, &second, 2).expect("a head");
    assert_eq!(
        (signer.last.size(), bench.kept()),
        (second.size, first.size)
    );
    bench.follow(&mut signer, &second, 3).expect("a head");
    assert_eq!(bench.kept(), second.size);
    refuses(
        &bench.sign_with(&mut signer, &first),
        "is below the last signed",
    );
    bench.register(3);
    let third = bench.sealed();
    bench.sign_with(&mut signer, &third).expect("a signature");
    assert_eq!(bench.kept(), third.size);
}

#[test]
fn a_follower_does_not_move_to_a_head_that_its_own_leaves_do_not_have() {
    let mut bench = Bench::new();
    let mut signer = bench.signer();
    let first = bench.sealed();
    bench.follow(&mut signer, &first, 1).expect("a head");
    bench.register(2);
    let forked = Sealed {
        root: Digest([1; 32]),
        ..bench.sealed()
    };
    let found = bench.follow(&mut signer, &forked, 9);
    refuses(&found, "the leaves on disk have root");
    assert_eq!((signer.last.size(), bench.kept()), (first.size, first.size));
    let sealed = bench.sealed();
    bench.sign_with(&mut signer, &sealed).expect("a signature");
}

#[test]
fn a_long_log_is_followed_in_pieces_and_a_signature_takes_up_where_that_stood() {
    let mut bench = Bench::new();
    bench.register(2);
    let mut signer = Signer {
        fold_count_max: 2,
        ..bench.signer()
    };
    let sealed = bench.sealed();
    assert!(sealed.size > 4);
    let records = Records(bench.state.engine());
    for folded in [2, 4] {
        let more = signer.follow(&records, &sealed, Duration::ZERO);
        assert!(more.expect("a head"));
        assert_eq!(signer.folded.size(), folded);
    }
    assert_eq!(signer.last.size(), 0, "nothing was compared yet");
    bench.sign_with(&mut signer, &sealed).expect("a signature");
    assert_eq!(bench.kept(), sealed.size);
}
