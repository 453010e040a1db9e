//! The closed list of protections that a policy can demand and a driver can enforce.

use serde::{Deserialize, Serialize};

use crate::units::{ByteCount, CpuLimit, CpuMillis, DurationMs};

/// Which protection, without its value: the key of matrices, receipts and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // each variant is described by `ControlKind::summary`
pub enum ControlKind {
    FilesUnreadable,
    NamesHidden,
    MetadataProtected,
    SystemReadOnly,
    HomeHidden,
    LocalSocketsHidden,
    WorkspaceCopyOnWrite,
    WorkspaceReadOnly,
    WorkspaceProtected,
    ProcessesHidden,
    IpcPrivate,
    HostnamePrivate,
    NetworkNone,
    NetworkAllowlist,
    Privileges,
    SyscallFilter,
    NestedNamespacesOff,
    SecondWall,
    DevicesHidden,
    KernelKnobsProtected,
    CleanEnvironment,
    DescriptorsClosed,
    TerminalPrivate,
    GuestProtected,
    DiesWithSupervisor,
    ProcessStarts,
    OwnKernel,
    OwnMachine,
    Cpu,
    Memory,
    Pids,
    Disk,
    WallTime,
    Output,
    BudgetMemory,
    BudgetCpu,
}

impl ControlKind {
    /// Every control, in the order in which reports show them.
    pub const ALL: [Self; 36] = [
        Self::FilesUnreadable,
        Self::NamesHidden,
        Self::MetadataProtected,
        Self::SystemReadOnly,
        Self::HomeHidden,
        Self::LocalSocketsHidden,
        Self::WorkspaceCopyOnWrite,
        Self::WorkspaceReadOnly,
        Self::WorkspaceProtected,
        Self::ProcessesHidden,
        Self::IpcPrivate,
        Self::HostnamePrivate,
        Self::NetworkNone,
        Self::NetworkAllowlist,
        Self::Privileges,
        Self::SyscallFilter,
        Self::NestedNamespacesOff,
        Self::SecondWall,
        Self::DevicesHidden,
        Self::KernelKnobsProtected,
        Self::CleanEnvironment,
        Self::DescriptorsClosed,
        Self::TerminalPrivate,
        Self::GuestProtected,
        Self::DiesWithSupervisor,
        Self::ProcessStarts,
        Self::OwnKernel,
        Self::OwnMachine,
        Self::Cpu,
        Self::Memory,
        Self::Pids,
        Self::Disk,
        Self::WallTime,
        Self::Output,
        Self::BudgetMemory,
        Self::BudgetCpu,
    ];

