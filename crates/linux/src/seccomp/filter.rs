//! Turns the tables of [`super::rules`] into a program.

use libc::{EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT, sock_filter};

use super::bpf::{Assembler, Place, Test, Word};
use super::rules::{self, Action, Check};
use super::{Profile, Substitutes};

/// Highest known number plus one, rounded up. Numbers from here on are unknown.
const KNOWN: usize = 512;

/// Calls with this bit are of the x32 ABI (`__X32_SYSCALL_BIT`).
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

/// What a tracer writes to skip a call: no number of a foreign ABI.
#[cfg(target_arch = "x86_64")]
const SKIPPED: u32 = u32::MAX;

/// `AUDIT_ARCH_*` of the native ABI, 64 bits wide.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_003e;
/// `AUDIT_ARCH_*` of the native ABI, 64 bits wide.
#[cfg(target_arch = "aarch64")]
pub(super) const ARCHITECTURE: u32 = 0xc000_00b7;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the tables of system calls have no numbers for this architecture yet");

/// Flags of `clone` that make namespaces. CLONE_NEWTIME is no flag of `clone`: its bit is
/// part of the signal there.
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;
const NEW_TIME: u32 = libc::CLONE_NEWTIME as u32;

/// Address families and netlink protocols as a filter sees them.
const UNIX: u32 = libc::AF_UNIX as u32;
const INTERNET: &[u32] = &[libc::AF_INET as u32, libc::AF_INET6 as u32];
const NETLINK: u32 = libc::AF_NETLINK as u32;
const ROUTE: u32 = libc::NETLINK_ROUTE as u32;

/// PER_LINUX, PER_LINUX32, both with UNAME26, and the query.
const PERSONALITIES: &[u32] = &[0, 0x0008, 0x0002_0000, 0x0002_0008, u32::MAX];

/// Type into a terminal (TIOCSTI, TIOCLINUX), take its output (TIOCCONS), load a line
/// discipline (TIOCSETD). The same numbers on all architectures served.
const TERMINAL_COMMANDS: &[u32] = &[0x5412, 0x541c, 0x541d, 0x5423];

/// SOCK_STREAM, SOCK_DGRAM and SOCK_RAW, which needs a capability; what is above loads
/// protocols that are rarely used and rarely read.
const HIGHEST_INTERNET_TYPE: u32 = 3;
/// `SOCK_TYPE_MASK` of the kernel: the rest are flags.
const SOCKET_TYPE: u32 = 0xf;
/// What `setpriority` and `ioprio_set` call one process.
const PRIO_PROCESS: u32 = 0;
const IOPRIO_WHO_PROCESS: u32 = 1;
/// SOCK_STREAM and SOCK_SEQPACKET.
const CONNECTED: &[u32] = &[1, 5];
/// Default, ICMP, TCP, UDP, ICMPv6.
const INTERNET_PROTOCOLS: &[u32] = &[0, 1, 6, 17, 58];

/// What a number leads to, before places are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Allow,
    /// The supervisor hears of it, and lets it go on.
    Tell,
    Fail(i32),
    #[cfg(target_arch = "x86_64")]
    Kill,
    Check(Check),
}

/// The program for a profile.
pub(super) fn assemble(profile: Profile) -> Vec<sock_filter> {
    let mut assembler = Assembler::default();
    let kill = assembler.give(libc::SECCOMP_RET_KILL_PROCESS);
    let mut places: Vec<(Outcome, Place)> = Vec::new();
    let mut ranges: Vec<(u32, Place)> = Vec::new();
    for (start, outcome) in ranges_of(profile) {
        let known = places
            .iter()
            .find(|(other, _)| *other == outcome)
            .map(|(_, place)| *place);
        let place = known.unwrap_or_else(|| place_of(&mut assembler, outcome));
        if known.is_none() {
            places.push((outcome, place));
        }
        ranges.push((start, place));
    }
    let decide = assembler.search(&ranges).unwrap_or(kill);
    let decide = assembler.load(Word::Number, decide);
    let native = assembler.branch(Test::Equal, ARCHITECTURE, decide, kill);
    let start = assembler.load(Word::Architecture, native);
    assembler.finish(start)
}

