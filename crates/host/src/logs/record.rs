//! One piece of output, as it is kept.

use serde::{Deserialize, Serialize};
use stockade_wire::limits::CHUNK;
use stockade_wire::{Message, Stream, WireError};

/// Bytes of a record beside its content, at most.
const FRAME: usize = 64;

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When it came, in milliseconds since 1970: for people.
    pub at_ms: u64,
    /// Bytes of both streams that came before it. A jump is a gap.
    pub offset: u64,
    /// Standard output or error.
    pub stream: Stream,
    /// The bytes, at most a chunk.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl LogRecord {
    /// The offset after it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset
            .saturating_add(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }

    /// What of it lies at or after an offset; none if nothing does.
    #[must_use]
    pub fn after(mut self, offset: u64) -> Option<Self> {
        if self.end() <= offset {
            return None;
        }
        let skip = usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if skip > 0 {
            self.bytes.drain(..skip.min(self.bytes.len()));
            self.offset = offset;
        }
        Some(self)
    }
}

impl Message for LogRecord {
    const MAX_FRAME: usize = CHUNK + FRAME;

    fn validate(&self) -> Result<(), WireError> {
        if self.bytes.len() > CHUNK {
            return Err(WireError::PartTooLong {
                part: "the output",
                found: self.bytes.len(),
                limit: CHUNK,
            });
        }
        Ok(())
    }
}
