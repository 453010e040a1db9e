//! Small files in directories of ours: written whole, read whole, never followed through
//! symbolic links. All paths go through a descriptor of the directory.

use std::ffi::{CStr, OsString};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, RenameFlags};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Nothing that we write is longer; what is longer is not ours.
pub(crate) const MAX_FILE_BYTES: u64 = 4 << 20;

/// Most are shorter: a status fills one page.
const USUAL_FILE_BYTES: usize = 8 << 10;

const PRIVATE_DIRECTORY: Mode = Mode::RWXU;
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

static FSYNCS: AtomicU64 = AtomicU64::new(0);

/// How often this process has waited for a disk.
#[must_use]
pub fn fsyncs() -> u64 {
    FSYNCS.load(Ordering::Relaxed)
}

/// What a write has to outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Our own process: enough for what the loss of power ends too.
    Process,
    /// The loss of power: for what an engine or a provider keeps.
    Power,
}

/// A directory of ours.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    const FLAGS: OFlags = OFlags::RDONLY
        .union(OFlags::DIRECTORY)
        .union(OFlags::NOFOLLOW)
        .union(OFlags::CLOEXEC);

    /// Opens a directory by its path.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        // The last component may be a link here: it is the user's own choice of a place.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            fd: rustix::fs::openat(CWD, path, flags, Mode::empty())?,
            path: path.to_owned(),
        })
    }

    /// Opens a directory below this one.
    pub(crate) fn open_below(&self, name: &str) -> Result<Self, Errno> {
        let fd = rustix::fs::openat(&self.fd, name, Self::FLAGS, Mode::empty())?;
        Ok(Self {
            fd,
            path: self.path.join(name),
        })
    }

    /// The same directory once more.
    pub(crate) fn again(&self) -> Result<Self> {
        let fd =
            rustix::io::fcntl_dupfd_cloexec(&self.fd, 3).map_err(|error| self.error("open", "", error))?;
        Ok(Self {
            fd,
            path: self.path.clone(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Learns its path anew, if somebody has moved it. One that was removed keeps the path that it had.
    ///
    /// # Errors
    /// It exists, and not at a path that can be found.
    pub(crate) fn follow(&mut self) -> Result<()> {
        let failed = |error| self.error("find", "", error);
        let ours = rustix::fs::fstat(&self.fd).map_err(failed)?;
        let is_here = |path: &Path| {
            rustix::fs::stat(path)
                .is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino))
        };
        if ours.st_nlink == 0 || is_here(&self.path) {
            return Ok(());
        }
        let link = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        let path = rustix::fs::readlink(link, Vec::new()).map_err(failed)?;
        let path = PathBuf::from(OsString::from_vec(path.into_bytes()));
        if !is_here(&path) {
            return Err(failed(Errno::NOENT));
        }
        self.path = path;
        Ok(())
    }

    /// Makes a directory that only we can enter.
    pub(crate) fn make_directory(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::mkdirat(&self.fd, name, PRIVATE_DIRECTORY)
    }

    /// Writes a file that appears whole, under a name that must be free.
    pub(crate) fn write_new(&self, name: &str, bytes: &[u8], durability: Durability) -> Result<()> {
        let draft = self.write_draft(name, bytes, durability)?;
        rustix::fs::renameat_with(&self.fd, &draft, &self.fd, name, RenameFlags::NOREPLACE)
            .or_else(|error| {
                if error == Errno::INVAL {
                    rustix::fs::renameat(&self.fd, &draft, &self.fd, name)
                } else {
                    Err(error)
                }
            })
            .map_err(|error| self.error("write", name, error))?;
        self.sync(durability)
    }

    /// Writes a file that appears whole, in place of the present one.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8], durability: Durability) -> Result<()> {
        let draft = self.write_draft(name, bytes, durability)?;
        // ext4 writes a file to disk when it is renamed over another (25 µs here), but not
        // when two files change their names (6 µs with the removal).
        match rustix::fs::renameat_with(&self.fd, &draft, &self.fd, name, RenameFlags::EXCHANGE) {
            Ok(()) => self.remove_file(&draft)?,
            Err(_) => rustix::fs::renameat(&self.fd, &draft, &self.fd, name)
                .map_err(|error| self.error("write", name, error))?,
        }
        self.sync(durability)
    }

    fn write_draft(&self, name: &str, bytes: &[u8], durability: Durability) -> Result<String> {
        let draft = format!(".{name}");
        let result = self.write_draft_file(&draft, bytes, durability);
        result.map_err(|error| {
            // A half-written draft is of no use and may hold the last free block.
            let _ = rustix::fs::unlinkat(&self.fd, &draft, AtFlags::empty());
            Error::state("write", self.path.join(name), error)
        })?;
        Ok(draft)
    }

    fn write_draft_file(&self, draft: &str, bytes: &[u8], durability: Durability) -> std::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = std::fs::File::from(rustix::fs::openat(&self.fd, draft, flags, PRIVATE_FILE)?);
        file.write_all(bytes)?;
        if durability == Durability::Power {
            FSYNCS.fetch_add(1, Ordering::Relaxed);
            file.sync_all()?;
        }
        Ok(())
    }

    fn sync(&self, durability: Durability) -> Result<()> {
        if durability == Durability::Process {
            return Ok(());
        }
        FSYNCS.fetch_add(1, Ordering::Relaxed);
        rustix::fs::fsync(&self.fd).map_err(|error| self.error("write to disk", "", error))
    }

    /// Opens a file to which lines are added, making it where it does not exist.
    pub(crate) fn open_log(&self, name: &str) -> Result<std::fs::File> {
        let flags = OFlags::RDWR
            | OFlags::APPEND
            | OFlags::NONBLOCK
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, PRIVATE_FILE);
        fd.map(std::fs::File::from)
            .map_err(|error| self.error("create", name, error))
    }

    /// The content of a file; none if there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(self.error("read", name, error)),
        };
        // Room for what most files hold, or it takes a dozen calls to learn how much it is.
        let mut bytes = Vec::with_capacity(USUAL_FILE_BYTES);
        std::fs::File::from(fd)
            .take(MAX_FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::state("read", self.path.join(name), error))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
            let why = format!("longer than {MAX_FILE_BYTES} bytes, so it is not Stockade's");
            return Err(Error::Corrupt {
                path: self.path.join(name),
                why,
            });
        }
        Ok(Some(bytes))
    }

    pub(crate) fn remove_file(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.error("remove", name, error)),
        }
    }

    /// Names in this directory, without those that begin with a dot.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let own = rustix::fs::openat(&self.fd, c".", Self::FLAGS, Mode::empty())
            .map_err(|error| self.error("list", "", error))?;
        let mut names = Vec::new();
        each_name(own.as_fd(), |name| {
            // A name that is not UTF-8 is not one that we gave.
            if let Ok(name) = name.to_str()
                && !name.starts_with('.')
            {
                names.push(name.to_owned());
            }
            true
        })
        .map_err(|error| self.error("list", "", error))?;
        names.sort_unstable();
        Ok(names)
    }

    /// True if there is no name at all in this directory.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        let own = rustix::fs::openat(&self.fd, c".", Self::FLAGS, Mode::empty())
            .map_err(|error| self.error("list", "", error))?;
        let mut empty = true;
        each_name(own.as_fd(), |_| {
            empty = false;
            false
        })
        .map_err(|error| self.error("list", "", error))?;
        Ok(empty)
    }

    pub(crate) fn error(&self, operation: &'static str, name: &str, error: Errno) -> Error {
        Error::state(
            operation,
            if name.is_empty() {
                self.path.clone()
            } else {
                self.path.join(name)
            },
            error,
        )
    }
}

