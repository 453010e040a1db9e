//! What is to be built, after the policy has met the machine: the content of a plan.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::units::{ByteCount, CpuLimit, DurationMs};
use crate::view::FileView;

/// Everything a driver needs in order to build a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What exists inside.
    pub view: FileView,
    /// A root directory to stand in place of the host's system directories.
    pub image: Option<PathBuf>,
    /// The user's directory, if the sandbox has one.
    pub workspace: Option<Workspace>,
    /// Home directory inside; also the value of `HOME`.
    pub home: PathBuf,
    /// Variables that commands start with.
    pub environment: Environment,
    /// Network reach.
    pub network: Network,
    /// The host name inside.
    pub hostname: String,
    /// True lets the workload make namespaces, for agents that bring their own sandbox.
    pub nested_namespaces: bool,
    /// Commands inside may ask for checkpoints of the changes, at [`crate::view::ASKS`].
    pub checkpoints_from_inside: bool,
    /// Upper bounds.
    pub limits: Limits,
}

/// How the workspace is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// The directory on the host, symlinks resolved; inside it stands at the same path.
    pub source: PathBuf,
    /// What writing to it means.
    pub mode: WorkspaceMode,
}

/// What writing to the workspace means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkspaceMode {
    /// Changes are kept apart for review.
    Cow,
    /// The same, in a private copy: where no overlay can be laid over the workspace.
    Copy,
    /// Writing is refused.
    Ro,
    /// Changes go straight to the host.
    Rw,
    /// The same, but what runs later on the host is read-only, and a checkpoint is taken first.
    Live,
    /// There is no workspace.
    None,
}

impl WorkspaceMode {
    /// Changes go to a change set, not to the workspace itself.
    #[must_use]
    pub fn keeps_apart(self) -> bool {
        matches!(self, Self::Cow | Self::Copy)
    }

    /// Changes go to the workspace itself.
    #[must_use]
    pub fn writes_through(self) -> bool {
        matches!(self, Self::Rw | Self::Live)
    }
}

/// What is seen of the caches of package managers in the home directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Caches {
    /// All, copy-on-write: what is added is kept for the project.
    Cow,
    /// Nothing.
    None,
}

/// Network reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// A private loopback and nothing else.
    None,
    /// The host's own network: no protection at all.
    Host,
}

/// Upper bounds; `None` means no bound was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory and swap together.
    pub memory: Option<ByteCount>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Processor time.
    pub cpu: Option<CpuLimit>,
    /// Bytes in the change set.
    pub disk: Option<ByteCount>,
    /// Wall-clock time of the command.
    pub wall_time: Option<DurationMs>,
    /// Bytes of output.
    pub output: Option<ByteCount>,
}
