//! The two ends of one stream of bytes: credit, and resuming after a link dropped.

use std::collections::VecDeque;

use crate::error::WireError;
use crate::limits::{ACK_EVERY, CHUNK, WINDOW};

/// What an empty buffer keeps allocated.
const KEEP_CAPACITY: usize = 4 << 10;

/// The sending end: keeps what the other side has not confirmed, at most a window.
///
/// Offsets only grow: `consumed <= kept_from <= sent <= end of the buffer`.
#[derive(Debug, Default)]
pub struct SendBuffer {
    bytes: VecDeque<u8>,
    /// Offset of the first byte in `bytes`.
    kept_from: u64,
    /// Offset of the next byte to send.
    sent: u64,
    /// What the other side has consumed: it takes a window's length from here.
    consumed: u64,
    /// No more bytes will come.
    finished: bool,
    /// The end was sent on the present link.
    end_sent: bool,
    /// The link is new and the other side has not yet said where to go on.
    held: bool,
}

/// What to send next of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Outgoing<'a> {
    /// Bytes from this offset on: at least one, at most a chunk.
    Data(u64, &'a [u8]),
    /// The end, at this offset.
    Eof(u64),
}

impl SendBuffer {
    /// An empty stream on a live link.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes it takes now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.finished {
            return 0;
        }
        let unconsumed = usize::try_from(self.end().saturating_sub(self.consumed)).unwrap_or(usize::MAX);
        WINDOW.saturating_sub(unconsumed)
    }

    /// Takes as much of `bytes` as there is room for and says how much that was.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.get(..self.room()).unwrap_or(bytes);
        self.bytes.extend(taken);
        taken.len()
    }

    /// No more bytes will come.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// True once [`Self::finish`] was called.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// What to send next, taken as sent.
    pub fn next_outgoing(&mut self) -> Option<Outgoing<'_>> {
        if self.held {
            return None;
        }
        let end = self.end();
        if self.sent == end {
            if !self.finished || self.end_sent {
                return None;
            }
            self.end_sent = true;
            return Some(Outgoing::Eof(end));
        }
        let offset = self.sent;
        let skip = usize::try_from(offset.saturating_sub(self.kept_from)).ok()?;
        let (front, back) = self.bytes.as_slices();
        let rest = match front.get(skip..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => back.get(skip.saturating_sub(front.len())..)?,
        };
        let chunk = rest.get(..CHUNK).unwrap_or(rest);
        self.sent = offset.saturating_add(length(chunk.len()));
        Some(Outgoing::Data(offset, chunk))
    }

    /// True if all bytes and the end were sent on the present link.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.end_sent && self.sent == self.end()
    }

    /// The other side has consumed everything before `offset`.
    ///
    /// # Errors
    /// If that was never sent.
    pub fn ack(&mut self, offset: u64) -> Result<(), WireError> {
        if offset > self.sent {
            return Err(order("a confirmation", offset, self.consumed, self.sent));
        }
        self.consumed = self.consumed.max(offset);
        self.drop_before(offset);
        Ok(())
    }

    /// The link dropped: sends nothing until [`Self::resume`].
    pub fn hold(&mut self) {
        self.held = true;
        self.end_sent = false;
    }

    /// Goes on from where the other side says that it stopped receiving.
    ///
    /// # Errors
    /// If that was never sent or is no longer kept.
    pub fn resume(&mut self, next_offset: u64, consumed_offset: u64) -> Result<(), WireError> {
        if next_offset < self.kept_from || next_offset > self.sent {
            return Err(order("a resumption", next_offset, self.kept_from, self.sent));
        }
        if consumed_offset > next_offset {
            return Err(order(
                "a resumption's confirmation",
                consumed_offset,
                0,
                next_offset,
            ));
        }
        self.consumed = self.consumed.max(consumed_offset);
        self.drop_before(next_offset);
        self.sent = next_offset;
        self.held = false;
        self.end_sent = false;
        Ok(())
    }

    fn end(&self) -> u64 {
        self.kept_from.saturating_add(length(self.bytes.len()))
    }

    fn drop_before(&mut self, offset: u64) {
        let count = usize::try_from(offset.saturating_sub(self.kept_from)).unwrap_or(usize::MAX);
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.kept_from = self.kept_from.saturating_add(length(count));
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEEP_CAPACITY);
        }
    }
}

/// The receiving end: checks order and credit, and says when to confirm.
///
/// Offsets only grow: `acked <= consumed <= received`.
#[derive(Debug, Default)]
pub struct RecvWindow {
    received: u64,
    consumed: u64,
    acked: u64,
    end: Option<u64>,
}

impl RecvWindow {
    /// At the begin of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes have come. The caller has to keep them until it calls [`Self::consume`].
    ///
    /// # Errors
    /// If they are not the next ones, or more than there was room for, or after the end.
    pub fn data(&mut self, offset: u64, count: usize) -> Result<(), WireError> {
        if offset != self.received || self.end.is_some() {
            return Err(order("data", offset, self.received, self.received));
        }
        let limit = self.consumed.saturating_add(length(WINDOW));
        let after = offset.checked_add(length(count)).filter(|after| *after <= limit);
        self.received =
            after.ok_or_else(|| order("the end of data", offset.saturating_add(length(count)), 0, limit))?;
        Ok(())
    }

    /// The end has come. It may come again after a link dropped.
    ///
    /// # Errors
    /// If bytes are missing before it.
    pub fn eof(&mut self, offset: u64) -> Result<(), WireError> {
        if offset != self.received {
            return Err(order("the end", offset, self.received, self.received));
        }
        self.end = Some(offset);
        Ok(())
    }

    /// The receiver has done with this many more bytes.
    pub fn consume(&mut self, count: usize) {
        self.consumed = self.consumed.saturating_add(length(count)).min(self.received);
    }

    /// The offset to confirm, if it is time to.
    pub fn ack_due(&mut self) -> Option<u64> {
        if self.consumed.saturating_sub(self.acked) < length(ACK_EVERY) {
            return None;
        }
        self.acked = self.consumed;
        Some(self.consumed)
    }

    /// What to say on a new link: everything received, everything consumed.
    pub fn position(&mut self) -> (u64, u64) {
        self.acked = self.consumed;
        (self.received, self.consumed)
    }

    /// True once the end has come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.end.is_some()
    }
}

fn order(what: &'static str, found: u64, low: u64, high: u64) -> WireError {
    WireError::Order {
        what,
        found,
        low,
        high,
    }
}

/// A length as an offset; `usize` has at most 64 bits on every target.
fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
