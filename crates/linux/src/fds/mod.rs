//! Open descriptors: which there are, and closing all that are not meant to pass on.

mod sys;

use std::os::fd::RawFd;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use rustix::io::Errno;

/// Descriptors could not be listed or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("descriptors: {call}: {source}; {remedy}")]
pub struct Error {
    /// The call that failed.
    pub call: &'static str,
    /// What the kernel said.
    pub source: Errno,
    /// What to do about it.
    pub remedy: &'static str,
}

/// The descriptors of this process, in ascending order.
///
/// # Errors
/// /proc is not mounted or not readable.
pub fn own() -> Result<Vec<RawFd>, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, "/proc/self/fd", flags, Mode::empty()).map_err(unlisted)?;
    // `Dir::new` takes the descriptor itself, so it is the one that is left out.
    let own = std::os::fd::AsRawFd::as_raw_fd(&directory);
    let mut numbers = Vec::new();
    for entry in Dir::new(directory).map_err(unlisted)? {
        let entry = entry.map_err(unlisted)?;
        let number: Option<RawFd> = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
        numbers.extend(number.filter(|number| *number != own));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Closes every descriptor from `first` on.
///
/// Whoever calls this owns none of them any more: an owned descriptor that is dropped later
/// would close a stranger.
///
/// # Errors
/// The kernel has no `close_range` and /proc cannot be read.
pub fn close_all_from(first: RawFd) -> Result<(), Error> {
    close_all_but_from(first, &[])
}

/// Closes every descriptor but 0, 1, 2 and those in `keep`; see [`close_all_from`].
///
/// # Errors
/// The kernel has no `close_range` and /proc cannot be read.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), Error> {
    close_all_but_from(3, keep)
}

fn close_all_but_from(first: RawFd, keep: &[RawFd]) -> Result<(), Error> {
    let mut kept: Vec<RawFd> = keep.iter().copied().filter(|number| *number >= first).collect();
    kept.sort_unstable();
    kept.dedup();
    let mut start = first;
    for end in kept.iter().copied().map(Some).chain([None]) {
        let last = end.map_or(RawFd::MAX, |end| end - 1);
        if start <= last {
            close_range(start, last)?;
        }
        start = end.map_or(RawFd::MAX, |end| end.saturating_add(1));
    }
    Ok(())
}

/// Linux 5.9 does it in one call; before, or where a filter refuses that, one by one.
fn close_range(first: RawFd, last: RawFd) -> Result<(), Error> {
    match sys::close_range(first, last) {
        Err(Errno::NOSYS | Errno::PERM) => close_one_by_one(first, last),
        Ok(()) => Ok(()),
        Err(source) => Err(Error {
            call: "close_range",
            source,
            remedy: "report it with the kernel's version",
        }),
    }
}

fn close_one_by_one(first: RawFd, last: RawFd) -> Result<(), Error> {
    let in_range = |number: &RawFd| (first..=last).contains(number);
    own()?.into_iter().filter(in_range).for_each(sys::close);
    Ok(())
}

fn unlisted(source: Errno) -> Error {
    Error {
        call: "list /proc/self/fd",
        source,
        remedy: "mount procfs, or use Linux 5.9 or newer",
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        error.source.into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, IntoRawFd};

    use rustix::io::fcntl_dupfd_cloexec;

    use super::*;

    /// Where `close_range` cannot be used, just the same descriptors are closed.
    #[test]
    fn one_by_one() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let copy = |least| fcntl_dupfd_cloexec(&null, least).unwrap().into_raw_fd();
        let (inside, outside) = (copy(700), copy(900));
        close_one_by_one(700, 899).unwrap();
        let left = own().unwrap();
        assert!(!left.contains(&inside) && left.contains(&outside) && left.contains(&null.as_raw_fd()));
        sys::close(outside);
    }
}
