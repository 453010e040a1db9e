//! The rules of `[files]`, `--ro` and `--rw`.

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use stockade_domain::policy::paths::{self, Places};
use stockade_domain::policy::{Clause, FileAccess, FileRule, Policy, protect};
use stockade_domain::view::Access;

use super::builder::Builder;
use super::resolve::{Kind, Resolved, resolve};
use super::{Context, Note, ViewError, permitted, workspace};

/// Applies the rules: what is shown parents first, then what is hidden.
pub(super) fn add(
    builder: &mut Builder<'_>,
    policy: &Policy,
    context: &Context,
    places: &Places<'_>,
) -> Result<(), ViewError> {
    let mut shown = Vec::new();
    for rule in policy
        .files
        .iter()
        .filter(|rule| rule.value.access != FileAccess::Hide)
    {
        let resolved = source(rule, context, places)?;
        permitted::check(policy, &rule.origin, rule.value.access, &resolved, places)?;
        shown.push((rule, resolved));
    }
    shown.sort_by_key(|(_, resolved)| resolved.real.as_os_str().len());
    for (rule, resolved) in &shown {
        show(builder, rule, resolved)?;
    }
    for rule in policy
        .files
        .iter()
        .filter(|rule| rule.value.access == FileAccess::Hide)
    {
        hide(builder, rule, places)?;
    }
    Ok(())
}

fn expand(rule: &Clause<FileRule>, places: &Places<'_>) -> Result<PathBuf, ViewError> {
    paths::expand(&rule.value.path, places).map_err(|cause| ViewError::Text {
        origin: rule.origin.clone(),
        cause,
    })
}

/// Follows a rule's path and checks that it may be shown.
fn source(rule: &Clause<FileRule>, context: &Context, places: &Places<'_>) -> Result<Resolved, ViewError> {
    let path = expand(rule, places)?;
    let mut resolved = resolve(&path).map_err(|cause| ViewError::Unusable {
        origin: rule.origin.clone(),
        path: path.clone(),
        cause,
    })?;
    if path.components().any(|part| part == Component::ParentDir) {
        // Only the place it leads to is meant, not the symlinks on a way there and back.
        resolved.links.clear();
    }
    let refuse = |why: &str, fix: &str| {
        Err(ViewError::Refused {
            origin: rule.origin.clone(),
            path: resolved.real.clone(),
            why: why.to_owned(),
            fix: fix.to_owned(),
        })
    };
    let directory = resolved.kind == Kind::Directory;
    let writable = rule.value.access == FileAccess::ReadWrite;
    for path in [&path, &resolved.real] {
        if let Some(refused) = protect::refuse_source(path, directory, writable, places.home) {
            return refuse(refused.why, refused.fix);
        }
    }
    if let Some(state) = &context.state_dir
        && (state.starts_with(&resolved.real) || resolved.real.starts_with(state))
    {
        return refuse("holds Stockade's own state", "name another directory");
    }
    match resolved.kind {
        Kind::Directory | Kind::File => Ok(resolved),
        Kind::Socket => refuse(
            "is a socket: who can speak to a service of the host can often command it",
            "give the sandbox a copy of the data, not the service",
        ),
        Kind::Other => refuse("is neither a file nor a directory", "name a file or directory"),
    }
}

fn show(builder: &mut Builder<'_>, rule: &Clause<FileRule>, resolved: &Resolved) -> Result<(), ViewError> {
    let access = match rule.value.access {
        FileAccess::ReadWrite => Access::ReadWrite,
        FileAccess::ReadOnly | FileAccess::Hide => Access::ReadOnly,
    };
    builder.reveal(resolved, access)?;
    if resolved.kind == Kind::Directory && is_roots_own(&resolved.real) {
        builder.own(&resolved.real);
    }
    if builder
        .home()
        .is_some_and(|home| protect::protected_parent(&resolved.real, home).is_some())
    {
        builder.note(Note::ProtectedShown {
            path: resolved.real.clone(),
        });
    }
    if access == Access::ReadWrite && resolved.kind == Kind::Directory {
        workspace::keep_read_only(builder, &resolved.real)?;
    }
    Ok(())
}

/// Root is somebody else inside; of an ordinary user that is said by the ids that the sandbox has.
fn is_roots_own(directory: &Path) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    is_root && std::fs::metadata(directory).is_ok_and(|found| found.uid() == 0)
}

/// Covers a path. One that does not exist, or that nothing shows, is hidden already.
fn hide(builder: &mut Builder<'_>, rule: &Clause<FileRule>, places: &Places<'_>) -> Result<(), ViewError> {
    let path = expand(rule, places)?;
    let Ok(resolved) = resolve(&path) else {
        return Ok(());
    };
    if places.workdir.starts_with(&resolved.real) {
        return Err(ViewError::Refused {
            origin: rule.origin.clone(),
            path: resolved.real,
            why: "holds the workspace, which cannot be hidden".to_owned(),
            fix: "hide what in it is not to be seen, or write mode = \"none\" in [workspace]".to_owned(),
        });
    }
    builder.cover(&resolved.real).map(|_| ())
}
