//! From decided changes to steps.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::clock::Clock;
use super::select::{below, is_directory_coming, is_directory_going};
use super::stage::{Maker, made};
use super::{Decision, Request, git, leave};
use crate::bases::Bases;
use crate::change::{Change, Entry, NodeKind, Unread};
use crate::copy::SETID;
use crate::git::GitDone;
use crate::journal::{Act, Draft, IndexAt, Mark, PartOf, Pause, Step, Touched, Tree, time_of};
use crate::place::Place;
use crate::scan::each_name;
use crate::trees::Trees;
use crate::write_error::{WriteError, WriteResult};

/// Steps, with the directories whose times they change.
pub(super) struct Prepared {
    pub(super) steps: Vec<Step>,
    pub(super) touched: Vec<Touched>,
    pub(super) parts: Vec<PartOf>,
    pub(super) git: Vec<GitDone>,
    pub(super) indexes: Vec<IndexAt>,
}

/// Makes new things in the stage and writes down how they get to their places.
pub(super) struct Builder<'a> {
    stage: &'a Place,
    project: &'a Place,
    upper: &'a Place,
    changes: &'a [Change],
    unread: &'a [Unread],
    maker: Maker<'a>,
    pause: Pause<'a>,
    steps: Vec<Step>,
    /// Modes that can only be set at the end, outermost first.
    closing: Vec<Step>,
    /// Directories that are open to us while steps are taken.
    open: BTreeSet<PathBuf>,
    touched: BTreeMap<PathBuf, Touched>,
    request: &'a Request<'a>,
    parts: Vec<PartOf>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        draft: &'a Draft<'_>,
        project: &'a Place,
        upper: &'a Place,
        request: &'a Request<'a>,
        pause: Pause<'a>,
    ) -> Self {
        Self {
            stage: &draft.stage,
            project,
            upper,
            changes: &request.set.changes,
            unread: &request.set.unread,
            maker: Maker {
                project,
                upper,
                owners: request.owners,
                clock: Clock::new(request.set.changes.iter(), request.now_ms),
            },
            pause,
            steps: Vec::new(),
            closing: Vec::new(),
            open: BTreeSet::new(),
            touched: BTreeMap::new(),
            request,
            parts: Vec::new(),
        }
    }

    pub(super) fn build(mut self, decisions: &mut [Decision], trees: &Trees) -> WriteResult<Prepared> {
        let changes = self.changes;
        let mut number = 0;
        while let Some(change) = changes.get(number) {
            (self.pause)("prepare");
            match decisions[number] {
                Decision::Leave | Decision::Keep => {}
                Decision::Beside => self.beside(change)?,
                Decision::Part => self.part(number, change)?,
                Decision::Merge => self.merge(number, change)?,
                Decision::Apply => {
                    self.change(number, change, decisions)?;
                    if is_directory_coming(change) || is_directory_going(change) {
                        number = below(changes, number).last().unwrap_or(number);
                    }
                }
            }
            number += 1;
        }
        let request = self.request;
        let (git, indexes) = git::build(&mut self, trees, request, decisions)?;
        self.steps.extend(self.closing.drain(..).rev());
        let left = changes.iter().zip(&*decisions);
        let left = left.filter(|(_, decision)| matches!(decision, Decision::Leave | Decision::Part));
        let left = left.map(|(change, _)| change.path.as_path());
        let left: BTreeSet<&Path> = left
            .chain(self.unread.iter().map(|unread| unread.path.as_path()))
            .collect();
        let leaving = leave::steps(self.upper, &left)?;
        // Directories without any change of their own may lie there; nothing is decided then.
        if decisions.iter().any(|decision| *decision != Decision::Leave) {
            self.steps.extend(leaving);
            self.steps.extend(self.bases_of(decisions)?);
        }
        Ok(Prepared {
            steps: self.steps,
            touched: self.touched.into_values().collect(),
            parts: self.parts,
            git,
            indexes,
        })
    }

    /// The bases of what leaves the change set go with it, and come back with it.
    fn bases_of(&self, decisions: &[Decision]) -> WriteResult<Vec<Step>> {
        let set = self.request.upper.parent().unwrap_or(&self.request.upper);
        let bases = Bases::of(set)?;
        let all = self.changes.iter().zip(decisions);
        let gone = all.filter(|(_, decision)| !matches!(decision, Decision::Leave | Decision::Part));
        let records = gone.filter_map(|(change, _)| bases.leaving(&change.path));
        Ok(records
            .map(|(path, old)| Step {
                tree: Tree::Bases,
                path,
                act: Act::Take { old },
            })
            .collect())
    }

    fn change(&mut self, number: usize, change: &'a Change, decisions: &[Decision]) -> WriteResult {
        let old = self.standing(change)?;
        match (&change.before, &change.after) {
            (Some(before), Some(after)) if is_directory(before) && is_directory(after) => {
                self.mode(change, before, after);
                return Ok(());
            }
            (Some(before), _) if is_directory(before) => self.check_whole(number, change)?,
            _ => {}
        }
        if let Some(old) = &old {
            self.open_before_move(change, old);
        }
        self.touch(&change.path)?;
        let object = self.steps.len();
        let Some(after) = &change.after else {
            let Some(old) = old else { return Ok(()) };
            self.push(&change.path, Act::Take { old });
            return Ok(());
        };
        let mode = if is_directory(after) {
            self.tree(number, object, decisions)?
        } else {
            self.maker.leaf(change, after, self.stage, &named(object), None)?;
            None
        };
        let new = made(self.stage, object, change)?;
        self.push(
            &change.path,
            match old {
                Some(old) => Act::Exchange { new, old },
                None => Act::Place { new },
            },
        );
        if let Some((from, to)) = mode {
            self.closing.push(step(&change.path, Act::Mode { from, to }));
        }
        Ok(())
    }

    /// What stands at the path on the host, if it is what the scan saw.
    fn standing(&self, change: &Change) -> WriteResult<Option<Mark>> {
        let stat = self
            .project
            .stat(&change.path)
            .map_err(|cause| WriteError::step(&change.path, cause))?;
        let now = stat.map(|stat| Mark::of(&stat));
        match (&now, &change.before) {
            (None, None) => Ok(None),
            (Some(mark), Some(before)) if mark.is_entry(before) => Ok(now),
            _ => Err(WriteError::changed(&change.path)),
        }
    }

    /// A directory goes with all that is in it: that must be what the scan saw, no more.
    fn check_whole(&self, number: usize, change: &Change) -> WriteResult {
        let mut listed = BTreeSet::new();
        for inner in below(self.changes, number) {
            if self.changes[inner].before.is_some() {
                self.standing(&self.changes[inner])?;
                listed.insert(self.changes[inner].path.as_path());
            }
        }
        let failed = |cause| WriteError::step(&change.path, cause);
        let mut pending = vec![change.path.clone()];
        while let Some(path) = pending.pop() {
            let directory = self.project.directory(&path).map_err(failed)?;
            let mut unknown = None;
            each_name(&directory, |name| {
                let inner = path.join(OsStr::from_bytes(name.to_bytes()));
                match listed.get(inner.as_path()) {
                    Some(_) => pending.push(inner),
                    None => unknown = Some(inner),
                }
                unknown.is_none()
            })
            .map_err(failed)?;
            if let Some(unknown) = unknown {
                return Err(WriteError::changed(&unknown));
            }
            pending.retain(|path| self.is_directory_before(path));
        }
        Ok(())
    }

    fn is_directory_before(&self, path: &Path) -> bool {
        let found = self
            .changes
            .binary_search_by(|change| change.path.as_path().cmp(path));
        found.is_ok_and(|found| self.changes[found].before.as_ref().is_some_and(is_directory))
    }

    /// Makes a new directory with all that goes into it.
    fn tree(&self, number: usize, object: usize, decisions: &[Decision]) -> WriteResult<Option<(u32, u32)>> {
        let root = &self.changes[number];
        let at = |change: &Change| -> WriteResult<PathBuf> {
            let inner = change.path.strip_prefix(&root.path);
            let inner = inner.map_err(|_| WriteError::changed(&change.path))?;
            Ok(if inner.as_os_str().is_empty() {
                named(object)
            } else {
                named(object).join(inner)
            })
        };
        let mut made: Vec<(&Change, &Entry)> = Vec::new();
        for inner in std::iter::once(number).chain(below(self.changes, number)) {
            let change = &self.changes[inner];
            let (Decision::Apply, Some(after)) = (decisions[inner], &change.after) else {
                continue;
            };
            (self.pause)("make");
            if is_directory(after) {
                self.maker.directory(change, self.stage, &at(change)?)?;
                made.push((change, after));
            } else {
                self.maker.leaf(change, after, self.stage, &at(change)?, None)?;
            }
        }
        let mut mode = None;
        for (change, after) in made.into_iter().rev() {
            let is_outermost = change.path == root.path;
            mode = self
                .maker
                .close(change, after, self.stage, &at(change)?, is_outermost)?;
        }
        Ok(mode)
    }

    /// A directory that stays and gets other permissions: it must be open while things are
    /// moved in it. Bits that let others act as its owner or group stay as the host has them.
    fn mode(&mut self, change: &Change, before: &Entry, after: &Entry) {
        self.open.insert(change.path.clone());
        let open = before.mode | 0o700;
        let to = after.mode & !SETID | before.mode & SETID;
        if open != before.mode {
            let from = before.mode;
            self.push(&change.path, Act::Mode { from, to: open });
        }
        if to != open {
            let act = Act::Mode { from: open, to };
            self.closing.push(step(&change.path, act));
        }
    }

    /// Moving a directory writes to it.
    fn open_before_move(&mut self, change: &Change, old: &Mark) {
        let from = old.mode & 0o7777;
        if old.is_directory() && from & 0o700 != 0o700 {
            let to = from | 0o700;
            self.push(&change.path, Act::Mode { from, to });
        }
    }

    /// Some hunks of a file that stands on both sides. The file inside stays a pending change,
    /// and that the host's changes now is no conflict with it.
    fn part(&mut self, number: usize, change: &Change) -> WriteResult {
        let (Some(content), Some(old), Some(after)) = (
            self.request.parts.get(&number),
            self.standing(change)?,
            &change.after,
        ) else {
            return Ok(());
        };
        self.touch(&change.path)?;
        let object = self.steps.len();
        self.maker
            .leaf(change, after, self.stage, &named(object), Some(content))?;
        let new = made(self.stage, object, change)?;
        self.parts.push(PartOf {
            path: change.path.clone(),
            changed: old.changed,
        });
        self.push(&change.path, Act::Exchange { new, old });
        Ok(())
    }

    /// A file of both sides, or the new name of one that was moved, whose old one is applied. Both are what was
    /// merged: their ctimes are looked at.
    fn merge(&mut self, number: usize, change: &Change) -> WriteResult {
        let old = self.standing(change)?;
        let (Some(merged), Some(after)) = (self.request.merged.get(&number), &change.after) else {
            return Err(WriteError::changed(&change.path));
        };
        self.touch(&change.path)?;
        let object = self.steps.len();
        let content = Some(merged.content.as_slice());
        self.maker
            .leaf(change, after, self.stage, &named(object), content)?;
        self.maker
            .set_mode(change, self.stage, &named(object), merged.mode)?;
        let new = made(self.stage, object, change)?;
        let act = match old {
            Some(old) => Act::Exchange { new, old },
            None => Act::Place { new },
        };
        self.push(&change.path, act);
        Ok(())
    }

    /// The host's file stays, and gets the other one as a neighbour.
    fn beside(&mut self, change: &Change) -> WriteResult {
        let Some(after) = &change.after else { return Ok(()) };
        if !matches!(after.node, NodeKind::File | NodeKind::Symlink) {
            return Ok(());
        }
        let mut name = OsString::from(change.path.file_name().unwrap_or_default());
        name.push(".stockade");
        let path = change.path.with_file_name(name);
        self.touch(&path)?;
        let object = self.steps.len();
        self.maker.leaf(change, after, self.stage, &named(object), None)?;
        let new = made(self.stage, object, change)?;
        self.push(&path, Act::Place { new });
        Ok(())
    }

    pub(super) fn project(&self) -> &'a Place {
        self.project
    }

    pub(super) fn stage(&self) -> &'a Place {
        self.stage
    }

    pub(super) fn pause(&self) -> Pause<'a> {
        self.pause
    }

    /// The name in the stage of what the next step moves.
    pub(super) fn next_object(&self) -> String {
        self.steps.len().to_string()
    }

    pub(super) fn touch(&mut self, path: &Path) -> WriteResult {
        let parent = path.parent().unwrap_or(Path::new(""));
        self.open_parent(parent)?;
        if !self.touched.contains_key(parent)
            && let Some(time) = time_of(self.project, parent)?
        {
            self.touched.insert(parent.to_owned(), time);
        }
        Ok(())
    }

    /// A directory that its owner may not write either is opened, and closed at the end.
    fn open_parent(&mut self, parent: &Path) -> WriteResult {
        if parent.as_os_str().is_empty() || !self.open.insert(parent.to_owned()) {
            return Ok(());
        }
        let stat = self
            .project
            .stat(parent)
            .map_err(|cause| WriteError::step(parent, cause))?;
        let Some(from) = stat.map(|stat| stat.st_mode & 0o7777) else {
            return Ok(());
        };
        let to = from | 0o700;
        if from != to {
            self.push(parent, Act::Mode { from, to });
            self.closing.push(step(parent, Act::Mode { from: to, to: from }));
        }
        Ok(())
    }

    pub(super) fn push(&mut self, path: &Path, act: Act) {
        self.steps.push(step(path, act));
    }
}

fn step(path: &Path, act: Act) -> Step {
    Step {
        tree: Tree::Project,
        path: path.to_owned(),
        act,
    }
}

fn is_directory(entry: &Entry) -> bool {
    entry.node == NodeKind::Directory
}

/// Things in the stage are called by the number of their step.
fn named(object: usize) -> PathBuf {
    PathBuf::from(object.to_string())
}
