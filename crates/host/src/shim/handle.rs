//! What others may ask of a supervisor.

use std::time::Duration;

use stockade_domain::Usage;
use stockade_wire::WindowSize;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};

/// Something to do for the supervisor.
pub(super) enum Request {
    Resize(WindowSize),
    Signal {
        number: u8,
        whole_group: bool,
    },
    Stop {
        grace: Duration,
        by: String,
    },
    Pause {
        pause: bool,
        answer: oneshot::Sender<Result<()>>,
    },
    /// For a moment, and not for its user.
    Hold {
        hold: bool,
        answer: oneshot::Sender<Result<bool>>,
    },
    /// The copy of a workspace that travels over the link is to be what is inside now.
    Fetch(oneshot::Sender<Result<()>>),
    Usage(oneshot::Sender<Result<(Usage, Duration)>>),
}

/// A supervisor, for others.
#[derive(Clone)]
pub struct ShimHandle {
    requests: mpsc::Sender<Request>,
}

impl ShimHandle {
    pub(super) fn new(requests: mpsc::Sender<Request>) -> Self {
        Self { requests }
    }

    /// The user's terminal has another size.
    pub fn resize(&self, size: WindowSize) {
        self.ask(Request::Resize(size));
    }

    /// Sends a signal to the first command, or its whole process group.
    pub fn signal(&self, number: u8, whole_group: bool) {
        self.ask(Request::Signal { number, whole_group });
    }

    /// Ends the sandbox: SIGTERM to all commands, SIGKILL after the grace.
    pub fn stop(&self, grace: Duration, by: &str) {
        self.ask(Request::Stop {
            grace,
            by: by.to_owned(),
        });
    }

    /// Stops everything inside, or lets it go on.
    ///
    /// # Errors
    /// [`Error::Impossible`] with the reason, [`Error::LinkLost`] if the supervisor has ended.
    pub async fn pause(&self, pause: bool) -> Result<()> {
        self.answered(|answer| Request::Pause { pause, answer }).await
    }

    /// Stops everything inside for a moment, or lets it go on, unless its user has paused it. False
    /// where it cannot be stopped.
    ///
    /// # Errors
    /// It could not be let go on; [`Error::LinkLost`] if the supervisor has ended.
    pub(crate) async fn hold(&self, hold: bool) -> Result<bool> {
        self.answered(|answer| Request::Hold { hold, answer }).await
    }

    /// Fetches a workspace that travels over the link; another needs nothing. False if the sandbox has none such.
    ///
    /// # Errors
    /// [`Error::Carry`], [`Error::Busy`] while it is paused, and [`Error::LinkLost`] if the supervisor has ended.
    pub(crate) async fn fetch(&self) -> Result<()> {
        self.answered(Request::Fetch).await
    }

    async fn answered<T>(&self, request: impl FnOnce(oneshot::Sender<Result<T>>) -> Request) -> Result<T> {
        let ended = || Error::LinkLost {
            why: "the supervisor has ended".to_owned(),
        };
        let (sender, receiver) = oneshot::channel();
        self.requests.send(request(sender)).await.map_err(|_| ended())?;
        receiver.await.map_err(|_| ended())?
    }

    fn ask(&self, request: Request) {
        // A supervisor that has ended has nothing to do, and one that has 64 things to do
        // can do without this one.
        let _ = self.requests.try_send(request);
    }

    /// What the sandbox uses, and since when its first command runs.
    ///
    /// # Errors
    /// [`Error::LinkLost`] if the supervisor has ended, or what the driver says.
    pub async fn usage(&self) -> Result<(Usage, Duration)> {
        self.answered(Request::Usage).await
    }

    /// Processes killed at the memory limit so far; none where it cannot be told.
    pub(crate) async fn oom_kills(&self) -> Option<u64> {
        self.usage().await.ok().and_then(|(usage, _)| usage.oom_kills)
    }
}
