//! Finding sandboxes: for `ls`, for names on command lines, and for `gc`.

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::files::Dir;
use super::folder::{Claim, is_locked};
use super::status::{Phase, Status};
use super::status_file::StatusFile;
use super::{SANDBOXES, StateDirs, id, record, status_file};
use crate::error::{Error, Result};

/// Shortest begin of an id that stands for it.
const MIN_PREFIX: usize = 4;

/// What is said of a sandbox whose supervisor ended without a word.
pub const LOST: &str = "its supervisor was killed, and everything in it with it";

/// A sandbox that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// What is known of it.
    pub status: Status,
    /// Its shim lives.
    pub live: bool,
}

impl StateDirs {
    /// All sandboxes, oldest first. Those that are just being made or removed are left out;
    /// what cannot be read of others hides none of them.
    ///
    /// # Errors
    /// [`Error::State`] if not even their names can be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        Ok(self.list_all()?.0)
    }

    /// The same, and why the others cannot be read (written by a later version, damaged).
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn list_all(&self) -> Result<(Vec<Listed>, Vec<Error>)> {
        let (mut all, mut unreadable) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match self.get(&id) {
                Ok(listed) => all.extend(listed),
                Err(error) => unreadable.push(error),
            }
        }
        // Ids know only the second.
        all.sort_by_key(|listed| listed.status.created_ms);
        Ok((all, unreadable))
    }

    /// Notes that the supervisor of a sandbox was killed, in a record that was to be kept.
    pub(crate) fn record_loss(&self, claim: &Claim, status: &Status) -> Result<()> {
        let mut status = status.clone();
        status.phase = Phase::Ended;
        status.ended_ms = Some(super::unix_ms());
        status.why = Some(LOST.to_owned());
        status.change_set = None;
        status.paused = false;
        StatusFile::open(&claim.dir)?.write(&claim.dir, &status)
    }

    /// The sandbox with a name, an id, or the begin of just one id.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::State`] and [`Error::Corrupt`].
    pub fn find(&self, label: &str) -> Result<Listed> {
        let named = if super::check_name(label).is_ok() {
            self.named(label)?
        } else {
            None
        };
        let id = match named {
            Some(id) => Some(id),
            None => self.by_prefix(label)?,
        };
        let found = match id {
            Some(id) => self.get(&id)?,
            None => None,
        };
        found.ok_or_else(|| Error::NotFound {
            what: "sandbox",
            name: label.to_owned(),
            remedy: Some("`stockade ls` lists them".to_owned()),
        })
    }

    fn by_prefix(&self, prefix: &str) -> Result<Option<String>> {
        if prefix.len() < MIN_PREFIX {
            return Ok(None);
        }
        let mut matching = self.ids()?.into_iter().filter(|id| id.starts_with(prefix));
        match (matching.next(), matching.next()) {
            (Some(_), Some(_)) => Err(Error::Busy {
                what: format!("find sandbox {prefix}"),
                why: "several ids begin so: write more of it".to_owned(),
            }),
            (only, _) => Ok(only),
        }
    }

    /// The ids of all sandboxes, whatever is known of them.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn sandbox_ids(&self) -> Result<Vec<String>> {
        self.ids()
    }

    /// The sandbox with this id; none if there is none, or nothing is known of it yet.
    ///
    /// # Errors
    /// [`Error::State`] and [`Error::Corrupt`].
    pub fn sandbox(&self, id: &str) -> Result<Option<Listed>> {
        self.get(id)
    }

    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let names = self.part(SANDBOXES)?.names()?;
        Ok(names.into_iter().filter(|name| id::is_id(name)).collect())
    }

    /// A sandbox by its id; none if there is none, or nothing is known of it yet.
    pub(crate) fn get(&self, id: &str) -> Result<Option<Listed>> {
        let Ok(dir) = self.root().open_below(&format!("{SANDBOXES}/{id}")) else {
            return Ok(None);
        };
        let Some(status) = status_in(&dir, id)? else {
            return Ok(None);
        };
        // After what is known of it: whoever is gone has written all that it will ever write.
        let live = is_locked(&dir)?;
        Ok(Some(Listed { status, live }))
    }

    /// True if there is a directory of a sandbox with this id.
    pub(crate) fn has(&self, id: &str) -> Result<bool> {
        let path = format!("{SANDBOXES}/{id}");
        if !id::is_id(id) {
            return Ok(false);
        }
        match rustix::fs::statat(self.root().fd(), &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.root().error("read", &path, error)),
        }
    }

    /// What is known of a sandbox.
    pub(crate) fn status(&self, id: &str) -> Result<Option<Status>> {
        let Ok(dir) = self.root().open_below(&format!("{SANDBOXES}/{id}")) else {
            return Ok(None);
        };
        status_in(&dir, id)
    }

    /// Removes an ended sandbox: its record and its change set, or a change set alone whose
    /// record is gone. Says whether there was something.
    ///
    /// # Errors
    /// [`Error::Busy`] if it runs, [`Error::NotFound`], and [`Error::State`].
    pub fn remove(&self, label: &str) -> Result<()> {
        let ended = match self.find(label) {
            Ok(found) => Some(found.status),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if let Some(status) = &ended {
            self.remove_record(status)?;
        }
        let mut removed = ended.is_some();
        for set in self.change_sets()? {
            let is_its = |run: &super::RunMeta| {
                run.id == label
                    || run.name.as_deref() == Some(label)
                    || ended.as_ref().is_some_and(|status| status.id == run.id)
            };
            // What others wrote to as well is not this sandbox's to remove.
            let is_its_alone = match &set.meta {
                Some(meta) => meta.runs.iter().all(is_its),
                None => ended
                    .as_ref()
                    .is_some_and(|status| status.change_set.as_ref() == Some(&set.key)),
            };
            if is_its_alone && !set.live {
                self.remove_changes(&set)?;
                removed = true;
            }
        }
        if removed {
            return Ok(());
        }
        let remedy = Some("`stockade ls` and `stockade changes` list what there is".to_owned());
        Err(Error::NotFound {
            what: "sandbox",
            name: label.to_owned(),
            remedy,
        })
    }

    fn remove_record(&self, status: &Status) -> Result<()> {
        let Some(claim) = Claim::take(self, &status.id)? else {
            return Err(Error::Busy {
                what: format!("remove {}", status.label()),
                why: "it runs: stop it first, or use --force".to_owned(),
            });
        };
        if !status.leftovers.is_empty() {
            return Err(Error::Busy {
                what: format!("remove {}", status.label()),
                why: "parts of it are still there: run `stockade gc`".to_owned(),
            });
        }
        if let Some(name) = &status.name {
            self.free_name(name, &status.id)?;
        }
        claim.discard(self)
    }
}

/// What is known of the sandbox in this directory.
pub(crate) fn status_in(dir: &Dir, id: &str) -> Result<Option<Status>> {
    let Some(mut status) = status_file::read(dir, id)? else {
        return Ok(None);
    };
    if status.record.is_none() {
        status.record = record::load_from(dir)?;
    }
    Ok(Some(status))
}
