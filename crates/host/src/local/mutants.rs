//! Test only, and not part of release builds: sandboxes that lack one protection each, and that stand all the
//! same. A probe has to notice.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use stockade_linux::compile::{Compiled, Owned, SourceRequest};
use stockade_linux::ops::{Op, Source, SourceId};
use stockade_linux::spawn;

/// A sandbox without one protection.
pub struct Mutant {
    /// What it is called.
    pub name: &'static str,
    /// What it lacks, in words.
    pub lacks: &'static str,
    damage: Damage,
}

/// How the protection is taken away.
enum Damage {
    /// The guest is not born into this namespace.
    Namespace(i32),
    /// The steps are others.
    Steps(fn(&mut Compiled)),
}

const fn namespace(name: &'static str, lacks: &'static str, flag: i32) -> Mutant {
    Mutant {
        name,
        lacks,
        damage: Damage::Namespace(flag),
    }
}

const fn steps(name: &'static str, lacks: &'static str, change: fn(&mut Compiled)) -> Mutant {
    Mutant {
        name,
        lacks,
        damage: Damage::Steps(change),
    }
}

/// One for each protection of the native driver.
pub const MUTANTS: &[Mutant] = &[
    namespace("pid-namespace", "an own PID namespace", libc::CLONE_NEWPID),
    namespace("ipc-namespace", "an own IPC namespace", libc::CLONE_NEWIPC),
    namespace("uts-namespace", "an own UTS namespace", libc::CLONE_NEWUTS),
    namespace("time-namespace", "an own time namespace", libc::CLONE_NEWTIME),
    namespace(
        "network-namespace",
        "an own network namespace",
        libc::CLONE_NEWNET,
    ),
    steps("cgroup-namespace", "an own cgroup namespace", |it| {
        leave_out(it, |op| matches!(op, Op::CgroupNamespace));
    }),
    steps("user-namespaces", "the limit of no user namespaces", |it| {
        leave_out(it, |op| matches!(op, Op::ForbidUserNamespaces));
    }),
    steps("own-root", "a view without the host's root directory", |it| {
        show(it, "/", "/host");
    }),
    steps(
        "own-root-and-landlock",
        "the view and the rules that keep the host's files away",
        |it| {
            show(it, "/", "/host");
            open_rules(it);
        },
    ),
    steps("own-tmp", "a /tmp of its own", |it| show_instead(it, "/tmp")),
    steps("own-run", "a /run of its own", |it| show_instead(it, "/run")),
    steps("own-shm", "a /dev/shm of its own", |it| {
        show_instead(it, "/dev/shm")
    }),
    steps("few-devices", "a /dev without the host's devices", more_devices),
    steps("own-terminals", "terminals of its own", |it| {
        leave_out(it, |op| matches!(op, Op::Terminals { .. }));
        show(it, "/dev/pts", "/dev/pts");
    }),
    steps(
        "own-etc-files",
        "files of its own in place of the host's accounts",
        |it| {
            leave_out(
                it,
                |op| matches!(op, Op::File { at, .. } if at.starts_with("/etc")),
            );
        },
    ),
    steps("proc-masks", "covers over parts of /proc", |it| {
        leave_out(it, |op| matches!(op, Op::Mask { .. }));
    }),
    steps("proc-read-only", "a read-only /proc/sys and its like", |it| {
        leave_out(
            it,
            |op| matches!(op, Op::ReadOnly { at } if at.starts_with("/proc")),
        );
    }),
    steps("dev-read-only", "a read-only /dev", |it| {
        leave_out(
            it,
            |op| matches!(op, Op::ReadOnly { at } if at == Path::new("/dev")),
        );
    }),
    steps("root-read-only", "a read-only root directory", |it| {
        leave_out(it, |op| matches!(op, Op::ReadOnly { at } if at == Path::new("/")));
    }),
    steps(
        "binds-read-only",
        "read-only directories of the system",
        writable_binds,
    ),
    steps(
        "workspace-overlay",
        "a workspace whose changes are kept apart",
        workspace_in_place,
    ),
    steps("groups", "no supplementary groups", |it| {
        for op in &mut it.program.ops {
            if let Op::TakeIds { drop_groups, .. } = op {
                *drop_groups = false;
            }
        }
    }),
    steps("descriptors", "closed descriptors", |it| {
        leave_out(it, |op| matches!(op, Op::CloseSources));
    }),
    steps("no-new-privileges", "no_new_privs", |it| {
        // Without it the walls can only be built by somebody with capabilities.
        it.program.guest.nested_landlock = false;
        leave_out(it, |op| matches!(op, Op::NoNewPrivileges | Op::DropCapabilities));
        it.program.ops.push(Op::DropCapabilities);
    }),
    steps("capabilities", "dropped capabilities", |it| {
        leave_out(it, |op| matches!(op, Op::DropCapabilities));
    }),
    steps("not-dumpable", "a guest that cannot be traced", |it| {
        leave_out(it, |op| matches!(op, Op::NotDumpable));
    }),
    steps("death-signal", "a guest that ends with its supervisor", |it| {
        leave_out(it, |op| matches!(op, Op::DeathSignal));
    }),
    steps("hostname", "a host name of its own", |it| {
        leave_out(it, |op| matches!(op, Op::Hostname(_)));
    }),
    steps("landlock", "Landlock", |it| {
        leave_out(it, |op| matches!(op, Op::Landlock { .. }));
        it.program.guest.nested_landlock = false;
    }),
    steps("landlock-rules", "rules of files", open_rules),
    steps("landlock-nested", "a domain of their own for commands", |it| {
        it.program.guest.nested_landlock = false;
    }),
    steps("seccomp", "the system call filter", |it| {
        leave_out(it, |op| matches!(op, Op::Seccomp { .. }));
    }),
    steps("seccomp-namespaces", "a filter that refuses namespaces", |it| {
        for op in &mut it.program.ops {
            if let Op::Seccomp {
                nested_namespaces, ..
            } = op
            {
                *nested_namespaces = true;
            }
        }
    }),
    steps("nested-namespaces", "both walls that refuse namespaces", |it| {
        leave_out(it, |op| matches!(op, Op::ForbidUserNamespaces));
        for op in &mut it.program.ops {
            if let Op::Seccomp {
                nested_namespaces, ..
            } = op
            {
                *nested_namespaces = true;
            }
        }
    }),
    steps("cgroups", "limits by cgroups", |it| {
        leave_out(it, |op| matches!(op, Op::JoinCgroups));
    }),
];

