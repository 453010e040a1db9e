//! What the host reads of the guest's process in /proc: [`posture`] does the reading, and here
//! is what the receipt looks at.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor, stat};
use stockade_linux::ops::Inventory;
use stockade_linux::posture::{self, Namespace, Namespaces, Process};

/// One mount, from mountinfo.
pub(crate) struct Mount {
    pub at: PathBuf,
    /// What of its file system is seen there.
    pub root: PathBuf,
    pub kind: String,
    pub device: (u32, u32),
    pub read_only: bool,
    pub no_setuid: bool,
    pub no_devices: bool,
    /// Nothing propagates from it or to it.
    pub private: bool,
}

/// One thread's rights, from its status.
#[derive(Debug)]
pub(crate) struct Thread {
    pub uid: u32,
    /// One of its ids is root's, or they are not all the same.
    pub mixed_or_root: bool,
    pub groups: usize,
    pub capabilities_empty: bool,
    /// But for the bounding set, which gives nothing where executing gives nothing.
    pub capabilities_released: bool,
    pub no_new_privs: bool,
    pub seccomp: u8,
}

/// All that was read.
pub(crate) struct Seen {
    pub threads: Vec<Thread>,
    pub mounts: Vec<Mount>,
    pub descriptors: Vec<(i32, String)>,
    pub environment_empty: bool,
    pub session: i32,
    pub terminal: i32,
    pub process_owner: u32,
    pub network_devices: Vec<String>,
    pub host_proc: (u32, u32),
    /// None on a host without terminals, which none of the sandbox's could be confused with.
    pub host_pts: Option<(u32, u32)>,
    /// The guest's and the supervisor's own; unknown where they cannot be read.
    namespaces: Option<(Namespaces, Namespaces)>,
    /// The guest has told of its descriptors and environment itself.
    pub told: bool,
}

impl Seen {
    /// Reads the process; an error names what could not be read.
    pub(crate) fn read(pid: i32) -> Result<Self, String> {
        let text = |error: posture::Error| error.to_string();
        let process = Process::open(pid).map_err(text)?;
        let own = Process::open(rustix::process::getpid().as_raw_nonzero().get()).map_err(text)?;
        let status = file(pid, "stat")?;
        let (session, terminal) = session_and_terminal(&status).ok_or("its stat is not understood")?;
        Ok(Self {
            threads: process.threads().map_err(text)?.iter().map(thread).collect(),
            mounts: process.mounts().map_err(text)?.into_iter().map(mount).collect(),
            descriptors: descriptors(&process).map_err(text)?,
            environment_empty: process.environment().map_err(text)?.is_empty(),
            session,
            terminal,
            process_owner: owner(pid)?,
            network_devices: network_devices(&file(pid, "net/dev")?),
            host_proc: device("/proc").map_err(|error| format!("/proc: {error}"))?,
            host_pts: device("/dev/pts").ok(),
            namespaces: Some((
                process.namespaces().map_err(text)?,
                own.namespaces().map_err(text)?,
            )),
            told: false,
        })
    }

    /// Reads what everybody can, of a process that lets nobody look inside. The rest is what the
    /// guest has told before.
    pub(crate) fn read_closed(pid: i32, told: Option<&Inventory>) -> Result<Self, String> {
        let status = file(pid, "stat")?;
        let (session, terminal) = session_and_terminal(&status).ok_or("its stat is not understood")?;
        let told = told.ok_or("the guest has not told of its descriptors and environment")?;
        Ok(Self {
            threads: threads(pid)?,
            mounts: Vec::new(),
            descriptors: told.descriptors.clone(),
            environment_empty: told.environment_bytes == 0,
            session,
            terminal,
            process_owner: owner(pid)?,
            network_devices: Vec::new(),
            host_proc: device("/proc").map_err(|error| format!("/proc: {error}"))?,
            host_pts: device("/dev/pts").ok(),
            namespaces: None,
            told: true,
        })
    }

    /// The number of a namespace of the guest.
    pub(crate) fn namespace(&self, kind: Namespace) -> Option<u64> {
        self.namespaces.as_ref()?.0.get(kind)
    }

    /// The number of the supervisor's own.
    pub(crate) fn host_namespace(&self, kind: Namespace) -> Option<u64> {
        self.namespaces.as_ref()?.1.get(kind)
    }

    /// The mount that is seen at a path: the last one there covers the others.
    pub(crate) fn mount(&self, at: &Path) -> Option<&Mount> {
        self.mounts.iter().rev().find(|mount| mount.at == at)
    }
}

fn thread(thread: &posture::Thread) -> Thread {
    let uid = thread.user.real;
    let alike = thread.user.all_are(uid) && thread.group.all_are(thread.group.real);
    Thread {
        uid,
        mixed_or_root: !alike || uid == 0 || thread.group.real == 0,
        groups: thread.groups.len(),
        capabilities_empty: thread.capabilities.are_empty(),
        capabilities_released: posture::Capabilities {
            bounding: 0,
            ..thread.capabilities
        }
        .are_empty(),
        no_new_privs: thread.no_new_privs == Some(true),
        // A kernel without seccomp has no such line, and no filter.
        seccomp: thread.seccomp.mode.unwrap_or(0),
    }
}

fn mount(mount: posture::Mount) -> Mount {
    Mount {
        read_only: mount.has("ro"),
        no_setuid: mount.has("nosuid"),
        no_devices: mount.has("nodev"),
        private: mount.is_private(),
        kind: mount.kind.to_string_lossy().into_owned(),
        device: mount.device,
        at: mount.point,
        root: mount.root,
    }
}

fn descriptors(process: &Process) -> Result<Vec<(i32, String)>, posture::Error> {
    let all = process.descriptors()?;
    Ok(all
        .into_iter()
        .map(|one| (one.number, one.target.to_string_lossy().into_owned()))
        .collect())
}

fn file(pid: i32, name: &str) -> Result<String, String> {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).map_err(|error| format!("{name}: {error}"))
}

fn owner(pid: i32) -> Result<u32, String> {
    let seen = stat(format!("/proc/{pid}/stat")).map_err(|error| format!("stat: {error}"))?;
    Ok(seen.st_uid)
}

fn device(path: &str) -> rustix::io::Result<(u32, u32)> {
    let seen = stat(path)?;
    Ok((major(seen.st_dev), minor(seen.st_dev)))
}

/// The parent of a process.
pub(crate) fn parent(pid: i32) -> Result<i32, String> {
    let stat = file(pid, "stat")?;
    let (_, rest) = stat.rsplit_once(')').ok_or("its stat is not understood")?;
    let parent = rest
        .split_whitespace()
        .nth(1)
        .and_then(|field| field.parse().ok());
    parent.ok_or_else(|| "its stat is not understood".to_owned())
}

/// What the threads of a process may do.
pub(crate) fn threads(pid: i32) -> Result<Vec<Thread>, String> {
    let text = |error: posture::Error| error.to_string();
    let process = Process::open(pid).map_err(text)?;
    Ok(process.threads().map_err(text)?.iter().map(thread).collect())
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
        if !self.private {
            write!(out, " propagating")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_parenthesis_does_not_shift_the_fields() {
        assert_eq!(
            session_and_terminal("7 (a) b) S 1 7 9 34816 -1"),
            Some((9, 34816))
        );
    }
}
