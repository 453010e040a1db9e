//! Calls of the kernel without a safe form; the only unsafe code of this crate.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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
