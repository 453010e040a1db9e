//! What can go wrong while a change set is applied or taken back.

use std::path::{Path, PathBuf};

use crate::name::shown;

/// Result of what writes.
pub type WriteResult<T = ()> = std::result::Result<T, WriteError>;

/// Paths that are named in one message.
const NAMED: usize = 10;

/// Nothing was changed, unless the message says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// An operation on a path of the project failed.
    #[error(
        "cannot write {}: {cause}; nothing was changed\n    fix: {}",
        shown(path),
        remedy(cause)
    )]
    Step {
        /// The path, relative to the project.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// A new file could not be prepared.
    #[error(
        "cannot prepare {}: {cause}; nothing was changed\n    fix: {}",
        shown(path),
        remedy(cause)
    )]
    Stage {
        /// The path, relative to the project.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// What happened in a repository cannot be taken over.
    #[error(
        "cannot take over the commits: {cause}; nothing was changed\n    fix: name the other files to apply them alone"
    )]
    Git {
        /// What is wrong.
        cause: crate::git::GitError,
    },
    /// Files are not what they were when the changes were looked at.
    #[error(
        "{} changed on the host meanwhile; nothing was changed\n    fix: look at the changes again with `stockade diff`",
        list(paths)
    )]
    Changed {
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// What is to be undone is not what was applied any more.
    #[error(
        "cannot undo: {} changed on the host since; nothing was changed\n    fix: keep what is yours elsewhere, put back what was applied, and undo again",
        list(paths)
    )]
    Since {
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// Taking back an interrupted apply met files that somebody has changed since. They stay;
    /// what they replaced is kept.
    #[error(
        "an interrupted apply was taken back, but {} had been changed on the host since and stay; what stood there before is kept in {}",
        list(paths),
        kept.display()
    )]
    Foreign {
        /// The paths.
        paths: Vec<PathBuf>,
        /// Where their former content is, by step.
        kept: PathBuf,
    },
    /// What would become pending again is pending otherwise: a later sandbox wrote it, or a later apply was undone.
    #[error(
        "cannot undo: newer changes of {} are pending (a later sandbox wrote them, or a later apply was undone); nothing was changed\n    fix: say --set-aside, and the pending changes are kept as a set of their own",
        list(paths)
    )]
    Pending {
        /// The paths.
        paths: Vec<PathBuf>,
    },
    /// Taking back what was interrupted met changes of a later sandbox. They stay pending; what was
    /// pending before is kept.
    #[error(
        "what was interrupted was taken back, but {} had been written by a later sandbox and stay pending; what was pending before is kept in {}",
        list(paths),
        kept.display()
    )]
    Overlaid {
        /// The paths.
        paths: Vec<PathBuf>,
        /// Where it is, by step.
        kept: PathBuf,
    },
    /// A file of the change set could not be copied.
    #[error(
        "no checkpoint: cannot copy {}: {cause}\n    fix: {}",
        shown(path),
        remedy(cause)
    )]
    Checkpoint {
        /// The path, relative to the project.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// There is no such checkpoint.
    #[error("there is no checkpoint {which:?}{}\n    fix: `stockade checkpoint --list` lists them", last(*has))]
    NoCheckpoint {
        /// What was asked for.
        which: String,
        /// The number of the last one, if there is any.
        has: Option<u64>,
    },
    /// There is nothing to undo.
    #[error("nothing to undo in {}\n    fix: only what `stockade apply` did can be undone, each once", project.display())]
    NothingToUndo {
        /// The project.
        project: PathBuf,
    },
    /// Another process changes the project.
    #[error("{} is being changed by another stockade; nothing was changed\n    fix: wait until it has ended", project.display())]
    Busy {
        /// The project.
        project: PathBuf,
    },
    /// The project is another directory than it was.
    #[error("{} is not the directory that was changed: it was moved or made anew\n    fix: move it back", project.display())]
    Moved {
        /// Where it was.
        project: PathBuf,
    },
    /// A file of the history could not be used.
    #[error("history: cannot {operation} {}: {cause}", path.display())]
    History {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}

impl WriteError {
    pub(crate) fn step(path: &Path, cause: impl Into<std::io::Error>) -> Self {
        Self::Step {
            path: path.to_owned(),
            cause: cause.into(),
        }
    }

    pub(crate) fn stage(path: &Path, cause: impl Into<std::io::Error>) -> Self {
        Self::Stage {
            path: path.to_owned(),
            cause: cause.into(),
        }
    }

    pub(crate) fn git(cause: crate::git::GitError) -> Self {
        Self::Git { cause }
    }

    pub(crate) fn changed(path: &Path) -> Self {
        Self::Changed {
            paths: vec![path.to_owned()],
        }
    }

    pub(crate) fn history(operation: &'static str, path: &Path, cause: impl Into<std::io::Error>) -> Self {
        Self::History {
            operation,
            path: path.to_owned(),
            cause: cause.into(),
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths.iter().take(NAMED).map(|path| shown(path)).collect();
    if paths.len() > NAMED {
        names.push(format!("{} more", paths.len() - NAMED));
    }
    names.join(", ")
}

fn last(number: Option<u64>) -> String {
    number.map_or_else(
        || ": this change set has none".to_owned(),
        |number| format!("; the last one is {number}"),
    )
}

fn remedy(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    if cause.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return "a directory on the way is a link now, and links are not followed: look at the changes again with `stockade diff`";
    }
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free space on the project's file system",
        ErrorKind::ReadOnlyFilesystem => "the project is on a read-only file system: make it writable",
        ErrorKind::PermissionDenied => {
            "make the directory that holds it writable for the user that runs stockade"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            "the directory that should hold it is gone: look at the changes again with `stockade diff`"
        }
        ErrorKind::CrossesDevices => "a directory on the way is a mount of its own: apply there by hand",
        _ => "look at the changes again with `stockade diff`",
    }
}
