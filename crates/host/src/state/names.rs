//! Names of live sandboxes: a symbolic link a name, which the kernel lets only one make.

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;

use super::folder::is_claimed;
use super::status::Phase;
use super::{NAMES, StateDirs};
use crate::error::{Error, Result};

impl StateDirs {
    /// Takes a name for a sandbox whose directory exists and is locked.
    pub(crate) fn take_name(&self, name: &str, id: &str) -> Result<()> {
        match self.link_name(name, id) {
            Err(Errno::NOENT) => {
                self.make_parts()?;
                self.link_name(name, id)
            }
            Err(Errno::EXIST) => {
                self.free_stale_name(name)?;
                self.link_name(name, id)
            }
            other => other,
        }
        .map_err(|error| match error {
            Errno::EXIST => Error::NameTaken {
                name: name.to_owned(),
            },
            error => self.root().error("create", &format!("{NAMES}/{name}"), error),
        })
    }

    /// Gives a name back, if it is this sandbox's.
    pub(crate) fn free_name(&self, name: &str, id: &str) -> Result<()> {
        if self.named(name)?.as_deref() != Some(id) {
            return Ok(());
        }
        match rustix::fs::unlinkat(self.root().fd(), path_of(name), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.root().error("remove", &path_of(name), error)),
        }
    }

    /// The id of the sandbox with this name.
    pub(crate) fn named(&self, name: &str) -> Result<Option<String>> {
        match rustix::fs::readlinkat(self.root().fd(), path_of(name), Vec::new()) {
            Ok(target) => Ok(target.into_string().ok().filter(|id| super::id::is_id(id))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.root().error("read", &path_of(name), error)),
        }
    }

    /// All names, of whatever sandbox.
    pub(crate) fn all_names(&self) -> Result<Vec<String>> {
        self.part(NAMES)?.names()
    }

    fn link_name(&self, name: &str, id: &str) -> Result<(), Errno> {
        rustix::fs::symlinkat(id, self.root().fd(), path_of(name))
    }

    /// Frees the name of a sandbox that has ended. Two that do it at the same time are kept
    /// apart by a lock; one that takes the name in between wins, as it should.
    pub(crate) fn free_stale_name(&self, name: &str) -> Result<()> {
        let names = self.part(NAMES)?;
        let lock = rustix::fs::flock(names.fd(), FlockOperation::LockExclusive);
        lock.map_err(|error| names.error("lock", "", error))?;
        let Some(id) = self.named(name)? else {
            return Ok(());
        };
        // A record that was kept keeps its name too, until it is removed.
        let kept = self
            .status(&id)
            .ok()
            .flatten()
            .is_some_and(|status| status.keep && status.phase == Phase::Ended);
        if kept || is_claimed(self, &id)? {
            return Ok(());
        }
        self.free_name(name, &id)
    }
}

fn path_of(name: &str) -> String {
    format!("{NAMES}/{name}")
}
