//! What can stand between a policy and a file view.

use std::io;
use std::path::PathBuf;

use stockade_domain::demand::Origin;
use stockade_domain::policy::paths::PathTextError;

/// A policy that cannot be compiled on this host.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// A path text outside the grammar.
    #[error("{origin}: {cause}")]
    Text {
        /// Who wrote it.
        origin: Origin,
        /// What is wrong.
        cause: PathTextError,
    },
    /// A path that cannot be found or read.
    #[error("{origin}: cannot use {}: {cause}; {}", path.display(), remedy(cause))]
    Unusable {
        /// Who wrote it.
        origin: Origin,
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A path that may not be shown.
    #[error("{origin}: {} {why}; fix: {fix}", path.display())]
    Refused {
        /// Who wrote it.
        origin: Origin,
        /// The path, resolved.
        path: PathBuf,
        /// Why not.
        why: String,
        /// What to write instead.
        fix: String,
    },
    /// The current or named directory cannot be the workspace.
    #[error("{origin}: {} cannot be the workspace: it {why}; fix: {fix}, or run without one: --workspace-mode none", path.display())]
    Workspace {
        /// Who wrote it; the default policy where it is the current directory.
        origin: Origin,
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: String,
        /// What to do.
        fix: String,
    },
    /// Who owns the workspace decides who the workload is.
    #[error("cannot read the owner of {}: {cause}; {}", path.display(), remedy(cause))]
    Owner {
        /// The workspace.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A rule covers or replaces the workspace.
    #[error(
        "a rule of [files] replaces the workspace {}: remove the rule, and say by the workspace's mode how it is seen",
        path.display()
    )]
    WorkspaceReplaced {
        /// The workspace.
        path: PathBuf,
    },
    /// More entries than a view may have.
    #[error("the view would have more than {limit} entries: name fewer paths in [files], or parents of them")]
    TooMany {
        /// The largest number.
        limit: usize,
    },
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => "fix: create it, or remove it from the policy",
        io::ErrorKind::PermissionDenied => "fix: give your user access to it, or remove it from the policy",
        _ => "fix: name another path",
    }
}
