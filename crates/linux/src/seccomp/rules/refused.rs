//! Calls that are refused, or decided by their arguments, each with its reason.
//!
//! EPERM where programs expect that they lack the right, ENOSYS where they should take
//! the way of an older kernel.

use libc::{ENOSYS, EPERM};

use super::Action::{Check as By, Nesting, Refuse};
use super::{Call, Check, Rule, newer, rules};

/// On every architecture.
pub const REFUSED: &[&[Rule]] = &[
    NAMESPACES,
    MOUNTS,
    NEWER_MOUNTS,
    MACHINE,
    SURFACE,
    CLOCK,
    OTHERS,
    DECIDED,
    UNNEEDED,
];

const NAMESPACES: &[Rule] = rules![
    SYS_clone: By(Check::CloneFlags), "threads and processes, but no new namespaces: they open the kernel's privileged code";
    SYS_clone3: Nesting(ENOSYS), "its flags lie in memory, out of a filter's sight; programs fall back to clone";
    SYS_unshare: By(Check::UnshareFlags), "private descriptors and directories, but no new namespaces";
    SYS_setns: Nesting(EPERM), "enters namespaces";
    SYS_sethostname: Nesting(EPERM), "the sandbox's name is set once";
    SYS_setdomainname: Nesting(EPERM), "the sandbox's name is set once";
];

const MOUNTS: &[Rule] = rules![
    SYS_mount: Nesting(EPERM), "changes the file view";
    SYS_umount2: Nesting(EPERM), "uncovers what the file view hides";
    SYS_pivot_root: Nesting(EPERM), "changes the root directory";
    SYS_chroot: Nesting(EPERM), "changes the root directory: with an open directory, a way out of it";
    SYS_open_tree: Nesting(EPERM), "copies mounts";
    SYS_move_mount: Nesting(EPERM), "changes the file view";
    SYS_fsopen: Nesting(EPERM), "mounts file systems";
    SYS_fsconfig: Nesting(EPERM), "mounts file systems";
    SYS_fsmount: Nesting(EPERM), "mounts file systems";
    SYS_fspick: Nesting(EPERM), "changes mounted file systems";
    SYS_mount_setattr: Nesting(EPERM), "could make read-only mounts writable";
];

const NEWER_MOUNTS: &[Rule] = &[Rule {
    call: newer("open_tree_attr", 467),
    action: Nesting(EPERM),
    reason: "copies mounts",
}];

const MACHINE: &[Rule] = rules![
    SYS_acct: Refuse(EPERM), "acts on the machine: process accounting";
    SYS_reboot: Refuse(EPERM), "acts on the machine";
    SYS_swapon: Refuse(EPERM), "acts on the machine";
    SYS_swapoff: Refuse(EPERM), "acts on the machine";
    SYS_kexec_load: Refuse(EPERM), "replaces the kernel";
    SYS_kexec_file_load: Refuse(EPERM), "replaces the kernel";
    SYS_init_module: Refuse(EPERM), "loads kernel code";
    SYS_finit_module: Refuse(EPERM), "loads kernel code";
    SYS_delete_module: Refuse(EPERM), "unloads kernel code";
    SYS_quotactl: Refuse(EPERM), "reads and sets disk quotas of the host";
    SYS_quotactl_fd: Refuse(EPERM), "reads and sets disk quotas of the host";
    SYS_syslog: Refuse(EPERM), "reads the kernel's log, with addresses and other users' events";
    SYS_vhangup: Refuse(EPERM), "hangs up a terminal";
    SYS_lookup_dcookie: Refuse(EPERM), "profiling of the whole machine";
];

/// Parts of the kernel that are large, young, or were often the way out of a sandbox.
const SURFACE: &[Rule] = rules![
    SYS_bpf: Refuse(EPERM), "runs code in the kernel";
    SYS_perf_event_open: Refuse(EPERM), "measures other processes and the kernel; a long record of flaws";
    SYS_userfaultfd: Refuse(EPERM), "stops the kernel in the middle of a copy: the tool of most exploits";
    SYS_io_uring_setup: Refuse(EPERM), "its operations pass by this filter";
    SYS_io_uring_enter: Refuse(EPERM), "its operations pass by this filter";
    SYS_io_uring_register: Refuse(EPERM), "its operations pass by this filter";
    SYS_add_key: Refuse(EPERM), "keyrings are shared by all processes of a user, also outside";
    SYS_request_key: Refuse(EPERM), "keyrings are shared by all processes of a user; starts a program on the host";
    SYS_keyctl: Refuse(EPERM), "keyrings are shared by all processes of a user, also outside";
    SYS_fanotify_init: Refuse(EPERM), "watches files of other processes";
    SYS_fanotify_mark: Refuse(EPERM), "watches files of other processes";
    SYS_open_by_handle_at: Refuse(EPERM), "opens files by number, past all directories";
    SYS_name_to_handle_at: Refuse(EPERM), "tells the numbers by which files can be opened past all directories";
];

