//! What a launcher leaves: descriptors, terminal, environment, settings of the process.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use super::out::{argument, note, number, reached, read, result};
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("SD01", descriptors),
    ("SD02", reopen_streams),
    ("SD03", push_input),
    ("SD05", environment),
    ("SD07", posture),
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

/// What the process inherited beside files and variables.
fn posture(_: &[String]) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for name in ["Umask:", "SigBlk:", "SigIgn:", "SigCgt:", "Groups:"] {
        if let Some(line) = status.lines().find(|line| line.starts_with(name)) {
            println!("{line}");
        }
    }
    let nice = call(libc::SYS_getpriority, &mut [Arg::Int(0), Arg::Int(0)]).unwrap_or(0);
    println!("Nice: {}", 20 - nice);
    let personality = call(libc::SYS_personality, &mut [Arg::Int(0xffff_ffff)]).unwrap_or(-1);
    println!("Personality: {personality}");
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    limits
        .lines()
        .filter(|line| line.starts_with("Max"))
        .for_each(|line| println!("{line}"));
    println!(
        "Directory: {}",
        std::env::current_dir().unwrap_or_default().display()
    );
    let session = call(libc::SYS_getsid, &mut [Arg::Int(0)]).unwrap_or(-1);
    println!("Session: {session}");
}

/// Small things that tests ask for: `exit N`, `signal N`, `echo`, `socket`.
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
        "socket" => match std::os::unix::net::UnixListener::bind("own-socket") {
            Ok(_) => return ExitCode::SUCCESS,
            Err(error) => eprintln!("attack: socket: {error}"),
        },
        other => eprintln!("attack: do what? {other}"),
    }
    ExitCode::FAILURE
}
