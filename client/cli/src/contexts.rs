//! The contexts of a person: where a registry is, who one is there, and whose roots are believed. A context begins with pinning.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use carnet_client::private_folder;
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_trust::bundle::verify_bundle;
use carnet_trust::pins::{Pin, Pins};
use carnet_trust::verdict::OWN_AGE_MAX;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Context, ContextFile, Global, choose, current};
use crate::exit::{Failed, chain};
use crate::trust::read_bundle;

#[derive(Debug, Subcommand)]
pub(crate) enum Contexts {
    /// Adds a context: what is said of the connection beside it, and the bundles that are believed from now on.
    ///
    /// Ask every country for the fingerprint of its bundle by another way than the bundle came, and give both:
    ///
    ///   carnet --endpoints 10.0.0.1:7102,10.0.0.2:7102 --pki /etc/carnet/pki --as customs-hamburg-karl
    ///   context add de --own 49 --pin de.bundle=FINGERPRINT --pin cn.bundle=FINGERPRINT
    ///
    /// The bundles are kept beside the context file. Verdicts asked for in the context are judged here, under them.
    Add(Box<Add>),
    /// Lists the contexts.
    List,
    /// Makes a context the one that is taken when none is named.
    Use {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name: letters, digits and -.
    #[arg(value_parser = named)]
    name: String,
    /// A bundle, and its fingerprint as that country said it. Once a country, the own one among them.
    #[arg(long = "pin", value_name = "BUNDLE=FINGERPRINT", required = true, value_parser = bundle)]
    pins: Vec<(PathBuf, Digest)>,
    /// The verifier's own country: one of those pinned.
    #[arg(long)]
    own: Prefix,
}

fn named(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits and -".to_owned()),
    }
}

fn bundle(text: &str) -> Result<(PathBuf, Digest), String> {
    let (file, print) = text.rsplit_once('=').ok_or("write BUNDLE=FINGERPRINT")?;
    let plain = print.chars().filter(|c| !matches!(c, ' ' | ':' | '-'));
    let digest = Digest::parse(&plain.collect::<String>());
    let digest = digest.map_err(|error| format!("fingerprint: {error}"))?;
    Ok((PathBuf::from(file), digest))
}

pub(crate) fn run(verb: Contexts, global: &Global) -> Result<Outcome, Failed> {
    let path = global.context_file();
    match verb {
        Contexts::Add(new) => add(&new, global, &path),
        Contexts::List => {
            let file = ContextFile::read(&text_of(&path)?).map_err(wrong(&path))?;
            let rows = file.contexts.iter().map(|(name, context)| {
                json!({
                    "context": name,
                    "current": file.current.as_ref() == Some(name),
                    "endpoints": context.endpoints,
                    "as": context.who,
                    "pki": context.pki.as_ref().map(|path| path.display().to_string()),
                    "own": context.own,
                    "pinned": context.pins.len(),
                })
            });
            Ok(Value::Array(rows.collect()).into())
        }
        Contexts::Use { name } => {
            let text = current(&text_of(&path)?, &name).map_err(wrong(&path))?;
            replace(&path, &text)?;
            Ok(json!({"current": name, "file": path.display().to_string()}).into())
        }
    }
}

fn wrong(path: &Path) -> impl FnOnce(String) -> Failed {
    move |fault| Failed::usage(format!("{}: {fault}", path.display()))
}

/// The file as it stands; nothing if there is none.
fn text_of(path: &Path) -> Result<String, Failed> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(wrong(path)(error.to_string())),
    }
}

fn add(new: &Add, global: &Global, path: &Path) -> Result<Outcome, Failed> {
    let before = text_of(path)?;
    let known = ContextFile::read(&before).map_err(wrong(path))?;
    if known.contexts.contains_key(&new.name) {
        return Err(Failed::usage(format!(
            "there is a context {} already in {}",
            new.name,
            path.display()
        )));
    }
    let said = global.said().map_err(Failed::usage)?;
    if said.endpoints.is_empty() {
        return Err(Failed::usage("where is the registry? (--endpoints)"));
    }
    let mut kept = Vec::new();
    let mut pins = Vec::new();
    for (file, fingerprint) in &new.pins {
        let (signed, bundle) = read_bundle(file)?;
        let refused = |fault: String| Failed::usage(format!("{}: {fault}", file.display()));
        verify_bundle(&signed, fingerprint).map_err(|error| refused(chain(&error)))?;
        pins.push(Pin::of_bundle(&signed).map_err(|error| refused(chain(&error)))?);
        let prefix = bundle.primary();
        let prefix = prefix.ok_or_else(|| refused("the bundle names no prefix".into()))?;
        kept.push((file, prefix));
    }
    // Whether they are one set, and the own country is one of them, is judged before any is kept.
    Pins::new(new.own, pins, OWN_AGE_MAX).map_err(|error| Failed::usage(chain(&error)))?;
    let folder = path.with_extension("pins").join(&new.name);
    let mut context: Context = said;
    context.own = Some(new.own.to_string());
    for (file, prefix) in &kept {
        let place = folder.join(format!("{prefix}.bundle"));
        let bytes = crate::trust::read(file)?;
        private_folder(&folder)
            .map_err(|error| Failed::local(format!("{}: {error}", folder.display())))?;
        write_private(&place, &bytes)?;
        context
            .pins
            .push(std::path::absolute(&place).unwrap_or(place));
    }
    let text = context.behind(&before, &new.name).map_err(wrong(path))?;
    replace(path, &text)?;
    let value = json!({
        "context": new.name,
        "file": path.display().to_string(),
        "own": new.own.to_string(),
        "pinned": kept.iter().map(|(_, prefix)| prefix.to_string()).collect::<Vec<_>>(),
        "next": format!("carnet --context {0} …, or carnet context use {0}", new.name),
    });
    Ok(value.into())
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| Failed::local(format!("{}: {error}", path.display())))
}

