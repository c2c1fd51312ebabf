//! A release from ownership. Its secret is drawn here, of 128 bits, and by nobody who might choose one that can be guessed.

use carnet_domain::bytes::code::Code;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::record::{Asking, PartyName, ReleaseSecret, release_commitment};
use carnet_domain::rules::command::Action;
use rand::Rng;

/// Who may gain a robot that is released, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseTerms {
    /// Who alone may ask for it; `None`: whoever has the secret.
    pub to: Option<PartyName>,
    /// When it ends, by log time.
    pub until: TimeMs,
    /// Whether asking counts as approval.
    pub asking: Asking,
    /// Why, where a registrar stands in for the owner; else empty.
    pub reason: String,
}

/// The action that releases a robot from ownership, and its secret, which whoever gains the robot asks with. It is in no log:
/// whoever loses it releases the robot anew.
///
/// `sequence` is that of the robot's record: the command must expect it (`expected_sequence`), for the commitment names it.
pub fn release_ownership(
    code: &Code,
    sequence: u64,
    terms: ReleaseTerms,
) -> (Action, ReleaseSecret) {
    let secret = ReleaseSecret(rand::rng().random());
    let action = Action::ReleaseOwnership {
        commitment: release_commitment(code, sequence, &secret),
        to: terms.to,
        until: terms.until,
        asking: terms.asking,
        reason: terms.reason,
    };
    (action, secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_has_a_secret_of_its_own_that_opens_it() {
        let code = Code::parse("86000110000200000000000000042").expect("a code");
        let terms = ReleaseTerms {
            to: None,
            until: TimeMs(9),
            asking: Asking::Waits,
            reason: String::new(),
        };
        let released = [1, 1, 2].map(|sequence| {
            let (action, secret) = release_ownership(&code, sequence, terms.clone());
            let Action::ReleaseOwnership { commitment, .. } = action else {
                panic!("{action:?} releases nothing")
            };
            assert_eq!(commitment, release_commitment(&code, sequence, &secret));
            secret
        });
        assert_ne!(released[0], released[1]);
        assert_ne!(released[1], released[2]);
    }
}
