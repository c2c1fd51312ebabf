//! What every run over the rows of a file has in common, whatever is done with them: rows are sent, what is not taken is kept and
//! named, and the books are closed at the end.
//!
//! It does not know what a row means: that is [`crate::robot::import`] and [`crate::robot`].

pub(crate) mod refused;

use std::collections::BTreeMap;
use std::io::IsTerminal;

use carnet_client::{ApiError, BulkEvent, BulkReport, Client, ClientError, Effect, Failure};
use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::rules::command::Command;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

pub(crate) use self::refused::{Refused, SHOWN_MAX, Why};
use crate::Outcome;
use crate::exit::{self, Failed};
use crate::output::{Format, say};
use crate::sheet::{Unreadable, holds_no_text};
use crate::submit::merge;

/// Records that are read at a time to compare rows with them.
pub(crate) const READS_AT_ONCE: usize = 16;
/// Rows that a dry run asks about at once: those that exclude each other are found among so many.
pub(crate) const ROWS_AT_ONCE: usize = 512;

/// How a run over rows speaks of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// The call, as "carnet robot import".
    pub(crate) call: &'static str,
    /// What a row is when it is done: the name of its count.
    pub(crate) done: &'static str,
    /// The name of the count of those that were done before.
    pub(crate) already: &'static str,
    /// What `--resume` passes over.
    pub(crate) passed_over: &'static str,
}

/// A bar on a terminal that a person looks at.
pub(crate) fn progress(count: u64, format: Format) -> ProgressBar {
    let visible = format.is_for_people() && std::io::stderr().is_terminal();
    let target = if visible {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(count), target);
    if let Ok(style) = ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} robots  {per_sec}  {eta} left",
    ) {
        bar.set_style(style);
    }
    bar
}

/// Sends commands and gives each answer once. What was answered, and why it stopped if it did.
pub(crate) async fn send(
    client: &Client,
    commands: impl Iterator<Item = Command>,
    bar: &ProgressBar,
    mut answered: impl FnMut(u64, &ItemAnswer),
) -> (BulkReport, Option<ClientError>) {
    let ended = client
        .submit_bulk(commands, |event| match event {
            BulkEvent::Answered { index, answer } => {
                bar.inc(1);
                answered(index, answer);
            }
            // To be sent on to the leader is no trouble worth a word.
            BulkEvent::Resumed {
                failure: Failure::Api(ApiError::NotLeader { .. }),
                ..
            } => {}
            BulkEvent::Resumed { attempts, failure } => {
                bar.suspend(|| say(format!("sending again (attempt {attempts}): {failure}")));
            }
        })
        .await;
    bar.finish_and_clear();
    match ended {
        Ok(report) => (report, None),
        Err(failure) => (failure.report, Some(failure.source)),
    }
}

/// How a run over rows ended.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) report: BulkReport,
    /// Rows in the file.
    pub(crate) rows: u64,
    pub(crate) malformed: u64,
    /// Rows refused by the registry, or of which it has another record.
    pub(crate) refused: u64,
    /// How many were not taken for each reason.
    pub(crate) by_reason: BTreeMap<String, u64>,
    pub(crate) refused_rows: Vec<Value>,
    /// Rows that were done before.
    pub(crate) already: u64,
    /// The line of the first row that was sent and is not answered.
    pub(crate) first_unanswered: Option<u64>,
}

impl Books {
    /// Closes the book of rows that were not taken; gives their file, or why it is not whole.
    pub(crate) fn take(&mut self, mut refused: Refused, malformed: u64) -> Kept {
        self.by_reason = std::mem::take(&mut refused.by_reason);
        let (count, shown, kept) = refused.finish();
        self.malformed = malformed;
        self.refused = count.saturating_sub(malformed);
        self.refused_rows = shown;
        kept
    }

    fn not_taken(&self) -> u64 {
        self.refused + self.malformed
    }

    /// It stopped on the way: what is known of the rows before and behind.
    pub(crate) fn stopped(self, words: &Words, error: ClientError, kept: &Kept) -> Failed {
        say_by_message(&self.refused_rows);
        let done = self.report.done;
        let mut failed = Failed::from(error);
        if done > 0 && failed.effect == Effect::None {
            failed.effect = Effect::Happened;
        }
        let from = match self.first_unanswered {
            Some(line) => format!("rows from line {line} on are not answered"),
            None => "the rows behind are not sent".to_owned(),
        };
        failed.text = format!(
            "{}; {done} of {} rows are {}, {} were refused; {from}",
            failed.text,
            self.rows,
            words.done,
            self.not_taken()
        );
        if let Err(fault) = kept {
            failed.text = format!(
                "{}; refused rows could not be written: {fault}",
                failed.text
            );
        }
        // What stopped it may stop it again: first that is to be done.
        failed.next = format!(
            "{} Then run it again with --resume: {} are passed over.",
            failed.next, words.passed_over
        );
        failed
    }

