//! Taking a checkpoint.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, RenameFlags, Stat};
use rustix::io::Errno;

use super::births::{Births, Index, Known, changed};
use super::{ABOUT, Checkpoint, DIRECTORY, INDEX, MAX_CHECKPOINTS, UPPER, numbers};
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
    let path = set.join(DIRECTORY);
    let dir = open(&path)?;
    let failed = |what, cause: Errno| WriteError::history(what, &path, cause);
    let trash = Place::open(trash).map_err(|cause| WriteError::history("open", trash, cause))?;
    let discard = |name: &str| {
        let to = format!("checkpoint-{}", random_name());
        rustix::fs::renameat_with(dir.root(), name, trash.root(), &to, RenameFlags::NOREPLACE)
    };
    match discard(DRAFT) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(cause) => return Err(failed("remove a draft in", cause)),
    }
    let before = numbers(&dir, &path)?;
    let number = before.last().copied().unwrap_or(0) + 1;
    let make = |place: &Place, name: &str| rustix::fs::mkdirat(place.root(), name, Mode::RWXU);
    pause("draft");
    make(&dir, DRAFT).map_err(|cause| failed("write to", cause))?;
    let draft = dir.below(DRAFT).map_err(|cause| failed("open", cause))?;
    make(&draft, UPPER).map_err(|cause| failed("write to", cause))?;
    let former = before
        .last()
        .and_then(|number| dir.below(&number.to_string()).ok());
    let files = copy(set, upper, &draft, former.as_ref(), pause)?;
    let checkpoint = Checkpoint {
        version: VERSION,
        number,
        name: name.map(str::to_owned),
        taken_ms: now_ms,
        nodes: u64::try_from(files.len()).unwrap_or(u64::MAX),
    };
    let index = Index {
        version: VERSION,
        files,
    };
    pause("index");
    write_json(&draft, INDEX, &index)
        .and_then(|()| write_json(&draft, ABOUT, &checkpoint))
        .map_err(|cause| WriteError::history("write", &path, cause))?;
    pause("appear");
    rustix::fs::renameat(dir.root(), DRAFT, dir.root(), number.to_string())
        .map_err(|cause| failed("write to", cause))?;
    for old in before
        .iter()
        .take((before.len() + 1).saturating_sub(MAX_CHECKPOINTS))
    {
        pause("old ones");
        discard(&old.to_string()).map_err(|cause| failed("remove from", cause))?;
    }
    Ok(checkpoint)
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
    former: Option<&Place>,
    pause: Pause<'_>,
) -> WriteResult<Vec<Known>> {
    let failed = |cause: Errno| WriteError::history("open", upper, cause);
    let upper = Place::open(upper).map_err(failed)?;
    let to = draft.below(UPPER).map_err(failed)?;
    let births = Births::of(set)?;
    let known = former.map(index).transpose()?.unwrap_or_default();
    let known: HashMap<&Path, &Known> = known.files.iter().map(|one| (one.path.as_path(), one)).collect();
    let twin = former.and_then(|former| former.below(UPPER).ok());
    let mut files = Vec::new();
    let copied = TreeCopy {
        from: &upper,
        to: &to,
        same: &|path: &Path, now: &Stat| {
            let known = known.get(path);
            known.is_some_and(|known| known.inode == now.st_ino && known.changed == changed(now))
        },
        twin: twin.as_ref(),
        told: &mut |path, stat, _| {
            pause("copy");
            files.push(Known {
                path: path.to_owned(),
                inode: stat.st_ino,
                changed: changed(stat),
                born_ms: births.born_ms(&upper, path),
            });
        },
    }
    .copy();
    copied.map_err(|(path, cause)| unreadable(path, cause))?;
    Ok(files)
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
