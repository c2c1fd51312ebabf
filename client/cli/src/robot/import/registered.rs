//! Compares rows with what the registry has: a code that is there already is no success by itself.

use carnet_client::{Client, ClientError};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::rules::command::Registration;

/// How a row differs from what is registered under its code; nothing if it does not.
///
/// # Errors
/// As every read.
pub(super) async fn differences(
    client: &Client,
    row: &Registration,
) -> Result<Vec<String>, ClientError> {
    if let Some(registered) = client.unverified().registration(&row.code).await?.value {
        return Ok(different(fields(&registered), fields(row)));
    }
    // The registration itself is not disclosed: the record has the part of it that never changes.
    let there = client.unverified().robot(&row.code).await?.value.identity;
    let body = |identity: String| [("body", identity)];
    let made = Made {
        at: there.manufactured,
        site: &there.site,
        origin: &there.origin,
        importers_filing: there.importers_filing,
    };
    let shown = body(there.body.to_string())
        .into_iter()
        .chain(made.fields());
    let meant = body(row.body.identity().to_string());
    let meant = meant.into_iter().chain(Made::of(row).fields());
    Ok(different(shown.collect(), meant.collect()))
}

/// What is compared: a name, and what stands there as a person reads it.
type Field = (&'static str, String);

/// The fields that differ.
fn different(there: Vec<Field>, here: Vec<Field>) -> Vec<String> {
    let both = there.into_iter().zip(here);
    let differing = both.filter(|((_, there), (_, here))| there != here);
    differing
        .map(|((name, there), (_, here))| format!("{name}: {there} there, {here} in the row"))
        .collect()
}

/// What a record and a registration both have of how a robot was made.
struct Made<'a> {
    at: TimeMs,
    site: &'a str,
    origin: &'a str,
    importers_filing: bool,
}

impl<'a> Made<'a> {
    fn of(one: &'a Registration) -> Self {
        Self {
            at: one.manufactured,
            site: &one.site,
            origin: &one.origin,
            importers_filing: one.importers_filing,
        }
    }

    fn fields(&self) -> [Field; 4] {
        [
            ("manufactured", self.at.to_string()),
            ("site", format!("{:?}", self.site)),
            ("origin", self.origin.to_owned()),
            ("importers_filing", self.importers_filing.to_string()),
        ]
    }
}

/// Every field of a registration but its code.
fn fields(one: &Registration) -> Vec<Field> {
    let maker = &one.body.maker;
    let scheme = maker.scheme.name().to_ascii_lowercase();
    let parts = one.identity_parts.iter().chain(&one.parts);
    let parts = parts.map(|part| match part.lot.as_str() {
        "" => format!("{}:{}", part.kind.word(), part.serial),
        lot => format!("{}:{}:{lot}", part.kind.word(), part.serial),
    });
    let parts = parts.collect::<Vec<_>>().join(" ");
    let key = one.robot_key.map(|key| key.public.to_string());
    let firmware = &one.firmware;
    let mut fields = vec![
        (
            "maker",
            format!("{scheme}:{}:{}", maker.country, maker.identifier),
        ),
        ("body_serial", one.body.serial.clone()),
    ];
    fields.extend(Made::of(one).fields());
    fields.extend([
        ("prototype", one.prototype.to_string()),
        ("parts", format!("{parts:?}")),
        ("robot_key", key.unwrap_or_else(|| "none".to_owned())),
        (
            "firmware",
            format!("{}:{}", firmware.family, firmware.build),
        ),
    ]);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::robot_key_text;
    use crate::robot::import::tests::{CODE_1, defaults, row};
    use carnet_domain::record::RobotKey;

    fn between(there: &Registration, row: &Registration) -> Vec<String> {
        different(fields(there), fields(row))
    }

    #[test]
    fn every_column_of_a_row_is_compared() {
        let registration = |extra: &[(&'static str, &str)]| {
            let mut cells = row(CODE_1);
            cells.extend(extra.iter().map(|(name, text)| (*name, (*text).to_owned())));
            crate::robot::import::cells::registration(&cells, &defaults()).expect("a robot")
        };
        let there = registration(&[]);
        assert_eq!(between(&there, &registration(&[])), Vec::<String>::new());
        let secret = carnet_domain::bytes::signature::SecretKey::from_seed(&[7; 32]);
        let key = RobotKey::prove(&there.code, &there.body.identity(), &secret);
        let key = robot_key_text(&key);
        for (column, text) in [
            ("manufactured", "2026-05-02"),
            ("body_serial", "other"),
            ("site", "Wuhan"),
            ("origin", "DE"),
            ("firmware", "main:2"),
            ("parts", "battery:B1"),
            ("robot_key", &key),
            ("prototype", "yes"),
            ("importers_filing", "yes"),
            ("maker_id", "Other"),
        ] {
            let found = between(&there, &registration(&[(column, text)]));
            let named = column.strip_suffix("_id").unwrap_or(column);
            assert_eq!(found.len(), 1, "{column}: {found:?}");
            assert!(found[0].starts_with(named), "{column}: {found:?}");
        }
        let elsewhere = registration(&[("maker_country", "DE")]);
        assert_eq!(between(&there, &elsewhere).len(), 2, "maker and origin");
    }
}
