//! Which key files are taken and which refused.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Writes the three seeds and what a case does to them, and says what became of it.
fn check(change: impl Fn(&PkiPaths), expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = PkiPaths::new(folder.path(), 1);
    std::fs::create_dir(folder.path().join("keys")).expect("a folder");
    for (number, role) in KeyRole::ALL.into_iter().enumerate() {
        write(&pki, role, &format!("{:064x}\n", number + 1), 0o600);
    }
    change(&pki);
    let found = match FileKeyring::open(&pki) {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    };
    let folder = format!("{}/", folder.path().display());
    assert_eq!(found.replace(&folder, ""), expected);
}

fn write(pki: &PkiPaths, role: KeyRole, text: &str, mode: u32) {
    let path = pki.seed(role.word());
    std::fs::write(&path, text).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn three_seeds_of_their_owner_are_a_keyring() {
    check(|_| {}, "opened");
}

#[test]
fn a_seed_that_only_its_owner_may_read_is_taken() {
    check(
        |pki| write(pki, KeyRole::Log, &"ab".repeat(32), 0o400),
        "opened",
    );
}

#[test]
fn a_seed_that_others_may_read_is_refused() {
    let expected = "keys/log.seed has mode 0644, a key needs 0600 or 0400";
    check(
        |pki| write(pki, KeyRole::Log, &"ab".repeat(32), 0o644),
        expected,
    );
}

#[test]
fn a_seed_that_the_group_may_write_is_refused() {
    let expected = "keys/witness.seed has mode 0620, a key needs 0600 or 0400";
    check(
        |pki| write(pki, KeyRole::Witness, &"ab".repeat(32), 0o620),
        expected,
    );
}

#[test]
fn a_seed_that_is_cut_off_is_refused() {
    let expected = "keys/log.seed holds no seed of a key: it is not 64 hexadecimal digits";
    check(
        |pki| write(pki, KeyRole::Log, &"ab".repeat(31), 0o600),
        expected,
    );
}

#[test]
fn a_file_too_long_for_a_seed_is_not_read() {
    let expected = "keys/log.seed holds no seed of a key: the file is too long";
    check(
        |pki| write(pki, KeyRole::Log, &"ab".repeat(4000), 0o600),
        expected,
    );
}

#[test]
fn one_key_never_has_two_roles() {
    let expected = "keys/witness.seed holds the log key too: one key never has two roles";
    check(
        |pki| write(pki, KeyRole::Witness, &format!("{:064x}", 1), 0o600),
        expected,
    );
}

#[test]
fn a_missing_seed_is_named() {
    check(
        |pki| std::fs::remove_file(pki.seed("passport")).expect("a file"),
        "keys/passport.seed cannot be read",
    );
}

/// Once, a seed that was copied with an open mode kept every node from its next start, though the key in use was good.
#[test]
fn a_stray_seed_beside_the_first_is_named_and_keeps_no_node_from_its_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = PkiPaths::new(folder.path(), 1);
    std::fs::create_dir(folder.path().join("keys")).expect("a folder");
    for (number, role) in KeyRole::ALL.into_iter().enumerate() {
        write(&pki, role, &format!("{:064x}\n", number + 1), 0o600);
    }
    let beside = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join("keys").join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    beside("log-aa.seed", &"aa".repeat(32), 0o600);
    beside("log-bb.seed", &"bb".repeat(32), 0o644);
    beside("log-cc.seed", "half", 0o600);
    let keyring = FileKeyring::open(&pki).expect("a keyring");
    assert_eq!(
        keyring.log_keys().len(),
        2,
        "the first and the one that is good"
    );
    let unread = keyring.unread();
    assert!(
        unread[0].contains("log-bb.seed has mode 0644"),
        "{unread:?}"
    );
    assert!(
        unread[1].contains("log-cc.seed holds no seed"),
        "{unread:?}"
    );
    beside("log-bb.seed", &"bb".repeat(32), 0o600);
    assert!(keyring.reload().expect("read anew"), "another key");
    assert_eq!((keyring.log_keys().len(), keyring.unread().len()), (3, 1));
}

#[tokio::test]
async fn a_signature_verifies_under_the_key_of_its_role_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = PkiPaths::new(folder.path(), 1);
    std::fs::create_dir(folder.path().join("keys")).expect("a folder");
    for (number, role) in KeyRole::ALL.into_iter().enumerate() {
        write(&pki, role, &format!("{:064x}\n", number + 1), 0o600);
    }
    let keyring = FileKeyring::open(&pki).expect("a keyring");
    for role in KeyRole::ALL {
        let signature = keyring.sign(role, b"bytes").await.expect("a signature");
        for other in KeyRole::ALL {
            let key = keyring.public(other);
            let verified = carnet_domain::bytes::signature::verify(&key, b"bytes", &signature);
            assert_eq!(verified.is_ok(), role == other, "{role} under {other}");
        }
    }
}
