//! Compares rows with what the registry has: a code that is there already is no success by itself.

use carnet_client::{Client, ClientError};
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
        return Ok(between(&registered, row));
    }
    // The registration itself is not disclosed: the record has the part of it that never changes.
    let there = client.unverified().robot(&row.code).await?.value;
    let identity = &there.identity;
    let mut found = Vec::new();
    let mut note = |field: &str, there: String, here: String| {
        if there != here {
            found.push(format!("{field}: {there} there, {here} in the row"));
        }
    };
    note(
        "body",
        identity.body.to_string(),
        row.body.identity().to_string(),
    );
    note(
        "manufactured",
        identity.manufactured.to_string(),
        row.manufactured.to_string(),
    );
    note(
        "site",
        format!("{:?}", identity.site),
        format!("{:?}", row.site),
    );
    note("origin", identity.origin.clone(), row.origin.clone());
    note(
        "importers_filing",
        identity.importers_filing.to_string(),
        row.importers_filing.to_string(),
    );
    Ok(found)
}

fn between(there: &Registration, row: &Registration) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |field: &str, there: String, here: String| {
        if there != here {
            found.push(format!("{field}: {there} there, {here} in the row"));
        }
    };
    let maker = |one: &Registration| {
        let maker = &one.body.maker;
        format!(
            "{}:{}:{}",
            maker.scheme.name().to_ascii_lowercase(),
            maker.country,
            maker.identifier
        )
    };
    let parts = |one: &Registration| {
        let all = one.identity_parts.iter().chain(&one.parts);
        let texts = all.map(|part| match part.lot.as_str() {
            "" => format!("{}:{}", part.kind.word(), part.serial),
            lot => format!("{}:{}:{lot}", part.kind.word(), part.serial),
        });
        format!("{:?}", texts.collect::<Vec<_>>().join(" "))
    };
    let key = |one: &Registration| {
        one.robot_key
            .map_or("none".to_owned(), |key| key.to_string())
    };
    let firmware = |one: &Registration| format!("{}:{}", one.firmware.family, one.firmware.build);
    note("maker", maker(there), maker(row));
    note(
        "body_serial",
        there.body.serial.clone(),
        row.body.serial.clone(),
    );
    note(
        "manufactured",
        there.manufactured.to_string(),
        row.manufactured.to_string(),
    );
    note(
        "site",
        format!("{:?}", there.site),
        format!("{:?}", row.site),
    );
    note("origin", there.origin.clone(), row.origin.clone());
    note(
        "prototype",
        there.prototype.to_string(),
        row.prototype.to_string(),
    );
    note(
        "importers_filing",
        there.importers_filing.to_string(),
        row.importers_filing.to_string(),
    );
    note("parts", parts(there), parts(row));
    note("robot_key", key(there), key(row));
    note("firmware", firmware(there), firmware(row));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::tests::{CODE_1, defaults, row};

    #[test]
    fn every_column_of_a_row_is_compared() {
        let registration = |extra: &[(&'static str, &str)]| {
            let mut cells = row(CODE_1);
            cells.extend(extra.iter().map(|(name, text)| (*name, (*text).to_owned())));
            crate::import::cells::registration(&cells, &defaults()).expect("a robot")
        };
        let there = registration(&[]);
        assert_eq!(between(&there, &registration(&[])), Vec::<String>::new());
        let key = "5866666666666666666666666666666666666666666666666666666666666666";
        for (column, text) in [
            ("manufactured", "2026-05-02"),
            ("body_serial", "other"),
            ("site", "Wuhan"),
            ("origin", "DE"),
            ("firmware", "main:2"),
            ("parts", "battery:B1"),
            ("robot_key", key),
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
