//! What the host reads of the guest's process in /proc. The texts are the kernel's, but what
//! they describe is inside, so nothing here trusts their size or form.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
        let base = PathBuf::from(format!("/proc/{pid}"));
        let stat = text(&base.join("stat"))?;
        let (session, terminal) = session_and_terminal(&stat).ok_or("its stat is not understood")?;
        Ok(Self {
            threads: threads(&base)?,
            mounts: text(&base.join("mountinfo"))?
                .lines()
                .map(mount)
                .collect::<Option<_>>()
                .ok_or("mountinfo is not understood")?,
            descriptors: unless_denied(descriptors(&base))?,
            environment_bytes: unless_denied(environment_bytes(&base))?,
            session,
            terminal,
            process_owner: fs::metadata(base.join("stat"))
                .map_err(|error| format!("stat: {error}"))?
                .uid(),
            network_devices: network_devices(&text(&base.join("net/dev"))?),
            host_proc_device: device("/proc")?,
            host_pts_device: device("/dev/pts").unwrap_or_default(),
            namespaces: namespaces(&base)?,
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

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn namespaces(base: &Path) -> Result<Vec<(&'static str, u64, u64)>, String> {
    let inode = |path: PathBuf| {
        fs::metadata(&path)
            .map(|seen| seen.ino())
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    NAMESPACES
        .iter()
        .map(|name| {
            Ok((
                *name,
                inode(base.join("ns").join(name))?,
                inode(Path::new("/proc/self/ns").join(name))?,
            ))
        })
        .collect()
}

fn device(path: &str) -> Result<String, String> {
    let seen = fs::metadata(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(format!(
        "{}:{}",
        rustix::fs::major(seen.dev()),
        rustix::fs::minor(seen.dev())
    ))
}

fn threads(base: &Path) -> Result<Vec<Thread>, String> {
    let list = fs::read_dir(base.join("task")).map_err(|error| format!("task: {error}"))?;
    list.map(|entry| {
        let entry = entry.map_err(|error| format!("task: {error}"))?;
        thread(&text(&entry.path().join("status"))?)
            .ok_or_else(|| "a thread's status is not understood".to_owned())
    })
    .collect()
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
    let bytes = field.as_bytes();
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

fn environment_bytes(base: &Path) -> io::Result<u64> {
    fs::read(base.join("environ")).map(|environment| environment.len() as u64)
}

fn descriptors(base: &Path) -> io::Result<Vec<(i32, String)>> {
    fs::read_dir(base.join("fd"))?
        .map(|entry| {
            let entry = entry?;
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let target = fs::read_link(entry.path())?;
            Ok((
                number.ok_or(io::ErrorKind::InvalidData)?,
                target.to_string_lossy().into_owned(),
            ))
        })
        .collect()
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
        let status = "Uid:\t5\t5\t5\t5\nGid:\t5\t5\t5\t5\nGroups:\t\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t8\nCapAmb:\t0\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        assert!(thread(status).is_some_and(|thread| !thread.capabilities_empty && thread.seccomp == 2));
    }
}
