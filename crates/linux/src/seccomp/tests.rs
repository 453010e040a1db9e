//! What the filter answers, by running it as the kernel does.

use std::collections::BTreeMap;

use libc::{EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT};

use super::bpf::interpreter::{self, Call};
use super::filter::ARCHITECTURE;
use super::rules::{ALLOWED, Action, NATIVE_ALLOWED, NATIVE_REFUSED, REFUSED};
use super::{Profile, Substitutes, program};

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const NONE: Substitutes = Substitutes {
    network: false,
    ipc: false,
    metadata: false,
    processes: false,
};
const STRICT: Profile = Profile {
    nested_namespaces: false,
    substitutes: NONE,
    tell_starts: false,
};
const NESTING: Profile = Profile {
    nested_namespaces: true,
    substitutes: NONE,
    tell_starts: false,
};

fn fails(error: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::try_from(error).unwrap()
}

fn answer(profile: Profile, number: libc::c_long, arguments: &[u64]) -> u32 {
    answer_to(profile, ARCHITECTURE, u32::try_from(number).unwrap(), arguments)
}

fn answer_to(profile: Profile, architecture: u32, number: u32, arguments: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let call = Call {
        architecture,
        number,
        arguments: all,
    };
    interpreter::run(&program(&profile), &call).0
}

/// Every call of the tables gets the answer of the table, in both profiles.
#[test]
fn tables_come_true() {
    for call in ALLOWED.iter().chain(NATIVE_ALLOWED).copied().flatten() {
        for profile in [STRICT, NESTING] {
            assert_eq!(answer(profile, call.number, &[]), ALLOW, "{call:?}");
        }
    }
    for rule in REFUSED.iter().chain(NATIVE_REFUSED).copied().flatten() {
        let (strict, nesting) = match rule.action {
            Action::Refuse(error) => (fails(error), fails(error)),
            Action::Nesting(error) => (fails(error), ALLOW),
            Action::Check(_) => continue,
        };
        assert_eq!(answer(STRICT, rule.call.number, &[]), strict, "{rule:?}");
        assert_eq!(answer(NESTING, rule.call.number, &[]), nesting, "{rule:?}");
    }
}

/// Starts of programs are told if that is wanted, and all else is as before.
#[test]
fn starts_are_told() {
    const TELL: u32 = libc::SECCOMP_RET_USER_NOTIF;
    for silent in [STRICT, NESTING] {
        let telling = Profile {
            tell_starts: true,
            ..silent
        };
        for number in 0..520 {
            let expected = match number {
                libc::SYS_execve | libc::SYS_execveat => TELL,
                _ => answer(silent, number, &[]),
            };
            assert_eq!(answer(telling, number, &[]), expected, "{number}");
        }
        assert_eq!(answer(silent, libc::SYS_execve, &[]), ALLOW);
    }
}

