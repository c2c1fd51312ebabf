//! New certificates in the place of those that are there: with the same names, the same key or a new one.
//!
//! What was replaced is kept under `retired`: a certificate whose key was stolen is revoked by its file.

use std::path::{Path, PathBuf};

use carnet_client::keys::{
    KEY_FILE_BYTES_MAX, KeyFileError, parse_seed, read_bounded, read_chain, seed_text,
};
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::signature::SecretKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::denied::Mark;
use carnet_trust::chain;
use carnet_trust::facts::Facts;
use carnet_trust::identity::{ClientName, Identity, NodeId, Plane};
use carnet_trust::roots::Fingerprint;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::files::{NewFiles, fault};
use crate::make::{self, Authority, Span};
use crate::request::{is_of_client, is_of_node};
use crate::{Host, Issuer, PkiError, client_planes, judge_days, judge_passport_days, stem_on};

/// With which keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Those there are: certificates go on.
    Same,
    /// New ones: who had the old ones has nothing once the old certificates are revoked.
    New,
}

/// A certificate that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Its file, from the directory on.
    pub file: PathBuf,
    /// The last instant of the new one.
    pub until: TimeMs,
    /// The file of the old one.
    pub retired: PathBuf,
    /// The last instant of the old one.
    pub until_before: TimeMs,
}

/// Renews the certificates of a node on every plane, with the hosts that they have or those given.
///
/// # Errors
/// One of them is not there, the authorities cannot be read, or the file system fails. Called again, it finishes what it began.
pub fn renew_node(
    directory: &Path,
    node: NodeId,
    hosts: Option<&[Host]>,
    keys: Keys,
    (days, now): (u64, TimeMs),
) -> Result<Vec<Renewed>, PkiError> {
    for plane in Plane::ALL {
        is_of_node(directory, &format!("nodes/{node}/{plane}"), node)?;
    }
    let stems = Plane::ALL
        .iter()
        .map(|plane| (format!("nodes/{node}/{plane}"), *plane));
    renew(directory, stems, hosts, keys, (days, now))
}

/// Renews the certificates of a client. The key that signs commands is another one, and stays.
///
/// # Errors
/// As [`renew_node`].
pub fn renew_client(
    directory: &Path,
    client: &ClientName,
    keys: Keys,
    (days, now): (u64, TimeMs),
) -> Result<Vec<Renewed>, PkiError> {
    for plane in client_planes(client.role()) {
        is_of_client(directory, &stem_on(client, *plane), client)?;
    }
    let planes = client_planes(client.role()).iter();
    let stems = planes.map(|plane| (stem_on(client, *plane), *plane));
    renew(directory, stems, None, keys, (days, now))
}

/// Makes another authority of a plane, signed by a root whose seed is at hand. The one before stays good until its end, and so do the
/// certificates that it signed: each is believed by the chain that it is shown with. From now on new ones are signed by the new one.
///
/// # Errors
/// The seed is of no root of the directory, the authority would outlast that root, or the file system fails. Called again, it makes
/// another one.
pub fn renew_authority(
    directory: &Path,
    plane: Plane,
    root_seed: &Path,
    (days, now): (u64, TimeMs),
) -> Result<Renewed, PkiError> {
    judge_days(days)?;
    let (issuer, root) = opened(directory, root_seed, now)?;
    let span = Span::new(now, days);
    root.outlasts(span)?;
    let authority = Authority::plane(issuer.prefix, plane, &root, span)?;
    let certificate = format!("ca/{plane}.crt");
    let (facts, before) = in_place(directory, &certificate)?;
    let retired = format!("retired/ca-{plane}-{}.crt", number_of(&facts));
    let mut files = NewFiles::default();
    files.add(retired.clone(), make::pem(&[&before]));
    // Between the two a certificate would be signed by a key that is not the authority's: it is refused when it is made, and this again
    // makes both.
    files.add(format!("ca/{plane}.key"), authority.key().pem());
    files.add(certificate.clone(), make::pem(&[authority.der()]));
    files.replace_in(directory)?;
    Ok(Renewed {
        file: certificate.into(),
        until: span.until(),
        retired: retired.into(),
        until_before: facts.not_after,
    })
}

/// Makes another certificate of the passport key, or with [`Keys::New`] of another key, signed by a root whose seed is at hand.
/// What was signed before stays good: each record is shown with the certificate of its time.
///
/// # Errors
/// The seed is of no root of the directory, the certificate would outlast that root or is to last longer than a year, or the file
/// system fails. Called again, it makes another one.
pub fn renew_passport(
    directory: &Path,
    keys: Keys,
    root_seed: &Path,
    (days, now): (u64, TimeMs),
) -> Result<Renewed, PkiError> {
    judge_days(days)?;
    judge_passport_days(days)?;
    let (issuer, root) = opened(directory, root_seed, now)?;
    let span = Span::new(now, days);
    root.outlasts(span)?;
    let (certificate, place) = ("keys/passport.crt", "keys/passport.seed");
    let (facts, before) = in_place(directory, certificate)?;
    let Identity::Passport(name) = facts.identity.clone() else {
        return Err(PkiError::Plan(format!(
            "{certificate}: not the certificate of a passport key"
        )));
    };
    let seed = match keys {
        Keys::Same => seed_in(&directory.join(place))?,
        Keys::New => make::seed()?,
    };
    let der = make::passport(name, &root, span, &seed)?;
    chain::verify_passport_chain(
        std::slice::from_ref(&der),
        &issuer.roots,
        issuer.prefix,
        now,
    )
    .map_err(PkiError::Refused)?;
    let retired = format!("retired/keys-passport-{}.crt", number_of(&facts));
    let mut files = NewFiles::default();
    files.add(retired.clone(), make::pem(&[&before]));
    if keys == Keys::New {
        files.add(place, seed_text(&seed));
    }
    files.add(certificate, make::pem(&[&der]));
    files.replace_in(directory)?;
    Ok(Renewed {
        file: certificate.into(),
        until: span.until(),
        retired: retired.into(),
        until_before: facts.not_after,
    })
}

