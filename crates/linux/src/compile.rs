//! From a plan to the steps that build it. Pure: the same plan and context give the same
//! steps, which `--dry-run` prints and snapshots pin.

use std::path::{Path, PathBuf};

use stockade_domain::plan::Plan;
use stockade_domain::spec::WorkspaceMode;
use stockade_domain::view::{ASKS, Access, Content, ViewEntry};
use stockade_domain::{ControlKind, Spec};

use crate::idmap::Identity;
use crate::ops::{GuestSettings, Op, Program, Source, SourceId, VERSION};
use crate::seccomp::Substitutes;

/// What the steps depend on besides the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The supervisor opens the host's trees and passes them (it is privileged); otherwise
    /// the guest opens them itself.
    pub given_sources: bool,
    /// Who the workload is.
    pub identity: Identity,
    /// The kernel's Landlock ABI.
    pub landlock_abi: u32,
    /// The guest has to join cgroups of version 1 by itself.
    pub joins_cgroups: bool,
    /// Directory with `upper` and `work` for a copy-on-write workspace.
    pub changes_dir: Option<PathBuf>,
    /// The private copy of the workspace, where its mode asks for one.
    pub copy: Option<PathBuf>,
    /// Directory that holds one such directory for each cache, by [`cache_name`]; without it
    /// caches are read-only.
    pub caches_dir: Option<PathBuf>,
    /// The host has this directory, which programs read to learn the number of processors.
    pub cpu_topology: bool,
}

/// The steps, and what the supervisor has to open for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// For the guest.
    pub program: Program,
    /// One for each source, in order.
    pub requests: Vec<SourceRequest>,
}

/// A tree of the host that the steps attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRequest {
    /// Absolute path on the host.
    pub path: PathBuf,
    /// The workload must own what the owner of this path owns (matters to root only).
    pub owned: Owned,
    /// It must be the null device.
    pub null_device: bool,
}

/// How ids of a tree of the host have to look inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// As they are: nothing is written there.
    AsIs,
    /// The owner of the tree becomes the workload, others are shifted along.
    ByWorkload,
    /// Made by the supervisor for the sandbox's own ids already.
    Already,
}

/// Device nodes that are harmless to everybody.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links that programs expect in /dev.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Files of procfs that tell about the host or its hardware, or reach physical memory.
const MASKED: [&str; 11] = [
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

/// Parts of procfs that change the kernel.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Read by programs that size their thread pools.
pub const CPU_TOPOLOGY: &str = "/sys/devices/system/cpu";

/// A file below the root that Landlock must hide: the control of its self-test.
pub const LANDLOCK_CANARY: &str = "/.stockade";

/// First Landlock ABI that scopes signals (Linux 6.12).
pub(crate) const SCOPES_ABI: u32 = 6;

/// Commands that may run in one sandbox at the same time.
pub(crate) const MAX_EXECS: u32 = 64;

/// Compiles a plan.
#[must_use]
pub fn compile(plan: &Plan, context: &Context) -> Compiled {
    let mut compiler = Compiler {
        context,
        requests: Vec::new(),
        ops: Vec::new(),
        covers: Vec::new(),
        caches: Vec::new(),
    };
    let spec = plan.spec();
    compiler.start(spec);
    for entry in &spec.view.entries {
        compiler.entry(entry, spec);
    }
    compiler.finish_root(spec);
    compiler.confine(plan);
    compiler.finish(spec)
}

/// The caches of a view, as directories of the host.
pub fn caches(spec: &Spec) -> impl Iterator<Item = &Path> {
    spec.view.entries.iter().filter_map(|entry| match &entry.what {
        Content::Cache { source } => Some(source.as_path()),
        _ => None,
    })
}

/// The name under which what was added to a cache is kept.
#[must_use]
pub fn cache_name(source: &Path) -> String {
    let path = source.as_os_str().as_encoded_bytes();
    // FNV-1a: names only have to differ; a collision would be of two paths of one user.
    let hash = path.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let name: String = source
        .file_name()
        .map(|name| {
            name.to_string_lossy()
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .take(32)
                .collect()
        })
        .unwrap_or_default();
    format!("{name}-{hash:016x}")
}

struct Compiler<'a> {
    context: &'a Context,
    requests: Vec<SourceRequest>,
    ops: Vec<Op>,
    covers: Vec<Op>,
    /// Caches with the number of their overlay.
    caches: Vec<(PathBuf, u32)>,
}

