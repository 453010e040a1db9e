//! Brings a directory of the host into a root: everything in it that anybody may read or execute.
//! Nothing of what is brought can be written by the sandbox, whose ids own none of it.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::marks::{Mark, Marks};
use super::pulse::{Budget, Pulse};
use super::sound;
use crate::error::Result;

/// Bits that let somebody else write or give somebody else's rights: files that have one are copied
/// without it.
const UNWANTED: u32 = 0o7022;
/// What everybody may do with a file: one of which nobody else may do anything is left out.
const OTHERS: u32 = 0o005;
/// The magic number of overlayfs, where a link to a file below would copy it.
const OVERLAYFS: rustix::fs::FsWord = 0x794c_7630;

/// What is brought, and to where.
pub(super) struct Order<'a> {
    /// A directory of the host, without links in its path.
    pub source: &'a Path,
    /// An empty directory that nobody else can reach.
    pub to: &'a OwnedFd,
    /// Below the source: what something else stands for.
    pub leave_out: &'a BTreeSet<PathBuf>,
}

/// Brings it. The marks tell later whether the source and what was brought are still the same.
///
/// # Errors
/// What cannot be read or made, a bound that is reached, or the end of the caller's patience.
pub(super) async fn bring(order: &Order<'_>, budget: &mut Budget, pulse: &mut Pulse<'_>) -> Result<Marks> {
    let failed = |error| pulse.failed(order.source, error);
    let source = open_source(order.source).map_err(failed)?;
    let device = rustix::fs::fstat(&source).map_err(failed)?.st_dev;
    let overlay = rustix::fs::fstatfs(&source).map_err(failed)?.f_type == OVERLAYFS;
    let to_device = rustix::fs::fstat(order.to).map_err(failed)?.st_dev;
    let mut bringing = Bringing {
        order,
        device,
        links: !overlay && to_device == device,
        clones: true,
        source,
        marks: Vec::new(),
        brought: Vec::new(),
        pending: vec![PathBuf::new()],
    };
    while let Some(at) = bringing.pending.pop() {
        bringing.directory(&at, budget, pulse).await?;
    }
    Ok(Marks {
        source: bringing.marks,
        brought: bringing.brought,
        top: sound::top(order.to).map_err(|error| pulse.failed(order.source, error))?,
    })
}

/// Brings one file of the host under a name of its own.
///
/// # Errors
/// As [`bring`].
pub(super) fn bring_file(
    source: &Path,
    (to, name): (&OwnedFd, &OsStr),
    budget: &mut Budget,
    pulse: &Pulse<'_>,
) -> Result<()> {
    let failed = |error| pulse.failed(source, error);
    let (Some(parent), Some(own)) = (source.parent(), source.file_name()) else {
        return Err(failed(Errno::INVAL));
    };
    budget.name()?;
    let source = open_source(parent).map_err(failed)?;
    let c_string = |name: &OsStr| CString::new(name.as_bytes()).map_err(|_| failed(Errno::INVAL));
    let mut bringing = Bringing {
        order: &Order {
            source: parent,
            to,
            leave_out: &BTreeSet::new(),
        },
        source: source.try_clone().map_err(|error| failed(errno(&error)))?,
        device: 0,
        // Its name may be another there.
        links: false,
        clones: true,
        marks: Vec::new(),
        brought: Vec::new(),
        pending: Vec::new(),
    };
    let path = Path::new(name);
    bringing
        .copy((&source, &c_string(own)?), (to, &c_string(name)?), path, budget)
        .map_err(failed)?
}

struct Bringing<'a> {
    order: &'a Order<'a>,
    source: OwnedFd,
    device: u64,
    /// Files can be linked.
    links: bool,
    /// Files may share their blocks with the host's; false once the file system refused.
    clones: bool,
    /// Of the source.
    marks: Vec<Mark>,
    /// Of what was made.
    brought: Vec<Mark>,
    pending: Vec<PathBuf>,
}

