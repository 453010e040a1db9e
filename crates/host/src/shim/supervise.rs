//! The loop: everything that can happen while the first command runs, and what follows.

mod asked;
mod follow;

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stockade_domain::{Ended, Exit};
use stockade_wire::{Ask, ExitStatus};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::asks::{self, Asks};
use super::disk::DiskWatch;
use super::first::First;
use super::handle::Request;
use super::life::{LifeWatch, Rang};
use super::pump::{self, Meter, PumpEnd, RunEvent};
use super::record::RecordWatch;
use super::signals::{Asked, Signals};
use super::stdio::Io;
use super::verdict::Verdict;
use super::{Options, Shim};
use crate::control::{Context, Defaults, Server};
use crate::driver::{Boundary, BoxFuture, Link};
use crate::error::{Error, Result};
use crate::session::{Exec, ExecControl, Session};
use crate::state::{SandboxFolder, StateDirs};
use crate::transport::Transport;

/// When other terminals can connect: a command that ends sooner needs no socket.
const SOON: Duration = Duration::from_millis(20);
/// Between two looks at what changes slowly.
const TICK: Duration = Duration::from_secs(1);
/// Connections of other terminals at once.
const MAX_CONNECTIONS: usize = 64;

/// Something that happened.
enum Turn {
    Pump(Result<PumpEnd<ExitStatus>>),
    Ended(Ended),
    Lost(Error),
    Linked(Result<Link>),
    Signal(Asked),
    Request(Request),
    Connection(UnixStream),
    ConnectionEnded,
    Clock,
    Rang(Rang),
    Unlisted,
    Stopped,
    Disk(DiskWatch, u64),
    Ask(Ask),
    Asked(asks::Done),
}

/// What a run begins with.
pub(super) struct Scene {
    /// The first command, if there is one.
    pub exec: Option<Exec>,
    pub io: Io,
    pub defaults: Defaults,
    /// Where others are listened to already.
    pub server: Option<Server>,
    /// What those see who attach.
    pub first: Option<Arc<First>>,
    pub life: LifeWatch,
}

impl Shim {
    /// What the sandbox adds to its changes and to caches.
    fn disk_watch(&mut self) -> Option<DiskWatch> {
        let caches = self.folder.caches_dir().map(Path::to_owned);
        if let Some(room) = self.room.take() {
            return Some(room.and(caches));
        }
        match self.folder.changes_dir() {
            Some(changes) => Some(DiskWatch::of_changes(changes).and(caches)),
            None => caches.map(|caches| DiskWatch::new(vec![caches])),
        }
    }

    fn asks(&self) -> Asks {
        let dirs = Arc::clone(self.folder.dirs());
        let sandbox = self.folder.id().to_owned();
        Asks::new(self.options.asks, dirs, sandbox, self.handle.clone())
    }

    pub(super) async fn supervise(
        &mut self,
        scene: Scene,
        meter: &Meter,
        on_event: impl FnMut(RunEvent) + Send,
    ) -> Result<Verdict> {
        let Scene {
            exec,
            io,
            defaults,
            server,
            first,
            life,
        } = scene;
        let context = self.context(defaults, first);
        let has_limit = self.options.limits.disk.is_some();
        let disk = if has_limit { self.disk_watch() } else { None };
        let now = Instant::now();
        // Without a terminal nobody waits for old trash, and a sandbox that does nothing costs nothing.
        let record = match &server {
            Some(_) => RecordWatch::begin(&self.folder),
            None => RecordWatch::default(),
        };
        let ticks = context.first.is_none() || disk.is_some() || !record.is_told();
        let asks = self.asks();
        let mut course = Course {
            boundary: &*self.boundary,
            session: &self.session,
            dirs: Arc::clone(self.folder.dirs()),
            options: &self.options,
            control: exec.as_ref().map(Exec::control),
            context,
            requests: &mut self.requests,
            signals: &mut self.signals,
            folder: &mut self.folder,
            problems: &mut self.problems,
            server_at: (self.options.control && server.is_none()).then_some(now + SOON),
            server,
            record,
            life,
            ended: Some(self.boundary.ended()),
            stopping: None,
            relinking: None,
            relinks: 0,
            connections: JoinSet::new(),
            disk: disk.map(Disk::Idle),
            asks,
            transport: self.transport.clone(),
            held: false,
            paused_by_user: false,
            decided: None,
            sandbox: None,
            interrupts: 0,
            wall_at: self.options.limits.wall.map(|wall| now + wall),
            tick_at: ticks.then_some(now + TICK),
            drain_until: None,
            silent_until: None,
            closed: false,
            started: now,
            verdict: &self.verdict,
        };
        let mut pump: Pin<Box<dyn Future<Output = _> + Send>> = match exec {
            Some(exec) => Box::pin(pump::run(exec, io, meter, on_event)),
            None => Box::pin(std::future::pending()),
        };
        course.look_first();
        course.run(pump.as_mut()).await
    }

