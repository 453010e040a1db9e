//! Frames: messages to bytes and back.

use std::marker::PhantomData;

use postcard::ser_flavors::Flavor;
use serde::{Serialize, Serializer};

use crate::error::WireError;
use crate::exec::{ExecId, Stream};
use crate::limits::LENGTH_PREFIX;
use crate::message::Message;

/// What a decoder keeps allocated between frames; a longer buffer is given back.
const KEEP_CAPACITY: usize = 8 << 10;

/// Position of `Data` in both message enums; a test pins it.
const DATA_VARIANT: u32 = 1;

/// Turns bytes, cut anywhere, into messages. After an error it stays at that error: a
/// stream that lost its frames cannot find them again.
#[derive(Debug)]
pub struct Decoder<M> {
    /// The begin of a frame (its length included) whose end has not come yet.
    partial: Vec<u8>,
    failed: Option<WireError>,
    message: PhantomData<fn() -> M>,
}

impl<M> Default for Decoder<M> {
    fn default() -> Self {
        Self {
            partial: Vec::new(),
            failed: None,
            message: PhantomData,
        }
    }
}

impl<M: Message> Decoder<M> {
    /// At the begin of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `input` up to the end of the next message and returns
    /// it. `None`: all of `input` was taken and the message is not complete. Never keeps
    /// more than one frame, and keeps nothing of what has not arrived.
    ///
    /// # Errors
    /// If the bytes are not a frame or not a valid message.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<M>, WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.take(input);
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.partial = Vec::new();
        }
        result
    }

    /// True if the stream may end here without cutting a message.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.partial.is_empty()
    }

    fn take(&mut self, input: &mut &[u8]) -> Result<Option<M>, WireError> {
        if self.partial.is_empty() {
            // The common case, a frame that arrived in one piece, is decoded where it lies.
            if let Some(end) = frame_end::<M>(input)?
                && let Some((frame, rest)) = input.split_at_checked(end)
            {
                *input = rest;
                return decode(frame).map(Some);
            }
        }
        self.fill_to(LENGTH_PREFIX, input);
        let Some(end) = frame_end::<M>(&self.partial)? else {
            return Ok(None);
        };
        self.fill_to(end, input);
        if self.partial.len() < end {
            return Ok(None);
        }
        let message = decode(&self.partial)?;
        self.partial.clear();
        self.partial.shrink_to(KEEP_CAPACITY);
        Ok(Some(message))
    }

    fn fill_to(&mut self, length: usize, input: &mut &[u8]) {
        let missing = length.saturating_sub(self.partial.len()).min(input.len());
        if let Some((taken, rest)) = input.split_at_checked(missing) {
            self.partial.extend_from_slice(taken);
            *input = rest;
        }
    }
}

/// Length of the frame that begins here, prefix included, if its prefix is complete.
fn frame_end<M: Message>(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(prefix) = bytes.first_chunk::<LENGTH_PREFIX>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > M::MAX_FRAME {
        return Err(WireError::FrameTooLong {
            length,
            limit: M::MAX_FRAME,
        });
    }
    Ok(Some(length.saturating_add(LENGTH_PREFIX)))
}

fn decode<M: Message>(frame: &[u8]) -> Result<M, WireError> {
    let body = frame.get(LENGTH_PREFIX..).unwrap_or_default();
    let (message, rest) = postcard::take_from_bytes::<M>(body).map_err(|cause| WireError::NotAMessage {
        length: body.len(),
        cause,
    })?;
    if !rest.is_empty() {
        return Err(WireError::TrailingBytes { extra: rest.len() });
    }
    message.validate()?;
    Ok(message)
}

/// Appends a message as a frame.
///
/// # Errors
/// If a part of it is beyond its bound; `out` is then as before.
pub fn encode<M: Message>(message: &M, out: &mut Vec<u8>) -> Result<(), WireError> {
    message.validate()?;
    append(message, M::MAX_FRAME, out)
}

/// Appends a [`crate::Data`] message, of either direction, without a copy of its bytes.
///
/// # Errors
/// If the bytes are none or more than a chunk; `out` is then as before.
pub fn encode_data(
    exec: ExecId,
    stream: Stream,
    offset: u64,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    if bytes.is_empty() || bytes.len() > crate::limits::CHUNK {
        let limit = crate::limits::CHUNK;
        return Err(WireError::PartTooLong {
            part: "the bytes of a stream",
            found: bytes.len(),
            limit,
        });
    }
    let data = DataMessage(BorrowedData {
        exec,
        stream,
        offset,
        bytes,
    });
    append(&data, crate::limits::MAX_FRAME_TO_HOST, out)
}

#[derive(Serialize)]
struct BorrowedData<'a> {
    exec: ExecId,
    stream: Stream,
    offset: u64,
    #[serde(with = "serde_bytes")]
    bytes: &'a [u8],
}

struct DataMessage<'a>(BorrowedData<'a>);

impl Serialize for DataMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_variant("Message", DATA_VARIANT, "Data", &self.0)
    }
}

fn append<T: Serialize>(message: &T, limit: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    let result = append_unchecked(message, start, limit, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn append_unchecked<T: Serialize>(
    message: &T,
    start: usize,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    out.extend_from_slice(&[0; LENGTH_PREFIX]);
    postcard::serialize_with_flavor(message, Append(out)).map_err(WireError::NotEncoded)?;
    let body = start.saturating_add(LENGTH_PREFIX);
    let length = out.len().saturating_sub(body);
    if length > limit {
        return Err(WireError::FrameTooLong { length, limit });
    }
    let prefix = u32::try_from(length).map_err(|_| WireError::FrameTooLong { length, limit })?;
    if let Some(place) = out.get_mut(start..body) {
        place.copy_from_slice(&prefix.to_le_bytes());
    }
    Ok(())
}

/// Lets postcard write to the end of a vector that is not its own.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
