//! The driver seam: a driver builds a wall that meets a plan and opens one pipe through
//! it. Everything else (commands, streams, terminals, signals, files, limits on time and
//! output, state, audit) is written once, on the two ends of that pipe.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stockade_domain::{Demand, Demands, Ended, Level, Plan, Receipt, SessionKind, Support, Target, Usage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::audit::Watcher;
use crate::error::{Error, Result};
use crate::view::Identity;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One way to build a sandbox.
pub trait Driver: Send + Sync {
    /// The name users write: `native`, `docker` …
    fn name(&self) -> &'static str;
    /// Of what builds the wall: a driver that uses an engine of its own adds that engine's.
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }
    /// Finds the facts about what this driver works on. Costs little; changes nothing.
    fn survey(&self) -> BoxFuture<'_, Result<Target>>;
    /// What a sandbox will share with the host.
    fn level(&self, target: &Target, demands: &Demands) -> Level;
    /// What can be done inside.
    fn session(&self, target: &Target) -> SessionKind;
    /// Whether a demand can be met on a target. Pure, and exhaustive over the controls.
    fn support(&self, target: &Target, demand: &Demand) -> Support;
    /// Who the workload will be inside, given its workspace: what the file view tells programs.
    ///
    /// # Errors
    /// The owner of the workspace cannot be read.
    fn identity(&self, target: &Target, workspace: Option<&Path>) -> std::io::Result<Identity>;
    /// Why a copy-on-write workspace has to be copied here; none where an overlay can be laid over
    /// it. Must cost next to nothing.
    fn copy_instead(&self, target: &Target, workspace: &Path, state: &Path) -> Option<String> {
        let _ = (target, workspace, state);
        None
    }
    /// The ordered set-up steps of a plan, to be shown.
    ///
    /// # Errors
    /// What the steps depend on cannot be read.
    fn steps(&self, target: &Target, plan: &Plan) -> Result<Vec<String>> {
        let _ = (target, plan);
        Ok(Vec::new())
    }
    /// Tries out what a survey only concludes from settings. Costs more than a survey; leaves
    /// nothing.
    ///
    /// # Errors
    /// Why no sandbox could be built, and what to do.
    fn probe(&self, target: &Target) -> std::result::Result<(), Support> {
        let _ = target;
        Ok(())
    }
    /// Builds the wall and gathers the receipt. When it fails or is cancelled, nothing stays.
    fn create<'a>(&'a self, plan: Plan, seed: Seed) -> BoxFuture<'a, Result<Box<dyn Boundary>>>;
    /// Takes over a sandbox after a restart of its supervisor: planned and checked anew.
    fn adopt(&self, record: Record) -> BoxFuture<'_, Result<Box<dyn Boundary>>>;
    /// Finds what ended supervisors left behind.
    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>>>;
    /// Removes one leftover; doing it twice is no error.
    fn reap(&self, leftover: Leftover) -> BoxFuture<'_, Result<()>>;
    /// Removes a leftover of which nothing else is known, if that can harm nobody: nothing runs
    /// in it, and it is of the owner that is meant. True if it is gone, or would be. A driver
    /// that cannot tell leaves it.
    fn sweep<'a>(&'a self, _leftover: &'a Leftover, _sweep: Sweep<'a>) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(false) })
    }
}

/// A standing wall.
pub trait Boundary: Send + Sync {
    /// What another process needs to find, adopt or reap this sandbox; written to disk
    /// before `create` returns.
    fn record(&self) -> Record;
    /// The evidence.
    fn receipt(&self) -> &Receipt;
    /// Opens a pipe to the guest. May be called again after a link dropped: streams
    /// resume by offset.
    fn link(&self) -> BoxFuture<'_, Result<Link>>;
    /// What is used now, measured from outside.
    fn usage(&self) -> BoxFuture<'_, Result<Usage>>;
    /// Resolves when the sandbox as a whole has ended, told from outside.
    fn ended(&self) -> BoxFuture<'_, Ended>;
    /// Asks the guest to end, and kills it after `grace`.
    fn stop(&self, grace: Duration) -> BoxFuture<'_, Result<()>>;
    /// Removes everything; what could not be removed is returned and can be tried again.
    fn destroy(&mut self) -> BoxFuture<'_, Result<Vec<Leftover>>>;
    /// What is told of program starts inside, if that was asked for; can be taken once.
    fn starts(&mut self) -> Option<Watcher> {
        None
    }
    /// Where the workspace is, if this host sees nothing of it: it is sent in over the link before the first command,
    /// and what becomes of it is fetched.
    fn carried(&self) -> Option<Carried> {
        None
    }
    /// The ability to take snapshots, where there is one.
    fn snapshots(&self) -> Option<&dyn Snapshots> {
        None
    }
    /// The ability to pause, where there is one.
    fn pauses(&self) -> Option<&dyn Pauses> {
        None
    }
}

