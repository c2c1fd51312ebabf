//! The Raft plane against somebody who holds the certificate of a node that was removed, and against that node itself.

use std::path::PathBuf;
use std::sync::Arc;

use carnet_client::admin::{Fewest, VotersWanted};
use carnet_client::tls::{ClientTls, ExpectedServer, NodeId, Plane};
use carnet_client::wall_time;
use carnet_cluster::Broken;
use carnet_cluster::jurisdiction::{Jurisdiction, Plan};
use carnet_cluster::patience::until;
use carnet_cluster::programs;
use carnet_cluster::run::{Least, Run};
use carnet_cluster::workload::LoadPlan;
use carnet_wire::raft::v1::Envelope;
use carnet_wire::raft::v1::raft_client::RaftClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::faults::hold;

/// The exit code of `carnetd` for a store that may not take part.
const REFUSED: i32 = 4;
/// The longest an operator waits for a change of the cluster.
const PATIENT: std::time::Duration = std::time::Duration::from_secs(60);

/// Speaks the Raft plane with the certificate of one node to another.
struct Speaker {
    from: u64,
    to: u64,
    cluster: Vec<u8>,
    channel: Channel,
}

impl Speaker {
    fn new(registry: &Jurisdiction, cluster: &[u8], from: u64, to: u64) -> Result<Speaker, Broken> {
        let file = |ending: &str| -> PathBuf {
            registry.pki().join(format!("nodes/{from}/raft.{ending}"))
        };
        let roots = registry.pki().join("root/roots.crt");
        let tls = ClientTls::from_files(&roots, &file("crt"), &file("key"), Arc::new(wall_time))
            .map_err(Broken::at("certificate of the removed node"))?;
        let expected = ExpectedServer {
            prefix: registry.prefix(),
            plane: Plane::Raft,
            node: NodeId::new(to),
        };
        let channel = tls
            .channel(&registry.member(to).raft_address, expected)
            .map_err(Broken::at("channel to a Raft plane"))?;
        Ok(Speaker {
            from,
            to,
            cluster: cluster.to_vec(),
            channel,
        })
    }

    fn envelope(&self, body: Vec<u8>) -> Envelope {
        Envelope {
            group: 0,
            from: self.from,
            to: self.to,
            cluster: self.cluster.clone().into(),
            version: 1,
            body: body.into(),
            // Any store: a node id that left is never used again.
            store: vec![0xee; 16].into(),
            to_store: Vec::new().into(),
            start: 1,
            nonce: 1,
        }
    }

    /// A vote of this node as leader or candidate, in the layout of the wire.
    fn vote(&self, term: u64, committed: bool) -> Vec<u8> {
        let committed = [u8::from(committed)];
        [
            &term.to_be_bytes()[..],
            &self.from.to_be_bytes(),
            &committed,
        ]
        .concat()
    }

    /// An append without records.
    async fn append(&self, term: u64) -> Result<(), Status> {
        let body = [&self.vote(term, true)[..], &[0, 0], &[0; 4]].concat();
        let frames = tonic::codegen::tokio_stream::iter([self.envelope(body)]);
        let mut client = RaftClient::new(self.channel.clone());
        let mut answers = client.stream_append(frames).await?.into_inner();
        answers.message().await.map(|_| ())
    }

    async fn ask_for_a_vote(&self, term: u64) -> Result<(), Status> {
        let last = [
            &[1][..],
            &term.to_be_bytes(),
            &self.from.to_be_bytes(),
            &(1_u64 << 40).to_be_bytes(),
        ];
        let body = [&self.vote(term, false)[..], &last.concat(), &[1]].concat();
        let mut client = RaftClient::new(self.channel.clone());
        client.vote(self.envelope(body)).await.map(|_| ())
    }

    async fn forward(&self) -> Result<(), Status> {
        let mut client = RaftClient::new(self.channel.clone());
        client.forward(self.envelope(vec![0; 8])).await.map(|_| ())
    }
}

fn refused(what: &str, outcome: Result<(), Status>, words: &str) {
    match outcome {
        Err(status) if status.message().contains(words) => {
            assert_eq!(status.code(), Code::PermissionDenied, "{what}: {status:?}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

/// Once, a removed node's certificate was obeyed as leader: it moved log time to the year 9999.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_refused_with_its_certificate_and_with_its_old_disk() -> Result<(), Broken>
{
    let name = "a_removed_node_is_refused_with_its_certificate_and_with_its_old_disk";
    let Some(programs) = programs(name) else {
        return Ok(());
    };
    let mut run = Run::start(&programs, Plan::of("XA"), LoadPlan::default()).await?;
    let away = run.kill_follower().await?;
    run.answers(50).await?;
    let stay = run.registry.running();
    let admin = run.registry.admin(&stay, PATIENT)?;
    admin
        .change_members(VotersWanted {
            voters: stay.clone(),
            retire: vec![away],
            fewest: Fewest::Any,
        })
        .await
        .map_err(Broken::at("change members"))?;
    let registry = &run.registry;
    until("the removal is applied everywhere", || async {
        for id in &stay {
            let status = registry.status(*id).await.map_err(|e| e.to_string())?;
            if status.members.len() != stay.len() || status.applied != status.last_log {
                return Err(format!("{status:?}"));
            }
        }
        Ok(())
    })
    .await?;
    for id in &stay {
        let before = run.registry.status(*id).await?;
        let speaker = Speaker::new(&run.registry, &before.cluster, away, *id)?;
        for term in [1, before.term, before.term + 1, before.term + 1000] {
            let words = format!("node {away} was retired");
            refused("append", speaker.append(term).await, &words);
            refused("vote", speaker.ask_for_a_vote(term).await, &words);
            refused("forward", speaker.forward().await, &words);
        }
        for outcome in [
            speaker.append(u64::MAX).await,
            speaker.ask_for_a_vote(u64::MAX).await,
        ] {
            assert!(outcome.is_err(), "a term without a next one: {outcome:?}");
        }
        let after = run.registry.status(*id).await?;
        assert_eq!((before.term, before.leader), (after.term, after.leader));
    }
    // The node itself, on the disk it had: it is told why and ends for good.
    run.registry.start_node(away)?;
    let code = run.registry.exit_code(away).await?;
    let said = run.registry.log_end(away);
    assert_eq!(code, Some(REFUSED), "{said}");
    assert!(said.contains("was retired"), "{said}");
    run.answers(100).await?;
    hold(&run.judge(Least::of("kill follower", 1)).await?);
    Ok(())
}
