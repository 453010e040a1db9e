//! Checkpoints that commands inside ask for, with `stockade checkpoint`. They may ask, and hear of
//! those that were asked for; nothing else is to be had, and what they hear names nothing of the host.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use stockade_wire::{Answer, AskedCheckpoint, MAX_LISTED};
use stockade_workspace::WriteError;
use stockade_workspace::checkpoint::{self, Checkpoint, InsideLimits, Wish};
use stockade_workspace::replica::Calm;

use crate::audit::Event;
use crate::error::{Error, Result};
use crate::shim::ShimHandle;
use crate::state::{ChangeSet, StateDirs, unix_ms};

/// What stays free on the disk of the state directory, whatever is asked for inside.
const KEPT_FREE_BYTES: u64 = 1 << 30;
/// What freeing the place of older ones may take.
const FREEING: Duration = Duration::from_secs(30);

/// For whom something is done.
pub(crate) struct Order {
    pub(crate) dirs: Arc<StateDirs>,
    pub(crate) sandbox: String,
    /// It is not wanted any more.
    pub(crate) stop: Arc<AtomicBool>,
}

/// Why there is no checkpoint.
enum Failed {
    /// More than there may be.
    TooLarge,
    /// The disk is nearly full.
    NoRoom,
    /// The sandbox is ending.
    Ending,
    /// Something else, which is not the sandbox's business.
    Host(Error),
}

/// Takes a checkpoint. The sandbox is paused meanwhile, where that is possible.
pub(crate) async fn take(order: Order, shim: &ShimHandle, name: Option<String>) -> (Answer, Event) {
    // A copy that follows what is told stands still by itself, once it is told.
    let fetched = shim.fetch().await;
    let paused = shim.hold(true).await.unwrap_or(false);
    let asked = name.clone();
    let work = move || copy(&order, name.as_deref(), !paused);
    let copied = tokio::task::spawn_blocking(work).await;
    let resumed = if paused {
        shim.hold(false).await.map(drop)
    } else {
        Ok(())
    };
    let taken = copied.unwrap_or(Err(Failed::Ending));
    let taken = match fetched {
        Ok(()) => taken,
        Err(error) => Err(Failed::Host(error)),
    };
    let taken = match (taken, resumed) {
        (Ok(_), Err(error)) => Err(Failed::Host(error)),
        (taken, _) => taken,
    };
    let (answer, number, refused) = match taken {
        Ok(taken) => (Answer::Taken(told(&taken)), Some(taken.number), None),
        Err(failed) => (Answer::Refused(failed.inside()), None, Some(failed.outside())),
    };
    let event = Event::Checkpoint {
        number,
        name: asked,
        paused,
        refused,
    };
    (answer, event)
}

/// Those that were asked for from inside, the newest of them.
pub(crate) async fn list(order: &Order) -> Answer {
    let (dirs, sandbox) = (Arc::clone(&order.dirs), order.sandbox.clone());
    let work = move || -> Result<Vec<Checkpoint>> { super::list(&set_of(&dirs, &sandbox)?) };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(all)) => {
            let inside: Vec<AskedCheckpoint> =
                all.iter().filter(|one| one.inside.is_some()).map(told).collect();
            let first = inside.len().saturating_sub(MAX_LISTED);
            Answer::Listed(inside.get(first..).unwrap_or_default().to_vec())
        }
        Ok(Err(_)) | Err(_) => Answer::Refused("the supervisor could not read them".to_owned()),
    }
}

fn copy(order: &Order, name: Option<&str>, moving: bool) -> std::result::Result<Checkpoint, Failed> {
    let host = Failed::Host;
    let dirs = &order.dirs;
    let set = set_of(dirs, &order.sandbox).map_err(host)?;
    let free = free_bytes(set.directory()).map_err(host)?;
    let spare = free.checked_sub(KEPT_FREE_BYTES).ok_or(Failed::NoRoom)?;
    let limits = InsideLimits {
        bytes: InsideLimits::DEFAULT.bytes.min(spare),
        ..InsideLimits::DEFAULT
    };
    let calm = if moving { Calm::Moving } else { Calm::Still };
    let look = dirs.look(&set, calm).map_err(host)?;
    let wish = Wish {
        sandbox: &order.sandbox,
        name,
        now_ms: unix_ms(),
        moving,
        limits,
        stop: &|| order.stop.load(Ordering::Relaxed),
    };
    let taken = checkpoint::take_inside(set.directory(), look.upper(), &dirs.trash_path(), &wish, &|_| {});
    // A draft is trash as well, and what makes room must not fill the disk as trash.
    drop(look);
    // What stays is tried again at the next.
    let _ = dirs.empty_trash(FREEING);
    taken.map_err(|error| match &error {
        WriteError::Checkpoint { cause, .. } => match Errno::from_io_error(cause) {
            Some(Errno::FBIG) if limits.bytes < InsideLimits::DEFAULT.bytes => Failed::NoRoom,
            Some(Errno::FBIG) => Failed::TooLarge,
            Some(Errno::NOSPC | Errno::DQUOT) => Failed::NoRoom,
            Some(Errno::CANCELED) => Failed::Ending,
            _ => Failed::Host(error.into()),
        },
        _ => Failed::Host(error.into()),
    })
}

fn set_of(dirs: &StateDirs, sandbox: &str) -> Result<ChangeSet> {
    let is_ours = |set: &ChangeSet| set.live && set.user.as_ref().is_some_and(|user| user.id == sandbox);
    let found = dirs.change_sets()?.into_iter().find(is_ours);
    found.ok_or_else(|| Error::NotFound {
        what: "change set of sandbox",
        name: sandbox.to_owned(),
        remedy: None,
    })
}

fn free_bytes(directory: &Path) -> Result<u64> {
    let seen = rustix::fs::statvfs(directory)
        .map_err(|error| Error::io(format!("ask how much is free on {}", directory.display()), error))?;
    Ok(seen.f_bavail.saturating_mul(seen.f_frsize))
}

fn told(one: &Checkpoint) -> AskedCheckpoint {
    AskedCheckpoint {
        number: one.number,
        name: one.name.clone(),
        age_s: unix_ms().saturating_sub(one.taken_ms) / 1000,
    }
}

impl Failed {
    fn inside(&self) -> String {
        match self {
            Self::TooLarge => format!(
                "the changes are larger than checkpoints from inside may be ({} GiB or {} files): \
                 one has to be taken outside",
                InsideLimits::DEFAULT.bytes >> 30,
                InsideLimits::DEFAULT.nodes,
            ),
            Self::NoRoom => "the disk of the host is nearly full".to_owned(),
            Self::Ending => "the sandbox is ending".to_owned(),
            Self::Host(_) => "the supervisor could not take it; its audit log has the reason".to_owned(),
        }
    }

    fn outside(&self) -> String {
        match self {
            Self::Host(error) => error.to_string(),
            other => other.inside(),
        }
    }
}
