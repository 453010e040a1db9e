//! Changes taken over to the host, and taken back.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use stockade_host::Error;
use stockade_host::state::{ChangeSet as Kept, PENDING, StateDirs};
use stockade_host::takeover::{self, Contents, Takeover, UndoneChanges};
use stockade_host::workspace::{
    Applied, Change, ChangeKind, Decision, Detail, Entry, GitFile, Hunk, Item, MAX_TEXT_BYTES, NodeKind,
    Side, ThreeWay, Undone, compose,
};

mod moves;

use super::commits::{self, Commits, Preview};
use super::{Result, change_set, state};
use crate::failure::Failure;

/// What is to be applied.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The change set; the project's pending one if none is named.
    pub changes: Option<String>,
    /// Only these paths and what lies below them, from the current directory.
    pub paths: Vec<PathBuf>,
    /// What git ignores as well.
    pub ignored: bool,
    /// Risky files as well.
    pub risky: bool,
    /// What becomes of files that changed on the host, too.
    pub conflicts: OnConflict,
}

impl Held {
    /// It was asked for, as a file.
    fn is_asked(&self) -> bool {
        !matches!(self, Self::NotChosen | Self::WithCommits { .. })
    }
}

/// What becomes of a file that changed inside and on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// It stays a pending change.
    #[default]
    Leave,
    /// The host's file stays and the change is forgotten.
    Host,
    /// The sandbox's file takes its place.
    Sandbox,
    /// The sandbox's file is put beside it.
    Beside,
    /// Both are put together, where they changed other lines of what stood there before.
    Merge,
    /// Both are put together, with marks around the lines that both changed.
    Mark,
}

/// Why a change that was asked for is not applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Held {
    /// It runs later on the host, or may do harm there otherwise.
    Risky {
        /// Why, each in a clause.
        why: Vec<&'static str>,
    },
    /// The host's file changed, too, since the sandbox began.
    Conflict,
    /// The same, and it was to be merged.
    Unmerged {
        /// Why it cannot be.
        why: String,
    },
    /// A pipe, a socket or a device: never applied.
    Special,
    /// It is never applied, whatever is said.
    Never {
        /// Why.
        why: &'static str,
    },
    /// Git's rules leave it out.
    Ignored,
    /// It is not taken as a file: what it means to git is, with the commits.
    WithCommits {
        /// They are asked for.
        wanted: bool,
    },
    /// It is the old name of a file that was moved: one conflict with the new one.
    Moved {
        /// The new name; what is not UTF-8 in it is escaped.
        to: String,
    },
    /// It was not asked for.
    NotChosen,
}

/// A change set that is open to be applied.
pub struct Open {
    dirs: std::sync::Arc<StateDirs>,
    takeover: Takeover,
    decisions: Vec<Decision>,
    held: Vec<Option<Held>>,
    contents: Contents,
    commits: Commits,
}

/// Opens a change set and decides what can be decided without asking.
///
/// # Errors
/// There is no such set, a sandbox uses it, or it cannot be compared.
pub fn open(request: &Request) -> Result<Open> {
    let dirs = state()?;
    let kept = find(&dirs, request.changes.as_deref())?;
    let takeover = Takeover::open(&dirs, &kept)?;
    let wanted = wanted(&takeover, &request.paths)?;
    let changes = &takeover.set.changes;
    let conflicts = &takeover.conflicts;
    let wants = |path: &Path| wanted.wants_repository(&takeover, path);
    let commits = Commits::new(&takeover, wants, request.risky, &wanted.0);
    let mut held: Vec<Option<Held>> = changes
        .iter()
        .zip(conflicts)
        .map(
            |(change, conflict)| match takeover.repositories.file(&change.path) {
                Some(GitFile::Data(of)) => Some(Held::WithCommits {
                    wanted: commits.has(&of),
                }),
                file => why_held(request, &wanted, change, *conflict, file.as_ref()),
            },
        )
        .collect();
    hold_contents(changes, &wanted, &mut held);
    moves::hold_together(&takeover, &wanted, &mut held);
    let decisions = held
        .iter()
        .zip(conflicts)
        .map(|(held, conflict)| match (held, conflict) {
            (Some(_), _) => Decision::Leave,
            (None, true) => on_conflict(request.conflicts),
            (None, false) => Decision::Apply,
        })
        .collect();
    let mut open = Open {
        dirs,
        decisions,
        held,
        contents: Contents::default(),
        commits,
        takeover,
    };
    open.decide_moves();
    open.merge_all(request.conflicts == OnConflict::Mark);
    Ok(open)
}

