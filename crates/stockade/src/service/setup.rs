//! Mending a host for ordinary users.

use std::path::{Path, PathBuf};

use stockade_host::setup::{self, Wanted};

pub use stockade_host::setup::{Done, Outcome, Survey};

use super::Result;

/// Looks at what is missing. Changes nothing.
///
/// # Errors
/// This program's path cannot be read.
pub fn survey(root: &Path, program: Option<PathBuf>, sysctl: bool) -> Result<Survey> {
    let program = match program {
        Some(program) => program,
        None => std::env::current_exe()?,
    };
    // Set by sudo; only for whom delegation is looked at, and never trusted with more.
    let user = std::env::var("SUDO_UID").ok().and_then(|id| id.parse().ok());
    let wanted = Wanted {
        program,
        user,
        sysctl,
    };
    Ok(setup::survey(root, &wanted))
}

/// Does it.
///
/// # Errors
/// A file cannot be read or written.
pub async fn apply(root: &Path, survey: &Survey) -> Result<Vec<Done>> {
    Ok(setup::apply(root, &survey.changes).await?)
}

/// Takes back what was done.
///
/// # Errors
/// A file cannot be read or written.
pub async fn undo(root: &Path) -> Result<Vec<Done>> {
    Ok(setup::undo(root).await?)
}

/// Whether this process may write there.
pub fn may_write(root: &Path) -> bool {
    root != Path::new("/") || rustix::process::geteuid().is_root()
}
