//! A world in which every address is this process: a network namespace of its own, whose loopback
//! takes whatever is sent to any address. What attacks send there tells by its content which way
//! it came; nothing leaves the machine.

use std::collections::BTreeSet;
use std::io::{BufRead, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::out::{argument, note, number, reached};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("reach", reach),
    ("NW06", echo),
    ("NW08", raw),
    ("NW10", machines),
    ("NW12", visit),
    ("NW14", configure),
    ("NW16", flood),
];

/// Where the world listens, by both protocols. Groups are joined for those of discovery.
const PORTS: [u16; 12] = [22, 25, 53, 80, 123, 443, 853, 1900, 3478, 5353, 5355, 8080];
/// Groups that the world has joined.
const GROUPS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(224, 0, 0, 1),
    Ipv4Addr::new(224, 0, 0, 251),
    Ipv4Addr::new(224, 0, 0, 252),
    Ipv4Addr::new(239, 255, 255, 250),
];
/// An attack gives up on an address after this.
const PATIENCE: Duration = Duration::from_millis(500);
/// The loopback's number, in every namespace.
const LOOPBACK: u32 = 1;

type Heard = Arc<Mutex<(BTreeSet<String>, u64)>>;

/// Plays the world; answers each line with what it has heard: how many messages, and each content.
pub fn world(_: &[String]) -> ExitCode {
    let made = call(libc::SYS_unshare, &mut [Arg::Int(i64::from(libc::CLONE_NEWNET))]);
    if let Err(error) = made.and_then(|_| every_address()) {
        println!("no world: {error}");
        return ExitCode::from(99);
    }
    let heard = Heard::default();
    for port in PORTS {
        if let Err(error) = listen(port, &heard) {
            println!("no world: port {port}: {error}");
            return ExitCode::from(99);
        }
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let texts: Vec<&str> = heard.0.iter().map(String::as_str).collect();
        println!("{}\t{}\t{}", heard.1, addresses().join(" "), texts.join("\t"));
    }
    ExitCode::SUCCESS
}

/// What was configured in this namespace since it was made.
fn addresses() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/thread-self/net/fib_trie").unwrap_or_default();
    let added = table.lines().filter(|line| line.contains("192.0.2.77"));
    added.map(|_| "192.0.2.77".to_owned()).collect()
}

fn listen(port: u16, heard: &Heard) -> std::io::Result<()> {
    let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    let shared = Arc::clone(heard);
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let mut said = Vec::new();
            let _ = stream.take(512).read_to_end(&mut said);
            hear(&shared, &said);
        }
    });
    // One socket for each family: who joins groups must be of theirs.
    let four = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    for group in GROUPS {
        let _ = four.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST);
    }
    let six = six_alone(port)?;
    for udp in [four, six] {
        let shared = Arc::clone(heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok(count) = udp.recv(&mut buffer) {
                hear(&shared, &buffer[..count]);
            }
        });
    }
    Ok(())
}

/// A datagram socket that takes IPv6 alone, beside the one of IPv4.
fn six_alone(port: u16) -> std::io::Result<UdpSocket> {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
    let made = socket(AddressFamily::INET6, SocketType::DGRAM, None)?;
    sockopt::set_ipv6_v6only(&made, true)?;
    bind(&made, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    Ok(UdpSocket::from(made))
}

fn hear(heard: &Heard, said: &[u8]) {
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    heard.1 += 1;
    if heard.0.len() < 256 {
        let said: String = String::from_utf8_lossy(said)
            .chars()
            .filter(|letter| letter.is_ascii_graphic() || *letter == ' ')
            .collect();
        heard.0.insert(said);
    }
}

/// Sets the loopback up and makes every address of both families one of its own.
fn every_address() -> std::io::Result<()> {
    bring_up()?;
    // struct rtmsg: family, lengths, table 255 (local), boot protocol, host scope, type 2 (local)
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = u8::try_from(family).unwrap_or(0);
        let mut body = vec![family, 0, 0, 0, 255, 3, 254, 2, 0, 0, 0, 0];
        body.extend(attribute(4, &LOOPBACK.to_ne_bytes()));
        netlink(24, &body)?;
    }
    Ok(())
}

