//! The controllers that Stockade uses.

use serde::{Deserialize, Serialize};

/// A kind of resource that the kernel accounts for or limits by group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// Memory, with swap.
    Memory,
    /// The number of processes and threads.
    Pids,
    /// Processor quota and weight.
    Cpu,
    /// Processor accounting: a controller of its own on v1, always there on v2.
    Cpuacct,
    /// Stopping all processes: a controller of its own on v1, always there on v2. It limits
    /// nothing, and is used only by a group that is frozen.
    Freezer,
}

impl Controller {
    /// All that limit or account.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Pids, Self::Cpu, Self::Cpuacct];
    /// Those that limit something.
    pub(super) const LIMITING: [Self; 3] = [Self::Memory, Self::Pids, Self::Cpu];

    /// The kernel's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Freezer => "freezer",
        }
    }

    /// By the kernel's name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|controller| controller.name() == name)
    }

    /// The controllers in a list such as that of `cgroup.controllers`; others are left out.
    pub(super) fn in_list(text: &str) -> Vec<Self> {
        text.split_whitespace().filter_map(Self::from_name).collect()
    }
}

impl std::fmt::Display for Controller {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}
