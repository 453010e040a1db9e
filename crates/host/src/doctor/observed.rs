//! Everything that was seen of a host. `stockade doctor --json` prints it, and a test can be
//! made of what a user sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stockade_domain::Target;
use stockade_linux::trial::Tried;
use stockade_linux::trial::kvm::Kvm;

use super::engines::EngineFound;

/// A host, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// What runs here.
    pub system: System,
    /// The program that asked, with links resolved.
    pub program: PathBuf,
    /// The facts that drivers of this host decide by.
    pub target: Target,
    /// Small files of the kernel and the system, by path.
    pub files: BTreeMap<String, Seen>,
    /// Namespaces that were tried, by kind.
    pub namespaces: BTreeMap<String, Tried>,
    /// An overlay in a user namespace, tried.
    pub overlay: Tried,
    /// An id-mapped mount, tried; only root can.
    pub idmapped_mounts: Tried,
    /// Control groups.
    pub cgroups: Cgroups,
    /// A guest on /dev/kvm, tried.
    pub kvm: Kvm,
    /// Flags of the processor that bear on virtual machines and encryption.
    pub cpu_flags: BTreeSet<String>,
    /// Other programs that isolate, by name; one that is not listed was not found.
    pub engines: BTreeMap<String, EngineFound>,
    /// The default run, tried.
    pub default_run: DefaultRun,
}

/// What runs on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// The distribution's name with its version.
    pub name: String,
    /// Short names of the distribution and of those it derives from: `ubuntu`, `debian`.
    pub family: Vec<String>,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's architecture.
    pub architecture: String,
    /// The kind of container that we seem to be in; none where nothing shows one.
    pub container: Option<String>,
    /// systemd is the first process.
    pub systemd: bool,
}

/// What a small file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// Its content, without blanks around it.
    Text(String),
    /// There is no such file.
    Absent,
    /// It cannot be read.
    Unreadable(String),
}

/// Control groups of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroups {
    /// Which versions are mounted.
    pub layout: CgroupLayout,
    /// How Stockade makes groups here.
    pub mechanism: String,
}

/// Which versions of control groups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupLayout {
    /// None.
    None,
    /// Version 1 alone.
    V1,
    /// Version 2 alone.
    V2,
    /// Both.
    Hybrid,
}

/// What came of running `true` with the default policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultRun {
    /// It ended as it should.
    Works {
        /// The driver.
        driver: String,
        /// Controls that evidence was found for.
        verified: u64,
        /// Controls that were asked for.
        controls: u64,
    },
    /// It did not.
    Fails {
        /// What was said.
        why: String,
    },
    /// It could not be tried.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Observed {
    /// What a file says.
    #[must_use]
    pub fn file(&self, path: &str) -> Seen {
        let unread = || Seen::Unreadable("it was not looked at".to_owned());
        self.files.get(path).cloned().unwrap_or_else(unread)
    }
}

impl CgroupLayout {
    /// From /proc/self/mountinfo.
    #[must_use]
    pub fn from_mountinfo(text: &str) -> Self {
        let mounted = |kind: &str| {
            text.lines()
                .filter_map(|line| line.split_once(" - "))
                .any(|(_, rest)| rest.split(' ').next() == Some(kind))
        };
        match (mounted("cgroup"), mounted("cgroup2")) {
            (false, false) => Self::None,
            (true, false) => Self::V1,
            (false, true) => Self::V2,
            (true, true) => Self::Hybrid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_by_what_is_mounted() {
        let v1 = "25 20 0:21 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        let v2 = "26 20 0:22 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let other = "27 20 0:23 / /mnt rw - tmpfs cgroup2 rw";
        let of = |lines: &[&str]| CgroupLayout::from_mountinfo(&lines.join("\n"));
        assert_eq!(of(&[other]), CgroupLayout::None);
        assert_eq!(of(&[v1, other]), CgroupLayout::V1);
        assert_eq!(of(&[v2]), CgroupLayout::V2);
        assert_eq!(of(&[v1, v2]), CgroupLayout::Hybrid);
    }
}
