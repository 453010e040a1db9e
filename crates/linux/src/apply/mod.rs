//! Interprets a [`Program`] in the process that becomes a sandbox's PID 1. The process is
//! single-threaded since its exec; it leaves here confined or not at all.

mod canary;
mod inventory;
mod mounts;
mod place;
mod privileges;
mod terminals;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::ops::{Attestation, Op, Program, Source, VERSION};
use crate::sys;

use self::mounts::Sources;
use self::privileges::Confinement;

pub use self::terminals::Terminal;

/// A step that failed: the set-up stops there and the guest ends.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {}", self.cause())]
pub struct ApplyError {
    /// The step, as printed by `--dry-run`.
    pub step: String,
    /// The call that failed, with its object; empty where the cause names it.
    pub call: String,
    /// The cause.
    pub source: io::Error,
}

impl ApplyError {
    /// The call and what the kernel said.
    #[must_use]
    pub fn cause(&self) -> String {
        if self.call.is_empty() {
            self.source.to_string()
        } else {
            format!("{}: {}", self.call, self.source)
        }
    }
}

/// What one call of a step reports: its name and the cause.
pub type CallResult<T = ()> = Result<T, (String, io::Error)>;

/// Adds the name of the call to an error.
pub(crate) trait InCall<T> {
    /// `describe` runs only on failure.
    fn in_call<S: Into<String>>(self, describe: impl FnOnce() -> S) -> CallResult<T>;
}

impl<T, E: Into<io::Error>> InCall<T> for Result<T, E> {
    fn in_call<S: Into<String>>(self, describe: impl FnOnce() -> S) -> CallResult<T> {
        self.map_err(|error| (describe().into(), error.into()))
    }
}

/// State between steps.
struct State {
    sources: Sources,
    proc: Option<OwnedFd>,
    overlays: Vec<Option<OwnedFd>>,
    root: Option<OwnedFd>,
    confinement: Confinement,
    attestation: Attestation,
    terminals: Vec<Terminal>,
}

/// What the set-up leaves.
#[derive(Debug)]
pub struct Applied {
    /// What was seen of the confinement.
    pub attestation: Attestation,
    /// Terminals for commands, where no more can be opened later.
    pub terminals: Vec<Terminal>,
}

/// The way to the supervisor for descriptors, while the steps run.
pub trait Door {
    /// Waits for some that it passes.
    ///
    /// # Errors
    /// It is gone.
    fn receive(&mut self) -> io::Result<Vec<OwnedFd>>;
    /// Passes one to it, and keeps none.
    ///
    /// # Errors
    /// It is gone.
    fn pass(&mut self, descriptor: OwnedFd) -> io::Result<()>;
}

/// Applies all steps. `given` are the trees that the supervisor passed, in the order of
/// the program's [`Source::Given`] entries; `keep` are descriptors that stay open; through
/// `door` go those that come later.
///
/// # Errors
/// The first step that failed. The process must end then.
pub fn apply(
    program: &Program,
    given: Vec<OwnedFd>,
    keep: &[i32],
    door: &mut dyn Door,
) -> Result<Applied, ApplyError> {
    let failed = |step: &dyn std::fmt::Display, (call, source)| ApplyError {
        step: step.to_string(),
        call,
        source,
    };
    if program.version != VERSION {
        let error = io::Error::other(format!("version {} instead of {VERSION}", program.version));
        return Err(failed(
            &"read the program",
            ("compare versions".to_owned(), error),
        ));
    }
    let sources =
        Sources::open(&program.sources, given).map_err(|error| failed(&"open the host's trees", error))?;
    let mut state = State {
        sources,
        proc: None,
        overlays: Vec::new(),
        root: None,
        confinement: Confinement::default(),
        attestation: Attestation {
            nested_landlock: program.guest.nested_landlock,
            ..Attestation::default()
        },
        terminals: Vec::new(),
    };
    for op in &program.ops {
        state.step(op, keep, door).map_err(|error| failed(op, error))?;
    }
    Ok(Applied {
        attestation: state.attestation,
        terminals: state.terminals,
    })
}

