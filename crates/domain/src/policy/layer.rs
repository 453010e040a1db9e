//! One layer of a policy: what a file or the command line says, and nothing that they do
//! not say.

use crate::control::ControlKind;
use crate::demand::{Need, Origin};
use crate::environment::Variable;
use crate::spec::{Caches, Network, WorkspaceMode};
use crate::units::{ByteCount, CpuMillis, CpuShare, DurationMs, Limit, MemoryShare};

/// A value and who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Clause<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub origin: Origin,
}

impl<T> Clause<T> {
    /// A default of Stockade.
    pub fn default(value: T) -> Self {
        Self {
            value,
            origin: Origin::Default,
        }
    }

    /// A command-line flag, named as it would be typed.
    pub fn flag(flag: &str, value: T) -> Self {
        Self {
            value,
            origin: Origin::Flag(flag.to_owned()),
        }
    }

    /// True if a person wrote it.
    pub fn is_written(&self) -> bool {
        self.origin != Origin::Default
    }
}

/// What is to be done with a path of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAccess {
    /// Show it, read-only.
    ReadOnly,
    /// Show it, and let writes reach the host.
    ReadWrite,
    /// Cover it where something else would show it.
    Hide,
}

/// A rule for one path, not yet expanded: `~`, `$HOME` and `$WORKDIR` may begin it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileRule {
    /// The path as written.
    pub path: String,
    /// What is to be done with it.
    pub access: FileAccess,
}

/// Clauses of one source. What is `None` or empty was not written there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// A preset to stand directly below this layer, by name.
    pub preset: Option<Clause<String>>,
    /// What no layer may be looser than; only the organisation's files may have one.
    pub floor: Option<Box<Floor>>,
    /// The driver by name.
    pub driver: Option<Clause<String>>,
    /// A directory to stand in place of the host's system directories.
    pub image: Option<Clause<String>>,
    /// What writing to the workspace means.
    pub workspace_mode: Option<Clause<WorkspaceMode>>,
    /// The workspace; without it the git root, else the current directory.
    pub workspace_path: Option<Clause<String>>,
    /// Paths to show or cover, in order.
    pub files: Vec<Clause<FileRule>>,
    /// What is seen of the caches of package managers.
    pub caches: Option<Clause<Caches>>,
    /// Network reach. Written together with `network_allow`: a layer that has either
    /// replaces both of the layers below.
    pub network: Option<Clause<Network>>,
    /// Destinations that may be reached; an empty list allows nothing.
    pub network_allow: Option<Clause<Vec<String>>>,
    /// Variables, in order.
    pub variables: Vec<Clause<Variable>>,
    /// Memory and swap together.
    pub memory: Option<Clause<Limit<ByteCount>>>,
    /// Processes and threads.
    pub pids: Option<Clause<Limit<u32>>>,
    /// Processors' worth of time.
    pub cpus: Option<Clause<Limit<CpuMillis>>>,
    /// Share of processor time under contention.
    pub cpu_weight: Option<Clause<u16>>,
    /// Bytes in the change set.
    pub disk: Option<Clause<Limit<ByteCount>>>,
    /// Wall-clock time of the command.
    pub timeout: Option<Clause<Limit<DurationMs>>>,
    /// Bytes of output.
    pub output: Option<Clause<Limit<ByteCount>>>,
    /// Memory of all sandboxes together.
    pub budget_memory: Option<Clause<Limit<MemoryShare>>>,
    /// Processor time of all sandboxes together.
    pub budget_cpus: Option<Clause<Limit<CpuShare>>>,
    /// How much single controls are needed.
    pub needs: Vec<Clause<(ControlKind, Need)>>,
    /// The workload may make namespaces.
    pub nested_namespaces: Option<Clause<bool>>,
    /// Commands inside may ask for checkpoints of the changes.
    pub checkpoints_from_inside: Option<Clause<bool>>,
    /// The host name inside.
    pub hostname: Option<Clause<String>>,
    /// Starts of programs inside are recorded.
    pub audit_processes: Option<Clause<bool>>,
}

/// The loosest that a policy may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Where it begins.
    pub origin: Origin,
    /// Clauses that bound those of the policy; `files` has only what is hidden in any case,
    /// and `variables` is empty.
    pub clauses: Layer,
    /// What may be shown, where that is bounded.
    pub lists: FloorLists,
}

/// Lists that bound those of a policy. An empty list permits nothing; none bounds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FloorLists {
    /// Directories and files that may be shown read-only, with what lies in them.
    pub read_only: Option<Clause<Vec<String>>>,
    /// Those that may be shown writable.
    pub read_write: Option<Clause<Vec<String>>>,
    /// Variables of the host that may pass beyond the default list.
    pub pass: Option<Clause<Vec<String>>>,
}

/// What a policy file says.
pub type PolicyFile = Layer;

/// What command-line flags say.
pub type Overrides = Layer;
