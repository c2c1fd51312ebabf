//! Words that must not stand in the tree, headers that must, and work that may not be left unfinished.
//!
//! Cargo's own lints see one crate with its types; this sees every tracked file as text. It says where, and changes
//! nothing. Long files are notes, not findings: length is a question, not a fault.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::lexer::{code_only, is_word};

/// Lines after which a source file is worth a note.
pub const LINES_NOTED: usize = 600;

/// Crates that compute and never ask the outside world for anything.
const PURE: &[&str] = &["proto/domain/", "federation/trust/"];

/// What a pure crate does not know, outside its tests.
const IMPURE: &[&str] = &[
    "SystemTime",
    "Instant",
    "UNIX_EPOCH",
    "HashMap",
    "HashSet",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "rand",
    "tokio",
];

/// Arithmetic that hides an overflow, in a pure crate outside its tests: an epoch, sequence, index, cursor, count or size
/// that saturates repeats itself, and one that wraps begins anew. Time may: a deadline beyond the last instant never
/// comes. Such a line says so, or the line above it does, with [`SATURATES`] and why.
const HIDES_OVERFLOW: &[&str] = &["saturating_", "wrapping_", "overflowing_"];
const SATURATES: &str = "// saturates: ";

/// Where `apply` runs, and a decoder that reads by what the binary knows: two binaries of two ages would come to different
/// bytes. Whoever reads what this registry wrote itself, or what was read by the level before, says so with [`LEVEL`] and why.
const APPLIES: &[&str] = &[
    "proto/domain/src/custody",
    "proto/domain/src/log/",
    "proto/domain/src/machine",
    "proto/domain/src/record/",
    "proto/domain/src/rules/",
];
const BY_BINARY: &[&str] = &["::from_bytes(", "Decoder::new("];
const LEVEL: &str = "// level: ";

/// Where the rules stand, where the bounds that replicas must agree on, and who tries these beside the tests.
const RULES: &str = "proto/domain/src/";
const LIMITS: &str = "proto/domain/src/limits.rs";
const ATTACKS: &str = "jepsen-like-tests/hostile/src/";
/// Where the bounds of the wire stand.
const WIRE_LIMITS: &str = "proto/wire/src/limits.rs";
/// How the names of bounds end, before their unit.
const BOUNDS: &[&str] = &["_MAX", "_MIN"];
const UNITS: &[&str] = &["_BYTES", "_COUNT", "_MS", "_SECS"];
/// Where a bound of the rules stands that is not in [`LIMITS`]: the decoder's own, on which the limits are built; of the map, how
/// deep its pages can lie; and how much a seal reads at once, which changes no answer.
const BOUNDS_APART: &[&str] = &[
    "ARRAY_COUNT_MAX",
    "CHANGES_READ_MAX",
    "DEPTH_MAX",
    "PAGE_DEPTH_MAX",
];
/// Bounds that the compiler holds others to, and nothing else has to.
const PROVEN: &[&str] = &["ROBOT_BYTES_MAX", "MAIL_ITEM_BYTES_MAX"];

/// Where messages of a wire format may be named in what ships: the crate of their stubs, and the edges that parse them once
/// and answer with them. Everything further inside knows domain types only.
const STUBS: &[&str] = &["admin", "etcd", "federation", "raft", "registry"];
const EDGES: &[&str] = &[
    "proto/wire/",
    "node/carnetd/src/edge/",
    "node/consensus/src/gate.rs",
    "node/consensus/src/network.rs",
    "node/consensus/src/server.rs",
    "federation/peering/src/follower.rs",
    "federation/peering/src/inquirer.rs",
    "federation/peering/src/round.rs",
    "federation/peering/src/server.rs",
    "client/",
    "jepsen-like-tests/",
];

/// Rooms that any transport may call, and the names of transports and of their edges, which they do not know.
const ANY_TRANSPORT: &[&str] = &["node/carnetd/src/service.rs", "node/carnetd/src/service/"];
const TRANSPORTS: &[&str] = &[
    "tonic",
    "http",
    "hyper",
    "hyper_util",
    "axum",
    "crate::edge",
];

/// What a library does not know: the programs that are made of it, their commands and their flags. What they say to a user says
/// what is to be done; by which command, `client/cli` adds.
const LIBRARIES: &[&str] = &["proto/", "federation/", "client/sdk/src/"];
const PROGRAMS: &[&str] = &["carnet ", "carnetd "];

