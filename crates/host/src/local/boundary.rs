//! A standing sandbox whose guest is a child of ours, as the driver seam sees it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::SocketType;
use stockade_domain::{Ended, Receipt, Usage};
use stockade_linux::cgroup::{self, Group, Thawer};
use tokio::net::UnixStream;

use super::talk;
use super::wall::Wall;
use crate::audit::Watcher;
use crate::driver::{Boundary, BoxFuture, Carried, Leftover, Link, Pauses, Record};
use crate::error::{Error, Result};

/// Version of the record's body.
const RECORD_VERSION: u32 = 1;

/// What is done once, when nothing of a sandbox runs any more.
pub(crate) type After = Box<dyn FnOnce() + Send + Sync>;

/// A wall with its evidence and its pipe.
pub(crate) struct LocalBoundary {
    wall: Wall,
    receipt: Receipt,
    first_link: Mutex<Option<UnixStream>>,
    after: Option<After>,
    carried: Option<Carried>,
    /// While it is paused: it dies with us all the same.
    thawer: Mutex<Option<Thawer>>,
}

impl LocalBoundary {
    pub(crate) fn new(wall: Wall, receipt: Receipt, link: UnixStream) -> Self {
        Self {
            wall,
            receipt,
            first_link: Mutex::new(Some(link)),
            after: None,
            carried: None,
            thawer: Mutex::new(None),
        }
    }

    /// Adds what is done when nothing of the sandbox runs any more.
    pub(crate) fn with_after(mut self, after: Option<After>) -> Self {
        self.after = after;
        self
    }
}

impl LocalBoundary {
    /// The workspace travels over the link.
    pub(crate) fn with_carried(mut self, carried: Option<Carried>) -> Self {
        self.carried = carried;
        self
    }
}

impl Boundary for LocalBoundary {
    fn record(&self) -> Record {
        Record {
            version: RECORD_VERSION,
            driver: self.wall.driver().to_owned(),
            id: self.wall.id().to_owned(),
            body: serde_json::json!({
                "pid": self.wall.observed().pid,
                "cgroup": self.wall.group().map(Group::record),
                "identity": self.wall.identity(),
            }),
        }
    }

    fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    fn link(&self) -> BoxFuture<'_, Result<Link>> {
        Box::pin(async move {
            let first = self
                .first_link
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(link) = first {
                return Ok(Box::new(link) as Link);
            }
            let (ours, theirs) = talk::pair(SocketType::STREAM)?;
            talk::send_link(self.wall.door()?, &theirs)?;
            Ok(Box::new(talk::stream(ours)?) as Link)
        })
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        Box::pin(async move { Ok(self.wall.group().map(Group::usage).unwrap_or_default()) })
    }

    fn ended(&self) -> BoxFuture<'_, Ended> {
        Box::pin(self.wall.wait_end())
    }

    /// The guest has been asked by the session; here it gets the time to follow.
    fn stop(&self, grace: Duration) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if !grace.is_zero() && tokio::time::timeout(grace, self.wall.wait_end()).await.is_ok() {
                return Ok(());
            }
            self.wall.kill();
            self.wall.wait_end().await;
            Ok(())
        })
    }

    fn carried(&self) -> Option<Carried> {
        self.carried.clone()
    }

    fn pauses(&self) -> Option<&dyn Pauses> {
        Some(self)
    }

    fn starts(&mut self) -> Option<Watcher> {
        self.wall.take_starts()
    }

    fn destroy(&mut self) -> BoxFuture<'_, Result<Vec<Leftover>>> {
        Box::pin(async move {
            let left = self.wall.destroy_all().await?;
            if left.is_empty()
                && let Some(after) = self.after.take()
            {
                after();
            }
            Ok(left)
        })
    }
}

impl LocalBoundary {
    fn freeze(&self, freeze: bool) -> Result<()> {
        let failed = |why: String, fix: Option<String>| Error::Impossible {
            what: if freeze { "pause" } else { "resume" }.to_owned() + " the sandbox",
            why,
            remedy: fix,
        };
        let Some(group) = self.wall.group() else {
            let fix =
                "run as root, or have a control group delegated to you: `stockade run --dry-run` says more";
            return Err(failed("it has no control group".to_owned(), Some(fix.to_owned())));
        };
        let mut thawer = self.thawer.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever comes next, one that writes later would undo it.
        thawer.take();
        let done = if freeze {
            frozen(group)
        } else {
            group.thaw().map(|()| None)
        };
        done.map(|new| *thawer = new).map_err(|error| match error {
            cgroup::Error::NoFreezer { why, fix } => failed(why, fix),
            other => failed(other.to_string(), None),
        })
    }
}

/// Nothing is paused that would outlive us.
fn frozen(group: &Group) -> cgroup::Result<Option<Thawer>> {
    group.freeze()?;
    group.thaw_at_our_end().inspect_err(|_| {
        // The first error is the one to tell.
        let _ = group.thaw();
    })
}

impl Pauses for LocalBoundary {
    fn pause(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.freeze(true) })
    }

    fn resume(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.freeze(false) })
    }
}
