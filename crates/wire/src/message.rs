//! All messages of both directions, and the bounds of their parts.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::asks::{Answer, Ask, AskId};

use crate::error::WireError;
use crate::exec::{ExecFailure, ExecId, ExecRequest, ExitStatus, Stream, WindowSize};
use crate::files::{FileAnswer, FileOperation, FileReply, FileRequest, FileStat};
use crate::hello::Hello;
use crate::limits::{CHUNK, MAX_ARGUMENT_BYTES, MAX_FRAME, MAX_FRAME_TO_HOST, MAX_PATH, MAX_TEXT};
use crate::tree;

/// Something that travels as a frame.
pub trait Message: Serialize + DeserializeOwned {
    /// Bytes of one, at most.
    const MAX_FRAME: usize;

    /// Passes if every part is within its bound.
    ///
    /// # Errors
    /// The first part that is not.
    fn validate(&self) -> Result<(), WireError>;
}

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The command.
    pub exec: ExecId,
    /// The stream.
    pub stream: Stream,
    /// Position of the first byte in the stream.
    pub offset: u64,
    /// The bytes: at least one, at most a chunk.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eof {
    /// The command.
    pub exec: ExecId,
    /// The stream.
    pub stream: Stream,
    /// Its length.
    pub offset: u64,
}

/// Confirms what was consumed of a stream, which gives room for as much again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The command.
    pub exec: ExecId,
    /// The stream.
    pub stream: Stream,
    /// Everything before this was consumed.
    pub offset: u64,
}

/// Tells on a new link where a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The command.
    pub exec: ExecId,
    /// The stream.
    pub stream: Stream,
    /// Everything before this was received.
    pub next_offset: u64,
    /// Everything before this was consumed, as in an [`Ack`].
    pub consumed_offset: u64,
}

/// What the host says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuest {
    /// First on each link.
    Hello(Hello),
    /// Standard input.
    Data(Data),
    /// Standard input ends here.
    Eof(Eof),
    /// Output was consumed.
    Ack(Ack),
    /// Where output goes on, on a new link.
    Resume(Resume),
    /// Start a command; with a known number: repeat what was said about it.
    Exec(ExecRequest),
    /// The user's terminal has another size.
    Resize {
        /// The command.
        exec: ExecId,
        /// The size.
        size: WindowSize,
    },
    /// Send a signal.
    Signal {
        /// The command.
        exec: ExecId,
        /// Number of the signal, 1 to 64.
        number: u8,
        /// To its process group instead of its first process only.
        whole_group: bool,
    },
    /// Nothing more will be asked about a command: free its number. A running one is
    /// killed with its process group.
    Forget {
        /// The command.
        exec: ExecId,
    },
    /// Do something with a file.
    File(FileRequest),
    /// End all commands, killing them after the grace, and then the guest itself.
    Shutdown {
        /// Milliseconds between the request to end and the kill.
        grace_ms: u32,
    },
    /// What came of something that was asked from inside.
    Answer {
        /// Its number.
        ask: AskId,
        /// What came of it.
        answer: Answer,
    },
    /// End all commands, killing them after the grace, and stay for files; no other command is started.
    Quiet {
        /// Milliseconds between the request to end and the kill.
        grace_ms: u32,
    },
}

/// What the guest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHost {
    /// First on each link.
    Hello(Hello),
    /// Output.
    Data(Data),
    /// Output ends here.
    Eof(Eof),
    /// Input was consumed.
    Ack(Ack),
    /// Where input goes on, on a new link.
    Resume(Resume),
    /// A command runs.
    Started {
        /// The command.
        exec: ExecId,
        /// Its first process, as numbered inside.
        pid: u32,
    },
    /// A command could not be started. Its streams have no bytes and no end.
    ExecFailed(ExecFailure),
    /// The command reads no more input: what is sent will be consumed and lost.
    InputClosed {
        /// The command.
        exec: ExecId,
    },
    /// A command was stopped by a signal (Ctrl-Z).
    Stopped {
        /// The command.
        exec: ExecId,
        /// The signal.
        signal: u8,
    },
    /// A stopped command runs again.
    Continued {
        /// The command.
        exec: ExecId,
    },
    /// A command ended. All of its output was sent before.
    Exited {
        /// The command.
        exec: ExecId,
        /// How.
        status: ExitStatus,
    },
    /// The answer to a file request.
    File(FileReply),
    /// A command inside asks for something.
    Ask(Ask),
    /// What was to end for [`ToGuest::Quiet`] has ended.
    Quiet {
        /// Nothing of it is left, as far as the guest sees.
        all: bool,
    },
}

impl Message for ToGuest {
    const MAX_FRAME: usize = MAX_FRAME;

