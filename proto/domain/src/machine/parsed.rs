//! Items of a request as commands: read by the same function where a request comes in and where it is applied.
//!
//! A node proposes only a [`Parsed`] request, so that nothing malformed takes a place in the log. `apply` reads every item
//! again and answers for it: what stands in a log was put there by whoever led, not by this program.

use crate::bytes::encoding::{Blob, Canonical};
use crate::bytes::level::Level;
use crate::limits::COMMAND_BYTES_MAX;
use crate::log::authority::SignedHeader;
use crate::machine::entry::{Body, Request};
use crate::rules::command::{Command, CommandKind};
use crate::rules::rejection::{Detail, Reason, Rejection};

/// The command in an item, as a feature level knows it, of the kind that the header names.
///
/// # Errors
/// [`Reason::Malformed`].
pub fn command_of(item: &Blob, header: &SignedHeader, level: Level) -> Result<Command, Rejection> {
    let command = any_command(item, level)?;
    if Some(command.kind()) == CommandKind::from_number(header.kind.into()) {
        return Ok(command);
    }
    let detail = Detail::HeaderKind {
        header: header.kind,
        item: command.kind(),
    };
    Err(Rejection::new(Reason::Malformed, detail))
}

/// The command in an item, as a feature level knows it, of whatever kind.
///
/// # Errors
/// [`Reason::Malformed`].
pub fn any_command(item: &Blob, level: Level) -> Result<Command, Rejection> {
    // Every text of a command is part of its bytes, so one bound on the bytes bounds them all.
    if item.0.len() > COMMAND_BYTES_MAX {
        let detail = Detail::Bytes {
            size: item.0.len() as u64,
            max: COMMAND_BYTES_MAX as u64,
        };
        return Err(Rejection::new(Reason::Malformed, detail));
    }
    Command::from_bytes_at(&item.0, level).map_err(|_| Reason::Malformed.into())
}

/// A request of which every item is a command of the kind that its header names. Only [`Parsed::parse`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed(Request);

/// An item that is not a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadItem {
    /// 0-based index in the part that it came in.
    pub index: usize,
    /// What is wrong with it.
    pub rejection: Rejection,
}

impl Parsed {
    /// Reads every item of a request by what a feature level knows. `header` is the request's own.
    ///
    /// # Errors
    /// The first item that is not a command.
    pub fn parse(request: Request, header: &SignedHeader, level: Level) -> Result<Self, BadItem> {
        for (index, item) in request.items.iter().enumerate() {
            command_of(item, header, level).map_err(|rejection| BadItem { index, rejection })?;
        }
        Ok(Self(request))
    }

    /// Index of its first item among all items signed.
    pub fn first_item(&self) -> u32 {
        self.0.first_item
    }

    /// What is proposed of it, as sent under a certificate.
    pub fn into_body(self, subject: String) -> Body {
        Body::Actor {
            subject,
            request: self.0,
        }
    }
}
