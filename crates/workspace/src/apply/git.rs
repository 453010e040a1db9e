//! A repository's part of an apply: objects are written, then references, HEAD and the index are
//! put in their places by steps like all others.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use gix_object::bstr::{BString, ByteSlice};
use rustix::fs::{Gid, Uid};

use super::put::{Like, make_directory};
use super::steps::Builder;
use super::{Decision, Request, objects};
use crate::change::ChangeSet;
use crate::git::{
    Class, GitDir, GitDone, GitWish, Head, Plan, Planner, RefStep, Store, class, host_head, host_value,
    log_of, packed_without,
};
use crate::journal::{IndexAt, Mark};
use crate::place::Place;
use crate::trees::{Side, Trees};
use crate::write_error::{WriteError, WriteResult};

/// What `git init` writes, and no more: settings from inside need their own yes.
const SETTINGS: &[u8] =
    b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n";
const NEW: Like = Like {
    owner: None,
    file_mode: 0o644,
    directory_mode: 0o755,
};

/// What becomes of the repositories, without doing anything.
///
/// # Errors
/// What is wrong with each that cannot be taken over.
pub fn preview(
    trees: &Trees,
    set: &ChangeSet,
    decisions: &[Decision],
    conflicts: &[bool],
    wish: &GitWish,
) -> Result<Vec<GitDone>, crate::git::GitError> {
    let dir = GitDir::new(trees, set, wish.path.clone());
    let store = Store::open(&dir, false)?;
    let planner = Planner {
        dir: &dir,
        store: &store,
        wish,
        decisions,
        conflicts,
    };
    Ok(planner.plan()?.done)
}

/// The files of a repository that are taken as what they mean leave the change set, and the host
/// keeps its own. A repository that is new needs its directory.
pub(super) fn decide(set: &ChangeSet, wishes: &[GitWish], decisions: &mut [Decision]) {
    for (change, decision) in set.changes.iter().zip(decisions) {
        let around = wishes
            .iter()
            .filter_map(|wish| change.path.strip_prefix(&wish.path).ok());
        // A submodule's repository lies in that of the project.
        let of = around.min_by_key(|name| name.components().count());
        let Some(name) = of else { continue };
        if name.as_os_str().is_empty() {
            *decision = if change.before.is_none() {
                Decision::Apply
            } else {
                Decision::Keep
            };
        } else if matches!(class(name), Class::Data | Class::Scratch) {
            *decision = Decision::Keep;
        }
    }
}

/// Plans all repositories and adds their steps.
pub(super) fn build(
    builder: &mut Builder<'_>,
    trees: &Trees,
    request: &Request<'_>,
    decisions: &[Decision],
) -> WriteResult<(Vec<GitDone>, Vec<IndexAt>)> {
    let (mut done, mut indexes) = (Vec::new(), Vec::new());
    for wish in &request.git {
        let dir = GitDir::new(trees, request.set, wish.path.clone());
        let store = Store::open(&dir, false).map_err(WriteError::git)?;
        let planner = Planner {
            dir: &dir,
            store: &store,
            wish,
            decisions,
            conflicts: &request.conflicts,
        };
        let plan = planner.plan().map_err(WriteError::git)?;
        let has_settings = request
            .set
            .changes
            .iter()
            .zip(decisions)
            .any(|(change, decision)| {
                *decision == Decision::Apply && change.path == wish.path.join("config")
            });
        let mut repository = Repository {
            like: like(builder, &dir)?,
            at_ms: request.now_ms,
            id: &wish.id,
            builder: &mut *builder,
            dir: &dir,
            store: &store,
        };
        if dir.is_new() {
            repository.begin(&plan, has_settings)?;
        } else {
            repository.write_objects(&plan)?;
        }
        repository.steps(&plan)?;
        if let Some(bytes) = &plan.index {
            indexes.extend(IndexAt::of(&wish.path.join("index"), bytes));
        }
        done.extend(plan.done);
    }
    Ok((done, indexes))
}

/// Files of ours look like those that are there.
fn like(builder: &Builder<'_>, dir: &GitDir<'_>) -> WriteResult<Like> {
    let failed = |cause| WriteError::step(&dir.path, cause);
    let project = builder.project();
    let root = rustix::fs::fstat(project.root()).map_err(failed)?;
    let own = project.stat(&dir.path).map_err(failed)?.unwrap_or(root);
    let is_root = rustix::process::geteuid().is_root();
    let owner = is_root.then(|| (Uid::from_raw(own.st_uid), Gid::from_raw(own.st_gid)));
    let mode = |name: &str, else_: u32| {
        let stat = project.stat(&dir.path.join(name)).ok().flatten();
        stat.map_or(else_, |stat| stat.st_mode & 0o2777)
    };
    Ok(Like {
        owner,
        file_mode: mode("HEAD", NEW.file_mode) & 0o666,
        directory_mode: mode("refs", NEW.directory_mode) | 0o700,
    })
}

