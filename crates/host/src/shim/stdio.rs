//! Standard streams as async sources and sinks, without threads and without ever blocking:
//! a reader that is slow or has stopped must not stop the supervisor, whose clock enforces
//! limits.
//!
//! `O_NONBLOCK` is never set on a description that we got: it would change for the launcher
//! and its other children too. Where a stream can be opened again, it is.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::first::Feed;
use super::keys::KeyWatch;
use super::screen::{Rules, Screen};
use crate::logs::LogWriter;
use crate::sys::watch;

/// A pipe or terminal that `poll` calls ready takes at least this much without blocking.
const SURE: usize = 4096;

/// A descriptor of a stream.
#[derive(Debug)]
enum Handle {
    Standard(BorrowedFd<'static>),
    Owned(OwnedFd),
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Standard(fd) => *fd,
            Self::Owned(fd) => fd.as_fd(),
        }
    }
}

/// How a stream is used without blocking.
#[derive(Debug)]
enum Way {
    /// A regular file, or a device that is always ready.
    Plain,
    /// A description of our own with `O_NONBLOCK`.
    Own(AsyncFd<OwnedFd>),
    /// A socket, which can be told with each call.
    Socket(AsyncFd<OwnedFd>),
    /// Something that cannot be opened again: used only when `poll` says that it is ready.
    Polled(AsyncFd<OwnedFd>),
}

/// A stream whose way is found at its first use: many commands write or read nothing.
#[derive(Debug)]
struct Stream {
    handle: Handle,
    direction: Direction,
    way: Option<Way>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

impl Stream {
    fn new(handle: Handle, direction: Direction) -> Self {
        Self {
            handle,
            direction,
            way: None,
        }
    }

    fn find_way(&self) -> std::io::Result<Way> {
        let interest = match self.direction {
            Direction::In => Interest::READABLE,
            Direction::Out => Interest::WRITABLE,
        };
        match FileType::from_raw_mode(fstat(&self.handle)?.st_mode) {
            FileType::RegularFile | FileType::Directory | FileType::BlockDevice => return Ok(Way::Plain),
            FileType::Socket => {
                let same = self.handle.as_fd().try_clone_to_owned()?;
                return Ok(watch(same, interest).map_or(Way::Plain, Way::Socket));
            }
            _ => {}
        }
        if let Ok(own) = self.open_again() {
            // epoll refuses what is always ready (/dev/null): then plain calls are right.
            return Ok(watch(own, interest).map_or(Way::Plain, Way::Own));
        }
        let same = self.handle.as_fd().try_clone_to_owned()?;
        Ok(watch(same, interest).map_or(Way::Plain, Way::Polled))
    }

    fn open_again(&self) -> Result<OwnedFd, Errno> {
        let access = match self.direction {
            Direction::In => OFlags::RDONLY,
            Direction::Out => OFlags::WRONLY,
        };
        let path = format!("/proc/self/fd/{}", self.handle.as_fd().as_raw_fd());
        rustix::fs::open(
            path,
            access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }

    /// Acts when that does not block. Cancel safe.
    async fn when_ready<T>(
        &mut self,
        mut act: impl FnMut(BorrowedFd<'_>, Manner) -> Result<T, Errno>,
    ) -> std::io::Result<T> {
        let direction = self.direction;
        if self.way.is_none() {
            self.way = Some(self.find_way()?);
        }
        match &self.way {
            None | Some(Way::Plain) => Ok(retry(|| act(self.handle.as_fd(), Manner::Plain))?),
            Some(Way::Own(own)) => until_done(own, direction, |fd| retry(|| act(fd, Manner::Plain))).await,
            Some(Way::Socket(watched)) => {
                until_done(watched, direction, |fd| retry(|| act(fd, Manner::Socket))).await
            }
            Some(Way::Polled(watched)) => {
                until_done(watched, direction, |fd| {
                    if is_ready(fd, direction)? {
                        retry(|| act(fd, Manner::Sure))
                    } else {
                        Err(Errno::AGAIN)
                    }
                })
                .await
            }
        }
    }
}

/// How to read or write.
#[derive(Clone, Copy)]
enum Manner {
    /// As it is.
    Plain,
    /// Not to wait is said with the call.
    Socket,
    /// No more than never waits.
    Sure,
}

async fn until_done<T>(
    watched: &AsyncFd<OwnedFd>,
    direction: Direction,
    mut act: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
) -> std::io::Result<T> {
    loop {
        let mut ready = match direction {
            Direction::In => watched.readable().await?,
            Direction::Out => watched.writable().await?,
        };
        match act(watched.get_ref().as_fd()) {
            Err(Errno::AGAIN) => ready.clear_ready(),
            other => return Ok(other?),
        }
    }
}

fn retry<T>(mut act: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match act() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn is_ready(fd: BorrowedFd<'_>, direction: Direction) -> Result<bool, Errno> {
    let flags = match direction {
        Direction::In => PollFlags::IN,
        Direction::Out => PollFlags::OUT,
    };
    let mut fds = [PollFd::new(&fd, flags)];
    Ok(poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )? > 0)
}

/// A source of input.
pub struct Input(Source);

enum Source {
    Stream(Stream),
    Attached(Arc<Feed>),
    Watched(Stream, KeyWatch),
}

impl Input {
    /// Standard input.
    #[must_use]
    pub fn standard() -> Self {
        Self(Source::Stream(Stream::new(
            Handle::Standard(rustix::stdio::stdin()),
            Direction::In,
        )))
    }

    /// Reads from this descriptor.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(Source::Stream(Stream::new(Handle::Owned(fd), Direction::In)))
    }

    /// Standard input up to some keys, which end it.
    pub(super) fn standard_until(keys: KeyWatch) -> Self {
        let stream = Stream::new(Handle::Standard(rustix::stdio::stdin()), Direction::In);
        Self(Source::Watched(stream, keys))
    }

    /// Reads what those who are attached type.
    pub(super) fn from_feed(feed: Arc<Feed>) -> Self {
        Self(Source::Attached(feed))
    }

    /// Waits for bytes; 0 is the end. Losing the terminal (EIO) is the end too. Cancel safe.
    /// Needs a runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.0 {
            Source::Stream(stream) => read_stream(stream, buffer).await,
            Source::Attached(feed) => Ok(feed.read(buffer).await),
            Source::Watched(stream, keys) => loop {
                // What is held back may come with the next byte.
                let space = buffer.len().saturating_sub(keys.held());
                let mut typed = vec![0; space];
                let count = read_stream(stream, &mut typed).await?;
                let passed = keys.pass(&typed[..count]);
                if let Some(place) = buffer.get_mut(..passed.len()) {
                    place.copy_from_slice(&passed);
                }
                if !passed.is_empty() || count == 0 {
                    return Ok(passed.len());
                }
                if keys.matched() {
                    return std::future::pending().await;
                }
            },
        }
    }
}

