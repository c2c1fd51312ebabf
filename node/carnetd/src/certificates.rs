//! The certificates that a node holds and until when each is good: for people and monitors.
//!
//! Of a plane the certificate that is shown now is told, and whether another lies in its file and was not taken up; of all else what
//! lies in the files, which are read each time. Nothing is judged here; a handshake judges by [`crate::tls`].

use std::path::{Path, PathBuf};

use carnet_domain::bytes::time::TimeMs;
use carnet_trust::identity::Plane;
use carnet_trust::validity::Validity;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::config::PkiPaths;

/// Certificates of one file that are told apart; a file of a node holds two, the file of the roots at most three.
const OF_A_FILE_MAX: usize = 8;

/// One certificate of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it is: `raft`, `client`, `admin` or `federation`, each with its `raft-authority` and so on, `passport`,
    /// `root-1`.
    pub what: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its last instant; none if the file cannot be read.
    pub not_after: Option<TimeMs>,
    /// It is in use, and in its file lies another, or nothing that can be read: a renewal that was not taken up.
    pub not_taken: bool,
}

/// What is shown on a plane: a certificate with its authority.
pub type Shown = (Plane, Vec<CertificateDer<'static>>);

/// All of them, in the order of the planes, then the passport's, then the roots. Of a plane that is not among those shown, what lies in
/// its file.
pub fn held(pki: &PkiPaths, shown: &[Shown]) -> Vec<Held> {
    let mut all = Vec::new();
    for plane in Plane::ALL {
        let word = plane.word();
        let authority = |at: usize| match at {
            0 => word.to_owned(),
            1 => format!("{word}-authority"),
            _ => format!("{word}-authority-{at}"),
        };
        let path = pki.certificate(*plane);
        let Some((_, chain)) = shown.iter().find(|(of, _)| of == plane) else {
            all.extend(of_file(&path, authority));
            continue;
        };
        let not_taken = read_chain(&path).as_ref() != Some(chain);
        all.extend(chain.iter().enumerate().map(|(at, der)| Held {
            what: authority(at),
            path: path.clone(),
            not_after: Validity::read(der).ok().map(|validity| validity.not_after),
            not_taken,
        }));
    }
    let passport = |at: usize| match at {
        0 => "passport".to_owned(),
        1 => "passport-authority".to_owned(),
        _ => format!("passport-authority-{at}"),
    };
    all.extend(of_file(&pki.passport_certificate(), passport));
    all.extend(of_file(&pki.roots(), |at| format!("root-{}", at + 1)));
    all
}

/// The certificates of a file, if all of it can be read.
fn read_chain(path: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).ok()?;
    all.take(OF_A_FILE_MAX).collect::<Result<_, _>>().ok()
}

/// The certificates of a file by their place in it; one that cannot be read stands for all that cannot.
fn of_file(path: &Path, what: impl Fn(usize) -> String) -> Vec<Held> {
    let held = |at: usize, not_after| Held {
        what: what(at),
        path: path.to_owned(),
        not_after,
        not_taken: false,
    };
    let Ok(certificates) = CertificateDer::pem_file_iter(path) else {
        return vec![held(0, None)];
    };
    let mut found: Vec<Held> = Vec::new();
    for (at, certificate) in certificates.take(OF_A_FILE_MAX).enumerate() {
        let validity = certificate.map_err(|error| error.to_string());
        let validity = validity.and_then(|der| Validity::read(&der));
        let not_after = validity.ok().map(|validity| validity.not_after);
        found.push(held(at, not_after));
        if not_after.is_none() {
            break;
        }
    }
    if found.is_empty() {
        found.push(held(0, None));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_is_told_and_one_that_cannot_be_read_is_told_as_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let forged = crate::forge::Country::new("86");
        let sketch =
            crate::forge::Sketch::leaf(&crate::forge::node_uri("86", Plane::Raft, 1), Plane::Raft);
        let (held_key, _) = forged.issue(Plane::Raft, &sketch);
        let pki = PkiPaths::new(folder.path(), 1);
        std::fs::create_dir_all(folder.path().join("nodes/1")).expect("a folder");
        std::fs::write(pki.certificate(Plane::Raft), held_key.pem.repeat(2)).expect("written");
        std::fs::write(pki.certificate(Plane::Client), "not a certificate").expect("written");
        let all = held(&pki, &[]);
        let told: Vec<(&str, bool)> = all
            .iter()
            .map(|one| (one.what.as_str(), one.not_after.is_some()))
            .collect();
        assert!(told.contains(&("raft", true)), "{told:?}");
        assert!(told.contains(&("raft-authority", true)), "{told:?}");
        assert!(told.contains(&("client", false)), "{told:?}");
        assert!(told.contains(&("passport", false)), "{told:?}");
        assert!(told.contains(&("root-1", false)), "{told:?}");
        let raft = all[0].not_after.expect("read");
        assert!(raft > crate::forge::NOW, "{raft}");
    }

    /// Once, a certificate that lay there and was of no use hid that the one in use ended.
    #[test]
    fn of_a_plane_the_certificate_in_use_is_told_and_that_another_lies_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let forged = crate::forge::Country::new("86");
        let sketch = |until| crate::forge::Sketch {
            until,
            ..crate::forge::Sketch::leaf(&crate::forge::node_uri("86", Plane::Raft, 1), Plane::Raft)
        };
        let (used, chain) = forged.issue(Plane::Raft, &sketch((2027, 1, 1)));
        let (renewed, _) = forged.issue(Plane::Raft, &sketch((2028, 1, 1)));
        let pki = PkiPaths::new(folder.path(), 1);
        std::fs::create_dir_all(folder.path().join("nodes/1")).expect("a folder");
        let authority = &forged.authority(Plane::Raft).pem;
        let shown = [(Plane::Raft, chain)];
        let told = |pem: &str| {
            std::fs::write(pki.certificate(Plane::Raft), pem.to_owned() + authority)
                .expect("written");
            let all = held(&pki, &shown);
            (all[0].not_after.expect("in use"), all[0].not_taken)
        };
        let (until, taken) = told(&used.pem);
        assert!(!taken);
        assert_eq!(told(&renewed.pem), (until, true));
        assert_eq!(told("nonsense"), (until, true));
    }
}
