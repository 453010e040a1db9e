//! Ending a group: no process stays alive in it, no directory of it stays behind.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::controller::Controller;
use super::files::Dir;
use super::group::Group;
use super::record::Kind;
use super::{Error, OURS, Result, v1, v2};

/// With these pauses some three seconds: a process that frees much memory takes its time.
const TRIES: u32 = 160;
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// Descriptors held at a time while killing.
const KILL_BATCH: usize = 64;
/// How deep groups below a group are looked for. What is inside cannot make any.
const MAX_DEPTH: u32 = 8;
const PROCS: &str = "cgroup.procs";

impl Group {
    /// Kills all processes of the group and waits until they are gone. Afterwards nothing can
    /// be started in it any more: it is only there to be read and removed.
    pub fn kill(&self) -> Result<()> {
        for (record, dir) in self.open_seats() {
            if record.kind == Kind::V2 && kill_at_once(dir)? {
                continue;
            }
            if record.controllers.contains(&Controller::Pids) {
                // Nothing forks from here on, so that the rounds below come to an end.
                ignore_missing(dir.write(
                    if record.kind == Kind::V1 {
                        v1::PIDS
                    } else {
                        v2::PIDS
                    },
                    "0",
                ))?;
            }
        }
        let mut left = Vec::new();
        let mut pause = FIRST_PAUSE;
        for _ in 0..TRIES {
            left.clear();
            for (_, dir) in self.open_seats() {
                left.extend(kill_round(dir, MAX_DEPTH)?);
            }
            // On v1 what is frozen does not even die. The signals wait for it already.
            self.thaw_v1()?;
            if left.is_empty() {
                return Ok(());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        left.sort_unstable();
        left.dedup();
        let object = self.paths().into_iter().next().unwrap_or_default();
        Err(Error::StillAlive { object, pids: left })
    }

    /// Whether a process is in it in any hierarchy.
    pub fn populated(&self) -> Result<bool> {
        for (_, dir) in self.open_seats() {
            if !processes_below(dir, MAX_DEPTH)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the directories, and `stockade` itself where it is empty then. What is already
    /// gone is fine; dying processes are waited for.
    pub fn remove(&self) -> Result<()> {
        for seat in self.all_seats() {
            let ours = match Dir::open(&seat.record.ours()) {
                Err(error) if gone(&error) => continue,
                other => other?,
            };
            remove_group(&ours, self.id(), MAX_DEPTH)?;
            // Best effort: another group may be in it, or just be made.
            if let Ok(base) = Dir::open(&seat.record.base) {
                let _ = base.remove(OURS);
            }
        }
        Ok(())
    }
}

/// True if the kernel can do it.
fn kill_at_once(dir: &Dir) -> Result<bool> {
    match dir.write(v2::KILL, "1") {
        Ok(()) => Ok(true),
        Err(error) if gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sends SIGKILL to what is in the group and below; returns what was there.
fn kill_round(dir: &Dir, depth: u32) -> Result<Vec<i32>> {
    let mut found = processes(dir)?;
    for batch in found.chunks(KILL_BATCH) {
        kill_batch(dir, batch)?;
    }
    for name in groups(dir, depth)? {
        if let Some(child) = if_there(dir.child(&name))? {
            found.extend(kill_round(&child, depth - 1)?);
        }
    }
    Ok(found)
}

/// A number read from a list may name another process a moment later. So: hold the processes
/// by pidfd, read the list again, and signal only those whose number is still in it.
fn kill_batch(dir: &Dir, batch: &[i32]) -> Result<()> {
    let hold = |raw: &i32| Some((*raw, pidfd_open(Pid::from_raw(*raw)?, PidfdFlags::empty()).ok()?));
    let held: Vec<_> = batch.iter().filter_map(hold).collect();
    let still = processes(dir)?;
    for (raw, pidfd) in held.iter().filter(|(raw, _)| still.contains(raw)) {
        match pidfd_send_signal(pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(cause) => {
                return Err(Error::Io {
                    operation: "kill a process of",
                    object: dir.path().join(raw.to_string()),
                    cause,
                });
            }
        }
    }
    Ok(())
}

/// The processes of one group; 0 stands for one that our PID namespace does not show.
pub(super) fn processes(dir: &Dir) -> Result<Vec<i32>> {
    let text = match dir.read(PROCS) {
        Err(error) if gone(&error) => return Ok(Vec::new()),
        other => other?,
    };
    text.lines()
        .map(|line| line.parse().map_err(|_| dir.malformed(PROCS, line)))
        .collect()
}

fn processes_below(dir: &Dir, depth: u32) -> Result<Vec<i32>> {
    let mut found = processes(dir)?;
    for name in groups(dir, depth)? {
        if let Some(child) = if_there(dir.child(&name))? {
            found.extend(processes_below(&child, depth - 1)?);
        }
    }
    Ok(found)
}

/// The groups below, unless that would be too deep.
fn groups(dir: &Dir, depth: u32) -> Result<Vec<String>> {
    if depth == 0 {
        return Ok(Vec::new());
    }
    Ok(if_there(dir.groups())?.unwrap_or_default())
}

/// Removes a group, what is below it first.
fn remove_group(parent: &Dir, name: &str, depth: u32) -> Result<()> {
    let mut pause = FIRST_PAUSE;
    for left in (0..TRIES).rev() {
        match parent.remove(name) {
            Ok(()) => return Ok(()),
            Err(error) if gone(&error) => return Ok(()),
            Err(error) if left == 0 || error.errno() != Some(Errno::BUSY) => return Err(error),
            Err(_) => {}
        }
        if let Some(group) = if_there(parent.child(name))? {
            for below in groups(&group, depth)? {
                remove_group(&group, &below, depth - 1)?;
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

/// A group that was removed meanwhile: its name or, through an open descriptor, its files.
fn gone(error: &Error) -> bool {
    matches!(error.errno(), Some(Errno::NOENT | Errno::NODEV))
}

fn if_there<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn ignore_missing(result: Result<()>) -> Result<()> {
    if_there(result).map(|_| ())
}
