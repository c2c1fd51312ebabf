//! The one leaf that stands in place of a log entry that the roots ordered to be skipped.

use super::meter::Metered;
use super::{Run, root};
use crate::bytes::encoding::{Blob, Canonical};
use crate::log::leaf::Kind;
use crate::machine::due::{RULES, due_before};
use crate::machine::entry::{Body, Entry};
use crate::machine::order::OrderForEntry;
use crate::planted::Sound;
use crate::record::due::DueSubject;
use crate::record::event::{After, Event};
use crate::record::ledger::Ledger;
use crate::record::peer::Signed;

/// Applies the entry that `order` is about: one leaf about the jurisdiction, at the log time there is. Nothing of the
/// entry is read but whether it runs a rule: the row at which the rules broke is still due, and the leader would run into it again.
/// From then on an entry ends one row, so that the next order says which row it is: that one is taken out.
///
/// Every replica writes the same bytes whichever roots' signatures its file carries: leaf, seed and kept envelope come
/// from the unsigned order alone.
///
/// # Errors
/// The medium failed; the caller drops every change.
///
/// # Panics
/// Without a registry: an order is judged by the roots of one.
pub fn skip<L: Ledger>(
    ledger: &mut L,
    order: &OrderForEntry,
    entry: &[u8],
) -> Result<(), L::Fault> {
    let registry = ledger
        .registry()?
        .expect("invariant: an order to skip was judged by this registry's roots");
    let first_leaf = registry.tree.size();
    let prefix = registry.prefix;
    let unsigned = Signed {
        bytes: Blob(order.skip().to_bytes()),
        signatures: Vec::new(),
    };
    let mut run = Run {
        now: registry.log_time,
        ledger: Metered::new(ledger),
        registry,
        seed: order.skip().seed(),
        ordinal: 0,
        first_leaf,
        told: Vec::new(),
        told_at: None,
        planted: Sound,
    };
    let event = Event::new(Kind::Policy, order.skip(), After::Jurisdiction(prefix));
    run.record(event, &root::authorised(&unsigned))?;
    let ran = Entry::rule(entry).filter(|(number, _)| RULES.contains(number));
    if let Some((number, at)) = ran {
        // It broke at what was due by its stamp: log time may still be before it. Above the ceiling it ended nothing.
        let now = match at > run.registry.ceiling {
            true => run.now,
            false => run.now.max(at),
        };
        let before = due_before(&run.registry, number, now);
        if run.registry.due_singly
            && let Some(row) = run.ledger.due(number, before, 1)?.first()
        {
            run.ledger.put_due(row, false)?;
            // What waits to be told has its row, or it is not there: else whatever is said of the same thing would wait behind it for ever.
            if let DueSubject::News { about } = &row.subject {
                run.ledger.put_untold(about, None)?;
            }
        }
        run.registry.due_singly = !run.registry.due_singly;
    }
    let Run {
        mut ledger,
        registry,
        ..
    } = run;
    ledger.put_envelope(first_leaf, Body::Root { signed: unsigned }.to_bytes())?;
    ledger.put_registry(registry)
}