/// Neighbours with the same outcome are one range.
fn ranges_of(profile: Profile) -> Vec<(u32, Outcome)> {
    let table = table(profile);
    let mut ranges: Vec<(u32, Outcome)> = Vec::with_capacity(256);
    for (number, outcome) in (0u32..).zip(table) {
        if ranges.last().is_none_or(|(_, last)| *last != outcome) {
            ranges.push((number, outcome));
        }
    }
    #[cfg(target_arch = "x86_64")]
    ranges.extend([(X32_BIT, Outcome::Kill), (SKIPPED, Outcome::Fail(ENOSYS))]);
    ranges
}

/// The outcome of every known number; the last entry stands for all unknown ones.
fn table(profile: Profile) -> [Outcome; KNOWN] {
    let mut table = [Outcome::Fail(ENOSYS); KNOWN];
    let mut set = |call: &rules::Call, outcome: Outcome| {
        if let Some(entry) = usize::try_from(call.number)
            .ok()
            .and_then(|number| table.get_mut(number))
        {
            *entry = outcome;
        }
    };
    let allowed = rules::ALLOWED.iter().chain(rules::NATIVE_ALLOWED);
    allowed
        .copied()
        .flatten()
        .for_each(|call| set(call, Outcome::Allow));
    let refused = rules::REFUSED.iter().chain(rules::NATIVE_REFUSED);
    for rule in refused.copied().flatten() {
        set(&rule.call, outcome_of(rule.action, profile));
    }
    substitute(profile.substitutes, &mut set);
    if profile.tell_starts {
        rules::STARTS.iter().for_each(|call| set(call, Outcome::Tell));
    }
    table
}

/// What stands in for walls that are not there, over what was decided before.
fn substitute(wanted: Substitutes, set: &mut impl FnMut(&rules::Call, Outcome)) {
    if wanted.network {
        set(&rules::SOCKET, Outcome::Fail(EAFNOSUPPORT));
        set(&rules::SOCKETPAIR, Outcome::Check(Check::Pair));
    }
    if wanted.ipc {
        rules::IPC
            .iter()
            .for_each(|call| set(call, Outcome::Fail(ENOSYS)));
    }
    if wanted.processes {
        for call in rules::OTHERS_PRIORITY {
            set(call, Outcome::Check(Check::Own));
        }
        set(&rules::SETPRIORITY, Outcome::Check(Check::OwnPriority));
        set(&rules::IOPRIO_SET, Outcome::Check(Check::OwnIoPriority));
    }
    if wanted.metadata {
        let newer = rules::NATIVE_METADATA.iter().copied().flatten();
        let all = rules::METADATA.iter().chain(newer);
        all.for_each(|call| set(call, Outcome::Fail(EPERM)));
    }
}

fn outcome_of(action: Action, profile: Profile) -> Outcome {
    match action {
        Action::Refuse(error) => Outcome::Fail(error),
        Action::Nesting(_) | Action::Check(Check::CloneFlags | Check::UnshareFlags)
            if profile.nested_namespaces =>
        {
            Outcome::Allow
        }
        Action::Nesting(error) => Outcome::Fail(error),
        Action::Check(check) => Outcome::Check(check),
    }
}

fn place_of(assembler: &mut Assembler, outcome: Outcome) -> Place {
    match outcome {
        Outcome::Allow => assembler.give(libc::SECCOMP_RET_ALLOW),
        Outcome::Tell => assembler.give(libc::SECCOMP_RET_USER_NOTIF),
        Outcome::Fail(error) => fail(assembler, error),
        #[cfg(target_arch = "x86_64")]
        Outcome::Kill => assembler.give(libc::SECCOMP_RET_KILL_PROCESS),
        Outcome::Check(check) => check_arguments(assembler, check),
    }
}

