//! What was proven on this machine, why something is not believed, and verdicts that are judged here. The reads are in `proven`.

use carnet_domain::bytes::code::Code;
use carnet_trust::offline::{Report, verify_file};
use carnet_trust::pack::PackError;
use carnet_trust::pins::Pins;
use carnet_trust::verdict::{Purpose, ReasonCode};

use crate::client::Client;
use crate::clock::wall_time;
use crate::error::ClientError;
use crate::pin::PinError;

/// How often evidence or pack is asked for again when the logs went on between the two.
const EVIDENCE_ASKED_AGAIN_MAX: usize = 3;

/// A value that was proven on this machine. Only the checks of this crate make one.
#[derive(Debug, Clone)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(proven: T) -> Self {
        Self(proven)
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.0
    }

    /// The value, without the mark that it was proven.
    pub fn into_value(self) -> T {
        self.0
    }
}

impl Client {
    /// The verdict on a code, judged on this machine under what is pinned here. What the server itself judged is not asked: it
    /// only brings the evidence, and the pack that the log key of the own country signed.
    ///
    /// # Errors
    /// As every read; [`ClientError::NotProven`] when the evidence cannot be read. Evidence that does not hold gives a
    /// report whose verdict is INVALID.
    pub async fn verify_here(
        &self,
        code: &Code,
        purpose: Purpose,
        pins: &Pins,
    ) -> Result<Verified<Report>, ClientError> {
        let (report, _) = self.verify_here_with_file(code, purpose, pins).await?;
        Ok(report)
    }

    /// As [`Client::verify_here`], with the evidence file that was judged.
    ///
    /// # Errors
    /// As [`Client::verify_here`].
    pub async fn verify_here_with_file(
        &self,
        code: &Code,
        purpose: Purpose,
        pins: &Pins,
    ) -> Result<(Verified<Report>, Vec<u8>), ClientError> {
        let told = self.unverified();
        let (_, mut file) = told.verify(code, purpose.name()).await?.value;
        // After the evidence: what the pack knows must be at least as new.
        let mut pack = self.pack_of_any_age(pins).await?;
        let mut again = 0..EVIDENCE_ASKED_AGAIN_MAX;
        loop {
            let (about, now) = (Some(code), wall_time());
            let report = verify_file(&file, pins, Some(&pack), about, purpose, now)
                .map_err(PinError::File)?;
            let says = |code| report.verdict.reasons.iter().any(|r| r.code == code);
            let (evidence_lags, pack_lags) =
                (says(ReasonCode::OlderHead), says(ReasonCode::HeadNotJoined));
            if !(evidence_lags || pack_lags) || again.next().is_none() {
                return Ok((Verified(report), file));
            }
            // The logs went on between the two questions: the one that lags is asked again.
            if evidence_lags {
                (_, file) = told.verify(code, purpose.name()).await?.value;
            } else {
                pack = self.pack_of_any_age(pins).await?;
            }
        }
    }
}

/// A pack that is not opened: what is pinned names another country than the server's, or other keys, far more often than a server
/// lies, and from here the two look alike.
pub(crate) fn not_opened(error: PackError) -> ClientError {
    let pinned = match &error {
        PackError::OtherCountry { own, found } => {
            format!("the server is of {found}, and the verifier's own country is said to be {own}")
        }
        PackError::NoLogKey(_)
        | PackError::Unsigned(_)
        | PackError::Incarnation { .. }
        | PackError::Pins(_) => {
            format!("what is pinned does not go with the server's pack: {error}")
        }
        PackError::TooLong(_)
        | PackError::Decode(_)
        | PackError::Version(_)
        | PackError::Others(_) => return PinError::Pack(error).into(),
    };
    ClientError::Usage(format!("{pinned}; nothing was concluded"))
}
