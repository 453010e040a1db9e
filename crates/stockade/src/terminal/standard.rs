//! The three standard descriptors.

use std::os::fd::IntoRawFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Puts the null device where a standard stream is closed: else the next descriptor of ours
/// takes its number, and what the command writes goes there.
///
/// # Errors
/// There is no null device.
pub fn hold_standard_streams() -> Result<(), Errno> {
    let (stdin, stdout, stderr) = (
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    );
    let mut streams = [&stdin, &stdout, &stderr].map(|stream| PollFd::new(stream, PollFlags::empty()));
    poll(&mut streams, Some(&rustix::event::Timespec::default()))?;
    let closed = streams
        .iter()
        .filter(|stream| stream.revents().contains(PollFlags::NVAL));
    for _ in closed {
        // The lowest free number is the next closed one. It stays open for good.
        let _ = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?.into_raw_fd();
    }
    Ok(())
}
