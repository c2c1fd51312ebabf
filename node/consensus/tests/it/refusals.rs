//! What a node refuses on the Raft plane.

use bytes::{BufMut, Bytes, BytesMut};
use carnet_wire::raft::v1::Envelope;
use carnet_wire::raft::v1::raft_client::RaftClient;
use tonic::{Code, Status};

use crate::cluster::{CLUSTER, Cluster, store};

/// A vote request, a thousand terms ahead, in the layout of the wire.
fn vote_for(candidate: u64) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u64(1000);
    body.put_u64(candidate);
    body.put_u8(0);
    body.put_u8(0);
    body.put_u8(0);
    body.freeze()
}

fn envelope(from: u64, to: u64, body: Bytes) -> Envelope {
    Envelope {
        group: 0,
        from,
        to,
        cluster: Bytes::from_static(&CLUSTER),
        version: 1,
        body,
        store: Bytes::copy_from_slice(&store(from).0),
        to_store: Bytes::new(),
        start: 1,
        nonce: 1,
    }
}

/// Sends a vote to node 1 of a fresh cluster as the node that `proven` proves to be; says how it was refused.
async fn refusal(proven: u64, envelope: Envelope) -> Code {
    let cluster = Cluster::founded(1, |_| ()).await;
    cluster.leader().await;
    let before = cluster.handle(1).status().standing.term;
    let outcome = RaftClient::new(cluster.channel(proven, 1))
        .vote(envelope)
        .await;
    let after = cluster.handle(1).status().standing.term;
    assert_eq!(before, after, "a refused vote changes no term");
    outcome
        .map(|_| ())
        .map_err(|status: Status| status.code())
        .expect_err("refused")
}

#[tokio::test]
async fn a_vote_for_somebody_else_is_refused() {
    assert_eq!(
        refusal(2, envelope(2, 1, vote_for(3))).await,
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn a_sender_that_is_not_the_node_of_the_connection_is_refused() {
    assert_eq!(
        refusal(3, envelope(2, 1, vote_for(2))).await,
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn another_cluster_is_refused() {
    let mut stranger = envelope(2, 1, vote_for(2));
    stranger.cluster = Bytes::from_static(b"another cluster!");
    assert_eq!(refusal(2, stranger).await, Code::FailedPrecondition);
}

#[tokio::test]
async fn another_group_is_refused() {
    let stranger = Envelope {
        group: 5,
        ..envelope(2, 1, vote_for(2))
    };
    assert_eq!(refusal(2, stranger).await, Code::FailedPrecondition);
}

#[tokio::test]
async fn a_message_for_another_node_is_refused() {
    assert_eq!(
        refusal(2, envelope(2, 7, vote_for(2))).await,
        Code::FailedPrecondition
    );
}

#[tokio::test]
async fn a_newer_layout_is_refused() {
    let newer = Envelope {
        version: 2,
        ..envelope(2, 1, vote_for(2))
    };
    assert_eq!(refusal(2, newer).await, Code::Unimplemented);
}

#[tokio::test]
async fn a_body_with_trailing_bytes_is_refused() {
    let mut longer = BytesMut::from(&vote_for(2)[..]);
    longer.put_u8(0);
    assert_eq!(
        refusal(2, envelope(2, 1, longer.freeze())).await,
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn an_append_stream_ends_at_the_first_frame_that_cannot_be_read() {
    let cluster = Cluster::founded(1, |_| ()).await;
    cluster.leader().await;
    let frames = [
        envelope(2, 1, Bytes::from_static(b"nonsense")),
        envelope(2, 1, Bytes::new()),
    ];
    let answers = RaftClient::new(cluster.channel(2, 1))
        .stream_append(tokio_stream::iter(frames))
        .await;
    let mut answers = answers.expect("opened").into_inner();
    assert_eq!(
        answers
            .message()
            .await
            .map_err(|status| status.code())
            .map(|_| ()),
        Err(Code::InvalidArgument)
    );
    assert!(
        matches!(answers.message().await, Ok(None)),
        "nothing comes after it"
    );
}

#[tokio::test]
async fn an_append_in_another_leaders_name_is_refused() {
    let cluster = Cluster::founded(1, |_| ()).await;
    cluster.leader().await;
    let mut body = BytesMut::new();
    body.put_u64(1000);
    body.put_u64(3);
    body.put_u8(1);
    body.put_u8(0);
    body.put_u8(0);
    body.put_u32(0);
    let frames = [envelope(2, 1, body.freeze())];
    let answers = RaftClient::new(cluster.channel(2, 1))
        .stream_append(tokio_stream::iter(frames))
        .await;
    let mut answers = answers.expect("opened").into_inner();
    assert_eq!(
        answers
            .message()
            .await
            .map_err(|status| status.code())
            .map(|_| ()),
        Err(Code::PermissionDenied)
    );
}
