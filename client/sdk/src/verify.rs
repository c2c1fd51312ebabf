//! What was proven on this machine, why something is not believed, and verdicts that are judged here. The reads are in `proven`.

use carnet_domain::bytes::code::Code;
use carnet_trust::offline::{Report, verify_file};
use carnet_trust::pack::{OpenedPack, PackError};
use carnet_trust::pins::Pins;
use carnet_trust::verdict::{Purpose, ReasonCode};
use futures::StreamExt;

use crate::client::Client;
use crate::clock::wall_time;
use crate::error::ClientError;
use crate::pin::PinError;

/// Verdicts that are asked for at a time.
pub const VERDICTS_AT_ONCE: usize = 8;
/// How often evidence or pack is asked for again when the logs went on between the two.
const EVIDENCE_ASKED_AGAIN_MAX: usize = 3;

/// A value that was proven on this machine. Only the checks of this crate make one.
#[derive(Debug, Clone)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(proven: T) -> Self {
        Self(proven)
    }

    /// What was proven.
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
    ) -> Result<JudgedFile, ClientError> {
        let codes = std::slice::from_ref(code);
        let mut judged = self.verify_all_here(codes, purpose, pins).await?;
        match judged.pop() {
            Some(judged) => judged,
            None => Err(ClientError::Protocol("a code has no verdict".into())),
        }
    }

    /// As [`Client::verify_here_with_file`] for many codes, in their order: one pack is opened for all of them, after their evidence. Some
    /// hundreds at a time: what was shown of all is in memory.
    ///
    /// # Errors
    /// When there is no pack. What one code lacks is the error of that one.
    pub async fn verify_all_here(
        &self,
        codes: &[Code],
        purpose: Purpose,
        pins: &Pins,
    ) -> Result<Vec<Result<JudgedFile, ClientError>>, ClientError> {
        let mut rows: Vec<JudgedRow> = codes.iter().map(JudgedRow::new).collect();
        let all: Vec<usize> = (0..rows.len()).collect();
        self.show(&mut rows, &all, purpose).await;
        if rows.iter().all(|row| row.file.is_err()) {
            return Ok(rows.into_iter().map(JudgedRow::end).collect());
        }
        // After the evidence: what the pack knows must be at least as new.
        let mut pack = self.pack_of_any_age(pins).await?;
        let mut to_judge = all;
        let mut again = 0..EVIDENCE_ASKED_AGAIN_MAX;
        loop {
            for at in &to_judge {
                rows[*at].judge(pins, &pack, purpose);
            }
            let says = |code| {
                let which = |at: &usize| rows[*at].says(code);
                (0..rows.len()).filter(which).collect::<Vec<_>>()
            };
            // The logs went on between the questions: what lags is asked for again, the pack once for all.
            let evidence_lags = says(ReasonCode::OlderHead);
            let pack_lags = says(ReasonCode::HeadNotJoined);
            let none = evidence_lags.is_empty() && pack_lags.is_empty();
            if none || again.next().is_none() {
                return Ok(rows.into_iter().map(JudgedRow::end).collect());
            }
            self.show(&mut rows, &evidence_lags, purpose).await;
            if evidence_lags.is_empty() {
                pack = self.pack_of_any_age(pins).await?;
            }
            to_judge = match evidence_lags.is_empty() {
                true => pack_lags,
                false => evidence_lags,
            };
        }
    }

    /// Asks for the evidence of these rows.
    async fn show(&self, rows: &mut [JudgedRow], which: &[usize], purpose: Purpose) {
        let told = &self.unverified();
        let codes = which.iter().map(|at| (*at, rows[*at].code));
        let asked = codes.map(|(at, code)| async move {
            let shown = told.verify(&code, purpose.name()).await;
            (at, shown.map(|shown| shown.value.1))
        });
        let asked: Vec<_> = asked.collect();
        let mut shown = futures::stream::iter(asked).buffer_unordered(VERDICTS_AT_ONCE);
        while let Some((at, file)) = shown.next().await {
            rows[at].file = file;
        }
    }
}

/// A report, and the evidence file that was judged.
pub type JudgedFile = (Verified<Report>, Vec<u8>);

/// One code of many.
struct JudgedRow {
    code: Code,
    file: Result<Vec<u8>, ClientError>,
    report: Option<Result<Report, ClientError>>,
}

impl JudgedRow {
    fn new(code: &Code) -> Self {
        Self {
            code: *code,
            file: Ok(Vec::new()),
            report: None,
        }
    }

    fn judge(&mut self, pins: &Pins, pack: &OpenedPack, purpose: Purpose) {
        let Ok(file) = &self.file else {
            return;
        };
        let (about, now) = (Some(&self.code), wall_time());
        let report = verify_file(file, pins, Some(pack), about, purpose, now);
        self.report = Some(report.map_err(|error| PinError::File(error).into()));
    }

    fn says(&self, code: ReasonCode) -> bool {
        let report = self.report.as_ref().and_then(|report| report.as_ref().ok());
        let reasons = report.map(|report| &report.verdict.reasons);
        self.file.is_ok() && reasons.is_some_and(|all| all.iter().any(|r| r.code == code))
    }

    fn end(self) -> Result<JudgedFile, ClientError> {
        let file = self.file?;
        match self.report {
            Some(report) => Ok((Verified(report?), file)),
            None => Err(ClientError::Protocol("a file was not judged".into())),
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
