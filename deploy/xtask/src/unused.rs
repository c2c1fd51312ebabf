//! Direct dependencies, and public items, that no line uses, or that only tests use although the product has them.
//!
//! A dependency counts as used where its name stands in code as a path or an import. That is a search for a word and not
//! a compiler: what it cannot see stands in [`UNSEEN`] with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::layers::{Edge, Reach, Workspace};
use crate::lexer::code_only;
use crate::tidy::Text;

/// A dependency that is used where this search does not look.
struct Unseen {
    package: &'static str,
    library: &'static str,
    /// The name it has in code, if that is another; otherwise it is taken as used.
    name: Option<&'static str>,
}

const UNSEEN: &[Unseen] = &[
    // The library has a shorter name than its package.
    named("carnet-trust", "rustls-webpki", "webpki"),
    // Code that the build script makes of the schemas.
    taken("carnet-wire", "tonic-prost"),
    // Named to hold it at the exact version of an alpha; decisions/0001-openraft-alpha.
    taken("carnet-consensus", "openraft-macros"),
    // The forge of certificates, a file of carnet-trust's tests that is included by its path.
    taken("carnetd", "rcgen"),
];

/// What is wrong with a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No line uses it.
    Unused,
    /// Only tests do.
    OnlyTests,
}

/// One dependency that should go, or move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Who asks for what.
    pub edge: Edge,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edge = &self.edge;
        match self.fault {
            Fault::Unused => write!(out, "{edge}: no line uses it; take it out of the manifest"),
            Fault::OnlyTests => write!(out, "{edge}: only tests use it; it is a dev-dependency"),
        }
    }
}

/// Every dependency of `workspace` that the sources in `tree` do not use.
pub fn check(workspace: &Workspace, tree: &[Text]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (package, folder) in &workspace.members {
        let sources = Sources::of(folder, tree);
        let edges = workspace.edges.iter().filter(|edge| edge.from == *package);
        for edge in edges.filter(|edge| edge.to != edge.from) {
            let fault = match name_in_code(edge) {
                None => None,
                Some(name) => sources.judge(&name, edge.reach),
            };
            findings.extend(fault.map(|fault| Finding {
                edge: edge.clone(),
                fault,
            }));
        }
    }
    findings
}

fn name_in_code(edge: &Edge) -> Option<String> {
    let unseen = UNSEEN
        .iter()
        .find(|unseen| unseen.package == edge.from && unseen.library == edge.to);
    match unseen {
        Some(unseen) => unseen.name.map(ToOwned::to_owned),
        None => Some(edge.to.replace('-', "_")),
    }
}

/// The code of one crate, without comments and literals.
struct Sources {
    product: String,
    tests: String,
}

impl Sources {
    fn of(folder: &str, tree: &[Text]) -> Self {
        let mut sources = Self {
            product: String::new(),
            tests: String::new(),
        };
        let below = format!("{folder}/");
        for text in tree.iter().filter(|text| text.path.ends_with(".rs")) {
            let Some(path) = text.path.strip_prefix(&below) else {
                continue;
            };
            let code = code_only(&text.content);
            if is_test(path) {
                sources.tests += &code;
                continue;
            }
            let (product, tests) = code.split_at(tests_begin(&code));
            sources.product += product;
            sources.tests += tests;
        }
        sources
    }

    fn judge(&self, name: &str, reach: Reach) -> Option<Fault> {
        match (uses(&self.product, name), uses(&self.tests, name), reach) {
            (false, false, _) => Some(Fault::Unused),
            (false, true, Reach::Product) => Some(Fault::OnlyTests),
            _ => None,
        }
    }
}

/// Where the tests of a file begin, which stand last in it: a module in place, not one in a file of its own.
fn tests_begin(code: &str) -> usize {
    const MARK: &str = "#[cfg(test)]\nmod ";
    let in_place = |at: &usize| {
        let rest = &code[at + MARK.len()..];
        rest.lines().next().is_some_and(|line| line.ends_with('{'))
    };
    let mut marks = code.match_indices(MARK).map(|(at, _)| at);
    marks.find(in_place).unwrap_or(code.len())
}

fn is_test(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
}

/// Whether a name stands in code where a crate is named: before `::`, or as the end of an import.
fn uses(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let begins = before.is_none_or(|c| !is_word(c));
        let rest = after.trim_start();
        let ends = after.chars().next().is_none_or(|c| !is_word(c));
        begins && ends && (rest.starts_with("::") || imported(&code[..at], rest))
    })
}

/// `use name;`, `use name as …`, `use {name, …}`.
fn imported(before: &str, rest: &str) -> bool {
    let before = before.trim_end();
    (before.ends_with("use") || before.ends_with("use {") || before.ends_with("crate"))
        && rest.starts_with([';', ',', '}', 'a'])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

const fn named(package: &'static str, library: &'static str, name: &'static str) -> Unseen {
    Unseen {
        package,
        library,
        name: Some(name),
    }
}

const fn taken(package: &'static str, library: &'static str) -> Unseen {
    Unseen {
        package,
        library,
        name: None,
    }
}

/// A public item that no line of the product names but the one that declares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Path below the root, with `/`.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Whether a test names it.
    pub tested: bool,
}

