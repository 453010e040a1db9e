//! Taking a checkpoint.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, FlockOperation, Mode, RenameFlags, Stat};
use rustix::io::Errno;

use super::births::{Births, Index, Known, changed};
use super::{ABOUT, Checkpoint, DIRECTORY, INDEX, MAX_CHECKPOINTS, UPPER, list_in, numbers};
use crate::copy::TreeCopy;
use crate::files::{random_name, read_json, write_json};
use crate::journal::{Pause, VERSION};
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

const DRAFT: &str = ".draft";

/// Copies the changes in `upper`, which are those of the change set in a directory. Nothing writes to it meanwhile: its sandbox has ended
/// or is paused. What is not needed any more goes to `trash`.
///
/// # Errors
/// [`WriteError::Checkpoint`] if something cannot be copied; there is no new checkpoint then.
pub fn take(
    set: &Path,
    upper: &Path,
    trash: &Path,
    name: Option<&str>,
    now_ms: u64,
    pause: Pause<'_>,
) -> WriteResult<Checkpoint> {
    let shelf = Shelf::open(set, trash)?;
    let about = Checkpoint {
        version: VERSION,
        number: 0,
        name: name.map(str::to_owned),
        taken_ms: now_ms,
        nodes: 0,
        inside: None,
        moving: false,
        bytes: 0,
    };
    let bounds = Bounds {
        nodes: u64::MAX,
        bytes: u64::MAX,
        stop: &|| false,
    };
    let draft = shelf.draft(set, upper, &bounds, pause)?;
    let taken = shelf.keep(draft, about, pause)?;
    let before: Vec<Checkpoint> = shelf.list()?;
    let outside: Vec<&Checkpoint> = before.iter().filter(|one| one.inside.is_none()).collect();
    let too_many = outside.len().saturating_sub(MAX_CHECKPOINTS);
    for old in outside.into_iter().take(too_many) {
        pause("old ones");
        shelf.remove(old.number)?;
    }
    Ok(taken)
}

/// What a checkpoint may cost.
pub(super) struct Bounds<'a> {
    /// Files, directories and deletions.
    pub(super) nodes: u64,
    /// On disk, shared or not.
    pub(super) bytes: u64,
    /// It is not wanted any more.
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// A checkpoint that does not count yet.
pub(super) struct Draft {
    pub(super) files: Vec<Known>,
    pub(super) bytes: u64,
    place: Place,
}

/// The directory of a change set's checkpoints, locked as long as it is open.
pub(super) struct Shelf {
    path: PathBuf,
    dir: Place,
    trash: Place,
}

impl Shelf {
    pub(super) fn open(set: &Path, trash: &Path) -> WriteResult<Self> {
        let path = set.join(DIRECTORY);
        let dir = open(&path)?;
        let trash = Place::open(trash).map_err(|cause| WriteError::history("open", trash, cause))?;
        Ok(Self { path, dir, trash })
    }

    fn failed(&self, what: &'static str, cause: Errno) -> WriteError {
        WriteError::history(what, &self.path, cause)
    }

    /// Those that there are, oldest first.
    pub(super) fn list(&self) -> WriteResult<Vec<Checkpoint>> {
        list_in(&self.dir, &self.path)
    }

    fn discard(&self, name: &str) -> Result<(), Errno> {
        let to = format!("checkpoint-{}", random_name());
        rustix::fs::renameat_with(
            self.dir.root(),
            name,
            self.trash.root(),
            &to,
            RenameFlags::NOREPLACE,
        )
    }

