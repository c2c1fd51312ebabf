//! Files of one crate that import each other in a circle: none of them can be read, moved or tested without the others.
//!
//! An import is a `use` or a path that begins with `crate`, `super`, `self` or a module below; what a module re-exports
//! counts as an import of the file that defines it. What a file takes from a module it lies in does not count, and neither
//! do tests. That is a search in text and not a compiler: it sees no calls of methods, and nothing that a macro makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::lexer::code_only;
use crate::tidy::{Text, split_tests};

/// A circle that stays, and why.
struct Kept {
    folder: &'static str,
    modules: &'static [&'static str],
}

/// Circles that stay, each with its reason.
const KEPT: &[Kept] = &[
    // `Node::propose` is the one way into the log: it asks both, and both read the node.
    Kept {
        folder: "node/carnetd",
        modules: &["ingress", "node", "timekeeper"],
    },
];
/// Re-exports of re-exports that are followed.
const REEXPORTS_MAX: usize = 8;

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Modules that import each other, with one import for each step.
    Circle {
        /// The crate's folder.
        folder: String,
        /// The modules, ascending.
        modules: Vec<String>,
        /// `from -> to: name`, for each import between two of them.
        imports: Vec<String>,
    },
    /// A circle of the list of those that stay which is there no more.
    Gone {
        /// The crate's folder.
        folder: String,
        /// Its modules.
        modules: Vec<String>,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Circle {
                folder,
                modules,
                imports,
            } => write!(
                out,
                "{folder}: {} import each other: {}",
                modules.join(", "),
                imports.join("; ")
            ),
            Self::Gone { folder, modules } => write!(
                out,
                "{folder}: {} import each other no more; take them off the list",
                modules.join(", ")
            ),
        }
    }
}

type Path = Vec<String>;

/// What one file imports and re-exports.
struct Module {
    imports: Vec<Path>,
    reexports: BTreeMap<String, Path>,
}

/// Every circle that is not one of those that stay, and every one of those that is gone.
pub fn check(tree: &[Text]) -> Vec<Finding> {
    check_but(tree, KEPT)
}

fn check_but(tree: &[Text], kept: &[Kept]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    let manifests = tree
        .iter()
        .filter_map(|text| text.path.strip_suffix("/Cargo.toml"));
    for folder in manifests {
        let modules = modules_of(tree, folder);
        let graph = graph_of(&modules);
        for circle in circles(&graph) {
            let names: Vec<String> = circle.iter().map(|path| path.join("::")).collect();
            let stays = kept
                .iter()
                .position(|kept| kept.folder == folder && kept.modules == names);
            if let Some(at) = stays {
                seen.insert(at);
                continue;
            }
            let inside = graph
                .iter()
                .filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
            let imports = inside.map(|((from, to), name)| {
                format!("{} -> {}: {name}", from.join("::"), to.join("::"))
            });
            findings.push(Finding::Circle {
                folder: folder.to_owned(),
                modules: names,
                imports: imports.collect(),
            });
        }
    }
    let gone = kept
        .iter()
        .enumerate()
        .filter(|(at, kept)| {
            !seen.contains(at) && tree.iter().any(|text| text.path.starts_with(kept.folder))
        })
        .map(|(_, kept)| Finding::Gone {
            folder: kept.folder.to_owned(),
            modules: kept.modules.iter().map(|name| (*name).to_owned()).collect(),
        });
    findings.extend(gone);
    findings
}

/// The modules of the library in a folder, each a file.
fn modules_of(tree: &[Text], folder: &str) -> BTreeMap<Path, Module> {
    let beginning = format!("{folder}/src/");
    let files: Vec<(Path, &Text)> = tree
        .iter()
        .filter_map(|text| {
            let name = text.path.strip_prefix(&beginning)?.strip_suffix(".rs")?;
            let name = name.strip_suffix("/mod").unwrap_or(name);
            let program = name == "main" || name.starts_with("bin/");
            let path = match name {
                "lib" => Path::new(),
                _ => name.split('/').map(str::to_owned).collect(),
            };
            (!program && !name.ends_with("tests")).then_some((path, text))
        })
        .collect();
    let known: BTreeSet<&Path> = files.iter().map(|(path, _)| path).collect();
    files
        .iter()
        .map(|(path, text)| {
            let code = split_tests(&text.path, &code_only(&text.content)).0;
            (path.clone(), read(path, &code, &known))
        })
        .collect()
}