/// A directory that may not be removed keeps what is in it, but for what is asked for by its own name.
fn hold_contents(changes: &[Change], wanted: &Wanted, held: &mut [Option<Held>]) {
    let is_directory = |entry: Option<Entry>| entry.is_some_and(|entry| entry.node == NodeKind::Directory);
    let mut top: Option<(&Path, Held)> = None;
    for (change, held) in changes.iter().zip(held) {
        if let Some((_, why)) = top.as_ref().filter(|(path, _)| change.path.starts_with(path)) {
            if held.is_none() && !wanted.has(&change.path).1 {
                *held = Some(why.clone());
            }
            continue;
        }
        if let Some(why @ (Held::Risky { .. } | Held::Conflict | Held::Special)) = &held
            && is_directory(change.before)
            && !is_directory(change.after)
        {
            top = Some((&change.path, why.clone()));
        }
    }
}

fn on_conflict(choice: OnConflict) -> Decision {
    match choice {
        OnConflict::Leave => Decision::Leave,
        OnConflict::Host => Decision::Keep,
        OnConflict::Sandbox => Decision::Apply,
        OnConflict::Beside => Decision::Beside,
        OnConflict::Merge | OnConflict::Mark => Decision::Merge,
    }
}

fn why_held(
    request: &Request,
    wanted: &Wanted,
    change: &Change,
    conflict: bool,
    git: Option<&GitFile>,
) -> Option<Held> {
    let (is_wanted, is_named) = wanted.has(&change.path);
    if !is_wanted {
        return Some(Held::NotChosen);
    }
    if change.after.is_some_and(|after| after.node == NodeKind::Special) {
        return Some(Held::Special);
    }
    let of_git = git.and_then(|file| commits::why_held(file, change, request.risky || is_named));
    if of_git.is_some() {
        return of_git;
    }
    if change.ignored && !request.ignored && wanted.is_everything() {
        return Some(Held::Ignored);
    }
    if conflict && request.conflicts == OnConflict::Leave {
        return Some(Held::Conflict);
    }
    let keeps_host = conflict && request.conflicts == OnConflict::Host;
    if !change.risks.is_empty() && !request.risky && !is_named && !keeps_host {
        let why = change.risks.iter().map(|risk| risk.why()).collect();
        return Some(Held::Risky { why });
    }
    None
}

/// The paths that were asked for, relative to the project.
struct Wanted(Vec<PathBuf>);

impl Wanted {
    fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a path is asked for, and whether by its own name.
    fn has(&self, path: &Path) -> (bool, bool) {
        let is_named = self.0.iter().any(|wanted| wanted == path);
        (
            self.is_everything() || self.0.iter().any(|wanted| path.starts_with(wanted)),
            is_named,
        )
    }
}

impl Wanted {
    /// Whether the commits of a repository are asked for: with all that its directory holds, or
    /// by one of their files.
    fn wants_repository(&self, takeover: &Takeover, repository: &Path) -> bool {
        let of_data =
            |path: &PathBuf| takeover.repositories.file(path) == Some(GitFile::Data(repository.to_owned()));
        let is_meant = |path: &PathBuf| repository.starts_with(path) || of_data(path);
        self.is_everything() || self.0.iter().any(is_meant)
    }
}

