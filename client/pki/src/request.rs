//! Keys that never travel: whoever is to have a certificate draws its key and asks; the authority signs the request.
//!
//! And what one host needs of a PKI directory, where its keys were made there after all.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use carnet_client::keys::{KeyFileError, public_text, read_chain, seed_text};
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::bytes::signature::{PublicKey, SecretKey};
use carnet_domain::bytes::time::TimeMs;
use carnet_trust::facts::{Facts, Request};
use carnet_trust::identity::{ClientName, ClusterId, Identity, NodeId, NodeName, Plane};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::files::{NewFiles, fault};
use crate::make::{self, Span};
use crate::{Host, Issuer, NodeSpec, PkiError, client_planes, client_stem, judge_days, stem_on};

/// Draws the keys of a node and writes a request for each plane beside them: `nodes/<id>/<plane>.{key,csr}`.
///
/// # Errors
/// One of the files exists, or the file system fails.
pub fn request_node(
    directory: &Path,
    prefix: Prefix,
    cluster: ClusterId,
    node: &NodeSpec,
) -> Result<Vec<PathBuf>, PkiError> {
    let asked = Plane::ALL.iter().map(|plane| {
        let name = NodeName {
            prefix,
            plane: *plane,
            node: node.id,
            cluster,
            incarnation: None,
        };
        let stem = format!("nodes/{}/{plane}", node.id);
        (stem, Identity::Node(name), node.hosts.clone(), *plane)
    });
    let mut files = NewFiles::default();
    let requests = ask(&mut files, asked)?;
    write(&files, directory)?;
    Ok(requests)
}

/// Draws the keys of a person or desk, the one that signs commands too, and writes a request for each plane beside them. The
/// public half of the key that signs.
///
/// # Errors
/// As [`request_node`].
pub fn request_client(
    directory: &Path,
    client: &ClientName,
) -> Result<(Vec<PathBuf>, PublicKey), PkiError> {
    let asked = client_planes(client.role()).iter().map(|plane| {
        let identity = Identity::Client(client.clone());
        (stem_on(client, *plane), identity, Vec::new(), *plane)
    });
    let mut files = NewFiles::default();
    let requests = ask(&mut files, asked)?;
    let (stem, seed) = (client_stem(client), make::seed()?);
    let actor = SecretKey::from_seed(&seed).public();
    files.add(format!("clients/{stem}.actor.key"), seed_text(&seed));
    files.add(format!("clients/{stem}.actor.pub"), public_text(&actor));
    write(&files, directory)?;
    Ok((requests, actor))
}

/// A request longer than this, in bytes, is none.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

fn ask(
    files: &mut NewFiles,
    asked: impl Iterator<Item = (String, Identity, Vec<Host>, Plane)>,
) -> Result<Vec<PathBuf>, PkiError> {
    let mut requests = Vec::new();
    for (stem, identity, hosts, plane) in asked {
        let leaf = make::Leaf {
            identity,
            hosts,
            plane,
            // No request says it: the authority does.
            span: Span::new(TimeMs::EPOCH, 1),
        };
        let key = make::TlsKey::draw(plane)?;
        let request = format!("{stem}.csr");
        files.add(&request, make::request(&leaf, &key)?);
        files.add(format!("{stem}.key"), key.pem());
        requests.push(PathBuf::from(request));
    }
    Ok(requests)
}

fn write(files: &NewFiles, directory: &Path) -> Result<(), PkiError> {
    fs::create_dir_all(directory).map_err(fault("create", directory))?;
    files.write_into(directory).map(drop)
}

/// A request that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// Whose it is.
    pub identity: Identity,
    /// Names and addresses that its certificate is good for; of a client, none.
    pub hosts: Vec<String>,
    /// Which port it is shown at.
    pub plane: Plane,
    /// Its last instant.
    pub until: TimeMs,
    /// The certificate with its authority, beside the request.
    pub file: PathBuf,
}

