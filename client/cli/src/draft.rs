//! A statement of the roots in a file, from its draft on: signed by the roots one after the other, shown, and submitted.

use std::path::{Path, PathBuf};

use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::record::peer::{Signed, Statement};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::Outcome;
use crate::exit::Failed;
use crate::settings::Settings;
use crate::signed::{
    Roots, of_own_cluster, read_statement, signatures, submit, write, write_draft,
};
use crate::submit::{Sure, Write, merge};

/// What is done with a draft.
#[derive(Debug, Subcommand)]
pub(crate) enum Drafted {
    /// Adds signatures of root keys to a draft.
    Sign {
        /// The draft; it is replaced.
        file: PathBuf,
        /// A root seed; default is every one in root/ of --pki.
        #[arg(long = "root", value_name = "FILE")]
        roots: Vec<PathBuf>,
    },
    /// Shows a draft and who signed it.
    Show {
        /// The draft, signed or not.
        file: PathBuf,
    },
    /// Puts a draft with enough signatures into the log.
    Submit {
        /// The draft, with the signatures of a threshold.
        file: PathBuf,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Statements of one kind.
pub(crate) struct Of {
    /// "an order about offices".
    pub(crate) what: &'static str,
    /// What a statement says; `None` for one of another kind.
    pub(crate) says: fn(&Statement) -> Option<Value>,
    /// What of a statement cannot be undone, and the name that is typed if it is meant.
    pub(crate) ends: fn(&Statement) -> Option<(&'static str, String)>,
}

/// Of statements that another one takes back.
pub(crate) fn ends_nothing(_: &Statement) -> Option<(&'static str, String)> {
    None
}

impl Of {
    /// Writes a draft that nobody has signed yet.
    ///
    /// # Errors
    /// It is for another cluster than that of the PKI directory.
    pub(crate) fn draft(
        &self,
        statement: &Statement,
        file: &Path,
        settings: &Settings,
    ) -> Result<Outcome, Failed> {
        for_own_cluster(statement, settings)?;
        let signed = Signed {
            bytes: Blob(statement.to_bytes()),
            signatures: Vec::new(),
        };
        write_draft(file, &signed)?;
        let said = self.said(statement, file)?;
        Ok(shown(said, &signed, file).into())
    }

    /// Reads a draft of this kind.
    ///
    /// # Errors
    /// It cannot be read, or is of another kind.
    pub(crate) fn read(&self, file: &Path) -> Result<Statement, Failed> {
        let (_, statement) = read_statement(file)?;
        self.said(&statement, file)?;
        Ok(statement)
    }

    /// Signs, shows or submits a draft.
    pub(crate) async fn run(&self, verb: Drafted, settings: &Settings) -> Result<Outcome, Failed> {
        let (Drafted::Sign { file, .. } | Drafted::Show { file } | Drafted::Submit { file, .. }) =
            &verb;
        let (mut signed, statement) = read_statement(file)?;
        let said = self.said(&statement, file)?;
        match &verb {
            Drafted::Sign { file, roots } => {
                for_own_cluster(&statement, settings)?;
                Roots::of(roots, settings)?.add_to(&mut signed);
                write(file, &signed.to_bytes())?;
            }
            Drafted::Show { .. } => {}
            Drafted::Submit { sure, .. } => {
                if let Some((what, name)) = (self.ends)(&statement) {
                    sure.confirm(what, &name, Write::default())?;
                }
                return submit(settings, &statement, &signed, said).await;
            }
        }
        Ok(shown(said, &signed, file).into())
    }

    fn said(&self, statement: &Statement, file: &Path) -> Result<Value, Failed> {
        (self.says)(statement).ok_or_else(|| {
            let (file, what) = (file.display(), self.what);
            Failed::usage(format!("{file}: not {what}, but {}", statement.name()))
        })
    }
}

/// Refuses a statement for another cluster than that of the PKI directory.
fn for_own_cluster(statement: &Statement, settings: &Settings) -> Result<(), Failed> {
    match statement {
        Statement::Roots { change } => of_own_cluster(settings, &change.cluster),
        Statement::Offices { order } => of_own_cluster(settings, &order.cluster),
        Statement::Keys { order } => of_own_cluster(settings, &order.cluster),
        Statement::AdvanceTime { change } | Statement::RepairTime { change } => {
            of_own_cluster(settings, &change.cluster)
        }
        // Of no cluster of ours, or drafted by other commands.
        _ => Ok(()),
    }
}

fn shown(said: Value, signed: &Signed, file: &Path) -> Value {
    let more = json!({
        "signatures": signatures(signed),
        "file": file.display().to_string(),
    });
    merge(said, more)
}
