//! Voters whose disks are nearly full, as the leader learns of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carnet_consensus::{DiskSpace, Role, Room, Settings, Space, SpaceProbe};

use crate::cluster::{Cluster, PATIENCE};

/// Bytes free, by node.
static FREE: [AtomicU64; 4] = [const { AtomicU64::new(1000) }; 4];
const WATERMARK: u64 = 100;

struct Fake(u64);

impl DiskSpace for Fake {
    fn read(&self) -> Result<Space, String> {
        Ok(Space {
            free_bytes: FREE[self.0 as usize].load(Ordering::SeqCst),
            watermark_bytes: WATERMARK,
            path: format!("/data/{}", self.0),
        })
    }
}

fn with_disks(settings: &mut Settings) {
    settings.keep_interval = Duration::from_millis(50);
    settings.space = SpaceProbe::new(Arc::new(Fake(settings.node)));
}

fn set(node: u64, free: u64) {
    FREE[node as usize].store(free, Ordering::SeqCst);
}

/// What the node knows about room, once it is as wished.
async fn known(cluster: &Cluster, node: u64, wished: impl Fn(&Room) -> bool) -> Room {
    let mut room = cluster.handle(node).room();
    let seen = tokio::time::timeout(PATIENCE, room.wait_for(wished)).await;
    seen.expect("in time").expect("the node runs").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_refuses_load_while_voters_with_room_are_no_quorum() {
    let cluster = Cluster::founded(3, with_disks).await;
    cluster.put("a", "1").await;
    let leader = cluster.leader().await;
    let followers: Vec<u64> = cluster.followers(leader).into_iter().collect();

    set(followers[0], 7);
    let room = known(&cluster, leader, |room| !room.low.is_empty()).await;
    assert_eq!(room.refusal, None, "the others are a quorum");
    assert!(room.low.contains_key(&followers[0]), "{room:?}");
    known(&cluster, followers[0], |room| {
        room.own.as_ref().is_some_and(Space::is_low)
    })
    .await;

    set(followers[1], 8);
    let room = known(&cluster, leader, |room| room.refusal.is_some()).await;
    let why = room.refusal.expect("it was waited for");
    for node in &followers {
        let named = format!("node {node}: 0.0 MiB free on /data/{node}, below the watermark");
        assert!(why.contains(&named), "{why}");
    }
    // What is proposed all the same is written: only load is refused, by whoever proposes it.
    cluster.put("a", "2").await;

    set(followers[0], 1000);
    let room = known(&cluster, leader, |room| room.refusal.is_none()).await;
    assert!(!room.low.contains_key(&followers[0]), "{room:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_is_nearly_full_hands_over_to_a_voter_with_room() {
    let cluster = Cluster::founded(3, with_disks).await;
    cluster.put("a", "1").await;
    let leader = cluster.leader().await;
    let followers: Vec<u64> = cluster.followers(leader).into_iter().collect();
    set(leader, 7);
    set(followers[0], 8);
    // One voter alone has room.
    cluster.leader_of(followers[1]).await;
    // With all of them low, nobody does better: it stays where it is.
    set(followers[1], 9);
    known(&cluster, followers[1], |room| room.low.len() == 3).await;
    let status = cluster.handle(followers[1]).status();
    assert_eq!(status.standing.role, Role::Leader, "{status:?}");
    for node in 1..=3 {
        set(node, 1000);
    }
    cluster.put("a", "2").await;
}
