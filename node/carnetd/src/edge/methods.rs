//! Every method of every plane: who may call it at all, how long it may take, how much it may send, and the part of it
//! that one certificate may have. What is not in the table does not exist.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use carnet_domain::rules::actions::ever;
use carnet_domain::rules::command::CommandKind;
use carnet_domain::rules::policy::{Permission, Query, Role, may_query};
use carnet_trust::identity::Plane;
use carnet_wire::limits::{
    BULK_BYTES_MAX, CLIENT_REQUEST_BYTES_MAX, FEDERATION_MESSAGE_BYTES_MAX, FRAME_BYTES_MAX,
    REQUEST_TIMEOUT,
};

use crate::share::rates::Rate;
use carnet_consensus::pool::PoolLimits;

/// A bulk request may be sent over a slow line; its certificate's share bounds how many wait.
pub const BULK_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two pieces of a request, and between two answers of a bulk request.
pub const PIECE_TIMEOUT: Duration = Duration::from_secs(20);
/// A stream of requests that was asked nothing for so long, and has answered everything, is ended.
pub const STREAM_IDLE: Duration = Duration::from_secs(60);
/// Founding, changes of members and digests of everything may take long.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(60);
/// The caller of a call on the Raft plane has a shorter deadline of its own; this ends what it forgot.
pub const RAFT_TIMEOUT: Duration = Duration::from_secs(60);

/// Who may call a method, as far as a certificate tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Everybody whom the plane lets in.
    All,
    /// Roles that may sign some command.
    Signers,
    /// Roles that may make a query.
    Asking(Query),
}

/// What a caller has to believe of a call that took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It may have happened.
    Unknown,
    /// There was nothing that could have happened.
    Nothing,
}

/// What counts as a request, by the limits of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// The call, whatever it consists of.
    Call,
    /// The call, and each of its messages: each has its own size, time, place and answer.
    Messages,
}

/// What the door asks of a call before it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// The path of its requests.
    pub path: &'static str,
    /// Who may call it.
    pub callers: Callers,
    /// What counts as a request.
    pub counts: Counts,
    /// Until the answer begins; `None` where that is not how it ends.
    pub timeout: Option<Duration>,
    /// What a call that took longer means.
    pub late: Late,
    /// Between two answers of a stream; `None` where silence is part of it.
    pub answers_every: Option<Duration>,
    /// The most bytes of a request, over all its messages; `None` for streams without end, whose messages are bounded alone.
    pub request_bytes_max: Option<usize>,
    /// The most bytes of an answer, over all its messages; `None` where the answers to one request are bounded by themselves.
    pub answer_bytes_max: Option<usize>,
    /// Calls in work, of all certificates and of one, beside the port's own limits.
    pub share: Option<PoolLimits>,
    /// Calls a second of one certificate, beside the port's own limits.
    pub rate: Option<Rate>,
}

const READ: Method = Method {
    path: "",
    callers: Callers::All,
    counts: Counts::Call,
    timeout: Some(REQUEST_TIMEOUT),
    late: Late::Nothing,
    answers_every: None,
    request_bytes_max: Some(CLIENT_REQUEST_BYTES_MAX + FRAME_BYTES_MAX),
    answer_bytes_max: None,
    share: None,
    rate: None,
};
const WRITE: Method = Method {
    late: Late::Unknown,
    ..READ
};
const ADMIN: Method = Method {
    timeout: Some(ADMIN_TIMEOUT),
    share: Some(PoolLimits {
        total: 64,
        each: 16,
    }),
    ..WRITE
};
const RAFT: Method = Method {
    timeout: Some(RAFT_TIMEOUT),
    late: Late::Unknown,
    request_bytes_max: None,
    ..READ
};

const fn asking(path: &'static str, query: Query) -> Method {
    Method {
        path,
        callers: Callers::Asking(query),
        ..READ
    }
}

/// For balancers before the client plane; of no schema of ours.
pub const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// For whoever has no schema at hand; of no schema of ours.
pub const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// Questions of a tool about the schema, in one stream: it has some dozens.
pub const SCHEMA_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// The schema is a tenth of it.
pub const SCHEMA_ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The schema of a plane, asked for in a stream; the same for everybody whom the plane lets in.
const SCHEMA: Method = Method {
    path: REFLECTION,
    answers_every: Some(PIECE_TIMEOUT),
    request_bytes_max: Some(SCHEMA_REQUEST_BYTES_MAX),
    answer_bytes_max: Some(SCHEMA_ANSWER_BYTES_MAX),
    share: Some(PoolLimits { total: 64, each: 4 }),
    // A question of some bytes is answered with a whole file, by the processor that serves everybody.
    rate: Some(Rate {
        per_second: 2,
        burst: 20,
    }),
    ..READ
};

