//! The directory of one sandbox, from its first moment to its last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;
use stockade_domain::Exit;
use stockade_workspace::replica::Copied;

use super::caches::CachesClaim;
use super::changes::{self, ChangesClaim, ChangesWish, EarlyBases, Found, KeptChanges};
use super::files::Dir;
use super::process::ProcessRef;
use super::spare::Kind;
use super::status::{Detached, Phase, STATUS_VERSION, Status};
use super::status_file::{self, StatusFile};
use super::{Clocks, SANDBOXES, SOCKET, StateDirs, TREES, check_name, id, stamp_ms, unix_ms};
use crate::audit::{shorten, texts};
use crate::driver::{Leftover, Record};
use crate::error::{Error, Result};

/// An id that is taken is next to impossible; more than this means something else.
const ATTEMPTS: u32 = 16;

/// What is known before anything exists.
#[derive(Clone, Debug, Default)]
pub struct NewSandbox {
    /// The driver that will build it.
    pub driver: String,
    /// The name it shall have.
    pub name: Option<String>,
    /// The first command.
    pub command: Vec<String>,
    /// The user's directory.
    pub workspace: Option<PathBuf>,
    /// Changes in it are kept apart.
    pub copy_on_write: bool,
    /// It is written in place, after a checkpoint.
    pub live: bool,
    /// Keep this record when the sandbox has ended.
    pub keep: bool,
    /// Throw the changes away when it has ended.
    pub discard_changes: bool,
    /// What its user notes on it.
    pub labels: BTreeMap<String, String>,
    /// Which changes it finds, where they are kept apart.
    pub changes: ChangesWish,
}

/// How a sandbox ended, for its record.
#[derive(Clone, Debug, Default)]
pub struct Finish {
    /// How its first command ended; none if it never started.
    pub exit: Option<Exit>,
    /// Who or what decided it, or what failed.
    pub why: Option<String>,
    /// Processes that were killed at the memory limit; none where they were not counted.
    pub oom_kills: Option<u64>,
    /// Its first command could not be started, which its user was told: no record is kept.
    pub nothing_ran: bool,
    /// What failed and did not decide how it ended.
    pub problems: Vec<String>,
    /// What could not be removed: the record stays, so that `gc` can.
    pub leftovers: Vec<Leftover>,
}

/// The directory of a sandbox that this process supervises. Dropping it removes it, as
/// [`SandboxFolder::abandon`] does.
#[derive(Debug)]
pub struct SandboxFolder {
    dirs: Arc<StateDirs>,
    claim: Claim,
    status: Status,
    status_file: StatusFile,
    changes: Option<ChangesClaim>,
    caches: Option<CachesClaim>,
    /// The changes are in the workspace itself, and what is kept is what was there before.
    live: bool,
    found: Option<Found>,
    finished: bool,
}

/// A directory with its lock.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) dir: Dir,
    pub(crate) id: String,
}

impl Claim {
    /// Locks the directory of a sandbox; none if its shim has it.
    pub(crate) fn take(dirs: &StateDirs, id: &str) -> Result<Option<Self>> {
        let path = path_of(id);
        let dir = match dirs.root().open_below(&path) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(dirs.root().error("open", &path, error)),
        };
        match rustix::fs::flock(dir.fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(dirs.root().error("lock", &path, error)),
        }
        // Who had the lock before may have moved the directory into the trash.
        let is_in_place =
            same_file(dirs, &path, &dir).map_err(|error| dirs.root().error("read", &path, error))?;
        Ok(is_in_place.then(|| Self {
            dir,
            id: id.to_owned(),
        }))
    }

    /// Makes the directory disappear.
    pub(crate) fn discard(&self, dirs: &StateDirs) -> Result<()> {
        match dirs.trash()?.take(dirs.root().fd(), &path_of(&self.id)) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(dirs.root().error("remove", &path_of(&self.id), error)),
        }
    }
}

