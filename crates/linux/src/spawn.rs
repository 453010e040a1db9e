//! Starts the process that becomes a sandbox's guest: PID 1 of namespaces of its own, or a plain
//! child where the walls are others.

use std::ffi::{CString, NulError};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use crate::child::sys::{self, ChildMemory, ChildPlan, ChildStep, ProgramSource};
use crate::idmap::IdMap;

/// Namespaces made by `clone3`; the cgroup namespace follows in the guest, once it is in
/// its cgroups.
const NAMESPACES: [i32; 6] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWTIME,
];

/// Test only: a namespace that guests of this process do not get.
#[cfg(feature = "mutation")]
pub static LEFT_OUT: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

/// What is needed to start a guest.
pub struct SpawnRequest<'a> {
    /// The program and how to reach it.
    pub program: GuestImage<'a>,
    /// `argv`, at least one.
    pub arguments: &'a [String],
    /// Which namespaces it gets.
    pub namespaces: Namespaces,
    /// Cgroup v2 directory to start in. (On v1 the guest joins by itself, as a step.)
    pub into_cgroup: Option<Birthplace<'a>>,
    /// Become descriptors 3, 4 … of the guest.
    pub inherit: Vec<OwnedFd>,
}

/// The cgroup that a guest is born into.
#[derive(Clone, Copy, Debug)]
pub struct Birthplace<'a> {
    /// Its directory.
    pub directory: BorrowedFd<'a>,
    /// Its memory limit in bytes.
    pub memory_bytes: Option<u64>,
}

/// Below this limit the kernel may run out of memory before the child has a memory of its own.
/// An exec takes well below one MiB until then.
const ROOM_FOR_EXEC: u64 = 16 << 20;

impl Birthplace<'_> {
    /// Whether the child may be killed for its memory while it still shares ours: the kernel kills
    /// everybody who shares it then (`__oom_kill_process`, mm/oom_kill.c).
    fn is_tight(&self) -> bool {
        self.memory_bytes.is_some_and(|limit| limit < ROOM_FOR_EXEC)
    }
}

/// What a guest does not share with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Nothing is shared; the network only if it is asked for.
    Own {
        /// Own network namespace.
        network: bool,
    },
    /// Everything is: other walls have to stand.
    Shared,
}

