//! A further command, from another terminal: the client's part of a shim.

use std::time::Instant;

use super::process::{Process, ProcessControl};
use super::pump::{self, Meter, PumpEnd, RunEvent};
use super::signals::{Asked, Signals};
use super::stdio::Io;
use crate::control::{Client, ExecOutcome};
use crate::error::Result;
use crate::session::Command;
use stockade_domain::Exit;
use stockade_wire::WindowSize;
use tokio::sync::mpsc;

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
                let exit = match end? {
                    PumpEnd::Exited(exit) => exit,
                    PumpEnd::Deaf | PumpEnd::OutputLimit => Exit::Signal(SIGPIPE),
                };
                return Ok(ExecOutcome { exit, duration: started.elapsed() });
            }
            asked = signals.next() => {
                if asked_before {
                    return Ok(ExecOutcome { exit: Exit::Killed, duration: started.elapsed() });
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