struct Repository<'r, 'b, 'd> {
    builder: &'r mut Builder<'b>,
    dir: &'d GitDir<'d>,
    store: &'d Store<'d>,
    like: Like,
    at_ms: u64,
    id: &'d str,
}

impl Repository<'_, '_, '_> {
    fn write_objects(&mut self, plan: &Plan) -> WriteResult {
        if plan.objects.is_empty() {
            return Ok(());
        }
        let path = self.dir.path.join("objects");
        let to = self.builder.project().directory(&path);
        let to = Place::from(to.map_err(|cause| WriteError::step(&path, cause))?);
        objects::write(&to, &plan.objects, self.store, self.like, self.builder.pause())
    }

    /// A repository that the host does not have: nothing is written before its directory comes.
    fn begin(&mut self, plan: &Plan, has_settings: bool) -> WriteResult {
        let (like, store, pause) = (self.like, self.store, self.builder.pause());
        let objects = self.dir.path.join("objects");
        self.builder.put_directory(&objects, like, |to| {
            objects::write(to, &plan.objects, store, like, pause)
        })?;
        let refs = self.dir.path.join("refs");
        self.builder.put_directory(&refs, like, |to| {
            for name in ["heads", "tags"] {
                make_directory(to.root().as_fd(), name, like)
                    .map_err(|cause| WriteError::stage(&refs, cause))?;
            }
            Ok(())
        })?;
        if !has_settings {
            self.builder
                .put(&self.dir.path.join("config"), SETTINGS, None, like)?;
        }
        Ok(())
    }

    fn steps(&mut self, plan: &Plan) -> WriteResult {
        let mut directories = std::collections::BTreeSet::new();
        let mut locks = Vec::new();
        let is_new = self.dir.is_new();
        if !is_new && plan.index.is_some() {
            locks.push(self.builder.lock(self.dir.path.join("index.lock"), self.like)?);
        }
        if !is_new && plan.head.is_some() {
            locks.push(self.builder.lock(self.dir.path.join("HEAD.lock"), self.like)?);
        }
        let defaults = plan.defaults.iter().map(|default| &default.name);
        for name in plan.refs.iter().map(|step| &step.name).chain(defaults) {
            let path = self.path_of(name);
            self.parents(&path, &mut directories)?;
            if !is_new {
                locks.push(self.builder.lock(with_lock(&path), self.like)?);
            }
        }
        self.packed(plan, &mut locks)?;
        for step in &plan.refs {
            self.reference(step, plan)?;
        }
        for default in &plan.defaults {
            let path = self.path_of(&default.name);
            let content = [b"ref: ", default.to.as_slice(), b"\n"].concat();
            self.builder.put(&path, &content, None, self.like)?;
        }
        self.head(plan)?;
        if let Some(stashes) = &plan.stashes {
            let path = self.dir.path.join(log_of(&BString::from("refs/stash")));
            self.parents(&path, &mut directories)?;
            let old = self.builder.stands(&path)?;
            self.builder.put(&path, stashes, old, self.like)?;
        }
        if let Some(index) = &plan.index {
            let path = self.dir.path.join("index");
            let old = self.seen(&path)?;
            self.builder.put(&path, index, old, self.like)?;
        }
        locks.into_iter().rev().for_each(|lock| self.builder.unlock(lock));
        Ok(())
    }

    fn reference(&mut self, step: &RefStep, plan: &Plan) -> WriteResult {
        let path = self.path_of(&step.name);
        let old = self.builder.stands(&path)?.filter(|mark| !mark.is_directory());
        let now = if self.dir.is_new() {
            None
        } else {
            host_value(self.dir, &step.name).map_err(WriteError::git)?
        };
        if now != step.old {
            return Err(WriteError::changed(&path));
        }
        let log = self.dir.path.join(log_of(&step.name));
        match (step.new, old) {
            (Some(new), _) => {
                self.builder
                    .put(&path, format!("{new}\n").as_bytes(), old, self.like)?;
                if plan.stashes.is_none() || step.name != "refs/stash" {
                    self.note(&log, step.old, new)?;
                }
                if is_checked_out(self.dir, &step.name) && plan.head.is_none() {
                    self.note(&self.dir.path.join("logs/HEAD"), step.old, new)?;
                }
            }
            (None, _) => {
                if let Some(old) = old {
                    self.builder.take(&path, old)?;
                }
                if let Some(old) = self.builder.stands(&log)? {
                    self.builder.take(&log, old)?;
                }
            }
        }
        Ok(())
    }

    /// Deleted references leave the file of packed ones.
    fn packed(&mut self, plan: &Plan, locks: &mut Vec<(PathBuf, Mark)>) -> WriteResult {
        let gone: Vec<&BString> = plan
            .refs
            .iter()
            .filter(|step| step.new.is_none())
            .map(|step| &step.name)
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let path = self.dir.path.join("packed-refs");
        let old = self.builder.stands(&path)?;
        let without = packed_without(self.dir, &gone).map_err(WriteError::git)?;
        if let (Some(old), Some(without)) = (old, without) {
            locks.push(
                self.builder
                    .lock(self.dir.path.join("packed-refs.lock"), self.like)?,
            );
            self.builder.put(&path, &without, Some(old), self.like)?;
        }
        Ok(())
    }

    fn head(&mut self, plan: &Plan) -> WriteResult {
        let Some(head) = &plan.head else { return Ok(()) };
        let path = self.dir.path.join("HEAD");
        let old = self.builder.stands(&path)?;
        let content = match head {
            Head::Branch(name) => [b"ref: ", name.as_slice(), b"\n"].concat(),
            Head::Detached(id) => format!("{id}\n").into_bytes(),
        };
        if !self.dir.is_new() && host_head(self.dir).map_err(WriteError::git)? != plan.host_head {
            return Err(WriteError::changed(&path));
        }
        self.builder.put(&path, &content, old, self.like)?;
        if let (Some(from), Some(to)) = (plan.value_of(&plan.host_head), plan.value_of(&plan.head)) {
            self.note(&self.dir.path.join("logs/HEAD"), Some(from), to)?;
        }
        Ok(())
    }

    /// A line in git's record of a reference, where it keeps one: by it what was before is found.
    fn note(&mut self, path: &Path, old: Option<ObjectId>, new: ObjectId) -> WriteResult {
        let Some(mark) = self.builder.stands(path)? else {
            return Ok(());
        };
        let name = path.strip_prefix(&self.dir.path).unwrap_or(path);
        let content = self.dir.trees.content(Side::Before, path, 256 << 20);
        let mut content = content.map_err(|cause| WriteError::stage(name, std::io::Error::other(cause)))?;
        let null = ObjectId::null(gix_hash::Kind::Sha1);
        let line = format!(
            "{} {new} Stockade <stockade@localhost> {} +0000\tstockade: apply {}\n",
            old.unwrap_or(null),
            self.at_ms / 1000,
            self.id
        );
        content.extend_from_slice(line.as_bytes());
        self.builder.put(path, &content, Some(mark), self.like)
    }

    /// Directories that are missing on the way to a path of the repository.
    fn parents(&mut self, path: &Path, made: &mut std::collections::BTreeSet<PathBuf>) -> WriteResult {
        let above: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .take_while(|above| *above != self.dir.path)
            .collect();
        for directory in above.into_iter().rev() {
            let is_ours = self.dir.is_new() && is_made_at_begin(self.dir, directory);
            if is_ours || made.contains(directory) || self.builder.stands(directory)?.is_some() {
                continue;
            }
            self.builder.put_directory(directory, self.like, |_| Ok(()))?;
            made.insert(directory.to_owned());
        }
        Ok(())
    }

    /// What stands at a path, if it is what the comparison saw.
    fn seen(&self, path: &Path) -> WriteResult<Option<Mark>> {
        let now = self.builder.stands(path)?;
        let before = self.dir.change(path).and_then(|change| change.before);
        match (&now, &before) {
            (None, None) => Ok(None),
            (Some(mark), Some(before)) if mark.is_entry(before) => Ok(now),
            _ => Err(WriteError::changed(path)),
        }
    }

    fn path_of(&self, name: &BString) -> PathBuf {
        self.dir.path.join(OsStr::from_bytes(name))
    }
}

fn with_lock(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn is_made_at_begin(dir: &GitDir<'_>, path: &Path) -> bool {
    let names = ["refs", "refs/heads", "refs/tags"];
    names.iter().any(|name| dir.path.join(name) == path)
}

fn is_checked_out(dir: &GitDir<'_>, name: &BString) -> bool {
    !dir.is_new() && host_head(dir).is_ok_and(|head| head == Some(Head::Branch(name.as_bstr().to_owned())))
}
