//! The evidence: what the host reads of the guest's process before the first command, and
//! what only the guest could see of itself. It is compared with what was demanded (controls
//! and file view), never with the steps that were taken.

use std::path::Path;

use stockade_domain::spec::WorkspaceMode;
use stockade_domain::view::{Access, Content, FileView};
use stockade_domain::{Control, ControlKind, Finding, Receipt, Spec};
use stockade_linux::ops::Attestation;
use stockade_linux::posture::Namespace;

use super::NAME;
use crate::local::evidence::Mount;
use crate::local::receipt::{self as shared, Basis, all, attested, host, list, number};
use crate::local::wall::Observed;

/// Gathers the finding for every control.
pub(super) fn gather(
    controls: &[Control],
    spec: &Spec,
    copy: Option<&Path>,
    observed: &Observed<'_>,
    attestation: &Attestation,
) -> Receipt {
    shared::gather(controls, observed, attestation, |kind, basis| {
        Check { spec, copy, basis }.wall(kind)
    })
}

struct Check<'a> {
    spec: &'a Spec,
    /// Where the private copy of the workspace is on the host.
    copy: Option<&'a Path>,
    basis: &'a Basis<'a>,
}

impl Check<'_> {
    fn wall(&self, kind: ControlKind) -> Finding {
        match kind {
            ControlKind::FilesUnreadable | ControlKind::NamesHidden => all([
                self.own_namespace(Namespace::Mnt),
                self.own_root(),
                self.only_the_view(),
            ]),
            ControlKind::MetadataProtected => all([
                self.only_the_view(),
                self.host_trees_read_only(),
                self.basis.no_rights(),
            ]),
            ControlKind::SystemReadOnly => self.host_trees_read_only(),
            ControlKind::HomeHidden => self.home(),
            ControlKind::LocalSocketsHidden => all([self.only_the_view(), self.own_network()]),
            ControlKind::WorkspaceCopyOnWrite => {
                match self.spec.workspace.as_ref().map(|workspace| workspace.mode) {
                    Some(WorkspaceMode::Copy) => self.copied_workspace(),
                    _ => self.workspace_mount("overlay", false),
                }
            }
            ControlKind::WorkspaceReadOnly => self.workspace_mount("", true),
            ControlKind::WorkspaceProtected => self.protected_paths(),
            ControlKind::ProcessesHidden => all([self.own_namespace(Namespace::Pid), self.own_proc()]),
            ControlKind::IpcPrivate => self.own_namespace(Namespace::Ipc),
            ControlKind::HostnamePrivate => self.own_namespace(Namespace::Uts),
            ControlKind::NetworkNone => all([self.own_network(), self.loopback_only()]),
            ControlKind::Privileges => all([self.own_namespace(Namespace::User), self.basis.no_rights()]),
            ControlKind::SyscallFilter => all([self.basis.filtered(), self.basis.filter_attested()]),
            ControlKind::NestedNamespacesOff => all([self.basis.filtered(), self.user_namespaces_off()]),
            ControlKind::SecondWall => attested(
                !self.basis.attestation.landlock.is_empty(),
                "Landlock refuses what it allowed before",
                list(&self.basis.attestation.landlock),
            ),
            ControlKind::DevicesHidden => self.devices(),
            ControlKind::KernelKnobsProtected => self.knobs(),
            ControlKind::CleanEnvironment => self.basis.environment(),
            ControlKind::DescriptorsClosed => self.basis.descriptors(),
            ControlKind::TerminalPrivate => self.basis.terminal(),
            ControlKind::GuestProtected => self.basis.guest_protected(),
            ControlKind::DiesWithSupervisor => self.dies(),
            ControlKind::ProcessStarts => self.basis.starts_told(),
            ControlKind::NetworkAllowlist
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

    fn own_namespace(&self, kind: Namespace) -> Finding {
        let (inside, outside) = (
            self.basis.seen.namespace(kind),
            self.basis.seen.host_namespace(kind),
        );
        let differs = inside.is_some() && outside.is_some() && inside != outside;
        let name = kind.name();
        let found = format!("{name} namespace {}, host {}", number(inside), number(outside));
        host(differs, &format!("an own {name} namespace"), found)
    }

    fn own_root(&self) -> Finding {
        let root = self.basis.seen.mount(Path::new("/"));
        let holds = root.is_some_and(|root| root.kind == "tmpfs" && root.read_only);
        host(
            holds,
            "a read-only root in memory",
            format!("root: {}", show(root)),
        )
    }

    /// No mount that the view does not explain, and none that follows the host's.
    fn only_the_view(&self) -> Finding {
        let strange = |mount: &&Mount| !mount.private || !explained(&mount.at, self.spec);
        let stranger = self.basis.seen.mounts.iter().find(strange);
        let count = self.basis.seen.mounts.len();
        let found = stranger.map_or_else(
            || format!("{count} private mounts, all of the view"),
            |one| show(Some(one)),
        );
        host(stranger.is_none(), "only private mounts of the file view", found)
    }

    fn host_trees_read_only(&self) -> Finding {
        all(self
            .spec
            .view
            .entries
            .iter()
            .filter_map(|entry| match &entry.what {
                Content::Host { access, .. } => Some(self.host_tree(&entry.at, *access)),
                _ => None,
            }))
        .or_when_empty(|| host(true, "", "no tree of the host in the view"))
    }

    fn host_tree(&self, at: &Path, access: Access) -> Finding {
        let mount = self.basis.seen.mount(at);
        let read_only = access == Access::ReadOnly;
        let holds =
            mount.is_some_and(|mount| (mount.read_only || !read_only) && mount.no_setuid && mount.no_devices);
        let expected = if read_only {
            "ro,nosuid,nodev"
        } else {
            "nosuid,nodev"
        };
        host(holds, &format!("{} {expected}", at.display()), show(mount))
    }

    fn home(&self) -> Finding {
        let home = self.basis.seen.mount(&self.spec.home);
        host(
            home.is_some_and(|home| home.kind == "tmpfs"),
            &format!("a private directory at {}", self.spec.home.display()),
            show(home),
        )
    }

    /// In place of the workspace stands its copy, and it can be written.
    fn copied_workspace(&self) -> Finding {
        let mount = self.workspace_at().and_then(|at| self.basis.seen.mount(at));
        // The name of a change set is its own, so these two tell one copy from all else.
        let tail = |path: &Path| {
            path.iter()
                .rev()
                .take(2)
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        };
        let is_copy = mount.zip(self.copy).is_some_and(|(mount, copy)| {
            !mount.read_only && mount.no_setuid && mount.no_devices && tail(&mount.root) == tail(copy)
        });
        let found = mount.map_or_else(
            || show(None),
            |mount| format!("{mount}, showing {}", mount.root.display()),
        );
        all([
            host(is_copy, "the private copy in place of the workspace", found),
            self.workspace_written(),
        ])
    }

    fn workspace_at(&self) -> Option<&Path> {
        let mut entries = self.spec.view.entries.iter();
        let entry = entries.find(|entry| entry.what == Content::Workspace)?;
        Some(&entry.at)
    }

    fn workspace_written(&self) -> Finding {
        let writable = &self.basis.attestation.writable;
        attested(
            self.workspace_at()
                .is_some_and(|at| writable.iter().any(|one| one == at)),
            "a write in the workspace succeeds",
            "a file was written there and removed",
        )
    }

    /// Each protected path is a read-only mount, and all directories up to the workspace are mount
    /// points, which cannot be renamed.
    fn protected_paths(&self) -> Finding {
        let Some(root) = self.spec.workspace.as_ref().map(|workspace| &workspace.source) else {
            return host(false, "a workspace", "none");
        };
        let inside = self.spec.view.entries.iter().filter(|entry| {
            let is_kept = matches!(
                entry.what,
                Content::Host {
                    access: Access::ReadOnly,
                    ..
                }
            );
            is_kept && entry.at.starts_with(root) && entry.at != *root
        });
        let paths: Vec<&Path> = inside.map(|entry| entry.at.as_path()).collect();
        let mount = self.basis.seen.mount(root);
        let in_place = host(
            mount.is_some_and(|mount| !mount.read_only && mount.no_setuid && mount.no_devices),
            "the workspace mounted in place",
            show(mount),
        );
        let held = paths.iter().map(|path| self.protected_path(path, root));
        all(std::iter::once(in_place).chain(held))
    }

    fn protected_path(&self, path: &Path, root: &Path) -> Finding {
        let mut above = path.ancestors().skip(1).take_while(|above| *above != root);
        let free = above.find(|above| self.basis.seen.mount(above).is_none());
        let mount = self.basis.seen.mount(path);
        let found = match free {
            Some(free) => format!("{} is no mount point, so it can be renamed", free.display()),
            None => show(mount),
        };
        let holds = free.is_none() && mount.is_some_and(|mount| mount.read_only);
        host(
            holds,
            &format!("{} read-only, and held in its place", path.display()),
            found,
        )
    }

    fn workspace_mount(&self, kind: &str, read_only: bool) -> Finding {
        let mount = self.workspace_at().and_then(|at| self.basis.seen.mount(at));
        let mounted = host(
            mount
                .is_some_and(|mount| (kind.is_empty() || mount.kind == kind) && mount.read_only == read_only),
            if read_only {
                "the workspace mounted read-only"
            } else {
                "an overlay over the workspace"
            },
            show(mount),
        );
        if read_only {
            return mounted;
        }
        all([mounted, self.workspace_written()])
    }

    fn own_proc(&self) -> Finding {
        let proc = self.basis.seen.mount(Path::new("/proc"));
        let holds = proc.is_some_and(|proc| proc.kind == "proc" && proc.device != self.basis.seen.host_proc);
        host(holds, "an own procfs", show(proc))
    }

    fn own_network(&self) -> Finding {
        self.own_namespace(Namespace::Net)
    }

    fn loopback_only(&self) -> Finding {
        let devices = &self.basis.seen.network_devices;
        host(
            devices.iter().eq(["lo"]),
            "no interface but lo",
            format!("interfaces: {}", list(devices)),
        )
    }

    fn user_namespaces_off(&self) -> Finding {
        let limit = self.basis.attestation.max_user_namespaces;
        attested(
            limit == Some(0),
            "user.max_user_namespaces = 0",
            format!("user.max_user_namespaces: {}", number(limit)),
        )
    }

    fn devices(&self) -> Finding {
        let below: Vec<&Mount> = self
            .basis
            .seen
            .mounts
            .iter()
            .filter(|mount| mount.at.starts_with("/dev"))
            .collect();
        let own = self
            .basis
            .seen
            .mount(Path::new("/dev"))
            .is_some_and(|dev| dev.kind == "tmpfs" && dev.read_only);
        let pts = self.basis.seen.mount(Path::new("/dev/pts"));
        let own_pts =
            pts.is_some_and(|pts| pts.kind == "devpts" && Some(pts.device) != self.basis.seen.host_pts);
        let stranger = below.iter().find(|mount| !is_device_mount(mount)).copied();
        let found = stranger.map_or_else(
            || format!("{} mounts below an own /dev", below.len()),
            |one| show(Some(one)),
        );
        host(
            own && own_pts && stranger.is_none(),
            "an own /dev with harmless nodes and own terminals",
            found,
        )
    }

    /// Read-only or covered, wherever the host's kernel has such a file at all.
    fn knobs(&self) -> Finding {
        const READ_ONLY: [&str; 5] = [
            "/proc/sys",
            "/proc/sysrq-trigger",
            "/proc/irq",
            "/proc/bus",
            "/proc/fs",
        ];
        const COVERED: [&str; 11] = [
            "/proc/acpi",
            "/proc/asound",
            "/proc/interrupts",
            "/proc/kallsyms",
            "/proc/kcore",
            "/proc/key-users",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/modules",
            "/proc/sched_debug",
            "/proc/timer_list",
        ];
        let exists = |path: &&&str| Path::new(path).exists();
        let read_only = READ_ONLY.iter().filter(exists).map(|path| {
            let mount = self.basis.seen.mount(Path::new(path));
            host(
                mount.is_some_and(|mount| mount.read_only),
                &format!("{path} read-only"),
                show(mount),
            )
        });
        let covered = COVERED.iter().filter(exists).map(|path| {
            let mount = self.basis.seen.mount(Path::new(path));
            host(
                mount.is_some_and(|mount| mount.kind != "proc"),
                &format!("{path} covered"),
                show(mount),
            )
        });
        let no_sysfs = self
            .basis
            .seen
            .mounts
            .iter()
            .all(|mount| mount.kind != "sysfs" || mount.read_only);
        all(read_only.chain(covered).chain([
            host(no_sysfs, "no writable sysfs", "sysfs: read-only parts or none"),
            self.own_namespace(Namespace::Cgroup),
        ]))
    }

    fn dies(&self) -> Finding {
        let signal = self.basis.attestation.death_signal;
        let asked = attested(
            signal == Some(9),
            "death signal 9",
            format!("death signal {}", number(signal)),
        );
        all([self.own_namespace(Namespace::Pid), asked])
    }
}

fn show(mount: Option<&Mount>) -> String {
    mount.map_or_else(|| "no such mount".to_owned(), ToString::to_string)
}

/// Whether the view, or the fixed parts of every native sandbox, explain a mount.
fn explained(at: &Path, spec: &Spec) -> bool {
    const FIXED: [&str; 2] = ["/dev", "/proc"];
    at == Path::new("/")
        || FIXED.iter().any(|fixed| at.starts_with(fixed))
        || at == Path::new(stockade_linux::compile::CPU_TOPOLOGY)
        || in_view(at, &spec.view)
        || spec.workspace.as_ref().is_some_and(|workspace| {
            (workspace.mode == WorkspaceMode::Ro || workspace.mode.writes_through())
                && at.starts_with(&workspace.source)
        })
}

/// Submounts of a host tree come with it.
fn in_view(at: &Path, view: &FileView) -> bool {
    view.entries.iter().any(|entry| match entry.what {
        Content::Host { .. } => at.starts_with(&entry.at),
        _ => at == entry.at,
    })
}

fn is_device_mount(mount: &Mount) -> bool {
    const NODES: [&str; 9] = [
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
        "/dev/tty",
    ];
    NODES.iter().any(|node| mount.at == Path::new(node))
}

/// What to find where there was nothing to compare.
trait OrWhenEmpty {
    fn or_when_empty(self, other: impl FnOnce() -> Finding) -> Finding;
}

impl OrWhenEmpty for Finding {
    fn or_when_empty(self, other: impl FnOnce() -> Finding) -> Finding {
        match self {
            Finding::Verified(evidence) if evidence.is_empty() => other(),
            finding => finding,
        }
    }
}
