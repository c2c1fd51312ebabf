//! What a signer signs after a crash, and what it never signs.

use carnet_domain::digest::Digest;
use carnet_domain::kit::Country;
use carnet_domain::signature::{PublicKey, SecretKey, Signature};
use carnet_store::machine::{LogPosition, LogRecord, Payload, StateMachine};
use carnet_store::memory::MemoryEngine;
use carnet_store::registry::RegistryState;
use futures::future::BoxFuture;
use tempfile::TempDir;

use super::*;
use crate::keyring::SignError;

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
        let record = |(at, entry): (usize, &carnet_domain::entry::Entry)| LogRecord {
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

    /// A signer as it is after a start.
    fn signer(&self) -> Signer {
        Signer {
            path: self.folder.path().join("last-signed"),
            cluster: [7; 16],
            keyring: Arc::new(OneKey(SecretKey::from_seed(&[1; 32]))),
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// What a freshly started signer does with a sealed size.
    fn sign(&self, sealed: &Sealed) -> Result<Body, SignRefused> {
        let signer = self.signer();
        let (registry, records) = (self.registry(), Records(self.state.engine()));
        futures::executor::block_on(signer.sign(records, &registry, sealed))
    }

    fn refused(&self, sealed: &Sealed, expected: &str) {
        let refused = self.sign(sealed).expect_err("a refusal").to_string();
        assert!(refused.contains(expected), "{refused}");
    }
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
    let kept = std::fs::read(bench.folder.path().join("last-signed")).expect("a file");
    let leftover = bench.folder.path().join("last-signed.new");
    std::fs::write(leftover, &kept[..kept.len() / 2]).expect("a file");
    bench.register(2);
    bench.sign(&bench.sealed()).expect("a signature");
}

#[test]
fn the_last_signed_size_of_another_cluster_is_not_believed() {
    let bench = Bench::new();
    let elsewhere = Signer {
        cluster: [8; 16],
        ..bench.signer()
    };
    elsewhere.keep(Frontier::new()).expect("a file");
    bench.refused(&bench.sealed(), "another cluster's");
}
