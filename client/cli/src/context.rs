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
use crate::bundle::{bundle_in, read_bundle};
use crate::exit::{Failed, chain};
use crate::settings::{Context, ContextFile, Global, choose, current, in_place, without};

#[derive(Debug, Subcommand)]
pub(crate) enum Contexts {
    /// Adds a context: what is said of the connection beside it, and the bundles that are believed from now on.
    ///
    /// A bundle is a file that a country's roots signed (`carnet bundle export` there, the own one too): whoever holds the roots sends
    /// it, by whatever way, and `carnet bundle show FILE` shows its fingerprint. Ask every country for that fingerprint by another
    /// way than the bundle came, by telephone or on paper, and give both:
    ///
    ///   carnet --endpoints 10.0.0.1:7102,10.0.0.2:7102 --pki /etc/carnet/pki --as customs-hamburg-karl
    ///   context add de --own 49 --pin de.bundle=FINGERPRINT --pin cn.bundle=FINGERPRINT
    ///
    /// The bundles are kept beside the context file. Verdicts asked for in the context are judged here, under them.
    Add(Box<Add>),
    /// Changes a context: what is said beside it takes the place of what stands there, all else stays as it is.
    ///
    ///   carnet context change de --pin our.bundle=FINGERPRINT
    ///   carnet --endpoints 10.0.0.4:7102 context change de
    ///
    /// A bundle takes the place of that of the same country, if it is not older than any that was pinned on this machine.
    Change(Box<Change>),
    /// Removes a context, with the bundles that were kept for it. Nothing else on this machine or in a registry is changed.
    Remove {
        /// Its name, as `context list` shows it.
        name: String,
    },
    /// Lists the contexts.
    List,
    /// Makes a context the one that is taken when none is named.
    Use {
        /// Its name, as `context list` shows it.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name: letters, digits and -.
    #[arg(value_parser = named)]
    name: String,
    /// A bundle, the file that a country's roots signed, and its fingerprint as that country said it by another way. Once a country, the own
    /// one among them.
    #[arg(long = "pin", value_name = "BUNDLE=FINGERPRINT", required = true, value_parser = bundle)]
    pins: Vec<(PathBuf, Digest)>,
    /// The verifier's own country: one of those pinned.
    #[arg(long)]
    own: Prefix,
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Its name, as `context list` shows it.
    name: String,
    /// A bundle, and its fingerprint as that country said it: of a country that is pinned, the newer one. May be repeated.
    #[arg(long = "pin", value_name = "BUNDLE=FINGERPRINT", value_parser = bundle)]
    pins: Vec<(PathBuf, Digest)>,
    /// A country that is to be pinned no more, by its primary prefix. May be repeated.
    #[arg(long, value_name = "PREFIX")]
    unpin: Vec<Prefix>,
    /// The verifier's own country: one of those pinned.
    #[arg(long)]
    own: Option<Prefix>,
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
        Contexts::Change(change) => changed(&change, global, &path),
        Contexts::Remove { name } => remove(&name, &path),
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
            "there is a context {} already in {}; carnet context change {} changes it",
            new.name,
            path.display(),
            new.name
        )));
    }
    let said = global.said().map_err(Failed::usage)?;
    if said.endpoints.is_empty() {
        return Err(Failed::usage("where is the registry? (--endpoints)"));
    }
    let (kept, pins) = compared(&new.pins)?;
    // Whether they are one set, and the own country is one of them, is judged before any is kept.
    let pins = Pins::new(new.own, pins, OWN_AGE_MAX);
    pins.map_err(|error| Failed::usage(chain(&error)))?;
    let mut context: Context = said;
    context.own = Some(new.own.to_string());
    for (bytes, prefix) in &kept {
        context.pins.push(keep(bytes, *prefix, &new.name, path)?);
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

/// The bytes of a file, and the country that its bundle is of.
type Of = (Vec<u8>, Prefix);

/// Bundles whose fingerprints are those that were said, and whose they are.
fn compared(said: &[(PathBuf, Digest)]) -> Result<(Vec<Of>, Vec<Pin>), Failed> {
    let (mut kept, mut pins) = (Vec::new(), Vec::new());
    for (file, fingerprint) in said {
        // What is kept is what was compared, whatever the file is a moment later.
        let bytes = crate::signed::read(file).map_err(|failed| Failed {
            next: format!(
                "Ask whoever holds the roots of that country for its bundle (carnet bundle export there), and for its fingerprint by \
                 another way. {}",
                failed.next
            ),
            ..failed
        })?;
        let (signed, bundle) = bundle_in(file, &bytes)?;
        let refused = |fault: String| Failed::usage(format!("{}: {fault}", file.display()));
        verify_bundle(&signed, fingerprint).map_err(|error| refused(chain(&error)))?;
        pins.push(Pin::of_bundle(&signed).map_err(|error| refused(chain(&error)))?);
        let prefix = bundle.primary();
        let prefix = prefix.ok_or_else(|| refused("the bundle names no prefix".into()))?;
        kept.push((bytes, prefix));
    }
    Ok((kept, pins))
}

/// Where the bundles of a context are kept.
fn folder_of(name: &str, path: &Path) -> PathBuf {
    path.with_extension("pins").join(name)
}

/// Keeps the bundle of a country for a context; gives where.
fn keep(bytes: &[u8], prefix: Prefix, name: &str, path: &Path) -> Result<PathBuf, Failed> {
    let folder = folder_of(name, path);
    let place = folder.join(format!("{prefix}.bundle"));
    private_folder(&folder)
        .map_err(|error| Failed::local(format!("{}: {error}", folder.display())))?;
    // In the place of another it is whole or not at all: the context names it all the while.
    let part = folder.join(format!("{prefix}.{}.part", std::process::id()));
    write_private(&part, bytes)?;
    std::fs::rename(&part, &place)
        .map_err(|error| Failed::local(format!("{}: {error}", place.display())))?;
    Ok(std::path::absolute(&place).unwrap_or(place))
}

/// The context as it stands in the file.
fn standing(name: &str, text: &str, path: &Path) -> Result<Context, Failed> {
    choose(text, Some(name)).map_err(wrong(path))
}

fn changed(change: &Change, global: &Global, path: &Path) -> Result<Outcome, Failed> {
    let before = text_of(path)?;
    let stood = standing(&change.name, &before, path)?;
    let mut context = stood.clone();
    context.take(global.said().map_err(Failed::usage)?);
    if let Some(own) = change.own {
        context.own = Some(own.to_string());
    }
    let (kept, mut pins) = compared(&change.pins)?;
    let given: Vec<Prefix> = kept.iter().map(|(_, prefix)| *prefix).collect();
    let mut unknown = change.unpin.clone();
    context.pins.clear();
    for file in &stood.pins {
        let (signed, bundle) = read_bundle(file)?;
        let refused = |fault: String| Failed::usage(format!("{}: {fault}", file.display()));
        let pin = Pin::of_bundle(&signed).map_err(|error| refused(chain(&error)))?;
        let prefix = pin.primary();
        unknown.retain(|country| *country != prefix);
        if given.contains(&prefix) {
            let newer = pins.iter().find(|pin| pin.primary() == prefix);
            let newer = newer.and_then(|pin| pin.bundle());
            if newer.is_some_and(|newer| newer.bundle().sequence < bundle.sequence) {
                return Err(older(prefix, bundle.sequence));
            }
        } else if !change.unpin.contains(&prefix) {
            pins.push(pin);
            context.pins.push(file.clone());
        }
    }
    if let [country, ..] = unknown.as_slice() {
        let text = format!("context {} does not pin {country}", change.name);
        return Err(Failed::usage(text));
    }
    let own = context.own.as_deref().map(Prefix::parse).transpose();
    let own = own.map_err(|error| Failed::usage(format!("own: {error}")))?;
    match own {
        Some(own) => {
            let pins = Pins::new(own, pins, OWN_AGE_MAX);
            let pins = pins.map_err(|error| Failed::usage(chain(&error)))?;
            crate::pinned::compare(&pins, &global.state_dir())?;
        }
        None if pins.is_empty() => {}
        None => return Err(Failed::usage("for which country? (--own PREFIX)")),
    }
    for (bytes, prefix) in &kept {
        let place = keep(bytes, *prefix, &change.name, path)?;
        context.pins.push(place);
    }
    let fields = context.differing(&stood).map_err(wrong(path))?;
    let is_pinned = !kept.is_empty();
    if fields.is_empty() && !is_pinned {
        return Err(Failed::usage(
            "nothing is changed: say what is, before the noun (--endpoints, --as, …) or behind the name (--pin, --unpin, --own)",
        ));
    }
    let text = in_place(&before, &change.name, &context).map_err(wrong(path))?;
    replace(path, &text)?;
    // What no context names any more is nobody's.
    for file in stood
        .pins
        .iter()
        .filter(|file| !context.pins.contains(file))
    {
        if file.starts_with(folder_of(&change.name, path)) {
            drop(std::fs::remove_file(file));
        }
    }
    let value = json!({
        "context": change.name,
        "file": path.display().to_string(),
        "changed": fields,
        "pinned_anew": given.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "own": context.own,
        "endpoints": context.endpoints,
    });
    Ok(value.into())
}

fn older(prefix: Prefix, sequence: u64) -> Failed {
    let text = format!(
        "the bundle of {prefix} that is given is older than the one that the context pins, whose sequence is {sequence}"
    );
    Failed {
        next: "Nothing was changed. Give the newer one.".into(),
        ..Failed::usage(text)
    }
}

fn remove(name: &str, path: &Path) -> Result<Outcome, Failed> {
    let before = text_of(path)?;
    standing(name, &before, path)?;
    let current = ContextFile::read(&before).map_err(wrong(path))?.current;
    let text = without(&before, name).map_err(wrong(path))?;
    replace(path, &text)?;
    let folder = folder_of(name, path);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failed::local(format!(
                "the context is removed; {}: {error}",
                folder.display()
            )));
        }
        _ => {}
    }
    let mut value = json!({"removed": name, "file": path.display().to_string()});
    if current.as_deref() == Some(name) {
        value["next"] = "None is current now: carnet context use NAME.".into();
    }
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
        let file_folder = file.parent().expect("a folder");
        let head = ["carnet", "--config"].map(str::to_owned);
        let words = words.split(' ').map(str::to_owned);
        let file = file.display().to_string();
        let all = head.into_iter().chain([file]).chain(words);
        let mut cli = crate::Cli::try_parse_from(all).map_err(Failed::usage)?;
        cli.global.keep_state_in(file_folder);
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
            let read = crate::bundle::read_bundle(&path).expect("a bundle").1;
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

    /// Bundles of 86 in files, by sequence, each with its fingerprint.
    fn bundles(folder: &Path, sequences: &[u64]) -> Vec<(String, String)> {
        use carnet_domain::bytes::encoding::{Blob, Canonical as _};
        use carnet_domain::record::peer::Signed;
        let country = Country::new("86");
        let made = sequences.iter().map(|sequence| {
            let bundle = country.bundle_of(*sequence);
            let bytes = bundle.to_bytes();
            let signed = Signed {
                signatures: country.root_signatures(&bytes),
                bytes: Blob(bytes),
            };
            let path = folder.join(format!("86-{sequence}.bundle"));
            std::fs::write(&path, to_file(&signed)).expect("written");
            let print = crate::view::print(&bundle.fingerprint());
            (path.display().to_string(), print)
        });
        made.collect()
    }

    /// Once, a desk that was given its country's newer bundle could put it into no context that it had.
    #[test]
    fn a_context_takes_a_newer_bundle_and_another_address_and_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("contexts.toml");
        let made = bundles(folder.path(), &[2, 3]);
        let pin = |at: usize| format!("--pin {}={}", made[at].0, made[at].1);
        let add = format!(
            "--endpoints a:1 --as customs-x-y context add cn --own 86 {}",
            pin(0)
        );
        call(&file, &add).expect("added");
        let de = format!("--endpoints b:1 context add de --own 86 {}", pin(0));
        call(&file, &de).expect("added");
        let text = std::fs::read_to_string(&file).expect("read");
        std::fs::write(&file, format!("# mine\n{text}")).expect("written");
        let nothing = call(&file, "context change cn").expect_err("nothing");
        assert!(
            nothing.text.contains("nothing is changed"),
            "{}",
            nothing.text
        );
        let wrong = format!("context change cn --pin {}={}", made[1].0, made[0].1);
        assert!(call(&file, &wrong).is_err(), "another fingerprint");
        assert!(call(&file, "context change fr --own 86").is_err());
        assert!(call(&file, "context change cn --unpin 49").is_err());
        assert!(
            call(&file, "context change cn --unpin 86").is_err(),
            "the own one"
        );
        let newer = format!("context change cn {}", pin(1));
        call(&file, &newer).expect("changed");
        let read = |name: &str| {
            let text = std::fs::read_to_string(&file).expect("read");
            assert!(text.starts_with("# mine"), "{text}");
            let found = ContextFile::read(&text).expect("contexts");
            assert_eq!(found.current.as_deref(), Some("cn"), "{text}");
            found.contexts[name].clone()
        };
        let sequence = |name: &str| {
            let pins = read(name).pins;
            assert_eq!(pins.len(), 1, "{pins:?}");
            read_bundle(&pins[0]).expect("a bundle").1.sequence
        };
        assert_eq!((sequence("cn"), sequence("de")), (3, 2));
        assert_eq!(read("cn").who.as_deref(), Some("customs-x-y"));
        let back = call(&file, &format!("context change cn {}", pin(0))).expect_err("older");
        assert!(back.text.contains("is older"), "{}", back.text);
        assert_eq!(sequence("cn"), 3, "as before");
        call(&file, "--endpoints c:1,d:1 context change cn").expect("changed");
        assert_eq!(read("cn").endpoints, ["c:1", "d:1"]);
        let stays = read("de");
        call(&file, "context remove cn").expect("removed");
        assert!(call(&file, "context remove cn").is_err());
        let text = std::fs::read_to_string(&file).expect("read");
        let left = ContextFile::read(&text).expect("contexts");
        assert_eq!((left.current, left.contexts.len()), (None, 1));
        assert_eq!(left.contexts["de"], stays);
        assert!(stays.pins[0].exists() && !folder.path().join("contexts.pins/cn").exists());
    }
}
