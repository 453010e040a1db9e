//! The shim's end: one connection.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use stockade_domain::Exit;
use stockade_domain::environment::Environment;
use stockade_wire::limits::{CHUNK, MAX_TEXT};
use stockade_wire::{ExitStatus, FileError, FileReply, FileRequest};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::attach;
use super::channel::{Receiver, Sender};
use super::protocol::{CREDIT, ExecAsked, FromClient, FromShim, VERSION, short};
use super::work::Work;
use crate::audit::{AuditLog, By, Event, exec_started};
use crate::error::{Error, Result};
use crate::session::{Command, Exec, ExecEvent, Session};
use crate::shim::ShimHandle;
use crate::shim::first::First;

/// What is inside gets to end by itself when its holder is gone.
const HOLDER_GRACE: Duration = Duration::from_secs(1);

/// What a further command takes from the sandbox's first one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) env: Environment,
    pub(crate) cwd: PathBuf,
}

/// What a connection works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) id: String,
    pub(crate) session: Arc<Session>,
    pub(crate) defaults: Arc<Defaults>,
    pub(crate) audit: Arc<Mutex<AuditLog>>,
    pub(crate) shim: ShimHandle,
    /// How the sandbox's first command ended, once that is known.
    pub(crate) verdict: Arc<OnceLock<Exit>>,
    /// Everything ends.
    pub(crate) farewell: CancellationToken,
    /// What those see who attach; none where the first command has a terminal.
    pub(crate) first: Option<Arc<First>>,
    /// Whether others do something in the sandbox.
    pub(crate) work: Arc<Work>,
    /// Nothing inside runs.
    pub(crate) paused: Arc<AtomicBool>,
}

/// Serves one connection to its end. Dropping it kills the connection's command.
pub(crate) async fn serve(stream: UnixStream, context: Context) {
    let by = By::peer(&stream);
    let (read, write) = stream.into_split();
    let mut connection = Connection {
        receiver: Receiver::new(read),
        sender: Sender::new(write),
        by,
        context,
    };
    // A client that breaks the protocol or leaves has ended its own business only.
    let _ = connection.serve().await;
}

struct Connection {
    receiver: Receiver<FromClient>,
    sender: Sender,
    by: By,
    context: Context,
}

impl Connection {
    async fn serve(&mut self) -> Result<()> {
        self.sender
            .send(&FromShim::Hello {
                version: VERSION,
                id: self.context.id.clone(),
            })
            .await?;
        match self.receiver.next().await? {
            Some(FromClient::Hello { version: VERSION }) => {}
            Some(FromClient::Hello { version }) => {
                let text = format!("the sandbox's Stockade speaks version {VERSION} and this one {version}");
                return self.sender.send(&FromShim::Refused { text }).await;
            }
            _ => return Err(Error::protocol("no greeting")),
        }
        let asked = self.receiver.next().await?;
        // To look at a sandbox does not keep it from being idle.
        let looks = matches!(
            asked,
            Some(FromClient::Inspect | FromClient::Fetch | FromClient::Stop { .. } | FromClient::Hold) | None
        );
        let _at_work = (!looks).then(|| Work::begin(&self.context.work));
        match asked {
            Some(FromClient::Exec(_) | FromClient::File(_))
                if self.context.paused.load(Ordering::Relaxed) =>
            {
                let text = "it is paused: stockade resume".to_owned();
                self.sender.send(&FromShim::Refused { text }).await
            }
            Some(FromClient::Exec(asked)) => self.exec(asked).await,
            Some(FromClient::Stop { grace_ms }) => self.stop(grace_ms).await,
            Some(FromClient::Inspect) => self.inspect().await,
            Some(FromClient::Pause { pause }) => self.pause(pause).await,
            Some(FromClient::Fetch) => self.fetch().await,
            Some(FromClient::File(request)) => self.files(request).await,
            Some(FromClient::Hold) => self.hold().await,
            Some(FromClient::Attach(asked)) => {
                attach::serve(&mut self.receiver, &mut self.sender, &self.context, asked).await
            }
            Some(_) => Err(Error::protocol("nothing was asked for")),
            None => Ok(()),
        }
    }

    async fn stop(&mut self, grace_ms: u32) -> Result<()> {
        self.context
            .shim
            .stop(Duration::from_millis(grace_ms.into()), "stockade stop");
        self.sender.send(&FromShim::Stopping).await?;
        // Who stops is told of the end by the end of the connection.
        tokio::select! {
            () = self.context.farewell.cancelled() => Ok(()),
            next = self.receiver.next() => next.map(|_| ()),
        }
    }

