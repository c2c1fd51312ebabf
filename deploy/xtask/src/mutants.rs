//! A sample of mutants: what the tests of the rules do not notice.
//!
//! The tree is copied, all mutants of the sample are woven into the copy at once ([`weave`]), and one build serves them all: a
//! test process is told by an environment variable which one it runs. The tests run once without a mutant, and note which mutants
//! they ask about: then of each mutant those that ask about it run, until the first fails.
//! A mutant that no test notices survives, and is answered by a test, or by a line of [`SAME`] that says why it is the same
//! program.

pub mod weave;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::tidy::{self, Text};

/// What is mutated: folders and files of the pure crates that decide.
const ROOMS: &[&str] = &[
    "proto/domain/src/custody",
    "proto/domain/src/rules",
    "proto/domain/src/machine",
    "proto/domain/src/log",
    "federation/trust/src/verdict",
];
/// Where the function stands that each mutant asks.
const SWITCH: &str = "proto/domain/src/mutant.rs";
/// Which packages' tests judge the mutants, the quickest to find most of them first.
const JUDGES: &[&str] = &["carnet-domain", "carnet-trust", "carnet-hostile"];
/// Seconds that the tests of one package may take with one mutant: one that has them run for ever is noticed.
const PATIENCE_S: u64 = 600;
/// Kilobytes of address space that one test may have: one that gathers for ever is noticed.
const MEMORY_KB: u64 = 8 << 20;

/// A mutant that no test can notice, because it does the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Same<'a> {
    /// The file.
    pub file: &'a str,
    /// The line, as [`Mutant::code`] has it.
    pub code: &'a str,
    /// What it becomes, as [`Mutant::change`] says it.
    pub change: &'a str,
    /// Why that is the same program.
    pub why: &'a str,
}

/// Every survivor that was looked at and found to be the same program. It is not run again, and the summary names it: a reason
/// that no longer holds is taken out, and one of which the tree has no such mutant any more is a fault.
pub const SAME: &[Same<'_>] = &[
    Same {
        file: "proto/domain/src/machine/seal.rs",
        code: "map_root.0[0] ^= 1;",
        change: "`0` becomes one more",
        why: "a planted fault that differs in another byte is the same fault",
    },
    Same {
        file: "proto/domain/src/log/merkle.rs",
        code: "let mut complete = Vec::with_capacity(self.size.trailing_ones() as usize + 1);",
        change: "`1` becomes one more",
        why: "only room",
    },
    Same {
        file: "proto/domain/src/machine/entry.rs",
        code: "room.saturating_add(item.0.len()).saturating_add(8)",
        change: "`8` becomes one more",
        why: "only room",
    },
    Same {
        file: "proto/domain/src/rules/decide/robot.rs",
        code: "let sequence = robot.head.map_or(0, |head| head.seq);",
        change: "`0` becomes one more",
        why: "every record of a robot names its newest leaf",
    },
    Same {
        file: "proto/domain/src/custody/foreign.rs",
        code: "minute: 0,",
        change: "`0` becomes one more",
        why: "what is added to a minute has no minute of its own",
    },
    Same {
        file: "proto/domain/src/machine/session.rs",
        code: "0x80_u8.checked_shr(item % 8).unwrap_or(0)",
        change: "`0` becomes one more",
        why: "a shift by fewer than eight bits is always one",
    },
    Same {
        file: "proto/domain/src/rules/decide/border.rs",
        code: "if fitting.is_some_and(|fitting| fitting.code == code) {",
        change: "`if fitting . is_some_and (| fitting | fitting . code == code)` always holds",
        why: "what applies the effect frees no row of another robot",
    },
    Same {
        file: "proto/domain/src/custody/foreign.rs",
        code: "next = record.step_before.filter(|earlier| *earlier < index);",
        change: "`* earlier < index`: the operator becomes `<=`",
        why: "the step before a leaf stands before it; the comparison ends the loop on a damaged disk",
    },
];

/// One mutant of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Its number in the sample, from 1.
    pub id: u32,
    /// The file, from the root of the tree.
    pub file: String,
    /// Its place among the candidates of the file.
    pub place: usize,
    /// The line, as far as it was found.
    pub line: usize,
    /// What stands on it, without the space around it.
    pub code: String,
    /// What it becomes, for people.
    pub change: String,
}

