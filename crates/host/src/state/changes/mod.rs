//! Change sets: what sandboxes changed in their workspaces, kept apart from the host.
//!
//! A project has one pending change set, which each run goes on with; others have names of
//! their own. An overlay's upper directory must not be used by two mounts at once, so the
//! supervisor of the sandbox that uses a set holds a lock on its directory; the kernel frees
//! it with the supervisor.

mod bases;
mod live;
mod look;
mod meta;
mod open;
mod settle;
mod takeover;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use stockade_workspace::Counts;

use super::files::Dir;
use super::folder::is_locked;
use super::{CHANGES, StateDirs, Status, check_name, id};
use crate::error::{Error, Result};

pub use bases::EarlyBases;
pub(super) use live::open_live;
pub use live::{LIVE, Restored};
pub use look::Look;
pub use meta::{ChangeMeta, RunMeta};
pub(super) use open::open;
pub use open::{ChangesWish, Found};
pub(super) use settle::{disown_copy, settle};

/// The set that a project's runs go on with if nothing else is asked for.
pub const PENDING: &str = "pending";
/// The overlay's upper directory: the changes themselves.
const UPPER: &str = "upper";
/// The overlay's scratch directory: of no use once it is unmounted.
const WORK: &str = "work";
/// Hexadecimal digits of a workspace's path in the name of its change sets.
const DIGITS: usize = 16;

/// Changes that a run left.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptChanges {
    /// The change set's directory in `changes/`.
    pub key: String,
    /// Its name among those of the workspace.
    pub name: String,
    /// The changes, as an overlay's upper directory.
    pub upper: PathBuf,
    /// How much changed; none if it could not be read.
    pub counts: Option<Counts>,
    /// There may be more than was counted.
    pub truncated: bool,
}

/// A change set.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSet {
    /// Its directory in `changes/`.
    pub key: String,
    /// Its name among those of the workspace.
    pub name: String,
    /// The changes, as an overlay's upper directory.
    pub upper: PathBuf,
    /// A sandbox uses it now: the changes are not complete.
    pub live: bool,
    /// The sandbox that uses it, or that was killed while it did.
    pub user: Option<Status>,
    /// What is known of it; none until the first sandbox that used it has ended.
    pub meta: Option<ChangeMeta>,
}

impl ChangeSet {
    /// The directory that was changed, if that is known.
    #[must_use]
    pub fn workspace(&self) -> Option<&Path> {
        match (&self.meta, &self.user) {
            (Some(meta), _) => Some(&meta.workspace),
            (None, Some(user)) => user.workspace.as_deref(),
            (None, None) => None,
        }
    }

    /// True if a sandbox with this name or id used it. An id may be cut.
    #[must_use]
    pub fn was_used_by(&self, label: &str) -> bool {
        const MIN_PREFIX: usize = 4;
        let is = |name: Option<&str>, id: &str| {
            name == Some(label) || (label.len() >= MIN_PREFIX && id.starts_with(label))
        };
        let runs = self.meta.iter().flat_map(|meta| &meta.runs);
        runs.map(|run| (run.name.as_deref(), run.id.as_str()))
            .chain(
                self.user
                    .iter()
                    .map(|user| (user.name.as_deref(), user.id.as_str())),
            )
            .any(|(name, id)| is(name, id))
    }
}

/// The directory for the changes in a workspace. Those of one workspace begin alike.
fn key(workspace: &Path, name: &str) -> String {
    format!("{}-{name}", prefix(workspace))
}

/// The same for all that belongs to a workspace.
pub(in crate::state) fn prefix(workspace: &Path) -> String {
    let digest = Sha256::digest(workspace.as_os_str().as_bytes());
    let bytes = digest.iter().take(DIGITS / 2);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// The name in a key; none for a directory that is no change set.
fn name_in(key: &str) -> Option<&str> {
    let (prefix, name) = key.split_once('-')?;
    let is_prefix = prefix.len() == DIGITS && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_prefix && (id::is_id(name) || check_name(name).is_ok())).then_some(name)
}

fn path_of(key: &str) -> String {
    format!("{CHANGES}/{key}")
}

fn discard(dirs: &StateDirs, key: &str) -> Result<()> {
    match dirs.trash()?.take(dirs.root().fd(), &path_of(key)) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(dirs.root().error("remove", &path_of(key), error)),
    }
}

/// A change set's directory with its lock.
#[derive(Debug)]
pub struct ChangesClaim {
    dir: Dir,
    key: String,
}

/// What came of trying to lock a change set.
enum Lock {
    Taken(ChangesClaim),
    Busy,
    Missing,
}

impl ChangesClaim {
    fn lock(dirs: &StateDirs, key: &str) -> Result<Lock> {
        let path = path_of(key);
        let failed = |operation, error| dirs.root().error(operation, &path, error);
        let dir = match dirs.root().open_below(&path) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(Lock::Missing),
            Err(error) => return Err(failed("open", error)),
        };
        match rustix::fs::flock(dir.fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Lock::Busy),
            Err(error) => return Err(failed("lock", error)),
        }
        // Who had the lock before may have moved the directory away.
        let ours = rustix::fs::fstat(dir.fd()).map_err(|error| failed("read", error))?;
        match rustix::fs::statat(dirs.root().fd(), &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => {
                Ok(Lock::Taken(Self {
                    dir,
                    key: key.to_owned(),
                }))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(Lock::Missing),
            Err(error) => Err(failed("read", error)),
        }
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(in crate::state) fn follow(&mut self) -> Result<()> {
        self.dir.follow()
    }

    /// The changes, as an overlay's upper directory.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.dir.path().join(UPPER)
    }

    /// Its directory in `changes/`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    fn name(&self) -> &str {
        name_in(&self.key).unwrap_or(&self.key)
    }
}

