//! Worktrees of git: their `.git` is a file that leads to a repository elsewhere, without
//! which git does not work in them.

use std::io::Read;
use std::path::{Path, PathBuf};

use stockade_domain::view::Access;

use super::builder::Builder;
use super::resolve::{Kind, resolve};
use super::{Note, ViewError};

/// Longest file of git's that is read here: each holds one path.
const MAX_BYTES: u64 = 8192;

/// Shows the repository of a worktree read-only. Nothing else can be shown by writing a
/// `.git` file: the repository has to lead back to this very worktree.
pub(super) fn show_repository(builder: &mut Builder<'_>, workspace: &Path) -> Result<(), ViewError> {
    let Some(repository) = repository_of(workspace) else {
        return Ok(());
    };
    let Ok(resolved) = resolve(&repository) else {
        return Ok(());
    };
    if resolved.kind != Kind::Directory || builder.shows(&resolved.real) {
        return Ok(());
    }
    builder.reveal(&resolved, Access::ReadOnly)?;
    builder.note(Note::RepositoryShown { path: resolved.real });
    Ok(())
}

/// The `.git` directory of the repository that `workspace` is a worktree of.
pub(super) fn repository_of(workspace: &Path) -> Option<PathBuf> {
    let dot_git = workspace.join(".git");
    if !dot_git.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let text = read(&dot_git)?;
    let own = workspace.join(text.strip_prefix("gitdir: ")?.trim_end());
    // REPOSITORY/.git/worktrees/NAME, whose file `gitdir` leads back.
    let worktrees = own.parent()?;
    let repository = worktrees.parent()?;
    if worktrees.file_name()? != "worktrees" || repository.file_name()? != ".git" {
        return None;
    }
    let back = own.join(read(&own.join("gitdir"))?.trim_end());
    let leads_back = back.canonicalize().ok()? == dot_git.canonicalize().ok()?;
    leads_back.then(|| repository.to_path_buf())
}

fn read(path: &Path) -> Option<String> {
    // A pipe would block.
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}
