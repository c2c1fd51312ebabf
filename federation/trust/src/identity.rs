//! The names inside certificates: who somebody is, in one URI.
//!
//! A certificate of Carnet carries exactly one URI in its subject alternative name (RFC 5280 §4.2.1.6):
//! ```text
//! person or desk   carnet://<prefix>/<role>/<enterprise or office>/<name>     carnet://86/customs/port-shanghai/desk-4
//! node             carnet://<prefix>/node/<plane>/<node id>/<cluster>[/<incarnation>]
//!                                                      carnet://86/node/raft/1/00112233445566778899aabbccddeeff
//! authority        carnet://<prefix>/ca/<root or plane>                       carnet://86/ca/federation
//! passport key     carnet://<prefix>/passport/<name>                          carnet://86/passport/2026-1
//! ```
//! One identity has one text and one text has one identity: no percent signs, no case folding, no leading zeros, no
//! empty segments. Whether somebody of that name may do something is not judged here.

use std::fmt;
use std::str::FromStr;

use carnet_domain::bytes::code::{EnterpriseCode, EnterpriseId, Prefix};
use carnet_domain::canonical_enum;
use carnet_domain::rules::policy::Role;

/// The longest identity, in bytes.
pub const IDENTITY_BYTES_MAX: usize = 160;
/// The longest office or name, in bytes.
pub const LABEL_BYTES_MAX: usize = 48;

const SCHEME: &str = "carnet://";

/// The extended key usages of Carnet, as arcs under one private enterprise number.
///
/// 32473 is the number reserved for examples (RFC 5612). An operator community that wants its own number changes it
/// here and re-issues certificates; nothing signed or stored depends on it.
/// ```text
/// 1.3.6.1.4.1.32473.7.1.<n>    n = 1 raft  2 federation  3 client  4 admin  5 passport
/// ```
const EKU_ARC: [u64; 9] = [1, 3, 6, 1, 4, 1, 32473, 7, 1];

/// A group of connections with its own certificate authority, key usage and port. A certificate serves one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plane {
    /// Between the nodes of one jurisdiction.
    Raft,
    /// Between jurisdictions.
    Federation,
    /// From enterprises, offices and owners to a node.
    Client,
    /// From operators of the cluster to a node.
    Admin,
}

canonical_enum!(Plane { 1 => Raft, 2 => Federation, 3 => Client, 4 => Admin });

impl Plane {
    /// The word in URIs, file names and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Federation => "federation",
            Self::Client => "client",
            Self::Admin => "admin",
        }
    }

    /// Reads what [`Self::word`] writes.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|plane| plane.word() == word)
    }

    /// The extended key usage that certificates of this plane must have, as arcs.
    pub fn eku_arcs(self) -> [u64; 10] {
        eku_arcs(self.number())
    }

    /// The same as the content bytes of a DER object identifier.
    pub const fn eku_der(self) -> &'static [u8] {
        match self {
            Self::Raft => &EKU_DER[0],
            Self::Federation => &EKU_DER[1],
            Self::Client => &EKU_DER[2],
            Self::Admin => &EKU_DER[3],
        }
    }

    /// The plane whose key usage these arcs are.
    pub fn from_eku_arcs(arcs: &[u64]) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|plane| plane.eku_arcs() == arcs)
    }
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The extended key usage of a passport key, as arcs.
pub fn passport_eku_arcs() -> [u64; 10] {
    eku_arcs(5)
}

/// The extended key usage of a passport key, as the content bytes of a DER object identifier.
pub const PASSPORT_EKU_DER: &[u8] = &EKU_DER[4];

const EKU_DER: [[u8; 11]; 5] = [eku_der(1), eku_der(2), eku_der(3), eku_der(4), eku_der(5)];

const fn eku_der(last: u8) -> [u8; 11] {
    [
        0x2b, 0x06, 0x01, 0x04, 0x01, 0x81, 0xfd, 0x59, 0x07, 0x01, last,
    ]
}

fn eku_arcs(last: u64) -> [u64; 10] {
    let mut arcs = [last; 10];
    arcs[..9].copy_from_slice(&EKU_ARC);
    arcs
}

