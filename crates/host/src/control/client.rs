//! The other end: another terminal.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use stockade_domain::{Exit, Usage};
use stockade_wire::limits::CHUNK;
use stockade_wire::{ByteStrings, GuestPath, WindowSize, encode};
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::channel::{Receiver, Sender};
use super::protocol::{AttachAsked, Attached, CREDIT, ExecAsked, FromClient, FromShim, VERSION};
use crate::error::{Error, Result};
use crate::session::{Command, ExecEvent};
use crate::shim::process::{Process, ProcessControl, ProcessInput};
use crate::state::{SANDBOXES, SOCKET, StateDirs, is_claimed};

/// How often a live sandbox's socket is looked for, and the pause between.
const PATIENCE: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// A connection to a shim. It carries one thing.
pub struct Client {
    receiver: Receiver<FromShim>,
    sender: Sender,
    id: String,
}

/// What a sandbox uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Measured from outside.
    pub usage: Usage,
    /// Since its first command was started.
    pub running: Duration,
}

/// How a command that was run in another shim's sandbox ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecOutcome {
    /// How.
    pub exit: Exit,
    /// How long it took.
    pub duration: Duration,
}

impl Client {
    /// Connects to the shim of a live sandbox.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it has none any more, [`Error::Busy`] if it does not listen,
    /// [`Error::Io`] and [`Error::Protocol`].
    pub async fn connect(dirs: &StateDirs, id: &str) -> Result<Self> {
        let gone = || Error::NotFound {
            what: "running sandbox",
            name: id.to_owned(),
            remedy: Some("`stockade ls` lists those that run".to_owned()),
        };
        let dir = dirs
            .root()
            .open_below(&format!("{SANDBOXES}/{id}"))
            .map_err(|_| gone())?;
        let path = format!("/proc/self/fd/{}/{SOCKET}", dir.fd().as_raw_fd());
        let mut patience = PATIENCE;
        let stream = loop {
            let error = match UnixStream::connect(&path).await {
                Ok(stream) => break stream,
                Err(error) => error,
            };
            match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {}
                _ => return Err(Error::io(format!("connect to sandbox {id}"), error)),
            }
            // A sandbox that has just begun has no socket yet.
            if !is_claimed(dirs, id)? {
                return Err(gone());
            }
            let Some(left) = patience.checked_sub(1) else {
                let why = "it does not listen (it is being created, or stops)".to_owned();
                return Err(Error::Busy {
                    what: format!("connect to sandbox {id}"),
                    why,
                });
            };
            patience = left;
            tokio::time::sleep(PAUSE).await;
        };
        let (read, write) = stream.into_split();
        let mut client = Self {
            receiver: Receiver::new(read),
            sender: Sender::new(write),
            id: id.to_owned(),
        };
        client
            .sender
            .send(&FromClient::Hello { version: VERSION })
            .await?;
        match client.next().await? {
            FromShim::Hello { version: VERSION, .. } => Ok(client),
            FromShim::Hello { version, .. } => Err(Error::protocol(format!(
                "the sandbox's Stockade speaks version {version} and this one {VERSION}: use the same release"
            ))),
            _ => Err(Error::protocol("the shim did not greet")),
        }
    }

    async fn next(&mut self) -> Result<FromShim> {
        match self.receiver.next().await? {
            Some(FromShim::Refused { text }) => Err(Error::Busy {
                what: format!("sandbox {}", self.id),
                why: text,
            }),
            Some(message) => Ok(message),
            None => Err(Error::LinkLost {
                why: format!("sandbox {} has ended", self.id),
            }),
        }
    }

    /// Stops the sandbox and waits until it has ended.
    ///
    /// # Errors
    /// [`Error::LinkLost`] and [`Error::Protocol`].
    pub async fn stop(mut self, grace: Duration) -> Result<()> {
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        self.sender.send(&FromClient::Stop { grace_ms }).await?;
        while let Ok(Some(_)) = self.receiver.next().await {}
        Ok(())
    }

    /// Stops everything inside, or lets it go on.
    ///
    /// # Errors
    /// [`Error::Busy`] with the reason if it cannot, [`Error::LinkLost`] and [`Error::Protocol`].
    pub async fn pause(mut self, pause: bool) -> Result<()> {
        self.sender.send(&FromClient::Pause { pause }).await?;
        match self.next().await? {
            FromShim::Done => Ok(()),
            _ => Err(Error::protocol("the shim told something else than was asked for")),
        }
    }

    /// What the sandbox uses.
    ///
    /// # Errors
    /// [`Error::Busy`] if it cannot tell, [`Error::LinkLost`] and [`Error::Protocol`].
    pub async fn inspect(mut self) -> Result<Inspection> {
        self.sender.send(&FromClient::Inspect).await?;
        match self.next().await? {
            FromShim::Inspected { usage, running_ms } => Ok(Inspection {
                usage,
                running: Duration::from_millis(running_ms),
            }),
            _ => Err(Error::protocol("the shim told something else than was asked for")),
        }
    }

    /// Attaches to the first command of a detached sandbox: shows its output from an offset on
    /// (none: only what is written from now on), and with `write` asks for the right to type,
    /// which one has at a time. Dropping it leaves the command as it is.
    ///
    /// # Errors
    /// [`Error::Busy`] with the reason if it cannot be had, [`Error::LinkLost`] and
    /// [`Error::Protocol`].
    pub async fn attach(
        mut self,
        from: Option<u64>,
        write: bool,
        size: Option<WindowSize>,
    ) -> Result<(Attached, RemoteExec)> {
        let asked = AttachAsked { from, write, size };
        self.sender.send(&FromClient::Attach(asked)).await?;
        let FromShim::Attached(attached) = self.next().await? else {
            return Err(Error::protocol("the shim told something else than was asked for"));
        };
        let mut exec = self.speak(None, "the first command".to_owned());
        exec.started = Some(0);
        exec.shared.lock().is_attached = true;
        exec.offset.store(from.unwrap_or(attached.end), Ordering::Relaxed);
        Ok((attached, exec))
    }

    /// Starts a command. Its variables are added to those of the sandbox's first command;
    /// an empty directory stands for where that one started. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the command cannot be put into a message.
    pub fn exec(self, command: &Command) -> Result<RemoteExec> {
        let asked = ask(command).map_err(|error| Error::protocol(error.to_string()))?;
        Ok(self.speak(Some(&FromClient::Exec(asked)), command.name()))
    }

    fn speak(self, first: Option<&FromClient>, name: String) -> RemoteExec {
        let shared = Arc::new(Shared::default());
        shared.lock().credit = CREDIT;
        if let Some(first) = first {
            shared.say(first);
        }
        let writer = tokio::spawn(write_all(self.sender, Arc::clone(&shared)));
        RemoteExec {
            receiver: self.receiver,
            name,
            writer: writer.abort_handle(),
            shared,
            started: None,
            offset: Arc::default(),
        }
    }
}

fn ask(command: &Command) -> Result<ExecAsked, stockade_wire::WireError> {
    let cwd = command.cwd.as_os_str().as_bytes();
    Ok(ExecAsked {
        argv: ByteStrings::new(command.argv.iter().map(|word| word.as_bytes()))?,
        env: ByteStrings::new(command.env.iter().map(|(name, value)| format!("{name}={value}")))?,
        cwd: if cwd.is_empty() {
            None
        } else {
            Some(GuestPath::new(cwd)?)
        },
        tty: command.tty,
        stdin: command.stdin,
    })
}

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

impl RemoteExec {
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
pub(crate) struct RemoteInput(Arc<Shared>);

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
    type End = Exit;
    type Input = RemoteInput;
    type Control = RemoteControl;

    async fn next(&mut self) -> Result<ExecEvent<Exit>> {
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
                FromShim::Exited(end) => Ok(ExecEvent::Exited(end.into())),
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
                FromShim::Refused { text } => Err(Error::Busy {
                    what: format!("run {}", self.name),
                    why: text,
                }),
                FromShim::Hello { .. }
                | FromShim::Stopping
                | FromShim::Inspected { .. }
                | FromShim::Done
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
