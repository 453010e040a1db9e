//! What else there is in the host's repository that stands in the way.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gix_hash::ObjectId;
use gix_object::bstr::{BString, ByteSlice};

use super::dir::GitDir;
use super::error::{GitError, GitResult};
use super::refs;
use crate::change::NodeKind;
use crate::scan::each_name;
use crate::trees::Side;

/// Linked working trees that are looked at.
const MAX_WORKTREES: usize = 1000;
/// Names that are tried for a branch.
const MAX_TRIED: usize = 100;

/// Git locks what it changes. Who would write beside it would lose one of both.
pub(crate) fn check_locks(dir: &GitDir<'_>) -> GitResult {
    for name in ["index.lock", "HEAD.lock", "packed-refs.lock"] {
        let path = dir.path.join(name);
        let there = dir.trees.entry(Side::Before, &path);
        if there.map_err(|error| GitError::file(&path, error))?.is_some() {
            return Err(GitError::file(
                &path,
                "git is at work there: wait for it, or remove the file if none is",
            ));
        }
    }
    Ok(())
}

/// True if another working tree of the host's repository has a branch checked out.
pub(crate) fn is_in_other_worktree(dir: &GitDir<'_>, branch: &BString) -> GitResult<bool> {
    let top = dir.path.join("worktrees");
    let Ok(directory) = dir.trees.directory(Side::Before, &top) else {
        return Ok(false);
    };
    let mut names = Vec::new();
    let listed = each_name(&directory, |name| {
        names.push(OsStr::from_bytes(name.to_bytes()).to_owned());
        names.len() <= MAX_WORKTREES
    });
    listed.map_err(|error| GitError::file(&top, std::io::Error::from(error)))?;
    let wanted = [b"ref: ", branch.as_slice()].concat();
    let has = |name: &std::ffi::OsString| {
        let head = dir
            .trees
            .content(Side::Before, &top.join(name).join("HEAD"), 8 << 10);
        head.is_ok_and(|head| head.trim_end() == wanted)
    };
    // Of too many nothing is said, so nothing is moved.
    Ok(names.len() > MAX_WORKTREES || names.iter().any(has))
}

/// True if a reference of the host has a name that is a directory of another, or the reverse.
pub(crate) fn blocked(dir: &GitDir<'_>, name: &BString) -> GitResult<bool> {
    if dir.is_new() {
        return Ok(false);
    }
    let packed = refs::read_packed(dir, Side::Before)?;
    let path = Path::new(OsStr::from_bytes(name));
    for above in path
        .ancestors()
        .skip(1)
        .filter(|above| above.components().count() > 2)
    {
        let entry = dir.trees.entry(Side::Before, &dir.path.join(above));
        let is_file = entry.is_ok_and(|entry| entry.is_some_and(|entry| entry.node != NodeKind::Directory));
        if is_file || packed.contains_key(&BString::from(above.as_os_str().as_bytes())) {
            return Ok(true);
        }
    }
    let prefix = [name.as_slice(), b"/"].concat();
    let next = packed.range(BString::from(prefix.clone())..).next();
    let entry = dir.trees.entry(Side::Before, &dir.path.join(path));
    let stands = entry.map_err(|error| GitError::file(path, error))?;
    Ok(stands.is_some() || next.is_some_and(|(name, _)| name.starts_with(&prefix)))
}

/// A name for a branch that the host does not have, or that holds the commit already.
pub(crate) fn free_name(
    dir: &GitDir<'_>,
    wanted: &BString,
    id: Option<ObjectId>,
) -> GitResult<Option<BString>> {
    for number in 1..=MAX_TRIED {
        let name = match number {
            1 => wanted.clone(),
            number => BString::from(format!("{wanted}-{number}")),
        };
        if gix_validate::reference::name(name.as_bstr()).is_err() {
            return Ok(None);
        }
        if !dir.is_new() && refs::host_value(dir, &name)?.is_some_and(|held| Some(held) == id) {
            return Ok(Some(name));
        }
        if !blocked(dir, &name)? && (dir.is_new() || refs::host_value(dir, &name)?.is_none()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