/// What a request asks for, so that a person can say whether it is meant.
///
/// # Errors
/// It cannot be read, or its key did not sign it.
pub fn read_request(path: &Path) -> Result<Request, PkiError> {
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(fault("read", path))?;
    let read = file.take(REQUEST_BYTES_MAX + 1).read_to_end(&mut text);
    read.map_err(fault("read", path))?;
    if text.len() as u64 > REQUEST_BYTES_MAX {
        let why = format!("longer than the {REQUEST_BYTES_MAX} bytes of a request");
        return Err(KeyFileError::content(path, why).into());
    }
    let content = |fault: String| PkiError::from(KeyFileError::content(path, fault));
    let der = CertificateSigningRequestDer::from_pem_slice(&text)
        .map_err(|error| content(format!("not a request in PEM: {error}")))?;
    Request::of(&der).map_err(|error| content(error.to_string()))
}

/// Signs a request, as it was read and shown, with the authorities of a directory made by [`crate::init`], and writes the certificate
/// beside its file, which is not read again: whoever asked may write there. A copy stays in the directory's folder `signed`: whoever signed
/// must be able to name it when its bearer has lost it.
///
/// # Errors
/// It asks for what is not this jurisdiction's, this cluster's or that role's, its certificate exists, or the file system fails.
pub fn sign(
    directory: &Path,
    (path, request): (&Path, &Request),
    days: u64,
    now: TimeMs,
) -> Result<SignedRequest, PkiError> {
    judge_days(days)?;
    let issuer = Issuer::open(directory, now)?;
    judge(request, &issuer)
        .map_err(|fault| PkiError::Plan(format!("{}: {fault}", path.display())))?;
    let leaf = make::Leaf {
        identity: request.identity.clone(),
        hosts: request
            .hosts
            .iter()
            .map(|host| Host::from(host.as_str()))
            .collect(),
        plane: request.plane,
        span: Span::new(now, days),
    };
    let authority = issuer.authority(request.plane)?;
    authority.outlasts(leaf.span)?;
    let der = make::leaf_of(&leaf, authority, request.key)?;
    let chain = [der, authority.der().clone()];
    issuer
        .judge(&chain, request.plane, &leaf.identity)
        .map_err(PkiError::Refused)?;
    let file = path.with_extension("crt");
    let name = file.file_name().map(PathBuf::from).unwrap_or_default();
    let text = make::pem(&[&chain[0], &chain[1]]);
    let beside = path.parent().filter(|parent| *parent != Path::new(""));
    let beside = beside.unwrap_or(Path::new("."));
    if file.exists() {
        return Err(PkiError::Exists(file));
    }
    let whole = |path: &Path| fs::canonicalize(path).map_err(fault("find", path));
    if !whole(beside)?.starts_with(whole(directory)?) {
        let of = match &leaf.identity {
            Identity::Client(client) => client_stem(client),
            Identity::Node(node) => format!("node-{}", node.node),
            other => other.to_string().replace(['/', ':'], "-"),
        };
        let print = sha256(&[&chain[0]]).to_string();
        let mut kept = NewFiles::default();
        kept.add(
            format!("signed/{of}-{}-{}.crt", request.plane, &print[..16]),
            text.clone(),
        );
        kept.replace_in(directory)?;
    }
    let mut files = NewFiles::default();
    files.add(name, text);
    files.write_into(beside)?;
    Ok(SignedRequest {
        identity: request.identity.clone(),
        hosts: request.hosts.clone(),
        plane: request.plane,
        until: leaf.span.until(),
        file,
    })
}

/// The names that this authority gives.
fn judge(request: &Request, issuer: &Issuer) -> Result<(), String> {
    let (identity, plane) = (&request.identity, request.plane);
    if identity.prefix() != issuer.prefix {
        return Err(format!("{identity} is not of {}", issuer.prefix));
    }
    match identity {
        Identity::Node(name) if name.plane != plane => {
            Err(format!("{identity} is asked for on the {plane} plane"))
        }
        Identity::Node(name) if name.cluster != issuer.cluster => Err(format!(
            "{identity} is of another cluster than {}",
            issuer.cluster
        )),
        // Which life of the cluster it is in, its restore says, with certificates of its own.
        Identity::Node(name) if name.incarnation.is_some() => {
            Err(format!("{identity} is of another life of the cluster"))
        }
        Identity::Node(_) => Ok(()),
        Identity::Client(name) if !client_planes(name.role()).contains(&plane) => Err(format!(
            "a {} has no certificate of the {plane} plane",
            name.role().word()
        )),
        Identity::Client(_) if !request.hosts.is_empty() => Err(format!("{identity} has no host")),
        Identity::Client(_) => Ok(()),
        Identity::Ca(_) | Identity::Passport(_) => {
            Err(format!("{identity} is not signed on request"))
        }
    }
}

