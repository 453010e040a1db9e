//! One command, for its users.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use stockade_wire::{ExecFailure, ExecId, ExitStatus, FailureKind, Stream, ToGuest, WindowSize};

use super::Shared;
use super::core::Core;
use super::execs::{ExecState, Progress};
use crate::error::{CommandFailure, Error, Result};

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent<E = ExitStatus> {
    /// It runs.
    Started {
        /// Its number inside.
        pid: u32,
    },
    /// It wrote something.
    Output {
        /// Where.
        stream: Stream,
        /// What; at most a window.
        bytes: Vec<u8>,
    },
    /// A signal stopped it (Ctrl-Z).
    Stopped {
        /// The signal.
        signal: u8,
    },
    /// It runs again.
    Continued,
    /// It ended, after all of its output.
    Exited(E),
}

/// A command. Dropping it kills the command and forgets it.
pub struct Exec {
    shared: Arc<Shared>,
    id: ExecId,
    name: String,
}

/// The writing end of a command's standard input.
pub struct ExecInput {
    shared: Arc<Shared>,
    id: ExecId,
}

/// Signals and window sizes for a command.
#[derive(Clone)]
pub struct ExecControl {
    shared: Arc<Shared>,
    id: ExecId,
}

impl Exec {
    pub(super) fn new(shared: Arc<Shared>, id: ExecId, name: String) -> Self {
        Self { shared, id, name }
    }

