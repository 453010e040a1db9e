//! What the chroot driver can enforce, from the facts alone.

use stockade_domain::target::HostFacts;
use stockade_domain::{Bounds, ControlKind, Demand, Support};

use crate::local::support::{absent, limit, when};

/// First Landlock ABI that lets files be renamed across directories.
const LANDLOCK_FLOOR: u32 = 2;
/// First Landlock ABI that scopes signals, which keeps commands from the guest: both have one id.
const SCOPES_ABI: u32 = 6;

const COPY_ALONE: &str = "without mounts no workspace can be written in place";
const PROCESSES_SEEN: &str =
    "without a PID namespace it can be told which processes exist; they cannot be signalled, traced or read";
const PROCESSES: &str =
    "use driver native, or --prefer processes-hidden where it may be known which processes exist";
const NAME_SEEN: &str = "without a UTS namespace the host's name is seen";
const HOSTNAME: &str = "use driver native, or --prefer hostname-private";
const LANDLOCK: &str = "use Linux 5.19 or newer with lsm=landlock,… on its command line";
const SCOPES: &str =
    "use Linux 6.12 or newer with lsm=landlock,… on its command line, or --prefer guest-protected";

const KEEPER: &str = "the guest watches a socket of the supervisor, a keeper watches the guest; ids of the sandbox's \
                      own let each kill its processes and no others";

/// The answer for one demand.
pub(super) fn support(facts: &HostFacts, demand: &Demand) -> Support {
    let cannot_start = [&facts.own_root, &facts.static_program, &facts.seccomp]
        .into_iter()
        .find_map(absent);
    if let Some(absent) = cannot_start {
        return absent;
    }
    if demand.control.kind() == ControlKind::Disk {
        return Support::absent("nobody watches how much the root grows", "use driver native");
    }
    limit(facts, &demand.control).unwrap_or_else(|kind| wall(facts, kind))
}

