//! Who asks.

use carnet_domain::bytes::code::EnterpriseId;
use carnet_domain::rules::policy::{Permission, Query, Role, may_query};
use carnet_trust::chain::VerifiedClient;
use carnet_trust::identity::ClientName;
use carnet_wire::status::ApiError;

use crate::share::{Holder, RequestId};

/// A person or desk whose certificate was verified at the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    client: VerifiedClient,
    request: RequestId,
}

impl From<VerifiedClient> for Caller {
    fn from(client: VerifiedClient) -> Self {
        Self {
            client,
            request: RequestId::default(),
        }
    }
}

impl Caller {
    /// The name in the certificate.
    pub fn name(&self) -> &ClientName {
        self.client.name()
    }

    /// The same caller, by what it asks now.
    #[must_use]
    pub fn asking(self, request: RequestId) -> Self {
        Self { request, ..self }
    }

    /// The request that it makes.
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// The name as a text: what sessions and limits count by.
    pub fn subject(&self) -> String {
        self.name().to_string()
    }

    /// Whose share its calls are.
    pub fn holder(&self) -> Holder {
        Holder::new(&self.subject())
    }

    /// The role in the certificate.
    pub fn role(&self) -> Role {
        self.name().role()
    }

    /// The enterprise that the caller belongs to; none for offices.
    pub fn enterprise(&self) -> Option<EnterpriseId> {
        self.name().enterprise()
    }

    /// What the caller may see when it makes a query.
    ///
    /// # Errors
    /// Its role may not make it.
    pub fn may(&self, query: Query) -> Result<Permitted, ApiError> {
        let role = self.role();
        match may_query(role, query) {
            Permission::No => Err(denied(role, query.words(), query.roles())),
            Permission::Any => Ok(Permitted::all()),
            Permission::Own => match self.enterprise() {
                Some(own) => Ok(Permitted {
                    own: Some(own),
                    makes: role == Role::Manufacturer,
                }),
                None => Err(ApiError::denied(
                    "only an enterprise has subjects of its own",
                )),
            },
        }
    }
}

/// That a caller may make a query, and about which subjects. Only [`Caller::may`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permitted {
    own: Option<EnterpriseId>,
    makes: bool,
}

/// That a role may not do something, and who may.
pub fn denied(role: Role, what: &str, may: impl Iterator<Item = Role>) -> ApiError {
    let may: Vec<&str> = may.map(Role::word).collect();
    let who = match may.as_slice() {
        [] => "nobody's to do".to_owned(),
        may => format!("for {}", may.join(", ")),
    };
    ApiError::denied(format!("{} may not {what}; that is {who}", role.word()))
}

/// `OpenRecall` as `open recall`.
pub fn spaced(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push(' ');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

impl Permitted {
    /// About every subject.
    fn all() -> Self {
        Self {
            own: None,
            makes: false,
        }
    }

    /// Whether what its enterprise made is what it asks for when it names nothing.
    pub fn makes(self) -> bool {
        self.makes
    }

    /// The one enterprise whose subjects may be seen; none: those of all.
    pub fn own(self) -> Option<EnterpriseId> {
        self.own
    }

    /// Whether subjects of an enterprise may be seen.
    pub fn covers(self, enterprise: EnterpriseId) -> bool {
        self.own.is_none_or(|own| own == enterprise)
    }
}