    /// Its number in the session.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.id.0
    }

    /// The writing end of its standard input.
    #[must_use]
    pub fn input(&self) -> ExecInput {
        ExecInput {
            shared: Arc::clone(&self.shared),
            id: self.id,
        }
    }

    /// Signals and window sizes for it.
    #[must_use]
    pub fn control(&self) -> ExecControl {
        ExecControl {
            shared: Arc::clone(&self.shared),
            id: self.id,
        }
    }

    /// Waits for what it does next. After [`ExecEvent::Exited`] that comes again and again.
    /// Cancel safe. While the link is down it waits for another.
    ///
    /// # Errors
    /// [`Error::Command`] if it could not be started, and why the session ended.
    pub async fn next(&mut self) -> Result<ExecEvent> {
        poll_fn(|cx| {
            let mut core = self.shared.lock();
            if let Some(event) = core.exec(self.id).and_then(next_event) {
                if matches!(event, Ok(ExecEvent::Output { .. })) {
                    // It may be time to confirm.
                    core.wake_pump();
                }
                return Poll::Ready(event.map_err(|failure| start_error(failure, &self.name)));
            }
            if let Err(error) = core.check() {
                return Poll::Ready(Err(error));
            }
            if let Some(exec) = core.exec(self.id) {
                exec.events_waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        self.shared.lock().forget(self.id);
    }
}

/// What its user was not told yet, in the order in which it happened as far as that matters.
fn next_event(exec: &mut ExecState) -> Option<Result<ExecEvent, ExecFailure>> {
    if let Some(pid) = exec.pid
        && exec.told_started.is_none()
    {
        exec.told_started = Some(pid);
        return Some(Ok(ExecEvent::Started { pid }));
    }
    for output in &mut exec.outputs {
        if let Some(bytes) = output.take() {
            return Some(Ok(ExecEvent::Output {
                stream: output.stream,
                bytes,
            }));
        }
    }
    match (exec.stopped, exec.told_stopped) {
        (Some(signal), false) => {
            exec.told_stopped = true;
            return Some(Ok(ExecEvent::Stopped { signal }));
        }
        (None, true) => {
            exec.told_stopped = false;
            return Some(Ok(ExecEvent::Continued));
        }
        _ => {}
    }
    match &exec.progress {
        Progress::Exited(status) => Some(Ok(ExecEvent::Exited(*status))),
        Progress::Failed(failure) => Some(Err(failure.clone())),
        Progress::Asked(_) | Progress::Started => None,
    }
}

fn start_error(failure: ExecFailure, name: &str) -> Error {
    let kind = match failure.kind {
        FailureKind::NotFound => CommandFailure::NotFound,
        FailureKind::NotExecutable => CommandFailure::NotExecutable,
        FailureKind::BadCwd => CommandFailure::BadDirectory,
        FailureKind::Refused => CommandFailure::Refused,
        FailureKind::Other => CommandFailure::Other,
    };
    Error::Command {
        kind,
        command: name.to_owned(),
        text: failure.text,
        remedy: None,
    }
}

impl ExecInput {
    /// Waits for room. False: the command reads no more.
    ///
    /// # Errors
    /// Why the session ended.
    pub async fn ready(&self) -> Result<bool> {
        poll_fn(|cx| {
            let mut core = self.shared.lock();
            core.check()?;
            let Some(exec) = core.exec(self.id) else {
                return Poll::Ready(Ok(false));
            };
            match room(exec) {
                None => Poll::Ready(Ok(false)),
                Some(0) => {
                    exec.room_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                Some(_) => Poll::Ready(Ok(true)),
            }
        })
        .await
    }

    /// How much can be pushed now; none if the command reads no more.
    #[must_use]
    pub fn room(&self) -> Option<usize> {
        room(self.shared.lock().exec(self.id)?)
    }

    /// Waits until the command reads no more, or the session has ended.
    pub async fn closed(&self) {
        poll_fn(|cx| {
            let mut core = self.shared.lock();
            if core.check().is_err() {
                return Poll::Ready(());
            }
            match core.exec(self.id) {
                Some(exec) if !exec.input_closed && !exec.is_over() && exec.input.is_some() => {
                    exec.room_waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Takes as much as there is room for and says how much that was.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.change(|input| input.push(bytes)).unwrap_or(0)
    }

    /// Writes all. False: the command reads no more.
    ///
    /// # Errors
    /// Why the session ended.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<bool> {
        while !bytes.is_empty() {
            if !self.ready().await? {
                return Ok(false);
            }
            bytes = &bytes[self.push(bytes)..];
        }
        Ok(true)
    }

    /// The input ends here.
    pub fn finish(&mut self) {
        self.change(stockade_wire::SendBuffer::finish);
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut stockade_wire::SendBuffer) -> T) -> Option<T> {
        let mut core = self.shared.lock();
        let exec: &mut ExecState = core.exec(self.id)?;
        let changed = exec.input.as_mut().map(change);
        core.wake_pump();
        changed
    }
}

fn room(exec: &ExecState) -> Option<usize> {
    if exec.input_closed || exec.is_over() {
        return None;
    }
    exec.input
        .as_ref()
        .filter(|input| !input.is_finished())
        .map(stockade_wire::SendBuffer::room)
}

impl ExecControl {
    /// Sends a signal to the command, or to its whole process group. What is sent while the
    /// link is down may be lost.
    ///
    /// # Errors
    /// [`Error::Busy`] if too much waits to be said already, or why the session ended.
    pub fn signal(&self, number: u8, whole_group: bool) -> Result<()> {
        if !(1..=64).contains(&number) {
            return Err(Error::Busy {
                what: "send a signal".to_owned(),
                why: format!("{number} is not 1 to 64"),
            });
        }
        self.say(ToGuest::Signal {
            exec: self.id,
            number,
            whole_group,
        })
    }

    /// The user's terminal has another size.
    ///
    /// # Errors
    /// As [`Self::signal`].
    pub fn resize(&self, size: WindowSize) -> Result<()> {
        self.say(ToGuest::Resize { exec: self.id, size })
    }

    fn say(&self, message: ToGuest) -> Result<()> {
        let mut core: std::sync::MutexGuard<'_, Core> = self.shared.lock();
        core.check()?;
        // A command that has ended has nobody to tell.
        if core.exec(self.id).is_none_or(|exec| exec.is_over()) || core.say(message) {
            return Ok(());
        }
        Err(Error::Busy {
            what: "speak to the sandbox".to_owned(),
            why: "it does not listen".to_owned(),
        })
    }
}
