//! What the files of a `.git` directory are for, by their names (gitrepository-layout(5)).

use std::ffi::OsStr;
use std::path::{Component, Path};

/// What becomes of a file of a repository whose commits are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Objects, references, what is checked out: taken as what they mean, never as files.
    Data,
    /// Records and leavings of git: no part of what is taken over.
    Scratch,
    /// The state of a merge or rebase that is not finished.
    Unfinished,
    /// Would make git look for objects elsewhere: never taken.
    Alternates,
    /// A file like any other; it needs its own name.
    Other,
}

const SCRATCH: &[&str] = &[
    "logs",
    "COMMIT_EDITMSG",
    "ORIG_HEAD",
    "FETCH_HEAD",
    "AUTO_MERGE",
    "TAG_EDITMSG",
    "gc.log",
    "gc.pid",
    "branches",
];
/// A file or directory of one of these names says that something is not finished.
pub(crate) const UNFINISHED: &[(&str, &str)] = &[
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("sequencer", "a cherry-pick or revert"),
    ("BISECT_LOG", "a bisection"),
];
const MESSAGES: &[&str] = &["MERGE_MSG", "MERGE_MODE", "MERGE_RR", "SQUASH_MSG"];

/// The class of a path below a `.git` directory.
pub(crate) fn class(path: &Path) -> Class {
    let mut parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    let (Some(first), second, third) = (parts.next(), parts.next(), parts.next()) else {
        return Class::Data;
    };
    let is_lock = path.extension().is_some_and(|extension| extension == "lock");
    match (first.as_ref(), second.as_deref(), third.as_deref()) {
        ("objects", Some("info"), Some("alternates" | "http-alternates")) => Class::Alternates,
        ("objects" | "refs", ..) | ("HEAD" | "index" | "packed-refs", None, _) => Class::Data,
        ("info", Some("refs"), None) => Class::Scratch, // for servers without git
        (first, ..) if first.starts_with("sharedindex.") => Class::Scratch,
        (first, ..) if SCRATCH.contains(&first) || is_lock => Class::Scratch,
        (first, ..) if MESSAGES.contains(&first) => Class::Scratch,
        (first, ..) if first.starts_with("BISECT_") => Class::Unfinished,
        (first, ..) if UNFINISHED.iter().any(|(name, _)| *name == first) => Class::Unfinished,
        _ => Class::Other,
    }
}

/// Names in a repository beside those above.
const ENTRIES: &[&str] = &[
    "HEAD",
    "config",
    "config.worktree",
    "description",
    "hooks",
    "index",
    "info",
    "modules",
    "objects",
    "packed-refs",
    "refs",
    "shallow",
    "worktrees",
];

/// True for a name that git gives what is in a repository.
pub(super) fn is_entry(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let lists = [ENTRIES, SCRATCH, MESSAGES];
    lists.iter().any(|list| list.contains(&name.as_ref()))
        || UNFINISHED.iter().any(|(one, _)| *one == name)
        || name.starts_with("sharedindex.")
        || name.starts_with("BISECT_")
        || Path::new(name.as_ref())
            .extension()
            .is_some_and(|extension| extension == "lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_as_commits_is_told_from_what_is_a_file() {
        let table = [
            ("objects/ab/cdef", Class::Data),
            ("objects/info/packs", Class::Data),
            ("refs/heads/hooks", Class::Data),
            ("HEAD", Class::Data),
            ("index", Class::Data),
            ("objects/info/alternates", Class::Alternates),
            ("logs/HEAD", Class::Scratch),
            ("info/refs", Class::Scratch),
            ("index.lock", Class::Scratch),
            ("rebase-merge/git-rebase-todo", Class::Unfinished),
            ("hooks/pre-commit", Class::Other),
            ("config", Class::Other),
            ("info/exclude", Class::Other),
            ("modules/x/objects/ab/cd", Class::Other),
            ("worktrees/x/HEAD", Class::Other),
        ];
        for (path, expected) in table {
            assert_eq!(class(Path::new(path)), expected, "{path}");
        }
    }
}
