//! What is noted is there after a crash, found to be changed if it was, bounded, and missed by name if it cannot be written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carnet_domain::limits::AUDIT_TEXT_BYTES_MAX;
use carnet_domain::log::audit::{AuditBreak, AuditWalk};

use super::chain::Writing;
use super::files::{AUDIT_FILE_BYTES_MAX, name, of_chain};
use super::places::number_of;
use super::*;

struct Fixed;

impl Clock for Fixed {
    fn wall(&self) -> TimeMs {
        TimeMs::from_ms(1_780_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn audit(data: &Path) -> Audit {
    Audit::open(data, Arc::new(Fixed), Work::Threads)
}

fn reading(about: &str) -> Note<'_> {
    Note {
        kind: Kind::Read,
        who: "carnet://86/customs/port/anna",
        what: "read the history of robots",
        about,
        request: "7f3a-1",
    }
}

async fn lines(audit: &Audit, chain: Chain) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = audit.page(chain, after, 7).await.expect("read");
        after = page
            .lines
            .last()
            .and_then(|line| number_of(line))
            .unwrap_or(after);
        all.extend(page.lines);
        if !page.more {
            return all;
        }
    }
}

/// The texts, if the chain is whole.
async fn whole(audit: &Audit, chain: Chain) -> Result<Vec<String>, AuditBreak> {
    let mut walk = AuditWalk::anywhere();
    let lines = lines(audit, chain).await;
    let texts = lines
        .iter()
        .map(|line| walk.take(line).map(|record| record.text));
    let texts: Result<Vec<String>, AuditBreak> = texts.collect();
    assert!(
        texts.is_err() || walk.head().unwrap_or_default() == audit.stands()[chain as usize].head
    );
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_noted_is_there_in_a_chain_whoever_noted_at_the_same_time() {
    let data = tempfile::tempdir().expect("a folder");
    let first = audit(data.path());
    let abouts: Vec<String> = (0..40).map(|number| format!("robot {number}")).collect();
    let all = abouts
        .iter()
        .map(|about| async { first.note(&reading(about)).await });
    for noted in futures::future::join_all(all).await {
        noted.expect("noted");
    }
    first.denied(&reading("refused")).await;
    drop(first);
    // Another process goes on with it.
    let second = audit(data.path());
    second.start("0.1.0", AuditHeads::default()).await;
    second.note(&reading("robot 40")).await.expect("noted");
    let texts = whole(&second, Chain::Reads).await.expect("a whole chain");
    assert_eq!(texts.len(), 41);
    for about in &abouts {
        assert_eq!(
            texts
                .iter()
                .filter(|text| text.contains(&format!("\"{about}\"")))
                .count(),
            1
        );
    }
    let acts = whole(&second, Chain::Acts).await.expect("a whole chain");
    assert!(acts[0].contains("\"start\""), "{acts:?}");
    for part in [
        "\"who\":\"carnet://86/customs/port/anna\"",
        "\"request\":\"7f3a-1\"",
        "\"kind\":\"read\"",
        "\"at\":\"2026-",
    ] {
        assert!(texts[0].contains(part), "{part}: {}", texts[0]);
    }
    assert_eq!(
        whole(&second, Chain::Denied)
            .await
            .expect("a whole chain")
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_changed_or_taken_out_is_found() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    for about in ["a", "b", "c"] {
        noted.note(&reading(about)).await.expect("noted");
    }
    let path = data.path().join(FOLDER).join(name(Chain::Reads, 1));
    let good = std::fs::read_to_string(&path).expect("read");
    let changed = good.replace("\"about\":\"b\"", "\"about\":\"x\"");
    std::fs::write(&path, changed).expect("written");
    let found = whole(&noted, Chain::Reads).await;
    assert_eq!(found, Err(AuditBreak::Changed { number: 2 }));
    let without: Vec<&str> = good
        .lines()
        .enumerate()
        .filter(|(at, _)| *at != 1)
        .map(|(_, line)| line)
        .collect();
    std::fs::write(&path, without.join("\n") + "\n").expect("written");
    let found = whole(&noted, Chain::Reads).await;
    assert_eq!(
        found,
        Err(AuditBreak::Gap {
            expected: 2,
            found: 3
        })
    );
    // A node does not go on with a chain that was tampered with: what should be noted is refused, and it says why.
    let again = audit(data.path());
    let refused = again.note(&reading("d")).await.expect_err("refused");
    let text = refused.to_string();
    assert!(
        text.contains("record 3 where 2 was expected") && text.contains("runbook audit"),
        "{text}"
    );
    assert!(
        again.stands()[1].failing.contains("record 3"),
        "{:?}",
        again.stands()
    );
    // Put right, it goes on by itself.
    std::fs::write(&path, &good).expect("written");
    again.note(&reading("d")).await.expect("noted");
    assert_eq!(
        whole(&again, Chain::Reads)
            .await
            .expect("a whole chain")
            .len(),
        4
    );
    assert_eq!(again.stands()[1].failing, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_was_cut_off_under_a_running_node_is_missed() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    for about in ["a", "b", "c"] {
        noted.note(&reading(about)).await.expect("noted");
    }
    let folder = data.path().join(FOLDER);
    std::fs::remove_dir_all(&folder).expect("removed");
    // The file that is open is nowhere any more; a failure makes the node look for the end again.
    lock(&noted.reads.files).forget();
    let refused = noted.note(&reading("d")).await.expect_err("refused");
    assert!(
        refused
            .to_string()
            .contains("record 3 was written and is gone"),
        "{refused}"
    );
}

/// What a power cut leaves of a record was called a broken chain until the next record came, and cut off then without a word in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_record_is_cut_off_at_the_start_and_the_chain_says_so() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    noted.note(&reading("a")).await.expect("noted");
    noted.note(&reading("b")).await.expect("noted");
    drop(noted);
    let path = data.path().join(FOLDER).join(name(Chain::Reads, 1));
    let good = std::fs::read(&path).expect("read");
    let first = good.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    // Blocks of a record, or of one behind it, that the disk had not written are zeroes.
    let zeroes = |from: usize| {
        let mut torn = good.clone();
        torn[from..].fill(0);
        torn
    };
    let behind = |bytes: &[u8]| [&good[..first], bytes].concat();
    let mut left: Vec<Vec<u8>> = (first + 1..good.len())
        .map(|end| good[..end].to_vec())
        .collect();
    left.extend((first..good.len()).step_by(7).map(zeroes));
    left.push(behind(b"\0\0\0\n5 a whole line of another block\n"));
    left.push(behind(&[0; 4_096]));
    for torn in left {
        std::fs::write(&path, &torn).expect("written");
        // Whoever looks before it is repaired is not told of a broken chain, nor of anything that nobody was answered for.
        let again = audit(data.path());
        again.start("0.1.0", AuditHeads::default()).await;
        let texts = whole(&again, Chain::Reads).await.expect("a whole chain");
        assert_eq!(texts.len(), 2, "{}", torn.len());
        let said = format!("{} bytes that a crash left", torn.len() - first);
        assert!(texts[1].contains(&said), "{}", texts[1]);
        again.note(&reading("c")).await.expect("noted");
        let texts = whole(&again, Chain::Reads).await.expect("a whole chain");
        assert!(texts.len() == 3 && texts[2].contains("\"c\""), "{texts:?}");
    }
    // Where nothing was left unfinished nothing is said, and no chain begins that has nothing to say.
    std::fs::write(&path, &good).expect("written");
    let again = audit(data.path());
    again.start("0.1.0", AuditHeads::default()).await;
    let texts = whole(&again, Chain::Reads).await.expect("a whole chain");
    assert_eq!(texts.len(), 2);
    let folder = data.path().join(FOLDER);
    assert_eq!(of_chain(&folder, Chain::Denied), Ok(Vec::new()));
    // What no power cut leaves is none: a last record that was changed, and one in the middle.
    let changed = String::from_utf8(good.clone()).expect("text");
    for about in ["a", "b"] {
        let from = format!("\"about\":\"{about}\"");
        let changed = changed.replace(&from, "\"about\":\"x\"");
        std::fs::write(&path, changed).expect("written");
        let again = audit(data.path());
        again.start("0.1.0", AuditHeads::default()).await;
        let failing = &again.stands()[1].failing;
        assert!(failing.contains("was changed"), "{failing}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_being_written_is_none_yet() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    noted.note(&reading("a")).await.expect("noted");
    let path = data.path().join(FOLDER).join(name(Chain::Reads, 1));
    let good = std::fs::read(&path).expect("read");
    std::fs::write(&path, [&good[..], b"2 half of it"].concat()).expect("written");
    let texts = whole(&noted, Chain::Reads).await.expect("a whole chain");
    assert_eq!(texts.len(), 1);
}

/// Every page was read from where its file begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_read_from_where_it_begins() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    let long = "x".repeat(400);
    for _ in 0..1_000 {
        noted.note(&reading(&long)).await.expect("noted");
    }
    let path = data.path().join(FOLDER).join(name(Chain::Reads, 1));
    let good = std::fs::read(&path).expect("read");
    let another = audit(data.path());
    let read_through = lines(&another, Chain::Reads).await;
    assert_eq!(read_through.len(), 1_000);
    // Whoever wrote it, or read through it, looks no more at what comes before.
    let mut spoilt = good.clone();
    let spoilt_to = good.len() / 2;
    spoilt[..spoilt_to].fill(b'\n');
    std::fs::write(&path, &spoilt).expect("written");
    for audit in [&noted, &another] {
        let page = audit.page(Chain::Reads, 900, 50).await.expect("read");
        assert_eq!(page.lines, read_through[900..950]);
        assert!(page.more);
        // As the file lies there, from its beginning.
        let page = audit.page(Chain::Reads, 0, 3).await.expect("read");
        assert_eq!(page.lines, ["", "", ""]);
    }
    // In a file that is another one nothing lies where it was.
    let shifted: String = read_through[500..].join("\n") + "\n";
    std::fs::write(&path, shifted).expect("written");
    let page = noted.page(Chain::Reads, 900, 50).await.expect("read");
    assert_eq!(page.lines, read_through[900..950]);
}

/// A clock that goes as it is told.
#[derive(Default)]
struct Told(AtomicU64);

impl Clock for Told {
    fn wall(&self) -> TimeMs {
        Fixed.wall()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Every question of an office had up to two whole files read, of a chain that had been found broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_broken_is_not_read_again_until_somebody_touches_it() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    for about in ["a", "b"] {
        noted.note(&reading(about)).await.expect("noted");
    }
    let path = data.path().join(FOLDER).join(name(Chain::Reads, 1));
    let good = std::fs::read_to_string(&path).expect("read");
    let bad = good.replace("\"about\":\"b\"", "\"about\":\"x\"");
    std::fs::write(&path, &bad).expect("written");
    let clock = Arc::new(Told::default());
    let again = Audit::open(
        data.path(),
        Arc::clone(&clock) as Arc<dyn Clock>,
        Work::Threads,
    );
    let refused = again.note(&reading("c")).await.expect_err("changed");
    // Good again, but for all that can be seen of it without reading it.
    let touched = |to: Option<std::time::SystemTime>| {
        let file = std::fs::OpenOptions::new().append(true).open(&path);
        let to = to.unwrap_or_else(std::time::SystemTime::now);
        file.and_then(|file| file.set_modified(to))
            .expect("touched");
    };
    let meta = std::fs::metadata(&path).expect("there");
    std::fs::write(&path, &good).expect("written");
    touched(Some(meta.modified().expect("a time")));
    for hour in 0..3 {
        clock.0.store(hour * 3_600_000, Ordering::SeqCst);
        let same = again.note(&reading("c")).await.expect_err("changed");
        assert_eq!(same.to_string(), refused.to_string());
    }
    touched(None);
    again.note(&reading("c")).await.expect("put right");
}

/// A disk that does not answer stopped whoever was refused, and every change of the cluster, with those who read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_answer_is_waited_for_once_and_by_nobody_else() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().join(FOLDER);
    std::fs::create_dir_all(&folder).expect("made");
    // Whoever opens it waits for the other side.
    let path = folder.join(name(Chain::Reads, 1));
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    let clock = Arc::new(Told::default());
    let noted = Audit::open(
        data.path(),
        Arc::clone(&clock) as Arc<dyn Clock>,
        Work::Threads,
    );
    noted.start("0.1.0", AuditHeads::default()).await;
    let refused = noted.note(&reading("a")).await.expect_err("not noted");
    assert!(
        refused.to_string().contains("has not answered"),
        "{refused}"
    );
    clock.0.store(3_600_000, Ordering::SeqCst);
    // From now on nobody waits, and it is said.
    let refused = noted.note(&reading("b")).await.expect_err("not noted");
    assert!(refused.to_string().contains("for 3600 s"), "{refused}");
    let page = noted.page(Chain::Reads, 0, 9).await;
    assert!(
        page.expect_err("not read")
            .to_string()
            .contains("for 3600 s")
    );
    assert!(noted.stands()[1].failing.contains("for 3600 s"));
    // The others are on other files.
    noted.denied(&reading("refused")).await;
    assert_eq!(whole(&noted, Chain::Denied).await.expect("whole").len(), 1);
    assert_eq!(whole(&noted, Chain::Acts).await.expect("whole").len(), 1);
    // It answers: what waited is written or refused, and what comes then is noted.
    drop(
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("opened"),
    );
    drop(std::fs::File::open(&path).expect("opened"));
    std::fs::remove_file(&path).expect("removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_is_refused_by_name_and_a_refusal_is_one_all_the_same() {
    let data = tempfile::tempdir().expect("a folder");
    // In the way of the folder.
    std::fs::write(data.path().join(FOLDER), "a file").expect("written");
    let noted = audit(data.path());
    let refused = noted.note(&reading("a")).await.expect_err("refused");
    assert_eq!(refused.reason(), "UNAVAILABLE");
    assert!(refused.to_string().contains("audit"), "{refused}");
    noted.denied(&reading("b")).await;
    noted.start("0.1.0", AuditHeads::default()).await;
    assert!(
        noted
            .stands()
            .iter()
            .all(|stands| !stands.failing.is_empty())
    );
    std::fs::remove_file(data.path().join(FOLDER)).expect("removed");
    noted.note(&reading("a")).await.expect("noted");
    noted.denied(&reading("b")).await;
    noted.start("0.1.0", AuditHeads::default()).await;
    assert!(
        noted
            .stands()
            .iter()
            .all(|stands| stands.failing.is_empty())
    );
    assert_eq!(
        whole(&noted, Chain::Reads)
            .await
            .expect("a whole chain")
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_file_goes_and_the_chain_goes_on() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    let files = || {
        of_chain(&data.path().join(FOLDER), Chain::Denied)
            .expect("read")
            .len()
    };
    for _ in 0..DENIED_FILES_MAX + 3 {
        noted.denied(&reading("a")).await;
        // As if it were full.
        lock(&noted.denied.files).bytes = AUDIT_FILE_BYTES_MAX + 1;
    }
    assert_eq!(files(), DENIED_FILES_MAX);
    let lines = lines(&noted, Chain::Denied).await;
    assert_eq!(lines.len(), DENIED_FILES_MAX);
    assert_eq!(number_of(&lines[0]), Some(4));
    assert!(whole(&noted, Chain::Denied).await.is_ok());
    // Asked for what is gone, it begins with what is there; asked behind the end, with nothing.
    let page = noted.page(Chain::Denied, 1, 2).await.expect("read");
    assert_eq!((page.lines.len(), page.more), (2, true));
    let page = noted.page(Chain::Denied, u64::MAX, 2).await.expect("read");
    assert_eq!(page, Page::default());
    let again = audit(data.path());
    again.denied(&reading("b")).await;
    assert!(whole(&again, Chain::Denied).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refusals_is_counted_and_costs_nothing_else() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    noted.note(&reading("an act")).await.expect("noted");
    for _ in 0..DENIED_WAITING_MAX {
        drop(noted.denied.queue("{}".to_owned()));
    }
    for _ in 0..5 {
        noted.denied(&reading("left out")).await;
    }
    // Whoever began to write goes on.
    Writing(Arc::clone(&noted.denied)).until_nothing_waits();
    noted.denied(&reading("the next")).await;
    let texts = whole(&noted, Chain::Denied).await.expect("a whole chain");
    assert_eq!(texts.len(), DENIED_WAITING_MAX + 1);
    let last = &texts[DENIED_WAITING_MAX];
    assert!(last.contains("\"left_out_before\":\"5\""), "{last}");
    assert_eq!(
        whole(&noted, Chain::Reads)
            .await
            .expect("a whole chain")
            .len(),
        1
    );
}

#[test]
fn a_record_is_bounded_whatever_it_is_about() {
    let long = "\u{1}\n".repeat(4_000);
    let note = Note {
        about: &long,
        ..reading("")
    };
    let text = text(&note, TimeMs::EPOCH, u64::MAX);
    assert!(text.len() <= AUDIT_TEXT_BYTES_MAX, "{}", text.len());
    assert!(text.contains("(left out)"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["who"], "carnet://86/customs/port/anna");
}

/// Once, whoever was noted pushed out what others had done: an office's reads the changes of the cluster among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_has_its_rate_and_pushes_out_nobody_s_acts() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    noted.start("0.1.0", AuditHeads::default()).await;
    let all = (0..READS_RATE.burst + 3).map(|_| async { noted.note(&reading("a")).await });
    let all: Vec<&str> = futures::future::join_all(all)
        .await
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.reason())
        .collect();
    // The clock stands: what it may have at once, and no more.
    assert_eq!(all, ["OVERLOADED"; 3]);
    let other = Note {
        who: "carnet://86/customs/port/bert",
        ..reading("b")
    };
    noted.note(&other).await.expect("another's share");
    let reads = whole(&noted, Chain::Reads).await.expect("a whole chain");
    assert_eq!(reads.len() as u32, READS_RATE.burst + 1);
    assert_eq!(whole(&noted, Chain::Acts).await.expect("whole").len(), 1);
    // Nor does who changes the cluster push out what it changed before: it is told to come back.
    let act = Note {
        kind: Kind::Act,
        ..reading("add learner 9")
    };
    let mut refused = 0;
    for _ in 0..ACTS_RATE.burst + 5 {
        match noted.note(&act).await {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.reason(), "OVERLOADED");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 5);
    let acts = whole(&noted, Chain::Acts).await.expect("whole");
    assert_eq!(acts.len() as u32, 1 + ACTS_RATE.burst);
    for _ in 0..DENIED_RATE.burst + 7 {
        noted.denied(&reading("c")).await;
    }
    noted.denied(&other).await;
    let denied = whole(&noted, Chain::Denied).await.expect("whole");
    assert_eq!(denied.len() as u32, DENIED_RATE.burst + 1);
    let last = denied.last().expect("there");
    assert!(last.contains("\"left_out_before\":\"7\""), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_begins_with_the_record_that_its_name_says() {
    let data = tempfile::tempdir().expect("a folder");
    let noted = audit(data.path());
    for about in ["a", "b", "c"] {
        noted.note(&reading(about)).await.expect("noted");
    }
    drop(noted);
    let path = data.path().join(FOLDER).join(name(Chain::Reads, 1));
    let good = std::fs::read_to_string(&path).expect("read");
    let cut: String = good.split_inclusive('\n').skip(1).collect();
    std::fs::write(&path, cut).expect("written");
    let again = audit(data.path());
    let refused = again.note(&reading("d")).await.expect_err("cut");
    assert!(
        refused.to_string().contains("it begins with record 2"),
        "{refused}"
    );
}
