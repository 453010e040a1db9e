//! Listening sockets. Nobody answers: a connection that waits to be accepted, or a datagram
//! that waits to be read, shows that the socket was reached.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener};
use std::path::PathBuf;

use super::{Canary, Seen, token, told};
use crate::host;
use crate::verdict::{Verdict, skip};
use crate::wall::Field;

enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
    Unix(UnixListener),
    Datagram(UnixDatagram),
}

/// Sockets of the host.
pub struct SocketCanary {
    sockets: Vec<Socket>,
    arguments: Vec<String>,
    token: String,
    file: Option<PathBuf>,
}

impl SocketCanary {
    fn listen(sockets: Vec<Socket>, arguments: Vec<String>) -> Verdict<Box<dyn Canary>> {
        for socket in &sockets {
            match socket {
                Socket::Tcp(socket) => socket.set_nonblocking(true)?,
                Socket::Udp(socket) => socket.set_nonblocking(true)?,
                Socket::Unix(socket) => socket.set_nonblocking(true)?,
                Socket::Datagram(socket) => socket.set_nonblocking(true)?,
            }
        }
        Ok(Box::new(Self {
            sockets,
            arguments,
            token: token()?,
            file: None,
        }))
    }

    /// One port on the loopback of both address families.
    ///
    /// # Errors
    /// It cannot be bound.
    pub fn loopback(_: &Field) -> Verdict<Box<dyn Canary>> {
        let four = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = four.local_addr()?.port();
        let mut sockets = vec![Socket::Tcp(four)];
        // A host without IPv6 has one socket less.
        sockets.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, port)).map(Socket::Tcp));
        Self::listen(sockets, vec![port.to_string()])
    }

    /// A port on the loopback that an attack finds in the kernel's tables: `REACHED` says so.
    ///
    /// # Errors
    /// It cannot be bound.
    pub fn loopback_by_name(field: &Field) -> Verdict<Box<dyn Canary>> {
        Ok(Box::new(Found(Self::loopback(field)?)))
    }

    /// One port on every address that the host has: those of its bridges, too. Inside also by the
    /// addresses that gateways of sandboxes usually have.
    ///
    /// # Errors
    /// It cannot be bound.
    pub fn gateways(_: &Field) -> Verdict<Box<dyn Canary>> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = listener.local_addr()?.port();
        let own = own_addresses()?;
        let arguments = std::iter::once(port.to_string()).chain(own).collect();
        let canary = Self::listen(vec![Socket::Tcp(listener)], arguments)?;
        Ok(Box::new(Gateways(canary)))
    }

    /// One UDP port on the loopback.
    ///
    /// # Errors
    /// It cannot be bound.
    pub fn udp(_: &Field) -> Verdict<Box<dyn Canary>> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = socket.local_addr()?.port();
        Self::listen(vec![Socket::Udp(socket)], vec![port.to_string()])
    }

    /// A TCP port on the address that the host has towards others.
    ///
    /// # Errors
    /// The host has no such address.
    pub fn host_address(_: &Field) -> Verdict<Box<dyn Canary>> {
        // Connecting a datagram socket sends nothing: it only asks for the route.
        let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let address = probe
            .connect((Ipv4Addr::new(192, 0, 2, 1), 9))
            .and_then(|()| probe.local_addr());
        let Ok(SocketAddr::V4(address)) = address else {
            return skip("the host has no address but its loopback");
        };
        let listener = TcpListener::bind((*address.ip(), 0))?;
        let port = listener.local_addr()?.port();
        Self::listen(
            vec![Socket::Tcp(listener)],
            vec![address.ip().to_string(), port.to_string()],
        )
    }

    /// Abstract names: a stream and a datagram socket.
    ///
    /// # Errors
    /// They cannot be bound.
    pub fn abstract_names(_: &Field) -> Verdict<Box<dyn Canary>> {
        let name = token()?;
        let stream = UnixListener::bind_addr(&UnixAddress::from_abstract_name(format!("{name}-s"))?)?;
        let datagram = UnixDatagram::bind_addr(&UnixAddress::from_abstract_name(format!("{name}-d"))?)?;
        let sockets = vec![Socket::Unix(stream), Socket::Datagram(datagram)];
        Self::listen(sockets, vec![format!("{name}-s"), format!("{name}-d")])
    }

    /// A path, as engines and agents have one: in the home directory, and below /run for root.
    ///
    /// # Errors
    /// It cannot be bound.
    pub fn path(field: &Field) -> Verdict<Box<dyn Canary>> {
        let number = field.ground.number();
        let path = if host::is_root() {
            PathBuf::from(format!(
                "/run/stockade-probe-{}-{number}.sock",
                std::process::id()
            ))
        } else {
            field.ground.path(&format!("home/docker-{number}.sock"))
        };
        let socket = Socket::Unix(UnixListener::bind(&path)?);
        let arguments = vec![path.display().to_string()];
        Ok(Box::new(Self {
            sockets: vec![socket],
            arguments,
            token: token()?,
            file: Some(path),
        }))
    }
}

impl Canary for SocketCanary {
    fn outside(&self) -> Vec<String> {
        self.arguments.clone()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        let mut buffer = [0; 64];
        let reached = self.sockets.iter().any(|socket| {
            let waiting = match socket {
                Socket::Tcp(socket) => socket.accept().map(drop),
                Socket::Udp(socket) => socket.recv(&mut buffer).map(drop),
                Socket::Unix(socket) => {
                    let _ = socket.set_nonblocking(true);
                    socket.accept().map(drop)
                }
                Socket::Datagram(socket) => socket.recv(&mut buffer).map(drop),
            };
            !matches!(waiting, Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
        if reached {
            return Some("the host's socket was reached".to_owned());
        }
        told(seen, &self.token)
    }
}

impl Drop for SocketCanary {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Addresses of this host, the loopback left out: other probes are about that.
fn own_addresses() -> Verdict<Vec<String>> {
    let table = std::fs::read_to_string("/proc/net/fib_trie")?;
    let mut found = BTreeSet::new();
    let mut last = "";
    for line in table.lines() {
        match line.trim_start().strip_prefix("|-- ") {
            Some(address) => last = address,
            None if line.contains("host LOCAL") && !last.starts_with("127.") => {
                found.insert(last.to_owned());
            }
            None => {}
        }
    }
    if found.is_empty() {
        return skip("the host has no address but its loopback");
    }
    Ok(found.into_iter().collect())
}

/// Inside, by more addresses than the host has.
struct Gateways(Box<dyn Canary>);

impl Canary for Gateways {
    fn outside(&self) -> Vec<String> {
        self.0.outside()
    }

    fn inside(&self) -> Vec<String> {
        // Engines' bridges, user-mode networks, virtual machines, clouds.
        const USUAL: [&str; 9] = [
            "172.17.0.1",
            "172.18.0.1",
            "10.0.2.2",
            "10.0.2.3",
            "10.88.0.1",
            "192.168.122.1",
            "192.168.65.2",
            "10.0.3.1",
            "169.254.1.1",
        ];
        let mut arguments = self.outside();
        arguments.extend(USUAL.map(str::to_owned));
        arguments
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        self.0.reached(seen)
    }
}

/// Reached, too, when its name is found.
struct Found(Box<dyn Canary>);

impl Canary for Found {
    fn outside(&self) -> Vec<String> {
        self.0.outside()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        let found = seen
            .output
            .lines()
            .find(|line| line.starts_with("REACHED"))
            .map(str::to_owned);
        found.or_else(|| self.0.reached(seen))
    }
}
