//! Other terminals: a socket of the shim in the sandbox's state directory, through which
//! the same user (and root) run further commands, stop the sandbox and look at it.
//!
//! A connection carries one thing: a command with its streams, a stop, or a look. Frames
//! are those of the wire protocol; both ends check each other's bounds.

mod attach;
mod channel;
mod client;
mod connection;
mod protocol;
mod server;
mod work;

pub use client::{Client, ExecOutcome, Inspection, RemoteExec};
pub(crate) use connection::{Context, Defaults, serve};
pub use protocol::Attached;
pub(crate) use server::Server;