fn wanted(takeover: &Takeover, paths: &[PathBuf]) -> Result<Wanted> {
    let here = std::env::current_dir().map_err(Failure::NoCurrentDirectory)?;
    let mut wanted = Vec::new();
    for path in paths {
        let full = change_set::without_dots(&here.join(path));
        let relative = full.strip_prefix(takeover.project()).ok();
        let found = relative.filter(|relative| {
            let mut changes = takeover.set.changes.iter();
            // A reference may be in a file with many others.
            let is_git_data = matches!(takeover.repositories.file(relative), Some(GitFile::Data(_)));
            is_git_data || changes.any(|change| change.path.starts_with(relative))
        });
        let Some(found) = found else {
            return Err(Error::NotFound {
                what: "change",
                name: path.display().to_string(),
                remedy: Some(
                    "`stockade changes` lists them; paths are from the current directory".to_owned(),
                ),
            }
            .into());
        };
        wanted.push(found.to_owned());
    }
    // The project's root is everything, and names nothing.
    wanted.retain(|path| !path.as_os_str().is_empty());
    Ok(Wanted(wanted))
}

/// The set that is meant: the one that `stockade diff` shows.
pub(super) fn find(dirs: &StateDirs, label: Option<&str>) -> Result<Kept> {
    let here = std::env::current_dir().map_err(Failure::NoCurrentDirectory)?;
    change_set::find(dirs, label, &here)?.ok_or_else(|| {
        Error::NotFound {
            what: "change set",
            name: match label {
                Some(label) => label.to_owned(),
                None => format!("{PENDING} for {}", here.display()),
            },
            remedy: Some(
                "`stockade changes` lists them: change into the project, or name one with --changes"
                    .to_owned(),
            ),
        }
        .into()
    })
}

/// A change as it is asked about.
pub struct Question<'a> {
    /// Its number.
    pub number: usize,
    /// The change.
    pub change: &'a Change,
    /// It was changed on the host as well.
    pub conflict: bool,
    /// Why it would not be applied unasked.
    pub held: Option<&'a Held>,
}

impl Open {
    /// The user's directory.
    pub fn project(&self) -> &Path {
        self.takeover.project()
    }

