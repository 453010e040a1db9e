//! What a user should know about a view, beside the list itself.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// A remark on a view. None of them weakens a wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
pub enum Note {
    /// Part of a shown directory is covered.
    Covered {
        /// The path.
        path: PathBuf,
    },
    /// Part of a writable directory is kept read-only.
    KeptReadOnly {
        /// The path.
        path: PathBuf,
    },
    /// The workspace is copied before it is written in place.
    CopiedFirst,
    /// What the host would run does not exist, so it cannot be kept from being made.
    CanBeMade {
        /// Relative to the workspace.
        paths: Vec<String>,
    },
    /// A protected path is shown, because the policy names it.
    ProtectedShown {
        /// The path.
        path: PathBuf,
    },
    /// Checkpoints may be asked for from inside, and there is nothing to take one of.
    NothingToCheckpoint,
    /// No overlay can be laid over the workspace.
    WorkspaceCopied {
        /// Why not.
        why: String,
    },
    /// A directory of `PATH` is not shown.
    PathSkipped {
        /// The directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file of a toolchain is not shown, since it seems to hold a token.
    TokenHidden {
        /// The file.
        path: PathBuf,
    },
    /// The repository of a git worktree is shown read-only.
    RepositoryShown {
        /// Its `.git` directory.
        path: PathBuf,
    },
    /// The user's git settings are not taken over.
    GitSettings {
        /// Why.
        why: String,
    },
    /// A limit can never bind on this host.
    NeverBinds {
        /// The limit, with its value.
        limit: String,
        /// What the host has.
        host: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Covered { path } => {
                write!(
                    out,
                    "{} is covered: it may hold credentials (name it itself to show it)",
                    path.display()
                )
            }
            Self::KeptReadOnly { path } => {
                write!(
                    out,
                    "{} is kept read-only: the host runs what it says",
                    path.display()
                )
            }
            Self::CopiedFirst => out.write_str(
                "the workspace is written in place; a copy is taken first: `stockade diff --changes live` \
                 compares with it, `stockade rewind --changes live start` goes back",
            ),
            Self::CanBeMade { paths } => {
                write!(
                    out,
                    "not there, so not protected from being made (make them first if that matters): {}",
                    paths.join(", ")
                )
            }
            Self::ProtectedShown { path } => {
                write!(
                    out,
                    "{} is shown, as the policy says: it may hold credentials",
                    path.display()
                )
            }
            Self::NothingToCheckpoint => out.write_str(
                "checkpoints from inside: there is nothing to take one of, because the workspace's changes \
                 are not kept (--workspace-mode cow, copy or live)",
            ),
            Self::WorkspaceCopied { why } => {
                write!(out, "the workspace is copied, which takes time and space: {why}")
            }
            Self::PathSkipped { path, why } => write!(out, "PATH: {} is not shown: it {why}", path.display()),
            Self::TokenHidden { path } => {
                write!(
                    out,
                    "{} is not shown: it seems to hold a token (move that to a credentials file)",
                    path.display()
                )
            }
            Self::RepositoryShown { path } => {
                write!(
                    out,
                    "{} is shown read-only: the workspace is a worktree of it",
                    path.display()
                )
            }
            Self::GitSettings { why } => {
                write!(
                    out,
                    "git's settings (name, email, aliases) are not taken over: {why}"
                )
            }
            Self::NeverBinds { limit, host } => {
                write!(out, "limit {limit} can never bind: this host has {host}")
            }
        }
    }
}