    /// One request after another: who wants several at once opens several connections.
    async fn files(&mut self, first: FileRequest) -> Result<()> {
        let mut next = Some(first);
        while let Some(FileRequest { id, path, operation }) = next {
            if operation.is_about_trees() {
                return Err(Error::protocol(
                    "what becomes of the workspace is the supervisor's to ask",
                ));
            }
            let place = PathBuf::from(OsString::from_vec(path.as_bytes().to_vec()));
            let result = match self.context.session.file(&place, operation).await {
                Ok(answer) => Ok(answer),
                Err(Error::File { errno, text, .. }) => Err(FileError { errno, text }),
                Err(error) => Err(FileError {
                    errno: 0,
                    text: error.to_string().chars().take(MAX_TEXT / 4).collect(),
                }),
            };
            self.sender
                .send(&FromShim::File(FileReply { id, result }))
                .await?;
            next = match self.next_or_farewell().await? {
                Some(FromClient::File(request)) => Some(request),
                Some(_) => return Err(Error::protocol("a second thing was asked for")),
                None => None,
            };
        }
        Ok(())
    }

    /// None also when everything ends.
    async fn next_or_farewell(&mut self) -> Result<Option<FromClient>> {
        tokio::select! {
            () = self.context.farewell.cancelled() => Ok(None),
            next = self.receiver.next() => next,
        }
    }

    async fn hold(&mut self) -> Result<()> {
        self.sender.send(&FromShim::Done).await?;
        // Whatever is said, only the end counts.
        while let Ok(Some(_)) = self.next_or_farewell().await {}
        self.context
            .shim
            .stop(HOLDER_GRACE, "the program that held it is gone");
        Ok(())
    }

    async fn pause(&mut self, pause: bool) -> Result<()> {
        let message = match self.context.shim.pause(pause).await {
            Ok(()) => FromShim::Done,
            Err(error) => FromShim::Refused {
                text: short(&error.to_string()),
            },
        };
        self.sender.send(&message).await
    }

    async fn fetch(&mut self) -> Result<()> {
        let message = match self.context.shim.fetch().await {
            Ok(()) => FromShim::Done,
            Err(error) => FromShim::Refused {
                text: short(&error.to_string()),
            },
        };
        self.sender.send(&message).await
    }

    async fn inspect(&mut self) -> Result<()> {
        let message = match self.context.shim.usage().await {
            Ok((usage, running)) => {
                let running_ms = u64::try_from(running.as_millis()).unwrap_or(u64::MAX);
                FromShim::Inspected { usage, running_ms }
            }
            Err(error) => FromShim::Refused {
                text: short(&error.to_string()),
            },
        };
        self.sender.send(&message).await
    }

    async fn exec(&mut self, asked: ExecAsked) -> Result<()> {
        let command = self.context.command(asked);
        let oom_kills = self.context.shim.oom_kills().await;
        let recorded = |number| {
            self.context
                .record(&exec_started(number, &command, self.by.clone()))
        };
        let mut exec = match self.context.session.exec_after(&command, recorded) {
            Ok(exec) => exec,
            Err(error) => return self.sender.send(&not_started(&error)).await,
        };
        let number = exec.number();
        let mut output_bytes = 0;
        let result = self.run(&mut exec, oom_kills, &mut output_bytes).await;
        let (exit, failure) = match &result {
            Ok(exit) => (*exit, None),
            Err(error) => (None, Some(error.to_string())),
        };
        self.context.note(&Event::ExecEnded {
            exec: number,
            exit,
            failure,
            output_bytes,
        });
        match (exit, &result) {
            (Some(exit), _) => {
                let ended = FromShim::Exited {
                    end: exit.into(),
                    oom_kills: self.context.killed_since(oom_kills).await,
                };
                self.sender.send(&ended).await
            }
            (None, Err(error)) => self.sender.send(&not_started(error)).await,
            (None, Ok(_)) => Ok(()),
        }
    }

    /// None: the client has left.
    async fn run(
        &mut self,
        exec: &mut Exec,
        oom_kills: Option<u64>,
        output_bytes: &mut u64,
    ) -> Result<Option<Exit>> {
        let credit = Credit::default();
        let mut input = exec.input();
        let control = exec.control();
        let (receiver, sender, context) = (&mut self.receiver, &mut self.sender, &self.context);
        let incoming = async {
            let mut queue: VecDeque<u8> = VecDeque::new();
            let mut ended = false;
            loop {
                tokio::select! {
                    message = receiver.next() => match message? {
                        None => return Ok(None),
                        Some(FromClient::Input(bytes)) => {
                            if ended || queue.len() + bytes.len() > CREDIT {
                                return Err(Error::protocol("more input than there was credit for"));
                            }
                            queue.extend(bytes);
                        }
                        Some(FromClient::InputEnd) => ended = true,
                        Some(FromClient::Resize(size)) => control.resize(size)?,
                        Some(FromClient::Signal { number, whole_group }) => control.signal(number, whole_group)?,
                        Some(_) => return Err(Error::protocol("a second thing was asked for")),
                    },
                    open = input.ready(), if !queue.is_empty() => {
                        let taken = if open? { input.push(queue.make_contiguous()) } else { queue.len() };
                        queue.drain(..taken);
                        credit.add(taken);
                    }
                }
                if ended && queue.is_empty() {
                    input.finish();
                }
            }
        };
        let outgoing = send_events(exec, sender, context, &credit, oom_kills, output_bytes);
        tokio::select! {
            result = outgoing => result.map(Some),
            result = incoming => result,
        }
    }
}

