//! Reading and writing cgroup files relative to a directory that was opened and checked once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::{Error, Result};

/// Cgroup file systems, v1 and v2 (`linux/magic.h`).
const CGROUP_MAGIC: [u64; 2] = [0x0027_e0eb, 0x6367_7270];
/// More than any cgroup file of ours holds (a list of 100,000 processes has 700 KiB).
const MAX_FILE_BYTES: usize = 4 << 20;
/// Path of the object itself, for calls relative to its descriptor.
const HERE: &str = ".";

/// An open directory that is known to be in a cgroup file system.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens `path` and makes sure that it is in a cgroup file system, so that nothing mounted
    /// over it is ever taken for the kernel's files.
    pub fn open(path: &Path) -> Result<Self> {
        let fd = rustix::fs::open(path, Self::flags(), Mode::empty()).map_err(Error::io("open", path))?;
        let dir = Self {
            fd,
            path: path.to_owned(),
        };
        dir.check_file_system()?;
        Ok(dir)
    }

    fn flags() -> OFlags {
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
    }

    fn check_file_system(&self) -> Result<()> {
        let stat = rustix::fs::fstatfs(&self.fd).map_err(Error::io("examine", &self.path))?;
        match u64::try_from(stat.f_type) {
            Ok(magic) if CGROUP_MAGIC.contains(&magic) => Ok(()),
            _ => Err(Error::NotCgroup {
                object: self.path.clone(),
            }),
        }
    }

    /// Where it is, for messages and records.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory in it. It is in the same file system: cgroupfs has no links and its
    /// mounts are not nested by anything but root.
    pub fn child(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        let fd = rustix::fs::openat(&self.fd, name, Self::flags(), Mode::empty())
            .map_err(Error::io("open", &path))?;
        Ok(Self { fd, path })
    }

    /// Makes a directory in it.
    pub fn make(&self, name: &str) -> Result<()> {
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755))
            .map_err(Error::io("make", self.path.join(name)))
    }

    /// Removes an empty group in it.
    pub fn remove(&self, name: &str) -> Result<()> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
            .map_err(Error::io("remove", self.path.join(name)))
    }

    /// The user it belongs to.
    pub fn owner(&self) -> Result<u32> {
        Ok(rustix::fs::fstat(&self.fd)
            .map_err(Error::io("examine", &self.path))?
            .st_uid)
    }

    /// Whether we may make groups in it; the errno says why not.
    pub fn writable(&self) -> std::result::Result<(), Errno> {
        use rustix::fs::Access;
        rustix::fs::accessat(
            &self.fd,
            HERE,
            Access::WRITE_OK | Access::EXEC_OK,
            AtFlags::EACCESS,
        )
    }

    /// Opens a file for writing, to be written by a child later.
    pub fn open_for_writing(&self, name: &str) -> Result<OwnedFd> {
        self.open_file(name, OFlags::WRONLY)
    }

    fn open_file(&self, name: &str, how: OFlags) -> Result<OwnedFd> {
        rustix::fs::openat(
            &self.fd,
            name,
            how | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(Error::io("open", self.path.join(name)))
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Result<String> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        self.read_open(&file, name)
    }

    /// Reads a file that some kernels do not have.
    pub fn read_if_there(&self, name: &str) -> Result<Option<String>> {
        match self.read(name) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_open(&self, file: &OwnedFd, name: &str) -> Result<String> {
        let mut bytes = Vec::new();
        let mut chunk = [0_u8; 4096];
        loop {
            let at = bytes.len() as u64;
            let count =
                rustix::io::pread(file, &mut chunk, at).map_err(Error::io("read", self.path.join(name)))?;
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
            if bytes.len() > MAX_FILE_BYTES {
                return Err(self.malformed(name, "larger than 4 MiB"));
            }
        }
        String::from_utf8(bytes).map_err(|_| self.malformed(name, "not UTF-8"))
    }

    /// Reads a file that holds one number, or `max` for none.
    pub fn read_number(&self, name: &str) -> Result<Option<u64>> {
        let text = self.read(name)?;
        self.number(name, text.trim())
    }

    /// Parses a number found in the file `name`; `max` and -1 stand for none.
    pub fn number(&self, name: &str, text: &str) -> Result<Option<u64>> {
        match text {
            "max" | "-1" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| self.malformed(name, digits)),
        }
    }

    /// Writes a value in one call, as the kernel wants it.
    pub fn write(&self, name: &str, value: &str) -> Result<()> {
        let file = self.open_file(name, OFlags::WRONLY)?;
        self.write_open(&file, name, value)
    }

    fn write_open(&self, file: &OwnedFd, name: &str, value: &str) -> Result<()> {
        rustix::io::write(file, value.as_bytes()).map_err(Error::io("write to", self.path.join(name)))?;
        Ok(())
    }

    /// Writes a value and reads it back through the same descriptor; it must be `kept`.
    pub fn set(&self, name: &str, value: &str, kept: &str) -> Result<()> {
        let file = self.open_file(name, OFlags::RDWR)?;
        self.write_open(&file, name, value)?;
        let found = self.read_open(&file, name)?;
        if found.trim() == kept {
            return Ok(());
        }
        Err(Error::Differs {
            object: self.path.join(name),
            wrote: value.to_owned(),
            found: found.trim().to_owned(),
        })
    }

    /// The names of the groups in it.
    pub fn groups(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut buffer = Vec::with_capacity(8192);
        // An own descriptor: the position of this one is shared with others that read.
        let listing = rustix::fs::openat(&self.fd, HERE, Self::flags(), Mode::empty())
            .map_err(Error::io("open", &self.path))?;
        let mut entries = RawDir::new(listing, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(Error::io("list", &self.path))?;
            if entry.file_type() != rustix::fs::FileType::Directory {
                continue;
            }
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    /// Whether an extended attribute of it says `1`.
    pub fn flagged(&self, attribute: &str) -> bool {
        let mut value = [0_u8; 2];
        matches!(rustix::fs::fgetxattr(&self.fd, attribute, &mut value), Ok(1)) && value[0] == b'1'
    }

    /// An error about a file in it.
    pub fn malformed(&self, name: &str, found: &str) -> Error {
        Error::Malformed {
            object: self.path.join(name),
            found: found.chars().take(80).collect(),
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The value after `key` in a file of lines `key value`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_matched_whole() {
        let text = "oom 1\noom_kill 2\noom_group_kill 3\n";
        assert_eq!(keyed(text, "oom"), Some(1));
        assert_eq!(keyed(text, "oom_kill"), Some(2));
        assert_eq!(keyed(text, "oo"), None);
    }

    #[test]
    fn a_directory_outside_of_cgroupfs_is_refused() {
        assert!(matches!(
            Dir::open(Path::new("/tmp")),
            Err(Error::NotCgroup { .. })
        ));
    }
}
