//! Files as people have them, those that once lost rows among them, and what became of each row.

use super::*;
use std::io::Write as _;
use std::path::Path;

use crate::rows::refused::Before;

pub(super) const CODE_1: &str = "86000110000200000000000000001";
const CODE_2: &str = "86000110000200000000000000002";

pub(super) fn defaults() -> Defaults {
    Defaults {
        scheme: IdentifierScheme::Name,
        country: Some("CN".into()),
        id: Some("Unitree".into()),
        dates: Dates::Iso,
    }
}

/// The cells that a row must have.
pub(super) fn row(code: &str) -> crate::sheet::Cells {
    [("code", code), ("manufactured", "2026-05-01")]
        .map(|(name, text)| (name, text.to_owned()))
        .into()
}

#[derive(Debug, clap::Parser)]
struct Call {
    #[command(flatten)]
    args: ImportArgs,
}

/// The options of an import, as they are typed.
fn call(path: &Path, options: &[&str]) -> ImportArgs {
    let path = path.to_str().expect("a path");
    let maker = ["--maker-country", "CN", "--maker-id", "Unitree"];
    let typed = ["import", path]
        .into_iter()
        .chain(maker)
        .chain(options.iter().copied());
    <Call as clap::Parser>::try_parse_from(typed)
        .expect("a call")
        .args
}

/// The line of each row, and the code or what is wrong.
type Rows = Vec<(u64, Result<String, String>)>;

fn judged(path: &Path, options: &[&str]) -> Result<Rows, String> {
    let args = call(path, options);
    let sheet = Sheet::open(path, args.reading()).map_err(|fault| fault.0)?;
    let robots = || sheet.rows().map(|rows| Robots::of(rows, args.defaults()));
    survey(robots().map_err(|fault| fault.0)?).map_err(|fault| fault.0)?;
    let rows = robots().map_err(|fault| fault.0)?.map(|row| {
        let row = row.map_err(|fault| fault.0)?;
        Ok((row.line, row.robot.map(|robot| robot.code.to_string())))
    });
    rows.collect()
}

/// A file that was given to us.
fn given(name: &str, options: &[&str]) -> Result<Rows, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    judged(&folder.join(name), options)
}

/// A file with this content.
fn file(name: &str, content: &[u8], options: &[&str]) -> Result<Rows, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("written");
    judged(&path, options)
}

fn check_unreadable(found: Result<Rows, String>, says: &str) {
    let fault = found.expect_err("not readable");
    assert!(fault.contains(says), "{fault}");
}

/// Lines, and `ok` or the beginning of what is wrong.
fn check(found: Result<Rows, String>, expected: &[(u64, &str)]) {
    let found = found.expect("readable");
    let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
    let wanted: Vec<u64> = expected.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, wanted, "{found:?}");
    for ((line, row), (_, says)) in found.iter().zip(expected) {
        match row {
            Ok(_) => assert_eq!(*says, "ok", "line {line}"),
            Err(fault) => assert!(
                fault.contains(says) && *says != "ok",
                "line {line}: {fault}"
            ),
        }
    }
}

#[test]
fn a_quote_that_is_never_closed_swallows_no_row() {
    check_unreadable(
        given("openquote.csv", &[]),
        "line 2: a quote is opened and never closed",
    );
    // At the end, and where a later quote closes it by chance.
    let last = b"code,manufactured,site\n86000110000200000000000000001,2026-05-01,\"Wuhan\n";
    check_unreadable(
        file("x.csv", last, &[]),
        "line 2: a quote is opened and never closed",
    );
    let chance = b"code,manufactured,site\n86000110000200000000000000001,2026-05-01,\"Wu\n\
        86000110000200000000000000002,2026-05-01,han\"\n";
    check_unreadable(
        file("x.csv", chance, &[]),
        "line 2: a quote is opened and never closed",
    );
    let text_behind =
        b"code,manufactured,site\n86000110000200000000000000001,2026-05-01,\"W\nu\"x\n";
    check_unreadable(
        file("x.csv", text_behind, &[]),
        "line 2: text follows the quote",
    );
}

