//! All that is known of one sandbox.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use stockade_domain::Usage;
use stockade_host::control::Client;
use stockade_host::driver::Leftover;
use stockade_host::meter::Meter;
use stockade_host::state::{Clocks, Detached, notes};

use super::budget::Shared;
use super::sandboxes::{Sandbox, State};
use super::{Result, state};

/// How long a live sandbox may take to say what it uses.
const PATIENCE: Duration = Duration::from_secs(5);

/// A sandbox in all detail.
#[derive(Clone, Debug, Serialize)]
pub struct Details {
    /// What lists show of it.
    #[serde(flatten)]
    pub sandbox: Sandbox,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// Milliseconds since 1970.
    pub ended_ms: Option<u64>,
    /// The process that supervises it.
    pub supervisor_pid: Option<u32>,
    /// What it uses, and none where it does not run.
    pub usage: Option<Usage>,
    /// Processes that were killed at the memory limit so far, or in its whole life; none where they are not counted.
    pub oom_kills: Option<u64>,
    /// What all sandboxes beside it share, and their use.
    pub budget: Option<Shared>,
    /// Milliseconds since its first command was started.
    pub running_ms: Option<u64>,
    /// Its state directory, with its log.
    pub directory: PathBuf,
    /// The change set that it writes, as `stockade changes` lists it.
    pub change_set: Option<String>,
    /// Its record stays when it has ended.
    pub kept: bool,
    /// What could not be removed at its end.
    pub leftovers: Vec<Leftover>,
    /// What failed and did not decide how it ended.
    pub problems: Vec<String>,
    /// What its supervisor noted, for example that the host changed files of the workspace.
    pub notes: Vec<String>,
    /// How it lives without a terminal.
    pub life: Option<Detached>,
}

/// Finds a sandbox and asks what it uses.
///
/// # Errors
/// There is none of that name, or its state cannot be read.
pub async fn inspect(name: &str) -> Result<Details> {
    let dirs = state()?;
    let found = dirs.find(name)?;
    let status = found.status.clone();
    let sandbox = Sandbox::new(found, Clocks::now()).noted(&dirs);
    let is_up = matches!(sandbox.state, State::Running | State::Paused);
    let measured = if is_up {
        let asking = async { Client::connect(&dirs, &status.id).await?.inspect().await };
        // One that ends just now uses nothing any more.
        tokio::time::timeout(PATIENCE, asking)
            .await
            .ok()
            .and_then(|asked| asked.ok())
    } else {
        None
    };
    let budget = is_up.then(|| Meter::new(&dirs, &status).budget()).flatten();
    let directory = dirs.path().join("sandboxes").join(&status.id);
    Ok(Details {
        notes: notes(&directory),
        budget: budget.map(Shared::from),
        created_ms: status.created_ms,
        ended_ms: status.ended_ms,
        supervisor_pid: is_up.then_some(status.shim.pid),
        usage: measured.map(|measured| measured.usage),
        oom_kills: measured.map_or(status.oom_kills, |measured| measured.usage.oom_kills),
        running_ms: measured.map(|measured| u64::try_from(measured.running.as_millis()).unwrap_or(u64::MAX)),
        directory,
        change_set: status.change_set,
        kept: status.keep,
        leftovers: status.leftovers,
        problems: status.problems,
        life: status.detached,
        sandbox,
    })
}