/// What the code of a module imports and re-exports.
fn read(me: &Path, code: &str, known: &BTreeSet<&Path>) -> Module {
    let mut module = Module {
        imports: Vec::new(),
        reexports: BTreeMap::new(),
    };
    let mut rest = String::with_capacity(code.len());
    let mut at = 0;
    while let Some(found) = code[at..].find("use ").map(|found| at + found) {
        let begins = code[..found]
            .bytes()
            .next_back()
            .is_none_or(|before| before.is_ascii_whitespace());
        let end = code[found..].find(';').map(|end| found + end);
        let (true, Some(end)) = (begins, end) else {
            rest.push_str(&code[at..found + 4]);
            at = found + 4;
            continue;
        };
        rest.push_str(&code[at..found]);
        let line = code[..found].rfind('\n').map_or(0, |line| line + 1);
        let public = code[line..found].trim_start().starts_with("pub");
        for (path, name) in expanded(code[found + 4..end].trim()) {
            if let Some(path) = absolute(me, &path, known) {
                if public {
                    module.reexports.insert(name, path.clone());
                }
                module.imports.push(path);
            }
        }
        at = end + 1;
    }
    rest.push_str(&code[at..]);
    for path in paths_in(&rest) {
        module.imports.extend(absolute(me, &path, known));
    }
    module
}

/// The paths of an import, each with the name that it gets here.
fn expanded(import: &str) -> Vec<(String, String)> {
    let import = import.trim();
    let Some((before, list)) = import.split_once('{') else {
        let (path, name) = import.split_once(" as ").unwrap_or_else(|| {
            let name = import.rsplit("::").next().unwrap_or(import);
            (import, name)
        });
        return vec![(path.trim().to_owned(), name.trim().to_owned())];
    };
    let list = list.trim_end().strip_suffix('}').unwrap_or(list);
    let mut all = Vec::new();
    let (mut depth, mut from) = (0_usize, 0);
    for (at, byte) in list.bytes().chain([b',']).enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                let one = list[from..at].trim();
                if !one.is_empty() {
                    let whole = format!("{before}{one}");
                    all.extend(expanded(whole.strip_suffix("::self").unwrap_or(&whole)));
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    all
}

/// The paths in code that begin with `crate`, `super` or `self`; in a macro, `$crate` is whoever uses it.
fn paths_in(code: &str) -> Vec<String> {
    let is_word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let mut all = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].bytes().next_back().unwrap_or(b' ');
            if is_word(before) || matches!(before, b'$' | b':') {
                continue;
            }
            let end = code[at..]
                .bytes()
                .position(|byte| !is_word(byte) && byte != b':');
            let path = &code[at..end.map_or(code.len(), |end| at + end)];
            all.push(path.trim_end_matches(':').to_owned());
        }
    }
    all
}

/// A path from the root of the crate; `None` when it is another crate's.
fn absolute(me: &Path, path: &str, known: &BTreeSet<&Path>) -> Option<Path> {
    let mut segments = path.split("::").map(str::trim).peekable();
    let mut whole = match *segments.peek()? {
        "crate" => {
            segments.next();
            Path::new()
        }
        "self" => {
            segments.next();
            me.clone()
        }
        "super" => {
            let mut up = me.clone();
            while segments.next_if_eq(&"super").is_some() {
                up.pop();
            }
            up
        }
        first => {
            let mut below = me.clone();
            below.push(first.to_owned());
            if !known.contains(&below) {
                return None;
            }
            me.clone()
        }
    };
    whole.extend(segments.map(str::to_owned));
    Some(whole)
}

/// The module that defines what a path names, and the name.
fn resolved(modules: &BTreeMap<Path, Module>, path: &Path, followed: usize) -> (Path, String) {
    let mut module = Path::new();
    let mut rest = path.iter();
    let mut name = String::new();
    for segment in rest.by_ref() {
        module.push(segment.clone());
        if !modules.contains_key(&module) {
            module.pop();
            name.clone_from(segment);
            break;
        }
    }
    let further = modules.get(&module).and_then(|it| it.reexports.get(&name));
    match further {
        Some(further) if followed < REEXPORTS_MAX => {
            let further = further.iter().chain(rest).cloned().collect();
            resolved(modules, &further, followed + 1)
        }
        _ => (module, name),
    }
}

