//! The process, cgroups and directories of one sandbox, and how they end.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use stockade_domain::Ended;
use stockade_linux::cgroup::Group;
use stockade_linux::idmap::Identity;
use stockade_linux::spawn::Spawned;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::evidence;
use super::identity::Claimed;
use crate::audit::Watcher;
use crate::driver::{Leftover, LeftoverKind};
use crate::error::{Error, Result};

/// What a wall is made of.
pub(crate) struct Parts {
    pub driver: &'static str,
    pub id: String,
    pub spawned: Spawned,
    pub group: Option<Group>,
    /// None once it is shut: the guest ends by that, too.
    pub door: Option<OwnedFd>,
    pub claimed: Claimed,
    /// The supervisor has no right to look into the guest's process.
    pub closed: bool,
}

/// A killed process ends at once, unless the kernel itself is stuck with it.
const DEATH: Duration = Duration::from_secs(10);

/// What stands from the first process on. Dropping it kills what is inside and removes the
/// cgroups, so that a creation that fails or is cancelled leaves nothing.
pub(crate) struct Wall {
    parts: Parts,
    exit: AsyncFd<OwnedFd>,
    ended: OnceLock<Ended>,
    stopping: AtomicBool,
    destroyed: bool,
    starts: Option<Watcher>,
    /// Ends the sandbox's processes after the guest, where no PID namespace does.
    keeper: Option<Keeper>,
}

struct Keeper {
    pid: i32,
    exit: AsyncFd<OwnedFd>,
}

/// What the receipt looks at.
pub(crate) struct Observed<'a> {
    pub pid: i32,
    pub group: Option<&'a Group>,
    pub identity: &'a Identity,
    /// How often the supervisor was told that the guest itself tries to start a program.
    pub told_by_guest: u32,
    /// The supervisor has no right to look into the guest's process.
    pub closed: bool,
    /// The process that ends the sandbox after its guest.
    pub keeper: Option<i32>,
}