    /// Throws a draft away, if there is one.
    pub(super) fn discard_draft(&self) -> WriteResult<()> {
        match self.discard(DRAFT) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(cause) => Err(self.failed("remove a draft in", cause)),
        }
    }

    pub(super) fn remove(&self, number: u64) -> WriteResult<()> {
        self.discard(&number.to_string())
            .map_err(|cause| self.failed("remove from", cause))
    }

    /// The number of the last one; 0 if there is none.
    fn last(&self) -> WriteResult<u64> {
        Ok(numbers(&self.dir, &self.path)?.last().copied().unwrap_or(0))
    }

    /// What the last one knows of its files.
    pub(super) fn last_index(&self) -> WriteResult<Option<(Place, Index)>> {
        let last = self.last()?.to_string();
        let Ok(former) = self.dir.below(&last) else {
            return Ok(None);
        };
        let index = index(&former)?;
        Ok(Some((former, index)))
    }

    /// Copies the changes.
    pub(super) fn draft(
        &self,
        set: &Path,
        upper: &Path,
        bounds: &Bounds<'_>,
        pause: Pause<'_>,
    ) -> WriteResult<Draft> {
        self.discard_draft()?;
        let make = |place: &Place, name: &str| rustix::fs::mkdirat(place.root(), name, Mode::RWXU);
        pause("draft");
        make(&self.dir, DRAFT).map_err(|cause| self.failed("write to", cause))?;
        let place = self
            .dir
            .below(DRAFT)
            .map_err(|cause| self.failed("open", cause))?;
        make(&place, UPPER).map_err(|cause| self.failed("write to", cause))?;
        let former = self.last_index()?;
        let (files, bytes) = copy(set, upper, &place, former, bounds, pause)?;
        Ok(Draft { files, bytes, place })
    }

    /// Makes a draft a checkpoint.
    pub(super) fn keep(&self, draft: Draft, about: Checkpoint, pause: Pause<'_>) -> WriteResult<Checkpoint> {
        let number = self.last()? + 1;
        let checkpoint = Checkpoint {
            number,
            nodes: u64::try_from(draft.files.len()).unwrap_or(u64::MAX),
            bytes: draft.bytes,
            ..about
        };
        let index = Index {
            version: VERSION,
            files: draft.files,
        };
        pause("index");
        write_json(&draft.place, INDEX, &index)
            .and_then(|()| write_json(&draft.place, ABOUT, &checkpoint))
            .map_err(|cause| WriteError::history("write", &self.path, cause))?;
        pause("appear");
        rustix::fs::renameat(self.dir.root(), DRAFT, self.dir.root(), number.to_string())
            .map_err(|cause| self.failed("write to", cause))?;
        Ok(checkpoint)
    }
}

/// Opens the directory of checkpoints, locked as long as it is open.
fn open(path: &Path) -> WriteResult<Place> {
    match rustix::fs::mkdirat(rustix::fs::CWD, path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(cause) => return Err(WriteError::history("create", path, cause)),
    }
    let dir = Place::open(path).map_err(|cause| WriteError::history("open", path, cause))?;
    match rustix::fs::flock(dir.root(), FlockOperation::LockExclusive) {
        Ok(()) => Ok(dir),
        Err(cause) => Err(WriteError::history("lock", path, cause)),
    }
}

fn copy(
    set: &Path,
    upper: &Path,
    draft: &Place,
    former: Option<(Place, Index)>,
    bounds: &Bounds<'_>,
    pause: Pause<'_>,
) -> WriteResult<(Vec<Known>, u64)> {
    let failed = |cause: Errno| WriteError::history("open", upper, cause);
    let upper = Place::open(upper).map_err(failed)?;
    let to = draft.below(UPPER).map_err(failed)?;
    let births = Births::of(set)?;
    let (twin, known) = former.map_or((None, Index::default()), |(former, index)| {
        (former.below(UPPER).ok(), index)
    });
    let known: HashMap<&Path, &Known> = known.files.iter().map(|one| (one.path.as_path(), one)).collect();
    let mut files = Vec::new();
    let (mut bytes, budget) = (0u64, Cell::new(bounds.bytes));
    let copied = TreeCopy {
        from: &upper,
        to: &to,
        same: &|path: &Path, now: &Stat| {
            let known = known.get(path);
            known.is_some_and(|known| known.inode == now.st_ino && known.changed == changed(now))
        },
        twin: twin.as_ref(),
        budget: Some(&budget),
        told: &mut |path, stat, copy| {
            pause("copy");
            if FileType::from_raw_mode(copy.st_mode) == FileType::RegularFile {
                bytes = bytes.saturating_add(on_disk(copy));
            }
            let too_many = u64::try_from(files.len()).unwrap_or(u64::MAX) >= bounds.nodes;
            if too_many || bytes > bounds.bytes {
                return Err(Errno::FBIG);
            }
            if (bounds.stop)() {
                return Err(Errno::CANCELED);
            }
            files.push(Known {
                path: path.to_owned(),
                inode: stat.st_ino,
                changed: changed(stat),
                born_ms: births.born_ms(&upper, path),
            });
            Ok(())
        },
    }
    .copy();
    copied.map_err(|(path, cause)| unreadable(path, cause))?;
    Ok((files, bytes))
}

fn on_disk(stat: &Stat) -> u64 {
    const BLOCK: u64 = 512;
    u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK)
}

pub(super) fn index(of: &Place) -> WriteResult<Index> {
    let index = read_json(of, INDEX, VERSION);
    let index = index.map_err(|cause| WriteError::history("read", Path::new(INDEX), cause))?;
    Ok(index.unwrap_or_default())
}

pub(super) fn unreadable(path: PathBuf, cause: Errno) -> WriteError {
    WriteError::Checkpoint {
        path,
        cause: cause.into(),
    }
}