/// As programs write it that put quotes around whatever a cell holds.
#[test]
fn a_row_whose_own_quotes_pair_is_one_bad_row() {
    let naive =
        b"code,manufactured,site\n86000110000200000000000000001,2026-05-01,\"Hall \"A\"\"\n\
        86000110000200000000000000002,2026-05-01,\"Hall B\"\n";
    let expected = [(2, "text follows the quote"), (3, "ok")];
    check(file("x.csv", naive, &[]), &expected);
}

/// A registry takes 16 parts of identity and 64 others, and each may be as long as a text.
#[test]
fn every_part_that_a_registry_takes_is_read() {
    let row = |parts: &str| {
        let text =
            format!("code,manufactured,parts\n86000110000200000000000000001,2026-05-01,{parts}\n");
        file("x.csv", text.as_bytes(), &[])
    };
    let parts: Vec<String> = (0..64)
        .map(|at| format!("battery:L{at}:{at:0>40}"))
        .collect();
    check(row(&parts.join(" ")), &[(2, "ok")]);
    let long = format!("battery:L1:{:0>600}", 1);
    check(row(&long), &[(2, "parts: ")]);
}

#[test]
fn a_file_without_rows_is_no_success() {
    check_unreadable(given("empty.csv", &[]), "the file is empty");
    // 7 says that it is the file, whatever the call; what a call can set right is 2.
    let code = |fault: &str| Failed::from(Unreadable(fault.to_owned())).code;
    assert_eq!(code("empty.csv: the file is empty"), exit::UNREADABLE);
    assert_eq!(
        code("a.gz: the file is compressed with gzip; unpack it first"),
        exit::UNREADABLE
    );
    assert_eq!(code("a.csv: the file holds no line with text"), exit::USAGE);
    check_unreadable(given("hdronly.csv", &[]), "a header and no row");
    check_unreadable(given("nohdr.csv", &[]), "line 1: there is no header");
    check_unreadable(file("x.csv", b"\n \n", &[]), "no line with text");
    check_unreadable(file("x.ndjson", b"\n\n", &[]), "no row");
}

#[test]
fn lines_are_told_right_however_they_end() {
    let expected = [(2, "ok"), (3, "manufactured: "), (4, "manufactured: ")];
    check(given("crlfbad.csv", &[]), &expected);
    for end in ["\n", "\r\n", "\r"] {
        for last in [end, ""] {
            let rows = [
                "code,manufactured",
                "86000110000200000000000000001,2026-05-01",
                "x,bad",
                "y,worse",
            ];
            let text = rows.join(end) + last;
            check(
                file("x.csv", text.as_bytes(), &[]),
                &[(2, "ok"), (3, "code: "), (4, "code: ")],
            );
        }
    }
}

#[test]
fn yes_and_no_are_taken_as_spreadsheets_write_them() {
    check(given("bool.csv", &[]), &[(2, "ok"), (3, "ok"), (4, "ok")]);
    let wrong = b"code,manufactured,prototype\n86000110000200000000000000001,2026-05-01,maybe\n";
    check(
        file("x.csv", wrong, &[]),
        &[(2, "prototype: \"maybe\": write true or false")],
    );
}

#[test]
fn what_a_spreadsheet_did_to_codes_and_dates_is_said() {
    check(
        given("excel.csv", &[]),
        &[(2, "a spreadsheet turned the code")],
    );
    check(
        given("exceldate.csv", &[]),
        &[(2, "--dates dmy"), (3, "--dates ymd"), (4, "--dates excel")],
    );
    check(
        given("exceldate.csv", &["--dates", "dmy"]),
        &[(2, "ok"), (3, "expected day"), (4, "expected day")],
    );
}