static CHOSEN: OnceLock<&'static Mutant> = OnceLock::new();

/// Damages every sandbox of this process. To be called before one is begun.
///
/// # Errors
/// There is no such mutant.
pub fn choose(name: &str) -> Result<(), String> {
    let found = MUTANTS.iter().find(|mutant| mutant.name == name);
    let mutant = found.ok_or_else(|| format!("there is no mutant {name}"))?;
    if let Damage::Namespace(flag) = mutant.damage {
        spawn::LEFT_OUT.store(flag, Ordering::Relaxed);
    }
    CHOSEN
        .set(mutant)
        .map_err(|_| "one was chosen already".to_owned())
}

/// Whether what is seen of a sandbox is not to be compared with what was planned.
pub(crate) fn is_damaged() -> bool {
    CHOSEN.get().is_some()
}

/// Damages the steps of a native sandbox.
pub(crate) fn damage_native(compiled: &mut Compiled) {
    let Some(mutant) = CHOSEN.get() else {
        return;
    };
    match mutant.damage {
        Damage::Steps(change) => change(compiled),
        // There is none to make one for.
        Damage::Namespace(libc::CLONE_NEWPID) => {
            leave_out(compiled, |op| {
                matches!(op, Op::PrepareProc | Op::AttachProc { .. })
            });
            show(compiled, "/proc", "/proc");
        }
        // Never the host's own.
        Damage::Namespace(libc::CLONE_NEWUTS) => leave_out(compiled, |op| matches!(op, Op::Hostname(_))),
        Damage::Namespace(libc::CLONE_NEWNET) => leave_out(compiled, |op| matches!(op, Op::LoopbackUp)),
        Damage::Namespace(_) => {}
    }
    // It would see what is missing.
    leave_out(compiled, |op| matches!(op, Op::SelfTest));
}

