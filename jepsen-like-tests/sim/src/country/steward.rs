//! The administrator of a simulated country: hands leadership over, has snapshots taken, and replaces a node by a new one, in the
//! middle of faults.

use std::sync::Arc;
use std::time::Duration;

use carnet_domain::machine::entry::ItemAnswer;
use carnet_domain::record::offices::MembersChange;
use carnet_domain::rules::command::Command;
use carnet_trust::identity::Plane;
use carnet_wire::admin::v1 as pb;
use carnet_wire::admin::v1::admin_client::AdminClient;
use tonic::transport::Channel;

use crate::country::books::Books;
use crate::country::clerk::{Clerk, Person, Who};
use crate::country::drawn::Drawn;
use crate::country::ground::{ADMIN, CLIENT, Ground, RAFT, host};
use crate::history::Shared;
use crate::random::Random;

#[derive(Clone)]
pub(crate) struct Steward {
    pub(crate) ground: Arc<Ground>,
    pub(crate) books: Books,
    pub(crate) history: Shared,
    pub(crate) drawn: Drawn,
}

impl Steward {
    /// Works until the simulation is closing. What is refused or lost is tried no more: the next thing comes soon.
    pub(crate) async fn work(self) -> turmoil::Result {
        let mut random = Random::new(self.drawn.seed, 400);
        let uri = format!("carnet://{}/admin/hq/steward", self.ground.kit.prefix);
        let person = Person::new(&self.ground, &uri, Plane::Admin, ADMIN)?;
        let channels: Result<Vec<Channel>, _> = (1..=self.ground.nodes)
            .map(|node| person.channel(node))
            .collect();
        let channels = channels?;
        while 0 < self.ground.script.left() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Some(leaver) = self.drawn.leaver {
            pause(&mut random, 500, 8_000).await;
            self.replace(&channels, leaver, &mut random).await?;
        }
        while !self.history.lock().closing {
            pause(&mut random, 300, 3_000).await;
            let (_, mut admin) = any(&channels, &mut random);
            let did = if random.between(0, 2) == 0 {
                let snapshot = admin.take_snapshot(pb::TakeSnapshotRequest {}).await;
                snapshot.map(|_| "a snapshot".to_owned())
            } else {
                let to = random.between(1, self.ground.nodes + 1);
                let request = pb::TransferLeadershipRequest { to };
                let handed = admin.transfer_leadership(request).await;
                handed.map(|handed| format!("node {} leads now", handed.into_inner().leader))
            };
            if let Ok(what) = did {
                self.books.stewarded();
                self.history.note(format!("{uri}: {what}"));
            }
        }
        std::future::pending::<()>().await;
        Ok(())
    }

    /// Has the newest node take the place of another, until it is so.
    async fn replace(
        &self,
        channels: &[Channel],
        leaver: u64,
        random: &mut Random,
    ) -> turmoil::Result {
        let joiner = self.ground.nodes;
        let voters: Vec<u64> = (1..=joiner).filter(|node| *node != leaver).collect();
        let at = host(&self.ground.kit, joiner);
        let member = pb::Member {
            node: joiner,
            raft_address: format!("{at}:{RAFT}"),
            client_address: format!("{at}:{CLIENT}"),
        };
        self.ground.leaves(leaver);
        self.agree(&voters, leaver).await?;
        loop {
            let (node, mut admin) = any(channels, random);
            let added = pb::AddLearnerRequest {
                member: Some(member.clone()),
            };
            let changed = pb::ChangeMembersRequest {
                voters: voters.clone(),
                retire: vec![leaver],
                fewer_than_three: false,
            };
            // Either may have been done before, unheard.
            let _ = admin.add_learner(added).await;
            let _ = admin.change_members(changed).await;
            let status = admin
                .get_status(pb::GetStatusRequest { with_digest: false })
                .await;
            if let Ok(status) = status
                && node != leaver
                && status.get_ref().voters == voters
            {
                break;
            }
            pause(random, 100, 600).await;
        }
        self.books.lock().replaced = true;
        let line = format!("node {joiner} has the place of node {leaver}");
        self.history.note(line);
        Ok(())
    }

    /// Two admins say that a node leaves for good: the country is none for trying out.
    async fn agree(&self, voters: &[u64], leaver: u64) -> turmoil::Result {
        for (key, stream) in [("admin", 401), ("admin-2", 402)] {
            let who = Who {
                key,
                uri: format!("carnet://{}/admin/hq/{key}", self.ground.kit.prefix),
            };
            let (books, history) = (self.books.clone(), self.history.clone());
            let random = Random::new(self.drawn.seed, stream);
            let ground = Arc::clone(&self.ground);
            let mut clerk = Clerk::begin(ground, who, books, history, random).await?;
            let change = MembersChange {
                voters: voters.to_vec(),
                retire: vec![leaver],
            };
            let reason = "its disk is gone".to_owned();
            let told = clerk.execute(Command::ChangeMembers { change, reason }, false);
            let told = told.await;
            if !matches!(clerk.judge(&told), Some(ItemAnswer::Done { .. })) {
                clerk.violated("its word about a node that leaves was not taken");
            }
        }
        Ok(())
    }
}

/// One of the nodes.
fn any(channels: &[Channel], random: &mut Random) -> (u64, AdminClient<Channel>) {
    let at = random.between(0, channels.len() as u64);
    (at + 1, AdminClient::new(channels[at as usize].clone()))
}

async fn pause(random: &mut Random, from_ms: u64, to_ms: u64) {
    tokio::time::sleep(Duration::from_millis(random.between(from_ms, to_ms))).await;
}
