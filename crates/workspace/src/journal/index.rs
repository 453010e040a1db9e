//! Git's index among what was put into a project. Git writes it anew when somebody only looks
//! (`git status`): that changes the file and not what it says, and must not keep an undo away.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::{Act, Done, Journal, Mark, Tree};
use crate::git::{MAX_INDEX_BYTES, meaning};
use crate::place::Place;
use crate::scan::each_name;

/// An index that was put somewhere, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexAt {
    #[serde(with = "crate::name")]
    path: PathBuf,
    /// A hash over its entries.
    meaning: String,
}

impl IndexAt {
    /// None if it is no index.
    pub(crate) fn of(path: &Path, bytes: &[u8]) -> Option<Self> {
        Some(Self {
            path: path.to_owned(),
            meaning: meaning(bytes)?,
        })
    }
}

/// An index that still says what it said counts as the one that was put there. True if there
/// is any such.
pub(super) fn refresh(journal: &mut Journal, done: &mut Done, project: &Place) -> bool {
    let mut any = false;
    for at in &journal.indexes {
        let Some(now) = unchanged(at, project) else {
            continue;
        };
        let above = at.path.parent();
        let above = above.and_then(|above| Some((above, same_names(above, done, project)?)));
        for placed in &mut done.placed {
            match above {
                _ if placed.path == at.path => placed.mark = now,
                Some((above, mark)) if placed.path == above => placed.mark = mark,
                _ => {}
            }
        }
        for step in &mut journal.steps {
            if step.tree == Tree::Project
                && step.path == at.path
                && let Act::Place { new } | Act::Exchange { new, .. } = &mut step.act
                && *new != now
            {
                *new = now;
                any = true;
            }
        }
    }
    any
}

/// A directory that was put there and holds no other name since: git locks what it writes, by
/// a file beside it.
fn same_names(path: &Path, done: &Done, project: &Place) -> Option<Mark> {
    let placed = done.placed.iter().find(|placed| placed.path == path)?;
    let directory = project.directory(path).ok()?;
    let now = Mark::of(&rustix::fs::fstat(&directory).ok()?);
    let mut is_known = now.inode == placed.mark.inode && now.mode == placed.mark.mode;
    each_name(&directory, |name| {
        let inner = path.join(OsStr::from_bytes(name.to_bytes()));
        is_known &= done.placed.iter().any(|placed| placed.path == inner);
        is_known
    })
    .ok()?;
    is_known.then_some(now)
}

fn unchanged(at: &IndexAt, project: &Place) -> Option<Mark> {
    let (parent, name) = project.parent(&at.path).ok()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&parent, name.as_c_str(), flags, Mode::empty()).ok()?;
    let mark = Mark::of(&rustix::fs::fstat(&file).ok()?);
    let mut bytes = Vec::new();
    File::from(file)
        .take(MAX_INDEX_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    (meaning(&bytes)? == at.meaning).then_some(mark)
}
