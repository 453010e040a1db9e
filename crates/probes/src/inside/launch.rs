//! A careless launcher: leaves open files, keys, signal settings and limits to what it starts.

use std::fs::File;
use std::io::Write;
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use super::sys::{self, Arg, call};

/// `launch [--fd PATH] [--pipe] [--memory-file TEXT] [--process] [--umask N] [--block N] [--ignore N]
/// [--limit RESOURCE VALUE] [--hard-limit RESOURCE VALUE] [--nice N] [--personality N] [--parent-death N]
/// [--key NAME VALUE] [--root PATH] [--directory PATH] -- COMMAND`
pub fn run(arguments: &[String]) -> ExitCode {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            words
                .next()
                .and_then(|text| text.parse::<i64>().ok())
                .unwrap_or(0)
        };
        match word.as_str() {
            "--" => {
                let rest: Vec<&String> = words.collect();
                return become_command(&rest);
            }
            "--umask" => drop(call(libc::SYS_umask, &mut [Arg::Int(number())])),
            "--block" => sys::block(i32::try_from(number()).unwrap_or(0)),
            "--ignore" => sys::ignore(i32::try_from(number()).unwrap_or(0)),
            "--nice" => drop(call(
                libc::SYS_setpriority,
                &mut [Arg::Int(0), Arg::Int(0), Arg::Int(number())],
            )),
            "--personality" => drop(call(libc::SYS_personality, &mut [Arg::Int(number())])),
            "--limit" => limit(number(), number(), false),
            "--hard-limit" => limit(number(), number(), true),
            "--fd" => leave_open(words.next().map_or("", String::as_str)),
            "--pipe" => leave_pipe(),
            "--memory-file" => leave_memory_file(words.next().map_or("", String::as_str)),
            "--process" => leave_process(),
            "--parent-death" => drop(call(
                libc::SYS_prctl,
                &mut [Arg::Int(i64::from(libc::PR_SET_PDEATHSIG)), Arg::Int(number())],
            )),
            // The directory of work stays where it is: outside of the new root.
            "--root" => report(
                "root",
                std::os::unix::fs::chroot(words.next().map_or("", String::as_str)),
            ),
            "--directory" => report(
                "directory",
                std::env::set_current_dir(words.next().map_or("", String::as_str)),
            ),
            "--key" => add_key(
                words.next().map_or("", String::as_str),
                words.next().map_or("", String::as_str),
            ),
            other => {
                eprintln!("attack launch: what is {other}?");
                return ExitCode::from(99);
            }
        }
    }
    ExitCode::from(99)
}

fn become_command(words: &[&String]) -> ExitCode {
    let Some((program, rest)) = words.split_first() else {
        return ExitCode::from(99);
    };
    // The runtime of Rust ignores it, which programs would inherit.
    let error = Command::new(program).args(rest).exec();
    eprintln!("attack launch: {program}: {error}");
    ExitCode::from(99)
}

fn leave_open(path: &str) {
    match File::open(path) {
        Ok(file) => sys::keep_over_exec(file.into_raw_fd()),
        Err(error) => eprintln!("attack launch: {path}: {error}"),
    }
}

fn report(what: &str, done: std::io::Result<()>) {
    if let Err(error) = done {
        eprintln!("attack launch: {what}: {error}");
    }
}

fn leave_memory_file(text: &str) {
    let made = call(libc::SYS_memfd_create, &mut [Arg::Text("secret"), Arg::Int(0)]);
    let Some(file) = made.ok().and_then(sys::own) else {
        return eprintln!("attack launch: no memory file");
    };
    let mut file = File::from(file);
    report("memory file", file.write_all(text.as_bytes()));
    sys::keep_over_exec(file.into_raw_fd());
}

/// Of itself: who gets it could signal the launcher.
fn leave_process() {
    let own = i64::from(std::process::id());
    let made = call(libc::SYS_pidfd_open, &mut [Arg::Int(own), Arg::Int(0)]);
    match made.ok().and_then(sys::own) {
        Some(process) => sys::keep_over_exec(process.into_raw_fd()),
        None => eprintln!("attack launch: no process"),
    }
}

fn leave_pipe() {
    // Made without close-on-exec, and never closed here.
    if let Ok((reader, writer)) = rustix::pipe::pipe() {
        let _: [RawFd; 2] = [reader.into_raw_fd(), writer.into_raw_fd()];
    }
}

/// The soft limit, and the hard one where that is asked for: it is not for a sandbox to raise.
fn limit(resource: i64, value: i64, is_hard: bool) {
    let mut limits = [0_u8; 16];
    let mut read = [
        Arg::Int(0),
        Arg::Int(resource),
        Arg::Null,
        Arg::Bytes(&mut limits),
    ];
    let before = call(libc::SYS_prlimit64, &mut read);
    limits[..8].copy_from_slice(&value.to_ne_bytes());
    if is_hard {
        limits[8..].copy_from_slice(&value.to_ne_bytes());
    }
    let mut write = [
        Arg::Int(0),
        Arg::Int(resource),
        Arg::Bytes(&mut limits),
        Arg::Null,
    ];
    if let Err(error) = before.and_then(|_| call(libc::SYS_prlimit64, &mut write)) {
        eprintln!("attack launch: limit {resource}: {error}");
    }
}

/// A key in a new session keyring, which everything started from here shares.
fn add_key(name: &str, value: &str) {
    const JOIN_SESSION: i64 = 1;
    const SESSION: i64 = -3;
    let _ = call(libc::SYS_keyctl, &mut [Arg::Int(JOIN_SESSION), Arg::Null]);
    let length = i64::try_from(value.len()).unwrap_or(0);
    let mut arguments = [
        Arg::Text("user"),
        Arg::Text(name),
        Arg::Text(value),
        Arg::Int(length),
        Arg::Int(SESSION),
    ];
    if let Err(error) = call(libc::SYS_add_key, &mut arguments) {
        eprintln!("attack launch: key: {error}");
    }
}
