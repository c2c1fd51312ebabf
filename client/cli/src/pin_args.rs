//! What a call says that it believes: bundles and roots that somebody compared and pinned.

use std::path::{Path, PathBuf};

use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::time::DurationMs;
use carnet_trust::bundle::{BUNDLE_FILE_BYTES_MAX, of_file};
use carnet_trust::pins::{Pin, Pins};
use carnet_trust::verdict::OWN_AGE_MAX;
use clap::Args;

use crate::bounded::read_bounded;
use crate::exit::{Failed, chain};
use crate::key_text::read_key;
use crate::parse;
use crate::settings::Settings;

/// The roots that a verifier has compared and pinned.
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// A bundle whose fingerprint was compared: its roots are pinned. Once a country. Default is what `carnet context add` pinned.
    #[arg(long = "pin", value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    /// Root keys of a country as PREFIX=KEY[,KEY…]; a key is 64 hexadecimal digits or a .pub file.
    #[arg(long = "root", value_name = "ROOTS")]
    roots: Vec<String>,
    /// The verifier's own country, one of those pinned by bundle. It is never guessed: it is said here, or was to `carnet context add`.
    #[arg(long)]
    own: Option<Prefix>,
    /// The oldest head of our own log, and the oldest pack, that counts as fresh.
    #[arg(long, value_parser = parse::duration)]
    own_age: Option<DurationMs>,
}

impl PinArgs {
    pub(crate) fn pins(&self, settings: &Settings) -> Result<Option<Pins>, Failed> {
        let said = !self.bundles.is_empty() || !self.roots.is_empty() || self.own.is_some();
        // All of it or nothing: what a call says and what the context has are no one set that anybody compared.
        let (bundles, own) = match said {
            true => (self.bundles.as_slice(), self.own),
            false => settings.pinned(),
        };
        let mut pins = Vec::new();
        for path in bundles {
            pins.push(pin_of_bundle(path)?);
        }
        for text in &self.roots {
            pins.push(pin_of_text(text)?);
        }
        if pins.is_empty() {
            return match own {
                None => Ok(None),
                Some(own) => Err(Failed::usage(format!(
                    "--own {own}: nothing is pinned (--pin BUNDLE or --root PREFIX=KEY)"
                ))),
            };
        }
        let own = own.ok_or_else(|| {
            Failed::usage(
                "for which country? (--own PREFIX: the verifier's own, which is pinned too)",
            )
        })?;
        let age = self.own_age.unwrap_or(OWN_AGE_MAX);
        let pins = Pins::new(own, pins, age);
        pins.map(Some).map_err(|error| Failed::usage(chain(&error)))
    }

    /// Pins where there must be some.
    pub(crate) fn needed(&self, settings: &Settings) -> Result<Pins, Failed> {
        let pins = self.pins(settings)?;
        pins.ok_or_else(|| {
            Failed::usage("whose roots are pinned? (--pin BUNDLE or --root PREFIX=KEY)")
        })
    }
}

fn pin_of_bundle(path: &Path) -> Result<Pin, Failed> {
    let wrong = |text: String| Failed::usage(format!("{}: {text}", path.display()));
    let bytes = read_bounded(path, BUNDLE_FILE_BYTES_MAX)?;
    let unreadable = |text: String| Failed::unreadable(format!("{}: {text}", path.display()));
    let signed = of_file(&bytes).map_err(|error| unreadable(chain(&error)))?;
    Pin::of_bundle(&signed).map_err(|error| wrong(chain(&error)))
}

fn pin_of_text(text: &str) -> Result<Pin, Failed> {
    let (prefix, keys) = text
        .split_once('=')
        .ok_or_else(|| Failed::usage(format!("--root {text:?}: write PREFIX=KEY[,KEY…]")))?;
    let prefix =
        Prefix::parse(prefix).map_err(|error| Failed::usage(format!("--root: {error}")))?;
    let roots = keys
        .split(',')
        .map(read_key)
        .collect::<Result<Vec<_>, _>>()?;
    let threshold = if roots.len() == 1 { 1 } else { 2 };
    Pin::of_roots(prefix, roots, threshold)
        .map_err(|error| Failed::usage(format!("--root: {}", chain(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    /// Settings of a call that says nothing, in no context.
    fn nowhere() -> Settings {
        use clap::Parser as _;
        let call = crate::Cli::try_parse_from(["carnet", "--config", "/dev/null", "demo"]);
        call.expect("a call").global.settings().expect("settings")
    }

    fn pinned(own: Option<&str>, roots: &[String]) -> PinArgs {
        PinArgs {
            bundles: vec![],
            roots: roots.to_vec(),
            own: own.map(|own| Prefix::parse(own).expect("a prefix")),
            own_age: None,
        }
    }

    #[test]
    fn an_offline_verdict_needs_pinned_roots() {
        assert!(
            pinned(None, &[])
                .pins(&nowhere())
                .expect("no pins")
                .is_none()
        );
        assert_eq!(
            pinned(None, &[]).needed(&nowhere()).expect_err("none").code,
            exit::USAGE
        );
        assert_eq!(pin_of_text("86").expect_err("no keys").code, exit::USAGE);
    }

    /// The own country decides whose agreements and whose word count: it is said, and pinned.
    #[test]
    fn the_own_country_is_never_guessed() {
        let key = |byte: u8| {
            let key = carnet_domain::bytes::signature::SecretKey::from_seed(&[byte; 32]);
            key.public().to_string()
        };
        let roots = [format!("86={}", key(1)), format!("49={}", key(2))];
        for (own, expected) in [
            (None, "for which country?"),
            (Some("81"), "81, the verifier's own country, is not pinned"),
        ] {
            let failed = pinned(own, &roots)
                .pins(&nowhere())
                .expect_err("not said, or not pinned");
            assert!(failed.text.starts_with(expected), "{}", failed.text);
            assert_eq!(failed.code, exit::USAGE);
        }
        assert!(
            pinned(Some("49"), &roots)
                .pins(&nowhere())
                .expect("pins")
                .is_some()
        );
        let twice = [roots[0].clone(), roots[0].clone()];
        let failed = pinned(Some("86"), &twice)
            .pins(&nowhere())
            .expect_err("twice");
        assert!(failed.text.contains("pinned twice"), "{}", failed.text);
    }
}
