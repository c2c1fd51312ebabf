//! The state engines from outside: one suite for both, then damage, crashes and refusals of the one on disk.

mod bench;

mod calls;
mod compare;
mod counted;
mod damage;
mod directory;
mod engines;
mod found;
mod home;
mod install;
mod levels;
mod load;
mod missing;
mod model;
mod poisoned;
mod refusals;
mod roots;
mod sessions;
mod together;
mod trail;
mod values;
mod voters;
