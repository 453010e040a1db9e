//! The messages of a control connection.

use serde::{Deserialize, Serialize};
use stockade_domain::{Exit, Usage};
use stockade_wire::limits::{CHUNK, MAX_ARGUMENT_BYTES, MAX_FRAME};
use stockade_wire::{ByteStrings, FileReply, FileRequest, GuestPath, Message, Stream, WindowSize, WireError};

use crate::error::CommandFailure;
use crate::logs::LogRecord;

/// Both ends must speak the same.
pub(super) const VERSION: u32 = 4;

/// Bytes of input that the client sends before it is told that they were taken.
pub(super) const CREDIT: usize = 256 << 10;

const MAX_TEXT: usize = 4096;

/// What the client says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum FromClient {
    /// First.
    Hello { version: u32 },
    /// Start a command.
    Exec(ExecAsked),
    /// Input, within the credit.
    Input(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The input ends.
    InputEnd,
    /// The terminal has another size.
    Resize(WindowSize),
    /// Send a signal.
    Signal { number: u8, whole_group: bool },
    /// Stop the sandbox.
    Stop { grace_ms: u32 },
    /// Tell what it uses.
    Inspect,
    /// Stop everything inside, or let it go on.
    Pause { pause: bool },
    /// Fetch a workspace that travels over the link.
    Fetch,
    /// Do something with a file; the next one may follow when it is answered.
    File(FileRequest),
    /// End the sandbox when this connection ends.
    Hold,
    /// Show what the first command writes, and take what is typed for it.
    Attach(AttachAsked),
}

/// How to attach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AttachAsked {
    /// Output from this offset on; none: only what is written from now on.
    pub from: Option<u64>,
    /// Ask for the right to type.
    pub write: bool,
    /// Size of the terminal.
    pub size: Option<WindowSize>,
}

/// A command to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ExecAsked {
    pub argv: ByteStrings,
    /// Variables beside those of the sandbox's first command, as `NAME=value`.
    pub env: ByteStrings,
    /// None: where the first command started.
    pub cwd: Option<GuestPath>,
    pub tty: Option<WindowSize>,
    pub stdin: bool,
}

/// What the shim says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum FromShim {
    /// First.
    Hello { version: u32, id: String },
    /// The command runs.
    Started { pid: u32 },
    /// It wrote this.
    Output {
        stream: Stream,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// The connection is attached.
    Attached(Attached),
    /// The first command wrote this.
    Logged(LogRecord),
    /// This much more input is welcome.
    Credit { count: u32 },
    /// It reads no more input.
    InputClosed,
    /// A signal stopped it.
    Stopped { signal: u8 },
    /// It runs again.
    Continued,
    /// It ended.
    Exited {
        end: End,
        /// Processes of the sandbox that were killed at the memory limit meanwhile; none where that is not counted.
        oom_kills: Option<u64>,
    },
    /// It could not be started.
    NotStarted { kind: CommandFailure, text: String },
    /// The sandbox is being stopped; the connection closes when it has ended.
    Stopping,
    /// What it uses, and how long it has run.
    Inspected { usage: Usage, running_ms: u64 },
    /// The answer to a file request.
    File(FileReply),
    /// It was done.
    Done,
    /// What was asked cannot be done.
    Refused { text: String },
}

/// What is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// The command has a terminal of its own.
    pub tty: bool,
    /// What is typed reaches it.
    pub writes: bool,
    /// Bytes of output so far.
    pub end: u64,
}

/// An [`Exit`] in a form that needs no names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    Code(i32),
    Signal(i32),
    OutOfMemory,
    TimedOut,
    OutputLimit,
    Killed,
}

impl From<Exit> for End {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(code),
            Exit::Signal(number) => Self::Signal(number),
            Exit::OutOfMemory => Self::OutOfMemory,
            Exit::TimedOut => Self::TimedOut,
            Exit::OutputLimit => Self::OutputLimit,
            Exit::Killed => Self::Killed,
        }
    }
}

impl From<End> for Exit {
    fn from(end: End) -> Self {
        match end {
            End::Code(code) => Self::Code(code),
            End::Signal(number) => Self::Signal(number),
            End::OutOfMemory => Self::OutOfMemory,
            End::TimedOut => Self::TimedOut,
            End::OutputLimit => Self::OutputLimit,
            End::Killed => Self::Killed,
        }
    }
}

impl Message for FromClient {
    const MAX_FRAME: usize = MAX_FRAME;

    fn validate(&self) -> Result<(), WireError> {
        match self {
            Self::Exec(asked) => {
                let length = asked.argv.byte_len().saturating_add(asked.env.byte_len());
                at_most("the arguments and variables", length, MAX_ARGUMENT_BYTES)
            }
            Self::Input(bytes) => at_most("the input", bytes.len(), CHUNK),
            Self::File(request) => request.validate(),
            _ => Ok(()),
        }
    }
}

impl Message for FromShim {
    const MAX_FRAME: usize = MAX_FRAME;

    fn validate(&self) -> Result<(), WireError> {
        match self {
            Self::Output { bytes, .. } => at_most("the output", bytes.len(), CHUNK),
            Self::Logged(record) => record.validate(),
            Self::File(reply) => reply.validate(),
            Self::NotStarted { text, .. } | Self::Refused { text } => {
                at_most("the text", text.len(), MAX_TEXT)
            }
            _ => Ok(()),
        }
    }
}

/// A text that fits into a message.
pub(super) fn short(text: &str) -> String {
    let end = text
        .char_indices()
        .map(|(at, char)| at + char.len_utf8())
        .take_while(|end| *end <= MAX_TEXT)
        .last();
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

fn at_most(part: &'static str, found: usize, limit: usize) -> Result<(), WireError> {
    if found <= limit {
        Ok(())
    } else {
        Err(WireError::PartTooLong { part, found, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(short("abc"), "abc");
        let long = short(&"é".repeat(5000));
        assert_eq!(long.len(), MAX_TEXT);
    }

    #[test]
    fn messages_survive_the_way() {
        let messages = [
            FromShim::Hello {
                version: VERSION,
                id: "a".into(),
            },
            FromShim::Output {
                stream: Stream::Stderr,
                bytes: vec![0, 255, 7],
            },
            FromShim::Exited {
                end: Exit::Code(3).into(),
                oom_kills: None,
            },
            FromShim::Exited {
                end: Exit::OutOfMemory.into(),
                oom_kills: Some(1),
            },
            FromShim::NotStarted {
                kind: CommandFailure::NotFound,
                text: "why".into(),
            },
            FromShim::Inspected {
                usage: Usage {
                    pids: Some(1),
                    ..Usage::default()
                },
                running_ms: 1,
            },
        ];
        let mut bytes = Vec::new();
        for message in &messages {
            stockade_wire::encode(message, &mut bytes).unwrap();
        }
        let mut input: &[u8] = &bytes;
        let mut decoder = stockade_wire::Decoder::<FromShim>::new();
        for message in messages {
            assert_eq!(decoder.next(&mut input).unwrap(), Some(message));
        }
    }

    #[test]
    fn ends_mean_the_same_on_both_sides() {
        for exit in [
            Exit::Code(1),
            Exit::Signal(2),
            Exit::OutOfMemory,
            Exit::TimedOut,
            Exit::OutputLimit,
            Exit::Killed,
        ] {
            assert_eq!(Exit::from(End::from(exit)), exit);
        }
    }
}
