//! Device nodes, there and new.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::out::{note, reached, succeeded};
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[("DV01", open_nodes), ("DV02", make_nodes), ("nodes", names)];

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

/// What is harmless to everybody.
const KNOWN: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

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
