//! Calls that are allowed whatever their arguments are.

use super::{Call, calls, newer};

/// On every architecture.
pub(in super::super) const ALLOWED: &[&[Call]] = &[
    FILES,
    ATTRIBUTES,
    EVENTS,
    MEMORY,
    PROCESSES,
    IDENTITY,
    SIGNALS,
    TIME,
    SOCKETS,
    IPC,
    SCHEDULING,
    SELF_CONFINEMENT,
    NEWER,
];

const FILES: &[Call] = calls! {
    SYS_chdir, SYS_close, SYS_close_range, SYS_copy_file_range, SYS_dup, SYS_dup3, SYS_faccessat,
    SYS_faccessat2, SYS_fadvise64, SYS_fallocate, SYS_fchdir, SYS_fchmod, SYS_fchmodat, SYS_fchown,
    SYS_fchownat, SYS_fcntl, SYS_fdatasync, SYS_flock, SYS_fstat, SYS_fstatfs, SYS_fsync, SYS_ftruncate,
    SYS_getcwd, SYS_getdents64, SYS_linkat, SYS_lseek, SYS_mkdirat, SYS_mknodat, SYS_newfstatat, SYS_openat,
    SYS_openat2, SYS_pipe2, SYS_pread64, SYS_preadv, SYS_preadv2, SYS_pwrite64, SYS_pwritev, SYS_pwritev2,
    SYS_read, SYS_readahead, SYS_readlinkat, SYS_readv, SYS_renameat, SYS_renameat2, SYS_sendfile,
    SYS_splice, SYS_statfs, SYS_statx, SYS_symlinkat, SYS_sync, SYS_sync_file_range, SYS_syncfs, SYS_tee,
    SYS_truncate, SYS_umask, SYS_unlinkat, SYS_utimensat, SYS_vmsplice, SYS_write, SYS_writev, SYS_io_setup,
    SYS_io_submit, SYS_io_cancel, SYS_io_getevents, SYS_io_destroy,
};

const ATTRIBUTES: &[Call] = calls! {
    SYS_fgetxattr, SYS_flistxattr, SYS_fremovexattr, SYS_fsetxattr, SYS_getxattr, SYS_lgetxattr,
    SYS_listxattr, SYS_llistxattr, SYS_lremovexattr, SYS_lsetxattr, SYS_removexattr, SYS_setxattr,
};

const EVENTS: &[Call] = calls! {
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd2,
    SYS_inotify_add_watch, SYS_inotify_init1, SYS_inotify_rm_watch, SYS_ppoll, SYS_pselect6, SYS_signalfd4,
};

const MEMORY: &[Call] = calls! {
    SYS_brk, SYS_get_mempolicy, SYS_madvise, SYS_mbind, SYS_membarrier, SYS_memfd_create, SYS_memfd_secret,
    SYS_mincore, SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_mmap, SYS_mprotect, SYS_mremap, SYS_mseal,
    SYS_msync, SYS_munlock, SYS_munlockall, SYS_munmap, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect,
    SYS_process_madvise, SYS_remap_file_pages, SYS_set_mempolicy, SYS_set_mempolicy_home_node,
};

/// `ptrace` and its like reach what the caller sees: its own PID namespace, and there
/// nothing above its Landlock domain.
const PROCESSES: &[Call] = calls! {
    SYS_capget, SYS_capset, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_futex, SYS_futex_waitv,
    SYS_get_robust_list, SYS_getcpu, SYS_getpgid, SYS_getpid, SYS_getppid, SYS_getrandom, SYS_getrlimit,
    SYS_getrusage, SYS_getsid, SYS_gettid, SYS_kill, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_prctl,
    SYS_prlimit64, SYS_process_vm_readv, SYS_process_vm_writev, SYS_ptrace, SYS_restart_syscall, SYS_rseq,
    SYS_set_robust_list, SYS_set_tid_address, SYS_setpgid, SYS_setrlimit, SYS_setsid, SYS_sysinfo,
    SYS_times, SYS_uname, SYS_wait4, SYS_waitid,
};

/// Without capabilities they only choose among the ids that the caller already has.
const IDENTITY: &[Call] = calls! {
    SYS_getegid, SYS_geteuid, SYS_getgid, SYS_getgroups, SYS_getresgid, SYS_getresuid, SYS_getuid,
    SYS_setfsgid, SYS_setfsuid, SYS_setgid, SYS_setgroups, SYS_setregid, SYS_setresgid, SYS_setresuid,
    SYS_setreuid, SYS_setuid,
};

const SIGNALS: &[Call] = calls! {
    SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigprocmask, SYS_rt_sigqueueinfo, SYS_rt_sigreturn,
    SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_rt_tgsigqueueinfo, SYS_sigaltstack, SYS_tgkill, SYS_tkill,
};