/// The first certificate in a file of the directory, and what it says.
fn in_place(
    directory: &Path,
    certificate: &str,
) -> Result<(Facts, CertificateDer<'static>), PkiError> {
    let before = read_chain(&directory.join(certificate))?.swap_remove(0);
    let unreadable = |error| PkiError::Plan(format!("{certificate}: {error}"));
    let facts = Facts::of(&before).map_err(unreadable)?;
    Ok((facts, before))
}

fn seed_in(path: &Path) -> Result<Zeroizing<[u8; 32]>, PkiError> {
    let text = read_bounded(path, KEY_FILE_BYTES_MAX).map_err(fault("read", path))?;
    let text = std::str::from_utf8(&text).unwrap_or_default();
    let seed = parse_seed(text).map(Zeroizing::new);
    let not_one = || KeyFileError::content(path, "not a seed of 64 hexadecimal digits");
    Ok(seed.ok_or_else(not_one)?)
}

/// What issues in a directory, and the root whose seed is at hand.
fn opened(
    directory: &Path,
    root_seed: &Path,
    now: TimeMs,
) -> Result<(Issuer, Authority), PkiError> {
    let seed = seed_in(root_seed)?;
    let public = SecretKey::from_seed(&seed).public();
    let roots_file = directory.join("root/roots.crt");
    let roots = read_chain(&roots_file)?;
    let key = Digest(*Fingerprint::of_key(&public).as_bytes());
    let is_of_seed = |der: &CertificateDer<'_>| {
        Facts::of(der).is_ok_and(|facts| facts.marks.key == Mark::Key { key })
    };
    let found = (1..).zip(&roots).find(|(_, der)| is_of_seed(der));
    let (number, der) = found.ok_or_else(|| {
        PkiError::Plan(format!(
            "{} is the seed of no root in {}",
            root_seed.display(),
            roots_file.display()
        ))
    })?;
    let issuer = Issuer::open(directory, now)?;
    let root = Authority::of_root(issuer.prefix, number, &seed, der.clone())?;
    Ok((issuer, root))
}

fn renew(
    directory: &Path,
    stems: impl Iterator<Item = (String, Plane)>,
    hosts: Option<&[Host]>,
    keys: Keys,
    (days, now): (u64, TimeMs),
) -> Result<Vec<Renewed>, PkiError> {
    judge_days(days)?;
    let issuer = Issuer::open(directory, now)?;
    let (mut files, mut done) = (NewFiles::default(), Vec::new());
    for (stem, plane) in stems {
        let (certificate, key) = (format!("{stem}.crt"), format!("{stem}.key"));
        let path = directory.join(&certificate);
        let old = read_chain(&path)?;
        let unreadable = |error| PkiError::Plan(format!("{}: {error}", path.display()));
        let facts = Facts::of(&old[0]).map_err(unreadable)?;
        let of_old = || facts.hosts.iter().map(|host| Host::from(host.as_str()));
        let leaf = make::Leaf {
            identity: facts.identity.clone(),
            hosts: hosts.map_or_else(|| of_old().collect(), <[Host]>::to_vec),
            plane,
            span: Span::new(now, days),
        };
        let drawn = match keys {
            Keys::Same => make::TlsKey::read(&directory.join(&key))?,
            Keys::New => make::TlsKey::draw(plane)?,
        };
        let pem = issuer.leaf_pem(plane, &leaf, &drawn)?;
        let retired = format!(
            "retired/{}-{}.crt",
            stem.replace('/', "-"),
            number_of(&facts)
        );
        let before: Vec<_> = old.iter().collect();
        // First: what is replaced is never lost.
        files.add(retired.clone(), make::pem(&before));
        if keys == Keys::New {
            files.add(key, drawn.pem());
        }
        files.add(certificate.clone(), pem);
        done.push(Renewed {
            file: certificate.into(),
            until: leaf.span.until(),
            retired: retired.into(),
            until_before: facts.not_after,
        });
    }
    files.replace_in(directory)?;
    Ok(done)
}

/// The number of a certificate, for the name of its file.
fn number_of(facts: &Facts) -> String {
    let digits = match facts.marks.serial {
        Some(Mark::Serial { serial, .. }) => serial.iter().map(|b| format!("{b:02x}")).collect(),
        _ => facts.marks.key.to_string().replace('/', "-"),
    };
    digits.trim_start_matches("00").to_owned()
}
