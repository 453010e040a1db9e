//! What follows of each thing that happens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stockade_wire::ExitStatus;
use tokio::time::Instant;

use super::{Course, Disk, TICK, Turn};
use crate::control::{self, Server};
use crate::error::{Error, Result};
use crate::shim::disk::STEP;
use crate::shim::life::Rang;
use crate::shim::pump::PumpEnd;
use crate::shim::record::RecordWatch;
use crate::shim::signals::Asked;
use crate::shim::verdict::Verdict;
use crate::shim::workspace;

/// What the command gets between SIGTERM and SIGKILL when a limit is reached.
const LIMIT_GRACE: Duration = Duration::from_secs(1);
/// What the guest gets to report the end after that.
const REPORT_GRACE: Duration = Duration::from_millis(500);
/// How long output that nobody reads may hold up an end that is decided.
const DRAIN: Duration = Duration::from_secs(2);
/// How long other terminals may take to hear of the end.
const FAREWELL: Duration = Duration::from_millis(500);
/// Between two looks where only old trash changes.
const LONG_TICK: Duration = Duration::from_secs(30);
/// How long the end of a sandbox that takes no link may take to be told.
const SILENCE: Duration = Duration::from_secs(5);
/// New links between two ticks.
const MAX_RELINKS: u32 = 5;
/// What a turn of housekeeping may take; it is done beside the loop.
const HOUSEKEEPING: Duration = Duration::from_millis(20);

impl Course<'_> {
    /// What follows; a verdict is the end.
    pub(super) async fn follow(&mut self, turn: Turn) -> Result<Option<Verdict>> {
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
    pub(super) fn decide(&mut self, verdict: Verdict, grace: Duration) {
        if self.decided.is_none() {
            let _ = self.verdict.set(verdict.exit);
            self.decided = Some(verdict);
        } else if !grace.is_zero() {
            return;
        }
        // What was changed is fetched before the guest ends.
        let stays = self.transport.is_some() && !grace.is_zero();
        if !grace.is_zero() && !stays {
            self.session.shut_down(grace);
        }
        let report = if grace.is_zero() {
            Duration::ZERO
        } else {
            REPORT_GRACE
        };
        let (boundary, session) = (self.boundary, self.session);
        let is_paused = self.context.paused.swap(false, Ordering::Relaxed);
        self.stopping = Some(Box::pin(async move {
            // To end by itself it has to run; what cannot run is killed all the same.
            if let Some(pauses) = boundary.pauses().filter(|_| is_paused && !grace.is_zero()) {
                let _ = pauses.resume().await;
            }
            if stays {
                // A guest that does not do it is destroyed all the same.
                return workspace::end_commands(session, grace).await;
            }
            boundary.stop(grace + report).await
        }));
    }

    /// The sandbox is no more: what is still on its way is read up to the end of the link,
    /// and written.
    pub(super) fn drain(&mut self) {
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
    pub(super) async fn say_farewell(&mut self) {
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
    pub(super) fn signal(&self, number: u8, whole_group: bool) {
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
    pub(super) fn look_at_record(&mut self) {
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
    pub(super) fn keep_house(&self) {
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
