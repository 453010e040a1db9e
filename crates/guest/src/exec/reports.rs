//! What the processes that the guest forks say before and beside the program: messages to
//! the host, in the same frames.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use stockade_wire::limits::MAX_TEXT;
use stockade_wire::{Decoder, ExecFailure, ExecId, FailureKind, ToHost, encode};

/// The reading end of a pipe of reports.
pub struct Reports {
    fd: OwnedFd,
    decoder: Decoder<ToHost>,
}

impl Reports {
    /// Takes the reading end.
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            decoder: Decoder::new(),
        }
    }

    /// The end to wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Reads until nothing is there. The second value is false after the end.
    pub fn read(&mut self, scratch: &mut [u8]) -> (Vec<ToHost>, bool) {
        let mut reports = Vec::new();
        loop {
            match rustix::io::read(&self.fd, &mut *scratch) {
                Ok(0) => return (reports, false),
                Ok(count) => {
                    let mut input = scratch.get(..count).unwrap_or_default();
                    while let Ok(Some(report)) = self.decoder.next(&mut input) {
                        reports.push(report);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return (reports, true),
                Err(_) => return (reports, false),
            }
        }
    }
}

/// Writes a report. It is shorter than what a pipe takes in one piece, and the guest always
/// reads, so it is written whole.
pub fn report(fd: BorrowedFd<'_>, message: &ToHost) {
    let mut frame = Vec::new();
    if encode(message, &mut frame).is_ok() {
        // A guest that is gone takes this process along.
        let _ = rustix::io::write(fd, &frame);
    }
}

/// A failure with a text of bounded length.
pub fn failure(exec: ExecId, kind: FailureKind, errno: Option<i32>, text: impl Into<String>) -> ExecFailure {
    ExecFailure {
        exec,
        kind,
        errno: errno.unwrap_or(0),
        text: crate::text::bounded(text.into(), MAX_TEXT),
    }
}