/// Where the guest's program comes from.
pub enum GuestImage<'a> {
    /// A path that the child executes as it is: other walls have to keep it from being written.
    File(&'a Path),
    /// A detached mount that the supervisor made (it has the right to).
    Mount(OwnedFd),
    /// A path that the child opens and makes a detached mount of.
    Path(&'a Path),
}

/// The started guest.
pub struct Spawned {
    /// Process id as the supervisor sees it.
    pub pid: i32,
    /// Refers to exactly this process, for ever.
    pub pidfd: OwnedFd,
    errors: File,
    /// It has been waited for: its number may be another's.
    reaped: AtomicBool,
    /// The child uses it until it has executed the guest; that it has is only known when it
    /// answers or is dead, so it stays as long as this does.
    _memory: Box<ChildMemory>,
}

/// Why a guest could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A path or argument contains a null byte.
    #[error("the guest's program or arguments contain a null byte: {0}")]
    Nul(#[from] NulError),
    /// The program cannot be examined.
    #[error("cannot read the guest's program {path}: {source}")]
    Program {
        /// The program.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The process could not be made.
    #[error("cannot make the namespaces (clone3): {0}; {hint}", hint = clone_hint(.0))]
    Clone(std::io::Error),
    /// The id maps could not be written.
    #[error("cannot map user ids for the sandbox ({file}): {source}")]
    Maps {
        /// Which file.
        file: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The channel to the child could not be made or used.
    #[error("cannot talk to the new process: {0}")]
    Channel(std::io::Error),
    /// The child failed before it became the guest.
    #[error("the new process failed to {step}: {source}")]
    Child {
        /// What it was doing.
        step: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

fn clone_hint(error: &std::io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => {
            "user namespaces are forbidden here: check kernel.apparmor_restrict_unprivileged_userns and \
             kernel.unprivileged_userns_clone, or run as root"
        }
        Some(libc::ENOSPC | libc::EUSERS) => "a limit in /proc/sys/user/ is reached",
        Some(libc::ENOSYS) => "clone3 is blocked here (an outer sandbox's system call filter)",
        Some(libc::EAGAIN) => "the limit on processes is reached",
        Some(libc::EBUSY) => "the cgroup cannot hold processes",
        _ => "see clone(2)",
    }
}

/// Starts the guest. It blocks until its set-up program arrives on descriptor 4.
///
/// The calling thread must live as long as the sandbox: the guest asks the kernel to be
/// killed when its parent thread ends.
///
/// # Errors
/// [`SpawnError`]; no process is left then.
pub fn spawn(request: &SpawnRequest<'_>) -> Result<Spawned, SpawnError> {
    let arguments = request
        .arguments
        .iter()
        .map(|argument| CString::new(argument.as_str()));
    let (ours, theirs) = channel()?;
    let cloned = sys::clone_guest(ChildPlan {
        flags: request.namespaces.flags(),
        into_cgroup: request.into_cgroup.map(|birth| birth.directory.as_raw_fd()),
        shares_memory: !request.into_cgroup.is_some_and(|birth| birth.is_tight()),
        errors: theirs.as_raw_fd(),
        program: program_source(&request.program)?,
        arguments: arguments.collect::<Result<_, _>>()?,
        inherit: request.inherit.iter().map(AsRawFd::as_raw_fd).collect(),
    })
    .map_err(SpawnError::Clone)?;
    drop(theirs);
    Ok(Spawned {
        pid: cloned.pid,
        pidfd: cloned.pidfd,
        errors: File::from(ours),
        reaped: AtomicBool::new(false),
        _memory: cloned.memory,
    })
}

impl Namespaces {
    fn flags(self) -> u64 {
        let Self::Own { network } = self else { return 0 };
        let network = network.then_some(libc::CLONE_NEWNET);
        let flags = NAMESPACES.into_iter().chain(network);
        #[cfg(feature = "mutation")]
        let flags = flags.filter(|flag| *flag != LEFT_OUT.load(std::sync::atomic::Ordering::Relaxed));
        flags.map(i32::unsigned_abs).map(u64::from).sum()
    }
}

fn program_source(image: &GuestImage<'_>) -> Result<ProgramSource, SpawnError> {
    match image {
        GuestImage::Mount(fd) => Ok(ProgramSource::Mount(fd.as_raw_fd())),
        GuestImage::Path(at) | GuestImage::File(at) => {
            let failed = |source| SpawnError::Program {
                path: at.to_path_buf(),
                source,
            };
            let seen = std::fs::metadata(at).map_err(failed)?;
            let path = CString::new(at.as_os_str().as_bytes())?;
            Ok(ProgramSource::Path {
                path,
                device: seen.dev(),
                inode: seen.ino(),
                protect: matches!(image, GuestImage::Path(_)),
            })
        }
    }
}

fn channel() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| SpawnError::Channel(errno.into()))
}

impl Spawned {
    /// Writes the id maps. The guest waits for its set-up program, which must come after.
    ///
    /// # Errors
    /// [`SpawnError::Maps`], or why the child ended before.
    pub fn map_ids(&mut self, map: &IdMap) -> Result<(), SpawnError> {
        map.write(self.pid).map_err(|(file, source)| {
            let ended = self.errors_now();
            ended.unwrap_or(SpawnError::Maps { file, source })
        })
    }

    /// What the child has reported, without waiting.
    fn errors_now(&mut self) -> Option<SpawnError> {
        let alive = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::CONT).is_ok();
        if alive { None } else { self.early_failure() }
    }

    /// Why the child ended before it became the guest, if it did. Blocks until the child
    /// has executed the guest or ended.
    pub fn early_failure(&mut self) -> Option<SpawnError> {
        let mut report = [0u8; 5];
        self.errors.read_exact(&mut report).ok()?;
        let errno = i32::from_le_bytes([report[1], report[2], report[3], report[4]]);
        Some(SpawnError::Child {
            step: step_name(report[0]),
            source: std::io::Error::from_raw_os_error(errno),
        })
    }

    /// Kills the guest, and with it its PID namespace.
    pub fn kill(&self) {
        use rustix::process::{Pid, Signal, kill_process, pidfd_send_signal};
        if self.reaped.load(Ordering::Acquire) {
            return;
        }
        let result = pidfd_send_signal(&self.pidfd, Signal::KILL);
        if result.is_err()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // Nobody has waited for it, so its number is still its own. Either it has ended, or
            // an outer sandbox blocks the call above.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// How the guest ended, if it has; reaps it. Afterwards its number may be another's.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn try_wait(&self) -> std::io::Result<Option<WaitIdStatus>> {
        let status = waitid(
            WaitId::PidFd(self.pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        )?;
        if status.is_some() {
            self.reaped.store(true, Ordering::Release);
        }
        Ok(status)
    }

    /// Kills the guest and reaps it.
    pub fn kill_and_reap(&self) {
        if self.reaped.load(Ordering::Acquire) {
            return;
        }
        self.kill();
        if waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED).is_ok() {
            self.reaped.store(true, Ordering::Release);
        }
    }
}

/// Never leaves a process behind, and never frees the memory that it may still use.
impl Drop for Spawned {
    fn drop(&mut self) {
        self.kill_and_reap();
    }
}

fn step_name(step: u8) -> &'static str {
    const NAMES: [(ChildStep, &str); 4] = [
        (ChildStep::Capabilities, "keep its set-up capabilities"),
        (ChildStep::Program, "open the guest's program read-only"),
        (ChildStep::Descriptors, "place its descriptors"),
        (ChildStep::Execute, "execute the guest"),
    ];
    NAMES
        .iter()
        .find(|(known, _)| *known as u8 == step)
        .map_or("start", |(_, name)| name)
}

impl IdMap {
    /// Writes the maps of a process that waits in a new user namespace.
    pub(crate) fn write(&self, pid: i32) -> Result<(), (&'static str, std::io::Error)> {
        let put = |file: &'static str, text: &str| {
            File::options()
                .write(true)
                .open(format!("/proc/{pid}/{file}"))
                .and_then(|mut open| open.write_all(text.as_bytes()))
                .map_err(|error| (file, error))
        };
        if !self.privileged {
            // Required before an unprivileged gid_map (Linux 3.19, CVE-2014-8989).
            put("setgroups", "deny")?;
        }
        put("uid_map", &Self::text(&self.uids))?;
        put("gid_map", &Self::text(&self.gids))
    }
}
