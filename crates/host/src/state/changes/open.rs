//! Which change set a sandbox writes to.

use std::path::Path;
use std::time::Duration;

use rustix::fs::RenameFlags;
use rustix::io::Errno;
use stockade_workspace::Counts;

use super::live::LIVE;
use super::{ChangesClaim, Lock, PENDING, UPPER, WORK, busy, key, meta, path_of, settle};
use crate::error::{Error, Result};
use crate::state::spare::Kind;
use crate::state::{StateDirs, check_name, id};

/// Others may take and leave a set meanwhile; more often than this means something else.
const ATTEMPTS: u32 = 16;

/// Which changes a sandbox is to find in its workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangesWish {
    /// The set of this name; without one the pending one.
    pub name: Option<String>,
    /// None: what the set held is set aside under another name.
    pub fresh: bool,
}

/// What was found instead of an empty change set.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Changes that nobody has taken over yet; the sandbox goes on with them.
    Unapplied {
        /// The set's name.
        set: String,
        /// How much; none if it could not be read.
        counts: Option<Counts>,
    },
    /// As it was asked for, they were set aside, and the sandbox begins with none.
    SetAside {
        /// The name under which they are kept.
        kept_as: String,
    },
    /// Another sandbox uses the pending set, so this one has a set of its own.
    InUse {
        /// What that sandbox is called, if it could be told.
        by: Option<String>,
        /// The name of the own set.
        own: String,
    },
}

/// A change set that is ours alone.
#[derive(Debug)]
pub(in crate::state) struct Opened {
    pub(in crate::state) claim: ChangesClaim,
    pub(in crate::state) found: Option<Found>,
}

/// Opens the change set that a sandbox is to use, and locks it. One whose changes are to be
/// thrown away has a set of its own: what others left is not its to throw away.
pub(in crate::state) fn open(
    dirs: &StateDirs,
    workspace: &Path,
    wish: &ChangesWish,
    sandbox: &str,
    throwaway: bool,
) -> Result<Opened> {
    if let Some(name) = wish.name.as_ref().filter(|name| !id::is_id(name)) {
        check_name(name)?;
    }
    let own = |found| {
        Ok(Opened {
            claim: make(dirs, &key(workspace, sandbox))?,
            found,
        })
    };
    if wish.name.as_deref() == Some(LIVE) {
        return Err(Error::Busy {
            what: format!("use the change set {LIVE}"),
            why: "it tells what was changed in place: choose another name".to_owned(),
        });
    }
    if throwaway {
        return own(None);
    }
    let name = wish.name.as_deref().unwrap_or(PENDING);
    let key = key(workspace, name);
    let mut found = None;
    for _ in 0..ATTEMPTS {
        match ChangesClaim::lock(dirs, &key)? {
            Lock::Taken(claim) if wish.fresh => {
                let kept_as = set_aside(dirs, workspace, &claim)?;
                found = Some(Found::SetAside { kept_as });
            }
            Lock::Taken(claim) => return go_on(dirs, workspace, claim),
            Lock::Busy => {
                let user = user_of(dirs, &key)?;
                if wish.name.is_some() {
                    return Err(busy(name, user.as_ref()));
                }
                return own(Some(Found::InUse {
                    by: user.map(|user| user.label().to_owned()),
                    own: sandbox.to_owned(),
                }));
            }
            Lock::Missing => match try_make(dirs, &key)? {
                Some(claim) => return Ok(Opened { claim, found }),
                None => continue,
            },
        }
    }
    Err(busy(name, None))
}

fn user_of(dirs: &StateDirs, key: &str) -> Result<Option<crate::state::Status>> {
    let all = dirs.list()?.into_iter();
    Ok(all
        .filter(|listed| listed.live)
        .map(|listed| listed.status)
        .find(|status| status.change_set.as_deref() == Some(key)))
}

/// Goes on with what earlier sandboxes changed.
fn go_on(dirs: &StateDirs, workspace: &Path, claim: ChangesClaim) -> Result<Opened> {
    settle::take_out(dirs, &claim.dir)?;
    // An apply that was killed at its end may have left some of what is no change any more.
    stockade_workspace::forget(claim.path(), &claim.upper())?;
    // Overlay refuses the scratch directory of a mount that was not ended in order.
    match dirs.trash()?.take(claim.dir.fd(), WORK) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(claim.dir.error("remove", WORK, error)),
    }
    let described = meta::read(&claim.dir)?;
    if let Some(meta) = &described
        && meta.workspace != workspace
    {
        return Err(Error::Corrupt {
            path: claim.dir.path().join(meta::FILE),
            why: format!("it belongs to {}", meta.workspace.display()),
        });
    }
    let counts = match described {
        Some(meta) => Some(meta.counts),
        None => settle::look(&claim, workspace).map(|kept| kept.counts),
    };
    // A set of which all was applied is kept for an undo; there is nothing to go on with.
    let counts = counts.filter(|counts| !counts.is_some_and(|counts| counts.is_empty()));
    let found = counts.map(|counts| Found::Unapplied {
        set: claim.name().to_owned(),
        counts,
    });
    Ok(Opened { claim, found })
}

/// Gives a set another name, so that its own is free: the id of the last sandbox that used it.
pub(super) fn set_aside(dirs: &StateDirs, workspace: &Path, claim: &ChangesClaim) -> Result<String> {
    settle::take_out(dirs, &claim.dir)?;
    let last = meta::read(&claim.dir)?.and_then(|meta| meta.runs.last().map(|run| run.id.clone()));
    let names = last.into_iter().chain((0..ATTEMPTS).map(|_| id::new_id()));
    let from = path_of(&claim.key);
    for name in names {
        let (root, to) = (dirs.root().fd(), path_of(&key(workspace, &name)));
        match rustix::fs::renameat_with(root, &from, root, &to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(name),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(dirs.root().error("rename", &from, error)),
        }
    }
    Err(busy(claim.name(), None))
}

pub(super) fn make(dirs: &StateDirs, key: &str) -> Result<ChangesClaim> {
    for _ in 0..ATTEMPTS {
        if let Some(claim) = try_make(dirs, key)? {
            return Ok(claim);
        }
    }
    Err(busy(key, None))
}

/// Makes and locks a directory; none if somebody else was faster.
fn try_make(dirs: &StateDirs, key: &str) -> Result<Option<ChangesClaim>> {
    let path = path_of(key);
    if !dirs.reuse(Kind::Changes, &path) {
        match dirs.root().make_directory(&path) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(None),
            Err(Errno::NOENT) => {
                dirs.make_parts()?;
                return Ok(None);
            }
            Err(error) => return Err(dirs.root().error("create", &path, error)),
        }
    }
    match lock_soon(dirs, key)? {
        Lock::Taken(claim) => match claim.dir.names()?.as_slice() {
            [] => Ok(Some(claim)),
            [upper, work] if upper == UPPER && work == WORK => Ok(Some(claim)),
            // Another went on with it between the two steps and has left something.
            _ => Ok(None),
        },
        Lock::Busy | Lock::Missing => Ok(None),
    }
}

/// Locks a directory that was taken from the spare ones: who handed it on may still be about
/// to let go of it.
fn lock_soon(dirs: &StateDirs, key: &str) -> Result<Lock> {
    const PAUSE: Duration = Duration::from_millis(1);
    for _ in 0..ATTEMPTS {
        match ChangesClaim::lock(dirs, key)? {
            Lock::Busy => std::thread::sleep(PAUSE),
            other => return Ok(other),
        }
    }
    Ok(Lock::Busy)
}
