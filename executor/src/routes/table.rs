//! The routes a network namespace starts with, as `/proc/net` shows them.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Network;

/// Flag of a route that leads through a gateway.
const VIA_GATEWAY: u32 = 0x2;

/// Flags of routes that lead to no link: rejected ones and the container's own addresses.
const NOT_A_LINK: u32 = 0x200 | 0x8000_0000;

/// The routes of one protocol, those of loopback and to groups left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    routes: Vec<Route>,
}

#[derive(Debug, PartialEq, Eq)]
struct Route {
    destination: Network,
    gateway: IpAddr,
    flags: u32,
    interface: String,
}

impl Table {
    /// Reads the table of IPv4 or IPv6; one that the kernel does not have is empty.
    pub(super) fn read(is_ipv4: bool) -> io::Result<Self> {
        let path = if is_ipv4 {
            "/proc/net/route"
        } else {
            "/proc/net/ipv6_route"
        };
        match fs::read_to_string(path) {
            Ok(text) if is_ipv4 => Ok(Self::parse(&text, ipv4_route)),
            Ok(text) => Ok(Self::parse(&text, ipv6_route)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str, route: fn(&[&str]) -> Option<Route>) -> Self {
        let routes = text.lines().filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            route(&columns).filter(|route| {
                route.interface != "lo" && !route.destination.address.is_multicast()
            })
        });
        Self {
            routes: routes.collect(),
        }
    }

    /// Whether packets can leave by any interface.
    pub(super) fn has_interface(&self) -> bool {
        self.routes
            .iter()
            .any(|route| route.flags & NOT_A_LINK == 0)
    }

    /// The gateways, with the indices of their interfaces.
    pub(super) fn gateways(&self) -> impl Iterator<Item = (IpAddr, u32)> {
        self.routes
            .iter()
            .filter(|route| route.flags & VIA_GATEWAY != 0 && route.flags & NOT_A_LINK == 0)
            .filter_map(|route| {
                let index = nix::net::if_::if_nametoindex(route.interface.as_str()).ok()?;
                Some((route.gateway, index))
            })
    }

    /// The networks whose members are reached without a gateway.
    pub(super) fn connected(&self) -> impl Iterator<Item = Network> {
        self.routes
            .iter()
            .filter(|route| route.flags & (VIA_GATEWAY | NOT_A_LINK) == 0)
            .map(|route| route.destination)
    }
}

/// A line of `/proc/net/route`: interface, destination, gateway, flags, …, mask as eighth column;
/// numbers in the machine's byte order, in hexadecimal.
fn ipv4_route(columns: &[&str]) -> Option<Route> {
    let [interface, destination, gateway, flags, _, _, _, mask, ..] = columns else {
        return None;
    };
    let address = |text: &str| {
        let number = u32::from_str_radix(text, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    Some(Route {
        destination: Network {
            address: IpAddr::V4(address(destination)?),
            bits: u8::try_from(address(mask)?.to_bits().count_ones()).ok()?,
        },
        gateway: IpAddr::V4(address(gateway)?),
        flags: u32::from_str_radix(flags, 16).ok()?,
        interface: (*interface).to_owned(),
    })
}

/// A line of `/proc/net/ipv6_route`: destination, its bits, source, its bits, gateway, …, flags,
/// interface as tenth column.
fn ipv6_route(columns: &[&str]) -> Option<Route> {
    let [destination, bits, _, _, gateway, _, _, _, flags, interface] = columns else {
        return None;
    };
    let address = |text: &str| {
        let number = u128::from_str_radix(text, 16).ok()?;
        Some(IpAddr::V6(Ipv6Addr::from_bits(number)))
    };
    Some(Route {
        destination: Network {
            address: address(destination)?,
            bits: u8::from_str_radix(bits, 16).ok()?,
        },
        gateway: address(gateway)?,
        flags: u32::from_str_radix(flags, 16).ok()?,
        interface: (*interface).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_on_a_bridge_has_one_network_and_one_gateway() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let table = Table::parse(text, ipv4_route);
        let network = Network {
            address: "172.17.0.0".parse().unwrap(),
            bits: 16,
        };
        assert_eq!(table.connected().collect::<Vec<_>>(), [network]);
        assert_eq!(
            table.routes[0].gateway,
            "172.17.0.1".parse::<IpAddr>().unwrap()
        );
        assert!(table.has_interface());
    }

    #[test]
    fn own_addresses_groups_and_loopback_are_no_networks() {
        let zero = "0".repeat(32);
        let line = |destination: &str, bits: &str, flags: &str, interface: &str| {
            format!(
                "{destination} {bits} {zero} 00 {zero} 00000100 00000001 00000000 {flags} {interface}\n"
            )
        };
        let text = [
            line("fe800000000000000000000000000000", "40", "00000001", "eth0"),
            line("fe800000000000000042acfffe110002", "80", "80200001", "eth0"),
            line("ff000000000000000000000000000000", "08", "00000001", "eth0"),
            line("00000000000000000000000000000001", "80", "80200001", "lo"),
            line(&zero, "00", "00200200", "lo"),
        ]
        .concat();
        let table = Table::parse(&text, ipv6_route);
        let network = Network {
            address: "fe80::".parse().unwrap(),
            bits: 64,
        };
        assert_eq!(table.connected().collect::<Vec<_>>(), [network]);
    }

    #[test]
    fn what_is_no_table_is_empty() {
        assert_eq!(Table::parse("x y\n\nz", ipv4_route), Table::default());
        assert_eq!(Table::parse("x y z", ipv6_route), Table::default());
    }
}