    /// All rows are answered, but not all could be compared with what is there.
    pub(crate) fn not_compared(self, words: &Words, error: ClientError) -> Failed {
        let done = self.report.done;
        let mut failed = Failed::from(error);
        if done > 0 {
            failed.effect = Effect::Happened;
        }
        failed.text = format!(
            "{done} of {} rows are {} now; rows that may have been so before could not be compared: {}",
            self.rows, words.done, failed.text
        );
        failed.next = "Run it again with --resume.".into();
        failed
    }

    /// What a person and a program are told at the end. `faults` are why not all was read or kept, by their names.
    pub(crate) fn shown(
        self,
        words: &Words,
        kept: Kept,
        faults: Vec<(&str, String)>,
        extra: Value,
        format: Format,
    ) -> Outcome {
        let report = &self.report;
        say_by_message(&self.refused_rows);
        let not_taken = self.not_taken();
        let more = not_taken.saturating_sub(self.refused_rows.len() as u64);
        if more > 0 {
            say(format!("{more} more rows were not taken"));
        }
        if not_taken > 0 && matches!(kept, Ok(None)) {
            say(format!(
                "to have the rows that were not taken as a file: {} again with --resume and --refused FILE",
                words.call
            ));
        }
        // The books must close: a row is done, was done before, refused, or malformed.
        let accounted = report.done + report.nothing + self.already + not_taken;
        let whole = kept.is_ok() && faults.is_empty();
        let complete = not_taken == 0 && report.waiting == 0 && whole && accounted == self.rows;
        let mut value = json!({"rows": self.rows.to_string()});
        value[words.done] = (report.done - report.waiting).to_string().into();
        value[words.already] = self.already.to_string().into();
        let counts = json!({
            "refused": self.refused.to_string(),
            "malformed": self.malformed.to_string(),
            "requests": report.requests.to_string(),
            "log_index": report.position.log_index.to_string(),
            "not_taken_by_reason": self.by_reason,
        });
        value = merge(merge(value, counts), extra);
        if !format.is_for_people() {
            // A person has read them line by line.
            value["rows_not_taken"] = self.refused_rows.into();
        }
        if more > 0 {
            value["rows_not_taken_and_not_shown"] = more.to_string().into();
        }
        match kept {
            Ok(Some(file)) => value["refused_file"] = file.into(),
            Ok(None) => {}
            Err(fault) => {
                say(format!("refused rows could not be written: {fault}"));
                value["refused_file_fault"] = fault.into();
            }
        }
        for (name, fault) in faults {
            say(format!("{}: {fault}", name.replace('_', " ")));
            value[name] = fault.into();
        }
        value["took_effect"] = (report.done > 0).into();
        value["complete"] = complete.into();
        let code = if complete { 0 } else { exit::ERROR };
        Outcome { value, code }
    }
}

/// The file with the rows that were not taken, or why it does not hold them all.
pub(crate) type Kept = Result<Option<String>, String>;

/// Why a file with malformed rows was not sent at all: of so many good and bad ones, the first bad ones, and the file of all of them.
pub(crate) fn nothing_sent(
    words: &Words,
    (good, bad_count): (u64, u64),
    bad: &[Value],
    kept: Kept,
) -> Failed {
    let (line, message) = bad
        .first()
        .map_or(("", ""), |bad| (text(bad, "line"), text(bad, "message")));
    say_by_message(bad);
    let mut failed = match bad_count {
        0 => Failed::usage("the file has no row"),
        _ => Failed::usage(format!(
            "{bad_count} of {} rows are malformed; nothing was sent; the first: line {line}: {message}",
            good + bad_count,
        )),
    };
    failed.next = match good {
        0 => format!(
            "Correct the rows, or say how they are to be read ({} --help).",
            words.call
        ),
        _ => "Correct the rows, or leave --all-or-none out to send the good ones.".into(),
    };
    failed.next += &match kept {
        Ok(Some(file)) => {
            format!(" The malformed rows are in {file}, and why each of them beside it.")
        }
        Ok(None) if bad_count > bad.len() as u64 => {
            " With --refused FILE every malformed row is written there, and why beside it."
                .to_owned()
        }
        Ok(None) => String::new(),
        Err(fault) => format!(" The malformed rows could not be written: {fault}."),
    };
    failed
}

/// Why a file cannot be read as rows.
pub(crate) fn unreadable(words: &Words, Unreadable(fault): Unreadable) -> Failed {
    let failed = Failed {
        next: format!(
            "Nothing was sent: correct the file, or say how it is to be read ({} --help).",
            words.call
        ),
        ..Failed::usage(&fault)
    };
    match holds_no_text(&fault) {
        true => Failed {
            code: exit::UNREADABLE,
            reason: "UNREADABLE".into(),
            ..failed
        },
        false => failed,
    }
}

