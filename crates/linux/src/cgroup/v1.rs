//! Limits and figures as cgroup v1 has them.

use stockade_domain::ending::Usage;
use stockade_domain::units::CpuLimit;

use super::controller::Controller;
use super::files::{Dir, keyed};
use super::limits::{self, GroupLimits};
use super::{Error, Result};

const MEMORY: &str = "memory.limit_in_bytes";
/// Memory and swap together; missing where the kernel does not account for swap.
const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";
const SWAPPINESS: &str = "memory.swappiness";
const OOM_CONTROL: &str = "memory.oom_control";
pub(super) const PIDS: &str = "pids.max";
const SHARES: &str = "cpu.shares";
const QUOTA: &str = "cpu.cfs_quota_us";
const PERIOD: &str = "cpu.cfs_period_us";
/// The file by which a single-threaded process moves itself at once. `cgroup.procs` would wait
/// for a grace period of the kernel, 8 to 10 ms.
pub(super) const TASKS: &str = "tasks";

/// Writes the limits of the controllers that this directory has.
pub(super) fn set(
    dir: &Dir,
    controllers: &[Controller],
    asked: &GroupLimits,
    notes: &mut Vec<String>,
) -> Result<()> {
    for controller in controllers {
        match controller {
            Controller::Memory => {
                if let Some(bytes) = asked.memory_bytes {
                    set_memory(dir, bytes, notes)?;
                }
            }
            Controller::Pids => {
                if let Some(pids) = asked.pids {
                    dir.set(PIDS, &pids.to_string(), &pids.to_string())?;
                }
            }
            Controller::Cpu => {
                if let Some(cpu) = asked.cpu {
                    set_cpu(dir, cpu)?;
                }
            }
            Controller::Cpuacct | Controller::Freezer => {}
        }
    }
    Ok(())
}

/// Memory first: the sum with swap may never be below it.
pub(super) fn set_memory(dir: &Dir, bytes: u64, notes: &mut Vec<String>) -> Result<()> {
    let (wrote, kept) = (bytes.to_string(), limits::whole_pages(bytes).to_string());
    dir.set(MEMORY, &wrote, &kept)?;
    match dir.set(MEMORY_AND_SWAP, &wrote, &kept) {
        Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => {
            notes.push(
                "swap is not accounted for on this host (boot with swapaccount=1): it is only discouraged, \
                 memory beyond the limit can go to swap"
                    .to_owned(),
            );
            dir.set(SWAPPINESS, "0", "0")
        }
        other => other,
    }
}

fn set_cpu(dir: &Dir, cpu: CpuLimit) -> Result<()> {
    let shares = limits::shares(cpu.weight).to_string();
    dir.set(SHARES, &shares, &shares)?;
    cpu.quota_millis.map_or(Ok(()), |millis| set_quota(dir, millis))
}

pub(super) fn set_quota(dir: &Dir, millis: u32) -> Result<()> {
    let (quota, period) = limits::bandwidth(millis);
    dir.set(PERIOD, &period.to_string(), &period.to_string())?;
    dir.set(QUOTA, &quota.to_string(), &quota.to_string())
}

/// Reads the limits back into `found`.
pub(super) fn read(dir: &Dir, controllers: &[Controller], found: &mut GroupLimits) -> Result<()> {
    for controller in controllers {
        match controller {
            Controller::Memory => found.memory_bytes = memory(dir)?,
            Controller::Pids => found.pids = dir.read_number(PIDS)?.and_then(|pids| pids.try_into().ok()),
            Controller::Cpu => found.cpu = cpu(dir)?,
            Controller::Cpuacct | Controller::Freezer => {}
        }
    }
    Ok(())
}

/// The memory limit; it is an error if swap would let memory beyond it where that is accounted.
pub(super) fn memory(dir: &Dir) -> Result<Option<u64>> {
    let limit = dir
        .read_number(MEMORY)?
        .filter(|bytes| *bytes < limits::v1_unlimited());
    let with_swap = dir.read_if_there(MEMORY_AND_SWAP)?;
    let (Some(limit), Some(with_swap)) = (limit, with_swap) else {
        return Ok(limit);
    };
    if dir.number(MEMORY_AND_SWAP, with_swap.trim())? == Some(limit) {
        return Ok(Some(limit));
    }
    let object = dir.path().join(MEMORY_AND_SWAP);
    Err(Error::Differs {
        object,
        wrote: limit.to_string(),
        found: with_swap.trim().to_owned(),
    })
}

/// The processor limit. A group that nobody gave one has the kernel's defaults: weight 100.
fn cpu(dir: &Dir) -> Result<Option<CpuLimit>> {
    let shares = dir.read_number(SHARES)?;
    let weight = shares
        .and_then(limits::weight)
        .ok_or_else(|| dir.malformed(SHARES, "no weight"))?;
    let quota_millis = quota(dir)?;
    Ok(Some(CpuLimit { quota_millis, weight }))
}

/// Thousandths of a processor; none where there is no quota, or the kernel has none.
pub(super) fn quota(dir: &Dir) -> Result<Option<u32>> {
    let quota = match dir.read_if_there(QUOTA)? {
        Some(text) => dir.number(QUOTA, text.trim())?,
        None => None,
    };
    Ok(match quota {
        Some(quota) => limits::quota_millis(quota, dir.read_number(PERIOD)?.unwrap_or_default()),
        None => None,
    })
}

/// Adds what this directory counts.
pub(super) fn usage(dir: &Dir, controllers: &[Controller], usage: &mut Usage) {
    let number = |name| dir.read_number(name).ok().flatten();
    for controller in controllers {
        match controller {
            Controller::Memory => {
                usage.memory_bytes = number("memory.usage_in_bytes");
                usage.memory_peak_bytes = number("memory.max_usage_in_bytes");
                usage.oom_kills = oom_kills(dir).ok();
            }
            Controller::Pids => usage.pids = number("pids.current"),
            Controller::Cpuacct => {
                usage.cpu_us = number("cpuacct.usage").map(|nanoseconds| nanoseconds / 1000)
            }
            Controller::Cpu | Controller::Freezer => {}
        }
    }
}

/// Processes killed at the memory limit (Linux 4.13).
pub(super) fn oom_kills(dir: &Dir) -> Result<u64> {
    keyed(&dir.read(OOM_CONTROL)?, "oom_kill").ok_or_else(|| dir.malformed(OOM_CONTROL, "no oom_kill"))
}
