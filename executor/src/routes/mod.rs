//! Cuts the container off from what it must not reach, by routes that lead nowhere: the host's
//! instance metadata, and the neighbours on a network that is not for it alone.
//!
//! The routes are in the container's own network namespace, so that they cost no rule on the host
//! and go with the container; without `CAP_NET_ADMIN` nobody in it can take them back.

mod netlink;
mod table;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink::{Way, add_route};
use table::Table;

/// The addresses at which EC2 serves instance metadata.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// One address.
    fn host(address: IpAddr) -> Self {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Self { address, bits }
    }

    /// Its two halves; none for a single address.
    fn halves(self) -> Option<[Self; 2]> {
        let whole = Self::host(self.address).bits;
        if self.bits >= whole {
            return None;
        }
        let bits = self.bits + 1;
        let upper = match self.address {
            IpAddr::V4(address) => {
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() | 1 << (whole - bits)))
            }
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() | 1 << (whole - bits)))
            }
        };
        Some([self.address, upper].map(|address| Self { address, bits }))
    }
}

/// Adds the routes. Where there is no network of a kind, none is needed.
pub(crate) fn cut_off_instance_metadata() -> io::Result<()> {
    for address in METADATA {
        let added = add_route(Network::host(address), Way::Unreachable);
        if Table::read(address.is_ipv4())?.has_interface() {
            added?;
        }
    }
    Ok(())
}

/// Leaves of every network the container is directly on nothing but the way out of it. The halves
/// of a network are more specific than the kernel's own route to the whole and win over it.
pub(crate) fn cut_off_neighbours() -> io::Result<()> {
    for is_ipv4 in [true, false] {
        let table = Table::read(is_ipv4)?;
        for (gateway, interface) in table.gateways() {
            add_route(Network::host(gateway), Way::Interface(interface))?;
        }
        for network in table.connected() {
            for half in network.halves().into_iter().flatten() {
                add_route(half, Way::Unreachable)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_network_are_the_whole_of_it() {
        let network = |text: &str, bits| Network {
            address: text.parse().unwrap(),
            bits,
        };
        assert_eq!(
            network("172.17.0.0", 16).halves().unwrap(),
            [network("172.17.0.0", 17), network("172.17.128.0", 17)]
        );
        assert_eq!(
            network("fe80::", 64).halves().unwrap(),
            [network("fe80::", 65), network("fe80::8000:0:0:0", 65)]
        );
        assert_eq!(network("10.0.0.1", 32).halves(), None);
    }
}
