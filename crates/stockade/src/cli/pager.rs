//! Long text on a terminal goes through the user's pager.

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::termios::isatty;

use crate::report;

/// Shows a text: by a pager where a person reads it, else as it is.
pub fn paged(text: &str, no_pager: bool) -> std::io::Result<()> {
    let pager = std::env::var_os("PAGER").unwrap_or_else(|| "less".into());
    let is_wanted = !no_pager && isatty(rustix::stdio::stdout()) && !pager.is_empty() && pager != "cat";
    if !is_wanted {
        return report::out(text);
    }
    // As git does it: colours pass, a text that fits on the screen is just printed. Our text
    // holds no other escape sequence than colours.
    let less = std::env::var_os("LESS").unwrap_or_else(|| "FRX".into());
    let started = Command::new("sh")
        .args(["-c".as_ref(), pager.as_os_str()])
        .env("LESS", less)
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return report::out(text);
    };
    if let Some(mut input) = child.stdin.take() {
        // Whoever leaves the pager early has read enough.
        let _ = input.write_all(text.as_bytes());
    }
    match child.wait()?.code() {
        Some(126 | 127) => report::out(text),
        _ => Ok(()),
    }
}
