//! The filter on this kernel: attacks that it must stop, each with its control, and real
//! programs that it must let work.

use libc::{EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT, c_long};
use std::collections::BTreeMap;

use crate::helper::{Wall, command, run_ok, tell};
use crate::sys;

crate::tests![
    attacks_are_refused_by_the_filter_alone,
    nesting_opens_namespaces_only,
    error_names_the_remedy,
];

/// An address at which nothing is mapped.
const NOWHERE: u64 = 1;
/// A descriptor or process that does not exist.
const NONE: u64 = u64::MAX;

struct Attack {
    name: &'static str,
    call: c_long,
    arguments: [u64; 6],
    /// What it must fail with under the filter.
    refused: i32,
    /// Without the filter it does not always fail otherwise: the kernel or an outer filter may
    /// lack the thing. Such an attack may stay inconclusive.
    may_lack: bool,
}

const fn attack(name: &'static str, call: c_long, arguments: [u64; 6]) -> Attack {
    Attack {
        name,
        call,
        arguments,
        refused: EPERM,
        may_lack: false,
    }
}

const fn lacking(name: &'static str, call: c_long, arguments: [u64; 6], refused: i32) -> Attack {
    Attack {
        name,
        call,
        arguments,
        refused,
        may_lack: true,
    }
}

const fn failing(name: &'static str, call: c_long, arguments: [u64; 6], refused: i32) -> Attack {
    Attack {
        name,
        call,
        arguments,
        refused,
        may_lack: false,
    }
}

/// All are made with arguments that have no effect where they are not refused.
const ATTACKS: &[Attack] = &[
    attack("clone", libc::SYS_clone, [CONTRADICTION, 0, 0, 0, 0, 0]),
    failing("clone3", libc::SYS_clone3, [0, 0, 0, 0, 0, 0], ENOSYS),
    attack("unshare", libc::SYS_unshare, [UNKNOWN_FLAG, 0, 0, 0, 0, 0]),
    attack("setns", libc::SYS_setns, [NONE, 0, 0, 0, 0, 0]),
    attack("mount", libc::SYS_mount, [NOWHERE; 6]),
    attack("umount2", libc::SYS_umount2, [NOWHERE, 0, 0, 0, 0, 0]),
    attack("pivot_root", libc::SYS_pivot_root, [NOWHERE; 6]),
    attack("chroot", libc::SYS_chroot, [NOWHERE; 6]),
    attack("open_tree", libc::SYS_open_tree, [NONE, NOWHERE, 0, 0, 0, 0]),
    attack(
        "move_mount",
        libc::SYS_move_mount,
        [NONE, NOWHERE, NONE, NOWHERE, 0, 0],
    ),
    attack("fsopen", libc::SYS_fsopen, [NOWHERE, 0, 0, 0, 0, 0]),
    attack(
        "mount_setattr",
        libc::SYS_mount_setattr,
        [NONE, NOWHERE, 0, NOWHERE, 9999, 0],
    ),
    attack("reboot", libc::SYS_reboot, [0; 6]),
    attack("swapon", libc::SYS_swapon, [NOWHERE, 0, 0, 0, 0, 0]),
    attack("acct", libc::SYS_acct, [NOWHERE, 0, 0, 0, 0, 0]),
    attack("syslog", libc::SYS_syslog, [9999, 0, 0, 0, 0, 0]),
    attack("settimeofday", libc::SYS_settimeofday, [NOWHERE, 0, 0, 0, 0, 0]),
    attack(
        "clock_settime",
        libc::SYS_clock_settime,
        [9999, NOWHERE, 0, 0, 0, 0],
    ),
    attack("adjtimex", libc::SYS_adjtimex, [NOWHERE, 0, 0, 0, 0, 0]),
    attack(
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        [NONE, NOWHERE, 0, 0, 0, 0],
    ),
    attack(
        "name_to_handle_at",
        libc::SYS_name_to_handle_at,
        [NONE, NOWHERE, NOWHERE, NOWHERE, 0, 0],
    ),
    attack("kcmp", libc::SYS_kcmp, [NONE, NONE, 0, 0, 0, 0]),
    attack("pidfd_getfd", libc::SYS_pidfd_getfd, [NONE, 0, 0, 0, 0, 0]),
    attack(
        "process_mrelease",
        libc::SYS_process_mrelease,
        [NONE, 0, 0, 0, 0, 0],
    ),
    attack("personality", libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0]),
    attack("ioctl TIOCSTI", libc::SYS_ioctl, [NONE, 0x5412, 0, 0, 0, 0]),
    attack(
        "ioctl TIOCSTI, upper bits",
        libc::SYS_ioctl,
        [NONE, 0xffff_ffff_0000_5412, 0, 0, 0, 0],
    ),
    attack("ioctl TIOCLINUX", libc::SYS_ioctl, [NONE, 0x541c, 0, 0, 0, 0]),
    attack("ioctl TIOCSETD", libc::SYS_ioctl, [NONE, 0x5423, 0, 0, 0, 0]),
    failing(
        "netlink netfilter",
        libc::SYS_socket,
        [16, 99, 12, 0, 0, 0],
        EAFNOSUPPORT,
    ),
    failing(
        "netlink generic",
        libc::SYS_socket,
        [16, 3, 16, 0, 0, 0],
        EAFNOSUPPORT,
    ),
    failing(
        "netlink audit, upper bits",
        libc::SYS_socket,
        [0x1_0000_0010, 3, 99, 0, 0, 0],
        EAFNOSUPPORT,
    ),
    failing("dccp", libc::SYS_socket, [2, 6, 0, 0, 0, 0], EPROTONOSUPPORT),
    lacking("sctp", libc::SYS_socket, [2, 1, 132, 0, 0, 0], EPROTONOSUPPORT),
    lacking("packet", libc::SYS_socket, [17, 3, 0, 0, 0, 0], EAFNOSUPPORT),
    lacking("vsock", libc::SYS_socket, [40, 1, 0, 0, 0, 0], EAFNOSUPPORT),
    lacking("crypto", libc::SYS_socket, [38, 5, 0, 0, 0, 0], EAFNOSUPPORT),
    lacking("keyctl", libc::SYS_keyctl, [9999, 0, 0, 0, 0, 0], EPERM),
    lacking("add_key", libc::SYS_add_key, [NOWHERE; 6], EPERM),
    lacking("request_key", libc::SYS_request_key, [NOWHERE; 6], EPERM),
    lacking(
        "io_uring_setup",
        libc::SYS_io_uring_setup,
        [1, NOWHERE, 0, 0, 0, 0],
        EPERM,
    ),
    lacking(
        "io_uring_enter",
        libc::SYS_io_uring_enter,
        [NONE, 0, 0, 0, 0, 0],
        EPERM,
    ),
    lacking("bpf", libc::SYS_bpf, [9999, NOWHERE, 0, 0, 0, 0], EPERM),
    lacking(
        "perf_event_open",
        libc::SYS_perf_event_open,
        [NOWHERE, 0, 0, NONE, 0, 0],
        EPERM,
    ),
    lacking(
        "userfaultfd",
        libc::SYS_userfaultfd,
        [0xffff, 0, 0, 0, 0, 0],
        EPERM,
    ),
    lacking("kexec_load", libc::SYS_kexec_load, [0, 9999, 0, 0, 0, 0], EPERM),
    lacking(
        "init_module",
        libc::SYS_init_module,
        [NOWHERE, 0, NOWHERE, 0, 0, 0],
        EPERM,
    ),
    lacking("quotactl", libc::SYS_quotactl, [NONE, NOWHERE, 0, 0, 0, 0], EPERM),
    lacking("move_pages", libc::SYS_move_pages, [NONE, 0, 0, 0, 0, 0], EPERM),
];

