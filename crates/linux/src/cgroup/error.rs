//! What can go wrong with control groups, each with its object, cause and remedy.

use std::path::PathBuf;

use rustix::io::Errno;
use stockade_domain::units::ByteCount;

use super::controller::Controller;

/// A failure around a control group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call on a file or directory failed.
    #[error("cannot {operation} {}: {cause}{}", object.display(), remedy_for(*cause))]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        object: PathBuf,
        /// The kernel's answer.
        #[source]
        cause: Errno,
    },
    /// A limit was asked for whose controller cannot be used here.
    #[error("cannot limit {controller}: {why}{}", fix.as_ref().map(|fix| format!("; {fix}")).unwrap_or_default())]
    Unusable {
        /// The controller.
        controller: Controller,
        /// Why it cannot be used.
        why: String,
        /// What to do about it.
        fix: Option<String>,
    },
    /// The kernel keeps another value than the one written.
    #[error("{} holds `{found}` after `{wrote}` was written: the limit would not be the one asked for", object.display())]
    Differs {
        /// The file.
        object: PathBuf,
        /// What was written.
        wrote: String,
        /// What is read back.
        found: String,
    },
    /// A file has content of a form this program does not know.
    #[error("{} is not of the expected form: {found}", object.display())]
    Malformed {
        /// The file.
        object: PathBuf,
        /// What was found, in part.
        found: String,
    },
    /// A limit is outside of what the kernel takes.
    #[error("{what} cannot be {value}: {rule}")]
    BadLimit {
        /// Which limit.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        rule: &'static str,
    },
    /// An id that cannot be the name of a group.
    #[error("`{0}` cannot name a control group: use 1 to 64 letters, digits, `-` and `_`")]
    BadId(String),
    /// A directory that should be ours belongs to somebody else.
    #[error("{} belongs to user {owner}, not to user {us}: not using it; remove it or ask its owner to", object.display())]
    NotOurs {
        /// The directory.
        object: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// A path that should be in a cgroup file system is not.
    #[error("{} is not in a cgroup file system: another file system is mounted over it or the record is wrong", object.display())]
    NotCgroup {
        /// The path.
        object: PathBuf,
    },
    /// Processes that SIGKILL did not end in time.
    #[error("processes {pids:?} in {} did not end after SIGKILL: they are stuck in the kernel or out of reach; look at /proc/PID/stack", object.display())]
    StillAlive {
        /// The group.
        object: PathBuf,
        /// The processes; 0 stands for one outside of our PID namespace.
        pids: Vec<i32>,
    },
    /// Processes cannot be stopped here.
    #[error("processes cannot be frozen here: {why}{}", fix.as_ref().map(|fix| format!("; {fix}")).unwrap_or_default())]
    NoFreezer {
        /// Why.
        why: String,
        /// What to do about it.
        fix: Option<String>,
    },
    /// Some process did not stop.
    #[error("a process in {} did not stop in time: it is stuck in the kernel, or they multiply too fast; try again", object.display())]
    NotFrozen {
        /// The group.
        object: PathBuf,
    },
    /// The user's systemd did not give us a scope.
    #[error("the user's systemd gave no delegated scope: {0}")]
    Scope(String),
    /// What all sandboxes may use together is used up.
    #[error(
        "all sandboxes together use {} of the {} of memory that they may",
        ByteCount(*used_bytes), ByteCount(*budget_bytes)
    )]
    BudgetSpent {
        /// What they use, without files that are merely cached.
        used_bytes: u64,
        /// What they may use.
        budget_bytes: u64,
    },
    /// A record written by a newer version.
    #[error(
        "this control group was recorded in version {0}, newer than this program: use the newer `stockade`"
    )]
    NewerRecord(u32),
}

impl Error {
    /// For use with `map_err`.
    pub(super) fn io(operation: &'static str, object: impl Into<PathBuf>) -> impl FnOnce(Errno) -> Self {
        let object = object.into();
        move |cause| Self::Io {
            operation,
            object,
            cause,
        }
    }

    /// The errno, where a system call failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Io { cause, .. } => Some(*cause),
            _ => None,
        }
    }
}

/// What to do, where the errno alone tells it.
fn remedy_for(cause: Errno) -> &'static str {
    match cause {
        Errno::ACCESS | Errno::PERM => "; run as root, or with a control group that was delegated to you",
        Errno::ROFS => "; the cgroup file system is mounted read-only here, as in most containers",
        Errno::EXIST => "; a group of that name exists already: `stockade gc` removes leftovers",
        Errno::NOENT => "; the group was removed, or this kernel was built without that feature",
        Errno::INVAL => "; a control group above may have a lower limit",
        Errno::BUSY => "; processes are still in it",
        Errno::NOSPC => "; the kernel's number of control groups is used up: `stockade gc` removes leftovers",
        _ => "",
    }
}
