//! Loop devices, screens, sound, terminals, memory that all programs share.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::out::{argument, note, reached, succeeded};
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("DV05", block_devices),
    ("DV07", media),
    ("DV08", leave_in_memory),
    ("DV10", terminals),
    ("DV10-names", terminal_names),
];

/// Devices of files: the control node under its own name and a new one, and swap space.
fn block_devices(_: &[String]) {
    const CONTROL: i64 = (10 << 8) | 237;
    let open = |path: &str| OpenOptions::new().read(true).write(true).open(path);
    succeeded("/dev/loop-control", &open("/dev/loop-control"));
    let node = format!("loop-{}", std::process::id());
    let mode = i64::from(libc::S_IFCHR) | 0o600;
    let made = call(
        libc::SYS_mknodat,
        &mut [
            Arg::Int(i64::from(libc::AT_FDCWD)),
            Arg::Text(&node),
            Arg::Int(mode),
            Arg::Int(CONTROL),
        ],
    );
    note(format!("a node for it: {made:?}"));
    succeeded("a new node for it", &open(&node));
    let _ = fs::remove_file(&node);
    // It holds no swap space: nothing is swapped to it, whoever asks.
    let space = format!("swap-{}", std::process::id());
    let _ = fs::write(&space, vec![0_u8; 1 << 16]);
    match call(libc::SYS_swapon, &mut [Arg::Text(&space), Arg::Int(0)]) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
            note(format!("swapon: {error}"));
        }
        other => reached(format!("swapon looked at the file: {other:?}")),
    }
    let _ = fs::remove_file(&space);
}

/// Screens, input, cameras, sound: whatever has such a name.
fn media(_: &[String]) {
    const NAMES: [&str; 12] = [
        "dri/card0",
        "dri/renderD128",
        "kfd",
        "nvidia0",
        "nvidiactl",
        "fb0",
        "input/event0",
        "input/mice",
        "hidraw0",
        "video0",
        "snd/controlC0",
        "snd/pcmC0D0p",
    ];
    for name in NAMES {
        let path = Path::new("/dev").join(name);
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        succeeded(path.display(), &opened);
    }
}

/// A file where all programs of a host find each other's.
fn leave_in_memory(arguments: &[String]) {
    let path = Path::new("/dev/shm").join(argument(arguments, 0));
    note(format!("{}: {:?}", path.display(), fs::write(&path, "left")));
}

/// A terminal of the host by its path, and the memory of its screens.
fn terminals(arguments: &[String]) {
    let path = argument(arguments, 0);
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path);
    match opened {
        Ok(mut terminal) => note(format!("{path}: {:?}", terminal.write_all(b"typed\n"))),
        Err(error) => note(format!("{path}: {error}")),
    }
    for screen in ["vcs", "vcs1", "vcsa", "vcsa1", "vcsu1"] {
        let path = Path::new("/dev").join(screen);
        succeeded(path.display(), &fs::File::open(&path));
    }
}

/// The mode of a terminal of the host: whoever sees the name sees that, too.
fn terminal_names(arguments: &[String]) {
    let path = argument(arguments, 0);
    match fs::metadata(path) {
        Ok(found) => println!("{path} has mode {:o}", found.mode() & 0o7777),
        Err(error) => note(format!("{path}: {error}")),
    }
}