/// Where rows are only read.
impl From<Unreadable> for Failed {
    fn from(fault: Unreadable) -> Self {
        let next = "Correct the file, or say how it is to be read (--help of the call).".into();
        Self {
            next,
            ..unreadable(&READ_ONLY, fault)
        }
    }
}

const READ_ONLY: Words = Words {
    call: "carnet",
    done: "read",
    already: "read_before",
    passed_over: "rows",
};

/// The lines of rows that were refused for the same, in the order of their first: one cause is said once.
pub(crate) fn by_message(rows: &[Value]) -> Vec<(&str, Vec<&str>)> {
    let mut out: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows {
        let (message, line) = (text(row, "message"), text(row, "line"));
        match out.iter_mut().find(|(known, _)| *known == message) {
            Some((_, lines)) => lines.push(line),
            None => out.push((message, vec![line])),
        }
    }
    out
}

/// Says each cause once, with the lines that it is of.
fn say_by_message(rows: &[Value]) {
    for (message, lines) in by_message(rows) {
        let line = if lines.len() == 1 { "line" } else { "lines" };
        say(format!("{line} {}: {message}", lines.join(", ")));
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::rules::rejection::{Reason, Rejection};

    const WORDS: Words = Words {
        call: "carnet robot import",
        done: "registered",
        already: "already_registered",
        passed_over: "rows that are registered as they stand",
    };

    fn ended(rows: u64, done: u64) -> Books {
        Books {
            rows,
            report: BulkReport {
                done,
                answered: done,
                ..BulkReport::default()
            },
            ..Books::default()
        }
    }

    #[test]
    fn complete_means_that_every_row_is_done() {
        let complete = |end: Books, unread: Option<&str>, kept: Kept| {
            let faults = unread.map(|fault| ("not_read", fault.to_owned()));
            let faults = faults.into_iter().collect();
            let outcome = end.shown(&WORDS, kept, faults, json!({}), Format::Json);
            assert_eq!(outcome.value["complete"] == json!(true), outcome.code == 0);
            outcome.code == 0
        };
        assert!(complete(ended(3, 3), None, Ok(None)));
        let already = |end: Books| Books { already: 1, ..end };
        assert!(complete(already(ended(3, 2)), None, Ok(None)));
        assert!(
            !complete(ended(3, 2), None, Ok(None)),
            "a row that nobody knows of"
        );
        assert!(!complete(ended(3, 3), Some("gone"), Ok(None)));
        assert!(!complete(ended(3, 3), None, Err("no room".to_owned())));
        let malformed = |end: Books| Books {
            malformed: 1,
            ..end
        };
        assert!(!complete(malformed(ended(3, 2)), None, Ok(None)));
        let mut waits = ended(3, 3);
        waits.report.waiting = 1;
        assert!(!complete(waits, None, Ok(None)), "a first word is not done");
    }

    #[test]
    fn a_run_that_stops_says_what_took_effect() {
        let lost = || ClientError::Unreachable {
            attempts: 1,
            last: "gone".into(),
        };
        let none = ended(3, 0).stopped(&WORDS, lost(), &Ok(None));
        assert_eq!(none.effect, Effect::None);
        let some = Books {
            first_unanswered: Some(4),
            ..ended(3, 2)
        };
        let some = some.stopped(&WORDS, lost(), &Ok(None));
        assert_eq!(some.effect, Effect::Happened);
        assert!(
            some.text.contains("2 of 3 rows are registered") && some.text.contains("line 4"),
            "{}",
            some.text
        );
        // Once, of a key that nobody enrolled it said "run it again with --resume" alone.
        let unknown = Rejection::from(Reason::SignerUnknown);
        let own = unknown.next();
        let refused = ended(3, 0).stopped(&WORDS, ClientError::Refused(unknown), &Ok(None));
        assert!(refused.next.starts_with(&own), "{}", refused.next);
    }

    /// Once, a file that `robot each` could not read sent people to the help of another command.
    #[test]
    fn a_file_that_cannot_be_read_leads_to_the_help_of_its_own_call() {
        let words = Words {
            call: "carnet robot each",
            ..WORDS
        };
        let failed = unreadable(&words, Unreadable("no column code".into()));
        assert!(
            failed.next.contains("carnet robot each --help"),
            "{}",
            failed.next
        );
        let failed = nothing_sent(
            &words,
            (0, 1),
            &[json!({"line": "2", "message": "code: missing"})],
            Ok(None),
        );
        assert!(
            failed.next.contains("carnet robot each --help"),
            "{}",
            failed.next
        );
        assert!(
            failed.text.contains("line 2: code: missing"),
            "{}",
            failed.text
        );
    }
}
