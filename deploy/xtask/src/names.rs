//! Names in ARCHITECTURE.md: what stands there in backquotes exists, and the terms of its glossary are in use.
//!
//! A search for words, not a compiler: a path must lead to a file or folder, each part of `a::b` must be a module or a word
//! in the code of the one before it, and a single name a word somewhere in code, a manifest, or a path.

use std::collections::BTreeSet;
use std::fmt;

use crate::layers::ROOMS;
use crate::lexer::{code_only, is_word};
use crate::tidy::Text;

/// The map.
const MAP: &str = "ARCHITECTURE.md";
/// Where its glossary begins.
const GLOSSARY: &str = "## Glossary";
/// Times that a term of the glossary must stand in the sources to be in use.
const USES_MIN: usize = 5;

/// A name that does not exist, or a term that nobody uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// 1-based line of the map.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is called so.
    Missing(String),
    /// A term of the glossary that the sources do not use.
    Unused(String),
    /// There is no map, or no glossary in it.
    NoGlossary,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{MAP}:{}: ", self.line)?;
        match &self.fault {
            Fault::Missing(name) => write!(out, "`{name}`: nothing is called so"),
            Fault::Unused(term) => write!(out, "{term}: a term that the sources do not use"),
            Fault::NoGlossary => write!(out, "there is no glossary"),
        }
    }
}

/// Every name of the map that does not exist.
pub fn check(tree: &[Text]) -> Vec<Finding> {
    let Some(map) = tree.iter().find(|text| text.path == MAP) else {
        return vec![Finding {
            line: 1,
            fault: Fault::NoGlossary,
        }];
    };
    let known = Known::of(tree);
    let mut findings = Vec::new();
    let (mut fenced, mut glossary) = (false, false);
    for (at, line) in map.content.lines().enumerate() {
        fenced ^= line.starts_with("```");
        if line.starts_with("## ") {
            glossary = line == GLOSSARY;
        }
        if fenced {
            continue;
        }
        let mut report = |fault| {
            findings.push(Finding {
                line: at + 1,
                fault,
            })
        };
        for name in quoted(line).flat_map(expanded) {
            if !known.has(&name) {
                report(Fault::Missing(name));
            }
        }
        if let Some(term) = line.strip_prefix("| **").filter(|_| glossary) {
            let term = term.split("**").next().unwrap_or_default();
            if known.uses(term) < USES_MIN {
                report(Fault::Unused(term.to_owned()));
            }
        }
    }
    if !map.content.lines().any(|line| line == GLOSSARY) {
        findings.push(Finding {
            line: 1,
            fault: Fault::NoGlossary,
        });
    }
    findings
}

/// What stands in backquotes.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// `a/{b, c}` as `a/b` and `a/c`; several words as each of them.
fn expanded(name: &str) -> Vec<String> {
    if let Some((before, rest)) = name.split_once('{') {
        let (list, after) = rest.split_once('}').unwrap_or((rest, ""));
        let each = list.split(',').map(str::trim);
        return each.map(|one| format!("{before}{one}{after}")).collect();
    }
    let words = name.split_whitespace();
    words
        .map(|word| word.trim_start_matches("--").to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

/// What there is.
struct Known {
    /// Path, and code without comments and literals; other files as they are.
    files: Vec<(String, String)>,
    /// The sources as they are.
    sources: Vec<String>,
    /// Files and folders.
    paths: BTreeSet<String>,
}

impl Known {
    fn of(tree: &[Text]) -> Self {
        let mut known = Self {
            files: Vec::new(),
            sources: Vec::new(),
            paths: BTreeSet::new(),
        };
        for text in tree {
            let mut path = text.path.as_str();
            known.paths.insert(path.to_owned());
            while let Some((folder, _)) = path.rsplit_once('/') {
                known.paths.insert(folder.to_owned());
                path = folder;
            }
            if text.path.ends_with(".rs") {
                known
                    .files
                    .push((text.path.clone(), code_only(&text.content)));
                known.sources.push(text.content.to_lowercase());
            } else if !text.path.ends_with(".md") {
                known.files.push((text.path.clone(), text.content.clone()));
            }
        }
        known
    }

    fn has(&self, name: &str) -> bool {
        if name.contains('/') {
            return self.has_path(name.trim_end_matches('/'));
        }
        if name.contains("::") {
            return self.has_item(name);
        }
        self.has_path(name) || self.stands(name, |_| true)
    }

    /// Whether a path, or its end, leads to a file or folder; a crate's name stands for its folder.
    fn has_path(&self, name: &str) -> bool {
        let (first, rest) = name.split_once('/').unwrap_or((name, ""));
        let mut candidates = vec![name.to_owned()];
        candidates.extend(folder_of(first).map(|folder| match rest {
            "" => folder.to_owned(),
            rest => format!("{folder}/{rest}"),
        }));
        candidates.iter().any(|name| {
            let ends = [name.clone(), format!("{name}.rs"), format!("{name}.md")];
            self.paths.iter().any(|path| {
                ends.iter().any(|end| {
                    path == end
                        || path
                            .strip_suffix(end.as_str())
                            .is_some_and(|before| before.ends_with('/'))
                })
            })
        })
    }

    fn has_item(&self, name: &str) -> bool {
        let mut parts = name.split("::");
        let first = parts.next().unwrap_or_default();
        let mut scope: Vec<&str> = match folder_of(first) {
            Some(folder) => vec![folder],
            None => vec![first],
        };
        for part in parts {
            let inside = |path: &str| scope.iter().all(|step| is_in(path, step));
            if self
                .paths
                .iter()
                .any(|path| inside(path) && is_in(path, part))
            {
                scope.push(part);
            } else if !self.stands(part, |path| {
                scope.len() == 1 && scope[0] == "clippy" || inside(path)
            }) {
                return false;
            }
        }
        true
    }

    /// Whether a word stands in the code of a file that `wanted` names.
    fn stands(&self, word: &str, wanted: impl Fn(&str) -> bool) -> bool {
        let files = self.files.iter().filter(|(path, _)| wanted(path));
        files.into_iter().any(|(_, code)| count(code, word) > 0)
    }

    /// How often a term stands in the sources, whatever the case, also at the beginning of a longer word.
    fn uses(&self, term: &str) -> usize {
        let term = term.to_lowercase();
        // As words of prose, and as the name of a type.
        let joined = term.replace(' ', "");
        let written = |text: &String| match joined == term {
            true => text.matches(&term).count(),
            false => text.matches(&term).count() + text.matches(&joined).count(),
        };
        self.sources.iter().map(written).sum()
    }
}

/// Whether a path leads through a folder or module.
fn is_in(path: &str, step: &str) -> bool {
    path.starts_with(&format!("{step}/"))
        || path.contains(&format!("/{step}/"))
        || path.ends_with(&format!("/{step}.rs"))
        || path.ends_with(&format!("/{step}"))
}

/// The folder of a crate by the name of its package or folder.
fn folder_of(name: &str) -> Option<&'static str> {
    if name == "client" {
        return Some("client");
    }
    let room = ROOMS
        .iter()
        .find(|room| room.package == name || room.folder.rsplit('/').next() == Some(name));
    room.map(|room| room.folder)
}

fn count(text: &str, word: &str) -> usize {
    let bytes = text.as_bytes();
    let found = text.match_indices(word).filter(|(at, _)| {
        let end = at + word.len();
        let begins = *at == 0 || !is_word(bytes[at - 1]);
        begins && (end == bytes.len() || !is_word(bytes[end]))
    });
    found.count()
}
