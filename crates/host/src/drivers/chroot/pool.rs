//! Trees that were brought once and are handed on: to bring all of /usr takes seconds, to move it
//! a microsecond.
//!
//! A tree lies in `trees/` or in one sandbox's directory, never in both, and moves by one `rename`; so a
//! supervisor that is killed takes what it has with it, and nothing has to be locked. It comes back only when
//! nothing of the sandbox runs any more, and only if it is the same directory: the sandbox could have moved
//! one that lies in its home, but not have written in it. It is believed only after every name in it was
//! looked at (`sound`).

use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::marks::{self, Marks, Unread};
use super::pulse::Pulse;
use super::sound;
use super::tree::open_below;
use crate::error::{self, Error};

/// Trees of one directory of the host: as many sandboxes can start at once without waiting.
const OF_ONE: u32 = 4;
/// Trees of all.
const OF_ALL: usize = 32;
/// A smaller one is brought as fast as it is looked after.
const WORTHWHILE: usize = 16;

/// The tree of a place in `trees/` and in a sandbox's directory.
const TREE: &str = "tree";
/// Its marks.
const MARKS: &str = "marks";

/// Where trees lie.
pub(super) struct Pool {
    /// For all sandboxes; none where nothing is handed on.
    trees: Option<PathBuf>,
    /// Of this sandbox: marks of what it has, and what is of no use any more.
    own: PathBuf,
    /// Nothing else keeps linked files from being written, should the host let everybody.
    each_file: bool,
    taken: u32,
}

/// A tree that goes back when the sandbox has ended.
pub(super) struct Lent {
    key: String,
    /// Where it is inside.
    at: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// The directory of its marks.
    place: PathBuf,
}

impl Pool {
    /// `own` is made here.
    pub(super) fn new(trees: Option<&Path>, own: PathBuf, each_file: bool) -> error::Result<Self> {
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&own)
            .map_err(|error| Error::state("create", &own, error))?;
        Ok(Self {
            trees: trees.map(Path::to_owned),
            own,
            each_file,
            taken: 0,
        })
    }

    fn place(&mut self) -> PathBuf {
        self.taken += 1;
        self.own.join(self.taken.to_string())
    }

    /// Takes a tree of a source, if there is one that is as it was left and as the source is now, and puts it
    /// under a name. One that somebody has changed is told.
    pub(super) fn take(&mut self, source: &Path, to: (&OwnedFd, &Path), pulse: &Pulse<'_>) -> Option<Lent> {
        let trees = self.trees.clone()?;
        let key = key(source);
        for number in 0..OF_ONE {
            let place = self.place();
            // One that is not as it should be stays here, and goes with the sandbox.
            if std::fs::rename(trees.join(format!("{key}-{number}")), &place).is_err() {
                continue;
            }
            match usable(source, &place, self.each_file) {
                Ok(()) => {}
                Err(Unusable::Stale) => continue,
                Err(Unusable::Changed(what)) => {
                    pulse.warn(&changed(source, &what));
                    continue;
                }
            }
            if let Some(name) = to.1.file_name()
                && rustix::fs::renameat_with(CWD, place.join(TREE), to.0, name, RenameFlags::NOREPLACE)
                    .is_ok()
            {
                return lent(key, to, place);
            }
        }
        None
    }

    /// Notes a tree that was brought, so that it can be handed on.
    pub(super) fn note(&mut self, source: &Path, to: (&OwnedFd, &Path), marks: &Marks) -> Option<Lent> {
        if self.trees.is_none() || marks.source.len() < WORTHWHILE {
            return None;
        }
        let place = self.place();
        std::fs::DirBuilder::new().mode(0o700).create(&place).ok()?;
        marks::write(&place.join(MARKS), marks).ok()?;
        lent(key(source), to, place)
    }

    /// Hands trees on. What cannot be goes with the sandbox.
    pub(super) fn give_back(self, root: &Path, lent: Vec<Lent>) {
        let Some(trees) = &self.trees else { return };
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let Ok(root) = rustix::fs::openat(CWD, root, flags, rustix::fs::Mode::empty()) else {
            return;
        };
        // The deepest first: one may lie in another's neighbourhood, never in another.
        for one in lent {
            if back(&root, &one).is_some() {
                hand_on(trees, &one);
            }
        }
    }
}

/// Why a tree is brought anew.
enum Unusable {
    /// The host's directory is another by now, or another version of this program kept it.
    Stale,
    /// Somebody has changed what was kept.
    Changed(String),
}

/// Whether a tree is what was left, and the source what it was then.
fn usable(source: &Path, place: &Path, each_file: bool) -> Result<(), Unusable> {
    let unread = |error: Errno| Unusable::Changed(error.to_string());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let own = rustix::fs::openat(CWD, place, flags, Mode::empty()).map_err(unread)?;
    let marks = match marks::read(&own, MARKS) {
        Ok(marks) => marks,
        Err(Unread::OtherForm) => return Err(Unusable::Stale),
        Err(Unread::Damaged(what)) => return Err(Unusable::Changed(what)),
    };
    let tree = rustix::fs::openat(&own, TREE, flags, Mode::empty()).map_err(unread)?;
    sound::check(&tree, &place.join(TREE), &marks, each_file).map_err(Unusable::Changed)?;
    if marks::hold(source, &marks.source) {
        Ok(())
    } else {
        Err(Unusable::Stale)
    }
}

fn changed(source: &Path, what: &str) -> String {
    format!(
        "the copy of {} that was kept in the state directory is not as it was left ({what}): it is thrown away and \
         made anew; only root can change it there: nobody should",
        source.display()
    )
}

/// Moves a tree out of the root, if it is still the one that was put there.
fn back(root: &OwnedFd, lent: &Lent) -> Option<()> {
    let at = lent.at.strip_prefix("/").ok()?;
    let parent = open_below(root, at.parent()?).ok()?;
    if identity(&parent, at).ok()? != lent.identity {
        return None;
    }
    rustix::fs::renameat_with(
        &parent,
        at.file_name()?,
        CWD,
        lent.place.join(TREE),
        RenameFlags::NOREPLACE,
    )
    .ok()
}

fn hand_on(trees: &Path, lent: &Lent) {
    let full = std::fs::read_dir(trees).is_ok_and(|list| list.count() >= OF_ALL);
    if full && !make_room(trees, &lent.place) {
        return;
    }
    for number in 0..OF_ONE {
        let to = trees.join(format!("{}-{number}", lent.key));
        match rustix::fs::renameat_with(CWD, &lent.place, CWD, &to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            _ => return,
        }
    }
}

/// Takes away the one that has been there longest; it goes with this sandbox.
fn make_room(trees: &Path, place: &Path) -> bool {
    let Ok(list) = std::fs::read_dir(trees) else {
        return false;
    };
    let oldest = list
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .min();
    oldest.is_some_and(|(_, path)| std::fs::rename(path, place.with_extension("old")).is_ok())
}

fn lent(key: String, (parent, at): (&OwnedFd, &Path), place: PathBuf) -> Option<Lent> {
    Some(Lent {
        key,
        identity: identity(parent, at).ok()?,
        at: at.to_owned(),
        place,
    })
}

#[allow(clippy::useless_conversion)] // widths differ by architecture
fn identity(parent: &OwnedFd, at: &Path) -> rustix::io::Result<(u64, u64)> {
    let name = at.file_name().ok_or(Errno::INVAL)?;
    let seen = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((seen.st_dev.into(), seen.st_ino.into()))
}

fn key(source: &Path) -> String {
    let hash = Sha256::digest(source.as_os_str().as_encoded_bytes());
    hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}
