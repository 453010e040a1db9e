//! Git's records of what a reference held. They are not taken over, but for the list of
//! stashes, which is one; and they tell what was seen inside.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use gix_object::Kind;
use gix_object::bstr::BString;
use gix_ref::file::log::LineRef;

use super::dir::GitDir;
use super::error::{GitError, GitResult};
use super::plan::STASH;
use super::reach::Reach;
use crate::trees::Side;

/// Longest record that is read.
const MAX_BYTES: u64 = 64 << 20;
/// Stashes that are taken over.
const MAX_STASHES: usize = 10_000;

/// Where the record of a reference is, in the repository.
pub(crate) fn name_of(name: &BString) -> PathBuf {
    Path::new("logs").join(OsStr::from_bytes(name))
}

/// True if git wrote down inside that a reference held something.
pub(crate) fn has(dir: &GitDir<'_>, name: &BString, id: ObjectId) -> GitResult<bool> {
    let path = name_of(name);
    // The host's own record tells nothing of what was seen inside.
    if dir.change(&dir.path.join(&path)).is_none() {
        return Ok(false);
    }
    let bytes = dir.read(Side::After, &path, MAX_BYTES)?.unwrap_or_default();
    let lines = parse(dir, &path, &bytes)?;
    Ok(lines
        .iter()
        .any(|line| line.previous_oid() == id || line.new_oid() == id))
}

/// True if every stash of the host is still one inside.
pub(crate) fn keeps_stashes(dir: &GitDir<'_>) -> GitResult<bool> {
    let path = name_of(&BString::from(STASH));
    let read = |side| dir.read(side, &path, MAX_BYTES).map(Option::unwrap_or_default);
    let (before, after) = (read(Side::Before)?, read(Side::After)?);
    let after = parse(dir, &path, &after)?;
    let before = parse(dir, &path, &before)?;
    Ok(before
        .iter()
        .all(|line| after.iter().any(|now| now.new_oid() == line.new_oid())))
}

/// The list of stashes from inside, each looked at and written anew.
pub(crate) fn stashes(dir: &GitDir<'_>, reach: &mut Reach<'_, '_>) -> GitResult<Vec<u8>> {
    let path = name_of(&BString::from(STASH));
    let bytes = dir.read(Side::After, &path, MAX_BYTES)?.unwrap_or_default();
    let lines = parse(dir, &path, &bytes)?;
    if lines.len() > MAX_STASHES {
        return Err(GitError::Limit {
            what: "stashes",
            limit: MAX_STASHES.to_string(),
        });
    }
    let mut written = Vec::new();
    for line in lines {
        reach.add(line.new_oid(), Some(Kind::Commit))?;
        let line = line.to_owned();
        let failed = |_| GitError::file(&dir.path.join(&path), "a line of it cannot be written anew");
        line.write_to(&mut written).map_err(failed)?;
    }
    Ok(written)
}

fn parse<'b>(dir: &GitDir<'_>, path: &Path, bytes: &'b [u8]) -> GitResult<Vec<LineRef<'b>>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let parsed = lines.map(LineRef::from_bytes);
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_| GitError::file(&dir.path.join(path), "it is no record of a reference"))
}
