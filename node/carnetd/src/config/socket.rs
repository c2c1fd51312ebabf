//! An address to listen on: an IP address with a port, or `localhost` with one.
//!
//! Other names are refused: what they stand for is known to the network, which a configuration is judged without.

use std::net::{Ipv4Addr, SocketAddr};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(value: &SocketAddr, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn parse(text: &str) -> Result<SocketAddr, String> {
    let port = |host: &str| {
        text.strip_prefix(host)?
            .strip_prefix(':')?
            .parse::<u16>()
            .ok()
    };
    if let Some(port) = port("localhost") {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        format!("{text:?}: an address to listen on is an IP address or localhost with a port, as 10.0.0.1:7101")
    })
}

/// The same where there may be none.
pub(super) mod maybe {
    use super::{Deserialize, Deserializer, Error, Serializer, SocketAddr, parse};

    pub(in crate::config) fn serialize<S: Serializer>(
        value: &Option<SocketAddr>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        parse(&String::deserialize(from)?)
            .map(Some)
            .map_err(D::Error::custom)
    }
}
