//! Change sets: what sandboxes changed in their workspaces, kept apart from the host.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stockade_domain::Exit;
use stockade_workspace::{Counts, ScanLimits};

use super::files::{Dir, Durability, from_json, to_json};
use super::spare::Kind;
use super::status::Status;
use super::{CHANGES, StateDirs, id};
use crate::error::{Error, Result};

const META_FILE: &str = "meta.json";
const META_VERSION: u32 = 1;
/// The overlay's upper directory: the changes themselves.
const UPPER: &str = "upper";
/// The overlay's scratch directory: of no use once it is unmounted.
const WORK: &str = "work";

/// What is known of a kept change set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeMeta {
    /// Version of this form.
    pub version: u32,
    /// The sandbox that made the changes.
    pub id: String,
    /// Its name, if it had one.
    pub name: Option<String>,
    /// The directory that was changed.
    pub workspace: PathBuf,
    /// The sandbox's first command.
    pub command: Vec<String>,
    /// When the sandbox began, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ended, in milliseconds since 1970; none if its shim was killed.
    pub ended_ms: Option<u64>,
    /// How it ended, if that is known.
    pub exit: Option<Exit>,
    /// Who owns the files of the change set, as its driver's record says.
    pub identity: Option<serde_json::Value>,
}

/// Changes that a run left.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptChanges {
    /// The change set's directory in `changes/`.
    pub key: String,
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
    /// The sandbox that makes or made it.
    pub id: String,
    /// The changes, as an overlay's upper directory.
    pub upper: PathBuf,
    /// Its sandbox runs: the changes are not complete.
    pub live: bool,
    /// What is known of it; none if nobody knows any more.
    pub meta: Option<ChangeMeta>,
}

/// The directory for the changes that a sandbox makes in a workspace. Change sets of the
/// same workspace share the first part.
pub(super) fn key(workspace: &Path, id: &str) -> String {
    let digest = Sha256::digest(workspace.as_os_str().as_bytes());
    let prefix: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}-{id}")
}

/// Makes the directory.
pub(super) fn make(dirs: &StateDirs, key: &str) -> Result<PathBuf> {
    let path = path_of(key);
    if dirs.reuse(Kind::Changes, &path) {
        return Ok(dirs.path().join(path));
    }
    let made = match dirs.root().make_directory(&path) {
        Err(Errno::NOENT) => {
            dirs.make_parts()?;
            dirs.root().make_directory(&path)
        }
        other => other,
    };
    made.map_err(|error| dirs.root().error("create", &path, error))?;
    Ok(dirs.path().join(path))
}

/// Brings the change set of an ended sandbox into its lasting form, or removes it if it is
/// empty or not wanted. May be called again.
pub(super) fn settle(dirs: &StateDirs, status: &Status) -> Result<Option<KeptChanges>> {
    let (Some(key), Some(workspace)) = (&status.change_set, &status.workspace) else {
        return Ok(None);
    };
    let dir = match dirs.root().open_below(&path_of(key)) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(dirs.root().error("open", &path_of(key), error)),
    };
    if status.discard_changes {
        return discard(dirs, key).map(|()| None);
    }
    let Some(kept) = look(&dir, key, workspace) else {
        return hand_on_or_discard(dirs, &dir, key).map(|()| None);
    };
    if dir.read(META_FILE)?.is_none() {
        let bytes = to_json(&meta(status, workspace), &dir.path().join(META_FILE))?;
        dir.write_new(META_FILE, &bytes, Durability::Process)?;
    }
    match dirs.trash()?.take(dir.fd(), WORK) {
        Ok(()) | Err(Errno::NOENT) => Ok(Some(kept)),
        Err(error) => Err(dir.error("remove", WORK, error)),
    }
}

/// What the change set holds; none if nothing. What cannot be read is kept.
fn look(dir: &Dir, key: &str, workspace: &Path) -> Option<KeptChanges> {
    let upper = dir.path().join(UPPER);
    if !upper.exists() || stockade_workspace::is_empty(&upper).unwrap_or(false) {
        return None;
    }
    let found = stockade_workspace::scan(&upper, workspace, ScanLimits::COUNTS).ok();
    let truncated = found.as_ref().is_some_and(|found| found.truncated);
    let counts = found.map(|found| found.counts);
    // Copied-up directories in which nothing is different.
    if !truncated && counts.is_some_and(|counts| counts.is_empty()) {
        return None;
    }
    Some(KeptChanges {
        key: key.to_owned(),
        upper,
        counts,
        truncated,
    })
}

