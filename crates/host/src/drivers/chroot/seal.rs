//! A workspace that can only be read: its copy is given to root, and everybody may do what its owner could,
//! but for writing. Landlock alone would not do: a rule for a directory above may allow writing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

/// The owner's rights that are kept, for everybody.
const KEPT: u32 = 0o5;

/// Seals a tree that nobody else can reach yet.
pub(super) fn seal(tree: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    let mut pending = vec![tree.to_owned()];
    while let Some(path) = pending.pop() {
        one(&path, &mut pending).map_err(|error| (path, error))?;
    }
    Ok(())
}

fn one(path: &Path, pending: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let seen = fs::symlink_metadata(path)?;
    lchown(path, Some(0), Some(0))?;
    if seen.is_symlink() {
        return Ok(());
    }
    let rights = seen.mode() >> 6 & KEPT;
    fs::set_permissions(path, fs::Permissions::from_mode(rights * 0o111))?;
    if seen.is_dir() {
        for entry in fs::read_dir(path)? {
            pending.push(entry?.path());
        }
    }
    Ok(())
}

/// Whether a directory is sealed.
pub(super) fn is_sealed(directory: &Path) -> std::io::Result<bool> {
    let seen = fs::symlink_metadata(directory)?;
    Ok(seen.uid() == 0 && seen.gid() == 0 && seen.mode() & 0o222 == 0)
}
