//! Blanks out what is not code in a Rust source, so that a search for a word finds uses and not mentions.
//!
//! It knows comments, strings and character literals and nothing else of the language; line numbers stay the same.

/// `source` with every comment and every literal replaced by spaces, byte for byte; line breaks stay.
pub fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    // Whole literals were replaced by ASCII, so what is left is the UTF-8 it was.
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte after the comment or literal that begins at `at`, or `at` when none begins there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let begins_word = at == 0 || !is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_end(bytes, at),
        [b'"', ..] => quoted_end(bytes, at + 1, b'"'),
        [b'r', b'"' | b'#', ..] if begins_word => raw_string_end(bytes, at, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if begins_word => raw_string_end(bytes, at, 2),
        // A lifetime is not a character: `'a` has no closing quote right behind it.
        [b'\'', b'\\', ..] => quoted_end(bytes, at + 1, b'\''),
        [b'\'', first, ..] if *first != b'\'' => {
            let width = utf8_width(*first);
            if rest.get(1 + width) == Some(&b'\'') {
                at + width + 2
            } else {
                at
            }
        }
        _ => at,
    }
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn quoted_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#`, with the `r` at the end of a prefix of `prefix` bytes; `start` when it is only a raw identifier.
fn raw_string_end(bytes: &[u8], start: usize, prefix: usize) -> usize {
    let hashes = bytes[start + prefix..]
        .iter()
        .take_while(|&&b| b == b'#')
        .count();
    let open = start + prefix + hashes;
    if bytes.get(open) != Some(&b'"') {
        return start;
    }
    let mut at = open + 1;
    while at < bytes.len() {
        let closing = bytes[at] == b'"'
            && bytes[at + 1..]
                .iter()
                .take(hashes)
                .filter(|&&b| b == b'#')
                .count()
                == hashes;
        if closing {
            return at + 1 + hashes;
        }
        at += 1;
    }
    bytes.len()
}

const fn utf8_width(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

/// Whether `byte` may stand inside an identifier.
pub(crate) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::code_only;

    fn check(source: &str, expected: &str) {
        assert_eq!(code_only(source), expected);
    }

    #[test]
    fn comments_are_blank() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d */ e", "a                   e");
        check("//! x\nfn", "     \nfn");
    }

    #[test]
    fn literals_are_blank() {
        check(r#"f("a\"b") g"#, "f(      ) g");
        check("r#\"a\"b\"# c", "         c");
        check("'x' '\\'' 'é' b", "              b");
        check("br\"x\\\" y", "       y");
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
        check("r#type", "r#type");
    }

    #[test]
    fn an_open_literal_ends_with_the_file() {
        check("a \"b", "a   ");
        check("a /* b", "a     ");
    }
}
