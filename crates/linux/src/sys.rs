//! System calls that no library of ours wraps: `mount_setattr`, `clone3` and what a
//! child does between `clone3` and `execveat`.

// Kernel interfaces take descriptors, flags and lengths in types of other widths than Rust's;
// every conversion here is of a value that fits.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

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

/// Linux 5.7; libc's constant overflows its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the child does before it becomes the guest. All of it is prepared by the parent:
/// the child may be the copy of a process with many threads, so it must not allocate.
pub(crate) struct ChildPlan<'a> {
    /// `clone3` flags besides the pidfd.
    pub flags: u64,
    /// Cgroup v2 directory to start in.
    pub into_cgroup: Option<RawFd>,
    /// One byte arrives here when the id maps are written; errors are written to it.
    pub sync: RawFd,
    /// Ids to take inside, and whether supplementary groups can be dropped.
    pub uid: u32,
    pub gid: u32,
    pub drop_groups: bool,
    /// The program: a detached read-only mount, or a path with what it must turn out to be.
    pub program: ProgramSource<'a>,
    /// `argv`, null-terminated.
    pub argv: &'a [*const libc::c_char],
    /// Descriptors that become 3, 4 …
    pub inherit: &'a [RawFd],
}

pub(crate) enum ProgramSource<'a> {
    Mount(RawFd),
    Path { path: &'a CStr, device: u64, inode: u64 },
}

/// Steps of the child, in the order in which they can fail; sent as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ChildStep {
    WaitForMaps = 1,
    Ids,
    Capabilities,
    Program,
    Descriptors,
    Execute,
}

/// Clones the process; in the child this does not return.
/// Returns the child's pid (in our PID namespace) and its pidfd.
pub(crate) fn clone_guest(plan: &ChildPlan<'_>) -> io::Result<(i32, OwnedFd)> {
    let mut pidfd: libc::c_int = -1;
    let mut args = libc::clone_args {
        flags: plan.flags | libc::CLONE_PIDFD as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(cgroup) = plan.into_cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup as u64;
    }
    // SAFETY: `args` is a valid clone_args of the given size; without CLONE_VM the child has
    // its own copy of the memory and continues on its copy of this stack, like after fork.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_mut(&mut args),
            std::mem::size_of::<libc::clone_args>(),
        )
    };
    match pid {
        0 => child(plan),
        pid if pid > 0 => {
            // SAFETY: the kernel has stored a fresh descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok((pid as i32, pidfd))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs in the child: only system calls, no allocation, no locks.
fn child(plan: &ChildPlan<'_>) -> ! {
    let Err((step, errno)) = child_steps(plan);
    let mut report = [0u8; 5];
    report[0] = step as u8;
    report[1..].copy_from_slice(&errno.to_le_bytes());
    // SAFETY: writes from a live buffer of that size, then ends the process without
    // running any destructor of the copied parent.
    unsafe {
        libc::write(plan.sync, report.as_ptr().cast(), report.len());
        libc::_exit(125)
    }
}

type StepResult<T> = Result<T, (ChildStep, i32)>;

fn child_steps(plan: &ChildPlan<'_>) -> StepResult<std::convert::Infallible> {
    let program = open_program(&plan.program)?;
    wait_for_maps(plan.sync)?;
    take_ids(plan)?;
    keep_capabilities_across_exec()?;
    let program = place_descriptors(plan.inherit, program)?;
    let environment: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: argv and the environment are null-terminated arrays of C strings that live on.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program,
            c"".as_ptr(),
            plan.argv.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    check(ChildStep::Execute, result)?;
    Err((ChildStep::Execute, libc::EINVAL))
}

/// A detached, read-only mount of the program: `/proc/1/exe` cannot be opened for writing
/// through it (the lesson of CVE-2019-5736).
fn open_program(source: &ProgramSource<'_>) -> StepResult<RawFd> {
    let (path, device, inode) = match source {
        ProgramSource::Mount(fd) => return Ok(*fd),
        ProgramSource::Path { path, device, inode } => (path, *device, *inode),
    };
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint;
    // SAFETY: the path is a C string prepared by the parent.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    check(ChildStep::Program, fd)?;
    let fd = fd as RawFd;
    // SAFETY: all-zero is a valid `stat`; fstat fills it; the descriptor is ours.
    let seen = unsafe {
        let mut seen: libc::stat = std::mem::zeroed();
        check(ChildStep::Program, i64::from(libc::fstat(fd, &mut seen)))?;
        seen
    };
    if seen.st_dev != device || seen.st_ino != inode {
        return Err((ChildStep::Program, libc::ESTALE));
    }
    // SAFETY: the descriptor was just opened and stays open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let attr = MountAttr {
        set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
        ..MountAttr::default()
    };
    mount_setattr(borrowed, false, &attr)
        .map_err(|error| (ChildStep::Program, error.raw_os_error().unwrap_or(0)))?;
    Ok(fd)
}

fn wait_for_maps(sync: RawFd) -> StepResult<()> {
    let mut byte = 0u8;
    // SAFETY: a one-byte buffer that lives as long as the call.
    let count = unsafe { libc::read(sync, std::ptr::from_mut(&mut byte).cast(), 1) };
    if count == 1 {
        Ok(())
    } else {
        Err((ChildStep::WaitForMaps, libc::EPIPE))
    }
}

/// Raw system calls: libc's wrappers signal other threads, which do not exist here.
fn take_ids(plan: &ChildPlan<'_>) -> StepResult<()> {
    // SAFETY: plain system calls without pointers (an empty group list).
    unsafe {
        if plan.drop_groups {
            check(ChildStep::Ids, libc::syscall(libc::SYS_setgroups, 0, 0))?;
        }
        check(
            ChildStep::Ids,
            libc::syscall(libc::SYS_setresgid, plan.gid, plan.gid, plan.gid),
        )?;
        check(
            ChildStep::Ids,
            libc::syscall(libc::SYS_setresuid, plan.uid, plan.uid, plan.uid),
        )
    }
}

/// The ids inside are not root's, so capabilities of the new user namespace survive the
/// exec only as ambient ones. The guest drops them all when it has built the root.
fn keep_capabilities_across_exec() -> StepResult<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let mut data = [0u32; 6];
    // SAFETY: header and data have the layout of capget(2) version 3: two triples of
    // effective, permitted, inheritable.
    unsafe {
        check(
            ChildStep::Capabilities,
            libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()),
        )?;
        data[2] = data[1];
        data[5] = data[4];
        check(
            ChildStep::Capabilities,
            libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()),
        )?;
    }
    for capability in SETUP_CAPABILITIES {
        // SAFETY: prctl without pointers.
        let result = unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE,
                libc::c_ulong::from(*capability),
                0,
                0,
            )
        };
        check(ChildStep::Capabilities, i64::from(result))?;
    }
    Ok(())
}