/// A lower-case word: the name of an office, of a person or of a desk.
///
/// Invariant: 1 to 48 of `a-z0-9.-`, the first a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        if text.is_empty() {
            return Err(LabelError::Empty);
        }
        if LABEL_BYTES_MAX < text.len() {
            return Err(LabelError::TooLong(text.len()));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let inner = |c: char| allowed(c) || c == '.' || c == '-';
        match text
            .chars()
            .zip(1..)
            .find(|&(c, position)| !(allowed(c) || position > 1 && inner(c)))
        {
            Some((found, position)) => Err(LabelError::Character { position, found }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a [`Label`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Nothing between two slashes.
    #[error("it is empty")]
    Empty,
    /// Longer than [`LABEL_BYTES_MAX`].
    #[error("it has {0} bytes, the most is {LABEL_BYTES_MAX}")]
    TooLong(usize),
    /// Not one of `a-z0-9.-`, or a dot or hyphen in the first place.
    #[error("character {position} is {found:?}, expected one of a-z 0-9 . - (first: a-z 0-9)")]
    Character {
        /// 1-based, as people count.
        position: usize,
        /// What stands there.
        found: char,
    },
}

/// What somebody belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// An enterprise of the jurisdiction.
    Enterprise(EnterpriseCode),
    /// An office of the state, or the name under which an owner is known.
    Office(Label),
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enterprise(code) => code.fmt(f),
            Self::Office(label) => label.fmt(f),
        }
    }
}

/// Which kinds of [`Unit`] a role can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// An enterprise code.
    Enterprise,
    /// The name of an office.
    Office,
    /// An enterprise code or the name of an office.
    Either,
}

/// The kind of unit of a role; `None` for a role that nobody holds by certificate.
pub fn unit_kind(role: Role) -> Option<UnitKind> {
    match role {
        Role::Manufacturer
        | Role::Importer
        | Role::Dealer
        | Role::ServiceProvider
        | Role::Recycler
        | Role::Operator
        | Role::Declarant => Some(UnitKind::Enterprise),
        Role::Registrar
        | Role::Customs
        | Role::Regulator
        | Role::ForeignRegulator
        | Role::Auditor
        | Role::Admin => Some(UnitKind::Office),
        Role::Owner => Some(UnitKind::Either),
        Role::Anonymous => None,
    }
}

/// The role of a word, exactly as [`Role::word`] writes it.
pub fn role_from_word(word: &str) -> Option<Role> {
    Role::ALL.iter().copied().find(|role| role.word() == word)
}

/// A person or a desk: `carnet://<prefix>/<role>/<unit>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientName {
    prefix: Prefix,
    role: Role,
    unit: Unit,
    name: Label,
}

impl ClientName {
    /// A name of these parts.
    ///
    /// # Errors
    /// When the role has units of another kind, or nobody holds it by certificate.
    pub fn new(prefix: Prefix, role: Role, unit: Unit, name: Label) -> Result<Self, IdentityError> {
        let kind = unit_kind(role).ok_or_else(|| IdentityError::Role(role.word().to_owned()))?;
        if let Unit::Enterprise(code) = unit {
            EnterpriseId::new(prefix, code).map_err(|e| IdentityError::Unit {
                role,
                unit: unit.to_string(),
                fault: e.to_string(),
            })?;
        }
        match (kind, &unit) {
            (UnitKind::Either, _)
            | (UnitKind::Enterprise, Unit::Enterprise(_))
            | (UnitKind::Office, Unit::Office(_)) => Ok(Self {
                prefix,
                role,
                unit,
                name,
            }),
            (UnitKind::Enterprise, Unit::Office(_)) => Err(IdentityError::Unit {
                role,
                unit: unit.to_string(),
                fault: "expected the four characters 0-9 A-Z of an enterprise".to_owned(),
            }),
            (UnitKind::Office, Unit::Enterprise(_)) => Err(IdentityError::Unit {
                role,
                unit: unit.to_string(),
                fault: "expected the name of an office".to_owned(),
            }),
        }
    }

    /// The same from texts, as they come from a command line.
    ///
    /// # Errors
    /// When the unit or the name does not have the form that the role asks for.
    pub fn from_words(
        prefix: Prefix,
        role: Role,
        unit: &str,
        name: &str,
    ) -> Result<Self, IdentityError> {
        let kind = unit_kind(role).ok_or_else(|| IdentityError::Role(role.word().to_owned()))?;
        let fault = |fault: String| IdentityError::Unit {
            role,
            unit: unit.to_owned(),
            fault,
        };
        let enterprise = || -> Result<Unit, IdentityError> {
            let code: EnterpriseCode = unit.parse().map_err(|e| fault(format!("{e}")))?;
            if code.to_string() != unit {
                return Err(fault(
                    "expected the four characters in upper case".to_owned(),
                ));
            }
            Ok(Unit::Enterprise(code))
        };
        let office = || -> Result<Unit, IdentityError> {
            unit.parse()
                .map(Unit::Office)
                .map_err(|e: LabelError| fault(e.to_string()))
        };
        let unit = match kind {
            UnitKind::Enterprise => enterprise()?,
            UnitKind::Office => office()?,
            UnitKind::Either => enterprise().or_else(|_| office())?,
        };
        let label = name.parse().map_err(|e: LabelError| IdentityError::Name {
            name: name.to_owned(),
            fault: e.to_string(),
        })?;
        Self::new(prefix, role, unit, label)
    }

