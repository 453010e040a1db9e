//! What can be wrong with bytes from the other side.

use crate::exec::{ExecId, Stream};

/// The other side broke the protocol, or speaks another version of it. The link is of no
/// more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The length of a frame is beyond the bound.
    #[error(
        "a frame of {length} bytes was announced, but at most {limit} are allowed: the other side is not Stockade, or is broken"
    )]
    FrameTooLong {
        /// Bytes that were announced or would be needed.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// The bytes of a frame are no message.
    #[error("a frame of {length} bytes is not a message of this protocol version: {cause}")]
    NotAMessage {
        /// Bytes of the frame.
        length: usize,
        /// What the decoder said.
        cause: postcard::Error,
    },
    /// A message ended before its frame did.
    #[error("a message left {extra} bytes of its frame unused")]
    TrailingBytes {
        /// Bytes that were left.
        extra: usize,
    },
    /// A part of a message is beyond its bound.
    #[error("{part} of a message has {found}, but at most {limit} are allowed")]
    PartTooLong {
        /// Which part.
        part: &'static str,
        /// What was found.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// A part of a message has a value that has no meaning.
    #[error("{part} of a message is not valid: {why}")]
    PartInvalid {
        /// Which part.
        part: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A message could not be put into bytes.
    #[error("a message could not be encoded: {0}")]
    NotEncoded(postcard::Error),
    /// The other side speaks another version.
    #[error(
        "this program speaks protocol version {ours} and the other side {theirs}: use the same release of Stockade on both"
    )]
    Version {
        /// Ours.
        ours: u32,
        /// Theirs.
        theirs: u32,
    },
    /// The first message was not a greeting, or a second one came.
    #[error("the greeting did not come exactly once and first")]
    Greeting,
    /// An offset breaks the order of a stream.
    #[error("a stream went out of order: {what} at offset {found}, expected {low} to {high}")]
    Order {
        /// Which kind of message.
        what: &'static str,
        /// The offset it had.
        found: u64,
        /// Lowest valid offset.
        low: u64,
        /// Highest valid offset.
        high: u64,
    },
    /// A message names a stream that does not flow in its direction.
    #[error("command {} has no stream {stream:?} in this direction", exec.0)]
    Direction {
        /// The command.
        exec: ExecId,
        /// The stream.
        stream: Stream,
    },
}
