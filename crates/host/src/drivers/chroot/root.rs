//! The directory that becomes a sandbox's root, while it is built. Every path in it is walked name by
//! name and through no link: one in an image must not lead to the host.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::NAME;
use super::pulse::SPACE;
use crate::error::{Error, Result};

/// Flags of directories that are made here.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// User and group of the host.
pub(super) type Ids = (u32, u32);

/// The directory.
pub(super) struct Root {
    path: PathBuf,
    fd: OwnedFd,
}

impl Root {
    /// Makes it: root's own, for everybody to pass.
    pub(super) fn make(path: &Path) -> Result<Self> {
        let failed = |error: Errno| Error::state("create", path, error);
        rustix::fs::mkdirat(CWD, path, Mode::RWXU).map_err(failed)?;
        let fd = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()).map_err(failed)?;
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            fd,
        })
    }

    /// Where a path of the sandbox is on the host.
    pub(super) fn on_host(&self, at: &Path) -> PathBuf {
        on_host(&self.path, at)
    }

    /// The directory that holds a path, made where it is missing, and the path's name.
    pub(super) fn parent<'p>(&self, at: &'p Path) -> Result<(OwnedFd, &'p OsStr)> {
        let failed = |error| self.failed(at, error);
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
            return Err(failed(Errno::INVAL));
        };
        let mut here = rustix::fs::openat(&self.fd, ".", DIRECTORY, Mode::empty()).map_err(failed)?;
        for part in parent.components() {
            match part {
                Component::RootDir => {}
                Component::Normal(part) => here = step(&here, part).map_err(failed)?,
                _ => return Err(failed(Errno::INVAL)),
            }
        }
        Ok((here, name))
    }

    /// Makes a directory; it may be there already.
    pub(super) fn directory(&self, at: &Path, mode: u32, owner: Option<Ids>) -> Result<OwnedFd> {
        let (parent, name) = self.parent(at)?;
        let made = step(&parent, name).and_then(|made| {
            let (uid, gid) = owner.unwrap_or((0, 0));
            rustix::fs::fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?;
            Ok(made)
        });
        made.map_err(|error| self.failed(at, error))
    }

    /// Writes a file, in place of what stands there.
    pub(super) fn file(&self, at: &Path, content: &[u8], mode: u32, owner: Ids) -> Result<()> {
        let (parent, name) = self.parent(at)?;
        let written = || {
            self.remove(&parent, name)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?;
            let mut rest = content;
            while !rest.is_empty() {
                let count = rustix::io::write(&file, rest)?;
                rest = rest.get(count..).unwrap_or_default();
            }
            rustix::fs::fchown(&file, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
        };
        written().map_err(|error| self.failed(at, error))
    }

    /// Makes a link where nothing stands.
    pub(super) fn link(&self, at: &Path, target: &Path) -> Result<()> {
        let (parent, name) = self.parent(at)?;
        match rustix::fs::symlinkat(target, &parent, name) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(self.failed(at, error)),
        }
    }

    fn remove(&self, parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn failed(&self, at: &Path, error: Errno) -> Error {
        let remedy = match error {
            Errno::LOOP | Errno::NOTDIR => Some("the image has a link or a file there: make it a directory"),
            Errno::NOSPC | Errno::DQUOT => Some(SPACE),
            _ => None,
        };
        Error::Create {
            driver: NAME.to_owned(),
            step: format!("make {} in the root directory", at.display()),
            cause: std::io::Error::from(error).to_string(),
            remedy: remedy.map(str::to_owned),
        }
    }
}

/// Where a path of the sandbox is on the host.
pub(super) fn on_host(root: &Path, at: &Path) -> PathBuf {
    root.join(at.strip_prefix("/").unwrap_or(at))
}

/// Opens a directory below another, made where it is missing and given to the other's owner.
fn step(here: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let open = || rustix::fs::openat(here, name, DIRECTORY, Mode::empty());
    match open() {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    rustix::fs::mkdirat(here, name, Mode::RWXU)?;
    let made = open()?;
    let like = rustix::fs::fstat(here)?;
    rustix::fs::fchown(
        &made,
        Some(Uid::from_raw(like.st_uid)),
        Some(Gid::from_raw(like.st_gid)),
    )?;
    rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
    Ok(made)
}

/// Files of accounts say the ids that the sandbox has on the host: without a user namespace there are no
/// others.
pub(super) fn with_ids(at: &Path, content: &[u8], view: Ids, own: Ids) -> Vec<u8> {
    let is_passwd = at.file_name() == Some(&OsString::from("passwd"));
    let is_group = at.file_name() == Some(&OsString::from("group"));
    let (Ok(text), true) = (std::str::from_utf8(content), is_passwd || is_group) else {
        return content.to_vec();
    };
    let (from, to) = if is_passwd {
        (
            format!(":{}:{}:", view.0, view.1),
            format!(":{}:{}:", own.0, own.1),
        )
    } else {
        (format!(":x:{}:", view.1), format!(":x:{}:", own.1))
    };
    text.replace(&from, &to).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_the_ids_of_the_host() {
        let passwd = b"root:x:0:0:root:/root:/x\nuser:x:1000:1001:user:/home/u:/bin/sh\n";
        let seen = with_ids(Path::new("/etc/passwd"), passwd, (1000, 1001), (7, 8));
        assert_eq!(
            seen,
            b"root:x:0:0:root:/root:/x\nuser:x:7:8:user:/home/u:/bin/sh\n"
        );
        let group = with_ids(Path::new("/etc/group"), b"user:x:1001:\n", (1000, 1001), (7, 8));
        assert_eq!(group, b"user:x:8:\n");
        let other = with_ids(Path::new("/etc/hosts"), b":1000:1001:", (1000, 1001), (7, 8));
        assert_eq!(other, b":1000:1001:");
    }

    /// Control: a plain path of the host is walked; through a link it is not.
    #[test]
    fn a_link_in_the_root_leads_nowhere() {
        if !rustix::process::geteuid().is_root() {
            return; // what is made is given to root
        }
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let root = Root::make(&place.path().join("root")).unwrap();
        root.link(Path::new("/var"), &outside).unwrap();
        assert!(root.directory(Path::new("/var/x"), 0o755, None).is_err());
        assert!(root.file(Path::new("/var/y"), b"", 0o644, (0, 0)).is_err());
        root.directory(Path::new("/usr/x"), 0o755, None).unwrap();
        assert!(place.path().join("root/usr/x").is_dir());
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }
}