/// How a message says of a thing that it is of another kind, and does not say it as anybody would. Written in two halves, so as not
/// to find itself.
const IS_NO: &[&str] = &[
    concat!("} is ", "no "),
    concat!("\"is ", "no "),
    concat!(" it is ", "no "),
    concat!("\"it is ", "no "),
    concat!("\"this is ", "no "),
];

/// Unfinished work, in every source.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "#[ignore"];

/// Waiting by the clock, in every test. The simulation's time is not real, and neither is that of a file whose tests stop the clock,
/// nor of the server that tests of the SDK ask under a clock that stands; the harness of real processes has only real time and waits
/// for conditions in one place.
const SLEEPS: &[&str] = &["thread::sleep", "tokio::time::sleep", "time::sleep"];
const SLEEPS_ALLOWED: &[&str] = &[
    "jepsen-like-tests/sim/",
    "jepsen-like-tests/cluster/",
    "client/sdk/tests/it/fake.rs",
];
const CLOCK_STOPPED: &str = "start_paused = true";

/// Places of one machine and addresses of registries, in every text. Written in two halves, so as not to find itself.
const PRIVATE: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("index.cr", "ates.io"),
    concat!("static.cr", "ates.io"),
    concat!("files.python", "hosted.org"),
    concat!("registry.npm", "js.org"),
    concat!("deb.deb", "ian.org"),
];

/// One text of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Path below the root, with `/`.
    pub path: String,
    /// What it says.
    pub content: String,
}

