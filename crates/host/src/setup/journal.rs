//! What was changed, written before each change: a crash between two steps is seen by
//! comparing what lies there with what stood before and what was to be written.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{Kind, Step, below, files};
use crate::error::{Error, Result};

/// Where it lies, as the system names it.
pub const JOURNAL: &str = "/var/lib/stockade/setup.json";
const LOCK: &str = "/var/lib/stockade/setup.lock";
/// The form of the journal.
const VERSION: u32 = 1;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The file, as the system names it.
    pub path: PathBuf,
    /// What kind of file.
    pub kind: Kind,
    /// What it held before; none where there was none.
    pub former: Option<String>,
    /// SHA-256 of what was written.
    pub sha256: String,
    /// That of what we wrote before, while it is being replaced.
    pub earlier: Option<String>,
    /// Directories that were made for it, the outermost first.
    pub directories: Vec<PathBuf>,
    /// Whether the system has taken it up.
    pub active: bool,
    pub before_undo: Option<Step>,
    pub after_undo: Option<Step>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    entries: Vec<Entry>,
}

/// The journal of one system; one process at a time holds it.
pub(super) struct Journal {
    root: PathBuf,
    pub entries: Vec<Entry>,
    _lock: std::fs::File,
}

impl Journal {
    pub fn open(root: &Path) -> Result<Self> {
        let directory = below(root, Path::new("/var/lib/stockade"));
        std::fs::create_dir_all(&directory).map_err(|error| Error::state("create", &directory, error))?;
        let lock_path = below(root, Path::new(LOCK));
        let lock = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| Error::state("open", &lock_path, error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| Error::Busy {
            what: "set this host up".to_owned(),
            why: "another `stockade setup` is at it".to_owned(),
        })?;
        let path = below(root, Path::new(JOURNAL));
        let entries = match std::fs::read(&path) {
            Ok(bytes) => {
                parse(&bytes).map_err(|why| Error::state("understand", &path, std::io::Error::other(why)))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::state("read", &path, error)),
        };
        Ok(Self {
            root: root.to_owned(),
            entries,
            _lock: lock,
        })
    }

    /// Keeps it through a crash.
    pub fn save(&self) -> Result<()> {
        let path = below(&self.root, Path::new(JOURNAL));
        let failed = |error| Error::state("write", &path, error);
        let stored = Stored {
            version: VERSION,
            entries: self.entries.clone(),
        };
        let text = serde_json::to_string_pretty(&stored).map_err(|error| failed(error.into()))?;
        files::replace(&path, text.as_bytes()).map_err(failed)
    }

    /// Removes the journal of a system that is as it was.
    pub fn close(self) {
        if self.entries.is_empty() {
            // What cannot be removed says only that nothing is changed.
            let _ = std::fs::remove_file(below(&self.root, Path::new(JOURNAL)));
            let _ = std::fs::remove_file(below(&self.root, Path::new(LOCK)));
            let _ = std::fs::remove_dir(below(&self.root, Path::new("/var/lib/stockade")));
        }
    }
}

fn parse(bytes: &[u8]) -> std::result::Result<Vec<Entry>, String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if stored.version == VERSION {
        Ok(stored.entries)
    } else {
        Err(format!("it was written by another version ({})", stored.version))
    }
}