/// What the set-up needs, by number (capabilities(7)): CHOWN, DAC_OVERRIDE,
/// DAC_READ_SEARCH, FOWNER and FSETID for the overlay, which copies up with the rights of
/// its mounter; SETPCAP, NET_ADMIN, SYS_ADMIN, SYS_RESOURCE for the steps themselves.
const SETUP_CAPABILITIES: &[u8] = &[0, 1, 2, 3, 4, 8, 12, 21, 24];

/// Moves the descriptors to 3, 4 … without close-on-exec; the program goes above them.
fn place_descriptors(inherit: &[RawFd], program: RawFd) -> StepResult<RawFd> {
    let first_free = 3 + inherit.len() as RawFd;
    // SAFETY: descriptor system calls without pointers; every descriptor stays open until
    // it has been copied, because the copies are made above all targets first.
    unsafe {
        let program = libc::fcntl(program, libc::F_DUPFD_CLOEXEC, first_free);
        check(ChildStep::Descriptors, i64::from(program))?;
        let mut high = [-1; 8];
        for (slot, fd) in high.iter_mut().zip(inherit) {
            *slot = libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, first_free);
            check(ChildStep::Descriptors, i64::from(*slot))?;
        }
        for (index, fd) in high.iter().enumerate().take(inherit.len()) {
            check(
                ChildStep::Descriptors,
                i64::from(libc::dup2(*fd, 3 + index as RawFd)),
            )?;
        }
        for fd in 0..3 {
            // Standard streams of the launcher do not pass; the guest opens its own.
            libc::close(fd);
        }
        Ok(program)
    }
}

fn check(step: ChildStep, result: i64) -> StepResult<()> {
    if result >= 0 {
        return Ok(());
    }
    // SAFETY: errno of this thread.
    Err((step, unsafe { *libc::__errno_location() }))
}

/// A child that only holds a new user namespace until `hold` is closed on our side.
pub(crate) fn clone_namespace_holder(hold: RawFd) -> io::Result<(i32, OwnedFd)> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is a valid clone_args.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (libc::CLONE_NEWUSER | libc::CLONE_PIDFD) as u64;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: as in `clone_guest`: a copy of this process on a copy of this stack.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_mut(&mut args),
            std::mem::size_of::<libc::clone_args>(),
        )
    };
    if pid == 0 {
        let mut byte = 0u8;
        // SAFETY: waits on a descriptor the parent holds the other end of, then ends
        // without running destructors.
        unsafe {
            libc::read(hold, std::ptr::from_mut(&mut byte).cast(), 1);
            libc::_exit(0)
        }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has stored a fresh descriptor that nobody else owns.
    Ok((pid as i32, unsafe { OwnedFd::from_raw_fd(pidfd) }))
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