    /// The jurisdiction that issued the name.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// What the holder acts as.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The enterprise or office.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// The enterprise, if the unit is one.
    pub fn enterprise(&self) -> Option<EnterpriseId> {
        match self.unit {
            Unit::Enterprise(code) => EnterpriseId::new(self.prefix, code).ok(),
            Unit::Office(_) => None,
        }
    }

    /// The person or desk.
    pub fn name(&self) -> &Label {
        &self.name
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}{}/{}/{}/{}",
            self.prefix,
            self.role.word(),
            self.unit,
            self.name
        )
    }
}

/// The number of a node inside its cluster; never used again after its disk was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// A node id; 0 is none.
    pub fn new(id: u64) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    /// The number.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a cluster: 16 random bytes that `carnet pki init` draws, never all zero.
///
/// Two clusters of one jurisdiction, with the same roots or not, have different ones: a node of the one is never taken
/// for a node of the other. In text 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId([u8; 16]);

impl ClusterId {
    /// The identity of these bytes; all zeros is none.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The bytes, as they stand in the genesis and in every envelope between nodes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ClusterId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let mut bytes = [0; 16];
        // Lower case only: one text for one cluster.
        let digit = |letter: u8| {
            let place = b"0123456789abcdef"
                .iter()
                .position(|known| *known == letter);
            place.and_then(|value| u8::try_from(value).ok())
        };
        let read = |digits: &[u8; 32]| {
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
            }
            Self::new(bytes)
        };
        let digits: Option<&[u8; 32]> = text.as_bytes().try_into().ok();
        digits
            .and_then(read)
            .ok_or_else(|| IdentityError::Cluster(text.to_owned()))
    }
}

/// A node on one plane: `carnet://<prefix>/node/<plane>/<node id>/<cluster>[/<incarnation>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName {
    /// The jurisdiction of the cluster.
    pub prefix: Prefix,
    /// The plane the certificate serves.
    pub plane: Plane,
    /// Its number in the cluster.
    pub node: NodeId,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// The life of the registry the node belongs to, counted by restores; absent in the first.
    pub incarnation: Option<u64>,
}

impl NodeName {
    /// The jurisdiction of the cluster.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// The life of the registry; 0 is the first.
    pub fn life(&self) -> u64 {
        self.incarnation.unwrap_or(0)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}{}/node/{}/{}/{}",
            self.prefix, self.plane, self.node, self.cluster
        )?;
        match self.incarnation {
            Some(incarnation) => write!(f, "/{incarnation}"),
            None => Ok(()),
        }
    }
}

/// A certificate authority of a jurisdiction: its root (`None`) or the authority of one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaName {
    /// The jurisdiction.
    pub prefix: Prefix,
    /// The plane whose certificates it issues; `None` for the root.
    pub plane: Option<Plane>,
}

impl fmt::Display for CaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}{}/ca/{}",
            self.prefix,
            self.plane.map_or("root", Plane::word)
        )
    }
}

/// A key that signs passports: `carnet://<prefix>/passport/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PassportName {
    /// The jurisdiction whose records it signs.
    pub prefix: Prefix,
    /// Tells the keys of one jurisdiction apart.
    pub name: Label,
}

impl fmt::Display for PassportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/passport/{}", self.prefix, self.name)
    }
}

/// Whoever a certificate names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// A person or desk.
    Client(ClientName),
    /// A server of a cluster, on one plane.
    Node(NodeName),
    /// A certificate authority.
    Ca(CaName),
    /// A passport key.
    Passport(PassportName),
}

impl Identity {
    /// The jurisdiction in the name.
    pub fn prefix(&self) -> Prefix {
        match self {
            Self::Client(client) => client.prefix,
            Self::Node(node) => node.prefix,
            Self::Ca(ca) => ca.prefix,
            Self::Passport(passport) => passport.prefix,
        }
    }

