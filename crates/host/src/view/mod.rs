//! Compiles a policy on this host into the list of what exists inside.
//!
//! The system is shown read-only, the home directory is replaced by a private one, the
//! directories that `PATH` leads to are shown read-only, credentials in them are not.
//! Few system calls: a default policy costs about as many as `PATH` has parts.

mod asks;
mod builder;
mod caches;
mod context;
mod error;
mod git;
mod git_settings;
mod missing;
mod note;
mod permitted;
mod resolve;
mod rules;
mod search_path;
mod system;
#[cfg(test)]
mod tests;
mod toolchains;
mod variables;
mod workspace;

use std::path::PathBuf;

use stockade_domain::environment::Environment;
use stockade_domain::policy::Policy;
use stockade_domain::policy::paths::Places;
use stockade_domain::spec::{Caches, Workspace, WorkspaceMode};
use stockade_domain::view::{Content, FileView};

pub use builder::MAX_ENTRIES;
pub use context::{Context, Identity, Who};
pub use error::ViewError;
pub use missing::{Hidden, explain_missing};
pub use note::Note;
pub use workspace::project_root;

use builder::Builder;

/// Everything that follows from a policy and the host's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// What exists inside.
    pub view: FileView,
    /// The root directory that stands in place of the host's system directories.
    pub image: Option<PathBuf>,
    /// The user's directory, if the sandbox has one.
    pub workspace: Option<Workspace>,
    /// Home directory inside.
    pub home: PathBuf,
    /// Variables that commands start with.
    pub environment: Environment,
    /// Commands may ask for checkpoints.
    pub asks: bool,
    /// What the user should know: covered credentials, skipped directories.
    pub notes: Vec<Note>,
}

/// Compiles a policy. `who` is asked once, when the workspace is known.
///
/// # Errors
/// A path of the policy that does not exist, cannot be read, or may not be shown.
pub fn compile(policy: &Policy, context: &Context, who: Who<'_>) -> Result<Compiled, ViewError> {
    let host_home = context.host_home();
    let home = context.home_inside(host_home.as_ref());
    let real_home = host_home.as_ref().map(|home| home.real.as_path());
    let workspace = workspace::find(policy, context, real_home)?;
    let places = Places {
        home: real_home,
        workdir: workspace
            .as_ref()
            .map_or(&context.cwd, |workspace| &workspace.source),
        current: &context.cwd,
    };
    let image = system::image(policy, context, &places)?;
    let source = workspace.as_ref().map(|workspace| workspace.source.as_path());
    let identity = who(source).map_err(|cause| ViewError::Owner {
        path: places.workdir.to_owned(),
        cause,
    })?;

    let mut builder = Builder::new(real_home, &context.policy_files);
    system::add(&mut builder, policy, identity, &home, image.as_deref(), &places)?;
    if let Some(home_links) = &host_home {
        builder.links(home_links)?;
    }
    if let Some(workspace) = &workspace {
        workspace::add(&mut builder, workspace)?;
    }
    let mut found = match image {
        None => search_path::add(&mut builder, context)?,
        Some(_) => search_path::Found::default(),
    };
    if policy.caches.value == Caches::Cow {
        let moved = caches::add(&mut builder, context, &found)?;
        found.variables.extend(moved);
    }
    let asks = asks::add(
        &mut builder,
        policy,
        workspace.as_ref(),
        context.program.as_deref(),
    )?;
    rules::add(&mut builder, policy, context, &places)?;
    git_settings::add(
        &mut builder,
        context,
        &home,
        workspace.as_ref().map(|workspace| workspace.source.as_path()),
    )?;
    if let Some(workspace) = &workspace {
        check_workspace_stays(&builder, workspace)?;
    }
    let (view, notes) = builder.finish();
    let environment = variables::compile(policy, context, &view, &home, &found, &asks);
    Ok(Compiled {
        view,
        image,
        workspace,
        home,
        environment,
        asks: asks.allowed,
        notes,
    })
}

/// A rule must not replace the workspace: its mode is the one clause for it.
fn check_workspace_stays(builder: &Builder<'_>, workspace: &Workspace) -> Result<(), ViewError> {
    let stays = builder
        .entry_at(&workspace.source)
        .is_some_and(|entry| entry.what == Content::Workspace);
    if stays || workspace.mode == WorkspaceMode::None {
        return Ok(());
    }
    Err(ViewError::WorkspaceReplaced {
        path: workspace.source.clone(),
    })
}
