//! That a certificate nears its end: for whoever lists certificates, and for whoever shows one.

use std::path::Path;

use carnet_client::{keys, wall_time};
use carnet_domain::bytes::time::{DurationMs, TimeMs};
use carnet_trust::facts::Facts;

use crate::output::say;

/// Days before its end from which a certificate is worth a word: the last of them is urgent.
const WARNED_DAYS: [u64; 3] = [30, 14, 7];
/// Whole days until the end; 0 once it is over.
pub(crate) fn days_left(until: TimeMs, now: TimeMs) -> u64 {
    until.since(now).as_ms() / DurationMs::from_days(1).as_ms()
}

/// Says once in a call that what somebody shows is near its end: the certificate of --cert, the authority behind it, or a root.
pub(crate) fn warn_of_own(certificate: &Path, roots: &Path) {
    static SAID: std::sync::Once = std::sync::Once::new();
    if let Some(text) = own_warning(certificate, roots, wall_time()) {
        SAID.call_once(|| say(text));
    }
}

/// The gravest of what is to be said of the certificates in two files.
fn own_warning(certificate: &Path, roots: &Path, now: TimeMs) -> Option<String> {
    let of = |path: &Path| {
        // What cannot be read is said by whoever uses it.
        let chain = keys::read_chain(path).unwrap_or_default();
        let all = chain.into_iter().filter_map(|der| Facts::of(&der).ok());
        all.map(|facts| (facts.not_after, path.to_owned(), facts.identity.to_string()))
            .collect::<Vec<_>>()
    };
    let all = [of(certificate), of(roots)].concat();
    let (until, path, who) = all.into_iter().min_by_key(|(until, ..)| *until)?;
    let warning = warning(until, now)?;
    Some(format!(
        "warning: {who}: {warning}, until {until}: {} (carnet pki renew, runbook renew-certificates)",
        path.display()
    ))
}

/// What is to be said of a certificate near its end.
pub(crate) fn warning(until: TimeMs, now: TimeMs) -> Option<String> {
    let left = days_left(until, now);
    if until < now {
        return Some("expired".to_owned());
    }
    let below = WARNED_DAYS.iter().filter(|days| left < **days).min();
    below.map(|days| format!("less than {days} days left"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_at_thirty_fourteen_and_seven_days() {
        let now = TimeMs(1_000_000_000_000);
        let said = |days| {
            let until = now.saturating_add(DurationMs::from_days(days));
            warning(until, now).unwrap_or_default()
        };
        let table = [
            (365, ""),
            (30, ""),
            (29, "less than 30 days left"),
            (14, "less than 30 days left"),
            (13, "less than 14 days left"),
            (7, "less than 14 days left"),
            (6, "less than 7 days left"),
            (0, "less than 7 days left"),
        ];
        for (days, expected) in table {
            assert_eq!(said(days), expected, "{days} days");
        }
        assert_eq!(warning(TimeMs(1), now).as_deref(), Some("expired"));
    }

    /// Of what somebody shows the end that comes first counts: its own, its authority's, or a root's.
    #[test]
    fn whoever_shows_a_certificate_is_told_that_it_nears_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = folder.path().join("pki");
        let prefix = carnet_domain::bytes::code::Prefix::parse("86").expect("a prefix");
        let now = wall_time();
        let validity = carnet_pki::Validity {
            leaf_days: 20,
            ..carnet_pki::Validity::default()
        };
        let role = carnet_domain::rules::policy::Role::Dealer;
        let ada = carnet_trust::identity::ClientName::from_words(prefix, role, "0003", "ada");
        let plan = carnet_pki::PkiPlan {
            clients: vec![ada.expect("a name")],
            validity,
            ..carnet_pki::PkiPlan::new(prefix)
        };
        carnet_pki::init(&directory, &plan, now).expect("made");
        let certificate = directory.join("clients/dealer-0003-ada.crt");
        let roots = directory.join("root/roots.crt");
        let said = |days| {
            let then = now.saturating_add(DurationMs::from_days(days));
            own_warning(&certificate, &roots, then).unwrap_or_default()
        };
        assert!(said(0).contains("less than 30 days left"), "{}", said(0));
        assert!(
            said(0).contains("clients/dealer-0003-ada.crt"),
            "{}",
            said(0)
        );
        assert!(said(14).contains("less than 7 days left"), "{}", said(14));
        assert!(said(21).contains("expired"), "{}", said(21));
        let authority = directory.join("ca/raft.crt");
        assert_eq!(own_warning(&authority, &roots, now), None);
    }
}