impl fmt::Display for Mutant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.file, self.line, self.change)
    }
}

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A test of this package failed, or ran for ever.
    Killed(&'static str),
    /// No test noticed it.
    Survived,
    /// It was not run: it is the same program, for this reason.
    Same(&'static str),
}

/// A sample of the candidates of a tree, in the order in which it was drawn: the same seed and tree, the same mutants, and a
/// run that was ended early is a smaller sample. Also how many candidates there are.
///
/// # Errors
/// A source is not Rust.
pub fn sample(tree: &[Text], seed: u64, count: usize) -> Result<(Vec<Mutant>, usize), String> {
    let mut all = Vec::new();
    for text in tree.iter().filter(|text| is_mutated(&text.path)) {
        let found =
            weave::candidates(&text.content).map_err(|fault| format!("{}: {fault}", text.path))?;
        let lines: Vec<&str> = text.content.lines().collect();
        for (place, candidate) in found.into_iter().enumerate() {
            let code = candidate.line.checked_sub(1).and_then(|at| lines.get(at));
            all.push(Mutant {
                id: 0,
                file: text.path.clone(),
                place,
                line: candidate.line,
                code: code.map_or("", |code| code.trim()).to_owned(),
                change: candidate.change,
            });
        }
    }
    let candidates = all.len();
    let mut random = Random(seed);
    let mut chosen = Vec::new();
    while !all.is_empty() && chosen.len() < count {
        chosen.push(all.swap_remove(random.below(all.len())));
    }
    for (mutant, id) in chosen.iter_mut().zip(1..) {
        mutant.id = id;
    }
    Ok((chosen, candidates))
}

/// The mutants of a list that `--copy-only` printed, found again in a tree that went on since: of those of the same words in a
/// file, the nearest by line. Also the lines of which the tree has none any more.
///
/// # Errors
/// A source is not Rust.
pub fn found_again(tree: &[Text], list: &str) -> Result<(Vec<Mutant>, Vec<String>), String> {
    let (all, _) = sample(tree, 0, usize::MAX)?;
    let (mut found, mut gone) = (Vec::new(), Vec::new());
    for line in list.lines().filter(|line| !line.is_empty()) {
        match read_listed(line).and_then(|wanted| nearest(&all, wanted)) {
            Some(mutant) => found.push(mutant),
            None => gone.push(line.to_owned()),
        }
    }
    Ok((found, gone))
}

/// Number, file, line and change of a mutant as it is printed.
fn read_listed(line: &str) -> Option<(u32, &str, usize, &str)> {
    let (id, rest) = line.split_once(". ")?;
    let (file, rest) = rest.split_once(':')?;
    let (at, change) = rest.split_once(": ")?;
    Some((id.parse().ok()?, file, at.parse().ok()?, change))
}

fn nearest(all: &[Mutant], wanted: (u32, &str, usize, &str)) -> Option<Mutant> {
    let (id, file, line, change) = wanted;
    let alike = all
        .iter()
        .filter(|one| one.file == file && one.change == change);
    let one = alike.min_by_key(|one| (one.line.abs_diff(line), one.place))?;
    Some(Mutant { id, ..one.clone() })
}

fn is_mutated(path: &str) -> bool {
    let named = ROOMS.iter().any(|room| {
        path.strip_prefix(room)
            .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    });
    named && path.ends_with(".rs") && !path.ends_with("/tests.rs")
}

/// A tree with all mutants woven in.
///
/// # Errors
/// A source is not Rust.
pub fn woven(tree: &[Text], mutants: &[Mutant]) -> Result<Vec<Text>, String> {
    let mut out = Vec::new();
    for text in tree {
        let of_file = mutants.iter().filter(|mutant| mutant.file == text.path);
        let chosen: BTreeMap<usize, u32> =
            of_file.map(|mutant| (mutant.place, mutant.id)).collect();
        let content = match (chosen.is_empty(), text.path.as_str()) {
            (false, path) => {
                let domain = path.starts_with("proto/domain/");
                let room = if domain { "crate" } else { "carnet_domain" };
                weave::woven(&text.content, chosen, &format!("{room}::mutant::mutant"))
                    .map_err(|fault| format!("{path}: {fault}"))?
            }
            (true, "proto/domain/src/lib.rs") => {
                format!("{}\npub mod mutant;\n", text.content)
            }
            (true, _) => text.content.clone(),
        };
        out.push(Text {
            path: text.path.clone(),
            content,
        });
    }
    out.push(Text {
        path: SWITCH.to_owned(),
        content: SWITCHED.to_owned(),
    });
    Ok(out)
}

/// The function that each mutant asks; it stands in no tree but a mutated copy. It also notes who asked, where a file for that is
/// named: a test that never asks about a mutant is the same with it.
const SWITCHED: &str = r#"//! Which mutant this process runs, and which it was asked about.

use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether it is this one.
pub fn mutant(id: u32) -> bool {
    static ON: OnceLock<(u32, Option<std::ffi::OsString>)> = OnceLock::new();
    let (on, asked) = ON.get_or_init(|| {
        let named = std::env::var("CARNET_MUTANT");
        let named = named.ok().and_then(|id| id.parse().ok()).unwrap_or(0);
        (named, std::env::var_os("CARNET_MUTANTS_ASKED"))
    });
    if let Some(file) = asked {
        note(id, file);
    }
    *on == id
}

/// Adds a line for the first question about a mutant: its number, and the test as nextest names it to the process.
fn note(id: u32, file: &std::ffi::OsStr) {
    static NOTED: [AtomicBool; 4096] = [const { AtomicBool::new(false) }; 4096];
    if NOTED[id as usize % 4096].swap(true, Ordering::Relaxed) {
        return;
    }
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let test = words.find(|word| !word.starts_with("--")).unwrap_or_default();
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
    let line = format!("{id}\t{program}\t{test}\n");
    opened.and_then(|mut file| file.write_all(line.as_bytes())).expect("who asked is noted");
}
"#;

/// Writes the work tree at `root` below a folder, with these texts in place of its own. A file that has its bytes already keeps
/// its age, so that nothing is built again for it.
///
/// # Errors
/// Git does not list the tree, or the disk.
pub fn write(root: &Path, tree: &[Text], folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let texts: BTreeMap<&str, &str> = tree
        .iter()
        .map(|text| (text.path.as_str(), text.content.as_str()))
        .collect();
    let listed = tidy::tracked(root)?;
    let paths: BTreeSet<&str> = texts
        .keys()
        .copied()
        .chain(listed.iter().map(String::as_str))
        .collect();
    for path in paths {
        let content = match texts.get(path) {
            Some(text) => text.as_bytes().to_vec(),
            None => fs::read(root.join(path))?,
        };
        let to = folder.join(path);
        if fs::read(&to).is_ok_and(|there| there == content) {
            continue;
        }
        if let Some(above) = to.parent() {
            fs::create_dir_all(above)?;
        }
        fs::write(to, content)?;
    }
    Ok(())
}

/// Reasons that are of no mutant of the tree.
///
/// # Errors
/// A source is not Rust.
pub fn stale<'a>(tree: &[Text], same: &[Same<'a>]) -> Result<Vec<Same<'a>>, String> {
    let (all, _) = sample(tree, 0, usize::MAX)?;
    let stands = |one: &Same<'_>| all.iter().any(|mutant| is_same(mutant, one));
    Ok(same.iter().filter(|one| !stands(one)).copied().collect())
}

