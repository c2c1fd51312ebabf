//! What is refused at every handshake, and ends what is open: the deny-list of the registry, and a file of this machine.
//!
//! The list is replicated; the file is for a node that lags behind, as that of retired stores is: it is read before a port is
//! opened. Whoever can write it can as well stop the node, so it takes nobody's second word.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use carnet_domain::bytes::digest::Digest;
use carnet_domain::limits::CERTIFICATE_SERIAL_BYTES_MAX;
use carnet_domain::record::denied::{Bearer, DenyList, Mark};
use carnet_trust::chain::{ChainError, Fault, Whose};
use carnet_trust::facts::Marks;

use super::TlsError;

/// File of certificates that an operator says are revoked, in the data directory: a line each, as `carnet pki list` shows them,
/// `serial/ISSUER/NUMBER` or `key/DIGEST`.
pub const DENIED_FILE: &str = "revoked";

/// Certificates that are refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Denied {
    /// The list of the registry, as this node has applied it.
    pub list: DenyList,
    /// What the operator's file names, whosever it is.
    pub file: BTreeSet<Mark>,
}

impl Denied {
    /// Refuses a certificate that is named.
    pub(super) fn judge(&self, marks: &Marks, bearer: &Bearer) -> Result<(), ChainError> {
        let refused = |fault| {
            let whose = Whose::Presenter;
            Err(ChainError { whose, fault })
        };
        let marks = marks.all();
        if marks.iter().any(|mark| self.file.contains(mark)) {
            return refused(Fault::RevokedHere);
        }
        match self.list.refuses(&marks, bearer) {
            None => Ok(()),
            Some(entry) => refused(Fault::Revoked {
                at: entry.at,
                reason: entry.reason.clone(),
            }),
        }
    }
}

/// Reads [`DENIED_FILE`] of a data directory; none is an empty list. Empty lines and those that begin with `#` say nothing,
/// nor does what stands behind a mark.
///
/// # Errors
/// A line is not a mark, or the disk failed.
pub fn read_denied(directory: &Path) -> Result<BTreeSet<Mark>, TlsError> {
    let path = directory.join(DENIED_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(absent) if absent.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => {
            let fault = error.to_string();
            return Err(TlsError::File { path, fault });
        }
    };
    let mut marks = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let word = line.split_whitespace().next().unwrap_or_default();
        let mark = mark(word).ok_or_else(|| TlsError::File {
            path: path.clone(),
            fault: format!("line {number}: {word:?} is not serial/ISSUER/NUMBER or key/DIGEST"),
        })?;
        marks.insert(mark);
    }
    Ok(marks)
}

fn mark(word: &str) -> Option<Mark> {
    if let Some(key) = word.strip_prefix("key/") {
        let key = Digest::parse(key).ok()?;
        return Some(Mark::Key { key });
    }
    let (issuer, number) = word.strip_prefix("serial/")?.split_once('/')?;
    let mut serial = [0; CERTIFICATE_SERIAL_BYTES_MAX];
    hex::decode_to_slice(number, &mut serial).ok()?;
    let issuer = Digest::parse(issuer).ok()?;
    Some(Mark::Serial { issuer, serial })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_revoked_certificates_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let none = read_denied(directory.path()).expect("none");
        assert_eq!(none, BTreeSet::new());
        let path = directory.path().join(DENIED_FILE);
        let (key, issuer) = (Digest([7; 32]), Digest([8; 32]));
        let serial = [9; CERTIFICATE_SERIAL_BYTES_MAX];
        let marks = BTreeSet::from([Mark::Key { key }, Mark::Serial { issuer, serial }]);
        let mut text = String::from("# stolen\n\n");
        for mark in &marks {
            text.push_str(&format!("{mark} node 3\n"));
        }
        fs::write(&path, &text).expect("written");
        assert_eq!(read_denied(directory.path()).expect("read"), marks);
        fs::write(&path, format!("{text}key/77\n")).expect("written");
        let refused = read_denied(directory.path()).expect_err("half a mark");
        assert!(refused.to_string().contains("line 5"), "{refused}");
    }
}
