//! A terminal of our own, as a person has one.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::finished::{PATIENCE, wait};
use crate::host;
use crate::verdict::{Verdict, skip};
use crate::wall::Field;

/// Runs a script of `sh` with a controlling terminal; returns what the terminal showed. The flags of every
/// sandbox are in `$RUN_FLAGS`.
///
/// # Errors
/// There is no terminal, or the script does not end in time.
pub fn on_terminal(field: &Field, script: &str, arguments: &[&str]) -> Verdict<String> {
    if !host::has_program("setsid") {
        return skip("setsid of util-linux is missing");
    }
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = || {
        rustix::fs::open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    let mut command = field.ground.command(Path::new("setsid"));
    command
        .args(["--ctty", "--wait", "sh", "-c", script])
        .args(arguments)
        .env("TERM", "xterm")
        .env("RUN_FLAGS", field.wall.flags().join(" "));
    command
        .stdin(Stdio::from(slave()?))
        .stdout(Stdio::from(slave()?))
        .stderr(Stdio::from(slave()?));
    let mut child = command.spawn()?;
    // It holds the terminal open as well.
    drop(command);
    let mut terminal = std::fs::File::from(master);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // EIO when the last program has closed the terminal.
        let _ = terminal.read_to_end(&mut bytes);
        bytes
    });
    wait(&mut child, Instant::now() + PATIENCE)?;
    let bytes = reader.join().unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
