//! Installing a filter, and calls that show whether it works.

use libc::{c_long, c_ulong, sock_filter, sock_fprog};
use rustix::io::Errno;

/// Adds a filter to the calling thread and all that it starts.
pub(super) fn add_filter(program: &[sock_filter]) -> Result<(), Errno> {
    let program = sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel only reads `len` instructions at `filter`, which outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0 as c_ulong,
            std::ptr::from_ref(&program),
        )
    };
    outcome(result)
}

/// Whether the kernel can kill a process by filter, the newest thing that ours need.
pub(super) fn can_kill_process() -> Result<(), Errno> {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the kernel only reads the action, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0 as c_ulong,
            std::ptr::from_ref(&action),
        )
    };
    outcome(result)
}

/// `ioctl(-1, TIOCSTI, NULL)`: types nothing anywhere.
pub(super) fn type_into_nothing() -> Result<(), Errno> {
    // SAFETY: no descriptor is -1, so the kernel stops there.
    outcome(unsafe { libc::syscall(libc::SYS_ioctl, -1, libc::TIOCSTI, std::ptr::null::<u8>()) })
}

/// `keyctl` with an operation that no kernel has.
pub(super) fn unknown_key_operation() -> Result<(), Errno> {
    const NO_OPERATION: c_long = 0x7fff_0000;
    // SAFETY: an unknown operation touches nothing.
    outcome(unsafe { libc::syscall(libc::SYS_keyctl, NO_OPERATION, 0 as c_long, 0 as c_long) })
}

/// `io_uring_setup` of a ring without entries and without parameters.
pub(super) fn ring_of_nothing() -> Result<(), Errno> {
    // SAFETY: the parameters are a null pointer, which the kernel refuses to read.
    outcome(unsafe { libc::syscall(libc::SYS_io_uring_setup, 0 as c_long, std::ptr::null::<u8>()) })
}

fn outcome(result: c_long) -> Result<(), Errno> {
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}
