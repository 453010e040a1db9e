//! Directories that ended runs hand on to later ones.
//!
//! A new file or directory costs 5 µs, and up to 240 µs where many were removed shortly
//! before: ext4 looks at every one that it freed within the last minutes before it takes
//! another (measured). Removing one costs as much again or waits for the disk. A rename
//! costs 3 µs; so short runs, one after another, use the same few directories.
//!
//! Only what holds nothing of its former user is handed on.

use rustix::fs::RenameFlags;
use rustix::io::Errno;

use super::{SPARE, StateDirs, TREES};
use crate::error::Result;

/// How many of each kind are kept.
const SLOTS: u32 = 16;

/// What is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sandbox's directory with a void status file.
    Sandbox,
    /// A change set's directory with an empty upper and work directory.
    Changes,
}

impl StateDirs {
    /// Takes a directory that was handed on and gives it a new place. False: there is none.
    pub(super) fn reuse(&self, kind: Kind, place: &str) -> bool {
        slots(kind).any(|slot| self.move_to(&slot, place).is_ok())
    }

    /// Hands a directory on. False: there are enough.
    pub(super) fn hand_on(&self, kind: Kind, place: &str) -> bool {
        slots(kind).any(|slot| self.move_to(place, &slot).is_ok())
    }

    fn move_to(&self, from: &str, to: &str) -> Result<(), Errno> {
        let root = self.root().fd();
        rustix::fs::renameat_with(root, from, root, to, RenameFlags::NOREPLACE)
    }

    /// Moves what is kept for later runs into the trash.
    pub(crate) fn discard_spare(&self) -> Result<()> {
        let trash = self.trash()?;
        for part in [SPARE, TREES] {
            for name in self.part(part)?.names()? {
                let place = format!("{part}/{name}");
                match trash.take(self.root().fd(), &place) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(self.root().error("remove", &place, error)),
                }
            }
        }
        Ok(())
    }
}

/// Places of a kind, in an order that keeps runs at the same time apart.
fn slots(kind: Kind) -> impl Iterator<Item = String> {
    let letter = match kind {
        Kind::Sandbox => 's',
        Kind::Changes => 'c',
    };
    let first = std::process::id() % SLOTS;
    (0..SLOTS).map(move |offset| format!("{SPARE}/{letter}{}", (first + offset) % SLOTS))
}
