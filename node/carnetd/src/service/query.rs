//! What records are asked for: names and filters, parsed.

use std::fmt;

use carnet_domain::bytes::code::{CODE_LEN, Code, EnterpriseId, ModelId, Prefix, SEGMENT_LENS};
use carnet_domain::record::RecallId;
use carnet_domain::rules::command::TransferId;
use carnet_domain::rules::policy::Query;
use carnet_wire::status::ApiError;

/// Which record a query asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordName {
    /// By its code, one of ours or of a peer.
    Robot(Code),
    /// By its code.
    Enterprise(EnterpriseId),
    /// By its code.
    Model(ModelId),
    /// By its issuer and number.
    Recall(RecallId),
    /// By its number.
    Transfer(TransferId),
    /// By its primary prefix.
    Peer(Prefix),
    /// The registry as a whole.
    Registry,
    /// The identity record of a robot, signed with the passport key.
    SignedRecord(Code),
    /// What a verifier takes along to judge evidence without this registry, signed with the log key.
    Pack,
    /// Certificates that are refused before their time is over.
    DenyList,
    /// What was proposed under a number, and what became of it.
    Proposal(u64),
}

impl RecordName {
    /// The query that reading it is.
    pub fn query(&self) -> Query {
        match self {
            Self::Robot(_) => Query::GetRobot,
            Self::Enterprise(_) => Query::GetEnterprise,
            Self::Model(_) => Query::GetModel,
            Self::Recall(_) => Query::ListRecalls,
            Self::Transfer(_) => Query::ListTransfers,
            // Who had a certificate stolen is for those who run the cluster.
            Self::DenyList | Self::Proposal(_) => Query::ClusterStatus,
            // Who is recognised, and by which agreement, is public: verdicts cite it.
            Self::Peer(_) | Self::Registry | Self::SignedRecord(_) | Self::Pack => Query::LogProof,
        }
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Robot(code) => write!(f, "robot {code}"),
            Self::Enterprise(id) => write!(f, "enterprise {id}"),
            Self::Model(id) => write!(f, "model {id}"),
            Self::Recall(id) => write!(f, "recall {id}"),
            Self::Transfer(id) => write!(f, "transfer {}", hex::encode(id.0)),
            Self::Peer(prefix) => write!(f, "peer {prefix}"),
            Self::Registry => f.write_str("registry"),
            Self::Pack => f.write_str("pack"),
            Self::DenyList => f.write_str("deny-list"),
            Self::Proposal(number) => write!(f, "proposal {number}"),
            Self::SignedRecord(code) => write!(f, "signed record of {code}"),
        }
    }
}

/// A subject whose record stands in leaves of its own, so that what is said of it can be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provable {
    /// By its code, one of ours or of a peer.
    Robot(Code),
    /// By its code.
    Enterprise(EnterpriseId),
    /// By its code.
    Model(ModelId),
    /// By its issuer and number.
    Recall(RecallId),
}

impl fmt::Display for Provable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Robot(code) => write!(f, "proof of robot {code}"),
            Self::Enterprise(id) => write!(f, "proof of enterprise {id}"),
            Self::Model(id) => write!(f, "proof of model {id}"),
            Self::Recall(id) => write!(f, "proof of recall {id}"),
        }
    }
}

impl Provable {
    /// What can be proven of a record.
    ///
    /// # Errors
    /// No leaf holds the record: a node can only be asked for it.
    pub fn of(name: RecordName) -> Result<Self, ApiError> {
        Ok(match name {
            RecordName::Robot(code) => Self::Robot(code),
            RecordName::Enterprise(id) => Self::Enterprise(id),
            RecordName::Model(id) => Self::Model(id),
            RecordName::Recall(id) => Self::Recall(id),
            RecordName::Transfer(_)
            | RecordName::Peer(_)
            | RecordName::Registry
            | RecordName::SignedRecord(_)
            | RecordName::Pack
            | RecordName::DenyList
            | RecordName::Proposal(_) => {
                return Err(ApiError::invalid(
                    "kind",
                    "robots, enterprises, models and recalls can be proven",
                ));
            }
        })
    }

    /// The query that asking for it is: what is proven of a robot is cut to its caller, the rest is shown whole.
    pub fn query(&self) -> Query {
        match self {
            Self::Robot(_) => Query::LogProof,
            Self::Enterprise(_) => Query::GetEnterprise,
            Self::Model(_) => Query::GetModel,
            Self::Recall(_) => Query::ListRecalls,
        }
    }
}

/// How new an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It holds every write that was acknowledged before the question.
    Newest,
    /// As this node knows it, without asking the leader.
    AsKnown,
}

/// The beginning of a code, which may end anywhere: a country, an enterprise, a model, or nothing, which is all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Beginning(String);

