//! System calls that no library of ours wraps: `mount_setattr`, `clone3` and what a
//! child does between `clone3` and `execveat`.

// Kernel interfaces take descriptors, flags and lengths in types of other widths than Rust's;
// every conversion here is of a value that fits.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

/// `struct mount_attr` of mount_setattr(2), Linux 5.12.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MountAttr {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}

pub(crate) const MOUNT_ATTR_RDONLY: u64 = 0x1;
pub(crate) const MOUNT_ATTR_NOSUID: u64 = 0x2;
pub(crate) const MOUNT_ATTR_NODEV: u64 = 0x4;
pub(crate) const MOUNT_ATTR_NOEXEC: u64 = 0x8;
pub(crate) const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
pub(crate) const MS_PRIVATE: u64 = 1 << 18;

/// Changes the flags of the mount at `fd`, and of those below it if `recursive`.
pub(crate) fn mount_setattr(fd: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a valid C string, `attr` outlives the call and its size is its own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            std::mem::size_of::<MountAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes real, effective and saved ids; without supplementary groups if they can be dropped.
/// System calls rather than the C library's functions, which speak to other threads.
pub(crate) fn take_ids(uid: u32, gid: u32, drop_groups: bool) -> io::Result<()> {
    let check = |result: libc::c_long| {
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: plain system calls; the list of groups is empty.
    unsafe {
        if drop_groups {
            check(libc::syscall(
                libc::SYS_setgroups,
                0,
                std::ptr::null::<libc::gid_t>(),
            ))?;
        }
        check(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        check(libc::syscall(libc::SYS_setresuid, uid, uid, uid))
    }
}

/// Asks whether the parent could be signalled.
pub(crate) fn signal_parent() -> Result<(), Errno> {
    // SAFETY: plain system calls; signal 0 only asks.
    let result = unsafe { libc::kill(libc::getppid(), 0) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// truncate(2), which rustix has for descriptors only.
pub(crate) fn truncate(path: &Path, length: i64) -> Result<(), Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the path is a valid C string.
    let result = unsafe { libc::truncate(path.as_ptr(), length) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// Starts a process that waits until this one has ended, and then kills all that it can reach:
/// only for a process whose signals reach nothing outside of its sandbox. It has no descriptors,
/// no name of ours to signal by and hears no signal but SIGKILL; `wait` does not see it, because
/// its end sends none.
pub(crate) fn start_keeper() -> io::Result<i32> {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())?;
    // SAFETY: without flags and stack it is fork(2) with another signal at the end: the child has
    // a copy of everything, and this process has a single thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if pid == 0 {
        keep(own.as_raw_fd())
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pid as i32)
}

/// How often the keeper kills. Once is enough: the kernel reaches what is just being forked, too (Linux
/// 4.19), so there is nothing to wait for in between, while a run waits for the keeper. Whether something is left its answer does not tell: where other processes exist
/// it is 0, though none of them was allowed to be signalled.
const KEEPER_ROUNDS: u32 = 3;

/// What the keeper does, until its end.
fn keep(guest: RawFd) -> ! {
    keep_to_oneself(c"stockade-keeper", guest, guest);
    wait_for(guest);
    // SAFETY: plain system calls. No destructor of the copied process runs.
    unsafe {
        for _ in 0..KEEPER_ROUNDS {
            if libc::kill(-1, libc::SIGKILL) != 0 {
                break;
            }
        }
        libc::_exit(0)
    }
}

/// Starts a process that waits until this one has ended, and then writes a word to a file. It has no
/// other descriptors and hears no signal but SIGKILL; who started it has to [`end_writer`] it.
pub(crate) fn start_writer(file: BorrowedFd<'_>, word: &'static [u8]) -> io::Result<i32> {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())?;
    let (own, file) = (own.as_raw_fd(), file.as_raw_fd());
    // SAFETY: as in `start_keeper`, but this process may have other threads: the child, which has
    // none of them, makes plain system calls and takes no lock.
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if pid == 0 {
        keep_to_oneself(c"stockade-thaw", own, file);
        wait_for(own);
        // SAFETY: the word is static. No destructor of the copied process runs.
        unsafe {
            libc::write(file, word.as_ptr().cast(), word.len());
            libc::_exit(0)
        }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pid as i32)
}

/// Ends a process of [`start_writer`] before it has written, and waits until it is gone.
pub(crate) fn end_writer(pid: i32) {
    // SAFETY: plain system calls; it is a child that nobody else waits for, so the number is its own.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        while libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
}

/// Lets a copied process have nothing of the other's but two descriptors, in any order.
fn keep_to_oneself(name: &std::ffi::CStr, one: RawFd, other: RawFd) {
    let (low, high) = (one.min(other) as libc::c_uint, one.max(other) as libc::c_uint);
    let close = |first: libc::c_uint, last: libc::c_uint| {
        if first <= last {
            // SAFETY: a plain system call; nothing of this process uses those descriptors.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0 as libc::c_uint) };
        }
    };
    // SAFETY: plain system calls; the set is filled before it is used.
    unsafe {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
    }
    if low > 0 {
        close(0, low - 1);
    }
    if low < high {
        close(low + 1, high - 1);
    }
    close(high + 1, libc::c_uint::MAX);
}

/// Returns when a process has ended.
fn wait_for(process: RawFd) {
    loop {
        let mut poll = libc::pollfd {
            fd: process,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the structure outlives the call.
        if unsafe { libc::poll(&raw mut poll, 1, -1) } == 1 {
            return;
        }
    }
}

/// Makes a cgroup namespace whose root is the cgroup that we are in.
pub(crate) fn cgroup_namespace() -> io::Result<()> {
    // SAFETY: plain system call without pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWCGROUP) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Brings the loopback interface of the current network namespace up.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: a plain socket; the request is a zeroed ifreq with a terminated name; the
    // descriptor is closed by its owner on every path.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        if libc::ioctl(fd.as_raw_fd(), libc::SIOCSIFFLAGS, &request) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Tries to lock one byte of a file for the open file description (fcntl(2), F_OFD_SETLK):
/// the lock ends with the last copy of the descriptor.
///
/// # Errors
/// `EAGAIN` if another description holds it.
pub fn lock_byte(file: BorrowedFd<'_>, offset: u32) -> io::Result<()> {
    // SAFETY: all-zero is a valid `flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = libc::off_t::from(offset);
    lock.l_len = 1;
    // SAFETY: the structure outlives the call.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, std::ptr::from_ref(&lock)) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes ownership of a descriptor that was inherited by number.
///
/// # Errors
/// `EBADF` if it is not open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD has no pointers.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and by contract each inherited number is taken once.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    // SAFETY: F_SETFD has no pointers.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    Ok(fd)
}
