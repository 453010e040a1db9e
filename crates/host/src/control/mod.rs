//! Other terminals: a socket of the shim in the sandbox's state directory, through which
//! the same user (and root) run further commands, stop the sandbox and look at it.
//!
//! A connection carries one thing: a command with its streams, a stop, or a look. Frames
//! are those of the wire protocol; both ends check each other's bounds.

mod attach;
mod channel;
mod client;
mod connection;
mod files;
mod protocol;
mod remote;
mod server;
mod work;

pub use client::{Client, ExecOutcome, Holder, Inspection};
pub(crate) use connection::{Context, Defaults, serve};
pub use files::RemoteFiles;
pub use protocol::Attached;
pub use remote::{RemoteEnd, RemoteExec, RemoteInput};
pub(crate) use server::Server;