/// True if a shim holds the sandbox's directory.
pub(crate) fn is_claimed(dirs: &StateDirs, id: &str) -> Result<bool> {
    let path = path_of(id);
    let dir = match dirs.root().open_below(&path) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(dirs.root().error("open", &path, error)),
    };
    is_locked(&dir)
}

/// True if another holds the lock of a directory.
pub(super) fn is_locked(dir: &Dir) -> Result<bool> {
    match rustix::fs::flock(dir.fd(), FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(dir.error("lock", "", error)),
    }
}

fn same_file(dirs: &StateDirs, path: &str, dir: &Dir) -> Result<bool, Errno> {
    let ours = rustix::fs::fstat(dir.fd())?;
    match rustix::fs::statat(dirs.root().fd(), path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn path_of(id: &str) -> String {
    format!("{SANDBOXES}/{id}")
}

impl StateDirs {
    /// Begins a sandbox: its directory, locked, with what is about to be made. Everything
    /// that a driver makes bears its id, so that `gc` finds it.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::BadName`] and [`Error::State`].
    pub fn create(self: &Arc<Self>, new: NewSandbox) -> Result<SandboxFolder> {
        if let Some(name) = &new.name {
            check_name(name)?;
        }
        let claim = self.claim_new()?;
        let status_file = StatusFile::open(&claim.dir)?;
        if let Some(workspace) = &new.workspace {
            // Nobody is to see a project that a killed process left half changed.
            self.settle_project(workspace)?;
        }
        let wish = new.copy_on_write.then(|| new.changes.clone());
        let live = new.live;
        let mut folder = SandboxFolder::new(Arc::clone(self), claim, status_file, new);
        if let Some(wish) = wish {
            folder.open_changes(&wish)?;
        }
        if live {
            folder.open_live()?;
        }
        folder.write_status()?;
        if let Some(name) = folder.status.name.take() {
            self.take_name(&name, &folder.claim.id)?;
            folder.status.name = Some(name);
        }
        Ok(folder)
    }

    fn claim_new(&self) -> Result<Claim> {
        for _ in 0..ATTEMPTS {
            let id = id::new_id();
            if !self.reuse(Kind::Sandbox, &path_of(&id)) {
                match self.root().make_directory(&path_of(&id)) {
                    Ok(()) => {}
                    Err(Errno::EXIST) => continue,
                    Err(Errno::NOENT) => {
                        self.make_parts()?;
                        continue;
                    }
                    Err(error) => return Err(self.root().error("create", &path_of(&id), error)),
                }
            }
            // `gc` may have seen the new directory before it was locked, and have taken it.
            if let Some(claim) = Claim::take(self, &id)? {
                return Ok(claim);
            }
        }
        Err(Error::Busy {
            what: "create a sandbox's state directory".to_owned(),
            why: "no free id".to_owned(),
        })
    }
}

impl SandboxFolder {
    fn new(dirs: Arc<StateDirs>, claim: Claim, status_file: StatusFile, new: NewSandbox) -> Self {
        let clocks = Clocks::now();
        let status = Status {
            version: STATUS_VERSION,
            id: claim.id.clone(),
            name: new.name,
            driver: new.driver,
            phase: Phase::Creating,
            shim: ProcessRef::current(),
            command: shorten(&texts(new.command.iter())),
            workspace: new.workspace,
            change_set: None,
            discard_changes: new.discard_changes,
            keep: new.keep,
            created_ms: clocks.unix_ms,
            created_boot_ms: Some(clocks.boot_ms()),
            stamp_ms: Some(stamp_ms()),
            ended_ms: None,
            oom_kills: None,
            exit: None,
            record: None,
            leftovers: Vec::new(),
            why: None,
            problems: Vec::new(),
            labels: new.labels,
            detached: None,
            paused: false,
        };
        Self {
            dirs,
            claim,
            status,
            status_file,
            changes: None,
            caches: None,
            live: false,
            found: None,
            finished: false,
        }
    }

    fn open_changes(&mut self, wish: &ChangesWish) -> Result<()> {
        let Some(workspace) = &self.status.workspace else {
            return Ok(());
        };
        let throwaway = self.status.discard_changes;
        let opened = changes::open(&self.dirs, workspace, wish, &self.claim.id, throwaway)?;
        self.status.change_set = Some(opened.claim.key().to_owned());
        self.changes = Some(opened.claim);
        self.found = opened.found;
        Ok(())
    }

    fn open_live(&mut self) -> Result<()> {
        let Some(workspace) = &self.status.workspace else {
            return Ok(());
        };
        let claim = changes::open_live(&self.dirs, workspace)?;
        self.status.change_set = Some(claim.key().to_owned());
        self.changes = Some(claim);
        self.live = true;
        Ok(())
    }

    /// Copies a workspace that is to be written in place; none if this one is not. `stop` is asked now
    /// and then whether to go on.
    ///
    /// # Errors
    /// The copy cannot be made, or there is too much to copy: see `stockade_workspace::Error`.
    pub fn take_baseline(&self, stop: &dyn Fn() -> bool) -> Result<Option<Copied>> {
        match (&self.changes, &self.status.workspace) {
            (Some(claim), Some(workspace)) if self.live => {
                claim.take_baseline(&self.dirs, workspace, stop).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The sandbox's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.claim.id
    }

    /// Where it is; for `Seed::state_dir`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.claim.dir.path()
    }

    /// Where changes are kept; for `Seed::changes_dir`.
    #[must_use]
    pub fn changes_dir(&self) -> Option<&Path> {
        let apart = self.changes.as_ref().filter(|_| !self.live);
        apart.map(ChangesClaim::path)
    }

    /// Keeps what the host's files hold that its sandbox begins to change; none where its changes are not kept.
    #[must_use]
    pub fn early_bases(&self) -> Option<EarlyBases> {
        let apart = self.changes.as_ref();
        let claim = apart.filter(|_| !self.live && !self.status.discard_changes)?;
        EarlyBases::new(&self.dirs, claim, &self.status)
    }

    /// Takes the directory for what is added to caches.
    ///
    /// # Errors
    /// It cannot be made or locked.
    pub fn claim_caches(&mut self) -> Result<()> {
        let workspace = self.status.workspace.as_deref();
        self.caches = Some(self.dirs.claim_caches(workspace, &self.claim.dir)?);
        Ok(())
    }

    /// Where what is added to caches is kept, if that was claimed; for `Seed::caches_dir`.
    #[must_use]
    pub fn caches_dir(&self) -> Option<&Path> {
        self.caches.as_ref().map(CachesClaim::path)
    }

    /// Where copies of system directories are kept for later sandboxes; for `Seed::trees_dir`. None
    /// if there is no such place: they are made anew each time then.
    #[must_use]
    pub fn trees_dir(&self) -> Option<PathBuf> {
        self.dirs.part(TREES).ok().map(|dir| dir.path().to_owned())
    }

    /// What was found there instead of nothing.
    #[must_use]
    pub fn found_changes(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// What is known of the sandbox.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The state directory it lies in.
    #[must_use]
    pub fn dirs(&self) -> &Arc<StateDirs> {
        &self.dirs
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.claim.dir
    }

    /// False if somebody has removed it: others look for it by its path. What cannot be read is
    /// taken to be there.
    pub(crate) fn is_in_place(&self) -> bool {
        let dir = &self.claim.dir;
        let has_status = !matches!(
            rustix::fs::statat(dir.fd(), status_file::FILE, AtFlags::SYMLINK_NOFOLLOW),
            Err(Errno::NOENT)
        );
        has_status && same_file(&self.dirs, &path_of(&self.claim.id), dir).unwrap_or(true)
    }

    /// What is to be known of a sandbox that lives without a terminal. It is written with the
    /// next status.
    pub fn detach(&mut self, detached: Detached) {
        self.status.detached = Some(detached);
    }

    /// The wall stands.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn running(&mut self, record: Record) -> Result<()> {
        self.status.phase = Phase::Running;
        self.status.record = Some(record);
        self.write_status()
    }

    /// Nothing in it runs, or all goes on. The record tells how to let it go on.
    pub(crate) fn paused(&mut self, paused: bool, record: Record) -> Result<()> {
        self.status.paused = paused;
        self.status.record = Some(record);
        self.write_status()
    }

    fn write_status(&self) -> Result<()> {
        self.status_file.write(&self.claim.dir, &self.status)
    }

    /// The sandbox has ended and its wall is gone: keeps its changes, if there are any, and
    /// its record, if that was asked for or something could not be removed.
    ///
    /// # Errors
    /// [`Error::State`]; what was to be kept is then still in its place.
    pub fn finish(mut self, finish: Finish) -> Result<Option<KeptChanges>> {
        self.finished = true;
        self.status.phase = Phase::Ended;
        self.status.exit = finish.exit;
        self.status.why = finish.why;
        self.status.oom_kills = finish.oom_kills;
        self.status.problems = finish.problems;
        self.status.paused = false;
        self.status.ended_ms = Some(unix_ms());
        // Whoever removed the record does not want it back.
        let is_wanted = self.status.keep && self.is_in_place();
        let kept = self.settle_changes()?;
        if kept.is_none() {
            self.status.change_set = None;
        }
        self.status.leftovers = finish.leftovers;
        let is_kept = is_wanted && !finish.nothing_ran;
        if is_kept || !self.status.leftovers.is_empty() {
            self.write_status()?;
            return Ok(kept);
        }
        self.remove_record()?;
        Ok(kept)
    }

    /// Nothing came of it: removes the record and the empty change set.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn abandon(mut self) -> Result<()> {
        self.finished = true;
        self.give_up()
    }

    /// Somebody may have moved the state directory while the sandbox ran. What is done by paths must be done
    /// where it is now: at the former place there is nothing, or another one.
    fn follow(&mut self) -> Result<()> {
        self.dirs = Arc::new(self.dirs.followed()?);
        self.claim.dir.follow()?;
        self.changes.as_mut().map_or(Ok(()), ChangesClaim::follow)
    }

    fn settle_changes(&mut self) -> Result<Option<KeptChanges>> {
        self.follow()?;
        match self.changes.take() {
            Some(claim) => {
                if self.status.record.is_none() {
                    changes::disown_copy(&claim)?;
                }
                changes::settle(&self.dirs, &self.status, &claim)
            }
            None => Ok(None),
        }
    }

    fn give_up(&mut self) -> Result<()> {
        self.settle_changes()?;
        self.remove_record()
    }

    /// What SIGKILL does: descriptors close, nothing is removed.
    #[cfg(test)]
    pub(crate) fn leave_as_killed(mut self) {
        self.finished = true;
    }

    fn remove_record(&self) -> Result<()> {
        if let Some(name) = &self.status.name {
            self.dirs.free_name(name, &self.claim.id)?;
        }
        if self.hand_on() {
            Ok(())
        } else {
            self.claim.discard(&self.dirs)
        }
    }

    /// Leaves the directory to a later run, if nothing but a void status is in it.
    fn hand_on(&self) -> bool {
        let dir = &self.claim.dir;
        let is_bare = dir.remove_file(SOCKET).is_ok()
            && dir.names().is_ok_and(|names| names == [status_file::FILE])
            && self.status_file.make_void();
        // Unlocked before it is handed on, as its next user must find it so. Should `gc` be
        // faster, it finds a directory of nobody without a status and removes it.
        is_bare
            && rustix::fs::flock(dir.fd(), FlockOperation::Unlock).is_ok()
            && self.dirs.hand_on(Kind::Sandbox, &path_of(&self.claim.id))
    }
}

impl Drop for SandboxFolder {
    fn drop(&mut self) {
        if !self.finished {
            // What fails here is found by `gc`: the lock goes with this process.
            let _ = self.give_up();
        }
    }
}