fn check_arguments(assembler: &mut Assembler, check: Check) -> Place {
    let allow = assembler.give(libc::SECCOMP_RET_ALLOW);
    let refuse = fail(assembler, EPERM);
    let (argument, test) = match check {
        Check::Socket => return socket(assembler),
        Check::Pair => return pair(assembler),
        Check::Own => return own_process(assembler, 0, None),
        Check::OwnPriority => return own_process(assembler, 1, Some(PRIO_PROCESS)),
        Check::OwnIoPriority => return own_process(assembler, 1, Some(IOPRIO_WHO_PROCESS)),
        Check::CloneFlags => (0, assembler.branch(Test::AnyBitOf, NEW_NAMESPACES, refuse, allow)),
        Check::UnshareFlags => (
            0,
            assembler.branch(Test::AnyBitOf, NEW_NAMESPACES | NEW_TIME, refuse, allow),
        ),
        Check::Personality => (0, assembler.one_of(PERSONALITIES, allow, refuse)),
        Check::Ioctl => (1, assembler.one_of(TERMINAL_COMMANDS, refuse, allow)),
    };
    assembler.load(Word::Argument(argument), test)
}

/// `socket(family, type, protocol)`.
fn socket(assembler: &mut Assembler) -> Place {
    let allow = assembler.give(libc::SECCOMP_RET_ALLOW);
    let no_family = fail(assembler, EAFNOSUPPORT);
    let no_protocol = fail(assembler, EPROTONOSUPPORT);

    let protocol = assembler.one_of(INTERNET_PROTOCOLS, allow, no_protocol);
    let protocol = assembler.load(Word::Argument(2), protocol);
    let kind = assembler.branch(Test::Greater, HIGHEST_INTERNET_TYPE, no_protocol, protocol);
    let kind = assembler.mask(SOCKET_TYPE, kind);
    let internet = assembler.load(Word::Argument(1), kind);

    let netlink = assembler.branch(Test::Equal, ROUTE, allow, no_family);
    let netlink = assembler.load(Word::Argument(2), netlink);

    let families = assembler.branch(Test::Equal, NETLINK, netlink, no_family);
    let families = assembler.one_of(INTERNET, internet, families);
    let families = assembler.branch(Test::Equal, UNIX, allow, families);
    assembler.load(Word::Argument(0), families)
}

/// `socketpair(AF_UNIX, SOCK_STREAM or SOCK_SEQPACKET, …)`: both stay connected to each other,
/// where datagram sockets can be sent to any address.
fn pair(assembler: &mut Assembler) -> Place {
    let allow = assembler.give(libc::SECCOMP_RET_ALLOW);
    let refuse = fail(assembler, EAFNOSUPPORT);
    let kind = assembler.one_of(CONNECTED, allow, refuse);
    let kind = assembler.mask(SOCKET_TYPE, kind);
    let kind = assembler.load(Word::Argument(1), kind);
    let family = assembler.branch(Test::Equal, UNIX, kind, refuse);
    assembler.load(Word::Argument(0), family)
}

/// A process named by an argument must be the caller itself, and by another argument it must be
/// one process that is named.
fn own_process(assembler: &mut Assembler, argument: u32, which: Option<u32>) -> Place {
    let allow = assembler.give(libc::SECCOMP_RET_ALLOW);
    let refuse = fail(assembler, EPERM);
    let own = assembler.branch(Test::Equal, 0, allow, refuse);
    let own = assembler.load(Word::Argument(argument), own);
    let Some(which) = which else { return own };
    let which = assembler.branch(Test::Equal, which, own, refuse);
    assembler.load(Word::Argument(0), which)
}

/// The tables hold only errors of the C library, which are small and positive.
fn fail(assembler: &mut Assembler, error: i32) -> Place {
    let data = u32::try_from(error).unwrap_or(libc::SECCOMP_RET_DATA) & libc::SECCOMP_RET_DATA;
    assembler.give(libc::SECCOMP_RET_ERRNO | data)
}
