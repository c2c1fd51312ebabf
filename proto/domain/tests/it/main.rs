//! The byte formats: one value has one byte string, every flipped byte is refused, published vectors do not move.

mod arrival;
mod authority;
mod border;
mod bounds;
mod canonical;
mod catalog;
mod checkpoint;
mod clocks;
mod code;
mod entries;
mod envelope;
mod leaf;
mod levels;
mod limits;
mod mail;
mod map;
mod merkle;
mod meter;
mod passport;
mod rules;
mod signature;
mod skip;
mod time;
mod values;
mod vectors;
mod walk;
