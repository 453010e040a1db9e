//! Checkpoints that commands inside ask for. One is taken at a time, and the next waits: what is
//! asked for inside must not keep the host's disk busy, nor fill it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stockade_wire::{Answer, Ask, AskId, Asked};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ShimHandle;
use crate::audit::Event;
use crate::checkpoints::inside::{self, Order};
use crate::state::StateDirs;

/// Between two checkpoints, at least.
const BETWEEN: Duration = Duration::from_secs(1);
/// And so many times as long as the last one took.
const REST: u32 = 4;

/// What came of an ask.
pub(super) struct Done {
    id: AskId,
    answer: Answer,
    pub(super) event: Option<Event>,
    began: Instant,
}

/// What is asked for from inside, and what is done about it.
pub(super) struct Asks {
    allowed: bool,
    dirs: Arc<StateDirs>,
    sandbox: String,
    shim: ShimHandle,
    stop: Arc<AtomicBool>,
    job: Option<JoinHandle<Done>>,
    not_before: Option<Instant>,
}

impl Asks {
    pub(super) fn new(allowed: bool, dirs: Arc<StateDirs>, sandbox: String, shim: ShimHandle) -> Self {
        Self {
            allowed,
            dirs,
            sandbox,
            shim,
            stop: Arc::default(),
            job: None,
            not_before: None,
        }
    }

    /// The next ask may be heard.
    pub(super) fn is_ready(&self) -> bool {
        self.allowed && self.job.is_none() && self.not_before.is_none()
    }

    /// When it may, if that is what it waits for.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.job.is_none())
    }

    /// Time has passed.
    pub(super) fn clock(&mut self, now: Instant) {
        self.not_before = self.not_before.filter(|until| now < *until);
    }

    /// Begins to do what is asked for, beside the loop.
    pub(super) fn begin(&mut self, ask: Ask) {
        let order = Order {
            dirs: Arc::clone(&self.dirs),
            sandbox: self.sandbox.clone(),
            stop: Arc::clone(&self.stop),
        };
        let shim = self.shim.clone();
        self.job = Some(tokio::spawn(async move {
            let began = Instant::now();
            let (answer, event) = match ask.what {
                Asked::List => (inside::list(&order).await, None),
                Asked::Checkpoint { name } => {
                    let (answer, event) = inside::take(order, &shim, name).await;
                    (answer, Some(event))
                }
            };
            Done {
                id: ask.id,
                answer,
                event,
                began,
            }
        }));
    }

    /// Waits until it is done; for ever if nothing is. Cancel safe.
    pub(super) async fn done(&mut self) -> Done {
        loop {
            let Some(job) = &mut self.job else {
                return std::future::pending().await;
            };
            let done = job.await;
            self.job = None;
            // One that was cancelled has nobody to tell.
            if let Ok(done) = done {
                let now = Instant::now();
                self.not_before = done
                    .event
                    .is_some()
                    .then(|| now + BETWEEN.max((now - done.began) * REST));
                return done;
            }
        }
    }

    /// What is under way ends soon, and nothing begins.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.allowed = false;
    }

    /// Something is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.job.is_some()
    }
}

impl Done {
    pub(super) fn tell(self, session: &crate::session::Session) {
        session.answer(self.id, self.answer);
    }
}