/// The methods of the client plane.
pub const CLIENT: [Method; 16] = [
    Method {
        path: "/carnet.registry.v1.Registry/OpenSession",
        ..WRITE
    },
    Method {
        path: "/carnet.registry.v1.Registry/Submit",
        callers: Callers::Signers,
        ..WRITE
    },
    Method {
        path: "/carnet.registry.v1.Registry/SubmitStream",
        callers: Callers::Signers,
        counts: Counts::Messages,
        request_bytes_max: None,
        share: Some(PoolLimits {
            total: 1_024,
            each: 64,
        }),
        ..WRITE
    },
    Method {
        path: "/carnet.registry.v1.Registry/SubmitBulk",
        callers: Callers::Signers,
        timeout: Some(BULK_TIMEOUT),
        answers_every: Some(BULK_TIMEOUT),
        // Thousands of items have frames of their own.
        request_bytes_max: Some(2 * BULK_BYTES_MAX),
        share: Some(PoolLimits {
            total: 256,
            each: 64,
        }),
        ..WRITE
    },
    Method {
        path: "/carnet.registry.v1.Registry/Foresee",
        callers: Callers::Signers,
        // Each may cost as much as a log entry.
        share: Some(PoolLimits {
            total: 128,
            each: 2,
        }),
        rate: Some(Rate {
            per_second: 20,
            burst: 100,
        }),
        ..READ
    },
    Method {
        path: "/carnet.registry.v1.Registry/GetRecord",
        ..READ
    },
    Method {
        path: "/carnet.registry.v1.Registry/ListRecords",
        ..READ
    },
    asking("/carnet.registry.v1.Registry/ListHistory", Query::History),
    asking(
        "/carnet.registry.v1.Registry/ListMovements",
        Query::Movements,
    ),
    asking(
        "/carnet.registry.v1.Registry/QueryMovements",
        Query::ListTransfers,
    ),
    Method {
        // Each looks through thousands.
        share: Some(PoolLimits {
            total: 128,
            each: 4,
        }),
        ..asking(
            "/carnet.registry.v1.Registry/CountMovements",
            Query::ListTransfers,
        )
    },
    asking(
        "/carnet.registry.v1.Registry/GetCheckpoint",
        Query::LogProof,
    ),
    asking("/carnet.registry.v1.Registry/Prove", Query::LogProof),
    Method {
        // It may ask another registry, which answers all of us so many a second.
        share: Some(PoolLimits {
            total: 128,
            each: 16,
        }),
        rate: Some(Rate {
            per_second: 20,
            burst: 100,
        }),
        ..asking("/carnet.registry.v1.Registry/Verify", Query::Verify)
    },
    Method {
        path: HEALTH,
        // Each looks into the whole node.
        rate: Some(Rate {
            per_second: 10,
            burst: 20,
        }),
        ..READ
    },
    SCHEMA,
];

/// The methods of the admin plane.
pub const ADMIN_PLANE: [Method; 9] = [
    Method {
        path: "/carnet.admin.v1.Admin/Initialize",
        ..ADMIN
    },
    Method {
        path: "/carnet.admin.v1.Admin/GetStatus",
        late: Late::Nothing,
        ..ADMIN
    },
    Method {
        path: "/carnet.admin.v1.Admin/SubmitStatement",
        ..ADMIN
    },
    Method {
        path: "/carnet.admin.v1.Admin/AddLearner",
        ..ADMIN
    },
    Method {
        path: "/carnet.admin.v1.Admin/ChangeMembers",
        ..ADMIN
    },
    Method {
        path: "/carnet.admin.v1.Admin/TakeSnapshot",
        ..ADMIN
    },
    Method {
        path: "/carnet.admin.v1.Admin/TransferLeadership",
        ..ADMIN
    },
    Method {
        path: "/carnet.admin.v1.Admin/QueryAudit",
        callers: Callers::Asking(Query::ReadAudit),
        late: Late::Nothing,
        ..ADMIN
    },
    SCHEMA,
];

/// The methods of the federation plane.
pub const FEDERATION: [Method; 2] = [
    Method {
        path: "/carnet.federation.v1.Federation/Follow",
        // It ends when the peer goes; how many a peer has open is bounded.
        request_bytes_max: Some(FEDERATION_MESSAGE_BYTES_MAX),
        share: Some(PoolLimits {
            total: 1_024,
            each: 8,
        }),
        ..READ
    },
    Method {
        path: "/carnet.federation.v1.Federation/Inquire",
        request_bytes_max: Some(FEDERATION_MESSAGE_BYTES_MAX),
        share: Some(PoolLimits {
            total: 256,
            each: 32,
        }),
        ..READ
    },
];

