//! Addresses on the loopback device that nobody else has.
//!
//! Every jurisdiction gets a network of its own, 127.x.y.0/24, and every node an address in it with fixed ports. Ports
//! picked from those the kernel calls free would be lost again: while a node is down, an outgoing connection may be given
//! its port, or connect to itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use rand::Rng;

use crate::patience::Broken;

/// Port of the Raft plane on every node's address.
pub const RAFT_PORT: u16 = 7101;
/// Port of the client plane.
pub const CLIENT_PORT: u16 = 7102;
/// Port of the admin plane.
pub const ADMIN_PORT: u16 = 7103;
/// Port of the federation plane.
pub const FEDERATION_PORT: u16 = 7104;

/// How many networks are tried.
const TRIES_MAX: u32 = 100;

/// A network 127.x.y.0/24, held while this lives.
#[derive(Debug)]
pub struct Network {
    first: [u8; 3],
    _held: TcpListener,
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
            let mark = address(first, 254, RAFT_PORT);
            if let Ok(held) = TcpListener::bind(mark) {
                return Ok(Self { first, _held: held });
            }
        }
        Err(Broken::new("no network in 127.0.0.0/8 is free"))
    }

    /// The address of a node on a plane.
    pub fn of(&self, node: u8, port: u16) -> SocketAddr {
        address(self.first, node, port)
    }
}

fn address([a, b, c]: [u8; 3], d: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

#[cfg(test)]
mod tests {
    use super::*;

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
