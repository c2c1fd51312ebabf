//! Code points that no text may contain: whoever reads it would see another text, or none. A table of the world: it belongs
//! to feature level 1.

/// Ranges of code points, inclusive and ascending: controls with the line breaks among them, marks that change the
/// direction of what follows, line and paragraph separators, and characters that are never seen.
pub const FORBIDDEN: &[(char, char)] = &[
    ('\u{0}', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200b}'),
    ('\u{200e}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{e0000}', '\u{e01ef}'),
];

/// The first character of a text that may not stand there.
pub fn forbidden(text: &str) -> Option<char> {
    text.chars().find(|letter| is_forbidden(*letter))
}

fn is_forbidden(letter: char) -> bool {
    // Nearly every text is of these.
    if matches!(letter, ' '..='~') {
        return false;
    }
    FORBIDDEN
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_turns_a_text_is_found() {
        for letter in [
            '\0', '\n', '\r', '\t', '\u{7f}', '\u{85}', '\u{2028}', '\u{202e}', '\u{2066}',
            '\u{feff}',
        ] {
            assert_eq!(forbidden(&format!("a{letter}b")), Some(letter));
        }
        // Languages that need joiners keep them.
        for text in [
            "",
            "plant 7, hall B/2",
            "Müller & Söhne",
            "宇树科技",
            "می\u{200c}خواهم",
        ] {
            assert_eq!(forbidden(text), None, "{text:?}");
        }
        let ascending = FORBIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0);
        assert!(ascending && FORBIDDEN.iter().all(|(first, last)| first <= last));
    }
}
