//! A tree that is written: every path is resolved beneath its root, without following a
//! link or crossing a mount, and every change names an open directory and one name in it.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
/// Bytes of a path that are resolved in one call; the kernel takes fewer than 4,096.
const STRETCH_BYTES: usize = 3_000;

/// The root of such a tree.
#[derive(Debug)]
pub(crate) struct Place {
    root: OwnedFd,
}

impl From<OwnedFd> for Place {
    fn from(root: OwnedFd) -> Self {
        Self { root }
    }
}

impl Place {
    /// Opens the root. Its own path is the user's choice: links in it are followed.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::openat(CWD, path, flags, Mode::empty())?,
        })
    }

    /// A directory of this tree as a tree.
    pub(crate) fn below(&self, name: &str) -> Result<Self, Errno> {
        Ok(Self {
            root: self.directory(Path::new(name))?,
        })
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a directory. A path may be longer than the kernel takes at once.
    pub(crate) fn directory(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let mut at = rustix::fs::openat(&self.root, c".", DIRECTORY, Mode::empty())?;
        for stretch in stretches(path)? {
            at = rustix::fs::openat2(&at, &stretch, DIRECTORY, Mode::empty(), BENEATH)?;
        }
        Ok(at)
    }

    /// Opens the directory that holds a path, and gives the name in it.
    pub(crate) fn parent(&self, path: &Path) -> Result<(OwnedFd, CString), Errno> {
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(Errno::INVAL);
        };
        let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.directory(parent)?, name))
    }

    /// What stands at a path itself; none if nothing does.
    pub(crate) fn stat(&self, path: &Path) -> Result<Option<Stat>, Errno> {
        let (parent, name) = match self.parent(path) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error),
        };
        match rustix::fs::statat(&parent, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A path in pieces, each short enough for one call. Only plain names: nothing that is
/// absolute or goes up.
fn stretches(path: &Path) -> Result<Vec<PathBuf>, Errno> {
    let mut all: Vec<PathBuf> = Vec::new();
    for component in path.components() {
        let Component::Normal(name) = component else {
            return Err(Errno::INVAL);
        };
        match all.last_mut() {
            Some(last) if fits(last, name) => last.push(name),
            _ => all.push(PathBuf::from(name)),
        }
    }
    Ok(all)
}

fn fits(stretch: &Path, name: &OsStr) -> bool {
    stretch.as_os_str().len() + name.len() < STRETCH_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_up_or_is_absolute_is_no_path() {
        for path in ["..", "a/../b", "/a", "a/./../.."] {
            assert_eq!(stretches(Path::new(path)), Err(Errno::INVAL), "{path}");
        }
    }

    #[test]
    fn a_link_on_the_way_is_refused_and_a_directory_is_not() {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(root.path().join("d")).expect("d");
        std::os::unix::fs::symlink("d", root.path().join("link")).expect("link");
        let place = Place::open(root.path()).expect("the root");
        assert!(place.parent(Path::new("d/x")).is_ok());
        // The kernel says which of its rules comes first.
        assert!(matches!(
            place.parent(Path::new("link/x")),
            Err(Errno::LOOP | Errno::NOTDIR)
        ));
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_opened_in_stretches() {
        let root = tempfile::tempdir().expect("a directory");
        let place = Place::open(root.path()).expect("the root");
        let mut path = PathBuf::new();
        for _ in 0..40 {
            let here = place.directory(&path).expect("a level");
            let name = "d".repeat(200);
            rustix::fs::mkdirat(&here, &name, Mode::RWXU).expect("a level");
            path.push(name);
        }
        assert!(place.stat(&path).expect("readable").is_some());
    }
}