/// No call is on two lists, and every number that the kernel gave away is on one.
#[test]
fn tables_cover_all_numbers_once() {
    let mut seen: BTreeMap<libc::c_long, &str> = BTreeMap::new();
    let allowed = ALLOWED.iter().chain(NATIVE_ALLOWED).copied().flatten();
    let refused = REFUSED
        .iter()
        .chain(NATIVE_REFUSED)
        .copied()
        .flatten()
        .map(|rule| &rule.call);
    for call in allowed.chain(refused) {
        let other = seen.insert(call.number, call.name);
        assert_eq!(other, None, "{} is {} too", call.number, call.name);
    }
    let given: Vec<std::ops::RangeInclusive<libc::c_long>> = if cfg!(target_arch = "x86_64") {
        vec![0..=336, 424..=470]
    } else {
        vec![0..=243, 260..=294, 424..=470]
    };
    let missing: Vec<_> = given
        .into_iter()
        .flatten()
        .filter(|number| !seen.contains_key(number))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Every reason is given, and short enough for one line of a report.
#[test]
fn refusals_have_reasons() {
    for rule in REFUSED.iter().chain(NATIVE_REFUSED).copied().flatten() {
        assert!((8..=100).contains(&rule.reason.len()), "{rule:?}");
        assert!(!rule.call.short_name().starts_with("SYS"), "{rule:?}");
    }
}

/// Numbers beyond the table do not exist.
#[test]
fn unknown_calls_do_not_exist() {
    for number in [337, 400, 471, 511, 512, 513, 1000, 0x3fff_ffff] {
        assert_eq!(answer(STRICT, number, &[]), fails(ENOSYS), "{number}");
    }
    assert_eq!(
        answer_to(STRICT, ARCHITECTURE, u32::MAX, &[]),
        fails(ENOSYS),
        "a tracer's skipped call"
    );
}

/// No call of a foreign ABI goes through, whatever its number.
#[test]
fn foreign_abis_are_killed() {
    const I386: u32 = 0x4000_0003;
    const ARM: u32 = 0x4000_0028;
    const RISCV: u32 = 0xc000_00f3;
    for profile in [STRICT, NESTING] {
        for number in 0..600 {
            for architecture in [I386, ARM, RISCV, 0] {
                assert_eq!(answer_to(profile, architecture, number, &[]), KILL);
            }
            #[cfg(target_arch = "x86_64")]
            assert_eq!(
                answer_to(profile, ARCHITECTURE, 0x4000_0000 | number, &[]),
                KILL,
                "x32"
            );
        }
        #[cfg(target_arch = "x86_64")]
        for number in [0x7fff_ffff, 0x8000_0000, 0xffff_fffe] {
            assert_eq!(answer_to(profile, ARCHITECTURE, number, &[]), KILL);
        }
    }
}

/// Upper halves of arguments, which the kernel ignores, do not change an answer.
const UPPER: u64 = 0xdead_beef_0000_0000;

/// Threads and processes yes, each new namespace no.
#[test]
fn clone_makes_no_namespaces() {
    let thread = 0x003d_0f00u64;
    let new = [
        0x2_0000u64,
        0x200_0000,
        0x400_0000,
        0x800_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
    ];
    for flags in [0, 17, thread, thread | UPPER] {
        assert_eq!(answer(STRICT, libc::SYS_clone, &[flags]), ALLOW);
    }
    for flag in new {
        for flags in [flag, flag | 17, flag | thread | UPPER] {
            assert_eq!(
                answer(STRICT, libc::SYS_clone, &[flags]),
                fails(EPERM),
                "{flags:#x}"
            );
            assert_eq!(
                answer(STRICT, libc::SYS_unshare, &[flags]),
                fails(EPERM),
                "{flags:#x}"
            );
            assert_eq!(answer(NESTING, libc::SYS_clone, &[flags]), ALLOW);
            assert_eq!(answer(NESTING, libc::SYS_unshare, &[flags]), ALLOW);
        }
    }
    assert_eq!(
        answer(STRICT, libc::SYS_unshare, &[0x80]),
        fails(EPERM),
        "time namespace"
    );
    assert_eq!(
        answer(STRICT, libc::SYS_unshare, &[0x600]),
        ALLOW,
        "descriptors and directories"
    );
    assert_eq!(answer(STRICT, libc::SYS_clone3, &[0, 0]), fails(ENOSYS));
}

/// Each family, type and protocol gets the planned answer.
#[test]
fn sockets_are_unix_internet_and_routing() {
    let (stream, datagram, raw, flags) = (1u64, 2u64, 3u64, 0o2_004_000u64);
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let ask = |family: u64, kind: u64, protocol: u64| answer(STRICT, call, &[family, kind, protocol]);
        for kind in [stream, datagram, 5] {
            assert_eq!(ask(1, kind | flags, 0), ALLOW, "unix");
        }
        for family in [2, 10, 2 | UPPER] {
            assert_eq!(ask(family, stream | flags, 0), ALLOW);
            assert_eq!(ask(family, stream, 6), ALLOW, "tcp");
            assert_eq!(ask(family, datagram | UPPER, 17 | UPPER), ALLOW, "udp");
            assert_eq!(ask(family, datagram, 1), ALLOW, "ping");
            for protocol in [33, 115, 132, 136, 255, 262] {
                assert_eq!(
                    ask(family, stream, protocol),
                    fails(EPROTONOSUPPORT),
                    "{protocol}"
                );
            }
            for kind in [4, 5, 6, 10, 6 | flags, 6 | UPPER] {
                assert_eq!(ask(family, kind, 0), fails(EPROTONOSUPPORT), "type {kind}");
            }
        }
        assert_eq!(ask(16, raw | flags, 0), ALLOW, "routing");
        for protocol in 1..64 {
            assert_eq!(ask(16, raw, protocol), fails(EAFNOSUPPORT), "netlink {protocol}");
        }
        for family in (0..64)
            .chain([300])
            .filter(|family| ![1, 2, 10, 16].contains(family))
        {
            assert_eq!(ask(family, stream, 0), fails(EAFNOSUPPORT), "family {family}");
            assert_eq!(
                ask(family | UPPER, stream, 0),
                fails(EAFNOSUPPORT),
                "family {family}"
            );
        }
    }
}

/// Commands are compared as the kernel does, in 32 bits.
#[test]
fn terminals_are_not_driven() {
    for command in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCCONS, libc::TIOCSETD] {
        for command in [command, command | UPPER] {
            assert_eq!(
                answer(STRICT, libc::SYS_ioctl, &[0, command]),
                fails(EPERM),
                "{command:#x}"
            );
        }
    }
    for command in [
        libc::TCGETS,
        libc::TIOCGWINSZ,
        libc::TIOCSCTTY,
        libc::FIONREAD,
        libc::FIOCLEX,
    ] {
        assert_eq!(
            answer(STRICT, libc::SYS_ioctl, &[0, command]),
            ALLOW,
            "{command:#x}"
        );
    }
}

