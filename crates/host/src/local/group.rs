//! The cgroups of one sandbox: its limits, its guest's way in, and what outlives a supervisor.

use std::os::fd::{AsFd, OwnedFd};

use stockade_domain::{Control, Plan};
use stockade_linux::cgroup::{self, Budget, CgroupSurvey, Group, GroupLimits, GroupRecord, JoinMethod};
use stockade_linux::spawn::Birthplace;

use super::wall::Wall;
use crate::driver::{Leftover, LeftoverKind, Seed, Sweep};
use crate::error::{Error, Result};
use crate::state::owner_mark;

/// Stands between a sandbox's id and its owner's mark in the name of a group.
const MARK: char = '-';

/// What the cgroups of a sandbox have to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its own limits.
    pub limits: GroupLimits,
    /// Those of all sandboxes together.
    pub budget: Budget,
}

/// The limits of a plan that need a cgroup, if there are any.
pub(crate) fn limits(plan: &Plan) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    for control in plan.enforced() {
        match control {
            Control::Memory(bytes) => wanted.limits.memory_bytes = Some(bytes.0),
            Control::Pids(count) => wanted.limits.pids = Some(*count),
            Control::Cpu(limit) => wanted.limits.cpu = Some(*limit),
            Control::BudgetMemory(bytes) => wanted.budget.memory_bytes = Some(bytes.0),
            Control::BudgetCpu(cpus) => wanted.budget.cpu_millis = Some(cpus.0),
            Control::Wall(_) | Control::Disk(_) | Control::WallTime(_) | Control::Output(_) => {}
        }
    }
    (wanted != Wanted::default()).then_some(wanted)
}

/// The cgroup for these limits.
pub(crate) fn make(
    driver: &str,
    cgroups: &CgroupSurvey,
    wanted: Option<&Wanted>,
    seed: &Seed,
) -> Result<Option<Group>> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    match Group::create_within(cgroups, &name(seed), &wanted.limits, &wanted.budget) {
        Ok(group) => Ok(Some(group)),
        Err(error @ cgroup::Error::BudgetSpent { .. }) => Err(Error::NoRoom {
            why: error.to_string(),
        }),
        Err(error) => Err(Error::building(driver, "make its cgroup", error.to_string())),
    }
}

/// The sandbox's id, for `gc`, and its owner's mark, for the time when only the group is left.
fn name(seed: &Seed) -> String {
    match seed.state_dir.parent() {
        Some(sandboxes) => format!("{}{MARK}{}", seed.id, owner_mark(sandboxes)),
        None => seed.id.clone(),
    }
}

/// The sandbox's id and the owner's mark.
fn parts(name: &str) -> (&str, Option<&str>) {
    name.split_once(MARK)
        .map_or((name, None), |(id, mark)| (id, Some(mark)))
}

/// How the guest gets into it.
pub(crate) fn join_method<'g>(driver: &str, group: &'g Group) -> Result<JoinMethod<'g>> {
    group
        .join()
        .map_err(|error| Error::building(driver, "join its cgroup", error.to_string()))
}

/// The cgroup that a guest is born into, where it does not join one by itself.
pub(crate) fn birthplace<'g>(join: Option<&'g JoinMethod<'g>>, plan: &Plan) -> Option<Birthplace<'g>> {
    match join? {
        JoinMethod::CloneInto(directory) => Some(Birthplace {
            directory: directory.as_fd(),
            memory_bytes: plan.spec().limits.memory.map(|limit| limit.0),
        }),
        JoinMethod::WriteTasks(_) => None,
    }
}

/// The files that a guest writes to in order to join, where it does so by itself.
pub(crate) fn tasks(wall: &Wall) -> Result<Vec<OwnedFd>> {
    let method = wall.group().map(|group| join_method(wall.driver(), group));
    match method.transpose()? {
        Some(JoinMethod::WriteTasks(tasks)) => Ok(tasks),
        Some(JoinMethod::CloneInto(_)) | None => Ok(Vec::new()),
    }
}

/// Cgroups of sandboxes, whoever supervised them.
pub(crate) fn leftovers(driver: &str, cgroups: &CgroupSurvey) -> Result<Vec<Leftover>> {
    let leftover = |record: &GroupRecord| {
        let place =
            serde_json::to_string(record).map_err(|error| Error::io("encode a cgroup record", error))?;
        Ok(Leftover {
            driver: driver.to_owned(),
            id: parts(&record.id).0.to_owned(),
            kind: LeftoverKind::Cgroup,
            place,
        })
    };
    cgroup::leftovers(cgroups).iter().map(leftover).collect()
}

/// Kills what still runs in the sandbox's cgroups and removes them.
pub(crate) fn reap(driver: &str, leftover: &Leftover) -> Result<()> {
    let group = adopt(driver, leftover)?;
    group
        .kill()
        .and_then(|()| group.remove())
        .map_err(|error| failed(driver, leftover, error.to_string()))
}

/// Removes the cgroups of a sandbox that has no state directory here, if nothing is in them. A
/// sandbox that is just being made is the one thing that can be harmed: it is not started.
pub(crate) fn sweep(driver: &str, leftover: &Leftover, sweep: Sweep<'_>) -> Result<bool> {
    let group = adopt(driver, leftover)?;
    let (_, mark) = parts(group.id());
    let is_meant = sweep.owner.is_none_or(|owner| mark == Some(owner));
    let failed = |error: cgroup::Error| failed(driver, leftover, error.to_string());
    if !is_meant || group.populated().map_err(failed)? {
        return Ok(false);
    }
    if !sweep.dry_run {
        group.remove().map_err(failed)?;
    }
    Ok(true)
}

fn adopt(driver: &str, leftover: &Leftover) -> Result<Group> {
    let record: GroupRecord =
        serde_json::from_str(&leftover.place).map_err(|error| failed(driver, leftover, error.to_string()))?;
    Group::adopt(record).map_err(|error| failed(driver, leftover, error.to_string()))
}

fn failed(driver: &str, leftover: &Leftover, cause: String) -> Error {
    Error::Create {
        driver: driver.to_owned(),
        step: format!("remove the cgroups of sandbox {}", leftover.id),
        cause,
        remedy: Some("see which processes are in them (cgroup.procs) and try `stockade gc` again".to_owned()),
    }
}
