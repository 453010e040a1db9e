//! The supervisor as a job of the user's shell: Ctrl-Z stops what is inside along with it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Error, Result};
use crate::sys;

/// SIGTSTP (Ctrl-Z), taken over for as long as this lives. A process that stopped at once
/// would leave its sandbox running, without anybody who enforces its limits.
#[derive(Debug)]
pub struct StopRequests(Signal);

impl StopRequests {
    /// Takes the signal over; not if the launcher ignored it. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn install() -> Result<Option<Self>> {
        if sys::is_ignored(libc::SIGTSTP) {
            return Ok(None);
        }
        signal(SignalKind::from_raw(libc::SIGTSTP))
            .map(|signal| Some(Self(signal)))
            .map_err(|error| Error::io("listen to SIGTSTP", error))
    }

    /// Waits for the next one. Cancel safe.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Stops this process, or its whole process group, as Ctrl-Z would have. Returns when the
/// shell continues it, and at once where there is no shell that could (an orphaned group).
pub fn stop_here(whole_group: bool) {
    sys::with_default_action(libc::SIGTSTP, || {
        let signal = rustix::process::Signal::TSTP;
        // What cannot be stopped goes on.
        let _ = if whole_group {
            rustix::process::kill_current_process_group(signal)
        } else {
            rustix::process::kill_process(rustix::process::getpid(), signal)
        };
    });
}
