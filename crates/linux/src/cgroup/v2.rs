//! Limits and figures as cgroup v2 has them, and how a base comes to hand on controllers.

use rustix::io::Errno;
use stockade_domain::ending::Usage;
use stockade_domain::units::CpuLimit;

use super::controller::Controller;
use super::files::{Dir, keyed};
use super::limits::{self, GroupLimits};
use super::record::SeatRecord;
use super::survey::Entry;
use super::{ASIDE, Error, Result, scope};

const MEMORY: &str = "memory.max";
const SWAP: &str = "memory.swap.max";
const EVENTS: &str = "memory.events";
pub(super) const PIDS: &str = "pids.max";
const WEIGHT: &str = "cpu.weight";
const QUOTA: &str = "cpu.max";
/// Kills a whole group at once (Linux 5.14).
pub(super) const KILL: &str = "cgroup.kill";
const SUBTREE: &str = "cgroup.subtree_control";

/// Enters a base and makes sure that it hands on its controllers.
pub(super) fn enter(entry: &Entry) -> Result<SeatRecord> {
    match entry {
        Entry::Ready(seat) => Ok(seat.clone()),
        Entry::StepAside(seat) => {
            step_aside(seat)?;
            Ok(seat.clone())
        }
        Entry::Scope {
            bus,
            mount,
            controllers,
        } => {
            let seat = scope::enter(bus, mount, controllers)?;
            step_aside(&seat)?;
            Ok(seat)
        }
    }
}

/// Moves this process into a group below the base, which then may hand on controllers.
fn step_aside(seat: &SeatRecord) -> Result<()> {
    let base = Dir::open(&seat.base)?;
    if hands_on(&base, &seat.controllers)? {
        return Ok(());
    }
    match base.make(ASIDE) {
        Err(error) if error.errno() != Some(Errno::EXIST) => return Err(error),
        _ => {}
    }
    base.child(ASIDE)?.write("cgroup.procs", "0")?;
    hand_on(&base, &seat.controllers)
}

fn hands_on(dir: &Dir, controllers: &[Controller]) -> Result<bool> {
    let handed_on = Controller::in_list(&dir.read(SUBTREE)?);
    Ok(controllers
        .iter()
        .all(|controller| handed_on.contains(controller)))
}

/// Lets the groups below `dir` use these controllers.
pub(super) fn hand_on(dir: &Dir, controllers: &[Controller]) -> Result<()> {
    if hands_on(dir, controllers)? {
        return Ok(());
    }
    let names: Vec<String> = controllers
        .iter()
        .map(|controller| format!("+{controller}"))
        .collect();
    dir.write(SUBTREE, &names.join(" "))
}

/// Writes the limits. `memory.oom.group` stays 0, as it is in a new group: the kernel then
/// kills the largest process, not the guest that has to tell of it.
pub(super) fn set(dir: &Dir, asked: &GroupLimits, notes: &mut Vec<String>) -> Result<()> {
    if let Some(bytes) = asked.memory_bytes {
        set_memory(dir, bytes, notes)?;
    }
    if let Some(pids) = asked.pids {
        dir.set(PIDS, &pids.to_string(), &pids.to_string())?;
    }
    if let Some(cpu) = asked.cpu {
        dir.set(WEIGHT, &cpu.weight.to_string(), &cpu.weight.to_string())?;
        if let Some(millis) = cpu.quota_millis {
            set_quota(dir, millis)?;
        }
    }
    Ok(())
}

pub(super) fn set_memory(dir: &Dir, bytes: u64, notes: &mut Vec<String>) -> Result<()> {
    dir.set(
        MEMORY,
        &bytes.to_string(),
        &limits::whole_pages(bytes).to_string(),
    )?;
    match dir.set(SWAP, "0", "0") {
        Err(error) if error.errno() == Some(Errno::NOENT) => {
            notes.push(
                "swap is not accounted for on this host (boot with swapaccount=1): memory beyond the limit can go to swap"
                    .to_owned(),
            );
            Ok(())
        }
        other => other,
    }
}

pub(super) fn set_quota(dir: &Dir, millis: u32) -> Result<()> {
    let (quota, period) = limits::bandwidth(millis);
    let text = format!("{quota} {period}");
    dir.set(QUOTA, &text, &text)
}

/// Reads the limits back into `found`.
pub(super) fn read(dir: &Dir, controllers: &[Controller], found: &mut GroupLimits) -> Result<()> {
    for controller in controllers {
        match controller {
            Controller::Memory => found.memory_bytes = memory(dir)?,
            Controller::Pids => found.pids = dir.read_number(PIDS)?.and_then(|pids| pids.try_into().ok()),
            Controller::Cpu => found.cpu = Some(cpu(dir)?),
            Controller::Cpuacct | Controller::Freezer => {}
        }
    }
    Ok(())
}

/// The memory limit; it is an error if swap would let memory beyond it where that is accounted.
pub(super) fn memory(dir: &Dir) -> Result<Option<u64>> {
    let limit = dir.read_number(MEMORY)?;
    let swap = dir.read_if_there(SWAP)?;
    match (limit, swap.as_deref().map(str::trim)) {
        (None, _) | (_, None | Some("0")) => Ok(limit),
        (Some(_), Some(found)) => Err(Error::Differs {
            object: dir.path().join(SWAP),
            wrote: "0".to_owned(),
            found: found.to_owned(),
        }),
    }
}

fn cpu(dir: &Dir) -> Result<CpuLimit> {
    let weight = dir.read_number(WEIGHT)?.and_then(|weight| weight.try_into().ok());
    let weight = weight.ok_or_else(|| dir.malformed(WEIGHT, "no weight"))?;
    let quota_millis = quota(dir)?;
    Ok(CpuLimit { quota_millis, weight })
}

/// Thousandths of a processor; none where there is no quota.
pub(super) fn quota(dir: &Dir) -> Result<Option<u32>> {
    let text = dir.read(QUOTA)?;
    let mut parts = text.split_whitespace();
    let (Some(quota), Some(period)) = (parts.next(), parts.next()) else {
        return Err(dir.malformed(QUOTA, &text));
    };
    Ok(match (dir.number(QUOTA, quota)?, dir.number(QUOTA, period)?) {
        (Some(quota), Some(period)) => limits::quota_millis(quota, period),
        _ => None,
    })
}

/// Adds what this directory counts; processor time is counted also without its controller.
pub(super) fn usage(dir: &Dir, controllers: &[Controller], usage: &mut Usage) {
    let number = |name| dir.read_number(name).ok().flatten();
    usage.cpu_us = dir
        .read("cpu.stat")
        .ok()
        .and_then(|text| keyed(&text, "usage_usec"));
    if controllers.contains(&Controller::Memory) {
        usage.memory_bytes = number("memory.current");
        usage.memory_peak_bytes = number("memory.peak");
        usage.oom_kills = oom_kills(dir).ok();
    }
    if controllers.contains(&Controller::Pids) {
        usage.pids = number("pids.current");
    }
}

/// Processes killed at the memory limit.
pub(super) fn oom_kills(dir: &Dir) -> Result<u64> {
    keyed(&dir.read(EVENTS)?, "oom_kill").ok_or_else(|| dir.malformed(EVENTS, "no oom_kill"))
}