fn is_same(mutant: &Mutant, same: &Same<'_>) -> bool {
    (
        mutant.file.as_str(),
        mutant.code.as_str(),
        mutant.change.as_str(),
    ) == (same.file, same.code, same.change)
}

/// The filter that leaves tests of these modules out of the judges.
fn but_for(without: &[String]) -> Option<String> {
    let tests: Vec<String> = without
        .iter()
        .map(|module| format!("test(/^{module}::/)"))
        .collect();
    (!tests.is_empty()).then(|| format!("not ({})", tests.join(" | ")))
}

/// Runs the tests with every mutant, from the first that has no line in the record yet, and adds a line to it for each. Tests of
/// the modules `without` do not judge; `more` are further arguments of nextest.
///
/// # Errors
/// The tests fail without a mutant, or cannot be run; the record cannot be written.
pub fn run(
    mutants: &[Mutant],
    folder: &Path,
    record: &Path,
    (without, more): (&[String], &[String]),
    told: &mut dyn FnMut(&str),
) -> Result<Vec<(Mutant, Fate)>, String> {
    let filter = but_for(without).into_iter();
    let filter = filter.flat_map(|filter| ["-E".to_owned(), filter]);
    let more = &filter.chain(more.iter().cloned()).collect::<Vec<_>>()[..];
    let mut lines = fs::read_to_string(record).unwrap_or_default();
    let begun: BTreeMap<u32, Fate> = lines.lines().filter_map(read_line).collect();
    let noted = folder.join("asked.tsv");
    if noted.exists() {
        fs::remove_file(&noted).map_err(|fault| fault.to_string())?;
    }
    if let Some(judge) = first_that_fails(folder, &Process::Plain(&noted), more)? {
        return Err(format!("the tests of {judge} fail without a mutant"));
    }
    let asking = asking(&fs::read_to_string(&noted).unwrap_or_default());
    let mut fates = Vec::new();
    for mutant in mutants {
        let same = SAME.iter().find(|same| is_same(mutant, same));
        let fate = match (begun.get(&mutant.id), same) {
            (_, Some(same)) => Fate::Same(same.why),
            (Some(fate), None) => *fate,
            (None, None) => {
                let began = Instant::now();
                let process = Process::Mutant(mutant.id, asking.get(&mutant.id));
                let fate = first_that_fails(folder, &process, more)?;
                let fate = fate.map_or(Fate::Survived, Fate::Killed);
                let line = format!(
                    "{}\t{}\t{mutant}\t{} s",
                    mutant.id,
                    word(fate),
                    began.elapsed().as_secs()
                );
                told(&line);
                lines.push_str(&line);
                lines.push('\n');
                fs::write(record, &lines).map_err(|fault| fault.to_string())?;
                fate
            }
        };
        fates.push((mutant.clone(), fate));
    }
    Ok(fates)
}

fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Killed(judge) => judge,
        Fate::Survived => "survived",
        Fate::Same(_) => "same",
    }
}

fn read_line(line: &str) -> Option<(u32, Fate)> {
    let mut columns = line.split('\t');
    let id = columns.next()?.parse().ok()?;
    let fate = match columns.next()? {
        "survived" => Fate::Survived,
        judge => Fate::Killed(JUDGES.iter().find(|known| **known == judge)?),
    };
    Some((id, fate))
}

/// The tests that asked about each mutant, by name.
fn asking(noted: &str) -> BTreeMap<u32, BTreeSet<String>> {
    let mut asking: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for line in noted.lines() {
        let mut columns = line.split('\t');
        let (id, test) = (columns.next(), columns.nth(1));
        if let (Some(Ok(id)), Some(test)) = (id.map(str::parse), test) {
            asking.entry(id).or_default().insert(test.to_owned());
        }
    }
    asking
}

/// What the test processes are told.
enum Process<'a> {
    /// To run the program as it was written, and to note who asks in this file.
    Plain(&'a Path),
    /// To run a mutant; with the tests that ask about it, if any does.
    Mutant(u32, Option<&'a BTreeSet<String>>),
}

/// The first package of the judges one of whose tests fails.
fn first_that_fails(
    folder: &Path,
    process: &Process<'_>,
    more: &[String],
) -> Result<Option<&'static str>, String> {
    let (variable, value) = match process {
        Process::Plain(noted) => ("CARNET_MUTANTS_ASKED", noted.display().to_string()),
        Process::Mutant(_, None) => return Ok(None),
        Process::Mutant(id, Some(_)) => ("CARNET_MUTANT", id.to_string()),
    };
    let tests: Vec<&str> = match process {
        Process::Mutant(_, Some(asking)) => ["--", "--exact"]
            .into_iter()
            .chain(asking.iter().map(String::as_str))
            .collect(),
        Process::Mutant(_, None) | Process::Plain(_) => Vec::new(),
    };
    for judge in JUDGES {
        let nextest = format!(
            "ulimit -v {MEMORY_KB}; exec timeout {PATIENCE_S} cargo nextest run --release --offline --fail-fast -p {judge} \
             --no-tests pass --status-level none --final-status-level fail \"$@\""
        );
        let status = Command::new("sh")
            .args(["-c", &nextest, "sh"])
            .args(more)
            .args(&tests)
            .current_dir(folder)
            .env(variable, &value)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("tests.log")).map_err(|it| it.to_string())?)
            .status()
            .map_err(|fault| fault.to_string())?;
        match status.code() {
            Some(0) => {}
            // What nextest and timeout say when tests failed, or did not end.
            Some(100 | 124 | 137) | None => return Ok(Some(judge)),
            Some(code) => return Err(format!("the tests of {judge} cannot be run: {code}")),
        }
    }
    Ok(None)
}

