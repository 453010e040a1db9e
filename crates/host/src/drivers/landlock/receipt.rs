//! The evidence of a landlock sandbox. Landlock cannot be read from outside: the guest has tried
//! canaries before and after, and the filter's substitutes too.

use stockade_domain::{Control, ControlKind, Finding, Receipt, Spec};
use stockade_linux::ops::{Attestation, Canary};

use super::places::Places;
use super::{NAME, within};
use crate::local::receipt::{self as shared, Basis, all, attested};
use crate::local::wall::Observed;

/// Gathers the finding for every control.
pub(super) fn gather(
    controls: &[Control],
    spec: &Spec,
    places: &Places,
    expected: &[Canary],
    (observed, attestation): (&Observed<'_>, &Attestation),
) -> Receipt {
    let beyond = within::beyond(spec, places, &attestation.rules);
    shared::gather(controls, observed, attestation, |kind, basis| {
        Check {
            places,
            expected,
            beyond: beyond.as_deref(),
            basis,
        }
        .wall(kind)
    })
}

struct Check<'a> {
    places: &'a Places,
    expected: &'a [Canary],
    /// The first rule that shows more than the view.
    beyond: Option<&'a str>,
    basis: &'a Basis<'a>,
}

impl Check<'_> {
    fn wall(&self, kind: ControlKind) -> Finding {
        let basis = self.basis;
        match kind {
            ControlKind::FilesUnreadable
            | ControlKind::SystemReadOnly
            | ControlKind::HomeHidden
            | ControlKind::WorkspaceReadOnly
            | ControlKind::DevicesHidden
            | ControlKind::KernelKnobsProtected => self.rules(),
            ControlKind::MetadataProtected => all([basis.no_metadata(), basis.rights_released()]),
            ControlKind::LocalSocketsHidden | ControlKind::NetworkNone => basis.no_sockets(),
            ControlKind::WorkspaceCopyOnWrite => {
                all([self.rules(), basis.copy_written(self.places.copy.as_deref())])
            }
            ControlKind::IpcPrivate => basis.no_ipc(),
            ControlKind::Privileges => basis.rights_released(),
            ControlKind::SyscallFilter => all([basis.filtered(), basis.filter_attested()]),
            ControlKind::NestedNamespacesOff => all([basis.no_namespaces(), basis.filter_attested()]),
            ControlKind::CleanEnvironment => basis.environment(),
            ControlKind::DescriptorsClosed => basis.descriptors(),
            ControlKind::TerminalPrivate => all([basis.terminal(), self.rules()]),
            ControlKind::GuestProtected => all([basis.guest_out_of_reach(), self.rules()]),
            ControlKind::DiesWithSupervisor => basis.ends_with_supervisor(),
            ControlKind::WorkspaceProtected
            | ControlKind::NamesHidden
            | ControlKind::ProcessesHidden
            | ControlKind::HostnamePrivate
            | ControlKind::SecondWall
            | ControlKind::NetworkAllowlist
            | ControlKind::ProcessStarts
            | ControlKind::OwnKernel
            | ControlKind::OwnMachine
            | ControlKind::Cpu
            | ControlKind::Memory
            | ControlKind::Pids
            | ControlKind::Disk
            | ControlKind::WallTime
            | ControlKind::Output
            | ControlKind::BudgetMemory
            | ControlKind::BudgetCpu => shared::no_evidence(NAME, kind),
        }
    }

    fn rules(&self) -> Finding {
        let rules = &self.basis.attestation.rules;
        let count = rules.list.len() + rules.read.len() + rules.write.len();
        let found = self
            .beyond
            .map_or_else(|| format!("{count} rules, all of the view"), str::to_owned);
        all([
            self.basis.landlock(),
            self.basis.canaries(self.expected),
            attested(self.beyond.is_none(), "no rule beyond the view", found),
        ])
    }
}
