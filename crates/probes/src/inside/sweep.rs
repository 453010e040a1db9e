//! Calls that a filter refuses by their number, made with arguments that no kernel obeys.

use std::io::Write;

use super::out::note;
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[("KS01", by_number)];

/// What a call is made with. None of these does anything, whoever makes it.
#[derive(Clone, Copy)]
enum With {
    /// Addresses, descriptors, flags and sizes that cannot be.
    Nonsense,
    /// The same behind a first argument of nought: a clock that there is.
    ClockAndNonsense,
    /// Nothing: a size of -1 would be taken for memory.
    Nothing,
}

/// Calls that no workload needs, by the manual. The list is the battery's own, so that a mistake in a
/// filter's list does not repeat itself here.
#[rustfmt::skip]
const CALLS: &[(&str, i64, With)] = &[
    ("acct", libc::SYS_acct, With::Nonsense),
    ("add_key", libc::SYS_add_key, With::Nonsense),
    ("adjtimex", libc::SYS_adjtimex, With::Nonsense),
    ("bpf", libc::SYS_bpf, With::Nonsense),
    ("chroot", libc::SYS_chroot, With::Nonsense),
    ("clock_adjtime", libc::SYS_clock_adjtime, With::ClockAndNonsense),
    ("clock_settime", libc::SYS_clock_settime, With::ClockAndNonsense),
    ("delete_module", libc::SYS_delete_module, With::Nonsense),
    ("fanotify_init", libc::SYS_fanotify_init, With::Nonsense),
    ("fanotify_mark", libc::SYS_fanotify_mark, With::Nonsense),
    ("finit_module", libc::SYS_finit_module, With::Nonsense),
    ("fsconfig", libc::SYS_fsconfig, With::Nonsense),
    ("fsmount", libc::SYS_fsmount, With::Nonsense),
    ("fsopen", libc::SYS_fsopen, With::Nonsense),
    ("fspick", libc::SYS_fspick, With::Nonsense),
    ("init_module", libc::SYS_init_module, With::Nothing),
    ("io_uring_enter", libc::SYS_io_uring_enter, With::Nonsense),
    ("io_uring_register", libc::SYS_io_uring_register, With::Nonsense),
    ("io_uring_setup", libc::SYS_io_uring_setup, With::Nonsense),
    ("kcmp", libc::SYS_kcmp, With::Nonsense),
    ("kexec_load", libc::SYS_kexec_load, With::Nonsense),
    ("keyctl", libc::SYS_keyctl, With::Nonsense),
    ("migrate_pages", libc::SYS_migrate_pages, With::Nonsense),
    ("mount", libc::SYS_mount, With::Nonsense),
    ("mount_setattr", libc::SYS_mount_setattr, With::Nonsense),
    ("move_mount", libc::SYS_move_mount, With::Nonsense),
    ("move_pages", libc::SYS_move_pages, With::Nonsense),
    ("name_to_handle_at", libc::SYS_name_to_handle_at, With::Nonsense),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, With::Nonsense),
    ("open_tree", libc::SYS_open_tree, With::Nonsense),
    ("perf_event_open", libc::SYS_perf_event_open, With::Nonsense),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, With::Nonsense),
    ("pivot_root", libc::SYS_pivot_root, With::Nonsense),
    ("process_mrelease", libc::SYS_process_mrelease, With::Nonsense),
    ("quotactl", libc::SYS_quotactl, With::Nonsense),
    ("reboot", libc::SYS_reboot, With::Nonsense),
    ("request_key", libc::SYS_request_key, With::Nonsense),
    ("sethostname", libc::SYS_sethostname, With::Nonsense),
    ("setdomainname", libc::SYS_setdomainname, With::Nonsense),
    ("setns", libc::SYS_setns, With::Nonsense),
    ("settimeofday", libc::SYS_settimeofday, With::Nonsense),
    ("swapoff", libc::SYS_swapoff, With::Nonsense),
    ("swapon", libc::SYS_swapon, With::Nonsense),
    ("syslog", libc::SYS_syslog, With::Nonsense),
    ("umount2", libc::SYS_umount2, With::Nonsense),
    ("unshare", libc::SYS_unshare, With::Nonsense),
    ("userfaultfd", libc::SYS_userfaultfd, With::Nonsense),
    // The same numbers on every architecture, and too young for libc.
    ("kexec_file_load", libc::SYS_kexec_file_load, With::Nonsense),
    ("quotactl_fd", 443, With::Nonsense),
    ("cachestat", 451, With::Nonsense),
    ("statmount", 457, With::Nonsense),
    ("listmount", 458, With::Nonsense),
    ("lsm_get_self_attr", 459, With::Nonsense),
    ("lsm_set_self_attr", 460, With::Nonsense),
    ("lsm_list_modules", 461, With::Nonsense),
    ("open_tree_attr", 467, With::Nonsense),
    ("listns", 470, With::Nonsense),
];

/// Says of each call how it was answered: a line `call NAME ERROR`, 0 for none.
fn by_number(_: &[String]) {
    for (name, number, with) in CALLS {
        // Each in a process of its own: a filter may kill it.
        let child = sys::fork(|| {
            println!("call {name} {}", answer(*number, *with));
            // The child leaves without flushing.
            let _ = std::io::stdout().flush();
        });
        match child.and_then(sys::wait) {
            Ok(0) => {}
            Ok(status) => println!("call {name} killed {status}"),
            Err(error) => note(format!("{name}: {error}")),
        }
    }
}

fn answer(number: i64, with: With) -> i32 {
    let first = match with {
        With::Nonsense => -1,
        With::ClockAndNonsense | With::Nothing => 0,
    };
    let rest = || match with {
        With::Nothing => Arg::Int(0),
        With::Nonsense | With::ClockAndNonsense => Arg::Int(-1),
    };
    let mut arguments = [Arg::Int(first), rest(), rest(), rest(), rest(), rest()];
    match call(number, &mut arguments) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(0),
    }
}
