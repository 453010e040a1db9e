//! Files of the host: by path, link, descriptor and handle.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::out::{argument, note, reached, read, result};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("FS03", by_path),
    ("FS04", by_climbing),
    ("FS05", by_symlink),
    ("FS06", by_hard_link),
    ("FS07", by_processes),
    ("handle", show_handle),
    ("FS08", by_handle),
    ("FS09", write_everywhere),
    ("FS11", masked),
    ("FS13", damage_layers),
    ("system-write", create_in),
    ("list", list),
];

fn by_path(arguments: &[String]) {
    for path in arguments {
        result(path, fs::read(path));
        let listed = Path::new(path).parent().map(fs::read_dir);
        if let Some(Ok(entries)) = listed {
            entries.flatten().for_each(|entry| note(entry.path().display()));
        }
        attempt(path, "append", append(Path::new(path)));
    }
    // The host's tree may lie below a directory of its own.
    for top in fs::read_dir("/").into_iter().flatten().flatten() {
        for path in arguments {
            let below = top.path().join(path.trim_start_matches('/'));
            result(below.display(), fs::read(&below));
            attempt(&below.display().to_string(), "append", append(&below));
        }
    }
}

fn by_climbing(arguments: &[String]) {
    let path = argument(arguments, 0);
    let up = "../".repeat(64);
    let long = format!("/{}", "./".repeat(1900));
    let below = path.trim_start_matches('/');
    for start in [
        up.as_str(),
        "/../../../../",
        "////",
        long.as_str(),
        "/proc/self/root/",
        "/proc/self/cwd/../../../../../../",
        "/dev/fd/../../../../",
    ] {
        let whole = format!("{start}{below}");
        result(&start[..start.len().min(40)], fs::read(&whole));
    }
}

fn by_symlink(arguments: &[String]) {
    let target = argument(arguments, 0);
    let link = format!("link-{}", std::process::id());
    if let Err(error) = symlink(target, &link) {
        note(error);
    }
    result("through a link", fs::read(&link));
    attempt(&link, "append", append(Path::new(&link)));
    let chain = format!("{link}-2");
    let _ = symlink(format!("./{link}"), &chain);
    result("through two links", fs::read(&chain));
    let _ = fs::remove_file(&chain);
    let _ = fs::remove_file(&link);
}

fn by_hard_link(arguments: &[String]) {
    let target = argument(arguments, 0);
    let link = format!("hard-{}", std::process::id());
    attempt(target, "link", fs::hard_link(target, &link));
    result("through the link", fs::read(&link));
}

fn by_processes(arguments: &[String]) {
    let target = argument(arguments, 0);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let process = entry.path();
        if !process.join("status").exists() {
            continue;
        }
        result(
            process.display(),
            fs::read(format!("{}/root{target}", process.display())),
        );
        let directory = Path::new(target).parent().unwrap_or(Path::new("/"));
        let Ok(cwd) = fs::read_link(process.join("cwd")) else {
            continue;
        };
        let up = "../".repeat(cwd.components().count());
        result(
            "by cwd",
            fs::read(process.join("cwd").join(format!("{up}{}", &target[1..]))),
        );
        for descriptor in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
            result("by descriptor", fs::read(descriptor.path().join(&target[1..])));
            if fs::read_link(descriptor.path()).is_ok_and(|found| found.starts_with(directory)) {
                result("open file", fs::read(descriptor.path()));
            }
        }
    }
}

/// `struct file_handle` with room for the largest handle.
fn handle_of(path: &str) -> Option<Vec<u8>> {
    let mut handle = vec![0_u8; 8 + 128];
    handle[..4].copy_from_slice(&128_u32.to_ne_bytes());
    let mut mount = [0_u8; 4];
    let mut arguments = [
        Arg::Int(i64::from(libc::AT_FDCWD)),
        Arg::Text(path),
        Arg::Bytes(&mut handle),
        Arg::Bytes(&mut mount),
        Arg::Int(0),
    ];
    call(libc::SYS_name_to_handle_at, &mut arguments).ok()?;
    Some(handle)
}

fn show_handle(arguments: &[String]) {
    if let Some(handle) = handle_of(argument(arguments, 0)) {
        println!(
            "{}",
            handle
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        );
    }
}

fn by_handle(arguments: &[String]) {
    let text = argument(arguments, 0);
    let bytes =
        (0..text.len() / 2).filter_map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok());
    let handle: Vec<u8> = bytes.collect();
    if handle.len() < 8 {
        return note("no handle was given");
    }
    for mount in ["/", ".", "/usr", "/tmp", "/dev", "/etc"] {
        let Ok(directory) = fs::File::open(mount) else {
            continue;
        };
        let mut copy = handle.clone();
        let mut arguments = [
            Arg::Int(i64::from(directory.as_raw_fd())),
            Arg::Bytes(&mut copy),
            Arg::Int(0),
        ];
        match call(libc::SYS_open_by_handle_at, &mut arguments) {
            Ok(descriptor) => {
                let Some(owned) = sys::own(descriptor) else {
                    continue;
                };
                result(mount, fs::read(format!("/proc/self/fd/{}", owned.as_raw_fd())));
            }
            Err(error) => note(format!("{mount}: {error}")),
        }
    }
}

