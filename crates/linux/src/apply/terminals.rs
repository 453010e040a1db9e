//! Terminals that are opened while the host's file system of them can be reached.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;

use super::{CallResult, InCall};

/// Type of the file system of terminals, by which a stranger's file in its place shows.
const DEVPTS_MAGIC: rustix::fs::FsWord = 0x1cd1;

/// Both ends of a terminal.
#[derive(Debug)]
pub struct Terminal {
    /// The end that a terminal's program has.
    pub master: OwnedFd,
    /// The end that commands have.
    pub slave: OwnedFd,
    /// Its number in /dev/pts.
    pub number: u32,
}

/// Opens new ones. Nobody else has either end.
pub(super) fn open(count: u32) -> CallResult<Vec<Terminal>> {
    (0..count).map(|_| open_one()).collect()
}

fn open_one() -> CallResult<Terminal> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/ptmx", flags, Mode::empty()).in_call(|| "open /dev/ptmx")?;
    rustix::pty::unlockpt(&master).in_call(|| "ioctl TIOCSPTLCK")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).in_call(|| "ioctl TIOCGPTPEER")?;
    let kind = rustix::fs::fstatfs(&slave).in_call(|| "fstatfs of a terminal")?;
    if kind.f_type != DEVPTS_MAGIC {
        return Err(Errno::NODEV).in_call(|| "open a terminal of devpts");
    }
    let device = rustix::fs::fstat(&slave)
        .in_call(|| "fstat of a terminal")?
        .st_rdev;
    Ok(Terminal {
        master,
        slave,
        number: rustix::fs::minor(device),
    })
}
