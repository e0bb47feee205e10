//! The TCP connections of this machine, as the kernel counts them: `sock_diag(7)`.

use std::collections::HashMap;
use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags, nlas::Nla,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};

/// The kernel sends at most 32 KiB of an answer at a time (`netlink_dump` in its `af_netlink.c`).
const ANSWER: usize = 1 << 16;

/// What the kernel has counted of a connection since its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Microseconds with data to send or to be acknowledged.
    pub(crate) busy: u64,
    /// Microseconds of these in which the receiver's window was full.
    pub(crate) window_full: u64,
    /// Microseconds of these in which the own buffer for sending was full.
    pub(crate) buffer_full: u64,
    /// The smoothed round trip, in microseconds.
    pub(crate) round_trip: u32,
    /// Segments that were sent again.
    pub(crate) retransmits: u32,
    /// Bytes that the peer has acknowledged.
    pub(crate) acknowledged: u64,
    /// Bytes received.
    pub(crate) received: u64,
    /// Bytes written that the peer has not acknowledged.
    pub(crate) queued: u64,
}

/// All connections that can still carry data, by the inode of their sockets.
pub(crate) fn all() -> io::Result<HashMap<u64, Connection>> {
    let mut found = HashMap::new();
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    for (family, id) in [
        (AF_INET, SocketId::new_v4()),
        (AF_INET6, SocketId::new_v6()),
    ] {
        socket.send(&request(family, id), 0)?;
        while !receive(&socket, &mut found)? {}
    }
    Ok(found)
}

fn request(family: u8, socket_id: SocketId) -> Vec<u8> {
    let wanted = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states: StateFlags::ESTABLISHED
            | StateFlags::CLOSE_WAIT
            | StateFlags::FIN_WAIT1
            | StateFlags::FIN_WAIT2,
        socket_id,
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(wanted).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Reads one datagram of the answer; returns whether it was the last.
fn receive(socket: &Socket, found: &mut HashMap<u64, Connection>) -> io::Result<bool> {
    let mut buffer = vec![0_u8; ANSWER];
    let size = socket.recv(&mut &mut buffer[..], 0)?;
    let mut rest = buffer.get(..size).unwrap_or_default();
    while !rest.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
            .map_err(|error| io::Error::other(error.to_string()))?;
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                found.insert(u64::from(response.header.inode), connection(&response));
            }
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
        // Source: netlink(7): messages begin at multiples of 4 bytes.
        let length = (message.header.length as usize).next_multiple_of(4).max(4);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(false)
}

/// Source of the places: `struct tcp_info` in the kernel's `include/uapi/linux/tcp.h`. It only grows: an older kernel's is
/// shorter, and what it lacks is 0.
fn connection(response: &InetResponse) -> Connection {
    let info = response.nlas.iter().find_map(|nla| match nla {
        Nla::TcpInfo(bytes) => Some(&bytes[..]),
        _ => None,
    });
    let info = info.unwrap_or_default();
    Connection {
        round_trip: four(info, 68),
        retransmits: four(info, 100),
        acknowledged: eight(info, 120),
        received: eight(info, 128),
        busy: eight(info, 168),
        window_full: eight(info, 176),
        buffer_full: eight(info, 184),
        queued: u64::from(response.header.send_queue),
    }
}

fn four(info: &[u8], at: usize) -> u32 {
    let bytes = info.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_ne_bytes)
}

fn eight(info: &[u8], at: usize) -> u64 {
    let bytes = info.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn inode(stream: &TcpStream) -> u64 {
        let link = format!("/proc/self/fd/{}", stream.as_raw_fd());
        let target = std::fs::read_link(link).unwrap();
        let target = target.to_str().unwrap().trim_start_matches("socket:[");
        target.trim_end_matches(']').parse().unwrap()
    }

    #[test]
    fn the_bytes_of_a_connection_are_counted() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may lack one of the two families.
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut receiver, _) = listener.accept().unwrap();
            sender.write_all(&[7; 1000]).unwrap();
            receiver.read_exact(&mut [0; 1000]).unwrap();
            let found = all().unwrap();
            assert_eq!(found[&inode(&receiver)].received, 1000);
            let sent = &found[&inode(&sender)];
            // The acknowledgment may still be on its way. The kernel counts the SYN as a byte.
            assert!(
                (1000..=1001).contains(&(sent.acknowledged + sent.queued)),
                "{sent:?}"
            );
        }
    }

    #[test]
    fn an_older_kernels_shorter_information_is_read_as_far_as_it_goes() {
        let info = [1; 104];
        assert_eq!(four(&info, 100), 0x0101_0101);
        assert_eq!(four(&info, 102), 0);
        assert_eq!(eight(&info, 120), 0);
    }
}
