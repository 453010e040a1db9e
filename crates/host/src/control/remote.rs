//! A command in another shim's sandbox, for its user.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use stockade_domain::Exit;
use stockade_wire::limits::CHUNK;
use stockade_wire::{WindowSize, encode};
use tokio::sync::Notify;

use super::channel::{Receiver, Sender};
use super::protocol::{CREDIT, FromClient, FromShim};
use crate::error::{Error, Result};
use crate::session::ExecEvent;
use crate::shim::process::{Process, ProcessControl, ProcessInput};

/// A command in another shim's sandbox. Dropping it kills the command.
pub struct RemoteExec {
    receiver: Receiver<FromShim>,
    name: String,
    shared: Arc<Shared>,
    writer: tokio::task::AbortHandle,
    /// It was running before; to be told first.
    started: Option<u32>,
    /// Bytes of output that were received or had been before.
    offset: Arc<AtomicU64>,
}

/// How a command in another shim's sandbox ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteEnd {
    /// How.
    pub exit: Exit,
    /// As [`super::ExecOutcome::oom_kills`].
    pub oom_kills: Option<u64>,
}

impl From<Exit> for RemoteEnd {
    /// The end of one whose supervisor was not asked for more.
    fn from(exit: Exit) -> Self {
        Self {
            exit,
            oom_kills: None,
        }
    }
}

impl RemoteExec {
    /// Says what is asked for. Needs a tokio runtime.
    pub(super) fn begin(
        receiver: Receiver<FromShim>,
        sender: Sender,
        first: Option<&FromClient>,
        name: String,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        shared.lock().credit = CREDIT;
        if let Some(first) = first {
            shared.say(first);
        }
        let writer = tokio::spawn(write_all(sender, Arc::clone(&shared)));
        Self {
            receiver,
            name,
            writer: writer.abort_handle(),
            shared,
            started: None,
            offset: Arc::default(),
        }
    }

    /// It was running before, and its output is shown from an offset on.
    pub(super) fn attached(&mut self, offset: u64) {
        self.started = Some(0);
        self.shared.lock().is_attached = true;
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// Waits for what it does next. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Command`] if it could not be started, [`Error::LinkLost`] if its supervisor
    /// has ended.
    pub async fn event(&mut self) -> Result<ExecEvent<RemoteEnd>> {
        Process::next(self).await
    }

    /// Its standard input.
    #[must_use]
    pub fn stdin(&self) -> RemoteInput {
        Process::input(self)
    }

    /// Sends a signal to it, or to its whole process group.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if it is only attached to.
    pub fn signal(&self, number: u8, whole_group: bool) -> Result<()> {
        Process::control(self).signal(number, whole_group)
    }

    /// Its terminal has another size.
    pub fn resize(&self, size: WindowSize) {
        self.shared.say(&FromClient::Resize(size));
    }

    /// Where in its output an attached reader is: it can go on from there later.
    pub(crate) fn offset(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.offset)
    }
}

