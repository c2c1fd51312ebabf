//! Scenarios with real processes. Each starts its own cluster, breaks it under load, and is judged by the checkers.

mod actions;
mod attacks;
mod border;
mod catch_up;
mod certificates;
mod clocks;
mod crash_points;
mod custody;
mod data_directory;
mod disk_full;
mod diverged;
mod edge;
mod faults;
mod first_start;
mod links;
mod monitoring;
mod planted;
mod poisoned;
mod power;
mod process;
mod raft_plane;
mod rotation;
mod stacks;
mod starting;
mod storm;
