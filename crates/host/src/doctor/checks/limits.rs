//! Control groups.

use stockade_domain::policy::{DEFAULT_BUDGET_CPUS, DEFAULT_BUDGET_MEMORY, HostDefaults};
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
        budget(facts),
    ]
}

/// With its figures where nobody wrote others.
fn budget(facts: &HostFacts) -> Check {
    let host = HostDefaults::from(facts);
    let memory = DEFAULT_BUDGET_MEMORY.of(host.memory_bytes);
    let cpus = DEFAULT_BUDGET_CPUS.of(host.processors);
    let found = match memory {
        Some(memory) => format!("by default {memory} of memory and {cpus} for all together"),
        None => format!("by default {cpus} for all together"),
    };
    // Without any control group the lines above say why.
    let fact = [&facts.memory_cgroup, &facts.cpu_cgroup, &facts.shared_cgroup]
        .into_iter()
        .find(|fact| !fact.holds())
        .unwrap_or(&facts.shared_cgroup);
    let controls = &["budget-memory", "budget-cpu"];
    Check::new(
        "budget",
        "budget of all sandboxes",
        of_fact(fact, &found),
        controls,
    )
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
