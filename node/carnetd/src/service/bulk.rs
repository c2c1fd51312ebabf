//! Bulk requests: a stream under one signature, cut into log entries where its signer said.
//!
//! Each entry is atomic, the whole is not and says so: each answer names the first item it speaks of.

use std::sync::Arc;

use bytes::Bytes;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Blob;
use carnet_domain::bytes::signature::Signature;
use carnet_domain::log::authority::SignedHeader;
use carnet_domain::log::leaf::leaf_bytes_hash;
use carnet_domain::log::merkle::{Nodes, range_proof};
use carnet_domain::machine::entry::Request;
use carnet_domain::machine::parsed::Parsed;
use carnet_wire::limits::{BULK_BYTES_MAX, BULK_MESSAGE_BYTES_MAX, BULK_PART_ITEMS_MAX, ITEMS_MAX};
use carnet_wire::status::ApiError;
use futures::stream::{self, Stream, StreamExt};

use super::At;
use super::caller::Caller;
use crate::ingress;
use crate::node::Node;

/// Log entries of one request under way at a time.
const PARTS_UNDER_WAY: usize = 4;

/// A bulk request whose header was judged, and the items of it that have come so far. Only [`Bulk::begin`] makes one.
pub struct Bulk {
    node: Arc<Node>,
    subject: String,
    header: SignedHeader,
    header_bytes: Bytes,
    signature: Signature,
    items: Vec<Blob>,
    bytes: usize,
}

/// The answer to one part of a bulk request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartAnswer {
    /// 0-based index of the first item that it answers.
    pub first_item: u32,
    /// Canonical bytes, as every replica computed them.
    pub answer: Bytes,
}

/// A bulk request that is whole, cut into parts.
pub struct Whole {
    node: Arc<Node>,
    subject: String,
    parts: Vec<Parsed>,
}

impl Bulk {
    /// Judges the header before any item is held: who sends it, what it may be, and its signature, which covers the items
    /// by their root.
    ///
    /// # Errors
    /// Malformed, not allowed, or a signature that does not verify: then nothing was proposed.
    pub async fn begin(
        node: Arc<Node>,
        caller: &Caller,
        header_bytes: Bytes,
        signature: Signature,
    ) -> Result<Self, ApiError> {
        let header = ingress::header(caller, &header_bytes)?;
        if header.item_count > ITEMS_MAX {
            return Err(too_large());
        }
        ingress::verify(&node, caller, &header, (&header_bytes, &signature)).await?;
        Ok(Self {
            node,
            subject: caller.subject(),
            header,
            header_bytes,
            signature,
            items: Vec::new(),
            bytes: 0,
        })
    }

    /// Takes the next items.
    ///
    /// # Errors
    /// They are more than the header says, or more than one request may have.
    pub fn take(&mut self, items: &[Bytes]) -> Result<(), ApiError> {
        let count = self.items.len().saturating_add(items.len());
        if count > self.header.item_count as usize {
            return Err(self.other_count(count));
        }
        for item in items {
            self.bytes = self.bytes.saturating_add(item.len());
            if self.bytes > BULK_BYTES_MAX {
                return Err(too_large());
            }
            self.items.push(Blob(item.to_vec()));
        }
        Ok(())
    }

    /// Cuts the request where its signer said, when all of it has come.
    ///
    /// # Errors
    /// Items are missing, one is not a command, or a part is larger than a log entry may be.
    pub fn whole(self) -> Result<Whole, ApiError> {
        let count = self.items.len();
        if count != self.header.item_count as usize {
            return Err(self.other_count(count));
        }
        let parts = parts(&self.header_bytes, &self.header, self.signature, self.items)?;
        let parse = |part| ingress::parse(&self.node, &self.header, part);
        let parts: Vec<Parsed> = parts.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Whole {
            node: self.node,
            subject: self.subject,
            parts,
        })
    }

    fn other_count(&self, count: usize) -> ApiError {
        let text = format!("{count} items, the header says {}", self.header.item_count);
        ApiError::invalid("items", text)
    }
}

fn too_large() -> ApiError {
    ApiError::TooLarge {
        text: format!("more than {ITEMS_MAX} items or {BULK_BYTES_MAX} bytes in one bulk request"),
    }
}

impl Whole {
    /// Proposes the parts, and answers them in order.
    pub fn submit(self) -> impl Stream<Item = Result<At<PartAnswer>, ApiError>> + Send + use<> {
        let Self {
            node,
            subject,
            parts,
        } = self;
        stream::iter(parts)
            .map(move |request| {
                let (node, subject) = (Arc::clone(&node), subject.clone());
                async move {
                    let first_item = request.first_item();
                    let committed = node.propose(request.into_body(subject)).await?;
                    Ok(At {
                        value: PartAnswer {
                            first_item,
                            answer: committed.bytes,
                        },
                        log_index: committed.log_index,
                    })
                }
            })
            .buffered(PARTS_UNDER_WAY)
    }
}

