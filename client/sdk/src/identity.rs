//! What people type as the name of a maker or a serial, in the one form that a registry takes.

use carnet_domain::limits::{IDENTIFIER_BYTES_MAX, is_identifier};

/// The one written form of a serial, or of an identifier from a register: trimmed, upper case, ASCII whatever the width;
/// dashes of all kinds and spaces become one `-`.
///
/// # Errors
/// A character that has no such form, or nothing is left, or too much.
pub fn canonical(text: &str) -> Result<String, String> {
    written(text, |_| false)
}

/// The one written form of a maker's name, where nothing better identifies it: as [`canonical`], and punctuation becomes `-`
/// too.
///
/// # Errors
/// As [`canonical`].
pub fn canonical_name(text: &str) -> Result<String, String> {
    written(text, |letter| letter.is_ascii_punctuation())
}

fn written(text: &str, is_gap: impl Fn(char) -> bool) -> Result<String, String> {
    let mut out = String::new();
    for letter in text.trim().chars().map(narrow) {
        if letter.is_ascii_alphanumeric() {
            out.push(letter.to_ascii_uppercase());
        } else if is_dash(letter) || letter.is_whitespace() || is_gap(letter) {
            if !out.is_empty() && !out.ends_with('-') {
                out.push('-');
            }
        } else {
            return Err(format!(
                "{text:?}: {letter:?} is not allowed, use 0-9, A-Z and -"
            ));
        }
    }
    let out = out.trim_end_matches('-');
    if !is_identifier(out) {
        return Err(format!(
            "{text:?}: write 1 to {IDENTIFIER_BYTES_MAX} of 0-9, A-Z and -"
        ));
    }
    Ok(out.to_owned())
}

/// A full-width letter as the ASCII letter it shows.
fn narrow(letter: char) -> char {
    match letter {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(letter as u32 - 0xfee0).unwrap_or(letter),
        '\u{3000}' => ' ',
        letter => letter,
    }
}

fn is_dash(letter: char) -> bool {
    matches!(
        letter,
        '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_serial_is_one() {
        for text in [
            "S-2",
            " s-2 ",
            "S\u{2010}2",
            "\u{ff33}\u{ff0d}\u{ff12}",
            "s - 2",
            "S\u{2212}2",
            "S--2",
        ] {
            assert_eq!(canonical(text).as_deref(), Ok("S-2"), "{text:?}");
        }
    }

    #[test]
    fn what_has_no_form_is_refused_and_not_guessed() {
        let long = "A".repeat(65);
        for text in [
            "",
            " - ",
            "S/2",
            "S_2",
            "\u{e9}2",
            "\u{5b87}\u{6811}",
            &long,
        ] {
            assert!(canonical(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_lose_their_punctuation() {
        let name = canonical_name("OpenLoong (Humanoid Robots, Shanghai)");
        assert_eq!(name.as_deref(), Ok("OPENLOONG-HUMANOID-ROBOTS-SHANGHAI"));
    }
}
