//! The one request to the kernel's routing that is needed: add a route.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
};

use super::Network;

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nowhere: the kernel answers "host unreachable", which a program notices at once; a route
    /// that swallows packets would let it wait.
    Unreachable,
    /// To the link of the interface with this index.
    Interface(u32),
}

/// Adds a route; that it is there already is no error.
pub(super) fn add_route(destination: Network, way: Way) -> io::Result<()> {
    let socket = socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let kernel = NetlinkAddr::new(0, 0);
    let request = request(destination, way);
    socket::sendto(socket.as_raw_fd(), &request, &kernel, MsgFlags::empty())?;
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

/// The netlink message `RTM_NEWROUTE`: header, route, attributes.
fn request(destination: Network, way: Way) -> Vec<u8> {
    let (family, octets) = match destination.address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    let mut attributes = attribute(libc::RTA_DST, &octets);
    let (scope, kind) = match way {
        Way::Unreachable => (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE),
        Way::Interface(index) => {
            attributes.extend(attribute(libc::RTA_OIF, &index.to_ne_bytes()));
            (libc::RT_SCOPE_LINK, libc::RTN_UNICAST)
        }
    };
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let length = 16 + 12 + attributes.len();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&number::<u32>(length).to_ne_bytes());
    message.extend_from_slice(&libc::RTM_NEWROUTE.to_ne_bytes());
    message.extend_from_slice(&number::<u16>(flags).to_ne_bytes());
    // Sequence number and port: there is one message and one answer.
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[
        number(family),
        destination.bits,
        0,
        0,
        libc::RT_TABLE_MAIN,
        libc::RTPROT_BOOT,
        scope,
        kind,
    ]);
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&attributes);
    message
}

/// One attribute; all that are needed have lengths that need no padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut attribute = number::<u16>(4 + value.len()).to_ne_bytes().to_vec();
    attribute.extend_from_slice(&kind.to_ne_bytes());
    attribute.extend_from_slice(value);
    attribute
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
        for address in ["169.254.169.254", "fd00:ec2::254"] {
            for way in [Way::Unreachable, Way::Interface(7)] {
                let message = request(Network::host(address.parse().unwrap()), way);
                let length = u32::from_ne_bytes(message[..4].try_into().unwrap());
                assert_eq!(length as usize, message.len(), "{address} {way:?}");
                assert_eq!(message.len() % 4, 0, "{address} {way:?}");
            }
        }
    }
}
