//! A workspace that can only be read: its copy is given to root, and everybody may do what the workload could,
//! but for writing. Landlock alone would not do: a rule for a directory above may allow writing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use super::root::Ids;

/// The workload's rights that are kept, for everybody.
const KEPT: u32 = 0o5;

/// Seals a tree that nobody else can reach yet.
pub(super) fn seal(tree: &Path, workload: Ids) -> Result<(), (PathBuf, std::io::Error)> {
    let mut pending = vec![tree.to_owned()];
    while let Some(path) = pending.pop() {
        one(&path, workload, &mut pending).map_err(|error| (path, error))?;
    }
    Ok(())
}

fn one(path: &Path, workload: Ids, pending: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let seen = fs::symlink_metadata(path)?;
    lchown(path, Some(0), Some(0))?;
    if seen.is_symlink() {
        return Ok(());
    }
    let rights = rights_of(workload, (seen.uid(), seen.gid()), seen.mode()) & KEPT;
    fs::set_permissions(path, fs::Permissions::from_mode(rights * 0o111))?;
    if seen.is_dir() {
        for entry in fs::read_dir(path)? {
            pending.push(entry?.path());
        }
    }
    Ok(())
}

/// What somebody without further groups may do with a file: what is another's stays closed to it.
fn rights_of((uid, gid): Ids, owner: Ids, mode: u32) -> u32 {
    if owner.0 == uid {
        mode >> 6
    } else if owner.1 == gid {
        mode >> 3
    } else {
        mode
    }
}

/// Whether a directory is sealed.
pub(super) fn is_sealed(directory: &Path) -> std::io::Result<bool> {
    let seen = fs::symlink_metadata(directory)?;
    Ok(seen.uid() == 0 && seen.gid() == 0 && seen.mode() & 0o222 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Controls: one's own file of the same mode, and another's that all may read.
    #[test]
    fn what_is_anothers_stays_closed() {
        let rights = |owner, mode| rights_of((7, 8), owner, mode) & KEPT;
        assert_eq!(rights((7, 8), 0o600), 4);
        assert_eq!(rights((1, 1), 0o600), 0);
        assert_eq!(rights((1, 8), 0o640), 4);
        assert_eq!(rights((1, 1), 0o640), 0);
        assert_eq!(rights((1, 1), 0o755), 5);
    }
}
