//! Mounts and namespaces.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::out::{argument, note, reached, succeeded};
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("FS10", make_writable),
    ("DV04", mount_new),
    ("DV09", mount_fuse),
    ("KN02", fresh_procfs),
    ("PV09", own_namespaces),
    ("PV12", foreign_namespaces),
];

fn mount(source: &str, at: &str, kind: &str, flags: u64, data: &str) -> std::io::Result<()> {
    let flags = i64::try_from(flags).unwrap_or(0);
    let mut arguments = [
        Arg::Text(source),
        Arg::Text(at),
        Arg::Text(kind),
        Arg::Int(flags),
        Arg::Text(data),
    ];
    call(libc::SYS_mount, &mut arguments).map(drop)
}

/// Takes the protection off a read-only tree, then writes to it.
fn make_writable(arguments: &[String]) {
    let at = argument(arguments, 0);
    // struct mount_attr: set, clear, propagation, namespace. Clear everything.
    let mut attributes = [0_u8; 32];
    attributes[8] = 0x0f;
    let here = i64::from(libc::AT_FDCWD);
    for flags in [0, i64::from(libc::AT_RECURSIVE)] {
        let mut call_arguments = [
            Arg::Int(here),
            Arg::Text(at),
            Arg::Int(flags),
            Arg::Bytes(&mut attributes),
            Arg::Int(32),
        ];
        match call(libc::SYS_mount_setattr, &mut call_arguments) {
            Ok(_) => note("mount_setattr: done"),
            Err(error) => note(format!("mount_setattr: {error}")),
        }
    }
    for flags in [libc::MS_REMOUNT | libc::MS_BIND, libc::MS_REMOUNT, libc::MS_BIND] {
        match mount("none", at, "", flags, "") {
            Ok(()) => note("remount: done"),
            Err(error) => note(format!("remount: {error}")),
        }
    }
    match fs::write(Path::new(at).join("file"), "changed") {
        Ok(()) => note("written"),
        Err(error) => note(format!("write: {error}")),
    }
    for covered in ["/proc/kcore", "/proc/sys", "/dev", at] {
        let result = call(
            libc::SYS_umount2,
            &mut [Arg::Text(covered), Arg::Int(i64::from(libc::MNT_DETACH))],
        );
        note(format!("umount {covered}: {result:?}"));
    }
    let _ = fs::write(Path::new(at).join("file"), "changed");
}

/// New file systems, by the old calls and the new ones.
fn mount_new(_: &[String]) {
    let at = format!("mount-{}", std::process::id());
    let _ = fs::create_dir(&at);
    for kind in [
        "proc", "sysfs", "tmpfs", "cgroup2", "cgroup", "debugfs", "devpts", "mqueue", "overlay", "ext4",
    ] {
        match mount("none", &at, kind, 0, "") {
            Ok(()) => {
                reached(format!("mounted {kind}"));
                unmount(&at);
            }
            Err(error) => note(format!("mount {kind}: {error}")),
        }
        succeeded(
            format!("fsopen {kind}"),
            &call(libc::SYS_fsopen, &mut [Arg::Text(kind), Arg::Int(1)]),
        );
    }
    let clone = i64::from(libc::OPEN_TREE_CLONE);
    let here = i64::from(libc::AT_FDCWD);
    succeeded(
        "open_tree",
        &call(
            libc::SYS_open_tree,
            &mut [Arg::Int(here), Arg::Text("/"), Arg::Int(clone)],
        ),
    );
    succeeded("bind", &mount("/", &at, "", libc::MS_BIND, ""));
    succeeded("chroot", &call(libc::SYS_chroot, &mut [Arg::Text("/")]));
    succeeded(
        "pivot_root",
        &call(libc::SYS_pivot_root, &mut [Arg::Text("."), Arg::Text(".")]),
    );
    let _ = fs::remove_dir(&at);
}

/// A file system that a program serves.
fn mount_fuse(_: &[String]) {
    let device = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    note(format!("/dev/fuse: {device:?}"));
    let descriptor = device.as_ref().map_or(-1, std::os::fd::AsRawFd::as_raw_fd);
    let at = format!("fuse-{}", std::process::id());
    let _ = fs::create_dir(&at);
    let data = format!("fd={descriptor},rootmode=40000,user_id=0,group_id=0");
    for kind in ["fuse", "fuse.probe", "fuseblk"] {
        let mounted = mount("probe", &at, kind, libc::MS_NOSUID | libc::MS_NODEV, &data);
        succeeded(format!("mounted {kind}"), &mounted);
        if mounted.is_ok() {
            unmount(&at);
        }
    }
    let _ = fs::remove_dir(&at);
}

