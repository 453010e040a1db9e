//! Which directory is the workspace, and how it is seen.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stockade_domain::demand::Origin;
use stockade_domain::policy::paths::{self, Places};
use stockade_domain::policy::{Policy, protect};
use stockade_domain::spec::{Workspace, WorkspaceMode};
use stockade_domain::view::{Access, Content};

use super::builder::Builder;
use super::resolve::{Kind, Resolved, is_in, resolve};
use super::{Context, Note, ViewError, git};

/// Most parents that are searched for a repository.
const MAX_PARENTS: usize = 64;

/// The workspace that a policy means: the one it names, else the root of the git
/// repository around the current directory, else the current directory.
pub(super) fn find(
    policy: &Policy,
    context: &Context,
    home: Option<&Path>,
) -> Result<Option<Workspace>, ViewError> {
    let mode = policy.workspace_mode.value;
    if mode == WorkspaceMode::None {
        return Ok(None);
    }
    let (source, origin) = match &policy.workspace_path {
        Some(clause) => (
            named(&clause.value, &clause.origin, context, home)?,
            clause.origin.clone(),
        ),
        None => (unnamed(context, home), Origin::Default),
    };
    match refusal(&source, context, home) {
        None => Ok(Some(Workspace { source, mode })),
        Some(refused) => Err(ViewError::Workspace {
            origin,
            path: source,
            why: refused.why.to_owned(),
            fix: refused.fix.to_owned(),
        }),
    }
}

/// The root of the project that a policy means, whatever is seen of it: where the project's
/// own policy is looked for.
#[must_use]
pub fn project_root(policy: &Policy, context: &Context) -> Option<PathBuf> {
    let home = context.host_home();
    let home = home.as_ref().map(|home| home.real.as_path());
    let root = match &policy.workspace_path {
        // What is wrong with it is told when it becomes the workspace.
        Some(clause) => named(&clause.value, &clause.origin, context, home).ok()?,
        None => unnamed(context, home),
    };
    refusal(&root, context, home).is_none().then_some(root)
}

fn refusal(path: &Path, context: &Context, home: Option<&Path>) -> Option<protect::Refused> {
    protect::refuse_workspace(path, home, context.state_dir.as_deref())
}

/// The root of the repository around the current directory, else that.
fn unnamed(context: &Context, home: Option<&Path>) -> PathBuf {
    let root = git_root(&context.cwd).filter(|root| refusal(root, context, home).is_none());
    root.unwrap_or_else(|| context.cwd.clone())
}

fn named(text: &str, origin: &Origin, context: &Context, home: Option<&Path>) -> Result<PathBuf, ViewError> {
    let places = Places {
        home,
        workdir: &context.cwd,
        current: &context.cwd,
    };
    let path = paths::expand(text, &places).map_err(|cause| ViewError::Text {
        origin: origin.clone(),
        cause,
    })?;
    let resolved = resolve(&path).map_err(|cause| ViewError::Unusable {
        origin: origin.clone(),
        path: path.clone(),
        cause,
    })?;
    if resolved.kind == Kind::Directory {
        return Ok(resolved.real);
    }
    Err(ViewError::Workspace {
        origin: origin.clone(),
        path,
        why: "is not a directory".to_owned(),
        fix: "name a directory".to_owned(),
    })
}

/// The nearest parent with a `.git`. It counts only if it belongs to the owner of the
/// current directory or to the user: anybody can make a `.git` in /tmp.
fn git_root(cwd: &Path) -> Option<PathBuf> {
    let root = cwd
        .ancestors()
        .take(MAX_PARENTS)
        .find(|parent| parent.join(".git").symlink_metadata().is_ok())?;
    if root == cwd {
        return Some(root.to_path_buf());
    }
    let owner = root.metadata().ok()?.uid();
    let trusted = owner == rustix::process::geteuid().as_raw() || owner == cwd.metadata().ok()?.uid();
    trusted.then(|| root.to_path_buf())
}

/// Adds the workspace, with what in it is protected.
pub(super) fn add(builder: &mut Builder<'_>, workspace: &Workspace) -> Result<(), ViewError> {
    let source = &workspace.source;
    builder.push(source, Content::Workspace)?;
    builder.cover_protected(source)?;
    if workspace.mode.writes_through() {
        keep_read_only(builder, source)?;
    }
    if workspace.mode == WorkspaceMode::Live {
        builder.note(Note::CopiedFirst);
        let paths: Vec<String> = stockade_workspace::unprotected(source)
            .into_iter()
            .map(str::to_owned)
            .collect();
        if !paths.is_empty() {
            builder.note(Note::CanBeMade { paths });
        }
    }
    git::show_repository(builder, source)
}

/// Keeps what the host runs later, and what says how, read-only in a tree that is writable
/// in place.
pub(super) fn keep_read_only(builder: &mut Builder<'_>, tree: &Path) -> Result<(), ViewError> {
    for protected in stockade_workspace::protected(tree) {
        let path = tree.join(protected);
        let Ok(resolved) = resolve(&path) else { continue };
        if resolved.real == path {
            keep_one(builder, tree, &resolved)?;
        }
    }
    for path in builder.policy_files() {
        if let Ok(resolved) = resolve(path)
            && resolved.real != tree
            && is_in(&resolved.real, tree)
        {
            keep_one(builder, tree, &resolved)?;
        }
    }
    Ok(())
}

fn keep_one(builder: &mut Builder<'_>, tree: &Path, resolved: &Resolved) -> Result<(), ViewError> {
    let path = &resolved.real;
    if !matches!(resolved.kind, Kind::Directory | Kind::File) {
        return Ok(());
    }
    // A mount point cannot be renamed: without these, `mv .git x` would free its hooks.
    let mut parents: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .take_while(|parent| *parent != tree)
        .collect();
    parents.reverse();
    for parent in parents {
        if builder.entry_at(parent).is_none() {
            builder.host(parent, true, Access::ReadWrite)?;
        }
    }
    builder.host(path, resolved.kind == Kind::Directory, Access::ReadOnly)?;
    builder.note(Note::KeptReadOnly { path: path.clone() });
    Ok(())
}