fn attempt(path: &str, what: &str, result: std::io::Result<()>) {
    match result {
        Ok(()) => note(format!("{what} {path}: done")),
        Err(error) => note(format!("{what} {path}: {error}")),
    }
}

fn append(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .append(true)
        .open(path)?
        .write_all(b"changed\n")
}

fn reopen(path: &Path) -> std::io::Result<()> {
    let file = fs::File::open(path)?;
    let again = format!("/proc/self/fd/{}", file.as_raw_fd());
    OpenOptions::new()
        .write(true)
        .open(again)?
        .write_all(b"changed\n")
}

fn unnamed(directory: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(directory)?;
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    let to = directory.join("linked").display().to_string();
    let here = i64::from(libc::AT_FDCWD);
    let follow = i64::from(libc::AT_SYMLINK_FOLLOW);
    let mut arguments = [
        Arg::Int(here),
        Arg::Text(&from),
        Arg::Int(here),
        Arg::Text(&to),
        Arg::Int(follow),
    ];
    call(libc::SYS_linkat, &mut arguments).map(drop)
}

fn set_attribute(path: &Path, name: &str) -> std::io::Result<()> {
    let path = path.display().to_string();
    let mut value = *b"y";
    let mut arguments = [
        Arg::Text(&path),
        Arg::Text(name),
        Arg::Bytes(&mut value),
        Arg::Int(1),
        Arg::Int(0),
    ];
    call(libc::SYS_setxattr, &mut arguments).map(drop)
}

fn set_times(path: &Path) -> std::io::Result<()> {
    let file = fs::File::open(path)?;
    file.set_modified(SystemTime::UNIX_EPOCH)
}

/// Everything that changes a tree, by path and by descriptor.
pub(super) fn write_everywhere(arguments: &[String]) {
    let directory = PathBuf::from(argument(arguments, 0));
    let file = directory.join("file");
    let shown = argument(arguments, 0);
    attempt(shown, "append", append(&file));
    attempt(shown, "reopen", reopen(&file));
    attempt(
        shown,
        "truncate",
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&file)
            .map(drop),
    );
    attempt(shown, "tmpfile", unnamed(&directory));
    attempt(shown, "times", set_times(&file));
    attempt(shown, "setxattr", set_attribute(&file, "user.stockade"));
    attempt(
        shown,
        "chmod",
        fs::set_permissions(&file, fs::Permissions::from_mode(0o777)),
    );
    let owner = fs::metadata(&file)
        .map(|found| (found.uid(), found.gid()))
        .unwrap_or_default();
    attempt(
        shown,
        "chown",
        std::os::unix::fs::chown(&file, Some(owner.0), Some(owner.1)),
    );
    attempt(
        shown,
        "rename",
        fs::rename(directory.join("below"), directory.join("moved")),
    );
    attempt(shown, "create", fs::write(directory.join("created"), "x"));
    attempt(shown, "mkdir", fs::create_dir(directory.join("made")));
    attempt(shown, "symlink", symlink("/", directory.join("link")));
    attempt(shown, "unlink", fs::remove_file(&file));
    attempt(shown, "remove", fs::remove_dir_all(&directory));
}

/// Files of procfs and sysfs that tell about the host.
fn masked(_: &[String]) {
    for path in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/sched_debug",
        "/proc/modules",
        "/proc/interrupts",
        "/proc/kallsyms",
        "/sys/firmware/acpi/tables/DSDT",
        "/sys/kernel/notes",
        "/sys/class/net/lo/mtu",
    ] {
        let mut first = [0_u8; 64];
        let count = fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut first));
        match count {
            Ok(0) => note(format!("{path}: empty")),
            Ok(count) => reached(format!("{path}: {count} bytes")),
            Err(error) => note(format!("{path}: {error}")),
        }
    }
}

/// What overlay keeps in attributes and special files, put there by hand.
fn damage_layers(arguments: &[String]) {
    let directory = PathBuf::from(argument(arguments, 0));
    for name in [
        "user.overlay.opaque",
        "user.overlay.redirect",
        "user.overlay.metacopy",
        "user.overlay.whiteout",
        "trusted.overlay.opaque",
    ] {
        attempt(name, "setxattr", set_attribute(&directory, name));
        attempt(name, "setxattr", set_attribute(&directory.join("below"), name));
    }
    let whiteout = directory.join("white").display().to_string();
    let mut node = [
        Arg::Int(i64::from(libc::AT_FDCWD)),
        Arg::Text(&whiteout),
        Arg::Int(i64::from(libc::S_IFCHR) | 0o600),
        Arg::Int(0),
    ];
    attempt("whiteout", "mknod", call(libc::SYS_mknodat, &mut node).map(drop));
    write_everywhere(arguments);
}

/// Creates a file of a given name in each directory, and takes it away again.
fn create_in(arguments: &[String]) {
    let Some((name, directories)) = arguments.split_first() else {
        return;
    };
    for directory in directories {
        let path = Path::new(directory).join(name);
        match fs::write(&path, "x") {
            Ok(()) => {
                reached(format!("{} was written", path.display()));
                let _ = fs::remove_file(&path);
            }
            Err(error) => note(format!("{}: {error}", path.display())),
        }
    }
}

/// Prints the names in a directory.
fn list(arguments: &[String]) {
    let mut names: Vec<String> = fs::read_dir(argument(arguments, 0))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    read(names.join("\n").as_bytes());
}