impl Beginning {
    /// Parses what codes begin with, at most `len_max` characters of it; hyphens and small letters as in a code.
    ///
    /// # Errors
    /// No code begins like this, or it is longer than what it is compared with.
    pub fn parse(text: &str, len_max: usize) -> Result<Self, ApiError> {
        let refused = |why: &str| Err(ApiError::invalid("filter", why));
        let plain: String = text.chars().filter(|c| *c != '-').collect();
        let plain = plain.to_ascii_uppercase();
        if plain.len() > len_max {
            return refused(&format!("at most {len_max} characters"));
        }
        let mut letters = plain.bytes();
        let fits = match (letters.next(), letters.next()) {
            (None, _) => true,
            (Some(b'0'..=b'9'), None) | (Some(b'A'..=b'Z'), None) => true,
            (Some(b'0'..=b'9'), Some(second)) => {
                second.is_ascii_digit() && letters.all(|b| b.is_ascii_digit())
            }
            (Some(b'A'..=b'Z'), Some(second)) => {
                second.is_ascii_uppercase()
                    && letters.all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
            }
            _ => false,
        };
        if !fits {
            return refused("no code begins like this");
        }
        Ok(Self(plain))
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a code, or the name of an enterprise or model, begins like this.
    pub fn begins(&self, name: &str) -> bool {
        name.starts_with(&self.0)
    }

    /// Whether every code begins like this.
    pub(super) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// The enterprise that whatever begins like this belongs to, if it is one.
    pub(super) fn enterprise(&self) -> Option<EnterpriseId> {
        EnterpriseId::parse(self.0.get(..ENTERPRISE_LEN)?).ok()
    }

    /// Whether whatever begins like this belongs to an enterprise.
    pub(super) fn is_under(&self, enterprise: EnterpriseId) -> bool {
        self.0.starts_with(enterprise.as_str())
    }
}

/// Records in pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordsQuery {
    /// Robots whose code begins so.
    Robots(Beginning),
    /// Enterprises whose id begins so.
    Enterprises(Beginning),
    /// Models whose id begins so.
    Models(Beginning),
    /// Recalls; of one model those that have not ended.
    Recalls(Option<ModelId>),
    /// Transfers of robots whose code begins so.
    Transfers(Beginning),
    /// All registries that this one recognises.
    Peers,
    /// What waits of one peer, or of all.
    Parked(Option<Prefix>),
    /// What was proposed, the newest first.
    Proposals,
}

/// Characters that name an enterprise, and a model.
const ENTERPRISE_LEN: usize = SEGMENT_LENS[0] + SEGMENT_LENS[1];
const MODEL_LEN: usize = ENTERPRISE_LEN + SEGMENT_LENS[2];

impl RecordsQuery {
    /// Robots under a filter.
    ///
    /// # Errors
    /// As [`Beginning::parse`]; so the others.
    pub fn robots(filter: &str) -> Result<Self, ApiError> {
        Beginning::parse(filter, CODE_LEN).map(Self::Robots)
    }

    /// Enterprises under a filter.
    ///
    /// # Errors
    /// As [`Self::robots`].
    pub fn enterprises(filter: &str) -> Result<Self, ApiError> {
        Beginning::parse(filter, ENTERPRISE_LEN).map(Self::Enterprises)
    }

    /// Models under a filter.
    ///
    /// # Errors
    /// As [`Self::robots`].
    pub fn models(filter: &str) -> Result<Self, ApiError> {
        Beginning::parse(filter, MODEL_LEN).map(Self::Models)
    }

    /// Transfers of robots under a filter.
    ///
    /// # Errors
    /// As [`Self::robots`].
    pub fn transfers(filter: &str) -> Result<Self, ApiError> {
        Beginning::parse(filter, CODE_LEN).map(Self::Transfers)
    }

    /// All recalls, or those of the model in the filter.
    ///
    /// # Errors
    /// Not a model's id.
    pub fn recalls(filter: &str) -> Result<Self, ApiError> {
        if filter.is_empty() {
            return Ok(Self::Recalls(None));
        }
        let model = ModelId::parse(filter);
        let model = model.map_err(|error| ApiError::invalid("filter", error))?;
        Ok(Self::Recalls(Some(model)))
    }

    /// All peers.
    ///
    /// # Errors
    /// There is no filter for peers.
    pub fn peers(filter: &str) -> Result<Self, ApiError> {
        if filter.is_empty() {
            return Ok(Self::Peers);
        }
        Err(ApiError::invalid(
            "filter",
            "peers are listed without a filter",
        ))
    }

    /// What waits of the peer in the filter, or of all.
    ///
    /// # Errors
    /// Not a prefix.
    pub fn parked(filter: &str) -> Result<Self, ApiError> {
        if filter.is_empty() {
            return Ok(Self::Parked(None));
        }
        let peer = Prefix::parse(filter);
        let peer = peer.map_err(|error| ApiError::invalid("filter", error))?;
        Ok(Self::Parked(Some(peer)))
    }