    fn validate(&self) -> Result<(), WireError> {
        match self {
            Self::Data(data) => data.validate(),
            Self::Exec(request) => {
                let length = request.argv.byte_len().saturating_add(request.env.byte_len());
                at_most("the arguments and variables", length, MAX_ARGUMENT_BYTES)
            }
            Self::File(request) => request.validate(),
            Self::Signal { number, .. } => signal_number(*number),
            Self::Answer { answer, .. } => answer.validate(),
            Self::Hello(_)
            | Self::Eof(_)
            | Self::Ack(_)
            | Self::Resume(_)
            | Self::Resize { .. }
            | Self::Forget { .. }
            | Self::Shutdown { .. }
            | Self::Quiet { .. } => Ok(()),
        }
    }
}

impl Message for ToHost {
    const MAX_FRAME: usize = MAX_FRAME_TO_HOST;

    fn validate(&self) -> Result<(), WireError> {
        match self {
            Self::Data(data) => data.validate(),
            Self::ExecFailed(failure) => at_most("the text of a failure", failure.text.len(), MAX_TEXT),
            Self::File(reply) => reply.validate(),
            Self::Ask(ask) => ask.what.validate(),
            Self::Stopped { signal, .. } => signal_number(*signal),
            Self::Exited {
                status: ExitStatus::Signal(signal),
                ..
            } => signal_number(*signal),
            Self::Exited {
                status: ExitStatus::Code(_),
                ..
            }
            | Self::Hello(_)
            | Self::Eof(_)
            | Self::Ack(_)
            | Self::Resume(_)
            | Self::Started { .. }
            | Self::InputClosed { .. }
            | Self::Continued { .. }
            | Self::Quiet { .. } => Ok(()),
        }
    }
}

impl Data {
    fn validate(&self) -> Result<(), WireError> {
        if self.bytes.is_empty() {
            return Err(WireError::PartInvalid {
                part: "the bytes of a stream",
                why: "there are none",
            });
        }
        at_most("the bytes of a stream", self.bytes.len(), CHUNK)
    }
}

impl Message for FileRequest {
    const MAX_FRAME: usize = MAX_FRAME_TO_HOST;

    fn validate(&self) -> Result<(), WireError> {
        match &self.operation {
            FileOperation::Write { bytes, .. } => at_most("the bytes to write", bytes.len(), CHUNK),
            FileOperation::List { after } => at_most("a name", after.len(), MAX_PATH),
            FileOperation::MakeLink { target } => tree::link_target(target),
            FileOperation::Plant { nodes } => tree::plants(nodes),
            FileOperation::Fetch { wants, .. } => tree::wants(wants),
            FileOperation::Stat { .. }
            | FileOperation::Read { .. }
            | FileOperation::Remove { .. }
            | FileOperation::MakeDir { .. }
            | FileOperation::Rename { .. }
            | FileOperation::SetMode { .. }
            | FileOperation::Survey { .. }
            | FileOperation::Nodes { .. } => Ok(()),
        }
    }
}

impl Message for FileReply {
    const MAX_FRAME: usize = MAX_FRAME_TO_HOST;

    fn validate(&self) -> Result<(), WireError> {
        match &self.result {
            Ok(FileAnswer::Done | FileAnswer::Surveyed { .. } | FileAnswer::Nodes(_)) => Ok(()),
            Ok(FileAnswer::Parts(parts)) => tree::parts(parts),
            Ok(FileAnswer::Stat(stat)) => stat.validate(),
            Ok(FileAnswer::Chunk { bytes, stat }) => {
                at_most("the bytes of a file", bytes.len(), CHUNK)?;
                stat.validate()
            }
            Ok(FileAnswer::Entries { entries, .. }) => {
                entries.iter().try_for_each(|entry| entry_name(&entry.name))
            }
            Err(error) => at_most("the text of an error", error.text.len(), MAX_TEXT),
        }
    }
}

impl FileStat {
    fn validate(&self) -> Result<(), WireError> {
        at_most("the target of a link", self.target.len(), MAX_PATH)
    }
}

/// A name that could lead elsewhere would turn a copy out of the sandbox into a write
/// anywhere on the host.
fn entry_name(name: &[u8]) -> Result<(), WireError> {
    at_most("a name", name.len(), MAX_PATH)?;
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
        let why = "it is empty, . or .., or holds a slash or NUL";
        return Err(WireError::PartInvalid {
            part: "a name in a directory",
            why,
        });
    }
    Ok(())
}

fn signal_number(number: u8) -> Result<(), WireError> {
    if (1..=64).contains(&number) {
        Ok(())
    } else {
        Err(WireError::PartInvalid {
            part: "the number of a signal",
            why: "it is not 1 to 64",
        })
    }
}

pub(crate) fn at_most(part: &'static str, found: usize, limit: usize) -> Result<(), WireError> {
    if found <= limit {
        Ok(())
    } else {
        Err(WireError::PartTooLong { part, found, limit })
    }
}