const CLOCK: &[Rule] = rules![
    SYS_settimeofday: Refuse(EPERM), "sets the machine's clock";
    SYS_clock_settime: Refuse(EPERM), "sets the machine's clock";
    SYS_adjtimex: Refuse(EPERM), "steers the machine's clock";
    SYS_clock_adjtime: Refuse(EPERM), "steers the machine's clock";
];

const OTHERS: &[Rule] = rules![
    SYS_kcmp: Refuse(EPERM), "compares kernel objects of processes, and so tells the order of kernel addresses";
    SYS_pidfd_getfd: Refuse(EPERM), "takes descriptors out of other processes";
    SYS_process_mrelease: Refuse(EPERM), "frees memory of other processes";
    SYS_migrate_pages: Refuse(EPERM), "moves memory of other processes";
    SYS_move_pages: Refuse(EPERM), "moves memory of other processes and tells where it is";
];

const DECIDED: &[Rule] = rules![
    SYS_socket: By(Check::Socket), "unix, internet and routing sockets; other families are kernel code that nobody here needs";
    SYS_socketpair: By(Check::Socket), "as socket";
    SYS_ioctl: By(Check::Ioctl), "all but commands that type into a terminal or load its drivers";
    SYS_personality: By(Check::Personality), "names of the machine, but nothing that makes memory predictable or executable";
];

/// Programs fall back, so the kernel code behind them is not needed.
const UNNEEDED: &[Rule] = &[
    rule(newer("cachestat", 451), "tells what others read of shared files"),
    rule(newer("statmount", 457), "mountinfo answers the same"),
    rule(newer("listmount", 458), "mountinfo answers the same"),
    rule(
        newer("lsm_get_self_attr", 459),
        "files below /proc answer the same",
    ),
    rule(newer("lsm_set_self_attr", 460), "files below /proc do the same"),
    rule(newer("lsm_list_modules", 461), "tells how the host is protected"),
    rule(newer("listns", 470), "tells which namespaces exist"),
    Rule {
        call: Call {
            name: "SYS_nfsservctl",
            number: libc::SYS_nfsservctl,
        },
        action: Refuse(ENOSYS),
        reason: "left the kernel long ago",
    },
];

/// Only on x86-64.
#[cfg(target_arch = "x86_64")]
pub const NATIVE_REFUSED: &[&[Rule]] = &[
    rules![
        SYS_iopl: Refuse(EPERM), "reaches hardware";
        SYS_ioperm: Refuse(EPERM), "reaches hardware";
        SYS_modify_ldt: Refuse(EPERM), "16-bit segments: old code that was often the way into the kernel";
        SYS_sysfs: Refuse(ENOSYS), "obsolete: /proc/filesystems answers the same";
        SYS_ustat: Refuse(ENOSYS), "obsolete: statfs answers the same";
        SYS_uselib: Refuse(ENOSYS), "obsolete: loads libraries in a format of the last century";
        SYS__sysctl: Refuse(ENOSYS), "left the kernel long ago";
        SYS_afs_syscall: Refuse(ENOSYS), "never was in the kernel";
        SYS_getpmsg: Refuse(ENOSYS), "never was in the kernel";
        SYS_putpmsg: Refuse(ENOSYS), "never was in the kernel";
        SYS_security: Refuse(ENOSYS), "never was in the kernel";
        SYS_tuxcall: Refuse(ENOSYS), "never was in the kernel";
        SYS_vserver: Refuse(ENOSYS), "never was in the kernel";
        SYS_epoll_ctl_old: Refuse(ENOSYS), "left the kernel long ago";
        SYS_epoll_wait_old: Refuse(ENOSYS), "left the kernel long ago";
        SYS_get_thread_area: Refuse(ENOSYS), "only of use to 32-bit programs";
        SYS_set_thread_area: Refuse(ENOSYS), "only of use to 32-bit programs";
    ],
    &[
        rule(newer("create_module", 174), "left the kernel long ago"),
        rule(newer("get_kernel_syms", 177), "left the kernel long ago"),
        rule(newer("query_module", 178), "left the kernel long ago"),
    ],
];

/// Only on 64-bit ARM: nothing.
#[cfg(target_arch = "aarch64")]
pub const NATIVE_REFUSED: &[&[Rule]] = &[];

const fn rule(call: Call, reason: &'static str) -> Rule {
    Rule {
        call,
        action: Refuse(ENOSYS),
        reason,
    }
}
