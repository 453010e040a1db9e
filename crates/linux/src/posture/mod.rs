//! What a process really is, read from outside by the host: the evidence of a receipt.
//!
//! Everything is read from /proc through one descriptor of the process's directory, so that
//! a process id that is used again cannot mislead: once the process is gone, every read
//! fails. What is read was influenced by the process itself (names, paths, arguments): sizes
//! are limited, text is bytes, and what has another form than proc(5) says is an error.
//!
//! Why parsers of our own and not those of a library: the library at hand keeps mount points
//! with their escapes, refuses names that are no UTF-8, does not know `Seccomp_filters`, and
//! takes longer than the whole receipt may.

mod descriptors;
mod environment;
mod mounts;
mod namespaces;
mod status;
mod text;

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

pub use descriptors::Descriptor;
pub use environment::Environment;
pub use mounts::{Mount, covering, parse as parse_mounts};
pub use namespaces::{Namespace, Namespaces};
pub use status::{Capabilities, Ids, Seccomp, Thread};

/// A process, held so that it cannot be mistaken for a later one of the same number.
#[derive(Debug)]
pub struct Process {
    number: i32,
    /// Its directory below /proc.
    directory: OwnedFd,
    pidfd: OwnedFd,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posture {
    /// Every thread, the first one first.
    pub threads: Vec<Thread>,
    /// Namespaces of the first thread.
    pub namespaces: Namespaces,
    /// Mounts that it sees, in their order.
    pub mounts: Vec<Mount>,
    /// Open descriptors.
    pub descriptors: Vec<Descriptor>,
    /// The environment that it was started with.
    pub environment: Environment,
    /// Its control groups.
    pub cgroups: Vec<Cgroup>,
    /// Root directory.
    pub root: Place,
    /// Working directory.
    pub cwd: Place,
}

/// Membership of a control group, a line of /proc/PID/cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Number of the hierarchy, 0 for cgroup v2.
    pub hierarchy: u32,
    /// Controllers or the name of the hierarchy, empty for cgroup v2.
    pub controllers: OsString,
    /// The group, seen from the reader's cgroup namespace.
    pub path: PathBuf,
}

/// A directory or file that a process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As the kernel names it, seen from the reader's root.
    pub path: PathBuf,
    /// Device of the file system.
    pub device: u64,
    /// Number on it.
    pub inode: u64,
}

/// What could not be read of a process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("posture of process {process}: {object}: {cause}")]
pub struct Error {
    /// The process.
    pub process: i32,
    /// The file below its /proc directory.
    pub object: String,
    /// Why.
    pub cause: Cause,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The kernel refused, or the process is gone.
    #[error("{0}; the process may have ended, or belong to another user")]
    Kernel(Errno),
    /// More than any honest process has.
    #[error("more than {0}; the process may try to exhaust its reader")]
    TooMuch(usize),
    /// Not the form of proc(5).
    #[error("{0} is not of the form that proc(5) gives")]
    Malformed(&'static str),
    /// Threads came and went all the time.
    #[error("it changed while it was read; stop the process first")]
    Unstable,
}

/// Results of the parts, which do not know the process.
type Part<T> = Result<T, Cause>;

impl Process {
    /// Takes hold of a process. The caller must know that the number is (still) the one it
    /// means: for example because it is a child that was not waited for.
    ///
    /// # Errors
    /// There is no such process, or /proc is not mounted.
    pub fn open(number: i32) -> Result<Self, Error> {
        let fail = |source| Error {
            process: number,
            object: "open".to_owned(),
            cause: Cause::Kernel(source),
        };
        let positive = Some(number).filter(|number| *number > 0);
        let pid = positive
            .and_then(Pid::from_raw)
            .ok_or_else(|| fail(Errno::SRCH))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(fail)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, format!("/proc/{number}"), flags, Mode::empty()).map_err(fail)?;
        let process = Self {
            number,
            directory,
            pidfd,
        };
        // Alive after both were opened: both are the same process.
        if process.ended() {
            Err(fail(Errno::SRCH))
        } else {
            Ok(process)
        }
    }