/// Copies what one node needs, and nothing else, into a new directory of the same shape: the roots, its own certificates and
/// keys, and the keys that every node has.
///
/// # Errors
/// Something of it is missing, the directory has something in it, or the file system fails.
pub fn bundle_node(directory: &Path, node: NodeId, to: &Path) -> Result<Vec<PathBuf>, PkiError> {
    for plane in Plane::ALL {
        is_of_node(directory, &format!("nodes/{node}/{plane}"), node)?;
    }
    let planes = Plane::ALL.iter();
    let own = planes
        .flat_map(|plane| ["crt", "key"].map(|ending| format!("nodes/{node}/{plane}.{ending}")));
    let shared = [
        "root/roots.crt",
        "keys/log.seed",
        "keys/witness.seed",
        "keys/passport.seed",
        "keys/passport.crt",
    ];
    // A log key that is to follow is with every node before it is used.
    let following = crate::log_key::following(directory)?;
    let following = following.iter().map(|name| format!("keys/{name}.seed"));
    let shared = shared.into_iter().map(str::to_owned).chain(following);
    copy(directory, shared.chain(own), to)
}

/// Copies what one person or desk needs, and nothing else.
///
/// # Errors
/// As [`bundle_node`].
pub fn bundle_client(
    directory: &Path,
    client: &ClientName,
    to: &Path,
) -> Result<Vec<PathBuf>, PkiError> {
    for plane in client_planes(client.role()) {
        is_of_client(directory, &stem_on(client, *plane), client)?;
    }
    let stem = client_stem(client);
    let actor = ["key", "pub"].map(|ending| format!("clients/{stem}.actor.{ending}"));
    let planes = client_planes(client.role()).iter();
    let own = planes.flat_map(|plane| {
        ["crt", "key"].map(|ending| format!("{}.{ending}", stem_on(client, *plane)))
    });
    let roots = std::iter::once("root/roots.crt".to_owned());
    copy(directory, roots.chain(own).chain(actor), to)
}

/// Refuses files of somebody else: `customs/a-b/c` and `customs/a/b-c` have the same names of files.
pub(crate) fn is_of_client(
    directory: &Path,
    stem: &str,
    client: &ClientName,
) -> Result<(), PkiError> {
    is_of(
        directory,
        stem,
        &client.to_string(),
        |found| matches!(found, Identity::Client(name) if name == client),
    )
}

/// As [`is_of_client`], of a node.
pub(crate) fn is_of_node(directory: &Path, stem: &str, node: NodeId) -> Result<(), PkiError> {
    is_of(
        directory,
        stem,
        &format!("node {node}"),
        |found| matches!(found, Identity::Node(name) if name.node == node),
    )
}

fn is_of(
    directory: &Path,
    stem: &str,
    whose: &str,
    is_its: impl FnOnce(&Identity) -> bool,
) -> Result<(), PkiError> {
    let path = directory.join(format!("{stem}.crt"));
    let chain = read_chain(&path)?;
    let first = chain
        .first()
        .ok_or_else(|| KeyFileError::content(&path, "no certificate"))?;
    let facts = Facts::of(first).map_err(|error| KeyFileError::content(&path, error))?;
    match is_its(&facts.identity) {
        true => Ok(()),
        false => Err(PkiError::Plan(format!(
            "{}: it is of {}, and {whose} was asked for",
            path.display(),
            facts.identity
        ))),
    }
}

fn copy(
    from: &Path,
    names: impl Iterator<Item = String>,
    to: &Path,
) -> Result<Vec<PathBuf>, PkiError> {
    let (mut files, mut copied) = (NewFiles::default(), Vec::new());
    for name in names {
        let path = from.join(&name);
        let text = fs::read_to_string(&path).map_err(fault("read", &path))?;
        files.add(&name, Zeroizing::new(text));
        copied.push(PathBuf::from(name));
    }
    files.write_new_directory(to)?;
    Ok(copied)
}
