//! The calls for which rustix has no safe form.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::Pid;
use stockade_wire::ByteStrings;

/// First descriptor after standard input, output and error.
const FIRST_FREE: RawFd = 3;

/// Length of the kernel's `sigaction` in 64-bit words, the longest of all architectures.
const KERNEL_SIGACTION_WORDS: usize = 4;

/// Which of the two processes goes on after a fork.
pub enum Fork {
    /// The new one.
    Child,
    /// The old one, with the number of the new.
    Parent(Pid),
}

/// Splits this process in two.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: the guest has a single thread, so no lock is held by a thread that the new
    // process lacks, and it may run any code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        raw => Pid::from_raw(raw)
            .map(Fork::Parent)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

/// Ends this process at once: no handlers, no flushing of what was copied from the parent.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: `_exit` has no conditions.
    unsafe { libc::_exit(code) }
}

/// Sends a signal to one process; 0 only asks whether it could be sent.
pub fn kill(pid: Pid, signal: c_int) -> io::Result<()> {
    kill_raw(pid.as_raw_nonzero().get(), signal)
}

/// Sends a signal to a process group.
pub fn kill_group(group: Pid, signal: c_int) -> io::Result<()> {
    let raw = group.as_raw_nonzero().get();
    // The negative of 1 would mean "every process".
    if raw <= 1 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    kill_raw(-raw, signal)
}

/// Sends a signal to every process that this one can reach. Only for the first process of a PID
/// namespace, or one whose signals are kept in its sandbox: elsewhere it would reach the whole
/// machine.
pub fn kill_everything(signal: c_int) {
    // No process left to signal is what the caller wants.
    let _ = kill_raw(-1, signal);
}

fn kill_raw(target: libc::pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: `kill` touches no memory of ours.
    check(unsafe { libc::kill(target, signal) })
}

/// Gives every signal its default meaning, as a program expects at its start, whatever
/// the launcher ignored.
pub fn reset_signals() {
    for signal in 1..=64 {
        set_disposition(signal, libc::SIG_DFL);
    }
}

/// Makes this process deaf to a signal.
pub fn ignore_signal(signal: c_int) {
    set_disposition(signal, libc::SIG_IGN);
}

/// Gives a signal its default meaning.
pub fn default_signal(signal: c_int) {
    set_disposition(signal, libc::SIG_DFL);
}

fn set_disposition(signal: c_int, disposition: libc::sighandler_t) {
    // What the kernel takes: a disposition, and no flags, restorer or mask. The C library's
    // call leaves out the signals that it keeps for itself, and a launcher can have made
    // even those ignored.
    let action: [u64; KERNEL_SIGACTION_WORDS] = [disposition as u64, 0, 0, 0];
    // SAFETY: `action` is as long as the kernel's structure on every architecture; no
    // handler is installed. It fails for SIGKILL and SIGSTOP only, which nobody can change.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            std::ptr::null_mut::<u64>(),
            std::mem::size_of::<u64>(),
        );
    }
}

/// Blocks no signal but those given.
pub fn set_blocked_signals(signals: &[c_int]) -> io::Result<()> {
    let set = signal_set(signals);
    // SAFETY: `set` is initialised; the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) })
}

/// A descriptor that is readable while one of the signals, which must be blocked, is pending.
pub fn signal_fd(signals: &[c_int]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: `set` is initialised.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(fd)?;
    // SAFETY: the call succeeded, so `fd` is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set, `sigaddset` changes an initialised one.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// Closes every descriptor from 3 on but the given ones, which become 3, 4, … and are
/// closed by an exec. Only for a process that never runs destructors of descriptors that
/// it had before: they would close what is now something else.
pub fn keep_only<const N: usize>(kept: [BorrowedFd<'_>; N]) -> io::Result<[OwnedFd; N]> {
    let first_closed = FIRST_FREE.saturating_add(RawFd::try_from(N).unwrap_or(RawFd::MAX));
    // First above all targets, so that placing one never overwrites another.
    let mut high = Vec::with_capacity(N);
    for fd in kept {
        high.push(fcntl_dupfd_cloexec(fd, first_closed)?);
    }
    for (target, fd) in (FIRST_FREE..).zip(&high) {
        // SAFETY: both are plain numbers to the kernel; what `target` was is given up.
        check(unsafe { libc::dup3(fd.as_raw_fd(), target, libc::O_CLOEXEC) })?;
    }
    std::mem::forget(high);
    close_from(first_closed)?;
    // SAFETY: `dup3` has opened these numbers and nothing else owns them.
    Ok(std::array::from_fn(|index| unsafe {
        OwnedFd::from_raw_fd(FIRST_FREE.saturating_add(RawFd::try_from(index).unwrap_or(RawFd::MAX)))
    }))
}

fn close_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: the caller gives up every descriptor from `first` on. Without the call
    // (Linux before 5.9) this is an error, never a silent success.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0 as libc::c_uint) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Replaces this process by a program. Returns only if that failed.
pub fn execute(path: &CStr, argv: &ByteStrings, env: &ByteStrings) -> io::Error {
    let argv = pointers(argv);
    let env = pointers(env);
    // SAFETY: both arrays end with a null pointer; the strings before it end with NUL and
    // live until the call has failed.
    unsafe {
        libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr());
    }
    io::Error::last_os_error()
}

/// Pointers to the strings, each of which ends with NUL in its block, and a null pointer.
fn pointers(strings: &ByteStrings) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr().cast())
        .chain(std::iter::once(std::ptr::null()))
        .collect()
}

fn check(result: c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
