//! Who may do what: roles, relations and the matrix of commands, written down as data.
//!
//! Enforced twice, at ingress and again in `apply`, from this one table. It deliberately knows nothing of certificates:
//! the role arrives as a value.

use crate::rules::command::CommandKind;

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

/// Whose subject a command touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// The actor's own enterprise made the robot or holds the model.
    Own,
    /// Somebody else's.
    Other,
}

/// What the matrix says of a role and a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Never.
    No,
    /// Only on subjects of the actor's own enterprise.
    Own,
    /// On any subject.
    Any,
}

impl Permission {
    /// Whether the permission covers a relation.
    pub fn covers(self, relation: Relation) -> bool {
        match self {
            Self::No => false,
            Self::Own => relation == Relation::Own,
            Self::Any => true,
        }
    }
}

/// One row of the matrix: a command, the roles that may give it on any subject, and those that may on their own.
pub struct Row {
    /// The command.
    pub kind: CommandKind,
    /// Roles that may on any subject.
    pub any: &'static [Role],
    /// Roles that may on subjects of their own enterprise.
    pub own: &'static [Role],
}

use Role::*;

/// The matrix. A role that stands in neither list may not.
pub const MATRIX: &[Row] = &[
    Row {
        kind: CommandKind::AccreditEnterprise,
        any: &[Registrar],
        own: &[],
    },
    Row {
        kind: CommandKind::SetEnterpriseStatus,
        any: &[Registrar],
        own: &[],
    },
    Row {
        kind: CommandKind::AddSigner,
        any: &[Registrar, Admin],
        own: &[],
    },
    Row {
        kind: CommandKind::RetireSigner,
        any: &[Registrar, Admin],
        own: &[],
    },
    Row {
        kind: CommandKind::ApproveModel,
        any: &[Registrar],
        own: &[],
    },
    Row {
        kind: CommandKind::SetModelStatus,
        any: &[Registrar, Regulator],
        own: &[],
    },
    Row {
        kind: CommandKind::Reserve,
        any: &[Registrar],
        own: &[Manufacturer],
    },
    Row {
        kind: CommandKind::Register,
        any: &[Registrar],
        own: &[Manufacturer, Importer],
    },
    Row {
        kind: CommandKind::Act,
        any: &[
            Registrar,
            Dealer,
            ServiceProvider,
            Recycler,
            Operator,
            Owner,
            Regulator,
        ],
        own: &[Manufacturer, Importer],
    },
    Row {
        kind: CommandKind::SetHold,
        any: &[Registrar, Customs, Regulator],
        own: &[],
    },
    Row {
        kind: CommandKind::LiftHold,
        any: &[Registrar, Customs, Regulator],
        own: &[],
    },
    Row {
        kind: CommandKind::DeclareExport,
        any: &[Customs, Declarant, Dealer],
        own: &[Manufacturer, Importer],
    },
    Row {
        kind: CommandKind::CancelExport,
        any: &[Customs, Declarant, Dealer],
        own: &[Manufacturer, Importer],
    },
    Row {
        kind: CommandKind::PermitImport,
        any: &[Customs],
        own: &[],
    },
    Row {
        kind: CommandKind::RefuseImport,
        any: &[Customs],
        own: &[],
    },
    Row {
        kind: CommandKind::Depart,
        any: &[Customs],
        own: &[],
    },
    Row {
        kind: CommandKind::Admit,
        any: &[Customs],
        own: &[],
    },
    Row {
        kind: CommandKind::Return,
        any: &[Customs],
        own: &[],
    },
    Row {
        kind: CommandKind::OpenRecall,
        any: &[Registrar, Regulator],
        own: &[Manufacturer, Importer],
    },
    Row {
        kind: CommandKind::WithdrawRecall,
        any: &[Registrar, Regulator],
        own: &[Manufacturer, Importer],
    },
    Row {
        kind: CommandKind::ClearClaim,
        any: &[Registrar],
        own: &[],
    },
    Row {
        kind: CommandKind::RemedyRecall,
        any: &[Registrar, ServiceProvider],
        own: &[Manufacturer, Importer],
    },
];

/// What the matrix says.
pub fn permission(role: Role, kind: CommandKind) -> Permission {
    match MATRIX.iter().find(|row| row.kind == kind) {
        Some(row) if row.any.contains(&role) => Permission::Any,
        Some(row) if row.own.contains(&role) => Permission::Own,
        _ => Permission::No,
    }
}

/// A read that exists as an RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// One robot's record.
    GetRobot,
    /// One enterprise.
    GetEnterprise,
    /// One model.
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
}

impl Query {
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
    ];
}

/// What the matrix says of a read. Existence, model, state and recalls are public by design; the rest is not.
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
                Manufacturer | Importer => Permission::Own,
                _ => Permission::No,
            }
        }
        Query::ClusterStatus => match role {
            Admin | Auditor | Registrar => Permission::Any,
            _ => Permission::No,
        },
        Query::ClusterChange => match role {
            Admin => Permission::Any,
            _ => Permission::No,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_exactly_one_row() {
        for kind in CommandKind::ALL {
            let rows = MATRIX.iter().filter(|row| row.kind == *kind).count();
            assert_eq!(rows, 1, "{kind:?}");
        }
    }

    #[test]
    fn auditors_and_the_anonymous_change_nothing() {
        for kind in CommandKind::ALL {
            assert_eq!(permission(Auditor, *kind), Permission::No, "{kind:?}");
            assert_eq!(permission(Anonymous, *kind), Permission::No, "{kind:?}");
        }
    }

    #[test]
    fn a_role_never_stands_in_both_lists() {
        for row in MATRIX {
            assert!(
                row.any.iter().all(|role| !row.own.contains(role)),
                "{:?}",
                row.kind
            );
        }
    }
}
