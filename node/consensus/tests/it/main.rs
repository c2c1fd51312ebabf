//! Clusters over real loopback connections, logs and states in memory, identities as values instead of certificates.

mod clocks;
mod cluster;
mod compare;
mod failing_disk;
mod founding;
mod impostors;
mod liars;
mod members;
mod refusals;
mod replication;
mod room;
mod second_founding;
mod snapshots;
mod speaker;
mod standing_still;
mod taking_turns;