impl StateDirs {
    /// All change sets, oldest first.
    ///
    /// # Errors
    /// [`Error::State`] and [`Error::Corrupt`].
    pub fn change_sets(&self) -> Result<Vec<ChangeSet>> {
        let mut sets = Vec::new();
        for key in self.part(CHANGES)?.names()? {
            let Some(name) = name_in(&key) else {
                continue;
            };
            let Ok(dir) = self.root().open_below(&path_of(&key)) else {
                continue;
            };
            // Looked at before what is known of it: one that is free now is described.
            let live = is_locked(&dir)?;
            sets.push(ChangeSet {
                name: name.to_owned(),
                upper: dir.path().join(UPPER),
                live,
                user: None,
                meta: meta::read(&dir)?,
                key,
            });
        }
        let mut users: BTreeMap<String, Status> = BTreeMap::new();
        if sets.iter().any(|set| set.live || set.meta.is_none()) {
            for listed in self.list()? {
                if let Some(key) = listed.status.change_set.clone() {
                    users.insert(key, listed.status);
                }
            }
        }
        for set in &mut sets {
            set.user = users.remove(&set.key).filter(|_| set.live || set.meta.is_none());
        }
        sets.sort_by_cached_key(|set| (set.began_ms(), set.key.clone()));
        Ok(sets)
    }

    /// Locks a change set, so that no sandbox can use it meanwhile.
    ///
    /// # Errors
    /// [`Error::Busy`] if a sandbox uses it, [`Error::NotFound`] and [`Error::State`].
    pub fn claim_changes(&self, set: &ChangeSet) -> Result<ChangesClaim> {
        match ChangesClaim::lock(self, &set.key)? {
            Lock::Taken(claim) => Ok(claim),
            Lock::Busy => Err(busy(&set.name, set.user.as_ref())),
            Lock::Missing => Err(Error::NotFound {
                what: "change set",
                name: set.name.clone(),
                remedy: Some("`stockade changes` lists them".to_owned()),
            }),
        }
    }

    /// The same, in its lasting form: what a supervisor that was killed left in a copy is taken out.
    pub(crate) fn claim_settled(&self, set: &ChangeSet) -> Result<ChangesClaim> {
        let claim = self.claim_changes(set)?;
        settle::take_out(self, &claim.dir)?;
        Ok(claim)
    }

    /// Removes a change set.
    ///
    /// # Errors
    /// As [`Self::claim_changes`].
    pub fn remove_changes(&self, set: &ChangeSet) -> Result<()> {
        let claim = self.claim_changes(set)?;
        discard(self, &claim.key)
    }

    /// Brings a change set whose sandbox has ended without doing so into its lasting form.
    pub(crate) fn settle_changes(&self, status: &Status) -> Result<Option<KeptChanges>> {
        let Some(key) = &status.change_set else {
            return Ok(None);
        };
        match ChangesClaim::lock(self, key)? {
            Lock::Taken(claim) => settle(self, status, &claim),
            // A later sandbox goes on with it, or it is no more.
            Lock::Busy | Lock::Missing => Ok(None),
        }
    }

    /// Goes on without a copy that was removed before its changes were taken out. True if there was one.
    pub(crate) fn give_up_lost(&self, set: &ChangeSet) -> Result<bool> {
        use stockade_workspace::replica::{COPY, LIST, lost};
        let Lock::Taken(claim) = ChangesClaim::lock(self, &set.key)? else {
            return Ok(false);
        };
        if lost(claim.dir.path()).is_none() {
            return Ok(false);
        }
        settle::remove(self, &claim.dir, LIST)?;
        settle::remove(self, &claim.dir, COPY)?;
        Ok(true)
    }

    /// Removes a change set that holds nothing and that nobody will describe any more.
    pub(crate) fn drop_if_empty(&self, set: &ChangeSet) -> Result<bool> {
        if let Ok(dir) = self.root().open_below(&path_of(&set.key)) {
            settle::take_out(self, &dir)?;
        }
        if set.upper.exists() && !stockade_workspace::is_empty(&set.upper).unwrap_or(false) {
            return Ok(false);
        }
        match ChangesClaim::lock(self, &set.key)? {
            Lock::Taken(claim) => discard(self, &claim.key).map(|()| true),
            Lock::Busy | Lock::Missing => Ok(true),
        }
    }
}

impl ChangeSet {
    /// When the first sandbox that used it began, in milliseconds since 1970.
    #[must_use]
    pub fn began_ms(&self) -> u64 {
        let first = self.meta.as_ref().and_then(|meta| meta.runs.first());
        match (first, &self.user) {
            (Some(run), _) => run.created_ms,
            (None, Some(user)) => user.created_ms,
            (None, None) => 0,
        }
    }
}

fn busy(name: &str, user: Option<&Status>) -> Error {
    let why = match user {
        Some(user) => format!("sandbox {} uses it: stop that first", user.label()),
        None => "a sandbox uses it, or another command works on it: stop or await that".to_owned(),
    };
    Error::Busy {
        what: format!("use the change set {name}"),
        why: format!("{why}, or choose another with --changes"),
    }
}
