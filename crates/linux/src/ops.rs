//! The ordered steps that turn a fresh process into a sandbox's PID 1, as data: they
//! are compiled by the host, printed by `--dry-run`, sent as bytes and interpreted by the
//! guest.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::seccomp::substitutes::{Substitutes, Tested};

/// Version of this form; guest and host must agree.
pub const VERSION: u32 = 4;

/// Largest encoded program, in bytes.
pub const MAX_PROGRAM_BYTES: usize = 1 << 20;

/// Everything the guest has to do before it serves commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// Trees of the host that later steps attach, opened before anything is covered.
    pub sources: Vec<Source>,
    /// The steps, in order.
    pub ops: Vec<Op>,
    /// What the guest does with each command later.
    pub guest: GuestSettings,
}

/// Settings of the guest that outlive the set-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSettings {
    /// Commands run in a second, nested Landlock domain, from which the guest cannot be
    /// signalled (Landlock ABI 6).
    pub nested_landlock: bool,
    /// Commands that may run at the same time.
    pub max_execs: u32,
    /// Where places of the file view really are, in a sandbox that cannot have them at their own.
    pub moved: Vec<Moved>,
    /// Where commands may ask the supervisor for something, as the file view has it.
    pub asks: Option<PathBuf>,
}

/// A place of the file view that is somewhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Where the view has it.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
}

/// Where a tree comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The guest opens it by path: it has the same rights as the supervisor (rootless).
    Path {
        /// Absolute path on the host.
        path: PathBuf,
        /// It must be the null device (character device 1:3).
        null_device: bool,
    },
    /// The supervisor opened it and passes it, already detached from the host's tree.
    Given,
}

/// Index into [`Program::sources`].
pub type SourceId = u32;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Take these ids of the own user namespace.
    TakeIds {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Give up supplementary groups (only a privileged supervisor's maps allow it).
        drop_groups: bool,
    },
    /// Join cgroups of version 1, by writing `0` to their `tasks` files: a single-threaded
    /// process does so in microseconds, where `cgroup.procs` waits for a grace period.
    /// The files come through the door at that moment: the supervisor makes the cgroups
    /// while the guest builds its root.
    JoinCgroups,
    /// Make the own cgroups the root of what can be seen of them.
    CgroupNamespace,
    /// Mount an empty file system in memory that becomes the root directory.
    NewRoot,
    /// Make an instance of procfs for the own PID namespace, while a full one is visible.
    PrepareProc,
    /// Make the overlay for a copy-on-write directory: the host's tree below, what was
    /// changed above. It gets the next number, from 0.
    PrepareOverlay {
        /// The host's directory.
        lower: SourceId,
        /// The directory that holds `upper` and `work`.
        changes: SourceId,
    },
    /// Change the root directory and detach the host's whole tree.
    EnterRoot,
    /// Make a directory in the new root.
    Directory {
        /// Where.
        at: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// Make a symbolic link in the new root.
    Symlink {
        /// Where.
        at: PathBuf,
        /// What it says.
        target: PathBuf,
    },
    /// Attach a tree of the host, without setuid and devices.
    Bind {
        /// Which.
        source: SourceId,
        /// Where.
        at: PathBuf,
        /// Directory or file.
        directory: bool,
        /// Writing through it is refused.
        read_only: bool,
    },
    /// Mount an empty private directory in memory.
    Private {
        /// Where.
        at: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Size limit in bytes.
        size_bytes: Option<u64>,
    },
    /// A read-only file with given content, over what stands there.
    File {
        /// Where.
        at: PathBuf,
        /// The content.
        content: Vec<u8>,
    },
    /// Attach a prepared overlay.
    AttachOverlay {
        /// Its number.
        number: u32,
        /// Where.
        at: PathBuf,
    },
    /// Attach the prepared procfs.
    AttachProc {
        /// Where.
        at: PathBuf,
    },
    /// Attach one device node of the host.
    Device {
        /// Which.
        source: SourceId,
        /// Where.
        at: PathBuf,
    },
    /// Mount an own instance of devpts.
    Terminals {
        /// Where.
        at: PathBuf,
    },
    /// Cover a file with the null device and a directory with an empty one, if it exists.
    Mask {
        /// What.
        at: PathBuf,
    },
    /// Refuse writing below a path that is already part of the new root, if it exists.
    ReadOnly {
        /// What.
        at: PathBuf,
    },
    /// Set the host name.
    Hostname(String),
    /// Bring the private loopback up.
    LoopbackUp,
    /// Refuse new user namespaces below ours.
    ForbidUserNamespaces,
    /// Write and remove a file where writing must be possible.
    WriteTest {
        /// Directory.
        at: PathBuf,
    },
    /// Forget all inherited descriptors but the link and the door.
    CloseSources,
    /// Remember how calls behave that the walls below must change.
    Baseline {
        /// Landlock will be applied: a file that can be read and that its rules leave out.
        landlock: Option<PathBuf>,
    },
    /// Remember that the supervisor can be signalled, which the walls below must change.
    SignalBaseline,
    /// Remember that these can be used, which the walls below must change.
    Canaries(Vec<Canary>),
    /// Open terminals while the host's can be reached. Commands get these and no others.
    OpenTerminals {
        /// How many.
        count: u32,
    },
    /// List the own descriptors and the environment, while /proc can be read: a supervisor without
    /// rights cannot read them of a process that is not dumpable.
    Inventory,
    /// Make a directory the root of all paths.
    ChangeRoot {
        /// Where it is on the host.
        at: PathBuf,
    },
    /// No capability can ever be gained: while the right to say so is still there.
    BoundCapabilities,
    /// Give up all capabilities, as far as that can be done without any: what executing could
    /// give is [`Op::NoNewPrivileges`]'s matter.
    ReleaseCapabilities,
    /// Start a process that kills all others of the sandbox when the guest has ended: where there
    /// is no PID namespace to do it.
    Keeper,
    /// No privileges can be gained by executing.
    NoNewPrivileges,
    /// Drop all capabilities for good.
    DropCapabilities,
    /// Nobody with our user id can read or trace the guest.
    NotDumpable,
    /// The kernel kills the guest when the supervisor's thread ends.
    DeathSignal,
    /// Repeat the file rules by Landlock.
    Landlock {
        /// Trees whose directories can be listed, without what files hold.
        list: Vec<PathBuf>,
        /// Readable and executable trees.
        read: Vec<PathBuf>,
        /// Writable trees.
        write: Vec<PathBuf>,
    },
    /// Install the system call filter.
    Seccomp {
        /// Leave namespaces to the workload.
        nested_namespaces: bool,
        /// Tell the supervisor before a process becomes another program. The descriptor on which
        /// it is told goes through the door.
        tell_starts: bool,
        /// Refused in place of walls that are not there.
        substitutes: Substitutes,
    },
    /// Compare with [`Op::Baseline`]: attests what cannot be read from outside.
    SelfTest,
}

/// Something that can be used before the walls stand, and not after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// How it is used.
    pub way: Way,
    /// What is used.
    pub path: PathBuf,
}

