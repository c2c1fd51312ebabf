//! Who asks.

use carnet_domain::bytes::code::EnterpriseId;
use carnet_domain::rules::policy::{Permission, Query, Role, may_query};
use carnet_trust::chain::VerifiedClient;
use carnet_trust::identity::ClientName;
use carnet_wire::status::ApiError;

use crate::edge::Holder;

/// A person or desk whose certificate was verified at the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(VerifiedClient);

impl From<VerifiedClient> for Caller {
    fn from(client: VerifiedClient) -> Self {
        Self(client)
    }
}

impl Caller {
    /// The name in the certificate.
    pub fn name(&self) -> &ClientName {
        self.0.name()
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
            Permission::No => Err(ApiError::denied(format!(
                "{} may not {query:?}",
                role.word()
            ))),
            Permission::Any => Ok(Permitted { own: None }),
            Permission::Own => match self.enterprise() {
                Some(own) => Ok(Permitted { own: Some(own) }),
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
}

impl Permitted {
    /// The one enterprise whose subjects may be seen; none: those of all.
    pub fn own(self) -> Option<EnterpriseId> {
        self.own
    }

    /// Whether subjects of an enterprise may be seen.
    pub fn covers(self, enterprise: EnterpriseId) -> bool {
        self.own.is_none_or(|own| own == enterprise)
    }

    /// As [`Self::covers`], for a subject that was asked for.
    ///
    /// # Errors
    /// It is not the caller's to see.
    pub fn must_cover(self, enterprise: EnterpriseId) -> Result<(), ApiError> {
        if self.covers(enterprise) {
            return Ok(());
        }
        Err(ApiError::denied(
            "only subjects of the caller's own enterprise",
        ))
    }
}