/// Puts a text in the place of the file, whole or not at all, once it is known to be read as contexts.
fn replace(path: &Path, text: &str) -> Result<(), Failed> {
    choose(text, None).map_err(wrong(path))?;
    let fault = |error: std::io::Error| Failed::local(format!("{}: {error}", path.display()));
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        private_folder(folder).map_err(fault)?;
    }
    let part = PathBuf::from(format!("{}.{}.part", path.display(), std::process::id()));
    write_private(&part, text.as_bytes())?;
    std::fs::rename(&part, path).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_kit::Country;
    use carnet_trust::bundle::to_file;
    use clap::Parser;

    /// What a call with this context file says, as JSON.
    fn call(file: &Path, words: &str) -> Result<Value, Failed> {
        let head = ["carnet", "--config"].map(str::to_owned);
        let words = words.split(' ').map(str::to_owned);
        let file = file.display().to_string();
        let all = head.into_iter().chain([file]).chain(words);
        let cli = crate::Cli::try_parse_from(all).map_err(Failed::usage)?;
        match cli.noun {
            crate::Noun::Context(verb) => run(verb, &cli.global).map(|done| done.value),
            _ => Err(Failed::usage("another noun")),
        }
    }

    #[test]
    fn a_context_begins_with_bundles_whose_fingerprints_were_compared() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("contexts.toml");
        let mut made = Vec::new();
        for prefix in ["86", "49"] {
            let mut country = Country::new(prefix);
            let signed = country.bundle();
            let path = folder.path().join(format!("{prefix}.bundle"));
            std::fs::write(&path, to_file(&signed)).expect("written");
            let read = read_bundle(&path).expect("a bundle").1;
            made.push((path.display().to_string(), read.fingerprint().to_string()));
        }
        let pin = |at: usize, print: &str| format!("--pin {}={print}", made[at].0);
        let (own, other) = (pin(0, &made[0].1), pin(1, &made[1].1));
        let add = |rest: &str| call(&file, &format!("--endpoints a:1 --as customs-x-y {rest}"));
        let wrong = pin(0, &made[1].1);
        for refused in [
            "context add cn --own 86",
            &format!("context add cn --own 86 {wrong}"),
            &format!("context add cn --own 86 {other}"),
            &format!("context add c.n --own 86 {own}"),
        ] {
            assert!(add(refused).is_err(), "{refused}");
        }
        assert!(!file.exists(), "nothing of it is kept");
        let no_place = call(&file, &format!("context add cn --own 86 {own}"));
        assert!(no_place.expect_err("where").text.contains("--endpoints"));
        add(&format!("context add cn --own 86 {own} {other}")).expect("added");
        let again = add(&format!("context add cn --own 86 {own}"));
        assert!(again.expect_err("there").text.contains("already"));
        add(&format!("context add de --own 49 {other}")).expect("added");
        let listed = call(&file, "context list").expect("listed");
        assert_eq!(listed[0]["pinned"], 2);
        assert_eq!(
            (&listed[0]["current"], &listed[1]["current"]),
            (&json!(true), &json!(false))
        );
        call(&file, "context use de").expect("used");
        assert!(call(&file, "context use fr").is_err());
        let settings =
            crate::Cli::try_parse_from(["carnet", "--config", &file.display().to_string(), "demo"]);
        let settings = settings
            .expect("a call")
            .global
            .settings()
            .expect("settings");
        let (pins, own) = settings.pinned();
        assert_eq!(
            (pins.len(), own.map(|own| own.to_string())),
            (1, Some("49".into()))
        );
        assert!(
            pins[0].exists() && pins[0] != Path::new(&made[1].0),
            "a copy of its own"
        );
    }
}