/// Ways to use a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Open it for reading.
    Read,
    /// Open it for writing.
    Write,
    /// Cut it to its own length, by its path.
    Truncate,
    /// List it.
    List,
    /// Make a file in it, and remove it.
    Create,
}

impl Op {
    /// Steps of sandboxes without namespaces.
    fn describe_jail(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignalBaseline => write!(out, "signal the supervisor once"),
            Self::Canaries(canaries) => write!(out, "use {} canaries once", canaries.len()),
            Self::OpenTerminals { count } => write!(out, "open {count} terminals"),
            Self::Inventory => write!(out, "list descriptors and environment"),
            Self::ChangeRoot { at } => write!(out, "change root to {}", at.display()),
            Self::BoundCapabilities => write!(out, "bound capabilities to none"),
            Self::ReleaseCapabilities => write!(out, "give up capabilities"),
            Self::Keeper => write!(out, "start the keeper"),
            other => write!(out, "{other:?}"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeIds { uid, gid, .. } => write!(out, "become user {uid}, group {gid}"),
            Self::JoinCgroups => write!(out, "join the cgroups"),
            Self::CgroupNamespace => write!(out, "make a cgroup namespace"),
            Self::NewRoot => write!(out, "mount an empty root in memory"),
            Self::PrepareProc => write!(out, "make an own procfs"),
            Self::PrepareOverlay { .. } => write!(out, "make an overlay"),
            Self::EnterRoot => write!(out, "change root, detach the host's tree"),
            Self::Directory { at, mode } => write!(out, "mkdir {} mode {mode:o}", at.display()),
            Self::Symlink { at, target } => write!(out, "symlink {} -> {}", at.display(), target.display()),
            Self::Bind { at, read_only, .. } => {
                write!(
                    out,
                    "bind {} {}",
                    at.display(),
                    if *read_only { "read-only" } else { "read-write" }
                )
            }
            Self::Private { at, mode, size_bytes } => {
                write!(out, "private {} mode {mode:o}", at.display())?;
                size_bytes.map_or(Ok(()), |size| write!(out, " size {size}"))
            }
            Self::File { at, content } => write!(out, "file {} ({} bytes)", at.display(), content.len()),
            Self::AttachOverlay { at, .. } => write!(out, "overlay {}", at.display()),
            Self::AttachProc { at } => write!(out, "proc {}", at.display()),
            Self::Device { at, .. } => write!(out, "device {}", at.display()),
            Self::Terminals { at } => write!(out, "devpts {}", at.display()),
            Self::Mask { at } => write!(out, "mask {}", at.display()),
            Self::ReadOnly { at } => write!(out, "read-only {}", at.display()),
            Self::Hostname(name) => write!(out, "host name {name}"),
            Self::LoopbackUp => write!(out, "loopback up"),
            Self::ForbidUserNamespaces => write!(out, "forbid user namespaces"),
            Self::WriteTest { at } => write!(out, "write test in {}", at.display()),
            Self::CloseSources => write!(out, "close descriptors"),
            Self::Baseline { .. } => write!(out, "take the self-test's base line"),
            Self::NoNewPrivileges => write!(out, "no new privileges"),
            Self::DropCapabilities => write!(out, "drop all capabilities"),
            Self::NotDumpable => write!(out, "make the guest untraceable"),
            Self::DeathSignal => write!(out, "die with the supervisor"),
            Self::Landlock {
                read,
                write: writable,
                ..
            } => {
                write!(
                    out,
                    "landlock: {} readable, {} writable trees",
                    read.len(),
                    writable.len()
                )
            }
            Self::Seccomp {
                nested_namespaces,
                tell_starts,
                ..
            } => {
                let when = |yes: bool, text: &'static str| if yes { text } else { "" };
                write!(
                    out,
                    "system call filter{}{}",
                    when(*nested_namespaces, ", namespaces left open"),
                    when(*tell_starts, ", program starts told to the supervisor"),
                )
            }
            Self::SelfTest => write!(out, "self-test"),
            jail => jail.describe_jail(out),
        }
    }
}

