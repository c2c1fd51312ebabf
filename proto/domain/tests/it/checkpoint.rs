//! Checkpoints as signed notes: one text, strict rules, every flipped byte refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carnet_domain::bytes::digest::sha256;
use carnet_domain::log::checkpoint::{Checkpoint, NoteLine, Origin, open, peek};

use crate::values::{d, flips, key};

fn checkpoint() -> Checkpoint {
    let origin = Origin::parse("carnet/86/0").expect("an origin");
    Checkpoint {
        origin,
        size: 1234,
        root: d("root"),
    }
}

fn text() -> String {
    checkpoint().sign(&key("log")).into_text()
}

fn check(text: &str, expected: &str) {
    let found = match open(text, &key("log").public(), &checkpoint().origin) {
        Ok(verified) => format!("{} of {}", verified.size(), verified.origin()),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_signed_checkpoint_opens() {
    check(&text(), "1234 of carnet/86/0");
    let verified = open(&text(), &key("log").public(), &checkpoint().origin).expect("signed");
    assert_eq!(*verified.checkpoint(), checkpoint());
    assert_eq!(*verified.root(), d("root"));
    assert_eq!(verified.text(), text());
    assert_eq!(peek(&text()), Ok(checkpoint()));
}

#[test]
fn the_text_is_that_of_the_standard() {
    let body = format!("carnet/86/0\n1234\n{}\n", STANDARD.encode(d("root").0));
    assert_eq!(checkpoint().body(), body);
    let public = key("log").public();
    let hash = sha256(&[b"carnet/86/0\n\x01", public.as_bytes()]);
    let blob = [&hash.0[..4], &key("log").sign(body.as_bytes()).0].concat();
    let line = format!("\u{2014} carnet/86/0 {}\n", STANDARD.encode(blob));
    assert_eq!(text(), format!("{body}\n{line}"));
    let assembled = checkpoint().assemble(&public, &key("log").sign(body.as_bytes()));
    assert_eq!(assembled.as_str(), text());
}

#[test]
fn every_flipped_bit_is_refused() {
    for other in flips(text().as_bytes()) {
        if let Ok(other) = String::from_utf8(other) {
            assert!(
                open(&other, &key("log").public(), &checkpoint().origin).is_err(),
                "{other}"
            );
        }
    }
}

#[test]
fn every_beginning_is_refused() {
    let text = text();
    for (end, _) in text.char_indices() {
        assert!(open(&text[..end], &key("log").public(), &checkpoint().origin).is_err());
    }
}

#[test]
fn lines_of_other_signers_are_kept_and_not_judged() {
    let blob = STANDARD.encode([7; 80]);
    let line = format!("\u{2014} witness.example/w1 {blob}");
    let text = checkpoint()
        .sign(&key("log"))
        .with_line(&line)
        .expect("a line")
        .into_text();
    check(&text, "1234 of carnet/86/0");
    let verified = open(&text, &key("log").public(), &checkpoint().origin).expect("signed");
    let [other] = verified.others() else {
        panic!("one other line")
    };
    assert_eq!(
        (other.name(), other.signature().len()),
        ("witness.example/w1", 76)
    );
    // Our own name under another key is another signer.
    let text = checkpoint().sign(&key("older log")).into_text();
    let line = text.lines().last().expect("a line");
    let text = checkpoint()
        .sign(&key("log"))
        .with_line(line)
        .expect("a line")
        .into_text();
    check(&text, "1234 of carnet/86/0");
}

#[test]
fn what_is_not_the_one_text_is_refused_and_says_why() {
    let t = text();
    let line = t.lines().last().expect("a line");
    let form = "the text has not the form of a signed note with three lines";
    check("", form);
    check(&checkpoint().body(), form);
    check(
        &t.replace("\n1234\n", "\n1234\nextension\n"),
        "the checkpoint has extension lines",
    );
    check(
        &t.replace("\n1234\n", "\n01234\n"),
        "the size line is not a decimal number without leading zeros",
    );
    check(
        &t.replace("\n1234\n", "\n+1234\n"),
        "the size line is not a decimal number without leading zeros",
    );
    check(
        &t.replace("\n1234\n", "\n\n"),
        "the size line is not a decimal number without leading zeros",
    );
    check(
        &t.replace("\n1234\n", "\n18446744073709551616\n"),
        "the size line is not a decimal number without leading zeros",
    );
    check(
        &t.replace("=\n\n", "\n\n"),
        "the root line is not the base64 of 32 bytes",
    );
    check(
        &t.replace("carnet/86/0\n1", "carnet/86/00\n1"),
        "the origin line is not one of ours",
    );
    check(
        &t.replace("carnet/86/0\n1", "carnet/cn/0\n1"),
        "the origin line is not one of ours",
    );
    check(
        &t.replace("carnet/86/0\n1", "carnet/49/0\n1"),
        "the checkpoint is of carnet/49/0, not of carnet/86/0",
    );
    check(
        &t.replace('\n', "\r\n"),
        "the note has bytes that a note may not have",
    );
    let malformed = "a signature line is malformed, or there are more than 100";
    check(&t.replace('\u{2014}', "-"), malformed);
    check(&format!("{t}\n"), "the checkpoint has extension lines");
    check(
        &format!("{t}{line}\n"),
        "the note has 2 lines of the log key, not one",
    );
    check(
        &format!(
            "{t}{}",
            format!("\u{2014} w {}\n", STANDARD.encode([1; 9])).repeat(100)
        ),
        malformed,
    );
    check(
        &format!("{t}{}", "x".repeat(70_000)),
        "the note is longer than 65536 bytes",
    );
    check(
        &checkpoint().sign(&key("other")).into_text(),
        "the note has 0 lines of the log key, not one",
    );
    let wrong = checkpoint()
        .assemble(&key("log").public(), &key("log").sign(b"other"))
        .into_text();
    check(&wrong, "the signature of the log key does not verify");
}

#[test]
fn signature_lines_have_one_form() {
    let blob = STANDARD.encode([1; 9]);
    assert!(NoteLine::parse(&format!("\u{2014} name {blob}")).is_ok());
    for line in [
        format!("\u{2014} na+me {blob}"),
        format!("\u{2014} na\u{a0}me {blob}"),
        format!("\u{2014}  {blob}"),
        format!("\u{2014} name  {blob}"),
        format!("\u{2014} name {blob} "),
        format!("\u{2014} name {}", STANDARD.encode([1; 4])),
        "\u{2014} name AAAAAAB=".to_owned(),
        "\u{2014} name".to_owned(),
        String::new(),
    ] {
        assert!(NoteLine::parse(&line).is_err(), "{line}");
    }
}
