//! What sandboxes of a project added to the caches of package managers. It is kept for the
//! next of them and never written back. Two mounts must not use an overlay's upper directory
//! at once, so a sandbox that uses it holds a lock on the project's directory; another that
//! runs meanwhile keeps what it adds in its own.

use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::changes::prefix;
use super::files::Dir;
use super::{CACHES, StateDirs};
use crate::error::Result;

/// Overlay's scratch directory.
const WORK: &str = "work";

/// A directory for what is added to caches, ours alone as long as this lives.
#[derive(Debug)]
pub(super) struct CachesClaim {
    dir: Dir,
}

impl CachesClaim {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl StateDirs {
    /// The directory for what the sandboxes of a project add to caches, else, where another
    /// uses it now, one that is removed with the sandbox.
    ///
    /// # Errors
    /// It cannot be made or locked.
    pub(super) fn claim_caches(&self, workspace: Option<&Path>, folder: &Dir) -> Result<CachesClaim> {
        if let Some(workspace) = workspace {
            let name = prefix(workspace);
            let dir = make(&self.part(CACHES)?, &name)?;
            match rustix::fs::flock(dir.fd(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return self.renew(dir),
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(dir.error("lock", "", error)),
            }
        }
        Ok(CachesClaim {
            dir: make(folder, CACHES)?,
        })
    }

    /// Overlay refuses the scratch directory of a mount that was not ended in order.
    fn renew(&self, dir: Dir) -> Result<CachesClaim> {
        for name in dir.names()? {
            let cache = dir
                .open_below(&name)
                .map_err(|error| dir.error("open", &name, error))?;
            match self.trash()?.take(cache.fd(), WORK) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(cache.error("remove", WORK, error)),
            }
        }
        Ok(CachesClaim { dir })
    }
}

fn make(parent: &Dir, name: &str) -> Result<Dir> {
    match parent.make_directory(name) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(parent.error("create", name, error)),
    }
    parent
        .open_below(name)
        .map_err(|error| parent.error("open", name, error))
}