const TIME: &[Call] = calls! {
    SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_getitimer, SYS_gettimeofday,
    SYS_nanosleep, SYS_setitimer, SYS_timer_create, SYS_timer_delete, SYS_timer_getoverrun,
    SYS_timer_gettime, SYS_timer_settime, SYS_timerfd_create, SYS_timerfd_gettime, SYS_timerfd_settime,
};

const SOCKETS: &[Call] = calls! {
    SYS_accept, SYS_accept4, SYS_bind, SYS_connect, SYS_getpeername, SYS_getsockname, SYS_getsockopt,
    SYS_listen, SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg, SYS_sendmmsg, SYS_sendmsg, SYS_sendto,
    SYS_setsockopt, SYS_shutdown,
};

/// The IPC namespace is the sandbox's own.
pub(in super::super) const IPC: &[Call] = calls! {
    SYS_mq_getsetattr, SYS_mq_notify, SYS_mq_open, SYS_mq_timedreceive, SYS_mq_timedsend, SYS_mq_unlink,
    SYS_msgctl, SYS_msgget, SYS_msgrcv, SYS_msgsnd, SYS_semctl, SYS_semget, SYS_semop, SYS_semtimedop,
    SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_shmget,
};

/// Raising a priority needs a capability or a limit that the workload does not have.
const SCHEDULING: &[Call] = calls! {
    SYS_getpriority, SYS_ioprio_get, SYS_ioprio_set, SYS_sched_get_priority_max, SYS_sched_get_priority_min,
    SYS_sched_getaffinity, SYS_sched_getattr, SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_sched_rr_get_interval, SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam,
    SYS_sched_setscheduler, SYS_sched_yield, SYS_setpriority,
};

/// A workload may bring walls of its own: they only add to ours.
const SELF_CONFINEMENT: &[Call] = calls! {
    SYS_landlock_add_rule, SYS_landlock_create_ruleset, SYS_landlock_restrict_self, SYS_seccomp,
};

/// Forms of calls above with more arguments, and futex operations as calls of their own.
const NEWER: &[Call] = &[
    newer("fchmodat2", 452),
    newer("map_shadow_stack", 453),
    newer("futex_wake", 454),
    newer("futex_wait", 455),
    newer("futex_requeue", 456),
    newer("setxattrat", 463),
    newer("getxattrat", 464),
    newer("listxattrat", 465),
    newer("removexattrat", 466),
    newer("file_getattr", 468),
    newer("file_setattr", 469),
];

/// Changes what a process named by the first argument may use, among the calls above.
pub(in super::super) const OTHERS_PRIORITY: &[Call] = calls! {
    SYS_prlimit64, SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam, SYS_sched_setscheduler,
};

/// Changes of modes, owners, times and extended attributes, among the calls above.
pub(in super::super) const METADATA: &[Call] = calls! {
    SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr,
    SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr,
};

/// The same, of which libc does not know all.
#[cfg(target_arch = "x86_64")]
pub(in super::super) const NATIVE_METADATA: &[&[Call]] = &[
    calls! { SYS_chmod, SYS_chown, SYS_lchown, SYS_futimesat, SYS_utime, SYS_utimes },
    NEWER_METADATA,
];

/// The same, of which libc does not know all.
#[cfg(target_arch = "aarch64")]
pub(in super::super) const NATIVE_METADATA: &[&[Call]] = &[NEWER_METADATA];

const NEWER_METADATA: &[Call] = &[
    newer("fchmodat2", 452),
    newer("setxattrat", 463),
    newer("removexattrat", 466),
    newer("file_setattr", 469),
];

/// Calls that other architectures replaced by more general ones, and those that set up the
/// processor for a thread. `uretprobe` and `uprobe` work only from the kernel's own
/// trampoline; refusing them would kill programs that somebody traces from the host.
#[cfg(target_arch = "x86_64")]
pub(in super::super) const NATIVE_ALLOWED: &[&[Call]] = &[
    calls! {
        SYS_access, SYS_alarm, SYS_arch_prctl, SYS_chmod, SYS_chown, SYS_creat, SYS_dup2, SYS_epoll_create,
        SYS_epoll_wait, SYS_eventfd, SYS_fork, SYS_futimesat, SYS_getdents, SYS_getpgrp, SYS_inotify_init,
        SYS_lchown, SYS_link, SYS_lstat, SYS_mkdir, SYS_mknod, SYS_open, SYS_pause, SYS_pipe, SYS_poll,
        SYS_readlink, SYS_rename, SYS_rmdir, SYS_select, SYS_signalfd, SYS_stat, SYS_symlink, SYS_time,
        SYS_unlink, SYS_utime, SYS_utimes, SYS_vfork,
    },
    &[
        newer("io_pgetevents", 333),
        newer("uretprobe", 335),
        newer("uprobe", 336),
    ],
];

/// Calls that only this architecture numbers in its own way.
#[cfg(target_arch = "aarch64")]
pub(in super::super) const NATIVE_ALLOWED: &[&[Call]] = &[&[newer("io_pgetevents", 292)]];
