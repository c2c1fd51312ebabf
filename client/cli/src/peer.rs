//! `carnet peer`: other countries' registries, as this one recognises and sees them.

use std::path::PathBuf;

use carnet_client::wall_time;
use carnet_domain::bytes::code::Prefix;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::level::Level;
use carnet_domain::record::contact::{Allowed, Contact};
use carnet_domain::record::peer::{
    Bundle as TrustBundle, Peer as TrustPeer, Signed, Statement, roots_after,
};
use carnet_domain::rules::command::Command;
use carnet_trust::bundle::verify_bundle;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::bundle::read_bundle;
use crate::exit::{Failed, chain};
use crate::parse;
use crate::settings::Settings;
use crate::signed::{BY_WHOM, STALE, UNSIGNED, read_statement, state};
use crate::submit::{self, Sure, Write, merge};
use crate::{Outcome, view};

#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// Recognises another country by its bundle, whose fingerprint two people compared. Root-signed here. Our own bundle, stated the
    /// same way, goes into evidence files.
    Add {
        /// The other country's bundle.
        #[arg(long)]
        bundle: PathBuf,
        /// The fingerprint as the other side said it.
        #[arg(long)]
        fingerprint: String,
        /// A replacement of the other country's roots since the bundle that stands here (the file of its `root rotate`), where the
        /// new bundle is not signed by the roots that stand here too. May be repeated, in the order of the replacements.
        #[arg(long = "root-change", value_name = "FILE")]
        root_changes: Vec<PathBuf>,
    },
    /// Shows a peer.
    Get {
        /// Its primary prefix.
        peer: Prefix,
    },
    /// Lists peers.
    List,
    /// Pauses the contact with a peer on every node: nothing is sent to it, read of it or asked of it, and no offer or permit begins.
    /// What is under way waits, on both sides, until it is resumed.
    Pause {
        /// Its primary prefix.
        peer: Prefix,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Resumes the contact with a peer.
    Resume {
        /// Its primary prefix.
        peer: Prefix,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
    /// Shows how much is read of a peer within a minute, or sets it: what is over waits, and the peer is told. Without an option it is
    /// shown; what no option names stays.
    Limits(Box<Limits>),
    /// Ends the contact with a peer for good: no agreement with it stands any more. Root-signed here. While robots are offered or on
    /// their way between the two it is refused. A newer bundle (`peer add`) begins it anew.
    Remove {
        /// Its primary prefix.
        peer: Prefix,
        /// How many robots that are offered or on their way are given up: no step of theirs is read on either side any more.
        #[arg(long, default_value_t = 0)]
        stranded: u64,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Takes a peer out of quarantine that signed two leaves of one robot of which one alone can be: says which counts. Root-signed
    /// here. `peer get` shows the fork with both leaves; compare with the other country's registry first. A log with two
    /// histories is left only by another life of it (a bundle with a higher incarnation).
    Release {
        /// Its primary prefix.
        peer: Prefix,
        /// Our leaf with the evidence, as `peer get` shows it.
        #[arg(long)]
        fork: u64,
        /// The leaf that counts: 64 hexadecimal digits.
        #[arg(long)]
        counts: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Clears a peer's claim that an identity ended, or its word that it ended a robot which nothing shows it to have: it blocks no
    /// registration and no import here any more. Of this registry's own prefix,
    /// frees a part that somebody fitted who is not its maker, and ends what was said of its end: two registrars say so, and
    /// whose word it was does not say it again.
    ClearClaim {
        /// The peer's primary prefix, or this registry's own.
        peer: Prefix,
        /// The identity, as the refusal shows it: 64 hexadecimal digits.
        identity: String,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        write: Write,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// Its primary prefix.
    peer: Prefix,
    /// Robots offered.
    #[arg(long)]
    offers: Option<u64>,
    /// Reports of theft and loss, and their end.
    #[arg(long)]
    holds: Option<u64>,
    /// Statements that are answered with a nack.
    #[arg(long)]
    nacks: Option<u64>,
    /// Claims and ends of identities.
    #[arg(long)]
    claims: Option<u64>,
    /// Leaves that they make us write.
    #[arg(long)]
    leaves: Option<u64>,
    /// Items, whatever comes of them.
    #[arg(long)]
    items: Option<u64>,
    /// Bytes of items.
    #[arg(long)]
    bytes: Option<u64>,
    /// As much as of anybody, but for what other options name.
    #[arg(long)]
    default: bool,
    /// Why; needed to set any.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    write: Write,
}

impl Limits {
    /// What is set, in the place of what stands; none: it is only asked for.
    fn wanted(&self, now: &Allowed) -> Option<Allowed> {
        let from = if self.default {
            Allowed::default()
        } else {
            now.clone()
        };
        let named = [
            self.offers,
            self.holds,
            self.nacks,
            self.claims,
            self.leaves,
            self.items,
            self.bytes,
        ];
        if !self.default && named.iter().all(Option::is_none) {
            return None;
        }
        Some(Allowed {
            offers: self.offers.unwrap_or(from.offers),
            holds: self.holds.unwrap_or(from.holds),
            nacks: self.nacks.unwrap_or(from.nacks),
            claims: self.claims.unwrap_or(from.claims),
            leaves: self.leaves.unwrap_or(from.leaves),
            items: self.items.unwrap_or(from.items),
            bytes: self.bytes.unwrap_or(from.bytes),
        })
    }
}

/// What is read of a peer within a minute at most, what was in the newest one, and what is read of anybody.
fn limits(peer: &TrustPeer) -> Value {
    let (set, heard, most) = (&peer.limits, &peer.heard, Allowed::default());
    let row = |what: &str, set: u64, heard: u64, most: u64| json!({"a_minute": what, "limit": set.to_string(), "newest": heard.to_string(), "most": most.to_string()});
    json!([
        row("offers", set.offers, heard.offers, most.offers),
        row("holds", set.holds, heard.holds, most.holds),
        row("nacks", set.nacks, heard.nacks, most.nacks),
        row("claims", set.claims, heard.claims, most.claims),
        row("leaves", set.leaves, heard.leaves, most.leaves),
        row("items", set.items, heard.items, most.items),
        row("bytes", set.bytes, heard.bytes, most.bytes),
    ])
}

async fn set_contact(
    settings: &Settings,
    write: Write,
    peer: Prefix,
    contact: Contact,
    reason: String,
) -> Result<Outcome, Failed> {
    let extra = json!({"peer": peer.to_string(), "contact": parse::hyphened(contact.name())});
    let command = Command::SetContact {
        peer,
        contact,
        reason,
    };
    submit::one(settings, write, command, extra).await
}

pub(crate) async fn run(verb: Peer, settings: &Settings) -> Result<Outcome, Failed> {
    match verb {
        Peer::Pause {
            peer,
            reason,
            write,
        } => set_contact(settings, write, peer, Contact::Paused, reason).await,
        Peer::Resume {
            peer,
            reason,
            write,
        } => set_contact(settings, write, peer, Contact::Open, reason).await,
        Peer::Limits(asked) => {
            let peer = asked.peer;
            let known = settings.client()?.unverified().peer(peer).await?.value;
            let Some(wanted) = asked.wanted(&known.limits) else {
                return Ok(limits(&known).into());
            };
            let reason = asked.reason.clone();
            let reason = reason.ok_or_else(|| Failed::usage("--reason is missing"))?;
            let command = Command::LimitPeer {
                peer,
                limits: wanted,
                reason,
            };
            let extra = json!({"peer": peer.to_string()});
            submit::one(settings, asked.write, command, extra).await
        }
        Peer::Remove {
            peer,
            stranded,
            reason,
            sure,
        } => {
            let known = settings.client()?.unverified().peer(peer).await?.value;
            let write = Write {
                dry_run: false,
                published: false,
            };
            sure.confirm(
                "To end the contact with a country",
                &peer.to_string(),
                write,
            )?;
            let statement = Statement::EndPeer {
                peer,
                sequence: known.bundle.sequence,
                stranded,
                reason,
            };
            let value = json!({"peer": peer.to_string(), "contact": "ended"});
            state(settings, &statement, value).await
        }
        Peer::Add {
            bundle,
            fingerprint,
            root_changes,
        } => {
            let (signed, read) = read_bundle(&bundle)?;
            let plain: String = fingerprint
                .chars()
                .filter(|c| !matches!(c, ' ' | ':' | '-'))
                .collect();
            let fingerprint = Digest::parse(&plain)
                .map_err(|error| Failed::usage(format!("--fingerprint: {error}")))?;
            // Refused here already: a wrong bundle must not even reach the roots' signature.
            verify_bundle(&signed, &fingerprint).map_err(|error| {
                Failed::usage(format!("{}: {}", bundle.display(), chain(&error)))
            })?;
            let changes = match (root_changes.as_slice(), read.primary()) {
                ([], _) | (_, None) => Vec::new(),
                (files, Some(primary)) => {
                    let pinned = settings.client()?.unverified().peer(primary).await?;
                    changes_since(&pinned.value.bundle, files)?
                }
            };
            let statement = Statement::Recognise {
                bundle: signed,
                fingerprint,
                changes,
            };
            let value = view::bundle(&read);
            let pinned = "Who pinned a country's roots believes the next bundle by their signature: after a replacement of its \
                          roots those before sign it too (there: carnet bundle export --former-root).";
            let refused = |failed: Failed| {
                match failed.reason.as_str() {
                UNSIGNED if !failed.text.contains(BY_WHOM) => Failed {
                    next: pinned.into(),
                    ..failed
                },
                STALE => Failed {
                    next: "That country signs one with a higher sequence (there: carnet bundle export --sequence, one more than the one \
                           known)."
                        .into(),
                    ..failed
                },
                _ => failed,
            }
            };
            state(settings, &statement, value).await.map_err(refused)
        }
        Peer::Get { peer } => {
            let found = settings.client()?.unverified().peer(peer).await?;
            let agreements: Vec<Value> =
                found.value.agreements.iter().map(view::agreement).collect();
            let now = wall_time();
            let limits = json!({"clauses": agreements, "limits": limits(&found.value)});
            Ok(merge(view::peer(&found.value, now), limits).into())
        }
        Peer::Release {
            peer,
            fork,
            counts,
            reason,
        } => {
            let counts = Digest::parse(counts.trim())
                .map_err(|error| Failed::usage(format!("--counts: {error}")))?;
            let known = settings.client()?.unverified().peer(peer).await?.value;
            if !known.quarantined {
                let text = format!("{peer} is in no quarantine: there is nothing to release");
                return Err(Failed {
                    next: "Nothing was sent. carnet peer get shows what is known of a peer; of one that is doubted, see the \
                           runbook doubted-peer."
                        .into(),
                    ..Failed::usage(text)
                });
            }
            let value = json!({"peer": peer.to_string(), "fork": fork.to_string(), "counts": counts.to_string()});
            let statement = Statement::Settle {
                peer,
                fork,
                counts,
                reason,
            };
            state(settings, &statement, value).await
        }
        Peer::ClearClaim {
            peer,
            identity,
            reason,
            write,
        } => {
            let identity = Digest::parse(identity.trim())
                .map_err(|error| Failed::usage(format!("{identity:?}: {error}")))?;
            let extra = json!({"peer": peer.to_string(), "identity": identity.to_string()});
            let command = Command::ClearClaim {
                peer,
                identity,
                reason,
            };
            submit::one(settings, write, command, extra).await
        }
        Peer::List => {
            let client = settings.client()?;
            let mut rows = Vec::new();
            let mut token = String::new();
            loop {
                let page = client.unverified().peers(0, &token).await?;
                let now = wall_time();
                rows.extend(page.values.iter().map(|one| view::peer(one, now)));
                token = page.next;
                if token.is_empty() {
                    return Ok(Value::Array(rows).into());
                }
            }
        }
    }
}

/// The replacements of roots in files that lead on from a bundle: those that it knows already are left out.
fn changes_since(pinned: &TrustBundle, files: &[PathBuf]) -> Result<Vec<Signed>, Failed> {
    let read = |file: &PathBuf| Ok(read_statement(file)?.0);
    let mut changes = files.iter().map(read).collect::<Result<Vec<_>, Failed>>()?;
    let (roots, threshold) = (&pinned.roots, pinned.threshold);
    let leads = |changes: &[Signed]| roots_after(roots, threshold, changes, Level::KNOWN);
    let known = (0..changes.len()).find(|known| leads(changes.split_at(*known).1).is_some());
    let Some(known) = known else {
        return Err(Failed::usage(
            "--root-change: they do not lead on from the roots that stand here, one after the other",
        ));
    };
    Ok(changes.split_off(known))
}
