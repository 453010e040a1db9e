//! A change set as a person reviews it: risky files first, renames found, ignored trees in one
//! line.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bases::Bases;
use crate::change::{Change, ChangeKind, ChangeSet, Content, Counts, NodeKind, Unread, lossless_path};
use crate::error::Result;
use crate::git::{self, GitDir};
use crate::ignored::IgnoreRules;
use crate::rename;
use crate::risk::{Aliases, Risk, is_git_data, risks};
use crate::scan::ScanLimits;
use crate::text::{Hunk, LineKind, hunks, is_binary};
use crate::trees::{Side, Trees};

/// Files that are larger are not compared line by line.
pub const MAX_TEXT_BYTES: u64 = 8 << 20;

/// A file as it was before its content and name changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// Its former path.
    #[serde(serialize_with = "lossless_path")]
    pub from: PathBuf,
    /// How much of it is the same, in percent.
    pub similarity: u8,
}

/// A change in a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The change. Of a renamed file, `before` is what stood at its former path.
    #[serde(flatten)]
    pub change: Change,
    /// It was moved here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed: Option<Renamed>,
}

/// Changes that are told in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fold {
    /// The directory or file.
    #[serde(serialize_with = "lossless_path")]
    pub path: PathBuf,
    /// How much changed in it.
    #[serde(flatten)]
    pub counts: Counts,
    /// It is git's own data, and not left out by a rule.
    pub git: bool,
    /// Of those, how many a build tool would run, or can be executed.
    pub risky: u64,
}

/// What is there to review.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Review {
    /// How much changed, folded changes included.
    pub counts: Counts,
    /// Risky changes and conflicts, then the others; each sorted by path.
    pub changes: Vec<Item>,
    /// What is told in one line each.
    pub folded: Vec<Fold>,
    /// There may be more changes than are told here.
    pub truncated: bool,
    /// What happened in git repositories, as far as it can be told as commits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub git: Vec<git::Told>,
    /// Directories that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// What is wanted of a review.
#[derive(Clone, Debug)]
pub struct Wish {
    /// How much is looked at.
    pub limits: ScanLimits,
    /// Only these paths and what is below them; all if there are none.
    pub paths: Vec<PathBuf>,
    /// Tell ignored files one by one as well.
    pub ignored: bool,
    /// A sandbox may be writing to the change set.
    pub live: bool,
}

/// The content of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing but what the change itself tells.
    None,
    /// Text, in hunks.
    Text(Vec<Hunk>),
    /// Something that is not shown.
    Binary,
    /// Too large to compare line by line.
    Large,
    /// The targets of a link before and after.
    Link(Option<PathBuf>, Option<PathBuf>),
    /// It cannot be read; why.
    Unreadable(String),
}

/// Fills in what the scan leaves open: risks, and what git's rules leave out.
pub fn judge(trees: &Trees, set: &mut ChangeSet) {
    let mut rules = IgnoreRules::new(trees);
    let aliases = Aliases::of(trees);
    for change in &mut set.changes {
        change.risks = risks(trees, &aliases, change);
        let is_directory = change.node() == NodeKind::Directory;
        change.ignored = rules.ignored(&change.path, is_directory).is_some();
    }
}

impl Trees {
    /// Reads what there is to review.
    ///
    /// # Errors
    /// As [`Trees::scan`].
    pub fn review(&self, wish: &Wish) -> Result<Review> {
        self.review_with(wish, &Bases::default())
    }

    /// The same; a file that was moved is found by its base as well, because the host may have changed it since.
    ///
    /// # Errors
    /// As [`Trees::scan`].
    pub fn review_with(&self, wish: &Wish, bases: &Bases) -> Result<Review> {
        let mut set = self.scan(wish.limits)?;
        let is_wanted =
            |path: &Path| wish.paths.is_empty() || wish.paths.iter().any(|top| path.starts_with(top));
        let mut git = self.repositories(&set, wish);
        set.changes.retain(|change| is_wanted(&change.path));
        if !wish.paths.is_empty() {
            set.counts = Counts::default();
            set.changes.iter().for_each(|change| set.counts.add(change));
        }
        judge(self, &mut set);
        // As in git's form: a directory is told by what is in it, and by itself if that is nothing.
        let told: HashSet<PathBuf> = set
            .changes
            .iter()
            .flat_map(|change| change.path.ancestors().skip(1).map(Path::to_owned))
            .collect();
        set.changes.retain(|change| {
            let comes_or_goes = matches!(change.kind, ChangeKind::Added | ChangeKind::Deleted);
            change.risks.contains(&Risk::Commits)
                || !(comes_or_goes && change.node() == NodeKind::Directory && told.contains(&change.path))
        });
        let mut rules = IgnoreRules::new(self);
        let mut folded: BTreeMap<PathBuf, Fold> = BTreeMap::new();
        let mut shown = Vec::new();
        for change in set.changes {
            if count_in(&mut git, &change) {
                continue;
            }
            match fold_of(&mut rules, &change, wish.ignored) {
                None => shown.push(change),
                Some((path, git)) => {
                    let fold = folded.entry(path.clone()).or_default();
                    (fold.path, fold.git) = (path, git);
                    fold.counts.add(&change);
                    fold.risky += u64::from(!change.risks.is_empty());
                }
            }
        }
        git.retain(|told| !told.is_empty() || !told.files.is_empty());
        let mut changes = rename::find(self, shown, bases);
        sort(&mut changes);
        Ok(Review {
            counts: set.counts,
            changes,
            folded: folded.into_values().collect(),
            git,
            truncated: set.truncated,
            unread: set.unread,
        })
    }

