//! What a limit must bound, where the limit itself is attacked, and clocks.

use std::fs::{File, OpenOptions};
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::out::{argument, note, number, reached, succeeded};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("RS05", open_files),
    ("RS14", leave_core),
    ("RS15", system_log),
    ("SV10", common_files),
    ("TM03", real_time_timer),
    ("TM04", end_the_host),
    ("TM05", wake_the_host),
];

/// Sets the soft and the hard bound of a resource.
fn set_limit(resource: i64, soft: u64, hard: u64) -> std::io::Result<i64> {
    let mut limits = [0_u8; 16];
    limits[..8].copy_from_slice(&soft.to_ne_bytes());
    limits[8..].copy_from_slice(&hard.to_ne_bytes());
    let mut write = [
        Arg::Int(0),
        Arg::Int(resource),
        Arg::Bytes(&mut limits),
        Arg::Null,
    ];
    call(libc::SYS_prlimit64, &mut write)
}

/// The hard bound of a resource.
fn hard_limit(resource: i64) -> u64 {
    let mut limits = [0_u8; 16];
    let mut read = [
        Arg::Int(0),
        Arg::Int(resource),
        Arg::Null,
        Arg::Bytes(&mut limits),
    ];
    let _ = call(libc::SYS_prlimit64, &mut read);
    let mut hard = [0_u8; 8];
    hard.copy_from_slice(&limits[8..]);
    u64::from_ne_bytes(hard)
}

/// More open files than the number that is given.
fn open_files(arguments: &[String]) {
    const FILES: i64 = libc::RLIMIT_NOFILE as i64;
    let wanted = u64::try_from(number(arguments, 0)).unwrap_or(0);
    note(format!("raise: {:?}", set_limit(FILES, wanted + 64, wanted + 64)));
    let hard = hard_limit(FILES);
    note(format!("to the hard bound: {:?}", set_limit(FILES, hard, hard)));
    let mut open = Vec::new();
    while open.len() as u64 <= wanted {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) => {
                note(format!("after {}: {error}", open.len()));
                return;
            }
        }
    }
    reached(format!("{} open files", open.len()));
}

/// A crash of a child that raised what it could: the kernel tells whether it wrote its memory.
fn leave_core(_: &[String]) {
    const CORE: i64 = libc::RLIMIT_CORE as i64;
    let crash = || {
        let _ = set_limit(CORE, u64::MAX, u64::MAX);
        let hard = hard_limit(CORE);
        let _ = set_limit(CORE, hard, hard);
        sys::reset(libc::SIGSEGV);
        let own = i64::from(std::process::id());
        let _ = call(
            libc::SYS_kill,
            &mut [Arg::Int(own), Arg::Int(i64::from(libc::SIGSEGV))],
        );
    };
    match sys::fork(crash).and_then(sys::wait) {
        Ok(status) if libc::WCOREDUMP(status) => reached(format!("a core file, status {status:x}")),
        other => note(format!("{other:?}")),
    }
}

/// Opens or connects to what takes lines of the system's log; writes none.
fn system_log(_: &[String]) {
    succeeded(
        "/dev/kmsg to write",
        &OpenOptions::new().write(true).open("/dev/kmsg"),
    );
    for path in [
        "/dev/log",
        "/run/systemd/journal/dev-log",
        "/run/systemd/journal/socket",
        "/run/systemd/journal/syslog",
    ] {
        let sent = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
        succeeded(path, &sent);
    }
    let path = "/run/systemd/journal/stdout";
    succeeded(path, &UnixStream::connect(path));
    const AUDIT: i64 = libc::NETLINK_AUDIT as i64;
    let mut audit = [
        Arg::Int(i64::from(libc::AF_NETLINK)),
        Arg::Int(3),
        Arg::Int(AUDIT),
    ];
    note(format!("audit: {:?}", call(libc::SYS_socket, &mut audit)));
}

/// Holds a timer of the clock that anybody with the right can set, until its input ends.
fn real_time_timer(_: &[String]) {
    const REAL_TIME: i64 = libc::CLOCK_REALTIME as i64;
    let made = call(libc::SYS_timerfd_create, &mut [Arg::Int(REAL_TIME), Arg::Int(0)]);
    println!("held {made:?}");
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

/// What ends or stops the whole machine, as far as opening it, or asking for what cannot be.
fn end_the_host(_: &[String]) {
    const MAGIC: i64 = 0xfee1_dead;
    const MAGIC_2: i64 = 0x2812_1969;
    const NO_COMMAND: i64 = 0x0bad_0bad;
    let mut reboot = [
        Arg::Int(MAGIC),
        Arg::Int(MAGIC_2),
        Arg::Int(NO_COMMAND),
        Arg::Null,
    ];
    // The right is checked before the command, which none knows.
    match call(libc::SYS_reboot, &mut reboot) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
            note(format!("reboot: {error}"));
        }
        other => reached(format!("reboot: {other:?}")),
    }
    for path in [
        "/proc/sysrq-trigger",
        "/sys/power/state",
        "/sys/power/disk",
        "/sys/kernel/kexec_crash_size",
        "/run/initctl",
        "/dev/initctl",
    ] {
        const NONBLOCK: i32 = libc::O_NONBLOCK;
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options.write(true), NONBLOCK);
        succeeded(format!("{path} to write"), &options.open(path));
    }
    for path in [
        "/run/systemd/private",
        "/run/systemd/io.systemd.Manager",
        "/run/dbus/system_bus_socket",
        "/run/acpid.socket",
    ] {
        succeeded(path, &UnixStream::connect(path));
    }
}

/// Timers that wake a sleeping machine, and more processor time than was left.
fn wake_the_host(_: &[String]) {
    const REAL_ALARM: i64 = libc::CLOCK_REALTIME_ALARM as i64;
    const BOOT_ALARM: i64 = libc::CLOCK_BOOTTIME_ALARM as i64;
    for clock in [REAL_ALARM, BOOT_ALARM] {
        let made = call(libc::SYS_timerfd_create, &mut [Arg::Int(clock), Arg::Int(0)]);
        succeeded(format!("timerfd of clock {clock}"), &made);
        let mut id = [0_u8; 8];
        let mut create = [Arg::Int(clock), Arg::Null, Arg::Bytes(&mut id)];
        succeeded(
            format!("timer of clock {clock}"),
            &call(libc::SYS_timer_create, &mut create),
        );
    }
    const CPU: i64 = libc::RLIMIT_CPU as i64;
    let lowered = set_limit(CPU, 100, 100);
    note(format!("lowered: {lowered:?}"));
    if lowered.is_ok() {
        succeeded("a hard bound raised again", &set_limit(CPU, 200, 200));
    }
}

/// Writes, reads or removes a file of a name wherever that could be: `SV10 WHAT NAME [CONTENT]`.
fn common_files(arguments: &[String]) {
    let own = ["HOME", "TMPDIR", "XDG_RUNTIME_DIR"];
    let places = own.into_iter().filter_map(|name| std::env::var(name).ok());
    let shared = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/dev/mqueue"].map(str::to_owned);
    for place in places.chain(shared) {
        let path = format!("{place}/{}", argument(arguments, 1));
        match argument(arguments, 0) {
            "write" => note(format!(
                "{path}: {:?}",
                std::fs::write(&path, argument(arguments, 2))
            )),
            "read" => super::out::result(&path, std::fs::read(&path)),
            _ => drop(std::fs::remove_file(&path)),
        }
    }
}