impl Bringing<'_> {
    async fn directory(&mut self, at: &Path, budget: &mut Budget, pulse: &mut Pulse<'_>) -> Result<()> {
        let place = self.order.source.join(at);
        let failed = |pulse: &Pulse<'_>, name: &OsStr, error| pulse.failed(&place.join(name), error);
        let here = OsStr::new("");
        let from = match open_below(&self.source, at) {
            Ok(from) => from,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()), // removed meanwhile
            Err(error) => return Err(failed(pulse, here, error)),
        };
        let seen = rustix::fs::fstat(&from).map_err(|error| failed(pulse, here, error))?;
        self.marks.push(Mark::new(at, &seen));
        let to = open_below(self.order.to, at).map_err(|error| failed(pulse, here, error))?;
        for name in names(&from).map_err(|error| failed(pulse, here, error))? {
            let path = at.join(OsStr::from_bytes(name.as_bytes()));
            if self.order.leave_out.contains(&path) {
                continue;
            }
            budget.name()?;
            pulse.beat(budget.names()).await?;
            self.name(&from, &to, &name, &path, budget)
                .map_err(|error| failed(pulse, OsStr::from_bytes(name.as_bytes()), error))??;
        }
        // All its names are there; what is made further down does not change it any more.
        let made = rustix::fs::fstat(&to).map_err(|error| failed(pulse, here, error))?;
        if at != Path::new("") {
            self.brought.push(Mark::new(at, &made));
        }
        Ok(())
    }

    /// The outer error is the kernel's, the inner one a bound's.
    fn name(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CString,
        path: &Path,
        budget: &mut Budget,
    ) -> rustix::io::Result<Result<()>> {
        let stat = match rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Ok(())), // removed meanwhile
            Err(error) => return Err(error),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let mode = Mode::from_raw_mode(stat.st_mode & 0o755);
                rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
                if stat.st_mode & 0o001 == 0 {
                    // Nobody else gets in there, so nothing has to be there.
                    self.marks.push(Mark::new(path, &stat));
                    let made = rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    self.brought.push(Mark::new(path, &made));
                } else {
                    self.pending.push(path.to_owned());
                }
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&target, to, name)?;
            }
            FileType::RegularFile if stat.st_mode & OTHERS == 0 => self.marks.push(Mark::new(path, &stat)),
            FileType::RegularFile if self.link(from, to, name, path, &stat)? => {}
            FileType::RegularFile => {
                self.marks.push(Mark::new(path, &stat));
                return self.copy((from, name), (to, name), path, budget);
            }
            // Sockets, pipes and devices.
            _ => {}
        }
        Ok(Ok(()))
    }

    /// Gives the host's own file another name, if it can be had so and nobody but root can write it.
    fn link(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CString,
        path: &Path,
        stat: &Stat,
    ) -> rustix::io::Result<bool> {
        let harmless = is_harmless(stat.st_uid, stat.st_mode) && stat.st_dev == self.device;
        if !self.links || !harmless || gives_capabilities(&self.order.source.join(path), stat.st_mode) {
            return Ok(false);
        }
        match rustix::fs::linkat(from, name, to, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::XDEV | Errno::MLINK | Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error),
        }
        let linked = rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (linked.st_ino, linked.st_mode, linked.st_uid) == (stat.st_ino, stat.st_mode, stat.st_uid) {
            return Ok(true);
        }
        // Something else stood there by then.
        rustix::fs::unlinkat(to, name, AtFlags::empty())?;
        Ok(false)
    }

    fn copy(
        &mut self,
        (from, own): (&OwnedFd, &CString),
        (to, name): (&OwnedFd, &CString),
        path: &Path,
        budget: &mut Budget,
    ) -> rustix::io::Result<Result<()>> {
        let common = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let source = match rustix::fs::openat(from, own, OFlags::RDONLY | common, Mode::empty()) {
            Ok(source) => source,
            Err(Errno::NOENT | Errno::LOOP) => return Ok(Ok(())), // replaced meanwhile
            Err(error) => return Err(error),
        };
        // What was opened decides, not what was looked at.
        let stat = rustix::fs::fstat(&source)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_mode & OTHERS == 0 {
            return Ok(Ok(()));
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | common;
        let copy = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
        self.clones = self.clones && (stat.st_size == 0 || rustix::fs::ioctl_ficlone(&copy, &source).is_ok());
        if !self.clones && stat.st_size > 0 {
            let length = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
            if let Err(bound) = budget.bytes(length) {
                return Ok(Err(bound));
            }
            let mut source = File::from(source).take(length);
            let mut writer = File::from(copy.try_clone().map_err(|error| errno(&error))?);
            std::io::copy(&mut source, &mut writer).map_err(|error| errno(&error))?;
        }
        rustix::fs::fchmod(&copy, Mode::from_raw_mode(stat.st_mode & 0o755))?;
        rustix::fs::futimens(copy.as_fd(), &times(&stat))?;
        self.brought.push(Mark::new(path, &rustix::fs::fstat(&copy)?));
        Ok(Ok(()))
    }
}

/// Whether nobody but root can write a file, and it gives nobody's rights.
pub(super) fn is_harmless(owner: u32, mode: u32) -> bool {
    owner == 0 && mode & UNWANTED == 0
}

/// Executing it would give rights; no_new_privs keeps them away, too.
pub(super) fn gives_capabilities(path: &Path, mode: u32) -> bool {
    const NAME: &str = "security.capability";
    mode & 0o111 != 0 && rustix::fs::lgetxattr(path, NAME, &mut [0u8; 64]).is_ok()
}

/// Opens a directory of the host without following a link.
fn open_source(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Opens a directory below another, through no link.
pub(super) fn open_below(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut all = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            all.push(entry.file_name().to_owned());
        }
    }
    Ok(all)
}

#[allow(clippy::unnecessary_fallible_conversions, clippy::useless_conversion)] // widths differ by architecture
fn times(stat: &Stat) -> Timestamps {
    let time = Timespec {
        tv_sec: stat.st_mtime.into(),
        tv_nsec: stat.st_mtime_nsec.try_into().unwrap_or(0),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
