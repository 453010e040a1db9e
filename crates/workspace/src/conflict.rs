//! Files that changed on both sides: inside, and on the host since the sandbox began.
//!
//! Nothing is recorded when a sandbox starts. The kernel sets a file's ctime at every change,
//! and no program can set it to another time: a host file whose ctime is before the start of
//! the run that made the inside version is the file that the run saw. Which run that was is
//! told by the birth time of the file in the change set, which nobody can set either.
//!
//! When a sandbox has ended, the host's files that it saw are kept ([`crate::bases`]). From then on
//! these tell: also of files that a later run writes anew, and that the host removes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::bases::{Base, Bases, Room, is_of_git};
use crate::change::{Change, ChangeKind, Content, Entry, Moment, NodeKind};
use crate::checkpoint::Births;
use crate::journal::{Known, Pause};
use crate::merge::ThreeWay;
use crate::place::Place;
use crate::rename;
use crate::review::{Item, Review, sort};
use crate::trees::{Side, Trees};
use crate::write_error::{WriteError, WriteResult};

/// When a sandbox that used a change set began, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// What the clock showed, in milliseconds since 1970: what was written on the host before
    /// bears an earlier time.
    pub began_ms: u64,
    /// What the kernel wrote into files at that moment, in milliseconds since 1970: no file
    /// that was made in the sandbox bears an earlier time. The kernel's stamps follow a clock
    /// that moves in ticks (1 to 10 ms, `CONFIG_HZ`) and lags behind the other.
    pub stamp_ms: u64,
}

/// What tells a change that meets a host file that changed since from one that does not.
#[derive(Debug)]
pub struct Conflicts {
    known: Vec<Known>,
    upper: Place,
    births: Births,
    bases: Bases,
    /// Sorted by their stamps.
    runs: Vec<Start>,
}

impl Conflicts {
    /// Of the change set in a directory, with its upper directory. `runs` are the sandboxes that used
    /// the set; without any, every file of the host that would be changed counts as a conflict.
    /// `history` is the directory of the project's history.
    ///
    /// # Errors
    /// [`WriteError::History`] if the change set or the history cannot be read.
    pub fn of(set: &Path, upper: &Path, history: &Path, runs: &[Start]) -> WriteResult<Self> {
        let mut runs = runs.to_vec();
        runs.sort_unstable_by_key(|run| run.stamp_ms);
        Ok(Self {
            known: Known::read(history)?,
            upper: Place::open(upper).map_err(|cause| WriteError::history("open", upper, cause))?,
            births: Births::of(set)?,
            bases: Bases::of(set)?,
            runs,
        })
    }

    /// The bases that were kept.
    #[must_use]
    pub fn bases(&self) -> &Bases {
        &self.bases
    }

    /// True if a change meets a host file that changed since, or that the host has removed.
    #[must_use]
    pub fn has(&self, change: &Change) -> bool {
        let base = self.bases.get(&change.path);
        let Some(before) = change.before else {
            return matches!(base, Some(Base::File { .. }));
        };
        if before.node == NodeKind::Directory {
            // A directory changes whenever a name in it does; the names are looked at. In place of
            // a file it is another thing than the sandbox saw, and so is any but a directory in its.
            let is_directory = change
                .after
                .is_some_and(|after| after.node == NodeKind::Directory);
            return match base {
                Some(Base::File { .. }) => true,
                Some(Base::Nothing) => !is_directory,
                None => false,
            };
        }
        match base {
            Some(Base::Nothing) => true,
            // What is made later of a file that was not known is not known either.
            Some(Base::File { changed, .. }) => {
                changed != Some(seconds_of(self.changed(&change.path, &before)))
            }
            None => !self.is_seen(change, &before),
        }
    }

    /// Of the conflicts among changes, the deletions that belong to a file that was moved: the number of each by
    /// that of the addition. The two are one conflict: with the new name alone the host would have
    /// both files.
    #[must_use]
    pub fn moved(&self, trees: &Trees, changes: &[Change]) -> BTreeMap<usize, usize> {
        let is_open = |change: &Change| change.conflict && change.kind == ChangeKind::Deleted;
        if !changes.iter().any(is_open) {
            return BTreeMap::new();
        }
        let told = changes.iter().enumerate();
        let (numbers, told): (Vec<usize>, Vec<Change>) = told
            .filter(|(_, change)| !change.ignored && !is_of_git(&change.path))
            .map(|(number, change)| (number, change.clone()))
            .unzip();
        let moved = rename::moved(trees, &told, &self.bases);
        let moved = moved.into_iter().filter(|moved| is_open(&told[moved.from]));
        moved
            .map(|moved| (numbers[moved.to], numbers[moved.from]))
            .collect()
    }