impl Wall {
    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let watched = parts
            .spawned
            .pidfd
            .try_clone()
            .and_then(|pidfd| crate::sys::watch(pidfd, Interest::READABLE));
        let exit = match watched {
            Ok(exit) => exit,
            Err(error) => {
                parts.spawned.kill_and_reap();
                return Err(Error::io("watch the guest's process", error));
            }
        };
        Ok(Self {
            parts,
            exit,
            ended: OnceLock::new(),
            stopping: AtomicBool::new(false),
            destroyed: false,
            starts: None,
            keeper: None,
        })
    }

    /// Listens to program starts from now on. The guest passes what that needs while it is set up.
    pub(crate) fn watch_starts(&mut self) -> Result<()> {
        let guest = u32::try_from(self.parts.spawned.pid).unwrap_or(0);
        self.starts = Some(Watcher::start(self.door()?, guest)?);
        Ok(())
    }

    pub(crate) fn take_starts(&mut self) -> Option<Watcher> {
        self.starts.take()
    }

    pub(crate) fn driver(&self) -> &'static str {
        self.parts.driver
    }

    pub(crate) fn id(&self) -> &str {
        &self.parts.id
    }

    pub(crate) fn group(&self) -> Option<&Group> {
        self.parts.group.as_ref()
    }

    pub(crate) fn set_group(&mut self, group: Option<Group>) {
        self.parts.group = group;
    }

    /// Where the guest takes descriptors.
    pub(crate) fn door(&self) -> Result<&OwnedFd> {
        self.parts.door.as_ref().ok_or_else(|| Error::LinkLost {
            why: "the sandbox is being removed".to_owned(),
        })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.parts.claimed.identity
    }

    pub(crate) fn observed(&self) -> Observed<'_> {
        Observed {
            pid: self.parts.spawned.pid,
            group: self.group(),
            identity: self.identity(),
            told_by_guest: self.starts.as_ref().map_or(0, Watcher::told_by_guest),
            closed: self.parts.closed,
            keeper: self.keeper.as_ref().map(|keeper| keeper.pid),
        }
    }

    /// Follows the process that the guest has named as its keeper. Only its child can be.
    pub(crate) fn set_keeper(&mut self, pid: i32) -> Result<()> {
        let failed = |cause: String| Error::building(self.parts.driver, "find the keeper", cause);
        let number =
            rustix::process::Pid::from_raw(pid).ok_or_else(|| failed(format!("no process {pid}")))?;
        let pidfd = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty())
            .map_err(|error| failed(format!("pidfd_open {pid}: {error}")))?;
        // In this order: the number cannot be another's any more.
        let parent = evidence::parent(pid).map_err(failed)?;
        if parent != self.parts.spawned.pid {
            return Err(failed(format!(
                "process {pid} is a child of {parent}, not of the guest"
            )));
        }
        let exit = crate::sys::watch(pidfd, Interest::READABLE)
            .map_err(|error| Error::io("watch the keeper's process", error))?;
        self.keeper = Some(Keeper { pid, exit });
        Ok(())
    }

    /// Why the guest ended before it answered.
    pub(crate) fn early_failure(&mut self, why: String) -> Error {
        let child = self.parts.spawned.early_failure().map(|error| error.to_string());
        let killed = self.group().and_then(|group| group.oom_kills().ok()) > Some(0);
        let (cause, remedy) = match child {
            Some(cause) => (cause, None),
            None if killed => (
                "it was killed at the memory limit".to_owned(),
                Some("raise the limit with --memory".to_owned()),
            ),
            None => (why, None),
        };
        Error::Create {
            driver: self.parts.driver.to_owned(),
            step: "start the guest".to_owned(),
            cause,
            remedy,
        }
    }

    /// Reaps the guest if it has ended.
    fn poll_end(&self) -> Option<Ended> {
        if let Some(ended) = self.ended.get() {
            return Some(ended.clone());
        }
        let ended = match self.parts.spawned.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => self.classify(status.exit_status(), status.terminating_signal()),
            Err(error) => Ended::Lost(format!("the guest's process cannot be waited for: {error}")),
        };
        Some(self.ended.get_or_init(|| ended).clone())
    }

    fn classify(&self, code: Option<i32>, signal: Option<i32>) -> Ended {
        match (code, signal) {
            _ if self.stopping.load(Ordering::Relaxed) => Ended::Stopped,
            (Some(code), _) => Ended::GuestExited(code),
            (None, Some(signal)) if signal == Signal::KILL.as_raw() && self.oom_kills() > 0 => {
                Ended::OutOfMemory
            }
            (None, Some(signal)) => Ended::GuestKilled(signal),
            (None, None) => Ended::Lost("the guest ended in an unknown way".to_owned()),
        }
    }

    /// Zero where it cannot be read: a kill is then reported as a plain one.
    fn oom_kills(&self) -> u64 {
        self.parts
            .group
            .as_ref()
            .and_then(|group| group.oom_kills().ok())
            .unwrap_or(0)
    }

    pub(crate) fn kill(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.parts.spawned.kill();
        if let Some(group) = &self.parts.group {
            // What is paused on cgroup v1 would stay; a failure shows as a process that is left.
            let _ = group.let_die();
        }
    }

    pub(crate) async fn wait_end(&self) -> Ended {
        loop {
            if let Some(ended) = self.poll_end() {
                return ended;
            }
            if let Err(error) = self.exit.readable().await {
                return Ended::Lost(format!("the guest's process cannot be watched: {error}"));
            }
        }
    }

    pub(crate) async fn destroy_all(&mut self) -> Result<Vec<Leftover>> {
        self.kill();
        self.parts.door = None;
        if tokio::time::timeout(DEATH, self.wait_end()).await.is_err() {
            return Ok(vec![
                self.leftover(LeftoverKind::Process, self.parts.spawned.pid.to_string()),
            ]);
        }
        let mut leftovers = Vec::new();
        if let Some(keeper) = &self.keeper
            && tokio::time::timeout(DEATH, keeper.exit.readable()).await.is_err()
        {
            leftovers.push(self.leftover(LeftoverKind::Process, keeper.pid.to_string()));
        }
        if let Some(group) = &self.parts.group
            && group.kill().and_then(|()| group.remove()).is_err()
        {
            leftovers.push(self.leftover(
                LeftoverKind::Cgroup,
                serde_json::to_string(&group.record()).unwrap_or_default(),
            ));
        }
        self.destroyed = leftovers.is_empty();
        Ok(leftovers)
    }

    fn leftover(&self, kind: LeftoverKind, place: String) -> Leftover {
        Leftover {
            driver: self.parts.driver.to_owned(),
            id: self.parts.id.clone(),
            kind,
            place,
        }
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        if self.destroyed {
            return;
        }
        self.parts.door = None;
        self.kill();
        if self.ended.get().is_none() {
            self.parts.spawned.kill_and_reap();
        }
        if let Some(group) = &self.parts.group {
            // What cannot be removed here is found by `gc`: the intent names the cgroup.
            let _ = group.kill().and_then(|()| group.remove());
        }
    }
}
