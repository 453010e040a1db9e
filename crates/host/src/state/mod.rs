//! What is on disk: one directory a sandbox, written by its shim alone and read by all.
//!
//! ```text
//! $XDG_STATE_HOME/stockade/          mode 0700
//!     sandboxes/ID/                  locked (flock) as long as its shim lives
//!         status.json                what is known of it
//!         record.json                what its driver needs to find it again
//!         ctl                        the shim's control socket
//!     names/NAME -> ID               names of live sandboxes
//!     changes/PROJECT-NAME/          changes kept apart from a workspace; locked while used
//!         upper/ work/ meta.json
//!     caches/PROJECT/                what its sandboxes added to caches; locked while used
//!     audit/YEAR-MONTH.NUMBER.jsonl  what happened; outlives the sandboxes
//!     spare/                         empty directories for the next runs
//!     trees/KEY-NUMBER/              copies of system directories, for the next sandbox that needs one
//!     probes/DRIVER.json             what its last probe showed here; the whole report beside it
//!     trash/                         what is to be freed when nobody waits
//! ```
//!
//! A directory whose lock is free belongs to nobody: `gc` removes it. The lock is the
//! kernel's, so it cannot outlive the shim.

mod caches;
mod changes;
mod clocks;
mod files;
mod folder;
mod id;
mod list;
mod names;
mod notes;
mod process;
pub mod record;
mod spare;
mod status;
mod status_file;
#[cfg(test)]
mod tests;
mod trash;
mod undo;

use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;

pub use changes::{
    ChangeMeta, ChangeSet, ChangesClaim, ChangesWish, EarlyBases, Found, KeptChanges, LIVE, Look, PENDING,
    Restored, RunMeta,
};
pub use clocks::Clocks;
pub use files::{Durability, fsyncs};
pub use folder::{Finish, NewSandbox, SandboxFolder};
pub(crate) use id::{boot_time, is_id, new_id, random_bytes, stamp_ms, unix_ms};
pub use id::{check_name, owner_mark};
pub use list::{LOST, Listed};
pub use notes::{host_changes, note, note_host_changes, notes};
pub use process::ProcessRef;
pub use status::{Detached, Phase, Status};
pub use trash::Emptied;

pub(crate) use files::{Dir, MAX_FILE_BYTES, from_json, to_json};
pub(crate) use folder::{Claim, is_claimed};
pub(crate) use list::status_in;
pub(crate) use status_file::{seal, unseal};

use crate::error::{Error, Result};
use trash::Trash;

/// The control socket in a sandbox's directory.
pub(crate) const SOCKET: &str = "ctl";
pub(crate) const SANDBOXES: &str = "sandboxes";
pub(crate) const NAMES: &str = "names";
pub(crate) const CHANGES: &str = "changes";
pub(crate) const AUDIT: &str = "audit";
const CACHES: &str = "caches";
const SPARE: &str = "spare";
const TREES: &str = "trees";
const UNDO: &str = "undo";
const TRASH: &str = "trash";
/// Directories in the trash that short runs leave to others, and two.
const MANY_LINKS: u64 = 1026;

/// The state directory.
#[derive(Debug)]
pub struct StateDirs {
    root: Dir,
}

impl StateDirs {
    /// Opens the user's state directory, making it where it does not exist:
    /// `$XDG_STATE_HOME/stockade`, or `~/.local/state/stockade`.
    ///
    /// # Errors
    /// [`Error::State`] if it cannot be made or is not the user's own.
    pub fn from_environment() -> Result<Self> {
        let absolute = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        match base {
            Some(base) => Self::open(&base.join("stockade")),
            None => Err(Error::NotFound {
                what: "state directory: neither XDG_STATE_HOME nor HOME is an absolute path, so there is none",
                name: "stockade".to_owned(),
                remedy: Some("set HOME or XDG_STATE_HOME".to_owned()),
            }),
        }
    }

