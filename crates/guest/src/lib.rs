//! Stockade's guest: the first process of a sandbox. It starts commands, moves their
//! streams, their signals and files over one link, and reaps what they leave behind.
//!
//! It is entered first thing by `stockade guest`, before arguments are parsed. It has a
//! single thread and no runtime: set-up needs that, and a fork may then run any code. It
//! never waits for anything but the next event: whoever is slow (the host, a command that
//! does not read its input) slows itself down, through bounded buffers. It does not panic:
//! its end is the end of the sandbox.
//!
//! ```text
//! serve     the event loop: door, link, signals, commands, files, the end
//! door      what the supervisor passes in beside the link
//! channel   frames on a stream, without waiting
//! exec/     one command: start, streams, reports, end
//! asks/     what commands ask the supervisor for
//! files/    file requests, in a process of their own
//! tree/     a whole tree: sent in, looked at, fetched
//! moved     places that are somewhere else than the host believes
//! confine   the inner wall around whatever touches untrusted things
//! sys       calls without a safe form; the only unsafe code
//! ```

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::string_slice
    )
)]

mod asks;
mod channel;
mod confine;
mod door;
mod exec;
mod files;
mod moved;
mod serve;
mod setup;
mod sys;
mod text;
mod tree;

pub use asks::{AskError, ask};
pub use serve::serve;
pub use setup::{GuestConfig, Ready};
pub use stockade_wire::{ASKS_VARIABLE, Answer, Asked, AskedCheckpoint};

/// Exit code of a guest that could not be set up.
const SETUP_FAILED: i32 = 125;

/// Sets the sandbox up and serves it until it ends.
pub fn main() -> ! {
    match setup::enter() {
        Ok(ready) => sys::exit_now(serve(ready)),
        // The supervisor has been told over the link where that was possible.
        Err(_) => sys::exit_now(SETUP_FAILED),
    }
}
