//! What tells about the host, and what an ended sandbox left.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::out::{argument, attempt, note, number, reached, read, result};
use super::sys::{Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("IL01", kernel_addresses),
    ("IL02", load),
    ("IL03", identities),
    ("IL04", mounts),
    ("IL05", tables),
    ("IL06", groups),
    ("IL08-leave", leave),
    ("IL08-look", look),
];

/// Addresses, messages and modules of the kernel.
fn kernel_addresses(_: &[String]) {
    let symbols = fs::File::open("/proc/kallsyms").and_then(|file| {
        let mut text = String::new();
        file.take(1 << 20).read_to_string(&mut text)?;
        Ok(text)
    });
    match symbols.map(|text| {
        let mut addresses = text.lines().filter_map(|line| line.split(' ').next());
        addresses
            .find(|address| address.chars().any(|digit| digit != '0'))
            .map(str::to_owned)
    }) {
        Ok(Some(address)) => reached(format!("a symbol at {address}")),
        other => note(format!("symbols: {other:?}")),
    }
    const READ_ALL: i64 = 3;
    let mut messages = vec![0_u8; 1 << 12];
    let mut words = [Arg::Int(READ_ALL), Arg::Bytes(&mut messages), Arg::Int(1 << 12)];
    match call(libc::SYS_syslog, &mut words) {
        Ok(count) if count > 0 => reached(format!("{count} bytes of the kernel's messages")),
        other => note(format!("messages: {other:?}")),
    }
    let mut first = [0_u8; 256];
    let device = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg");
    match device.and_then(|mut file| file.read(&mut first)) {
        Ok(count) if count > 0 => reached(format!("{count} bytes of /dev/kmsg")),
        other => note(format!("/dev/kmsg: {other:?}")),
    }
    // Where who asks has no right to know, its addresses are zeros.
    let layout = fs::read_to_string("/proc/iomem").unwrap_or_default();
    let is_told = |line: &&str| {
        let (addresses, _) = line.split_once(" : ").unwrap_or_default();
        addresses
            .chars()
            .any(|digit| digit.is_ascii_hexdigit() && digit != '0')
    };
    match layout.lines().find(is_told) {
        Some(line) => reached(format!("/proc/iomem: {line}")),
        None => note("/proc/iomem tells no address"),
    }
    for path in ["/proc/modules", "/sys/kernel/notes", "/proc/sched_debug"] {
        match fs::read(path) {
            Ok(bytes) if !bytes.is_empty() => reached(format!("{path}: {} bytes", bytes.len())),
            other => note(format!("{path}: {other:?}")),
        }
    }
}

/// What only a kernel of its own would tell otherwise.
fn load(_: &[String]) {
    let told = rustix::system::sysinfo();
    println!("load memory {}", told.totalram);
    for path in ["/proc/uptime", "/proc/loadavg"] {
        result(path, fs::read(path));
    }
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    if let Some(line) = stat.lines().find(|line| line.starts_with("btime ")) {
        println!("load start {line}");
    }
}

/// Values by which a machine is known again: `class place value`, a line each.
fn identities(_: &[String]) {
    for (class, path) in [
        ("kernel", "/proc/sys/kernel/random/boot_id"),
        ("machine", "/etc/machine-id"),
        ("machine", "/var/lib/dbus/machine-id"),
        ("machine", "/sys/class/dmi/id/product_uuid"),
        ("machine", "/sys/class/dmi/id/product_serial"),
        ("machine", "/sys/class/dmi/id/board_serial"),
        ("machine", "/proc/cmdline"),
        ("name", "/etc/hostname"),
        ("name", "/proc/sys/kernel/hostname"),
    ] {
        match fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => println!("{class} {path} {}", text.trim()),
            other => note(format!("{path}: {other:?}")),
        }
    }
    println!("name {}", rustix::system::uname().nodename().to_string_lossy());
    for (class, directory, file) in [
        ("address", "/sys/class/net", "address"),
        ("machine", "/sys/block", "device/serial"),
        ("machine", "/sys/block", "device/wwid"),
    ] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if let Ok(text) = fs::read_to_string(entry.path().join(file)) {
                println!("{class} {directory} {}", text.trim());
            }
        }
    }
    hardware_addresses();
}