#[test]
fn encodings_are_read_by_name_and_never_guessed() {
    check(given("bom.ndjson", &[]), &[(1, "ok")]);
    check(given("gbk.csv", &[]), &[(2, "--encoding gb18030")]);
    check(given("gbk.csv", &["--encoding", "gb18030"]), &[(2, "ok")]);
    let text = "code,manufactured,site\n86000110000200000000000000001,2026-05-01,Köln\n";
    let little = || text.encode_utf16().flat_map(u16::to_le_bytes);
    let marked: Vec<u8> = [0xff, 0xfe].into_iter().chain(little()).collect();
    check(file("x.csv", &marked, &[]), &[(2, "ok")]);
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    check(
        file("x.csv", &big, &["--encoding", "utf-16be"]),
        &[(2, "ok")],
    );
    check_unreadable(
        file("x.csv", &little().collect::<Vec<_>>(), &[]),
        "utf-16le",
    );
    let latin = b"code,manufactured,site\n86000110000200000000000000001,2026-05-01,K\xf6ln\n";
    check(file("x.csv", latin, &[]), &[(2, "windows-1252")]);
    check(
        file("x.csv", latin, &["--encoding", "latin1"]),
        &[(2, "ok")],
    );
    check_unreadable(
        file("x.csv", &marked, &["--encoding", "gb18030"]),
        "the mark of UTF-16LE",
    );
    check_unreadable(
        file("x.csv", latin, &["--encoding", "klingon"]),
        "--encoding klingon",
    );
    check_unreadable(file("x.csv", b"PK\x03\x04", &[]), "ZIP");
}

#[test]
fn the_letters_of_another_encoding_arrive() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let args = call(&folder.join("gbk.csv"), &["--encoding", "gb18030"]);
    let sheet = Sheet::open(&args.file, args.reading()).expect("open");
    let mut robots = Robots::of(sheet.rows().expect("rows"), args.defaults());
    let first = robots.next().expect("a row").expect("read");
    assert_eq!(first.robot.expect("a robot").site, "武汉");
}

#[test]
fn only_days_and_times_that_exist_are_taken() {
    let expected = [
        (1, "no such day"),
        (2, "no such day"),
        (3, "ok"),
        (4, "no hour 24"),
        (5, "no second 60"),
        (6, "needs its zone"),
        (7, "dates are written"),
        (8, "ok"),
        (9, "dates are written"),
        (10, "ok"),
        (11, "dates are written"),
        (12, "dates are written"),
        (13, "--dates ymd"),
        (14, "dates are written"),
        (15, "no such day between 1970"),
        (16, "ok"),
        (17, "dates are written"),
        (18, "ok"),
        (19, "dates are written"),
        (20, "dates are written"),
        (21, "dates are written"),
        (22, "dates are written"),
        (23, "dates are written"),
        (24, "dates are written"),
        // In the future: the registry says so, by its own clock.
        (25, "ok"),
        (26, "ok"),
        (27, "dates are written"),
        (28, "dates are written"),
        (29, "dates are written"),
        (30, "dates are written"),
    ];
    check(given("dates.ndjson", &[]), &expected);
}

#[test]
fn one_bad_row_stops_no_other() {
    let long = format!(
        "86000110000200000000000000002,2026-05-01,{}\n",
        "x".repeat(270_000)
    );
    let text = format!(
        "code,manufactured,site\n86000110000200000000000000001,2026-05-01,a\n{long}\
         86000110000200000000000000003,2026-05-01,b\n86000110000200000000000000004,2026-05-01\n\
         86000110000200000000000000005,2026-05-01,c,d\n86000110000200000000000000006,2026-05-01,e,\n"
    );
    check(
        file("x.csv", text.as_bytes(), &[]),
        &[
            (2, "ok"),
            (3, "site: 270000 bytes"),
            (4, "ok"),
            (5, "2 columns, the header has 3"),
            (6, "4 columns, the header has 3"),
            (7, "ok"),
        ],
    );
}

