//! Real makers and models as enterprises and type approvals of three countries.
//!
//! Makers of China, Germany and Japan are accredited at home. Makers of other countries have no registry here: they
//! enter as importers' filings under 86, each represented by an importer of its own code.

use std::collections::BTreeMap;

use carnet_client::identity;
use carnet_domain::bytes::code::{EnterpriseCode, EnterpriseId, ModelCode, ModelId, Prefix};
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::{Form, IdentifierScheme, Maker, ModelFacts};
use carnet_domain::rules::command::Command;
use carnet_domain::rules::policy::Role;
use serde::Deserialize;

/// A row of the file; an empty cell means that no source was read.
#[derive(Debug, Deserialize)]
struct Row {
    country_alpha2: String,
    manufacturer: String,
    model: String,
    height_cm: Option<f64>,
    mass_kg: Option<f64>,
    degrees_of_freedom: Option<String>,
    battery_wh: Option<f64>,
    bipedal: Option<bool>,
}

/// A maker (country, name) and its models.
type Makers = ((String, String), Vec<Row>);

/// What one country registers.
#[derive(Debug, Default)]
pub(super) struct Country {
    pub(super) enterprises: Vec<Command>,
    pub(super) models: Vec<Command>,
    /// Model codes of the enterprise 0001, which makes the demo's robots.
    pub(super) first_models: Vec<ModelId>,
    /// Identifier of that enterprise.
    pub(super) first_maker: Option<Maker>,
}

/// Real humanoid models: in the program, so that a demo runs wherever it lies.
pub(super) const MODELS: &str = include_str!("../../../../deploy/humanoid_models.csv");

/// Reads the models and allots codes. Enterprise 0001 of a country is its maker with the most models; 0002 is a recycler.
pub(super) fn read(models: &str) -> Result<BTreeMap<&'static str, Country>, String> {
    let fault = |error: csv::Error| format!("models: {error}");
    let mut reader = csv::Reader::from_reader(models.as_bytes());
    let mut makers: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for row in reader.deserialize() {
        let row: Row = row.map_err(fault)?;
        makers
            .entry((row.country_alpha2.clone(), row.manufacturer.clone()))
            .or_default()
            .push(row);
    }
    let mut by_prefix: BTreeMap<&'static str, Vec<Makers>> = BTreeMap::new();
    for (maker, rows) in makers {
        let prefix = match maker.0.as_str() {
            "DE" => "49",
            "JP" => "81",
            _ => "86",
        };
        by_prefix.entry(prefix).or_default().push((maker, rows));
    }
    by_prefix
        .into_iter()
        .map(|(prefix, list)| Ok((prefix, country(prefix, list)?)))
        .collect()
}

fn country(prefix: &str, mut makers: Vec<Makers>) -> Result<Country, String> {
    let domestic =
        |alpha2: &str| matches!((prefix, alpha2), ("86", "CN") | ("49", "DE") | ("81", "JP"));
    makers.sort_by_key(|((alpha2, name), rows)| {
        (!domestic(alpha2), usize::MAX - rows.len(), name.clone())
    });
    let mut out = Country::default();
    let own = Prefix::parse(prefix).map_err(|error| error.to_string())?;
    let recycler = Maker {
        scheme: IdentifierScheme::Name,
        country: home(prefix).into(),
        identifier: "DEMO-RECYCLING".into(),
    };
    out.enterprises.push(accredit(
        "0002",
        "Demo Recycling",
        recycler,
        Role::Recycler,
    )?);
    let numbers = std::iter::once(1).chain(3..);
    for (number, ((alpha2, name), rows)) in numbers.zip(makers) {
        let code = format!("{number:04}");
        let maker = Maker {
            scheme: IdentifierScheme::Name,
            country: alpha2.clone(),
            identifier: identity::canonical_name(&name)?,
        };
        out.enterprises.push(if domestic(&alpha2) {
            accredit(&code, &name, maker.clone(), Role::Manufacturer)?
        } else {
            // An importer is somebody else than the maker whose robots it files.
            let importer = Maker {
                scheme: IdentifierScheme::Name,
                country: home(prefix).into(),
                identifier: format!("IMPORTER-{code}"),
            };
            let legal = format!("Importer of {name} ({alpha2})");
            accredit(&code, &legal, importer, Role::Importer)?
        });
        let enterprise = EnterpriseCode::parse(&code).map_err(|error| error.to_string())?;
        let enterprise = EnterpriseId::new(own, enterprise).map_err(|error| error.to_string())?;
        for (at, row) in (1..).zip(&rows) {
            let id = ModelCode::parse(&format!("{:06}", 100_000 + at))
                .map_err(|error| error.to_string())?;
            let id = ModelId::new(enterprise, id).map_err(|error| error.to_string())?;
            out.models.push(approve(id, row));
            if number == 1 {
                out.first_models.push(id);
                out.first_maker = Some(maker.clone());
            }
        }
    }
    Ok(out)
}

fn home(prefix: &str) -> &'static str {
    match prefix {
        "49" => "DE",
        "81" => "JP",
        _ => "CN",
    }
}

fn accredit(code: &str, name: &str, maker: Maker, role: Role) -> Result<Command, String> {
    Ok(Command::AccreditEnterprise {
        code: EnterpriseCode::parse(code).map_err(|error| error.to_string())?,
        name: name.to_owned(),
        maker,
        roles: vec![role],
        valid_from: TimeMs(0),
        valid_to: TimeMs::MAX,
    })
}

fn approve(id: ModelId, row: &Row) -> Command {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of f64 saturates, and the file has no such numbers"
    )]
    let whole = |number: Option<f64>| number.map_or(0, |number| number.round() as u32);
    let degrees = row.degrees_of_freedom.as_deref().unwrap_or_default();
    let facts = ModelFacts {
        name: row.model.clone(),
        certificate: format!("TA-{id}"),
        form: match row.bipedal {
            Some(true) => Form::Bipedal,
            Some(false) => Form::Wheeled,
            None => Form::Other,
        },
        level: 3,
        safety_class: 2,
        height_cm: whole(row.height_cm),
        mass_kg: whole(row.mass_kg),
        degrees_of_freedom: degrees.trim_end_matches('+').parse().unwrap_or(0),
        battery_wh: whole(row.battery_wh),
        firmware_family: "main".into(),
        // Industrial robots.
        commodity: "847950".into(),
    };
    Command::ApproveModel {
        id,
        facts,
        production_from: TimeMs(0),
        production_to: TimeMs::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, the demo looked for its models where it was called, and played in a checkout alone.
    #[test]
    fn the_program_has_its_models_in_it() {
        let countries = read(MODELS).expect("read");
        assert_eq!(
            countries.keys().copied().collect::<Vec<_>>(),
            ["49", "81", "86"]
        );
        for (prefix, country) in &countries {
            assert!(!country.first_models.is_empty(), "{prefix}");
            assert!(country.first_maker.is_some(), "{prefix}");
        }
        assert!(read("manufacturer\nX\n").is_err());
    }
}