/// One place that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path below the root.
    pub path: String,
    /// 1-based line.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A pure crate names the outside world.
    Impure(&'static str),
    /// An overflow is hidden without a reason.
    HidesOverflow(&'static str),
    /// Bytes are read by what the binary knows, where the feature level decides.
    ByBinary,
    /// A message of a wire format is named inside of the edges.
    Stub(&'static str),
    /// A use case knows how it is called.
    Transport(&'static str),
    /// A library speaks of a program, or of a flag of one.
    Program(String),
    /// A message says of something that it "is no" this or that.
    IsNo,
    /// Work is left unfinished.
    Unfinished(&'static str),
    /// A test waits by the clock.
    Sleeps(&'static str),
    /// A place of one machine, or a registry's address.
    Private(&'static str),
    /// A source does not begin with what it is for.
    Headless,
    /// A manifest does not take the lints of the workspace.
    Unlinted,
    /// A limit that no test and no attack names: nobody would notice if it were gone.
    Untested(String),
    /// A limit that governs nothing: no line of what ships names it.
    Ungoverning(String),
    /// A bound that replicas must agree on, and that stands among the rules.
    Apart(String),
    /// A bound that is defined a second time, where it may come to have another value, or one name for two bounds; and where
    /// the first stands.
    Twice(String, String),
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: ", self.path, self.line)?;
        match &self.fault {
            Fault::Untested(name) => write!(out, "`{name}`: no test and no attack names it"),
            Fault::Apart(name) => write!(out, "`{name}`: a bound stands in {LIMITS}"),
            Fault::Ungoverning(name) => write!(out, "`{name}`: a limit that governs nothing"),
            Fault::Twice(name, first) => write!(
                out,
                "`{name}` stands in {first} already: use it, or give this another name"
            ),
            Fault::Impure(word) => write!(out, "`{word}` in a pure crate"),
            Fault::HidesOverflow(word) => write!(
                out,
                "`{word}…` hides an overflow: use `checked_…`, or say why with `{SATURATES}…`"
            ),
            Fault::ByBinary => write!(
                out,
                "read by what the binary knows: use `from_bytes_at` with the registry's level, or say why not with `{LEVEL}…`"
            ),
            Fault::Stub(package) => write!(
                out,
                "`carnet_wire::{package}` inside of the edges: parse it there, and pass a domain type"
            ),
            Fault::Transport(word) => {
                write!(out, "`{word}` in a use case, which any transport may call")
            }
            Fault::Program(words) => write!(
                out,
                "`{words}` in a library: say what is to be done; its command stands in `client/cli/src/exit.rs`"
            ),
            Fault::IsNo => write!(
                out,
                "`is no …` in a message: write `is not a …`, and what to do"
            ),
            Fault::Unfinished(word) => write!(out, "`{word}`: finish it or leave it out"),
            Fault::Sleeps(word) => write!(out, "`{word}` in a test: wait for the thing itself"),
            Fault::Private(word) => write!(out, "`{word}` belongs to one machine or registry"),
            Fault::Headless => write!(out, "a source begins with `//!`: what is this room for?"),
            Fault::Unlinted => write!(out, "a manifest says `[lints] workspace = true`"),
        }
    }
}

/// Every fault in `tree`, file by file.
pub fn check(tree: &[Text]) -> Vec<Finding> {
    let each = tree.iter().flat_map(check_text);
    let products = products(tree);
    let limits = untested_limits(tree)
        .into_iter()
        .chain(loose_limits(tree, &products))
        .chain(bounds_twice(tree, &products))
        .chain(bounds_apart(&products));
    each.chain(limits).collect()
}

/// The limits that a file of limits defines: line and name.
fn limits_of(text: &Text) -> impl Iterator<Item = (usize, &str)> {
    text.content.lines().enumerate().filter_map(|(at, line)| {
        let name = line.strip_prefix("pub const ")?.split(':').next()?;
        Some((at + 1, name))
    })
}

/// What ships of each source, without its tests and without relations between constants.
fn products(tree: &[Text]) -> Vec<(&Text, String)> {
    tree.iter()
        .filter(|text| is_source(&text.path) && !text.path.starts_with("jepsen-like-tests/"))
        .map(|text| {
            let product = split_tests(&text.path, &code_only(&text.content)).0;
            (text, without_relations(&product))
        })
        .collect()
}

/// The constant that a line defines.
fn constant(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let public = line
        .strip_prefix("pub")
        .map(|rest| match rest.split_once(") ") {
            Some((scope, rest)) if scope.starts_with('(') => rest,
            _ => rest.trim_start(),
        });
    let rest = public.unwrap_or(line).strip_prefix("const ")?;
    rest.split(':').next()
}

/// The name of a bound without its unit, if a constant's name is one: `ROUND_TRIP_MAX_MS` is the bound `ROUND_TRIP_MAX`.
fn bound(name: &str) -> Option<&str> {
    let bare = UNITS.iter().find_map(|unit| name.strip_suffix(unit));
    let bare = bare.unwrap_or(name);
    BOUNDS.iter().any(|end| bare.ends_with(end)).then_some(bare)
}

/// Bounds of what ships that are defined twice, whatever the room: the second comes to differ from the first, and one name for
/// two things is taken for one thing. Those of the files of limits need no such ending.
fn bounds_twice(tree: &[Text], products: &[(&Text, String)]) -> Vec<Finding> {
    let homes = [LIMITS, WIRE_LIMITS];
    let homes = tree
        .iter()
        .filter(|text| homes.contains(&text.path.as_str()));
    let mut first: BTreeMap<&str, (String, usize)> = homes
        .flat_map(|home| limits_of(home).map(|(line, name)| (name, (home.path.clone(), line))))
        .collect();
    let mut findings = Vec::new();
    for (text, product) in products {
        for (at, line) in product.lines().enumerate() {
            let Some(name) = constant(line) else { continue };
            let of_a_home = first.contains_key(name).then_some(name);
            let Some(bound) = of_a_home.or_else(|| bound(name)) else {
                continue;
            };
            let here = (text.path.clone(), at + 1);
            match first.get(bound) {
                Some(known) if *known == here => {}
                Some((path, line)) => findings.push(Finding {
                    path: text.path.clone(),
                    line: at + 1,
                    fault: Fault::Twice(name.to_owned(), format!("{path}:{line}")),
                }),
                None => {
                    first.insert(bound, here);
                }
            }
        }
    }
    findings
}

/// Bounds of the rules that stand outside of the one file of them.
fn bounds_apart(products: &[(&Text, String)]) -> Vec<Finding> {
    let rules = products
        .iter()
        .filter(|(text, _)| text.path.starts_with(RULES) && text.path != LIMITS);
    let constants = rules.flat_map(|(text, product)| {
        let lines = product.lines().enumerate();
        lines.filter_map(move |(at, line)| Some((text, at + 1, constant(line)?)))
    });
    let apart =
        constants.filter(|(_, _, name)| bound(name).is_some() && !BOUNDS_APART.contains(name));
    apart
        .map(|(text, line, name)| Finding {
            path: text.path.clone(),
            line,
            fault: Fault::Apart(name.to_owned()),
        })
        .collect()
}

/// Limits that govern nothing.
fn loose_limits(tree: &[Text], products: &[(&Text, String)]) -> Vec<Finding> {
    let homes = [LIMITS, WIRE_LIMITS];
    let mut findings = Vec::new();
    for home in tree
        .iter()
        .filter(|text| homes.contains(&text.path.as_str()))
    {
        for (line, name) in limits_of(home) {
            let mut governs = PROVEN.contains(&name);
            for (_, product) in products {
                governs |= product.lines().any(|line| {
                    stands_in(line, name)
                        && constant(line) != Some(name)
                        && !line.starts_with("use ")
                });
            }
            if !governs {
                findings.push(Finding {
                    path: home.path.clone(),
                    line,
                    fault: Fault::Ungoverning(name.to_owned()),
                });
            }
        }
    }
    findings
}

/// Code without the assertions of constants: a relation between two limits governs nothing by itself.
fn without_relations(code: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(code.len());
    for line in code.lines() {
        inside |= line.trim_start().starts_with("const _: () =");
        if !inside {
            out.push_str(line);
        }
        out.push('\n');
        inside &= !line.trim_end().ends_with(';');
    }
    out
}

/// Constants of the limits that stand in no test of ours, and in none of the hostile walks.
fn untested_limits(tree: &[Text]) -> Vec<Finding> {
    let Some(limits) = tree.iter().find(|text| text.path == LIMITS) else {
        return Vec::new();
    };
    let tests: Vec<String> = tree
        .iter()
        .filter(|text| is_source(&text.path) && text.path != LIMITS)
        .map(|text| {
            let code = code_only(&text.content);
            if text.path.starts_with(ATTACKS) {
                code
            } else {
                split_tests(&text.path, &code).1
            }
        })
        .collect();
    let named = |name: &str| tests.iter().any(|test| names(test, name));
    let constants = limits_of(limits).filter(|(_, name)| !named(name));
    let constants = constants.map(|(line, name)| Finding {
        path: limits.path.clone(),
        line,
        fault: Fault::Untested(name.to_owned()),
    });
    constants.collect()
}

/// Whether a text uses a name: to import it is not to use it.
fn names(text: &str, name: &str) -> bool {
    let mut imports = false;
    text.lines().any(|line| {
        imports |= line.trim_start().starts_with("use ");
        let found = !imports && stands_in(line, name);
        imports &= !line.contains(';');
        found
    })
}

/// Sources so long that one may ask whether they are two things.
pub fn notes(tree: &[Text]) -> Vec<String> {
    tree.iter()
        .filter(|text| is_source(&text.path))
        .map(|text| (&text.path, text.content.lines().count()))
        .filter(|(_, lines)| LINES_NOTED < *lines)
        .map(|(path, lines)| format!("{path} has {lines} lines"))
        .collect()
}

/// Reads every text that git tracks or would track below `root`; a file that is not UTF-8 is no text.
///
/// # Errors
/// When git is not there or `root` is not in a work tree.
pub fn read(root: &Path) -> Result<Vec<Text>, Box<dyn std::error::Error>> {
    let mut tree = Vec::new();
    for path in tracked(root)? {
        if let Ok(content) = std::fs::read_to_string(root.join(&path)) {
            tree.push(Text { path, content });
        }
    }
    Ok(tree)
}

/// Every file that git tracks or would track below `root`, and that is there.
///
/// # Errors
/// As [`read`].
pub fn tracked(root: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()?;
    if !listed.status.success() {
        return Err(String::from_utf8_lossy(&listed.stderr).into_owned().into());
    }
    let listed = String::from_utf8(listed.stdout)?;
    // A file may be deleted and still listed.
    let there = listed
        .split_terminator('\0')
        .filter(|path| root.join(path).is_file());
    Ok(there.map(str::to_owned).collect())
}

fn check_text(text: &Text) -> Vec<Finding> {
    let mut findings = find(text, &text.content, PRIVATE, Fault::Private);
    if is_manifest_of_a_crate(text) && !text.content.contains("[lints]\nworkspace = true") {
        // The one crate with `unsafe` repeats the table with its own exception.
        if !text.path.starts_with("jepsen-like-tests/cluster/") {
            findings.push(Finding {
                path: text.path.clone(),
                line: 1,
                fault: Fault::Unlinted,
            });
        }
    }
    if !is_source(&text.path) {
        return findings;
    }
    if !text.content.starts_with("//!") {
        findings.push(Finding {
            path: text.path.clone(),
            line: 1,
            fault: Fault::Headless,
        });
    }
    let code = code_only(&text.content);
    let (product, tests) = split_tests(&text.path, &code);
    findings.extend(find(text, &code, UNFINISHED, Fault::Unfinished));
    if PURE.iter().any(|room| text.path.starts_with(room)) {
        findings.extend(find(text, &product, IMPURE, Fault::Impure));
        findings.extend(hidden_overflows(text, &product));
    }
    if APPLIES.iter().any(|room| text.path.starts_with(room)) {
        findings.extend(read_by_binary(text, &product));
    }
    if !EDGES.iter().any(|edge| text.path.starts_with(edge)) {
        findings.extend(stubs(text, &product));
    }
    findings.extend(stiff(text));
    if LIBRARIES.iter().any(|room| text.path.starts_with(room)) {
        findings.extend(programs(text));
    }
    if ANY_TRANSPORT.iter().any(|room| text.path.starts_with(room)) {
        findings.extend(find(text, &product, TRANSPORTS, Fault::Transport));
    }
    let unreal = SLEEPS_ALLOWED
        .iter()
        .any(|room| text.path.starts_with(room));
    if !unreal && !text.content.contains(CLOCK_STOPPED) {
        findings.extend(find(text, &tests, SLEEPS, Fault::Sleeps));
    }
    findings
}

/// The first of `words` in each line of `content` that stands there as a word of its own.
fn find(
    text: &Text,
    content: &str,
    words: &[&'static str],
    fault: fn(&'static str) -> Fault,
) -> Vec<Finding> {
    content
        .lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let word = words.iter().find(|word| stands_in(line, word))?;
            Some(Finding {
                path: text.path.clone(),
                line: index + 1,
                fault: fault(word),
            })
        })
        .collect()
}

/// Whether a line of a text, or the one above it, says why with `marker`.
fn excuses(text: &Text, marker: &str) -> impl Fn(usize) -> bool {
    let lines = text.content.lines();
    let said: Vec<bool> = lines.map(|line| line.contains(marker)).collect();
    move |at| {
        let says = |at: usize| said.get(at).copied().unwrap_or(false);
        says(at) || at.checked_sub(1).is_some_and(says)
    }
}

/// Lines of `product` that read bytes by what the binary knows and do not say why.
fn read_by_binary(text: &Text, product: &str) -> Vec<Finding> {
    let excused = excuses(text, LEVEL);
    let reads = |line: &str| BY_BINARY.iter().any(|word| line.contains(word));
    let lines = product.lines().enumerate();
    let found = lines.filter(|(at, line)| reads(line) && !excused(*at));
    found
        .map(|(at, _)| Finding {
            path: text.path.clone(),
            line: at + 1,
            fault: Fault::ByBinary,
        })
        .collect()
}

/// Lines of `product` that hide an overflow and do not say why.
fn hidden_overflows(text: &Text, product: &str) -> Vec<Finding> {
    let excused = excuses(text, SATURATES);
    product
        .lines()
        .enumerate()
        .filter_map(|(at, line)| {
            let word = HIDES_OVERFLOW.iter().find(|word| begins_in(line, word))?;
            (!excused(at)).then(|| Finding {
                path: text.path.clone(),
                line: at + 1,
                fault: Fault::HidesOverflow(word),
            })
        })
        .collect()
}

/// The first command or flag that a line names as it is written: behind a quote or a bracket, before a verb.
fn named_program(line: &str) -> Option<&str> {
    let all = PROGRAMS.iter().chain(&["--"]);
    let mut found = all.flat_map(|word| {
        line.match_indices(word).filter(move |(at, _)| {
            let before = line[..*at].chars().next_back();
            let opens = matches!(before, Some('"' | '(' | '`'));
            let flag = *word == "--" && before == Some(' ');
            let verb = line[at + word.len()..].starts_with(|c: char| c.is_ascii_lowercase());
            (opens || flag) && verb
        })
    });
    let (at, _) = found.next()?;
    line[at..].split([' ', ')', '`', '"']).next()
}

/// Lines of what ships that name a command or a flag.
fn programs(text: &Text) -> Vec<Finding> {
    // The texts are those of the source: its code has none.
    let (product, _) = split_tests(&text.path, &text.content);
    let lines = product.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .filter_map(|(at, line)| {
            let words = named_program(line)?;
            Some(Finding {
                path: text.path.clone(),
                line: at + 1,
                fault: Fault::Program(words.to_owned()),
            })
        })
        .collect()
}

/// Messages of what ships that say of a thing that it "is no" other.
fn stiff(text: &Text) -> Vec<Finding> {
    // As [`programs`], this is about texts, and code has none.
    let (product, _) = split_tests(&text.path, &text.content);
    let lines = product.lines().enumerate();
    let lines = lines.filter(|(_, line)| {
        let line = line.trim_start();
        !line.starts_with("//")
            && line.contains('"')
            && IS_NO.iter().any(|word| line.contains(word))
    });
    lines
        .map(|(at, _)| Finding {
            path: text.path.clone(),
            line: at + 1,
            fault: Fault::IsNo,
        })
        .collect()
}

/// Stubs of the wire that `product` names, alone or in the braces of one import.
fn stubs(text: &Text, product: &str) -> Vec<Finding> {
    const CRATE: &str = "carnet_wire::";
    let found = product.match_indices(CRATE).flat_map(|(at, _)| {
        let rest = &product[at + CRATE.len()..];
        let named = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => rest
                .split(|c: char| c != '_' && !c.is_alphanumeric())
                .next()
                .unwrap_or_default(),
        };
        let line = product[..at].matches('\n').count() + 1;
        let stubs = STUBS.iter().filter(move |stub| stands_in(named, stub));
        stubs.map(move |stub| (line, *stub))
    });
    found
        .map(|(line, stub)| Finding {
            path: text.path.clone(),
            line,
            fault: Fault::Stub(stub),
        })
        .collect()
}

/// Whether a word of `line` begins with `beginning`.
fn begins_in(line: &str, beginning: &str) -> bool {
    let bytes = line.as_bytes();
    line.match_indices(beginning)
        .any(|(at, _)| at == 0 || !is_word(bytes[at - 1]))
}

fn stands_in(line: &str, word: &str) -> bool {
    let bytes = line.as_bytes();
    line.match_indices(word).any(|(at, _)| {
        let end = at + word.len();
        let joined_before = at > 0 && is_word(bytes[at - 1]) && is_word(bytes[at]);
        let joined_after = end < bytes.len() && is_word(bytes[end]) && is_word(bytes[end - 1]);
        // A path begins where nothing of a longer path stands before it.
        let inside_path = word.starts_with('/') && at > 0 && is_word(bytes[at - 1]);
        !joined_before && !joined_after && !inside_path
    })
}

/// `code` as two texts of the same lines: what ships, and what only tests see.
///
/// Tests are files under `tests/` or named `tests.rs`, examples and benches (they measure), and what follows
/// `#[cfg(test)]` up to the brace that closes it.
pub(crate) fn split_tests(path: &str, code: &str) -> (String, String) {
    if path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.contains("/benches/")
        || path.contains("/examples/")
    {
        return (String::new(), code.to_owned());
    }
    let (mut product, mut tests) = (String::new(), String::new());
    let mut marked = false;
    let mut depth = 0_isize;
    for line in code.lines() {
        if !marked && line.trim_start().starts_with("#[cfg(test)]") {
            marked = true;
            depth = 0;
        }
        let (taken, other) = if marked {
            (&mut tests, &mut product)
        } else {
            (&mut product, &mut tests)
        };
        taken.push_str(line);
        taken.push('\n');
        other.push('\n');
        if marked {
            let opened = line.matches('{').count();
            let closed = line.matches('}').count();
            depth += opened.cast_signed() - closed.cast_signed();
            let ends_item = 0 < closed || line.trim_end().ends_with(';');
            if depth == 0 && ends_item {
                marked = false;
            }
        }
    }
    (product, tests)
}

fn is_source(path: &str) -> bool {
    path.ends_with(".rs")
}

fn is_manifest_of_a_crate(text: &Text) -> bool {
    text.path.ends_with("/Cargo.toml") && text.content.contains("[package]")
}