    /// What happened in the repositories of which something is wanted.
    fn repositories(&self, set: &ChangeSet, wish: &Wish) -> Vec<git::Told> {
        let is_wanted = |path: &Path| {
            let of = |top: &PathBuf| path.starts_with(top) || top.starts_with(path);
            wish.paths.is_empty() || wish.paths.iter().any(of)
        };
        let paths = git::directories(set).into_iter().filter(|path| is_wanted(path));
        let told = paths.filter_map(|path| git::tell(&GitDir::new(self, set, path), wish.live));
        told.collect()
    }

    /// The content of a change.
    #[must_use]
    pub fn detail(&self, item: &Item) -> Detail {
        let change = &item.change;
        if change.content == Content::Same {
            return Detail::None;
        }
        let former = item
            .renamed
            .as_ref()
            .map_or(change.path.as_path(), |renamed| &renamed.from);
        let node = |entry: Option<crate::change::Entry>| entry.map(|entry| entry.node);
        let (was, is) = (node(change.before), node(change.after));
        let is_link = |node| node == Some(NodeKind::Symlink);
        if is_link(was) || is_link(is) {
            let target = |wanted: bool, side, path| wanted.then(|| self.link(side, path)).transpose();
            return match (
                target(is_link(was), Side::Before, former),
                target(is_link(is), Side::After, &change.path),
            ) {
                (Ok(before), Ok(after)) => Detail::Link(before, after),
                (Err(error), _) | (_, Err(error)) => Detail::Unreadable(error.to_string()),
            };
        }
        let size = |entry: Option<crate::change::Entry>| entry.map_or(0, |entry| entry.bytes);
        if size(change.before).max(size(change.after)) > MAX_TEXT_BYTES {
            return Detail::Large;
        }
        let content = |node: Option<NodeKind>, side, path: &Path| match node {
            Some(NodeKind::File) => self.content(side, path, MAX_TEXT_BYTES),
            _ => Ok(Vec::new()),
        };
        match (
            content(was, Side::Before, former),
            content(is, Side::After, &change.path),
        ) {
            (Ok(before), Ok(after)) if is_binary(&before) || is_binary(&after) => Detail::Binary,
            (Ok(before), Ok(after)) => Detail::Text(hunks(&before, &after)),
            (Err(error), _) | (_, Err(error)) => Detail::Unreadable(error.to_string()),
        }
    }

    /// The content of a regular file of one side, up to a limit.
    pub(crate) fn content(&self, side: Side, path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = self.file(side, path)?;
        let read = file.take(max_bytes).read_to_end(&mut bytes);
        read.map_err(|cause| crate::error::Error::Read {
            path: path.to_owned(),
            cause,
        })?;
        Ok(bytes)
    }
}

impl Detail {
    /// Lines added and removed, for a text.
    #[must_use]
    pub fn lines(&self) -> (u64, u64) {
        let Self::Text(hunks) = self else {
            return (0, 0);
        };
        let lines = hunks.iter().flat_map(|hunk| &hunk.lines);
        lines.fold((0, 0), |(added, removed), line| match line.kind {
            LineKind::Added => (added + 1, removed),
            LineKind::Removed => (added, removed + 1),
            LineKind::Context => (added, removed),
        })
    }
}

/// What a person has to look at first, then the rest.
pub(crate) fn sort(changes: &mut [Item]) {
    let calm = |item: &Item| item.change.risks.is_empty() && !item.change.conflict;
    changes.sort_by(|a, b| (calm(a), &a.change.path).cmp(&(calm(b), &b.change.path)));
}

/// Counts a change of git's own data with what is told of its repository. False if it has to
/// be told as the file that it is.
fn count_in(git: &mut [git::Told], change: &Change) -> bool {
    let Some(top) = git::git_directory(&change.path) else {
        return false;
    };
    let of = git
        .iter_mut()
        .find(|told| told.path == top && told.problem.is_none());
    let (Some(told), Ok(name)) = (of, change.path.strip_prefix(&top)) else {
        return false;
    };
    let is_data = matches!(git::class(name), git::Class::Data | git::Class::Scratch);
    if is_data {
        told.files.add(change);
    }
    is_data
}

/// Where a change is told, if not by itself. What acts unasked is always told by itself.
fn fold_of(rules: &mut IgnoreRules<'_>, change: &Change, ignored: bool) -> Option<(PathBuf, bool)> {
    if change.risks.iter().any(|risk| risk.is_unasked()) {
        return None;
    }
    if is_git_data(change) {
        let mut top = PathBuf::new();
        for part in change.path.components() {
            top.push(part);
            if part.as_os_str() == ".git" {
                break;
            }
        }
        return Some((top, true));
    }
    if ignored || !change.ignored {
        return None;
    }
    let is_directory = change.node() == NodeKind::Directory;
    rules.ignored(&change.path, is_directory).map(|top| (top, false))
}

impl Item {
    /// The letter that git shows for it.
    #[must_use]
    pub fn letter(&self) -> char {
        match (self.change.kind, &self.renamed) {
            (_, Some(_)) => 'R',
            (ChangeKind::Added, None) => 'A',
            (ChangeKind::Changed, None) => 'M',
            (ChangeKind::Deleted, None) => 'D',
            (ChangeKind::Replaced, None) => 'T',
        }
    }
}