    /// Whether it has ended. A number is given away again only after that.
    #[must_use]
    pub fn ended(&self) -> bool {
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut polled, Some(&now)) != Ok(0)
    }

    /// The process id in the reader's PID namespace.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Credentials and walls of every thread.
    ///
    /// # Errors
    /// See [`Cause`].
    pub fn threads(&self) -> Result<Vec<Thread>, Error> {
        self.part("task/*/status", status::threads(self.directory.as_fd()))
    }

    /// Namespaces of the first thread.
    ///
    /// # Errors
    /// See [`Cause`].
    pub fn namespaces(&self) -> Result<Namespaces, Error> {
        self.part("ns", namespaces::read(self.directory.as_fd()))
    }

    /// Mounts, in the order of the kernel.
    ///
    /// # Errors
    /// See [`Cause`].
    pub fn mounts(&self) -> Result<Vec<Mount>, Error> {
        self.part("mountinfo", mounts::read(self.directory.as_fd()))
    }

    /// Open descriptors. Where the process is not dumpable and the reader is not root, they
    /// are copied one after the other instead of being listed.
    ///
    /// # Errors
    /// See [`Cause`].
    pub fn descriptors(&self) -> Result<Vec<Descriptor>, Error> {
        self.part(
            "fd",
            descriptors::read(self.directory.as_fd(), self.pidfd.as_fd()),
        )
    }

    /// The environment that the program was started with.
    ///
    /// # Errors
    /// See [`Cause`].
    pub fn environment(&self) -> Result<Environment, Error> {
        self.part("environ", environment::read(self.directory.as_fd()))
    }

    /// Control groups.
    ///
    /// # Errors
    /// See [`Cause`].
    pub fn cgroups(&self) -> Result<Vec<Cgroup>, Error> {
        self.part("cgroup", cgroups(self.directory.as_fd()))
    }

    /// Root directory.
    ///
    /// # Errors
    /// See [`Cause`].
    pub fn root(&self) -> Result<Place, Error> {
        self.part("root", place(self.directory.as_fd(), "root"))
    }

    /// Working directory.
    ///
    /// # Errors
    /// See [`Cause`].
    pub fn cwd(&self) -> Result<Place, Error> {
        self.part("cwd", place(self.directory.as_fd(), "cwd"))
    }

    /// Everything.
    ///
    /// # Errors
    /// The first part that could not be read.
    pub fn posture(&self) -> Result<Posture, Error> {
        Ok(Posture {
            threads: self.threads()?,
            namespaces: self.namespaces()?,
            mounts: self.mounts()?,
            descriptors: self.descriptors()?,
            environment: self.environment()?,
            cgroups: self.cgroups()?,
            root: self.root()?,
            cwd: self.cwd()?,
        })
    }

    fn part<T>(&self, object: &str, part: Part<T>) -> Result<T, Error> {
        part.map_err(|cause| Error {
            process: self.number,
            object: object.to_owned(),
            cause,
        })
    }
}

/// Everything about a process that the caller knows to exist.
///
/// # Errors
/// The first part that could not be read.
pub fn read(number: i32) -> Result<Posture, Error> {
    Process::open(number)?.posture()
}

fn place(directory: BorrowedFd<'_>, name: &str) -> Part<Place> {
    let path = readlinkat(directory, name, Vec::new())?;
    let stat = statat(directory, name, AtFlags::empty())?;
    Ok(Place {
        path: text::path(path.as_bytes()),
        device: stat.st_dev,
        inode: stat.st_ino,
    })
}

fn cgroups(directory: BorrowedFd<'_>) -> Part<Vec<Cgroup>> {
    /// There are some 15 controllers, and a path has at most 4096 bytes.
    const LIMIT_BYTES: usize = 128 << 10;
    let content = text::read_file(directory, "cgroup", LIMIT_BYTES)?;
    text::lines(&content)
        .map(|line| cgroup(line).ok_or(Cause::Malformed("a line of cgroup")))
        .collect()
}

/// `4:memory:/user.slice`.
fn cgroup(line: &[u8]) -> Option<Cgroup> {
    let mut fields = line.splitn(3, |byte| *byte == b':');
    let hierarchy = text::number(fields.next()?, 10)?;
    let controllers = text::os(fields.next()?);
    let path = text::path(fields.next()?);
    path.is_absolute().then_some(Cgroup {
        hierarchy,
        controllers,
        path,
    })
}

impl From<Errno> for Cause {
    fn from(error: Errno) -> Self {
        Self::Kernel(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kinds of hierarchies, and paths with colons.
    #[test]
    fn cgroup_lines() {
        let line = cgroup(b"4:cpu,cpuacct:/a/b:c").unwrap();
        assert_eq!((line.hierarchy, line.path), (4, PathBuf::from("/a/b:c")));
        assert_eq!(line.controllers, "cpu,cpuacct");
        let unified = cgroup(b"0::/").unwrap();
        assert_eq!((unified.hierarchy, unified.controllers.len()), (0, 0));
        for bad in [&b""[..], b"4", b"4:x", b"x:y:/", b"-1:y:/", b"4:y:relative"] {
            assert_eq!(cgroup(bad), None);
        }
    }

    /// Numbers that mean "any process" or "a group" elsewhere are none here.
    #[test]
    fn only_positive_numbers_are_processes() {
        for number in [0, -1, i32::MIN] {
            assert!(Process::open(number).is_err());
        }
    }
}
