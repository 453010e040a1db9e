//! Output of a command on its way to the host.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use stockade_wire::limits::CHUNK;
use stockade_wire::{Eof, ExecId, Outgoing, SendBuffer, Stream, ToGuest, ToHost};

use crate::channel::Channel;

/// After the command ended: silence this long from others that hold its output ends it.
const IDLE_GRACE: Duration = Duration::from_millis(100);

/// After the command ended: others that hold its output have this long at most.
const TOTAL_GRACE: Duration = Duration::from_secs(1);

/// One output stream: a pipe or terminal, and what was read and not yet confirmed.
pub struct Output {
    fd: Option<OwnedFd>,
    stream: Stream,
    pub buffer: SendBuffer,
    drain: Option<Drain>,
}

/// What is still read after the command ended.
struct Drain {
    /// Bytes that were there at its end: they are the command's, and owed.
    owed: u64,
    idle_until: Instant,
    give_up: Instant,
}

impl Output {
    /// Takes the reading end, which must not block.
    pub fn new(fd: OwnedFd, stream: Stream) -> Self {
        Self {
            fd: Some(fd),
            stream,
            buffer: SendBuffer::new(),
            drain: None,
        }
    }

    /// Which stream of the command this is.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// The end to wait for, while there is room for what it gives. A reader that is slow
    /// thus slows the command down, never the guest.
    pub fn wanted(&self) -> Option<BorrowedFd<'_>> {
        self.fd
            .as_ref()
            .filter(|_| self.buffer.room() > 0)
            .map(AsFd::as_fd)
    }

    /// Reads once what is there. True if something came.
    pub fn read(&mut self, scratch: &mut [u8], now: Instant) -> bool {
        let Some(fd) = &self.fd else { return false };
        let most = self.buffer.room().min(CHUNK).min(scratch.len());
        let Some(space) = scratch.get_mut(..most).filter(|space| !space.is_empty()) else {
            return false;
        };
        match rustix::io::read(fd, &mut *space) {
            Ok(count) if count > 0 => {
                self.buffer.push(space.get(..count).unwrap_or_default());
                if let Some(drain) = &mut self.drain {
                    drain.owed = drain
                        .owed
                        .saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
                    drain.idle_until = now + IDLE_GRACE;
                }
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => false,
            // The end; a terminal without any holder says EIO.
            Ok(_) | Err(_) => {
                self.close();
                false
            }
        }
    }

    /// The command ended: reads what it left, and sets a bound for others that hold the
    /// other end.
    pub fn drain(&mut self, scratch: &mut [u8], now: Instant) {
        let Some(fd) = &self.fd else { return };
        let owed = rustix::io::ioctl_fionread(fd).unwrap_or(0);
        self.drain = Some(Drain {
            owed,
            idle_until: now + IDLE_GRACE,
            give_up: now + TOTAL_GRACE,
        });
        while self.read(scratch, now) {}
    }

    /// When [`Self::expire`] is due. While the host is slow, time does not count.
    pub fn deadline(&self) -> Option<Instant> {
        self.wanted()?;
        let drain = self.drain.as_ref().filter(|drain| drain.owed == 0)?;
        Some(drain.idle_until.min(drain.give_up))
    }

    /// Ends the stream if its time is over.
    pub fn expire(&mut self, scratch: &mut [u8], now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            // What came while the host was slow is older than the deadline.
            self.read(scratch, now);
            if self.deadline().is_some_and(|deadline| deadline <= now) {
                self.close();
            }
        }
    }

    /// Ends the stream here.
    pub fn close(&mut self) {
        self.fd = None;
        self.buffer.finish();
    }

    /// Queues one part, or the end. True if there was one.
    pub fn pump(&mut self, exec: ExecId, link: &mut Channel<ToGuest>) -> bool {
        match self.buffer.next_outgoing() {
            Some(Outgoing::Data(offset, bytes)) => link.queue_data(exec, self.stream, offset, bytes),
            Some(Outgoing::Eof(offset)) => link.queue(&ToHost::Eof(Eof {
                exec,
                stream: self.stream,
                offset,
            })),
            None => return false,
        }
        true
    }
}
