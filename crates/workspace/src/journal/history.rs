//! What was applied to one project, so that it can be undone. One directory for each apply,
//! numbered; one process at a time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, RenameFlags};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::home::{APPLIED, FORMER, Ground, STAGE, open_or_make, share_a_mount};
use super::known::{KNOWN, Known, KnownFiles};
use super::{
    Done, Journal, Pause, Touched, Undoing, VERSION, beside, check, forward, index, pending, reverse,
};
use crate::files::{random_name, read_json, sync, write_json};
use crate::place::Place;
use crate::scan::each_name;
use crate::write_error::{WriteError, WriteResult};

const DRAFT: &str = ".draft";
const JOURNAL: &str = "journal.json";
const DONE: &str = "done.json";
const UNDOING: &str = "undoing.json";
/// Applies that can be undone; older ones are let go.
const LEVELS: usize = 50;
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// The history of one project, locked.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    dir: Place,
    trash: Place,
}

/// An apply, or what an undo took back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Its number.
    pub number: u64,
    /// When it was applied, in milliseconds since 1970.
    pub applied_ms: u64,
    /// How many paths it changed.
    pub paths: u64,
    /// How many applies can still be undone.
    pub left: usize,
}

/// New things that are being made aside; nothing of the project has changed.
pub(crate) struct Draft<'a> {
    history: &'a History,
    entry: Place,
    /// Where things are made that go to the project.
    pub(crate) stage: Place,
    /// The stage's name in the project, if it is there.
    pub(crate) beside: Option<String>,
}

/// Steps that are written down.
pub(crate) struct Intent<'a> {
    history: &'a History,
    entry: Place,
    name: String,
    journal: Journal,
}

impl History {
    /// Opens the history in `path`, made where it does not exist, waits for its lock, and
    /// takes back what a killed process left half done. What is let go is moved to `trash`, a
    /// directory of the same file system.
    ///
    /// # Errors
    /// [`WriteError::Busy`], [`WriteError::History`], and what recovery met.
    pub fn open(
        path: &Path,
        trash: &Path,
        project: &Path,
        wait: Duration,
        pause: Pause<'_>,
    ) -> WriteResult<Self> {
        let history = Self {
            path: path.to_owned(),
            dir: open_or_make(path)?,
            trash: Place::open(trash).map_err(|cause| WriteError::history("open", trash, cause))?,
        };
        lock(&history.dir, path, project, wait)?;
        history.recover(pause)?;
        Ok(history)
    }

