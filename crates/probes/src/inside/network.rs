//! The host's network, and what can be learned of it.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::out::{argument, note, number, reached, read};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("NW01", connect),
    ("NW02", other_ways),
    ("NW03", connect_to),
    ("NW04", datagrams),
    ("NW11", learn),
];

const PATIENCE: Duration = Duration::from_millis(500);

fn port(arguments: &[String], index: usize) -> u16 {
    u16::try_from(number(arguments, index)).unwrap_or(0)
}

fn try_connect(address: SocketAddr) {
    note(format!(
        "{address}: {:?}",
        TcpStream::connect_timeout(&address, PATIENCE)
    ));
}

fn connect(arguments: &[String]) {
    try_connect((Ipv4Addr::LOCALHOST, port(arguments, 0)).into());
}

fn connect_to(arguments: &[String]) {
    if let Ok(address) = argument(arguments, 0).parse::<std::net::IpAddr>() {
        try_connect((address, port(arguments, 1)).into());
    }
}

fn datagrams(arguments: &[String]) {
    let sent = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.send_to(b"hello", (Ipv4Addr::LOCALHOST, port(arguments, 0))));
    note(format!("{sent:?}"));
}

/// Other names of the loopback, other protocols, other calls.
fn other_ways(arguments: &[String]) {
    let port = port(arguments, 0);
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    for address in [
        (Ipv6Addr::LOCALHOST, port),
        (mapped, port),
        (Ipv6Addr::UNSPECIFIED, port),
    ] {
        try_connect(address.into());
    }
    for address in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(127, 1, 2, 3)] {
        try_connect((address, port).into());
    }
    const TCP: i64 = libc::IPPROTO_TCP as i64;
    const MPTCP: i64 = libc::IPPROTO_MPTCP as i64;
    const SCTP: i64 = libc::IPPROTO_SCTP as i64;
    // struct sockaddr_in of the loopback
    let mut address = [0_u8; 16];
    address[..2].copy_from_slice(&2_u16.to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    for (name, protocol) in [("TCP fast open", TCP), ("MPTCP", MPTCP), ("SCTP", SCTP)] {
        let made = call(
            libc::SYS_socket,
            &mut [Arg::Int(2), Arg::Int(1), Arg::Int(protocol)],
        );
        let Ok(socket) = made else {
            note(format!("{name}: {made:?}"));
            continue;
        };
        let result = if protocol == TCP {
            let fast_open = i64::from(libc::MSG_FASTOPEN);
            let mut send = [
                Arg::Int(socket),
                Arg::Text("hello"),
                Arg::Int(5),
                Arg::Int(fast_open),
                Arg::Bytes(&mut address),
                Arg::Int(16),
            ];
            call(libc::SYS_sendto, &mut send)
        } else {
            call(
                libc::SYS_connect,
                &mut [Arg::Int(socket), Arg::Bytes(&mut address), Arg::Int(16)],
            )
        };
        note(format!("{name}: {result:?}"));
        drop(sys::own(socket));
    }
}

/// Listeners and interfaces of the host in procfs, sysfs and netlink.
fn learn(arguments: &[String]) {
    let port = format!(":{:04X} ", port(arguments, 0));
    for file in ["tcp", "tcp6", "udp", "unix", "dev", "route", "arp", "if_inet6"] {
        let text = fs::read_to_string(format!("/proc/net/{file}")).unwrap_or_default();
        if text.contains(&port) {
            reached(format!("/proc/net/{file} shows the host's port"));
        }
        if file == "dev" {
            for name in text
                .lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, _)| name.trim())
            {
                if name != "lo" {
                    reached(format!("interface {name}"));
                }
            }
        }
        if file == "route" && text.lines().count() > 1 {
            reached(format!("routes: {text}"));
        }
    }
    for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        if entry.file_name() != "lo" {
            reached(format!("/sys/class/net/{}", entry.file_name().to_string_lossy()));
        }
    }
    match links() {
        Ok(count) if count > 1 => reached(format!("netlink tells of {count} interfaces")),
        other => note(format!("netlink: {other:?}")),
    }
    read(b"");
}

/// How many interfaces a dump of links names.
fn links() -> std::io::Result<usize> {
    const NEW_LINK: u16 = 16;
    const GET_LINK: u16 = 18;
    const REQUEST_DUMP: u16 = 0x301;
    let socket = call(
        libc::SYS_socket,
        &mut [Arg::Int(i64::from(libc::AF_NETLINK)), Arg::Int(3), Arg::Int(0)],
    )?;
    let _owned = sys::own(socket);
    let mut request = [0_u8; 32];
    request[..4].copy_from_slice(&32_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&GET_LINK.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    call(
        libc::SYS_sendto,
        &mut [
            Arg::Int(socket),
            Arg::Bytes(&mut request),
            Arg::Int(32),
            Arg::Int(0),
            Arg::Null,
            Arg::Int(0),
        ],
    )?;
    let mut buffer = vec![0_u8; 64 << 10];
    let mut receive = [
        Arg::Int(socket),
        Arg::Bytes(&mut buffer),
        Arg::Int(64 << 10),
        Arg::Int(0),
        Arg::Null,
        Arg::Null,
    ];
    let length = usize::try_from(call(libc::SYS_recvfrom, &mut receive)?).unwrap_or(0);
    let (mut at, mut count) = (0, 0);
    while at + 16 <= length {
        let size = u32::from_ne_bytes([buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]]) as usize;
        count += usize::from(u16::from_ne_bytes([buffer[at + 4], buffer[at + 5]]) == NEW_LINK);
        at += size.max(16).next_multiple_of(4);
    }
    Ok(count)
}
