//! Texts of the command line become domain values, once.

use std::path::Path;
use std::str::FromStr;

use carnet_client::admin::Member;
use carnet_client::wall_time;
use carnet_domain::bytes::code::{Code, EnterpriseId, Serial};
use carnet_domain::bytes::digest::{Digest, sha256};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_domain::limits::{is_commodity, is_ucr};
use carnet_domain::log::leaf::personal_commitment;
use carnet_domain::record::AgreementRef;
use carnet_domain::rules::command::TransferId;
use carnet_domain::rules::policy::Role;
use carnet_trust::verdict;
use rand::Rng;

use crate::exit::Failed;

/// A code in canonical or display form, with or without the two check digits of labels.
pub(crate) fn code(text: &str) -> Result<Code, String> {
    let text = text.trim();
    let plain = text.chars().filter(|c| *c != '-').count();
    let parsed = if plain == 31 {
        Code::parse_with_suffix(text)
    } else {
        Code::parse(text)
    };
    parsed.map_err(|error| error.to_string())
}

/// An enterprise: prefix and code, with or without a hyphen.
pub(crate) fn enterprise(text: &str) -> Result<EnterpriseId, String> {
    let plain: String = text
        .trim()
        .chars()
        .filter(|letter| *letter != '-')
        .collect();
    if plain.chars().count() == 4 {
        return Err(format!(
            "{text:?}: the prefix of the country is missing; write prefix and code, as 86-{plain}"
        ));
    }
    EnterpriseId::parse(&plain.to_ascii_uppercase())
        .map_err(|error| format!("{text:?}: {error}; write prefix and code, as 86-0001"))
}

/// The lot of a part in its one written form, or none.
pub(crate) fn lot(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    carnet_client::identity::canonical(text)
}

/// A serial as people write it: zeros on the left may be left out.
pub(crate) fn serial(text: &str) -> Result<Serial, String> {
    let plain = text.trim();
    if plain.is_empty() {
        return Err("a serial has 1 to 17 digits and letters".to_owned());
    }
    Serial::parse(&format!("{plain:0>17}")).map_err(|error| format!("{text:?}: {error}"))
}

/// An instant: RFC 3339, a date, or relative to now (`+30d`, `-2h`, `+90m`, `+10s`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    At(TimeMs),
    After(DurationMs),
    Before(DurationMs),
}

impl When {
    pub(crate) fn resolve(self) -> TimeMs {
        match self {
            Self::At(at) => at,
            Self::After(by) => wall_time().saturating_add(by),
            Self::Before(by) => wall_time().saturating_sub(by),
        }
    }
}

/// The end of a range: as [`When`], and of a date its last moment.
pub(crate) fn last(text: &str) -> Result<When, String> {
    let when: When = text.parse()?;
    Ok(match when {
        When::At(at) if text.trim().len() == DATE_LEN => When::At(at.saturating_add(DAY_LESS_ONE)),
        other => other,
    })
}

/// Characters of `YYYY-MM-DD`.
const DATE_LEN: usize = 10;
/// From the first moment of a day to its last.
const DAY_LESS_ONE: DurationMs = DurationMs(24 * 3_600 * 1_000 - 1);

/// An agreement as `name:version`.
pub(crate) fn agreement(text: &str) -> Result<AgreementRef, String> {
    let wrong = || format!("{text:?}: write NAME:VERSION");
    let (name, version) = text.rsplit_once(':').ok_or_else(wrong)?;
    let name = carnet_client::identity::canonical(name)?;
    AgreementRef::parse(&format!("{name}:{version}")).ok_or_else(wrong)
}

impl FromStr for When {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix('+') {
            return duration(rest).map(Self::After);
        }
        if let Some(rest) = text.strip_prefix('-') {
            return duration(rest).map(Self::Before);
        }
        instant(text).map(Self::At)
    }
}