impl Drop for RemoteExec {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

/// Its standard input.
pub struct RemoteInput(Arc<Shared>);

/// Signals and sizes for it.
pub(crate) struct RemoteControl(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    to_write: Notify,
}

#[derive(Default)]
struct State {
    frames: VecDeque<u8>,
    credit: usize,
    input_closed: bool,
    is_attached: bool,
    waker: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, message: &FromClient) {
        let mut frame = Vec::new();
        // All messages but commands are far below every bound, and commands were checked.
        if encode(message, &mut frame).is_ok() {
            self.lock().frames.extend(frame);
            self.to_write.notify_one();
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

async fn write_all(mut sender: Sender, shared: Arc<Shared>) {
    loop {
        let frames: Vec<u8> = std::mem::take(&mut shared.lock().frames).into();
        if frames.is_empty() {
            shared.to_write.notified().await;
        } else if sender.send_frames(&frames).await.is_err() {
            // The reading half tells the user.
            return;
        }
    }
}

impl Process for RemoteExec {
    type End = RemoteEnd;
    type Input = RemoteInput;
    type Control = RemoteControl;

    async fn next(&mut self) -> Result<ExecEvent<RemoteEnd>> {
        if let Some(pid) = self.started.take() {
            return Ok(ExecEvent::Started { pid });
        }
        loop {
            let message = self.receiver.next().await?.ok_or_else(|| Error::LinkLost {
                why: "its supervisor has ended".to_owned(),
            })?;
            return match message {
                FromShim::Started { pid } => Ok(ExecEvent::Started { pid }),
                FromShim::Output { stream, bytes } => Ok(ExecEvent::Output { stream, bytes }),
                FromShim::Logged(record) => {
                    self.offset.store(record.end(), Ordering::Relaxed);
                    let (stream, bytes) = (record.stream, record.bytes);
                    Ok(ExecEvent::Output { stream, bytes })
                }
                FromShim::Stopped { signal } => Ok(ExecEvent::Stopped { signal }),
                FromShim::Continued => Ok(ExecEvent::Continued),
                FromShim::Exited { end, oom_kills } => Ok(ExecEvent::Exited(RemoteEnd {
                    exit: end.into(),
                    oom_kills,
                })),
                FromShim::Credit { count } => {
                    let count = usize::try_from(count).unwrap_or(0);
                    self.shared
                        .change(|state| state.credit = state.credit.saturating_add(count).min(CREDIT));
                    continue;
                }
                FromShim::InputClosed => {
                    self.shared.change(|state| state.input_closed = true);
                    continue;
                }
                FromShim::NotStarted { kind, text } => Err(Error::Command {
                    kind,
                    command: self.name.clone(),
                    text,
                    remedy: None,
                }),
                FromShim::Refused { text } => Err(Error::Declined {
                    what: format!("cannot run {}", self.name),
                    why: text,
                }),
                FromShim::Hello { .. }
                | FromShim::Stopping
                | FromShim::Inspected { .. }
                | FromShim::Done
                | FromShim::File(_)
                | FromShim::Attached(_) => {
                    Err(Error::protocol("the shim told something that was not asked for"))
                }
            };
        }
    }

    fn input(&self) -> RemoteInput {
        RemoteInput(Arc::clone(&self.shared))
    }

    fn control(&self) -> RemoteControl {
        RemoteControl(Arc::clone(&self.shared))
    }
}

impl RemoteInput {
    /// Writes all, waiting for room. False: the command reads no more.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<bool> {
        while !bytes.is_empty() {
            if !ProcessInput::ready(self).await? {
                return Ok(false);
            }
            let taken = ProcessInput::push(self, bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(true)
    }

    /// The input ends here.
    pub fn end(&mut self) {
        ProcessInput::finish(self);
    }
}

impl ProcessInput for RemoteInput {
    async fn ready(&mut self) -> Result<bool> {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.input_closed {
                return Poll::Ready(Ok(false));
            }
            if state.credit > 0 {
                return Poll::Ready(Ok(true));
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn room(&self) -> usize {
        self.0.lock().credit
    }

    fn push(&mut self, bytes: &[u8]) -> usize {
        let room = self.room().min(bytes.len());
        let taken = bytes.get(..room).unwrap_or_default();
        for part in taken.chunks(CHUNK) {
            self.0.say(&FromClient::Input(part.to_vec()));
        }
        self.0.lock().credit -= room;
        room
    }

    fn finish(&mut self) {
        self.0.say(&FromClient::InputEnd);
    }

    async fn closed(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.input_closed {
                return Poll::Ready(());
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl ProcessControl for RemoteControl {
    fn signal(&self, number: u8, whole_group: bool) -> Result<()> {
        // Who is attached does not signal the command: nobody reads here any more.
        if self.0.lock().is_attached {
            let what = "showing the output of the sandbox".to_owned();
            return Err(Error::Cancelled { what });
        }
        self.0.say(&FromClient::Signal { number, whole_group });
        Ok(())
    }

    fn resize(&self, size: WindowSize) -> Result<()> {
        self.0.say(&FromClient::Resize(size));
        Ok(())
    }
}
