//! Where a list goes on: a text that says nothing to whoever holds it, and continues the one query that it came from.
//!
//! ```text
//! hexadecimal of  version 1 ‖ SHA-256("carnet-page/1" ‖ cluster 16 ‖ incarnation u64 ‖ kind ‖ 0 ‖ filter)[..16] ‖ last name shown
//! ```
//!
//! It is no secret and carries no authority, so it needs no key that all nodes would have to share: the query is judged
//! anew on every page, and a name that was put in by hand only makes a list begin there that its caller may read anyway.

use carnet_domain::bytes::digest::sha256;
use carnet_wire::status::ApiError;

use super::query::RecordsQuery;

const VERSION: u8 = 1;
const TAG: &[u8] = b"carnet-page/1";
const BOUND_LEN: usize = 16;
/// The longest name of a record, in bytes: that of a recall, a prefix, a slash and an identifier.
const RECORD_NAME_BYTES_MAX: usize = 2 + 1 + carnet_domain::limits::IDENTIFIER_BYTES_MAX;
/// The longest token, in characters.
const TOKEN_LEN_MAX: usize = 2 * (1 + BOUND_LEN + RECORD_NAME_BYTES_MAX);

/// Of which registry, and which life of it, a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Identity of the cluster.
    pub cluster: [u8; 16],
    /// Which life of it.
    pub incarnation: u64,
}

impl Place {
    fn bound(&self, (kind, filter): (&str, &str)) -> [u8; BOUND_LEN] {
        let digest = sha256(&[
            TAG,
            &self.cluster,
            &self.incarnation.to_be_bytes(),
            kind.as_bytes(),
            &[0],
            filter.as_bytes(),
        ]);
        let mut bound = [0; BOUND_LEN];
        bound.copy_from_slice(&digest.0[..BOUND_LEN]);
        bound
    }

    /// The token by which `query` goes on after a name.
    pub fn token(&self, query: &RecordsQuery, after: &str) -> String {
        self.token_words(query.words(), after)
    }

    /// As [`Self::token`], of any list by its kind and filter in words that never change.
    pub(super) fn token_words(&self, words: (&str, &str), after: &str) -> String {
        let bound = self.bound(words);
        hex::encode([&[VERSION], &bound[..], after.as_bytes()].concat())
    }

    /// The name after which `query` goes on; none at its beginning, of which the token is empty.
    ///
    /// # Errors
    /// It is not a token of this registry, or that of another query.
    pub fn after(&self, query: &RecordsQuery, token: &str) -> Result<Option<String>, ApiError> {
        self.after_words(query.words(), token)
    }

    /// As [`Self::after`], of any list by its kind and filter.
    ///
    /// # Errors
    /// As [`Self::after`].
    pub(super) fn after_words(
        &self,
        words: (&str, &str),
        token: &str,
    ) -> Result<Option<String>, ApiError> {
        let refused = |why: &str| Err(ApiError::invalid("page_token", why));
        if token.is_empty() {
            return Ok(None);
        }
        if token.len() > TOKEN_LEN_MAX || token.bytes().any(|b| b.is_ascii_uppercase()) {
            return refused("not a token of this registry");
        }
        let bytes = hex::decode(token).unwrap_or_default();
        let name = match bytes.split_first() {
            Some((&VERSION, rest)) => rest.split_at_checked(BOUND_LEN),
            _ => None,
        };
        let Some((bound, name)) = name else {
            return refused("not a token of this registry");
        };
        if bound != self.bound(words) {
            return refused(
                "it continues another query: the kind and the filter stay the same from page to page",
            );
        }
        match std::str::from_utf8(name) {
            Ok(name) => Ok(Some(name.to_owned())),
            Err(_) => refused("not a token of this registry"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place {
        cluster: [7; 16],
        incarnation: 2,
    };

    fn robots(filter: &str) -> RecordsQuery {
        RecordsQuery::robots(filter).expect("a filter")
    }

    #[test]
    fn a_token_goes_on_with_its_own_query_only() {
        let token = HERE.token(&robots("86"), "86123400000100000000000000001");
        let after = |place: Place, query: &RecordsQuery| place.after(query, &token);
        let name = after(HERE, &robots("86")).expect("its own");
        assert_eq!(name.as_deref(), Some("86123400000100000000000000001"));
        let other_cluster = Place {
            cluster: [8; 16],
            ..HERE
        };
        let other_life = Place {
            incarnation: 3,
            ..HERE
        };
        for refused in [
            after(HERE, &robots("861234")),
            after(HERE, &robots("")),
            after(HERE, &RecordsQuery::transfers("86").expect("a filter")),
            after(other_cluster, &robots("86")),
            after(other_life, &robots("86")),
        ] {
            let refused = refused.expect_err("of another query");
            assert!(refused.to_string().contains("another query"), "{refused}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        assert_eq!(HERE.after(&robots("86"), ""), Ok(None));
        let token = HERE.token(&robots("86"), "86");
        let upper = token.to_uppercase();
        let longer = "0".repeat(TOKEN_LEN_MAX + 2);
        let other_version = format!("02{}", &token[2..]);
        let no_text = format!("{}ff", &token[..34]);
        let found = [
            "zz",
            "0",
            "01",
            "0aff",
            &token[..32],
            &upper,
            &longer,
            &other_version,
            &no_text,
            "01 ",
        ];
        for text in found {
            assert!(HERE.after(&robots("86"), text).is_err(), "{text}");
        }
        // The shortest that is one goes on after nothing.
        assert_eq!(
            HERE.after(&robots("86"), &token[..34]),
            Ok(Some(String::new()))
        );
    }
}
