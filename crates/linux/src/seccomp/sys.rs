//! Installing a filter, and calls that show whether it works.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_long, c_ulong, sock_filter, sock_fprog};
use rustix::io::Errno;

/// Adds a filter to the calling thread and all that it starts.
pub(super) fn add_filter(program: &[sock_filter]) -> Result<(), Errno> {
    set_mode_filter(program, 0).map(drop)
}

/// The same for a filter that asks a supervisor; gives the descriptor on which it is asked.
/// Once it has heard of a call, only a deadly signal interrupts that (Linux 5.19).
pub(super) fn add_filter_with_listener(program: &[sock_filter]) -> Result<OwnedFd, Errno> {
    let number = set_mode_filter(program, LISTENING)?;
    let number = i32::try_from(number).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

const LISTENING: c_ulong =
    libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

fn set_mode_filter(program: &[sock_filter], flags: c_ulong) -> Result<c_long, Errno> {
    let program = sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel only reads `len` instructions at `filter`, which outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(&program),
        )
    };
    outcome(result).map(|()| result)
}

/// Whether the kernel knows what [`add_filter_with_listener`] needs. Nothing is installed.
pub(super) fn can_listen() -> Result<(), Errno> {
    let action: u32 = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the kernel only reads the action, which outlives the call.
    let available = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0 as c_ulong,
            std::ptr::from_ref(&action),
        )
    };
    outcome(available)?;
    let mut sizes = libc::seccomp_notif_sizes {
        seccomp_notif: 0,
        seccomp_notif_resp: 0,
        seccomp_data: 0,
    };
    // SAFETY: the kernel writes three numbers of 16 bits, for which there is room.
    let sized = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_NOTIF_SIZES,
            0 as c_ulong,
            std::ptr::from_mut(&mut sizes),
        )
    };
    outcome(sized)?;
    if usize::from(sizes.seccomp_notif) > size_of::<libc::seccomp_notif>()
        || usize::from(sizes.seccomp_notif_resp) > size_of::<libc::seccomp_notif_resp>()
    {
        // It would write beyond what we have room for.
        return Err(Errno::OPNOTSUPP);
    }
    // SAFETY: flags are looked at before the program, which is nowhere.
    let flags = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            LISTENING,
            std::ptr::null::<sock_fprog>(),
        )
    };
    match outcome(flags) {
        Err(Errno::FAULT) => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(Errno::INVAL),
    }
}

/// `SECCOMP_IOCTL_NOTIF_*` (linux/seccomp.h), the same on all architectures served.
const RECEIVE: c_ulong = 0xc050_2100;
const SEND: c_ulong = 0xc018_2101;
const ID_VALID: c_ulong = 0x4008_2102;
const SET_FLAGS: c_ulong = 0x4008_2104;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6).
const SYNC_WAKE_UP: c_ulong = 1;

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, in the width that the answer has.
const CONTINUE: u32 = 1;

/// Takes the next question.
pub(super) fn receive(listener: BorrowedFd<'_>) -> Result<libc::seccomp_notif, Errno> {
    // SAFETY: it consists of numbers, all of which may be zero; the kernel wants them to be.
    let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills what there is room for: `can_listen` has compared the sizes.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE as _, std::ptr::from_mut(&mut asked)) };
    outcome(result.into()).map(|()| asked)
}

/// Lets the call go on, as if nobody had been asked.
pub(super) fn go_on(listener: BorrowedFd<'_>, id: u64) -> Result<(), Errno> {
    let mut answer = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: 0,
        flags: CONTINUE,
    };
    // SAFETY: the kernel only reads the answer.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), SEND as _, std::ptr::from_mut(&mut answer)) };
    outcome(result.into())
}

/// Whether the caller still waits, and so was the process of that number all the time.
pub(super) fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel only reads the id.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID as _, std::ptr::from_ref(&id)) };
    result == 0
}

/// Caller and supervisor take turns on one processor.
pub(super) fn wake_in_turns(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the flags are passed as a number.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS as _, SYNC_WAKE_UP) };
    outcome(result.into())
}

/// Copies memory of another process: of each place as many bytes as `into` has room for in
/// its turn. Gives how many bytes were copied; it stops at the first place that is not there.
pub(super) fn read_memory(process: u32, places: &[(u64, usize)], into: &mut [u8]) -> Result<usize, Errno> {
    let wanted: usize = places.iter().map(|(_, length)| *length).sum();
    if wanted > into.len() {
        return Err(Errno::INVAL);
    }
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: wanted,
    };
    let remote: Vec<libc::iovec> = places
        .iter()
        .map(|(address, length)| libc::iovec {
            iov_base: std::ptr::with_exposed_provenance_mut(usize::try_from(*address).unwrap_or(0)),
            iov_len: *length,
        })
        .collect();
    let process = i32::try_from(process).map_err(|_| Errno::SRCH)?;
    let count = c_ulong::try_from(remote.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel writes at most `wanted` bytes to `into`, which has room for them; the
    // other addresses are another process's, and only looked up there.
    let result = unsafe { libc::process_vm_readv(process, &raw const local, 1, remote.as_ptr(), count, 0) };
    let copied = c_long::try_from(result).unwrap_or(-1);
    outcome(copied).map(|()| usize::try_from(result).unwrap_or(0))
}