fn bring_up() -> std::io::Result<()> {
    const NEW_LINK: u16 = 16;
    // struct ifinfomsg: the flag IFF_UP, and that it alone is to change
    let mut body = vec![0_u8; 16];
    body[4..8].copy_from_slice(&LOOPBACK.to_ne_bytes());
    body[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    body[12..16].copy_from_slice(&1_u32.to_ne_bytes());
    netlink(NEW_LINK, &body)
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(4);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Asks the kernel to change its network; returns what it answers.
fn netlink(kind: u16, body: &[u8]) -> std::io::Result<()> {
    // request, acknowledged, create, whatever there is
    const FLAGS: u16 = 0x1 | 0x4 | 0x400;
    let socket = call(
        libc::SYS_socket,
        &mut [Arg::Int(i64::from(libc::AF_NETLINK)), Arg::Int(3), Arg::Int(0)],
    )?;
    let _owned = sys::own(socket);
    let length = u32::try_from(16 + body.len()).unwrap_or(0);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    let mut send = [
        Arg::Int(socket),
        Arg::Bytes(&mut message),
        Arg::Int(i64::from(length)),
        Arg::Int(0),
        Arg::Null,
        Arg::Int(0),
    ];
    call(libc::SYS_sendto, &mut send)?;
    let mut answer = vec![0_u8; 4096];
    let mut receive = [
        Arg::Int(socket),
        Arg::Bytes(&mut answer),
        Arg::Int(4096),
        Arg::Int(0),
        Arg::Null,
        Arg::Null,
    ];
    call(libc::SYS_recvfrom, &mut receive)?;
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if code == 0 {
        Ok(())
    } else {
        Err(std::io::Error::from_raw_os_error(-code))
    }
}

/// Sends a value to each of some places, which are like `tcp:192.0.2.1:80`.
fn reach(arguments: &[String]) {
    let token = argument(arguments, 0);
    for place in arguments.iter().skip(1) {
        let said = format!("{token} {place}");
        let tried = match place.split_once(':') {
            Some(("tcp", address)) => by_stream(address, &said),
            Some(("udp", address)) => by_datagram(address, &said),
            _ => Err(std::io::Error::other("no such protocol")),
        };
        note(format!("{place}: {tried:?}"));
    }
}

fn parsed(address: &str) -> std::io::Result<SocketAddr> {
    let address = address.replace("%lo", "");
    let parsed: SocketAddr = address
        .parse()
        .map_err(|error| std::io::Error::other(format!("{address}: {error}")))?;
    Ok(match parsed {
        SocketAddr::V6(mut six) if six.ip().segments()[0] & 0xff80 == 0xfe80 || six.ip().is_multicast() => {
            six.set_scope_id(LOOPBACK);
            six.into()
        }
        other => other,
    })
}

fn by_stream(address: &str, said: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&parsed(address)?, PATIENCE)?;
    stream.write_all(said.as_bytes())
}

fn by_datagram(address: &str, said: &str) -> std::io::Result<()> {
    let address = parsed(address)?;
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    let _ = socket.set_broadcast(true);
    if address.ip().is_multicast() && address.is_ipv4() {
        on_loopback(&socket);
    }
    socket.send_to(said.as_bytes(), address).map(drop)
}

/// Groups are asked for on the loopback: in the sandbox and in the world it has the same number.
fn on_loopback(socket: &UdpSocket) {
    use std::os::fd::AsRawFd;
    const IP: i64 = libc::IPPROTO_IP as i64;
    const INTERFACE: i64 = libc::IP_MULTICAST_IF as i64;
    let mut address = [127, 0, 0, 1];
    let mut set = [
        Arg::Int(i64::from(socket.as_raw_fd())),
        Arg::Int(IP),
        Arg::Int(INTERFACE),
        Arg::Bytes(&mut address),
        Arg::Int(4),
    ];
    note(format!("group: {:?}", call(libc::SYS_setsockopt, &mut set)));
}

/// Echo requests, by both kinds of sockets: the answer of an address that is not the sandbox's own.
fn echo(_: &[String]) {
    const ICMP: i64 = libc::IPPROTO_ICMP as i64;
    for (name, kind) in [("datagram", libc::SOCK_DGRAM), ("raw", libc::SOCK_RAW)] {
        let mut open = [
            Arg::Int(i64::from(libc::AF_INET)),
            Arg::Int(i64::from(kind)),
            Arg::Int(ICMP),
        ];
        let made = call(libc::SYS_socket, &mut open);
        let Some(owned) = made.as_ref().ok().and_then(|raw| sys::own(*raw)) else {
            note(format!("{name}: {made:?}"));
            continue;
        };
        let socket = UdpSocket::from(owned);
        let _ = socket.set_read_timeout(Some(PATIENCE));
        // type 8, code 0, the checksum of an empty request
        let request = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
        let mut answer = [0; 64];
        let answered = socket
            .send_to(&request, (Ipv4Addr::new(198, 51, 100, 9), 0))
            .and_then(|_| socket.recv(&mut answer));
        match answered {
            Ok(count) => reached(format!("{name}: an answer of {count} bytes")),
            Err(error) => note(format!("{name}: {error}")),
        }
    }
}

/// A datagram with somebody else's address as its sender, and a look at what passes.
fn raw(arguments: &[String]) {
    const RAW: i64 = libc::IPPROTO_RAW as i64;
    let mut open = [
        Arg::Int(i64::from(libc::AF_INET)),
        Arg::Int(i64::from(libc::SOCK_RAW)),
        Arg::Int(RAW),
    ];
    match call(libc::SYS_socket, &mut open) {
        Ok(socket) => {
            reached("a raw socket");
            if let Some(owned) = sys::own(socket) {
                let sent =
                    UdpSocket::from(owned).send_to(&forged(argument(arguments, 0)), (Ipv4Addr::LOCALHOST, 0));
                note(format!("forged: {sent:?}"));
            }
        }
        Err(error) => note(format!("raw: {error}")),
    }
    const EVERYTHING: i64 = 0x0300;
    let mut packet = [
        Arg::Int(i64::from(libc::AF_PACKET)),
        Arg::Int(i64::from(libc::SOCK_RAW)),
        Arg::Int(EVERYTHING),
    ];
    super::out::succeeded("a packet socket", &call(libc::SYS_socket, &mut packet));
}

/// An IPv4 packet with a datagram to port 8080 of the loopback, from an address that is not ours. The
/// kernel fills in the checksum of the header; a datagram may do without.
fn forged(said: &str) -> Vec<u8> {
    let said = said.as_bytes();
    let length = |more: usize| u16::try_from(said.len() + more).unwrap_or(0).to_be_bytes();
    let mut packet = vec![0x45, 0];
    packet.extend(length(28));
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 203, 0, 113, 5, 127, 0, 0, 1]);
    packet.extend(9_u16.to_be_bytes());
    packet.extend(8080_u16.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(said);
    packet
}

