//! What is asked of a supervisor, in its loop: by others on the host, and by commands inside.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::Course;
use crate::error::{Error, Result};
use crate::shim::asks::Done;
use crate::shim::handle::Request;
use crate::shim::verdict::Verdict;

impl Course<'_> {
    pub(super) async fn serve(&mut self, request: Request) {
        match request {
            Request::Resize(size) => drop(self.control.as_ref().map(|control| control.resize(size))),
            Request::Signal { number, whole_group } => self.signal(number, whole_group),
            Request::Stop { grace, by } => self.decide(Verdict::stopped(by), grace),
            Request::Pause { pause, answer } => {
                let done = self.pause(pause).await;
                // Who asked may have left.
                let _ = answer.send(done);
            }
            Request::Hold { hold, answer } => {
                let done = self.hold(hold).await;
                let _ = answer.send(done);
            }
            Request::Fetch(answer) => self.fetch(answer),
            Request::Usage(answer) => {
                let usage = self.boundary.usage().await;
                // Who asked may have left.
                let _ = answer.send(usage.map(|usage| (usage, self.started.elapsed())));
            }
        }
    }

    /// Fetches the workspace, beside the loop.
    fn fetch(&self, answer: oneshot::Sender<Result<()>>) {
        let busy = |why: &str| Error::Busy {
            what: "fetch what was changed inside".to_owned(),
            why: why.to_owned(),
        };
        let refused = if self.context.paused.load(Ordering::Relaxed) || self.held {
            Some(busy("the sandbox is paused: stockade resume"))
        } else {
            self.decided.as_ref().map(|_| busy("the sandbox is ending"))
        };
        let (None, Some(transport)) = (&refused, self.transport.clone()) else {
            let _ = answer.send(refused.map_or(Ok(()), Err));
            return;
        };
        tokio::spawn(async move {
            let fetched = transport.fetch(false).await;
            let told = fetched.and_then(|fetched| fetched.missing.error().map_or(Ok(()), Err));
            // Who asked may have left.
            let _ = answer.send(told);
        });
    }

    /// Records and answers. What happened is told to those who look, whatever the record says.
    pub(super) fn asked(&mut self, done: Done) {
        if let Some(event) = &done.event {
            let mut audit = self.context.audit.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = audit.note(event) {
                self.problems.push(error);
            }
        }
        done.tell(self.session);
    }

    /// Its clocks go on meanwhile.
    pub(super) async fn pause(&mut self, pause: bool) -> Result<()> {
        let Some(pauses) = self.boundary.pauses().filter(|_| self.decided.is_none()) else {
            let (verb, why) = match (pause, self.decided.is_some()) {
                (true, false) => ("pause", "this driver cannot"),
                (false, false) => ("resume", "this driver cannot"),
                (true, true) => ("pause", "it is ending"),
                (false, true) => ("resume", "it is ending"),
            };
            return Err(Error::Impossible {
                what: format!("{verb} the sandbox"),
                why: why.to_owned(),
                remedy: None,
            });
        };
        if pause {
            pauses.pause().await?;
        } else if !self.held {
            pauses.resume().await?;
        }
        self.paused_by_user = pause;
        self.context.paused.store(pause, Ordering::Relaxed);
        self.folder.paused(pause, self.boundary.record())
    }

    /// Stops everything inside, or lets it go on. What its user has paused stays so. False where it
    /// cannot be stopped.
    pub(super) async fn hold(&mut self, hold: bool) -> Result<bool> {
        if self.context.paused.load(Ordering::Relaxed) && !self.held {
            return Ok(true);
        }
        let Some(pauses) = self.boundary.pauses() else {
            return Ok(false);
        };
        if !hold {
            self.held = false;
            if self.paused_by_user {
                return Ok(true);
            }
            pauses.resume().await?;
        } else if pauses.pause().await.is_err() {
            return Ok(false);
        } else {
            self.held = true;
        }
        // A supervisor that is killed now leaves it stopped, and the record tells how to free it.
        self.folder.paused(hold, self.boundary.record())?;
        Ok(true)
    }

    /// Ends what is under way, which needs this loop to let the sandbox go on.
    pub(super) async fn end_asks(&mut self) {
        self.asks.stop();
        while self.asks.is_busy() {
            tokio::select! {
                done = self.asks.done() => self.asked(done),
                Some(request) = self.requests.recv() => self.serve(request).await,
            }
        }
    }
}