#[test]
fn text_that_does_not_show_is_refused_by_its_column() {
    for (letter, number) in [
        ('\u{1b}', "U+001B"),
        ('\u{202e}', "U+202E"),
        ('\u{7}', "U+0007"),
    ] {
        let text = format!("code,manufactured,site\n{CODE_1},2026-05-01,a{letter}b\n");
        let found = file("x.csv", text.as_bytes(), &[]);
        check(found, &[(2, &format!("site: the code point {number}"))]);
    }
    let lines =
        format!("code,manufactured,site\n{CODE_1},2026-05-01,\"a\nb\"\n{CODE_2},2026-05-01,c\n");
    check(
        file("x.csv", lines.as_bytes(), &[]),
        &[(2, "site: a line break"), (4, "ok")],
    );
}

#[test]
fn delimiters_and_columns_are_taken_as_they_come() {
    let bodies = [
        "code;manufactured;site\n86000110000200000000000000001;2026-05-01;Wuhan, China\n",
        "sep=;\ncode;manufactured\n86000110000200000000000000001;2026-05-01\n",
        "code\tmanufactured\n86000110000200000000000000001\t2026-05-01\n",
        " Code , \"Manufactured\" ,Body Serial\n86000110000200000000000000001,\"2026-05-01\", \"S 1\" \n",
    ];
    for body in bodies {
        let found = file("x.csv", body.as_bytes(), &[]).expect("readable");
        assert_eq!(found.len(), 1, "{body}");
        assert_eq!(found[0].1, Ok(CODE_1.to_owned()), "{body}");
    }
    let renamed = b"Nummer,gebaut,Notiz\n86000110000200000000000000001,2026-05-01,x\n";
    check_unreadable(
        file("x.csv", renamed, &[]),
        "the column \"Nummer\" is not known",
    );
    let mapped = [
        "--map",
        "Nummer=code",
        "--map",
        "gebaut=manufactured",
        "--map",
    ];
    check_unreadable(
        file("x.csv", renamed, &[&mapped[..], &["Notiz=note"]].concat()),
        "no column \"note\"",
    );
    for note in ["Notiz=-", "*=-"] {
        check(
            file("x.csv", renamed, &[&mapped[..], &[note]].concat()),
            &[(2, "ok")],
        );
    }
    // Under a column without a name a value is nobody's, and is not passed over in silence.
    let unnamed = b"code,manufactured,,site\n\
        86000110000200000000000000001,2026-05-01,,Wuhan\n\
        86000110000200000000000000002,2026-05-01,battery:B-1:LOT-7,Wuhan\n";
    let says = "column 3 has no name in the header and a value here";
    check(file("x.csv", unnamed, &[]), &[(2, "ok"), (3, says)]);
    let passed = file("x.csv", unnamed, &["--map", "*=-"]);
    check(passed, &[(2, "ok"), (3, "ok")]);
    check_unreadable(
        file("x.csv", b"code,site\nx,y\n", &[]),
        "the column manufactured is missing",
    );
    check_unreadable(
        file("x.csv", b"code,code,manufactured\n", &[]),
        "two columns mean code",
    );
}

#[test]
fn every_member_of_a_json_object_counts() {
    let with =
        |more: &str| format!("{{\"code\":\"{CODE_1}\",\"manufactured\":\"2026-05-01\"{more}}}\n");
    for (more, says) in [
        ("", "ok"),
        (",\"prototype\":true", "ok"),
        (",\"site\":null", "ok"),
        (",\"site\":\"a\",\"site\":\"b\"", "site: stands twice"),
        (",\"maker_id\":12", "maker_id: a number"),
        (",\"parts\":[\"battery:B1\"]", "parts: a list"),
        (",\"firmwear\":\"x\"", "\"firmwear\" is not known"),
    ] {
        check(file("x.ndjson", with(more).as_bytes(), &[]), &[(1, says)]);
    }
    check(
        file("x.ndjson", b"{\"code\":\"1\"", &[]).map_err(|_| String::new()),
        &[(1, "not JSON")],
    );
    check(
        file("x.ndjson", b"[]\n", &[]),
        &[(1, "one JSON object a line")],
    );
}

