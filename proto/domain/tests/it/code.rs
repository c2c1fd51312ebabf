//! Codes: both schemes, both forms, precise errors, keys that keep the order, check digits.

use carnet_domain::bytes::code::{
    CODE_KEY_LEN, Code, EnterpriseCode, EnterpriseId, ModelCode, ModelId, Prefix, Scheme, Serial,
};
use proptest::prelude::*;

use crate::values;

fn check(text: &str, expected: &str) {
    let found = match Code::parse(text) {
        Ok(code) => code.display_form(),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn both_schemes_parse_in_both_forms_and_any_case() {
    check(
        "86000110000200000000000000042",
        "86-0001-100002-00000000000000042",
    );
    check(
        "86-0001-100002-00000000000000042",
        "86-0001-100002-00000000000000042",
    );
    check(
        "CN0A01H1G00200000000000000042",
        "CN-0A01-H1G002-00000000000000042",
    );
    check(
        "cn-0a01-h1g002-0000000000000004z",
        "CN-0A01-H1G002-0000000000000004Z",
    );
}

#[test]
fn an_error_names_segment_position_and_what_is_allowed() {
    check(
        "",
        "country segment, position 0: the text ends, allowed is a digit or letter 0-9A-Z",
    );
    check(
        "8",
        "country segment, position 1: the text ends, allowed is a digit 0-9",
    );
    check(
        "8N",
        "country segment, position 1: found 'N', allowed is a digit 0-9",
    );
    check(
        "C6",
        "country segment, position 1: found '6', allowed is a letter A-Z",
    );
    check(
        "86-00A1-100002-00000000000000042",
        "enterprise segment, position 5: found 'A', allowed is a digit 0-9",
    );
    check(
        "86000110000X00000000000000042",
        "model segment, position 11: found 'X', allowed is a digit 0-9",
    );
    check(
        "CN0A01H1G002000000000000000_2",
        "serial segment, position 27: found '_', allowed is a digit or letter 0-9A-Z",
    );
    check(
        "86-0001100002-00000000000000042",
        "model segment, position 7: found '1', allowed is a hyphen",
    );
    check(
        "860001-100002-00000000000000042",
        "model segment, position 6: found '-', allowed is a digit 0-9",
    );
    check(
        "8600011000020000000000000004",
        "serial segment, position 28: the text ends, allowed is a digit 0-9",
    );
    check(
        "860001100002000000000000000421",
        "serial segment, position 29: found '1', allowed is the end",
    );
    check(
        " 86000110000200000000000000042",
        "country segment, position 0: found ' ', allowed is a digit or letter 0-9A-Z",
    );
    check(
        "86000110000200000000000000042 ",
        "serial segment, position 29: found ' ', allowed is the end",
    );
    check(
        "86０00110000200000000000000042",
        "enterprise segment, position 2: found '０', allowed is a digit 0-9",
    );
    check(
        "CN0A01H1Gß0200000000000000042",
        "model segment, position 9: found 'ß', allowed is a digit or letter 0-9A-Z",
    );
    check(
        "CN0A01H1G🤖0200000000000000042",
        "model segment, position 9: found '🤖', allowed is a digit or letter 0-9A-Z",
    );
}

#[test]
fn segments_join_only_within_one_scheme() {
    let digits = Prefix::new("86").expect("a prefix");
    let letters = Prefix::new("cn").expect("a prefix");
    let enterprise = EnterpriseCode::new("0a01").expect("four");
    assert_eq!(digits.scheme(), Scheme::Digits1);
    assert_eq!(letters.scheme(), Scheme::Alnum1);
    let refused = EnterpriseId::new(digits, enterprise).map_err(|e| e.to_string());
    let why = "enterprise segment, position 3: found 'A', allowed is a digit 0-9";
    assert_eq!(refused, Err(why.to_owned()));
    let enterprise = EnterpriseId::new(letters, enterprise).expect("one scheme");
    let model =
        ModelId::new(enterprise, ModelCode::new("H1G002").expect("six")).expect("one scheme");
    let code = Code::new(model, Serial::of_number(42).expect("seventeen")).expect("one scheme");
    assert_eq!(code.as_str(), "CN0A01H1G00200000000000000042");
    assert_eq!(code.model_id(), model);
    assert_eq!(model.enterprise_id(), enterprise);
    assert_eq!(enterprise.prefix(), letters);
    assert_eq!(Serial::of_number(100_000_000_000_000_000), None);
}

#[test]
fn sandbox_prefixes_are_those_of_the_list() {
    let all = (b'0'..=b'9').chain(b'A'..=b'Z');
    let pairs = all.clone().flat_map(|a| {
        all.clone()
            .map(move |b| format!("{}{}", a as char, b as char))
    });
    let sandbox: Vec<String> = pairs
        .filter(|p| Prefix::new(p).is_ok_and(|prefix| prefix.is_sandbox()))
        .collect();
    let nineties = (90..=99).map(|n| n.to_string());
    let expected: Vec<String> = nineties
        .chain(('A'..='Z').map(|c| format!("X{c}")))
        .chain(["ZZ".to_owned()])
        .collect();
    assert_eq!(sandbox, expected);
}

#[test]
fn check_digits_are_those_of_the_standard() {
    // The legal entity identifier uses the same system: 7ZW8QJWVPR4P1J1KQY45 ends in its own check digits.
    let body = "7ZW8QJWVPR4P1J1KQY";
    let rest = body.chars().chain("45".chars()).fold(0u32, |rest, c| {
        let value = c.to_digit(36).expect("base 36");
        (rest * if value < 10 { 10 } else { 100 } + value) % 97
    });
    assert_eq!(rest, 1);
    let code = Code::parse("86000110000200000000000000042").expect("a code");
    let label = code.with_suffix();
    let number: u128 = label.parse().expect("31 digits");
    assert_eq!(number % 97, 1);
    assert_eq!(Code::parse_with_suffix(&label), Ok(code));
    let spaced = format!("{}-{}", code.display_form(), &label[29..]);
    assert_eq!(Code::parse_with_suffix(&spaced), Ok(code));
}

#[test]
fn a_wrong_check_digit_says_which_is_needed() {
    let code = Code::parse("86000110000200000000000000042").expect("a code");
    let found = Code::parse_with_suffix(&format!("{code}00")).map_err(|e| e.to_string());
    let [tens, units] = code.check_suffix().map(char::from);
    let why = format!("suffix segment, position 29: found 00, the code needs {tens}{units}");
    assert_eq!(found, Err(why));
    let found = Code::parse_with_suffix(&format!("{code}-1")).map_err(|e| e.to_string());
    let why = "suffix segment, position 31: the text ends, allowed is a digit 0-9";
    assert_eq!(found, Err(why.to_owned()));
}

#[test]
fn keys_that_belong_to_no_code_are_refused() {
    assert_eq!(
        Code::from_key(&[0xff; CODE_KEY_LEN]).map_err(|e| e.to_string()),
        Err("the key is larger than any code".to_owned())
    );
    // 0A… mixes the schemes.
    let mut key = [0; CODE_KEY_LEN];
    key[1] = 0x10;
    assert!(Code::from_key(&key).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_keep_order_and_come_back(a in values::code(), b in values::code()) {
        prop_assert_eq!(a.cmp(&b), a.to_key().cmp(&b.to_key()));
        prop_assert_eq!(Code::from_key(&a.to_key()), Ok(a));
    }

    #[test]
    fn every_form_of_a_code_is_the_same_code(text in values::code_text()) {
        let code = Code::parse(&text).expect("a code");
        prop_assert_eq!(code.as_str(), &text);
        prop_assert_eq!(Code::parse(&code.display_form()), Ok(code));
        prop_assert_eq!(Code::parse(&code.display_form().to_lowercase()), Ok(code));
        prop_assert_eq!(Code::parse_with_suffix(&code.with_suffix()), Ok(code));
    }

    /// Within digits and within letters only: the standard reads a letter as two digits, so `1B` and `B1` are alike.
    #[test]
    fn one_wrong_character_or_two_swapped_break_the_check_digits(
        code in values::code(), at in 0usize..29, other in "[0-9A-Z]", swap in 0usize..28,
    ) {
        let label = code.with_suffix();
        let alike = |a: u8, b: u8| a != b && a.is_ascii_digit() == b.is_ascii_digit();
        let mut wrong = label.clone().into_bytes();
        let found = std::mem::replace(&mut wrong[at], other.as_bytes()[0]);
        if alike(found, wrong[at]) {
            prop_assert!(Code::parse_with_suffix(&String::from_utf8(wrong).expect("ASCII")).is_err());
        }
        let mut swapped = label.into_bytes();
        swapped.swap(swap, swap + 1);
        if alike(swapped[swap], swapped[swap + 1]) {
            prop_assert!(Code::parse_with_suffix(&String::from_utf8(swapped).expect("ASCII")).is_err());
        }
    }

    #[test]
    fn any_text_gives_a_code_or_a_position_inside_it(text in "\\PC{0,40}") {
        match Code::parse(&text) {
            Ok(code) => prop_assert_eq!(code.as_str().len(), 29),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