impl fmt::Display for Item {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Item { path, name, tested } = self;
        match tested {
            false => write!(out, "{path}: nobody names `{name}`; take it out"),
            true => write!(
                out,
                "{path}: only tests name `{name}`; take it out, or say in `unused.rs` for whom it is"
            ),
        }
    }
}

/// Where public items are for others than this product: the SDK's users, and tests.
const FOR_OTHERS: &[&str] = &["client/sdk/", "jepsen-like-tests/", "deploy/xtask/"];

/// Files that hold what tests of other rooms run on.
const TEST_ROOMS: &[&str] = &[
    "node/consensus/src/testing.rs",
    "node/store/src/log/memory.rs",
];

/// Items that no product names and that are there all the same, and why.
const FOR_TESTS: &[(&str, &str)] = &[
    ("BYTES", "the closed list of tags, compared with FORMAT.md"),
    (
        "STRINGS",
        "the closed list of tags, compared with FORMAT.md",
    ),
    ("TABLE", "the closed list of details, published as a vector"),
    ("auth_salt", "published as a vector"),
    ("change_membership_unseen", "a change that a caller gave up"),
    ("disclosure", "judged on its bytes"),
    ("enroll_slice", "a key as a certificate has it"),
    ("exit_code", "published with the table of verdicts"),
    (
        "in_directory",
        "the files of a directory that is none of a node",
    ),
    ("is_seal", "what a seal is, said once"),
    ("limit_authorities", "for bundles that list authorities"),
    ("of_number", "serials by number"),
    ("one_in", "how often a sieve is wrong"),
    ("root_at", "what proofs are compared with"),
    ("tells_something", "what a pack may leave out"),
    ("to_wire", "bytes as they were before views were cut"),
    ("trail_back", "what the follower states, read again"),
    ("wait_applied", "until a node has come so far"),
    (
        "whole_envelope",
        "shows that nothing is lost of an entry that is kept short",
    ),
    ("with_line", "heads with lines of later levels"),
];

/// Every public function, type or constant of the product that no other line of it names. That is a search for a word: an item
/// whose name something else has too is not found.
pub fn items(tree: &[Text]) -> Vec<Item> {
    let mut product: BTreeMap<String, usize> = BTreeMap::new();
    let mut tests: BTreeSet<String> = BTreeSet::new();
    let mut declared: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for text in tree.iter().filter(|text| text.path.ends_with(".rs")) {
        let code = code_only(&text.content);
        let ours = !FOR_OTHERS.iter().any(|other| text.path.starts_with(other));
        let of_tests = is_test(&text.path) || text.path.starts_with("jepsen-like-tests/");
        let (part, rest) = match of_tests {
            true => ("", &code[..]),
            false => code.split_at(tests_begin(&code)),
        };
        tests.extend(words(rest).map(str::to_owned));
        for word in words(part) {
            *product.entry(word.to_owned()).or_default() += 1;
        }
        if ours {
            for name in public(part) {
                declared
                    .entry(name.to_owned())
                    .or_default()
                    .push(&text.path);
            }
        }
    }
    let mut found: Vec<Item> = declared
        .into_iter()
        .filter(|(name, at)| product.get(name).copied().unwrap_or(0) <= at.len())
        .flat_map(|(name, at)| {
            let tested = tests.contains(&name);
            at.into_iter().map(move |path| Item {
                path: path.to_owned(),
                name: name.clone(),
                tested,
            })
        })
        .filter(|item| {
            let known = FOR_TESTS.iter().any(|(name, _)| *name == item.name);
            !(item.tested && (known || TEST_ROOMS.contains(&item.path.as_str())))
        })
        .collect();
    found.sort();
    found
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// The names of what a file declares as public.
fn public(code: &str) -> Vec<&str> {
    const KINDS: &[&str] = &["fn", "struct", "enum", "trait", "type", "const", "static"];
    let mut names = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("pub ") {
        let begins = rest[..at].chars().next_back().is_none_or(|c| !is_word(c));
        rest = &rest[at + 4..];
        if !begins {
            continue;
        }
        let line = rest
            .split(['(', '{', ';', '<', ':', '='])
            .next()
            .unwrap_or("");
        let said: Vec<&str> = line.split_whitespace().collect();
        if let [before @ .., kind, name] = &said[..]
            && KINDS.contains(kind)
            && name.chars().all(is_word)
            && before
                .iter()
                .all(|word| matches!(*word, "const" | "async" | "unsafe"))
        {
            names.push(*name);
        }
    }
    names
}
