//! What happened to sandboxes: JSON lines in files of a month, only ever added to, each
//! holding the hash of the sandbox's line before, also across files.
//!
//! A chain shows that a line was edited, removed from the middle or moved by somebody who did
//! not compute the rest anew. It does not show that a sandbox's last lines are missing, or all
//! of them, and whoever can write the file can compute a new chain: only a copy of the last
//! hash, kept elsewhere, proves more.
//!
//! Values of variables and bytes of streams are never written; secrets in command lines are
//! masked where they can be told.
//!
//! ```text
//! event   what can happen
//! redact  what must not be written
//! line    one record as a line, and its hash
//! place   files and their names
//! log     writing
//! sink    other readers
//! starts  being told who starts which program inside
//! read    reading, from files that may be damaged
//! verify  checking the chains
//! ```

mod event;
mod line;
mod log;
mod place;
mod read;
mod redact;
mod sink;
mod starts;
mod verify;

pub use event::{Asker, By, Event, KINDS, Lost, Shortfall, Start};
pub(crate) use event::{exec_started, shorten, texts};
pub(crate) use line::hash;
pub use line::{Entry, VERSION};
pub use log::AuditLog;
pub(crate) use place::beyond_bound;
pub use place::utc;
pub use read::{Damage, Found, Line, files, read_lines};
pub use redact::{Redactor, is_secret_name};
pub use sink::Sink;
pub use starts::Recorder;
pub use starts::Watcher;
pub use verify::{Break, Chain, MAX_BREAKS, Verified, Verifier, verify};

#[cfg(test)]
mod tests;
