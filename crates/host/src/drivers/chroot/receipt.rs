//! The evidence of a chroot sandbox: what the kernel says from outside of the processes and the root, and what
//! the guest has tried before and after.

use std::path::Path;

use rustix::fs::{AtFlags, CWD};
use stockade_domain::{Control, ControlKind, Finding, Receipt, Spec};
use stockade_linux::ops::Attestation;

use super::root::on_host;
use super::seal::is_sealed;
use super::{NAME, devices, places};
use crate::local::receipt::{self as shared, Basis, all, attested, host};
use crate::local::wall::Observed;

/// Bits with which others could write.
const OTHERS_WRITE: u32 = 0o022;

/// Gathers the finding for every control.
pub(super) fn gather(
    controls: &[Control],
    root: &Path,
    spec: &Spec,
    observed: &Observed<'_>,
    attestation: &Attestation,
) -> Receipt {
    shared::gather(controls, observed, attestation, |kind, basis| {
        Check { root, spec, basis }.wall(kind)
    })
}

struct Check<'a> {
    root: &'a Path,
    spec: &'a Spec,
    basis: &'a Basis<'a>,
}

impl Check<'_> {
    fn wall(&self, kind: ControlKind) -> Finding {
        let basis = self.basis;
        match kind {
            ControlKind::FilesUnreadable | ControlKind::NamesHidden | ControlKind::HomeHidden => {
                self.stays_in_root()
            }
            ControlKind::MetadataProtected => all([self.stays_in_root(), basis.no_rights()]),
            ControlKind::SystemReadOnly => {
                all([self.stays_in_root(), basis.no_rights(), self.top_is_roots()])
            }
            ControlKind::LocalSocketsHidden | ControlKind::NetworkNone => basis.no_sockets(),
            ControlKind::WorkspaceCopyOnWrite => {
                let copy = self
                    .spec
                    .workspace
                    .as_ref()
                    .map(|workspace| workspace.source.as_path());
                all([self.stays_in_root(), basis.copy_written(copy)])
            }
            ControlKind::WorkspaceReadOnly => all([self.stays_in_root(), self.sealed()]),
            ControlKind::IpcPrivate => basis.no_ipc(),
            ControlKind::Privileges => basis.no_rights(),
            ControlKind::SyscallFilter => all([basis.filtered(), basis.filter_attested()]),
            ControlKind::NestedNamespacesOff => all([basis.no_namespaces(), basis.filter_attested()]),
            ControlKind::SecondWall => self.rules(),
            ControlKind::DevicesHidden => all([self.stays_in_root(), basis.no_rights(), self.devices()]),
            ControlKind::KernelKnobsProtected => all([self.stays_in_root(), self.no_kernel_files()]),
            ControlKind::CleanEnvironment => basis.environment(),
            ControlKind::DescriptorsClosed => basis.descriptors(),
            ControlKind::TerminalPrivate => basis.terminal(),
            ControlKind::GuestProtected => basis.guest_out_of_reach(),
            ControlKind::DiesWithSupervisor => basis.ends_with_supervisor(),
            ControlKind::WorkspaceProtected
            | ControlKind::ProcessesHidden
            | ControlKind::HostnamePrivate
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

    /// The root of the guest and its keeper is the directory that was built, nothing that they have open leads
    /// out of it, and they have no right to change it again.
    fn stays_in_root(&self) -> Finding {
        let expected = "the sandbox's own directory as the root";
        let own = match identity(self.root) {
            Ok(own) => own,
            Err(error) => {
                return Finding::Unchecked {
                    why: format!("{}: {error}", self.root.display()),
                };
            }
        };
        let told = attested(
            self.basis.attestation.root == Some(own),
            expected,
            format!("/ and /.. are inode {}, which / was not before", own.1),
        );
        let mut findings = vec![told, self.basis.descriptors(), self.basis.no_rights()];
        if !self.basis.observed.closed {
            let processes = [Some(self.basis.observed.pid), self.basis.observed.keeper];
            findings.extend(processes.into_iter().flatten().map(|pid| self.root_of(pid, own)));
        }
        all(findings)
    }

    /// What the kernel says of a process's root and current directory.
    fn root_of(&self, pid: i32, own: (u64, u64)) -> Finding {
        let seen = |what: &str| identity(Path::new(&format!("/proc/{pid}/{what}")));
        match (seen("root"), seen("cwd")) {
            (Ok(root), Ok(cwd)) => host(
                root == own && cwd == own,
                "root and current directory in the sandbox",
                format!("/proc/{pid}/root and cwd are {}", self.root.display()),
            ),
            (Err(error), _) | (_, Err(error)) => Finding::Unchecked {
                why: format!("/proc/{pid}/root: {error}"),
            },
        }
    }

    /// Nobody but root can put something into the root directory.
    fn top_is_roots(&self) -> Finding {
        match rustix::fs::statat(CWD, self.root, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(seen) => host(
                seen.st_uid == 0 && seen.st_mode & OTHERS_WRITE == 0,
                "a root directory that root alone can write",
                format!("owned by {}, mode {:o}", seen.st_uid, seen.st_mode & 0o7777),
            ),
            Err(error) => Finding::Unchecked {
                why: format!("{}: {error}", self.root.display()),
            },
        }
    }

    fn rules(&self) -> Finding {
        all([self.basis.landlock(), self.basis.canaries(&places::canaries())])
    }

    fn devices(&self) -> Finding {
        match devices::stranger(&on_host(self.root, Path::new("/dev"))) {
            Ok(stranger) => host(
                stranger.is_none(),
                "harmless device nodes alone",
                stranger.map_or_else(
                    || "/dev has six harmless nodes".to_owned(),
                    |name| format!("/dev/{name}"),
                ),
            ),
            Err(error) => Finding::Unchecked {
                why: format!("/dev of the sandbox: {error}"),
            },
        }
    }

    /// What stands at /proc and /sys is empty, and of the same file system as the root.
    fn no_kernel_files(&self) -> Finding {
        let is_empty = |at: &str| match std::fs::read_dir(on_host(self.root, Path::new(at))) {
            Ok(mut list) => list.next().is_none(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        host(
            is_empty("/proc") && is_empty("/sys"),
            "nothing at /proc and /sys",
            "nothing at /proc and /sys",
        )
    }

    /// Nobody but root can write the copy, and inside nobody is root.
    fn sealed(&self) -> Finding {
        let Some(workspace) = &self.spec.workspace else {
            return host(false, "a workspace", "none");
        };
        match is_sealed(&on_host(self.root, &workspace.source)) {
            Ok(sealed) => host(
                sealed,
                "a copy of the workspace that root owns and nobody can write",
                "the copy of the workspace belongs to root, without bits for writing",
            ),
            Err(error) => Finding::Unchecked {
                why: format!("the copy of the workspace: {error}"),
            },
        }
    }
}

#[allow(clippy::useless_conversion)] // widths differ by architecture
fn identity(path: &Path) -> rustix::io::Result<(u64, u64)> {
    let seen = rustix::fs::stat(path)?;
    Ok((seen.st_dev.into(), seen.st_ino.into()))
}
