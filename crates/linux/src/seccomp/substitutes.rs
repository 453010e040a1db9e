//! Where a sandbox shares namespaces with the host, the filter can stand in for some of them:
//! what cannot be made cannot be used. Each substitute has calls that show it: they are made
//! before and after the filter is installed, and have no effect with or without it.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, socketpair};
use serde::{Deserialize, Serialize};

use super::self_test::describe;
use super::{Error, Found, sys};

/// What the filter refuses in place of a wall that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substitutes {
    /// No sockets but connected pairs: in place of a network namespace. Pairs of datagram sockets
    /// are refused, too, because they can be sent to any address.
    pub network: bool,
    /// No System V IPC and no message queues: in place of an IPC namespace.
    pub ipc: bool,
    /// No change of modes, owners, times and extended attributes, of any file: in place of mounts
    /// and ids that would say of which.
    pub metadata: bool,
    /// No change of limits and priorities of other processes, the guest's among them: in place of
    /// a PID namespace.
    pub processes: bool,
}

/// What was seen of each, a clause for each call. Empty where it was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Sockets.
    pub network: Vec<String>,
    /// IPC.
    pub ipc: Vec<String>,
    /// Metadata.
    pub metadata: Vec<String>,
    /// Limits and priorities.
    pub processes: Vec<String>,
    /// New namespaces, which every filter refuses unless the workload may nest.
    pub namespaces: Vec<String>,
}

/// One call, and what it must fail with under the filter.
struct Canary {
    name: &'static str,
    call: fn() -> Result<(), Errno>,
    expected: Errno,
}

const fn canary(name: &'static str, expected: Errno, call: fn() -> Result<(), Errno>) -> Canary {
    Canary { name, call, expected }
}

const NETWORK: &[Canary] = &[
    canary("socket(AF_INET)", Errno::AFNOSUPPORT, || {
        make_socket(AddressFamily::INET, SocketType::DGRAM)
    }),
    canary("socket(AF_INET6)", Errno::AFNOSUPPORT, || {
        make_socket(AddressFamily::INET6, SocketType::STREAM)
    }),
    canary("socket(AF_UNIX)", Errno::AFNOSUPPORT, || {
        make_socket(AddressFamily::UNIX, SocketType::STREAM)
    }),
    canary("socket(AF_NETLINK)", Errno::AFNOSUPPORT, || {
        make_socket(AddressFamily::NETLINK, SocketType::RAW)
    }),
    canary("socketpair(SOCK_DGRAM)", Errno::AFNOSUPPORT, || {
        socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).map(drop)
    }),
];

const IPC: &[Canary] = &[
    canary("shmget", Errno::NOSYS, sys::shared_memory_of_nothing),
    canary("mq_open", Errno::NOSYS, sys::queue_without_a_name),
];

const METADATA: &[Canary] = &[
    canary("chmod", Errno::PERM, sys::mode_of_nothing),
    canary("fchmod", Errno::PERM, sys::mode_of_no_descriptor),
    canary("utimensat", Errno::PERM, sys::times_of_no_descriptor),
    canary("fsetxattr", Errno::PERM, sys::attribute_of_no_descriptor),
];

const PROCESSES: &[Canary] = &[
    canary("prlimit64 of another process", Errno::PERM, sys::limits_of_nobody),
    canary(
        "setpriority of another process",
        Errno::PERM,
        sys::priority_of_nobody,
    ),
    canary(
        "sched_setaffinity of another process",
        Errno::PERM,
        sys::processors_of_nobody,
    ),
];

const NAMESPACES: &[Canary] = &[canary(
    "unshare(CLONE_NEWUSER and a flag that does not exist)",
    Errno::PERM,
    sys::impossible_namespaces,
)];

type Seen = Vec<Result<(), Errno>>;

/// How the calls behaved before.
#[derive(Clone, Debug)]
pub struct Baseline {
    network: Seen,
    ipc: Seen,
    metadata: Seen,
    processes: Seen,
    namespaces: Seen,
}

/// To be called before the filter is installed.
#[must_use]
pub fn before(wanted: Substitutes) -> Baseline {
    let look = |wanted: bool, canaries: &[Canary]| -> Seen {
        let wanted = canaries.iter().filter(|_| wanted);
        wanted.map(|canary| (canary.call)()).collect()
    };
    Baseline {
        network: look(wanted.network, NETWORK),
        ipc: look(wanted.ipc, IPC),
        metadata: look(wanted.metadata, METADATA),
        processes: look(wanted.processes, PROCESSES),
        namespaces: look(true, NAMESPACES),
    }
}

/// To be called after it: what was seen.
///
/// # Errors
/// A call is not refused as it must be.
pub fn after(before: &Baseline, nested_namespaces: bool) -> Result<Tested, Error> {
    let nothing = Seen::new();
    let namespaces = if nested_namespaces {
        &nothing
    } else {
        &before.namespaces
    };
    Ok(Tested {
        network: compare(NETWORK, &before.network)?,
        ipc: compare(IPC, &before.ipc)?,
        metadata: compare(METADATA, &before.metadata)?,
        processes: compare(PROCESSES, &before.processes)?,
        namespaces: compare(NAMESPACES, namespaces)?,
    })
}

fn compare(canaries: &[Canary], before: &Seen) -> Result<Vec<String>, Error> {
    let mut seen = Vec::with_capacity(before.len());
    for (canary, before) in canaries.iter().zip(before) {
        let found = (canary.call)();
        if found != Err(canary.expected) {
            return Err(Error::Ineffective {
                call: canary.name,
                expected: canary.expected,
                found: Found(found),
            });
        }
        let (before, after) = (describe(*before), describe(found));
        seen.push(format!("{}: {before} before, {after} after", canary.name));
    }
    Ok(seen)
}

fn make_socket(family: AddressFamily, kind: SocketType) -> Result<(), Errno> {
    socket_with(family, kind, SocketFlags::CLOEXEC, None).map(drop)
}