#[test]
fn rows_that_meet_in_the_world_are_shown_to_each_other() {
    let text = "code,manufactured,body_serial,parts\n\
        86000110000200000000000000001,2026-05-01,s 1,battery:B1\n\
        86000110000200000000000000002,2026-05-01,S-1,\n\
        86000110000200000000000000003,2026-05-01,S-3,battery:b1\n\
        86000110000200000000000000004,2026-05-01,S-4,battery:B4\n\
        86000110000200000000000000001,2026-05-01,S-5,\n\
        86000110000200000000000000006,2026-05-01,S-3,battery:B6 battery:B6\n\
        86000110000200000000000000007,2026-05-01,S-3,battery:B6\n";
    check(
        file("x.csv", text.as_bytes(), &[]),
        &[
            (2, "ok"),
            (3, "body_serial: the same as in line 2"),
            (4, "parts: the same as in line 2"),
            (5, "ok"),
            (6, "code: the same as in line 2"),
            (7, "parts: named twice"),
            // What a refused row names is free.
            (8, "ok"),
        ],
    );
}

#[test]
fn the_body_is_the_same_however_the_row_writes_it() {
    let of = |more: &[(&'static str, &str)]| {
        let mut cells = row(CODE_1);
        cells.extend(more.iter().map(|(name, text)| (*name, (*text).to_owned())));
        cells::registration(&cells, &defaults())
            .expect("a robot")
            .body
    };
    let spelt = [
        ("body_serial", "００００００００００００００００1"),
        ("maker_id", "UNITREE"),
    ];
    assert_eq!(of(&[]), of(&spelt));
    assert_ne!(of(&[]), of(&[("maker_country", "DE")]));
}

#[test]
fn what_is_no_file_that_can_be_read_twice_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let named = |name: &str| folder.path().join(name);
    std::fs::create_dir(named("d.csv")).expect("a folder");
    check_unreadable(judged(&named("d.csv"), &[]), "is a directory");
    std::os::unix::fs::symlink("/dev/null", named("n.csv")).expect("a link");
    check_unreadable(judged(&named("n.csv"), &[]), "cannot be read twice");
    check_unreadable(judged(&named("none.csv"), &[]), "No such file");
    check_unreadable(judged(&named("x.xlsx"), &[]), "save it as CSV");
}

/// The rows not taken, as a file, in each encoding and with each end of line.
#[test]
fn refused_rows_come_back_byte_for_byte_and_can_be_imported_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "code;manufactured;site\r\n86000110000200000000000000001;2026-05-01;Köln\r\nbad;\"2026-05-01\";  x \r\n\
                86000110000200000000000000003;gestern;y";
    let utf16 = [0xff, 0xfe]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes));
    let bytes: Vec<Vec<u8>> = vec![text.into(), utf16.collect()];
    for (at, content) in bytes.into_iter().enumerate() {
        let path = folder.path().join(format!("{at}.csv"));
        std::fs::write(&path, &content).expect("written");
        let args = call(&path, &[]);
        let sheet = Sheet::open(&path, args.reading()).expect("open");
        let mut robots = Robots::of(sheet.rows().expect("rows"), args.defaults());
        let again = folder.path().join(format!("{at}-refused.csv"));
        let mut refused = Refused::into(&again, &sheet, &robots.rows.head(), Before::Stays)
            .map_err(|failed| failed.text)
            .expect("made");
        for row in &mut robots {
            let row = row.expect("read");
            if let Err(fault) = &row.robot {
                refused.add(&sheet, &row.bytes, Why::malformed(row.line, fault));
            }
        }
        let (count, _, kept) = refused.finish();
        assert_eq!((count, kept), (2, Ok(Some(again.display().to_string()))));
        check(judged(&again, &[]), &[(2, "code: "), (3, "manufactured: ")]);
        let written = std::fs::read(&again).expect("read");
        let row = Encoded(at).of("bad;\"2026-05-01\";  x \r\n");
        assert!(
            written.windows(row.len()).any(|window| window == row),
            "the row as it stood"
        );
        let why = std::fs::read_to_string(format!("{}.why.ndjson", again.display())).expect("read");
        let lines: Vec<Value> = why
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(
            (&lines[0]["line"], &lines[1]["line"]),
            (&json!("3"), &json!("4"))
        );
    }
}

