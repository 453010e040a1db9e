//! Sandboxes by name: which there are, stopping and removing them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use stockade_domain::Exit;
use stockade_host::Error;
use stockade_host::control::Client;
use stockade_host::meter::Meter;
use stockade_host::outside::HostChanges;
use stockade_host::state::{Clocks, LOST, Listed, Phase, StateDirs, host_changes};

use super::budget::Shared;
use super::{Result, state};

/// A sandbox as lists show it.
#[derive(Clone, Debug, Serialize)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// Its name; the id where it was given none.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Where it is in its life.
    pub state: State,
    /// Seconds since it was made.
    pub age_seconds: u64,
    /// Its first command.
    pub command: Vec<String>,
    /// The user's directory.
    pub workspace: Option<PathBuf>,
    /// How its first command ended.
    pub exit: Option<Exit>,
    /// Who or what ended it, where it was not its first command.
    pub why: Option<String>,
    /// What its user noted on it.
    pub labels: BTreeMap<String, String>,
    /// It lives without a terminal.
    pub detached: bool,
    /// What the host changed in its workspace while it ran, as far as that was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_changed: Option<HostChanges>,
}

/// Where a sandbox is in its life, as far as it can be seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is being made.
    Creating,
    /// It runs.
    Running,
    /// Nothing in it runs until it is resumed.
    Paused,
    /// It ended and its record is kept.
    Ended,
    /// Its supervisor is gone without having cleaned up: `gc` will.
    Lost,
}

impl Sandbox {
    pub(super) fn new(listed: Listed, now: Clocks) -> Self {
        let age_seconds = listed.age(now).as_secs();
        let Listed { status, live } = listed;
        let state = match (status.phase, live) {
            (Phase::Creating, true) => State::Creating,
            (Phase::Running, true) if status.paused => State::Paused,
            (Phase::Running, true) => State::Running,
            (Phase::Ended, _) => State::Ended,
            (Phase::Creating | Phase::Running, false) => State::Lost,
        };
        Self {
            name: status.label().to_owned(),
            state,
            age_seconds,
            id: status.id,
            driver: status.driver,
            command: status.command,
            workspace: status.workspace,
            exit: status.exit,
            why: status
                .why
                .or_else(|| (state == State::Lost).then(|| LOST.to_owned())),
            labels: status.labels,
            detached: status.detached.is_some(),
            host_changed: None,
        }
    }

    /// The same with what its supervisor noted of the host.
    pub(super) fn noted(self, dirs: &StateDirs) -> Self {
        let folder = dirs.path().join("sandboxes").join(&self.id);
        Self {
            host_changed: host_changes(&folder),
            ..self
        }
    }

    /// True if it has a label, with this value if there is one.
    pub fn has(&self, key: &str, value: Option<&str>) -> bool {
        let found = self.labels.get(key);
        found.is_some_and(|found| value.is_none_or(|value| found == value))
    }

    /// The first command as words.
    pub fn words(&self) -> Vec<OsString> {
        self.command.iter().map(OsString::from).collect()
    }
}

impl State {
    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ended => "ended",
            Self::Lost => "lost",
        }
    }
}

/// All sandboxes, oldest first, and why others cannot be read.
pub fn list() -> Result<(Vec<Sandbox>, Vec<Error>)> {
    let now = Clocks::now();
    let dirs = state()?;
    let (all, unreadable) = dirs.list_all()?;
    let all = all.into_iter();
    let all = all.map(|listed| Sandbox::new(listed, now).noted(&dirs)).collect();
    Ok((all, unreadable))
}

/// What those that run share, and their use; none where nothing runs or nothing is shared.
pub fn budget(all: &[Sandbox]) -> Result<Option<Shared>> {
    let is_up = |sandbox: &&Sandbox| matches!(sandbox.state, State::Running | State::Paused);
    let dirs = state()?;
    for sandbox in all.iter().filter(is_up) {
        // One that has ended meanwhile has no share any more.
        let status = dirs.sandbox(&sandbox.id)?.map(|listed| listed.status);
        if let Some(found) = status.and_then(|status| Meter::new(&dirs, &status).budget()) {
            return Ok(Some(found.into()));
        }
    }
    Ok(None)
}

