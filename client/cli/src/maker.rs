//! Who made something, as people write it: the register, its country, the identifier.

use carnet_client::identity;
use carnet_domain::bytes::country::is_country;
use carnet_domain::record::{IdentifierScheme, Maker};
use clap::Args;

use crate::parse;

/// Who made or runs something, as the world knows them.
#[derive(Debug, Clone, Args)]
pub(crate) struct MakerArgs {
    /// Register of the identifier: lei, national or name.
    #[arg(long, default_value = "name", value_parser = parse::identifier_scheme)]
    pub(crate) maker_scheme: IdentifierScheme,
    /// ISO 3166-1 alpha-2 country of the register.
    #[arg(long)]
    pub(crate) maker_country: String,
    /// The identifier.
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
