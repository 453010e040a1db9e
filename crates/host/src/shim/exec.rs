//! A command in a sandbox of another shim, from another terminal: the client's part.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::jobs::stop_here;
use super::keys::{KeyWatch, Keys};
use super::process::{Process, ProcessControl};
use super::pump::{self, Meter, PumpEnd, RunEvent};
use super::signals::{Asked, Signals};
use super::stdio::{Input, Io};
use crate::control::{Client, ExecOutcome, RemoteEnd, RemoteExec};
use crate::error::{Error, Result};
use crate::session::Command;
use stockade_domain::Exit;
use stockade_wire::WindowSize;
use tokio::sync::{Notify, mpsc};

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;
const SIGPIPE: i32 = 13;

/// What a terminal tells the command that runs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// It has another size.
    Resize(WindowSize),
    /// A signal for the command's process group.
    Signal(u8),
}

/// Runs a command in a sandbox that another shim supervises, with these streams. SIGINT and SIGTERM go to the command; asked twice,
/// it is left and so killed.
///
/// # Errors
/// [`Error::Command`] if it could not be started, and [`Error::LinkLost`] if the supervisor
/// ended without a word.
pub async fn run_exec(
    client: Client,
    command: &Command,
    io: Io,
    mut told: mpsc::UnboundedReceiver<Tell>,
    on_event: impl FnMut(RunEvent) + Send,
) -> Result<ExecOutcome> {
    let mut signals = Signals::install()?;
    let started = Instant::now();
    let exec = client.exec(command)?;
    let control = exec.control();
    let meter = Meter::new(None);
    let mut pump = Box::pin(pump::run(exec, io, &meter, on_event));
    let mut asked_before = false;
    loop {
        tokio::select! {
            biased;
            end = pump.as_mut() => {
                let RemoteEnd { exit, oom_kills } = match end? {
                    PumpEnd::Exited(end) => end,
                    PumpEnd::Deaf | PumpEnd::OutputLimit => Exit::Signal(SIGPIPE).into(),
                };
                return Ok(ExecOutcome { exit, oom_kills, duration: started.elapsed() });
            }
            asked = signals.next() => {
                if asked_before {
                    return Ok(ExecOutcome { exit: Exit::Killed, oom_kills: None, duration: started.elapsed() });
                }
                asked_before = true;
                control.signal(match asked { Asked::Interrupt => SIGINT, Asked::End { .. } => SIGTERM }, true)?;
            }
            Some(tell) = told.recv() => match tell {
                Tell::Resize(size) => control.resize(size)?,
                Tell::Signal(number) => control.signal(number, true)?,
            },
        }
    }
}

/// How being attached ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachEnd {
    /// The command ended.
    Exited(Exit),
    /// The command goes on; its output can be had from here later.
    Detached {
        /// Bytes of its output that were shown, or came before.
        offset: u64,
    },
}

/// Shows the output of a command that is attached to, and passes on what is typed, up to
/// `keys` where there are any. Signals end only this.
///
/// # Errors
/// [`Error::LinkLost`] if the supervisor ended without a word.
pub async fn run_attached(
    exec: RemoteExec,
    mut io: Io,
    keys: Option<Keys>,
    mut told: mpsc::UnboundedReceiver<Tell>,
    on_event: impl FnMut(RunEvent) + Send,
) -> Result<AttachEnd> {
    let mut signals = Signals::install()?;
    let left = Arc::new(Notify::new());
    if let (Some(keys), true) = (keys, io.stdin.is_some()) {
        io.stdin = Some(Input::standard_until(KeyWatch::new(keys, Arc::clone(&left))));
    }
    let control = exec.control();
    let offset = exec.offset();
    let meter = Meter::new(None);
    let mut pump = Box::pin(pump::run(exec, io, &meter, on_event));
    let detached = || AttachEnd::Detached {
        offset: offset.load(Ordering::Relaxed),
    };
    loop {
        tokio::select! {
            biased;
            end = pump.as_mut() => return match end {
                Ok(PumpEnd::Exited(end)) => Ok(AttachEnd::Exited(end.exit)),
                // Nobody reads here any more; the command goes on.
                Ok(PumpEnd::Deaf | PumpEnd::OutputLimit) | Err(Error::Cancelled { .. }) => Ok(detached()),
                Err(error) => Err(error),
            },
            () = left.notified() => return Ok(detached()),
            _ = signals.next() => return Ok(detached()),
            Some(tell) = told.recv() => match tell {
                Tell::Resize(size) => control.resize(size)?,
                // This job stops alone.
                Tell::Signal(_) => stop_here(false),
            },
        }
    }
}
