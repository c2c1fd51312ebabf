//! Roles, and who may read what. Who may do what is in `actions`.
//!
//! It deliberately knows nothing of certificates: the role arrives as a value.

/// A role of the actor, from the client certificate at ingress and from replicated state in `apply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs the registry's business: accredits, approves, corrects.
    Registrar,
    /// Makes robots and registers them.
    Manufacturer,
    /// Brings robots in, files those from countries without a registry.
    Importer,
    /// Sells robots.
    Dealer,
    /// Maintains and repairs robots.
    ServiceProvider,
    /// Ends robots' lives.
    Recycler,
    /// Operates fleets.
    Operator,
    /// Owns robots.
    Owner,
    /// Declares exports and imports for others.
    Declarant,
    /// Permits, releases and admits at the border.
    Customs,
    /// Supervises the market at home.
    Regulator,
    /// Supervises the market of another country.
    ForeignRegulator,
    /// Reads everything, changes nothing.
    Auditor,
    /// Runs the cluster; adds offices and peers.
    Admin,
    /// Anybody.
    Anonymous,
}
crate::canonical_enum!(Role {
    1 => Registrar, 2 => Manufacturer, 3 => Importer, 4 => Dealer, 5 => ServiceProvider, 6 => Recycler,
    7 => Operator, 8 => Owner, 9 => Declarant, 10 => Customs, 11 => Regulator, 12 => ForeignRegulator,
    13 => Auditor, 14 => Admin, 15 => Anonymous,
});

impl Role {
    /// The word in certificates and on the command line: lower case with hyphens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Registrar => "registrar",
            Self::Manufacturer => "manufacturer",
            Self::Importer => "importer",
            Self::Dealer => "dealer",
            Self::ServiceProvider => "service-provider",
            Self::Recycler => "recycler",
            Self::Operator => "operator",
            Self::Owner => "owner",
            Self::Declarant => "declarant",
            Self::Customs => "customs",
            Self::Regulator => "regulator",
            Self::ForeignRegulator => "foreign-regulator",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
            Self::Anonymous => "anonymous",
        }
    }

    /// Whether an actor with this role belongs to an enterprise (and not to an office of the state).
    pub fn is_enterprise(self) -> bool {
        matches!(
            self,
            Self::Manufacturer
                | Self::Importer
                | Self::Dealer
                | Self::ServiceProvider
                | Self::Recycler
                | Self::Operator
                | Self::Owner
                | Self::Declarant
        )
    }
}

/// What a role may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Never.
    No,
    /// Only subjects of the actor's own enterprise: what it made, and robots that it has, owns, operates or works on, itself or for
    /// a person.
    Own,
    /// Any subject.
    Any,
}

use Role::*;

/// Whether a role is an authority's: it sees who owns and operates, and every slot that authorities are shown.
pub fn is_authority(role: Role) -> bool {
    match role {
        Registrar | Customs | Regulator | ForeignRegulator | Auditor | Admin => true,
        Manufacturer | Importer | Dealer | ServiceProvider | Recycler | Operator | Owner
        | Declarant | Anonymous => false,
    }
}

/// A read that exists as an RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// One robot's record.
    GetRobot,
    /// The record of one, by its code.
    GetEnterprise,
    /// The record of one, by its code.
    GetModel,
    /// Robots of an enterprise or model, in pages.
    ListRobots,
    /// Every leaf of a robot, opened.
    History,
    /// Custody movements of a robot.
    Movements,
    /// Transfers that are open.
    ListTransfers,
    /// Recalls in force.
    ListRecalls,
    /// The verdict on a robot.
    Verify,
    /// The newest published checkpoint and proofs under it.
    LogProof,
    /// State of the cluster and of the relations to peers.
    ClusterStatus,
    /// Change of the cluster: initialise, members, snapshots.
    ClusterChange,
    /// What peers said that cannot be taken yet.
    ListParked,
    /// What a node noted of who read, was refused, and changed the cluster.
    ReadAudit,
}

impl Query {
    /// What whoever makes it does.
    pub fn words(self) -> &'static str {
        match self {
            Self::GetRobot => "read robots",
            Self::GetEnterprise => "read enterprises",
            Self::GetModel => "read models",
            Self::ListRobots => "list robots",
            Self::History => "read the history of robots",
            Self::Movements => "list movements",
            Self::ListTransfers => "list transfers",
            Self::ListRecalls => "list recalls",
            Self::Verify => "ask for a verdict",
            Self::LogProof => "ask for proofs",
            Self::ClusterStatus => "ask how the cluster is",
            Self::ClusterChange => "change the cluster",
            Self::ListParked => "list what waits of peers",
            Self::ReadAudit => "read the audit",
        }
    }

    /// The roles that may make it, of all subjects or of their own.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        let all = Role::ALL.iter().copied();
        all.filter(move |role| may_query(*role, self) != Permission::No)
    }

    /// Every query.
    pub const ALL: &'static [Self] = &[
        Self::GetRobot,
        Self::GetEnterprise,
        Self::GetModel,
        Self::ListRobots,
        Self::History,
        Self::Movements,
        Self::ListTransfers,
        Self::ListRecalls,
        Self::Verify,
        Self::LogProof,
        Self::ClusterStatus,
        Self::ClusterChange,
        Self::ListParked,
        Self::ReadAudit,
    ];
}

/// Whether a role may make a query. Existence, model, state and recalls are public by design; the rest is not.
pub fn may_query(role: Role, query: Query) -> Permission {
    match query {
        Query::GetEnterprise
        | Query::GetModel
        | Query::ListRecalls
        | Query::Verify
        | Query::LogProof => Permission::Any,
        Query::GetRobot => match role {
            Anonymous => Permission::No,
            _ => Permission::Any,
        },
        Query::ListRobots | Query::History | Query::Movements | Query::ListTransfers => {
            match role {
                Registrar | Customs | Regulator | Auditor | Admin => Permission::Any,
                role if role.is_enterprise() => Permission::Own,
                _ => Permission::No,
            }
        }
        Query::ClusterStatus => match role {
            Admin | Auditor | Registrar => Permission::Any,
            _ => Permission::No,
        },
        Query::ListParked => match role {
            Registrar | Regulator | Auditor | Admin => Permission::Any,
            _ => Permission::No,
        },
        Query::ClusterChange => match role {
            Admin => Permission::Any,
            _ => Permission::No,
        },
        Query::ReadAudit => match role {
            Admin | Auditor => Permission::Any,
            _ => Permission::No,
        },
    }
}

/// Whether a node notes that a role made a query, before it answers: what is neither public nor the caller's own was shown, or the
/// cluster is changed. Of a status nothing is noted, which monitors ask for all day; nor of a verdict, which anybody may ask for.
pub fn is_noted(role: Role, query: Query) -> bool {
    match query {
        Query::GetRobot => is_authority(role),
        Query::ListRobots
        | Query::History
        | Query::Movements
        | Query::ListTransfers
        | Query::ListParked
        | Query::ReadAudit
        | Query::ClusterChange => may_query(role, query) == Permission::Any,
        Query::GetEnterprise
        | Query::GetModel
        | Query::ListRecalls
        | Query::Verify
        | Query::LogProof
        | Query::ClusterStatus => false,
    }
}
