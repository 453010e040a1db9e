//! Which repositories there are, and whether their form is understood.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::dir::GitDir;
use super::error::{GitError, GitResult};
use super::modules;
use super::name::UNFINISHED;
use crate::change::{ChangeSet, NodeKind};
use crate::trees::Side;

/// Largest settings file that is read.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Extensions of the form that change nothing of what is read here (gitrepository-layout(5)).
const HARMLESS: &[&str] = &[
    "noop",
    "noop-v1",
    "preciousobjects",
    "relativeworktrees",
    "worktreeconfig",
];
/// What must be a directory or not there at all.
const DIRECTORIES: &[&str] = &["objects", "objects/pack", "refs", "refs/heads", "refs/tags"];
/// What must be a file or not there at all.
const FILES: &[&str] = &["HEAD", "packed-refs", "index", "config", "shallow"];
/// What is there in forms that are not understood.
const OTHER_FORMS: &[(&str, &str)] = &[
    ("reftable", "it keeps its references in the form reftable"),
    ("commondir", "it is the administration of a linked worktree"),
];

/// The `.git` directories in which something changed, sorted.
pub(crate) fn directories(set: &ChangeSet) -> BTreeSet<PathBuf> {
    let all = set
        .changes
        .iter()
        .filter_map(|change| git_directory(&change.path));
    let mut found: BTreeSet<PathBuf> = all.collect();
    // A `.git` that is a file, a link or gone is told as what it is.
    found.retain(|path| {
        let at = set.changes.binary_search_by(|change| change.path.cmp(path));
        at.ok().and_then(|at| set.changes.get(at)).is_none_or(|change| {
            let directory = |entry: &crate::change::Entry| entry.node == NodeKind::Directory;
            change.after.as_ref().is_some_and(directory) && change.before.as_ref().is_none_or(directory)
        })
    });
    found
}

/// The outermost `.git` that a path is or lies in, or the repository of a submodule in that.
pub(crate) fn git_directory(path: &Path) -> Option<PathBuf> {
    let mut top = PathBuf::new();
    for part in path.components() {
        top.push(part);
        if part.as_os_str() == ".git" {
            while let Some(inner) = modules::directory_in(&top, path) {
                top = inner;
            }
            return Some(top);
        }
    }
    None
}

/// Refuses what is not understood: to take a part of it for the whole would be a lie. What
/// the host has in another form is left as files; what was given another form inside is left
/// altogether, because files are not looked at.
pub(crate) fn check(dir: &GitDir<'_>) -> GitResult {
    if dir.set.truncated {
        return Err(GitError::inside("there are more changes than could be looked at"));
    }
    if dir.is_module() {
        modules::check(dir)?;
    }
    if !dir.is_new() {
        form(dir, Side::Before)?;
        nodes(dir, Side::Before)?;
    }
    nodes(dir, Side::After)
        .and_then(|()| form(dir, Side::After))
        .map_err(|error| match error {
            GitError::Form { why } if !dir.is_new() => GitError::inside(why),
            error => error,
        })
}

fn nodes(dir: &GitDir<'_>, side: Side) -> GitResult {
    for name in DIRECTORIES {
        expect(dir, side, name, NodeKind::Directory)?;
    }
    FILES
        .iter()
        .try_for_each(|name| expect(dir, side, name, NodeKind::File))
}

fn form(dir: &GitDir<'_>, side: Side) -> GitResult {
    for (name, why) in OTHER_FORMS {
        if dir.entry(side, Path::new(name))?.is_some() {
            return Err(GitError::form(*why));
        }
    }
    config(dir, side)
}

/// Refuses what is in the middle of a merge or rebase: it would have to be ended in the same place.
pub(crate) fn check_finished(dir: &GitDir<'_>) -> GitResult {
    for side in [Side::After, Side::Before] {
        if side == Side::Before && dir.is_new() {
            continue;
        }
        for (name, what) in UNFINISHED {
            if dir.entry(side, Path::new(name))?.is_some() {
                let place = if side == Side::After {
                    "inside"
                } else {
                    "on the host"
                };
                return Err(GitError::form(format!(
                    "{what} is not finished {place}: end it there first"
                )));
            }
        }
    }
    Ok(())
}

fn expect(dir: &GitDir<'_>, side: Side, name: &str, wanted: NodeKind) -> GitResult {
    match dir.entry(side, Path::new(name))? {
        Some(entry) if entry.node != wanted => Err(GitError::inside(match (entry.node, wanted) {
            (NodeKind::Symlink, _) => format!("its {name} is a link"),
            (_, NodeKind::File) => format!("its {name} is no file"),
            _ => format!("its {name} is no directory"),
        })),
        _ => Ok(()),
    }
}

/// A repository's settings, without what they include.
pub(super) fn parse_config(dir: &GitDir<'_>, side: Side) -> GitResult<Option<gix_config::File>> {
    let Some(bytes) = dir.read(side, Path::new("config"), MAX_CONFIG_BYTES)? else {
        return Ok(None);
    };
    let meta = gix_config::file::Metadata::api();
    let parsed =
        gix_config::File::from_bytes_no_includes(&bytes, meta, gix_config::file::init::Options::default());
    let parsed = parsed.map_err(|_| GitError::form("its settings cannot be read"))?;
    Ok(Some(parsed))
}

/// Only what says in which form the repository is. Nothing in it is obeyed, no other file is
/// included.
fn config(dir: &GitDir<'_>, side: Side) -> GitResult {
    let Some(parsed) = parse_config(dir, side)? else {
        return Ok(());
    };
    let text = |key: &str| parsed.string(key).map(|value| value.to_string().to_lowercase());
    if let Some(version) = text("core.repositoryformatversion")
        && !matches!(version.as_str(), "0" | "1")
    {
        return Err(GitError::form("its form has a version that is not known"));
    }
    if parsed.string("core.worktree").is_some() && !dir.is_module() {
        return Err(GitError::form("its files lie elsewhere (core.worktree)"));
    }
    for section in parsed.sections_by_name("extensions").into_iter().flatten() {
        for name in section.value_names() {
            let name = name.to_lowercase();
            let value = text(&format!("extensions.{name}")).unwrap_or_default();
            let is_known = HARMLESS.contains(&name.as_str())
                || name == "objectformat" && value == "sha1"
                || name == "refstorage" && value == "files";
            if !is_known {
                return Err(GitError::form(match name.as_str() {
                    "objectformat" => "its objects are not named by SHA-1".to_owned(),
                    "refstorage" => "it keeps its references in another form than files".to_owned(),
                    "partialclone" => "it is a partial clone: objects are missing".to_owned(),
                    name => format!(
                        "its form has the extension {}",
                        crate::name::shown(Path::new(name))
                    ),
                }));
            }
        }
    }
    Ok(())
}