    /// Opens a state directory, making it where it does not exist.
    ///
    /// # Errors
    /// [`Error::State`] if it cannot be made or is not the user's own.
    pub fn open(path: &Path) -> Result<Self> {
        let root = match Dir::open(path) {
            Ok(root) => root,
            Err(Errno::NOENT) => {
                make_private(path).map_err(|error| Error::state("create", path, error))?;
                Dir::open(path).map_err(|error| Error::state("open", path, error))?
            }
            Err(error) => return Err(Error::state("open", path, error)),
        };
        check_owner(&root)?;
        Ok(Self { root })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The same, at the place where it is now.
    fn followed(&self) -> Result<Self> {
        let mut root = self.root.again()?;
        root.follow()?;
        Ok(Self { root })
    }

    /// The mark of what drivers make for sandboxes of this directory.
    #[must_use]
    pub fn owner_mark(&self) -> String {
        owner_mark(&self.root.path().join(SANDBOXES))
    }

    /// Frees what ended runs left in the trash, until the time is over.
    ///
    /// # Errors
    /// [`Error::State`] if the trash cannot be read.
    pub fn empty_trash(&self, time: std::time::Duration) -> Result<Emptied> {
        self.trash()?.empty(time, NonZeroUsize::MIN)
    }

    /// The same for who waits for it: in several threads, because on some disks each removal waits for the
    /// device.
    ///
    /// # Errors
    /// [`Error::State`] if the trash cannot be read.
    pub fn empty_trash_fast(&self, time: std::time::Duration) -> Result<Emptied> {
        self.trash()?.empty(time, trash::REMOVERS)
    }

    /// True if so much lies in the trash that a short run should see to it, too.
    pub(crate) fn trash_is_full(&self) -> bool {
        let links = self.trash_links();
        // Some file systems do not count (btrfs says 1): there, chance decides.
        links > MANY_LINKS || (links == 1 && random_bytes::<1>()[0] < 4)
    }

    /// True if something may lie in the trash.
    pub(crate) fn trash_has_some(&self) -> bool {
        !matches!(self.trash_links(), 0 | 2)
    }

    /// The number of links of a directory is that of its subdirectories and two: one call.
    fn trash_links(&self) -> u64 {
        let stat = rustix::fs::statat(self.root.fd(), TRASH, AtFlags::SYMLINK_NOFOLLOW);
        #[allow(clippy::useless_conversion)] // it has 32 bits on other architectures
        stat.map_or(0, |stat| u64::from(stat.st_nlink))
    }

    pub(crate) fn root(&self) -> &Dir {
        &self.root
    }

    pub(crate) fn trash(&self) -> Result<Trash> {
        self.part(TRASH).map(Trash::new)
    }

    /// One of the directories below, made where it does not exist.
    pub(crate) fn part(&self, name: &'static str) -> Result<Dir> {
        match self.root.open_below(name) {
            Err(Errno::NOENT) => {
                self.make_parts()?;
                self.root.open_below(name)
            }
            other => other,
        }
        .map_err(|error| self.root.error("open", name, error))
    }

    /// Makes all directories; which of them exist already does not matter.
    pub(crate) fn make_parts(&self) -> Result<()> {
        for name in [
            SANDBOXES, NAMES, CHANGES, CACHES, AUDIT, SPARE, TREES, UNDO, TRASH,
        ] {
            match self.root.make_directory(name) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(self.root.error("create", name, error)),
            }
        }
        Ok(())
    }
}

/// Makes a directory and its parents; those that are new are ours alone.
fn make_private(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Who could write here could make us remove or trust other files.
fn check_owner(root: &Dir) -> Result<()> {
    let metadata =
        std::fs::metadata(root.path()).map_err(|error| Error::state("read", root.path(), error))?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    let why = if ours {
        "others can write here: chmod 700 it"
    } else {
        "it belongs to another user: set XDG_STATE_HOME to a directory of your own"
    };
    Err(Error::Corrupt {
        path: root.path().to_owned(),
        why: why.to_owned(),
    })
}