/// Who imports whom, with one name for each.
fn graph_of(modules: &BTreeMap<Path, Module>) -> BTreeMap<(Path, Path), String> {
    let mut graph = BTreeMap::new();
    for (from, module) in modules {
        for import in &module.imports {
            let (to, name) = resolved(modules, import, 0);
            if !from.starts_with(&to) {
                graph.entry((from.clone(), to)).or_insert(name);
            }
        }
    }
    graph
}

/// The sets of modules that reach each other, each ascending.
fn circles(graph: &BTreeMap<(Path, Path), String>) -> Vec<BTreeSet<Path>> {
    let reach = |from: &Path| {
        let mut reached = BTreeSet::new();
        let mut open = vec![from.clone()];
        while let Some(at) = open.pop() {
            let next = graph
                .keys()
                .filter(|(from, _)| *from == at)
                .map(|(_, to)| to);
            for to in next {
                if reached.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&Path, BTreeSet<Path>> =
        graph.keys().map(|(from, _)| (from, reach(from))).collect();
    let mut all = Vec::new();
    for (from, to) in &reached {
        let circle: BTreeSet<Path> = to
            .iter()
            .filter(|other| reached.get(other).is_some_and(|back| back.contains(*from)))
            .cloned()
            .collect();
        if circle.first() == Some(from) {
            all.push(circle);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Vec<Text> {
        let text = |path: &str, content: &str| Text {
            path: path.to_owned(),
            content: content.to_owned(),
        };
        let mut tree = vec![text("a/Cargo.toml", "")];
        tree.extend(files.iter().map(|(path, code)| text(path, code)));
        tree
    }

    fn check(files: &[(&str, &str)], expected: &str) {
        let found = check_but(&tree(files), &[]);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.join("\n"), expected, "{files:?}");
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        check(
            &[
                ("a/src/one.rs", "use crate::two::Two;"),
                ("a/src/two.rs", "fn f(_: crate::one::One) {}"),
                ("a/src/three.rs", "use crate::one;\nuse super::two;"),
            ],
            "a: one, two import each other: one -> two: Two; two -> one: One",
        );
        let one_way = [
            ("a/src/one.rs", "use crate::two::Two;"),
            ("a/src/two.rs", "use other::one::One;"),
        ];
        check(&one_way, "");
    }

    #[test]
    fn a_circle_through_re_exports_lists_and_folders_is_found() {
        check(
            &[
                ("a/src/room.rs", "mod inner;\npub use inner::{Thing as It};"),
                ("a/src/room/inner.rs", "use crate::{other::{self, X}, y};"),
                ("a/src/other.rs", "use crate::room::It;"),
            ],
            "a: other, room::inner import each other: other -> room::inner: Thing; room::inner -> other: ",
        );
    }

    #[test]
    fn tests_parents_comments_and_macros_of_others_make_no_circle() {
        check(
            &[
                ("a/src/one.rs", "use crate::two::Two;"),
                (
                    "a/src/two.rs",
                    "// crate::one::One\nlet x = \"crate::one::One\"; $crate::one::One\n#[cfg(test)]\nmod tests {\n    use \
                     crate::one::One;\n}\n",
                ),
                ("a/src/two/below.rs", "use super::Two;"),
                ("a/src/main.rs", "use crate::one;"),
            ],
            "",
        );
    }

    #[test]
    fn a_circle_that_stays_is_named_and_one_that_is_gone_is_found() {
        let kept = [Kept {
            folder: "a",
            modules: &["one", "two"],
        }];
        let circle = tree(&[
            ("a/src/one.rs", "use crate::two::Two;"),
            ("a/src/two.rs", "use crate::one::One;"),
        ]);
        assert_eq!(check_but(&circle, &kept), []);
        let gone = check_but(&tree(&[("a/src/one.rs", "use crate::two::Two;")]), &kept);
        assert_eq!(
            gone.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["a: one, two import each other no more; take them off the list"]
        );
    }
}
