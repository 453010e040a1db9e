//! Changes that only make sense together.

use crate::change::{Change, NodeKind};

use super::Decision;

/// Adds what applied changes need, and takes back what cannot be applied yet:
/// a new file needs the new directories it lies in; a directory is only replaced or removed
/// when all that it held goes, too.
pub(super) fn complete(changes: &[Change], decisions: &mut [Decision]) {
    for (number, change) in changes.iter().enumerate() {
        if matches!(
            decisions.get(number),
            Some(Decision::Apply | Decision::Part | Decision::Merge | Decision::Beside)
        ) {
            include_parents(changes, decisions, number, change);
        }
    }
    // From the innermost outwards.
    for number in (0..changes.len()).rev() {
        let goes = matches!(changes.get(number), Some(change) if is_directory_going(change));
        if goes && decisions[number] == Decision::Apply {
            let all = below(changes, number).all(|inner| decisions[inner] == Decision::Apply);
            if !all {
                decisions[number] = Decision::Leave;
            }
        }
    }
}

/// What stood there was a directory, and after the change it is none.
pub(super) fn is_directory_going(change: &Change) -> bool {
    let is_directory = |entry: &crate::change::Entry| entry.node == NodeKind::Directory;
    change.before.as_ref().is_some_and(is_directory) && !change.after.as_ref().is_some_and(is_directory)
}

/// A directory stands there after the change and did not before.
pub(super) fn is_directory_coming(change: &Change) -> bool {
    let is_directory = |entry: &crate::change::Entry| entry.node == NodeKind::Directory;
    change.after.as_ref().is_some_and(is_directory) && !change.before.as_ref().is_some_and(is_directory)
}

/// The numbers of the changes below a change: they follow it.
pub(super) fn below(changes: &[Change], number: usize) -> impl Iterator<Item = usize> + '_ {
    let root = changes.get(number);
    let rest = changes.get(number + 1..).unwrap_or_default();
    rest.iter()
        .take_while(move |inner| root.is_some_and(|root| inner.path.starts_with(&root.path)))
        .enumerate()
        .map(move |(offset, _)| number + 1 + offset)
}

fn include_parents(changes: &[Change], decisions: &mut [Decision], number: usize, change: &Change) {
    let mut path = change.path.as_path();
    while let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let before = changes.get(..number).unwrap_or_default();
        let Ok(found) = before.binary_search_by(|other| other.path.as_path().cmp(parent)) else {
            path = parent;
            continue;
        };
        if !is_directory_coming(&changes[found]) || decisions[found] == Decision::Apply {
            return;
        }
        decisions[found] = Decision::Apply;
        path = parent;
    }
}