fn leave_out(it: &mut Compiled, which: impl Fn(&Op) -> bool) {
    it.program.ops.retain(|op| !which(op));
}

/// A tree of the host, in the way that this sandbox gets them.
fn source(it: &mut Compiled, path: &Path, owned: Owned) -> SourceId {
    let is_given = it.program.sources.contains(&Source::Given);
    it.program.sources.push(match is_given {
        true => Source::Given,
        false => Source::Path {
            path: path.to_path_buf(),
            null_device: false,
        },
    });
    it.requests.push(SourceRequest {
        path: path.to_path_buf(),
        owned,
        null_device: false,
    });
    SourceId::try_from(it.program.sources.len() - 1).unwrap_or(SourceId::MAX)
}

fn bind(source: SourceId, at: PathBuf) -> Op {
    Op::Bind {
        source,
        at,
        directory: true,
        read_only: false,
    }
}

/// Shows a directory of the host, writable, beside all else.
fn show(it: &mut Compiled, path: &str, at: &str) {
    let source = source(it, Path::new(path), Owned::AsIs);
    let is_last = |op: &Op| matches!(op, Op::ForbidUserNamespaces);
    let place = it.program.ops.iter().position(is_last);
    let place = place.unwrap_or(it.program.ops.len());
    it.program.ops.insert(place, bind(source, at.into()));
}

/// Shows a directory of the host in place of a private one.
fn show_instead(it: &mut Compiled, path: &str) {
    let source = source(it, Path::new(path), Owned::AsIs);
    for op in &mut it.program.ops {
        if matches!(op, Op::Private { at, .. } if at == Path::new(path)) {
            *op = bind(source, path.into());
        }
    }
}

/// Devices that others than root can often open.
fn more_devices(it: &mut Compiled) {
    let have = ["/dev/fuse", "/dev/kmsg", "/dev/kvm", "/dev/net/tun"];
    for device in have.into_iter().filter(|device| Path::new(device).exists()) {
        let source = source(it, Path::new(device), Owned::AsIs);
        let is_covered = |op: &Op| matches!(op, Op::ForbidUserNamespaces);
        let place = it.program.ops.iter().position(is_covered);
        let place = place.unwrap_or(it.program.ops.len());
        let op = Op::Device {
            source,
            at: device.into(),
        };
        it.program.ops.insert(place, op);
    }
}

fn writable_binds(it: &mut Compiled) {
    for op in &mut it.program.ops {
        if let Op::Bind { read_only, .. } = op {
            *read_only = false;
        }
    }
}

fn open_rules(it: &mut Compiled) {
    for op in &mut it.program.ops {
        if let Op::Landlock { read, write, .. } = op {
            *read = vec![PathBuf::from("/")];
            *write = vec![PathBuf::from("/")];
        }
    }
}

/// The host's directory itself, where an overlay was to be.
fn workspace_in_place(it: &mut Compiled) {
    let overlay = it.program.ops.iter().find_map(|op| match op {
        Op::PrepareOverlay { lower, .. } => Some(*lower),
        _ => None,
    });
    let request = overlay.and_then(|lower| it.requests.get(usize::try_from(lower).ok()?));
    let Some(path) = request.map(|request| request.path.clone()) else {
        return;
    };
    let source = source(it, &path, Owned::ByWorkload);
    for op in &mut it.program.ops {
        if let Op::AttachOverlay { number: 0, at } = op {
            *op = bind(source, at.clone());
        }
    }
}
