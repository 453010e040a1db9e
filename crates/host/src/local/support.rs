//! Answers that are the same for every driver on this host's own kernel.

use stockade_domain::target::{Fact, HostFacts};
use stockade_domain::{Bounds, Control, ControlKind, Enforcer, Support};

/// A fact that does not hold, as an answer.
pub(crate) fn absent(fact: &Fact) -> Option<Support> {
    match fact {
        Fact::Yes => None,
        Fact::No { why, fix } => Some(Support::Absent {
            why: why.clone(),
            fix: fix.clone(),
        }),
    }
}

/// Enforced by the kernel where a fact holds.
pub(crate) fn when(fact: &Fact, how: &str) -> Support {
    within(fact, how, Bounds::Exact)
}

/// A wall is the driver's matter; all limits are kept in one way.
pub(crate) fn limit(facts: &HostFacts, control: &Control) -> Result<Support, ControlKind> {
    Ok(match control {
        Control::Wall(kind) => return Err(*kind),
        Control::Memory(_) => within(
            &facts.memory_cgroup,
            "memory cgroup, swap included",
            Bounds::Exact,
        ),
        Control::Pids(_) => within(&facts.pids_cgroup, "pids cgroup", Bounds::Exact),
        Control::Cpu(_) => within(
            &facts.cpu_cgroup,
            "cpu cgroup",
            Bounds::Overshoot("within one period of 100 ms".into()),
        ),
        Control::BudgetMemory(_) => shared(facts, &facts.memory_cgroup, Bounds::Exact),
        Control::BudgetCpu(_) => shared(
            facts,
            &facts.cpu_cgroup,
            Bounds::Overshoot("within one period of 100 ms".into()),
        ),
        Control::Disk(_) => Support::Watched {
            by: Enforcer::HostProxy,
            how: "the change set is measured every second".to_owned(),
            overshoot: "what can be written in a second".to_owned(),
        },
        Control::WallTime(_) => Support::supervisor(
            "the supervisor's timer",
            Bounds::Overshoot("a few milliseconds".into()),
        ),
        Control::Output(_) => Support::supervisor(
            "the supervisor counts what it passes on",
            Bounds::Overshoot("nothing beyond the limit is passed on".into()),
        ),
    })
}

fn shared(facts: &HostFacts, controller: &Fact, bounds: Bounds) -> Support {
    let how = "the cgroup around all sandboxes that are started from this control group";
    absent(&facts.shared_cgroup).unwrap_or_else(|| within(controller, how, bounds))
}

fn within(fact: &Fact, how: &str, within: Bounds) -> Support {
    absent(fact).unwrap_or_else(|| Support::Enforced {
        by: Enforcer::HostKernel,
        how: how.to_owned(),
        within,
    })
}

/// For the tests of what drivers answer.
#[cfg(test)]
pub(crate) mod tests {
    use stockade_domain::{Demand, Need, Origin};

    use super::*;

    /// A host on which every driver finds all that it needs. Its user is not root.
    pub(crate) fn capable() -> HostFacts {
        HostFacts {
            kernel: (6, 18),
            euid: 1000,
            privileged: false,
            user_namespaces: Fact::Yes,
            told_starts: Fact::Yes,
            landlock_abi: 7,
            seccomp: Fact::Yes,
            overlay: Fact::Yes,
            idmapped_mounts: Fact::Yes,
            memory_cgroup: Fact::Yes,
            pids_cgroup: Fact::Yes,
            cpu_cgroup: Fact::Yes,
            shared_cgroup: Fact::Yes,
            own_root: Fact::Yes,
            static_program: Fact::Yes,
            memory_bytes: 1 << 30,
            cpus: 1,
            online_cpus: 1,
        }
    }

    /// A demand of the default policy.
    pub(crate) fn demand(control: Control, need: Need) -> Demand {
        Demand {
            control,
            need,
            origin: Origin::Default,
        }
    }
}
