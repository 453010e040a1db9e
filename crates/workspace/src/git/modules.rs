//! Submodules: repositories in `.git/modules/NAME`, whose files lie where their `core.worktree` says.
//!
//! That place is taken from the host's side alone, must be a directory of the project, and must name the repository in
//! its `.git` file in turn. What was changed inside on either side of this bond makes it none that is understood.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use gix_object::bstr::ByteSlice;

use super::dir::GitDir;
use super::error::{GitError, GitResult};
use super::form::parse_config;
use super::name::is_entry;
use crate::change::NodeKind;
use crate::trees::Side;

/// Longest `.git` file that is read.
const MAX_LINK_BYTES: u64 = 8 << 10;
const MODULES: &str = "modules";

/// The directory of a submodule's repository that a path lies in, from that of the repository around it. The name
/// may have several parts; it ends where a name begins that git gives what is in a repository.
pub(super) fn directory_in(above: &Path, path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(above).ok()?;
    let mut parts = below.components().map(Component::as_os_str);
    let mut found = above.join(parts.next().filter(|part| *part == MODULES)?);
    let mut has_name = false;
    for part in parts {
        if has_name && is_entry(part) {
            return Some(found);
        }
        found.push(part);
        has_name = true;
    }
    None
}

/// True for a directory as [`directory_in`] tells.
pub(super) fn is_module(directory: &Path) -> bool {
    directory.file_name() != Some(OsStr::new(".git"))
}

/// Where the files of a submodule lie, relative to the workspace.
pub(super) fn worktree(dir: &GitDir<'_>) -> GitResult<PathBuf> {
    let elsewhere = || GitError::form("its files lie elsewhere (core.worktree)");
    let told =
        named(dir, Side::Before)?.ok_or_else(|| GitError::form("it has no working tree of its own"))?;
    let place = within(&dir.path, &told).ok_or_else(elsewhere)?;
    let link = place.join(".git");
    let back = dir.trees.content(Side::Before, &link, MAX_LINK_BYTES);
    let back = back.map_err(|_| elsewhere())?;
    let back = back.strip_prefix(b"gitdir: ").ok_or_else(elsewhere)?;
    let back = Path::new(OsStr::from_bytes(back.trim_end()));
    if place.starts_with(".git") || within(&place, back).as_deref() != Some(&dir.path) {
        return Err(elsewhere());
    }
    Ok(place)
}

/// Refuses what was made into something else inside, and what was made there.
pub(super) fn check(dir: &GitDir<'_>) -> GitResult {
    if dir.is_new() {
        return Err(GitError::form("it is a submodule that the host does not have"));
    }
    let place = worktree(dir)?;
    if named(dir, Side::After)? != named(dir, Side::Before)? {
        return Err(GitError::inside(
            "its files were moved elsewhere inside (core.worktree)",
        ));
    }
    let is_changed = |path: &Path| {
        let change = dir.change(path);
        change.is_some_and(|change| {
            let is_directory = |entry: &crate::change::Entry| entry.node == NodeKind::Directory;
            !(change.before.as_ref().is_some_and(is_directory)
                && change.after.as_ref().is_some_and(is_directory))
        })
    };
    if is_changed(&place.join(".git")) || place.ancestors().any(is_changed) {
        return Err(GitError::inside(
            "its working tree was removed or replaced inside",
        ));
    }
    Ok(())
}

/// What a repository's settings name as its working tree.
fn named(dir: &GitDir<'_>, side: Side) -> GitResult<Option<PathBuf>> {
    let Some(parsed) = parse_config(dir, side)? else {
        return Ok(None);
    };
    let value = parsed.string("core.worktree");
    Ok(value.map(|value| PathBuf::from(OsStr::from_bytes(value.as_bytes()))))
}

/// A relative path from a directory of the workspace, by its words alone; none if it leads out.
fn within(from: &Path, to: &Path) -> Option<PathBuf> {
    let mut found = from.to_owned();
    for part in to.components() {
        match part {
            Component::Normal(name) => found.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !found.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!found.as_os_str().is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::git_directory;

    #[test]
    fn a_submodules_repository_ends_where_its_own_names_begin() {
        for (path, expected) in [
            (".git/HEAD", ".git"),
            (".git/modules", ".git"),
            (".git/modules/sub", ".git"),
            (".git/modules/sub/HEAD", ".git/modules/sub"),
            (".git/modules/libs/a/objects/ab/cd", ".git/modules/libs/a"),
            (".git/modules/sub/hooks/x", ".git/modules/sub"),
            (
                ".git/modules/a/modules/b/refs/heads/modules/x/HEAD",
                ".git/modules/a/modules/b",
            ),
            ("deep/.git/modules/sub/index.lock", "deep/.git/modules/sub"),
            (".git/refs/heads/modules/sub/HEAD", ".git"),
        ] {
            assert_eq!(
                git_directory(Path::new(path)).as_deref(),
                Some(Path::new(expected)),
                "{path}"
            );
        }
    }

    #[test]
    fn a_relative_path_never_leaves_the_workspace() {
        let from = Path::new(".git/modules/sub");
        let to = |to: &str| within(from, Path::new(to));
        assert_eq!(to("../../../sub"), Some("sub".into()));
        assert_eq!(to("../../../libs/./a"), Some("libs/a".into()));
        for bad in ["../../..", "../../../../out", "/etc", "../../../a/../../b"] {
            assert_eq!(to(bad), None, "{bad}");
        }
    }
}