impl Compiler<'_> {
    fn source(&mut self, path: &Path, owned: Owned, null_device: bool) -> SourceId {
        self.requests.push(SourceRequest {
            path: path.to_path_buf(),
            owned,
            null_device,
        });
        SourceId::try_from(self.requests.len() - 1).unwrap_or(SourceId::MAX)
    }

    fn start(&mut self, spec: &Spec) {
        let Identity {
            uid,
            gid,
            drop_groups,
            ..
        } = self.context.identity;
        self.ops.push(Op::TakeIds {
            uid,
            gid,
            drop_groups,
        });
        self.ops.push(Op::NewRoot);
        if spec.view.entries.iter().any(|entry| entry.what == Content::Proc) {
            self.ops.push(Op::PrepareProc);
        }
        if let (Some(workspace), Some(changes)) = (&spec.workspace, &self.context.changes_dir)
            && workspace.mode == WorkspaceMode::Cow
        {
            let lower = self.source(&workspace.source, Owned::ByWorkload, false);
            let changes = self.source(&changes.clone(), Owned::Already, false);
            self.ops.push(Op::PrepareOverlay { lower, changes });
        }
        self.prepare_caches(spec);
        self.ops.push(Op::EnterRoot);
        self.ops.push(Op::File {
            at: LANDLOCK_CANARY.into(),
            content: b"stockade\n".to_vec(),
        });
    }

    fn prepare_caches(&mut self, spec: &Spec) {
        let Some(directory) = self.context.caches_dir.clone() else {
            return;
        };
        for source in caches(spec) {
            let made = self
                .ops
                .iter()
                .filter(|op| matches!(op, Op::PrepareOverlay { .. }));
            let number = u32::try_from(made.count()).unwrap_or(u32::MAX);
            let lower = self.source(source, Owned::ByWorkload, false);
            let kept = directory.join(cache_name(source));
            let changes = self.source(&kept, Owned::Already, false);
            self.ops.push(Op::PrepareOverlay { lower, changes });
            self.caches.push((source.to_path_buf(), number));
        }
    }

    fn cache(&mut self, at: PathBuf, source: &Path) {
        let prepared = self.caches.iter().find(|(cache, _)| cache == source);
        if let Some((_, number)) = prepared {
            self.ops.push(Op::AttachOverlay { number: *number, at });
        } else {
            let source = self.source(source, Owned::AsIs, false);
            self.ops.push(Op::Bind {
                source,
                at,
                directory: true,
                read_only: true,
            });
        }
    }

    /// An image brings what it wants of /sys, which is nothing.
    fn shows_topology(&self, spec: &Spec) -> bool {
        self.context.cpu_topology && spec.image.is_none()
    }

    fn entry(&mut self, entry: &ViewEntry, spec: &Spec) {
        let at = entry.at.clone();
        match &entry.what {
            Content::Host {
                source,
                directory,
                access,
            } => {
                let read_only = *access == Access::ReadOnly;
                let owned = if read_only { Owned::AsIs } else { Owned::ByWorkload };
                let source = self.source(source, owned, false);
                self.ops.push(Op::Bind {
                    source,
                    at,
                    directory: *directory,
                    read_only,
                });
            }
            Content::Cache { source } => self.cache(at, source),
            Content::Private { mode, size_bytes } => {
                self.ops.push(Op::Private {
                    at,
                    mode: *mode,
                    size_bytes: *size_bytes,
                });
            }
            Content::File { content } => self.ops.push(Op::File {
                at,
                content: content.clone(),
            }),
            Content::Symlink { target } => self.ops.push(Op::Symlink {
                at,
                target: target.clone(),
            }),
            Content::Proc => {
                self.ops.push(Op::AttachProc { at });
                self.covers
                    .extend(MASKED.iter().map(|path| Op::Mask { at: path.into() }));
                self.covers
                    .extend(READ_ONLY.iter().map(|path| Op::ReadOnly { at: path.into() }));
            }
            Content::Devices => self.devices(),
            Content::Workspace => self.workspace(at, spec),
        }
    }

    fn devices(&mut self) {
        self.ops.push(Op::Private {
            at: "/dev".into(),
            mode: 0o755,
            size_bytes: Some(64 << 10),
        });
        for name in DEVICES {
            let path = Path::new("/dev").join(name);
            let source = self.source(&path, Owned::AsIs, name == "null");
            self.ops.push(Op::Device { source, at: path });
        }
        self.ops.push(Op::Terminals {
            at: "/dev/pts".into(),
        });
        self.ops.push(Op::Private {
            at: "/dev/shm".into(),
            mode: 0o1777,
            size_bytes: None,
        });
        for (at, target) in DEVICE_LINKS {
            self.ops.push(Op::Symlink {
                at: at.into(),
                target: target.into(),
            });
        }
        self.covers.push(Op::ReadOnly { at: "/dev".into() });
    }

    fn workspace(&mut self, at: PathBuf, spec: &Spec) {
        let Some(workspace) = &spec.workspace else { return };
        match workspace.mode {
            WorkspaceMode::Cow => {
                self.ops.push(Op::AttachOverlay {
                    number: 0,
                    at: at.clone(),
                });
                self.covers.push(Op::WriteTest { at });
            }
            // Nothing is shown where it was not made: the receipt misses it.
            WorkspaceMode::Copy => {
                if let Some(copy) = self.context.copy.clone() {
                    let source = self.source(&copy, Owned::Already, false);
                    self.ops.push(Op::Bind {
                        source,
                        at: at.clone(),
                        directory: true,
                        read_only: false,
                    });
                    self.covers.push(Op::WriteTest { at });
                }
            }
            WorkspaceMode::Ro => {
                let source = self.source(&workspace.source, Owned::ByWorkload, false);
                self.ops.push(Op::Bind {
                    source,
                    at,
                    directory: true,
                    read_only: true,
                });
            }
            WorkspaceMode::Rw | WorkspaceMode::Live => {
                let source = self.source(&workspace.source, Owned::ByWorkload, false);
                self.ops.push(Op::Bind {
                    source,
                    at,
                    directory: true,
                    read_only: false,
                });
            }
            WorkspaceMode::None => {}
        }
    }

    fn finish_root(&mut self, spec: &Spec) {
        if self.shows_topology(spec) {
            let source = self.source(Path::new(CPU_TOPOLOGY), Owned::AsIs, false);
            self.ops.push(Op::Bind {
                source,
                at: CPU_TOPOLOGY.into(),
                directory: true,
                read_only: true,
            });
        }
        if !spec.nested_namespaces {
            // Before /proc/sys becomes read-only.
            self.ops.push(Op::ForbidUserNamespaces);
        }
        self.ops.append(&mut self.covers);
        self.ops.push(Op::ReadOnly { at: "/".into() });
        self.ops.push(Op::Hostname(spec.hostname.clone()));
        if spec.network == stockade_domain::spec::Network::None {
            self.ops.push(Op::LoopbackUp);
        }
    }

    fn confine(&mut self, plan: &Plan) {
        let spec = plan.spec();
        // Late: from here on the guest competes with the low weight of its own cgroup.
        if self.context.joins_cgroups {
            self.ops.push(Op::JoinCgroups);
        }
        self.ops.push(Op::CgroupNamespace);
        let landlock = plan.enforces(ControlKind::SecondWall);
        self.ops.extend([
            Op::CloseSources,
            Op::Baseline {
                landlock: landlock.then(|| LANDLOCK_CANARY.into()),
            },
        ]);
        self.ops.extend([Op::NoNewPrivileges, Op::DropCapabilities]);
        self.ops.extend([Op::NotDumpable, Op::DeathSignal]);
        if landlock {
            self.ops.push(Op::Landlock {
                list: vec!["/".into()],
                read: readable(spec, self.shows_topology(spec)),
                write: writable(spec),
            });
        }
        if plan.enforces(ControlKind::SyscallFilter) {
            self.ops.push(Op::Seccomp {
                nested_namespaces: spec.nested_namespaces,
                tell_starts: plan.enforces(ControlKind::ProcessStarts),
                substitutes: Substitutes::default(),
            });
        }
        self.ops.push(Op::SelfTest);
    }

    fn finish(self, spec: &Spec) -> Compiled {
        let given = self.context.given_sources;
        let source = |request: &SourceRequest| {
            if given {
                Source::Given
            } else {
                Source::Path {
                    path: request.path.clone(),
                    null_device: request.null_device,
                }
            }
        };
        let sources = self.requests.iter().map(source).collect();
        let guest = GuestSettings {
            // Landlock refuses every mount, which namespaces are for.
            nested_landlock: self.context.landlock_abi >= SCOPES_ABI && !spec.nested_namespaces,
            max_execs: MAX_EXECS,
            moved: Vec::new(),
            asks: asks(spec),
        };
        Compiled {
            program: Program {
                version: VERSION,
                sources,
                ops: self.ops,
                guest,
            },
            requests: self.requests,
        }
    }
}