async fn read_stream(stream: &mut Stream, buffer: &mut [u8]) -> std::io::Result<usize> {
    let result = stream
        .when_ready(|fd, manner| match manner {
            Manner::Plain | Manner::Sure => rustix::io::read(fd, &mut *buffer),
            Manner::Socket => recv(fd, &mut *buffer, RecvFlags::DONTWAIT).map(|(count, _)| count),
        })
        .await;
    match result {
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(0),
        other => other,
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it is written.
    All,
    /// Nobody reads any more.
    Closed,
}

/// A sink for output.
pub struct Output {
    sink: Sink,
    /// A person looks at it.
    screen: Option<Screen>,
}

enum Sink {
    Stream(Stream),
    Log(Arc<LogWriter>, stockade_wire::Stream),
}

impl Output {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::from_handle(Handle::Standard(rustix::stdio::stdout()))
    }

    /// Standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::from_handle(Handle::Standard(rustix::stdio::stderr()))
    }

    /// Writes to this descriptor.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self::from_handle(Handle::Owned(fd))
    }

    fn from_handle(handle: Handle) -> Self {
        Self {
            sink: Sink::Stream(Stream::new(handle, Direction::Out)),
            screen: None,
        }
    }

    /// Keeps it as what came from this stream.
    pub(super) fn to_log(log: Arc<LogWriter>, stream: stockade_wire::Stream) -> Self {
        Self {
            sink: Sink::Log(log, stream),
            screen: None,
        }
    }

    /// Keeps from a terminal what reaches beyond its screen; anything else gets every byte.
    fn guarded(mut self, rules: Option<Rules>) -> Self {
        if let (Sink::Stream(stream), Some(rules)) = (&self.sink, rules)
            && rustix::termios::isatty(&stream.handle)
        {
            self.screen = Some(Screen::new(rules));
        }
        self
    }

    /// Writes all, waiting for room. A reader that has gone is no error. Needs a runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<Written> {
        let shown = self.screen.as_mut().map(|screen| screen.filter(bytes));
        let mut bytes = shown.as_deref().unwrap_or(bytes);
        let stream = match &mut self.sink {
            Sink::Stream(stream) => stream,
            Sink::Log(log, stream) => {
                log.write(*stream, bytes);
                return Ok(Written::All);
            }
        };
        while !bytes.is_empty() {
            let result = stream
                .when_ready(|fd, manner| match manner {
                    Manner::Plain => rustix::io::write(fd, bytes),
                    Manner::Sure => rustix::io::write(fd, bytes.get(..SURE).unwrap_or(bytes)),
                    Manner::Socket => send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
                })
                .await;
            match result {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if is_closed(&error) => return Ok(Written::Closed),
                Err(error) => return Err(error),
            }
        }
        Ok(Written::All)
    }
}

/// The reader of a pipe is gone (EPIPE), the terminal is (EIO), the socket's peer is.
fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        || error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// The three streams of a command, on the host's side.
pub struct Io {
    /// None: it gets no input.
    pub stdin: Option<Input>,
    /// Where its output goes.
    pub stdout: Output,
    /// Where its errors go.
    pub stderr: Output,
}

impl Io {
    /// This process's own. Terminals among them are sent what these rules let pass, or
    /// everything if there are none.
    #[must_use]
    pub fn standard(with_input: bool, screen: Option<Rules>) -> Self {
        Self {
            stdin: with_input.then(Input::standard),
            stdout: Output::stdout().guarded(screen),
            stderr: Output::stderr().guarded(screen),
        }
    }
}
