//! Frames on a control connection.

use stockade_wire::{Decoder, Message, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::error::{Error, Result};

const READ: usize = 16 << 10;

/// The receiving half.
pub(super) struct Receiver<M> {
    half: OwnedReadHalf,
    decoder: Decoder<M>,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl<M: Message> Receiver<M> {
    pub(super) fn new(half: OwnedReadHalf) -> Self {
        Self {
            half,
            decoder: Decoder::new(),
            buffer: vec![0; READ],
            begin: 0,
            end: 0,
        }
    }

    /// Waits for the next message; none at the end. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<M>> {
        loop {
            let mut input = &self.buffer[self.begin..self.end];
            let before = input.len();
            let message = self
                .decoder
                .next(&mut input)
                .map_err(|error| Error::protocol(error.to_string()))?;
            self.begin += before - input.len();
            if message.is_some() {
                return Ok(message);
            }
            let count = self
                .half
                .read(&mut self.buffer)
                .await
                .map_err(|error| lost("reading", &error))?;
            if count == 0 {
                return Ok(None);
            }
            (self.begin, self.end) = (0, count);
        }
    }
}

/// The sending half.
pub(super) struct Sender {
    half: OwnedWriteHalf,
    buffer: Vec<u8>,
}

impl Sender {
    pub(super) fn new(half: OwnedWriteHalf) -> Self {
        Self {
            half,
            buffer: Vec::new(),
        }
    }

    /// Sends a message. Not cancel safe: a frame may be cut off.
    pub(super) async fn send(&mut self, message: &impl Message) -> Result<()> {
        self.buffer.clear();
        encode(message, &mut self.buffer).map_err(|error| Error::protocol(error.to_string()))?;
        self.half
            .write_all(&self.buffer)
            .await
            .map_err(|error| lost("writing", &error))
    }

    /// Sends frames that were made before.
    pub(super) async fn send_frames(&mut self, frames: &[u8]) -> Result<()> {
        self.half
            .write_all(frames)
            .await
            .map_err(|error| lost("writing", &error))
    }
}

fn lost(doing: &str, error: &std::io::Error) -> Error {
    Error::LinkLost {
        why: format!("{doing} the control connection: {error}"),
    }
}