    /// All changes that were asked for.
    pub fn questions(&self) -> impl Iterator<Item = Question<'_>> {
        let changes = self.takeover.set.changes.iter().zip(&self.takeover.conflicts);
        let all = changes.zip(&self.held).enumerate();
        all.map(|(number, ((change, conflict), held))| Question {
            number,
            change,
            conflict: *conflict,
            held: held.as_ref(),
        })
        .filter(|question| question.held.is_none_or(Held::is_asked) && !self.is_old_name(question.number))
    }

    /// What is asked for, the files of git that are no question included.
    fn asked(&self) -> impl Iterator<Item = (usize, &Change)> {
        let all = self.takeover.set.changes.iter().zip(&self.held).enumerate();
        all.filter(|(_, (_, held))| match held {
            Some(Held::WithCommits { wanted }) => *wanted,
            held => !matches!(held, Some(Held::NotChosen)),
        })
        .map(|(number, (change, _))| (number, change))
    }

    /// What becomes of the commits, as things are decided now.
    pub fn commits(&self) -> Preview {
        self.commits.preview(&self.takeover, &self.decisions)
    }

    /// The repositories that commits are taken of.
    pub fn repositories(&self) -> Vec<PathBuf> {
        self.commits.repositories()
    }

    /// What would become of the commits of a repository, with a yes to all of them.
    pub fn commits_with_yes(&self, repository: &Path) -> Preview {
        let commits = Commits::new(&self.takeover, |path| path == repository, true, &[]);
        commits.preview(&self.takeover, &self.decisions)
    }

    /// Somebody has said yes or no to what [`Self::commits_with_yes`] tells.
    pub fn decide_commits(&mut self, repository: &Path, yes: bool) {
        self.commits.decide(repository, yes);
    }

    /// Changes that were asked for and are not applied, with the reason.
    pub fn held(&self) -> impl Iterator<Item = (&Change, &Held)> {
        let all = self.takeover.set.changes.iter().zip(&self.held);
        all.filter_map(|(change, held)| Some((change, held.as_ref()?)))
            .filter(|(_, held)| held.is_asked())
    }

    /// True if something that was asked for would not be applied. What git ignores is not
    /// asked for unless it is named.
    pub fn holds_back(&self) -> bool {
        self.held().any(|(_, held)| *held != Held::Ignored)
    }

    /// How many changes would be made.
    pub fn to_apply(&self) -> usize {
        let decided = self.decisions.iter();
        decided.filter(|decision| **decision != Decision::Leave).count()
    }

    /// The changes that would be made, with what becomes of each.
    pub fn planned(&self) -> impl Iterator<Item = (&Change, Decision)> {
        let all = self.takeover.set.changes.iter().zip(&self.decisions);
        all.filter(|(_, decision)| **decision != Decision::Leave)
            .map(|(change, decision)| (change, *decision))
    }

    /// What somebody has decided.
    pub fn decide(&mut self, number: usize, decision: Decision) {
        self.decide_alone(number, decision);
        self.decide_old_name(number);
    }

    fn decide_alone(&mut self, number: usize, decision: Decision) {
        if let (Some(decided), Some(held)) = (self.decisions.get_mut(number), self.held.get_mut(number)) {
            *decided = decision;
            *held = (decision == Decision::Leave).then_some(Held::NotChosen);
        }
    }

    /// The hunks of a change, if it is one of a text that stands on both sides.
    pub fn hunks(&self, number: usize) -> Vec<Hunk> {
        let change = self.takeover.set.changes.get(number).cloned();
        let change = change.filter(|change| change.kind == ChangeKind::Changed);
        let item = change.map(|change| Item {
            change,
            renamed: None,
        });
        match item.map(|item| self.takeover.trees().detail(&item)) {
            Some(Detail::Text(hunks)) => hunks,
            _ => Vec::new(),
        }
    }

    /// Some hunks of a change are to be applied.
    ///
    /// # Errors
    /// The host's file cannot be read.
    pub fn decide_part(&mut self, number: usize, hunks: &[Hunk], chosen: &[bool]) -> Result<()> {
        let Some(change) = self.takeover.set.changes.get(number) else {
            return Ok(());
        };
        let failed = |error| Error::io("read the host's file", error);
        let file = self.takeover.trees().file(Side::Before, &change.path);
        let file = file.map_err(|error| failed(std::io::Error::other(error)))?;
        let mut before = Vec::new();
        file.take(MAX_TEXT_BYTES)
            .read_to_end(&mut before)
            .map_err(failed)?;
        self.contents
            .parts
            .insert(number, compose(&before, hunks, chosen));
        self.decide(number, Decision::Part);
        Ok(())
    }

    /// Puts together what is to be merged; what cannot be stays pending, with the reason.
    fn merge_all(&mut self, marks: bool) {
        for number in 0..self.decisions.len() {
            if self.decisions.get(number) == Some(&Decision::Merge)
                && let Err(why) = self.decide_merge(number, marks)
            {
                self.decide(number, Decision::Leave);
                if let Some(held) = self.held.get_mut(number) {
                    *held = Some(Held::Unmerged { why });
                }
                self.decide_old_name(number);
            }
        }
    }

    /// A conflict, from three sides; none for any other change.
    pub fn three_way(&self, number: usize) -> Option<ThreeWay> {
        self.takeover.three_way(number)
    }

    /// A conflict is to be merged; with `marks` also where both sides changed the same lines.
    ///
    /// # Errors
    /// Why it cannot be, in a clause.
    pub fn decide_merge(&mut self, number: usize, marks: bool) -> std::result::Result<(), String> {
        let three = self.takeover.three_way(number);
        let three = three.ok_or_else(|| "it is no conflict".to_owned())?;
        let merged = three.merged(marks);
        let merged = merged.ok_or_else(|| three.why_not().unwrap_or_default())?;
        self.contents.merged.insert(number, merged);
        self.decide(number, Decision::Merge);
        Ok(())
    }

    /// Files that would get marks, with how many places each.
    pub fn marked(&self) -> impl Iterator<Item = (&Change, usize)> {
        let merged = self.contents.merged.iter();
        let merged = merged.filter(|(number, _)| self.decisions.get(**number) == Some(&Decision::Merge));
        merged.filter_map(|(number, merged)| {
            let change = self.takeover.set.changes.get(*number)?;
            (merged.marked > 0).then_some((change, merged.marked))
        })
    }

    /// Conflicts that were asked for and are not decided, from three sides.
    pub fn open_conflicts(&self) -> impl Iterator<Item = (&Change, ThreeWay)> {
        let all = self.takeover.set.changes.iter().zip(&self.held).enumerate();
        let open = all.filter(|(_, (_, held))| matches!(held, Some(Held::Conflict | Held::Unmerged { .. })));
        open.filter_map(|(number, (change, _))| Some((change, self.three_way(number)?)))
    }

    /// Applies it. `commits` is what [`Self::commits`] told.
    ///
    /// # Errors
    /// What stood in the way; nothing was changed then.
    pub fn apply(&self, commits: &Preview) -> Result<Applied> {
        let git = self.commits.possible(commits);
        Ok(self
            .takeover
            .apply(&self.dirs, self.decisions.clone(), self.contents.clone(), git)?)
    }
}

