//! A child that shares the parent's memory, or has a copy of it, until it executes the guest, while
//! the parent goes on. (Copying the page tables and then every page that either side touches costs more
//! than half a millisecond where page faults are slow.) The child therefore must not allocate,
//! lock, panic, or touch `errno`, which it would share: it makes raw system calls only.
//! A smaller sibling only holds a user namespace open, for id-mapped mounts.

// Kernel interfaces take descriptors, flags and lengths in types of other widths than Rust's;
// every conversion here is of a value that fits.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::sys::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MountAttr};

/// Linux 5.7; libc's constant overflows its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Our memory is the child's.
const SHARED: u64 = libc::CLONE_VM as u64;
/// More than the child's few frames need.
const STACK_WORDS: usize = (32 << 10) / 16;
/// Most descriptors that can be passed.
const MAX_INHERITED: usize = 8;

/// What the child does. The parent prepares all of it.
pub(crate) struct ChildPlan {
    /// `clone3` flags besides the pidfd and the shared memory.
    pub flags: u64,
    /// Cgroup v2 directory to start in.
    pub into_cgroup: Option<RawFd>,
    /// Our memory is shared, not copied.
    pub shares_memory: bool,
    /// Errors are written here.
    pub errors: RawFd,
    /// The program: a detached read-only mount, or a path with what it must turn out to be.
    pub program: ProgramSource,
    /// `argv`.
    pub arguments: Vec<CString>,
    /// Descriptors that become 3, 4 …
    pub inherit: Vec<RawFd>,
}

pub(crate) enum ProgramSource {
    Mount(RawFd),
    Path {
        path: CString,
        device: u64,
        inode: u64,
        /// Make a mount of it that cannot be written through: needs a mount namespace of its own.
        protect: bool,
    },
}

/// Steps of the child, in the order in which they can fail; sent as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ChildStep {
    Program = 1,
    Capabilities,
    Descriptors,
    Execute,
}

/// What a child is for.
enum Work {
    /// Execute the guest.
    Guest {
        plan: ChildPlan,
        argv: Vec<*const libc::c_char>,
    },
    /// End when nobody else has the other end of a pipe.
    Hold { pipe: RawFd, other_end: RawFd },
}

/// What the child uses: it must live until the child has executed the guest or ended.
pub(crate) struct ChildMemory {
    work: Work,
    stack: Box<[MaybeUninit<u128>]>,
}

// SAFETY: the pointers are into the strings of the plan, which are never changed.
unsafe impl Send for ChildMemory {}
// SAFETY: as above; there is no access through a shared reference at all.
unsafe impl Sync for ChildMemory {}

/// The child's pid (in our PID namespace), its pidfd, and what it uses.
pub(crate) struct Cloned {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub memory: Box<ChildMemory>,
}

/// Starts the child that becomes the guest.
pub(crate) fn clone_guest(plan: ChildPlan) -> io::Result<Cloned> {
    if plan.inherit.len() > MAX_INHERITED {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut argv: Vec<*const libc::c_char> =
        plan.arguments.iter().map(|argument| argument.as_ptr()).collect();
    argv.push(std::ptr::null());
    let shared = if plan.shares_memory { SHARED } else { 0 };
    let (flags, into_cgroup) = (plan.flags | shared, plan.into_cgroup);
    start(Work::Guest { plan, argv }, flags, into_cgroup)
}

/// Starts a child that holds a new user namespace until the last other end of `pipe` is closed.
pub(crate) fn clone_holder(pipe: RawFd, other_end: RawFd) -> io::Result<Cloned> {
    let flags = libc::CLONE_NEWUSER as u64 | SHARED;
    start(Work::Hold { pipe, other_end }, flags, None)
}

fn start(work: Work, flags: u64, into_cgroup: Option<RawFd>) -> io::Result<Cloned> {
    let stack = vec![MaybeUninit::uninit(); STACK_WORDS].into_boxed_slice();
    let mut memory = Box::new(ChildMemory { work, stack });
    let mut pidfd: libc::c_int = -1;
    let args = libc::clone_args {
        flags: flags | libc::CLONE_PIDFD as u64 | into_cgroup.map_or(0, |_| CLONE_INTO_CGROUP),
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: memory.stack.as_mut_ptr() as u64,
        stack_size: std::mem::size_of_val(&*memory.stack) as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: into_cgroup.map_or(0, |cgroup| cgroup as u64),
    };
    let pid = with_signals_blocked(|| {
        // SAFETY: `args` is a valid clone_args; the child runs `child` on the stack that it
        // names, and everything that it reads is in `memory`, which the caller keeps, or in its
        // own copy of it.
        unsafe { clone_onto_stack(&args, &memory) }
    })?;
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(-pid as i32));
    }
    // SAFETY: the kernel has stored a fresh descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned {
        pid: pid as i32,
        pidfd,
        memory,
    })
}

