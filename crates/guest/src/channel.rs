//! One end of a stream that carries frames, without ever waiting for the other end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use stockade_wire::{Decoder, ExecId, Message, Stream, encode, encode_data};

/// What an idle output buffer keeps allocated.
const KEEP_CAPACITY: usize = 64 << 10;

/// The stream ended, failed or carried what is no message: it is of no more use.
#[derive(Debug)]
pub struct Broken;

/// A stream on which `In` messages come.
pub struct Channel<In> {
    fd: OwnedFd,
    decoder: Decoder<In>,
    out: Vec<u8>,
    /// How much of `out` was written.
    written: usize,
}

impl<In: Message> Channel<In> {
    /// Takes a connected stream.
    pub fn new(fd: OwnedFd) -> rustix::io::Result<Self> {
        set_nonblocking(fd.as_fd())?;
        Ok(Self {
            fd,
            decoder: Decoder::new(),
            out: Vec::new(),
            written: 0,
        })
    }

    /// Puts a message in the queue. One that breaks a bound of the protocol is dropped:
    /// the callers keep the bounds, and the guest must live.
    pub fn queue(&mut self, message: &impl Message) {
        let _ = encode(message, &mut self.out);
    }

    /// Puts a part of a stream in the queue.
    pub fn queue_data(&mut self, exec: ExecId, stream: Stream, offset: u64, bytes: &[u8]) {
        let _ = encode_data(exec, stream, offset, bytes, &mut self.out);
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.out.len().saturating_sub(self.written)
    }

    /// Writes as much as the other end takes now.
    pub fn flush(&mut self) -> Result<(), Broken> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&self.fd, rest) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(count) => self.written = self.written.saturating_add(count),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken),
            }
        }
        self.out.clear();
        self.out.shrink_to(KEEP_CAPACITY);
        self.written = 0;
        Ok(())
    }

    /// Reads what is there, once, and gives the messages that are complete.
    pub fn receive(&mut self, scratch: &mut [u8]) -> Result<Vec<In>, Broken> {
        let count = match rustix::io::read(&self.fd, &mut *scratch) {
            Ok(0) => return Err(Broken),
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Vec::new()),
            Err(_) => return Err(Broken),
        };
        let mut input = scratch.get(..count).unwrap_or_default();
        let mut messages = Vec::new();
        while let Some(message) = self.decoder.next(&mut input).map_err(|_| Broken)? {
            messages.push(message);
        }
        Ok(messages)
    }

    /// What to wait for: bytes if `reading`, and room if something is queued.
    pub fn interest(&self, reading: bool) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, reading);
        flags.set(PollFlags::OUT, self.queued() > 0);
        flags
    }
}

impl<In> AsFd for Channel<In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Reads and writes on this open file never wait.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)
}
