//! Signals to the supervisor.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};
use crate::sys::is_ignored;

/// What the supervisor was asked for by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGINT: the user wants the command to be interrupted.
    Interrupt,
    /// SIGTERM or SIGHUP: the supervisor shall end, in order.
    End {
        /// The signal.
        signal: i32,
    },
}

/// SIGINT, SIGTERM and SIGHUP, as long as this lives. Whichever the launcher ignored stays
/// ignored (`nohup`).
#[derive(Debug)]
pub struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
}

impl Signals {
    /// Takes the signals over. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn install() -> Result<Self> {
        Ok(Self {
            interrupt: listen(libc::SIGINT)?,
            terminate: listen(libc::SIGTERM)?,
            hang_up: listen(libc::SIGHUP)?,
        })
    }

    /// Waits for the next one. Cancel safe.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            () = received(&mut self.interrupt) => Asked::Interrupt,
            () = received(&mut self.terminate) => Asked::End { signal: libc::SIGTERM },
            () = received(&mut self.hang_up) => Asked::End { signal: libc::SIGHUP },
        }
    }
}

fn listen(number: i32) -> Result<Option<Signal>> {
    if is_ignored(number) {
        return Ok(None);
    }
    signal(SignalKind::from_raw(number))
        .map(Some)
        .map_err(|error| Error::io(format!("listen to signal {number}"), error))
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