    /// True if nothing is half done; costs one look at a directory.
    ///
    /// # Errors
    /// [`WriteError::History`] if the directory cannot be read.
    pub fn is_settled(path: &Path) -> WriteResult<bool> {
        let dir = match Place::open(path) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(true),
            Err(cause) => return Err(WriteError::history("open", path, cause)),
        };
        let failed = |cause: Errno| WriteError::history("list", path, cause);
        let newest = numbers(&dir).map_err(failed)?.last().copied();
        let has_draft = dir.stat(Path::new(DRAFT)).map_err(failed)?.is_some();
        let is_done = newest.is_none_or(|number| {
            dir.below(&number.to_string()).is_ok_and(|entry| {
                let has = |name| entry.stat(Path::new(name)).is_ok_and(|stat| stat.is_some());
                has(DONE) && !has(UNDOING) && !beside::is_there(&entry)
            })
        });
        Ok(!has_draft && is_done)
    }

    /// The applies that can be undone, oldest first.
    ///
    /// # Errors
    /// [`WriteError::History`].
    pub fn list(&self) -> WriteResult<Vec<Undone>> {
        let numbers = self.numbers()?;
        numbers
            .iter()
            .enumerate()
            .map(|(left, number)| {
                let entry = self.entry(&number.to_string())?;
                let journal: Journal = self.required(&entry, JOURNAL)?;
                Ok(Undone {
                    number: *number,
                    applied_ms: journal.made_ms,
                    paths: journal.paths,
                    left,
                })
            })
            .collect()
    }

    /// Where the changes of the last apply came from, with the caller's note; an undo brings
    /// them back there.
    ///
    /// # Errors
    /// [`WriteError::History`].
    pub fn source(&self) -> WriteResult<Option<(PathBuf, Option<String>)>> {
        let Some(number) = self.numbers()?.last().copied() else {
            return Ok(None);
        };
        let entry = self.entry(&number.to_string())?;
        let journal: Journal = self.required(&entry, JOURNAL)?;
        Ok(Some((journal.changes, journal.note)))
    }

    /// Brings back what was there before the last apply that was not undone yet.
    ///
    /// # Errors
    /// [`WriteError::NothingToUndo`]; [`WriteError::Since`] if the host's files are not what
    /// was applied any more, [`WriteError::Pending`] if the change set has others at the same
    /// paths, and nothing is done then; [`WriteError::Step`].
    pub fn undo(&self, project: &Path, dry_run: bool, pause: Pause<'_>) -> WriteResult<Undone> {
        let numbers = self.numbers()?;
        let Some(number) = numbers.last().copied() else {
            return Err(WriteError::NothingToUndo {
                project: project.to_owned(),
            });
        };
        let name = number.to_string();
        let entry = self.entry(&name)?;
        let mut journal: Journal = self.required(&entry, JOURNAL)?;
        let mut done: Done = self.required(&entry, DONE)?;
        let ground = Ground::open(&journal, &entry)?;
        let is_refreshed = index::refresh(&mut journal, &mut done, ground.project());
        let changed = check::changed_since(&journal, &done, &ground);
        if !changed.is_empty() {
            return Err(WriteError::Since { paths: changed });
        }
        let taken = pending::taken(&journal, &ground)?;
        if !taken.is_empty() {
            return Err(WriteError::Pending { paths: taken });
        }
        drop(ground);
        let undone = Undone {
            number,
            applied_ms: journal.made_ms,
            paths: journal.paths,
            left: numbers.len() - 1,
        };
        if dry_run {
            return Ok(undone);
        }
        if is_refreshed {
            pause("journal");
            write_json(&entry, JOURNAL, &journal).map_err(|cause| self.failed("write", JOURNAL, cause))?;
        }
        let (journal, ground) = self.fetched(&entry, journal, pause)?;
        let undoing = Undoing {
            version: VERSION,
            touched: times_to_restore(&journal, &done, &ground)?,
        };
        pause("intent to undo");
        write_json(&entry, UNDOING, &undoing).map_err(|cause| self.failed("write", UNDOING, cause))?;
        self.go_back(&name, &entry, &journal, &undoing.touched, pause)?;
        Ok(undone)
    }

    /// Brings what stood in the project back to its file system, where it is another one.
    fn fetched(&self, entry: &Place, journal: Journal, pause: Pause<'_>) -> WriteResult<(Journal, Ground)> {
        let ground = Ground::open(&journal, entry)?;
        if !self.is_apart(&self.dir, ground.project(), &journal.project)? {
            return Ok((journal, ground));
        }
        let fetched = beside::fetch(entry, &journal, pause).and_then(|fetched| {
            pause("journal");
            write_json(entry, JOURNAL, &fetched).map_err(|cause| self.failed("write", JOURNAL, cause))?;
            Ok(fetched)
        });
        match fetched {
            Ok(journal) => {
                let ground = Ground::open(&journal, entry)?;
                Ok((journal, ground))
            }
            Err(error) => {
                beside::remove(entry)?;
                Err(error)
            }
        }
    }

    /// Keeps what stood in a project that is on another file system.
    fn archive(&self, entry: &Place, journal: &Journal, pause: Pause<'_>) -> WriteResult {
        if journal.beside.is_some() {
            let archived = beside::archive(entry, journal, pause)?;
            pause("journal");
            write_json(entry, JOURNAL, &archived).map_err(|cause| self.failed("write", JOURNAL, cause))?;
        }
        pause("remove the stage");
        beside::remove(entry)
    }

    /// What killed processes left is taken back; an undo that had begun is ended.
    fn recover(&self, pause: Pause<'_>) -> WriteResult {
        self.drop_draft()?;
        for number in self.numbers()?.into_iter().rev() {
            let name = number.to_string();
            let entry = self.entry(&name)?;
            let is_done = self.optional::<Done>(&entry, DONE)?.is_some();
            let undoing: Option<Undoing> = self.optional(&entry, UNDOING)?;
            if is_done && undoing.is_none() {
                if beside::is_there(&entry) {
                    let journal: Journal = self.required(&entry, JOURNAL)?;
                    self.archive(&entry, &journal, pause)?;
                }
                return Ok(());
            }
            let journal: Journal = self.required(&entry, JOURNAL)?;
            let touched = undoing.map_or_else(|| journal.touched.clone(), |undoing| undoing.touched);
            self.go_back(&name, &entry, &journal, &touched, pause)?;
        }
        Ok(())
    }

    fn go_back(
        &self,
        name: &str,
        entry: &Place,
        journal: &Journal,
        touched: &[Touched],
        pause: Pause<'_>,
    ) -> WriteResult {
        let ground = match Ground::open(journal, entry) {
            // The project is gone: there is nothing to go back to.
            Err(WriteError::Moved { .. }) => return self.let_go(name),
            other => other?,
        };
        let foreign = reverse::reverse(journal, touched, &ground, pause)?;
        pause("known");
        self.remember(Known::after(journal, &ground, self.known()?))?;
        if !foreign.project.is_empty() || !foreign.changes.is_empty() {
            let kept = format!(".kept-{}", random_name());
            rustix::fs::renameat(self.dir.root(), name, self.dir.root(), &kept)
                .map_err(|cause| self.failed("keep", name, cause.into()))?;
            let kept = self.path.join(kept);
            return Err(if foreign.project.is_empty() {
                WriteError::Overlaid {
                    paths: foreign.changes,
                    kept,
                }
            } else {
                WriteError::Foreign {
                    paths: foreign.project,
                    kept,
                }
            });
        }
        pause("end");
        if !beside::is_there(entry) {
            return self.let_go(name);
        }
        // Over, but for a directory in the project: what is left of it is that of a draft.
        rustix::fs::renameat(self.dir.root(), name, self.dir.root(), DRAFT)
            .map_err(|cause| self.failed("end", name, cause.into()))?;
        pause("remove the stage");
        self.drop_draft()
    }

    /// A new apply: a place to make things in.
    pub(crate) fn draft(&self, project: &Place, project_path: &Path) -> WriteResult<Draft<'_>> {
        let draft = self.make_draft(project, project_path);
        if draft.is_err() {
            self.drop_draft()?;
        }
        draft
    }

    fn make_draft(&self, project: &Place, project_path: &Path) -> WriteResult<Draft<'_>> {
        let make = |place: &Place, name: &str| {
            rustix::fs::mkdirat(place.root(), name, Mode::RWXU)
                .map_err(|cause| self.failed("create", name, cause.into()))
        };
        make(&self.dir, DRAFT)?;
        let entry = self.entry(DRAFT)?;
        make(&entry, APPLIED)?;
        make(&entry, STAGE)?;
        make(&entry, FORMER)?;
        let below = |place: &Place, name: &str| {
            place
                .below(name)
                .map_err(|cause| self.failed("open", name, cause.into()))
        };
        let stage = below(&entry, STAGE)?;
        let beside = match self.is_apart(&stage, project, project_path)? {
            false => None,
            true => Some(beside::make(&entry, project, project_path)?),
        };
        let stage = match &beside {
            None => stage,
            Some(name) => below(project, name)?,
        };
        Ok(Draft {
            history: self,
            entry,
            stage,
            beside,
        })
    }

    /// True if nothing can be moved between the history and a project.
    fn is_apart(&self, stage: &Place, project: &Place, path: &Path) -> WriteResult<bool> {
        share_a_mount(stage, project)
            .map(|shared| !shared)
            .map_err(|cause| WriteError::history("read", path, cause))
    }

    fn remember(&self, files: Vec<Known>) -> WriteResult {
        let known = KnownFiles {
            version: VERSION,
            files,
        };
        write_json(&self.dir, KNOWN, &known).map_err(|cause| self.failed("write", KNOWN, cause))
    }

    /// Files of the project that were put back, sorted by path.
    pub(crate) fn known(&self) -> WriteResult<Vec<Known>> {
        let known: Option<KnownFiles> = self.optional(&self.dir, KNOWN)?;
        Ok(known.map(|known| known.files).unwrap_or_default())
    }

    fn drop_draft(&self) -> WriteResult {
        match self.dir.stat(Path::new(DRAFT)) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                beside::remove(&self.entry(DRAFT)?)?;
                self.let_go(DRAFT)
            }
            Err(cause) => Err(self.failed("read", DRAFT, cause.into())),
        }
    }

    fn let_go(&self, name: &str) -> WriteResult {
        let to = format!("history-{}", random_name());
        let flags = RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(self.dir.root(), name, self.trash.root(), &to, flags)
            .map_err(|cause| self.failed("remove", name, cause.into()))
    }

    fn entry(&self, name: &str) -> WriteResult<Place> {
        self.dir
            .below(name)
            .map_err(|cause| self.failed("open", name, cause.into()))
    }

    fn numbers(&self) -> WriteResult<Vec<u64>> {
        numbers(&self.dir).map_err(|cause| WriteError::history("list", &self.path, cause))
    }

    fn optional<T: DeserializeOwned>(&self, entry: &Place, name: &str) -> WriteResult<Option<T>> {
        read_json(entry, name, VERSION).map_err(|cause| self.failed("read", name, cause))
    }

    fn required<T: DeserializeOwned>(&self, entry: &Place, name: &str) -> WriteResult<T> {
        self.optional(entry, name)?
            .ok_or_else(|| self.failed("read", name, Errno::NOENT.into()))
    }

    fn failed(&self, operation: &'static str, name: &str, cause: std::io::Error) -> WriteError {
        WriteError::history(operation, &self.path.join(name), cause)
    }
}

