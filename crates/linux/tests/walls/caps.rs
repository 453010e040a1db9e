//! Rights that are taken away, checked by the kernel's own account of the process.

use std::fs;

use stockade_linux::posture::Process;
use stockade_linux::{caps, fds, rlimits};

use crate::helper::{Wall, command, prepare, public_copy, run_ok, tell, value};
use crate::sys;

crate::tests![
    dropped_capabilities_are_gone_for_good,
    capabilities_are_seen_when_they_are_there,
    descriptors_and_limits_are_reset,
    ordinary_user_gets_an_error_with_the_remedy,
];

/// A helper with all capabilities, of root or in a user namespace of its own.
fn as_root(task: &str, walls: &[Wall]) -> Vec<(String, String)> {
    if rustix::process::geteuid().is_root() {
        return run_ok(command(task, walls, &[]));
    }
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--uts", "--"])
        .arg(std::env::current_exe().unwrap());
    prepare(&mut command, task, walls, &[]);
    run_ok(command)
}

/// Runs in a process of its own: what root can do before and after the walls.
pub fn drop_task(walls: impl Iterator<Item = Wall>) {
    let attack = |when: &str| {
        // At this address there is no name: with the right, that is the error.
        tell(
            &format!("{when}-chroot"),
            rustix::process::chroot("/").map_err(rustix::io::Errno::raw_os_error),
        );
        tell(
            &format!("{when}-name"),
            sys::raw(libc::SYS_sethostname, [1, 1, 0, 0, 0, 0]),
        );
        tell(
            &format!("{when}-bounding"),
            sys::raw(libc::SYS_prctl, [24, 0, 0, 0, 0, 0]),
        );
        tell(
            &format!("{when}-securebits"),
            sys::raw(libc::SYS_prctl, [28, 0, 0, 0, 0, 0]),
        );
    };
    attack("before");
    walls.for_each(|wall| wall.raise());
    attack("after");
    let me = Process::open(i32::try_from(std::process::id()).unwrap()).unwrap();
    let thread = me
        .threads()
        .unwrap()
        .into_iter()
        .find(|thread| thread.number == me.number())
        .unwrap();
    eprintln!("capabilities {:?}", thread.capabilities);
    eprintln!("empty {}", thread.capabilities.are_empty());
    eprintln!("no_new_privs {:?}", thread.no_new_privs);
    eprintln!("again {:?}", caps::drop_all());
}

/// All five sets are empty for the kernel, and what they allowed is refused.
fn dropped_capabilities_are_gone_for_good() {
    let seen = as_root("drop", &[Wall::NoNewPrivs, Wall::DropCapabilities]);
    for name in ["chroot", "bounding", "securebits"] {
        assert_eq!(value(&seen, &format!("before-{name}")), "ok", "control: {name}");
        assert_eq!(
            value(&seen, &format!("after-{name}")),
            libc::EPERM.to_string(),
            "{name}"
        );
    }
    assert_eq!(
        value(&seen, "before-name"),
        libc::EFAULT.to_string(),
        "control: name"
    );
    assert_eq!(value(&seen, "after-name"), libc::EPERM.to_string());
    assert_eq!(
        (value(&seen, "empty"), value(&seen, "no_new_privs")),
        ("true", "Some(true)")
    );
    assert_eq!(value(&seen, "again"), "Ok(())", "dropping twice");
}

/// Without the wall root has them: the reading is not just always empty.
fn capabilities_are_seen_when_they_are_there() {
    let seen = as_root("drop-none", &[]);
    assert_eq!(value(&seen, "empty"), "false");
}

/// Runs in a process of its own: descriptors and limits as a workload gets them.
pub fn fresh_start() {
    let kept = fs::File::open("/").unwrap();
    let lost = fs::File::open("/").unwrap();
    let (kept, lost) = (
        std::os::fd::AsRawFd::as_raw_fd(&kept),
        std::os::fd::IntoRawFd::into_raw_fd(lost),
    );
    eprintln!("before {}", fds::own().unwrap().contains(&lost));
    fds::close_all_but(&[kept]).unwrap();
    let own = fds::own().unwrap();
    eprintln!("after {}", own == [0, 1, 2, kept]);
    fds::close_all_from(3).unwrap();
    eprintln!("none {}", fds::own().unwrap() == [0, 1, 2]);
    rlimits::apply_workload().unwrap();
    for line in fs::read_to_string("/proc/self/limits").unwrap().lines() {
        eprintln!("{}", line.replacen(' ', "_", 2));
    }
    std::process::exit(0);
}

/// Only the descriptors that are meant to pass are left, whatever the launcher had open.
fn descriptors_and_limits_are_reset() {
    let seen = run_ok(command("fresh-start", &[], &[]));
    for name in ["before", "after", "none"] {
        assert_eq!(value(&seen, name), "true", "{name}");
    }
    let limit = |name: &str| {
        value(&seen, name)
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(limit("Max_core_file")[1..3], ["0", "0"]);
    assert_eq!(limit("Max_realtime_priority")[..2], ["0", "0"]);
    assert_eq!(limit("Max_nice_priority")[..2], ["0", "0"]);
    assert!(limit("Max_open_files")[0].parse::<u64>().unwrap() <= 1024);
    assert!(limit("Max_locked_memory")[0].parse::<u64>().unwrap() <= 8 << 20);
}

/// An ordinary user outside of a namespace of its own cannot drop for good: an error, not a
/// half of it.
fn ordinary_user_gets_an_error_with_the_remedy() {
    let seen = if rustix::process::geteuid().is_root() {
        let (_place, program) = public_copy();
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid=65534", "--clear-groups", "--"])
            .arg(program)
            .current_dir("/");
        prepare(&mut command, "drop-none", &[], &[]);
        run_ok(command)
    } else {
        run_ok(command("drop-none", &[], &[]))
    };
    assert!(value(&seen, "again").starts_with("Err(Call"), "{seen:?}");
}