fn wall(facts: &HostFacts, kind: ControlKind) -> Support {
    match kind {
        ControlKind::FilesUnreadable | ControlKind::NamesHidden => Support::host_kernel(
            "a root directory of its own that holds what the view shows, and no right to leave it",
        ),
        ControlKind::MetadataProtected => {
            Support::host_kernel("ids of its own, which own nothing that is shown; no capabilities")
        }
        ControlKind::SystemReadOnly => Support::host_kernel(
            "root owns what is shown, and nobody else can write it; the sandbox has other ids",
        ),
        ControlKind::HomeHidden => Support::host_kernel("a private directory in the root"),
        ControlKind::WorkspaceCopyOnWrite => {
            Support::host_kernel("a private copy of the workspace in the root")
        }
        ControlKind::WorkspaceReadOnly => {
            Support::host_kernel("a private copy of the workspace, which root owns and nobody can write")
        }
        ControlKind::WorkspaceProtected => {
            Support::absent(COPY_ALONE, "use --workspace-mode cow, or driver native")
        }
        ControlKind::ProcessesHidden => Support::absent(PROCESSES_SEEN, PROCESSES),
        ControlKind::IpcPrivate => when(&facts.seccomp, "seccomp refuses System V IPC and message queues"),
        ControlKind::HostnamePrivate => Support::absent(NAME_SEEN, HOSTNAME),
        ControlKind::NetworkNone | ControlKind::LocalSocketsHidden => when(
            &facts.seccomp,
            "seccomp refuses to make sockets; not even a loopback",
        ),
        ControlKind::NetworkAllowlist => Support::absent(
            "without a network namespace nothing can be let through by address",
            "use network mode \"none\"",
        ),
        ControlKind::Privileges => {
            Support::host_kernel("ids of its own, empty capability sets, no groups, no_new_privs")
        }
        ControlKind::SyscallFilter => when(&facts.seccomp, "seccomp allow-list, foreign ABIs killed"),
        ControlKind::NestedNamespacesOff => when(
            &facts.seccomp,
            "seccomp; the kernel makes no user namespaces below a changed root",
        ),
        ControlKind::SecondWall => second_wall(facts),
        ControlKind::DevicesHidden => {
            Support::host_kernel("own /dev with six harmless nodes; mknod needs a right")
        }
        ControlKind::KernelKnobsProtected => Support::host_kernel("no /proc and no /sys"),
        ControlKind::CleanEnvironment => {
            Support::supervisor("only allowed variables are sent", Bounds::Exact)
        }
        ControlKind::DescriptorsClosed => {
            Support::host_kernel("close_range before the root is changed: none leads out of it")
        }
        ControlKind::TerminalPrivate => Support::host_kernel("own sessions, pipes or own terminals"),
        ControlKind::GuestProtected => guest(facts),
        ControlKind::DiesWithSupervisor => Support::supervisor(KEEPER, Bounds::Exact),
        ControlKind::ProcessStarts => Support::absent(
            "this driver has nobody listen to program starts",
            "use driver native",
        ),
        ControlKind::OwnKernel => Support::impossible("chroot shares the host's kernel"),
        ControlKind::OwnMachine => Support::impossible("chroot runs on the host itself"),
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

fn second_wall(facts: &HostFacts) -> Support {
    match facts.landlock_abi {
        0 => Support::absent("the kernel's Landlock is off or missing", LANDLOCK),
        abi if abi < LANDLOCK_FLOOR => {
            Support::absent("Landlock ABI 1 refuses renames across directories", LANDLOCK)
        }
        abi => Support::host_kernel(format!("Landlock ABI {abi}")),
    }
}

fn guest(facts: &HostFacts) -> Support {
    if facts.landlock_abi < SCOPES_ABI {
        return Support::absent(
            format!(
                "guest and commands have one id, and Landlock ABI {} does not keep signals apart",
                facts.landlock_abi
            ),
            SCOPES,
        );
    }
    Support::host_kernel("not dumpable, outside of the root, and in a Landlock domain above the commands'")
}

#[cfg(test)]
mod tests {
    use stockade_domain::target::Fact;
    use stockade_domain::units::ByteCount;
    use stockade_domain::{Control, Need};

    use super::*;
    use crate::local::support::tests::{capable, demand};

    fn facts() -> HostFacts {
        HostFacts { euid: 0, ..capable() }
    }

    fn answer(facts: &HostFacts, control: Control) -> Support {
        support(facts, &demand(control, Need::Require))
    }

    /// What shares a namespace with the host is never claimed.
    #[test]
    fn what_needs_a_namespace_is_absent_with_the_way_out() {
        for kind in [ControlKind::ProcessesHidden, ControlKind::HostnamePrivate] {
            let Support::Absent { fix: Some(fix), .. } = answer(&facts(), Control::Wall(kind)) else {
                panic!("{kind} is claimed");
            };
            assert!(fix.contains("native") && fix.contains(kind.name()), "{fix}");
        }
    }

    /// Nobody looks at the root: its growth is not even watched.
    #[test]
    fn disk_is_absent() {
        let answer = answer(&facts(), Control::Disk(ByteCount(1)));
        assert!(matches!(answer, Support::Absent { .. }));
    }

    #[test]
    fn an_old_landlock_is_no_second_wall_and_does_not_keep_commands_from_the_guest() {
        let old = |abi| HostFacts {
            landlock_abi: abi,
            ..facts()
        };
        let holds = |abi, kind| answer(&old(abi), Control::Wall(kind)).is_enforced();
        assert!(holds(7, ControlKind::SecondWall) && holds(7, ControlKind::GuestProtected));
        assert!(holds(5, ControlKind::SecondWall) && !holds(5, ControlKind::GuestProtected));
        assert!(!holds(1, ControlKind::SecondWall));
        assert!(holds(0, ControlKind::FilesUnreadable));
    }

    /// On what is not enough nothing at all is claimed.
    #[test]
    fn without_root_or_a_filter_nothing_is_claimed() {
        let user = HostFacts {
            own_root: Fact::no("not root", "be root"),
            ..facts()
        };
        let bare = HostFacts {
            seccomp: Fact::no("none", "none"),
            ..facts()
        };
        for facts in [user, bare] {
            for kind in ControlKind::ALL {
                assert!(!answer(&facts, Control::Wall(kind)).is_enforced(), "{kind}");
            }
        }
    }
}