    /// What connections work with.
    fn context(&self, defaults: Defaults, first: Option<Arc<First>>) -> Context {
        Context {
            id: self.folder.id().to_owned(),
            session: Arc::clone(&self.session),
            defaults: Arc::new(defaults),
            audit: Arc::clone(&self.audit),
            shim: self.handle.clone(),
            verdict: Arc::clone(&self.verdict),
            farewell: CancellationToken::new(),
            first,
            work: Arc::default(),
            paused: Arc::default(),
        }
    }
}

/// A watch on the change set: here, or on its way through a step.
enum Disk {
    Idle(DiskWatch),
    Looking(JoinHandle<(DiskWatch, u64)>),
}

/// Where a run stands.
struct Course<'a> {
    boundary: &'a dyn Boundary,
    session: &'a Session,
    dirs: Arc<StateDirs>,
    options: &'a Options,
    control: Option<ExecControl>,
    context: Context,
    requests: &'a mut mpsc::Receiver<Request>,
    signals: &'a mut Signals,
    folder: &'a mut SandboxFolder,
    problems: &'a mut Vec<Error>,
    server: Option<Server>,
    server_at: Option<Instant>,
    record: RecordWatch,
    life: LifeWatch,
    ended: Option<BoxFuture<'a, Ended>>,
    stopping: Option<BoxFuture<'a, Result<()>>>,
    relinking: Option<BoxFuture<'a, Result<Link>>>,
    relinks: u32,
    connections: JoinSet<()>,
    disk: Option<Disk>,
    asks: Asks,
    /// The way of the workspace, where it travels over the link.
    transport: Option<Arc<Transport>>,
    /// Everything inside is stopped for a moment, for a checkpoint.
    held: bool,
    /// The same, until its user lets it go on.
    paused_by_user: bool,
    /// What the host has decided.
    decided: Option<Verdict>,
    /// What is left to say if the command's own end is never heard.
    sandbox: Option<Ended>,
    interrupts: u32,
    wall_at: Option<Instant>,
    tick_at: Option<Instant>,
    drain_until: Option<Instant>,
    silent_until: Option<Instant>,
    /// The session was closed: there will be no other link.
    closed: bool,
    started: Instant,
    verdict: &'a OnceLock<Exit>,
}

impl Course<'_> {
    fn look_first(&mut self) {
        if self.dirs.trash_is_full() {
            self.keep_house();
        }
        // Before the watch nobody told.
        if self.record.is_told() {
            self.look_at_record();
        }
    }

    async fn run(
        &mut self,
        mut pump: Pin<&mut (dyn Future<Output = Result<PumpEnd<ExitStatus>>> + Send + '_)>,
    ) -> Result<Verdict> {
        loop {
            let turn = self.next(pump.as_mut()).await;
            let end = self.follow(turn).await;
            if !matches!(end, Ok(None)) {
                self.end_asks().await;
            }
            if let Some(verdict) = end? {
                self.say_farewell().await;
                return Ok(verdict);
            }
        }
    }

    async fn next(
        &mut self,
        pump: Pin<&mut (dyn Future<Output = Result<PumpEnd<ExitStatus>>> + Send + '_)>,
    ) -> Turn {
        let alarm = self.alarm();
        let is_up = self.relinking.is_none() && self.silent_until.is_none() && !self.closed;
        let ready_for_asks = self.asks.is_ready() && self.decided.is_none();
        let may_accept = self.connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            biased;
            end = pump => Turn::Pump(end),
            _ = pending_or(&mut self.stopping) => {
                self.stopping = None;
                Turn::Stopped
            }
            ended = pending_or(&mut self.ended) => {
                self.ended = None;
                Turn::Ended(ended)
            }
            link = pending_or(&mut self.relinking) => {
                self.relinking = None;
                Turn::Linked(link)
            }
            error = self.session.lost(), if is_up => Turn::Lost(error),
            asked = self.signals.next() => Turn::Signal(asked),
            Some(request) = self.requests.recv() => Turn::Request(request),
            Some(_) = self.connections.join_next() => Turn::ConnectionEnded,
            () = self.record.changed(), if self.decided.is_none() => Turn::Unlisted,
            rang = self.life.rings(), if self.decided.is_none() => Turn::Rang(rang),
            done = self.asks.done() => Turn::Asked(done),
            ask = self.session.next_ask(), if ready_for_asks => Turn::Ask(ask),
            looked = looked(&mut self.disk) => Turn::Disk(looked.0, looked.1),
            () = clock(alarm) => Turn::Clock,
            stream = accept(self.server.as_ref()), if may_accept => Turn::Connection(stream),
        }
    }

    fn alarm(&self) -> Option<Instant> {
        let wall = self.wall_at.filter(|_| self.decided.is_none());
        [
            wall,
            self.drain_until,
            self.silent_until,
            self.server_at,
            self.tick_at,
            self.asks.alarm(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// What a future gives, if there is one.
async fn pending_or<T>(future: &mut Option<BoxFuture<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn clock(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn accept(server: Option<&Server>) -> UnixStream {
    match server {
        Some(server) => server.accept().await,
        None => std::future::pending().await,
    }
}

async fn looked(disk: &mut Option<Disk>) -> (DiskWatch, u64) {
    if let Some(Disk::Looking(look)) = disk
        && let Ok(looked) = look.await
    {
        return looked;
    }
    std::future::pending().await
}