/// Where the guest is to listen for what commands ask.
pub(crate) fn asks(spec: &Spec) -> Option<PathBuf> {
    spec.checkpoints_from_inside.then(|| ASKS.into())
}

/// Everything in the view but the root directory itself, whose own files stay closed.
fn readable(spec: &Spec, topology: bool) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let tops = spec
        .view
        .entries
        .iter()
        .map(|entry| &entry.at)
        .filter(|at| at.parent().is_some());
    for at in tops {
        if !paths.iter().any(|covered| at.starts_with(covered)) {
            paths.push(at.clone());
        }
    }
    paths.extend(topology.then(|| CPU_TOPOLOGY.into()));
    paths
}

/// Trees that a mount allows to write.
fn writable(spec: &Spec) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = vec!["/dev".into(), "/proc".into()];
    for entry in &spec.view.entries {
        let writes = match &entry.what {
            Content::Private { .. } | Content::Cache { .. } => true,
            Content::Host { access, .. } => *access == Access::ReadWrite,
            Content::Workspace => spec
                .workspace
                .as_ref()
                .is_some_and(|workspace| workspace.mode.keeps_apart() || workspace.mode.writes_through()),
            Content::File { .. } | Content::Symlink { .. } | Content::Proc | Content::Devices => false,
        };
        if writes {
            paths.push(entry.at.clone());
        }
    }
    paths
}