/// The same by a call, for every interface with a number.
fn hardware_addresses() {
    let Ok(socket) = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    ) else {
        return note("no socket to ask for addresses");
    };
    let descriptor = i64::from(std::os::fd::AsRawFd::as_raw_fd(&socket));
    for index in 1..64_i32 {
        // `struct ifreq`: a name, then what is asked for.
        let mut request = [0_u8; 40];
        request[16..20].copy_from_slice(&index.to_ne_bytes());
        let ask = |what: i64, request: &mut [u8]| {
            call(
                libc::SYS_ioctl,
                &mut [Arg::Int(descriptor), Arg::Int(what), Arg::Bytes(request)],
            )
        };
        let named = ask(libc::SIOCGIFNAME as i64, &mut request);
        if named.is_err() || ask(libc::SIOCGIFHWADDR as i64, &mut request).is_err() {
            continue;
        }
        let address: Vec<String> = request[18..24].iter().map(|byte| format!("{byte:02x}")).collect();
        println!("address interfaces {}", address.join(":"));
    }
}

/// The tables of mounts.
fn mounts(_: &[String]) {
    for path in [
        "/proc/self/mountinfo",
        "/proc/self/mounts",
        "/proc/self/mountstats",
    ] {
        result(path, fs::read(path));
    }
}

/// `IL05 INODE`: tables that are about the whole host.
fn tables(arguments: &[String]) {
    let inode = format!(":{} ", argument(arguments, 0));
    match fs::read_to_string("/proc/locks") {
        Ok(text) if text.contains(&inode) => reached("a lock of another process"),
        other => note(format!("locks: {:?}", other.map(|text| text.len()))),
    }
    for path in [
        "/proc/net/unix",
        "/proc/net/tcp",
        "/proc/net/udp",
        "/proc/sched_debug",
    ] {
        result(path, fs::read(path));
    }
}

/// Names of control groups.
fn groups(_: &[String]) {
    for path in ["/proc/self/cgroup", "/proc/1/cgroup", "/proc/self/mountinfo"] {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines();
        for line in lines.filter(|line| path.ends_with("cgroup") || line.contains(" - cgroup")) {
            println!("group {line}");
        }
    }
}

/// Where a command can write anything.
fn places(arguments: &[String]) -> BTreeSet<PathBuf> {
    let named = arguments.iter().skip(1).map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let temporary = std::env::var_os("TMPDIR").map(PathBuf::from);
    named
        .chain(home)
        .chain(temporary)
        .chain([PathBuf::from(".")])
        .collect()
}

/// `IL08-leave TOKEN DIRECTORY…`: the token in all that may outlast this process.
fn leave(arguments: &[String]) {
    let token = argument(arguments, 0);
    for place in places(arguments) {
        let at = place.join(".left").join(token);
        let made = fs::create_dir_all(&at)
            .and_then(|()| fs::write(at.join("file"), token.repeat(10_000)))
            .and_then(|()| fs::File::open(at.join("file"))?.sync_all());
        attempt(place.display(), made);
    }
}

/// `IL08-look MEBIBYTES DIRECTORY…`: names, content, and space that was just given.
fn look(arguments: &[String]) {
    let bytes = number(arguments, 0) << 20;
    for place in places(arguments) {
        show(&place, 0);
        if let Err(error) = fresh_space(&place, bytes) {
            note(format!("{}: {error}", place.display()));
        }
    }
}

fn show(directory: &Path, depth: u8) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.to_string_lossy();
        if name.contains(".left") {
            read(name.as_bytes());
            if let Ok(bytes) = fs::read(&path) {
                read(&bytes[..bytes.len().min(64)]);
            }
            if depth < 4 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                show(&path, depth + 1);
            }
        }
    }
}

/// Space that nothing was written to is read: only zeros may be in it.
fn fresh_space(directory: &Path, bytes: i64) -> std::io::Result<()> {
    let path = directory.join(".fresh");
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    let descriptor = i64::from(std::os::fd::AsRawFd::as_raw_fd(&file));
    let mut words = [Arg::Int(descriptor), Arg::Int(0), Arg::Int(0), Arg::Int(bytes)];
    call(libc::SYS_fallocate, &mut words)?;
    let mut content = Vec::new();
    (&file).read_to_end(&mut content)?;
    let dirty = content.iter().position(|byte| *byte != 0);
    if let Some(at) = dirty {
        reached(format!("{}: byte {at} is not zero", path.display()));
        read(&content[at..content.len().min(at + 64)]);
    }
    fs::remove_file(path)
}