/// How a sandbox came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was ended now.
    Now,
    /// It had ended before, by itself or by somebody else; how, if its first command started.
    Before(Option<Exit>),
    /// Its supervisor was gone already, and everything in it with it.
    Lost,
}

/// A connection to a sandbox that runs.
///
/// # Errors
/// There is none of that name, or it has ended.
pub async fn connect(name: &str) -> Result<Client> {
    let dirs = state()?;
    let found = dirs.find(name)?;
    let ended = || {
        let remedy = if found.status.detached.is_some() {
            format!(
                "it has ended; what it wrote: stockade logs {}",
                found.status.label()
            )
        } else {
            "start it again with `stockade run`, or see `stockade ls`".to_owned()
        };
        Error::NotFound {
            what: "running sandbox",
            name: name.to_owned(),
            remedy: Some(remedy),
        }
    };
    if !found.live {
        return Err(ended().into());
    }
    match Client::connect(&dirs, &found.status.id).await {
        // It ended in between.
        Err(Error::NotFound { .. }) => Err(ended().into()),
        other => Ok(other?),
    }
}

/// Stops everything in a sandbox where it is, or lets it go on.
///
/// # Errors
/// It does not run, or cannot be paused here, with the reason.
pub async fn pause(name: &str, pause: bool) -> Result<()> {
    Ok(connect(name).await?.pause(pause).await?)
}

/// Ends a sandbox and waits until it is gone.
pub async fn stop(name: &str, grace: Duration) -> Result<Stopped> {
    /// Its supervisor has to remove everything after the last process ended.
    const CLEANING: Duration = Duration::from_secs(10);
    const LOOK_AGAIN: Duration = Duration::from_millis(2);
    let dirs = state()?;
    let found = dirs.find(name)?;
    if !found.live {
        return Ok(match found.status.phase {
            Phase::Ended => Stopped::Before(found.status.exit),
            Phase::Creating | Phase::Running => Stopped::Lost,
        });
    }
    let id = found.status.id;
    Client::connect(&dirs, &id).await?.stop(grace).await?;
    let gone = async {
        while dirs.find(&id).is_ok_and(|found| found.live) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let timeout = |_| Error::Timeout {
        what: format!("stopping {name}"),
        after: CLEANING,
    };
    tokio::time::timeout(CLEANING, gone).await.map_err(timeout)?;
    Ok(Stopped::Now)
}

/// Removes an ended sandbox with its changes; with `force` it is ended first.
pub async fn remove(name: &str, force: bool) -> Result<()> {
    /// Whoever forces does not want to wait.
    const FORCED_GRACE: Duration = Duration::from_millis(100);
    let mut is_stopped = false;
    if force {
        match stop(name, FORCED_GRACE).await {
            Ok(how) => is_stopped = matches!(how, Stopped::Now),
            // Only its changes may be left.
            Err(crate::failure::Failure::Host(Error::NotFound { .. })) => {}
            Err(failure) => return Err(failure),
        }
    }
    reap(name).await?;
    match state()?.remove(name) {
        // It left nothing behind.
        Err(Error::NotFound { .. }) if is_stopped => Ok(()),
        other => Ok(other?),
    }
}

/// Takes away what drivers made for a sandbox whose supervisor was killed: its record, by which it is known
/// whose that is, is about to go.
async fn reap(name: &str) -> Result<()> {
    let listed = state()?.list()?;
    let dead = listed.into_iter().filter(|listed| !listed.live);
    for status in dead.map(|listed| listed.status) {
        let is_meant = status.id == name || status.name.as_deref() == Some(name);
        // Of a driver that this program does not have, `gc` says so.
        let Ok(driver) = super::driver(&status.driver) else {
            continue;
        };
        if !is_meant {
            continue;
        }
        let left = driver.leftovers().await?;
        for leftover in left.into_iter().filter(|leftover| leftover.id == status.id) {
            driver.reap(leftover).await?;
        }
    }
    Ok(())
}