    /// Marks the conflicts in a review, and puts them on top.
    pub fn mark(&self, review: &mut Review) {
        for item in &mut review.changes {
            item.change.conflict = self.has(&source(item));
        }
        sort(&mut review.changes);
    }

    /// True if the host's file is what the sandbox saw, by its times alone.
    fn is_seen(&self, change: &Change, before: &Entry) -> bool {
        let changed = milliseconds(self.changed(&change.path, before));
        !self.runs.is_empty() && changed <= baseline(&self.births, &self.upper, &change.path, &self.runs)
    }

    /// When somebody else than us last changed a host file.
    fn changed(&self, path: &Path, before: &Entry) -> Moment {
        Known::counts_as(&self.known, path, before).unwrap_or(before.stamp.changed)
    }

    /// Keeps the bases of changes of which none is known yet: what the host's files hold, as long as
    /// they are what the sandboxes saw. `set` is the change set's directory.
    ///
    /// # Errors
    /// [`WriteError::History`] if they cannot be written.
    pub fn keep<'a>(
        &self,
        set: &Path,
        trees: &Trees,
        changes: impl Iterator<Item = &'a Change> + Clone,
        pause: Pause<'_>,
    ) -> WriteResult {
        self.keep_within(set, trees, changes, &mut Room::default(), pause)
    }

    /// The same while a sandbox runs, for files that it has begun to change: as long as the host's has not changed
    /// since the start, it is what was there to be seen. Of others nothing is written down; they are looked
    /// at when the sandbox has ended.
    ///
    /// # Errors
    /// [`WriteError::History`] if they cannot be written.
    pub fn keep_early<'a>(
        &self,
        set: &Path,
        trees: &Trees,
        paths: impl Iterator<Item = &'a Path>,
        room: &mut Room,
    ) -> WriteResult {
        let seen = paths.filter_map(|path| {
            let before = trees.entry(Side::Before, path).ok()??;
            let change = Change::new(path.to_owned(), Some(before), None, Content::Differs);
            self.is_seen(&change, &before).then_some(change)
        });
        let seen: Vec<Change> = seen.collect();
        self.keep_within(set, trees, seen.iter(), room, &|_| {})
    }

    fn keep_within<'a>(
        &self,
        set: &Path,
        trees: &Trees,
        changes: impl Iterator<Item = &'a Change> + Clone,
        room: &mut Room,
        pause: Pause<'_>,
    ) -> WriteResult {
        let seen = |change: &Change, before: &Entry| {
            self.is_seen(change, before)
                .then(|| seconds_of(self.changed(&change.path, before)))
        };
        crate::bases::keep(set, trees, changes, seen, room, pause)
    }
}

/// What a change does to a file of the host: one that was moved is deleted where it was.
fn source(item: &Item) -> Change {
    match &item.renamed {
        Some(renamed) => Change::new(renamed.from.clone(), item.change.before, None, Content::Differs),
        None => item.change.clone(),
    }
}

impl ThreeWay {
    /// Looks at a change of a review that is a conflict.
    #[must_use]
    pub fn of_item(trees: &Trees, bases: &Bases, item: &Item) -> Self {
        Self::of_moved(trees, bases, &source(item), &item.change)
    }
}

fn seconds_of(moment: Moment) -> (i64, u32) {
    (moment.seconds, moment.nanos)
}

/// The start of the run that made what stands at a path inside.
fn baseline(births: &Births, upper: &Place, path: &Path, runs: &[Start]) -> u64 {
    let first = runs.first().map_or(0, |run| run.began_ms);
    let Some(born) = birth(births, upper, path) else {
        return first;
    };
    let begun = runs.partition_point(|run| run.stamp_ms <= born);
    begun
        .checked_sub(1)
        .and_then(|index| runs.get(index))
        .map_or(first, |run| run.began_ms)
}

/// When the thing at a path inside was made, or the nearest directory above it: what hides a
/// file may be an opaque directory.
fn birth(births: &Births, upper: &Place, path: &Path) -> Option<u64> {
    let mut path: PathBuf = path.to_owned();
    loop {
        if let Some(born) = births.born_ms(upper, &path) {
            return Some(born);
        }
        if !path.pop() || path.as_os_str().is_empty() {
            return None;
        }
    }
}

fn milliseconds(moment: Moment) -> u64 {
    let seconds = u64::try_from(moment.seconds).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(u64::from(moment.nanos / 1_000_000))
}
