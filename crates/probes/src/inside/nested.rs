//! Walls that a program inside puts around itself.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;

use super::out::note;
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[("KS17", own_walls)];

/// Said where a filter of the own refuses what it was told to.
pub const OWN_FILTER: &str = "an own filter works";
/// The same of rules of the own.
pub const OWN_RULES: &str = "own rules work";

fn own_walls(_: &[String]) {
    try_filter();
    try_rules();
}

/// In a child, because a wall never comes down again.
fn in_child(what: &str, attempt: fn() -> std::io::Result<bool>, works: &'static str) {
    let child = sys::fork(|| {
        match attempt() {
            Ok(true) => println!("{works}"),
            other => println!("note: {what}: {other:?}"),
        }
        // The child leaves without flushing.
        let _ = std::io::stdout().flush();
    });
    match child {
        Ok(child) => drop(sys::wait(child)),
        Err(error) => note(format!("{what}: {error}")),
    }
}

/// Adds a filter that refuses one call with an error of its own.
pub fn try_filter() {
    in_child("a filter", filter, OWN_FILTER);
}

fn try_rules() {
    in_child("rules", rules, OWN_RULES);
}

/// Nothing can be gained by executing from now on: who puts up walls has to say so.
fn renounce() -> std::io::Result<i64> {
    let set = i64::from(libc::PR_SET_NO_NEW_PRIVS);
    let zero = || Arg::Int(0);
    call(
        libc::SYS_prctl,
        &mut [Arg::Int(set), Arg::Int(1), zero(), zero(), zero()],
    )
}

fn filter() -> std::io::Result<bool> {
    const LOAD_NUMBER: (u16, u8, u8, u32) = (0x20, 0, 0, 0);
    const ALLOW: (u16, u8, u8, u32) = (0x06, 0, 0, 0x7fff_0000);
    const REFUSE: u32 = 0x0005_0000;
    let refused = libc::SYS_getppid;
    let error = libc::EHOSTUNREACH;
    let compare = (0x15, 0, 1, u32::try_from(refused).unwrap_or(0));
    let refuse = (0x06, 0, 0, REFUSE | error.unsigned_abs());
    let mut program = Vec::new();
    for (code, yes, no, value) in [LOAD_NUMBER, compare, refuse, ALLOW] {
        program.extend_from_slice(&code.to_ne_bytes());
        program.extend_from_slice(&[yes, no]);
        program.extend_from_slice(&value.to_ne_bytes());
    }
    // struct sock_fprog: a length, and where the program is.
    let mut header = [0_u8; 16];
    header[..2].copy_from_slice(&4_u16.to_ne_bytes());
    header[8..].copy_from_slice(&(program.as_ptr() as u64).to_ne_bytes());
    renounce()?;
    let (set, mode) = (i64::from(libc::PR_SET_SECCOMP), 2);
    call(
        libc::SYS_prctl,
        &mut [Arg::Int(set), Arg::Int(mode), Arg::Bytes(&mut header)],
    )?;
    let answer = call(refused, &mut []);
    Ok(answer.is_err_and(|found| found.raw_os_error() == Some(error)))
}

/// No file may be written any more; twice, because rules lie over each other.
fn rules() -> std::io::Result<bool> {
    let path = format!("own-rules-{}", std::process::id());
    fs::write(&path, "1")?;
    renounce()?;
    restrict()?;
    let once = fs::write(&path, "2").is_err();
    restrict()?;
    let twice = fs::write(&path, "3").is_err();
    let _ = fs::remove_file(&path);
    Ok(once && twice)
}

fn restrict() -> std::io::Result<()> {
    const WRITE_FILE: u64 = 1 << 1;
    let mut handled = WRITE_FILE.to_ne_bytes();
    let made = call(
        libc::SYS_landlock_create_ruleset,
        &mut [Arg::Bytes(&mut handled), Arg::Int(8), Arg::Int(0)],
    )?;
    let ruleset = sys::own(made).ok_or_else(std::io::Error::last_os_error)?;
    let descriptor = i64::from(ruleset.as_raw_fd());
    call(
        libc::SYS_landlock_restrict_self,
        &mut [Arg::Int(descriptor), Arg::Int(0)],
    )
    .map(drop)
}