/// `PIDFD_GET_INFO` (linux/pidfd.h): Linux 6.13, ends of processes 6.15.
const PIDFD_GET_INFO: c_ulong = 0xc040_ff0b;
/// The mask's bit for how a process ended.
pub(super) const INFO_EXIT: u64 = 1 << 3;

/// `struct pidfd_info` in its first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PidInfo {
    pub mask: u64,
    pub cgroup: u64,
    pub pid: u32,
    pub tgid: u32,
    pub ppid: u32,
    pub ids: [u32; 8],
    pub exit_code: i32,
}

/// What the kernel says of a process.
pub(super) fn pid_info(pidfd: BorrowedFd<'_>, mask: u64) -> Result<PidInfo, Errno> {
    const { assert!(size_of::<PidInfo>() == 64) };
    let mut info = PidInfo {
        mask,
        ..PidInfo::default()
    };
    // SAFETY: the request's number holds the size, and the kernel writes no more than that.
    let result = unsafe {
        libc::ioctl(
            pidfd.as_raw_fd(),
            PIDFD_GET_INFO as _,
            std::ptr::from_mut(&mut info),
        )
    };
    outcome(result.into()).map(|()| info)
}

/// `execve("", NULL, NULL)`: executes nothing.
pub(super) fn execute_nothing() -> Result<(), Errno> {
    // SAFETY: there is no program of an empty name, so the kernel returns from the call.
    outcome(unsafe {
        libc::syscall(
            libc::SYS_execve,
            c"".as_ptr(),
            std::ptr::null::<u8>(),
            std::ptr::null::<u8>(),
        )
    })
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

/// `shmget` of a segment without size.
pub(super) fn shared_memory_of_nothing() -> Result<(), Errno> {
    // SAFETY: plain system call; a size of zero is refused, so no segment is made.
    outcome(unsafe { libc::syscall(libc::SYS_shmget, libc::IPC_PRIVATE, 0 as c_ulong, 0 as c_long) })
}

/// `mq_open` without a name.
pub(super) fn queue_without_a_name() -> Result<(), Errno> {
    // SAFETY: the name is a null pointer, which the kernel refuses to read.
    outcome(unsafe {
        libc::syscall(
            libc::SYS_mq_open,
            std::ptr::null::<u8>(),
            0 as c_long,
            0 as c_long,
            0 as c_long,
        )
    })
}

/// `fchmodat` of an empty name, which no file has.
pub(super) fn mode_of_nothing() -> Result<(), Errno> {
    // SAFETY: the name is a valid C string.
    outcome(unsafe { libc::syscall(libc::SYS_fchmodat, libc::AT_FDCWD, c"".as_ptr(), 0 as c_long) })
}

/// `fchmod(-1)`.
pub(super) fn mode_of_no_descriptor() -> Result<(), Errno> {
    // SAFETY: no descriptor is -1, so the kernel stops there.
    outcome(unsafe { libc::syscall(libc::SYS_fchmod, -1, 0 as c_long) })
}

/// `utimensat(-1, NULL, NULL)`.
pub(super) fn times_of_no_descriptor() -> Result<(), Errno> {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: no descriptor is -1, so the kernel stops there; the times are none.
    outcome(unsafe { libc::syscall(libc::SYS_utimensat, -1, nothing, nothing, 0 as c_long) })
}

/// `fsetxattr(-1)`.
pub(super) fn attribute_of_no_descriptor() -> Result<(), Errno> {
    let name = c"user.stockade".as_ptr();
    // SAFETY: no descriptor is -1; name and value are valid for the lengths given.
    outcome(unsafe { libc::syscall(libc::SYS_fsetxattr, -1, name, name, 0 as c_ulong, 0 as c_long) })
}

/// `prlimit64` of a process that cannot be.
pub(super) fn limits_of_nobody() -> Result<(), Errno> {
    let nothing = std::ptr::null::<u8>();
    // SAFETY: no process has this number; both limits are none.
    outcome(unsafe { libc::syscall(libc::SYS_prlimit64, -1, libc::RLIMIT_CORE, nothing, nothing) })
}

/// `setpriority` of a process that cannot be.
pub(super) fn priority_of_nobody() -> Result<(), Errno> {
    // SAFETY: no process has this number.
    outcome(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, -1, 0) })
}

/// `sched_setaffinity` of a process that cannot be.
pub(super) fn processors_of_nobody() -> Result<(), Errno> {
    let mask = [0u64; 1];
    // SAFETY: no process has this number; the mask is as long as is said.
    outcome(unsafe { libc::syscall(libc::SYS_sched_setaffinity, -1, size_of_val(&mask), mask.as_ptr()) })
}

/// `unshare` with CLONE_NEWUSER and a bit that is no flag of it.
pub(super) fn impossible_namespaces() -> Result<(), Errno> {
    const NO_FLAG: c_long = 1;
    let flags = c_long::from(libc::CLONE_NEWUSER) | NO_FLAG;
    // SAFETY: plain system call; the kernel refuses unknown flags before it does anything.
    outcome(unsafe { libc::syscall(libc::SYS_unshare, flags) })
}

fn outcome(result: c_long) -> Result<(), Errno> {
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}
