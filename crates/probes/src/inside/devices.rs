//! Device nodes and kernel settings. Settings are only opened for writing, never written.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::out::{argument, note, reached, succeeded};
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("DV01", open_nodes),
    ("DV02", make_nodes),
    ("KN", open_settings),
    ("KN06", cgroups),
    ("nodes", names),
];

/// Never a watchdog: opening one starts it.
const NODES: [&str; 24] = [
    "mem",
    "kmem",
    "port",
    "kmsg",
    "kvm",
    "fuse",
    "net/tun",
    "loop-control",
    "loop0",
    "mapper/control",
    "uinput",
    "cpu/0/msr",
    "vhost-net",
    "vhost-vsock",
    "userfaultfd",
    "sda",
    "vda",
    "nvme0n1",
    "xvda",
    "vsock",
    "autofs",
    "btrfs-control",
    "console",
    "tty0",
];

fn open_nodes(_: &[String]) {
    for name in NODES {
        let path = Path::new("/dev").join(name);
        succeeded(path.display(), &OpenOptions::new().read(true).open(&path));
    }
}

/// The zero device under another name: harmless, and reading from it shows that it works.
fn make_nodes(_: &[String]) {
    let home = std::env::var("HOME").unwrap_or_default();
    for directory in [".", "/tmp", "/dev/shm", "/dev", home.as_str()] {
        let path = format!("{directory}/node-{}", std::process::id());
        let device = (1 << 8) | 5;
        let mode = i64::from(libc::S_IFCHR) | 0o666;
        let made = call(
            libc::SYS_mknodat,
            &mut [
                Arg::Int(i64::from(libc::AT_FDCWD)),
                Arg::Text(&path),
                Arg::Int(mode),
                Arg::Int(device),
            ],
        );
        note(format!("mknod {path}: {made:?}"));
        let mut byte = [1_u8];
        if made.is_ok()
            && fs::File::open(&path)
                .and_then(|mut node| std::io::Read::read(&mut node, &mut byte))
                .is_ok()
            && byte == [0]
        {
            reached(format!("a new device node in {directory}"));
        }
        let _ = fs::remove_file(&path);
    }
}

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

/// What is harmless to everybody.
const KNOWN: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

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

/// Every name below /dev.
/// What is in /dev; where it cannot be listed, what of it can be opened.
fn names(_: &[String]) {
    let mut names: Vec<String> = match fs::read_dir("/dev") {
        Ok(all) => all
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect(),
        Err(_) => KNOWN
            .iter()
            .chain(&NODES)
            .filter(|name| fs::File::open(Path::new("/dev").join(name)).is_ok())
            .map(|name| (*name).to_owned())
            .collect(),
    };
    names.sort();
    println!("{}", names.join(" "));
}