/// Names may change, memory protection may not.
#[test]
fn personality_keeps_memory_protected() {
    for value in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        assert_eq!(
            answer(STRICT, libc::SYS_personality, &[value]),
            ALLOW,
            "{value:#x}"
        );
    }
    for value in [0x4_0000, 0x40_0000, 0x10_0000, 0x20_0000 | UPPER, 0x40_0008, 1, 2] {
        assert_eq!(
            answer(STRICT, libc::SYS_personality, &[value]),
            fails(EPERM),
            "{value:#x}"
        );
    }
}

/// The size that the measured costs belong to: a change is meant to be noticed.
#[test]
fn programs_stay_small() {
    for profile in [STRICT, NESTING] {
        let program = program(&profile);
        let call = |number| Call {
            architecture: ARCHITECTURE,
            number,
            arguments: [0; 6],
        };
        let longest = (0..512)
            .map(|number| interpreter::run(&program, &call(number)).1)
            .max()
            .unwrap();
        assert!(program.len() <= 200, "{} instructions", program.len());
        assert!(longest <= 24, "{longest} instructions for one call");
        println!("{} instructions, at most {longest} for one call", program.len());
    }
}

/// All substitutes at once.
const SHARED: Profile = Profile {
    nested_namespaces: false,
    substitutes: Substitutes {
        network: true,
        ipc: true,
        metadata: true,
        processes: true,
    },
    tell_starts: false,
};

/// No socket but a pair that is connected for good.
#[test]
fn without_a_network_namespace_there_are_no_sockets() {
    for family in 0..46 {
        let made = answer(SHARED, libc::SYS_socket, &[family, 1, 0]);
        assert_eq!(made, fails(EAFNOSUPPORT), "{family}");
    }
    let pair = |family: i32, kind: u64| {
        answer(
            SHARED,
            libc::SYS_socketpair,
            &[u64::from(family.unsigned_abs()), kind, 0],
        )
    };
    let flags = u64::from((libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).unsigned_abs());
    assert_eq!(pair(libc::AF_UNIX, 1 | flags), ALLOW);
    assert_eq!(pair(libc::AF_UNIX, 5), ALLOW);
    assert_eq!(pair(libc::AF_UNIX, 2 | flags), fails(EAFNOSUPPORT));
    assert_eq!(pair(libc::AF_INET, 1), fails(EAFNOSUPPORT));
}

/// What an IPC namespace would keep apart does not exist.
#[test]
fn without_an_ipc_namespace_there_is_no_ipc() {
    for call in [
        libc::SYS_shmget,
        libc::SYS_shmat,
        libc::SYS_msgrcv,
        libc::SYS_semctl,
        libc::SYS_mq_open,
    ] {
        assert_eq!(answer(SHARED, call, &[0; 3]), fails(libc::ENOSYS));
        assert_eq!(answer(STRICT, call, &[0; 3]), ALLOW);
    }
}

/// Modes and times of every file stay as they are; reading them is free.
#[test]
fn metadata_can_be_kept() {
    for call in [
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fchownat,
        libc::SYS_utimensat,
        libc::SYS_fsetxattr,
        452,
        463,
        466,
        469,
    ] {
        assert_eq!(answer(SHARED, call, &[0; 3]), fails(EPERM), "{call}");
        assert_eq!(answer(STRICT, call, &[0; 3]), ALLOW, "{call}");
    }
    assert_eq!(answer(SHARED, libc::SYS_fgetxattr, &[0; 3]), ALLOW);
}

/// Limits and priorities: one's own, by the number 0.
#[test]
fn other_processes_keep_their_limits_and_priorities() {
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setscheduler,
    ] {
        assert_eq!(answer(SHARED, call, &[0, 1]), ALLOW);
        assert_eq!(answer(SHARED, call, &[77, 1]), fails(EPERM));
    }
    assert_eq!(answer(SHARED, libc::SYS_setpriority, &[0, 0]), ALLOW);
    assert_eq!(answer(SHARED, libc::SYS_setpriority, &[0, 77]), fails(EPERM));
    // All processes of a user.
    assert_eq!(answer(SHARED, libc::SYS_setpriority, &[2, 0]), fails(EPERM));
    assert_eq!(answer(SHARED, libc::SYS_ioprio_set, &[1, 0]), ALLOW);
    assert_eq!(answer(SHARED, libc::SYS_ioprio_set, &[3, 0]), fails(EPERM));
}

/// Substitutes only take away.
#[test]
fn substitutes_allow_nothing_that_is_refused_without_them() {
    for number in 0..512 {
        if answer(STRICT, number, &[0; 3]) != ALLOW {
            assert_ne!(answer(SHARED, number, &[0; 3]), ALLOW, "{number}");
        }
    }
}
