//! What all sandboxes may use together: limits on `stockade`, the group around theirs.
//!
//! They are written when they are missing or looser than what is wanted, and never loosened:
//! a sandbox that lives was promised them. They go with `stockade`, which goes with its last
//! group. Two that start at once write the same, or the tighter of two.

use super::controller::Controller;
use super::files::{Dir, keyed};
use super::limits::{self, GroupLimits};
use super::record::{Kind, SeatRecord};
use super::{Error, Group, Result, v1, v2};

/// A sandbox is not begun with less than this left of the memory of all, or than this part of it.
const ROOM_BYTES: u64 = 64 << 20;
const ROOM_PART: u64 = 16;
/// With so little used, nothing has to be looked at any closer.
const AMPLE_PART: u64 = 8;
/// On v1 before Linux 5.11, a limit holds for groups below only where this says so.
const HIERARCHY: &str = "memory.use_hierarchy";

/// Limits on all sandboxes below one `stockade`; none means that this is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Memory in bytes, with no swap on top.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
}

/// The limits as the kernel holds them, and what is used of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetUse {
    /// The limits.
    pub budget: Budget,
    /// Memory in bytes, what the kernel can take back at once included.
    pub memory_bytes: Option<u64>,
}

impl Budget {
    pub(super) fn needs(&self) -> impl Iterator<Item = Controller> {
        let memory = self.memory_bytes.map(|_| Controller::Memory);
        memory.into_iter().chain(self.cpu_millis.map(|_| Controller::Cpu))
    }

    pub(super) fn check(&self) -> Result<()> {
        GroupLimits {
            memory_bytes: self.memory_bytes,
            ..GroupLimits::default()
        }
        .check()
    }
}

/// Makes sure that the budget holds for the groups in `ours`, and that there is room for one more.
pub(super) fn hold(
    ours: &Dir,
    kind: Kind,
    available: &[Controller],
    budget: &Budget,
    notes: &mut Vec<String>,
) -> Result<()> {
    if let Some(wanted) = budget
        .memory_bytes
        .filter(|_| available.contains(&Controller::Memory))
    {
        let wanted = limits::whole_pages(wanted);
        let held = match memory(ours, kind)? {
            Some(present) if present <= wanted => present,
            _ => {
                set_memory(ours, kind, wanted, notes)?;
                wanted
            }
        };
        room(ours, kind, held)?;
    }
    if let Some(wanted) = budget.cpu_millis.filter(|_| available.contains(&Controller::Cpu))
        && quota(ours, kind)?.is_none_or(|present| present > wanted)
    {
        match kind {
            Kind::V1 => v1::set_quota(ours, wanted)?,
            Kind::V2 => v2::set_quota(ours, wanted)?,
        }
    }
    Ok(())
}

/// The limit that holds; one that was written in part counts as none.
fn memory(ours: &Dir, kind: Kind) -> Result<Option<u64>> {
    let found = match kind {
        Kind::V1 => v1::memory(ours),
        Kind::V2 => v2::memory(ours),
    };
    match found {
        Err(Error::Differs { .. }) => Ok(None),
        other => other,
    }
}

fn set_memory(ours: &Dir, kind: Kind, bytes: u64, notes: &mut Vec<String>) -> Result<()> {
    match kind {
        Kind::V1 => {
            if ours
                .read_if_there(HIERARCHY)?
                .is_some_and(|text| text.trim() == "0")
            {
                ours.set(HIERARCHY, "1", "1")?;
            }
            v1::set_memory(ours, bytes, notes)
        }
        Kind::V2 => v2::set_memory(ours, bytes, notes),
    }
}

fn quota(ours: &Dir, kind: Kind) -> Result<Option<u32>> {
    match kind {
        Kind::V1 => v1::quota(ours),
        Kind::V2 => v2::quota(ours),
    }
}

fn used(ours: &Dir, kind: Kind) -> Result<u64> {
    let name = match kind {
        Kind::V1 => "memory.usage_in_bytes",
        Kind::V2 => "memory.current",
    };
    Ok(ours.read_number(name)?.unwrap_or(u64::MAX))
}

/// Refuses where so much is used that a new sandbox could only take from the others. Cached
/// files that nobody uses are no obstacle: the kernel drops them.
fn room(ours: &Dir, kind: Kind, limit: u64) -> Result<()> {
    let total = used(ours, kind)?;
    if total <= limit - limit / AMPLE_PART {
        return Ok(());
    }
    let key = match kind {
        Kind::V1 => "total_inactive_file",
        Kind::V2 => "inactive_file",
    };
    let droppable = keyed(&ours.read("memory.stat")?, key).unwrap_or(0);
    let used_bytes = total.saturating_sub(droppable);
    if used_bytes.saturating_add(ROOM_BYTES.min(limit / ROOM_PART)) <= limit {
        return Ok(());
    }
    Err(Error::BudgetSpent {
        used_bytes,
        budget_bytes: limit,
    })
}

/// What holds in the group around this one's, which is read through the group itself.
fn read(dir: &Dir, record: &SeatRecord, found: &mut BudgetUse) -> Result<()> {
    let ours = dir.child("..")?;
    if record.controllers.contains(&Controller::Memory) {
        let is_flat = record.kind == Kind::V1
            && ours
                .read_if_there(HIERARCHY)?
                .is_some_and(|text| text.trim() == "0");
        if !is_flat {
            found.budget.memory_bytes = memory(&ours, record.kind)?;
        }
        found.memory_bytes = Some(used(&ours, record.kind)?);
    }
    if record.controllers.contains(&Controller::Cpu) {
        found.budget.cpu_millis = quota(&ours, record.kind)?;
    }
    Ok(())
}

impl Group {
    /// The limits that this group shares with all others beside it, as the kernel holds them
    /// now, and their use.
    pub fn budget(&self) -> Result<BudgetUse> {
        let mut found = BudgetUse::default();
        for (record, dir) in self.open_seats() {
            read(dir, record, &mut found)?;
        }
        Ok(found)
    }
}
