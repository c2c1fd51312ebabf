//! Ports on loopback that one demo has for itself: every node is started again on the ports it had.
//!
//! A range is marked by a socket that is held on its first port, so two demos never share one. Ranges are below those
//! that the kernel gives to outgoing connections, one of which could take a port while its node is down.

use std::net::{Ipv4Addr, TcpListener};

use rand::Rng;

/// The countries: prefix, alpha-2, name.
pub(super) const COUNTRIES: [(&str, &str, &str); 3] = [
    ("86", "CN", "China"),
    ("49", "DE", "Germany"),
    ("81", "JP", "Japan"),
];
/// Nodes of a country.
pub(super) const NODES: u16 = 3;
/// Ports between the first ones of two countries.
const COUNTRY_STRIDE: u16 = 100;
/// Ports between the first ones of two nodes.
const NODE_STRIDE: u16 = 10;
/// Planes of a node: 1 raft, 2 client, 3 admin, 4 federation.
const PLANES: u16 = 4;
/// First port of the first range that is tried.
const RANGES_FROM: u16 = 20_000;
/// Ports from the first of a range to the first of the next.
const RANGE_STRIDE: u16 = 300;
/// Ranges there are: the last ends below 32,768, where Linux begins with outgoing connections.
const RANGES: u16 = 42;

const _: () = assert!(COUNTRIES.len() as u16 * COUNTRY_STRIDE <= RANGE_STRIDE);
const _: () = assert!(RANGES_FROM + RANGES * RANGE_STRIDE <= 32_768);

/// A range of ports, held while this lives.
#[derive(Debug)]
pub(super) struct Ports {
    first: u16,
    _mark: TcpListener,
}

impl Ports {
    /// The range from this port on.
    ///
    /// # Errors
    /// Which of its ports is in use, or that they do not exist.
    pub(super) fn from(first: u16) -> Result<Self, String> {
        if first.checked_add(RANGE_STRIDE).is_none() {
            return Err(format!(
                "there are no {RANGE_STRIDE} ports from {first} on: choose another with --port"
            ));
        }
        let in_use =
            |port: u16| format!("port {port} is in use: choose another with --port, or none");
        let mark = listen(first).ok_or_else(|| in_use(first))?;
        let ports = Self { first, _mark: mark };
        let taken = ports.all().find(|port| listen(*port).is_none());
        match taken {
            Some(port) => Err(in_use(port)),
            None => Ok(ports),
        }
    }

    /// A range of which every port is free.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn free() -> Result<Self, String> {
        let from = rand::rng().random_range(0..RANGES);
        (0..RANGES)
            .map(|step| RANGES_FROM + (from + step) % RANGES * RANGE_STRIDE)
            .find_map(|first| Self::from(first).ok())
            .ok_or_else(|| {
                format!(
                    "in each of {RANGES} ranges of ports from {RANGES_FROM} on a port is in use: choose one with --port"
                )
            })
    }

    /// Port of a node of a country (counted from 0) on a plane.
    pub(super) fn of(&self, country: usize, node: u16, plane: u16) -> u16 {
        let country = u16::try_from(country).expect("invariant: a demo has few countries");
        self.first + country * COUNTRY_STRIDE + node * NODE_STRIDE + plane
    }

    fn all(&self) -> impl Iterator<Item = u16> {
        (0..COUNTRIES.len())
            .flat_map(|country| (1..=NODES).map(move |node| (country, node)))
            .flat_map(|(country, node)| (1..=PLANES).map(move |plane| (country, node, plane)))
            .map(|(country, node, plane)| self.of(country, node, plane))
    }
}

/// A socket on a port, if nobody else has one.
fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_demos_have_no_port_in_common() {
        let ranges: Vec<Ports> = (0..5).map(|_| Ports::free().expect("a range")).collect();
        let all: Vec<u16> = ranges.iter().flat_map(Ports::all).collect();
        let distinct: BTreeSet<&u16> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(
            all.len(),
            ranges.len() * COUNTRIES.len() * usize::from(NODES * PLANES)
        );
    }

    #[test]
    fn a_port_in_use_is_named() {
        let range = Ports::free().expect("a range");
        let first = range.first;
        let taken = range.of(2, 3, 4);
        let other = listen(taken).expect("it was free");
        drop(range);
        let told = Ports::from(first).expect_err("one port is in use");
        assert_eq!(
            told,
            format!("port {taken} is in use: choose another with --port, or none")
        );
        drop(other);
        let again = Ports::from(first).expect("all are free");
        let told = Ports::from(again.first).expect_err("another demo has it");
        assert!(
            told.starts_with(&format!("port {first} is in use")),
            "{told}"
        );
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        assert!(Ports::from(65_500).is_err());
    }
}
