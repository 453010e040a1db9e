//! Which change set is meant, and how paths in it are named: one answer for what is shown and
//! for what is applied.

use std::path::{Component, Path, PathBuf};

use stockade_host::state::{ChangeSet, LIVE, PENDING, StateDirs};

use super::Result;

/// The set of this name in the innermost project around a directory, else the newest that such
/// a sandbox used, else the newest of this name in any project. Without a name: the pending one
/// here; each project has one, so that name says nothing elsewhere.
///
/// # Errors
/// The state cannot be read.
pub(super) fn find(dirs: &StateDirs, label: Option<&str>, here: &Path) -> Result<Option<ChangeSet>> {
    let mut sets = dirs.change_sets()?;
    let is_here = |set: &ChangeSet| {
        set.workspace()
            .is_some_and(|workspace| here.starts_with(workspace))
    };
    let depth = |set: &ChangeSet| {
        set.workspace()
            .map_or(0, |workspace| workspace.components().count())
    };
    let name = label.unwrap_or(PENDING);
    let nearest = (0..sets.len())
        .filter(|index| sets[*index].name == name && is_here(&sets[*index]))
        .max_by_key(|index| depth(&sets[*index]));
    let used = || {
        sets.iter()
            .rposition(|set| label.is_some_and(|label| set.was_used_by(label)))
    };
    let named = || {
        sets.iter()
            .rposition(|set| label == Some(set.name.as_str()) && set.name != PENDING)
    };
    // What was changed in place is meant where nothing is pending.
    let in_place = || {
        let is_meant = |set: &ChangeSet| label.is_none() && set.name == LIVE && is_here(set);
        sets.iter().rposition(is_meant)
    };
    let found = nearest.or_else(used).or_else(named).or_else(in_place);
    Ok(found.map(|index| sets.swap_remove(index)))
}

/// Without `.` and `..`: what was changed inside may not exist on the host, so nothing can be
/// asked of the file system.
pub(super) fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