    /// The name used in policies, reports and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.describe().0
    }

    /// The control that a policy or flag names.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// One clause that says what holds when the control is enforced.
    #[must_use]
    pub fn summary(self) -> &'static str {
        self.describe().1
    }

    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::FilesUnreadable => ("files-unreadable", "files outside the view cannot be read"),
            Self::NamesHidden => ("names-hidden", "names of files outside the view cannot be seen"),
            Self::MetadataProtected => (
                "metadata-protected",
                "modes, owners and times of host files cannot be changed",
            ),
            Self::SystemReadOnly => ("system-read-only", "system directories cannot be written"),
            Self::HomeHidden => ("home-hidden", "the home directory is replaced by a private one"),
            Self::LocalSocketsHidden => (
                "local-sockets-hidden",
                "unix sockets of the host cannot be reached, by path or abstract name",
            ),
            Self::WorkspaceCopyOnWrite => (
                "workspace-copy-on-write",
                "changes in the workspace do not touch the host",
            ),
            Self::WorkspaceReadOnly => ("workspace-read-only", "the workspace cannot be written"),
            Self::WorkspaceProtected => ("workspace-protected", "what the host runs later is read-only"),
            Self::ProcessesHidden => (
                "processes-hidden",
                "host processes cannot be seen, signalled or traced",
            ),
            Self::IpcPrivate => ("ipc-private", "System V IPC and message queues are private"),
            Self::HostnamePrivate => (
                "hostname-private",
                "the host's name is hidden and cannot be changed",
            ),
            Self::NetworkNone => ("network-none", "no network but a private loopback"),
            Self::NetworkAllowlist => ("network-allowlist", "only allowed destinations can be reached"),
            Self::Privileges => ("privileges", "not root, no capabilities, and none can be gained"),
            Self::SyscallFilter => ("syscall-filter", "only allowed system calls of the native ABI"),
            Self::NestedNamespacesOff => ("nested-namespaces-off", "no new namespaces can be made inside"),
            Self::SecondWall => (
                "second-wall",
                "Landlock repeats the file rules and scopes signals",
            ),
            Self::DevicesHidden => ("devices-hidden", "only harmless device nodes exist"),
            Self::KernelKnobsProtected => (
                "kernel-knobs-protected",
                "kernel settings cannot be written, sensitive ones not read",
            ),
            Self::CleanEnvironment => ("clean-environment", "only allowed environment variables pass"),
            Self::DescriptorsClosed => ("descriptors-closed", "no open file of the launcher passes"),
            Self::TerminalPrivate => (
                "terminal-private",
                "own session; the user's terminal cannot be driven",
            ),
            Self::GuestProtected => (
                "guest-protected",
                "the guest cannot be read, traced or overwritten from inside",
            ),
            Self::DiesWithSupervisor => ("dies-with-supervisor", "nothing keeps running when Stockade ends"),
            Self::ProcessStarts => (
                "process-starts",
                "every start of a program inside is recorded, before it happens",
            ),
            Self::OwnKernel => ("own-kernel", "an own kernel serves the system calls"),
            Self::OwnMachine => ("own-machine", "another machine runs the command"),
            Self::Cpu => ("cpu", "processor time is limited"),
            Self::Memory => ("memory", "memory is limited, swap included"),
            Self::Pids => ("pids", "the number of processes is limited"),
            Self::Disk => ("disk", "what the sandbox writes to disk is limited"),
            Self::WallTime => ("wall-time", "the run ends after a set time"),
            Self::Output => ("output", "the amount of output is limited"),
            Self::BudgetMemory => ("budget-memory", "all sandboxes together leave memory to the host"),
            Self::BudgetCpu => ("budget-cpu", "all sandboxes together leave time to the host"),
        }
    }

    /// Controls without which this one would be empty: they are demanded along with it.
    #[must_use]
    pub fn depends_on(self) -> &'static [Self] {
        match self {
            Self::NamesHidden | Self::HomeHidden | Self::MetadataProtected => &[Self::FilesUnreadable],
            Self::SystemReadOnly | Self::FilesUnreadable | Self::NetworkNone => &[Self::Privileges],
            Self::NetworkAllowlist => &[Self::Privileges, Self::LocalSocketsHidden],
            Self::Privileges | Self::DevicesHidden => &[Self::DescriptorsClosed],
            // Starts are told by the filter.
            Self::ProcessStarts => &[Self::SyscallFilter],
            Self::LocalSocketsHidden
            | Self::WorkspaceCopyOnWrite
            | Self::WorkspaceReadOnly
            | Self::WorkspaceProtected
            | Self::ProcessesHidden
            | Self::IpcPrivate
            | Self::HostnamePrivate
            | Self::SyscallFilter
            | Self::NestedNamespacesOff
            | Self::SecondWall
            | Self::KernelKnobsProtected
            | Self::CleanEnvironment
            | Self::DescriptorsClosed
            | Self::TerminalPrivate
            | Self::GuestProtected
            | Self::DiesWithSupervisor
            | Self::OwnKernel
            | Self::OwnMachine
            | Self::Cpu
            | Self::Memory
            | Self::Pids
            | Self::Disk
            | Self::WallTime
            | Self::Output
            | Self::BudgetMemory
            | Self::BudgetCpu => &[],
        }
    }

    /// Limits bound what a sandbox uses; all other controls are walls. Where nobody wrote
    /// a need, walls are required and limits preferred.
    #[must_use]
    pub fn is_limit(self) -> bool {
        matches!(
            self,
            Self::Cpu
                | Self::Memory
                | Self::Pids
                | Self::Disk
                | Self::WallTime
                | Self::Output
                | Self::BudgetMemory
                | Self::BudgetCpu
        )
    }
}

/// A protection together with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "control", content = "value")]
pub enum Control {
    /// A wall: it stands or it does not.
    Wall(ControlKind),
    /// Processor time: a quota, a weight, or both.
    Cpu(CpuLimit),
    /// Memory and swap together.
    Memory(ByteCount),
    /// Processes and threads together.
    Pids(u32),
    /// Bytes written to the workspace's change set.
    Disk(ByteCount),
    /// Wall-clock time from the start of the command.
    WallTime(DurationMs),
    /// Bytes of standard output and standard error together.
    Output(ByteCount),
    /// Memory of all sandboxes that share a place in the tree of control groups.
    BudgetMemory(ByteCount),
    /// Processor time of the same.
    BudgetCpu(CpuMillis),
}

impl Control {
    /// The control without its value.
    #[must_use]
    pub fn kind(&self) -> ControlKind {
        match self {
            Self::Wall(kind) => *kind,
            Self::Cpu(_) => ControlKind::Cpu,
            Self::Memory(_) => ControlKind::Memory,
            Self::Pids(_) => ControlKind::Pids,
            Self::Disk(_) => ControlKind::Disk,
            Self::WallTime(_) => ControlKind::WallTime,
            Self::Output(_) => ControlKind::Output,
            Self::BudgetMemory(_) => ControlKind::BudgetMemory,
            Self::BudgetCpu(_) => ControlKind::BudgetCpu,
        }
    }
}

impl std::fmt::Display for ControlKind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

impl std::fmt::Display for Control {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wall(kind) => write!(out, "{kind}"),
            Self::Cpu(limit) => write!(out, "cpu {limit}"),
            Self::Memory(bytes) => write!(out, "memory {bytes}"),
            Self::Pids(count) => write!(out, "pids {count}"),
            Self::Disk(bytes) => write!(out, "disk {bytes}"),
            Self::WallTime(time) => write!(out, "wall-time {time}"),
            Self::Output(bytes) => write!(out, "output {bytes}"),
            Self::BudgetMemory(bytes) => write!(out, "budget-memory {bytes}"),
            Self::BudgetCpu(cpus) => write!(out, "budget-cpu {cpus}"),
        }
    }
}
