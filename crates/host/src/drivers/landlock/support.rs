//! What the landlock driver can enforce, from the facts alone.

use stockade_domain::target::HostFacts;
use stockade_domain::{Bounds, ControlKind, Demand, Need, Support};

use crate::local::support::{absent, limit, when};

/// First Landlock ABI that scopes signals: without it nothing would keep the workload from the
/// guest, or end the one with the other.
const LANDLOCK_FLOOR: u32 = 6;

/// The answer for one demand.
pub(super) fn support(facts: &HostFacts, demand: &Demand) -> Support {
    if let Some(absent) = cannot_start(facts) {
        return absent;
    }
    if demand.control.kind() == ControlKind::Disk {
        return Support::absent(
            "nobody watches how much the private copy grows",
            "use driver native",
        );
    }
    limit(facts, &demand.control).unwrap_or_else(|kind| wall(facts, kind, demand.need))
}

/// Without these there is no such sandbox at all.
fn cannot_start(facts: &HostFacts) -> Option<Support> {
    if facts.euid == 0 || facts.privileged {
        return Some(Support::absent(
            "a process that keeps root's id would own what it must not change",
            "run as an ordinary user, or use driver native",
        ));
    }
    if facts.landlock_abi < LANDLOCK_FLOOR {
        let why = match facts.landlock_abi {
            0 => "the kernel's Landlock is off or missing".to_owned(),
            abi => format!("Landlock ABI {abi} does not keep signals inside"),
        };
        return Some(Support::absent(
            why,
            "use Linux 6.12 or newer with lsm=landlock,… on its command line",
        ));
    }
    absent(&facts.seccomp)
}

const NAMES: &str = "use driver native, or --prefer names-hidden where names of files may be known";
const WHOLE_TREES: &str = "Landlock opens whole trees: nothing in a writable one can be kept from it";
const IN_PLACE: &str = "use driver native, or --workspace-mode cow";
const PROCESSES: &str =
    "use driver native, or --prefer processes-hidden where it may be known which processes exist";
const HOSTNAME: &str = "use driver native, or --prefer hostname-private";

const PROCESSES_SEEN: &str =
    "without a PID namespace it can be told which processes exist; they cannot be signalled, traced or read";
const KEEPER: &str = "the guest watches a socket of the supervisor, a keeper watches the guest; Landlock lets each \
                      kill the sandbox's processes and no others";

