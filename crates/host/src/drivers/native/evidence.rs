//! What the host reads of the guest's process in /proc. The texts are the kernel's, but what
//! they describe is inside, so nothing here trusts their size or form.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, readlinkat, statat};

/// Namespaces that are compared with the supervisor's.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// One mount, from mountinfo.
pub(super) struct Mount {
    pub at: PathBuf,
    pub kind: String,
    pub device: String,
    pub read_only: bool,
    pub no_setuid: bool,
    pub no_devices: bool,
}

/// One thread's rights, from its status.
#[derive(Debug)]
pub(super) struct Thread {
    pub uid: u32,
    pub inside_root: bool,
    pub groups: usize,
    pub capabilities_empty: bool,
    pub no_new_privs: bool,
    pub seccomp: u32,
    /// Threads of the process.
    pub count: u32,
}

/// All that was read.
pub(super) struct Seen {
    pub threads: Vec<Thread>,
    pub mounts: Vec<Mount>,
    /// None where the guest's protection keeps its own supervisor out (not root).
    pub descriptors: Option<Vec<(i32, String)>>,
    /// As above.
    pub environment_bytes: Option<u64>,
    pub session: i32,
    pub terminal: i32,
    pub process_owner: u32,
    pub network_devices: Vec<String>,
    pub host_proc_device: String,
    pub host_pts_device: String,
    namespaces: Vec<(&'static str, u64, u64)>,
}

impl Seen {
    /// Reads the process; an error names what could not be read.
    pub(super) fn read(pid: i32) -> Result<Self, String> {
        let process = open_directory(&format!("/proc/{pid}"))?;
        let stat = text(&process, "stat")?;
        let (session, terminal) = session_and_terminal(&stat).ok_or("its stat is not understood")?;
        let mounts = text(&process, "mountinfo")?
            .lines()
            .map(mount)
            .collect::<Option<_>>();
        Ok(Self {
            threads: threads(&process)?,
            mounts: mounts.ok_or("mountinfo is not understood")?,
            descriptors: unless_denied(descriptors(&process))?,
            environment_bytes: unless_denied(environment_bytes(&process))?,
            session,
            terminal,
            process_owner: statat(&process, "stat", AtFlags::empty())
                .map_err(|error| format!("stat: {error}"))?
                .st_uid,
            network_devices: network_devices(&text(&process, "net/dev")?),
            host_proc_device: device("/proc")?,
            // A host without terminals has none that could be confused with the sandbox's.
            host_pts_device: device("/dev/pts").unwrap_or_default(),
            namespaces: namespaces(&process)?,
        })
    }

    pub(super) fn namespace(&self, name: &str) -> Option<u64> {
        self.namespaces
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, inside, _)| *inside)
    }

    pub(super) fn host_namespace(&self, name: &str) -> Option<u64> {
        self.namespaces
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(.., outside)| *outside)
    }

    /// The mount that is seen at a path: the last one there covers the others.
    pub(super) fn mount(&self, at: &Path) -> Option<&Mount> {
        self.mounts.iter().rev().find(|mount| mount.at == at)
    }
}

fn open_directory(path: &str) -> Result<OwnedFd, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|error| format!("{path}: {error}"))
}

/// Room for a mountinfo of some hundred mounts: the kernel walks all of them again for
/// every read.
const READ_BYTES: usize = 32 << 10;
/// More than any of these files has.
const MAX_BYTES: usize = 4 << 20;