impl<'a> Draft<'a> {
    /// Writes the steps down. From here on a crash leads back to what was before.
    pub(crate) fn intend(self, journal: Journal, pause: Pause<'_>) -> WriteResult<Intent<'a>> {
        let history = self.history;
        write_json(&self.entry, JOURNAL, &journal)
            .and_then(|()| sync(&self.entry, JOURNAL))
            .map_err(|cause| history.failed("write", JOURNAL, cause))?;
        let numbers = history.numbers()?;
        let name = (numbers.last().copied().unwrap_or(0) + 1).to_string();
        pause("intent");
        rustix::fs::renameat(history.dir.root(), DRAFT, history.dir.root(), &name)
            .map_err(|cause| history.failed("begin", &name, cause.into()))?;
        Ok(Intent {
            history,
            entry: self.entry,
            name,
            journal,
        })
    }

    /// Nothing came of it.
    pub(crate) fn drop(self) -> WriteResult {
        self.history.drop_draft()
    }
}

impl Intent<'_> {
    /// Takes the steps; if one fails, all are taken back.
    pub(crate) fn carry_out(self, pause: Pause<'_>) -> WriteResult<u64> {
        let ground = Ground::open(&self.journal, &self.entry)?;
        let done = forward(&self.journal, &ground, pause).and_then(|()| check::look(&self.journal, &ground));
        let written = done.and_then(|done| {
            pause("done");
            write_json(&self.entry, DONE, &done).map_err(|cause| self.history.failed("write", DONE, cause))
        });
        if let Err(error) = written {
            self.history.go_back(
                &self.name,
                &self.entry,
                &self.journal,
                &self.journal.touched,
                pause,
            )?;
            return Err(error);
        }
        if self.journal.beside.is_some()
            && let Err(error) = self.history.archive(&self.entry, &self.journal, pause)
        {
            // What cannot be undone later is undone now.
            let undoing = Undoing {
                version: VERSION,
                touched: self.journal.touched.clone(),
            };
            write_json(&self.entry, UNDOING, &undoing)
                .map_err(|cause| self.history.failed("write", UNDOING, cause))?;
            self.history
                .go_back(&self.name, &self.entry, &self.journal, &undoing.touched, pause)?;
            return Err(error);
        }
        if !self.journal.parts.is_empty() {
            pause("known");
            let known = Known::after_part(&self.journal, &ground, self.history.known()?);
            self.history.remember(known)?;
        }
        pause("old levels");
        let numbers = self.history.numbers()?;
        for old in numbers.iter().take(numbers.len().saturating_sub(LEVELS)) {
            self.history.let_go(&old.to_string())?;
        }
        Ok(self.name.parse().unwrap_or(0))
    }
}

/// Directories that nobody changed since get their former times.
fn times_to_restore(journal: &Journal, done: &Done, ground: &Ground) -> WriteResult<Vec<Touched>> {
    let mut restored = Vec::new();
    for former in &journal.touched {
        let now = check::time_of(ground.project(), &former.path)?;
        if now.is_some_and(|now| done.touched.contains(&now)) {
            restored.push(former.clone());
        }
    }
    Ok(restored)
}

fn numbers(dir: &Place) -> Result<Vec<u64>, Errno> {
    let own = dir.directory(Path::new(""))?;
    let mut numbers = Vec::new();
    each_name(&own, |name| {
        numbers.extend(name.to_str().ok().and_then(|name| name.parse::<u64>().ok()));
        true
    })?;
    numbers.sort_unstable();
    Ok(numbers)
}

fn lock(dir: &Place, path: &Path, project: &Path, wait: Duration) -> WriteResult {
    let deadline = Instant::now() + wait;
    loop {
        match rustix::fs::flock(dir.root(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOCK_INTERVAL),
            Err(Errno::WOULDBLOCK) => {
                return Err(WriteError::Busy {
                    project: project.to_owned(),
                });
            }
            Err(cause) => return Err(WriteError::history("lock", path, cause)),
        }
    }
}
