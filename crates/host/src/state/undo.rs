//! What was applied to each project, so that it can be undone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stockade_workspace::{History, WriteError};

use super::{StateDirs, TRASH, UNDO, changes};
use crate::error::Result;

/// How long one process waits for another that changes the same project.
const WAIT: Duration = Duration::from_secs(5);

impl StateDirs {
    /// The history of a project, locked; what a killed process left half done is taken back.
    ///
    /// # Errors
    /// [`crate::Error::Write`] and [`crate::Error::State`].
    pub fn history(&self, project: &Path) -> Result<History> {
        self.part(UNDO)?;
        self.open_history(&changes::prefix(project), project)
    }

    fn open_history(&self, name: &str, project: &Path) -> Result<History> {
        let path = self.path().join(UNDO).join(name);
        let trash = self.trash_path();
        Ok(History::open(&path, &trash, project, WAIT, &|_| {})?)
    }

    /// Where the history of a project lies, if there is one.
    #[must_use]
    pub fn history_path(&self, project: &Path) -> PathBuf {
        self.path().join(UNDO).join(changes::prefix(project))
    }

    /// The directory for what is let go.
    pub(crate) fn trash_path(&self) -> PathBuf {
        self.path().join(TRASH)
    }

    /// True if something was ever applied to a project.
    #[must_use]
    pub fn has_history(&self, project: &Path) -> bool {
        self.history_path(project).is_dir()
    }

    /// Takes back what a killed process left half done in a project. Costs next to nothing
    /// where nothing was.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub fn settle_project(&self, project: &Path) -> Result<()> {
        let path = self.history_path(project);
        if History::is_settled(&path)? {
            return Ok(());
        }
        self.history(project).map(drop)
    }

    /// Takes back what killed processes left half done in any project. Returns how many there
    /// were, and what failed.
    ///
    /// # Errors
    /// [`crate::Error::State`] if there is no list of them.
    pub(crate) fn settle_projects(&self, dry_run: bool) -> Result<(u64, Vec<WriteError>)> {
        let (mut settled, mut failed) = (0, Vec::new());
        for name in self.part(UNDO)?.names()? {
            let path = self.path().join(UNDO).join(&name);
            match History::is_settled(&path) {
                Ok(true) => continue,
                Ok(false) => settled += 1,
                Err(error) => failed.push(error),
            }
            if !dry_run {
                let trash = self.trash_path();
                // One that another process holds is being changed now, and not half done.
                match History::open(&path, &trash, &path, Duration::ZERO, &|_| {}) {
                    Ok(_) | Err(WriteError::Busy { .. }) => {}
                    Err(error) => failed.push(error),
                }
            }
        }
        Ok((settled, failed))
    }
}
