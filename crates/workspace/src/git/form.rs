//! Which repositories there are, and whether their form is understood.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::dir::GitDir;
use super::error::{GitError, GitResult};
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
    ("objects/info/alternates", "alternates were set up inside"),
    ("objects/info/http-alternates", "alternates were set up inside"),
];

/// The `.git` directories in which something changed, sorted.
pub(crate) fn directories(set: &ChangeSet) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for change in &set.changes {
        let Some(path) = git_directory(&change.path) else {
            continue;
        };
        let is_itself = path == change.path;
        let is_directory = |entry: Option<crate::change::Entry>| {
            entry.is_some_and(|entry| entry.node == NodeKind::Directory)
        };
        // A `.git` that is a file, a link or gone is told as what it is.
        if !is_itself
            || is_directory(change.after) && change.before.is_none_or(|_| is_directory(change.before))
        {
            found.insert(path);
        }
    }
    found.retain(|path| {
        let at = set.changes.binary_search_by(|change| change.path.cmp(path));
        at.ok().and_then(|at| set.changes.get(at)).is_none_or(|change| {
            let directory = |entry: &crate::change::Entry| entry.node == NodeKind::Directory;
            change.after.as_ref().is_some_and(directory) && change.before.as_ref().is_none_or(directory)
        })
    });
    found
}

/// The outermost `.git` that a path is or lies in.
pub(crate) fn git_directory(path: &Path) -> Option<PathBuf> {
    let mut top = PathBuf::new();
    for part in path.components() {
        top.push(part);
        if part.as_os_str() == ".git" {
            return Some(top);
        }
    }
    None
}

/// Refuses what is not understood: to take a part of it for the whole would be a lie.
pub(crate) fn check(dir: &GitDir<'_>) -> GitResult {
    if dir.set.truncated {
        return Err(GitError::form("there are more changes than could be looked at"));
    }
    let sides: &[Side] = if dir.is_new() {
        &[Side::After]
    } else {
        &[Side::Before, Side::After]
    };
    for side in sides {
        for name in DIRECTORIES {
            expect(dir, *side, name, NodeKind::Directory)?;
        }
        for name in FILES {
            expect(dir, *side, name, NodeKind::File)?;
        }
        config(dir, *side)?;
    }
    for (name, why) in OTHER_FORMS {
        let is_there = |side| dir.entry(side, Path::new(name)).map(|entry| entry.is_some());
        let is_alternates = name.ends_with("alternates");
        // The host's own alternates are the host's business.
        let before = !is_alternates && is_there(Side::Before)?;
        if before || is_there(Side::After)? && (!is_alternates || dir.change(&dir.path.join(name)).is_some())
        {
            return Err(GitError::form(*why));
        }
    }
    Ok(())
}

fn expect(dir: &GitDir<'_>, side: Side, name: &str, wanted: NodeKind) -> GitResult {
    match dir.entry(side, Path::new(name))? {
        Some(entry) if entry.node != wanted => Err(GitError::form(match entry.node {
            NodeKind::Symlink => format!("its {name} is a link"),
            _ => format!(
                "its {name} is no {}",
                if wanted == NodeKind::File {
                    "file"
                } else {
                    "directory"
                }
            ),
        })),
        _ => Ok(()),
    }
}

/// Only what says in which form the repository is. Nothing in it is obeyed, no other file is
/// included.
fn config(dir: &GitDir<'_>, side: Side) -> GitResult {
    let Some(bytes) = dir.read(side, Path::new("config"), MAX_CONFIG_BYTES)? else {
        return Ok(());
    };
    let meta = gix_config::file::Metadata::api();
    let parsed =
        gix_config::File::from_bytes_no_includes(&bytes, meta, gix_config::file::init::Options::default());
    let parsed = parsed.map_err(|_| GitError::form("its settings cannot be read"))?;
    let text = |key: &str| parsed.string(key).map(|value| value.to_string().to_lowercase());
    if let Some(version) = text("core.repositoryformatversion")
        && !matches!(version.as_str(), "0" | "1")
    {
        return Err(GitError::form("its form has a version that is not known"));
    }
    if parsed.string("core.worktree").is_some() {
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
