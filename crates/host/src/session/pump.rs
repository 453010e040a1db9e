//! Moves bytes between the core and one link, without ever waiting for only one direction:
//! a guest that does not read is still heard.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Shared;
use super::core::Failure;
use crate::driver::Link;

/// What is read at once, at first: most commands say little.
const FIRST_READ: usize = 8 << 10;
/// And from a guest that has much to say.
const LARGE_READ: usize = 64 << 10;
/// Turns without giving way to others.
const TURNS: u32 = 32;

/// One link with what is on its way.
struct Pump {
    link: Link,
    shared: Arc<Shared>,
    serial: u64,
    out: Vec<u8>,
    written: usize,
    read: Vec<u8>,
}

/// Runs until the link drops, another takes its place, or the session ends.
pub(super) async fn run(link: Link, shared: Arc<Shared>, serial: u64) {
    let mut pump = Pump {
        link,
        shared,
        serial,
        out: Vec::new(),
        written: 0,
        read: vec![0; FIRST_READ],
    };
    let end = poll_fn(|cx| pump.turn(cx)).await;
    let why = match end {
        Ok(()) => "the sandbox closed the connection".to_owned(),
        Err(error) => error.to_string(),
    };
    pump.shared.lock().link_down(serial, &why);
}

impl Pump {
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS {
            {
                let mut core = self.shared.lock();
                if !core.is_current(self.serial) {
                    return Poll::Ready(Ok(()));
                }
                core.watch_pump(cx.waker());
            }
            let wrote = self.write(cx)?;
            let read = match self.read(cx) {
                Poll::Ready(result) => match result? {
                    0 => return Poll::Ready(Ok(())),
                    _ => true,
                },
                Poll::Pending => false,
            };
            if !wrote && !read {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// True if something was written, so that there may be room for more.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.written == self.out.len() {
            self.out.clear();
            self.out.shrink_to(LARGE_READ);
            self.written = 0;
            let mut core = self.shared.lock();
            if let Err(error) = core.fill(&mut self.out) {
                core.fail(Failure::LinkLost(error.to_string()));
                return Err(io::Error::other(error));
            }
        }
        if self.out.is_empty() {
            return Ok(false);
        }
        match Pin::new(&mut self.link).poll_write(cx, &self.out[self.written..]) {
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => {
                self.written += count;
                Ok(true)
            }
            Poll::Ready(Err(error)) => self.write_failed(cx, error),
            Poll::Pending => Ok(false),
        }
    }

    /// What the guest has said before it closed counts, and may be its reason.
    fn write_failed(&mut self, cx: &mut Context<'_>, error: io::Error) -> io::Result<bool> {
        while let Poll::Ready(Ok(count)) = self.read(cx) {
            if count == 0 {
                break;
            }
        }
        Err(error)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(&mut self.read);
        std::task::ready!(Pin::new(&mut self.link).poll_read(cx, &mut buffer))?;
        let count = buffer.filled().len();
        if count == 0 {
            return Poll::Ready(Ok(0));
        }
        self.shared.lock().receive(self.serial, buffer.filled());
        if count == self.read.len() && count < LARGE_READ {
            self.read = vec![0; LARGE_READ];
        }
        Poll::Ready(Ok(count))
    }
}
