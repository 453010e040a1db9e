//! The loop: everything that can happen while the first command runs, and what follows.

mod asked;

use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::Ordering;
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
use super::disk::{DiskWatch, STEP};
use super::first::First;
use super::handle::Request;
use super::life::{LifeWatch, Rang};
use super::pump::{self, Meter, PumpEnd, RunEvent};
use super::record::RecordWatch;
use super::signals::{Asked, Signals};
use super::stdio::Io;
use super::verdict::Verdict;
use super::{Options, Shim};
use crate::control::{self, Context, Defaults, Server};
use crate::driver::{Boundary, BoxFuture, Link};
use crate::error::{Error, Result};
use crate::session::{Exec, ExecControl, Session};
use crate::state::{SandboxFolder, StateDirs};

/// What the command gets between SIGTERM and SIGKILL when a limit is reached.
const LIMIT_GRACE: Duration = Duration::from_secs(1);
/// What the guest gets to report the end after that.
const REPORT_GRACE: Duration = Duration::from_millis(500);
/// How long output that nobody reads may hold up an end that is decided.
const DRAIN: Duration = Duration::from_secs(2);
/// When other terminals can connect: a command that ends sooner needs no socket.
const SOON: Duration = Duration::from_millis(20);
/// How long other terminals may take to hear of the end.
const FAREWELL: Duration = Duration::from_millis(500);
/// Between two looks at what changes slowly.
const TICK: Duration = Duration::from_secs(1);
/// The same where only old trash changes.
const LONG_TICK: Duration = Duration::from_secs(30);
/// How long the end of a sandbox that takes no link may take to be told.
const SILENCE: Duration = Duration::from_secs(5);
/// New links between two ticks.
const MAX_RELINKS: u32 = 5;
/// Connections of other terminals at once.
const MAX_CONNECTIONS: usize = 64;
/// What a turn of housekeeping may take; it is done beside the loop.
const HOUSEKEEPING: Duration = Duration::from_millis(20);

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
    fn disk_watch(&self) -> Option<DiskWatch> {
        let caches = self.folder.caches_dir().map(Path::to_owned);
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
        let disk = self.options.limits.disk.and_then(|_| self.disk_watch());
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

    /// What follows; a verdict is the end.
    async fn follow(&mut self, turn: Turn) -> Result<Option<Verdict>> {
        match turn {
            Turn::Pump(end) => return self.pump_ended(end).await.map(Some),
            Turn::Ended(ended) => {
                self.sandbox = Some(ended);
                self.drain();
            }
            // What could not be stopped is destroyed next, and that tells.
            Turn::Stopped => self.drain(),
            // All that came before its end was read.
            Turn::Lost(Error::LinkLost { .. }) if self.drain_until.is_some() => {
                self.closed = true;
                self.session.close("the sandbox has ended");
            }
            Turn::Lost(Error::LinkLost { .. }) => self.relink(),
            Turn::Lost(error) => return Err(error),
            Turn::Linked(Ok(link)) => self.session.resume(link),
            Turn::Linked(Err(_)) => self.await_end(),
            Turn::Signal(asked) => self.signalled(asked),
            Turn::Request(request) => self.serve(request).await,
            Turn::Connection(stream) => {
                self.connections
                    .spawn(control::serve(stream, self.context.clone()));
            }
            Turn::ConnectionEnded => {}
            Turn::Ask(ask) => self.asks.begin(ask),
            Turn::Asked(done) => self.asked(done),
            Turn::Rang(rang) => self.rang(rang).await?,
            Turn::Unlisted => self.look_at_record(),
            Turn::Clock => return self.clock(),
            Turn::Disk(watch, bytes) => {
                self.disk = Some(Disk::Idle(watch));
                if self.options.limits.disk.is_some_and(|limit| bytes > limit) {
                    self.decide(Verdict::disk_limit(&self.options.limits), Duration::ZERO);
                }
            }
        }
        Ok(None)
    }

    async fn pump_ended(&mut self, end: Result<PumpEnd<ExitStatus>>) -> Result<Verdict> {
        let verdict = match (self.decided.take(), end) {
            (Some(decided), _) => decided,
            (None, Ok(PumpEnd::OutputLimit)) => Verdict::output_limit(&self.options.limits),
            (None, Ok(PumpEnd::Deaf)) => Verdict::deaf(),
            (None, Ok(PumpEnd::Exited(status))) => Verdict::of_command(status, self.boundary).await,
            (None, Err(error)) => match &self.sandbox {
                Some(ended) => Verdict::of_sandbox(ended)?,
                None => return Err(error),
            },
        };
        let _ = self.verdict.set(verdict.exit);
        Ok(verdict)
    }

    /// The host decides how this ends. The first decision stays.
    fn decide(&mut self, verdict: Verdict, grace: Duration) {
        if self.decided.is_none() {
            let _ = self.verdict.set(verdict.exit);
            self.decided = Some(verdict);
        } else if !grace.is_zero() {
            return;
        }
        if !grace.is_zero() {
            self.session.shut_down(grace);
        }
        let report = if grace.is_zero() {
            Duration::ZERO
        } else {
            REPORT_GRACE
        };
        let boundary = self.boundary;
        let is_paused = self.context.paused.swap(false, Ordering::Relaxed);
        self.stopping = Some(Box::pin(async move {
            // To end by itself it has to run; what cannot run is killed all the same.
            if let Some(pauses) = boundary.pauses().filter(|_| is_paused && !grace.is_zero()) {
                let _ = pauses.resume().await;
            }
            boundary.stop(grace + report).await
        }));
    }

    /// The sandbox is no more: what is still on its way is read up to the end of the link,
    /// and written.
    fn drain(&mut self) {
        self.relinking = None;
        self.silent_until = None;
        // Without a first command there is nothing to read.
        let time = if self.control.is_some() {
            DRAIN
        } else {
            Duration::ZERO
        };
        self.drain_until.get_or_insert(Instant::now() + time);
    }

    async fn rang(&mut self, rang: Rang) -> Result<()> {
        if rang == Rang::Ttl {
            self.decide(Verdict::lived_enough(), self.options.grace);
            return Ok(());
        }
        let written = self.context.first.as_ref().map(|first| first.log.last_write());
        let last = self.context.work.last().max(written.unwrap_or_default());
        if self.life.is_idle(last, self.boundary).await? {
            self.decide(Verdict::idle(), self.options.grace);
        }
        Ok(())
    }

    /// Lets other terminals hear how their commands ended.
    async fn say_farewell(&mut self) {
        if let Some(first) = &self.context.first {
            first.log.close();
        }
        if self.connections.is_empty() {
            return;
        }
        self.session.close("the sandbox has ended");
        self.context.farewell.cancel();
        let all = async { while self.connections.join_next().await.is_some() {} };
        // One that does not read misses it.
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }

    fn relink(&mut self) {
        self.relinks += 1;
        if self.relinks > MAX_RELINKS {
            return self.await_end();
        }
        self.relinking = Some(self.boundary.link());
    }

    /// A sandbox that takes no link is ending: a process loses its sockets before its end
    /// is told.
    fn await_end(&mut self) {
        self.silent_until = Some(Instant::now() + SILENCE);
    }

    fn signalled(&mut self, asked: Asked) {
        match asked {
            Asked::Interrupt => {
                self.interrupts += 1;
                if self.interrupts == 1 && self.control.is_some() {
                    self.signal(u8::try_from(libc::SIGINT).unwrap_or(2), true);
                } else {
                    self.decide(Verdict::stopped("interrupted twice"), LIMIT_GRACE);
                }
            }
            // Asked again, it is in a hurry.
            Asked::End { signal } => {
                let grace = if self.decided.is_some() {
                    Duration::ZERO
                } else {
                    self.options.grace
                };
                self.decide(Verdict::stopped(format!("Stockade got signal {signal}")), grace);
            }
        }
    }

    /// A session that has failed tells so itself, and a guest that does not listen misses it.
    fn signal(&self, number: u8, whole_group: bool) {
        if let Some(control) = &self.control {
            let _ = control.signal(number, whole_group);
        }
    }

    fn clock(&mut self) -> Result<Option<Verdict>> {
        let now = Instant::now();
        self.asks.clock(now);
        let passed = |until: Option<Instant>| until.is_some_and(|until| now >= until);
        if passed(self.drain_until) || passed(self.silent_until) {
            // Nobody reads the output, or nobody speaks any more. What was decided counts.
            return match (self.decided.take(), &self.sandbox) {
                (Some(decided), _) => Ok(Some(decided)),
                (None, Some(ended)) => Verdict::of_sandbox(ended).map(Some),
                (None, None) => Err(Error::LinkLost {
                    why: "the sandbox does not answer".to_owned(),
                }),
            };
        }
        if self.decided.is_none() && passed(self.wall_at) {
            self.decide(Verdict::timed_out(&self.options.limits), LIMIT_GRACE);
        }
        if passed(self.server_at) {
            self.listen();
        }
        if passed(self.tick_at) {
            self.tick_at = Some(now + if self.disk.is_some() { TICK } else { LONG_TICK });
            self.relinks = 0;
            self.look_at_record();
            if self.dirs.trash_has_some() {
                self.keep_house();
            }
            self.look_at_disk();
        }
        Ok(None)
    }

    /// A sandbox that nobody can find any more ends.
    fn look_at_record(&mut self) {
        if self.decided.is_none() && !self.folder.is_in_place() {
            self.decide(Verdict::unrecorded(), LIMIT_GRACE);
        }
    }

    /// Opens the sandbox to other terminals. One that they cannot reach is one all the same.
    fn listen(&mut self) {
        self.server_at = None;
        self.record = RecordWatch::begin(self.folder);
        // Before that nobody told.
        self.look_at_record();
        match Server::bind(self.folder.dir()) {
            Ok(server) => self.server = Some(server),
            Err(error) => self.problems.push(error),
        }
    }

    /// Frees what ended runs have left, beside the loop.
    fn keep_house(&self) {
        let dirs = Arc::clone(&self.dirs);
        drop(tokio::task::spawn_blocking(move || {
            dirs.empty_trash(HOUSEKEEPING)
        }));
    }

    fn look_at_disk(&mut self) {
        self.disk = match self.disk.take() {
            Some(Disk::Idle(mut watch)) => Some(Disk::Looking(tokio::task::spawn_blocking(move || {
                let bytes = watch.step(STEP);
                (watch, bytes)
            }))),
            other => other,
        };
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
