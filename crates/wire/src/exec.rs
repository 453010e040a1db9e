//! Commands: what is asked for and how it ends.

use serde::{Deserialize, Serialize};

use crate::bytes::{ByteStrings, GuestPath};

/// One command in a sandbox. The host numbers them and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExecId(pub u32);

/// A stream of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Host to guest: standard input, or what is typed at the terminal.
    Stdin,
    /// Guest to host: standard output, or all that the terminal shows.
    Stdout,
    /// Guest to host: standard error; does not exist with a terminal.
    Stderr,
}

/// Size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines of text.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    /// Width in pixels, or 0.
    pub x_pixels: u16,
    /// Height in pixels, or 0.
    pub y_pixels: u16,
}

/// A command to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Its number.
    pub id: ExecId,
    /// The program and its arguments. A program without a slash is looked for in the
    /// `PATH` of `env`.
    pub argv: ByteStrings,
    /// The whole environment, as `NAME=value`.
    pub env: ByteStrings,
    /// Directory to start in.
    pub cwd: GuestPath,
    /// A terminal of this size, or three pipes.
    pub tty: Option<WindowSize>,
    /// False: standard input is at its end from the start. Ignored with a terminal.
    pub stdin: bool,
}

/// How a command ended, as its parent inside saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
}

/// Why a command did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// No such program.
    NotFound,
    /// The program is there and cannot be executed.
    NotExecutable,
    /// The directory to start in cannot be entered.
    BadCwd,
    /// The guest does not start it: a bound is reached or a self-test failed.
    Refused,
    /// Something else failed.
    Other,
}

/// A command that did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecFailure {
    /// Which.
    pub exec: ExecId,
    /// Why, for programs.
    pub kind: FailureKind,
    /// The kernel's error number, or 0.
    pub errno: i32,
    /// Why, for people.
    pub text: String,
}
