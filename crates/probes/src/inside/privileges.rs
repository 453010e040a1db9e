//! Rights of root, capabilities, ids.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::out::{argument, note, reached, read, result, succeeded};
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("PV01", oracles),
    ("PV05", set_uid_programs),
    ("PV06", own_set_uid_copy),
    ("PV07", become_somebody),
    ("ids", ids),
    ("TM01", set_clock),
    ("TM02", set_names),
    ("RS10", scheduling),
];

/// Calls that check rights before their arguments: another error than EPERM means that the
/// right was there. The arguments can do no harm.
fn oracles(_: &[String]) {
    const SWAPOFF: i64 = libc::SYS_swapoff;
    let mut calls: Vec<(&str, i64, Vec<Arg<'_>>)> = vec![
        ("settimeofday", libc::SYS_settimeofday, vec![Arg::Null, Arg::Null]),
        (
            "reboot",
            libc::SYS_reboot,
            vec![Arg::Int(0), Arg::Int(0), Arg::Int(0)],
        ),
        ("swapoff", SWAPOFF, vec![Arg::Null]),
        (
            "init_module",
            libc::SYS_init_module,
            vec![Arg::Null, Arg::Int(0), Arg::Null],
        ),
        (
            "finit_module",
            libc::SYS_finit_module,
            vec![Arg::Int(-1), Arg::Null, Arg::Int(0)],
        ),
        (
            "delete_module",
            libc::SYS_delete_module,
            vec![Arg::Null, Arg::Int(0)],
        ),
        (
            "kexec_load",
            libc::SYS_kexec_load,
            vec![Arg::Int(0), Arg::Int(99), Arg::Null, Arg::Int(0xffff)],
        ),
        (
            "syslog",
            libc::SYS_syslog,
            vec![Arg::Int(9), Arg::Null, Arg::Int(0)],
        ),
        (
            "quotactl",
            libc::SYS_quotactl,
            vec![Arg::Int(0x80_0001), Arg::Null, Arg::Int(0), Arg::Null],
        ),
    ];
    for (name, number, arguments) in &mut calls {
        match call(*number, arguments) {
            Ok(_) => reached(format!("{name} succeeded")),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
                note(format!("{name}: {error}"))
            }
            Err(error) => reached(format!("{name} looked at its arguments: {error}")),
        }
    }
}

/// Executes a program of another owner that asks for its owner's rights.
fn set_uid_programs(arguments: &[String]) {
    for program in arguments {
        match std::process::Command::new(program).arg("ids").output() {
            Ok(output) => read(&output.stdout),
            Err(error) => note(format!("{program}: {error}")),
        }
    }
    for directory in ["/usr/bin", "/usr/sbin", "/bin", "/usr/libexec"] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if fs::metadata(&path)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o6000 != 0)
            {
                note(format!(
                    "{} is set-id, no_new_privs makes it an ordinary program",
                    path.display()
                ));
            }
        }
    }
}

/// A set-id program that is given, and copies of the own one with these bits in every writable place.
fn own_set_uid_copy(arguments: &[String]) {
    for name in arguments {
        // Inside, the workspace may lie at another path.
        let beside = std::path::Path::new(name).file_name().unwrap_or_default();
        for program in [
            std::path::Path::new(name),
            &std::path::Path::new(".").join(beside),
        ] {
            match std::process::Command::new(program).arg("ids").output() {
                Ok(output) => read(&output.stdout),
                Err(error) => note(format!("{}: {error}", program.display())),
            }
        }
    }
    let Ok(own) = std::env::current_exe() else { return };
    let home = std::env::var("HOME").unwrap_or_default();
    for directory in [".", "/tmp", "/dev/shm", home.as_str()] {
        let copy = format!("{directory}/attack-{}", std::process::id());
        let mode = fs::copy(&own, &copy)
            .and_then(|_| fs::set_permissions(&copy, fs::Permissions::from_mode(0o6755)));
        let kept = fs::metadata(&copy).map(|found| found.mode() & 0o6000);
        note(format!("{directory}: {mode:?}, bits {kept:?}"));
        if let Ok(output) = std::process::Command::new(&copy).arg("ids").output() {
            read(&output.stdout);
        }
        let _ = fs::remove_file(&copy);
    }
}