    /// What kind of holder this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Client(_) => "a person or desk",
            Self::Node(_) => "a node",
            Self::Ca(_) => "a certificate authority",
            Self::Passport(_) => "a passport key",
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => client.fmt(f),
            Self::Node(node) => node.fmt(f),
            Self::Ca(ca) => ca.fmt(f),
            Self::Passport(passport) => passport.fmt(f),
        }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        if IDENTITY_BYTES_MAX < uri.len() {
            return Err(IdentityError::TooLong(uri.len()));
        }
        let rest = uri.strip_prefix(SCHEME).ok_or(IdentityError::Scheme)?;
        let segments: Vec<&str> = rest.split('/').collect();
        let (country, rest) = segments.split_first().ok_or(IdentityError::Scheme)?;
        let prefix = parse_prefix(country)?;
        match rest {
            ["node", plane, id, cluster] => node(prefix, plane, id, cluster, None),
            ["node", plane, id, cluster, incarnation] => {
                node(prefix, plane, id, cluster, Some(incarnation))
            }
            ["ca", "root"] => Ok(Self::Ca(CaName {
                prefix,
                plane: None,
            })),
            ["ca", word] => {
                let plane = Some(parse_plane(word)?);
                Ok(Self::Ca(CaName { prefix, plane }))
            }
            ["passport", name] => {
                let fault = |e: LabelError| IdentityError::Name {
                    name: (*name).to_owned(),
                    fault: e.to_string(),
                };
                Ok(Self::Passport(PassportName {
                    prefix,
                    name: name.parse().map_err(fault)?,
                }))
            }
            ["node" | "ca" | "passport", ..] => Err(IdentityError::Segments(segments.len())),
            [role, unit, name] => {
                let role = role_from_word(role)
                    .filter(|role| unit_kind(*role).is_some())
                    .ok_or_else(|| IdentityError::Role((*role).to_owned()))?;
                ClientName::from_words(prefix, role, unit, name).map(Self::Client)
            }
            _ => Err(IdentityError::Segments(segments.len())),
        }
    }
}

/// Why a URI is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Longer than [`IDENTITY_BYTES_MAX`].
    #[error("the URI has {0} bytes, the most is {IDENTITY_BYTES_MAX}")]
    TooLong(usize),
    /// Another scheme, or the scheme in another case.
    #[error("the URI does not begin with carnet://")]
    Scheme,
    /// The first segment is no prefix in canonical form.
    #[error("the prefix {text:?} is not valid: {fault}")]
    Prefix {
        /// The segment.
        text: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Too few or too many segments.
    #[error("the URI has {0} segments, which fits no kind of identity")]
    Segments(usize),
    /// No such role, or one that nobody holds by certificate.
    #[error("the role {0:?} does not exist for certificates")]
    Role(String),
    /// The unit does not have the form that the role asks for.
    #[error("the unit {unit:?} of a {} is not valid: {fault}", .role.word())]
    Unit {
        /// By which the form is chosen.
        role: Role,
        /// The segment.
        unit: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The name of the person, desk or key is not valid.
    #[error("the name {name:?} is not valid: {fault}")]
    Name {
        /// The segment.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
    /// No such plane.
    #[error("the plane {0:?} does not exist")]
    Plane(String),
    /// The identity of a cluster is not in canonical form.
    #[error("the cluster {0:?} is not 32 lower-case hexadecimal digits, not all zero")]
    Cluster(String),
    /// A node id or incarnation is not a number in canonical form.
    #[error("the {field} {text:?} is not a whole number from {least} without leading zeros")]
    Number {
        /// Which number.
        field: &'static str,
        /// The segment.
        text: String,
        /// The smallest allowed.
        least: u64,
    },
}

fn parse_prefix(text: &str) -> Result<Prefix, IdentityError> {
    let fault = |fault: String| IdentityError::Prefix {
        text: text.to_owned(),
        fault,
    };
    let prefix: Prefix = text.parse().map_err(|e| fault(format!("{e}")))?;
    if prefix.to_string() != text {
        return Err(fault(format!("it is written {prefix}")));
    }
    Ok(prefix)
}

fn parse_plane(word: &str) -> Result<Plane, IdentityError> {
    Plane::from_word(word).ok_or_else(|| IdentityError::Plane(word.to_owned()))
}

fn parse_number(field: &'static str, text: &str, least: u64) -> Result<u64, IdentityError> {
    text.parse()
        .ok()
        .filter(|number: &u64| least <= *number && number.to_string() == text)
        .ok_or_else(|| IdentityError::Number {
            field,
            text: text.to_owned(),
            least,
        })
}

fn node(
    prefix: Prefix,
    plane: &str,
    id: &str,
    cluster: &str,
    incarnation: Option<&str>,
) -> Result<Identity, IdentityError> {
    let plane = parse_plane(plane)?;
    let node = NodeId(parse_number("node id", id, 1)?);
    let cluster = cluster.parse()?;
    let incarnation = match incarnation {
        Some(text) => Some(parse_number("incarnation", text, 1)?),
        None => None,
    };
    Ok(Identity::Node(NodeName {
        prefix,
        plane,
        node,
        cluster,
        incarnation,
    }))
}
