//! Moves a command's streams to and from this process's own.

use std::sync::atomic::{AtomicU64, Ordering};

use stockade_wire::Stream;
use tokio::sync::Notify;

use super::process::{Process, ProcessControl, ProcessInput};
use super::stdio::{Input, Io, Output, Written};
use crate::error::{Error, Result};
use crate::session::ExecEvent;

/// What is read from standard input at once, at first and from one that has much.
const FIRST_READ: usize = 8 << 10;
const LARGE_READ: usize = 64 << 10;
/// What a command may go on writing to a reader that has gone, after SIGPIPE.
const DEAF_BYTES: u64 = 1 << 20;
const SIGPIPE: u8 = 13;

/// What a foreground command does that its terminal has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEvent {
    /// It runs.
    Started {
        /// Its number inside.
        pid: u32,
    },
    /// A signal stopped it (Ctrl-Z).
    Stopped {
        /// The signal.
        signal: u8,
    },
    /// It runs again.
    Continued,
    /// The sandbox has no first command: it stands, and waits for others.
    Waiting,
}

/// Why the pump stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PumpEnd<E> {
    /// The command ended, and all of its output is written.
    Exited(E),
    /// It wrote more than allowed.
    OutputLimit,
    /// Nobody reads its output, and it goes on writing all the same.
    Deaf,
}

/// Counts output, against a limit if there is one.
#[derive(Debug)]
pub(crate) struct Meter {
    written: AtomicU64,
    limit: u64,
}

impl Meter {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self {
            written: AtomicU64::new(0),
            limit: limit.unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The part of `bytes` that is still within the limit.
    fn allowed<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let before = self.written.fetch_add(count, Ordering::Relaxed);
        let left = usize::try_from(self.limit.saturating_sub(before)).unwrap_or(usize::MAX);
        bytes.get(..left).unwrap_or(bytes)
    }
}

/// Runs until the command has ended and its output is written.
pub(crate) async fn run<P: Process>(
    mut process: P,
    io: Io,
    meter: &Meter,
    mut on_event: impl FnMut(RunEvent) + Send,
) -> Result<PumpEnd<P::End>> {
    let started = Notify::new();
    let Io {
        stdin,
        stdout,
        stderr,
    } = io;
    let mut input = process.input();
    let feeding = async {
        let Some(stdin) = stdin else { return Ok(()) };
        // A command that does not start takes nothing from its launcher.
        started.notified().await;
        feed(stdin, &mut input).await
    };
    let mut sinks = Sinks {
        stdout,
        stderr,
        deaf_bytes: 0,
        is_deaf: false,
    };
    let control = process.control();
    let draining = async {
        loop {
            match process.next().await? {
                ExecEvent::Started { pid } => {
                    started.notify_one();
                    on_event(RunEvent::Started { pid });
                }
                ExecEvent::Output { stream, bytes } => {
                    if let Some(end) = sinks.write(stream, &bytes, meter, &control).await? {
                        return Ok(end);
                    }
                }
                ExecEvent::Stopped { signal } => on_event(RunEvent::Stopped { signal }),
                ExecEvent::Continued => on_event(RunEvent::Continued),
                ExecEvent::Exited(end) => return Ok(PumpEnd::Exited(end)),
            }
        }
    };
    tokio::pin!(feeding, draining);
    let mut fed = false;
    loop {
        tokio::select! {
            biased;
            end = &mut draining => return end,
            result = &mut feeding, if !fed => {
                result?;
                fed = true;
            }
        }
    }
}

async fn feed(mut stdin: Input, input: &mut impl ProcessInput) -> Result<()> {
    let mut buffer = vec![0; FIRST_READ];
    loop {
        if !input.ready().await? {
            return Ok(());
        }
        // Never more than there is room for: what was read and not sent would be lost to
        // others who share our input.
        let room = input.room().min(buffer.len());
        let count = tokio::select! {
            biased;
            () = input.closed() => return Ok(()),
            result = stdin.read(&mut buffer[..room]) => result.map_err(|error| Error::io("read standard input", error))?,
        };
        if count == 0 {
            input.finish();
            return Ok(());
        }
        input.push(&buffer[..count]);
        if count == buffer.len() && count < LARGE_READ {
            buffer = vec![0; LARGE_READ];
        }
        // A source that is always ready (a file) must not keep the others waiting.
        tokio::task::yield_now().await;
    }
}

/// Where output goes.
struct Sinks {
    stdout: Output,
    stderr: Output,
    is_deaf: bool,
    deaf_bytes: u64,
}

impl Sinks {
    async fn write<E>(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        meter: &Meter,
        control: &impl ProcessControl,
    ) -> Result<Option<PumpEnd<E>>> {
        let allowed = meter.allowed(bytes);
        let (sink, what) = match stream {
            Stream::Stderr => (&mut self.stderr, "write standard error"),
            Stream::Stdout | Stream::Stdin => (&mut self.stdout, "write standard output"),
        };
        if self.is_deaf {
            self.deaf_bytes = self
                .deaf_bytes
                .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        } else if sink
            .write_all(allowed)
            .await
            .map_err(|error| Error::io(what, error))?
            == Written::Closed
        {
            self.is_deaf = true;
            // What the kernel does to who writes to a pipe without a reader.
            control.signal(SIGPIPE, true)?;
        }
        if allowed.len() < bytes.len() {
            return Ok(Some(PumpEnd::OutputLimit));
        }
        Ok((self.deaf_bytes > DEAF_BYTES).then_some(PumpEnd::Deaf))
    }
}