/// Counts by file, every survivor, every mutant that is the same program, and whose tests did not judge.
pub fn summary(
    fates: &[(Mutant, Fate)],
    seed: u64,
    candidates: usize,
    without: &[String],
) -> String {
    let same: Vec<(&Mutant, &str)> = fates
        .iter()
        .filter_map(|(mutant, fate)| match fate {
            Fate::Same(why) => Some((mutant, *why)),
            Fate::Killed(_) | Fate::Survived => None,
        })
        .collect();
    let survivors: Vec<&Mutant> = fates
        .iter()
        .filter(|(_, fate)| *fate == Fate::Survived)
        .map(|(mutant, _)| mutant)
        .collect();
    let mut out = format!(
        "seed {seed}: {} of {candidates} candidates, {} killed, {} survived, {} the same program\n",
        fates.len(),
        fates.len() - survivors.len() - same.len(),
        survivors.len(),
        same.len()
    );
    if !without.is_empty() {
        out.push_str(&format!("not judged by: {}\n", without.join(" ")));
    }
    let files: BTreeSet<&str> = fates.iter().map(|(it, _)| it.file.as_str()).collect();
    for file in files {
        let of_file = fates.iter().filter(|(mutant, _)| mutant.file == file);
        let (all, alive) = of_file.fold((0, 0), |(all, alive), (_, fate)| {
            let killed = matches!(fate, Fate::Killed(_));
            (all + 1, alive + usize::from(!killed))
        });
        out.push_str(&format!("{file}: {} of {all} killed\n", all - alive));
    }
    for mutant in survivors {
        out.push_str(&format!("survived: {}. {mutant}\n", mutant.id));
    }
    for (mutant, why) in same {
        out.push_str(&format!(
            "the same program: {}. {mutant}: {why}\n",
            mutant.id
        ));
    }
    out
}

