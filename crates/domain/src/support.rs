//! What a driver says it can do for a demand.

use serde::{Deserialize, Serialize};

/// Who enforces a control: the weakest part that has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enforcer {
    /// The kernel that the host itself runs on.
    HostKernel,
    /// A process of ours on the host.
    HostProxy,
    /// A kernel in user space (gVisor) or a language virtual machine.
    ApplicationKernel,
    /// Virtual hardware.
    Hypervisor,
    /// The operator of another machine.
    Provider,
}

impl std::fmt::Display for Enforcer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::HostKernel => "host kernel",
            Self::HostProxy => "stockade",
            Self::ApplicationKernel => "application kernel",
            Self::Hypervisor => "hypervisor",
            Self::Provider => "provider",
        })
    }
}

/// How exactly a limit is met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bounds {
    /// Never beyond the value.
    #[default]
    Exact,
    /// May be passed for a moment or by an amount, as described.
    Overshoot(String),
}

/// Whether a driver can meet a demand on a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// It will be enforced.
    Enforced {
        /// Who enforces it.
        by: Enforcer,
        /// By what mechanism, in a clause.
        how: String,
        /// How exactly.
        within: Bounds,
    },
    /// It is observed and acted upon after the fact: never enough for a requirement.
    Watched {
        /// Who watches.
        by: Enforcer,
        /// By what mechanism, in a clause.
        how: String,
        /// How far it can be passed before the watcher acts.
        overshoot: String,
    },
    /// It cannot be had here.
    Absent {
        /// Why not, in a clause.
        why: String,
        /// What the user can do about it, where something can be done.
        fix: Option<String>,
    },
}

impl Support {
    /// Enforced exactly by the host's kernel.
    #[must_use]
    pub fn host_kernel(how: impl Into<String>) -> Self {
        Self::Enforced {
            by: Enforcer::HostKernel,
            how: how.into(),
            within: Bounds::Exact,
        }
    }

    /// Enforced by our own process on the host.
    #[must_use]
    pub fn supervisor(how: impl Into<String>, within: Bounds) -> Self {
        Self::Enforced {
            by: Enforcer::HostProxy,
            how: how.into(),
            within,
        }
    }

    /// Absent with a remedy.
    #[must_use]
    pub fn absent(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Absent {
            why: why.into(),
            fix: Some(fix.into()),
        }
    }

    /// Absent, and nothing on this target changes that.
    #[must_use]
    pub fn impossible(why: impl Into<String>) -> Self {
        Self::Absent {
            why: why.into(),
            fix: None,
        }
    }

    /// True if a requirement is met.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        matches!(self, Self::Enforced { .. })
    }
}
