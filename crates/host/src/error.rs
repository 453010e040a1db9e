//! What can go wrong, each with its object, operation, cause and, where there is one, a remedy.

use std::path::PathBuf;
use std::time::Duration;

use stockade_domain::Refusal;
use stockade_domain::receipt::Discrepancy;

use crate::driver::Leftover;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a sandbox failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan does not exist: required controls are missing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The wall is not what was planned.
    #[error(transparent)]
    Discrepancy(#[from] Discrepancy),
    /// A step of building the wall failed.
    #[error("{driver}: cannot create the sandbox: {step}: {cause}{}", hint(remedy.as_deref()))]
    Create {
        /// The driver.
        driver: String,
        /// The step that failed, in words.
        step: String,
        /// The errno's text or another reason.
        cause: String,
        /// What the user can do.
        remedy: Option<String>,
    },
    /// Something failed and, after it, not everything could be removed.
    #[error("{cause}\n  {} could not be removed ({}): run `stockade gc`", count(leftovers.len()), places(leftovers))]
    Unclean {
        /// What failed first: this is what decides.
        cause: Box<Error>,
        /// What is still there.
        leftovers: Vec<Leftover>,
    },
    /// The command could not be started inside.
    #[error("cannot run {command}: {text}{}", hint(remedy.as_deref()))]
    Command {
        /// Why, as a class.
        kind: CommandFailure,
        /// The command's first word.
        command: String,
        /// Why, in words.
        text: String,
        /// What the user can do.
        remedy: Option<String>,
    },
    /// The stream to the guest ended.
    #[error("the connection to the sandbox was lost: {why}")]
    LinkLost {
        /// How it ended.
        why: String,
    },
    /// The other side broke the protocol. The session is over: nothing more is believed.
    #[error("the sandbox broke the protocol, so the session was ended: {why}")]
    Protocol {
        /// What it did.
        why: String,
    },
    /// The workspace could not be copied, or its changes not be taken out of the copy.
    #[error(transparent)]
    Workspace(#[from] stockade_workspace::Error),
    /// The workspace of a sandbox without a shared file system did not get there, or what became of it not out.
    #[error("the workspace of the sandbox could not be {operation}: {cause}")]
    Carry {
        /// "sent in" or "fetched".
        operation: &'static str,
        /// Why.
        cause: Box<Error>,
    },
    /// The changes are those of some time before, because what came later could not be fetched.
    #[error("{cause}; the changes are those of {} s before the end: what was changed later is lost", age.as_secs())]
    Stale {
        /// Why.
        cause: Box<Error>,
        /// How long before.
        age: Duration,
    },
    /// Some of what was changed inside is not in the change set.
    #[error(
        "{} changed inside could not be fetched and stayed as before: {}: {why}",
        if *count == 1 { "what was".to_owned() } else { format!("{count} files that were") },
        path.display()
    )]
    LeftInside {
        /// How many.
        count: u64,
        /// The first.
        path: PathBuf,
        /// Why that one.
        why: String,
    },
    /// A file inside could not be read or written.
    #[error("{} in the sandbox: {text}", path.display())]
    File {
        /// The file, as seen inside.
        path: PathBuf,
        /// The kernel's error number, or 0.
        errno: i32,
        /// What the guest says.
        text: String,
    },
    /// A file of the state directory could not be read or written.
    #[error("state: cannot {operation} {}: {source}{}", path.display(), hint(*remedy))]
    State {
        /// What was tried ("write", "create").
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
        /// What the user can do.
        remedy: Option<&'static str>,
    },
    /// A reader of the audit log that was asked for cannot be had.
    #[error("cannot write to {sink}: {cause}\n    fix: {remedy}")]
    Sink {
        /// Which.
        sink: String,
        /// What the kernel said.
        cause: std::io::Error,
        /// What the user can do.
        remedy: &'static str,
    },
    /// A file of the state directory holds something else than it should.
    #[error("state: {}: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such sandbox or file.
    #[error("no {what} called {name}{}", hint(remedy.as_deref()))]
    NotFound {
        /// The kind of thing ("sandbox").
        what: &'static str,
        /// How it was called.
        name: String,
        /// What the user can do.
        remedy: Option<String>,
    },
    /// A running sandbox has this name.
    #[error(
        "a sandbox called {name} exists already\n    fix: choose another --name, or remove it: stockade rm {name}"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A name that a sandbox cannot have.
    #[error(
        "{name:?} cannot be the name of a sandbox\n    fix: use up to {longest} letters, digits, dots, dashes and underscores, a letter or digit first, that do not look like an id"
    )]
    BadName {
        /// The name.
        name: String,
        /// Longest allowed name.
        longest: usize,
    },
    /// It took too long.
    #[error("{what}: not done after {after:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// The caller gave up.
    #[error("{what}: cancelled")]
    Cancelled {
        /// What was cancelled.
        what: String,
    },
    /// Changes could not be taken over to the host, or taken back.
    #[error(transparent)]
    Write(#[from] stockade_workspace::WriteError),
    /// What all sandboxes together may use is used up.
    #[error(
        "no sandbox is begun: {why}\n    fix: stop one (`stockade top` shows what each uses), or raise memory in [budget] of the user's or the organisation's policy"
    )]
    NoRoom {
        /// With the figures.
        why: String,
    },
    /// It cannot be done now.
    #[error("{what}: busy: {why}")]
    Busy {
        /// What was tried.
        what: String,
        /// What stands in the way.
        why: String,
    },
    /// The supervisor of a sandbox does not do what it was asked for, with its reason.
    #[error("{what}: {why}")]
    Declined {
        /// What was tried, of which sandbox.
        what: String,
        /// What it said.
        why: String,
    },
    /// It cannot be done on this host, or by this driver.
    #[error("cannot {what}: {why}{}", hint(remedy.as_deref()))]
    Impossible {
        /// What was tried.
        what: String,
        /// Why it cannot be done.
        why: String,
        /// What the user can do.
        remedy: Option<String>,
    },
    /// An external program failed.
    #[error("{program}: {cause}{}", hint(remedy.as_deref()))]
    Tool {
        /// The program.
        program: String,
        /// Exit status and the end of what it wrote, or why it did not start.
        cause: String,
        /// What the user can do.
        remedy: Option<String>,
    },
    /// An operation of the system failed.
    #[error("{what}: {source}")]
    Io {
        /// Operation and object.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// Why a command did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandFailure {
    /// There is no such file inside.
    NotFound,
    /// It is there and cannot be executed.
    NotExecutable,
    /// The working directory does not exist inside.
    BadDirectory,
    /// The sandbox does not start it: a bound of the guest is reached, or it is shutting down.
    Refused,
    /// Another reason.
    Other,
}

