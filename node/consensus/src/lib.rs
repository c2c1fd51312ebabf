//! openraft behind Carnet's own log, transport and state machine.
//!
//! A node gives [`Consensus::start`] its [`Settings`], a log ([`carnet_store::log::RaftLog`]), a state
//! ([`carnet_store::machine::StateMachine`]), a way to its peers ([`Connector`]) and a [`Clock`], and gets a [`Handle`]:
//!
//! * [`Handle::service`] is the Raft plane to serve; whoever accepts connections puts a [`PeerNode`] into each request.
//! * [`Handle::propose`] and [`Handle::propose_for`] write, on the leader; [`Handle::forward`] passes a request on to it, once.
//! * [`Handle::read_index`] makes reads of this node's own state linearizable, on the leader and on followers.
//! * [`Handle::initialize`], [`Handle::add_learner`], [`Handle::change_membership`], [`Handle::hand_over`].
//! * [`Handle::marks_of`] asks a peer for what its state was, and [`Ballots`] lays the answers side by side.
//! * [`Handle::clocks`], [`Handle::confirmed_time`]: what the voters' clocks read. A leader whose clock is off hands over, as
//!   does one that stands still, applies nothing or has a full disk while another voter does better.
//! * [`Handle::room`] says whether the leader takes load, or which disks are too full for it.
//! * [`Handle::status`], [`Handle::standing`], [`Handle::fatal`]: after a fatal error the process must exit.
//!
//! * [`Handle::stands_before`]: the record before which the state machine stands still; meanwhile the Raft plane goes on,
//!   and proposals and linearizable reads are refused by name.
//!
//! Proposals, answers and snapshots are opaque here: no rule, no certificate. No type of openraft leaves this crate, and
//! nothing on disk or wire has its encoding.

mod campaign;
mod clock;
mod codec;
mod compare;
mod confirming;
mod connector;
mod disk;
mod error;
mod fitness;
mod forward;
mod gate;
mod going_on;
mod handle;
mod keeper;
mod log_store;
mod member;
mod messages;
mod network;
mod pace;
mod plane;
pub mod pool;
mod proposals;
mod queue;
mod reads;
mod receiving;
mod refusals;
mod roster;
mod server;
mod settings;
mod space;
mod state_machine;
mod status;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tied;
mod timekeeper;
mod turns;
mod twins;
mod types;
mod work;

pub use clock::Clock;
pub use compare::{Ballots, Point, Verdict};
pub use connector::{ConnectError, Connector, PeerNode, Purpose};
pub use error::{AdminError, Fatal, ProposeError, ReadError, StartError};
pub use forward::{ForwardHandler, Forwarded};
pub use handle::{Consensus, Handle, Retired};
pub use member::Member;
pub use proposals::Proposed;
pub use queue::Behalf;
pub use reads::ReadPermit;
pub use server::RaftService;
pub use settings::Settings;
pub use space::{DiskSpace, Room, Space, SpaceProbe};
pub use status::{Role, Standing, Status};
pub use timekeeper::{ClockOffset, ClockVerdict, Clocks, ConfirmedTime, agreed, judge};
pub use turns::Turns;
pub use work::Work;