fn become_somebody(_: &[String]) {
    let calls: [(&str, i64, Vec<Arg<'_>>); 6] = [
        ("setuid 0", libc::SYS_setuid, vec![Arg::Int(0)]),
        ("setgid 0", libc::SYS_setgid, vec![Arg::Int(0)]),
        (
            "setresuid 0",
            libc::SYS_setresuid,
            vec![Arg::Int(0), Arg::Int(0), Arg::Int(0)],
        ),
        ("setgroups", libc::SYS_setgroups, vec![Arg::Int(0), Arg::Null]),
        (
            "drop a bounding capability",
            libc::SYS_prctl,
            vec![Arg::Int(24), Arg::Int(21), Arg::Int(0), Arg::Int(0), Arg::Int(0)],
        ),
        (
            "raise an ambient capability",
            libc::SYS_prctl,
            vec![Arg::Int(47), Arg::Int(2), Arg::Int(21), Arg::Int(0), Arg::Int(0)],
        ),
    ];
    for (name, number, mut arguments) in calls {
        succeeded(name, &call(number, &mut arguments));
    }
    // setfsuid returns the id from before: asked twice, the second answer tells.
    for _ in 0..2 {
        if call(libc::SYS_setfsuid, &mut [Arg::Int(0)]).is_ok_and(|before| before == 0) {
            reached("file system id 0");
        }
    }
}

/// What the kernel says of this process.
fn ids(_: &[String]) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        let wanted = [
            "Uid:",
            "Gid:",
            "Groups:",
            "Cap",
            "NoNewPrivs:",
            "Seccomp:",
            "Umask:",
            "SigBlk:",
            "SigIgn:",
            "TracerPid:",
        ];
        if wanted.iter().any(|name| line.starts_with(name)) {
            println!("{line}");
        }
    }
    let uids: Vec<&str> = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .unwrap_or("")
        .split_whitespace()
        .collect();
    if uids.iter().any(|id| Some(id) != uids.first()) {
        reached(format!("different user ids: {uids:?}"));
    }
    let gids: Vec<&str> = status
        .lines()
        .find_map(|line| line.strip_prefix("Gid:"))
        .unwrap_or("")
        .split_whitespace()
        .collect();
    if gids.iter().any(|id| Some(id) != gids.first()) {
        reached(format!("different group ids: {gids:?}"));
    }
}

/// Sets the clock to the time that it has.
fn set_clock(_: &[String]) {
    let mut time = [0_u8; 16];
    let realtime = i64::from(libc::CLOCK_REALTIME);
    let _ = call(
        libc::SYS_clock_gettime,
        &mut [Arg::Int(realtime), Arg::Bytes(&mut time)],
    );
    succeeded(
        "clock_settime",
        &call(
            libc::SYS_clock_settime,
            &mut [Arg::Int(realtime), Arg::Bytes(&mut time)],
        ),
    );
    // struct timex with ADJ_TICK and the usual tick.
    let mut timex = [0_u8; 208];
    timex[..4].copy_from_slice(&0x4000_u32.to_ne_bytes());
    timex[88..96].copy_from_slice(&10_000_i64.to_ne_bytes());
    succeeded(
        "adjtimex",
        &call(libc::SYS_adjtimex, &mut [Arg::Bytes(&mut timex)]),
    );
}

/// Sets the host name to what it is; the name itself is the canary.
fn set_names(_: &[String]) {
    result("host name", fs::read("/proc/sys/kernel/hostname"));
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let length = i64::try_from(name.len()).unwrap_or(0);
    succeeded(
        "sethostname",
        &call(libc::SYS_sethostname, &mut [Arg::Text(name), Arg::Int(length)]),
    );
    note(argument(&[], 0));
}

/// Priorities above those of others.
fn scheduling(_: &[String]) {
    const FIFO: i64 = 1;
    let mut priority = 50_i32.to_ne_bytes();
    let mut arguments = [Arg::Int(0), Arg::Int(FIFO), Arg::Bytes(&mut priority)];
    succeeded("SCHED_FIFO", &call(libc::SYS_sched_setscheduler, &mut arguments));
    succeeded(
        "nice -20",
        &call(
            libc::SYS_setpriority,
            &mut [Arg::Int(0), Arg::Int(0), Arg::Int(-20)],
        ),
    );
    let real_time = 1 << 13;
    succeeded(
        "real-time disk access",
        &call(
            libc::SYS_ioprio_set,
            &mut [Arg::Int(1), Arg::Int(0), Arg::Int(real_time)],
        ),
    );
    let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let lower = score.trim().parse::<i32>().unwrap_or(0) - 1;
    succeeded(
        "oom_score_adj",
        &fs::write("/proc/self/oom_score_adj", lower.to_string()),
    );
}
