//! The supervisor of one sandbox: starts its first command, moves streams, enforces the
//! limits that only the host can (time, output, disk), serves other terminals, decides how
//! the run ended, and removes everything.
//!
//! ```text
//! mod        what it is made of
//! supervise  the loop: everything that can happen, and what follows
//! verdict    how a run ended
//! teardown   what is done at the end
//! handle     what others may ask of it
//! pump       the first command's streams
//! screen     what of the output a terminal may be sent
//! stdio      standard streams that never block
//! signals    signals to the supervisor
//! life       how long a detached sandbox lives
//! asks       checkpoints that commands inside ask for
//! alarm      a clock that nobody sets
//! first      a detached first command, for those who attach to it
//! keys       leaving a command without ending it
//! detach     becoming a process that needs no terminal
//! record     whether its record is still there
//! jobs       stopping along with the user's shell
//! disk       how much a change set holds
//! workspace  one that travels over the link
//! ```

mod alarm;
mod asks;
mod detach;
pub(crate) mod disk;
mod exec;
pub(crate) mod first;
mod handle;
mod jobs;
mod keys;
mod life;
pub(crate) mod process;
mod pump;
mod record;
pub mod screen;
mod signals;
pub mod stdio;
mod supervise;
mod teardown;
mod verdict;
mod workspace;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use stockade_domain::{Exit, Usage};
use tokio::sync::mpsc;

pub use detach::{leave_terminal, let_streams_go};
pub use exec::{AttachEnd, Tell, run_attached, run_exec};
pub use handle::ShimHandle;
pub use jobs::{StopRequests, stop_here};
pub use keys::{Keys, KeysError};
pub use life::Life;
pub use pump::RunEvent;
pub use signals::{Asked, Signals};
pub use stdio::Io;
pub use stockade_wire::WindowSize;

use self::disk::DiskWatch;
use self::first::{Feed, First};
use self::handle::Request;
use self::life::LifeWatch;
use self::supervise::Scene;
use crate::audit::{AuditLog, By, Event, Recorder, exec_started};
use crate::control::{Defaults, Server};
use crate::driver::{Boundary, Leftover};
use crate::error::{Error, Result};
use crate::logs::LogWriter;
use crate::outside::Outside;
use crate::session::{Command, Session};
use crate::state::{KeptChanges, SandboxFolder};
use crate::transport::Transport;

/// Requests that wait for the supervisor, at most.
const MAX_REQUESTS: usize = 64;

/// Limits that no kernel enforces for us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostLimits {
    /// From the start of the first command.
    pub wall: Option<Duration>,
    /// Bytes of standard output and error together.
    pub output: Option<u64>,
    /// Bytes in the change set.
    pub disk: Option<u64>,
}

/// How a sandbox is supervised.
#[derive(Debug)]
pub struct Options {
    /// Limits.
    pub limits: HostLimits,
    /// How long commands have to end by themselves when the supervisor is asked to end.
    pub grace: Duration,
    /// Listen for other terminals.
    pub control: bool,
    /// Measure what was used, for the outcome.
    pub usage: bool,
    /// Commands inside may ask for checkpoints.
    pub asks: bool,
    /// Signals that were taken over before; else they are taken over now.
    pub signals: Option<Signals>,
}

impl Default for Options {
    fn default() -> Self {
        let grace = Duration::from_secs(10);
        Self {
            limits: HostLimits::default(),
            grace,
            control: true,
            usage: false,
            asks: false,
            signals: None,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// How.
    pub exit: Exit,
    /// Who or what decided it, where it was not the command itself.
    pub why: Option<String>,
    /// What the sandbox used, if that was asked for or needed.
    pub usage: Option<Usage>,
    /// From the start of the command to its end.
    pub duration: Duration,
    /// Bytes of output.
    pub output_bytes: u64,
    /// Changes that were kept.
    pub changes: Option<KeptChanges>,
    /// What could not be removed.
    pub leftovers: Vec<Leftover>,
    /// What failed and did not decide how the run ended (a socket that could not be opened).
    pub problems: Vec<Error>,
    /// Why the record of this run is incomplete, if it is.
    pub unrecorded: Option<Error>,
}

/// A standing sandbox with its supervisor.
pub struct Shim {
    // Before the folder: what is inside ends before its record goes.
    boundary: Box<dyn Boundary>,
    session: Arc<Session>,
    folder: SandboxFolder,
    audit: Arc<Mutex<AuditLog>>,
    options: Options,
    signals: Signals,
    handle: ShimHandle,
    requests: mpsc::Receiver<Request>,
    verdict: Arc<OnceLock<Exit>>,
    started: Instant,
    problems: Vec<Error>,
    starts: Option<Recorder>,
    outside: Option<Outside>,
    /// The way of the workspace, where it travels over the link.
    transport: Option<Arc<Transport>>,
    /// What it takes on this host beyond its beginning, if that is limited.
    room: Option<DiskWatch>,
}

impl Shim {
    /// Takes over a sandbox whose receipt was checked. When it fails, the sandbox is
    /// removed. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// What failed, with what could not be removed.
    pub async fn start(
        boundary: Box<dyn Boundary>,
        folder: SandboxFolder,
        audit: AuditLog,
        mut options: Options,
    ) -> Result<Self> {
        let prepared = async {
            let signals = match options.signals.take() {
                Some(signals) => signals,
                None => Signals::install()?,
            };
            Ok((signals, boundary.link().await?))
        };
        let (signals, link) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => return Err(teardown::after_failure(boundary, folder, audit, error).await),
        };
        let (sender, requests) = mpsc::channel(MAX_REQUESTS);
        let mut shim = Self {
            session: Arc::new(Session::connect(link, 0)),
            boundary,
            folder,
            audit: Arc::new(Mutex::new(audit)),
            options,
            signals,
            handle: ShimHandle::new(sender),
            requests,
            verdict: Arc::new(OnceLock::new()),
            started: Instant::now(),
            problems: Vec::new(),
            starts: None,
            outside: None,
            transport: None,
            room: None,
        };
        let begun = async {
            shim.publish()?;
            shim.send_workspace().await
        };
        match begun.await {
            Ok(()) => Ok(shim),
            Err(error) => {
                // Nothing ran, so nothing was changed.
                shim.transport = None;
                Err(shim.fail(error).await)
            }
        }
    }

    /// Lets others know of the sandbox.
    fn publish(&mut self) -> Result<()> {
        if let Some(watcher) = self.boundary.starts() {
            self.starts = Some(watcher.record(Arc::clone(&self.audit))?);
        }
        self.folder.running(self.boundary.record())?;
        self.lock_audit().note(&Event::Receipt {
            receipt: self.boundary.receipt().clone(),
        })
    }

    /// Takes a watch of the host's side of the workspace, which ends with the sandbox and is in its record.
    pub fn watch(&mut self, outside: Option<Outside>) {
        self.outside = outside;
    }

    /// What others may ask of this supervisor.
    #[must_use]
    pub fn handle(&self) -> ShimHandle {
        self.handle.clone()
    }

    /// The conversation with the guest, for files.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The sandbox's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.folder.id()
    }

