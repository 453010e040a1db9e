//! What the native driver can enforce, from the facts alone.

use stockade_domain::target::{Fact, HostFacts};
use stockade_domain::{Bounds, ControlKind, Demand, Support};

use crate::local::support::{absent, limit, when};

/// Landlock ABI below which renames across directories are refused inside.
const LANDLOCK_FLOOR: u32 = 2;

/// The answer for one demand.
pub(super) fn support(facts: &HostFacts, demand: &Demand) -> Support {
    if let Some(absent) = cannot_start(facts) {
        return absent;
    }
    limit(facts, &demand.control).unwrap_or_else(|kind| wall(facts, kind))
}

/// Without these there is no native sandbox at all.
fn cannot_start(facts: &HostFacts) -> Option<Support> {
    // Only who may map other ids can give the sandbox some, and it must not have root's.
    if facts.euid == 0 && !facts.privileged {
        return Some(Support::absent(
            "root without CAP_SYS_ADMIN over the whole machine can give a sandbox no id but its own, which is root's",
            "run as an ordinary user, or as root with CAP_SYS_ADMIN (docker run --cap-add SYS_ADMIN), or use driver \
             chroot",
        ));
    }
    [&facts.user_namespaces, &facts.static_program]
        .into_iter()
        .find_map(absent)
}

fn wall(facts: &HostFacts, kind: ControlKind) -> Support {
    match kind {
        ControlKind::FilesUnreadable => Support::host_kernel("mount namespace with an own root"),
        ControlKind::NamesHidden => Support::host_kernel("the host's tree is detached"),
        ControlKind::MetadataProtected => Support::host_kernel("read-only mounts, own ids, no capabilities"),
        ControlKind::SystemReadOnly => Support::host_kernel("read-only, nosuid, nodev mounts"),
        ControlKind::HomeHidden => Support::host_kernel("a private directory in memory"),
        ControlKind::LocalSocketsHidden => Support::host_kernel("mount and network namespace"),
        ControlKind::WorkspaceCopyOnWrite => copy_on_write(facts),
        ControlKind::WorkspaceReadOnly => Support::host_kernel("a read-only mount"),
        ControlKind::WorkspaceProtected => Support::host_kernel(
            "a read-only mount on each such path that exists, and mounts on the directories above it",
        ),
        ControlKind::ProcessesHidden => Support::host_kernel("PID namespace with its own procfs"),
        ControlKind::IpcPrivate => Support::host_kernel("IPC namespace"),
        ControlKind::HostnamePrivate => Support::host_kernel("UTS namespace"),
        ControlKind::NetworkNone => Support::host_kernel("network namespace with a loopback only"),
        ControlKind::NetworkAllowlist => {
            Support::absent("this version has no egress proxy", "use network mode \"none\"")
        }
        ControlKind::Privileges => privileges(facts),
        ControlKind::SyscallFilter => when(&facts.seccomp, "seccomp allow-list, foreign ABIs killed"),
        ControlKind::NestedNamespacesOff => {
            when(&facts.seccomp, "seccomp and user.max_user_namespaces = 0 inside")
        }
        ControlKind::SecondWall => second_wall(facts),
        ControlKind::DevicesHidden => {
            Support::host_kernel("own /dev with six harmless nodes and own terminals")
        }
        ControlKind::KernelKnobsProtected => {
            Support::host_kernel("masked and read-only parts of procfs, no sysfs")
        }
        ControlKind::CleanEnvironment => {
            Support::supervisor("only allowed variables are sent", Bounds::Exact)
        }
        ControlKind::DescriptorsClosed => Support::host_kernel("close_range before and after the set-up"),
        ControlKind::TerminalPrivate => Support::host_kernel("own sessions, pipes or own terminals"),
        ControlKind::GuestProtected => {
            Support::host_kernel("not dumpable, executed from a read-only mount, PID 1 of its namespace")
        }
        ControlKind::DiesWithSupervisor => {
            Support::host_kernel("PID namespace, parent-death signal and a watched socket")
        }
        ControlKind::ProcessStarts => when(
            &facts.told_starts,
            "seccomp notification of execve and execveat, never used for decisions",
        ),
        ControlKind::OwnKernel => Support::impossible("native shares the host's kernel"),
        ControlKind::OwnMachine => Support::impossible("native runs on the host itself"),
        ControlKind::Cpu
        | ControlKind::Memory
        | ControlKind::Pids
        | ControlKind::Disk
        | ControlKind::WallTime
        | ControlKind::Output
        | ControlKind::BudgetMemory
        | ControlKind::BudgetCpu => Support::impossible("a limit needs a value"),
    }
}

fn copy_on_write(facts: &HostFacts) -> Support {
    let needed = if facts.privileged {
        &facts.idmapped_mounts
    } else {
        &facts.overlay
    };
    match needed {
        Fact::Yes => {
            Support::host_kernel("overlay mounted in the sandbox's user namespace, or a private copy")
        }
        Fact::No { .. } => Support::host_kernel("a private copy mounted in place of the workspace"),
    }
}

fn privileges(facts: &HostFacts) -> Support {
    let groups = if facts.privileged {
        ""
    } else {
        "; supplementary groups stay, as nobody's (setgroups needs root)"
    };
    Support::host_kernel(format!(
        "unprivileged ids, empty capability sets, no_new_privs{groups}"
    ))
}

fn second_wall(facts: &HostFacts) -> Support {
    if facts.landlock_abi >= LANDLOCK_FLOOR {
        return Support::host_kernel(format!("Landlock ABI {}", facts.landlock_abi));
    }
    let why = if facts.landlock_abi == 0 {
        "the kernel's Landlock is off or missing".to_owned()
    } else {
        "Landlock ABI 1 refuses renames across directories".to_owned()
    };
    Support::absent(
        why,
        "use Linux 5.19 or newer with lsm=landlock,… on its command line",
    )
}
