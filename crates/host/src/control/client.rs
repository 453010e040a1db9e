//! The other end: another terminal.

use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use stockade_domain::{Exit, Usage};
use stockade_wire::{ByteStrings, GuestPath, WindowSize};
use tokio::net::UnixStream;

use super::channel::{Receiver, Sender};
use super::files::RemoteFiles;
use super::protocol::{AttachAsked, Attached, ExecAsked, FromClient, FromShim, VERSION};
use super::remote::RemoteExec;
use crate::error::{Error, Result};
use crate::session::Command;
use crate::state::{ProcessRef, SANDBOXES, SOCKET, StateDirs, is_claimed};

/// How often a live sandbox's socket is looked for, and the pause between.
const PATIENCE: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);
/// How long a supervisor may take to greet: it does nothing else that takes long.
const GREETING: Duration = Duration::from_secs(10);

/// A connection to a shim. It carries one thing.
pub struct Client {
    receiver: Receiver<FromShim>,
    sender: Sender,
    id: String,
}

/// Keeps a sandbox alive.
pub struct Holder {
    _client: Client,
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
    /// Processes of the sandbox, of whichever command, that were killed at the memory limit meanwhile; none where
    /// that is not counted.
    pub oom_kills: Option<u64>,
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
        match tokio::time::timeout(GREETING, client.greet()).await {
            Ok(greeted) => greeted.map(|()| client),
            Err(_) => Err(silent(dirs, id)),
        }
    }

    async fn greet(&mut self) -> Result<()> {
        self.sender.send(&FromClient::Hello { version: VERSION }).await?;
        match self.next().await? {
            FromShim::Hello { version: VERSION, .. } => Ok(()),
            FromShim::Hello { version, .. } => Err(Error::protocol(format!(
                "the sandbox's Stockade speaks version {version} and this one {VERSION}: use the same release"
            ))),
            _ => Err(Error::protocol("the shim did not greet")),
        }
    }

    async fn next(&mut self) -> Result<FromShim> {
        match self.receiver.next().await? {
            Some(FromShim::Refused { text }) => Err(Error::Declined {
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
    /// [`Error::Declined`] with the reason if it cannot, [`Error::LinkLost`] and [`Error::Protocol`].
    pub async fn pause(mut self, pause: bool) -> Result<()> {
        self.sender.send(&FromClient::Pause { pause }).await?;
        match self.next().await? {
            FromShim::Done => Ok(()),
            _ => Err(Error::protocol("the shim told something else than was asked for")),
        }
    }

    /// Has the copy of a workspace that travels over the link made what is inside now.
    ///
    /// # Errors
    /// [`Error::Declined`] with the reason if it cannot, [`Error::LinkLost`] and [`Error::Protocol`].
    pub(crate) async fn fetch(mut self) -> Result<()> {
        self.sender.send(&FromClient::Fetch).await?;
        match self.next().await? {
            FromShim::Done => Ok(()),
            _ => Err(Error::protocol("the shim told something else than was asked for")),
        }
    }

    /// Ends the sandbox when the holder is dropped, or this process ends, however it does.
    ///
    /// # Errors
    /// [`Error::LinkLost`] and [`Error::Protocol`].
    pub async fn hold(mut self) -> Result<Holder> {
        self.sender.send(&FromClient::Hold).await?;
        match self.next().await? {
            FromShim::Done => Ok(Holder { _client: self }),
            _ => Err(Error::protocol("the shim told something else than was asked for")),
        }
    }

    /// Files inside.
    #[must_use]
    pub fn files(self) -> RemoteFiles {
        RemoteFiles::new(self)
    }

    pub(super) async fn exchange(&mut self, message: &FromClient) -> Result<FromShim> {
        self.sender.send(message).await?;
        self.next().await
    }

    /// What the sandbox uses.
    ///
    /// # Errors
    /// [`Error::Declined`] if it cannot tell, [`Error::LinkLost`] and [`Error::Protocol`].
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
    /// [`Error::Declined`] with the reason if it cannot be had, [`Error::LinkLost`] and
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
        let name = "the first command".to_owned();
        let mut exec = RemoteExec::begin(self.receiver, self.sender, None, name);
        exec.attached(from.unwrap_or(attached.end));
        Ok((attached, exec))
    }

    /// Starts a command. Its variables are added to those of the sandbox's first command;
    /// an empty directory stands for where that one started. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the command cannot be put into a message.
    pub fn exec(self, command: &Command) -> Result<RemoteExec> {
        let asked = ask(command).map_err(|error| Error::protocol(error.to_string()))?;
        Ok(RemoteExec::begin(
            self.receiver,
            self.sender,
            Some(&FromClient::Exec(asked)),
            command.name(),
        ))
    }
}

/// Its supervisor lives and says nothing.
fn silent(dirs: &StateDirs, id: &str) -> Error {
    let known = dirs.status(id).ok().flatten().map(|status| status.shim);
    // Seen from another PID namespace the number may be a stranger's.
    let supervisor = known.filter(ProcessRef::is_alive);
    let (why, remedy) = match supervisor {
        Some(process) => {
            let pid = process.pid;
            let how = if process.is_stopped() {
                "is stopped"
            } else {
                "does not answer"
            };
            let go_on = format!("let it go on (`fg` in its terminal, or `kill -CONT {pid}`)");
            let end = format!("end it with all that is inside: `kill -KILL {pid}`, then `stockade gc`");
            (
                format!("its supervisor, process {pid}, {how}"),
                format!("{go_on}, or {end}"),
            )
        }
        None => (
            "its supervisor does not answer".to_owned(),
            "look for its process on the host that started it".to_owned(),
        ),
    };
    Error::Impossible {
        what: format!("reach sandbox {id}"),
        why,
        remedy: Some(remedy),
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
