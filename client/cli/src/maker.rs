//! Who made something, as people write it: the register, its country, the identifier.

use std::collections::BTreeMap;

use carnet_client::{Client, identity};
use carnet_domain::bytes::code::{EnterpriseId, ModelId};
use carnet_domain::bytes::country::is_country;
use carnet_domain::record::{IdentifierScheme, Maker};
use clap::Args;
use serde_json::{Value, json};

use crate::parse::{self, hyphened};

/// Makers that are asked for behind a list of models.
const MAKERS_LISTED_MAX: usize = 64;

/// Who made or runs something, as the world knows them.
#[derive(Debug, Clone, Args)]
pub(crate) struct MakerArgs {
    /// Register of the identifier: lei, national or name.
    #[arg(long, default_value = "name", value_parser = parse::identifier_scheme)]
    pub(crate) maker_scheme: IdentifierScheme,
    /// ISO 3166-1 alpha-2 country of the register.
    #[arg(long)]
    pub(crate) maker_country: String,
    /// The identifier. Of an accredited maker `carnet model get` and `carnet robot get` show it, with the other two.
    #[arg(long)]
    pub(crate) maker_id: String,
}

impl MakerArgs {
    /// # Errors
    /// The identifier has no written form.
    pub(crate) fn maker(&self) -> Result<Maker, String> {
        Ok(Maker {
            scheme: self.maker_scheme,
            country: maker_country(&self.maker_country)?,
            identifier: identifier(self.maker_scheme, &self.maker_id)?,
        })
    }
}

/// The maker of a model by its code, with what --maker-id, --maker-country and --maker-scheme ask for; that is null where it cannot be
/// read.
pub(crate) async fn maker_shown(client: &Client, id: &EnterpriseId) -> Value {
    let found = client.unverified().enterprise(id).await.ok();
    let enterprise = found.as_ref().map(|found| &found.value);
    let maker = enterprise.map(|found| &found.maker);
    json!({
        "enterprise": id.to_string(),
        "name": enterprise.map(|found| found.name.as_str()),
        "maker_scheme": maker.map(|maker| hyphened(maker.scheme.name())),
        "maker_country": maker.map(|maker| maker.country.as_str()),
        "maker_id": maker.map(|maker| maker.identifier.as_str()),
    })
}

/// Adds to models who made them, each maker asked for once.
pub(crate) async fn with_makers(client: &Client, models: &mut Value) {
    let mut known: BTreeMap<EnterpriseId, Value> = BTreeMap::new();
    for row in models.as_array_mut().into_iter().flatten() {
        let model = row["model"].as_str();
        let model = model.and_then(|id| id.parse::<ModelId>().ok());
        let Some(maker) = model.map(|model| model.enterprise_id()) else {
            continue;
        };
        // Of more makers than these nobody looks through the list.
        if !known.contains_key(&maker) && known.len() < MAKERS_LISTED_MAX {
            known.insert(maker, maker_shown(client, &maker).await["maker_id"].take());
        }
        row["maker_id"] = known.get(&maker).cloned().unwrap_or_default();
    }
}

/// The one written form of a maker's identifier.
pub(crate) fn identifier(scheme: IdentifierScheme, text: &str) -> Result<String, String> {
    match scheme {
        IdentifierScheme::Name => identity::canonical_name(text),
        IdentifierScheme::Lei | IdentifierScheme::National => identity::canonical(text),
    }
}

/// A country of ISO 3166-1 in its written form.
///
/// # Errors
/// There is none of that code.
pub(crate) fn maker_country(text: &str) -> Result<String, String> {
    let code = text.trim().to_ascii_uppercase();
    match is_country(&code) {
        true => Ok(code),
        false => Err(format!(
            "--maker-country {text}: not a country of ISO 3166-1; write its two letters, as CN, DE or JP: that of the register in which \
             the maker is entered (--maker-scheme)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_that_is_none_says_what_to_write() {
        assert_eq!(maker_country(" de ").as_deref(), Ok("DE"));
        for wrong in ["XX", "86", "", "DEU"] {
            let said = maker_country(wrong).expect_err(wrong);
            assert!(said.contains("two letters, as CN"), "{said}");
        }
    }
}
