//! What holds where nobody wrote anything.

use super::layer::Clause;
use super::{Budget, Limits, Policy};
use crate::control::ControlKind;
use crate::demand::Need;
use crate::spec::{Caches, Network, WorkspaceMode};
use crate::target::HostFacts;
use crate::units::{ByteCount, CpuLimit, CpuShare, Limit, MemoryShare};

/// Processes and threads of a sandbox, where nobody wrote a limit.
pub const DEFAULT_PIDS: u32 = 4096;
/// The driver where nobody wrote one: the strongest that meets the policy.
pub const DEFAULT_DRIVER: &str = "auto";
/// What all sandboxes together get of the host's memory, where nobody wrote it.
pub const DEFAULT_BUDGET_MEMORY: MemoryShare = MemoryShare::Percent(80);
/// The same of its processors.
pub const DEFAULT_BUDGET_CPUS: CpuShare = CpuShare::AllBut(1);
/// The host name where nobody wrote one.
pub const DEFAULT_HOSTNAME: &str = "stockade";

/// What of the host the defaults follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HostDefaults {
    /// Physical memory; 0 where it is not known.
    pub memory_bytes: u64,
    /// Processors that are online.
    pub processors: u32,
}

impl From<&HostFacts> for HostDefaults {
    fn from(facts: &HostFacts) -> Self {
        Self {
            memory_bytes: facts.memory_bytes,
            processors: facts.online_cpus,
        }
    }
}

/// How much a control is needed where nobody wrote a need: walls are required, limits
/// preferred. The second wall repeats walls that stand by themselves, and is missing on
/// kernels that the default policy has to run on (Landlock is off, or too old to allow
/// renames); so it alone among the walls is preferred.
#[must_use]
pub fn default_need(kind: ControlKind) -> Need {
    if kind.is_limit() || kind == ControlKind::SecondWall {
        Need::Prefer
    } else {
        Need::Require
    }
}

impl Policy {
    /// The policy of a user who wrote none.
    #[must_use]
    pub fn defaults(host: &HostDefaults) -> Self {
        const MIB: u64 = 1 << 20;
        let memory = match host.memory_bytes / 2 / MIB * MIB {
            0 => Limit::Off,
            half => Limit::AtMost(ByteCount(half)),
        };
        Self {
            driver: Clause::default(DEFAULT_DRIVER.to_owned()),
            image: None,
            workspace_mode: Clause::default(WorkspaceMode::Cow),
            workspace_path: None,
            files: Vec::new(),
            caches: Clause::default(Caches::Cow),
            network: Clause::default(Network::None),
            network_allow: None,
            variables: Vec::new(),
            limits: Limits {
                memory: Clause::default(memory),
                pids: Clause::default(Limit::AtMost(DEFAULT_PIDS)),
                cpus: Clause::default(Limit::Off),
                cpu_weight: Clause::default(CpuLimit::DEFAULT_WEIGHT),
                disk: Clause::default(Limit::Off),
                timeout: Clause::default(Limit::Off),
                output: Clause::default(Limit::Off),
            },
            budget: Budget {
                memory: Clause::default(match host.memory_bytes {
                    0 => Limit::Off,
                    _ => Limit::AtMost(DEFAULT_BUDGET_MEMORY),
                }),
                cpus: Clause::default(Limit::AtMost(DEFAULT_BUDGET_CPUS)),
                host: *host,
            },
            needs: Vec::new(),
            nested_namespaces: Clause::default(false),
            checkpoints_from_inside: Clause::default(false),
            hostname: Clause::default(DEFAULT_HOSTNAME.to_owned()),
            permitted: Vec::new(),
            audit_processes: Clause::default(false),
        }
    }
}
