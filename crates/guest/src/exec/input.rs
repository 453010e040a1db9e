//! Input of a command on its way from the host.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr};
use stockade_wire::{Data, RecvWindow, WireError};

/// What an empty queue keeps allocated.
const KEEP_CAPACITY: usize = 4 << 10;

/// Standard input: the writing end of a pipe or a terminal, and what it has not taken yet.
pub struct Input {
    fd: Option<OwnedFd>,
    tty: bool,
    queue: VecDeque<u8>,
    window: RecvWindow,
    /// What the terminal got last was the end of a line, or nothing.
    at_line_start: bool,
}

impl Input {
    /// Takes the writing end, which must not block. `None`: whatever comes is lost.
    pub fn new(fd: Option<OwnedFd>, tty: bool) -> Self {
        Self {
            fd,
            tty,
            queue: VecDeque::new(),
            window: RecvWindow::new(),
            at_line_start: true,
        }
    }

    /// True while the command can read more.
    pub fn is_open(&self) -> bool {
        self.fd.is_some()
    }

    /// True once the host has sent the end.
    pub fn is_ended(&self) -> bool {
        self.window.is_ended()
    }

    /// The terminal, while the command has it.
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().filter(|_| self.tty).map(AsFd::as_fd)
    }

    /// The end to wait on, and whether for room (else only for the reader's end).
    pub fn wanted(&self) -> Option<(BorrowedFd<'_>, bool)> {
        // A terminal's end is watched where its output is read.
        let fd = self.fd.as_ref().filter(|_| !self.tty || !self.queue.is_empty())?;
        Some((fd.as_fd(), !self.queue.is_empty()))
    }

    /// Bytes have come.
    pub fn data(&mut self, data: &Data) -> Result<(), WireError> {
        self.window.data(data.offset, data.bytes.len())?;
        self.queue.extend(&data.bytes);
        self.write();
        Ok(())
    }

    /// The end has come.
    pub fn eof(&mut self, offset: u64) -> Result<(), WireError> {
        let again = self.window.is_ended();
        self.window.eof(offset)?;
        if !again {
            self.write();
        }
        Ok(())
    }

    /// Writes as much as the command takes now.
    pub fn write(&mut self) {
        while let Some(fd) = self.fd.as_ref().filter(|_| !self.queue.is_empty()) {
            let (front, _) = self.queue.as_slices();
            match rustix::io::write(fd, front) {
                Ok(0) | Err(Errno::AGAIN) => return,
                Ok(count) => self.took(count),
                Err(Errno::INTR) => {}
                Err(_) => self.close(),
            }
        }
        if self.fd.is_none() {
            self.took(self.queue.len());
        } else if self.window.is_ended() {
            self.finish();
        }
    }

    fn took(&mut self, count: usize) {
        let last = count.checked_sub(1).and_then(|last| self.queue.get(last));
        self.at_line_start = last.map_or(self.at_line_start, |byte| *byte == b'\n');
        self.queue.drain(..count.min(self.queue.len()));
        self.window.consume(count);
        if self.queue.is_empty() {
            self.queue.shrink_to(KEEP_CAPACITY);
        }
    }

    /// A pipe ends when it is closed. A terminal cannot be half-closed: its end is a
    /// character, which counts only at the start of a line; elsewhere the first one just
    /// hands over the line so far.
    fn finish(&mut self) {
        if !self.tty {
            self.fd = None;
            return;
        }
        let Some(settings) = self.fd.as_ref().and_then(|fd| tcgetattr(fd).ok()) else {
            return;
        };
        if !settings.local_modes.contains(LocalModes::ICANON) {
            return;
        }
        let end = settings.special_codes[SpecialCodeIndex::VEOF];
        let count = if self.at_line_start { 1 } else { 2 };
        if let (Some(fd), Some(ends)) = (&self.fd, [end, end].get(..count)) {
            // A terminal that takes no byte now is one whose reader does not read.
            let _ = rustix::io::write(fd, ends);
        }
    }

    /// The reader is gone: what is queued and what comes is lost.
    pub fn close(&mut self) {
        self.fd = None;
        self.took(self.queue.len());
    }

    /// The offset to confirm, if it is time to.
    pub fn ack_due(&mut self) -> Option<u64> {
        self.window.ack_due()
    }

    /// Where the stream goes on on a new link.
    pub fn position(&mut self) -> (u64, u64) {
        self.window.position()
    }
}
