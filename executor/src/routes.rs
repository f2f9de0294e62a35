//! Cuts the container off from the host's instance metadata, by routes that lead nowhere.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
};

/// The addresses at which EC2 serves instance metadata.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Adds the routes. Where there is no network of a kind, none is needed.
pub(crate) fn cut_off_instance_metadata() -> io::Result<()> {
    for address in METADATA {
        let added = add_unreachable_route(address);
        if has_network(address) {
            added?;
        }
    }
    Ok(())
}

/// Whether there is an interface besides loopback that speaks this protocol.
fn has_network(address: IpAddr) -> bool {
    let (file, name_column, header_lines) = match address {
        IpAddr::V4(_) => ("/proc/net/dev", 0, 2),
        IpAddr::V6(_) => ("/proc/net/if_inet6", 5, 0),
    };
    fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .skip(header_lines)
        .filter_map(|line| line.split_whitespace().nth(name_column))
        .any(|name| name.trim_end_matches(':') != "lo" && !is_tunnel(name))
}

/// The kernel puts idle tunnel devices into every network namespace; no packet leaves by them.
fn is_tunnel(interface: &str) -> bool {
    [
        "tunl0:",
        "gre0:",
        "gretap0:",
        "erspan0:",
        "ip_vti0:",
        "ip6_vti0:",
        "sit0:",
        "ip6tnl0:",
        "ip6gre0:",
    ]
    .contains(&interface)
}

/// Asks the kernel to answer "host unreachable" for one address, which a program notices at once;
/// a route to nowhere would let it wait.
fn add_unreachable_route(address: IpAddr) -> io::Result<()> {
    let socket = socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let kernel = NetlinkAddr::new(0, 0);
    socket::sendto(
        socket.as_raw_fd(),
        &request(address),
        &kernel,
        MsgFlags::empty(),
    )?;
    let mut answer = [0; 1024];
    let received = socket::recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let code = answer[..received]
        .get(16..20)
        .and_then(|code| code.try_into().ok())
        .map_or(-libc::EPROTO, i32::from_ne_bytes);
    match -code {
        0 | libc::EEXIST => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// The netlink message `RTM_NEWROUTE`: header, route, and the destination as its one attribute.
fn request(address: IpAddr) -> Vec<u8> {
    let (family, octets) = match address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    let bits = octets.len() * 8;
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let length = 16 + 12 + 4 + octets.len();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&number::<u32>(length).to_ne_bytes());
    message.extend_from_slice(&libc::RTM_NEWROUTE.to_ne_bytes());
    message.extend_from_slice(&number::<u16>(flags).to_ne_bytes());
    // Sequence number and port: there is one message and one answer.
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[
        number(family),
        number(bits),
        0,
        0,
        libc::RT_TABLE_MAIN,
        libc::RTPROT_BOOT,
        libc::RT_SCOPE_UNIVERSE,
        libc::RTN_UNREACHABLE,
    ]);
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&number::<u16>(4 + octets.len()).to_ne_bytes());
    message.extend_from_slice(&libc::RTA_DST.to_ne_bytes());
    message.extend_from_slice(&octets);
    message
}

/// A small constant in the width the message needs.
fn number<T: TryFrom<usize> + Default>(value: impl TryInto<usize>) -> T {
    value
        .try_into()
        .ok()
        .and_then(|value: usize| T::try_from(value).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_says() {
        for address in METADATA {
            let message = request(address);
            let length = u32::from_ne_bytes(message[..4].try_into().unwrap());
            assert_eq!(length as usize, message.len(), "{address}");
            assert_eq!(message.len() % 4, 0, "{address}");
        }
    }
}