/// Calls `each` with every name of a directory, `.` and `..` left out, until it says no.
pub(crate) fn each_name(directory: BorrowedFd<'_>, mut each: impl FnMut(&CStr) -> bool) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." && !each(name) {
            return Ok(());
        }
    }
    Ok(())
}

/// A value as the bytes of a file.
pub(crate) fn to_json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| Error::Corrupt {
        path: path.to_owned(),
        why: format!("cannot be written: {error}"),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Part of what is said of a file of a later version.
pub(super) const NEWER: &str = "by a newer Stockade";
/// The same of an earlier one.
pub(super) const OLDER: &str = "by an older Stockade";

/// Every file of ours begins with its version.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// Oldest version of our files that can be read.
const OLDEST: u32 = 1;

/// A value from the bytes of a file of a version up to `newest`.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8], newest: u32, path: &Path) -> Result<T> {
    let corrupt = |why: String| Error::Corrupt {
        path: path.to_owned(),
        why,
    };
    let Versioned { version } = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    if version > newest {
        return Err(corrupt(format!(
            "written in version {version} {NEWER}; this one reads up to {newest}"
        )));
    }
    if version < OLDEST {
        return Err(corrupt(format!(
            "written in version {version} {OLDER}; this one reads from {OLDEST} on: run `stockade gc`"
        )));
    }
    serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))
}
