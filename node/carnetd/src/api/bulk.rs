//! Bulk requests: a stream under one signature, cut at the edge into log entries of whole items.
//!
//! Each entry is atomic, the whole is not and says so: each answer names the first item it speaks of.

use std::sync::Arc;

use bytes::Bytes;
use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::Blob;
use carnet_domain::log::leaf::leaf_bytes_hash;
use carnet_domain::log::merkle::{Nodes, range_proof};
use carnet_domain::machine::entry::{Body, Request};
use carnet_trust::chain::VerifiedClient;
use carnet_wire::convert;
use carnet_wire::limits::{BULK_BYTES_MAX, ITEMS_MAX};
use carnet_wire::registry::v1 as pb;
use carnet_wire::status::ApiError;
use futures::stream::{self, Stream, StreamExt};
use tonic::{Status, Streaming};

use crate::ingress;
use crate::node::Node;

/// Bytes of items in one log entry: far below the entry's limit, so that a follower's apply is never long.
const PART_BYTES_MAX: usize = 128 * 1024;
/// Items in one log entry.
const PART_COUNT_MAX: usize = 512;
/// Log entries of one request under way at a time.
const PARTS_UNDER_WAY: usize = 4;
const _: () = assert!(PART_BYTES_MAX * 2 < carnet_domain::machine::entry::ENTRY_BYTES_MAX);

/// Reads the whole request, judges it, and answers part by part in order.
///
/// # Errors
/// Malformed, too large, not allowed, or a signature that does not verify: then nothing was proposed.
pub async fn submit(
    node: Arc<Node>,
    caller: VerifiedClient,
    mut stream: Streaming<pb::BulkRequest>,
) -> Result<impl Stream<Item = Result<pb::BulkResponse, Status>> + Send + use<>, ApiError> {
    let mut head: Option<(Bytes, Bytes)> = None;
    let mut items: Vec<Blob> = Vec::new();
    let mut size = 0;
    let lost = |status: Status| ApiError::DidNotHappen {
        text: format!("the request broke off: {}", status.message()),
    };
    while let Some(message) = stream.message().await.map_err(lost)? {
        if head.is_none() {
            head = Some((message.header, message.signature));
        }
        for item in message.items {
            size += item.len();
            items.push(Blob(item.to_vec()));
        }
        if BULK_BYTES_MAX < size || (ITEMS_MAX as usize) < items.len() {
            return Err(ApiError::TooLarge {
                text: format!(
                    "more than {ITEMS_MAX} items or {BULK_BYTES_MAX} bytes in one bulk request"
                ),
            });
        }
    }
    let (header_bytes, signature) =
        head.ok_or_else(|| ApiError::invalid("header", "the request is empty"))?;
    let signature = convert::signature("signature", &signature)?;
    let header = ingress::header(&caller, &header_bytes)?;
    if header.item_count as usize != items.len() {
        return Err(ApiError::invalid(
            "items",
            format!(
                "{} items, the header says {}",
                items.len(),
                header.item_count
            ),
        ));
    }
    let subject = caller.name().to_string();
    let parts = parts(&header_bytes, signature, items);
    if let Some(first) = parts.first() {
        ingress::verify(&node, &caller, &header, first)?;
    }
    Ok(stream::iter(parts)
        .map(move |part| {
            let node = Arc::clone(&node);
            let subject = subject.clone();
            async move {
                let first_item = part.first_item;
                let committed = node
                    .propose(Body::Actor {
                        subject,
                        request: part,
                    })
                    .await
                    .map_err(|error| error.to_status())?;
                let position = Some(node.position(committed.log_index));
                Ok(pb::BulkResponse {
                    first_item,
                    answer: committed.bytes,
                    position,
                })
            }
        })
        .buffered(PARTS_UNDER_WAY))
}

/// Cuts items into parts, each with the proof that it stands at its place under the signed root.
fn parts(
    header: &[u8],
    signature: carnet_domain::bytes::signature::Signature,
    items: Vec<Blob>,
) -> Vec<Request> {
    let hashes: Vec<Digest> = items.iter().map(|item| leaf_bytes_hash(&item.0)).collect();
    let tree = Levels::of(&hashes);
    let total = hashes.len() as u64;
    let mut out = Vec::new();
    let mut rest = items.into_iter().peekable();
    let mut first = 0u64;
    while rest.peek().is_some() {
        let mut part = Vec::new();
        let mut size = 0;
        while let Some(next) = rest.peek() {
            if !part.is_empty()
                && (PART_BYTES_MAX < size + next.0.len() || part.len() == PART_COUNT_MAX)
            {
                break;
            }
            size += next.0.len();
            part.extend(rest.next());
        }
        let count = part.len() as u64;
        let Ok(range_proof) = range_proof(&tree, first, count, total);
        out.push(Request {
            header: Blob(header.to_vec()),
            signature,
            first_item: u32::try_from(first).unwrap_or(u32::MAX),
            items: part,
            range_proof,
        });
        first += count;
    }
    out
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
    use carnet_domain::bytes::signature::Signature;
    use carnet_domain::log::authority::item_root;
    use carnet_domain::log::merkle::verify_range;

    #[test]
    fn every_part_stands_under_the_signed_root() {
        let items: Vec<Blob> = (0..1_500u32)
            .map(|n| Blob(vec![0x1a, 0, 1, (n >> 8) as u8, n as u8]))
            .collect();
        let root = item_root(items.iter().map(|item| item.0.as_slice()));
        let parts = parts(b"header", Signature([0; 64]), items.clone());
        assert_eq!(
            parts.iter().map(|part| part.items.len()).sum::<usize>(),
            items.len()
        );
        assert!(1 < parts.len());
        for part in parts {
            let hashes: Vec<Digest> = part
                .items
                .iter()
                .map(|item| leaf_bytes_hash(&item.0))
                .collect();
            verify_range(
                &hashes,
                u64::from(part.first_item),
                1_500,
                &part.range_proof,
                &root,
            )
            .expect("a part of the whole");
        }
    }
}