struct Encoded(usize);

impl Encoded {
    fn of(&self, text: &str) -> Vec<u8> {
        match self.0 {
            0 => text.into(),
            _ => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        }
    }
}

#[test]
fn refused_rows_overwrite_nothing_and_a_full_disk_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.csv");
    std::fs::write(&path, "code,manufactured\nbad,2026-05-01\n").expect("written");
    let args = call(&path, &[]);
    let sheet = Sheet::open(&path, args.reading()).expect("open");
    let head = sheet.rows().expect("rows").head();
    let into = |path: &Path| {
        Refused::into(path, &sheet, &head, Before::Stays).map_err(|failed| failed.text)
    };
    let same = into(&path).err().expect("refused");
    assert!(same.contains("the file that is read"), "{same}");
    let other = folder.path().join("kept.csv");
    std::fs::File::create(&other)
        .and_then(|mut file| file.write_all(b"mine"))
        .expect("written");
    let exists = into(&other).err().expect("refused");
    assert!(exists.contains("exists already"), "{exists}");
    assert_eq!(std::fs::read(&other).expect("read"), b"mine");
    // Without a row, no file stays behind.
    let none = folder.path().join("none.csv");
    assert_eq!(into(&none).expect("made").finish().2, Ok(None));
    assert!(!none.exists());
    // A run that is repeated moves what the earlier one left aside.
    let again = Refused::into(&other, &sheet, &head, Before::MovesAside);
    drop(again.map_err(|failed| failed.text).expect("made"));
    let aside = folder.path().join("kept.csv.before-1");
    assert_eq!(std::fs::read(&aside).expect("read"), b"mine");
    // A link, so that the reasons have a place and the rows have none.
    let full = folder.path().join("full.csv");
    std::os::unix::fs::symlink("/dev/full", &full).expect("a link");
    let mut refused = into(&full).expect("opened");
    refused.add(&sheet, &(18..33), Why::malformed(2, "x"));
    let fault = refused.finish().2.expect_err("no room");
    assert!(fault.contains("No space"), "{fault}");
}

#[test]
fn one_cause_is_said_once() {
    let row = |line: &str, message: &str| serde_json::json!({"line": line, "message": message});
    let rows = [row("2", "a"), row("3", "b"), row("4", "a"), row("9", "a")];
    let said = crate::rows::by_message(&rows);
    assert_eq!(said, [("a", vec!["2", "4", "9"]), ("b", vec!["3"])]);
}

#[test]
fn the_template_is_a_file_that_can_be_imported() {
    for (form, name) in [
        (TemplateForm::Csv, "x.csv"),
        (TemplateForm::Ndjson, "x.ndjson"),
    ] {
        let text = template(TemplateArgs { form });
        let text = text.as_str().expect("a text").to_owned() + "\n";
        let found = file(name, text.as_bytes(), &[]).expect("readable");
        let codes: Vec<_> = found.into_iter().map(|(_, row)| row).collect();
        assert_eq!(codes, [Ok(CODE_1.to_owned()), Ok(CODE_2.to_owned())]);
    }
}

#[test]
fn a_file_that_changes_between_the_passes_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.csv");
    let digest = |text: &str| {
        std::fs::write(&path, text).expect("written");
        let args = call(&path, &[]);
        let sheet = Sheet::open(&path, args.reading()).expect("open");
        let mut robots = Robots::of(sheet.rows().expect("rows"), args.defaults());
        assert_eq!((&mut robots).filter(Result::is_ok).count(), 1);
        robots.rows.digest()
    };
    let one = digest("code,manufactured\n86000110000200000000000000001,2026-05-01\n");
    let other = digest("code,manufactured\n86000110000200000000000000001,2026-05-02\n");
    let same = digest("code,manufactured\n86000110000200000000000000001,2026-05-01\n");
    assert_eq!(one, same);
    assert_ne!(one, other);
}