    /// Runs the sandbox's first command with these streams to its end, and removes the
    /// sandbox. `on_event` is told what a terminal has to know, while nothing else goes on:
    /// it may stop this process (`SIGSTOP`) along with the command.
    ///
    /// # Errors
    /// [`Error::Command`] if the command could not be started, and whatever ended the
    /// conversation; the sandbox is then removed all the same, and what could not be is in
    /// the error.
    pub async fn run_foreground(
        mut self,
        command: Command,
        io: Io,
        on_event: impl FnMut(RunEvent) + Send,
    ) -> Result<Outcome> {
        let result = self.first_command(command, io, on_event).await;
        let output_bytes = result.as_ref().map_or(0, |(_, bytes)| *bytes);
        let duration = self.started.elapsed();
        self.end(result.map(|(verdict, _)| verdict), output_bytes, duration)
            .await
    }

    /// Keeps the sandbox until it is told to end, or its time is over, or its first command has
    /// ended, and removes it. A command without words is none: the sandbox waits for others.
    /// Its output is kept; input and terminal are those of whoever is attached.
    ///
    /// # Errors
    /// As [`Self::run_foreground`], and if nobody could reach the sandbox.
    pub async fn run_detached(
        mut self,
        command: Command,
        life: Life,
        on_event: impl FnMut(RunEvent) + Send,
    ) -> Result<Outcome> {
        let result = self.detached(command, life, on_event).await;
        let output_bytes = result.as_ref().map_or(0, |(_, bytes)| *bytes);
        let duration = self.started.elapsed();
        self.end(result.map(|(verdict, _)| verdict), output_bytes, duration)
            .await
    }

    async fn first_command(
        &mut self,
        command: Command,
        io: Io,
        on_event: impl FnMut(RunEvent) + Send,
    ) -> Result<(verdict::Verdict, u64)> {
        self.note_first(&command)?;
        let exec = self.session.exec(&command)?;
        self.started = Instant::now();
        let scene = Scene {
            exec: Some(exec),
            io,
            defaults: Defaults {
                env: command.env,
                cwd: command.cwd,
            },
            server: None,
            first: None,
            life: LifeWatch::default(),
        };
        let meter = pump::Meter::new(self.options.limits.output);
        let verdict = self.supervise(scene, &meter, on_event).await?;
        Ok((verdict, meter.written()))
    }

    async fn detached(
        &mut self,
        command: Command,
        life: Life,
        mut on_event: impl FnMut(RunEvent) + Send,
    ) -> Result<(verdict::Verdict, u64)> {
        // Before anything runs: whoever is told that it does can reach it.
        let server = Server::bind(self.folder.dir())?;
        let log = Arc::new(LogWriter::create(self.folder.dir().again()?, life.log_bytes)?);
        let has_input = command.stdin || command.tty.is_some();
        let feed = has_input.then(|| Arc::new(Feed::default()));
        let exec = if command.argv.is_empty() {
            on_event(RunEvent::Waiting);
            None
        } else {
            self.note_first(&command)?;
            Some(self.session.exec(&command)?)
        };
        self.started = Instant::now();
        let first = First::new(
            Arc::clone(&log),
            feed.clone(),
            command.tty.is_some(),
            exec.as_ref().map(crate::session::Exec::control),
        );
        let scene = Scene {
            exec,
            io: first::streams(&log, feed.as_ref()),
            defaults: Defaults {
                env: command.env,
                cwd: command.cwd,
            },
            server: Some(server),
            first: Some(Arc::new(first)),
            life: LifeWatch::begin(&life, &*self.boundary).await?,
        };
        let meter = pump::Meter::new(self.options.limits.output);
        let verdict = self.supervise(scene, &meter, on_event).await;
        self.problems.extend(log.problem());
        Ok((verdict?, meter.written()))
    }

    /// Written before the first untrusted instruction.
    fn note_first(&self, command: &Command) -> Result<()> {
        self.lock_audit()
            .record(&exec_started(0, command, By::this_process()))
    }

    fn lock_audit(&self) -> std::sync::MutexGuard<'_, AuditLog> {
        self.audit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