fn wall(facts: &HostFacts, kind: ControlKind, need: Need) -> Support {
    match kind {
        ControlKind::FilesUnreadable => {
            Support::host_kernel("Landlock: only what the view shows can be opened")
        }
        ControlKind::NamesHidden => {
            Support::absent("Landlock does not hide names, sizes and modes of files", NAMES)
        }
        ControlKind::MetadataProtected => metadata(need),
        ControlKind::SystemReadOnly => {
            Support::host_kernel("Landlock: no right to write, truncate or remove")
        }
        ControlKind::HomeHidden => Support::host_kernel("Landlock; HOME is a directory of the sandbox's own"),
        ControlKind::LocalSocketsHidden => when(&facts.seccomp, "seccomp refuses to make sockets"),
        ControlKind::WorkspaceCopyOnWrite => {
            Support::host_kernel("a private copy of the workspace; Landlock keeps the original closed")
        }
        ControlKind::WorkspaceReadOnly => Support::host_kernel("Landlock"),
        ControlKind::WorkspaceProtected => Support::absent(WHOLE_TREES, IN_PLACE),
        ControlKind::ProcessesHidden => Support::absent(PROCESSES_SEEN, PROCESSES),
        ControlKind::IpcPrivate => when(&facts.seccomp, "seccomp refuses System V IPC and message queues"),
        ControlKind::HostnamePrivate => {
            Support::absent("without a UTS namespace the host's name is seen", HOSTNAME)
        }
        ControlKind::NetworkNone => when(
            &facts.seccomp,
            "seccomp refuses to make sockets; not even a loopback",
        ),
        ControlKind::NetworkAllowlist => Support::absent(
            "Landlock's rules are by port and never by address",
            "use network mode \"none\"",
        ),
        ControlKind::Privileges => Support::host_kernel(
            "the user's own id, empty capability sets, no_new_privs; supplementary groups stay",
        ),
        ControlKind::SyscallFilter => when(&facts.seccomp, "seccomp allow-list, foreign ABIs killed"),
        ControlKind::NestedNamespacesOff => when(&facts.seccomp, "seccomp"),
        ControlKind::SecondWall => Support::absent(
            "Landlock is the first wall here, and there is no other",
            "use driver native",
        ),
        ControlKind::DevicesHidden => Support::host_kernel("Landlock: six harmless nodes can be opened"),
        ControlKind::KernelKnobsProtected => Support::host_kernel(
            "Landlock: a dozen harmless files of /proc can be read, none written; no /sys",
        ),
        ControlKind::CleanEnvironment => {
            Support::supervisor("only allowed variables are sent", Bounds::Exact)
        }
        ControlKind::DescriptorsClosed => Support::host_kernel("close_range before the walls"),
        ControlKind::TerminalPrivate => Support::host_kernel("own sessions, pipes or own terminals"),
        ControlKind::GuestProtected => Support::host_kernel(
            "not dumpable, in a Landlock domain above the commands'; its program in no rule for writing",
        ),
        ControlKind::DiesWithSupervisor => Support::supervisor(KEEPER, Bounds::Exact),
        ControlKind::ProcessStarts => Support::absent(
            "this driver has nobody listen to program starts",
            "use driver native",
        ),
        ControlKind::OwnKernel => Support::impossible("landlock shares the host's kernel"),
        ControlKind::OwnMachine => Support::impossible("landlock runs on the host itself"),
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

/// Landlock does not know chmod, chown, times and extended attributes, and the sandbox has the
/// user's own id. The filter cannot tell files apart, so it refuses them all: who builds programs
/// may rather do without.
fn metadata(need: Need) -> Support {
    match need {
        Need::Require => Support::host_kernel(
            "seccomp refuses to change modes, owners, times and attributes of any file, the sandbox's own too",
        ),
        Need::Prefer => Support::absent(
            "it would refuse chmod and the like for all files, the sandbox's own too: only done when required",
            "--require metadata-protected, or use driver native",
        ),
    }
}

#[cfg(test)]
mod tests {
    use stockade_domain::target::Fact;
    use stockade_domain::units::ByteCount;
    use stockade_domain::{Control, Need};

    use super::*;
    use crate::local::support::tests::{capable as facts, demand};

    fn answer(facts: &HostFacts, kind: ControlKind, need: Need) -> Support {
        support(facts, &demand(Control::Wall(kind), need))
    }

    /// What shares a namespace with the host is never claimed.
    #[test]
    fn what_needs_a_namespace_is_absent_with_the_way_out() {
        for kind in [
            ControlKind::NamesHidden,
            ControlKind::ProcessesHidden,
            ControlKind::HostnamePrivate,
        ] {
            let Support::Absent { fix: Some(fix), .. } = answer(&facts(), kind, Need::Require) else {
                panic!("{kind} is claimed");
            };
            assert!(fix.contains("native") && fix.contains(kind.name()), "{fix}");
        }
    }

    #[test]
    fn metadata_is_protected_where_that_is_required() {
        assert!(answer(&facts(), ControlKind::MetadataProtected, Need::Require).is_enforced());
        assert!(!answer(&facts(), ControlKind::MetadataProtected, Need::Prefer).is_enforced());
    }

    /// Nobody looks at the copy: its growth is not even watched.
    #[test]
    fn disk_is_absent() {
        let demand = demand(Control::Disk(ByteCount(1)), Need::Prefer);
        assert!(matches!(support(&facts(), &demand), Support::Absent { .. }));
    }

    /// On what is not enough nothing at all is claimed.
    #[test]
    fn root_and_old_kernels_get_nothing() {
        let root = HostFacts { euid: 0, ..facts() };
        let old = HostFacts {
            landlock_abi: 5,
            ..facts()
        };
        let bare = HostFacts {
            seccomp: Fact::no("none", "none"),
            ..facts()
        };
        for facts in [root, old, bare] {
            for kind in ControlKind::ALL {
                assert!(!answer(&facts, kind, Need::Require).is_enforced(), "{kind}");
            }
        }
    }
}
