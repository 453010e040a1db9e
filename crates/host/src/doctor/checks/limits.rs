//! Control groups.

use stockade_domain::target::HostFacts;

use super::of_fact;
use crate::doctor::observed::{CgroupLayout, Observed};
use crate::doctor::{Check, Verdict};

pub(super) fn checks(seen: &Observed, facts: &HostFacts) -> Vec<Check> {
    let limit =
        |id, what, fact, control| Check::new(id, what, of_fact(fact, &seen.cgroups.mechanism), &[control]);
    vec![
        layout(seen),
        limit("cgroup-memory", "memory limit", &facts.memory_cgroup, "memory"),
        limit("cgroup-pids", "process limit", &facts.pids_cgroup, "pids"),
        limit("cgroup-cpu", "processor limit", &facts.cpu_cgroup, "cpu"),
    ]
}

fn layout(seen: &Observed) -> Check {
    let verdict = match seen.cgroups.layout {
        CgroupLayout::None => Verdict::missing(
            "no control groups are mounted",
            "as root: mount -t cgroup2 none /sys/fs/cgroup",
        ),
        CgroupLayout::V1 => Verdict::ok("version 1"),
        CgroupLayout::V2 => Verdict::ok("version 2"),
        CgroupLayout::Hybrid => Verdict::ok("versions 1 and 2 together"),
    };
    Check::new(
        "cgroup-layout",
        "control groups",
        verdict,
        &["memory", "pids", "cpu"],
    )
}