fn meta(status: &Status, workspace: &Path) -> ChangeMeta {
    ChangeMeta {
        version: META_VERSION,
        id: status.id.clone(),
        name: status.name.clone(),
        workspace: workspace.to_owned(),
        command: status.command.clone(),
        created_ms: status.created_ms,
        ended_ms: status.ended_ms,
        exit: status.exit,
        identity: status
            .record
            .as_ref()
            .and_then(|record| record.body.get("identity"))
            .cloned(),
    }
}

/// Leaves the directory to a later run if it holds nothing, else to the trash.
fn hand_on_or_discard(dirs: &StateDirs, dir: &Dir, key: &str) -> Result<()> {
    let is_bare = is_bare(dirs, dir).unwrap_or(false);
    if is_bare && dirs.hand_on(Kind::Changes, &path_of(key)) {
        Ok(())
    } else {
        discard(dirs, key)
    }
}

/// True if nothing is left of what a sandbox could write: no name, no attribute.
fn is_bare(dirs: &StateDirs, dir: &Dir) -> Result<bool> {
    let (Ok(upper), Ok(work)) = (dir.open_below(UPPER), dir.open_below(WORK)) else {
        return Ok(false);
    };
    if !has_only_overlay_attributes(&upper) {
        return Ok(false);
    }
    // The kernel wants to make its own.
    if dirs.trash()?.take_any(work.fd(), WORK).is_err() && work.names()? == [WORK] {
        return Ok(false);
    }
    Ok(dir.names()?.len() == 2 && upper.is_empty()? && work.is_empty()?)
}

/// Attributes that overlay itself gives to its upper directory and takes as they are.
fn has_only_overlay_attributes(upper: &Dir) -> bool {
    const KNOWN: [&str; 4] = [
        "user.overlay.uuid",
        "user.overlay.impure",
        "trusted.overlay.uuid",
        "trusted.overlay.impure",
    ];
    let mut names = [0; 256];
    match rustix::fs::flistxattr(upper.fd(), &mut names) {
        Ok(length) => names
            .get(..length)
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .all(|name| name.is_empty() || KNOWN.iter().any(|known| known.as_bytes() == name)),
        Err(Errno::NOTSUP) => true,
        Err(_) => false,
    }
}

fn discard(dirs: &StateDirs, key: &str) -> Result<()> {
    match dirs.trash()?.take(dirs.root().fd(), &path_of(key)) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(dirs.root().error("remove", &path_of(key), error)),
    }
}

fn path_of(key: &str) -> String {
    format!("{CHANGES}/{key}")
}

impl StateDirs {
    /// All change sets, oldest first.
    ///
    /// # Errors
    /// [`Error::State`] and [`Error::Corrupt`].
    pub fn change_sets(&self) -> Result<Vec<ChangeSet>> {
        let mut sets = Vec::new();
        for key in self.part(CHANGES)?.names()? {
            let Some(id) = key.rsplit('-').next().filter(|id| id::is_id(id)) else {
                continue;
            };
            // Listed before its sandbox is looked at: a change set whose sandbox is not
            // live then is complete.
            let live = super::folder::is_claimed(self, id)?;
            let Ok(dir) = self.root().open_below(&path_of(&key)) else {
                continue;
            };
            let meta = match dir.read(META_FILE)? {
                Some(bytes) => Some(from_json(&bytes, META_VERSION, &dir.path().join(META_FILE))?),
                None => None,
            };
            sets.push(ChangeSet {
                id: id.to_owned(),
                upper: dir.path().join(UPPER),
                key,
                live,
                meta,
            });
        }
        sets.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(sets)
    }

    /// Removes a change set.
    ///
    /// # Errors
    /// [`Error::Busy`] if its sandbox runs, and [`Error::State`].
    pub fn remove_changes(&self, set: &ChangeSet) -> Result<()> {
        if super::folder::is_claimed(self, &set.id)? {
            return Err(Error::Busy {
                what: format!("remove the changes of {}", set.id),
                why: "its sandbox runs: stop it first".to_owned(),
            });
        }
        discard(self, &set.key)
    }

    /// Brings a change set whose sandbox has ended without doing so into its lasting form.
    pub(crate) fn settle_changes(&self, status: &Status) -> Result<Option<KeptChanges>> {
        settle(self, status)
    }

    /// Removes a change set that holds nothing and that nobody will describe any more.
    pub(crate) fn drop_if_empty(&self, set: &ChangeSet) -> Result<bool> {
        if set.upper.exists() && !stockade_workspace::is_empty(&set.upper).unwrap_or(false) {
            return Ok(false);
        }
        discard(self, &set.key).map(|()| true)
    }
}
