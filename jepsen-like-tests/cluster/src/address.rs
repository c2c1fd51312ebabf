//! Addresses on the loopback device that nobody else has.
//!
//! Every jurisdiction gets a network of its own, 127.x.y.0/24, with five ports, and every node an address in it. The ports
//! are below those that the kernel gives to outgoing connections: one of these could take a node's port while it is down,
//! or connect to itself. They are drawn, because a program that listens on every address of the machine has its port in
//! every network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use rand::Rng;

use crate::patience::Broken;

/// The Raft plane on every node's address, counted from the first port of the network.
pub const RAFT_PORT: u16 = 0;
/// The client plane.
pub const CLIENT_PORT: u16 = 1;
/// The admin plane.
pub const ADMIN_PORT: u16 = 2;
/// The federation plane.
pub const FEDERATION_PORT: u16 = 3;
/// The port for monitors.
pub const METRICS_PORT: u16 = 4;

/// Ports of a network.
const PORTS: u16 = 5;
/// First ports that are drawn from; Linux begins with outgoing connections at 32,768.
const FIRST_PORTS: std::ops::Range<u16> = 10_000..32_000;
/// How many networks are tried.
const TRIES_MAX: u32 = 100;

/// A network 127.x.y.0/24 and its ports, held while this lives.
#[derive(Debug)]
pub struct Network {
    first: [u8; 3],
    first_port: u16,
    _held: Vec<TcpListener>,
}

impl Network {
    /// Draws networks until one is free; its address .254 marks it as taken.
    ///
    /// # Errors
    /// None was free.
    pub fn draw() -> Result<Self, Broken> {
        let mut random = rand::rng();
        for _ in 0..TRIES_MAX {
            // 127.0 is everybody's.
            let first = [
                127,
                random.random_range(16..240),
                random.random_range(0..=255),
            ];
            let made = Self::at(first, random.random_range(FIRST_PORTS));
            if let Some(made) = made {
                return Ok(made);
            }
        }
        Err(Broken::new("no network in 127.0.0.0/8 is free"))
    }

    /// This network, if all its ports are free.
    fn at(first: [u8; 3], first_port: u16) -> Option<Self> {
        let marks = (first_port..first_port + PORTS)
            .map(|port| TcpListener::bind(address(first, 254, port)));
        Some(Self {
            first,
            first_port,
            _held: marks.collect::<Result<_, _>>().ok()?,
        })
    }

    /// The address of a node on a plane.
    pub fn of(&self, node: u8, plane: u16) -> SocketAddr {
        address(self.first, node, self.first_port + plane)
    }
}

fn address([a, b, c]: [u8; 3], d: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_everywhere_is_not_drawn() {
        let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let port = everywhere.local_addr().expect("an address").port();
        let with_it = port - (PORTS - 1);
        assert!(Network::at([127, 16, 0], with_it).is_none());
        drop(everywhere);
        assert!(Network::at([127, 16, 0], with_it).is_some());
    }

    #[test]
    fn two_networks_are_never_the_same() {
        let networks: Vec<Network> = (0..20)
            .map(|_| Network::draw().expect("a network"))
            .collect();
        let mut addresses: Vec<SocketAddr> = networks
            .iter()
            .map(|network| network.of(1, RAFT_PORT))
            .collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), networks.len());
    }
}
