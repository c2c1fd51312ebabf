//! The settings in force, each below what it means, and whether it is the default.

use toml::{Table, Value};

use super::{Config, EXAMPLE};

impl Config {
    /// The manual with the values in force in the place of the defaults, as a file that [`Config::parse`] takes.
    pub fn explain(&self) -> String {
        let read = |text: &str| -> Table {
            toml::from_str(text).expect("invariant: the example and every dump are TOML")
        };
        let (here, by_default) = (read(&self.dump()), read(EXAMPLE));
        let mut section = "";
        let mut out = String::new();
        for line in EXAMPLE.lines() {
            if let Some(name) = section_of(line) {
                section = name;
            }
            match setting(line) {
                Some(key) => out.push_str(&in_force(key, section, &here, &by_default)),
                None => out.push_str(line),
            }
            out.push('\n');
        }
        out
    }
}

fn section_of(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

/// The setting that a line of the manual is about, set or not.
fn setting(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")?;
    let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    key.chars().all(is_key).then_some(key)
}

fn in_force(key: &str, section: &str, here: &Table, by_default: &Table) -> String {
    let of = |all: &Table| -> Option<Value> { all.get(section)?.get(key).cloned() };
    let (value, default) = (of(here), of(by_default));
    // What has no default says whose node it is and where it listens.
    let has_default = !["node", "listen"].contains(&section) || key == "profile";
    match value {
        None => format!("# {key}: not set"),
        Some(value) if !has_default => format!("{key} = {value}"),
        Some(value) if Some(&value) == default.as_ref() => {
            format!("{key} = {value}  # the default")
        }
        Some(value) => match default {
            Some(default) => format!("{key} = {value}  # the default is {default}"),
            None => format!("{key} = {value}  # not set by default"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_setting_in_force_stands_below_what_it_means() {
        let path = Path::new("/etc/carnet/node.toml");
        let text = EXAMPLE.replace("heartbeat_ms = 250", "heartbeat_ms = 300");
        let text = text.replace("# free_mib_min = 2048", "free_mib_min = 4096");
        let config = Config::parse(&text, path).expect("a configuration");
        let told = config.explain();
        for line in [
            "heartbeat_ms = 300  # the default is 250",
            "keep_for_s = 3600  # the default",
            "free_mib_min = 4096  # not set by default",
            "id = 1",
            "# metrics: not set",
        ] {
            assert!(told.lines().any(|one| one == line), "{line}:\n{told}");
        }
        // It is a configuration itself, the same one, and leaves no setting out.
        assert_eq!(Config::parse(&told, path).expect("a configuration"), config);
        let keys = |text: &str| -> Vec<String> {
            let keys = text.lines().filter_map(|line| line.split_once(" = "));
            keys.map(|(key, _)| key.to_owned()).collect()
        };
        for key in keys(&config.dump()) {
            assert!(keys(&told).contains(&key), "{key}");
        }
    }
}