fn bytes(process: &OwnedFd, name: &str) -> io::Result<Vec<u8>> {
    let file = openat(process, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut content = Vec::with_capacity(READ_BYTES);
    loop {
        content.reserve(READ_BYTES / 4);
        if rustix::io::read(&file, spare_capacity(&mut content))? == 0 {
            return Ok(content);
        }
        if content.len() > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

fn text(process: &OwnedFd, name: &str) -> Result<String, String> {
    let content = bytes(process, name).map_err(|error| format!("{name}: {error}"))?;
    // One character for each byte, because paths need not be UTF-8; `unescape` goes back.
    Ok(content.into_iter().map(char::from).collect())
}

fn namespaces(process: &OwnedFd) -> Result<Vec<(&'static str, u64, u64)>, String> {
    let own = open_directory("/proc/self/ns")?;
    let inside = openat(
        process,
        "ns",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| format!("ns: {error}"))?;
    let inode = |directory: &OwnedFd, name: &str| {
        statat(directory, name, AtFlags::empty())
            .map(|seen| seen.st_ino)
            .map_err(|error| format!("ns/{name}: {error}"))
    };
    NAMESPACES
        .iter()
        .map(|name| Ok((*name, inode(&inside, name)?, inode(&own, name)?)))
        .collect()
}

fn device(path: &str) -> Result<String, String> {
    let seen = rustix::fs::stat(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(format!(
        "{}:{}",
        rustix::fs::major(seen.st_dev),
        rustix::fs::minor(seen.st_dev)
    ))
}

/// The rights of every thread. The guest has one, and then its own status is the whole list.
fn threads(process: &OwnedFd) -> Result<Vec<Thread>, String> {
    const UNCLEAR: &str = "a thread's status is not understood";
    let status = text(process, "status")?;
    let leader = thread(&status).ok_or(UNCLEAR)?;
    if leader.count == 1 {
        return Ok(vec![leader]);
    }
    let tasks = openat(
        process,
        "task",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| format!("task: {error}"))?;
    let mut all = Vec::new();
    for entry in Dir::read_from(&tasks).map_err(|error| format!("task: {error}"))? {
        let name = entry
            .map_err(|error| format!("task: {error}"))?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with('.') {
            all.push(thread(&text(&tasks, &format!("{name}/status"))?).ok_or(UNCLEAR)?);
        }
    }
    Ok(all)
}

fn thread(status: &str) -> Option<Thread> {
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let ids: Vec<u32> = field("Uid")?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let groups: Vec<u32> = field("Gid")?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let empty: Option<Vec<bool>> = sets
        .iter()
        .map(|set| field(set).map(|hex| !hex.is_empty() && hex.bytes().all(|digit| digit == b'0')))
        .collect();
    Some(Thread {
        uid: *ids.first()?,
        inside_root: ids.iter().chain(&groups).any(|id| *id == 0)
            || ids.iter().any(|id| Some(id) != ids.first()),
        groups: field("Groups")?.split_whitespace().count(),
        capabilities_empty: empty?.into_iter().all(|empty| empty),
        no_new_privs: field("NoNewPrivs")? == "1",
        seccomp: field("Seccomp")?.parse().ok()?,
        count: field("Threads")?.parse().ok()?,
    })
}

/// mountinfo(5): id, parent, device, root, mount point, options, optional fields, "-", type.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let fields: Vec<&str> = before.split(' ').collect();
    let options: Vec<&str> = fields.get(5)?.split(',').collect();
    Some(Mount {
        at: unescape(fields.get(4)?),
        kind: after.split(' ').next()?.to_owned(),
        device: (*fields.get(2)?).to_owned(),
        read_only: options.contains(&"ro"),
        no_setuid: options.contains(&"nosuid"),
        no_devices: options.contains(&"nodev"),
    })
}

/// Blanks, tabs, newlines and backslashes are written as octal numbers.
fn unescape(field: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes: Vec<u8> = field
        .chars()
        .map(|character| u8::try_from(character).unwrap_or(b'?'))
        .collect();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        let value = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(value.unwrap_or(*byte));
        at += if value.is_some() { 4 } else { 1 };
    }
    std::ffi::OsString::from_vec(out).into()
}

/// A process that is not dumpable keeps these from all but root.
fn unless_denied<T>(read: io::Result<T>) -> Result<Option<T>, String> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(format!("its descriptors or environment cannot be read: {error}")),
    }
}

fn environment_bytes(process: &OwnedFd) -> io::Result<u64> {
    bytes(process, "environ").map(|environment| environment.len() as u64)
}

fn descriptors(process: &OwnedFd) -> io::Result<Vec<(i32, String)>> {
    let list = openat(
        process,
        "fd",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut all = Vec::new();
    for entry in Dir::read_from(&list)? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let target = readlinkat(&list, entry.file_name(), Vec::new())?;
        all.push((number, target.to_string_lossy().into_owned()));
    }
    Ok(all)
}

/// stat(5): the name may hold anything, so counting starts behind its last parenthesis.
fn session_and_terminal(stat: &str) -> Option<(i32, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some((fields.get(3)?.parse().ok()?, fields.get(4)?.parse().ok()?))
}

fn network_devices(table: &str) -> Vec<String> {
    table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

impl fmt::Display for Mount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = if self.read_only { "read-only" } else { "writable" };
        write!(out, "{} {} {access}", self.kind, self.at.display())?;
        if !self.no_setuid {
            write!(out, " setuid")?;
        }
        if !self.no_devices {
            write!(out, " devices")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_with_a_blank_is_unescaped() {
        let line = r"44 68 0:40 / /a\040b ro,nosuid,nodev,relatime - tmpfs none rw";
        let mount = mount(line).expect("a mount");
        assert_eq!((mount.at.as_path(), mount.read_only), (Path::new("/a b"), true));
    }

    #[test]
    fn a_name_with_a_parenthesis_does_not_shift_the_fields() {
        assert_eq!(
            session_and_terminal("7 (a) b) S 1 7 9 34816 -1"),
            Some((9, 34816))
        );
    }

    #[test]
    fn one_thread_with_a_capability_is_seen() {
        let status = "Uid:\t5\t5\t5\t5\nGid:\t5\t5\t5\t5\nGroups:\t\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t8\nCapAmb:\t0\nNoNewPrivs:\t1\nSeccomp:\t2\nThreads:\t1\n";
        assert!(thread(status).is_some_and(|thread| !thread.capabilities_empty && thread.seccomp == 2));
    }
}
