//! What a driver works on, as facts: surveyed from the real thing or written by a test.

use serde::{Deserialize, Serialize};

/// A host, a remote engine, a cluster, a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What it is called in reports ("this host").
    pub name: String,
    /// What was found.
    pub facts: Facts,
}

/// Facts by the kind of target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Facts {
    /// The machine that Stockade itself runs on.
    Host(Box<HostFacts>),
}

/// Whether something can be used, and if not, why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// It can be used.
    Yes,
    /// It cannot.
    No {
        /// Why not.
        why: String,
        /// What to do about it.
        fix: Option<String>,
    },
}

impl Fact {
    /// True if it can be used.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Not usable, with a remedy.
    #[must_use]
    pub fn no(why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::No {
            why: why.into(),
            fix: Some(fix.into()),
        }
    }
}

/// What matters of a Linux host for drivers that share its kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Kernel version, major and minor.
    pub kernel: (u32, u32),
    /// Effective user id of the supervisor.
    pub euid: u32,
    /// The supervisor has CAP_SYS_ADMIN in the initial user namespace.
    pub privileged: bool,
    /// A user namespace with the others inside it can be made.
    pub user_namespaces: Fact,
    /// The kernel's Landlock ABI; 0 where it is off or missing.
    pub landlock_abi: u32,
    /// Seccomp filters can be installed.
    pub seccomp: Fact,
    /// Program starts can be told to the supervisor by a filter (Linux 5.19).
    pub told_starts: Fact,
    /// Overlay can be mounted inside a user namespace (Linux 5.11).
    pub overlay: Fact,
    /// Mounts can be id-mapped (Linux 5.12, overlay on top of them 5.19); needed when started by root.
    pub idmapped_mounts: Fact,
    /// A memory limit can be set and joined.
    pub memory_cgroup: Fact,
    /// A limit on the number of processes can be set and joined.
    pub pids_cgroup: Fact,
    /// A processor quota and weight can be set and joined.
    pub cpu_cgroup: Fact,
    /// All sandboxes that are started here lie in one cgroup, which can be limited.
    pub shared_cgroup: Fact,
    /// The supervisor can give a process another root directory and ids of the sandbox's own, and
    /// make device nodes: root with the capabilities for that.
    pub own_root: Fact,
    /// This program needs no dynamic loader, so it can run in an empty root.
    pub static_program: Fact,
    /// Physical memory in bytes.
    pub memory_bytes: u64,
    /// Processors that this process may use.
    pub cpus: u32,
    /// Processors of the host that are online.
    pub online_cpus: u32,
}
