//! What the host has: processes, mounts, cgroups, as sets that can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::verdict::{Verdict, broken, fail};

/// A process: the start time tells a number that is used again from the old one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number on the host.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// Its name.
    pub name: String,
}

struct Row {
    process: Process,
    parent: u32,
    state: String,
}

/// True if this process is root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// True if the kernel has this version or a newer one.
#[must_use]
pub fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

/// Whether the host has a program of this name.
#[must_use]
pub fn has_program(name: &str) -> bool {
    let places = crate::ground::HOST_PATH.split(':').map(Path::new);
    places.map(|place| place.join(name)).any(|path| path.is_file())
}

/// Sends a signal.
///
/// # Errors
/// There is no such process, or it is not ours.
pub fn signal(pid: u32, signal: Signal) -> Verdict {
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => Ok(kill_process(pid, signal)?),
        None => fail(format!("{pid} is no process id")),
    }
}

/// Makes processes that lose their parent children of this one, so that what a killed
/// supervisor leaves can be found.
///
/// # Errors
/// The kernel refuses.
pub fn adopt_orphans() -> Verdict {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

/// Every process below another, zombies left out.
#[must_use]
pub fn below(ancestor: u32) -> BTreeSet<Process> {
    let rows = rows();
    let mut found = BTreeSet::new();
    let mut waiting = vec![ancestor];
    while let Some(parent) = waiting.pop() {
        for row in rows.values().filter(|row| row.parent == parent) {
            waiting.push(row.process.pid);
            if row.state != "Z" && row.state != "X" {
                found.insert(row.process.clone());
            }
        }
    }
    found
}

/// How many processes below another have ended, and nobody has waited for them.
#[must_use]
pub fn zombies_below(ancestor: u32) -> usize {
    let rows = rows();
    let (mut found, mut waiting) = (0, vec![ancestor]);
    while let Some(parent) = waiting.pop() {
        for row in rows.values().filter(|row| row.parent == parent) {
            waiting.push(row.process.pid);
            found += usize::from(row.state == "Z");
        }
    }
    found
}

/// The most memory that a process has had at once, in KiB.
///
/// # Errors
/// It cannot be read.
pub fn peak_memory_kib(pid: u32) -> Verdict<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    match line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()) {
        Some(kib) => Ok(kib),
        None => broken(format!("{pid} has no peak of memory")),
    }
}

/// Kills a process and everything below it: what traces others leaves them behind.
pub fn kill_tree(root: u32) {
    let tree = below(root);
    for pid in std::iter::once(root).chain(tree.iter().map(|process| process.pid)) {
        // It may have ended: that is what was wanted.
        let _ = signal(pid, Signal::KILL);
    }
}

/// Every process whose command line holds a text, zombies and this process left out.
#[must_use]
pub fn mentioning(text: &str) -> BTreeSet<Process> {
    let own = std::process::id();
    let mentions = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    let rows = rows()
        .into_values()
        .filter(|row| row.process.pid != own && row.state != "Z" && row.state != "X");
    rows.map(|row| row.process)
        .filter(|process| mentions(process.pid))
        .collect()
}

/// True while the process runs.
#[must_use]
pub fn is_alive(process: &Process) -> bool {
    row(process.pid)
        .is_some_and(|row| row.process.started == process.started && row.state != "Z" && row.state != "X")
}

/// Waits until all of these have ended.
///
/// # Errors
/// Some still run after `within`.
pub fn until_gone(processes: &BTreeSet<Process>, within: Duration) -> Verdict {
    let deadline = Instant::now() + within;
    loop {
        let left: Vec<&Process> = processes.iter().filter(|process| is_alive(process)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let told = format!("still running after {within:?}: {left:?}");
            // Told once: the next behaviour begins anew.
            for process in left {
                let _ = signal(process.pid, Signal::KILL);
            }
            return fail(told);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn rows() -> BTreeMap<u32, Row> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, row(pid)?))).collect()
}

fn row(pid: u32) -> Option<Row> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, the last parenthesis ends it.
    let (head, rest) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Row {
        process: Process {
            pid,
            started: fields.get(19)?.parse().ok()?,
            name,
        },
        parent: fields.get(1)?.parse().ok()?,
        state: (*fields.first()?).to_owned(),
    })
}

/// Mounts of this namespace.
#[must_use]
pub fn mounts() -> BTreeSet<String> {
    fs::read_to_string("/proc/self/mountinfo")
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Cgroups whose path names one of these sandboxes.
#[must_use]
pub fn cgroups_of(ids: &BTreeSet<String>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let kind = fields
            .iter()
            .position(|field| *field == "-")
            .and_then(|at| fields.get(at + 1));
        if let (Some(at), Some(&("cgroup" | "cgroup2"))) = (fields.get(4), kind) {
            walk(Path::new(at), ids, &mut found);
        }
    }
    found
}

fn walk(directory: &Path, ids: &BTreeSet<String>, found: &mut BTreeSet<PathBuf>) {
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if ids.iter().any(|id| !id.is_empty() && name.contains(id.as_str())) {
            found.insert(path.clone());
        }
        walk(&path, ids, found);
    }
}

/// System V objects and entries of `/dev/shm`.
#[must_use]
pub fn shared_memory() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for kind in ["shm", "sem", "msg"] {
        let text = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some(format!("{kind} {} {}", fields.next()?, fields.next()?))
        }));
    }
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    found.extend(entries.map(|entry| entry.path().display().to_string()));
    found
}

/// Open descriptors of a process, by what they refer to.
///
/// # Errors
/// They cannot be read.
pub fn descriptors(pid: u32) -> Verdict<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One may be closed between the listing and the look.
        if let Ok(target) = fs::read_link(entry?.path()) {
            targets.push(target.display().to_string());
        }
    }
    targets.sort();
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_below_its_parent_until_it_ends() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let found: BTreeSet<Process> = below(std::process::id())
            .into_iter()
            .filter(|process| process.pid == child.id())
            .collect();
        assert_eq!(found.len(), 1);
        child.kill().unwrap();
        until_gone(&found, Duration::from_secs(20)).unwrap();
        child.wait().unwrap();
    }
}
