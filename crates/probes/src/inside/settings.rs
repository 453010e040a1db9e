//! Settings of the kernel and of control groups. They are only opened for writing, never written.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::out::{argument, note, reached, read, succeeded};
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("KN", open_settings),
    ("KN03", switches),
    ("KN04", memory_and_files),
    ("KN05", hardware),
    ("KN06", cgroups),
    ("KN07", own_limits),
    ("KN08", network),
    ("KN09", killed_last),
    ("KN10", firmware),
];

/// What is told of many.
const MAX_TOLD: usize = 12;
/// Directories below one that are looked into.
const MAX_DEPTH: u32 = 6;

const SETTINGS: [&str; 26] = [
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/kernel/yama/ptrace_scope",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/fs/suid_dumpable",
    "/proc/sys/fs/protected_symlinks",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv4/conf/all/route_localnet",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
    "/proc/1/oom_score_adj",
    "/proc/self/setgroups",
    "/sys/power/state",
    "/sys/kernel/uevent_helper",
    "/sys/module/kernel/parameters/panic",
    "/sys/fs/cgroup/cgroup.procs",
];

fn open_settings(_: &[String]) {
    for path in SETTINGS {
        let opened = OpenOptions::new().write(true).open(path);
        // The process itself may write here, and gains nothing.
        if path != "/proc/self/setgroups" {
            succeeded(path, &opened);
        }
    }
    for entry in fs::read_dir("/sys/module").into_iter().flatten().flatten() {
        for parameter in fs::read_dir(entry.path().join("parameters"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if OpenOptions::new().write(true).open(parameter.path()).is_ok() {
                reached(parameter.path().display());
            }
        }
    }
}

/// Every file of every cgroup that can be seen: none may be open to writing.
fn cgroups(arguments: &[String]) {
    let mut found = 0;
    for start in ["/sys/fs/cgroup", argument(arguments, 0)] {
        if !start.is_empty() {
            walk(Path::new(start), 0, &mut found);
        }
    }
    note(format!("{found} files seen"));
}

fn walk(directory: &Path, depth: u32, found: &mut u32) {
    const KNOBS: [&str; 9] = [
        "cgroup.procs",
        "tasks",
        "release_agent",
        "notify_on_release",
        "memory.max",
        "pids.max",
        "cpu.max",
        "memory.limit_in_bytes",
        "cgroup.subtree_control",
    ];
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth < 6 {
                walk(&path, depth + 1, found);
            }
            continue;
        }
        *found += 1;
        if KNOBS.iter().any(|knob| entry.file_name() == *knob)
            && OpenOptions::new().write(true).open(&path).is_ok()
        {
            reached(path.display());
        }
    }
}

/// Every file below a directory.
fn files_below(directory: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => files_below(&entry.path(), depth + 1, found),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// Which of these may be written.
fn writable(files: impl IntoIterator<Item = PathBuf>) {
    let (mut seen, mut open) = (0, 0);
    for path in files {
        seen += 1;
        if OpenOptions::new().write(true).open(&path).is_ok() {
            open += 1;
            if open <= MAX_TOLD {
                reached(format!("{} can be written", path.display()));
            }
        }
    }
    note(format!("{open} of {seen} can be written"));
}

/// One byte to these stops the machine.
fn switches(_: &[String]) {
    const SWITCHES: [&str; 8] = [
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/sysrq",
        "/proc/sys/kernel/panic",
        "/proc/sys/kernel/poweroff_cmd",
        "/sys/power/state",
        "/sys/power/disk",
        "/sys/power/mem_sleep",
        "/sys/kernel/reboot/force",
    ];
    writable(SWITCHES.map(PathBuf::from));
}

fn memory_and_files(_: &[String]) {
    let mut found = Vec::new();
    for name in ["vm", "fs", "kernel", "dev", "user", "debug", "abi"] {
        files_below(&Path::new("/proc/sys").join(name), 0, &mut found);
    }
    writable(found);
}

fn network(_: &[String]) {
    let mut found = Vec::new();
    files_below(Path::new("/proc/sys/net"), 0, &mut found);
    writable(found);
}

/// What takes hardware away, gives it to another driver, or names a program for its events.
fn hardware(_: &[String]) {
    let mut found = vec![PathBuf::from("/sys/kernel/uevent_helper")];
    for (directory, names) in [
        (
            "/sys/bus/pci/devices",
            &["remove", "rescan", "reset", "driver_override", "enable"][..],
        ),
        ("/sys/bus/pci/drivers", &["bind", "unbind", "new_id"]),
        ("/sys/bus/usb/drivers", &["bind", "unbind", "new_id"]),
        ("/sys/bus/virtio/drivers", &["bind", "unbind"]),
        ("/sys/devices/system/cpu", &["online"]),
        ("/sys/block", &["uevent"]),
        ("/sys/class/net", &["uevent", "mtu"]),
    ] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            found.extend(names.iter().map(|name| entry.path().join(name)));
        }
    }
    for module in fs::read_dir("/sys/module").into_iter().flatten().flatten() {
        files_below(&module.path().join("parameters"), 0, &mut found);
    }
    writable(found.into_iter().filter(|path| path.exists()));
}

/// The own limits: those of the process, and of the control groups that it knows of.
fn own_limits(_: &[String]) {
    let core = i64::from(libc::RLIMIT_CORE);
    let hard = |value: u64| {
        let mut limit = [0_u8; 16];
        limit[8..].copy_from_slice(&value.to_ne_bytes());
        call(
            libc::SYS_prlimit64,
            &mut [Arg::Int(0), Arg::Int(core), Arg::Bytes(&mut limit), Arg::Null],
        )
    };
    note(format!("lowered: {:?}", hard(1)));
    succeeded("a limit of the process, raised", &hard(2));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut places = vec![PathBuf::from("/sys/fs/cgroup")];
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let below = path.trim_start_matches('/');
        places.push(Path::new("/sys/fs/cgroup").join(below));
        places.push(Path::new("/sys/fs/cgroup").join(controllers).join(below));
    }
    let limits = [
        "memory.max",
        "memory.high",
        "pids.max",
        "cpu.max",
        "memory.limit_in_bytes",
        "cpu.cfs_quota_us",
        "cgroup.procs",
    ];
    let files = places
        .iter()
        .flat_map(|place| limits.map(|name| place.join(name)));
    writable(files.filter(|path| path.exists()));
}

/// Whom the kernel kills when memory runs out: others before this process.
fn killed_last(_: &[String]) {
    let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let lower = score.trim().parse::<i32>().unwrap_or(0) - 1;
    succeeded(
        "a lower score",
        &fs::write("/proc/self/oom_score_adj", lower.to_string()),
    );
    succeeded("never", &fs::write("/proc/self/oom_score_adj", "-1000"));
    succeeded("never, the old way", &fs::write("/proc/self/oom_adj", "-17"));
}

/// What the firmware tells of the machine.
fn firmware(_: &[String]) {
    let mut found = vec![
        PathBuf::from("/sys/kernel/boot_params/data"),
        PathBuf::from("/sys/hypervisor/uuid"),
    ];
    for directory in [
        "/sys/firmware",
        "/sys/class/dmi/id",
        "/proc/acpi",
        "/proc/device-tree",
    ] {
        files_below(Path::new(directory), 0, &mut found);
    }
    let mut told = 0;
    for path in found {
        let content = fs::read(&path).unwrap_or_default();
        if !content.is_empty() && told < MAX_TOLD {
            told += 1;
            reached(format!("{} can be read", path.display()));
            read(&content[..content.len().min(16)]);
        }
    }
}
