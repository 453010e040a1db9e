//! Files that changed on both sides: inside, and on the host since the sandbox began.
//!
//! Nothing is recorded when a sandbox starts. The kernel sets a file's ctime at every change,
//! and no program can set it to another time: a host file whose ctime is before the start of
//! the run that made the inside version is the file that the run saw. Which run that was is
//! told by the birth time of the file in the change set, which nobody can set either.

use std::path::{Path, PathBuf};

use crate::change::{Change, ChangeSet, Moment, NodeKind};
use crate::checkpoint::Births;
use crate::journal::{History, Known};
use crate::place::Place;
use crate::write_error::{WriteError, WriteResult};

/// When a sandbox that used a change set began, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// What the clock showed, in milliseconds since 1970: what was written on the host before
    /// bears an earlier time.
    pub began_ms: u64,
    /// What the kernel wrote into files at that moment, in milliseconds since 1970: no file
    /// that was made in the sandbox bears an earlier time. The kernel's stamps follow a clock
    /// that moves in ticks (1 to 10 ms, `CONFIG_HZ`) and lags behind the other.
    pub stamp_ms: u64,
}

/// Which changes of a set meet a host file that changed since, in the order of
/// [`ChangeSet::changes`]. `runs` are the sandboxes that used the set; without any, every file
/// of the host that would be changed counts as a conflict.
///
/// # Errors
/// [`WriteError::History`] if the change set or the history cannot be read.
pub fn conflicts(
    history: &History,
    upper: &Path,
    set: &ChangeSet,
    births: &Births,
    runs: &[Start],
) -> WriteResult<Vec<bool>> {
    let upper_place = Place::open(upper).map_err(|cause| WriteError::history("open", upper, cause))?;
    let mut runs = runs.to_vec();
    runs.sort_unstable_by_key(|run| run.stamp_ms);
    let known = history.known()?;
    let is_conflict = |change: &Change| {
        let Some(before) = change.before.filter(|before| before.node != NodeKind::Directory) else {
            // A directory changes whenever a name in it does; the names are looked at.
            return false;
        };
        let changed = Known::counts_as(&known, &change.path, &before).unwrap_or(before.stamp.changed);
        runs.is_empty() || milliseconds(changed) > baseline(births, &upper_place, &change.path, &runs)
    };
    Ok(set.changes.iter().map(is_conflict).collect())
}

/// The start of the run that made what stands at a path inside.
fn baseline(births: &Births, upper: &Place, path: &Path, runs: &[Start]) -> u64 {
    let first = runs.first().map_or(0, |run| run.began_ms);
    let Some(born) = birth(births, upper, path) else {
        return first;
    };
    let begun = runs.partition_point(|run| run.stamp_ms <= born);
    begun
        .checked_sub(1)
        .and_then(|index| runs.get(index))
        .map_or(first, |run| run.began_ms)
}

/// When the thing at a path inside was made, or the nearest directory above it: what hides a
/// file may be an opaque directory.
fn birth(births: &Births, upper: &Place, path: &Path) -> Option<u64> {
    let mut path: PathBuf = path.to_owned();
    loop {
        if let Some(born) = births.born_ms(upper, &path) {
            return Some(born);
        }
        if !path.pop() || path.as_os_str().is_empty() {
            return None;
        }
    }
}

fn milliseconds(moment: Moment) -> u64 {
    let seconds = u64::try_from(moment.seconds).unwrap_or(0);
    seconds
        .saturating_mul(1000)
        .saturating_add(u64::from(moment.nanos / 1_000_000))
}