    /// What was proposed, the newest first.
    ///
    /// # Errors
    /// There is no filter for proposals.
    pub fn proposals(filter: &str) -> Result<Self, ApiError> {
        if filter.is_empty() {
            return Ok(Self::Proposals);
        }
        Err(ApiError::invalid(
            "filter",
            "proposals are listed without a filter",
        ))
    }

    /// The query of the policy.
    pub fn query(&self) -> Query {
        match self {
            Self::Proposals => Query::ClusterStatus,
            Self::Parked(_) => Query::ListParked,
            Self::Robots(_) => Query::ListRobots,
            Self::Enterprises(_) => Query::GetEnterprise,
            Self::Models(_) => Query::GetModel,
            Self::Recalls(_) => Query::ListRecalls,
            Self::Transfers(_) => Query::ListTransfers,
            // Who is recognised, and by which agreement, is public: verdicts cite it.
            Self::Peers => Query::LogProof,
        }
    }

    /// The same query about subjects of one enterprise alone. Without a filter those are all that the caller may see.
    ///
    /// # Errors
    /// The filter asks for others' subjects: they are refused, not silently replaced by the caller's own.
    pub fn within(self, own: Option<EnterpriseId>) -> Result<Self, ApiError> {
        let Some(own) = own else {
            return Ok(self);
        };
        let narrow = |asked: Beginning| match asked.as_str() {
            "" => Ok(Beginning(own.as_str().to_owned())),
            _ if asked.is_under(own) => Ok(asked),
            other => Err(ApiError::denied(format!(
                "{other} is not of the caller's own enterprise, {own}"
            ))),
        };
        match self {
            Self::Robots(asked) => narrow(asked).map(Self::Robots),
            Self::Enterprises(asked) => narrow(asked).map(Self::Enterprises),
            Self::Models(asked) => narrow(asked).map(Self::Models),
            Self::Transfers(asked) => narrow(asked).map(Self::Transfers),
            // None of these is an enterprise's own.
            Self::Recalls(_) | Self::Peers | Self::Parked(_) | Self::Proposals => {
                Err(ApiError::denied("only an authority may list these"))
            }
        }
    }

    /// Kind and filter in words that never change: what a page token is bound to.
    pub(super) fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Robots(beginning) => ("robots", beginning.as_str()),
            Self::Enterprises(beginning) => ("enterprises", beginning.as_str()),
            Self::Models(beginning) => ("models", beginning.as_str()),
            Self::Recalls(model) => ("recalls", model.as_ref().map_or("", ModelId::as_str)),
            Self::Transfers(beginning) => ("transfers", beginning.as_str()),
            Self::Peers => ("peers", ""),
            Self::Parked(peer) => ("parked", peer.as_ref().map_or("", Prefix::as_str)),
            Self::Proposals => ("proposals", ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> EnterpriseId {
        EnterpriseId::parse("861234").expect("an id")
    }

    #[test]
    fn no_code_begins_like_this() {
        for text in ["8A", "A8", "86x", "ä", "86 ", "*", "_", "86/1"] {
            let found = RecordsQuery::robots(text);
            assert!(found.is_err(), "{text}: {found:?}");
        }
        for text in [
            "",
            "8",
            "86",
            "86-1234",
            "N",
            "NA",
            "na-c0de",
            "861234000001",
        ] {
            assert!(RecordsQuery::robots(text).is_ok(), "{text}");
        }
        let longer = "8".repeat(CODE_LEN + 1);
        assert!(RecordsQuery::robots(&longer).is_err());
        assert!(RecordsQuery::enterprises("8612345").is_err());
        assert!(RecordsQuery::recalls("nonsense").is_err());
        assert!(RecordsQuery::peers("44").is_err());
        assert!(RecordsQuery::parked("444").is_err());
    }

    #[test]
    fn a_filter_outside_of_ones_own_is_refused_and_none_is_ones_own() {
        let within = |filter: &str| {
            let asked = RecordsQuery::robots(filter).expect("a filter");
            asked.within(Some(own()))
        };
        let all = within("").expect("all of one's own");
        assert_eq!(all.words(), ("robots", "861234"));
        assert_eq!(
            within("86-1234-000001").expect("own").words().1,
            "861234000001"
        );
        for other in ["86", "8", "86123", "861235", "861235000001", "44"] {
            let refused = within(other).expect_err("of others");
            assert_eq!(refused.reason(), "PERMISSION_DENIED", "{other}");
        }
        let anybody = RecordsQuery::robots("44").expect("a filter").within(None);
        assert_eq!(anybody.expect("an authority").words().1, "44");
    }
}
