//! Doing changes and taking them back. Both can be repeated, and after a crash continue.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::journal::{Entry, Journal};
use super::{Change, Kind, Step, below, files};
use crate::error::{Error, Result};
use crate::tool::Tool;

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The file, as the system names it.
    pub path: PathBuf,
    /// What happened.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It was written, and the system has taken it up.
    Written,
    /// It was so already.
    Already,
    /// It is as it was before.
    Restored,
    /// Somebody else wrote it: it was left as it is.
    Foreign,
    /// It was written or was to be removed, but the system did not go along.
    Failed {
        /// Why.
        why: String,
    },
}

/// What lies at a file, seen from its entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lies {
    Ours,
    Former,
    Foreign,
}

fn failed(path: &Path, verb: &'static str) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::state(verb, &path, error)
}

fn lies(root: &Path, entry: &Entry) -> Result<Lies> {
    let path = below(root, &entry.path);
    let content = files::content(&path).map_err(failed(&path, "read"))?;
    Ok(match &content {
        Some(text) if is_ours(entry, &files::sha256(normal(entry.kind, text))) => Lies::Ours,
        other if same(entry.kind, other.as_deref(), entry.former.as_deref()) => Lies::Former,
        _ => Lies::Foreign,
    })
}

fn is_ours(entry: &Entry, sha256: &str) -> bool {
    sha256 == entry.sha256 || entry.earlier.as_deref() == Some(sha256)
}

/// The kernel ends its values with a line's end.
fn normal(kind: Kind, text: &str) -> &str {
    match kind {
        Kind::New => text,
        Kind::Value => text.trim(),
    }
}

fn same(kind: Kind, a: Option<&str>, b: Option<&str>) -> bool {
    a.map(|text| normal(kind, text)) == b.map(|text| normal(kind, text))
}

/// Does every change that is not done yet.
///
/// # Errors
/// A file or the journal cannot be read or written; what was done until then is in the journal.
pub async fn apply(root: &Path, changes: &[Change]) -> Result<Vec<Done>> {
    let mut journal = Journal::open(root)?;
    let mut all = Vec::new();
    for change in changes {
        let outcome = one(root, &mut journal, change).await?;
        all.push(Done {
            path: change.path.clone(),
            outcome,
        });
    }
    journal.close();
    Ok(all)
}

async fn one(root: &Path, journal: &mut Journal, change: &Change) -> Result<Outcome> {
    let path = below(root, &change.path);
    let present = files::content(&path).map_err(failed(&path, "read"))?;
    let index = journal.entries.iter().position(|entry| entry.path == change.path);
    let known = match index.and_then(|index| journal.entries.get(index)) {
        Some(entry) => Some((lies(root, entry)?, entry.active)),
        None => None,
    };
    let is_wanted = same(change.kind, present.as_deref(), Some(&change.content));
    match known {
        Some((Lies::Ours, true)) | None if is_wanted => return Ok(Outcome::Already),
        Some((Lies::Foreign, _)) => return Ok(Outcome::Foreign),
        None if change.kind == Kind::New && present.is_some() => return Ok(Outcome::Foreign),
        _ => {}
    }
    let former = match (known, index.and_then(|index| journal.entries.get(index))) {
        (Some(_), Some(entry)) => entry.former.clone(),
        _ => present.clone(),
    };
    let index = record(root, journal, change, former, index)?;
    if !is_wanted {
        write(&path, change, present.is_some())?;
    }
    if let Err(why) = start(root, change.activate.as_ref()).await {
        return Ok(Outcome::Failed { why });
    }
    if let Some(entry) = journal.entries.get_mut(index) {
        entry.active = true;
    }
    journal.save()?;
    Ok(Outcome::Written)
}

/// The intent, before anything is written.
fn record(
    root: &Path,
    journal: &mut Journal,
    change: &Change,
    former: Option<String>,
    index: Option<usize>,
) -> Result<usize> {
    let known = index.and_then(|index| journal.entries.get(index));
    let mut directories = known.map(|entry| entry.directories.clone()).unwrap_or_default();
    directories.extend(files::missing_directories(root, &below(root, &change.path)));
    directories.dedup();
    let sha256 = files::sha256(normal(change.kind, &change.content));
    let earlier = known
        .map(|entry| entry.sha256.clone())
        .filter(|earlier| *earlier != sha256);
    let entry = Entry {
        path: change.path.clone(),
        kind: change.kind,
        former,
        sha256,
        earlier,
        directories,
        active: false,
        before_undo: change.before_undo.clone(),
        after_undo: change.after_undo.clone(),
    };
    let at = index.unwrap_or(journal.entries.len());
    match journal.entries.get_mut(at) {
        Some(known) => *known = entry,
        None => journal.entries.push(entry),
    }
    journal.save()?;
    Ok(at)
}

fn write(path: &Path, change: &Change, exists: bool) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(failed(directory, "create"))?;
    }
    let text = change.content.as_bytes();
    let written = match (change.kind, exists) {
        (Kind::Value, _) => files::set(path, &change.content),
        (Kind::New, false) => files::create(path, text),
        (Kind::New, true) => files::replace(path, text),
    };
    written.map_err(failed(path, "write"))
}

/// Takes every change back, the last first.
///
/// # Errors
/// A file or the journal cannot be read or written; the rest can be tried again.
pub async fn undo(root: &Path) -> Result<Vec<Done>> {
    let mut journal = Journal::open(root)?;
    let mut all = Vec::new();
    for entry in journal.entries.clone().into_iter().rev() {
        let outcome = take_back(root, &entry).await?;
        if outcome == Outcome::Restored {
            journal.entries.retain(|one| one.path != entry.path);
            journal.save()?;
        }
        all.push(Done {
            path: entry.path,
            outcome,
        });
    }
    journal.close();
    Ok(all)
}

async fn take_back(root: &Path, entry: &Entry) -> Result<Outcome> {
    let path = below(root, &entry.path);
    match lies(root, entry)? {
        Lies::Foreign => return Ok(Outcome::Foreign),
        Lies::Ours => {
            // After a crash it may have been taken up or not: then only trying tells.
            if let Err(why) = start(root, entry.before_undo.as_ref()).await
                && entry.active
            {
                return Ok(Outcome::Failed { why });
            }
            match &entry.former {
                None => std::fs::remove_file(&path).map_err(failed(&path, "remove"))?,
                Some(former) => files::set(&path, former).map_err(failed(&path, "write"))?,
            }
        }
        // Never written, or taken back already before a crash: what follows is repeated.
        Lies::Former => {}
    }
    for directory in entry.directories.iter().rev() {
        // One that others use by now stays.
        let _ = std::fs::remove_dir(directory);
    }
    match start(root, entry.after_undo.as_ref()).await {
        Ok(()) => Ok(Outcome::Restored),
        Err(why) => Ok(Outcome::Failed { why }),
    }
}

/// Tells the system, if this is the system.
async fn start(root: &Path, step: Option<&Step>) -> std::result::Result<(), String> {
    let Some(step) = step.filter(|_| root == Path::new("/")) else {
        return Ok(());
    };
    let mut tool = step
        .options
        .iter()
        .fold(Tool::new(&step.program), |tool, option| tool.option(option));
    if let Some(operand) = &step.operand {
        // Absolute, and ours: it cannot be taken for an option.
        tool = tool.option(operand);
    }
    match tool.run().await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{step}: {error}")),
    }
}