/// The methods of the Raft plane.
pub const RAFT_PLANE: [Method; 13] = [
    Method {
        path: "/carnet.raft.v1.Raft/StreamAppend",
        timeout: None,
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/Vote",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/PreVote",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/TransferLeader",
        ..RAFT
    },
    Method {
        // Every piece of it has its time; there may be many.
        path: "/carnet.raft.v1.Raft/Snapshot",
        timeout: None,
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/ReadIndex",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/Follows",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/Clock",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/Compare",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/Space",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/Forward",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/Identify",
        ..RAFT
    },
    Method {
        path: "/carnet.raft.v1.Raft/WentBack",
        ..RAFT
    },
];

/// The methods of a plane.
pub fn of(plane: Plane) -> &'static [Method] {
    match plane {
        Plane::Client => &CLIENT,
        Plane::Admin => &ADMIN_PLANE,
        Plane::Federation => &FEDERATION,
        Plane::Raft => &RAFT_PLANE,
    }
}

/// Roles that may sign some command, looked up once: a refusal must not cost more than what it saves.
static SIGNERS: LazyLock<BTreeSet<Role>> = LazyLock::new(|| {
    let signs = |role: &Role| CommandKind::ALL.iter().any(|kind| ever(*role, *kind));
    Role::ALL.iter().copied().filter(signs).collect()
});

/// Whether a role may call; nodes and peers have none.
pub fn may(callers: Callers, role: Option<Role>) -> bool {
    match (callers, role) {
        (Callers::All, _) => true,
        (Callers::Signers, Some(role)) => SIGNERS.contains(&role),
        (Callers::Asking(query), Some(role)) => may_query(role, query) != Permission::No,
        (Callers::Signers | Callers::Asking(_), None) => false,
    }
}

/// The roles that may call it.
pub fn callers(callers: Callers) -> impl Iterator<Item = Role> {
    let all = Role::ALL.iter().copied();
    all.filter(move |role| may(callers, Some(*role)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/package.Service/Method` for every method of a schema.
    fn paths(schema: &str) -> Vec<String> {
        let word = |line: &str, key: &str| {
            let rest = line.trim().strip_prefix(key)?;
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '.' && c != '_')?;
            Some(rest[..end].to_owned())
        };
        let (mut package, mut service, mut found) = (String::new(), String::new(), Vec::new());
        for line in schema.lines() {
            if let Some(name) = word(line, "package ") {
                package = name;
            } else if let Some(name) = word(line, "service ") {
                service = name;
            } else if let Some(name) = word(line, "rpc ") {
                found.push(format!("/{package}.{service}/{name}"));
            }
        }
        found
    }

    #[test]
    fn every_method_of_the_schemas_is_in_the_table_and_nothing_else() {
        let schemas = [
            (
                Plane::Client,
                include_str!("../../../../proto/schema/carnet/registry/v1/registry.proto"),
            ),
            (
                Plane::Admin,
                include_str!("../../../../proto/schema/carnet/admin/v1/admin.proto"),
            ),
            (
                Plane::Federation,
                include_str!("../../../../proto/schema/carnet/federation/v1/federation.proto"),
            ),
            (
                Plane::Raft,
                include_str!("../../../../proto/schema/carnet/raft/v1/raft.proto"),
            ),
        ];
        for (plane, schema) in schemas {
            let table: Vec<&str> = of(plane).iter().map(|method| method.path).collect();
            let mut expected = paths(schema);
            if plane == Plane::Client {
                expected.push(HEALTH.to_owned());
            }
            if matches!(plane, Plane::Client | Plane::Admin) {
                expected.push(REFLECTION.to_owned());
            }
            assert_eq!(table, expected, "{plane}");
        }
    }

    #[test]
    fn every_call_but_a_stream_without_end_has_its_time_and_size() {
        let endless: Vec<&str> = Plane::ALL
            .iter()
            .flat_map(|plane| of(*plane))
            .filter(|method| method.timeout.is_none())
            .map(|method| method.path)
            .collect();
        assert_eq!(
            endless,
            [
                "/carnet.raft.v1.Raft/StreamAppend",
                "/carnet.raft.v1.Raft/Snapshot"
            ]
        );
        for plane in [Plane::Client, Plane::Admin, Plane::Federation] {
            for method in of(plane) {
                // Where each message is a request, each has the size that a request may have.
                let bounded = method.request_bytes_max.is_some();
                assert_eq!(bounded, method.counts == Counts::Call, "{}", method.path);
            }
        }
    }

    #[test]
    fn who_signs_nothing_submits_nothing() {
        let submitting: Vec<bool> = [
            Role::Auditor,
            Role::Anonymous,
            Role::Manufacturer,
            Role::Admin,
        ]
        .into_iter()
        .map(|role| may(Callers::Signers, Some(role)))
        .collect();
        assert_eq!(submitting, [false, false, true, true]);
        assert!(!may(Callers::Signers, None));
        assert!(may(Callers::Asking(Query::Verify), Some(Role::Customs)));
    }
}
