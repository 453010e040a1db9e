//! Files of ours, made in the stage and put where git expects them.

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::steps::Builder;
use crate::journal::{Act, Mark};
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

/// Whose new files are; none to leave them to whoever makes them.
pub(super) type Owner = Option<(Uid, Gid)>;

/// Where and as what files of one repository are put.
#[derive(Clone, Copy)]
pub(super) struct Like {
    pub(super) owner: Owner,
    pub(super) file_mode: u32,
    pub(super) directory_mode: u32,
}

const CREATE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Makes a file under a name that must be free.
pub(super) fn make_file(
    at: BorrowedFd<'_>,
    name: &str,
    bytes: &[u8],
    mode: u32,
    owner: Owner,
) -> Result<(), Errno> {
    let file = rustix::fs::openat(at, name, CREATE, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(file);
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    file.write_all(bytes).map_err(failed)?;
    if let Some((uid, gid)) = owner {
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
}

/// Makes a directory under a name that must be free.
pub(super) fn make_directory(at: BorrowedFd<'_>, name: &str, like: Like) -> Result<Place, Errno> {
    rustix::fs::mkdirat(at, name, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(at, name, flags, Mode::empty())?;
    if let Some((uid, gid)) = like.owner {
        rustix::fs::fchown(&made, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&made, Mode::from_raw_mode(like.directory_mode))?;
    Ok(Place::from(made))
}

impl Builder<'_> {
    /// What stands at a path of the project now.
    pub(super) fn stands(&self, path: &Path) -> WriteResult<Option<Mark>> {
        let stat = self.project().stat(path);
        let stat = stat.map_err(|cause| WriteError::step(path, cause))?;
        Ok(stat.map(|stat| Mark::of(&stat)))
    }

    /// Puts a file at a path, in place of what was seen there.
    pub(super) fn put(&mut self, path: &Path, bytes: &[u8], old: Option<Mark>, like: Like) -> WriteResult {
        self.touch(path)?;
        let object = self.next_object();
        let mode = old.map_or(like.file_mode, |old| old.mode & 0o777);
        make_file(self.stage().root(), &object, bytes, mode, like.owner)
            .map_err(|cause| WriteError::stage(path, cause))?;
        let new = self.staged(path, &object)?;
        self.push(
            path,
            match old {
                Some(old) => Act::Exchange { new, old },
                None => Act::Place { new },
            },
        );
        Ok(())
    }

    /// Makes a lock that git knows. Its end is [`Self::unlock`].
    pub(super) fn lock(&mut self, path: PathBuf, like: Like) -> WriteResult<(PathBuf, Mark)> {
        let object = self.next_object();
        self.put(&path, b"", None, like)?;
        let mark = self.staged(&path, &object)?;
        Ok((path, mark))
    }

    pub(super) fn unlock(&mut self, (path, old): (PathBuf, Mark)) {
        self.push(&path, Act::Take { old });
    }

    /// Makes a directory, with what `fill` puts into it.
    pub(super) fn put_directory(
        &mut self,
        path: &Path,
        like: Like,
        fill: impl FnOnce(&Place) -> WriteResult,
    ) -> WriteResult {
        self.touch(path)?;
        let object = self.next_object();
        let made = make_directory(self.stage().root().as_fd(), &object, like);
        fill(&made.map_err(|cause| WriteError::stage(path, cause))?)?;
        let new = self.staged(path, &object)?;
        self.push(path, Act::Place { new });
        Ok(())
    }

    /// Moves away what stands at a path.
    pub(super) fn take(&mut self, path: &Path, old: Mark) -> WriteResult {
        self.touch(path)?;
        self.push(path, Act::Take { old });
        Ok(())
    }

    fn staged(&self, path: &Path, object: &str) -> WriteResult<Mark> {
        let name = CString::new(object).unwrap_or_default();
        rustix::fs::statat(self.stage().root(), name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| Mark::of(&stat))
            .map_err(|cause| WriteError::stage(path, cause))
    }
}
