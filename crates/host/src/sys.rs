//! Calls of the kernel without a safe form; the only unsafe code of this crate.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Events of `F_NOTIFY` (`linux/fcntl.h`), and that the first is not the last.
const DN_DELETE: libc::c_ulong = 0x8;
const DN_RENAME: libc::c_ulong = 0x10;
const DN_MULTISHOT: libc::c_ulong = 0x8000_0000;

/// True if whoever started this process made it ignore a signal (`nohup` does).
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let mut present = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no new action is given, and `present` has room for the one that is returned.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), present.as_mut_ptr()) };
    if result != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so it has filled `present`.
    let present = unsafe { present.assume_init() };
    present.sa_sigaction == libc::SIG_IGN
}

/// Has the runtime watch a descriptor for readiness.
///
/// # Errors
/// `EPERM` for files that are always ready; the runtime's own limits.
pub fn watch<T: AsFd + AsRawFd>(descriptor: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: the value owns its descriptor or shares in its ownership (`AsFd`), and it stays
    // in the `AsyncFd` until that is dropped, so the number stays open and the same.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(io::Error::from)
}

/// Has the kernel send SIGIO to this process whenever a name disappears from a directory (fcntl(2),
/// `F_NOTIFY`), as long as the descriptor is open. Unlike inotify this takes none of the user's 128
/// instances, which editors and other programs need, too.
///
/// # Errors
/// `EINVAL` or `ENOSYS` where the kernel was built without it.
pub fn tell_of_removals(directory: impl AsFd) -> io::Result<()> {
    // SAFETY: a plain system call without pointers, on a descriptor that is open meanwhile.
    let result = unsafe {
        libc::fcntl(
            directory.as_fd().as_raw_fd(),
            libc::F_NOTIFY,
            DN_DELETE | DN_RENAME | DN_MULTISHOT,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A pipe that nobody reads any more gives an error (EPIPE) rather than ending the process.
pub fn ignore_broken_pipes() {
    // SAFETY: no handler of ours is installed.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}

/// Does something while a signal has its default action, and then puts back what was there.
pub fn with_default_action(signal: i32, act: impl FnOnce()) {
    let mut default = MaybeUninit::<libc::sigaction>::zeroed();
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: zeros are the default action with an empty mask and no flags.
    unsafe { default.assume_init_mut() }.sa_sigaction = libc::SIG_DFL;
    // SAFETY: `default` is a valid action, and `before` has room for the one that is returned.
    let result = unsafe { libc::sigaction(signal, default.as_ptr(), before.as_mut_ptr()) };
    if result != 0 {
        return;
    }
    act();
    // SAFETY: the first call has filled `before` with an action that was valid before.
    unsafe {
        libc::sigaction(signal, before.as_ptr(), std::ptr::null_mut());
    }
}