/// A procfs, a sysfs and control groups that nobody made safe: as this process is, and with namespaces
/// of its own.
fn fresh_procfs(_: &[String]) {
    let user = i64::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID);
    for flags in [0, user] {
        let child = super::sys::fork(|| {
            if flags != 0 {
                note(format!(
                    "namespaces: {:?}",
                    call(libc::SYS_unshare, &mut [Arg::Int(flags)])
                ));
            }
            // Only a child is in a new namespace of processes.
            let grandchild = super::sys::fork(mount_fresh);
            let _ = grandchild.map(super::sys::wait);
            let _ = std::io::stdout().flush();
        });
        let _ = child.map(super::sys::wait);
    }
}

fn mount_fresh() {
    let at = format!("fresh-{}", std::process::id());
    let _ = fs::create_dir(&at);
    for (kind, knob) in [
        ("proc", "sys/kernel/core_pattern"),
        ("proc", "sysrq-trigger"),
        ("sysfs", "kernel/uevent_helper"),
        ("cgroup2", "cgroup.procs"),
    ] {
        let mounted = mount("none", &at, kind, 0, "");
        succeeded(format!("a fresh {kind}"), &mounted);
        if mounted.is_ok() {
            let opened = fs::OpenOptions::new().write(true).open(Path::new(&at).join(knob));
            note(format!("{knob}, to write: {opened:?}"));
            unmount(&at);
        }
    }
    let _ = fs::remove_dir(&at);
    let _ = std::io::stdout().flush();
}

fn unmount(at: &str) {
    let detach = i64::from(libc::MNT_DETACH);
    let _ = call(libc::SYS_umount2, &mut [Arg::Text(at), Arg::Int(detach)]);
}

/// A user namespace of the own, and what it would allow.
fn own_namespaces(_: &[String]) {
    let user = i64::from(libc::CLONE_NEWUSER);
    for (name, flags) in [
        ("user", 0),
        ("user and mount", i64::from(libc::CLONE_NEWNS)),
        ("user and network", i64::from(libc::CLONE_NEWNET)),
    ] {
        let child = super::sys::fork(|| {
            let result = call(libc::SYS_unshare, &mut [Arg::Int(user | flags)]);
            succeeded(format!("unshare {name}"), &result);
            if result.is_ok() {
                succeeded("mount inside", &mount("none", "/tmp", "tmpfs", 0, ""));
            }
            // The child leaves without flushing.
            let _ = std::io::stdout().flush();
        });
        if let Ok(child) = child {
            let _ = super::sys::wait(child);
        }
    }
    // struct clone_args: the flags come first.
    let mut clone = [0_u8; 64];
    clone[..8].copy_from_slice(&user.to_ne_bytes());
    clone[32..40].copy_from_slice(&i64::from(libc::SIGCHLD).to_ne_bytes());
    match call(libc::SYS_clone3, &mut [Arg::Bytes(&mut clone), Arg::Int(64)]) {
        Ok(0) => std::process::exit(0),
        Ok(child) => {
            reached("clone3 with a user namespace");
            let _ = super::sys::wait(i32::try_from(child).unwrap_or(-1));
        }
        Err(error) => note(format!("clone3: {error}")),
    }
}

/// The namespaces of other processes.
fn foreign_namespaces(arguments: &[String]) {
    let own = ["mnt", "net", "pid", "uts", "ipc", "user"];
    for process in ["1", "self", argument(arguments, 0)] {
        for name in own {
            let path = format!("/proc/{process}/ns/{name}");
            let Ok(file) = fs::File::open(&path) else {
                note(format!("{path}: cannot be opened"));
                continue;
            };
            let descriptor = i64::from(std::os::fd::AsRawFd::as_raw_fd(&file));
            succeeded(
                format!("setns {path}"),
                &call(libc::SYS_setns, &mut [Arg::Int(descriptor), Arg::Int(0)]),
            );
        }
    }
}