/// What was discarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Discarded {
    /// Changes that were forgotten.
    pub discarded: Vec<PathBuf>,
    /// Changes that were asked for and are still there: their directory is deleted or replaced
    /// as a whole.
    pub left: Vec<PathBuf>,
    /// Nothing was done.
    pub dry_run: bool,
}

/// Forgets changes: the host's files stay as they are. It is undone as an apply is.
///
/// # Errors
/// There is no such set, or a sandbox uses it.
pub fn discard(changes: Option<&str>, paths: &[PathBuf], dry_run: bool) -> Result<Discarded> {
    let request = Request {
        changes: changes.map(str::to_owned),
        paths: paths.to_vec(),
        ..Request::default()
    };
    let mut open = open(&request)?;
    let asked = open.asked().map(|(number, change)| (number, change.path.clone()));
    let asked: Vec<(usize, PathBuf)> = asked.collect();
    for repository in open.repositories() {
        open.decide_commits(&repository, false);
    }
    for (number, _) in &asked {
        open.decide_alone(*number, Decision::Keep);
    }
    let mut discarded: Vec<PathBuf> = asked.into_iter().map(|(_, path)| path).collect();
    let mut left = Vec::new();
    if !dry_run && !discarded.is_empty() {
        open.apply(&Preview::default())?;
        drop(open);
        left = still_pending(changes, &discarded)?;
        discarded.retain(|path| !left.contains(path));
    }
    Ok(Discarded {
        discarded,
        left,
        dry_run,
    })
}

/// Which of these are changes of the set still. Looked up rather than assumed.
fn still_pending(changes: Option<&str>, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let dirs = state()?;
    let kept = find(&dirs, changes)?;
    let takeover = Takeover::open(&dirs, &kept)?;
    let still = |path: &&PathBuf| {
        let mut changes = takeover.set.changes.iter();
        changes.any(|change| change.path == **path)
    };
    Ok(paths.iter().filter(still).cloned().collect())
}

/// Brings back what was there before the last apply to the project around the current
/// directory.
///
/// # Errors
/// There is none, the host's files have changed since, or later changes are in the way.
pub fn undo(dry_run: bool, set_aside: bool) -> Result<UndoneChanges> {
    let (dirs, project) = applied_project()?;
    Ok(takeover::undo(&dirs, &project, dry_run, set_aside)?)
}

/// The applies to the project around the current directory that can be undone, oldest first.
///
/// # Errors
/// There are none.
pub fn undoable() -> Result<Vec<Undone>> {
    let (dirs, project) = applied_project()?;
    let history = dirs.history(&project)?;
    Ok(history.list().map_err(Error::from)?)
}

fn applied_project() -> Result<(std::sync::Arc<StateDirs>, PathBuf)> {
    let dirs = state()?;
    let here = std::env::current_dir().map_err(Failure::NoCurrentDirectory)?;
    let project = here.ancestors().find(|parent| dirs.has_history(parent));
    let Some(project) = project.map(Path::to_owned) else {
        return Err(
            Error::from(stockade_host::workspace::WriteError::NothingToUndo { project: here }).into(),
        );
    };
    Ok((dirs, project))
}
