//! Shows the caches of package managers, copy-on-write over the host's.

use std::path::{Path, PathBuf};

use stockade_domain::policy::protect;
use stockade_domain::view::{Access, Content};

use super::builder::Builder;
use super::resolve::{Kind, resolve};
use super::search_path::Found;
use super::toolchains::{CACHES, Cache};
use super::{Context, ViewError};

/// Adds each that exists and that a program in `PATH` uses. Returns the variables that say
/// where those are that were moved.
pub(super) fn add(
    builder: &mut Builder<'_>,
    context: &Context,
    found: &Found<'_>,
) -> Result<Vec<&'static str>, ViewError> {
    let mut variables = Vec::new();
    for cache in CACHES {
        let Some((variable, path)) = place(cache, context, builder) else {
            continue;
        };
        let Ok(resolved) = resolve(&path) else { continue };
        let usable = resolved.kind == Kind::Directory
            && protect::refuse_source(&resolved.real, true, false, builder.home()).is_none()
            && builder
                .home()
                .is_none_or(|home| protect::protected_parent(&resolved.real, home).is_none());
        let seen = builder.seen_through(&resolved.real).map(|entry| &entry.what);
        // What lies in the workspace is as that says.
        let free = matches!(
            seen,
            None | Some(
                Content::Private { .. }
                    | Content::Host {
                        access: Access::ReadOnly,
                        ..
                    }
            )
        );
        let used = || {
            let mut directories = found.directories.iter();
            directories.any(|(directory, _)| {
                let mut programs = cache.programs.iter();
                programs.any(|program| Path::new(directory).join(program).exists())
            })
        };
        if !usable || !free || !used() {
            continue;
        }
        builder.links(&resolved)?;
        builder.push(
            &resolved.real,
            Content::Cache {
                source: resolved.real.clone(),
            },
        )?;
        variables.extend(variable);
    }
    Ok(variables)
}

fn place(cache: &Cache, context: &Context, builder: &Builder<'_>) -> Option<(Option<&'static str>, PathBuf)> {
    let (variable, part) = cache.moved;
    let moved = context.variable(variable).map(PathBuf::from);
    match moved.filter(|moved| moved.is_absolute()) {
        Some(moved) if part.is_empty() => Some((Some(variable), moved)),
        Some(moved) => Some((Some(variable), moved.join(part))),
        None => Some((None, builder.home()?.join(cache.usual))),
    }
}
