//! What a country knows for a verdict, and what somebody with a log key can make: a log of his own in which any robot and any
//! model are in force.

use std::collections::BTreeMap;

use carnet_domain::bytes::digest::Digest;
use carnet_domain::bytes::encoding::{Blob, Canonical};
use carnet_domain::bytes::signature::SecretKey;
use carnet_domain::bytes::time::TimeMs;
use carnet_domain::log::checkpoint::{Checkpoint, Origin};
use carnet_domain::log::leaf::{Kind, LEAF_VERSION, Leaf, Subject, leaf_bytes_hash};
use carnet_domain::log::map::{self, MapProof, MapValue, PageMap};
use carnet_domain::log::merkle::{inclusion_proof, tree_root};
use carnet_domain::machine::entry::{ProvenHead, ProvenLeaf};
use carnet_domain::machine::standing_now;
use carnet_domain::record::ledger::Ledger;
use carnet_domain::record::{ApprovalStatus, Ends, EnterpriseStatus};
use carnet_trust::evidence::{Evidence, Frame, ModelProof, RobotProof};
use carnet_trust::known::{
    Doubt, Ending, Known, KnownHead, KnownMaker, KnownModel, KnownRecall, KnownRegistry,
    KnownRobot, Source,
};

use crate::Country;

/// Evidence like the one given, out of a log of two leaves that `key` signed for `country`.
///
/// # Panics
/// When the evidence given shows no robot or no model.
pub fn forged(country: &Country, key: &SecretKey, like: &Evidence, now: TimeMs) -> Evidence {
    let RobotProof::Present { proven, .. } = &like.robot else {
        unreachable!("it is registered");
    };
    let model = like.model.clone().expect("the model is shown");
    let leaf = Leaf::from_bytes(&proven.leaf.0).expect("a leaf");
    let value = MapValue {
        status: 1,
        seq: leaf.seq,
        leaf_index: 0,
        leaf_hash: leaf.hash(),
        facts: Digest::ZERO,
    };
    let model_key = Subject::model(&like.code.model_id()).key();
    let model_value = MapValue {
        status: 1,
        seq: 0,
        leaf_index: 0,
        leaf_hash: Digest::ZERO,
        facts: model.standing.digest(),
    };
    let changes = BTreeMap::from([
        (leaf.key, value.digest()),
        (model_key, model_value.digest()),
    ]);
    let (root, pages) =
        map::update(&PageMap::new(), &changes).unwrap_or_else(|_| unreachable!("in memory"));
    let pages: PageMap = pages.into_iter().collect();
    let proof = |key: &Digest| -> MapProof {
        map::prove(&pages, key).unwrap_or_else(|_| unreachable!("in memory"))
    };
    let origin = Origin {
        prefix: country.prefix,
        incarnation: 0,
    };
    let head = Leaf {
        version: LEAF_VERSION,
        kind: Kind::MapHead,
        key: Subject::map_head(&origin.prefix).key(),
        seq: 0,
        prev: Digest::ZERO,
        t_ms: now,
        record_root: root,
        auth: Digest::ZERO,
    };
    let leaves = [proven.leaf.0.clone(), head.to_bytes()];
    let hashes: Vec<Digest> = leaves.iter().map(|leaf| leaf_bytes_hash(leaf)).collect();
    let path = |index| {
        let Ok(path) = inclusion_proof(&hashes[..], index, 2);
        path
    };
    let checkpoint = Checkpoint {
        origin,
        size: 2,
        root: tree_root(&hashes),
    };
    Evidence {
        frame: Frame {
            version: like.frame.version,
            origin,
            checkpoint: checkpoint.sign(key).into_text(),
            map_head: ProvenHead {
                index: 1,
                leaf: Blob(leaves[1].clone()),
                path: path(1),
            },
            joined: None,
        },
        code: like.code,
        robot: RobotProof::Present {
            proven: ProvenLeaf {
                index: 0,
                path: path(0),
                ..proven.clone()
            },
            value,
            proof: proof(&leaf.key),
        },
        model: Some(ModelProof {
            standing: model.standing,
            value: model_value,
            proof: proof(&model_key),
        }),
        chain: Vec::new(),
    }
}

/// Everything that a country knows.
///
/// # Panics
/// Never: every peer has a prefix.
pub fn known(country: &Country) -> Known {
    let me = country.prefix;
    let mut known = Known::nothing(Source::Store, country.registry().log_time);
    let Ok(peers) = country.ledger.peers();
    for peer in peers {
        let head = (peer.size_seen > 0).then_some(KnownHead {
            size: peer.size_seen,
            root: peer.root_seen,
            time: peer.time_seen,
        });
        let forked = peer.quarantined.then_some(Doubt::Fork);
        let doubt = forked.or(peer.doubted);
        let primary = peer.bundle.primary().expect("a peer has a prefix");
        known
            .registries
            .insert(primary, KnownRegistry { head, doubt });
        known.agreements.extend(peer.agreements);
        known.suspended.extend(peer.suspended);
    }
    for robot in country.ledger.robots() {
        let key = Subject::robot(&robot.identity.code).key();
        let newest = KnownRobot::transfer_of(robot);
        let transfer = newest.and_then(|id| {
            let Ok(transfer) = country.ledger.transfer(&id);
            transfer
        });
        let row = KnownRobot::of(robot, transfer.as_ref(), &me);
        known.robots.insert(key, row);
        for identity in robot.identities().into_iter().chain([key]) {
            let Ok(ends) = country.ledger.ends(&identity);
            if let Some(ended) = ends.as_ref().and_then(Ends::shown) {
                known.robots.entry(identity).or_default().ended = Some(Ending::of(ended));
            }
        }
    }
    for recall in country.ledger.recalls() {
        if let Some((notice, models)) = recall.binding() {
            known.recalls.push(KnownRecall {
                notice: notice.clone(),
                models: models.to_vec(),
            });
        }
    }
    for model in country.ledger.models() {
        let Ok(standing) = standing_now(&country.ledger, model);
        let (id, approval, status) = (model.id, standing.approval, standing.enterprise);
        if approval != ApprovalStatus::Approved {
            known.models.push(KnownModel { id, approval });
        }
        let id = id.enterprise_id();
        let said = known.makers.iter().any(|maker| maker.id == id);
        if status != EnterpriseStatus::Active && !said {
            let Ok(maker) = country.ledger.enterprise(&id);
            let successor = maker.and_then(|maker| maker.successor);
            known.makers.push(KnownMaker {
                id,
                status,
                successor,
            });
        }
    }
    known
}