/// What the guest answers after the set-up, before any untrusted instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetupReply {
    /// Everything was applied and tested.
    Ready(Box<Attestation>),
    /// A step failed; the guest exits.
    Failed {
        /// The step, as printed by `--dry-run`.
        step: String,
        /// The system call that failed.
        call: String,
        /// Its errno; 0 where there is none.
        errno: i32,
    },
}

/// What a guest has from its launcher.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Numbers and what they refer to, as in /proc.
    pub descriptors: Vec<(i32, String)>,
    /// Bytes of the environment that it was executed with.
    pub environment_bytes: u64,
}

/// Trees that Landlock lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trees {
    /// Can be listed, without what files hold.
    pub list: Vec<PathBuf>,
    /// Can be read and executed.
    pub read: Vec<PathBuf>,
    /// Can be written.
    pub write: Vec<PathBuf>,
}

/// What the guest saw of its own confinement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Landlock: what the self-test saw, empty where it is not applied.
    pub landlock: Vec<String>,
    /// Landlock: what was let through.
    pub rules: Trees,
    /// Commands will run in a second, nested domain.
    pub nested_landlock: bool,
    /// Seccomp: what the self-test saw.
    pub seccomp: Vec<String>,
    /// What an attempt to start no program at all showed; empty where starts are not told.
    pub starts: String,
    /// The signal the kernel sends when the supervisor's thread ends, as read back.
    pub death_signal: Option<i32>,
    /// Whether the guest is dumpable, as read back.
    pub dumpable: Option<bool>,
    /// The limit on user namespaces below ours, as read back.
    pub max_user_namespaces: Option<u64>,
    /// Directories in which a file was written and removed.
    pub writable: Vec<PathBuf>,
    /// What the filter refuses in place of other walls.
    pub substitutes: Tested,
    /// Canaries that could be used before and not after.
    pub canaries: Vec<Canary>,
    /// Nothing outside of the sandbox can be signalled: the supervisor could, before, and
    /// cannot now.
    pub signals_kept: bool,
    /// The process that ends the sandbox after the guest, by its number.
    pub keeper: Option<i32>,
    /// What was open, and whether the environment was empty.
    pub inventory: Option<Inventory>,
    /// Numbers of the terminals that were opened, as in /dev/pts.
    pub terminals: Vec<u32>,
    /// Device and inode of the directory that became the root, where one did: what `/` and `/..`
    /// are now, and `/` was not before.
    pub root: Option<(u64, u64)>,
}