async fn send_events(
    exec: &mut Exec,
    sender: &mut Sender,
    context: &Context,
    credit: &Credit,
    oom_kills: Option<u64>,
    output_bytes: &mut u64,
) -> Result<Exit> {
    let input = exec.input();
    let mut input_closed = false;
    loop {
        let event = tokio::select! {
            biased;
            event = exec.next() => event,
            count = credit.take() => {
                sender.send(&FromShim::Credit { count }).await?;
                continue;
            }
            () = input.closed(), if !input_closed => {
                input_closed = true;
                sender.send(&FromShim::InputClosed).await?;
                continue;
            }
        };
        let message = match event {
            Ok(ExecEvent::Started { pid }) => FromShim::Started { pid },
            Ok(ExecEvent::Output { stream, bytes }) => {
                *output_bytes += u64::try_from(bytes.len()).unwrap_or(0);
                for bytes in bytes.chunks(CHUNK) {
                    sender
                        .send(&FromShim::Output {
                            stream,
                            bytes: bytes.to_vec(),
                        })
                        .await?;
                }
                continue;
            }
            Ok(ExecEvent::Stopped { signal }) => FromShim::Stopped { signal },
            Ok(ExecEvent::Continued) => FromShim::Continued,
            Ok(ExecEvent::Exited(status)) => return Ok(context.exit(status, oom_kills).await),
            // Everything ends, and this command with it.
            Err(Error::LinkLost { .. }) => return Ok(context.decided().unwrap_or(Exit::Killed)),
            Err(error) => return Err(error),
        };
        sender.send(&message).await?;
    }
}

impl Context {
    fn command(&self, asked: ExecAsked) -> Command {
        let mut env = self.defaults.env.clone();
        for variable in asked.env.iter() {
            let text = String::from_utf8_lossy(variable);
            if let Some((name, value)) = text.split_once('=') {
                env.set(name, value);
            }
        }
        Command {
            argv: asked
                .argv
                .iter()
                .map(|word| OsString::from_vec(word.to_vec()))
                .collect(),
            env,
            cwd: asked.cwd.map_or_else(
                || self.defaults.cwd.clone(),
                |cwd| PathBuf::from(OsString::from_vec(cwd.as_bytes().to_vec())),
            ),
            tty: asked.tty,
            stdin: asked.stdin,
        }
    }

    /// What the host decided about the sandbox as a whole. How its first command ended by
    /// itself says nothing about the others.
    fn decided(&self) -> Option<Exit> {
        self.verdict
            .get()
            .copied()
            .filter(|exit| !matches!(exit, Exit::Code(_) | Exit::Signal(_)))
    }

    /// Processes of the sandbox that were killed at the memory limit since there were so many.
    async fn killed_since(&self, before: Option<u64>) -> Option<u64> {
        // A supervisor that ends answers nothing more, and the end of a command is to be told in time.
        tokio::select! {
            biased;
            () = self.farewell.cancelled() => None,
            now = self.shim.oom_kills() => Some(now?.saturating_sub(before?)),
        }
    }

    async fn exit(&self, status: ExitStatus, oom_kills: Option<u64>) -> Exit {
        if let Some(decided) = self.decided() {
            return decided;
        }
        match status {
            ExitStatus::Code(code) => Exit::Code(code.into()),
            ExitStatus::Signal(9) if self.killed_since(oom_kills).await > Some(0) => Exit::OutOfMemory,
            ExitStatus::Signal(number) => Exit::Signal(number.into()),
        }
    }

    fn record(&self, event: &Event) -> Result<()> {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        audit.record(event)
    }

    /// Of what has happened already. A record that cannot be written ends nobody's command;
    /// the shim reports it at its end.
    fn note(&self, event: &Event) {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = audit.note(event).and_then(|()| audit.flush());
    }
}

fn not_started(error: &Error) -> FromShim {
    match error.root() {
        Error::Command { kind, text, .. } => FromShim::NotStarted {
            kind: *kind,
            text: short(text),
        },
        other => FromShim::Refused {
            text: short(&other.to_string()),
        },
    }
}

/// Input that was taken and not yet told.
#[derive(Default)]
pub(super) struct Credit {
    count: AtomicU32,
    changed: Notify,
}

impl Credit {
    pub(super) fn add(&self, count: usize) {
        self.count
            .fetch_add(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits for some. Cancel safe.
    pub(super) async fn take(&self) -> u32 {
        loop {
            let count = self.count.swap(0, Ordering::Relaxed);
            if count > 0 {
                return count;
            }
            self.changed.notified().await;
        }
    }
}
