//! Puts a layer over a policy and finds what cannot hold together.

use super::Policy;
use super::error::Conflict;
use super::layer::{Clause, Layer};
use super::strict::SCALARS;
use crate::control::ControlKind;
use crate::demand::Need;
use crate::spec::{Network, WorkspaceMode};

impl Policy {
    /// Puts a layer over the policy: its values in place of others, its lists at the end.
    pub(super) fn put(&mut self, layer: &Layer) {
        for scalar in &SCALARS {
            (scalar.put)(self, layer);
        }
        self.files.extend(layer.files.iter().cloned());
        self.variables.extend(layer.variables.iter().cloned());
        self.needs.extend(layer.needs.iter().cloned());
    }

    /// Mode and destinations belong together: a layer that writes either replaces both.
    pub(super) fn put_network(&mut self, layer: &Layer) {
        if layer.network.is_some() || layer.network_allow.is_some() {
            self.network = layer.network.clone().unwrap_or(Clause::default(Network::None));
            self.network_allow = layer.network_allow.clone();
        }
    }

    /// What somebody wrote about the need for a control.
    #[must_use]
    pub fn written_need(&self, kind: ControlKind) -> Option<&Clause<(ControlKind, Need)>> {
        self.needs.iter().rev().find(|clause| clause.value.0 == kind)
    }

    /// Clauses that rule each other out, each with the clause that cannot hold.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        if let Some(allow) = self
            .network_allow
            .as_ref()
            .filter(|_| self.network.value == Network::Host)
        {
            conflicts.push(Conflict {
                origin: allow.origin.clone(),
                what: format!(
                    "an allow list and the host's own network exclude each other ({})",
                    self.network.origin
                ),
                fix: "remove one of them".to_owned(),
            });
        }
        for kind in ControlKind::ALL {
            let Some(need) = self
                .written_need(kind)
                .filter(|need| need.value.1 == Need::Require)
            else {
                continue;
            };
            if let Some((what, fix)) = self.rules_out(kind) {
                conflicts.push(Conflict {
                    origin: need.origin.clone(),
                    what: format!("{kind} is required, but {what}"),
                    fix,
                });
            }
        }
        conflicts
    }

    /// Somebody wrote that starts of programs are not to be recorded.
    pub(super) fn refuses_records(&self) -> bool {
        !self.audit_processes.value && self.audit_processes.is_written()
    }

    fn another_mode(&self, needed: &str) -> Option<(String, String)> {
        Some((
            format!("the workspace has another mode ({})", self.workspace_mode.origin),
            format!("write mode = \"{needed}\" in [workspace]"),
        ))
    }

    /// The clause because of which a control would be required in vain.
    fn rules_out(&self, kind: ControlKind) -> Option<(String, String)> {
        let host_network = self.network.value == Network::Host;
        let allows = self
            .network_allow
            .as_ref()
            .is_some_and(|list| !list.value.is_empty());
        let mode = &self.workspace_mode;
        match kind {
            ControlKind::NetworkNone | ControlKind::LocalSocketsHidden if host_network => Some((
                format!("the network is the host's ({})", self.network.origin),
                "write mode = \"none\" in [network]".to_owned(),
            )),
            ControlKind::NetworkNone if allows => Some((
                "destinations are allowed".to_owned(),
                "remove allow from [network], or require network-allowlist".to_owned(),
            )),
            ControlKind::NetworkAllowlist if !allows => Some((
                "nothing is allowed".to_owned(),
                "write allow in [network], or require network-none".to_owned(),
            )),
            ControlKind::WorkspaceCopyOnWrite if !mode.value.keeps_apart() => self.another_mode("cow"),
            ControlKind::WorkspaceReadOnly if mode.value != WorkspaceMode::Ro => self.another_mode("ro"),
            ControlKind::WorkspaceProtected if mode.value != WorkspaceMode::Live => self.another_mode("live"),
            ControlKind::NestedNamespacesOff if self.nested_namespaces.value => Some((
                format!("namespaces are allowed ({})", self.nested_namespaces.origin),
                "remove nested-namespaces from [sandbox]".to_owned(),
            )),
            ControlKind::ProcessStarts if self.refuses_records() => Some((
                format!("they are not to be recorded ({})", self.audit_processes.origin),
                "write processes = true in [audit]".to_owned(),
            )),
            ControlKind::SecondWall if self.nested_namespaces.value => Some((
                format!(
                    "namespaces are allowed ({}), and Landlock refuses the mounts in them",
                    self.nested_namespaces.origin
                ),
                "remove nested-namespaces from [sandbox]".to_owned(),
            )),
            _ => self.unbounded(kind),
        }
    }

    /// The clause because of which a limit would be required in vain: it has no value.
    fn unbounded(&self, kind: ControlKind) -> Option<(String, String)> {
        let (limits, budget) = (&self.limits, &self.budget);
        let (is_bounded, origin, key, section) = match kind {
            ControlKind::Memory => (
                limits.memory.value.value().is_some(),
                &limits.memory.origin,
                "memory",
                "limits",
            ),
            ControlKind::Pids => (
                limits.pids.value.value().is_some(),
                &limits.pids.origin,
                "pids",
                "limits",
            ),
            ControlKind::Cpu => (
                limits.to_spec().cpu.is_some(),
                &limits.cpus.origin,
                "cpus",
                "limits",
            ),
            ControlKind::Disk => (
                limits.disk.value.value().is_some(),
                &limits.disk.origin,
                "disk",
                "limits",
            ),
            ControlKind::WallTime => (
                limits.timeout.value.value().is_some(),
                &limits.timeout.origin,
                "timeout",
                "limits",
            ),
            ControlKind::Output => (
                limits.output.value.value().is_some(),
                &limits.output.origin,
                "output",
                "limits",
            ),
            ControlKind::BudgetMemory => (
                budget.memory_bytes().is_some(),
                &budget.memory.origin,
                "memory",
                "budget",
            ),
            ControlKind::BudgetCpu => (
                budget.cpu_millis().is_some(),
                &budget.cpus.origin,
                "cpus",
                "budget",
            ),
            _ => return None,
        };
        (!is_bounded).then(|| {
            (
                format!("there is no limit ({origin})"),
                format!("write a value for {key} in [{section}]"),
            )
        })
    }
}
