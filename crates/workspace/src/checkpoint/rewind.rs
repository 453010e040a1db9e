//! Going back to a checkpoint.

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, RenameFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::births::{BIRTHS, Births, Index, Known, changed};
use super::take::{index, take, unreadable};
use super::{Checkpoint, DIRECTORY, UPPER, list};
use crate::copy::TreeCopy;
use crate::files::{random_name, write_json};
use crate::journal::{Pause, VERSION};
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

/// What a rewind did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rewound {
    /// What the change set is now.
    pub to: Checkpoint,
    /// What it was before.
    pub saved: Checkpoint,
}

const NEW: &str = ".upper";

/// The checkpoint of this number, or the last of this name.
fn meant(set: &Path, which: &str) -> WriteResult<Checkpoint> {
    let all = list(set)?;
    let by_number = all.iter().find(|one| one.number.to_string() == which);
    let by_name = || all.iter().rev().find(|one| one.name.as_deref() == Some(which));
    by_number
        .or_else(by_name)
        .cloned()
        .ok_or_else(|| WriteError::NoCheckpoint {
            which: which.to_owned(),
            has: all.last().map(|last| last.number),
        })
}

/// What a checkpoint of the change set in a directory holds, as an overlay's upper directory.
///
/// # Errors
/// [`WriteError::NoCheckpoint`] and [`WriteError::History`].
pub fn find(set: &Path, which: &str) -> WriteResult<PathBuf> {
    let number = meant(set, which)?.number;
    Ok(set.join(DIRECTORY).join(number.to_string()).join(UPPER))
}

/// Makes the change set in a directory what it was at a checkpoint; what it is now becomes a
/// checkpoint first. No sandbox uses it. `which` is a number or a name; of several of one
/// name, the last.
///
/// # Errors
/// [`WriteError::NoCheckpoint`], [`WriteError::Checkpoint`] and [`WriteError::History`]; the
/// change set is then as it was.
pub fn rewind(set: &Path, trash: &Path, which: &str, now_ms: u64, pause: Pause<'_>) -> WriteResult<Rewound> {
    let to = meant(set, which)?;
    let failed = |cause: Errno| WriteError::history("rewind", set, cause);
    let dir = Place::open(set).map_err(failed)?;
    let trash_dir = Place::open(trash).map_err(failed)?;
    let discard = || {
        let name = format!("rewound-{}", random_name());
        rustix::fs::renameat_with(dir.root(), NEW, trash_dir.root(), &name, RenameFlags::NOREPLACE)
    };
    match discard() {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(cause) => return Err(failed(cause)),
    }
    let saved = take(
        set,
        &set.join(UPPER),
        trash,
        Some(&format!("before rewind to {}", to.number)),
        now_ms,
        pause,
    )?;
    rustix::fs::mkdirat(dir.root(), NEW, Mode::RWXU).map_err(failed)?;
    let files = bring_back(&dir, &to, pause)?;
    // Known of before anything is exchanged: an inode that is not there is no harm. What is known of the
    // files that are there now must not be lost if it comes to no exchange.
    pause("births");
    let upper = dir.below(UPPER).map_err(failed)?;
    let known = Births::of(set)?.standing(&upper);
    let births = Index {
        version: VERSION,
        files: known.chain(files).collect(),
    };
    write_json(&dir, BIRTHS, &births).map_err(|cause| WriteError::history("write", set, cause))?;
    pause("exchange");
    rustix::fs::renameat_with(dir.root(), NEW, dir.root(), UPPER, RenameFlags::EXCHANGE).map_err(failed)?;
    pause("discard");
    discard().map_err(failed)?;
    Ok(Rewound { to, saved })
}

fn bring_back(dir: &Place, from: &Checkpoint, pause: Pause<'_>) -> WriteResult<Vec<Known>> {
    let path = Path::new(DIRECTORY).join(from.number.to_string());
    let failed = |cause: Errno| WriteError::history("open", &path, cause);
    let open = |path: &Path| dir.directory(path).map(Place::from);
    let entry = open(&path).map_err(failed)?;
    let upper = entry.below(UPPER).map_err(failed)?;
    let to = dir.below(NEW).map_err(failed)?;
    let mut born = index(&entry)?.files;
    born.sort_by(|a, b| a.path.cmp(&b.path));
    let mut files = Vec::new();
    let copied = TreeCopy {
        from: &upper,
        to: &to,
        same: &|_, _| false,
        twin: None,
        budget: None,
        told: &mut |path, _, copy| {
            pause("bring back");
            let former = born.binary_search_by(|one| one.path.as_path().cmp(path));
            files.push(Known {
                path: path.to_owned(),
                inode: copy.st_ino,
                changed: changed(copy),
                born_ms: former.ok().and_then(|index| born.get(index)?.born_ms),
            });
            Ok(())
        },
    }
    .copy();
    copied.map_err(|(path, cause)| unreadable(path, cause))?;
    Ok(files)
}