/// A handler of ours must not run in the child, which would share what it touches. The
/// child keeps the mask; the guest resets it.
fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    // SAFETY: both sets are initialised by the calls that fill them.
    unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        let blocked = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        if blocked != 0 {
            return Err(io::Error::from_raw_os_error(blocked));
        }
        let result = work();
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        Ok(result)
    }
}

/// Returns in the parent only: the child's pid, or a negated errno.
///
/// # Safety
/// `args` must name a stack that is used by nobody else, and `memory` must outlive the
/// child's use of it.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_onto_stack(args: &libc::clone_args, memory: &ChildMemory) -> isize {
    let result: isize;
    // SAFETY: the child leaves with `call` on its own stack (16-byte aligned, as the ABI wants
    // it before a call) and never returns; in the parent only the result register changes.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, {memory}",
            "call {child}",
            "ud2",
            "2:",
            memory = in(reg) memory,
            child = sym child,
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") args,
            in("rsi") std::mem::size_of::<libc::clone_args>(),
            // Not `lateout`: the kernel clobbers them before `memory` is read.
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

/// As for x86-64.
///
/// # Safety
/// As for x86-64.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_onto_stack(args: &libc::clone_args, memory: &ChildMemory) -> isize {
    let result: isize;
    // SAFETY: as for x86-64.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, {memory}",
            "bl {child}",
            "brk 1",
            "2:",
            memory = in(reg) memory,
            child = sym child,
            in("x8") libc::SYS_clone3,
            inlateout("x0") args as *const libc::clone_args as isize => result,
            in("x1") std::mem::size_of::<libc::clone_args>(),
            out("x30") _,
        );
    }
    result
}

/// A system call that leaves `errno` alone: the result, or a negated errno.
///
/// # Safety
/// As for the call itself.
#[cfg(target_arch = "x86_64")]
unsafe fn raw(number: libc::c_long, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the kernel changes rax, rcx and r11 only, and what the arguments point to.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// As for x86-64.
///
/// # Safety
/// As for the call itself.
#[cfg(target_arch = "aarch64")]
unsafe fn raw(number: libc::c_long, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let result: isize;
    // SAFETY: the kernel changes x0 only, and what the arguments point to.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
        );
    }
    result
}

type StepResult<T> = Result<T, (ChildStep, i32)>;

/// A raw system call as part of a step.
macro_rules! call {
    ($step:expr, $number:expr $(, $argument:expr)*) => {{
        let given: &[usize] = &[$($argument as usize),*];
        let mut arguments = [0usize; 5];
        let mut index = 0;
        while index < given.len() && index < arguments.len() {
            arguments[index] = given[index];
            index += 1;
        }
        // SAFETY: every pointer among the arguments is to memory that lives through the
        // call and has the form that the call documents.
        let result = unsafe { raw($number, arguments) };
        if result < 0 { Err(($step, -result as i32)) } else { Ok(result as usize) }
    }};
}

/// Where the child begins.
extern "C" fn child(memory: &ChildMemory) -> ! {
    let code = match &memory.work {
        Work::Guest { plan, argv } => {
            let Err(failed) = run(plan, argv);
            report(plan.errors, failed);
            125
        }
        Work::Hold { pipe, other_end } => hold(*pipe, *other_end),
    };
    loop {
        let _ = call!(ChildStep::Execute, libc::SYS_exit_group, code);
    }
}

fn report(errors: RawFd, (step, errno): (ChildStep, i32)) {
    let errno = errno.to_le_bytes();
    let report = [step as u8, errno[0], errno[1], errno[2], errno[3]];
    let _ = call!(step, libc::SYS_write, errors, report.as_ptr(), report.len());
}

/// Gives up its own copy of the end whose closing it waits for.
fn hold(pipe: RawFd, other_end: RawFd) -> i32 {
    let mut byte = 0u8;
    let _ = call!(ChildStep::Execute, libc::SYS_close, other_end);
    let _ = call!(
        ChildStep::Execute,
        libc::SYS_read,
        pipe,
        std::ptr::from_mut(&mut byte),
        1
    );
    0
}

