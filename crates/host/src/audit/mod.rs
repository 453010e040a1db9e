//! What happened to sandboxes: JSON lines in a file a month, only ever added to, each
//! holding the hash of the sandbox's line before.
//!
//! A chain shows that a line was edited, removed from the middle or moved. It does not show
//! that a sandbox's last lines are missing, or all of them, and whoever can write the file
//! can compute a new chain: only a copy of the last hash, kept elsewhere, proves more.
//!
//! Values of variables and bytes of streams are never written.

mod event;
mod log;
mod verify;

pub use event::{Asker, Event, Shortfall};
pub(crate) use event::{exec_started, shorten};
pub use log::AuditLog;
pub use verify::{Verified, verify};

use sha2::{Digest, Sha256};

/// Version of the lines.
pub(crate) const VERSION: u32 = 1;

/// A hash as text.
pub(crate) fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
            text
        })
}

/// What stands in the place of the previous line's hash in the first line.
pub(crate) fn genesis(id: &str) -> String {
    hash(format!("stockade audit {VERSION} {id}").as_bytes())
}

#[cfg(test)]
mod tests;
