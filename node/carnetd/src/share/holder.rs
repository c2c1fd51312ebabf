//! Who a share belongs to: an address before a certificate is proven, a certificate after it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// An address as shares count it. One subscriber has a whole IPv6 /64, so it counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressKey {
    /// An IPv4 address, also when it came mapped into IPv6.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl AddressKey {
    /// An IPv4 address whole; of IPv6 the first 64 bits, which one customer has.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The network that it is in, as one registry hands them out: a /24, or a /48.
    pub fn network(self) -> Self {
        match self {
            Self::V4([a, b, c, _]) => Self::V4([a, b, c, 0]),
            Self::V6([a, b, c, d, e, f, ..]) => Self::V6([a, b, c, d, e, f, 0, 0]),
        }
    }
}

/// The name that a certificate proved, as shares count it: a client's or node's URI, a peer's jurisdiction.
///
/// A second certificate of the same name has no second share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder(Arc<str>);

impl Holder {
    /// The holder of this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address_and_a_mapped_ipv4_address_is_itself() {
        let key = |text: &str| AddressKey::of(text.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
        assert_ne!(key("192.0.2.7"), key("192.0.2.8"));
        let network = |text: &str| key(text).network();
        assert_eq!(network("192.0.2.7"), network("192.0.2.8"));
        assert_ne!(network("192.0.2.7"), network("192.0.3.7"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:2:2::1"));
    }
}
