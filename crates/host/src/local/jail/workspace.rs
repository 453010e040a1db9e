//! The private copy of a workspace.

use std::path::{Path, PathBuf};
use std::time::Instant;

use stockade_domain::Spec;
use stockade_domain::spec::Workspace;
use stockade_domain::view::Content;
use stockade_workspace::replica::{self, CopyLimits, Order, Owner};

use crate::driver::Seed;
use crate::error::{Error, Result};

/// The workspace, if it is to be copied, and the directory of its change set.
pub(crate) fn to_copy<'a>(spec: &'a Spec, seed: &'a Seed) -> Option<(&'a Workspace, &'a Path)> {
    let workspace = spec
        .workspace
        .as_ref()
        .filter(|workspace| workspace.mode.keeps_apart())?;
    Some((workspace, seed.changes_dir.as_deref()?))
}

/// Makes the copy. What the view covers in the workspace is empty in it.
pub(crate) fn make(
    spec: &Spec,
    workspace: &Workspace,
    seed: &Seed,
    copy: PathBuf,
    list: PathBuf,
    owner: Option<Owner>,
) -> Result<()> {
    (seed.progress)("copying the workspace");
    let order = Order {
        hidden: hidden(spec, &workspace.source),
        source: workspace.source.clone(),
        copy,
        upper: seed.changes_dir.as_ref().map(|changes| changes.join("upper")),
        list,
        owner,
        limits: CopyLimits::default(),
    };
    let stop = || seed.cancel.is_cancelled() || Instant::now() >= seed.deadline;
    match replica::make(&order, &stop) {
        Ok(_) => Ok(()),
        Err(_) if seed.cancel.is_cancelled() => Err(Error::Cancelled {
            what: "creating the sandbox".to_owned(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// What stands over parts of the workspace, relative to it.
fn hidden(spec: &Spec, workspace: &Path) -> Vec<PathBuf> {
    let covers = spec.view.entries.iter().filter(|entry| match &entry.what {
        Content::File { .. } | Content::Private { .. } | Content::Cache { .. } => true,
        Content::Host { .. }
        | Content::Symlink { .. }
        | Content::Proc
        | Content::Devices
        | Content::Workspace => false,
    });
    covers
        .filter_map(|entry| entry.at.strip_prefix(workspace).ok())
        .filter(|below| !below.as_os_str().is_empty())
        .map(Path::to_path_buf)
        .collect()
}
