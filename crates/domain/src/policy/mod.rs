//! The policy: what a user writes, merged from defaults, file and flags.
//!
//! [`parse`] reads a file into a [`Layer`], the command line makes another, and
//! [`Policy::layered`] puts [`Layers`] over the defaults. [`Policy::demands`] says which
//! controls follow. Nothing here touches the host: paths are texts until `host::view` resolves them.

mod defaults;
mod demands;
mod error;
mod file;
mod layer;
mod layers;
mod merge;
pub mod paths;
pub mod presets;
pub mod protect;
pub mod strict;

pub use defaults::{
    DEFAULT_BUDGET_CPUS, DEFAULT_BUDGET_MEMORY, DEFAULT_DRIVER, DEFAULT_HOSTNAME, DEFAULT_PIDS, HostDefaults,
    default_need,
};
pub use error::{Conflict, Diagnostic, PolicyError};
pub use file::{MAX_BYTES, MAX_ITEMS, VERSION, parse, parse_bytes, schema};
pub use layer::{Clause, FileAccess, FileRule, Floor, FloorLists, Layer, Overrides, PolicyFile};
pub use layers::{LayerKind, Layers};

use serde::Serialize;

use crate::control::ControlKind;
use crate::demand::Need;
use crate::environment::Variable;
use crate::spec::{Caches, Network, WorkspaceMode};
use crate::units::{ByteCount, CpuMillis, CpuShare, DurationMs, Limit, MemoryShare};

/// Every clause with its value and who wrote it. It contradicts itself nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The driver by name.
    pub driver: Clause<String>,
    /// A directory to stand in place of the host's system directories.
    pub image: Option<Clause<String>>,
    /// What writing to the workspace means.
    pub workspace_mode: Clause<WorkspaceMode>,
    /// The workspace; without it the git root, else the current directory.
    pub workspace_path: Option<Clause<String>>,
    /// Paths to show or cover, in order.
    pub files: Vec<Clause<FileRule>>,
    /// What is seen of the caches of package managers.
    pub caches: Clause<Caches>,
    /// Network reach.
    pub network: Clause<Network>,
    /// Destinations that may be reached, if a list was written; an empty one allows nothing.
    pub network_allow: Option<Clause<Vec<String>>>,
    /// Variables beyond the default allow-list, in order.
    pub variables: Vec<Clause<Variable>>,
    /// Upper bounds.
    pub limits: Limits,
    /// What all sandboxes of the host may use together.
    pub budget: Budget,
    /// How much single controls are needed, where somebody wrote it; later over earlier.
    pub needs: Vec<Clause<(ControlKind, Need)>>,
    /// The workload may make namespaces.
    pub nested_namespaces: Clause<bool>,
    /// Commands inside may ask for checkpoints of the changes.
    pub checkpoints_from_inside: Clause<bool>,
    /// The host name inside.
    pub hostname: Clause<String>,
    /// What the organisation permits to be shown, one for each of its floors.
    pub permitted: Vec<FloorLists>,
    /// Starts of programs inside are recorded.
    pub audit_processes: Clause<bool>,
}

/// What all sandboxes of the host may use together, with who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Memory and swap together.
    pub memory: Clause<Limit<MemoryShare>>,
    /// Processors' worth of time.
    pub cpus: Clause<Limit<CpuShare>>,
    /// The host of which these are shares.
    pub host: HostDefaults,
}

/// Upper bounds with who wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Memory and swap together.
    pub memory: Clause<Limit<ByteCount>>,
    /// Processes and threads.
    pub pids: Clause<Limit<u32>>,
    /// Processors' worth of time.
    pub cpus: Clause<Limit<CpuMillis>>,
    /// Share of processor time under contention, 1 to 10,000.
    pub cpu_weight: Clause<u16>,
    /// Bytes in the change set.
    pub disk: Clause<Limit<ByteCount>>,
    /// Wall-clock time of the command.
    pub timeout: Clause<Limit<DurationMs>>,
    /// Bytes of output.
    pub output: Clause<Limit<ByteCount>>,
}