/// RFC 3339 or `YYYY-MM-DD`.
pub(crate) fn instant(text: &str) -> Result<TimeMs, String> {
    let text = text.trim();
    let full = if text.len() == DATE_LEN {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    TimeMs::parse(&full).map_err(|error| format!("{text:?}: {error}"))
}

/// A number with its unit: `30d`, `2h`, `90m`, `10s`.
pub(crate) fn duration(text: &str) -> Result<DurationMs, String> {
    let wrong = || format!("{text:?} is not a length of time; write 30d, 2h, 90m or 10s");
    let split = text
        .len()
        .checked_sub(1)
        .filter(|at| text.is_char_boundary(*at))
        .ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    Ok(DurationMs::from_secs(number.saturating_mul(seconds)))
}

/// A role by its word.
pub(crate) fn role(text: &str) -> Result<Role, String> {
    let words = || {
        Role::ALL
            .iter()
            .map(|role| role.word())
            .collect::<Vec<_>>()
            .join(", ")
    };
    Role::ALL
        .iter()
        .copied()
        .find(|role| role.word() == text)
        .ok_or_else(|| format!("no such role; one of {}", words()))
}

/// Makes a parser of a domain enumeration by its names, in any case, with or without hyphens.
macro_rules! by_name {
    ($($name:ident -> $type:ty;)*) => {$(
        pub(crate) fn $name(text: &str) -> Result<$type, String> {
            <$type>::from_name(text).ok_or_else(|| {
                let all: Vec<String> = <$type>::ALL.iter().map(|value| hyphened(value.name())).collect();
                format!("one of {}", all.join(", "))
            })
        }
    )*};
}

by_name! {
    enterprise_status -> carnet_domain::record::EnterpriseStatus;
    approval_status -> carnet_domain::record::ApprovalStatus;
    form -> carnet_domain::record::Form;
    severity -> carnet_domain::record::Severity;
    part_type -> carnet_domain::record::PartType;
    identifier_scheme -> carnet_domain::record::IdentifierScheme;
    hold_kind -> carnet_domain::rules::lifecycle::HoldKind;
    end_of_life -> carnet_domain::rules::lifecycle::EndOfLife;
    purpose -> carnet_domain::rules::command::Purpose;
}

/// `StopUse` as `stop-use`.
pub(crate) fn hyphened(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('-');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The longest document that is read to be hashed, whole.
const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// A digest: 64 hexadecimal digits, or the file whose bytes it is of.
pub(crate) fn digest_of(text: &str) -> Result<Digest, Failed> {
    if let Ok(digest) = Digest::parse(text) {
        return Ok(digest);
    }
    let wrong = |fault: &dyn std::fmt::Display| {
        Failed::usage(format!(
            "{text}: neither 64 hexadecimal digits nor a readable file: {fault}"
        ))
    };
    let about = std::fs::metadata(text).map_err(|error| wrong(&error))?;
    if !about.is_file() || about.len() > DOCUMENT_BYTES_MAX {
        return Err(wrong(&format!(
            "a document is a file of at most {} MiB; of another give the digest, as sha256sum prints it",
            DOCUMENT_BYTES_MAX >> 20
        )));
    }
    let bytes = std::fs::read(Path::new(text)).map_err(|error| wrong(&error))?;
    Ok(sha256(&[&bytes]))
}

/// A commitment to a personal value and the salt that opens it. Neither the value nor the salt leaves this machine.
pub(crate) struct Committed {
    pub(crate) commitment: Digest,
    pub(crate) salt: Option<[u8; 16]>,
}

/// Commits to a text with a fresh salt; 64 hexadecimal digits are a commitment already.
pub(crate) fn commit(text: &str) -> Committed {
    if let Ok(commitment) = Digest::parse(text) {
        return Committed {
            commitment,
            salt: None,
        };
    }
    let salt: [u8; 16] = rand::rng().random();
    Committed {
        commitment: personal_commitment(&salt, &text.to_owned()),
        salt: Some(salt),
    }
}

/// The number of a transfer: 32 hexadecimal digits.
pub(crate) fn transfer_id(text: &str) -> Result<TransferId, String> {
    TransferId::parse(text).ok_or_else(|| "a transfer number has 32 hexadecimal digits".into())
}

/// A commodity code, or nothing.
pub(crate) fn commodity(text: &str) -> Result<String, String> {
    let plain: String = text.chars().filter(|c| !matches!(c, '.' | ' ')).collect();
    match plain.is_empty() || is_commodity(&plain) {
        true => Ok(plain),
        false => Err("a commodity code has 6 to 10 digits".into()),
    }
}

/// The reference of a consignment, or nothing; small letters are written large.
pub(crate) fn ucr(text: &str) -> Result<String, String> {
    let plain = text.trim().to_ascii_uppercase();
    match plain.is_empty() || is_ucr(&plain) {
        true => Ok(plain),
        false => Err("a consignment is named by at most 35 of 0-9 A-Z - . /".into()),
    }
}

/// Digests, each written out or of a file.
pub(crate) fn digests(texts: &[String]) -> Result<Vec<Digest>, Failed> {
    texts.iter().map(|text| digest_of(text)).collect()
}

/// A member of the cluster as ID=RAFT_HOST:PORT,CLIENT_HOST:PORT.
pub(crate) fn member(text: &str) -> Result<Member, String> {
    let wrong = || format!("{text:?}: write ID=RAFT_HOST:PORT,CLIENT_HOST:PORT");
    let (id, addresses) = text.split_once('=').ok_or_else(wrong)?;
    let (raft, client) = addresses.split_once(',').ok_or_else(wrong)?;
    Ok(Member {
        node: id.parse().map_err(|_| wrong())?,
        raft_address: raft.into(),
        client_address: client.into(),
    })
}

/// What a verdict is asked for.
pub(crate) fn verdict_purpose(text: &str) -> Result<verdict::Purpose, String> {
    verdict::Purpose::from_name(text).ok_or_else(|| {
        let all: Vec<String> = verdict::Purpose::ALL
            .iter()
            .map(|purpose| hyphened(purpose.name()))
            .collect();
        format!("one of {}", all.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_taken_with_its_check_digits() {
        let code = Code::parse("86000110000200000000000000042").expect("a code");
        for text in [code.to_string(), code.display_form(), code.with_suffix()] {
            assert_eq!(super::code(&text), Ok(code), "{text}");
        }
        let with_suffix = code.with_suffix();
        let (body, check) = with_suffix.split_at(29);
        assert_eq!(
            super::code(&format!("{}-{check}", code.display_form())),
            Ok(code)
        );
        let wrong = if check == "00" { "01" } else { "00" };
        let error = super::code(&format!("{body}{wrong}")).expect_err("wrong check digits");
        assert!(error.contains("suffix"), "{error}");
    }

    #[test]
    fn an_enterprise_is_written_with_its_country() {
        let id = EnterpriseId::parse("860001").expect("an enterprise");
        for text in ["860001", "86-0001", " 86-0001 "] {
            assert_eq!(enterprise(text), Ok(id), "{text}");
        }
        let error = enterprise("0001").expect_err("no country");
        assert!(error.contains("as 86-0001"), "{error}");
    }

    #[test]
    fn a_wrong_code_says_where() {
        let error =
            code("86-0001-10000X-00000000000000042").expect_err("a letter in a digits code");
        assert!(error.contains("model segment, position 13"), "{error}");
    }

    #[test]
    fn times_are_absolute_or_relative() {
        assert_eq!(
            "2026-06-01".parse(),
            Ok(When::At(TimeMs::of_date(2026, 6, 1).expect("a day")))
        );
        assert_eq!("+30d".parse(), Ok(When::After(DurationMs::from_days(30))));
        assert_eq!(
            "-2h".parse(),
            Ok(When::Before(DurationMs::from_secs(7_200)))
        );
        assert!("tomorrow".parse::<When>().is_err());
        assert!("+3w".parse::<When>().is_err());
    }

    #[test]
    fn names_are_taken_with_hyphens() {
        assert_eq!(hyphened("StopUse"), "stop-use");
        assert!(severity("stop-use").is_ok());
        assert!(
            severity("fatal")
                .expect_err("unknown")
                .contains("advisory, remedy, stop-use")
        );
    }
}
