//! Which program becomes the guest.
//!
//! This program does, started under another name; so one file is enough. Where the guest alone
//! is installed beside it (`PREFIX/libexec/stockade/stockade-guest` for `PREFIX/bin/stockade`),
//! that smaller program is taken. It is as trusted as this one, so nobody must be able to
//! change it who could not change this one; guests of another version are refused by their
//! greeting.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stockade_host::driver::GuestProgram;

use super::Result;
use crate::failure::Failure;

/// Where the guest alone is, from the directory that holds `bin`.
const INSTALLED: &str = "libexec/stockade/stockade-guest";
/// The directories of [`INSTALLED`], and the program: whoever can write one can exchange it.
pub(super) const PARTS: usize = 3;

/// The program that becomes the guest.
///
/// # Errors
/// One is installed that others could have changed.
pub fn program() -> Result<GuestProgram> {
    let own = std::env::current_exe()?;
    let path = match installed(&own)? {
        Some(installed) => installed,
        None => own,
    };
    Ok(GuestProgram {
        path,
        arguments: Vec::new(),
    })
}

/// The guest that is installed for a program, if there is one.
fn installed(own: &Path) -> Result<Option<PathBuf>> {
    let Some(prefix) = own.parent().and_then(Path::parent) else {
        return Ok(None);
    };
    let path = prefix.join(INSTALLED);
    let refuse = |at: &Path, why: &'static str| {
        Err(Failure::GuestProgram {
            path: at.to_owned(),
            why,
        })
    };
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Failure::read("the guest's program", &path, cause)),
    };
    if !found.is_file() {
        return refuse(&path, "it is no regular file");
    }
    match changeable(own, &path, PARTS) {
        Ok(None) => Ok(Some(path)),
        Ok(Some((at, why))) => refuse(at, why),
        Err((at, cause)) => Err(Failure::read("the guest's program", at, cause)),
    }
}

/// Which of the last `parts` of a path somebody else than the owner of this program, or root, could change, and
/// why.
///
/// # Errors
/// A part, or this program itself, cannot be looked at.
pub(super) fn changeable<'a>(
    own: &'a Path,
    path: &'a Path,
    parts: usize,
) -> std::result::Result<Option<(&'a Path, &'static str)>, (&'a Path, io::Error)> {
    let owner = own.metadata().map_err(|cause| (own, cause))?.uid();
    for at in path.ancestors().take(parts) {
        let seen = at.symlink_metadata().map_err(|cause| (at, cause))?;
        if let Some(why) = by_others(&seen, owner) {
            return Ok(Some((at, why)));
        }
    }
    Ok(None)
}

fn by_others(seen: &Metadata, owner: u32) -> Option<&'static str> {
    if seen.is_symlink() {
        return Some("it is a symbolic link");
    }
    if seen.uid() != 0 && seen.uid() != owner {
        return Some("it belongs to another user than this program");
    }
    (seen.mode() & 0o022 != 0).then_some("others than its owner can write it")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program with the guest alone beside it; the modes are those of the guest's directory
    /// and of the guest.
    fn install(directory_mode: u32, mode: u32) -> tempfile::TempDir {
        let prefix = tempfile::tempdir().expect("a directory");
        let guest = prefix.path().join(INSTALLED);
        let directory = guest.parent().expect("a parent");
        fs::create_dir_all(directory).expect("directories");
        fs::create_dir(prefix.path().join("bin")).expect("a directory");
        fs::write(prefix.path().join("bin/stockade"), "").expect("a file");
        fs::write(&guest, "").expect("a file");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        set(&guest, mode).expect("a mode");
        set(directory.parent().expect("a parent"), 0o755).expect("a mode");
        set(directory, directory_mode).expect("a mode");
        prefix
    }

    fn find(prefix: &Path) -> Result<Option<PathBuf>> {
        installed(&prefix.join("bin/stockade"))
    }

    #[test]
    fn an_installed_guest_is_taken() {
        let prefix = install(0o755, 0o755);
        assert_eq!(
            find(prefix.path()).expect("it is safe"),
            Some(prefix.path().join(INSTALLED))
        );
    }

    #[test]
    fn without_one_the_program_is_its_own_guest() {
        let prefix = install(0o755, 0o755);
        fs::remove_file(prefix.path().join(INSTALLED)).expect("removed");
        assert_eq!(find(prefix.path()).expect("none"), None);
    }

    #[test]
    fn one_that_others_could_change_is_refused_with_a_remedy() {
        for (directory_mode, mode, named) in [
            (0o755, 0o775, "stockade-guest"),
            (0o755, 0o757, "stockade-guest"),
            (0o777, 0o755, "libexec/stockade"),
        ] {
            let prefix = install(directory_mode, mode);
            let error = find(prefix.path()).expect_err("it is not safe").to_string();
            assert!(error.contains(named) && error.contains("chmod go-w"), "{error}");
        }
    }

    #[test]
    fn a_link_is_refused() {
        let prefix = install(0o755, 0o755);
        let guest = prefix.path().join(INSTALLED);
        fs::remove_file(&guest).expect("removed");
        std::os::unix::fs::symlink("/bin/true", &guest).expect("a link");
        let error = find(prefix.path()).expect_err("it is a link").to_string();
        assert!(error.contains("no regular file"), "{error}");
    }
}