/// Numbers from a seed: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Vec<Text> {
        let text = |path: &str, content: &str| Text {
            path: path.to_owned(),
            content: content.to_owned(),
        };
        vec![
            text("proto/domain/src/lib.rs", "pub mod rules;\n"),
            text(
                "proto/domain/src/rules.rs",
                "fn f(a: u8) -> bool {\n    a < 1 && a != 7\n}\n",
            ),
            text(
                "proto/domain/src/rules/tests.rs",
                "fn f() -> bool { true }\n",
            ),
            text(
                "federation/trust/src/verdict.rs",
                "fn g() -> bool { true }\n",
            ),
            text("node/store/src/keys.rs", "fn h() -> bool { true }\n"),
        ]
    }

    #[test]
    fn a_smaller_sample_is_the_beginning_of_a_larger_one() {
        let (all, candidates) = sample(&tree(), 7, 100).expect("it is Rust");
        assert_eq!((all.len(), candidates), (6, 6), "{all:?}");
        assert!(all.iter().all(|it| !it.file.contains("store")), "{all:?}");
        let (few, _) = sample(&tree(), 7, 3).expect("it is Rust");
        assert_eq!(few, all[..3]);
        let (other, _) = sample(&tree(), 8, 100).expect("it is Rust");
        assert_ne!(other, all);
    }

    #[test]
    fn what_was_drawn_from_an_older_tree_is_found_again_by_its_words_and_the_nearest_line() {
        let texts = |content: &str| {
            vec![Text {
                path: "proto/domain/src/rules.rs".to_owned(),
                content: content.to_owned(),
            }]
        };
        let old = texts("fn f() -> bool {\n    true\n}\n\nfn g() -> bool {\n    true\n}\n");
        let new = texts("\n\nfn f() -> bool {\n    true\n}\nfn g() -> bool {\n    true\n}\n");
        let (drawn, _) = sample(&old, 7, 2).expect("it is Rust");
        let mut list: String = drawn
            .iter()
            .map(|it| format!("{}. {it}\n", it.id))
            .collect();
        list.push_str("9. proto/domain/src/rules.rs:1: `false` becomes `true`\n");
        let (found, gone) = found_again(&new, &list).expect("it is Rust");
        let lines = |all: &[Mutant]| -> BTreeMap<u32, usize> {
            all.iter().map(|it| (it.id, it.line)).collect()
        };
        let later = |line: usize| if line == 2 { 4 } else { 7 };
        let expected = lines(&drawn)
            .into_iter()
            .map(|(id, line)| (id, later(line)));
        assert_eq!(lines(&found), expected.collect());
        assert_eq!(gone.len(), 1, "{gone:?}");
    }

    #[test]
    fn who_asked_about_a_mutant_is_read_from_the_lines_that_tests_left() {
        let noted = "3\t/a/it-1\tborder::one\n4\t/a/it-1\tborder::one\n3\t/a/it-1\tborder::two\n";
        let asking = asking(noted);
        let of = |id: u32| asking.get(&id).map(|tests| tests.len());
        assert_eq!([of(3), of(4), of(5)], [Some(2), Some(1), None]);
    }

    #[test]
    fn what_is_woven_asks_the_one_function_of_the_copy() {
        let (all, _) = sample(&tree(), 7, 100).expect("it is Rust");
        let woven = woven(&tree(), &all).expect("it is Rust");
        let of = |path: &str| {
            let found = woven.iter().find(|text| text.path == path);
            found.map_or("", |text| text.content.as_str())
        };
        assert!(of("proto/domain/src/lib.rs").contains("pub mod mutant;"));
        assert!(of(SWITCH).contains("CARNET_MUTANT"));
        assert!(of("proto/domain/src/rules.rs").contains("crate::mutant::mutant("));
        let trust = of("federation/trust/src/verdict.rs");
        assert!(trust.contains("carnet_domain::mutant::mutant("), "{trust}");
        assert_eq!(of("node/store/src/keys.rs"), "fn h() -> bool { true }\n");
    }

    #[test]
    fn a_run_goes_on_from_its_record() {
        let line = "3\tcarnet-domain\tproto/domain/src/rules.rs:2: `a < 1`\t9 s";
        assert_eq!(read_line(line), Some((3, Fate::Killed("carnet-domain"))));
        assert_eq!(read_line("4\tsurvived\tx\t9 s"), Some((4, Fate::Survived)));
        assert_eq!(read_line("5\tnobody\tx\t9 s"), None);
    }

    #[test]
    fn a_reason_for_what_is_in_the_tree_no_more_is_stale() {
        let (all, _) = sample(&tree(), 7, 100).expect("it is Rust");
        let known = Same {
            file: &all[0].file,
            code: &all[0].code,
            change: &all[0].change,
            why: "nobody asks it",
        };
        let gone = Same {
            change: "`a < 2` never holds",
            ..known
        };
        assert_eq!(stale(&tree(), &[known, gone]), Ok(vec![gone]));
    }

    #[test]
    fn modules_are_left_out_by_name() {
        assert_eq!(but_for(&[]), None);
        let filter = but_for(&["limits".to_owned(), "walk".to_owned()]);
        let expected = "not (test(/^limits::/) | test(/^walk::/))";
        assert_eq!(filter.as_deref(), Some(expected));
    }

    #[test]
    fn survivors_are_counted_by_file_and_named() {
        let (all, candidates) = sample(&tree(), 7, 2).expect("it is Rust");
        let fates: Vec<(Mutant, Fate)> = all
            .into_iter()
            .zip([Fate::Survived, Fate::Killed("carnet-trust")])
            .collect();
        let mut fates = fates;
        let (third, _) = sample(&tree(), 7, 3).expect("it is Rust");
        fates.push((third[2].clone(), Fate::Same("nobody asks it")));
        let said = summary(&fates, 7, candidates, &["walk".to_owned()]);
        let begins = "seed 7: 3 of 6 candidates, 1 killed, 1 survived, 1 the same program\nnot judged by: walk\n";
        assert!(said.starts_with(begins), "{said}");
        let same = format!("the same program: 3. {}: nobody asks it\n", third[2]);
        assert!(said.ends_with(&same), "{said}");
        assert!(
            said.contains(&format!("survived: 1. {}", fates[0].0)),
            "{said}"
        );
    }
}
