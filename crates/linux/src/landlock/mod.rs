//! Landlock: the second wall. It repeats the file rules in a mechanism that does not know
//! mounts, and it keeps the workload from its own guest.
//!
//! Two domains are entered. The guest enters the first ([`enter`]): all file rights that the
//! kernel knows, and scopes that keep signals and abstract sockets inside. Every workload
//! enters a second one inside of it ([`enter_nested`]): a process can trace what is in its own
//! domain or below, so the guest, one domain up, is out of reach.
//!
//! Cost, measured on Linux 6.18 by opening, reading and closing a small file: each level of
//! directories between a file and the rule that covers it costs some 20 ns at every open, on
//! top of some 100 ns. The second domain handles only renames across directories, so it adds
//! no more than 20 ns; stat costs what it costs without.
//!
//! There are no network rules: the sandbox has a network namespace of its own.

mod self_test;
mod sys;

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

pub use self_test::{Baseline, after, before};

/// ABI 1 refuses renames and links across directories whatever the rules say.
const FIRST_USABLE: u32 = 2;
/// The first ABI with scopes for signals and abstract sockets.
const FIRST_WITH_SCOPES: u32 = 6;

/// The trees that stay reachable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// May be listed, and so may all directories below; files there stay closed.
    pub list: Vec<PathBuf>,
    /// May be read, listed and executed.
    pub read: Vec<PathBuf>,
    /// May be changed in every way, too. Devices that programs control by `ioctl` belong here.
    pub write: Vec<PathBuf>,
}

/// The domain that was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The kernel's ABI.
    pub abi: u32,
    /// Signals and abstract sockets are kept inside.
    pub scoped: bool,
}

/// Why a domain was not entered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no Landlock, or one that would break programs.
    #[error("landlock: {}", unusable(*abi))]
    Unusable {
        /// The kernel's ABI, 0 if it has none.
        abi: u32,
    },
    /// A tree could not be opened to make a rule for it.
    #[error("landlock: open {} for a rule: {source}; name only paths that exist inside", path.display())]
    Open {
        /// The tree.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The kernel refused a rule or the domain.
    #[error("landlock: {0}; at most 16 domains can be nested: start Stockade in fewer sandboxes")]
    Kernel(#[from] RulesetError),
    /// The self-test could not be made, or saw that a wall does not stand.
    #[error("landlock self-test: {what}: expected {expected}, found {found}")]
    SelfTest {
        /// What was tried.
        what: &'static str,
        /// What must happen.
        expected: &'static str,
        /// What did.
        found: String,
    },
}

/// The kernel's Landlock ABI; 0 if it has none or it is off.
#[must_use]
pub fn abi() -> u32 {
    sys::abi().unwrap_or(0)
}

/// Whether a second domain protects the guest from being traced and read.
#[must_use]
pub fn nested_supported() -> bool {
    abi() >= FIRST_USABLE
}

/// Whether the second domain also protects the guest from signals.
#[must_use]
pub fn nested_signal_scope() -> bool {
    abi() >= FIRST_WITH_SCOPES
}

/// Confines the calling thread, and all that it starts, to `rules`, with every right that the
/// kernel knows. Needs no_new_privs. Mounts cannot be changed afterwards.
///
/// # Errors
/// A path that does not exist, or a kernel without what is needed.
pub fn enter(rules: &Rules) -> Result<Entered, Error> {
    let number = usable()?;
    let abi = ABI::from(i32::try_from(number).unwrap_or(i32::MAX));
    let mut ruleset = strict().handle_access(AccessFs::from_all(abi))?;
    let scopes = Scope::from_all(abi);
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes)?;
    }
    let mut created = ruleset.create()?;
    for (trees, access) in [
        (&rules.list, AccessFs::ReadDir.into()),
        (&rules.read, AccessFs::from_read(abi)),
        (&rules.write, AccessFs::from_all(abi)),
    ] {
        for path in trees {
            created = allow(created, path, access, abi)?;
        }
    }
    created.no_new_privs(false).restrict_self()?;
    Ok(Entered {
        abi: number,
        scoped: !scopes.is_empty(),
    })
}

/// Puts the calling thread, and all that it starts, into a domain of its own inside the
/// present one. What it may do with files stays the same.
///
/// Domains side by side cannot trace or signal each other either: a debugger has to be started
/// by the same command as what it debugs.
///
/// # Errors
/// A kernel without what is needed: see [`nested_supported`].
pub fn enter_nested() -> Result<(), Error> {
    enter_nested_with(usable()? >= FIRST_WITH_SCOPES)
}

/// Public so that the domain of kernels without scopes can be tested on newer ones.
///
/// Every domain refuses renames across directories unless it handles and allows them, one
/// that handles nothing but scopes too (measured: EXDEV). It handles nothing else of files.
#[doc(hidden)]
pub fn enter_nested_with(signal_scope: bool) -> Result<(), Error> {
    let refer = AccessFs::Refer;
    let mut ruleset = strict().handle_access(refer)?;
    if signal_scope {
        // Abstract sockets are not scoped here: the guest has none, and commands of one
        // sandbox may talk to each other.
        ruleset = ruleset.scope(Scope::Signal)?;
    }
    let created = allow(ruleset.create()?, Path::new("/"), refer.into(), ABI::V2)?;
    created.no_new_privs(false).restrict_self()?;
    Ok(())
}

/// Every right that is asked for must be had.
fn strict() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}

fn usable() -> Result<u32, Error> {
    match abi() {
        abi if abi < FIRST_USABLE => Err(Error::Unusable { abi }),
        abi => Ok(abi),
    }
}

fn allow(
    created: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    abi: ABI,
) -> Result<RulesetCreated, Error> {
    let failed = |source| Error::Open {
        path: path.to_path_buf(),
        source,
    };
    let tree = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let kind = FileType::from_raw_mode(fstat(&tree).map_err(failed)?.st_mode);
    let access = match kind {
        FileType::Directory => access,
        _ => access & AccessFs::from_file(abi),
    };
    Ok(created.add_rule(PathBeneath::new(tree, access))?)
}

fn unusable(abi: u32) -> &'static str {
    match abi {
        0 => "the kernel has none, or it is off: boot with lsm=landlock,…, Linux 5.19 or newer",
        _ => "ABI 1 refuses renames across directories: use Linux 5.19 or newer",
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Open { source, .. } => source.into(),
            Error::Unusable { .. } => Errno::OPNOTSUPP.into(),
            other => Self::other(other),
        }
    }
}