fn run(plan: &ChildPlan, argv: &[*const libc::c_char]) -> StepResult<std::convert::Infallible> {
    let program = open_program(&plan.program)?;
    if plan.flags & libc::CLONE_NEWUSER as u64 != 0 {
        keep_capabilities_across_exec()?;
    }
    let program = place_descriptors(&plan.inherit, program)?;
    // The launcher's may switch off the randomness of addresses.
    call!(ChildStep::Execute, libc::SYS_personality, 0)?;
    let environment: [*const libc::c_char; 1] = [std::ptr::null()];
    call!(
        ChildStep::Execute,
        libc::SYS_execveat,
        program,
        c"".as_ptr(),
        argv.as_ptr(),
        environment.as_ptr(),
        libc::AT_EMPTY_PATH
    )?;
    Err((ChildStep::Execute, libc::EINVAL))
}

/// A detached, read-only mount of the program: `/proc/1/exe` cannot be opened for writing
/// through it (the lesson of CVE-2019-5736).
fn open_program(source: &ProgramSource) -> StepResult<usize> {
    const OPEN_TREE_CLONE: usize = 1;
    const STEP: ChildStep = ChildStep::Program;
    let (path, device, inode, protect) = match source {
        ProgramSource::Mount(fd) => return Ok(*fd as usize),
        ProgramSource::Path {
            path,
            device,
            inode,
            protect,
        } => (path, *device, *inode, *protect),
    };
    let tree = if protect {
        let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as usize;
        call!(STEP, libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags)?
    } else {
        let flags = libc::O_PATH | libc::O_CLOEXEC;
        call!(STEP, libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0)?
    };
    let mut seen = MaybeUninit::<libc::stat>::uninit();
    call!(STEP, libc::SYS_fstat, tree, seen.as_mut_ptr())?;
    // SAFETY: fstat succeeded, so it has filled the structure.
    let seen = unsafe { seen.assume_init() };
    if seen.st_dev != device || seen.st_ino != inode {
        return Err((STEP, libc::ESTALE));
    }
    if !protect {
        return Ok(tree);
    }
    let set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    let attr = MountAttr {
        set,
        ..MountAttr::default()
    };
    let size = std::mem::size_of::<MountAttr>();
    let attr = std::ptr::from_ref(&attr);
    call!(
        STEP,
        libc::SYS_mount_setattr,
        tree,
        c"".as_ptr(),
        libc::AT_EMPTY_PATH,
        attr,
        size
    )?;
    Ok(tree)
}

/// The ids are not root's inside (they are not even mapped yet), so capabilities of the new
/// user namespace survive the exec only as ambient ones. The guest takes its ids when the
/// supervisor has written the maps, and drops all capabilities when it has built the root.
fn keep_capabilities_across_exec() -> StepResult<()> {
    const STEP: ChildStep = ChildStep::Capabilities;
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    // Two triples of effective, permitted, inheritable (capget(2), version 3).
    let mut sets = [0u32; 6];
    call!(STEP, libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr())?;
    sets[2] = sets[1];
    sets[5] = sets[4];
    call!(STEP, libc::SYS_capset, header.as_ptr(), sets.as_ptr())?;
    for capability in SETUP_CAPABILITIES {
        call!(
            STEP,
            libc::SYS_prctl,
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_RAISE,
            *capability,
            0,
            0
        )?;
    }
    Ok(())
}

/// What the set-up needs, by number (capabilities(7)): CHOWN, DAC_OVERRIDE,
/// DAC_READ_SEARCH, FOWNER and FSETID for the overlay, which copies up with the rights of
/// its mounter; SETGID, SETUID, SETPCAP, NET_ADMIN, SYS_ADMIN, SYS_RESOURCE for the steps.
const SETUP_CAPABILITIES: &[u8] = &[0, 1, 2, 3, 4, 6, 7, 8, 12, 21, 24];

/// Moves the descriptors to 3, 4 … without close-on-exec; the program goes above them. All
/// copies are made above the targets first, so none is overwritten before it is moved. The
/// standard streams of the launcher do not pass: the guest opens its own.
fn place_descriptors(inherit: &[RawFd], program: usize) -> StepResult<usize> {
    const STEP: ChildStep = ChildStep::Descriptors;
    let first_free = 3 + inherit.len();
    let program = call!(STEP, libc::SYS_fcntl, program, libc::F_DUPFD_CLOEXEC, first_free)?;
    let mut high = [0usize; MAX_INHERITED];
    for (slot, fd) in high.iter_mut().zip(inherit) {
        *slot = call!(STEP, libc::SYS_fcntl, *fd, libc::F_DUPFD_CLOEXEC, first_free)?;
    }
    for (target, fd) in (3..first_free).zip(high) {
        call!(STEP, libc::SYS_dup3, fd, target, 0)?;
    }
    for stream in 0..3usize {
        // It may be closed already.
        let _ = call!(STEP, libc::SYS_close, stream);
    }
    Ok(program)
}
