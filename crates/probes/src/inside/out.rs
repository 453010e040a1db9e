//! What the payload says. Nothing that it says counts but `REACHED` and what it read.

use std::fmt::Display;
use std::io::Write;

/// Something was got by breaking through.
pub fn reached(what: impl Display) {
    println!("REACHED {what}");
}

/// For whoever reads a failure.
pub fn note(what: impl Display) {
    println!("note: {what}");
}

/// Shows what was read, whatever it is.
pub fn read(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let shown = &bytes[..bytes.len().min(1 << 16)];
    // Whoever reads it has gone if this fails.
    let _ = out.write_all(String::from_utf8_lossy(shown).replace('\0', "\n").as_bytes());
    let _ = out.write_all(b"\n");
}

/// Shows a result: what was read, or why not.
pub fn result(what: impl Display, result: std::io::Result<Vec<u8>>) {
    match result {
        Ok(bytes) => {
            note(format!("{what}: {} bytes", bytes.len()));
            read(&bytes);
        }
        Err(error) => note(format!("{what}: {error}")),
    }
}

/// Says that something succeeded which must be refused, or how it was refused.
pub fn succeeded<T>(what: impl Display, result: &std::io::Result<T>) {
    match result {
        Ok(_) => reached(what),
        Err(error) => note(format!("{what}: {error}")),
    }
}

/// Says how something went that counts only by what became of it.
pub fn attempt(what: impl Display, done: std::io::Result<()>) {
    match done {
        Ok(()) => note(format!("{what}: done")),
        Err(error) => note(format!("{what}: {error}")),
    }
}

/// An argument, or nothing.
pub fn argument(arguments: &[String], index: usize) -> &str {
    arguments.get(index).map_or("", String::as_str)
}

/// An argument that is a number, or zero.
pub fn number(arguments: &[String], index: usize) -> i64 {
    argument(arguments, index).parse().unwrap_or(0)
}

/// Ends an attack that cannot be made: it shows nothing, and never says that it is done.
pub fn give_up(why: impl Display) -> ! {
    note(why);
    std::process::exit(98)
}
