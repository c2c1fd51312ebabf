//! Where records lie in the files of a chain, so that a page is read from where it begins.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;

use super::files::{Written, of_chain};
use super::{Chain, Page, lock};

/// Places are kept so many bytes apart: at most so much is read of a file before the record that was asked for.
const STEP_BYTES: u64 = 64 << 10;

/// Places of some records, by the first number of the file and in their order. What is known of a file is found out by reading it
/// once, or by writing it.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<u64, Vec<(u64, u64)>>);

impl Places {
    /// Notes what was written.
    pub(super) fn written(&mut self, written: &Written) {
        for (number, place) in &written.records {
            self.note(written.first, *number, *place);
        }
    }

    fn note(&mut self, first: u64, number: u64, place: u64) {
        let known = self.0.entry(first).or_default();
        let newest = known.last().copied().unwrap_or_default();
        if newest.0 < number && newest.1 + STEP_BYTES <= place {
            known.push((number, place));
        }
    }

    /// Forgets a file.
    pub(super) fn forget(&mut self, first: u64) {
        self.0.remove(&first);
    }

    /// The nearest record that is known at a number or before it, and its place.
    fn before(&self, first: u64, number: u64) -> Option<(u64, u64)> {
        let known = self.0.get(&first)?;
        let behind = known.partition_point(|(known, _)| *known <= number);
        known.get(behind.checked_sub(1)?).copied()
    }
}

/// Records after a number.
pub(super) fn read(
    places: &Mutex<Places>,
    folder: &Path,
    chain: Chain,
    after: u64,
    count: usize,
) -> Result<Page, String> {
    let mut page = Page::default();
    let files = of_chain(folder, chain)?;
    let behind = files
        .iter()
        .skip(1)
        .map(|(first, _)| Some(*first))
        .chain([None]);
    for ((first, path), next) in files.iter().zip(behind) {
        // All of it stands before what is asked for.
        if next.is_some_and(|next| next <= after.saturating_add(1)) {
            continue;
        }
        let file = match File::open(path) {
            Ok(file) => file,
            // It has gone meanwhile, as the oldest does.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.to_string()),
        };
        let mut lines = Lines::of(file);
        let known = lock(places).before(*first, after.saturating_add(1));
        if let Some((number, place)) = known
            && !lines
                .go_to(number, place)
                .map_err(|error| error.to_string())?
        {
            // The file is another than it was.
            lock(places).forget(*first);
        }
        while let Some((place, line)) = lines.next().map_err(|error| error.to_string())? {
            let number = number_of(&line.text);
            if let Some(number) = number {
                lock(places).note(*first, number, place);
            }
            if number.is_some_and(|number| number <= after) {
                continue;
            }
            // Of the newest file that is being written, or what a crash left: nobody was answered for it.
            if !line.is_whole && next.is_none() {
                break;
            }
            if page.lines.len() >= count {
                page.more = true;
                return Ok(page);
            }
            page.lines.push(line.text);
        }
    }
    Ok(page)
}

/// The number that a line begins with.
pub(super) fn number_of(line: &str) -> Option<u64> {
    line.split(' ').next()?.parse().ok()
}

/// Lines of a file and where they begin.
struct Lines {
    file: BufReader<File>,
    at: u64,
}

struct Line {
    text: String,
    /// Whether it ends with a break.
    is_whole: bool,
}

impl Lines {
    fn of(file: File) -> Self {
        let file = BufReader::new(file);
        Self { file, at: 0 }
    }

    /// Goes to a place, if the record of that number lies there; else to the beginning.
    fn go_to(&mut self, number: u64, place: u64) -> std::io::Result<bool> {
        self.seek(place)?;
        let found = self.next()?;
        let is_it = found.is_some_and(|(_, line)| number_of(&line.text) == Some(number));
        self.seek(if is_it { place } else { 0 })?;
        Ok(is_it)
    }

    fn seek(&mut self, place: u64) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(place))?;
        self.at = place;
        Ok(())
    }

    fn next(&mut self) -> std::io::Result<Option<(u64, Line)>> {
        let mut bytes = Vec::new();
        let read = self.file.read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        let place = self.at;
        self.at += read as u64;
        let is_whole = bytes.pop_if(|last| *last == b'\n').is_some();
        // What is no text is none of ours: whoever follows the chain finds it changed.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some((place, Line { text, is_whole })))
    }
}
