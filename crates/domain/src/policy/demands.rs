//! Which controls a policy asks for.

use super::defaults::default_need;
use super::layer::Clause;
use super::{Budget, Limits, Policy};
use crate::control::{Control, ControlKind};
use crate::demand::{Demand, Demands, Need, Origin};
use crate::spec::{self, Network, WorkspaceMode};
use crate::units::{ByteCount, CpuLimit, CpuMillis};

/// Walls that every policy asks for.
const ALWAYS: [ControlKind; 18] = [
    ControlKind::FilesUnreadable,
    ControlKind::NamesHidden,
    ControlKind::MetadataProtected,
    ControlKind::SystemReadOnly,
    ControlKind::HomeHidden,
    ControlKind::ProcessesHidden,
    ControlKind::IpcPrivate,
    ControlKind::HostnamePrivate,
    ControlKind::Privileges,
    ControlKind::SyscallFilter,
    ControlKind::SecondWall,
    ControlKind::DevicesHidden,
    ControlKind::KernelKnobsProtected,
    ControlKind::CleanEnvironment,
    ControlKind::DescriptorsClosed,
    ControlKind::TerminalPrivate,
    ControlKind::GuestProtected,
    ControlKind::DiesWithSupervisor,
];

impl Policy {
    /// Every control that is asked for, with its need and the clause that asks.
    #[must_use]
    pub fn demands(&self) -> Demands {
        let mut asked: Vec<(Control, Origin)> = self.walls();
        asked.extend(
            self.limits
                .controls()
                .into_iter()
                .map(|asked| self.within_budget(asked)),
        );
        asked.extend(self.budget.controls());
        // Controls that stand in no clause of their own are asked for by a need alone.
        let kinds: Vec<ControlKind> = asked.iter().map(|(control, _)| control.kind()).collect();
        for need in &self.needs {
            let (kind, _) = need.value;
            if !kind.is_limit() && !kinds.contains(&kind) && !self.gives_up(kind) {
                asked.push((Control::Wall(kind), need.origin.clone()));
            }
        }
        Demands::new(
            asked
                .into_iter()
                .map(|(control, origin)| self.demand(control, origin)),
        )
    }

    /// One sandbox gets no more processor time than all of them; cgroup v1 refuses to promise it.
    fn within_budget(&self, (control, origin): (Control, Origin)) -> (Control, Origin) {
        let control = match (control, self.budget.cpu_millis()) {
            (Control::Cpu(limit), Some(CpuMillis(all))) => Control::Cpu(CpuLimit {
                quota_millis: limit.quota_millis.map(|own| own.min(all)),
                ..limit
            }),
            (control, _) => control,
        };
        (control, origin)
    }

    fn demand(&self, control: Control, origin: Origin) -> Demand {
        let kind = control.kind();
        match self.written_need(kind) {
            Some(need) => Demand {
                control,
                need: need.value.1,
                origin: need.origin.clone(),
            },
            // A limit that somebody wrote is meant; one that nobody wrote is an offer.
            None if kind.is_limit() && origin != Origin::Default => Demand {
                control,
                need: Need::Require,
                origin,
            },
            None => Demand {
                control,
                need: default_need(kind),
                origin,
            },
        }
    }

    /// True for walls that a clause of this policy takes down, so that a mere preference
    /// for them means nothing.
    fn gives_up(&self, kind: ControlKind) -> bool {
        let allows = self
            .network_allow
            .as_ref()
            .is_some_and(|list| !list.value.is_empty());
        match kind {
            ControlKind::NetworkNone => self.network.value == Network::Host || allows,
            ControlKind::NetworkAllowlist => !allows,
            ControlKind::LocalSocketsHidden => self.network.value == Network::Host,
            ControlKind::WorkspaceCopyOnWrite => !self.workspace_mode.value.keeps_apart(),
            ControlKind::WorkspaceReadOnly => self.workspace_mode.value != WorkspaceMode::Ro,
            ControlKind::WorkspaceProtected => self.workspace_mode.value != WorkspaceMode::Live,
            ControlKind::ProcessStarts => self.refuses_records(),
            ControlKind::NestedNamespacesOff | ControlKind::SecondWall => self.nested_namespaces.value,
            _ => false,
        }
    }