/// Cuts items into the parts that the header says, each with the proof that it stands at its place under the signed root.
///
/// # Errors
/// Parts of no item, or larger than an entry may be.
fn parts(
    bytes: &[u8],
    header: &SignedHeader,
    signature: Signature,
    items: Vec<Blob>,
) -> Result<Vec<Request>, ApiError> {
    let size = header.part_items;
    if size == 0 || size > BULK_PART_ITEMS_MAX {
        let text = format!("parts of {size} items, allowed are 1 to {BULK_PART_ITEMS_MAX}");
        return Err(ApiError::invalid("header.part_items", text));
    }
    let hashes: Vec<Digest> = items.iter().map(|item| leaf_bytes_hash(&item.0)).collect();
    let tree = Levels::of(&hashes);
    let total = hashes.len() as u64;
    let mut out = Vec::new();
    for (first, part) in (0..)
        .step_by(size as usize)
        .zip(items.chunks(size as usize))
    {
        let bytes_of_part: usize = part.iter().map(|item| item.0.len()).sum();
        if BULK_MESSAGE_BYTES_MAX < bytes_of_part {
            let text = format!(
                "the {} items from {first} on have {bytes_of_part} bytes, at most {BULK_MESSAGE_BYTES_MAX} fit into one \
                 part: sign smaller parts",
                part.len()
            );
            return Err(ApiError::invalid("header.part_items", text));
        }
        let Ok(range_proof) = range_proof(&tree, u64::from(first), part.len() as u64, total);
        out.push(Request {
            header: Blob(bytes.to_vec()),
            signature,
            first_item: first,
            items: part.to_vec(),
            range_proof,
        });
    }
    Ok(out)
}

/// Every complete subtree of a request's item tree, so that cutting it costs one hash a node.
struct Levels(Vec<Vec<Digest>>);

impl Levels {
    fn of(leaves: &[Digest]) -> Self {
        let mut levels = vec![leaves.to_vec()];
        while let Some(last) = levels.last().filter(|last| 1 < last.len()) {
            let next = last
                .chunks_exact(2)
                .map(|pair| carnet_domain::log::merkle::node_hash(&pair[0], &pair[1]))
                .collect();
            levels.push(next);
        }
        Self(levels)
    }
}

impl Nodes for Levels {
    type Fault = std::convert::Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Fault> {
        Ok(self.0[usize::from(level)][index as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_domain::log::authority::item_root;
    use carnet_domain::log::merkle::verify_range;

    fn header(items: &[Blob], part_items: u32) -> SignedHeader {
        SignedHeader {
            prefix: "86".parse().expect("a prefix"),
            incarnation: 0,
            key: carnet_domain::bytes::signature::KeyId([0; 16]),
            session: 1,
            sequence: 1,
            not_after: carnet_domain::bytes::time::TimeMs(0),
            kind: 10,
            item_count: items.len() as u32,
            part_items,
            item_root: item_root(items.iter().map(|item| item.0.as_slice())),
        }
    }

    #[test]
    fn every_part_stands_under_the_signed_root() {
        let items: Vec<Blob> = (0..1_500u32)
            .map(|n| Blob(vec![0x1a, 0, 1, (n >> 8) as u8, n as u8]))
            .collect();
        let header = header(&items, 400);
        let parts = parts(b"header", &header, Signature([0; 64]), items).expect("parts");
        let counts: Vec<_> = parts.iter().map(|part| part.items.len()).collect();
        assert_eq!(counts, [400, 400, 400, 300]);
        for part in parts {
            let leaf = |item: &Blob| leaf_bytes_hash(&item.0);
            let hashes: Vec<Digest> = part.items.iter().map(leaf).collect();
            let first = u64::from(part.first_item);
            verify_range(&hashes, first, 1_500, &part.range_proof, &header.item_root)
                .expect("a part of the whole");
        }
    }

    #[test]
    fn parts_of_none_of_too_many_and_of_too_many_bytes_are_refused() {
        let items = vec![Blob(vec![0; BULK_MESSAGE_BYTES_MAX / 2]); 3];
        for (part_items, fits) in [(0, false), (1, true), (2, true), (3, false), (513, false)] {
            let header = header(&items, part_items);
            let found = parts(b"header", &header, Signature([0; 64]), items.clone());
            assert_eq!(found.is_ok(), fits, "{part_items}");
        }
    }
}
