//! Checkpoints that a sandbox asks for itself. It is not trusted, so they have bounds of their own,
//! and nothing that somebody outside took makes room for them.

use std::path::Path;

use rustix::io::Errno;

use super::Checkpoint;
use super::take::{Bounds, Shelf};
use crate::journal::{Pause, VERSION};
use crate::write_error::{WriteError, WriteResult};

/// What all checkpoints of one set that were asked for from inside may cost together. Content that
/// several share is counted for each, so that it is a bound whatever is removed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsideLimits {
    /// How many; the oldest makes room.
    pub checkpoints: usize,
    /// Files, directories and deletions.
    pub nodes: u64,
    /// On disk.
    pub bytes: u64,
}

impl InsideLimits {
    /// Those of every sandbox.
    pub const DEFAULT: Self = Self {
        checkpoints: 20,
        nodes: 1_000_000,
        bytes: 4 << 30,
    };
}

/// What was asked for.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The sandbox.
    pub sandbox: &'a str,
    /// What it is to be called.
    pub name: Option<&'a str>,
    /// When, in milliseconds since 1970.
    pub now_ms: u64,
    /// Something may be written meanwhile.
    pub moving: bool,
    /// What it may cost.
    pub limits: InsideLimits,
    /// It is not wanted any more.
    pub stop: &'a dyn Fn() -> bool,
}

/// Takes a checkpoint that was asked for from inside. Where nothing has changed since the last one
/// and no name is given, that one is it.
///
/// # Errors
/// As [`super::take()`]; `EFBIG` for changes that are larger than all such checkpoints may be. There
/// is no new checkpoint then.
pub fn take_inside(
    set: &Path,
    upper: &Path,
    trash: &Path,
    wish: &Wish<'_>,
    pause: Pause<'_>,
) -> WriteResult<Checkpoint> {
    let shelf = Shelf::open(set, trash)?;
    let limits = wish.limits;
    let bounds = Bounds {
        nodes: limits.nodes,
        bytes: limits.bytes,
        stop: wish.stop,
    };
    let draft = match draft(&shelf, set, upper, &bounds, wish.moving, pause) {
        Ok(draft) => draft,
        Err(error) => {
            // Half a copy must not stay until somebody takes the next one.
            shelf.discard_draft()?;
            return Err(error);
        }
    };
    let before = shelf.list()?;
    if wish.name.is_none()
        && let Some(last) = before.last()
        && shelf
            .last_index()?
            .is_some_and(|(_, index)| index.files == draft.files)
    {
        shelf.discard_draft()?;
        return Ok(last.clone());
    }
    let about = Checkpoint {
        version: VERSION,
        number: 0,
        name: wish.name.map(str::to_owned),
        taken_ms: wish.now_ms,
        nodes: 0,
        inside: Some(wish.sandbox.to_owned()),
        moving: wish.moving,
        bytes: 0,
    };
    let taken = shelf.keep(draft, about, pause)?;
    make_room(&shelf, &before, &taken, limits, pause)?;
    Ok(taken)
}

/// Removes the oldest of those that were asked for from inside, until all keep their bounds.
fn make_room(
    shelf: &Shelf,
    before: &[Checkpoint],
    taken: &Checkpoint,
    limits: InsideLimits,
    pause: Pause<'_>,
) -> WriteResult<()> {
    let inside: Vec<&Checkpoint> = before.iter().filter(|one| one.inside.is_some()).collect();
    let mut count = inside.len() + 1;
    let sum = |of: fn(&Checkpoint) -> u64| {
        inside
            .iter()
            .fold(of(taken), |sum, one| sum.saturating_add(of(one)))
    };
    let (mut nodes, mut bytes) = (sum(|one| one.nodes), sum(|one| one.bytes));
    for old in inside {
        if count <= limits.checkpoints && nodes <= limits.nodes && bytes <= limits.bytes {
            break;
        }
        pause("old ones");
        shelf.remove(old.number)?;
        count -= 1;
        nodes = nodes.saturating_sub(old.nodes);
        bytes = bytes.saturating_sub(old.bytes);
    }
    Ok(())
}

/// What is written to meanwhile can vanish under the copy, which is then made again.
fn draft(
    shelf: &Shelf,
    set: &Path,
    upper: &Path,
    bounds: &Bounds<'_>,
    moving: bool,
    pause: Pause<'_>,
) -> WriteResult<super::take::Draft> {
    const TRIES: u32 = 5;
    let mut tries = 0;
    loop {
        tries += 1;
        match shelf.draft(set, upper, bounds, pause) {
            Err(error) if moving && tries < TRIES && is_of_a_moment(&error) => {}
            other => return other,
        }
    }
}

fn is_of_a_moment(error: &WriteError) -> bool {
    const VANISHED: [Errno; 5] = [
        Errno::NOENT,
        Errno::AGAIN,
        Errno::NOTDIR,
        Errno::EXIST,
        Errno::LOOP,
    ];
    match error {
        WriteError::Checkpoint { cause, .. } => {
            Errno::from_io_error(cause).is_some_and(|cause| VANISHED.contains(&cause))
        }
        _ => false,
    }
}