    fn walls(&self) -> Vec<(Control, Origin)> {
        let mut walls: Vec<(ControlKind, Origin)> = ALWAYS.map(|kind| (kind, Origin::Default)).to_vec();
        match self.workspace_mode.value {
            WorkspaceMode::Cow | WorkspaceMode::Copy => walls.push((
                ControlKind::WorkspaceCopyOnWrite,
                self.workspace_mode.origin.clone(),
            )),
            WorkspaceMode::Ro => {
                walls.push((ControlKind::WorkspaceReadOnly, self.workspace_mode.origin.clone()))
            }
            WorkspaceMode::Live => walls.push((
                ControlKind::WorkspaceProtected,
                self.workspace_mode.origin.clone(),
            )),
            WorkspaceMode::Rw | WorkspaceMode::None => {}
        }
        // Abstract sockets belong to the network: with the host's network they stay in reach.
        if self.network.value == Network::None {
            walls.push((ControlKind::LocalSocketsHidden, Origin::Default));
            match self.network_allow.as_ref().filter(|list| !list.value.is_empty()) {
                Some(list) => walls.push((ControlKind::NetworkAllowlist, list.origin.clone())),
                None => walls.push((ControlKind::NetworkNone, self.network.origin.clone())),
            }
        }
        if self.nested_namespaces.value {
            // Landlock refuses every mount, whatever its rules say.
            walls.retain(|(kind, _)| *kind != ControlKind::SecondWall);
        } else {
            walls.push((
                ControlKind::NestedNamespacesOff,
                self.nested_namespaces.origin.clone(),
            ));
        }
        if self.audit_processes.value {
            walls.push((ControlKind::ProcessStarts, self.audit_processes.origin.clone()));
        }
        walls
            .into_iter()
            .map(|(kind, origin)| (Control::Wall(kind), origin))
            .collect()
    }
}

impl Budget {
    /// Memory that all sandboxes together may use on this host.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<ByteCount> {
        self.memory.value.value()?.of(self.host.memory_bytes)
    }

    /// Processor time that all sandboxes together may use on this host.
    #[must_use]
    pub fn cpu_millis(&self) -> Option<CpuMillis> {
        Some(self.cpus.value.value()?.of(self.host.processors))
    }

    fn controls(&self) -> impl Iterator<Item = (Control, Origin)> {
        let memory = self
            .memory_bytes()
            .map(|bytes| (Control::BudgetMemory(bytes), self.memory.origin.clone()));
        let cpus = self
            .cpu_millis()
            .map(|cpus| (Control::BudgetCpu(cpus), self.cpus.origin.clone()));
        memory.into_iter().chain(cpus)
    }
}

impl Limits {
    /// The bounds without who wrote them, as drivers take them.
    #[must_use]
    pub fn to_spec(&self) -> spec::Limits {
        spec::Limits {
            memory: self.memory.value.value(),
            pids: self.pids.value.value(),
            cpu: self.cpu().map(|clause| clause.value),
            disk: self.disk.value.value(),
            wall_time: self.timeout.value.value(),
            output: self.output.value.value(),
        }
    }

    /// Quota and weight are one control, as written as its more explicit part. Whoever
    /// writes `cpus = "none"` and no weight wants no bound at all.
    fn cpu(&self) -> Option<Clause<CpuLimit>> {
        let quota = self.cpus.value.value();
        if quota.is_none() && self.cpus.is_written() && !self.cpu_weight.is_written() {
            return None;
        }
        let by_quota = quota.is_some() && self.cpus.is_written();
        let origin = if by_quota {
            &self.cpus.origin
        } else {
            &self.cpu_weight.origin
        };
        let quota_millis = quota.map(|CpuMillis(millis)| millis);
        Some(Clause {
            value: CpuLimit {
                quota_millis,
                weight: self.cpu_weight.value,
            },
            origin: origin.clone(),
        })
    }

    fn controls(&self) -> Vec<(Control, Origin)> {
        let mut controls: Vec<_> = self
            .cpu()
            .map(|cpu| (Control::Cpu(cpu.value), cpu.origin))
            .into_iter()
            .collect();
        let bounds = [
            (
                self.memory.value.value().map(Control::Memory),
                &self.memory.origin,
            ),
            (self.pids.value.value().map(Control::Pids), &self.pids.origin),
            (self.disk.value.value().map(Control::Disk), &self.disk.origin),
            (
                self.timeout.value.value().map(Control::WallTime),
                &self.timeout.origin,
            ),
            (
                self.output.value.value().map(Control::Output),
                &self.output.origin,
            ),
        ];
        controls.extend(
            bounds
                .into_iter()
                .filter_map(|(control, origin)| Some((control?, origin.clone()))),
        );
        controls
    }
}