/// CLONE_NEWUSER with CLONE_FS, which the kernel refuses as a contradiction.
const CONTRADICTION: u64 = 0x1000_0200;
/// CLONE_NEWUSER with a flag that does not exist.
const UNKNOWN_FLAG: u64 = 0x1000_0001;

/// Runs in a process of its own.
pub fn attacks() {
    for attack in ATTACKS {
        tell(
            &attack.name.replace(' ', "_"),
            sys::raw(attack.call, attack.arguments),
        );
    }
}

fn results(walls: &[Wall]) -> BTreeMap<String, String> {
    run_ok(command("attacks", walls, &[])).into_iter().collect()
}

/// Each attack fails as planned under the filter, and otherwise without it.
fn attacks_are_refused_by_the_filter_alone() {
    let without = results(&[Wall::NoNewPrivs]);
    let with = results(&[Wall::NoNewPrivs, Wall::Seccomp]);
    let mut inconclusive = Vec::new();
    for attack in ATTACKS {
        let name = attack.name.replace(' ', "_");
        assert_eq!(with[&name], attack.refused.to_string(), "{name} under the filter");
        if without[&name] == with[&name] {
            // An ordinary user is refused much before the arguments are looked at.
            let root = rustix::process::geteuid().is_root();
            assert!(
                attack.may_lack || !root,
                "{name} fails alike without the filter: no control"
            );
            inconclusive.push(name);
        }
    }
    println!("inconclusive on this kernel: {inconclusive:?}");
}

/// With nesting, namespaces and mounts are the kernel's decision again; nothing else is.
fn nesting_opens_namespaces_only() {
    let without = results(&[Wall::NoNewPrivs]);
    let with = results(&[Wall::NoNewPrivs, Wall::SeccompNesting]);
    let open = [
        "clone",
        "clone3",
        "unshare",
        "setns",
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "open_tree",
        "move_mount",
        "fsopen",
        "mount_setattr",
    ];
    for attack in ATTACKS {
        let name = attack.name.replace(' ', "_");
        if open.contains(&name.as_str()) {
            assert_eq!(with[&name], without[&name], "{name}");
        } else {
            assert_eq!(with[&name], attack.refused.to_string(), "{name}");
        }
    }
}

/// Without no_new_privs and rights a filter is not taken, and the error says what to do.
fn error_names_the_remedy() {
    let error = stockade_linux::seccomp::Error::Install {
        source: rustix::io::Errno::ACCESS,
    };
    assert!(error.to_string().contains("no_new_privs"), "{error}");
    assert!(stockade_linux::seccomp::supported().holds());
}