/// Sockets between virtual machines and their host.
fn machines(_: &[String]) {
    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
        let mut open = [
            Arg::Int(i64::from(libc::AF_VSOCK)),
            Arg::Int(i64::from(kind)),
            Arg::Int(0),
        ];
        let made = call(libc::SYS_socket, &mut open);
        super::out::succeeded(format!("a socket of kind {kind} to other machines"), &made);
    }
    super::out::succeeded("/dev/vsock", &std::fs::File::open("/dev/vsock"));
}

/// An address for the loopback that is another's, and a route.
fn configure(_: &[String]) {
    const NEW_ADDRESS: u16 = 20;
    // struct ifaddrmsg: IPv4, 32 bits, the loopback; its own and its peer's address
    let mut body = vec![2, 32, 0, 254];
    body.extend(LOOPBACK.to_ne_bytes());
    for kind in [1, 2] {
        body.extend(attribute(kind, &[192, 0, 2, 77]));
    }
    note(format!("address: {:?}", netlink(NEW_ADDRESS, &body)));
    note(format!("loopback: {:?}", bring_up()));
    note(format!("routes: {:?}", every_address()));
}

/// Many datagrams and many connections.
fn flood(arguments: &[String]) {
    let count = number(arguments, 1);
    let said = argument(arguments, 0);
    for turn in 0..count {
        let target = Ipv4Addr::new(198, 51, 100, u8::try_from(turn % 250).unwrap_or(0));
        let sent = match argument(arguments, 2) {
            "tcp" => by_stream(&format!("{target}:80"), said),
            _ => by_datagram(&format!("{target}:123"), said),
        };
        if turn == 0 {
            note(format!("the first: {sent:?}"));
        }
    }
}

/// Listens at every address and tells each visitor a value, until its input ends.
pub fn doorman(arguments: &[String]) -> ExitCode {
    let token = argument(arguments, 0).to_owned();
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))
    {
        Ok(listener) => {
            println!(
                "listening {}",
                listener.local_addr().map_or(0, |address| address.port())
            );
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let _ = stream.write_all(token.as_bytes());
                }
            });
        }
        Err(error) => println!("cannot listen: {error}"),
    }
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    ExitCode::SUCCESS
}

/// Connects to a port at every address that this machine may have, and shows what is said there.
fn visit(arguments: &[String]) {
    let port = u16::try_from(number(arguments, 0)).unwrap_or(0);
    let mut addresses: Vec<IpAddr> = vec![
        Ipv4Addr::LOCALHOST.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
    ];
    // Sends nothing: it only asks for the own address towards others.
    let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket
            .connect((Ipv4Addr::new(192, 0, 2, 1), 9))
            .and_then(|()| socket.local_addr())
    });
    addresses.extend(own.map(|address| address.ip()));
    for address in addresses {
        let mut said = String::new();
        let tried =
            TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.take(128).read_to_string(&mut said)
            });
        note(format!("{address}: {tried:?} {said}"));
    }
}