impl State {
    fn step(&mut self, op: &Op, keep: &[i32], door: &mut dyn Door) -> CallResult {
        match op {
            Op::TakeIds {
                uid,
                gid,
                drop_groups,
            } => sys::take_ids(*uid, *gid, *drop_groups).in_call(|| "setresuid")?,
            Op::JoinCgroups => {
                for tasks in door.receive().in_call(|| "receive the cgroups' tasks files")? {
                    rustix::io::write(&tasks, b"0").in_call(|| "write 0 to a cgroup's tasks")?;
                }
            }
            Op::CgroupNamespace => sys::cgroup_namespace().in_call(|| "unshare CLONE_NEWCGROUP")?,
            Op::NewRoot => self.root = Some(mounts::new_root()?),
            Op::PrepareProc => self.proc = Some(mounts::make_proc()?),
            Op::PrepareOverlay { lower, changes } => {
                let (lower, changes) = (self.sources.take(*lower)?, self.sources.take(*changes)?);
                self.overlays.push(Some(mounts::make_overlay(&lower, &changes)?));
            }
            Op::EnterRoot => mounts::enter_root(self.root.take())?,
            Op::Directory { at, mode } => place::directory(at, *mode)?,
            Op::Symlink { at, target } => place::symlink(at, target)?,
            Op::Bind {
                source,
                at,
                directory,
                read_only,
            } => {
                let tree = self.sources.take(*source)?;
                mounts::bind(&tree, at, *directory, *read_only)?;
            }
            Op::Private { at, mode, size_bytes } => mounts::private(at, *mode, *size_bytes)?,
            Op::File { at, content } => mounts::file(at, content)?,
            Op::AttachOverlay { number, at } => {
                let index = usize::try_from(*number).unwrap_or(usize::MAX);
                mounts::attach(self.overlays.get_mut(index).and_then(Option::take), at)?;
            }
            Op::AttachProc { at } => mounts::attach(self.proc.take(), at)?,
            Op::Device { source, at } => mounts::device(&self.sources.take(*source)?, at)?,
            Op::Terminals { at } => mounts::terminals(at)?,
            Op::Mask { at } => mounts::mask(at)?,
            Op::ReadOnly { at } => mounts::read_only(at)?,
            Op::WriteTest { at } => {
                place::write_test(at)?;
                self.attestation.writable.push(PathBuf::from(at));
            }
            Op::Seccomp { .. } => self.filter(op, door)?,
            Op::CloseSources => self.close_sources(keep)?,
            Op::OpenTerminals { count } => self.open_terminals(*count)?,
            Op::Inventory => self.attestation.inventory = Some(inventory::take()?),
            Op::ChangeRoot { at } => self.attestation.root = Some(place::change_root(at)?),
            Op::Hostname(_)
            | Op::LoopbackUp
            | Op::ForbidUserNamespaces
            | Op::Baseline { .. }
            | Op::SignalBaseline
            | Op::Canaries(_)
            | Op::BoundCapabilities
            | Op::ReleaseCapabilities
            | Op::Keeper
            | Op::NoNewPrivileges
            | Op::DropCapabilities
            | Op::NotDumpable
            | Op::DeathSignal
            | Op::Landlock { .. }
            | Op::SelfTest => self.confinement.step(op, &mut self.attestation)?,
        }
        Ok(())
    }

    fn filter(&mut self, op: &Op, door: &mut dyn Door) -> CallResult {
        self.confinement.step(op, &mut self.attestation)?;
        match self.confinement.take_listener() {
            Some(listener) => door.pass(listener).in_call(|| "pass the listener"),
            None => Ok(()),
        }
    }

    fn open_terminals(&mut self, count: u32) -> CallResult {
        self.terminals = terminals::open(count)?;
        self.attestation.terminals = self.terminals.iter().map(|one| one.number).collect();
        Ok(())
    }

    /// Only the link and the door stay; standard streams are the null device inside.
    fn close_sources(&mut self, keep: &[i32]) -> CallResult {
        self.sources = Sources::default();
        (self.proc, self.root) = (None, None);
        self.overlays.clear();
        privileges::close_all_but(keep)?;
        place::null_standard_streams()
    }
}

/// How many trees the supervisor has to pass for this program.
#[must_use]
pub fn given_count(program: &Program) -> usize {
    program
        .sources
        .iter()
        .filter(|source| matches!(source, Source::Given))
        .count()
}

/// Opens a detached copy of a tree of the host. See [`Source`].
///
/// # Errors
/// The call that failed and why.
pub fn open_tree(path: &std::path::Path, null_device: bool) -> CallResult<OwnedFd> {
    mounts::open_path(path, null_device)
}

/// Makes a detached mount of a program read-only, without setuid and devices.
///
/// # Errors
/// The call that failed and why.
pub fn make_read_only(tree: &OwnedFd) -> CallResult {
    mounts::harden(tree, true)
}
