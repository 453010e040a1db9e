//! Closing descriptors by number.

use std::os::fd::RawFd;

use libc::c_uint;
use rustix::io::Errno;

/// Closes the descriptors from `first` to `last`, both included.
pub(super) fn close_range(first: RawFd, last: RawFd) -> Result<(), Errno> {
    let no_flags: c_uint = 0;
    // SAFETY: memory is not touched; the callers of this module's functions give up the
    // descriptors that they name.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, no_flags) };
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// Closes one descriptor. An error would not mean that it is still open (close(2)).
pub(super) fn close(number: RawFd) {
    // SAFETY: as above.
    unsafe { libc::close(number) };
}
