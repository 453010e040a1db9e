//! Becoming a process that needs no terminal: in a session of its own, which no hang-up
//! reaches, and with nothing of its launcher's that somebody could wait for.

use std::ffi::CString;
use std::os::fd::RawFd;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};

/// What the kernel calls a process that was started by this path.
const BY_ITS_LINK: &str = "exe";

/// Has the kernel call this process by its program's name, where it was started as `/proc/self/exe`:
/// lists of processes and the audit log show it.
fn take_name() -> Result<()> {
    let failed = |error: rustix::io::Errno| Error::io("name the supervisor's process", error);
    if rustix::thread::name().is_ok_and(|name| name.to_bytes() != BY_ITS_LINK.as_bytes()) {
        return Ok(());
    }
    let path = rustix::fs::readlink("/proc/self/exe", Vec::new()).map_err(failed)?;
    let name = path.to_bytes().rsplit(|byte| *byte == b'/').next();
    // What is longer the kernel cuts off.
    let name = CString::new(name.unwrap_or_default()).map_err(|_| failed(rustix::io::Errno::INVAL))?;
    rustix::thread::set_name(&name).map_err(failed)
}

/// Leaves the launcher's session and terminal, and closes its descriptors but the three
/// standard ones and those in `keep`. To be called before anything else is opened.
///
/// # Errors
/// [`Error::Io`].
pub fn leave_terminal(keep: &[RawFd]) -> Result<()> {
    take_name()?;
    rustix::process::setsid().map_err(|error| Error::io("begin a session of its own", error))?;
    stockade_linux::fds::close_all_but(keep)
        .map_err(|error| Error::io("close the launcher's descriptors", error))
}

/// Lets the standard streams and the current directory go.
///
/// # Errors
/// [`Error::Io`].
pub fn let_streams_go() -> Result<()> {
    let failed = |error: rustix::io::Errno| Error::io("let the launcher's streams go", error);
    let null =
        rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    rustix::stdio::dup2_stdout(&null).map_err(failed)?;
    rustix::stdio::dup2_stderr(&null).map_err(failed)?;
    rustix::process::chdir("/").map_err(failed)
}
