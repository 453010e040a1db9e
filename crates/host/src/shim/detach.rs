//! Becoming a process that needs no terminal: in a session of its own, which no hang-up
//! reaches, and with nothing of its launcher's that somebody could wait for.

use std::os::fd::RawFd;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};

/// Leaves the launcher's session and terminal, and closes its descriptors but the three
/// standard ones and those in `keep`. To be called before anything else is opened.
///
/// # Errors
/// [`Error::Io`].
pub fn leave_terminal(keep: &[RawFd]) -> Result<()> {
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