/// Optional ability: freeze and thaw all processes.
pub trait Pauses: Send + Sync {
    /// No instruction inside runs after this returns.
    fn pause(&self) -> BoxFuture<'_, Result<()>>;
    /// Runs on.
    fn resume(&self) -> BoxFuture<'_, Result<()>>;
}

/// Optional ability: keep the whole state and start from it again.
pub trait Snapshots: Send + Sync {
    /// Takes a snapshot under a name.
    fn snapshot<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// A byte stream between host and guest.
pub type Link = Box<dyn LinkStream>;

/// What a link can do. Any connected async stream is one.
pub trait LinkStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> LinkStream for T {}

/// A workspace that travels over the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Where it is inside, as the guest is told.
    pub inside: PathBuf,
    /// Where that takes room on this host, if it does: for the disk limit.
    pub room: Option<PathBuf>,
}

/// What a new sandbox starts from.
pub struct Seed {
    /// The sandbox's id: names its state directory, cgroups and audit log.
    pub id: String,
    /// Where its state lives (mode 0700, exists).
    pub state_dir: PathBuf,
    /// Where a copy-on-write workspace keeps its changes (mode 0700, exists); holds `upper` and `work`.
    pub changes_dir: Option<PathBuf>,
    /// Where what is added to caches is kept (mode 0700, exists); without it they are read-only.
    pub caches_dir: Option<PathBuf>,
    /// Where copies of system directories are kept for later sandboxes (mode 0700, exists); without it
    /// none are.
    pub trees_dir: Option<PathBuf>,
    /// The program that becomes the guest.
    pub guest: GuestProgram,
    /// Fresh or from a snapshot.
    pub origin: SeedOrigin,
    /// The workspace is sent in over the link, also where the driver could show it otherwise. A driver that cannot refuses.
    pub over_link: bool,
    /// Told about each slow step.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
    /// Told what the user has to know and did not ask for.
    pub warn: Arc<dyn Fn(&str) + Send + Sync>,
    /// Creation fails after this.
    pub deadline: Instant,
    /// Creation fails, and cleans up, when this is cancelled.
    pub cancel: CancellationToken,
}

/// The program that becomes the guest, and for which machine it is.
#[derive(Clone)]
pub struct GuestProgram {
    /// Path on the host.
    pub path: PathBuf,
    /// Arguments after argv[0] that make it a guest; empty for the guest-only binary.
    pub arguments: Vec<String>,
}

impl GuestProgram {
    /// The running program: it has to hand over to the guest's `main` when its own name
    /// (`argv[0]`) is `stockade-guest`, before it starts a thread.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn this() -> Result<Self> {
        let path = std::env::current_exe().map_err(|error| Error::io("find this program", error))?;
        Ok(Self {
            path,
            arguments: Vec::new(),
        })
    }
}

/// Where the state of a new sandbox comes from.
pub enum SeedOrigin {
    /// An empty one.
    Fresh,
    /// A snapshot by name.
    Snapshot(String),
}

/// What another process needs to find a sandbox again. Versioned JSON; `body` belongs to the driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the body's form.
    pub version: u32,
    /// The driver that wrote it.
    pub driver: String,
    /// The sandbox.
    pub id: String,
    /// The driver's own data (pids with start times, cgroup paths, container ids).
    pub body: serde_json::Value,
}

/// Which leftovers without any record may be removed.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// Only those with this mark: [`crate::state::owner_mark`] of the directory that holds the
    /// state of its sandboxes. Any if there is none.
    pub owner: Option<&'a str>,
    /// Only tell.
    pub dry_run: bool,
}

/// Something of ours that outlived its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// The driver that can remove it.
    pub driver: String,
    /// The sandbox it belonged to.
    pub id: String,
    /// What it is.
    pub kind: LeftoverKind,
    /// Where it is, in the driver's terms (a path, a pid with start time, a container id).
    pub place: String,
}

/// Kinds of leftovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftoverKind {
    /// A running process.
    Process,
    /// A cgroup directory.
    Cgroup,
    /// A mount.
    Mount,
    /// A directory of ours.
    Directory,
    /// An object of an engine or provider.
    Engine,
}
