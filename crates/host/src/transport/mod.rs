//! The workspace of a sandbox that shares no file system with this host. It is sent in at the start, out of the copy
//! in the change set's directory; what becomes of it inside is fetched when somebody wants to see it and at the end, and
//! the copy follows (`stockade_workspace::replica::mirror`). Only what is different from the last time travels.
//!
//! ```text
//! mod     when what is done
//! send    the copy, into the sandbox
//! survey  what is different inside
//! known   what was known before, and what of that is to be fetched
//! fetch   contents, into a stage
//! ```
//!
//! What the guest says is what untrusted code may have told it: paths are resolved beneath the copy, bytes and names
//! are bounded, and what does not fit is left out and named.

mod fetch;
mod known;
mod send;
mod survey;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockade_wire::limits::RECENT_MS;
use stockade_workspace::replica::mirror::{self, Stage, Step};

use self::known::Known;
use crate::driver::Carried;
use crate::error::{Error, Result};
use crate::session::Session;

/// All of one fetch may take so long: a guest that does not end it is not waited for.
const PATIENCE: Duration = Duration::from_secs(600);
/// Names that are told of what could not be fetched.
const NAMED: usize = 8;

/// How much is taken in at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes that contents take on the disk.
    pub(crate) bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 4 << 30 }
    }
}

/// What one fetch brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Nodes of which something was told.
    pub(crate) told: u64,
    /// Nodes that were fetched.
    pub(crate) nodes: u64,
    /// Bytes of contents that came.
    pub(crate) bytes: u64,
    /// What is not in the copy, and why.
    pub(crate) missing: Missing,
}

/// What could not be taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    count: u64,
    /// The first of them.
    named: Vec<(PathBuf, String)>,
}

impl Missing {
    fn add(&mut self, path: &Path, why: impl Into<String>) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push((path.to_owned(), why.into()));
        }
    }

    /// As something that is told, if there is any.
    pub(crate) fn error(&self) -> Option<Error> {
        let (path, why) = self.named.first()?;
        Some(Error::LeftInside {
            count: self.count,
            path: path.clone(),
            why: why.clone(),
        })
    }
}

/// The way between a workspace inside and its copy here.
pub(crate) struct Transport {
    session: Arc<Session>,
    /// The workspace, as the guest is told of it.
    root: PathBuf,
    /// The change set's directory.
    changes: PathBuf,
    trash: PathBuf,
    bounds: Bounds,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The look up to which all is in the copy.
    since: Option<u64>,
    known: Known,
    /// When that was.
    at: Option<Instant>,
}

impl Transport {
    pub(crate) fn new(
        session: Arc<Session>,
        carried: &Carried,
        changes: &Path,
        trash: PathBuf,
        bounds: Bounds,
    ) -> Self {
        Self {
            session,
            root: carried.inside.clone(),
            changes: changes.to_owned(),
            trash,
            bounds,
            state: tokio::sync::Mutex::default(),
        }
    }

    /// Sends the copy in. Nothing of the workload may run yet.
    ///
    /// # Errors
    /// [`Error::Carry`].
    pub(crate) async fn send(&self) -> Result<()> {
        let sent = async {
            mirror::begin(&self.changes)?;
            send::send(&self.session, &self.root, &self.changes).await?;
            // So that of nothing that was sent a change is missed.
            tokio::time::sleep(Duration::from_millis(RECENT_MS * 2)).await;
            let look = survey::survey(&self.session, &self.root, None, false).await?;
            let mut state = self.state.lock().await;
            state.known.learn(look.nodes);
            state.since = Some(look.generation);
            state.at = Some(Instant::now());
            Ok(())
        };
        self.patiently("sent in", sent).await
    }

    /// Makes the copy what is inside now. With `still` nothing of the workload runs any more.
    ///
    /// # Errors
    /// [`Error::Carry`]; the copy is what it was.
    pub(crate) async fn fetch(&self, still: bool) -> Result<Fetched> {
        self.patiently("fetched", self.fetch_now(still)).await
    }

    async fn fetch_now(&self, still: bool) -> Result<Fetched> {
        let mut state = self.state.lock().await;
        let look = survey::survey(&self.session, &self.root, state.since, still).await?;
        let (generation, at) = (look.generation, Instant::now());
        let mut fetched = Fetched {
            told: u64::try_from(look.nodes.len()).unwrap_or(u64::MAX),
            ..Fetched::default()
        };
        let wanted = state
            .known
            .wanted(look, &mut fetched.missing)
            .map_err(Error::protocol)?;
        let (changes, trash) = (self.changes.clone(), self.trash.clone());
        let stage = blocking(move || Ok(Stage::begin(&changes, &trash)?)).await?;
        let job = fetch::Job::new(stage, wanted, self.bounds.bytes, still);
        let done = fetch::fetch(&self.session, &self.root, job).await?;
        fetched.nodes = done.nodes;
        fetched.bytes = done.bytes;
        fetched.missing.join(done.missing);
        let (stage, steps) = (done.stage, done.steps);
        let skipped = if steps.is_empty() {
            Vec::new()
        } else {
            commit(stage, steps).await?
        };
        state.known.accept(done.gone, done.now, &skipped);
        for (path, why) in &skipped {
            fetched.missing.add(path, why.to_string());
        }
        state.since = Some(generation);
        state.at = Some(at);
        Ok(fetched)
    }

    /// Since when the copy has been what it is; none if nothing was ever sent.
    pub(crate) async fn age(&self) -> Option<Duration> {
        Some(self.state.lock().await.at?.elapsed())
    }

    async fn patiently<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let cause = match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(cause)) => cause,
            Err(_) => Error::Timeout {
                what: "the guest did not answer in time".to_owned(),
                after: PATIENCE,
            },
        };
        Err(Error::Carry {
            operation,
            cause: Box::new(cause),
        })
    }
}

impl Missing {
    fn join(&mut self, other: Self) {
        self.count += other.count;
        let room = NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.into_iter().take(room));
    }
}

async fn commit(stage: Stage, steps: Vec<Step>) -> Result<Vec<mirror::Skipped>> {
    blocking(move || Ok(stage.commit(steps)?)).await
}

/// Work on the disk, beside the loop.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Error::Cancelled {
            what: "working on the copy of the workspace".to_owned(),
        }),
    }
}
