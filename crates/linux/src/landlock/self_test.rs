//! What must fail in the domain, and did not before.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, getsockname, socket_with,
};

use super::{Entered, Error};

/// A file outside of all rules that could be read, and an abstract socket outside of the
/// domain that could be reached.
#[derive(Debug)]
pub struct Baseline {
    canary: PathBuf,
    readable: Result<(), Errno>,
    reachable: Result<(), Errno>,
    socket: OwnedFd,
    address: SocketAddrUnix,
}

/// To be called before [`super::enter`]. `canary` must be readable and outside of all rules.
///
/// # Errors
/// No socket could be made.
pub fn before(canary: &Path) -> Result<Baseline, Error> {
    let socket = datagram_socket()?;
    // The kernel picks an abstract name that is free.
    bind(&socket, &SocketAddrUnix::new_unnamed()).map_err(unprepared)?;
    let address = getsockname(&socket)
        .and_then(SocketAddrUnix::try_from)
        .map_err(unprepared)?;
    Ok(Baseline {
        readable: read(canary),
        reachable: reach(&address)?,
        canary: canary.into(),
        socket,
        address,
    })
}

/// To be called after [`super::enter`]: what was seen, a clause for each wall.
///
/// # Errors
/// The control did not succeed, or what must be refused was not.
pub fn after(before: &Baseline, entered: &Entered) -> Result<Vec<String>, Error> {
    let mut seen = Vec::with_capacity(2);
    refused(
        "read a file outside of the rules",
        before.readable,
        read(&before.canary),
        Errno::ACCESS,
    )?;
    seen.push(format!(
        "ABI {}: {} readable before, EACCES after",
        entered.abi,
        before.canary.display()
    ));
    if entered.scoped {
        let what = "reach an abstract socket outside of the domain";
        refused(what, before.reachable, reach(&before.address)?, Errno::PERM)?;
        seen.push("abstract socket reachable before, EPERM after".to_owned());
    }
    Ok(seen)
}

fn refused(
    what: &'static str,
    before: Result<(), Errno>,
    after: Result<(), Errno>,
    expected: Errno,
) -> Result<(), Error> {
    let fail = |expected, found| {
        Err(Error::SelfTest {
            what,
            expected,
            found,
        })
    };
    match (before, after) {
        (Ok(()), Err(found)) if found == expected => Ok(()),
        (Err(error), _) => fail("success before the wall stood", error.to_string()),
        (Ok(()), Err(other)) => fail("refusal by Landlock", other.to_string()),
        (Ok(()), Ok(())) => fail("refusal by Landlock", "success".to_owned()),
    }
}

fn read(canary: &Path) -> Result<(), Errno> {
    openat(
        CWD,
        canary,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
    )
    .map(drop)
}

fn reach(address: &SocketAddrUnix) -> Result<Result<(), Errno>, Error> {
    Ok(connect(datagram_socket()?, address))
}

fn datagram_socket() -> Result<OwnedFd, Error> {
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).map_err(unprepared)
}

fn unprepared(error: Errno) -> Error {
    Error::SelfTest {
        what: "make a socket for it",
        expected: "success",
        found: error.to_string(),
    }
}

impl Baseline {
    /// The socket outside of the domain, which lives as long as the base line.
    #[must_use]
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }
}