impl Error {
    /// An [`Error::Io`].
    pub fn io(what: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Io {
            what: what.into(),
            source: source.into(),
        }
    }

    /// An [`Error::Protocol`].
    pub fn protocol(why: impl Into<String>) -> Self {
        Self::Protocol { why: why.into() }
    }

    /// An [`Error::State`], with a remedy for the usual causes.
    pub fn state(
        operation: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        let source = source.into();
        let remedy = state_remedy(&source);
        Self::State {
            operation,
            path: path.into(),
            source,
            remedy,
        }
    }

    /// Adds what could not be removed; without leftovers the error stays as it is.
    #[must_use]
    pub fn with_leftovers(self, leftovers: Vec<Leftover>) -> Self {
        if leftovers.is_empty() {
            return self;
        }
        Self::Unclean {
            cause: Box::new(self),
            leftovers,
        }
    }

    /// What failed first, without what failed while cleaning up after it.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::Unclean { cause, .. } => cause.root(),
            other => other,
        }
    }

    /// The exit code of `stockade` for this error: 127 and 126 for a command that could
    /// not be started, else 125.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self.root() {
            Self::Command {
                kind: CommandFailure::NotFound,
                ..
            } => 127,
            Self::Command {
                kind: CommandFailure::NotExecutable | CommandFailure::BadDirectory,
                ..
            } => 126,
            _ => 125,
        }
    }
}

fn state_remedy(source: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("free space there, or set XDG_STATE_HOME to a directory on another file system")
        }
        ErrorKind::PermissionDenied => Some("make the directory yours, or set XDG_STATE_HOME to one that is"),
        ErrorKind::ReadOnlyFilesystem => Some("set XDG_STATE_HOME to a writable directory"),
        _ => None,
    }
}

fn hint(remedy: Option<&str>) -> String {
    remedy
        .map(|remedy| format!("\n    fix: {remedy}"))
        .unwrap_or_default()
}

fn count(number: usize) -> String {
    if number == 1 {
        "1 thing".to_owned()
    } else {
        format!("{number} things")
    }
}

fn places(leftovers: &[Leftover]) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<&str> = leftovers
        .iter()
        .take(SHOWN)
        .map(|leftover| leftover.place.as_str())
        .collect();
    if leftovers.len() > SHOWN {
        text.push("…");
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::LeftoverKind;

    fn leftover(place: &str) -> Leftover {
        Leftover {
            driver: "fake".into(),
            id: "a".into(),
            kind: LeftoverKind::Directory,
            place: place.into(),
        }
    }

    #[test]
    fn the_first_error_decides_the_exit_code() {
        let cause = Error::Command {
            kind: CommandFailure::NotFound,
            command: "nope".into(),
            text: "not found".into(),
            remedy: None,
        };
        let error = cause.with_leftovers(vec![leftover("/x")]);
        assert_eq!(error.exit_code(), 127);
        assert!(error.to_string().contains("/x"));
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = Error::state("write", "/state/a", rustix::io::Errno::NOSPC);
        assert!(error.to_string().contains("XDG_STATE_HOME"), "{error}");
    }
}
